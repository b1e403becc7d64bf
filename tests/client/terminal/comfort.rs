//! Conveniences of a terminal: times, a search through the sent lines, `/who` in columns, conversations with one
//! member, actions, and the log.

use std::fs;

use super::server::{Relay, client_of, talk};
use super::window::Window;
use crate::support::eventually;
use crate::support::folder::Folder;

/// Whether a row is this one behind a time of five characters.
fn is_timed(row: &str, line: &str) -> bool {
    row.split_once(' ').is_some_and(|(time, rest)| {
        rest == line && time.len() == 5 && time.bytes().filter(u8::is_ascii_digit).count() == 4 && time.contains(':')
    })
}

#[test]
fn lines_have_times_and_their_further_rows_begin_under_the_text() {
    let relay = Relay::start("127.0.0.1:0", &[]);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pollchat-client"));
    command.args([&relay.address.to_string(), "--nick", "ana"]);
    let mut window = Window::open(20, 40, &command);
    window.wait_until("the greeting", |window| {
        window.rows().iter().any(|row| is_timed(row, "* you are ana, in lobby; /help"))
    });
    window.press("one two three four five six seven eight\r");
    window.wait_until("the line", |window| window.rows().iter().any(|row| row.contains("ana> one two")));
    let rows = window.rows();
    let at = rows.iter().position(|row| is_timed(row, "ana> one two three four five six")).expect("the first row");
    assert_eq!(rows[at + 1], "           seven eight");
}

#[test]
fn ctrl_r_finds_what_was_sent() {
    let mut talk = talk(20, 60, &[]);
    for line in ["the first one", "deploy the 世界 page", "the last", "/nick ana pcn_secret"] {
        talk.types(line);
    }
    let was = "ana> /nick ana …";
    talk.window.press("draft\x12the");
    talk.window.shows(&[was, "(search: the) the last"]);
    talk.window.press("\x12");
    talk.window.shows(&[was, "(search: the) deploy the 世界 page"]);
    talk.window.press("\x12\x12");
    talk.window.shows(&[was, "(not found: the) the first one"]);
    talk.window.press("\x07");
    talk.window.shows(&[was, "ana> draft"]);
    talk.window.press("\x12pcn_");
    talk.window.shows(&[was, "(not found: pcn_) deploy the 世界 page"]);
    talk.window.press("\x7f\x7f\x7f\x7f世\x1b[D\x15");
    talk.window.shows(&[was, "ana> e"]);
    talk.window.press("\x15\x12FIRST\r");
    talk.hears("the first one\n");
    talk.window.shows(&["ana> the first one", "ana>"]);
}

#[test]
fn many_members_are_listed_in_columns_that_fit() {
    let mut talk = talk(24, 60, &[]);
    talk.types("/who");
    for number in 0..23 {
        let away = if number == 3 { ", away" } else { "" };
        talk.say(&format!("* here: {}{number}, 1 line, 2 min{away}\n", if number == 7 { "世界" } else { "member-" }));
    }
    talk.say("* 23 here\n");
    talk.window.shows(&[
        "member-0    member-5  member-10  member-15  member-20",
        "member-1    member-6  member-11  member-16  member-21",
        "member-2    世界7     member-12  member-17  member-22",
        "(member-3)  member-8  member-13  member-18",
        "member-4    member-9  member-14  member-19",
        "* 23 here",
        "ana>",
    ]);
    talk.types("/who b");
    talk.say("* here: ben, 1 line, 2 min\n* here: bob, 0 lines, 1 min, away\n* 2 of 23 here\n");
    talk.window.shows(&["* here: ben, 1 line, 2 min", "* here: bob, 0 lines, 1 min, away", "* 2 of 23 here", "ana>"]);
    // An answer that never ends is shown with what comes next.
    talk.say("* here: ben, 1 line, 2 min\nben> hi\n");
    talk.window.shows(&["* here: ben, 1 line, 2 min", "ben> hi", "ana>"]);
}

#[test]
fn a_conversation_with_one_member_tells_no_one_else_anything() {
    let mut talk = talk(30, 80, &[]);
    talk.window.press("/query Ben\r");
    let prompt = "ana to Ben alone>";
    talk.window.shows(&["-- all that you type goes to Ben alone now; /query ends it", prompt]);
    for (typed, sent) in
        [("hi", "/msg Ben hi"), ("exit", "/msg Ben exit"), ("/me waves", "/msg Ben *waves*"), ("/who", "/who")]
    {
        talk.window.press(&format!("{typed}\r"));
        talk.hears(&format!("{sent}\n"));
    }
    talk.say("* you told ben: hi\n* you told ben: exit\n* you told ben: *waves*\n* 1 here\n");
    let told = ["ana to Ben> hi", "ana to Ben> exit", "ana to Ben> *waves*", "ana> /who", "* 1 here", prompt];
    talk.window.shows(&told);
    talk.window.press("\x1b[200~fn main() {\n \n/quit\n\x1b[201~");
    talk.window.shows(&["| fn main() {", "|", "| /quit", "send these 3 lines to Ben alone? [y/n]"]);
    talk.window.press("y");
    talk.hears("/msg Ben fn main() {\n/msg Ben /quit\n");
    // The name was typed in another case.
    talk.say("* ben is now Bob\n");
    talk.window.shows(&["* ben is now Bob", "ana to Bob alone>"]);
    talk.window.resize(30, 30);
    talk.window.wait_until("a shorter prompt", |window| window.rows().last().is_some_and(|row| row == "to Bob alone>"));
    talk.window.resize(30, 80);
    talk.window.press("/query a b\r/query\r");
    talk.window.shows(&["-- no longer to Bob alone: all that you type goes to the room now", "ana>"]);
    talk.types("to all");
}

#[test]
fn a_foreign_server_is_told_nothing_that_was_meant_for_one() {
    let listener = super::server::listen(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut window = Window::open(20, 90, &client_of(listener.local_addr().unwrap(), &[]));
    window.press("/query ben\rtoo early\r");
    let mut server = super::server::accept(&listener);
    std::io::Write::write_all(&mut server, b"welcome to another server\n").unwrap();
    window.wait_until("the greeting", |window| window.rows().contains(&"welcome to another server".to_owned()));
    window.wait_until("the first note", |window| window.rows().contains(&"-- not sent: /msg ben too early".to_owned()));
    window.press("secret\r");
    let note = "-- not sent: this server knows no private messages; /query ends the conversation";
    window.wait_until("the note", |window| window.rows().contains(&note.to_owned()));
    window.press("\x15public\r/ignore x\r");
    super::server::hear(&mut server, "public\n/ignore x\n");
}

#[test]
fn what_a_member_does_is_in_italics_and_no_notice() {
    let mut talk = talk(20, 60, &[]);
    talk.say("ben> *waves to Ana*\nben> * ana joined *\n");
    talk.window.shows(&["ben waves to Ana", "ben> * ana joined *", "ana>"]);
    let row = talk.window.rows().iter().position(|row| row.starts_with("ben waves")).unwrap().try_into().unwrap();
    let cell = |column| talk.window.screen().cell(row, column).unwrap();
    assert!(cell(4).italic() && cell(13).inverse() && !cell(0).italic());
    talk.types("/me hugs all");
    talk.window.shows(&["ana hugs all", "ana>"]);
}

#[test]
fn help_shows_the_keys_and_the_commands_of_the_client() {
    let relay = Relay::start("127.0.0.1:0", &[]);
    let mut window = Window::open(40, 110, &client_of(relay.address, &["--nick", "ana"]));
    window.press("/help\r");
    window.wait_until("the answer", |window| window.rows().iter().any(|row| row.starts_with("* FIN, exit or /quit")));
    let rows = window.rows();
    assert!(rows.len() <= 24 + 2, "it fits a window of 24 rows: {rows:#?}");
    assert!(rows.iter().position(|row| row == "ana> /help") < rows.iter().position(|row| row.starts_with("-- ")));
    for begin in ["-- /query NAME", "-- /ignore NAME", "-- Tab completes", "* /me TEXT", "* /who NAME"] {
        assert!(rows.iter().any(|row| row.starts_with(begin)), "{begin}: {rows:#?}");
    }
}

#[test]
fn the_log_has_each_line_once_with_its_time_and_no_secret() {
    let folder = Folder::new("terminal-log");
    let file = folder.path("chat.log");
    fs::write(&file, "kept\n").unwrap();
    let server = crate::support::tracked_server::TrackedServer::start();
    let (mut window, mut server, mut peer) = super::tracking::begin(server, &["--log", &file]);
    server.record(&mut peer, "ben> *waves* 世界 \u{5d0}");
    window.press("hello\r");
    assert_eq!(server.take(&mut peer), "hello");
    server.record(&mut peer, "client-1> hello");
    for secret in ["/nick ana pcn_topsecret", "/pass topsecret", "/msg ben pcn_topsecret"] {
        window.press(&format!("{secret}\r"));
    }
    peer.say("** ben tells you: psst\n** here: ben, 1 line, 0 min\n** 1 here\n");
    server.record(&mut peer, "* ben left");
    let said = "2025-11-26 14:20:01Z ben> *waves* 世界 \u{5d0}\n2025-11-26 14:20:02Z client-1> hello\n";
    let left = "2025-11-26 14:20:03Z * ben left\n";
    let mut text = String::new();
    eventually("it is written", || {
        window.rows();
        window.wait_until("anything", |_| true);
        text = fs::read_to_string(&file).unwrap();
        text.ends_with(left)
    });
    assert!(text.starts_with("kept\n") && text.contains(said), "{text}");
    assert_eq!(text.matches("Z * ben tells you: psst\n").count(), 1, "{text}");
    for absent in ["secret", "here:", "1 here", "\x1b", "\x1f"] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }
}

#[test]
fn a_log_that_cannot_be_written_is_told_once_and_ends_nothing() {
    let folder = Folder::new("terminal-log-fails");
    let fifo = folder.path("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (file, why) in [
        ("/nowhere/at/all", "No such file or directory (os error 2)"),
        ("/dev/full", "No space left on device (os error 28)"),
        (fifo.as_str(), "No such device or address (os error 6)"),
        ("/", "Is a directory (os error 21)"),
    ] {
        let mut talk = talk(20, 100, &["--log", file]);
        talk.say("ben> one\n");
        talk.say("ben> two\n");
        talk.window.shows(&["ben> two", "ana>"]);
        let note = format!("-- --log {file}: {why}");
        talk.window.wait_until("the note", |window| window.rows().contains(&note));
        talk.types("still here");
        talk.window.shows(&["ana> still here", "ana>"]);
        assert_eq!(talk.window.rows().iter().filter(|row| **row == note).count(), 1);
    }
}
