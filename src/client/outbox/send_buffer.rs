//! The bytes for one connection, as stdin or the editor gave them. Pure: bytes in, bytes out.

use std::io::{self, Write};

use crate::client::limits::{LEAVE_LINE_BYTES_MAX, OUTBOX_BYTES_MAX};
use crate::net::outbox::Outbox;
use crate::relay::command::Command;
use crate::relay::line::{Framing, Line, LineDecoder, LineEnds, Overlong};
use crate::relay::sanitize::sanitize;

const FRAMING: Framing =
    Framing { line_bytes_max: LEAVE_LINE_BYTES_MAX, overlong: Overlong::Drop, ends: LineEnds::NewlineOrReturn };

/// A bounded buffer before the socket, which ends at the first line that leaves the room (`FIN`, `exit`, `/quit`).
///
/// Invariant: it holds at most [`OUTBOX_BYTES_MAX`]. The caller of [`SendBuffer::push`] checks
/// [`SendBuffer::free_bytes`] first.
#[derive(Debug, Default)]
pub(crate) struct SendBuffer {
    bytes: Outbox,
    /// Follows the lines, to recognise one that leaves. The bytes do not pass through it.
    lines: LineDecoder,
}

/// Kind of the bytes given to [`SendBuffer::push`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// Text for the server.
    Text,
    /// A line that leaves. The bytes after it were dropped.
    Leave,
}

impl SendBuffer {
    /// Appends typed bytes, in pieces of any size.
    pub(crate) fn push(&mut self, typed: &[u8]) -> Typed {
        debug_assert!(typed.len() <= self.free_bytes(), "{} bytes for {}", typed.len(), self.free_bytes());
        let mut rest = typed;
        let mut buffer = String::new();
        while let Some(line) = self.lines.next(&mut rest, FRAMING) {
            // The server parses the line in the same way, so both see the same line as the last.
            if let Line::Text(raw) = line
                && Command::parse(sanitize(raw, &mut buffer)) == Command::Leave
            {
                self.bytes.push(&typed[..typed.len() - rest.len()]);
                return Typed::Leave;
            }
        }
        self.bytes.push(typed);
        Typed::Text
    }

    /// Appends a whole line with its newline, which is text even if it looks like one that leaves.
    pub(crate) fn push_text(&mut self, line: &[u8]) {
        debug_assert!(self.lines.is_empty(), "no line is torn by another");
        self.bytes.push(line);
    }

    /// Writes once and drops the bytes that were written. Returns their number.
    ///
    /// # Errors
    /// The writer's error.
    pub(crate) fn write_to(&mut self, writer: &mut impl Write) -> io::Result<usize> {
        let len = writer.write(self.bytes.unsent())?;
        self.bytes.advance(len);
        Ok(len)
    }

    /// Free space, in bytes.
    pub(crate) fn free_bytes(&self) -> usize {
        OUTBOX_BYTES_MAX - self.bytes.len()
    }

    /// Unsent bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the kernel has taken all bytes.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the bytes for the server when `typed` comes in pieces of `len` bytes, and the kind of the last piece.
    fn push_in_pieces(typed: &[u8], len: usize) -> (Vec<u8>, Typed) {
        let mut buffer = SendBuffer::default();
        let leave = typed.chunks(len).map(|piece| buffer.push(piece)).find(|&typed| typed == Typed::Leave);
        (buffer.bytes.unsent().to_vec(), leave.unwrap_or(Typed::Text))
    }

    #[test]
    fn a_line_that_leaves_is_the_last_however_it_arrives() {
        for leave in ["FIN\n", "fin\r", "\0FIN\n", "\u{feff}exit\n", "Exit\n", "/quit\n", "/QUIT see you\r\n"] {
            let before = "hello\n\nFIN.\n FIN\nfin \nexit now\n//quit\n\u{1}FIN\n";
            let typed = format!("{before}{leave}this is not said\nexit\n");
            let passed = format!("{before}{leave}");
            for len in 1..=typed.len() {
                let (sent, kind) = push_in_pieces(typed.as_bytes(), len);
                // The CR of a CRLF ends the line already, so its LF may be left.
                let is_all = sent == passed.as_bytes()
                    || passed.strip_suffix("\r\n").is_some_and(|line| sent == [line.as_bytes(), b"\r"].concat());
                assert!(is_all && kind == Typed::Leave, "{len}: {sent:?}");
            }
        }
    }

    #[test]
    fn bytes_of_any_kind_pass_unchanged() {
        let mut typed: Vec<u8> = (0..=255).collect();
        typed.extend(b"x".repeat(LEAVE_LINE_BYTES_MAX + 1));
        typed.extend(b"exit.\r\r\n\xffexit\nexit"); // The last line has no end yet: it may become `exits`.
        for len in 1..=typed.len() {
            assert_eq!(push_in_pieces(&typed, len), (typed.clone(), Typed::Text), "{len}");
        }
    }

    #[test]
    fn text_is_never_a_goodbye() {
        let mut buffer = SendBuffer::default();
        buffer.push_text(b"exit\n");
        assert_eq!(buffer.push(b"FIN\n"), Typed::Leave);
        assert_eq!(buffer.bytes.unsent(), b"exit\nFIN\n");
    }

    #[test]
    fn a_short_write_leaves_the_rest() {
        let mut buffer = SendBuffer::default();
        buffer.push(b"hello");
        let mut three = [0; 3];
        assert_eq!(buffer.write_to(&mut &mut three[..]).unwrap(), 3);
        assert_eq!((&three, buffer.len(), buffer.free_bytes()), (b"hel", 2, OUTBOX_BYTES_MAX - 2));
        let mut all = Vec::new();
        buffer.push(b"!");
        while !buffer.is_empty() {
            buffer.write_to(&mut all).unwrap();
        }
        assert_eq!(all, b"lo!");
    }
}
