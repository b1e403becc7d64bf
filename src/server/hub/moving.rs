//! Moves from one room to another (`/join`).
//!
//! A mover is off the roster of its old room at once. It is still owed the tape of that room up to where it left, like
//! a client that leaves, and is not read meanwhile. Then it enters the new room. It needs one cursor, and no copy.

use std::mem;
use std::time::Instant;

use super::Hub;
use super::input::ReadTurn;
use super::timers::Timer;
use crate::net::stream::Socket;
use crate::relay::cursor::Cursor;
use crate::relay::directory::RoomId;
use crate::relay::event::Event;
use crate::relay::name::Name;
use crate::relay::notice::Notice;
use crate::relay::roster::{Introduction, MemberId, Roster};
use crate::server::connection::{Connection, Handle, Phase, ReadState};
use crate::server::flow::budget::Effort;
use crate::server::limits::INTRODUCE_JOINER_AFTER;

/// Returns the room whose tape a connection is owed; the lobby if it is owed none.
pub(super) fn room_of<S: Socket>(roster: &Roster, connection: &Connection<S>) -> RoomId {
    match connection.phase {
        Phase::Present(member) | Phase::Moving(member) => roster.room(member),
        Phase::Entering | Phase::Closing | Phase::Gone => connection.left_room().unwrap_or_default(),
    }
}

impl<S: Socket> Hub<S> {
    /// Returns the room whose tape a connection is owed; the lobby if it is owed none.
    pub(super) fn room_of(&self, connection: &Connection<S>) -> RoomId {
        room_of(&self.roster, connection)
    }

    /// Begins the move of a member to the room `to`, or tells it that there is no place for another room.
    pub(super) fn begin_move(&mut self, turn: &mut ReadTurn, member: MemberId, to: &Name, now: Instant) {
        let Some(to) = self.rooms.find_or_open(to, self.roster.directory_mut()) else {
            self.reply(turn, &self.rooms_full());
            return;
        };
        let room = self.roster.room(member);
        let stop = self.rooms[room].tape().end();
        let directory = self.roster.directory();
        self.log_roster(turn.key, format_args!("{} moves to {}", self.roster.shown(member), directory.name(to)));
        if !self.is_reported(member) {
            self.report_arrival(turn.key, member, now);
        }
        self.log_move(turn.key, member, to);
        self.rooms.expect(to);
        self.rooms.apply(room, &mut self.roster, Event::Parted { member });
        self.rooms.announce_queued(room, &mut self.roster);
        self.budget.spend(Effort::Move);
        let bytes = self.rooms[room].tape().end().offset - stop.offset;
        let connection = &mut self.connections[turn.key];
        connection.recent = self.rooms[room].brake.note(connection.recent, bytes);
        connection.begin_move(member, room, stop, to);
        self.rooms.unsettle(room);
        self.schedule.mark_dirty(turn.key, connection);
    }

    /// Whether the coming of a member was reported: in this room, or in another from which it has come.
    pub(super) fn is_reported(&self, member: MemberId) -> bool {
        let has_arrived = |key| self.rooms[self.roster.room(member)].arrived.contains(key);
        let is_introduced = self.roster.introduction(member) != Introduction::Pending;
        is_introduced || self.roster.key(member).is_some_and(has_arrived)
    }

    /// Returns the answer to a client that asks for a further room, while there is no place for it.
    pub(super) fn rooms_full(&self) -> String {
        Notice::RoomsFull { rooms: self.roster.directory().len() }.to_line()
    }

    /// Lets movers enter their new room that were sent all of the old one, or take nothing any more: what those have
    /// said in the new room is still to be read.
    pub(super) fn end_moves(&mut self, now: Instant) {
        for handle in mem::take(&mut self.schedule.arriving) {
            let Some(connection) = self.connections.known(handle) else { continue };
            let (Phase::Moving(member), Some(to)) = (connection.phase, connection.destination()) else { continue };
            if self.waits_to_arrive(handle, to, now) {
                continue;
            }
            self.arrive(handle, member, to, now);
        }
    }

    fn arrive(&mut self, handle: Handle, member: MemberId, to: RoomId, now: Instant) {
        let from = self.roster.room(member);
        self.budget.spend(Effort::Move);
        self.rooms.remove_reader(from, handle.key, self.roster.directory());
        self.roster.seat_mover(member, to);
        let connection = &mut self.connections[handle.key];
        connection.recent = self.rooms.take_over(connection.recent, from, to);
        let stop = connection.departure_stop().unwrap_or_default();
        let end = self.rooms[to].tape().end();
        connection.arrive(member, Cursor::at(end, connection.dialect()), now);
        if !self.arrive_tracked(handle.key, member, from, stop) {
            let welcome = self.rooms[to].room.welcome_mover(&self.roster, member);
            let connection = &mut self.connections[handle.key];
            connection.read_from(welcome.cursor);
            connection.tell(&welcome.private);
            self.rooms.add_reader(to, handle.key, &self.connections);
            self.tell_cut_off(handle.key, to);
        }
        let connection = &mut self.connections[handle.key];
        self.schedule.mark_dirty(handle.key, connection);
        if connection.read_state == ReadState::Held {
            self.schedule.mark_ready(handle.key, connection);
        }
        self.rooms.expect_no_longer(to, self.roster.directory());
        self.log_roster(handle.key, format_args!("{} enters", self.roster.shown(member)));
        if self.rooms[to].brake.is_at_wall() {
            self.rooms.note_arrived(to, handle.key);
        } else {
            self.introduce(handle.key, member, to);
        }
    }

    /// Announces members that left, lost their names or arrived while their rooms waited for slow readers, in rooms that
    /// go on.
    pub(super) fn announce_waiting(&mut self) {
        for room in self.rooms.take_announcing() {
            self.rooms.announce_queued(room, &mut self.roster);
            while let Some(key) = self.rooms.take_arrived(room) {
                if let Phase::Present(member) = self.connections[key].phase
                    && self.roster.room(member) == room
                {
                    self.introduce(key, member, room);
                }
            }
            self.rooms.put_announcing(room);
        }
    }

    /// Lets a member be announced to its room, if the room is small enough.
    pub(super) fn introduce(&mut self, key: usize, member: MemberId, room: RoomId) {
        let applied = self.rooms.apply(room, &mut self.roster, Event::Joined { member });
        let recent = &mut self.connections[key].recent;
        *recent = self.rooms.charge(room, *recent, applied.bytes);
        self.skip_own(key, applied.own);
    }

    /// Lets a connection enter whose first line is `/join` and complete: in that room, or in the lobby if there is no
    /// place for another room. Only a connection that may enter opens one. Returns whether the line has been processed
    /// by that.
    pub(super) fn enter_with_join(&mut self, key: usize, name: &Name, now: Instant) -> bool {
        if self.waits_to_enter(key, Some(name), now) || !self.grant_seat(key, now) {
            return false;
        }
        let Some(room) = self.rooms.find_or_open(name, self.roster.directory_mut()) else {
            self.enter_room(key, RoomId::LOBBY, now);
            return false;
        };
        let member = self.enter_room(key, room, now);
        self.roster.note_spoken(member);
        let handle = self.connections[key].handle(key);
        self.timers.set(now + INTRODUCE_JOINER_AFTER, Timer::Introduce, handle);
        true
    }
}
