//! The bus: rooms that several servers share through streams of Redis. Sans-IO: connections and the time are arguments.
//!
//! A server writes one entry a stream at a time, with all that was submitted meanwhile, and reads all streams back; an
//! entry counts once it was read. Two comparisons of [`sequence`](crate::relay::sequence) find what came twice and what
//! was lost, whatever happened to connections and to Redis. So an entry is simply repeated until it was read, and a
//! reader simply goes back after a failure.
//!
//! | state | owner |
//! |---|---|
//! | a connection, and the replies that it owes | `link` `side` |
//! | the form of commands and replies, that of an entry | `resp` `entry` |
//! | all streams, one stream, the history of one that was opened | `streams` `stream` `loading` |
//! | the leases of all servers, events for one other server | `leases` `posts` |
//!
//! `writing` and `reading` hold the steps that need several of these, one for each connection.

pub mod address;
mod entry;
mod leases;
pub mod link;
mod loading;
pub(super) mod posts;
mod reading;
pub mod resp;
mod side;
mod stream;
pub(super) mod streams;
#[cfg(test)]
mod tests;
mod throttle;
mod writing;

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::net::stream::Socket;
use crate::relay::directory::RoomId;
use crate::relay::sequence::{EntryId, Writer};
use crate::server::hub::{Readiness, Wake};
use leases::Leases;
use link::{Link, LinkSettings};
use loading::Loading;
use posts::Posts;
use reading::Reads;
use side::{Change, Side};
use stream::Stage;
use streams::{Key, Streams};
use writing::Writes;

/// The bytes of events that a stream takes before the entry under way was read back: then its room waits. A last event
/// may exceed them.
pub const BATCH_BYTES: usize = 16 * 1024;

/// The time for which a room still takes lines after the bus went away: a short failure stops nobody.
pub const AWAY_UNNOTICED: Duration = Duration::from_secs(2);

/// Settings of the bus.
#[derive(Clone, Debug)]
pub struct BusSettings {
    /// Settings of both connections.
    pub link: Rc<LinkSettings>,
    /// `PREFIX` of all keys.
    pub prefix: String,
    /// `--bus-keep`: the bytes that Redis keeps of a stream, roughly.
    pub keep_bytes: u64,
    /// Entries that are asked for at a time when a history is read: 64, or fewer in tests.
    pub page: usize,
    /// The bytes of a room's tape. Half of them may be loaded as history.
    pub tape_bytes: usize,
}

/// The two connections to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Writes entries and leases. Never blocked by a read.
    Writer,
    /// Reads: it blocks in `XREAD`.
    Reader,
}

/// A stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamId {
    /// The log of members, names and numbers of all servers: `PREFIX:roster`. Open from the start.
    Roster,
    /// The log of a room: `PREFIX:room:NAME`. Read while the room is open.
    Room(RoomId),
    /// Events that other servers send to this one alone: `PREFIX:to:WRITER`. Open from the start; never submitted to.
    Inbox,
}

/// The state of the bus as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was never in touch with Redis.
    Starting,
    /// Both connections work, and the roster has been read up to now.
    Together,
    /// It was, and is not.
    Away {
        /// The time at which it ended.
        since: Instant,
    },
}

impl StreamId {
    /// Whether its entries hold said lines, which are counted.
    fn has_lines(self) -> bool {
        matches!(self, StreamId::Room(_))
    }
}

/// An item that the bus has for the hub, in the order of each stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// An entry: the next of its stream, and no repetition.
    Entry(Entry),
    /// All earlier entries of a stream that was opened have been heard; what follows is new.
    Loaded(StreamId),
    /// The lease of a watched server has run out at two looks in a row, and nothing of it was read meanwhile.
    Expired(Writer),
}

/// An entry of a stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its stream.
    pub stream: StreamId,
    /// Its id.
    pub id: EntryId,
    /// The server that wrote it.
    pub writer: Writer,
    /// Whether that is this server.
    pub is_own: bool,
    /// Whether entries of its writer were lost before it.
    pub is_behind_gap: bool,
    /// Said lines in those: in a room alone.
    pub missed_lines: u64,
    /// Its events: one a line, each ended by LF.
    pub events: String,
}

/// The connections to Redis, and what is read from and written to it.
///
/// In a turn, the caller first calls [`hear`](Bus::hear) until there is nothing, then submits, then calls
/// [`settle`](Bus::settle).
///
/// Invariants: nothing is read while `heard` holds anything, so it holds one reply and the histories of a few streams;
/// an entry in `heard` is the next of its stream.
#[derive(Debug)]
pub struct Bus<S> {
    writer: Writer,
    /// Its text form.
    writer_text: String,
    settings: BusSettings,
    to_write: Side<S, writing::Asked>,
    to_read: Side<S, reading::Asked>,
    streams: Streams,
    leases: Leases,
    posts: Posts,
    writes: Writes,
    reads: Reads,
    /// Read, and not handed to the hub yet.
    heard: VecDeque<Waiting>,
    state: State,
    ending: Ending,
    /// The time of the last call.
    now: Instant,
    figures: Figures,
}

/// An item that waits for the hub.
#[derive(Debug)]
enum Waiting {
    /// An entry; with its number, if this server wrote it.
    Entry(Key, Option<u64>, Entry),
    Loaded(Key, StreamId),
    Expired(Writer),
}

/// The steps of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It does not end.
    No,
    /// All that was submitted is written.
    Writing,
    /// The lease is given up.
    GivingUp,
    /// All is done.
    Done,
}

impl<S: Socket> Bus<S> {
    /// Creates a bus that was never in touch with Redis. The seed is that of its pauses.
    pub fn new(settings: &BusSettings, writer: Writer, seed: u64, now: Instant) -> Bus<S> {
        let mut streams = Streams::new();
        for (id, name) in [
            (StreamId::Roster, format!("{}:roster", settings.prefix)),
            (StreamId::Inbox, posts::inbox(&settings.prefix, writer)),
        ] {
            streams.open(id, name.into(), None);
        }
        Bus {
            writer,
            writer_text: writer.to_string(),
            settings: settings.clone(),
            to_write: Side::new(Link::new(Rc::clone(&settings.link), seed)),
            to_read: Side::new(Link::new(Rc::clone(&settings.link), seed.rotate_left(32))),
            streams,
            leases: Leases::new(now),
            posts: Posts::default(),
            writes: Writes::new(settings.page, now),
            reads: Reads::new(now),
            heard: VecDeque::new(),
            state: State::Starting,
            ending: Ending::No,
            now,
            figures: Figures::default(),
        }
    }

    /// Returns the identity of this server.
    pub fn writer(&self) -> Writer {
        self.writer
    }

    /// Returns its state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns why the server cannot go on, if so: Redis has refused the password or a command before it was ever in
    /// touch.
    pub fn failure(&self) -> Option<&str> {
        if self.state != State::Starting {
            return None;
        }
        self.to_write.link.refusal().or(self.to_read.link.refusal())
    }

    /// Returns an end that has no connection, and whose pause is over: the caller connects it.
    pub fn wants_connection(&self, now: Instant) -> Option<End> {
        if self.to_write.link.wants_connection(now) {
            Some(End::Writer)
        } else {
            self.to_read.link.wants_connection(now).then_some(End::Reader)
        }
    }

    /// Takes a connection that is under way, or the reason why there is none.
    pub fn connected(&mut self, end: End, stream: io::Result<S>, now: Instant) {
        match end {
            End::Writer => self.to_write.link.connected(stream, now),
            End::Reader => self.to_read.link.connected(stream, now),
        }
    }

    /// Records the result of `poll` for the connection of an end.
    pub fn on_ready(&mut self, end: End, readiness: Readiness) {
        match end {
            End::Writer => self.to_write.link.on_ready(readiness),
            End::Reader => self.to_read.link.on_ready(readiness),
        }
    }

    /// Begins to read the stream of a room, from so many said lines before its end: `Loaded` follows.
    ///
    /// The history begins at a change of second, so it may be longer, and it is at most about half a tape.
    pub fn open(&mut self, room: RoomId, name: &str, history_lines: u64) {
        let name = format!("{}:room:{name}", self.settings.prefix);
        let loading = Loading::new(history_lines, self.settings.tape_bytes / 2);
        self.streams.open(StreamId::Room(room), name.into(), Some(loading));
    }

    /// Ends reading the stream of a room. What was submitted is still written.
    pub fn close(&mut self, room: RoomId) {
        let Some(key) = self.streams.close(StreamId::Room(room)) else { return };
        let mut ended = None;
        self.heard.retain(|waiting| match waiting {
            Waiting::Entry(of, number, _) if *of == key => {
                ended = number.or(ended);
                false
            }
            Waiting::Loaded(of, _) => *of != key,
            _ => true,
        });
        if let Some(number) = ended {
            self.end_entry(key, number);
        }
        self.streams.due.push(key);
        self.streams.remove_done(key);
    }

    /// Returns how many bytes of events a stream takes now. 0 while the bus is not together, the stream is not loaded,
    /// or its batch is full.
    pub fn room_left(&self, id: StreamId) -> usize {
        let is_open = match self.state {
            State::Starting => false,
            State::Together => true,
            State::Away { since } => self.now.saturating_duration_since(since) < AWAY_UNNOTICED,
        };
        match self.streams.get(id) {
            Some(stream) if is_open && matches!(stream.stage, Stage::Live) && id != StreamId::Inbox => {
                BATCH_BYTES.saturating_sub(stream.batch.events.len())
            }
            _ => 0,
        }
    }

    /// Adds events to the next entry of a stream: one a line, each ended by LF, with so many said lines among them.
    /// Also while [`room_left`](Bus::room_left) is 0: the caller bounds that.
    pub fn submit(&mut self, id: StreamId, events: &str, lines: u64) {
        debug_assert!(events.is_empty() || events.ends_with('\n'), "an event is a line");
        debug_assert!(id != StreamId::Inbox, "nothing is submitted to the own inbox");
        let Some(key) = self.streams.key(id) else { return };
        let Some(stream) = self.streams.at_mut(key) else { return };
        if stream.batch.events.is_empty() && stream.under_way.is_none() {
            self.streams.due.push(key);
        }
        if let Some(stream) = self.streams.at_mut(key) {
            stream.batch.events.push_str(events);
            stream.batch.lines += lines;
        }
    }

    /// Sends an event, a line with its LF, to one other server. It may be lost.
    pub fn post(&mut self, to: Writer, event: &str) {
        self.posts.add(to, event);
    }

    /// Looks at the lease of another server from now on.
    pub fn watch(&mut self, other: Writer) {
        self.leases.watch(other);
    }

    /// Looks at it no longer.
    pub fn unwatch(&mut self, other: Writer) {
        self.leases.unwatch(other);
    }

    /// Returns the next that was read, if there is any. Reads the connections if need be. The next entry of a stream of
    /// this server is written once the last one was returned here.
    pub fn hear(&mut self, now: Instant) -> Option<Heard> {
        self.now = now;
        loop {
            if let Some(waiting) = self.heard.pop_front() {
                return Some(self.hand_out(waiting));
            }
            self.note_changes(now);
            // First the reader: an entry that was read back is told from one that was passed over.
            let is_read = self.read_reply(now) || self.write_reply(now);
            if !is_read {
                self.note_changes(now);
                self.note_state(now);
                return None;
            }
        }
    }

    /// Writes what is due. After everything else in a turn.
    pub fn settle(&mut self, now: Instant) {
        self.now = now;
        self.note_changes(now);
        self.find_overdue(now);
        self.write(now);
        self.read(now);
        self.to_write.link.flush(now);
        self.to_read.link.flush(now);
        self.note_changes(now);
        self.note_state(now);
    }

    /// Ends: gives up the lease, and writes what was submitted. Returns whether it is done.
    ///
    /// The caller goes on with its turns until then, or for as long as it likes.
    pub fn end(&mut self, now: Instant) -> bool {
        if self.ending == Ending::No {
            self.ending = Ending::Writing;
        }
        self.settle(now);
        self.ending == Ending::Done || self.state == State::Starting
    }

    /// Returns the time of the next turn that it needs.
    pub fn next_wake(&self) -> Wake {
        if !self.heard.is_empty() {
            return Wake::Now;
        }
        let unnoticed_end = match self.state {
            State::Away { since } => Some(since + AWAY_UNNOTICED).filter(|end| *end > self.now),
            _ => None,
        };
        let beat = (self.to_write.is_up() && self.ending == Ending::No).then(|| self.leases.next_beat());
        let pause_end = self.has_due().then(|| self.writes.pause_end());
        let links = [self.to_write.link.next_wake(), self.to_read.link.next_wake()];
        if links.contains(&Wake::Now) {
            return Wake::Now;
        }
        let times = links.map(|wake| if let Wake::At(time) = wake { Some(time) } else { None });
        let own = [self.writes.next_deadline(), unnoticed_end, beat, pause_end];
        own.into_iter().chain(times).flatten().min().map_or(Wake::OnEvent, Wake::At)
    }

    /// Returns its figures.
    pub fn figures(&self) -> Figures {
        Figures { is_together: self.state == State::Together, ..self.figures }
    }

    /// Hands something to the hub.
    fn hand_out(&mut self, waiting: Waiting) -> Heard {
        match waiting {
            Waiting::Entry(key, number, entry) => {
                if let Some(number) = number {
                    self.end_entry(key, number);
                }
                Heard::Entry(entry)
            }
            Waiting::Loaded(key, id) => {
                if let Some(stream) = self.streams.at_mut(key) {
                    stream.stage = Stage::Live;
                }
                Heard::Loaded(id)
            }
            Waiting::Expired(writer) => Heard::Expired(writer),
        }
    }

    /// Ends the entry under way of a stream: it was handed to the hub, or nobody waits for it any more.
    fn end_entry(&mut self, key: Key, number: u64) {
        let Some(stream) = self.streams.at_mut(key) else { return };
        let Some(entry) = stream.end_entry(number) else { return };
        self.writes.forget(entry.deadline, key, number);
        self.writes.overdue -= usize::from(entry.is_overdue);
        if let Some(since) = entry.since {
            self.figures.lag = self.now.saturating_duration_since(since);
        }
        self.streams.due.push(key);
        self.streams.remove_done(key);
    }

    /// Acts on links that failed or work again.
    fn note_changes(&mut self, now: Instant) {
        while let Some(change) = self.to_read.change() {
            match change {
                Change::Up => self.go_back(now),
                Change::Down => self.reads.note_down(),
            }
        }
        while let Some(change) = self.to_write.change() {
            match change {
                Change::Up => self.begin_writing(now),
                Change::Down => self.stop_writing(),
            }
        }
    }

    /// Brings the state up to date.
    fn note_state(&mut self, now: Instant) {
        let is_roster_read =
            self.streams.get(StreamId::Roster).is_some_and(|roster| matches!(roster.stage, Stage::Live));
        let has_both = self.to_write.is_up() && self.to_read.is_up();
        let is_together = has_both && is_roster_read && self.reads.is_caught_up() && self.writes.overdue == 0;
        match (self.state, is_together) {
            (State::Starting | State::Away { .. }, true) => self.state = State::Together,
            (State::Together, false) => {
                self.state = State::Away { since: now };
                self.figures.cut_off += 1;
            }
            _ => {}
        }
    }
}

/// The figures of the bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Whether it is together.
    pub is_together: bool,
    /// Times that it was cut off.
    pub cut_off: u64,
    /// Entries read, repetitions among them.
    pub entries: u64,
    /// Entries dropped as repetitions.
    pub repetitions: u64,
    /// Entries dropped since no server has written them: they are malformed.
    pub malformed: u64,
    /// Said lines that were found lost.
    pub missed_lines: u64,
    /// From the write of the last own entry until it was read back.
    pub lag: Duration,
}
