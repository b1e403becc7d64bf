//! The rooms in which the members of all servers are: for each room its members by the time of their coming, and their
//! number on each server.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use slab::Slab;

use super::super::name::Name;
use super::super::sequence::Writer;

/// The number of a room in [`RoomsOfAll`]. Numbers are reused.
pub(super) type RoomKey = usize;

/// The rooms of all servers with members in them.
///
/// Invariants: each room has a member; `by_folded` leads from the folded form of each name to its room.
#[derive(Debug, Default)]
pub(super) struct RoomsOfAll {
    rooms: Slab<RoomOfAll>,
    by_folded: HashMap<Box<str>, RoomKey>,
}

/// A room, and who is in it.
#[derive(Debug)]
pub(super) struct RoomOfAll {
    /// Its name, as the server of its first member has it.
    pub(super) name: Name,
    /// Its members: when each entered, in seconds of the caller's clock, and its number.
    pub(super) members: BTreeSet<(i64, u64)>,
    /// The number of members on each server with any.
    pub(super) by_server: BTreeMap<Writer, usize>,
}

impl RoomsOfAll {
    /// Adds a member to a room. `None` if the text is no name of a room.
    pub(super) fn add(&mut self, room: &str, server: Writer, member: (i64, u64)) -> Option<RoomKey> {
        let key = match self.by_folded.get(room) {
            // The common case: a name in lower case is its own folded form.
            Some(&key) => key,
            None => self.find_or_open(room)?,
        };
        let here = &mut self.rooms[key];
        if here.members.insert(member) {
            *here.by_server.entry(server).or_default() += 1;
        }
        Some(key)
    }

    fn find_or_open(&mut self, room: &str) -> Option<RoomKey> {
        let name = Name::parse(room).ok().filter(|name| name.as_str() == room)?;
        if let Some(&key) = self.by_folded.get(name.folded()) {
            return Some(key);
        }
        let folded = name.folded().into();
        let key = self.rooms.insert(RoomOfAll { name, members: BTreeSet::new(), by_server: BTreeMap::new() });
        self.by_folded.insert(folded, key);
        Some(key)
    }

    /// Removes a member from its room, and the room if it was the last.
    pub(super) fn remove(&mut self, room: RoomKey, server: Writer, member: (i64, u64)) {
        let here = &mut self.rooms[room];
        here.members.remove(&member);
        if let Some(count) = here.by_server.get_mut(&server) {
            *count -= 1;
            if *count == 0 {
                here.by_server.remove(&server);
            }
        }
        if here.members.is_empty() {
            let here = self.rooms.remove(room);
            self.by_folded.remove(here.name.folded());
        }
    }

    /// Seats a member of a room by the time at which it came, as far as that is known now.
    pub(super) fn seat_anew(&mut self, room: RoomKey, (before, since): (i64, i64), number: u64) {
        let members = &mut self.rooms[room].members;
        if members.remove(&(before, number)) {
            members.insert((since, number));
        }
    }

    pub(super) fn find(&self, name: &Name) -> Option<&RoomOfAll> {
        self.by_folded.get(name.folded()).map(|&room| &self.rooms[room])
    }

    pub(super) fn room(&self, room: RoomKey) -> &RoomOfAll {
        &self.rooms[room]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &RoomOfAll> {
        self.rooms.iter().map(|(_, room)| room)
    }

    pub(super) fn check_invariants(&self) {
        assert_eq!(self.by_folded.len(), self.rooms.len(), "each room can be found");
        for room in self.iter() {
            assert!(!room.members.is_empty(), "{} has members", room.name);
            assert!(self.find(&room.name).is_some(), "{} can be found", room.name);
            let counted: usize = room.by_server.values().sum();
            assert_eq!(counted, room.members.len(), "each member of {} is on one server", room.name);
        }
    }
}

impl RoomOfAll {
    /// Returns the number of members on servers other than this one.
    pub(super) fn others(&self, own: Writer) -> usize {
        self.members.len() - self.by_server.get(&own).copied().unwrap_or(0)
    }

    /// Returns the smallest server with members here.
    pub(super) fn first_server(&self) -> Option<Writer> {
        self.by_server.keys().next().copied()
    }
}
