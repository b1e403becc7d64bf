//! The flush pass: the only code that writes to sockets. If the tape has moved, it looks at every cursor, and so finds
//! the readers that lag and the slowest reader.

use std::mem;
use std::time::{Duration, Instant};

use super::schedule::Schedule;
use super::timers::{Timer, Timers};
use super::{Hub, Limits};
use crate::net::stream::Socket;
use crate::relay::tape::Tape;
use crate::server::config::Lag;
use crate::server::connection::{Connection, NextStep, Overtaken, Phase, Role};
use crate::server::flow::brake::bytes_per_reader;
use crate::server::reason::Reason;
use crate::server::stats::Stats;

/// The state that flushing a connection needs, and the counters that it updates.
struct Pass<'a> {
    tape: &'a Tape,
    limits: &'a Limits,
    stats: &'a mut Stats,
    timers: &'a mut Timers,
    /// Bytes after which a connection gives way to the others.
    share: usize,
    now: Instant,
}

impl<S: Socket> Hub<S> {
    /// Writes to every dirty connection, or to all if the tape has moved. Finds out which readers lag, and how far
    /// behind the slowest is.
    pub(super) fn flush_all(&mut self, now: Instant) {
        let dirty = mem::take(&mut self.schedule.dirty);
        let Hub { channel, connections, schedule, limits, stats, timers, roster, .. } = self;
        let tape = channel.room.tape();
        let mut pass = Pass { tape, limits, stats, timers, share: bytes_per_reader(roster.clients()), now };
        if !channel.has_moved() {
            for key in dirty {
                if let Some(connection) = connections.get_mut(key) {
                    schedule.flush(key, connection, &mut pass);
                }
            }
            return;
        }
        channel.slow.clear();
        for (key, connection) in connections.iter_mut() {
            schedule.flush(key, connection, &mut pass);
            if connection.healthy_bytes_behind(tape) > channel.brake.threshold() {
                channel.slow.push(key);
            }
        }
        channel.flushed_to = tape.end();
    }

    /// Disconnects readers that were overtaken (`--lag disconnect`). The console stays, and is told how many lines it
    /// missed: an operator whose screen is stuck can still type.
    pub(super) fn disconnect_lagging(&mut self, now: Instant) {
        for key in mem::take(&mut self.schedule.lagging) {
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
        if let Some(later) = connection.rearm_stall(now) {
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
    /// Flushes one connection, and queues it for its next step.
    fn flush<S: Socket>(&mut self, key: usize, connection: &mut Connection<S>, pass: &mut Pass<'_>) {
        let &mut Pass { tape, limits, share, now, .. } = pass;
        connection.is_dirty = false;
        if let Some(overtaken) = connection.catch_up(tape) {
            self.note_lag(key, overtaken, limits.lag, pass.stats);
        }
        match connection.flush(tape, share, now, &mut pass.stats.sent_bytes) {
            NextStep::Nothing => {}
            NextStep::Flush => self.mark_dirty(key, connection),
            NextStep::Pause => {
                if let Some(time) = connection.take_pause_timer() {
                    pass.timers.set(time, Timer::LastWord, connection.handle(key));
                }
            }
            NextStep::Removal => self.close(key, connection),
        }
        if connection.wants_reading(limits.read) {
            self.mark_ready(key, connection);
        }
        if let Some(timeout) = limits.stall_timeout {
            self.watch_stall(key, connection, timeout, pass);
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
