//! The log of a room: all lines of its tape in their order, checked against what the peers sent.

use std::time::Instant;

use pollchat::relay::room::Audience;
use pollchat::server::config::Lag;

use crate::member::Introduction;
use crate::operator::SAYS;
use crate::oracle::Oracle;
use crate::room::{Due, Room};
use crate::rule::{Rule, Verdict, Violation};
use crate::said::{Asked, is_dangerous};

/// The kind of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Said,
    Joined,
    Left,
    Removed,
    Renamed,
    /// A line of an operator, as it is announced. On the tape it is said.
    Announced,
    ShuttingDown,
}

impl Kind {
    /// The rule that such a line breaks if it is missing, or is another.
    pub(crate) fn rule(self) -> Rule {
        match self {
            Kind::Said => Rule::Author,
            Kind::Joined => Rule::Joined,
            Kind::Left => Rule::Left,
            Kind::Removed => Rule::Removed,
            Kind::Announced => Rule::Announced,
            Kind::Renamed | Kind::ShuttingDown => Rule::Names,
        }
    }
}

/// A line of the tape.
#[derive(Debug)]
pub(crate) struct Item {
    /// Its offset on the tape: that of its stamp, if it has one.
    pub(crate) start: usize,
    /// The offset of its line.
    line: usize,
    /// The time in force, in ms since 1970.
    pub(crate) time_ms: u64,
    /// Its author, or the member that it is about.
    pub(crate) by: usize,
    pub(crate) kind: Kind,
}

/// All lines of a tape since the beginning.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// All bytes of the tape.
    text: Vec<u8>,
    /// The end of those that are checked.
    end: usize,
    /// The end of those that readers could be offered in this turn.
    offered: usize,
    pub(crate) items: Vec<Item>,
    /// The number of items that clients said.
    pub(crate) said: u64,
}

impl Log {
    /// Learns what follows on the tape.
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }

    /// Readers are offered all that was heard so far. What comes later in the turn is for the next one.
    pub(crate) fn offer(&mut self) {
        self.offered = self.text.len();
    }

    /// The first item that readers could not be offered.
    pub(crate) fn offered(&self) -> usize {
        self.items.partition_point(|item| item.start < self.offered)
    }

    /// The end of all that was heard.
    pub(crate) fn heard(&self) -> usize {
        self.text.len()
    }

    /// The next record that is not checked.
    pub(crate) fn next(&self) -> Option<&[u8]> {
        self.line_at(self.end + self.stamp().map_or(0, |stamp| stamp.len() + 1))
    }

    /// The stamp before it.
    pub(crate) fn stamp(&self) -> Option<&[u8]> {
        self.line_at(self.end).filter(|line| line.starts_with(b"@"))
    }

    fn line_at(&self, offset: usize) -> Option<&[u8]> {
        let rest = &self.text[offset..];
        rest.iter().position(|&byte| byte == b'\n').map(|len| &rest[..len])
    }

    /// Adds that record, with its stamp.
    fn push(&mut self, by: usize, kind: Kind, time_ms: u64) {
        let line = self.end + self.stamp().map_or(0, |stamp| stamp.len() + 1);
        let bytes = self.next().map_or(0, |line| line.len() + 1);
        self.said += u64::from(kind == Kind::Said);
        self.items.push(Item { start: self.end, line, time_ms, by, kind });
        self.end = line + bytes;
    }

    /// Whether a stamp stands before an item.
    pub(crate) fn is_stamped(&self, item: usize) -> bool {
        self.items.get(item).is_some_and(|item| item.start < item.line)
    }

    /// The line of an item.
    pub(crate) fn text(&self, item: usize) -> &str {
        str::from_utf8(&self.text[self.items[item].line..self.offset(item + 1) - 1]).unwrap_or_default()
    }

    /// Where an item begins, or would begin.
    pub(crate) fn offset(&self, item: usize) -> usize {
        self.items.get(item).map_or(self.end, |item| item.start)
    }

    /// Where the line of an item begins, behind its stamp, or would begin.
    pub(crate) fn line_offset(&self, item: usize) -> usize {
        self.items.get(item).map_or(self.end, |item| item.line)
    }

    /// The end of the tape, as far as it is checked.
    pub(crate) fn end(&self) -> usize {
        self.end
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
            (Some(_), Some("was"), Some("removed"), None, _) => Some(Kind::Removed),
            (Some(_), Some("is"), Some("now"), Some(_), None) => Some(Kind::Renamed),
            _ => None,
        }
    }
}

impl Oracle {
    /// Checks the lines of a tape up to this place.
    pub(crate) fn read_up_to(&mut self, room: usize, offset: usize) -> Verdict {
        while self.rooms[room].log.end() < offset
            && let Some(line) = self.rooms[room].log.next()
        {
            let line = line.to_vec();
            self.judge_stamp(room)?;
            let Ok(line) = String::from_utf8(line) else { return Rule::Clean.broken("invalid UTF-8") };
            let about = |violation: Violation| violation.about(format!("on the tape {line:?}"));
            let is_clean = !line.chars().any(is_dangerous);
            Rule::Clean.demands(is_clean, || "a terminal would obey it".to_owned()).map_err(about)?;
            let (by, kind) = self.read_line(room, &line).map_err(about)?;
            let time_ms = self.rooms[room].stamped_ms.unwrap_or(0);
            self.rooms[room].log.push(by, kind, time_ms);
        }
        let Room { log, .. } = &self.rooms[room];
        let is_last = log.stamp().is_some() && log.next().is_none();
        Rule::Stamps.demands(!is_last, || format!("it is the last of {}", self.rooms[room].name))
    }

    /// Checks one line of a tape.
    fn read_line(&mut self, room: usize, line: &str) -> Result<(usize, Kind), Violation> {
        let Some(kind) = Log::kind(line) else { return Rule::Order.broken("it is not for all") };
        let name = line.trim_start_matches("* ").split(' ').next().unwrap_or_default();
        let due = self.rooms[room].due.take();
        let by = match due {
            Some(due) => self.read_due(room, line, &due)?,
            None => match kind {
                Kind::Joined => self.read_joined(room, name)?,
                Kind::Said if line.starts_with(SAYS) => self.read_announced(room, line, Kind::Announced)?,
                Kind::Said | Kind::Announced => self.read_said(room, line)?,
                Kind::Left | Kind::Removed | Kind::Renamed => self.read_announced(room, line, kind)?,
                Kind::ShuttingDown if self.is_shutting_down && !self.hands_over() => usize::MAX,
                Kind::ShuttingDown => return Rule::Order.broken("it is not"),
            },
        };
        Ok((by, kind))
    }

    /// The next line of the tape is known.
    fn read_due(&mut self, room: usize, line: &str, due: &Due) -> Result<usize, Violation> {
        let is_right = if due.kind == Kind::Said { self.holds(due.by, line) } else { line == due.line };
        if !is_right {
            let rule = match due.kind {
                Kind::Said | Kind::Joined => Rule::Joined,
                kind => kind.rule(),
            };
            return rule.broken(format!("{:?} was due", due.line));
        }
        match due.kind {
            Kind::Said => return self.read_said(room, line),
            Kind::Left | Kind::Removed | Kind::Announced => return self.read_announced(room, line, due.kind),
            Kind::Joined => self.members[due.by].introduction = Introduction::Told,
            Kind::Renamed | Kind::ShuttingDown => {}
        }
        Ok(due.by)
    }

    /// A member is introduced because its time is over, or because it says something: then that follows.
    fn read_joined(&mut self, room: usize, name: &str) -> Result<usize, Violation> {
        let by = self.holder(room, name)?;
        let now = self.now();
        let asked_to_say = self.wires[by].borrow().ear.asked.iter().any(|asked| matches!(asked, Asked::Say(_)));
        let known = &mut self.members[by];
        if known.introduction != Introduction::Pending {
            return Rule::Joined.broken("the room knows it, or was too full for it");
        }
        let present = self.rooms[room].seats.len();
        if present > self.config.announce_up_to {
            return Rule::Joined.broken(format!("{present} are in the room"));
        }
        known.introduction = Introduction::Told;
        let is_time_over = |time: Instant| time <= now;
        // After the wall, a timer of an earlier stay may do it, too.
        let has_waited = self.config.lag == Lag::Wait && known.last_stay().asked.is_some();
        // Or it takes its name from another member, which has just lost it.
        if self.owners.is_taken() {
            return Ok(by);
        }
        if known.introduce_by.is_some_and(is_time_over) || known.is_named_first || has_waited || known.is_resumed {
            return Ok(by);
        }
        if self.config.audience == Audience::Sender {
            return Rule::Joined.demands(asked_to_say, || "it said nothing".to_owned()).map(|()| by);
        }
        self.rooms[room].due = Some(Due { line: format!("{name}> …"), by, kind: Kind::Said });
        Ok(by)
    }

    fn read_said(&mut self, room: usize, line: &str) -> Result<usize, Violation> {
        let Some((name, text)) = line.split_once("> ") else { return Rule::Author.broken("it is nobody's") };
        let by = self.holder(room, name)?;
        let item = self.rooms[room].log.items.len();
        let settled = self.settle_heard(by, |_, asked| match asked {
            Asked::Say(said) if said == text => Some(Ok(())),
            Asked::Say(said) => Some(Rule::Author.broken(format!("{said:?} was said before it"))),
            _ => None,
        });
        let is_of_predecessor = || self.is_of_predecessor(by, text);
        let place = settled.map_err(|seen| if is_of_predecessor() { seen.of(Rule::Elsewhere) } else { seen })?;
        self.members[by].said_at.push((place, room, item));
        self.judge_tagged(text)?;
        self.members[by].has_said = true;
        self.charge(by, self.members[by].heard)?;
        let is_small = self.rooms[room].seats.len() <= self.config.announce_up_to;
        let known = &mut self.members[by];
        if known.introduction == Introduction::Pending {
            if is_small && !known.may_be_untold {
                return Rule::Joined.broken("its author was not announced");
            }
            known.introduction = Introduction::Untold;
        }
        Ok(by)
    }

    /// A member left or lost its name, and the room is told so in its own time.
    fn read_announced(&mut self, room: usize, line: &str, kind: Kind) -> Result<usize, Violation> {
        let rule = kind.rule();
        while let Some(next) = self.rooms[room].announced.pop_front() {
            if next.line == line {
                return Ok(next.by);
            }
            if next.is_sure {
                return next.kind.rule().broken(format!("{:?} was due", next.line));
            }
        }
        rule.broken("the room is not to be told of it")
    }

    /// Whether a line begins with the name of this member.
    fn holds(&self, member: usize, line: &str) -> bool {
        line.split_once("> ").is_some_and(|(name, _)| self.holders.get(name) == Some(&member))
    }

    /// The member that is called so, which has to be in this room.
    fn holder(&self, room: usize, name: &str) -> Result<usize, Violation> {
        match self.holders.get(name) {
            Some(&holder) => {
                let known = &self.members[holder];
                let is_here = known.has_seat_in(room);
                Rule::OwnRoom.demands(is_here, || format!("{name:?} is not in the room")).map(|()| holder)
            }
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
        let rule = if wire.has_ended_untold() { Rule::Untold } else { Rule::Author };
        rule.broken(format!("connection {by} did not ask for it, or not now"))
    }
}
