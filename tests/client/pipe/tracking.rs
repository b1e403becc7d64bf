//! Pipes that track the server: sessions that outlive connections, `--json` and `--send`.

use super::*;
use crate::support::tracked_server::{Peer, TrackedServer};

/// A tracked client behind its first unit.
fn tracked(args: &[&str]) -> (Client, TrackedServer, Peer) {
    let mut server = TrackedServer::start();
    let client = Client::start(client_of(server.address()).args(args));
    let mut peer = server.accept();
    peer.greet();
    server.begin(&mut peer);
    (client, server, peer)
}

#[test]
fn a_pipe_is_tracked_and_shows_what_a_plain_one_shows() {
    let (mut client, mut server, mut peer) = tracked(&["--reconnect"]);
    client.type_in("hi\n/who\n");
    assert_eq!(server.take_said(&mut peer), "hi");
    assert_eq!(server.take(&mut peer), "/who");
    peer.say("** 2 here\n");
    server.record(&mut peer, "* client-1 joined");
    server.record(&mut peer, "ana> hello");
    client.end_stdin();
    server.end(peer);
    client.ends(0, "* you are client-1, in lobby\n* 2 here\nana> hello\nFIN\n", "");
}

#[test]
fn nothing_is_tracked_before_a_greeting() {
    let listener = listen("127.0.0.1:0");
    for greeting in ["", "welcome\n"] {
        let mut client = Client::start(client_of(address(&listener)).arg("--reconnect"));
        let mut server = accept(&listener);
        server.write_all(greeting.as_bytes()).unwrap();
        client.type_in("a\nb\n");
        client.end_stdin();
        assert_eq!(read_to_end(&mut server), "a\nb\n");
        server.write_all(b"FIN\n").unwrap();
        client.ends(0, &format!("{greeting}FIN\n"), "");
    }
}

#[test]
fn a_server_that_does_not_track_is_served_as_ever() {
    for answer in
        ["* there is no command /track; /help lists what you can do", "* nothing to track: only you hear your echo"]
    {
        let server = TrackedServer::start();
        let mut client = Client::start(client_of(server.address()).args(["--reconnect", "--room", "rust"]));
        let mut peer = server.accept();
        assert_eq!(peer.line(), "/join rust");
        peer.greet();
        peer.say("* you are in rust, alone\n");
        assert_eq!(peer.line(), "/track");
        peer.say(&format!("ana> early\n{answer}\n"));
        client.type_in("a\n");
        assert_eq!(peer.line(), "a");
        client.end_stdin();
        assert_eq!(peer.line(), "");
        peer.say("FIN\n");
        let shown = "* you are client-1; /help lists what you can do\n* you are in rust, alone\nana> early\nFIN\n";
        client.ends(0, shown, "");
    }
}

#[test]
fn a_lost_connection_loses_and_doubles_nothing() {
    let (mut client, mut server, mut peer) = tracked(&["--reconnect"]);
    client.type_in("one\ntwo\nthree\n");
    assert_eq!(server.take_said(&mut peer), "one");
    // Taken, but its record does not arrive.
    assert_eq!(server.take(&mut peer), "two");
    server.log.push("client-1> two".to_owned());
    server.log.push("ana> meanwhile".to_owned());
    peer.reset();
    let mut peer = server.accept();
    assert_eq!(server.resume(&mut peer), 1);
    client.type_in("four\n");
    for line in ["three", "four"] {
        assert_eq!(server.take_said(&mut peer), line);
    }
    client.end_stdin();
    server.end(peer);
    let exit = client.exits(0);
    assert_eq!(exit.stdout, "* you are client-1, in lobby\nana> meanwhile\nFIN\n");
    assert!(exit.stderr.ends_with("; trying again\npollchat-client: connected again\n"), "{}", exit.stderr);
}

#[test]
fn a_link_that_breaks_often_does_not_make_a_known_session_wait_longer() {
    let (mut client, mut server, mut peer) = tracked(&["--reconnect"]);
    let start = Instant::now();
    for round in 0..6 {
        client.type_in(&format!("{round}\n"));
        assert_eq!(server.take_said(&mut peer), round.to_string());
        peer.reset();
        peer = server.accept();
        server.resume(&mut peer);
    }
    // Six first pauses are 3 s at most. Pauses that double are 16 s at least, and the seat may be gone.
    assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
    client.end_stdin();
    server.end(peer);
    client.exits(0);
}

#[test]
fn a_unit_that_is_cut_at_any_byte_changes_nothing() {
    let (mut client, mut server, mut peer) = tracked(&["--reconnect", "--listen"]);
    server.record(&mut peer, "ana> one");
    client.stdout().wait_for("ana> one\n");
    peer.reset();
    server.log.extend(["ana> two".to_owned(), "ana> three".to_owned()]);
    let unit = |server: &TrackedServer, missed: usize| {
        let news = format!("{}** you missed {missed} line\n{}", server.session_line(), server.you_are());
        [news, server.stamp(1 + missed), server.records_from(1 + missed)].concat()
    };
    let whole = unit(&server, 1).len() - server.records_from(2).len();
    for cut in [1, whole / 3, whole / 2, whole - 1] {
        let mut peer = server.accept();
        assert_eq!(server.read_resume(&mut peer), 1, "cut at {cut}");
        peer.say(&unit(&server, 1)[..cut]);
        drop(peer);
    }
    let mut peer = server.accept();
    assert_eq!(server.read_resume(&mut peer), 1);
    peer.say(&unit(&server, 1));
    client.stdout().wait_for("ana> three\n");
    peer.say("FIN\n");
    let shown = "* you are client-1, in lobby\nana> one\n* you missed 1 line\nana> three\nFIN\n";
    assert_eq!(client.exits(0).stdout, shown);
}

#[test]
fn a_new_seat_is_asked_for_name_and_room_before_the_lines() {
    let mut server = TrackedServer::start();
    let mut client =
        Client::start(client_of(server.address()).args(["--reconnect", "--nick", "ana", "--room", "rust"]));
    let mut peer = server.accept();
    assert_eq!([peer.line(), peer.line()], ["/join rust", "/nick ana"]);
    peer.greet();
    peer.say("* you are in rust, alone\n* client-1 is now ana\n");
    (server.name, server.room) = ("ana".to_owned(), "rust".to_owned());
    server.begin(&mut peer);
    client.type_in("one\n");
    assert_eq!(peer.line(), "one");
    peer.reset();
    let mut peer = server.accept();
    server.read_resume(&mut peer);
    (server.name, server.room) = ("client-9".to_owned(), "lobby".to_owned());
    server.welcome(&mut peer, "** cannot resume: earlier lines follow\n");
    assert_eq!(server.take(&mut peer), "/join rust");
    assert_eq!(server.take(&mut peer), "/nick ana");
    (server.room, server.epoch) = ("rust".to_owned(), "b2".to_owned());
    let session = server.session_line();
    peer.say(&format!("{session}** you are in rust, alone\n** you are client-9, in rust\n{}", server.stamp(0)));
    server.name = "ana".to_owned();
    peer.say("** client-9 is now ana\n");
    assert_eq!(server.take_said(&mut peer), "one");
    client.end_stdin();
    server.end(peer);
    client.exits(0);
}

#[test]
fn lines_of_a_lost_session_are_in_doubt_and_never_said_twice() {
    let (mut client, mut server, mut peer) = tracked(&["--reconnect"]);
    client.type_in("one\n");
    assert_eq!(peer.line(), "one");
    peer.reset();
    let mut peer = server.accept();
    server.read_resume(&mut peer);
    (server.token, server.epoch) = ("another".to_owned(), "b2".to_owned());
    server.welcome(&mut peer, "** cannot resume: earlier lines follow\n");
    client.type_in("two\n");
    assert_eq!(server.take_said(&mut peer), "two");
    client.end_stdin();
    server.end(peer);
    let exit = client.exits(1);
    assert!(exit.stderr.ends_with("was lost in between; 1 line may not have been said\n"), "{}", exit.stderr);
}

#[test]
fn a_session_that_goes_on_elsewhere_is_left_to_the_other() {
    let (client, _server, mut peer) = tracked(&["--reconnect", "--listen"]);
    peer.say("** this session goes on elsewhere\n");
    drop(peer);
    let exit = client.exits(1);
    assert_eq!(exit.stderr, "pollchat-client: this session goes on elsewhere\n");
}

#[test]
fn json_has_an_object_for_each_line() {
    let (mut client, mut server, mut peer) = tracked(&["--json"]);
    client.type_in("hi\n");
    assert_eq!(server.take_said(&mut peer), "hi");
    server.record(&mut peer, "* ana joined");
    server.record(&mut peer, "ana> a \"quoted\" text");
    peer.say("** ana tells you: psst\n");
    client.end_stdin();
    server.end(peer);
    let exit = client.exits(0);
    let objects: Vec<serde_json::Value> = exit.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let fields = |object: &serde_json::Value| {
        let text = |key: &str| object[key].as_str().unwrap_or("-").to_owned();
        [text("kind"), text("room"), text("position"), text("name"), text("text")].join(" ")
    };
    let shown: Vec<String> = objects.iter().map(fields).collect();
    let expected = [
        "entered lobby - client-1 -",
        "said lobby e7f3.0 client-1 hi",
        "joined lobby e7f3.1 ana -",
        "said lobby e7f3.2 ana a \"quoted\" text",
        "private lobby - ana psst",
    ];
    assert_eq!(shown, expected);
    assert_eq!(objects[1]["time"], "2025-11-26T14:20:01.123Z");
    assert_eq!(objects[3]["time"], "2025-11-26T14:20:03.123Z");
}

#[test]
fn a_sent_line_is_said_as_it_is_and_its_record_ends_the_run() {
    for (text, wire) in [("hello", "hello"), ("/usr/bin", "/say /usr/bin"), ("exit", "/say exit"), ("-x", "-x")] {
        let (client, mut server, mut peer) = tracked(&["--send", text]);
        assert_eq!(server.take(&mut peer), wire);
        server.record(&mut peer, &format!("client-1> {text}"));
        server.end(peer);
        client.ends(0, "", "");
    }
}

#[test]
fn a_sent_line_survives_a_lost_connection() {
    let (client, mut server, mut peer) = tracked(&["--send", "hello"]);
    assert_eq!(peer.line(), "hello");
    peer.reset();
    let mut peer = server.accept();
    server.resume(&mut peer);
    assert_eq!(server.take_said(&mut peer), "hello");
    server.end(peer);
    client.ends(0, "", "");
}

#[test]
fn a_line_is_sent_to_a_server_that_does_not_track() {
    let server = TrackedServer::start();
    let client = Client::start(client_of(server.address()).args(["--send", "/x"]));
    let mut peer = server.accept();
    peer.greet();
    assert_eq!(peer.line(), "/track");
    peer.say("* there is no command /track; /help lists what you can do\n");
    assert_eq!([peer.line(), peer.line()], ["/say /x", ""]);
    peer.say("FIN\n");
    client.ends(0, "", "");
}

#[test]
fn a_sent_line_that_is_refused_is_told() {
    let long = "x".repeat(5_000);
    let (client, mut server, mut peer) = tracked(&["--send", &long]);
    assert_eq!(server.take(&mut peer), long);
    peer.say("** line too long (over 4096 bytes): not relayed\n");
    server.end(peer);
    let told = "pollchat-client: line too long (over 4096 bytes): not relayed; 1 line was not said\n";
    client.ends(1, "", told);
}

#[test]
fn a_sent_line_without_a_connection_is_told() {
    let (client, server, peer) = tracked(&["--send", "hello", "--no-reconnect"]);
    let at = server.address();
    peer.reset();
    let exit = client.exits(1);
    assert!(exit.stderr.starts_with(&format!("pollchat-client: the connection to {at} was lost")), "{}", exit.stderr);
}

#[test]
fn wrong_usage_of_send_and_json_is_told() {
    for args in [
        &["--send", ""][..],
        &["--send", "a\nb"],
        &["--send", "a\r"],
        &["--send"],
        &["--send", "a", "--listen"],
        &["--send", "a", "--text"],
        &["--send", "a", "--json"],
        &["--json", "--timestamps"],
    ] {
        let exit = Client::start(client_of("localhost").args(args)).exits(2);
        assert!(exit.stderr.starts_with("error: "), "{args:?}: {}", exit.stderr);
    }
}

#[test]
fn a_client_with_nothing_left_to_say_comes_back_to_say_goodbye() {
    let (mut client, mut server, mut peer) = tracked(&["--reconnect"]);
    client.type_in("one\n");
    assert_eq!(server.take_said(&mut peer), "one");
    client.stdout().wait_for("lobby\n");
    client.wait_until_asleep();
    peer.reset();
    client.stderr().wait_for("; trying again\n");
    client.end_stdin();
    let mut peer = server.accept();
    server.resume(&mut peer);
    server.end(peer);
    client.exits(0);
    // A server that does not come back has nothing of it to take.
    let (mut client, server, peer) = tracked(&["--reconnect"]);
    peer.reset();
    drop(server);
    client.stderr().wait_for("; trying again\n");
    client.end_stdin();
    client.exits(0);
}
