//! A fake Redis, and the connections of hubs in memory to it.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use pollchat::server::bus::End;
use pollchat::server::hub::{Hub, Wake};

use super::hub::{FakeSocket, Incoming, Peer, READABLE, World};
use super::redis::FakeRedis;

/// 2026-01-01, in ms since 1970: the time of day of Redis when the test began.
pub(crate) const DAY_MS: u64 = 1_767_225_600_000;

/// The connection of one end of a hub's bus.
struct Link {
    hub: usize,
    end: End,
    /// Its number at Redis.
    client: usize,
    peer: Rc<RefCell<Peer>>,
}

/// A Redis, and all connections to it.
pub(crate) struct RedisLinks {
    pub(crate) redis: FakeRedis,
    /// Whether dials are refused.
    pub(crate) is_refusing: bool,
    /// Dials so far.
    pub(crate) dials: usize,
    started: Instant,
    links: Vec<Link>,
}

impl RedisLinks {
    /// Begins at the time of a world.
    pub(crate) fn new(now: Instant) -> RedisLinks {
        RedisLinks { redis: FakeRedis::new(), is_refusing: false, dials: 0, started: now, links: Vec::new() }
    }

    /// The time of day of Redis.
    pub(crate) fn unix_ms(&self, now: Instant) -> u64 {
        DAY_MS + u64::try_from(now.duration_since(self.started).as_millis()).expect("a short test")
    }

    /// Dials for the ends of a hub, and carries bytes in both directions. Returns whether there was anything to do.
    /// `number` tells the hubs of a test apart.
    pub(crate) fn serve(&mut self, number: usize, hub: &mut Hub<FakeSocket>, now: Instant) -> bool {
        let mut has_moved = false;
        while let Some(end) = hub.wanted_bus_end(now) {
            has_moved = true;
            let stream = self.dial(number, end);
            let is_made = stream.is_ok();
            hub.connect_bus(end, stream, now);
            if is_made {
                let writable = pollchat::server::hub::Readiness { readable: false, writable: true };
                hub.on_bus_ready(end, writable);
            }
        }
        let unix_ms = self.unix_ms(now);
        self.redis.advance(unix_ms);
        for link in self.links.iter().filter(|link| link.hub == number) {
            let (bytes, is_closed) = {
                let mut peer = link.peer.borrow_mut();
                (std::mem::take(&mut peer.received), peer.is_closed)
            };
            has_moved |= !bytes.is_empty();
            if is_closed {
                self.redis.desert(link.client);
            }
            self.redis.receive(link.client, &bytes, unix_ms);
            has_moved |= answer(&mut self.redis, link, hub);
        }
        self.links.retain(|link| !link.peer.borrow().is_closed);
        has_moved
    }

    /// Resets the connections of a hub.
    pub(crate) fn cut(&mut self, number: usize, hub: &mut Hub<FakeSocket>) {
        for link in self.links.extract_if(.., |link| link.hub == number) {
            self.redis.desert(link.client);
            link.peer.borrow_mut().incoming.push_back(Incoming::Error(ErrorKind::ConnectionReset));
            hub.on_bus_ready(link.end, READABLE);
        }
    }

    fn dial(&mut self, hub: usize, end: End) -> io::Result<FakeSocket> {
        self.dials += 1;
        if self.is_refusing {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let peer = Rc::new(RefCell::new(Peer { room: usize::MAX, ..Peer::default() }));
        self.links.push(Link { hub, end, client: self.redis.connect(), peer: Rc::clone(&peer) });
        Ok(FakeSocket(peer))
    }
}

/// Gives a hub what Redis has answered.
fn answer(redis: &mut FakeRedis, link: &Link, hub: &mut Hub<FakeSocket>) -> bool {
    let replies = redis.take_replies(link.client, usize::MAX);
    let mut peer = link.peer.borrow_mut();
    let is_over = redis.has_ended(link.client) && !matches!(peer.incoming.back(), Some(Incoming::End));
    if replies.is_empty() && !is_over || peer.is_closed {
        return false;
    }
    if !replies.is_empty() {
        peer.incoming.push_back(Incoming::Bytes(replies));
    }
    if is_over {
        peer.incoming.push_back(Incoming::End);
    }
    drop(peer);
    hub.on_bus_ready(link.end, READABLE);
    true
}

/// Lets hubs and Redis talk until all wait: for events or for a later time.
pub(crate) fn run_together(worlds: &mut [&mut World], links: &mut RedisLinks) {
    for _ in 0..100_000 {
        let mut has_moved = false;
        for (number, world) in worlds.iter_mut().enumerate() {
            has_moved |= links.serve(number, &mut world.hub, world.now);
            world.turn();
            let wake = world.hub.next_wake();
            has_moved |= wake == Wake::Now || matches!(wake, Wake::At(time) if time <= world.now);
            has_moved |= links.serve(number, &mut world.hub, world.now);
        }
        if !has_moved {
            return;
        }
    }
    panic!("the hubs never rest");
}

/// Lets this time pass for all of them, in steps of at most 50 ms.
pub(crate) fn pass_together(worlds: &mut [&mut World], links: &mut RedisLinks, time: Duration) {
    let steps = time.as_millis().div_ceil(50).max(1);
    let step = time / u32::try_from(steps).expect("a short time");
    run_together(worlds, links);
    for _ in 0..steps {
        worlds.iter_mut().for_each(|world| world.now += step);
        run_together(worlds, links);
    }
}
