//! A single connection: its bytes in both directions, its two half-closes, and the reason of its end. No poller, no
//! terminal.

mod farewell;
mod turns;

use std::io;
use std::time::{Duration, Instant};

use mio::event::Event;

use self::farewell::Farewell;
use self::turns::Turns;
use super::connect::Opened;
use super::decoder::{Decoded, Decoder, Ends, ServerKind, ServerLine};
use super::leaving::Leaving;
use super::limits::{GRACE, LEAVE_BYTES_MAX, READ_BYTES};
use super::outbox::send_buffer::{Input, Manner, Released, SendBuffer};
use super::progress::Progress;
use super::secure::Wire;
use super::trust::Untrusted;
use crate::net::stream::{Received, receive};

/// A connection to a server. Each direction closes on its own.
///
/// Invariant: `send_half` is `Closed` only when `outbox` and `farewell` are empty.
#[derive(Debug)]
pub(crate) struct Session {
    link: Link,
    send_half: SendHalf,
    recv_half: RecvHalf,
    outbox: SendBuffer,
    farewell: Farewell,
    decoder: Decoder,
    turns: Turns,
    /// Time of the connect, or of the password that the server asked for.
    pub(crate) begun_at: Instant,
    /// Time of the last byte in any direction, or of the last half-close.
    progress_at: Instant,
    leaving: Leaving,
}

/// Reason of a session's end.
#[derive(Debug)]
pub(crate) enum CloseReason {
    /// The server said FIN after our goodbye. A server that is no pollchat server may also have closed instead, or
    /// have gone on until we left.
    Complete,
    /// The server said FIN, but we had not said goodbye, or it did not take all our bytes.
    Dismissed,
    /// The server closed without FIN.
    Closed,
    /// The connection broke.
    Lost(io::Error),
    /// It broke, and the server behind the next one is not trusted.
    Untrusted(Untrusted),
    /// The server stopped reading. This many of our bytes were left.
    Unsent(usize),
    /// The server has our bytes, as far as the kernel knows, but has not answered our goodbye.
    Unconfirmed,
}

/// Number of lines of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineCounts {
    /// The kernel has taken them.
    pub(crate) sent: u64,
    /// They have not left us whole.
    pub(crate) unsent: u64,
    /// They stood behind a goodbye.
    pub(crate) dropped: u64,
}

/// The socket and its readiness. Readiness holds until a call returns `WouldBlock`; an event renews it.
#[derive(Debug)]
struct Link {
    wire: Wire,
    readable: bool,
    writable: bool,
}

/// State of our direction.
#[derive(Debug)]
enum SendHalf {
    Open,
    /// No more input. The outbox and the words of farewell are still being sent.
    Closing,
    /// The outbox was sent, and the write side is shut down.
    Closed,
    /// A write failed. The server is still read to its end: a FIN that it sent before decides.
    Failed(io::Error),
}

/// State of the server's direction.
#[derive(Debug)]
enum RecvHalf {
    Open,
    /// The server said FIN. Our unsent bytes no longer matter.
    Fin,
    /// The server shut its write side down.
    Eof,
    /// A read failed.
    Failed(io::Error),
    /// We read no more of it: it goes on beyond all bounds.
    Abandoned,
}

impl Session {
    /// Takes over a socket that is registered for reading and writing.
    pub(crate) fn new(opened: Opened, flush_after: Option<Duration>, now: Instant) -> Session {
        Session {
            link: Link { wire: opened.wire, readable: true, writable: true },
            send_half: opened.reset.map_or(SendHalf::Open, SendHalf::Failed),
            recv_half: RecvHalf::Open,
            outbox: SendBuffer::default(),
            farewell: Farewell::default(),
            decoder: Decoder::default(),
            turns: Turns::new(flush_after, now),
            begun_at: now,
            progress_at: now,
            leaving: Leaving::new(LEAVE_BYTES_MAX, now),
        }
    }

    /// Sets the way in which lines of stdin are sent, before the first one, and the bytes that a pollchat server may
    /// owe at the end. (At a terminal they are those of any server: a person leaves.)
    pub(crate) fn of_pipe(self, outbox: SendBuffer, owed_bytes_max: u64, now: Instant) -> Session {
        Session { outbox, leaving: Leaving::new(owed_bytes_max, now), ..self }
    }

    /// Records an event of the socket. The next call of `send` or `receive` finds out what it means.
    pub(crate) fn on_event(&mut self, event: &Event) {
        self.link.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.link.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Restarts the grace after progress elsewhere: stdin was read or stdout written.
    pub(crate) fn mark_progress(&mut self, now: Instant) {
        self.progress_at = now;
    }

    /// Records that the session is not read, because stdout takes nothing. The time of the server stands still then, as
    /// long as stdout makes progress.
    pub(crate) fn on_unread(&mut self) {
        self.leaving.postpone(self.progress_at);
    }

    /// Appends typed bytes, at most [`Session::free_bytes`]. A line that leaves closes our direction.
    pub(crate) fn queue(&mut self, typed: &[u8], now: Instant) {
        self.await_kind(now);
        self.outbox.push(typed);
        self.release(now);
    }

    /// Appends a whole line of text, which does not leave whatever it says.
    pub(crate) fn queue_text(&mut self, line: &[u8], now: Instant) {
        self.await_kind(now);
        self.outbox.push_text(line);
        self.release(now);
    }

    /// Gives the server time to say what it is, before the first line.
    fn await_kind(&mut self, now: Instant) {
        if self.outbox.is_empty() && self.outbox.written_bytes() == 0 {
            self.turns.await_kind(now);
        }
    }

    /// Appends a line of the client itself, which no goodbye can be.
    pub(crate) fn queue_own(&mut self, line: &str) {
        self.outbox.push_own(line.as_bytes());
        // A server that repeats it is known by that, too.
        self.decoder.on_sent(line.trim_end().as_bytes());
    }

    /// Appends a line of the user to a server that tracks us. Nothing that [`Session::queue`] has taken may wait.
    pub(crate) fn queue_tracked(&mut self, line: &str) {
        self.outbox.push_line(line.as_bytes());
    }

    /// Appends the first line of a connection, which asks for tracking.
    pub(crate) fn queue_track(&mut self, line: &str) {
        self.decoder.expect_session();
        self.queue_own(line);
    }

    /// Closes our direction after the bytes that are queued.
    pub(crate) fn finish_sending(&mut self, now: Instant) {
        if matches!(self.send_half, SendHalf::Open) {
            self.send_half = SendHalf::Closing;
            self.progress_at = now;
            self.leaving.on_sent(self.outbox.sent_lines(), self.outbox.written_bytes(), now);
        }
    }

    /// Writes to the server once. Shuts the write side down when the last queued byte of a closing half was written.
    pub(crate) fn send(&mut self, now: Instant) -> Progress {
        let mut progress = self.release(now);
        if self.may_send() {
            match self.outbox.write_to(&mut self.link.wire) {
                Ok(len) => progress |= self.on_written(len, now),
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => self.link.writable = false,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => progress = Progress::Made,
                Err(err) => {
                    self.send_half = SendHalf::Failed(err);
                    progress = Progress::Made;
                }
            }
        }
        if progress == Progress::Made {
            self.progress_at = now;
        }
        if matches!(self.send_half, SendHalf::Closing) && self.link.writable && self.has_sent_all(now) {
            match self.link.wire.finish() {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => self.link.writable = false,
                // It fails if the connection is gone. The next read reports that.
                _ => {
                    self.send_half = SendHalf::Closed;
                    progress = Progress::Made;
                }
            }
        }
        progress
    }

    fn on_written(&mut self, len: usize, now: Instant) -> Progress {
        if len > 0 {
            let is_first = self.outbox.written_bytes() == len as u64;
            let is_unknown = matches!(self.decoder.server_kind(), ServerKind::Unknown(_));
            self.turns.on_sent(is_first && is_unknown, now);
            // A server that does not answer gets no more time for each word.
            if !self.farewell.has_words() {
                self.leaving.on_sent(self.outbox.sent_lines(), self.outbox.written_bytes(), now);
            }
        }
        Progress::of_bytes(len)
    }

    /// Moves lines on to the socket, in the manner of the server, and then the words of farewell.
    fn release(&mut self, now: Instant) -> Progress {
        let manner = self.turns.manner(&self.decoder, now);
        let input = match self.send_half {
            SendHalf::Open => Input::Open,
            SendHalf::Closing => Input::Ended,
            SendHalf::Closed | SendHalf::Failed(_) => return Progress::None,
        };
        if self.outbox.has_typed() && self.is_turn(manner, now) {
            match self.outbox.release(manner, input) {
                Released::Nothing => {}
                Released::Text => {
                    self.turns.on_turn(manner);
                    self.decoder.on_sent(self.outbox.last_line());
                    return Progress::Made;
                }
                Released::Goodbye { end } => {
                    self.turns.on_turn(manner);
                    self.farewell.say_end(end, self.outbox.last_line());
                    self.finish_sending(now);
                    return Progress::Made;
                }
            }
        }
        let is_last = input == Input::Ended && self.outbox.is_empty() && matches!(self.recv_half, RecvHalf::Open);
        if is_last
            && self.turns.is_for_farewell(manner, &self.decoder, now)
            && let Some(piece) = self.farewell.next_piece(manner)
        {
            self.turns.on_turn(manner);
            self.outbox.push_own(&piece);
            return Progress::Made;
        }
        Progress::None
    }

    fn is_turn(&self, manner: Manner, now: Instant) -> bool {
        let is_sent = !manner.is_by_message() || !self.outbox.has_released();
        is_sent && self.turns.is_ours(manner, &self.decoder, self.outbox.written_bytes() > 0, now)
    }

    fn has_sent_all(&self, now: Instant) -> bool {
        if !self.outbox.is_empty() {
            return false;
        }
        let manner = self.turns.manner(&self.decoder, now);
        !matches!(self.recv_half, RecvHalf::Open) || (manner != Manner::Unknown && self.farewell.is_over(manner))
    }

    /// Time to call [`Session::send`] although no event came.
    pub(crate) fn send_deadline(&self, now: Instant) -> Option<Instant> {
        let is_closing = matches!(self.send_half, SendHalf::Closing);
        if !self.outbox.has_typed() && !is_closing {
            return None;
        }
        self.turns.deadline(self.turns.manner(&self.decoder, now), now)
    }

    /// Reads from the server once, into `scratch`, and passes complete lines to `show`.
    pub(crate) fn receive(
        &mut self,
        scratch: &mut [u8; READ_BYTES],
        now: Instant,
        show: &mut impl FnMut(ServerLine<'_>),
    ) -> Progress {
        if !self.link.readable || !matches!(self.recv_half, RecvHalf::Open) {
            return Progress::None;
        }
        match receive(&mut self.link.wire, scratch) {
            Received::Bytes(len) => {
                let is_answer = self.turns.on_received(now);
                let manner = self.turns.manner(&self.decoder, now);
                let has_more = matches!(self.send_half, SendHalf::Closing) && !self.farewell.is_over(manner);
                if is_answer && has_more && manner == Manner::Bare {
                    self.leaving.postpone(now);
                }
                if self.decoder.decode(&scratch[..len], show) == Decoded::Fin {
                    self.recv_half = RecvHalf::Fin;
                } else if matches!(self.send_half, SendHalf::Closed)
                    && self.leaving.on_received(len, self.decoder.server_kind())
                {
                    self.abandon(show);
                }
            }
            Received::NotYet => {
                self.link.readable = self.link.wire.has_more();
                return if self.link.readable { Progress::Made } else { Progress::None };
            }
            Received::End => self.recv_half = self.on_eof(show),
            Received::Failed(err) => {
                self.recv_half =
                    if self.show_cut(show) == Decoded::Fin { RecvHalf::Fin } else { RecvHalf::Failed(err) };
            }
        }
        self.progress_at = now;
        Progress::Made
    }

    /// Reads no more of the server, although it may go on. What it has begun is shown.
    pub(crate) fn abandon(&mut self, show: &mut impl FnMut(ServerLine<'_>)) {
        let is_fin = self.decoder.flush_partial(show) == Decoded::Fin;
        self.recv_half = if is_fin { RecvHalf::Fin } else { RecvHalf::Abandoned };
    }

    /// Shows a line that the network may have cut off, unless the server ends its lines: half of one could pass for
    /// another.
    fn show_cut(&mut self, show: &mut impl FnMut(ServerLine<'_>)) -> Decoded {
        let may_be_whole = self.decoder.has_partial_line() && self.decoder.ends() != Ends::Newline;
        if may_be_whole { self.decoder.flush_partial(show) } else { Decoded::More }
    }

    fn on_eof(&mut self, show: &mut impl FnMut(ServerLine<'_>)) -> RecvHalf {
        // After a failed write, a reset caused this EOF.
        let decoded = match self.send_half {
            SendHalf::Failed(_) => self.show_cut(show),
            _ => self.decoder.flush_partial(show),
        };
        if decoded == Decoded::Fin { RecvHalf::Fin } else { RecvHalf::Eof }
    }

    /// Time to call [`Session::flush_partial`]; `None` unless a foreign server has begun a line.
    pub(crate) fn flush_deadline(&self) -> Option<Instant> {
        let has_more = self.outbox.has_typed() || matches!(self.send_half, SendHalf::Closing);
        self.turns.flush_deadline(&self.decoder, has_more).filter(|_| matches!(self.recv_half, RecvHalf::Open))
    }

    /// Shows an unterminated line if the server has been silent for `--flush-after`. Call it right after a poll, so
    /// that no unread bytes are taken for silence.
    pub(crate) fn flush_partial(&mut self, now: Instant, show: &mut impl FnMut(ServerLine<'_>)) {
        let is_silent = !self.link.readable && self.flush_deadline().is_some_and(|at| at <= now);
        if is_silent && self.decoder.flush_partial(show) == Decoded::Fin {
            self.recv_half = RecvHalf::Fin;
            self.progress_at = now;
        }
    }

    /// Shows an unterminated line before the session is dropped. One that a lost connection cut off is shown only if
    /// the server may not end its lines.
    pub(crate) fn show_rest(&mut self, show: &mut impl FnMut(ServerLine<'_>)) {
        let is_received = match self.recv_half {
            RecvHalf::Open | RecvHalf::Abandoned => true,
            RecvHalf::Failed(_) => self.decoder.has_partial_line(),
            RecvHalf::Fin | RecvHalf::Eof => false,
        };
        if is_received {
            self.decoder.flush_partial(show);
        }
    }

    /// The kind of server, as far as its first bytes tell.
    pub(crate) fn server_kind(&self) -> ServerKind {
        self.decoder.server_kind()
    }

    /// Time left for the end of a half-closed session; `None` while both directions are open.
    pub(crate) fn grace_left(&self) -> Option<Duration> {
        if self.is_open() {
            return None;
        }
        let deadline = match (&self.recv_half, &self.send_half) {
            (RecvHalf::Open, SendHalf::Closing | SendHalf::Closed) => self.leaving.deadline(self.decoder.server_kind()),
            _ => self.progress_at + GRACE,
        };
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether the grace is over. `is_idle` tells whether nothing happened in the last round: a client that was stopped
    /// (Ctrl-Z) for longer has unread events.
    pub(crate) fn is_overdue(&mut self, is_idle: bool, now: Instant) -> bool {
        match (&self.recv_half, &self.send_half) {
            _ if self.is_open() => false,
            (RecvHalf::Open, SendHalf::Closing | SendHalf::Closed) => {
                self.leaving.is_over(self.decoder.server_kind(), is_idle, now)
            }
            _ => is_idle && now >= self.progress_at + GRACE,
        }
    }

    /// Whether both directions are open.
    pub(crate) fn is_open(&self) -> bool {
        matches!((&self.send_half, &self.recv_half), (SendHalf::Open, RecvHalf::Open))
    }

    /// Whether the last line was sent, or is being sent, without its end.
    pub(crate) fn is_mid_line(&self) -> bool {
        self.outbox.is_mid_line()
    }

    /// Whether our direction was not closed by us. If the session ends then, the server or the network ended it.
    pub(crate) fn is_send_half_open(&self) -> bool {
        matches!(self.send_half, SendHalf::Open | SendHalf::Failed(_))
    }

    /// Whether no more bytes can come. (Some may still wait for stdout.)
    pub(crate) fn is_finished(&self) -> bool {
        match self.recv_half {
            RecvHalf::Open => false,
            // The server may shut its side down and still read what is left of ours.
            RecvHalf::Eof => !matches!(self.send_half, SendHalf::Closing),
            RecvHalf::Fin | RecvHalf::Failed(_) | RecvHalf::Abandoned => true,
        }
    }

    /// Returns the reason of the end: the session is finished, or its grace is over.
    pub(crate) fn into_reason(self) -> CloseReason {
        let kind = self.decoder.server_kind();
        // It may close with a word of ours unread, which resets the connection.
        let has_said_goodbye = self.farewell.has_begun() && self.outbox.is_empty();
        let may_reset = has_said_goodbye && matches!(self.decoder.ends(), Ends::Silence | Ends::Relayed);
        match (self.recv_half, self.send_half) {
            (RecvHalf::Fin, SendHalf::Open) if self.outbox.has_begun_goodbye() => CloseReason::Complete,
            (RecvHalf::Fin, SendHalf::Closed) => CloseReason::Complete,
            (RecvHalf::Fin, SendHalf::Closing) if self.outbox.is_empty() => CloseReason::Complete,
            (RecvHalf::Fin, _) => CloseReason::Dismissed,
            (RecvHalf::Failed(_), SendHalf::Closing | SendHalf::Closed) if may_reset => CloseReason::Complete,
            (RecvHalf::Failed(source), _) | (_, SendHalf::Failed(source)) => CloseReason::Lost(source),
            (RecvHalf::Eof, SendHalf::Closed) if kind != ServerKind::Pollchat => CloseReason::Complete,
            (RecvHalf::Open | RecvHalf::Abandoned, SendHalf::Closed) if kind == ServerKind::Other => {
                CloseReason::Complete
            }
            (RecvHalf::Open | RecvHalf::Abandoned, SendHalf::Closed) => CloseReason::Unconfirmed,
            (_, SendHalf::Closing) => CloseReason::Unsent(self.outbox.len()),
            (RecvHalf::Eof, SendHalf::Closed) | (_, SendHalf::Open) => CloseReason::Closed,
        }
    }

    /// The lines of stdin, by what became of them here.
    pub(crate) fn line_counts(&self) -> LineCounts {
        let outbox = &self.outbox;
        LineCounts { sent: outbox.sent_lines(), unsent: outbox.unsent_lines(), dropped: outbox.dropped_lines() }
    }

    /// Returns the `/join` lines that were written whole since the last call, if the session keeps lines.
    pub(crate) fn take_sent_joins(&mut self) -> Vec<String> {
        self.outbox.take_sent_joins()
    }

    /// Returns the typed lines that were not written whole.
    pub(crate) fn take_back(&mut self) -> Vec<u8> {
        self.outbox.take_back()
    }

    /// Free space before the socket, in bytes.
    pub(crate) fn free_bytes(&self) -> usize {
        self.outbox.free_bytes()
    }

    /// Bytes before the socket that are not written yet.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.outbox.len()
    }

    fn may_send(&self) -> bool {
        self.link.writable && !matches!(self.send_half, SendHalf::Failed(_)) && self.outbox.has_released()
    }
}
