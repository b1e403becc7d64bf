//! A line of a server as an object of JSON, for programs. Pure.

use jiff::Timestamp;
use serde::Serialize;

use super::name::is_shown_name;
use super::notice::{Notice, PREFIX};

/// A line, with its place and time.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Object<'a> {
    pub(crate) room: Option<&'a str>,
    pub(crate) position: Option<String>,
    pub(crate) time: Option<String>,
    pub(crate) kind: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) text: Option<&'a str>,
    /// Records that were missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missed: Option<u64>,
}

impl Object<'_> {
    /// Returns the object of a line that is not private, without its place and time.
    pub(crate) fn of(line: &str) -> Object<'_> {
        let (kind, name, text) = match Notice::in_line(line) {
            Some(Notice::Joined { name }) => ("joined", Some(name), None),
            Some(Notice::Left { name }) => ("left", Some(name), None),
            Some(Notice::Removed { name }) => ("removed", Some(name), None),
            Some(Notice::Renamed { from, to }) => ("renamed", Some(from), Some(to)),
            Some(Notice::TellsYou { from, text }) => ("private", Some(from), Some(text)),
            Some(Notice::Missed { lines }) => {
                let text = line.strip_prefix(PREFIX);
                return Object { kind: "missed", text, missed: Some(lines), ..Object::default() };
            }
            Some(_) => ("notice", None, line.strip_prefix(PREFIX)),
            None => match line.split_once("> ") {
                Some((name, text)) if is_shown_name(name) => ("said", Some(name), Some(text)),
                _ => ("text", None, Some(line)),
            },
        };
        Object { kind, name, text, ..Object::default() }
    }

    /// Returns it as JSON.
    pub(crate) fn json(&self) -> String {
        // It has no map whose keys could be no strings.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Returns a time, in ms since 1970, as RFC 3339 has it, in UTC with milliseconds; `None` beyond the year 9999.
pub(crate) fn time_of(time_ms: u64) -> Option<String> {
    let time = Timestamp::from_millisecond(i64::try_from(time_ms).ok()?).ok()?;
    Some(format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(time_of(1_764_166_801_123).as_deref(), Some("2025-11-26T14:20:01.123Z"));
        assert_eq!(time_of(0).as_deref(), Some("1970-01-01T00:00:00.000Z"));
        assert_eq!(time_of(u64::MAX), None);
    }
}
