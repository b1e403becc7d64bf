//! The order of all that happens to the room: the events of the roster, merged with the lines of the tape by their
//! offsets.
//!
//! An event is applied when the log has come to its place, so it is known at each line exactly which members are
//! present and what they are called. An event may demand the next line of the tape: `joined`, `left`, or a new name.

use std::time::Instant;

use pollchat::relay::room::Audience;
use pollchat::server::config::Lag;
use pollchat::server::flow::budget::TurnLimits;
use pollchat::server::hub::Wake;
use pollchat::server::limits::INTRODUCE_AFTER;
use pollchat::server::report::PERIOD;

use crate::frames::Socket;
use crate::log::Kind;
use crate::member::{FirstName, Introduction};
use crate::net::Reset;
use crate::oracle::{Oracle, WITNESS, is_same_name};
use crate::roster_log::{self, Change, Event};
use crate::rule::{Rule, Verdict};
use crate::said::{Asked, is_name, is_reserved};
use crate::setting::ROOM_FOR_ALL;

/// A line that must be the next one of the tape.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) line: String,
    pub(crate) by: usize,
    pub(crate) kind: Kind,
}

impl Oracle {
    /// Takes the events of a turn.
    pub(crate) fn take_events(&mut self) -> Verdict {
        let events = roster_log::take();
        events.iter().try_for_each(|event| self.judge_log(event))?;
        self.events.extend(events);
        self.present_range = (self.present, self.present);
        self.departing.clear();
        Ok(())
    }

    /// Judges that the log shows refusals for the same reason a period apart: their count has a line of its own.
    fn judge_log(&mut self, event: &Event) -> Verdict {
        let Change::Refused { reason, is_logged: true, .. } = &event.change else { return Ok(()) };
        let now = self.now();
        match self.logged.insert(reason.clone(), now) {
            Some(before) if now < before + PERIOD => {
                Rule::Log.broken(format!("{reason:?} was logged twice within {:?}", now - before))
            }
            _ => Ok(()),
        }
    }

    /// Applies the events up to the end of the log; `next` is the line of the tape that follows, if one does.
    pub(crate) fn apply_events(&mut self, next: Option<&str>) -> Verdict {
        let end = self.log.end();
        while let Some(event) = self.events.pop_front_if(|event| event.offset.is_none_or(|offset| offset <= end)) {
            let Some(&member) = self.by_line.get(&event.line) else { continue };
            self.apply_event(member, &event, next).map_err(|violation| violation.about(self.describe(member)))?;
        }
        Ok(())
    }

    fn apply_event(&mut self, member: usize, event: &Event, next: Option<&str>) -> Verdict {
        match &event.change {
            Change::Enters(name) => self.enter(member, name),
            Change::Named(name) => self.name(member, name, next),
            Change::Leaves => self.leave(member),
            Change::Refused { reason, is_silent, .. } => self.refuse(member, reason, *is_silent),
        }
    }

    fn enter(&mut self, member: usize, name: &str) -> Verdict {
        if self.members[member].visit.is_some() {
            self.judge_upgrade(member)?;
        } else {
            self.judge_entry(member)?;
        }
        if self.is_full() || self.is_crowded(member) {
            return Rule::Refusals.broken(format!("{} are present, and it enters as {name}", self.present));
        }
        Rule::Numbers.demands(name == format!("client-{}", self.numbers + 1), || format!("it enters as {name}"))?;
        self.seat(member);
        let now = self.now();
        if let Some(visit) = &mut self.members[member].visit {
            visit.socket = Socket::new(now);
        }
        Ok(())
    }

    /// A client takes a name. The room is told `joined` if it is the client's first sign, and else the new name.
    fn name(&mut self, member: usize, name: &str, next: Option<&str>) -> Verdict {
        self.judge_present(member)?;
        let answered = self.members[member].answered;
        let is_silent = self.config.audience == Audience::Sender;
        let place = self.settle_heard(member, |place, asked| match asked {
            // A request that was answered already was refused.
            Asked::Nick(asked) if asked == name && place >= answered => Some(Ok(())),
            Asked::Say(said) if !is_silent => Some(Rule::Author.broken(format!("{said:?} was said before {name}"))),
            _ => None,
        })?;
        self.charge(member, self.members[member].heard)?;
        if let Some((held, &holder)) =
            self.holders.iter().find(|&(held, &holder)| holder != member && is_same_name(held, name))
        {
            return Rule::Names.broken(format!("it is called {name}, and connection {holder} is called {held}"));
        }
        Rule::Names.demands(is_name(name) && !is_reserved(name), || format!("it is called {name}"))?;
        let announces = self.present <= self.config.announce_up_to;
        let may_have_spoken = self.may_have_spoken_untold(member);
        let known = &mut self.members[member];
        let from = known.names.last().cloned().unwrap_or_default();
        let renamed = format!("* {from} is now {name}");
        known.won.push(place);
        known.names.push(name.to_owned());
        self.holders.remove(&from);
        self.holders.insert(name.to_owned(), member);
        known.may_be_untold |= may_have_spoken;
        let is_introduced =
            known.introduction != Introduction::Pending || (known.may_be_untold && next == Some(&*renamed));
        if is_introduced {
            self.due = Some(Due { line: renamed, by: member, kind: Kind::Renamed });
            return Ok(());
        }
        known.first_name = Some(FirstName { place, line: renamed });
        if announces && !known.may_be_untold {
            self.due = Some(Due { line: format!("* {name} joined"), by: member, kind: Kind::Joined });
        } else if !announces {
            known.introduction = Introduction::Untold;
        }
        Ok(())
    }

    fn leave(&mut self, member: usize) -> Verdict {
        self.judge_present(member)?;
        self.count_present(self.present - 1);
        self.departing.push(member);
        let known = &mut self.members[member];
        known.left = Some(self.log.items.len());
        let name = known.names.last().cloned().unwrap_or_default();
        self.holders.remove(&name);
        if member == WITNESS || self.members[member].introduction != Introduction::Told {
            return Ok(());
        }
        let line = format!("* {name} left");
        if self.config.lag != Lag::Wait {
            self.due = Some(Due { line: line.clone(), by: member, kind: Kind::Left });
        }
        self.departed.push_back((line, member));
        Ok(())
    }

    fn judge_present(&self, member: usize) -> Verdict {
        Rule::Entering.demands(self.members[member].is_present(), || "it is not in the room".to_owned())
    }

    /// Judges that every member that went in this turn had a cause, when all is known that may be one.
    pub(crate) fn judge_departing(&mut self) -> Verdict {
        for member in std::mem::take(&mut self.departing) {
            let has_cause = self.wires[member].borrow().ear.is_leaving();
            let verdict = if self.may_have_been_disconnected(member) {
                self.members[member].is_kicked |= !has_cause;
                Ok(())
            } else if has_cause {
                self.all_heard(member)
            } else {
                Rule::Reason.broken("it did not leave, and is gone")
            };
            verdict.map_err(|violation| violation.about(self.describe(member)))?;
        }
        Ok(())
    }

    /// Judges, at the end of a turn, that the room was told of all that it had to be told of.
    pub(crate) fn judge_introductions(&mut self, now: Instant, was_at_wall: bool) -> Verdict {
        if let Some(due) = self.due.as_ref().filter(|due| due.kind != Kind::Left) {
            let rule = if due.kind == Kind::Renamed { Rule::Names } else { Rule::Joined };
            return rule.broken(format!("{:?} is missing on the tape", due.line));
        }
        let (least, most) = self.present_range;
        let may_be_behind = self.may_be_behind();
        // Small budgets also make the room wait for readers that were not written to.
        let has_small_budgets = self.config.turn != TurnLimits::default();
        let may_wait_unseen = has_small_budgets && self.config.lag == Lag::Wait;
        for at in 0..self.active.len() {
            let member = self.active[at];
            let may_have_spoken = self.may_have_spoken_untold(member);
            let known = &mut self.members[member];
            let is_due = known.is_present() && known.introduce_by.is_some_and(|time| time <= now);
            if !is_due || known.introduction != Introduction::Pending || self.is_shutting_down {
                continue;
            }
            if member == WITNESS {
                // The one line that the witness is not sent.
                known.introduction = Introduction::Told;
                self.log.push("* client-1 joined", WITNESS, Kind::Joined);
            } else if was_at_wall && has_small_budgets || may_wait_unseen && least > self.config.announce_up_to {
                // Its timer may fire now, or may have fired at the wall and fire again.
                known.may_be_untold = true;
            } else if was_at_wall {
                // The announcement may have to wait.
                known.may_be_untold |= most > self.config.announce_up_to;
                known.introduce_by = Some(now + INTRODUCE_AFTER);
            } else if may_be_behind && most <= self.config.announce_up_to {
                // In one of the next turns.
            } else if !may_be_behind && least > self.config.announce_up_to {
                known.introduction = Introduction::Untold;
            } else if most > self.config.announce_up_to {
                known.may_be_untold = true;
                known.introduce_by = known.introduce_by.filter(|_| may_be_behind);
            } else if may_have_spoken {
                known.may_be_untold = true;
                known.introduce_by = None;
            } else if !known.may_be_untold && !has_small_budgets {
                return Rule::JoinedInTime.broken(self.about(member, "its time is over, and it is not announced"));
            }
        }
        Ok(())
    }

    /// If the hub would sleep: whether the room was told of everybody that left, and will be told of all that entered.
    pub(crate) fn rests_roster(&self, now: Instant, wake: Wake) -> Verdict {
        let may_wait = wake == Wake::Now || self.is_at_wall() || self.is_shutting_down;
        if let Some((line, _)) = self.departed.front().filter(|_| !may_wait) {
            return Rule::Left.broken(format!("{line:?} is missing on the tape"));
        }
        let is_late = |latest: Instant| match wake {
            Wake::Now => false,
            Wake::At(time) => time > latest,
            Wake::OnEvent => true,
        };
        let is_forgotten = |&&member: &&usize| {
            let known = &self.members[member];
            let is_pending = known.is_present() && known.introduction == Introduction::Pending && member != WITNESS;
            let is_pending = is_pending && !known.may_be_untold;
            let is_quiet = self.wires[member].borrow().reset == Reset::No && !self.is_shutting_down;
            let is_due = known.introduce_by.is_some_and(|time| is_late(time.max(now + INTRODUCE_AFTER)));
            is_pending && is_quiet && is_due && !known.may_be_untold && !self.may_have_spoken_untold(member)
        };
        match self.active.iter().find(is_forgotten) {
            Some(&member) => Rule::Rest.broken(self.about(member, "at rest: it may never be announced")),
            None => Ok(()),
        }
    }

    /// Whether a client of an echo server may have spoken while the room was too full for it: the tape does not tell.
    fn may_have_spoken_untold(&self, member: usize) -> bool {
        let is_silent = self.config.audience == Audience::Sender && self.config.announce_up_to < ROOM_FOR_ALL;
        is_silent && self.wires[member].borrow().ear.asked.iter().any(|asked| matches!(asked, Asked::Say(_)))
    }

    /// Sets how many members are present.
    pub(crate) fn count_present(&mut self, present: usize) {
        let (least, most) = self.present_range;
        self.present = present;
        self.present_range = (least.min(present), most.max(present));
    }
}
