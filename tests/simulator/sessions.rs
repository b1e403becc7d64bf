//! Sessions as the oracle knows them: who holds the seat of one, what it may read, and how its seat passes from one
//! connection to the next.

use std::time::Instant;

use pollchat::relay::room::Audience;
use pollchat::server::config::Lag;
use pollchat::server::hub::Wake;

use crate::log::Kind;
use crate::member::{Introduction, Member, Stay};
use crate::net::Reset;
use crate::oracle::Oracle;
use crate::outline::SocketEnd;
use crate::room::{Due, Room};
use crate::rule::{Rule, Verdict, Violation};
use crate::said::Asked;
use crate::tracked::{Expected, Tracked};

/// Whether a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    No,
    Maybe,
    /// Its client said goodbye, and the server has taken that.
    Yes,
}

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) token: String,
    /// The connection that holds its seat, or held it last if its member is away.
    pub(crate) member: Option<usize>,
    room: usize,
    /// The first record of that room that it may read: between these.
    since: (usize, usize),
    /// The same of the welcome under way.
    place: Option<(usize, usize)>,
    /// The room that it left last, and the number of the record at which it left.
    left: Option<(usize, usize)>,
    /// Its lines that the server has taken, at least and at most.
    pub(crate) heard: (u64, u64),
    over: Over,
}

impl Session {
    /// A session that begins, in this room.
    pub(crate) fn new(token: &str, member: usize, room: usize) -> Session {
        let since = (usize::MAX, usize::MAX);
        Session {
            token: token.to_owned(),
            member: Some(member),
            room,
            since,
            place: None,
            left: None,
            heard: (0, 0),
            over: Over::No,
        }
    }

    /// It reads from a record between these on, in a room.
    pub(crate) fn on_room(&mut self, room: usize, place: (usize, usize)) {
        self.since = if self.room == room { self.may_read_from() } else { (usize::MAX, usize::MAX) };
        self.room = room;
        self.place = Some(place);
    }

    /// It reads from this record on.
    pub(crate) fn on_place(&mut self, room: usize, record: usize) {
        if self.room == room {
            self.place = Some((record, record));
        }
    }

    pub(crate) fn over(&self) -> Over {
        self.over
    }

    pub(crate) fn room(&self) -> usize {
        self.room
    }

    fn may_read_from(&self) -> (usize, usize) {
        let (least, most) = self.place.unwrap_or(self.since);
        (least.min(self.since.0), most.min(self.since.1))
    }
}

impl Oracle {
    /// The session with this token.
    pub(crate) fn session_of(&self, token: &str) -> Option<usize> {
        self.sessions.iter().position(|session| session.token == token)
    }

    /// The position and the token by which a connection asks for a session with its first line.
    pub(crate) fn first_track(&self, member: usize) -> Option<(String, String)> {
        let ear = &self.wires[member].borrow().ear;
        let is_fragment = ear.has_fragment && ear.asked.len() == 1;
        match ear.asked.iter().find(|asked| **asked != Asked::Nothing).filter(|_| !is_fragment) {
            Some(Asked::Track { position, token }) if self.config.audience != Audience::Sender => {
                Some((position.clone(), token.clone()))
            }
            _ => None,
        }
    }

    /// Whether a connection asks for a session with a seat.
    pub(crate) fn is_owner(&self, member: usize) -> bool {
        let Some((_, token)) = self.first_track(member) else { return false };
        let session = self.session_of(&token).map(|session| &self.sessions[session]);
        session.is_some_and(|session| session.member.is_some() && session.over == Over::No)
    }

    /// A connection enters whose first line asks to be tracked.
    pub(crate) fn enter_tracked(&mut self, member: usize) -> Verdict {
        Rule::Seat.demands(!self.is_owner(member), || "it comes back, and is given another seat".to_owned())?;
        self.members[member].tracked.get_or_insert_with(|| Box::new(Tracked::new()));
        Ok(())
    }

    /// The room and the record of a position that counts without a token: both may be yet to come.
    pub(crate) fn kept_place(&self, position: &str) -> Option<(usize, usize)> {
        let (epoch, record) = position.rsplit_once('.')?;
        let is_number = !record.is_empty() && record.bytes().all(|byte| byte.is_ascii_digit());
        let record = record.parse().ok().filter(|_| is_number)?;
        let is_its = |room: &Room| !epoch.is_empty() && room.epoch == epoch;
        let room = self.rooms[..self.kept.len()].iter().position(is_its)?;
        Some((room, record))
    }

    /// Judges the room that a connection enters with a position. Returns the record at which it is to go on, if the
    /// position counts by itself.
    pub(crate) fn judge_kept_entry(&self, member: usize, room: usize) -> Result<Option<usize>, Violation> {
        let Some((position, token)) = self.first_track(member) else { return Ok(None) };
        let Some((kept, record)) = self.kept_place(&position) else { return Ok(None) };
        // A session without a member may be forgotten. If it is not, what follows tells that it goes on.
        let over = self.session_of(&token).map_or(Over::Yes, |session| self.sessions[session].over);
        let is_there = record <= self.rooms[kept].log.items.len();
        let is_right = room == kept || !is_there || over != Over::Yes;
        Rule::Resume.demands(is_right, || format!("its position is of {}", self.rooms[kept].name))?;
        Ok((room == kept && is_there).then_some(record))
    }

    /// A connection goes on in a new session, at this record.
    pub(crate) fn expect_kept(&mut self, member: usize, record: usize) {
        let stay = self.members[member].stay_mut();
        stay.next = stay.next.min(record);
        let tracked = self.members[member].tracked.get_or_insert_with(|| Box::new(Tracked::new()));
        tracked.expected = Some(Expected::Resumed { from: (record, record), before: 0 });
    }

    /// A connection goes on with a session, whose seat it is given if it has none.
    pub(crate) fn resume(&mut self, member: usize, name: &str, room: usize) -> Verdict {
        let Some((position, token)) = self.first_track(member) else {
            return Rule::Resume.broken("it did not ask for a session");
        };
        let Some(session) = self.session_of(&token) else {
            return Rule::Resume.broken("it has the token of no session");
        };
        if self.sessions[session].over == Over::Yes {
            return Rule::Goodbye.broken("its session has ended");
        }
        self.sessions[session].over = Over::No;
        if let Some(old) = self.sessions[session].member {
            let is_entering = self.members[member].is_entering();
            Rule::Resume.demands(is_entering, || "it has a seat already".to_owned())?;
            self.pass_seat(old, member, room)?;
        }
        let known = &self.members[member];
        let is_called_so = known.names.last().is_some_and(|own| own == name);
        Rule::Resume.demands(is_called_so, || format!("it goes on as {name}"))?;
        self.sessions[session].member = Some(member);
        let expected = self.expect(session, room, &position);
        let end = self.rooms[room].log.items.len();
        let history = self.stay_in(room, None).next;
        let place = match &expected {
            Expected::NotResumed => (history, end),
            Expected::Resumed { from, .. } | Expected::Either { from, .. } => (history.min(from.0), end),
        };
        let known = &mut self.members[member];
        (known.is_resumed, known.may_be_untold) = (true, true);
        let stay = known.stay_mut();
        stay.next = place.0;
        self.sessions[session].on_room(room, place);
        let tracked = self.members[member].tracked.get_or_insert_with(|| Box::new(Tracked::new()));
        tracked.session = Some(session);
        tracked.base = self.sessions[session].heard;
        tracked.expected = Some(expected);
        Ok(())
    }

    /// What becomes of a position that a client gives in a room.
    fn expect(&mut self, session: usize, room: usize, position: &str) -> Expected {
        let is_kept = self.is_kept(room);
        let session = &mut self.sessions[session];
        if session.room != room {
            session.left = None;
            return Expected::NotResumed;
        }
        let Some((epoch, record)) = position.rsplit_once('.') else { return Expected::NotResumed };
        let is_number = !record.is_empty() && record.bytes().all(|byte| byte.is_ascii_digit());
        let Some(record) = record.parse::<usize>().ok().filter(|_| is_number) else { return Expected::NotResumed };
        let (least, most) = session.may_read_from();
        if epoch == self.rooms[room].epoch {
            let (least, most) = if is_kept { (0, 0) } else { (least, most) };
            let from = (record, record);
            return match record {
                _ if record > self.rooms[room].log.items.len() || record < least => Expected::NotResumed,
                _ if record < most => Expected::Either { from, before: 0 },
                _ => Expected::Resumed { from, before: 0 },
            };
        }
        match session.left {
            Some((left, stop)) if epoch == self.rooms[left].epoch && record <= stop => {
                Expected::Resumed { from: (least, most), before: stop - record }
            }
            _ => Expected::NotResumed,
        }
    }

    /// The seat of a session passes from one connection to another.
    fn pass_seat(&mut self, from: usize, to: usize, room: usize) -> Verdict {
        let seated = self.members[from].seat_room();
        Rule::Resume.demands(seated == room && self.members[from].way.is_none(), || {
            format!("its seat is in {}", self.rooms[seated].name)
        })?;
        let now = self.now();
        let heard = self.heard_of(from);
        let was_away = self.members[from].away_until.take().is_some();
        self.away.retain(|&away| away != from);
        let end = self.rooms[room].log.items.len();
        let is_in_the_way = self.is_far_over(to);
        let old = &mut self.members[from];
        if !was_away {
            old.is_in_the_way = is_in_the_way;
            (old.has_left, old.is_elsewhere, old.is_kicked) = (true, true, true);
            if old.room() == room {
                old.last_stay_mut().left.get_or_insert(end);
            }
        }
        let (number, names, introduction) = (old.number, old.names.clone(), old.introduction);
        let (has_said, is_named_first, token) = (old.has_said, old.is_named_first, old.token);
        let bucket = std::mem::take(&mut old.bucket).passed_on();
        let came = old.idleness.came();
        let new = &mut self.members[to];
        *new = Member {
            greeting_at_entry: self.greetings.len() - 1,
            number,
            names,
            introduction,
            is_named_first,
            has_said,
            token,
            bucket,
            may_be_untold: true,
            is_resumed: true,
            ..std::mem::replace(new, Member::new(now))
        };
        new.idleness.set_came(came);
        let name = new.names.last().cloned().unwrap_or_default();
        *new.stay_mut() = Stay { room, joined: end, ..Stay::default() };
        self.holders.insert(name, to);
        self.rooms[room].seats.iter_mut().filter(|seat| **seat == from).for_each(|seat| *seat = to);
        self.note_version(room);
        if let Some(session) = self.members[from].tracked.as_ref().and_then(|tracked| tracked.session) {
            self.sessions[session].heard = heard;
        }
        self.predecessors.push((from, to));
        Ok(())
    }

    /// The lines of a session that the server has taken, at least and at most.
    pub(crate) fn heard_of(&self, member: usize) -> (u64, u64) {
        let known = &self.members[member];
        let Some(tracked) = &known.tracked else { return (0, u64::MAX) };
        let (least, most) = tracked.base;
        let all = self.wires[member].borrow().ear.asked.len();
        let sure = known.heard.max(known.answered).min(all);
        (least + self.count_lines(member, sure), most.saturating_add(self.count_lines(member, all)))
    }

    /// The lines of a session that a connection asked for before this place.
    pub(crate) fn count_lines(&self, member: usize, to: usize) -> u64 {
        let first = self.members[member].tracked.as_ref().map_or(0, |tracked| tracked.first);
        let wire = self.wires[member].borrow();
        let asked = wire.ear.asked.get(first..to.max(first)).unwrap_or_default();
        asked.iter().filter(|asked| !matches!(asked, Asked::Track { .. })).count() as u64
    }

    /// A member loses its connection, and its seat is kept.
    pub(crate) fn go_away(&mut self, member: usize) -> Verdict {
        let now = self.now();
        let known = &self.members[member];
        let has_session = known.tracked.is_some() || self.wires[member].borrow().ear.is_tracked();
        Rule::Seat.demands(known.is_present() && has_session, || "it has no session".to_owned())?;
        let Some(resume_within) = self.config.resume_within else { return Rule::Seat.broken("no seat is kept") };
        Rule::Seat.demands(self.is_known(member), || "nobody knows it, and its seat is kept".to_owned())?;
        let has_parted = self.has_parted(member) && self.wires[member].borrow().reset == Reset::No;
        if has_parted && !self.may_have_been_disconnected(member) {
            return Rule::Goodbye.broken("it said goodbye, and its seat is kept");
        }
        let heard = self.heard_of(member);
        if let Some(session) = known.tracked.as_ref().and_then(|tracked| tracked.session) {
            self.sessions[session].heard = heard;
        }
        let end = self.rooms[known.room()].log.items.len();
        let known = &mut self.members[member];
        known.has_left = true;
        known.away_until = Some(now + resume_within);
        if known.way.is_none() {
            known.last_stay_mut().left = Some(end);
        }
        let room = known.seat_room();
        self.away.push(member);
        self.departing.push(member);
        self.note_version(room);
        Ok(())
    }

    /// Whether others may know a member, so that its seat is kept.
    fn is_known(&self, member: usize) -> bool {
        self.members[member].has_said || self.members[member].names.len() > 1
    }

    /// Whether a client has said goodbye, as far as the server has read.
    fn has_parted(&self, member: usize) -> bool {
        let ear = &self.wires[member].borrow().ear;
        matches!(ear.asked.last(), Some(Asked::Leave)) || ear.socket_end() == Some(SocketEnd::Closed(Some(1000)))
    }

    /// A member of a session arrives in the room that it moved to, without its connection.
    pub(crate) fn arrive_unseen(&mut self, name: &str, room: usize) -> Verdict {
        let now = self.now();
        let Some(&member) = self.holders.get(name) else { return Rule::Seat.broken(format!("nobody is {name}")) };
        let known = &self.members[member];
        Rule::Place.demands(known.way == Some(room), || format!("{name} did not go to {}", self.rooms[room].name))?;
        let left = (known.room(), known.last_stay().left.unwrap_or(0));
        let session = known.tracked.as_ref().and_then(|tracked| tracked.session);
        let others = self.take_seat(member, room);
        let end = self.rooms[room].log.items.len();
        if let Some(session) = session {
            self.sessions[session].on_room(room, (end, end));
            self.sessions[session].left = Some(left);
        }
        let announces = others < self.config.announce_up_to;
        let known = &mut self.members[member];
        known.way = None;
        known.seated_in = Some(room);
        if self.config.lag == Lag::Wait {
            known.may_be_untold = true;
            known.is_resumed = true;
            known.introduce_by = Some(now);
        } else if announces {
            let line = format!("* {name} joined");
            self.rooms[room].due = Some(Due { line, by: member, kind: Kind::Joined });
        } else {
            known.introduction = Introduction::Untold;
        }
        Ok(())
    }

    /// A member arrives in its room, with its session.
    pub(crate) fn arrive_tracked(&mut self, member: usize, room: usize) {
        let known = &self.members[member];
        let Some(session) = known.tracked.as_ref().and_then(|tracked| tracked.session) else { return };
        let before = known.stays.len().checked_sub(2).map(|at| &known.stays[at]);
        let left = before.map(|stay| (stay.room, stay.left.unwrap_or(0)));
        let place = (known.last_stay().next, known.last_stay().joined);
        self.sessions[session].on_room(room, place);
        self.sessions[session].left = left;
    }

    /// The seat of a member that is away is kept no longer.
    pub(crate) fn give_up_seat(&mut self, name: &str, room: usize) -> Verdict {
        let now = self.now();
        let Some(&member) = self.holders.get(name) else { return Rule::Seat.broken(format!("nobody is {name}")) };
        let Some(until) = self.members[member].away_until.take() else {
            return Rule::Seat.broken(format!("{name} is not away"));
        };
        self.away.retain(|&away| away != member);
        let reason = self.orders.reason.take();
        let is_oldest = || self.away.iter().all(|&other| self.members[other].away_until >= Some(until));
        Rule::Seat.demands(now >= until || reason.is_some() || (self.is_full() && is_oldest()), || {
            format!("the seat of {name} is not kept for {:?} more", until - now)
        })?;
        self.evicted = (now < until && reason.is_none()).then(|| name.to_owned());
        // Its connection was lost before, so nobody is told of this but its room.
        self.members[member].removal = reason;
        self.unseat(member, room);
        self.members[member].removal = None;
        self.holders.remove(name);
        self.present -= 1;
        if reason.is_some()
            && let Some(session) = self.members[member].tracked.as_ref().and_then(|tracked| tracked.session)
        {
            self.sessions[session].over = Over::Yes;
        }
        self.end_membership(member);
        Ok(())
    }

    /// Judges that a tracked member leaves the server only if its session ends, or nobody knows it.
    pub(crate) fn judge_leave(&mut self, member: usize) -> Verdict {
        if self.members[member].tracked.is_none() {
            return Ok(());
        }
        let is_removed = self.members[member].removal.is_some();
        let has_parted = self.has_parted(member) || is_removed;
        let was_silent = self.members[member].idleness.may_be_gone.is_some();
        let is_kept = self.config.resume_within.is_some() && self.is_known(member);
        Rule::Seat
            .demands(has_parted || was_silent || !is_kept, || "it is lost, and its seat is not kept".to_owned())?;
        let heard = self.heard_of(member);
        let is_sure = has_parted && self.wires[member].borrow().reset == Reset::No;
        if let Some(session) = self.members[member].tracked.as_ref().and_then(|tracked| tracked.session) {
            let session = &mut self.sessions[session];
            session.heard = heard;
            let is_sure = is_removed || is_sure && !is_lost(&self.wires[member].borrow().ear);
            session.over = match (is_sure, has_parted || was_silent) {
                (true, _) => Over::Yes,
                (false, true) => Over::Maybe,
                (false, false) => Over::No,
            };
        }
        self.end_membership(member);
        Ok(())
    }

    fn end_membership(&mut self, member: usize) {
        if let Some(session) = self.members[member].tracked.as_ref().and_then(|tracked| tracked.session) {
            self.sessions[session].member = None;
        }
    }

    /// Judges that no seat is kept for longer than its time, and that the hub wakes for its end.
    pub(crate) fn judge_seats(&self, now: Instant, wake: Wake) -> Verdict {
        if self.is_shutting_down {
            return Ok(());
        }
        if let Some(name) = &self.evicted {
            return Rule::Seat.broken(format!("{name} has lost its seat, and nobody enters"));
        }
        for &member in &self.away {
            let Some(until) = self.members[member].away_until else { continue };
            Rule::Seat.demands(until > now, || self.about(member, "its time is over, and its seat is still kept"))?;
            let is_late = match wake {
                Wake::Now => false,
                Wake::At(time) => time > until,
                Wake::OnEvent => true,
            };
            Rule::Rest.demands(!is_late, || self.about(member, "at rest: its seat may be kept for ever"))?;
        }
        Ok(())
    }

    /// Judges a said line of a tracked client: each is said once, and in order.
    pub(crate) fn judge_tagged(&mut self, text: &str) -> Verdict {
        let Some((tag, number)) = crate::clients::tagged(text) else { return Ok(()) };
        let last = self.tagged.entry(tag.to_owned()).or_insert(0);
        let expected = *last + 1;
        *last = number;
        Rule::Heard.demands(number == expected, || format!("{text:?} is said, and number {expected} was due"))
    }

    /// Judges that as many lines of a client are on the tapes as the server has heard.
    pub(crate) fn judge_said(&self, (tag, heard): (&str, u64)) -> Verdict {
        let said = self.tagged.get(tag).copied().unwrap_or(0);
        Rule::Heard.demands(said == heard, || format!("{heard} lines of {tag} are heard, and {said} said"))
    }

    /// Whether a line that a member did not ask for was asked for by the connection that had its seat before.
    pub(crate) fn is_of_predecessor(&self, member: usize, text: &str) -> bool {
        let is_it = |asked: &Asked| matches!(asked, Asked::Say(said) if said == text);
        let asked_for = |from: usize| self.wires[from].borrow().ear.asked.iter().any(is_it);
        self.predecessors.iter().any(|&(from, to)| to == member && asked_for(from))
    }
}

/// Whether input ended before all of it was read.
fn is_lost(ear: &crate::said::Ear) -> bool {
    ear.ended == Some(crate::said::Ended::Cut)
}
