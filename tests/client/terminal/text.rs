//! Text that looks like a command: what is said, what is obeyed, and what is asked about.

use std::net::SocketAddr;

use super::server::{Relay, accept, client_of, hear, hear_to_the_end, listen, refuse_to_track, talk};
use super::window::Window;

const PASTE: &str = "\x1b[200~first\r/nick mallory\rFIN\r /msg ana x\rexit\r//x\r/quit\rlast\x1b[201~";

#[test]
fn a_paste_of_several_lines_is_text_for_a_pollchat_server() {
    let mut talk = talk(30, 80, &[]);
    talk.window.press(PASTE);
    talk.window.shows(&["| last", "send these 8 lines? [y/n]"]);
    talk.window.press("y");
    let said = "first\n/say /nick mallory\n/say FIN\n/say  /msg ana x\n/say exit\n/say //x\n/say /quit\nlast\n";
    talk.hears(said);
    let lines = ["first", "/nick mallory", "FIN", " /msg ana x", "exit", "//x", "/quit", "last"];
    let own: Vec<String> = lines.iter().map(|line| format!("ana> {line}")).chain(["ana>".to_owned()]).collect();
    talk.window.shows(&own.iter().map(String::as_str).collect::<Vec<_>>());
    // One pasted line that is entered is a command.
    talk.window.press("\x1b[200~/who\x1b[201~\r");
    talk.hears("/who\n");
}

#[test]
fn everybody_reads_a_paste_as_it_was() {
    let relay = Relay::start("127.0.0.1:0", &[]);
    let mut reader = Window::open(30, 80, &client_of(relay.address, &["--nick", "ben"]));
    reader.shows(&["ben>"]);
    let mut window = Window::open(30, 80, &client_of(relay.address, &["--nick", "ana"]));
    window.shows(&["ana>"]);
    window.press(PASTE);
    window.shows(&["send these 8 lines? [y/n]"]);
    window.press("y");
    let lines = ["first", "/nick mallory", "FIN", " /msg ana x", "exit", "//x", "/quit", "last"];
    let read: Vec<String> = lines.iter().map(|line| format!("ana> {line}")).chain(["ben>".to_owned()]).collect();
    reader.shows(&read.iter().map(String::as_str).collect::<Vec<_>>());
    window.press("FIN\rstill here\r");
    reader.shows(&["ana> FIN", "ana> still here", "ben>"]);
}

#[test]
fn a_foreign_server_gets_a_paste_as_it_is_and_it_does_not_leave() {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut window = Window::open(30, 80, &client_of(listener.local_addr().unwrap(), &[]));
    let mut server = accept(&listener);
    std::io::Write::write_all(&mut server, b"Welcome\n").unwrap();
    window.shows(&["Welcome", ">"]);
    window.press(PASTE);
    window.shows(&["send these 8 lines? [y/n]"]);
    window.press("y");
    hear(&mut server, "first\n/nick mallory\nFIN\n /msg ana x\nexit\n//x\n/quit\nlast\n");
    window.press("here\r");
    hear(&mut server, "here\n");
    // A typed one leaves, as its users expect.
    window.press("exit\r");
    assert_eq!(hear_to_the_end(&mut server), "exit\n");
}

#[test]
fn the_bare_goodbye_words_are_said_to_a_pollchat_server() {
    let mut talk = talk(20, 80, &[]);
    for word in ["FIN", "fin", "exit", "Exit"] {
        talk.window.press(&format!("{word}\r"));
        talk.hears(&format!("/say {word}\n"));
        talk.window.shows(&[&format!("ana> {word}"), "-- said to the room; /quit leaves", "ana>"]);
    }
    talk.window.press("/quit\r");
    assert_eq!(hear_to_the_end(&mut talk.server), "/quit\n");
}

#[test]
fn a_server_that_greets_late_is_not_left_by_a_bare_word() {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut window = Window::open(30, 80, &client_of(listener.local_addr().unwrap(), &[]));
    let mut server = accept(&listener);
    window.press("hello\rexit\r");
    // The time for a greeting is over.
    hear(&mut server, "hello\n");
    std::io::Write::write_all(&mut server, b"* you are client-1; /help lists what you can do\n").unwrap();
    refuse_to_track(&mut server);
    hear(&mut server, "/say exit\n");
}

#[test]
fn a_silent_server_is_left_by_a_bare_word() {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut window = Window::open(30, 80, &client_of(listener.local_addr().unwrap(), &[]));
    let mut server = accept(&listener);
    window.press("exit\r");
    assert_eq!(hear_to_the_end(&mut server), "exit\n");
}

#[test]
fn a_command_behind_a_blank_is_asked_about() {
    for blank in [" ", "   ", "\t ", "\u{a0}", "\u{3000}"] {
        let mut talk = talk(20, 80, &[]);
        // A tab is typed only by a paste.
        talk.window.press(&format!("\x1b[200~{blank}\x1b[201~/msg ana secret\r\r"));
        talk.window.shows(&["say this to the room? [y/n]"]);
        assert!(talk.window.rows().contains(&"-- that is no command: a blank stands before the slash".to_owned()));
        // It is edited to the command that it was meant to be.
        talk.window.press("n");
        talk.window.wait_until("the line", |window| window.rows().pop().unwrap().ends_with("/msg ana secret"));
        talk.window.press("\x01");
        talk.window.press(&"\x1b[3~".repeat(blank.chars().count()));
        talk.window.press("\r");
        talk.hears("/msg ana secret\n");
        // Or said.
        talk.window.press("\x1b[A\x01 \r");
        talk.window.shows(&["say this to the room? [y/n]"]);
        talk.window.press("y");
        talk.hears("/say  /msg ana secret\n");
        talk.window.shows(&["ana>  /msg ana secret", "ana>"]);
    }
}
