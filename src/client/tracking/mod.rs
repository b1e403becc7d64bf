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
//!
//! A server that was restarted may let a new session read on in the log of the lost one. The records decide which of
//! our lines it has taken: [`lost`] waits for them.

mod chart;
mod dialect;
mod event;
mod held;
mod incoming;
mod lines;
mod lost;
#[cfg(test)]
mod tests;
mod unit;

use std::collections::VecDeque;
use std::time::Instant;

use self::chart::Chart;
pub(crate) use self::dialect::{Position, SESSION_START};
pub(crate) use self::event::{Entered, Event, How, Record};
use self::held::HeldLines;
use self::lines::OwnLines;
pub(crate) use self::lines::Which;
use self::lost::LostLines;
use self::unit::Unit;
use super::limits::{ACK_WAIT, READ_BYTES, TRACK_WAIT, UNSENT_BYTES_MAX};

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
    chart: Chart,
    /// Position of the next record, since the first stamp.
    next: Option<Position>,
    /// Time of the next records, in ms since 1970.
    time_ms: u64,
    /// Records before this one were shown on an earlier connection.
    shown_before: Option<Position>,
    /// Whether the last line was a `** session` line.
    is_after_session: bool,
    unit: Option<Unit>,
    /// Whether the session is another one than that of the last unit.
    is_new_session: bool,
    /// Whether the last `** session` line is of another room than the last unit.
    is_moving: bool,
    name: String,
    /// Our earlier names, until all records before the last `** session` line have come.
    former_names: Vec<String>,
    room: String,
    lines: OwnLines,
    /// Position of the last `** session` line.
    at: Option<Position>,
    /// A position in the log in which the session is: records of other logs tell nothing of it.
    home: Option<Position>,
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
            chart: Chart::default(),
            next: None,
            time_ms: 0,
            shown_before: None,
            is_after_session: false,
            unit: None,
            is_new_session: false,
            is_moving: false,
            name: String::new(),
            former_names: Vec::new(),
            room: String::new(),
            lines: OwnLines::default(),
            at: None,
            home: None,
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
    /// or at once if the client `is_leaving` or has no space for more lines; or no record has come for so long, and it
    /// may decide about a line of a lost session. It must be sent next.
    pub(crate) fn ask_for_ack(&mut self, is_leaving: bool, now: Instant) -> Option<&'static str> {
        if self.stage != Stage::Tracked(None) || self.unit.is_some() {
            return None;
        }
        let is_awaited = self.lines.untaken_since.is_some_and(|since| {
            let is_due = now >= since + ACK_WAIT || is_leaving || self.free_bytes() < READ_BYTES;
            is_due && self.lines.unacknowledged() > 0
        });
        let is_quiet = self.lines.lost.as_ref().is_some_and(|lost| now >= lost.ask_at());
        if !is_awaited && !is_quiet {
            return None;
        }
        self.stage = Stage::Tracked(Some(now));
        Some(TRACK)
    }

    /// The time of the next [`Tracking::ask_for_ack`].
    pub(crate) fn ack_deadline(&self) -> Option<Instant> {
        let taken_at = self.lines.untaken_since.map(|since| since + ACK_WAIT);
        let lost_at = self.lines.lost.as_ref().map(LostLines::ask_at);
        let at = taken_at.into_iter().chain(lost_at).min();
        at.filter(|_| self.stage == Stage::Tracked(None))
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

    /// Whether the user must say nothing: an answer is awaited, it is not known whether the server tracks, or records
    /// decide first which earlier lines are sent again.
    pub(crate) fn holds_lines(&self) -> bool {
        self.holds_requests() || self.lines.lost.is_some()
    }

    /// Whether nothing at all must be said.
    fn holds_requests(&self) -> bool {
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

    /// Forgets the requests for a name that the connection was not given.
    pub(crate) fn forget_nicks(&mut self) {
        self.lines.forget_nicks();
    }

    /// Takes the next line for the connection, if it may be said and has at most `bytes_max` with its newline.
    pub(crate) fn next_line(&mut self, which: Which, bytes_max: usize, now: Instant) -> Option<&str> {
        if self.holds_requests() || self.stage == Stage::Plain {
            return None;
        }
        let which = if self.lines.lost.is_some() { Which::Requests } else { which };
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
}
