//! Own lines that a tracked connection was given: until their record comes, or until the server has taken them if they
//! have none. Pure.

use std::collections::VecDeque;
use std::time::Instant;

use crate::client::limits::{UNDER_WAY_AFTER, UNRECORDED_AFTER};
use crate::client::outbox::entered::Entered;

/// Lines under way, in the order in which they were given.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    lines: VecDeque<Given>,
}

/// A line under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// Its id in the tracking.
    pub(super) id: u64,
    /// The line as it was entered.
    pub(super) entered: Entered,
    /// The line as the server gets it.
    pub(super) wire: String,
    /// Whether the room is told, so that it has a record.
    pub(super) is_said: bool,
    /// Whether it was shown, although it has no record.
    pub(super) is_shown: bool,
    /// Whether the server has taken it.
    pub(super) is_taken: bool,
    /// Time at which the first connection was given it.
    pub(super) at: Instant,
}

impl Given {
    /// The time from which on it is marked.
    fn late_at(&self) -> Instant {
        self.at + if self.is_said { UNDER_WAY_AFTER } else { UNRECORDED_AFTER }
    }
}

impl UnderWay {
    /// Adds a line.
    pub(super) fn push(&mut self, given: Given) {
        self.lines.push_back(given);
    }

    /// Returns the commands to show now: those before the first line that waits for its record. `is_answered`: a line
    /// came that may answer any of them, so all are shown.
    pub(super) fn commands_to_show(&mut self, is_answered: bool) -> Vec<String> {
        let lines = self.lines.iter_mut().take_while(|line| is_answered || !line.is_said);
        let unshown = lines.filter(|line| !line.is_said && !line.is_shown);
        unshown
            .map(|line| {
                line.is_shown = true;
                line.wire.clone()
            })
            .collect()
    }

    /// Records that the server has taken the line with this id. It was shown, unless it is said.
    pub(super) fn on_taken(&mut self, id: u64) {
        if let Some(line) = self.lines.iter_mut().find(|line| line.id == id) {
            line.is_taken = true;
        }
        self.lines.retain(|line| line.is_said || !line.is_taken);
    }

    /// Whether the line with this id is under way to the room.
    pub(super) fn is_said(&self, id: u64) -> bool {
        self.lines.iter().any(|line| line.id == id && line.is_said)
    }

    /// Removes the line with this id: its fate is known.
    pub(super) fn remove(&mut self, id: u64) -> Option<Given> {
        let index = self.lines.iter().position(|line| line.id == id)?;
        self.lines.remove(index)
    }

    /// The lines that the server is not known to have taken, as it gets them.
    pub(super) fn untaken(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter(|line| !line.is_taken).map(|line| line.wire.as_str())
    }

    /// Removes all lines.
    pub(super) fn drain(&mut self) -> Vec<Given> {
        self.lines.drain(..).collect()
    }

    /// The number of lines that are to be marked.
    pub(super) fn late_lines(&self, now: Instant) -> usize {
        self.lines.iter().filter(|line| line.late_at() <= now).count()
    }

    /// The time at which a further line is to be marked.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        self.lines.iter().map(Given::late_at).filter(|&at| at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn given(id: u64, text: &str, at: Instant) -> Given {
        let is_said = !text.starts_with('/');
        let entered = Entered::line(text.to_owned());
        Given { id, entered, wire: text.to_owned(), is_said, is_shown: false, is_taken: false, at }
    }

    #[test]
    fn a_said_line_is_under_way_until_its_record_and_a_command_until_it_is_taken() {
        let now = Instant::now();
        let mut under_way = UnderWay::default();
        for (id, text) in [(1, "one"), (2, "/who"), (3, "two")] {
            under_way.push(given(id, text, now));
        }
        let late = |under_way: &UnderWay, wait| under_way.late_lines(now + wait);
        assert_eq!(late(&under_way, UNDER_WAY_AFTER - Duration::from_millis(1)), 0);
        assert_eq!(late(&under_way, UNDER_WAY_AFTER), 2);
        assert_eq!(late(&under_way, UNRECORDED_AFTER), 3);
        assert_eq!(under_way.deadline(now), Some(now + UNDER_WAY_AFTER));
        assert_eq!(under_way.deadline(now + UNDER_WAY_AFTER), Some(now + UNRECORDED_AFTER));
        under_way.on_taken(1);
        assert!(under_way.commands_to_show(false).is_empty(), "what was said before it is not shown yet");
        assert_eq!(under_way.commands_to_show(true), ["/who"]);
        assert!(under_way.commands_to_show(true).is_empty(), "once");
        under_way.on_taken(2);
        assert_eq!(late(&under_way, UNRECORDED_AFTER), 2, "the record of the first may still come");
        assert_eq!(under_way.remove(1).map(|line| line.wire).as_deref(), Some("one"));
        assert_eq!(under_way.remove(1), None);
        assert_eq!(under_way.drain().len(), 1);
        assert_eq!(under_way.deadline(now), None);
    }
}
