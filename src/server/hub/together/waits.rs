//! Rooms whose earlier records are being loaded, and the connections that wait for them.
//!
//! A client enters a room once its earlier records are on the tape, so that it has the history, and the positions of
//! the other servers. It waits for at most [`LOAD_TIME`]: then it goes on without them. What is loaded later is sent to
//! nobody. The lobby and the rooms of the operator are loaded before the first client is admitted.

use std::time::{Duration, Instant};

use super::Together;
use crate::net::stream::Socket;
use crate::relay::cursor::Dialect;
use crate::relay::directory::RoomId;
use crate::relay::name::Name;
use crate::server::connection::{Handle, Phase, ReadState};
use crate::server::hub::Hub;
use crate::server::sessions::SessionId;

/// Time for which a client waits for the history of a room.
const LOAD_TIME: Duration = Duration::from_secs(5);

/// A room whose earlier records have not all come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loading {
    /// No client is admitted before.
    Required,
    /// Clients wait until then.
    Until(Instant),
    /// Clients went on without them.
    GivenUp,
}

/// The event for which a connection waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// Entering: this server takes part.
    Joined,
    /// Entering: a room is loaded. The room expects it.
    Room(RoomId),
    /// Entering: nothing any more. A room is loaded, and expects it until it is read again.
    Nothing(RoomId),
    /// Moving: the room to which it goes is loaded.
    Arrival(RoomId),
    /// Entering: the lines of the member with this number, whose session it resumes, were read back; or it is that
    /// time.
    Lines(u64, Instant),
}

impl Loading {
    pub(super) fn of_room(is_permanent: bool, now: Instant) -> Loading {
        if is_permanent { Loading::Required } else { Loading::Until(now + LOAD_TIME) }
    }
}

impl<S: Socket> Hub<S> {
    /// Whether clients are admitted: this server takes part, and the rooms that exist forever are loaded. True without
    /// a bus.
    pub(in crate::server::hub) fn is_open(&self) -> bool {
        let is_loaded = || !self.together.loading.values().any(|&loading| loading == Loading::Required);
        self.bus.is_none() || (self.has_joined() && is_loaded())
    }

    /// Whether earlier records of a room are still to come.
    pub(in crate::server::hub) fn is_loading(&self, room: RoomId) -> bool {
        self.together.loading.contains_key(&room)
    }

    /// Handles a room whose earlier records have all come.
    pub(super) fn on_loaded(&mut self, room: RoomId) {
        if self.together.loading.remove(&room).is_some() && self.rooms.has(room) {
            self.rooms.note_loaded(room);
            self.together.ungated.push(room);
            self.end_waits(|awaited| awaited == Awaited::Room(room) || awaited == Awaited::Arrival(room));
        }
    }

    /// Moves the readers of a room that is being loaded behind what has come. A tracked reader counts records, so it is
    /// told how many it has missed.
    pub(super) fn pass_over_loaded(&mut self, room: RoomId) {
        let end = self.rooms[room].tape().end();
        let keys: Vec<usize> = self.rooms[room].audience().iter().collect();
        for key in keys {
            let connection = &mut self.connections[key];
            if let Phase::Present(_) = connection.phase {
                match connection.dialect() {
                    Dialect::Plain => connection.cursor.discard(end, Dialect::Plain),
                    Dialect::Tracked => connection.cursor.skip_missed(end, Dialect::Tracked),
                }
            }
        }
    }

    /// Whether an entering connection has to wait before it enters a room: by name, or without a word.
    pub(in crate::server::hub) fn waits_to_enter(&mut self, key: usize, name: Option<&Name>, now: Instant) -> bool {
        if self.bus.is_none() {
            return false;
        }
        if self.waits_to_join(key) {
            return true;
        }
        let room = match name.or(self.admission.destination(key)).cloned() {
            None => Some(RoomId::LOBBY),
            // It is refused at once, and opens no room.
            Some(_) if self.check_seat().is_err() => None,
            Some(name) => self.rooms.find_or_open(&name, self.roster.directory_mut()),
        };
        room.is_some_and(|room| self.waits_for_room(key, room, now))
    }

    /// Whether an entering connection has to wait before it resumes a session.
    pub(in crate::server::hub) fn waits_to_resume(&mut self, key: usize, session: SessionId, now: Instant) -> bool {
        if self.bus.is_none() {
            return false;
        }
        if self.waits_to_join(key) {
            return true;
        }
        let (room, epoch) = (self.sessions[session].room, self.sessions[session].epoch);
        match self.sessions[session].member() {
            Some(member) => {
                let number = self.roster.number(member).shown();
                let is_under_way = self.together.under_way.contains_key(&number);
                if is_under_way {
                    self.wait(key, Awaited::Lines(number, now + LOAD_TIME));
                }
                is_under_way
            }
            None if self.rooms.has(room) && self.rooms[room].tape().epoch() == epoch => {
                self.waits_for_room(key, room, now)
            }
            None => self.waits_to_enter(key, None, now),
        }
    }

    /// Whether an entering connection has to wait until this server takes part.
    pub(in crate::server::hub) fn waits_to_join(&mut self, key: usize) -> bool {
        let waits = !self.is_open();
        if waits {
            self.wait(key, Awaited::Joined);
        }
        waits
    }

    /// Whether a mover has to wait before it arrives.
    pub(in crate::server::hub) fn waits_to_arrive(&mut self, handle: Handle, to: RoomId, now: Instant) -> bool {
        let waits = !self.is_ready(to, now);
        if waits {
            self.together.waits.insert(handle, Awaited::Arrival(to));
        }
        waits
    }

    fn waits_for_room(&mut self, key: usize, room: RoomId, now: Instant) -> bool {
        let waits = !self.is_ready(room, now);
        if waits {
            self.wait(key, Awaited::Room(room));
        } else {
            self.forget_wait(self.connections[key].handle(key));
        }
        waits
    }

    /// Whether clients enter a room: it is loaded, or they go on without that. A room that the bus does not know yet is
    /// not.
    fn is_ready(&self, room: RoomId, now: Instant) -> bool {
        match self.together.loading.get(&room) {
            None => !self.rooms.is_unknown(room),
            Some(Loading::Required) => false,
            Some(Loading::Until(until)) => now >= *until,
            Some(Loading::GivenUp) => true,
        }
    }

    fn wait(&mut self, key: usize, awaited: Awaited) {
        let handle = self.connections[key].handle(key);
        if self.together.waits.get(&handle) == Some(&awaited) {
            return;
        }
        if let Awaited::Room(room) = awaited {
            self.rooms.expect(room);
        }
        let before = self.together.waits.insert(handle, awaited);
        self.end_expectation(before);
    }

    /// Forgets what a connection has waited for: it enters, or is removed.
    pub(in crate::server::hub) fn forget_wait(&mut self, handle: Handle) {
        let awaited = self.together.waits.remove(&handle);
        self.end_expectation(awaited);
    }

    fn end_expectation(&mut self, awaited: Option<Awaited>) {
        if let Some(Awaited::Room(room) | Awaited::Nothing(room)) = awaited {
            self.rooms.expect_no_longer(room, self.roster.directory());
        }
    }

    /// Whether an entering connection waits.
    pub(in crate::server::hub) fn is_waiting(&self, handle: Handle) -> bool {
        let awaited = self.together.waits.get(&handle);
        awaited.is_some_and(|awaited| !matches!(awaited, Awaited::Nothing(_)))
    }

    /// Returns the state of a connection that was to enter: if it waits, it is read again after that.
    pub(in crate::server::hub) fn state_after_entering(&self, key: usize) -> ReadState {
        let connection = &self.connections[key];
        let waits = connection.phase == Phase::Entering && self.is_waiting(connection.handle(key));
        if waits { ReadState::Held } else { ReadState::Ready }
    }

    /// Lets connections go on that wait for something that has come.
    pub(super) fn end_waits(&mut self, has_come: impl Fn(Awaited) -> bool) {
        let over = self.together.waits.extract_if(.., |_, awaited| has_come(*awaited)).collect::<Vec<_>>();
        for (handle, awaited) in over {
            if let Awaited::Room(room) = awaited {
                self.together.waits.insert(handle, Awaited::Nothing(room));
            }
            let Some(connection) = self.connections.known_mut(handle) else { continue };
            match (connection.phase, connection.read_state) {
                (Phase::Moving(_), _) => self.schedule.arriving.push(handle),
                (Phase::Entering, ReadState::Held) => self.schedule.mark_ready(handle.key, connection),
                // Its delay is looked at again.
                _ => {}
            }
        }
    }

    /// Lets connections go on that have waited for long enough.
    pub(super) fn end_late_waits(&mut self, now: Instant) {
        if self.together.waits.is_empty() && self.together.loading.is_empty() {
            return;
        }
        if self.is_open() {
            self.end_waits(|awaited| awaited == Awaited::Joined);
        }
        let is_late = |loading: &Loading| matches!(loading, Loading::Until(until) if *until <= now);
        let loading = &mut self.together.loading;
        let late: Vec<RoomId> = loading.iter().filter(|(_, loading)| is_late(loading)).map(|(&room, _)| room).collect();
        for room in late {
            self.together.loading.insert(room, Loading::GivenUp);
            self.end_waits(|awaited| awaited == Awaited::Room(room) || awaited == Awaited::Arrival(room));
        }
        let is_over = |awaited: &Awaited| matches!(awaited, Awaited::Lines(_, until) if *until <= now);
        let over: Vec<Awaited> = self.together.waits.values().copied().filter(is_over).collect();
        for awaited in over {
            if let Awaited::Lines(number, _) = awaited {
                // Their author reads that the server took them, and sends them no second time.
                self.together.under_way.remove(&number);
                self.end_waits(|other| matches!(other, Awaited::Lines(same, _) if same == number));
            }
        }
    }

    /// Returns when the next wait ends at the latest.
    pub(super) fn next_wait_end(&self) -> Option<Instant> {
        let Together { loading, waits, .. } = &self.together;
        let rooms = loading.values().filter_map(|loading| match loading {
            Loading::Until(until) => Some(*until),
            Loading::Required | Loading::GivenUp => None,
        });
        let lines = waits.values().filter_map(|awaited| match awaited {
            Awaited::Lines(_, until) => Some(*until),
            Awaited::Joined | Awaited::Room(_) | Awaited::Nothing(_) | Awaited::Arrival(_) => None,
        });
        rooms.chain(lines).min()
    }
}
