//! The members of the server: their numbers, their names, their rooms, and whether their room was told that they
//! joined.
//!
//! A name and a number are unique on the whole server. A member that moves from one room to another is in none.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use slab::Slab;

use super::directory::{Directory, RoomId};
use super::elsewhere::event::RosterEvent;
use super::name::{GIVEN_PREFIX, Name};
use super::names::Names;

mod called;
mod handed;
mod shared;

pub use called::Lost;
pub use handed::{HandedMember, TakenBack};
use shared::Shared;

/// The number of a member, never reused, so it identifies the author of a line even when slots are reused.
///
/// The lowest number is reserved for the operator. The numbers of clients are shown from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientNumber(NonZeroU64);

/// The slot of a member while it is present. Slots are reused, numbers are not.
///
/// Kept as bytes: it aligns to one, so that an enum around it takes five bytes and not eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemberId([u8; 4]);

/// All members.
///
/// Invariants: `order` holds each member once, by ascending number; `chosen` holds exactly the members with a chosen
/// name, under its folded form; a member has the mark `OWNER` exactly while its name is one of `names`; a member with
/// a seat has it in its own room. All are checked by [`check_invariants`](Roster::check_invariants).
#[derive(Debug)]
pub struct Roster {
    members: Slab<Member>,
    /// The members in the order of their numbers: the oldest first. Binary search finds a number.
    order: Vec<MemberId>,
    chosen: HashMap<Box<str>, MemberId>,
    /// The names with owners.
    names: Names,
    directory: Directory,
    next_number: u64,
    /// The end of the numbers from `next_number` on.
    numbers_end: u64,
    /// Its side that faces the rosters of other servers, if there are any.
    shared: Option<Box<Shared>>,
}

/// Mark of a member that has sent anything but empty lines.
const SPOKEN: u8 = 1;

/// Mark of a member that came to its room from another one.
const MOVED: u8 = 2;

/// Mark of a member whose chosen name belongs to it: it has shown the token.
const OWNER: u8 = 4;

/// Mark of a member whose `joined` a room of all servers has read: it was written, and not only submitted.
const KNOWN: u8 = 8;

/// The key of a member without a connection.
const AWAY: u32 = u32::MAX;

/// A member. 32 bytes, and 4 bytes each in `order` and in the list of its room. Only a member with a chosen name owns
/// more.
#[derive(Debug)]
struct Member {
    number: ClientNumber,
    name: Option<Box<Name>>,
    /// Lines said; saturates at four billion.
    lines: u32,
    /// When it entered, in seconds of the caller's clock.
    entered: u32,
    /// The caller's key, in 32 bits, or the member would take 40 bytes; [`AWAY`] while it has no connection.
    key: u32,
    /// The room whose tape it reads.
    room: RoomId,
    introduction: Introduction,
    /// [`SPOKEN`], [`MOVED`], [`OWNER`] and [`KNOWN`].
    marks: u8,
}

/// Whether the room was told that a member joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Introduction {
    /// Not yet decided: the member has neither said a line nor taken a name, and its time is not over.
    Pending,
    /// The room has read `joined` (or knows the member as the operator), and will read `left`.
    Told,
    /// The room was too large: it reads neither `joined` nor `left`.
    Untold,
}

/// Row of `/who`.
#[derive(Debug)]
pub struct Row<'a> {
    /// The name as shown.
    pub shown: Shown<'a>,
    /// Lines said.
    pub lines: u32,
    /// Whole minutes since it entered.
    pub minutes: u32,
    /// Whether it has no connection.
    pub is_away: bool,
}

impl Default for Roster {
    fn default() -> Self {
        Roster {
            members: Slab::new(),
            order: Vec::new(),
            chosen: HashMap::new(),
            names: Names::default(),
            directory: Directory::default(),
            next_number: 1,
            numbers_end: u64::MAX,
            shared: None,
        }
    }
}

impl Roster {
    /// Has the next client get this number, and later ones higher numbers.
    pub fn begin_numbers_at(&mut self, next: u64) {
        debug_assert!(self.clients() == 0, "before all clients");
        self.next_number = next.max(1);
    }

    /// Returns the number that the next client gets.
    pub fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Returns the number of members, the operator included.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns all members, the oldest first.
    pub fn in_order(&self) -> impl Iterator<Item = MemberId> {
        self.order.iter().copied()
    }

    /// Returns the number of clients, in all rooms and between them.
    pub fn clients(&self) -> usize {
        self.clients_among(&self.order)
    }

    /// Returns the number of clients in a room, on all servers.
    pub fn clients_in(&self, room: RoomId) -> usize {
        self.clients_among(self.directory.seats(room)) + self.others_in(room)
    }

    fn clients_among(&self, seats: &[MemberId]) -> usize {
        let has_operator = seats.first().is_some_and(|&member| self.is_operator(member));
        seats.len() - usize::from(has_operator)
    }

    /// Returns the rooms.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Returns the rooms, to add or remove some.
    pub fn directory_mut(&mut self) -> &mut Directory {
        &mut self.directory
    }

    /// Adds a client under the next number, in a room. The caller knows it by `key`; `now` is in seconds of the
    /// caller's clock.
    ///
    /// # Panics
    /// When there are more members, or keys, than a `u32` counts; when [no number is left](Roster::numbers_left).
    pub fn add_client(&mut self, key: usize, room: RoomId, now: u32) -> MemberId {
        assert!(self.numbers_left() > 0, "a client comes only while there are numbers");
        let number = ClientNumber::of_client(self.next_number).expect("counted from 1");
        self.next_number += 1;
        let member = self.add(number, None, key, now);
        self.seat(member, room);
        if self.next_number == self.numbers_end {
            self.begin_next_block();
        }
        member
    }

    /// Adds the operator to the lobby: before all clients, and once.
    ///
    /// # Panics
    /// As [`add_client`](Roster::add_client).
    pub fn add_operator(&mut self, key: usize, now: u32) -> MemberId {
        debug_assert!(self.order.is_empty(), "the operator is the first");
        let name = Name::of_operator();
        let folded = name.folded().into();
        let id = self.add(ClientNumber::OPERATOR, Some(Box::new(name)), key, now);
        self.chosen.insert(folded, id);
        self.seat(id, RoomId::LOBBY);
        let member = self.member_mut(id);
        member.marks |= SPOKEN;
        // The operator was there before all clients, so each of them is told when it leaves.
        member.introduction = Introduction::Told;
        id
    }

    /// Gives a member that has none a seat in this room, whose tape it reads from now on. Cost: a search for its place
    /// among the members of the room.
    pub fn seat(&mut self, id: MemberId, room: RoomId) {
        let number = self.number(id);
        let place = self.seats(room).partition_point(|&other| self.number(other) < number);
        self.directory.add_seat(room, place, id);
        self.member_mut(id).room = room;
        self.mirror_room(id);
    }

    /// Takes a member's seat in its room. Returns whether the room was told that it joined; the next one is not yet.
    pub(super) fn unseat(&mut self, id: MemberId) -> Introduction {
        let introduction = self.take_seat(id);
        self.mirror_room(id);
        introduction
    }

    fn take_seat(&mut self, id: MemberId) -> Introduction {
        let (number, room) = (self.number(id), self.room(id));
        if let Ok(place) = self.seats(room).binary_search_by_key(&number, |&other| self.number(other)) {
            self.directory.remove_seat(room, place);
        }
        let introduction = &mut self.member_mut(id).introduction;
        std::mem::replace(introduction, Introduction::Pending)
    }

    /// Removes a member; its name is free. Returns that name, and whether the room was told that it joined.
    pub(super) fn remove(&mut self, id: MemberId) -> (String, Introduction) {
        let introduction = self.take_seat(id);
        self.mirror(id, |number| RosterEvent::Left { number });
        if let Ok(place) = self.place_in_order(self.member(id).number) {
            self.order.remove(place);
        }
        let member = self.members.remove(id.index());
        let name = member.shown().to_string();
        if let Some(name) = member.name {
            self.chosen.remove(name.folded());
        }
        (name, introduction)
    }

    /// Removes all members. Their numbers do not come again.
    pub fn clear(&mut self) {
        self.members.clear();
        self.order.clear();
        self.chosen.clear();
        self.directory.clear_seats();
    }

    /// Returns the name of a member, as shown.
    pub fn shown(&self, id: MemberId) -> Shown<'_> {
        self.member(id).shown()
    }

    /// Returns the number of a member.
    pub fn number(&self, id: MemberId) -> ClientNumber {
        self.member(id).number
    }

    /// Returns the caller's key of a member; `None` while it is away: its connection is lost, and its seat is kept.
    pub fn key(&self, id: MemberId) -> Option<usize> {
        let key = self.member(id).key;
        (key != AWAY).then_some(key as usize)
    }

    /// Gives a member another key, or none while it is away.
    ///
    /// # Panics
    /// As [`add_client`](Roster::add_client).
    pub fn set_key(&mut self, id: MemberId, key: Option<usize>) {
        self.member_mut(id).key = key.map_or(AWAY, key_of);
    }

    /// Returns the member with a number as it is shown: the operator has 0.
    pub fn find_number(&self, shown: u64) -> Option<MemberId> {
        let number = ClientNumber(NonZeroU64::MIN.checked_add(shown)?);
        let place = self.place_in_order(number).ok()?;
        self.order.get(place).copied()
    }

    /// Returns when a member entered, in seconds of the caller's clock.
    pub fn entered(&self, id: MemberId) -> u32 {
        self.member(id).entered
    }

    /// Whether a member has said a line or taken a name: others may know it.
    pub fn is_known(&self, id: MemberId) -> bool {
        let member = self.member(id);
        member.lines > 0 || member.name.is_some()
    }

    /// Returns how many lines a member has said.
    pub fn lines(&self, id: MemberId) -> u32 {
        self.member(id).lines
    }

    /// Returns the members with a higher number than this one, or all: the oldest first. Cost: a search.
    pub fn members_behind(&self, last: Option<ClientNumber>) -> &[MemberId] {
        let told = last.map_or(0, |last| self.order.partition_point(|&id| self.number(id) <= last));
        &self.order[told..]
    }

    /// Returns the room whose tape a member reads: the one that it is in, or is leaving.
    pub fn room(&self, id: MemberId) -> RoomId {
        self.member(id).room
    }

    /// Returns the members of a room, the oldest first.
    pub fn seats(&self, room: RoomId) -> &[MemberId] {
        self.directory.seats(room)
    }

    /// Whether a member has a seat in its room: it does not move. Cost: a search.
    pub fn is_seated(&self, id: MemberId) -> bool {
        let number = self.number(id);
        self.seats(self.room(id)).binary_search_by_key(&number, |&other| self.number(other)).is_ok()
    }

    /// Whether a member is the operator.
    pub fn is_operator(&self, id: MemberId) -> bool {
        self.member(id).number == ClientNumber::OPERATOR
    }

    /// Whether a member has sent anything but empty lines.
    pub fn has_spoken(&self, id: MemberId) -> bool {
        self.member(id).marks & SPOKEN != 0
    }

    /// Records that a member has sent something.
    pub fn note_spoken(&mut self, id: MemberId) {
        self.member_mut(id).marks |= SPOKEN;
    }

    /// Whether a member came to its room from another one.
    pub fn has_moved(&self, id: MemberId) -> bool {
        self.member(id).marks & MOVED != 0
    }

    /// Seats a member that comes from another room.
    pub fn seat_mover(&mut self, id: MemberId, room: RoomId) {
        self.seat(id, room);
        self.member_mut(id).marks |= MOVED;
    }

    /// Whether the room was told that a member joined.
    pub fn introduction(&self, id: MemberId) -> Introduction {
        self.member(id).introduction
    }

    pub(super) fn set_introduction(&mut self, id: MemberId, introduction: Introduction) {
        let member = self.member_mut(id);
        member.introduction = introduction;
        member.marks &= !KNOWN;
    }

    pub(super) fn count_line(&mut self, id: MemberId) {
        let member = self.member_mut(id);
        member.lines = member.lines.saturating_add(1);
    }

    /// Returns the members of a room, the oldest first, as of `now`.
    pub(super) fn rows(&self, room: RoomId, now: u32) -> impl Iterator<Item = Row<'_>> {
        self.seats(room).iter().map(move |&id| {
            let member = self.member(id);
            let minutes = now.saturating_sub(member.entered) / 60;
            Row { shown: member.shown(), lines: member.lines, minutes, is_away: member.key == AWAY }
        })
    }

    /// Panics if an invariant of the roster does not hold. Costs a look at every member.
    pub fn check_invariants(&self) {
        self.directory.check_invariants();
        let seats = self.directory.ids().map(|room| self.seats(room));
        for members in seats.chain([&self.order[..]]) {
            let numbers: Vec<_> = members.iter().map(|&id| self.number(id)).collect();
            assert!(numbers.is_sorted_by(|a, b| a < b), "members are ordered by number: {numbers:?}");
        }
        for room in self.directory.ids() {
            assert!(self.seats(room).iter().all(|&id| self.room(id) == room), "a member is in its own room");
        }
        assert_eq!(self.order.len(), self.members.len(), "each member is in the order once");
        self.check_names();
    }

    fn add(&mut self, number: ClientNumber, name: Option<Box<Name>>, key: usize, now: u32) -> MemberId {
        let key = key_of(key);
        let introduction = Introduction::Pending;
        let room = RoomId::LOBBY;
        self.insert(Member { number, name, lines: 0, entered: now, key, room, introduction, marks: 0 })
    }

    /// Inserts a member whose number is the highest.
    fn insert(&mut self, member: Member) -> MemberId {
        let index = u32::try_from(self.members.insert(member)).expect("fewer members than a u32 counts");
        let id = MemberId(index.to_ne_bytes());
        self.order.push(id);
        id
    }

    fn place_in_order(&self, number: ClientNumber) -> Result<usize, usize> {
        self.order.binary_search_by_key(&number, |&id| self.member(id).number)
    }

    fn member(&self, id: MemberId) -> &Member {
        &self.members[id.index()]
    }

    fn member_mut(&mut self, id: MemberId) -> &mut Member {
        &mut self.members[id.index()]
    }
}

fn key_of(key: usize) -> u32 {
    let key = u32::try_from(key).ok().filter(|&key| key != AWAY);
    key.expect("keys of fewer connections than a u32 counts")
}

impl ClientNumber {
    const OPERATOR: ClientNumber = ClientNumber(NonZeroU64::MIN);

    /// Returns the number that is shown as `shown`; `None` if no client has that.
    pub fn of_client(shown: u64) -> Option<ClientNumber> {
        NonZeroU64::new(shown)?.checked_add(1).map(ClientNumber)
    }

    /// Returns the number as it is shown.
    pub fn shown(self) -> u64 {
        self.0.get() - 1
    }
}

impl fmt::Display for ClientNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.shown())
    }
}

impl MemberId {
    fn index(self) -> usize {
        u32::from_ne_bytes(self.0) as usize
    }
}

impl Member {
    fn shown(&self) -> Shown<'_> {
        match &self.name {
            Some(name) => Shown::Chosen(name),
            None => Shown::Given(self.number),
        }
    }
}

/// The name of a member as it is shown.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// A name that the member chose.
    Chosen(&'a Name),
    /// `client-` and the number of the member.
    Given(ClientNumber),
}

impl Shown<'_> {
    /// Whether the name begins with `folded`, in any case.
    pub(super) fn begins_with(&self, folded: &str) -> bool {
        match self {
            Shown::Chosen(name) => name.folded().starts_with(folded),
            Shown::Given(_) => self.to_string().starts_with(folded),
        }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shown::Chosen(name) => write!(f, "{name}"),
            Shown::Given(number) => write!(f, "{GIVEN_PREFIX}{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_small() {
        assert_eq!(size_of::<Member>(), 32);
    }

    #[test]
    fn a_list_in_parts_goes_on_behind_the_last_member_while_others_leave() {
        let mut roster = Roster::default();
        let members: Vec<_> = (0..10).map(|key| roster.add_client(key, RoomId::LOBBY, 0)).collect();
        let (mut last, mut told) = (None, Vec::new());
        while let [first, ..] = roster.members_behind(last)[..] {
            last = Some(roster.number(first));
            told.push(first);
            match told.len() {
                // The one that was just told, and the next one.
                3 => {
                    roster.remove(members[2]);
                    roster.remove(members[3]);
                }
                // One that comes may be told in the end, in the slot of one that left.
                5 => _ = roster.add_client(10, RoomId::LOBBY, 0),
                _ => {}
            }
        }
        assert_eq!(told.len(), 10, "all but the one that left before");
        assert_eq!(told[..4], [members[0], members[1], members[2], members[4]]);
    }

    #[test]
    fn numbers_never_come_again() {
        let mut roster = Roster::default();
        let first = roster.add_client(0, RoomId::LOBBY, 0);
        assert_eq!(roster.shown(first).to_string(), "client-1");
        roster.remove(first);
        let second = roster.add_client(0, RoomId::LOBBY, 0);
        assert_eq!(roster.shown(second).to_string(), "client-2");
        assert!(roster.find("client-1").is_none());
        assert_eq!(
            [0, 1, 2, 3, u64::MAX].map(|shown| roster.find_number(shown)),
            [None, None, Some(second), None, None]
        );
        roster.check_invariants();
    }
}
