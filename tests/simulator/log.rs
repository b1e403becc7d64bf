//! The list of what was said, in the order that counts: what the witness was given, checked against what was sent.

use pollchat::relay::room::Audience;
use pollchat::server::config::Lag;

use crate::oracle::{Oracle, Verdict, is_same_name};
use crate::said::Asked;

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Said,
    Joined,
    Left,
    Renamed,
    ShuttingDown,
}

/// One line of the tape.
#[derive(Debug)]
pub(crate) struct Item {
    /// Its offset on the tape.
    pub(crate) start: usize,
    /// Whose it is, or whom it is about.
    pub(crate) by: usize,
    pub(crate) kind: Kind,
}

/// All lines of the tape since the beginning.
#[derive(Debug, Default)]
pub(crate) struct Log {
    text: String,
    pub(crate) items: Vec<Item>,
}

impl Log {
    pub(crate) fn push(&mut self, line: &str, by: usize, kind: Kind) {
        self.items.push(Item { start: self.text.len(), by, kind });
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// The line of an item.
    pub(crate) fn text(&self, item: usize) -> &str {
        &self.text[self.items[item].start..self.offset(item + 1) - 1]
    }

    /// Where an item begins, or would begin.
    pub(crate) fn offset(&self, item: usize) -> usize {
        self.items.get(item).map_or(self.text.len(), |item| item.start)
    }

    /// The end of the tape.
    pub(crate) fn end(&self) -> usize {
        self.text.len()
    }

    /// What a line of the tape is; `None` for one that only one client is told.
    pub(crate) fn kind(line: &str) -> Option<Kind> {
        let Some(notice) = line.strip_prefix("* ") else { return Some(Kind::Said) };
        if notice == "the server is shutting down" {
            return Some(Kind::ShuttingDown);
        }
        let mut words = notice.split(' ');
        match (words.next(), words.next(), words.next(), words.next(), words.next()) {
            (Some(_), Some("joined"), None, ..) => Some(Kind::Joined),
            (Some(_), Some("left"), None, ..) => Some(Kind::Left),
            (Some(_), Some("is"), Some("now"), Some(_), None) => Some(Kind::Renamed),
            _ => None,
        }
    }
}

impl Oracle {
    /// Checks one line that the witness was given, and adds it to the log.
    pub(crate) fn witness(&mut self, line: &str) -> Verdict {
        let at = self.log.items.len();
        let kind = Log::kind(line).ok_or("it is not for all")?;
        let (first, rest) = line.trim_start_matches("* ").split_once(' ').unwrap_or((line, ""));
        let by = match kind {
            Kind::Joined => self.witness_join(first, at)?,
            Kind::ShuttingDown if self.is_shutting_down => usize::MAX,
            Kind::ShuttingDown => return Err("it is not".to_owned()),
            Kind::Said => self.witness_said(line, at)?,
            Kind::Left => self.witness_left(first, at)?,
            Kind::Renamed => self.witness_rename(first, rest.trim_start_matches("is now "), at)?,
        };
        self.log.push(line, by, kind);
        Ok(())
    }

    /// Whether some are let go at the end of a turn: then their notices come before those who come in the next one.
    fn lets_go_at_the_end(&self, member: usize) -> bool {
        match self.config.lag {
            Lag::Skip => self.config.idle_timeout.is_some(),
            Lag::Disconnect => self.members[member].was_overtaken || self.config.idle_timeout.is_some(),
            Lag::Wait => true,
        }
    }

    fn witness_join(&mut self, name: &str, at: usize) -> Result<usize, String> {
        let place = self.newcomers.iter().position(|&newcomer| self.members[newcomer].names[0] == name);
        let Some(place) = place.filter(|_| self.config.announce_up_to > 0) else {
            return Err("nobody did, or it is not to be announced".to_owned());
        };
        // Those who came before were not announced.
        for newcomer in self.newcomers.drain(..=place).collect::<Vec<_>>() {
            self.place(newcomer, at);
        }
        self.holders.get(name).copied().ok_or_else(|| "nobody is called so".to_owned())
    }

    fn witness_said(&mut self, line: &str, at: usize) -> Result<usize, String> {
        self.place_newcomers_amid_turn(at);
        let (name, text) = line.split_once("> ").ok_or("it is nobody's")?;
        let by = self.holder(name)?;
        self.settle_heard(by, |_, asked| match asked {
            Asked::Say(said) if said == text => Some(Ok(())),
            Asked::Say(said) => Some(Err(format!("{said:?} was said before it"))),
            _ => None,
        })?;
        self.charge(by, self.members[by].heard)?;
        Ok(by)
    }

    fn witness_rename(&mut self, from: &str, to: &str, at: usize) -> Result<usize, String> {
        self.place_newcomers_amid_turn(at);
        let by = self.holder(from)?;
        let is_silent = self.config.audience == Audience::Sender;
        let answered = self.members[by].answered;
        let place = self.settle_heard(by, |place, asked| match asked {
            // One that was answered already was refused.
            Asked::Nick(name) if name == to && place >= answered => Some(Ok(())),
            Asked::Say(said) if !is_silent => Some(Err(format!("{said:?} was said before it"))),
            _ => None,
        })?;
        self.charge(by, self.members[by].heard)?;
        for (name, &holder) in &self.holders {
            let may_be_gone = self.wires[holder].borrow().ear.is_leaving() || self.may_be_let_go(holder);
            let is_left = self.members[holder].left.is_some();
            if holder != by && is_same_name(name, to) && !is_left && !may_be_gone {
                return Err(format!("connection {holder} is called {name}"));
            }
        }
        let known = &mut self.members[by];
        known.won.push(place);
        known.names.push(to.to_owned());
        self.holders.remove(from);
        self.holders.insert(to.to_owned(), by);
        Ok(by)
    }

    fn witness_left(&mut self, name: &str, at: usize) -> Result<usize, String> {
        let by = self.holder(name)?;
        let has_cause = self.wires[by].borrow().ear.is_leaving();
        if self.may_have_been_let_go(by) {
            // It may have been let go at the end of the last turn: before those who came in this one.
            self.members[by].is_kicked |= !has_cause;
        } else if has_cause {
            self.all_heard(by)?;
        } else {
            return Err("it did not leave".to_owned());
        }
        if !self.lets_go_at_the_end(by) {
            self.place_newcomers_amid_turn(at);
        }
        if self.config.announce_up_to == 0 {
            return Err("it is not to be announced".to_owned());
        }
        self.note_left(by, at);
        Ok(by)
    }

    fn holder(&self, name: &str) -> Result<usize, String> {
        let holder = self.holders.get(name).copied().ok_or_else(|| format!("nobody is called {name:?}"))?;
        match self.members[holder].left {
            Some(left) => Err(format!("{name} left at {left}")),
            None => Ok(holder),
        }
    }

    /// Goes on through what one asked for to what `is_it` accepts; what `is_it` passes over put nothing on the tape.
    fn settle_heard(&mut self, by: usize, is_it: impl Fn(usize, &Asked) -> Option<Verdict>) -> Result<usize, String> {
        let wire = self.wires[by].borrow();
        let known = &mut self.members[by];
        for (place, asked) in wire.ear.asked.iter().enumerate().skip(known.heard) {
            match is_it(place, asked) {
                Some(Ok(())) => {
                    known.heard = place + 1;
                    return Ok(place);
                }
                Some(Err(what)) => return Err(what),
                None => {}
            }
        }
        Err(format!("connection {by} did not ask for it, or not now"))
    }
}
