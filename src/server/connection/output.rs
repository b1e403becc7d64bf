//! The write paths of a connection: few writes, whole lines wherever a write stops, the notice of missed lines, and the
//! end of its output when it closes.

use std::io;
use std::time::Instant;

use super::farewell::{LastStep, LastWords};
use super::sealing::{is_passing, put, put_one};
use super::{ClosingStep, Connection, NextStep, Output, Phase, ReadState};
use crate::net::stream::Socket;
use crate::relay::cursor::{Cursor, Slices, View};
use crate::relay::tape::Tape;
use crate::server::limits::{GRACE, REQUEST_TIME};

/// The result of one write.
struct Written {
    bytes: usize,
    /// Tape among them; the cursor is not aligned to a line yet.
    tape_bytes: usize,
}

impl<S: Socket> Connection<S> {
    /// Writes its pending bytes, if it takes output: about `share` bytes of the tape, and all private bytes. Adds the
    /// bytes written to `sent_bytes`.
    pub fn flush(&mut self, tape: &Tape, share: usize, now: Instant, sent_bytes: &mut u64) -> NextStep {
        let was_writable = self.output == Output::Writable;
        // Tracked connections have a copy of this path: a dialect that is known costs a plain client nothing.
        if was_writable
            && !self.is_tracked()
            && self.is_at_rest()
            && self.flush_at_once(tape.plain(), share, sent_bytes)
        {
            return NextStep::Nothing;
        }
        self.flush_slowly(tape, share, now, sent_bytes, was_writable)
    }

    /// Flushes what is not plain, or was not taken whole. `Blocked` also tells of a socket that refused the fast path,
    /// or failed.
    #[inline(never)]
    fn flush_slowly(
        &mut self,
        tape: &Tape,
        share: usize,
        now: Instant,
        sent_bytes: &mut u64,
        was_writable: bool,
    ) -> NextStep {
        if !was_writable {
            return self.flush_rest(tape, share, now, sent_bytes);
        }
        if self.output == Output::Writable {
            let is_tracked = self.is_tracked() && self.is_at_rest();
            if is_tracked && self.flush_at_once(tape.tracked(), share, sent_bytes)
                || self.flush_plain_browser(tape, sent_bytes)
                || self.flush_sealed_client(tape, share, sent_bytes)
            {
                return NextStep::Nothing;
            }
        }
        match self.flush_rest(tape, share, now, sent_bytes) {
            NextStep::Nothing if self.output != Output::Writable => NextStep::Blocked,
            step => step,
        }
    }

    /// Does what the fast paths do not do.
    fn flush_rest(&mut self, tape: &Tape, share: usize, now: Instant, sent_bytes: &mut u64) -> NextStep {
        if self.phase == Phase::Gone {
            // A further write could report its end a second time.
            return NextStep::Nothing;
        }
        let was_lingering = self.is_lingering();
        if self.output == Output::Writable && !was_lingering {
            *sent_bytes += self.flush_all(tape, share, now) as u64;
        }
        self.cursor.tidy(tape);
        self.free_unused(now);
        match self.next_step(tape) {
            NextStep::Linger if was_lingering => NextStep::Nothing,
            step => step,
        }
    }

    /// Returns the end of the pause before its next last word, the first time that it is asked for.
    pub fn take_pause_timer(&mut self) -> Option<Instant> {
        self.last_words_mut().and_then(LastWords::take_timer)
    }

    fn next_step(&self, tape: &Tape) -> NextStep {
        if self.output == Output::Writable && self.pause_end().is_some() {
            return NextStep::Pause;
        }
        match (self.phase, self.output) {
            (Phase::Closing | Phase::Entering, Output::Broken) => NextStep::Removal,
            (Phase::Closing, _) if self.is_lingering() => {
                if self.read_state == ReadState::Ended {
                    NextStep::Removal
                } else {
                    NextStep::Linger
                }
            }
            (Phase::Closing, Output::Writable) => NextStep::Flush,
            (Phase::Moving(_), _) if self.has_arrived() => NextStep::Arrive,
            (Phase::Moving(_), Output::Writable) => NextStep::Flush,
            (Phase::Present(_), Output::Writable) if self.awaits_gap_notice() && self.outbox_bytes() == 0 => {
                NextStep::GapNotice
            }
            (Phase::Present(_) | Phase::Entering, Output::Writable) if self.is_owed(tape) => NextStep::Flush,
            _ => NextStep::Nothing,
        }
    }

    fn is_owed(&self, tape: &Tape) -> bool {
        let is_unsent = self.outbox_bytes() > 0 || self.unsent_bytes() > 0;
        is_unsent || self.cursor.has_missed() || self.cursor.offset() < self.stop(tape).offset
    }

    /// Whether it is the common case: present, and owed nothing but tape.
    fn is_at_rest(&self) -> bool {
        self.busy.is_none() && self.cursor.is_plain() && matches!(self.phase, Phase::Present(_))
    }

    /// Writes the pending tape of a connection that is owed nothing else, in one call. Returns whether the socket took
    /// all of it.
    ///
    /// This is the fast path of [`flush_all`](Connection::flush_all), which decides the cost of a delivery. Each write
    /// evicts our code from the CPU's caches, so less code runs faster.
    #[inline(always)]
    pub(super) fn flush_at_once(&mut self, view: View<'_>, share: usize, sent_bytes: &mut u64) -> bool {
        let View { tape, dialect } = view;
        let Some(slice) = self.cursor.pending_in_one(view, tape.end().offset) else { return false };
        if slice.is_empty() {
            return true;
        }
        if slice.len() > share {
            return false;
        }
        match self.stream.write(slice) {
            Ok(bytes) if bytes == slice.len() => {
                *sent_bytes += bytes as u64;
                self.cursor.set_position(tape.end(), dialect);
                true
            }
            Ok(bytes) => {
                *sent_bytes += bytes as u64;
                self.advance(tape, bytes);
                self.align_to_line(tape);
                false
            }
            Err(error) => {
                self.on_write_error(&error);
                false
            }
        }
    }

    /// Writes the outbox first, then the tape, then the farewell; until nothing is left, the socket blocks, or `share`
    /// bytes are written. Returns how many bytes the socket took.
    fn flush_all(&mut self, tape: &Tape, share: usize, now: Instant) -> usize {
        let mut written = 0;
        let mut tape_written = 0;
        while written < share {
            match self.write_once(tape, share - written) {
                Ok(None) => match self.closing_step() {
                    Some(ClosingStep::Draining) => match self.last_words_mut().map(|words| words.next(now)) {
                        Some(LastStep::Pause) => break,
                        Some(LastStep::Word(word)) => self.push_bytes(&word),
                        Some(LastStep::Part(part)) => self.push_bytes(part.as_bytes()),
                        Some(LastStep::Last(part)) => {
                            self.push_bytes(part.as_bytes());
                            self.set_closing_step(ClosingStep::SayingFarewell);
                        }
                        None => {
                            self.say_farewell();
                            self.set_closing_step(ClosingStep::SayingFarewell);
                        }
                    },
                    Some(ClosingStep::SayingFarewell) => {
                        self.end_output(now);
                        break;
                    }
                    Some(ClosingStep::Lingering) | None => break,
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
            self.align_to_line(tape);
        }
        let sent = self.take_sent(written);
        if sent > 0 {
            self.extend_deadline(now);
        }
        sent
    }

    /// Writes once, about `share` bytes of the tape, and advances; `None` if it is owed nothing.
    fn write_once(&mut self, tape: &Tape, share: usize) -> io::Result<Option<Written>> {
        self.write_unsent()?;
        self.tell_missed(tape);
        if self.cursor.offset() < self.stop(tape).offset {
            // The ends of frames and shares are counted from the first byte that it is sent.
            self.cursor.advance(self.view(tape), 0);
        }
        if self.is_browser() {
            // A frame ends between two lines, so the cursor is aligned already.
            return Ok(self.write_frame(tape)?.map(|bytes| Written { bytes, tape_bytes: 0 }));
        }
        if self.has_crlf() {
            // So does a copy.
            return Ok(self.write_crlf(tape, share)?.map(|bytes| Written { bytes, tape_bytes: 0 }));
        }
        let Some(bytes) = self.write_lines(tape, share)? else { return Ok(None) };
        Ok(Some(Written { bytes, tape_bytes: self.advance(tape, bytes) }))
    }

    /// Writes the outbox and about `share` bytes of the tape in one call; `None` if it is owed neither. A socket with a
    /// large buffer would take megabytes in one call, and other connections would wait for it.
    fn write_lines(&mut self, tape: &Tape, share: usize) -> io::Result<Option<usize>> {
        let stop = share_stop(&self.cursor, tape, self.stop(tape).offset, share as u64);
        let view = self.view(tape);
        let (private, tls) = self.busy.as_mut().map_or((&[][..], None), |busy| busy.output());
        if private.is_empty()
            && !self.cursor.has_missed()
            && let Some(slice) = self.cursor.pending_in_one(view, stop)
        {
            return if slice.is_empty() { Ok(None) } else { put_one(&mut self.stream, tls, slice).map(Some) };
        }
        let mut slices = Slices::new();
        slices.push(private);
        if !self.cursor.has_missed() {
            self.cursor.pending(view, stop, &mut slices);
        }
        if slices.as_slice().is_empty() {
            return Ok(None);
        }
        put(&mut self.stream, tls, slices.as_slice()).map(Some)
    }

    /// Advances past bytes that were written; returns how many of them were tape.
    pub(super) fn advance(&mut self, tape: &Tape, bytes: usize) -> usize {
        let of_outbox = bytes.min(self.outbox_bytes());
        if let Some(busy) = &mut self.busy {
            busy.outbox.advance(of_outbox);
        }
        if bytes > of_outbox {
            self.cursor.advance(self.view(tape), (bytes - of_outbox) as u64);
        }
        bytes - of_outbox
    }

    /// Moves the cursor to the end of a line. The outbox is empty whenever tape was written, so the rest of a torn line
    /// comes first in it.
    fn align_to_line(&mut self, tape: &Tape) {
        debug_assert!(self.outbox_bytes() == 0 || self.closing_step() == Some(ClosingStep::SayingFarewell));
        let mut rest = Vec::new();
        self.cursor.align_to_line(self.view(tape), &mut rest);
        if !rest.is_empty() && self.output != Output::Broken {
            self.busy.get_or_insert_default().outbox.replace(rest);
        }
    }

    /// Records the error of a write that wrote nothing. The kernel may report it only once.
    pub(super) fn on_write_error(&mut self, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => self.output = Output::Blocked,
            _ => self.break_output(),
        }
    }

    fn end_output(&mut self, now: Instant) {
        match self.shut_down_output() {
            Ok(()) => {
                self.set_closing_step(ClosingStep::Lingering);
                self.extend_deadline(now);
            }
            Err(error) if is_passing(&error) => self.on_write_error(&error),
            Err(_) => self.break_output(),
        }
    }

    fn break_output(&mut self) {
        self.output = Output::Broken;
        self.drop_unsent();
        if let Some(busy) = &mut self.busy {
            busy.outbox.clear();
        }
    }

    fn set_closing_step(&mut self, step: ClosingStep) {
        if let Some(closing) = self.closing_mut() {
            closing.step = step;
        }
    }

    fn extend_deadline(&mut self, now: Instant) {
        if let Some(closing) = self.closing_mut() {
            closing.deadline = now + GRACE;
        } else if let Some(exchange) = self.exchange_mut() {
            exchange.set_deadline(now + REQUEST_TIME);
        }
    }
}

/// Returns the end of the next write, between two lines: `share` bytes away, and up to the end of that line.
pub(super) fn share_stop(cursor: &Cursor, tape: &Tape, stop: u64, share: u64) -> u64 {
    let from = cursor.offset();
    if stop.saturating_sub(from) <= share { stop } else { tape.line_end(from + share - 1) }
}
