//! The rules of a room, and the tape that they write.
//!
//! A line takes two steps. [`Room::decide`] reads it and changes nothing: the result is a reply, or an [`Event`].
//! [`Room::apply`] turns an event into bytes of tape. No other code changes a room.

use std::fmt::Write as _;
use std::rc::Rc;

use super::command::Command;
use super::cursor::{Cursor, Dialect};
use super::directory::{Directory, RoomId, fullest};
use super::event::{Applied, Event};
use super::name::{Name, NameError};
use super::notice::{Help, Notice};
use super::order::Order;
use super::record::Record;
use super::roster::{Introduction, MemberId, Roster};
use super::sanitize::sanitize;
use super::tape::{Position, Span, Tape};
use announcements::{Announcement, Announcements};
use arrivals::Arrivals;
use naming::decide_name;
use ordering::{asks_for_all, decide_order};

mod announcements;
mod arrivals;
mod earlier;
mod naming;
mod ordering;
mod shared;
mod tracked;
mod who;

pub use shared::Outgoing;
pub use tracked::{SessionState, Start};

/// Most rows that `/who` or `/rooms` shows.
pub const WHO_ROWS_MAX: usize = 100;

/// Bytes of a reply for which a look at a room counts, to find the fullest.
const ROOM_BYTES: usize = 8;

/// A room keeps at most one place of an arrival for so many bytes of its tape.
pub const ARRIVAL_BYTES: usize = 1024;

/// The recipients of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Audience {
    /// All but its author: a relay.
    #[default]
    Others,
    /// All: a relay with echo.
    Everyone,
    /// Only its author: an echo server.
    Sender,
}

/// The settings that all rooms share.
#[derive(Clone, Debug)]
pub struct Options {
    /// Further notices for newcomers: one a line.
    pub greeting: String,
    /// `--history`: the most earlier lines that a newcomer gets.
    pub history_lines: u64,
    /// The recipients of a line.
    pub audience: Audience,
    /// Joins and leaves are announced while at most this many clients are present.
    pub announce_up_to: usize,
    /// The longest line as received, in bytes. The room only names it in a notice.
    pub line_bytes_max: usize,
    /// `--rooms`: the most rooms at a time, the lobby included. With 0 or 1 nobody can go to another room.
    pub rooms_max: usize,
    /// Whether there is a journal, which keeps the rooms that exist forever.
    pub has_journal: bool,
}

/// A room.
#[derive(Debug)]
pub struct Room {
    id: RoomId,
    options: Rc<Options>,
    tape: Tape,
    /// Records on their way to the log that several servers share; `None` if this server has the room for itself.
    outgoing: Option<Box<Outgoing>>,
    announcements: Announcements,
    arrivals: Arrivals,
    /// Buffer for the `NAME> ` of a line, kept to save an allocation per line.
    prefix: String,
}

/// The first lines and the first place of a member in a room.
#[derive(Debug)]
pub struct Welcome {
    /// Where it begins to read.
    pub cursor: Cursor,
    /// Notices for it alone.
    pub private: String,
}

/// The meaning of a line.
#[derive(Debug)]
pub enum Decision<'a> {
    /// Nothing: the line is empty.
    Nothing,
    /// An event for [`Room::apply`].
    Apply(Event<'a>),
    /// A new name of the author, if the member that has it, which is away, can be removed.
    Claim {
        /// That member.
        holder: MemberId,
        /// The event for [`Room::apply`] then.
        renamed: Event<'a>,
        /// The answer otherwise.
        taken: String,
    },
    /// A new name of the author, to which it alone has a right, and which another member holds.
    TakeOver {
        /// That member. [`Event::Unnamed`] takes the name from it.
        holder: MemberId,
        /// The event for [`Room::apply`] then.
        renamed: Event<'a>,
    },
    /// A reply to the author alone.
    Reply(String),
    /// A reply to the author alone, which took more work than its length tells: so much, in bytes of replies.
    Costly {
        /// The reply.
        reply: String,
        /// The work.
        effort: usize,
    },
    /// A private message for another member.
    Tell {
        /// The key of its recipient.
        to: usize,
        /// The message.
        message: String,
        /// The answer if the recipient takes it.
        told: String,
        /// The answer if the recipient does not.
        untold: String,
    },
    /// A private message for a member of another server.
    TellElsewhere {
        /// The number of that member, as shown.
        number: u64,
        /// The message.
        text: &'a str,
    },
    /// The author goes to another room, which may not exist yet.
    Join {
        /// The room.
        room: Name,
    },
    /// The author is to be tracked, or asks for the state of its session.
    Track {
        /// The position in a session that it wants to resume.
        position: &'a str,
        /// The token of that session.
        token: &'a str,
    },
    /// The author leaves.
    Leave,
    /// An order of the operator.
    Obey(Order<'a>),
}

impl Room {
    /// Creates an empty room with this tape.
    pub fn new(id: RoomId, options: Rc<Options>, tape: Tape) -> Room {
        Room {
            id,
            options,
            tape,
            outgoing: None,
            announcements: Announcements::default(),
            arrivals: Arrivals::default(),
            prefix: String::new(),
        }
    }

    /// Returns the settings that all rooms share.
    pub fn options(&self) -> &Rc<Options> {
        &self.options
    }

    /// Sets the settings that all rooms share.
    pub fn set_options(&mut self, options: Rc<Options>) {
        self.options = options;
    }

    /// Returns the tape.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// Whether so many clients are few enough for joins and leaves to be announced.
    pub fn announces(&self, clients: usize) -> bool {
        clients <= self.options.announce_up_to
    }

    /// Returns the greeting of `member`, which enters the server in this room, and its place on the tape.
    pub fn welcome(&self, roster: &Roster, member: MemberId) -> Welcome {
        let mut private = String::new();
        Notice::Welcome { name: &roster.shown(member).to_string() }.push_line(&mut private);
        if !roster.is_operator(member) {
            self.push_greeting(&mut private);
        }
        if self.id != RoomId::LOBBY {
            self.push_place(roster, &mut private);
        }
        if !roster.is_operator(member) {
            self.push_kept(roster, &mut private);
        }
        self.with_history(roster, member, private)
    }

    /// Returns what `member` reads first when it comes from another room, and its place on the tape.
    pub fn welcome_mover(&self, roster: &Roster, member: MemberId) -> Welcome {
        let mut private = String::new();
        self.push_place(roster, &mut private);
        self.push_kept(roster, &mut private);
        self.with_history(roster, member, private)
    }

    /// Records that `member` enters the server in this room now, the newest of all.
    pub fn note_arrival(&mut self, roster: &Roster, member: MemberId) {
        let oldest = self.oldest_start().offset;
        let most = self.tape.capacity() / ARRIVAL_BYTES;
        self.arrivals.note(roster.number(member), self.tape.end().offset, oldest, most);
    }

    fn push_greeting(&self, private: &mut String) {
        let mut buffer = String::new();
        for line in self.options.greeting.lines() {
            Notice::Other(sanitize(line.as_bytes(), &mut buffer)).push_line(private);
        }
    }

    /// Tells that the room has a journal, if so.
    fn push_kept(&self, roster: &Roster, private: &mut String) {
        if self.options.has_journal && roster.directory().is_permanent(self.id) {
            Notice::Kept.push_line(private);
        }
    }

    fn push_place(&self, roster: &Roster, private: &mut String) {
        let room = roster.directory().name(self.id).as_str();
        let others = roster.seats(self.id).len().saturating_sub(1);
        let others = others + roster.others_in(self.id);
        Notice::InRoom { room, others }.push_line(private);
    }

    /// Returns the place of `member` on the tape: at the history, or at the end. The operator gets no history.
    fn with_history(&self, roster: &Roster, member: MemberId, mut private: String) -> Welcome {
        if roster.is_operator(member) {
            return Welcome { cursor: Cursor::at(self.tape.end(), Dialect::Plain), private };
        }
        let place = self.tape.back(self.options.history_lines);
        self.push_earlier(place, &mut private);
        Welcome { cursor: Cursor::at(place, Dialect::Plain), private }
    }

    /// Tells how many said lines follow that were said before, if there are any.
    fn push_earlier(&self, place: Position, private: &mut String) {
        match self.tape.end().line - place.line {
            0 => {}
            lines => Notice::Earlier { lines }.push_line(private),
        }
    }

    /// Reads one clean line of `member`, at `now` in seconds of the caller's clock. Changes nothing.
    pub fn decide<'a>(&self, roster: &Roster, member: MemberId, line: &'a str, now: u32) -> Decision<'a> {
        let is_operator = roster.is_operator(member);
        match Command::parse(line) {
            Command::Nothing => Decision::Nothing,
            Command::Indented => reply(Notice::IndentedCommand),
            Command::Leave if is_operator => Decision::Obey(Order::Stop),
            Command::Leave => Decision::Leave,
            Command::Say("") => reply(Notice::SayUsage),
            Command::Say(text) => Decision::Apply(Event::Said { member, text: text.into() }),
            command @ Command::Act(_) => match command.said() {
                Some(text) => Decision::Apply(Event::Said { member, text }),
                None => reply(Notice::ActUsage),
            },
            Command::Nick { .. } if is_operator => reply(Notice::NameFixed),
            Command::Nick { name, token } => decide_name(roster, member, name, token),
            Command::Pass(_) => reply(Notice::PasswordUnasked),
            Command::Who(_) if is_operator && asks_for_all(line) => Decision::Obey(Order::Who { all: true }),
            Command::Who(asked) => self.who(roster, asked, now),
            Command::Join { name, .. } if self.options.rooms_max > 1 => decide_move(roster, member, name),
            Command::Track { position, token } if !is_operator => match self.options.audience {
                Audience::Sender => reply(Notice::NothingToTrack),
                Audience::Others | Audience::Everyone => Decision::Track { position, token },
            },
            Command::Rooms => {
                let rooms = roster.sizes();
                Decision::Costly { reply: list_rooms(&rooms), effort: ROOM_BYTES * rooms.len() }
            }
            Command::Tell { to, text } => decide_message(roster, member, to, text),
            Command::History { count, .. } if self.options.has_journal => self.history(count),
            Command::Search { text, .. } if self.options.has_journal => self.search(text),
            Command::Help => Decision::Reply(self.help(roster, is_operator).lines()),
            Command::Unknown(word) if is_operator => decide_order(line, word),
            Command::Join { word, .. }
            | Command::History { word, .. }
            | Command::Search { word, .. }
            | Command::Unknown(word) => reply(Notice::UnknownCommand { word }),
            Command::Track { .. } => reply(Notice::UnknownCommand { word: "/track" }),
        }
    }

    fn help(&self, roster: &Roster, is_operator: bool) -> Help {
        Help {
            is_operator,
            has_names: !roster.names().is_empty(),
            has_rooms: self.options.rooms_max > 1,
            has_journal: self.options.has_journal,
        }
    }

    /// Applies an event to the room and to the roster. The announcement of a member that left, was removed or lost its
    /// name, and a line of an operator, is queued, and waits for [`Event::Announced`].
    pub fn apply(&mut self, roster: &mut Roster, event: Event<'_>) -> Applied {
        match event {
            Event::Said { member, text } => self.say(roster, member, &text),
            Event::Renamed { member, name, is_owner } => self.rename(roster, member, name, is_owner),
            Event::Unnamed { member } => {
                self.unname(roster, member);
                Applied::default()
            }
            Event::Joined { member } => self.introduce(roster, member),
            Event::Left { member } => self.remove(roster, member, Announcement::left),
            Event::Removed { member } => self.remove(roster, member, Announcement::removed),
            Event::Proclaimed { text } => {
                if self.takes_proclamation() {
                    self.announcements.push(Announcement::Proclaimed { text });
                }
                Applied::default()
            }
            Event::Parted { member } => {
                if roster.unseat(member) == Introduction::Told {
                    let (number, name) = (roster.number(member).shown(), roster.shown(member).to_string());
                    self.announcements.push(Announcement::Left { number, name });
                }
                Applied::default()
            }
            Event::Announced => Applied { bytes: self.announce_next().unwrap_or(0), ..Applied::default() },
            Event::ShuttingDown => Applied { bytes: self.shut_down().bytes(), ..Applied::default() },
        }
    }

    /// Whether an announcement waits: that a member left, was removed or lost its name, or a line of an operator.
    pub fn has_announcement(&self) -> bool {
        !self.announcements.is_empty()
    }

    /// Whether a further line of an operator may wait for the tape. A room that stands still takes a few.
    pub fn takes_proclamation(&self) -> bool {
        !self.announcements.is_full()
    }

    /// Removes a member that leaves the server. The room reads that if it knows the member.
    fn remove(&mut self, roster: &mut Roster, member: MemberId, announce: fn(u64, String) -> Announcement) -> Applied {
        let number = roster.number(member).shown();
        let (name, introduction) = roster.remove(member);
        if introduction == Introduction::Told {
            self.announcements.push(announce(number, name));
        }
        Applied::default()
    }

    /// Returns the answer to a line over the limit.
    pub fn overlong_reply(&self) -> String {
        Notice::TooLong { bytes: self.options.line_bytes_max }.to_line()
    }

    /// Makes the announcement that has waited longest. Returns its bytes.
    fn announce_next(&mut self) -> Option<u64> {
        let announcement = self.announcements.pop()?;
        Some(self.put(&announcement.record()).bytes)
    }

    fn say(&mut self, roster: &mut Roster, member: MemberId, text: &str) -> Applied {
        let introduced = self.introduce(roster, member);
        roster.count_line(member);
        self.prefix.clear();
        let _ = write!(self.prefix, "{}> ", roster.shown(member));
        if self.is_shared() {
            return self.send_said(roster, member, text, introduced);
        }
        match self.options.audience {
            Audience::Others => {
                let said = self.tape.say(&[&self.prefix, text]);
                applied(Span { start: introduced.own.map_or(said.start, |span| span.start), end: said.end })
            }
            Audience::Everyone => {
                let bytes = introduced.bytes + self.tape.say(&[&self.prefix, text]).bytes();
                Applied { bytes, ..introduced }
            }
            Audience::Sender => Applied { reply: Some(format!("{}{text}\n", self.prefix)), ..introduced },
        }
    }

    /// Decides, once for each member, whether the room reads `joined`.
    fn introduce(&mut self, roster: &mut Roster, member: MemberId) -> Applied {
        if roster.introduction(member) != Introduction::Pending {
            return Applied::default();
        }
        if !self.announces(roster.clients_in(self.id)) {
            roster.set_introduction(member, Introduction::Untold);
            return Applied::default();
        }
        roster.set_introduction(member, Introduction::Told);
        let (number, name) = (roster.number(member).shown(), &roster.shown(member).to_string());
        self.put(&Record::Joined { number, name })
    }
}

/// Returns the effect of the author's own words on the tape.
fn applied(own: Span) -> Applied {
    Applied { bytes: own.bytes(), own: Some(own), reply: None }
}

/// Returns the answer to the author of a line.
fn reply(notice: Notice<'_>) -> Decision<'static> {
    Decision::Reply(notice.to_line())
}

fn list_rooms(rooms: &[(&Name, usize)]) -> String {
    let mut rows = String::new();
    for (room, clients) in fullest(rooms.to_vec(), WHO_ROWS_MAX) {
        Notice::RoomHere { room: room.as_str(), clients }.push_line(&mut rows);
    }
    push_more(rooms.len(), &mut rows);
    Notice::RoomsTotal { rooms: rooms.len() }.push_line(&mut rows);
    rows
}

/// Tells how many rows of `all` are not shown, if there are any.
fn push_more(all: usize, rows: &mut String) {
    if let Some(count) = all.checked_sub(WHO_ROWS_MAX).filter(|&more| more > 0) {
        Notice::More { count }.push_line(rows);
    }
}

fn decide_move(roster: &Roster, member: MemberId, typed: &str) -> Decision<'static> {
    if typed.is_empty() {
        return reply(Notice::JoinUsage);
    }
    let room = match parse_room(roster.directory(), typed) {
        Ok(room) => room,
        Err(answer) => return Decision::Reply(answer),
    };
    let own = roster.room(member);
    if roster.directory().find(&room) == Some(own) {
        return reply(Notice::InRoomAlready { room: roster.directory().name(own).as_str() });
    }
    Decision::Join { room }
}

/// Reads the name of a room that exists or may come to exist.
///
/// # Errors
/// The line that says why there can be no such room.
pub fn parse_room(directory: &Directory, typed: &str) -> Result<Name, String> {
    let room = match Name::parse(typed) {
        Ok(room) => room,
        Err(NameError::Reserved) => return Err(Notice::NameTaken { name: typed }.to_line()),
        Err(NameError::Form) => return Err(Notice::RoomMalformed.to_line()),
    };
    if directory.find(&room).is_none()
        && let Some(other) = directory.lookalike(&room)
    {
        return Err(Notice::RoomLookalike { name: room.as_str(), room: other.as_str() }.to_line());
    }
    Ok(room)
}

fn decide_message<'a>(roster: &Roster, sender: MemberId, to: &str, text: &'a str) -> Decision<'a> {
    if to.is_empty() || text.is_empty() {
        return reply(Notice::TellUsage);
    }
    let Some(target) = roster.find(to) else {
        return match roster.elsewhere().and_then(|elsewhere| elsewhere.find(to)) {
            Some(number) => Decision::TellElsewhere { number, text },
            None => reply(Notice::NobodyCalled { name: to }),
        };
    };
    let (from, to) = (&roster.shown(sender).to_string(), &roster.shown(target).to_string());
    let Some(key) = roster.key(target) else { return reply(Notice::Away { name: to }) };
    Decision::Tell {
        to: key,
        message: Notice::TellsYou { from, text }.to_line(),
        told: Notice::YouTold { to, text }.to_line(),
        untold: Notice::NotReading { name: to }.to_line(),
    }
}

#[cfg(test)]
mod tests;
