//! The companion of the server: one loop over stdin, stdout and the socket, and no thread.
//!
//! ```text
//! stdin ─read→ Outbox ─write→ server ─read→ Transcript ─clean lines→ queue of Stdout ─write→ stdout
//! ```
//!
//! Each of the two ways is bounded, and when it is full, it is not read into: a slow server holds stdin back, a stuck
//! stdout holds the server back, and neither holds up the other way. How a conversation ends is in `Ours` and
//! `Theirs`: each side ends its own half.

pub mod address;
pub mod config;
pub mod outbox;
pub mod transcript;

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

use self::address::ServerAddress;
use self::config::{CONNECT_TIMEOUT, GRACE, READ_BYTES, SCREEN_BYTES_MAX};
use self::outbox::{Outbox, Typed};
use self::transcript::{Heard, Transcript};
use crate::inherited::stdin::{Input, Stdin};
use crate::inherited::stdout::{Stdout, StdoutError};
use crate::relay::name::Name;

const STDIN: Token = Token(0);
const STDOUT: Token = Token(1);
const SERVER: Token = Token(2);

/// A conversation with a server, from stdin and to stdout.
#[derive(Debug)]
pub struct Client {
    address: ServerAddress,
    poll: Poll,
    stdin: Stdin,
    stdout: Stdout,
    server: Link,
    ours: Ours,
    theirs: Theirs,
    outbox: Outbox,
    transcript: Transcript,
    scratch: Box<[u8]>,
    /// When a byte last moved, in any direction, or a half ended.
    progress_at: Instant,
}

/// How a conversation ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With all that the server said shown, or nobody left to show it to.
    Complete,
    /// With so many bytes of what the server said waiting for a stdout that was stuck.
    Unshown(usize),
}

/// Why a conversation did not come about, or not to its end. Its `Display` is one line.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ClientError {
    /// None of the server's addresses could be connected to; the error is the first one's, the preferred.
    #[error("cannot connect to {address}: {source}")]
    Connect { address: ServerAddress, source: io::Error },
    /// The server ended the conversation without a word.
    #[error("the server at {address} closed the connection")]
    Closed { address: ServerAddress },
    /// The connection broke.
    #[error("the connection to {address} was lost: {source}")]
    Lost { address: ServerAddress, source: io::Error },
    /// The server stopped reading, and something of ours was left.
    #[error("the server at {address} did not take the last {bytes} bytes")]
    Unsent { address: ServerAddress, bytes: usize },
    /// Stdin cannot be read.
    #[error("cannot read stdin: {0}")]
    Stdin(io::Error),
    /// Stdout cannot be written to, though somebody may be reading it.
    #[error("cannot write to stdout: {0}")]
    Stdout(io::Error),
    /// The poller failed.
    #[error("cannot wait for events: {0}")]
    Poll(io::Error),
}

/// The socket, with what is known of it. Both facts hold until a call says `WouldBlock`; an event renews them.
#[derive(Debug)]
struct Link {
    stream: TcpStream,
    readable: bool,
    writable: bool,
}

/// Where our half of the conversation stands.
#[derive(Debug)]
enum Ours {
    /// Stdin is passed on.
    Talking,
    /// We have said our last word, and the server has yet to take it.
    Ending,
    /// It took everything, and knows that nothing more will come.
    Ended,
    /// It takes no more: a write failed. The server is still read to its end: it may have said FIN before, and that decides.
    Failed(io::Error),
}

/// Where the server's half stands.
#[derive(Debug)]
enum Theirs {
    Talking,
    /// It said FIN: the conversation is over, whatever we still had to say.
    Fin,
    /// It closed its half, as far as one can see in good order.
    Ended,
    /// A read failed.
    Lost(io::Error),
}

impl Client {
    /// Connects to the first of the server's addresses that answers, and asks for `nick`. Blocks while it does.
    ///
    /// # Errors
    /// When no address can be connected to, or the poller cannot be had.
    pub fn connect(address: ServerAddress, nick: Option<&Name>) -> Result<Client, ClientError> {
        let (mut stream, ours) = match address.resolve().and_then(connect_to_any) {
            Ok(connected) => connected,
            Err(source) => return Err(ClientError::Connect { address, source }),
        };
        let mut outbox = Outbox::default();
        if let Some(nick) = nick {
            outbox.push(format!("/nick {nick}\n").as_bytes());
        }
        let poll = Poll::new().map_err(ClientError::Poll)?;
        let stdin = Stdin::register(poll.registry(), STDIN).map_err(ClientError::Poll)?;
        let stdout = Stdout::register(poll.registry(), STDOUT).map_err(ClientError::Poll)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, SERVER, interest).map_err(ClientError::Poll)?;
        Ok(Client {
            address,
            poll,
            stdin,
            stdout,
            server: Link { stream, readable: true, writable: true },
            ours,
            theirs: Theirs::Talking,
            outbox,
            transcript: Transcript::default(),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            progress_at: Instant::now(),
        })
    }

    /// Talks until one of the two sides ends it.
    ///
    /// # Errors
    /// When the connection is lost, the server stops taking what was typed, or stdin or stdout cannot be used.
    pub fn run(mut self) -> Result<Ending, ClientError> {
        let mut events = Events::with_capacity(8);
        loop {
            let moved_bytes = self.take_typed()? + self.send() + self.receive();
            let shown_bytes = match self.stdout.flush() {
                Ok(shown) => shown,
                Err(StdoutError::Closed) => return Ok(Ending::Complete),
                Err(StdoutError::Failed(err)) => return Err(ClientError::Stdout(err)),
            };
            if moved_bytes + shown_bytes > 0 {
                self.progress_at = Instant::now();
            }
            if self.is_over() {
                return self.ending();
            }
            let (patience, is_busy) = (self.patience(), self.is_busy());
            self.wait(&mut events, if is_busy { Some(Duration::ZERO) } else { patience }).map_err(ClientError::Poll)?;
            // The time alone does not decide: who was stopped (Ctrl-Z) for longer has yet to see what came meanwhile.
            if patience == Some(Duration::ZERO) && !is_busy && events.is_empty() {
                return self.ending();
            }
        }
    }

    /// Reads stdin once, if there is room for it.
    fn take_typed(&mut self) -> Result<usize, ClientError> {
        if !self.may_take_typed() {
            return Ok(0);
        }
        match self.stdin.read(&mut self.scratch).map_err(ClientError::Stdin)? {
            Input::NotYet => Ok(0),
            Input::Bytes(len) => {
                if self.outbox.push(&self.scratch[..len]) == Typed::Leave {
                    self.end_ours();
                }
                Ok(len)
            }
            Input::End => {
                self.end_ours();
                Ok(0)
            }
        }
    }

    fn end_ours(&mut self) {
        self.ours = Ours::Ending;
        self.progress_at = Instant::now();
    }

    /// Writes to the server once; closes our half when it was the last of it.
    fn send(&mut self) -> usize {
        let mut sent = 0;
        if self.may_send() {
            match self.outbox.write_to(&mut self.server.stream) {
                Ok(len) => sent = len,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => self.server.writable = false,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => {
                    self.ours = Ours::Failed(err);
                    self.progress_at = Instant::now();
                }
            }
        }
        if matches!(self.ours, Ours::Ending) && self.outbox.is_empty() {
            // It fails when the connection is already gone, and then the next read says so.
            let _ = self.server.stream.shutdown(Shutdown::Write);
            self.ours = Ours::Ended;
        }
        sent
    }

    /// Reads from the server once, if there is room for it.
    fn receive(&mut self) -> usize {
        if !self.may_receive() {
            return 0;
        }
        let (received, theirs) = match self.server.stream.read(&mut self.scratch) {
            Ok(0) => (0, self.hear_the_end()),
            Ok(len) => match self.transcript.take_in(&self.scratch[..len], self.stdout.queue()) {
                Heard::Talk => return len,
                Heard::Fin => (len, Theirs::Fin),
            },
            Err(err) if err.kind() == io::ErrorKind::Interrupted => return 0,
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                self.server.readable = false;
                return 0;
            }
            Err(err) => (0, Theirs::Lost(err)),
        };
        self.theirs = theirs;
        self.progress_at = Instant::now();
        received
    }

    fn hear_the_end(&mut self) -> Theirs {
        // After a failed write this is the end that a reset made, and what it cut off is not a line.
        if matches!(self.ours, Ours::Failed(_)) || self.transcript.finish(self.stdout.queue()) == Heard::Talk {
            Theirs::Ended
        } else {
            Theirs::Fin
        }
    }

    /// Waits for events, and takes note of them.
    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(events, timeout) {
            // Ctrl-Z and `fg` do this. The loop looks at the clock and comes back.
            Err(err) if err.kind() == io::ErrorKind::Interrupted => events.clear(),
            result => result?,
        }
        for event in events.iter() {
            match event.token() {
                STDIN => self.stdin.on_event(),
                STDOUT => self.stdout.on_event(),
                _ => {
                    // All of these are hints, and what is true a read or a write will tell.
                    self.server.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                    self.server.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
                }
            }
        }
        Ok(())
    }

    /// How much longer the conversation may stand still: no limit while both sides talk.
    fn patience(&self) -> Option<Duration> {
        match (&self.ours, &self.theirs) {
            (Ours::Talking, Theirs::Talking) => None,
            _ => Some(GRACE.saturating_sub(self.progress_at.elapsed())),
        }
    }

    /// Whether both sides have ended, and all is shown.
    fn is_over(&self) -> bool {
        let is_over = match self.theirs {
            Theirs::Talking => false,
            // The server may close its half and still take what we had to say.
            Theirs::Ended => !matches!(self.ours, Ours::Ending),
            Theirs::Fin | Theirs::Lost(_) => true,
        };
        is_over && self.stdout.waiting_bytes() == 0
    }

    /// What is to be said of the conversation, now that it is over or stands still.
    fn ending(self) -> Result<Ending, ClientError> {
        let Client { address, stdout, outbox, ours, theirs, .. } = self;
        match (theirs, ours) {
            (Theirs::Fin, _) | (Theirs::Talking | Theirs::Ended, Ours::Ended) => match stdout.waiting_bytes() {
                0 => Ok(Ending::Complete),
                bytes => Ok(Ending::Unshown(bytes)),
            },
            (Theirs::Lost(source), _) | (_, Ours::Failed(source)) => Err(ClientError::Lost { address, source }),
            (_, Ours::Ending) => Err(ClientError::Unsent { address, bytes: outbox.len() }),
            (_, Ours::Talking) => Err(ClientError::Closed { address }),
        }
    }

    /// Whether something can be done without waiting.
    fn is_busy(&self) -> bool {
        self.may_take_typed() || self.may_send() || self.may_receive() || self.stdout.is_due()
    }

    fn may_take_typed(&self) -> bool {
        let is_conversation = matches!((&self.ours, &self.theirs), (Ours::Talking, Theirs::Talking));
        is_conversation && self.stdin.may_read() && self.outbox.room_bytes() >= self.scratch.len()
    }

    fn may_send(&self) -> bool {
        self.server.writable && !matches!(self.ours, Ours::Failed(_)) && !self.outbox.is_empty()
    }

    fn may_receive(&self) -> bool {
        self.server.readable && matches!(self.theirs, Theirs::Talking) && self.stdout.waiting_bytes() < SCREEN_BYTES_MAX
    }
}

/// Connects to the first of `candidates` that answers, or fails as the first one did: the resolver puts the likeliest
/// first.
fn connect_to_any(candidates: impl Iterator<Item = SocketAddr>) -> io::Result<(TcpStream, Ours)> {
    let mut first_error = None;
    for candidate in candidates {
        match connect_to(candidate) {
            Ok(connected) => return Ok(connected),
            Err(err) => first_error = first_error.or(Some(err)),
        }
    }
    Err(first_error.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}

fn connect_to(candidate: SocketAddr) -> io::Result<(TcpStream, Ours)> {
    let socket = Socket::new(Domain::for_address(candidate), Type::STREAM, Some(Protocol::TCP))?;
    let ours = match socket.connect_timeout(&candidate.into(), CONNECT_TIMEOUT) {
        Ok(()) => Ours::Talking,
        // The server took us, and had reset the connection before we looked. What it said in between can be read.
        Err(err) if err.kind() == io::ErrorKind::ConnectionReset => Ours::Failed(err),
        Err(err) => return Err(err),
    };
    // A typed line should not wait for the one before it to be acknowledged.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok((TcpStream::from_std(socket.into()), ours))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A socket with an address, and nobody who listens there.
    fn nobody() -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket
    }

    #[test]
    fn every_address_is_tried_until_one_answers() {
        let nobody = nobody();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let candidates = [nobody.local_addr().unwrap().as_socket().unwrap(), listener.local_addr().unwrap()];
        let (stream, _) = connect_to_any(candidates.into_iter()).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), candidates[1]);
        assert!(stream.nodelay().unwrap());
    }

    #[test]
    fn when_no_address_answers_the_first_failure_is_told() {
        let nobody = nobody();
        // The second address fails in another way: TCP has no broadcast.
        let broadcast = SocketAddr::from(([255, 255, 255, 255], 1));
        let candidates = [nobody.local_addr().unwrap().as_socket().unwrap(), broadcast];
        let error = |candidates: [SocketAddr; 2]| connect_to_any(candidates.into_iter()).unwrap_err().kind();
        assert_eq!(error(candidates), io::ErrorKind::ConnectionRefused);
        assert_ne!(error([candidates[1], candidates[0]]), io::ErrorKind::ConnectionRefused);
        assert_eq!(connect_to_any([].into_iter()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
