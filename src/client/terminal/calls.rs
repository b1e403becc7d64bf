//! Lines that call the user: mentions and private messages. Owns the latest of them until the bell rings for it, at most
//! once in [`CALL_PAUSE`]. Pure.

use std::time::Instant;

use crate::client::limits::CALL_PAUSE;

/// A line that calls the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The member that said it.
    pub(super) from: String,
    /// Its text.
    pub(super) text: String,
    /// Whether it was told to us alone.
    pub(super) is_private: bool,
}

/// The call for which the bell has not rung.
#[derive(Debug, Default)]
pub(super) struct Calls {
    waiting: Option<Call>,
    last: Option<Instant>,
    /// Said lines that follow of the history.
    earlier: u64,
}

impl Calls {
    /// Records a call. It takes the place of one that waits: one ring is for both.
    pub(super) fn add(&mut self, call: Call) {
        if self.earlier == 0 {
            self.waiting = Some(call);
        }
    }

    /// Records that so many said lines of the history follow, which call nobody.
    pub(super) fn on_earlier(&mut self, lines: u64) {
        self.earlier = lines;
    }

    /// Whether lines of the history follow.
    pub(super) fn is_earlier(&self) -> bool {
        self.earlier > 0
    }

    /// Records that a said line was shown, or is missing.
    pub(super) fn on_said(&mut self) {
        self.earlier = self.earlier.saturating_sub(1);
    }

    /// Takes the call for which the bell rings now.
    pub(super) fn take(&mut self, now: Instant) -> Option<Call> {
        if self.deadline(now).is_none_or(|at| at > now) {
            return None;
        }
        self.last = Some(now);
        self.waiting.take()
    }

    /// The time at which the bell rings next.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.waiting.as_ref()?;
        Some(self.last.map_or(now, |last| last + CALL_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn call(text: &str) -> Call {
        Call { from: "ben".to_owned(), text: text.to_owned(), is_private: false }
    }

    #[test]
    fn the_bell_rings_at_once_and_then_with_pauses() {
        let (mut calls, now) = (Calls::default(), Instant::now());
        assert_eq!((calls.take(now), calls.deadline(now)), (None, None));
        calls.add(call("one"));
        assert_eq!(calls.take(now), Some(call("one")));
        calls.add(call("two"));
        calls.add(call("three"));
        assert_eq!(calls.take(now + CALL_PAUSE - Duration::from_millis(1)), None);
        assert_eq!(calls.deadline(now), Some(now + CALL_PAUSE));
        assert_eq!(calls.take(now + CALL_PAUSE), Some(call("three")), "one ring for both");
        assert_eq!(calls.take(now + 9 * CALL_PAUSE), None);
    }

    #[test]
    fn a_line_of_the_history_calls_nobody() {
        let (mut calls, now) = (Calls::default(), Instant::now());
        calls.on_earlier(2);
        for text in ["old", "old", "new"] {
            calls.add(call(text));
            calls.on_said();
        }
        assert_eq!(calls.take(now), Some(call("new")));
    }
}
