//! Orders of operators, from the console and from the socket of `--control`: their execution, and their answers.
//!
//! An order is carried out at once. Three go on behind it: a list is told in parts, a reload waits for the outer loop,
//! and an announcement comes to a number of rooms a turn. A room that waits for a slow reader says it when it goes on.
//!
//! The console is a member of its room and reads its records. So it is answered nothing that its room reads as well:
//! neither `ana was removed` of a member that the room knows, nor an announcement.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::mem;
use std::rc::Rc;
use std::time::Instant;

use super::Hub;
use super::banning::BanListing;
use super::closing::Peer;
use super::input::ReadTurn;
use crate::net::stream::Socket;
use crate::relay::directory::RoomId;
use crate::relay::elsewhere::Elsewhere;
use crate::relay::elsewhere::event::RosterEvent;
use crate::relay::event::Event;
use crate::relay::notice::{self, Notice};
use crate::relay::order::{self, Order, Row};
use crate::relay::room::WHO_ROWS_MAX;
use crate::relay::roster::{ClientNumber, Introduction, MemberId};
use crate::relay::sanitize::sanitize;
use crate::server::connection::{Handle, Phase, Role, Serial};
use crate::server::limits::{ANNOUNCED_ROOMS_MAX, ANNOUNCEMENTS_MAX, KICK_REASON_BYTES_MAX, ROWS_MAX};
use crate::server::reason::Reason;

/// The refusal to remove the console.
const KICKS_CONSOLE: &str = "server is the console, and stays; stop ends the server";

/// The orders that are not done with.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// The operators that wait for the outcome of a reload.
    reloads: Vec<Handle>,
    /// Announcements that have not come to all rooms: the text, and the room to go on at. At most
    /// [`ANNOUNCEMENTS_MAX`].
    announcements: VecDeque<(Rc<str>, usize)>,
}

/// The answer to an order.
#[derive(Debug)]
pub(super) enum Answer {
    /// All rows, perhaps none: the order is carried out.
    Done(Vec<Row>),
    /// The order is refused, for this reason.
    Refused(String),
    /// There may be many rows: [`Hub::list`] gives them.
    Listing(Listing),
    /// [`Hub::answer_reload`] brings the answer.
    Later,
}

/// A list that is told in parts. Each begins behind the last row of the one before, so members and rooms may come and
/// go between two parts. A row costs the same in every part.
#[derive(Debug)]
pub(super) enum Listing {
    /// The members of all servers, by their numbers.
    Members {
        /// Whether all that is known of each is told.
        all: bool,
        /// The last one that was told.
        last: Option<ClientNumber>,
        /// The time of the order, in seconds since the start.
        seconds: u32,
    },
    /// The rooms, the lobby first.
    Rooms {
        /// The index to go on at.
        next: usize,
        /// Rooms that are on other servers alone and were told: they come behind those of this one.
        told_others: usize,
    },
    /// The bans.
    Bans(BanListing),
}

impl<S: Socket> Hub<S> {
    /// Carries out the order of the operator with this connection.
    pub(super) fn obey(&mut self, operator: Handle, order: Order<'_>, now: Instant) -> Answer {
        match order {
            Order::Who { all } => Answer::Listing(Listing::Members { all, last: None, seconds: self.seconds(now) }),
            Order::Rooms => Answer::Listing(Listing::Rooms { next: 0, told_others: 0 }),
            Order::Kick { name, reason } => self.kick(operator, &clean(name), &clean(reason), now),
            Order::Ban { target, time, reason } => match self.ban_everywhere(&clean(target), time, &clean(reason), now)
            {
                Ok(text) => Answer::Done(vec![Row::Text(text)]),
                Err(reason) => Answer::Refused(reason),
            },
            Order::Unban { target } => match self.unban_everywhere(&clean(target), now) {
                Ok(text) => Answer::Done(vec![Row::Text(text)]),
                Err(reason) => Answer::Refused(reason),
            },
            Order::Bans => Answer::Listing(Listing::Bans(BanListing::default())),
            Order::Announce { text } => self.announce(&clean(text)),
            Order::Greeting { text } => self.greet_with(&clean(text)),
            Order::Stats => Answer::Done(self.figures(now)),
            Order::Help => Answer::Done(order::HELP.iter().map(|&usage| Row::Text(usage.to_owned())).collect()),
            Order::Stop => {
                self.is_stop_wanted = true;
                Answer::Done(Vec::new())
            }
            Order::Reload => {
                self.orders.reloads.push(operator);
                Answer::Later
            }
        }
    }

    /// Carries out the order in a line of an operator without a connection. Returns the rows of the answer, all at once.
    /// For tests.
    ///
    /// # Errors
    /// The line is no order, or the order is refused, for this reason.
    pub fn order(&mut self, line: &str, now: Instant) -> Result<Vec<Row>, String> {
        let order = Order::parse(line).map_err(|error| error.to_string())?;
        match self.obey(Handle { key: usize::MAX, serial: Serial::default() }, order, now) {
            Answer::Done(rows) => Ok(rows),
            Answer::Refused(reason) => Err(reason),
            Answer::Later => Ok(Vec::new()),
            Answer::Listing(mut listing) => {
                let mut rows = Vec::new();
                loop {
                    match self.list(&mut listing) {
                        part if part.is_empty() => return Ok(rows),
                        part => rows.extend(part),
                    }
                }
            }
        }
    }

    /// Carries out an order of the console, and answers it in private. Of a list, the console is told the first rows and
    /// the number of the others.
    pub(super) fn obey_console(&mut self, turn: &mut ReadTurn, order: Order<'_>, now: Instant) {
        let operator = self.connections[turn.key].handle(turn.key);
        let mut lines = String::new();
        match self.obey(operator, order, now) {
            Answer::Done(rows) => rows.iter().for_each(|row| push_notices(row, &mut lines)),
            Answer::Refused(reason) => push_notices(&reason, &mut lines),
            Answer::Listing(mut listing) => {
                let rows = self.list(&mut listing);
                rows.iter().take(WHO_ROWS_MAX).for_each(|row| push_notices(row, &mut lines));
                match self.list_len(&listing) {
                    0 => push_notices(&"none", &mut lines),
                    len if len > WHO_ROWS_MAX => Notice::More { count: len - WHO_ROWS_MAX }.push_line(&mut lines),
                    _ => {}
                }
            }
            Answer::Later => {}
        }
        if !lines.is_empty() {
            self.reply(turn, &lines);
        }
    }

    /// Removes a member.
    fn kick(&mut self, operator: Handle, name: &str, reason: &str, now: Instant) -> Answer {
        let Some(member) = self.roster.find(name) else {
            let removed = self.kick_elsewhere(name, reason);
            let refused = || Answer::Refused(Notice::NobodyCalled { name }.to_string());
            return removed.map_or_else(refused, |row| Answer::Done(vec![row]));
        };
        if self.roster.is_operator(member) {
            return Answer::Refused(KICKS_CONSOLE.to_owned());
        }
        let room = self.roster.room(member);
        let removed = self.roster.shown(member).to_string();
        let is_told = self.roster.introduction(member) == Introduction::Told;
        let reason = Reason::Removed(shortened(reason, KICK_REASON_BYTES_MAX));
        match self.roster.key(member) {
            Some(key) => self.leave(key, &reason, now),
            None => self.remove_away(member, &reason, now),
        }
        if is_told && self.is_reading(operator, room) {
            return Answer::Done(Vec::new());
        }
        let room = self.roster.directory().name(room).to_string();
        Answer::Done(vec![Row::Removed { removed, room }])
    }

    /// Whether an operator is a member of this room.
    fn is_reading(&self, operator: Handle, room: RoomId) -> bool {
        let phase = self.connections.known(operator).map(|connection| connection.phase);
        matches!(phase, Some(Phase::Present(member)) if self.roster.room(member) == room)
    }

    /// Says a line in every room.
    fn announce(&mut self, text: &str) -> Answer {
        if let Some(refusal) = self.overlong(text) {
            return refusal;
        }
        if self.orders.announcements.len() >= ANNOUNCEMENTS_MAX {
            return Answer::Refused("earlier announcements are still under way".to_owned());
        }
        if let Some(room) = self.rooms.full_of_announcements() {
            let name = self.roster.directory().name(room);
            return Answer::Refused(format!("{name} waits for a slow reader, and earlier announcements with it"));
        }
        if self.others.is_some() {
            self.roster.tell_others(&RosterEvent::Announce { text });
        } else {
            self.announce_in_turn(text);
        }
        Answer::Done(Vec::new())
    }

    /// Brings a line of an operator to the rooms, behind those that are under way.
    pub(super) fn announce_in_turn(&mut self, text: &str) {
        let is_first = !self.is_announcing();
        if self.orders.announcements.len() < ANNOUNCEMENTS_MAX {
            self.orders.announcements.push_back((text.into(), 0));
        }
        if is_first {
            self.announce_orders();
        }
    }

    /// Brings announcements to further rooms, as many as a turn may.
    pub(super) fn announce_orders(&mut self) {
        let mut left = ANNOUNCED_ROOMS_MAX;
        while left > 0
            && let Some((text, next)) = self.orders.announcements.front_mut()
        {
            let (text, next_room) = (Rc::clone(text), *next);
            let rooms: Vec<RoomId> = self.roster.directory().ids_from(next_room).take(left).collect();
            match rooms.last().filter(|_| rooms.len() == left) {
                Some(last) => *next = last.index() + 1,
                None => drop(self.orders.announcements.pop_front()),
            }
            left -= rooms.len();
            self.budget.spend_reply(rooms.len() * text.len());
            for room in rooms {
                if !self.announces_in(room) {
                    continue;
                }
                self.rooms.apply(room, &mut self.roster, Event::Proclaimed { text: Rc::clone(&text) });
                self.rooms.announce_queued(room, &mut self.roster);
            }
        }
    }

    /// Whether an announcement has not come to all rooms.
    pub(super) fn is_announcing(&self) -> bool {
        !self.orders.announcements.is_empty()
    }

    fn greet_with(&mut self, text: &str) -> Answer {
        if let Some(refusal) = self.overlong(text) {
            return refusal;
        }
        self.set_greeting(text);
        let done = if text.is_empty() { "newcomers are not greeted" } else { "newcomers are greeted so from now on" };
        Answer::Done(vec![Row::Text(done.to_owned())])
    }

    /// Returns the refusal of a text over the limit of a line.
    fn overlong(&self, text: &str) -> Option<Answer> {
        let bytes = self.rooms.options().line_bytes_max;
        (text.len() > bytes).then(|| Answer::Refused(Notice::TooLong { bytes }.to_string()))
    }

    fn figures(&self, now: Instant) -> Vec<Row> {
        let uptime = now.saturating_duration_since(self.created).as_secs();
        let uptime = [("uptime_seconds".to_owned(), uptime)];
        let figures = uptime.into_iter().chain(self.stats().figures());
        figures.map(|(name, value)| Row::Figure { name, value }).collect()
    }

    /// Returns the next rows of a list, at most [`ROWS_MAX`]; none at its end.
    pub(super) fn list(&self, listing: &mut Listing) -> Vec<Row> {
        match listing {
            Listing::Members { all, last, seconds } => self.list_members(*all, last, *seconds),
            Listing::Rooms { next, told_others } => {
                let rooms: Vec<RoomId> = self.roster.directory().ids_from(*next).take(ROWS_MAX).collect();
                if rooms.is_empty() {
                    return self.list_other_rooms(told_others);
                }
                *next = rooms.last().map_or(*next, |room| room.index() + 1);
                rooms.into_iter().map(|room| self.room_row(room)).collect()
            }
            Listing::Bans(bans) => self.list_bans(bans),
        }
    }

    /// Returns the number of all rows that a list would have now.
    fn list_len(&self, listing: &Listing) -> usize {
        match listing {
            Listing::Members { .. } => self.roster.len() + self.roster.elsewhere().map_or(0, Elsewhere::len),
            Listing::Rooms { .. } => self.roster.sizes().len(),
            Listing::Bans(_) => self.bans_len(),
        }
    }

    pub(super) fn member_row(&self, member: MemberId, all: bool, now: u32) -> Row {
        let (name, key) = (self.roster.shown(member).to_string(), self.roster.key(member));
        let room = self.roster.directory().name(self.roster.room(member)).to_string();
        let seconds = now.saturating_sub(self.roster.entered(member));
        let away = key.is_none();
        if !all {
            return Row::Member { name, room, seconds, lines: self.roster.lines(member), away };
        }
        let Some(connection) = key.and_then(|key| self.connections.get(key)) else {
            // Only the client of a session can be away.
            return Row::Connected { name, address: None, room, seconds, behind: 0, tracked: true, away };
        };
        let address = key.map(|key| self.peer(key)).map(|peer| match peer {
            Peer::Console => "console".to_owned(),
            Peer::Local => "unix".to_owned(),
            peer => peer.to_string(),
        });
        let tape = self.rooms[self.room_of(connection)].tape();
        let behind = connection.stop(tape).offset.saturating_sub(connection.cursor.offset());
        Row::Connected { name, address, room, seconds, behind, tracked: connection.is_tracked(), away }
    }

    fn room_row(&self, room: RoomId) -> Row {
        let directory = self.roster.directory();
        Row::Room {
            room: directory.name(room).to_string(),
            members: directory.seats(room).len() + self.roster.others_in(room),
            permanent: directory.is_permanent(room),
        }
    }

    /// Whether an operator has ordered that the files are read again. The caller answers with
    /// [`answer_reload`](Hub::answer_reload).
    pub fn is_reload_wanted(&self) -> bool {
        !self.orders.reloads.is_empty()
    }

    /// Tells the operators that wait for it what a reload has changed, or why it has changed nothing.
    pub fn answer_reload(&mut self, outcome: &Result<String, String>) {
        for operator in mem::take(&mut self.orders.reloads) {
            self.tell_operator(operator, outcome);
        }
    }

    /// Ends the answer of an operator with the outcome of its order. An operator that is gone is told nothing.
    fn tell_operator(&mut self, operator: Handle, outcome: &Result<String, String>) {
        let Some(connection) = self.connections.known(operator) else { return };
        match connection.role() {
            Role::Console => {
                let mut lines = String::new();
                match outcome {
                    Ok(changes) if changes.is_empty() => push_notices(&"reloaded", &mut lines),
                    Ok(changes) => push_notices(changes, &mut lines),
                    Err(reason) => push_notices(&format_args!("nothing is reloaded: {reason}"), &mut lines),
                }
                self.tell(operator.key, &lines);
            }
            Role::Operator => self.end_awaited(operator, outcome),
            // None of them gives orders.
            Role::Entering | Role::Client | Role::Visitor | Role::Scraper | Role::Refused => {}
        }
    }
}

/// Appends a text as notices, one for each of its lines. They are clean: a reason may quote a file.
fn push_notices(text: &impl ToString, lines: &mut String) {
    let mut buffer = String::new();
    for line in text.to_string().lines() {
        let _ = writeln!(lines, "{}{}", notice::PREFIX, sanitize(line.as_bytes(), &mut buffer));
    }
}

/// Returns words of an order as text that is safe to show: one line.
fn clean(text: &str) -> String {
    let mut buffer = String::new();
    sanitize(text.as_bytes(), &mut buffer).to_owned()
}

/// Returns the beginning of a text, with `…` if it has more than so many bytes.
fn shortened(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(bytes_max)])
}
