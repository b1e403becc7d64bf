//! The pipe form of the client: passes lines between any stdin and stdout and the server, unchanged.
//!
//! ```text
//! stdin ─read→ SendBuffer ─write→ server ─read→ Decoder ─clean lines→ queue of Stdout ─write→ stdout
//! ```
//!
//! Both directions are bounded. A full buffer stops the read before it: a slow server applies backpressure to stdin,
//! and a blocked stdout to the server. Neither direction blocks the other.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::address::ServerAddress;
use super::connect::Attempt;
use super::decoder::ServerLine;
use super::limits::{READ_BYTES, SCREEN_BYTES_MAX};
use super::progress::Progress;
use super::resolver::Resolver;
use super::session::Session;
use super::timestamps::Timestamps;
use super::{ClientError, Config, Ending};
use crate::net::stdio::stdin::Stdin;
use crate::net::stdio::stdout::{Stdout, StdoutError};
use crate::net::stream::Received;

const STDIN: Token = Token(0);
const STDOUT: Token = Token(1);
const SERVER: Token = Token(2);
const RESOLVER: Token = Token(3);

/// A session between stdin, stdout and a server.
#[derive(Debug)]
pub(super) struct PipeClient {
    address: ServerAddress,
    poll: Poll,
    stdin: Stdin,
    stdout: Stdout,
    session: Session,
    timestamps: Timestamps,
    scratch: Box<[u8; READ_BYTES]>,
}

/// Result of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    /// At least one event.
    Events,
    /// The timeout passed without an event.
    Timeout,
    /// A signal ended the poll.
    Interrupted,
}

impl PipeClient {
    /// Connects to the first address of the server that answers, and asks for the nick. Blocks until then.
    ///
    /// # Errors
    /// No address answers, or the poller fails.
    pub(super) fn connect(config: Config) -> Result<PipeClient, ClientError> {
        let address = config.server;
        let mut poll = Poll::new().map_err(ClientError::Poll)?;
        let mut resolver = Resolver::new(address.clone(), poll.registry(), RESOLVER).map_err(ClientError::Poll)?;
        let attempt = Attempt::new(&mut resolver, SERVER, Instant::now());
        let connected = match attempt.wait(&mut resolver, &mut poll) {
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

    /// Runs until one side ends the session.
    ///
    /// # Errors
    /// The connection is lost, the server stops reading, or stdin or stdout fails.
    pub(super) fn run(mut self) -> Result<Ending, ClientError> {
        let mut events = Events::with_capacity(8);
        loop {
            let mut progress = self.read_stdin()?;
            progress |= self.session.send(Instant::now());
            progress |= self.receive();
            match self.stdout.flush() {
                Ok(0) => {}
                Ok(_) => {
                    self.session.mark_progress(Instant::now());
                    progress = Progress::Made;
                }
                Err(StdoutError::Closed) => return Ok(Ending::Complete),
                Err(StdoutError::Failed(err)) => return Err(ClientError::Stdout(err)),
            }
            if self.session.is_finished() && self.stdout.waiting_bytes() == 0 {
                return self.ending();
            }
            let grace_left = self.session.grace_left();
            let timeout = match progress {
                Progress::Made => Some(Duration::ZERO),
                Progress::None => self.timeout(grace_left),
            };
            let waited = self.wait(&mut events, timeout).map_err(ClientError::Poll)?;
            // Time alone does not decide: a client that was stopped (Ctrl-Z) for longer has unread events.
            let is_idle = progress == Progress::None && waited != Waited::Events;
            if is_idle && grace_left == Some(Duration::ZERO) {
                return self.ending();
            }
            if waited != Waited::Interrupted {
                self.flush_partial();
            }
        }
    }

    /// Reads stdin once, if the session has space for a full read.
    fn read_stdin(&mut self) -> Result<Progress, ClientError> {
        if !self.session.is_open() || self.session.free_bytes() < self.scratch.len() {
            return Ok(Progress::None);
        }
        let received = self.stdin.read(&mut self.scratch[..]);
        let now = Instant::now();
        match received {
            Received::NotYet => return Ok(Progress::None),
            Received::Bytes(len) => {
                self.session.mark_progress(now);
                self.session.queue(&self.scratch[..len], now);
            }
            Received::End => self.session.finish_sending(now),
            Received::Failed(err) => return Err(ClientError::Stdin(err)),
        }
        Ok(Progress::Made)
    }

    /// Reads from the server once, if the queue of stdout has space.
    fn receive(&mut self) -> Progress {
        if self.stdout.holds(SCREEN_BYTES_MAX) {
            return Progress::None;
        }
        let (queue, timestamps) = (self.stdout.queue(), &self.timestamps);
        self.session.receive(&mut self.scratch, Instant::now(), &mut |line| show(line, timestamps, queue))
    }

    fn flush_partial(&mut self) {
        if !self.stdout.holds(SCREEN_BYTES_MAX) {
            let (queue, timestamps) = (self.stdout.queue(), &self.timestamps);
            self.session.flush_partial(Instant::now(), &mut |line| show(line, timestamps, queue));
        }
    }

    /// The longest time to wait for events; `None` without a deadline.
    fn timeout(&self, grace_left: Option<Duration>) -> Option<Duration> {
        let flush_at = self.session.flush_deadline().filter(|_| !self.stdout.holds(SCREEN_BYTES_MAX));
        let flush_in = flush_at.map(|at| at.saturating_duration_since(Instant::now()));
        [grace_left, flush_in].into_iter().flatten().min()
    }

    /// Waits for events and records them.
    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<Waited> {
        match self.poll.poll(events, timeout) {
            // Ctrl-Z and `fg` cause this.
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
        Ok(if events.is_empty() { Waited::Timeout } else { Waited::Events })
    }

    /// Returns the result of a session that is finished, or whose grace is over.
    fn ending(self) -> Result<Ending, ClientError> {
        self.session.into_reason().into_result(self.address)?;
        match self.stdout.waiting_bytes() {
            0 => Ok(Ending::Complete),
            bytes => Ok(Ending::Unshown(bytes)),
        }
    }
}

fn show(line: ServerLine<'_>, timestamps: &Timestamps, shown: &mut VecDeque<u8>) {
    for part in [timestamps.prefix().as_str(), line.mark(), line.text, "\n"] {
        shown.extend(part.as_bytes());
    }
}
