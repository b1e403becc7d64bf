//! The hub: one turn of the loop over all connections. It owns the order of the phases; the modules below own most of
//! the state.
//!
//! The hub uses neither mio nor a clock. Events, streams and the time are arguments, so a simulator drives it as well
//! as the kernel does.
//!
//! A turn does a bounded part of what is to be done ([`budget`](super::flow::budget)), however many clients there are,
//! and leaves the rest to the next turns. A line is written by a *walk* over all readers, which may take several turns.
//!
//! A turn has two halves. [`react`](Hub::react) processes input and writes nothing. [`flush`](Hub::flush) writes to the
//! connections, and then removes the closed ones. So no event of the batch reaches a newcomer with a reused key.
//!
//! | state | owner |
//! |---|---|
//! | a room at work: tape, brake, readers, slow readers | `channel` |
//! | all rooms, and those for which a turn has work | `rooms` |
//! | the slab, identities, counts by role | `connections` |
//! | the queues of a turn | `schedule` |
//! | the timers | `timers` |
//! | the way into the room | `admission` |
//! | the bans, and the search for members whom a new one meets | `banning` |
//! | the password, and the connections that have to give it | `doorkeeper` |
//! | the refused connections | `refusals` |
//! | headers of proxies, and the addresses of their clients | `proxied` |
//! | the TLS handshakes before it | `handshakes` |
//! | the sessions of tracked clients | [`sessions`](super::sessions) |
//! | orders of operators that are not done with | `orders` |
//! | the connections of operators, and their answers under way | `control` |
//! | the kept rooms, as readers of the journal | `keeping` |
//! | the members of other servers, and this server among them | `elsewhere` |
//! | the bus in the hub: its news, rooms that load, lines under way | `together` |
//! | the rooms as other servers share them | `rooms/sharing` |
//! | the search for dead peers | `patrol` |
//! | the figures for scrapers | [`metrics`](super::metrics) |
//! | the throttled log | [`report`](super::report) |
//!
//! `reading`, `input`, `lines`, `output`, `http`, `scraping`, `moving`, `names`, `tracking`, `seats`, `closing`,
//! `handing_over`, `reporting` and `wall` hold the steps of a turn that need several of these; `settings` changes what the
//! operator sets, while the server runs.

mod admission;
mod banning;
mod channel;
mod closing;
mod connections;
mod control;
mod doorkeeper;
mod elsewhere;
pub mod handing_over;
mod handshakes;
mod http;
mod input;
mod keeping;
mod key_set;
mod lines;
mod moving;
mod names;
mod orders;
mod output;
mod patrol;
mod proxied;
mod reading;
mod refusals;
mod reporting;
mod rooms;
mod schedule;
mod scraping;
mod seats;
mod settings;
mod timers;
mod together;
mod tracking;
mod wall;

use std::collections::TryReserveError;
use std::time::{Duration, Instant};

use super::bus::Bus;
use super::config::{Capacity, Config, Lag};
use super::connection::{Handle, Output, Phase, ReadLimits, ReadState, SealedInput};
use super::flow::brake::RecentTraffic;
use super::flow::budget::{TurnBudget, TurnLimits};
use super::flow::rate::Rate;
use super::limits::SCRATCH_BYTES;
use super::metrics::Metrics;
use super::report::Reports;
use super::sessions::Sessions;
use super::stats::{Snapshot, Stats};
use super::web::site::Site;
use crate::net::stream::Socket;
use crate::relay::cursor::HOLES_MAX;
use crate::relay::line::Framing;
use crate::relay::room::Audience;
use crate::relay::roster::Roster;
use crate::relay::tape::Tape;
use admission::Admission;
use banning::Banning;
use channel::Channel;
use connections::Connections;
use control::Operators;
use doorkeeper::Doorkeeper;
use elsewhere::Others;
use handshakes::Handshakes;
use keeping::Keeping;
use orders::Orders;
use patrol::Patrol;
use proxied::Proxied;
use refusals::Refusals;
use rooms::Rooms;
use schedule::Schedule;
use timers::{PRUNED_LEN_MIN, Stage, Timer, Timers};
use together::Together;

/// Result of `poll` for one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Reading may find something: data, EOF or an error.
    pub readable: bool,
    /// Writing may succeed, or find out why it does not.
    pub writable: bool,
}

/// The time of the next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// At once: there is work that no event will announce.
    Now,
    /// At this time, or at the next event.
    At(Instant),
    /// At the next event.
    OnEvent,
}

/// All connections, and the rooms that they are in.
///
/// [`check_invariants`](Hub::check_invariants) checks the invariants of all owners, and between them: the members of
/// the roster are exactly the connections that are present or move, under their keys; the readers of a room are exactly
/// the connections that are owed its tape.
#[derive(Debug)]
pub struct Hub<S> {
    rooms: Rooms,
    roster: Roster,
    connections: Connections<S>,
    schedule: Schedule,
    timers: Timers,
    admission: Admission,
    banning: Banning,
    doorkeeper: Doorkeeper,
    refusals: Refusals,
    proxied: Proxied,
    handshakes: Handshakes,
    sessions: Sessions,
    orders: Orders,
    operators: Operators,
    /// The bus, if rooms are shared with other servers.
    bus: Option<Box<Bus<S>>>,
    /// This server among the others, if rooms are shared with other servers.
    others: Option<Box<Others>>,
    together: Together,
    /// The kept rooms, if there is a journal.
    keeping: Option<Box<Keeping>>,
    budget: TurnBudget,
    buffers: Buffers,
    limits: Limits,
    stats: Stats,
    reports: Reports,
    patrol: Patrol,
    /// The answers to visitors, if there is a page.
    site: Option<Site>,
    /// The metrics, if they are served.
    metrics: Option<Box<Metrics>>,
    /// Whether the operator has stopped the server. No line is processed after that.
    is_stop_wanted: bool,
    /// The start of the rooms' clock. It goes on over a restart, so it may lie before the start of the process.
    started: Instant,
    /// The start of the process.
    created: Instant,
}

/// Scratch space for one connection at a time.
#[derive(Debug)]
struct Buffers {
    /// The target of every read.
    scratch: Box<[u8]>,
    /// The lines in the frames of a browser.
    lines: Vec<u8>,
    /// A line that had to be sanitized.
    sanitized: String,
    /// The ciphertext of a read.
    sealed: SealedInput,
}

/// Settings that hold for every connection.
#[derive(Clone, Copy, Debug)]
struct Limits {
    turn: TurnLimits,
    lag: Lag,
    /// `--rooms`
    rooms_max: usize,
    /// `--stall-timeout`; `None` unless `--lag wait`.
    stall_timeout: Option<Duration>,
    read: ReadLimits,
    framing: Framing,
    rate: Option<Rate>,
    idle_timeout: Option<Duration>,
    /// `--resume-within`
    resume_within: Option<Duration>,
    /// Whether the server answers every line in private (`--audience sender`).
    answers_all: bool,
    flush_after: Option<Duration>,
}

impl<S: Socket> Hub<S> {
    /// Creates a hub without connections.
    ///
    /// # Errors
    /// When there is no memory for the tape.
    pub fn new(config: &Config, capacity: Capacity, now: Instant) -> Result<Hub<S>, TryReserveError> {
        let mut roster = Roster::default();
        Ok(Hub {
            rooms: Rooms::new(config, &mut roster, now)?,
            roster,
            connections: Connections::new(),
            schedule: Schedule::default(),
            timers: Timers::default(),
            admission: Admission::new(config, capacity),
            banning: Banning::new(config.bans_max()),
            doorkeeper: Doorkeeper::default(),
            refusals: Refusals::default(),
            proxied: Proxied::new(config.proxies.clone()),
            handshakes: Handshakes::default(),
            sessions: Sessions::new(capacity.clients_max),
            orders: Orders::default(),
            operators: Operators::default(),
            bus: None,
            others: None,
            together: Together::default(),
            keeping: None,
            budget: TurnBudget::new(config.turn, 0),
            buffers: Buffers {
                scratch: vec![0; SCRATCH_BYTES].into(),
                lines: Vec::new(),
                sanitized: String::new(),
                sealed: SealedInput::default(),
            },
            limits: Limits::of(config),
            stats: Stats::default(),
            reports: Reports::default(),
            patrol: Patrol::default(),
            site: None,
            metrics: None,
            is_stop_wanted: false,
            started: now,
            created: now,
        })
    }

    /// Serves the page from now on.
    pub fn open_site(&mut self, site: Site) {
        self.site = Some(site);
    }

    /// Returns the number of connections, of any phase.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Returns the key that the next connection gets.
    pub fn next_key(&self) -> usize {
        self.connections.next_key()
    }

    /// Returns the key of the operator's console, if it is open.
    pub fn console(&self) -> Option<usize> {
        self.connections.console()
    }

    /// Whether the operator has stopped the server.
    pub fn is_stop_wanted(&self) -> bool {
        self.is_stop_wanted
    }

    /// Returns the tape of each room with the room's name. For tests: the hub itself looks at those that have moved.
    pub fn tapes(&self) -> impl Iterator<Item = (&str, &Tape)> {
        let directory = self.roster.directory();
        directory.ids().map(|room| (directory.name(room).as_str(), self.rooms[room].tape()))
    }

    /// Records the result of `poll` for the connection with this key.
    pub fn on_ready(&mut self, key: usize, readiness: Readiness) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if readiness.readable && connection.read_state == ReadState::Idle {
            self.schedule.mark_ready(key, connection);
        }
        if readiness.writable && connection.output == Output::Blocked {
            connection.output = Output::Writable;
            self.schedule.mark_dirty(key, connection);
        }
    }

    /// Reads connections and processes their lines, as far as the budgets allow. Nothing is written.
    pub fn react(&mut self, now: Instant) {
        self.reports.end_periods(now);
        self.stats.braked.advance(now);
        if let Some(metrics) = &mut self.metrics {
            metrics.begin_turn();
        }
        self.rooms.begin_turn(now);
        self.hear_bus(now);
        self.tend_elsewhere(now);
        self.announce_orders();
        self.announce_waiting();
        self.begin_timers(now);
        self.budget = TurnBudget::new(self.limits.turn, self.schedule.input_len() + self.rooms.held_len());
        self.end_moves(now);
        self.rooms.drop_empty(now, self.roster.directory_mut());
        self.end_kept_seats(now);
        self.end_failed(now);
        self.end_bans();
        self.remove_banned(now);
        self.patrol(now);
        if !self.is_stopping() {
            self.read_all(now);
            self.end_enter_delays(now);
        }
        self.fire_timers(Stage::AfterReading, now);
    }

    /// Writes to connections, disconnects readers that are too slow, and removes closed connections. Returns how many
    /// descriptors that freed.
    pub fn flush(&mut self, now: Instant) -> usize {
        self.note_moved_for_journal();
        self.flush_all(now);
        self.write_journal(now);
        self.tell_gaps();
        self.disconnect_lagging(now);
        self.fire_timers(Stage::AfterWriting, now);
        self.drop_told_refusals();
        let removed = self.remove_closed();
        self.forget_enter_delays();
        self.prune_timers();
        // Last, after the removals: if the slowest reader is gone, no event would tell the brake.
        self.rooms.settle(&self.connections);
        self.stats.braked.set(self.rooms.holding().len() > 0, now);
        self.wait_for_journal();
        self.rooms.drop_empty(now, self.roster.directory_mut());
        self.settle_bus(now);
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
        removed
    }

    /// Returns the time of the next turn.
    pub fn next_wake(&self) -> Wake {
        let is_unflushed = self.schedule.has_output() || self.rooms.has_moved();
        let is_behind = self.admission.is_behind || self.timers.is_behind() || self.can_end_failed();
        let is_behind = is_behind || self.banning.is_checking() || self.is_announcing();
        let can_read = !self.is_stopping() && self.can_read();
        if is_unflushed || is_behind || can_read || self.rooms.can_announce() || self.is_bus_behind() {
            return Wake::Now;
        }
        let times = [
            self.rooms.next_period(),
            self.rooms.next_drop(),
            self.timers.next(),
            self.admission.next_delay_end().filter(|_| !self.is_stopping()),
            self.sessions.next_end(),
            self.reports.next(),
            self.next_journal_stall(),
            self.next_elsewhere(),
            self.next_bus_wake(),
        ];
        times.into_iter().chain([self.next_patrol()]).flatten().min().map_or(Wake::OnEvent, Wake::At)
    }

    /// Returns the throttled log.
    pub fn reports(&mut self) -> &mut Reports {
        &mut self.reports
    }

    /// Records a turn that ended at `now`.
    pub fn note_turn(&mut self, took: Duration, now: Instant) {
        self.stats.turns.record(took, now);
        if let Some(metrics) = &mut self.metrics {
            metrics.note_turn(took);
        }
    }

    /// Returns the counters, and the state of this moment. Changes nothing. Costs a look at each room.
    pub fn stats(&self) -> Snapshot {
        let tapes = || self.rooms.iter().map(Channel::tape);
        let appended = self.rooms.appended();
        Snapshot {
            stats: self.stats,
            clients: self.roster.clients(),
            by_transport: self.connections.members(),
            has_console: self.connections.console().is_some(),
            away: self.sessions.away(),
            connections: self.connections.len(),
            rooms: self.rooms.len(),
            lines: appended.line,
            tape_bytes: appended.offset,
            held_bytes: tapes().map(|tape| tape.end().offset - tape.tail()).sum(),
            backlog_bytes: tapes().map(Tape::capacity).sum(),
            slowest_bytes_behind: self.rooms.iter().map(|room| room.brake.slowest_behind()).max().unwrap_or(0),
            journal: self.keeping.as_ref().map(|keeping| keeping.figures()),
            bus: self.bus.as_ref().map(|bus| bus.figures()),
        }
    }

    /// Panics if an invariant of the hub does not hold between two turns. Looks at every connection, so only debug
    /// builds (after each turn) and the simulator call it.
    pub fn check_invariants(&self) {
        self.roster.check_invariants();
        self.rooms.check_invariants(self.roster.directory());
        self.connections.check_invariants(|connection| self.rooms[self.room_of(connection)].tape());
        self.schedule.check_invariants(&self.connections, self.rooms.held().chain(&self.handshakes.waiting));
        self.admission.check_invariants();
        self.doorkeeper.check_invariants(|key| self.connections.get(key).map(|connection| connection.phase));
        self.proxied.check_invariants(|key| self.connections.get(key).is_some());
        self.operators.check_invariants(&self.connections);
        if let Some(keeping) = &self.keeping {
            keeping.check_invariants(&self.rooms, self.roster.directory());
        }
        self.check_together();
        let (mut present, mut readers) = (0, 0);
        for (key, connection) in self.connections.iter() {
            assert!(connection.phase != Phase::Gone, "closed connections are removed");
            if let Phase::Present(member) | Phase::Moving(member) = connection.phase {
                present += 1;
                assert_eq!(self.roster.key(member), Some(key), "a member leads to its connection");
                let is_seated = self.roster.is_seated(member);
                assert_eq!(is_seated, connection.destination().is_none(), "a member has a seat unless it moves");
            }
            let is_owed = !matches!(connection.phase, Phase::Entering)
                && (connection.departure_stop().is_none() || connection.left_room().is_some());
            let is_reader = self.rooms[self.room_of(connection)].audience().contains(key);
            assert_eq!(is_owed, is_reader, "a room knows its readers: {:?}", connection.phase);
            readers += usize::from(is_reader);
        }
        assert_eq!(readers, self.rooms.iter().map(Channel::readers).sum::<usize>(), "a reader has one room");
        let members = present + self.sessions.away();
        assert_eq!(members, self.roster.len(), "members are the connections that are present, and those that are away");
        // Live timers, at most one of a kind for each connection, and as many stale ones as pruning leaves.
        let timers_max = 2 * Timer::COUNT * self.connections.len() + 2 * PRUNED_LEN_MIN;
        let grown_max = 2 * self.timers.pruned_len() + PRUNED_LEN_MIN;
        assert!(self.timers.len() <= timers_max.max(grown_max), "stale timers are pruned: {}", self.timers.len());
    }

    /// Whether a connection that waits to be read could be read in a turn that begins now, or be held by its room.
    fn can_read(&self) -> bool {
        let may_be_read = |handle: &Handle| {
            self.connections.get(handle.key).is_none_or(|connection| match connection.phase {
                Phase::Present(member) => {
                    let brake = &self.rooms[self.roster.room(member)].brake;
                    brake.may_talk_next_turn(connection.recent) || self.is_read_at_wall(connection)
                }
                // Such a connection puts nothing on a tape.
                Phase::Entering | Phase::Moving(_) | Phase::Closing | Phase::Gone => true,
            })
        };
        let holds_readable = |room| {
            let brake = &self.rooms[room].brake;
            let may_talk = brake.is_at_wall() || brake.may_talk_next_turn(RecentTraffic::default());
            let looked_at = if brake.is_at_wall() { self.rooms[room].looked_at } else { 0 };
            may_talk && self.rooms[room].held.iter().skip(looked_at).any(may_be_read)
        };
        self.schedule.input_len() + self.handshakes.waiting.len() > 0 || self.rooms.holding().any(holds_readable)
    }

    /// Returns the seconds since the start: the clock of the room.
    fn seconds(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.started).as_secs()).unwrap_or(u32::MAX)
    }
}

impl Limits {
    fn of(config: &Config) -> Limits {
        let waits = config.lag == Lag::Wait;
        Limits {
            turn: config.turn,
            lag: config.lag,
            rooms_max: config.rooms_max,
            stall_timeout: waits.then_some(config.stall_timeout),
            read: ReadLimits {
                private_bytes_max: config.private_bytes_max(),
                // Beyond `HOLES_MAX`, a client that talks and never reads misses lines. With `--lag wait` no client may
                // miss any, so the server stops reading it.
                holes_max: if waits { HOLES_MAX } else { usize::MAX },
            },
            framing: config.framing(),
            rate: config.rate,
            idle_timeout: config.idle_timeout,
            resume_within: config.resume_within,
            answers_all: config.audience == Audience::Sender,
            flush_after: config.flush_after,
        }
    }
}
