//! The typed line and its key bindings. Pure: keys in, actions out.
//!
//! `tui-input` owns the text and moves by graphemes. This module adds the history, the completion of names, and the
//! confirmation of pastes.

#[cfg(test)]
mod tests;

use std::{mem, slice};

use terminput::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tui_input::{Input, InputRequest};

use super::completion::{Completed, Completion};
use super::history::History;
use super::names::Names;
use super::paste::{Pasted, preview};
use super::search::{Search, Step};
use crate::client::limits::{PASTE_BYTES_MAX, TYPED_LINE_BYTES_MAX};
use crate::client::outbox::entered::Entered;
use crate::relay::sanitize::is_terminal_unsafe;

/// The input line.
#[derive(Debug, Default)]
pub(super) struct Editor {
    input: Input,
    history: History,
    /// The completion under way, if the last key was Tab.
    completion: Option<Completion>,
    /// The search under way.
    search: Option<Search>,
    /// The question that waits for an answer.
    question: Option<Question>,
    last_paste: LastPaste,
}

/// The last paste, which may go on.
#[derive(Debug, Default)]
struct LastPaste {
    /// Its text, or those of all pastes that the question is about. At most [`PASTE_BYTES_MAX`].
    text: String,
    /// The part of it that was inserted into the line, if it was.
    inserted: Option<String>,
}

/// A question to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Whether to send these pasted lines.
    Paste(Vec<String>),
    /// Whether to say this line, which is a command but for a blank before it.
    ShiftedCommand(String),
}

/// Note about a paste of a single line.
const FULL: &str = "the line is full: the end of the paste is missing";

/// Note about pastes that are too long together.
const PASTE_FULL: &str = "too much is pasted: the end of it is missing";

/// Note about a paste while another one is asked about.
const ADDED: &str = "added to what was pasted before";

/// Note about a paste while a [`Question::ShiftedCommand`] is asked.
const NOT_TAKEN: &str = "paste dropped: first answer the question";

/// Note about a [`Question::ShiftedCommand`].
const SHIFTED_COMMAND: &str = "that is no command: a blank stands before the slash";

/// Consequence of a key or a paste.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing changed.
    Nothing,
    /// Redraw the line or the question.
    Redraw,
    /// Send these lines.
    Say(Vec<Entered>),
    /// Show this: a question was asked, or text does not fit.
    Show {
        /// The lines that the question is about.
        quoted: Vec<String>,
        /// A note.
        note: Option<&'static str>,
    },
    /// Clear the screen.
    Clear,
    /// Suspend the process (Ctrl-Z).
    Suspend,
    /// Leave the room.
    Leave,
    /// Leave at once, without waiting for the server (Ctrl-\).
    Quit,
}

impl Editor {
    /// The text of the line.
    pub(super) fn text(&self) -> &str {
        self.input.value()
    }

    /// The cursor's offset in the text, in bytes.
    pub(super) fn cursor(&self) -> usize {
        let text = self.input.value();
        text.char_indices().nth(self.input.cursor()).map_or(text.len(), |(at, _)| at)
    }

    /// The question that waits for an answer.
    pub(super) fn question(&self) -> Option<&Question> {
        self.question.as_ref()
    }

    /// The search under way.
    pub(super) fn search(&self) -> Option<&Search> {
        self.search.as_ref()
    }

    /// Puts back a line that could not be queued. Enter has just emptied the input.
    pub(super) fn take_back(&mut self, line: String) {
        self.replace(Completed { cursor: line.len(), text: line });
    }

    /// Gives a line back that the server does not take. Returns whether it is in the input line: otherwise something is
    /// being typed there, and the line is the last of the history.
    pub(super) fn give_back(&mut self, line: &str) -> bool {
        self.history.add(line);
        let is_free = self.text().is_empty() && self.question.is_none() && self.search.is_none();
        if is_free {
            self.take_back(line.to_owned());
        }
        is_free
    }

    /// Takes a paste. If it `continues` the previous one, both are treated as one, as long as nothing has happened to
    /// the first. A paste never answers a question: its lines are asked about, too.
    pub(super) fn on_paste(&mut self, pasted: &str, continues: bool) -> Action {
        (self.completion, self.search) = (None, None);
        let asked = match self.question.take() {
            None => Vec::new(),
            Some(Question::Paste(lines)) => lines,
            question @ Some(Question::ShiftedCommand(_)) => {
                self.question = question;
                return Action::Show { quoted: Vec::new(), note: Some(NOT_TAKEN) };
            }
        };
        let before = mem::take(&mut self.last_paste);
        let mut text = match (asked.is_empty(), continues) {
            (false, true) => before.text + pasted,
            (false, false) => before.text + "\n" + pasted,
            (true, true) if before.inserted.is_some_and(|inserted| self.take_out(&inserted)) => before.text + pasted,
            (true, _) => pasted.to_owned(),
        };
        let mut note = (!asked.is_empty()).then_some(ADDED);
        if text.len() > PASTE_BYTES_MAX {
            text.truncate(text.floor_char_boundary(PASTE_BYTES_MAX));
            note = Some(PASTE_FULL);
        }
        let inserted;
        let action = match Pasted::new(&text) {
            Pasted::Text(line) => {
                let (fitting, is_whole) = self.insert(&line);
                inserted = Some(fitting);
                let note = if is_whole { note } else { Some(FULL) };
                if note.is_none() { Action::Redraw } else { Action::Show { quoted: Vec::new(), note } }
            }
            Pasted::Lines(lines) => {
                inserted = None;
                let same = lines.iter().zip(&asked).take_while(|(line, asked)| line == asked).count();
                let quoted = preview(&lines[same..]);
                self.question = Some(Question::Paste(lines));
                Action::Show { quoted, note }
            }
        };
        self.last_paste = LastPaste { text, inserted };
        action
    }

    /// Removes `inserted` from before the cursor. Returns whether it was still there.
    fn take_out(&mut self, inserted: &str) -> bool {
        let (head, tail) = self.text().split_at(self.cursor());
        let Some(head) = head.strip_suffix(inserted) else { return false };
        let replaced = Completed { text: [head, tail].concat(), cursor: head.len() };
        self.replace(replaced);
        true
    }

    /// Takes a key. Tab completes from `names`.
    pub(super) fn on_key(&mut self, key: KeyEvent, names: &Names) -> Action {
        if key.kind == KeyEventKind::Release {
            return Action::Nothing;
        }
        if let Some(question) = self.question.take() {
            return self.answer(key, question);
        }
        match self.search.take() {
            None => self.take_key(key, names),
            Some(search) => self.follow_search(search, key, names),
        }
    }

    /// Takes a key during a search. A key that does not belong to it ends it, and has its own effect on the found line.
    fn follow_search(&mut self, mut search: Search, key: KeyEvent, names: &Names) -> Action {
        match search.on_key(&key, &self.history) {
            Step::Shows(line) => {
                self.search = Some(search);
                if let Some(text) = line {
                    self.replace(Completed { cursor: text.len(), text });
                }
                Action::Redraw
            }
            Step::Cancels(draft) => {
                self.replace(Completed { cursor: draft.len(), text: draft });
                Action::Redraw
            }
            Step::Accepts => match self.take_key(key, names) {
                Action::Nothing => Action::Redraw,
                action => action,
            },
        }
    }

    fn take_key(&mut self, key: KeyEvent, names: &Names) -> Action {
        let completion = self.completion.take();
        let modifiers = key.modifiers - KeyModifiers::SHIFT;
        match (key.code, modifiers) {
            (KeyCode::Tab, KeyModifiers::NONE) => self.complete(completion, names),
            (KeyCode::Enter, _) => self.enter(),
            (KeyCode::Up, _) => self.recall(|history, typed| history.up(typed).map(str::to_owned)),
            (KeyCode::Down, _) => self.recall(|history, _| history.down().map(str::to_owned)),
            (KeyCode::Char(c), KeyModifiers::NONE) => self.type_in(c),
            (KeyCode::Char(c), KeyModifiers::CTRL) => self.control(c),
            (code, modifiers) => match request(code, modifiers) {
                Some(request) => self.edit(request),
                None => Action::Nothing,
            },
        }
    }

    fn control(&mut self, c: char) -> Action {
        match c {
            'c' if self.text().is_empty() => Action::Leave,
            'c' => {
                self.input.reset();
                Action::Redraw
            }
            'd' if self.text().is_empty() => Action::Leave,
            'd' => self.edit(InputRequest::DeleteNextChar),
            'a' => self.edit(InputRequest::GoToStart),
            'e' => self.edit(InputRequest::GoToEnd),
            'b' => self.edit(InputRequest::GoToPrevChar),
            'f' => self.edit(InputRequest::GoToNextChar),
            'h' => self.edit(InputRequest::DeletePrevChar),
            'k' => self.edit(InputRequest::DeleteTillEnd),
            'u' => self.edit(InputRequest::DeleteFromStart),
            'w' => self.edit(InputRequest::DeletePrevWord),
            'y' => self.yank(),
            'j' | 'm' => self.enter(),
            'p' => self.recall(|history, typed| history.up(typed).map(str::to_owned)),
            'n' => self.recall(|history, _| history.down().map(str::to_owned)),
            'r' => {
                self.search = Some(Search::begin(self.text()));
                Action::Redraw
            }
            'l' => Action::Clear,
            'z' => Action::Suspend,
            // Terminals send the same byte for both.
            '\\' | '4' => Action::Quit,
            _ => Action::Nothing,
        }
    }

    /// Takes the answer to a question. Enter is none: the user may press it for the line typed before.
    fn answer(&mut self, key: KeyEvent, question: Question) -> Action {
        match (key.code, key.modifiers - KeyModifiers::SHIFT) {
            (KeyCode::Char('y' | 'Y'), KeyModifiers::NONE) => return self.agree(question),
            (KeyCode::Char('n' | 'N'), KeyModifiers::NONE) | (KeyCode::Esc, _) => return self.decline(question),
            (KeyCode::Char('c' | 'd'), KeyModifiers::CTRL) => return self.decline(question),
            _ => {}
        }
        self.question = Some(question);
        match (key.code, key.modifiers) {
            (KeyCode::Char('z'), KeyModifiers::CTRL) => Action::Suspend,
            (KeyCode::Char('l'), KeyModifiers::CTRL) => Action::Clear,
            (KeyCode::Char('\\' | '4'), KeyModifiers::CTRL) => Action::Quit,
            _ => Action::Nothing,
        }
    }

    fn agree(&mut self, question: Question) -> Action {
        match question {
            Question::Paste(lines) => Action::Say(lines.into_iter().map(Entered::text).collect()),
            Question::ShiftedCommand(line) => {
                self.history.add(&line);
                Action::Say(vec![Entered::text(line)])
            }
        }
    }

    /// Drops a paste. A typed line goes back into the input line.
    fn decline(&mut self, question: Question) -> Action {
        if let Question::ShiftedCommand(line) = question {
            self.take_back(line);
        }
        Action::Redraw
    }

    fn enter(&mut self) -> Action {
        if self.text().is_empty() {
            return Action::Nothing;
        }
        let line = Entered::line(self.input.value_and_reset());
        if line.is_shifted_command() {
            let quoted = preview(slice::from_ref(&line.text));
            self.question = Some(Question::ShiftedCommand(line.text));
            return Action::Show { quoted, note: Some(SHIFTED_COMMAND) };
        }
        self.history.add(&line.text);
        Action::Say(vec![line])
    }

    fn recall(&mut self, step: impl FnOnce(&mut History, &str) -> Option<String>) -> Action {
        match step(&mut self.history, self.input.value()) {
            Some(line) => {
                self.replace(Completed { cursor: line.len(), text: line });
                Action::Redraw
            }
            None => Action::Nothing,
        }
    }

    fn complete(&mut self, completion: Option<Completion>, names: &Names) -> Action {
        let begun = completion.or_else(|| Completion::begin(self.text(), self.cursor(), names));
        let Some(mut completion) = begun else { return Action::Nothing };
        let completed = completion.step();
        if completed.text.len() > TYPED_LINE_BYTES_MAX {
            return Action::Nothing;
        }
        self.replace(completed);
        self.completion = Some(completion);
        Action::Redraw
    }

    fn type_in(&mut self, c: char) -> Action {
        if is_terminal_unsafe(c) || self.text().len() + c.len_utf8() > TYPED_LINE_BYTES_MAX {
            return Action::Nothing;
        }
        self.edit(InputRequest::InsertChar(c))
    }

    fn yank(&mut self) -> Action {
        let before = (self.text().to_owned(), self.cursor());
        let action = self.edit(InputRequest::Yank);
        if self.text().len() > TYPED_LINE_BYTES_MAX {
            let (text, cursor) = before;
            self.replace(Completed { text, cursor });
        }
        action
    }

    /// Inserts as much of `text` as fits. Returns that, and whether it is all.
    fn insert(&mut self, text: &str) -> (String, bool) {
        let free = TYPED_LINE_BYTES_MAX.saturating_sub(self.text().len());
        let fitting = &text[..text.floor_char_boundary(free)];
        let is_whole = fitting.len() == text.len();
        let text = fitting.to_owned();
        let (head, tail) = self.text().split_at(self.cursor());
        let replaced = Completed { text: [head, &text, tail].concat(), cursor: head.len() + text.len() };
        self.replace(replaced);
        (text, is_whole)
    }

    fn edit(&mut self, request: InputRequest) -> Action {
        match self.input.handle(request) {
            Some(_) => Action::Redraw,
            None => Action::Nothing,
        }
    }

    /// Replaces the text. A cut text can still be yanked.
    fn replace(&mut self, Completed { text, cursor }: Completed) {
        let cursor = text[..cursor].chars().count();
        self.input = mem::take(&mut self.input).with_value(text).with_cursor(cursor);
    }
}

/// Returns the edit that a non-character key requests.
fn request(code: KeyCode, modifiers: KeyModifiers) -> Option<InputRequest> {
    let by_word = modifiers.intersects(KeyModifiers::CTRL | KeyModifiers::ALT);
    let by = |word, one| Some(if by_word { word } else { one });
    match code {
        KeyCode::Left => by(InputRequest::GoToPrevWord, InputRequest::GoToPrevChar),
        KeyCode::Right => by(InputRequest::GoToNextWord, InputRequest::GoToNextChar),
        KeyCode::Backspace => by(InputRequest::DeletePrevWord, InputRequest::DeletePrevChar),
        KeyCode::Delete => by(InputRequest::DeleteNextWord, InputRequest::DeleteNextChar),
        KeyCode::Home => Some(InputRequest::GoToStart),
        KeyCode::End => Some(InputRequest::GoToEnd),
        KeyCode::Char('b') if modifiers == KeyModifiers::ALT => Some(InputRequest::GoToPrevWord),
        KeyCode::Char('f') if modifiers == KeyModifiers::ALT => Some(InputRequest::GoToNextWord),
        KeyCode::Char('d') if modifiers == KeyModifiers::ALT => Some(InputRequest::DeleteNextWord),
        _ => None,
    }
}
