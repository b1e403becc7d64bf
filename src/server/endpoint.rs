//! Endpoints: addresses and protocols of listening sockets. An address is a port, or the path of a Unix socket.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::limits::LISTEN;
use crate::net::address::{AddressError, Host, Written as Typed, shown};
use crate::net::resolve::resolve_in_time;
use crate::{PORT, TLS_PORT};

/// Protocol of a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Line protocol: the *line port*.
    Lines,
    /// Line protocol over TLS.
    TlsLines,
    /// HTTP, and WebSocket after an upgrade.
    Web,
    /// HTTP and WebSocket over TLS.
    TlsWeb,
    /// HTTP: metrics and the health check.
    Metrics,
    /// Orders of operators, on a Unix socket.
    Control,
}

impl Endpoint {
    /// Whether its connections begin with a request of HTTP.
    pub fn is_http(self) -> bool {
        self.is_web() || self == Endpoint::Metrics
    }

    /// Whether it serves the page.
    pub fn is_web(self) -> bool {
        matches!(self, Endpoint::Web | Endpoint::TlsWeb)
    }

    /// Whether its connections begin with a TLS handshake.
    pub fn is_tls(self) -> bool {
        matches!(self, Endpoint::TlsLines | Endpoint::TlsWeb)
    }

    /// Returns the examples of addresses in errors.
    fn example(self) -> &'static str {
        match self {
            Endpoint::Lines | Endpoint::TlsLines => LINES_EXAMPLE,
            Endpoint::Web => WEB_EXAMPLE,
            Endpoint::TlsWeb => TLS_WEB_EXAMPLE,
            Endpoint::Metrics | Endpoint::Control => METRICS_EXAMPLE,
        }
    }

    /// Returns the port of addresses in errors.
    fn example_port(self) -> u16 {
        match self {
            Endpoint::Lines => PORT,
            Endpoint::TlsLines => TLS_PORT,
            Endpoint::Web => 8080,
            Endpoint::TlsWeb => 8443,
            Endpoint::Metrics | Endpoint::Control => 9464,
        }
    }
}

/// Address of `--listen`, `--tls`, `--web` or `--web-tls`, as the operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress(Written);

/// Address in either form.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Written {
    /// A port of some addresses.
    Port { host: ListenHost, port: u16 },
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// Address of a listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundAddress {
    /// A port, never 0.
    Port(SocketAddr),
    /// The path of a Unix socket. An abstract name, which has no file, begins with `@`.
    Unix(PathBuf),
}

impl BoundAddress {
    /// Returns the address of the port; `None` for a Unix socket.
    pub fn port(&self) -> Option<SocketAddr> {
        match self {
            BoundAddress::Port(address) => Some(*address),
            BoundAddress::Unix(_) => None,
        }
    }
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoundAddress::Port(address) => write!(f, "{address}"),
            BoundAddress::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// Addresses of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ListenHost {
    /// All of them, IPv4 and IPv6.
    All,
    /// Each address of a name, or a single address.
    Named(String),
}

/// A text that is no path of a socket for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlPathError {
    /// It is not the whole path of a file.
    #[error("write the whole path of the socket, as in /run/pollchat/control")]
    Relative,
    /// The kernel takes none of so many bytes.
    #[error("the path of a Unix socket has at most {UNIX_PATH_BYTES_MAX} bytes, and this one has {0}")]
    TooLong(usize),
}

/// Examples for error messages.
const LINES_EXAMPLE: &str = "46001, 127.0.0.1:46001, 0.0.0.0:46001 or [::]:46001";
const WEB_EXAMPLE: &str = "8080, 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080";
const METRICS_EXAMPLE: &str = "9464, 127.0.0.1:9464 or [::1]:9464";
const TLS_WEB_EXAMPLE: &str = "8443, 127.0.0.1:8443, 0.0.0.0:8443 or [::]:8443";

/// Prefix of the path of a Unix socket.
const UNIX: &str = "unix:";

/// Longest path of a Unix socket, in bytes (unix(7)).
const UNIX_PATH_BYTES_MAX: usize = 107;

impl ListenAddress {
    /// Parses the address of a line port.
    ///
    /// # Errors
    /// The text has no plain meaning, no port, or a scheme of another endpoint.
    pub fn of_lines(text: &str) -> Result<ListenAddress, AddressError> {
        ListenAddress::parse(text, Endpoint::Lines)
    }

    /// Parses the address of a line port over TLS.
    ///
    /// # Errors
    /// As [`of_lines`](ListenAddress::of_lines).
    pub fn of_tls_lines(text: &str) -> Result<ListenAddress, AddressError> {
        ListenAddress::parse(text, Endpoint::TlsLines)
    }

    /// Parses the address of the page. A URL without a port means port 80.
    ///
    /// # Errors
    /// As [`of_lines`](ListenAddress::of_lines).
    pub fn of_page(text: &str) -> Result<ListenAddress, AddressError> {
        ListenAddress::parse(text, Endpoint::Web)
    }

    /// Parses the address of the page over TLS. A URL without a port means port 443.
    ///
    /// # Errors
    /// As [`of_lines`](ListenAddress::of_lines).
    pub fn of_tls_page(text: &str) -> Result<ListenAddress, AddressError> {
        ListenAddress::parse(text, Endpoint::TlsWeb)
    }

    /// Parses the address of the metrics.
    ///
    /// # Errors
    /// As [`of_lines`](ListenAddress::of_lines).
    pub fn of_metrics(text: &str) -> Result<ListenAddress, AddressError> {
        ListenAddress::parse(text, Endpoint::Metrics)
    }

    fn parse(text: &str, endpoint: Endpoint) -> Result<ListenAddress, AddressError> {
        if let Some(path) = text.trim().strip_prefix(UNIX) {
            return ListenAddress::of_unix(path);
        }
        let Typed { scheme, host, port } =
            Typed::parse(text).map_err(|error| error.with_example(endpoint.example(), 0))?;
        let (meant, url_port) = match scheme.as_deref() {
            None | Some("tcp") => (endpoint, None),
            Some("tls") => (Endpoint::TlsLines, None),
            Some("http") if endpoint == Endpoint::Metrics => (endpoint, Some(80)),
            Some("http" | "ws") => (Endpoint::Web, Some(80)),
            Some("https" | "wss") => (Endpoint::TlsWeb, Some(443)),
            Some(other) => {
                let example = shown(&host_shown(&host), port.unwrap_or(endpoint.example_port()));
                let scheme = other.escape_debug().to_string();
                return Err(AddressError::Scheme { scheme, problem: "is another protocol", example });
            }
        };
        if meant != endpoint {
            let (flag, problem) = match meant {
                Endpoint::Lines => ("--listen", "is not encrypted"),
                Endpoint::TlsLines => ("--tls", "is encrypted"),
                Endpoint::Web => ("--web", "is for browsers"),
                Endpoint::TlsWeb => ("--web-tls", "is for browsers, and encrypted"),
                Endpoint::Metrics | Endpoint::Control => ("--metrics", "is for metrics"),
            };
            let address = shown(&host_shown(&host), port.unwrap_or(meant.example_port()));
            let scheme = scheme.unwrap_or_default();
            return Err(AddressError::Scheme { scheme, problem, example: format!("{flag} {address}") });
        }
        ListenAddress::of(host, port.or(url_port), endpoint.example_port())
    }

    fn of(host: Host, port: Option<u16>, example: u16) -> Result<ListenAddress, AddressError> {
        let Some(port) = port else {
            return Err(AddressError::NoPort { example: shown(&host_shown(&host), example) });
        };
        let host = match host {
            Host::Named(host) => ListenHost::Named(host),
            // A bare port changes only the port of the default address.
            Host::Omitted => ListenHost::Named(LISTEN.ip().to_string()),
            Host::Empty | Host::Any => ListenHost::All,
        };
        Ok(ListenAddress(Written::Port { host, port }))
    }

    fn of_unix(path: &str) -> Result<ListenAddress, AddressError> {
        let bytes = path.len();
        match path {
            _ if bytes > UNIX_PATH_BYTES_MAX => {
                Err(AddressError::PathTooLong { bytes, bytes_max: UNIX_PATH_BYTES_MAX })
            }
            // Of a URL, `//` begins a host.
            _ if !path.starts_with('/') || path.starts_with("//") || path.contains('\0') => Err(AddressError::Path),
            _ => Ok(ListenAddress(Written::Unix(path.into()))),
        }
    }

    /// Returns the path of a Unix socket; `None` for a port.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.0 {
            Written::Port { .. } => None,
            Written::Unix(path) => Some(path),
        }
    }

    /// Resolves the host; a Unix socket has none. Several addresses belong to a name or to all addresses; some may be missing on this machine.
    ///
    /// # Errors
    /// The name does not resolve in time.
    pub(crate) fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.0 {
            Written::Port { host: ListenHost::Named(host), port } => resolve_in_time(host, *port),
            Written::Port { host: ListenHost::All, port } => {
                Ok([IpAddr::V4(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()]
                    .map(|ip| SocketAddr::new(ip, *port))
                    .into())
            }
            Written::Unix(_) => Ok(Vec::new()),
        }
    }
}

/// Parses the path of the operators' socket.
///
/// # Errors
/// The path is not absolute, or too long for a socket.
pub fn parse_control(text: &str) -> Result<PathBuf, ControlPathError> {
    match text.len() {
        _ if !text.starts_with('/') || text.ends_with('/') || text.contains('\0') => Err(ControlPathError::Relative),
        bytes if bytes > UNIX_PATH_BYTES_MAX => Err(ControlPathError::TooLong(bytes)),
        _ => Ok(text.into()),
    }
}

fn host_shown(host: &Host) -> String {
    match host {
        Host::Named(host) => host.clone(),
        Host::Any | Host::Empty => "*".to_owned(),
        Host::Omitted => LISTEN.ip().to_string(),
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> ListenAddress {
        let host = ListenHost::Named(address.ip().to_string());
        ListenAddress(Written::Port { host, port: address.port() })
    }
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<ListenAddress, AddressError> {
        ListenAddress::of_lines(text)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Written::Port { host: ListenHost::All, port } => write!(f, "*:{port}"),
            Written::Port { host: ListenHost::Named(host), port } => f.write_str(&shown(host, *port)),
            Written::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_with_a_plain_meaning_is_an_address_of_a_line_port() {
        for (text, expected) in [
            ("46001", "127.0.0.1:46001"),
            ("0", "127.0.0.1:0"),
            ("localhost:46001", "localhost:46001"),
            (":46001", "*:46001"),
            ("*:46001", "*:46001"),
            ("[::]:46001", "[::]:46001"),
            ("::1:46001", "[::1]:46001"),
            ("tcp://0.0.0.0:46001/", "0.0.0.0:46001"),
            ("0.0.0.0 46001", "0.0.0.0:46001"),
        ] {
            assert_eq!(ListenAddress::of_lines(text).map(|address| address.to_string()), Ok(expected.into()), "{text}");
        }
    }

    #[test]
    fn the_page_needs_a_port_or_a_url() {
        for (text, expected) in [
            ("8080", "127.0.0.1:8080"),
            (":8080", "*:8080"),
            ("localhost:8080", "localhost:8080"),
            ("http://0.0.0.0:8080/", "0.0.0.0:8080"),
            ("http://chat.lan/", "chat.lan:80"),
        ] {
            assert_eq!(ListenAddress::of_page(text).map(|address| address.to_string()), Ok(expected.into()), "{text}");
        }
    }

    #[test]
    fn the_schemes_of_tls_belong_to_its_own_flags() {
        for text in ["tls://0.0.0.0:46001", "tcp://0.0.0.0:46001", "0.0.0.0:46001"] {
            assert_eq!(ListenAddress::of_tls_lines(text).unwrap().to_string(), "0.0.0.0:46001", "{text}");
        }
        for (text, expected) in [("https://chat.lan/", "chat.lan:443"), ("wss://[::]:8443", "[::]:8443")] {
            assert_eq!(ListenAddress::of_tls_page(text).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn other_text_is_an_error_with_an_example() {
        let lines = |text| ListenAddress::of_lines(text).unwrap_err().to_string();
        let page = |text| ListenAddress::of_page(text).unwrap_err().to_string();
        let example = "46001, 127.0.0.1:46001, 0.0.0.0:46001 or [::]:46001";
        assert_eq!(lines(""), format!("the address is missing: write {example}"));
        assert_eq!(lines("70000"), format!("a port is a number from 0 to 65535, as in {example}"));
        assert_eq!(lines("a/b"), format!("'a/b' is neither a host name nor an IP address: write {example}"));
        assert_eq!(lines("http://:8080"), "http:// is for browsers: write --web *:8080");
        assert_eq!(lines("tls://chat.lan"), "tls:// is encrypted: write --tls chat.lan:46001");
        assert_eq!(lines("wss://x"), "wss:// is for browsers, and encrypted: write --web-tls x:8443");
        assert_eq!(lines("chat.lan"), "the port is missing: write chat.lan:46000");
        assert_eq!(lines("*"), "the port is missing: write *:46000");
        assert_eq!(lines("foo://x"), "foo:// is another protocol: write x:46000");
        for text in ["unix:", "unix:lines.sock", "unix://x", "unix:///x", "unix:@x"] {
            assert_eq!(lines(text), "write the whole path of a Unix socket, as in unix:/run/pollchat/lines.sock");
            assert_eq!(page(text), lines(text));
        }
        let long = format!("unix:/{}", "x".repeat(107));
        assert_eq!(lines(&long), "the path of a Unix socket has at most 107 bytes, and this one has 108");
        assert_eq!(lines("::1:80"), "write [::1]:80 for port 80, or [::1:80] for the whole address");
        assert_eq!(page("127.0.0.1"), "the port is missing: write 127.0.0.1:8080");
        assert_eq!(page("::1"), "the port is missing: write [::1]:8080");
        assert_eq!(page("https://a"), "https:// is for browsers, and encrypted: write --web-tls a:8443");
        assert_eq!(page("tls://[::]:7"), "tls:// is encrypted: write --tls [::]:7");
        let tls_lines = |text| ListenAddress::of_tls_lines(text).unwrap_err().to_string();
        let tls_page = |text| ListenAddress::of_tls_page(text).unwrap_err().to_string();
        assert_eq!(tls_lines("chat.lan"), "the port is missing: write chat.lan:46001");
        assert_eq!(tls_lines("https://a:1"), "https:// is for browsers, and encrypted: write --web-tls a:1");
        assert_eq!(tls_page("http://a"), "http:// is for browsers: write --web a:8080");
        assert_eq!(tls_page("chat.lan"), "the port is missing: write chat.lan:8443");
        assert!(tls_page("").ends_with("write 8443, 127.0.0.1:8443, 0.0.0.0:8443 or [::]:8443"));
    }

    #[test]
    fn a_path_is_the_address_of_a_unix_socket() {
        let longest = format!("unix:/{}", "x".repeat(106));
        for text in ["unix:/run/pollchat/lines.sock", " unix:/a:1", &longest] {
            let address = ListenAddress::of_lines(text).unwrap();
            assert_eq!(address.to_string(), text.trim());
            assert_eq!(Ok(address), ListenAddress::of_page(text));
        }
    }

    #[test]
    fn the_socket_of_operators_has_a_whole_path() {
        assert_eq!(parse_control("/run/pollchat/control"), Ok("/run/pollchat/control".into()));
        for text in ["", "control", "./control", "unix:/run/control", "/run/", "/a\0b"] {
            assert_eq!(parse_control(text), Err(ControlPathError::Relative), "{text:?}");
        }
        assert!(parse_control(&format!("/{}", "x".repeat(106))).is_ok());
        assert_eq!(parse_control(&format!("/{}", "x".repeat(107))), Err(ControlPathError::TooLong(108)));
    }

    #[test]
    fn all_addresses_are_those_of_both_families() {
        let resolved = ListenAddress::of_lines("*:7").unwrap().resolve().unwrap();
        assert_eq!(resolved, ["0.0.0.0:7".parse().unwrap(), "[::]:7".parse().unwrap()]);
    }
}
