//! The server as a process: flags, environment, output, signals, descriptors and idleness.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::terminal::pseudo_terminal;
use crate::support::{Client, DEADLINE, Lines, Member, Server, Start, ask, converse, eventually, say_numbered};

/// What the shutdown may take, by the specification.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// What a busy machine may add to it. Together they are less than the grace that a single leaver has.
const SLACK: Duration = Duration::from_millis(2500);

/// Lines that make a client that does not read stuck: more than its kernel and the server's hold for it.
const MANY: usize = 30_000;

/// Runs a server that is not to get as far as listening.
#[track_caller]
fn run(start: &Start) -> Output {
    let mut command = start.command();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the server starts");
    let (pid, (sender, receiver)) = (Pid::from_child(&child), mpsc::channel());
    thread::spawn(move || sender.send(child.wait_with_output()));
    let output = receiver.recv_timeout(DEADLINE).unwrap_or_else(|_| {
        let _ = kill_process(pid, Signal::KILL);
        panic!("it did not end by itself");
    });
    output.expect("the child is ours")
}

/// A server with two who talk, and one who does not read and is owed as much as the server keeps.
fn with_a_stuck_client(flags: &[&str]) -> (Server, [Client; 2], Client) {
    let server = Server::quiet(flags);
    let [mut a, mut b] = server.join_many();
    let stuck = server.join_narrow();
    say_numbered(&mut a, &mut b, 0, MANY);
    (server, [a, b], stuck)
}

mod addresses {
    use super::*;

    #[test]
    fn stdout_carries_the_listeners_and_nothing_else() {
        let mut server = Server::start(&["--log-level", "trace"]);
        let [mut a, mut b]: [Client; 2] = server.join_many();
        a.lines_until(|line| line.ends_with(" joined"));
        converse(&mut a, &mut b, 10);
        b.reset();
        a.send("x".repeat(10_000) + "\n/nope\nFIN\n");
        a.lines_until(|line| line == "FIN");
        server.signal(Signal::TERM);
        drop(a);
        server.wait(DEADLINE);
        server.drained();
        assert_eq!(server.stdout(), [format!("listening on {}", server.address())]);
    }

    #[test]
    fn port_0_picks_one() {
        let server = Server::start(&[]);
        assert_eq!(server.address().ip().to_string(), "127.0.0.1");
        assert_ne!(server.address().port(), 0);
    }

    #[test]
    fn several_listeners_serve_one_room() {
        let server =
            Server::builder().flags(["--announce-up-to", "0"]).listen("127.0.0.1:0").listen("127.0.0.2:0").go();
        let addresses = server.addresses();
        assert_eq!(
            addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>(),
            ["127.0.0.1", "127.0.0.2"]
        );
        let mut clients = addresses.iter().map(|&address| {
            let mut client = Client::connect(address);
            client.greeted();
            client
        });
        let (mut a, mut b) = (clients.next().expect("one"), clients.next().expect("two"));
        assert_ne!(a.number(), b.number());
        converse(&mut a, &mut b, 2);
    }

    #[test]
    fn ipv6_is_served_too_and_it_alone() {
        if TcpListener::bind("[::1]:0").is_err() {
            eprintln!("no IPv6 here: nothing tested");
            return;
        }
        let server = Server::builder().flags(["--announce-up-to", "0"]).listen("127.0.0.1:0").listen("[::]:0").go();
        let [v4, v6] = server.addresses() else { panic!("two listeners: {:?}", server.addresses()) };
        let mut a = Client::connect(*v4);
        a.greeted();
        let mut b = Client::connect(format!("[::1]:{}", v6.port()).parse().expect("an address"));
        b.greeted();
        converse(&mut a, &mut b, 2);
        // An address of its own, so that no other test can be found there.
        assert!(TcpStream::connect(("127.0.0.66", v6.port())).is_err(), "[::] is not to take IPv4");
    }

    #[test]
    fn an_ipv6_loopback_address_is_told_as_such() {
        if TcpListener::bind("[::1]:0").is_err() {
            eprintln!("no IPv6 here: nothing tested");
            return;
        }
        let server = Server::builder().listen("[::1]:0").go();
        assert!(server.stdout()[0].starts_with("listening on [::1]:"));
        server.join();
    }

    #[test]
    fn the_same_port_can_be_taken_again_at_once_after_an_end() {
        let mut server = Server::builder().listen("127.0.0.3:0").go();
        let address = server.address().to_string();
        let mut a = server.join();
        server.signal(Signal::TERM);
        a.expect("* the server is shutting down");
        a.expect_farewell();
        drop(a);
        server.wait(DEADLINE);
        let server = Server::builder().listen(&address).go();
        server.join();
    }

    #[test]
    fn a_port_that_is_taken_ends_it_with_1_and_one_line() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("bound").to_string();
        expect_failure(&Server::builder().listen(&address), &address);
        // A listener that could be had makes it no better: nothing is said before all are bound.
        expect_failure(&Server::builder().listen("127.0.0.1:0").listen(&address), &address);
        expect_failure(
            &Server::builder().flags(["--log-level", "trace"]).listen("127.0.0.1:0").listen(&address),
            &address,
        );
        expect_failure(&Server::builder().flags(["--log-level", "off"]).listen(&address), &address);
    }

    #[test]
    fn an_address_that_is_not_local_ends_it_with_1_and_one_line() {
        // Of the block that is kept for documentation.
        expect_failure(&Server::builder().listen("192.0.2.1:46000"), "192.0.2.1:46000");
    }

    #[test]
    fn a_port_that_is_not_permitted_ends_it_with_1_and_one_line() {
        let denied = TcpListener::bind("127.0.0.1:1").err();
        if denied.is_none_or(|error| error.kind() != io::ErrorKind::PermissionDenied) {
            eprintln!("this user may take any port: nothing tested");
            return;
        }
        expect_failure(&Server::builder().listen("127.0.0.1:1"), "127.0.0.1:1");
    }

    #[track_caller]
    fn expect_failure(start: &Start, address: &str) {
        let output = run(start);
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(
            error.starts_with("pollchat-server: ") && error.contains(address) && error.ends_with('\n'),
            "{error:?}"
        );
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    }
}

mod flags {
    use super::*;

    #[test]
    fn bad_flags_end_it_with_2() {
        let bad: [&[&str]; 34] = [
            &["--bogus"],
            &["stray"],
            &["--listen"],
            &["--listen", "nonsense"],
            &["--listen", "127.0.0.1"],
            &["--listen", "127.0.0.1:99999"],
            &["--listen", "localhost:"],
            &["--history", "-1"],
            &["--history", "many"],
            &["--audience", "nobody"],
            &["--announce-up-to", "x"],
            &["--backlog", "3X"],
            &["--backlog", "99999999999999999999G"],
            &["--lag", "maybe"],
            &["--max-clients", "x"],
            &["--max-line", "0x10"],
            &["--log-level", "loud"],
            // A tape that does not hold a line of the longest, no line, no client, no size.
            &["--backlog", "100"],
            &["--max-line", "1M", "--backlog", "1M"],
            &["--max-line", "0"],
            &["--max-clients", "0"],
            &["--backlog", "K"],
            &["--backlog", ""],
            &["--console=maybe"],
            &["--flush-after", "0"],
            &["--rate", "-1"],
            &["--rate", "1000001"],
            &["--rate", "5", "--burst", "0"],
            // A burst of no rate, and a patience with nobody.
            &["--burst", "5"],
            &["--stall-timeout", "5"],
            &["--stall-timeout", "0", "--lag", "wait"],
            &["--stall-timeout", "5", "--lag", "disconnect"],
            &["--idle-timeout", "soon"],
            &["--idle-timeout", "99999999999"],
        ];
        for flags in bad {
            let output = run(&Server::builder().flags(["--listen", "127.0.0.1:0"]).flags(flags));
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{flags:?}: {error}");
            assert!(!error.is_empty(), "{flags:?}");
            assert!(output.stdout.is_empty(), "{flags:?}");
        }
    }

    #[test]
    fn a_bad_value_in_the_environment_ends_it_with_2() {
        let output = run(&Server::builder().flags(["--listen", "127.0.0.1:0"]).env("POLLCHAT_LAG", "maybe"));
        assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn help_lists_all_flags() {
        let output = run(&Server::builder().flags(["--help"]));
        let help = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(output.status.code(), Some(0));
        let flags = "listen greeting history audience announce-up-to backlog lag stall-timeout rate burst idle-timeout max-clients \
                     max-line flush-after log-level";
        for flag in flags.split(' ') {
            assert!(help.contains(&format!("--{flag} ")), "--{flag} in {help}");
            let variable = format!("POLLCHAT_{}", flag.to_uppercase().replace('-', "_"));
            assert!(help.contains(&variable), "{variable} in {help}");
        }
    }

    #[test]
    fn sizes_may_have_a_suffix() {
        for size in ["1000000", "256K", "256k", "16M", "1G"] {
            let server = Server::quiet(&["--backlog", size]);
            let [mut a, mut b] = server.join_many();
            converse(&mut a, &mut b, 1);
        }
    }

    #[test]
    fn each_flag_is_also_a_variable_of_the_environment() {
        let server = Server::builder()
            .env("POLLCHAT_LISTEN", "127.0.0.4:0")
            .env("POLLCHAT_GREETING", "from the environment")
            .env("POLLCHAT_HISTORY", "1")
            .env("POLLCHAT_AUDIENCE", "everyone")
            .env("POLLCHAT_ANNOUNCE_UP_TO", "0")
            .env("POLLCHAT_BACKLOG", "256K")
            .env("POLLCHAT_LAG", "disconnect")
            .env("POLLCHAT_MAX_CLIENTS", "3")
            .env("POLLCHAT_MAX_LINE", "1000")
            .env("POLLCHAT_CONSOLE", "no")
            .env("POLLCHAT_FLUSH_AFTER", "20")
            .env("POLLCHAT_LOG_LEVEL", "error")
            .go();
        assert_eq!(server.address().ip().to_string(), "127.0.0.4");
        let [mut a, mut b] = server.join_many();
        a.expect("* from the environment");
        b.expect("* from the environment");
        a.send_line("one");
        a.expect(a.says("one"));
        b.expect(a.says("one"));
        // It has never ended a line: silence does that for it.
        let mut c = Client::connect_narrow(server.address());
        c.greeted();
        c.expect_all(["* from the environment", "* 1 earlier line:", &a.says("one")]);
        let mut refused = server.connect();
        refused.expect("* the server is full (3 clients)");
        refused.expect_farewell();
        a.send_line("x".repeat(1001));
        a.expect("* line too long (over 1000 bytes): not relayed");
        // The tape is small, and who falls off its tail is disconnected.
        c.send("no newline");
        a.expect(c.says("no newline"));
        b.expect(c.says("no newline"));
        let line = "x".repeat(1000);
        for _ in 0..800 {
            a.send(format!("{line}\n").repeat(10));
            for _ in 0..10 {
                a.expect(a.says(&line));
                b.expect(a.says(&line));
            }
        }
        eventually("the third is disconnected", || a.present() == 2);
        // Connecting and leaving are not errors.
        assert_eq!(server.log(), [""; 0]);
    }

    #[test]
    fn a_flag_goes_before_the_environment() {
        let server = Server::builder().env("POLLCHAT_MAX_LINE", "nonsense").flags(["--max-line", "10"]).go();
        let mut a = server.join();
        a.send_line("12345678901");
        a.expect("* line too long (over 10 bytes): not relayed");
    }

    #[test]
    fn variables_of_other_programs_do_not_matter() {
        let server = Server::builder().env("RUST_LOG", "off").env("POLLCHAT", "x").env("LISTEN", "y").go();
        let a = server.join();
        server.expect_log(&[&a.name()]);
    }
}

mod log {
    use super::*;

    #[test]
    fn it_says_who_came_from_where_who_left_and_why_and_how_many_are_present() {
        let server = Server::quiet(&[]);
        let [mut a, mut b, mut c, d] = server.join_introduced();
        for client in [&a, &b, &c, &d] {
            let line = server.expect_log(&[&format!("{} came from {};", client.name(), client.address())]);
            assert!(has_number(&line, "4"), "{line}");
        }
        b.rename("ana");
        let (name_c, name_d) = (c.name(), d.name());

        b.send_line("FIN");
        b.expect("FIN");
        let said_so = left(&server, "ana", 3);
        c.half_close();
        c.lines_until(|line| line == "FIN");
        let ended = left(&server, &name_c, 2);
        d.reset();
        let reset = left(&server, &name_d, 1);
        a.who();

        // Each for a reason of its own.
        let reasons = [(said_so, "ana"), (ended, &name_c), (reset, &name_d)].map(|(line, name)| reason(&line, name));
        assert!(reasons[0] != reasons[1] && reasons[1] != reasons[2] && reasons[0] != reasons[2], "{reasons:?}");
    }

    /// The line of the log by which this client left.
    #[track_caller]
    fn left(server: &Server, name: &str, present: usize) -> String {
        let line = server.expect_log(&[name, "left"]);
        assert!(has_number(&line, &present.to_string()), "{present} in {line}");
        line
    }

    /// What follows the name, without its numbers.
    fn reason(line: &str, name: &str) -> String {
        let (_, after) = line.rsplit_once(name).expect("the name is there");
        after.replace(|c: char| c.is_ascii_digit(), "")
    }

    fn has_number(line: &str, number: &str) -> bool {
        line.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';')).any(|word| word == number)
    }

    #[test]
    fn a_breach_of_a_limit_is_logged_with_the_limit_and_the_peer() {
        let server = Server::start(&["--max-line", "777", "--max-clients", "1", "--log-level", "debug"]);
        let mut a = server.join();
        a.send_line("x".repeat(1000));
        a.expect("* line too long (over 777 bytes): not relayed");
        server.expect_log(&[&a.name(), "777"]);
        let mut refused = server.connect();
        refused.expect_notice();
        server.expect_log(&[&refused.address().to_string()]);
    }

    #[test]
    fn texts_are_not_logged() {
        let mut server = Server::start(&[]);
        let mut a = server.join();
        let mut b = server.join();
        a.expect_notice();
        a.send(format!("secret-text\n/msg {} secret-message\n/secret-command\n", b.name()));
        a.send("secret-long".repeat(1000) + "\n");
        a.send("secret-fragment");
        b.lines_until(|line| line == a.says("secret-text"));
        a.reset();
        b.lines_until(|line| line.ends_with(" left"));
        server.signal(Signal::TERM);
        b.lines_until(|line| line == "FIN");
        drop(b);
        server.wait(DEADLINE);
        server.drained();
        let log = server.log();
        assert!(log.len() >= 4, "{log:?}");
        assert!(!log.iter().any(|line| line.contains("secret")), "{log:?}");
    }

    #[test]
    fn the_level_can_be_chosen() {
        for (level, is_said) in [("off", false), ("error", false), ("warn", false), ("info", true), ("debug", true)] {
            let mut server = Server::start(&["--log-level", level]);
            let mut a = server.join();
            a.send_line("FIN");
            a.expect_farewell();
            drop(a);
            server.signal(Signal::TERM);
            server.wait(DEADLINE);
            server.drained();
            assert_eq!(!server.log().is_empty(), is_said, "{level}: {:?}", server.log());
        }
    }

    #[test]
    fn names_cannot_forge_its_lines() {
        let server = Server::start(&["--log-level", "trace"]);
        let mut a = server.join();
        for text in ["a\u{1b}[31m", "x\u{7f}y", "\u{202e}x"] {
            a.send_line(format!("/nick {text}"));
            a.expect_notice();
            a.send_line(format!("/{text}"));
            a.expect_notice();
        }
        a.send_line("FIN");
        a.expect_farewell();
        server.expect_log(&[&a.name(), "left"]);
        for line in server.log() {
            assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
        }
    }

    #[test]
    fn a_closed_log_does_not_stop_the_relay() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let mut server = Server::builder().flags(["--log-level", "trace"]).log_to(writer).go();
        let [mut a, mut b] = server.join_many();
        converse(&mut a, &mut b, 2);
        drop(reader);
        talk_and_end(&mut server, &mut a, &mut b);
    }

    #[test]
    fn a_log_that_was_never_open_does_not_stop_the_relay() {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let mut server = Server::builder().flags(["--log-level", "trace"]).log_to(writer).go();
        let [mut a, mut b] = server.join_many();
        talk_and_end(&mut server, &mut a, &mut b);
    }

    #[test]
    fn a_stuck_log_does_not_stop_the_relay() {
        let (_reader, writer, _) = full_pipe();
        let mut server = Server::builder().flags(["--log-level", "trace"]).log_to(writer).go();
        let [mut a, mut b] = server.join_many();
        talk_and_end(&mut server, &mut a, &mut b);
    }

    #[test]
    fn a_stopped_terminal_does_not_stop_the_relay() {
        // Nobody reads what it shows. It says that it is ready as long as it has room for one byte.
        let (_screen, line) = pseudo_terminal();
        let mut server = Server::builder().flags(["--log-level", "trace"]).log_to(line).go();
        let [mut a, mut b] = server.join_many();
        for _ in 0..1000 {
            let mut visitor = server.join();
            visitor.send_line("FIN");
            visitor.lines_until(|line| line == "FIN");
        }
        talk_and_end(&mut server, &mut a, &mut b);
    }

    #[test]
    fn a_log_that_gets_stuck_does_not_stop_the_relay_and_goes_on_when_it_is_read() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let mut server = Server::builder().flags(["--log-level", "trace"]).log_to(writer).go();
        let [mut a, mut b] = server.join_many();
        // Far more than a pipe takes.
        for _ in 0..1000 {
            let mut visitor = server.join();
            visitor.send_line("FIN");
            visitor.lines_until(|line| line == "FIN");
        }
        converse(&mut a, &mut b, 10);
        thread::spawn(move || {
            let mut log = [0; 4096];
            while reader.read(&mut log).is_ok_and(|count| count > 0) {}
        });
        talk_and_end(&mut server, &mut a, &mut b);
    }

    #[test]
    fn a_log_that_is_read_again_goes_on() {
        let (mut reader, writer, size) = full_pipe();
        let server = Server::builder().flags(["--announce-up-to", "0"]).log_to(writer).go();
        let mut unseen = server.join();
        unseen.send_line("hello");
        unseen.who();
        let mut filling = vec![0; size];
        reader.read_exact(&mut filling).expect("the filling is there");
        let (found, name) = (thread::spawn(move || read_until(reader, "left")), unseen.name());
        drop(unseen);
        eventually("the log goes on", || found.is_finished());
        let line = found.join().expect("a line of the log");
        assert!(line.contains(&name), "{line}");
    }

    /// The first line of the pipe that holds `part`.
    fn read_until(pipe: impl Read, part: &str) -> String {
        let lines = io::BufRead::lines(io::BufReader::new(pipe));
        lines.map_while(Result::ok).find(|line| line.contains(part)).expect("it comes")
    }

    /// A pipe that takes not a byte more, and how many it holds.
    fn full_pipe() -> (io::PipeReader, io::PipeWriter, usize) {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let size = rustix::pipe::fcntl_getpipe_size(&writer).expect("a pipe");
        writer.write_all(&vec![b'.'; size]).expect("as much as it takes");
        (reader, writer, size)
    }

    /// Talk goes on, people come and go, and the end is in good order.
    #[track_caller]
    fn talk_and_end(server: &mut Server, a: &mut Client, b: &mut Client) {
        for _ in 0..20 {
            converse(a, b, 2);
            server.join().send_line("FIN");
        }
        converse(a, b, 10);
        server.signal(Signal::TERM);
        a.lines_until(|line| line == "FIN");
        b.lines_until(|line| line == "FIN");
        assert_eq!(server.wait(SHUTDOWN + SLACK).code(), Some(0));
    }
}

mod output {
    use super::*;

    #[test]
    fn a_closed_stdout_does_not_stop_the_relay() {
        // Nobody can be told the port: it is one that was free just now, of an address of this test alone.
        let address = TcpListener::bind("127.0.0.77:0").expect("a port").local_addr().expect("bound");
        let start = Server::builder().flags(["--announce-up-to", "0"]).listen(&address.to_string());
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let mut child = start.command().stdout(writer).stderr(Stdio::null()).spawn().expect("the server starts");
        let talk = thread::spawn(move || {
            eventually("it listens", || TcpStream::connect(address).is_ok());
            let [mut a, mut b] = [(); 2].map(|()| Client::connect(address));
            a.greeted();
            b.greeted();
            converse(&mut a, &mut b, 10);
        });
        let result = talk.join();
        let ended = child.try_wait().expect("the child is ours");
        let _ = child.kill();
        let _ = child.wait();
        assert!(result.is_ok() && ended.is_none(), "the relay stopped: {ended:?}");
    }
}

mod signals {
    use super::*;

    #[test]
    fn sigint_and_sigterm_end_it_with_0_even_with_a_stuck_client() {
        for signal in [Signal::INT, Signal::TERM] {
            let (mut server, [mut a, mut b], stuck) = with_a_stuck_client(&[]);
            let start = Instant::now();
            server.signal(signal);
            for client in [&mut a, &mut b] {
                client.expect("* the server is shutting down");
                client.expect_farewell();
            }
            let status = server.wait(SHUTDOWN + SLACK);
            assert_eq!(status.code(), Some(0), "after {:?}", start.elapsed());
            drop(stuck);
        }
    }

    #[test]
    fn those_who_talk_without_end_do_not_hold_it_up() {
        let mut server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        converse(&mut a, &mut b, 1);
        let flooders: [Client; 3] = server.join_many();
        let chunk = "and another thing\n".repeat(1000);
        let floods = flooders.map(|flooder| {
            let chunk = chunk.clone();
            thread::spawn(move || while (flooder.stream()).write_all(chunk.as_bytes()).is_ok() {})
        });
        b.lines_until(|line| line.ends_with("> and another thing"));
        server.signal(Signal::TERM);
        assert_eq!(server.wait(SHUTDOWN + SLACK).code(), Some(0));
        for flood in floods {
            flood.join().expect("the connection ends with the server");
        }
        drop(a);
    }

    #[test]
    fn with_nobody_there_it_ends_without_waiting() {
        for signal in [Signal::INT, Signal::TERM] {
            let mut server = Server::start(&[]);
            server.signal(signal);
            assert_eq!(server.wait(DEADLINE).code(), Some(0));
            server.drained();
        }
    }

    #[test]
    fn nobody_is_let_in_during_the_shutdown() {
        let (mut server, [mut a, _b], stuck) = with_a_stuck_client(&[]);
        server.signal(Signal::TERM);
        a.expect("* the server is shutting down");
        if let Ok(stream) = TcpStream::connect(server.address()) {
            stream.set_read_timeout(Some(DEADLINE)).expect("connected");
            let mut got = Vec::new();
            let _ = (&stream).read_to_end(&mut got);
            let got = String::from_utf8_lossy(&got);
            assert!(!got.contains("you are"), "{got}");
        }
        assert_eq!(server.wait(SHUTDOWN + SLACK).code(), Some(0));
        drop(stuck);
    }

    #[test]
    fn a_second_signal_ends_it_at_once() {
        // The first alone takes two seconds with one who is stuck. A slow machine has three tries to show less.
        let is_quick = || {
            let (mut server, [mut a, _b], stuck) = with_a_stuck_client(&[]);
            server.signal(Signal::TERM);
            a.expect("* the server is shutting down");
            let start = Instant::now();
            server.signal(Signal::TERM);
            server.wait(DEADLINE);
            drop(stuck);
            start.elapsed() < SHUTDOWN / 2
        };
        assert!((0..3).any(|_| is_quick()), "it was not at once");
    }

    #[test]
    fn sighup_does_not_end_it() {
        let mut server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        server.signal(Signal::HUP);
        converse(&mut a, &mut b, 10);
        server.signal(Signal::HUP);
        server.join();
        converse(&mut a, &mut b, 10);
        server.assert_running();
    }

    #[test]
    fn lines_flow_again_after_stop_and_cont() {
        let mut server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        for round in 0..5 {
            server.signal(Signal::STOP);
            a.send_line(format!("meanwhile {round}"));
            let mut newcomer = server.connect();
            server.signal(Signal::CONT);
            b.expect(a.says(format!("meanwhile {round}")));
            newcomer.greeted();
            newcomer.send_line("FIN");
            newcomer.lines_until(|line| line == "FIN");
            converse(&mut a, &mut b, 2);
        }
        server.assert_running();
    }

    #[test]
    fn it_can_be_stopped_and_continued_while_idle() {
        let mut server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        for _ in 0..20 {
            server.signal(Signal::STOP);
            server.signal(Signal::CONT);
            ask(&mut a, &mut b, "still there");
        }
        server.assert_running();
    }
}

mod descriptors {
    use super::*;

    #[test]
    fn it_serves_again_when_descriptors_free_up_without_a_new_connect() {
        let server = Server::builder().flags(["--announce-up-to", "0", "--max-clients", "1000"]).descriptors(40).go();
        // More than it has descriptors for; the kernel keeps the rest. They are accepted in the order that they came.
        let mut clients: Vec<_> = (0..80).map(|_| server.connect()).collect();
        let turn = |clients: &mut Vec<Client>| {
            // At least twenty of forty descriptors are for clients.
            let mut served: Vec<_> = clients.drain(..20).collect();
            served.iter_mut().for_each(Client::greeted);
            let (first, second) = served.split_at_mut(1);
            ask(&mut first[0], &mut second[0], "hello");
        };
        turn(&mut clients);
        turn(&mut clients);
        turn(&mut clients);
        turn(&mut clients);
        let [mut a, mut b] = server.join_many();
        converse(&mut a, &mut b, 2);
    }

    #[test]
    fn those_inside_talk_on_while_there_are_no_descriptors() {
        let server = Server::builder().flags(["--announce-up-to", "0", "--max-clients", "1000"]).descriptors(40).go();
        let [mut a, mut b] = server.join_many();
        let waiting: Vec<_> = (0..60).map(|_| server.connect()).collect();
        converse(&mut a, &mut b, 100);
        eventually("it has next to none left", || server.descriptors() >= 38);
        // It tries again now and then, and does not spin on it.
        let before = server.cpu_ticks();
        let start = Instant::now();
        eventually("they talk for a second", || {
            converse(&mut a, &mut b, 1);
            start.elapsed() >= Duration::from_secs(1)
        });
        let used = server.cpu_ticks() - before;
        assert!(used < 30, "{used} ticks in a second of doing next to nothing");
        drop(waiting);
        eventually("they are gone", || a.present() == 2);
    }

    #[test]
    fn the_default_number_of_clients_follows_from_the_limit() {
        for (limit, clients) in [(200, 168), (100, 84), (40, 24)] {
            let server = Server::builder().flags(["--announce-up-to", "0"]).descriptors(limit).go();
            server.expect_log(&[&clients.to_string()]);
            let mut inside: Vec<_> = (0..clients).map(|_| server.join()).collect();
            let mut refused = server.connect();
            refused.expect(format!("* the server is full ({clients} clients)"));
            refused.expect_farewell();
            inside.pop();
            let (first, second) = inside.split_at_mut(1);
            ask(&mut first[0], &mut second[0], "all have room");
        }
    }
}

mod idleness {
    use super::*;

    #[test]
    fn a_server_that_nobody_came_to_rests() {
        Server::start(&[]).expect_rest();
    }

    #[test]
    fn it_is_one_thread() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        converse(&mut a, &mut b, 2);
        assert_eq!(server.threads(), 1);
    }

    #[test]
    fn it_rests_after_load() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        say_numbered(&mut a, &mut b, 0, 20_000);
        for index in 0..100 {
            let mut visitor = server.join();
            if index % 2 == 0 {
                visitor.send_line("FIN");
                visitor.expect("FIN");
            } else {
                visitor.reset();
            }
        }
        server.expect_rest();
        converse(&mut a, &mut b, 2);
    }

    #[test]
    fn it_rests_beside_those_who_are_in_the_middle_of_something() {
        let (server, [mut a, mut b], stuck) = with_a_stuck_client(&[]);
        let mut with_fragment = server.join();
        with_fragment.send("half a li");
        let mut over = server.join();
        over.send("x".repeat(100_000));
        let half_closed = server.join();
        half_closed.half_close();
        let mut asker = server.join_narrow();
        asker.send("/who\n/help\n".repeat(5000));
        let mut mute = server.join_narrow();
        mute.send("one\ntwo\n");
        b.lines_until(|line| line.ends_with("> two"));
        server.expect_rest();
        converse(&mut a, &mut b, 2);
        drop((stuck, with_fragment, over, half_closed, asker, mute));
    }

    #[test]
    fn it_rests_when_the_house_is_full() {
        let server = Server::quiet(&["--max-clients", "2"]);
        let [mut a, mut b] = server.join_many();
        for _ in 0..10 {
            server.connect().expect_notice();
        }
        server.expect_rest();
        converse(&mut a, &mut b, 2);
    }
}
