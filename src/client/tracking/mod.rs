//! A session of the tracked dialect across connections: the server's lines in, events and lines to send out. Pure.
//!
//! ```text
//! Plain: the server does not track, or nobody asked
//! Unknown ─greeting, request→ Asked ─** session→ Tracked (its first unit ends with a stamp)
//!    ↑                          ↑                   │
//!    └── lost, never greeted ───┴── lost ───────────┘
//! ```
//!
//! `/track` goes only to a server that has greeted as pollchat in this process, because a textbook server would relay
//! it. On the first connection it is a later line. What came before its answer comes once more, so it is held back
//! until then. A later connection begins with it. Nothing is said between `/track` and its answer.
//!
//! A *unit* is what the server says in one piece about a changed position: the `** session` line, the news, the private
//! lines, and the stamp. It takes effect with the stamp. So a connection that is lost in between changes nothing, and
//! the next one is told the same again.

mod dialect;
mod event;
mod held;
mod lines;
#[cfg(test)]
mod tests;
mod unit;

use std::collections::VecDeque;
use std::time::Instant;

use self::dialect::{DialectLine, Session, is_refusal};
pub(crate) use self::dialect::{Position, SESSION_START};
pub(crate) use self::event::{Entered, Event, How, Record};
use self::held::HeldLines;
use self::lines::OwnLines;
pub(crate) use self::lines::Which;
use self::unit::{News, Unit};
use super::decoder::ServerLine;
use super::limits::{ACK_WAIT, HELD_LINES_BYTES_MAX, READ_BYTES, TRACK_WAIT, UNSENT_BYTES_MAX};
use crate::relay::notice::Notice;

/// The line that asks for tracking, or for the number of lines that the server has taken.
const TRACK: &str = "/track\n";

/// Owns the session: its token and position, our name and room, and our lines.
///
/// The caller passes each clean line of the server to [`Tracking::on_server_line`], and then takes all events.
#[derive(Debug)]
pub(crate) struct Tracking {
    stage: Stage,
    /// Whether the server has greeted as pollchat in this process.
    is_pollchat: bool,
    /// Whether the caller gave this connection up.
    is_given_up: bool,
    token: Option<String>,
    /// Position of the next record, since the first stamp.
    next: Option<Position>,
    /// Time of the next records, in ms since 1970.
    time_ms: u64,
    /// Records before this one were shown on an earlier connection.
    shown_before: Option<Position>,
    /// Whether the last line was a `** session` line.
    is_after_session: bool,
    unit: Option<Unit>,
    name: String,
    /// Our earlier names, until all records before the last `** session` line have come.
    former_names: Vec<String>,
    room: String,
    lines: OwnLines,
    /// Position of the last `** session` line.
    at: Option<Position>,
    held: HeldLines,
    events: VecDeque<Event>,
}

/// State of the dialogue about tracking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The dialect is not spoken, now or later.
    Plain,
    /// No connection, or none that was asked.
    Unknown,
    /// `/track` was sent then, and nothing was answered.
    Asked(Instant),
    /// The dialect is spoken. An acknowledgement was asked for then.
    Tracked(Option<Instant>),
}

impl Tracking {
    /// A client that tracks the server if it can, or one that never does.
    pub(crate) fn new(is_wanted: bool) -> Tracking {
        Tracking {
            stage: if is_wanted { Stage::Unknown } else { Stage::Plain },
            is_pollchat: false,
            is_given_up: false,
            token: None,
            next: None,
            time_ms: 0,
            shown_before: None,
            is_after_session: false,
            unit: None,
            name: String::new(),
            former_names: Vec::new(),
            room: String::new(),
            lines: OwnLines::default(),
            at: None,
            held: HeldLines::default(),
            events: VecDeque::new(),
        }
    }

    /// Begins a connection. Returns its first line, which nothing may precede, if the server is known.
    pub(crate) fn on_connected(&mut self, now: Instant) -> Option<String> {
        if self.stage == Stage::Plain || !self.is_pollchat {
            return None;
        }
        self.stage = Stage::Asked(now);
        let Some(token) = &self.token else { return Some(TRACK.to_owned()) };
        let position = self.next.clone().unwrap_or_else(Position::unknown);
        Some(format!("/track {position} {token}\n"))
    }

    /// Records that the server has greeted as pollchat.
    pub(crate) fn on_greeted(&mut self) {
        self.is_pollchat = true;
    }

    /// Returns the first `/track` of a connection that did not begin with it. It must be sent next.
    pub(crate) fn ask(&mut self, now: Instant) -> Option<&'static str> {
        if self.stage != Stage::Unknown || !self.is_pollchat {
            return None;
        }
        self.stage = Stage::Asked(now);
        Some(TRACK)
    }

    /// Returns the request for an acknowledgement, if one is due: a line is not known to be taken after [`ACK_WAIT`],
    /// or at once if the client `is_leaving` or has no space for more lines. It must be sent next.
    pub(crate) fn ask_for_ack(&mut self, is_leaving: bool, now: Instant) -> Option<&'static str> {
        let since = self.lines.untaken_since.filter(|_| self.stage == Stage::Tracked(None) && self.unit.is_none())?;
        let is_due = now >= since + ACK_WAIT || is_leaving || self.free_bytes() < READ_BYTES;
        if !is_due || self.lines.untaken_lines() == 0 {
            return None;
        }
        self.stage = Stage::Tracked(Some(now));
        Some(TRACK)
    }

    /// The time of the next [`Tracking::ask_for_ack`].
    pub(crate) fn ack_deadline(&self) -> Option<Instant> {
        let since = self.lines.untaken_since.filter(|_| self.stage == Stage::Tracked(None))?;
        Some(since + ACK_WAIT)
    }

    /// The time at which the answer to a `/track` is late. Then the connection is of no use.
    pub(crate) fn answer_deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Asked(at) | Stage::Tracked(Some(at)) => Some(at + TRACK_WAIT),
            Stage::Plain | Stage::Unknown | Stage::Tracked(None) => None,
        }
    }

    /// Gives tracking up on this connection: the server does not greet as pollchat. (What a known server says instead
    /// of an answer ends with its end.)
    pub(crate) fn give_up(&mut self) {
        if self.is_undecided() && !self.is_pollchat {
            self.is_given_up = true;
            self.become_plain();
        }
    }

    /// Gives tracking up on this connection if the server has never answered. Returns whether that is so.
    pub(crate) fn give_up_unanswered(&mut self) -> bool {
        let is_silent = self.token.is_none() && matches!(self.stage, Stage::Asked(_));
        if is_silent {
            self.is_given_up = true;
            self.become_plain();
        }
        is_silent
    }

    fn become_plain(&mut self) {
        self.stage = Stage::Plain;
        self.release_held();
        self.events.push_back(Event::Untracked);
    }

    /// Ends a connection.
    pub(crate) fn on_disconnected(&mut self) {
        if self.stage == Stage::Plain {
            if std::mem::take(&mut self.is_given_up) {
                self.stage = Stage::Unknown;
            }
            return;
        }
        if self.is_pollchat {
            // The next connection is told.
            self.held = HeldLines::default();
        } else {
            self.release_held();
        }
        if let Some(shown) = self.shown_before.take() {
            self.next = Some(shown);
        }
        self.stage = Stage::Unknown;
        self.unit = None;
        self.is_after_session = false;
    }

    /// Whether the dialect is spoken on this connection.
    pub(crate) fn is_tracked(&self) -> bool {
        matches!(self.stage, Stage::Tracked(_))
    }

    /// Whether the dialect is spoken, or was asked for.
    pub(crate) fn has_asked(&self) -> bool {
        matches!(self.stage, Stage::Asked(_) | Stage::Tracked(_))
    }

    /// Whether the server has a session for us, as far as we know.
    pub(crate) fn has_session(&self) -> bool {
        self.token.is_some() && !self.is_plain()
    }

    /// Whether the server does not track, so that lines go without this state machine.
    pub(crate) fn is_plain(&self) -> bool {
        self.stage == Stage::Plain
    }

    /// Whether the client does not know yet whether the server tracks.
    pub(crate) fn is_undecided(&self) -> bool {
        matches!(self.stage, Stage::Unknown | Stage::Asked(_))
    }

    /// Whether nothing must be said, because an answer is awaited, or it is not known whether the server tracks.
    pub(crate) fn holds_lines(&self) -> bool {
        match self.stage {
            Stage::Plain => false,
            Stage::Unknown | Stage::Asked(_) | Stage::Tracked(Some(_)) => true,
            Stage::Tracked(None) => self.unit.as_ref().is_some_and(|unit| unit.is_entry),
        }
    }

    /// Appends a line of the user, without its newline. Returns its id. The caller checks [`Tracking::free_bytes`].
    pub(crate) fn push(&mut self, line: &str) -> u64 {
        self.lines.push(line).unwrap_or_else(|fate| {
            let id = fate.id();
            self.events.push_back(Event::of(fate));
            id
        })
    }

    /// Puts requests of the client itself before all lines, without newlines. The next connection forgets them.
    pub(crate) fn push_requests(&mut self, requests: &[String]) {
        self.lines.push_requests(requests);
    }

    /// Takes the next line for the connection, if it may be said and has at most `bytes_max` with its newline.
    pub(crate) fn next_line(&mut self, which: Which, bytes_max: usize, now: Instant) -> Option<&str> {
        if self.holds_lines() || self.stage == Stage::Plain {
            return None;
        }
        self.lines.give(which, bytes_max, self.at.as_ref(), now)
    }

    /// Free space for lines that are not known to be taken, in bytes.
    pub(crate) fn free_bytes(&self) -> usize {
        UNSENT_BYTES_MAX.saturating_sub(self.lines.bytes())
    }

    /// The number of lines that wait for the connection.
    pub(crate) fn waiting_lines(&self) -> usize {
        self.lines.waiting_lines()
    }

    /// The number of sent lines that the server is not known to have taken.
    pub(crate) fn untaken_lines(&self) -> usize {
        self.lines.untaken_lines()
    }

    /// Whether each line has its record, or can have none any more.
    pub(crate) fn is_settled(&self) -> bool {
        self.lines.bytes() == 0
    }

    /// Removes the lines that wait for the connection. Returns their ids.
    pub(crate) fn take_waiting(&mut self) -> Vec<u64> {
        self.lines.take_waiting()
    }

    /// Removes all lines: returns the number of those in doubt, and those that wait, with their newlines.
    pub(crate) fn drain(&mut self) -> (usize, Vec<String>) {
        self.lines.drain()
    }

    /// Our name, once the server has told it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Our room, once the server has told it.
    pub(crate) fn room(&self) -> &str {
        &self.room
    }

    /// Whether events wait.
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Returns the next event.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Takes a clean line of the server, or a piece of one.
    pub(crate) fn on_server_line(&mut self, line: ServerLine<'_>, now: Instant) {
        if self.is_tracked() && !line.has_end {
            // The next connection is told the whole line.
            return;
        }
        if line.is_continued || !line.has_end {
            // Half a line of the dialect means nothing.
            self.on_continued(&[line.mark(), line.text].concat());
        } else {
            self.on_line(line.text, now);
        }
    }

    /// Takes a clean, whole line of the server.
    pub(super) fn on_line(&mut self, line: &str, now: Instant) {
        match self.stage {
            Stage::Plain => self.events.push_back(Event::Plain(line.to_owned())),
            Stage::Unknown | Stage::Asked(_) => self.on_early_line(line, now),
            Stage::Tracked(_) => self.on_dialect_line(line, now),
        }
    }

    /// Takes a piece, with its mark, that continues the last line. It is no record.
    fn on_continued(&mut self, piece: &str) {
        match self.stage {
            Stage::Plain | Stage::Tracked(_) => self.events.push_back(Event::Plain(piece.to_owned())),
            Stage::Unknown | Stage::Asked(_) => self.held.push(piece),
        }
    }

    /// Takes a line before the dialect is spoken.
    fn on_early_line(&mut self, line: &str, now: Instant) {
        if let Stage::Asked(_) = self.stage {
            match DialectLine::parse(line) {
                DialectLine::Session(_) => {
                    self.held = HeldLines::default();
                    self.on_dialect_line(line, now);
                    return;
                }
                DialectLine::Elsewhere => {
                    self.events.push_back(Event::Elsewhere);
                    return;
                }
                _ if is_refusal(line) => {
                    self.become_plain();
                    return;
                }
                _ => {}
            }
        }
        self.held.push(line);
        if line == "FIN" {
            self.release_held();
        }
    }

    fn on_dialect_line(&mut self, line: &str, now: Instant) {
        let is_after_session = std::mem::take(&mut self.is_after_session);
        match DialectLine::parse(line) {
            DialectLine::Session(session) => self.on_session(&session, now),
            DialectLine::Resumed => self.begin_unit(News::Resumed),
            DialectLine::Missed(records) => self.begin_unit(News::Missed(records)),
            DialectLine::CannotResume => self.begin_unit(News::CannotResume),
            DialectLine::YouAre { name, room } => {
                let unit = self.unit.get_or_insert_with(Unit::of_move);
                unit.you_are = Some((name.to_owned(), room.to_owned()));
            }
            DialectLine::Elsewhere => self.events.push_back(Event::Elsewhere),
            DialectLine::Private(text) => self.on_private(text, is_after_session),
            DialectLine::Stamp { time_ms, next } => self.on_stamp(time_ms, &next),
            DialectLine::Fin => {
                self.lines.on_fin();
                self.events.push_back(Event::Fin);
            }
            DialectLine::Record(line) => self.on_record(line, now),
        }
    }

    fn on_session(&mut self, session: &Session<'_>, now: Instant) {
        let is_entry = matches!(self.stage, Stage::Asked(_));
        let is_new = self.token.as_deref() != Some(session.token);
        let events = &mut self.events;
        let mut tell = |fate| events.push_back(Event::of(fate));
        if is_new {
            self.lines.on_new_session(session.heard, &mut tell);
            self.token = Some(session.token.to_owned());
        }
        self.lines.on_heard(session.heard, &session.at, is_entry, now, &mut tell);
        if let Some(next) = &self.next {
            self.lines.settle(next, &mut tell);
        }
        if self.name != session.name {
            let former = std::mem::replace(&mut self.name, session.name.to_owned());
            self.former_names.push(former);
        }
        self.at = Some(session.at.clone());
        self.stage = Stage::Tracked(None);
        self.is_after_session = true;
        if is_entry {
            let had_session = self.next.is_some();
            self.unit = Some(Unit { is_entry, is_new_session: is_new && had_session, ..Unit::of_move() });
        }
    }

    fn begin_unit(&mut self, news: News) {
        self.unit.get_or_insert_with(Unit::of_move).news = news;
    }

    fn on_private(&mut self, text: &str, is_after_session: bool) {
        if let Notice::Renamed { from, to } = Notice::parse(text)
            && from == self.name
        {
            to.clone_into(&mut self.name);
        }
        if is_after_session && self.unit.is_none() && matches!(Notice::parse(text), Notice::InRoom { .. }) {
            self.unit = Some(Unit::of_move());
        }
        match &mut self.unit {
            // No server says more.
            Some(unit) if unit.private_bytes > HELD_LINES_BYTES_MAX => {}
            Some(unit) => {
                unit.private_bytes += text.len();
                unit.private.push(text.to_owned());
            }
            None => self.events.push_back(Event::Private(text.to_owned())),
        }
    }

    fn on_stamp(&mut self, time_ms: u64, next: &Position) {
        self.time_ms = time_ms;
        let unit = self.unit.take();
        let is_move = unit.as_ref().is_some_and(|unit| !unit.is_entry && unit.news == News::None);
        let before = self.next.replace(next.clone());
        // In a history, records come once more.
        let shown =
            self.shown_before.take().filter(|shown| before.as_ref().is_some_and(|before| before.is_before(shown)));
        let repeated = shown.as_ref().zip(before.as_ref()).map_or(0, |(shown, before)| shown.record - before.record);
        let shown = shown.or(before);
        let missed = match unit.as_ref().map(|unit| unit.news) {
            _ if is_move => None,
            Some(News::Missed(records)) => Some(Some(records.saturating_sub(repeated))),
            Some(News::CannotResume) if shown.as_ref().is_some_and(|shown| !shown.is_comparable(next)) => Some(None),
            _ => shown.as_ref().filter(|shown| shown.is_before(next)).map(|shown| Some(next.record - shown.record)),
        };
        let missed = missed.filter(|missed| *missed != Some(0));
        self.shown_before = shown.filter(|shown| !is_move && next.is_before(shown));
        if let Some(unit) = unit {
            self.on_unit(unit, missed);
        } else if let Some(missed) = missed {
            self.events.push_back(Event::Missed(missed));
        }
        self.settle();
    }

    fn on_unit(&mut self, unit: Unit, missed: Option<Option<u64>>) {
        if let Some((name, room)) = unit.you_are {
            room.clone_into(&mut self.room);
            let how = match (unit.is_entry, unit.news) {
                (true, News::None) if !unit.is_new_session => How::First,
                (true, News::Resumed | News::Missed(_)) => How::Resumed,
                (true, News::None | News::CannotResume) => How::Anew(unit.is_new_session),
                (false, _) => How::Moved,
            };
            self.events.push_back(Event::Entered(Entered { name, room, how }));
        }
        self.events.extend(missed.map(Event::Missed));
        self.events.extend(unit.private.into_iter().map(Event::Private));
    }

    fn on_record(&mut self, line: &str, now: Instant) {
        let Some(position) = self.next.clone() else {
            // No server says one before the first stamp.
            self.events.push_back(Event::Plain(line.to_owned()));
            return;
        };
        self.settle();
        let is_shown = self.shown_before.as_ref().is_some_and(|shown| position.is_before(shown));
        if !is_shown {
            self.shown_before = None;
            let own = self.own_record(line, &position, now);
            let record = Record { line: line.to_owned(), position: position.clone(), time_ms: self.time_ms, own };
            self.events.push_back(Event::Record(record));
        }
        self.next = Some(position.following());
        self.settle();
    }

    /// Follows our name, and returns the id of our line that a record repeats.
    fn own_record(&mut self, line: &str, position: &Position, now: Instant) -> Option<u64> {
        if let Some(Notice::Renamed { from, to }) = Notice::in_line(line) {
            let is_told = self.at.as_ref().is_some_and(|at| position.is_before(at));
            if from == self.name && !is_told {
                to.clone_into(&mut self.name);
            } else if self.former_names.iter().any(|name| name == from) {
                self.former_names.push(to.to_owned());
            }
            return None;
        }
        let (name, text) = line.split_once("> ")?;
        let is_own = name == self.name || self.former_names.iter().any(|former| former == name);
        let events = &mut self.events;
        if is_own { self.lines.on_record(text, position, now, |fate| events.push_back(Event::of(fate))) } else { None }
    }

    /// Takes note that all records before the present position have come.
    fn settle(&mut self) {
        let Some(next) = &self.next else { return };
        let events = &mut self.events;
        self.lines.settle(next, |fate| events.push_back(Event::of(fate)));
        if self.at.as_ref().is_none_or(|at| !next.is_before(at)) {
            self.former_names.clear();
        }
    }

    fn release_held(&mut self) {
        let held = std::mem::take(&mut self.held);
        if held.dropped > 0 {
            self.events.push_back(Event::Missed(Some(held.dropped)));
        }
        self.events.extend(held.lines.into_iter().map(Event::Plain));
    }
}
