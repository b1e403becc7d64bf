//! Announcements that the room makes in its own time: departures, and names that members have lost.
//!
//! With `--lag wait`, nothing may be appended while the tape is full of bytes that the slowest reader has not taken. A
//! member leaves all the same, or loses its name to the owner. So its announcement waits, in the order of the events.

use std::collections::VecDeque;

use super::super::notice::Notice;

/// The announcements, first in first out. A member causes at most two: it loses its name once, and leaves.
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

    /// Takes out the first one.
    pub(super) fn pop(&mut self) -> Option<Announcement> {
        self.0.pop_front()
    }
}

impl Announcement {
    /// Returns the notice for the tape.
    pub(super) fn notice(&self) -> Notice<'_> {
        match self {
            Announcement::Left { name } => Notice::Left { name },
            Announcement::Renamed { from, to } => Notice::Renamed { from, to },
        }
    }
}
