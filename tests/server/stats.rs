//! SIGUSR1: the figures are what happened.

use std::io::Write;
use std::net::TcpStream;

use pollchat::relay::stamp::STAMP_BYTES_MAX;
use rustix::process::Signal;

use crate::support::{Client, Lines, Member, Server, eventually, missed};

/// The figures that the server logs when it is asked now.
fn ask(server: &Server) -> String {
    let before = reports(server).len();
    server.signal(Signal::USR1);
    eventually("the figures are logged", || reports(server).len() > before);
    reports(server).pop().unwrap()
}

fn reports(server: &Server) -> Vec<String> {
    server.log().into_iter().filter(|line| line.contains("figures: ")).collect()
}

/// The number behind `label`.
fn figure(report: &str, label: &str) -> u64 {
    let (_, rest) = report.split_once(&format!("{label} ")).unwrap_or_else(|| panic!("{label} in {report}"));
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

#[test]
fn a_new_server_has_done_nothing() {
    let server = Server::builder().flags(["--backlog", "1M"]).go();
    let report = ask(&server);
    for label in ["clients", "most", "came", "connections", "lines", "bytes received", "said", "sent", "lags", "missed"]
    {
        assert_eq!(figure(&report, label), 0, "{label}");
    }
    for label in [
        "full",
        "denied",
        "crowded",
        "HTTP",
        "TLS",
        "STUN",
        "other protocol",
        "silent",
        "slow",
        "removed",
        "tape",
        "slowest behind",
    ] {
        assert_eq!(figure(&report, label), 0, "{label}");
    }
    assert_eq!(figure(&report, "of"), 1024 * 1024);
}

#[test]
fn what_was_said_and_who_came_is_counted() {
    let server = Server::builder().flags(["--announce-up-to", "0"]).go();
    let [mut ana, mut bob, eve] = server.join_many();
    drop(eve);
    eventually("one has left", || ana.present() == 2);
    let before = ask(&server);
    ana.send_line("hello");
    bob.expect(ana.says("hello"));
    bob.send_line("12345");
    ana.expect(bob.says("12345"));
    let report = ask(&server);
    let both = "client-1> hello\nclient-2> 12345\n".len() as u64;
    let grown = |label| figure(&report, label) - figure(&before, label);
    assert_eq!((figure(&report, "clients"), figure(&report, "most"), figure(&report, "came")), (2, 3, 3), "{report}");
    assert_eq!((grown("lines"), grown("bytes received"), grown("sent")), (2, 12, both), "{report}");
    // A stamp is put on the tape for each second in which something is said, and sent to nobody here.
    assert!((both..both + 3 * STAMP_BYTES_MAX as u64).contains(&grown("said")), "{report}");
    assert_eq!(figure(&report, "tape"), grown("said"), "{report}");
    assert!(figure(&report, "longest turn") > 0 && figure(&report, "recently") > 0, "{report}");
}

#[test]
fn what_was_missed_is_counted_as_it_was_told() {
    let server = Server::builder().flags(["--announce-up-to", "0", "--backlog", "64K"]).go();
    let (mut talker, mut hearer, mut stopped) = (server.join(), server.join(), server.join_narrow());
    let line = "x".repeat(1_000);
    for _ in 0..3_000 {
        talker.send_line(&line);
        hearer.expect(talker.says(&line));
    }
    talker.send_line("the last one");
    let last = talker.says("the last one");
    let told: usize = stopped.lines_until(|line| line == last).iter().filter_map(|line| missed(line)).sum();
    let report = ask(&server);
    assert!(told > 1_000);
    assert_eq!(figure(&report, "missed"), told as u64, "{report}");
    assert!(figure(&report, "lags") >= 1, "{report}");
}

#[test]
fn who_is_refused_or_let_go_is_counted_by_reason() {
    let server = Server::builder().flags(["--max-clients", "2", "--idle-timeout", "3", "--announce-up-to", "0"]).go();
    let mut silent = [server.join(), server.join()];
    let mut refused = server.connect();
    refused.expect("* the server is full (2 clients)");
    for silent in &mut silent {
        silent.expect("* you have said nothing for 3 seconds: goodbye");
        silent.expect_farewell();
    }
    drop((silent, refused));
    for hello in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01", b"\x00\x03\x00\x08\x21\x12\xa4\x42"] {
        eventually("there is a place", || {
            let mut stranger = TcpStream::connect(server.address()).unwrap();
            stranger.write_all(hello).unwrap();
            let answer = std::io::read_to_string(stranger).unwrap_or_default();
            answer.contains("goodbye")
        });
    }
    let report = ask(&server);
    let counts = ["HTTP", "TLS", "STUN", "silent", "slow", "removed"].map(|label| figure(&report, label));
    assert_eq!(counts, [1, 1, 1, 2, 0, 0], "{report}");
    assert!(figure(&report, "full") >= 1, "{report}");
}

#[test]
fn who_is_refused_at_the_door_is_counted_by_reason() {
    let server = Server::builder().flags(["--max-per-address", "1", "--announce-up-to", "0"]).go();
    let _ana = server.join();
    let mut crowded = server.connect();
    crowded.expect("* too many connections from your address (at most 1)");
    let report = ask(&server);
    assert_eq!((figure(&report, "crowded"), figure(&report, "denied")), (1, 0), "{report}");
    let server = Server::builder().flags(["--deny", "127.0.0.0/8"]).go();
    let mut denied = server.connect();
    denied.expect("* connections from your address are not allowed here");
    let report = ask(&server);
    assert_eq!((figure(&report, "crowded"), figure(&report, "denied")), (0, 1), "{report}");
}

#[test]
fn asking_does_no_harm_where_nothing_is_logged() {
    let server = Server::quiet(&[]);
    let [mut ana, mut bob]: [Client; 2] = server.join_many();
    for number in 0..50 {
        server.signal(Signal::USR1);
        ana.send_line(format!("{number}"));
        bob.expect(ana.says(number));
    }
}
