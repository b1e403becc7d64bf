//! Each way to end, from either side.

use super::*;

#[test]
fn a_typed_word_to_leave_is_the_last_that_is_sent() {
    for leave in ["FIN\n", "fin\n", "exit\r\n", "Exit\n", "/quit\n", "/QUIT bye\n"] {
        let (mut client, mut server) = conversation();
        client.type_in(&format!("hello\n{leave}"));
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
    client.ends(1, "* the server is shutting down\nFIN\n", "pollchat-client: the server is shutting down\n");
    let (client, mut server) = conversation();
    let at = server.local_addr().unwrap();
    server.write_all(b"FIN\n").unwrap();
    client.ends(1, "FIN\n", &format!("pollchat-client: the server at {at} ended the conversation\n"));
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
    let (mut client, mut server) = conversation();
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "");
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
    let exit = client.exits(1);
    assert!(exit.stdout == said);
    assert!(exit.stderr.contains(" ended the conversation; 1 line "), "{}", exit.stderr);
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
fn a_full_stdout_that_closes_holds_up_no_server() {
    let (reader, writer) = io::pipe().unwrap();
    let (mut client, mut server) = conversation_with(|command| command.stdout(writer));
    client.type_in("hello\n");
    client.end_stdin();
    let mut heard = server.try_clone().unwrap();
    // More than the pipe and the client's queue hold.
    let said = format!("* you are client-1; x\n{}FIN\n", "line\n".repeat(64 << 10));
    let talk = thread::spawn(move || server.write_all(said.as_bytes()));
    assert_eq!(read_to_end(&mut heard), "hello\n");
    client.wait_until_asleep();
    let start = Instant::now();
    drop(reader);
    client.ends(0, "", "");
    assert!(start.elapsed() < GRACE, "{:?}", start.elapsed());
    talk.join().unwrap().unwrap();
}

#[test]
fn a_full_disk_is_told() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (client, mut server) = conversation_with(|command| command.stdout(full));
    server.write_all(b"ana> hello\n").unwrap();
    client.ends(1, "", "pollchat-client: cannot write to stdout: No space left on device (os error 28)\n");
}

#[test]
fn a_program_that_only_prints_tells_a_full_disk() {
    let programs =
        [("client", env!("CARGO_BIN_EXE_pollchat-client")), ("server", env!("CARGO_BIN_EXE_pollchat-server"))];
    for (name, program) in programs {
        for args in [&["--help"][..], &["--version"], &["--generate", "man"], &["--generate", "bash"]] {
            let run = |stdout: Stdio| Command::new(program).args(args).stdout(stdout).output().unwrap();
            let full = run(OpenOptions::new().write(true).open("/dev/full").unwrap().into());
            let told = "cannot write to stdout: No space left on device (os error 28)";
            assert_eq!(String::from_utf8(full.stderr).unwrap(), format!("pollchat-{name}: {told}\n"), "{args:?}");
            assert_eq!(full.status.code(), Some(1));
            let (reader, closed) = io::pipe().unwrap();
            drop(reader);
            let closed = run(closed.into());
            assert_eq!((closed.status.code(), closed.stderr), (Some(0), Vec::new()), "{args:?}");
        }
    }
}

#[test]
fn a_stdout_that_is_a_file_gets_every_line() {
    let path = temporary_path();
    let file = OpenOptions::new().append(true).create_new(true).open(&path).unwrap();
    (&file).write_all(b"before\n").unwrap();
    let (mut client, mut server) = conversation_with(|command| command.stdout(file));
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "");
    let said = numbered_lines(200_000);
    server.write_all(said.as_bytes()).unwrap();
    server.write_all(b"FIN\n").unwrap();
    client.ends(0, "", "");
    assert!(fs::read_to_string(&path).unwrap() == format!("before\n{said}FIN\n"));
    fs::remove_file(path).unwrap();
}

#[test]
fn a_server_that_never_ends_is_left_after_the_grace_whatever_it_says() {
    let (mut client, mut server) = conversation();
    client.type_in("hello\n");
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "hello\n");
    let left_at = Instant::now();
    let server = thread::spawn(move || say_until_gone(&mut server, "* still here\n", GRACE / 20));
    client.stdout().wait_for("* still here\n");
    client.wait_until_asleep();
    let cpu_ticks = client.cpu_ticks();
    client.wait_for_exit(); // Not reaped yet, so its times can still be read.
    let time = left_at.elapsed();
    assert!(time > GRACE - GRACE / 5 && time < GRACE + Duration::from_secs(3), "it left after {time:?}");
    assert!(client.cpu_ticks() <= cpu_ticks + 20, "waiting took {} ticks of CPU", client.cpu_ticks() - cpu_ticks);
    let exit = client.exits(0);
    assert!(exit.stdout.starts_with("* still here\n") && exit.stderr.is_empty(), "{}", exit.stderr);
    server.join().unwrap();
}

#[test]
fn a_flood_after_the_goodbye_is_left_at_its_bound() {
    // A pollchat server may owe a backlog, so it gets more bytes.
    for (greeting, code, bytes_max) in [("hello\n", 0, 2 << 20), ("* you are client-7; hi\n", 1, 18 << 20)] {
        let (mut client, mut server) = conversation();
        client.end_stdin();
        server.write_all(greeting.as_bytes()).unwrap();
        assert_eq!(read_to_end(&mut server), "");
        let flood = thread::spawn(move || while server.write_all(&b"ana> flood\n".repeat(1000)).is_ok() {});
        let exit = client.exits(code);
        assert!((1 << 20..bytes_max).contains(&exit.stdout.len()), "{} bytes", exit.stdout.len());
        flood.join().unwrap();
    }
}

#[test]
fn text_that_nothing_has_ended_is_shown_before_a_forced_end() {
    for greeting in ["hello\n", "", "* you are client-7; hi\n"] {
        // Its silence never ends a line, and it stays.
        let (mut client, mut server) = conversation_with(|command| command.args(["--flush-after", "0"]));
        client.end_stdin();
        server.write_all(format!("{greeting}half a word").as_bytes()).unwrap();
        assert_eq!(read_to_end(&mut server), "");
        let exit = client.exits(i32::from(greeting.starts_with("* ")));
        assert_eq!(exit.stdout, format!("{greeting}half a word\n"));
    }
    // Without a pause, until it has sent too much.
    let (mut client, mut server) = conversation();
    client.end_stdin();
    server.write_all(b"x").unwrap();
    let heard = thread::spawn(move || {
        let mut sent = 1;
        while let Ok(len) = server.write(&[b'x'; 1000]) {
            sent += len;
        }
        sent
    });
    let shown = client.exits(0).stdout;
    assert!(shown.bytes().filter(|&byte| byte == b'x').count() > 1 << 20, "{} bytes", shown.len());
    assert!(heard.join().unwrap() > 1 << 20);
}

#[test]
fn what_a_server_that_ends_no_lines_said_before_a_reset_is_shown() {
    let (client, mut server) = conversation_with(|command| command.args(["--flush-after", "0"]));
    server.write_all(b"Your name? ").unwrap();
    reset(server);
    let exit = client.exits(1);
    assert_eq!(exit.stdout, "Your name? \n");
    assert!(exit.stderr.contains(" was lost: "), "{}", exit.stderr);
}

#[test]
fn a_server_that_says_nothing_at_all_has_taken_nothing_for_sure() {
    let (mut client, mut server) = conversation();
    let at = server.local_addr().unwrap();
    client.type_in("hello\n");
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "hello\n");
    let told = format!("the server at {at} did not answer the goodbye; 1 line may not have been said");
    client.ends(1, "", &format!("pollchat-client: {told}\n"));
}

#[test]
fn a_signal_ends_a_pipe_at_once_even_while_it_leaves() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let (mut client, mut server) = conversation();
        client.end_stdin();
        server.write_all(b"* you are client-7; hi\n").unwrap();
        assert_eq!(read_to_end(&mut server), "");
        client.stdout().wait_for("hi\n");
        let flood = thread::spawn(move || while server.write_all(b"ana> flood\n").is_ok() {});
        client.stdout().wait_for("flood\n");
        let from = Instant::now();
        client.signal(signal);
        client.wait_for_exit();
        assert_eq!(client.child.wait().unwrap().signal(), Some(signal.as_raw()));
        assert!(from.elapsed() < GRACE / 2, "{:?}", from.elapsed());
        flood.join().unwrap();
    }
}

#[test]
fn a_server_that_does_not_take_the_last_bytes_is_told() {
    let listener = listen("127.0.0.1:0");
    SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
    let mut client = Client::start(&mut client_of(address(&listener)));
    let mut server = accept(&listener);
    server.write_all(b"hello\n").unwrap();
    client.stdout().wait_for("hello\n");
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
    let (bytes, lines) = told.and_then(|told| told.split_once(" bytes; ")).expect(&exit.stderr);
    let bytes: u64 = bytes.parse().unwrap();
    assert!((1..=64 << 10).contains(&bytes), "{bytes}");
    let unsaid: u64 = lines.split(' ').next().unwrap().parse().unwrap();
    assert!((bytes / 16..=bytes / 16 + 1).contains(&unsaid), "{bytes} bytes, {lines}");
}

#[test]
fn a_stuck_stdout_does_not_hold_up_the_end_for_ever() {
    let (stuck, stdout) = io::pipe().unwrap();
    let (mut client, mut server) = conversation_with(|command| command.stdout(stdout));
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "");
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
