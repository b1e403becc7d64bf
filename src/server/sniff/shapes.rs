//! Shapes of first lines by which the client of a text protocol is recognised.
//!
//! A shape has the words of a line with their number, because people chat on this port: `PASS hunter2` is IRC, `PASS me
//! the salt` is not. Commands that are ordinary words alone (`stats`, `PING`, `HELP`, `USER ana`) have no shape.

use super::ForeignProtocol::{
    self, Asterisk, Ftp, Imap, Irc, JsonRpc, Login, Memcached, Nats, Nntp, Pop3, Proxy, Redis, Rsync, Smtp, Ssh, Stomp,
    Stratum, Syslog, Vnc, Weechat,
};

/// The shapes. In a shape, `?` is any word, `#` a number, `:` a word with a colon at its start and all that follows it,
/// `%` a host name, `~` one that no word of chat looks like, `$` the tag of IMAP, `!` any word that [people](CHAT) do
/// not write there, and `...` all that follows. Any other word is itself: in lower case it is so in any case.
const SHAPES: &[(ForeignProtocol, &str)] = &[
    (Irc, "PASS ?"),
    (Irc, "pass !"),
    (Irc, "pass :"),
    (Irc, "NICK ?"),
    (Irc, "nick ? #"),
    (Irc, "user ? ? ? :"),
    (Irc, "user ? ? * ?"),
    (Irc, "user ? # * ?"),
    (Irc, "cap ls"),
    (Irc, "cap ls #"),
    (Irc, "cap req :"),
    (Irc, "CAP END"),
    (Irc, "webirc ? ? ? ?"),
    (Irc, "webirc ? ? ? ? :"),
    (Irc, "OPER ? ?"),
    (Irc, "privmsg ? :"),
    (Smtp, "ehlo"),
    (Smtp, "ehlo ?"),
    (Smtp, "lhlo"),
    (Smtp, "lhlo ?"),
    (Smtp, "HELO %"),
    (Smtp, "helo ~"),
    (Smtp, "mail from:<..."),
    (Smtp, "auth plain ?"),
    (Smtp, "auth login"),
    (Smtp, "auth login ?"),
    (Smtp, "auth cram-md5"),
    (Pop3, "stls"),
    (Pop3, "apop ? ?"),
    (Imap, "$ login ! !"),
    (Imap, "a login ! !"),
    (Imap, "$ authenticate ?"),
    (Imap, "$ authenticate ? ?"),
    (Imap, "$ capability"),
    (Imap, "$ starttls"),
    (Imap, "$ NOOP"),
    (Imap, "$ LOGOUT"),
    (Ftp, "auth tls"),
    (Ftp, "user anonymous"),
    (Redis, "auth !"),
    (Redis, "AUTH ! !"),
    (Redis, "auth default !"),
    (Redis, "hello # auth ? ?"),
    (Nntp, "mode reader"),
    (Nntp, "authinfo ? ?"),
    (Login, "LOGIN ! !"),
    (Login, "LOGIN !"),
    (Login, "authenticate \"..."),
    (Login, "AUTHENTICATE"),
    (Login, "AUTHENTICATE !"),
    (Login, "password !"),
    (Asterisk, "action: login"),
    (Asterisk, "action: challenge"),
    (Memcached, "set ? # # #"),
    (Memcached, "set ? # # # noreply"),
    (Memcached, "add ? # # #"),
    (Memcached, "cas ? # # # #"),
    (Memcached, "replace ? # # #"),
    (Nats, "connect {..."),
    (Vnc, "RFB 003.00..."),
    (Weechat, "init password=..."),
    (Weechat, "init password_hash=..."),
    (Weechat, "handshake password_hash_algo=..."),
    (Stomp, "CONNECT"),
    (Stomp, "STOMP"),
    (Rsync, "@RSYNCD: ..."),
    (Proxy, "PROXY TCP4 ? ? # #"),
    (Proxy, "PROXY TCP6 ? ? # #"),
    (Proxy, "PROXY UNKNOWN"),
    (Proxy, "PROXY UNKNOWN ? ? # #"),
];

/// Words that people write behind `pass`, `auth`, `login` or `password`, where a client has a name or a secret. They
/// are compared in lower case, without the marks behind them.
const CHAT: &str = "\
    a again all along an and any anyone around at away back broke broken button by can does down error errors \
    everyone expired failed failing fails failure fine first fixed for forgotten form go gone has help her here him \
    how i in is issue issues it its keeps later lost manager me mine my no not now of off ok okay on one or our out \
    over page please pls policy problem problems prompt protected required reset screen server service so still that \
    the them there these this those through timeout to today token up us was what when who why with works wrong you \
    your";

/// Longest word of a shape that is no secret: a nick, a host or a tag.
const TAG_BYTES_MAX: usize = 12;

/// Returns the protocol whose shape a first line has. The line has neither its end nor NULs.
pub(super) fn protocol_of(line: &[u8]) -> Option<ForeignProtocol> {
    // WeeChat may name each command.
    let unnamed = match line {
        [b'(', rest @ ..] => rest.iter().position(|&byte| byte == b')').map(|end| &rest[end + 1..]),
        _ => None,
    };
    let line = unnamed.unwrap_or(line);
    let shape = SHAPES.iter().find(|(_, shape)| fits(shape, line)).map(|&(protocol, _)| protocol);
    shape
        .or_else(|| is_ssh(line).then_some(Ssh))
        .or_else(|| is_resp(line).then_some(Redis))
        .or_else(|| is_stratum(line).then_some(Stratum))
        .or_else(|| is_json_rpc(line).then_some(JsonRpc))
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
            "~" => word.starts_with(b"[") || word.contains(&b'.') || word.eq_ignore_ascii_case(b"localhost"),
            "!" => !is_chat(word),
            "$" => is_tag(word),
            _ => match wanted.strip_suffix("...") {
                Some(beginning) => {
                    return word.split_at_checked(beginning.len()).is_some_and(|(word, _)| is_word(beginning, word));
                }
                None => is_word(wanted, word),
            },
        };
        if !is_right {
            return false;
        }
    }
    words.next().is_none()
}

/// Whether a word is this one of a shape, in any case if the shape has it in lower case.
fn is_word(wanted: &str, word: &[u8]) -> bool {
    let is_any_case = !wanted.bytes().any(|byte| byte.is_ascii_uppercase());
    word == wanted.as_bytes() || (is_any_case && word.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// Whether people write a word where a client has a name or a secret.
fn is_chat(word: &[u8]) -> bool {
    let Ok(word) = str::from_utf8(word) else { return false };
    let word = word.trim_end_matches(['.', ',', ':', ';', '!', '?', ')']);
    word.is_empty() || CHAT.split(' ').any(|chat| word.eq_ignore_ascii_case(chat))
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

/// Whether a line is an object of JSON with a method and with what the others have. JSON without one may be meant for
/// the room.
fn is_json_rpc(line: &[u8]) -> bool {
    has_in_json(line, |has| {
        has(br#"{"jsonrpc":"#) || has(br#","jsonrpc":"#) || has(br#"{"method":"#) || has(br#","method":"#)
    })
}

/// Asks which parts a line has without white space, if it is an object of JSON.
fn has_in_json(line: &[u8], is_it: impl Fn(&dyn Fn(&[u8]) -> bool) -> bool) -> bool {
    if !line.starts_with(b"{") {
        return false;
    }
    let text: Vec<u8> = line.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    is_it(&|part| memchr::memmem::find(&text, part).is_some())
}

/// Whether a line is a request of a mining client.
fn is_stratum(line: &[u8]) -> bool {
    has_in_json(line, |has| {
        has(br#""method":"mining."#)
            || has(br#""method":"eth_submitLogin""#)
            || (has(br#""method":"login""#) && has(br#""pass":"#))
    })
}

/// Whether a line is a message of syslog: a priority, then a version and a date (RFC 5424, 6), or a month (RFC 3164,
/// 4).
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

    /// First lines, one in a row, by their protocol.
    const FOREIGN: &[(ForeignProtocol, &str)] = &[
        (Irc, "PASS hunter2 | PASS :hun ter 2 | pass hunter2 | Pass x | NICK b | NICK [b]_` | NICK b 1 | nick b 1"),
        (Irc, "USER a 0 * :b | USER a 0 * b | user a 0 * :b | user a 8 * b | OPER ana hunter2"),
        (Irc, "USER guest tolmoon tolsun :Ronnie Reagan | CAP LS | cap ls 302 | CAP REQ :sasl | CAP END"),
        (Irc, "WEBIRC secret gateway host 192.0.2.1 | PRIVMSG #a :hello"),
        (Smtp, "EHLO | EHLO x | ehlo x | ehlo | LHLO x | lhlo | HELO x | HELO mail.example.org | HELO [192.0.2.1]"),
        (Smtp, "helo mail.example.org | helo localhost | helo [192.0.2.1] | MAIL FROM:<a@b.c> | mail from:<a@b.c>"),
        (Smtp, "AUTH PLAIN AGFuYQBzZWNyZXQ= | auth plain x | AUTH LOGIN"),
        (Pop3, "STLS | APOP ana c4c9334bac560ecc979e58001b3e22fb"),
        (Imap, "a1 LOGIN ana secret | A0001 CAPABILITY | 1 STARTTLS | . LOGIN ana secret | a1 login ana secret"),
        (Imap, "a1 AUTHENTICATE PLAIN AGFuYQA= | a1 authenticate plain | a LOGIN ana secret"),
        (Ftp, "AUTH TLS | USER anonymous"),
        (Redis, "*1 | *2 | *13 | AUTH x | AUTH hunter2 | auth hunter2 | AUTH user x | AUTH default x | auth ClueCon"),
        (Redis, "HELLO 3 AUTH default hunter2"),
        (Nntp, "MODE READER | AUTHINFO USER ana | authinfo pass hunter2"),
        (Login, "LOGIN ana secret | LOGIN ana | AUTHENTICATE \"PLAIN\" \"AGFuYQA=\" | authenticate \"hunter2\""),
        (Login, "AUTHENTICATE | AUTHENTICATE 0a0b0c | PASSWORD hunter2 | password hunter2"),
        (Asterisk, "Action: Login | action: login | Action: Challenge"),
        (Memcached, "set k 0 0 5 | set k 0 0 5 noreply | cas k 0 0 5 7 | SET k 0 0 5"),
        (Nats, "CONNECT {\"user\":\"a\",\"pass\":\"b\"} | CONNECT {} | connect { | CONNECT {"),
        (Vnc, "RFB 003.008"),
        (Weechat, "init password=hunter2 | init password=a,compression=off | (1) init password=a"),
        (Weechat, "(handshake) handshake password_hash_algo=plain:sha256 | init password_hash=plain:x"),
        (Stomp, "CONNECT | STOMP"),
        (Rsync, "@RSYNCD: 31.0 sha512 md5 | @RSYNCD: 31.0"),
        (Proxy, "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 | PROXY UNKNOWN"),
        (Proxy, "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443"),
        (Ssh, "SSH-2.0-OpenSSH_9.2p1 Debian-2 | SSH-1.99-x"),
        (Stratum, r#"{"id":1,"method":"mining.subscribe","params":[]}"#),
        (Stratum, r#"{"id": 1, "method": "login", "params": {"login": "w", "pass": "x"}}"#),
        (JsonRpc, r#"{"id":1,"jsonrpc":"2.0" | {"method":"login" | {"id": 1, "method": "auth", "params": ["x"]}"#),
        (JsonRpc, r#"{"id":1,"method":"ping"} | {"jsonrpc": "2.0", "id": 1}"#),
        (Syslog, "<34>1 2003-10-11T22:14:15.003Z host su - - - x | <13>Feb  5 17:32:18 host x"),
    ];

    /// First lines of people, one in a row.
    const CHAT_LINES: &[&str] = &[
        "PASS me the salt | PASS | pass | pass it | Pass it | pass it! | pass me the salt | pass please",
        "PASSWORD | password reset | password please? | the password is x | password: hunter2 is mine",
        "NICK is here | NICK | nick | nick bob | Nick b | USER error | user error | USER | USER error in line 5",
        "USER a b c d | CAP | CAP it all | CAP LS is a command | cap end",
        "helo world | HELO WORLD | hello | HELLO | helo | HELO | EHLO a b | MAIL from ana",
        "AUTH | AUTH failed | AUTH me please | auth is down | auth failed again | AUTH failed. | auth server down",
        "I LOGIN at noon | LOGIN page broken | LOGIN | login | login page broken | a1 login page broken | a1 is NOOP",
        "login ana | AUTHENTICATE me | authenticate | authenticate yourself | Action: jumps | Action! | init",
        "CAPABILITY | CONNECT me | connect | STOMP on it | connect 4 | set | set k | set it to 0 0 5 | RFB | RFB 3",
        "PROXY | PROXY is down | PROXY TCP4 | quit | Quit | QUIT | QUIT it | QUIT. | (smiles) | (1) hello | ()",
        "SSH | SSH-keys are here | * | ** | *1 is wrong | *hug* | * ana left | *a | *12345",
        "PING | HELP | stats | version | get x | add me | replace it | cas",
        r#"{ | {} | {"text":"mining.subscribe"} | {"text":"jsonrpc"} | {"a":"method"}"#,
        "<3 | <3> | <34> | <34>1 | <34>x | <1>May | <b>1 2003 | JOIN #rust | PRIVMSG | PRIVMSG is broken",
        "WEBIRC is down | @RSYNCD | FIN | exit | /msg ana PASS x | 200 OK | OPTIONS | GET | login: ana | oper | OPER",
    ];

    #[test]
    fn first_lines_of_clients_are_recognised() {
        for (protocol, lines) in FOREIGN {
            for line in lines.split(" | ") {
                assert_eq!(protocol_of(line.as_bytes()), Some(*protocol), "{line}");
            }
        }
    }

    #[test]
    fn chat_is_not_a_protocol() {
        for line in CHAT_LINES.iter().flat_map(|lines| lines.split(" | ")) {
            assert_eq!(protocol_of(line.as_bytes()), None, "{line}");
        }
    }
}
