//! Typed lines for the Up and Down keys, in memory only.

use crate::client::limits::HISTORY_LINES_MAX;
use crate::relay::command::without_secrets;

/// The typed lines, and a position among them.
#[derive(Debug, Default)]
pub(super) struct History {
    lines: Vec<String>,
    /// Index of the shown line; `None` at the draft.
    at: Option<usize>,
    /// The unfinished line, kept while an older one is shown.
    draft: String,
}

impl History {
    /// Appends a line, and moves behind it. A line that repeats the last one is not kept, nor is one with a secret.
    pub(super) fn add(&mut self, line: &str) {
        self.at = None;
        if self.lines.last().is_some_and(|last| last == line) || without_secrets(line) != line {
            return;
        }
        if self.lines.len() == HISTORY_LINES_MAX {
            self.lines.remove(0);
        }
        self.lines.push(line.to_owned());
    }

    /// Returns the newest line before place `before` with `text` in it, in any case, and its place.
    pub(super) fn find(&self, text: &str, before: Option<usize>) -> Option<(usize, &str)> {
        let (text, end) = (text.to_lowercase(), before.unwrap_or(self.lines.len()).min(self.lines.len()));
        let at = self.lines[..end].iter().rposition(|line| line.to_lowercase().contains(&text))?;
        Some((at, &self.lines[at]))
    }

    /// Moves to the line before, if there is one. `typed` is the text of the input line.
    pub(super) fn up(&mut self, typed: &str) -> Option<&str> {
        let at = match self.at {
            None => {
                let last = self.lines.len().checked_sub(1)?;
                typed.clone_into(&mut self.draft);
                last
            }
            Some(at) => at.checked_sub(1)?,
        };
        self.at = Some(at);
        Some(&self.lines[at])
    }

    /// Moves to the line after, or to the draft; `None` at the draft.
    pub(super) fn down(&mut self) -> Option<&str> {
        let at = self.at? + 1;
        if let Some(line) = self.lines.get(at) {
            self.at = Some(at);
            return Some(line);
        }
        self.at = None;
        Some(&self.draft)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_and_down_move_through_the_lines_and_back_to_the_draft() {
        let mut history = History::default();
        assert_eq!(history.up("x"), None);
        assert_eq!(history.down(), None);
        for line in ["one", "two", "two"] {
            history.add(line);
        }
        assert_eq!(history.up("dra"), Some("two"));
        assert_eq!(history.up("two"), Some("one"));
        assert_eq!(history.up("one"), None);
        assert_eq!(history.down(), Some("two"));
        assert_eq!(history.down(), Some("dra"));
        assert_eq!(history.down(), None);
    }

    #[test]
    fn a_line_with_a_secret_is_not_kept() {
        let mut history = History::default();
        for line in ["/nick ana", "/pass word", "/PASS word", " /pass word", "/nick ana pcn_x", "see pcn_x"] {
            history.add(line);
        }
        assert_eq!(history.up("dra"), Some("/nick ana"));
        assert_eq!(history.up(""), None);
    }

    #[test]
    fn a_new_line_is_the_last_and_the_oldest_is_dropped() {
        let mut history = History::default();
        for number in 0..=HISTORY_LINES_MAX {
            history.add(&number.to_string());
        }
        assert_eq!(history.up(""), Some(HISTORY_LINES_MAX.to_string().as_str()));
        while history.up("").is_some() {}
        assert_eq!(history.at.map(|at| history.lines[at].as_str()), Some("1"));
        history.add("new");
        assert_eq!(history.up(""), Some("new"));
    }
}
