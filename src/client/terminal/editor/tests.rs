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
        TermEvent::PasteDropped | TermEvent::CursorColumn(_) | TermEvent::Focus(_) => {}
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
