//! A count of the lines of a stream. Pure.

use crate::relay::sanitize::BYTE_ORDER_MARK;
use crate::relay::telnet::Telnet;

/// Counts lines that a pollchat server takes for more than empty ones, in pieces of any size. LF and CR end a line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LineCount {
    ended: u64,
    telnet: Telnet,
    line: Present,
}

/// The present line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Present {
    /// Nothing but padding, and so many bytes of a byte order mark.
    Padding(usize),
    /// It has text.
    Text,
}

impl Default for Present {
    fn default() -> Present {
        Present::Padding(0)
    }
}

impl LineCount {
    /// Adds the next piece of the stream.
    pub(crate) fn add(&mut self, piece: &[u8]) {
        if self.telnet.is_text(piece) {
            self.add_text(piece);
        } else {
            let mut text = Vec::new();
            self.telnet.receive(piece, &mut text, &mut Vec::new());
            self.add_text(&text);
        }
    }

    fn add_text(&mut self, mut text: &[u8]) {
        loop {
            if self.line == Present::Text {
                // What else the line holds does not matter.
                let Some(end) = memchr::memchr2(b'\n', b'\r', text) else { return };
                text = &text[end..];
            }
            let Some((&byte, rest)) = text.split_first() else { return };
            text = rest;
            self.line = match (byte, self.line) {
                (b'\n' | b'\r', _) => {
                    self.ended = self.lines();
                    Present::default()
                }
                (0, line) => line,
                (_, Present::Padding(len)) if byte == BYTE_ORDER_MARK[len] => {
                    Present::Padding((len + 1) % BYTE_ORDER_MARK.len())
                }
                _ => Present::Text,
            };
        }
    }

    /// The number of lines. A last one without its end is one of them.
    pub(crate) fn lines(&self) -> u64 {
        self.ended + u64::from(self.line != Present::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_padding_are_empty() {
        for (stream, lines) in [
            (&b"a\nb"[..], 2),
            (b"\n\r\n\r", 0),
            (b"\0\n\r\0\n", 0),
            (b"\xef\xbb\xbf\n\xef\xbb\xbf\0\xef\xbb\xbf", 0),
            (b"\xef\xbb\n\xef\xbb\xbfa\n", 2),
            (b"\xff\xf1\n\xff\xfd\n\n\xff\xfa\r\xff\xf0\n", 0),
            (b" \n\x7f\n\xff\xfd\nb", 3),
        ] {
            for len in 1..=stream.len() {
                let mut count = LineCount::default();
                stream.chunks(len).for_each(|piece| count.add(piece));
                assert_eq!(count.lines(), lines, "{stream:?} by {len}");
            }
        }
    }
}
