//! A line of the terminal form, and its bytes for each kind of server. Pure.

use std::borrow::Cow;

use crate::client::decoder::ServerKind;
use crate::relay::command::{Command, SAY, is_blank};
use crate::relay::name::TYPED_BYTES_MAX;
use crate::relay::sanitize;

/// Bytes that are put before the text of a line at most: `/say `, or `/msg NAME `.
pub(crate) const WIRE_BYTES_MORE: usize = "/msg  ".len() + TYPED_BYTES_MAX;

/// A slash as some input methods type it.
const WIDE_SLASH: char = '\u{ff0f}';

/// A line as the user entered it, without a newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entered {
    /// The text.
    pub(crate) text: String,
    /// The user's intention.
    pub(crate) intent: Intent,
}

/// Intention of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// It was typed: it may be a command.
    Line,
    /// It was pasted among other lines, or confirmed: it is text, even if it looks like a command.
    Text,
    /// It is a `/msg` of a conversation with one member: a foreign server might tell it to everybody.
    Told,
}

impl Entered {
    /// A typed line.
    pub(crate) fn line(text: String) -> Entered {
        Entered { text: without_marks(text), intent: Intent::Line }
    }

    /// A line to say as it is.
    pub(crate) fn text(text: String) -> Entered {
        Entered { text: without_marks(text), intent: Intent::Text }
    }

    /// A line that tells a text to one member alone.
    pub(crate) fn told(name: &str, text: &str) -> Entered {
        Entered { text: format!("/msg {name} {text}"), intent: Intent::Told }
    }

    /// Whether a server of this kind may get the line.
    pub(crate) fn is_fit_for(&self, kind: ServerKind) -> bool {
        self.intent != Intent::Told || kind == ServerKind::Pollchat
    }

    /// Returns the line for a server of this kind, without a newline.
    ///
    /// A pollchat server is told to say what it would take for a command otherwise. A bare goodbye word leaves only a
    /// foreign server: at a terminal it may be an answer. Other servers may not know `/say`, so they get lines as they
    /// are.
    pub(crate) fn wire(&self, kind: ServerKind) -> Cow<'_, str> {
        let is_said = match (kind, self.intent) {
            (ServerKind::Pollchat, Intent::Line) => self.is_goodbye_word(),
            (ServerKind::Pollchat, Intent::Text) => may_be_obeyed(&self.text),
            _ => false,
        };
        if is_said { Cow::Owned([SAY, &self.text].concat()) } else { Cow::Borrowed(&self.text) }
    }

    /// Whether a pollchat server gets other bytes than a foreign one.
    pub(crate) fn depends_on_kind(&self) -> bool {
        !self.is_fit_for(ServerKind::Other) || self.wire(ServerKind::Pollchat) != self.wire(ServerKind::Other)
    }

    /// Whether it is a typed command behind a blank, which a server would say to everybody.
    pub(crate) fn is_shifted_command(&self) -> bool {
        let shown = self.text.trim_start_matches(is_blank);
        let is_shifted = shown.len() < self.text.len() || shown.starts_with(WIDE_SLASH);
        let command = shown.strip_prefix(['/', WIDE_SLASH]);
        self.intent == Intent::Line && is_shifted && command.is_some_and(|rest| !rest.starts_with(['/', WIDE_SLASH]))
    }

    /// Whether it is `FIN` or `exit`.
    pub(crate) fn is_goodbye_word(&self) -> bool {
        Command::parse(&self.text) == Command::Leave && !self.text.starts_with('/')
    }
}

/// Whether a pollchat server would do anything else with `text` than say it, blanks around it included.
fn may_be_obeyed(text: &str) -> bool {
    let trimmed = text.trim_matches(is_blank);
    trimmed.starts_with('/') || Command::parse(trimmed) != Command::Say(trimmed)
}

/// Removes byte order marks at the start. Behind [`SAY`] the server would not drop them.
fn without_marks(mut text: String) -> String {
    let marks = text.len() - sanitize::without_marks(text.as_bytes()).len();
    text.drain(..marks);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_a_server_would_obey_is_said_by_command() {
        for text in ["/nick x", "//x", "/", "FIN", "exit", "Exit", "/quit", " /msg ana x", "\t fin ", "/say x", " "] {
            let line = Entered::text(text.to_owned());
            assert_eq!(line.wire(ServerKind::Pollchat), format!("/say {text}"));
            assert_eq!(line.wire(ServerKind::Other), text);
        }
        for text in ["hello", "exit now", "a /nick x", " indented", "fin."] {
            assert_eq!(Entered::text(text.to_owned()).wire(ServerKind::Pollchat), text);
        }
    }

    #[test]
    fn a_byte_order_mark_at_the_start_is_not_said() {
        for (text, wire) in
            [("\u{feff}/x", "/say /x"), ("\u{feff}\u{feff}hello", "hello"), ("\u{feff}exit", "/say exit")]
        {
            assert_eq!(Entered::text(text.to_owned()).wire(ServerKind::Pollchat), wire);
        }
        assert_eq!(Entered::line("\u{feff}/who".to_owned()).wire(ServerKind::Pollchat), "/who");
        assert!(!Entered::line("\u{feff}/who".to_owned()).is_shifted_command());
    }

    #[test]
    fn a_typed_line_is_a_command_unless_it_is_a_bare_goodbye() {
        for text in ["/nick x", "/quit", "hello", "//x", " /who", "fin."] {
            for kind in [ServerKind::Pollchat, ServerKind::Other, ServerKind::Unknown(3)] {
                assert_eq!(Entered::line(text.to_owned()).wire(kind), text);
            }
        }
        for text in ["FIN", "fin", "exit", "EXIT"] {
            let line = Entered::line(text.to_owned());
            assert_eq!(line.wire(ServerKind::Pollchat), format!("/say {text}"));
            assert_eq!(line.wire(ServerKind::Other), text);
        }
    }

    #[test]
    fn a_command_behind_a_blank_is_found() {
        let is_shifted = |text: &str| Entered::line(text.to_owned()).is_shifted_command();
        for blank in [" ", "\t", "  ", "\u{a0}", "\u{3000}", "\u{200b}", "\u{2060}", "\u{2800}", "\u{3164}", "\u{301}"]
        {
            for command in ["/msg ana secret", "/mgs ana secret", "/", "\u{ff0f}msg ana secret"] {
                assert!(is_shifted(&format!("{blank}{command}")), "{blank:?}");
            }
            for text in ["//msg", "hello", "", "fin", "a /msg"] {
                assert!(!is_shifted(&format!("{blank}{text}")), "{blank:?}{text}");
            }
        }
        assert!(is_shifted("\u{ff0f}msg ana secret"));
        for text in ["/msg ana secret", "hello", "", "//x"] {
            assert!(!is_shifted(text));
        }
        assert!(!Entered::text(" /msg ana secret".to_owned()).is_shifted_command());
    }
}
