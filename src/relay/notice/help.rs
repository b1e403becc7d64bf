//! The answer to `/help`.

use super::Notice;
use crate::relay::order;

/// `/help` for a client.
const CLIENT: [&str; 8] = [
    "a line is relayed to the others as NAME> line",
    "/nick NAME: be called NAME (1 to 24 letters, digits, _ or -)",
    "/who: who is here",
    "/who NAME: the names here that begin with NAME",
    "/who page 2: the second hundred of the names",
    "/msg NAME TEXT: tell TEXT to NAME alone",
    "/me TEXT: say what you do, as *TEXT*",
    "/say TEXT: say TEXT as it is, even exit or /x",
];

/// `/help` for the operator, before the orders.
const OPERATOR: [&str; 3] = [
    "a line is relayed to all as server> line",
    "/msg NAME TEXT: tell TEXT to NAME alone",
    "/say TEXT: say TEXT as it is, even exit or /x",
];

/// The line about names with owners, for a client, if there are any.
const NAMES: [&str; 1] = ["/nick NAME TOKEN: be called NAME, which belongs to you"];

/// The lines about rooms, if there may be more than one.
const ROOMS: [&str; 2] = ["/rooms: which rooms there are", "/join NAME: go to the room NAME"];

/// The lines about what was said, if there is a journal.
const JOURNAL: [&str; 2] = ["/history N: the newest N lines", "/search WORD: the newest lines with WORD"];

/// The features on which the answer depends.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Help {
    /// Whether the operator asks.
    pub(in super::super) is_operator: bool,
    /// Whether some names have owners.
    pub(in super::super) has_names: bool,
    /// Whether there may be more than one room.
    pub(in super::super) has_rooms: bool,
    /// Whether there is a journal.
    pub(in super::super) has_journal: bool,
}

impl Help {
    /// Returns the answer, as lines.
    pub(in super::super) fn lines(self) -> String {
        let (texts, end) = if self.is_operator {
            (&OPERATOR[..], "FIN, exit or /quit: stop the server; the end of input: leave it running")
        } else {
            (&CLIENT[..], "FIN, exit or /quit: leave")
        };
        let of_names = NAMES.into_iter().filter(|_| self.has_names && !self.is_operator);
        let of_rooms = ROOMS.into_iter().filter(|_| self.has_rooms);
        let of_journal = JOURNAL.into_iter().filter(|_| self.has_journal);
        let mut lines = String::new();
        for text in texts.iter().copied().chain(of_names).chain(of_rooms).chain(of_journal) {
            Notice::Other(text).push_line(&mut lines);
        }
        for usage in order::HELP.into_iter().filter(|usage| self.is_operator && !is_of_all(usage)) {
            Notice::Other(&format!("/{usage}")).push_line(&mut lines);
        }
        Notice::Other("//x: say /x").push_line(&mut lines);
        Notice::Other(end).push_line(&mut lines);
        lines
    }
}

/// Whether an order with this usage has the name of a command that everybody has.
fn is_of_all(usage: &str) -> bool {
    ["rooms:", "help:"].iter().any(|verb| usage.starts_with(verb))
}
