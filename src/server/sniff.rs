//! Who speaks another protocol: told by the first words of a peer, so that a page in somebody's browser, which can send
//! what it likes to any port behind a request line of its own, does not speak in the room.

use std::fmt;

/// A protocol that is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignProtocol {
    /// HTTP, of whatever version: a browser, a crawler, a proxy.
    Http,
    /// TLS: the same, of an `https` address.
    Tls,
    /// STUN, which begins a WebRTC connection (ICE over TCP, or TURN): a page in a browser chooses with whom, and a user
    /// name in it.
    Stun,
}

/// What each STUN message has behind its type and its length (RFC 8489, 5). No text in UTF-8 has that.
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

impl ForeignProtocol {
    /// The name of the protocol.
    pub fn name(self) -> &'static str {
        match self {
            ForeignProtocol::Http => "HTTP",
            ForeignProtocol::Tls => "TLS",
            ForeignProtocol::Stun => "STUN",
        }
    }

    /// Recognises one by the beginning of what it sends, in pieces as they came, whether or not a line has ended: as soon
    /// as it can be nothing else.
    ///
    /// A TLS record has a kind, 22 for a handshake, and a version, of which the first byte is always 3 (RFC 8446, 5.1). A
    /// STUN message over TCP may have its length before it, in two bytes (RFC 4571).
    pub fn in_prefix(pieces: [&[u8]; 2]) -> Option<ForeignProtocol> {
        let mut beginning = [0; 10];
        for (to, from) in beginning.iter_mut().zip(pieces.into_iter().flatten()) {
            *to = *from;
        }
        match beginning {
            [0x16, 0x03, ..] => Some(ForeignProtocol::Tls),
            _ if beginning[4..8] == STUN_COOKIE || beginning[6..] == STUN_COOKIE => Some(ForeignProtocol::Stun),
            _ => None,
        }
    }

    /// Recognises one by its first line: a request line, with any method (RFC 9112, 3).
    pub fn in_line(line: &[u8]) -> Option<ForeignProtocol> {
        let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
        let [method, target, version] = [words.next()?, words.next()?, words.next()?];
        // Of the forms of a target (RFC 9112, 3.2) each begins so, or has a colon behind its scheme or host.
        let is_target = matches!(target, [b'/' | b'*', ..]) || target.contains(&b':');
        let is_request = is_method(method) && is_target && version.starts_with(b"HTTP/") && words.next().is_none();
        is_request.then_some(ForeignProtocol::Http)
    }

    /// Recognises one by the beginning of a first line that was too long. People hardly say so much in two words of which
    /// the second begins like the target of a request.
    pub fn in_overlong(beginning: &[u8]) -> Option<ForeignProtocol> {
        let [method, target, version] = words_of(beginning)?;
        let is_target = matches!(target, [b'/' | b'*', ..]) || target.starts_with(b"http");
        // However little there is of it: what comes behind the target does not matter.
        let is_in_use = METHODS.contains(&method) && is_target;
        let is_request = is_method(method) && target.starts_with(b"/") && is_version_begun(version);
        ForeignProtocol::in_line(beginning).or((is_in_use || is_request).then_some(ForeignProtocol::Http))
    }

    /// Recognises one by a first line of which the end did not come. It may be as short as what people say: so its method
    /// has to be one that is in use.
    pub fn in_partial(line: &[u8]) -> Option<ForeignProtocol> {
        let [method, target, version] = words_of(line)?;
        let has_scheme = target.starts_with(b"http://") || target.starts_with(b"https://");
        let is_target = target.starts_with(b"/") || target == b"*" || has_scheme;
        (METHODS.contains(&method) && is_target && is_version_begun(version)).then_some(ForeignProtocol::Http)
    }
}

/// The methods that are in use (RFC 9110, 9.3; RFC 5789).
const METHODS: [&[u8]; 9] = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];

/// The two words of a beginning, and what there is of a third one.
fn words_of(line: &[u8]) -> Option<[&[u8]; 3]> {
    let mut words = line.splitn(3, |&byte| byte == b' ');
    Some([words.next()?, words.next()?, words.next().unwrap_or_default()])
}

/// Whether this may become the version of a request line.
fn is_version_begun(word: &[u8]) -> bool {
    const VERSION: &[u8] = b"HTTP/";
    word.starts_with(VERSION) || VERSION.starts_with(word)
}

impl fmt::Display for ForeignProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether this may be a method: a token (RFC 9110, 5.6.2).
fn is_method(word: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !word.is_empty() && word.iter().all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_recognised_whatever_its_method() {
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
    fn what_people_say_is_no_request() {
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
    fn a_request_line_without_its_end_is_recognised_by_its_target() {
        for line in ["GET /aaaa", "POST http://example.org/aaaa", "OPTIONS *", "GET / HTT"] {
            assert_eq!(ForeignProtocol::in_partial(line.as_bytes()), Some(ForeignProtocol::Http), "{line}");
            assert_eq!(ForeignProtocol::in_overlong(line.as_bytes()), Some(ForeignProtocol::Http), "{line}");
        }
        // A page that seems to come from our own address can have any method.
        for line in ["patch /aaaa", "x-y /aaaa HTTP", "CONNECT example.org:443 HTTP/1.1"] {
            assert_eq!(ForeignProtocol::in_overlong(line.as_bytes()), Some(ForeignProtocol::Http), "{line}");
        }
    }

    #[test]
    fn a_tls_hello_is_recognised_by_its_first_bytes_however_they_come() {
        let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01];
        assert_eq!(ForeignProtocol::in_prefix([&[], &hello]), Some(ForeignProtocol::Tls));
        assert_eq!(ForeignProtocol::in_prefix([&hello[..1], &hello[1..2]]), Some(ForeignProtocol::Tls));
        assert_eq!(ForeignProtocol::in_prefix([&hello, &[]]), Some(ForeignProtocol::Tls));
        assert_eq!(ForeignProtocol::in_prefix([&[], &hello[..1]]), None, "not yet");
        let stun = [0x00, 0x03, 0x00, 0x0a, 0x21, 0x12, 0xa4, 0x42];
        assert_eq!(ForeignProtocol::in_prefix([&stun[..3], &stun[3..]]), Some(ForeignProtocol::Stun));
        assert_eq!(ForeignProtocol::in_prefix([b"\x00\x1c\x00\x01", &stun[2..]]), Some(ForeignProtocol::Stun));
        assert_eq!(ForeignProtocol::in_prefix([&[], &stun[..7]]), None, "not yet");
        assert_eq!(ForeignProtocol::in_prefix([b"h", b"ello"]), None);
        assert_eq!(ForeignProtocol::in_prefix([&[], &[]]), None);
    }
}
