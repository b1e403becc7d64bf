//! The network between the servers and Redis: connections, and bytes that come late.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use pollchat::server::bus::End;

use crate::chance::Chance;
use crate::net::{FakeSocket, Reset, Shared, Wire};
use crate::redis::FakeRedis;
use crate::said::Ear;
use crate::setting::{Fault, Faults};

/// 2026-01-01, in ms since 1970.
const DAY_MS: u64 = 1_767_225_600_000;

/// A connection of a server to Redis.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) server: usize,
    pub(super) end: End,
    pub(super) wire: Rc<RefCell<Wire>>,
    /// Its number at Redis.
    client: usize,
    /// Replies on their way.
    replies: Vec<u8>,
    /// Whether it broke. The server is still to be told.
    is_broken: bool,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wire = self.wire.borrow();
        let (edge, bytes, replies) = (wire.has_edge(), wire.outgoing(), self.replies.len());
        write!(f, "{:?} of {}: edge {edge}, {bytes} bytes on their way, {replies} back", self.end, self.server)
    }
}

/// Bytes that a broken connection left on its way to Redis.
#[derive(Debug)]
struct Late {
    client: usize,
    bytes: Vec<u8>,
    due: Instant,
}

/// Redis, and all connections to it.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) redis: FakeRedis,
    pub(super) links: Vec<Link>,
    late: Vec<Late>,
    /// Until when dials are refused.
    pub(super) refusing_until: Option<Instant>,
    chance: Chance,
    faults: Faults,
    started: Instant,
    /// Bytes that a socket takes at most.
    room: usize,
}

impl Network {
    pub(super) fn new(mut chance: Chance, faults: Faults, started: Instant) -> Network {
        Network {
            redis: FakeRedis::new(),
            links: Vec::new(),
            late: Vec::new(),
            refusing_until: None,
            faults,
            started,
            room: chance.pick(&[100, 1_000, 30_000]),
            chance,
        }
    }

    /// The time of day of Redis, as far as nothing has put it back.
    pub(super) fn unix_ms(&self, now: Instant) -> u64 {
        DAY_MS + u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    /// Dials for an end of a server.
    pub(super) fn dial(&mut self, server: usize, end: End, shared: &Rc<Shared>) -> io::Result<FakeSocket> {
        if self.refusing_until.is_some_and(|until| until > shared.now.get()) {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let room = (self.chance.up_to(self.room).max(20), self.chance.up_to(self.room).max(20));
        // An ear that only counts.
        let mut wire = Wire::new(shared, self.chance.fork(), self.faults, Ear::at_door(1), room);
        wire.keep_taken();
        wire.watch();
        if self.faults.has(Fault::Reset) && self.chance.one_in(40) {
            wire.tear_down();
        }
        let wire = Rc::new(RefCell::new(wire));
        let client = self.redis.connect();
        self.links.push(Link { server, end, wire: Rc::clone(&wire), client, replies: Vec::new(), is_broken: false });
        Ok(FakeSocket(wire))
    }

    /// Carries bytes in both directions: some of them, or all.
    pub(super) fn carry(&mut self, now: Instant, is_lazy: bool) {
        let unix_ms = self.unix_ms(now);
        self.redis.advance(unix_ms);
        let due: Vec<Late> = self.late.extract_if(.., |late| late.due <= now).collect();
        for late in due {
            self.redis.receive(late.client, &late.bytes, unix_ms);
        }
        for at in (0..self.links.len()).rev() {
            if is_lazy && self.chance.one_in(3) {
                continue;
            }
            let (is_closed, is_reset) = {
                let wire = self.links[at].wire.borrow();
                (wire.is_closed, wire.reset != Reset::No)
            };
            if !self.links[at].is_broken && (is_closed || is_reset) {
                self.bury(at, now);
            }
            if is_closed {
                self.links.swap_remove(at);
            } else if !self.links[at].is_broken {
                self.carry_over(at, unix_ms, is_lazy);
            }
        }
    }

    fn carry_over(&mut self, at: usize, unix_ms: u64, is_lazy: bool) {
        let link = &mut self.links[at];
        let mut wire = link.wire.borrow_mut();
        wire.written.clear();
        wire.rests.clear();
        let bytes = wire.outgoing();
        let some = if is_lazy && bytes > 0 { self.chance.up_to(bytes) } else { bytes };
        wire.take(some);
        let taken = std::mem::take(&mut wire.taken);
        if !taken.is_empty() {
            self.redis.receive(link.client, &taken, unix_ms);
        }
        link.replies.extend(self.redis.take_replies(link.client, 1 << 20));
        let some = if is_lazy { self.chance.below(link.replies.len() + 1) } else { link.replies.len() };
        let sent = wire.send(&link.replies[..some]);
        link.replies.drain(..sent);
        if link.replies.is_empty() && self.redis.has_ended(link.client) {
            if self.chance.one_in(2) { wire.tear_down() } else { wire.end() }
        }
    }

    /// Resets a connection.
    pub(super) fn cut(&mut self, at: usize, now: Instant) {
        if !self.links[at].is_broken {
            self.bury(at, now);
            self.links[at].wire.borrow_mut().tear_down();
        }
    }

    /// Bytes on their way to Redis over a connection that broke come late, in part, or never.
    fn bury(&mut self, at: usize, now: Instant) {
        let link = &mut self.links[at];
        link.is_broken = true;
        let (client, mut bytes) = {
            let mut wire = link.wire.borrow_mut();
            wire.take(usize::MAX);
            (link.client, std::mem::take(&mut wire.taken))
        };
        self.redis.desert(client);
        if self.chance.one_in(3) {
            bytes.truncate(self.chance.below(bytes.len() + 1));
        }
        if bytes.is_empty() {
            return;
        }
        let pauses = if self.faults.has(Fault::LateBytes) { &[0, 5, 300, 3_000][..] } else { &[0][..] };
        let due = now + Duration::from_millis(self.chance.pick(pauses));
        self.late.push(Late { client, bytes, due });
    }

    /// The faults stop.
    pub(super) fn calm_down(&mut self) {
        self.faults = Faults::NONE;
        self.refusing_until = None;
        self.room = 1 << 20;
        self.links.iter().for_each(|link| link.wire.borrow_mut().calm_down());
    }

    /// The connections of a server.
    pub(super) fn links_of(&self, server: usize) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |link| link.server == server)
    }

    /// The next time at which something comes of itself.
    pub(super) fn next_wake(&self, now: Instant) -> Option<Instant> {
        let unix_ms = self.unix_ms(now);
        let redis =
            self.redis.next_wake_ms().map(|end| now + Duration::from_millis(end.saturating_sub(unix_ms).max(1)));
        redis
            .into_iter()
            .chain(self.late.iter().map(|late| late.due))
            .chain(self.refusing_until.filter(|until| *until > now))
            .min()
    }
}
