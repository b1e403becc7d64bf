//! The rules of the oracle: the promises of the server, one by one.
//!
//! Every assertion of the simulator belongs to one rule and fails through [`Rule::broken`], so a report says which
//! promise was broken. `tests/mutants` holds at least one bug for each rule.

use std::fmt;

/// Declares the rules with their names and sentences.
macro_rules! rules {
    ($($(#[doc = $sentence:literal])+ $rule:ident = $name:literal,)+) => {
        /// A promise that the simulator checks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Rule { $($(#[doc = $sentence])+ $rule,)+ }

        impl Rule {
            /// All rules.
            pub(crate) const ALL: &[Rule] = &[$(Rule::$rule),+];

            /// The name of the rule in reports and mutants.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Rule::$rule => $name,)+ }
            }

            /// The promise, in a sentence.
            pub(crate) fn sentence(self) -> &'static str {
                match self { $(Rule::$rule => concat!($($sentence),+),)+ }
            }
        }
    };
}

rules! {
    // The room.
    /// Every line on the tape was sent by the client whose name it bears, in the order in which it sent them.
    Author = "author",
    /// Every line that a client completed before it left is on the tape.
    Relayed = "relayed",
    /// Every line that a reader is sent is on the tape, whole, and behind the one that it was sent last.
    Order = "order",
    /// A reader is sent every line of others, or is told exactly how many it missed because the tail overtook it.
    Delivery = "delivery",
    /// Neither a byte that a terminal would obey nor invalid UTF-8 leaves the server.
    Clean = "clean",
    /// A client that has sent a telnet command is sent CRLF in place of LF.
    Crlf = "crlf",
    /// Two members never have the same name, and a member has no name that it did not ask for, but
    /// `client-N` once its name is another's.
    Names = "names",
    /// No client but the owner is ever shown as NAME: in a said line, a notice or a list.
    Owner = "owner",
    /// Each request of a client is answered once, correctly and in order.
    Answers = "answers",
    /// A private message reaches its recipient once and nobody else, and its author is told the truth about that.
    Messages = "messages",

    // The time.
    /// A stamp stands before the first record of each second, with its time, which never goes back, and its number.
    Stamps = "stamps",
    /// A client that has not asked for it is sent no byte of the tracked dialect.
    Plain = "plain",

    // Sessions.
    /// A tracked client is sent each record of its room once and in order, or told how many it missed.
    Track = "track",
    /// Each line of a session is taken once and in order, and the count of those that were taken is right.
    Heard = "heard",
    /// A session goes on where its client says if it could read there, and nowhere else.
    Resume = "resume",
    /// The seat of a lost member is kept for its time and no longer, and nobody is told.
    Seat = "seat",
    /// The old connection of a session is told that it goes on elsewhere, and what it has sent is not processed.
    Elsewhere = "elsewhere",
    /// A session that said goodbye has no seat, and its token leads nowhere.
    Goodbye = "goodbye",

    // The journal.
    /// The journal is given each record of the kept rooms once and in order, or a stamp that tells how many it missed.
    Journal = "journal",
    /// After a restart a position leads to the next record that was kept, or to the number of those that are missing;
    /// neither a position nor a client's number comes again.
    Restart = "restart",
    /// Over an orderly restart with a journal a tracked member neither leaves nor joins for the others, and keeps its
    /// name and its number. Each line is there exactly once in both directions.
    Handover = "handover",

    // The rooms.
    /// A member hears, and is heard in, the room that it is in, and no other.
    OwnRoom = "own-room",
    /// A member that moves is sent all of its old room up to its move, or told what it missed, and then its new room.
    Border = "border",
    /// `/join` leads to the room that it names, or is answered with the reason; `* you are in` is right at that moment.
    Place = "place",
    /// `/who` lists exactly the members of the own room, `/who NAME` those so called, and `/rooms` exactly all rooms, the fullest first.
    Lists = "lists",
    /// A room is dropped if nobody is in it, owed it or on the way, at its time or for another, and not else.
    Kept = "kept",
    /// A room that waits for a slow reader stops nobody in another room.
    Apart = "apart",

    // The way in.
    /// A client is in the room only after entering: at its first complete line, or when its time is over, and then at
    /// once.
    Entering = "entering",
    /// A connection that has not given the password sees and says nothing of the room.
    Password = "password",
    /// A foreign or gone connection uses no number and is never announced; members are numbered one by one.
    Numbers = "numbers",
    /// A member is sent its greeting first, and as many earlier lines as `--history` and the tape allow.
    Greeting = "greeting",
    /// `joined` is told with a member's first line or name, in a room that is small enough, and nowhere else.
    Joined = "joined",
    /// `joined` is told at the latest two seconds after a client entered a small room.
    JoinedInTime = "joined-in-time",
    /// `left` is told exactly where `joined` was, once, when a member has left.
    Left = "left",
    /// A member that an operator removes is told so, and why, before its `FIN`, unless it is away; where `joined` was
    /// told, `was removed` is told in place of `left`.
    Removed = "removed",
    /// An announcement of an operator is said once in each room, in the order of all that happens there.
    Announced = "announced",
    /// A connection is refused exactly if its address, its address's count or the number of seats demands it; behind a
    /// proxy, the address is that in the header.
    Refusals = "refusals",
    /// A banned address never enters until the ban's end, and its members are gone at the end of the turn.
    Banned = "banned",
    /// A peer that speaks another protocol is told so, or where the page is, and nothing that it sends is said.
    Foreign = "foreign",

    /// A turn takes no more than two TLS handshakes, and each has its time and no more.
    Handshakes = "handshakes",
    /// What a sealed connection is sent is whole records, of which none is forgotten, and an end that is said.
    Records = "records",
    /// An end of input that a sealed peer has not said is a reset: half a line is not said.
    Untold = "untold",

    // The way out.
    /// A client is disconnected only for a reason.
    Reason = "reason",
    /// `FIN` is the last line of every client that leaves, before the output ends; nothing is written after that.
    Farewell = "farewell",
    /// A client whose lines silence has ended is told its last words bare, each a pause after what was written before.
    LastWords = "last-words",
    /// A closing connection is dropped at its end of input, or after the grace time, not earlier.
    Grace = "grace",

    // Flow.
    /// A reader is disconnected as too slow only if it is, and then for sure.
    TooSlow = "too-slow",
    /// With `--lag wait`, nothing overwrites what a healthy reader has not been sent.
    Wall = "wall",
    /// No client says more than `--rate` allows.
    Rate = "rate",
    /// `--idle-timeout` disconnects a client that has never said anything, and no other.
    IdleTimeout = "idle-timeout",
    /// A hub that sleeps has nothing left to read, write or close, and wakes for every deadline.
    Rest = "rest",
    /// A hub without work sleeps: it makes no turns that bring nothing on.
    Sleep = "sleep",
    /// A turn reads from, and writes to, no more peers than its budgets allow.
    Turn = "turn",
    /// The server keeps a bounded number of bytes and refusals for its peers.
    Memory = "memory",

    // The control socket.
    /// Each order of an operator is answered once, in its order and behind its end, and no client reads a byte of it.
    Orders = "orders",

    // The page.
    /// Each request of a visitor is answered once, correctly and in order.
    Http = "http",
    /// A visitor has its time for a request, and no more.
    RequestTime = "request-time",
    /// A browser is sent valid frames of whole lines, and a pong for each ping.
    Frames = "frames",
    /// A WebSocket is closed with the code that its end demands.
    CloseCode = "close-code",
    /// A silent browser is pinged, and disconnected if it stays silent; no other is.
    Keepalive = "keepalive",

    // Several servers.
    /// The tapes of a room on all servers are one order: that of its log, each entry whole.
    BusOrder = "bus-order",
    /// No entry of the log is missing on a tape, unless Redis has lost or trimmed it.
    BusDelivery = "bus-delivery",
    /// Each line is in the logs once.
    BusOnce = "bus-once",
    /// Each line in a log was said by its author, in the order in which it was said.
    BusAuthor = "bus-author",
    /// Each line that a server has heard of a client is in a log, unless the server crashed or the client vanished.
    BusRelayed = "bus-relayed",
    /// The lines that were lost between the servers are told where they are missing, with their exact number.
    BusGaps = "bus-gaps",
    /// Entries of a server are numbered one by one in each log, and count its said lines.
    BusNumbers = "bus-numbers",
    /// An entry that is written again is the same entry.
    BusRepeated = "bus-repeated",
    /// A server writes the next entry of a log once it has heard the last one.
    BusInFlight = "bus-in-flight",
    /// A position leads to the same record on every server: it follows from the log alone.
    BusPositions = "bus-positions",
    /// A client is sent each line of its room that others said, in the order of the tape.
    BusHeard = "bus-heard",
    /// No plain client is sent its own line.
    BusOwn = "bus-own",
    /// A room is told that it is cut off after two seconds, and when it is together again, each once.
    BusTold = "bus-told",
    /// A number is given once, and a name is held once, on all servers together.
    BusNames = "bus-names",
    /// Each member that was told to have joined is told once to have left, also if its server has crashed.
    BusPresence = "bus-presence",
    /// The members that a server knows of the others are those that are there.
    BusRoster = "bus-roster",
    /// No server that lives and can write is taken for dead.
    BusAlive = "bus-alive",
    /// A tracked client goes on at its position on any server, and reads each record once.
    BusTrack = "bus-track",
    /// A server waits before it dials again, and longer each time.
    BusPause = "bus-pause",
    /// A server gives Redis no command that Redis does not know, and breaks no protocol.
    BusCommands = "bus-commands",
    /// An entry has a bounded number of bytes, however much waits while Redis is away or slow.
    BusMemory = "bus-memory",
    /// Once all faults are over, the servers come together, and all that was said is everywhere.
    BusRest = "bus-rest",

    // The hub itself.
    /// The statistics tell the truth, and taking them changes nothing.
    Stats = "stats",
    /// Refusals for the same reason are logged once a minute, with their count.
    Log = "log",
    /// `Hub::check_invariants` holds after each turn.
    Invariants = "invariants",
    /// Nothing that a peer does makes the hub panic.
    Panics = "panics",
}

/// A broken rule.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    what: String,
}

/// Whether the rules hold.
pub(crate) type Verdict = Result<(), Violation>;

impl Rule {
    /// Fails: what was seen breaks this rule.
    pub(crate) fn broken<T>(self, what: impl Into<String>) -> Result<T, Violation> {
        Err(Violation { rule: self, what: what.into() })
    }

    /// Fails unless `holds`.
    pub(crate) fn demands(self, holds: bool, what: impl FnOnce() -> String) -> Verdict {
        if holds { Ok(()) } else { self.broken(what()) }
    }
}

impl Violation {
    /// The same, of a hub that would sleep.
    pub(crate) fn at_rest(self) -> Violation {
        Violation { rule: Rule::Rest, ..self }
    }

    /// The same, as a breach of another rule.
    pub(crate) fn of(self, rule: Rule) -> Violation {
        Violation { rule, ..self }
    }

    /// The same, with what it was about before it.
    pub(crate) fn about(self, about: impl fmt::Display) -> Violation {
        Violation { what: format!("{about}: {}", self.what), ..self }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}
