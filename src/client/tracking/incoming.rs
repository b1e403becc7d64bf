//! The lines of the server as changes of the session: its token and position, our name and room, and our lines.

use std::time::Instant;

use super::chart::Way;
use super::dialect::{DialectLine, Position, Session, is_refusal};
use super::event::{Entered, Event, How, Record};
use super::held::HeldLines;
use super::unit::{News, Unit};
use super::{Stage, Tracking};
use crate::client::decoder::ServerLine;
use crate::client::limits::HELD_LINES_BYTES_MAX;
use crate::relay::notice::Notice;

impl Tracking {
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
            DialectLine::Stamp { time_ms, next } => self.on_stamp(time_ms, next, now),
            DialectLine::Fin => {
                self.lines.on_fin();
                if self.unit.is_none() {
                    self.end_lost(false);
                }
                self.events.push_back(Event::Fin);
            }
            DialectLine::Record(line) => self.on_record(line, now),
        }
    }

    fn on_session(&mut self, session: &Session<'_>, now: Instant) {
        let is_entry = matches!(self.stage, Stage::Asked(_));
        let is_answer = matches!(self.stage, Stage::Tracked(Some(_)));
        if self.token.as_deref() != Some(session.token) {
            self.begin_session(session, now);
        }
        let at = self.chart.locate(session.at.clone(), self.home.as_ref());
        let events = &mut self.events;
        let mut tell = |fate| events.push_back(Event::of(fate));
        self.lines.on_heard(session.heard, &at, is_entry, now, &mut tell);
        if let Some(next) = &self.next {
            self.lines.settle(next, Some(&at), &mut tell);
        }
        if is_answer && self.lines.lost.as_mut().is_some_and(|lost| lost.on_answer(now)) {
            self.lines.end_lost(false, &mut tell);
        }
        if self.name != session.name {
            let former = std::mem::replace(&mut self.name, session.name.to_owned());
            self.former_names.push(former);
        }
        let is_elsewhere = self.at.as_ref().is_some_and(|last| !last.is_comparable(&at));
        self.is_moving = !is_entry && (self.is_moving || is_elsewhere);
        self.at = Some(at);
        self.stage = Stage::Tracked(None);
        self.is_after_session = true;
        if is_entry {
            self.unit = Some(Unit { is_entry, is_new_session: self.is_new_session, ..Unit::of_move() });
        }
    }

    /// Begins another session: that of the last connection is lost, or there was none.
    fn begin_session(&mut self, session: &Session<'_>, now: Instant) {
        let mut names = std::mem::take(&mut self.former_names);
        names.push(std::mem::replace(&mut self.name, session.name.to_owned()));
        let place = self.next.as_ref().map(|next| (next, self.is_moving));
        self.home = Some(self.chart.locate(session.at.clone(), Some(&session.at)));
        let events = &mut self.events;
        self.lines.on_new_session(session.heard, names, place, now, |fate| events.push_back(Event::of(fate)));
        self.token = Some(session.token.to_owned());
        self.is_new_session = self.next.is_some();
    }

    fn begin_unit(&mut self, news: News) {
        self.unit.get_or_insert_with(Unit::of_move).news = news;
    }

    fn on_private(&mut self, text: &str, is_after_session: bool) {
        match Notice::parse(text) {
            Notice::Renamed { from, to } if from == self.name => to.clone_into(&mut self.name),
            Notice::NameTakenOver { name } | Notice::NameLost { name, .. } => name.clone_into(&mut self.name),
            _ => {}
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

    fn on_stamp(&mut self, time_ms: u64, next: Position, now: Instant) {
        self.time_ms = time_ms;
        self.is_moving = false;
        if let Some(lost) = &mut self.lines.lost {
            lost.on_record(now);
        }
        let unit = self.unit.take();
        let is_move = unit.as_ref().is_some_and(|unit| !unit.is_entry && unit.news == News::None);
        let before = self.next.take();
        let next = &self.follow(next, before.as_ref(), unit.as_ref());
        // In a history, records come once more.
        let shown =
            self.shown_before.take().filter(|shown| before.as_ref().is_some_and(|before| before.is_before(shown)));
        let repeated = shown.as_ref().zip(before.as_ref()).map_or(0, |(shown, before)| shown.records_since(before));
        let shown = shown.or(before);
        let missed = match unit.as_ref().map(|unit| unit.news) {
            _ if is_move => None,
            Some(News::Missed(records)) => Some(Some(records.saturating_sub(repeated))),
            Some(News::CannotResume) if shown.as_ref().is_some_and(|shown| !shown.is_comparable(next)) => Some(None),
            _ => shown.as_ref().filter(|shown| shown.is_before(next)).map(|shown| Some(next.records_since(shown))),
        };
        let missed = missed.filter(|missed| *missed != Some(0));
        self.shown_before = shown.filter(|shown| !is_move && next.is_before(shown));
        let is_lost = unit.as_ref().is_some_and(Unit::is_fresh_entry);
        if let Some(unit) = unit {
            self.on_unit(unit, missed);
        } else if let Some(missed) = missed {
            self.events.push_back(Event::Missed(missed));
        }
        if is_lost {
            self.end_lost(true);
        }
        self.follow_lost(missed.is_some());
        self.settle();
    }

    /// Enters the position of a stamp in the chart, and those that it makes known. Returns it.
    fn follow(&mut self, next: Position, before: Option<&Position>, unit: Option<&Unit>) -> Position {
        let way = match unit {
            Some(unit) if !unit.is_entry && unit.news == News::None => Way::Moved,
            None => Way::Next,
            Some(unit) => match unit.news {
                News::Resumed => Way::Next,
                News::Missed(records) if !unit.is_new_session => Way::Missed(records),
                News::Missed(_) | News::None | News::CannotResume => Way::Anew,
            },
        };
        let next = self.chart.follow(next, before, self.shown_before.as_ref(), way);
        self.next = Some(next.clone());
        let chart = &self.chart;
        let locate = |position: &mut Position| {
            if position.epoch == next.epoch && position.place().is_none() {
                *position = chart.locate(position.clone(), None);
            }
        };
        self.lines.positions().for_each(locate);
        self.at.iter_mut().chain(&mut self.home).for_each(locate);
        if let Some(unit) = unit {
            self.settle_home(unit, &next);
        }
        next
    }

    /// Takes note of the log in which the session goes on behind a unit.
    fn settle_home(&mut self, unit: &Unit, next: &Position) {
        let is_moved = !unit.is_entry && unit.news == News::None;
        let is_in_log = self.chart.is_shared || !self.is_past(next);
        let is_here = !unit.is_new_session && !is_moved && is_in_log;
        self.home = if is_here { Some(next.clone()) } else { self.at.clone() };
        if unit.news != News::Resumed {
            // The record of a line may be behind a stamp that is missing.
            self.lines.forget_unreached(self.at.as_ref());
        }
    }

    fn on_unit(&mut self, unit: Unit, missed: Option<Option<u64>>) {
        self.is_new_session &= !unit.is_entry;
        if let Some((name, room)) = unit.you_are {
            room.clone_into(&mut self.room);
            let how = match (unit.is_entry, unit.news) {
                (true, News::None) if !unit.is_new_session => How::First,
                (true, News::Resumed | News::Missed(_)) if unit.is_new_session => How::ReadOn,
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
        if let Some(lost) = &mut self.lines.lost {
            lost.on_record(now);
        }
        self.settle();
        let is_shown = self.shown_before.as_ref().is_some_and(|shown| position.is_before(shown));
        if !is_shown {
            self.shown_before = None;
            let own = self.own_record(line, &position, now);
            self.events.push_back(Event::Record(Record {
                line: line.to_owned(),
                position: position.clone(),
                time_ms: self.time_ms,
                own,
                is_past: self.is_past(&position),
            }));
        }
        self.next = Some(position.following());
        self.follow_lost(false);
        self.settle();
    }

    /// Follows our name, and returns the id of our line that a record repeats.
    fn own_record(&mut self, line: &str, position: &Position, now: Instant) -> Option<u64> {
        let is_past = self.is_past(position);
        if let Some(notice) = Notice::in_line(line) {
            if let Some(lost) = &mut self.lines.lost {
                lost.on_notice(&notice, position);
            }
            if let Notice::Renamed { from, to } = notice {
                let is_told = is_past || self.at.as_ref().is_some_and(|at| position.is_before(at));
                if from == self.name && !is_told {
                    to.clone_into(&mut self.name);
                } else if self.former_names.iter().any(|name| name == from) {
                    self.former_names.push(to.to_owned());
                }
            }
            return None;
        }
        let (name, text) = line.split_once("> ")?;
        let events = &mut self.events;
        let mut tell = |fate| events.push_back(Event::of(fate));
        let lost = self.lines.lost.as_mut().and_then(|lost| lost.on_said(name, text, position, &mut tell));
        let is_own = name == self.name || self.former_names.iter().any(|former| former == name);
        if lost.is_some() || !is_own {
            return lost;
        }
        self.lines.on_record(text, position, is_past, now, tell)
    }

    /// Whether a position is in the log of an earlier run: its record is of no line of this session, and older than our
    /// name.
    fn is_past(&self, position: &Position) -> bool {
        self.home.as_ref().is_some_and(|home| !home.is_comparable(position))
    }

    /// Sends lines of a lost session again, or tells of them, once all records that decide have come. `is_gapped`:
    /// records before the present position are missing.
    fn follow_lost(&mut self, is_gapped: bool) {
        let (Some(lost), Some(next), Some(at)) = (&mut self.lines.lost, &self.next, &self.at) else { return };
        if lost.on_position(next, at, is_gapped) {
            self.end_lost(false);
        }
    }

    fn end_lost(&mut self, is_in_doubt: bool) {
        let events = &mut self.events;
        self.lines.end_lost(is_in_doubt, |fate| events.push_back(Event::of(fate)));
    }

    /// Takes note that all records before the present position have come.
    fn settle(&mut self) {
        let (Some(next), at) = (&self.next, self.at.as_ref()) else { return };
        let events = &mut self.events;
        self.lines.settle(next, at, |fate| events.push_back(Event::of(fate)));
        if at.is_none_or(|at| next.has_reached(at)) {
            self.lines.forget_ahead();
            self.lines.settle(next, at, |fate| events.push_back(Event::of(fate)));
            self.former_names.clear();
        }
    }

    /// Whether all records before the place of the last `** session` line have come.
    pub(crate) fn is_up_to_date(&self) -> bool {
        self.next.as_ref().is_some_and(|next| self.at.as_ref().is_none_or(|at| next.has_reached(at)))
    }

    /// Whether a position stands before the place of the last `** session` line.
    pub(crate) fn is_before_session(&self, position: &Position) -> bool {
        self.at.as_ref().is_some_and(|at| position.is_before(at))
    }

    pub(super) fn release_held(&mut self) {
        let held = std::mem::take(&mut self.held);
        if held.dropped > 0 {
            self.events.push_back(Event::Missed(Some(held.dropped)));
        }
        self.events.extend(held.lines.into_iter().map(Event::Plain));
    }
}
