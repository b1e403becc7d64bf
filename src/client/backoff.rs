//! How long to wait before something is tried again: longer each time, and not the same for everybody. Pure: jitter is
//! handed in.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// A row of backoff, each nominally twice the one before, up to a longest one.
///
/// Each is shortened by jitter, to no less than half, so that all the clients of a server that restarts do not come
/// back in the same moment.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Backoff from `first` to `longest`, nominally.
    pub(crate) fn new(first: Duration, longest: Duration) -> Backoff {
        Backoff { first, longest, next: first }
    }

    /// The next pause; every value of `jitter` is as good as another.
    pub(crate) fn next_delay(&mut self, jitter: u64) -> Duration {
        let nominal = self.next;
        self.next = (nominal * 2).min(self.longest);
        // The upper half of the bits are enough, and convert without loss.
        nominal.mul_f64(0.5 + 0.5 * f64::from((jitter >> 32) as u32) / f64::from(u32::MAX))
    }

    /// Whether the first one is still to come.
    pub(crate) fn is_first(&self) -> bool {
        self.next == self.first
    }

    /// Begins with the first one again.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// A number that nobody can tell beforehand: the standard library keys its hash maps with jitter.
pub(crate) fn jitter() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(SECOND, 10 * SECOND);
        for _ in 0..2 {
            let nominal: Vec<u64> = (0..6).map(|_| backoff.next_delay(u64::MAX).as_secs()).collect();
            assert_eq!(nominal, [1, 2, 4, 8, 10, 10]);
            backoff.reset();
        }
    }

    #[test]
    fn chance_takes_away_half_at_most() {
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
