//! Input that is no key and is swallowed: strings of the terminal, overlong keys, mouse reports. Pure.

use std::time::Instant;

use super::{ESCAPE, is_way_out};
use crate::client::limits::{SWALLOW_BYTES_MAX, SWALLOW_WAIT_MAX};

const BEL: u8 = 0x07;
/// Cancels a sequence.
const CAN: u8 = 0x18;
/// The end of a string (ST) as a C1 control. In UTF-8, 0xc2 precedes it.
const ST: u8 = 0x9c;

/// A string of the terminal, or a key with too many parameters.
#[derive(Clone, Debug)]
pub(super) struct Swallow {
    begun_at: Instant,
    bytes: usize,
    previous: u8,
    is_string: bool,
    /// The second byte of the escape sequence that began it, if that may also have been a key with Alt.
    alt: u8,
}

/// Characters of `ESC [ M`, the oldest form of a mouse report: a button, a column and a row.
#[derive(Debug)]
pub(super) struct MouseReport {
    missing: u8,
    /// Whether the last byte may begin a character of two bytes.
    may_continue: bool,
}

/// Meaning of a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SwallowStep {
    /// It was swallowed, and more may follow.
    More,
    /// It was swallowed, and was the last.
    End,
    /// It is the first of a new key.
    Restart,
    /// It follows an escape byte that did not end the string but begins a new key.
    Escaped,
}

impl Swallow {
    /// A string, which ends with ST or BEL.
    pub(super) fn string(now: Instant) -> Swallow {
        Swallow { begun_at: now, bytes: 0, previous: 0, is_string: true, alt: 0 }
    }

    /// Records that `ESC` and `second` began it: perhaps a key with Alt, and what follows is typed.
    pub(super) fn may_be_alt(&mut self, second: u8) {
        self.alt = second;
    }

    /// Whether it is a string, and no key.
    pub(super) fn is_string(&self) -> bool {
        self.is_string
    }

    /// The rest of a key, which ends with its final byte.
    pub(super) fn key(now: Instant) -> Swallow {
        Swallow { is_string: false, ..Swallow::string(now) }
    }

    /// The time at which it ends, though more bytes come.
    pub(super) fn deadline(&self) -> Instant {
        self.begun_at + SWALLOW_WAIT_MAX
    }

    pub(super) fn take(&mut self, byte: u8) -> SwallowStep {
        let previous = std::mem::replace(&mut self.previous, byte);
        self.bytes += 1;
        if is_way_out(byte) || self.bytes > SWALLOW_BYTES_MAX {
            return SwallowStep::Restart;
        }
        if !self.is_string {
            return match byte {
                0x20..=0x3f => SwallowStep::More,
                0x40..=0x7e => SwallowStep::End,
                _ => SwallowStep::Restart,
            };
        }
        // No answer begins with such a byte (OSC: its number, or the letter of a title; DCS: its parameters).
        let is_typed = match self.alt {
            _ if self.bytes > 1 => false,
            b']' => byte.is_ascii_graphic() && !matches!(byte, b'0'..=b'9' | b'l' | b'L' | b';'),
            b'P' => byte.is_ascii_alphabetic(),
            _ => false,
        };
        match byte {
            _ if is_typed => SwallowStep::Restart,
            // No answer holds an Enter. Behind swallowed text it would send half of what was typed.
            b'\r' if self.bytes == 1 => SwallowStep::Restart,
            b'\r' => SwallowStep::End,
            b'\\' if previous == ESCAPE => SwallowStep::End,
            _ if previous == ESCAPE => SwallowStep::Escaped,
            BEL | CAN => SwallowStep::End,
            // Elsewhere it is a part of a character: a title may be in the string.
            ST if previous == 0xc2 || previous.is_ascii() => SwallowStep::End,
            _ => SwallowStep::More,
        }
    }
}

impl Default for MouseReport {
    fn default() -> MouseReport {
        MouseReport { missing: 3, may_continue: false }
    }
}

impl MouseReport {
    pub(super) fn take(&mut self, byte: u8) -> SwallowStep {
        let is_continuation = self.may_continue && byte & 0xc0 == 0x80;
        self.may_continue = !is_continuation && byte >= 0xc2;
        if byte < 0x20 || (self.missing == 0 && !is_continuation) {
            return SwallowStep::Restart;
        }
        if !is_continuation {
            self.missing -= 1;
        }
        if self.missing == 0 && !self.may_continue { SwallowStep::End } else { SwallowStep::More }
    }
}
