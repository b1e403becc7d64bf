//! The hub: what happens in one turn of the loop, over all connections. No mio, no clock: events, streams and the time
//! come in as values, so that a simulator can drive it as well as a kernel.
//!
//! A turn is [`react`](Hub::react), in which input is heard and nothing is written, then [`settle`](Hub::settle), in
//! which everyone is given what they are owed, and only then the departed are removed: no event of the same batch can
//! reach a newcomer who was given their key.

mod hearing;
mod limits;
mod refusing;
mod silence;
mod stalls;

use std::collections::{TryReserveError, VecDeque};
use std::fmt;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use log::{Level, debug, info, log};
use slab::Slab;

use super::brake::{Brake, Served};
use super::config::{Config, Lag, SCRATCH_BYTES, Seats};
use super::connection::{Connection, Handle, Holds, Input, Need, Output, Overtaken, Phase, Socket};
use super::deadlines::Deadlines;
use super::door::Door;
use super::figures::{Figures, Standing};
use super::rate::Rate;
use super::turn::Turn;
use crate::relay::line::Framing;
use crate::relay::notice;
use crate::relay::reader::HOLES_MAX;
use crate::relay::room::{Audience, Room};
use crate::relay::stranger::Stranger;
use crate::relay::tape::{Position, Tape};
use refusing::{Passed, Reason};

/// What `poll` found out about one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Reading may find something: data, an end or an error.
    pub readable: bool,
    /// Writing may succeed, or find out why it does not.
    pub writable: bool,
}

/// When the hub wants its next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// At once: there is work that no event will announce.
    Now,
    /// At this time, or at the next event.
    At(Instant),
    /// At the next event.
    OnEvent,
}

/// All connections, and the room that they are in.
#[derive(Debug)]
pub struct Hub<S> {
    room: Room,
    connections: Slab<Connection<S>>,
    lists: Lists,
    brake: Brake,
    turn: Turn,
    framing: Framing,
    limits: Limits,
    figures: Figures,
    seats: Seats,
    /// Who may come in, unless everybody may.
    door: Option<Door>,
    /// The key of the operator's console, while there is one.
    console: Option<usize>,
    /// Whether the operator wants the server to stop. Nothing that anybody says is heard after that.
    is_stop_wanted: bool,
    started: Instant,
    /// Who is being refused, the oldest first; with those who are to be removed at the end of this turn.
    refused: Vec<usize>,
    /// The grace times of those who leave; the few who are refused are looked at one by one. One that was extended is put back when it comes up.
    graces: Deadlines,
    /// When silence will have ended the lines that some have begun.
    silences: Deadlines,
    /// When those who talk faster than they may can go on.
    throttled: Deadlines,
    /// When newcomers must have said something, where they must.
    silent_newcomers: Deadlines,
    /// When it was last logged that somebody spoke another protocol.
    stranger_logged: Option<Instant>,
    /// Up to where the tape was when everyone was last given their share.
    settled: Position,
    /// What all reading reads into.
    scratch: Box<[u8]>,
    /// What a line is cleaned into if it was not clean.
    cleaned: String,
}

/// Who waits for what.
#[derive(Debug, Default)]
struct Lists {
    /// Who may have more to read, first in first out: edges are not repeated.
    readable: VecDeque<Handle>,
    /// Who waits for an answer, first in first out.
    asking: VecDeque<Handle>,
    /// Who is to be settled even if the tape does not move.
    touched: Vec<usize>,
    /// Who was far behind when everyone was last looked at, and is to lose nothing.
    far_behind: Vec<usize>,
    /// Who fell off the tail in this turn, and is to be let go for it.
    too_slow: Vec<usize>,
    /// When those who are waited for must have taken enough.
    stalls: Deadlines,
    /// Who is to be removed at the end of this turn.
    gone: Vec<usize>,
}

/// What holds for every connection.
#[derive(Clone, Copy, Debug)]
struct Limits {
    lag: Lag,
    /// The size of the tape, in bytes.
    backlog_bytes: usize,
    /// How long one who is waited for may take for what it must take; `None` where nobody is.
    stall_timeout: Option<Duration>,
    /// What makes a connection wait to be read.
    holds: Holds,
    /// How much each client may say.
    rate: Option<Rate>,
    /// How long one may be here without ever saying anything.
    idle_timeout: Option<Duration>,
    /// Whether every line is answered in private, as an echo server does.
    answers_all: bool,
    /// After how much silence what there is of a line is one, if it ever is.
    flush_after: Option<Duration>,
}

/// What settling a connection needs to know, and what it counts.
struct Settling<'a> {
    tape: &'a Tape,
    limits: Limits,
    figures: &'a mut Figures,
    now: Instant,
}

/// Why somebody left.
#[derive(Debug)]
enum Why {
    Farewell,
    EndOfInput,
    Reset(io::Error),
    /// A write failed, and nothing is left to read.
    Unwritable,
    TooSlow,
    NeverSaidAnything,
    Stranger(Stranger),
    /// The operator wished it.
    Removed,
}

impl<S: Socket> Hub<S> {
    /// A hub without connections.
    ///
    /// # Errors
    /// When there is no memory for the tape.
    pub fn new(config: &Config, seats: Seats, now: Instant) -> Result<Hub<S>, TryReserveError> {
        let brake = Brake::new(config.backlog_bytes, config.longest_line_bytes(), now);
        Ok(Hub {
            room: Room::new(config.room_options())?,
            connections: Slab::new(),
            lists: Lists::default(),
            brake: match config.lag {
                Lag::Skip | Lag::Disconnect => brake,
                Lag::Wait => brake.with_wall(config.backlog_bytes, config.longest_line_bytes()),
            },
            turn: Turn::new(0, 0),
            framing: config.framing(),
            limits: Limits::of(config),
            figures: Figures::default(),
            seats,
            door: Door::new(&config.door),
            console: None,
            is_stop_wanted: false,
            started: now,
            refused: Vec::new(),
            graces: Deadlines::default(),
            silences: Deadlines::default(),
            throttled: Deadlines::default(),
            silent_newcomers: Deadlines::default(),
            stranger_logged: None,
            settled: Position::default(),
            scratch: vec![0; SCRATCH_BYTES].into(),
            cleaned: String::new(),
        })
    }

    /// How many connections there are, those who leave included.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// The key that the next connection will have.
    pub fn next_key(&self) -> usize {
        self.connections.vacant_key()
    }

    /// Whether one more connection could be given a seat, or at least an answer.
    pub fn can_admit(&self) -> bool {
        !self.is_full() || self.refused.len() < self.seats.refusals_max
    }

    /// The key of the operator's console, if it is open.
    pub fn console(&self) -> Option<usize> {
        self.console
    }

    /// Whether the operator wants the server to stop.
    pub fn is_stop_wanted(&self) -> bool {
        self.is_stop_wanted
    }

    /// Takes in the operator's console, one more participant with a seat beside those of the clients: before all others,
    /// and once.
    pub fn open_console(&mut self, stream: S, now: Instant) {
        let key = self.next_key();
        let seconds = self.seconds(now);
        let welcome = self.room.seat_operator(key, seconds);
        let mut connection = Connection::present(stream, welcome.number, welcome.seat, welcome.reader);
        connection.tell(&welcome.private);
        self.lists.touch(key, &mut connection);
        // Its input may be a file, which no event announces.
        self.lists.queue(key, &mut connection);
        self.connections.insert(connection);
        self.console = Some(key);
    }

    /// Takes a new connection in, or tells it why it cannot come in. It is not written to yet. One whom the kernel does not
    /// know any more is closed, if the door would ask where it comes from.
    pub fn admit(&mut self, stream: S, now: Instant) {
        match self.pass_door(&stream) {
            Passed::Gone(error) => debug!("gone before it came in: {error}"),
            Passed::Refused(refusal) => self.refuse(stream, Reason::Door(refusal), now),
            Passed::In(_) if self.is_full() => self.refuse(stream, Reason::FullHouse(self.seats.clients_max), now),
            Passed::In(address) => {
                let key = self.next_key();
                if let (Some(door), Some(address)) = (&mut self.door, address) {
                    door.let_in(key, address);
                }
                let seconds = self.seconds(now);
                let welcome = self.room.join(key, seconds, !self.brake.is_at_wall());
                self.brake.spend(welcome.announced);
                self.figures.came += 1;
                self.figures.present_most = self.figures.present_most.max(self.room.clients());
                info!("client-{} came from {}; {} present", welcome.number, Peer::of(&stream), self.room.clients());
                let mut connection = Connection::present(stream, welcome.number, welcome.seat, welcome.reader);
                connection.tell(&welcome.private);
                self.lists.touch(key, &mut connection);
                self.see_newcomer(key, &connection);
                self.expect_words(Handle { key, number: connection.number() }, now);
                self.connections.insert(connection);
            }
        }
    }

    /// Learns what `poll` said about the connection with this key.
    pub fn on_ready(&mut self, key: usize, readiness: Readiness) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if readiness.readable && connection.input == Input::Drained {
            self.lists.queue(key, connection);
        }
        if readiness.writable && connection.output == Output::Blocked {
            connection.output = Output::Writable;
            self.lists.touch(key, connection);
        }
    }

    /// Hears those who have something to say, each in turn, as far as the budgets allow. Nothing is written.
    pub fn react(&mut self, now: Instant) {
        self.brake.begin_turn(now);
        self.hear_silent(now);
        self.hear_throttled(now);
        self.turn = Turn::new(self.lists.readable.len() + self.lists.asking.len(), self.connections.len());
        self.hear_all(now);
    }

    /// Gives everyone what they are owed, sees who lags and who is slowest, gives up those whose grace is over, and removes
    /// the departed. Returns how many these were.
    pub fn settle(&mut self, now: Instant) -> usize {
        let tape = self.room.tape();
        let touched = mem::take(&mut self.lists.touched);
        let mut settling = Settling { tape, limits: self.limits, figures: &mut self.figures, now };
        if tape.end() == self.settled {
            for key in touched {
                if let Some(connection) = self.connections.get_mut(key) {
                    self.lists.settle(key, connection, &mut settling);
                }
            }
        } else {
            self.lists.far_behind.clear();
            for (key, connection) in &mut self.connections {
                self.lists.settle(key, connection, &mut settling);
                if connection.healthy_bytes_behind(tape) > self.brake.threshold() {
                    self.lists.far_behind.push(key);
                }
            }
            self.settled = tape.end();
        }
        for key in mem::take(&mut self.lists.too_slow) {
            // Whose screen is stuck can still speak and act: the operator goes on, and is told what it missed.
            if self.console == Some(key) {
                continue;
            }
            self.depart(key, &Why::TooSlow, now);
        }
        self.end_stalls(now);
        self.brake.see_slowest(self.slowest_bytes_behind());
        self.end_silent_newcomers(now);
        // Not earlier: one who takes something in this very turn has a new grace.
        self.end_graces(now);
        self.end_graces_of_refused(now);
        self.end_old_refusals();
        self.remove_gone()
    }

    /// When the next turn is wanted.
    pub fn next_wake(&self) -> Wake {
        let is_unsettled = !self.lists.touched.is_empty() || self.room.tape().end() != self.settled;
        if is_unsettled || self.can_hear() {
            return Wake::Now;
        }
        // At the wall it is one who takes something that wakes us, or the end of the patience with one who does not.
        let is_braked = self.lists.input().next().is_some() && !self.brake.is_at_wall();
        let deadlines = [
            is_braked.then(|| self.brake.next_period()),
            self.graces.next(),
            self.next_refusal_end(),
            self.silences.next(),
            self.throttled.next(),
            self.silent_newcomers.next(),
            self.lists.stalls.next(),
        ];
        deadlines.into_iter().flatten().min().map_or(Wake::OnEvent, Wake::At)
    }

    /// Learns how long a turn took.
    pub fn note_turn(&mut self, took: Duration) {
        self.figures.longest_turn = self.figures.longest_turn.max(took);
    }

    /// What was done so far, in a line. The longest turn is counted anew from here.
    pub fn report(&mut self) -> String {
        let (end, tail) = (self.room.tape().end(), self.room.tape().tail());
        let report = self.figures.report(&Standing {
            clients: self.room.clients(),
            connections: self.connections.len(),
            lines: end.line,
            tape_bytes: end.offset,
            held_bytes: end.offset - tail,
            backlog_bytes: self.limits.backlog_bytes,
            slowest_bytes_behind: self.slowest_bytes_behind(),
        });
        self.figures.longest_turn = Duration::ZERO;
        report
    }

    /// Tells all that the server is shutting down, and lets them go.
    pub fn shut_down(&mut self, now: Instant) {
        // Even at the wall: a line is never so long that this would not go there, too.
        let stop = self.room.announce_shutdown();
        let keys: Vec<usize> = self.connections.iter().map(|(key, _)| key).collect();
        for key in keys {
            if let Phase::Present(_) = self.connections[key].phase {
                self.see_off(key, stop, now);
            }
        }
    }

    /// Whether somebody waits to be heard who may be, in a turn that begins now.
    fn can_hear(&self) -> bool {
        let is_at_wall = self.brake.is_at_wall();
        let may_talk = |handle: &Handle| {
            self.connections.get(handle.key).is_none_or(|connection| match connection.phase {
                // At the wall, only what leavers send is heard, and dropped.
                _ if is_at_wall => !matches!(connection.phase, Phase::Present(_)),
                _ => self.brake.may_talk_next_turn(connection.served),
            })
        };
        (is_at_wall || self.brake.may_talk_next_turn(Served::default())) && self.lists.input().any(may_talk)
    }

    /// Takes note of how far behind a newcomer is who is to be shown what was said before.
    fn see_newcomer(&mut self, key: usize, connection: &Connection<S>) {
        let bytes_behind = connection.healthy_bytes_behind(self.room.tape());
        if bytes_behind > self.brake.threshold() {
            self.lists.far_behind.push(key);
            self.brake.see_newcomer(bytes_behind);
        }
    }

    /// How far behind the slowest healthy reader is, if that is far, in bytes. Since the last look at everyone, only
    /// those who were far behind then can be.
    fn slowest_bytes_behind(&self) -> u64 {
        let tape = self.room.tape();
        let connections = self.lists.far_behind.iter().filter_map(|&key| self.connections.get(key));
        connections.map(|connection| connection.healthy_bytes_behind(tape)).max().unwrap_or(0)
    }

    fn is_full(&self) -> bool {
        let clients_and_leavers = self.connections.len() - self.refused.len() - usize::from(self.console.is_some());
        let Seats { clients_max, leavers_max, .. } = self.seats;
        self.room.clients() >= clients_max || clients_and_leavers >= clients_max + leavers_max
    }

    /// Seconds since the start: what the room knows as time.
    fn seconds(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.started).as_secs()).unwrap_or(u32::MAX)
    }

    /// Takes one out of the room. It is owed what was said before; one whom nothing can reach any more is gone.
    fn depart(&mut self, key: usize, why: &Why, now: Instant) {
        let connection = &mut self.connections[key];
        let Phase::Present(seat) = connection.phase else { return };
        let left = self.room.leave(seat, !self.brake.is_at_wall());
        self.brake.spend(left.announced);
        let present = self.room.clients();
        let peer = if self.console == Some(key) { Peer::Console } else { Peer::of(connection.stream()) };
        let level = if let Why::Stranger(_) = why { Level::Debug } else { Level::Info };
        log!(level, "{} left ({why}; {peer}); {present} present", left.name);
        match why {
            Why::TooSlow => self.figures.refused.slow += 1,
            Why::NeverSaidAnything => self.figures.refused.silent += 1,
            Why::Stranger(stranger) => self.figures.count_stranger(*stranger),
            Why::Removed => self.figures.refused.removed += 1,
            Why::Farewell | Why::EndOfInput | Why::Reset(_) | Why::Unwritable => {}
        }
        match why {
            Why::Farewell | Why::EndOfInput => self.see_off(key, left.stop, now),
            Why::TooSlow => {
                connection.reader.give_up(left.stop);
                connection.tell(&notice::too_slow());
                self.see_off(key, left.stop, now);
            }
            Why::NeverSaidAnything => {
                let idle_timeout = self.limits.idle_timeout.unwrap_or_default();
                connection.tell(&notice::never_said_anything(idle_timeout.as_secs()));
                self.see_off(key, left.stop, now);
            }
            Why::Stranger(protocol) => {
                connection.tell(&notice::stranger(*protocol));
                self.see_off(key, left.stop, now);
            }
            Why::Removed => {
                // One who takes nothing is owed no more of what was said, or it could make its removal last.
                if connection.output == Output::Blocked {
                    connection.reader.give_up(left.stop);
                }
                connection.tell(&notice::removed());
                self.see_off(key, left.stop, now);
            }
            Why::Reset(_) | Why::Unwritable => self.lists.remove(key, connection),
        }
    }

    /// Begins the farewell of one who is owed what comes before `stop`.
    fn see_off(&mut self, key: usize, stop: Position, now: Instant) {
        let connection = &mut self.connections[key];
        connection.leave(stop, now);
        self.lists.touch(key, connection);
        let handle = Handle { key, number: connection.number() };
        // Without a number, an entry would seem to be of whoever is refused next under the same key, and count for ever.
        if let (Some(deadline), Some(_)) = (connection.deadline(), handle.number) {
            self.graces.push(deadline, handle);
        }
    }

    /// Gives up those who were let go and have taken nothing for the grace time.
    fn end_graces(&mut self, now: Instant) {
        while let Some((_, handle)) = self.graces.pop_due(now) {
            let Some(connection) = self.connections.get_mut(handle.key) else { continue };
            match connection.deadline() {
                Some(deadline) if connection.number() == handle.number && deadline > now => {
                    self.graces.push(deadline, handle);
                }
                Some(_) if connection.number() == handle.number => self.lists.remove(handle.key, connection),
                _ => {}
            }
        }
    }

    /// Makes room for more refusals by closing those who were told all, if there is no room.
    fn end_old_refusals(&mut self) {
        if self.can_admit() {
            return;
        }
        let connections = &mut self.connections;
        for &key in &self.refused {
            if connections[key].phase == Phase::Lingering {
                self.lists.remove(key, &mut connections[key]);
            }
        }
    }

    fn remove_gone(&mut self) -> usize {
        let refused = self.refused.len();
        let gone = mem::take(&mut self.lists.gone);
        for &key in &gone {
            if self.connections.remove(key).number().is_none() {
                self.refused.retain(|&refused| refused != key);
            }
            if self.console == Some(key) {
                self.console = None;
            }
            if let Some(door) = &mut self.door {
                door.let_out(key);
            }
        }
        if self.refused.len() < refused {
            self.forget_input_of_refused();
        }
        // Entries of those who did not need their grace are not looked for one by one.
        let connections = &self.connections;
        self.graces.tidy(connections.len(), |_, handle| {
            connections.get(handle.key).is_some_and(|connection| connection.number() == handle.number)
        });
        gone.len()
    }
}

impl Limits {
    fn of(config: &Config) -> Limits {
        let waits = config.lag == Lag::Wait;
        Limits {
            lag: config.lag,
            backlog_bytes: config.backlog_bytes,
            stall_timeout: waits.then_some(config.stall_timeout),
            holds: Holds {
                private_bytes_max: config.private_bytes_max(),
                // One more would cost it lines, which is right for who talks without reading, but not where nobody is to
                // lose any.
                holes_max: if waits { HOLES_MAX } else { usize::MAX },
            },
            rate: config.rate,
            idle_timeout: config.idle_timeout,
            answers_all: config.audience == Audience::Sender,
            flush_after: config.flush_after,
        }
    }
}

impl Lists {
    fn queue<S: Socket>(&mut self, key: usize, connection: &mut Connection<S>) {
        connection.input = Input::Queued;
        self.readable.push_back(Handle { key, number: connection.number() });
    }

    /// Who waits to be heard.
    fn input(&self) -> impl Iterator<Item = &Handle> {
        self.readable.iter().chain(&self.asking)
    }

    fn touch<S: Socket>(&mut self, key: usize, connection: &mut Connection<S>) {
        if !mem::replace(&mut connection.is_touched, true) {
            self.touched.push(key);
        }
    }

    fn remove<S: Socket>(&mut self, key: usize, connection: &mut Connection<S>) {
        if mem::replace(&mut connection.phase, Phase::Gone) != Phase::Gone {
            self.gone.push(key);
        }
    }

    /// Gives one connection its share, and puts it on the list of what it needs next.
    fn settle<S: Socket>(&mut self, key: usize, connection: &mut Connection<S>, settling: &mut Settling<'_>) {
        let &mut Settling { tape, limits, now, .. } = settling;
        connection.is_touched = false;
        if let Some(lag) = connection.keep_up(tape) {
            self.note_lag(key, lag, limits.lag, settling.figures);
        }
        match connection.settle(tape, now, &mut settling.figures.sent_bytes) {
            Need::Nothing => {}
            Need::Flush => self.touch(key, connection),
            Need::Removal => self.remove(key, connection),
        }
        if connection.wants_reading(limits.holds) {
            self.queue(key, connection);
        }
        if let Some(timeout) = limits.stall_timeout
            && let Some(deadline) = connection.watch_stall(tape, now, timeout)
        {
            self.stalls.push(deadline, Handle { key, number: connection.number() });
        }
    }

    fn note_lag(&mut self, key: usize, lag: Overtaken, policy: Lag, figures: &mut Figures) {
        figures.lags += u64::from(lag.is_new);
        figures.missed_lines += lag.missed_lines;
        if policy == Lag::Disconnect {
            self.too_slow.push(key);
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Farewell => f.write_str("said goodbye"),
            Why::EndOfInput => f.write_str("end of input"),
            Why::Reset(error) => write!(f, "{error}"),
            Why::Unwritable => f.write_str("writing to it failed"),
            Why::TooSlow => f.write_str("read too slowly"),
            Why::NeverSaidAnything => f.write_str("never said anything"),
            Why::Stranger(protocol) => write!(f, "spoke {protocol}"),
            Why::Removed => f.write_str("removed by the operator"),
        }
    }
}

/// The address of the other side, for the log: asked of the kernel when it is wanted, and kept nowhere.
enum Peer {
    Client(Option<SocketAddr>),
    Console,
}

impl Peer {
    fn of<S: Socket>(stream: &S) -> Peer {
        Peer::Client(stream.peer_address().ok())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Client(Some(address)) => write!(f, "{address}"),
            Peer::Client(None) => f.write_str("address unknown by now"),
            Peer::Console => f.write_str("the console"),
        }
    }
}
