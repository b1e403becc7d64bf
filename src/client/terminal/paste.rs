//! Pasted text: one line for the editor, or several lines to confirm. Pure.

use crate::client::limits::{OUTBOX_BYTES_MAX, PASTE_LINES_SHOWN_MAX};
use crate::client::outbox::entered::WIRE_BYTES_MORE;
use crate::relay::command::without_secrets;
use crate::relay::sanitize::sanitize;

/// A paste without terminal control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pasted {
    /// At most one line: text for the input line.
    Text(String),
    /// Several lines, without the empty ones, which a server ignores.
    Lines(Vec<String>),
}

impl Pasted {
    /// Splits a paste at CR, LF or CRLF. Drops byte order marks: files that were joined have them anywhere.
    pub(super) fn new(text: &str) -> Pasted {
        let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\u{feff}', "");
        let mut buffer = String::new();
        let lines = text.split('\n').filter(|line| !line.is_empty());
        let mut lines: Vec<String> = lines.map(|line| cut(sanitize(line.as_bytes(), &mut buffer)).to_owned()).collect();
        match lines.len() {
            0 | 1 => Pasted::Text(lines.pop().unwrap_or_default()),
            _ => Pasted::Lines(lines),
        }
    }
}

/// Cuts a line to the size of the send buffer. A longer one would block itself and all lines behind it forever. (Only
/// invalid UTF-8 gets that long: each byte became the three of U+FFFD.)
fn cut(line: &str) -> &str {
    &line[..line.floor_char_boundary(OUTBOX_BYTES_MAX - WIRE_BYTES_MORE - "\n".len())]
}

/// Returns the lines to show before the confirmation, without their secrets.
pub(super) fn preview(lines: &[String]) -> Vec<String> {
    let lines_shown = lines.iter().take(PASTE_LINES_SHOWN_MAX);
    let mut shown: Vec<String> = lines_shown.map(|line| format!("| {}", without_secrets(line))).collect();
    if let Some(more) = lines.len().checked_sub(PASTE_LINES_SHOWN_MAX).filter(|&more| more > 0) {
        shown.push(format!("| … and {more} more"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::decoder::ServerKind;
    use crate::client::outbox::entered::Entered;
    use crate::client::terminal::query::Query;
    use crate::relay::name::NAME_CHARS_MAX;

    #[test]
    fn one_line_is_text_and_more_are_lines() {
        for text in ["hello", "hello\r", "hello\n", "\r\nhello\r\n"] {
            assert_eq!(Pasted::new(text), Pasted::Text("hello".into()), "{text:?}");
        }
        for text in ["a\rb", "a\nb\n", "\r\na\r\n\r\nb\r\n"] {
            assert_eq!(Pasted::new(text), Pasted::Lines(vec!["a".into(), "b".into()]), "{text:?}");
        }
        assert_eq!(Pasted::new("\r\n"), Pasted::Text(String::new()));
        assert_eq!(Pasted::new("/say \u{feff}x"), Pasted::Text("/say x".into()));
        assert_eq!(Pasted::new("\u{feff}a\n/msg w \u{feff}b"), Pasted::Lines(vec!["a".into(), "/msg w b".into()]));
    }

    #[test]
    fn what_a_terminal_would_obey_is_replaced() {
        assert_eq!(Pasted::new("a\x1b[2Jb\tc"), Pasted::Text("a\u{fffd}[2Jb\tc".into()));
    }

    #[test]
    fn no_line_of_a_paste_is_longer_than_what_can_be_sent_at_once() {
        let long = "\x01".repeat(OUTBOX_BYTES_MAX / 2);
        let Pasted::Lines(lines) = Pasted::new(&format!("a\r/{long}\rb")) else { panic!("they are three") };
        assert_eq!((lines.len(), lines[1].len()), (3, (OUTBOX_BYTES_MAX - WIRE_BYTES_MORE - 2) / 3 * 3 + 1));
        let mut query = Query::default();
        query.begin(&"a\u{301}\u{302}\u{303}".repeat(NAME_CHARS_MAX));
        for line in lines.into_iter().map(Entered::text) {
            assert!(line.wire(ServerKind::Pollchat).len() < OUTBOX_BYTES_MAX);
            assert!(query.aim(line).unwrap().text.len() < OUTBOX_BYTES_MAX);
        }
    }

    #[test]
    fn a_long_paste_is_shown_in_part_and_counted() {
        let lines = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        assert_eq!(preview(&lines(2)), ["| 0", "| 1"]);
        assert_eq!(preview(&lines(PASTE_LINES_SHOWN_MAX)).len(), PASTE_LINES_SHOWN_MAX);
        let shown = preview(&lines(PASTE_LINES_SHOWN_MAX + 3));
        assert_eq!((shown.len(), shown.last().unwrap().as_str()), (PASTE_LINES_SHOWN_MAX + 1, "| … and 3 more"));
    }
}
