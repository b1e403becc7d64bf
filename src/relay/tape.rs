//! The tape: the one shared, bounded, append-only log of what a room was told.
//!
//! There is no queue per recipient. To say something is one append, whatever the audience; whoever reads keeps a place
//! on the tape ([`Cursor`](super::cursor::Cursor)). A tape holds whole lines, each ended by LF: said lines, which are
//! counted, and notices, which begin with `*` and are not.

use std::collections::{TryReserveError, VecDeque};
use std::fmt::{self, Write as _};

use super::notice;

/// How far apart checkpoints are at most, in bytes: what a line number costs to find out, against 16 bytes of memory
/// each. On a small tape they are a sixteenth of it apart, so that whoever is overtaken loses little more than it must.
const CHECKPOINT_BYTES_MAX: usize = 4 * 1024;

/// A place between two lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Bytes of tape before it, since the beginning.
    pub offset: u64,
    /// Said lines before it, since the beginning; notices are not counted.
    pub line: u64,
}

/// The stretch of tape from one place to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub start: Position,
    /// Where it ends.
    pub end: Position,
}

impl Span {
    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.end.offset - self.start.offset
    }

    /// How many said lines it holds.
    pub fn lines(&self) -> u64 {
        self.end.line - self.start.line
    }
}

/// The shared log of outgoing bytes.
///
/// Invariants: the tape holds the bytes from [`tail`](Tape::tail) to [`end`](Tape::end), never more than its capacity;
/// `checkpoints` are places between two lines, none before the tail, in order.
#[derive(Debug)]
pub struct Tape {
    /// A ring: the byte at offset `o` lies at `o % capacity`. It grows up to the capacity before it turns round.
    ring: Vec<u8>,
    capacity: usize,
    end: Position,
    checkpoints: VecDeque<Position>,
    checkpoint_bytes: u64,
}

impl Tape {
    /// An empty tape that will hold at most `capacity` bytes. Its memory is touched only as it fills.
    ///
    /// # Errors
    /// When the address space for it is not to be had.
    pub fn new(capacity: usize) -> Result<Tape, TryReserveError> {
        let mut ring = Vec::new();
        ring.try_reserve_exact(capacity)?;
        let checkpoint_bytes = (capacity / 16).clamp(1, CHECKPOINT_BYTES_MAX) as u64;
        Ok(Tape { ring, capacity, end: Position::default(), checkpoints: VecDeque::new(), checkpoint_bytes })
    }

    /// The place after the last line.
    pub fn end(&self) -> Position {
        self.end
    }

    /// The offset of the oldest byte that is still there; it may stand in the middle of a line.
    pub fn tail(&self) -> u64 {
        self.end.offset.saturating_sub(self.capacity as u64)
    }

    /// Appends a said line, given in parts, without its LF.
    pub fn say(&mut self, parts: &[&str]) -> Span {
        debug_assert!(!parts.concat().starts_with('*'), "a said line begins with a name");
        let start = self.begin_line();
        parts.iter().for_each(|part| self.put(part.as_bytes()));
        self.end_line(start, 1)
    }

    /// Appends a notice, given without its prefix `* ` and its LF.
    pub fn announce(&mut self, notice: impl fmt::Display) -> Span {
        let start = self.begin_line();
        // Writing to the tape does not fail.
        let _ = write!(Writer(self), "{}{notice}", notice::PREFIX);
        self.end_line(start, 0)
    }

    /// The bytes between two offsets, both on the tape: two slices, because the ring turns round.
    pub fn slices(&self, from: u64, to: u64) -> [&[u8]; 2] {
        if from == to {
            // Nothing is owed to one who leaves and has it all, though the tail may have passed its place.
            return [&[], &[]];
        }
        debug_assert!(self.tail() <= from && from <= to && to <= self.end.offset);
        let (start, len) = (self.index(from), self.length(from, to));
        let first = len.min(self.capacity - start);
        [&self.ring[start..start + first], &self.ring[..len - first]]
    }

    /// The end of the line that the byte at `offset` belongs to.
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

    /// The end of the last line that ends after `from` and not after `to`, if one does.
    pub fn last_line_end(&self, from: u64, to: u64) -> Option<u64> {
        let [first, second] = self.slices(from, to);
        let in_second = memchr::memrchr(b'\n', second).map(|newline| first.len() + newline);
        let newline = in_second.or_else(|| memchr::memrchr(b'\n', first))?;
        Some(from + newline as u64 + 1)
    }

    /// Whether `offset` stands between two lines. Costs one look at the byte before it, which must be on the tape.
    pub fn is_between_lines(&self, offset: u64) -> bool {
        offset == 0 || self.byte(offset - 1) == b'\n'
    }

    /// The place at `offset`, which stands between two lines. Costs a look at the lines up to the next checkpoint.
    pub fn position(&self, offset: u64) -> Position {
        let next = self.checkpoints.partition_point(|checkpoint| checkpoint.offset < offset);
        let ceiling = self.checkpoints.get(next).copied().unwrap_or(self.end);
        let mut line = ceiling.line;
        let mut at = offset;
        while at < ceiling.offset {
            line -= u64::from(!self.is_notice(at));
            at = self.line_end(at);
        }
        Position { offset, line }
    }

    /// Where one goes on whom the tail has overtaken: the first checkpoint that is still there.
    pub fn resume(&self) -> Position {
        self.checkpoints.front().copied().unwrap_or(self.end)
    }

    /// The place `lines` said lines before the end, or as many as the newer half of the tape holds (who begins at the
    /// tail itself is overtaken by the next line); no notice stands right after it.
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
        while at.offset < self.end.offset && (at.line < first || self.is_notice(at.offset)) {
            at.line += u64::from(!self.is_notice(at.offset));
            at.offset = self.line_end(at.offset);
        }
        at
    }

    fn begin_line(&mut self) -> Position {
        let start = self.end;
        if self.checkpoints.back().is_none_or(|last| start.offset - last.offset >= self.checkpoint_bytes) {
            self.checkpoints.push_back(start);
        }
        start
    }

    fn end_line(&mut self, start: Position, lines: u64) -> Span {
        self.put(b"\n");
        self.end.line += lines;
        let tail = self.tail();
        while self.checkpoints.front().is_some_and(|checkpoint| checkpoint.offset < tail) {
            self.checkpoints.pop_front();
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
            self.ring.extend_from_slice(bytes);
        } else {
            self.ring[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }

    fn is_notice(&self, offset: u64) -> bool {
        self.byte(offset) == b'*'
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

/// The end of a tape, as what text can be formatted into.
struct Writer<'a>(&'a mut Tape);

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.put(text.as_bytes());
        Ok(())
    }
}
