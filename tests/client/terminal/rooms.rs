//! Rooms at a terminal: the prompt, completion, and the room of what was typed without a connection.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use super::server::{Relay, accept, client_of, hear, listen, refuse_to_track, reset};
use super::window::Window;

const WELCOME: &str = "* you are client-2; /help lists what you can do\n";

#[test]
fn the_prompt_tells_the_room_and_tab_completes_rooms() {
    let relay = Relay::start("127.0.0.1:0", &["--room", "tea,rails"]);
    let mut window = Window::open(24, 100, &client_of(relay.address, &["--room", "rust", "--nick", "ana"]));
    window.shows(&["* you are ana, in rust; /help lists what you can do", "ana@rust>"]);
    window.press("/rooms\r");
    window.shows(&[
        "* room: rust, 1 here",
        "* room: lobby, 0 here",
        "* room: rails, 0 here",
        "* room: tea, 0 here",
        "* 4 rooms",
        "ana@rust>",
    ]);
    window.press("/join te\t\r");
    window.shows(&["* you are in tea, alone", "ana@tea>"]);
    window.press("/join r\t\t\r");
    window.shows(&["* you are in rust, alone", "ana@rust>"]);
    window.resize(24, 22);
    window.shows(&["ana@rust>"]);
    window.press("a");
    window.shows(&["ana@rust> a"]);
    window.resize(24, 16);
    window.shows(&["rust> a"]);
    window.resize(24, 10);
    window.shows(&["> a"]);
    window.resize(24, 100);
    window.press("\x15/join lob\t\r");
    window.shows(&["ana> /join lobby", "* you are in lobby, alone", "ana>"]);
    relay.stop();
}

#[test]
fn names_are_completed_from_the_own_room_and_behind_msg_from_everywhere() {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut window = Window::open(24, 100, &client_of(listener.local_addr().unwrap(), &[]));
    let mut server = accept(&listener);
    server.write_all(format!("{WELCOME}anton> hi\n").as_bytes()).unwrap();
    refuse_to_track(&mut server);
    window.shows(&["anton> hi", "client-2>"]);
    server.write_all(b"* you are in rust, with 1 other\nanna> hi\n").unwrap();
    window.shows(&["anna> hi", "client-2@rust>"]);
    window.press("an\t");
    window.shows(&["client-2@rust> anna:"]);
    window.press("\t");
    window.shows(&["client-2@rust> an"]);
    window.press("\x15/msg an\t\t");
    window.shows(&["client-2@rust> /msg anton"]);
}

/// A client in the room rust, with its server.
fn in_rust() -> (Window, std::net::TcpListener, TcpStream) {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = format!("{}/rust", listener.local_addr().unwrap());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pollchat-client"));
    let mut window = Window::open(24, 100, command.args([&address, "--no-timestamps"]));
    let mut server = accept(&listener);
    hear(&mut server, "/join rust\n");
    server.write_all(format!("{WELCOME}* you are in rust, alone\n").as_bytes()).unwrap();
    refuse_to_track(&mut server);
    window.shows(&["* you are in rust, alone", "client-2@rust>"]);
    (window, listener, server)
}

/// Loses the connection, and waits until the client has seen that.
fn lose(window: &mut Window, server: TcpStream) {
    reset(server);
    window
        .wait_until("the loss", |window| window.rows().iter().any(|row| row.starts_with("-- the connection was lost")));
}

#[test]
fn what_was_typed_without_a_connection_is_said_in_its_room() {
    let (mut window, listener, mut server) = in_rust();
    window.press("/join tea\r");
    hear(&mut server, "/join tea\n");
    // It is not answered, but what follows is for that room.
    lose(&mut window, server);
    window.press("while away\r");
    let mut server = accept(&listener);
    hear(&mut server, "/join tea\n");
    server.write_all(format!("{WELCOME}* client-9 joined\n").as_bytes()).unwrap();
    window.shows(&["* client-9 joined", "(1 line waits) client-2>"]);
    server.write_all(b"* you are in tea, alone\n").unwrap();
    hear(&mut server, "while away\n");
    window.shows(&["* you are in tea, alone", "client-2> while away", "client-2@tea>"]);
}

#[test]
fn what_was_typed_for_a_room_that_is_gone_is_not_said_elsewhere() {
    let (mut window, listener, server) = in_rust();
    lose(&mut window, server);
    window.press("secret\r/who\r");
    let mut server = accept(&listener);
    hear(&mut server, "/join rust\n");
    server.write_all(format!("{WELCOME}* there are 2 rooms already\n").as_bytes()).unwrap();
    window.shows(&[
        "* there are 2 rooms already",
        "-- cannot join rust: there are 2 rooms already",
        "-- not sent: secret",
        "-- not sent: /who",
        "client-2>",
    ]);
    window.press("hello\r");
    hear(&mut server, "hello\n");
    // The next connection begins where this one was.
    lose(&mut window, server);
    window.press("and more\r");
    let mut server = accept(&listener);
    server.write_all(WELCOME.as_bytes()).unwrap();
    hear(&mut server, "and more\n");
}

#[test]
fn a_foreign_server_is_told_from_the_room() {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = listener.local_addr().unwrap();
    let mut window = Window::open(24, 100, &client_of(address, &["--room", "rust"]));
    let mut server = accept(&listener);
    window.wait_until_raw();
    window.press("secret\r");
    hear(&mut server, "/join rust\n");
    server.write_all(b"hello\n").unwrap();
    window.shows(&["hello", "-- cannot join rust: the server has no rooms", "-- not sent: secret", ">"]);
    window.press("hi\r");
    hear(&mut server, "hi\n");
}
