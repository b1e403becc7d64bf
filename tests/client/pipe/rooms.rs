//! Rooms in a pipe: nothing is said outside the room that was asked for.

use super::*;
use crate::support::{Lines, Server};

const WELCOME: &str = "* you are client-1; /help lists what you can do\n";

fn client_in(server: &Server, room: &str) -> Command {
    client_of(format_args!("{}/{room}", server.address()))
}

/// Says `typed` to its end in a room. Returns what the client told on stderr.
#[track_caller]
fn say(server: &Server, room: &str, args: &[&str], typed: &str, code: i32) -> String {
    Client::start_with(client_in(server, room).args(args), typed).exits(code).stderr
}

/// A member of a room, from the first line on.
fn member(server: &Server, room: &str) -> crate::support::Client {
    let mut client = server.connect();
    client.send(format!("/join {room}\n"));
    client.lines_until(|line| line.starts_with("* you are in "));
    client
}

#[test]
fn everything_is_said_in_the_room_and_the_lobby_hears_nothing() {
    let server = Server::start(&[]);
    let mut lobby = server.join();
    let mut rust = member(&server, "rust");
    assert_eq!(say(&server, "Rust", &["--nick", "ana"], "a\nb\n", 0), "");
    assert_eq!(
        rust.lines_until(|line| line == "* ana left"),
        ["* ana joined", "ana> a", "ana> b", "* ana left"],
        "it is introduced by its name"
    );
    for args in [&["--room", "rust"][..], &["--text", "--room", "RUST"], &["--reconnect", "--room=rust"]] {
        let mut client = Client::start(client_of(server.address()).args(args));
        client.type_in("again\n");
        client.end_stdin();
        client.exits(0);
        rust.lines_until(|line| line.ends_with("> again"));
    }
    assert_eq!(say(&server, "rust", &[], "", 0), "");
    assert_eq!(say(&server, "lobby", &["--nick", "eve"], "hello\n", 0), "");
    let heard = lobby.lines_until(|line| line == "eve> hello");
    assert_eq!(heard, ["* eve joined", "eve> hello"], "nobody else was ever here");
}

#[test]
fn a_room_that_cannot_be_entered_is_told_and_nothing_is_said() {
    let full = Server::start(&["--rooms", "2", "--room", "tea"]);
    let mut lobby = full.join();
    let full_reason = "cannot join rust: there are 2 rooms already";
    for (args, typed, lines) in [
        (&[][..], "a\nb\n", "; 2 lines were not said"),
        (&["--nick", "ana"], "a\n/join tea\nb", "; 3 lines were not said"),
        (&["--reconnect", "--text"], "a\n", "; 1 line was not said"),
        (&[], "", ""),
    ] {
        let told = say(&full, "rust", args, typed, 1);
        assert_eq!(told, format!("pollchat-client: {full_reason}{lines}\n"), "{args:?}");
    }
    assert_eq!(
        say(&full, "1obby", &[], "a\n", 1),
        "pollchat-client: cannot join 1obby: 1obby looks like lobby; 1 line was not said\n"
    );
    // With stdin open, or not read, it does not wait for more.
    for args in [&[][..], &["--listen"], &["--listen", "--reconnect"]] {
        let exit = Client::start(client_in(&full, "rust").args(args)).exits(1);
        assert_eq!(exit.stderr, format!("pollchat-client: {full_reason}\n"), "{args:?}");
    }
    assert_eq!(say(&full, "tea", &[], "a\n", 0), "");
    say(&full, "lobby", &["--nick", "eve"], "hello\n", 0);
    let heard = lobby.lines_until(|line| line == "eve> hello");
    assert!(!heard.iter().any(|line| line.ends_with("> a") || line.ends_with("> b")), "{heard:?}");
    let alone = Server::start(&["--rooms", "0"]);
    let mut lobby = alone.join();
    assert_eq!(
        say(&alone, "rust", &["--nick", "ana"], "a\n", 1),
        "pollchat-client: cannot join rust: the server has no rooms; 1 line was not said\n"
    );
    say(&alone, "", &["--nick", "eve"], "hello\n", 0);
    let heard = lobby.lines_until(|line| line == "eve> hello");
    assert!(!heard.iter().any(|line| line.ends_with("> a")), "{heard:?}");
}

/// A client that was asked for the room, with two lines to say.
fn in_rust(args: &[&str]) -> (Client, TcpListener, TcpStream) {
    let listener = listen("127.0.0.1:0");
    let mut client = Client::start(client_of(format_args!("{}/rust", address(&listener))).args(args));
    client.type_in("a\nb\n");
    let mut server = accept(&listener);
    expect(&mut server, "/join rust\n");
    (client, listener, server)
}

#[test]
fn a_foreign_server_gets_none_of_the_lines() {
    let (mut client, _listener, mut server) = in_rust(&["--nick", "ana"]);
    client.end_stdin();
    server.write_all(b"hello, who are you?\n").unwrap();
    assert_eq!(read_to_end(&mut server), "/nick ana\n");
    drop(server);
    let told = "pollchat-client: cannot join rust: the server has no rooms; 2 lines were not said\n";
    client.ends(1, "hello, who are you?\n", told);
    let (client, _listener, mut server) = in_rust(&["--listen"]);
    server.write_all(b"hello, who are you?\n").unwrap();
    drop(server);
    let told = "pollchat-client: cannot join rust: the server did not answer\n";
    client.ends(1, "hello, who are you?\n", told);
}

#[test]
fn a_server_that_never_answers_gets_none_of_the_lines() {
    for greeting in ["", WELCOME] {
        let (mut client, _listener, mut server) = in_rust(&[]);
        client.end_stdin();
        server.write_all(greeting.as_bytes()).unwrap();
        assert_eq!(read_to_end(&mut server), "");
        server.write_all(b"FIN\n").unwrap();
        let told = "pollchat-client: cannot join rust: the server did not answer; 2 lines were not said\n";
        client.ends(1, &format!("{greeting}FIN\n"), told);
    }
}

#[test]
fn a_stop_longer_than_the_wait_for_the_room_loses_nothing() {
    let (mut client, _listener, mut server) = in_rust(&[]);
    client.end_stdin();
    client.wait_until_asleep();
    client.stop();
    let stopped_at = Instant::now();
    server.write_all(format!("{WELCOME}* you are in rust, alone\n").as_bytes()).unwrap();
    wait_until("the wait is over", || stopped_at.elapsed() > GRACE + Duration::from_millis(200));
    client.signal(Signal::CONT);
    assert_eq!(read_to_end(&mut server), "a\nb\n");
    server.write_all(b"FIN\n").unwrap();
    client.ends(0, &format!("{WELCOME}* you are in rust, alone\nFIN\n"), "");
}

#[test]
fn lines_wait_for_the_room_and_then_for_the_name() {
    let (mut client, _listener, mut server) = in_rust(&["--nick", "ana"]);
    client.end_stdin();
    expect(&mut server, "/nick ana\n");
    server.write_all(WELCOME.as_bytes()).unwrap();
    server.write_all(b"* you are in tea, alone\n* client-1 is now ana\n").unwrap();
    client.stdout().wait_for("is now ana\n");
    client.wait_until_asleep();
    assert!(!is_ready(&server, PollFlags::IN), "it is not in the room");
    server.write_all(b"* you are in RUST, with 2 others\n").unwrap();
    assert_eq!(read_to_end(&mut server), "a\nb\n");
    server.write_all(b"FIN\n").unwrap();
    client.exits(0);
}

#[test]
fn a_refusal_before_the_room_is_the_reason() {
    let server = Server::start(&["--deny", "127.0.0.1"]);
    let denied = "pollchat-client: connections from your address are not allowed here; 1 line was not said\n";
    assert_eq!(say(&server, "rust", &[], "a\n", 1), denied);
    let server = Server::start(&["--max-clients", "1"]);
    let _member = server.join();
    let full = "pollchat-client: the server is full (1 client); 1 line was not said\n";
    assert_eq!(say(&server, "rust", &["--nick", "ana"], "a\n", 1), full);
    let server = Server::start(&[]);
    let mut rust = member(&server, "rust");
    rust.send("/nick ana\n");
    rust.lines_until(|line| line == "* client-1 is now ana");
    let taken = "pollchat-client: the name ana is taken; 1 line was not said\n";
    assert_eq!(say(&server, "rust", &["--nick", "ana"], "a\n", 1), taken);
}

#[test]
fn a_join_on_stdin_moves_and_its_refusal_is_a_line_that_was_not_said() {
    let server = Server::start(&["--rooms", "2", "--room", "tea"]);
    let mut tea = member(&server, "tea");
    assert_eq!(say(&server, "lobby", &["--nick", "ana"], "a\n/join tea\nb\n", 0), "");
    assert_eq!(tea.lines_until(|line| line == "ana> b"), ["* ana joined", "ana> b"]);
    let refused = "pollchat-client: there are 2 rooms already; 1 line was not said\n";
    assert_eq!(say(&server, "tea", &["--nick", "eve"], "/join rust\nc\n", 1), refused);
    tea.lines_until(|line| line == "eve> c");
}

#[test]
fn every_connection_begins_in_the_room_where_the_last_one_was() {
    let (mut client, listener, mut server) = in_rust(&["--reconnect", "--nick", "ana"]);
    let enter = |server: &mut TcpStream, room: &str| {
        expect(server, "/nick ana\n");
        let text = format!("{WELCOME}* you are in {room}, alone\n* client-1 is now ana\n");
        server.write_all(text.as_bytes()).unwrap();
    };
    // The next connection, and its first line.
    let next = |server: TcpStream, first: &str| {
        reset(server);
        let mut server = accept(&listener);
        expect(&mut server, first);
        server
    };
    enter(&mut server, "rust");
    refuse_track(&mut server);
    expect(&mut server, "a\nb\n");
    client.type_in("/join tea\n");
    expect(&mut server, "/join tea\n");
    // It is not answered, but what follows it is for that room.
    let mut server = next(server, "/join tea\n");
    client.type_in("c\n");
    enter(&mut server, "tea");
    expect(&mut server, "c\n");
    client.type_in("/join full\n");
    expect(&mut server, "/join full\n");
    server.write_all(b"* there are 2 rooms already\n").unwrap();
    client.stdout().wait_for("2 rooms already\n");
    let mut server = next(server, "/join tea\n");
    enter(&mut server, "tea");
    client.type_in("/join lobby\n");
    expect(&mut server, "/join lobby\n");
    server.write_all(b"* you are in lobby, with 1 other\n").unwrap();
    client.stdout().wait_for("in lobby, with 1 other\n");
    let mut server = next(server, "/nick ana\n");
    server.write_all(format!("{WELCOME}* there are 2 rooms already\n").as_bytes()).unwrap();
    client.signal(Signal::KILL);
}

#[test]
fn a_room_that_is_gone_ends_the_reconnecting() {
    let (mut client, listener, mut server) = in_rust(&["--reconnect"]);
    server.write_all(format!("{WELCOME}* you are in rust, alone\n").as_bytes()).unwrap();
    refuse_track(&mut server);
    expect(&mut server, "a\nb\n");
    reset(server);
    let mut server = accept(&listener);
    client.type_in("c\n");
    expect(&mut server, "/join rust\n");
    server.write_all(format!("{WELCOME}* there are 2 rooms already\n").as_bytes()).unwrap();
    assert_eq!(read_to_end(&mut server), "", "it is not the room for these lines");
    server.write_all(b"FIN\n").unwrap();
    let told = client.exits(1).stderr;
    let told = told.lines().last().and_then(|line| line.strip_prefix("pollchat-client: cannot join rust: "));
    let unsaid = "1 line was not said, and the last of 2 lines before may not have been";
    assert_eq!(told, Some(format!("there are 2 rooms already; {unsaid}").as_str()));
}

#[test]
fn two_rooms_and_a_bad_room_are_usage_errors() {
    let form = "the name of a room is 1 to 24 letters, digits, _ or -";
    for (args, told) in [
        (&["host/a b"][..], format!("error: invalid value 'host/a b' for '[HOST[:PORT][/ROOM]]': {form}")),
        (&["host", "--room", "#rust"], format!("error: invalid value '#rust' for '--room <NAME>': {form}")),
        (&["host", "--room", ""], "error: invalid value".to_owned()),
        (
            &["host", "--room", "server"],
            "error: invalid value 'server' for '--room <NAME>': the name server".to_owned(),
        ),
        (
            &["host/rust", "--room", "tea"],
            "error: the room is given twice: rust in the address, and --room tea".to_owned(),
        ),
        (&["http://host/rust"], "error: invalid value 'http://host/rust'".to_owned()),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pollchat-client"));
        let exit = Client::start(piped(&mut command).args(args)).exits(2);
        assert!(exit.stderr.starts_with(&told), "{args:?}: {}", exit.stderr);
    }
    let server = Server::start(&[]);
    let mut rust = member(&server, "rust");
    say(&server, "rust", &["--room", "RUST"], "a\n", 0);
    rust.lines_until(|line| line.ends_with("> a"));
}
