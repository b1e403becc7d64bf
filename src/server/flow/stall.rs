//! Stall detection: whether a reader that the room waits for makes progress.
//!
//! Under [`Lag::Wait`](crate::server::config::Lag::Wait) the room waits for its slowest reader, so no reader may stall
//! for ever. Within the stall timeout a reader has to take 64 KiB of the tape, or everything that was pending when the
//! timeout began. Then the timeout begins anew. Private replies do not count: a client can ask for any number of them.

use std::time::{Duration, Instant};

use crate::server::limits::STALL_BYTES;

/// Progress that one reader has to make, and by when.
///
/// Invariant: `armed <= deadline`. The heap of timers holds one entry, at `armed`; progress moves `deadline` alone, and
/// [`rearm`](Stall::rearm) follows when the entry comes up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    /// Offset on the tape that the reader has to reach.
    target: u64,
    deadline: Instant,
    armed: Instant,
}

impl Stall {
    /// Begins the timeout of a reader at `cursor` that has not been sent the bytes before `end` (offsets on the tape).
    pub(crate) fn begin(cursor: u64, end: u64, now: Instant, timeout: Duration) -> Stall {
        let deadline = now + timeout;
        Stall { target: end.min(cursor + STALL_BYTES), deadline, armed: deadline }
    }

    /// Begins the timeout anew if the reader has reached its target. `timeout` has to be the same in each call.
    pub(crate) fn update(&mut self, cursor: u64, end: u64, now: Instant, timeout: Duration) {
        if cursor >= self.target {
            *self = Stall { armed: self.armed, ..Stall::begin(cursor, end, now, timeout) };
        }
    }

    /// Returns the time of the entry in the heap of timers.
    pub(crate) fn armed(&self) -> Instant {
        self.armed
    }

    /// Gives the reader time until `deadline`, if that is later: nothing was written to it meanwhile.
    pub(crate) fn postpone(&mut self, deadline: Instant) {
        self.deadline = self.deadline.max(deadline);
    }

    /// Handles the entry that came up: returns the time of the next one, or `None` if the reader has stalled.
    pub(crate) fn rearm(&mut self, now: Instant) -> Option<Instant> {
        self.armed = self.deadline;
        (self.deadline > now).then_some(self.deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    #[test]
    fn a_reader_that_takes_too_little_in_time_has_stalled() {
        let start = Instant::now();
        let mut stall = Stall::begin(0, 1_000_000, start, TIMEOUT);
        stall.update(STALL_BYTES - 1, 1_000_000, start + TIMEOUT / 2, TIMEOUT);
        assert_eq!(stall.rearm(start + TIMEOUT), None);
    }

    #[test]
    fn a_reader_that_takes_enough_has_the_same_time_again() {
        let start = Instant::now();
        let mut stall = Stall::begin(0, 1_000_000, start, TIMEOUT);
        let half = start + TIMEOUT / 2;
        stall.update(STALL_BYTES, 1_000_000, half, TIMEOUT);
        assert_eq!(stall.armed(), start + TIMEOUT, "its entry stays where it is");
        assert_eq!(stall.rearm(start + TIMEOUT), Some(half + TIMEOUT));
        assert_eq!(stall.armed(), half + TIMEOUT);
        assert_eq!(stall.rearm(half + TIMEOUT), None, "and no more than that");
    }

    #[test]
    fn taking_all_that_was_pending_is_enough_however_little() {
        let start = Instant::now();
        let mut stall = Stall::begin(0, 10, start, TIMEOUT);
        stall.update(10, 30, start + TIMEOUT / 2, TIMEOUT);
        assert!(stall.rearm(start + TIMEOUT).is_some());
        stall.update(29, 50, start + TIMEOUT, TIMEOUT);
        assert_eq!(stall.rearm(start + TIMEOUT + TIMEOUT / 2), None);
    }

    #[test]
    fn lines_that_are_said_meanwhile_do_not_move_the_target() {
        let start = Instant::now();
        let mut stall = Stall::begin(0, 10, start, TIMEOUT);
        stall.update(9, 1_000_000, start + TIMEOUT / 2, TIMEOUT);
        stall.update(10, 2_000_000, start + TIMEOUT / 2, TIMEOUT);
        assert_eq!(stall.rearm(start + TIMEOUT), Some(start + TIMEOUT / 2 + TIMEOUT));
    }
}
