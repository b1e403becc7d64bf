//! The log: all lines of the tape in their order. It is what the witness is sent, checked against what the peers sent.

use std::time::Instant;

use pollchat::relay::room::Audience;

use crate::member::Introduction;
use crate::oracle::Oracle;
use crate::rule::{Rule, Verdict, Violation};
use crate::said::Asked;
use crate::timeline::Due;

/// The kind of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Said,
    Joined,
    Left,
    Renamed,
    ShuttingDown,
}

/// A line of the tape.
#[derive(Debug)]
pub(crate) struct Item {
    /// Its offset on the tape.
    pub(crate) start: usize,
    /// Its author, or the member that it is about.
    pub(crate) by: usize,
    pub(crate) kind: Kind,
}

/// All lines of the tape since the beginning.
#[derive(Debug, Default)]
pub(crate) struct Log {
    text: String,
    pub(crate) items: Vec<Item>,
    /// The number of items that clients said.
    pub(crate) said: u64,
}

impl Log {
    pub(crate) fn push(&mut self, line: &str, by: usize, kind: Kind) {
        self.said += u64::from(kind == Kind::Said);
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

    /// The kind of a line; `None` for a notice that only one client is told.
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
    /// Checks one line that the witness was sent, and adds it to the log.
    pub(crate) fn witness(&mut self, line: &str) -> Verdict {
        self.apply_events(Some(line))?;
        let Some(kind) = Log::kind(line) else { return Rule::Order.broken("it is not for all") };
        let name = line.trim_start_matches("* ").split(' ').next().unwrap_or_default();
        let due = self.due.take();
        let by = match due {
            Some(due) => self.witness_due(line, &due)?,
            None => match kind {
                Kind::Joined => self.witness_joined(name)?,
                Kind::Said => self.witness_said(line)?,
                Kind::Left => self.witness_left(line)?,
                Kind::Renamed => return Rule::Names.broken("nobody took that name"),
                Kind::ShuttingDown if self.is_shutting_down => usize::MAX,
                Kind::ShuttingDown => return Rule::Order.broken("it is not"),
            },
        };
        self.log.push(line, by, kind);
        Ok(())
    }

    /// The next line of the tape is known.
    fn witness_due(&mut self, line: &str, due: &Due) -> Result<usize, Violation> {
        let is_right = if due.kind == Kind::Said { self.holds(due.by, line) } else { line == due.line };
        if !is_right {
            let rule = match due.kind {
                Kind::Said | Kind::Joined => Rule::Joined,
                Kind::Left => Rule::Left,
                Kind::Renamed | Kind::ShuttingDown => Rule::Names,
            };
            return rule.broken(format!("{:?} was due", due.line));
        }
        match due.kind {
            Kind::Said => return self.witness_said(line),
            Kind::Left => return self.witness_left(line),
            Kind::Joined => self.members[due.by].introduction = Introduction::Told,
            Kind::Renamed | Kind::ShuttingDown => {}
        }
        Ok(due.by)
    }

    /// A member is introduced because its time is over, or because it says something: then that follows.
    fn witness_joined(&mut self, name: &str) -> Result<usize, Violation> {
        let by = self.holder(name)?;
        let now = self.now();
        let asked_to_say = self.wires[by].borrow().ear.asked.iter().any(|asked| matches!(asked, Asked::Say(_)));
        let known = &mut self.members[by];
        if known.introduction != Introduction::Pending {
            return Rule::Joined.broken("the room knows it, or was too full for it");
        }
        if self.present > self.config.announce_up_to {
            return Rule::Joined.broken(format!("{} are present", self.present));
        }
        known.introduction = Introduction::Told;
        let is_time_over = |time: Instant| time <= now;
        if known.introduce_by.is_some_and(is_time_over) || known.first_name.is_some() {
            return Ok(by);
        }
        if self.config.audience == Audience::Sender {
            return Rule::Joined.demands(asked_to_say, || "it said nothing".to_owned()).map(|()| by);
        }
        self.due = Some(Due { line: format!("{name}> …"), by, kind: Kind::Said });
        Ok(by)
    }

    fn witness_said(&mut self, line: &str) -> Result<usize, Violation> {
        let Some((name, text)) = line.split_once("> ") else { return Rule::Author.broken("it is nobody's") };
        let by = self.holder(name)?;
        self.settle_heard(by, |_, asked| match asked {
            Asked::Say(said) if said == text => Some(Ok(())),
            Asked::Say(said) => Some(Rule::Author.broken(format!("{said:?} was said before it"))),
            _ => None,
        })?;
        self.charge(by, self.members[by].heard)?;
        let is_small = self.present <= self.config.announce_up_to;
        let known = &mut self.members[by];
        if known.introduction == Introduction::Pending {
            if is_small && !known.may_be_untold {
                return Rule::Joined.broken("its author was not announced");
            }
            known.introduction = Introduction::Untold;
        }
        Ok(by)
    }

    fn witness_left(&mut self, line: &str) -> Result<usize, Violation> {
        match self.departed.pop_front() {
            Some((expected, by)) if expected == line => Ok(by),
            Some((expected, _)) => Rule::Left.broken(format!("{expected:?} was due")),
            None => Rule::Left.broken("no member left of whom the room was told"),
        }
    }

    /// Whether a line begins with the name of this member.
    fn holds(&self, member: usize, line: &str) -> bool {
        line.split_once("> ").is_some_and(|(name, _)| self.holders.get(name) == Some(&member))
    }

    fn holder(&self, name: &str) -> Result<usize, Violation> {
        match self.holders.get(name) {
            Some(&holder) => Ok(holder),
            None => Rule::Author.broken(format!("no member is called {name:?}")),
        }
    }

    /// Goes on through what a client asked for to what `is_it` accepts. What `is_it` passes over put nothing on the
    /// tape.
    pub(crate) fn settle_heard(
        &mut self,
        by: usize,
        is_it: impl Fn(usize, &Asked) -> Option<Verdict>,
    ) -> Result<usize, Violation> {
        let wire = self.wires[by].borrow();
        let known = &mut self.members[by];
        for (place, asked) in wire.ear.asked.iter().enumerate().skip(known.heard) {
            match is_it(place, asked) {
                Some(Ok(())) => {
                    known.heard = place + 1;
                    return Ok(place);
                }
                Some(Err(violation)) => return Err(violation),
                None => {}
            }
        }
        Rule::Author.broken(format!("connection {by} did not ask for it, or not now"))
    }
}
