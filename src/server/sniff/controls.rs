//! Control characters of a first line: the keys of a person at a raw terminal, and the signs of a binary protocol.
//!
//! NULs do not count, because C programs send them behind a line. So the pieces of a line may have lost theirs.

/// The kind of a byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Text, and what a terminal sends by itself: tab, CR, BS, DEL, and ESC and BEL (an arrow key, or an answer). Also
    /// the keys that erase or interrupt a line, wherever they are: Ctrl-C, Ctrl-U and Ctrl-W.
    Text,
    /// A key that edits a line, and so follows text: Ctrl-A, D, E, K, L, R and Z.
    Edit,
    /// A control character that hardly a person sends.
    Foreign,
}

impl Kind {
    fn of(byte: u8) -> Kind {
        match byte {
            0x01 | 0x04 | 0x05 | 0x0b | 0x0c | 0x12 | 0x1a => Kind::Edit,
            0x02 | 0x06 | 0x0e..=0x11 | 0x13 | 0x14 | 0x16 | 0x18 | 0x19 | 0x1c..=0x1f => Kind::Foreign,
            _ => Kind::Text,
        }
    }
}

/// Whether a line, or a part of one of which nothing more comes, belongs to a binary protocol.
pub(crate) fn is_binary(line: &[u8]) -> bool {
    let is_edited = || line.iter().any(|&byte| Kind::of(byte) == Kind::Edit);
    begins_binary([&[], line]) || (is_edited() && str::from_utf8(line).is_err())
}

/// Whether two consecutive pieces of a line already show that it belongs to a binary protocol.
pub(super) fn begins_binary(pieces: [&[u8]; 2]) -> bool {
    let mut bytes = pieces.into_iter().flatten().copied().filter(|&byte| byte != 0).map(Kind::of).peekable();
    bytes.peek() == Some(&Kind::Edit) || bytes.any(|kind| kind == Kind::Foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_person_are_text_and_other_controls_are_not() {
        for line in [
            "\x1b[Ahello",
            "\x15hello",
            "\x03",
            "\x17\x15\x03hello",
            "hell\x15hello",
            "one two\x17three",
            "helo\x01\x0bhello",
            "hello\x05\x0c\x12, you",
            "hello\x04",
            "hello\x1a",
            "\0\0hello\0",
            "caf\u{e9}\x01",
        ] {
            assert!(!is_binary(line.as_bytes()), "{line:?}");
        }
        for line in [
            &b"\x05\x01\0"[..],
            b"\x05\x02\0\x02",
            b"\x04\x01\0\x50\xc0\0\x02\x01ana\0",
            b"\0\0\0\x01",
            b"hello\x02",
            b"\x13BitTorrent protocol",
            b":\0\0\0\x01\0\0\0\0\0\0\0\xd4\x07\0\0",
            b"l\0\x0b\0\0\0\0\0\0\0\0\xff",
        ] {
            assert!(is_binary(line), "{line:?}");
        }
        assert!(begins_binary([b"\x01", b"x"]) && begins_binary([b"\0", b"\0\x01x"]));
        assert!(!begins_binary([b"x", b"\x01\xff"]));
    }
}
