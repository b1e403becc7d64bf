//! Servers as the textbooks write them: what is typed there is sent without a newline, and each `recv` is a message.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::server::{accept, client_of, hear_to_the_end, listen};
use super::window::Window;

/// Both forms of the client, at a terminal.
const FORMS: [&[&str]; 2] = [&[], &["--plain"]];

/// A client in a window, and the server's side of its connection.
fn chunk_talk(args: &[&str]) -> (Window, TcpStream) {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let window = Window::open(12, 60, &client_of(listener.local_addr().unwrap(), args));
    (window, accept(&listener))
}

/// The textbook's server: echoes each message, and ends at `fin`, in any case, or at the end of the connection. Returns
/// the messages.
fn echo_messages(listener: &TcpListener) -> Vec<String> {
    let mut stream = accept(listener);
    let mut messages = Vec::new();
    let mut buffer = [0; 1024];
    stream.write_all(b"Welcome").unwrap();
    loop {
        let len = match stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result.unwrap(),
        };
        let message = String::from_utf8(buffer[..len].to_vec()).unwrap();
        if message.is_empty() || message.eq_ignore_ascii_case("fin") {
            stream.write_all(b"FIN").unwrap();
            return messages;
        }
        stream.write_all(format!("you said {}", message.trim_end()).as_bytes()).unwrap();
        messages.push(message);
    }
}

/// Whether a row of the window is this.
fn sees(window: &mut Window, row: &str) {
    window.wait_until(row, |window| window.rows().iter().any(|seen| seen == row));
}

#[test]
fn one_talks_with_a_server_that_takes_each_recv_as_a_message() {
    for args in FORMS {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || echo_messages(&listener));
        let mut window = Window::open(20, 60, &client_of(address, args));
        sees(&mut window, "Welcome");
        for message in ["hello", "caf\u{e9} 世界"] {
            window.press(&format!("{message}\r"));
            sees(&mut window, &format!("you said {message}"));
        }
        window.press("FIN\r");
        assert_eq!(window.ends().code(), Some(0), "{args:?}");
        assert_eq!(server.join().unwrap(), ["hello", "caf\u{e9} 世界"]);
        assert_eq!(window.rows().pop().unwrap(), "FIN");
    }
}

#[test]
fn each_message_is_a_line_of_its_own_though_none_has_an_end() {
    let (mut window, mut server) = chunk_talk(&[]);
    for message in ["one", "two", "* three", "caf\u{e9}"] {
        server.write_all(message.as_bytes()).unwrap();
        window.shows(&[message, ">"]);
    }
    assert_eq!(window.rows(), ["one", "two", "* three", "caf\u{e9}", ">"]);
}

#[test]
fn a_server_that_says_fin_without_an_end_ends_it() {
    for args in FORMS {
        for fin in ["FIN", "fin"] {
            // It stays connected, as one does that waits for the other side.
            let (mut window, mut server) = chunk_talk(args);
            server.write_all(b"bye").unwrap();
            sees(&mut window, "bye");
            server.write_all(fin.as_bytes()).unwrap();
            // The pipe form has not come to the end of stdin.
            assert_eq!(window.ends().code(), Some(i32::from(!args.is_empty())), "{args:?}");
            assert_eq!(window.rows()[..2], ["bye", fin]);
            assert_eq!(hear_to_the_end(&mut server), "");
        }
    }
}

#[test]
fn a_pause_in_the_middle_of_a_line_of_pollchat_tears_it_not() {
    for (args, first, second) in [
        (&["--flush-after", "1"][..], "* you are client-1; x\nana> hel", "lo\n"),
        (&["--flush-after", "1"], "* you a", "re client-1; x\nana> hello\n"),
        // And with no time set, of anybody's.
        (&["--flush-after", "0"], "* hello\nana> hel", "lo\n"),
    ] {
        let (mut window, mut server) = chunk_talk(args);
        server.write_all(first.as_bytes()).unwrap();
        let from = Instant::now();
        window.wait_until("the time to be over by far", |_| from.elapsed() > Duration::from_millis(100));
        server.write_all(second.as_bytes()).unwrap();
        sees(&mut window, "ana> hello");
        assert!(!window.rows().iter().any(|row| row.ends_with("hel") || row == "lo"));
    }
}
