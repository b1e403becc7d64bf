//! One reader's place on the tape, and what it is not to be given: its own lines, and those that it fell too far
//! behind for.

use std::collections::VecDeque;
use std::io::IoSlice;

use super::tape::{Position, Span, Tape};

/// How many own stretches a reader may have ahead of it. Who has more talks without ever reading: 32 KiB of memory.
pub const HOLES_MAX: usize = 1_024;

/// A place on the tape.
///
/// Between two calls to [`advance`](Cursor::advance) and [`land`](Cursor::align_to_line) the cursor stands between two lines,
/// and never at the start of a hole. A reader that is not behind costs 24 bytes.
#[derive(Debug)]
pub struct Cursor {
    cursor: Position,
    trail: Option<Box<Trail>>,
}

/// What only a reader has that is behind.
#[derive(Debug, Default)]
struct Trail {
    /// Own stretches that the cursor has not passed yet: apart, in order, all at or after the cursor.
    holes: VecDeque<Span>,
    /// Lines of others that it passed unseen and was not told about yet.
    missed: u64,
    /// Whether it was overtaken, and has not caught up with the end since.
    is_lagging: bool,
}

/// Whether a reader has fallen so far behind that it passed lines unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Pace {
    /// It has not.
    Keeping,
    /// It just did: its cursor was moved, and the lines are counted as missed.
    Overtaken,
}

impl Cursor {
    /// A reader at `place`.
    pub fn at(place: Position) -> Cursor {
        Cursor { cursor: place, trail: None }
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        self.cursor
    }

    /// Whether it is where it is with nothing behind it or before it: no lines of its own to pass, none missed.
    pub fn is_plain(&self) -> bool {
        self.trail.is_none()
    }

    /// Moves a plain reader on to `place`, where all before it was written.
    pub fn set_position(&mut self, place: Position) {
        debug_assert!(self.is_plain() && self.cursor.offset <= place.offset);
        self.cursor = place;
    }

    /// Whether it was overtaken and has not caught up since.
    pub fn is_lagging(&self) -> bool {
        self.trail.as_ref().is_some_and(|trail| trail.is_lagging)
    }

    /// Whether it missed lines and is not told of them yet.
    pub fn has_missed(&self) -> bool {
        self.missed() > 0
    }

    /// How many lines it missed and is not told of yet.
    pub fn missed(&self) -> u64 {
        self.trail.as_ref().map_or(0, |trail| trail.missed)
    }

    /// How many own stretches it has ahead of it: at [`HOLES_MAX`], one more costs it lines.
    pub fn holes_ahead(&self) -> usize {
        self.trail.as_ref().map_or(0, |trail| trail.holes.len())
    }

    /// How many lines it missed and is not told of yet; they count as told now.
    pub fn take_missed(&mut self) -> u64 {
        self.trail.as_mut().map_or(0, |trail| std::mem::take(&mut trail.missed))
    }

    /// Passes everything up to `stop` unseen: it will not be given any of it.
    pub fn skip_missed(&mut self, stop: Position) {
        if self.cursor.offset < stop.offset {
            self.skip_to(stop);
        }
    }

    /// Keeps the reader from being given `span`, which it just put at the end of the tape itself.
    pub fn skip_own(&mut self, span: Span) -> Pace {
        if self.cursor.offset == span.start.offset {
            self.cursor = span.end;
            return Pace::Keeping;
        }
        let holes = &mut self.trail.get_or_insert_default().holes;
        if let Some(last) = holes.back_mut().filter(|last| last.end.offset == span.start.offset) {
            last.end = span.end;
            return Pace::Keeping;
        }
        if holes.len() < HOLES_MAX {
            holes.push_back(span);
            return Pace::Keeping;
        }
        // Half of the list at a time: it loses little, and is not moved at every further line.
        let place = holes[HOLES_MAX / 2].end;
        self.skip_to(place);
        self.trail.get_or_insert_default().holes.push_back(span);
        Pace::Overtaken
    }

    /// Moves the reader on if the tail has overtaken it, but not beyond `stop`.
    pub fn catch_up(&mut self, tape: &Tape, stop: Position) -> Pace {
        if self.cursor.offset >= tape.tail() || self.cursor.offset >= stop.offset {
            return Pace::Keeping;
        }
        let resume = tape.resume();
        self.skip_to(if resume.offset < stop.offset { resume } else { stop });
        Pace::Overtaken
    }

    /// Passes everything up to `stop` unseen, and untold: nothing of it is owed any more.
    pub fn discard(&mut self, stop: Position) {
        self.skip_missed(stop);
        self.take_missed();
    }

    /// What is to be written up to `stop`, if it is one slice, as it mostly is.
    pub fn pending_in_one<'a>(&self, tape: &'a Tape, stop: u64) -> Option<&'a [u8]> {
        let [slice, beyond] = tape.slices(self.cursor.offset, stop.max(self.cursor.offset));
        (beyond.is_empty() && self.holes().next().is_none()).then_some(slice)
    }

    /// Adds what is to be written up to `stop` to `slices`, as far as these have room: whole lines.
    pub fn pending<'a>(&self, tape: &'a Tape, stop: u64, slices: &mut Slices<'a>) {
        let mut from = self.cursor.offset;
        for hole in self.holes() {
            if !slices.has_room_for_two() {
                return;
            }
            slices.push_all(tape.slices(from, hole.start.offset.min(stop).max(from)));
            from = hole.end.offset;
        }
        if slices.has_room_for_two() {
            slices.push_all(tape.slices(from.min(stop), stop));
        }
    }

    /// Moves the cursor past `bytes` that were written, and past the holes among and after them. It may then stand in
    /// the middle of a line, until it has [landed](Cursor::align_to_line).
    pub fn advance(&mut self, mut bytes: u64) {
        while let Some(hole) = self.trail.as_mut().and_then(|trail| trail.holes.front()) {
            let gap = hole.start.offset - self.cursor.offset;
            if bytes < gap {
                break;
            }
            bytes -= gap;
            self.cursor = hole.end;
            self.pop_hole();
        }
        self.cursor.offset += bytes;
    }

    /// Ends a run of writes: where it stopped in the middle of a line, the rest of that one line is copied to `rest`
    /// and the cursor moves on to the next, so that it stands between two lines again.
    pub fn align_to_line(&mut self, tape: &Tape, rest: &mut Vec<u8>) {
        let at = self.cursor.offset;
        if at == tape.end().offset {
            self.cursor = tape.end();
        } else if tape.is_between_lines(at) {
            self.cursor = tape.position(at);
        } else {
            let line_end = tape.line_end(at);
            tape.slices(at, line_end).iter().for_each(|slice| rest.extend_from_slice(slice));
            self.cursor = tape.position(line_end);
            // The next line may be its own.
            self.advance(0);
        }
        self.tidy(tape);
    }

    /// Sees whether the reader has caught up, and gives the memory back that only one behind needs.
    pub fn tidy(&mut self, tape: &Tape) {
        if let Some(trail) = &mut self.trail {
            trail.is_lagging &= self.cursor.offset < tape.end().offset;
            if trail.holes.is_empty() && trail.missed == 0 && !trail.is_lagging {
                self.trail = None;
            }
        }
    }

    /// Passes everything up to `place` unseen. A hole that reaches beyond it is clipped, never forgotten.
    fn skip_to(&mut self, place: Position) {
        let trail = self.trail.get_or_insert_default();
        trail.is_lagging = true;
        let mut own_lines = 0;
        while let Some(hole) = trail.holes.front_mut().filter(|hole| hole.start.offset < place.offset) {
            if hole.end.offset > place.offset {
                own_lines += place.line - hole.start.line;
                hole.start = place;
                break;
            }
            own_lines += hole.lines();
            trail.holes.pop_front();
        }
        trail.missed += place.line - self.cursor.line - own_lines;
        self.cursor = place;
        // It may stand at the start of a hole now.
        self.advance(0);
    }

    fn holes(&self) -> impl Iterator<Item = &Span> {
        self.trail.iter().flat_map(|trail| &trail.holes)
    }

    fn pop_hole(&mut self) {
        if let Some(trail) = &mut self.trail {
            trail.holes.pop_front();
        }
    }
}

/// What one `writev` is given: at most 64 slices.
pub struct Slices<'a> {
    slices: [IoSlice<'a>; Slices::MAX],
    len: usize,
}

impl<'a> Slices<'a> {
    /// How many slices there may be: a run of gaps longer than this is written in several calls.
    pub const MAX: usize = 64;

    /// No slices.
    pub fn new() -> Slices<'a> {
        Slices { slices: [IoSlice::new(&[]); Slices::MAX], len: 0 }
    }

    /// No slices, behind two that are [put](Slices::fill_reserved) there later.
    pub fn with_two_reserved() -> Slices<'a> {
        Slices { len: 2, ..Slices::new() }
    }

    /// Sets the first two slices.
    pub fn fill_reserved(&mut self, first: &'a [u8], second: &'a [u8]) {
        self.slices[0] = IoSlice::new(first);
        self.slices[1] = IoSlice::new(second);
    }

    /// How many bytes there are in all.
    pub fn bytes(&self) -> usize {
        self.as_slice().iter().map(|slice| slice.len()).sum()
    }

    /// A copy of what comes after so many bytes.
    pub fn after(&self, mut bytes: usize) -> Vec<u8> {
        let mut rest = Vec::new();
        for slice in self.as_slice() {
            let passed = bytes.min(slice.len());
            bytes -= passed;
            rest.extend_from_slice(&slice[passed..]);
        }
        rest
    }

    /// Adds a slice, unless it is empty or there is no room.
    pub fn push(&mut self, slice: &'a [u8]) {
        if !slice.is_empty() && !self.is_full() {
            self.slices[self.len] = IoSlice::new(slice);
            self.len += 1;
        }
    }

    /// The slices.
    pub fn as_slice(&self) -> &[IoSlice<'a>] {
        &self.slices[..self.len]
    }

    /// Whether there is room for a stretch of the tape, even where it turns round.
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
