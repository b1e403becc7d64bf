//! The flush pass: the only code that writes to sockets. If the tape has moved, it looks at every cursor, and so finds
//! the readers that lag and the slowest reader.

use std::time::{Duration, Instant};

use super::schedule::Schedule;
use super::timers::{Timer, Timers};
use super::{Hub, Limits};
use crate::net::stream::Socket;
use crate::relay::tape::Tape;
use crate::server::config::Lag;
use crate::server::connection::{Connection, NextStep, Overtaken, Phase, Role};
use crate::server::flow::brake::bytes_per_reader;
use crate::server::flow::budget::WriteBudget;
use crate::server::reason::Reason;
use crate::server::stats::Stats;

/// Connections of a walk whose writes are counted together: counting each would take as long as finding out what it is
/// owed.
const ROUND: usize = 32;

/// The state that flushing a connection needs, and the counters that it updates.
struct Pass<'a> {
    tape: &'a Tape,
    limits: &'a Limits,
    stats: &'a mut Stats,
    timers: &'a mut Timers,
    /// Bytes after which a connection gives way to the others.
    share: usize,
    budget: WriteBudget,
    now: Instant,
}

impl<S: Socket> Hub<S> {
    /// Writes to dirty connections, and to all if the tape has moved, as far as the budget of the turn allows. Finds
    /// out which readers lag, and how far behind the slowest is.
    ///
    /// If the tape has moved, half of the budget is kept for the walk over all readers. So neither waits for the other.
    pub(super) fn flush_all(&mut self, now: Instant) {
        let has_moved = self.channel.has_moved();
        let walk = has_moved.then(|| self.channel.take_walk());
        let Hub { channel, connections, schedule, limits, stats, timers, roster, budget, .. } = self;
        let tape = channel.room.tape();
        let share = bytes_per_reader(roster.clients());
        let mut pass = Pass { tape, limits, stats, timers, share, budget: budget.for_writing(), now };
        schedule.is_flush_behind = false;
        // A connection that is still dirty after its flush waits for the next turn.
        for _ in 0..schedule.dirty_len() {
            if pass.budget.is_spent() || (has_moved && pass.budget.is_half_spent()) {
                schedule.is_flush_behind = true;
                break;
            }
            let Some(key) = schedule.next_dirty(connections) else { break };
            if let Some(connection) = connections.get_mut(key) {
                let sent_before = pass.stats.sent_bytes;
                schedule.flush(key, connection, &mut pass);
                pass.budget.spend(1, pass.stats.sent_bytes - sent_before);
            }
        }
        let Some(mut walk) = walk else { return };
        pass.budget.begin_walk();
        let (keys_end, threshold) = (connections.keys_end(), channel.brake.threshold());
        while !pass.budget.is_spent() {
            let keys = walk.next_keys(pass.budget.writes_left().min(ROUND), keys_end);
            if keys.is_empty() {
                channel.end_walk(walk);
                return;
            }
            let (count, sent_before) = (keys.len(), pass.stats.sent_bytes);
            for key in keys {
                let Some(connection) = connections.get_mut(key) else { continue };
                schedule.flush(key, connection, &mut pass);
                if connection.healthy_bytes_behind(tape) > threshold {
                    walk.note_slow(key);
                }
            }
            pass.budget.spend(count, pass.stats.sent_bytes - sent_before);
        }
        channel.put_off(walk);
    }

    /// Disconnects readers that were overtaken (`--lag disconnect`). The console stays, and is told how many lines it
    /// missed: an operator whose screen is stuck can still type.
    pub(super) fn disconnect_lagging(&mut self, now: Instant) {
        for key in std::mem::take(&mut self.schedule.lagging) {
            if self.connections[key].role() != Role::Console {
                self.leave(key, &Reason::TooSlow, now);
            }
        }
    }

    /// Ends the wait for a reader that has not taken enough within `--stall-timeout`.
    pub(super) fn on_stall_timer(&mut self, time: Instant, key: usize, now: Instant) -> Option<Instant> {
        let connection = &mut self.connections[key];
        if !connection.is_stall_armed(time) {
            return None;
        }
        let timeout = self.limits.stall_timeout.filter(|_| self.schedule.is_unflushed(connection));
        if let Some(later) = connection.rearm_stall(timeout, now) {
            return Some(later);
        }
        if connection.role() == Role::Console {
            connection.cursor.skip_missed(self.channel.room.tape().end());
            self.schedule.mark_dirty(key, connection);
        } else if let Phase::Present(_) = connection.phase {
            self.leave(key, &Reason::TooSlow, now);
        } else {
            self.schedule.close(key, connection);
        }
        None
    }
}

impl Schedule {
    /// Flushes one connection, and queues it for its next step. Inlined into the walk, or a delivery would cost a
    /// sixth more (`cargo bench --bench micro -- 'one line to 1000$'`).
    #[inline(always)]
    fn flush<S: Socket>(&mut self, key: usize, connection: &mut Connection<S>, pass: &mut Pass<'_>) {
        let &mut Pass { tape, limits, share, now, .. } = pass;
        if let Some(overtaken) = connection.catch_up(tape) {
            self.note_lag(key, overtaken, limits.lag, pass.stats);
            pass.budget.spend_on_leaving();
        }
        match connection.flush(tape, share, now, &mut pass.stats.sent_bytes) {
            NextStep::Nothing => {}
            step => self.take_step(step, key, connection, pass),
        }
        if connection.wants_reading(limits.read) {
            self.mark_ready(key, connection);
        }
        if let Some(timeout) = limits.stall_timeout {
            self.watch_stall(key, connection, timeout, pass);
        }
    }

    /// Queues a connection for its next step, and counts what its flush cost beside a write that was taken.
    #[cold]
    fn take_step<S: Socket>(
        &mut self,
        step: NextStep,
        key: usize,
        connection: &mut Connection<S>,
        pass: &mut Pass<'_>,
    ) {
        match step {
            NextStep::Nothing => {}
            NextStep::Blocked => pass.budget.spend_on_refused_write(),
            NextStep::Linger => pass.budget.spend_on_leaving(),
            NextStep::Flush => self.mark_dirty(key, connection),
            NextStep::Pause => {
                if let Some(time) = connection.take_pause_timer() {
                    pass.timers.set(time, Timer::LastWord, connection.handle(key));
                }
            }
            NextStep::Removal => {
                pass.budget.spend_on_refused_write();
                self.close(key, connection);
            }
        }
    }

    fn watch_stall<S: Socket>(
        &mut self,
        key: usize,
        connection: &mut Connection<S>,
        timeout: Duration,
        pass: &mut Pass<'_>,
    ) {
        if let Some(deadline) = connection.watch_stall(pass.tape, pass.now, timeout) {
            pass.timers.set(deadline, Timer::Stall, connection.handle(key));
        }
    }

    /// Counts a reader that was overtaken, and queues it for disconnection under `--lag disconnect`.
    pub(super) fn note_lag(&mut self, key: usize, overtaken: Overtaken, policy: Lag, stats: &mut Stats) {
        stats.lags += u64::from(overtaken.is_new);
        stats.missed_lines += overtaken.missed_lines;
        if policy == Lag::Disconnect {
            self.lagging.push(key);
        }
    }
}
