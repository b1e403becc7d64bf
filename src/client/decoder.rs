//! What the server said, made fit to be shown. Pure: bytes in, bytes out.

use super::config::SHOWN_LINE_BYTES_MAX;
use crate::relay::line::{Framing, Line, LineDecoder, Overlong, clean};

const FRAMING: Framing = Framing { line_bytes_max: SHOWN_LINE_BYTES_MAX, overlong: Overlong::Cut };

/// What a line begins with that continues the one above: nobody's name can look like it.
const CONTINUED: &str = "… ";

/// The line by which the server ends the conversation.
const FIN: &str = "FIN";

/// What the first line of a pollchat server begins with.
const POLLCHAT: &[u8] = b"* you are ";

/// Turns what arrives from the server into clean lines to be shown.
///
/// The server is not trusted: whatever it sends, what is shown holds nothing that a terminal would obey, and each
/// line of it is one line of the server's or marked as the continuation of one.
#[derive(Debug, Default)]
pub struct Transcript {
    lines: LineDecoder,
    /// For the lines that had to be cleaned.
    buffer: String,
    peer: Peer,
}

/// What kind of server it is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// So many bytes came, and all were those that a pollchat server begins with.
    Unknown(usize),
    /// A pollchat server. All its lines have an end.
    Pollchat,
    /// Another one, which may send what it has to say without any newline.
    Other,
}

impl Default for Peer {
    fn default() -> Peer {
        Peer::Unknown(0)
    }
}

/// One line of the server's, or a piece of one, clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    /// The text, without its end.
    pub text: &'a str,
    /// Whether it continues the one before.
    pub is_continued: bool,
}

/// Whether the server has more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It may.
    Talk,
    /// It said FIN, and what followed that was left out.
    Fin,
}

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Newline,
    /// With the connection, or in silence.
    None,
}

impl Said<'_> {
    /// What goes before the text.
    pub fn mark(&self) -> &'static str {
        if self.is_continued { CONTINUED } else { "" }
    }
}

impl Transcript {
    /// Hands the lines that `arrived` completes to `show`.
    pub fn take_in(&mut self, arrived: &[u8], show: &mut impl FnMut(Said<'_>)) -> Heard {
        self.peer = self.peer.after(arrived);
        let mut rest = arrived;
        while let Some(line) = self.lines.next(&mut rest, FRAMING) {
            if hear(&line, End::Newline, &mut self.buffer, show) == Heard::Fin {
                return Heard::Fin;
            }
        }
        Heard::Talk
    }

    /// Takes what has no end as a line all the same: the connection ended in good order, or the server fell silent.
    pub fn finish(&mut self, show: &mut impl FnMut(Said<'_>)) -> Heard {
        self.lines.finish(FRAMING).map_or(Heard::Talk, |line| hear(&line, End::None, &mut self.buffer, show))
    }

    /// What kind of server it is, as far as it has said.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Whether something came that has no end, and may never get one.
    pub fn holds_a_message(&self) -> bool {
        self.peer == Peer::Other && !self.lines.is_empty()
    }
}

impl Peer {
    fn after(self, arrived: &[u8]) -> Peer {
        let Peer::Unknown(known) = self else { return self };
        let expected = &POLLCHAT[known..];
        let compared = expected.len().min(arrived.len());
        if arrived[..compared] != expected[..compared] {
            Peer::Other
        } else if compared == expected.len() {
            Peer::Pollchat
        } else {
            Peer::Unknown(known + compared)
        }
    }
}

fn hear(line: &Line<'_>, end: End, buffer: &mut String, show: &mut impl FnMut(Said<'_>)) -> Heard {
    let (is_continued, raw) = match *line {
        Line::Text(raw) => (false, raw),
        Line::More(raw) => (true, raw),
        // Lines are cut here, not dropped.
        Line::TooLong(_) => return Heard::Talk,
    };
    let text = clean(raw, buffer);
    show(Said { text, is_continued });
    let is_fin = match end {
        End::Newline => text == FIN,
        // Who sends what was typed with no newline says it as it was typed.
        End::None => text.eq_ignore_ascii_case(FIN),
    };
    if is_fin && !is_continued { Heard::Fin } else { Heard::Talk }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_in_pieces(arrived: &[u8], len: usize) -> (String, Heard) {
        let mut transcript = Transcript::default();
        let mut shown = String::new();
        let mut show = |said: Said<'_>| shown.extend([said.mark(), said.text, "\n"]);
        let fin = arrived.chunks(len).map(|piece| transcript.take_in(piece, &mut show)).find(|&h| h == Heard::Fin);
        let heard = fin.unwrap_or_else(|| transcript.finish(&mut show));
        (shown, heard)
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

    #[test]
    fn a_pollchat_server_is_known_by_its_first_bytes_however_they_arrive() {
        let peer_of = |arrived: &[u8], len: usize| {
            let mut transcript = Transcript::default();
            for piece in arrived.chunks(len) {
                let before = transcript.peer();
                transcript.take_in(piece, &mut |_| {});
                assert!(matches!(before, Peer::Unknown(_)) || transcript.peer() == before, "it does not change");
            }
            transcript.peer()
        };
        for len in 1..=12 {
            assert_eq!(peer_of(b"* you are client-7\n", len), Peer::Pollchat);
            assert_eq!(peer_of(b"* you are", len), Peer::Unknown(9));
            for other in [&b"* you were\n"[..], b"hello", b"\n", b" * you are x\n", b"* you\n* you are client-7\n"] {
                assert_eq!(peer_of(other, len), Peer::Other);
            }
        }
    }

    #[test]
    fn a_message_without_an_end_is_a_line_when_the_server_falls_silent() {
        let mut transcript = Transcript::default();
        let mut shown = Vec::new();
        let mut show = |said: Said<'_>| shown.push(said.text.to_owned());
        for message in ["hello", "caf\u{e9}", "whole\n", "fi"] {
            transcript.take_in(message.as_bytes(), &mut show);
            assert_eq!(transcript.holds_a_message(), !message.ends_with('\n'));
            assert_eq!(transcript.finish(&mut show), Heard::Talk);
            assert!(!transcript.holds_a_message());
        }
        transcript.take_in(b"fin", &mut show);
        assert_eq!(transcript.finish(&mut show), Heard::Fin);
        assert_eq!(shown, ["hello", "café", "whole", "fi", "fin"]);
    }

    #[test]
    fn a_line_of_a_pollchat_server_is_never_taken_before_its_end() {
        let mut transcript = Transcript::default();
        for piece in [&b"* you a"[..], b"re client-7\nana> hel"] {
            transcript.take_in(piece, &mut |_| {});
            assert!(!transcript.holds_a_message());
        }
    }
}
