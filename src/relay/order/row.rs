//! Rows of answers: for people by `Display`, in columns that need no header; for programs as flat objects of JSON, whose
//! fields keep their names.

use std::fmt;

use serde::{Serialize, Serializer};

/// A row of an answer.
///
/// ```
/// use pollchat::relay::order::Row;
///
/// let row = Row::Figure { name: "clients".to_owned(), value: 12 };
/// assert_eq!(row.to_string(), "clients 12");
/// assert_eq!(serde_json::to_string(&row).unwrap(), r#"{"name":"clients","value":12}"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Row {
    /// Text without fields: `{"text": …}`.
    Text(#[serde(serialize_with = "as_text")] String),
    /// A member, as `who` lists it.
    Member {
        /// Its name.
        name: String,
        /// The room that it is in, or is leaving.
        room: String,
        /// Seconds since it entered.
        seconds: u32,
        /// Lines that it has said.
        lines: u32,
        /// Whether its connection is lost, and its seat is kept.
        away: bool,
    },
    /// A member, as `who -a` lists it.
    Connected {
        /// Its name.
        name: String,
        /// Its address, or the kind of its connection if it has none; `None` while it is away.
        address: Option<String>,
        /// The room that it is in, or is leaving.
        room: String,
        /// Seconds since it entered.
        seconds: u32,
        /// Bytes of its room that it has not been sent.
        behind: u64,
        /// Whether it is tracked.
        tracked: bool,
        /// Whether its connection is lost, and its seat is kept.
        away: bool,
    },
    /// A room.
    Room {
        /// Its name.
        room: String,
        /// The members in it.
        members: usize,
        /// Whether it exists without members, too.
        permanent: bool,
    },
    /// A member that was removed.
    Removed {
        /// Its name until then.
        removed: String,
        /// The room that it was in.
        room: String,
    },
    /// A ban.
    Ban {
        /// The address or network.
        network: String,
        /// The name for which it was given, if it was for one.
        name: Option<String>,
        /// When it was given, in ms since 1970, if that is known.
        since: Option<u64>,
        /// Its end, in ms since 1970, if it has one.
        until: Option<u64>,
        /// The reason, perhaps empty.
        reason: String,
        /// All of it, for people.
        #[serde(skip)]
        shown: String,
    },
    /// A counter, or a state of this moment.
    Figure {
        /// Its name.
        name: String,
        /// Its value.
        value: u64,
    },
}

fn as_text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Text<'a> {
        text: &'a str,
    }
    Text { text }.serialize(serializer)
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Row::Text(text) => f.write_str(text),
            Row::Member { name, room, seconds, lines, away } => {
                let (age, unit) = (Age(*seconds).to_string(), if *lines == 1 { "line" } else { "lines" });
                write!(f, "{name:<16} {room:<12} {age:>7} {lines:>6} {unit}{}", if *away { ", away" } else { "" })
            }
            Row::Connected { name, address, room, seconds, behind, tracked, away } => {
                let (address, age) = (address.as_deref().unwrap_or("-"), Age(*seconds).to_string());
                write!(f, "{name:<16} {address:<21} {room:<12} {age:>7} {behind:>6} bytes behind")?;
                f.write_str(if *tracked { ", tracked" } else { "" })?;
                f.write_str(if *away { ", away" } else { "" })
            }
            Row::Room { room, members, permanent } => {
                write!(f, "{room:<16} {members:>6} here{}", if *permanent { ", permanent" } else { "" })
            }
            Row::Ban { shown, .. } => f.write_str(shown),
            Row::Removed { removed, .. } => write!(f, "{removed} was removed"),
            Row::Figure { name, value } => write!(f, "{name} {value}"),
        }
    }
}

/// A number of seconds in its two largest units: `5s`, `3m07s`, `2h05m`, `3d04h`.
struct Age(u32);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (minutes, hours) = (self.0 / 60, self.0 / 3_600);
        match self.0 {
            0..60 => write!(f, "{}s", self.0),
            60..3_600 => write!(f, "{minutes}m{:02}s", self.0 % 60),
            3_600..86_400 => write!(f, "{hours}h{:02}m", minutes % 60),
            _ => write!(f, "{}d{:02}h", hours / 24, hours % 24),
        }
    }
}
