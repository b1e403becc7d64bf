//! The order of positions of different epochs, as their stamps came. Pure.
//!
//! A log of one server has one epoch until the server is restarted. In a log that several servers share, each second
//! begins an epoch, whose records are counted from 0. So a stamp of another epoch with the number 0 that stands behind
//! a record, and begins no unit, goes on in the log of that record. The chart counts the records of such a log through.

use std::collections::VecDeque;
use std::sync::Arc;

use super::dialect::{Place, Position};

/// Epochs that are known: those of a history, and of the quarter of an hour before it in a busy room.
const EPOCHS_MAX: usize = 1_024;

/// The epochs of which a stamp has come, the latest last.
#[derive(Debug, Default)]
pub(super) struct Chart {
    anchors: VecDeque<Anchor>,
    /// The number of the newest log.
    log: u64,
    /// Whether a log went on in another epoch: several servers share it.
    pub(super) is_shared: bool,
}

/// A record of an epoch whose place in a log is known.
#[derive(Debug)]
struct Anchor {
    epoch: Arc<str>,
    record: u64,
    log: u64,
    number: u64,
}

/// The way from the last record to a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The stamp stands between two records, or behind the same place of the log.
    Next,
    /// So many records between them are missing.
    Missed(u64),
    /// The session begins elsewhere in the room, or in a log that the server read before it was restarted.
    Anew,
    /// The room is another one.
    Moved,
}

impl Anchor {
    fn locate(&self, position: Position) -> Position {
        let number = self.number.saturating_add(position.record).saturating_sub(self.record);
        Position { place: Place::In { log: self.log, number }, ..position }
    }
}

impl Chart {
    /// Returns a position with its place. The server says it before the records that lead there: so it is ahead if its
    /// epoch has no stamp yet. That in which the session began, `home`, may have none: the server was restarted, and
    /// nothing was said since.
    pub(super) fn locate(&self, position: Position, home: Option<&Position>) -> Position {
        match self.find(&position) {
            Some(anchor) => anchor.locate(position),
            None if home.is_some_and(|home| home.epoch == position.epoch) => position,
            None => Position { place: Place::Ahead, ..position },
        }
    }

    /// Returns the position of a stamp with its place, the `way` from that of the next record `before`. Records up to
    /// `shown` were shown: they are of epochs that are known.
    pub(super) fn follow(
        &mut self,
        stamp: Position,
        before: Option<&Position>,
        shown: Option<&Position>,
        way: Way,
    ) -> Position {
        let from = before.and_then(Position::place);
        let is_in = |anchor: &&Anchor| from.is_some_and(|(log, _)| anchor.log == log);
        let known = self.find(&stamp);
        let is_second = stamp.record == 0;
        let place = match (way, from) {
            // Entries of two rooms may have the same id.
            (Way::Moved, _) if known.filter(is_in).is_some() => None,
            (Way::Next, Some(_)) if is_second && known.is_some() && known.filter(is_in).is_none() => from,
            _ if known.is_some() => return self.locate(stamp, None),
            (Way::Next, Some((log, number))) if is_second => {
                let shown = shown.and_then(Position::place).filter(|&(other, _)| other == log);
                Some((log, shown.map_or(number, |(_, shown)| number.max(shown))))
            }
            (Way::Missed(records), Some((log, number))) => Some((log, number.saturating_add(records))),
            _ => None,
        };
        self.is_shared |= place.is_some() && way == Way::Next;
        let (log, number) = place.unwrap_or_else(|| {
            self.log += 1;
            (self.log, stamp.record)
        });
        if self.anchors.len() == EPOCHS_MAX {
            self.anchors.pop_front();
        }
        self.anchors.push_back(Anchor { epoch: stamp.epoch.clone(), record: stamp.record, log, number });
        Position { place: Place::In { log, number }, ..stamp }
    }

    fn find(&self, position: &Position) -> Option<&Anchor> {
        self.anchors.iter().rfind(|anchor| anchor.epoch == position.epoch)
    }
}
