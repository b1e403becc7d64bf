//! How everyone is given what they are owed, once a turn: the only place where sockets are written to. It sees every place on
//! the tape anyway, and so finds out who lags and who is slowest.

use std::mem;
use std::time::Instant;

use super::closing::Why;
use super::{Hub, Limits, Lists};
use crate::net::stream::Socket;
use crate::relay::tape::Tape;
use crate::server::config::Lag;
use crate::server::connection::{Connection, NextStep, Overtaken};
use crate::server::flow::brake::bytes_per_reader;
use crate::server::hub::timers::Deadlines;
use crate::server::stats::Stats;

/// What settling a connection needs to know, and what it counts.
struct Settling<'a> {
    tape: &'a Tape,
    limits: &'a Limits,
    figures: &'a mut Stats,
    stalls: &'a mut Deadlines,
    /// How many bytes each is given before others have theirs.
    share: usize,
    now: Instant,
}

impl<S: Socket> Hub<S> {
    /// Gives everyone what they are owed, sees who lags and who is slowest, gives up those whose grace is over, and removes
    /// the departed. Returns how many these were.
    pub fn settle(&mut self, now: Instant) -> usize {
        let tape = self.room.tape();
        let touched = mem::take(&mut self.lists.touched);
        let Hub { limits, figures, due, .. } = self;
        let share = bytes_per_reader(self.room.clients());
        let mut settling = Settling { tape, limits, figures, stalls: &mut due.stalls, share, now };
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
        self.end_silent_newcomers(now);
        self.end_visits(now);
        // Not earlier: one who takes something in this very turn has a new grace.
        self.end_graces(now);
        self.end_graces_of_refused(now);
        self.end_old_refusals();
        let gone = self.remove_gone();
        // Not earlier: whoever is gone is not waited for any more, and no event may come that would tell.
        self.brake.set_slowest(self.slowest_bytes_behind());
        gone
    }

    /// How far behind the slowest healthy reader is, if that is far, in bytes. Since the last look at everyone, only
    /// those who were far behind then can be; and all the others, by what was put on the tape since.
    pub(super) fn slowest_bytes_behind(&self) -> u64 {
        let tape = self.room.tape();
        let connections = self.lists.far_behind.iter().filter_map(|&key| self.connections.get(key));
        let of_all = tape.end().offset - self.settled.offset;
        connections.map(|connection| connection.healthy_bytes_behind(tape)).fold(of_all, u64::max)
    }
}

impl Lists {
    /// Gives one connection its share, and puts it on the list of what it needs next.
    fn settle<S: Socket>(&mut self, key: usize, connection: &mut Connection<S>, settling: &mut Settling<'_>) {
        let &mut Settling { tape, limits, share, now, .. } = settling;
        connection.is_touched = false;
        if let Some(lag) = connection.keep_up(tape) {
            self.note_lag(key, lag, limits.lag, settling.figures);
        }
        match connection.settle(tape, share, now, &mut settling.figures.sent_bytes) {
            NextStep::Nothing => {}
            NextStep::Flush => self.touch(key, connection),
            NextStep::Removal => self.remove(key, connection),
        }
        if connection.wants_reading(limits.holds) {
            self.queue(key, connection);
        }
        if let Some(timeout) = limits.stall_timeout
            && let Some(deadline) = connection.watch_stall(tape, now, timeout)
        {
            settling.stalls.push(deadline, connection.handle(key));
        }
    }

    /// Takes note of one that was overtaken: it is counted, and let go where that is the policy.
    pub(super) fn note_lag(&mut self, key: usize, lag: Overtaken, policy: Lag, figures: &mut Stats) {
        figures.lags += u64::from(lag.is_new);
        figures.missed_lines += lag.missed_lines;
        if policy == Lag::Disconnect {
            self.too_slow.push(key);
        }
    }
}
