//! Ctrl-R: the search backwards through the typed lines. Pure: keys in, the line that was found out.

use terminput::{KeyCode, KeyEvent, KeyModifiers};

use super::history::History;
use crate::client::limits::SEARCH_BYTES_MAX;
use crate::relay::sanitize::is_terminal_unsafe;

/// A search under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Search {
    /// The text that is looked for.
    wanted: String,
    /// The place of the found line in the history.
    at: Option<usize>,
    /// Whether no line has the text. Then the last found one is still shown.
    has_failed: bool,
    /// The line before the search.
    draft: String,
}

/// Consequence of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The search goes on, and shows this line if it is another one.
    Shows(Option<String>),
    /// The search ends with the shown line, and the key counts as typed in it.
    Accepts,
    /// The search ends, and the line before it is back.
    Cancels(String),
}

impl Search {
    /// Begins a search. `draft` is the typed line.
    pub(super) fn begin(draft: &str) -> Search {
        Search { wanted: String::new(), at: None, has_failed: false, draft: draft.to_owned() }
    }

    /// The text that is looked for.
    pub(super) fn wanted(&self) -> &str {
        &self.wanted
    }

    /// Whether no line has the text.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Takes a key.
    pub(super) fn on_key(&mut self, key: &KeyEvent, history: &History) -> Step {
        match (key.code, key.modifiers - KeyModifiers::SHIFT) {
            (KeyCode::Char('r'), KeyModifiers::CTRL) => self.find(self.at, history),
            (KeyCode::Char('c' | 'd' | 'g'), KeyModifiers::CTRL) => Step::Cancels(std::mem::take(&mut self.draft)),
            (KeyCode::Char(c), KeyModifiers::NONE) => {
                if is_terminal_unsafe(c) || self.wanted.len() + c.len_utf8() > SEARCH_BYTES_MAX {
                    return Step::Shows(None);
                }
                self.wanted.push(c);
                // The shown line may have the longer text, too.
                self.find(self.at.map(|at| at + 1), history)
            }
            (KeyCode::Backspace, _) | (KeyCode::Char('h'), KeyModifiers::CTRL) => {
                self.wanted.pop();
                self.find(None, history)
            }
            _ => Step::Accepts,
        }
    }

    /// Finds the newest line before `before` that has the text.
    fn find(&mut self, before: Option<usize>, history: &History) -> Step {
        if self.wanted.is_empty() {
            (self.at, self.has_failed) = (None, false);
            return Step::Shows(Some(self.draft.clone()));
        }
        let found = history.find(&self.wanted, before);
        self.has_failed = found.is_none();
        let Some((at, line)) = found else { return Step::Shows(None) };
        self.at = Some(at);
        Step::Shows(Some(line.to_owned()))
    }
}
