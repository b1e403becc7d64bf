//! An operator types at the terminal that shows the log: what comes meanwhile waits for the end of the line.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};

use crate::support::terminal::pseudo_terminal;
use crate::support::{Client, Lines as _, Member as _, Server, eventually};

/// A server whose stdin, stdout and stderr are one terminal.
struct AtDesk {
    child: Child,
    client: Client,
    terminal: File,
    /// The operator's side of the terminal, which stays open.
    line: File,
    shown: Arc<Mutex<String>>,
}

impl AtDesk {
    fn new(host: &str) -> AtDesk {
        let (terminal, line) = pseudo_terminal();
        let address = std::net::TcpListener::bind(format!("{host}:0")).unwrap().local_addr().unwrap();
        let flags = ["--console", "--announce-up-to", "0", "--log-level", "debug"];
        let mut command = Server::builder().listen(&address.to_string()).flags(flags).command();
        let end = || Stdio::from(line.try_clone().unwrap());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let (mut screen, shown) = (terminal.try_clone().unwrap(), Arc::new(Mutex::new(String::new())));
        let seen = Arc::clone(&shown);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = screen.read(&mut bytes) {
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        eventually("it listens", || std::net::TcpStream::connect(address).is_ok());
        let client = Client::join(Client::connect(address));
        AtDesk { child, client, terminal, line, shown }
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    fn types(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    fn expect_shown(&self, text: &str) {
        eventually(&format!("{text:?} is shown in {:?}", self.shown()), || self.shown().contains(text));
    }

    fn is_line_by_line(&self) -> bool {
        tcgetattr(&self.line).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }
}

impl Drop for AtDesk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_comes_while_a_line_is_typed_is_shown_behind_it() {
    let mut desk = AtDesk::new("127.0.0.83");
    desk.types("is anybody th");
    desk.expect_shown("is anybody th");
    for number in 0..20 {
        desk.client.send_line(format!("between {number}"));
    }
    desk.client.who();
    // A backspace is the kernel's.
    desk.types("x\x7fere\n");
    desk.client.expect("server> is anybody there");
    desk.expect_shown("> between 19\r\n");
    let shown = desk.shown();
    let (_, behind) = shown.split_once("is anybody th").unwrap();
    assert!(behind.starts_with("x\x08 \x08ere\r\n"), "{behind:?}");
    assert!(behind.contains("client-1: between 0\r\n") || behind.contains(": between 0\r\n"), "the log: {behind:?}");
    assert_eq!(behind.matches("> between ").count(), 20, "{behind:?}");
}

#[test]
fn a_line_that_is_given_up_holds_nothing() {
    for keys in ["nothing\x15", "no\x7f\x7f"] {
        let mut desk = AtDesk::new("127.0.0.84");
        desk.types(keys);
        desk.expect_shown("\x08 \x08");
        desk.client.send_line("hello");
        desk.expect_shown("> hello\r\n");
    }
}

#[test]
fn the_terminal_is_given_back_as_it_was_found() {
    // Ctrl-D, `FIN`, a signal, Ctrl-C amid a line.
    for way in 0..4 {
        let mut desk = AtDesk::new("127.0.0.85");
        eventually("it takes key by key", || !desk.is_line_by_line());
        match way {
            0 => desk.types("\x04"),
            1 => desk.types("FIN\n"),
            2 => kill_process(Pid::from_child(&desk.child), Signal::TERM).unwrap(),
            _ => {
                desk.types("half a li");
                desk.expect_shown("half a li");
                desk.client.send_line("meanwhile");
                kill_process(Pid::from_child(&desk.child), Signal::INT).unwrap();
                desk.expect_shown("half a li\r\n");
                desk.expect_shown("> meanwhile\r\n");
            }
        }
        eventually("it is given back", || desk.is_line_by_line());
        if way == 0 {
            desk.client.send_line("/msg server hello?");
            desk.client.lines_until(|line| line == "* nobody here is called server");
        }
    }
}
