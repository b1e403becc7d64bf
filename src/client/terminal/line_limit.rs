//! The server's limit for a line, as far as it is known, and the lines over it. Pure.

use std::collections::VecDeque;
use std::mem;

use crate::client::decoder::ServerKind;
use crate::client::limits::{REFUSABLE_BYTES_MAX, SERVER_LINE_BYTES};
use crate::relay::command::without_secrets;

/// Keeps lines over the server's limit from being lost: each comes back, to be edited.
///
/// Invariant: `sent` takes at most [`REFUSABLE_BYTES_MAX`], and holds no line within a limit that was told.
#[derive(Debug, Default)]
pub(super) struct LineLimit {
    /// The limit in bytes, once the server of this connection has told it.
    told: Option<usize>,
    /// A line that came back because of a limit that was not told. If it is entered again, it is sent.
    held: Option<String>,
    /// Lines of this connection that the server may refuse yet, the oldest first.
    sent: VecDeque<String>,
    sent_bytes: usize,
    refused: Vec<Refused>,
}

/// A line that was not sent, or not relayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// The line as it goes to the server. Entered again, it means the same.
    pub(super) line: String,
    /// The limit in bytes.
    pub(super) limit: usize,
    /// Whether the server has told the limit.
    pub(super) is_told: bool,
}

impl LineLimit {
    /// Forgets the limit of the previous connection.
    pub(super) fn on_connected(&mut self) {
        self.told = None;
        self.sent.clear();
        self.sent_bytes = 0;
    }

    /// Returns the limit that a line exceeds. A foreign server has none.
    pub(super) fn exceeded(&self, line: &str, kind: ServerKind) -> Option<usize> {
        let limit = self.told.unwrap_or(SERVER_LINE_BYTES);
        let is_held = self.told.is_none() && self.held.as_deref() == Some(line);
        (kind == ServerKind::Pollchat && line.len() > limit && !is_held).then_some(limit)
    }

    /// Whether the server of this connection has told that it does not relay such a line.
    pub(super) fn refuses(&self, line: &str) -> bool {
        self.told.is_some_and(|limit| line.len() > limit)
    }

    /// Takes a line that was not sent because of [`LineLimit::exceeded`].
    pub(super) fn hold(&mut self, line: String, limit: usize) {
        self.held = Some(line.clone());
        self.refused.push(Refused { line, limit, is_told: self.told.is_some() });
    }

    /// Records a line that is sent.
    pub(super) fn on_sent(&mut self, line: &str) {
        self.held = self.held.take().filter(|held| held != line);
        if self.told.is_some_and(|limit| line.len() <= limit) {
            return;
        }
        self.sent_bytes += line.len() + 1;
        self.sent.push_back(line.to_owned());
        while self.sent_bytes > REFUSABLE_BYTES_MAX
            && let Some(oldest) = self.sent.pop_front()
        {
            self.sent_bytes -= oldest.len() + 1;
        }
    }

    /// Records that the server refused a line over `limit`: the first such line. The lines before it have arrived, and
    /// no shorter one will be refused.
    pub(super) fn on_refused(&mut self, limit: usize) {
        self.told = Some(limit);
        self.sent.retain(|line| line.len() > limit);
        if let Some(line) = self.sent.pop_front() {
            self.refused.push(Refused { line, limit, is_told: true });
        }
        self.sent_bytes = self.sent.iter().map(|line| line.len() + 1).sum();
    }

    /// Takes the refused lines.
    pub(super) fn take_refused(&mut self) -> Vec<Refused> {
        mem::take(&mut self.refused)
    }
}

impl Refused {
    /// Returns the note about it. `is_below`: it stands in the input line again.
    pub(super) fn note(&self, is_below: bool) -> String {
        let (bytes, limit) = (self.line.len(), self.limit);
        let place = if is_below { "here it is, to be edited" } else { "Up brings it back" };
        let begin: String = without_secrets(&self.line).chars().take(20).collect();
        let begin = if begin.len() < self.line.len() { format!("{begin}…") } else { begin };
        if self.is_told {
            format!("not sent: “{begin}” is too long ({bytes} bytes; the server takes {limit}); {place}")
        } else {
            format!(
                "not sent: “{begin}” is long ({bytes} bytes; most servers take {limit}); {place} (unchanged, Enter \
                 sends it)"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(len: usize) -> String {
        "x".repeat(len)
    }

    #[test]
    fn a_line_over_the_usual_limit_is_sent_only_if_entered_again() {
        let (mut limit, kind) = (LineLimit::default(), ServerKind::Pollchat);
        assert_eq!(limit.exceeded(&line(4096), kind), None);
        assert_eq!(limit.exceeded(&line(5000), kind), Some(4096));
        assert_eq!(limit.exceeded(&line(5000), ServerKind::Other), None);
        limit.hold(line(5000), 4096);
        let [refused] = &limit.take_refused()[..] else { panic!("it comes back") };
        assert_eq!((refused.line.len(), refused.is_told), (5000, false));
        assert!(refused.note(true).contains("(5000 bytes; most servers take 4096)"));
        assert_eq!(limit.exceeded(&line(5001), kind), Some(4096), "it was changed");
        assert_eq!(limit.exceeded(&line(5000), kind), None);
        limit.on_sent(&line(5000));
        assert_eq!(limit.exceeded(&line(5000), kind), Some(4096));
    }

    #[test]
    fn the_server_teaches_its_limit_and_its_line_comes_back() {
        let mut limit = LineLimit::default();
        for len in [10, 200, 90, 300] {
            limit.on_sent(&line(len));
        }
        limit.on_refused(100);
        limit.on_refused(100);
        limit.on_refused(100);
        let bytes: Vec<usize> = limit.take_refused().iter().map(|refused| refused.line.len()).collect();
        assert_eq!(bytes, [200, 300]);
        assert_eq!(limit.exceeded(&line(101), ServerKind::Pollchat), Some(100));
        limit.hold(line(101), 100);
        assert_eq!(limit.exceeded(&line(101), ServerKind::Pollchat), Some(100), "the server would refuse it");
        for _ in 0..10 {
            limit.on_sent(&line(100));
        }
        assert_eq!((limit.sent.len(), limit.sent_bytes), (0, 0));
        limit.on_connected();
        assert_eq!(limit.exceeded(&line(102), ServerKind::Pollchat), None);
    }

    #[test]
    fn a_refused_line_is_found_behind_many_others_and_what_is_kept_is_bounded() {
        let mut limit = LineLimit::default();
        limit.on_sent(&line(200));
        for _ in 0..5_000 {
            limit.on_sent(&line(20));
        }
        limit.on_refused(100);
        assert_eq!(limit.take_refused()[0].line, line(200));
        let mut limit = LineLimit::default();
        for _ in 0..1_000 {
            limit.on_sent(&line(1_000));
            assert!(limit.sent_bytes <= REFUSABLE_BYTES_MAX);
        }
        assert!(limit.sent.len() > 100);
    }
}
