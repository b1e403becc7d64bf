//! The client's own lines in a session: which the server has taken, and which have a record. Pure.

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use super::dialect::{Place, Position};
use super::lost::LostLines;
use crate::relay::command::Command;
use crate::relay::sanitize::sanitize;

/// Lines of the client, from the caller to their records.
///
/// Invariant: `sent` is in the order of the session's numbers, which are consecutive. The taken lines come first.
#[derive(Debug, Default)]
pub(super) struct OwnLines {
    /// Lines that the present connection was not given.
    waiting: VecDeque<OwnLine>,
    /// Lines without a record that a connection was given, and that are taken or may be.
    sent: VecDeque<OwnLine>,
    /// Whether positions of lines may be ahead.
    has_ahead: bool,
    /// Lines of a lost session whose log is read on. Others wait until its end.
    pub(super) lost: Option<LostLines>,
    /// Number of the last line that was given to a connection.
    given: u64,
    /// Bytes of all these lines but the lost ones, with their newlines.
    bytes: usize,
    next_id: u64,
    /// Time since which a sent line is not known to be taken, or of the last one that was.
    pub(super) untaken_since: Option<Instant>,
}

/// A line of the client.
#[derive(Debug)]
pub(super) struct OwnLine {
    pub(super) id: u64,
    /// The line with its newline.
    pub(super) wire: String,
    /// The text of its record, if it has one.
    pub(super) said: Option<Box<str>>,
    pub(super) origin: Origin,
    /// Its record is not before this.
    pub(super) from: Option<Position>,
    /// The server has taken it, and its record is before this.
    pub(super) until: Option<Position>,
}

/// Author of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    User,
    /// The client itself: a request for a room or a name, which the next connection decides anew.
    Client,
}

/// Lines that may go to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// All.
    All,
    /// The requests of the client itself alone: the lines of the user wait for the answer.
    Requests,
}

impl OwnLine {
    /// Whether a record of ours with this text, at this position, may be that of the line. The record of a line that is
    /// taken is not behind `until`: it is missed, and the next line may have the same text.
    pub(super) fn is_of(&self, text: &str, at: &Position) -> bool {
        let is_behind = |until: &Position| until.is_comparable(at) && !at.is_before(until);
        self.said.as_deref() == Some(text)
            && self.from.as_ref().is_none_or(|from| !at.is_before(from))
            && !self.until.as_ref().is_some_and(is_behind)
    }

    /// Whether it was sent in the log of this position.
    fn is_from(&self, at: &Position) -> bool {
        self.from.as_ref().is_some_and(|from| from.is_comparable(at))
    }

    /// Tells that the server has taken the line, because it processes lines in order. Its record `has_come`, or that of
    /// a later line.
    pub(super) fn tell_heard(&self, has_come: bool, tell: &mut impl FnMut(Fate)) {
        if self.origin == Origin::Client {
            return;
        }
        if self.until.is_none() {
            tell(self.taken());
        }
        if !has_come && self.said.is_some() {
            tell(Fate::Unrecorded(self.id));
        }
    }

    /// Whether its record would have come before `next`, or it has none. At a place in another log that is so, unless
    /// its own log is still to be read up to it. It is not if all up to `at`, the present place of the session, is in
    /// the log of `next`.
    fn is_past(&self, next: &Position, at: Option<&Position>) -> bool {
        let is_elsewhere = |until: &Position, at: &Position| at.is_comparable(next) && !at.is_comparable(until);
        let is_left = |until: &Position| until.place().is_some() && at.is_some_and(|at| is_elsewhere(until, at));
        self.until.as_ref().is_some_and(|until| match next.is_comparable(until) {
            true => !next.is_before(until),
            false if until.is_ahead() => false,
            false => self.from.as_ref().is_none_or(|from| !from.is_before(until)) || is_left(until),
        })
    }

    fn taken(&self) -> Fate {
        Fate::Taken { id: self.id, line: self.wire.trim_end_matches('\n').to_owned() }
    }
}

/// Consequence for a line, with its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The server has taken it. The text has no newline.
    Taken { id: u64, line: String },
    /// The session was lost. The server may have taken it or not.
    InDoubt(u64),
    /// It was taken, and its record does not come.
    Unrecorded(u64),
}

impl Fate {
    /// The id of the line.
    pub(super) fn id(&self) -> u64 {
        let (Fate::Taken { id, .. } | Fate::InDoubt(id) | Fate::Unrecorded(id)) = self;
        *id
    }
}

impl OwnLines {
    /// Appends a line of the user, without its newline. Returns its id.
    ///
    /// `/track` is not sent: the server does not count it. The client sends its own.
    pub(super) fn push(&mut self, line: &str) -> Result<u64, Fate> {
        let line = self.line(line, Origin::User);
        if is_track(&line.wire) {
            self.bytes -= line.wire.len();
            return Err(line.taken());
        }
        let id = line.id;
        self.waiting.push_back(line);
        Ok(id)
    }

    /// Puts lines of the client itself, without their newlines, before all others.
    pub(super) fn push_requests(&mut self, requests: &[String]) {
        for request in requests.iter().rev() {
            let line = self.line(request, Origin::Client);
            self.waiting.push_front(line);
        }
    }

    fn line(&mut self, line: &str, origin: Origin) -> OwnLine {
        self.next_id += 1;
        let wire = format!("{line}\n");
        self.bytes += wire.len();
        OwnLine { id: self.next_id, wire, said: said_by(line), origin, from: None, until: None }
    }

    /// Gives the next line to the connection, if it has at most `bytes_max` with its newline. Own records before `at`
    /// are not its record.
    pub(super) fn give(&mut self, which: Which, bytes_max: usize, at: Option<&Position>, now: Instant) -> Option<&str> {
        let is_next =
            |line: &mut OwnLine| line.wire.len() <= bytes_max && (which == Which::All || line.origin == Origin::Client);
        let mut line = self.waiting.pop_front_if(is_next)?;
        line.from = at.cloned();
        self.has_ahead |= at.is_some_and(Position::is_ahead);
        self.given += 1;
        self.untaken_since.get_or_insert(now);
        self.sent.push_back(line);
        self.sent.back().map(|line| line.wire.as_str())
    }

    /// Begins to count at `heard`. Lines that were sent in the session before are lost with it, if its log may be read
    /// on from `place`. Otherwise they are in doubt.
    pub(super) fn on_new_session(
        &mut self,
        heard: u64,
        names: Vec<String>,
        place: Option<(&Position, bool)>,
        now: Instant,
        mut tell: impl FnMut(Fate),
    ) {
        let sent = mem::take(&mut self.sent);
        self.bytes -= sent.iter().map(|line| line.wire.len()).sum::<usize>();
        (self.given, self.untaken_since) = (heard, None);
        if self.lost.is_some() {
            // Nothing of the user was sent since.
            return;
        }
        if let Some(place) = place {
            self.lost = LostLines::new(sent, names, place, now, tell);
            return;
        }
        let untaken = sent.iter().filter(|line| line.until.is_none() && line.origin == Origin::User);
        untaken.for_each(|line| tell(Fate::InDoubt(line.id)));
    }

    /// Ends the wait for records of the lost session. Lines of it that were not heard wait before all others of the
    /// user. `is_in_doubt`: the log is not read on.
    pub(super) fn end_lost(&mut self, is_in_doubt: bool, tell: impl FnMut(Fate)) {
        let Some(lost) = self.lost.take() else { return };
        let requests = self.waiting.iter().take_while(|line| line.origin == Origin::Client).count();
        let behind = self.waiting.split_off(requests);
        for line in lost.into_unheard(is_in_doubt, tell) {
            self.bytes += line.wire.len();
            self.waiting.push_back(line);
        }
        self.waiting.extend(behind);
    }

    /// Takes the number of lines that the server has taken, at this position. `is_entry`: it begins a connection, so
    /// lines beyond that number wait again.
    pub(super) fn on_heard(&mut self, heard: u64, at: &Position, is_entry: bool, now: Instant, tell: impl FnMut(Fate)) {
        let first = self.given.saturating_sub(self.sent.len() as u64);
        let taken = usize::try_from(heard.saturating_sub(first)).unwrap_or(usize::MAX).min(self.sent.len());
        self.has_ahead |= at.is_ahead();
        self.take(taken, at, now, tell);
        let taken = self.sent.len() - self.unacknowledged();
        for line in self.sent.range_mut(taken..) {
            // It will be processed behind this place.
            line.from = Some(at.clone());
        }
        if is_entry {
            self.forget_requests();
            self.wait_again(taken);
            self.given = heard;
            self.untaken_since = None;
        }
    }

    fn take(&mut self, count: usize, at: &Position, now: Instant, mut tell: impl FnMut(Fate)) {
        let mut is_news = false;
        for line in self.sent.range_mut(..count).filter(|line| line.until.is_none()) {
            line.until = Some(at.clone());
            is_news = true;
            if line.origin == Origin::User {
                tell(line.taken());
            }
        }
        if is_news {
            self.untaken_since = (self.unacknowledged() > 0).then_some(now);
        }
    }

    /// Forgets the requests that the last connection was not given.
    fn forget_requests(&mut self) {
        self.forget_waiting(|_| true);
    }

    /// Forgets the requests for a name that the connection was not given.
    pub(super) fn forget_nicks(&mut self) {
        self.forget_waiting(|request| matches!(Command::parse(request.trim_end()), Command::Nick { .. }));
    }

    fn forget_waiting(&mut self, is_forgotten: impl Fn(&str) -> bool) {
        let bytes = &mut self.bytes;
        self.waiting.retain(|line| {
            let is_kept = line.origin == Origin::User || !is_forgotten(&line.wire);
            *bytes -= if is_kept { 0 } else { line.wire.len() };
            is_kept
        });
    }

    /// Puts the sent lines behind the first `kept` before the waiting ones.
    fn wait_again(&mut self, kept: usize) {
        while self.sent.len() > kept {
            let Some(line) = self.sent.pop_back() else { return };
            self.given = self.given.saturating_sub(1);
            match line.origin {
                Origin::User => self.waiting.push_front(OwnLine { from: None, ..line }),
                Origin::Client => self.bytes -= line.wire.len(),
            }
        }
    }

    /// Returns the positions of lines.
    pub(super) fn positions(&mut self) -> impl Iterator<Item = &mut Position> {
        let (lost, log) = self.lost.as_mut().map(LostLines::positions).unzip();
        let lines = self.sent.iter_mut().chain(lost.into_iter().flatten());
        lines.flat_map(|line| line.from.iter_mut().chain(&mut line.until)).chain(log)
    }

    /// Forgets that places are ahead: all records up to the last of them have come, or are missing.
    pub(super) fn forget_ahead(&mut self) {
        if mem::take(&mut self.has_ahead) {
            self.positions().filter(|position| position.is_ahead()).for_each(|ahead| ahead.place = Place::Unknown);
        }
    }

    /// Forgets that places are ahead from which on lines were sent, but for those of the epoch of `at`: their stamps may
    /// be missing.
    pub(super) fn forget_unreached(&mut self, at: Option<&Position>) {
        for from in self.sent.iter_mut().filter_map(|line| line.from.as_mut()) {
            if from.is_ahead() && at.is_none_or(|at| at.epoch != from.epoch) {
                from.place = Place::Unknown;
            }
        }
    }

    /// Forgets taken lines whose record would have come before `next`: they have none, or it is missed.
    pub(super) fn settle(&mut self, next: &Position, at: Option<&Position>, mut tell: impl FnMut(Fate)) {
        while let Some(line) = self.sent.pop_front_if(|line| line.is_past(next, at)) {
            self.bytes -= line.wire.len();
            if line.said.is_some() && line.origin == Origin::User {
                tell(Fate::Unrecorded(line.id));
            }
        }
    }

    /// Takes a record of the client at this position. Returns the id of its line. `is_past`: the position seems to be
    /// in an earlier log, so it is the record of a line alone that was sent in that log.
    pub(super) fn on_record(
        &mut self,
        text: &str,
        at: &Position,
        is_past: bool,
        now: Instant,
        mut tell: impl FnMut(Fate),
    ) -> Option<u64> {
        let index = self.sent.iter().position(|line| line.is_of(text, at) && (!is_past || line.is_from(at)))?;
        let mut id = None;
        for (place, line) in self.sent.drain(..=index).enumerate() {
            self.bytes -= line.wire.len();
            id = Some(line.id);
            line.tell_heard(place == index, &mut tell);
        }
        self.untaken_since = (self.unacknowledged() > 0).then_some(now);
        id
    }

    /// Takes the end of a server that has sent all records: a line without its record was not taken, nor were those
    /// behind it.
    pub(super) fn on_fin(&mut self) {
        if let Some(index) = self.sent.iter().position(|line| line.until.is_none() && line.said.is_some()) {
            self.wait_again(index);
        }
    }

    /// Removes the lines of the user that the present connection was not given. Returns their ids.
    pub(super) fn take_waiting(&mut self) -> Vec<u64> {
        let (taken, kept): (VecDeque<_>, _) =
            mem::take(&mut self.waiting).into_iter().partition(|line| line.origin == Origin::User);
        self.waiting = kept;
        self.bytes -= taken.iter().map(|line| line.wire.len()).sum::<usize>();
        taken.iter().map(|line| line.id).collect()
    }

    /// Removes all lines that are not taken, with their newlines: those that were sent, and those that wait.
    pub(super) fn drain(&mut self) -> (usize, Vec<String>) {
        let in_doubt = self.untaken_lines();
        let waiting = self.waiting.drain(..).filter(|line| line.origin == Origin::User).map(|line| line.wire).collect();
        self.sent.clear();
        self.lost = None;
        (self.bytes, self.untaken_since) = (0, None);
        (in_doubt, waiting)
    }

    /// The number of sent lines that the server is not known to have taken.
    pub(super) fn untaken_lines(&self) -> usize {
        self.unacknowledged() + self.lost.as_ref().map_or(0, LostLines::untaken_lines)
    }

    /// The same number, without the lines of a lost session.
    pub(super) fn unacknowledged(&self) -> usize {
        self.sent.len() - self.sent.partition_point(|line| line.until.is_some())
    }

    /// The number of lines that the present connection was not given.
    pub(super) fn waiting_lines(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of all lines, with their newlines.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.lost.as_ref().map_or(0, LostLines::bytes)
    }
}

/// Whether a pollchat server reads a line as `/track`.
fn is_track(line: &str) -> bool {
    let mut buffer = String::new();
    matches!(Command::parse(sanitize(line.trim_end_matches('\n').as_bytes(), &mut buffer)), Command::Track { .. })
}

/// Returns the text that a pollchat server says for a line.
fn said_by(line: &str) -> Option<Box<str>> {
    let mut buffer = String::new();
    Command::parse(sanitize(line.as_bytes(), &mut buffer)).said().map(|text| text.into_owned().into())
}
