//! Delivery: a client is sent each item of the log once, in order, or it is counted as missed; private lines beside,
//! and `FIN` last.

use pollchat::relay::room::Audience;
use pollchat::server::config::Lag;

use crate::log::{Kind, Log};
use crate::oracle::{Oracle, WITNESS, between, is_same_name};
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
        if member == WITNESS {
            // Private lines overtake those of the tape, by which they are to be understood.
            lines.sort_by_key(|line| (line == "FIN", Log::kind(line).is_none()));
        }
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
        let must_be = wire.ear.speaks_telnet && is_present;
        Rule::Crlf.demands(is_crlf || !must_be, || format!("{:?} ends with LF", String::from_utf8_lossy(line)))
    }

    pub(crate) fn receive_line(&mut self, member: usize, line: &str) -> Verdict {
        if member == WITNESS && (line == "FIN" || Log::kind(line).is_none()) {
            // All lines of the tape came before it.
            self.apply_events(None)?;
        }
        if self.members[member].hint.is_some() || self.is_page_hint(member, line) {
            return self.receive_hint(member, line);
        }
        if line.chars().any(is_dangerous) {
            return Rule::Clean.broken("a terminal would obey it");
        }
        if self.members[member].has_fin {
            return Rule::Farewell.broken("after FIN");
        }
        if let Some(expected) = self.members[member].next_greeting() {
            let verdict = if line == expected {
                Ok(())
            } else {
                Rule::Greeting.broken(format!("not the greeting: {expected:?}"))
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
        if self.members[member].greeted == self.members[member].greeting.len() {
            self.members[member].greeted += 1;
            let earlier = between(line, "* ", " earlier line:").or(between(line, "* ", " earlier lines:"));
            let earlier = earlier.and_then(|lines| lines.parse().ok());
            self.begin(member, earlier.unwrap_or(0))?;
            if earlier.is_some() {
                return Ok(());
            }
        }
        let missed = between(line, "* you missed ", " line").or(between(line, "* you missed ", " lines"));
        if let Some(lines) = missed.and_then(|lines| lines.parse().ok()) {
            return self.receive_missed(member, lines);
        }
        if line == "* you read too slowly: goodbye" {
            return self.receive_too_slow(member);
        }
        if line.starts_with("* you have said nothing for ") {
            return self.receive_idle(member, line);
        }
        if let Some((from, text)) = line.strip_prefix("* ").and_then(|rest| rest.split_once(" tells you: "))
            && !from.contains(' ')
        {
            return self.receive_told(member, from, text);
        }
        match Log::kind(line) {
            _ if self.members[member].is_told_first_name(line) => self.receive_answer(member, line),
            Some(Kind::Said) if self.config.audience == Audience::Sender => self.receive_answer(member, line),
            Some(_) if member == WITNESS => {
                self.witness(line)?;
                self.members[member].next = self.log.items.len();
                Ok(())
            }
            Some(_) => self.receive_shared(member, line),
            None => self.receive_answer(member, line),
        }
    }

    /// Finds the place where a member begins that is sent `earlier` lines.
    fn begin(&mut self, member: usize, earlier: usize) -> Verdict {
        let joined = self.members[member].joined;
        let history = usize::try_from(self.config.history_lines).unwrap_or(usize::MAX);
        let end = self.log.offset(joined);
        // History is sent from the newer half of the tape: a reader at the tail itself would be overtaken at once.
        let tail = end.saturating_sub(self.config.backlog_bytes / 2);
        // The tape finds a checkpoint, not the very place.
        let coarse = (self.config.backlog_bytes / 16).clamp(1, 4_096) + self.config.longest_line_bytes();
        let (mut most, mut least, mut start) = (0, 0, joined);
        for at in (0..joined).rev() {
            let item = &self.log.items[at];
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
        self.members[member].next = start;
        Ok(())
    }

    fn receive_shared(&mut self, member: usize, line: &str) -> Verdict {
        let may_skip = self.members[member].missed > 0 || self.members[member].lags;
        let known = &self.members[member];
        let stop = known.left.unwrap_or(self.log.items.len());
        let mut passed = 0;
        for at in known.next..stop {
            let item = &self.log.items[at];
            if self.is_own(member, item) {
                continue;
            }
            if passed == known.missed && self.log.text(at) == line {
                let known = &mut self.members[member];
                known.next = at + 1;
                known.missed = 0;
                return known.stall.see_given(at);
            }
            match item.kind {
                Kind::Said if passed < known.missed => passed += 1,
                Kind::Said => break,
                _ if may_skip => {}
                _ => break,
            }
        }
        self.misplaced(member, line)
    }

    /// Fails: `line` is not the next one that a client is to be sent.
    fn misplaced(&self, member: usize, line: &str) -> Verdict {
        let known = &self.members[member];
        let stop = known.left.unwrap_or(self.log.items.len());
        let is_ahead = |at: &usize| !self.is_own(member, &self.log.items[*at]) && self.log.text(*at) == line;
        let next = (known.next..stop).find(|&at| !self.is_own(member, &self.log.items[at]));
        match (next, (known.next..stop).find(is_ahead)) {
            (Some(next), Some(at)) => {
                Rule::Delivery.broken(format!("it is item {at}, and {:?} ({next}) was due", self.log.text(next)))
            }
            _ => Rule::Order.broken(format!("it is none of the items from {} to {stop}", known.next)),
        }
    }

    fn receive_missed(&mut self, member: usize, lines: usize) -> Verdict {
        let may_have_missed = match self.config.lag {
            Lag::Skip => self.is_overtaken(member),
            Lag::Disconnect => self.members[member].is_kicked || self.is_overtaken(member),
            Lag::Wait => self.members[member].is_kicked && self.members[member].stall.may_be_gone(),
        };
        if lines == 0 || !may_have_missed {
            return Rule::Delivery.broken("it was not overtaken");
        }
        self.members[member].missed += lines;
        let stop = self.members[member].left.unwrap_or(self.log.items.len());
        let others = self.said_by_others(member, stop);
        if self.members[member].missed > others {
            Rule::Delivery.broken(format!("there were {others} only"))
        } else {
            Ok(())
        }
    }

    fn receive_too_slow(&mut self, member: usize) -> Verdict {
        let may_be_too_slow = match self.config.lag {
            Lag::Skip => false,
            Lag::Disconnect => self.members[member].was_overtaken,
            Lag::Wait => self.members[member].stall.may_be_gone(),
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
            let may_leave =
                is_leaving || has_ended || self.is_shutting_down || known.is_refused() || known.visit.is_some();
            return Rule::Farewell.demands(may_leave, || "it did not leave".to_owned());
        }
        if !self.members[member].is_greeted() && !self.members[member].is_kicked {
            // It was shown no earlier lines.
            self.begin(member, 0)?;
        }
        let known = &self.members[member];
        if self.is_owed_hint(member) && !known.is_kicked && !self.is_shutting_down {
            return Rule::Foreign.broken("it was not told where the page is");
        }
        if !(is_leaving || known.is_kicked || self.is_shutting_down) {
            return Rule::Farewell.broken("it did not leave");
        }
        if known.left.is_none() && !self.is_shutting_down {
            return Rule::Farewell.broken("it has not left the room");
        }
        self.judge_missed(member)?;
        if !known.is_kicked && !self.is_shutting_down {
            self.all_heard(member)?;
            self.all_answered(member)?;
        }
        Ok(())
    }

    /// Judges that a client was sent all that it is owed, or told that it missed it.
    pub(crate) fn judge_missed(&self, member: usize) -> Verdict {
        let known = &self.members[member];
        let others = self.said_by_others(member, known.left.unwrap_or(self.log.items.len()));
        Rule::Delivery
            .demands(others == known.missed, || format!("{others} lines are owed or missed, {} told of", known.missed))
    }
}
