//! `--allow`, `--deny` and `--max-per-address` in a real server.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{Client, Lines, Member, Server, ask, converse, eventually};

const NOT_ALLOWED: &str = "* connections from your address are not allowed here";

fn from(server: &Server, ip: &str) -> Client {
    let ip: IpAddr = ip.parse().unwrap();
    let is_same_family = |address: &&SocketAddr| address.is_ipv4() == ip.is_ipv4();
    Client::connect_from(ip, *server.addresses().iter().find(is_same_family).expect("it listens there"))
}

#[track_caller]
fn joined_from(server: &Server, ip: &str) -> Client {
    let mut client = from(server, ip);
    client.greeted();
    client
}

#[track_caller]
fn expect_refusal(mut client: Client, notice: &str) {
    client.expect(notice);
    client.expect_farewell();
}

fn on_both(flags: &[&str]) -> Server {
    Server::builder().listen("127.0.0.1:0").listen("[::1]:0").flags(["--announce-up-to", "0"]).flags(flags).go()
}

#[test]
fn as_many_come_in_from_one_address_as_may_and_the_next_one_when_one_has_left() {
    const TOO_MANY: &str = "* too many connections from your address (at most 2)";
    let server = on_both(&["--max-per-address", "2", "--log-level", "debug"]);
    for ip in ["127.0.0.1", "127.0.0.2", "::1"] {
        let (mut a, mut b) = (joined_from(&server, ip), joined_from(&server, ip));
        expect_refusal(from(&server, ip), TOO_MANY);
        expect_refusal(from(&server, ip), TOO_MANY);
        server.expect_log(&[
            &format!("refused {}", SocketAddr::new(ip.parse().unwrap(), 0)).replace(":0", ":"),
            "2 connections are open",
        ]);
        converse(&mut a, &mut b, 2);
        a.send_line("FIN");
        a.expect_farewell();
        drop(a);
        let mut next = None;
        eventually("there is a place for the next one", || {
            let mut client = from(&server, ip);
            let line = client.line();
            if line == TOO_MANY {
                return false;
            }
            next = Some((client, line));
            true
        });
        let (mut next, line) = next.expect("eventually got it");
        assert!(line.starts_with("* you are client-"), "{line:?}");
        next.send_line("here again");
        assert!(b.line().ends_with("> here again"));
        expect_refusal(from(&server, ip), TOO_MANY);
    }
}

#[test]
fn who_is_denied_stays_out_and_who_is_allowed_comes_in() {
    let server = on_both(&["--deny", "127.0.0.2,127.1.0.0/16", "--deny", "::1", "--log-level", "debug"]);
    let (mut a, mut b) = (joined_from(&server, "127.0.0.1"), joined_from(&server, "127.0.0.3"));
    for ip in ["127.0.0.2", "127.1.2.3", "::1"] {
        expect_refusal(from(&server, ip), NOT_ALLOWED);
    }
    server.expect_log(&["refused 127.1.2.3:", "not allowed"]);
    converse(&mut a, &mut b, 2);
    let server = Server::builder()
        .listen("127.0.0.1:0")
        .listen("[::1]:0")
        .env("POLLCHAT_ALLOW", "127.0.0.0/28,::1")
        .env("POLLCHAT_DENY", "127.0.0.8/29")
        .go();
    for ip in ["127.0.0.1", "127.0.0.7", "::1"] {
        joined_from(&server, ip);
    }
    for ip in ["127.0.0.8", "127.0.0.15", "127.0.0.16", "127.0.1.1"] {
        expect_refusal(from(&server, ip), NOT_ALLOWED);
    }
}

#[test]
fn what_is_no_prefix_is_a_usage_error_that_names_it() {
    for flag in ["--allow", "--deny"] {
        for value in ["10.0.0.0/33", "::/129", "example.org", "10.0/8", ""] {
            let flags = ["--listen", "127.0.0.1:0", flag, value];
            let output = Server::builder().flags(flags).command().output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{flag} {value:?}");
            let error = String::from_utf8(output.stderr).unwrap();
            assert!(error.contains(&format!("'{value}'")) && error.contains(flag), "{error}");
            assert!(output.stdout.is_empty());
        }
    }
    for value in ["-1", "many", "1.5"] {
        let flag = format!("--max-per-address={value}");
        let output = Server::builder().flags([&flag]).command().output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flag}");
        assert!(String::from_utf8(output.stderr).unwrap().contains(value));
    }
}

#[test]
fn a_storm_of_the_denied_costs_the_others_nothing_and_few_descriptors() {
    const CONNECTS: usize = 2_000;
    crate::support::raise_descriptor_limit();
    // So few that those of the storm would not fit in, by far.
    let server = Server::builder().descriptors(64).flags(["--deny", "127.0.0.2", "--announce-up-to", "0"]).go();
    let [mut a, mut b] = server.join_many();
    let descriptors = server.descriptors();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let storm = scope.spawn(|| {
            let denied: Vec<Client> = (0..CONNECTS)
                .map(|index| {
                    let client = from(&server, "127.0.0.2");
                    if index % 3 == 0 {
                        // Some are gone by then.
                        let _ = client.stream().write_all(&b"let me in\n".repeat(100));
                    }
                    client
                })
                .collect();
            is_over.store(true, Ordering::Relaxed);
            denied
        });
        let mut rounds = 0;
        while rounds < 20 || !is_over.load(Ordering::Relaxed) {
            ask(&mut a, &mut b, &format!("ping {rounds}"));
            ask(&mut b, &mut a, &format!("pong {rounds}"));
            // 4 who are being told, and 4 who made room for them in this very turn; one is in the accepting hand.
            assert!(server.descriptors() <= descriptors + 9, "{} descriptors", server.descriptors());
            rounds += 1;
        }
        let denied = storm.join().expect("the storm is over");
        // Who is allowed comes in while the denied still hold on to their ends.
        let mut c = server.join();
        converse(&mut a, &mut c, 2);
        drop(c);
        drop(denied);
    });
    eventually("their descriptors are free", || server.descriptors() == descriptors);
    assert!(server.log().iter().all(|line| !line.contains("cannot accept")), "it ran out of descriptors");
}
