//! The hub: what happens in one turn of the loop, over all connections. No mio, no clock: events, streams and the time
//! come in as values, so that a simulator can drive it as well as a kernel.
//!
//! A turn is [`react`](Hub::react), in which input is heard and nothing is written, then [`settle`](Hub::settle), in
//! which everyone is given what they are owed, and only then the departed are removed: no event of the same batch can
//! reach a newcomer who was given their key.

mod admission;
mod closing;
mod demands;
mod http;
mod input;
mod output;
mod refusing;
mod silence;
mod stalls;
mod timers;
mod vigil;
mod withholding;

use std::collections::{TryReserveError, VecDeque};
use std::mem;
use std::time::{Duration, Instant};

use slab::Slab;

use super::access::AccessControl;
use super::config::{Capacity, Config, Lag};
use super::connection::{Connection, Farewell, Handle, Output, Phase, ReadLimits, ReadState, Serial};
use super::flow::brake::{Brake, RecentTraffic};
use super::flow::budget::TurnBudget;
use super::flow::rate::Rate;
use super::limits::SCRATCH_BYTES;
use super::stats::{Standing, Stats};
use super::web::site::Site;
use super::web::websocket::code;
use crate::net::stream::Socket;
use crate::relay::cursor::HOLES_MAX;
use crate::relay::line::Framing;
use crate::relay::room::{Audience, Room};
use crate::relay::tape::Position;
use timers::Timetable;

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
    turn: TurnBudget,
    framing: Framing,
    limits: Limits,
    figures: Stats,
    seats: Capacity,
    /// The serial number of the next connection.
    next_serial: Serial,
    /// Who may come in, unless everybody may.
    door: Option<AccessControl>,
    /// What visitors are answered, if there is a page.
    site: Option<Site>,
    /// The key of the operator's console, while there is one.
    console: Option<usize>,
    /// Whether the operator wants the server to stop. Nothing that anybody says is heard after that.
    is_stop_wanted: bool,
    started: Instant,
    /// How many visitors of the page there are, those who leave included.
    visitors: usize,
    /// Who is being refused, the oldest first; with those who are to be removed at the end of this turn.
    refused: Vec<usize>,
    /// What is due, and when.
    due: Timetable,
    /// When it was last logged that somebody spoke another protocol.
    stranger_logged: Option<Instant>,
    /// Up to where the tape was when everyone was last given their share.
    settled: Position,
    /// What all reading reads into.
    scratch: Box<[u8]>,
    /// What the frames of a browser hold, in lines.
    lines: Vec<u8>,
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
    /// Whether those who wait for an answer come first in the next turn, because they were not reached in this one.
    is_asking_first: bool,
    /// Who is to be settled even if the tape does not move.
    touched: Vec<usize>,
    /// Who was far behind when everyone was last looked at, and is to lose nothing.
    far_behind: Vec<usize>,
    /// Who fell off the tail in this turn, and is to be let go for it.
    too_slow: Vec<usize>,
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
    holds: ReadLimits,
    /// How much each client may say.
    rate: Option<Rate>,
    /// How long one may be here without ever saying anything.
    idle_timeout: Option<Duration>,
    /// Whether every line is answered in private, as an echo server does.
    answers_all: bool,
    /// After how much silence what there is of a line is one, if it ever is.
    flush_after: Option<Duration>,
}

impl<S: Socket> Hub<S> {
    /// A hub without connections.
    ///
    /// # Errors
    /// When there is no memory for the tape.
    pub fn new(config: &Config, seats: Capacity, now: Instant) -> Result<Hub<S>, TryReserveError> {
        let brake = Brake::new(config.backlog_bytes, config.longest_line_bytes(), now);
        Ok(Hub {
            room: Room::new(config.room_options())?,
            connections: Slab::new(),
            lists: Lists::default(),
            brake: match config.lag {
                Lag::Skip | Lag::Disconnect => brake,
                Lag::Wait => brake.with_wall(config.backlog_bytes, config.longest_line_bytes()),
            },
            turn: TurnBudget::new(0, 0),
            framing: config.framing(),
            limits: Limits::of(config),
            figures: Stats::default(),
            seats,
            next_serial: Serial::default(),
            door: AccessControl::new(&config.access),
            site: None,
            console: None,
            is_stop_wanted: false,
            started: now,
            visitors: 0,
            refused: Vec::new(),
            due: Timetable::default(),
            stranger_logged: None,
            settled: Position::default(),
            scratch: vec![0; SCRATCH_BYTES].into(),
            lines: Vec::new(),
            cleaned: String::new(),
        })
    }

    /// Hands the page out from now on.
    pub fn open_site(&mut self, site: Site) {
        self.site = Some(site);
    }

    /// How many connections there are, those who leave included.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// The key that the next connection will have.
    pub fn next_key(&self) -> usize {
        self.connections.vacant_key()
    }

    /// The key of the operator's console, if it is open.
    pub fn console(&self) -> Option<usize> {
        self.console
    }

    /// Whether the operator wants the server to stop.
    pub fn is_stop_wanted(&self) -> bool {
        self.is_stop_wanted
    }

    /// Learns what `poll` said about the connection with this key.
    pub fn on_ready(&mut self, key: usize, readiness: Readiness) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if readiness.readable && connection.input == ReadState::Drained {
            self.lists.queue(key, connection);
        }
        if readiness.writable && connection.output == Output::Blocked {
            connection.output = Output::Writable;
            self.lists.touch(key, connection);
        }
    }

    /// Hears those who have something to say, each in turn, as far as the budgets allow. Nothing is written.
    pub fn react(&mut self, now: Instant) {
        self.brake.begin_turn(self.room.clients(), now);
        self.hear_silent(now);
        self.hear_throttled(now);
        self.keep_vigils(now);
        self.turn = TurnBudget::new(self.lists.readable.len() + self.lists.asking.len(), self.connections.len());
        self.hear_all(now);
        // Not earlier: in a turn that comes late, it may already be known what one speaks.
        self.end_withholding(now);
    }

    /// When the next turn is wanted.
    pub fn next_wake(&self) -> Wake {
        let is_unsettled = !self.lists.touched.is_empty() || self.room.tape().end() != self.settled;
        if is_unsettled || self.can_hear() {
            return Wake::Now;
        }
        // At the wall it is one who takes something that wakes us, or the end of the patience with one who does not.
        let is_braked = self.lists.input().next().is_some() && !self.brake.is_at_wall();
        let deadlines = [is_braked.then(|| self.brake.next_period()), self.due.next(), self.next_refusal_end()];
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
            match self.connections[key].phase {
                Phase::Present(_) => self.see_off(key, stop, Farewell::Fin(code::GOING_AWAY), now),
                Phase::Visiting => self.see_off_visitor(key, now),
                Phase::Leaving | Phase::Parting | Phase::Lingering | Phase::Gone => {}
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
        (is_at_wall || self.brake.may_talk_next_turn(RecentTraffic::default())) && self.lists.input().any(may_talk)
    }

    /// The serial number of one more connection.
    fn issue_serial(&mut self) -> Serial {
        let serial = self.next_serial;
        self.next_serial = serial.next();
        serial
    }

    /// Seconds since the start: what the room knows as time.
    fn seconds(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.started).as_secs()).unwrap_or(u32::MAX)
    }
}

/// Who is known by this handle; nobody, if it is gone, even if its key is another's by now.
fn known<S: Socket>(connections: &Slab<Connection<S>>, handle: Handle) -> Option<&Connection<S>> {
    connections.get(handle.key).filter(|connection| connection.handle(handle.key) == handle)
}

fn known_mut<S: Socket>(connections: &mut Slab<Connection<S>>, handle: Handle) -> Option<&mut Connection<S>> {
    connections.get_mut(handle.key).filter(|connection| connection.handle(handle.key) == handle)
}

impl Limits {
    fn of(config: &Config) -> Limits {
        let waits = config.lag == Lag::Wait;
        Limits {
            lag: config.lag,
            backlog_bytes: config.backlog_bytes,
            stall_timeout: waits.then_some(config.stall_timeout),
            holds: ReadLimits {
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
        connection.input = ReadState::Queued;
        self.readable.push_back(connection.handle(key));
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
}
