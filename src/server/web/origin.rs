//! Origin policy: checks of the `Host` and the `Origin` of a request (RFC 9110, 7.2; RFC 6454).
//!
//! A browser sends requests on behalf of any open page. So that a foreign page cannot join the room, a WebSocket opens
//! only if the `Origin` is our own (RFC 6455, 10.2). A foreign name can also resolve to our address after its page was
//! loaded (DNS rebinding), which makes its origin look like our own. So the `Host` has to be an address or a known
//! name.
//!
//! Tests are here and in `tests/server/web/hosts.rs`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Hosts and origins that the site answers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginPolicy {
    /// Names of the server (`--web-host`), in addition to its addresses and `localhost`.
    pub hosts: Vec<HostName>,
    /// Origins of other pages that may open a WebSocket (`--web-origin`).
    pub origins: Vec<Origin>,
}

impl OriginPolicy {
    /// Whether a request to this host is answered.
    pub(crate) fn allows_host(&self, authority: &Authority) -> bool {
        let host = authority.host.as_str();
        authority.is_address() || host == "localhost" || self.hosts.iter().any(|known| known.0 == host)
    }

    /// Whether a page of this origin may open a WebSocket, in a request to this host.
    pub(crate) fn allows_origin(&self, origin: &Origin, authority: &Authority) -> bool {
        let port = authority.port.unwrap_or(origin.scheme.port());
        let is_own = origin.authority.host == authority.host && origin.port() == port;
        is_own || self.origins.iter().any(|known| known.is_same(origin))
    }
}

/// Host, and a port if it is given (RFC 3986, 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    /// Lower case; an IPv6 address is in canonical form, without brackets.
    host: String,
    is_ipv6: bool,
    port: Option<u16>,
}

impl Authority {
    /// Parses the value of a `Host` field; `None` if it is invalid.
    pub(crate) fn parse(text: &str) -> Option<Authority> {
        if let Some(rest) = text.strip_prefix('[') {
            let (host, behind) = rest.split_once(']')?;
            let address = host.parse::<Ipv6Addr>().ok()?;
            let port = if behind.is_empty() { None } else { parse_port(behind.strip_prefix(':')?)? };
            return Some(Authority { host: address.to_string(), is_ipv6: true, port });
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, parse_port(port)?),
            None => (text, None),
        };
        is_name(host).then(|| Authority { host: host.to_ascii_lowercase(), is_ipv6: false, port })
    }

    /// Returns the host, without a port.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    fn is_address(&self) -> bool {
        self.is_ipv6 || self.host.parse::<Ipv4Addr>().is_ok()
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Authority { host, is_ipv6, port } = self;
        let (open, close) = if *is_ipv6 { ("[", "]") } else { ("", "") };
        write!(f, "{open}{host}{close}")?;
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Name of the server, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<HostName, String> {
        if is_name(text) {
            Ok(HostName(text.to_ascii_lowercase()))
        } else {
            Err("not a host name: write a name without a port, such as chat.example.org".to_owned())
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Origin of a page: scheme, host and port (RFC 6454, 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    authority: Authority,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// Returns the default port.
    fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

impl Origin {
    fn port(&self) -> u16 {
        self.authority.port.unwrap_or(self.scheme.port())
    }

    fn is_same(&self, other: &Origin) -> bool {
        self.scheme == other.scheme && self.authority.host == other.authority.host && self.port() == other.port()
    }
}

impl FromStr for Origin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Origin, NoOrigin> {
        let (scheme, authority) = text.split_once("://").ok_or(NoOrigin)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(NoOrigin),
        };
        let authority = Authority::parse(authority).ok_or(NoOrigin)?;
        Ok(Origin { scheme, authority })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.authority)
    }
}

/// Error of parsing an [`Origin`]: the text is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoOrigin;

impl fmt::Display for NoOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an origin: write scheme and host without a path, such as https://chat.example.org")
    }
}

impl std::error::Error for NoOrigin {}

/// Whether `text` may be a host name or an IPv4 address. Names as they are in use: RFC 3986 allows more.
fn is_name(text: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !text.is_empty() && text.bytes().all(is_of_name)
}

/// Parses what follows the colon: `Some(None)` if nothing does, which RFC 3986 (3.2.3) allows; `None` if it is invalid.
fn parse_port(text: &str) -> Option<Option<u16>> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    match text {
        "" => Some(None),
        _ if is_number => text.parse().ok().map(Some),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(text: &str) -> Authority {
        Authority::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    fn policy() -> OriginPolicy {
        OriginPolicy {
            hosts: vec!["Chat.Example.org".parse().unwrap()],
            origins: vec!["https://pages.example.org".parse().unwrap(), "http://a.example:8080".parse().unwrap()],
        }
    }

    #[test]
    fn only_addresses_and_known_names_are_allowed_hosts() {
        for known in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "[::1]:8080",
            "[2001:DB8::1]",
            "localhost",
            "LOCALHOST:80",
            "localhost:",
            "chat.example.org:9",
            "CHAT.example.ORG",
        ] {
            assert!(policy().allows_host(&authority(known)), "{known}");
        }
        for unknown in
            ["evil.example", "localhost.evil.example", "localhost.", "1.2.3", "0x7f000001", "2130706433", "example.org"]
        {
            assert!(!policy().allows_host(&authority(unknown)), "{unknown}");
        }
        for text in ["", ":80", "a b", "a/b", "a@b", "[::1", "[::1]x", "[evil]", "::1", "a:b", "a:99999", "a:+80", "ä"]
        {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_our_own_and_known_origins_are_allowed() {
        for (origin, host) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://localhost", "localhost"),
            ("http://localhost", "localhost:80"),
            ("http://LOCALHOST:80", "localhost"),
            // Behind a proxy that terminates TLS.
            ("https://chat.example.org", "chat.example.org"),
            ("https://chat.example.org", "chat.example.org:443"),
            ("https://chat.example.org:8443", "chat.example.org:8443"),
            ("http://[::1]:8080", "[0:0::1]:8080"),
            ("https://pages.example.org", "127.0.0.1:8080"),
            ("https://pages.example.org:443", "127.0.0.1:8080"),
            ("http://a.example:8080", "127.0.0.1:8080"),
        ] {
            assert!(policy().allows_origin(&origin.parse().unwrap(), &authority(host)), "{origin} to {host}");
        }
        for (origin, host) in [
            ("http://evil.example", "127.0.0.1:8080"),
            ("http://127.0.0.1", "127.0.0.1:8080"),
            ("http://127.0.0.1:8081", "127.0.0.1:8080"),
            ("http://localhost:8080", "127.0.0.1:8080"),
            ("https://localhost", "localhost:80"),
            // The proxy did not pass the port on.
            ("https://chat.example.org:8443", "chat.example.org"),
            ("http://pages.example.org", "127.0.0.1:8080"),
            ("https://a.example:8080", "127.0.0.1:8080"),
        ] {
            assert!(!policy().allows_origin(&origin.parse().unwrap(), &authority(host)), "{origin} to {host}");
        }
        for text in
            ["null", "", "http://", "file://", "ftp://localhost", "http://localhost/", "//localhost", "http://a@b"]
        {
            assert_eq!(text.parse::<Origin>(), Err(NoOrigin), "{text}");
        }
    }
}
