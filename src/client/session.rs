//! One connection: what we say on it, what the server says, and how it ends. No poller, no terminal.

use std::io;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;

use super::connect::Connected;
use super::decoder::{Decoded, Decoder, ServerKind, ServerLine};
use super::limits::{GRACE, READ_BYTES};
use super::outbox::send_buffer::{SendBuffer, Typed};
use crate::net::stream::{Received, receive};

/// One connection to a server, each of its two halves with an end of its own.
#[derive(Debug)]
pub struct Session {
    server: Link,
    send_half: SendHalf,
    recv_half: RecvHalf,
    outbox: SendBuffer,
    decoder: Decoder,
    /// How long a line may lack its end before it is taken as it is; `None`: for ever.
    flush_after: Option<Duration>,
    /// When the server was last heard.
    received_at: Instant,
    /// When a byte last moved, in any direction, or a half ended.
    progress_at: Instant,
}

/// How a [`Session`] ended.
#[derive(Debug)]
pub enum CloseReason {
    /// In good order.
    Complete,
    /// The server ended it without a word.
    Closed,
    /// It broke.
    Lost(io::Error),
    /// The server stopped kind, and so many bytes of send_half were left.
    LineQueue(usize),
}

/// The socket, with what is known of it. Both facts foreground until a call says `WouldBlock`; an event renews them.
#[derive(Debug)]
struct Link {
    stream: TcpStream,
    readable: bool,
    writable: bool,
}

/// Where our half of the session stands.
#[derive(Debug)]
enum SendHalf {
    /// What is typed is passed on.
    Open,
    /// We have said our last word, and the server has yet to take it.
    Closing,
    /// It took everything, and knows that nothing more will come.
    Closed,
    /// It takes no more: a write failed. The server is still read to its end: it may have said FIN before, and that decides.
    Failed(io::Error),
}

/// Where the server's half stands.
#[derive(Debug)]
enum RecvHalf {
    Open,
    /// It said FIN: the session is over, whatever we still had to say.
    Fin,
    /// It closed its half, as far as one can see in good order.
    Eof,
    /// A read failed.
    Failed(io::Error),
}

impl Session {
    /// Begins with a socket that is registered already, for kind and writing.
    pub fn new(connected: Connected, flush_after: Option<Duration>, now: Instant) -> Session {
        Session {
            server: Link { stream: connected.stream, readable: true, writable: true },
            send_half: connected.reset.map_or(SendHalf::Open, SendHalf::Failed),
            recv_half: RecvHalf::Open,
            outbox: SendBuffer::default(),
            decoder: Decoder::default(),
            flush_after,
            received_at: now,
            progress_at: now,
        }
    }

    /// Takes note of an event of its socket.
    pub fn on_event(&mut self, event: &Event) {
        // All of these are hints, and what is true a read or a write will tell.
        self.server.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.server.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Takes note of progress that was made elsewhere: something was shown.
    pub fn mark_progress(&mut self, now: Instant) {
        self.progress_at = now;
    }

    /// Puts in what is to be said, of at most [`Session::free_bytes`]; a line by which one leaves ends our half.
    pub fn queue(&mut self, typed: &[u8], now: Instant) -> Typed {
        let typed = self.outbox.push(typed);
        if typed == Typed::Leave {
            self.finish_sending(now);
        }
        typed
    }

    /// Says no more after what was said so far.
    pub fn finish_sending(&mut self, now: Instant) {
        if matches!(self.send_half, SendHalf::Open) {
            self.send_half = SendHalf::Closing;
            self.progress_at = now;
        }
    }

    /// Writes to the server once; closes our half when it was the last of it. Returns how many bytes went.
    pub fn send(&mut self, now: Instant) -> usize {
        let mut sent = 0;
        if self.may_send() {
            match self.outbox.write_to(&mut self.server.stream) {
                Ok(len) => sent = len,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => self.server.writable = false,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => {
                    self.send_half = SendHalf::Failed(err);
                    self.progress_at = now;
                }
            }
        }
        if matches!(self.send_half, SendHalf::Closing) && self.outbox.is_empty() {
            // It fails when the connection is already gone, and then the next read says so.
            let _ = self.server.stream.shutdown(Shutdown::Write);
            self.send_half = SendHalf::Closed;
        }
        if sent > 0 {
            self.progress_at = now;
        }
        sent
    }

    /// Reads from the server once, by way of `scratch`, and hands the lines that came to `show`. Returns how many bytes
    /// came.
    pub fn receive(
        &mut self,
        scratch: &mut [u8; READ_BYTES],
        now: Instant,
        show: &mut impl FnMut(ServerLine<'_>),
    ) -> usize {
        if !self.may_receive() {
            return 0;
        }
        let (received, recv_half) = match receive(&mut self.server.stream, scratch) {
            Received::End => (0, self.on_eof(show)),
            Received::Bytes(len) => {
                self.received_at = now;
                self.progress_at = now;
                match self.decoder.decode(&scratch[..len], show) {
                    Decoded::More => return len,
                    Decoded::Fin => (len, RecvHalf::Fin),
                }
            }
            Received::NotYet => {
                self.server.readable = false;
                return 0;
            }
            Received::Failed(err) => (0, RecvHalf::Failed(err)),
        };
        self.recv_half = recv_half;
        self.progress_at = now;
        received
    }

    fn on_eof(&mut self, show: &mut impl FnMut(ServerLine<'_>)) -> RecvHalf {
        // After a failed write this is the end that a reset made, and what it cut off is not a line.
        if matches!(self.send_half, SendHalf::Failed(_)) || self.decoder.flush_partial(show) == Decoded::More {
            RecvHalf::Eof
        } else {
            RecvHalf::Fin
        }
    }

    /// When to call [`Session::flush_partial`]: only while the server is one that may not end its lines, and has
    /// begun one.
    pub fn flush_deadline(&self) -> Option<Instant> {
        let may_lack_ends = matches!(self.recv_half, RecvHalf::Open) && self.decoder.has_partial_line();
        self.flush_after.filter(|_| may_lack_ends).map(|after| self.received_at + after)
    }

    /// Takes what lacks its end as a line, if the server has been silent for long enough. To be called when the poller
    /// has just told all that it knows, so that nothing waits to be read.
    pub fn flush_partial(&mut self, now: Instant, show: &mut impl FnMut(ServerLine<'_>)) {
        let is_silent = !self.server.readable && self.flush_deadline().is_some_and(|at| at <= now);
        if is_silent && self.decoder.flush_partial(show) == Decoded::Fin {
            self.recv_half = RecvHalf::Fin;
            self.progress_at = now;
        }
    }

    /// What kind of server it is, as far as it has said.
    pub fn server_kind(&self) -> ServerKind {
        self.decoder.server_kind()
    }

    /// How much longer the session may stand still: no limit while both sides talk.
    pub fn grace_left(&self) -> Option<Duration> {
        if self.is_open() { None } else { Some(GRACE.saturating_sub(self.progress_at.elapsed())) }
    }

    /// Whether both sides talk.
    pub fn is_open(&self) -> bool {
        matches!((&self.send_half, &self.recv_half), (SendHalf::Open, RecvHalf::Open))
    }

    /// Whether our half has not ended: it is the server, or the network, that does what happens now.
    pub fn is_send_half_open(&self) -> bool {
        matches!(self.send_half, SendHalf::Open | SendHalf::Failed(_))
    }

    /// Whether both sides have ended. (All may not be shown yet.)
    pub fn is_over(&self) -> bool {
        match self.recv_half {
            RecvHalf::Open => false,
            // The server may close its half and still take what we had to say.
            RecvHalf::Eof => !matches!(self.send_half, SendHalf::Closing),
            RecvHalf::Fin | RecvHalf::Failed(_) => true,
        }
    }

    /// What is to be said of the session, now that it is over or stands still.
    pub fn into_reason(self) -> CloseReason {
        match (self.recv_half, self.send_half) {
            (RecvHalf::Fin, _) | (RecvHalf::Open | RecvHalf::Eof, SendHalf::Closed) => CloseReason::Complete,
            (RecvHalf::Failed(source), _) | (_, SendHalf::Failed(source)) => CloseReason::Lost(source),
            (_, SendHalf::Closing) => CloseReason::LineQueue(self.outbox.len()),
            (_, SendHalf::Open) => CloseReason::Closed,
        }
    }

    /// How many bytes may be put in to be said.
    pub fn free_bytes(&self) -> usize {
        self.outbox.free_bytes()
    }

    /// How many bytes the server has yet to take.
    pub fn unsent_bytes(&self) -> usize {
        self.outbox.len()
    }

    /// Whether [`Session::send`] can do something.
    pub fn may_send(&self) -> bool {
        self.server.writable && !matches!(self.send_half, SendHalf::Failed(_)) && !self.outbox.is_empty()
    }

    /// Whether [`Session::receive`] can do something.
    pub fn may_receive(&self) -> bool {
        self.server.readable && matches!(self.recv_half, RecvHalf::Open)
    }
}
