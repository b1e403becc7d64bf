//! Who belongs to the page: by the host that a request was sent to, and by the page that it comes from.
//!
//! A browser sends requests for any page that is open in it. So a page of somebody else's must not be able to join the
//! room: the `Origin` of what opens a WebSocket has to be our own (RFC 6455, 10.2). And a name of somebody else's may
//! come to mean our address after its page was loaded (DNS rebinding), so that its origin seems to be our own: the
//! `Host` has to be an address, or a name that is known.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Who belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginPolicy {
    /// Names that the server is known by, beside its addresses and `localhost`.
    pub hosts: Vec<HostName>,
    /// Pages from elsewhere that may open the conversation.
    pub origins: Vec<Origin>,
}

impl OriginPolicy {
    /// Whether a request may be sent to us under this name.
    pub fn allows_host(&self, authority: &Authority) -> bool {
        let host = authority.host.as_str();
        authority.is_address() || host == "localhost" || self.hosts.iter().any(|known| known.0 == host)
    }

    /// Whether a page of this origin may open the conversation, in a request that was sent to this host.
    pub fn allows_origin(&self, origin: &Origin, authority: &Authority) -> bool {
        let port = authority.port.unwrap_or(origin.scheme.port());
        let is_own = origin.authority.host == authority.host && origin.port() == port;
        is_own || self.origins.iter().any(|known| known.is_same(origin))
    }
}

/// A host, and a port if one is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// In lower case; an IPv6 address without its brackets.
    host: String,
    is_ipv6: bool,
    port: Option<u16>,
}

impl Authority {
    /// Takes what stands in a `Host` field; `None` if that is no host.
    pub fn parse(text: &str) -> Option<Authority> {
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

/// A name that the server is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<HostName, String> {
        if is_name(text) {
            Ok(HostName(text.to_ascii_lowercase()))
        } else {
            Err("a host name, without a port, such as chat.example.org".to_owned())
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a page comes from (RFC 6454).
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
    /// The port that is meant where none is named.
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

/// What is no origin of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoOrigin;

impl fmt::Display for NoOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an origin, such as https://chat.example.org or http://10.0.0.1:8080, without a path")
    }
}

impl std::error::Error for NoOrigin {}

/// Whether this may be the name of a host, or an IPv4 address. Names as they are used: RFC 3986 allows more.
fn is_name(text: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !text.is_empty() && text.bytes().all(is_of_name)
}

/// A port; there may be none behind the colon.
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
    fn only_addresses_and_known_names_are_hosts_of_ours() {
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
    fn only_our_own_page_and_known_ones_are_let_in() {
        for (origin, host) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://localhost", "localhost"),
            ("http://localhost", "localhost:80"),
            ("http://LOCALHOST:80", "localhost"),
            // Behind what ends TLS for us.
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
            // A proxy has kept the port to itself.
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
