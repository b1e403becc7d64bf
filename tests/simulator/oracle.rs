//! What must always hold, checked after every turn; nothing here is taken from `src`.
//!
//! One client, the witness, never talks and takes everything at once. What it is given is first checked by itself
//! against what the peers sent ([`log`](super::log)); it is then the list of what was said, in the order that counts,
//! and with the very offsets of the tape. Everybody else is checked against that list: each item once, in order, no own
//! line, as many lines missed as were told of in the gap, private lines beside, and `FIN` last.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pollchat::relay::room::Audience;
use pollchat::server::config::{Config, GRACE, Lag};
use pollchat::server::hub::Wake;

use crate::limits::{Bucket, Idleness};
use crate::log::{Item, Kind, Log};
use crate::net::{Reset, Wire};
use crate::said::{Asked, is_dangerous};
use crate::setting::REFUSALS_MAX;
use crate::stalls::Stall;

/// The number of the witness among the connections.
pub(crate) const WITNESS: usize = 0;

/// What was violated.
pub(crate) type Verdict = Result<(), String>;

/// The longest time for which the brake may hold input back.
const BRAKE_MAX: Duration = Duration::from_millis(10);

/// Own stretches that a reader may have ahead of it.
const HOLES_MAX: usize = 1_024;

/// What is known of one connection.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its number; one who was refused has none.
    pub(crate) number: Option<u64>,
    /// What it was ever called, the last one last.
    pub(crate) names: Vec<String>,
    /// Up to where what it asked for is settled by the log.
    pub(crate) heard: usize,
    /// Which of its renames came about.
    pub(crate) won: Vec<usize>,
    /// Up to where what it asked for is answered in private.
    pub(crate) answered: usize,
    /// Lines of the answer under way that it was given.
    pub(crate) answer_lines: usize,
    /// How many lines it said, up to `answered`.
    pub(crate) lines_said: usize,
    /// Up to where what it asked for was looked at.
    scanned: usize,
    /// What it must be told first.
    greeting: Vec<String>,
    greeted: usize,
    /// Where in the log it came, and where it left if the log says so.
    joined: usize,
    pub(crate) left: Option<usize>,
    /// It cannot have left before here.
    left_floor: Option<usize>,
    /// The next item that it may be given.
    pub(crate) next: usize,
    /// Lines that it was told it missed, in the gap that begins at `next`.
    missed: usize,
    partial: Vec<u8>,
    pub(crate) has_fin: bool,
    /// It was let go because it read too slowly.
    pub(crate) is_kicked: bool,
    is_closed: bool,
    /// The tail of the tape may have passed it once.
    pub(crate) was_overtaken: bool,
    /// The same, since it last had everything: of notices it may miss any without a word.
    lags: bool,
    /// The end of the log when it was let go at the earliest, if it was told so.
    pub(crate) let_go_since: Option<usize>,
    pub(crate) stall: Stall,
    pub(crate) bucket: Bucket,
    pub(crate) idleness: Idleness,
}

/// Something told in private, known by its text.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) to: String,
    pub(crate) is_told: Option<bool>,
    delivered_to: Option<usize>,
}

/// The judge of one run.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) config: Config,
    pub(crate) log: Log,
    pub(crate) members: Vec<Member>,
    pub(crate) wires: Vec<Rc<RefCell<Wire>>>,
    /// Who is still connected.
    active: Vec<usize>,
    /// Who came in this turn.
    pub(crate) newcomers: Vec<usize>,
    pub(crate) holders: HashMap<String, usize>,
    pub(crate) told: HashMap<String, Told>,
    present: usize,
    numbers: u64,
    pub(crate) is_shutting_down: bool,
    /// How many lines each may say: in a second, and at once.
    pub(crate) rate: Option<(u32, u32)>,
    now: Instant,
    /// When a turn last came so late that somebody's time may have begun and ended before it.
    pub(crate) late_at: Option<Instant>,
}

impl Oracle {
    pub(crate) fn new(config: &Config, rate: Option<(u32, u32)>, now: Instant) -> Oracle {
        Oracle {
            config: config.clone(),
            log: Log::default(),
            members: Vec::new(),
            wires: Vec::new(),
            active: Vec::new(),
            newcomers: Vec::new(),
            holders: HashMap::new(),
            told: HashMap::new(),
            present: 0,
            numbers: 0,
            is_shutting_down: false,
            rate,
            now,
            late_at: None,
        }
    }

    /// Learns that the hub is given a connection; returns what its number is among the members.
    pub(crate) fn admit(&mut self, wire: &Rc<RefCell<Wire>>, now: Instant) -> usize {
        let member = self.members.len();
        let is_turned_away = self.turned_away(wire);
        let is_full = self.config.clients_max.is_some_and(|most| self.present >= most);
        let is_refused = is_turned_away.is_some() || is_full;
        let mut greeting = Vec::new();
        let mut names = Vec::new();
        if let Some(notice) = is_turned_away {
            greeting.push(notice);
        } else if is_full {
            let most = self.present;
            greeting.push(format!("* the server is full ({most} client{})", if most == 1 { "" } else { "s" }));
        } else {
            self.present += 1;
            self.numbers += 1;
            names.push(format!("client-{}", self.numbers));
            self.holders.insert(names[0].clone(), member);
            greeting.push(format!("* you are {}; /help lists what you can do", names[0]));
            greeting.extend(self.config.greeting.lines().map(|line| format!("* {line}")));
            self.newcomers.push(member);
        }
        self.members.push(Member::new((!is_refused).then_some(self.numbers), names, greeting));
        self.wires.push(Rc::clone(wire));
        self.active.push(member);
        if !is_refused {
            self.expect_words(member, now);
        }
        if member == WITNESS && self.config.announce_up_to > 0 {
            // The one item that it is not given.
            self.log.push("* client-1 joined", WITNESS, Kind::Joined);
            self.newcomers.clear();
        }
        member
    }

    /// What one is told whom the door does not let in.
    fn turned_away(&self, wire: &Rc<RefCell<Wire>>) -> Option<String> {
        let address = wire.borrow().address;
        let door = &self.config.door;
        if door.deny.iter().any(|prefix| prefix.addr() == address) {
            return Some("* connections from your address are not allowed here".to_owned());
        }
        let is_in = |member: &&usize| {
            let wire = self.wires[**member].borrow();
            self.members[**member].number.is_some() && wire.address == address && !wire.is_closed
        };
        let most = door.per_address_max;
        let is_over = most > 0 && self.active.iter().filter(is_in).count() >= most;
        is_over.then(|| format!("* too many connections from your address (at most {most})"))
    }

    /// Judges whether one that was closed without a word may have been: the door must have refused it, while as many were
    /// being refused already as may be. (Before a full house one is left waiting then.)
    pub(crate) fn judge_admission(&mut self, member: usize) -> Verdict {
        if !self.wires[member].borrow().is_closed {
            return Ok(());
        }
        let is_refused =
            |member: &&usize| self.members[**member].number.is_none() && !self.wires[**member].borrow().is_closed;
        let refused = self.active.iter().filter(is_refused).count();
        self.active.retain(|&active| active != member);
        let Member { number, greeting, .. } = &self.members[member];
        let is_by_door = number.is_none() && !greeting[0].starts_with("* the server is full");
        if is_by_door && refused >= REFUSALS_MAX {
            Ok(())
        } else {
            Err(format!("it was closed without a word, while {refused} were being refused"))
        }
    }

    /// Judges a turn.
    pub(crate) fn judge(&mut self, now: Instant, wake: Wake) -> Verdict {
        if now.saturating_duration_since(self.now) > self.config.stall_timeout {
            self.late_at = Some(now);
        }
        self.now = now;
        let floor = self.log.items.len();
        for at in 0..self.active.len() {
            self.scan(self.active[at], floor);
        }
        self.receive(WITNESS).map_err(|what| self.about(WITNESS, &what))?;
        self.place_newcomers(self.log.items.len());
        for at in 0..self.active.len() {
            self.watch_pace(self.active[at]);
            self.receive(self.active[at]).map_err(|what| self.about(self.active[at], &what))?;
            self.watch_stall(self.active[at], now).map_err(|what| self.about(self.active[at], &what))?;
        }
        let is_at_wall = self.is_at_wall();
        for at in 0..self.active.len() {
            self.watch_idleness(self.active[at], now, is_at_wall);
        }
        for at in 0..self.active.len() {
            let member = self.active[at];
            self.judge_wire(member, now).map_err(|what| self.about(member, &what))?;
        }
        let members = &self.members;
        self.active.retain(|&member| !members[member].is_closed);
        let refused = self.active.iter().filter(|&&member| members[member].number.is_none()).count();
        if refused > REFUSALS_MAX {
            return Err(format!("{refused} are being refused"));
        }
        self.judge_patience(now, wake)?;
        self.judge_idleness(now, wake)?;
        self.judge_rest(now, wake)
    }

    /// What time it is.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// Who is still connected.
    pub(crate) fn active(&self) -> &[usize] {
        &self.active
    }

    /// Judges the end of a run, when nobody is left.
    pub(crate) fn judge_told(&self) -> Verdict {
        for (text, told) in &self.told {
            let holders = || self.members.iter().filter(|m| m.names.iter().any(|n| is_same_name(n, &told.to)));
            let all_took_all = holders().all(|member| member.has_fin);
            match (told.is_told, told.delivered_to) {
                (Some(false), Some(to)) => return Err(format!("{text:?} was told to {to}, and said not to be")),
                (Some(true), None) if all_took_all => return Err(format!("{text:?} was never told to {:?}", told.to)),
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn about(&self, member: usize, what: &str) -> String {
        let Member { number, names, next, missed, heard, answered, .. } = &self.members[member];
        let names = &names[names.len().saturating_sub(3)..];
        let ear = &self.wires[member].borrow().ear;
        let asked: Vec<&Asked> = ear.asked.iter().skip(ear.asked.len().saturating_sub(4)).collect();
        format!(
            "connection {member} ({number:?}, {names:?}; next {next} of {}, {missed} missed, asked {}, heard {heard}, \
             answered {answered}, last {asked:?}, ended {:?}): {what}",
            self.log.items.len(),
            ear.asked.len(),
            ear.ended
        )
    }

    /// Looks at what a connection asked for since it was last looked at.
    fn scan(&mut self, member: usize, floor: usize) {
        let wire = self.wires[member].borrow();
        let known = &mut self.members[member];
        for asked in &wire.ear.asked[known.scanned..] {
            if let Asked::Tell { to, text } = asked {
                let told = Told { to: to.clone(), is_told: None, delivered_to: None };
                self.told.insert(text.clone(), told);
            }
        }
        known.scanned = wire.ear.asked.len();
        if wire.ear.is_leaving() && known.left_floor.is_none() {
            known.left_floor = Some(floor);
        }
    }

    /// Takes what the hub wrote to one.
    fn receive(&mut self, member: usize) -> Verdict {
        let written = std::mem::take(&mut self.wires[member].borrow_mut().written);
        if written.is_empty() {
            return Ok(());
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

    fn receive_line(&mut self, member: usize, line: &str) -> Verdict {
        if line.chars().any(is_dangerous) {
            return Err("a terminal would obey it".to_owned());
        }
        if self.members[member].has_fin {
            return Err("after FIN".to_owned());
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
        self.members[member].has_fin = true;
        let known = &self.members[member];
        if known.number.is_none() {
            return Ok(());
        }
        if !self.members[member].is_greeted() && !self.members[member].is_kicked {
            // It was shown no earlier lines.
            self.begin(member, 0)?;
        }
        let known = &self.members[member];
        let is_leaving = self.wires[member].borrow().ear.is_leaving();
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

    /// What the sockets themselves tell.
    fn judge_wire(&mut self, member: usize, now: Instant) -> Verdict {
        let wire = Rc::clone(&self.wires[member]);
        let wire = wire.borrow();
        if let Some(misuse) = wire.misuse {
            return Err(misuse.to_owned());
        }
        if wire.is_finished && !self.members[member].has_fin {
            return Err("writing was ended without FIN".to_owned());
        }
        self.judge_hoard(member, &wire)?;
        if !wire.is_closed {
            return Ok(());
        }
        self.members[member].is_closed = true;
        let known = &self.members[member];
        let may_be_kicked = self.may_be_let_go(member);
        let is_let_go = known.number.is_none() || wire.ear.is_leaving() || may_be_kicked || self.is_shutting_down;
        if !is_let_go {
            return Err("it was closed without a reason".to_owned());
        }
        if !may_be_kicked && !self.is_shutting_down && known.number.is_some() {
            self.all_heard(member)?;
        }
        let is_over = wire.reset != Reset::No || (wire.is_finished && wire.ear.ended.is_some());
        // One who leaves is waited for like any other.
        let is_leaving = wire.ear.is_leaving() || self.is_shutting_down || known.idleness.may_be_gone.is_some();
        let is_over = is_over || is_leaving && known.stall.may_be_gone();
        let is_evicted = known.number.is_none() && wire.is_finished;
        // When one was let go is known if it was by its own wish.
        let by_own_wish = !may_be_kicked && !self.is_shutting_down && known.number.is_some();
        let left_at = wire.leaving_since.filter(|_| by_own_wish).unwrap_or(wire.last_written);
        let idle_since = wire.last_written.max(left_at);
        if is_over || is_evicted || now.saturating_duration_since(idle_since) >= GRACE {
            Ok(())
        } else {
            let idle = now.saturating_duration_since(idle_since);
            Err(format!("it was closed {idle:?} after it took something, with {} bytes unread", wire.unread_bytes()))
        }
    }

    /// Who provokes answers and takes none is not read: what the hub keeps for it is bounded.
    fn judge_hoard(&self, member: usize, wire: &Wire) -> Verdict {
        let unanswered = &wire.ear.asked[self.members[member].answered.min(wire.ear.asked.len())..];
        let may_be_kicked = self.may_be_let_go(member) || self.is_shutting_down;
        let is_present = self.members[member].number.is_some() && self.members[member].left.is_none();
        let is_heard = is_present && wire.reset == Reset::No;
        if unanswered.len() < 200 || !is_heard || may_be_kicked {
            return Ok(());
        }
        let help_bytes: usize = crate::answers::HELP.iter().map(|line| line.len() + 1).sum();
        let hoarded = unanswered.iter().filter(|asked| **asked == Asked::Help).count() * help_bytes;
        let parked = (wire.incoming_max() / "/help\n".len() + 2) * help_bytes;
        if hoarded > 64 * 1024 + parked { Err(format!("{hoarded} bytes are kept for it")) } else { Ok(()) }
    }

    /// If the hub would sleep, nothing may be left that no event will announce.
    fn judge_rest(&self, now: Instant, wake: Wake) -> Verdict {
        let wakes_at = match wake {
            Wake::Now => return Ok(()),
            Wake::At(time) => Some(time),
            Wake::OnEvent => None,
        };
        let is_braked = wakes_at.is_some_and(|time| time.saturating_duration_since(now) <= BRAKE_MAX)
            || self.may_be_throttled(now, wakes_at)
            || self.is_at_wall();
        for &member in &self.active {
            let wire = self.wires[member].borrow();
            if wire.is_closed || wire.reset != Reset::No || wire.is_blocked() {
                continue;
            }
            let is_forgotten = |silent_at| wakes_at.is_none_or(|wakes_at| wakes_at > silent_at);
            if !is_braked && wire.ear.silent_at().is_some_and(is_forgotten) && self.is_heard(member) {
                return Err(self.about(member, "at rest: its silence is forgotten"));
            }
            self.rests(member, &wire, is_braked).map_err(|what| self.about(member, &format!("at rest: {what}")))?;
        }
        Ok(())
    }

    /// Whether what one says counts.
    fn is_heard(&self, member: usize) -> bool {
        let known = &self.members[member];
        known.number.is_some() && known.left.is_none() && !known.has_fin && !known.is_kicked && !self.is_shutting_down
    }

    fn rests(&self, member: usize, wire: &Wire, is_braked: bool) -> Verdict {
        let known = &self.members[member];
        if !is_braked && wire.is_unread() {
            return Err("its input is forgotten".to_owned());
        }
        if known.has_fin || known.number.is_none() {
            return if wire.is_finished { Ok(()) } else { Err("it was not let go".to_owned()) };
        }
        if known.stall.must_be_gone() || known.idleness.must_be_gone {
            return Err("its time was over, and it was not let go".to_owned());
        }
        if !known.partial.is_empty() {
            return Err("a line was not written to its end".to_owned());
        }
        self.all_given(member)?;
        if is_braked {
            return Ok(());
        }
        if wire.ear.is_leaving() || self.is_shutting_down {
            return Err("it leaves, and was not told FIN".to_owned());
        }
        if known.is_kicked {
            return Ok(());
        }
        self.all_heard(member)?;
        self.all_answered(member)
    }

    /// Whether one was given everything up to the end, or told that it missed it.
    fn all_given(&self, member: usize) -> Verdict {
        let known = &self.members[member];
        if !known.is_greeted() {
            // Whether it was shown any earlier lines, and is owed more, the next line will tell.
            return Ok(());
        }
        let stop = known.left.unwrap_or(self.log.items.len());
        let others = self.said_by_others(member, stop);
        if others != known.missed {
            return Err(format!("{others} lines are owed or missed, {} told of", known.missed));
        }
        let is_owed = |item: &Item| item.kind != Kind::Said && !self.is_own(member, item);
        let owes_notice = known.next < stop && self.log.items[known.next..stop].iter().any(is_owed);
        if owes_notice && others == 0 && !known.lags {
            return Err("a notice is owed".to_owned());
        }
        Ok(())
    }

    /// Whether one may have been let go though it did not wish to.
    pub(crate) fn may_be_let_go(&self, member: usize) -> bool {
        self.config.lag == Lag::Disconnect || self.members[member].is_kicked || self.may_have_been_let_go(member)
    }

    /// The same, by what it did.
    pub(crate) fn may_have_been_let_go(&self, member: usize) -> bool {
        let known = &self.members[member];
        let was_too_slow = self.config.lag == Lag::Disconnect && known.was_overtaken;
        // Who is held back for its rate, and is gone, is not waited for: what it had still to say is dropped.
        let is_gone = self.config.rate.is_some() && self.wires[member].borrow().reset == Reset::Told;
        was_too_slow || is_gone || known.stall.may_be_gone() || known.idleness.may_be_gone.is_some()
    }

    /// Whether all that one said so far was put on the tape.
    pub(crate) fn all_heard(&self, member: usize) -> Verdict {
        let wire = self.wires[member].borrow();
        let lost = wire.ear.asked[self.members[member].heard..].iter().find(|asked| matches!(asked, Asked::Say(_)));
        match lost {
            Some(Asked::Say(text)) if self.config.audience != Audience::Sender => {
                Err(format!("{text:?} was not relayed"))
            }
            _ => Ok(()),
        }
    }

    /// Whether `item` is one that this connection made itself and is not given.
    pub(crate) fn is_own(&self, member: usize, item: &Item) -> bool {
        item.by == member
            && match item.kind {
                Kind::Said => self.config.audience == Audience::Others,
                kind => kind == Kind::Joined,
            }
    }

    /// How many lines others said from where one stands, up to `stop`.
    fn said_by_others(&self, member: usize, stop: usize) -> usize {
        let items = self.log.items.get(self.members[member].next..stop).unwrap_or_default();
        items.iter().filter(|item| item.kind == Kind::Said && !self.is_own(member, item)).count()
    }

    /// Whether the tail of the tape may have passed the place where one stands.
    pub(crate) fn is_overtaken(&self, member: usize) -> bool {
        let ahead = self.log.items.get(self.members[member].next..).unwrap_or_default();
        let Some(first) = ahead.iter().find(|item| !self.is_own(member, item)) else { return false };
        let behind = self.log.end() - first.start;
        behind > self.config.backlog_bytes || ahead.iter().filter(|item| self.is_own(member, item)).count() > HOLES_MAX
    }

    fn watch_pace(&mut self, member: usize) {
        let is_overtaken = self.is_overtaken(member);
        let known = &mut self.members[member];
        known.was_overtaken |= is_overtaken;
        known.lags = is_overtaken || (known.lags && known.next < self.log.items.len());
    }

    /// Those who came and were not announced stand where the log is now.
    pub(crate) fn place_newcomers(&mut self, at: usize) {
        for member in std::mem::take(&mut self.newcomers) {
            self.place(member, at);
        }
    }

    pub(crate) fn place(&mut self, member: usize, at: usize) {
        let known = &mut self.members[member];
        known.joined = at;
        // Until it is told how many earlier lines it is shown, it may stand at the first of as many as there can be.
        let history = usize::try_from(self.config.history_lines).unwrap_or(usize::MAX);
        let said = (0..at).rev().filter(|&item| self.log.items[item].kind == Kind::Said);
        known.next = said.take(history).last().unwrap_or(at);
    }

    /// Learns that the log says that one left.
    pub(crate) fn note_left(&mut self, member: usize, at: usize) {
        self.members[member].left = Some(at);
        self.present -= 1;
    }
}

impl Member {
    fn new(number: Option<u64>, names: Vec<String>, greeting: Vec<String>) -> Member {
        Member {
            number,
            names,
            heard: 0,
            won: Vec::new(),
            answered: 0,
            answer_lines: 0,
            lines_said: 0,
            scanned: 0,
            greeting,
            greeted: 0,
            joined: 0,
            left: None,
            left_floor: None,
            next: 0,
            missed: 0,
            partial: Vec::new(),
            has_fin: false,
            is_kicked: false,
            is_closed: false,
            was_overtaken: false,
            lags: false,
            let_go_since: None,
            stall: Stall::default(),
            bucket: Bucket::default(),
            idleness: Idleness::default(),
        }
    }

    /// Whether it was told all that comes first, and what it is shown of what was said before is known.
    pub(crate) fn is_greeted(&self) -> bool {
        self.greeted > self.greeting.len()
    }

    /// Whether a line to it was begun and not ended.
    pub(crate) fn is_amid_line(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Where in the log it came.
    pub(crate) fn joined(&self) -> usize {
        self.joined
    }

    fn next_greeting(&self) -> Option<&str> {
        self.greeting.get(self.greeted).map(String::as_str)
    }
}

/// What stands between the two in all of `line`.
pub(crate) fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    line.strip_prefix(before)?.strip_suffix(after)
}

pub(crate) fn is_same_name(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}
