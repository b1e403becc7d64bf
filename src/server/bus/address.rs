//! The address of Redis, as `--bus` has it. It owns the password, which neither an error nor any other text of it
//! shows.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use crate::net::address::{Host, Written, shown};
use crate::server::endpoint::parse_control;

/// The port of Redis.
const PORT: u16 = 6379;

/// The beginning of all keys, unless the address has another.
const PREFIX: &str = "pollchat";

/// Longest beginning of keys, in bytes: each command holds a key.
const PREFIX_BYTES_MAX: usize = 64;

/// A password. Neither its `Debug` nor anything else shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// The address of Redis, with what Redis asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusAddress {
    /// The beginning of all keys. Servers with the same one share their rooms.
    pub prefix: String,
    /// The user of its access list; `None` for its default user.
    pub user: Option<String>,
    /// The password; `None` where Redis asks for none.
    pub password: Option<Secret>,
    /// Where it listens.
    pub place: Place,
}

/// Where Redis listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On a port.
    Tcp {
        /// A name or an IP address.
        host: String,
        /// The port.
        port: u16,
        /// Whether it speaks TLS.
        tls: bool,
    },
    /// On a Unix socket.
    Unix(PathBuf),
}

/// An address as it was written, not parsed yet: an error about it must not show its password.
#[derive(Clone, PartialEq, Eq)]
pub struct WrittenBusAddress(String);

/// Error of parsing a [`BusAddress`]. None shows a part of the text: the password may be in the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusAddressError {
    /// It begins with no known scheme.
    #[error("write redis://HOST:PORT, rediss://HOST:PORT (TLS) or unix:PATH")]
    Scheme,
    /// The host or the port is none.
    #[error("write the host and the port of Redis behind the scheme, as in redis://127.0.0.1:6379 or redis://[::1]")]
    Host,
    /// There is a user, or a password without a colon before it.
    #[error("write user and password as USER:PASSWORD@, or :PASSWORD@ for the default user")]
    Password,
    /// A percent sign is followed by something else than two hexadecimal digits, or they stand for no text.
    #[error("write % as %25 in user and password: it begins a byte in two hexadecimal digits")]
    Percent,
    /// The prefix has other characters.
    #[error("the prefix behind the slash has letters, digits and -_.:, at most {PREFIX_BYTES_MAX} bytes")]
    Prefix,
    /// The prefix looks like the number of a database.
    #[error("the name behind the slash is the beginning of all keys, as in /pollchat, not the number of a database")]
    Database,
    /// The path is not a whole one, or too long.
    #[error("write the whole path of the Unix socket, as in unix:/run/redis/redis-server.sock, of at most 107 bytes")]
    Path,
}

impl Secret {
    /// Keeps a password.
    pub fn new(password: String) -> Secret {
        Secret(password)
    }

    /// Returns the password, to be sent to Redis alone.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl WrittenBusAddress {
    /// Parses it.
    ///
    /// # Errors
    /// It has another form.
    pub fn parse(&self) -> Result<BusAddress, BusAddressError> {
        BusAddress::parse(&self.0)
    }
}

impl From<String> for WrittenBusAddress {
    fn from(text: String) -> WrittenBusAddress {
        WrittenBusAddress(text)
    }
}

impl fmt::Debug for WrittenBusAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.0))
    }
}

impl BusAddress {
    /// Parses `redis://[USER:PASSWORD@]HOST[:PORT][/PREFIX]`, the same with `rediss://`, or `unix:PATH`. Bytes of user
    /// and password may be written as `%` and two hexadecimal digits.
    ///
    /// # Errors
    /// The text has another form.
    pub fn parse(text: &str) -> Result<BusAddress, BusAddressError> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:") {
            let path = parse_control(path).map_err(|_| BusAddressError::Path)?;
            return Ok(BusAddress { prefix: PREFIX.to_owned(), user: None, password: None, place: Place::Unix(path) });
        }
        let (scheme, rest) = text.split_once("://").ok_or(BusAddressError::Scheme)?;
        let tls = match &*scheme.to_ascii_lowercase() {
            "redis" => false,
            "rediss" => true,
            _ => return Err(BusAddressError::Scheme),
        };
        // A password may hold any character; what follows it holds no `@`.
        let (user, password, rest) = match rest.rsplit_once('@') {
            Some((access, rest)) => {
                let (user, password) = parse_access(access)?;
                (user, Some(password), rest)
            }
            None => (None, None, rest),
        };
        let (place, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = parse_host(place)?;
        Ok(BusAddress { prefix: parse_prefix(prefix)?, user, password, place: Place::Tcp { host, port, tls } })
    }
}

/// The address without its password.
impl fmt::Display for BusAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
            Place::Tcp { host, port, tls } => {
                write!(f, "{}://{}/{}", if *tls { "rediss" } else { "redis" }, shown(host, *port), self.prefix)
            }
        }
    }
}

/// Returns an address as written, with `…` in the place of its password.
pub fn masked(text: &str) -> String {
    let Some((access, rest)) = text.rsplit_once('@').filter(|_| !text.starts_with("unix:")) else {
        return text.to_owned();
    };
    let start = access.find("://").map_or(0, |at| at + "://".len());
    let (scheme, access) = access.split_at(start);
    let user = access.split_once(':').map_or("", |(user, _)| user);
    format!("{scheme}{user}:…@{rest}")
}

fn parse_access(text: &str) -> Result<(Option<String>, Secret), BusAddressError> {
    let (user, password) = text.split_once(':').ok_or(BusAddressError::Password)?;
    let (user, password) = (decoded(user)?, decoded(password)?);
    if password.is_empty() {
        return Err(BusAddressError::Password);
    }
    Ok((Some(user).filter(|user| !user.is_empty()), Secret(password)))
}

fn decoded(text: &str) -> Result<String, BusAddressError> {
    let is_byte = |rest: &str| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    if !text.split('%').skip(1).all(is_byte) {
        return Err(BusAddressError::Percent);
    }
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| BusAddressError::Percent)
}

fn parse_host(text: &str) -> Result<(String, u16), BusAddressError> {
    match Written::parse(text) {
        Ok(Written { scheme: None, host: Host::Named(host), port }) if port != Some(0) => {
            Ok((host, port.unwrap_or(PORT)))
        }
        _ => Err(BusAddressError::Host),
    }
}

fn parse_prefix(text: &str) -> Result<String, BusAddressError> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    match text.strip_suffix('/').unwrap_or(text) {
        "" => Ok(PREFIX.to_owned()),
        prefix if prefix.bytes().all(|byte| byte.is_ascii_digit()) => Err(BusAddressError::Database),
        prefix if prefix.len() <= PREFIX_BYTES_MAX && prefix.bytes().all(is_letter) => Ok(prefix.to_owned()),
        _ => Err(BusAddressError::Prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> BusAddress {
        BusAddress::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn tcp(host: &str, port: u16, tls: bool) -> Place {
        Place::Tcp { host: host.to_owned(), port, tls }
    }

    #[test]
    fn every_form_is_parsed() {
        for (text, place, prefix) in [
            ("redis://127.0.0.1:6380", tcp("127.0.0.1", 6380, false), "pollchat"),
            ("redis://localhost", tcp("localhost", 6379, false), "pollchat"),
            (" redis://localhost/ ", tcp("localhost", 6379, false), "pollchat"),
            ("rediss://redis.lan/chat:a", tcp("redis.lan", 6379, true), "chat:a"),
            ("REDISS://[::1]:7/chat/", tcp("::1", 7, true), "chat"),
            ("redis://[fe80::1%eth0]", tcp("fe80::1%eth0", 6379, false), "pollchat"),
            ("unix:/run/redis.sock", Place::Unix("/run/redis.sock".into()), "pollchat"),
        ] {
            let address = parsed(text);
            assert_eq!((&address.place, &*address.prefix), (&place, prefix), "{text}");
            assert_eq!((address.user, address.password), (None, None), "{text}");
        }
    }

    #[test]
    fn user_and_password_may_hold_any_character() {
        for (access, user, password) in [
            (":secret", None, "secret"),
            ("ana:secret", Some("ana"), "secret"),
            ("ana:a:b/c?d#e@f", Some("ana"), "a:b/c?d#e@f"),
            ("a%3Ab:%40%25%2f%20", Some("a:b"), "@%/ "),
            ("%C3%A4:p", Some("ä"), "p"),
        ] {
            let address = parsed(&format!("redis://{access}@localhost/chat"));
            assert_eq!(
                (address.user.as_deref(), address.password),
                (user, Some(Secret(password.to_owned()))),
                "{access}"
            );
            assert_eq!((address.place, &*address.prefix), (tcp("localhost", 6379, false), "chat"), "{access}");
        }
    }

    #[test]
    fn an_error_says_what_to_write_and_shows_nothing_of_the_text() {
        for (text, expected) in [
            ("", BusAddressError::Scheme),
            ("secret.lan:6379", BusAddressError::Scheme),
            ("http://:secret@secret", BusAddressError::Scheme),
            ("redis:secret", BusAddressError::Scheme),
            ("redis://", BusAddressError::Host),
            ("redis://:secret@", BusAddressError::Host),
            ("redis://6379", BusAddressError::Host),
            ("redis://*:6379", BusAddressError::Host),
            ("redis://secret:x", BusAddressError::Host),
            ("redis://secret:0", BusAddressError::Host),
            ("redis://secret:70000", BusAddressError::Host),
            ("redis://se cret", BusAddressError::Host),
            ("redis://secret?db=1", BusAddressError::Host),
            ("redis://secret@localhost", BusAddressError::Password),
            ("redis://secret:@localhost", BusAddressError::Password),
            ("redis://:@localhost", BusAddressError::Password),
            ("redis://:secret%@localhost", BusAddressError::Percent),
            ("redis://:secret%4@localhost", BusAddressError::Percent),
            ("redis://:secret%ff@localhost", BusAddressError::Percent),
            ("redis://:%é@localhost", BusAddressError::Percent),
            ("redis://localhost/0", BusAddressError::Database),
            ("redis://localhost/se cret", BusAddressError::Prefix),
            ("redis://localhost/secret/secret", BusAddressError::Prefix),
            ("redis://localhost/secret?x", BusAddressError::Prefix),
            ("redis://localhost/{secret}", BusAddressError::Prefix),
            ("unix:", BusAddressError::Path),
            ("unix:secret.sock", BusAddressError::Path),
            ("unix:/secret/", BusAddressError::Path),
        ] {
            let error = BusAddress::parse(text).expect_err(text);
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let long = format!("redis://localhost/{}", "x".repeat(PREFIX_BYTES_MAX + 1));
        assert_eq!(BusAddress::parse(&long), Err(BusAddressError::Prefix));
    }

    #[test]
    fn no_text_of_an_address_shows_its_password() {
        let address = parsed("rediss://ana:secret@[::1]:7/chat");
        assert_eq!(address.to_string(), "rediss://[::1]:7/chat");
        assert!(!format!("{address:?}").contains("secret"));
        assert_eq!(parsed("unix:/run/a.sock").to_string(), "unix:/run/a.sock");
        for (text, expected) in [
            ("redis://ana:secret@host/chat", "redis://ana:…@host/chat"),
            ("redis://:sec:r@et@host", "redis://:…@host"),
            ("redis://secret@host", "redis://:…@host"),
            ("ana:secret@host", "ana:…@host"),
            ("redis://host", "redis://host"),
            ("unix:/run/a@b.sock", "unix:/run/a@b.sock"),
        ] {
            assert_eq!(masked(text), expected);
        }
    }
}
