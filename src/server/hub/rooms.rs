//! The rooms at work, and the lists of those for which a turn has something to do. A room in which nothing happens is
//! in none of them, and costs nothing in a turn.

use std::collections::{TryReserveError, VecDeque};
use std::ops::{Index, IndexMut};
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::debug;

use super::channel::Channel;
use super::connections::Connections;
use crate::net::random;
use crate::net::stream::Socket;
use crate::relay::directory::{Directory, RoomId};
use crate::relay::event::{Applied, Event};
use crate::relay::name::Name;
use crate::relay::past::Past;
use crate::relay::room::{Audience, Options, Room};
use crate::relay::roster::Roster;
use crate::relay::stamp::Epoch;
use crate::relay::tape::{Position, Tape};
use crate::server::config::{Config, Lag};
use crate::server::connection::Handle;
use crate::server::flow::brake::{Brake, RecentTraffic};
use crate::server::flow::deliveries::Deliveries;
use crate::server::limits::ROOM_KEPT;
use sharing::Sharing;

pub(super) mod sharing;

/// Up to this length, the queue of empty rooms may hold rooms that are empty no longer.
const EMPTY_KEPT_MIN: usize = 64;

/// Clients that wait for a brake for which a room keeps memory, however few of them there are.
const HELD_KEPT_MAX: usize = 64;

/// All rooms.
///
/// Invariants, checked by [`check_invariants`](Rooms::check_invariants):
/// - there is one channel for each room of the directory, under its number;
/// - a channel is in a list exactly if its [`Lists`](super::channel::Lists) say so, and once; `moved` holds every
///   channel whose tape has moved; `holding` every one with clients that wait for its brake; the rooms of `sharing` are
///   those with records on their way to the bus;
/// - a channel with a departure, a lost name, a line of an operator or an arrival to announce is in `announcing`; others
///   may be;
/// - a room without readers, which is not permanent, is in `empty`.
#[derive(Debug)]
pub(super) struct Rooms {
    channels: Vec<Option<Box<Channel>>>,
    options: Rc<Options>,
    has_wall: bool,
    backlog_bytes: usize,
    longest_line_bytes: usize,
    /// Number of the turn. It wraps around.
    turn: u32,
    /// The time of day, in ms since 1970; 0 if it is not known, or not needed.
    unix_ms: u64,
    now: Instant,
    deliveries: Deliveries,
    /// Rooms whose tape has moved since all readers were flushed, first in first out.
    moved: VecDeque<RoomId>,
    /// Rooms whose walk has ended in this turn, and whose tape had moved again before.
    walked: Vec<RoomId>,
    /// Rooms whose slowest reader may be another since the last turn.
    unsettled: Vec<RoomId>,
    /// Rooms with clients that wait for the brake, first in first out.
    holding: VecDeque<RoomId>,
    /// Rooms with departures, lost names, lines of operators or arrivals to announce, perhaps.
    announcing: Vec<RoomId>,
    /// Rooms without readers, and when they are dropped: the longest empty first. Rooms that are empty no longer are
    /// skipped.
    empty: VecDeque<(Instant, RoomId)>,
    /// The ends of the tapes of rooms that were dropped, summed.
    dropped: Position,
    /// The ends of the tapes that were loaded, summed.
    loaded: Position,
    /// The rooms as other servers share them, if there is a bus.
    sharing: Option<Box<Sharing>>,
}

impl Rooms {
    /// Creates the lobby, and the rooms that the operator names.
    ///
    /// # Errors
    /// When there is no memory for the tape of the lobby.
    pub(super) fn new(config: &Config, roster: &mut Roster, now: Instant) -> Result<Rooms, TryReserveError> {
        let options = Rc::new(config.room_options());
        let mut rooms = Rooms {
            channels: Vec::new(),
            options: Rc::clone(&options),
            has_wall: config.lag == Lag::Wait,
            backlog_bytes: config.room_backlog_bytes,
            longest_line_bytes: config.longest_line_bytes(),
            turn: 0,
            unix_ms: 0,
            now,
            deliveries: Deliveries::default(),
            moved: VecDeque::new(),
            walked: Vec::new(),
            unsettled: Vec::new(),
            holding: VecDeque::new(),
            announcing: Vec::new(),
            empty: VecDeque::new(),
            dropped: Position::default(),
            loaded: Position::default(),
            sharing: None,
        };
        let tape = Tape::new(config.backlog_bytes)?.with_epoch(Epoch::new(random::number()));
        let lobby = Room::new(RoomId::LOBBY, options, tape);
        rooms.add(lobby, config.backlog_bytes, RoomId::LOBBY);
        for name in &config.rooms {
            if roster.directory().find(name).is_none() {
                let room = roster.directory_mut().open(name.clone(), true);
                rooms.open(room);
            }
        }
        Ok(rooms)
    }

    /// Has all rooms know that there is a journal.
    pub(super) fn begin_journal(&mut self) {
        self.set_options(Options { has_journal: true, ..(*self.options).clone() });
    }

    /// Greets newcomers of all rooms with this text from now on.
    pub(super) fn set_greeting(&mut self, text: &str) {
        self.set_options(Options { greeting: text.to_owned(), ..(*self.options).clone() });
    }

    /// Returns the settings that all rooms share, also those that are opened later.
    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// Sets the settings of all rooms, and of those that are opened from now on.
    fn set_options(&mut self, options: Options) {
        self.options = Rc::new(options);
        for channel in self.channels.iter_mut().flatten() {
            channel.room.set_options(Rc::clone(&self.options));
        }
    }

    /// Lets a room go on behind earlier logs: before its first member comes.
    pub(super) fn load(&mut self, room: RoomId, past: Past, text: &[u8]) {
        self[room].load(past, text);
        self.loaded = self.loaded.plus(self[room].tape().end());
    }

    /// Returns the number of the room with this name, in which the caller seats a member or expects one. If need be,
    /// opens it, in the place of the one that has been empty longest. `None` if there is no place.
    pub(super) fn find_or_open(&mut self, name: &Name, directory: &mut Directory) -> Option<RoomId> {
        if let Some(room) = directory.find(name) {
            return Some(room);
        }
        if directory.len() >= self.options.rooms_max {
            self.drop_longest_empty(None, directory)?;
        }
        let room = directory.open(name.clone(), false);
        self.open(room);
        if let Some(sharing) = &mut self.sharing {
            sharing.open(room, name);
        }
        debug!(target: "pollchat::roster", "the room {name} is opened");
        Some(room)
    }

    fn open(&mut self, room: RoomId) {
        let tape = Tape::growing(self.backlog_bytes).with_epoch(Epoch::new(random::number()));
        self.add(Room::new(room, Rc::clone(&self.options), tape), self.backlog_bytes, room);
    }

    fn add(&mut self, room: Room, backlog_bytes: usize, id: RoomId) {
        let brake = Brake::new(backlog_bytes, self.longest_line_bytes, self.now);
        let brake = if self.has_wall { brake.with_wall(backlog_bytes, self.longest_line_bytes) } else { brake };
        if self.channels.len() <= id.index() {
            self.channels.resize_with(id.index() + 1, || None);
        }
        let mut channel = Channel::new(room, brake);
        channel.turn = self.turn.wrapping_sub(1);
        self.channels[id.index()] = Some(Box::new(channel));
        if self.sharing.is_some() {
            self.share(id);
        }
    }

    /// Drops the room that has been empty longest, if there is one and, with a time, if it has been empty long enough
    /// then.
    fn drop_longest_empty(&mut self, due: Option<Instant>, directory: &mut Directory) -> Option<()> {
        self.skip_stale();
        let (_, room) = self.empty.pop_front_if(|&mut (time, _)| due.is_none_or(|due| time <= due))?;
        let mut channel = self.channels[room.index()].take()?;
        if let Some(sharing) = &mut self.sharing {
            sharing.close(room, directory.name(room), &mut channel);
        }
        self.dropped = self.dropped.plus(channel.tape().end());
        self.moved.retain(|&other| other != room);
        self.unsettled.retain(|&other| other != room);
        self.holding.retain(|&other| other != room);
        self.announcing.retain(|&other| other != room);
        let (name, offset) = (directory.name(room), channel.tape().end().offset);
        debug!(target: "pollchat::roster", "the room {name} is dropped at {offset}");
        directory.close(room);
        Some(())
    }

    /// Drops the rooms that have been empty long enough.
    pub(super) fn drop_empty(&mut self, now: Instant, directory: &mut Directory) {
        while self.drop_longest_empty(Some(now), directory).is_some() {}
        if self.empty.len() > 2 * self.channels.len() + EMPTY_KEPT_MIN {
            let mut empty = std::mem::take(&mut self.empty);
            empty.retain(|&entry| self.is_empty_since(entry));
            self.empty = empty;
        }
    }

    /// Returns when the next empty room is dropped.
    pub(super) fn next_drop(&self) -> Option<Instant> {
        self.empty.front().map(|&(time, _)| time)
    }

    fn skip_stale(&mut self) {
        while let Some(&entry) = self.empty.front()
            && !self.is_empty_since(entry)
        {
            self.empty.pop_front();
        }
    }

    fn is_empty_since(&self, (time, room): (Instant, RoomId)) -> bool {
        self.channels[room.index()].as_ref().is_some_and(|channel| channel.dropped_at == Some(time))
    }

    /// Begins a turn. Cost: a look at each room whose tape has moved; the others follow when they are used.
    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.turn = self.turn.wrapping_add(1);
        self.now = now;
        let unflushed = |&room: &RoomId| self[room].unflushed_bytes() * self[room].readers() as u64;
        let unflushed = self.moved.iter().map(unflushed).sum();
        self.deliveries.begin_turn(unflushed);
    }

    /// Returns the time at which this turn began.
    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// Sets the time of day, in ms since 1970.
    pub(super) fn set_clock(&mut self, unix_ms: u64) {
        if self.options.audience != Audience::Sender || self.options.has_journal {
            self.unix_ms = unix_ms;
        }
    }

    /// Returns the time of day, in ms since 1970; 0 if it is not known.
    pub(super) fn unix_ms(&self) -> u64 {
        self.unix_ms
    }

    /// Whether this room exists.
    pub(super) fn has(&self, room: RoomId) -> bool {
        self.channels.get(room.index()).is_some_and(Option::is_some)
    }

    /// Sets the clock and the budgets of a room to those of this turn.
    pub(super) fn renew(&mut self, room: RoomId) {
        self.at_turn(room);
    }

    /// Returns a room whose budgets are those of this turn.
    fn at_turn(&mut self, room: RoomId) -> &mut Channel {
        let (turn, now, unix_ms) = (self.turn, self.now, self.unix_ms);
        let channel = &mut self[room];
        if channel.turn != turn {
            channel.turn = turn;
            if unix_ms > 0 {
                channel.room.set_time(unix_ms);
            }
            channel.brake.begin_turn(channel.readers(), channel.unflushed_bytes(), now);
        }
        channel
    }

    /// Returns how many bytes a client may put on the tape of a room in this turn.
    pub(super) fn allowance(&mut self, room: RoomId, recent: RecentTraffic) -> usize {
        let readers = self[room].readers();
        let shared = self.deliveries.share(readers);
        self.at_turn(room).brake.allowance(recent, shared)
    }

    /// Applies an event to a room.
    pub(super) fn apply(&mut self, room: RoomId, roster: &mut Roster, event: Event<'_>) -> Applied {
        let applied = self.at_turn(room).room.apply(roster, event);
        if self[room].room.has_announcement() {
            self.list_announcing(room);
        }
        if applied.bytes > 0 {
            self.note_put(room);
        }
        applied
    }

    /// Lists a room whose tape has moved or, if other servers share it, that has records on their way to the bus.
    fn note_put(&mut self, room: RoomId) {
        if self.sharing.is_none() {
            self.note_moved(room);
        } else {
            self.note_sent(room);
        }
    }

    /// Takes bytes off the budgets that the server itself put on the tape of a room, or sent to the bus.
    pub(super) fn spend(&mut self, room: RoomId, bytes: u64) {
        self.spend_deliveries(room, bytes);
        self.at_turn(room).brake.spend(bytes);
    }

    /// Takes bytes off the budget of all tapes, unless they go to the bus.
    fn spend_deliveries(&mut self, room: RoomId, bytes: u64) {
        if !self[room].brake.has_gate() {
            let readers = self[room].readers();
            self.deliveries.spend(bytes, readers);
        }
    }

    /// Takes bytes off the budgets that a client put on the tape of its room. Returns what is kept with the client.
    pub(super) fn charge(&mut self, room: RoomId, recent: RecentTraffic, bytes: u64) -> RecentTraffic {
        self.spend_deliveries(room, bytes);
        self.at_turn(room).brake.charge(recent, bytes)
    }

    /// Returns the recent traffic of a client that comes from another room. Brings both brakes to the period of now.
    pub(super) fn take_over(&mut self, recent: RecentTraffic, from: RoomId, to: RoomId) -> RecentTraffic {
        self.at_turn(from);
        self.at_turn(to);
        self[to].brake.take_over(recent, &self[from].brake)
    }

    /// Announces the members of a room that left or lost their names, and lines of operators, as far as its tape has room
    /// for it (`--lag wait`).
    pub(super) fn announce_queued(&mut self, room: RoomId, roster: &mut Roster) {
        while self[room].room.has_announcement() && self[room].can_announce() {
            let applied = self.at_turn(room).room.apply(roster, Event::Announced);
            self.note_put(room);
            self.spend(room, applied.bytes);
        }
    }

    /// Records a member that has arrived at the wall, to be announced when the room goes on.
    pub(super) fn note_arrived(&mut self, room: RoomId, key: usize) {
        self[room].arrived.insert(key);
        self.list_announcing(room);
    }

    /// Takes out the next member that has arrived, if the tape has room for its announcement.
    pub(super) fn take_arrived(&mut self, room: RoomId) -> Option<usize> {
        if self[room].can_announce() { self[room].arrived.take_first() } else { None }
    }

    /// Takes out all rooms with something to announce. The caller puts each back.
    pub(super) fn take_announcing(&mut self) -> Vec<RoomId> {
        std::mem::take(&mut self.announcing)
    }

    /// Puts a room back, if something is still to be announced in it.
    pub(super) fn put_announcing(&mut self, room: RoomId) {
        self[room].lists.announcing = false;
        if self[room].has_unannounced() {
            self.list_announcing(room);
        }
    }

    fn list_announcing(&mut self, room: RoomId) {
        if !self[room].lists.announcing {
            self[room].lists.announcing = true;
            self.announcing.push(room);
        }
    }

    /// Returns a room in which no further line of an operator may wait.
    pub(super) fn full_of_announcements(&self) -> Option<RoomId> {
        self.announcing.iter().copied().find(|&room| !self[room].room.takes_proclamation())
    }

    /// Whether a departure, a lost name, a line of an operator or an arrival can be announced.
    pub(super) fn can_announce(&self) -> bool {
        self.announcing.iter().any(|&room| self[room].can_announce())
    }

    /// Lists a room whose tape has moved.
    fn note_moved(&mut self, room: RoomId) {
        if !self[room].lists.moved {
            self[room].lists.moved = true;
            self.moved.push_back(room);
        }
        self.unsettle(room);
    }

    /// Whether the tape of a room has moved since all its readers were flushed.
    pub(super) fn has_moved(&self) -> bool {
        !self.moved.is_empty()
    }

    /// Takes out the next room whose tape has moved. The caller puts it back.
    pub(super) fn take_moved(&mut self) -> Option<RoomId> {
        self.moved.pop_front()
    }

    /// Puts a room back behind the others, if its tape has moved since its readers were flushed; until the next turn,
    /// if a walk has ended.
    pub(super) fn put_moved(&mut self, room: RoomId, has_ended: bool) {
        if !self[room].has_moved() {
            self[room].lists.moved = false;
        } else if has_ended {
            self.walked.push(room);
        } else {
            self.moved.push_back(room);
        }
    }

    /// Ends the walks of this turn.
    pub(super) fn end_walks(&mut self) {
        self.moved.extend(self.walked.drain(..));
    }

    /// Records that the slowest reader of a room may be another.
    pub(super) fn unsettle(&mut self, room: RoomId) {
        if !self[room].lists.unsettled {
            self[room].lists.unsettled = true;
            self.unsettled.push(room);
        }
    }

    /// Tells each brake how far behind the slowest reader is, if that may have changed.
    pub(super) fn settle<S: Socket>(&mut self, connections: &Connections<S>) {
        let mut rooms = std::mem::take(&mut self.unsettled);
        for room in rooms.drain(..) {
            self[room].lists.unsettled = false;
            self[room].settle(connections);
        }
        self.unsettled = rooms;
    }

    /// Adds a reader of a room.
    pub(super) fn add_reader<S: Socket>(&mut self, room: RoomId, key: usize, connections: &Connections<S>) {
        self.at_turn(room).add_reader(key, connections);
        self.unsettle(room);
    }

    /// Removes a connection that is owed nothing more of a room.
    pub(super) fn remove_reader(&mut self, room: RoomId, key: usize, directory: &Directory) {
        if self[room].remove_reader(key) {
            self.unsettle(room);
            self.note_empty(room, directory);
        }
    }

    /// Expects a connection that moves to a room.
    pub(super) fn expect(&mut self, room: RoomId) {
        self[room].expected += 1;
        self[room].dropped_at = None;
    }

    /// Expects a connection no longer: it has arrived, or has left the server.
    pub(super) fn expect_no_longer(&mut self, room: RoomId, directory: &Directory) {
        self[room].expected -= 1;
        self.note_empty(room, directory);
    }

    /// Begins the time after which a room is dropped, if nobody needs it: neither a reader nor a member that is away.
    pub(super) fn note_empty(&mut self, room: RoomId, directory: &Directory) {
        if self[room].is_empty() && directory.seats(room).is_empty() && !directory.is_permanent(room) {
            let kept = if self.options.history_lines == 0 { Duration::ZERO } else { ROOM_KEPT };
            let time = self.now + kept;
            self[room].dropped_at = Some(time);
            self.empty.push_back((time, room));
        }
    }

    /// Queues a client that waits for the brake of its room.
    pub(super) fn hold(&mut self, room: RoomId, handle: Handle) {
        self[room].held.push_back(handle);
        if !self[room].lists.holding {
            self[room].lists.holding = true;
            self.holding.push_back(room);
        }
    }

    /// Takes out the next room with clients that wait, and those clients. The caller puts back those that still wait,
    /// with [`put_held`](Rooms::put_held).
    pub(super) fn take_held(&mut self) -> Option<(RoomId, VecDeque<Handle>)> {
        let room = self.holding.pop_front()?;
        Some((room, std::mem::take(&mut self[room].held)))
    }

    /// Puts clients back that still wait, before those that have come since.
    pub(super) fn put_held(&mut self, room: RoomId, mut held: VecDeque<Handle>) {
        held.append(&mut self[room].held);
        if held.capacity() > HELD_KEPT_MAX && held.len() < held.capacity() / 4 {
            held.shrink_to(2 * held.len());
        }
        self[room].lists.holding = !held.is_empty();
        if self[room].lists.holding {
            self.holding.push_back(room);
        }
        self[room].held = held;
    }

    /// Returns the rooms whose tape has moved since all readers were flushed.
    pub(super) fn moved(&self) -> impl Iterator<Item = RoomId> {
        self.moved.iter().copied()
    }

    /// Returns the rooms with clients that wait, the first of them first.
    pub(super) fn holding(&self) -> impl ExactSizeIterator<Item = RoomId> {
        self.holding.iter().copied()
    }

    /// Returns all clients that wait for the brake of their room.
    pub(super) fn held(&self) -> impl Iterator<Item = &Handle> {
        self.holding.iter().flat_map(|&room| &self[room].held)
    }

    /// Returns the number of clients that wait for the brake of their room, at most.
    pub(super) fn held_len(&self) -> usize {
        self.holding.iter().map(|&room| self[room].held.len()).sum()
    }

    /// Returns when the brake of a room next lets waiting clients go on. While a room waits for a slow reader, that
    /// reader's socket or its stall timer wakes the loop.
    pub(super) fn next_period(&self) -> Option<Instant> {
        let braked = self.holding.iter().map(|&room| &self[room].brake).filter(|brake| !brake.is_at_wall());
        braked.map(Brake::next_period).min()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.channels.iter().flatten().map(|channel| &**channel)
    }

    /// Returns the number of all rooms at work.
    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    /// Returns what was put on the tapes since the start: bytes, and lines.
    pub(super) fn appended(&self) -> Position {
        let ends = self.iter().map(|channel| channel.tape().end());
        ends.fold(self.dropped, Position::plus).minus(self.loaded)
    }

    /// Panics if an invariant does not hold.
    pub(super) fn check_invariants(&self, directory: &Directory) {
        assert_eq!(self.len(), directory.len(), "each room is at work");
        if let Some(sharing) = &self.sharing {
            sharing.check_invariants(|room| self.has(room) && self[room].lists.outgoing);
        }
        for room in directory.ids() {
            let Channel { lists, held, dropped_at, .. } = &self[room];
            let times = |list: &mut dyn Iterator<Item = &RoomId>| list.filter(|&&other| other == room).count();
            assert_eq!(times(&mut self.moved.iter()), usize::from(lists.moved), "a room has moved once");
            assert_eq!(times(&mut self.holding.iter()), usize::from(lists.holding), "a room holds once");
            assert_eq!(times(&mut self.announcing.iter()), usize::from(lists.announcing), "a room announces once");
            assert_eq!(lists.moved, self[room].has_moved(), "a room that has moved is listed");
            assert_eq!(lists.holding, !held.is_empty(), "a room that holds clients is listed");
            assert!(lists.announcing || !self[room].has_unannounced(), "a room with something to announce is listed");
            assert!(self[room].arrived.iter().all(|key| self[room].audience().contains(key)), "arrivals are readers");
            assert!(!lists.unsettled, "the turn settles all rooms");
            let is_droppable =
                self[room].is_empty() && directory.seats(room).is_empty() && !directory.is_permanent(room);
            assert_eq!(dropped_at.is_some(), is_droppable, "an empty room is dropped in the end");
            assert!(dropped_at.is_none_or(|time| self.empty.contains(&(time, room))), "an empty room is listed");
        }
    }
}

impl Index<RoomId> for Rooms {
    type Output = Channel;

    fn index(&self, room: RoomId) -> &Channel {
        self.channels[room.index()].as_ref().expect("a room with readers, or in a list, exists")
    }
}

impl IndexMut<RoomId> for Rooms {
    fn index_mut(&mut self, room: RoomId) -> &mut Channel {
        self.channels[room.index()].as_mut().expect("a room with readers, or in a list, exists")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mover_counts_as_flooding_if_it_flooded_just_now_and_only_then() {
        let (mut roster, start) = (Roster::default(), Instant::now());
        let name = Name::parse("rust").unwrap();
        let config = Config { rooms: vec![name.clone()], ..Config::default() };
        let mut rooms = Rooms::new(&config, &mut roster, start).unwrap();
        let rust = roster.directory().find(&name).unwrap();
        let flood = |rooms: &mut Rooms| rooms.charge(RoomId::LOBBY, RecentTraffic::default(), 60_000);
        rooms.begin_turn(start);
        let flooded = flood(&mut rooms);
        // Both rooms have been idle since.
        rooms.begin_turn(start + Duration::from_secs(10));
        assert_eq!(rooms.take_over(flooded, RoomId::LOBBY, rust), RecentTraffic::default());
        rooms.begin_turn(start + Duration::from_secs(20));
        let flooded = flood(&mut rooms);
        let taken = rooms.take_over(flooded, RoomId::LOBBY, rust);
        assert_eq!(rooms.charge(rust, taken, 0), taken, "it still counts");
    }
}
