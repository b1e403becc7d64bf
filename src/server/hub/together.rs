//! The bus in the hub: what is said here goes to the log that several servers share, and what was read back goes onto
//! the tapes.
//!
//! A turn begins with what the bus has read, within the budgets of the brakes, and ends with what the rooms have for it.
//! The readers of a room are flushed in the turn in which its records were read, as for a line of this server alone.
//! Nothing flows past the log: while the bus takes nothing of a room, its gate is closed, and the room waits as at the
//! wall of `--lag wait`.
//!
//! A plain client is not sent its own lines. Without a bus it skips them when it says them; here, when they are read
//! back, if it still is in that room. `news` has what the clients know of the bus, `waits` the connections that wait for
//! a room to be loaded, and `under_way` the lines of tracked clients that were not read back.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::mem;
use std::time::{Duration, Instant};

use super::rooms::sharing::StreamChange;
use super::{Hub, Readiness, Wake};
use crate::net::stream::Socket;
use crate::relay::cursor::Dialect;
use crate::relay::directory::RoomId;
use crate::relay::notice::Notice;
use crate::relay::record::Record;
use crate::relay::room::{Audience, Outgoing};
use crate::relay::tape::Span;
use crate::server::bus::{AWAY_UNNOTICED, Bus, End, Entry, Heard, State, StreamId};
use crate::server::connection::{Handle, Phase, Role};
use crate::server::fields::Fields;
use crate::server::report::Kind;
use news::News;
use under_way::UnderWay;
use waits::{Awaited, Loading};

mod news;
mod under_way;
mod waits;

/// Bytes of events that a turn takes from the bus, over all streams. The last entry may exceed them. So many are a
/// millisecond of work.
const HEARD_BYTES_MAX: usize = 256 * 1024;

/// Bytes for which an entry counts beside its events.
const ENTRY_BYTES: usize = 256;

/// Said lines of a room that are loaded even if `--history` is less, so that a client that comes from another server
/// finds its place.
const LOADED_LINES_MIN: u64 = 1_000;

/// Time for which a stopping server waits until its own records were read back: half of
/// [`SHUTDOWN_GRACE`](crate::server::limits::SHUTDOWN_GRACE).
const LAST_RECORDS_TIME: Duration = Duration::from_secs(1);

/// The state of the hub's side of the bus. Empty without one.
///
/// Invariants: a room in `loading` exists; a connection in `waits` is entering, moves or is closing.
#[derive(Debug, Default)]
pub(super) struct Together {
    /// Whether the bus was together when the gates of all rooms were set last.
    is_together: bool,
    news: News,
    pace: Pace,
    /// An entry that its room did not take yet. All others wait behind it, as in the connection that they come from.
    next: Option<Entry>,
    /// Rooms whose gates may have to be set anew.
    ungated: Vec<RoomId>,
    /// Rooms that were opened, and whose earlier records have not all come.
    loading: HashMap<RoomId, Loading>,
    waits: BTreeMap<Handle, Awaited>,
    /// Records of each room that were submitted and not read back.
    sent: HashMap<RoomId, u64>,
    /// Said lines of tracked members that were not read back, by the number of the member.
    under_way: HashMap<u64, UnderWay>,
    /// Lines of the console that were not read back.
    console_said: VecDeque<Box<str>>,
    stop: Stop,
}

/// Whether something of the bus is left for another turn.
#[derive(Clone, Copy, Debug, Default)]
enum Pace {
    /// No.
    #[default]
    Idle,
    /// For the next one.
    Behind,
    /// For the next period of the brake of a room.
    Braked(Instant),
}

/// The shutdown, as far as the bus is concerned.
#[derive(Clone, Copy, Debug, Default)]
enum Stop {
    /// The server runs.
    #[default]
    None,
    /// The connections are not closed before the records of this server were read back, or before that time.
    Awaited(Instant),
    /// The connections were closed, and the bus ends.
    Ending,
    /// The bus has ended.
    Ended,
}

impl<S: Socket> Hub<S> {
    /// Shares the rooms with other servers from now on: before the first connection.
    pub fn open_bus(&mut self, bus: Bus<S>) {
        self.open_elsewhere(bus.writer());
        self.bus = Some(Box::new(bus));
        self.rooms.share_all(self.roster.directory());
        for room in self.roster.directory().ids().collect::<Vec<_>>() {
            let name = self.roster.directory().name(room).folded().to_owned();
            self.open_stream(room, &name);
        }
    }

    /// Returns an end of the bus that is to be connected now. The caller answers with
    /// [`connect_bus`](Hub::connect_bus) before the next turn.
    pub fn wanted_bus_end(&self, now: Instant) -> Option<End> {
        self.bus.as_ref()?.wants_connection(now)
    }

    /// Takes a connection to the bus that is under way, or the reason why there is none.
    pub fn connect_bus(&mut self, end: End, stream: io::Result<S>, now: Instant) {
        if let Some(bus) = &mut self.bus {
            bus.connected(end, stream, now);
        }
    }

    /// Records the result of `poll` for a connection to the bus.
    pub fn on_bus_ready(&mut self, end: End, readiness: Readiness) {
        if let Some(bus) = &mut self.bus {
            bus.on_ready(end, readiness);
        }
    }

    /// Returns why the server cannot go on with its bus, if so.
    pub fn bus_failure(&self) -> Option<&str> {
        self.bus.as_ref()?.failure().or_else(|| self.elsewhere_failure())
    }

    /// Whether the bus has taken everything that was said before the shutdown. True without one.
    pub fn has_left_bus(&self) -> bool {
        self.bus.is_none() || matches!(self.together.stop, Stop::Ended)
    }

    /// Handles what was read from the bus, as far as the budgets allow.
    pub(super) fn hear_bus(&mut self, now: Instant) {
        if self.bus.is_none() {
            return;
        }
        self.read_bus(now);
        self.follow_state(now);
        self.end_late_waits(now);
        self.together.ungated.extend(self.rooms.waiting());
        self.open_gates();
        if let Stop::Awaited(until) = self.together.stop
            && (now >= until || !self.has_records_under_way())
        {
            self.shut_down_now(now);
        }
    }

    fn read_bus(&mut self, now: Instant) {
        let mut left = HEARD_BYTES_MAX;
        self.together.pace = Pace::Idle;
        while let Some(heard) = self.next_heard(now) {
            match heard {
                Heard::Entry(entry) => {
                    left = left.saturating_sub(entry.events.len() + ENTRY_BYTES);
                    match entry.stream {
                        StreamId::Roster => self.hear_roster(&entry, now),
                        StreamId::Inbox => self.hear_post(&entry),
                        StreamId::Room(room) if !self.rooms.has(room) => {}
                        StreamId::Room(room) if self.rooms.may_hear(room) => self.hear_entry(room, &entry, now),
                        StreamId::Room(room) => {
                            let brake = self.rooms.brake(room);
                            let is_next = brake.may_hear_next_turn();
                            self.together.pace = if is_next { Pace::Behind } else { Pace::Braked(brake.next_period()) };
                            self.together.next = Some(entry);
                            return;
                        }
                    }
                }
                Heard::Loaded(StreamId::Roster) => self.on_roster_loaded(now),
                Heard::Loaded(StreamId::Room(room)) => self.on_loaded(room),
                Heard::Loaded(StreamId::Inbox) => {}
                Heard::Expired(other) => self.on_expired(other, now),
            }
            if left == 0 {
                self.together.pace = Pace::Behind;
                return;
            }
        }
    }

    fn next_heard(&mut self, now: Instant) -> Option<Heard> {
        match self.together.next.take() {
            Some(entry) => Some(Heard::Entry(entry)),
            None => self.bus.as_mut()?.hear(now),
        }
    }

    /// Puts the records of an entry on the tape of its room.
    fn hear_entry(&mut self, room: RoomId, entry: &Entry, now: Instant) {
        self.rooms.begin_entry(room, entry.id);
        if entry.missed_lines > 0 {
            self.rooms.aside(room, Notice::LostBetween { lines: entry.missed_lines });
        }
        let mut malformed = 0_usize;
        for event in entry.events.lines() {
            let Some(record) = Record::parse(event) else {
                malformed += 1;
                continue;
            };
            if !entry.is_own {
                self.note_record(entry.writer, room, &record);
            }
            let span = self.rooms.hear(room, &record);
            match record {
                Record::Renamed { number, .. } if entry.is_own => self.on_renaming_read(number),
                Record::Joined { number, .. } if entry.is_own => self.roster.tell_joined(number, room),
                _ => {}
            }
            let is_skipped = entry.is_own && self.skip_own_record(room, &record, span);
            let readers = self.rooms[room].readers().saturating_sub(usize::from(is_skipped));
            self.stats.delivered_lines += span.lines() * readers as u64;
        }
        if malformed > 0 {
            let name = self.roster.directory().name(room).as_str();
            let fields = Fields { room: Some(name), ..Fields::default() };
            let what = format_args!("dropped {malformed} events of {name} that are no records: entry {}", entry.id);
            self.reports.note_with(Kind::Malformed, fields, None, what, now);
        }
        if entry.is_own {
            self.note_read_back(room, entry.events.lines().count() as u64);
            self.together.ungated.push(room);
        }
        if self.is_loading(room) {
            self.pass_over_loaded(room);
        }
    }

    /// Makes the cursor of a plain client skip a record of its own that was read back. Returns whether it does.
    fn skip_own_record(&mut self, room: RoomId, record: &Record<'_>, span: Span) -> bool {
        let (number, is_said) = match *record {
            Record::Said { number, .. } => (number, true),
            Record::Joined { number, .. } => (number, false),
            Record::Proclaimed { text } if self.has_console_said(text) => (0, true),
            _ => return false,
        };
        if is_said {
            self.end_line_under_way(number);
        }
        let Some(member) = self.roster.find_number(number) else { return false };
        let Some(key) = self.roster.key(member).filter(|_| self.roster.room(member) == room) else { return false };
        let connection = &self.connections[key];
        let is_there = connection.phase == Phase::Present(member) && connection.dialect() == Dialect::Plain;
        let is_sent_all = is_said && self.rooms.options().audience == Audience::Everyone;
        if !is_there || is_sent_all {
            return false;
        }
        self.skip_own(key, Some(span));
        true
    }

    /// Whether a line of the operator that was read back is one of its console, and no announcement.
    fn has_console_said(&mut self, text: &str) -> bool {
        let said = &mut self.together.console_said;
        let place = said.iter().position(|line| **line == *text);
        place.inspect(|&place| drop(said.drain(..=place))).is_some()
    }

    /// Notes a line that a member has said in a shared room.
    pub(super) fn note_said(&mut self, key: usize, text: &str) {
        let connection = &self.connections[key];
        if connection.role() == Role::Console {
            self.together.console_said.push_back(text.into());
        } else if let (true, Phase::Present(member)) = (connection.is_tracked(), connection.phase) {
            self.begin_line_under_way(member);
        }
    }

    /// Tells the clients that the server is cut off, and that it is together with the others again.
    fn follow_state(&mut self, now: Instant) {
        let Some(state) = self.bus.as_ref().map(|bus| bus.state()) else { return };
        let is_together = state == State::Together;
        if mem::replace(&mut self.together.is_together, is_together) != is_together {
            self.together.ungated.extend(self.roster.directory().ids());
        }
        match state {
            State::Away { since } if !self.is_cut_off() && now >= since + AWAY_UNNOTICED => {
                // Until now the rooms took some lines.
                self.together.ungated.extend(self.roster.directory().ids());
                self.together.news.begin(since);
                self.tell_cut_off_to_rooms();
            }
            State::Together => self.tell_together_to_rooms(now),
            State::Starting | State::Away { .. } => {}
        }
    }

    /// Hands the records of the rooms to the bus, which writes: after everything else in a turn.
    pub(super) fn settle_bus(&mut self, now: Instant) {
        if self.bus.is_none() {
            return;
        }
        self.open_streams();
        for (room, outgoing) in self.rooms.take_outgoing() {
            self.submit(room, &outgoing);
        }
        self.write_roster(now);
        if let Some(bus) = &mut self.bus {
            match self.together.stop {
                Stop::Ending | Stop::Ended => {
                    self.together.stop = if bus.end(now) { Stop::Ended } else { Stop::Ending };
                }
                Stop::None | Stop::Awaited(_) => bus.settle(now),
            }
        }
        self.open_gates();
    }

    /// Opens and closes the streams of rooms that were opened and dropped.
    pub(super) fn open_streams(&mut self) {
        for change in self.rooms.take_changes() {
            match change {
                StreamChange::Opened(room, name) => self.open_stream(room, &name),
                StreamChange::Dropped(room, name, outgoing) => {
                    self.close_stream(room, outgoing);
                    if let Some(elsewhere) = self.roster.elsewhere_mut() {
                        elsewhere.note_unread(&name);
                    }
                }
            }
        }
    }

    /// Hands records of a room to the bus.
    pub(super) fn submit(&mut self, room: RoomId, outgoing: &Outgoing) {
        if let Some(bus) = &mut self.bus {
            bus.submit(StreamId::Room(room), &outgoing.events, outgoing.lines);
            *self.together.sent.entry(room).or_default() += outgoing.events.lines().count() as u64;
            self.together.ungated.push(room);
        }
    }

    fn open_stream(&mut self, room: RoomId, name: &str) {
        let lines = self.rooms.options().history_lines.max(LOADED_LINES_MIN);
        if let Some(bus) = &mut self.bus {
            bus.open(room, name, lines);
        }
        if self.rooms.has(room) {
            let is_permanent = self.roster.directory().is_permanent(room);
            self.together.loading.insert(room, Loading::of_room(is_permanent, self.rooms.now()));
        }
    }

    fn close_stream(&mut self, room: RoomId, outgoing: Option<Outgoing>) {
        if let Some(outgoing) = outgoing {
            self.submit(room, &outgoing);
        }
        if let Some(bus) = &mut self.bus {
            bus.close(room);
        }
        let Together { next, news, loading, sent, under_way, .. } = &mut self.together;
        next.take_if(|entry| entry.stream == StreamId::Room(room));
        news.forget(room);
        loading.remove(&room);
        sent.remove(&room);
        under_way.retain(|_, lines| lines.room != room);
    }

    /// Sets the gates of the rooms for which the bus may take more, or less, than before.
    fn open_gates(&mut self) {
        let Some(bus) = &self.bus else { return };
        for room in mem::take(&mut self.together.ungated) {
            if self.rooms.has(room) {
                let is_loaded = !self.is_loading(room);
                let left = if is_loaded { bus.room_left(StreamId::Room(room)) } else { 0 };
                self.rooms.set_gate(room, left);
            }
        }
    }

    /// Records that records of this server were read back.
    fn note_read_back(&mut self, room: RoomId, records: u64) {
        let sent = &mut self.together.sent;
        if let Some(left) = sent.get_mut(&room) {
            *left = left.saturating_sub(records);
            if *left == 0 {
                sent.remove(&room);
            }
        }
    }

    /// Whether records of this server are to be read back.
    fn has_records_under_way(&self) -> bool {
        self.together.is_together && (self.rooms.has_outgoing() || !self.together.sent.is_empty())
    }

    /// Puts off the shutdown until the records of this server were read back: their authors and the others here are
    /// sent them. Returns whether it does.
    pub(super) fn puts_off_shutdown(&mut self, now: Instant) -> bool {
        if self.bus.is_none() {
            return false;
        }
        let is_put_off = self.has_records_under_way();
        if is_put_off {
            self.together.stop = Stop::Awaited(now + LAST_RECORDS_TIME);
        }
        is_put_off
    }

    /// Records that the connections are being closed for the shutdown.
    pub(super) fn end_bus(&mut self) {
        if self.bus.is_some() {
            self.together.stop = Stop::Ending;
        }
    }

    /// Whether no client is read any more, because the shutdown was put off.
    pub(super) fn is_stopping(&self) -> bool {
        matches!(self.together.stop, Stop::Awaited(_))
    }

    /// Whether something of the bus is left for the next turn. An entry that its room does not take in this period waits
    /// for that alone, and all others behind it.
    pub(super) fn is_bus_behind(&self) -> bool {
        let wants_turn = || self.bus.as_ref().is_some_and(|bus| bus.next_wake() == Wake::Now);
        match self.together.pace {
            Pace::Behind => true,
            Pace::Idle => wants_turn(),
            Pace::Braked(_) => false,
        }
    }

    /// Returns the time of the next turn for the bus.
    pub(super) fn next_bus_wake(&self) -> Option<Instant> {
        let bus = self.bus.as_ref()?;
        let own = if let Wake::At(time) = bus.next_wake() { Some(time) } else { None };
        let braked = if let Pace::Braked(next) = self.together.pace { Some(next) } else { None };
        let told = match bus.state() {
            State::Away { since } if !self.is_cut_off() => Some(since + AWAY_UNNOTICED),
            _ => None,
        };
        let stop = if let Stop::Awaited(until) = self.together.stop { Some(until) } else { None };
        [own, braked, told, stop, self.next_wait_end()].into_iter().flatten().min()
    }

    /// Panics if an invariant does not hold between two turns.
    pub(super) fn check_together(&self) {
        let Together { loading, waits, under_way, .. } = &self.together;
        assert!(loading.keys().all(|&room| self.rooms.has(room)), "a room that loads exists");
        for (&handle, awaited) in waits {
            let phase = self.connections.known(handle).map(|connection| connection.phase);
            let is_out = matches!(phase, Some(Phase::Entering | Phase::Moving(_) | Phase::Closing));
            assert!(is_out, "a connection does not wait in a room: {awaited:?}");
        }
        assert!(under_way.values().all(|lines| self.rooms.has(lines.room)), "lines under way are in a room");
    }
}
