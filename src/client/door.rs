//! The door of a server on one connection: whether the server asks for a password before all else. Pure.
//!
//! A server that asks does nothing with what else it hears, and lets a client in without a word. Then the connection
//! begins anew: the client sends its first lines again, behind the password.

use super::decoder::ServerLine;
use crate::relay::notice::Notice;

/// State of the door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Door {
    /// The server has said nothing.
    #[default]
    Unseen,
    /// The server asks for a password.
    Locked,
    /// The server asks, and so does the prompt of the terminal.
    Waiting,
    /// The server was given a password, and has said nothing that tells whether it is right.
    Tried,
    /// The server does not take the password that it was given, and asks for another one.
    Rejected,
    /// The server asks for none, or has let us in.
    Open,
}

impl Door {
    /// Takes each line of the server, before all else. Returns whether the line is about the password alone.
    ///
    /// Behind any other line a question is none: the operator's greeting, for example, may look like it.
    pub(super) fn takes(&mut self, line: ServerLine<'_>) -> bool {
        // The common case.
        if *self == Door::Open {
            return false;
        }
        let notice = Notice::in_line(line.text).filter(|_| line.has_end && !line.is_continued);
        let (next, is_taken) = match (*self, notice) {
            (Door::Unseen, Some(Notice::PasswordWanted)) => (Door::Locked, true),
            // It answers a line that was sent before the password.
            (state, Some(Notice::PasswordWanted)) => (state, true),
            (Door::Tried, Some(Notice::PasswordWrong)) => (Door::Rejected, true),
            (
                state @ (Door::Locked | Door::Waiting | Door::Tried | Door::Rejected),
                Some(Notice::PasswordRefused | Notice::PasswordCrowded | Notice::PasswordMissing),
            ) => (state, false),
            _ => (Door::Open, false),
        };
        *self = next;
        is_taken
    }

    /// Records that the server was given a password.
    pub(super) fn on_tried(&mut self) {
        *self = Door::Tried;
    }

    /// Records that the user was asked.
    pub(super) fn on_told(&mut self) {
        *self = Door::Waiting;
    }

    /// Whether the server awaits a password, and nobody was asked for it yet.
    pub(super) fn is_asking(self) -> bool {
        matches!(self, Door::Locked | Door::Rejected)
    }

    /// Whether nothing may be said but the password, as far as we know.
    pub(super) fn is_locked(self) -> bool {
        self.is_asking() || matches!(self, Door::Waiting | Door::Tried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: &str = "* this server asks for a password: /pass WORD";
    const WRONG: &str = "* that is not the password";
    const WELCOME: &str = "* you are client-7; /help lists what you can do";

    fn takes(door: &mut Door, text: &str) -> bool {
        door.takes(ServerLine { text, is_continued: false, has_end: true })
    }

    #[test]
    fn a_question_counts_as_the_first_line_alone() {
        for first in [WELCOME, "hello", "", "ana> hi", WRONG, "* you have not given the password: goodbye"] {
            let mut door = Door::default();
            assert!(!takes(&mut door, first) && !takes(&mut door, WANTED), "{first}");
            assert_eq!(door, Door::Open);
        }
        let torn = ServerLine { text: WANTED, is_continued: false, has_end: false };
        assert!(!Door::default().takes(torn), "silence ended it");
    }

    #[test]
    fn a_door_stays_locked_until_another_line_comes() {
        let mut door = Door::default();
        assert!(takes(&mut door, WANTED) && takes(&mut door, WANTED) && door.is_asking());
        door.on_tried();
        assert!(takes(&mut door, WANTED) && door.is_locked() && !door.is_asking(), "it answers an earlier line");
        assert!(takes(&mut door, WRONG) && door == Door::Rejected);
        door.on_told();
        assert!(takes(&mut door, WANTED) && door.is_locked() && !door.is_asking(), "the user was asked");
        door.on_tried();
        assert!(!takes(&mut door, "* that is not the password either: goodbye") && door.is_locked());
        assert!(!takes(&mut door, WELCOME) && !door.is_locked());
    }
}
