//! Parser of terminal input: keys, pastes and cursor reports. Pure: bytes in, events out.
//!
//! `terminput` knows the meaning of a whole sequence. This module finds its end, in any split of the bytes.

use std::mem;

use terminput::{Event, KeyEvent};

use crate::client::limits::{KEY_BYTES_MAX, PASTE_BYTES_MAX};

const ESCAPE: u8 = 0x1b;
const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// An event of the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TermEvent {
    /// A key.
    Key(KeyEvent),
    /// A bracketed paste.
    Paste {
        /// The text, as the terminal sent it.
        text: String,
        /// Bytes beyond [`PASTE_BYTES_MAX`] that were dropped.
        dropped_bytes: usize,
    },
    /// A cursor report (CPR): the column, counted from 0.
    CursorColumn(usize),
}

/// Incremental parser of terminal input.
///
/// Invariant: `sequence` holds the begun sequence, at most [`KEY_BYTES_MAX`]. A paste holds at most
/// [`PASTE_BYTES_MAX`].
#[derive(Debug, Default)]
pub(super) struct Keys {
    state: ParseState,
    sequence: Vec<u8>,
}

/// Context of the next byte.
#[derive(Debug, Default)]
enum ParseState {
    /// Start of a key.
    #[default]
    Ground,
    /// After a lone escape byte.
    Escape,
    /// In `ESC [`: parameters and a final byte follow.
    Csi,
    /// After `ESC O`, or the Linux console's `ESC [ [`: one byte follows.
    Last,
    /// In a multi-byte character: so many bytes follow.
    Character(usize),
    /// In a paste.
    Paste(Paste),
}

#[derive(Debug, Default)]
struct Paste {
    bytes: Vec<u8>,
    dropped_bytes: usize,
    /// Bytes of [`PASTE_END`] matched so far.
    matched: usize,
}

impl Keys {
    /// Parses bytes and passes each event to `emit`.
    pub(super) fn parse(&mut self, bytes: &[u8], emit: &mut impl FnMut(TermEvent)) {
        for &byte in bytes {
            self.take(byte, emit);
        }
    }

    /// Whether the last byte is a lone escape: if nothing follows it soon, it is the Escape key.
    pub(super) fn is_at_escape(&self) -> bool {
        matches!(self.state, ParseState::Escape)
    }

    /// Takes a lone escape byte for the Escape key.
    pub(super) fn on_timeout(&mut self, emit: &mut impl FnMut(TermEvent)) {
        if self.is_at_escape() {
            self.finish(emit);
        }
    }

    fn take(&mut self, byte: u8, emit: &mut impl FnMut(TermEvent)) {
        match self.state {
            ParseState::Ground => self.begin(byte, emit),
            ParseState::Escape => self.follow_escape(byte, emit),
            ParseState::Csi => self.follow_csi(byte, emit),
            ParseState::Last if (0x20..0x7f).contains(&byte) => {
                self.sequence.push(byte);
                self.finish(emit);
            }
            ParseState::Character(missing) if byte & 0xc0 == 0x80 => {
                self.sequence.push(byte);
                self.state = ParseState::Character(missing - 1);
                if missing == 1 {
                    self.finish(emit);
                }
            }
            ParseState::Last | ParseState::Character(_) => self.restart_with(byte, emit),
            ParseState::Paste(ref mut paste) => {
                if paste.take(byte) {
                    let Paste { bytes, dropped_bytes, .. } = mem::take(paste);
                    self.state = ParseState::Ground;
                    emit(TermEvent::Paste { text: String::from_utf8_lossy(&bytes).into_owned(), dropped_bytes });
                }
            }
        }
    }

    fn begin(&mut self, byte: u8, emit: &mut impl FnMut(TermEvent)) {
        self.sequence.push(byte);
        match byte {
            ESCAPE => self.state = ParseState::Escape,
            0x00..=0x7f => self.finish(emit),
            _ => self.begin_character(byte),
        }
    }

    fn begin_character(&mut self, lead: u8) {
        match lead {
            0xc2..=0xdf => self.state = ParseState::Character(1),
            0xe0..=0xef => self.state = ParseState::Character(2),
            0xf0..=0xf4 => self.state = ParseState::Character(3),
            // Not a lead byte of UTF-8.
            _ => self.reset(),
        }
    }

    fn follow_escape(&mut self, byte: u8, emit: &mut impl FnMut(TermEvent)) {
        if byte == ESCAPE {
            // The first byte was the Escape key. The second one may begin a sequence.
            self.finish(emit);
            return self.begin(byte, emit);
        }
        self.sequence.push(byte);
        match byte {
            b'[' => self.state = ParseState::Csi,
            b'O' => self.state = ParseState::Last,
            0x00..=0x7f => self.finish(emit),
            _ => self.begin_character(byte),
        }
    }

    fn follow_csi(&mut self, byte: u8, emit: &mut impl FnMut(TermEvent)) {
        match byte {
            b'[' if self.sequence.len() == 2 => {
                self.sequence.push(byte);
                self.state = ParseState::Last;
            }
            // An overlong sequence is read to its end and ignored.
            0x20..=0x3f if self.sequence.len() >= KEY_BYTES_MAX => {}
            0x20..=0x3f => self.sequence.push(byte),
            0x40..=0x7e if self.sequence.len() >= KEY_BYTES_MAX => self.reset(),
            0x40..=0x7e => {
                self.sequence.push(byte);
                if self.sequence == PASTE_BEGIN {
                    self.reset();
                    self.state = ParseState::Paste(Paste::default());
                } else {
                    self.finish(emit);
                }
            }
            _ => self.restart_with(byte, emit),
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
    fn restart_with(&mut self, byte: u8, emit: &mut impl FnMut(TermEvent)) {
        self.reset();
        self.begin(byte, emit);
    }

    fn reset(&mut self) {
        self.state = ParseState::Ground;
        self.sequence.clear();
    }
}

impl Paste {
    /// Takes a byte. Returns whether it completed [`PASTE_END`].
    fn take(&mut self, byte: u8) -> bool {
        if byte == PASTE_END[self.matched] {
            self.matched += 1;
            return self.matched == PASTE_END.len();
        }
        // The first byte of the end occurs in it only once, so no partial match can begin inside another.
        let matched = mem::take(&mut self.matched);
        for &byte in &PASTE_END[..matched] {
            self.keep(byte);
        }
        if byte == PASTE_END[0] {
            self.matched = 1;
        } else {
            self.keep(byte);
        }
        false
    }

    fn keep(&mut self, byte: u8) {
        if self.bytes.len() < PASTE_BYTES_MAX {
            self.bytes.push(byte);
        } else {
            self.dropped_bytes += 1;
        }
    }
}

/// Returns the column of `ESC [ ROW ; COLUMN R`. (F3 with a modifier looks the same and is not bound.)
fn reported_column(sequence: &[u8]) -> Option<usize> {
    let text = str::from_utf8(sequence).ok()?.strip_prefix("\x1b[")?.strip_suffix('R')?;
    let (row, column) = text.split_once(';')?;
    row.parse::<u16>().ok()?;
    Some(usize::from(column.parse::<u16>().ok()?.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use terminput::{KeyCode, KeyModifiers};

    use super::*;

    /// Returns the events of these pieces, followed by a timeout.
    fn parsed(pieces: &[&[u8]]) -> Vec<TermEvent> {
        let mut keys = Keys::default();
        let mut all = Vec::new();
        for piece in pieces {
            keys.parse(piece, &mut |event| all.push(event));
        }
        keys.on_timeout(&mut |event| all.push(event));
        all
    }

    fn key(code: KeyCode, modifiers: KeyModifiers) -> TermEvent {
        TermEvent::Key(KeyEvent::new(code).modifiers(modifiers))
    }

    fn plain(code: KeyCode) -> TermEvent {
        key(code, KeyModifiers::NONE)
    }

    /// Checks the whole, and every split into two and three pieces.
    fn every_split(bytes: &[u8], expected: &[TermEvent]) {
        assert_eq!(parsed(&[bytes]), expected, "{bytes:?}");
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(parsed(&pieces), expected, "{pieces:?}");
            }
        }
    }

    #[test]
    fn every_key_is_known_in_any_pieces() {
        let (ctrl, alt, none) = (KeyModifiers::CTRL, KeyModifiers::ALT, KeyModifiers::NONE);
        let keys: [(&[u8], KeyCode, KeyModifiers); 27] = [
            (b"a", KeyCode::Char('a'), none),
            (b"\r", KeyCode::Enter, none),
            (b"\t", KeyCode::Tab, none),
            (b"\x7f", KeyCode::Backspace, none),
            (b"\x01", KeyCode::Char('a'), ctrl),
            (b"\x1a", KeyCode::Char('z'), ctrl),
            ("é".as_bytes(), KeyCode::Char('é'), none),
            ("世".as_bytes(), KeyCode::Char('世'), none),
            ("🎉".as_bytes(), KeyCode::Char('🎉'), none),
            (b"\x1b[A", KeyCode::Up, none),
            (b"\x1b[B", KeyCode::Down, none),
            (b"\x1b[C", KeyCode::Right, none),
            (b"\x1b[D", KeyCode::Left, none),
            (b"\x1bOA", KeyCode::Up, none),
            (b"\x1b[H", KeyCode::Home, none),
            (b"\x1b[F", KeyCode::End, none),
            (b"\x1b[1~", KeyCode::Home, none),
            (b"\x1b[4~", KeyCode::End, none),
            (b"\x1b[3~", KeyCode::Delete, none),
            (b"\x1b[1;5C", KeyCode::Right, ctrl),
            (b"\x1b[1;3D", KeyCode::Left, alt),
            (b"\x1b[3;5~", KeyCode::Delete, ctrl),
            (b"\x1bb", KeyCode::Char('b'), alt),
            (b"\x1b\x7f", KeyCode::Backspace, alt),
            ("\x1bé".as_bytes(), KeyCode::Char('é'), alt),
            (b"\x1b[[A", KeyCode::F(1), none),
            (b"\x1b", KeyCode::Esc, none),
        ];
        for (bytes, code, modifiers) in keys {
            every_split(bytes, &[key(code, modifiers)]);
            if bytes != [ESCAPE] {
                every_split(&[bytes, b"x"].concat(), &[key(code, modifiers), plain(KeyCode::Char('x'))]);
            }
        }
    }

    #[test]
    fn a_paste_is_one_event_in_any_pieces() {
        let paste = |text: &str| TermEvent::Paste { text: text.to_owned(), dropped_bytes: 0 };
        let x = plain(KeyCode::Char('x'));
        every_split(b"x\x1b[200~a\rb\x1b[201~x", &[x.clone(), paste("a\rb"), x.clone()]);
        every_split(b"\x1b[200~\x1b[201~", &[paste("")]);
        // A part of the end, or the bytes of a key, belong to the paste.
        every_split(b"\x1b[200~\x1b\x1b[20\x1b[A\x03\x1b[201~x", &[paste("\x1b\x1b[20\x1b[A\x03"), x]);
        every_split("\x1b[200~世\x1b[201~".as_bytes(), &[paste("世")]);
    }

    #[test]
    fn a_paste_over_the_limit_is_cut_and_the_rest_counted() {
        let bytes = [PASTE_BEGIN, &vec![b'a'; PASTE_BYTES_MAX + 7], PASTE_END].concat();
        let text = "a".repeat(PASTE_BYTES_MAX);
        assert_eq!(parsed(&[&bytes]), [TermEvent::Paste { text, dropped_bytes: 7 }]);
    }

    #[test]
    fn reports_are_told_from_keys() {
        every_split(b"\x1b[24;1R", &[TermEvent::CursorColumn(0)]);
        every_split(b"\x1b[1;80Rx", &[TermEvent::CursorColumn(79), plain(KeyCode::Char('x'))]);
        // F3 of the Linux console and of xterm.
        every_split(b"\x1b[[C\x1bOR", &[plain(KeyCode::F(3)), plain(KeyCode::F(3))]);
    }

    #[test]
    fn unknown_sequences_are_skipped_and_the_next_key_is_parsed() {
        let x = plain(KeyCode::Char('x'));
        let long = [b"\x1b[", &[b'1'; 10_000][..], b"~x"].concat();
        let nothing: [&[u8]; 9] = [
            b"\x1b[?1;2cx",
            b"\x1b[<0;1;1Mx",
            b"\x1b[99~x",
            b"\x1bO\x1b[99~x",
            b"\xffx",
            b"\xc3x",
            b"\xe4\xb8x",
            b"\xed\xa0\x80x",
            b"\x1b[1;\xc3x",
        ];
        for bytes in nothing {
            every_split(bytes, std::slice::from_ref(&x));
        }
        assert_eq!(parsed(&[&long]), [x]);
        // A control byte that cannot be part of a sequence ends it, and is a key itself.
        every_split(b"\x1b[1\x03", &[key(KeyCode::Char('c'), KeyModifiers::CTRL)]);
    }

    #[test]
    fn no_bytes_panic_or_parse_differently_in_pieces() {
        // All short sequences of the bytes that change the state.
        let alphabet = b"\x1b[O~;0129ARMm<?u\x03a\xc3\xa9";
        for code in 0..alphabet.len().pow(4) {
            let bytes: Vec<u8> =
                (0..4).map(|place| alphabet[code / alphabet.len().pow(place) % alphabet.len()]).collect();
            let whole = parsed(&[&bytes]);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(parsed(&single), whole, "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_parse_the_same_in_any_pieces(
            bytes in proptest::collection::vec(proptest::prop_oneof![
                proptest::sample::select(b"\x1b[O~;012345678:9ABCRMmuPZ<?I\x03\x08 a\xc3\xa9\xe4\xb8\x96".to_vec()),
                proptest::num::u8::ANY,
            ], 0..40),
            len in 1_usize..8,
        ) {
            let pieces: Vec<&[u8]> = bytes.chunks(len).collect();
            assert_eq!(parsed(&pieces), parsed(&[&bytes]));
        }
    }
}
