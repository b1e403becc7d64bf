//! The order of entries in a log that several servers write: repetitions and gaps.
//!
//! Each server writes a log under its own [`Writer`], and counts its entries and its said lines. A reader needs two
//! comparisons: an entry whose number is not above the last one is a repetition; one that skips numbers shows a gap,
//! and the count of lines tells how many lines it holds. Pure: no clock, no bytes of a socket.

use std::collections::HashMap;
use std::fmt;

/// The identity of a server on the bus: 64 random bits of one process, shown as 16 digits of base 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Writer(u64);

impl Writer {
    /// Creates a writer from random bits.
    pub const fn new(random: u64) -> Writer {
        Writer(random)
    }

    /// Reads a writer in its text form.
    pub fn parse(text: &str) -> Option<Writer> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_hex { u64::from_str_radix(text, 16).ok().map(Writer) } else { None }
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The id that Redis gave to an entry: its clock in ms since 1970, and a count within that millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Milliseconds since 1970.
    pub ms: u64,
    /// Entries before it in that millisecond.
    pub seq: u64,
}

impl EntryId {
    /// Reads an id as Redis writes it, `MS-SEQ`.
    pub fn parse(text: &str) -> Option<EntryId> {
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let (ms, seq) = text.split_once('-')?;
        Some(EntryId { ms: number(ms)?, seq: number(seq)? })
    }

    /// Returns the id just before it, for commands that take an exclusive one.
    pub fn before(self) -> EntryId {
        match (self.ms, self.seq) {
            (0, 0) => self,
            (ms, 0) => EntryId { ms: ms - 1, seq: u64::MAX },
            (ms, seq) => EntryId { ms, seq: seq - 1 },
        }
    }

    /// Returns the first id of the time that lies so many ms back.
    pub fn earlier(self, ms: u64) -> EntryId {
        EntryId { ms: self.ms.saturating_sub(ms), seq: 0 }
    }

    /// Returns its second since 1970.
    pub fn second(self) -> u64 {
        self.ms / 1_000
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// Most entries, and most said lines, of a writer in a log for each ms since 1970, by the id of an entry: more than any
/// server writes. So a forged count is small enough to go on behind it, and if it is the largest possible one, that is
/// possible again a moment later.
const COUNT_PER_MS_MAX: u64 = 1_000;

/// Most entries and lines at whatever time: half of all numbers, so sums do not overflow.
const COUNT_MAX: u64 = u64::MAX >> 1;

/// Most said lines in an entry: it has 16 KiB of events and a last one, and the shortest has 2 bytes.
const ENTRY_LINES_MAX: u64 = 8_193;

/// Most lines that count as lost at a time: those of hours without a pause. A forged count may claim more.
const MISSED_LINES_MAX: u64 = 1_000_000_000;

/// Most writers whose place in one log is remembered. A server that restarts is a new writer, so old ones collect; the
/// one heard least recently is forgotten.
pub const WRITERS_MAX: usize = 256;

/// The count of an entry, as its writer gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The server that wrote it.
    pub writer: Writer,
    /// Its number among the entries of its writer in this log.
    pub number: u64,
    /// Said lines of its writer in this log before it.
    pub lines_before: u64,
    /// Said lines in it.
    pub lines: u64,
}

impl Header {
    /// Whether a server may have written it into the entry with this id.
    pub fn is_possible(&self, id: EntryId) -> bool {
        let count_max = id.ms.saturating_mul(COUNT_PER_MS_MAX).min(COUNT_MAX);
        (1..=count_max).contains(&self.number) && self.lines_before <= count_max
    }

    /// Returns the said lines of its writer up to its end.
    pub fn lines_up_to_end(&self) -> u64 {
        self.lines_before.saturating_add(self.lines)
    }
}

/// The place of an entry after those that were read before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The next of its writer, or the first that was ever read of it.
    Next,
    /// It was read before.
    Again,
    /// Entries before it were lost.
    After {
        /// Said lines in them: no more than so many entries hold, nor than a billion.
        missed_lines: u64,
    },
}

/// The last entry of each writer that was read from one log.
#[derive(Debug, Default)]
pub struct Sequence {
    last: HashMap<Writer, Last>,
    /// Entries placed so far: the clock of `Last::heard`.
    clock: u64,
}

/// The last entry of a writer.
#[derive(Clone, Copy, Debug)]
struct Last {
    number: u64,
    /// Said lines up to its end.
    lines: u64,
    heard: u64,
}

impl Sequence {
    /// Returns the place of the entry that was read now, and remembers it.
    pub fn place(&mut self, header: &Header) -> Place {
        self.clock += 1;
        let now = Last { number: header.number, lines: header.lines_up_to_end(), heard: self.clock };
        let Some(last) = self.last.get_mut(&header.writer) else {
            self.remember(header.writer, now);
            return Place::Next;
        };
        last.heard = self.clock;
        if header.number <= last.number {
            return Place::Again;
        }
        let missed_entries = header.number.saturating_sub(last.number).saturating_sub(1);
        let lines_max = missed_entries.saturating_mul(ENTRY_LINES_MAX).min(MISSED_LINES_MAX);
        let missed_lines = header.lines_before.saturating_sub(last.lines).min(lines_max);
        *last = now;
        if missed_entries == 0 { Place::Next } else { Place::After { missed_lines } }
    }

    /// Remembers an entry that stands before all that will be placed, in whatever order such entries are found.
    pub fn begin_after(&mut self, header: &Header) {
        let found = Last { number: header.number, lines: header.lines_up_to_end(), heard: self.clock };
        match self.last.get_mut(&header.writer) {
            Some(last) if last.number < found.number => *last = found,
            Some(_) => {}
            None => self.remember(header.writer, found),
        }
    }

    /// Returns the number of the last entry of a writer, and its said lines up to the end of that.
    pub fn last_of(&self, writer: Writer) -> Option<(u64, u64)> {
        self.last.get(&writer).map(|last| (last.number, last.lines))
    }

    fn remember(&mut self, writer: Writer, last: Last) {
        if self.last.len() >= WRITERS_MAX {
            let oldest = self.last.iter().min_by_key(|(writer, last)| (last.heard, **writer));
            if let Some(oldest) = oldest.map(|(writer, _)| *writer) {
                self.last.remove(&oldest);
            }
        }
        self.last.insert(writer, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(writer: u64, number: u64, lines_before: u64) -> Header {
        Header { writer: Writer::new(writer), number, lines_before, lines: 2 }
    }

    #[test]
    fn an_entry_is_next_once_and_then_a_repetition() {
        let mut sequence = Sequence::default();
        for number in 1..4 {
            assert_eq!(sequence.place(&header(1, number, 2 * number - 2)), Place::Next);
            for earlier in 1..=number {
                assert_eq!(sequence.place(&header(1, earlier, 2 * earlier - 2)), Place::Again);
            }
        }
    }

    #[test]
    fn a_gap_is_told_once_with_the_lines_in_it() {
        let mut sequence = Sequence::default();
        assert_eq!(sequence.place(&header(1, 1, 0)), Place::Next);
        assert_eq!(sequence.place(&header(1, 5, 52)), Place::After { missed_lines: 50 });
        assert_eq!(sequence.place(&header(1, 6, 54)), Place::Next);
        assert_eq!(sequence.place(&header(1, 4, 50)), Place::Again, "what was told as lost stays lost");
    }

    #[test]
    fn the_first_sight_of_a_writer_is_no_gap() {
        let mut sequence = Sequence::default();
        assert_eq!(sequence.place(&header(1, 700, 9_000)), Place::Next);
        assert_eq!(sequence.place(&header(2, 1, 0)), Place::Next, "each writer counts for itself");
        assert_eq!(sequence.place(&header(1, 702, 9_005)), Place::After { missed_lines: 3 });
    }

    #[test]
    fn counts_that_cannot_be_are_no_panic() {
        let mut sequence = Sequence::default();
        assert_eq!(sequence.place(&header(1, u64::MAX, u64::MAX)), Place::Next);
        assert_eq!(sequence.place(&header(1, u64::MAX, 0)), Place::Again);
        assert_eq!(sequence.place(&header(2, 1, u64::MAX)), Place::Next);
        assert_eq!(sequence.place(&header(2, 9, 0)), Place::After { missed_lines: 0 });
    }

    #[test]
    fn no_more_lines_are_lost_than_the_missed_entries_hold() {
        let mut sequence = Sequence::default();
        sequence.place(&header(1, 1, 0));
        assert_eq!(sequence.place(&header(1, 3, u64::MAX)), Place::After { missed_lines: ENTRY_LINES_MAX });
        sequence.place(&header(2, 1, 0));
        assert_eq!(sequence.place(&header(2, u64::MAX, u64::MAX)), Place::After { missed_lines: MISSED_LINES_MAX });
    }

    #[test]
    fn counts_are_possible_up_to_a_bound_that_grows_with_time() {
        let is_possible =
            |number, lines_before, ms| header(1, number, lines_before).is_possible(EntryId { ms, seq: 7 });
        assert!(is_possible(5_000, 5_000, 5) && is_possible(5_001, 5_001, 6));
        assert!(!is_possible(5_001, 0, 5) && !is_possible(1, 5_001, 5) && !is_possible(0, 0, 5));
        assert!(is_possible(COUNT_MAX, COUNT_MAX, u64::MAX) && !is_possible(COUNT_MAX + 1, 0, u64::MAX));
    }

    #[test]
    fn what_stands_before_is_found_in_any_order() {
        for numbers in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
            let mut sequence = Sequence::default();
            for number in numbers {
                sequence.begin_after(&header(1, number, 2 * number - 2));
            }
            assert_eq!(sequence.place(&header(1, 3, 4)), Place::Again);
            assert_eq!(sequence.place(&header(1, 5, 8)), Place::After { missed_lines: 2 });
        }
    }

    #[test]
    fn the_writer_that_was_not_heard_for_longest_is_forgotten() {
        let mut sequence = Sequence::default();
        let writers = u64::try_from(WRITERS_MAX).expect("few");
        for writer in 0..writers {
            sequence.place(&header(writer, 1, 0));
        }
        sequence.place(&header(0, 2, 2));
        sequence.place(&header(writers, 1, 0));
        assert_eq!(sequence.last.len(), WRITERS_MAX);
        assert_eq!(sequence.place(&header(0, 2, 2)), Place::Again);
        assert_eq!(sequence.place(&header(1, 1, 0)), Place::Next, "forgotten");
    }
}
