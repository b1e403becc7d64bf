//! `/query NAME`: the member to whom alone all typed lines go, until `/query` ends it. Pure.

use std::borrow::Cow;

use crate::client::outbox::entered::{Entered, Intent};
use crate::relay::command::{Command, is_blank};
use crate::relay::name::fold;
use crate::relay::sanitize::sanitize;

/// The conversation with one member, if there is one.
#[derive(Debug, Default)]
pub(super) struct Query {
    name: Option<String>,
}

impl Query {
    /// The member.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Begins a conversation.
    pub(super) fn begin(&mut self, name: &str) {
        self.name = Some(name.to_owned());
    }

    /// Ends it. Returns the member.
    pub(super) fn end(&mut self) -> Option<String> {
        self.name.take()
    }

    /// Follows the member to its next name: another one may take the old name.
    pub(super) fn on_renamed(&mut self, from: &str, to: &str) {
        if self.name().is_some_and(|name| fold(name) == fold(from)) {
            self.begin(to);
        }
    }

    /// Returns a line as it leaves: what the room would be told goes to the member alone. A command stays a command, and
    /// blanks alone, which only a room can be told, become nothing.
    pub(super) fn aim(&self, line: Entered) -> Option<Entered> {
        let Some(name) = self.name() else { return Some(line) };
        let mut buffer = String::new();
        let text = sanitize(line.text.as_bytes(), &mut buffer);
        let told = match line.intent {
            Intent::Text => Some(Cow::Borrowed(text)),
            Intent::Line if line.is_goodbye_word() => Some(text.into()),
            Intent::Line => Command::parse(text).said(),
            Intent::Told => None,
        };
        match told {
            Some(told) if told.trim_matches(is_blank).is_empty() => None,
            Some(told) => Some(Entered::told(name, &told)),
            None => Some(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_room_would_be_told_goes_to_one_alone() {
        let mut query = Query::default();
        let hi = Entered::line("hi".to_owned());
        assert_eq!(query.aim(hi.clone()), Some(hi.clone()));
        query.begin("BEN");
        query.on_renamed("eve", "zoe");
        query.on_renamed("ben", "Bob");
        for (typed, told) in [
            ("hi", "hi"),
            ("exit", "exit"),
            ("FIN", "FIN"),
            ("//x", "/x"),
            ("/say /x", "/x"),
            ("/me waves", "*waves*"),
            ("ben: no", "ben: no"),
        ] {
            assert_eq!(query.aim(Entered::line(typed.to_owned())), Some(Entered::told("Bob", told)));
        }
        for command in ["/who", "/quit", "/msg eve hi", "/nope"].map(|typed| Entered::line(typed.to_owned())) {
            assert_eq!(query.aim(command.clone()), Some(command));
        }
        for text in ["/quit", "exit", "fn main()", " /msg eve x"] {
            let told = Entered::told("Bob", text);
            assert_eq!(query.aim(Entered::text(text.to_owned())), Some(told), "a paste is text");
        }
        for blank in [" ", "\t\u{3000}"] {
            assert_eq!(query.aim(Entered::text(blank.to_owned())), None, "a blank line of a paste");
        }
        assert_eq!(query.end().as_deref(), Some("Bob"));
        assert_eq!(query.aim(hi.clone()), Some(hi));
    }
}
