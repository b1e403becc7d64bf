//! What the server said, made fit to be shown. Pure: bytes in, bytes out.

use std::collections::VecDeque;

use super::config::SHOWN_LINE_BYTES_MAX;
use crate::relay::line::{Framing, Line, LineDecoder, Overlong, clean};

const FRAMING: Framing = Framing { line_bytes_max: SHOWN_LINE_BYTES_MAX, overlong: Overlong::Cut };

/// What a line begins with that continues the one above: nobody's name can look like it.
const CONTINUED: &str = "… ";

/// The line by which the server ends the conversation.
const FIN: &str = "FIN";

/// Turns what arrives from the server into clean lines for stdout.
///
/// The server is not trusted: whatever it sends, what is shown holds nothing that a terminal would obey, and each
/// line of it is one line of the server's or marked as the continuation of one.
#[derive(Debug, Default)]
pub struct Transcript {
    lines: LineDecoder,
    /// For the lines that had to be cleaned.
    buffer: String,
}

/// Whether the server has more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It may.
    Talk,
    /// It said FIN, and what followed that was left out.
    Fin,
}

impl Transcript {
    /// Puts the lines that `arrived` completes behind what waits to be `shown`.
    pub fn take_in(&mut self, arrived: &[u8], shown: &mut VecDeque<u8>) -> Heard {
        let mut rest = arrived;
        while let Some(line) = self.lines.next(&mut rest, FRAMING) {
            if show(&line, &mut self.buffer, shown) == Heard::Fin {
                return Heard::Fin;
            }
        }
        Heard::Talk
    }

    /// Ends in good order: a last line without an end is one all the same.
    pub fn finish(&mut self, shown: &mut VecDeque<u8>) -> Heard {
        self.lines.finish(FRAMING).map_or(Heard::Talk, |line| show(&line, &mut self.buffer, shown))
    }
}

fn show(line: &Line<'_>, buffer: &mut String, shown: &mut VecDeque<u8>) -> Heard {
    let (mark, raw) = match *line {
        Line::Text(raw) => ("", raw),
        Line::More(raw) => (CONTINUED, raw),
        // Lines are cut here, not dropped.
        Line::TooLong => return Heard::Talk,
    };
    let text = clean(raw, buffer);
    for part in [mark, text, "\n"] {
        shown.extend(part.as_bytes());
    }
    if mark.is_empty() && text == FIN { Heard::Fin } else { Heard::Talk }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_in_pieces(arrived: &[u8], len: usize) -> (String, Heard) {
        let mut transcript = Transcript::default();
        let mut shown = VecDeque::new();
        let fin = arrived.chunks(len).map(|piece| transcript.take_in(piece, &mut shown)).find(|&h| h == Heard::Fin);
        let heard = fin.unwrap_or_else(|| transcript.finish(&mut shown));
        (String::from_utf8(shown.into()).expect("only clean text is shown"), heard)
    }

    #[test]
    fn lines_are_shown_clean_however_they_arrive() {
        let arrived = b"* hello\r\nana> \x1b[2J\xff caf\xc3\xa9\nFIN!\n FIN\nfin\nana> FIN\n\nlast";
        let shown = "* hello\nana> \u{fffd}[2J\u{fffd} café\nFIN!\n FIN\nfin\nana> FIN\n\nlast\n";
        for len in 1..=arrived.len() {
            assert_eq!(take_in_pieces(arrived, len), (shown.to_owned(), Heard::Talk), "{len}");
        }
    }

    #[test]
    fn fin_is_shown_and_nothing_after_it() {
        for arrived in ["ana> bye\nFIN\nana> more\n", "ana> bye\nFIN\r\nFIN\n", "ana> bye\nFIN"] {
            for len in 1..=arrived.len() {
                assert_eq!(take_in_pieces(arrived.as_bytes(), len), ("ana> bye\nFIN\n".into(), Heard::Fin), "{len}");
            }
        }
    }

    #[test]
    fn no_part_of_a_long_line_passes_for_a_line_of_its_own() {
        let first = "é".repeat(SHOWN_LINE_BYTES_MAX / 2);
        let arrived = format!("{first}FIN\nana> hello\n");
        let shown = format!("{first}\n… FIN\nana> hello\n");
        for len in [1, 2, 3, 4096, SHOWN_LINE_BYTES_MAX, SHOWN_LINE_BYTES_MAX + 1, arrived.len()] {
            assert_eq!(take_in_pieces(arrived.as_bytes(), len), (shown.clone(), Heard::Talk), "{len}");
        }
    }
}
