//! A stream: what waits to be written, the entry under way, and the place up to which it was read.
//!
//! An entry is under way from the moment when it leaves the batch until it was handed to the hub. Then the next one
//! leaves, so at most one is under way, and a repetition of it after a failure overtakes nothing.
//!
//! The cursor moves with every entry that is read, dropped or not. It goes back on a new connection: the ids of Redis
//! come from a clock, and after a failover new entries may have lower ids than the last one that was read.

use std::collections::VecDeque;
use std::time::Instant;

use super::loading::Loading;
use super::{BATCH_BYTES, StreamId};
use crate::relay::record::said_lines;
use crate::relay::sequence::{EntryId, Header, Sequence};

/// The time that a reader goes back before its cursor on a new connection, in ms. A failover to a server whose clock
/// is further behind may lose lines without a word.
pub(super) const GO_BACK_MS: u64 = 60_000;

/// The bytes that Redis keeps for an entry beside its events, roughly: they count for `--bus-keep`.
pub(super) const ENTRY_OVERHEAD_BYTES: usize = 100;

/// The marks in the bytes that are kept: trimming keeps up to 1/64 too much.
const MARKS: u64 = 64;

/// A stream.
///
/// Invariants: an entry is written only once the stream is live; `under_way` holds the entry before `numbers` until it
/// was read.
#[derive(Debug)]
pub(super) struct Stream {
    /// Its name in the hub; `None` once it is closed: it stays until its last entry was read back.
    pub id: Option<StreamId>,
    /// Its key in Redis.
    pub name: Box<str>,
    pub stage: Stage,
    /// The last entry that was read. The next read begins behind it.
    pub cursor: EntryId,
    /// Going back ends here: of what stands before it, the sequence knows not every writer.
    pub floor: EntryId,
    pub sequence: Sequence,
    pub numbers: Numbers,
    /// Events that were submitted, and are not under way.
    pub batch: Batch,
    pub under_way: Option<UnderWay>,
    pub kept: Kept,
}

/// The way of a stream into the set that is read.
#[derive(Debug)]
pub(super) enum Stage {
    /// Its history is read backwards.
    Loading(Loading),
    /// It is read forwards. Its history was read, and waits for the hub.
    Handing,
    /// The hub has its history.
    Live,
}

/// The numbers of the next entry of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    /// Its number: 1, 2, 3 …
    pub entry: u64,
    /// The said lines before it.
    pub lines: u64,
}

/// Events that wait for the next entry.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub events: String,
    /// The said lines among them.
    pub lines: u64,
}

/// The entry that was not read back yet.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub number: u64,
    pub lines_before: u64,
    pub events: String,
    /// Older entries are trimmed with it.
    pub trim_to: Option<EntryId>,
    pub progress: Progress,
    /// The time at which it was written first.
    pub since: Option<Instant>,
    /// The time at which it is looked at, whether it is overdue.
    pub deadline: Option<Instant>,
    /// Whether it was not read back in time.
    pub is_overdue: bool,
}

/// The progress of the entry under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is to be written, perhaps again.
    Waiting,
    /// It was sent to Redis at this time. Whether it has arrived shows when it is read.
    Written(Instant),
    /// It was read, and waits for the hub.
    Read,
}

impl Stream {
    pub(super) fn new(id: StreamId, name: Box<str>, stage: Stage, numbers: Numbers) -> Stream {
        Stream {
            id: Some(id),
            name,
            stage,
            cursor: EntryId::default(),
            floor: EntryId::default(),
            sequence: Sequence::default(),
            numbers,
            batch: Batch::default(),
            under_way: None,
            kept: Kept::default(),
        }
    }

    /// Whether it is in the set that is read.
    pub(super) fn is_read(&self) -> bool {
        !matches!(self.stage, Stage::Loading(_))
    }

    /// Whether nothing is left to do for a stream that was closed.
    pub(super) fn is_done(&self) -> bool {
        self.id.is_none() && self.under_way.is_none() && self.batch.events.is_empty()
    }

    /// Reads again what is not old: entries that come twice are known by their numbers.
    pub(super) fn go_back(&mut self) {
        self.cursor = self.cursor.min(self.cursor.earlier(GO_BACK_MS).max(self.floor));
    }

    /// Goes back as far as it may: the last entry stands before all that was read lately, so the clock of Redis went
    /// back by more than a minute, or the stream began anew.
    pub(super) fn go_back_to(&mut self, last: EntryId) {
        self.cursor = self.cursor.min(self.floor).min(last.earlier(GO_BACK_MS));
        self.floor = self.floor.min(self.cursor);
    }

    /// Records that Redis gave an entry an id that was passed already: its clock went back, or the stream began anew.
    pub(super) fn note_id_passed(&mut self, id: EntryId) {
        self.cursor = self.cursor.min(id.before());
        self.floor = self.floor.min(id.earlier(GO_BACK_MS));
    }

    /// Moves the next entry out of the batch, if none is under way. Returns whether there is one to write.
    pub(super) fn begin_entry(&mut self) -> bool {
        if !self.is_read() {
            return false;
        }
        if let Some(entry) = &self.under_way {
            return entry.progress == Progress::Waiting;
        }
        if self.batch.events.is_empty() {
            return false;
        }
        let (events, lines) = self.batch.take(self.id.is_none_or(StreamId::has_lines));
        let Numbers { entry: number, lines: lines_before } = self.numbers;
        self.numbers = Numbers { entry: number + 1, lines: lines_before + lines };
        let (progress, trim_to) = (Progress::Waiting, self.kept.trim_to());
        self.under_way = Some(UnderWay {
            number,
            lines_before,
            events,
            trim_to,
            progress,
            since: None,
            deadline: None,
            is_overdue: false,
        });
        true
    }

    /// Returns the number of the entry under way if it has this one, and was not read yet.
    pub(super) fn unread(&self, number: u64) -> Option<u64> {
        let entry = self.under_way.as_ref().filter(|entry| entry.number == number);
        entry.filter(|entry| entry.progress != Progress::Read).map(|entry| entry.number)
    }

    /// Whether an entry that was read under the writer of this server is not its own: its number is ahead, or it has
    /// the number of the entry under way, and something else in it.
    pub(super) fn is_forged(&self, header: &Header, events: &str) -> bool {
        let is_other = |entry: &UnderWay| entry.lines_before != header.lines_before || entry.events != events;
        header.number >= self.numbers.entry
            || self.unread(header.number).is_some() && self.under_way.as_ref().is_some_and(is_other)
    }

    /// Goes on behind a forged entry with these numbers: readers take all up to it for repetitions. The entry under way
    /// is to be written again, if it was not read. Returns the number and the deadline that it had.
    pub(super) fn go_on_behind(&mut self, number: u64, lines: u64) -> Option<(u64, Option<Instant>)> {
        let next = self.numbers;
        self.numbers = Numbers { entry: number.saturating_add(1), lines };
        let entry = self.under_way.as_mut().filter(|entry| entry.progress != Progress::Read)?;
        let lines_in_it = next.lines.saturating_sub(entry.lines_before);
        let before = (entry.number, entry.deadline.take());
        (entry.number, entry.lines_before, entry.progress) = (self.numbers.entry, lines, Progress::Waiting);
        let Numbers { entry, lines } = self.numbers;
        self.numbers = Numbers { entry: entry.saturating_add(1), lines: lines.saturating_add(lines_in_it) };
        Some(before)
    }

    /// Ends the entry under way if it has this number. Returns it.
    pub(super) fn end_entry(&mut self, number: u64) -> Option<UnderWay> {
        let entry = self.under_way.take_if(|entry| entry.number == number)?;
        if entry.trim_to.is_some() {
            self.kept.note_trimmed(entry.trim_to);
        }
        Some(entry)
    }

    /// Writes the entry under way again: the connection that may have carried it is gone.
    pub(super) fn repeat(&mut self) {
        if let Some(entry) = self.under_way.as_mut().filter(|entry| entry.progress != Progress::Read) {
            entry.progress = Progress::Waiting;
        }
    }
}

impl Batch {
    /// Takes the events of the next entry: up to [`BATCH_BYTES`], and the rest of a last one. Returns them with the said
    /// lines among them.
    fn take(&mut self, has_lines: bool) -> (String, u64) {
        let end = memchr::memchr(b'\n', &self.events.as_bytes()[self.events.len().min(BATCH_BYTES - 1)..])
            .map_or(self.events.len(), |offset| BATCH_BYTES + offset);
        let rest = self.events.split_off(end);
        let events = std::mem::replace(&mut self.events, rest);
        // Counted only where a batch is cut: its caller knows the sum.
        let lines = match self.events.is_empty() {
            true => self.lines,
            false if has_lines => said_lines(&events),
            false => 0,
        };
        self.lines = self.lines.saturating_sub(lines);
        (events, lines)
    }
}

/// The bytes of a stream that were read, with marks in them: so a server knows the id before which all is too old.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Ids, with the bytes that were read before them. The oldest first.
    marks: VecDeque<(EntryId, u64)>,
    bytes: u64,
    /// All before it is too old, and that is not written yet.
    trim_to: Option<EntryId>,
}

impl Kept {
    /// Records an entry that was read.
    pub(super) fn note(&mut self, id: EntryId, event_bytes: usize, keep_bytes: u64) {
        // Marks that a failover has lost would trim too much.
        while self.marks.back().is_some_and(|(mark, _)| *mark >= id) {
            self.marks.pop_back();
        }
        if self.marks.back().is_none_or(|(_, before)| self.bytes - before >= keep_bytes / MARKS) {
            self.marks.push_back((id, self.bytes));
        }
        // There is no larger entry than memory.
        self.bytes = self.bytes.saturating_add(u64::try_from(event_bytes + ENTRY_OVERHEAD_BYTES).unwrap_or(0));
        while let Some((second, before)) = self.marks.get(1)
            && self.bytes - before >= keep_bytes
        {
            self.trim_to = Some(*second);
            self.marks.pop_front();
        }
    }

    /// Records that so many bytes stand before all others, spread evenly from one id to another: they were counted, but
    /// not read.
    pub(super) fn note_unread(&mut self, from: EntryId, to: EntryId, bytes: u64) {
        let span = to.ms.saturating_sub(from.ms);
        for (_, before) in &mut self.marks {
            *before = before.saturating_add(bytes);
        }
        for part in (0..MARKS).rev() {
            let ms = from.ms + span / MARKS * part;
            self.marks.push_front((EntryId { ms, seq: 0 }, bytes / MARKS * part));
        }
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn trim_to(&self) -> Option<EntryId> {
        self.trim_to
    }

    fn note_trimmed(&mut self, to: Option<EntryId>) {
        self.trim_to.take_if(|trim_to| Some(*trim_to) == to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId { ms, seq: 0 }
    }

    #[test]
    fn all_but_the_bytes_to_keep_is_trimmed() {
        let mut kept = Kept::default();
        for ms in 1..=1_000 {
            kept.note(id(ms), 900, 100_000);
            if let Some(to) = kept.trim_to() {
                let bytes = (ms + 1 - to.ms) * 1_000;
                assert!((100_000..=103_000).contains(&bytes), "{bytes} are kept");
            }
        }
        assert!(kept.trim_to().is_some() && kept.marks.len() <= 66);
    }

    #[test]
    fn ids_that_a_failover_took_back_trim_nothing() {
        let mut kept = Kept::default();
        (1..=100).for_each(|ms| kept.note(id(10_000 + ms), 900, 100_000));
        for ms in 1..=1_000 {
            kept.note(id(ms), 900, 100_000);
            assert!(kept.trim_to().is_none_or(|to| to.ms <= ms));
        }
    }

    #[test]
    fn unread_bytes_stand_before_those_that_were_read() {
        let mut kept = Kept::default();
        (900..1_000).for_each(|ms| kept.note(id(ms), 900, 1_000_000));
        kept.note_unread(id(0), id(900), 64 * 100_000);
        kept.note(id(1_000), 900, 1_000_000);
        let to = kept.trim_to().expect("there is too much").ms;
        assert!((750..=775).contains(&to), "{to}: 900,000 of 6,400,000 bytes before 900 are kept");
    }

    #[test]
    fn a_length_that_cannot_be_is_no_panic() {
        let mut kept = Kept::default();
        kept.note(id(1_000), 900, 1_000_000);
        kept.note_unread(id(0), id(1_000), u64::MAX);
        kept.note(id(1_001), 900, 1_000_000);
        assert!(kept.trim_to().is_some_and(|to| to <= id(1_000)));
    }

    #[test]
    fn a_trim_is_written_until_it_was_read_back() {
        let mut kept = Kept { trim_to: Some(id(5)), ..Kept::default() };
        kept.note_trimmed(Some(id(4)));
        assert_eq!(kept.trim_to(), Some(id(5)));
        kept.note_trimmed(Some(id(5)));
        assert_eq!(kept.trim_to(), None);
    }

    #[test]
    fn a_batch_is_cut_behind_the_event_that_exceeds_the_limit() {
        for events in [1, BATCH_BYTES / 8 - 1, BATCH_BYTES / 8, BATCH_BYTES / 8 + 1, BATCH_BYTES] {
            let mut batch = Batch { events: "s 1 a b\n".repeat(events), lines: u64::try_from(events).expect("few") };
            let (mut rounds, mut lines) = (0, 0);
            while !batch.events.is_empty() {
                let (taken, said) = batch.take(true);
                assert!(taken.ends_with('\n') && taken.len() <= BATCH_BYTES);
                assert_eq!(said, said_lines(&taken));
                (rounds, lines) = (rounds + 1, lines + said);
            }
            assert_eq!((rounds, batch.lines), (events.div_ceil(BATCH_BYTES / 8), 0));
            assert_eq!(lines, u64::try_from(events).expect("few"));
        }
        let mut batch = Batch { events: format!("{}\nx\n", "e".repeat(3 * BATCH_BYTES)), lines: 0 };
        assert_eq!(batch.take(false).0.len(), 3 * BATCH_BYTES + 1);
        assert_eq!(batch.take(false).0, "x\n");
    }
}
