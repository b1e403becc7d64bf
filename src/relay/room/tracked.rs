//! First lines of tracked clients in a room, and behind a gap.

use super::super::cursor::{Cursor, Dialect};
use super::super::notice::Notice;
use super::super::roster::{MemberId, Roster};
use super::super::stamp::RecordId;
use super::super::tape::Position;
use super::{Room, Welcome};

/// The session of a tracked member, as the member is told.
#[derive(Clone, Debug)]
pub struct SessionState {
    /// The secret that resumes it.
    pub token: String,
    /// Lines of the session that the server has taken.
    pub heard: u64,
}

/// The place at which a tracked member begins to read.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// At the history: it enters the server.
    Entering,
    /// At the history, or before it at the place where it entered: it was plain so far, and is sent all again.
    Late {
        /// The offset that it has read to, if it came from another room.
        read_to: Option<u64>,
    },
    /// At the history: it comes from another room.
    Moving,
    /// At the history, because it cannot go on where it was.
    NotResumed,
    /// Where it was, or behind as many records as it missed.
    Resumed {
        /// The place.
        place: Position,
        /// Records that it missed.
        missed: u64,
    },
}

impl Room {
    /// Sets the time of records from now on, in ms since 1970.
    pub fn set_time(&mut self, now_ms: u64) {
        self.tape.set_time(now_ms);
    }

    /// Returns the line about a session.
    pub fn session_line(&self, roster: &Roster, member: MemberId, session: &SessionState) -> String {
        let at = self.tape.record_id(self.tape.end().record).to_string();
        let name = roster.shown(member).to_string();
        Notice::Session { token: &session.token, heard: session.heard, at: &at, name: &name }.to_line()
    }

    /// Returns what a tracked member reads that missed records: one unit, so that a connection that ends within it
    /// counts nothing twice.
    pub fn gap_lines(
        &self,
        roster: &Roster,
        member: MemberId,
        session: &SessionState,
        missed: u64,
        next: Position,
    ) -> String {
        let mut lines = self.session_line(roster, member, session);
        Notice::Missed { lines: missed }.push_line(&mut lines);
        self.push_stamp(next, &mut lines);
        lines
    }

    /// Returns what a tracked member reads first, and its place on the tape.
    pub fn welcome_tracked(&self, roster: &Roster, member: MemberId, session: &SessionState, start: Start) -> Welcome {
        let mut private = self.session_line(roster, member, session);
        match start {
            Start::Entering | Start::Late { .. } => {}
            Start::Moving => self.push_place(roster, &mut private),
            Start::NotResumed => Notice::NotResumed.push_line(&mut private),
            Start::Resumed { missed: 0, .. } => Notice::Resumed.push_line(&mut private),
            Start::Resumed { missed, .. } => Notice::Missed { lines: missed }.push_line(&mut private),
        }
        let name = roster.shown(member).to_string();
        let room = roster.directory().name(self.id).as_str();
        Notice::YouAre { name: &name, room }.push_line(&mut private);
        let place = match start {
            Start::Resumed { place, .. } => place,
            _ => {
                if !matches!(start, Start::Moving) {
                    self.push_greeting(&mut private);
                }
                self.push_kept(roster, &mut private);
                let place = self.start_of(roster, member, start);
                self.push_earlier(place, &mut private);
                place
            }
        };
        self.push_stamp(place, &mut private);
        Welcome { cursor: Cursor::at(place, Dialect::Tracked), private }
    }

    /// Returns where a member begins that does not resume.
    fn start_of(&self, roster: &Roster, member: MemberId, start: Start) -> Position {
        let history = self.tape.back(self.options.history_lines);
        let Start::Late { read_to } = start else { return history };
        let came = read_to.unwrap_or_else(|| self.arrivals.place(roster.number(member)));
        if came >= history.offset {
            return history;
        }
        let oldest = self.oldest_start();
        if came <= oldest.offset { oldest } else { self.tape.position(came) }
    }

    /// Returns the oldest place at which a reader may begin: one at the tail would be overtaken by the next line.
    pub fn oldest_start(&self) -> Position {
        self.tape.first_from(self.tape.end().offset.saturating_sub(self.tape.capacity() as u64 / 2))
    }

    fn push_stamp(&self, place: Position, lines: &mut String) {
        lines.push_str(&self.tape.stamp_at(place).to_string());
        lines.push('\n');
    }

    /// Returns the number of the record in a position that a client gave, if it is of this log or of an earlier one.
    pub fn read_position(&self, position: &str) -> Option<u64> {
        self.tape.number_of(RecordId::parse_any(position)?)
    }
}
