//! The way in: when a connection enters, and which ones are refused.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pollchat::server::limits::{
    ENTER_DELAY, ENTER_TIMEOUT, ENTERING_PER_ADDRESS, HANDSHAKE_TIME, INTRODUCE_AFTER, INTRODUCE_JOINER_AFTER,
    PASSWORD_TIME,
};

use crate::journal::KEPT;
use crate::member::Member;
use crate::moves::place_line;
use crate::net::{Reset, Wire};
use crate::oracle::Oracle;
use crate::room::LOBBY;
use crate::rule::{Rule, Verdict};
use crate::said::{Asked, Ear};
use crate::setting::REFUSALS_MAX;

/// Turns after its first line in which a connection may still be entering.
const LATE_TURNS_MAX: usize = 2;

/// The time to enter of a connection that has sent no whole line. A browser may have sent a part of a frame.
fn enters_within(ear: &Ear) -> Duration {
    let is_amid = ear.outline.as_ref().is_some_and(|outline| outline.is_amid());
    if ear.has_begun() || is_amid { ENTER_TIMEOUT } else { ENTER_DELAY }
}

impl Oracle {
    /// Learns that the hub is given a connection on the line port. Returns its number among the connections.
    pub(crate) fn admit(&mut self, wire: &Rc<RefCell<Wire>>, now: Instant) -> usize {
        let mut known = Member::new(now);
        let ban = self.ban_notice_at(wire.borrow().address);
        if let Some(notice) = ban {
            known.is_turned_away = true;
            known.is_refused_at_accept = true;
            known.greeting.push(notice);
        } else if self.is_denied(wire) {
            known.is_turned_away = true;
            known.is_refused_at_accept = true;
            known.greeting.push("* connections from your address are not allowed here".to_owned());
        } else if let Some(most) = self.is_crowded_at_accept(wire) {
            known.is_turned_away = true;
            known.is_refused_at_accept = true;
            known.greeting.push(format!("* too many connections from your address (at most {most})"));
        }
        self.add(known, wire)
    }

    /// The number of connections that have not entered that one address may have, if the address of this one has them.
    pub(crate) fn is_crowded_at_accept(&self, wire: &Rc<RefCell<Wire>>) -> Option<usize> {
        let address = wire.borrow().address;
        let is_counted = |&&member: &&usize| {
            let (known, wire) = (&self.members[member], self.wires[member].borrow());
            let is_refused = known.is_refused_at_accept || known.visit.as_ref().is_some_and(|visit| visit.is_refused());
            known.number.is_none() && !is_refused && !wire.is_closed && wire.address == address
        };
        let most = self.config.access.per_address_max.max(ENTERING_PER_ADDRESS);
        let is_limited = self.config.access.per_address_max > 0;
        (is_limited && self.active.iter().filter(is_counted).count() >= most).then_some(most)
    }

    /// Adds a connection.
    pub(crate) fn add(&mut self, known: Member, wire: &Rc<RefCell<Wire>>) -> usize {
        let member = self.members.len();
        self.by_line.insert(usize::from(wire.borrow().port), member);
        self.members.push(known);
        self.wires.push(Rc::clone(wire));
        self.active.push(member);
        member
    }

    /// Whether the address of a connection is denied.
    pub(crate) fn is_denied(&self, wire: &Rc<RefCell<Wire>>) -> bool {
        self.config.access.deny.iter().any(|prefix| prefix.addr() == wire.borrow().address)
    }

    /// Judges whether a connection that was closed at its accept may have been: its address is denied, and as many as
    /// are told that they are refused already.
    pub(crate) fn judge_admission(&mut self, member: usize) -> Verdict {
        if !self.wires[member].borrow().is_closed {
            return Ok(());
        }
        let is_told = |&&other: &&usize| {
            other != member && self.members[other].is_refused() && !self.wires[other].borrow().is_closed
        };
        let refused = self.active.iter().filter(is_told).count();
        self.active.retain(|&active| active != member);
        let is_sealed = self.wires[member].borrow().sealing.is_some();
        let may_be_silent = self.members[member].is_refused() && (refused >= REFUSALS_MAX || is_sealed);
        Rule::Refusals
            .demands(may_be_silent, || format!("it was closed without a word, while {refused} were being refused"))
    }

    /// Judges that a connection enters, or is refused instead: it has sent a line, or its time is
    /// over.
    pub(crate) fn judge_entry(&self, member: usize) -> Verdict {
        let wire = self.wires[member].borrow();
        let known = &self.members[member];
        if !known.is_entering() || wire.is_handshaking() {
            return Rule::Entering.broken("it was not entering");
        }
        self.judge_unlocked(&wire.ear)?;
        match wire.ear.asked.first() {
            Some(Asked::Foreign(protocol)) => Rule::Numbers.broken(format!("it speaks {protocol}, and enters")),
            Some(_) => Ok(()),
            None if wire.ear.ended.is_some() || wire.ear.socket_end().is_some() => {
                let rule = if wire.has_ended_untold() { Rule::Untold } else { Rule::Numbers };
                rule.broken("it is gone, and enters")
            }
            None => {
                let waited = self.now().saturating_duration_since(known.enters_since());
                let delay = if wire.ear.has_begun() { ENTER_TIMEOUT } else { ENTER_DELAY };
                // With the line that opened its lock, or before that.
                let rule = if known.unlocked.is_some() { Rule::Password } else { Rule::Entering };
                rule.demands(waited >= delay, || format!("it enters after {waited:?} without a line"))
            }
        }
    }

    /// Judges, at the end of a turn, that a connection on the line port should not have entered by now.
    pub(crate) fn judge_entering(&mut self, member: usize, now: Instant) -> Verdict {
        let wire = self.wires[member].borrow();
        let known = &self.members[member];
        // A locked connection that leaves does not enter before.
        let has_left = wire.ear.is_locked() && wire.ear.is_leaving();
        if !known.is_entering()
            || has_left
            || wire.is_handshaking()
            || wire.is_closed
            || wire.ear.has_gone()
            || self.is_shutting_down
        {
            return Ok(());
        }
        // While all refusals are taken, it waits for its own, and others may come first. Those that ended in this turn
        // were taken when it was looked at.
        let is_refused = |&&other: &&usize| self.members[other].is_refused();
        let waits_for_refusal = self.active.iter().filter(is_refused).count() >= REFUSALS_MAX;
        let may_be_behind = self.may_be_behind();
        let may_be_sent_away = self.may_be_sent_away(member) && !wire.ear.is_locked();
        let known = &mut self.members[member];
        if waits_for_refusal || may_be_behind || may_be_sent_away {
            (known.overdue, known.late_turns) = (None, 0);
            return Ok(());
        }
        match wire.ear.asked.first() {
            Some(Asked::Foreign(_)) => return Ok(()),
            Some(first) => {
                known.late_turns += 1;
                return Rule::Entering
                    .demands(known.late_turns <= LATE_TURNS_MAX, || format!("it sent {first:?}, and did not enter"));
            }
            None => {}
        }
        let delay = enters_within(&wire.ear);
        if wire.ear.is_locked() {
            drop(wire);
            return self.judge_locked(member, now, delay);
        }
        if now < known.enters_since() + delay || wire.has_input() || !wire.is_drained || wire.reset != Reset::No {
            known.overdue = None;
            return Ok(());
        }
        // Its input may have been unread when its time was over: then it has another delay.
        let overdue = now.saturating_duration_since(*known.overdue.get_or_insert(now));
        Rule::Entering.demands(overdue <= 2 * delay, || format!("it waits to enter, {overdue:?} too long"))
    }

    /// Judges, at the end of a turn, a connection whose TLS handshake is not over.
    pub(crate) fn judge_handshake(&mut self, member: usize, now: Instant) -> Verdict {
        let wire = self.wires[member].borrow();
        let may_be_behind = self.may_be_behind();
        let known = &mut self.members[member];
        let is_over = now >= known.enters_since() + HANDSHAKE_TIME;
        if wire.is_closed {
            known.is_closed = true;
            let has_reason = is_over || wire.reset != Reset::No || self.is_shutting_down;
            return Rule::Handshakes.demands(has_reason, || "it had still time".to_owned());
        }
        if !is_over || may_be_behind || wire.has_input() || !wire.is_drained || wire.reset != Reset::No {
            known.overdue = None;
            return Ok(());
        }
        // Its input may have been unread when its time was over: then it has a little more.
        let overdue = now.saturating_duration_since(*known.overdue.get_or_insert(now));
        Rule::Handshakes.demands(overdue <= 2 * ENTER_DELAY, || format!("it is {overdue:?} over its time"))
    }

    /// The latest time at which the hub must wake for a connection that enters.
    pub(crate) fn enters_by(&self, member: usize, now: Instant) -> Option<Instant> {
        let known = &self.members[member];
        let wire = self.wires[member].borrow();
        let ear = &wire.ear;
        if wire.is_handshaking() && !self.is_shutting_down {
            return Some(now + HANDSHAKE_TIME);
        }
        let is_open = known.is_entering()
            && !wire.has_header()
            && !ear.has_gone()
            && !known.at_door.is_sent_away()
            && ear.asked.is_empty()
            && !self.is_shutting_down;
        let delay = if ear.is_locked() { PASSWORD_TIME } else { enters_within(ear) };
        is_open.then(|| now + delay)
    }

    /// Whether as many clients as may be are in from the address of a connection. Those that go in this turn count,
    /// too.
    pub(crate) fn is_crowded(&self, member: usize) -> bool {
        let most = self.config.access.per_address_max;
        most > 0 && self.present_from_address_of(member) >= most
    }

    /// Whether sessions that went on elsewhere have left the address of a connection more than twice as many as may be.
    pub(crate) fn is_far_over(&self, member: usize) -> bool {
        let most = self.config.access.per_address_max;
        most > 0 && self.present_from_address_of(member) >= 2 * most
    }

    fn present_from_address_of(&self, member: usize) -> usize {
        let address = self.wires[member].borrow().address;
        let is_in =
            |other: &&usize| self.members[**other].number.is_some() && self.wires[**other].borrow().address == address;
        self.active.iter().filter(is_in).count()
    }

    /// Whether there is no free seat.
    pub(crate) fn is_full(&self) -> bool {
        self.config.clients_max.is_some_and(|most| self.present >= most)
    }

    /// Lets a connection enter the server in a room, at the end of its log.
    pub(crate) fn seat(&mut self, member: usize, room: usize) {
        let now = self.now();
        self.present += 1;
        self.numbers += 1;
        let name = format!("client-{}", self.numbers);
        self.holders.insert(name.clone(), member);
        let known = &mut self.members[member];
        known.number = Some(self.numbers);
        known.greeting_at_entry = self.greetings.len() - 1;
        known.greeting.push(format!("* you are {name}; /help lists what you can do"));
        known.greeting.extend(self.config.greeting.lines().map(|line| format!("* {line}")));
        known.names.push(name);
        self.expect_words(member, now);
        let others = self.take_seat(member, room);
        let announces = others < self.config.announce_up_to;
        let known = &mut self.members[member];
        known.introduce_by = announces.then(|| now + INTRODUCE_AFTER);
        if room != LOBBY {
            known.greeting.push(place_line(&self.rooms[room].name, others));
            known.introduce_by = Some(now + INTRODUCE_JOINER_AFTER);
        }
        if self.is_kept(room) {
            self.members[member].greeting.push(KEPT.to_owned());
        }
        *self.members[member].stay_mut() = self.stay_in(room, None);
    }

    /// Learns that a connection that would enter is refused.
    pub(crate) fn refuse(&mut self, member: usize, reason: &str, is_silent: bool) -> Verdict {
        if self.members[member].is_refused() {
            // By its address, at its accept or behind its header.
            self.members[member].is_silenced = is_silent;
            return Ok(());
        }
        if reason.starts_with("banned: ")
            && let Some(notice) = self.members[member].is_banned.clone()
        {
            let known = &mut self.members[member];
            known.greeting.push(notice);
            known.is_turned_away = true;
            known.is_silenced = is_silent;
            return Ok(());
        }
        if self.password.is_some() && reason.contains("password") {
            return self.send_away(member, reason);
        }
        let is_visitor = self.members[member].visit.is_some();
        self.judge_entry(member)?;
        Rule::Seat.demands(!self.is_owner(member), || "it comes back, and is refused".to_owned())?;
        let most = self.config.access.per_address_max;
        let notice = match self.config.clients_max {
            Some(most) if self.is_full() && self.away.is_empty() && reason.starts_with("the server is full") => {
                format!("* the server is full ({most} client{})", if most == 1 { "" } else { "s" })
            }
            _ if self.is_crowded(member) => format!("* too many connections from your address (at most {most})"),
            _ => return Rule::Refusals.broken(format!("it was refused: {reason}")),
        };
        let told = self.active.iter().filter(|&&other| self.members[other].is_refused()).count();
        if is_silent && (is_visitor || told < REFUSALS_MAX) {
            return Rule::Refusals.broken(format!("it was refused without a word, while {told} were being refused"));
        }
        let known = &mut self.members[member];
        known.greeting.push(notice);
        match &mut known.visit {
            Some(visit) => visit.is_refused_inside = true,
            None => known.is_turned_away = true,
        }
        known.is_silenced = is_silent;
        Ok(())
    }
}
