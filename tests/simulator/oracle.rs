//! What must always hold, checked after every turn; nothing here is taken from `src`.
//!
//! One client, the witness, never talks and takes everything at once. What it is given is first checked by itself
//! against what the peers sent ([`log`](super::log)); it is then the list of what was said, in the order that counts,
//! and with the very offsets of the tape. Everybody else is checked against that list: each item once, in order, no own
//! line, as many lines missed as were told of in the gap, private lines beside, and `FIN` last.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use pollchat::relay::room::Audience;
use pollchat::server::config::{Config, Lag};
use pollchat::server::hub::Wake;
use pollchat::server::limits::TURN_DELAY_MAX;

use crate::log::{Item, Kind, Log};
use crate::member::Member;
use crate::net::{Reset, Wire};
use crate::said::Asked;
use crate::setting::{Plan, REFUSALS_MAX};

/// The number of the witness among the connections.
pub(crate) const WITNESS: usize = 0;

/// What was violated.
pub(crate) type Verdict = Result<(), String>;

/// Where the page is, in the simulator.
pub(crate) const PAGE_ADDRESS: &str = "192.0.2.9:8080";

/// What one is told of it who asks for it on the port for lines.
const PAGE_HINT: &str = "this port is for line clients, not for browsers; the page is at http://192.0.2.9:8080/\n";

/// Own stretches that a reader may have ahead of it.
const HOLES_MAX: usize = 1_024;

/// Something told in private, known by its text.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) to: String,
    pub(crate) is_told: Option<bool>,
    pub(crate) delivered_to: Option<usize>,
}

/// The judge of one run.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) config: Config,
    pub(crate) log: Log,
    pub(crate) members: Vec<Member>,
    pub(crate) wires: Vec<Rc<RefCell<Wire>>>,
    /// Who is still connected.
    pub(crate) active: Vec<usize>,
    /// Who came in this turn.
    pub(crate) newcomers: Vec<usize>,
    pub(crate) holders: HashMap<String, usize>,
    pub(crate) told: HashMap<String, Told>,
    pub(crate) present: usize,
    pub(crate) numbers: u64,
    pub(crate) is_shutting_down: bool,
    /// How many lines each may say: in a second, and at once.
    pub(crate) rate: Option<(u32, u32)>,
    now: Instant,
    /// When a turn last came so late that somebody's time may have begun and ended before it.
    pub(crate) late_at: Option<Instant>,
    /// When the hub wanted the turn under way, unless it waited for an event.
    wanted_at: Option<Instant>,
    /// Whether that turn came so late that nobody is taken for gone in it who gave no sign.
    pub(crate) is_late: bool,
    /// How many visitors there may be at a time.
    pub(crate) visitors_max: usize,
    /// What one is told, if there is a page, who asks for it on the port for lines.
    pub(crate) page_hint: Option<&'static str>,
    /// The page, once it was seen.
    pub(crate) page: Option<Vec<u8>>,
}

impl Oracle {
    pub(crate) fn new(plan: &Plan, now: Instant) -> Oracle {
        Oracle {
            config: plan.config.clone(),
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
            rate: plan.rate,
            now,
            late_at: None,
            wanted_at: None,
            is_late: false,
            visitors_max: plan.seats.visitors_max,
            page_hint: plan.site.as_ref().map(|_| PAGE_HINT),
            page: None,
        }
    }

    /// Judges a turn.
    pub(crate) fn judge(&mut self, now: Instant, wake: Wake) -> Verdict {
        if now.saturating_duration_since(self.now) > self.config.stall_timeout {
            self.late_at = Some(now);
        }
        self.now = now;
        self.is_late = self.wanted_at.is_some_and(|wanted_at| now > wanted_at + TURN_DELAY_MAX);
        self.wanted_at = match wake {
            Wake::Now => Some(now),
            Wake::At(time) => Some(time),
            Wake::OnEvent => None,
        };
        self.take_arrivals()?;
        let floor = self.log.items.len();
        for at in 0..self.active.len() {
            self.scan(self.active[at], floor);
            self.watch_vigil(self.active[at], now).map_err(|what| self.about(self.active[at], &what))?;
        }
        self.receive(WITNESS).map_err(|what| self.about(WITNESS, &what))?;
        self.place_newcomers(self.log.items.len());
        for at in 0..self.active.len() {
            let member = self.active[at];
            self.watch_pace(member);
            let verdict = self.receive(member).and_then(|()| self.watch_visit(member, now));
            verdict.and_then(|()| self.watch_stall(member, now)).map_err(|what| self.about(member, &what))?;
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
        let refused = self.active.iter().filter(|&&member| members[member].is_refused()).count();
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
            // A browser on the port for lines takes nothing but where the page is.
            let all_took_all = holders().all(|member| member.has_fin && member.hint.is_none());
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
        // Who begins to break a rule may be let go for it before it has ended.
        let breaks_rule = self.wires[member].borrow().ear.breaks_rule();
        let was_silent = known.visit.as_ref().is_some_and(|visit| visit.socket.may_be_gone);
        let has_stalled = known.stall.may_be_gone() || known.idleness.may_be_gone.is_some();
        was_too_slow || is_gone || has_stalled || breaks_rule || was_silent
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
    pub(crate) fn said_by_others(&self, member: usize, stop: usize) -> usize {
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

    /// Learns that the log says that one left.
    pub(crate) fn note_left(&mut self, member: usize, at: usize) {
        self.members[member].left = Some(at);
        self.present -= 1;
    }
}

/// What stands between the two in all of `line`.
pub(crate) fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    line.strip_prefix(before)?.strip_suffix(after)
}

pub(crate) fn is_same_name(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}
