//! A connection to Redis, made again and again. It owns the socket, the commands that wait for a reply, and the
//! deadline of each state.
//!
//! Sans-IO: the caller connects, and hands in the stream and the time. A stopped Redis keeps its connections open and
//! answers nothing, which neither keepalive nor a timeout of the kernel notices; so each state has a deadline here, and
//! each way out of it leads to a pause and another attempt.
//!
//! ```text
//! Pausing ─connected→ Connecting [TLS] ─written→ Greeting (AUTH, CLIENT SETNAME, ROLE) ─master→ Up
//!    ↑                     └────────────────────────────┴──────── any failure ───────────────────┘
//! ```
//!
//! A reply belongs to the oldest command without one. Both are dropped with their connection, so a reply of an earlier
//! connection never comes.

mod complaint;
mod wire;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write as _};
use std::mem;
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::{info, warn};

use self::complaint::{Complaint, cleaned};
pub use self::wire::{LinkTls, LinkTlsError};
use self::wire::{Shaken, Wire};
use super::address::Secret;
use super::resp::{Parser, Reply, RespError, push_command};
use super::throttle::{Kind, Throttle};
use crate::net::backoff::Backoff;
use crate::net::outbox::Outbox;
use crate::net::random;
use crate::net::stream::{Received, Socket, receive};
use crate::server::hub::{Readiness, Wake};

/// Time for a connection to take its first bytes, behind a TLS handshake if there is one.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Time for the replies to the greeting.
const GREETING_TIME: Duration = Duration::from_secs(5);

/// The first pause, before jitter. A restarted Redis is back within a second.
const PAUSE_FIRST: Duration = Duration::from_millis(100);

/// The longest pause, before jitter, and the pause after a refusal.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Time after which a connection counts as good: the next pause is the first again. One that fails at once must not
/// keep the loop busy.
const GOOD_AFTER: Duration = Duration::from_secs(5);

/// Bytes that one read takes: a reply to a read of streams in a few.
pub(in crate::server) const READ_BYTES: usize = 32 * 1024;

/// Name, password and TLS of a server, for the greeting. All its links share them.
#[derive(Debug)]
pub struct LinkSettings {
    name: String,
    user: Option<String>,
    password: Option<Secret>,
    tls: Option<LinkTls>,
    /// The log lines of the bus.
    throttle: RefCell<Throttle>,
}

/// A connection to Redis, or the pause before the next.
///
/// Invariants: without a connection that is up, no command waits, and nothing is to be written but the greeting. Each
/// deadline in `due` is no earlier than the one before it.
#[derive(Debug)]
pub struct Link<S> {
    settings: Rc<LinkSettings>,
    state: State<S>,
    parser: Parser,
    outbox: Outbox,
    /// The deadlines of the commands without reply, the oldest first.
    due: VecDeque<Instant>,
    /// Whether a read may find something.
    is_readable: bool,
    /// Whether a write may succeed.
    is_writable: bool,
    /// Whether the last read stopped although there may be more, so that no event announces it.
    owes_read: bool,
    backoff: Backoff,
    /// State of the generator of jitter.
    random: u64,
    connects: u64,
    refusal: Option<String>,
    scratch: Box<[u8]>,
}

/// State of a [`Link`].
#[derive(Debug)]
enum State<S> {
    /// There is no connection. Before the first attempt there is no pause.
    Pausing { until: Option<Instant> },
    /// Under way: nothing could be written.
    Connecting { wire: Wire<S>, until: Instant },
    /// The greeting is under way.
    Greeting { wire: Wire<S>, awaits: Greeting, until: Instant },
    /// Commands are answered.
    Up { wire: Wire<S>, since: Instant },
}

/// A command of the greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Greeting {
    /// `AUTH`, if there is a password.
    Password,
    /// `CLIENT SETNAME`: for operators of Redis, and needless otherwise.
    Name,
    /// `ROLE`: only a master takes entries.
    Role,
}

impl LinkSettings {
    /// Creates the settings of all links of a server. Operators of Redis see `name`, which holds no blanks, in
    /// `CLIENT LIST`.
    pub fn new(name: String, user: Option<String>, password: Option<Secret>, tls: Option<LinkTls>) -> LinkSettings {
        LinkSettings { name, user, password, tls, throttle: RefCell::default() }
    }

    /// Returns the greeting, and its first command.
    fn greeting(&self) -> (Vec<u8>, Greeting) {
        let mut bytes = Vec::new();
        match (&self.user, &self.password) {
            (Some(user), Some(password)) => {
                push_command(&mut bytes, &[b"AUTH", user.as_bytes(), password.expose().as_bytes()]);
            }
            (None, Some(password)) => push_command(&mut bytes, &[b"AUTH", password.expose().as_bytes()]),
            (_, None) => {}
        }
        push_command(&mut bytes, &[b"CLIENT", b"SETNAME", self.name.as_bytes()]);
        push_command(&mut bytes, &[b"ROLE"]);
        (bytes, if self.password.is_some() { Greeting::Password } else { Greeting::Name })
    }

    fn cleaned(&self, words: &str) -> String {
        cleaned(words, self.password.as_ref().map(Secret::expose))
    }

    /// Logs a line of the bus, unless one of its kind was logged lately.
    pub(super) fn warn(&self, kind: Kind, what: fmt::Arguments<'_>, now: Instant) {
        if self.throttle.borrow_mut().lets_through(kind, now) {
            warn!(target: "pollchat::bus", "the bus: {what}");
        }
    }
}

impl<S: Socket> Link<S> {
    /// Creates a link without a connection. The seed is that of its pauses.
    pub fn new(settings: Rc<LinkSettings>, seed: u64) -> Link<S> {
        Link {
            settings,
            state: State::Pausing { until: None },
            parser: Parser::default(),
            outbox: Outbox::default(),
            due: VecDeque::new(),
            is_readable: false,
            is_writable: false,
            owes_read: false,
            backoff: Backoff::new(PAUSE_FIRST, PAUSE_MAX),
            random: seed,
            connects: 0,
            refusal: None,
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
        }
    }

    /// Whether there is no connection, and the pause is over. The caller answers with [`connected`](Link::connected).
    pub fn wants_connection(&self, now: Instant) -> bool {
        matches!(self.state, State::Pausing { until } if until.is_none_or(|until| until <= now))
    }

    /// Takes a connection that is under way, or the reason why there is none.
    pub fn connected(&mut self, stream: io::Result<S>, now: Instant) {
        debug_assert!(matches!(self.state, State::Pausing { .. }), "there is a connection");
        match stream {
            Ok(socket) => match Wire::begin(socket, self.settings.tls.as_ref()) {
                Ok(wire) => {
                    // The first attempts find out, if no event has told.
                    (self.is_readable, self.is_writable) = (true, true);
                    self.state = State::Connecting { wire, until: now + CONNECT_TIME };
                }
                Err(error) => self.give_up(&format!("TLS: {error}"), now),
            },
            Err(error) => self.give_up(&format!("cannot connect: {error}"), now),
        }
    }

    /// Records the result of `poll` for the connection.
    pub fn on_ready(&mut self, readiness: Readiness) {
        self.is_readable |= readiness.readable;
        self.is_writable |= readiness.writable;
    }

    /// Whether Redis has greeted back, and is a master.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// Returns how many times it came up.
    pub fn connects(&self) -> u64 {
        self.connects
    }

    /// Queues a command. Its reply is due within that time, or within that of an earlier command if that is later;
    /// otherwise the connection fails. Does nothing while the link is not up.
    pub fn send(&mut self, arguments: &[&[u8]], within: Duration, now: Instant) {
        if !self.is_up() {
            return;
        }
        push_command(self.outbox.buffer(), arguments);
        let earliest = self.due.back().copied().unwrap_or(now);
        self.due.push_back(earliest.max(now + within));
    }

    /// Returns the reply to the oldest command; `None` if there is none now, or the link is not up. Reads the
    /// connection if need be.
    ///
    /// An error comes here only if the command may be repeated on this connection (`OOM`, `MISCONF`, `NOREPLICAS`), or
    /// if it says that there is no such key. Any other ends the connection.
    pub fn next_reply(&mut self, now: Instant) -> Option<Reply> {
        self.greet(now);
        if !self.is_up() {
            return None;
        }
        let reply = self.read_reply(now)?;
        if self.due.pop_front().is_none() {
            self.fail("Redis has sent a reply without a command", now);
            return None;
        }
        match &reply {
            Reply::Error(words) => self.judge(words, now).then_some(reply),
            _ => Some(reply),
        }
    }

    /// Drops the connection, if there is one, and pauses.
    pub fn fail(&mut self, why: &str, now: Instant) {
        if !matches!(self.state, State::Pausing { .. }) {
            self.give_up(why, now);
        }
    }

    /// Writes what was queued.
    pub fn flush(&mut self, now: Instant) {
        self.greet(now);
        self.write(now);
    }

    /// Returns the time of the next turn that it needs.
    pub fn next_wake(&self) -> Wake {
        if matches!(self.state, State::Pausing { until: None }) {
            return Wake::Now;
        }
        let is_unflushed =
            self.is_writable && (!self.outbox.is_empty() || matches!(self.state, State::Connecting { .. }));
        if is_unflushed || self.owes_read { Wake::Now } else { self.deadline().map_or(Wake::OnEvent, Wake::At) }
    }

    /// Returns the words of Redis that refuse the password, a command or the whole server; `None` once it is up. It is
    /// tried again after a pause.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// Returns the time at which its state ends, unless something happens before.
    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Pausing { until } => until,
            State::Connecting { until, .. } | State::Greeting { until, .. } => Some(until),
            State::Up { .. } => self.due.front().copied(),
        }
    }

    /// Takes the steps up to the greeting's end, and gives up when their time is over.
    fn greet(&mut self, now: Instant) {
        if let State::Connecting { until, .. } = self.state {
            // This process may have stood still: its events are old.
            self.on_ready(Readiness { readable: until <= now, writable: until <= now });
            if self.secure(now) {
                self.begin_greeting(now);
            }
            if until <= now && matches!(self.state, State::Connecting { .. }) {
                let what = if self.settings.tls.is_some() { "TLS connection" } else { "connection" };
                self.fail(&format!("no {what} within {} s", CONNECT_TIME.as_secs()), now);
            }
        }
        while let State::Greeting { awaits, .. } = self.state {
            self.write(now);
            match self.read_reply(now) {
                Some(reply) => self.hear_greeting(awaits, &reply, now),
                None => break,
            }
        }
    }

    /// Goes on to the greeting once the socket takes its first bytes.
    fn begin_greeting(&mut self, now: Instant) {
        if self.outbox.is_empty() {
            self.outbox.replace(self.settings.greeting().0);
        }
        let unsent = self.outbox.len();
        self.write(now);
        if self.outbox.len() == unsent || !matches!(self.state, State::Connecting { .. }) {
            return;
        }
        if let State::Connecting { wire, .. } = mem::replace(&mut self.state, State::Pausing { until: None }) {
            let awaits = self.settings.greeting().1;
            self.state = State::Greeting { wire, awaits, until: now + GREETING_TIME };
        }
    }

    /// Takes a step of the TLS handshake. Returns whether it is over, or there is none.
    fn secure(&mut self, now: Instant) -> bool {
        let State::Connecting { wire, .. } = &mut self.state else { return false };
        if wire.is_shaken() {
            return true;
        }
        if !self.is_readable && !self.is_writable {
            return false;
        }
        match wire.shake() {
            Shaken::Done => {
                // The event that it waited for was perhaps one for the other direction.
                (self.is_readable, self.is_writable) = (true, true);
                return true;
            }
            Shaken::NotYet => (self.is_readable, self.is_writable) = (false, false),
            Shaken::Untrusted(why) => self.refuse(&why, format_args!("Redis is not trusted: {why}"), now),
            Shaken::Failed(why) => self.fail(&why, now),
        }
        false
    }

    fn hear_greeting(&mut self, awaited: Greeting, reply: &Reply, now: Instant) {
        match (awaited, reply) {
            (Greeting::Name, Reply::Error(_)) => {}
            (_, Reply::Error(words)) => {
                if self.judge(words, now) {
                    self.hear_refusal(words, now);
                }
                return;
            }
            (Greeting::Role, Reply::Array(Some(parts))) => {
                return match parts.first() {
                    Some(Reply::Bulk(Some(role))) if **role == *b"master" => self.go_up(now),
                    Some(Reply::Bulk(Some(role))) => {
                        let role = self.settings.cleaned(&String::from_utf8_lossy(role));
                        self.fail(&format!("this Redis is no master (its role is {role})"), now);
                    }
                    _ => self.fail("no Redis answers on this port", now),
                };
            }
            (Greeting::Password | Greeting::Name, Reply::Simple(word)) if word == "OK" => {}
            _ => return self.fail("no Redis answers on this port", now),
        }
        if let State::Greeting { awaits, .. } = &mut self.state {
            *awaits = if awaited == Greeting::Password { Greeting::Name } else { Greeting::Role };
        }
    }

    fn go_up(&mut self, now: Instant) {
        if let State::Greeting { wire, .. } = mem::replace(&mut self.state, State::Pausing { until: None }) {
            self.state = State::Up { wire, since: now };
            self.refusal = None;
            self.connects += 1;
            if self.settings.throttle.borrow_mut().lets_up_through() {
                info!(target: "pollchat::bus", "the bus: connected to Redis");
            }
        }
    }

    /// Reads the next reply, whatever it answers.
    fn read_reply(&mut self, now: Instant) -> Option<Reply> {
        let is_late = self.deadline().is_some_and(|deadline| deadline <= now);
        // This process may have stood still: its events are old, and the reply may have come in time.
        self.is_readable |= is_late;
        loop {
            match self.parser.next_reply() {
                Ok(Some(reply)) => return Some(reply),
                Ok(None) if self.read(now) => {}
                Ok(None) => break,
                Err(error) => {
                    let hint = match (error, &self.state) {
                        (RespError::Type(0x15), _) => ": it is one of TLS, for which rediss:// stands",
                        (_, State::Greeting { .. }) => ": does another protocol answer on this port?",
                        _ => "",
                    };
                    self.fail(&format!("{error}{hint}"), now);
                    break;
                }
            }
        }
        if is_late {
            self.fail("Redis has not answered in time", now);
        }
        None
    }

    /// Reads once. Returns whether anything came.
    fn read(&mut self, now: Instant) -> bool {
        let (State::Greeting { wire, .. } | State::Up { wire, .. }) = &mut self.state else { return false };
        if !mem::take(&mut self.owes_read) && !self.is_readable {
            return false;
        }
        match receive(wire, &mut self.scratch) {
            Received::Bytes(bytes) => {
                self.parser.feed(&self.scratch[..bytes]);
                return true;
            }
            Received::NotYet => {
                self.owes_read = wire.has_more();
                self.is_readable = self.owes_read;
            }
            Received::End => self.fail("Redis has closed the connection", now),
            Received::Failed(error) => self.fail(&format!("the connection failed: {error}"), now),
        }
        false
    }

    /// Writes as much as the socket takes.
    fn write(&mut self, now: Instant) {
        while self.is_writable && !self.outbox.is_empty() {
            let (State::Connecting { wire, .. } | State::Greeting { wire, .. } | State::Up { wire, .. }) =
                &mut self.state
            else {
                return;
            };
            match wire.write(self.outbox.unsent()) {
                Ok(0) => self.fail("the connection takes nothing", now),
                Ok(bytes) => self.outbox.advance(bytes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_writable = false,
                Err(error) => self.fail(&format!("the connection failed: {error}"), now),
            }
        }
    }

    /// Acts on an error of Redis. Returns whether the connection goes on.
    fn judge(&mut self, words: &str, now: Instant) -> bool {
        match Complaint::of(words) {
            Complaint::NoKey => return true,
            Complaint::Later => {
                let words = self.settings.cleaned(words);
                self.settings.warn(Kind::Later, format_args!("Redis takes nothing now: {words}"), now);
                return true;
            }
            Complaint::NotNow => self.fail(&format!("Redis is not ready: {}", self.settings.cleaned(words)), now),
            Complaint::NoMaster => self.fail(&format!("Redis is no master: {}", self.settings.cleaned(words)), now),
            Complaint::Refusal => self.hear_refusal(words, now),
        }
        false
    }

    fn hear_refusal(&mut self, words: &str, now: Instant) {
        let words = self.settings.cleaned(words);
        self.refuse(&words, format_args!("Redis refuses: {words}"), now);
    }

    /// Drops the connection, and pauses for long: only an operator can mend that.
    fn refuse(&mut self, why: &str, what: fmt::Arguments<'_>, now: Instant) {
        self.settings.warn(Kind::Refused, what, now);
        self.refusal = Some(why.to_owned());
        self.drop_connection(Some(PAUSE_MAX), now);
    }

    fn give_up(&mut self, why: &str, now: Instant) {
        self.settings.warn(Kind::Failed, format_args!("{why}"), now);
        self.drop_connection(None, now);
    }

    /// Pauses for this time, or for one that doubles.
    fn drop_connection(&mut self, pause: Option<Duration>, now: Instant) {
        if matches!(self.state, State::Up { since, .. } if now.saturating_duration_since(since) >= GOOD_AFTER) {
            self.backoff.reset();
        }
        let jitter = random::split_mix(&mut self.random);
        let pause = pause.unwrap_or_else(|| self.backoff.next_delay(jitter));
        self.state = State::Pausing { until: Some(now + pause) };
        self.parser = Parser::default();
        self.outbox.clear();
        self.due.clear();
        (self.is_readable, self.is_writable, self.owes_read) = (false, false, false);
    }
}

#[cfg(test)]
mod tests;
