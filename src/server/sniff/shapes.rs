//! Shapes of first lines by which the client of a text protocol is recognised.
//!
//! A shape has the words of a line with their number and their case, because people chat on this port: `PASS hunter2`
//! is IRC, `PASS me the salt` is not. Commands that are ordinary words alone (`stats`, `PING`, `HELP`, `USER ana`)
//! have no shape.

use super::ForeignProtocol::{
    self, Ftp, Imap, Irc, Nntp, Pop3, Proxy, Redis, Rsync, Smtp, Ssh, Stomp, Stratum, Syslog,
};

/// The shapes. In a shape, `?` is any word, `#` a number, `:` a word with a colon at its start and all that follows it,
/// `%` a host name, `$` the tag of IMAP, and `...` all that follows. Any other word is itself.
const SHAPES: &[(ForeignProtocol, &str)] = &[
    (Irc, "PASS ?"),
    (Irc, "PASS :"),
    (Irc, "NICK ?"),
    (Irc, "NICK ? #"),
    (Irc, "USER ? ? ? :"),
    (Irc, "USER ? ? * ?"),
    (Irc, "CAP LS"),
    (Irc, "CAP LS #"),
    (Irc, "CAP REQ :"),
    (Irc, "CAP END"),
    (Irc, "WEBIRC ? ? ? ?"),
    (Irc, "WEBIRC ? ? ? ? :"),
    (Irc, "PRIVMSG ? :"),
    (Smtp, "EHLO"),
    (Smtp, "EHLO ?"),
    (Smtp, "ehlo ?"),
    (Smtp, "LHLO ?"),
    (Smtp, "HELO %"),
    (Smtp, "MAIL FROM:<..."),
    (Smtp, "AUTH PLAIN ?"),
    (Smtp, "AUTH LOGIN"),
    (Smtp, "AUTH LOGIN ?"),
    (Pop3, "STLS"),
    (Pop3, "APOP ? ?"),
    (Imap, "$ LOGIN ? ?"),
    (Imap, "$ AUTHENTICATE ?"),
    (Imap, "$ AUTHENTICATE ? ?"),
    (Imap, "$ CAPABILITY"),
    (Imap, "$ STARTTLS"),
    (Imap, "$ NOOP"),
    (Imap, "$ LOGOUT"),
    (Ftp, "AUTH TLS"),
    (Ftp, "USER anonymous"),
    (Nntp, "MODE READER"),
    (Nntp, "AUTHINFO ? ?"),
    (Stomp, "CONNECT"),
    (Stomp, "STOMP"),
    (Rsync, "@RSYNCD: ..."),
    // Version 2 in binary ends its signature with a line `QUIT`.
    (Proxy, "QUIT"),
    (Proxy, "PROXY TCP4 ? ? # #"),
    (Proxy, "PROXY TCP6 ? ? # #"),
    (Proxy, "PROXY UNKNOWN"),
    (Proxy, "PROXY UNKNOWN ? ? # #"),
];

/// Longest word of a shape that is no secret: a nick, a host or a tag.
const TAG_BYTES_MAX: usize = 12;

/// Returns the protocol whose shape a first line has. The line has neither its end nor NULs.
pub(super) fn protocol_of(line: &[u8]) -> Option<ForeignProtocol> {
    let shape = SHAPES.iter().find(|(_, shape)| fits(shape, line)).map(|&(protocol, _)| protocol);
    shape
        .or_else(|| is_ssh(line).then_some(Ssh))
        .or_else(|| is_resp(line).then_some(Redis))
        .or_else(|| is_stratum(line).then_some(Stratum))
        .or_else(|| is_syslog(line).then_some(Syslog))
}

/// Whether a line has the words of a shape.
fn fits(shape: &str, line: &[u8]) -> bool {
    let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    for wanted in shape.split(' ') {
        let Some(word) = words.next() else { return wanted == "..." };
        let is_right = match wanted {
            "..." => return true,
            ":" if word.starts_with(b":") => return true,
            ":" => false,
            "?" => true,
            "#" => word.iter().all(u8::is_ascii_digit),
            "%" => !word.iter().all(u8::is_ascii_uppercase),
            "$" => is_tag(word),
            _ => match wanted.strip_suffix("...") {
                Some(beginning) if word.starts_with(beginning.as_bytes()) => return true,
                _ => word == wanted.as_bytes(),
            },
        };
        if !is_right {
            return false;
        }
    }
    words.next().is_none()
}

/// Whether a word is a tag of IMAP: short, and with a digit (RFC 9051, 2.2.1), or a dot as people type it.
fn is_tag(word: &[u8]) -> bool {
    let is_short = word.len() <= TAG_BYTES_MAX && word.iter().all(u8::is_ascii_alphanumeric);
    word == b"." || (is_short && word.iter().any(u8::is_ascii_digit))
}

/// Whether a line is an identification of SSH (RFC 4253, 4.2).
fn is_ssh(line: &[u8]) -> bool {
    line.starts_with(b"SSH-2.0-") || line.starts_with(b"SSH-1.")
}

/// Whether a line is the beginning of a command of Redis: an array of so many strings.
fn is_resp(line: &[u8]) -> bool {
    matches!(line, [b'*', digits @ ..] if (1..=4).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit))
}

/// Whether a line is a request of a mining client. JSON of other kinds may be meant for the room.
fn is_stratum(line: &[u8]) -> bool {
    if !line.starts_with(b"{") {
        return false;
    }
    let text: Vec<u8> = line.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let has = |part: &[u8]| memchr::memmem::find(&text, part).is_some();
    has(br#""method":"mining."#)
        || has(br#""method":"eth_submitLogin""#)
        || (has(br#""method":"login""#) && has(br#""pass":"#))
}

/// Whether a line is a message of syslog: a priority, then a version and a date (RFC 5424, 6), or a month (RFC 3164, 4).
fn is_syslog(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"<") else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=3).contains(&digits) {
        return false;
    }
    match &rest[digits..] {
        [b'>', b'1', b' ', date @ ..] => date.len() > 4 && date[..4].iter().all(u8::is_ascii_digit) && date[4] == b'-',
        [b'>', month @ ..] => MONTHS.iter().any(|name| month.starts_with(name)) && month.get(3) == Some(&b' '),
        _ => false,
    }
}

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_of_clients_are_recognised() {
        for (protocol, lines) in [
            (Irc, &["PASS hunter2", "PASS :hun ter 2", "NICK b", "NICK [b]_`", "USER a 0 * :b", "USER a 0 * b"][..]),
            (Irc, &["USER guest tolmoon tolsun :Ronnie Reagan", "CAP LS", "CAP LS 302", "CAP REQ :sasl", "CAP END"]),
            (Irc, &["WEBIRC secret gateway host 192.0.2.1", "PRIVMSG #a :hello", "NICK b 1"]),
            (Smtp, &["EHLO", "EHLO x", "ehlo x", "HELO x", "HELO mail.example.org", "HELO [192.0.2.1]", "LHLO x"]),
            (Smtp, &["MAIL FROM:<a@b.c>", "AUTH PLAIN AGFuYQBzZWNyZXQ=", "AUTH LOGIN"]),
            (Pop3, &["STLS", "APOP ana c4c9334bac560ecc979e58001b3e22fb"]),
            (Imap, &["a1 LOGIN ana secret", "A0001 CAPABILITY", "1 STARTTLS", ". LOGIN ana secret"]),
            (Imap, &["a AUTHENTICATE PLAIN", "a1 AUTHENTICATE PLAIN AGFuYQA="][1..]),
            (Ftp, &["AUTH TLS", "USER anonymous"]),
            (Nntp, &["MODE READER", "AUTHINFO USER ana"]),
            (Stomp, &["CONNECT", "STOMP"]),
            (Rsync, &["@RSYNCD: 31.0 sha512 md5", "@RSYNCD: 31.0"]),
            (Proxy, &["PROXY TCP4 192.0.2.1 192.0.2.2 56324 443", "PROXY UNKNOWN", "QUIT"]),
            (Proxy, &["PROXY TCP6 2001:db8::1 2001:db8::2 56324 443"]),
            (Ssh, &["SSH-2.0-OpenSSH_9.2p1 Debian-2", "SSH-1.99-x"]),
            (Redis, &["*1", "*2", "*13"]),
            (Stratum, &[r#"{"id":1,"method":"mining.subscribe","params":[]}"#]),
            (Stratum, &[r#"{"id": 1, "method": "login", "params": {"login": "w", "pass": "x"}}"#]),
            (Syslog, &["<34>1 2003-10-11T22:14:15.003Z host su - - - x", "<13>Feb  5 17:32:18 host x"]),
        ] {
            for line in lines {
                assert_eq!(protocol_of(line.as_bytes()), Some(protocol), "{line}");
            }
        }
    }

    #[test]
    fn chat_is_not_a_protocol() {
        for line in [
            "PASS me the salt",
            "PASS",
            "pass hunter2",
            "Pass it",
            "PASSWORD hunter2",
            "NICK is here",
            "NICK",
            "nick bob",
            "Nick b",
            "USER error",
            "USER",
            "USER error in line 5",
            "USER a b c d",
            "CAP",
            "CAP it all",
            "CAP LS is a command",
            "helo world",
            "HELO WORLD",
            "hello",
            "HELLO",
            "helo",
            "HELO",
            "MAIL from ana",
            "AUTH",
            "AUTH failed",
            "AUTH me please",
            "a LOGIN ana secret",
            "I LOGIN at noon",
            "LOGIN ana secret",
            "a1 login page broken",
            "a1 is NOOP",
            "CAPABILITY",
            "mode reader",
            "CONNECT me",
            "connect",
            "STOMP on it",
            "PROXY",
            "PROXY is down",
            "PROXY TCP4",
            "quit",
            "Quit",
            "QUIT it",
            "SSH",
            "SSH-keys are here",
            "*",
            "**",
            "*1 is wrong",
            "*hug*",
            "* ana left",
            "*a",
            "*12345",
            "PING",
            "HELP",
            "stats",
            "version",
            "get x",
            "{",
            "{}",
            r#"{"id":1,"method":"ping"}"#,
            r#"{"text":"mining.subscribe"}"#,
            "<3",
            "<3>",
            "<34>",
            "<34>1",
            "<34>x",
            "<1>May",
            "<b>1 2003",
            "JOIN #rust",
            "PRIVMSG",
            "PRIVMSG is broken",
            "WEBIRC is down",
            "@RSYNCD",
            "EHLO a b",
            "ehlo",
            "FIN",
            "exit",
            "/msg ana PASS x",
            " PASS",
            "200 OK",
            "OPTIONS",
            "GET",
            "login: ana",
            "QUIT.",
        ] {
            assert_eq!(protocol_of(line.as_bytes()), None, "{line}");
        }
    }
}
