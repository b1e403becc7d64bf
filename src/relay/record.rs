//! The records of a room as they stand in the log that several servers share: each becomes one line of the tape, the
//! same on every server.
//!
//! ```text
//! s NUMBER NAME TEXT    said: NAME> TEXT
//! j NUMBER NAME         * NAME joined
//! l NUMBER NAME         * NAME left
//! k NUMBER NAME         * NAME was removed
//! n NUMBER FROM TO      * FROM is now TO
//! a TEXT                server> TEXT
//! ```
//!
//! A record carries the name that it shows, so a reader needs no roster. Any client of the log may have written it: a
//! reader takes only what [`Record::parse`] finds clean. All servers must find the same, so the rule has no settings.

use std::fmt::{self, Write as _};

use super::name::{GIVEN_PREFIX, Name, is_chosen_name};
use super::notice::Notice;
use super::sanitize::is_safe;
use super::tape::{Span, Tape};

/// The longest text of a record, in bytes: a line of 1 MiB, the most that any server takes, of bytes that each became
/// U+FFFD.
pub const TEXT_BYTES_MAX: usize = 3 * 1024 * 1024;

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A member said a line.
    Said {
        /// The number of the member, as shown.
        number: u64,
        /// Its name, as shown.
        name: &'a str,
        /// The line, sanitized.
        text: &'a str,
    },
    /// A member joined.
    Joined {
        /// The number of the member, as shown.
        number: u64,
        /// Its name, as shown.
        name: &'a str,
    },
    /// A member left.
    Left {
        /// The number of the member, as shown.
        number: u64,
        /// Its name, as shown.
        name: &'a str,
    },
    /// A member was removed by an operator.
    Removed {
        /// The number of the member, as shown.
        number: u64,
        /// Its name, as shown.
        name: &'a str,
    },
    /// A member has another name.
    Renamed {
        /// The number of the member, as shown.
        number: u64,
        /// The name before.
        from: &'a str,
        /// The name from now on.
        to: &'a str,
    },
    /// An operator says a line to the room.
    Proclaimed {
        /// The line, sanitized.
        text: &'a str,
    },
}

impl<'a> Record<'a> {
    /// Reads a record from its line, without the LF: `None` unless it is written exactly so, each name is one that its
    /// member can have, and the text is [safe](super::sanitize).
    ///
    /// ```
    /// use pollchat::relay::record::Record;
    ///
    /// let record = Record::Said { number: 7, name: "client-7", text: "hello" };
    /// assert_eq!(Record::parse("s 7 client-7 hello"), Some(record));
    /// assert_eq!(Record::parse("s 7 client-8 hello"), None);
    /// assert_eq!(Record::parse("s 7 server hello"), None);
    /// ```
    pub fn parse(line: &'a str) -> Option<Record<'a>> {
        let (kind, rest) = line.split_once(' ')?;
        if kind == "a" {
            return is_text(rest).then_some(Record::Proclaimed { text: rest });
        }
        let (digits, rest) = rest.split_once(' ')?;
        let number = parse_number(digits)?;
        let is_name = |name| is_name_of(number, name);
        match kind {
            "s" => {
                let (name, text) = rest.split_once(' ')?;
                (is_name(name) && is_text(text)).then_some(Record::Said { number, name, text })
            }
            "n" => {
                let (from, to) = rest.split_once(' ')?;
                (is_name(from) && is_name(to)).then_some(Record::Renamed { number, from, to })
            }
            "j" => is_name(rest).then_some(Record::Joined { number, name: rest }),
            "l" => is_name(rest).then_some(Record::Left { number, name: rest }),
            "k" => is_name(rest).then_some(Record::Removed { number, name: rest }),
            _ => None,
        }
    }

    /// Returns it with at most so many bytes of text.
    pub fn cut(self, text_bytes_max: usize) -> Record<'a> {
        match self {
            Record::Said { number, name, text } => Record::Said { number, name, text: cut(text, text_bytes_max) },
            Record::Proclaimed { text } => Record::Proclaimed { text: cut(text, text_bytes_max) },
            other => other,
        }
    }

    /// Puts it on a tape.
    pub(super) fn put_on(&self, tape: &mut Tape) -> Span {
        match *self {
            Record::Said { name, text, .. } => tape.say(&[name, "> ", text]),
            Record::Joined { name, .. } => tape.announce(Notice::Joined { name }),
            Record::Left { name, .. } => tape.announce(Notice::Left { name }),
            Record::Removed { name, .. } => tape.announce(Notice::Removed { name }),
            Record::Renamed { from, to, .. } => tape.announce(Notice::Renamed { from, to }),
            Record::Proclaimed { text } => tape.say(&[Name::OPERATOR, "> ", text]),
        }
    }

    /// Whether it counts as a said line.
    pub fn is_said(&self) -> bool {
        matches!(self, Record::Said { .. } | Record::Proclaimed { .. })
    }

    /// Appends it to the events of an entry, with its LF.
    pub fn push(&self, events: &mut String) {
        // Writing to a string does not fail.
        let _ = writeln!(events, "{self}");
    }
}

impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Record::Said { number, name, text } => write!(f, "s {number} {name} {text}"),
            Record::Joined { number, name } => write!(f, "j {number} {name}"),
            Record::Left { number, name } => write!(f, "l {number} {name}"),
            Record::Removed { number, name } => write!(f, "k {number} {name}"),
            Record::Renamed { number, from, to } => write!(f, "n {number} {from} {to}"),
            Record::Proclaimed { text } => write!(f, "a {text}"),
        }
    }
}

/// Returns how many of these records, one a line, are said lines. All servers count an entry alike, whether its records
/// are clean or not: the counts of its writer tell how many lines were lost.
pub fn said_lines(events: &str) -> u64 {
    let is_said = |line: &&str| line.starts_with("s ") || line.starts_with("a ");
    // There is no larger count than bytes.
    events.split_terminator('\n').filter(is_said).count().try_into().unwrap_or(u64::MAX)
}

/// Reads the number of a client in the form in which it is written.
fn parse_number(digits: &str) -> Option<u64> {
    let is_written = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    if is_written { digits.parse().ok() } else { None }
}

/// Whether the client with this number can have this name: the one that the server gave it, or one that it chose.
fn is_name_of(number: u64, name: &str) -> bool {
    match name.strip_prefix(GIVEN_PREFIX) {
        Some(digits) => parse_number(digits) == Some(number),
        None => is_chosen_name(name),
    }
}

/// Whether a member can have said this text.
fn is_text(text: &str) -> bool {
    (1..=TEXT_BYTES_MAX).contains(&text.len()) && is_safe(text)
}

/// Returns the beginning of a text, of at most so many bytes.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = (u64, String)> {
        let chosen = "[a-zA-Z0-9_ßéжа-я名-]{1,24}".prop_filter("a name", |name| is_name_of(1, name));
        (1..=u64::MAX, proptest::option::of(chosen))
            .prop_map(|(number, chosen)| (number, chosen.unwrap_or_else(|| format!("client-{number}"))))
    }

    fn text() -> impl Strategy<Value = String> {
        "[ \\t-~]\\PC{0,40}".prop_filter("clean", |text| is_safe(text))
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_is_written((number, name) in name(), (_, to) in name(), text in text(), kind in 0..6) {
            let (name, text) = (name.as_str(), text.as_str());
            let to = if to.starts_with(GIVEN_PREFIX) { name } else { &to };
            let record = match kind {
                0 => Record::Said { number, name, text },
                1 => Record::Joined { number, name },
                2 => Record::Left { number, name },
                3 => Record::Removed { number, name },
                4 => Record::Renamed { number, from: name, to },
                _ => Record::Proclaimed { text },
            };
            let mut line = String::new();
            record.push(&mut line);
            prop_assert_eq!(Record::parse(line.strip_suffix('\n').unwrap()), Some(record));
            prop_assert_eq!(said_lines(&line), u64::from(record.is_said()));
        }

        #[test]
        fn whatever_is_read_is_written_so_and_is_a_clean_line_of_the_tape(line in "[sjlkna] [0-9]{0,3} ?\\PC{0,30}|.*") {
            if let Some(record) = Record::parse(&line) {
                prop_assert_eq!(record.to_string(), line.as_str());
                let mut tape = Tape::growing(1 << 12);
                let span = record.put_on(&mut tape);
                let line = String::from_utf8(tape.slices(0, span.end.offset).concat()).unwrap();
                prop_assert!(line.ends_with('\n') && is_safe(line.trim_end_matches('\n')), "{:?}", line);
                prop_assert_eq!(span.lines(), u64::from(record.is_said()));
            }
        }
    }

    #[test]
    fn hostile_lines_are_no_records() {
        let overlong = format!("a {}", "x".repeat(TEXT_BYTES_MAX + 1));
        for line in [
            "",
            "s",
            "s 1",
            "s 1 ana",
            "s 1 ana ",
            "s 0 ana hi",
            "s 01 ana hi",
            "s +1 ana hi",
            "s -1 ana hi",
            "s 1x ana hi",
            "s 18446744073709551616 ana hi",
            "s  1 ana hi",
            "s 1  ana hi",
            " s 1 ana hi",
            "S 1 ana hi",
            "x 1 ana hi",
            "s 1 server hi",
            "s 1 SERVER hi",
            "j 1 server",
            "s 7 client-8 hi",
            "s 7 client- hi",
            "s 7 client-07 hi",
            "s 7 client-7x hi",
            "s 7 CLIENT-7 hi",
            "s 1 * hi",
            "s 1 @ hi",
            "s 1 a> hi",
            "s 1 abcdefghijklmnopqrstuvwxyz hi",
            // Not normalized: another text on the tape than the name that its member has.
            "s 1 e\u{301} hi",
            "s 1 ana \u{1b}[2J",
            "s 1 ana hi\r",
            "s 1 ana hi\ns 1 bob ho",
            "s 1 ana \0",
            "s 1 ana \u{202e}",
            "s 1 ana \u{feff}hi",
            "j 1",
            "j 1 ",
            "j 1 ana ",
            "j 1 ana x",
            "l 1 ana\n",
            "n 1 ana",
            "n 1 ana bob ",
            "n 1 ana server",
            "n 1 client-2 ana",
            "n 1 ana client-2",
            "a",
            "a ",
            "a \u{7f}",
            &overlong,
        ] {
            assert_eq!(Record::parse(line), None, "{line:.60}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let said = |text| Record::Said { number: 1, name: "ana", text };
        for (bytes, text) in [(9, "añob"), (4, "año"), (3, "añ"), (2, "a"), (0, "")] {
            assert_eq!(said("añob").cut(bytes), said(text));
        }
        assert_eq!(Record::Proclaimed { text: "añob" }.cut(2), Record::Proclaimed { text: "a" });
    }
}
