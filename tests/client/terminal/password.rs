//! A terminal before a server that asks for a password or a token. What is secret stays on the screen no longer than it
//! is typed.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};

use super::server::{Talk, accept, client_of, hear, listen, refuse_to_track, reset, talk};
use super::window::Window;
use crate::support::tracked_server::TrackedServer;

const WELCOME: &str = "* you are client-2; /help lists what you can do\n";
const WANTED: &str = "* this server asks for a password: /pass WORD\n";
const WRONG: &str = "* that is not the password\n";
const ASKED: &str = "* this server asks for a password: /pass WORD";
const PROMPT: &str = "(this server asks for a password: /pass WORD)";

/// A client that was asked for the password.
fn asked(args: &[&str], first: &str) -> Talk {
    let listener: TcpListener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut window = Window::open(24, 100, &client_of(listener.local_addr().unwrap(), args));
    let mut server = accept(&listener);
    hear(&mut server, first);
    server.write_all(WANTED.as_bytes()).unwrap();
    window.shows(&[ASKED, PROMPT]);
    Talk { window, listener, server }
}

/// Whether nothing that the terminal shows has this text.
fn hides(window: &mut Window, text: &str) -> bool {
    !window.scrollback().iter().any(|row| row.contains(text)) && !window.rows().iter().any(|row| row.contains(text))
}

#[test]
fn a_typed_password_opens_the_door_and_is_given_again_after_a_reconnect() {
    let mut talk = asked(&["--nick", "ana"], "/nick ana\n");
    talk.window.press("hello\r");
    talk.window.shows(&[ASKED, "(1 line waits; /pass WORD)"]);
    talk.window.press("/pass mistake\r");
    talk.hears("/pass mistake\n/nick ana\n");
    talk.say(&[WRONG, WANTED].concat());
    talk.window.shows(&[ASKED, "> /pass …", "* that is not the password", "(1 line waits; /pass WORD)"]);
    talk.window.press("/pass open sesame\r");
    talk.hears("/pass open sesame\n/nick ana\n");
    talk.say(&[WELCOME, "* client-2 is now ana\n"].concat());
    refuse_to_track(&mut talk.server);
    talk.hears("hello\n");
    talk.window.shows(&["* client-2 is now ana", "ana> hello", "ana>"]);
    assert!(hides(&mut talk.window, "sesame") && hides(&mut talk.window, "mistake"));
    talk.window.press("\x1b[A\x1b[A\x1b[A");
    talk.window.shows(&["ana> hello", "ana> hello"]);
    talk.window.press("\x15");
    reset(talk.server);
    let mut server = accept(&talk.listener);
    hear(&mut server, "/nick ana\n");
    server.write_all(WANTED.as_bytes()).unwrap();
    hear(&mut server, "/pass open sesame\n/nick ana\n");
    server.write_all([WELCOME, "* client-2 is now ana\n"].concat().as_bytes()).unwrap();
    talk.window.press("again\r");
    hear(&mut server, "again\n");
    talk.window.shows(&["* client-2 is now ana", "ana> again", "ana>"]);
}

#[test]
fn a_password_of_the_command_line_is_given_without_a_word_and_a_wrong_one_is_asked_for() {
    for is_right in [true, false] {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut command = client_of(listener.local_addr().unwrap(), &["--room", "rust"]);
        let mut window = Window::open(24, 100, command.env("POLLCHAT_PASSWORD", "sesame"));
        let mut server = accept(&listener);
        window.wait_until_raw();
        window.press("hello\r");
        hear(&mut server, "/join rust\n");
        server.write_all(WANTED.as_bytes()).unwrap();
        hear(&mut server, "/pass sesame\n/join rust\n");
        if !is_right {
            server.write_all(WRONG.as_bytes()).unwrap();
            window.shows(&["* that is not the password", "(1 line waits; /pass WORD)"]);
            window.press("/pass other\r");
            hear(&mut server, "/pass other\n/join rust\n");
        }
        server.write_all([WELCOME, "* you are in rust, alone\n"].concat().as_bytes()).unwrap();
        refuse_to_track(&mut server);
        hear(&mut server, "hello\n");
        window.shows(&["* you are in rust, alone", "client-2> hello", "client-2@rust>"]);
        assert!(hides(&mut window, "sesame") && hides(&mut window, "other"));
    }
}

#[test]
fn the_user_can_leave_before_the_door_and_the_end_of_the_server_ends_the_run() {
    let mut talk = asked(&[], "");
    talk.window.press("hello\r");
    talk.window.press("\x04");
    assert_eq!(talk.window.ends().code(), Some(0));
    assert!(talk.window.scrollback().iter().any(|row| row == "-- not sent: hello"));
    let mut talk = asked(&[], "");
    talk.say("* you have not given the password: goodbye\nFIN\n");
    assert_eq!(talk.window.ends().code(), Some(0));
}

#[test]
fn a_server_that_does_not_ask_is_sent_no_typed_password() {
    let mut talk = talk(24, 100, &[]);
    talk.window.press("/pass sesame\r");
    talk.window.shows(&["-- not sent: the server asks for no password", "ana>"]);
    talk.types("hello");
    talk.window.shows(&["ana> hello", "ana>"]);
    assert!(hides(&mut talk.window, "sesame"));
}

#[test]
fn a_typed_token_is_hidden_and_shown_again_to_a_server_that_asks() {
    let mut talk = talk(24, 100, &[]);
    talk.types("hello");
    talk.types("/nick bob pcn_x");
    talk.say("* ana is now bob\n");
    talk.window.shows(&["ana> hello", "ana> /nick bob …", "* ana is now bob", "bob>"]);
    talk.window.press("\x1b[A");
    talk.window.shows(&["* ana is now bob", "bob> hello"]);
    talk.window.press("\x15");
    reset(talk.server);
    let mut server = accept(&talk.listener);
    hear(&mut server, "/nick bob\n");
    server.write_all([WELCOME, "* the name bob belongs to somebody: /nick bob TOKEN\n"].concat().as_bytes()).unwrap();
    hear(&mut server, "/nick bob pcn_x\n");
    server.write_all(b"* client-2 is now bob\n").unwrap();
    talk.window.shows(&["* client-2 is now bob", "bob>"]);
    assert!(hides(&mut talk.window, "pcn_x") && hides(&mut talk.window, "belongs"));
}

#[test]
fn a_name_that_its_owner_has_taken_with_another_connection_is_not_asked_for_again() {
    let mut talk = talk(24, 100, &[]);
    talk.say("* you are here a second time: this one is client-2 now\n* ana is now client-2\n");
    talk.window.shows(&[
        "* you are here a second time: this one is client-2 now",
        "* ana is now client-2",
        "client-2>",
    ]);
    reset(talk.server);
    let mut server = accept(&talk.listener);
    server.write_all(WELCOME.as_bytes()).unwrap();
    talk.window.press("hello\r");
    hear(&mut server, "hello\n");
}

#[test]
fn a_name_that_belongs_to_somebody_is_told_and_not_asked_for_again() {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut window = Window::open(24, 100, &client_of(listener.local_addr().unwrap(), &["--nick", "ana"]));
    let mut server = accept(&listener);
    hear(&mut server, "/nick ana\n");
    let owned = "* the name ana belongs to somebody: /nick ana TOKEN";
    server.write_all([WELCOME, owned, "\n"].concat().as_bytes()).unwrap();
    refuse_to_track(&mut server);
    window.wait_until("the words", |window| window.rows().iter().any(|row| row == owned));
    window.press("hello\r");
    hear(&mut server, "hello\n");
}

#[test]
fn a_name_that_was_taken_while_the_client_was_away_is_not_asked_for_either() {
    let mut server = TrackedServer::start();
    let mut command = client_of(server.address(), &["--nick", "ana"]);
    let mut window = Window::open(24, 100, command.env("POLLCHAT_TOKEN", "pcn_x"));
    let peer = server.accept_ana();
    peer.reset();
    server.name = "client-1".to_owned();
    server.log.push("* ana is now client-1".to_owned());
    let mut peer = server.accept();
    server.resume(&mut peer);
    window.press("hello\r");
    assert_eq!(server.take(&mut peer), "hello");
}
