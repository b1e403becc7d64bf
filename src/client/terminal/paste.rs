//! A paste: whether it is text to go on with, or lines to ask about. Pure.

use crate::client::config::PASTE_LINES_SHOWN_MAX;
use crate::relay::line::clean;

/// What was pasted, made fit to be shown and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pasted {
    /// One line or a part of one: it goes into the input line.
    Text(String),
    /// Several lines. Empty ones are left out: a server would ignore them.
    Lines(Vec<String>),
}

impl Pasted {
    /// Reads what the terminal sent: its lines end with CR, with LF, or with both.
    pub fn new(text: &str) -> Pasted {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut buffer = String::new();
        let lines = text.split('\n').filter(|line| !line.is_empty());
        let mut lines: Vec<String> = lines.map(|line| clean(line.as_bytes(), &mut buffer).to_owned()).collect();
        match lines.len() {
            0 | 1 => Pasted::Text(lines.pop().unwrap_or_default()),
            _ => Pasted::Lines(lines),
        }
    }
}

/// What is shown of `lines` before it is asked about them.
pub fn preview(lines: &[String]) -> Vec<String> {
    let mut shown: Vec<String> = lines.iter().take(PASTE_LINES_SHOWN_MAX).map(|line| format!("| {line}")).collect();
    if let Some(more) = lines.len().checked_sub(PASTE_LINES_SHOWN_MAX).filter(|&more| more > 0) {
        shown.push(format!("| … and {more} more"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_text_and_more_are_lines() {
        for text in ["hello", "hello\r", "hello\n", "\r\nhello\r\n"] {
            assert_eq!(Pasted::new(text), Pasted::Text("hello".into()), "{text:?}");
        }
        for text in ["a\rb", "a\nb\n", "\r\na\r\n\r\nb\r\n"] {
            assert_eq!(Pasted::new(text), Pasted::Lines(vec!["a".into(), "b".into()]), "{text:?}");
        }
        assert_eq!(Pasted::new("\r\n"), Pasted::Text(String::new()));
    }

    #[test]
    fn what_a_terminal_would_obey_is_replaced() {
        assert_eq!(Pasted::new("a\x1b[2Jb\tc"), Pasted::Text("a\u{fffd}[2Jb\tc".into()));
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
