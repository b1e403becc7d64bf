//! The events of a room: everything that changes a room or its tape.
//!
//! [`Room::decide`](super::room::Room::decide) makes an event of a line and changes nothing;
//! [`Room::apply`](super::room::Room::apply) changes the room. Today the server applies each event at once. A log
//! shared by several servers could order events between the two steps.

use std::borrow::Cow;
use std::rc::Rc;

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
        text: Cow<'a, str>,
    },
    /// A member took a name, which is free.
    Renamed {
        /// The member.
        member: MemberId,
        /// Its new name.
        name: Name,
        /// Whether the name belongs to the member.
        is_owner: bool,
    },
    /// A member lost its chosen name to the owner, and is `client-N` again.
    Unnamed {
        /// The member.
        member: MemberId,
    },
    /// The time of a silent member is over: the room introduces it now, or never.
    Joined {
        /// The member.
        member: MemberId,
    },
    /// A member left the server.
    Left {
        /// The member.
        member: MemberId,
    },
    /// The operator removed a member from the server.
    Removed {
        /// The member.
        member: MemberId,
    },
    /// An operator says a line to the room, which is nobody's own: the room reads it when its tape has space.
    Proclaimed {
        /// The line, sanitized and at most as long as one of a client.
        text: Rc<str>,
    },
    /// A member left for another room.
    Parted {
        /// The member.
        member: MemberId,
    },
    /// The announcement that has waited longest is made, if there is any: that a member left, was removed or lost its
    /// name, or a line of an operator.
    Announced,
    /// The server shuts down, and all members leave without further notices.
    ShuttingDown,
}

/// The effect of an [`Event`].
#[derive(Debug, Default)]
pub struct Applied {
    /// Bytes appended to the tape.
    pub bytes: u64,
    /// The span of tape that the author is not sent: its own line or introduction. The tape ends with it when the event
    /// has been applied.
    pub own: Option<Span>,
    /// Lines for the author alone.
    pub reply: Option<String>,
}
