//! A reader's place on the tape, the holes ahead of it, and the count of lines that it missed.
//!
//! A *plain* reader is sent said lines and notices, but not its own. A *tracked* reader is sent every byte: its own
//! lines and the stamps, too. For a plain reader the stamps are holes of the tape itself. A reader that keeps up stands
//! right before the newest stamp when that is put on the tape, so it passes it with one comparison.
//!
//! To flush a reader, take [`pending`](Cursor::pending), write, [`advance`](Cursor::advance) by the bytes written, and,
//! once the socket takes no more, [`align_to_line`](Cursor::align_to_line). The model in `tests/support/tape_model.rs`
//! checks any order of these steps against a list of lines.

use std::collections::VecDeque;
use std::io::IoSlice;

use super::tape::{Position, Span, Tape};

/// Bytes of a hole.
pub const HOLE_BYTES: usize = size_of::<(Mark, Mark)>();

/// The way in which a reader is sent the tape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Without its own lines and without stamps. Said lines are counted.
    #[default]
    Plain,
    /// All of it. Records are counted.
    Tracked,
}

/// A tape, as readers of a dialect see it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The tape.
    pub tape: &'a Tape,
    /// The dialect.
    pub dialect: Dialect,
}

/// A place of a cursor, with the lines before it that count in its dialect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark {
    offset: u64,
    passed: u64,
}

/// Maximum of holes ahead of a reader: 32 KiB of memory. Only a client that talks and never reads exceeds it; it then
/// misses lines.
pub const HOLES_MAX: usize = 1_024;

/// A place on the tape, with the holes ahead of it and the count of missed lines.
///
/// Invariants: the cursor stands between two lines, and never at the start of a hole; only between
/// [`advance`](Cursor::advance) and [`align_to_line`](Cursor::align_to_line) may it stand within a line. A reader that
/// is up to date costs 24 bytes and no heap.
#[derive(Debug)]
pub struct Cursor {
    at: Mark,
    trail: Option<Box<Trail>>,
}

/// State that only a reader that is behind needs.
#[derive(Debug, Default)]
struct Trail {
    /// Stretches of the reader's own lines ahead of the cursor, each with its start and its end: in order, apart from
    /// each other, at most [`HOLES_MAX`].
    holes: VecDeque<(Mark, Mark)>,
    /// Lines of others that it missed and was not told of yet.
    missed: u64,
    /// Whether it was overtaken and has not caught up with the end since.
    is_lagging: bool,
}

/// Whether a reader fell so far behind that it missed lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Pace {
    /// It kept up.
    Keeping,
    /// It fell too far behind just now: its cursor was moved, and the lines count as missed.
    Overtaken,
}

impl Dialect {
    /// Returns how many lines before `place` count.
    fn passed(self, place: Position) -> u64 {
        match self {
            Dialect::Plain => place.line,
            Dialect::Tracked => place.record,
        }
    }

    fn mark(self, place: Position) -> Mark {
        Mark { offset: place.offset, passed: self.passed(place) }
    }
}

impl Tape {
    /// Returns the tape as plain readers see it.
    pub fn plain(&self) -> View<'_> {
        View { tape: self, dialect: Dialect::Plain }
    }

    /// Returns the tape as tracked readers see it.
    pub fn tracked(&self) -> View<'_> {
        View { tape: self, dialect: Dialect::Tracked }
    }
}

impl<'a> View<'a> {
    /// Returns where a reader at `offset` goes on, unless older stamps than the newest may be ahead.
    fn past_newest_stamp(self, offset: u64) -> Option<u64> {
        let stamps = self.tape.stamps();
        // The common case, whatever the dialect.
        if stamps.are_before(offset) || self.dialect == Dialect::Tracked {
            return Some(offset);
        }
        stamps.past_newest(offset)
    }

    fn first_stamp(self, offset: u64) -> Option<u64> {
        match self.dialect {
            Dialect::Plain => self.tape.stamps().first_from(offset),
            Dialect::Tracked => None,
        }
    }
}

impl Cursor {
    /// Creates a reader at `place`.
    pub fn at(place: Position, dialect: Dialect) -> Cursor {
        Cursor { at: dialect.mark(place), trail: None }
    }

    /// Returns the offset that it stands at.
    pub fn offset(&self) -> u64 {
        self.at.offset
    }

    /// Returns how many said lines come before it or, for a tracked reader, how many records.
    pub fn passed(&self) -> u64 {
        self.at.passed
    }

    /// Whether it has no holes ahead, no missed lines and no lag: a single write may send it all.
    pub fn is_plain(&self) -> bool {
        self.trail.is_none()
    }

    /// Moves a reader without holes to `place`, once everything before it was written.
    pub fn set_position(&mut self, place: Position, dialect: Dialect) {
        debug_assert!(self.is_plain() && self.at.offset <= place.offset);
        self.at = dialect.mark(place);
    }

    /// Whether it was overtaken and has not caught up with the end since.
    pub fn is_lagging(&self) -> bool {
        self.trail.as_ref().is_some_and(|trail| trail.is_lagging)
    }

    /// Whether it missed lines that it was not told of yet.
    pub fn has_missed(&self) -> bool {
        self.missed() > 0
    }

    /// Returns how many lines of others or, for a tracked reader, how many records it missed and was not told of yet.
    pub fn missed(&self) -> u64 {
        self.trail.as_ref().map_or(0, |trail| trail.missed)
    }

    /// Returns the number of holes ahead of it. At [`HOLES_MAX`], one more makes it miss lines.
    pub fn holes_ahead(&self) -> usize {
        self.trail.as_ref().map_or(0, |trail| trail.holes.len())
    }

    /// Returns [`missed`](Cursor::missed) and counts those lines as told.
    pub fn take_missed(&mut self) -> u64 {
        self.trail.as_mut().map_or(0, |trail| std::mem::take(&mut trail.missed))
    }

    /// Moves to `stop` without sending the bytes before it. They count as missed.
    pub fn skip_missed(&mut self, stop: Position, dialect: Dialect) {
        if self.at.offset < stop.offset {
            self.skip_to(dialect.mark(stop));
        }
    }

    /// Skips `span`, which a plain reader itself just appended to the tape. The cost is constant. Only on a full list,
    /// one call in [`HOLES_MAX`]` / 2` drops half of it.
    pub fn skip_own(&mut self, span: Span) -> Pace {
        let (start, end) = (Dialect::Plain.mark(span.start), Dialect::Plain.mark(span.end));
        if self.at.offset == start.offset {
            self.at = end;
            return Pace::Keeping;
        }
        let holes = &mut self.trail.get_or_insert_default().holes;
        if let Some(last) = holes.back_mut().filter(|last| last.1.offset == start.offset) {
            last.1 = end;
            return Pace::Keeping;
        }
        if holes.len() < HOLES_MAX {
            holes.push_back((start, end));
            return Pace::Keeping;
        }
        // Half of the list at once, so that the cursor is not moved for each further line.
        let (_, place) = holes[HOLES_MAX / 2];
        self.skip_to(place);
        self.trail.get_or_insert_default().holes.push_back((start, end));
        Pace::Overtaken
    }

    /// If the tail has overtaken the reader, moves it to the oldest checkpoint, but not beyond `stop`.
    pub fn catch_up(&mut self, view: View<'_>, stop: Position) -> Pace {
        if self.at.offset >= view.tape.tail() || self.at.offset >= stop.offset {
            return Pace::Keeping;
        }
        let resume = view.tape.resume();
        self.skip_to(view.dialect.mark(if resume.offset < stop.offset { resume } else { stop }));
        Pace::Overtaken
    }

    /// Moves to `stop` without sending the bytes before it, and forgets missed lines. The reader is owed nothing more.
    pub fn discard(&mut self, stop: Position, dialect: Dialect) {
        self.skip_missed(stop, dialect);
        self.take_missed();
    }

    /// Returns the bytes owed up to `stop` if they are one slice, which is the common case; `None` otherwise.
    /// Inlined into the walk over readers, or a delivery would cost a fifth more.
    #[inline(always)]
    pub fn pending_in_one<'a>(&self, view: View<'a>, stop: u64) -> Option<&'a [u8]> {
        let from = view.past_newest_stamp(self.at.offset)?;
        let [slice, beyond] = view.tape.slices(from, stop.max(from));
        (beyond.is_empty() && self.holes().next().is_none()).then_some(slice)
    }

    /// Appends the bytes owed up to `stop` to `slices`, as far as there is room.
    pub fn pending<'a>(&self, view: View<'a>, stop: u64, slices: &mut Slices<'a>) {
        let mut from = self.at.offset;
        let mut holes = self.holes().peekable();
        loop {
            let hole = holes.peek().map(|(start, end)| (start.offset, end.offset));
            let (start, end) = match (hole, view.first_stamp(from).filter(|&stamp| stamp < stop)) {
                (Some(hole), stamp) if stamp.is_none_or(|stamp| hole.0 <= stamp) => {
                    holes.next();
                    hole
                }
                (_, Some(stamp)) => (stamp, view.tape.line_end(stamp)),
                (_, None) => break,
            };
            if !slices.has_room_for_two() {
                return;
            }
            slices.push_all(view.tape.slices(from, start.min(stop).max(from)));
            from = end;
        }
        if slices.has_room_for_two() {
            slices.push_all(view.tape.slices(from.min(stop), stop));
        }
    }

    /// Moves past `bytes` that were written, and past the holes and stamps among and after them that the reader is not
    /// sent. The cursor may then stand within a line, until [`align_to_line`](Cursor::align_to_line).
    pub fn advance(&mut self, view: View<'_>, mut bytes: u64) {
        loop {
            let hole = self.holes().next().copied();
            let (start, end) = match (hole, view.first_stamp(self.at.offset)) {
                (Some((start, end)), stamp) if stamp.is_none_or(|stamp| start.offset <= stamp) => (start.offset, end),
                (_, Some(stamp)) => (stamp, Mark { offset: view.tape.line_end(stamp), passed: self.at.passed }),
                (_, None) => break,
            };
            let gap = start - self.at.offset;
            if bytes < gap {
                break;
            }
            bytes -= gap;
            self.at = end;
            if hole.is_some_and(|(_, hole_end)| hole_end == end) {
                self.pop_hole();
            }
        }
        self.at.offset += bytes;
    }

    /// Ends a run of writes. If it stopped within a line, appends the rest of that line to `rest` and moves to its end.
    ///
    /// So a reader can be overtaken at any time without receiving half a line. Cost: at most a copy of one line, and a
    /// scan of the tape up to the next checkpoint.
    pub fn align_to_line(&mut self, view: View<'_>, rest: &mut Vec<u8>) {
        let View { tape, dialect } = view;
        let at = self.at.offset;
        if at == tape.end().offset {
            self.at = dialect.mark(tape.end());
        } else if tape.is_between_lines(at) {
            self.at = dialect.mark(tape.position(at));
        } else {
            let line_end = tape.line_end(at);
            tape.slices(at, line_end).iter().for_each(|slice| rest.extend_from_slice(slice));
            self.at = dialect.mark(tape.position(line_end));
            // The next line may be its own: then pass that hole.
            self.pass_own();
        }
        self.tidy(tape);
    }

    /// Ends the lag of a reader at the end of the tape, and frees memory that only a reader behind needs.
    pub fn tidy(&mut self, tape: &Tape) {
        if let Some(trail) = &mut self.trail {
            trail.is_lagging &= self.at.offset < tape.end().offset;
            if trail.holes.is_empty() && trail.missed == 0 && !trail.is_lagging {
                self.trail = None;
            }
        }
    }

    /// Moves to `place`, and counts the lines of others before it as missed. A hole that reaches beyond `place` is
    /// clipped, not dropped.
    fn skip_to(&mut self, place: Mark) {
        let trail = self.trail.get_or_insert_default();
        trail.is_lagging = true;
        let mut own_lines = 0;
        while let Some(hole) = trail.holes.front_mut().filter(|hole| hole.0.offset < place.offset) {
            let (start, end) = *hole;
            if end.offset > place.offset {
                own_lines += place.passed - start.passed;
                hole.0 = place;
                break;
            }
            own_lines += end.passed - start.passed;
            trail.holes.pop_front();
        }
        trail.missed += place.passed - self.at.passed - own_lines;
        self.at = place;
        self.pass_own();
    }

    /// Passes a hole that begins where the cursor stands.
    fn pass_own(&mut self) {
        let hole = self.holes().next().filter(|(start, _)| start.offset == self.at.offset).copied();
        if let Some((_, end)) = hole {
            self.at = end;
            self.pop_hole();
        }
    }

    fn holes(&self) -> impl Iterator<Item = &(Mark, Mark)> {
        self.trail.iter().flat_map(|trail| &trail.holes)
    }

    fn pop_hole(&mut self) {
        if let Some(trail) = &mut self.trail {
            trail.holes.pop_front();
        }
    }
}

/// The slices for one `writev`: at most 64.
pub struct Slices<'a> {
    slices: [IoSlice<'a>; Slices::MAX],
    len: usize,
}

impl<'a> Slices<'a> {
    /// Maximum of slices. A tape with more holes takes several calls. 64 slices take 1 KiB of stack.
    pub const MAX: usize = 64;

    /// Creates an empty list.
    pub fn new() -> Slices<'a> {
        Slices { slices: [IoSlice::new(&[]); Slices::MAX], len: 0 }
    }

    /// Creates a list whose first two slices are empty until [`fill_reserved`](Slices::fill_reserved).
    pub fn with_two_reserved() -> Slices<'a> {
        Slices { len: 2, ..Slices::new() }
    }

    /// Sets the first two slices of a list made by [`with_two_reserved`](Slices::with_two_reserved).
    pub fn fill_reserved(&mut self, first: &'a [u8], second: &'a [u8]) {
        self.slices[0] = IoSlice::new(first);
        self.slices[1] = IoSlice::new(second);
    }

    /// Returns the sum of all slices, in bytes.
    pub fn bytes(&self) -> usize {
        self.as_slice().iter().map(|slice| slice.len()).sum()
    }

    /// Returns a copy of everything after the first `bytes` bytes.
    pub fn after(&self, mut bytes: usize) -> Vec<u8> {
        let mut rest = Vec::new();
        for slice in self.as_slice() {
            let passed = bytes.min(slice.len());
            bytes -= passed;
            rest.extend_from_slice(&slice[passed..]);
        }
        rest
    }

    /// Appends a slice, unless it is empty or there is no room.
    pub fn push(&mut self, slice: &'a [u8]) {
        if !slice.is_empty() && !self.is_full() {
            self.slices[self.len] = IoSlice::new(slice);
            self.len += 1;
        }
    }

    /// Returns the slices.
    pub fn as_slice(&self) -> &[IoSlice<'a>] {
        &self.slices[..self.len]
    }

    /// Whether there is room for a span of the tape, which takes two slices where the ring wraps.
    fn has_room_for_two(&self) -> bool {
        self.len + 2 <= Slices::MAX
    }

    fn push_all(&mut self, slices: [&'a [u8]; 2]) {
        slices.into_iter().for_each(|slice| self.push(slice));
    }

    fn is_full(&self) -> bool {
        self.len == Slices::MAX
    }
}

impl Default for Slices<'_> {
    fn default() -> Self {
        Slices::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(tape: &mut Tape, name: &str, number: usize) -> Span {
        tape.say(&[&format!("{name}> {number}")])
    }

    /// Sends all that is pending in writes of `write_bytes`, of which `run` make a run. Returns what was sent.
    fn send(cursor: &mut Cursor, tape: &Tape, write_bytes: usize, run: usize) -> String {
        let mut sent = Vec::new();
        loop {
            let before = sent.len();
            for _ in 0..run {
                let mut slices = Slices::new();
                cursor.pending(tape.plain(), tape.end().offset, &mut slices);
                let bytes = write_bytes.min(slices.bytes());
                let pending = slices.after(0);
                assert_eq!(slices.after(bytes), pending[bytes..]);
                sent.extend_from_slice(&pending[..bytes]);
                cursor.advance(tape.plain(), bytes as u64);
            }
            cursor.align_to_line(tape.plain(), &mut sent);
            if sent.len() == before {
                return String::from_utf8(sent).unwrap();
            }
        }
    }

    #[test]
    fn a_reader_gets_the_lines_of_others_whatever_its_socket_takes_at_once() {
        let lines = ["bob", "ana", "ana", "bob", "bob", "ana", "cia", "ana"];
        // A tape so small that it wraps within the lines, at any place.
        for before in 0..12 {
            for (write_bytes, run) in (1..60).flat_map(|bytes| [(bytes, 1), (bytes, 2), (bytes, 100)]) {
                let mut tape = Tape::new(64).unwrap();
                for _ in 0..before {
                    tape.announce("x");
                }
                let mut cursor = Cursor::at(tape.end(), Dialect::Plain);
                let mut expected = String::new();
                for (number, name) in lines.into_iter().enumerate() {
                    let span = say(&mut tape, name, number);
                    if name == "ana" {
                        assert_eq!(cursor.skip_own(span), Pace::Keeping);
                    } else {
                        expected += &format!("{name}> {number}\n");
                    }
                }
                assert_eq!(send(&mut cursor, &tape, write_bytes, run), expected, "{write_bytes} bytes a write");
                assert!(cursor.is_plain() && cursor.offset() == tape.end().offset);
            }
        }
    }

    #[test]
    fn own_lines_of_a_reader_that_is_up_to_date_cost_no_memory() {
        let mut tape = Tape::new(1_000).unwrap();
        let mut cursor = Cursor::at(tape.end(), Dialect::Plain);
        for number in 0..10 {
            let own = say(&mut tape, "ana", number);
            assert_eq!(cursor.skip_own(own), Pace::Keeping);
            assert!(cursor.is_plain() && cursor.offset() == tape.end().offset);
        }
        assert_eq!(size_of::<Cursor>(), 24);
    }

    #[test]
    fn own_lines_in_a_row_make_one_hole() {
        let mut tape = Tape::new(1_000).unwrap();
        let mut cursor = Cursor::at(tape.end(), Dialect::Plain);
        say(&mut tape, "bob", 0);
        for number in 0..10 {
            let own = say(&mut tape, "ana", number);
            assert_eq!(cursor.skip_own(own), Pace::Keeping);
        }
        assert_eq!(cursor.holes_ahead(), 1);
        assert_eq!(cursor.pending_in_one(tape.plain(), tape.end().offset), None);
        let before_the_hole = Cursor::at(Position::default(), Dialect::Plain);
        assert_eq!(before_the_hole.pending_in_one(tape.plain(), 7), Some(&b"bob> 0\n"[..]));
    }

    #[test]
    fn an_overtaken_reader_misses_the_lines_of_others_and_goes_on_at_a_line() {
        let mut tape = Tape::new(100).unwrap();
        let mut cursor = Cursor::at(tape.end(), Dialect::Plain);
        let mut others = 0;
        for number in 100..160 {
            let span = say(&mut tape, ["bob", "ana"][number % 2], number);
            if number % 2 == 1 {
                let _ = cursor.skip_own(span);
            } else {
                others += 1;
            }
            tape.announce("x");
        }
        assert_eq!(cursor.catch_up(tape.plain(), tape.end()), Pace::Overtaken);
        assert_eq!(cursor.catch_up(tape.plain(), tape.end()), Pace::Keeping);
        assert!(cursor.is_lagging() && cursor.has_missed());
        let missed = cursor.take_missed();
        let got = send(&mut cursor, &tape, 1_000, 1);
        assert!(!got.contains("ana"), "{got}");
        assert_eq!(missed + got.lines().filter(|line| line.starts_with("bob> ")).count() as u64, others);
        assert!(cursor.is_plain(), "at the end, the lag and its memory are gone");
    }

    #[test]
    fn a_reader_is_not_moved_beyond_its_stop() {
        let mut tape = Tape::new(50).unwrap();
        let mut cursor = Cursor::at(tape.end(), Dialect::Plain);
        let stop = say(&mut tape, "bob", 1).end;
        for number in 0..20 {
            say(&mut tape, "bob", number);
        }
        assert_eq!(cursor.catch_up(tape.plain(), stop), Pace::Overtaken);
        assert_eq!((cursor.offset(), cursor.missed()), (stop.offset, 1));
        assert_eq!(cursor.catch_up(tape.plain(), stop), Pace::Keeping, "it is owed nothing more");
    }

    #[test]
    fn skipped_lines_are_missed_and_discarded_ones_are_not() {
        let mut tape = Tape::new(1_000).unwrap();
        let mut cursor = Cursor::at(tape.end(), Dialect::Plain);
        say(&mut tape, "bob", 1);
        let own = say(&mut tape, "ana", 2);
        assert_eq!(cursor.skip_own(own), Pace::Keeping);
        say(&mut tape, "bob", 3);
        cursor.skip_missed(tape.end(), Dialect::Plain);
        assert_eq!((cursor.missed(), cursor.holes_ahead()), (2, 0), "own lines are not missed");
        cursor.skip_missed(own.end, Dialect::Plain);
        assert_eq!(cursor.offset(), tape.end().offset, "a cursor never goes back");
        say(&mut tape, "bob", 4);
        cursor.discard(tape.end(), Dialect::Plain);
        assert_eq!((cursor.missed(), cursor.offset()), (0, tape.end().offset));
        cursor.tidy(&tape);
        assert!(cursor.is_plain());
    }

    #[test]
    fn a_hole_that_is_passed_in_part_stays_a_hole() {
        let mut tape = Tape::new(1_000).unwrap();
        let mut cursor = Cursor::at(tape.end(), Dialect::Plain);
        say(&mut tape, "bob", 1);
        let own = [2, 3, 4].map(|number| say(&mut tape, "ana", number));
        own.into_iter().for_each(|own| assert_eq!(cursor.skip_own(own), Pace::Keeping));
        say(&mut tape, "bob", 5);
        cursor.skip_missed(own[0].end, Dialect::Plain);
        assert_eq!(
            (cursor.missed(), cursor.offset()),
            (1, own[2].end.offset),
            "the rest of the hole is passed as well"
        );
        assert_eq!(send(&mut cursor, &tape, 3, 1), "bob> 5\n");
    }

    #[test]
    fn more_slices_than_one_write_takes_come_in_several() {
        let mut tape = Tape::new(100_000).unwrap();
        let mut cursor = Cursor::at(tape.end(), Dialect::Plain);
        for number in 0..200 {
            say(&mut tape, "bob", number);
            let own = say(&mut tape, "ana", number);
            assert_eq!(cursor.skip_own(own), Pace::Keeping);
        }
        let mut slices = Slices::with_two_reserved();
        slices.fill_reserved(b"* x", b"\n");
        cursor.pending(tape.plain(), tape.end().offset, &mut slices);
        assert!((Slices::MAX - 1..=Slices::MAX).contains(&slices.as_slice().len()));
        assert!(slices.after(0).starts_with(b"* x\nbob> 0\nbob> 1\n"));
        assert_eq!(send(&mut cursor, &tape, usize::MAX, 1).lines().count(), 200);
    }
}
