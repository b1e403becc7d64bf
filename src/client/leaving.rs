//! The bounds of leaving: the time and the bytes that a server gets after our goodbye. Pure.

use std::time::{Duration, Instant};

use super::decoder::ServerKind;
use super::limits::{GRACE, LEAVE_BYTES_MAX, OVERTIME, PATIENCE_MAX, PATIENCE_PER_LINE, SLOWEST_LINK};

/// The end of a conversation, from our goodbye on.
///
/// A foreign server gets [`GRACE`] and [`LEAVE_BYTES_MAX`]: one that answers an end of input for ever must not hold us.
/// A pollchat server may throttle our lines (`--rate`) and owe us its backlog, so it gets more, in proportion to both.
#[derive(Debug)]
pub(crate) struct Leaving {
    /// Time of the last byte that we sent, or of the end of our direction.
    since: Instant,
    /// Bytes from the server since our direction was closed.
    received_bytes: u64,
    /// Lines and bytes that we have sent in all.
    sent_lines: u64,
    sent_bytes: u64,
    /// Time from `since` on until a server that takes a line in [`PATIENCE_PER_LINE`] has taken all.
    throttled: Duration,
    /// Bytes that a pollchat server may send.
    owed_bytes_max: u64,
    overtime: Option<Instant>,
}

impl Leaving {
    /// Begins with the connection. A pollchat server may owe us `owed_bytes_max`.
    pub(crate) fn new(owed_bytes_max: u64, now: Instant) -> Leaving {
        Leaving {
            since: now,
            received_bytes: 0,
            sent_lines: 0,
            sent_bytes: 0,
            throttled: Duration::ZERO,
            owed_bytes_max,
            overtime: None,
        }
    }

    /// Records that bytes of ours have moved, of these lines and bytes in all, or that our direction ends.
    pub(crate) fn on_sent(&mut self, lines: u64, bytes: u64, now: Instant) {
        let more = u32::try_from(lines.saturating_sub(self.sent_lines)).unwrap_or(u32::MAX);
        let left = self.throttled.saturating_sub(now.saturating_duration_since(self.since));
        let throttled = left.saturating_add(PATIENCE_PER_LINE.saturating_mul(more)).min(PATIENCE_MAX);
        *self = Leaving { sent_lines: lines, sent_bytes: bytes, throttled, ..Leaving::new(self.owed_bytes_max, now) };
    }

    /// Starts the time anew at `since`, unless it started later.
    pub(crate) fn postpone(&mut self, since: Instant) {
        self.since = self.since.max(since);
    }

    /// Counts bytes of a server that has our goodbye. Returns whether they are too many.
    pub(crate) fn on_received(&mut self, bytes: usize, kind: ServerKind) -> bool {
        self.received_bytes += bytes as u64;
        let bytes_max = match kind {
            ServerKind::Pollchat => self.owed_bytes_max,
            // A server that repeats our lines may still have them to repeat.
            ServerKind::Unknown(_) | ServerKind::Other => LEAVE_BYTES_MAX + self.sent_bytes,
        };
        self.received_bytes > bytes_max
    }

    /// The deadline of the server.
    pub(crate) fn deadline(&self, kind: ServerKind) -> Instant {
        let patience = match kind {
            ServerKind::Pollchat => self.throttled + Duration::from_millis(self.received_bytes * 1000 / SLOWEST_LINK),
            ServerKind::Unknown(_) | ServerKind::Other => Duration::ZERO,
        };
        self.since + GRACE + patience
    }

    /// Whether the deadline is over. A client that was stopped (Ctrl-Z) has unread bytes then, so a busy one gets
    /// [`OVERTIME`].
    pub(crate) fn is_over(&mut self, kind: ServerKind, is_idle: bool, now: Instant) -> bool {
        if now < self.deadline(kind) {
            return false;
        }
        is_idle || now >= *self.overtime.get_or_insert(now + OVERTIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOREIGN: ServerKind = ServerKind::Other;
    const OWED_MAX: u64 = 16 << 20;

    #[test]
    fn a_foreign_server_gets_the_grace_and_a_mebibyte_whatever_it_sends() {
        let now = Instant::now();
        let mut leaving = Leaving::new(OWED_MAX, now);
        assert!(!leaving.on_received(1 << 20, FOREIGN));
        assert_eq!(leaving.deadline(FOREIGN), now + GRACE);
        assert!(leaving.on_received(1, FOREIGN));
    }

    #[test]
    fn a_server_that_repeats_what_it_is_sent_may_repeat_all_of_it() {
        let mut leaving = Leaving::new(OWED_MAX, Instant::now());
        leaving.on_sent(1, 5 << 20, Instant::now());
        assert!(!leaving.on_received(6 << 20, FOREIGN));
        assert!(leaving.on_received(1, FOREIGN));
    }

    #[test]
    fn a_pollchat_server_gets_time_for_lines_that_it_throttles_and_for_what_it_owes() {
        let now = Instant::now();
        let mut leaving = Leaving::new(OWED_MAX, now);
        leaving.on_sent(20, 100, now);
        assert_eq!(leaving.deadline(ServerKind::Pollchat), now + GRACE + 20 * PATIENCE_PER_LINE);
        leaving.on_sent(u64::MAX, 100, now);
        assert_eq!(leaving.deadline(ServerKind::Pollchat), now + GRACE + PATIENCE_MAX);
        assert!(!leaving.on_received(8 << 20, ServerKind::Pollchat));
        assert!(leaving.deadline(ServerKind::Pollchat) > now + PATIENCE_MAX + 5 * GRACE);
        assert!(!leaving.on_received(8 << 20, ServerKind::Pollchat));
        assert!(leaving.on_received(1, ServerKind::Pollchat));
    }

    #[test]
    fn lines_that_a_server_had_time_to_take_earn_it_no_more() {
        let start = Instant::now();
        let mut leaving = Leaving::new(OWED_MAX, start);
        // A long conversation at a slow pace, and then a burst.
        let mut now = start;
        for line in 1..=1000 {
            now += 2 * PATIENCE_PER_LINE;
            leaving.on_sent(line, line * 10, now);
        }
        leaving.on_sent(1010, 10_100, now);
        assert_eq!(leaving.deadline(ServerKind::Pollchat), now + GRACE + 11 * PATIENCE_PER_LINE);
        now += 4 * PATIENCE_PER_LINE;
        leaving.on_sent(1010, 10_100, now);
        assert_eq!(leaving.deadline(ServerKind::Pollchat), now + GRACE + 7 * PATIENCE_PER_LINE);
        leaving.on_sent(1010, 10_100, now + GRACE);
        assert_eq!(leaving.deadline(ServerKind::Pollchat), now + 2 * GRACE);
    }

    #[test]
    fn a_client_that_was_stopped_reads_on_for_a_moment() {
        let now = Instant::now();
        let mut leaving = Leaving::new(OWED_MAX, now);
        assert!(!leaving.is_over(FOREIGN, true, now));
        let late = now + GRACE;
        assert!(!leaving.is_over(FOREIGN, false, late));
        assert!(leaving.is_over(FOREIGN, true, late));
        assert!(leaving.is_over(FOREIGN, false, late + OVERTIME));
    }
}
