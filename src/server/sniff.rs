//! Detection of foreign protocols on the line port, from the first bytes of a connection.
//!
//! Any web page can make a browser send almost arbitrary bytes to the line port, behind a request line. Such a browser
//! must not talk in the room. Nor must programs whose users point them at the wrong port: they may send a password.
//!
//! The first line decides, so no client is disconnected in a conversation. If the first line may also be chat, the
//! second one decides with it (`sniff/opening.rs`). A line with a control character that no person sends belongs to a
//! binary protocol (`sniff/controls.rs`).

pub(crate) mod controls;
pub(crate) mod opening;
mod shapes;

use std::borrow::Cow;
use std::fmt;

use crate::relay::sanitize::{without_marks, without_nuls};
use opening::Opening;

/// Protocol other than the line protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignProtocol {
    /// HTTP of any version: a browser, a crawler or a proxy.
    Http,
    /// TLS: the same with an `https` URL.
    Tls,
    /// STUN: a WebRTC connection (ICE over TCP, or TURN). A web page chooses its peer, and a user name within it.
    Stun,
    /// A binary protocol: MQTT, SOCKS, PostgreSQL, RDP, SMB, and so on.
    Binary,
    /// The manager interface of Asterisk.
    Asterisk,
    /// FTP.
    Ftp,
    /// The protocol of git servers.
    Git,
    /// IMAP.
    Imap,
    /// IRC.
    Irc,
    /// JSON-RPC.
    JsonRpc,
    /// A login that several protocols have: `AUTHENTICATE` of ManageSieve and Tor, `PASSWORD` of MPD, `USER` and
    /// `PASS`.
    Login,
    /// memcached.
    Memcached,
    /// NATS.
    Nats,
    /// NNTP.
    Nntp,
    /// POP3.
    Pop3,
    /// The PROXY protocol of HAProxy, of either version.
    Proxy,
    /// RESP: a client of Redis.
    Redis,
    /// rsync.
    Rsync,
    /// RTSP.
    Rtsp,
    /// SIP.
    Sip,
    /// SMTP.
    Smtp,
    /// SSH.
    Ssh,
    /// STOMP.
    Stomp,
    /// Stratum: a mining client.
    Stratum,
    /// syslog.
    Syslog,
    /// VNC.
    Vnc,
    /// The relay of WeeChat.
    Weechat,
    /// XMPP.
    Xmpp,
}

/// Bytes without NULs, from the start of a connection, after which a control character decides. TLS and STUN are named
/// before that.
const NAMED_BYTES: usize = 10;

/// Bytes that [`in_prefix`](ForeignProtocol::in_prefix) looks at for a name.
const PREFIX_BYTES: usize = 32;

/// Beginning of a line that is said as it is, control characters and all. No other protocol begins with it.
const SAY: &[u8] = crate::relay::command::SAY.as_bytes();

/// Signature of the PROXY protocol, version 2.
const PROXY_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Magic cookie of a STUN message, behind its type and its length (RFC 8489, 5). It is not valid UTF-8.
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

impl ForeignProtocol {
    /// Returns the name of the protocol.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ForeignProtocol::Http => "HTTP",
            ForeignProtocol::Tls => "TLS",
            ForeignProtocol::Stun => "STUN",
            ForeignProtocol::Binary => "binary protocol",
            ForeignProtocol::Asterisk => "Asterisk",
            ForeignProtocol::Ftp => "FTP",
            ForeignProtocol::Git => "git",
            ForeignProtocol::Imap => "IMAP",
            ForeignProtocol::Irc => "IRC",
            ForeignProtocol::JsonRpc => "JSON-RPC",
            ForeignProtocol::Login => "login protocol",
            ForeignProtocol::Memcached => "memcached",
            ForeignProtocol::Nats => "NATS",
            ForeignProtocol::Nntp => "NNTP",
            ForeignProtocol::Pop3 => "POP3",
            ForeignProtocol::Proxy => "PROXY protocol",
            ForeignProtocol::Redis => "Redis",
            ForeignProtocol::Rsync => "rsync",
            ForeignProtocol::Rtsp => "RTSP",
            ForeignProtocol::Sip => "SIP",
            ForeignProtocol::Smtp => "SMTP",
            ForeignProtocol::Ssh => "SSH",
            ForeignProtocol::Stomp => "STOMP",
            ForeignProtocol::Stratum => "Stratum",
            ForeignProtocol::Syslog => "syslog",
            ForeignProtocol::Vnc => "VNC",
            ForeignProtocol::Weechat => "WeeChat",
            ForeignProtocol::Xmpp => "XMPP",
        }
    }

    /// Returns the beginning of the line that reports an error in this protocol, if one line is an answer in it.
    /// Otherwise the peer gets a notice.
    pub(crate) fn error_prefix(self) -> Option<&'static str> {
        match self {
            ForeignProtocol::Irc => Some("ERROR :"),
            ForeignProtocol::Smtp => Some("554 "),
            ForeignProtocol::Ftp => Some("421 "),
            ForeignProtocol::Nntp => Some("400 "),
            ForeignProtocol::Imap => Some("* BYE "),
            ForeignProtocol::Pop3 | ForeignProtocol::Redis => Some("-ERR "),
            ForeignProtocol::Rsync => Some("@ERROR: "),
            _ => None,
        }
    }

    /// Detects a protocol in the first bytes of a line, given as two consecutive pieces: the part that was looked at
    /// before, and what has arrived. It needs no whole line. Ignores NULs.
    ///
    /// A TLS record begins with its type, 22 for a handshake, and a version whose first byte is 3 (RFC 8446, 5.1). Over
    /// TCP, two bytes of length may precede a STUN message (RFC 4571). Its lengths are multiples of 4, so none of them
    /// holds an LF or CR.
    pub(crate) fn in_prefix(pieces: [&[u8]; 2]) -> Option<ForeignProtocol> {
        let [before, arrived] = pieces;
        if before.is_empty() && arrived.starts_with(PROXY_SIGNATURE) {
            return Some(ForeignProtocol::Proxy);
        }
        let line = &arrived[..memchr::memchr2(b'\n', b'\r', arrived).unwrap_or(arrived.len())];
        let mut buffer = [0; PREFIX_BYTES];
        let mut len = 0;
        for (to, &from) in buffer.iter_mut().zip(before.iter().chain(line).filter(|&&byte| byte != 0)) {
            *to = from;
            len += 1;
        }
        let beginning = &buffer[..len];
        let named = &beginning[..len.min(NAMED_BYTES)];
        if named.starts_with(&[0x16, 0x03]) {
            return Some(ForeignProtocol::Tls);
        }
        if named.windows(STUN_COOKIE.len()).any(|window| window == STUN_COOKIE) {
            return Some(ForeignProtocol::Stun);
        }
        if let Some((_, protocol)) = BEGINNINGS.into_iter().find(|(bytes, _)| beginning.starts_with(bytes)) {
            return Some(protocol);
        }
        if is_postgres(beginning) {
            return Some(ForeignProtocol::Binary);
        }
        if is_git(beginning) {
            return Some(ForeignProtocol::Git);
        }
        let is_binary = || controls::begins_binary([&before[..before.len().min(NAMED_BYTES)], line]);
        (len >= NAMED_BYTES && !beginning.starts_with(SAY) && is_binary()).then_some(ForeignProtocol::Binary)
    }

    /// Detects a protocol in the first bytes of a client that has entered, and so waits for no second line: in the two
    /// pieces of [`in_prefix`](ForeignProtocol::in_prefix).
    pub(crate) fn in_arrived(pieces: [&[u8]; 2]) -> Option<ForeignProtocol> {
        let [before, arrived] = pieces;
        ForeignProtocol::in_prefix(pieces).or(match opening::of(before, arrived, true) {
            Opening::Foreign(protocol) => Some(protocol),
            Opening::Decided | Opening::Waiting => None,
        })
    }

    /// Detects a protocol in a whole first line, or in a part of one of which nothing more comes.
    pub(crate) fn in_line(line: &[u8]) -> Option<ForeignProtocol> {
        // A client may send any number of empty lines, each of which is still a first line.
        if line.is_empty() {
            return None;
        }
        let line = &without_padding(line);
        if line.starts_with(SAY) {
            return None;
        }
        if controls::is_binary(line) {
            return Some(ForeignProtocol::Binary);
        }
        ForeignProtocol::in_request(line).or_else(|| shapes::protocol_of(line))
    }

    /// Detects a request line with any method (RFC 9112, 3) of HTTP, SIP or RTSP.
    fn in_request(line: &[u8]) -> Option<ForeignProtocol> {
        let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
        let [method, target] = [words.next()?, words.next()?];
        let Some(version) = words.next() else {
            // A request of HTTP/0.9 has no version. A person may write `get /etc`, but in lower case.
            return (METHODS.contains(&method) && target.starts_with(b"/")).then_some(ForeignProtocol::Http);
        };
        // Each form of a target (RFC 9112, 3.2) begins like this, or has a colon behind its scheme or host.
        let is_target = matches!(target, [b'/' | b'*', ..]) || target.contains(&b':');
        let (_, protocol) = VERSIONS.into_iter().find(|(name, _)| {
            version.split_at_checked(name.len()).is_some_and(|(begin, _)| begin.eq_ignore_ascii_case(name))
        })?;
        (is_method(method) && is_target && words.next().is_none()).then_some(protocol)
    }

    /// Detects a protocol in the beginning of a first line that exceeds the limit. Text of this length hardly has a
    /// second word that looks like the target of a request.
    pub(crate) fn in_overlong(beginning: &[u8]) -> Option<ForeignProtocol> {
        ForeignProtocol::in_line(beginning).or_else(|| ForeignProtocol::in_overlong_request(beginning))
    }

    fn in_overlong_request(beginning: &[u8]) -> Option<ForeignProtocol> {
        let beginning = &without_nuls(beginning)[..];
        let [method, target, version] = words_of(beginning)?;
        let is_target = matches!(target, [b'/' | b'*', ..]) || target.starts_with(b"http");
        // With a known method, the text behind the target does not matter.
        let is_in_use = METHODS.contains(&method) && is_target;
        let is_request = is_method(method) && target.starts_with(b"/") && is_version_begun(version);
        (is_in_use || is_request).then_some(ForeignProtocol::Http)
    }

    /// Detects a protocol in a first line whose end is missing, and will not come. For HTTP the line may be as short as
    /// ordinary text, so the method has to be a known one.
    pub(crate) fn in_partial(line: &[u8]) -> Option<ForeignProtocol> {
        ForeignProtocol::in_line(line).or_else(|| ForeignProtocol::in_partial_request(line))
    }

    fn in_partial_request(line: &[u8]) -> Option<ForeignProtocol> {
        let [method, target, version] = words_of(line)?;
        let has_scheme = target.starts_with(b"http://") || target.starts_with(b"https://");
        let is_target = target.starts_with(b"/") || target == b"*" || has_scheme;
        (METHODS.contains(&method) && is_target && is_version_begun(version)).then_some(ForeignProtocol::Http)
    }
}

/// Names of the versions in a request line.
const VERSIONS: [(&[u8], ForeignProtocol); 3] =
    [(b"HTTP/", ForeignProtocol::Http), (b"SIP/", ForeignProtocol::Sip), (b"RTSP/", ForeignProtocol::Rtsp)];

/// Beginnings that no first line of a person has, without NULs.
const BEGINNINGS: [(&[u8], ForeignProtocol); 11] = [
    (b"<?xml ", ForeignProtocol::Xmpp),
    (b"<stream:stream", ForeignProtocol::Xmpp),
    (b"8=FIX", ForeignProtocol::Binary),
    (b"AMQP\t\x01", ForeignProtocol::Binary),
    (b"AMQP\x01", ForeignProtocol::Binary),
    (b"AMQP\x02", ForeignProtocol::Binary),
    (b"AMQP\x03", ForeignProtocol::Binary),
    // X11.
    (b"l\x0b", ForeignProtocol::Binary),
    (b"B\x0b", ForeignProtocol::Binary),
    // HL7: the records of patients.
    (b"\x0bMSH|", ForeignProtocol::Binary),
    (b"RFB 003.", ForeignProtocol::Vnc),
];

/// Whether a connection begins with a startup message of PostgreSQL: its length, the version 3, and a parameter.
/// Without NULs, the length has one byte or two.
fn is_postgres(beginning: &[u8]) -> bool {
    (1..=2).any(|len| beginning.get(len..).is_some_and(|rest| rest.starts_with(b"\x03user")))
}

/// Whether a connection begins with a request for a service of git: its length in four digits, then the service.
fn is_git(beginning: &[u8]) -> bool {
    let Some((length, request)) = beginning.split_at_checked(4) else { return false };
    let services: [&[u8]; 3] = [b"git-upload-pack ", b"git-receive-pack ", b"git-upload-archive "];
    length.iter().all(u8::is_ascii_hexdigit) && services.iter().any(|service| request.starts_with(service))
}

/// Returns a line without NULs, and without byte order marks at its start: as the room reads it.
fn without_padding(line: &[u8]) -> Cow<'_, [u8]> {
    match without_nuls(line) {
        Cow::Borrowed(line) => Cow::Borrowed(without_marks(line)),
        Cow::Owned(line) => Cow::Owned(without_marks(&line).to_vec()),
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
            "get / http/1.1",
            "Get / Http/1.1",
            "GET /",
            "POST /login",
            "DELETE /rooms/1",
        ] {
            assert_eq!(ForeignProtocol::in_line(line.as_bytes()), Some(ForeignProtocol::Http), "{line}");
        }
    }

    #[test]
    fn ordinary_text_is_not_a_request() {
        for line in [
            "hello",
            "get /",
            "GET x",
            "LOOK /etc",
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
    fn a_binary_protocol_is_detected_by_its_controls() {
        for (hello, protocol) in [
            (&b"\x10\x1a\0\x04MQTT\x04\x02\0\x3c\0\x0eclient"[..], ForeignProtocol::Binary),
            (b"\0\0\0\x29\0\x03\0\0user\0ana\0database\0ana\0\0", ForeignProtocol::Binary),
            (b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\x01\x02\x05\x06", ForeignProtocol::Binary),
            (b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0", ForeignProtocol::Binary),
            (b"0032git-upload-pack /project.git\0host=myserver.com\0", ForeignProtocol::Git),
            (b"<?xml version='1.0'?><stream:stream to='x'>", ForeignProtocol::Xmpp),
            (b"<stream:stream to='x' version='1.0'>", ForeignProtocol::Xmpp),
            (b"AMQP\0\0\x09\x01", ForeignProtocol::Binary),
            (b"l\0\x0b\0\0\0\0\0\0\0\0\0", ForeignProtocol::Binary),
            (b"8=FIX.4.2\x019=99", ForeignProtocol::Binary),
            (b"\x0bMSH|^~\\&|A\r", ForeignProtocol::Binary),
            (b"RFB 003.008\n", ForeignProtocol::Vnc),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01", ForeignProtocol::Proxy),
        ] {
            assert_eq!(ForeignProtocol::in_prefix([&[], hello]), Some(protocol));
            if protocol == ForeignProtocol::Proxy {
                continue;
            }
            // Byte by byte, as the decoder keeps the bytes before.
            let mut before = Vec::new();
            let found = hello.iter().find_map(|&byte| {
                let found = ForeignProtocol::in_prefix([&before, &[byte]]);
                before.extend((byte != 0).then_some(byte));
                found
            });
            assert_eq!(found, Some(protocol));
        }
        // Shorter ones are detected when nothing more comes.
        for hello in [&b"\x05\x01\0"[..], b"\0\0\0\x08\x04\xd2\x16\x2f"] {
            assert_eq!(ForeignProtocol::in_prefix([&[], hello]), None);
            assert_eq!(ForeignProtocol::in_partial(hello), Some(ForeignProtocol::Binary), "{hello:?}");
        }
    }

    #[test]
    fn what_people_and_c_programs_send_is_not_a_binary_protocol() {
        for line in [
            "tab\there and more text",
            "hello\0\0\0\0\0\0\0\0\0\0",
            "\0\0\0\0\0\0\0\0\0\0\0hello",
            "helo\x08\x08llo, world",
            "hello\x7f\x7fy all",
            "\x1b[A\x1b[D/nick ana",
            "\x15\x17\x03hello, all of you",
            "hello, al\x17you all",
            "AMQP\tis another protocol",
            "\u{feff}hello, world",
            "caf\u{e9} and \u{85} and \u{9b}",
            "a lone\rCR in it",
        ] {
            assert_eq!(ForeignProtocol::in_prefix([&[], line.as_bytes()]), None, "{line:?}");
            assert_eq!(ForeignProtocol::in_partial(line.as_bytes()), None, "{line:?}");
        }
        assert_eq!(ForeignProtocol::in_prefix([b"", b"caf\xe9, in latin1"]), None);
        assert_eq!(ForeignProtocol::in_line("\u{feff}\0PA\0SS x\0".as_bytes()), Some(ForeignProtocol::Irc));
        for (line, protocol) in
            [("OPTIONS sip:nm SIP/2.0", ForeignProtocol::Sip), ("OPTIONS / RTSP/1.0", ForeignProtocol::Rtsp)]
        {
            assert_eq!(ForeignProtocol::in_line(line.as_bytes()), Some(protocol));
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
        let said = b"/say \x01\x02\x03\x04\x05\x06";
        assert_eq!(ForeignProtocol::in_prefix([&said[..3], &said[3..]]).or(ForeignProtocol::in_line(said)), None);
    }
}
