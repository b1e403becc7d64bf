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
//! | a room at work: tape, brake, slow readers | `channel` |
//! | the slab, identities, counts by role | `connections` |
//! | the queues of a turn | `schedule` |
//! | the timers | `timers` |
//! | the way into the room, and refusals | `admission` |
//! | the search for dead peers | `patrol` |
//! | the throttled log | [`report`](super::report) |
//!
//! `input`, `lines`, `output`, `http`, `closing` and `wall` hold the steps of a turn that need several of these.

mod admission;
mod channel;
mod closing;
mod connections;
mod http;
mod input;
mod lines;
mod output;
mod patrol;
mod schedule;
mod timers;
mod wall;

use std::collections::TryReserveError;
use std::time::{Duration, Instant};

use super::config::{Capacity, Config, Lag};
use super::connection::{Handle, Output, Phase, ReadLimits, ReadState};
use super::flow::brake::{Brake, RecentTraffic};
use super::flow::budget::{TurnBudget, TurnLimits};
use super::flow::rate::Rate;
use super::limits::SCRATCH_BYTES;
use super::report::Reports;
use super::stats::{Snapshot, Stats};
use super::web::site::Site;
use crate::net::stream::Socket;
use crate::relay::cursor::HOLES_MAX;
use crate::relay::line::Framing;
use crate::relay::room::{Audience, Room};
use crate::relay::roster::Roster;
use admission::Admission;
use channel::Channel;
use connections::Connections;
use patrol::Patrol;
use schedule::Schedule;
use timers::{PRUNED_LEN_MIN, Stage, Timer, Timers};

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

/// All connections, and the room that they are in.
///
/// [`check_invariants`](Hub::check_invariants) checks the invariants of all owners, and between them: the members of
/// the roster are exactly the connections that are present, under their keys.
#[derive(Debug)]
pub struct Hub<S> {
    channel: Channel,
    roster: Roster,
    connections: Connections<S>,
    schedule: Schedule,
    timers: Timers,
    admission: Admission,
    budget: TurnBudget,
    buffers: Buffers,
    limits: Limits,
    stats: Stats,
    reports: Reports,
    patrol: Patrol,
    /// The answers to visitors, if there is a page.
    site: Option<Site>,
    /// Whether the operator has stopped the server. No line is processed after that.
    is_stop_wanted: bool,
    started: Instant,
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
}

/// Settings that hold for every connection.
#[derive(Clone, Copy, Debug)]
struct Limits {
    turn: TurnLimits,
    lag: Lag,
    backlog_bytes: usize,
    /// `--stall-timeout`; `None` unless `--lag wait`.
    stall_timeout: Option<Duration>,
    read: ReadLimits,
    framing: Framing,
    rate: Option<Rate>,
    idle_timeout: Option<Duration>,
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
        let brake = Brake::new(config.backlog_bytes, config.longest_line_bytes(), now);
        let brake = match config.lag {
            Lag::Skip | Lag::Disconnect => brake,
            Lag::Wait => brake.with_wall(config.backlog_bytes, config.longest_line_bytes()),
        };
        Ok(Hub {
            channel: Channel::new(Room::new(config.room_options())?, brake),
            roster: Roster::default(),
            connections: Connections::new(),
            schedule: Schedule::default(),
            timers: Timers::default(),
            admission: Admission::new(config, capacity),
            budget: TurnBudget::new(config.turn, 0),
            buffers: Buffers { scratch: vec![0; SCRATCH_BYTES].into(), lines: Vec::new(), sanitized: String::new() },
            limits: Limits::of(config),
            stats: Stats::default(),
            reports: Reports::default(),
            patrol: Patrol::default(),
            site: None,
            is_stop_wanted: false,
            started: now,
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

    /// Returns a copy of all that the connection with this key is owed and has not been sent, in the order in which it
    /// will be sent. For tests: the hub itself never copies it.
    pub fn unsent(&self, key: usize) -> Vec<u8> {
        self.connections.get(key).map(|connection| connection.unsent(self.channel.tape())).unwrap_or_default()
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
        self.channel.brake.begin_turn(self.roster.clients(), self.channel.unflushed_bytes(), now);
        self.channel.announce_departed(&mut self.roster);
        self.begin_timers(now);
        self.budget = TurnBudget::new(self.limits.turn, self.schedule.input_len());
        self.end_failed(now);
        self.patrol(now);
        self.read_all(now);
        self.end_enter_delays(now);
        self.fire_timers(Stage::AfterReading, now);
    }

    /// Writes to connections, disconnects readers that are too slow, and removes closed connections. Returns how many
    /// descriptors that freed.
    pub fn flush(&mut self, now: Instant) -> usize {
        self.flush_all(now);
        self.disconnect_lagging(now);
        self.fire_timers(Stage::AfterWriting, now);
        self.drop_told_refusals();
        let removed = self.remove_closed();
        self.forget_enter_delays();
        self.prune_timers();
        // Last, after the removals: if the slowest reader is gone, no event would tell the brake.
        self.channel.brake.set_slowest(self.channel.slowest_bytes_behind(&self.connections));
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
        removed
    }

    /// Returns the time of the next turn.
    pub fn next_wake(&self) -> Wake {
        let is_unflushed = self.schedule.dirty_len() > 0 || self.channel.has_moved();
        let is_behind = self.admission.is_behind || self.timers.is_behind() || self.can_end_failed();
        if is_unflushed || is_behind || self.can_read() || self.channel.can_announce_departed() {
            return Wake::Now;
        }
        // While the room waits for a slow reader, that reader's socket or its stall timer wakes the loop.
        let brake = &self.channel.brake;
        let is_braked = self.schedule.input_len() > 0 && !brake.is_at_wall();
        let brake_end = is_braked.then(|| brake.next_period());
        let times = [brake_end, self.timers.next(), self.admission.next_delay_end(), self.reports.next()];
        times.into_iter().chain([self.next_patrol()]).flatten().min().map_or(Wake::OnEvent, Wake::At)
    }

    /// Returns the throttled log.
    pub fn reports(&mut self) -> &mut Reports {
        &mut self.reports
    }

    /// Records a turn that ended at `now`.
    pub fn note_turn(&mut self, took: Duration, now: Instant) {
        self.stats.turns.record(took, now);
    }

    /// Returns the counters, and the state of this moment. Changes nothing.
    pub fn stats(&self) -> Snapshot {
        let (end, tail) = (self.channel.tape().end(), self.channel.tape().tail());
        Snapshot {
            stats: self.stats,
            clients: self.roster.clients(),
            connections: self.connections.len(),
            lines: end.line,
            tape_bytes: end.offset,
            held_bytes: end.offset - tail,
            backlog_bytes: self.limits.backlog_bytes,
            slowest_bytes_behind: self.channel.slowest_bytes_behind(&self.connections),
        }
    }

    /// Panics if an invariant of the hub does not hold between two turns. Looks at every connection, so only debug
    /// builds (after each turn) and the simulator call it.
    pub fn check_invariants(&self) {
        self.roster.check_invariants();
        self.connections.check_invariants(self.channel.tape());
        self.schedule.check_invariants(&self.connections);
        self.admission.check_invariants();
        let mut present = 0;
        for (key, connection) in self.connections.iter() {
            assert!(connection.phase != Phase::Gone, "closed connections are removed");
            if let Phase::Present(member) = connection.phase {
                present += 1;
                assert_eq!(self.roster.key(member), key, "a member leads to its connection");
            }
        }
        assert_eq!(present, self.roster.len(), "members are the connections that are present");
        // Live timers, at most one of a kind for each connection, and as many stale ones as pruning leaves.
        let timers_max = 2 * Timer::COUNT * self.connections.len() + 2 * PRUNED_LEN_MIN;
        let grown_max = 2 * self.timers.pruned_len() + PRUNED_LEN_MIN;
        assert!(self.timers.len() <= timers_max.max(grown_max), "stale timers are pruned: {}", self.timers.len());
    }

    /// Whether a connection that waits to be read could be read in a turn that begins now.
    fn can_read(&self) -> bool {
        let brake = &self.channel.brake;
        let is_at_wall = brake.is_at_wall();
        let may_be_read = |handle: &Handle| {
            self.connections.get(handle.key).is_none_or(|connection| match connection.phase {
                Phase::Present(_) if self.is_read_at_wall(connection) => true,
                Phase::Present(_) => !is_at_wall && brake.may_talk_next_turn(connection.recent),
                // Such a connection puts nothing on the tape.
                _ if is_at_wall => true,
                _ => brake.may_talk_next_turn(RecentTraffic::default()),
            })
        };
        (is_at_wall || brake.may_talk_next_turn(RecentTraffic::default())) && self.schedule.input().any(may_be_read)
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
            backlog_bytes: config.backlog_bytes,
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
            answers_all: config.audience == Audience::Sender,
            flush_after: config.flush_after,
        }
    }
}
