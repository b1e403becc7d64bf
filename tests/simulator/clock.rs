//! The time of day: it passes faster than that of the hub, and jumps, also back.

use std::time::Instant;

use crate::chance::Chance;

/// 2026-01-01, in ms since 1970.
const DAY_MS: u64 = 1_767_225_600_000;

/// The clock of a machine.
#[derive(Debug)]
pub(crate) struct Clock {
    chance: Chance,
    started: Instant,
    /// How many times faster it is.
    pace: u64,
    /// A turn in so many moves it, or none.
    one_jump_in: usize,
    moved_ms: u64,
}

impl Clock {
    pub(crate) fn new(seed: u64, started: Instant) -> Clock {
        let mut chance = Chance::new(seed.rotate_left(24) ^ 0x636c_6f63);
        let (pace, one_jump_in) = (chance.pick(&[1, 1, 30, 1_000]), chance.pick(&[0, 20, 500]));
        Clock { chance, started, pace, one_jump_in, moved_ms: DAY_MS }
    }

    /// The time of day, in ms since 1970.
    pub(crate) fn unix_ms(&mut self, now: Instant) -> u64 {
        if self.one_jump_in > 0 && self.chance.one_in(self.one_jump_in) {
            let jump_ms = self.chance.pick(&[1, 100, 999, 1_000, 1_001, 100_000]);
            self.moved_ms = if self.chance.one_in(2) { self.moved_ms + jump_ms } else { self.moved_ms - jump_ms };
        }
        let passed_ms = u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX);
        self.moved_ms + self.pace * passed_ms
    }
}
