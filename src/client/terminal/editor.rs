//! The typed line and its key bindings. Pure: keys in, actions out.
//!
//! `tui-input` owns the text and moves by graphemes. This module adds the history, the completion of names, and the
//! confirmation of pastes.

use std::{mem, slice};

use terminput::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tui_input::{Input, InputRequest};

use super::completion::{Completed, Completion};
use super::history::History;
use super::names::Names;
use super::paste::{Pasted, preview};
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

    /// Puts back a line that could not be queued. Enter has just emptied the input.
    pub(super) fn take_back(&mut self, line: String) {
        self.replace(Completed { cursor: line.len(), text: line });
    }

    /// Gives a line back that the server does not take. Returns whether it is in the input line: otherwise something is
    /// being typed there, and the line is the last of the history.
    pub(super) fn give_back(&mut self, line: &str) -> bool {
        self.history.add(line);
        let is_free = self.text().is_empty() && self.question.is_none();
        if is_free {
            self.take_back(line.to_owned());
        }
        is_free
    }

    /// Takes a paste. If it `continues` the previous one, both are treated as one, as long as nothing has happened to
    /// the first. A paste never answers a question: its lines are asked about, too.
    pub(super) fn on_paste(&mut self, pasted: &str, continues: bool) -> Action {
        self.completion = None;
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
            TermEvent::Paste { text, continues, .. } => actions.push(editor.on_paste(&text, continues)),
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
        Action::Say(vec![Entered::line(line.to_owned())])
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
        let shown = Action::Show { quoted: vec!["| one".into(), "| two".into()], note: None };
        let added = Action::Show { quoted: vec!["| y".into()], note: Some(ADDED) };
        let all = Action::Say(["one", "two", "y"].map(|line| Entered::text(line.into())).to_vec());
        let asked = vec![shown, added];
        let said = asked.iter().cloned().chain([all]).collect();
        for (answer, actions) in [("y", said), ("n", asked.clone()), ("\x03", asked)] {
            let mut editor = Editor::default();
            // Neither Enter nor another key answers, and a second paste is asked about, too.
            assert_eq!(press(&mut editor, &format!("ha{paste}\rx\x1b[A\x1b[200~y\x1b[201~{answer}")), actions);
            assert_eq!((editor.text(), editor.question()), ("ha", None));
        }
        let mut editor = Editor::default();
        press(&mut editor, paste);
        assert_eq!(editor.question(), Some(&Question::Paste(vec!["one".into(), "two".into()])));
        press(&mut editor, "\x1b");
        assert_eq!(editor.question(), None);
    }

    #[test]
    fn a_paste_in_two_parts_is_one() {
        let asked = |parts: [&str; 2]| {
            let mut editor = Editor::default();
            press(&mut editor, "ha \x1b[Dx");
            editor.on_paste(parts[0], false);
            editor.on_paste(parts[1], true);
            let question = editor.question().cloned();
            (editor.text().to_owned(), question)
        };
        let lines = |lines: &[&str]| Some(Question::Paste(lines.iter().map(|&line| line.to_owned()).collect()));
        assert_eq!(asked(["one", "more"]), ("hax onemore ".replace("x one", "xone"), None));
        assert_eq!(asked(["one", " more\rtwo"]), ("hax ".into(), lines(&["one more", "two"])));
        assert_eq!(asked(["one\r", "two"]), ("hax ".into(), lines(&["one", "two"])));
        assert_eq!(asked(["one\rtw", "o\rthree"]), ("hax ".into(), lines(&["one", "two", "three"])));
        // Something has happened in between.
        let mut editor = Editor::default();
        editor.on_paste("one\r", false);
        press(&mut editor, "\r");
        editor.on_paste("two", true);
        assert_eq!((editor.text(), editor.question()), ("two", None));
    }

    #[test]
    fn pastes_at_a_question_are_bounded_together_and_never_dropped_untold() {
        let mut editor = Editor::default();
        let half = format!("{}\r", "x".repeat(PASTE_BYTES_MAX / 4)).repeat(2);
        editor.on_paste(&half, false);
        for _ in 0..3 {
            editor.on_paste(&half, false);
            assert!(editor.last_paste.text.len() <= PASTE_BYTES_MAX);
        }
        let Action::Show { note, .. } = editor.on_paste("x", false) else { panic!("it is told") };
        assert_eq!(note, Some(PASTE_FULL));
        let mut editor = Editor::default();
        press(&mut editor, " /msg ana x\r");
        let told = Action::Show { quoted: Vec::new(), note: Some(NOT_TAKEN) };
        assert_eq!(editor.on_paste("a\rb", false), told);
        press(&mut editor, "n");
        assert_eq!(editor.text(), " /msg ana x");
    }

    #[test]
    fn a_command_behind_a_blank_is_asked_about_and_can_be_edited() {
        let shown = Action::Show { quoted: vec!["|  /msg ana x".into()], note: Some(SHIFTED_COMMAND) };
        for (answer, said) in [("y", vec![Action::Say(vec![Entered::text(" /msg ana x".into())])]), ("n", vec![])] {
            let mut editor = Editor::default();
            // Enter does not answer.
            assert_eq!(press(&mut editor, " /msg ana x\r\r"), std::slice::from_ref(&shown));
            assert_eq!(editor.text(), "");
            assert_eq!(press(&mut editor, answer), said);
            assert_eq!((editor.text(), editor.question()), (if said.is_empty() { " /msg ana x" } else { "" }, None));
        }
        let mut editor = Editor::default();
        press(&mut editor, " /msg ana x\r\x03\x01\x04");
        assert_eq!(press(&mut editor, "\r"), [say("/msg ana x")]);
    }

    #[test]
    fn a_line_that_is_given_back_never_replaces_what_is_typed() {
        let mut editor = Editor::default();
        assert!(editor.give_back("one"));
        assert_eq!(editor.text(), "one");
        assert!(!editor.give_back("two"));
        press(&mut editor, "\x1b[A");
        assert_eq!(editor.text(), "two");
    }

    #[test]
    fn ctrl_backslash_quits_at_any_time() {
        for before in ["", "text", "\x1b[200~one\rtwo\x1b[201~", " /x\r"] {
            let actions = press(&mut Editor::default(), &format!("{before}\x1c"));
            assert_eq!(actions.last(), Some(&Action::Quit), "{before:?}");
        }
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
