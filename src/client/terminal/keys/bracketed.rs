//! The paste under way. Pure.

use std::time::Duration;

use super::late::LateStep;
use super::{ESCAPE, PASTE_BEGIN, TermEvent, is_way_out};
use crate::client::limits::{PASTE_BYTES_MAX, PASTE_REST_WAIT, PASTE_WAIT, SEQUENCE_WAIT};

/// The mark of the end, as terminals write it: with `ESC [`, and with the C1 control in UTF-8 or alone.
const ENDS: [&[u8]; 3] = [b"\x1b[201~", b"\xc2\x9b201~", b"\x9b201~"];
const END_BYTES_MAX: usize = 7;

/// A paste whose end has not come yet, or a part of one.
///
/// Ctrl-C inside drops it. What is left of its burst is text still, and not keys: a shell could get them after us.
///
/// Invariant: it holds at most [`PASTE_BYTES_MAX`] and the bytes of an end.
#[derive(Debug, Default)]
pub(super) struct BracketedPaste {
    bytes: Vec<u8>,
    dropped_bytes: usize,
    is_cancelled: bool,
}

/// Result of [`BracketedPaste::take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PasteStep {
    More,
    End,
}

impl BracketedPaste {
    /// Takes a byte. Tells whether it completed the end.
    pub(super) fn take(&mut self, byte: u8) -> PasteStep {
        self.is_cancelled |= is_way_out(byte);
        self.bytes.push(byte);
        if byte == b'~'
            && let Some(end) = ENDS.iter().find(|end| self.bytes.ends_with(end))
        {
            self.bytes.truncate(self.bytes.len() - end.len());
            return PasteStep::End;
        }
        if self.bytes.len() > PASTE_BYTES_MAX + END_BYTES_MAX {
            self.bytes.remove(PASTE_BYTES_MAX);
            self.dropped_bytes += 1;
        }
        PasteStep::More
    }

    /// Takes a byte that comes late.
    pub(super) fn take_late(&mut self, byte: u8) -> LateStep {
        if self.take(byte) == PasteStep::End {
            return LateStep::PasteEnd;
        }
        if self.bytes.ends_with(PASTE_BEGIN) {
            self.bytes.truncate(self.bytes.len() - PASTE_BEGIN.len());
            return LateStep::PasteBegin;
        }
        LateStep::More
    }

    /// The silence that ends it.
    pub(super) fn silence(&self) -> Duration {
        self.end_silence().unwrap_or(PASTE_WAIT)
    }

    /// The silence that ends a cancelled one, or one with a part of an end.
    pub(super) fn end_silence(&self) -> Option<Duration> {
        match (self.is_cancelled, self.torn_end_bytes()) {
            (true, _) => Some(PASTE_REST_WAIT),
            (false, 0) => None,
            (false, _) => Some(SEQUENCE_WAIT),
        }
    }

    /// The text so far, behind its first bytes.
    pub(super) fn bytes_behind(&self, carried: usize) -> &[u8] {
        self.bytes.get(carried..).unwrap_or_default()
    }

    /// Whether a control key dropped it.
    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled
    }

    /// Removes the first bytes, if they began an end that did not follow.
    pub(super) fn drop_torn_end(&mut self, carried: usize) {
        let carried = carried.min(self.bytes.len());
        if matches!(self.bytes[..carried], [ESCAPE | 0x9b, ..] | [0xc2, 0x9b, ..]) {
            self.bytes.drain(..carried);
        }
    }

    /// Removes and returns the last bytes that have no meaning alone: a part of an end, or of a character.
    pub(super) fn take_torn(&mut self) -> Vec<u8> {
        let torn = match self.torn_end_bytes() {
            0 => torn_character_bytes(&self.bytes),
            torn => torn,
        };
        self.bytes.split_off(self.bytes.len() - torn)
    }

    /// Returns the event of the whole paste, or of a part of it behind another one.
    pub(super) fn into_event(mut self, has_end: bool, continues: bool) -> TermEvent {
        if self.is_cancelled {
            return TermEvent::PasteDropped;
        }
        let over = self.bytes.len().saturating_sub(PASTE_BYTES_MAX);
        self.bytes.truncate(PASTE_BYTES_MAX);
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        TermEvent::Paste { text, dropped_bytes: self.dropped_bytes + over, has_end, continues }
    }

    /// Bytes at the end of the text that begin an end.
    fn torn_end_bytes(&self) -> usize {
        let torn = |end: &&[u8]| (1..end.len()).rev().find(|&len| self.bytes.ends_with(&end[..len]));
        ENDS.iter().filter_map(torn).max().unwrap_or(0)
    }
}

impl From<Vec<u8>> for BracketedPaste {
    fn from(bytes: Vec<u8>) -> BracketedPaste {
        BracketedPaste { bytes, ..BracketedPaste::default() }
    }
}

/// Bytes at the end of `bytes` that begin a character of UTF-8.
fn torn_character_bytes(bytes: &[u8]) -> usize {
    let is_begun = |len: &usize| {
        let tail = &bytes[bytes.len() - len..];
        tail[0] >= 0xc2 && str::from_utf8(tail).is_err_and(|err| err.error_len().is_none())
    };
    (1..=bytes.len().min(3)).find(is_begun).unwrap_or(0)
}
