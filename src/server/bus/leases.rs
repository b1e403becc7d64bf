//! Leases: each server keeps a key alive, and looks at the keys of the others.
//!
//! A server whose lease is missing at two looks in a row, while nothing of it was read, is reported as gone. A server
//! that is deaf itself must not judge: not soon after it connected, not while it is away, and not when its own lease
//! has run out (it stood still, or Redis has lost its data).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::relay::sequence::Writer;

/// From one look at the leases, and one renewal of the own lease, to the next.
pub(super) const BEAT: Duration = Duration::from_secs(5);

/// The time that a lease lasts, in ms, as an argument: four beats.
pub(super) const LEASE_MS: &str = "20000";

/// The time for which nobody is judged after a reason not to: a lease, so each server has renewed its own.
pub(super) const UNJUDGED: Duration = Duration::from_secs(20);

/// Looks in a row at which a lease is missing, until its server is gone.
const MISSES_MAX: u8 = 2;

/// The servers whose leases are watched.
#[derive(Debug)]
pub(super) struct Leases {
    watched: BTreeMap<Writer, Watch>,
    /// The time of the next look.
    next_beat: Instant,
    /// Nobody is judged before.
    judges_from: Instant,
}

/// The lease of another server.
#[derive(Clone, Copy, Debug, Default)]
struct Watch {
    /// Looks in a row at which it was missing.
    misses: u8,
    /// Whether an entry of the server was read since the last look.
    is_heard: bool,
}

impl Leases {
    pub(super) fn new(now: Instant) -> Leases {
        Leases { watched: BTreeMap::new(), next_beat: now, judges_from: now + UNJUDGED }
    }

    pub(super) fn watch(&mut self, other: Writer) {
        self.watched.entry(other).or_default();
    }

    pub(super) fn unwatch(&mut self, other: Writer) {
        self.watched.remove(&other);
    }

    /// Records that a new entry of a server was read.
    pub(super) fn note_heard(&mut self, writer: Writer) {
        if let Some(watch) = self.watched.get_mut(&writer) {
            watch.is_heard = true;
        }
    }

    /// Records that a connection works again: renews at once, and judges later.
    pub(super) fn note_connected(&mut self, now: Instant) {
        self.next_beat = now;
        self.judge_later(now);
    }

    /// Judges nobody for a while: what is missing may be the own fault.
    pub(super) fn judge_later(&mut self, now: Instant) {
        self.judges_from = self.judges_from.max(now + UNJUDGED);
        for watch in self.watched.values_mut() {
            watch.misses = 0;
        }
    }

    /// Returns the time of the next beat.
    pub(super) fn next_beat(&self) -> Instant {
        self.next_beat
    }

    /// Begins a beat if one is due. Returns the servers to look at.
    pub(super) fn begin_beat(&mut self, now: Instant) -> Option<Vec<Writer>> {
        if now < self.next_beat {
            return None;
        }
        self.next_beat = now + BEAT;
        Some(self.watched.keys().copied().collect())
    }

    /// Takes the result of a look: whether the own lease was there, and those of the others. Returns who is gone.
    pub(super) fn judge(&mut self, has_own: bool, found: &[(Writer, bool)], now: Instant) -> Vec<Writer> {
        if !has_own {
            self.judge_later(now);
        }
        let is_judging = now >= self.judges_from;
        let mut gone = Vec::new();
        for (writer, is_there) in found {
            let Some(watch) = self.watched.get_mut(writer) else { continue };
            let is_heard = std::mem::take(&mut watch.is_heard);
            watch.misses = if *is_there || is_heard || !is_judging { 0 } else { watch.misses + 1 };
            if watch.misses >= MISSES_MAX {
                watch.misses = 0;
                gone.push(*writer);
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: Writer = Writer::new(7);

    /// Leases that judge at once, and the time.
    fn judging() -> (Leases, Instant) {
        let start = Instant::now();
        let mut leases = Leases::new(start);
        leases.watch(OTHER);
        (leases, start + UNJUDGED)
    }

    #[test]
    fn a_server_is_gone_at_the_second_miss_in_a_row() {
        let (mut leases, now) = judging();
        let mut look = |is_there| leases.judge(true, &[(OTHER, is_there)], now);
        assert!(look(false).is_empty());
        assert!(look(true).is_empty());
        assert!(look(false).is_empty());
        assert_eq!(look(false), [OTHER]);
        assert!(look(false).is_empty(), "the verdict is told again only after two more");
        assert_eq!(look(false), [OTHER]);
    }

    #[test]
    fn a_server_that_is_heard_is_there() {
        let (mut leases, now) = judging();
        assert!(leases.judge(true, &[(OTHER, false)], now).is_empty());
        leases.note_heard(OTHER);
        assert!(leases.judge(true, &[(OTHER, false)], now).is_empty());
        assert!(leases.judge(true, &[(OTHER, false)], now).is_empty(), "the count began anew");
        assert_eq!(leases.judge(true, &[(OTHER, false)], now), [OTHER]);
    }

    #[test]
    fn nobody_is_judged_soon_after_a_connect() {
        let (mut leases, now) = judging();
        leases.note_connected(now);
        for second in [0, 5, 10, 15, 19] {
            assert!(leases.judge(true, &[(OTHER, false)], now + Duration::from_secs(second)).is_empty());
        }
        assert!(leases.judge(true, &[(OTHER, false)], now + UNJUDGED).is_empty());
        assert_eq!(leases.judge(true, &[(OTHER, false)], now + UNJUDGED), [OTHER]);
    }

    #[test]
    fn nobody_is_judged_by_a_server_without_a_lease() {
        let (mut leases, now) = judging();
        for second in [0, 20, 40] {
            assert!(leases.judge(false, &[(OTHER, false)], now + Duration::from_secs(second)).is_empty());
            assert!(leases.judge(true, &[(OTHER, false)], now + Duration::from_secs(second + 1)).is_empty());
        }
    }

    #[test]
    fn a_server_that_is_not_watched_is_not_judged() {
        let (mut leases, now) = judging();
        leases.unwatch(OTHER);
        for _ in 0..3 {
            assert!(leases.judge(true, &[(OTHER, false)], now).is_empty());
        }
        assert_eq!(leases.begin_beat(now), Some(vec![]));
    }

    #[test]
    fn a_beat_is_due_every_five_seconds() {
        let (mut leases, now) = judging();
        assert_eq!(leases.begin_beat(now), Some(vec![OTHER]));
        assert_eq!(leases.begin_beat(now + BEAT - Duration::from_millis(1)), None);
        assert_eq!(leases.next_beat(), now + BEAT);
        assert_eq!(leases.begin_beat(now + BEAT), Some(vec![OTHER]));
    }
}
