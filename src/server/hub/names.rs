//! Names that change hands: the owner takes its name from a member that holds it, or the file of names has changed.
//!
//! The member that loses its name is `client-N` again, wherever it is: in a room, between two, or away. Its room is
//! told, as soon as the tape has room for that. The member alone is told the reason, if it has a connection.

use std::time::Instant;

use super::Hub;
use super::input::ReadTurn;
use crate::net::stream::Socket;
use crate::relay::event::Event;
use crate::relay::names::Names;
use crate::relay::notice::Notice;
use crate::relay::roster::{Introduction, Lost, MemberId};

impl<S: Socket> Hub<S> {
    /// Sets the names with owners. A member whose name belongs to another client from now on loses it; its room reads
    /// that in the next turn. Returns the number of those members.
    pub fn set_names(&mut self, names: Names) -> usize {
        let lost = self.roster.set_names(names);
        for Lost { member, owned } in &lost {
            let name = self.take_name(*member);
            self.tell_member(*member, Notice::NameLost { owned: owned.as_str(), name: &name });
        }
        lost.len()
    }

    /// Lets a member take its name from another one that holds it. Both rooms are told, the other one first. The member
    /// is charged for both announcements.
    pub(super) fn take_over_name(
        &mut self,
        turn: &mut ReadTurn,
        (member, holder): (MemberId, MemberId),
        renamed: Event<'_>,
        now: Instant,
    ) {
        if self.claims_with_others(turn, member, &renamed, now) {
            return;
        }
        let (own, room) = (self.roster.room(member), self.roster.room(holder));
        let before = self.rooms[room].tape().end();
        let name = self.take_name(holder);
        self.rooms.announce_queued(room, &mut self.roster);
        let bytes = self.rooms[room].tape().end().offset - before.offset;
        turn.tape_bytes_left = turn.tape_bytes_left.saturating_sub(bytes);
        let recent = &mut self.connections[turn.key].recent;
        *recent = self.rooms[own].brake.note(*recent, bytes);
        self.tell_member(holder, Notice::NameTakenOver { name: &name });
        if self.roster.introduction(member) == Introduction::Pending {
            // By its name until now: introduced with the new one, it would be told of that in private, perhaps before it
            // reads that the other one has lost the name.
            self.introduce(turn.key, member, own);
            self.report_arrival(turn.key, member, now);
        }
        self.apply_line(turn, member, renamed, now);
    }

    /// Takes its name from a member, and queues the announcement. Returns its name from now on.
    pub(super) fn take_name(&mut self, member: MemberId) -> String {
        let room = self.roster.room(member);
        let before = self.roster.shown(member).to_string();
        self.rooms.apply(room, &mut self.roster, Event::Unnamed { member });
        let name = self.roster.shown(member).to_string();
        match self.roster.key(member) {
            Some(key) => self.log_roster(key, format_args!("{name} is its name")),
            None => self.log_roster_in(room, format_args!("{before} is now {name}")),
        }
        if self.is_reported(member) {
            self.report_renaming(member, &before, self.rooms.now());
        }
        name
    }

    /// Tells a member something, unless it is away.
    pub(super) fn tell_member(&mut self, member: MemberId, notice: Notice<'_>) {
        if let Some(key) = self.roster.key(member) {
            self.tell(key, &notice.to_line());
        }
    }
}
