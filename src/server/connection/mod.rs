//! A connection: its socket, its phase, its unprocessed input, and its place on the tape.

mod farewell;
pub mod input;
mod moving;
mod output;
mod protocol;
mod sealing;
mod telnet;
mod tracking;

use std::io;
use std::time::{Duration, Instant};

use super::flow::brake::RecentTraffic;
use super::flow::rate::Rate;
use super::flow::stall::Stall;
use super::limits::GRACE;
use super::web::exchange::Exchange;
use crate::net::outbox::Outbox;
use crate::net::stream::Socket;
use crate::relay::cursor::{Cursor, Dialect, Pace};
use crate::relay::directory::RoomId;
use crate::relay::roster::MemberId;
use crate::relay::tape::{Position, Span, Tape};
use input::Input;
use protocol::Protocol;
use sealing::Tls;

pub use farewell::{Farewell, LastWords, LineHabit};
pub use protocol::{PingStep, Unframed};
pub use sealing::{Heard, SealedInput};

/// The identity of a connection. Its key in the slab may pass to another connection, its serial number does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle {
    /// The key in the slab.
    pub key: usize,
    /// The serial number.
    pub serial: Serial,
}

/// The serial number of a connection, never reused.
///
/// 48 bits in big-endian order: enough for a thousand connections a second over nine thousand years, and two bytes less
/// than a `u64`, which [`Connection`] needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Serial([u8; 6]);

impl Serial {
    /// Returns the number after this one.
    pub fn next(self) -> Serial {
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(&self.0);
        let mut next = [0; 6];
        next.copy_from_slice(&(u64::from_be_bytes(bytes) + 1).to_be_bytes()[2..]);
        Serial(next)
    }
}

/// The kind of peer behind a connection. [`Connections`](super::hub) counts connections by role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The operator at the console.
    Console,
    /// A peer on the line port that is not in the room yet, or was found to speak another protocol before it was.
    Entering,
    /// A client that is or was in the room.
    Client,
    /// A peer on the page's port that has not opened a WebSocket.
    Visitor,
    /// A peer on the port of metrics.
    Scraper,
    /// A peer that is refused, and is told the reason.
    Refused,
    /// A peer on the socket of `--control`.
    Operator,
}

/// The way in which the bytes of a client are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Lines over TCP, or over a Unix socket.
    Tcp,
    /// Lines over TLS.
    Tls,
    /// The frames of a browser, with TLS or without.
    Web,
}

impl Transport {
    /// Number of transports: the last one, and those before it.
    pub const COUNT: usize = Transport::Web as usize + 1;

    /// Labels in the log and in metrics, in the order of the variants.
    pub const LABELS: [&str; Transport::COUNT] = ["tcp", "tls", "web"];
}

impl Role {
    /// Number of roles: the last one, and those before it.
    pub const COUNT: usize = Role::Operator as usize + 1;
}

/// The life of a connection, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Connected, bounded, on a deadline, and owed no bytes of the tape. An operator stays so, without a deadline.
    Entering,
    /// In a room, as this member.
    Present(MemberId),
    /// On the way to another room: still sent the tape of the last one up to where it left, and not read.
    Moving(MemberId),
    /// No longer (or never) in a room, and closed step by step.
    Closing,
    /// To be removed at the end of the turn, when no event of the batch can reach a newcomer with the same key.
    Gone,
}

/// Whether, and when, a connection is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadState {
    /// Drained: the next edge announces more.
    Idle,
    /// On the ready queue: there may be more.
    Ready,
    /// On the asking queue: the next line needs an answer, and this turn's budget of replies is spent.
    Asking,
    /// Blocked until the client takes some of what it is owed.
    Held,
    /// Blocked by `--rate` until a timer fires.
    Throttled,
    /// Read to its end.
    Ended,
}

/// Whether the socket takes output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// As far as is known.
    Writable,
    /// Not before the next writable event.
    Blocked,
    /// A write failed. Unread input is still read.
    Broken,
}

/// The next step of a connection after its flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Nothing before the next event.
    Nothing,
    /// A flush after the pause before its next last word, whose timer the caller sets.
    Pause,
    /// Nothing before the next event: the socket took less than it was offered.
    Blocked,
    /// Nothing before its EOF: this flush has ended its output.
    Linger,
    /// A further flush: the socket may take more.
    Flush,
    /// Word of what it missed, which the caller knows.
    GapNotice,
    /// The next room: it was sent all of the last one.
    Arrive,
    /// Removal.
    Removal,
}

/// A connection. 56 bytes over a plain socket; an idle client on the line port owns no heap.
///
/// Invariants, checked by [`check_invariants`](Connection::check_invariants):
/// - `phase` is `Closing` or `Moving` exactly while `busy.departure` is set (or the connection is `Gone`);
/// - the cursor of an `Entering` connection is the default one: no tape, no missed lines;
/// - `busy` is `None` unless it holds something.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    /// Bytes that it last put on the tape, and when.
    pub recent: RecentTraffic,
    /// Where it is in its life.
    pub phase: Phase,
    /// The kind of peer; changed by `Connections` alone, which counts.
    pub(super) role: Role,
    /// Whether, and when, it is read next.
    pub read_state: ReadState,
    /// Whether it takes output.
    pub output: Output,
    /// Whether it is on the dirty list, and so flushed even if the tape does not move.
    pub is_dirty: bool,
    /// The way in which it ends its lines: known if it is tracked, or with `--flush-after`.
    pub habit: LineHabit,
    serial: Serial,
    /// Its place on the tape.
    pub cursor: Cursor,
    busy: Option<Box<Busy>>,
}

/// State that an active connection needs, and every browser or visitor. Fields that an idle browser does not need are
/// boxed once more.
#[derive(Debug, Default)]
struct Busy {
    protocol: Protocol,
    input: Option<Box<Input>>,
    /// Bytes for this client alone, in whole lines or frames (of the first, a part may have been written).
    outbox: Outbox,
    departure: Option<Box<Departure>>,
    /// Set while the room waits for this reader (`--lag wait`).
    stall: Option<Box<Stall>>,
    /// Set on a port that speaks TLS.
    tls: Option<Box<Tls>>,
}

/// A reader that the tail of the tape has overtaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overtaken {
    /// Whether it had kept up until then.
    pub is_new: bool,
    /// Lines of others that it skipped unread.
    pub missed_lines: u64,
}

/// Limits beyond which a connection is not read.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Private bytes that it has not taken.
    pub private_bytes_max: usize,
    /// Holes ahead of it on the tape.
    pub holes_max: usize,
}

/// The end of its time in a room.
#[derive(Clone, Copy, Debug)]
struct Departure {
    /// The room whose tape it is owed; `None` if it never was in one.
    room: Option<RoomId>,
    /// The end of the tape that it is owed.
    stop: Position,
    end: DepartureEnd,
}

/// The sequel of a departure.
#[derive(Clone, Copy, Debug)]
enum DepartureEnd {
    Close(Closing),
    /// It enters this room.
    Move(RoomId),
}

/// The end of a connection.
#[derive(Clone, Copy, Debug)]
struct Closing {
    step: ClosingStep,
    farewell: Farewell,
    /// The connection is dropped at this time, unless it takes something until then.
    deadline: Instant,
}

/// Step of a closing connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClosingStep {
    /// It is sent the rest of its outbox and of the tape.
    Draining,
    /// It is sent its farewell.
    SayingFarewell,
    /// Its output is shut down. We wait for its EOF, so that unread input does not destroy bytes that the kernel still
    /// sends.
    Lingering,
}

impl<S: Socket> Connection<S> {
    /// Creates a connection on the line port.
    pub fn entering(stream: S, serial: Serial, role: Role) -> Connection<S> {
        Connection {
            stream,
            recent: RecentTraffic::default(),
            phase: Phase::Entering,
            role,
            read_state: ReadState::Idle,
            output: Output::Writable,
            is_dirty: false,
            habit: LineHabit::Unknown,
            serial,
            cursor: Cursor::at(Position::default(), Dialect::Plain),
            busy: None,
        }
    }

    /// Creates a connection that speaks HTTP.
    pub fn visitor(stream: S, serial: Serial, role: Role, exchange: Exchange) -> Connection<S> {
        let mut connection = Connection::entering(stream, serial, role);
        connection.busy = Some(Box::new(Busy { protocol: Protocol::Http(Box::new(exchange)), ..Busy::default() }));
        connection
    }

    /// Makes it a member of the room that reads from `cursor` on.
    pub fn enter(&mut self, member: MemberId, cursor: Cursor) {
        debug_assert_eq!(self.phase, Phase::Entering);
        self.phase = Phase::Present(member);
        self.cursor = cursor;
    }

    /// Returns the identity of this connection, which has this key.
    pub fn handle(&self, key: usize) -> Handle {
        Handle { key, serial: self.serial }
    }

    /// Returns the kind of peer.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Returns the socket.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Returns the transport of a member: it does not change while it is one.
    pub fn transport(&self) -> Transport {
        match (self.is_browser(), self.is_sealed()) {
            (true, _) => Transport::Web,
            (false, true) => Transport::Tls,
            (false, false) => Transport::Tcp,
        }
    }

    /// Takes out the input that is not processed yet, to be put back with [`put_input`](Connection::put_input).
    pub fn take_input(&mut self) -> Input {
        self.input_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Keeps input that is not processed yet.
    pub fn put_input(&mut self, mut input: Input, now: Instant) {
        if input.free_unused(now) {
            self.free_unused(now);
        } else {
            **self.busy.get_or_insert_default().input.get_or_insert_default() = input;
        }
    }

    /// Returns the input that is not processed yet, if there is any.
    pub fn input(&self) -> Option<&Input> {
        self.busy.as_ref()?.input.as_deref()
    }

    /// Returns the input that is not processed yet, if there is any.
    pub fn input_mut(&mut self) -> Option<&mut Input> {
        self.busy.as_mut()?.input.as_deref_mut()
    }

    /// Whether other clients may add `bytes` to its outbox without exceeding `bytes_max`.
    pub fn has_room_for(&self, bytes: usize, bytes_max: usize) -> bool {
        self.takes_output() && self.outbox_bytes() + bytes <= bytes_max
    }

    /// Returns how many private bytes it has not taken yet.
    pub fn outbox_bytes(&self) -> usize {
        self.busy.as_ref().map_or(0, |busy| busy.outbox.len())
    }

    /// Begins to close it: it is still sent the tape of `room` before `stop`, then its farewell, and is dropped if it
    /// takes nothing for [`GRACE`].
    pub fn begin_close(&mut self, room: Option<RoomId>, stop: Position, farewell: Farewell, now: Instant) {
        self.phase = Phase::Closing;
        let busy = self.busy.get_or_insert_default();
        let end = DepartureEnd::Close(Closing { step: ClosingStep::Draining, farewell, deadline: now + GRACE });
        busy.departure = Some(Box::new(Departure { room, stop, end }));
        busy.input = None;
        busy.protocol.end_input();
        self.drop_opened();
    }

    /// Returns the time at which it is dropped, if it is closing and takes nothing.
    pub fn deadline(&self) -> Option<Instant> {
        self.closing().map(|closing| closing.deadline)
    }

    /// Whether its output is shut down, and only its EOF is missing.
    pub fn is_lingering(&self) -> bool {
        self.closing().is_some_and(|closing| closing.step == ClosingStep::Lingering)
    }

    /// Whether it was sent all but its farewell, at least: if need be, a refused connection can be closed.
    pub fn is_told(&self) -> bool {
        self.is_lingering() || self.pause_end().is_some()
    }

    /// Returns the end of the tape that it is owed.
    pub fn stop(&self, tape: &Tape) -> Position {
        match self.phase {
            Phase::Entering => Position::default(),
            _ => self.departure().map_or(tape.end(), |departure| departure.stop),
        }
    }

    /// Returns the bytes of tape that it has not been sent. Returns 0 if it lags, is owed none, or takes no output: the
    /// brake does not wait for such a reader.
    pub fn healthy_bytes_behind(&self, tape: &Tape) -> u64 {
        let is_owed = self.cursor.offset() < self.stop(tape).offset;
        let is_healthy = is_owed && self.takes_output() && !self.cursor.is_lagging();
        if is_healthy { tape.end().offset - self.cursor.offset() } else { 0 }
    }

    /// Moves its cursor on if the tail of the tape has overtaken it.
    pub fn catch_up(&mut self, tape: &Tape) -> Option<Overtaken> {
        // The common case.
        if self.cursor.offset() >= tape.tail() || !self.takes_output() {
            return None;
        }
        let (view, stop) = (self.view(tape), self.stop(tape));
        self.overtaken_by(|cursor| cursor.catch_up(view, stop))
    }

    /// Makes the cursor skip a line that this connection just put on the tape.
    pub fn skip_own(&mut self, span: Span) -> Option<Overtaken> {
        self.overtaken_by(|cursor| cursor.skip_own(span))
    }

    fn overtaken_by(&mut self, step: impl FnOnce(&mut Cursor) -> Pace) -> Option<Overtaken> {
        let (is_new, missed_before) = (!self.cursor.is_lagging(), self.cursor.missed());
        let is_overtaken = step(&mut self.cursor) == Pace::Overtaken;
        is_overtaken.then(|| Overtaken { is_new, missed_lines: self.cursor.missed() - missed_before })
    }

    /// Updates the stall deadline of a reader that the room waits for. Returns a deadline if a timer must be set.
    pub fn watch_stall(&mut self, tape: &Tape, now: Instant, timeout: Duration) -> Option<Instant> {
        let is_waited_for = self.healthy_bytes_behind(tape) > 0;
        let (cursor, end) = (self.cursor.offset(), self.stop(tape).offset);
        if !is_waited_for {
            if let Some(busy) = &mut self.busy {
                busy.stall = None;
                self.free_unused(now);
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

    /// Returns the next stall deadline, now that the one before is over. With a `timeout` it begins anew. `None` if the
    /// reader has not taken enough in time; then the room no longer waits for it.
    pub fn rearm_stall(&mut self, timeout: Option<Duration>, now: Instant) -> Option<Instant> {
        let stall = &mut self.busy.as_mut()?.stall;
        if let Some(timeout) = timeout {
            stall.as_mut()?.postpone(now + timeout);
        }
        let later = stall.as_mut()?.rearm(now);
        if later.is_none() {
            *stall = None;
        }
        later
    }

    /// Whether its stall timer is set to this deadline.
    pub fn is_stall_armed(&self, deadline: Instant) -> bool {
        let stall = self.busy.as_ref().and_then(|busy| busy.stall.as_ref());
        stall.is_some_and(|stall| stall.armed() == deadline)
    }

    /// Returns the error that ended the connection; `None` if none is known. Asks the kernel.
    pub fn take_error(&self) -> Option<io::Error> {
        if self.output == Output::Broken { Some(io::ErrorKind::BrokenPipe.into()) } else { self.stream.take_error() }
    }

    /// Returns the time at which `--rate` allows its next line; `None` for now.
    pub fn next_line_at(&self, rate: Rate, now: Instant) -> Option<Instant> {
        self.input()?.bucket.next_at(rate, now)
    }

    /// Whether the server reads no more of it until it takes output. A visitor has to take all of its last answer.
    ///
    /// Not inlined: the walk over the readers would keep more registers, which costs a delivery seven instructions of
    /// 130 (`cargo bench --bench micro -- 'one line to 1000$'` under callgrind).
    #[inline(never)]
    pub fn is_held(&self, limits: ReadLimits) -> bool {
        let private_bytes_max = if self.phase == Phase::Entering { 1 } else { limits.private_bytes_max };
        self.outbox_bytes() + self.unsent_bytes() >= private_bytes_max || self.cursor.holes_ahead() >= limits.holes_max
    }

    /// Whether it waits for the server to read it.
    pub fn is_unread(&self) -> bool {
        matches!(self.read_state, ReadState::Ready | ReadState::Asking)
    }

    /// Whether it must be read without an event. That is so in three cases: it is no longer held, it was held or
    /// throttled and now closes, or a write failed while it was idle.
    pub fn wants_reading(&self, limits: ReadLimits) -> bool {
        if let Phase::Moving(_) = self.phase {
            return false;
        }
        let is_processed = matches!(self.phase, Phase::Present(_) | Phase::Entering);
        match self.read_state {
            ReadState::Held => !is_processed || !self.is_held(limits),
            ReadState::Throttled => !is_processed,
            ReadState::Idle => is_processed && self.output == Output::Broken,
            ReadState::Ready | ReadState::Asking | ReadState::Ended => false,
        }
    }

    /// Panics if an invariant of the connection does not hold.
    pub fn check_invariants(&self, tape: &Tape) {
        let has_fit = match self.departure().map(|departure| departure.end) {
            None => matches!(self.phase, Phase::Entering | Phase::Present(_)),
            Some(DepartureEnd::Close(_)) => self.phase == Phase::Closing,
            Some(DepartureEnd::Move(_)) => matches!(self.phase, Phase::Moving(_)),
        };
        assert!(self.phase == Phase::Gone || has_fit, "a departure has a state: {:?}", self.phase);
        if self.phase == Phase::Entering {
            assert!(self.cursor.is_plain() && self.cursor.offset() == 0, "no tape before the room");
        }
        assert!(self.cursor.offset() <= tape.end().offset, "the cursor stands on the tape");
        let unsent = self.outbox_bytes() + self.unsent_bytes();
        assert!(!self.is_lingering() || unsent == 0, "nothing is owed after the shutdown");
    }

    fn departure(&self) -> Option<&Departure> {
        self.busy.as_ref()?.departure.as_deref()
    }

    fn closing(&self) -> Option<&Closing> {
        match &self.departure()?.end {
            DepartureEnd::Close(closing) => Some(closing),
            DepartureEnd::Move(_) => None,
        }
    }

    fn closing_mut(&mut self) -> Option<&mut Closing> {
        match &mut self.busy.as_mut()?.departure.as_mut()?.end {
            DepartureEnd::Close(closing) => Some(closing),
            DepartureEnd::Move(_) => None,
        }
    }

    fn closing_step(&self) -> Option<ClosingStep> {
        self.closing().map(|closing| closing.step)
    }

    fn takes_output(&self) -> bool {
        self.output != Output::Broken && !self.is_lingering()
    }

    fn free_unused(&mut self, now: Instant) {
        if self.busy.as_mut().is_some_and(|busy| busy.free_unused(now)) {
            self.busy = None;
        }
    }
}

impl Busy {
    /// Whether it belongs to a browser with an empty outbox and no unprocessed input.
    fn is_idle_browser(&self) -> bool {
        matches!(self.protocol, Protocol::WebSocket(_)) && self.is_idle()
    }

    /// Whether it belongs to a client that speaks in lines, with an empty outbox and no unprocessed input.
    fn is_idle_client(&self) -> bool {
        self.protocol.is_plain() && self.is_idle()
    }

    fn is_idle(&self) -> bool {
        self.outbox.is_empty() && self.input.is_none() && self.tls.as_ref().is_none_or(|tls| tls.is_sent())
    }

    /// Returns the unsent private bytes, and what seals them if there is TLS.
    fn output(&mut self) -> (&[u8], Option<&mut Tls>) {
        (self.outbox.unsent(), self.tls.as_deref_mut())
    }

    /// Frees input that holds nothing at `now`. Returns whether nothing is left to keep.
    fn free_unused(&mut self, now: Instant) -> bool {
        if self.input.as_mut().is_some_and(|input| input.free_unused(now)) {
            self.input = None;
        }
        let is_quiet = self.input.is_none() && self.departure.is_none() && self.stall.is_none() && self.tls.is_none();
        is_quiet && self.outbox.is_empty() && self.protocol.is_plain()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert_eq!(size_of::<Cursor>(), 24);
        // As in a release build: mio's socket is no larger than this one, but for a check in debug builds.
        assert_eq!(size_of::<Connection<std::net::TcpStream>>(), 56);
        // Besides, for a browser, the box of its WebSocket, and with TLS a box, too.
        assert_eq!(size_of::<Busy>(), 80);
        assert_eq!(size_of::<Handle>(), 16);
    }

    #[test]
    fn serial_numbers_are_ordered_across_a_carry() {
        let mut serial = Serial::default();
        for _ in 0..70_000 {
            assert!(serial < serial.next());
            serial = serial.next();
        }
    }
}
