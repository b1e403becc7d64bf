//! The events of the roster's log, as they stand in its entries: one a line.
//!
//! ```text
//! h VERSION ANNOUNCE_UP_TO SERVER        hello: a server comes; what was known of its members counts no longer
//! s VERSION ANNOUNCE_UP_TO SERVER        a snapshot of the writer's members begins
//! m NUMBER SECONDS LINES TOLD ROOM NAME  a member in it; NAME is left out if it has none
//! . BLOCKS ID                            the end of it, or alone: blocks of numbers given up to the entry ID
//! + NUMBER ROOM                          a member came, or is in this room now, which does not know it yet
//! - NUMBER                               it left the server
//! t NUMBER                               its room was told that it joined
//! c NUMBER OWNER NAME                    it asks for a name; OWNER is 1 if it has shown the token, otherwise 0
//! n NUMBER NAME                          it has the name that it asked for
//! u NUMBER                               it has no name, and asks for none
//! o                                      the writer wants a further block of numbers
//! b                                      the writer goes, and its members with it
//! g WRITER                               a server is gone, and its members with it
//! k NUMBER REASON                        an operator removes a member; REASON may be left out
//! B ORDER  U ORDER                       an operator bans, or lifts a ban: what follows the verb of the order
//! a TEXT                                 an operator says a line in every room
//! ```
//!
//! Any client of the log may have written an event. [`RosterEvent::parse`] takes only what a server would write, with
//! safe text.

use std::fmt;

use super::super::sanitize::is_safe;
use super::super::sequence::{EntryId, Writer};

/// An event of the roster's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RosterEvent<'a> {
    /// The writer comes.
    Hello(Greeting<'a>),
    /// A snapshot of the writer's members begins.
    SnapshotBegins(Greeting<'a>),
    /// A member in a snapshot.
    Member {
        /// Its number, as shown.
        number: u64,
        /// Seconds since it entered.
        seconds: u32,
        /// Lines that it has said.
        lines: u32,
        /// Whether its room was told that it joined.
        is_told: bool,
        /// Its room.
        room: &'a str,
        /// Its chosen name.
        name: Option<&'a str>,
    },
    /// A snapshot ends.
    SnapshotEnds {
        /// Blocks of numbers that were given up to and with the entry `as_of`.
        blocks: u64,
        /// The last entry that the writer knows to have given any.
        as_of: EntryId,
    },
    /// A member came, or went to this room.
    Came {
        /// Its number, as shown.
        number: u64,
        /// The room.
        room: &'a str,
    },
    /// A member left the server.
    Left {
        /// Its number, as shown.
        number: u64,
    },
    /// The room of a member was told that it joined.
    Told {
        /// Its number, as shown.
        number: u64,
    },
    /// A member asks for a name.
    Claims {
        /// Its number, as shown.
        number: u64,
        /// Whether it has shown the token of the name.
        is_owner: bool,
        /// The name.
        name: &'a str,
    },
    /// A member has the name that it asked for.
    Named {
        /// Its number, as shown.
        number: u64,
        /// The name.
        name: &'a str,
    },
    /// A member has no name, and asks for none.
    Unnamed {
        /// Its number, as shown.
        number: u64,
    },
    /// The writer wants a further block of numbers.
    WantsNumbers,
    /// The writer goes.
    Bye,
    /// A server is gone.
    Gone {
        /// The server.
        writer: Writer,
    },
    /// An operator removes a member.
    Kick {
        /// Its number, as shown.
        number: u64,
        /// The reason, perhaps empty.
        reason: &'a str,
    },
    /// An operator bans.
    Ban {
        /// The order, without its verb.
        order: &'a str,
    },
    /// An operator lifts a ban.
    Unban {
        /// The order, without its verb.
        order: &'a str,
    },
    /// An operator says a line in every room.
    Announce {
        /// The line.
        text: &'a str,
    },
}

/// The words of a server about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// Its version.
    pub version: &'a str,
    /// `--announce-up-to`
    pub announce_up_to: usize,
    /// Its name, for operators.
    pub server: &'a str,
}

impl<'a> RosterEvent<'a> {
    /// Reads an event from its line, without the LF. `None` unless it is written exactly so. Names have yet to be
    /// parsed.
    pub fn parse(line: &'a str) -> Option<RosterEvent<'a>> {
        if !is_safe(line) {
            return None;
        }
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut words = rest.split(' ');
        let event = match kind {
            "h" => RosterEvent::Hello(Greeting::parse(&mut words)?),
            "s" => RosterEvent::SnapshotBegins(Greeting::parse(&mut words)?),
            "m" => RosterEvent::Member {
                number: parse_member(words.next()?)?,
                seconds: parse_number(words.next()?)?,
                lines: parse_number(words.next()?)?,
                is_told: parse_flag(words.next()?)?,
                room: parse_word(words.next()?)?,
                name: words.next().map_or(Some(None), |name| parse_word(name).map(Some))?,
            },
            "." => RosterEvent::SnapshotEnds {
                blocks: parse_number(words.next()?)?,
                as_of: EntryId::parse(words.next()?)?,
            },
            "+" => RosterEvent::Came { number: parse_member(words.next()?)?, room: parse_word(words.next()?)? },
            "-" => RosterEvent::Left { number: parse_member(words.next()?)? },
            "t" => RosterEvent::Told { number: parse_member(words.next()?)? },
            "c" => RosterEvent::Claims {
                number: parse_member(words.next()?)?,
                is_owner: parse_flag(words.next()?)?,
                name: parse_word(words.next()?)?,
            },
            "n" => RosterEvent::Named { number: parse_member(words.next()?)?, name: parse_word(words.next()?)? },
            "u" => RosterEvent::Unnamed { number: parse_member(words.next()?)? },
            "o" => RosterEvent::WantsNumbers,
            "b" => RosterEvent::Bye,
            "g" => RosterEvent::Gone { writer: Writer::parse(words.next()?)? },
            "k" => {
                let (number, reason) = rest.split_once(' ').unwrap_or((rest, ""));
                RosterEvent::Kick { number: parse_member(number)?, reason }
            }
            "B" => RosterEvent::Ban { order: rest },
            "U" => RosterEvent::Unban { order: rest },
            "a" => RosterEvent::Announce { text: rest },
            _ => return None,
        };
        // The one form of each event: a word too many, a leading zero or an empty text has another.
        (event.to_string() == line && !line.ends_with(' ')).then_some(event)
    }

    /// Whether it means the same wherever it stands among the events of its server.
    pub fn is_apart(&self) -> bool {
        matches!(
            self,
            RosterEvent::WantsNumbers
                | RosterEvent::Gone { .. }
                | RosterEvent::Kick { .. }
                | RosterEvent::Ban { .. }
                | RosterEvent::Unban { .. }
                | RosterEvent::Announce { .. }
        )
    }

    /// Appends it to the events of an entry, with its LF.
    pub fn push(&self, events: &mut String) {
        use fmt::Write as _;
        // Writing to a string does not fail.
        let _ = writeln!(events, "{self}");
    }
}

impl<'a> Greeting<'a> {
    fn parse(words: &mut impl Iterator<Item = &'a str>) -> Option<Greeting<'a>> {
        let version = parse_word(words.next()?)?;
        Some(Greeting { version, announce_up_to: parse_number(words.next()?)?, server: parse_word(words.next()?)? })
    }
}

impl fmt::Display for Greeting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.version, self.announce_up_to, self.server)
    }
}

impl fmt::Display for RosterEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            RosterEvent::Hello(greeting) => write!(f, "h {greeting}"),
            RosterEvent::SnapshotBegins(greeting) => write!(f, "s {greeting}"),
            RosterEvent::Member { number, seconds, lines, is_told, room, name } => {
                write!(f, "m {number} {seconds} {lines} {} {room}", u8::from(is_told))?;
                name.map_or(Ok(()), |name| write!(f, " {name}"))
            }
            RosterEvent::SnapshotEnds { blocks, as_of } => write!(f, ". {blocks} {as_of}"),
            RosterEvent::Came { number, room } => write!(f, "+ {number} {room}"),
            RosterEvent::Left { number } => write!(f, "- {number}"),
            RosterEvent::Told { number } => write!(f, "t {number}"),
            RosterEvent::Claims { number, is_owner, name } => write!(f, "c {number} {} {name}", u8::from(is_owner)),
            RosterEvent::Named { number, name } => write!(f, "n {number} {name}"),
            RosterEvent::Unnamed { number } => write!(f, "u {number}"),
            RosterEvent::WantsNumbers => f.write_str("o"),
            RosterEvent::Bye => f.write_str("b"),
            RosterEvent::Gone { writer } => write!(f, "g {writer}"),
            RosterEvent::Kick { number, reason: "" } => write!(f, "k {number}"),
            RosterEvent::Kick { number, reason } => write!(f, "k {number} {reason}"),
            RosterEvent::Ban { order } => write!(f, "B {order}"),
            RosterEvent::Unban { order } => write!(f, "U {order}"),
            RosterEvent::Announce { text } => write!(f, "a {text}"),
        }
    }
}

fn parse_word(word: &str) -> Option<&str> {
    (!word.is_empty()).then_some(word)
}

fn parse_number<N: std::str::FromStr>(digits: &str) -> Option<N> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// Reads the number of a member. No client has 0, and none the last.
fn parse_member(digits: &str) -> Option<u64> {
    parse_number(digits).filter(|number| (1..u64::MAX).contains(number))
}

fn parse_flag(digit: &str) -> Option<bool> {
    match digit {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_read_as_it_is_written() {
        for line in [
            "h 1.0.0 50 fox",
            "s 1.0.0 0 fox",
            "m 7 60 3 1 lobby",
            "m 7 0 0 0 lobby Zoë",
            ". 3 1700000000000-1",
            "+ 1001 rust",
            "- 1001",
            "t 1",
            "c 1 0 ana",
            "c 1 1 ana",
            "n 1 ana",
            "u 1",
            "o",
            "b",
            "g 00000000000000ff",
            "k 1",
            "k 1 no  spam",
            "B 10.0.0.0/8 1h spam",
            "U ana",
            "a good  night",
        ] {
            let event = RosterEvent::parse(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(event.to_string(), line);
        }
    }

    #[test]
    fn hostile_lines_are_no_events() {
        for line in [
            "",
            " ",
            "h",
            "h 1 50",
            "h 1 x fox",
            "h 1 50 fox x",
            "h 1 050 fox",
            "x 1",
            "+",
            "+ 1",
            "+ 1 ",
            "+ 0 lobby",
            "+ 01 lobby",
            "+ -1 lobby",
            "+ 1 a b",
            "+ 18446744073709551615 lobby",
            "- 1 ",
            "- 1 2",
            "t",
            "c 1 2 ana",
            "c 1 0",
            "c 1 0 ",
            "n 1",
            "u",
            "o ",
            "o 1",
            "b b",
            "g 1",
            "g 00000000000000FF",
            ". 1",
            ". 1 1",
            ". 1 1-01",
            "m 1 0 0 2 lobby",
            "m 1 0 0 1",
            "m 1 0 4294967296 1 lobby",
            "m 1 0 0 1 lobby ",
            "k",
            "k x",
            "k 1 ",
            "a",
            "a ",
            "B",
            "U ",
            "a \u{1b}[2J",
            "n 1 a\nb",
            "a x\r",
        ] {
            assert_eq!(RosterEvent::parse(line), None, "{line:?}");
        }
    }
}
