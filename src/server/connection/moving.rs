//! The way of a connection from one room to another: sent the rest of the tape up to where it left, and not read.

use std::time::Instant;

use super::{Connection, Departure, DepartureEnd, Output, Phase};
use crate::net::stream::Socket;
use crate::relay::cursor::Cursor;
use crate::relay::directory::RoomId;
use crate::relay::notice::Notice;
use crate::relay::roster::MemberId;
use crate::relay::tape::Position;

impl<S: Socket> Connection<S> {
    /// Begins to move from `room` to `to`: it is still sent the tape before `stop`.
    pub fn begin_move(&mut self, member: MemberId, room: RoomId, stop: Position, to: RoomId) {
        self.phase = Phase::Moving(member);
        let departure = Departure { room: Some(room), stop, end: DepartureEnd::Move(to) };
        self.busy.get_or_insert_default().departure = Some(Box::new(departure));
    }

    /// Makes it a member of the room that it was on its way to, which reads from `cursor` on. If it is owed a count of
    /// missed lines, it will be told before anything else of that room.
    pub fn arrive(&mut self, member: MemberId, cursor: Cursor, now: Instant) {
        let missed = self.cursor.take_missed();
        if missed > 0 {
            self.tell(&Notice::Missed { lines: missed }.to_line());
        }
        self.phase = Phase::Present(member);
        self.cursor = cursor;
        if let Some(busy) = &mut self.busy {
            busy.departure = None;
            busy.stall = None;
            self.free_unused(now);
        }
    }

    /// Whether it is or was a member of a room, whose tape it is owed.
    pub fn was_in_room(&self) -> bool {
        matches!(self.phase, Phase::Present(_) | Phase::Moving(_))
    }

    /// Returns the room to which it is on its way.
    pub fn destination(&self) -> Option<RoomId> {
        match self.departure()?.end {
            DepartureEnd::Move(to) => Some(to),
            DepartureEnd::Close(_) => None,
        }
    }

    /// Returns the room that it has left, and is still owed a part of its tape.
    pub fn left_room(&self) -> Option<RoomId> {
        self.departure()?.room
    }

    /// Returns the end of the tape that it is owed, if it has left a room.
    pub fn departure_stop(&self) -> Option<Position> {
        self.departure().map(|departure| departure.stop)
    }

    /// Whether it was sent all that it is owed of the room that it has left, or will not be sent any more.
    pub(super) fn has_arrived(&self) -> bool {
        let is_sent = |departure: &Departure| self.cursor.offset() >= departure.stop.offset;
        self.output == Output::Broken || self.departure().is_some_and(is_sent)
    }
}
