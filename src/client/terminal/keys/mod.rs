//! Decoder of terminal input: keys, pastes and cursor reports. Pure: bytes and times in, events out.
//!
//! `terminput` knows the meaning of a whole sequence. This module finds its end, in any split of the bytes.
//!
//! No state needs a byte from outside to end. Each has a [deadline](Keys::deadline) and a limit in bytes, and Ctrl-C,
//! Ctrl-D, Ctrl-Z and Ctrl-\ end each. Terminals answer questions of earlier programs with strings (OSC, DCS, APC, PM,
//! SOS) and with mouse reports. These are swallowed whole.

mod bracketed;
mod swallowed;
#[cfg(test)]
mod tests;

use std::mem;
use std::time::Instant;

use terminput::{Event, KeyEvent};

use self::bracketed::{BracketedPaste, PasteStep};
use self::swallowed::{MouseReport, Swallow, SwallowStep};
use crate::client::limits::{ESCAPE_WAIT, KEY_BYTES_MAX, SEQUENCE_WAIT};

const ESCAPE: u8 = 0x1b;
const PASTE_BEGIN: &[u8] = b"\x1b[200~";

/// A C1 control is this much above the second byte of its escape sequence: U+009B for `ESC [`.
const C1_OFFSET: u8 = 0x40;

/// An event of the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TermEvent {
    /// A key.
    Key(KeyEvent),
    /// A bracketed paste.
    Paste {
        /// The text, as the terminal sent it.
        text: String,
        /// Bytes beyond [`PASTE_BYTES_MAX`](crate::client::limits::PASTE_BYTES_MAX) that were dropped.
        dropped_bytes: usize,
        /// Whether the terminal marked its end. Otherwise silence ended it.
        has_end: bool,
    },
    /// A paste with Ctrl-C, Ctrl-D, Ctrl-Z or Ctrl-\ in it, which was dropped.
    PasteDropped,
    /// A cursor report (CPR): the column, counted from 0.
    CursorColumn(usize),
}

/// Incremental decoder of terminal input.
///
/// Invariant: `sequence` holds the begun key, at most [`KEY_BYTES_MAX`].
#[derive(Debug, Default)]
pub(super) struct Keys {
    state: State,
    sequence: Vec<u8>,
    /// Time of the last byte.
    at: Option<Instant>,
}

/// Context of the next byte.
#[derive(Debug, Default)]
enum State {
    /// Start of a key.
    #[default]
    Ground,
    /// After a lone escape byte.
    Escape,
    /// In `ESC [`: parameters and a final byte follow.
    Csi,
    /// In `ESC O`: a final byte follows. Old terminals put parameters before it.
    Ss3,
    /// After the Linux console's `ESC [ [`: one byte follows.
    Last,
    /// In a multi-byte character: so many bytes follow.
    Character(usize),
    /// In a mouse report that has no final byte.
    Mouse(MouseReport),
    /// In a string of the terminal, or in an overlong key.
    Swallow(Swallow),
    /// In a paste.
    Paste(BracketedPaste),
}

impl Keys {
    /// Parses bytes that came at `now`, and passes each event to `emit`.
    pub(super) fn parse(&mut self, bytes: &[u8], now: Instant, emit: &mut impl FnMut(TermEvent)) {
        self.at = Some(now);
        for &byte in bytes {
            self.take(byte, now, emit);
        }
    }

    /// The time for [`Keys::on_time`], unless more bytes come before; `None` between two keys.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let at = self.at?;
        match &self.state {
            State::Ground => None,
            State::Escape => Some(at + ESCAPE_WAIT),
            State::Paste(paste) => Some(at + paste.silence()),
            State::Swallow(swallow) => Some((at + SEQUENCE_WAIT).min(swallow.deadline())),
            _ => Some(at + SEQUENCE_WAIT),
        }
    }

    /// Ends what was begun, if its deadline has passed. A lone escape byte is the Escape key, and a paste is complete.
    /// Anything else is dropped. The caller has read all bytes that came.
    pub(super) fn on_time(&mut self, now: Instant, emit: &mut impl FnMut(TermEvent)) {
        if self.deadline().is_none_or(|at| now < at) {
            return;
        }
        match mem::take(&mut self.state) {
            State::Escape => return self.finish(emit),
            State::Paste(paste) => emit(paste.end_in_silence()),
            _ => {}
        }
        self.reset();
    }

    fn take(&mut self, byte: u8, now: Instant, emit: &mut impl FnMut(TermEvent)) {
        match &mut self.state {
            State::Ground => self.begin(byte, now, emit),
            State::Escape => self.follow_escape(byte, now, emit),
            State::Csi => self.follow_csi(byte, now, emit),
            State::Ss3 if matches!(byte, b'0'..=b'9' | b';') => self.push_parameter(byte, now),
            State::Ss3 | State::Last if (0x20..0x7f).contains(&byte) => {
                self.sequence.push(byte);
                self.finish(emit);
            }
            State::Character(missing) if byte & 0xc0 == 0x80 => {
                *missing -= 1;
                let is_whole = *missing == 0;
                self.sequence.push(byte);
                if is_whole {
                    self.finish_character(now, emit);
                }
            }
            State::Ss3 | State::Last | State::Character(_) => self.restart_with(byte, now, emit),
            State::Mouse(report) => match report.take(byte) {
                SwallowStep::More => {}
                SwallowStep::End => self.reset(),
                SwallowStep::Restart => self.restart_with(byte, now, emit),
                SwallowStep::Escaped => unreachable!("a mouse report holds no escape byte"),
            },
            State::Swallow(swallow) => match swallow.take(byte) {
                SwallowStep::More => {}
                SwallowStep::End => self.reset(),
                SwallowStep::Restart => self.restart_with(byte, now, emit),
                SwallowStep::Escaped => {
                    self.restart_with(ESCAPE, now, emit);
                    self.take(byte, now, emit);
                }
            },
            State::Paste(paste) => {
                if paste.take(byte) == PasteStep::End
                    && let State::Paste(paste) = mem::take(&mut self.state)
                {
                    emit(paste.end());
                }
            }
        }
    }

    fn begin(&mut self, byte: u8, now: Instant, emit: &mut impl FnMut(TermEvent)) {
        self.sequence.push(byte);
        match byte {
            ESCAPE => self.state = State::Escape,
            0x00..=0x7f => self.finish(emit),
            _ => self.begin_character(byte, now),
        }
    }

    fn begin_character(&mut self, lead: u8, now: Instant) {
        match lead {
            0xc2..=0xdf => self.state = State::Character(1),
            0xe0..=0xef => self.state = State::Character(2),
            0xf0..=0xf4 => self.state = State::Character(3),
            // A terminal that does not encode its C1 controls.
            0x80..=0x9f => self.begin_control(lead - C1_OFFSET, now),
            // Not a lead byte of UTF-8.
            _ => self.reset(),
        }
    }

    /// Begins the sequence that `ESC` and `second` begin, if they do.
    fn begin_control(&mut self, second: u8, now: Instant) {
        self.sequence.clear();
        self.sequence.extend([ESCAPE, second]);
        self.state = match second {
            b'[' => State::Csi,
            b'O' => State::Ss3,
            b']' | b'P' | b'X' | b'^' | b'_' => State::Swallow(Swallow::string(now)),
            _ => return self.reset(),
        };
    }

    fn follow_escape(&mut self, byte: u8, now: Instant, emit: &mut impl FnMut(TermEvent)) {
        match byte {
            // The first byte was the Escape key. The second one may begin a sequence, or is pressed in need.
            _ if byte == ESCAPE || is_way_out(byte) => {
                self.finish(emit);
                self.begin(byte, now, emit);
            }
            b'[' | b'O' | b']' | b'P' | b'X' | b'^' | b'_' => self.begin_control(byte, now),
            _ => {
                self.sequence.push(byte);
                if byte.is_ascii() { self.finish(emit) } else { self.begin_character(byte, now) }
            }
        }
    }

    fn follow_csi(&mut self, byte: u8, now: Instant, emit: &mut impl FnMut(TermEvent)) {
        let is_first = self.sequence.len() == 2;
        match byte {
            b'[' if is_first => {
                self.sequence.push(byte);
                self.state = State::Last;
            }
            b'M' if is_first => self.state = State::Mouse(MouseReport::default()),
            0x20..=0x3f => self.push_parameter(byte, now),
            0x40..=0x7e => {
                self.sequence.push(byte);
                if self.sequence == PASTE_BEGIN {
                    self.reset();
                    self.state = State::Paste(BracketedPaste::default());
                } else {
                    self.finish(emit);
                }
            }
            _ => self.restart_with(byte, now, emit),
        }
    }

    fn push_parameter(&mut self, byte: u8, now: Instant) {
        self.sequence.push(byte);
        if self.sequence.len() >= KEY_BYTES_MAX {
            self.reset();
            self.state = State::Swallow(Swallow::key(now));
        }
    }

    /// Emits a whole character, unless it is a control that begins a sequence.
    fn finish_character(&mut self, now: Instant, emit: &mut impl FnMut(TermEvent)) {
        match *self.sequence {
            [.., 0xc2, second @ 0x80..=0x9f] => self.begin_control(second - C1_OFFSET, now),
            _ => self.finish(emit),
        }
    }

    /// Emits the event of a whole sequence, if it has one.
    fn finish(&mut self, emit: &mut impl FnMut(TermEvent)) {
        if let Some(column) = reported_column(&self.sequence) {
            emit(TermEvent::CursorColumn(column));
        } else if let Ok(Some(Event::Key(key))) = Event::parse_from(&self.sequence) {
            emit(TermEvent::Key(key));
        }
        self.reset();
    }

    /// Drops an invalid sequence. `byte` begins a new key.
    fn restart_with(&mut self, byte: u8, now: Instant, emit: &mut impl FnMut(TermEvent)) {
        self.reset();
        self.begin(byte, now, emit);
    }

    fn reset(&mut self) {
        self.state = State::Ground;
        self.sequence.clear();
    }
}

/// Whether `byte` is Ctrl-C, Ctrl-D, Ctrl-Z or Ctrl-\, which a user expects to work at any time.
fn is_way_out(byte: u8) -> bool {
    matches!(byte, 0x03 | 0x04 | 0x1a | 0x1c)
}

/// Returns the column of `ESC [ ROW ; COLUMN R`. (F3 with a modifier looks the same and is not bound.)
fn reported_column(sequence: &[u8]) -> Option<usize> {
    let text = str::from_utf8(sequence).ok()?.strip_prefix("\x1b[")?.strip_suffix('R')?;
    let (row, column) = text.split_once(';')?;
    row.parse::<u16>().ok()?;
    Some(usize::from(column.parse::<u16>().ok()?.saturating_sub(1)))
}
