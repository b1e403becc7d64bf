//! The line that an operator types, edited as the kernel edits one in canonical mode (termios(3)). It owns the bytes of
//! the line, and knows what of them the screen shows.
//!
//! Unlike the kernel it cuts no line at 4,095 bytes, and can show a line again at any time.

use rustix::termios::{LocalModes, SpecialCodeIndex, Termios};
use unicode_width::UnicodeWidthChar as _;

/// Bytes of a line that can be erased. The beginning of a longer one is handed over before its end: the relay says
/// whether it is too long.
const EDITED_BYTES_MAX: usize = 64 * 1024;

/// Bytes of such a line that are shown again.
const SHOWN_AGAIN_BYTES: usize = 1_024;

/// Columns between two tab stops.
const TAB: usize = 8;

/// The keys that edit a line; `None` for those that the operator has disabled.
#[derive(Clone, Debug)]
pub(crate) struct EditKeys {
    erase: Option<u8>,
    erase_word: Option<u8>,
    erase_line: Option<u8>,
    /// Takes the next key as it is.
    quote: Option<u8>,
    show_again: Option<u8>,
    /// Hands over the line so far, or ends the input.
    end_of_input: Option<u8>,
    /// Further keys that end a line, and belong to it.
    ends: [Option<u8>; 2],
}

impl EditKeys {
    /// Returns the keys of a terminal with these modes.
    pub(crate) fn of(modes: &Termios) -> EditKeys {
        let key = |index| Some(modes.special_codes[index]).filter(|&key| key != 0);
        let extended = |index| key(index).filter(|_| modes.local_modes.contains(LocalModes::IEXTEN));
        EditKeys {
            erase: key(SpecialCodeIndex::VERASE),
            erase_word: extended(SpecialCodeIndex::VWERASE),
            erase_line: key(SpecialCodeIndex::VKILL),
            quote: extended(SpecialCodeIndex::VLNEXT),
            show_again: extended(SpecialCodeIndex::VREPRINT),
            end_of_input: key(SpecialCodeIndex::VEOF),
            ends: [key(SpecialCodeIndex::VEOL), extended(SpecialCodeIndex::VEOL2)],
        }
    }
}

/// A line that is being typed.
#[derive(Debug, Default)]
pub(crate) struct TypedLine {
    bytes: Vec<u8>,
    /// Bytes at the front that were handed over, and can not be erased any more.
    passed: usize,
    /// Whether the next key is taken as it is.
    is_quoted: bool,
}

impl TypedLine {
    /// Whether nothing of a line is on the screen.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.is_quoted
    }

    /// Takes a key. Appends what it changes on the screen to `echo`, and what the line hands over to `input`. Returns
    /// whether the key ends the input.
    pub(crate) fn press(&mut self, key: u8, keys: &EditKeys, echo: &mut Vec<u8>, input: &mut Vec<u8>) -> bool {
        let is = |code: Option<u8>| code == Some(key);
        if std::mem::take(&mut self.is_quoted) {
            echo.extend_from_slice(b" \x08");
            self.put(key, echo, input);
        } else if is(keys.erase) {
            self.erase_to(self.last_character(), echo);
        } else if is(keys.erase_word) {
            self.erase_to(self.last_word(), echo);
        } else if is(keys.erase_line) {
            self.erase_to(self.passed, echo);
        } else if is(keys.quote) {
            self.is_quoted = true;
            echo.extend_from_slice(b"^\x08");
        } else if is(keys.show_again) {
            put_shown(key, echo);
            echo.push(b'\n');
            self.show(echo);
        } else if is(keys.end_of_input) {
            let is_end = self.bytes.len() == self.passed;
            self.pass(input);
            return is_end;
        } else if key == b'\n' || keys.ends.contains(&Some(key)) {
            self.bytes.push(key);
            self.pass(input);
            self.bytes.clear();
            self.passed = 0;
            if key == b'\n' {
                echo.push(b'\n');
            } else {
                put_shown(key, echo);
            }
        } else {
            self.put(key, echo, input);
        }
        false
    }

    /// Shows the line from its beginning.
    pub(crate) fn show(&self, echo: &mut Vec<u8>) {
        self.bytes.iter().for_each(|&byte| put_shown(byte, echo));
        if self.is_quoted {
            echo.extend_from_slice(b"^\x08");
        }
    }

    fn put(&mut self, key: u8, echo: &mut Vec<u8>, input: &mut Vec<u8>) {
        self.bytes.push(key);
        put_shown(key, echo);
        if self.bytes.len() >= EDITED_BYTES_MAX {
            self.pass(input);
            self.bytes.drain(..self.bytes.len() - SHOWN_AGAIN_BYTES);
            self.passed = self.bytes.len();
        }
    }

    /// Hands over what was not.
    fn pass(&mut self, input: &mut Vec<u8>) {
        input.extend_from_slice(&self.bytes[self.passed..]);
        self.passed = self.bytes.len();
    }

    fn erase_to(&mut self, start: usize, echo: &mut Vec<u8>) {
        let columns = columns(&self.bytes);
        self.bytes.truncate(start);
        let erased = columns - self::columns(&self.bytes);
        echo.extend(b"\x08 \x08".iter().cycle().take(3 * erased));
    }

    /// Returns where the last character begins that can be erased.
    fn last_character(&self) -> usize {
        let of_character = character_len(&self.bytes[self.passed..]);
        self.bytes.len() - of_character
    }

    /// Returns where the last word begins that can be erased.
    fn last_word(&self) -> usize {
        let (mut start, mut is_in_word) = (self.bytes.len(), false);
        while start > self.passed {
            let before = start - character_len(&self.bytes[self.passed..start]);
            let is_of_word = str::from_utf8(&self.bytes[before..start])
                .is_ok_and(|character| character.chars().all(|c| c.is_alphanumeric() || c == '_'));
            if is_in_word && !is_of_word {
                break;
            }
            is_in_word |= is_of_word;
            start = before;
        }
        start
    }
}

/// Returns how many bytes the last character of `bytes` has. Invalid UTF-8 counts byte by byte.
fn character_len(bytes: &[u8]) -> usize {
    (1..=4.min(bytes.len()))
        .find(|&len| str::from_utf8(&bytes[bytes.len() - len..]).is_ok_and(|text| text.chars().count() == 1))
        .unwrap_or(1.min(bytes.len()))
}

/// Returns how wide `line` is on the screen.
fn columns(line: &[u8]) -> usize {
    let mut columns = 0;
    for chunk in line.utf8_chunks() {
        for character in chunk.valid().chars() {
            columns += match character {
                '\t' => TAB - columns % TAB,
                _ if character.is_ascii_control() => 2,
                _ => character.width().unwrap_or(0),
            };
        }
        columns += chunk.invalid().len();
    }
    columns
}

/// Appends a byte of a line as the screen shows it: controls as `^A`.
fn put_shown(byte: u8, echo: &mut Vec<u8>) {
    if byte.is_ascii_control() && byte != b'\t' {
        echo.extend([b'^', byte ^ 0x40]);
    } else {
        echo.push(byte);
    }
}

#[cfg(test)]
mod tests;
