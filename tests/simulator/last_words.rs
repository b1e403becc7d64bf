//! The last words with `--flush-after`: bare, apart from all else, and the client's own `exit` first.

use std::time::{Duration, Instant};

use pollchat::relay::room::Audience;

use crate::net::Wire;
use crate::oracle::Oracle;
use crate::rule::{Rule, Verdict};
use crate::said::{Asked, Habit};

/// The least pause before each of the last words.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

impl Oracle {
    /// The habit by which a client is told `FIN`; `None` if nothing but a line is right.
    fn habit(&self, member: usize) -> Option<Habit> {
        let ear = &self.wires[member].borrow().ear;
        let is_foreign = matches!(ear.asked.last(), Some(Asked::Foreign(_)));
        let is_line_client = ear.outline.is_none() && !is_foreign && self.config.flush_after.is_some();
        is_line_client.then(|| ear.habit()).filter(|habit| *habit != Habit::Newline)
    }

    /// Whether the server ends the session by itself.
    fn is_sent_away(&self, member: usize) -> bool {
        let known = &self.members[member];
        known.is_kicked || self.is_shutting_down || known.is_refused()
    }

    /// Whether the hub sleeps until the next of its last words is due.
    pub(crate) fn may_pause(&self, member: usize, wire: &Wire, now: Instant, wakes_at: Option<Instant>) -> bool {
        let is_told = self.is_sent_away(member) || (wire.ear.is_leaving() && self.habit(member).is_some());
        let has_pauses = self.config.flush_after.is_some() && wire.ear.outline.is_none();
        has_pauses && is_told && !wire.is_finished && wakes_at.is_some_and(|time| time <= now + PAUSE)
    }

    /// Takes a last word without a newline, if one has come.
    pub(crate) fn receive_last_word(&mut self, member: usize) -> Verdict {
        if self.is_sent_away(member) {
            // What it sends after that does not change how it is told.
            let is_told = self.members[member].partial == b"FIN" && self.wires[member].borrow().is_finished;
            if is_told && self.config.flush_after.is_some() {
                self.members[member].partial.clear();
                return self.receive_line(member, "FIN");
            }
            return Ok(());
        }
        let Some(habit) = self.habit(member) else { return Ok(()) };
        let word = std::mem::take(&mut self.members[member].partial);
        let exit = self.wires[member].borrow().ear.exit.clone();
        let exit = exit.filter(|_| self.config.audience != Audience::Sender);
        let is_exit = exit.as_ref().is_some_and(|exit| *exit == word) && !self.members[member].has_exit;
        if !is_exit && word != b"FIN" {
            self.members[member].partial = word;
            return Ok(());
        }
        let is_apart = {
            let wire = self.wires[member].borrow();
            wire.rests.contains(&(wire.written_bytes - word.len()))
        };
        Rule::LastWords.demands(is_apart, || "not in a write of its own, a pause after the last".to_owned())?;
        if is_exit {
            self.members[member].has_exit = true;
            return Ok(());
        }
        let is_complete = exit.is_none() || self.members[member].has_exit;
        Rule::LastWords.demands(is_complete, || "its own word did not come first".to_owned())?;
        if habit == Habit::Unknown {
            self.members[member].partial = word;
            return Ok(());
        }
        self.receive_line(member, "FIN")
    }

    /// Judges a `FIN` with its newline.
    pub(crate) fn judge_fin_line(&self, member: usize) -> Verdict {
        let is_bare = self.habit(member) == Some(Habit::Silence) && !self.is_sent_away(member);
        Rule::LastWords.demands(!is_bare, || "silence ended its lines, and it compares the word".to_owned())
    }
}
