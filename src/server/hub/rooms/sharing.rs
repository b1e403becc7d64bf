//! Rooms as other servers share them: the records on their way to the bus, and what came from it.
//!
//! A shared room has two steps. What is said goes to the bus in the flush of the same turn, and costs the gate of its
//! brake. What was read back moves the tape, and costs the turn. The streams of the bus follow the rooms in order: the
//! number of a room that is dropped may be another's in the same turn.

use std::mem;

use super::Rooms;
use crate::relay::directory::{Directory, RoomId};
use crate::relay::name::Name;
use crate::relay::notice::Notice;
use crate::relay::record::Record;
use crate::relay::room::Outgoing;
use crate::relay::sequence::EntryId;
use crate::relay::tape::Span;
use crate::server::flow::brake::Brake;
use crate::server::hub::channel::Channel;

/// The state of the shared rooms.
///
/// Invariant: `outgoing` holds each room with records on their way to the bus, once.
#[derive(Debug, Default)]
pub(in crate::server::hub) struct Sharing {
    /// Rooms with records on their way to the bus, first in first out.
    outgoing: Vec<RoomId>,
    /// Rooms that were opened or dropped, in that order, which the bus does not know yet.
    changes: Vec<StreamChange>,
}

/// A change of the rooms, for the bus.
#[derive(Debug)]
pub(in crate::server::hub) enum StreamChange {
    /// A room was opened, with this name in its folded form.
    Opened(RoomId, String),
    /// A room of this name, in its folded form, was dropped, with these records still on their way.
    Dropped(RoomId, String, Option<Outgoing>),
}

impl Sharing {
    /// Notes that a room is opened.
    pub(super) fn open(&mut self, room: RoomId, name: &Name) {
        self.changes.push(StreamChange::Opened(room, name.folded().to_owned()));
    }

    /// Notes that a room is dropped. What it was to announce when its gate opens is on its way, too.
    pub(super) fn close(&mut self, room: RoomId, name: &Name, channel: &mut Channel) {
        self.outgoing.retain(|&other| other != room);
        channel.room.announce_all();
        self.changes.push(StreamChange::Dropped(room, name.folded().to_owned(), channel.room.take_outgoing()));
    }

    /// Panics if the invariant does not hold between two turns.
    pub(super) fn check_invariants(&self, is_listed: impl Fn(RoomId) -> bool) {
        assert!(self.outgoing.iter().all(|&room| is_listed(room)), "a room with outgoing records is marked");
    }
}

impl Rooms {
    /// Shares all rooms with other servers, also those that are opened later. Nothing comes through before their gates
    /// are set.
    pub(in crate::server::hub) fn share_all(&mut self, directory: &Directory) {
        self.sharing = Some(Box::default());
        for room in directory.ids() {
            self.share(room);
        }
    }

    /// Shares a room that is new.
    pub(super) fn share(&mut self, room: RoomId) {
        self[room].room.share();
        self[room].brake.set_gate(Some(0));
    }

    /// Whether the bus does not know a room yet.
    pub(in crate::server::hub) fn is_unknown(&self, room: RoomId) -> bool {
        let is_opened = |change: &StreamChange| matches!(change, StreamChange::Opened(other, _) if *other == room);
        self.sharing.as_ref().is_some_and(|sharing| sharing.changes.iter().any(is_opened))
    }

    /// Whether records are on their way to the bus.
    pub(in crate::server::hub) fn has_outgoing(&self) -> bool {
        self.sharing.as_ref().is_some_and(|sharing| !sharing.outgoing.is_empty())
    }

    /// Lists a shared room in which an event was applied.
    pub(super) fn note_sent(&mut self, room: RoomId) {
        if self[room].has_moved() {
            // The shutdown is told to this server alone.
            self.note_moved(room);
        }
        if !mem::replace(&mut self[room].lists.outgoing, true)
            && let Some(sharing) = &mut self.sharing
        {
            sharing.outgoing.push(room);
        }
    }

    /// Takes out the rooms that were opened or dropped, in that order.
    pub(in crate::server::hub) fn take_changes(&mut self) -> Vec<StreamChange> {
        self.sharing.as_mut().map(|sharing| mem::take(&mut sharing.changes)).unwrap_or_default()
    }

    /// Takes out the records on their way to the bus, with their rooms.
    pub(in crate::server::hub) fn take_outgoing(&mut self) -> Vec<(RoomId, Outgoing)> {
        let rooms = self.sharing.as_mut().map(|sharing| mem::take(&mut sharing.outgoing)).unwrap_or_default();
        let take = |room: RoomId| {
            self[room].lists.outgoing = false;
            self[room].room.take_outgoing().map(|outgoing| (room, outgoing))
        };
        rooms.into_iter().filter_map(take).collect()
    }

    /// Sets the bytes that the bus takes of a room now.
    pub(in crate::server::hub) fn set_gate(&mut self, room: RoomId, left: usize) {
        self[room].brake.set_gate(Some(left as u64));
    }

    /// Whether records that were read from the bus may come onto the tape of a room now.
    pub(in crate::server::hub) fn may_hear(&mut self, room: RoomId) -> bool {
        let shared = self.deliveries.share(self[room].readers());
        self.at_turn(room).brake.may_hear(shared)
    }

    /// Begins an entry that was read from the bus.
    pub(in crate::server::hub) fn begin_entry(&mut self, room: RoomId, id: EntryId) {
        self.at_turn(room).room.begin_entry(id);
    }

    /// Puts a record that was read from the bus on the tape of its room.
    pub(in crate::server::hub) fn hear(&mut self, room: RoomId, record: &Record<'_>) -> Span {
        let span = self[room].room.hear(record);
        self.note_heard(room, span)
    }

    /// Puts words of this server alone on the tape of a room.
    pub(in crate::server::hub) fn aside(&mut self, room: RoomId, notice: Notice<'_>) -> Span {
        let span = self.at_turn(room).room.aside(notice);
        self.note_heard(room, span)
    }

    fn note_heard(&mut self, room: RoomId, span: Span) -> Span {
        self.note_moved(room);
        let readers = self[room].readers();
        self.deliveries.spend(span.bytes(), readers);
        self[room].brake.hear(span.bytes());
        span
    }

    /// Records that the earlier records of a room are on its tape: they were not put there in this run.
    pub(in crate::server::hub) fn note_loaded(&mut self, room: RoomId) {
        self.loaded = self.loaded.plus(self[room].tape().end());
    }

    /// Returns the rooms whose clients or announcements wait: their gates may have opened.
    pub(in crate::server::hub) fn waiting(&self) -> Vec<RoomId> {
        self.holding.iter().chain(&self.announcing).copied().collect()
    }

    /// Returns the brake of a room.
    pub(in crate::server::hub) fn brake(&self, room: RoomId) -> &Brake {
        &self[room].brake
    }
}
