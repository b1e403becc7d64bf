//! The log: its lines, and a stderr that is closed, stuck or stopped.

use std::collections::HashMap;

use super::*;
use crate::support::log::Entry;

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
fn a_program_finds_in_the_log_of_a_hostile_session_that_each_client_came_and_left_once() {
    let mut server = Server::start(&["--log-level", "debug", "--resume-within", "0", "--max-line", "200"]);
    let mut watcher = server.join();
    thread::scope(|scope| {
        for number in 0..4 {
            let server = &server;
            scope.spawn(move || (0..20).for_each(|round| visit(server, number, round)));
        }
    });
    eventually("all have left", || watcher.present() == 1);
    watcher.send_line("FIN");
    watcher.expect_farewell();
    drop(watcher);
    server.signal(Signal::TERM);
    server.wait(DEADLINE);
    server.drained();
    let entries: Vec<_> = server.log().iter().map(|line| Entry::parse(line)).collect();
    let mut present = HashMap::new();
    let (mut came, mut renamed) = (0, 0);
    // Each event has a line of its own at this level, besides the lines with the number of all further ones.
    for entry in entries.iter().filter(|entry| entry.field("more").is_none()) {
        let (name, address) = (entry.field("name").map(str::to_owned), entry.field("address").map(str::to_owned));
        match entry.event() {
            "came" => {
                came += 1;
                assert_eq!(present.insert(name, address), None, "twice: {entry:?}");
            }
            "renamed" => {
                renamed += 1;
                let was = entry.field("was").map(str::to_owned);
                assert_eq!(present.remove(&was), Some(address.clone()), "{entry:?}");
                assert_eq!(present.insert(name, address), None, "{entry:?}");
            }
            "left" | "removed" | "disconnected" => {
                let known = present.remove(&name).unwrap_or_else(|| panic!("it never came: {entry:?}"));
                // The kernel forgets the address of a reset connection.
                assert!(address.is_none() || address == known, "{entry:?} of {known:?}");
                assert!(entry.field("reason").is_some() && entry.field("room").is_some(), "{entry:?}");
            }
            _ => {}
        }
    }
    assert!(present.is_empty(), "they never left: {present:?}");
    assert!(came > 40 && renamed > 10, "{came} came, {renamed} were renamed");
    assert!(entries.iter().any(|entry| entry.event() == "told" && entry.field("to").is_some()));
    assert!(!server.log().iter().any(|line| line.contains("secret")), "what is for one client alone is not logged");
}

/// Comes, does something of this number, and goes.
fn visit(server: &Server, number: usize, round: usize) {
    let name = format!("n{number}-{round}");
    if round.is_multiple_of(8) {
        let mut stranger = TcpStream::connect(server.address()).expect("a connection");
        let _ = stranger.write_all(b"GET / HTTP/1.1\r\nUser-Agent: x event=left\r\n\r\n");
        let _ = io::read_to_string(stranger);
        return;
    }
    let mut client = server.join();
    match round % 8 {
        1 => client.send(format!("hello\n/nick {name}\n/nick {name}x\n/join r{number}\nhello\n")),
        2 => client.send(format!("x event=left name=client-1\n/nick {name} event=left\n/event=left name=x\n")),
        3 => client.send(format!("/nick {name}\n/msg {name} secret\n /msg {name} secret\n/mgs {name} secret\n")),
        4 => client.send("x\n".repeat(100) + &"y".repeat(300) + "\n\u{202e}\"event=left\n\x1b[2J\\\n"),
        5 => client.send(format!("/track\nhello\n/nick {name} pcn_secret\n/nick {name}x\n")),
        6 => client.send("/pass secret\n/search secret\nhello = world\n"),
        _ => return client.reset(),
    }
    match round % 3 {
        0 => client.send("FIN\n"),
        1 => client.half_close(),
        // Its input is not read to the end: that may be a reset.
        _ => return,
    }
    client.lines_until(|line| line == "FIN");
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
