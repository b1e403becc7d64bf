//! Decoder of terminal input: keys, pastes and cursor reports. Pure: bytes and times in, events out.
//!
//! `terminput` knows the meaning of a whole sequence. This module finds its end, in any split of the bytes.
//!
//! No state needs a byte from outside to end. Each has a [deadline](Keys::deadline) and a limit in bytes, and Ctrl-C,
//! Ctrl-D, Ctrl-Z and Ctrl-\ end each. Terminals answer questions of earlier programs with strings (OSC, DCS, APC, PM,
//! SOS) and with mouse reports. These are swallowed whole.
//!
//! A silence may also be a pause of a slow link. So `late` still recognises the tail of what it has torn, for a bounded
//! time: no later part of a paste answers a question or is obeyed.

mod bracketed;
mod late;
mod swallowed;
#[cfg(test)]
mod tests;

use std::mem;
use std::time::Instant;

use terminput::{Event, KeyEvent};

use self::bracketed::{BracketedPaste, PasteStep};
use self::late::{Late, LateStep, Owed, is_several_keys};
use self::swallowed::{MouseReport, Swallow, SwallowStep};
use crate::client::limits::{ESCAPE_WAIT, KEY_BYTES_MAX, SEQUENCE_WAIT};

const ESCAPE: u8 = 0x1b;
const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

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
        /// Whether it goes on with the previous paste, which silence had ended.
        continues: bool,
    },
    /// A paste with Ctrl-C, Ctrl-D, Ctrl-Z or Ctrl-\ in it, which was dropped.
    PasteDropped,
    /// A cursor report (CPR): the column, counted from 0.
    CursorColumn(usize),
    /// The window got the focus, or lost it.
    Focus(bool),
}

/// Incremental decoder of terminal input.
///
/// Invariant: `sequence` holds the begun key, at most [`KEY_BYTES_MAX`].
#[derive(Debug, Default)]
pub(super) struct Keys {
    state: State,
    sequence: Vec<u8>,
    owed: Owed,
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
    /// In what may be the tail of something that silence ended.
    Late(Late),
}

impl Keys {
    /// Parses bytes that came at `now`, and passes each event to `emit`.
    pub(super) fn parse(&mut self, bytes: &[u8], now: Instant, emit: &mut impl FnMut(TermEvent)) {
        self.at = Some(now);
        for &byte in bytes {
            self.take(byte, now, emit);
        }
        if matches!(&self.state, State::Late(late) if late.is_report()) {
            self.settle(now, emit);
        }
    }

    /// Records whether a question waits for an answer: what may be more of a paste must not answer it.
    pub(super) fn set_asked(&mut self, is_asked: bool) {
        self.owed.set_asked(is_asked);
    }

    /// The time for [`Keys::on_time`], unless more bytes come before; `None` between two keys.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let at = self.at?;
        match &self.state {
            State::Ground => None,
            State::Escape => Some(at + ESCAPE_WAIT),
            State::Paste(paste) => Some(at + paste.silence()),
            State::Late(late) => Some(at + late.silence()),
            State::Swallow(swallow) => Some((at + SEQUENCE_WAIT).min(swallow.deadline())),
            _ => Some(at + SEQUENCE_WAIT),
        }
    }

    /// Ends what was begun, if its deadline has passed. A lone escape byte is the Escape key, and a paste is complete.
    /// Anything else is dropped. The caller has read all bytes that came.
    pub(super) fn on_time(&mut self, now: Instant, emit: &mut impl FnMut(TermEvent)) {
        // Late bytes may turn out to begin a key, whose deadline has passed, too.
        while self.deadline().is_some_and(|at| at <= now) {
            match mem::take(&mut self.state) {
                State::Escape => {
                    self.finish(emit);
                    self.owed.sequence(vec![ESCAPE], now);
                }
                State::Paste(mut paste) => {
                    let torn = paste.take_torn();
                    emit(paste.into_event(false, false));
                    self.owed.paste_end(torn, now);
                }
                State::Swallow(string) if string.is_string() => self.owed.string(string, now),
                State::Csi => self.owed.sequence(self.sequence.clone(), now),
                late @ State::Late(_) => {
                    self.state = late;
                    self.settle(now, emit);
                    continue;
                }
                _ => {}
            }
            self.reset();
        }
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
                    self.owed.clear();
                    emit(paste.into_event(true, false));
                }
            }
            // A key that was typed just before does not make it a paste.
            State::Late(late) if is_way_out(byte) && late.is_one_key() => {
                self.settle(now, emit);
                self.take(byte, now, emit);
            }
            State::Late(late) => {
                let step = late.take(byte, now);
                self.follow_late(step, now, emit);
            }
        }
    }

    fn follow_late(&mut self, step: LateStep, now: Instant, emit: &mut impl FnMut(TermEvent)) {
        match step {
            LateStep::More => {}
            LateStep::PasteEnd => {
                if let State::Late(Late::Paste { rest, .. }) = mem::take(&mut self.state)
                    && (!rest.bytes_behind(0).is_empty() || rest.is_cancelled())
                {
                    emit(rest.into_event(true, true));
                }
                self.owed.clear();
            }
            LateStep::PasteBegin => {
                if matches!(self.state, State::Late(Late::Paste { .. })) {
                    self.settle(now, emit);
                }
                self.reset();
                self.state = State::Paste(BracketedPaste::default());
            }
            LateStep::Swallowed => self.reset(),
            LateStep::Swallow(string) => {
                self.reset();
                self.state = State::Swallow(string);
            }
            LateStep::Sequence(sequence) => {
                self.sequence = sequence;
                self.finish(emit);
            }
            LateStep::Typed => self.settle(now, emit),
        }
    }

    /// Decides about late bytes of which no more follows: they are a part of a paste, or typed.
    fn settle(&mut self, now: Instant, emit: &mut impl FnMut(TermEvent)) {
        let State::Late(late) = mem::take(&mut self.state) else { return };
        let typed = match late {
            Late::Paste { rest, .. } if rest.is_cancelled() => return emit(rest.into_event(false, true)),
            Late::Paste { mut rest, carried, .. } if is_several_keys(rest.bytes_behind(carried)) => {
                rest.drop_torn_end(carried);
                let torn = rest.take_torn();
                emit(rest.into_event(false, true));
                return self.owed.paste_end(torn, now);
            }
            Late::Paste { rest, carried, .. } => rest.bytes_behind(carried).to_vec(),
            Late::Answer { held, .. } => held,
        };
        let mut keys = Keys::default();
        keys.parse(&typed, now, emit);
        (self.state, self.sequence) = (keys.state, keys.sequence);
    }

    fn begin(&mut self, byte: u8, now: Instant, emit: &mut impl FnMut(TermEvent)) {
        if let Some(late) = self.owed.begin(byte, now) {
            self.state = State::Late(late);
            return self.take(byte, now, emit);
        }
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
            b'[' | b'O' | b']' | b'P' | b'X' | b'^' | b'_' => {
                self.begin_control(byte, now);
                if let State::Swallow(string) = &mut self.state {
                    string.may_be_alt(byte);
                }
            }
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
                } else if self.sequence == PASTE_END {
                    // The end of a paste, torn behind the pause that ended the paste.
                    self.owed.clear();
                    self.reset();
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
        } else {
            match Event::parse_from(&self.sequence) {
                Ok(Some(Event::Key(key))) => emit(TermEvent::Key(key)),
                Ok(Some(Event::FocusGained)) => emit(TermEvent::Focus(true)),
                Ok(Some(Event::FocusLost)) => emit(TermEvent::Focus(false)),
                _ => {}
            }
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
