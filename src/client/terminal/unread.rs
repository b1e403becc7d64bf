//! The rule above the first line that came while the user was away: behind Ctrl-Z, a lost connection, or a look at
//! another window. Pure: times in ms since 1970 in, whether a rule is due out.

use crate::client::limits::{UNREAD_AFTER_MS, UNREAD_SLACK_MS};

/// Text of the rule.
pub(super) const RULE: &str = "---- unread ----";

/// The lines that the user has not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Unread {
    /// The user sees each line as it comes.
    #[default]
    None,
    /// Lines up to this time were said while the user was away. None of them has been shown yet.
    UpTo(u64),
    /// The terminal has had no focus since this time.
    AwaySince(u64),
    /// The terminal has no focus, and the rule is drawn.
    Ruled,
}

impl Unread {
    /// The user is back, or the connection is.
    pub(super) fn on_return(&mut self, now_ms: u64) {
        *self = Unread::UpTo(now_ms + UNREAD_SLACK_MS);
    }

    /// The terminal's window got or lost the focus.
    pub(super) fn on_focus(&mut self, has_focus: bool, now_ms: u64) {
        *self = match *self {
            Unread::None if !has_focus => Unread::AwaySince(now_ms),
            Unread::AwaySince(_) | Unread::Ruled if has_focus => Unread::None,
            same => same,
        };
    }

    /// Whether the rule stands before a line of this time that is shown now. Each absence has one rule.
    pub(super) fn is_due(&mut self, time_ms: u64, now_ms: u64) -> bool {
        match *self {
            Unread::UpTo(last_ms) => {
                *self = Unread::None;
                time_ms <= last_ms
            }
            // A glance elsewhere leaves the last lines in mind.
            Unread::AwaySince(since_ms) if now_ms.saturating_sub(since_ms) >= UNREAD_AFTER_MS => {
                *self = Unread::Ruled;
                true
            }
            Unread::None | Unread::AwaySince(_) | Unread::Ruled => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_stands_once_before_what_was_said_meanwhile() {
        let mut unread = Unread::default();
        assert!(!unread.is_due(1, 1));
        unread.on_return(10_000);
        assert!(unread.is_due(7_000, 10_001));
        assert!(!unread.is_due(8_000, 10_001), "once");
        unread.on_return(20_000);
        assert!(!unread.is_due(20_001 + UNREAD_SLACK_MS, 20_001), "it was said before the eyes of the user");
        assert!(!unread.is_due(1, 30_000), "nothing was said meanwhile");
    }

    #[test]
    fn a_window_in_the_background_has_a_rule_after_a_while() {
        let mut unread = Unread::default();
        unread.on_focus(false, 1_000);
        unread.on_focus(false, 9_000);
        assert!(!unread.is_due(1_000, 1_000 + UNREAD_AFTER_MS - 1));
        assert!(unread.is_due(1_000, 1_000 + UNREAD_AFTER_MS));
        assert!(!unread.is_due(1_000, 9_000 + UNREAD_AFTER_MS));
        unread.on_focus(true, 90_000);
        assert!(!unread.is_due(90_000, 900_000));
        unread.on_focus(true, 91_000);
        unread.on_focus(false, 92_000);
        unread.on_focus(true, 93_000);
        assert!(!unread.is_due(93_000, 999_999), "only a glance");
    }
}
