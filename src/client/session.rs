//! A single connection: its bytes in both directions, its two half-closes, and the reason of its end. No poller, no
//! terminal.

use std::io;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;

use super::decoder::{Decoded, Decoder, ServerKind, ServerLine};
use super::limits::{GRACE, READ_BYTES};
use super::outbox::send_buffer::{SendBuffer, Typed};
use super::progress::Progress;
use super::race::Connected;
use crate::net::stream::{Received, receive};

/// A connection to a server. Each direction closes on its own.
///
/// Invariant: `send_half` is `Closed` only when `outbox` is empty.
#[derive(Debug)]
pub(crate) struct Session {
    link: Link,
    send_half: SendHalf,
    recv_half: RecvHalf,
    outbox: SendBuffer,
    decoder: Decoder,
    /// `--flush-after`: silence that ends an unterminated line; `None`: never.
    flush_after: Option<Duration>,
    /// Time of the last bytes from the server.
    received_at: Instant,
    /// Time of the last byte in any direction, or of the last half-close.
    progress_at: Instant,
}

/// Reason of a session's end.
#[derive(Debug)]
pub(crate) enum CloseReason {
    /// The server said FIN, or closed after we did.
    Complete,
    /// The server closed without FIN.
    Closed,
    /// The connection broke.
    Lost(io::Error),
    /// The server stopped reading. This many of our bytes were left.
    Unsent(usize),
}

/// The socket and its readiness. Readiness holds until a call returns `WouldBlock`; an event renews it.
#[derive(Debug)]
struct Link {
    stream: TcpStream,
    readable: bool,
    writable: bool,
}

/// State of our direction.
#[derive(Debug)]
enum SendHalf {
    Open,
    /// No more input. The outbox is still being sent.
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
}

impl Session {
    /// Takes over a socket that is registered for reading and writing.
    pub(crate) fn new(connected: Connected, flush_after: Option<Duration>, now: Instant) -> Session {
        Session {
            link: Link { stream: connected.stream, readable: true, writable: true },
            send_half: connected.reset.map_or(SendHalf::Open, SendHalf::Failed),
            recv_half: RecvHalf::Open,
            outbox: SendBuffer::default(),
            decoder: Decoder::default(),
            flush_after,
            received_at: now,
            progress_at: now,
        }
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

    /// Appends typed bytes, at most [`Session::free_bytes`]. A line that leaves closes our direction.
    pub(crate) fn queue(&mut self, typed: &[u8], now: Instant) {
        if self.outbox.push(typed) == Typed::Leave {
            self.finish_sending(now);
        }
    }

    /// Appends a whole line of text, which does not leave whatever it says.
    pub(crate) fn queue_text(&mut self, line: &[u8]) {
        self.outbox.push_text(line);
    }

    /// Closes our direction after the bytes that are queued.
    pub(crate) fn finish_sending(&mut self, now: Instant) {
        if matches!(self.send_half, SendHalf::Open) {
            self.send_half = SendHalf::Closing;
            self.progress_at = now;
        }
    }

    /// Writes to the server once. Shuts the write side down when the last queued byte of a closing half was written.
    pub(crate) fn send(&mut self, now: Instant) -> Progress {
        let mut progress = Progress::None;
        if self.may_send() {
            match self.outbox.write_to(&mut self.link.stream) {
                Ok(len) => progress = Progress::of_bytes(len),
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
        if matches!(self.send_half, SendHalf::Closing) && self.outbox.is_empty() {
            // It fails if the connection is gone. The next read reports that.
            let _ = self.link.stream.shutdown(Shutdown::Write);
            self.send_half = SendHalf::Closed;
            progress = Progress::Made;
        }
        progress
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
        match receive(&mut self.link.stream, scratch) {
            Received::Bytes(len) => {
                self.received_at = now;
                if self.decoder.decode(&scratch[..len], show) == Decoded::Fin {
                    self.recv_half = RecvHalf::Fin;
                }
            }
            Received::NotYet => {
                self.link.readable = false;
                return Progress::None;
            }
            Received::End => self.recv_half = self.on_eof(show),
            Received::Failed(err) => self.recv_half = RecvHalf::Failed(err),
        }
        self.progress_at = now;
        Progress::Made
    }

    fn on_eof(&mut self, show: &mut impl FnMut(ServerLine<'_>)) -> RecvHalf {
        // After a failed write, a reset caused this EOF: an unterminated line was cut off and is not shown.
        if matches!(self.send_half, SendHalf::Failed(_)) || self.decoder.flush_partial(show) == Decoded::More {
            RecvHalf::Eof
        } else {
            RecvHalf::Fin
        }
    }

    /// Time to call [`Session::flush_partial`]; `None` unless a foreign server has begun a line.
    pub(crate) fn flush_deadline(&self) -> Option<Instant> {
        let may_lack_ends = matches!(self.recv_half, RecvHalf::Open) && self.decoder.has_partial_line();
        self.flush_after.filter(|_| may_lack_ends).map(|after| self.received_at + after)
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

    /// The kind of server, as far as its first bytes tell.
    pub(crate) fn server_kind(&self) -> ServerKind {
        self.decoder.server_kind()
    }

    /// Time left for a half-closed session to make progress; `None` while both directions are open.
    pub(crate) fn grace_left(&self) -> Option<Duration> {
        if self.is_open() { None } else { Some(GRACE.saturating_sub(self.progress_at.elapsed())) }
    }

    /// Whether both directions are open.
    pub(crate) fn is_open(&self) -> bool {
        matches!((&self.send_half, &self.recv_half), (SendHalf::Open, RecvHalf::Open))
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
            RecvHalf::Fin | RecvHalf::Failed(_) => true,
        }
    }

    /// Returns the reason of the end: the session is finished, or its grace is over.
    pub(crate) fn into_reason(self) -> CloseReason {
        match (self.recv_half, self.send_half) {
            (RecvHalf::Fin, _) | (RecvHalf::Open | RecvHalf::Eof, SendHalf::Closed) => CloseReason::Complete,
            (RecvHalf::Failed(source), _) | (_, SendHalf::Failed(source)) => CloseReason::Lost(source),
            (_, SendHalf::Closing) => CloseReason::Unsent(self.outbox.len()),
            (_, SendHalf::Open) => CloseReason::Closed,
        }
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
        self.link.writable && !matches!(self.send_half, SendHalf::Failed(_)) && !self.outbox.is_empty()
    }
}
