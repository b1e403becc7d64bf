//! What was typed and the server has not taken yet. Pure: bytes in, bytes out.

use std::collections::VecDeque;
use std::io::{self, BufRead, Write};

use crate::client::limits::{LEAVE_LINE_BYTES_MAX, OUTBOX_BYTES_MAX};
use crate::relay::command::Command;
use crate::relay::line::{Framing, Line, LineDecoder, Overlong, clean};

const FRAMING: Framing = Framing { line_bytes_max: LEAVE_LINE_BYTES_MAX, overlong: Overlong::Drop };

/// The bytes on their way to the server: as they were typed, each of them, up to a line by which one leaves.
///
/// Invariant: never more than [`OUTBOX_BYTES_MAX`]; the one who puts something in asks for the room first.
#[derive(Debug, Default)]
pub struct SendBuffer {
    queue: VecDeque<u8>,
    /// Reads along, to know a line by which one leaves. The bytes do not pass through it.
    lines: LineDecoder,
}

/// What the bytes put into the [`SendBuffer`] were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Something to say.
    Text,
    /// Up to its end a line by which one leaves, and what followed that was left out.
    Leave,
}

impl SendBuffer {
    /// Puts in what was typed, in whatever pieces it comes.
    pub fn push(&mut self, typed: &[u8]) -> Typed {
        debug_assert!(typed.len() <= self.free_bytes(), "{} bytes for {}", typed.len(), self.free_bytes());
        let mut rest = typed;
        let mut buffer = String::new();
        while let Some(line) = self.lines.next(&mut rest, FRAMING) {
            // The same kind as the server's, so that both see the same line as the last one.
            if let Line::Text(raw) = line
                && Command::parse(clean(raw, &mut buffer)) == Command::Leave
            {
                self.queue.extend(&typed[..typed.len() - rest.len()]);
                return Typed::Leave;
            }
        }
        self.queue.extend(typed);
        Typed::Text
    }

    /// Writes once, and lets go of what was taken.
    ///
    /// # Errors
    /// As the writer's.
    pub fn write_to(&mut self, writer: &mut impl Write) -> io::Result<usize> {
        let (front, _) = self.queue.as_slices();
        let len = writer.write(front)?;
        self.queue.consume(len);
        Ok(len)
    }

    /// How many bytes may still be put in.
    pub fn free_bytes(&self) -> usize {
        OUTBOX_BYTES_MAX - self.queue.len()
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether the server has taken all of it.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes to the server of `typed` when it comes in pieces of `len` bytes, and whether it was left off at a
    /// line by which one leaves.
    fn push_in_pieces(typed: &[u8], len: usize) -> (Vec<u8>, Typed) {
        let mut outbox = SendBuffer::default();
        let ends_in = typed.chunks(len).map(|piece| outbox.push(piece)).find(|&typed| typed == Typed::Leave);
        (outbox.queue.into(), ends_in.unwrap_or(Typed::Text))
    }

    #[test]
    fn a_line_by_which_one_leaves_is_the_last_however_it_arrives() {
        for leave in ["FIN\n", "fin\r\n", "Exit\n", "/quit\n", "/QUIT see you\r\n"] {
            let before = "hello\n\nFIN.\n FIN\nfin \nexit now\n//quit\n\0FIN\n";
            let typed = format!("{before}{leave}this is not said\nexit\n");
            let passed = format!("{before}{leave}");
            for len in 1..=typed.len() {
                assert_eq!(push_in_pieces(typed.as_bytes(), len), (passed.clone().into(), Typed::Leave), "{len}");
            }
        }
    }

    #[test]
    fn bytes_of_any_kind_pass_unchanged() {
        let mut typed: Vec<u8> = (0..=255).collect();
        typed.extend(b"x".repeat(LEAVE_LINE_BYTES_MAX + 1));
        typed.extend(b"exit\r\r\n\xffexit\nexit"); // The last one has no end yet: it may become `exits`.
        for len in 1..=typed.len() {
            assert_eq!(push_in_pieces(&typed, len), (typed.clone(), Typed::Text), "{len}");
        }
    }

    #[test]
    fn a_short_write_leaves_the_rest() {
        let mut outbox = SendBuffer::default();
        outbox.push(b"hello");
        let mut three = [0; 3];
        assert_eq!(outbox.write_to(&mut &mut three[..]).unwrap(), 3);
        assert_eq!((&three, outbox.len(), outbox.free_bytes()), (b"hel", 2, OUTBOX_BYTES_MAX - 2));
        let mut all = Vec::new();
        outbox.push(b"!");
        while !outbox.is_empty() {
            outbox.write_to(&mut all).unwrap();
        }
        assert_eq!(all, b"lo!");
    }
}
