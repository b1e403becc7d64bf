//! Announcements that the room makes in its own time: departures, names that members have lost, and lines of operators.
//!
//! With `--lag wait`, nothing may be appended while the tape is full of bytes that the slowest reader has not taken. A
//! member leaves all the same, or loses its name to the owner. So its announcement waits, in the order of the events.

use std::collections::VecDeque;
use std::rc::Rc;

use super::super::record::Record;

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
        /// The number of the member, as shown.
        number: u64,
        /// Its name.
        name: String,
    },
    /// A member that was introduced was removed.
    Removed {
        /// The number of the member, as shown.
        number: u64,
        /// Its name.
        name: String,
    },
    /// An operator says a line.
    Proclaimed {
        /// The line.
        text: Rc<str>,
    },
    /// A member has lost its name.
    Renamed {
        /// The number of the member, as shown.
        number: u64,
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
    /// A member with this number and this name has left.
    pub(super) fn left(number: u64, name: String) -> Announcement {
        Announcement::Left { number, name }
    }

    /// A member with this number and this name was removed.
    pub(super) fn removed(number: u64, name: String) -> Announcement {
        Announcement::Removed { number, name }
    }

    /// Returns the record that the room reads.
    pub(super) fn record(&self) -> Record<'_> {
        match self {
            Announcement::Left { number, name } => Record::Left { number: *number, name },
            Announcement::Removed { number, name } => Record::Removed { number: *number, name },
            Announcement::Renamed { number, from, to } => Record::Renamed { number: *number, from, to },
            Announcement::Proclaimed { text } => Record::Proclaimed { text },
        }
    }
}
