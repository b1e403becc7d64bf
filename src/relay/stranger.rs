//! Who speaks another protocol: told by the first words of a peer, so that a page in somebody's browser, which can send
//! what it likes to any port behind a request line of its own, does not speak in the room.

use std::fmt;

/// A protocol that is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// HTTP, of whatever version: a browser, a crawler, a proxy.
    Http,
    /// TLS: the same, of an `https` address.
    Tls,
}

impl Stranger {
    /// Recognises one by the beginning of what it sends, in pieces as they came, whether or not a line has ended: as soon
    /// as it can be nothing else.
    ///
    /// A TLS record has a kind, 22 for a handshake, and a version, of which the first byte is always 3 (RFC 8446, 5.1).
    pub fn of_beginning(pieces: [&[u8]; 2]) -> Option<Stranger> {
        let mut bytes = pieces.into_iter().flatten();
        (bytes.next() == Some(&0x16) && bytes.next() == Some(&0x03)).then_some(Stranger::Tls)
    }

    /// Recognises one by its first line: a request line, with any method (RFC 9112, 3).
    pub fn of_line(line: &[u8]) -> Option<Stranger> {
        let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
        let [method, target, version] = [words.next()?, words.next()?, words.next()?];
        // Of the forms of a target (RFC 9112, 3.2) each begins so, or has a colon behind its scheme or host.
        let is_target = matches!(target, [b'/' | b'*', ..]) || target.contains(&b':');
        let is_request = is_method(method) && is_target && version.starts_with(b"HTTP/") && words.next().is_none();
        is_request.then_some(Stranger::Http)
    }

    /// Recognises one by a first line of which the end is missing, because it was too long or did not come. A request's
    /// version is missing, too, so that its method, which is in capitals, and the form of its target have to do.
    pub fn of_cut_line(line: &[u8]) -> Option<Stranger> {
        let mut words = line.splitn(2, |&byte| byte == b' ');
        let [method, target] = [words.next()?, words.next()?];
        let is_target = matches!(target.first(), Some(b'/' | b'*')) || target.starts_with(b"http");
        (is_method(method) && method.is_ascii() && !method.iter().any(u8::is_ascii_lowercase) && is_target)
            .then_some(Stranger::Http)
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stranger::Http => "HTTP",
            Stranger::Tls => "TLS",
        })
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
            assert_eq!(Stranger::of_line(line.as_bytes()), Some(Stranger::Http), "{line}");
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
            assert_eq!(Stranger::of_line(line.as_bytes()), None, "{line}");
        }
        for line in ["hello /etc", "GET", "LOOK at that", "GET ", "", " /x"] {
            assert_eq!(Stranger::of_cut_line(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_request_line_without_its_end_is_recognised_by_its_target() {
        for line in ["GET /aaaa", "POST http://example.org/aaaa", "OPTIONS *", "GET / HTT"] {
            assert_eq!(Stranger::of_cut_line(line.as_bytes()), Some(Stranger::Http), "{line}");
        }
    }

    #[test]
    fn a_tls_hello_is_recognised_by_its_first_bytes_however_they_come() {
        let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01];
        assert_eq!(Stranger::of_beginning([&[], &hello]), Some(Stranger::Tls));
        assert_eq!(Stranger::of_beginning([&hello[..1], &hello[1..2]]), Some(Stranger::Tls));
        assert_eq!(Stranger::of_beginning([&hello, &[]]), Some(Stranger::Tls));
        assert_eq!(Stranger::of_beginning([&[], &hello[..1]]), None, "not yet");
        assert_eq!(Stranger::of_beginning([b"h", b"ello"]), None);
        assert_eq!(Stranger::of_beginning([&[], &[]]), None);
    }
}
