//! Lines of a lost session, until the records of its log have come: a server with a journal loses the session with a
//! crash, but lets a new one read on. Pure.
//!
//! A line whose record is among them was heard. If records are missing there, a line without one may have been heard:
//! it is in doubt. Otherwise it was not, and waits for the connection again. So nothing of the user goes before that.

use std::collections::VecDeque;
use std::time::Instant;

use super::dialect::Position;
use super::lines::{Fate, Origin, OwnLine};
use crate::client::limits::ACK_WAIT;
use crate::relay::command::Command;
use crate::relay::notice::Notice;
use crate::relay::sanitize::sanitize;

/// Lines that the lost session was given, and the names that their records may have.
///
/// Invariant: all are the user's, in the order in which they were sent, and the taken ones come first.
#[derive(Debug)]
pub(super) struct LostLines {
    lines: VecDeque<OwnLine>,
    names: Vec<String>,
    /// A position in the log of the lost session.
    log: Position,
    /// Whether a record or a stamp of that log has come.
    is_within: bool,
    /// Whether a record that is missing may be that of the next line.
    is_gapped: bool,
    /// Whether the server has answered, and said no record since.
    is_quiet: bool,
    /// Time of the last record or answer.
    heard_at: Instant,
}

impl LostLines {
    /// Takes over the lines of a session, and the names that it had. `next` is the position that the new one begins at.
    /// Tells of lines whose records come in no log that is read; `is_moving`: the room was about to change.
    pub(super) fn new(
        sent: VecDeque<OwnLine>,
        names: Vec<String>,
        (next, is_moving): (&Position, bool),
        now: Instant,
        mut tell: impl FnMut(Fate),
    ) -> Option<LostLines> {
        let mut is_elsewhere = false;
        let mut lines = VecDeque::new();
        let mut log = None;
        for line in sent.into_iter().filter(|line| line.origin == Origin::User) {
            let from = line.from.clone()?;
            is_elsewhere |= is_moving && !from.is_comparable(next);
            let is_taken = line.until.is_some();
            if is_elsewhere {
                if !is_taken {
                    tell(Fate::InDoubt(line.id));
                } else if line.said.is_some() {
                    tell(Fate::Unrecorded(line.id));
                }
                continue;
            }
            is_elsewhere = !is_taken && is_join(&line.wire);
            if !is_taken || line.said.is_some() {
                log.get_or_insert(from);
                lines.push_back(line);
            }
        }
        // That of the first line may have been left since.
        let is_in_log = |line: &OwnLine| line.from.as_ref().is_some_and(|from| from.is_comparable(next));
        let log = log.map(|log| if lines.iter().any(is_in_log) { next.clone() } else { log });
        log.map(|log| LostLines {
            lines,
            names,
            log,
            is_within: false,
            is_gapped: false,
            is_quiet: false,
            heard_at: now,
        })
    }

    /// Bytes of the lines, with their newlines.
    pub(super) fn bytes(&self) -> usize {
        self.lines.iter().map(|line| line.wire.len()).sum()
    }

    /// Returns the lines, and the position in their log.
    pub(super) fn positions(&mut self) -> (&mut VecDeque<OwnLine>, &mut Position) {
        (&mut self.lines, &mut self.log)
    }

    /// The number of lines that are not known to be taken.
    pub(super) fn untaken_lines(&self) -> usize {
        self.lines.iter().filter(|line| line.until.is_none()).count()
    }

    /// Records that the next position is this one, and whether records before it are missing. Returns whether all
    /// records of the log have come, up to `at`, where the new session began.
    pub(super) fn on_position(&mut self, next: &Position, at: &Position, is_gapped: bool) -> bool {
        self.is_gapped |= is_gapped;
        if next.is_comparable(at) && !next.is_before(at) {
            return true;
        }
        let is_in_log = next.is_comparable(&self.log);
        let is_over = !is_in_log && (self.is_within || next.is_comparable(at));
        self.is_within |= is_in_log;
        is_over
    }

    /// Takes the text of a record by `name`. Returns the id of its line, and tells of the lines before that one.
    pub(super) fn on_said(&mut self, name: &str, text: &str, at: &Position, mut tell: impl FnMut(Fate)) -> Option<u64> {
        if !at.is_comparable(&self.log) || !self.names.iter().any(|own| own == name) {
            return None;
        }
        let index = self.lines.iter().position(|line| line.is_of(text, at))?;
        let mut id = None;
        for (place, line) in self.lines.drain(..=index).enumerate() {
            id = Some(line.id);
            line.tell_heard(place == index, &mut tell);
        }
        // Behind a gap it may be that of a later line with the same text.
        self.is_gapped &= self.lines.iter().any(|line| line.is_of(text, at));
        id
    }

    /// Follows the names in the log of the lost session. A name that leaves may be another client's from there on.
    pub(super) fn on_notice(&mut self, notice: &Notice<'_>, at: &Position) {
        if !at.is_comparable(&self.log) {
            return;
        }
        match notice {
            Notice::Renamed { from, to } => {
                for name in self.names.iter_mut().filter(|name| name == from) {
                    (*to).clone_into(name);
                }
            }
            Notice::Left { name: left } | Notice::Removed { name: left } => self.names.retain(|name| name != left),
            _ => {}
        }
    }

    /// Records that a record or a stamp has come.
    pub(super) fn on_record(&mut self, now: Instant) {
        (self.is_quiet, self.heard_at) = (false, now);
    }

    /// Records that the server has answered a request. Returns whether no record is owed: a server that owes some says
    /// one between two answers.
    pub(super) fn on_answer(&mut self, now: Instant) -> bool {
        self.heard_at = now;
        std::mem::replace(&mut self.is_quiet, true)
    }

    /// The time at which the client asks whether more records come. The last ones of a log have no mark behind them.
    pub(super) fn ask_at(&self) -> Instant {
        self.heard_at + ACK_WAIT
    }

    /// Returns the lines to be sent again, and tells of the others. `is_in_doubt`: all may have been taken, not only
    /// those whose record may be missing.
    pub(super) fn into_unheard(self, is_in_doubt: bool, mut tell: impl FnMut(Fate)) -> VecDeque<OwnLine> {
        let mut unheard = VecDeque::new();
        for line in self.lines {
            if line.until.is_some() {
                tell(Fate::Unrecorded(line.id));
            } else if is_in_doubt || (self.is_gapped && line.said.is_some()) || acts_once(&line.wire) {
                tell(Fate::InDoubt(line.id));
            } else {
                unheard.push_back(OwnLine { from: None, ..line });
            }
        }
        unheard
    }
}

fn is_join(wire: &str) -> bool {
    let mut buffer = String::new();
    matches!(parse(wire, &mut buffer), Command::Join { .. })
}

/// Whether a command leaves no record, and does something that must not be done twice.
fn acts_once(wire: &str) -> bool {
    let mut buffer = String::new();
    matches!(parse(wire, &mut buffer), Command::Tell { .. })
}

fn parse<'a>(wire: &'a str, buffer: &'a mut String) -> Command<'a> {
    Command::parse(sanitize(wire.trim_end_matches('\n').as_bytes(), buffer))
}
