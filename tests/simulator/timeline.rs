//! The order of all that happens to the rooms: the events of the roster, merged with the lines of the tapes by their
//! offsets.
//!
//! An event is applied when the log of its room has come to its place, so it is known at each line exactly which
//! members are in the room and what they are called. An event may demand the next line of the tape: `joined`, `left`,
//! or a new name.

use std::time::Instant;

use pollchat::relay::room::Audience;
use pollchat::relay::tape::Tape;
use pollchat::server::config::Lag;
use pollchat::server::flow::budget::TurnLimits;
use pollchat::server::hub::Wake;
use pollchat::server::limits::INTRODUCE_AFTER;
use pollchat::server::report::PERIOD;

use crate::log::Kind;
use crate::member::{FirstName, Introduction, Member};
use crate::net::Reset;
use crate::oracle::{Oracle, is_same_name};
use crate::owners::is_given;
use crate::room::{Announced, Due, LOBBY, Room};
use crate::roster_log::{self, Change, Event};
use crate::rule::{Rule, Verdict};
use crate::said::{Asked, is_name, is_reserved};
use crate::setting::ROOM_FOR_ALL;
use crate::tracked::Tracked;

/// An event, with the number of its room, and of the one that it leads to.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) event: Event,
    pub(crate) room: usize,
    pub(crate) to: usize,
    /// The reason for which an operator removed its member.
    pub(crate) removed: Option<&'static str>,
}

impl Oracle {
    /// Hears what was put on the tapes, and takes the events since the last time. Rooms come and go meanwhile.
    pub(crate) fn hear<'a>(&mut self, tapes: impl Iterator<Item = (&'a str, &'a Tape)>) -> Verdict {
        for event in roster_log::take() {
            self.judge_log(&event)?;
            if event.change == Change::Opened {
                self.by_name.insert(event.room.to_lowercase(), self.rooms.len());
                self.house.live.push(self.rooms.len());
                self.rooms.push(Room::new(&event.room, self.config.room_backlog_bytes, false));
            }
            let room = self.room_called(&event.room);
            let to = if let Change::Moves(to) = &event.change { self.room_called(to) } else { room };
            let removed = self.note_removal(&event.change);
            self.events.push_back(Placed { event, room, to, removed });
        }
        for (name, tape) in tapes {
            let room = self.room_called(name);
            let clock_ms = self.clock_ms;
            let Room { log, epoch, latest_ms, .. } = &mut self.rooms[room];
            if epoch.is_empty() {
                (*epoch, *latest_ms) = (tape.epoch().to_string(), clock_ms.max(*latest_ms));
            }
            let from = log.heard() as u64;
            if from < tape.tail() {
                return Rule::Order.broken(format!("{} bytes of {name} went by in a turn", tape.tail() - from));
            }
            tape.slices(from, tape.end().offset).iter().for_each(|bytes| log.hear(bytes));
        }
        Ok(())
    }

    pub(crate) fn room_called(&self, name: &str) -> usize {
        self.by_name.get(&name.to_lowercase()).copied().unwrap_or(LOBBY)
    }

    /// Judges that the log shows refusals for the same reason a period apart: their count has a line of its own.
    fn judge_log(&mut self, event: &Event) -> Verdict {
        let Change::Refused { reason, is_logged: true, .. } = &event.change else { return Ok(()) };
        let now = self.now();
        // The end of a ban makes it no reason of its own.
        let reason = if reason.starts_with("banned: ") { "banned" } else { reason };
        match self.logged.insert(reason.to_owned(), now) {
            Some(before) if now < before + PERIOD => {
                Rule::Log.broken(format!("{reason:?} was logged twice within {:?}", now - before))
            }
            _ => Ok(()),
        }
    }

    /// Applies all events, and checks all lines, in their order.
    pub(crate) fn replay(&mut self) -> Verdict {
        while let Some(Placed { event, room, to, removed }) = self.events.pop_front() {
            let offset = event.offset.unwrap_or(0);
            if event.change != Change::Dropped && !self.rooms[room].is_cut {
                self.read_up_to(room, offset)?;
            }
            self.judge_taken(&event.change)?;
            self.orders.reason = removed;
            match &event.change {
                Change::Announces(text) => self.expect_announcement(room, text),
                Change::Greets(text) => self.greet_with(text),
                Change::Opened => self.open(room)?,
                Change::Dropped => self.drop_room(room, offset)?,
                Change::Arrives(name) => self.arrive_unseen(name, room)?,
                Change::Gone(name) => self.give_up_seat(name, room)?,
                Change::Unnamed { from, to } => self.lose_unseen(from, to)?,
                change => {
                    let Some(&member) = self.by_line.get(&event.line) else { continue };
                    self.apply(member, change, room, to).map_err(|violation| violation.about(self.describe(member)))?;
                }
            }
        }
        self.judge_taken(&Change::Opened)?;
        (0..self.house.live.len()).try_for_each(|at| self.read_up_to(self.house.live[at], usize::MAX))
    }

    fn apply(&mut self, member: usize, change: &Change, room: usize, to: usize) -> Verdict {
        match change {
            Change::Refused { reason, .. } if reason.contains("password") => {}
            Change::Enters(_) | Change::Resumes(_) | Change::Refused { .. } => self.open_by_token(member),
            _ => {}
        }
        match change {
            Change::Opens => self.open_socket(member),
            Change::Enters(name) if self.members[member].number.is_some() => self.arrive(member, name, room),
            Change::Enters(name) => self.enter(member, name, room),
            Change::Named(name) if is_given(name) => self.lose_name(member, name),
            Change::Named(name) => self.name(member, name, room),
            Change::Moves(_) => self.move_out(member, room, to),
            Change::Leaves => self.leave(member, room),
            Change::GivesWay => self.give_way(member, room),
            Change::Refused { reason, is_silent, .. } => self.refuse(member, reason, *is_silent),
            Change::Away => self.go_away(member),
            Change::Resumes(name) => self.resume(member, name, room),
            Change::Opened | Change::Dropped | Change::Arrives(_) | Change::Gone(_) | Change::Unnamed { .. } => Ok(()),
            Change::Announces(_) | Change::Greets(_) => Ok(()),
        }
    }

    fn enter(&mut self, member: usize, name: &str, room: usize) -> Verdict {
        self.judge_entry(member)?;
        if self.is_full() || self.is_crowded(member) {
            return Rule::Refusals.broken(format!("{} are present, and it enters as {name}", self.present));
        }
        Rule::Numbers.demands(name == format!("client-{}", self.numbers + 1), || format!("it enters as {name}"))?;
        let is_tracked = self.first_track(member).is_some();
        let mut kept = None;
        if is_tracked {
            self.enter_tracked(member)?;
            kept = self.judge_kept_entry(member, room)?;
        } else {
            self.judge_first_room(member, room)?;
        }
        self.seat(member, room);
        if let Some(record) = kept {
            self.expect_kept(member, record);
        }
        self.evicted = None;
        if is_tracked {
            let announces = self.rooms[room].seats.len() <= self.config.announce_up_to;
            let now = self.now();
            let known = &mut self.members[member];
            known.greeting.clear();
            known.introduce_by = announces.then(|| now + INTRODUCE_AFTER);
        }
        Ok(())
    }

    /// A client takes a name. The room is told `joined` if it is the client's first sign, and else the new name.
    fn name(&mut self, member: usize, name: &str, room: usize) -> Verdict {
        self.judge_seated(member, room)?;
        self.judge_right(member, name)?;
        let known = &self.members[member];
        let (answered, own, token) = (known.answered, known.names.last().cloned().unwrap_or_default(), known.token);
        let is_silent = self.config.audience == Audience::Sender;
        let owners = std::mem::take(&mut self.owners);
        let place = self.settle_heard(member, |place, asked| match asked {
            // A request that was answered already was refused.
            Asked::Nick { name: asked, token: shown } if asked == name && place >= answered => {
                owners.grants(asked, shown, (&own, token)).then_some(Ok(()))
            }
            Asked::Say(said) if !is_silent => Some(Rule::Author.broken(format!("{said:?} was said before {name}"))),
            _ => None,
        });
        self.owners = owners;
        let place = place?;
        self.charge_request(member, place)?;
        if let Some((held, &holder)) =
            self.holders.iter().find(|&(held, &holder)| holder != member && is_same_name(held, name))
        {
            return Rule::Names.broken(format!("it is called {name}, and connection {holder} is called {held}"));
        }
        Rule::Names.demands(is_name(name) && !is_reserved(name), || format!("it is called {name}"))?;
        let announces = self.rooms[room].seats.len() <= self.config.announce_up_to;
        let may_have_spoken = self.may_have_spoken_untold(member);
        let next = self.rooms[room].log.next().map(<[u8]>::to_vec);
        let (token, is_taking) = (self.owners.token_of(name), self.owners.is_taking);
        let known = &mut self.members[member];
        known.token = token;
        let from = known.names.last().cloned().unwrap_or_default();
        let renamed = format!("* {from} is now {name}");
        known.won.push(place);
        known.names.push(name.to_owned());
        self.holders.remove(&from);
        self.holders.insert(name.to_owned(), member);
        known.may_be_untold |= may_have_spoken;
        // A member that takes its name from another one is introduced before.
        if is_taking && known.introduction == Introduction::Pending {
            if announces && !known.may_be_untold {
                return Rule::Joined.broken(format!("it took {name} over, and was not announced"));
            }
            known.introduction = Introduction::Untold;
        }
        let is_introduced = known.introduction != Introduction::Pending
            || (known.may_be_untold && next.as_deref() == Some(renamed.as_bytes()));
        if is_introduced {
            self.rooms[room].due = Some(Due { line: renamed, by: member, kind: Kind::Renamed });
            self.note_version(room);
            return Ok(());
        }
        known.is_named_first = true;
        known.first_names.push(FirstName { place, line: renamed });
        if announces && !known.may_be_untold {
            self.rooms[room].due = Some(Due { line: format!("* {name} joined"), by: member, kind: Kind::Joined });
        } else if !announces {
            known.introduction = Introduction::Untold;
        }
        self.note_version(room);
        Ok(())
    }

    fn leave(&mut self, member: usize, room: usize) -> Verdict {
        if !self.members[member].is_present() {
            return Rule::Entering.broken("it is not on the server");
        }
        if let Some(reason) = self.orders.reason.take() {
            self.members[member].removal = Some(reason);
            self.members[member].is_kicked = true;
        }
        // A mover that is banned leaves its last room before, as ever.
        let known = &mut self.members[member];
        known.is_removed = known.removal.is_some() || known.is_banned.is_some();
        self.judge_leave(member)?;
        self.present -= 1;
        self.departing.push(member);
        let name = self.members[member].names.last().cloned().unwrap_or_default();
        if self.members[member].is_seated() {
            self.judge_seated(member, room)?;
            self.unseat(member, room);
        }
        self.members[member].has_left = true;
        self.holders.remove(&name);
        Ok(())
    }

    /// A member that has said nothing enters again, by a first line that came late. What it was sent as a plain client is
    /// not judged any more.
    fn give_way(&mut self, member: usize, room: usize) -> Verdict {
        self.judge_seated(member, room)?;
        let is_known = self
            .first_track(member)
            .is_some_and(|(position, token)| self.session_of(&token).is_some() || self.kept_place(&position).is_some());
        Rule::Resume.demands(is_known, || "it did not ask for a session".to_owned())?;
        self.present -= 1;
        let name = self.members[member].names.last().cloned().unwrap_or_default();
        self.unseat(member, room);
        self.holders.remove(&name);
        self.bygone_names.push(name);
        let (now, greeting_at_entry) = (self.now(), self.greetings.len() - 1);
        let known = &mut self.members[member];
        let (came, visit) = (known.came, known.visit.take());
        let partial = std::mem::take(&mut known.partial);
        *known = Member { visit, partial, greeting_at_entry, ..Member::new(came) };
        let is_empty = |asked: &&Asked| **asked == Asked::Nothing;
        let first = 1 + self.wires[member].borrow().ear.asked.iter().take_while(is_empty).count();
        known.tracked = Some(Box::new(Tracked::entering_again(first)));
        self.expect_words(member, now);
        Ok(())
    }

    /// Takes a member out of its room, which is told so if it was told of its coming.
    pub(crate) fn unseat(&mut self, member: usize, room: usize) {
        let known = &mut self.members[member];
        let is_next = self.config.lag != Lag::Wait && self.rooms[room].first_announced().is_none();
        let Room { log, seats, due, announced, .. } = &mut self.rooms[room];
        if known.away_until.is_none() && !known.has_left {
            known.last_stay_mut().left = Some(log.items.len());
        }
        seats.retain(|&other| other != member);
        if known.introduction == Introduction::Told {
            let is_removed = known.removal.is_some() || known.is_removed;
            let (kind, how) = if is_removed { (Kind::Removed, "was removed") } else { (Kind::Left, "left") };
            let line = format!("* {} {how}", known.names.last().map_or("", String::as_str));
            if is_next {
                *due = Some(Due { line: line.clone(), by: member, kind });
            }
            announced.push_back(Announced { line, by: member, kind, is_sure: true });
        }
        self.rooms[room].count();
        self.note_version(room);
    }

    pub(crate) fn judge_seated(&self, member: usize, room: usize) -> Verdict {
        let known = &self.members[member];
        let is_here = known.is_seated() && known.has_seat_in(room);
        Rule::Entering.demands(is_here, || format!("it is not in {}", self.rooms[room].name))
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
    pub(crate) fn judge_introductions(&mut self, now: Instant) -> Verdict {
        let dues = self.live().filter_map(|room| room.due.as_ref());
        let may_come = |kind| matches!(kind, Kind::Left | Kind::Removed | Kind::Announced);
        if let Some(due) = dues.into_iter().find(|due| !may_come(due.kind)) {
            let rule = if due.kind == Kind::Renamed { Rule::Names } else { Rule::Joined };
            return rule.broken(format!("{:?} is missing on the tape", due.line));
        }
        let may_be_behind = self.may_be_behind();
        // Small budgets also make the room wait for readers that were not written to.
        let has_small_budgets = self.config.turn != TurnLimits::default();
        let may_wait_unseen = has_small_budgets && self.config.lag == Lag::Wait;
        for at in 0..self.active.len() {
            let member = self.active[at];
            let may_have_spoken = self.may_have_spoken_untold(member);
            let room = &self.rooms[self.members[member].room()];
            let (least, most) = room.range;
            // Within a turn, the room may come to the wall and get away from it.
            let has_moved = self.config.lag == Lag::Wait && room.log.end() != room.began_at;
            let was_at_wall = room.is_at_wall || room.was_at_wall || has_moved;
            let known = &mut self.members[member];
            let is_due = known.is_seated() && known.introduce_by.is_some_and(|time| time <= now);
            if !is_due || known.introduction != Introduction::Pending || self.is_shutting_down {
                continue;
            }
            if was_at_wall && has_small_budgets || may_wait_unseen && least > self.config.announce_up_to {
                // Its timer may fire now, or may have fired at the wall and fire again.
                known.may_be_untold = true;
            } else if was_at_wall {
                // The announcement may have to wait.
                known.may_be_untold |= most > self.config.announce_up_to;
                // The timer of a newcomer fires again; a mover is announced as soon as the room goes on.
                let is_mover = known.last_stay().asked.is_some();
                known.introduce_by = Some(if is_mover { now } else { now + INTRODUCE_AFTER });
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
        let may_wait = |room: &&Room| wake == Wake::Now || room.is_at_wall || self.is_shutting_down || !room.is_open;
        let untold = self.live().filter(|room| !may_wait(room)).find_map(Room::first_announced);
        if let Some(Announced { line, kind, .. }) = untold {
            return kind.rule().broken(format!("{line:?} is missing on the tape"));
        }
        let is_late = |latest: Instant| match wake {
            Wake::Now => false,
            Wake::At(time) => time > latest,
            Wake::OnEvent => true,
        };
        let is_forgotten = |&&member: &&usize| {
            let known = &self.members[member];
            let is_pending = known.is_seated() && known.introduction == Introduction::Pending;
            let is_pending = is_pending && !known.may_be_untold;
            let is_quiet = self.wires[member].borrow().reset == Reset::No && !self.is_shutting_down;
            let is_due = known.introduce_by.is_some_and(|time| is_late(time.max(now + INTRODUCE_AFTER)));
            let may_wait = known.last_stay().asked.is_some() && self.rooms[known.room()].is_at_wall;
            is_pending
                && is_quiet
                && is_due
                && !may_wait
                && !known.may_be_untold
                && !self.may_have_spoken_untold(member)
        };
        match self.active.iter().find(is_forgotten) {
            Some(&member) => Rule::Rest.broken(self.about(member, "at rest: it may never be announced")),
            None => Ok(()),
        }
    }

    /// Whether a client of an echo server may have spoken while the room was too full for it: the tape does not tell.
    pub(crate) fn may_have_spoken_untold(&self, member: usize) -> bool {
        let is_silent = self.config.audience == Audience::Sender && self.config.announce_up_to < ROOM_FOR_ALL;
        is_silent && self.wires[member].borrow().ear.asked.iter().any(|asked| matches!(asked, Asked::Say(_)))
    }
}
