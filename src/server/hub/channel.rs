//! A room at work: the room, its brake, and its slow readers.
//!
//! A hub has exactly one channel. All members read it, so the flush pass walks the whole slab. With a second room, each
//! channel would need a list of its readers' keys.

use std::ops::Range;

use super::connections::Connections;
use crate::net::stream::Socket;
use crate::relay::event::Event;
use crate::relay::room::Room;
use crate::relay::roster::Roster;
use crate::relay::tape::{Position, Tape};
use crate::server::flow::brake::Brake;

/// Everything that exists once per room.
///
/// Invariant: `flushed_to` is a position that the tape had at the beginning of the last walk that ended. Every healthy
/// reader outside `slow` has been sent all before it, or was behind by at most the brake's threshold then.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) room: Room,
    pub(super) brake: Brake,
    flushed_to: Position,
    /// Healthy readers that were far behind at the last walk that ended.
    slow: Vec<usize>,
    walk: Option<Walk>,
}

/// A walk over all readers, which flushes each. It may take several turns.
#[derive(Debug)]
pub(super) struct Walk {
    /// The end of the tape when it began.
    from: Position,
    /// The key to go on with.
    next_key: usize,
    /// Healthy readers that it found far behind.
    slow: Vec<usize>,
}

impl Walk {
    /// Takes out the next `count` keys, or those that are left below `end`.
    pub(super) fn next_keys(&mut self, count: usize, end: usize) -> Range<usize> {
        let keys = self.next_key..end.min(self.next_key + count);
        self.next_key = keys.end.max(keys.start);
        keys
    }

    /// Notes a healthy reader that is far behind.
    pub(super) fn note_slow(&mut self, key: usize) {
        self.slow.push(key);
    }
}

impl Channel {
    pub(super) fn new(room: Room, brake: Brake) -> Channel {
        Channel { room, brake, flushed_to: Position::default(), slow: Vec::new(), walk: None }
    }

    pub(super) fn tape(&self) -> &Tape {
        self.room.tape()
    }

    /// Whether the tape has moved since all readers were flushed.
    pub(super) fn has_moved(&self) -> bool {
        self.tape().end() != self.flushed_to
    }

    /// Returns the bytes of tape that a reader may not have been sent, although it takes all that it is offered.
    pub(super) fn unflushed_bytes(&self) -> u64 {
        self.tape().end().offset - self.flushed_to.offset
    }

    /// Goes on with the walk over all readers, or begins one.
    pub(super) fn take_walk(&mut self) -> Walk {
        self.walk.take().unwrap_or_else(|| Walk { from: self.tape().end(), next_key: 0, slow: Vec::new() })
    }

    /// Keeps a walk for the next turn.
    pub(super) fn put_off(&mut self, walk: Walk) {
        self.walk = Some(walk);
    }

    /// Ends a walk that has come to every reader.
    pub(super) fn end_walk(&mut self, walk: Walk) {
        self.flushed_to = walk.from;
        self.slow = walk.slow;
    }

    /// Announces members that left, as far as the tape has room for it (`--lag wait`).
    pub(super) fn announce_departed(&mut self, roster: &mut Roster) {
        while self.can_announce_departed() {
            let applied = self.room.apply(roster, Event::Departed);
            self.brake.spend(applied.bytes);
        }
    }

    /// Whether a departure is still to be announced, and the tape has room for it.
    pub(super) fn can_announce_departed(&self) -> bool {
        self.room.has_departed() && !self.brake.is_at_wall()
    }

    /// Returns the bytes of tape that the slowest healthy reader has not been sent; exact only after a walk, and above
    /// the brake's threshold. Readers outside `slow` count as up to date at the last walk, although they may have been
    /// behind by up to the threshold. Without a wall, bytes that no walk has offered to readers do not count: they say
    /// nothing about a reader.
    pub(super) fn slowest_bytes_behind<S: Socket>(&self, connections: &Connections<S>) -> u64 {
        let tape = self.tape();
        let slow = self.slow.iter().filter_map(|&key| connections.get(key));
        let of_all = if self.brake.has_wall() { self.unflushed_bytes() } else { 0 };
        slow.map(|connection| connection.healthy_bytes_behind(tape)).fold(of_all, u64::max)
    }

    /// Tells the brake about a newcomer that gets history, before the next flush pass measures all readers.
    pub(super) fn on_newcomer<S: Socket>(&mut self, key: usize, connections: &Connections<S>) {
        let bytes_behind = connections[key].healthy_bytes_behind(self.tape());
        if bytes_behind > self.brake.threshold() {
            self.slow.push(key);
            if let Some(walk) = &mut self.walk {
                walk.slow.push(key);
            }
            self.brake.on_newcomer(bytes_behind);
        }
    }
}
