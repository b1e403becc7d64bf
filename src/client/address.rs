//! The server's address on the command line: `HOST`, `HOST:PORT`, and the same for IPv6.

use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use crate::PORT;

/// Host (name or address) and port of a server, as typed. Displayed as `HOST:PORT`, with an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    host: String,
    port: u16,
}

/// Error of parsing a [`ServerAddress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The host is missing.
    #[error("the host is missing")]
    NoHost,
    /// The text after the host is no port.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// Several colons or brackets, but no IPv6 address.
    #[error("write an IPv6 address as ::1, [::1] or [::1]:46000")]
    Ipv6,
}

impl ServerAddress {
    /// Resolves the host. The addresses come in the resolver's order of preference. Blocks while the resolver does.
    ///
    /// # Errors
    /// The host does not resolve.
    pub fn resolve(&self) -> io::Result<impl Iterator<Item = SocketAddr>> {
        (self.host.as_str(), self.port).to_socket_addrs()
    }
}

impl FromStr for ServerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<ServerAddress, AddressError> {
        if let Some(bracketed) = text.strip_prefix('[') {
            let (host, rest) = bracketed.split_once(']').ok_or(AddressError::Ipv6)?;
            let port = match rest.strip_prefix(':') {
                Some(port) => parse_port(port)?,
                None if rest.is_empty() => PORT,
                None => return Err(AddressError::Ipv6),
            };
            return ipv6(host, port);
        }
        match text.split_once(':') {
            Some((_, rest)) if rest.contains(':') => ipv6(text, PORT),
            Some((host, port)) => named(host, parse_port(port)?),
            None => named(text, PORT),
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServerAddress { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

fn named(host: &str, port: u16) -> Result<ServerAddress, AddressError> {
    if host.is_empty() {
        return Err(AddressError::NoHost);
    }
    Ok(ServerAddress { host: host.to_owned(), port })
}

fn ipv6(host: &str, port: u16) -> Result<ServerAddress, AddressError> {
    // A link-local address has a zone, as in fe80::1%eth0. The resolver knows the zones.
    let (address, _zone) = host.split_once('%').unwrap_or((host, ""));
    if address.parse::<Ipv6Addr>().is_err() {
        return Err(AddressError::Ipv6);
    }
    Ok(ServerAddress { host: host.to_owned(), port })
}

fn parse_port(text: &str) -> Result<u16, AddressError> {
    // `u16::from_str` would accept a plus sign.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressError::Port);
    }
    text.parse().ok().filter(|&port| port != 0).ok_or(AddressError::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_is_parsed_and_shown_with_its_port() {
        let forms = [
            ("localhost", "localhost:46000"),
            ("chat.example:4000", "chat.example:4000"),
            ("127.0.0.1", "127.0.0.1:46000"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("127.0.0.1:65535", "127.0.0.1:65535"),
            ("[::1]:4000", "[::1]:4000"),
            ("[::1]", "[::1]:46000"),
            ("::1", "[::1]:46000"),
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
    fn text_that_is_no_address_is_an_error() {
        let wrong = [
            ("", AddressError::NoHost),
            (":4000", AddressError::NoHost),
            ("host:", AddressError::Port),
            ("host:0", AddressError::Port),
            ("host:65536", AddressError::Port),
            ("host:+80", AddressError::Port),
            ("host:http", AddressError::Port),
            ("[::1]:", AddressError::Port),
            ("[::1]:x", AddressError::Port),
            ("[::1", AddressError::Ipv6),
            ("[::1]4000", AddressError::Ipv6),
            ("[]", AddressError::Ipv6),
            ("[localhost]:4000", AddressError::Ipv6),
            ("a:b:c", AddressError::Ipv6),
        ];
        for (text, error) in wrong {
            assert_eq!(text.parse::<ServerAddress>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_numeric_address_resolves_to_itself() {
        let address: ServerAddress = "[::1]:4000".parse().unwrap();
        let resolved: Vec<_> = address.resolve().unwrap().collect();
        assert_eq!(resolved, ["[::1]:4000".parse().unwrap()]);
    }
}
