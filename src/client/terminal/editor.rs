//! The typed line and its key bindings. Pure: keys in, actions out.
//!
//! `tui-input` owns the text and moves by graphemes. This module adds the history, the completion of names, and the
//! confirmation of pastes.

use std::mem;

use terminput::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tui_input::{Input, InputRequest};

use super::completion::{Completed, Completion};
use super::history::History;
use super::names::Names;
use super::paste::{Pasted, preview};
use crate::client::limits::TYPED_LINE_BYTES_MAX;
use crate::relay::sanitize::is_terminal_unsafe;

/// The input line.
#[derive(Debug, Default)]
pub(super) struct Editor {
    input: Input,
    history: History,
    /// The completion under way, if the last key was Tab.
    completion: Option<Completion>,
    /// Pasted lines that wait for confirmation.
    question: Option<Vec<String>>,
}

/// Consequence of a key or a paste.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing changed.
    Nothing,
    /// Redraw the line or the question.
    Redraw,
    /// Send these lines.
    Say(Vec<String>),
    /// Show these lines: a paste that needs confirmation.
    Show(Vec<String>),
    /// Clear the screen.
    Clear,
    /// Suspend the process (Ctrl-Z).
    Suspend,
    /// Leave the room.
    Leave,
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

    /// The number of lines to confirm.
    pub(super) fn question(&self) -> Option<usize> {
        self.question.as_ref().map(Vec::len)
    }

    /// Puts back a line that could not be queued. Enter has just emptied the input.
    pub(super) fn take_back(&mut self, line: String) {
        self.replace(Completed { cursor: line.len(), text: line });
    }

    /// Takes a paste.
    pub(super) fn on_paste(&mut self, text: &str) -> Action {
        if self.question.is_some() {
            // A second paste does not answer the question about the first one.
            return Action::Nothing;
        }
        self.completion = None;
        match Pasted::new(text) {
            Pasted::Text(text) => {
                self.insert(&text);
                Action::Redraw
            }
            Pasted::Lines(lines) => {
                let shown = preview(&lines);
                self.question = Some(lines);
                Action::Show(shown)
            }
        }
    }

    /// Takes a key. Tab completes from `names`.
    pub(super) fn on_key(&mut self, key: KeyEvent, names: &Names) -> Action {
        if key.kind == KeyEventKind::Release {
            return Action::Nothing;
        }
        if let Some(lines) = self.question.take() {
            return self.answer(key, lines);
        }
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
            'l' => Action::Clear,
            'z' => Action::Suspend,
            _ => Action::Nothing,
        }
    }

    /// Takes the answer about a paste. Enter is none: the user may press it for the line typed before.
    fn answer(&mut self, key: KeyEvent, lines: Vec<String>) -> Action {
        match (key.code, key.modifiers - KeyModifiers::SHIFT) {
            (KeyCode::Char('y' | 'Y'), KeyModifiers::NONE) => return Action::Say(lines),
            (KeyCode::Char('n' | 'N'), KeyModifiers::NONE) | (KeyCode::Esc, _) => return Action::Redraw,
            (KeyCode::Char('c' | 'd'), KeyModifiers::CTRL) => return Action::Redraw,
            _ => {}
        }
        self.question = Some(lines);
        match (key.code, key.modifiers) {
            (KeyCode::Char('z'), KeyModifiers::CTRL) => Action::Suspend,
            (KeyCode::Char('l'), KeyModifiers::CTRL) => Action::Clear,
            _ => Action::Nothing,
        }
    }

    fn enter(&mut self) -> Action {
        if self.text().is_empty() {
            return Action::Nothing;
        }
        let line = self.input.value_and_reset();
        self.history.add(&line);
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

    /// Inserts as much of `text` as fits.
    fn insert(&mut self, text: &str) {
        let free = TYPED_LINE_BYTES_MAX.saturating_sub(self.text().len());
        let text = &text[..text.floor_char_boundary(free)];
        let (head, tail) = self.text().split_at(self.cursor());
        let replaced = Completed { text: [head, text, tail].concat(), cursor: head.len() + text.len() };
        self.replace(replaced);
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::client::limits::SEQUENCE_WAIT;
    use crate::client::terminal::keys::{Keys, TermEvent};

    /// Types these bytes. Returns the actions except redraws.
    fn press(editor: &mut Editor, bytes: &str) -> Vec<Action> {
        let mut names = Names::default();
        names.add("ana");
        let mut actions = Vec::new();
        let mut keys = Keys::default();
        let mut handle = |event| match event {
            TermEvent::Key(key) => actions.push(editor.on_key(key, &names)),
            TermEvent::Paste { text, .. } => actions.push(editor.on_paste(&text)),
            TermEvent::PasteDropped | TermEvent::CursorColumn(_) => {}
        };
        let now = Instant::now();
        keys.parse(bytes.as_bytes(), now, &mut handle);
        keys.on_time(now + SEQUENCE_WAIT, &mut handle);
        actions.retain(|action| !matches!(action, Action::Redraw | Action::Nothing));
        actions
    }

    /// Returns the line after these bytes, with `|` for the cursor.
    fn line(bytes: &str) -> String {
        let mut editor = Editor::default();
        press(&mut editor, bytes);
        let mut text = editor.text().to_owned();
        text.insert(editor.cursor(), '|');
        text
    }

    fn say(line: &str) -> Action {
        Action::Say(vec![line.to_owned()])
    }

    #[test]
    fn the_keys_do_what_hands_expect() {
        let lines = [
            ("hello", "hello|"),
            ("hello\x01", "|hello"),
            ("hello\x1b[H\x1b[4~", "hello|"),
            ("hello\x02\x02\x06", "hell|o"),
            ("ab\x1b[D\x1b[DX\x1b[CY", "XaY|b"),
            ("ab\x7f", "a|"),
            ("ab\x01\x1b[3~", "|b"),
            ("ab\x01\x04", "|b"),
            ("one two three\x17", "one two |"),
            ("one two three\x17\x17\x19", "one two three|"),
            ("one two\x1bb\x0b", "one |"),
            ("one two\x1bb\x0b\x01\x19", "two|one "),
            ("one two\x1bb\x15", "|two"),
            ("one two\x15\x19\x19", "one twoone two|"),
            ("one two\x01\x1b[1;5C", "one |two"),
            ("one two\x01\x1bd", "|two"),
            ("one two\x1b\x7f", "one |"),
            ("one two\x1b[1;3D\x1b[1;3D", "|one two"),
            ("half\x03", "|"),
            ("世界e\u{301}👩\u{200d}👩\u{200d}👧\x7f\x7f\x7f", "世|"),
            ("an\t", "ana: |"),
            ("an\t\t", "an|"),
            ("an\tx", "ana: x|"),
            ("hi an\t!", "hi ana !|"),
            ("x\x1b[5~\x1bx\x07\x1b[99~", "x|"),
        ];
        for (bytes, expected) in lines {
            assert_eq!(line(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn enter_says_the_line_and_an_empty_one_is_nothing() {
        let mut editor = Editor::default();
        assert_eq!(press(&mut editor, "\r\n"), []);
        assert_eq!(press(&mut editor, "hello\rworld\n"), [say("hello"), say("world")]);
        assert_eq!(editor.text(), "");
    }

    #[test]
    fn what_was_typed_before_comes_back_with_up() {
        let mut editor = Editor::default();
        press(&mut editor, "one\rtwo\rdraft\x1b[A\x1b[A");
        assert_eq!(editor.text(), "one");
        press(&mut editor, "\x1b[B\x1b[B");
        assert_eq!(editor.text(), "draft");
        press(&mut editor, "\x15\x1b[A\x19");
        assert_eq!(editor.text(), "twodraft", "what was cut survives the history");
    }

    #[test]
    fn ctrl_c_and_ctrl_d_leave_an_empty_line_alone() {
        for key in ["\x03", "\x04"] {
            let mut editor = Editor::default();
            assert_eq!(press(&mut editor, &format!("x{key}")), []);
            assert_eq!(press(&mut editor, &format!("\x15{key}")), [Action::Leave]);
        }
        assert_eq!(press(&mut Editor::default(), "\x1a\x0c"), [Action::Suspend, Action::Clear]);
    }

    #[test]
    fn a_paste_of_one_line_goes_on_with_the_line_and_sends_nothing() {
        assert_eq!(line("say \x1b[200~this\r\x1b[201~ now"), "say this now|");
        assert_eq!(line("ab\x02\x1b[200~X\ty\x1b[201~"), "aX\ty|b");
    }

    #[test]
    fn a_paste_of_several_lines_is_shown_and_asked_about() {
        let paste = "\x1b[200~one\rtwo\x1b[201~";
        let shown = Action::Show(vec!["| one".into(), "| two".into()]);
        let both = Action::Say(vec!["one".into(), "two".into()]);
        for (answer, actions) in [("y", vec![shown.clone(), both]), ("n", vec![shown.clone()]), ("\x03", vec![shown])] {
            let mut editor = Editor::default();
            // Neither Enter nor another key answers, and a second paste is ignored.
            assert_eq!(press(&mut editor, &format!("ha{paste}\rx\x1b[A\x1b[200~y\x1b[201~{answer}")), actions);
            assert_eq!((editor.text(), editor.question()), ("ha", None));
        }
        let mut editor = Editor::default();
        press(&mut editor, paste);
        assert_eq!(editor.question(), Some(2));
        press(&mut editor, "\x1b");
        assert_eq!(editor.question(), None);
    }

    #[test]
    fn no_line_grows_over_the_limit() {
        let mut editor = Editor::default();
        press(&mut editor, &format!("\x1b[200~{}\x1b[201~é", "a".repeat(TYPED_LINE_BYTES_MAX - 1)));
        assert_eq!(editor.text().len(), TYPED_LINE_BYTES_MAX - 1);
        press(&mut editor, "\x1b[200~éé\x1b[201~b");
        assert_eq!(editor.text().len(), TYPED_LINE_BYTES_MAX);
        press(&mut editor, "c\x15\x19\x19");
        assert_eq!(editor.text().len(), TYPED_LINE_BYTES_MAX);
    }
}
