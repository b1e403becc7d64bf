//! The text of stdout: the lines as they are, or an object of JSON for each. Pure, but for the time of day.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::client::timestamps::Timestamps;
use crate::client::tracking::{Entered, How, Record};
use crate::relay::notice::{Notice, PREFIX};
use crate::relay::object::{Object, time_of};

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
            Output::Json => show(&Object { room, time: now(), ..Object::of(line) }, to),
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
                show(&Object { room, position, time, ..Object::of(&record.line) }, to);
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
            Output::Lines(timestamps) if matches!(how, How::First | How::ReadOn | How::Anew(_)) => {
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

fn show(object: &Object<'_>, to: &mut VecDeque<u8>) {
    extend(to, &[&object.json(), "\n"]);
}

fn extend(to: &mut VecDeque<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| to.extend(part.as_bytes()));
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
    fn each_kind_of_line_is_an_object() {
        for (line, object) in [
            ("ana> a \"b\" > c", r#""kind":"said","name":"ana","text":"a \"b\" > c""#),
            ("* ana joined", r#""kind":"joined","name":"ana","text":null"#),
            ("* ana left", r#""kind":"left","name":"ana","text":null"#),
            ("* ana was removed", r#""kind":"removed","name":"ana","text":null"#),
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
