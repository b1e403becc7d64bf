//! The tracked dialect of a connection: all of the tape, stamps included, and `** ` before lines for it alone.

use super::{Connection, LineHabit, Phase};
use crate::net::stream::Socket;
use crate::relay::cursor::{Cursor, Dialect, View};
use crate::relay::notice::{Notice, PREFIX};
use crate::relay::tape::{Position, Tape};

impl<S: Socket> Connection<S> {
    /// Whether it is tracked: with a session, or closing after one.
    pub fn is_tracked(&self) -> bool {
        self.habit == LineHabit::Tracked
    }

    /// Returns the way in which it is sent the tape.
    pub fn dialect(&self) -> Dialect {
        if self.is_tracked() { Dialect::Tracked } else { Dialect::Plain }
    }

    /// Returns a tape as this connection sees it.
    pub(super) fn view<'a>(&self, tape: &'a Tape) -> View<'a> {
        View { tape, dialect: self.dialect() }
    }

    /// Lets it be tracked from now on. Its lines end with LF or CRLF, and silence ends none.
    pub fn track(&mut self) {
        self.habit = LineHabit::Tracked;
    }

    /// Returns a member that has said nothing to entering: it is about to resume a session.
    pub fn enter_again(&mut self) {
        debug_assert!(matches!(self.phase, Phase::Present(_)));
        self.phase = Phase::Entering;
        self.cursor = Cursor::at(Position::default(), Dialect::Plain);
        // It was to take a part of the tape that it has left.
        if let Some(busy) = &mut self.busy {
            busy.stall = None;
        }
    }

    /// Lets a member read from `cursor` on, whatever it was still owed.
    pub fn read_from(&mut self, cursor: Cursor) {
        debug_assert!(matches!(self.phase, Phase::Present(_)));
        self.cursor = cursor;
    }

    /// Whether it is to be told which records it missed, before anything else of the tape: the caller knows its
    /// session.
    pub fn awaits_gap_notice(&self) -> bool {
        self.cursor.has_missed() && matches!(self.phase, Phase::Present(_)) && self.is_tracked()
    }

    /// Prepares a reader that missed lines for its next write.
    ///
    /// A plain reader is told how many lines it missed. While its outbox is not empty, it only counts them, so one
    /// notice covers all. A tracked member is told by the hub. A tracked reader that has left would get records without
    /// a position: it gets none of the rest, and counts them as missed, too.
    pub(super) fn tell_missed(&mut self, tape: &Tape) {
        if !self.cursor.has_missed() || self.outbox_bytes() > 0 || self.awaits_gap_notice() {
            return;
        }
        if self.dialect() == Dialect::Tracked {
            self.cursor.skip_missed(self.stop(tape), Dialect::Tracked);
            if let Phase::Moving(_) = self.phase {
                return;
            }
        }
        let lines = self.cursor.take_missed();
        self.tell(&Notice::Missed { lines }.to_line());
    }
}

/// Returns notices for a tracked client: each with a further `*`. Other lines stay as they are.
pub(super) fn private_lines(lines: &str) -> String {
    let mut private = String::with_capacity(lines.len() + 8);
    for line in lines.split_inclusive('\n') {
        if line.starts_with(PREFIX) {
            private.push('*');
        }
        private.push_str(line);
    }
    private
}
