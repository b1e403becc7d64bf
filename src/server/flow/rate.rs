//! How much one may say: a rate, and a burst that it may be exceeded by.
//!
//! A token bucket, kept as one time (the "generic cell rate algorithm" of ITU-T I.371): up to when what was said is paid
//! for. Each line adds what it costs; who has paid for a burst in advance has to wait. So a bucket has no timer that
//! fills it, and a full one need not be kept.

use std::time::{Duration, Instant};

/// A rate of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What a line costs.
    line: Duration,
    /// How far ahead of the time one may have paid for another line to be heard.
    ahead_max: Duration,
}

impl Rate {
    /// `lines_per_second`, and `burst_lines` at once after a time of silence; each at least 1.
    pub fn new(lines_per_second: u32, burst_lines: u32) -> Rate {
        let line = Duration::from_secs(1) / lines_per_second.max(1);
        Rate { line, ahead_max: line * (burst_lines.max(1) - 1) }
    }
}

/// What one has said of late: nothing, unless it has paid beyond the present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    paid_until: Option<Instant>,
}

impl Bucket {
    /// When the next line may be heard; `None` for at once.
    pub fn next_at(&self, rate: Rate, now: Instant) -> Option<Instant> {
        let paid_until = self.paid_until?;
        let next = paid_until.checked_sub(rate.ahead_max)?;
        (next > now).then_some(next)
    }

    /// Takes note of a line that is heard.
    pub fn charge(&mut self, rate: Rate, now: Instant) {
        let from = self.paid_until.map_or(now, |paid_until| paid_until.max(now));
        self.paid_until = Some(from + rate.line);
    }

    /// Forgets what is of no account any more; tells whether that was all.
    pub fn expire(&mut self, now: Instant) -> bool {
        if self.paid_until.is_some_and(|paid_until| paid_until <= now) {
            self.paid_until = None;
        }
        self.paid_until.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many lines are heard at `now` of one who has more than enough to say.
    fn heard(bucket: &mut Bucket, rate: Rate, now: Instant) -> u32 {
        let mut lines = 0;
        while bucket.next_at(rate, now).is_none() {
            bucket.charge(rate, now);
            lines += 1;
        }
        lines
    }

    #[test]
    fn a_burst_is_heard_at_once_and_then_the_rate() {
        let (rate, start) = (Rate::new(10, 5), Instant::now());
        let mut bucket = Bucket::default();
        assert_eq!(heard(&mut bucket, rate, start), 5);
        assert_eq!(bucket.next_at(rate, start), Some(start + Duration::from_millis(100)));
        for tenth in 1..50 {
            assert_eq!(heard(&mut bucket, rate, start + tenth * Duration::from_millis(100)), 1);
        }
    }

    #[test]
    fn silence_gives_the_burst_back_and_no_more() {
        let (rate, start) = (Rate::new(10, 5), Instant::now());
        let mut bucket = Bucket::default();
        heard(&mut bucket, rate, start);
        assert!(!bucket.expire(start + Duration::from_millis(499)));
        assert!(bucket.expire(start + Duration::from_millis(500)), "a full bucket is nothing");
        assert_eq!(heard(&mut bucket, rate, start + Duration::from_secs(3_600)), 5);
    }

    #[test]
    fn in_any_stretch_of_time_no_more_is_heard_than_the_burst_and_the_rate() {
        let (rate, start) = (Rate::new(7, 3), Instant::now());
        let mut bucket = Bucket::default();
        let lines: u32 =
            (0..10_000).map(|millis| heard(&mut bucket, rate, start + Duration::from_millis(millis))).sum();
        assert_eq!(lines, 3 + 69, "seven a second for nearly ten");
    }
}
