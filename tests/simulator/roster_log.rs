//! The roster log of the hub: who entered, moved, left or took a name, at which place of which tape, who was refused,
//! and which rooms were opened and dropped.
//!
//! Nothing else tells when a client entered, because its greeting may be long in coming. The oracle checks each event,
//! and everything that follows from it.

use std::cell::RefCell;
use std::sync::Once;

use ::log::{Level, LevelFilter, Log, Metadata, Record};

thread_local! {
    static HEARD: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
}

/// A change of the roster, or a refusal, of the connection with this number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// 0 if it is about a room alone.
    pub(crate) line: usize,
    /// The room; empty for a refusal.
    pub(crate) room: String,
    /// The end of its tape at that time; `None` for a refusal.
    pub(crate) offset: Option<usize>,
    pub(crate) change: Change,
}

/// The change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A visitor opened a WebSocket, and is to enter.
    Opens,
    /// It entered, under this name.
    Enters(String),
    /// It has this name now.
    Named(String),
    Leaves,
    /// It has entered, and its late first line resumes a session: it enters again.
    GivesWay,
    /// Its connection is lost, and its seat is kept.
    Away,
    /// It goes on with the session of the member of this name.
    Resumes(String),
    /// A member of this name arrives without its connection.
    Arrives(String),
    /// The seat of the member of this name is kept no longer.
    Gone(String),
    /// The member of this name, which is away, has lost it, and has another one.
    Unnamed {
        from: String,
        to: String,
    },
    /// It leaves for this room.
    Moves(String),
    /// An operator says this in the room.
    Announces(String),
    /// An operator sets the greeting.
    Greets(&'static str),
    /// The room was opened.
    Opened,
    /// The room was dropped.
    Dropped,
    /// It was refused for this reason, maybe without a word.
    Refused {
        reason: String,
        is_silent: bool,
        /// Whether the log shows it at `info`.
        is_logged: bool,
    },
}

struct Listener;

/// Listens to the log of this thread from now on.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ::log::set_logger(&Listener).expect("nothing else listens");
        ::log::set_max_level(LevelFilter::Debug);
    });
    HEARD.take();
}

/// Takes the events since the last call.
pub(crate) fn take() -> Vec<Event> {
    HEARD.take()
}

impl Log for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        ["pollchat::roster", "pollchat::server::report"].contains(&metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata())
            && let Some(event) = event(&record.args().to_string(), record.level())
        {
            HEARD.with_borrow_mut(|heard| heard.push(event));
        }
    }

    fn flush(&self) {}
}

fn event(text: &str, level: Level) -> Option<Event> {
    // Fields for programs follow.
    let text = text.split(" event=").next().unwrap_or(text);
    if let Some(rest) = text.strip_prefix("refused ") {
        let (peer, reason) = rest.split_once(": ")?;
        let (address, is_silent) = peer.strip_suffix(" without a word").map_or((peer, false), |peer| (peer, true));
        let change = Change::Refused { reason: reason.to_owned(), is_silent, is_logged: level <= Level::Info };
        return Some(Event { line: number_of(address)?, room: String::new(), offset: None, change });
    }
    if let Some(rest) = text.strip_prefix("the room ") {
        let (room, what) = rest.split_once(" is ")?;
        let (offset, change) = match what.strip_prefix("dropped at ") {
            Some(offset) => (offset.parse().ok()?, Change::Dropped),
            None => (0, Change::Opened),
        };
        return Some(Event { line: 0, room: room.to_owned(), offset: Some(offset), change });
    }
    let (address, rest) = text.split_once(" in ")?;
    let (room, rest) = rest.split_once(" at ")?;
    let (offset, change) = rest.split_once(": ")?;
    let (name, what) = change.split_once(' ')?;
    let change = match what {
        "opens" => Change::Opens,
        "enters" => Change::Enters(name.to_owned()),
        "is its name" => Change::Named(name.to_owned()),
        "leaves" => Change::Leaves,
        "gives way" => Change::GivesWay,
        "is away" => Change::Away,
        "resumes" => Change::Resumes(name.to_owned()),
        "arrives" => Change::Arrives(name.to_owned()),
        "is away no longer" => Change::Gone(name.to_owned()),
        _ => match what.strip_prefix("is now ") {
            Some(to) => Change::Unnamed { from: name.to_owned(), to: to.to_owned() },
            None => Change::Moves(what.strip_prefix("moves to ")?.to_owned()),
        },
    };
    let line = if address == "nobody" { usize::MAX } else { number_of(address)? };
    Some(Event { line, room: room.to_owned(), offset: Some(offset.parse().ok()?), change })
}

/// The number of the connection with this address: its port.
fn number_of(address: &str) -> Option<usize> {
    address.rsplit_once(':')?.1.parse().ok()
}
