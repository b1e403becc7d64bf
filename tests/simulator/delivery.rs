//! What one is given: each item of the log once, in order, or counted as missed; private lines beside, and `FIN` last.

use pollchat::relay::room::Audience;
use pollchat::server::config::Lag;

use crate::log::{Kind, Log};
use crate::oracle::{Oracle, Verdict, WITNESS, between, is_same_name};
use crate::said::is_dangerous;

impl Oracle {
    /// Takes what the hub wrote to one.
    pub(crate) fn receive(&mut self, member: usize) -> Verdict {
        let written = std::mem::take(&mut self.wires[member].borrow_mut().written);
        if written.is_empty() {
            return Ok(());
        }
        if self.members[member].visit.is_some() {
            return self.receive_at_door(member, &written);
        }
        let mut lines = Vec::new();
        let mut rest = &written[..];
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let mut line = std::mem::take(&mut self.members[member].partial);
            line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            lines.push(String::from_utf8(line).map_err(|error| format!("invalid UTF-8: {error}"))?);
        }
        self.members[member].partial.extend_from_slice(rest);
        if member == WITNESS {
            // Private lines overtake those of the tape, by which they are to be understood.
            lines.sort_by_key(|line| (line == "FIN", Log::kind(line).is_none()));
        }
        lines
            .iter()
            .try_for_each(|line| self.receive_line(member, line).map_err(|what| format!("given {line:?}: {what}")))
    }

    pub(crate) fn receive_line(&mut self, member: usize, line: &str) -> Verdict {
        if self.members[member].hint.is_some() || self.is_page_hint(member, line) {
            return self.receive_hint(member, line);
        }
        if line.chars().any(is_dangerous) {
            return Err("a terminal would obey it".to_owned());
        }
        if self.members[member].has_fin {
            return Err("after FIN".to_owned());
        }
        if self.is_withheld(member) {
            return Err("it is not to be greeted yet".to_owned());
        }
        if let Some(expected) = self.members[member].next_greeting() {
            let verdict = if line == expected { Ok(()) } else { Err(format!("not the greeting: {expected:?}")) };
            self.members[member].greeted += 1;
            return verdict;
        }
        if line == "FIN" {
            return self.receive_fin(member);
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

    /// Where one begins who is shown `earlier` lines.
    fn begin(&mut self, member: usize, earlier: usize) -> Verdict {
        let joined = self.members[member].joined;
        let history = usize::try_from(self.config.history_lines).unwrap_or(usize::MAX);
        let end = self.log.offset(joined);
        // History is given from the newer half of the tape: who began at the tail itself would be overtaken at once.
        let tail = end.saturating_sub(self.config.backlog_bytes / 2);
        // One who looks back finds a checkpoint, not the very place.
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
            return Err(format!("it is shown {earlier} earlier lines, of {least} to {most}"));
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
                Kind::Said => return Err(format!("{:?} (item {at}) was due", self.log.text(at))),
                _ if may_skip => {}
                _ => return Err(format!("the notice {:?} (item {at}) was due", self.log.text(at))),
            }
        }
        Err(format!("nobody said it, or it was said after {stop}; {passed} were passed"))
    }

    fn receive_missed(&mut self, member: usize, lines: usize) -> Verdict {
        let may_have_missed = match self.config.lag {
            Lag::Skip => self.is_overtaken(member),
            Lag::Disconnect => self.members[member].is_kicked || self.is_overtaken(member),
            Lag::Wait => self.members[member].is_kicked && self.members[member].stall.may_be_gone(),
        };
        if lines == 0 || !may_have_missed {
            return Err("it was not overtaken".to_owned());
        }
        self.members[member].missed += lines;
        let stop = self.members[member].left.unwrap_or(self.log.items.len());
        let others = self.said_by_others(member, stop);
        if self.members[member].missed > others { Err(format!("there were {others} only")) } else { Ok(()) }
    }

    fn receive_too_slow(&mut self, member: usize) -> Verdict {
        let may_be_too_slow = match self.config.lag {
            Lag::Skip => false,
            Lag::Disconnect => self.members[member].was_overtaken,
            Lag::Wait => self.members[member].stall.may_be_gone(),
        };
        if !may_be_too_slow {
            return Err("it was not overtaken, or did not stall".to_owned());
        }
        let known = &mut self.members[member];
        known.is_kicked = true;
        known.let_go_since = known.stall.gone_since();
        Ok(())
    }

    fn receive_told(&mut self, member: usize, from: &str, text: &str) -> Verdict {
        let names = &self.members[member].names;
        let Some(told) = self.told.get_mut(text) else { return Err("nobody told it".to_owned()) };
        if !names.iter().any(|name| is_same_name(name, &told.to)) {
            return Err(format!("it was meant for {:?}", told.to));
        }
        if told.delivered_to.replace(member).is_some() {
            return Err("it was told before".to_owned());
        }
        let is_of_sender = self.members.iter().any(|other| other.names.iter().any(|name| name == from));
        if is_of_sender { Ok(()) } else { Err("nobody was ever called so".to_owned()) }
    }

    fn receive_fin(&mut self, member: usize) -> Verdict {
        let known = &mut self.members[member];
        known.has_fin = true;
        if let Some(visit) = &mut known.visit {
            visit.socket.has_fin = true;
        }
        let known = &self.members[member];
        if known.number.is_none() {
            return Ok(());
        }
        if !self.members[member].is_greeted() && !self.members[member].is_kicked {
            // It was shown no earlier lines.
            self.begin(member, 0)?;
        }
        let known = &self.members[member];
        let is_leaving = self.wires[member].borrow().ear.leaves_by_word();
        if self.is_owed_hint(member) && !known.is_kicked && !self.is_shutting_down {
            return Err("it was not told where the page is".to_owned());
        }
        if !(is_leaving || known.is_kicked || self.is_shutting_down) {
            return Err("it did not leave".to_owned());
        }
        let (floor, ceiling) = match known.left {
            Some(left) => (left, left),
            // Nothing tells when it was let go.
            None if self.is_shutting_down => (known.next, self.log.items.len()),
            None if known.is_kicked => {
                (known.let_go_since.map_or(known.next, |since| since.max(known.next)), self.log.items.len())
            }
            None => (known.left_floor.unwrap_or(known.next), self.log.items.len()),
        };
        let (least, most) = (self.said_by_others(member, floor), self.said_by_others(member, ceiling));
        if !(least..=most).contains(&known.missed) {
            return Err(format!("{least} to {most} lines were owed or missed, {} told of", known.missed));
        }
        if !known.is_kicked && !self.is_shutting_down {
            self.all_heard(member)?;
            self.all_answered(member)?;
        }
        Ok(())
    }
}
