//! The server's address on the command line.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use rustls::pki_types::ServerName;

use super::room::parse_room;
pub use crate::net::address::AddressError;
use crate::net::address::{Host, Written, shown};
use crate::net::resolve::{self, Answer};
use crate::relay::name::Name;
use crate::{PORT, TLS_PORT};

/// An example for error messages.
const EXAMPLE: &str = "HOST:PORT, such as chat.example.org:46000";

/// Host (name or address) and port of a server, and perhaps a room. Displayed as `HOST:PORT`, with an IPv6 address in
/// brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    host: String,
    /// The port, if it was written.
    port: Option<u16>,
    /// The room, if one was written.
    room: Option<Name>,
    encryption: Encryption,
}

/// Encryption of the connection, as far as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    /// No scheme: there is none.
    Unsaid,
    /// `tcp://`.
    None,
    /// `tls://` or `--tls`.
    Tls,
}

impl ServerAddress {
    /// Resolves the host. The addresses come in the resolver's order of preference. Blocks while the resolver does.
    pub(crate) fn resolve(&self) -> Answer {
        resolve::resolve(&self.host, self.port())
    }

    /// The address, if the host is no name.
    pub(crate) fn literal(&self) -> Option<SocketAddr> {
        self.host.parse::<IpAddr>().ok().map(|host| SocketAddr::new(host, self.port()))
    }

    /// Adds a port that was written apart, as in `HOST PORT`.
    ///
    /// # Errors
    /// There is a port already.
    pub fn with_port(self, port: Option<u16>) -> Result<ServerAddress, AddressError> {
        match (self.port, port) {
            (_, None) => Ok(self),
            (None, Some(_)) => Ok(ServerAddress { port, ..self }),
            (Some(_), Some(_)) => Err(AddressError::TwoPorts(self.to_string())),
        }
    }

    /// Adds `--tls`. The default port is another one then.
    ///
    /// # Errors
    /// The scheme says the contrary.
    pub fn with_tls(self) -> Result<ServerAddress, AddressError> {
        let with_tls = ServerAddress { encryption: Encryption::Tls, ..self };
        match self.encryption {
            Encryption::Unsaid | Encryption::Tls => Ok(with_tls),
            Encryption::None => Err(AddressError::Encryption(with_tls.to_string())),
        }
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.encryption == Encryption::Tls
    }

    /// The host as written.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host as a certificate names it; `None` if none can.
    pub(crate) fn name(&self) -> Option<ServerName<'static>> {
        // The zone of an address has a meaning on this machine alone.
        let host = self.host.split_once('%').map_or(&*self.host, |(address, _)| address);
        ServerName::try_from(host.to_owned()).ok()
    }

    /// Removes the room.
    pub fn take_room(&mut self) -> Option<Name> {
        self.room.take()
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or(if self.is_tls() { TLS_PORT } else { PORT })
    }
}

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<ServerAddress, AddressError> {
        let (address, room) = split_room(without_path(text));
        let Written { scheme, host, port } = Written::parse(address).map_err(|error| error.with_example(EXAMPLE, 1))?;
        let host = match host {
            Host::Named(host) => host,
            // Only the port differs from the default address.
            Host::Omitted | Host::Empty => "127.0.0.1".to_owned(),
            Host::Any => return Err(AddressError::NoHost { example: EXAMPLE }),
        };
        if port == Some(0) {
            return Err(AddressError::Port { min: 1, example: EXAMPLE });
        }
        let encryption = match scheme.as_deref() {
            None => Some(Encryption::Unsaid),
            Some("tcp" | "telnet") => Some(Encryption::None),
            Some("tls" | "ssl" | "tcps" | "telnets") => Some(Encryption::Tls),
            Some(_) => None,
        };
        if let Some(encryption) = encryption {
            let room = room.map(parse_room).transpose().map_err(AddressError::Room)?;
            return Ok(ServerAddress { host, port, room, encryption });
        }
        let problem = match scheme.as_deref() {
            Some("http" | "https" | "ws" | "wss") => {
                "leads to the page for browsers, and this client needs the line port"
            }
            _ => "is another protocol",
        };
        let scheme = scheme.unwrap_or_default().escape_debug().to_string();
        // A page has another port than the lines.
        Err(AddressError::Scheme { scheme, problem, example: shown(&host, PORT) })
    }
}

/// Returns the URL of a page without what follows its host and port. (Nothing may follow those of a line port.)
fn without_path(text: &str) -> &str {
    let page = text.split_once("://").filter(|(scheme, _)| {
        ["http", "https", "ws", "wss"].iter().any(|page| scheme.trim().eq_ignore_ascii_case(page))
    });
    let path = page.and_then(|(scheme, rest)| rest.find(['/', '?', '#']).map(|at| scheme.len() + "://".len() + at));
    path.map_or(text, |at| &text[..at])
}

/// Splits an address from the room behind it: `HOST:PORT/ROOM`. A slash without a name behind it belongs to the
/// address.
fn split_room(text: &str) -> (&str, Option<&str>) {
    let text = text.trim();
    let host = text.find("://").map_or(0, |at| at + "://".len());
    match text[host..].split_once('/') {
        Some((address, room)) if !address.is_empty() && !room.is_empty() => {
            (&text[..host + address.len()], Some(room.strip_suffix('/').unwrap_or(room)))
        }
        _ => (text, None),
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.host, self.port()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_is_parsed_and_shown_with_its_port() {
        let forms = [
            ("localhost", "localhost:46000"),
            ("chat.example:4000", "chat.example:4000"),
            ("chat.example:4000/", "chat.example:4000"),
            ("tcp://chat.example:4000", "chat.example:4000"),
            ("telnet://chat.example:4000/", "chat.example:4000"),
            ("tcp://chat.example", "chat.example:46000"),
            ("chat.example 4000", "chat.example:4000"),
            ("46001", "127.0.0.1:46001"),
            (":46001", "127.0.0.1:46001"),
            ("127.0.0.1", "127.0.0.1:46000"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("127.0.0.1:65535", "127.0.0.1:65535"),
            ("[::1]:4000", "[::1]:4000"),
            ("[::1]", "[::1]:46000"),
            ("::1", "[::1]:46000"),
            ("::1:46001", "[::1]:46001"),
            ("::", "[::]:46000"),
            ("fe80::1%eth0", "[fe80::1%eth0]:46000"),
            ("[fe80::1%eth0]:7", "[fe80::1%eth0]:7"),
        ];
        for (text, shown) in forms {
            assert_eq!(
                text.parse::<ServerAddress>().map(|address| address.to_string()),
                Ok(shown.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn text_that_is_no_address_is_an_error_with_an_example() {
        for (text, error) in [
            ("", "the address is missing: write HOST:PORT, such as chat.example.org:46000"),
            ("*:4000", "the host is missing: write HOST:PORT, such as chat.example.org:46000"),
            ("host:", "a port is a number from 1 to 65535, as in HOST:PORT, such as chat.example.org:46000"),
            ("host:0", "a port is a number from 1 to 65535, as in HOST:PORT, such as chat.example.org:46000"),
            ("0", "a port is a number from 1 to 65535, as in HOST:PORT, such as chat.example.org:46000"),
            ("[::1", "write an IPv6 address as ::1, [::1] or [::1]:46000"),
            ("::1:80", "write [::1]:80 for port 80, or [::1:80] for the whole address"),
            (
                "ana@host",
                "'ana@host' is neither a host name nor an IP address: write HOST:PORT, such as \
                          chat.example.org:46000",
            ),
            (
                "http://chat.lan:8080/",
                "http:// leads to the page for browsers, and this client needs the line port: \
                                       write chat.lan:46000",
            ),
            (
                "https://chat.lan/room?a#b",
                "https:// leads to the page for browsers, and this client needs the line port: \
                                           write chat.lan:46000",
            ),
            (
                "wss://[::1]/",
                "wss:// leads to the page for browsers, and this client needs the line port: write \
                              [::1]:46000",
            ),
            ("irc://chat.lan", "irc:// is another protocol: write chat.lan:46000"),
        ] {
            assert_eq!(
                text.parse::<ServerAddress>().map_err(|error| error.to_string()),
                Err(error.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_room_may_follow_every_form_of_an_address() {
        for (text, shown, room) in [
            ("localhost/rust", "localhost:46000", Some("rust")),
            ("localhost/", "localhost:46000", None),
            ("chat.example:4000/Zoë", "chat.example:4000", Some("Zoë")),
            ("tcp://chat.example:4000/rust/", "chat.example:4000", Some("rust")),
            ("telnet://chat.example/lobby", "chat.example:46000", Some("lobby")),
            ("chat.example 4000/rust", "chat.example:4000", Some("rust")),
            (" 46001/rust ", "127.0.0.1:46001", Some("rust")),
            (":46001/rust", "127.0.0.1:46001", Some("rust")),
            ("[::1]:4600/rust", "[::1]:4600", Some("rust")),
            ("[::1]/7", "[::1]:46000", Some("7")),
            ("::1/rust", "[::1]:46000", Some("rust")),
            ("[fe80::1%eth0]:7/rust", "[fe80::1%eth0]:7", Some("rust")),
        ] {
            let mut address: ServerAddress = text.parse().unwrap();
            let taken = address.take_room();
            assert_eq!((address.to_string(), taken.as_ref().map(Name::as_str)), (shown.to_owned(), room), "{text}");
            assert_eq!(address.take_room(), None);
        }
        let form = "the name of a room is 1 to 24 letters, digits, _ or -";
        for (text, error) in [
            ("host/a b", form),
            ("host/a/b", form),
            ("host//rust", form),
            ("host//", form),
            ("host/rust?x", form),
            ("host/server", "the name server is taken"),
            (
                "/rust",
                "'/rust' is neither a host name nor an IP address: write HOST:PORT, such as \
                       chat.example.org:46000",
            ),
            ("irc://chat.lan/#rust", "irc:// is another protocol: write chat.lan:46000"),
            (
                "ws://chat.lan/ws?room=rust",
                "ws:// leads to the page for browsers, and this client needs the line \
                                            port: write chat.lan:46000",
            ),
        ] {
            assert_eq!(
                text.parse::<ServerAddress>().map_err(|error| error.to_string()),
                Err(error.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn an_address_with_tls_has_a_port_of_its_own() {
        for (text, shown) in [
            ("tls://chat.lan", "chat.lan:46001"),
            ("TLS://chat.lan:4000/rust", "chat.lan:4000"),
            ("telnets://[::1]/", "[::1]:46001"),
            ("ssl://chat.lan", "chat.lan:46001"),
        ] {
            let address: ServerAddress = text.parse().unwrap();
            assert!(address.is_tls());
            assert_eq!(address.to_string(), shown, "{text}");
            assert_eq!(address.clone().with_tls(), Ok(address));
        }
        let with_tls = |text: &str| text.parse::<ServerAddress>().unwrap().with_tls();
        assert_eq!(with_tls("chat.lan/rust").unwrap(), "tls://chat.lan/rust".parse().unwrap());
        assert_eq!(with_tls("chat.lan:46000").unwrap().to_string(), "chat.lan:46000");
        assert!(!"chat.lan:46001".parse::<ServerAddress>().unwrap().is_tls());
        assert_eq!(with_tls("tcp://[::1]"), Err(AddressError::Encryption("[::1]:46001".to_owned())));
    }

    #[test]
    fn the_host_is_the_name_in_a_certificate() {
        let name = |text: &str| text.parse::<ServerAddress>().unwrap().name().map(|name| name.to_str().into_owned());
        assert_eq!(name("tls://chat.lan./").as_deref(), Some("chat.lan"));
        assert_eq!(name("tls://127.0.0.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(name("tls://[fe80::1%eth0]:7").as_deref(), Some("fe80::1"));
        assert_eq!(name("tls://zoë.example"), None);
    }

    #[test]
    fn a_port_may_be_a_word_of_its_own() {
        let with = |text: &str, port| text.parse::<ServerAddress>().unwrap().with_port(port);
        assert_eq!(with("chat.lan", Some(4000)).unwrap().to_string(), "chat.lan:4000");
        assert_eq!(with("chat.lan/rust", Some(4000)).unwrap().take_room().unwrap().as_str(), "rust");
        assert_eq!(with("::1", Some(4000)).unwrap().to_string(), "[::1]:4000");
        assert_eq!(with("chat.lan:7", None).unwrap().to_string(), "chat.lan:7");
        assert_eq!(with("chat.lan:7", Some(4000)), Err(AddressError::TwoPorts("chat.lan:7".to_owned())));
        assert!(with("46001", Some(4000)).is_err());
    }

    #[test]
    fn a_numeric_address_resolves_to_itself() {
        let address: ServerAddress = "[::1]:4000".parse().unwrap();
        assert_eq!(address.resolve().unwrap(), ["[::1]:4000".parse().unwrap()]);
    }
}
