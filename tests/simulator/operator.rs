//! The operator: it removes members, says lines in all rooms and changes the greeting. Its orders come by a chance of
//! their own, so a run without them is what it would be if there were no such thing.
//!
//! An order is carried out between the reads and the writes of a turn, as those of the socket and of the console are.
//! What it causes is placed among the events of that turn, by the offsets of the tapes.

use std::fmt;

use pollchat::relay::order::Row;
use pollchat::server::config::Lag;

use crate::chance::Chance;
use crate::log::Kind;
use crate::oracle::{Oracle, WITNESS, is_same_name};
use crate::room::{Announced, Due};
use crate::roster_log::{Change, Event};
use crate::rule::{Rule, Verdict};
use crate::timeline::Placed;

/// The name of the operator, which begins its lines.
pub(crate) const SAYS: &str = "server> ";

/// The author of an announcement: no member.
pub(crate) const NOBODY: usize = usize::MAX;

const REMOVED: &str = "* you were removed by the operator";

/// The operator of a run.
#[derive(Debug)]
pub(crate) struct OperatorPlan {
    chance: Chance,
    /// It removes a member in one turn of so many, and announces something in one of so many; 0 if never.
    one_kick_in: usize,
    one_announcement_in: usize,
    /// The same of a greeting. Tracked clients are told theirs late, so there is none among them.
    one_greeting_in: usize,
    announced: usize,
}

/// An order.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    Kick { name: String, reason: &'static str },
    Announce { text: String },
    Greet { text: &'static str },
}

/// The order under way, as the oracle knows it.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// The reason for which a member is being removed.
    removing: Option<&'static str>,
    /// The ends of the tapes of all rooms before an announcement.
    ends: Vec<(usize, usize)>,
    /// Members that the order under way removed.
    removed: usize,
    /// The reason for which the member of the event under way was removed.
    pub(crate) reason: Option<&'static str>,
}

/// The operator, for half of the seeds.
pub(crate) fn some_operator(seed: u64, has_tracks: bool) -> Option<OperatorPlan> {
    let mut chance = Chance::new(seed.rotate_left(52) ^ 0x6f72_6465);
    let one_greeting_in = chance.pick(&[0, 50, 500]);
    chance.one_in(2).then(|| OperatorPlan {
        one_kick_in: chance.pick(&[0, 60, 400]),
        one_announcement_in: chance.pick(&[0, 5, 40, 400]),
        one_greeting_in: if has_tracks { 0 } else { one_greeting_in },
        announced: 0,
        chance: chance.fork(),
    })
}

impl OperatorPlan {
    /// The order of this turn.
    pub(crate) fn order(&mut self, oracle: &Oracle) -> Option<Given> {
        let chance = &mut self.chance;
        let mut is_one_in = |times: usize| times > 0 && chance.one_in(times);
        if is_one_in(self.one_announcement_in) {
            self.announced += 1;
            let dots = ".".repeat(self.chance.below(oracle.config.line_bytes_max.saturating_sub(7)));
            return Some(Given::Announce { text: format!("n{}{dots}", self.announced) });
        }
        if is_one_in(self.one_greeting_in) {
            return Some(Given::Greet { text: self.chance.pick(&["", "be kind", "news"]) });
        }
        if !is_one_in(self.one_kick_in) {
            return None;
        }
        let names = oracle.names_present();
        let name = names.get(self.chance.below(names.len().max(1)))?.clone();
        Some(Given::Kick { name, reason: self.chance.pick(&["", "spam", "no  \u{7}spam: ever"]) })
    }
}

/// The words of the order.
impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Given::Kick { name, reason } => write!(f, "kick {name} {reason}"),
            Given::Announce { text } => write!(f, "announce {text}"),
            Given::Greet { text } => write!(f, "greeting {text}"),
        }
    }
}

impl Oracle {
    /// The names of the members that are present or away, but for the witness.
    fn names_present(&self) -> Vec<String> {
        let members = self.active().iter().chain(&self.away).filter(|&&member| member != WITNESS);
        let names = members.filter_map(|&member| {
            let known = &self.members[member];
            (known.is_present() || known.away_until.is_some()).then(|| known.names.last().cloned()).flatten()
        });
        names.collect()
    }

    /// An order is about to be carried out.
    pub(crate) fn begin_order<'a>(&mut self, order: &Given, tapes: impl Iterator<Item = (&'a str, u64)>) {
        self.orders = Orders::default();
        match order {
            Given::Kick { reason, .. } => self.orders.removing = Some(reason),
            Given::Announce { .. } => {
                let ends =
                    tapes.map(|(room, end)| (self.room_called(room), usize::try_from(end).unwrap_or(usize::MAX)));
                self.orders.ends = ends.collect();
            }
            Given::Greet { .. } => {}
        }
    }

    /// Notes an event that the order under way caused. Returns the reason, if it is the end of a member.
    pub(crate) fn note_removal(&mut self, change: &Change) -> Option<&'static str> {
        let reason = self.orders.removing.filter(|_| matches!(change, Change::Leaves | Change::Gone(_)))?;
        self.orders.removed += 1;
        Some(reason)
    }

    /// An order was carried out, with this answer, and all its events are noted.
    pub(crate) fn end_order(&mut self, order: &Given, answer: &Result<Vec<Row>, String>) -> Verdict {
        let Orders { ends, removed, .. } = std::mem::take(&mut self.orders);
        let place = |oracle: &mut Oracle, room: usize, offset: usize, change: Change| {
            let event = Event { line: NOBODY, room: oracle.rooms[room].name.clone(), offset: Some(offset), change };
            oracle.events.push_back(Placed { event, room, to: room, removed: None });
        };
        match (order, answer) {
            (Given::Kick { name, .. }, Ok(rows)) => {
                // It may have changed the case of its name since it was chosen.
                let is_told = matches!(&rows[..], [Row::Removed { removed, .. }] if is_same_name(removed, name));
                Rule::Removed.demands(is_told && removed == 1, || format!("{rows:?}, and {removed} are removed"))
            }
            (Given::Kick { name, .. }, Err(refusal)) => {
                let is_right = removed == 0 && *refusal == format!("nobody here is called {name}");
                Rule::Removed.demands(is_right, || format!("{refusal:?}, and {removed} are removed"))
            }
            (Given::Announce { text }, Ok(_)) => {
                for (room, end) in ends {
                    place(self, room, end, Change::Announces(text.clone()));
                }
                Ok(())
            }
            (Given::Announce { .. }, Err(refusal)) => {
                let may_wait = self.config.lag == Lag::Wait && refusal.contains(" waits for a slow reader");
                Rule::Announced.demands(may_wait, || refusal.clone())
            }
            (Given::Greet { text }, answer) => {
                place(self, crate::room::LOBBY, 0, Change::Greets(text));
                Rule::Greeting.demands(answer.is_ok(), || format!("{answer:?}"))
            }
        }
    }

    /// A room is to say a line of the operator: next, unless it may wait for a slow reader.
    pub(crate) fn expect_announcement(&mut self, room: usize, text: &str) {
        let is_next = self.config.lag != Lag::Wait && self.rooms[room].first_announced().is_none();
        let line = format!("{SAYS}{text}");
        if is_next {
            self.rooms[room].due = Some(Due { line: line.clone(), by: NOBODY, kind: Kind::Announced });
        }
        let announced = Announced { line, by: NOBODY, kind: Kind::Announced, is_sure: true };
        self.rooms[room].announced.push_back(announced);
    }

    /// A member is told that it was removed.
    pub(crate) fn receive_removal(&mut self, member: usize, line: &str) -> Verdict {
        let known = &mut self.members[member];
        let told = known.removal.map(|reason| match &reason.replace('\u{7}', "\u{fffd}")[..] {
            "" => REMOVED.to_owned(),
            reason => format!("{REMOVED}: {reason}"),
        });
        let is_first = !std::mem::replace(&mut known.is_told_removal, true);
        Rule::Removed.demands(told.as_deref() == Some(line) && is_first, || format!("{told:?} was due, once"))
    }

    /// Judges that a member that was removed is told so before its `FIN`.
    pub(crate) fn judge_removal_told(&self, member: usize) -> Verdict {
        let known = &self.members[member];
        Rule::Removed.demands(known.removal.is_none() || known.is_told_removal, || "it is not told so".to_owned())
    }
}

/// Whether a line tells its reader that it was removed.
pub(crate) fn is_removal(line: &str) -> bool {
    line.starts_with(REMOVED)
}
