//! The ends of servers, and the choice of the server that tells a room which members went with one.
//!
//! All servers read of an end at the same place of the log, and agree by the log alone which of them speaks in a room:
//! the smallest with members there that knows the members of the one that is gone. A server knows them if it has said
//! hello before these were told: by the hello of their server, or by a snapshot. One that took the place of a server
//! that crashed does not: it speaks only if all are such, by what it has read in the room.
//!
//! A server may die between the record of a room and the event that tells of it. So what the rooms have read of the
//! members of others counts, too.
//!
//! The speaker may die before it speaks. So the others keep what it owes until it writes that it has spoken: `-` with
//! the number of the member. At its own end, another one speaks. The records of a room and this log are two streams: if
//! the speaker dies between the two, the room may read `left` twice.

use std::collections::BTreeMap;
use std::mem;
use std::ops::RangeBounds;

use super::super::name::Name;
use super::super::sequence::Writer;
use super::{Effect, Elsewhere, GONE_MAX, MEMBERS_MAX, Member};

/// A member that went with its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departed {
    /// Its number, as shown.
    pub number: u64,
    /// Its name, as shown.
    pub name: String,
    /// Its room.
    pub room: Name,
}

/// A record of a room, as far as it tells something of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note<'a> {
    /// The room was told that it joined.
    Joined {
        /// Its name, as shown.
        name: &'a str,
    },
    /// The room was told that it left.
    Left,
}

/// A member in a room: its number, and the name of the room in its folded form.
pub(super) type Seat = (u64, Box<str>);

pub(super) fn seat(number: u64, room: &Name) -> Seat {
    (number, room.folded().into())
}

/// The seats of a member in all rooms.
fn seats_of(number: u64) -> impl RangeBounds<Seat> {
    (number, "".into())..(number.saturating_add(1), "".into())
}

/// A member that went with its server, and of which another server has still to tell its room.
#[derive(Debug)]
pub(super) struct Owed {
    speaker: Writer,
    /// From where on the members of its server were told.
    told_from: u64,
    departed: Departed,
}

impl Elsewhere {
    /// Ends a server: its members are gone, and what it still writes before its next hello counts for nothing.
    pub(super) fn end(&mut self, server: Writer) -> Effect {
        let told_from = self.servers.get(&server).map_or(0, |server| server.told_from);
        let members = self.members_on(server).filter(|(_, member)| member.is_told);
        let members = members.map(|(number, member)| {
            let room = self.rooms.room(member.room).name.clone();
            (seat(number, &room), Departed { number, name: member.shown(number), room })
        });
        let mut of_server: BTreeMap<Seat, Departed> = members.collect();
        of_server.extend(self.take_heard(server));
        let mut departed: Vec<_> = of_server.into_values().map(|departed| (told_from, departed)).collect();
        self.forget(server);
        self.servers.remove(&server);
        if !self.gone.contains(&server) {
            self.gone.push_back(server);
            if self.gone.len() > GONE_MAX {
                self.gone.pop_front();
            }
        }
        departed.extend(self.take_debts(server));
        let mut told = Vec::new();
        for (told_from, departed) in departed {
            let Some(speaker) = self.speaker(&departed.room, told_from) else { continue };
            if speaker == self.own {
                told.push(departed);
            } else if self.owed.len() < MEMBERS_MAX {
                self.owed.insert(seat(departed.number, &departed.room), Owed { speaker, told_from, departed });
            }
        }
        Effect::Gone { server, told }
    }

    /// Takes out the members of a server whose `joined` was read, each in the room that has read it.
    fn take_heard(&mut self, server: Writer) -> impl Iterator<Item = (Seat, Departed)> + use<> {
        let (ended, heard): (BTreeMap<_, _>, _) =
            mem::take(&mut self.heard).into_iter().partition(|(_, (writer, _))| *writer == server);
        self.heard = heard;
        ended.into_iter().map(|(seat, (_, departed))| (seat, departed))
    }

    /// Records that a room has read `joined` or `left` of a member of another server, as far as that is known before
    /// the log of the roster tells it.
    pub fn note_in_room(&mut self, server: Writer, room: &Name, number: u64, note: Note<'_>) {
        self.note_in_history(server, room, number, note);
        let own = self.own;
        let is_here = |member: &Member| self.rooms.room(member.room).name.folded() == room.folded();
        let Some(member) = self.members.get_mut(&number).filter(|member| member.server != own && is_here(member))
        else {
            return;
        };
        match note {
            Note::Joined { .. } => member.is_told = true,
            Note::Left => member.is_told = false,
        }
    }

    /// Records what a room has read of a member of another server, now or before it was opened here.
    pub fn note_in_history(&mut self, server: Writer, room: &Name, number: u64, note: Note<'_>) {
        match note {
            Note::Joined { name } => {
                self.hear_joined(server, Departed { number, name: name.to_owned(), room: room.clone() });
            }
            Note::Left => {
                self.owed.remove(&seat(number, room));
                self.heard.remove(&seat(number, room));
            }
        }
    }

    /// Records that a room has read `joined` of a member of another server. The log may not tell of that: its server
    /// can die between the two.
    fn hear_joined(&mut self, server: Writer, departed: Departed) {
        if server != self.own && !self.gone.contains(&server) && self.heard.len() < MEMBERS_MAX {
            self.heard.insert(seat(departed.number, &departed.room), (server, departed));
        }
    }

    /// Records that the room of this name, in its folded form, is read here no longer.
    pub fn note_unread(&mut self, room: &str) {
        self.heard.retain(|(_, heard), _| **heard != *room);
    }

    /// Records the new name of a member whose `joined` was read.
    pub fn note_renamed(&mut self, number: u64, name: &str) {
        for (_, (_, departed)) in self.heard.range_mut(seats_of(number)) {
            name.clone_into(&mut departed.name);
        }
    }

    /// Returns the server that tells a room of members that were told to the others from there on.
    fn speaker(&self, room: &Name, told_from: u64) -> Option<Writer> {
        let knows = |server: &&Writer| self.servers.get(server).is_some_and(|server| server.greeted < told_from);
        let here = &self.rooms.find(room)?.by_server;
        here.keys().find(knows).or(here.keys().next()).copied()
    }

    /// Takes out what a server has not told before its end.
    fn take_debts(&mut self, speaker: Writer) -> Vec<(u64, Departed)> {
        let (ended, owed) = mem::take(&mut self.owed).into_iter().partition(|(_, owed)| owed.speaker == speaker);
        self.owed = owed;
        let ended: BTreeMap<Seat, Owed> = ended;
        ended.into_values().map(|owed| (owed.told_from, owed.departed)).collect()
    }

    /// Records that a server has told a room of a member that went with another one.
    pub(super) fn end_debt(&mut self, speaker: Writer, number: u64) {
        let of_member = self.owed.range(seats_of(number));
        let told: Vec<Seat> =
            of_member.filter(|(_, owed)| owed.speaker == speaker).map(|(seat, _)| seat.clone()).collect();
        told.iter().for_each(|seat| drop(self.owed.remove(seat)));
    }
}
