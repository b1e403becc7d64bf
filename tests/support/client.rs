//! A TCP client that a test drives line by line.

use std::io::{self, BufRead, ErrorKind, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::path::Path;

use super::lines::{Lines, Member};
use super::socket::{connect, connect_from, connect_narrow, connect_unix, read, reset};

/// A client: a plain TCP stream that waits for each line until a deadline.
///
/// Invariant: `received[taken..]` holds the bytes that the test has not looked at yet.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    taken: usize,
    number: u64,
}

impl Client {
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Client {
        Client::new(connect(address))
    }

    /// A client that comes from this address of ours.
    #[track_caller]
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Client {
        Client::new(connect_from(source, address))
    }

    /// A client for which the kernel takes little: if it does not read, writes to it soon block.
    #[track_caller]
    pub fn connect_narrow(address: SocketAddr) -> Client {
        Client::new(connect_narrow(address))
    }

    /// A client on this machine that connects to a Unix socket.
    #[track_caller]
    pub fn connect_unix(path: &Path) -> Client {
        Client::new(connect_unix(path))
    }

    /// Enters with an empty line, which saves the delay of a silent client, and takes the greeting.
    #[track_caller]
    pub fn join(mut self) -> Client {
        self.send("\n");
        self.greeted();
        self
    }

    fn new(stream: TcpStream) -> Client {
        Client { stream, received: Vec::new(), taken: 0, number: 0 }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Its own address, by which the server knows it.
    pub fn address(&self) -> SocketAddr {
        self.stream.local_addr().expect("connected")
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server takes what is sent in time");
    }

    /// The next line; `None` at the end in good order.
    ///
    /// # Errors
    /// When nothing comes in time, after a reset, and at an end in the middle of a line.
    pub fn try_line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(line) = self.received_line() {
                return Ok(Some(line));
            }
            if self.read_some(64 * 1024)? == 0 {
                let torn = self.taken < self.received.len();
                return if torn { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(None) };
            }
        }
    }

    /// The next of the lines that were read already.
    pub fn received_line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let mut rest = &self.received[self.taken..];
        rest.read_until(b'\n', &mut line).expect("memory is always readable");
        if line.pop() != Some(b'\n') {
            return None;
        }
        self.taken += line.len() + 1;
        Some(String::from_utf8(line).expect("lines are UTF-8"))
    }

    /// Reads once, at most that many bytes; tells how many came, 0 at the end.
    pub fn read_some(&mut self, max: usize) -> io::Result<usize> {
        self.received.drain(..self.taken);
        self.taken = 0;
        let held = self.received.len();
        self.received.resize(held + max, 0);
        let result = read(&mut self.stream, &mut self.received[held..]);
        self.received.truncate(held + result.as_ref().map_or(0, |&count| count));
        result
    }

    /// The end in good order: `FIN`, then the end of the stream.
    #[track_caller]
    pub fn expect_farewell(&mut self) {
        self.expect("FIN");
        self.expect_end();
    }

    /// The end of the stream, not a reset.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(self.try_line().expect("an end in good order"), None);
    }

    /// Ends its own half only.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("connected");
    }

    /// Leaves by a reset, as a host that crashed would.
    pub fn reset(self) {
        reset(&self.stream);
    }

    /// Leaves without a word: by a reset, or by an orderly close.
    pub fn vanish(self, resets: bool) {
        if resets {
            self.reset();
        }
    }

    fn rest_lossy(&self) -> String {
        String::from_utf8_lossy(&self.received[self.taken..]).into_owned()
    }
}

impl Lines for Client {
    #[track_caller]
    fn line(&mut self) -> String {
        match self.try_line() {
            Ok(Some(line)) => line,
            Ok(None) => panic!("{}: the end came instead of a line", self.name()),
            Err(error) => panic!("{}: no line: {error}; half of it: {:?}", self.name(), self.rest_lossy()),
        }
    }

    fn reader(&self) -> String {
        self.name()
    }
}

impl Member for Client {
    fn number(&self) -> u64 {
        self.number
    }

    fn set_number(&mut self, number: u64) {
        self.number = number;
    }

    #[track_caller]
    fn send_line(&mut self, text: impl AsRef<[u8]>) {
        self.send([text.as_ref(), b"\n"].concat());
    }
}
