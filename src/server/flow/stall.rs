//! Whether one who is waited for moves on.
//!
//! Under [`Lag::Wait`](super::config::Lag::Wait) the room waits for whoever is behind, so nobody may be behind for ever.
//! Who is behind has a time in which to take so many bytes of what was said, or all of it as it was when the time began.
//! Then it has the same time again. What it is told in private does not count: of that it could ask for ever more.

use std::time::{Duration, Instant};

use crate::server::limits::STALL_BYTES;

/// What one who is behind has to reach, and until when.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// The offset on the tape that it has to reach.
    target: u64,
    /// Until when.
    deadline: Instant,
    /// The deadline that it is listed under: of those that it has had, the one that will come up.
    armed: Instant,
}

impl Stall {
    /// One who stands at `cursor` and is owed what comes before `end`.
    pub fn begin(cursor: u64, end: u64, now: Instant, timeout: Duration) -> Stall {
        let deadline = now + timeout;
        Stall { target: end.min(cursor + STALL_BYTES), deadline, armed: deadline }
    }

    /// Sees how far it has come.
    pub fn update(&mut self, cursor: u64, end: u64, now: Instant, timeout: Duration) {
        if cursor >= self.target {
            *self = Stall { armed: self.armed, ..Stall::begin(cursor, end, now, timeout) };
        }
    }

    /// The deadline that it is listed under.
    pub fn armed(&self) -> Instant {
        self.armed
    }

    /// What becomes of it now that the deadline that it is listed under has come: it is listed under a later one, or has
    /// none left (`None`).
    pub fn rearm(&mut self, now: Instant) -> Option<Instant> {
        self.armed = self.deadline;
        (self.deadline > now).then_some(self.deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    #[test]
    fn who_takes_too_little_in_time_has_stalled() {
        let start = Instant::now();
        let mut stall = Stall::begin(0, 1_000_000, start, TIMEOUT);
        stall.update(STALL_BYTES - 1, 1_000_000, start + TIMEOUT / 2, TIMEOUT);
        assert_eq!(stall.rearm(start + TIMEOUT), None);
    }

    #[test]
    fn who_takes_enough_has_the_same_time_again() {
        let start = Instant::now();
        let mut stall = Stall::begin(0, 1_000_000, start, TIMEOUT);
        let half = start + TIMEOUT / 2;
        stall.update(STALL_BYTES, 1_000_000, half, TIMEOUT);
        assert_eq!(stall.armed(), start + TIMEOUT, "its entry is not looked for");
        assert_eq!(stall.rearm(start + TIMEOUT), Some(half + TIMEOUT));
        assert_eq!(stall.rearm(half + TIMEOUT), None, "and no more than that");
    }

    #[test]
    fn all_that_was_owed_is_enough_however_little() {
        let start = Instant::now();
        let mut stall = Stall::begin(0, 10, start, TIMEOUT);
        stall.update(10, 30, start + TIMEOUT / 2, TIMEOUT);
        assert!(stall.rearm(start + TIMEOUT).is_some());
        stall.update(29, 50, start + TIMEOUT, TIMEOUT);
        assert_eq!(stall.rearm(start + TIMEOUT + TIMEOUT / 2), None);
    }
}
