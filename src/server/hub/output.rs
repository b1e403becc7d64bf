//! The flush pass: the only code that writes to sockets. It looks at every cursor on the tapes that have moved, and so
//! finds the readers that lag and the slowest reader of each.

use std::time::{Duration, Instant};

use super::channel::WalkedReaders;
use super::connections::Connections;
use super::moving::room_of;
use super::rooms::Rooms;
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

/// Bytes after which a walk gives way to those of other rooms: as many as a round of short writes counts for.
const ROUND_BYTES: usize = 64 * 1024;

/// The state that flushing a connection needs, and the counters that it updates.
struct Pass<'a> {
    limits: &'a Limits,
    stats: &'a mut Stats,
    timers: &'a mut Timers,
    budget: WriteBudget,
    now: Instant,
}

impl<S: Socket> Hub<S> {
    /// Writes to dirty connections, and to all readers of the rooms whose tape has moved, as far as the budget of the
    /// turn allows. Finds out which readers lag, and how far behind the slowest is.
    ///
    /// If a tape has moved, half of the budget is kept for the walks over readers. So neither waits for the other.
    pub(super) fn flush_all(&mut self, now: Instant) {
        let Hub { limits, stats, timers, budget, .. } = self;
        let mut pass = Pass { limits, stats, timers, budget: budget.for_writing(), now };
        let has_moved = self.rooms.has_moved();
        self.schedule.is_flush_behind = false;
        // A connection that is still dirty after its flush waits for the next turn.
        for _ in 0..self.schedule.dirty_len() {
            if pass.budget.is_spent() || (has_moved && pass.budget.is_half_spent()) {
                self.schedule.is_flush_behind = true;
                break;
            }
            let Some(key) = self.schedule.next_dirty(&mut self.connections) else { break };
            let Some(connection) = self.connections.get_mut(key) else { continue };
            if connection.phase == Phase::Gone {
                // It has no room any more.
                continue;
            }
            let room = room_of(&self.roster, connection);
            let channel = &self.rooms[room];
            let (sent_before, share) = (pass.stats.sent_bytes, bytes_per_reader(channel.readers()));
            self.schedule.flush(key, connection, channel.tape(), share, &mut pass);
            pass.budget.spend(1, pass.stats.sent_bytes - sent_before);
            self.rooms.unsettle(room);
        }
        if has_moved {
            pass.budget.begin_walk();
            walk_rooms(&mut self.rooms, &mut self.connections, &mut self.schedule, &mut pass);
        }
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
            let room = room_of(&self.roster, connection);
            let stop = connection.stop(self.rooms[room].tape());
            connection.cursor.skip_missed(stop, connection.dialect());
            self.schedule.mark_dirty(key, connection);
        } else if let Phase::Present(_) | Phase::Moving(_) = connection.phase {
            self.leave(key, &Reason::TooSlow, now);
        } else {
            self.schedule.close(key, connection);
        }
        None
    }
}

/// Goes on with the walks over the readers of the rooms whose tape has moved. Each room in turn has a round, so that
/// one with few readers does not wait for one with many. A room that has moved again since its walk began waits for the
/// next turn.
fn walk_rooms<S: Socket>(
    rooms: &mut Rooms,
    connections: &mut Connections<S>,
    schedule: &mut Schedule,
    pass: &mut Pass<'_>,
) {
    while !pass.budget.is_spent()
        && let Some(room) = rooms.take_moved()
    {
        let is_alone = !rooms.has_moved();
        let channel = &mut rooms[room];
        let share = bytes_per_reader(channel.readers());
        let is_over = walk_room(channel.walk(), share, is_alone, connections, schedule, pass);
        if is_over {
            channel.end_walk();
        }
        rooms.put_moved(room, is_over);
        rooms.unsettle(room);
    }
    rooms.end_walks();
}

/// Flushes a round of the readers of a room, or as many as the budget allows if no other room waits. Returns whether
/// none is left.
fn walk_room<S: Socket>(
    readers: WalkedReaders<'_>,
    share: usize,
    is_alone: bool,
    connections: &mut Connections<S>,
    schedule: &mut Schedule,
    pass: &mut Pass<'_>,
) -> bool {
    let WalkedReaders { tape, threshold, mut keys, bytes_each, walk } = readers;
    let round = if is_alone { ROUND } else { (ROUND_BYTES / share.min(bytes_each).max(1)).clamp(1, ROUND) };
    while !keys.is_empty() && !pass.budget.is_spent() {
        let (these, rest) = keys.split_at(pass.budget.writes_left().min(round).min(keys.len()));
        let sent_before = pass.stats.sent_bytes;
        for &key in these {
            let key = key as usize;
            let Some(connection) = connections.get_mut(key) else { continue };
            schedule.flush(key, connection, tape, share, pass);
            if connection.healthy_bytes_behind(tape) > threshold {
                walk.note_slow(key);
            }
        }
        pass.budget.spend(these.len(), pass.stats.sent_bytes - sent_before);
        keys = rest;
        if !is_alone {
            break;
        }
    }
    walk.go_on_at(keys.first());
    keys.is_empty()
}

impl Schedule {
    /// Flushes one connection, and queues it for its next step. After `share` bytes it gives way to the others. Inlined
    /// into the walk, or a delivery would cost a sixth more (`cargo bench --bench micro -- 'one line to 1000$'`).
    #[inline(always)]
    fn flush<S: Socket>(
        &mut self,
        key: usize,
        connection: &mut Connection<S>,
        tape: &Tape,
        share: usize,
        pass: &mut Pass<'_>,
    ) {
        let &mut Pass { limits, now, .. } = pass;
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
            self.watch_stall(key, connection, tape, timeout, pass);
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
            NextStep::GapNotice => self.gaps.push(connection.handle(key)),
            NextStep::Arrive => self.arriving.push(connection.handle(key)),
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
        tape: &Tape,
        timeout: Duration,
        pass: &mut Pass<'_>,
    ) {
        if let Some(deadline) = connection.watch_stall(tape, pass.now, timeout) {
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
