//! A terminal across a restart of a server with a journal: a short break.

use super::server::client_of;
use super::tracking::{count, shows};
use super::window::Window;
use crate::support::crashing_server::CrashingServer;
use crate::support::tracked_server::{Peer, TrackedServer};
use crate::support::{Lines as _, Member as _};

/// A client that is `ana` behind its first unit, and has sent these lines.
fn tracked(lines: &[&str]) -> (Window, TrackedServer, Peer) {
    let mut server = TrackedServer::start();
    let mut window = Window::open(40, 100, &client_of(server.address(), &["--nick", "ana"]));
    let mut peer = server.accept_ana();
    server.record(&mut peer, "eve> before");
    for line in lines {
        window.press(&format!("{line}\r"));
        assert_eq!(peer.line(), *line);
    }
    (window, server, peer)
}

#[test]
fn each_line_is_shown_and_said_once() {
    let (mut window, mut server, peer) = tracked(&["one", "two"]);
    server.log.extend(["ana> one".to_owned(), "eve> meanwhile".to_owned()]);
    peer.reset();
    window.wait_until("the loss", |window| window.rows().iter().any(|row| row.starts_with("-- the connection was")));
    window.press("three\r");
    server.restart("b2", "client-9");
    server.log.push("eve> anew".to_owned());
    let mut peer = server.accept();
    server.read_on(&mut peer, "e7f3.1", 0);
    server.rename(&mut peer);
    for line in ["two", "three"] {
        assert_eq!(server.take_said(&mut peer), line);
    }
    shows(&mut window, &["ana> two", "ana> three", "ana>"]);
    for row in [
        "eve> before",
        "ana> one",
        "eve> meanwhile",
        "eve> anew",
        "ana> two",
        "ana> three",
        "-- connected again",
        "* you are client-9, in lobby",
        "* client-9 is now ana",
    ] {
        assert_eq!(count(&mut window, row), 1, "{row}: {:#?}", window.scrollback());
    }
    assert!(!window.scrollback().iter().any(|row| row.contains("perhaps") || row.contains("missed")));
}

#[test]
fn a_line_that_may_be_among_the_missed_ones_is_told_and_recalled() {
    let (mut window, mut server, peer) = tracked(&["one"]);
    server.log.extend(["eve> a".to_owned(), "eve> b".to_owned()]);
    peer.reset();
    server.restart("b2", "client-9");
    server.log.push("eve> anew".to_owned());
    let mut peer = server.accept();
    server.read_on(&mut peer, "e7f3.1", 2);
    server.rename(&mut peer);
    shows(
        &mut window,
        &[
            "-- connected again",
            "* you are client-9, in lobby",
            "* you missed 2 lines",
            "-- perhaps not sent: one",
            "eve> anew",
            "* client-9 is now ana",
            "ana>",
        ],
    );
    window.press("two\r");
    assert_eq!(server.take_said(&mut peer), "two");
}

#[test]
fn a_server_that_is_killed_again_and_again_is_a_short_break() {
    let mut crashing = CrashingServer::start(&["--journal-sync", "0"]);
    let mut window = Window::open(60, 100, &client_of(crashing.server.address(), &["--nick", "ana"]));
    window.wait_until("the session", |window| window.rows().iter().any(|row| row.starts_with("* you are ana, in")));
    let mut expected = Vec::new();
    for round in 0..3 {
        let mut ben = crashing.server.join();
        ben.send_line(format!("hi {round}"));
        window.press(&format!("a{round}\r"));
        ben.lines_until(|line| line == format!("ana> a{round}"));
        crashing.until_kept(&format!("ana> a{round}"));
        // It is sent, and not read.
        crashing.freeze();
        window.press(&format!("b{round}\r"));
        window.wait_until("the line is under way", |window| {
            window.rows().last().is_some_and(|row| row.starts_with("(1 line under way)"))
        });
        crashing.crash();
        window.wait_until("the line is said", |window| window.rows().contains(&format!("ana> b{round}")));
        expected.extend([format!("ana> a{round}"), format!("ana> b{round}")]);
    }
    let said = |lines: &[String]| -> Vec<String> {
        lines.iter().filter(|line| line.starts_with("ana> ") && line.len() > 5).cloned().collect()
    };
    let rows = window.scrollback();
    assert_eq!(said(&rows), expected, "{rows:#?}");
    assert_eq!(rows.iter().filter(|row| row.contains("> hi ")).count(), 3, "{rows:#?}");
    assert_eq!(rows.iter().filter(|row| *row == "-- connected again").count(), 3, "{rows:#?}");
    assert!(!rows.iter().any(|row| row.contains("perhaps") || row.contains("missed") || row.contains("cannot")));
    crashing.until_kept("ana> b2");
    assert_eq!(said(&crashing.journal()), expected);
    window.press("\x04");
    assert_eq!(window.ends().code(), Some(0));
}

#[test]
fn a_restart_in_good_order_is_one_break_in_which_nobody_leaves() {
    let mut server = CrashingServer::start(&[]);
    let mut window = Window::open(60, 100, &client_of(server.server.address(), &["--nick", "ana"]));
    window.wait_until("the session", |window| window.rows().iter().any(|row| row.starts_with("* you are ana, in")));
    for round in 0..2 {
        let mut ben = server.server.join();
        ben.send_line(format!("hi {round}"));
        window.press(&format!("a{round}\r"));
        ben.lines_until(|line| line == format!("ana> a{round}"));
        drop(ben);
        // It is sent, and not read.
        server.freeze();
        window.press(&format!("b{round}\r"));
        window.wait_until("the line is under way", |window| {
            window.rows().last().is_some_and(|row| row.starts_with("(1 line under way)"))
        });
        server.restart();
        // The server may have taken the line before it knew of the signal.
        window.wait_until("the line is said, and the client is back", |window| {
            let rows = window.rows();
            let breaks = rows.iter().filter(|row| *row == "-- connected again").count();
            rows.contains(&format!("ana> b{round}")) && breaks == round + 1
        });
    }
    let rows = window.scrollback();
    let said: Vec<_> = rows.iter().filter(|row| row.starts_with("ana> ") && row.len() > 5).cloned().collect();
    assert_eq!(said, ["ana> a0", "ana> b0", "ana> a1", "ana> b1"], "{rows:#?}");
    let notes: Vec<_> = rows.iter().filter(|row| row.starts_with("-- ") && !row.contains("connected to")).collect();
    assert_eq!(notes.iter().filter(|row| **row == "-- connected again").count(), 2, "{rows:#?}");
    assert_eq!(notes.iter().filter(|row| row.contains("trying again")).count(), 2, "{rows:#?}");
    assert!(!rows.iter().any(|row| row.starts_with("* ana ")), "{rows:#?}");
    assert!(!rows.iter().any(|row| row.contains("shutting down") || row.contains("missed")), "{rows:#?}");
    window.press("\x04");
    assert_eq!(window.ends().code(), Some(0));
}
