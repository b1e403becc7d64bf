//! Announcements that the room makes in its own time: departures, names that members have lost, and lines of operators.
//!
//! With `--lag wait`, nothing may be appended while the tape is full of bytes that the slowest reader has not taken. A
//! member leaves all the same, or loses its name to the owner. So its announcement waits, in the order of the events.

use std::collections::VecDeque;
use std::rc::Rc;

use super::super::name::Name;
use super::super::notice::Notice;
use super::super::tape::{Span, Tape};

/// Lines of operators that may wait in a room at a time. A text is kept once for all rooms.
const PROCLAIMED_MAX: usize = 16;

/// The announcements, first in first out. A member causes at most two: it loses its name once, and leaves. Of lines of
/// operators, at most [`PROCLAIMED_MAX`] wait.
#[derive(Debug, Default)]
pub(super) struct Announcements(VecDeque<Announcement>);

/// An announcement.
#[derive(Debug)]
pub(super) enum Announcement {
    /// A member that was introduced has left.
    Left {
        /// The member.
        name: String,
    },
    /// A member that was introduced was removed.
    Removed {
        /// The member.
        name: String,
    },
    /// An operator says a line.
    Proclaimed {
        /// The line.
        text: Rc<str>,
    },
    /// A member has lost its name.
    Renamed {
        /// That name.
        from: String,
        /// Its name from now on.
        to: String,
    },
}

impl Announcements {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an announcement behind the others.
    pub(super) fn push(&mut self, announcement: Announcement) {
        self.0.push_back(announcement);
    }

    /// Whether no further line of an operator may wait.
    pub(super) fn is_full(&self) -> bool {
        let proclaimed = self.0.iter().filter(|announcement| matches!(announcement, Announcement::Proclaimed { .. }));
        proclaimed.count() >= PROCLAIMED_MAX
    }

    /// Takes out the first one.
    pub(super) fn pop(&mut self) -> Option<Announcement> {
        self.0.pop_front()
    }
}

impl Announcement {
    /// Puts it on the tape. The line of an operator counts as a said line.
    pub(super) fn make(&self, tape: &mut Tape) -> Span {
        match self {
            Announcement::Left { name } => tape.announce(Notice::Left { name }),
            Announcement::Removed { name } => tape.announce(Notice::Removed { name }),
            Announcement::Renamed { from, to } => tape.announce(Notice::Renamed { from, to }),
            Announcement::Proclaimed { text } => tape.say(&[Name::OPERATOR, "> ", text]),
        }
    }
}
