//! Timers of connections: one heap, one enum, one dispatch. Only the enter delays are elsewhere, in a queue of
//! `admission`.
//!
//! No timer is cancelled. When a timer fires, its handler checks the state of the connection, and returns a later time
//! if the deadline has moved (lazy deletion). So setting a timer costs a push, and dropping it costs nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::Hub;
use crate::net::stream::Socket;
use crate::server::connection::{Handle, Phase, ReadState};

/// Heaps below this length are not pruned.
pub(super) const PRUNED_LEN_MIN: usize = 64;

/// A timer of one connection, by its effect. `Close` is the last variant: [`COUNT`](Timer::COUNT) is taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// `--flush-after` ends a line that has no newline.
    FlushPartial,
    /// `--rate` allows the next line.
    Resume,
    /// A silent browser is pinged, or timed out.
    Ping,
    /// A connection that has sent part of a line enters without the rest.
    Enter,
    /// A proxy must have sent its header.
    Header,
    /// A locked connection must have given the password.
    Password,
    /// A new member is introduced to the room.
    Introduce,
    /// `--stall-timeout` ends the wait for a slow reader.
    Stall,
    /// `--idle-timeout` disconnects a client that has never sent anything.
    Idle,
    /// A TLS handshake must be over.
    Handshake,
    /// A visitor must have sent its request, or taken the answer.
    Request,
    /// A closing connection is sent its next last word.
    LastWord,
    /// A closing connection that takes nothing is dropped.
    Close,
}

/// The part of a turn in which a timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before reading: these make connections readable.
    BeforeReading,
    /// After reading: input of this very turn may have come in time.
    AfterReading,
    /// After writing: a client may have taken something in this very turn.
    AfterWriting,
}

impl Timer {
    /// Number of kinds.
    pub(super) const COUNT: usize = Timer::Close as usize + 1;

    /// Effort of firing it, in system calls and lines of the log. Stale timers count like others.
    fn effort(self) -> usize {
        match self {
            Timer::FlushPartial | Timer::Resume | Timer::Ping | Timer::LastWord => 1,
            Timer::Enter | Timer::Header | Timer::Password | Timer::Introduce => 2,
            Timer::Stall | Timer::Idle | Timer::Handshake | Timer::Request | Timer::Close => 4,
        }
    }

    fn stage(self) -> Stage {
        match self {
            Timer::FlushPartial | Timer::Resume | Timer::Ping | Timer::LastWord => Stage::BeforeReading,
            Timer::Enter | Timer::Header | Timer::Password | Timer::Introduce => Stage::AfterReading,
            Timer::Stall | Timer::Idle | Timer::Handshake | Timer::Request | Timer::Close => Stage::AfterWriting,
        }
    }
}

/// A timer, and when it fires.
type Entry = (Instant, Timer, Handle);

/// The timers.
///
/// Invariant: `due` holds timers of later stages of this turn, and is empty between two turns. The heap is pruned when
/// it has doubled since the last time, so about half of it is stale at most, and pruning costs about one look per timer
/// set.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
    due: Vec<Entry>,
    pruned_len: usize,
    /// Whether the last turn left timers that were due.
    is_behind: bool,
}

impl Timers {
    /// Sets a timer.
    pub(super) fn set(&mut self, time: Instant, timer: Timer, handle: Handle) {
        self.heap.push(Reverse((time, timer, handle)));
    }

    /// Returns the time of the next timer.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((time, ..))| *time)
    }

    /// Returns the number of timers that are set, stale ones included.
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether the last turn left timers that were due.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Number of timers that the last pruning left.
    pub(super) fn pruned_len(&self) -> usize {
        self.pruned_len
    }

    /// Takes out the timers that are due at `now`, for all stages of this turn, up to so much effort. The others fire
    /// in the next turn.
    fn begin_turn(&mut self, effort_max: usize, now: Instant) {
        let mut effort = 0;
        while effort < effort_max && self.next().is_some_and(|time| time <= now) {
            let Some(Reverse(entry)) = self.heap.pop() else { break };
            effort += entry.1.effort();
            self.due.push(entry);
        }
        self.is_behind = self.next().is_some_and(|time| time <= now);
    }

    fn take_due(&mut self, stage: Stage) -> Vec<Entry> {
        self.due.extract_if(.., |(_, timer, _)| timer.stage() == stage).collect()
    }

    fn should_prune(&self) -> bool {
        self.heap.len() > 2 * self.pruned_len + PRUNED_LEN_MIN
    }

    fn prune(&mut self, is_live: impl Fn(&Entry) -> bool) {
        self.heap.retain(|Reverse(entry)| is_live(entry));
        self.heap.shrink_to(2 * self.heap.len());
        self.pruned_len = self.heap.len();
    }
}

impl<S: Socket> Hub<S> {
    /// Finds the timers that are due, and fires those of the first stage.
    pub(super) fn begin_timers(&mut self, now: Instant) {
        self.timers.begin_turn(self.limits.turn.timers, now);
        self.fire_timers(Stage::BeforeReading, now);
    }

    /// Fires the timers of a stage that were due when the turn began.
    pub(super) fn fire_timers(&mut self, stage: Stage, now: Instant) {
        if self.timers.due.is_empty() {
            return;
        }
        for (time, timer, handle) in self.timers.take_due(stage) {
            if self.connections.known(handle).is_some_and(|connection| connection.phase != Phase::Gone)
                && let Some(again) = self.on_timer(time, timer, handle, now)
            {
                self.timers.set(again, timer, handle);
            }
        }
    }

    /// Fires one timer, which was set to `time`. Returns when to fire it again.
    fn on_timer(&mut self, time: Instant, timer: Timer, handle: Handle, now: Instant) -> Option<Instant> {
        match timer {
            Timer::FlushPartial => self.on_flush_timer(time, handle.key, now),
            Timer::Resume => self.on_resume_timer(handle.key),
            Timer::Ping => self.on_ping_timer(time, handle.key, now),
            Timer::Enter => self.on_enter_timer(handle.key, now),
            Timer::Header => self.on_header_timer(handle.key, now),
            Timer::Password => self.on_password_timer(handle.key, now),
            Timer::Introduce => self.on_introduce_timer(handle.key, now),
            Timer::Stall => self.on_stall_timer(time, handle.key, now),
            Timer::Idle => self.on_idle_timer(handle.key, now),
            Timer::Handshake => self.on_handshake_timer(handle.key, now),
            Timer::Request => self.on_request_timer(handle.key, now),
            Timer::LastWord => self.on_last_word_timer(handle.key),
            Timer::Close => self.on_close_timer(handle.key, now),
        }
    }

    /// Drops stale timers if there may be many.
    pub(super) fn prune_timers(&mut self) {
        if self.timers.should_prune() {
            let mut timers = std::mem::take(&mut self.timers);
            timers.prune(|&(time, timer, handle)| self.is_live(time, timer, handle));
            self.timers = timers;
        }
    }

    /// Whether a timer may still have an effect.
    fn is_live(&self, time: Instant, timer: Timer, handle: Handle) -> bool {
        let Some(connection) = self.connections.known(handle) else { return false };
        let is_present = matches!(connection.phase, Phase::Present(_));
        let is_member = is_present || matches!(connection.phase, Phase::Moving(_));
        match timer {
            Timer::FlushPartial => connection.input().is_some_and(|input| input.flush_timer == Some(time)),
            Timer::Resume => connection.read_state == ReadState::Throttled,
            Timer::Ping => (is_member || connection.phase == Phase::Entering) && connection.is_browser(),
            Timer::Enter | Timer::Header | Timer::Password | Timer::Request => connection.phase == Phase::Entering,
            Timer::Handshake => connection.phase == Phase::Entering && connection.is_handshaking(),
            Timer::Introduce | Timer::Idle => is_present,
            Timer::Stall => connection.is_stall_armed(time),
            Timer::LastWord => connection.is_pausing_until(time),
            Timer::Close => connection.phase == Phase::Closing,
        }
    }
}
