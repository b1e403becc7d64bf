//! Rate limit of one client: lines per second, and a burst.
//!
//! A token bucket, kept as one point in time (the generic cell rate algorithm, ITU-T I.371): the time until which the
//! client has paid. Each line adds its cost; a client that is a burst ahead of the clock waits. So no timer fills the
//! bucket, and a full bucket takes no memory beyond its `None`.

use std::time::{Duration, Instant};

/// Lines per second, and a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Cost of a line.
    line: Duration,
    /// Time by which a client may be ahead of the clock and still send another line.
    ahead_max: Duration,
}

impl Rate {
    /// Creates a rate of `lines_per_second`, with `burst_lines` at once after a silence; each counts as 1 at least.
    pub fn new(lines_per_second: u32, burst_lines: u32) -> Rate {
        let line = Duration::from_secs(1) / lines_per_second.max(1);
        Rate { line, ahead_max: line * (burst_lines.max(1) - 1) }
    }
}

/// Lines that one client has sent recently; `None` inside if it owes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    paid_until: Option<Instant>,
}

impl Bucket {
    /// Returns when the next line may pass; `None` if it may pass now.
    pub(crate) fn next_at(&self, rate: Rate, now: Instant) -> Option<Instant> {
        let paid_until = self.paid_until?;
        let next = paid_until.checked_sub(rate.ahead_max)?;
        (next > now).then_some(next)
    }

    /// Charges the cost of one line.
    pub(crate) fn charge(&mut self, rate: Rate, now: Instant) {
        let from = self.paid_until.map_or(now, |paid_until| paid_until.max(now));
        self.paid_until = Some(from + rate.line);
    }

    /// Adds the debt of another connection of the same client.
    pub(crate) fn add(&mut self, other: Bucket, now: Instant) {
        let owed =
            |bucket: &Bucket| bucket.paid_until.map_or(Duration::ZERO, |time| time.saturating_duration_since(now));
        let both = owed(self) + owed(&other);
        self.paid_until = (!both.is_zero()).then(|| now + both);
    }

    /// Goes on under another rate. A client that owes more than a whole burst of that owes a burst; without a rate, it
    /// owes nothing.
    pub(crate) fn adapt(&mut self, rate: Option<Rate>, now: Instant) {
        let most = rate.map(|rate| now + rate.ahead_max + rate.line);
        self.paid_until = self.paid_until.zip(most).map(|(paid_until, most)| paid_until.min(most));
    }

    /// Forgets lines whose cost has been paid off by time. Returns whether nothing is left to remember.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        if self.paid_until.is_some_and(|paid_until| paid_until <= now) {
            self.paid_until = None;
        }
        self.paid_until.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts the lines that the bucket passes at `now`.
    fn passed(bucket: &mut Bucket, rate: Rate, now: Instant) -> u32 {
        let mut lines = 0;
        while bucket.next_at(rate, now).is_none() {
            bucket.charge(rate, now);
            lines += 1;
        }
        lines
    }

    #[test]
    fn a_burst_passes_at_once_and_then_the_rate() {
        let (rate, start) = (Rate::new(10, 5), Instant::now());
        let mut bucket = Bucket::default();
        assert_eq!(passed(&mut bucket, rate, start), 5);
        assert_eq!(bucket.next_at(rate, start), Some(start + Duration::from_millis(100)));
        for tenth in 1..50 {
            assert_eq!(passed(&mut bucket, rate, start + tenth * Duration::from_millis(100)), 1);
        }
    }

    #[test]
    fn silence_gives_the_burst_back_and_no_more() {
        let (rate, start) = (Rate::new(10, 5), Instant::now());
        let mut bucket = Bucket::default();
        passed(&mut bucket, rate, start);
        assert!(!bucket.expire(start + Duration::from_millis(499)));
        assert!(bucket.expire(start + Duration::from_millis(500)), "a full bucket keeps nothing");
        assert_eq!(passed(&mut bucket, rate, start + Duration::from_secs(3_600)), 5);
        let later = start + Duration::from_secs(7_200);
        assert_eq!(passed(&mut bucket, rate, later), 5, "whether it was expired or not");
    }

    #[test]
    fn no_stretch_of_time_passes_more_than_the_burst_and_the_rate() {
        let (rate, start) = (Rate::new(7, 3), Instant::now());
        let mut bucket = Bucket::default();
        let lines: u32 =
            (0..10_000).map(|millis| passed(&mut bucket, rate, start + Duration::from_millis(millis))).sum();
        assert_eq!(lines, 3 + 69, "seven a second for nearly ten");
    }

    #[test]
    fn a_client_that_owes_much_waits_for_one_line_of_another_rate_and_for_none_without() {
        let (slow, quick, start) = (Rate::new(1, 3_600), Rate::new(10, 5), Instant::now());
        let mut bucket = Bucket::default();
        assert_eq!(passed(&mut bucket, slow, start), 3_600);
        bucket.adapt(Some(quick), start);
        assert_eq!(bucket.next_at(quick, start), Some(start + Duration::from_millis(100)));
        assert_eq!(passed(&mut bucket, quick, start + Duration::from_secs(1)), 5);
        bucket.adapt(None, start);
        assert_eq!(bucket, Bucket::default());
    }

    #[test]
    fn what_two_connections_of_a_client_owe_is_owed_together() {
        let (rate, start) = (Rate::new(10, 5), Instant::now());
        let mut one = Bucket::default();
        assert_eq!(passed(&mut one, rate, start), 5);
        let mut other = Bucket::default();
        other.charge(rate, start);
        one.add(other, start);
        assert_eq!(one.next_at(rate, start), Some(start + Duration::from_millis(200)));
        one.add(Bucket::default(), start + Duration::from_millis(100));
        assert_eq!(one.next_at(rate, start), Some(start + Duration::from_millis(200)));
        let later = start + Duration::from_secs(1);
        one.add(other, later);
        assert_eq!(one, Bucket::default(), "what is paid off is not owed");
    }

    #[test]
    fn a_client_that_owes_little_keeps_it_under_another_rate() {
        let (before, after, start) = (Rate::new(10, 5), Rate::new(10, 8), Instant::now());
        let mut bucket = Bucket::default();
        assert_eq!(passed(&mut bucket, before, start), 5);
        bucket.adapt(Some(after), start);
        assert_eq!(passed(&mut bucket, after, start), 3);
    }

    #[test]
    fn a_rate_and_a_burst_are_at_least_one_line() {
        let (rate, start) = (Rate::new(0, 0), Instant::now());
        assert_eq!(rate, Rate::new(1, 1));
        let mut bucket = Bucket::default();
        assert_eq!(passed(&mut bucket, rate, start), 1);
        assert_eq!(bucket.next_at(rate, start), Some(start + Duration::from_secs(1)));
    }
}
