//! The paste under way. Pure.

use std::time::Duration;

use super::{TermEvent, is_way_out};
use crate::client::limits::{PASTE_BYTES_MAX, PASTE_REST_WAIT, PASTE_WAIT, SEQUENCE_WAIT};

/// The mark of the end, as terminals write it: with `ESC [`, and with the C1 control in UTF-8 or alone.
const ENDS: [&[u8]; 3] = [b"\x1b[201~", b"\xc2\x9b201~", b"\x9b201~"];
const END_BYTES_MAX: usize = 7;

/// A paste whose end has not come yet.
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

    /// The silence that ends it.
    pub(super) fn silence(&self) -> Duration {
        match (self.is_cancelled, self.torn_end_bytes()) {
            (true, _) => PASTE_REST_WAIT,
            (false, 0) => PASTE_WAIT,
            (false, _) => SEQUENCE_WAIT,
        }
    }

    /// Returns the event of a paste whose end came.
    pub(super) fn end(self) -> TermEvent {
        self.into_event(true)
    }

    /// Returns the event of a paste that silence ended, without the first bytes of an end.
    pub(super) fn end_in_silence(mut self) -> TermEvent {
        self.bytes.truncate(self.bytes.len() - self.torn_end_bytes());
        self.into_event(false)
    }

    fn into_event(mut self, has_end: bool) -> TermEvent {
        if self.is_cancelled {
            return TermEvent::PasteDropped;
        }
        let over = self.bytes.len().saturating_sub(PASTE_BYTES_MAX);
        self.bytes.truncate(PASTE_BYTES_MAX);
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        TermEvent::Paste { text, dropped_bytes: self.dropped_bytes + over, has_end }
    }

    /// Bytes at the end of the text that begin an end.
    fn torn_end_bytes(&self) -> usize {
        let torn = |end: &&[u8]| (1..end.len()).rev().find(|&len| self.bytes.ends_with(&end[..len]));
        ENDS.iter().filter_map(torn).max().unwrap_or(0)
    }
}
