//! The tape of a room: a shared, bounded, append-only log of the bytes for all members.
//!
//! There is no queue per recipient. A said line is one append, however many clients read it, and each reader keeps a
//! place on the tape ([`Cursor`](super::cursor::Cursor)). The tape holds whole lines, each ended by LF: said lines,
//! notices, which begin with `*`, [stamps](super::stamp), which begin with `@`, and asides, which begin with `**`. Said
//! lines are counted for plain readers; said lines and notices, the records, for tracked ones.
//!
//! An *aside* is said by one of several servers that share a room, such as that it is cut off from the others. All
//! readers of this server are sent it, and the tapes of the others do not hold it: so it counts for nothing.

use std::borrow::Cow;
use std::collections::{TryReserveError, VecDeque};
use std::fmt::{self, Write as _};

use super::notice;
use super::past::Past;
use super::sequence::EntryId;
use super::stamp::{Epoch, RecordId, STAMP_BYTE, Stamp, Stamps};

/// Maximum distance of two checkpoints, in bytes. It bounds the scan that finds a line number, at 24 bytes of memory
/// for each checkpoint. On a small tape the distance is a sixteenth of it, so that an overtaken reader loses little
/// more than it must.
const CHECKPOINT_BYTES_MAX: usize = 4 * 1024;

/// First byte of a notice, and the first two of an aside. No name begins with it.
const NOTICE_BYTE: u8 = b'*';

/// The first memory of a tape that grows, in bytes.
const GROWN_BYTES_MIN: usize = 4 * 1024;

/// A place between two lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Bytes appended before it. Never wraps.
    pub offset: u64,
    /// Said lines appended before it. Notices are not counted.
    pub line: u64,
    /// Records appended before it: said lines and notices.
    pub record: u64,
}

impl Position {
    /// Returns the sum of two counts.
    pub fn plus(self, other: Position) -> Position {
        Position {
            offset: self.offset + other.offset,
            line: self.line + other.line,
            record: self.record + other.record,
        }
    }

    /// Returns the difference of two counts.
    pub fn minus(self, other: Position) -> Position {
        Position {
            offset: self.offset - other.offset,
            line: self.line - other.line,
            record: self.record - other.record,
        }
    }
}

/// A part of the tape, between two positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its start.
    pub start: Position,
    /// Its end.
    pub end: Position,
}

impl Span {
    /// Returns the length, in bytes.
    pub fn bytes(&self) -> u64 {
        self.end.offset - self.start.offset
    }

    /// Returns how many said lines it holds.
    pub fn lines(&self) -> u64 {
        self.end.line - self.start.line
    }
}

/// The shared log of outgoing bytes.
///
/// Invariants: the tape holds the bytes from [`tail`](Tape::tail) to [`end`](Tape::end), at most its capacity;
/// `checkpoints` are places between two lines, in order, none before the tail.
#[derive(Debug)]
pub struct Tape {
    /// A ring: the byte at offset `o` is at index `o % capacity`. It grows up to the capacity before it wraps.
    ring: Vec<u8>,
    capacity: usize,
    end: Position,
    checkpoints: VecDeque<Position>,
    checkpoint_bytes: u64,
    stamps: Stamps,
}

/// Kind of a line on the tape.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LineKind {
    Said,
    Notice,
    Stamp,
    Aside,
}

impl LineKind {
    /// Returns the kind of a line by its first two bytes.
    fn of(first: u8, second: impl FnOnce() -> u8) -> LineKind {
        match first {
            NOTICE_BYTE if second() == NOTICE_BYTE => LineKind::Aside,
            NOTICE_BYTE => LineKind::Notice,
            STAMP_BYTE => LineKind::Stamp,
            _ => LineKind::Said,
        }
    }

    fn is_said(self) -> bool {
        self == LineKind::Said
    }

    /// Whether it is a record.
    fn is_record(self) -> bool {
        matches!(self, LineKind::Said | LineKind::Notice)
    }
}

impl Tape {
    /// Creates an empty tape of at most `capacity` bytes. The memory is reserved now, but touched only as it fills.
    ///
    /// # Errors
    /// If the memory cannot be reserved.
    pub fn new(capacity: usize) -> Result<Tape, TryReserveError> {
        let mut tape = Tape::growing(capacity);
        tape.ring.try_reserve_exact(capacity)?;
        Ok(tape)
    }

    /// Creates an empty tape of at most `capacity` bytes that owns no memory yet. Its memory doubles as it fills, so
    /// each byte is copied once more on average. (glibc moves the pages of blocks over 128 KiB, and copies none.)
    pub fn growing(capacity: usize) -> Tape {
        let checkpoint_bytes = (capacity / 16).clamp(1, CHECKPOINT_BYTES_MAX) as u64;
        let (ring, end, checkpoints) = (Vec::new(), Position::default(), VecDeque::new());
        let stamps = Stamps::new(Epoch::new(0));
        Tape { ring, capacity, end, checkpoints, checkpoint_bytes, stamps }
    }

    /// Gives an empty tape this epoch.
    pub fn with_epoch(self, epoch: Epoch) -> Tape {
        debug_assert_eq!(self.end.offset, 0);
        Tape { stamps: Stamps::new(epoch), ..self }
    }

    /// Lets an empty tape hold a part of the log that several servers share: its positions are [those](super::stamp)
    /// of the log's entries.
    pub fn share(&mut self) {
        debug_assert_eq!(self.end.offset, 0);
        self.stamps.share();
    }

    /// Begins an entry of a shared log, whose records follow.
    pub fn begin_entry(&mut self, id: EntryId) {
        self.stamps.begin_entry(id);
    }

    /// Sets the time of records from now on, in ms since 1970. Without a time there are no stamps. In a shared log the
    /// entries have it.
    pub fn set_time(&mut self, now_ms: u64) {
        self.stamps.set_time(now_ms);
    }

    /// Returns the epoch: the identity of this log. In a shared log it is that of this tape, and of no position but that
    /// before the first record.
    pub fn epoch(&self) -> Epoch {
        self.stamps.epoch()
    }

    /// Returns the stamp that tells a tracked reader the time and the number of the record at `place`.
    pub fn stamp_at(&self, place: Position) -> Stamp {
        Stamp { time_ms: self.time_at(place.offset), next: self.record_id(place.record) }
    }

    /// Returns the position of a record: of this log, or of the earlier one that it belongs to.
    pub fn record_id(&self, record: u64) -> RecordId {
        self.stamps.id_of(record)
    }

    /// Returns the number of the record at a position of this log or of an earlier one; `None` if no such record is
    /// kept. It may have left the tape, or be yet to come.
    pub fn number_of(&self, position: RecordId) -> Option<u64> {
        self.stamps.number_of(position)
    }

    /// Lets an empty tape go on behind earlier logs. `text` holds the last of their records, stamps included, without a
    /// gap. What has no space is left out, and so is text that does not fit its logs.
    pub fn load(&mut self, past: Past, text: &[u8]) {
        debug_assert_eq!(self.end.offset, 0);
        let records = past.end();
        let text = newest_part(text, self.capacity);
        let count = lines_of(text).filter(|line| kind_of(line).is_record()).count() as u64;
        let first = lines_of(text).next().and_then(|line| Stamp::parse(line.trim_ascii_end()));
        let starts_at = first.and_then(|stamp| past.find(stamp.next));
        self.end.record = records;
        if starts_at.is_some_and(|first| first + count == records) {
            self.end.record -= count;
            self.load_lines(text);
        }
        self.stamps.go_on_after(past);
    }

    /// Whether a tape that was [loaded](Tape::load) ends where the newest of its earlier logs does, before the record
    /// `end` of it. Then it may go on in that log.
    pub fn ends_log_at(&self, end: RecordId) -> bool {
        self.end.record == end.record && self.stamps.ends_log_at(end)
    }

    /// Lets a tape go on in the newest of its earlier logs, in place of a new one. It [ends](Tape::ends_log_at) there.
    pub fn go_on_in_log(&mut self, end: RecordId) {
        debug_assert!(self.ends_log_at(end), "a log goes on at its end");
        self.stamps.go_on_in_log(end.epoch);
    }

    fn load_lines(&mut self, text: &[u8]) {
        let mut is_stamped = false;
        for line in lines_of(text) {
            let start = self.end;
            if !is_stamped {
                self.note_checkpoint();
            }
            self.put(line);
            let kind = kind_of(line);
            is_stamped = kind == LineKind::Stamp;
            self.end.line += u64::from(kind.is_said());
            self.end.record += u64::from(kind.is_record());
            if let Some(stamp) = Stamp::parse(line.trim_ascii_end()).filter(|_| is_stamped) {
                self.stamps.on_loaded(stamp, start.offset, self.end.offset);
            }
        }
    }

    /// Returns the place of the record with this number, before its stamp if it has one; `None` if it has left the
    /// tape. Cost: a scan between two checkpoints.
    pub fn find_record(&self, record: u64) -> Option<Position> {
        if record == self.end.record {
            return Some(self.end);
        }
        let behind = self.checkpoints.partition_point(|checkpoint| checkpoint.record <= record);
        let mut at = *self.checkpoints.get(behind.checked_sub(1)?)?;
        while at.record < record && at.offset < self.end.offset {
            at = self.after_line(at);
        }
        (at.record == record && at.offset < self.end.offset).then_some(at)
    }

    /// Returns the stamps of this tape.
    pub(super) fn stamps(&self) -> &Stamps {
        &self.stamps
    }

    /// Returns the end: the place after the last line.
    pub fn end(&self) -> Position {
        self.end
    }

    /// Returns the most bytes that it holds.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns the offset of the oldest byte that is left. It may stand within a line.
    pub fn tail(&self) -> u64 {
        self.end.offset.saturating_sub(self.capacity as u64)
    }

    /// Appends a said line, given in parts without LF. Cost: one copy of it, whatever the audience.
    pub fn say(&mut self, parts: &[&str]) -> Span {
        debug_assert!(!parts.concat().starts_with('*'), "a said line begins with a name");
        let start = self.begin_line();
        parts.iter().for_each(|part| self.put(part.as_bytes()));
        self.end.line += 1;
        self.end_line(start)
    }

    /// Appends a notice, given without its prefix `* ` and its LF.
    pub fn announce(&mut self, notice: impl fmt::Display) -> Span {
        let start = self.begin_line();
        // Writing to the tape does not fail.
        let _ = write!(Writer(self), "{}{notice}", notice::PREFIX);
        self.end_line(start)
    }

    /// Appends an aside, given without its prefix `** ` and its LF. No stamp stands before it.
    pub fn aside(&mut self, notice: impl fmt::Display) -> Span {
        let start = self.end;
        self.note_checkpoint();
        // Writing to the tape does not fail.
        let _ = writeln!(Writer(self), "{}{notice}", notice::PRIVATE_PREFIX);
        self.forget_overwritten(start)
    }

    /// Returns the bytes between two offsets on the tape. The second slice is empty unless the ring wraps between them.
    pub fn slices(&self, from: u64, to: u64) -> [&[u8]; 2] {
        if from == to {
            // A leaving reader that has everything may stand before the tail.
            return [&[], &[]];
        }
        debug_assert!(self.tail() <= from && from <= to && to <= self.end.offset);
        let (start, len) = (self.index(from), self.length(from, to));
        let first = len.min(self.capacity - start);
        [&self.ring[start..start + first], &self.ring[..len - first]]
    }

    /// Whether a stamp begins at `offset`.
    pub fn is_stamp(&self, offset: u64) -> bool {
        offset < self.end.offset && self.byte(offset) == STAMP_BYTE
    }

    /// Returns the end of the line that holds the byte at `offset`. Cost: a scan of that line.
    pub fn line_end(&self, offset: u64) -> u64 {
        let mut passed = offset;
        for slice in self.slices(offset, self.end.offset) {
            if let Some(newline) = memchr::memchr(b'\n', slice) {
                return passed + newline as u64 + 1;
            }
            passed += slice.len() as u64;
        }
        passed
    }

    /// Returns the end of the last line that ends after `from` and at or before `to`.
    pub fn last_line_end(&self, from: u64, to: u64) -> Option<u64> {
        let [first, second] = self.slices(from, to);
        let in_second = memchr::memrchr(b'\n', second).map(|newline| first.len() + newline);
        let newline = in_second.or_else(|| memchr::memrchr(b'\n', first))?;
        Some(from + newline as u64 + 1)
    }

    /// Whether `offset` stands between two lines. Reads the byte before it, which must be on the tape.
    pub fn is_between_lines(&self, offset: u64) -> bool {
        offset == 0 || self.byte(offset - 1) == b'\n'
    }

    /// Returns the place at `offset`, which must stand between two lines. Cost: a scan up to the next checkpoint.
    pub fn position(&self, offset: u64) -> Position {
        let next = self.checkpoints.partition_point(|checkpoint| checkpoint.offset < offset);
        let ceiling = self.checkpoints.get(next).copied().unwrap_or(self.end);
        let (mut line, mut record) = (ceiling.line, ceiling.record);
        let mut at = offset;
        while at < ceiling.offset {
            let kind = self.kind(at);
            line -= u64::from(kind.is_said());
            record -= u64::from(kind.is_record());
            at = self.line_end(at);
        }
        Position { offset, line, record }
    }

    /// Returns the oldest checkpoint, where an overtaken reader goes on.
    pub fn resume(&self) -> Position {
        self.checkpoints.front().copied().unwrap_or(self.end)
    }

    /// Returns the first checkpoint at or behind `offset`; the end if there is none.
    pub fn first_from(&self, offset: u64) -> Position {
        let first = self.checkpoints.partition_point(|checkpoint| checkpoint.offset < offset);
        self.checkpoints.get(first).copied().unwrap_or(self.end)
    }

    /// Returns the place `lines` said lines before the end, or as many as the newer half of the tape holds. A said line
    /// follows it, unless it is the end.
    ///
    /// A reader that began at the tail would be overtaken by the next line. Cost: a scan between two checkpoints.
    pub fn back(&self, lines: u64) -> Position {
        if lines == 0 {
            return self.end;
        }
        let first = self.end.line.saturating_sub(lines);
        let middle = self.end.offset.saturating_sub(self.capacity as u64 / 2);
        let at_most_first = self.checkpoints.partition_point(|checkpoint| checkpoint.line <= first);
        let newer_half = self.checkpoints.partition_point(|checkpoint| checkpoint.offset < middle);
        let start = newer_half.max(at_most_first.saturating_sub(1));
        let mut at = self.checkpoints.get(start).copied().unwrap_or(self.end);
        while at.offset < self.end.offset && (at.line < first || !self.kind(at.offset).is_said()) {
            at = self.after_line(at);
        }
        at
    }

    /// Returns the said lines from a place on, without their LF, each with its offset.
    pub fn said_from(&self, mut at: Position) -> impl Iterator<Item = (u64, Cow<'_, [u8]>)> {
        std::iter::from_fn(move || {
            while at.offset < self.end.offset {
                let before = at;
                at = self.after_line(before);
                if at.line > before.line {
                    let line = match self.slices(before.offset, at.offset - 1) {
                        [line, []] => Cow::Borrowed(line),
                        slices => Cow::Owned(slices.concat()),
                    };
                    return Some((before.offset, line));
                }
            }
            None
        })
    }

    /// Returns the time of the record at or behind `offset`, in ms since 1970.
    pub fn time_at(&self, offset: u64) -> u64 {
        self.stamps.time_at(offset, self.end.offset)
    }

    /// Returns the end of the line that begins at this place.
    fn after_line(&self, at: Position) -> Position {
        let kind = self.kind(at.offset);
        Position {
            offset: self.line_end(at.offset),
            line: at.line + u64::from(kind.is_said()),
            record: at.record + u64::from(kind.is_record()),
        }
    }

    fn begin_line(&mut self) -> Position {
        let start = self.end;
        self.note_checkpoint();
        if self.stamps.is_due() {
            self.put_stamp();
        }
        start
    }

    fn note_checkpoint(&mut self) {
        if self.checkpoints.back().is_none_or(|last| self.end.offset - last.offset >= self.checkpoint_bytes) {
            self.checkpoints.push_back(self.end);
        }
    }

    #[cold]
    fn put_stamp(&mut self) {
        let start = self.end.offset;
        let stamp = self.stamps.next(self.end.record);
        // Writing to the tape does not fail.
        let _ = writeln!(Writer(self), "{stamp}");
        self.stamps.on_placed(start, self.end);
    }

    fn end_line(&mut self, start: Position) -> Span {
        self.put(b"\n");
        self.end.record += 1;
        self.forget_overwritten(start)
    }

    /// Forgets the places of what has left the tape since `start`, and returns the span from there.
    fn forget_overwritten(&mut self, start: Position) -> Span {
        let tail = self.tail();
        while self.checkpoints.front().is_some_and(|checkpoint| checkpoint.offset < tail) {
            self.checkpoints.pop_front();
            self.stamps.forget_before(tail);
        }
        debug_assert!(self.end.offset - start.offset <= self.capacity as u64, "a line fits on the tape");
        Span { start, end: self.end }
    }

    fn put(&mut self, bytes: &[u8]) {
        let at = self.index(self.end.offset);
        let (first, second) = bytes.split_at(bytes.len().min(self.capacity - at));
        self.write_at(at, first);
        self.write_at(0, second);
        self.end.offset += bytes.len() as u64;
    }

    fn write_at(&mut self, at: usize, bytes: &[u8]) {
        if at == self.ring.len() {
            if self.ring.capacity() - at < bytes.len() {
                self.grow(at + bytes.len());
            }
            self.ring.extend_from_slice(bytes);
        } else {
            self.ring[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// Reserves memory for `len` bytes, and for as many more, up to the capacity.
    #[cold]
    fn grow(&mut self, len: usize) {
        let bytes = (2 * len).max(GROWN_BYTES_MIN).min(self.capacity);
        self.ring.reserve_exact(bytes - self.ring.len());
    }

    fn kind(&self, offset: u64) -> LineKind {
        LineKind::of(self.byte(offset), || self.byte(offset + 1))
    }

    fn byte(&self, offset: u64) -> u8 {
        self.ring[self.index(offset)]
    }

    #[expect(clippy::cast_possible_truncation, reason = "less than the capacity, which is a usize")]
    fn index(&self, offset: u64) -> usize {
        (offset % self.capacity as u64) as usize
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most the capacity, which is a usize")]
    fn length(&self, from: u64, to: u64) -> usize {
        (to - from) as usize
    }
}

/// Returns the kind of a line by its beginning.
fn kind_of(line: &[u8]) -> LineKind {
    let byte = |at: usize| line.get(at).copied().unwrap_or(b'\n');
    LineKind::of(byte(0), || byte(1))
}

/// Returns the lines of a text, each with its LF.
fn lines_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n')
}

/// Returns the newest part of a text, of at most `bytes` bytes: from a stamp to the last record. A line that no room
/// could have said is not in it: a disk may change bits.
fn newest_part(text: &[u8], bytes: usize) -> &[u8] {
    let mut from = None;
    let (mut at, mut end) = (0, 0);
    for line in lines_of(text) {
        let kind = kind_of(line);
        if !is_clean(line) || text.len() - at > bytes {
            from = None;
        } else if kind == LineKind::Stamp {
            from.get_or_insert(at);
        }
        at += line.len();
        if kind.is_record() {
            end = at;
        }
    }
    from.filter(|&from| from < end).map_or(&[], |from| &text[from..end])
}

/// Whether a line is whole, and is text that the server would send.
fn is_clean(line: &[u8]) -> bool {
    let text = line.strip_suffix(b"\n").and_then(|line| str::from_utf8(line).ok());
    text.is_some_and(|text| !text.is_empty() && !text.chars().any(char::is_control))
}

/// The end of a tape, as a target of `write!`.
struct Writer<'a>(&'a mut Tape);

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.put(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::past::Run;

    fn text(tape: &Tape, from: u64, to: u64) -> String {
        String::from_utf8(tape.slices(from, to).concat()).unwrap()
    }

    #[test]
    fn the_end_of_all_that_was_appended_is_kept_wherever_the_ring_wraps() {
        for capacity in 12..60 {
            let mut tape = Tape::new(capacity).unwrap();
            let mut all = String::new();
            for number in 0..40_u64 {
                if number % 3 == 0 {
                    tape.announce(format_args!("no {number}"));
                    all += &format!("* no {number}\n");
                } else {
                    tape.say(&["ana> ", &number.to_string()]);
                    all += &format!("ana> {number}\n");
                }
                let end = all.len() as u64;
                assert_eq!((tape.end().offset, tape.tail()), (end, end.saturating_sub(capacity as u64)));
                for from in tape.tail()..=end {
                    assert_eq!(text(&tape, from, end), all[usize::try_from(from).unwrap()..]);
                }
            }
        }
    }

    #[test]
    fn each_line_has_a_place_and_notices_count_for_nothing() {
        let mut tape = Tape::new(10_000).unwrap();
        let mut spans = Vec::new();
        for number in 0..300 {
            let is_said = number % 3 > 0;
            spans.push(if is_said { tape.say(&["ana> hello"]) } else { tape.announce("ana joined") });
            let span = spans[number];
            assert_eq!((span.lines(), span.bytes()), (u64::from(is_said), if is_said { 11 } else { 13 }));
        }
        for span in spans {
            assert_eq!(tape.position(span.start.offset), span.start);
            for at in span.start.offset..span.end.offset {
                assert_eq!(tape.line_end(at), span.end.offset);
                assert_eq!(tape.is_between_lines(at), at == span.start.offset);
                assert_eq!(tape.last_line_end(span.start.offset, at), None);
            }
            assert_eq!(tape.last_line_end(span.start.offset, span.end.offset), Some(span.end.offset));
        }
    }

    #[test]
    fn going_back_counts_said_lines_and_stops_at_half_of_the_tape() {
        let mut tape = Tape::new(1_000).unwrap();
        assert_eq!(tape.back(5), tape.end());
        let first = tape.say(&["ana> one"]);
        tape.announce("bob joined");
        let second = tape.say(&["ana> two"]);
        tape.announce("bob left");
        assert_eq!(tape.back(0), tape.end());
        assert_eq!((tape.back(1), tape.back(2), tape.back(9)), (second.start, first.start, first.start));
        for _ in 0..100 {
            tape.say(&["ana> and so on"]);
        }
        let place = tape.back(1_000);
        assert!((400..=500).contains(&(tape.end().offset - place.offset)), "{place:?}");
        assert!(tape.is_between_lines(place.offset));
    }

    #[test]
    fn an_overtaken_reader_goes_on_at_a_line_near_the_tail() {
        let mut tape = Tape::new(1_000).unwrap();
        for _ in 0..200 {
            tape.say(&["ana> 0123456789"]);
            let lost = tape.resume().offset - tape.tail();
            assert!(tape.is_between_lines(tape.resume().offset) && lost < 1_000 / 16 + 16, "{lost} bytes are lost");
        }
    }

    /// A kept log of records 40 to 49, and one of 50 to 54, whose last lines are left.
    fn past() -> Past {
        let run = |epoch, first, records| Run { epoch: Epoch::new(epoch), first, records };
        Past::new(vec![run(1, 40, 10), run(2, 50, 5)])
    }

    fn stamp(epoch: u64, record: u64, time_ms: u64) -> String {
        format!("{}\n", Stamp { time_ms, next: RecordId { epoch: Epoch::new(epoch), record } })
    }

    fn kept_text() -> String {
        let (first, second) = (stamp(1, 48, 7_000), stamp(2, 50, 9_000));
        format!("{first}* ana joined\nana> one\n{second}ana> two\nbob> three\n* bob left\nana> four\nana> five\n")
    }

    #[test]
    fn a_loaded_tape_goes_on_behind_its_logs() {
        let mut tape = Tape::new(1_000).unwrap().with_epoch(Epoch::new(3));
        tape.load(past(), kept_text().as_bytes());
        assert_eq!((tape.end().record, tape.end().line), (55, 5));
        let id = |epoch, record| RecordId { epoch: Epoch::new(epoch), record };
        assert_eq!((tape.record_id(48), tape.record_id(54)), (id(1, 48), id(2, 54)));
        assert_eq!((tape.record_id(55), tape.number_of(id(3, 55))), (id(3, 55), Some(55)));
        assert_eq!(
            (tape.number_of(id(2, 50)), tape.number_of(id(2, 99)), tape.number_of(id(3, 54))),
            (Some(50), Some(55), None)
        );
        let place = tape.find_record(50).unwrap();
        assert_eq!(tape.stamp_at(place), Stamp { time_ms: 9_000, next: id(2, 50) });
        assert_eq!(tape.position(place.offset), place);
        assert!(tape.find_record(47).is_none() && tape.find_record(48).is_some());
        // In the second of the last stamp, which is of another log.
        tape.set_time(9_500);
        let span = tape.say(&["cia> six"]);
        let text = text(&tape, span.start.offset, span.end.offset);
        assert_eq!(text, stamp(3, 55, 9_500) + "cia> six\n");
        assert_eq!((tape.back(2).record, tape.back(9).record), (54, 49), "history is of all logs");
    }

    #[test]
    fn a_loaded_tape_may_go_on_in_its_newest_log_and_nowhere_else() {
        let id = |epoch, record| RecordId { epoch: Epoch::new(epoch), record };
        let mut tape = Tape::new(1_000).unwrap().with_epoch(Epoch::new(3));
        assert!(!tape.ends_log_at(id(3, 0)), "nothing was loaded");
        tape.load(past(), kept_text().as_bytes());
        for other in [id(2, 54), id(2, 56), id(1, 50), id(3, 55)] {
            assert!(!tape.ends_log_at(other), "{other}");
        }
        assert!(tape.ends_log_at(id(2, 55)));
        tape.go_on_in_log(id(2, 55));
        assert_eq!((tape.record_id(54), tape.record_id(55)), (id(2, 54), id(2, 55)));
        tape.set_time(9_500);
        let span = tape.say(&["cia> six"]);
        assert_eq!(text(&tape, span.start.offset, span.end.offset), stamp(2, 55, 9_500) + "cia> six\n");
        let numbers = [id(2, 50), id(2, 55), id(2, 99), id(1, 49), id(3, 55)].map(|id| tape.number_of(id));
        assert_eq!(numbers, [Some(50), Some(55), Some(99), Some(49), None]);
    }

    #[test]
    fn only_whole_and_clean_text_that_fits_its_logs_and_the_tape_is_loaded() {
        let load = |capacity, text: &str| {
            let mut tape = Tape::new(capacity).unwrap().with_epoch(Epoch::new(3));
            tape.load(past(), text.as_bytes());
            assert_eq!(
                (tape.end().record, tape.number_of(RecordId { epoch: Epoch::new(2), record: 52 })),
                (55, Some(52))
            );
            tape.end().line
        };
        let text = kept_text();
        assert_eq!(load(1_000, &text), 5);
        assert_eq!(load(text.len() - 1, &text), 4, "from the second stamp on");
        assert_eq!(load(1_000, &text.replace("one", "\u{1b}[2J")), 4);
        assert_eq!(load(1_000, &text.replace("five", "\u{7f}")), 0);
        assert_eq!(load(1_000, &text.replace("ana> two\n", "")), 0, "a record is missing");
        assert_eq!(load(1_000, &(text + &stamp(2, 55, 10_000))), 5, "no stamp is the last line");
        assert_eq!((load(60, ""), load(1_000, "no stamp\n")), (0, 0));
    }
}
