//! The form of a ban in a file: one line, which people read and write, and which parses back to the same ban.
//!
//! ```text
//! NETWORK [since TIME] [until TIME] [by-name NAME][: REASON]
//! 203.0.113.0/24 since 2026-11-30T10:00:00Z until 2026-12-01T10:00:00Z by-name ana: spam
//! ```
//!
//! Behind the network, the first colon with a blank begins the reason: no time or name has such a colon.

use std::fmt;

use ipnet::IpNet;
use jiff::Timestamp;

use super::{Ban, clean_reason, parse_network, shown, timestamp};
use crate::relay::name::{NAME_CHARS_MAX, is_shown_name};

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 4 * NAME_CHARS_MAX;

/// Bytes of a text of the file that an error repeats.
const SHOWN_BYTES_MAX: usize = 40;

/// The reason that a line is no ban.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It begins with neither an address nor a network.
    #[error("{text} is no network: {fault}")]
    Network {
        /// The beginning of the line.
        text: Shown,
        /// The fault.
        fault: String,
    },
    /// A word stands where none of the form does, or for the second time.
    #[error("{0} is not expected here: write NETWORK [since TIME] [until TIME] [by-name NAME][: REASON]")]
    Word(Shown),
    /// A time is missing, or has another form.
    #[error("{0} is no time: write it as 2026-12-01T10:00:00Z")]
    Time(Shown),
    /// A name is missing, or no client can have it.
    #[error("{0} is no name")]
    Name(Shown),
    /// The reason is too long, or has characters that a terminal would obey.
    #[error("its reason {0}")]
    Reason(&'static str),
}

/// A text of the file as errors show it: shortened, and without a character that a terminal would obey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    fn of(text: &str) -> Shown {
        let end = text.floor_char_boundary(SHOWN_BYTES_MAX);
        Shown(format!("{:?}{}", &text[..end], if end < text.len() { "…" } else { "" }))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ban {
    /// Returns the line of this ban, without its end.
    pub fn line(&self) -> impl fmt::Display {
        fmt::from_fn(|f| {
            write!(f, "{}", shown(&self.network))?;
            for (word, time) in [("since", self.since), ("until", self.until)] {
                if let Some(time) = time {
                    write!(f, " {word} {}", timestamp(time))?;
                }
            }
            if let Some(name) = &self.name {
                write!(f, " by-name {name}")?;
            }
            if self.reason.is_empty() { Ok(()) } else { write!(f, ": {}", self.reason) }
        })
    }

    /// Parses a line; `None` if it is empty or a comment.
    ///
    /// # Errors
    /// Its first fault.
    pub fn parse_line(line: &str) -> Result<Option<Ban>, LineError> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let (network, rest) = split_network(line)?;
        let (words, reason) = match rest {
            Rest::Words(text) => text.split_once(": ").unwrap_or((text, "")),
            Rest::Reason(text) => ("", text),
        };
        let mut words = words.split_whitespace();
        let mut ban = Ban { network, since: None, until: None, name: None, reason: parse_reason(reason)? };
        while let Some(word) = words.next() {
            let value = words.next().unwrap_or_default();
            match word {
                "since" if ban.since.is_none() => ban.since = Some(parse_time(value)?),
                "until" if ban.until.is_none() => ban.until = Some(parse_time(value)?),
                "by-name" if ban.name.is_none() && is_name(value) => ban.name = Some(value.into()),
                "by-name" if ban.name.is_none() => return Err(LineError::Name(Shown::of(value))),
                _ => return Err(LineError::Word(Shown::of(word))),
            }
        }
        Ok(Some(ban))
    }
}

/// The rest of a line behind its network.
enum Rest<'a> {
    Words(&'a str),
    Reason(&'a str),
}

/// Splits a line behind its network. That of IPv6 may end with colons: `2001:db8::: spam`.
fn split_network(line: &str) -> Result<(IpNet, Rest<'_>), LineError> {
    let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match (parse_network(first), first.strip_suffix(':').map(parse_network)) {
        (Ok(network), _) => Ok((network, Rest::Words(rest))),
        (_, Some(Ok(network))) => Ok((network, Rest::Reason(rest))),
        (Err(fault), None) | (_, Some(Err(fault))) => Err(LineError::Network { text: Shown::of(first), fault }),
    }
}

/// Whether a member can have this name. Its number may have been any, but not of any length.
fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && is_shown_name(text)
}

fn parse_time(text: &str) -> Result<u64, LineError> {
    let time = text.parse::<Timestamp>().ok();
    let unix_ms = time.and_then(|time| u64::try_from(time.as_millisecond()).ok());
    unix_ms.ok_or_else(|| LineError::Time(Shown::of(text)))
}

/// Takes a reason that is clean already: what is told to a client is what stands in the file.
fn parse_reason(text: &str) -> Result<Box<str>, LineError> {
    let text = text.trim();
    match clean_reason(text) {
        Ok(clean) if *clean == *text => Ok(clean),
        Ok(_) => Err(LineError::Reason("has a character that a terminal would obey")),
        Err(_) => Err(LineError::Reason("is too long")),
    }
}
