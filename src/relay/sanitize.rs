//! The rule for text that is passed on: valid UTF-8 without characters that a terminal would obey. Padding is dropped:
//! NULs, and byte order marks at the start of a line.
//!
//! The server applies it to each line of a client, the client to each line of the server: neither trusts the other.

use std::borrow::{Borrow, Cow};

/// Whether `c` would control a terminal, or change how the rest of its line is shown.
///
/// These are C0 except tab, DEL, C1, the bidirectional controls, the line and paragraph separators and the byte order
/// mark.
pub fn is_terminal_unsafe(c: char) -> bool {
    match c {
        '\t' => false,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' => true,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        '\u{2028}' | '\u{2029}' | '\u{feff}' => true,
        _ => false,
    }
}

/// Byte order mark, in UTF-8.
pub(crate) const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Returns a line as text that is safe to show. NULs are dropped first, then byte order marks at its start. Each other
/// [unsafe](is_terminal_unsafe) character and each invalid sequence of bytes becomes U+FFFD, so that an attempt stays
/// visible.
///
/// A line that is safe already is returned without a copy. Any other is copied to `buffer`, at up to three times its
/// bytes.
pub fn sanitize<'a>(raw: &'a [u8], buffer: &'a mut String) -> &'a str {
    if let Ok(text) = str::from_utf8(raw)
        && is_safe(text)
    {
        return text;
    }
    let line = without_nuls(raw);
    buffer.clear();
    for chunk in without_marks(&line).utf8_chunks() {
        buffer
            .extend(chunk.valid().chars().map(|c| if is_terminal_unsafe(c) { char::REPLACEMENT_CHARACTER } else { c }));
        if !chunk.invalid().is_empty() {
            buffer.push(char::REPLACEMENT_CHARACTER);
        }
    }
    buffer
}

/// Returns a line without byte order marks at its start.
pub(crate) fn without_marks(line: &[u8]) -> &[u8] {
    after_marks(line.iter()).as_slice()
}

/// Returns the bytes of a line behind the byte order marks at its start.
pub(super) fn after_marks<I>(mut bytes: I) -> I
where
    I: Iterator<Item: Borrow<u8>> + Clone,
{
    while bytes.clone().take(BYTE_ORDER_MARK.len()).map(|byte| *byte.borrow()).eq(BYTE_ORDER_MARK) {
        bytes.nth(BYTE_ORDER_MARK.len() - 1);
    }
    bytes
}

/// Returns a line without its padding of NULs. Copies it only if it has any.
pub(crate) fn without_nuls(line: &[u8]) -> Cow<'_, [u8]> {
    match memchr::memchr(0, line) {
        None => Cow::Borrowed(line),
        Some(_) => line.iter().copied().filter(|&byte| byte != 0).collect(),
    }
}

/// Whether a text holds no [unsafe](is_terminal_unsafe) character.
pub(super) fn is_safe(text: &str) -> bool {
    // No early exit in the first pass, so that it runs over many bytes at a time.
    let plain = text.bytes().fold(true, |plain, byte| plain & (matches!(byte, 0x20..=0x7e) | (byte == b'\t')));
    plain || !text.chars().any(is_terminal_unsafe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_safe_line_is_not_copied() {
        let mut buffer = String::new();
        for line in ["", "hello", "tab\there", "Grüße, 世界 👩\u{200d}👩\u{200d}👧"] {
            let raw = line.as_bytes();
            assert_eq!(sanitize(raw, &mut buffer).as_ptr(), raw.as_ptr());
            assert_eq!(sanitize(raw, &mut buffer), line);
        }
    }

    #[test]
    fn characters_that_a_terminal_would_obey_are_replaced_and_stay_visible() {
        let mut buffer = String::new();
        for c in '\0'..='\u{ffff}' {
            let line = format!("a{c}b");
            let is_bad = matches!(u32::from(c),
                0..=8 | 0xa..=0x1f | 0x7f..=0x9f | 0x61c | 0x200e | 0x200f | 0x2028..=0x202e | 0x2066..=0x2069 | 0xfeff);
            let expected = match c {
                '\0' => "ab",
                _ if is_bad => "a\u{fffd}b",
                _ => &line,
            };
            assert_eq!(sanitize(line.as_bytes(), &mut buffer), expected, "{c:?}");
        }
    }

    #[test]
    fn padding_is_dropped() {
        let mut buffer = String::new();
        for (raw, expected) in [
            (&b"\0F\0IN\0"[..], "FIN"),
            (b"\0\0", ""),
            (b"\xef\xbb\xbfFIN", "FIN"),
            (b"\0\xef\xbb\xbf\0\xef\xbb\xbf\0FIN", "FIN"),
            (b"\xef\0\xbb\xbfFIN", "FIN"),
            (b"a\xef\xbb\xbfb", "a\u{fffd}b"),
            (b"\xef\xbb\xbf\x1bx\0", "\u{fffd}x"),
            (b"\xc3\0\xa9", "\u{e9}"),
        ] {
            assert_eq!(sanitize(raw, &mut buffer), expected, "{raw:?}");
        }
    }

    #[test]
    fn invalid_bytes_are_replaced_as_the_standard_library_does() {
        let mut buffer = String::new();
        for raw in [&b"\xff"[..], b"a\xc3", b"\xc3(", b"\xe2\x82", b"\xf0\x9f\x98 x", b"\xed\xa0\x80", b"\xc0\x80"] {
            assert_eq!(sanitize(raw, &mut buffer), String::from_utf8_lossy(raw));
        }
    }
}
