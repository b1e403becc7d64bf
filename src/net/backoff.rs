//! Exponential backoff with jitter. Pure: random bits come from the caller.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Delays that double up to a maximum.
///
/// Jitter shortens each delay to at least half of it, so the clients of a restarted server do not all return at once.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Delays from `first` to `max`, before jitter.
    pub(crate) fn new(first: Duration, max: Duration) -> Backoff {
        Backoff { first, max, next: first }
    }

    /// Returns the next delay. `jitter` holds uniform random bits.
    pub(crate) fn next_delay(&mut self, jitter: u64) -> Duration {
        let nominal = self.next;
        self.next = (nominal * 2).min(self.max);
        // 32 bits suffice and convert to f64 without loss.
        nominal.mul_f64(0.5 + 0.5 * f64::from((jitter >> 32) as u32) / f64::from(u32::MAX))
    }

    /// Whether the next delay is the first.
    pub(crate) fn is_first(&self) -> bool {
        self.next == self.first
    }

    /// Starts again with the first delay.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Returns random bits: the standard library keys each hasher at random.
pub(crate) fn jitter() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_the_maximum_and_start_again() {
        let mut backoff = Backoff::new(SECOND, 10 * SECOND);
        for _ in 0..2 {
            let nominal: Vec<u64> = (0..6).map(|_| backoff.next_delay(u64::MAX).as_secs()).collect();
            assert_eq!(nominal, [1, 2, 4, 8, 10, 10]);
            backoff.reset();
        }
    }

    #[test]
    fn jitter_takes_away_at_most_half() {
        for (jitter, pause) in [(0, SECOND / 2), (u64::MAX, SECOND)] {
            assert_eq!(Backoff::new(SECOND, SECOND).next_delay(jitter), pause);
        }
        let middle = Backoff::new(SECOND, SECOND).next_delay(u64::MAX / 2);
        assert!(middle > SECOND * 7 / 10 && middle < SECOND * 8 / 10, "{middle:?}");
    }

    #[test]
    fn chance_differs() {
        assert_ne!(jitter(), jitter());
    }
}
