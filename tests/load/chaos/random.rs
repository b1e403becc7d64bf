//! Random numbers from a seed.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A generator (SplitMix64). The same seed makes the same choices; threads and the network do not.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Another generator, for another part of the test.
    pub(super) fn split(&mut self) -> Random {
        Random(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub(super) fn between(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.next() % (range.end() - range.start() + 1)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.between(0..=end as u64 - 1)).unwrap()
    }

    /// Whether one of so many times has come.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.between(1..=times) == 1
    }

    pub(super) fn millis(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.between(range))
    }
}
