//! A room at work: the room, its brake, its readers, the slow ones among them, and clients that wait for the brake.

use std::collections::VecDeque;
use std::time::Instant;

use super::connections::Connections;
use super::key_set::KeySet;
use crate::net::stream::Socket;
use crate::relay::past::Past;
use crate::relay::room::Room;
use crate::relay::tape::{Position, Tape};
use crate::server::connection::Handle;
use crate::server::flow::brake::Brake;

/// Everything that exists once per room.
///
/// Invariants:
/// - `flushed_to` is a position that the tape had at the beginning of the last walk that ended. Every healthy reader
///   outside `slow` has been sent all before it, or was behind by at most the brake's threshold then;
/// - `audience` holds the key of every connection that is owed this tape: members, and those that leave or move.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) room: Room,
    pub(super) brake: Brake,
    flushed_to: Position,
    audience: KeySet,
    /// Healthy readers that were far behind at the last walk that ended.
    slow: KeySet,
    walk: Option<Walk>,
    /// Members that have arrived from other rooms while this one waited for a slow reader, and are not announced yet;
    /// some of them may be leaving.
    pub(super) arrived: KeySet,
    /// Members with input that wait for the brake, first in first out.
    pub(super) held: VecDeque<Handle>,
    /// The number of those at the front that were found at the wall to have a line for the room next. The turn does
    /// not look at them again before the room goes on, or a member leaves.
    pub(super) looked_at: usize,
    /// Connections on their way here.
    pub(super) expected: u32,
    /// When the room is dropped; `None` while somebody is in it, is owed its tape, or is on the way.
    pub(super) dropped_at: Option<Instant>,
    /// The turn in which the brake's budget was last renewed.
    pub(super) turn: u32,
    pub(super) lists: Lists,
}

/// The lists of [`Rooms`](super::rooms::Rooms) that hold the room.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lists {
    pub(super) moved: bool,
    pub(super) unsettled: bool,
    pub(super) holding: bool,
    pub(super) announcing: bool,
    pub(super) outgoing: bool,
}

/// A walk over all readers, which flushes each. It may take several turns.
#[derive(Debug)]
pub(super) struct Walk {
    /// The end of the tape when it began.
    from: Position,
    /// The key to go on with.
    next_key: usize,
    /// Healthy readers that it found far behind.
    slow: KeySet,
}

/// The readers that are left of a walk, and what flushing them needs.
pub(super) struct WalkedReaders<'a> {
    pub(super) tape: &'a Tape,
    /// Bytes behind from which a reader counts as slow.
    pub(super) threshold: u64,
    pub(super) keys: &'a [u32],
    /// Bytes that a reader is owed which keeps up.
    pub(super) bytes_each: usize,
    pub(super) walk: &'a mut Walk,
}

impl Walk {
    /// Goes on at this key; at the end of all if there is none.
    pub(super) fn go_on_at(&mut self, key: Option<&u32>) {
        self.next_key = key.map_or(usize::MAX, |&key| key as usize);
    }

    /// Notes a healthy reader that is far behind.
    pub(super) fn note_slow(&mut self, key: usize) {
        self.slow.insert(key);
    }
}

impl Channel {
    pub(super) fn new(room: Room, brake: Brake) -> Channel {
        Channel {
            room,
            brake,
            flushed_to: Position::default(),
            audience: KeySet::default(),
            slow: KeySet::default(),
            walk: None,
            arrived: KeySet::default(),
            held: VecDeque::new(),
            looked_at: 0,
            expected: 0,
            dropped_at: None,
            turn: 0,
            lists: Lists::default(),
        }
    }

    /// Lets the room go on behind earlier logs: before its first member comes.
    pub(super) fn load(&mut self, past: Past, text: &[u8]) {
        self.room.load(past, text);
        self.flushed_to = self.tape().end();
    }

    pub(super) fn tape(&self) -> &Tape {
        self.room.tape()
    }

    /// Returns the number of readers: members, and connections that leave or move and are owed the tape.
    pub(super) fn readers(&self) -> usize {
        self.audience.len()
    }

    pub(super) fn audience(&self) -> &KeySet {
        &self.audience
    }

    /// Whether the room may be dropped, as far as its readers are concerned.
    pub(super) fn is_empty(&self) -> bool {
        self.audience.is_empty() && self.expected == 0
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
    pub(super) fn walk(&mut self) -> WalkedReaders<'_> {
        let bytes_each = usize::try_from(self.unflushed_bytes()).unwrap_or(usize::MAX);
        let (tape, threshold) = (self.room.tape(), self.brake.threshold());
        let begin = || Walk { from: tape.end(), next_key: 0, slow: KeySet::default() };
        let walk = self.walk.get_or_insert_with(begin);
        WalkedReaders { tape, threshold, keys: self.audience.from(walk.next_key), bytes_each, walk }
    }

    /// Ends a walk that has come to every reader.
    pub(super) fn end_walk(&mut self) {
        if let Some(walk) = self.walk.take() {
            self.flushed_to = walk.from;
            self.slow = walk.slow;
        }
    }

    /// Whether a departure, a lost name or an arrival is still to be announced.
    pub(super) fn has_unannounced(&self) -> bool {
        self.room.has_announcement() || !self.arrived.is_empty()
    }

    /// Whether the next of them can be announced: the tape has room for it.
    pub(super) fn can_announce(&self) -> bool {
        self.has_unannounced() && !self.brake.is_at_wall()
    }

    /// Tells the brake how far behind the slowest reader is.
    pub(super) fn settle<S: Socket>(&mut self, connections: &Connections<S>) {
        self.brake.set_slowest(self.slowest_bytes_behind(connections));
    }

    /// Returns the bytes of tape that the slowest healthy reader has not been sent; exact only after a walk, and above
    /// the brake's threshold. Readers outside `slow` count as up to date at the last walk, although they may have been
    /// behind by up to the threshold. Without a wall, bytes that no walk has offered to readers do not count: they say
    /// nothing about a reader.
    pub(super) fn slowest_bytes_behind<S: Socket>(&self, connections: &Connections<S>) -> u64 {
        let tape = self.tape();
        let slow = self.slow.iter().filter_map(|key| connections.get(key));
        let of_all = if self.brake.has_wall() { self.unflushed_bytes() } else { 0 };
        slow.map(|connection| connection.healthy_bytes_behind(tape)).fold(of_all, u64::max)
    }

    /// Adds a reader. Tells the brake about it if it gets much history, before the next walk measures all readers.
    pub(super) fn add_reader<S: Socket>(&mut self, key: usize, connections: &Connections<S>) {
        self.audience.insert(key);
        self.dropped_at = None;
        let bytes_behind = connections[key].healthy_bytes_behind(self.tape());
        if bytes_behind > self.brake.threshold() {
            self.slow.insert(key);
            if let Some(walk) = &mut self.walk {
                walk.slow.insert(key);
            }
            self.brake.on_newcomer(bytes_behind);
        }
    }

    /// Removes a reader. Its key may soon be another's.
    pub(super) fn remove_reader(&mut self, key: usize) -> bool {
        self.slow.remove(key);
        self.arrived.remove(key);
        if let Some(walk) = &mut self.walk {
            walk.slow.remove(key);
        }
        self.audience.remove(key)
    }
}
