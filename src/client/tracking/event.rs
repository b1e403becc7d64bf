//! Events of the tracked dialect, for the form that shows them. Pure.

use super::dialect::Position;
use super::lines::Fate;

/// Something to show or to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A line of a server that does not track, as it came; or a piece that continues the last line, with its mark.
    Plain(String),
    /// The server does not track. Lines are sent without this state machine from now on.
    Untracked,
    /// We are in a room: on a new connection, or because we went there.
    Entered(Entered),
    /// Records were said that do not come. `None`: the server cannot tell how many.
    Missed(Option<u64>),
    /// A line for us alone, without a prefix.
    Private(String),
    /// A line of the room.
    Record(Record),
    /// The server has taken a line of ours.
    Taken {
        /// Its id.
        id: u64,
        /// Its text.
        line: String,
    },
    /// The server has lost the session, and may have taken the line with this id or not. It is not sent again.
    InDoubt(u64),
    /// The server has taken the line with this id, which was said, and its record was missed. (Or it was too long.)
    Unrecorded(u64),
    /// Another connection goes on with this session. Do not reconnect.
    Elsewhere,
    /// The last line of the server.
    Fin,
}

/// Our place at the begin of a connection, or after a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entered {
    pub(crate) name: String,
    pub(crate) room: String,
    pub(crate) how: How,
}

/// Kind of an [`Entered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Tracking begins.
    First,
    /// Our seat was kept: name and room are those that the server knows.
    Resumed,
    /// The session is a new one, in a new seat, and reads on where the lost one was: the server was restarted.
    ReadOn,
    /// The seat may be a new one. `true`: so is the session.
    Anew(bool),
    /// We went to another room.
    Moved,
}

impl How {
    /// Whether the server knew the session of the lost connection.
    pub(crate) fn is_known_session(self) -> bool {
        matches!(self, How::Resumed | How::Anew(false))
    }
}

/// A line of the room, with its place and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) line: String,
    pub(crate) position: Position,
    /// Time in ms since 1970.
    pub(crate) time_ms: u64,
    /// The id of our line that it repeats.
    pub(crate) own: Option<u64>,
    /// Whether it is of an earlier run of the server, so that it tells nothing of the present one.
    pub(crate) is_past: bool,
}

impl Event {
    pub(super) fn of(fate: Fate) -> Event {
        match fate {
            Fate::Taken { id, line } => Event::Taken { id, line },
            Fate::InDoubt(id) => Event::InDoubt(id),
            Fate::Unrecorded(id) => Event::Unrecorded(id),
        }
    }
}
