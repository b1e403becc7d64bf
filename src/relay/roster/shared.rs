//! The roster of this server beside those of others: what it tells them, what it knows of theirs, and the numbers that
//! the servers share.
//!
//! Each change of a member here is mirrored by an event for the log, in the one place where the roster changes. While
//! the log takes none, events wait up to [`WAITING_BYTES_MAX`]; beyond that they are dropped, and a snapshot of all
//! members takes their place.

use std::collections::VecDeque;

use super::super::directory::RoomId;
use super::super::elsewhere::event::RosterEvent;
use super::super::elsewhere::{BLOCK_NUMBERS, Elsewhere, OtherRow};
use super::super::name::Name;
use super::super::sequence::Writer;
use super::{ClientNumber, Introduction, KNOWN, MemberId, Roster};

/// Bytes of events that may wait for the log.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// The side of a roster that faces those of other servers.
#[derive(Debug)]
pub(super) struct Shared {
    elsewhere: Elsewhere,
    /// Events of members that wait for the log.
    waiting: String,
    /// Events of the server itself and orders of operators that wait. They have no place among those of members, and no
    /// snapshot stands for them.
    apart: String,
    /// Whether events were dropped since.
    has_dropped: bool,
    /// Whether changes are not mirrored: the log knows them already.
    is_obeying: bool,
    /// Blocks of numbers behind the one in use, as the first number of each.
    blocks: VecDeque<u64>,
}

impl Roster {
    /// Shares names and numbers with other servers from now on: before the first client.
    pub fn share(&mut self, own: Writer) {
        debug_assert!(self.clients() == 0, "before all clients");
        (self.next_number, self.numbers_end) = (1, 1);
        self.shared = Some(Box::new(Shared {
            elsewhere: Elsewhere::new(own),
            waiting: String::new(),
            apart: String::new(),
            has_dropped: false,
            is_obeying: false,
            blocks: VecDeque::new(),
        }));
    }

    /// Returns the members of all servers, as of the place in the log that was read; `None` if there is no log.
    pub fn elsewhere(&self) -> Option<&Elsewhere> {
        self.shared.as_ref().map(|shared| &shared.elsewhere)
    }

    /// The same, to read on.
    pub fn elsewhere_mut(&mut self) -> Option<&mut Elsewhere> {
        self.shared.as_mut().map(|shared| &mut shared.elsewhere)
    }

    /// Returns how many clients can still be given a number.
    pub fn numbers_left(&self) -> u64 {
        let blocks = self.shared.as_ref().map_or(0, |shared| shared.blocks.len() as u64);
        self.numbers_end - self.next_number + blocks * BLOCK_NUMBERS
    }

    /// Adds a block of numbers, from this one on. Blocks come in ascending order.
    pub fn add_numbers(&mut self, first: u64) {
        let Some(shared) = &mut self.shared else { return };
        shared.blocks.push_back(first);
        if self.next_number == self.numbers_end {
            self.begin_next_block();
        }
    }

    pub(super) fn begin_next_block(&mut self) {
        if let Some(first) = self.shared.as_mut().and_then(|shared| shared.blocks.pop_front()) {
            debug_assert!(first >= self.next_number, "blocks come in order");
            (self.next_number, self.numbers_end) = (first, first.saturating_add(BLOCK_NUMBERS));
        }
    }

    /// Returns the number of members of other servers in a room.
    pub fn others_in(&self, room: RoomId) -> usize {
        self.elsewhere().map_or(0, |elsewhere| elsewhere.len_in(self.directory.name(room)))
    }

    /// Returns the members of other servers in a room, the oldest first.
    pub(in super::super) fn other_rows(&self, room: RoomId, now: u32) -> impl Iterator<Item = OtherRow<'_>> {
        let rows = self.elsewhere().map(|elsewhere| elsewhere.rows_in(self.directory.name(room), now.into()));
        rows.into_iter().flatten()
    }

    /// Returns those of them whose names begin with `folded`.
    pub(in super::super) fn other_rows_beginning(
        &self,
        room: RoomId,
        folded: &str,
        now: u32,
    ) -> impl Iterator<Item = OtherRow<'_>> {
        let name = self.directory.name(room);
        let rows = self.elsewhere().map(|elsewhere| elsewhere.rows_beginning(name, folded, now.into()));
        rows.into_iter().flatten()
    }

    /// Returns all rooms on all servers with the numbers of their members, in no order. Cost: a look at each room.
    pub fn sizes(&self) -> Vec<(&Name, usize)> {
        let Some(elsewhere) = self.elsewhere() else { return self.directory.sizes().collect() };
        let here = self.directory.sizes().map(|(room, here)| (room, here + elsewhere.len_in(room)));
        here.chain(elsewhere.rooms().filter(|(room, _)| self.directory.find(room).is_none())).collect()
    }

    /// Returns the client with this number, as shown. Cost: a search.
    pub fn find_client(&self, number: u64) -> Option<MemberId> {
        self.find_number(number).filter(|&member| !self.is_operator(member))
    }

    /// Returns the name that a member has chosen.
    pub fn chosen(&self, id: MemberId) -> Option<&Name> {
        self.member(id).name.as_deref()
    }

    /// Returns the member of this server that holds a name, in any case.
    pub fn holder_here(&self, name: &Name) -> Option<MemberId> {
        self.holder(name)
    }

    /// Adds an event of the server for the log.
    pub fn tell_others(&mut self, event: &RosterEvent<'_>) {
        if let Some(shared) = &mut self.shared {
            shared.push(event);
        }
    }

    /// Lets changes of members be mirrored, or not: while this server does what the log tells it.
    pub fn set_obeying(&mut self, is_obeying: bool) {
        if let Some(shared) = &mut self.shared {
            shared.is_obeying = is_obeying;
        }
    }

    /// Takes the first events that wait for the log: whole lines, about so many bytes.
    pub fn take_waiting(&mut self, bytes_max: usize) -> Option<String> {
        let shared = self.shared.as_mut()?;
        let waiting = if shared.apart.is_empty() { &mut shared.waiting } else { &mut shared.apart };
        if waiting.is_empty() || bytes_max == 0 {
            return None;
        }
        let end = waiting.as_bytes().iter().skip(bytes_max - 1).position(|&byte| byte == b'\n');
        let rest = waiting.split_off(end.map_or(waiting.len(), |end| bytes_max + end));
        Some(std::mem::replace(waiting, rest))
    }

    /// Drops the events of members that wait: a hello follows, and a snapshot.
    pub fn drop_waiting(&mut self) {
        if let Some(shared) = &mut self.shared {
            shared.waiting = String::new();
            shared.has_dropped = false;
        }
    }

    /// Whether events were dropped, so that the others have to be told all members anew.
    pub fn has_dropped_events(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.has_dropped)
    }

    /// Begins a snapshot of all members: events are no longer dropped.
    pub fn begin_snapshot(&mut self, begin: &RosterEvent<'_>) {
        if let Some(shared) = &mut self.shared {
            shared.has_dropped = false;
            shared.push(begin);
        }
    }

    /// Adds the next clients behind `last` to a snapshot, at most so many, at `now` in seconds of the caller's clock.
    /// Returns the last one, or `None` at the end of all.
    pub fn describe(&mut self, last: Option<ClientNumber>, most: usize, now: u32) -> Option<ClientNumber> {
        let mut shared = self.shared.take()?;
        let members = self.members_behind(last);
        let members = &members[..members.len().min(most)];
        for &id in members.iter().filter(|&&id| !self.is_operator(id)) {
            let member = self.member(id);
            shared.push(&RosterEvent::Member {
                number: member.number.shown(),
                seconds: now.saturating_sub(member.entered),
                lines: member.lines,
                is_told: member.introduction == Introduction::Told && member.marks & KNOWN != 0,
                room: self.directory.name(member.room).as_str(),
                name: member.name.as_ref().map(|name| name.as_str()),
            });
        }
        let last = members.last().map(|&member| self.number(member));
        self.shared = Some(shared);
        last
    }

    /// Tells the others of a change of a client.
    pub(super) fn mirror<'a>(&mut self, id: MemberId, event: impl FnOnce(u64) -> RosterEvent<'a>) {
        // The common case.
        if self.shared.is_none() || self.is_operator(id) {
            return;
        }
        let number = self.number(id).shown();
        if let Some(shared) = self.shared.as_mut().filter(|shared| !shared.is_obeying) {
            shared.push(&event(number));
        }
    }

    /// Tells the others that a room knows a client: its `joined` was read back there. Before, the room may never read it.
    pub fn tell_joined(&mut self, number: u64, room: RoomId) {
        if let Some(id) = self.find_client(number)
            && self.room(id) == room
            && self.introduction(id) == Introduction::Told
        {
            self.member_mut(id).marks |= KNOWN;
            self.mirror(id, |number| RosterEvent::Told { number });
        }
    }

    /// Tells the others in which room a client is, and that this room was not told that it joined.
    pub(super) fn mirror_room(&mut self, id: MemberId) {
        if self.shared.is_none() || self.is_operator(id) {
            return;
        }
        let (number, room) = (self.number(id).shown(), self.directory.name(self.room(id)).as_str());
        if let Some(shared) = &mut self.shared {
            shared.push(&RosterEvent::Came { number, room });
        }
    }
}

impl Shared {
    fn push(&mut self, event: &RosterEvent<'_>) {
        if event.is_apart() {
            if self.apart.len() < WAITING_BYTES_MAX {
                event.push(&mut self.apart);
            }
            return;
        }
        if self.has_dropped {
            return;
        }
        event.push(&mut self.waiting);
        if self.waiting.len() > WAITING_BYTES_MAX {
            self.waiting = String::new();
            self.has_dropped = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> Roster {
        let mut roster = Roster::default();
        roster.share(Writer::new(7));
        roster.add_numbers(1_001);
        roster
    }

    #[test]
    fn every_change_of_a_member_is_mirrored() {
        let mut roster = shared();
        let rust = roster.directory_mut().open(Name::parse("rust").unwrap(), false);
        let ana = roster.add_client(0, RoomId::LOBBY, 0);
        roster.tell_joined(1_001, RoomId::LOBBY);
        roster.set_introduction(ana, Introduction::Told);
        roster.tell_joined(1_001, rust);
        roster.tell_joined(1_001, RoomId::LOBBY);
        roster.rename(ana, Name::parse("ana").unwrap(), false);
        roster.unseat(ana);
        roster.seat_mover(ana, rust);
        roster.unname(ana);
        roster.remove(ana);
        let events = "+ 1001 lobby\nt 1001\nn 1001 ana\n+ 1001 lobby\n+ 1001 rust\nu 1001\n- 1001\n";
        assert_eq!(roster.take_waiting(usize::MAX).as_deref(), Some(events));
        assert_eq!(roster.take_waiting(usize::MAX), None);
    }

    #[test]
    fn the_operator_is_nobodys_member_but_of_its_own_server() {
        let mut roster = shared();
        let operator = roster.add_operator(0, 0);
        roster.remove(operator);
        assert_eq!(roster.take_waiting(usize::MAX), None);
    }

    #[test]
    fn numbers_come_from_the_blocks_that_were_given_and_from_no_others() {
        let mut roster = Roster::default();
        roster.share(Writer::new(7));
        assert_eq!(roster.numbers_left(), 0);
        roster.add_numbers(2_001);
        roster.add_numbers(7_001);
        assert_eq!(roster.numbers_left(), 2_000);
        let numbers: Vec<_> = (0..2_000).map(|key| roster.add_client(key, RoomId::LOBBY, 0)).collect();
        let numbers: Vec<_> = numbers.into_iter().map(|member| roster.number(member).shown()).collect();
        assert!(numbers.into_iter().eq((2_001..=3_000).chain(7_001..=8_000)));
        assert_eq!(roster.numbers_left(), 0);
        roster.add_numbers(9_001);
        assert_eq!(roster.numbers_left(), 1_000);
        roster.check_invariants();
    }

    #[test]
    fn events_that_wait_are_taken_in_whole_lines_and_bounded() {
        let mut roster = shared();
        let members = [0, 1, 2].map(|key| roster.add_client(key, RoomId::LOBBY, 0));
        assert_eq!(roster.take_waiting(1).as_deref(), Some("+ 1001 lobby\n"));
        assert_eq!(roster.take_waiting("+ 1002 lobby\n".len()).as_deref(), Some("+ 1002 lobby\n"));
        assert_eq!(roster.take_waiting(0), None);
        for _ in 0..WAITING_BYTES_MAX {
            roster.unseat(members[0]);
            roster.seat_mover(members[0], RoomId::LOBBY);
        }
        assert!(roster.has_dropped_events());
        assert_eq!(roster.take_waiting(usize::MAX), None);
        roster.begin_snapshot(&RosterEvent::Bye);
        let mut last = None;
        while let Some(next) = roster.describe(last, 2, 60) {
            last = Some(next);
        }
        let rows = "b\nm 1001 60 0 0 lobby\nm 1002 60 0 0 lobby\nm 1003 60 0 0 lobby\n";
        assert_eq!(roster.take_waiting(usize::MAX).as_deref(), Some(rows));
    }

    #[test]
    fn a_snapshot_tells_of_a_member_as_known_to_its_room_once_that_has_read_joined() {
        let mut roster = shared();
        let ana = roster.add_client(0, RoomId::LOBBY, 0);
        roster.set_introduction(ana, Introduction::Told);
        let mut snapshot = |is_read: bool| {
            if is_read {
                roster.tell_joined(1_001, RoomId::LOBBY);
            }
            roster.take_waiting(usize::MAX);
            roster.describe(None, 1, 0);
            roster.take_waiting(usize::MAX)
        };
        assert_eq!(snapshot(false).as_deref(), Some("m 1001 0 0 0 lobby\n"));
        assert_eq!(snapshot(true).as_deref(), Some("m 1001 0 0 1 lobby\n"));
    }
}
