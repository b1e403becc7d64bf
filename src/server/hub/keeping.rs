//! Kept rooms: one more reader on the tape of each, whose socket is the journal.
//!
//! The journal takes the tape as a tracked client does, stamps included, and is overtaken like any client. Then it goes
//! on at the oldest checkpoint, behind a stamp whose number tells the gap. Neither the hub nor a client waits for it,
//! except under `--lag wait`: there a room waits for its reader for at most `--stall-timeout`. A reader that was
//! overtaken or stalled is waited for again once it has been given everything.
//!
//! The positions of kept records are known to all who read them. So a client that comes with a position enters the room
//! of that position, and goes on there.

use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::Hub;
use super::rooms::Rooms;
use crate::net::stream::Socket;
use crate::relay::cursor::{Cursor, Dialect, Pace};
use crate::relay::directory::{Directory, RoomId};
use crate::relay::past::Past;
use crate::relay::stamp::{Epoch, RecordId};
use crate::relay::tape::Tape;
use crate::server::fields::Fields;
use crate::server::flow::stall::Stall;
use crate::server::journal::handover::Handover;
use crate::server::journal::store::{Kept, Store};
use crate::server::limits::JOURNAL_NUMBERS;
use crate::server::report::{Kind, Reports};
use crate::server::stats::JournalFigures;

/// The kept rooms, and the store that keeps them.
///
/// Invariants: a reader has been given everything that its room had on the tape when that moved last, or is in `owed`,
/// once; numbers of clients below `numbers_end` are reserved.
#[derive(Debug)]
pub(super) struct Keeping {
    store: Box<dyn Store>,
    /// The readers, by the numbers that the store gives their rooms.
    readers: Vec<Reader>,
    /// The room of each kept log.
    logs: HashMap<Epoch, RoomId>,
    /// Numbers of readers that may be owed something.
    owed: Vec<usize>,
    numbers_end: u64,
    /// Records that readers missed.
    missed: u64,
    /// Whether a reader missed records, and not every reader was given everything since.
    is_missing: bool,
}

/// The reader of one kept room.
#[derive(Debug)]
struct Reader {
    room: RoomId,
    cursor: Cursor,
    /// Whether what it is given next begins with a stamp.
    needs_stamp: bool,
    /// Whether it is in `owed`.
    is_owed: bool,
    pace: KeptPace,
}

/// The state of a reader, as its room regards it.
#[derive(Clone, Copy, Debug)]
enum KeptPace {
    /// It was given everything.
    UpToDate,
    /// The store had no space for the rest. With `--lag wait` the room waits, until the stall timeout.
    Behind(Option<Stall>),
    /// It was overtaken or stalled, and has not been given everything since. The room does not wait.
    Lagging,
}

impl<S: Socket> Hub<S> {
    /// Keeps the lobby and the rooms that exist forever in a store, from now on. `kept` holds what earlier runs left of
    /// each, in the same order, and `numbers` of clients are reserved. To be called once, before anything else.
    pub fn keep(&mut self, store: Box<dyn Store>, kept: Vec<Kept>, numbers: Range<u64>) {
        self.rooms.begin_journal();
        self.roster.begin_numbers_at(numbers.start);
        let rooms: Vec<RoomId> = self.roster.directory().ids().collect();
        debug_assert_eq!(rooms.len(), kept.len(), "the store knows the rooms");
        let (mut readers, mut logs) = (Vec::new(), HashMap::new());
        for (room, Kept { runs, text }) in rooms.into_iter().zip(kept) {
            logs.extend(runs.iter().map(|run| (run.epoch, room)));
            self.rooms.load(room, Past::new(runs), &text);
            let tape = self.rooms[room].tape();
            logs.insert(tape.epoch(), room);
            readers.push(Reader::new(room, tape));
        }
        let keeping =
            Keeping { store, readers, logs, owed: Vec::new(), numbers_end: numbers.end, missed: 0, is_missing: false };
        self.keeping = Some(Box::new(keeping));
    }

    /// Whether the journal has not been given everything.
    pub fn has_unkept(&self) -> bool {
        self.keeping.as_ref().is_some_and(|keeping| {
            keeping.readers.iter().any(|reader| reader.cursor.offset() < self.rooms[reader.room].tape().end().offset)
        })
    }

    /// Notes the kept rooms whose tape has moved: before the walks, which end that.
    pub(super) fn note_moved_for_journal(&mut self) {
        if let Some(keeping) = &mut self.keeping {
            let kept = keeping.readers.len();
            for room in self.rooms.moved().filter(|room| room.index() < kept) {
                keeping.owe(room.index());
            }
        }
    }

    /// Gives the journal what it is owed, as far as it has space. It is written after the clients.
    pub(super) fn write_journal(&mut self, now: Instant) {
        let Hub { keeping: Some(keeping), rooms, roster, reports, limits, .. } = self else { return };
        keeping.reserve_numbers(roster.next_number());
        for index in std::mem::take(&mut keeping.owed) {
            let room = keeping.readers[index].room;
            let missed = keeping.give(index, rooms[room].tape(), limits.stall_timeout, now);
            if missed > 0 {
                let name = roster.directory().name(room);
                let what = format_args!("the journal of {name} has missed {missed} records: its disk does not keep up");
                let fields = Fields { room: Some(name.as_str()), ..Fields::default() };
                reports.note_with(Kind::NotKept, fields, None, what, now);
            }
            if limits.stall_timeout.is_some() {
                rooms.unsettle(room);
            }
        }
        keeping.end_trouble(reports, now);
    }

    /// Lets rooms wait for their journal (`--lag wait`): after the brakes know their slowest clients.
    pub(super) fn wait_for_journal(&mut self) {
        if let Some(keeping) = &self.keeping
            && self.limits.stall_timeout.is_some()
        {
            keeping.hold_rooms(&mut self.rooms);
        }
    }

    /// Has the journal know the log of a room before a tracked client is told a position of it. If the server crashes
    /// before the first record, the position counts all the same.
    pub(super) fn begin_log(&mut self, room: RoomId) {
        if let Some(keeping) = &mut self.keeping
            && let Some(index) = keeping.readers.iter().position(|reader| reader.room == room)
        {
            keeping.begin_log(index, self.rooms[room].tape());
        }
    }

    /// Returns when the wait for a reader may end.
    pub(super) fn next_journal_stall(&self) -> Option<Instant> {
        self.keeping.as_ref().and_then(|keeping| keeping.next_stall())
    }

    /// Returns the room and the number of the record at a position, if that is of a kept log. Such a position counts
    /// without a token.
    pub(super) fn kept_place(&self, position: &str) -> Option<(RoomId, u64)> {
        let keeping = self.keeping.as_ref()?;
        let position = RecordId::parse_any(position)?;
        let room = *keeping.logs.get(&position.epoch)?;
        let tape = self.rooms[room].tape();
        let record = tape.number_of(position)?;
        (record <= tape.end().record).then_some((room, record))
    }

    /// Whether a room is kept.
    pub(super) fn is_kept(&self, room: RoomId) -> bool {
        self.keeping.as_ref().is_some_and(|keeping| room.index() < keeping.readers.len())
    }
}

impl Keeping {
    /// Returns the counters.
    pub(super) fn figures(&self) -> JournalFigures {
        let work = self.store.work();
        JournalFigures { written_bytes: work.written_bytes, missed: self.missed, errors: work.errors }
    }

    /// Gives the store the sessions for the next run.
    pub(super) fn hand_over(&mut self, handover: Handover) {
        self.store.hand_over(handover);
    }

    fn owe(&mut self, index: usize) {
        if !std::mem::replace(&mut self.readers[index].is_owed, true) {
            self.owed.push(index);
        }
    }

    /// Gives a reader that was given nothing a stamp, unless records are about to bring one.
    fn begin_log(&mut self, index: usize, tape: &Tape) {
        let Keeping { store, readers, .. } = self;
        let reader = &mut readers[index];
        if reader.needs_stamp && reader.cursor.offset() == tape.end().offset {
            let stamp = format!("{}\n", tape.stamp_at(tape.end()));
            if stamp.len() <= store.space(index) {
                store.append(index, [stamp.as_bytes(), &[]]);
                reader.needs_stamp = false;
            }
        }
    }

    /// Has enough numbers reserved before they are given out.
    fn reserve_numbers(&mut self, next: u64) {
        if next + JOURNAL_NUMBERS / 2 > self.numbers_end {
            self.numbers_end = next + JOURNAL_NUMBERS;
            self.store.reserve_numbers(self.numbers_end);
        }
    }

    /// Gives a reader what it is owed, as far as there is space. Returns how many records it has missed.
    fn give(&mut self, index: usize, tape: &Tape, stall_timeout: Option<Duration>, now: Instant) -> u64 {
        let reader = &mut self.readers[index];
        reader.is_owed = false;
        let missed = reader.catch_up(tape);
        reader.take(tape, index, &mut *self.store);
        reader.note_pace(tape, stall_timeout, now);
        if !matches!(reader.pace, KeptPace::UpToDate) {
            self.owe(index);
        }
        self.missed += missed;
        self.is_missing |= missed > 0;
        missed
    }

    fn hold_rooms(&self, rooms: &mut Rooms) {
        for &index in &self.owed {
            let Reader { room, ref cursor, pace, .. } = self.readers[index];
            if let KeptPace::Behind(_) = pace {
                let bytes_behind = rooms[room].tape().end().offset - cursor.offset();
                rooms[room].brake.on_newcomer(bytes_behind);
            }
        }
    }

    fn next_stall(&self) -> Option<Instant> {
        let stalls = self.owed.iter().filter_map(|&index| match self.readers[index].pace {
            KeptPace::Behind(stall) => stall,
            KeptPace::UpToDate | KeptPace::Lagging => None,
        });
        stalls.map(|stall| stall.armed()).min()
    }

    /// Reports that the journal misses no more records.
    fn end_trouble(&mut self, reports: &mut Reports, now: Instant) {
        if self.is_missing && self.owed.is_empty() {
            self.is_missing = false;
            let what = format_args!("the journal has caught up; it has missed {} records in all", self.missed);
            reports.note(Kind::KeptAgain, None, what, now);
        }
    }

    /// Panics if an invariant does not hold.
    pub(super) fn check_invariants(&self, rooms: &Rooms, directory: &Directory) {
        for (index, reader) in self.readers.iter().enumerate() {
            let tape = rooms[reader.room].tape();
            assert!(directory.is_permanent(reader.room), "a kept room exists forever");
            assert!(reader.cursor.offset() <= tape.end().offset, "the journal is not ahead of its room");
            let owed = self.owed.iter().filter(|&&other| other == index).count();
            assert_eq!(owed, usize::from(reader.is_owed), "a reader is owed once");
            let is_given = matches!(reader.pace, KeptPace::UpToDate);
            assert_eq!(owed == 0, is_given, "a reader that was not given everything is owed it");
            let has_all = reader.cursor.offset() == tape.end().offset;
            assert!(has_all || owed > 0 || rooms[reader.room].has_moved(), "no record is forgotten");
        }
    }
}

impl Reader {
    fn new(room: RoomId, tape: &Tape) -> Reader {
        let cursor = Cursor::at(tape.end(), Dialect::Tracked);
        Reader { room, cursor, needs_stamp: true, is_owed: false, pace: KeptPace::UpToDate }
    }

    /// Moves on if the tail has overtaken it. Returns how many records it has missed by that.
    fn catch_up(&mut self, tape: &Tape) -> u64 {
        if self.cursor.catch_up(tape.tracked(), tape.end()) == Pace::Overtaken {
            self.needs_stamp = true;
            self.pace = KeptPace::Lagging;
        }
        self.cursor.take_missed()
    }

    /// Takes whole lines, as far as the store has space.
    fn take(&mut self, tape: &Tape, index: usize, store: &mut dyn Store) {
        let (from, end) = (self.cursor.offset(), tape.end());
        if from == end.offset {
            return;
        }
        let mut stamp = String::new();
        if self.needs_stamp && !tape.is_stamp(from) {
            stamp = format!("{}\n", tape.stamp_at(tape.position(from)));
        }
        let space = store.space(index).saturating_sub(stamp.len()) as u64;
        let to = if end.offset - from <= space { Some(end.offset) } else { tape.last_line_end(from, from + space) };
        let Some(to) = to else { return };
        if !stamp.is_empty() {
            store.append(index, [stamp.as_bytes(), &[]]);
        }
        store.append(index, tape.slices(from, to));
        self.needs_stamp = false;
        let place = if to == end.offset { end } else { tape.position(to) };
        self.cursor = Cursor::at(place, Dialect::Tracked);
    }

    fn note_pace(&mut self, tape: &Tape, stall_timeout: Option<Duration>, now: Instant) {
        let (at, end) = (self.cursor.offset(), tape.end().offset);
        self.pace = match (self.pace, stall_timeout) {
            _ if at == end => KeptPace::UpToDate,
            (KeptPace::Lagging, _) => KeptPace::Lagging,
            (KeptPace::UpToDate, timeout) => {
                KeptPace::Behind(timeout.map(|timeout| Stall::begin(at, end, now, timeout)))
            }
            (KeptPace::Behind(Some(mut stall)), Some(timeout)) => {
                stall.update(at, end, now, timeout);
                let is_due = stall.armed() <= now;
                if is_due && stall.rearm(now).is_none() { KeptPace::Lagging } else { KeptPace::Behind(Some(stall)) }
            }
            (KeptPace::Behind(_), _) => KeptPace::Behind(None),
        };
    }
}
