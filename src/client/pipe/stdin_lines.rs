//! Stdin as whole lines of text, for a session that counts them. Pure.
//!
//! A tracked client's lines end with LF alone, and both sides must count the same lines. So telnet commands, NULs and
//! byte order marks are removed here, as the server would do, and each line gets a LF.

use crate::client::limits::UNSENT_BYTES_MAX;
use crate::client::outbox::line_view::{Extent, LineView};

/// Cuts stdin into lines, in pieces of any size.
///
/// Invariant: `begun` holds at most [`UNSENT_BYTES_MAX`] and one piece.
#[derive(Debug, Default)]
pub(super) struct StdinLines {
    begun: Vec<u8>,
    view: LineView,
    /// Whether a CR ended the last line, so that a LF may belong to it.
    is_after_return: bool,
    /// Whether the present line was too long, and its rest is dropped.
    drops_rest: bool,
}

/// A line of stdin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StdinLine {
    /// Its text, as the server reads it.
    Text(String),
    /// It has more than [`UNSENT_BYTES_MAX`] bytes.
    TooLong,
}

impl StdinLines {
    /// Adds the next piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.begun.extend_from_slice(piece);
    }

    /// Takes the next line. `has_ended`: a last line without its end is whole.
    pub(super) fn next(&mut self, has_ended: bool) -> Option<StdinLine> {
        loop {
            self.skip_padding();
            match self.view.line_extent(&self.begun) {
                Some(extent) => {
                    let line = self.take(extent);
                    if !std::mem::take(&mut self.drops_rest) {
                        return Some(line);
                    }
                }
                None if self.begun.len() > UNSENT_BYTES_MAX => {
                    let line = self.take((self.begun.len(), 0));
                    if !std::mem::replace(&mut self.drops_rest, true) {
                        debug_assert_eq!(line, StdinLine::TooLong);
                        return Some(line);
                    }
                }
                None if has_ended && !self.begun.is_empty() => {
                    let line = self.take((self.begun.len(), 0));
                    return Some(line).filter(|line| !self.drops_rest && *line != StdinLine::Text(String::new()));
                }
                None => return None,
            }
        }
    }

    fn take(&mut self, (text_len, end_len): Extent) -> StdinLine {
        let (text, rest) = self.begun.split_at(text_len);
        let line = if text_len > UNSENT_BYTES_MAX {
            StdinLine::TooLong
        } else {
            // Invalid bytes would become the same on the server. None of them may begin a telnet command.
            StdinLine::Text(String::from_utf8_lossy(&self.view.text(text)).into_owned())
        };
        self.is_after_return = rest.starts_with(b"\r") && end_len == 1;
        self.view.skip(&self.begun[..text_len + end_len]);
        self.begun.drain(..text_len + end_len);
        line
    }

    /// Passes what belongs to the CR of the last line.
    fn skip_padding(&mut self) {
        if self.is_after_return && !self.begun.is_empty() {
            let (len, is_over) = self.view.padding_len(&self.begun);
            self.view.skip(&self.begun[..len]);
            self.begun.drain(..len);
            self.is_after_return = !is_over;
        }
    }

    /// Takes the bytes that no line was made of.
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(stream: &[u8], len: usize) -> Vec<String> {
        let (mut stdin, mut lines) = (StdinLines::default(), Vec::new());
        let mut take = |stdin: &mut StdinLines, has_ended| {
            while let Some(line) = stdin.next(has_ended) {
                lines.push(match line {
                    StdinLine::Text(text) => text,
                    StdinLine::TooLong => "(too long)".to_owned(),
                });
            }
        };
        for piece in stream.chunks(len) {
            stdin.push(piece);
            take(&mut stdin, false);
        }
        take(&mut stdin, true);
        lines
    }

    #[test]
    fn lines_are_those_that_a_server_would_read() {
        for (stream, expected) in [
            (&b"a\nb"[..], &["a", "b"][..]),
            (b"a\r\nb\rc\r\0\nd\n", &["a", "b", "c", "d"]),
            (b"a\n\n\nb\n", &["a", "", "", "b"]),
            (b"\xff\xfd\x01a\xff\xff\xff\xfa\x1f\n\xff\xf0b\n", &["ab"]),
            (b"\xef\xbb\xbfa\0b\xfe\n", &["ab\u{fffd}"]),
            (b"", &[]),
        ] {
            for len in 1..=stream.len().max(1) {
                assert_eq!(lines(stream, len), expected, "{stream:?} by {len}");
            }
        }
    }

    #[test]
    fn a_line_beyond_all_limits_is_one_line_and_its_rest_is_none() {
        let long = format!("a\n{}\nb\n", "x".repeat(3 * UNSENT_BYTES_MAX));
        for len in [1 << 10, 16 << 10, long.len()] {
            assert_eq!(lines(long.as_bytes(), len), ["a", "(too long)", "b"], "{len}");
        }
        assert_eq!(lines("x".repeat(2 * UNSENT_BYTES_MAX).as_bytes(), 16 << 10), ["(too long)"]);
    }
}
