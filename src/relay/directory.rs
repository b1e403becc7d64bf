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

/// Seats for which a room keeps memory, however few of them are taken.
const SEATS_KEPT_MAX: usize = 64;

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
/// room are ordered by number. All are checked by
/// [`Roster::check_invariants`](super::roster::Roster::check_invariants).
#[derive(Debug)]
pub struct Directory {
    rooms: Slab<Entry>,
    by_name: HashMap<Box<str>, RoomId>,
    /// The outlines of the names of rooms that exist forever.
    by_outline: HashMap<Box<str>, RoomId>,
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
        let mut directory = Directory { rooms: Slab::new(), by_name: HashMap::new(), by_outline: HashMap::new() };
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
        let outlines = is_permanent.then(|| lookalike::outlines(name.as_str()));
        let room = RoomId::of_index(self.rooms.insert(Entry { name, seats: Vec::new(), is_permanent }));
        self.by_name.insert(folded, room);
        for outline in outlines.into_iter().flatten() {
            self.by_outline.entry(outline).or_insert(room);
        }
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

    /// Returns the room that exists forever and whose name is or looks like this one. Cost: two skeletons, however many
    /// rooms there are.
    pub fn lookalike(&self, name: &Name) -> Option<&Name> {
        let outlines = lookalike::outlines(name.as_str());
        outlines.iter().find_map(|outline| self.by_outline.get(outline)).map(|&room| self.name(room))
    }

    /// Returns all rooms with their sizes, in no order. Cost: a look at each room.
    pub(super) fn sizes(&self) -> impl Iterator<Item = (&Name, usize)> {
        self.rooms.iter().map(|(_, entry)| (&entry.name, entry.seats.len()))
    }

    pub(super) fn add_seat(&mut self, room: RoomId, place: usize, member: MemberId) {
        self.rooms[room.index()].seats.insert(place, member);
    }

    pub(super) fn remove_seat(&mut self, room: RoomId, place: usize) {
        let seats = &mut self.rooms[room.index()].seats;
        seats.remove(place);
        // A room that was full keeps no more memory than one that is not.
        if seats.capacity() > SEATS_KEPT_MAX && seats.len() < seats.capacity() / 4 {
            seats.shrink_to(2 * seats.len());
        }
    }

    pub(super) fn clear_seats(&mut self) {
        self.rooms.iter_mut().for_each(|(_, entry)| entry.seats.clear());
    }

    /// Returns the numbers of the rooms from this index on, in their order.
    pub fn ids_from(&self, index: usize) -> impl Iterator<Item = RoomId> {
        (index..self.rooms.capacity()).filter(|&index| self.rooms.contains(index)).map(RoomId::of_index)
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

/// Returns the fullest `count` of these rooms with their sizes: the fullest first, then by name.
pub(super) fn fullest(mut rooms: Vec<(&Name, usize)>, count: usize) -> Vec<(&Name, usize)> {
    let order = |(a, of_a): &(&Name, usize), (b, of_b): &(&Name, usize)| {
        of_b.cmp(of_a).then_with(|| a.folded().cmp(b.folded()))
    };
    if rooms.len() > count {
        rooms.select_nth_unstable_by(count, order);
        rooms.truncate(count);
    }
    rooms.sort_unstable_by(order);
    rooms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::roster::Roster;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn only_names_of_permanent_rooms_have_lookalikes() {
        let mut directory = Directory::default();
        directory.open(name("Rust"), true);
        directory.open(name("go"), false);
        for (typed, other) in [("1obby", "lobby"), ("RUST", "Rust"), ("\u{211b}ust", "Rust")] {
            assert_eq!(directory.lookalike(&name(typed)).map(Name::as_str), Some(other), "{typed}");
        }
        assert_eq!((directory.lookalike(&name("g0")), directory.lookalike(&name("crust"))), (None, None));
        assert!(directory.by_outline.len() <= 4, "two outlines a room, and made once");
    }

    #[test]
    fn the_fullest_of_many_rooms_come_first_and_then_those_by_name() {
        let mut roster = Roster::default();
        for number in (0..300).rev() {
            let room = roster.directory_mut().open(name(&format!("room{number:03}")), false);
            if number % 100 == 7 {
                roster.add_client(0, room, 0);
            }
        }
        let first = fullest(roster.sizes(), 5);
        let shown: Vec<_> = first.iter().map(|(name, clients)| (name.as_str(), *clients)).collect();
        assert_eq!(shown, [("room007", 1), ("room107", 1), ("room207", 1), ("lobby", 0), ("room000", 0)]);
        assert_eq!(fullest(roster.sizes(), 1_000).len(), 301);
    }

    #[test]
    fn rooms_are_listed_from_an_index_on_whichever_were_closed() {
        let mut directory = Directory::default();
        let rooms: Vec<_> = ["a", "b", "c"].map(|room| directory.open(name(room), false)).into();
        directory.close(rooms[1]);
        assert_eq!(directory.ids_from(0).collect::<Vec<_>>(), [RoomId::LOBBY, rooms[0], rooms[2]]);
        assert_eq!(directory.ids_from(rooms[0].index() + 1).collect::<Vec<_>>(), [rooms[2]]);
        assert_eq!(directory.ids_from(rooms[2].index() + 1).count(), 0);
    }

    #[test]
    fn a_room_that_empties_frees_its_seats() {
        let mut roster = Roster::default();
        let room = roster.directory_mut().open(name("rust"), false);
        let members: Vec<_> = (0..1_000).map(|key| roster.add_client(key, room, 0)).collect();
        members.into_iter().for_each(|member| _ = roster.unseat(member));
        assert!(roster.directory().rooms[room.index()].seats.capacity() <= SEATS_KEPT_MAX);
    }
}
