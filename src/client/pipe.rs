//! The pipe form: lines from any stdin to the server, and its lines to any stdout, as they are.
//!
//! ```text
//! stdin ─read→ SendBuffer ─write→ server ─read→ Decoder ─clean lines→ queue of Stdout ─write→ stdout
//! ```
//!
//! Each of the two ways is bounded, and when it is full, it is not read into: a slow server holds stdin back, a stuck
//! stdout holds the server back, and neither holds up the other way.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::address::ServerAddress;
use super::connect::Attempt;
use super::decoder::ServerLine;
use super::limits::{READ_BYTES, SCREEN_BYTES_MAX};
use super::session::Session;
use super::timestamps::Timestamps;
use super::{ClientError, Config, Ending};
use crate::net::stdio::stdin::Stdin;
use crate::net::stdio::stdout::{Stdout, StdoutError};
use crate::net::stream::Received;

const STDIN: Token = Token(0);
const STDOUT: Token = Token(1);
const SERVER: Token = Token(2);

/// A session with a server, from stdin and to stdout.
#[derive(Debug)]
pub struct PipeClient {
    address: ServerAddress,
    poll: Poll,
    stdin: Stdin,
    stdout: Stdout,
    session: Session,
    timestamps: Timestamps,
    scratch: Box<[u8; READ_BYTES]>,
}

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    /// Events, all that there were.
    Events,
    /// None, within the time.
    Nothing,
    /// A signal.
    Interrupted,
}

impl PipeClient {
    /// Connects to the first of the server's addresses that answers, and asks for the nick. Blocks while it does.
    ///
    /// # Errors
    /// When no address can be connected to, or the poller cannot be had.
    pub fn connect(config: Config) -> Result<PipeClient, ClientError> {
        let address = config.server;
        let mut poll = Poll::new().map_err(ClientError::Poll)?;
        let connected = address.resolve().and_then(|candidates| Attempt::new(candidates).wait(&mut poll, SERVER));
        let connected = match connected {
            Ok(connected) => connected,
            Err(source) => return Err(ClientError::Connect { address, source }),
        };
        let stdin = Stdin::register(poll.registry(), STDIN).map_err(ClientError::Poll)?;
        let stdout = Stdout::register(poll.registry(), STDOUT).map_err(ClientError::Poll)?;
        let now = Instant::now();
        let mut session = Session::new(connected, config.flush_after, now);
        if let Some(nick) = config.nick {
            session.queue(format!("/nick {nick}\n").as_bytes(), now);
        }
        let timestamps = Timestamps::new(config.timestamps);
        Ok(PipeClient { address, poll, stdin, stdout, session, timestamps, scratch: Box::new([0; READ_BYTES]) })
    }

    /// Talks until one of the two sides ends it.
    ///
    /// # Errors
    /// When the connection is lost, the server stops taking what was typed, or stdin or stdout cannot be used.
    pub fn run(mut self) -> Result<Ending, ClientError> {
        let mut events = Events::with_capacity(8);
        loop {
            self.read_stdin()?;
            self.session.send(Instant::now());
            self.receive();
            let shown_bytes = match self.stdout.flush() {
                Ok(shown) => shown,
                Err(StdoutError::Closed) => return Ok(Ending::Complete),
                Err(StdoutError::Failed(err)) => return Err(ClientError::Stdout(err)),
            };
            if shown_bytes > 0 {
                self.session.mark_progress(Instant::now());
            }
            if self.session.is_over() && self.stdout.waiting_bytes() == 0 {
                return self.ending();
            }
            let (grace_left, is_busy) = (self.session.grace_left(), self.is_busy());
            let timeout = if is_busy { Some(Duration::ZERO) } else { self.timeout(grace_left) };
            let waited = self.wait(&mut events, timeout).map_err(ClientError::Poll)?;
            // The time alone does not decide: who was stopped (Ctrl-Z) for longer has yet to see what came meanwhile.
            if grace_left == Some(Duration::ZERO) && !is_busy && waited != Waited::Events {
                return self.ending();
            }
            if waited != Waited::Interrupted {
                self.flush_partial();
            }
        }
    }

    /// Reads stdin once, if there is room for it.
    fn read_stdin(&mut self) -> Result<(), ClientError> {
        if !self.may_read_stdin() {
            return Ok(());
        }
        match self.stdin.read(&mut self.scratch[..]) {
            Received::NotYet => {}
            Received::Bytes(len) => {
                let now = Instant::now();
                self.session.mark_progress(now);
                self.session.queue(&self.scratch[..len], now);
            }
            Received::End => self.session.finish_sending(Instant::now()),
            Received::Failed(err) => return Err(ClientError::Stdin(err)),
        }
        Ok(())
    }

    /// Reads from the server once, if there is room for it.
    fn receive(&mut self) {
        if self.may_receive() {
            let (queue, timestamps) = (self.stdout.queue(), &self.timestamps);
            self.session.receive(&mut self.scratch, Instant::now(), &mut |line| show(line, timestamps, queue));
        }
    }

    fn flush_partial(&mut self) {
        if !self.stdout.holds(SCREEN_BYTES_MAX) {
            let (queue, timestamps) = (self.stdout.queue(), &self.timestamps);
            self.session.flush_partial(Instant::now(), &mut |line| show(line, timestamps, queue));
        }
    }

    /// How long to wait for events at most.
    fn timeout(&self, grace_left: Option<Duration>) -> Option<Duration> {
        let flush_deadline = self.session.flush_deadline().filter(|_| !self.stdout.holds(SCREEN_BYTES_MAX));
        let silence = flush_deadline.map(|at| at.saturating_duration_since(Instant::now()));
        [grace_left, silence].into_iter().flatten().min()
    }

    /// Waits for events, and takes note of them.
    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<Waited> {
        match self.poll.poll(events, timeout) {
            // Ctrl-Z and `fg` do this. The loop looks at the timestamps and comes back.
            Err(err) if err.kind() == io::ErrorKind::Interrupted => return Ok(Waited::Interrupted),
            result => result?,
        }
        for event in events.iter() {
            match event.token() {
                STDIN => self.stdin.on_event(),
                STDOUT => self.stdout.on_event(),
                _ => self.session.on_event(event),
            }
        }
        Ok(if events.is_empty() { Waited::Nothing } else { Waited::Events })
    }

    /// What is to be line of the session, now that it is over or stands still.
    fn ending(self) -> Result<Ending, ClientError> {
        self.session.into_reason().into_result(self.address)?;
        match self.stdout.waiting_bytes() {
            0 => Ok(Ending::Complete),
            bytes => Ok(Ending::Unshown(bytes)),
        }
    }

    /// Whether something can be done without waiting.
    fn is_busy(&self) -> bool {
        self.may_read_stdin() || self.session.may_send() || self.may_receive() || self.stdout.is_due()
    }

    fn may_read_stdin(&self) -> bool {
        self.session.is_open() && self.stdin.may_read() && self.session.free_bytes() >= self.scratch.len()
    }

    fn may_receive(&self) -> bool {
        self.session.may_receive() && !self.stdout.holds(SCREEN_BYTES_MAX)
    }
}

fn show(line: ServerLine<'_>, timestamps: &Timestamps, shown: &mut VecDeque<u8>) {
    for part in [timestamps.prefix().as_str(), line.mark(), line.text, "\n"] {
        shown.extend(part.as_bytes());
    }
}
