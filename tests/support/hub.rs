//! A hub whose sockets are not there: every byte, error and event is chosen by the test, and so is the time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pollchat::net::stream::Socket;
use pollchat::server::config::{Capacity, Config};
use pollchat::server::endpoint::Endpoint;
use pollchat::server::hub::{Hub, Readiness, Wake};
use pollchat::server::limits::{ENTER_DELAY, INTRODUCE_AFTER};

/// What a socket has for whoever reads it.
pub(crate) enum Incoming {
    Bytes(Vec<u8>),
    End,
    Error(ErrorKind),
}

impl Incoming {
    /// Bytes that are left.
    pub(crate) fn len(&self) -> usize {
        match self {
            Incoming::Bytes(bytes) => bytes.len(),
            Incoming::End | Incoming::Error(_) => 0,
        }
    }
}

/// A peer, as its socket sees it.
#[derive(Default)]
pub(crate) struct Peer {
    pub(crate) incoming: VecDeque<Incoming>,
    /// Where it comes from; `None` if the kernel does not know any more.
    pub(crate) address: Option<SocketAddr>,
    /// Whether it has none, because it is behind a Unix socket.
    pub(crate) is_local: bool,
    /// The user that it belongs to, if the kernel can tell.
    pub(crate) user: Option<u32>,
    /// How often its address was asked.
    pub(crate) address_asked: usize,
    /// Bytes that the socket takes before it blocks.
    pub(crate) room: usize,
    /// What the next write fails with. It is said once, as the kernel does with some errors; and nobody should ask
    /// again.
    pub(crate) write_error: Option<ErrorKind>,
    /// What the kernel knows of the connection, and tells who asks.
    pub(crate) error: Option<ErrorKind>,
    /// Whether the kernel says that it has not answered for long.
    pub(crate) is_unanswered: bool,
    pub(crate) received: Vec<u8>,
    pub(crate) is_ended: bool,
    pub(crate) is_closed: bool,
    pub(crate) reads: usize,
}

/// The socket that the hub holds.
pub(crate) struct FakeSocket(pub(crate) Rc<RefCell<Peer>>);

impl Read for FakeSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut peer = self.0.borrow_mut();
        peer.reads += 1;
        match peer.incoming.front_mut() {
            None => Err(ErrorKind::WouldBlock.into()),
            Some(Incoming::End) => Ok(0),
            Some(Incoming::Error(kind)) => {
                let kind = *kind;
                peer.incoming.pop_front();
                Err(kind.into())
            }
            Some(Incoming::Bytes(bytes)) => {
                let taken = bytes.len().min(buffer.len());
                buffer[..taken].copy_from_slice(&bytes[..taken]);
                bytes.drain(..taken);
                if bytes.is_empty() {
                    peer.incoming.pop_front();
                }
                Ok(taken)
            }
        }
    }
}

impl Write for FakeSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut peer = self.0.borrow_mut();
        assert!(!peer.is_ended, "nothing is written after the end");
        if let Some(kind) = peer.write_error.take() {
            return Err(kind.into());
        }
        let taken = bytes.len().min(peer.room);
        if taken == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        peer.room -= taken;
        peer.received.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        self.write(&bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for FakeSocket {
    fn shutdown_write(&self) -> io::Result<()> {
        self.0.borrow_mut().is_ended = true;
        Ok(())
    }

    fn peer_address(&self) -> io::Result<Option<SocketAddr>> {
        let mut peer = self.0.borrow_mut();
        peer.address_asked += 1;
        if peer.is_local { Ok(None) } else { peer.address.map(Some).ok_or_else(|| ErrorKind::NotConnected.into()) }
    }

    fn peer_user(&self) -> Option<u32> {
        self.0.borrow().user
    }

    fn take_error(&self) -> Option<io::Error> {
        self.0.borrow_mut().error.take().map(io::Error::from)
    }

    fn is_unanswered(&self) -> bool {
        self.0.borrow().is_unanswered
    }
}

impl Drop for FakeSocket {
    fn drop(&mut self) {
        self.0.borrow_mut().is_closed = true;
    }
}

/// The test's end of a connection.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) key: usize,
    pub(crate) peer: Rc<RefCell<Peer>>,
}

impl Client {
    pub(crate) fn sends(&self, bytes: impl AsRef<[u8]>) {
        self.peer.borrow_mut().incoming.push_back(Incoming::Bytes(bytes.as_ref().to_vec()));
    }

    pub(crate) fn ends(&self) {
        self.peer.borrow_mut().incoming.push_back(Incoming::End);
    }

    pub(crate) fn resets(&self) {
        self.peer.borrow_mut().incoming.push_back(Incoming::Error(ErrorKind::ConnectionReset));
    }

    pub(crate) fn takes(&self, bytes: usize) {
        self.peer.borrow_mut().room = bytes;
    }

    /// What it received since this was last asked.
    pub(crate) fn received(&self) -> String {
        String::from_utf8(self.received_bytes()).unwrap()
    }

    /// The same, where it may stop in the middle of a character.
    pub(crate) fn received_bytes(&self) -> Vec<u8> {
        std::mem::take(&mut self.peer.borrow_mut().received)
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.peer.borrow().is_ended
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.peer.borrow().is_closed
    }
}

pub(crate) struct World {
    pub(crate) hub: Hub<FakeSocket>,
    pub(crate) now: Instant,
}

pub(crate) const READABLE: Readiness = Readiness { readable: true, writable: false };
pub(crate) const WRITABLE: Readiness = Readiness { readable: false, writable: true };

impl World {
    pub(crate) fn new(config: &Config) -> World {
        let now = Instant::now();
        let clients_max = config.clients_max.unwrap_or(1_000);
        let seats = Capacity { clients_max, visitors_max: 50, leavers_max: 2, refusals_max: 4 };
        World { hub: Hub::new(config, seats, now).unwrap(), now }
    }

    /// Connects, enters after a moment of silence, and takes the greeting.
    pub(crate) fn connect(&mut self) -> Client {
        let client = self.connect_silently();
        self.now += ENTER_DELAY;
        self.turn();
        let greeting = client.received();
        assert!(greeting.starts_with("* you are client-"), "{greeting:?}");
        client
    }

    /// Opens the operator's console, and lets its first line be shown.
    pub(crate) fn open_console(&mut self) -> Client {
        let console = self.open_console_silently();
        self.run();
        assert_eq!(console.received(), "* you are server; /help lists what you can do\n");
        console
    }

    /// Opens the operator's console.
    pub(crate) fn open_console_silently(&mut self) -> Client {
        let peer = Rc::new(RefCell::new(Peer { room: usize::MAX, ..Peer::default() }));
        let console = Client { key: self.hub.next_key(), peer: Rc::clone(&peer) };
        self.hub.open_console(FakeSocket(peer), self.now);
        console
    }

    /// Connects, enters, and is introduced to the room after two seconds of silence.
    pub(crate) fn connect_and_settle(&mut self) -> Client {
        let client = self.connect();
        self.pass(INTRODUCE_AFTER);
        client
    }

    /// Connects and sends an empty line, whatever comes of it.
    pub(crate) fn knock(&mut self) -> Client {
        let client = self.connect_silently();
        self.says(&client, "\n");
        client
    }

    /// Lets this time pass, and turns as long as the hub wants to.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.run();
    }

    pub(crate) fn connect_silently(&mut self) -> Client {
        self.connect_from(Some(SocketAddr::from(([127, 0, 0, 1], 1))))
    }

    pub(crate) fn connect_from(&mut self, address: Option<SocketAddr>) -> Client {
        self.connect_to(Endpoint::Lines, address)
    }

    pub(crate) fn connect_to(&mut self, port: Endpoint, address: Option<SocketAddr>) -> Client {
        self.admit(port, Peer { room: usize::MAX, address, ..Peer::default() })
    }

    /// Connects over a Unix socket.
    pub(crate) fn connect_locally(&mut self, port: Endpoint) -> Client {
        self.admit(port, Peer { room: usize::MAX, is_local: true, ..Peer::default() })
    }

    /// Connects as an operator, over a Unix socket.
    pub(crate) fn connect_operator(&mut self, user: Option<u32>) -> Client {
        self.admit(Endpoint::Control, Peer { room: usize::MAX, is_local: true, user, ..Peer::default() })
    }

    fn admit(&mut self, port: Endpoint, peer: Peer) -> Client {
        let peer = Rc::new(RefCell::new(peer));
        let client = Client { key: self.hub.next_key(), peer: Rc::clone(&peer) };
        self.hub.admit(FakeSocket(peer), port, self.now);
        client
    }

    pub(crate) fn turn(&mut self) -> usize {
        self.hub.react(self.now);
        self.hub.flush(self.now)
    }

    /// Turns as long as the hub wants to without waiting.
    pub(crate) fn run(&mut self) {
        self.turn();
        for _ in 0..100_000 {
            if self.hub.next_wake() != Wake::Now {
                return;
            }
            self.turn();
        }
        panic!("the hub never rests");
    }

    /// Turns until nothing is left but to wait for events; the time passes as the hub wishes, 2 s at most.
    pub(crate) fn run_on(&mut self) {
        let end = self.now + Duration::from_secs(2);
        loop {
            self.run();
            match self.hub.next_wake() {
                Wake::At(time) if time < end => self.now = time,
                _ => return,
            }
        }
    }

    /// Runs on for a while; the time passes as the hub wishes.
    pub(crate) fn run_for(&mut self, pause: Duration) {
        let end = self.now + pause;
        loop {
            self.run();
            match self.hub.next_wake() {
                Wake::At(time) if time < end => self.now = self.now.max(time),
                _ => break,
            }
        }
        self.now = end;
        self.run();
    }

    pub(crate) fn says(&mut self, client: &Client, bytes: impl AsRef<[u8]>) {
        client.sends(bytes);
        self.hub.on_ready(client.key, READABLE);
        self.run();
    }

    pub(crate) fn makes_room(&mut self, client: &Client, bytes: usize) {
        client.takes(bytes);
        self.hub.on_ready(client.key, WRITABLE);
        self.run();
    }
}

pub(crate) fn quiet() -> Config {
    Config { announce_up_to: 0, ..Config::default() }
}
