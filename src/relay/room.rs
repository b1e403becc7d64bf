//! One room: its rules, and the tape that they write.
//!
//! A line takes two steps. [`Room::decide`] reads it and changes nothing: the result is a reply, or an [`Event`].
//! [`Room::apply`] turns an event into bytes of tape and is the only place that changes a room.

use std::collections::{TryReserveError, VecDeque};
use std::fmt::Write as _;

use super::command::Command;
use super::cursor::Cursor;
use super::event::{Applied, Event};
use super::help;
use super::name::{Name, NameError};
use super::notice::Notice;
use super::roster::{Introduction, MemberId, Roster};
use super::sanitize::sanitize;
use super::tape::{Span, Tape};

/// How many rows `/who` shows at most.
pub const WHO_ROWS_MAX: usize = 100;

/// The recipients of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audience {
    /// All but its author: a relay.
    #[default]
    Others,
    /// All: a relay with echo.
    Everyone,
    /// Only its author: an echo server.
    Sender,
}

/// The settings of a room.
#[derive(Clone, Debug)]
pub struct Options {
    /// Further notices for newcomers: one a line.
    pub greeting: String,
    /// How many of the lines said before a newcomer is sent.
    pub history_lines: u64,
    /// The recipients of a line.
    pub audience: Audience,
    /// Joins and leaves are announced while at most this many clients are present.
    pub announce_up_to: usize,
    /// The size of the tape, in bytes.
    pub backlog_bytes: usize,
    /// The longest line as received, in bytes: only named in a notice here.
    pub line_bytes_max: usize,
}

/// One room.
#[derive(Debug)]
pub struct Room {
    options: Options,
    tape: Tape,
    /// Names of members that left and were introduced, and whose leaving is not on the tape yet: nothing may be appended
    /// while the tape is full of what the slowest reader has not taken (`--lag wait`).
    departed: VecDeque<String>,
    /// The `NAME> ` or the notice that is being appended; kept for its memory.
    scratch: String,
}

/// What a newcomer is given.
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
    /// This is to be applied.
    Apply(Event<'a>),
    /// This answers the author.
    Reply(String),
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
    /// The author leaves.
    Leave,
    /// The operator removes a member.
    Remove {
        /// The key of that member.
        key: usize,
        /// The answer to the operator.
        done: String,
    },
    /// The operator stops the server.
    Stop,
}

impl Room {
    /// An empty room.
    ///
    /// # Errors
    /// When there is no memory for the tape.
    pub fn new(options: Options) -> Result<Room, TryReserveError> {
        let tape = Tape::new(options.backlog_bytes)?;
        Ok(Room { options, tape, departed: VecDeque::new(), scratch: String::new() })
    }

    /// The tape.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// Whether so many clients are few enough for joins and leaves to be announced.
    pub fn announces(&self, clients: usize) -> bool {
        clients <= self.options.announce_up_to
    }

    /// The greeting of `member`, and its place on the tape: at the history, or at the end. The operator gets no history.
    pub fn welcome(&self, roster: &Roster, member: MemberId) -> Welcome {
        let mut private = String::new();
        Notice::Welcome { name: &roster.shown(member).to_string() }.push_line(&mut private);
        if roster.is_operator(member) {
            return Welcome { cursor: Cursor::at(self.tape.end()), private };
        }
        for line in self.options.greeting.lines() {
            Notice::Other(sanitize(line.as_bytes(), &mut String::new())).push_line(&mut private);
        }
        let place = self.tape.back(self.options.history_lines);
        match self.tape.end().line - place.line {
            0 => {}
            lines => Notice::Earlier { lines }.push_line(&mut private),
        }
        Welcome { cursor: Cursor::at(place), private }
    }

    /// Reads one clean line of `member`, at `now` in seconds of the caller's clock. Changes nothing.
    pub fn decide<'a>(&self, roster: &Roster, member: MemberId, line: &'a str, now: u32) -> Decision<'a> {
        let is_operator = roster.is_operator(member);
        match Command::parse(line) {
            Command::Nothing => Decision::Nothing,
            Command::Leave if is_operator => Decision::Stop,
            Command::Leave => Decision::Leave,
            Command::Say(text) => Decision::Apply(Event::Said { member, text }),
            Command::Nick(_) if is_operator => reply(Notice::NameFixed { name: &roster.shown(member).to_string() }),
            Command::Nick(name) => decide_name(roster, member, name),
            Command::Who => Decision::Reply(who(roster, now)),
            Command::Tell { to, text } => decide_message(roster, member, to, text),
            Command::Help => Decision::Reply(if is_operator { help::for_operator() } else { help::for_client() }),
            Command::Kick { name, .. } if is_operator => decide_removal(roster, member, name),
            Command::Kick { word, .. } | Command::Unknown(word) => reply(Notice::NoCommand { word }),
        }
    }

    /// Applies an event to the room and to the roster. The announcement of a member that left waits for
    /// [`announce_next_departed`](Room::announce_next_departed).
    pub fn apply(&mut self, roster: &mut Roster, event: Event<'_>) -> Applied {
        match event {
            Event::Said { member, text } => self.say(roster, member, text),
            Event::Renamed { member, name } => self.rename(roster, member, name),
            Event::Joined { member } => applied(self.introduce(roster, member)),
            Event::Left { member } => {
                let (name, introduction) = roster.remove(member);
                if introduction == Introduction::Told {
                    self.departed.push_back(name);
                }
                Applied::default()
            }
            Event::ShuttingDown => {
                let span = self.announce(Notice::ShuttingDown);
                roster.clear();
                Applied { bytes: span.bytes(), ..Applied::default() }
            }
        }
    }

    /// Announces the next member that left and was introduced. Returns how many bytes that put on the tape.
    pub fn announce_next_departed(&mut self) -> Option<u64> {
        let name = self.departed.pop_front()?;
        Some(self.announce(Notice::Left { name: &name }).bytes())
    }

    /// Whether the leaving of a member is still to be announced.
    pub fn has_departed(&self) -> bool {
        !self.departed.is_empty()
    }

    /// The answer to a line over the limit.
    pub fn overlong_reply(&self) -> String {
        Notice::TooLong { bytes: self.options.line_bytes_max as u64 }.to_line()
    }

    fn say(&mut self, roster: &mut Roster, member: MemberId, text: &str) -> Applied {
        let introduced = self.introduce(roster, member);
        roster.count_line(member);
        self.scratch.clear();
        let _ = write!(self.scratch, "{}> ", roster.shown(member));
        match self.options.audience {
            Audience::Others => {
                let said = self.tape.say(&[&self.scratch, text]);
                applied(Some(Span { start: introduced.map_or(said.start, |span| span.start), end: said.end }))
            }
            Audience::Everyone => {
                let mut applied = applied(introduced);
                applied.bytes += self.tape.say(&[&self.scratch, text]).bytes();
                applied
            }
            Audience::Sender => Applied { reply: Some(format!("{}{text}\n", self.scratch)), ..applied(introduced) },
        }
    }

    /// Gives a member a new name. A member that was not introduced yet is introduced with it, and is told in private.
    fn rename(&mut self, roster: &mut Roster, member: MemberId, name: Name) -> Applied {
        let before = roster.shown(member).to_string();
        if roster.introduction(member) == Introduction::Pending {
            let reply = Notice::Renamed { from: &before, to: name.as_str() }.to_line();
            roster.rename(member, name);
            return Applied { reply: Some(reply), ..applied(self.introduce(roster, member)) };
        }
        let span = self.announce(Notice::Renamed { from: &before, to: name.as_str() });
        roster.rename(member, name);
        Applied { bytes: span.bytes(), ..Applied::default() }
    }

    /// Decides, once for each member, whether the room is told that it joined.
    fn introduce(&mut self, roster: &mut Roster, member: MemberId) -> Option<Span> {
        if roster.introduction(member) != Introduction::Pending {
            return None;
        }
        if !self.announces(roster.clients()) {
            roster.set_introduction(member, Introduction::Untold);
            return None;
        }
        roster.set_introduction(member, Introduction::Told);
        Some(self.announce(Notice::Joined { name: &roster.shown(member).to_string() }))
    }

    /// Appends a notice to the tape.
    fn announce(&mut self, notice: Notice<'_>) -> Span {
        self.scratch.clear();
        let _ = write!(self.scratch, "{notice}");
        self.tape.announce(&[&self.scratch])
    }
}

/// The effect of the author's own words, if they are on the tape.
fn applied(own: Option<Span>) -> Applied {
    Applied { bytes: own.map_or(0, |span| span.bytes()), own, reply: None }
}

fn reply<'a>(notice: Notice<'_>) -> Decision<'a> {
    Decision::Reply(notice.to_line())
}

fn decide_name<'a>(roster: &Roster, member: MemberId, typed: &str) -> Decision<'a> {
    if typed.is_empty() {
        return reply(Notice::NickUsage);
    }
    let name = match Name::parse(typed) {
        Ok(name) => name,
        Err(NameError::Reserved) => return reply(Notice::NameTaken { name: typed }),
        Err(NameError::Form) => return reply(Notice::NameMalformed),
    };
    match roster.holder(&name) {
        Some(holder) if holder != member => reply(Notice::NameTaken { name: name.as_str() }),
        Some(_) if roster.is_called(member, &name) => reply(Notice::NameUnchanged { name: name.as_str() }),
        _ => Decision::Apply(Event::Renamed { member, name }),
    }
}

fn who(roster: &Roster, now: u32) -> String {
    let mut answer = String::new();
    let mut name = String::new();
    for row in roster.rows(now).take(WHO_ROWS_MAX) {
        name.clear();
        let _ = write!(name, "{}", row.shown);
        let (lines, minutes) = (row.lines.into(), row.minutes.into());
        Notice::Here { name: &name, lines, minutes }.push_line(&mut answer);
    }
    if let Some(more) = roster.len().checked_sub(WHO_ROWS_MAX).filter(|&more| more > 0) {
        Notice::HereMore { clients: more as u64 }.push_line(&mut answer);
    }
    Notice::HereTotal { clients: roster.len() as u64 }.push_line(&mut answer);
    answer
}

fn decide_message<'a>(roster: &Roster, sender: MemberId, to: &str, text: &str) -> Decision<'a> {
    if to.is_empty() || text.is_empty() {
        return reply(Notice::MsgUsage);
    }
    let Some(target) = roster.find(to) else { return reply(Notice::NotHere { name: to }) };
    let (sender, shown) = (roster.shown(sender).to_string(), roster.shown(target).to_string());
    Decision::Tell {
        to: roster.key(target),
        message: Notice::TellsYou { from: &sender, text }.to_line(),
        told: Notice::YouTold { to: &shown, text }.to_line(),
        untold: Notice::NotReading { name: &shown }.to_line(),
    }
}

fn decide_removal<'a>(roster: &Roster, operator: MemberId, typed: &str) -> Decision<'a> {
    if typed.is_empty() {
        return reply(Notice::KickUsage);
    }
    match roster.find(typed) {
        None => reply(Notice::NotHere { name: typed }),
        Some(member) if member == operator => reply(Notice::KickSelf),
        Some(member) => Decision::Remove {
            key: roster.key(member),
            done: Notice::WasRemoved { name: &roster.shown(member).to_string() }.to_line(),
        },
    }
}

#[cfg(test)]
mod tests;
