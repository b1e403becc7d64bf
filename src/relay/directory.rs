//! The rooms of the server: their names, and the members in each.
//!
//! A room's name has the form of a member's name, and is unique regardless of case. The lobby is there from the start,
//! as are the rooms that the operator names; others come and go with their members.

use std::collections::HashMap;

use slab::Slab;

use super::lookalike;
use super::name::Name;
use super::roster::MemberId;

/// Most rooms at a time, the lobby included: numbers of rooms have 16 bits.
pub const ROOMS_MAX: usize = u16::MAX as usize;

/// The number of a room while it exists. Numbers are reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(u16);

impl RoomId {
    /// The first room, in which clients begin.
    pub const LOBBY: RoomId = RoomId(0);

    /// Returns the number as an index, counted from 0.
    pub fn index(self) -> usize {
        self.0.into()
    }

    fn of_index(index: usize) -> RoomId {
        RoomId(u16::try_from(index).expect("at most ROOMS_MAX rooms"))
    }
}

/// All rooms.
///
/// Invariants: the lobby is number 0; `by_name` holds each room under the folded form of its name; the members of a
/// room are ordered by number. All are checked by [`Roster::check_invariants`](super::roster::Roster::check_invariants).
#[derive(Debug)]
pub struct Directory {
    rooms: Slab<Entry>,
    by_name: HashMap<Box<str>, RoomId>,
}

/// A room, as others know it.
#[derive(Debug)]
struct Entry {
    name: Name,
    /// The members in it: the oldest first.
    seats: Vec<MemberId>,
    /// Whether the operator named it: it exists forever.
    is_permanent: bool,
}

impl Default for Directory {
    fn default() -> Directory {
        let mut directory = Directory { rooms: Slab::new(), by_name: HashMap::new() };
        directory.open(Name::of_lobby(), true);
        directory
    }
}

impl Directory {
    /// Adds a room without members. No room may have this name, and fewer than [`ROOMS_MAX`] may exist.
    ///
    /// # Panics
    /// When there are more.
    pub fn open(&mut self, name: Name, is_permanent: bool) -> RoomId {
        let folded = name.folded().into();
        let room = RoomId::of_index(self.rooms.insert(Entry { name, seats: Vec::new(), is_permanent }));
        self.by_name.insert(folded, room);
        room
    }

    /// Removes a room, which has no members.
    pub fn close(&mut self, room: RoomId) {
        let entry = self.rooms.remove(room.index());
        debug_assert!(entry.seats.is_empty() && !entry.is_permanent, "{} is in use", entry.name);
        self.by_name.remove(entry.name.folded());
    }

    /// Returns the number of rooms.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether there are none: never.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Returns the room with this name, in any case.
    pub fn find(&self, name: &Name) -> Option<RoomId> {
        self.by_name.get(name.folded()).copied()
    }

    /// Returns the name of a room.
    pub fn name(&self, room: RoomId) -> &Name {
        &self.rooms[room.index()].name
    }

    /// Whether a room exists forever.
    pub fn is_permanent(&self, room: RoomId) -> bool {
        self.rooms[room.index()].is_permanent
    }

    /// Returns the members of a room, the oldest first.
    pub fn seats(&self, room: RoomId) -> &[MemberId] {
        &self.rooms[room.index()].seats
    }

    /// Returns the room that exists forever and whose name is or looks like this one. Cost: the skeletons of
    /// those names.
    pub fn lookalike(&self, name: &Name) -> Option<&Name> {
        let forever = self.rooms.iter().map(|(_, entry)| entry).filter(|entry| entry.is_permanent);
        forever.map(|entry| &entry.name).find(|other| lookalike::are_alike(name.as_str(), other.as_str()))
    }

    /// Returns all rooms with their sizes: the fullest first, then by name.
    pub(super) fn by_size(&self) -> Vec<(&Name, usize)> {
        let mut rooms: Vec<_> = self.rooms.iter().map(|(_, entry)| (&entry.name, entry.seats.len())).collect();
        rooms.sort_unstable_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.folded().cmp(b.folded())));
        rooms
    }

    pub(super) fn seats_mut(&mut self, room: RoomId) -> &mut Vec<MemberId> {
        &mut self.rooms[room.index()].seats
    }

    pub(super) fn clear_seats(&mut self) {
        self.rooms.iter_mut().for_each(|(_, entry)| entry.seats.clear());
    }

    /// Returns the numbers of all rooms.
    pub fn ids(&self) -> impl Iterator<Item = RoomId> {
        self.rooms.iter().map(|(index, _)| RoomId::of_index(index))
    }

    pub(super) fn check_invariants(&self) {
        assert_eq!(self.by_name.len(), self.rooms.len(), "each room has a name of its own");
        for (folded, &room) in &self.by_name {
            assert_eq!(self.name(room).folded(), &**folded, "a name leads to its room");
        }
        assert_eq!(self.name(RoomId::LOBBY), &Name::of_lobby(), "the lobby is the first room");
    }
}
