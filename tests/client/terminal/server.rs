//! The server's side: one that does as the test says, and the real one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, SockRef, Socket, Type};

use super::window::{DEADLINE, Window};

/// A client in a window, connected to a server that does as the test says.
pub struct Talk {
    pub window: Window,
    pub listener: TcpListener,
    pub server: TcpStream,
}

/// `pollchat-client` with these arguments.
pub fn client_of(address: SocketAddr, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pollchat-client"));
    command.arg(address.to_string()).args(args);
    // Most tests compare whole rows.
    if !args.iter().any(|arg| arg.contains("timestamps")) {
        command.arg("--no-timestamps");
    }
    command
}

/// A talk in a window of this size. The client is `ana`, and was told so.
pub fn talk(rows: u16, columns: u16, args: &[&str]) -> Talk {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = listener.local_addr().unwrap();
    let mut window = Window::open(rows, columns, &client_of(address, args));
    let mut server = accept(&listener);
    server.write_all(b"* you are client-1; /help lists what you can do\n* client-1 is now ana\n").unwrap();
    if !args.contains(&"--no-reconnect") {
        refuse_to_track(&mut server);
    }
    window.wait_until("the greeting, and the name in the prompt or what there is room for", |window| {
        let rows = window.rows();
        let row = rows.last().cloned().unwrap_or_default();
        let is_named = row.starts_with("ana>") || (columns < 12 && row.starts_with('>'));
        window.screen().bracketed_paste() && rows.len() > 1 && is_named
    });
    Talk { window, listener, server }
}

impl Talk {
    #[track_caller]
    pub fn say(&mut self, text: &str) {
        self.server.write_all(text.as_bytes()).unwrap();
    }

    /// Waits for exactly this from the client.
    #[track_caller]
    pub fn hears(&mut self, text: &str) {
        hear(&mut self.server, text);
    }

    /// Types a line, and waits until the server has it.
    #[track_caller]
    pub fn types(&mut self, line: &str) {
        self.window.press(&format!("{line}\r"));
        self.hears(&format!("{line}\n"));
    }
}

/// Hears `/track` after the greeting, and answers as a server that does not track.
#[track_caller]
pub fn refuse_to_track(server: &mut TcpStream) {
    hear(server, "/track\n");
    server.write_all(b"* there is no command /track; /help lists what you can do\n").unwrap();
}

#[track_caller]
pub fn hear(server: &mut TcpStream, text: &str) {
    let mut bytes = vec![0; text.len()];
    server.read_exact(&mut bytes).unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), text);
}

/// All up to the end that a half-close makes.
#[track_caller]
pub fn hear_to_the_end(server: &mut TcpStream) -> String {
    let mut text = String::new();
    server.read_to_string(&mut text).unwrap();
    text
}

/// Closes with an RST.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Listens there, though there may be connections left from before.
pub fn listen(address: SocketAddr) -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(8).unwrap();
    socket.into()
}

#[track_caller]
pub fn accept(listener: &TcpListener) -> TcpStream {
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    let wait = Timespec { tv_sec: DEADLINE.as_secs().cast_signed(), tv_nsec: 0 };
    assert!(poll(&mut fds, Some(&wait)).unwrap() > 0, "the client did not connect");
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// `pollchat-server`, stopped when dropped.
pub struct Relay {
    child: Child,
    pub address: SocketAddr,
}

impl Relay {
    pub fn start(address: &str, args: &[&str]) -> Relay {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pollchat-server"));
        command.args(["--listen", address, "--log-level", "off"]).args(args).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ").expect("it listens").parse().unwrap();
        Relay { child, address }
    }

    /// Stops it in good order.
    pub fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
