//! The text of stdout: the lines as they are, or an object of JSON for each. Pure, but for the time of day.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::Serialize;

use crate::client::timestamps::Timestamps;
use crate::client::tracking::{Entered, How, Record};
use crate::relay::name::is_shown_name;
use crate::relay::notice::{Notice, PREFIX};

/// Formats what stdout gets.
#[derive(Debug)]
pub(super) enum Output {
    /// Lines, with the time before each if that is wanted.
    Lines(Timestamps),
    /// `--json`
    Json,
    /// `--send`: nothing.
    Nothing,
}

/// A line of `--json`.
#[derive(Debug, Default, Serialize)]
struct Object<'a> {
    room: Option<&'a str>,
    position: Option<String>,
    time: Option<String>,
    kind: &'a str,
    name: Option<&'a str>,
    text: Option<&'a str>,
    /// Records that were missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<u64>,
}

impl Output {
    /// Shows a line of the server as it came; `mark` stands before it if it continues another.
    pub(super) fn show_line(&self, mark: &str, line: &str, room: Option<&str>, to: &mut VecDeque<u8>) {
        match self {
            Output::Lines(timestamps) => extend(to, &[&timestamps.prefix(), mark, line, "\n"]),
            // The end of stdout says the same.
            Output::Json if line == "FIN" && mark.is_empty() => {}
            Output::Json if !mark.is_empty() => {
                show(&Object { room, time: now(), kind: "continued", text: Some(line), ..Object::default() }, to);
            }
            Output::Json => show(&Object { room, time: now(), ..object_of(line) }, to),
            Output::Nothing => {}
        }
    }

    /// Shows a line of the room. Own lines are shown as JSON alone.
    pub(super) fn show_record(&self, record: &Record, room: &str, own_name: &str, to: &mut VecDeque<u8>) {
        match self {
            Output::Lines(timestamps) => {
                let is_own_joining =
                    matches!(Notice::in_line(&record.line), Some(Notice::Joined { name }) if name == own_name);
                if record.own.is_none() && !is_own_joining {
                    extend(to, &[&timestamps.prefix_of(record.time_ms), &record.line, "\n"]);
                }
            }
            Output::Json => {
                let (room, time) = (Some(room), time_of(record.time_ms));
                let position = Some(record.position.to_string());
                show(&Object { room, position, time, ..object_of(&record.line) }, to);
            }
            Output::Nothing => {}
        }
    }

    /// Shows a line for us alone.
    pub(super) fn show_private(&self, text: &str, room: &str, to: &mut VecDeque<u8>) {
        match self {
            Output::Lines(timestamps) => extend(to, &[&timestamps.prefix(), PREFIX, text, "\n"]),
            Output::Json => {
                let (name, text) = match Notice::parse(text) {
                    Notice::TellsYou { from, text } => (Some(from), text),
                    _ => (None, text),
                };
                let object = Object { kind: "private", name, text: Some(text), ..Object::default() };
                show(&Object { room: Some(room), time: now(), ..object }, to);
            }
            Output::Nothing => {}
        }
    }

    /// Shows where we are, unless nothing has changed or another line tells it.
    pub(super) fn show_entered(&self, entered: &Entered, to: &mut VecDeque<u8>) {
        let Entered { name, room, how } = entered;
        match self {
            Output::Lines(timestamps) if matches!(how, How::First | How::Anew(_)) => {
                let text = format!("you are {name}, in {room}");
                extend(to, &[&timestamps.prefix(), PREFIX, &text, "\n"]);
            }
            Output::Json if *how != How::Resumed => {
                let object = Object { kind: "entered", name: Some(name), ..Object::default() };
                show(&Object { room: Some(room), time: now(), ..object }, to);
            }
            Output::Lines(_) | Output::Json | Output::Nothing => {}
        }
    }

    /// Shows that records are missing here.
    pub(super) fn show_missed(&self, missed: Option<u64>, room: &str, to: &mut VecDeque<u8>) {
        let text = match missed {
            Some(lines) => Notice::Missed { lines }.to_string(),
            None => "cannot resume: lines may be missing here".to_owned(),
        };
        match self {
            Output::Lines(timestamps) => extend(to, &[&timestamps.prefix(), PREFIX, &text, "\n"]),
            Output::Json => {
                let object = Object { kind: "missed", text: Some(&text), missed, ..Object::default() };
                show(&Object { room: Some(room), time: now(), ..object }, to);
            }
            Output::Nothing => {}
        }
    }
}

/// Returns the object of a line that is not private, without its place and time.
fn object_of(line: &str) -> Object<'_> {
    let (kind, name, text) = match Notice::in_line(line) {
        Some(Notice::Joined { name }) => ("joined", Some(name), None),
        Some(Notice::Left { name }) => ("left", Some(name), None),
        Some(Notice::Renamed { from, to }) => ("renamed", Some(from), Some(to)),
        Some(Notice::TellsYou { from, text }) => ("private", Some(from), Some(text)),
        Some(Notice::Missed { lines }) => {
            return Object {
                kind: "missed",
                text: line.strip_prefix(PREFIX),
                missed: Some(lines),
                ..Object::default()
            };
        }
        Some(_) => ("notice", None, line.strip_prefix(PREFIX)),
        None => match line.split_once("> ") {
            Some((name, text)) if is_shown_name(name) => ("said", Some(name), Some(text)),
            _ => ("text", None, Some(line)),
        },
    };
    Object { kind, name, text, ..Object::default() }
}

fn show(object: &Object<'_>, to: &mut VecDeque<u8>) {
    // It has no map whose keys could be no strings.
    let json = serde_json::to_string(object).unwrap_or_default();
    extend(to, &[&json, "\n"]);
}

fn extend(to: &mut VecDeque<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| to.extend(part.as_bytes()));
}

/// Returns a time as RFC 3339 has it, in UTC with milliseconds; `None` beyond the year 9999.
fn time_of(time_ms: u64) -> Option<String> {
    let time = Timestamp::from_millisecond(i64::try_from(time_ms).ok()?).ok()?;
    Some(format!("{time:.3}"))
}

fn now() -> Option<String> {
    Some(format!("{:.3}", Timestamp::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(show: impl FnOnce(&Output, &mut VecDeque<u8>)) -> String {
        let mut to = VecDeque::new();
        show(&Output::Json, &mut to);
        String::from_utf8(to.into()).unwrap()
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(time_of(1_764_166_801_123).as_deref(), Some("2025-11-26T14:20:01.123Z"));
        assert_eq!(time_of(0).as_deref(), Some("1970-01-01T00:00:00.000Z"));
        assert_eq!(time_of(u64::MAX), None);
    }

    #[test]
    fn each_kind_of_line_is_an_object() {
        for (line, object) in [
            ("ana> a \"b\" > c", r#""kind":"said","name":"ana","text":"a \"b\" > c""#),
            ("* ana joined", r#""kind":"joined","name":"ana","text":null"#),
            ("* ana left", r#""kind":"left","name":"ana","text":null"#),
            ("* ana is now bob", r#""kind":"renamed","name":"ana","text":"bob""#),
            ("* the server is shutting down", r#""kind":"notice","name":null,"text":"the server is shutting down""#),
            ("* ana tells you: x", r#""kind":"private","name":"ana","text":"x""#),
            ("* you missed 3 lines", r#""kind":"missed","name":null,"text":"you missed 3 lines","missed":3"#),
            ("a foreign line", r#""kind":"text","name":null,"text":"a foreign line""#),
        ] {
            let shown = json(|output, to| output.show_line("", line, None, to));
            assert!(shown.starts_with(r#"{"room":null,"position":null,"time":""#), "{shown}");
            assert!(shown.ends_with(&format!("{object}}}\n")), "{shown}");
        }
        let shown = json(|output, to| output.show_private("ana tells you: x", "rust", to));
        assert!(shown.contains(r#""kind":"private","name":"ana","text":"x""#), "{shown}");
        let shown = json(|output, to| output.show_missed(Some(1), "rust", to));
        assert!(shown.contains(r#""kind":"missed","name":null,"text":"you missed 1 line","missed":1"#), "{shown}");
        assert_eq!(json(|output, to| output.show_line("", "FIN", None, to)), "");
    }
}
