//! Events for one other server alone, sent to its inbox. They may be lost: they are answered, or time out.
//!
//! An inbox is a stream with a short life, read by its server together with all others. An entry without events in the
//! own inbox ends a blocked read, so that a stream that was opened meanwhile is read, too.

use std::collections::BTreeMap;

use crate::relay::sequence::Writer;

/// Most bytes of events that wait for the next write, or for the reply to it. What exceeds them is dropped.
pub(in crate::server) const BYTES_MAX: usize = 1024 * 1024;

/// The time for which an inbox outlives its last entry, in ms, as an argument.
pub(super) const INBOX_MS: &str = "60000";

/// The entries that an inbox keeps, roughly, as an argument.
pub(super) const INBOX_ENTRIES: &str = "1000";

/// Events that wait for the next write.
#[derive(Debug, Default)]
pub(super) struct Posts {
    waiting: BTreeMap<Writer, String>,
    /// The bytes that wait, or are not answered.
    bytes: usize,
    /// The number of the last entry, over all inboxes: gaps do not matter there.
    number: u64,
}

/// Returns the key of a server's inbox.
pub(super) fn inbox(prefix: &str, writer: Writer) -> String {
    format!("{prefix}:to:{writer}")
}

impl Posts {
    /// Adds an event, a line with its LF.
    pub(super) fn add(&mut self, to: Writer, event: &str) {
        if self.bytes + event.len() <= BYTES_MAX {
            self.bytes += event.len();
            self.waiting.entry(to).or_default().push_str(event);
        }
    }

    /// Takes the events for one server, with the number of their entry.
    pub(super) fn next(&mut self) -> Option<(Writer, String, u64)> {
        let (to, events) = self.waiting.pop_first()?;
        Some((to, events, self.next_number()))
    }

    /// Returns the number of the next entry in any inbox.
    pub(super) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Records that so many bytes were answered.
    pub(super) fn note_answered(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Drops all: there is no connection.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_for_one_server_share_an_entry() {
        let mut posts = Posts::default();
        for (to, event) in [(2, "a\n"), (1, "b\n"), (2, "c\n")] {
            posts.add(Writer::new(to), event);
        }
        assert_eq!(posts.next(), Some((Writer::new(1), "b\n".to_owned(), 1)));
        assert_eq!(posts.next(), Some((Writer::new(2), "a\nc\n".to_owned(), 2)));
        assert_eq!(posts.next(), None);
    }

    #[test]
    fn what_is_not_answered_is_bounded() {
        let (mut posts, event) = (Posts::default(), "e".repeat(BYTES_MAX / 2));
        for _ in 0..3 {
            posts.add(Writer::new(1), &event);
        }
        let bytes = posts.next().map(|(_, events, _)| events.len());
        assert_eq!(bytes, Some(BYTES_MAX));
        posts.add(Writer::new(1), "x\n");
        assert_eq!(posts.next(), None, "still unanswered");
        posts.note_answered(BYTES_MAX);
        posts.add(Writer::new(1), "x\n");
        assert!(posts.next().is_some());
    }
}
