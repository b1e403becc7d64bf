//! `--text`: each line of stdin is said as it is.

use super::*;
use crate::support::{Lines, Server};

const LINES: [&str; 12] = [
    "FIN",
    "/usr/bin",
    "  indented",
    "exit",
    " /msg ana x",
    "//x",
    "/say x",
    "/quit",
    "hello",
    "* x",
    "GET / HTTP/1.1",
    "fin",
];

#[test]
fn a_pollchat_server_says_every_line_as_it_is() {
    let server = Server::start(&["--announce-up-to", "0"]);
    let mut listener = server.join();
    for first in 0..LINES.len() {
        let mut lines = LINES;
        lines.rotate_left(first);
        let mut client = Client::start(client_of(server.address()).args(["--text", "--nick", "ana"]));
        client.type_in(&lines.join("\n"));
        client.end_stdin();
        assert_eq!(client.exits(0).stderr, "");
        for line in lines {
            listener.expect(format!("ana> {line}"));
        }
    }
}

#[test]
fn a_byte_order_mark_at_the_start_of_a_file_is_not_said() {
    let server = Server::start(&["--announce-up-to", "0"]);
    let mut listener = server.join();
    for line in ["hello", "/x", "FIN"] {
        let file = temporary_file(format!("\u{feff}{line}\nlast\n\u{feff}").as_bytes());
        let client = Client::start(client_of(server.address()).args(["--text", "--nick", "ana"]).stdin(file));
        assert_eq!(client.exits(0).stderr, "");
        listener.expect(format!("ana> {line}"));
        listener.expect("ana> last");
    }
}

#[test]
fn another_server_gets_every_line_as_it_is() {
    for greeting in ["hello\n", ""] {
        let (mut client, mut server) = conversation_with(|command| command.arg("--text"));
        server.write_all(greeting.as_bytes()).unwrap();
        let typed = format!("{}\n", LINES.join("\n"));
        client.type_in(&typed);
        client.end_stdin();
        assert_eq!(read_to_end(&mut server), typed);
        drop(server);
        client.ends(0, greeting, "");
    }
}

#[test]
fn a_line_that_needs_no_command_does_not_wait_for_the_greeting() {
    let (mut client, mut server) = conversation_with(|command| command.arg("--text"));
    let from = Instant::now();
    client.type_in("hello\n");
    expect(&mut server, "hello\n");
    assert!(from.elapsed() < Duration::from_millis(400), "{:?}", from.elapsed());
    client.type_in("/x\n");
    server.write_all(b"* you are client-1; /help lists what you can do\n").unwrap();
    expect(&mut server, "/say /x\n");
}
