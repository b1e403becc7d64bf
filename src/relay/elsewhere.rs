//! The members of all servers that share a log: a state machine over the events of the roster's log.
//!
//! Each server reads the same log, and so has the same state: the servers, their members, the names that these hold,
//! and the names that they ask for. Own members are among them, as of the place in the log that was read; the
//! [`Roster`](super::roster::Roster) itself is ahead of that. A server that begins to read late learns the rest by the
//! snapshots that the others write when they read its hello.
//!
//! # Names
//! A name is asked for in the log, and judged where it stands there, by the server of the member that asks: it is free
//! if no member holds it, and none has asked for it before and was not answered. The answer stands in the log, too. So
//! no two servers give one name, and others need not judge anything. The owner of a name has it even if another member
//! holds it, or has asked for it.
//!
//! # Servers that are gone
//! Behind `gone` or `bye`, events of a server count for nothing until its next hello: it may not have read that yet. Its
//! members are gone, and their names free. `ends` has the choice of the server that tells the rooms, `disputes` what a
//! log that was lost in part leaves open.
//!
//! Pure: no clock, no socket.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::name::{GIVEN_PREFIX, Name};
use super::sequence::{EntryId, Writer};
use claims::Claims;
use disputes::Disputes;
use ends::{Owed, Seat};
use event::{Greeting, RosterEvent};
use numbers::Blocks;
use rooms::{RoomKey, RoomsOfAll};

mod claims;
mod disputes;
mod ends;
pub mod event;
mod listing;
mod numbers;
mod rooms;
#[cfg(test)]
mod tests;

pub use ends::{Departed, Note};
pub use listing::OtherRow;
pub use numbers::BLOCK_NUMBERS;

/// Most members of all servers that a server keeps. Those beyond are counted.
pub const MEMBERS_MAX: usize = 100_000;

/// Most servers that a server keeps: enough for any real number, and a bound for what a hostile log may cost.
const SERVERS_MAX: usize = 1_000;

/// Servers that are gone, and whose late events are dropped.
const GONE_MAX: usize = 1_000;

/// The members of all servers, as of a place in the log.
///
/// Invariants, checked by [`check_invariants`](Elsewhere::check_invariants): each member is on one of the servers, and
/// in one room; `names` leads from the folded form of each chosen name to its holder; `by_server` has each member.
#[derive(Debug)]
pub struct Elsewhere {
    own: Writer,
    servers: BTreeMap<Writer, Server>,
    members: BTreeMap<u64, Member>,
    /// The members of each server: an event of one server costs no look at those of all others.
    by_server: BTreeSet<(Writer, u64)>,
    names: HashMap<Box<str>, u64>,
    rooms: RoomsOfAll,
    claims: Claims,
    blocks: Blocks,
    gone: VecDeque<Writer>,
    /// Members of servers that are gone which another server has still to tell a room of.
    owed: BTreeMap<Seat, Owed>,
    /// Members of others of whom a room has read `joined` and not `left`, and their server. Only what is read in the room
    /// ends that: a server can die when the log of the roster has it that its member left, and the room has not.
    heard: BTreeMap<Seat, (Writer, Departed)>,
    disputes: Disputes,
    /// Hellos and beginnings of snapshots that were read.
    place: u64,
    /// Members that were not kept.
    left_out: u64,
}

/// A server that has said hello, or has written a snapshot.
#[derive(Debug)]
struct Server {
    name: Box<str>,
    announce_up_to: usize,
    /// The place of its hello; 0 if that stands before the beginning of the reading.
    greeted: u64,
    /// The place from which on all its members were told: every server that has said hello before knows them.
    told_from: u64,
    /// The place of the last snapshot that it has begun.
    begun: u64,
    /// Number of the last snapshot that it has begun.
    snapshot: u32,
    /// Whether that has no end yet.
    is_in_snapshot: bool,
    /// Whether all its members are known: a snapshot that was read had its beginning and its end.
    is_known: bool,
}

/// A member of any server.
#[derive(Debug)]
struct Member {
    server: Writer,
    name: Option<Box<Name>>,
    room: RoomKey,
    /// When it entered, in seconds of the caller's clock.
    since: i64,
    lines: u32,
    is_told: bool,
    /// The last snapshot of its server in which it was found.
    snapshot: u32,
}

/// The effect of an event on this server.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// Another server has come, and wants to know the members of this one.
    Greeted,
    /// All members of another server are known.
    Known,
    /// The hello of this server was read back.
    Welcomed,
    /// A member of this server that asked for a name may have it, or not.
    Judged {
        /// Its number, as shown.
        number: u64,
        /// Whether it may have the name.
        is_free: bool,
    },
    /// A member of another server has this name from now on.
    Taken {
        /// The name.
        name: Name,
    },
    /// A member of this server does not have its name any more: another one took it while this server was gone, or
    /// holds it, too.
    Lost {
        /// Its number, as shown.
        number: u64,
    },
    /// Another server is gone, or this one counts as gone.
    Gone {
        /// The server.
        server: Writer,
        /// Its members in rooms that know them, and for which this server speaks.
        told: Vec<Departed>,
    },
}

impl Elsewhere {
    /// Creates a state without servers.
    pub fn new(own: Writer) -> Elsewhere {
        Elsewhere {
            own,
            servers: BTreeMap::new(),
            members: BTreeMap::new(),
            by_server: BTreeSet::new(),
            names: HashMap::new(),
            rooms: RoomsOfAll::default(),
            claims: Claims::default(),
            blocks: Blocks::default(),
            gone: VecDeque::new(),
            owed: BTreeMap::new(),
            heard: BTreeMap::new(),
            disputes: Disputes::default(),
            place: 0,
            left_out: 0,
        }
    }

    /// Applies an event that `from` has written in the entry `id`, at `now` in seconds of the caller's clock.
    pub fn apply(&mut self, from: Writer, id: EntryId, event: &RosterEvent<'_>, now: i64) -> Effect {
        self.blocks.note(id);
        match *event {
            RosterEvent::Hello(greeting) => return self.greet(from, greeting),
            RosterEvent::WantsNumbers => self.blocks.give(from == self.own),
            RosterEvent::Gone { writer } => return self.end(writer),
            RosterEvent::Bye => return self.end(from),
            RosterEvent::Claims { number, is_owner, name } => return self.claim((from, number), is_owner, name),
            RosterEvent::SnapshotBegins(greeting) => self.begin_snapshot(from, greeting),
            RosterEvent::SnapshotEnds { blocks, as_of } => {
                self.blocks.learn(blocks, as_of);
                return self.end_snapshot(from);
            }
            RosterEvent::Left { number } | RosterEvent::Unnamed { number } | RosterEvent::Named { number, .. }
                if !self.servers.contains_key(&from) =>
            {
                self.claims.close((from, number));
            }
            _ if !self.servers.contains_key(&from) => {}
            RosterEvent::Member { number, seconds, lines, is_told, room, name } => {
                let since = now - i64::from(seconds);
                return self.describe((from, number), (since, lines, is_told), room, name);
            }
            RosterEvent::Came { number, room } => self.seat((from, number), room, now),
            RosterEvent::Left { number } => self.remove_of(from, number),
            RosterEvent::Told { number } => {
                if let Some(member) = self.member_of(from, number) {
                    member.is_told = true;
                }
            }
            RosterEvent::Named { number, name } => return self.name((from, number), name),
            RosterEvent::Unnamed { number } => {
                self.claims.close((from, number));
                if self.member_of(from, number).is_some() {
                    self.unname(number);
                }
            }
            // They change nothing here: the hub obeys them.
            RosterEvent::Kick { .. }
            | RosterEvent::Ban { .. }
            | RosterEvent::Unban { .. }
            | RosterEvent::Announce { .. } => {}
        }
        Effect::None
    }

    fn greet(&mut self, from: Writer, greeting: Greeting<'_>) -> Effect {
        self.blocks.give(from == self.own);
        self.forget(from);
        self.gone.retain(|&server| server != from);
        if self.servers.len() >= SERVERS_MAX {
            return Effect::None;
        }
        self.place += 1;
        let server = Server { greeted: self.place, told_from: self.place, ..Server::new(greeting) };
        self.servers.insert(from, server);
        if from == self.own { Effect::Welcomed } else { Effect::Greeted }
    }

    fn begin_snapshot(&mut self, from: Writer, greeting: Greeting<'_>) {
        if self.gone.contains(&from) || self.servers.len() >= SERVERS_MAX {
            return;
        }
        let server = self.servers.entry(from).or_insert_with(|| Server::new(greeting));
        self.place += 1;
        server.begun = self.place;
        server.snapshot = server.snapshot.wrapping_add(1);
        server.is_in_snapshot = true;
    }

    /// Takes in a member of a snapshot. A name that a member of another server holds stays with that one. Of two of its
    /// own, its server knows best which of them has the name: the log has lost how the other one came to lose it.
    fn describe(
        &mut self,
        (from, number): (Writer, u64),
        (since, lines, is_told): (i64, u32, bool),
        room: &str,
        name: Option<&str>,
    ) -> Effect {
        if !self.servers.get(&from).is_some_and(|server| server.is_in_snapshot) {
            return Effect::None;
        }
        self.seat((from, number), room, since);
        let Some(member) = self.member_of(from, number) else { return Effect::None };
        (member.lines, member.is_told) = (member.lines.max(lines), is_told);
        // A server that has come later knows by this alone when the member came; a second is the clocks' rounding. A
        // snapshot that is read late tells too few seconds.
        if since.saturating_add(1) < member.since {
            let (room, before) = (member.room, std::mem::replace(&mut member.since, since));
            self.rooms.seat_anew(room, (before, since), number);
        }
        let Some(name) = name.and_then(parse_name) else {
            self.unname(number);
            return Effect::None;
        };
        let holder = self.names.get(name.folded()).copied().filter(|&holder| holder != number);
        let rival = holder.filter(|&holder| self.member_of(from, holder).is_none());
        if rival.is_none() {
            self.disputes.end_name(number);
        } else if !self.yields_to((from, number), rival) {
            self.unname(number);
            return if from == self.own { Effect::Lost { number } } else { Effect::None };
        }
        if let Some(holder) = holder {
            self.unname(holder);
        }
        self.give_name(number, name);
        rival.map_or(Effect::None, |number| Effect::Lost { number })
    }

    /// Records that events of a server were lost: a snapshot that it has begun is not whole.
    pub fn note_gap(&mut self, server: Writer) {
        if let Some(server) = self.servers.get_mut(&server) {
            server.is_in_snapshot = false;
        }
    }

    /// Ends a snapshot whose beginning was read: its server has no other members.
    fn end_snapshot(&mut self, from: Writer) -> Effect {
        let Some(server) = self.servers.get_mut(&from).filter(|server| server.is_in_snapshot) else {
            return Effect::None;
        };
        server.is_in_snapshot = false;
        server.is_known = true;
        server.told_from = server.begun;
        let snapshot = server.snapshot;
        self.remove_all(from, |member| member.snapshot != snapshot);
        if from == self.own { Effect::None } else { Effect::Known }
    }

    /// Gives a member a seat in a room. A new one entered at `since`; another has kept its time, and is not known there.
    fn seat(&mut self, (from, number): (Writer, u64), room: &str, since: i64) {
        let snapshot = self.servers.get(&from).map_or(0, |server| server.snapshot);
        if let Some(member) = self.members.get_mut(&number) {
            if member.server != from {
                self.disputes.add_number(number, from);
                return;
            }
            if let Some(to) = self.rooms.add(room, from, (member.since, number)) {
                if to != member.room {
                    self.rooms.remove(member.room, from, (member.since, number));
                }
                (member.room, member.is_told, member.snapshot) = (to, false, snapshot);
            }
            return;
        }
        if self.members.len() >= MEMBERS_MAX {
            self.left_out += 1;
            return;
        }
        if let Some(room) = self.rooms.add(room, from, (since, number)) {
            let member = Member { server: from, name: None, room, since, lines: 0, is_told: false, snapshot };
            self.members.insert(number, member);
            self.by_server.insert((from, number));
        }
    }

    fn claim(&mut self, (from, number): (Writer, u64), is_owner: bool, name: &str) -> Effect {
        if self.gone.contains(&from) {
            return Effect::None;
        }
        let is_free = parse_name(name).is_some_and(|name| {
            let is_held = self.names.get(name.folded()).is_some_and(|&holder| holder != number);
            self.claims.open((from, number), name, is_owner) && (!is_held || is_owner)
        });
        if from == self.own { Effect::Judged { number, is_free } } else { Effect::None }
    }

    /// Gives a member the name that it asked for. Its server has judged that the name is free.
    fn name(&mut self, (from, number): (Writer, u64), name: &str) -> Effect {
        let Some(name) = parse_name(name) else { return Effect::None };
        let is_free = self.names.get(name.folded()).is_none_or(|&holder| holder == number);
        let is_of_owner = self.claims.is_of_owner((from, number));
        let may_have = self.claims.answer((from, number), &name, is_free);
        if !may_have || self.member_of(from, number).is_none() {
            return Effect::None;
        }
        if let Some(&holder) = self.names.get(name.folded())
            && holder != number
        {
            if !is_of_owner {
                self.disputes.add(self.members[&holder].server);
            }
            self.unname(holder);
        }
        self.give_name(number, name.clone());
        if from == self.own { Effect::None } else { Effect::Taken { name } }
    }

    fn give_name(&mut self, number: u64, name: Name) {
        self.unname(number);
        self.names.insert(name.folded().into(), number);
        if let Some(member) = self.members.get_mut(&number) {
            member.name = Some(Box::new(name));
        }
    }

    fn unname(&mut self, number: u64) {
        if let Some(name) = self.members.get_mut(&number).and_then(|member| member.name.take()) {
            self.names.remove(name.folded());
        }
    }

    /// Forgets the members of a server, and the names that they ask for.
    fn forget(&mut self, server: Writer) {
        self.remove_all(server, |_| true);
        self.claims.close_all(server);
    }

    /// Returns the members of a server, by their numbers.
    fn members_on(&self, server: Writer) -> impl Iterator<Item = (u64, &Member)> {
        let numbers = self.by_server.range((server, 0)..=(server, u64::MAX));
        numbers.map(|&(_, number)| (number, &self.members[&number]))
    }

    fn remove_all(&mut self, server: Writer, is_removed: impl Fn(&Member) -> bool) {
        let removed: Vec<u64> =
            self.members_on(server).filter(|(_, member)| is_removed(member)).map(|(number, _)| number).collect();
        removed.into_iter().for_each(|number| self.remove(number));
    }

    fn remove_of(&mut self, from: Writer, number: u64) {
        self.end_debt(from, number);
        self.claims.close((from, number));
        if self.member_of(from, number).is_some() {
            self.remove(number);
        }
    }

    fn remove(&mut self, number: u64) {
        self.unname(number);
        self.disputes.end_number(number);
        if let Some(member) = self.members.remove(&number) {
            self.by_server.remove(&(member.server, number));
            self.rooms.remove(member.room, member.server, (member.since, number));
        }
    }

    fn member_of(&mut self, server: Writer, number: u64) -> Option<&mut Member> {
        self.members.get_mut(&number).filter(|member| member.server == server)
    }

    /// Counts a line of a member of another server.
    pub fn count_line(&mut self, number: u64) {
        let own = self.own;
        if let Some(member) = self.members.get_mut(&number).filter(|member| member.server != own) {
            member.lines = member.lines.saturating_add(1);
        }
    }

    /// Takes the blocks of numbers that were given to this server, as the first number of each.
    pub fn take_numbers(&mut self) -> Vec<u64> {
        self.blocks.take_own()
    }

    /// Counts blocks of numbers from 0 on: the log is new.
    pub fn begin_blocks(&mut self) {
        self.blocks.assume(0);
    }

    /// Counts blocks of numbers from the time on, unless their count is known: the log is without its beginning, and
    /// there is no server to ask. There have never been as many blocks as seconds since 1970.
    pub fn assume_blocks(&mut self) {
        self.blocks.assume(self.blocks.last().ms / 1_000);
    }

    /// Returns the end of a snapshot, as of the place that was read; `None` while the blocks are not known.
    pub fn snapshot_end(&self) -> Option<RosterEvent<'static>> {
        Some(RosterEvent::SnapshotEnds { blocks: self.blocks.count()?, as_of: self.blocks.last() })
    }

    /// Returns how many members were not kept, because there were too many.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Panics if an invariant does not hold. Costs a look at every member.
    pub fn check_invariants(&self) {
        self.rooms.check_invariants();
        for (folded, number) in &self.names {
            let name = self.members[number].name.as_ref();
            assert_eq!(name.map(|name| name.folded()), Some(&**folded), "a name leads to its holder");
        }
        let named = self.members.values().filter(|member| member.name.is_some()).count();
        assert_eq!(named, self.names.len(), "every name can be found");
        let seats: usize = self.rooms.iter().map(|room| room.members.len()).sum();
        assert_eq!(seats, self.members.len(), "every member has a seat");
        assert_eq!(self.by_server.len(), self.members.len(), "every member is found by its server");
        for (&number, member) in &self.members {
            assert!(self.by_server.contains(&(member.server, number)), "a member is found by its server");
            assert!(self.servers.contains_key(&member.server), "a member is on a server");
            let seat = (member.since, number);
            assert!(self.rooms.room(member.room).members.contains(&seat), "a member is in its room");
        }
    }
}

impl Server {
    fn new(greeting: Greeting<'_>) -> Server {
        Server {
            name: greeting.server.into(),
            announce_up_to: greeting.announce_up_to,
            greeted: 0,
            told_from: 0,
            begun: 0,
            snapshot: 0,
            is_in_snapshot: false,
            is_known: false,
        }
    }
}

impl Member {
    fn shown(&self, number: u64) -> String {
        self.name.as_ref().map_or_else(|| format!("{GIVEN_PREFIX}{number}"), ToString::to_string)
    }
}

/// Reads a name as a server writes it.
fn parse_name(text: &str) -> Option<Name> {
    Name::parse(text).ok().filter(|name| name.as_str() == text)
}
