//! How one client is given what it is owed: in as few writes as may be, whole lines wherever a write stops, and the end of
//! its output when it leaves.

use std::io;
use std::time::Instant;

use super::{Connection, NextStep, Output, Phase, ReadState, Socket};
use crate::relay::cursor::Slices;
use crate::relay::notice;
use crate::relay::tape::Tape;
use crate::server::limits::{GRACE, REQUEST_TIME};

/// What one write wrote.
struct Written {
    bytes: usize,
    /// How much of it was of the tape and has not landed.
    tape_bytes: usize,
}

impl<S: Socket> Connection<S> {
    /// Writes what it is owed, if it takes output, and finds out what it needs next. No further write is begun when its
    /// `share` of bytes was written. What was written is added to `sent_bytes`.
    pub fn settle(&mut self, tape: &Tape, share: usize, now: Instant, sent_bytes: &mut u64) -> NextStep {
        if self.output == Output::Writable && self.is_plain() && self.flush_plain(tape, sent_bytes) {
            return NextStep::Nothing;
        }
        if self.output == Output::Writable && self.flush_plain_browser(tape, sent_bytes) {
            return NextStep::Nothing;
        }
        if self.phase == Phase::Gone {
            // Not even that it has left, which is said by now.
            return NextStep::Nothing;
        }
        if self.output == Output::Writable {
            *sent_bytes += self.flush(tape, share, now) as u64;
        }
        self.reader.tidy(tape);
        self.tidy(now);
        match (self.phase, self.output) {
            (Phase::Present(_) | Phase::Visiting, Output::Writable) if self.is_owed(tape) => NextStep::Flush,
            (Phase::Leaving | Phase::Parting, Output::Writable) => NextStep::Flush,
            (Phase::Visiting | Phase::Leaving | Phase::Parting | Phase::Lingering, Output::Broken) => NextStep::Removal,
            (Phase::Lingering, _) if self.input == ReadState::Ended => NextStep::Removal,
            _ => NextStep::Nothing,
        }
    }

    fn is_owed(&self, tape: &Tape) -> bool {
        self.private_bytes() > 0 || self.reader.has_missed() || self.reader.cursor().offset < self.stop(tape).offset
    }

    /// Whether it is one of the many: present, and given nothing but what all are given.
    fn is_plain(&self) -> bool {
        self.busy.is_none() && self.reader.is_plain() && matches!(self.phase, Phase::Present(_))
    }

    /// Writes what a plain connection is owed, at once. True if it took all; else there is more to be seen to.
    ///
    /// This is [`flush`](Connection::flush) in the case that decides what a delivery costs. The kernel has emptied the
    /// processor's caches of our code by the time it returns, so what counts is how little of it there is.
    fn flush_plain(&mut self, tape: &Tape, sent_bytes: &mut u64) -> bool {
        let Some(slice) = self.reader.owed_in_one(tape, tape.end().offset) else { return false };
        if slice.is_empty() {
            return true;
        }
        match self.stream.write(slice) {
            Ok(bytes) if bytes == slice.len() => {
                *sent_bytes += bytes as u64;
                self.reader.reach(tape.end());
                true
            }
            Ok(bytes) => {
                *sent_bytes += bytes as u64;
                self.advance(bytes);
                self.land(tape);
                false
            }
            Err(error) => {
                self.on_write_error(&error);
                false
            }
        }
    }

    /// Writes private lines first, then the tape, then the farewell; until there is nothing more, the socket takes no
    /// more, or it is the turn of others. Returns how many bytes it wrote.
    fn flush(&mut self, tape: &Tape, share: usize, now: Instant) -> usize {
        let mut written = 0;
        let mut tape_written = 0;
        while written < share {
            match self.write_once(tape) {
                Ok(None) => match self.phase {
                    Phase::Leaving => {
                        self.bid_farewell();
                        self.phase = Phase::Parting;
                    }
                    Phase::Parting => {
                        self.end_output(now);
                        break;
                    }
                    Phase::Present(_) | Phase::Visiting | Phase::Lingering | Phase::Gone => break,
                },
                Ok(Some(Written { bytes: 0, .. })) => {
                    self.break_output();
                    break;
                }
                Ok(Some(once)) => {
                    written += once.bytes;
                    tape_written += once.tape_bytes;
                }
                Err(error) => {
                    self.on_write_error(&error);
                    if self.output != Output::Writable {
                        break;
                    }
                }
            }
        }
        if tape_written > 0 {
            self.land(tape);
        }
        if written > 0 {
            self.extend_grace(now);
        }
        written
    }

    /// Writes once, and moves on; `None` if it is owed nothing.
    fn write_once(&mut self, tape: &Tape) -> io::Result<Option<Written>> {
        // One who missed lines is told so before it gets others, and once: while earlier private lines are not taken,
        // the lines are only counted.
        if self.reader.has_missed() && self.private_bytes() == 0 {
            let missed = self.reader.take_missed();
            self.tell(&notice::missed(missed));
        }
        if self.is_browser() {
            // What a frame takes of the tape lands at once.
            return Ok(self.write_frame(tape)?.map(|bytes| Written { bytes, tape_bytes: 0 }));
        }
        let Some(bytes) = self.write_lines(tape)? else { return Ok(None) };
        Ok(Some(Written { bytes, tape_bytes: self.advance(bytes) }))
    }

    /// Writes what it was told in private, and what it is owed of the tape, at once; `None` if it is owed nothing.
    fn write_lines(&mut self, tape: &Tape) -> io::Result<Option<usize>> {
        let stop = self.stop(tape).offset;
        let private = self.busy.as_ref().map_or(&[][..], |busy| &busy.private[busy.private_sent..]);
        if private.is_empty()
            && let Some(slice) = self.reader.owed_in_one(tape, stop)
        {
            return if slice.is_empty() { Ok(None) } else { self.stream.write(slice).map(Some) };
        }
        let mut slices = Slices::new();
        slices.push(private);
        if !self.reader.has_missed() {
            self.reader.owed(tape, stop, &mut slices);
        }
        if slices.as_slice().is_empty() {
            return Ok(None);
        }
        self.stream.write_vectored(slices.as_slice()).map(Some)
    }

    /// Moves on past what was written; tells how much of it was of the tape.
    pub(super) fn advance(&mut self, bytes: usize) -> usize {
        let of_private = bytes.min(self.private_bytes());
        if let Some(busy) = &mut self.busy {
            busy.private_sent += of_private;
            if busy.private_sent == busy.private.len() {
                busy.private = Vec::new();
                busy.private_sent = 0;
            }
        }
        self.reader.advance((bytes - of_private) as u64);
        bytes - of_private
    }

    /// Brings the reader to the end of a line. Private lines are all written when something of the tape was, so that
    /// the rest of a torn line comes first among them.
    fn land(&mut self, tape: &Tape) {
        debug_assert!(self.private_bytes() == 0 || self.phase == Phase::Parting);
        let mut rest = Vec::new();
        self.reader.land(tape, &mut rest);
        if !rest.is_empty() && self.output != Output::Broken {
            self.busy.get_or_insert_default().private = rest;
        }
    }

    /// Takes note of what a write said that wrote nothing. The kernel may say it only once.
    pub(super) fn on_write_error(&mut self, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => self.output = Output::Blocked,
            _ => self.break_output(),
        }
    }

    fn end_output(&mut self, now: Instant) {
        match self.stream.shutdown_write() {
            Ok(()) => {
                self.output = Output::Shut;
                self.phase = Phase::Lingering;
                self.extend_grace(now);
            }
            Err(_) => self.break_output(),
        }
    }

    fn break_output(&mut self) {
        self.output = Output::Broken;
        if let Some(busy) = &mut self.busy {
            busy.private = Vec::new();
            busy.private_sent = 0;
        }
    }

    fn extend_grace(&mut self, now: Instant) {
        if let Some(leaving) = self.busy.as_mut().and_then(|busy| busy.leaving.as_mut()) {
            leaving.deadline = now + GRACE;
        } else if let Some(visit) = self.visit_mut() {
            visit.set_deadline(now + REQUEST_TIME);
        }
    }
}
