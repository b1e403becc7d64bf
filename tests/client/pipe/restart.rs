//! Pipes across a restart of a server with a journal: a new session reads on, and each line is said once.

use super::*;
use crate::support::Lines as _;
use crate::support::crashing_server::CrashingServer;
use crate::support::tracked_server::{Peer, TrackedServer};

/// A client that is `ana` behind its first unit.
fn tracked(args: &[&str]) -> (Client, TrackedServer, Peer) {
    let mut server = TrackedServer::start();
    let client = Client::start(client_of(server.address()).args(["--nick", "ana"]).args(args));
    let peer = server.accept_ana();
    (client, server, peer)
}

#[test]
fn a_restart_loses_and_doubles_nothing() {
    let (mut client, mut server, mut peer) = tracked(&["--reconnect"]);
    server.record(&mut peer, "eve> before");
    client.type_in("one\ntwo\n");
    assert_eq!([peer.line(), peer.line()], ["one", "two"]);
    // One is in the journal, and two was not taken.
    server.log.extend(["ana> one", "eve> meanwhile", "* the server is shutting down"].map(str::to_owned));
    peer.reset();
    server.restart("b2", "client-9");
    server.log.push("eve> anew".to_owned());
    let mut peer = server.accept();
    server.read_on(&mut peer, "e7f3.1", 0);
    client.type_in("three\n");
    server.rename(&mut peer);
    for line in ["two", "three"] {
        assert_eq!(server.take_said(&mut peer), line);
    }
    client.end_stdin();
    server.end(peer);
    let shown = "* you are ana, in lobby\neve> before\n\
                 * you are client-9, in lobby\neve> meanwhile\n* the server is shutting down\neve> anew\n\
                 * client-9 is now ana\nFIN\n";
    let exit = client.exits(0);
    assert_eq!(sorted(&exit.stdout), sorted(shown), "the answer may overtake records");
    assert!(exit.stderr.ends_with("; trying again\npollchat-client: connected again\n"), "{}", exit.stderr);
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_line_that_is_not_in_the_journal_is_said_once_also_if_nobody_else_speaks() {
    let (mut client, mut server, mut peer) = tracked(&["--reconnect"]);
    client.type_in("one\n");
    assert_eq!(peer.line(), "one");
    server.log.push("eve> meanwhile".to_owned());
    peer.reset();
    server.restart("b2", "client-9");
    let mut peer = server.accept();
    server.read_on(&mut peer, "e7f3.0", 0);
    server.rename(&mut peer);
    // No record tells that the old log is over. The client asks.
    assert_eq!(server.take_said(&mut peer), "one");
    client.end_stdin();
    server.end(peer);
    client.exits(0);
}

#[test]
fn a_line_that_may_be_among_the_missed_ones_is_in_doubt_and_never_said_twice() {
    let (mut client, mut server, mut peer) = tracked(&["--reconnect"]);
    client.type_in("one\n");
    assert_eq!(peer.line(), "one");
    server.log.extend(["eve> a".to_owned(), "eve> b".to_owned()]);
    peer.reset();
    server.restart("b2", "client-9");
    server.log.push("eve> anew".to_owned());
    let mut peer = server.accept();
    server.read_on(&mut peer, "e7f3.0", 2);
    server.rename(&mut peer);
    client.type_in("two\n");
    assert_eq!(server.take_said(&mut peer), "two");
    client.end_stdin();
    server.end(peer);
    let exit = client.exits(1);
    assert!(exit.stderr.ends_with("was lost in between; 1 line may not have been said\n"), "{}", exit.stderr);
    assert!(exit.stdout.contains("* you missed 2 lines\neve> anew\n"), "{}", exit.stdout);
}

#[test]
fn nothing_is_said_while_another_has_the_name() {
    let (mut client, mut server, mut peer) = tracked(&["--reconnect"]);
    server.record(&mut peer, "eve> before");
    client.stdout().wait_for("before");
    client.type_in("one\n");
    assert_eq!(peer.line(), "one");
    peer.reset();
    server.restart("b2", "client-9");
    // This is another ana.
    server.log.extend(["* client-8 is now ana".to_owned(), "ana> one".to_owned()]);
    let mut peer = server.accept();
    server.read_on(&mut peer, "e7f3.1", 0);
    assert_eq!(server.take(&mut peer), "/nick ana");
    peer.say("** the name ana is taken\n");
    assert_eq!(server.take(&mut peer), "/nick ana", "the client asks again, and has said nothing");
    server.record(&mut peer, "* ana left");
    peer.say("** client-9 is now ana\n");
    server.name = "ana".to_owned();
    assert_eq!(server.take_said(&mut peer), "one");
    client.end_stdin();
    server.end(peer);
    client.exits(0);
}

#[test]
fn the_record_of_a_sent_line_behind_a_restart_ends_the_run() {
    let (client, mut server, mut peer) = tracked(&["--send", "hello"]);
    assert_eq!(peer.line(), "hello");
    server.log.push("ana> hello".to_owned());
    peer.reset();
    server.restart("b2", "client-9");
    let mut peer = server.accept();
    server.read_on(&mut peer, "e7f3.0", 0);
    server.rename(&mut peer);
    server.end(peer);
    client.ends(0, "", "");
}

#[test]
fn objects_go_on_behind_a_restart() {
    let (mut client, mut server, mut peer) = tracked(&["--json"]);
    client.type_in("one\n");
    assert_eq!(peer.line(), "one");
    server.log.push("ana> one".to_owned());
    peer.reset();
    server.restart("b2", "client-9");
    server.log.push("eve> anew".to_owned());
    let mut peer = server.accept();
    server.read_on(&mut peer, "e7f3.0", 0);
    server.rename(&mut peer);
    client.end_stdin();
    server.end(peer);
    let exit = client.exits(0);
    let objects: Vec<serde_json::Value> = exit.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<String> =
        objects.iter().map(|object| format!("{} {} {}", object["kind"], object["position"], object["name"])).collect();
    let expected = [
        r#""entered" null "ana""#,
        r#""entered" null "client-9""#,
        r#""said" "e7f3.0" "ana""#,
        r#""said" "b2.1" "eve""#,
        r#""private" null null"#,
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_server_that_is_killed_again_and_again_has_each_line_once() {
    let mut crashing = CrashingServer::start(&["--journal-sync", "0"]);
    let at = crashing.server.address();
    let mut ana = Client::start(client_of(at).args(["--reconnect", "--nick", "ana"]));
    let mut eve = Client::start(client_of(at).args(["--reconnect", "--listen"]));
    eve.stdout().wait_for("in lobby\n");
    let mut expected = Vec::new();
    for round in 0..4 {
        for number in 0..20 {
            ana.type_in(&format!("{round} {number}\n"));
            expected.push(format!("ana> {round} {number}"));
        }
        crashing.until_kept(expected.last().unwrap());
        eve.stdout().wait_for(&format!("{}\n", expected.last().unwrap()));
        // These are sent, and not read.
        crashing.freeze();
        for number in 20..23 {
            ana.type_in(&format!("{round} {number}\n"));
            expected.push(format!("ana> {round} {number}"));
        }
        ana.wait_until("it has taken the lines", Client::has_taken_typed);
        ana.wait_until_asleep();
        crashing.crash();
    }
    ana.type_in("the end\n");
    expected.push("ana> the end".to_owned());
    eve.stdout().wait_for("ana> the end\n");
    ana.end_stdin();
    ana.exits(0);
    crashing.until_kept("ana> the end");
    let said = |lines: &[String]| -> Vec<String> { lines.iter().filter(|line| line.contains("> ")).cloned().collect() };
    assert_eq!(said(&crashing.journal()), expected);
    eve.signal(Signal::KILL);
    eve.wait_for_exit();
    let heard = eve.stdout.take().unwrap().whole();
    let heard: Vec<String> = heard.lines().map(str::to_owned).collect();
    assert_eq!(said(&heard), expected);
    assert!(!heard.iter().any(|line| line.contains("missed") || line.contains("cannot resume")), "{heard:#?}");
}

#[test]
fn clients_of_a_server_that_is_restarted_again_and_again_notice_nothing_but_breaks() {
    let mut server = CrashingServer::start(&[]);
    let at = server.server.address();
    let mut clients = ["ana", "bob"]
        .map(|name| Client::start(client_of(at).args(["--reconnect", "--nick", name, "--room", "lobby"])));
    for client in &mut clients {
        client.stdout().wait_for("in lobby\n");
    }
    let mut expected = vec![Vec::new(), Vec::new()];
    let mut nc = None;
    for round in 0..5 {
        nc = Some(server.server.join());
        // They talk through the stop, the break and the start.
        for number in 0..60 {
            for (client, expected) in clients.iter_mut().zip(&mut expected) {
                let line = format!("{round} {number}");
                client.type_in(&format!("{line}\n"));
                expected.push(line);
            }
            if number == 30 {
                server.restart();
                let mut nc = nc.take().unwrap();
                let lines = nc.lines_until(|line| line == "FIN");
                assert_eq!(lines[lines.len() - 2], "* the server is shutting down");
                assert!(!lines.iter().any(|line| line.ends_with(" left")), "{lines:#?}");
            }
        }
        let [ana, bob] = &mut clients;
        ana.stdout().wait_for(&format!("bob> {round} 59\n"));
        bob.stdout().wait_for(&format!("ana> {round} 59\n"));
    }
    for (client, other) in clients.iter_mut().zip(["bob", "ana"]) {
        client.end_stdin();
        let _ = other;
    }
    drop(nc);
    let [ana, bob] = clients.map(|client| client.exits(0));
    for (exit, other, expected) in [(&ana, "bob", &expected[1]), (&bob, "ana", &expected[0])] {
        let said: Vec<&str> = exit.stdout.lines().filter_map(|line| line.strip_prefix(&format!("{other}> "))).collect();
        assert_eq!(said, *expected, "each line of {other} once, and in order");
        let is_news = |line: &&str| line.starts_with("* ") && !line.starts_with("* you are ") && !line.contains("kept");
        let news: Vec<&str> = exit.stdout.lines().filter(is_news).filter(|line| !line.contains("client-")).collect();
        assert!(news.iter().filter(|line| line.ends_with(" left")).count() <= 1, "{news:#?}");
        assert!(!exit.stdout.contains("missed") && !exit.stdout.contains("shutting down"), "{news:#?}");
        assert_eq!(exit.stderr.matches("; trying again\n").count(), 5, "{}", exit.stderr);
        assert_eq!(exit.stderr.matches("connected again\n").count(), 5, "{}", exit.stderr);
    }
    let kept: Vec<String> = server.journal();
    let said = |name: &str| -> Vec<String> {
        kept.iter().filter_map(|line| line.strip_prefix(&format!("{name}> "))).map(str::to_owned).collect()
    };
    assert_eq!((said("ana"), said("bob")), (expected[0].clone(), expected[1].clone()));
    let moves = |word: &str| kept.iter().filter(|line| line.starts_with("* ana") && line.ends_with(word)).count();
    assert_eq!((moves(" joined"), moves(" left")), (1, 1), "{kept:#?}");
}
