//! Addresses as people write them: a host and a port, perhaps with a scheme before or a slash behind them.
//!
//! The flags of both programs accept every form with one plain meaning. Each program decides about schemes, and about
//! a host or a port that is left out.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Error of parsing an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no text.
    #[error("the address is missing: write {example}")]
    Missing {
        /// An address of this kind.
        example: &'static str,
    },
    /// There is no host.
    #[error("the host is missing: write {example}")]
    NoHost {
        /// An address of this kind.
        example: &'static str,
    },
    /// There is no port, and no default for it.
    #[error("the port is missing: write {example}")]
    NoPort {
        /// The same host with a port.
        example: String,
    },
    /// The text after the host is no port.
    #[error("a port is a number from {min} to 65535, as in {example}")]
    Port {
        /// The lowest port.
        min: u16,
        /// An address of this kind.
        example: &'static str,
    },
    /// Several colons or brackets, but no IPv6 address.
    #[error("write an IPv6 address as ::1, [::1] or [::1]:46000")]
    Ipv6,
    /// An IPv6 address that may end in a port.
    #[error("write [{host}]:{port} for port {port}, or [{host}:{port}] for the whole address")]
    Ambiguous {
        /// The text before the last colon.
        host: String,
        /// The text behind it.
        port: String,
    },
    /// The host is neither a name nor an IPv4 address.
    #[error("'{host}' is neither a host name nor an IP address: write {example}")]
    Host {
        /// The text in its place.
        host: String,
        /// An address of this kind.
        example: &'static str,
    },
    /// The scheme belongs to another protocol.
    #[error("{scheme}:// {problem}: write {example}")]
    Scheme {
        /// The scheme, in lower case.
        scheme: String,
        /// The problem with it.
        problem: &'static str,
        /// An address with the same host.
        example: String,
    },
    /// The text behind `unix:` is not a whole path.
    #[error("write the whole path of a Unix socket, as in unix:/run/pollchat/lines.sock")]
    Path,
    /// The path of a Unix socket does not fit into an address of the kernel.
    #[error("the path of a Unix socket has at most {bytes_max} bytes, and this one has {bytes}")]
    PathTooLong {
        /// Its length.
        bytes: usize,
        /// The limit of the kernel.
        bytes_max: usize,
    },
    /// The text behind the slash is no name of a room.
    #[error("{0}")]
    Room(String),
    /// `--tls` and a scheme without encryption.
    #[error("the scheme is one without encryption, and --tls asks for it: write tls://{0}")]
    Encryption(String),
    /// The port stands in two places.
    #[error("the port is given twice: write {0}")]
    TwoPorts(String),
}

/// An address as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// The text before `://`, in lower case.
    pub(crate) scheme: Option<String>,
    /// The host.
    pub(crate) host: Host,
    /// The port.
    pub(crate) port: Option<u16>,
}

/// A host as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// A name or an IPv4 address, or an IPv6 address without brackets.
    Named(String),
    /// `*`: all addresses.
    Any,
    /// None, before a colon.
    Empty,
    /// None: the port stands alone.
    Omitted,
}

/// Error of parsing, before the program adds its example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ParseError {
    Missing,
    Port,
    Ipv6,
    Ambiguous { host: String, port: String },
    Host(String),
}

impl ParseError {
    /// Adds an example, and the lowest port.
    pub(crate) fn with_example(self, example: &'static str, min: u16) -> AddressError {
        match self {
            ParseError::Missing => AddressError::Missing { example },
            ParseError::Port => AddressError::Port { min, example },
            ParseError::Ipv6 => AddressError::Ipv6,
            ParseError::Ambiguous { host, port } => AddressError::Ambiguous { host, port },
            // It may hold anything, and is shown at a terminal.
            ParseError::Host(host) => AddressError::Host { host: host.escape_debug().to_string(), example },
        }
    }
}

impl Written {
    /// Parses `[SCHEME://]HOST[:PORT][/]`, `PORT`, or `HOST PORT` with blanks between them.
    pub(crate) fn parse(text: &str) -> Result<Written, ParseError> {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, text),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.split_whitespace().collect::<Vec<_>>()[..] {
            [] => return Err(ParseError::Missing),
            [one] => host_and_port(one)?,
            [host, port] => (host_alone(host)?, Some(parse_port(port)?)),
            _ => return Err(ParseError::Host(rest.to_owned())),
        };
        Ok(Written { scheme, host, port })
    }
}

/// Displays a host and a port, with an IPv6 address in brackets.
pub(crate) fn shown(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn host_and_port(text: &str) -> Result<(Host, Option<u16>), ParseError> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or(ParseError::Ipv6)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(parse_port(port)?),
            None if rest.is_empty() => None,
            None => return Err(ParseError::Ipv6),
        };
        return Ok((ipv6(host)?, port));
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => bare_ipv6(text),
        Some(("", port)) => Ok((Host::Empty, Some(parse_port(port)?))),
        Some((host, port)) => Ok((named(host)?, Some(parse_port(port)?))),
        None if is_number(text) => Ok((Host::Omitted, Some(parse_port(text)?))),
        None => Ok((named(text)?, None)),
    }
}

fn host_alone(text: &str) -> Result<Host, ParseError> {
    match host_and_port(text)? {
        (host, None) => Ok(host),
        _ => Err(ParseError::Host(text.to_owned())),
    }
}

/// Parses an IPv6 address without brackets. A port behind it is recognised if the whole is no address.
fn bare_ipv6(text: &str) -> Result<(Host, Option<u16>), ParseError> {
    let (host, port) = text.rsplit_once(':').ok_or(ParseError::Ipv6)?;
    let has_port = ipv6(host).is_ok() && is_number(port);
    // The zone of a link-local address contains no colon.
    let has_zone = text.contains('%');
    match ipv6(text) {
        Ok(_) if has_port && !has_zone && port.len() > 1 => {
            Err(ParseError::Ambiguous { host: host.to_owned(), port: port.to_owned() })
        }
        Ok(whole) if !(has_port && has_zone) => Ok((whole, None)),
        _ => Ok((ipv6(host)?, Some(parse_port(port)?))),
    }
}

fn ipv6(host: &str) -> Result<Host, ParseError> {
    // A link-local address has a zone, as in fe80::1%eth0. The resolver knows the zones.
    let (address, _zone) = host.split_once('%').unwrap_or((host, ""));
    address.parse::<Ipv6Addr>().map(|_| Host::Named(host.to_owned())).map_err(|_| ParseError::Ipv6)
}

fn named(host: &str) -> Result<Host, ParseError> {
    if host == "*" {
        return Ok(Host::Any);
    }
    let is_in_names = |letter: char| letter.is_alphanumeric() || "-._".contains(letter);
    let is_numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    // The resolver would look "300.1.1.1" up as a name, and take "10.1" for 10.0.0.1.
    let is_valid = host.chars().all(is_in_names) && (!is_numeric || host.parse::<Ipv4Addr>().is_ok());
    if is_valid { Ok(Host::Named(host.to_owned())) } else { Err(ParseError::Host(host.to_owned())) }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse_port(text: &str) -> Result<u16, ParseError> {
    // `u16::from_str` would accept a plus sign.
    if is_number(text) { text.parse().map_err(|_| ParseError::Port) } else { Err(ParseError::Port) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(Host, Option<u16>), ParseError> {
        Written::parse(text).map(|written| (written.host, written.port))
    }

    fn named(host: &str) -> Host {
        Host::Named(host.to_owned())
    }

    #[test]
    fn every_form_with_one_meaning_is_parsed() {
        for (text, host, port) in [
            ("localhost", named("localhost"), None),
            ("chat.example:4000", named("chat.example"), Some(4000)),
            ("  chat.example:4000 ", named("chat.example"), Some(4000)),
            ("chat.example:4000/", named("chat.example"), Some(4000)),
            ("chat.example 4000", named("chat.example"), Some(4000)),
            ("chat.example\t4000", named("chat.example"), Some(4000)),
            ("127.0.0.1:1", named("127.0.0.1"), Some(1)),
            ("46001", Host::Omitted, Some(46001)),
            ("0", Host::Omitted, Some(0)),
            (":46001", Host::Empty, Some(46001)),
            ("*:46001", Host::Any, Some(46001)),
            ("*", Host::Any, None),
            ("[::1]:4000", named("::1"), Some(4000)),
            ("[::1]", named("::1"), None),
            ("[::1]/", named("::1"), None),
            ("::1", named("::1"), None),
            ("::1 4000", named("::1"), Some(4000)),
            ("[::1] 4000", named("::1"), Some(4000)),
            ("::", named("::"), None),
            ("[::]:46001", named("::"), Some(46001)),
            (":::46001", named("::"), Some(46001)),
            ("::1:46001", named("::1"), Some(46001)),
            ("2001:db8::7", named("2001:db8::7"), None),
            ("2001:db8:1:2:3:4:5:6612", named("2001:db8:1:2:3:4:5:6612"), None),
            ("2001:db8:1:2:3:4:5:6:80", named("2001:db8:1:2:3:4:5:6"), Some(80)),
            ("fe80::1%eth0", named("fe80::1%eth0"), None),
            ("fe80::1%eth0:7", named("fe80::1%eth0"), Some(7)),
            ("fe80::1:6612%eth0", named("fe80::1:6612%eth0"), None),
            ("[fe80::1%eth0]:7", named("fe80::1%eth0"), Some(7)),
            ("::ffff:10.0.0.1", named("::ffff:10.0.0.1"), None),
        ] {
            assert_eq!(parsed(text), Ok((host, port)), "{text}");
        }
        let schemes = [("tcp://h:1", "tcp"), ("HTTP://h:1/", "http"), ("tcp://[::1]:1", "tcp")];
        for (text, scheme) in schemes {
            let written = Written::parse(text).unwrap();
            assert_eq!((written.scheme.as_deref(), written.port), (Some(scheme), Some(1)), "{text}");
        }
    }

    #[test]
    fn text_without_one_meaning_is_an_error() {
        for text in ["", " ", "/", "tcp://", "tcp:///"] {
            assert_eq!(parsed(text), Err(ParseError::Missing), "{text}");
        }
        for text in [
            "h:",
            ":",
            "h:65536",
            "65536",
            "h:+80",
            "h:-1",
            "h:http",
            "[::1]:",
            "[::1]:x",
            "h 70000",
            "h x",
            "::1:99999",
        ] {
            assert_eq!(parsed(text), Err(ParseError::Port), "{text}");
        }
        for text in ["[::1", "[::1]4000", "[]", "[localhost]:4000", "a:b:c", "h:1:2", "1::2::3"] {
            assert_eq!(parsed(text), Err(ParseError::Ipv6), "{text}");
        }
        for text in
            ["h/room", "h/room:1", "ana@h:1", "300.1.1.1:1", "10.1", "127.0.0.1.", "h?x", "a b c", "h:1 2", "\u{1b}[2J"]
        {
            assert!(matches!(parsed(text), Err(ParseError::Host(_) | ParseError::Port)), "{text}: {:?}", parsed(text));
        }
        for (text, host, port) in [("::1:80", "::1", "80"), ("fe80::a:4612", "fe80::a", "4612")] {
            let (host, port) = (host.to_owned(), port.to_owned());
            assert_eq!(parsed(text), Err(ParseError::Ambiguous { host, port }), "{text}");
        }
    }
}
