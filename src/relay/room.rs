//! The room: who is here, what they are called, and what is said.

use std::collections::{HashMap, TryReserveError};
use std::fmt::{self, Write as _};
use std::num::NonZeroU64;

use slab::Slab;

use super::command::Command;
use super::cursor::Cursor;
use super::line::clean;
use super::name::{Name, NameError, TYPED_BYTES_MAX, fold};
use super::notice::{Grouped, help, help_of_operator, notice, plural, reply, taken};
use super::tape::{Position, Span, Tape};

/// How many rows `/who` shows at most.
pub const WHO_ROWS_MAX: usize = 100;

/// The number of a participant, never reused: it tells who wrote, whatever is reused elsewhere.
///
/// The lowest is the operator's, whether there is one or not. Those of clients are shown as they are counted, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientNumber(NonZeroU64);

impl ClientNumber {
    const OPERATOR: ClientNumber = ClientNumber(NonZeroU64::MIN);

    /// The number that is shown as `shown`.
    fn of_client(shown: u64) -> Option<ClientNumber> {
        NonZeroU64::new(shown)?.checked_add(1).map(ClientNumber)
    }
}

impl fmt::Display for ClientNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.get() - 1)
    }
}

/// Who gets a line that one client says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Audience {
    /// All but the one who said it: a relay.
    #[default]
    Others,
    /// All: a relay with echo.
    Everyone,
    /// Only the one who said it: an echo server.
    Sender,
}

/// What can be set of a room.
#[derive(Clone, Debug)]
pub struct Options {
    /// What newcomers are told besides: a notice a line.
    pub greeting: String,
    /// How many of the lines said before a newcomer is shown.
    pub history_lines: u64,
    /// Who gets a line.
    pub audience: Audience,
    /// Joins and leaves are told to all while at most this many clients are present.
    pub announce_up_to: usize,
    /// The size of the tape, in bytes.
    pub backlog_bytes: usize,
    /// The longest line as received, in bytes: only told of here.
    pub line_bytes_max: usize,
}

/// Where a member sits: what the room knows it by while it is present. Capacity are reused, numbers are not.
///
/// Kept as bytes: it aligns to one, so that an enum around it takes five bytes and not eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberId([u8; 4]);

/// One room: its tape and its roster.
#[derive(Debug)]
pub struct Room {
    options: Options,
    tape: Tape,
    members: Slab<Member>,
    /// The seats in the order of their members' numbers: the oldest first, and a number is found by bisection.
    order: Vec<MemberId>,
    /// The seats of those with a chosen name, by the folded name.
    chosen: HashMap<Box<str>, MemberId>,
    next_number: u64,
    /// What the next line's `NAME> ` is written into.
    mark: String,
}

/// One who is present. 32 bytes, and no second entry anywhere for one who chose no name.
#[derive(Debug)]
struct Member {
    number: ClientNumber,
    name: Option<Box<Name>>,
    /// How many lines it said; four billion stand for any more.
    lines: u32,
    /// Whether it ever said anything, were it only to the server.
    has_spoken: bool,
    /// When it came, in seconds of the caller's clock.
    came: u32,
    /// What the caller knows it by: a key that fits into 32 bits, or the member would take 40 bytes.
    key: u32,
}

/// What a newcomer gets.
#[derive(Debug)]
pub struct Welcome {
    /// Its place among the members.
    pub seat: MemberId,
    /// Its number.
    pub number: ClientNumber,
    /// Its place on the tape.
    pub reader: Cursor,
    /// What it alone is told first.
    pub private: String,
    /// How many bytes its coming put on the tape.
    pub announced: u64,
}

/// What becomes of a line that was heard.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing.
    Nothing,
    /// This is on the tape, for all but its sender: a line, as a relay takes it.
    Said(Span),
    /// This is on the tape, for all, the sender too: a new name, or a line where everyone is the audience.
    ToldAll(Span),
    /// The sender is told something in private.
    Reply(String),
    /// Something is told in private to another.
    Tell {
        /// The key of the one it is told to.
        to: usize,
        /// What it is told.
        message: String,
        /// What the sender is told once that was done.
        told: String,
        /// What the sender is told if the other does not take it.
        untold: String,
    },
    /// The sender leaves.
    Leave,
    /// The operator, who is the sender, has another removed.
    Remove {
        /// The key of the one to be removed.
        who: usize,
        /// What the operator is told.
        done: String,
    },
    /// The operator, who is the sender, ends the conversation for all.
    Stop,
}

/// What one left behind.
#[derive(Debug)]
pub struct Left {
    /// What it was called.
    pub name: String,
    /// The end of what it is still owed.
    pub stop: Position,
    /// How many bytes its leaving put on the tape.
    pub announced: u64,
}

impl Room {
    /// An empty room.
    ///
    /// # Errors
    /// When there is no memory for the tape.
    pub fn new(options: Options) -> Result<Room, TryReserveError> {
        let tape = Tape::new(options.backlog_bytes)?;
        Ok(Room {
            options,
            tape,
            members: Slab::new(),
            order: Vec::new(),
            chosen: HashMap::new(),
            next_number: 1,
            mark: String::new(),
        })
    }

    /// What was said.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// How many are present, the operator included.
    pub fn present(&self) -> usize {
        self.members.len()
    }

    /// How many clients are present.
    pub fn clients(&self) -> usize {
        let has_operator = self.order.first().is_some_and(|&seat| self.is_operator(seat));
        self.present() - usize::from(has_operator)
    }

    /// What the member on `seat` is called.
    pub fn name(&self, seat: MemberId) -> String {
        self.member(seat).shown().to_string()
    }

    /// Takes one in, whom the caller knows by `key`, at `now` in seconds of the caller's clock. The others are told if they
    /// are few, and `may_tell`.
    ///
    /// # Panics
    /// When there are more members, or keys, than a `u32` counts.
    pub fn join(&mut self, key: usize, now: u32, may_tell: bool) -> Welcome {
        let number = ClientNumber::of_client(self.next_number).expect("counted from 1");
        self.next_number += 1;
        let seat = self.seat(number, None, key, now);

        let place = self.tape.back(self.options.history_lines);
        let mut private = String::new();
        notice(&mut private, format_args!("you are client-{number}; /help lists what you can do"));
        for line in self.options.greeting.lines() {
            notice(&mut private, format_args!("{}", clean(line.as_bytes(), &mut String::new())));
        }
        match self.tape.end().line - place.line {
            0 => {}
            earlier => notice(&mut private, format_args!("{} {}:", earlier, plural(earlier, "earlier line"))),
        }
        let mut reader = Cursor::at(place);
        let announced = self.announce_presence(seat, "joined", may_tell).map_or(0, |span| {
            let _ = reader.skip_own(span);
            span.bytes()
        });
        Welcome { seat, number, reader, private, announced }
    }

    /// Takes the operator in, whom the caller knows by `key`, at `now` in seconds of the caller's clock: before all others,
    /// and once. Nobody is told.
    ///
    /// # Panics
    /// As [`join`](Room::join).
    pub fn seat_operator(&mut self, key: usize, now: u32) -> Welcome {
        debug_assert!(self.order.is_empty(), "the operator is the first");
        let number = ClientNumber::OPERATOR;
        let name = Name::of_operator();
        let mut private = String::new();
        notice(&mut private, format_args!("you are {name}; /help lists what you can do"));
        let folded = name.folded().into();
        let seat = self.seat(number, Some(Box::new(name)), key, now);
        self.chosen.insert(folded, seat);
        self.members[seat.index()].has_spoken = true;
        Welcome { seat, number, reader: Cursor::at(self.tape.end()), private, announced: 0 }
    }

    /// Hears one clean line of the member on `seat`, at `now` in seconds of the caller's clock.
    pub fn hear(&mut self, seat: MemberId, line: &str, now: u32) -> Outcome {
        let command = Command::parse(line);
        self.members[seat.index()].has_spoken |= !matches!(command, Command::Nothing);
        match command {
            Command::Nothing => Outcome::Nothing,
            Command::Leave if self.is_operator(seat) => Outcome::Stop,
            Command::Leave => Outcome::Leave,
            Command::Say(text) => self.say(seat, text),
            Command::Nick(_) if self.is_operator(seat) => {
                Outcome::Reply(reply(format_args!("you are {}, and nobody else", self.member(seat).shown())))
            }
            Command::Nick(name) => self.rename(seat, name),
            Command::Who => Outcome::Reply(self.who(now)),
            Command::Tell { to, text } => self.tell(seat, to, text),
            Command::Help => Outcome::Reply(if self.is_operator(seat) { help_of_operator() } else { help() }),
            Command::Kick { name, .. } if self.is_operator(seat) => self.remove(seat, name),
            Command::Kick { word, .. } | Command::Unknown(word) => {
                Outcome::Reply(reply(format_args!("there is no command {word}; /help lists what you can do")))
            }
        }
    }

    /// Lets the member on `seat` go: its name is free, and the others are told if they are few, and `may_tell`.
    pub fn leave(&mut self, seat: MemberId, may_tell: bool) -> Left {
        let stop = self.tape.end();
        let announced = self.announce_presence(seat, "left", may_tell).map_or(0, |span| span.bytes());
        let place = self.place_in_order(self.member(seat).number);
        if let Ok(place) = place {
            self.order.remove(place);
        }
        let member = self.members.remove(seat.index());
        let name = member.shown().to_string();
        if let Some(name) = member.name {
            self.chosen.remove(name.folded());
        }
        Left { name, stop, announced }
    }

    /// Tells all that the server is shutting down, and returns the end of that.
    pub fn announce_shutdown(&mut self) -> Position {
        self.tape.announce(&["the server is shutting down"]).end
    }

    /// Whether the member on `seat` ever said anything, were it only to the server.
    pub fn has_spoken(&self, seat: MemberId) -> bool {
        self.member(seat).has_spoken
    }

    /// Hears that the member on `seat` said a line over the limit; returns what it is told.
    pub fn hear_too_long(&mut self, seat: MemberId) -> String {
        self.members[seat.index()].has_spoken = true;
        reply(format_args!("line too long (over {} bytes): not relayed", self.options.line_bytes_max))
    }

    fn seat(&mut self, number: ClientNumber, name: Option<Box<Name>>, key: usize, now: u32) -> MemberId {
        let key = u32::try_from(key).expect("keys of fewer connections than a u32 counts");
        let member = Member { number, name, lines: 0, has_spoken: false, came: now, key };
        let seat = u32::try_from(self.members.insert(member)).expect("fewer members than a u32 counts");
        let seat = MemberId(seat.to_ne_bytes());
        self.order.push(seat);
        seat
    }

    fn say(&mut self, seat: MemberId, text: &str) -> Outcome {
        let member = &mut self.members[seat.index()];
        member.lines = member.lines.saturating_add(1);
        self.mark.clear();
        let _ = write!(self.mark, "{}> ", member.shown());
        match self.options.audience {
            Audience::Others => Outcome::Said(self.tape.say(&[&self.mark, text])),
            Audience::Everyone => Outcome::ToldAll(self.tape.say(&[&self.mark, text])),
            Audience::Sender => Outcome::Reply(format!("{}{text}\n", self.mark)),
        }
    }

    fn rename(&mut self, seat: MemberId, typed: &str) -> Outcome {
        if typed.is_empty() {
            return Outcome::Reply(reply(format_args!("/nick NAME: {}", NameError::Form)));
        }
        let name = match Name::parse(typed) {
            Ok(name) => name,
            Err(NameError::Reserved) => return Outcome::Reply(taken(typed)),
            Err(NameError::Form) => return Outcome::Reply(reply(format_args!("{}", NameError::Form))),
        };
        match self.chosen.get(name.folded()) {
            Some(&holder) if holder != seat => return Outcome::Reply(taken(name.as_str())),
            Some(_) if self.member(seat).is_called(&name) => {
                return Outcome::Reply(reply(format_args!("you are {name} already")));
            }
            _ => {}
        }
        let before = self.name(seat);
        let span = self.tape.announce(&[&before, " is now ", name.as_str()]);
        let folded = name.folded().into();
        if let Some(old) = self.members[seat.index()].name.replace(Box::new(name)) {
            self.chosen.remove(old.folded());
        }
        self.chosen.insert(folded, seat);
        Outcome::ToldAll(span)
    }

    fn who(&self, now: u32) -> String {
        let mut rows = String::new();
        for member in self.order.iter().take(WHO_ROWS_MAX).map(|&seat| self.member(seat)) {
            let (shown, lines) = (member.shown(), member.lines);
            let minutes = now.saturating_sub(member.came) / 60;
            notice(
                &mut rows,
                format_args!("here: {shown}, {lines} {}, {minutes} min", plural(u64::from(lines), "line")),
            );
        }
        if let Some(more) = self.present().checked_sub(WHO_ROWS_MAX).filter(|&more| more > 0) {
            notice(&mut rows, format_args!("and {} more", Grouped(more)));
        }
        notice(&mut rows, format_args!("{} here", Grouped(self.present())));
        rows
    }

    fn tell(&self, seat: MemberId, to: &str, text: &str) -> Outcome {
        if to.is_empty() || text.is_empty() {
            return Outcome::Reply(reply(format_args!("/msg NAME TEXT tells TEXT to NAME alone")));
        }
        let Some(target) = self.find(to) else {
            return Outcome::Reply(reply(format_args!("nobody here is called {to}")));
        };
        let (sender, target) = (self.member(seat).shown(), self.member(target));
        Outcome::Tell {
            to: target.key as usize,
            message: reply(format_args!("{sender} tells you: {text}")),
            told: reply(format_args!("you told {}: {text}", target.shown())),
            untold: reply(format_args!("{} is not reading: not told", target.shown())),
        }
    }

    fn remove(&self, operator: MemberId, typed: &str) -> Outcome {
        if typed.is_empty() {
            return Outcome::Reply(reply(format_args!("/kick NAME removes NAME")));
        }
        match self.find(typed) {
            None => Outcome::Reply(reply(format_args!("nobody here is called {typed}"))),
            Some(seat) if seat == operator => Outcome::Reply(reply(format_args!("that is you; FIN stops the server"))),
            Some(seat) => {
                let member = self.member(seat);
                let done = reply(format_args!("{} was removed", member.shown()));
                Outcome::Remove { who: member.key as usize, done }
            }
        }
    }

    /// The seat of the one who is called `typed`, in any case.
    fn find(&self, typed: &str) -> Option<MemberId> {
        if typed.len() > TYPED_BYTES_MAX {
            return None;
        }
        let folded = fold(typed);
        if let Some(&seat) = self.chosen.get(&folded) {
            return Some(seat);
        }
        let number = ClientNumber::of_client(folded.strip_prefix("client-")?.parse().ok()?)?;
        let seat = self.order[self.place_in_order(number).ok()?];
        // Not one who is called otherwise by now, and not `client-007`.
        (self.name(seat) == *folded).then_some(seat)
    }

    fn place_in_order(&self, number: ClientNumber) -> Result<usize, usize> {
        self.order.binary_search_by_key(&number, |&seat| self.member(seat).number)
    }

    fn announce_presence(&mut self, seat: MemberId, what: &str, may_tell: bool) -> Option<Span> {
        if !may_tell || self.clients() > self.options.announce_up_to {
            return None;
        }
        let name = self.name(seat);
        Some(self.tape.announce(&[&name, " ", what]))
    }

    fn is_operator(&self, seat: MemberId) -> bool {
        self.member(seat).number == ClientNumber::OPERATOR
    }

    fn member(&self, seat: MemberId) -> &Member {
        &self.members[seat.index()]
    }
}

impl MemberId {
    fn index(self) -> usize {
        u32::from_ne_bytes(self.0) as usize
    }
}

impl Member {
    fn shown(&self) -> Shown<'_> {
        match &self.name {
            Some(name) => Shown::Chosen(name),
            None => Shown::Given(self.number),
        }
    }

    fn is_called(&self, name: &Name) -> bool {
        self.name.as_ref().is_some_and(|own| own.as_str() == name.as_str())
    }
}

/// What a member is shown as.
enum Shown<'a> {
    Chosen(&'a Name),
    Given(ClientNumber),
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shown::Chosen(name) => write!(f, "{name}"),
            Shown::Given(number) => write!(f, "client-{number}"),
        }
    }
}
