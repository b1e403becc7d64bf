//! A room at work: the room, its brake, and its slow readers.
//!
//! A hub has exactly one channel. All members read it, so the flush pass walks the whole slab. With a second room, each
//! channel would need a list of its readers' keys.

use super::connections::Connections;
use crate::net::stream::Socket;
use crate::relay::event::Event;
use crate::relay::room::Room;
use crate::relay::roster::Roster;
use crate::relay::tape::{Position, Tape};
use crate::server::flow::brake::Brake;

/// Everything that exists once per room.
///
/// Invariant: `flushed_to` is a position that the tape had at the end of a flush pass; every healthy reader outside
/// `slow` was behind by at most the brake's threshold then.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) room: Room,
    pub(super) brake: Brake,
    /// The end of the tape when all readers were last flushed.
    pub(super) flushed_to: Position,
    /// Healthy readers that were far behind when all were last flushed.
    pub(super) slow: Vec<usize>,
}

impl Channel {
    pub(super) fn new(room: Room, brake: Brake) -> Channel {
        Channel { room, brake, flushed_to: Position::default(), slow: Vec::new() }
    }

    pub(super) fn tape(&self) -> &Tape {
        self.room.tape()
    }

    /// Whether the tape has moved since all readers were flushed.
    pub(super) fn has_moved(&self) -> bool {
        self.tape().end() != self.flushed_to
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

    /// Returns the bytes of tape that the slowest healthy reader has not been sent; exact only after a flush pass, and
    /// above the brake's threshold. Readers outside `slow` count as up to date at the last flush pass, although they
    /// may have been behind by up to the threshold.
    pub(super) fn slowest_bytes_behind<S: Socket>(&self, connections: &Connections<S>) -> u64 {
        let tape = self.tape();
        let slow = self.slow.iter().filter_map(|&key| connections.get(key));
        let of_all = tape.end().offset - self.flushed_to.offset;
        slow.map(|connection| connection.healthy_bytes_behind(tape)).fold(of_all, u64::max)
    }

    /// Tells the brake about a newcomer that gets history, before the next flush pass measures all readers.
    pub(super) fn on_newcomer<S: Socket>(&mut self, key: usize, connections: &Connections<S>) {
        let bytes_behind = connections[key].healthy_bytes_behind(self.tape());
        if bytes_behind > self.brake.threshold() {
            self.slow.push(key);
            self.brake.on_newcomer(bytes_behind);
        }
    }
}
