//! The events of a room: everything that changes a room or its tape.
//!
//! [`Room::decide`](super::room::Room::decide) makes an event of a line and changes nothing;
//! [`Room::apply`](super::room::Room::apply) is the only place that changes a room. Today the one follows the other at
//! once. Between the two is the seam at which a log that several servers share can order events.

use super::name::Name;
use super::roster::MemberId;
use super::tape::Span;

/// A change of a room.
#[derive(Debug)]
pub enum Event<'a> {
    /// A member said a line.
    Said {
        /// Its author.
        member: MemberId,
        /// The line, sanitized.
        text: &'a str,
    },
    /// A member took a name, which is free.
    Renamed {
        /// The member.
        member: MemberId,
        /// Its new name.
        name: Name,
    },
    /// A member has been present for a while without a word: it is introduced now, or never.
    Joined {
        /// The member.
        member: MemberId,
    },
    /// A member left.
    Left {
        /// The member.
        member: MemberId,
    },
    /// The server shuts down, and all members leave without a further word.
    ShuttingDown,
}

/// The effect of an [`Event`].
#[derive(Debug, Default)]
pub struct Applied {
    /// Bytes appended to the tape.
    pub bytes: u64,
    /// The stretch of tape that is not sent to the author: its own words. At the end of the tape, when they were
    /// appended.
    pub own: Option<Span>,
    /// Lines for the author alone.
    pub reply: Option<String>,
}
