//! The load generator: one mio loop over all the clients of a benchmark.
//!
//! It must cost less than what it measures: a read that does not fill the buffer is taken for the last one (a short
//! read has emptied the socket, epoll(7)), and lines are handed on in the buffer that they were read into.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use super::Error;
use super::browser::{self, Entrance, Seal, Speech};
use super::process::Cpu;
use super::sealing::Sealing;

/// How long nothing may happen while something must.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Loopback addresses that are connected from, one after another: the kernel's search for a free port slows down once
/// one address has used half of them, and would be what is measured.
const SOURCES: usize = 16;

/// Bytes that one read takes.
const READ_BYTES: usize = 256 * 1024;

/// All clients of a benchmark.
pub(crate) struct Load {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    /// Who had more to read than one read took.
    unread: VecDeque<usize>,
    scratch: Box<[u8]>,
    /// Signs of life that browsers were asked for, and gave.
    pub(crate) pings: u64,
}

struct Client {
    stream: TcpStream,
    state: State,
    speech: Speech,
    /// The beginning of a line, or a frame, whose end is still to come.
    fragment: Vec<u8>,
    /// What the relay has not taken yet.
    unsent: Vec<u8>,
    sealing: Option<Box<Sealing>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Open,
    /// It does not read.
    Stopped,
    /// The relay has closed the connection, or it broke.
    Ended,
}

/// What is done with what arrives.
pub(crate) trait Ear {
    /// Some whole lines have come to this client.
    fn on_lines(&mut self, client: usize, lines: &[u8], now: Instant);
}

/// Hears nothing.
pub(crate) struct Deaf;

impl Ear for Deaf {
    fn on_lines(&mut self, _: usize, _: &[u8], _: Instant) {}
}

impl Load {
    pub(crate) fn new() -> io::Result<Load> {
        Ok(Load {
            poll: Poll::new()?,
            events: Events::with_capacity(4_096),
            clients: Vec::new(),
            unread: VecDeque::new(),
            scratch: vec![0; READ_BYTES].into(),
            pings: 0,
        })
    }

    /// Begins to connect `count` clients, all at once, and returns their numbers.
    pub(crate) fn begin_to_connect(&mut self, to: impl Into<Entrance>, count: usize) -> Result<Range<usize>, Error> {
        let to = to.into();
        let first = self.clients.len();
        (0..count).try_for_each(|_| self.begin_to_connect_with(to, to.first_words()))?;
        Ok(first..first + count)
    }

    /// Begins to connect a client that says these bytes first.
    pub(crate) fn begin_to_connect_with(&mut self, to: impl Into<Entrance>, first_words: Vec<u8>) -> Result<(), Error> {
        let (to, index) = (to.into(), self.clients.len());
        let mut stream = connect(to.address, index)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), interest)?;
        let sealing = match to.seal {
            Seal::None => None,
            seal => Some(Box::new(Sealing::new(seal == Seal::Lines)?)),
        };
        self.clients.push(Client {
            stream,
            state: State::Connecting,
            speech: to.speech,
            fragment: Vec::new(),
            unsent: first_words,
            sealing,
        });
        Ok(())
    }

    /// Connects `count` clients one after another (so that they are accepted in this order), and waits until each is
    /// connected, and was greeted if `greets`.
    pub(crate) fn connect(
        &mut self,
        to: impl Into<Entrance>,
        count: usize,
        greets: bool,
    ) -> Result<Range<usize>, Error> {
        let to = to.into();
        let first = self.clients.len();
        let mut greeted = Greeted { all: first..first + count, who: vec![false; count], count: 0 };
        for _ in 0..count {
            let one = self.begin_to_connect(to, 1)?;
            self.wait_for(&mut greeted, |load, _| !load.is_connecting(one.start))?;
        }
        self.wait_for(&mut greeted, |_, greeted| !greets || greeted.count == count)?;
        Ok(first..first + count)
    }

    /// Whether a client's connection has not come about yet.
    pub(crate) fn is_connecting(&self, client: usize) -> bool {
        self.clients[client].state == State::Connecting
    }

    /// Bytes of a client's that the relay has not taken yet.
    pub(crate) fn unsent_bytes(&self, client: usize) -> usize {
        self.clients[client].unsent.len()
    }

    /// Goes through turns until `is_so`; fails if nothing happens for too long.
    pub(crate) fn wait_for<E: Ear>(
        &mut self,
        ear: &mut E,
        mut is_so: impl FnMut(&Load, &E) -> bool,
    ) -> Result<(), Error> {
        let mut happened_at = Instant::now();
        while !is_so(self, ear) {
            if self.turn(ear, Some(Duration::from_millis(100)))? {
                happened_at = Instant::now();
            } else if happened_at.elapsed() > PATIENCE {
                let ended = self.clients.iter().filter(|client| client.state == State::Ended).count();
                let all = self.clients.len();
                return Err(
                    format!("nothing for {PATIENCE:?}; the relay has closed {ended} of {all} connections").into()
                );
            }
        }
        Ok(())
    }

    /// Lets a client say something. What the relay does not take now goes later, in turns to come.
    pub(crate) fn say(&mut self, client: usize, bytes: &[u8]) {
        let client = &mut self.clients[client];
        match client.speech {
            Speech::Lines => client.unsent.extend_from_slice(bytes),
            Speech::Asking | Speech::Frames => browser::put_message(&mut client.unsent, bytes),
        }
        client.send();
    }

    /// Stops reading for a client.
    pub(crate) fn stop(&mut self, client: usize) {
        self.clients[client].state = State::Stopped;
    }

    /// Lets a stopped client read again.
    pub(crate) fn resume(&mut self, client: usize) {
        self.clients[client].state = State::Open;
        self.unread.push_back(client);
    }

    /// Ends a client's connection. Its number is not used again.
    pub(crate) fn close(&mut self, client: usize) {
        let client = &mut self.clients[client];
        client.state = State::Ended;
        // An error means that it is gone already.
        let _ = client.stream.shutdown(std::net::Shutdown::Both);
    }

    /// Handles events until a server has used no CPU for a while. Tells whether it has come to rest within a minute.
    pub(crate) fn until_idle(&mut self, pid: u32) -> io::Result<bool> {
        let mut cpu = Cpu::of(pid)?.total;
        for _ in 0..300 {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(200) {
                self.turn(&mut Deaf, Some(Duration::from_millis(50)))?;
            }
            let now = Cpu::of(pid)?.total;
            if now - cpu < Duration::from_millis(1) {
                return Ok(true);
            }
            cpu = now;
        }
        Ok(false)
    }

    /// Waits for events, and handles them. Tells whether anything came of it.
    pub(crate) fn turn(&mut self, ear: &mut impl Ear, timeout: Option<Duration>) -> io::Result<bool> {
        let timeout = if self.unread.is_empty() { timeout } else { Some(Duration::ZERO) };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => self.events.clear(),
            result => result?,
        }
        let mut has_happened = false;
        // Those who were left over first: an event may have put one of them back.
        for _ in 0..self.unread.len() {
            if let Some(client) = self.unread.pop_front() {
                has_happened |= self.clients[client].state == State::Open;
                self.hear(client, ear);
            }
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            has_happened = true;
            let index = event.token().0;
            let client = &mut self.clients[index];
            if event.is_writable() {
                if client.state == State::Connecting {
                    match client.stream.take_error() {
                        Ok(None) => client.state = State::Open,
                        _ => client.state = State::Ended,
                    }
                }
                client.send();
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.hear(index, ear);
            }
        }
        self.events = events;
        Ok(has_happened)
    }

    /// Reads once for a client.
    fn hear(&mut self, index: usize, ear: &mut impl Ear) {
        let client = &mut self.clients[index];
        if client.state != State::Open {
            return;
        }
        let kept = client.fragment.len();
        self.scratch[..kept].copy_from_slice(&client.fragment);
        match client.read(&mut self.scratch[kept..]) {
            Ok(0) => client.state = State::Ended,
            Ok(bytes) => {
                let filled = &self.scratch[..kept + bytes];
                if filled.len() == self.scratch.len() {
                    self.unread.push_back(index);
                }
                let now = Instant::now();
                let taken = if client.speech == Speech::Lines {
                    let end = memchr::memrchr(b'\n', filled).map_or(0, |newline| newline + 1);
                    if end > 0 {
                        ear.on_lines(index, &filled[..end], now);
                    }
                    end
                } else {
                    let on_lines = |lines: &[u8]| ear.on_lines(index, lines, now);
                    let taken = browser::take(&mut client.speech, filled, on_lines, &mut client.unsent);
                    self.pings += taken.pings;
                    client.send();
                    if taken.is_over {
                        client.state = State::Ended;
                    }
                    taken.bytes
                };
                client.fragment.clear();
                client.fragment.extend_from_slice(&filled[taken..]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => self.unread.push_back(index),
            Err(_) => client.state = State::Ended,
        }
    }
}

impl Client {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.sealing {
            None => self.stream.read(buffer),
            Some(sealing) => sealing.read(&mut self.stream, buffer),
        }
    }

    fn send(&mut self) {
        if let Some(sealing) = &mut self.sealing {
            if (!self.unsent.is_empty() || sealing.wants_write()) && self.state != State::Connecting {
                // The next read tells of an error.
                let _ = sealing.write(&mut self.stream, &mut self.unsent);
            }
            return;
        }
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(bytes) if bytes == self.unsent.len() => self.unsent.clear(),
                Ok(bytes) => {
                    self.unsent.drain(..bytes);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock || self.state == State::Connecting => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The next read tells.
                Err(_) => self.unsent.clear(),
            }
        }
    }
}

fn connect(address: SocketAddr, index: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let IpAddr::V4(ip) = address.ip()
        && ip.is_loopback()
    {
        let source = u8::try_from(1 + index % SOURCES).unwrap_or(1);
        socket.bind(&SocketAddr::from(([127, 0, 0, source], 0)).into())?;
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => return Err(error),
        _ => {}
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// Counts who was told anything at all.
pub(crate) struct Greeted {
    all: Range<usize>,
    who: Vec<bool>,
    pub(crate) count: usize,
}

impl Greeted {
    pub(crate) fn new(all: Range<usize>) -> Greeted {
        Greeted { who: vec![false; all.len()], all, count: 0 }
    }
}

impl Ear for Greeted {
    fn on_lines(&mut self, client: usize, _: &[u8], _: Instant) {
        if self.all.contains(&client) && !std::mem::replace(&mut self.who[client - self.all.start], true) {
            self.count += 1;
        }
    }
}
