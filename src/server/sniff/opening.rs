//! The first two lines of a connection, where the first alone may be chat.
//!
//! `user error` and `nick bob` are said in rooms, `nick bob` followed by `pass hunter2` is not. `QUIT` is a word, and
//! ends the signature of the PROXY protocol in binary (version 2). So a first line that begins like this waits for the
//! second one, for no longer than any connection waits to enter.

use super::ForeignProtocol::{self, Irc, Login, Proxy};
use super::without_padding;

/// The longest first line that waits for the second, and as much of the second as decides.
const LINE_BYTES_MAX: usize = 128;

/// Bytes that decide in any case: both lines with their ends.
const BYTES_MAX: usize = 2 * LINE_BYTES_MAX + 4;

/// Words by which a client of FTP, POP3 or IRC begins, each with one further word.
const LOGIN_WORDS: [&[u8]; 3] = [b"user", b"nick", b"pass"];

/// Words that follow them in such a protocol.
const NEXT_WORDS: [&[u8]; 5] = [b"user", b"nick", b"pass", b"acct", b"cap"];

/// The beginning of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The first line decides alone.
    Decided,
    /// The end of the second line decides.
    Waiting,
    /// The first two lines belong to this protocol.
    Foreign(ForeignProtocol),
}

/// Returns what the first two lines of a connection show, as far as they have arrived: in a fragment and what follows
/// it. With `is_all`, no more will come.
pub(crate) fn of(fragment: &[u8], arrived: &[u8], is_all: bool) -> Opening {
    let arrived = &arrived[..arrived.len().min(BYTES_MAX)];
    if fragment.is_empty() {
        of_bytes(arrived, is_all)
    } else if fragment.len() > LINE_BYTES_MAX {
        Opening::Decided
    } else {
        of_bytes(&[fragment, arrived].concat(), is_all)
    }
}

fn of_bytes(input: &[u8], is_all: bool) -> Opening {
    let Some(end) = memchr::memchr2(b'\n', b'\r', &input[..input.len().min(LINE_BYTES_MAX)]) else {
        return Opening::Decided;
    };
    let first = &without_padding(&input[..end]);
    let rest = input[end..].strip_prefix(b"\r").unwrap_or(&input[end..]);
    let rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    let second_end = memchr::memchr2(b'\n', b'\r', rest);
    let second = &without_padding(&rest[..second_end.unwrap_or(rest.len())]);
    let is_whole = is_all || second_end.is_some() || rest.len() >= LINE_BYTES_MAX;
    let foreign = if first[..] == *b"QUIT" {
        // The version and the command of PROXY 2, then the family, or the NULs of LOCAL.
        match second[..] {
            [0x20 | 0x21] if rest.contains(&0) => Some(Proxy),
            [0x20 | 0x21, 0x11 | 0x12 | 0x21 | 0x22 | 0x31 | 0x32, ..] => Some(Proxy),
            _ => None,
        }
    } else if is_login(first) {
        after_login(first, second)
    } else {
        return Opening::Decided;
    };
    match foreign {
        Some(protocol) if is_whole || protocol == Proxy => Opening::Foreign(protocol),
        _ if is_whole => Opening::Decided,
        _ => Opening::Waiting,
    }
}

/// Whether a line is a word of a login, and one further word.
fn is_login(line: &[u8]) -> bool {
    let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let verb = words.next().unwrap_or_default();
    LOGIN_WORDS.iter().any(|word| verb.eq_ignore_ascii_case(word)) && words.next().is_some() && words.next().is_none()
}

/// Detects the protocol of a login by its second line, which has another verb.
fn after_login(first: &[u8], second: &[u8]) -> Option<ForeignProtocol> {
    let mut words = second.split(|&byte| byte == b' ');
    let (verb, has_more) = (words.next()?, words.next().is_some());
    let is_next = has_more && NEXT_WORDS.iter().any(|word| verb.eq_ignore_ascii_case(word));
    if !is_next || first[..verb.len().min(first.len())].eq_ignore_ascii_case(verb) {
        return None;
    }
    let is_irc = first[..4].eq_ignore_ascii_case(b"nick") || second.len() < 4 || !verb.eq_ignore_ascii_case(b"pass");
    Some(if is_irc { Irc } else { Login })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_recognised_by_its_first_two_lines() {
        for (input, expected) in [
            ("USER bob\r\nPASS hunter2\r\n", Opening::Foreign(Login)),
            ("user bob\npass hunter2\n", Opening::Foreign(Login)),
            ("User bob\rPass hunter2\r", Opening::Foreign(Login)),
            ("nick b\nuser b 0 * :b\n", Opening::Foreign(Irc)),
            ("pass it\r\nnick b\r\nuser b 0 * b\r\n", Opening::Foreign(Irc)),
            ("USER bob\r\nPASS hun", Opening::Waiting),
            ("USER bob\r\n", Opening::Waiting),
            ("USER bob\r", Opening::Waiting),
            ("USER bob", Opening::Decided),
            ("USER error\nhello, all\n", Opening::Decided),
            ("USER error\nUSER error\n", Opening::Decided),
            ("nick bob\n/nick bob\n", Opening::Decided),
            ("user error in line 5\npass x\n", Opening::Decided),
            ("hello\npass x\n", Opening::Decided),
            ("QUIT\n", Opening::Waiting),
            ("QUIT\n!", Opening::Waiting),
            ("QUIT\n!\x11", Opening::Foreign(Proxy)),
            ("QUIT\n \0\0\0", Opening::Foreign(Proxy)),
            ("QUIT\nhello\n", Opening::Decided),
            ("QUIT now\n", Opening::Decided),
        ] {
            for at in 0..input.find(['\r', '\n']).unwrap_or(input.len()) {
                let (fragment, arrived) = input.as_bytes().split_at(at);
                assert_eq!(of(fragment, arrived, false), expected, "{input:?} at {at}");
            }
        }
        assert_eq!(of(b"", b"USER bob\r\nPASS hun", true), Opening::Foreign(Login));
        assert_eq!(of(b"", b"USER bob\r\n", true), Opening::Decided);
        assert_eq!(of(b"", b"QUIT\n", true), Opening::Decided);
        let endless = [&b"USER bob\n"[..], &[b'x'; 200]].concat();
        assert_eq!(of(b"", &endless, false), Opening::Decided, "it waits for few bytes");
        assert_eq!(of(&[b' '; 200], b"USER bob\n", false), Opening::Decided);
    }
}
