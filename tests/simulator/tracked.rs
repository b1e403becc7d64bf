//! The tracked dialect: what a tracked connection is sent, line by line.

use pollchat::server::config::Lag;

use crate::handover::HANDED_OVER;
use crate::journal::KEPT;
use crate::member::Stay;
use crate::oracle::{Oracle, between};
use crate::room::Room;
use crate::rule::{Rule, Verdict, Violation};
use crate::stamps::Stamp;

/// The place of a tracked connection in what it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It was told nothing.
    New,
    /// It is to be told what becomes of its position.
    Form,
    /// It is to be told its name and room.
    YouAre(Start),
    /// It is to be told so many further lines of the greeting, then earlier lines, and the stamp.
    Named(Start, usize),
    /// It is to be told the stamp.
    Stamp(Start, usize),
    /// It is to be told the stamp behind so many missed records.
    Gap(usize),
    Live,
}

/// The way in which a connection begins to read a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Entering,
    Late,
    Moving,
    NotResumed,
    /// It missed so many records.
    Resumed(usize),
}

/// What becomes of the position of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    NotResumed,
    /// It goes on at a record between these, and missed so many before.
    Resumed {
        from: (usize, usize),
        before: usize,
    },
    /// One of the two.
    Either {
        from: (usize, usize),
        before: usize,
    },
}

/// A line about a session.
#[derive(Clone, Debug)]
pub(crate) struct SessionLine {
    line: String,
    token: String,
    heard: u64,
    epoch: String,
    record: usize,
    name: String,
}

/// The state of a tracked connection.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) session: Option<usize>,
    /// The place behind the request that began the tracking.
    pub(crate) first: usize,
    /// Lines of the session that the server had taken before that, at least and at most.
    pub(crate) base: (u64, u64),
    pub(crate) expected: Option<Expected>,
    pub(crate) stage: Stage,
    /// Whether it was plain at first.
    pub(crate) is_late: bool,
    /// Whether it was plain until its first line resumed a session.
    pub(crate) was_plain: bool,
    /// A line about its session. The next line tells what it is about.
    pub(crate) pending: Option<SessionLine>,
    /// The line about its session before the gap.
    gap: Option<SessionLine>,
    /// The record of the last stamp.
    stamped: Option<usize>,
}

impl Tracked {
    /// A connection that enters again by a request before this place.
    pub(crate) fn entering_again(first: usize) -> Tracked {
        Tracked { first, was_plain: true, ..Tracked::new() }
    }

    /// A connection whose first line asked to be tracked.
    pub(crate) fn new() -> Tracked {
        Tracked {
            session: None,
            first: 1,
            base: (0, 0),
            expected: None,
            stage: Stage::New,
            is_late: false,
            was_plain: false,
            pending: None,
            gap: None,
            stamped: None,
        }
    }
}

impl SessionLine {
    fn read(line: &str) -> Result<SessionLine, Violation> {
        let read = || {
            let words: Vec<&str> = line.strip_prefix("** session ")?.split(' ').collect();
            let [token, "heard", heard, "at", position, "as", name] = words[..] else { return None };
            let (epoch, record) = position.rsplit_once('.')?;
            Some(SessionLine {
                line: line.to_owned(),
                token: token.to_owned(),
                heard: heard.parse().ok()?,
                epoch: epoch.to_owned(),
                record: record.parse().ok()?,
                name: name.to_owned(),
            })
        };
        match read() {
            Some(session) => Ok(session),
            None => Rule::Track.broken("it is no line about a session"),
        }
    }
}

impl Oracle {
    fn tracked(&mut self, member: usize) -> &mut Tracked {
        self.members[member].tracked.get_or_insert_with(|| Box::new(Tracked::new()))
    }

    /// A plain client is told that it is tracked from now on. What it was owed comes again.
    pub(crate) fn begin_late(&mut self, member: usize, line: &str) -> Verdict {
        self.receive_answer(member, line)?;
        let first = self.members[member].answered;
        self.members[member].tracked = Some(Box::new(Tracked { first, is_late: true, ..Tracked::new() }));
        let known = &mut self.members[member];
        known.greeted = known.greeting.len();
        let session = SessionLine::read(line)?;
        self.begin_session(member, &session)?;
        self.tracked(member).stage = Stage::YouAre(Start::Late);
        Ok(())
    }

    fn begin_session(&mut self, member: usize, line: &SessionLine) -> Verdict {
        if self.session_of(&line.token).is_some() {
            return Rule::Resume.broken("it is given the session of another");
        }
        let known = &self.members[member];
        let (room, stay) = (known.room(), known.last_stay());
        let place = (stay.next.min(self.stay_in(room, None).next).min(stay.joined), self.rooms[room].log.items.len());
        let mut session = crate::sessions::Session::new(&line.token, member, room);
        session.on_room(room, place);
        if known.has_left {
            session.member = known.away_until.map(|_| member);
        }
        self.sessions.push(session);
        let session = self.sessions.len() - 1;
        self.tracked(member).session = Some(session);
        Rule::Heard.demands(line.heard == 0, || "it begins".to_owned())
    }

    /// Takes a line that a tracked connection is sent.
    pub(crate) fn receive_tracked(&mut self, member: usize, line: &str) -> Verdict {
        match self.tracked(member).stage {
            Stage::New => self.receive_first(member, line),
            Stage::Form => self.receive_form(member, line),
            Stage::YouAre(start) => self.receive_name(member, line, start),
            Stage::Named(start, greeted) => self.receive_greeting(member, line, start, greeted),
            Stage::Stamp(start, earlier) => self.receive_place(member, line, start, earlier),
            Stage::Gap(missed) => self.receive_gap(member, line, missed),
            Stage::Live => self.receive_live(member, line),
        }
    }

    fn receive_first(&mut self, member: usize, line: &str) -> Verdict {
        if self.tracked(member).was_plain && !line.starts_with("** ") {
            return Ok(());
        }
        let session = SessionLine::read(line)?;
        let (position, _) = self.first_track(member).unwrap_or_default();
        if self.tracked(member).expected.is_some() && self.tracked(member).session.is_some() {
            self.tracked(member).stage = Stage::Form;
            let own = self.tracked(member).session;
            let (least, most) = self.tracked(member).base;
            let is_own = own.is_some_and(|own| self.sessions[own].token == session.token);
            Rule::Resume.demands(is_own, || "it is another session".to_owned())?;
            Rule::Heard.demands((least..=most).contains(&session.heard), || format!("from {least} to {most}"))?;
            self.tracked(member).base = (session.heard, session.heard);
            return self.judge_session(member, &session);
        }
        let start = if position.is_empty() { Stage::YouAre(Start::Entering) } else { Stage::Form };
        self.tracked(member).stage = start;
        self.begin_session(member, &session)?;
        self.judge_session(member, &session)
    }

    fn receive_form(&mut self, member: usize, line: &str) -> Verdict {
        let start = match line {
            "** resumed" => Start::Resumed(0),
            "** cannot resume: earlier lines follow" => Start::NotResumed,
            _ => match missed_in(line) {
                Some(missed) if missed > 0 => Start::Resumed(missed),
                _ => return Rule::Resume.broken("it does not tell what becomes of its position"),
            },
        };
        let expected = self.tracked(member).expected.clone().unwrap_or(Expected::NotResumed);
        let is_right = match (&expected, start) {
            (Expected::NotResumed | Expected::Either { .. }, Start::NotResumed) => true,
            (Expected::Resumed { before, .. } | Expected::Either { before, .. }, Start::Resumed(missed)) => {
                missed >= *before
            }
            _ => false,
        };
        self.tracked(member).stage = Stage::YouAre(start);
        Rule::Resume.demands(is_right, || format!("{expected:?}, and its position is {:?}", self.first_track(member)))
    }

    fn receive_name(&mut self, member: usize, line: &str, start: Start) -> Verdict {
        let known = &self.members[member];
        let room = &self.rooms[known.stay().room].name;
        let is_right = known.names.iter().any(|name| line == format!("** you are {name}, in {room}"));
        self.tracked(member).stage = match start {
            Start::Resumed(_) => Stage::Stamp(start, 0),
            Start::Moving => Stage::Named(start, self.config.greeting.lines().count()),
            Start::Entering | Start::Late | Start::NotResumed => Stage::Named(start, 0),
        };
        Rule::Place.demands(is_right, || self.about(member, "not its name and room"))
    }

    fn receive_greeting(&mut self, member: usize, line: &str, start: Start, greeted: usize) -> Verdict {
        let kept = self.is_kept(self.members[member].stay().room).then(|| &KEPT[2..]);
        let is_late = self.tracked(member).is_late;
        let greetings = self.greetings_of(member, is_late).iter();
        let nexts: Vec<&str> = greetings.filter_map(|text| text.lines().chain(kept).nth(greeted)).collect();
        if !nexts.is_empty() {
            let is_right = line.strip_prefix("** ").is_some_and(|line| nexts.contains(&line));
            Rule::Greeting.demands(is_right, || format!("not the greeting: {nexts:?}"))?;
            self.tracked(member).stage = Stage::Named(start, greeted + 1);
            return Ok(());
        }
        let earlier = between(line, "** ", " earlier line:").or(between(line, "** ", " earlier lines:"));
        if let Some(earlier) = earlier.and_then(|lines| lines.parse().ok()).filter(|&lines| lines > 0) {
            self.tracked(member).stage = Stage::Stamp(start, earlier);
            return Ok(());
        }
        self.receive_place(member, line, start, 0)
    }

    /// Takes the stamp behind which a connection begins to read a room.
    fn receive_place(&mut self, member: usize, line: &str, start: Start, earlier: usize) -> Verdict {
        let stamp = Stamp::read(line)?;
        let Stay { room, joined, .. } = *self.members[member].stay();
        self.judge_told_stamp(member, &stamp)?;
        match start {
            Start::Resumed(missed) => self.judge_resumed(member, &stamp, missed, joined)?,
            Start::Late => {
                let items = &self.rooms[room].log.items;
                let half = self.rooms[room].log.end().saturating_sub(self.rooms[room].backlog_bytes / 2);
                let is_out_of_reach = items.get(joined).is_some_and(|item| item.start < half + self.coarse(room));
                let is_right = stamp.record <= joined || is_out_of_reach;
                Rule::Greeting.demands(is_right, || format!("it was there since {joined}"))?;
                // Of an earlier room it may know a part that the tape has.
                let oldest = self.stay_in(room, None);
                let oldest = if self.config.history_lines == 0 { joined } else { oldest.next.min(joined) };
                let history = self.history_before(room, joined);
                Rule::Resume
                    .demands(stamp.record >= oldest.min(history), || format!("it was there from {joined} on"))?;
            }
            Start::Entering | Start::Moving | Start::NotResumed => {
                self.begin_stay(member, earlier)?;
                let next = self.members[member].stay().next;
                Rule::Track.demands(stamp.record == next, || format!("it begins at {next}, behind {earlier} lines"))?;
            }
        }
        let stay = self.members[member].stay_mut();
        (stay.next, stay.missed, stay.is_begun) = (stamp.record, 0, true);
        let tracked = self.tracked(member);
        (tracked.stage, tracked.stamped, tracked.expected) = (Stage::Live, Some(stamp.record), None);
        if let Some(session) = tracked.session
            && !self.members[member].is_elsewhere
        {
            self.sessions[session].on_place(room, stamp.record);
        }
        Ok(())
    }

    /// The first item that a client may be shown that came at `joined`.
    fn history_before(&self, room: usize, joined: usize) -> usize {
        let items = &self.rooms[room].log.items;
        let history = usize::try_from(self.config.history_lines).unwrap_or(usize::MAX);
        let said = (0..joined).rev().filter(|&at| items[at].kind == crate::log::Kind::Said);
        said.take(history).last().unwrap_or(joined)
    }

    fn judge_resumed(&self, member: usize, stamp: &Stamp, missed: usize, end: usize) -> Verdict {
        let expected = self.members[member].tracked.as_ref().and_then(|tracked| tracked.expected.clone());
        let Some(Expected::Resumed { from, before } | Expected::Either { from, before }) = expected else {
            return Rule::Resume.broken("it was not to be resumed");
        };
        let here = missed - before;
        let is_right = (from.0.saturating_add(here)..=from.1.saturating_add(here)).contains(&stamp.record);
        Rule::Track.demands(is_right, || format!("it goes on at {from:?}, and missed {here} records here"))?;
        let Room { log, backlog_bytes, .. } = &self.rooms[self.members[member].stay().room];
        let kept = if self.config.lag == Lag::Wait { backlog_bytes / 2 } else { *backlog_bytes };
        let room = self.members[member].stay().room;
        let tail = log.offset(end).saturating_sub(kept) + self.coarse(room);
        let may_miss = here == 0 || log.offset(stamp.record - 1) < tail;
        Rule::Track.demands(may_miss, || format!("it missed {here} records that are on the tape"))
    }

    /// The bytes by which the tape may miss a place.
    fn coarse(&self, room: usize) -> usize {
        (self.rooms[room].backlog_bytes / 16).clamp(1, 4_096) + self.config.longest_line_bytes()
    }

    fn receive_gap(&mut self, member: usize, line: &str, missed: usize) -> Verdict {
        if !line.starts_with('@') {
            self.end_gap(member)?;
            return self.receive_live(member, line);
        }
        let stamp = Stamp::read(line)?;
        self.judge_told_stamp(member, &stamp)?;
        self.tracked(member).gap = None;
        let stay = self.members[member].stay_mut();
        let next = stay.next;
        stay.next = stamp.record;
        let tracked = self.tracked(member);
        (tracked.stage, tracked.stamped) = (Stage::Live, Some(stamp.record));
        Rule::Track.demands(stamp.record == next + missed, || format!("it was at {next}, and missed {missed} records"))
    }

    /// Judges a stamp that is not on the tape.
    fn judge_told_stamp(&self, member: usize, stamp: &Stamp) -> Verdict {
        let room = &self.rooms[self.members[member].stay().room];
        let is_of_record = room.log.items.get(stamp.record).is_some_and(|item| item.time_ms == stamp.time_ms);
        // When it was told, there may have been no such record.
        let before_ms =
            stamp.record.checked_sub(1).and_then(|at| room.log.items.get(at)).map_or(0, |item| item.time_ms);
        let is_of_end = (before_ms..=room.latest_ms).contains(&stamp.time_ms)
            && room.log.items.get(stamp.record).is_none_or(|item| stamp.time_ms / 1_000 <= item.time_ms / 1_000);
        let is_here = stamp.epoch == room.epoch && stamp.record <= room.log.items.len();
        Rule::Track.demands(is_here && (is_of_record || is_of_end), || format!("no stamp of {}", room.name))
    }

    fn receive_live(&mut self, member: usize, line: &str) -> Verdict {
        if let Some(session) = self.tracked(member).pending.take() {
            if let Some(missed) = missed_in(line) {
                return self.receive_gap_count(member, &session, missed);
            }
            if line.starts_with("** you are in ") && !line.ends_with(" already") {
                return self.receive_border(member, line, &session);
            }
            self.receive_answer(member, &session.line)?;
            let place = self.members[member].answered;
            self.judge_heard(member, &session, place)?;
        }
        if line.starts_with("** session ") {
            let session = SessionLine::read(line)?;
            self.judge_session(member, &session)?;
            self.tracked(member).pending = Some(session);
            return Ok(());
        }
        if line.starts_with("@ ") {
            return self.receive_stamp(member, line);
        }
        match line.strip_prefix('*') {
            Some(private) if private.starts_with("* ") => self.receive_private(member, private),
            _ => self.receive_record(member, line),
        }
    }

    fn receive_gap_count(&mut self, member: usize, session: &SessionLine, missed: usize) -> Verdict {
        let (least, most) = self.heard_range(member);
        self.tracked(member).stage = Stage::Gap(missed);
        self.tracked(member).gap = Some(session.clone());
        Rule::Heard.demands((least..=most).contains(&session.heard), || format!("from {least} to {most}"))?;
        let is_overtaken = self.is_overtaken(member, self.members[member].stay()) || self.config.lag == Lag::Disconnect;
        Rule::Delivery.demands(missed > 0 && is_overtaken, || "it was not overtaken".to_owned())
    }

    /// No gap began: an acknowledgement was followed by what a connection missed that has left its room.
    pub(crate) fn end_gap(&mut self, member: usize) -> Verdict {
        let Stage::Gap(missed) = self.tracked(member).stage else { return Ok(()) };
        self.tracked(member).stage = Stage::Live;
        if let Some(session) = self.tracked(member).gap.take() {
            self.receive_answer(member, &session.line)?;
            let place = self.members[member].answered;
            self.judge_heard(member, &session, place)?;
        }
        self.receive_private(member, &format!("* you missed {missed} lines"))
    }

    fn heard_range(&self, member: usize) -> (u64, u64) {
        let known = &self.members[member];
        let (least, most) = known.tracked.as_ref().map_or((0, 0), |tracked| tracked.base);
        let all = self.wires[member].borrow().ear.asked.len();
        // It may have been told long before this line came.
        let sure = known.answered.min(all);
        (least + self.count_lines(member, sure), most.saturating_add(self.count_lines(member, all)))
    }

    /// Takes the line that tells a member its new room. All lines up to its request were taken, and none behind that.
    fn receive_border(&mut self, member: usize, line: &str, session: &SessionLine) -> Verdict {
        self.receive_answer(member, &line[1..])?;
        let place = self.members[member].answered;
        self.tracked(member).stage = Stage::YouAre(Start::Moving);
        self.judge_heard(member, session, place)
    }

    fn judge_heard(&self, member: usize, session: &SessionLine, place: usize) -> Verdict {
        let base = self.members[member].tracked.as_ref().map_or((0, 0), |tracked| tracked.base);
        let lines = self.count_lines(member, place);
        // The position separates the records of the lines that were taken from those of the others.
        let room = self.rooms.iter().position(|room| room.epoch == session.epoch);
        let is_between =
            |&(said, of, item): &(usize, usize, usize)| Some(of) != room || (said < place) == (item < session.record);
        let is_right = self.members[member].said_at.iter().rev().take(40).all(is_between);
        Rule::Heard.demands(is_right, || format!("{:?} is not between its own lines", session.line))?;
        Rule::Heard.demands(session.heard == base.0 + lines, || {
            format!("{:?}: it took {} lines", session.line, base.0 + lines)
        })
    }

    /// Judges what does not depend on the moment.
    fn judge_session(&self, member: usize, session: &SessionLine) -> Verdict {
        let known = &self.members[member];
        let token = known.tracked.as_ref().and_then(|tracked| tracked.session).map(|at| &self.sessions[at].token);
        Rule::Resume.demands(token == Some(&session.token), || "it is another session".to_owned())?;
        Rule::Names.demands(known.names.contains(&session.name), || "it was never called so".to_owned())?;
        let is_here = |stay: &Stay| {
            let room = &self.rooms[stay.room];
            room.epoch == session.epoch && session.record <= room.log.items.len()
        };
        Rule::Track.demands(known.stays.iter().any(is_here), || "no position of its room".to_owned())
    }

    fn receive_stamp(&mut self, member: usize, line: &str) -> Verdict {
        let stamp = Stamp::read(line)?;
        let stay = self.members[member].stay();
        let (room, next) = (&self.rooms[stay.room], stay.next);
        let time_ms = room.log.items.get(next).map(|item| item.time_ms);
        let is_right = stamp.epoch == room.epoch && stamp.record == next && time_ms == Some(stamp.time_ms);
        self.tracked(member).stamped = Some(stamp.record);
        Rule::Track.demands(is_right, || format!("it is at {next}, of {time_ms:?}"))
    }

    fn receive_record(&mut self, member: usize, line: &str) -> Verdict {
        let stay = self.members[member].stay();
        let (at, log) = (stay.next, &self.rooms[stay.room].log);
        let is_next = at < self.stop(stay) && log.text(at) == line;
        if !is_next {
            let due = if at < self.stop(stay) { log.text(at) } else { "nothing" };
            return Rule::Track.broken(format!("{due:?} was due, which is record {at}"));
        }
        let is_stamped =
            !log.is_stamped(at) || self.members[member].tracked.as_ref().is_some_and(|t| t.stamped == Some(at));
        Rule::Track.demands(is_stamped, || format!("the stamp of record {at} is missing"))?;
        let stay = self.members[member].stay_mut();
        stay.next = at + 1;
        stay.stall.see_given(at)
    }

    /// Takes a line for it alone, as a plain client would be told it.
    fn receive_private(&mut self, member: usize, line: &str) -> Verdict {
        if line == "* this session goes on elsewhere" {
            let known = &mut self.members[member];
            Rule::Elsewhere.demands(known.is_elsewhere, || "it does not".to_owned())?;
            known.has_fin = true;
            return Ok(());
        }
        if line == HANDED_OVER {
            return self.receive_handed_over(member);
        }
        if let Some(missed) = missed_in(&format!("*{line}")) {
            let known = &self.members[member];
            let is_over = known.way.is_some() || known.stays.len() > 1 || known.has_left || known.is_kicked;
            let stay = known.stay();
            let owed = self.stop(stay) - stay.next;
            self.members[member].stay_mut().missed = missed;
            let is_right = (is_over || self.is_shutting_down) && missed == owed;
            return Rule::Track.demands(is_right, || format!("it is owed {owed} more records"));
        }
        self.receive_told_line(member, line)
    }
}

fn missed_in(line: &str) -> Option<usize> {
    between(line, "** you missed ", " line").or(between(line, "** you missed ", " lines"))?.parse().ok()
}
