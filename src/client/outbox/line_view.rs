//! The typed bytes as a pollchat server reads them: the ends of lines, and the text of each line. Pure.
//!
//! The server removes telnet commands, NULs, and byte order marks at the start of a line. What is left decides whether
//! a line leaves, so the client removes the same bytes with the same code before it compares.

use crate::client::limits::LEAVE_LINE_BYTES_MAX;
use crate::relay::command::{COMMAND_BYTE, Command};
use crate::relay::sanitize::{BYTE_ORDER_MARK, sanitize, without_marks, without_nuls};
use crate::relay::telnet::Telnet;

/// A line at the front of the typed bytes: the length of its text and of its end.
pub(crate) type Extent = (usize, usize);

/// The place of the first unread byte in the typed stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LineView {
    telnet: Telnet,
}

impl LineView {
    /// Returns the first line of `bytes`; `None` if it has no end yet. A CR ends a line like a LF. Neither does so
    /// inside a telnet command.
    pub(crate) fn line_extent(self, bytes: &[u8]) -> Option<Extent> {
        let first = memchr::memchr2(b'\n', b'\r', bytes);
        let at = match first {
            Some(at) if self.telnet.is_text(&bytes[..at]) => at,
            None if self.telnet.is_text(bytes) => return None,
            _ => self.steps(bytes).find_map(|(at, byte, _)| matches!(byte, Some(b'\n' | b'\r')).then_some(at))?,
        };
        Some((at, if bytes[at..].starts_with(b"\r\n") { 2 } else { 1 }))
    }

    /// Returns the length of what belongs to a CR before `bytes`: padding, and the LF if it is there. Tells whether no
    /// more can follow.
    pub(crate) fn padding_len(self, bytes: &[u8]) -> (usize, bool) {
        let mut len = 0;
        for (at, byte, telnet) in self.steps(bytes) {
            match byte {
                Some(b'\n') => return (at + 1, true),
                None | Some(0) if telnet.is_text(&[]) => len = at + 1,
                None => {}
                Some(_) => return (len, true),
            }
        }
        (len, false)
    }

    /// Moves behind `bytes` that are no text of a line.
    pub(crate) fn skip(&mut self, bytes: &[u8]) {
        if !self.telnet.is_text(bytes) {
            receive(&mut self.telnet, bytes);
        }
    }

    /// Moves behind `bytes`. Adds their text to that of the present line, as far as [`is_goodbye`] needs it.
    pub(super) fn pass(&mut self, bytes: &[u8], line: &mut Vec<u8>) {
        let stripped;
        let text = if self.telnet.is_text(bytes) {
            bytes
        } else {
            stripped = receive(&mut self.telnet, bytes);
            &stripped
        };
        if line.len() > LEAVE_LINE_BYTES_MAX {
            return;
        }
        let beginning = &text[..text.len().min(LEAVE_LINE_BYTES_MAX + 1 - line.len())];
        if memchr::memchr2(0, BYTE_ORDER_MARK[0], beginning).is_none() && !line.starts_with(&BYTE_ORDER_MARK[..1]) {
            line.extend_from_slice(beginning);
            return;
        }
        for &byte in text.iter().filter(|&&byte| byte != 0) {
            if line.len() > LEAVE_LINE_BYTES_MAX {
                return;
            }
            line.push(byte);
            if without_marks(line).is_empty() {
                line.clear();
            }
        }
    }

    /// Returns the text of a whole line.
    pub(crate) fn text(mut self, line: &[u8]) -> Vec<u8> {
        let text = receive(&mut self.telnet, line);
        without_marks(&without_nuls(&text)).to_vec()
    }

    /// Iterates over `bytes`: their places, the text that each makes, and the place in the stream behind each.
    fn steps(self, bytes: &[u8]) -> impl Iterator<Item = (usize, Option<u8>, Telnet)> {
        let (mut telnet, mut text) = (self.telnet, Vec::new());
        bytes.iter().enumerate().map(move |(at, byte)| {
            telnet.receive(&[*byte], &mut text, &mut Vec::new());
            (at, text.pop(), telnet)
        })
    }
}

/// Returns the text in `bytes`.
fn receive(telnet: &mut Telnet, bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    telnet.receive(bytes, &mut text, &mut Vec::new());
    text
}

/// Whether the line whose text begins with `text` leaves. The server parses it in the same way, so both see the same
/// line as the last.
pub(crate) fn is_goodbye(text: &[u8]) -> bool {
    Command::parse(sanitize(text, &mut String::new())) == Command::Leave
}

/// Returns a whole line with its end as the server reads it, if it asks for a room.
pub(super) fn join_in(line: &[u8]) -> Option<String> {
    memchr::memchr(COMMAND_BYTE, line)?;
    let text = LineView::default().text(line.trim_ascii_end());
    let mut buffer = String::new();
    let line = sanitize(&text, &mut buffer);
    matches!(Command::parse(line), Command::Join { .. }).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_asks_for_a_room_is_found_as_the_server_reads_it() {
        for line in [&b"/join rust\n"[..], b"/join rust\r\n", b"\0/jo\0in rust\r", b"\xef\xbb\xbf/join rust"] {
            assert_eq!(join_in(line).as_deref(), Some("/join rust"), "{line:?}");
        }
        for line in [&b"/joint rust\n"[..], b" /join rust\n", b"//join rust\n", b"/say /join rust\n", b"join\n", b"\n"]
        {
            assert_eq!(join_in(line), None, "{line:?}");
        }
    }
    use crate::relay::line::{Framing, Line, LineDecoder, LineEnds, Overlong};

    const PIECES: [&[u8]; 24] = [
        b"FIN",
        b"exit",
        b"/quit",
        b"b",
        b"\n",
        b"\r",
        b"\r\n",
        b"\0",
        b"\xff",
        b"\xff\xf1",
        b"\xff\xff",
        b"\xfa",
        b"\xff\xfa",
        b"\xff\xf0",
        b"\xff\xfd",
        b"\xff\xfe",
        b"\xff\xfa\x1f",
        b"\xef\xbb\xbf",
        b"\xef",
        b" ",
        b"\x7f",
        b"\x1b",
        b"\x01",
        b"F\0IN",
    ];

    /// The lines that the server parses up to the one that leaves, which is the last.
    fn served(stream: &[u8]) -> (Vec<String>, bool) {
        const FRAMING: Framing =
            Framing { line_bytes_max: 4096, overlong: Overlong::Drop, ends: LineEnds::NewlineOrReturn };
        let mut text = Vec::new();
        Telnet::default().receive(stream, &mut text, &mut Vec::new());
        let (mut decoder, mut rest, mut lines) = (LineDecoder::default(), &text[..], Vec::new());
        while let Some(Line::Text(raw)) = decoder.next(&mut rest, FRAMING) {
            let line = sanitize(raw, &mut String::new()).to_owned();
            let leaves = Command::parse(&line) == Command::Leave;
            lines.push(line);
            if leaves {
                return (lines, true);
            }
        }
        (lines, false)
    }

    /// The same lines as the client sees them, when `stream` comes in pieces of `len` bytes.
    fn seen(stream: &[u8], len: usize) -> (Vec<String>, bool) {
        let (mut view, mut lines, mut typed, mut is_after_return) =
            (LineView::default(), Vec::new(), Vec::new(), false);
        for piece in stream.chunks(len) {
            typed.extend_from_slice(piece);
            loop {
                if is_after_return && !typed.is_empty() {
                    let (padding, is_over) = view.padding_len(&typed);
                    view.skip(&typed[..padding]);
                    typed.drain(..padding);
                    is_after_return = !is_over;
                }
                let Some((text, end)) = view.line_extent(&typed) else { break };
                let mut line = Vec::new();
                let before = view;
                view.pass(&typed[..text], &mut line);
                assert!(before.text(&typed[..text]).starts_with(&line));
                view.skip(&typed[text..text + end]);
                is_after_return = typed[text..text + end] == *b"\r";
                typed.drain(..text + end);
                lines.push(sanitize(&line, &mut String::new()).to_owned());
                if is_goodbye(&line) {
                    return (lines, true);
                }
            }
        }
        (lines, false)
    }

    #[test]
    fn the_client_sees_the_lines_that_the_server_sees() {
        let mut random = 1_u64;
        for _ in 0..5_000 {
            let mut stream = Vec::new();
            for _ in 0..8 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                stream.extend_from_slice(PIECES[(random >> 33) as usize % PIECES.len()]);
            }
            stream.extend_from_slice(b"\nend\n");
            for len in [1, 2, stream.len()] {
                assert_eq!(seen(&stream, len), served(&stream), "{stream:?} by {len}");
            }
        }
    }

    #[test]
    fn a_goodbye_is_seen_through_padding_of_any_length() {
        for goodbye in [
            [&b"FIN"[..], &[0; 100]].concat(),
            [&"\u{feff}".repeat(50).into_bytes()[..], b"exit"].concat(),
            [&b"\xff\xf1".repeat(50)[..], b"/quit"].concat(),
            [&b"/quit "[..], &[b'x'; 100]].concat(),
        ] {
            let stream = [&goodbye[..], b"\nb\n"].concat();
            assert!(served(&stream).1 && seen(&stream, 1).1 && seen(&stream, 7).1, "{goodbye:?}");
        }
    }
}
