//! Delivery: a client is sent each item of its room's log once, in order, or it is counted as missed; private lines
//! beside, and `FIN` last.

use pollchat::relay::room::Audience;
use pollchat::server::config::Lag;

use crate::journal::KEPT;
use crate::log::{Kind, Log};
use crate::member::Stay;
use crate::operator::{SAYS, is_removal};
use crate::oracle::{Oracle, between, is_same_name};
use crate::room::Room;
use crate::rule::{Rule, Verdict};
use crate::said::{Asked, is_dangerous};

impl Oracle {
    /// Takes what the hub wrote to a client.
    pub(crate) fn receive(&mut self, member: usize) -> Verdict {
        let written = std::mem::take(&mut self.wires[member].borrow_mut().written);
        if written.is_empty() {
            return self.receive_last_word(member);
        }
        if self.members[member].visit.is_some() {
            return self.receive_at_door(member, &written);
        }
        let mut lines = Vec::new();
        let mut is_hint = self.members[member].hint.is_some();
        let mut rest = &written[..];
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let mut line = std::mem::take(&mut self.members[member].partial);
            line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            // An answer in HTTP is compared as it is.
            is_hint |= str::from_utf8(&line).is_ok_and(|line| self.is_page_hint(member, line));
            if !is_hint {
                self.strip_telnet(member, &mut line)?;
            }
            let Ok(line) = String::from_utf8(line) else { return Rule::Clean.broken("invalid UTF-8") };
            lines.push(line);
        }
        let mut partial = std::mem::take(&mut self.members[member].partial);
        partial.extend_from_slice(rest);
        self.strip_refusals(member, &mut partial);
        self.members[member].partial = partial;
        lines.iter().try_for_each(|line| {
            if line == "FIN" {
                self.judge_fin_line(member)?;
            }
            self.receive_line(member, line).map_err(|violation| violation.about(format!("given {line:?}")))
        })?;
        self.receive_last_word(member)
    }

    /// Removes refusals of telnet options before a line.
    fn strip_refusals(&self, member: usize, line: &mut Vec<u8>) {
        while self.wires[member].borrow().ear.speaks_telnet && matches!(line[..], [0xff, 0xfc | 0xfe, _, ..]) {
            line.drain(..3);
        }
    }

    /// Removes refusals of telnet options before a line, and the CR of its CRLF.
    fn strip_telnet(&self, member: usize, line: &mut Vec<u8>) -> Verdict {
        self.strip_refusals(member, line);
        let wire = self.wires[member].borrow();
        let is_crlf = line.last() == Some(&b'\r');
        if is_crlf && (wire.ear.speaks_telnet || wire.ear.ends_with_return) {
            line.pop();
        }
        let known = &self.members[member];
        let is_present = known.number.is_some() && !wire.ear.is_leaving() && !known.is_kicked;
        // What is sealed stays as it is, even if the peer has not taken it.
        let must_be = wire.ear.speaks_telnet && is_present && wire.sealing.is_none();
        Rule::Crlf.demands(is_crlf || !must_be, || format!("{:?} ends with LF", String::from_utf8_lossy(line)))
    }

    pub(crate) fn receive_line(&mut self, member: usize, line: &str) -> Verdict {
        if self.members[member].hint.is_some() || self.is_page_hint(member, line) {
            return self.receive_hint(member, line);
        }
        if line.chars().any(is_dangerous) {
            return Rule::Clean.broken("a terminal would obey it");
        }
        if self.members[member].has_fin {
            return Rule::Farewell.broken("after FIN");
        }
        if let Some(verdict) = self.receive_at_lock(member, line) {
            return verdict;
        }
        if self.members[member].tracked.is_some() && line != "FIN" {
            return self.receive_tracked(member, line);
        }
        if self.may_be_tracked(member) && line.starts_with("** session ") {
            return self.begin_late(member, line);
        }
        if line.starts_with("@ ") || line.starts_with("** ") {
            return Rule::Plain.broken("it is not tracked");
        }
        if std::mem::take(&mut self.members[member].awaits_kept) {
            return Rule::Greeting.demands(line == KEPT, || "not that the room is kept".to_owned());
        }
        if let Some(expected) = self.members[member].next_greeting() {
            let verdict = if line == expected {
                Ok(())
            } else {
                let rule = if expected.starts_with("* you are in ") { Rule::Place } else { Rule::Greeting };
                rule.broken(format!("not the greeting: {expected:?}"))
            };
            self.members[member].greeted += 1;
            return verdict;
        }
        if line == "FIN" {
            return self.receive_fin(member);
        }
        if self.members[member].number.is_none() {
            self.wires[member].borrow_mut().note_turned_away(line);
            let is_foreign = matches!(self.wires[member].borrow().ear.asked.first(), Some(Asked::Foreign(_)));
            return if is_foreign {
                self.receive_answer(member, line)
            } else {
                Rule::Entering.broken("it did not enter")
            };
        }
        if !self.members[member].stay().is_begun {
            let earlier = between(line, "* ", " earlier line:").or(between(line, "* ", " earlier lines:"));
            let earlier = earlier.and_then(|lines| lines.parse().ok());
            self.begin_stay(member, earlier.unwrap_or(0))?;
            if earlier.is_some() {
                return Ok(());
            }
        }
        let missed = between(line, "* you missed ", " line").or(between(line, "* you missed ", " lines"));
        if let Some(lines) = missed.and_then(|lines| lines.parse().ok()) {
            return self.receive_missed(member, lines);
        }
        self.receive_told_line(member, line)
    }

    /// Whether a plain client has asked to be tracked.
    fn may_be_tracked(&self, member: usize) -> bool {
        self.members[member].number.is_some() && self.wires[member].borrow().ear.is_tracked()
    }

    /// Takes a line that is not owed to a newcomer: of the room, or for it alone.
    pub(crate) fn receive_told_line(&mut self, member: usize, line: &str) -> Verdict {
        if is_removal(line) {
            return self.receive_removal(member, line);
        }
        if line == "* you read too slowly: goodbye" {
            return self.receive_too_slow(member);
        }
        if line.starts_with("* you have said nothing for ") {
            return self.receive_idle(member, line);
        }
        if line.starts_with("* you are banned") {
            return self.receive_banned(member, line);
        }
        if self.members[member].losses.front().is_some_and(|loss| loss == line) {
            self.members[member].losses.pop_front();
            return Ok(());
        }
        if let Some((from, text)) = line.strip_prefix("* ").and_then(|rest| rest.split_once(" tells you: "))
            && !from.contains(' ')
        {
            return self.receive_told(member, from, text);
        }
        match Log::kind(line) {
            Some(Kind::ShuttingDown) if self.hands_over() => self.receive_stop(member),
            _ if self.members[member].is_told_first_name(line) => self.receive_answer(member, line),
            Some(kind) if self.members[member].tracked.is_some() => {
                let is_told = kind == Kind::ShuttingDown && self.is_shutting_down;
                Rule::Track.demands(is_told, || "it is told a line of the room as if for it alone".to_owned())
            }
            Some(Kind::Said) if self.config.audience == Audience::Sender && !line.starts_with(SAYS) => {
                self.receive_answer(member, line)
            }
            Some(_) => self.receive_shared(member, line),
            None => self.receive_answer(member, line),
        }
    }

    /// Finds the place where a member begins that is sent `earlier` lines.
    pub(crate) fn begin_stay(&mut self, member: usize, earlier: usize) -> Verdict {
        let Stay { room, joined, .. } = *self.members[member].stay();
        let Room { log, backlog_bytes, .. } = &self.rooms[room];
        let history = usize::try_from(self.config.history_lines).unwrap_or(usize::MAX);
        let end = log.offset(joined);
        // History is sent from the newer half of the tape: a reader at the tail itself would be overtaken at once.
        let tail = end.saturating_sub(backlog_bytes / 2);
        // The tape finds a checkpoint, not the very place.
        let coarse = (backlog_bytes / 16).clamp(1, 4_096) + self.config.longest_line_bytes();
        let (mut most, mut least, mut start) = (0, 0, joined);
        for at in (0..joined).rev() {
            let item = &log.items[at];
            if item.start < tail || most >= history {
                break;
            }
            if item.kind == Kind::Said {
                most += 1;
                least += usize::from(tail == 0 || item.start >= tail + coarse);
                if most == earlier {
                    start = at;
                }
            }
        }
        if !(least..=most).contains(&earlier) {
            return Rule::Greeting.broken(format!("it is shown {earlier} earlier lines, of {least} to {most}"));
        }
        let stay = self.members[member].stay_mut();
        stay.next = start;
        stay.is_begun = true;
        Ok(())
    }

    fn receive_shared(&mut self, member: usize, line: &str) -> Verdict {
        let stay = self.members[member].stay();
        let log = &self.rooms[stay.room].log;
        let may_skip = stay.missed > 0 || stay.lags;
        let mut passed = 0;
        for at in stay.next..self.stop(stay) {
            let item = &log.items[at];
            if self.is_own(member, stay, at) {
                continue;
            }
            if passed == stay.missed && log.text(at) == line {
                let stay = self.members[member].stay_mut();
                stay.next = at + 1;
                stay.missed = 0;
                return stay.stall.see_given(at);
            }
            match item.kind {
                Kind::Said if passed < stay.missed => passed += 1,
                Kind::Said => break,
                _ if may_skip => {}
                _ => break,
            }
        }
        self.misplaced(member, line)
    }

    /// Fails: `line` is not the next one that a client is to be sent.
    fn misplaced(&self, member: usize, line: &str) -> Verdict {
        let stay = self.members[member].stay();
        let log = &self.rooms[stay.room].log;
        let stop = self.stop(stay);
        let is_ahead = |at: &usize| !self.is_own(member, stay, *at) && log.text(*at) == line;
        let next = (stay.next..stop).find(|&at| !self.is_own(member, stay, at));
        if let (Some(next), Some(at)) = (next, (stay.next..stop).find(is_ahead)) {
            return Rule::Delivery.broken(format!("it is item {at}, and {:?} ({next}) was due", log.text(next)));
        }
        if (stop..log.items.len()).any(|at| log.text(at) == line) {
            return Rule::Border.broken("it was said after it had left");
        }
        let is_in = |room: &&Room| (0..room.log.items.len()).any(|at| room.log.text(at) == line);
        let is_there = |at: &usize| log.text(*at) == line;
        if let Some(room) = self.rooms.iter().find(is_in).filter(|_| !(0..stop).any(|at| is_there(&at))) {
            return Rule::OwnRoom.broken(format!("it is in {}, and hears {}", self.rooms[stay.room].name, room.name));
        }
        Rule::Order.broken(format!("it is none of the items from {} to {stop}", stay.next))
    }

    fn receive_missed(&mut self, member: usize, lines: usize) -> Verdict {
        let may_have_missed = match self.config.lag {
            // A banned member that takes nothing is told at once what it misses by that.
            Lag::Skip => {
                let known = &self.members[member];
                known.is_banned.is_some() || self.is_overtaken(member, known.stay())
            }
            Lag::Disconnect => self.members[member].is_kicked || self.is_overtaken(member, self.members[member].stay()),
            Lag::Wait => self.members[member].is_kicked && self.members[member].stall().may_be_gone(),
        };
        // One that takes nothing is sent no more of the tape once it is removed.
        let may_have_missed = may_have_missed || self.members[member].removal.is_some();
        if lines == 0 || !may_have_missed {
            return Rule::Delivery.broken("it was not overtaken");
        }
        self.members[member].stay_mut().missed += lines;
        let stay = self.members[member].stay();
        let others = self.said_by_others(member, stay);
        if stay.missed > others { Rule::Delivery.broken(format!("there were {others} only")) } else { Ok(()) }
    }

    fn receive_too_slow(&mut self, member: usize) -> Verdict {
        let known = &self.members[member];
        let has_begun_again = known.has_begun_again(&self.wires[member].borrow().ear);
        let may_be_too_slow = match self.config.lag {
            Lag::Skip => false,
            Lag::Disconnect => known.was_overtaken || has_begun_again,
            Lag::Wait => known.stall().may_be_gone() || has_begun_again,
        };
        if !may_be_too_slow {
            return Rule::TooSlow.broken("it was not overtaken, or did not stall");
        }
        let known = &mut self.members[member];
        known.is_kicked = true;
        Ok(())
    }

    fn receive_told(&mut self, member: usize, from: &str, text: &str) -> Verdict {
        let names = &self.members[member].names;
        let Some(told) = self.told.get_mut(text) else { return Rule::Messages.broken("nobody told it") };
        if !names.iter().any(|name| is_same_name(name, &told.to)) {
            return Rule::Messages.broken(format!("it was meant for {:?}", told.to));
        }
        if told.delivered_to.replace(member).is_some() {
            return Rule::Messages.broken("it was told before");
        }
        let is_of_sender = self.members.iter().any(|other| other.names.iter().any(|name| name == from));
        if is_of_sender { Ok(()) } else { Rule::Names.broken("nobody was ever called so") }
    }

    fn receive_fin(&mut self, member: usize) -> Verdict {
        if self.members[member].tracked.is_some() {
            self.end_gap(member)?;
        }
        let known = &mut self.members[member];
        known.has_fin = true;
        if let Some(visit) = &mut known.visit {
            visit.socket.has_fin = true;
        }
        let known = &self.members[member];
        let (is_leaving, has_ended) = {
            let ear = &self.wires[member].borrow().ear;
            (ear.leaves_by_word(), ear.ended.is_some())
        };
        if known.number.is_none() {
            let may_leave = is_leaving || has_ended || self.is_shutting_down || known.is_refused();
            let may_leave = may_leave || known.visit.is_some() || self.may_be_sent_away(member);
            return Rule::Farewell.demands(may_leave, || "it did not leave".to_owned());
        }
        Rule::Border.demands(self.members[member].stays.len() == 1, || "it was not told where it is".to_owned())?;
        let is_tracked = self.members[member].tracked.is_some();
        if !self.members[member].is_greeted() && !self.members[member].is_kicked && !is_tracked {
            // It was shown no earlier lines.
            self.begin_stay(member, 0)?;
        }
        let known = &self.members[member];
        if self.is_owed_hint(member) && !known.is_kicked && !self.is_shutting_down {
            return Rule::Foreign.broken("it was not told where the page is");
        }
        if !(is_leaving || known.is_kicked || self.is_shutting_down) {
            return Rule::Farewell.broken("it did not leave");
        }
        if !known.has_left && !self.is_shutting_down {
            return Rule::Farewell.broken("it has not left the server");
        }
        self.judge_removal_told(member)?;
        self.judge_missed(member)?;
        self.judge_told_of_stop(member)?;
        if !known.is_kicked && !self.is_shutting_down {
            self.all_heard(member)?;
            self.all_answered(member)?;
        }
        Ok(())
    }

    /// Judges that a client was sent all that it is owed, or told that it missed it.
    pub(crate) fn judge_missed(&self, member: usize) -> Verdict {
        let stay = self.members[member].stay();
        if self.members[member].tracked.is_some() {
            let owed = self.stop(stay).saturating_sub(stay.next);
            return Rule::Track.demands(owed == stay.missed && stay.is_begun, || {
                format!("{owed} records are owed from {} on, {} told of", stay.next, stay.missed)
            });
        }
        let others = self.said_by_others(member, stay);
        Rule::Delivery
            .demands(others == stay.missed, || format!("{others} lines are owed or missed, {} told of", stay.missed))
    }
}
