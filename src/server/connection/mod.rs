//! One client: its socket, what it has sent of a line, and what it is owed.

pub mod input;
mod output;
mod protocol;

use std::io;
use std::time::{Duration, Instant};

use super::flow::brake::RecentTraffic;
use super::flow::rate::Rate;
use super::flow::stall::Stall;
use super::limits::GRACE;
use super::web::exchange::Exchange;
use crate::net::stream::Socket;
use crate::relay::cursor::{Cursor, Pace};
use crate::relay::room::MemberId;
use crate::relay::tape::{Position, Span, Tape};
use input::Input;
use protocol::Protocol;

pub use protocol::{Farewell, Vigil};

/// Who is meant, though the key of a connection may since have passed to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle {
    /// The key in the slab.
    pub key: usize,
    /// Its serial number.
    pub serial: Serial,
}

/// The serial number of a connection, never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Serial(u64);

impl Serial {
    /// The one after it.
    pub fn next(self) -> Serial {
        Serial(self.0 + 1)
    }
}

/// How far the input of a connection is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadState {
    /// Until nothing was left. The next edge will tell.
    Drained,
    /// There may be more, and its turn will come: it is on the list.
    Queued,
    /// There may be more, but it is not read before it takes some of the replies that it provoked, or of what was said.
    Held,
    /// There is more, a line that is to be answered, and others are answered first: it is on the list.
    Asking,
    /// There may be more, but it has said as much of late as it may.
    Throttled,
    /// To its end.
    Ended,
}

/// Whether the socket takes output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// As far as is known.
    Writable,
    /// Not before the next edge.
    Blocked,
    /// It would, but is not written to before it is known whether it speaks our protocol.
    Withheld,
    /// A write failed. What is left to read is still read.
    Broken,
    /// We ended it.
    Shut,
}

/// The life of a connection, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// At the page's door: not in the room, and owed nothing of what is said there.
    Visiting,
    /// In the room, on this seat.
    Present(MemberId),
    /// No longer (or never) in the room, and still owed what was said before.
    Leaving,
    /// It has all that, and is being told `FIN`.
    Parting,
    /// It was told all. We wait for its end, so that unread input does not destroy what the kernel still has to send.
    Lingering,
    /// To be removed when no event can mean it any more.
    Gone,
}

/// What the output of a settled connection needs from the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Nothing before the next event.
    Nothing,
    /// To be settled again: it could take more.
    Flush,
    /// To be removed.
    Removal,
}

/// One client. 56 bytes over a plain socket; an idle one that speaks in lines owns no heap.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    /// What it last put on the tape, and when.
    pub served: RecentTraffic,
    /// Where it is in its life.
    pub phase: Phase,
    /// How far it is read.
    pub input: ReadState,
    /// Whether it takes output.
    pub output: Output,
    /// Whether it is on the list of those to be settled in any case.
    pub is_touched: bool,
    serial: Serial,
    /// Its place on the tape.
    pub reader: Cursor,
    busy: Option<Box<Busy>>,
}

/// What only a connection has with which something is going on; and a visitor's or a browser's, idle or not: so what
/// an idle one does not need is boxed once more.
#[derive(Debug, Default)]
struct Busy {
    protocol: Protocol,
    intake: Option<Box<Input>>,
    /// What it alone is told, in whole lines or frames (but for the first, of which a part may have been written).
    private: Vec<u8>,
    /// How much of `private` is written.
    private_sent: usize,
    leaving: Option<Box<Leaving>>,
    /// While it is waited for.
    stall: Option<Box<Stall>>,
}

/// What falling off the tail of the tape cost one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overtaken {
    /// Whether it had kept up until then.
    pub is_new: bool,
    /// How many lines of others it passed unseen.
    pub missed_lines: u64,
}

/// What makes a connection wait to be read.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// So many private bytes that it has not taken.
    pub private_bytes_max: usize,
    /// So many own stretches ahead of it on the tape.
    pub holes_max: usize,
}

/// What a leaver has besides.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    /// The end of what it is owed.
    stop: Position,
    /// What it is told then.
    farewell: Farewell,
    /// When it is given up, unless it takes something until then.
    deadline: Instant,
}

impl<S: Socket> Connection<S> {
    /// One who has come in.
    pub fn present(stream: S, serial: Serial, seat: MemberId, reader: Cursor) -> Connection<S> {
        Connection::new(stream, serial, Phase::Present(seat), reader)
    }

    /// One who is refused at `end`, and owed nothing of what is said.
    pub fn refused(stream: S, serial: Serial, end: Position) -> Connection<S> {
        Connection::new(stream, serial, Phase::Leaving, Cursor::at(end))
    }

    /// One who has come to the page's door at `end`, until when it has to ask for something.
    pub fn visitor(stream: S, serial: Serial, end: Position, visit: Exchange) -> Connection<S> {
        let mut connection = Connection::new(stream, serial, Phase::Visiting, Cursor::at(end));
        connection.busy = Some(Box::new(Busy { protocol: Protocol::Http(Box::new(visit)), ..Busy::default() }));
        connection
    }

    fn new(stream: S, serial: Serial, phase: Phase, reader: Cursor) -> Connection<S> {
        Connection {
            stream,
            served: RecentTraffic::default(),
            phase,
            input: ReadState::Drained,
            output: Output::Writable,
            is_touched: false,
            serial,
            reader,
            busy: None,
        }
    }

    /// What it is known by, under this key.
    pub fn handle(&self, key: usize) -> Handle {
        Handle { key, serial: self.serial }
    }

    /// Its socket.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Reads once.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    /// What was received and not heard yet, to be put back with [`put_intake`](Connection::put_intake).
    pub fn take_intake(&mut self) -> Input {
        self.intake_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Keeps what was received and not heard yet.
    pub fn put_intake(&mut self, mut intake: Input, now: Instant) {
        if intake.tidy(now) {
            self.tidy(now);
        } else {
            **self.busy.get_or_insert_default().intake.get_or_insert_default() = intake;
        }
    }

    /// What was received and not heard yet, if anything was.
    pub fn intake_mut(&mut self) -> Option<&mut Input> {
        self.busy.as_mut()?.intake.as_deref_mut()
    }

    /// Whether its silence is listed under this deadline.
    pub fn is_listed(&self, deadline: Instant) -> bool {
        self.intake().is_some_and(|intake| intake.listed == Some(deadline))
    }

    /// Whether others may tell it `bytes` more, so that at most `bytes_max` wait for it.
    pub fn has_room_for(&self, bytes: usize, bytes_max: usize) -> bool {
        self.takes_output() && self.private_bytes() + bytes <= bytes_max
    }

    /// How many private bytes it has not taken yet.
    pub fn private_bytes(&self) -> usize {
        self.busy.as_ref().map_or(0, |busy| busy.private.len() - busy.private_sent)
    }

    /// Begins its farewell: it is owed what comes before `stop`, and has a grace time for taking it.
    pub fn leave(&mut self, stop: Position, farewell: Farewell, now: Instant) {
        self.phase = Phase::Leaving;
        let busy = self.busy.get_or_insert_default();
        busy.leaving = Some(Box::new(Leaving { stop, farewell, deadline: now + GRACE }));
        busy.intake = None;
        busy.protocol.end_input();
        self.release();
    }

    /// When it is given up, if it is leaving and takes nothing.
    pub fn deadline(&self) -> Option<Instant> {
        self.leaving().map(|leaving| leaving.deadline)
    }

    /// The end of what it is owed of the tape.
    pub fn stop(&self, tape: &Tape) -> Position {
        if self.phase == Phase::Visiting {
            return self.reader.cursor();
        }
        self.leaving().map_or(tape.end(), |leaving| leaving.stop)
    }

    /// How many bytes of the tape it is behind, if it is to lose nothing: one who lags anyway, or whom nothing can reach
    /// any more, is not waited for.
    pub fn healthy_bytes_behind(&self, tape: &Tape) -> u64 {
        let is_owed = self.reader.cursor().offset < self.stop(tape).offset;
        let is_healthy = is_owed && self.takes_output() && !self.reader.is_lagging();
        if is_healthy { tape.end().offset - self.reader.cursor().offset } else { 0 }
    }

    /// Moves its place on if the tail of the tape has overtaken it.
    pub fn keep_up(&mut self, tape: &Tape) -> Option<Overtaken> {
        // In nearly all cases that is all.
        if self.reader.cursor().offset >= tape.tail() || !self.takes_output() {
            return None;
        }
        let stop = self.stop(tape);
        self.overtaken_by(|reader| reader.keep_up(tape, stop))
    }

    /// Keeps it from being given what it just said itself.
    pub fn skip_own(&mut self, span: Span) -> Option<Overtaken> {
        self.overtaken_by(|reader| reader.skip_own(span))
    }

    fn overtaken_by(&mut self, step: impl FnOnce(&mut Cursor) -> Pace) -> Option<Overtaken> {
        let (is_new, missed_before) = (!self.reader.is_lagging(), self.reader.missed());
        let is_overtaken = step(&mut self.reader) == Pace::Overtaken;
        is_overtaken.then(|| Overtaken { is_new, missed_lines: self.reader.missed() - missed_before })
    }

    /// Sees whether it is waited for, and how far it has come. What it returns is a deadline that it is to be listed
    /// under.
    pub fn watch_stall(&mut self, tape: &Tape, now: Instant, timeout: Duration) -> Option<Instant> {
        let is_waited_for = self.healthy_bytes_behind(tape) > 0;
        let (cursor, end) = (self.reader.cursor().offset, self.stop(tape).offset);
        if !is_waited_for {
            if let Some(busy) = &mut self.busy {
                busy.stall = None;
                self.tidy(now);
            }
            return None;
        }
        let stall = &mut self.busy.get_or_insert_default().stall;
        if let Some(stall) = stall {
            stall.update(cursor, end, now, timeout);
            return None;
        }
        let begun = Stall::begin(cursor, end, now, timeout);
        *stall = Some(Box::new(begun));
        Some(begun.armed())
    }

    /// The next deadline that it is to be listed under, now that one has come; `None` if it had to take enough until this
    /// one, and is not waited for any more.
    pub fn list_stall_again(&mut self, now: Instant) -> Option<Instant> {
        let stall = &mut self.busy.as_mut()?.stall;
        let later = stall.as_mut()?.rearm(now);
        if later.is_none() {
            *stall = None;
        }
        later
    }

    /// Whether it is listed under this deadline as one who is waited for.
    pub fn is_stall_listed(&self, deadline: Instant) -> bool {
        let stall = self.busy.as_ref().and_then(|busy| busy.stall.as_ref());
        stall.is_some_and(|stall| stall.armed() == deadline)
    }

    /// Why nothing can reach it any more, and nothing more comes from it but what is there already; `None` as long as it may
    /// be well. Asks the kernel.
    pub fn take_error(&self) -> Option<io::Error> {
        if self.output == Output::Broken { Some(io::ErrorKind::BrokenPipe.into()) } else { self.stream.take_error() }
    }

    /// When it may go on talking, if it talks faster than it may.
    pub fn next_line_at(&self, rate: Rate, now: Instant) -> Option<Instant> {
        self.intake()?.bucket.next_at(rate, now)
    }

    /// Whether it has to take something before more of it is heard: a visitor, all that it was answered.
    pub fn is_held(&self, holds: ReadLimits) -> bool {
        let private_bytes_max = if self.phase == Phase::Visiting { 1 } else { holds.private_bytes_max };
        self.private_bytes() >= private_bytes_max || self.reader.holes_ahead() >= holds.holes_max
    }

    /// Whether it is to be read though no event says so: it was held and may go on (or has left, and is only drained),
    /// or a write failed and what is left to read ends it.
    pub fn wants_reading(&self, holds: ReadLimits) -> bool {
        let is_heard = matches!(self.phase, Phase::Present(_) | Phase::Visiting);
        match self.input {
            ReadState::Held => !is_heard || !self.is_held(holds),
            ReadState::Throttled => !is_heard,
            ReadState::Drained => is_heard && self.output == Output::Broken,
            ReadState::Queued | ReadState::Asking | ReadState::Ended => false,
        }
    }

    /// Gives it what was withheld until it was known what it speaks. Whether there was anything to be given.
    pub fn release(&mut self) -> bool {
        let is_withheld = self.output == Output::Withheld;
        if is_withheld {
            self.output = Output::Writable;
        }
        is_withheld
    }

    fn intake(&self) -> Option<&Input> {
        self.busy.as_ref()?.intake.as_deref()
    }

    fn leaving(&self) -> Option<&Leaving> {
        self.busy.as_ref()?.leaving.as_deref()
    }

    fn takes_output(&self) -> bool {
        matches!(self.output, Output::Writable | Output::Blocked | Output::Withheld)
    }

    fn tidy(&mut self, now: Instant) {
        if self.busy.as_mut().is_some_and(|busy| busy.tidy(now)) {
            self.busy = None;
        }
    }
}

impl Busy {
    /// Whether it is a browser's, and nothing else is going on.
    fn is_idle_browser(&self) -> bool {
        matches!(self.protocol, Protocol::WebSocket(_)) && self.private.is_empty() && self.intake.is_none()
    }

    /// Whether nothing is kept that is still of account at `now`.
    fn tidy(&mut self, now: Instant) -> bool {
        if self.intake.as_mut().is_some_and(|intake| intake.tidy(now)) {
            self.intake = None;
        }
        let is_quiet = self.intake.is_none() && self.leaving.is_none() && self.stall.is_none();
        is_quiet && self.private.is_empty() && self.protocol.is_plain()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::SocketAddr;

    use super::*;

    /// A socket that takes a KiB, and then blocks.
    struct KibibyteSocket {
        is_full: bool,
    }

    impl Read for KibibyteSocket {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    impl Write for KibibyteSocket {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.is_full = !self.is_full;
            if self.is_full { Ok(bytes.len().min(1_024)) } else { Err(io::ErrorKind::WouldBlock.into()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Socket for KibibyteSocket {
        fn shutdown_write(&self) -> io::Result<()> {
            Ok(())
        }

        fn peer_address(&self) -> io::Result<SocketAddr> {
            Err(io::ErrorKind::NotConnected.into())
        }
    }

    #[test]
    fn an_idle_connection_is_small() {
        assert_eq!(size_of::<Cursor>(), 24);
        // As in a release build: mio's socket is no larger than this one, but for a check in debug builds.
        assert_eq!(size_of::<Connection<std::net::TcpStream>>(), 56);
        // What a browser has besides, beside its WebSocket.
        assert_eq!(size_of::<Busy>(), 72);
    }

    #[test]
    fn private_lines_that_were_taken_do_not_pile_up() {
        let tape = Tape::new(1_024).unwrap();
        let socket = KibibyteSocket { is_full: false };
        let mut connection = Connection::refused(socket, Serial::default(), tape.end());
        connection.tell(&"x".repeat(32 * 1_024));
        for _ in 0..10_000 {
            connection.tell(&"x".repeat(1_024));
            connection.output = Output::Writable;
            connection.settle(&tape, usize::MAX, Instant::now(), &mut 0);
        }
        let busy = connection.busy.as_ref().unwrap();
        assert_eq!(busy.private.len() - busy.private_sent, 32 * 1_024);
        assert!(busy.private.capacity() <= 256 * 1_024, "{} bytes are kept", busy.private.capacity());
    }
}
