//! One connection: what we say on it, what the server says, and how it ends. No poller, no terminal.

use std::io::{self, Read};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;

use super::config::GRACE;
use super::config::READ_BYTES;
use super::connect::Connected;
use super::decoder::{Heard, Peer, Said, Transcript};
use super::outbox::{Outbox, Typed};

/// One connection to a server, each of its two halves with an end of its own.
#[derive(Debug)]
pub struct Conversation {
    server: Link,
    ours: Ours,
    theirs: Theirs,
    outbox: Outbox,
    transcript: Transcript,
    /// How long a line may lack its end before it is taken as it is; `None`: for ever.
    flush_after: Option<Duration>,
    /// When the server was last heard.
    heard_at: Instant,
    /// When a byte last moved, in any direction, or a half ended.
    progress_at: Instant,
}

/// How a [`Conversation`] ended.
#[derive(Debug)]
pub enum Outcome {
    /// In good order.
    Complete,
    /// The server ended it without a word.
    Closed,
    /// It broke.
    Lost(io::Error),
    /// The server stopped reading, and so many bytes of ours were left.
    Unsent(usize),
}

/// The socket, with what is known of it. Both facts hold until a call says `WouldBlock`; an event renews them.
#[derive(Debug)]
struct Link {
    stream: TcpStream,
    readable: bool,
    writable: bool,
}

/// Where our half of the conversation stands.
#[derive(Debug)]
enum Ours {
    /// What is typed is passed on.
    Talking,
    /// We have said our last word, and the server has yet to take it.
    Ending,
    /// It took everything, and knows that nothing more will come.
    Ended,
    /// It takes no more: a write failed. The server is still read to its end: it may have said FIN before, and that decides.
    Failed(io::Error),
}

/// Where the server's half stands.
#[derive(Debug)]
enum Theirs {
    Talking,
    /// It said FIN: the conversation is over, whatever we still had to say.
    Fin,
    /// It closed its half, as far as one can see in good order.
    Ended,
    /// A read failed.
    Lost(io::Error),
}

impl Conversation {
    /// Begins with a socket that is registered already, for reading and writing.
    pub fn new(connected: Connected, flush_after: Option<Duration>, now: Instant) -> Conversation {
        Conversation {
            server: Link { stream: connected.stream, readable: true, writable: true },
            ours: connected.reset.map_or(Ours::Talking, Ours::Failed),
            theirs: Theirs::Talking,
            outbox: Outbox::default(),
            transcript: Transcript::default(),
            flush_after,
            heard_at: now,
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
    pub fn note_progress(&mut self, now: Instant) {
        self.progress_at = now;
    }

    /// Puts in what is to be said, of at most [`Conversation::room_bytes`]; a line by which one leaves ends our half.
    pub fn say(&mut self, typed: &[u8], now: Instant) -> Typed {
        let typed = self.outbox.push(typed);
        if typed == Typed::Leave {
            self.end_ours(now);
        }
        typed
    }

    /// Says no more after what was said so far.
    pub fn end_ours(&mut self, now: Instant) {
        if matches!(self.ours, Ours::Talking) {
            self.ours = Ours::Ending;
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
                    self.ours = Ours::Failed(err);
                    self.progress_at = now;
                }
            }
        }
        if matches!(self.ours, Ours::Ending) && self.outbox.is_empty() {
            // It fails when the connection is already gone, and then the next read says so.
            let _ = self.server.stream.shutdown(Shutdown::Write);
            self.ours = Ours::Ended;
        }
        if sent > 0 {
            self.progress_at = now;
        }
        sent
    }

    /// Reads from the server once, by way of `scratch`, and hands the lines that came to `show`. Returns how many bytes
    /// came.
    pub fn receive(&mut self, scratch: &mut [u8; READ_BYTES], now: Instant, show: &mut impl FnMut(Said<'_>)) -> usize {
        if !self.may_receive() {
            return 0;
        }
        let (received, theirs) = match self.server.stream.read(scratch) {
            Ok(0) => (0, self.hear_the_end(show)),
            Ok(len) => {
                self.heard_at = now;
                self.progress_at = now;
                match self.transcript.take_in(&scratch[..len], show) {
                    Heard::Talk => return len,
                    Heard::Fin => (len, Theirs::Fin),
                }
            }
            Err(err) if err.kind() == io::ErrorKind::Interrupted => return 0,
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                self.server.readable = false;
                return 0;
            }
            Err(err) => (0, Theirs::Lost(err)),
        };
        self.theirs = theirs;
        self.progress_at = now;
        received
    }

    fn hear_the_end(&mut self, show: &mut impl FnMut(Said<'_>)) -> Theirs {
        // After a failed write this is the end that a reset made, and what it cut off is not a line.
        if matches!(self.ours, Ours::Failed(_)) || self.transcript.finish(show) == Heard::Talk {
            Theirs::Ended
        } else {
            Theirs::Fin
        }
    }

    /// When to call [`Conversation::hear_silence`]: only while the server is one that may not end its lines, and has
    /// begun one.
    pub fn silence_at(&self) -> Option<Instant> {
        let may_lack_ends = matches!(self.theirs, Theirs::Talking) && self.transcript.holds_a_message();
        self.flush_after.filter(|_| may_lack_ends).map(|after| self.heard_at + after)
    }

    /// Takes what lacks its end as a line, if the server has been silent for long enough. To be called when the poller
    /// has just told all that it knows, so that nothing waits to be read.
    pub fn hear_silence(&mut self, now: Instant, show: &mut impl FnMut(Said<'_>)) {
        let is_silent = !self.server.readable && self.silence_at().is_some_and(|at| at <= now);
        if is_silent && self.transcript.finish(show) == Heard::Fin {
            self.theirs = Theirs::Fin;
            self.progress_at = now;
        }
    }

    /// What kind of server it is, as far as it has said.
    pub fn peer(&self) -> Peer {
        self.transcript.peer()
    }

    /// How much longer the conversation may stand still: no limit while both sides talk.
    pub fn patience(&self) -> Option<Duration> {
        if self.is_two_sided() { None } else { Some(GRACE.saturating_sub(self.progress_at.elapsed())) }
    }

    /// Whether both sides talk.
    pub fn is_two_sided(&self) -> bool {
        matches!((&self.ours, &self.theirs), (Ours::Talking, Theirs::Talking))
    }

    /// Whether our half has not ended: it is the server, or the network, that does what happens now.
    pub fn is_ours_open(&self) -> bool {
        matches!(self.ours, Ours::Talking | Ours::Failed(_))
    }

    /// Whether both sides have ended. (All may not be shown yet.)
    pub fn is_over(&self) -> bool {
        match self.theirs {
            Theirs::Talking => false,
            // The server may close its half and still take what we had to say.
            Theirs::Ended => !matches!(self.ours, Ours::Ending),
            Theirs::Fin | Theirs::Lost(_) => true,
        }
    }

    /// What is to be said of the conversation, now that it is over or stands still.
    pub fn outcome(self) -> Outcome {
        match (self.theirs, self.ours) {
            (Theirs::Fin, _) | (Theirs::Talking | Theirs::Ended, Ours::Ended) => Outcome::Complete,
            (Theirs::Lost(source), _) | (_, Ours::Failed(source)) => Outcome::Lost(source),
            (_, Ours::Ending) => Outcome::Unsent(self.outbox.len()),
            (_, Ours::Talking) => Outcome::Closed,
        }
    }

    /// How many bytes may be put in to be said.
    pub fn room_bytes(&self) -> usize {
        self.outbox.room_bytes()
    }

    /// How many bytes the server has yet to take.
    pub fn waiting_bytes(&self) -> usize {
        self.outbox.len()
    }

    /// Whether [`Conversation::send`] can do something.
    pub fn may_send(&self) -> bool {
        self.server.writable && !matches!(self.ours, Ours::Failed(_)) && !self.outbox.is_empty()
    }

    /// Whether [`Conversation::receive`] can do something.
    pub fn may_receive(&self) -> bool {
        self.server.readable && matches!(self.theirs, Theirs::Talking)
    }
}
