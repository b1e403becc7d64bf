//! The rules of a room, and the tape that they write.
//!
//! A line takes two steps. [`Room::decide`] reads it and changes nothing: the result is a reply, or an [`Event`].
//! [`Room::apply`] turns an event into bytes of tape. No other code changes a room.

use std::collections::{TryReserveError, VecDeque};
use std::fmt::Write as _;

use super::command::Command;
use super::cursor::Cursor;
use super::event::{Applied, Event};
use super::name::{Name, NameError};
use super::notice::{Notice, help, help_of_operator};
use super::roster::{Introduction, MemberId, Roster};
use super::sanitize::sanitize;
use super::tape::{Span, Tape};

/// Most rows that `/who` shows.
pub const WHO_ROWS_MAX: usize = 100;

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

/// The settings of a room.
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
    /// The size of the tape, in bytes.
    pub backlog_bytes: usize,
    /// The longest line as received, in bytes. The room only names it in a notice.
    pub line_bytes_max: usize,
}

/// A room.
#[derive(Debug)]
pub struct Room {
    options: Options,
    tape: Tape,
    /// Names of members that left and were introduced, and whose departure is not on the tape yet. With `--lag wait`,
    /// nothing may be appended while the tape is full of bytes that the slowest reader has not taken.
    departed: VecDeque<String>,
    /// Buffer for the `NAME> ` of a line, kept to save an allocation per line.
    prefix: String,
}

/// Greeting of a newcomer.
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
    /// A reply to the author alone.
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
    /// Creates an empty room.
    ///
    /// # Errors
    /// When there is no memory for the tape.
    pub fn new(options: Options) -> Result<Room, TryReserveError> {
        let tape = Tape::new(options.backlog_bytes)?;
        Ok(Room { options, tape, departed: VecDeque::new(), prefix: String::new() })
    }

    /// Returns the tape.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// Whether so many clients are few enough for joins and leaves to be announced.
    pub fn announces(&self, clients: usize) -> bool {
        clients <= self.options.announce_up_to
    }

    /// Returns the greeting of `member`, and its place on the tape: at the history, or at the end. The operator gets no
    /// history.
    pub fn welcome(&self, roster: &Roster, member: MemberId) -> Welcome {
        let mut private = String::new();
        Notice::Welcome { name: &roster.shown(member).to_string() }.push_line(&mut private);
        if roster.is_operator(member) {
            return Welcome { cursor: Cursor::at(self.tape.end()), private };
        }
        let mut buffer = String::new();
        for line in self.options.greeting.lines() {
            Notice::Other(sanitize(line.as_bytes(), &mut buffer)).push_line(&mut private);
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
            Command::Indented => reply(Notice::IndentedCommand),
            Command::Leave if is_operator => Decision::Stop,
            Command::Leave => Decision::Leave,
            Command::Say("") => reply(Notice::SayUsage),
            Command::Say(text) => Decision::Apply(Event::Said { member, text }),
            Command::Nick(_) if is_operator => reply(Notice::NameFixed),
            Command::Nick(name) => decide_name(roster, member, name),
            Command::Who => Decision::Reply(who(roster, now)),
            Command::Tell { to, text } => decide_message(roster, member, to, text),
            Command::Help => Decision::Reply(if is_operator { help_of_operator() } else { help() }),
            Command::Kick { name, .. } if is_operator => decide_removal(roster, member, name),
            Command::Kick { word, .. } | Command::Unknown(word) => reply(Notice::UnknownCommand { word }),
        }
    }

    /// Applies an event to the room and to the roster. The announcement of a member that left is queued, and waits for
    /// [`Event::Departed`].
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
            Event::Departed => Applied { bytes: self.announce_departed().unwrap_or(0), ..Applied::default() },
            Event::ShuttingDown => {
                let span = self.tape.announce(Notice::ShuttingDown);
                roster.clear();
                Applied { bytes: span.bytes(), ..Applied::default() }
            }
        }
    }

    /// Whether the departure of a member is still to be announced.
    pub fn has_departed(&self) -> bool {
        !self.departed.is_empty()
    }

    /// Returns the answer to a line over the limit.
    pub fn overlong_reply(&self) -> String {
        Notice::TooLong { bytes: self.options.line_bytes_max }.to_line()
    }

    /// Announces the next member that left and was introduced. Returns how many bytes that put on the tape.
    fn announce_departed(&mut self) -> Option<u64> {
        let name = self.departed.pop_front()?;
        Some(self.tape.announce(Notice::Left { name: &name }).bytes())
    }

    fn say(&mut self, roster: &mut Roster, member: MemberId, text: &str) -> Applied {
        let introduced = self.introduce(roster, member);
        roster.count_line(member);
        self.prefix.clear();
        let _ = write!(self.prefix, "{}> ", roster.shown(member));
        match self.options.audience {
            Audience::Others => {
                let said = self.tape.say(&[&self.prefix, text]);
                applied(Some(Span { start: introduced.map_or(said.start, |span| span.start), end: said.end }))
            }
            Audience::Everyone => {
                let mut applied = applied(introduced);
                applied.bytes += self.tape.say(&[&self.prefix, text]).bytes();
                applied
            }
            Audience::Sender => Applied { reply: Some(format!("{}{text}\n", self.prefix)), ..applied(introduced) },
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
        let span = self.tape.announce(Notice::Renamed { from: &before, to: name.as_str() });
        roster.rename(member, name);
        Applied { bytes: span.bytes(), ..Applied::default() }
    }

    /// Decides, once for each member, whether the room reads `joined`.
    fn introduce(&mut self, roster: &mut Roster, member: MemberId) -> Option<Span> {
        if roster.introduction(member) != Introduction::Pending {
            return None;
        }
        if !self.announces(roster.clients()) {
            roster.set_introduction(member, Introduction::Untold);
            return None;
        }
        roster.set_introduction(member, Introduction::Told);
        Some(self.tape.announce(Notice::Joined { name: &roster.shown(member).to_string() }))
    }
}

/// Returns the effect of the author's own words, if they are on the tape.
fn applied(own: Option<Span>) -> Applied {
    Applied { bytes: own.map_or(0, |span| span.bytes()), own, reply: None }
}

/// Returns the answer to the author of a line.
fn reply(notice: Notice<'_>) -> Decision<'static> {
    Decision::Reply(notice.to_line())
}

fn decide_name(roster: &Roster, member: MemberId, typed: &str) -> Decision<'static> {
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
    let (mut rows, mut name) = (String::new(), String::new());
    for row in roster.rows(now).take(WHO_ROWS_MAX) {
        name.clear();
        let _ = write!(name, "{}", row.shown);
        Notice::Here { name: &name, lines: row.lines, minutes: row.minutes }.push_line(&mut rows);
    }
    if let Some(clients) = roster.len().checked_sub(WHO_ROWS_MAX).filter(|&more| more > 0) {
        Notice::HereMore { clients }.push_line(&mut rows);
    }
    Notice::HereTotal { clients: roster.len() }.push_line(&mut rows);
    rows
}

fn decide_message(roster: &Roster, sender: MemberId, to: &str, text: &str) -> Decision<'static> {
    if to.is_empty() || text.is_empty() {
        return reply(Notice::TellUsage);
    }
    let Some(target) = roster.find(to) else {
        return reply(Notice::NobodyCalled { name: to });
    };
    let (from, to) = (&roster.shown(sender).to_string(), &roster.shown(target).to_string());
    Decision::Tell {
        to: roster.key(target),
        message: Notice::TellsYou { from, text }.to_line(),
        told: Notice::YouTold { to, text }.to_line(),
        untold: Notice::NotReading { name: to }.to_line(),
    }
}

fn decide_removal(roster: &Roster, operator: MemberId, typed: &str) -> Decision<'static> {
    if typed.is_empty() {
        return reply(Notice::KickUsage);
    }
    match roster.find(typed) {
        None => reply(Notice::NobodyCalled { name: typed }),
        Some(member) if member == operator => reply(Notice::KickSelf),
        Some(member) => Decision::Remove {
            key: roster.key(member),
            done: Notice::Removed { name: &roster.shown(member).to_string() }.to_line(),
        },
    }
}

#[cfg(test)]
mod tests;
