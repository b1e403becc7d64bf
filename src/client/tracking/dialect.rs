//! The lines of the tracked dialect. Pure.

use std::fmt;
use std::sync::Arc;

use crate::relay::notice::{Notice, PRIVATE_PREFIX};

/// Start of the first line that a server says to a client that asked for tracking with its first line.
pub(crate) const SESSION_START: &str = "** session ";

/// Prefix of a stamp.
const STAMP: &str = "@ ";

/// The longest token, in bytes: twice as much as 128 bits need in hexadecimal digits.
const TOKEN_BYTES_MAX: usize = 64;

/// The place of a record in the log of a room. Opaque, but for the number behind the last dot.
#[derive(Clone, Debug)]
pub(crate) struct Position {
    pub(super) epoch: Arc<str>,
    /// Records of the epoch before it.
    pub(super) record: u64,
    pub(super) place: Place,
}

/// The place of a position, as far as the client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing.
    Unknown,
    /// Its records come behind those that have come so far.
    Ahead,
    /// It stands behind so many records of a log, as the [chart](super::chart) counts both.
    In { log: u64, number: u64 },
}

/// Two positions are the same if their texts are.
impl PartialEq for Position {
    fn eq(&self, other: &Position) -> bool {
        (&self.epoch, self.record) == (&other.epoch, other.record)
    }
}

impl Eq for Position {}

/// A line of the server in the dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DialectLine<'a> {
    Session(Session<'a>),
    /// The client continues at the position that it asked for.
    Resumed,
    /// This many records lie between the client's position and the next stamp.
    Missed(u64),
    /// The client's position means nothing here.
    CannotResume,
    /// The client's name and room.
    YouAre {
        name: &'a str,
        room: &'a str,
    },
    /// Another connection has resumed the session.
    Elsewhere,
    /// Any other line for the client alone, without its prefix.
    Private(&'a str),
    Stamp {
        time_ms: u64,
        next: Position,
    },
    /// The end of the conversation.
    Fin,
    /// A line of the room.
    Record(&'a str),
}

/// `** session TOKEN heard N at POSITION as NAME`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session<'a> {
    pub(super) token: &'a str,
    /// Lines of the session that the server has taken, over all connections.
    pub(super) heard: u64,
    /// Own records before it belong to lines that were heard.
    pub(super) at: Position,
    pub(super) name: &'a str,
}

impl Position {
    /// Reads a position; `None` without a number behind a dot.
    pub(super) fn parse(text: &str) -> Option<Position> {
        let (epoch, record) = text.rsplit_once('.')?;
        let is_word = !epoch.is_empty() && !epoch.contains([' ', '\t']);
        let is_number = !record.is_empty() && record.bytes().all(|byte| byte.is_ascii_digit());
        if !is_word || !is_number {
            return None;
        }
        Some(Position { epoch: epoch.into(), record: record.parse().ok()?, place: Place::Unknown })
    }

    /// A position that no server has given.
    pub(super) fn unknown() -> Position {
        Position { epoch: "0".into(), record: 0, place: Place::Unknown }
    }

    /// The place behind this record.
    pub(super) fn following(self) -> Position {
        let place = match self.place {
            Place::In { log, number } => Place::In { log, number: number.saturating_add(1) },
            other => other,
        };
        Position { record: self.record.saturating_add(1), place, ..self }
    }

    /// Returns the log and the number in it, as far as they are known.
    pub(super) fn place(&self) -> Option<(u64, u64)> {
        match self.place {
            Place::In { log, number } => Some((log, number)),
            Place::Unknown | Place::Ahead => None,
        }
    }

    /// Whether its records come behind those that have come so far.
    pub(super) fn is_ahead(&self) -> bool {
        self.place == Place::Ahead
    }

    /// Returns the numbers of both in the log that they are places of.
    fn numbers(&self, other: &Position) -> Option<(u64, u64)> {
        match (self.place(), other.place()) {
            (Some((log, number)), Some((other_log, other_number))) => {
                (log == other_log).then_some((number, other_number))
            }
            _ => (self.epoch == other.epoch).then_some((self.record, other.record)),
        }
    }

    /// Whether both are places of the same log, so that their numbers can be compared.
    pub(super) fn is_comparable(&self, other: &Position) -> bool {
        self.numbers(other).is_some()
    }

    /// Whether this is the earlier one of two places of the same log, or the other one is yet to come.
    pub(super) fn is_before(&self, other: &Position) -> bool {
        let is_ahead = other.is_ahead() && !self.is_ahead();
        self.numbers(other).map_or(is_ahead, |(number, other)| number < other)
    }

    /// Whether the other one is the same or an earlier place of the same log.
    pub(super) fn has_reached(&self, other: &Position) -> bool {
        self.is_comparable(other) && !self.is_before(other)
    }

    /// Returns how many records of the same log stand between an earlier place and this one.
    pub(super) fn records_since(&self, earlier: &Position) -> u64 {
        self.numbers(earlier).map_or(0, |(number, earlier)| number.saturating_sub(earlier))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.record)
    }
}

impl DialectLine<'_> {
    /// Reads a clean line of a server that tracks this client.
    pub(super) fn parse(line: &str) -> DialectLine<'_> {
        if line == "FIN" {
            return DialectLine::Fin;
        }
        if let Some(text) = line.strip_prefix(PRIVATE_PREFIX) {
            return read_private(text);
        }
        line.strip_prefix(STAMP).and_then(read_stamp).unwrap_or(DialectLine::Record(line))
    }
}

fn read_private(text: &str) -> DialectLine<'_> {
    match Notice::parse(text) {
        Notice::Session { token, heard, at, name } => match Position::parse(at) {
            Some(at) if is_token(token) => DialectLine::Session(Session { token, heard, at, name }),
            _ => DialectLine::Private(text),
        },
        Notice::Resumed => DialectLine::Resumed,
        Notice::Missed { lines } => DialectLine::Missed(lines),
        Notice::NotResumed => DialectLine::CannotResume,
        Notice::YouAre { name, room } => DialectLine::YouAre { name, room },
        Notice::Elsewhere => DialectLine::Elsewhere,
        _ => DialectLine::Private(text),
    }
}

/// Whether the client may send `token` as a word.
fn is_token(token: &str) -> bool {
    (1..=TOKEN_BYTES_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn read_stamp(text: &str) -> Option<DialectLine<'_>> {
    let (time_ms, next) = text.split_once(' ')?;
    Some(DialectLine::Stamp { time_ms: time_ms.parse().ok()?, next: Position::parse(next)? })
}

/// Whether `line`, which answers `/track`, tells that the server does not track.
pub(super) fn is_refusal(line: &str) -> bool {
    match Notice::in_line(line) {
        Some(Notice::UnknownCommand { word }) => word.eq_ignore_ascii_case("/track"),
        Some(Notice::NothingToTrack) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_the_dialect_is_recognised() {
        let at = |text: &str| Position::parse(text).unwrap();
        let session = Session { token: "a1B2", heard: 12, at: at("e7f3.1712"), name: "client-7" };
        let stamp = DialectLine::Stamp { time_ms: 1_764_166_801_123, next: at("e7f3.1712") };
        for (line, read) in [
            ("** session a1B2 heard 12 at e7f3.1712 as client-7", DialectLine::Session(session)),
            ("** resumed", DialectLine::Resumed),
            ("** you missed 1 line", DialectLine::Missed(1)),
            ("** you missed 123 lines", DialectLine::Missed(123)),
            ("** cannot resume: earlier lines follow", DialectLine::CannotResume),
            ("** you are Zoë, in rust", DialectLine::YouAre { name: "Zoë", room: "rust" }),
            ("** you are in rust, with 2 others", DialectLine::Private("you are in rust, with 2 others")),
            ("** you are Zoë already", DialectLine::Private("you are Zoë already")),
            ("** this session goes on elsewhere", DialectLine::Elsewhere),
            ("** ana tells you: ** resumed", DialectLine::Private("ana tells you: ** resumed")),
            ("@ 1764166801123 e7f3.1712", stamp),
            ("FIN", DialectLine::Fin),
            ("* you missed 123 lines", DialectLine::Record("* you missed 123 lines")),
            ("ana> @ 1 e.2", DialectLine::Record("ana> @ 1 e.2")),
            ("@ 1 e", DialectLine::Record("@ 1 e")),
            ("", DialectLine::Record("")),
        ] {
            assert_eq!(DialectLine::parse(line), read, "{line}");
        }
        for bad in ["", "a b", "a!", &"a".repeat(65)] {
            let line = format!("** session {bad} heard 1 at e.1 as ana");
            assert!(matches!(DialectLine::parse(&line), DialectLine::Private(_)), "{line}");
        }
    }

    #[test]
    fn a_position_is_opaque_but_for_its_number() {
        let position = Position::parse("a.b.17").unwrap();
        assert_eq!((position.to_string().as_str(), position.record), ("a.b.17", 17));
        assert!(Position::parse("a.b.9").unwrap().is_before(&position));
        assert!(!Position::parse("a.c.9").unwrap().is_before(&position));
        for text in ["", ".1", "a", "a.", "a.+1", "a.x", "a b.1", "a.99999999999999999999"] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_server_that_does_not_track_is_known_by_its_answer() {
        assert!(is_refusal("* there is no command /track; /help lists what you can do"));
        assert!(is_refusal("* nothing to track: only you hear your echo"));
        for line in ["* there is no command /x; /help lists what you can do", "ana> * nothing to track", "* ana joined"]
        {
            assert!(!is_refusal(line), "{line}");
        }
    }
}
