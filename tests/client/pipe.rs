//! `pollchat-client` as a child process, against servers that do as the test says: every kind of stdin and stdout,
//! every way to end, every exit code, and servers that are hostile or slow.
//!
//! Nothing here sleeps to let something happen: each wait is for a condition, and has a deadline.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};
use socket2::{Domain, SockRef, Socket, Type};

use crate::support::terminal::pseudo_terminal;

/// How long anything may take that should happen at once. Generous: the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long the client itself lets an ending stand still.
const GRACE: Duration = Duration::from_secs(5);

/// More memory than this no conversation needs, in KiB. The program alone has about 4 MiB.
const RSS_KIB_MAX: u64 = 12 << 10;

// Each kind of stdin.

#[test]
fn a_pipe_is_delivered_whole_and_ends_by_itself() {
    let (mut client, mut server) = conversation();
    client.type_in("a\nb\n");
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "a\nb\n");
    server.write_all(b"* you are client-7\nFIN\n").unwrap();
    client.ends(0, "* you are client-7\nFIN\n", "");
}

#[test]
fn a_last_line_without_its_end_is_delivered_too() {
    let (mut client, mut server) = conversation();
    client.type_in("a\nexi");
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "a\nexi");
    drop(server);
    client.ends(0, "", "");
}

#[test]
fn a_pipe_that_ends_without_data_is_an_end() {
    let (mut client, mut server) = conversation();
    client.wait_until_asleep();
    client.end_stdin(); // A hang-up alone, with nothing to read.
    assert_eq!(read_to_end(&mut server), "");
    drop(server);
    client.ends(0, "", "");
}

#[test]
fn a_file_is_delivered_whole_and_ends_by_itself() {
    let text = numbered_lines(300_000);
    let file = temporary_file(text.as_bytes());
    let (client, mut server) = conversation_with(|command| command.stdin(file));
    assert_eq!(read_to_end(&mut server), text);
    server.write_all(b"FIN\n").unwrap();
    client.ends(0, "FIN\n", "");
}

#[test]
fn an_empty_stdin_shows_what_the_server_says_and_ends() {
    let (client, mut server) = conversation_with(|command| command.stdin(Stdio::null()));
    assert_eq!(read_to_end(&mut server), "");
    server.write_all("* hello\nana> café\n".as_bytes()).unwrap();
    drop(server);
    client.ends(0, "* hello\nana> café\n", "");
}

#[test]
fn a_closed_stdin_is_an_empty_one() {
    let listener = listen("127.0.0.1:0");
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"exec "$0" "$1" <&-"#, env!("CARGO_BIN_EXE_pollchat-client")]);
    shell.arg(address(&listener).to_string());
    let client = Client::start(&mut shell);
    let mut server = accept(&listener);
    assert_eq!(read_to_end(&mut server), "");
    server.write_all(b"FIN\n").unwrap();
    client.ends(0, "FIN\n", "");
}

#[test]
fn a_stdin_that_cannot_be_read_is_told() {
    let (client, _server) = conversation_with(|command| command.stdin(File::open("/").unwrap()));
    client.ends(1, "", "pollchat-client: cannot read stdin: Is a directory (os error 21)\n");
}

#[test]
fn a_terminal_is_talked_through_plainly_if_asked_for_and_its_mode_left_alone() {
    let (mut terminal, line) = pseudo_terminal();
    let inherited = line.try_clone().unwrap();
    let (client, mut server) = conversation_with(|command| {
        command.arg("--plain").stdin(line.try_clone().unwrap()).stdout(line.try_clone().unwrap()).stderr(line)
    });
    let mut screen = Output::of(terminal.try_clone().unwrap());
    terminal.write_all(b"hello\n").unwrap();
    expect(&mut server, "hello\n");
    server.write_all(b"ana> hi\n").unwrap();
    screen.wait_for("ana> hi\r\n");
    let flags = rustix::fs::fcntl_getfl(&inherited).unwrap();
    assert!(!flags.contains(OFlags::NONBLOCK), "the shell would inherit {flags:?}");
    terminal.write_all(b"\x04").unwrap(); // Ctrl-D
    assert_eq!(read_to_end(&mut server), "");
    server.write_all(b"FIN\n").unwrap();
    client.ends(0, "", "");
    screen.wait_for("FIN\r\n");
}

#[test]
fn inherited_pipes_stay_blocking() {
    let (stdin, mut typist) = io::pipe().unwrap();
    let (reader, stdout) = io::pipe().unwrap();
    let (ours_in, ours_out) = (stdin.try_clone().unwrap(), stdout.try_clone().unwrap());
    let (client, mut server) = conversation_with(|command| command.stdin(stdin).stdout(stdout));
    typist.write_all(b"hello\n").unwrap();
    expect(&mut server, "hello\n");
    server.write_all(b"ana> hi\n").unwrap();
    Output::of(reader).wait_for("ana> hi\n");
    for fd in [ours_in.as_fd(), ours_out.as_fd()] {
        assert!(!rustix::fs::fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK));
    }
    server.write_all(b"FIN\n").unwrap();
    client.ends(0, "", "");
}

// Each way to end.

#[test]
fn a_typed_word_to_leave_is_the_last_that_is_sent() {
    for leave in ["FIN\n", "fin\n", "exit\r\n", "Exit\n", "/quit\n", "/QUIT bye\n"] {
        let (mut client, mut server) = conversation();
        client.type_in(&format!("hello\n{leave}not said\nexit\n"));
        assert_eq!(read_to_end(&mut server), format!("hello\n{leave}"));
        // Stdin stays open, and the server leaves without a word.
        drop(server);
        client.ends(0, "", "");
    }
}

#[test]
fn what_only_looks_like_a_word_to_leave_is_said() {
    let (mut client, mut server) = conversation();
    let typed = "FIN.\n exit\n//quit\nfin \n/quitter\nexit";
    client.type_in(typed);
    expect(&mut server, typed);
    client.type_in("s\nexit\n");
    assert_eq!(read_to_end(&mut server), "s\nexit\n");
    drop(server);
    client.ends(0, "", "");
}

#[test]
fn fin_from_the_server_ends_a_conversation_with_stdin_open() {
    let (client, mut server) = conversation();
    server.write_all(b"* the server is shutting down\nFIN\nana> too late\n").unwrap();
    client.ends(0, "* the server is shutting down\nFIN\n", "");
}

#[test]
fn only_the_very_line_fin_is_the_end() {
    let (mut client, mut server) = conversation();
    server.write_all(b"ana> FIN\nFIN \nfin\n FIN\n").unwrap();
    client.stdout().wait_for(" FIN\n");
    client.type_in("still here\n");
    expect(&mut server, "still here\n");
}

#[test]
fn a_server_that_closes_after_our_end_needs_no_fin() {
    let (mut client, mut server) = conversation();
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "");
    server.write_all(b"ana> one\na last line without its end").unwrap();
    drop(server);
    client.ends(0, "ana> one\na last line without its end\n", "");
}

#[test]
fn a_server_that_closes_out_of_the_blue_is_told() {
    let (client, mut server) = conversation();
    let at = server.local_addr().unwrap();
    server.write_all(b"ana> one\ntw").unwrap();
    drop(server);
    client.ends(1, "ana> one\ntw\n", &format!("pollchat-client: the server at {at} closed the connection\n"));
}

#[test]
fn a_reset_is_told_and_what_came_before_it_shown() {
    let (client, mut server) = conversation();
    let at = server.local_addr().unwrap();
    // From a server that does not end its lines, what was cut off might be one.
    server.write_all(b"* you are client-7\ncut o").unwrap();
    reset(server);
    let lost = format!("pollchat-client: the connection to {at} was lost: Connection reset by peer (os error 104)\n");
    client.ends(1, "* you are client-7\n", &lost);
}

#[test]
fn a_reset_after_our_end_is_told_too() {
    let (mut client, mut server) = conversation();
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "");
    reset(server);
    assert!(client.exits(1).stderr.contains("Connection reset by peer"));
}

#[test]
fn a_reset_after_fin_is_an_end_in_good_order() {
    let (client, mut server) = conversation();
    server.write_all(b"FIN\n").unwrap();
    reset(server);
    client.ends(0, "FIN\n", "");
}

#[test]
fn a_failed_write_does_not_hide_that_the_server_said_fin_before() {
    let (mut client, mut server) = conversation();
    client.wait_until_asleep();
    // What is typed while the client is stopped it writes to a connection that was reset, before it reads all of it.
    client.stop();
    let said = format!("{}FIN\n", numbered_lines(50_000));
    server.write_all(said.as_bytes()).unwrap();
    reset(server);
    client.type_in("hello?\n");
    client.signal(Signal::CONT);
    client.ends(0, &said, "");
}

#[test]
fn a_failed_write_without_fin_is_a_lost_connection() {
    let (mut client, mut server) = conversation();
    client.wait_until_asleep();
    client.stop();
    server.write_all(b"ana> bye\nhalf a l").unwrap();
    reset(server);
    client.type_in("hello?\n");
    client.signal(Signal::CONT);
    let exit = client.exits(1);
    assert_eq!(exit.stdout, "ana> bye\n");
    assert!(exit.stderr.contains("was lost: "), "{}", exit.stderr);
}

#[test]
fn a_closed_stdout_ends_it_quietly_with_nothing_to_write() {
    let (mut client, mut server) = conversation();
    server.write_all(b"* you are client-7\n").unwrap();
    client.stdout().wait_for("* you are client-7\n");
    client.wait_until_asleep();
    client.close_stdout();
    client.ends(0, "", "");
}

#[test]
fn a_stdout_that_closes_in_a_flood_ends_it_quietly() {
    let listener = listen("127.0.0.1:0");
    let mut shell = Command::new("sh");
    let pipeline = r#"{ "$0" "$1"; echo "exit $?" >&2; } | head -1"#;
    shell.args(["-c", pipeline, env!("CARGO_BIN_EXE_pollchat-client")]).arg(address(&listener).to_string());
    let client = Client::start(&mut shell);
    let mut server = accept(&listener);
    let flood = thread::spawn(move || while server.write_all(b"ana> hello\n").is_ok() {});
    client.ends(0, "ana> hello\n", "exit 0\n");
    flood.join().unwrap();
}

#[test]
fn a_full_disk_is_told() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (client, mut server) = conversation_with(|command| command.stdout(full));
    server.write_all(b"ana> hello\n").unwrap();
    client.ends(1, "", "pollchat-client: cannot write to stdout: No space left on device (os error 28)\n");
}

#[test]
fn a_stdout_that_is_a_file_gets_every_line() {
    let path = temporary_path();
    let file = OpenOptions::new().append(true).create_new(true).open(&path).unwrap();
    (&file).write_all(b"before\n").unwrap();
    let (client, mut server) = conversation_with(|command| command.stdout(file));
    let said = numbered_lines(200_000);
    server.write_all(said.as_bytes()).unwrap();
    server.write_all(b"FIN\n").unwrap();
    client.ends(0, "", "");
    assert!(fs::read_to_string(&path).unwrap() == format!("before\n{said}FIN\n"));
    fs::remove_file(path).unwrap();
}

#[test]
fn a_server_that_never_ends_is_left_after_the_grace() {
    let (mut client, mut server) = conversation();
    client.type_in("hello\n");
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "hello\n");
    // Each byte that moves is progress, and the time starts anew: this goes on for longer than the grace.
    let talk_from = Instant::now();
    let mut said = String::new();
    let mut said_at = Instant::now();
    wait_until("the grace is long over", || {
        if said_at.elapsed() > GRACE / 20 {
            said_at = Instant::now();
            server.write_all(b"ana> still here\n").unwrap();
            said.push_str("ana> still here\n");
        }
        talk_from.elapsed() > GRACE + GRACE / 10
    });
    client.stdout().wait_for(&said);
    client.wait_until_asleep();
    let cpu_ticks = client.cpu_ticks();
    client.wait_for_exit(); // Not reaped yet, so its times can still be read.
    assert!(said_at.elapsed() >= GRACE, "it left after {:?}", said_at.elapsed());
    assert!(client.cpu_ticks() <= cpu_ticks + 20, "waiting took {} ticks of CPU", client.cpu_ticks() - cpu_ticks);
    client.ends(0, &said, "");
}

#[test]
fn a_server_that_does_not_take_the_last_bytes_is_told() {
    let listener = listen("127.0.0.1:0");
    SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
    let mut client = Client::start(&mut client_of(address(&listener)));
    let server = accept(&listener);
    let mut typed_bytes = 0;
    // Fill what the kernel has for a server that does not read, until the client itself is left with some of it.
    // It takes so much at once even then, and stdin is empty when it ends.
    let step = numbered_lines(32 << 10);
    while typed_bytes < 4096 + bytes_under_way(&server) {
        client.type_in(&step);
        typed_bytes += step.len();
        client.wait_until("what was typed is taken", Client::has_taken_typed);
        client.wait_until_asleep();
    }
    client.end_stdin();
    let at = server.local_addr().unwrap();
    let exit = client.exits(1);
    let told = exit.stderr.strip_prefix(&format!("pollchat-client: the server at {at} did not take the last "));
    let bytes: u64 = told.and_then(|told| told.strip_suffix(" bytes\n")).expect(&exit.stderr).parse().unwrap();
    assert!((1..=64 << 10).contains(&bytes), "{bytes}");
}

#[test]
fn a_stuck_stdout_does_not_hold_up_the_end_for_ever() {
    let (stuck, stdout) = io::pipe().unwrap();
    let (client, mut server) = conversation_with(|command| command.stdout(stdout));
    server.write_all(numbered_lines(100_000).as_bytes()).unwrap();
    server.write_all(b"FIN\n").unwrap();
    let exit = client.exits(0);
    assert!(exit.stderr.starts_with("pollchat-client: stdout did not take the last "), "{}", exit.stderr);
    drop(stuck);
}

#[test]
fn a_stop_longer_than_the_grace_loses_nothing() {
    let (mut client, mut server) = conversation();
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "");
    client.wait_until_asleep();
    client.stop();
    let stopped_at = Instant::now();
    server.write_all(b"ana> while you were out\nFIN\n").unwrap();
    wait_until("the grace is over", || stopped_at.elapsed() > GRACE + Duration::from_millis(200));
    client.signal(Signal::CONT);
    client.ends(0, "ana> while you were out\nFIN\n", "");
}

#[test]
fn a_stop_in_the_middle_of_a_conversation_is_survived() {
    let (mut client, mut server) = conversation();
    for turn in 0..3 {
        client.wait_until_asleep();
        client.stop();
        client.signal(Signal::CONT);
        client.type_in(&format!("turn {turn}\n"));
        expect(&mut server, &format!("turn {turn}\n"));
    }
    client.end_stdin();
    drop(server);
    client.exits(0);
}

// Who is talked to, and as whom.

#[test]
fn nobody_listening_is_told_with_the_address() {
    let nobody = address_of_nobody();
    let told = format!("pollchat-client: cannot connect to {nobody}: Connection refused (os error 111)\n");
    Client::start(&mut client_of(nobody)).ends(1, "", &told);
}

#[test]
fn a_closed_stderr_is_no_reason_to_panic() {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#""$0" "$1" 2>&-; echo "exit $?""#, env!("CARGO_BIN_EXE_pollchat-client")]);
    Client::start(shell.arg(address_of_nobody().to_string())).ends(0, "exit 1\n", "");
    let (broken, stderr) = io::pipe().unwrap();
    drop(broken);
    Client::start(client_of(address_of_nobody()).stderr(stderr)).ends(1, "", "");
}

#[test]
fn a_name_that_does_not_resolve_is_told() {
    // No name server is asked about a name with an empty part.
    let exit = Client::start(&mut client_of("a..b")).exits(1);
    assert!(exit.stderr.starts_with("pollchat-client: cannot connect to a..b:46000: "), "{}", exit.stderr);
    assert_eq!(exit.stderr.lines().count(), 1, "{}", exit.stderr);
}

#[test]
fn a_name_is_resolved() {
    // Where `localhost` is ::1 first, there is nobody at that address, and the next one is tried.
    let listener = listen("127.0.0.1:0");
    let client = Client::start(client_of(format!("localhost:{}", address(&listener).port())).stdin(Stdio::null()));
    let mut server = accept(&listener);
    assert_eq!(read_to_end(&mut server), "");
    drop(server);
    client.ends(0, "", "");
}

#[test]
fn a_server_with_an_ipv6_address_is_talked_to() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        return; // A machine without IPv6 cannot tell.
    };
    let mut client = Client::start(&mut client_of(address(&listener)));
    let mut server = accept(&listener);
    client.type_in("hello\n");
    expect(&mut server, "hello\n");
    reset(server);
    assert!(client.exits(1).stderr.starts_with("pollchat-client: the connection to [::1]:"));
}

#[test]
fn a_nick_is_asked_for_before_anything_is_said() {
    for in_environment in [false, true] {
        let (mut client, mut server) = conversation_with(|command| {
            if in_environment { command.env("POLLCHAT_NICK", "Zoë") } else { command.args(["--nick", "Zoë"]) }
        });
        client.type_in("hello\n");
        client.end_stdin();
        assert_eq!(read_to_end(&mut server), "/nick Zoë\nhello\n");
        drop(server);
        client.ends(0, "", "");
    }
}

#[test]
fn wrong_usage_is_told_before_anybody_is_called() {
    let wrong: [&[&str]; 10] = [
        &["localhost:0"],
        &["localhost:65536"],
        &["localhost:http"],
        &["*:46000"],
        &["http://localhost:8080/"],
        &["[::1"],
        &["a", "b"],
        &["--nick", "two words"],
        &["--nick", "server"],
        &["--no-such-flag"],
    ];
    for args in wrong {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pollchat-client"));
        let exit = Client::start(piped(&mut command).args(args)).exits(2);
        assert!(exit.stderr.starts_with("error: ") && exit.stdout.is_empty(), "{args:?}: {}", exit.stderr);
    }
    let exit = Client::start(client_of("localhost").env("POLLCHAT_NICK", "client-7")).exits(2);
    assert!(exit.stderr.contains("that name is taken"), "{}", exit.stderr);
    assert!(exit.stderr.contains("'--nick <NAME>' (from POLLCHAT_NICK)"), "{}", exit.stderr);
}

#[test]
fn an_empty_variable_counts_as_unset_and_an_unknown_one_is_told() {
    let nobody = address_of_nobody();
    let told = format!("pollchat-client: cannot connect to {nobody}: Connection refused (os error 111)\n");
    // The address may come in two words.
    let client = |name, value| {
        let mut command = client_of(nobody.ip());
        command.arg(nobody.port().to_string()).env(name, value);
        command
    };
    Client::start(&mut client("POLLCHAT_NICK", "")).ends(1, "", &told);
    Client::start(&mut client("POLLCHAT_HISTORY", "a flag of the server")).ends(1, "", &told);
    let warning = "pollchat-client: no flag reads POLLCHAT_NIK (did you mean POLLCHAT_NICK?)\n";
    Client::start(&mut client("POLLCHAT_NIK", "ana")).ends(1, "", &format!("{warning}{told}"));
}

#[test]
fn help_tells_the_exit_codes() {
    let exit = Client::start(client_of("localhost").arg("--help")).exits(0);
    for told in
        ["[HOST[:PORT]]", "127.0.0.1:46000", "--nick <NAME>", "POLLCHAT_NICK", "Exit codes:", "  2  wrong usage"]
    {
        assert!(exit.stdout.contains(told), "{told} is not in:\n{}", exit.stdout);
    }
}

// Servers that are hostile or slow, and a stdout that is stuck.

#[test]
fn what_a_terminal_would_obey_is_not_shown() {
    let (client, mut server) = conversation();
    server.write_all(b"ana> \x1b[2J\x07\xfe\xc2\x9b\r!\r\nb\0b\t\xe2\x80\xae\nFIN\n").unwrap();
    client.ends(0, "ana> \u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}!\nbb\t\u{fffd}\nFIN\n", "");
}

#[test]
fn an_endless_line_is_cut_and_the_next_one_is_whole() {
    let (client, mut server) = conversation();
    let long = format!("ana> {}", "é".repeat(100_000));
    server.write_all(format!("{long}\nben> hello\nFIN\n").as_bytes()).unwrap();
    let shown = client.exits(0).stdout;
    let lines: Vec<&str> = shown.lines().collect();
    let [first, rest @ .., "ben> hello", "FIN"] = &lines[..] else { panic!("{} lines", lines.len()) };
    let pieces: Vec<&str> = rest.iter().map(|piece| piece.strip_prefix("… ").expect("marked as continued")).collect();
    assert_eq!(pieces.len(), 3);
    assert!([&[*first], &pieces[..]].concat().concat() == long);
}

#[test]
fn no_flood_makes_it_grow() {
    let (client, mut server) = conversation_with(|command| command.stdout(Stdio::null()));
    // A line that never ends, of bytes that each become three when they are shown; more than the kernel takes.
    for _ in 0..1600 {
        server.write_all(&[0xff; 10_000]).unwrap();
    }
    client.expect_small();
    server.write_all(b"\nFIN\n").unwrap();
    client.ends(0, "", "");
}

#[test]
fn a_slow_server_gets_every_byte_and_nothing_is_hoarded() {
    let typed = numbered_lines(16 << 20);
    let (client, mut server) = conversation_with(|command| command.stdin(temporary_file(typed.as_bytes())));
    // It does not read: the client fills what the kernel has, and then sleeps, though a file can always be read.
    client.wait_until("it reads its file", |client| client.stdin_offset() > 64 << 10);
    client.wait_until_asleep();
    assert!(client.stdin_offset() < 16 << 20, "the kernel took all of it");
    client.expect_small();
    assert!(read_to_end(&mut server) == typed);
    server.write_all(b"FIN\n").unwrap();
    client.ends(0, "FIN\n", "");
}

#[test]
fn a_slow_server_is_told_all_that_comes_through_a_pipe() {
    let typed = numbered_lines(8 << 20);
    let (mut client, mut server) = conversation();
    let mut stdin = client.child.stdin.take().unwrap();
    let sent = typed.clone();
    let typist = thread::spawn(move || stdin.write_all(sent.as_bytes()).unwrap());
    let mut read = Vec::new();
    let mut piece = vec![0; 37_001];
    while let Ok(len @ 1..) = server.read(&mut piece) {
        read.extend_from_slice(&piece[..len]);
    }
    assert!(read == typed.as_bytes());
    typist.join().unwrap();
    drop(server);
    client.ends(0, "", "");
}

#[test]
fn a_stuck_stdout_does_not_stop_what_is_typed() {
    let (reader, stdout) = io::pipe().unwrap();
    let (mut client, server) = conversation_with(|command| command.stdout(stdout));
    stuck_stdout_does_not_stop_what_is_typed(&mut client, &server, reader.into(), "\n");
    client.ends(0, "", "");
}

#[test]
fn a_stuck_terminal_does_not_stop_what_is_typed() {
    let (terminal, line) = pseudo_terminal();
    let (mut client, server) = conversation_with(|command| command.stdout(line));
    stuck_stdout_does_not_stop_what_is_typed(&mut client, &server, terminal.into(), "\r\n");
    client.ends(0, "", "");
}

/// The server says more than all buffers take while nobody reads the client's stdout at `reader`; then somebody does.
fn stuck_stdout_does_not_stop_what_is_typed(
    client: &mut Client,
    mut server: &TcpStream,
    reader: OwnedFd,
    newline: &str,
) {
    let said = format!("* hello\n{}FIN\n", numbered_lines(16 << 20));
    let (hello, mut unsaid) = said.as_bytes().split_at(8);
    // One short line first, so that nothing that comes after it fits exactly.
    server.write_all(hello).unwrap();
    assert!(becomes_ready(&reader, PollFlags::IN), "nothing is shown");
    // The client sleeps with something to read: its stdout is what it waits for.
    wait_until("stdout is stuck", || {
        say_what_is_taken(server, &mut unsaid);
        client.is_asleep() && !is_ready(server, PollFlags::OUT)
    });
    client.expect_small();
    for typed in ["hello\n", "hello again\n"] {
        client.type_in(typed);
        expect(&mut server, typed);
    }
    let output = Output::of(File::from(reader));
    server.write_all(unsaid).unwrap();
    assert!(output.whole() == said.replace('\n', newline));
}

fn say_what_is_taken(mut server: &TcpStream, unsaid: &mut &[u8]) {
    server.set_nonblocking(true).unwrap();
    while let Ok(len) = server.write(unsaid) {
        *unsaid = &unsaid[len..];
        assert!(!unsaid.is_empty(), "the kernel took all of it");
    }
    server.set_nonblocking(false).unwrap();
}

// The client.

/// A running `pollchat-client`, killed if the test ends before it does.
struct Client {
    child: Child,
    stdout: Option<Output>,
    stderr: Option<Output>,
}

struct Exit {
    stdout: String,
    stderr: String,
}

/// A client and the server's side of its connection.
fn conversation() -> (Client, TcpStream) {
    conversation_with(|command| command)
}

fn conversation_with(configure: impl FnOnce(&mut Command) -> &mut Command) -> (Client, TcpStream) {
    let listener = listen("127.0.0.1:0");
    let mut command = client_of(address(&listener));
    configure(&mut command);
    let client = Client::start(&mut command);
    // With the command go our copies of what the client was handed.
    drop(command);
    (client, accept(&listener))
}

fn client_of(server: impl Display) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pollchat-client"));
    piped(&mut command).arg(server.to_string());
    command
}

fn piped(command: &mut Command) -> &mut Command {
    command.env_remove("POLLCHAT_NICK").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped())
}

impl Client {
    fn start(command: &mut Command) -> Client {
        if command.get_program() == "sh" {
            piped(command);
        }
        // A group of its own, so that no stop of it is anybody else's.
        let mut child = command.process_group(0).spawn().unwrap();
        let stdout = child.stdout.take().map(Output::of);
        let stderr = child.stderr.take().map(Output::of);
        Client { child, stdout, stderr }
    }

    fn type_in(&mut self, text: &str) {
        self.child.stdin.as_mut().expect("stdin is a pipe").write_all(text.as_bytes()).unwrap();
    }

    fn end_stdin(&mut self) {
        self.child.stdin = None;
    }

    fn has_taken_typed(&self) -> bool {
        let stdin = self.child.stdin.as_ref().expect("stdin is a pipe");
        rustix::io::ioctl_fionread(stdin).unwrap() == 0
    }

    fn stdout(&mut self) -> &mut Output {
        self.stdout.as_mut().expect("stdout is a pipe")
    }

    fn close_stdout(&mut self) {
        self.stdout = None;
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Stops it, and waits until it is.
    fn stop(&self) {
        self.signal(Signal::STOP);
        let (_, status) = waitpid(Some(self.pid()), WaitOptions::UNTRACED).unwrap().expect("it was told to stop");
        assert!(status.stopped());
    }

    /// Waits until it is over, one way or another.
    fn wait_for_exit(&self) {
        let pidfd = pidfd_open(self.pid(), PidfdFlags::empty()).unwrap();
        assert!(becomes_ready(&pidfd, PollFlags::IN), "the client did not end");
    }

    /// Waits for its end and checks all that can be seen of it.
    #[track_caller]
    fn ends(self, code: i32, stdout: &str, stderr: &str) {
        let exit = self.exits(code);
        assert_eq!((exit.stdout.as_str(), exit.stderr.as_str()), (stdout, stderr));
    }

    #[track_caller]
    fn exits(mut self, code: i32) -> Exit {
        self.wait_for_exit();
        let status = self.child.wait().unwrap();
        let stdout = self.stdout.take().map(Output::whole).unwrap_or_default();
        let stderr = self.stderr.take().map(Output::whole).unwrap_or_default();
        assert_eq!(status.code(), Some(code), "{status}, stderr: {stderr}");
        Exit { stdout, stderr }
    }

    /// Waits until it waits, with all that it could do done.
    fn wait_until_asleep(&self) {
        self.wait_until("it sleeps", Client::is_asleep);
    }

    #[track_caller]
    fn wait_until(&self, what: &str, mut is_true: impl FnMut(&Client) -> bool) {
        wait_until(what, || is_true(self));
    }

    /// Whether it sleeps in its poller. Seen several times: it may also sleep for a moment in another call.
    fn is_asleep(&self) -> bool {
        (0..3).all(|_| {
            thread::yield_now();
            let waits_in = self.proc("wchan");
            self.stat()[0] == "S" && (waits_in.contains("epoll") || waits_in.contains("ep_poll") || waits_in == "0")
        })
    }

    /// User and system time so far, in ticks of a hundredth of a second.
    fn cpu_ticks(&self) -> u64 {
        let stat = self.stat();
        stat[11].parse::<u64>().unwrap() + stat[12].parse::<u64>().unwrap()
    }

    /// The fields of its stat, from the state on.
    fn stat(&self) -> Vec<String> {
        let stat = self.proc("stat");
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').map(str::to_owned).collect()
    }

    fn stdin_offset(&self) -> u64 {
        let info = self.proc("fdinfo/0");
        info.lines().find_map(|line| line.strip_prefix("pos:")).unwrap().trim().parse().unwrap()
    }

    #[track_caller]
    fn expect_small(&self) {
        let status = self.proc("status");
        let rss = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = rss.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        assert!(kib <= RSS_KIB_MAX, "it grew to {kib} KiB");
    }

    fn proc(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap_or_default()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Both fail if it has ended, and that is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What comes out of a descriptor, read by a thread so that every wait for it can have a deadline.
struct Output {
    pieces: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    /// With this goes the thread, and with the thread the descriptor.
    _stop: io::PipeWriter,
}

impl Output {
    fn of(mut source: impl Read + AsFd + Send + 'static) -> Output {
        let (sender, pieces) = mpsc::channel();
        let (stopped, stop) = io::pipe().unwrap();
        thread::spawn(move || {
            let mut piece = vec![0; 64 << 10];
            loop {
                let mut fds = [PollFd::new(&source, PollFlags::IN), PollFd::new(&stopped, PollFlags::IN)];
                poll(&mut fds, None).unwrap();
                if !fds[1].revents().is_empty() {
                    return;
                }
                // A terminal ends with EIO.
                match source.read(&mut piece) {
                    Ok(len @ 1..) if sender.send(piece[..len].to_vec()).is_ok() => {}
                    _ => return,
                }
            }
        });
        Output { pieces, seen: Vec::new(), _stop: stop }
    }

    /// Waits until `text` has come.
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !String::from_utf8_lossy(&self.seen).contains(text) {
            let piece = self.pieces.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let seen = String::from_utf8_lossy(&self.seen);
            self.seen.extend(piece.unwrap_or_else(|err| panic!("{err}: no {text:?} in {seen:?}")));
        }
    }

    /// Waits for its end, and returns all of it.
    #[track_caller]
    fn whole(mut self) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.pieces.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(piece) => self.seen.extend(piece),
                Err(RecvTimeoutError::Disconnected) => return String::from_utf8(self.seen).unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("no end after {} bytes", self.seen.len()),
            }
        }
    }
}

// The server's side, and what is waited for.

fn listen(address: &str) -> TcpListener {
    TcpListener::bind(address).unwrap()
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().unwrap()
}

/// An address where a connect is refused, kept from everybody else for as long as the tests run.
fn address_of_nobody() -> SocketAddr {
    static NOBODY: OnceLock<Socket> = OnceLock::new();
    let socket = NOBODY.get_or_init(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket
    });
    socket.local_addr().unwrap().as_socket().unwrap()
}

#[track_caller]
fn accept(listener: &TcpListener) -> TcpStream {
    assert!(becomes_ready(listener, PollFlags::IN), "the client did not connect");
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

#[track_caller]
fn expect(stream: &mut impl Read, text: &str) {
    let mut bytes = vec![0; text.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), text);
}

/// All up to the end that a half-close makes.
#[track_caller]
fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Closes with an RST.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// The bytes that the kernel has of the connection between the client and `server`, by its own account. (Those that
/// arrived and were not acknowledged yet count twice.)
fn bytes_under_way(server: &TcpStream) -> usize {
    let ports = [server.local_addr(), server.peer_addr()].map(|address| format!(":{:04X}", address.unwrap().port()));
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let connection = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|fields| {
        let is_end =
            |here: usize, there: usize| fields[1].ends_with(&ports[here]) && fields[2].ends_with(&ports[there]);
        is_end(0, 1) || is_end(1, 0)
    });
    let queues = connection.flat_map(|fields| {
        let (tx, rx) = fields[4].split_once(':').unwrap();
        [tx, rx].map(|bytes| usize::from_str_radix(bytes, 16).unwrap())
    });
    queues.sum()
}

fn is_ready(fd: impl AsFd, flags: PollFlags) -> bool {
    let mut fds = [PollFd::new(&fd, flags)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() > 0
}

fn becomes_ready(fd: impl AsFd, flags: PollFlags) -> bool {
    let mut fds = [PollFd::new(&fd, flags)];
    poll(&mut fds, Some(&Timespec { tv_sec: DEADLINE.as_secs() as i64, tv_nsec: 0 })).unwrap() > 0
}

/// Waits for what no event tells.
#[track_caller]
fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_true() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1)); // So that looking does not slow down what is looked for.
    }
}

/// Lines that are all different, of `bytes` bytes altogether.
fn numbered_lines(bytes: usize) -> String {
    let mut text: String = (0..bytes / 16 + 1).map(|number| format!("line {number:>10}\n")).collect();
    text.truncate(bytes);
    // The last one has an end, too.
    text.replace_range(bytes - 1.., "\n");
    text
}

fn temporary_path() -> PathBuf {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("client-{}-{number}", std::process::id()))
}

/// A file that holds `bytes`, open for reading, with no name any more.
fn temporary_file(bytes: &[u8]) -> File {
    let path = temporary_path();
    fs::write(&path, bytes).unwrap();
    let file = File::open(&path).unwrap();
    fs::remove_file(path).unwrap();
    file
}
