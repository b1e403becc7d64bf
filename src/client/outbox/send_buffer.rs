//! The lines for one connection, from stdin or the editor to the socket. Pure: bytes in, bytes out.
//!
//! ```text
//! typed ─release→ released ─write→ socket
//! ```
//!
//! Typed bytes wait here until the caller knows the [`Manner`] that the server needs.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem;

use super::line_count::LineCount;
use super::line_view::{Extent, LineView, is_goodbye, join_in};
use crate::client::limits::{ECHO_BYTES_MAX, HELD_BYTES_MAX, OUTBOX_BYTES_MAX};
use crate::net::outbox::Outbox;
use crate::relay::command;
use crate::relay::sanitize::without_marks;

/// The command that says its text as it is, up to the text.
const SAY: &[u8] = command::SAY.as_bytes();

/// A bounded buffer before the socket, which ends at the first line that leaves the room (`FIN`, `exit`, `/quit`).
///
/// Invariant: it holds at most [`OUTBOX_BYTES_MAX`], plus a [`SAY`] for each line. The caller of [`SendBuffer::push`]
/// checks [`SendBuffer::free_bytes`] first.
#[derive(Debug, Default)]
pub(crate) struct SendBuffer {
    typed: Outbox,
    /// Offset of the first typed byte in all bytes that were pushed.
    typed_offset: u64,
    /// Offsets of lines that [`SendBuffer::push_text`] pushed.
    texts: VecDeque<u64>,
    released: Outbox,
    /// Offset of the first released byte in all bytes that were released.
    written: u64,
    /// End of the released bytes that are no line of stdin or the editor.
    own_end: u64,
    /// The first typed byte as a pollchat server reads it.
    view: LineView,
    /// The beginning of the text of the present line, as far as the line was released.
    begun: Vec<u8>,
    is_mid_line: bool,
    /// Whether a CR ended the last line, so that a LF may belong to it.
    is_after_return: bool,
    /// `--text`: every line is text.
    says_text: bool,
    /// Whether lines are released only whole and kept until they are written, for [`SendBuffer::take_back`].
    keeps_lines: bool,
    /// Such lines as typed, each with the offset of its end.
    kept: VecDeque<(u64, Vec<u8>)>,
    /// The kept lines that ask for a room, as the server reads them, once they were written.
    sent_joins: Vec<String>,
    released_lines: u64,
    /// The beginning of the last released line.
    last_line: Vec<u8>,
    has_left: bool,
    /// Lines behind the goodbye.
    dropped: LineCount,
}

/// The form in which a server takes lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Not known yet. Only the first line goes, if every server takes it in the same way.
    Unknown,
    /// Each line with its end, to a pollchat server.
    Pollchat,
    /// Each line with its end, to another server.
    Lines,
    /// Each line with its end, one at a time, to a server that passes messages on as they come.
    Relay,
    /// Each line without its end, one at a time.
    Bare,
}

impl Manner {
    /// Whether the server takes each `recv` for a message, so that lines go one at a time.
    pub(crate) fn is_by_message(self) -> bool {
        matches!(self, Manner::Relay | Manner::Bare)
    }
}

/// Whether more input may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// It may.
    Open,
    /// It has ended: a last line without its end is whole.
    Ended,
}

/// Result of [`SendBuffer::release`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// Nothing could be released.
    Nothing,
    /// Text.
    Text,
    /// A line that leaves. The bytes after it were dropped. The `end` of the line was not released, because the word
    /// must arrive alone.
    Goodbye {
        /// LF, CR or CRLF; empty if it was released or did not exist.
        end: Vec<u8>,
    },
}

impl SendBuffer {
    /// A buffer of an empty connection.
    pub(crate) fn new(says_text: bool, keeps_lines: bool) -> SendBuffer {
        SendBuffer { says_text, keeps_lines, ..SendBuffer::default() }
    }

    /// Appends typed bytes, in pieces of any size. Drops and counts them behind a goodbye.
    pub(crate) fn push(&mut self, typed: &[u8]) {
        if self.has_left {
            self.dropped.add(typed);
            return;
        }
        debug_assert!(typed.len() <= self.free_bytes(), "{} bytes for {}", typed.len(), self.free_bytes());
        self.typed.push(typed);
    }

    /// Appends a whole line with its newline, which is text even if it looks like one that leaves.
    pub(crate) fn push_text(&mut self, line: &[u8]) {
        if !self.has_left {
            self.texts.push_back(self.typed_offset + self.typed.len() as u64);
        }
        self.push(line);
    }

    /// Appends a line of the client itself, or a piece of its farewell, while no typed line waits for the socket or has
    /// begun.
    pub(crate) fn push_own(&mut self, line: &[u8]) {
        self.released.push(line);
        self.own_end = self.written + self.released.len() as u64;
    }

    /// Appends a whole line with its newline, which is no goodbye, while no typed line waits for the socket or has begun.
    pub(crate) fn push_line(&mut self, line: &[u8]) {
        self.released.push(line);
        self.released_lines += 1;
    }

    /// Moves typed lines on to the socket.
    pub(crate) fn release(&mut self, manner: Manner, input: Input) -> Released {
        let mut result = Released::Nothing;
        loop {
            self.skip_padding(manner);
            if self.typed.is_empty() || (manner == Manner::Unknown && self.has_begun()) {
                return result;
            }
            let Some(extent) = self.line_extent(input) else {
                return if self.release_begun(manner) { Released::Text } else { result };
            };
            match self.release_line(extent, manner) {
                Released::Nothing => return result,
                Released::Text => result = Released::Text,
                goodbye => return goodbye,
            }
            if manner.is_by_message() && !self.released.is_empty() {
                return result;
            }
        }
    }

    /// Returns the first typed line; `None` if it has no end yet.
    fn line_extent(&self, input: Input) -> Option<Extent> {
        let typed = self.typed.unsent();
        self.view.line_extent(typed).or((input == Input::Ended).then_some((typed.len(), 0)))
    }

    fn release_line(&mut self, (text_len, end_len): Extent, manner: Manner) -> Released {
        let line = &self.typed.unsent()[..text_len + end_len];
        let (text, end) = line.split_at(text_len);
        let is_text = self.says_text || self.texts.front() == Some(&self.typed_offset);
        let mut said = Vec::new();
        if self.says_text && !self.is_mid_line && is_interpreted(text, self.released_lines == 0) {
            match manner {
                Manner::Unknown => return Released::Nothing,
                Manner::Pollchat => said = self.view.text(text),
                Manner::Lines | Manner::Relay | Manner::Bare => {}
            }
        }
        let mut begun = mem::take(&mut self.begun);
        self.view.pass(text, &mut begun);
        let is_goodbye = !is_text && is_goodbye(&begun);
        let is_empty = begun.is_empty();
        let end_goes = match manner {
            Manner::Pollchat => true,
            Manner::Unknown | Manner::Lines | Manner::Relay => !is_goodbye,
            Manner::Bare => false,
        };
        // A server that takes each `recv` for a message knows no commands.
        if !said.is_empty() {
            self.released.push(&[SAY, &said, end].concat());
        } else if !(is_goodbye && manner == Manner::Bare && begun.starts_with(b"/")) {
            self.released.push(if end_goes { line } else { text });
        }
        if manner != Manner::Pollchat {
            self.last_line.clear();
            extend_within(&mut self.last_line, text, ECHO_BYTES_MAX);
        }
        let result = if is_goodbye {
            Released::Goodbye { end: if end_goes { Vec::new() } else { end.to_vec() } }
        } else {
            Released::Text
        };
        self.is_after_return = end == b"\r";
        if self.keeps_lines {
            let released_end = self.written + self.released.len() as u64;
            self.kept.push_back((released_end, line.to_vec()));
        }
        self.released_lines += u64::from(!is_empty && !is_goodbye);
        self.view.skip(end);
        begun.clear();
        self.begun = begun;
        self.is_mid_line = false;
        self.advance_typed(text_len + end_len);
        if is_goodbye {
            self.drop_typed();
        }
        result
    }

    /// Releases the beginning of a line that may have no end for long. Returns whether it did.
    fn release_begun(&mut self, manner: Manner) -> bool {
        let begun = self.typed.unsent();
        // With `--flush-after`, a pollchat server would take each piece for a line: half of a private message, say.
        let may_be_pollchat = matches!(manner, Manner::Unknown | Manner::Pollchat);
        let is_whole = self.says_text || self.keeps_lines || may_be_pollchat;
        let waits_for_its_end = !self.is_mid_line && is_whole || manner == Manner::Bare;
        if waits_for_its_end && begun.len() < HELD_BYTES_MAX {
            return false;
        }
        if self.says_text && !self.is_mid_line && is_interpreted(begun, self.released_lines == 0) {
            match manner {
                Manner::Unknown => return false,
                Manner::Pollchat => self.released.push(&[SAY, without_marks(begun)].concat()),
                Manner::Lines | Manner::Relay | Manner::Bare => self.released.push(begun),
            }
        } else {
            self.released.push(begun);
        }
        self.view.pass(begun, &mut self.begun);
        (self.is_mid_line, self.is_after_return) = (true, false);
        self.advance_typed(self.typed.len());
        true
    }

    /// Passes what a server takes for the rest of a CRLF: the LF, and padding before it.
    fn skip_padding(&mut self, manner: Manner) {
        if !self.is_after_return || self.typed.is_empty() {
            return;
        }
        let (len, is_over) = self.view.padding_len(self.typed.unsent());
        let padding = &self.typed.unsent()[..len];
        if manner != Manner::Bare {
            self.released.push(padding);
        }
        self.view.skip(padding);
        self.is_after_return = !is_over;
        self.advance_typed(len);
    }

    /// Whether a whole line was released.
    fn has_begun(&self) -> bool {
        (self.released_lines > 0 || self.own_end > 0) && !self.is_mid_line
    }

    fn advance_typed(&mut self, bytes: usize) {
        self.typed.advance(bytes);
        self.typed_offset += bytes as u64;
        while self.texts.front().is_some_and(|&offset| offset < self.typed_offset) {
            self.texts.pop_front();
        }
    }

    fn drop_typed(&mut self) {
        self.has_left = true;
        self.dropped.add(self.typed.unsent());
        self.typed.clear();
    }

    /// Writes once and drops the bytes that were written. Returns their number.
    ///
    /// # Errors
    /// The writer's error.
    pub(crate) fn write_to(&mut self, writer: &mut impl Write) -> io::Result<usize> {
        let len = writer.write(self.released.unsent())?;
        self.released.advance(len);
        self.written += len as u64;
        while self.kept.front().is_some_and(|&(end, _)| end <= self.written) {
            let (_, line) = self.kept.pop_front().expect("it is there");
            if !self.says_text {
                self.sent_joins.extend(join_in(&line));
            }
        }
        Ok(len)
    }

    /// Returns the `/join` lines that were written whole since the last call, as the server reads them.
    pub(crate) fn take_sent_joins(&mut self) -> Vec<String> {
        mem::take(&mut self.sent_joins)
    }

    /// Returns the lines that were not written whole, as they were typed. Empties the buffer.
    pub(crate) fn take_back(&mut self) -> Vec<u8> {
        let mut lines = Vec::new();
        self.kept.drain(..).for_each(|(_, line)| lines.extend(line));
        lines.extend(self.typed.unsent());
        self.typed.clear();
        self.released.clear();
        lines
    }

    /// Free space, in bytes.
    pub(crate) fn free_bytes(&self) -> usize {
        OUTBOX_BYTES_MAX.saturating_sub(self.len())
    }

    /// Unsent bytes.
    pub(crate) fn len(&self) -> usize {
        self.typed.len() + self.released.len()
    }

    /// Whether the kernel has taken all bytes.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the last line was released only in part.
    pub(crate) fn is_mid_line(&self) -> bool {
        self.is_mid_line
    }

    /// Whether bytes wait for the socket.
    pub(crate) fn has_released(&self) -> bool {
        !self.released.is_empty()
    }

    /// Whether typed bytes wait for their release.
    pub(crate) fn has_typed(&self) -> bool {
        !self.typed.is_empty()
    }

    /// Whether the line whose beginning was sent is a word that leaves so far.
    pub(crate) fn has_begun_goodbye(&self) -> bool {
        self.is_mid_line && self.is_empty() && !self.says_text && is_goodbye(&self.begun)
    }

    /// All bytes that the kernel has taken.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written
    }

    /// The beginning of the last line that was released; empty for a pollchat server, which does not echo.
    pub(crate) fn last_line(&self) -> &[u8] {
        &self.last_line
    }

    /// Typed lines that the kernel has taken whole.
    pub(crate) fn sent_lines(&self) -> u64 {
        self.released_lines - self.released_unsent_lines().min(self.released_lines)
    }

    /// Typed lines that the kernel has not taken whole.
    pub(crate) fn unsent_lines(&self) -> u64 {
        let mut typed = LineCount::default();
        if self.is_mid_line {
            typed.add(b"x");
        }
        typed.add(self.typed.unsent());
        let unsent_of_begun = if self.is_mid_line { 0 } else { self.released_unsent_lines() };
        typed.lines() + unsent_of_begun.min(self.released_lines)
    }

    /// Lines behind a goodbye.
    pub(crate) fn dropped_lines(&self) -> u64 {
        self.dropped.lines()
    }

    fn released_unsent_lines(&self) -> u64 {
        let own = usize::try_from(self.own_end.saturating_sub(self.written)).unwrap_or(usize::MAX);
        let mut count = LineCount::default();
        count.add(self.released.unsent().get(own..).unwrap_or_default());
        count.lines()
    }
}

/// Whether a pollchat server might take `line` for anything but text: for a command, for a goodbye or, as the first
/// line of a connection, for another protocol. It may be wrong about text, but never about the others.
fn is_interpreted(line: &[u8], is_first: bool) -> bool {
    let Some(&first) = line.first() else { return false };
    let is_plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ' || byte == b'\t' || byte >= 0x80;
    if !line.iter().all(|&byte| is_plain(byte)) || line.contains(&0xff) {
        return true;
    }
    if first.is_ascii() && !first.is_ascii_alphanumeric() {
        return true;
    }
    // What is not ASCII may be a blank that nobody sees, or the beginning of a byte order mark.
    if !first.is_ascii() && !str::from_utf8(line).is_ok_and(|line| line.starts_with(char::is_alphanumeric)) {
        return true;
    }
    // A line of another protocol has a word in capitals, or one with a sign, or begins with `ehlo`.
    let is_of_a_protocol = |word: &[u8]| {
        let is_shouted = !word.is_empty() && !word.iter().any(|byte| byte.is_ascii_lowercase() || *byte >= 0x80);
        is_shouted || word == b"ehlo" || !word.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80)
    };
    is_goodbye(line) || (is_first && line.split(|&byte| byte == b' ' || byte == b'\t').any(is_of_a_protocol))
}

/// Appends `more` to `bytes`, up to `bytes_max` altogether.
fn extend_within(bytes: &mut Vec<u8>, more: &[u8], bytes_max: usize) {
    let space = bytes_max.saturating_sub(bytes.len());
    bytes.extend_from_slice(&more[..more.len().min(space)]);
}

#[cfg(test)]
mod tests;
