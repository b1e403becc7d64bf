//! Detection of foreign protocols on the line port, from the first bytes of a connection.
//!
//! Any web page can make a browser send almost arbitrary bytes to the line port, behind a request line. Such a browser
//! must not talk in the room.

use std::fmt;

use crate::relay::sanitize::without_nuls;

/// Protocol other than the line protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignProtocol {
    /// HTTP of any version: a browser, a crawler or a proxy.
    Http,
    /// TLS: the same with an `https` URL.
    Tls,
    /// STUN: a WebRTC connection (ICE over TCP, or TURN). A web page chooses its peer, and a user name within it.
    Stun,
}

/// Magic cookie of a STUN message, behind its type and its length (RFC 8489, 5). It is not valid UTF-8.
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

impl ForeignProtocol {
    /// Returns the name of the protocol.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ForeignProtocol::Http => "HTTP",
            ForeignProtocol::Tls => "TLS",
            ForeignProtocol::Stun => "STUN",
        }
    }

    /// Detects TLS or STUN in the first bytes of a line, given as two consecutive pieces. It needs no whole line.
    ///
    /// A TLS record begins with its type, 22 for a handshake, and a version whose first byte is 3 (RFC 8446, 5.1). Over
    /// TCP, two bytes of length may precede a STUN message (RFC 4571). Its lengths are multiples of 4, so none of them
    /// holds an LF or CR. Ignores NULs.
    pub(crate) fn in_prefix(pieces: [&[u8]; 2]) -> Option<ForeignProtocol> {
        let mut beginning = [0; 10];
        let line = pieces.into_iter().flatten().copied().take_while(|byte| !matches!(byte, b'\n' | b'\r'));
        let bytes = line.filter(|&byte| byte != 0);
        beginning.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        match beginning {
            [0x16, 0x03, ..] => Some(ForeignProtocol::Tls),
            _ if beginning.windows(STUN_COOKIE.len()).any(|bytes| bytes == STUN_COOKIE) => Some(ForeignProtocol::Stun),
            _ => None,
        }
    }

    /// Detects HTTP in a whole first line: a request line with any method (RFC 9112, 3). Ignores NULs.
    pub(crate) fn in_line(line: &[u8]) -> Option<ForeignProtocol> {
        let line = &without_nuls(line)[..];
        let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
        let [method, target, version] = [words.next()?, words.next()?, words.next()?];
        // Each form of a target (RFC 9112, 3.2) begins like this, or has a colon behind its scheme or host.
        let is_target = matches!(target, [b'/' | b'*', ..]) || target.contains(&b':');
        let is_request = is_method(method) && is_target && version.starts_with(b"HTTP/") && words.next().is_none();
        is_request.then_some(ForeignProtocol::Http)
    }

    /// Detects HTTP in the beginning of a first line that exceeds the limit. Text of this length hardly has a second
    /// word that looks like the target of a request.
    pub(crate) fn in_overlong(beginning: &[u8]) -> Option<ForeignProtocol> {
        let beginning = &without_nuls(beginning)[..];
        let [method, target, version] = words_of(beginning)?;
        let is_target = matches!(target, [b'/' | b'*', ..]) || target.starts_with(b"http");
        // With a known method, the text behind the target does not matter.
        let is_in_use = METHODS.contains(&method) && is_target;
        let is_request = is_method(method) && target.starts_with(b"/") && is_version_begun(version);
        ForeignProtocol::in_line(beginning).or((is_in_use || is_request).then_some(ForeignProtocol::Http))
    }

    /// Detects HTTP in a first line without its end. It may be as short as ordinary text, so the method has to be a
    /// known one.
    pub(crate) fn in_partial(line: &[u8]) -> Option<ForeignProtocol> {
        let [method, target, version] = words_of(line)?;
        let has_scheme = target.starts_with(b"http://") || target.starts_with(b"https://");
        let is_target = target.starts_with(b"/") || target == b"*" || has_scheme;
        (METHODS.contains(&method) && is_target && is_version_begun(version)).then_some(ForeignProtocol::Http)
    }
}

/// Known methods (RFC 9110, 9.3; RFC 5789).
const METHODS: [&[u8]; 9] = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];

/// Splits off the first two words; the third is the rest, which may be empty.
fn words_of(line: &[u8]) -> Option<[&[u8]; 3]> {
    let mut words = line.splitn(3, |&byte| byte == b' ');
    Some([words.next()?, words.next()?, words.next().unwrap_or_default()])
}

/// Whether `word` is the version of a request line, or a part of it from the start.
fn is_version_begun(word: &[u8]) -> bool {
    const VERSION: &[u8] = b"HTTP/";
    word.starts_with(VERSION) || VERSION.starts_with(word)
}

impl fmt::Display for ForeignProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether `word` is a valid method: a token (RFC 9110, 5.6.2).
fn is_method(word: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !word.is_empty() && word.iter().all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_detected_whatever_its_method() {
        for line in [
            "GET / HTTP/1.1",
            "POST /chat?x=1 HTTP/1.0",
            "PRI * HTTP/2.0",
            "OPTIONS * HTTP/1.1",
            "CONNECT example.org:443 HTTP/1.1",
            "patch http://example.org/ HTTP/1.1",
            "X-Y_z! /a HTTP/1.1",
            "GET  /  HTTP/1.1",
        ] {
            assert_eq!(ForeignProtocol::in_line(line.as_bytes()), Some(ForeignProtocol::Http), "{line}");
        }
    }

    #[test]
    fn ordinary_text_is_not_a_request() {
        for line in [
            "hello",
            "GET /",
            "I speak HTTP/1.1",
            "we all speak HTTP/1.1 here",
            "GET / HTTP/1.1 is what it says",
            "/nick HTTP/1.1",
            "",
        ] {
            assert_eq!(ForeignProtocol::in_line(line.as_bytes()), None, "{line}");
        }
        for line in [
            "hello /etc",
            "GET",
            "LOOK at that",
            "GET ",
            "",
            " /x",
            "I *love* it",
            "A *star*",
            "LOL http://example.org/cats",
            "PUT /etc/hosts back",
            "GET *all* of them",
            "OK https",
        ] {
            assert_eq!(ForeignProtocol::in_partial(line.as_bytes()), None, "{line}");
        }
        for line in ["see /etc/hosts and so on", "see http://example.org/aaa", "aaaa", "I *love* it"] {
            assert_eq!(ForeignProtocol::in_overlong(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_partial_request_line_is_detected_by_its_target() {
        for line in ["GET /aaaa", "POST http://example.org/aaaa", "OPTIONS *", "GET / HTT"] {
            assert_eq!(ForeignProtocol::in_partial(line.as_bytes()), Some(ForeignProtocol::Http), "{line}");
            assert_eq!(ForeignProtocol::in_overlong(line.as_bytes()), Some(ForeignProtocol::Http), "{line}");
        }
        // A page that appears to be of our own origin can use any method.
        for line in ["patch /aaaa", "x-y /aaaa HTTP", "CONNECT example.org:443 HTTP/1.1"] {
            assert_eq!(ForeignProtocol::in_overlong(line.as_bytes()), Some(ForeignProtocol::Http), "{line}");
        }
    }

    #[test]
    fn tls_and_stun_are_detected_however_the_bytes_are_split() {
        let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01];
        assert_eq!(ForeignProtocol::in_prefix([&[], &hello]), Some(ForeignProtocol::Tls));
        assert_eq!(ForeignProtocol::in_prefix([&hello[..1], &hello[1..2]]), Some(ForeignProtocol::Tls));
        assert_eq!(ForeignProtocol::in_prefix([&hello, &[]]), Some(ForeignProtocol::Tls));
        assert_eq!(ForeignProtocol::in_prefix([&[], &hello[..1]]), None, "not yet");
        let stun = [0x00, 0x03, 0x00, 0x08, 0x21, 0x12, 0xa4, 0x42];
        assert_eq!(ForeignProtocol::in_prefix([&stun[..3], &stun[3..]]), Some(ForeignProtocol::Stun));
        assert_eq!(ForeignProtocol::in_prefix([b"\x00\x1c\x00\x01", &stun[2..]]), Some(ForeignProtocol::Stun));
        assert_eq!(ForeignProtocol::in_prefix([&[], &stun[..7]]), None, "not yet");
        assert_eq!(ForeignProtocol::in_prefix([b"\x16", b"\0\0\x03"]), Some(ForeignProtocol::Tls));
        assert_eq!(ForeignProtocol::in_prefix([b"h", b"ello"]), None);
        assert_eq!(ForeignProtocol::in_prefix([&[], &[]]), None);
    }
}
