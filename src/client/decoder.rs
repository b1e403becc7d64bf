//! The server's bytes as clean lines. Pure: bytes in, lines out.

use super::limits::SHOWN_LINE_BYTES_MAX;
use super::tracking::SESSION_START;
use crate::relay::line::{Framing, Line, LineDecoder, LineEnds, Overlong};
use crate::relay::notice::{FIRST_BYTES, LOCKED_FIRST_BYTES};
use crate::relay::sanitize::sanitize;
use crate::relay::telnet::Telnet;

const FRAMING: Framing =
    Framing { line_bytes_max: SHOWN_LINE_BYTES_MAX, overlong: Overlong::Cut, ends: LineEnds::Newline };

/// Prefix of a line that continues the one above. No name can look like it.
const CONTINUED: &str = "… ";

/// The line that ends the session.
const FIN: &str = "FIN";

/// Splits the server's bytes into lines and removes terminal control characters.
///
/// The server is not trusted. Invariant: each line shown is one line of the server, or is marked as the continuation of
/// one, and a terminal can show it safely.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    lines: LineDecoder,
    telnet: Telnet,
    /// Scratch space for lines that had to be cleaned.
    buffer: String,
    kind: ServerKind,
    /// The first bytes, while the kind is unknown.
    first: Vec<u8>,
    /// Whether the connection began with `/track`, so that a pollchat server begins with the session.
    expects_session: bool,
    ends: Ends,
    /// The beginning of the line that we sent last. A server that repeats it repeats its newline, too.
    sent: String,
}

/// Ends of a foreign server's lines, as far as its text shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Nothing was said that shows it.
    #[default]
    Unknown,
    /// It has said text that silence ended, or has repeated our text behind a text of its own: the server of a
    /// textbook, which takes each `recv` for a message.
    Silence,
    /// It has said `Thread-N> text` with a newline: a server that names its clients so passes on messages as they come,
    /// and the newline is another client's.
    Relayed,
    /// It has ended a line of its own with a newline.
    Newline,
}

/// Kind of server, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerKind {
    /// This many bytes came, all of them those of a pollchat server.
    Unknown(usize),
    /// A pollchat server, which terminates all its lines.
    Pollchat,
    /// A foreign server, which may send text without a newline.
    Other,
}

impl Default for ServerKind {
    fn default() -> ServerKind {
        ServerKind::Unknown(0)
    }
}

/// A clean line of the server, or a piece of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerLine<'a> {
    /// The text, without its newline.
    pub(crate) text: &'a str,
    /// Whether it continues the previous line.
    pub(crate) is_continued: bool,
    /// Whether its newline came. A line that a connection cut off has none.
    pub(crate) has_end: bool,
}

/// Whether more lines may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// They may.
    More,
    /// The server said FIN. The bytes after it were dropped.
    Fin,
}

/// End of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineEnd {
    Newline,
    /// EOF, or silence.
    None,
}

impl<'a> ServerLine<'a> {
    /// Returns the whole line or the piece that this is with its mark.
    pub(crate) fn of_marked(marked: &'a str) -> ServerLine<'a> {
        let piece = marked.strip_prefix(CONTINUED);
        ServerLine { text: piece.unwrap_or(marked), is_continued: piece.is_some(), has_end: true }
    }

    /// The prefix of the text.
    pub(crate) fn mark(&self) -> &'static str {
        if self.is_continued { CONTINUED } else { "" }
    }
}

impl Decoder {
    /// Passes each line that `arrived` completes to `show`. Drops telnet commands, and answers none.
    pub(crate) fn decode(&mut self, arrived: &[u8], show: &mut impl FnMut(ServerLine<'_>)) -> Decoded {
        if self.telnet.is_text(arrived) {
            return self.decode_text(arrived, show);
        }
        let mut text = Vec::new();
        self.telnet.receive(arrived, &mut text, &mut Vec::new());
        self.decode_text(&text, show)
    }

    fn decode_text(&mut self, text: &[u8], show: &mut impl FnMut(ServerLine<'_>)) -> Decoded {
        self.learn_kind(text);
        let mut rest = text;
        while let Some(line) = self.lines.next(&mut rest, FRAMING) {
            if self.kind == ServerKind::Other && self.ends != Ends::Newline {
                self.ends = self.ends.after_line(&line, &self.sent);
            }
            if show_line(&line, LineEnd::Newline, &mut self.buffer, show) == Decoded::Fin {
                return Decoded::Fin;
            }
        }
        Decoded::More
    }

    /// Records that the connection began with `/track`.
    pub(crate) fn expect_session(&mut self) {
        self.expects_session = true;
    }

    fn learn_kind(&mut self, arrived: &[u8]) {
        if !matches!(self.kind, ServerKind::Unknown(_)) {
            return;
        }
        let missing = LOCKED_FIRST_BYTES.len().saturating_sub(self.first.len());
        self.first.extend(&arrived[..arrived.len().min(missing)]);
        let session = if self.expects_session { SESSION_START } else { FIRST_BYTES };
        let starts = [FIRST_BYTES, LOCKED_FIRST_BYTES, session].map(str::as_bytes);
        self.kind = if starts.iter().any(|start| self.first.starts_with(start)) {
            ServerKind::Pollchat
        } else if starts.iter().any(|start| start.starts_with(&self.first)) {
            ServerKind::Unknown(self.first.len())
        } else {
            ServerKind::Other
        };
    }

    /// Passes an unterminated line to `show`: at EOF, or when the server fell silent.
    pub(crate) fn flush_partial(&mut self, show: &mut impl FnMut(ServerLine<'_>)) -> Decoded {
        let Some(line) = self.lines.finish(FRAMING) else { return Decoded::More };
        if matches!(self.ends, Ends::Unknown | Ends::Relayed) {
            self.ends = Ends::Silence;
        }
        show_line(&line, LineEnd::None, &mut self.buffer, show)
    }

    /// Records the beginning of a line that we sent to a foreign server.
    pub(crate) fn on_sent(&mut self, line: &[u8]) {
        self.sent.clear();
        self.sent.push_str(&String::from_utf8_lossy(line));
    }

    /// Ends of the lines of a foreign server.
    pub(crate) fn ends(&self) -> Ends {
        self.ends
    }

    /// The kind of server, as far as its first bytes tell.
    pub(crate) fn server_kind(&self) -> ServerKind {
        self.kind
    }

    /// Whether a foreign server has begun a line, which may stay unterminated.
    pub(crate) fn has_partial_line(&self) -> bool {
        self.kind == ServerKind::Other && !self.lines.is_empty()
    }
}

impl Ends {
    /// Ends as a line with a newline shows them, after we sent `sent`, if anything.
    fn after_line(self, line: &Line<'_>, sent: &str) -> Ends {
        let (Line::Text(raw) | Line::More(raw) | Line::TooLong(raw)) = line;
        if raw.is_empty() && self == Ends::Silence {
            // The newline of a text that silence seemed to end.
            return Ends::Silence;
        }
        match raw.strip_suffix(sent.as_bytes()).filter(|_| !sent.is_empty()) {
            // An echo alone is also what a server of lines does.
            Some([]) => self,
            Some(_) => Ends::Silence,
            None if names_a_thread(raw) => match self {
                Ends::Silence => Ends::Silence,
                Ends::Unknown | Ends::Relayed | Ends::Newline => Ends::Relayed,
            },
            None => Ends::Newline,
        }
    }
}

/// Whether `line` begins as `Thread-7> `: textbooks use the names that Java gives its threads.
fn names_a_thread(line: &[u8]) -> bool {
    let number = line.strip_prefix(b"Thread-").unwrap_or_default();
    let digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && number[digits..].starts_with(b"> ")
}

fn show_line(line: &Line<'_>, end: LineEnd, buffer: &mut String, show: &mut impl FnMut(ServerLine<'_>)) -> Decoded {
    let (is_continued, raw) = match *line {
        Line::Text(raw) => (false, raw),
        Line::More(raw) => (true, raw),
        // `Overlong::Cut` makes none.
        Line::TooLong(_) => return Decoded::More,
    };
    let text = sanitize(raw, buffer);
    show(ServerLine { text, is_continued, has_end: end == LineEnd::Newline });
    let is_fin = match end {
        LineEnd::Newline => text == FIN,
        // A foreign server that passes keystrokes on may say it in any case.
        LineEnd::None => text.eq_ignore_ascii_case(FIN),
    };
    if is_fin && !is_continued { Decoded::Fin } else { Decoded::More }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_in_pieces(arrived: &[u8], len: usize) -> (String, Decoded) {
        let mut decoder = Decoder::default();
        let mut shown = String::new();
        let mut show = |line: ServerLine<'_>| shown.extend([line.mark(), line.text, "\n"]);
        let fin = arrived.chunks(len).map(|piece| decoder.decode(piece, &mut show)).find(|&h| h == Decoded::Fin);
        let decoded = fin.unwrap_or_else(|| decoder.flush_partial(&mut show));
        (shown, decoded)
    }

    #[test]
    fn lines_are_shown_clean_in_any_pieces() {
        let arrived = b"\xff\xfb\x01* hello\r\nana> \x1b[2J\xfe caf\xc3\xff\xf1\xa9\nFIN!\n FIN\nfin\nana> FIN\n\nlast";
        let shown = "* hello\nana> \u{fffd}[2J\u{fffd} café\nFIN!\n FIN\nfin\nana> FIN\n\nlast\n";
        for len in 1..=arrived.len() {
            assert_eq!(decode_in_pieces(arrived, len), (shown.to_owned(), Decoded::More), "{len}");
        }
    }

    #[test]
    fn fin_is_the_last_line_shown() {
        for arrived in ["ana> bye\nFIN\nana> more\n", "ana> bye\nFIN\r\nFIN\n", "ana> bye\nFIN"] {
            for len in 1..=arrived.len() {
                assert_eq!(
                    decode_in_pieces(arrived.as_bytes(), len),
                    ("ana> bye\nFIN\n".into(), Decoded::Fin),
                    "{len}"
                );
            }
        }
    }

    #[test]
    fn no_part_of_a_long_line_passes_for_a_line_of_its_own() {
        let first = "é".repeat(SHOWN_LINE_BYTES_MAX / 2);
        let arrived = format!("{first}FIN\nana> hello\n");
        let shown = format!("{first}\n… FIN\nana> hello\n");
        for len in [1, 2, 3, 4096, SHOWN_LINE_BYTES_MAX, SHOWN_LINE_BYTES_MAX + 1, arrived.len()] {
            assert_eq!(decode_in_pieces(arrived.as_bytes(), len), (shown.clone(), Decoded::More), "{len}");
        }
    }

    #[test]
    fn a_pollchat_server_is_known_by_its_first_bytes_in_any_pieces() {
        let kind_of = |arrived: &[u8], len: usize| {
            let mut decoder = Decoder::default();
            for piece in arrived.chunks(len) {
                let before = decoder.server_kind();
                decoder.decode(piece, &mut |_| {});
                assert!(
                    matches!(before, ServerKind::Unknown(_)) || decoder.server_kind() == before,
                    "it does not change"
                );
            }
            decoder.server_kind()
        };
        for len in 1..=12 {
            assert_eq!(kind_of(b"** session x", len), ServerKind::Other, "nobody asked");
            let mut decoder = Decoder::default();
            decoder.expect_session();
            b"** session x".chunks(len).for_each(|piece| _ = decoder.decode(piece, &mut |_| {}));
            assert_eq!(decoder.server_kind(), ServerKind::Pollchat);
            assert_eq!(kind_of(b"* you are client-7\n", len), ServerKind::Pollchat);
            assert_eq!(kind_of(b"* you are", len), ServerKind::Unknown(9));
            for other in [&b"* you were\n"[..], b"hello", b"\n", b" * you are x\n", b"* you\n* you are client-7\n"] {
                assert_eq!(kind_of(other, len), ServerKind::Other);
            }
        }
    }

    #[test]
    fn an_unterminated_line_is_shown_when_the_server_falls_silent() {
        let mut decoder = Decoder::default();
        let mut shown = Vec::new();
        let mut show = |line: ServerLine<'_>| shown.push(line.text.to_owned());
        for message in ["hello", "caf\u{e9}", "whole\n", "fi"] {
            decoder.decode(message.as_bytes(), &mut show);
            assert_eq!(decoder.has_partial_line(), !message.ends_with('\n'));
            assert_eq!(decoder.flush_partial(&mut show), Decoded::More);
            assert!(!decoder.has_partial_line());
        }
        decoder.decode(b"fin", &mut show);
        assert_eq!(decoder.flush_partial(&mut show), Decoded::Fin);
        assert_eq!(shown, ["hello", "café", "whole", "fi", "fin"]);
    }

    #[test]
    fn a_line_of_a_pollchat_server_is_never_shown_before_its_end() {
        let mut decoder = Decoder::default();
        for piece in [&b"* you a"[..], b"re client-7\nana> hel"] {
            decoder.decode(piece, &mut |_| {});
            assert!(!decoder.has_partial_line());
        }
    }

    #[test]
    fn the_ends_of_a_foreign_servers_lines_are_learnt_from_its_text() {
        let ends = |sent: &str, pieces: &[&str]| {
            let mut decoder = Decoder::default();
            decoder.on_sent(sent.as_bytes());
            for piece in pieces {
                decoder.decode(piece.as_bytes(), &mut |_| {});
                if decoder.has_partial_line() {
                    decoder.flush_partial(&mut |_| {});
                }
            }
            decoder.ends()
        };
        assert_eq!(ends("", &["hello"]), Ends::Silence);
        assert_eq!(ends("", &["hello\n"]), Ends::Newline);
        assert_eq!(ends("", &["welcome\nlogin: "]), Ends::Newline);
        assert_eq!(ends("", &["hello", "\n"]), Ends::Silence);
        assert_eq!(ends("", &["login: ", "welcome\n"]), Ends::Newline);
        // The newline is ours.
        assert_eq!(ends("one", &["echo : one\n"]), Ends::Silence);
        assert_eq!(ends("one", &["one\n"]), Ends::Unknown);
        assert_eq!(ends("one", &["ana> two\n"]), Ends::Newline);
        // Or another client's.
        assert_eq!(ends("one", &["Thread-12> two\n"]), Ends::Relayed);
        assert_eq!(ends("one", &["Thread-12> two\n", "Thread-12> three"]), Ends::Silence);
        assert_eq!(ends("one", &["Thread-x> two\n"]), Ends::Newline);
        assert_eq!(ends("", &["* you are client-7; x\n"]), Ends::Unknown, "the greeting is enough");
    }
}
