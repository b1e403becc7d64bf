//! The connection: lost and made again, with what was being typed still there.

use std::io::Write;
use std::net::SocketAddr;

use rustix::process::Signal;

use super::server::{Relay, Talk, accept, client_of, hear_to_the_end, listen, reset, talk};
use super::window::Window;

const WELCOME: &[u8] = b"* you are client-2; /help lists what you can do\n";

/// Takes the client's next connection, where it asks for its name first.
fn take_back(talk: &mut Talk, welcome: &[u8]) {
    talk.server = accept(&talk.listener);
    talk.server.write_all(welcome).unwrap();
    talk.hears("/nick ana\n");
}

/// Loses the connection; the client has seen that.
fn lose(talk: &mut Talk) {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = std::net::TcpStream::connect(gone.local_addr().unwrap()).unwrap();
    reset(std::mem::replace(&mut talk.server, elsewhere));
    talk.window.wait_until("the loss in the prompt", |window| {
        window.rows().pop().unwrap_or_default().starts_with('(')
            || window.rows().iter().any(|row| row.starts_with("-- the connection was lost: Connection reset"))
    });
}

#[test]
fn a_restarted_server_finds_the_half_typed_sentence_still_there() {
    let relay = Relay::start("127.0.0.1:0", &[]);
    let address = relay.address;
    let mut window = Window::open(24, 100, &client_of(address, &["--nick", "ana"]));
    window.shows(&["* you are ana, in lobby; /help lists what you can do", "ana>"]);
    window.press("half a sen");
    window.shows(&["ana> half a sen"]);
    relay.stop();
    window.wait_until("the prompt to say so", |window| {
        let row = window.rows().pop().unwrap();
        row.starts_with("(no connection, again in ") && row.ends_with(" s) half a sen")
    });
    assert!(window.rows().contains(&"* the server is shutting down".to_owned()));
    window.press("ten");
    let relay = Relay::start(&address.to_string(), &[]);
    window.wait_until("the name again", |window| window.rows().pop().unwrap() == "ana> half a senten");
    window.shows(&[
        "-- connected again",
        "* cannot resume: earlier lines follow",
        "* you are client-1, in lobby",
        "* client-1 is now ana",
        "ana> half a senten",
    ]);
    window.press("ce\r/who\r");
    // The room's order is that of what the room is told.
    window.wait_until("the answer", |window| window.rows().iter().any(|row| row == "* 1 here"));
    let rows = window.rows();
    for row in ["ana> half a sentence", "ana> /who", "* here: ana, 1 line, 0 min", "* 1 here"] {
        assert_eq!(rows.iter().filter(|seen| *seen == row).count(), 1, "{row}");
    }
    relay.stop();
}

#[test]
fn a_lost_connection_is_made_again_and_what_was_typed_meanwhile_is_sent_once() {
    let mut talk = talk(24, 100, &[]);
    talk.types("before");
    lose(&mut talk);
    talk.window.press("while away\rand more\rhalf");
    take_back(&mut talk, WELCOME);
    talk.hears("while away\nand more\n");
    talk.say("* client-2 is now ana\n");
    talk.window.shows(&["ana> half"]);
    let shown = |row: &str| talk.window.rows().iter().filter(|seen| *seen == row).count();
    assert_eq!(shown("client-2> while away"), 1);
    assert_eq!(shown("client-2> and more"), 1);
    assert_eq!(talk.window.rows().iter().filter(|row| row.starts_with("-- connected again; ")).count(), 1);
}

#[test]
fn a_line_that_the_server_did_not_take_whole_is_sent_again() {
    let mut talk = talk(24, 100, &[]);
    // More than the kernel and the outbox take: the last of it is left when the connection is lost.
    let line = "x".repeat(4000);
    let mut typed = 0;
    loop {
        talk.window.press_in_pieces(&format!("\x1b[200~{typed:06} {line}\x1b[201~\r"));
        typed += 1;
        talk.window
            .wait_until("the line is taken", |window| window.rows().pop().is_some_and(|row| row.ends_with("ana>")));
        if talk.window.rows().pop().unwrap().contains(" wait") {
            break;
        }
        assert!(typed < 10_000, "the kernel takes all of it");
    }
    lose(&mut talk);
    let told = |row: &String| row.starts_with("-- the last ") && row.ends_with("not taken and will be sent again");
    talk.window.wait_until("what was not taken", |window| window.rows().iter().any(told));
    take_back(&mut talk, WELCOME);
    // From some line on all come again, whole, and the last one is the last.
    let mut number = [0; 6];
    std::io::Read::read_exact(&mut talk.server, &mut number).unwrap();
    let first: usize = std::str::from_utf8(&number).unwrap().parse().unwrap();
    assert!(first < typed - 1, "only the line that waited comes");
    talk.hears(&format!(" {line}\n"));
    for number in first + 1..typed {
        talk.hears(&format!("{number:06} {line}\n"));
    }
}

#[test]
fn a_name_that_is_still_taken_is_asked_for_until_it_is_free() {
    let mut talk = talk(24, 100, &[]);
    lose(&mut talk);
    take_back(&mut talk, b"* you are client-2; /help lists what you can do\n* the name ana is taken\n");
    talk.window.shows(&["* the name ana is taken", "-- asking for it again until it is free", "client-2>"]);
    talk.hears("/nick ana\n");
    talk.say("* the name ana is taken\nben> hello\n");
    talk.window.shows(&["-- asking for it again until it is free", "ben> hello", "client-2>"]);
    talk.hears("/nick ana\n");
    talk.say("* client-2 is now ana\n");
    talk.window.shows(&["ben> hello", "* client-2 is now ana", "ana>"]);
    // Who asks for another name by hand is not given the old one.
    talk.types("/nick eve");
    talk.say("* ana is now eve\n");
    talk.window.shows(&["* ana is now eve", "eve>"]);
    lose(&mut talk);
    talk.server = accept(&talk.listener);
    talk.hears("/nick eve\n");
}

#[test]
fn a_server_that_is_full_when_one_comes_back_is_tried_again_and_gets_nothing() {
    let mut talk = talk(24, 100, &[]);
    lose(&mut talk);
    talk.window.press("precious\r");
    talk.server = accept(&talk.listener);
    talk.say("* the server is full (3 clients)\nFIN\n");
    assert_eq!(hear_to_the_end(&mut talk.server), "/nick ana\n");
    take_back(&mut talk, WELCOME);
    talk.hears("precious\n");
}

#[test]
fn a_server_that_is_full_at_first_ends_it() {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut window = Window::open(10, 60, &client_of(listener.local_addr().unwrap(), &[]));
    let mut server = accept(&listener);
    server.write_all(b"* the server is full (3 clients)\nFIN\n").unwrap();
    assert_eq!(window.ends().code(), Some(0));
    assert_eq!(window.rows(), ["* the server is full (3 clients)", "FIN"]);
}

#[test]
fn ctrl_c_ends_the_trying_again_and_what_was_not_sent_is_shown() {
    let mut talk = talk(24, 100, &[]);
    lose(&mut talk);
    drop(talk.listener);
    talk.window.press("one\rhalf");
    talk.window.wait_until("the typed", |window| {
        let row = window.rows().pop().unwrap();
        row.starts_with("(1 line waits; no connection, again in ") && row.ends_with("half")
    });
    talk.window.press("\x01");
    talk.window.signal(Signal::INT);
    assert_eq!(talk.window.ends().code(), Some(1));
    let rows = talk.window.rows();
    let [.., one, half, why] = &rows[..] else { panic!("{rows:#?}") };
    assert_eq!([one, half], ["-- not sent: one", "-- not sent: half"]);
    assert!(why.starts_with("pollchat-client: ") && why.contains("127.0.0.1"), "{why}");
}

#[test]
fn without_reconnect_a_lost_connection_is_the_end() {
    let mut talk = talk(24, 100, &["--no-reconnect"]);
    // It is not tracked: this is the first line.
    talk.types("hello");
    talk.window.press("half");
    talk.window.shows(&["ana> half"]);
    reset(talk.server);
    assert_eq!(talk.window.ends().code(), Some(1));
    let rows = talk.window.rows();
    assert_eq!(rows[rows.len() - 2], "-- not sent: half");
    assert!(rows[rows.len() - 1].ends_with(" was lost: Connection reset by peer (os error 104)"), "{rows:#?}");
}

#[test]
fn a_server_that_cannot_be_reached_is_told_with_the_terminal_as_it_was() {
    let nobody = listen(SocketAddr::from(([127, 0, 0, 1], 0))).local_addr().unwrap();
    let mut window = Window::open(10, 100, &client_of(nobody, &[]));
    assert_eq!(window.ends().code(), Some(1));
    let told = format!("pollchat-client: cannot connect to {nobody}: Connection refused (os error 111)");
    assert_eq!(window.rows(), [told]);
}
