//! The wait for slow readers (`--lag wait`): how long it lasts, and that no reader loses anything meanwhile.
//!
//! A reader is disconnected if it took neither 64 KiB of what was said nor all that it was owed within the time, and
//! not before; no other reader loses a line. The oracle keeps two places of each reader, at the end of every turn: the
//! first that it may stand at, and the last. For the bytes do not tell whether a line that was begun is on the tape or
//! private.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use pollchat::net::tls::RECORD_TEXT_BYTES;
use pollchat::server::config::{Config, Lag};
use pollchat::server::flow::budget::TurnLimits;
use pollchat::server::hub::Wake;

use crate::member::Stay;
use crate::net::Reset;
use crate::oracle::{Oracle, WITNESS};
use crate::rule::{Rule, Verdict};

/// Bytes that a reader has to take in time, unless it is owed less.
const ENOUGH_BYTES: usize = 64 * 1024;

/// The place of a reader from a time on.
#[derive(Clone, Copy, Debug)]
struct Place {
    time: Instant,
    /// The offsets between which it stood, and the end of what it was owed.
    least: usize,
    most: usize,
    end: usize,
}

/// The wait for one reader.
#[derive(Debug, Default)]
pub(crate) struct Stall {
    places: VecDeque<Place>,
    /// The first item that it is still owed, as far as was looked.
    first: usize,
    /// If it may have been disconnected: the first item that it cannot be sent then, and the end of the log at that
    /// time.
    may_be_gone: Option<(usize, usize)>,
    /// If it must have been: the first item that it is not to be sent any more.
    must_be_gone: Option<usize>,
}

impl Stall {
    /// Whether it may have been disconnected because it stalled.
    pub(crate) fn may_be_gone(&self) -> bool {
        self.may_be_gone.is_some() || self.must_be_gone.is_some()
    }

    /// Whether it must have been.
    pub(crate) fn must_be_gone(&self) -> bool {
        self.must_be_gone.is_some()
    }

    /// Learns that it was given an item of the log.
    pub(crate) fn see_given(&mut self, item: usize) -> Verdict {
        if self.must_be_gone.is_some_and(|limit| item >= limit) {
            return Rule::TooSlow.broken("it had stalled, and was waited for all the same");
        }
        if self.may_be_gone.is_some_and(|(limit, _)| item >= limit) {
            self.may_be_gone = None;
        }
        Ok(())
    }

    /// Learns that it may have been disconnected, now or before.
    fn note_may_be_gone(&mut self, limit: usize, log_end: usize) {
        let (_, since) = self.may_be_gone.unwrap_or((limit, log_end));
        self.may_be_gone = Some((limit, since));
    }

    /// Its place at a time.
    fn place_at(&self, time: Option<Instant>) -> Option<&Place> {
        let after = self.places.partition_point(|place| time.is_some_and(|time| place.time <= time));
        self.places.get(after.checked_sub(1)?)
    }
}

impl Oracle {
    /// Sees, before what happened in a turn is judged, whether a reader may be disconnected in it: it has not moved since
    /// the last turn, which may be long ago.
    pub(crate) fn foresee_stall(&mut self, member: usize, now: Instant) {
        if self.config.lag != Lag::Wait || member == WITNESS || !self.is_waited_for(member) {
            return;
        }
        let stay = self.members[member].last_stay();
        let once = stay.stall.place_at(now.checked_sub(self.config.stall_timeout)).copied();
        let here = stay.stall.places.back().copied();
        let may_be_gone = once.zip(here).is_some_and(|(then, here)| has_taken_too_little(then, here));
        let log_end = self.rooms[stay.room].log.items.len();
        if may_be_gone {
            let limit = self.move_on(member, now);
            self.members[member].last_stay_mut().stall.note_may_be_gone(limit, log_end);
        }
    }

    /// Sees, at the end of a turn, how far a reader has come.
    pub(crate) fn watch_stall(&mut self, member: usize, now: Instant) -> Verdict {
        if self.config.lag != Lag::Wait || member == WITNESS || !self.is_waited_for(member) {
            return Ok(());
        }
        let timeout = self.config.stall_timeout;
        let limit = self.move_on(member, now);
        let stall = self.members[member].stall();
        let Some(&here) = stall.places.back() else { return Ok(()) };
        let taken_at = self.wires[member].borrow().last_written;
        if stall.must_be_gone() {
            return Ok(());
        }
        let is_end_known = self.is_end_known(member) && self.wires[member].borrow().reset == Reset::No;
        let is_owed = is_end_known && here.most < here.end && !stall.may_be_gone();
        let room = &self.rooms[self.members[member].room()];
        if is_owed && room.log.end() - here.most > room.backlog_bytes {
            return Rule::Wall.broken(format!("it is {} bytes behind, and nobody waited", room.log.end() - here.most));
        }
        let once = stall.place_at(now.checked_sub(timeout)).copied();
        let long_ago = stall.place_at(now.checked_sub(3 * timeout)).copied();
        let may_be_gone = once.is_some_and(|then| has_taken_too_little(then, here));
        // When its time began is not known. But if it took nothing, it was before; and if it took little, then its
        // second time is over by now, wherever in the first one it had taken enough (a turn may come late by as much
        // again).
        let took_nothing = once.is_some_and(|then| then.most < then.end) && taken_at + timeout <= now;
        let is_in_time = self.late_at.is_none_or(|late_at| late_at + 3 * timeout <= now);
        let took_little =
            is_in_time && long_ago.is_some_and(|then| here.most < then.end.min(then.least + ENOUGH_BYTES));
        // With small budgets, it may not have been offered anything in all that time. And if more timers are due than
        // fire in a turn, its own may be one of those left.
        let is_offered = self.config.turn == TurnLimits::default() && !self.goes_on();
        let log_end = room.log.items.len();
        let stall = &mut self.members[member].last_stay_mut().stall;
        if may_be_gone {
            stall.note_may_be_gone(limit, log_end);
        }
        if (took_nothing || took_little) && is_end_known && is_offered {
            stall.must_be_gone = Some(limit);
        }
        Ok(())
    }

    /// Sees which rooms wait for a slow reader, so nothing may be put on their tapes.
    pub(crate) fn watch_walls(&mut self) {
        self.for_live(|room| room.is_at_wall = false);
        if self.config.lag != Lag::Wait {
            return;
        }
        for &member in &self.active {
            let known = &self.members[member];
            let room = &self.rooms[known.room()];
            let room_bytes = room.backlog_bytes - self.config.longest_line_bytes();
            let here = known.stall().places.back();
            let wire = self.wires[member].borrow();
            // A client is waited for until the server knows of its reset.
            let is_reached = !wire.is_closed && !wire.is_finished && wire.reset != Reset::Told && wire.is_blocked();
            let begins_again = known.begins_again(&wire.ear);
            let is_behind = |here: &Place| here.least < here.end && room.log.end() - here.least > room_bytes;
            let holds = is_reached
                && !self.is_given_up(member)
                && !known.stall().must_be_gone()
                && here.is_some_and(|here| is_behind(here) || begins_again);
            // A removed member is owed what was said before, unless it took nothing just then.
            let may_hold = is_reached && known.removal.is_some();
            if holds || may_hold {
                self.rooms[known.room()].is_at_wall = true;
            }
        }
    }

    /// Whether the room that a connection is in, or would enter, waits for a slow reader.
    pub(crate) fn is_at_wall(&self, member: usize) -> bool {
        let known = &self.members[member];
        if known.is_entering() {
            // Its first line may bring it into any room.
            return self.live().any(|room| room.is_at_wall);
        }
        self.rooms[known.room()].is_at_wall
    }

    /// Whether the room of a connection may wait for a blocked leaver that was given all: before the end of its tape may
    /// be lines of its own, which the server steps over with the next write.
    pub(crate) fn may_wait_for_leaver(&self, member: usize) -> bool {
        let room = self.members[member].room();
        let room_bytes = self.rooms[room].backlog_bytes.saturating_sub(self.config.longest_line_bytes());
        let is_waited_for = |&other: &usize| {
            let (known, wire) = (&self.members[other], self.wires[other].borrow());
            let is_far = |here: &Place| self.rooms[room].log.end() - here.least > room_bytes;
            let is_leaver = !wire.is_closed && wire.is_blocked() && wire.ear.is_leaving();
            known.room() == room && is_leaver && known.stall().places.back().is_some_and(is_far)
        };
        self.config.lag == Lag::Wait && self.active.iter().any(is_waited_for)
    }

    /// If a reader is behind, the end of its time must wake the hub.
    pub(crate) fn judge_patience(&self, now: Instant, wake: Wake) -> Verdict {
        let latest = now + self.config.stall_timeout;
        let is_late = match wake {
            Wake::Now => false,
            Wake::At(time) => time > latest,
            Wake::OnEvent => true,
        };
        let is_behind = |&&member: &&usize| {
            let known = &self.members[member];
            let is_here = self.is_waited_for(member) && !known.stall().may_be_gone();
            let is_reset = self.wires[member].borrow().reset != Reset::No;
            is_here
                && !is_reset
                && self.is_end_known(member)
                && known.stall().places.back().is_some_and(|here| here.most < here.end)
        };
        match self.active().iter().find(is_behind) {
            Some(&member) if is_late && self.config.lag == Lag::Wait => {
                Rule::Rest.broken(self.about(member, "at rest: it may be behind for ever"))
            }
            _ => Ok(()),
        }
    }

    fn is_waited_for(&self, member: usize) -> bool {
        let known = &self.members[member];
        let wire = self.wires[member].borrow();
        // A reader that was closed in this very turn was waited for up to now; so is one whose reset is not known yet.
        let is_reached = !wire.is_finished && wire.reset != Reset::Told;
        is_reached && known.number.is_some() && !known.has_fin && !self.is_given_up(member)
    }

    /// Whether a reader is owed nothing any more. A client that is disconnected for its silence is still owed what was
    /// said before. So is one that an operator removes, unless it took nothing just then: that is not followed.
    fn is_given_up(&self, member: usize) -> bool {
        let known = &self.members[member];
        known.is_kicked && (known.removal.is_some() || known.idleness.may_be_gone.is_none())
    }

    /// Whether the end of what a reader is owed is known.
    fn is_end_known(&self, member: usize) -> bool {
        let known = &self.members[member];
        let ear = &self.wires[member].borrow().ear;
        // A browser that closes its WebSocket, or a client that turns out to speak HTTP, is owed nothing from then on.
        let forgoes_all = ear.socket_end().is_some() || ear.breaks_rule() || self.speaks_http(member);
        known.number.is_some() && !forgoes_all
    }

    /// Notes the place of a reader. Returns the first item of which it was sent nothing.
    fn move_on(&mut self, member: usize, now: Instant) -> usize {
        let known = &self.members[member];
        let stay = known.last_stay();
        let log = &self.rooms[stay.room].log;
        let stop = self.stop(stay).min(log.offered()).max(stay.next);
        let first = self.first_owed(member, stay, stay.stall.first.max(stay.next), stop);
        let is_greeted = known.is_greeted();
        // How many earlier lines a newcomer is shown is not known at first.
        let last = if is_greeted { first } else { self.first_owed(member, stay, stay.joined.max(first), stop) };
        let mut begun = last;
        if let Some(mut bytes) = self.amid_bytes(member).max(self.sealed_bytes(member)) {
            // All lines of a frame or of a record were begun with it.
            loop {
                let line_bytes = log.offset(begun + 1) - log.line_offset(begun);
                begun = self.first_owed(member, stay, begun + 1, stop);
                bytes = bytes.saturating_sub(line_bytes);
                if bytes == 0 || begun >= stop {
                    break;
                }
            }
        }
        let end = log.offset(stop);
        let (least, most) = (log.offset(first).min(end), log.line_offset(begun).min(end));
        let stall = &mut self.members[member].last_stay_mut().stall;
        if known_place(stall.places.back()) != Some((least, most, end)) {
            stall.places.push_back(Place { time: now, least, most, end });
        }
        if is_greeted {
            stall.first = first;
        }
        let memory = retention(&self.config);
        while stall.places.get(1).is_some_and(|next| next.time + memory <= now) {
            stall.places.pop_front();
        }
        begun
    }

    /// The most bytes of text that a sealed reader may still be sent of a record.
    fn sealed_bytes(&self, member: usize) -> Option<usize> {
        let wire = self.wires[member].borrow();
        let is_amid = wire.sealing.as_ref().is_some_and(|sealing| sealing.is_amid_record() || wire.is_blocked());
        is_amid.then_some(RECORD_TEXT_BYTES)
    }

    fn first_owed(&self, member: usize, stay: &Stay, from: usize, stop: usize) -> usize {
        (from..stop).find(|&at| !self.is_own(member, stay, at)).unwrap_or(stop.max(from))
    }
}

/// Whether a reader may have taken too little since its place was `then`.
fn has_taken_too_little(then: Place, here: Place) -> bool {
    here.least < then.end.min(then.most + ENOUGH_BYTES)
}

fn known_place(place: Option<&Place>) -> Option<(usize, usize, usize)> {
    place.map(|place| (place.least, place.most, place.end))
}

/// The time for which an old place is of account.
fn retention(config: &Config) -> Duration {
    3 * config.stall_timeout
}
