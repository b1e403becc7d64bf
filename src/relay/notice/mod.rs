//! The wire grammar of notices: every line that the server says in its own name, with its writer and its parser.
//!
//! A notice is a line `* TEXT`. [`Notice`] has one variant per text: its `Display` writes the text, and
//! [`Notice::parse`] reads it back. Server and client share the type, and a test compares the page's table of patterns
//! with it. A said line never looks like a notice, because it begins with a name, and no name has a `*`.
//!
//! A tracked client is sent a notice for it alone as `** TEXT`, so that only records begin with `* `.

use std::fmt::{self, Write as _};

use jiff::Timestamp;

use super::name::{NAME_CHARS_MAX, Name, NameError};

mod examples;
mod help;
mod read;
#[cfg(test)]
mod tests;

pub(super) use help::Help;

/// Prefix of a notice on the wire. A LF ends it.
pub const PREFIX: &str = "* ";

/// Prefix of a notice that is no record: for one tracked client alone, or of one of the servers that share a room.
pub const PRIVATE_PREFIX: &str = "** ";

/// The last line of the server in a session that ends in good order, with its LF.
pub const FAREWELL: &str = "FIN\n";

/// First bytes that a client reads after it entered a pollchat server: the start of [`Notice::Welcome`].
pub const FIRST_BYTES: &str = "* you are ";

/// First bytes that a client reads of a pollchat server that asks for a password: [`Notice::PasswordWanted`].
pub const LOCKED_FIRST_BYTES: &str = "* this server asks for a password: /pass WORD";

/// [`Notice::RemovedByOperator`], and the start of [`Notice::RemovedFor`].
const REMOVED: &str = "you were removed by the operator";

/// The start of [`Notice::ForeignProtocol`].
pub const FOREIGN_PREFIX: &str = "this is a chat relay and speaks no ";

/// Something that the server says in its own name.
///
/// Names are shown names: chosen ones, `client-N` or `server`. Counts of lines stand on the wire as plain digits,
/// counts of clients and connections in groups of three (`1,234`).
///
/// ```
/// use pollchat::relay::notice::Notice;
///
/// let notice = Notice::Renamed { from: "client-7", to: "ana" };
/// assert_eq!(notice.to_string(), "client-7 is now ana");
/// assert_eq!(notice.to_line(), "* client-7 is now ana\n");
/// assert_eq!(Notice::parse("client-7 is now ana"), notice);
/// assert_eq!(Notice::parse("ask bob about lunch"), Notice::Other("ask bob about lunch"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// The first line of a session: the recipient's name.
    Welcome {
        /// The recipient.
        name: &'a str,
    },
    /// This many lines of the history follow.
    Earlier {
        /// Said lines, at least one.
        lines: u64,
    },
    /// The recipient read so slowly that it missed lines.
    Missed {
        /// Said lines, at least one.
        lines: u64,
    },
    /// A client joined.
    Joined {
        /// The client.
        name: &'a str,
    },
    /// A client that [`Joined`](Notice::Joined) announced has left.
    Left {
        /// The client.
        name: &'a str,
    },
    /// The operator removed a client that [`Joined`](Notice::Joined) announced.
    Removed {
        /// The client.
        name: &'a str,
    },
    /// A client took a name.
    Renamed {
        /// Its name until now.
        from: &'a str,
        /// Its new name.
        to: &'a str,
    },
    /// The room that the recipient has come into has a journal.
    Kept,
    /// The server shuts down. No further line follows but [`FAREWELL`].
    ShuttingDown,
    /// The server shuts down, and hands the session of the recipient over to the next run. No further line follows.
    HandedOver,
    /// The server is cut off from the others that share its rooms, and hears no line until it is together with them.
    CutOff,
    /// It is together with them again.
    Together {
        /// The time for which it was cut off, in seconds.
        seconds: u64,
    },
    /// Lines that clients of another server said never came into the log of the room.
    LostBetween {
        /// Said lines, at least one.
        lines: u64,
    },

    /// The name that the recipient asked for belongs to another member, or to the relay itself.
    NameTaken {
        /// The name as typed.
        name: &'a str,
    },
    /// The text that the recipient asked for is no name.
    NameMalformed,
    /// The recipient has this name already.
    NameUnchanged {
        /// The recipient.
        name: &'a str,
    },
    /// The operator asked for another name, which it cannot have.
    NameFixed,
    /// The usage of `/nick`.
    NickUsage,
    /// The name that the recipient asked for belongs to somebody, and it has shown no token.
    NameOwned {
        /// The name as typed.
        name: &'a str,
    },
    /// The name that the recipient asked for looks like one that belongs to somebody.
    NameLookalike {
        /// The name as typed.
        name: &'a str,
        /// The other name.
        owned: &'a str,
    },
    /// The recipient has shown another token than that of the name.
    TokenWrong {
        /// The name as typed.
        name: &'a str,
    },
    /// The recipient has shown a token for a name that belongs to nobody.
    TokenUnknown {
        /// The name as typed.
        name: &'a str,
    },
    /// The owner of the recipient's name has taken it with another connection.
    NameTakenOver {
        /// The recipient's name from now on.
        name: &'a str,
    },
    /// The recipient's name, or one that it looks like, belongs to somebody from now on.
    NameLost {
        /// The name that belongs to somebody.
        owned: &'a str,
        /// The recipient's name from now on.
        name: &'a str,
    },

    /// A row of `/who`: a member.
    Here {
        /// The member.
        name: &'a str,
        /// Lines it has said.
        lines: u32,
        /// Whole minutes since it entered.
        minutes: u32,
        /// Whether its connection is lost, and its seat is kept.
        is_away: bool,
    },
    /// A row of `/who` or `/rooms`: members or rooms that are not shown, if there are any.
    More {
        /// Their number.
        count: usize,
    },
    /// The last row of `/who`: all members.
    HereTotal {
        /// Their number.
        clients: usize,
    },

    /// The last row of `/who NAME`: the members whose names begin so.
    HereFound {
        /// Their number.
        found: usize,
        /// The number of all members.
        clients: usize,
    },
    /// The usage of `/who`.
    WhoUsage,

    /// The recipient has come into a room.
    InRoom {
        /// The room.
        room: &'a str,
        /// The other members in it.
        others: usize,
    },
    /// The recipient asked for the room that it is in.
    InRoomAlready {
        /// The room.
        room: &'a str,
    },
    /// The text that the recipient asked for is no name of a room.
    RoomMalformed,
    /// The name that the recipient asked for looks like that of another room, which exists forever.
    RoomLookalike {
        /// The name as typed.
        name: &'a str,
        /// The room.
        room: &'a str,
    },
    /// No further room may exist.
    RoomsFull {
        /// The limit, `--rooms`.
        rooms: usize,
    },
    /// The usage of `/join`.
    JoinUsage,
    /// A row of `/rooms`: a room.
    RoomHere {
        /// The room.
        room: &'a str,
        /// The members in it.
        clients: usize,
    },
    /// The last row of `/rooms`: all rooms.
    RoomsTotal {
        /// Their number.
        rooms: usize,
    },

    /// A row of `/history` or `/search`: a said line.
    Said {
        /// When it was said: `2026-11-26 14:30:01Z`, in UTC.
        time: &'a str,
        /// The line, with the name of its author.
        line: &'a str,
    },
    /// The last row of `/history` or `/search`: the rows before it.
    LinesTotal {
        /// Their number.
        lines: u64,
    },
    /// The usage of `/history`.
    HistoryUsage,
    /// The usage of `/search`.
    SearchUsage,

    /// A private message for the recipient.
    TellsYou {
        /// Its author.
        from: &'a str,
        /// The message.
        text: &'a str,
    },
    /// The recipient's private message was delivered.
    YouTold {
        /// The member that it was for.
        to: &'a str,
        /// The message.
        text: &'a str,
    },
    /// The recipient's private message was dropped, because the other member does not read.
    NotReading {
        /// The member that it was for.
        name: &'a str,
    },
    /// The recipient's private message was dropped, because the connection of the other member is lost.
    Away {
        /// The member that it was for.
        name: &'a str,
    },
    /// A command named a member that is not here.
    NobodyCalled {
        /// The name as typed.
        name: &'a str,
    },
    /// The usage of `/msg`.
    TellUsage,

    /// The usage of `/say`.
    SayUsage,
    /// The usage of `/me`.
    ActUsage,

    /// The state of the recipient's session (`/track`).
    Session {
        /// The secret that resumes it.
        token: &'a str,
        /// Lines of the session that the server has taken.
        heard: u64,
        /// The position of the next record when that was counted.
        at: &'a str,
        /// The recipient.
        name: &'a str,
    },
    /// The recipient's session goes on where it ended.
    Resumed,
    /// The recipient's session does not go on at the position that it gave.
    NotResumed,
    /// The name and the room of a tracked recipient.
    YouAre {
        /// The recipient.
        name: &'a str,
        /// Its room.
        room: &'a str,
    },
    /// The recipient is disconnected: another connection resumed its session.
    Elsewhere,
    /// The recipient asked to be tracked by an echo server.
    NothingToTrack,

    /// A line began with `/`, but is no command.
    UnknownCommand {
        /// Its first word.
        word: &'a str,
    },
    /// A line began with blanks and a command, and was not relayed.
    IndentedCommand,
    /// A line was over the limit, and was dropped.
    TooLong {
        /// The limit, `--max-line`, in bytes.
        bytes: usize,
    },

    /// Nobody enters without the server's password.
    PasswordWanted,
    /// The recipient gave another password.
    PasswordWrong,
    /// The recipient gave a password, and the server asks for none.
    PasswordUnasked,
    /// The recipient is disconnected: it gave too many other passwords.
    PasswordRefused,
    /// The recipient is disconnected: too many other passwords came from its address.
    PasswordCrowded,
    /// The recipient is disconnected: it gave no password.
    PasswordMissing,

    /// The connection is refused: all seats are taken.
    ServerFull {
        /// The limit, `--max-clients`.
        clients: usize,
    },
    /// The connection is refused by `--allow` or `--deny`.
    AddressDenied,
    /// The connection is refused, because too many are open from its address.
    AddressCrowded {
        /// The limit, `--max-per-address`.
        most: usize,
    },
    /// The recipient is disconnected: it is a proxy (`--proxy-from`) that did not say for whom it speaks.
    ProxyExpected,
    /// The recipient is disconnected: its first bytes are those of another protocol.
    ForeignProtocol {
        /// The name of the protocol, such as `HTTP`.
        protocol: &'a str,
    },
    /// The recipient is disconnected: it speaks plain text on a port that speaks TLS.
    TlsExpected,
    /// The recipient is disconnected, or refused: the operator has banned its address.
    Banned {
        /// The end, in minutes since 1970; `None` if there is none.
        until: Option<u64>,
        /// The operator's reason, perhaps empty.
        reason: &'a str,
    },
    /// The recipient is disconnected: it has sent nothing since it connected.
    Silent {
        /// The limit, `--idle-timeout`, in seconds.
        seconds: u64,
    },
    /// The recipient is disconnected: it read too slowly.
    TooSlow,
    /// The recipient is disconnected by the operator.
    RemovedByOperator,
    /// The same, for a reason.
    RemovedFor {
        /// The reason.
        reason: &'a str,
    },

    /// Free text: the operator's greeting, `/help`, or a notice of another version.
    Other(&'a str),
}

impl Notice<'_> {
    /// Returns the notice as a line, with [`PREFIX`] and LF.
    pub fn to_line(&self) -> String {
        let mut line = String::new();
        self.push_line(&mut line);
        line
    }

    /// Appends the notice as a line, with [`PREFIX`] and LF.
    pub fn push_line(&self, to: &mut String) {
        // Writing to a String does not fail.
        let _ = writeln!(to, "{PREFIX}{self}");
    }
}

/// The text, without [`PREFIX`] and LF.
impl fmt::Display for Notice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Notice::Welcome { name } => write!(f, "you are {name}; /help lists what you can do"),
            Notice::Earlier { lines } => write!(f, "{lines} {}:", Plural(lines, "earlier line")),
            Notice::Missed { lines } => write!(f, "you missed {lines} {}", Plural(lines, "line")),
            Notice::Joined { name } => write!(f, "{name} joined"),
            Notice::Left { name } => write!(f, "{name} left"),
            Notice::Removed { name } => write!(f, "{name} was removed"),
            Notice::Renamed { from, to } => write!(f, "{from} is now {to}"),
            Notice::Kept => f.write_str("what is said here is kept"),
            Notice::ShuttingDown => f.write_str("the server is shutting down"),
            Notice::HandedOver => f.write_str("the server is shutting down and keeps your session"),
            Notice::CutOff => f.write_str("cut off from the other servers: what you say waits"),
            Notice::Together { seconds } => write!(f, "together again after {seconds} s"),
            Notice::LostBetween { lines } => {
                let were = if lines == 1 { "was" } else { "were" };
                write!(f, "{lines} {} of others {were} lost between the servers", Plural(lines, "line"))
            }

            Notice::NameTaken { name } => write!(f, "the name {name} is taken"),
            Notice::NameMalformed => write!(f, "{}", NameError::Form),
            Notice::NameUnchanged { name } => write!(f, "you are {name} already"),
            Notice::NameFixed => write!(f, "you are {}, and nobody else", Name::OPERATOR),
            Notice::NickUsage => write!(f, "/nick NAME: {}", NameError::Form),

            Notice::NameOwned { name } => write!(f, "the name {name} belongs to somebody: /nick {name} TOKEN"),
            Notice::NameLookalike { name, owned } => write!(f, "{name} looks like {owned}, which belongs to somebody"),
            Notice::TokenWrong { name } => write!(f, "that is not the token of {name}"),
            Notice::TokenUnknown { name } => write!(f, "{name} belongs to nobody: /nick {name}"),
            Notice::NameTakenOver { name } => write!(f, "you are here a second time: this one is {name} now"),
            Notice::NameLost { owned, name } => {
                write!(f, "the name {owned} belongs to somebody now: you are {name}")
            }

            Notice::Here { name, lines, minutes, is_away } => {
                let away = if is_away { ", away" } else { "" };
                write!(f, "here: {name}, {lines} {}, {minutes} min{away}", Plural(lines.into(), "line"))
            }
            Notice::More { count } => write!(f, "and {} more", Grouped(count)),
            Notice::HereTotal { clients } => write!(f, "{} here", Grouped(clients)),
            Notice::HereFound { found, clients } => write!(f, "{} of {} here", Grouped(found), Grouped(clients)),
            Notice::WhoUsage => f.write_str("/who, /who NAME or /who page N lists who is here"),

            Notice::InRoom { room, others: 0 } => write!(f, "you are in {room}, alone"),
            Notice::InRoom { room, others } => {
                write!(f, "you are in {room}, with {} {}", Grouped(others), Plural(others as u64, "other"))
            }
            Notice::InRoomAlready { room } => write!(f, "you are in {room} already"),
            Notice::RoomMalformed => write!(f, "{RoomForm}"),
            Notice::RoomLookalike { name, room } => write!(f, "{name} looks like {room}"),
            Notice::RoomsFull { rooms } => {
                write!(f, "there are {} {} already", Grouped(rooms), Plural(rooms as u64, "room"))
            }
            Notice::JoinUsage => write!(f, "/join NAME: {RoomForm}"),
            Notice::RoomHere { room, clients } => write!(f, "room: {room}, {} here", Grouped(clients)),
            Notice::RoomsTotal { rooms } => write!(f, "{} {}", Grouped(rooms), Plural(rooms as u64, "room")),

            Notice::Said { time, line } => write!(f, "{time} {line}"),
            Notice::LinesTotal { lines } => write!(f, "{lines} {}", Plural(lines, "line")),
            Notice::HistoryUsage => f.write_str("/history N shows the newest N lines, at most 100"),
            Notice::SearchUsage => f.write_str("/search WORD shows the newest lines with WORD, at most 100"),

            Notice::TellsYou { from, text } => write!(f, "{from} tells you: {text}"),
            Notice::YouTold { to, text } => write!(f, "you told {to}: {text}"),
            Notice::NotReading { name } => write!(f, "{name} is not reading: not told"),
            Notice::Away { name } => write!(f, "{name} is away: not told"),
            Notice::Session { token, heard, at, name } => write!(f, "session {token} heard {heard} at {at} as {name}"),
            Notice::Resumed => f.write_str("resumed"),
            Notice::NotResumed => f.write_str("cannot resume: earlier lines follow"),
            Notice::YouAre { name, room } => write!(f, "you are {name}, in {room}"),
            Notice::Elsewhere => f.write_str("this session goes on elsewhere"),
            Notice::NothingToTrack => f.write_str("nothing to track: only you hear your echo"),
            Notice::NobodyCalled { name } => write!(f, "nobody here is called {name}"),
            Notice::TellUsage => f.write_str("/msg NAME TEXT tells TEXT to NAME alone"),
            Notice::SayUsage => f.write_str("/say TEXT says TEXT as it is"),
            Notice::ActUsage => f.write_str("/me TEXT says what you do"),

            Notice::UnknownCommand { word } => write!(f, "there is no command {word}; /help lists what you can do"),
            Notice::IndentedCommand => f.write_str("a command begins at the start of the line; /say says it as it is"),
            Notice::TooLong { bytes } => write!(f, "line too long (over {bytes} bytes): not relayed"),

            Notice::PasswordWanted => f.write_str("this server asks for a password: /pass WORD"),
            Notice::PasswordWrong => f.write_str("that is not the password"),
            Notice::PasswordUnasked => f.write_str("no password is asked of you"),
            Notice::PasswordRefused => f.write_str("that is not the password either: goodbye"),
            Notice::PasswordCrowded => f.write_str("too many wrong passwords from your address: wait a minute"),
            Notice::PasswordMissing => f.write_str("you have not given the password: goodbye"),

            Notice::ServerFull { clients } => {
                write!(f, "the server is full ({} {})", Grouped(clients), Plural(clients as u64, "client"))
            }
            Notice::AddressDenied => f.write_str("connections from your address are not allowed here"),
            Notice::AddressCrowded { most } => {
                write!(f, "too many connections from your address (at most {})", Grouped(most))
            }
            Notice::ProxyExpected => f.write_str("this port expects the PROXY protocol from you: goodbye"),
            Notice::ForeignProtocol { protocol } => {
                write!(f, "{FOREIGN_PREFIX}{protocol}: goodbye")
            }
            Notice::TlsExpected => f.write_str("this port speaks TLS: goodbye"),
            Notice::Silent { seconds } => {
                write!(f, "you have said nothing for {seconds} {}: goodbye", Plural(seconds, "second"))
            }
            Notice::TooSlow => f.write_str("you read too slowly: goodbye"),
            Notice::RemovedByOperator => f.write_str(REMOVED),
            Notice::RemovedFor { reason } => write!(f, "{REMOVED}: {reason}"),
            Notice::Banned { until, reason } => {
                f.write_str("you are banned")?;
                if let Some(minutes) = until {
                    write!(f, " until {}", Minute(minutes))?;
                }
                if reason.is_empty() { Ok(()) } else { write!(f, ": {reason}") }
            }
            Notice::Other(text) => f.write_str(text),
        }
    }
}

/// A time to the minute, in minutes since 1970. The last one that has a date stands for all later ones.
struct Minute(u64);

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0).ok().and_then(|minutes| minutes.checked_mul(60));
        let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(Timestamp::MAX);
        write!(f, "{}", time.strftime("%Y-%m-%d %H:%M UTC"))
    }
}

/// The form of a room's name, which is that of a member's.
struct RoomForm;

impl fmt::Display for RoomForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name of a room is 1 to {NAME_CHARS_MAX} letters, digits, _ or -")
    }
}

/// The singular, with an `s` unless the count is 1.
struct Plural(u64, &'static str);

impl fmt::Display for Plural {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)?;
        if self.0 == 1 { Ok(()) } else { f.write_char('s') }
    }
}

/// A count with commas between groups of three digits.
struct Grouped(usize);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000 => write!(f, "{}", self.0),
            _ => write!(f, "{},{:03}", Grouped(self.0 / 1_000), self.0 % 1_000),
        }
    }
}
