//! The tail that a slow link still owes after a silence: the end of a paste, or the rest of a sequence or of an answer.
//! Pure.
//!
//! A silence ends each state of the decoder, because nothing may need a byte from outside to end. But the link may only
//! have paused. So for a bounded time, the next bytes are held for a moment and are looked at as a whole:
//!
//! - While the end of a paste is owed, several keys that arrive together, text or Enter among them, are more of the
//!   paste. A key that arrives alone is typed: after 50 ms, or after 300 ms if it is Enter or may answer a question.
//!   The end of the paste makes the tail paste, too, however short it is.
//! - While the rest of a sequence or an answer is owed, bytes that complete it in one burst are that rest. Others are
//!   typed.
//!
//! Ctrl-C, Ctrl-D, Ctrl-Z and Ctrl-\ are never held.

use std::time::{Duration, Instant};

use terminput::{KeyCode, KeyModifiers};

use super::bracketed::BracketedPaste;
use super::swallowed::{Swallow, SwallowStep};
use super::{ESCAPE, Keys, PASTE_BEGIN, TermEvent, is_way_out};
use crate::client::limits::{
    ALONE_WAIT, KEY_BYTES_MAX, PASTE_END_WAIT, PASTE_OPEN_MAX, PASTE_WAIT, REST_WAIT, SEQUENCE_WAIT,
};

/// A tail that may still come.
#[derive(Debug, Default)]
pub(super) struct Owed {
    tail: Option<Tail>,
    /// The last bytes before the silence that have no meaning alone: a part of a character, of an end of a paste, or of
    /// a sequence. At most [`KEY_BYTES_MAX`].
    carry: Vec<u8>,
    /// Whether the next key may answer a question.
    is_asked: bool,
}

#[derive(Clone, Debug)]
enum Tail {
    /// The end of a paste, awaited until the first time. Each part of the paste moves it, up to the second.
    Paste(Instant, Instant),
    /// The rest of a sequence, awaited until then.
    Sequence(Instant),
    /// The rest of a string of the terminal, awaited until then.
    String(Instant, Swallow),
}

/// Bytes that are held until it is known what they are.
#[derive(Debug)]
pub(super) enum Late {
    /// More of a paste, or a key.
    Paste {
        rest: BracketedPaste,
        /// Bytes at the start that came before the silence.
        carried: usize,
        /// Whether a key may answer a question.
        is_asked: bool,
    },
    /// The rest of a sequence or of a string, or keys.
    Answer {
        /// The part before the silence; empty for a string.
        begun: Vec<u8>,
        held: Vec<u8>,
        /// The string, if it is one.
        string: Option<Swallow>,
        since: Instant,
    },
}

/// Meaning of a byte in [`Late`].
#[derive(Debug)]
pub(super) enum LateStep {
    /// It is held.
    More,
    /// It ended the paste.
    PasteEnd,
    /// It completed the mark of another paste.
    PasteBegin,
    /// It completed the rest of a string, which is swallowed.
    Swallowed,
    /// The bytes are the rest of this string, which goes on.
    Swallow(Swallow),
    /// It completed this sequence.
    Sequence(Vec<u8>),
    /// The bytes, this one included, are typed.
    Typed,
}

impl Owed {
    /// Records that silence ended a paste, or a part of one. `carry` are its last bytes, of no meaning alone.
    pub(super) fn paste_end(&mut self, carry: Vec<u8>, now: Instant) {
        let limit = match self.tail {
            Some(Tail::Paste(_, limit)) => limit,
            _ => now + PASTE_OPEN_MAX,
        };
        self.tail = Some(Tail::Paste(limit.min(now + PASTE_END_WAIT), limit));
        self.carry = carry;
    }

    /// Records that silence cut a sequence off behind `begun`.
    pub(super) fn sequence(&mut self, begun: Vec<u8>, now: Instant) {
        // A paste that is owed its end matters more.
        if !matches!(self.tail, Some(Tail::Paste(..))) {
            self.tail = Some(Tail::Sequence(now + REST_WAIT));
            self.carry = begun;
        }
    }

    /// Records that silence cut a string off.
    pub(super) fn string(&mut self, string: Swallow, now: Instant) {
        if !matches!(self.tail, Some(Tail::Paste(..))) {
            self.tail = Some(Tail::String(now + REST_WAIT, string));
            self.carry.clear();
        }
    }

    /// Records whether a question waits for an answer.
    pub(super) fn set_asked(&mut self, is_asked: bool) {
        self.is_asked = is_asked;
    }

    /// Records that nothing is owed.
    pub(super) fn clear(&mut self) {
        *self = Owed { is_asked: self.is_asked, ..Owed::default() };
    }

    /// Whether the end of a paste is owed.
    pub(super) fn is_paste(&self) -> bool {
        matches!(self.tail, Some(Tail::Paste(..)))
    }

    /// Begins to hold what comes now, from `byte` on, if it may be the tail.
    pub(super) fn begin(&mut self, byte: u8, now: Instant) -> Option<Late> {
        let until = match self.tail.as_ref()? {
            Tail::Paste(until, _) | Tail::Sequence(until) | Tail::String(until, _) => *until,
        };
        if is_way_out(byte) {
            return None;
        }
        if now >= until {
            self.clear();
            return None;
        }
        if self.is_paste() {
            let carry = std::mem::take(&mut self.carry);
            let is_asked = self.is_asked;
            return Some(Late::Paste { carried: carry.len(), rest: BracketedPaste::from(carry), is_asked });
        }
        let (begun, tail) = (std::mem::take(&mut self.carry), self.tail.take());
        let string = match tail {
            Some(Tail::String(_, string)) => Some(string),
            _ if begun == [ESCAPE] => match byte {
                b']' | b'P' | b'X' | b'^' | b'_' => Some(Swallow::string(now)),
                b'[' => None,
                _ => return None,
            },
            _ => None,
        };
        Some(Late::Answer { begun, held: Vec::new(), string, since: now })
    }
}

impl Late {
    pub(super) fn take(&mut self, byte: u8, now: Instant) -> LateStep {
        match self {
            Late::Paste { rest, .. } => rest.take_late(byte),
            Late::Answer { begun, held, string, since } => {
                held.push(byte);
                // The byte that makes a string of an escape byte is no part of the string.
                let is_introducer = *begun == [ESCAPE] && held.len() == 1;
                match string {
                    _ if is_introducer => LateStep::More,
                    // No answer holds an Enter.
                    _ if byte == b'\r' => LateStep::Typed,
                    Some(string) => match string.take(byte) {
                        SwallowStep::End => LateStep::Swallowed,
                        SwallowStep::Restart | SwallowStep::Escaped => LateStep::Typed,
                        // No hand is so fast.
                        SwallowStep::More if held.len() > KEY_BYTES_MAX && now < *since + SEQUENCE_WAIT => {
                            LateStep::Swallow(string.clone())
                        }
                        SwallowStep::More if held.len() > KEY_BYTES_MAX => LateStep::Typed,
                        SwallowStep::More => LateStep::More,
                    },
                    None => {
                        let whole = [&begun[..], &held[..]].concat();
                        match byte {
                            _ if whole == PASTE_BEGIN => LateStep::PasteBegin,
                            0x20..=0x3f if whole.len() < KEY_BYTES_MAX => LateStep::More,
                            // A letter alone was typed.
                            0x40..=0x7e if held.len() > 1 => LateStep::Sequence(whole),
                            _ => LateStep::Typed,
                        }
                    }
                }
            }
        }
    }

    /// The silence that ends it.
    pub(super) fn silence(&self) -> Duration {
        match self {
            Late::Paste { rest, carried, is_asked } => {
                let bytes = rest.bytes_behind(*carried);
                let may_wait = *is_asked || matches!(bytes, [b'\r' | b'\n']) || is_several_keys(bytes);
                rest.end_silence().unwrap_or(if may_wait { PASTE_WAIT } else { ALONE_WAIT })
            }
            Late::Answer { held, .. } => {
                if held.len() > 1 {
                    SEQUENCE_WAIT
                } else {
                    ALONE_WAIT
                }
            }
        }
    }

    /// Whether the held bytes are no more than a key so far.
    pub(super) fn is_one_key(&self) -> bool {
        match self {
            Late::Paste { rest, carried, .. } => !rest.is_cancelled() && !is_several_keys(rest.bytes_behind(*carried)),
            Late::Answer { .. } => false,
        }
    }

    /// Whether the held bytes are a single cursor report. It has a waiting reader, and no person types it.
    pub(super) fn is_report(&self) -> bool {
        match self {
            Late::Paste { rest, carried, .. } => super::reported_column(rest.bytes_behind(*carried)).is_some(),
            Late::Answer { .. } => false,
        }
    }
}

/// Whether these bytes are more than a person types at once: several keys, and text or Enter among them. (Keys without
/// text repeat faster than a slow link passes them on.)
pub(super) fn is_several_keys(bytes: &[u8]) -> bool {
    let mut events = 0;
    let mut texts = 0;
    Keys::default().parse(bytes, Instant::now(), &mut |event| {
        events += 1;
        texts += usize::from(is_text(&event));
    });
    events > 1 && texts > 0
}

fn is_text(event: &TermEvent) -> bool {
    match event {
        TermEvent::Key(key) => {
            let is_modified = key.modifiers.intersects(KeyModifiers::CTRL | KeyModifiers::ALT);
            match key.code {
                KeyCode::Char('j' | 'm') => true,
                KeyCode::Char(_) => !is_modified,
                KeyCode::Enter | KeyCode::Tab => true,
                _ => false,
            }
        }
        _ => false,
    }
}
