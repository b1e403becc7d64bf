//! The oracle checks the [rules](crate::rule) after every turn. It takes nothing from `src` but the roster log and the
//! tapes.
//!
//! The lines of the tapes are first checked by themselves, against what the peers sent ([`log`](crate::log)) and who
//! was in the room ([`timeline`](crate::timeline)). Then every client is checked against the logs of the rooms that it
//! was in: each item once, in order, no own line, as many lines missed as it was told of, private lines beside, and
//! `FIN` last.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use pollchat::relay::room::Audience;
use pollchat::server::config::{Config, Lag};
use pollchat::server::flow::budget::TurnLimits;
use pollchat::server::hub::Wake;
use pollchat::server::limits::TURN_DELAY_MAX;
use pollchat::server::stats::Snapshot;

use crate::bans::KnownBans;
use crate::house::House;
use crate::journal::Read;
use crate::knocks::PASSWORD;
use crate::log::Kind;
use crate::member::{Member, Stay};
use crate::net::{Reset, Wire};
use crate::operator::Orders;
use crate::owners::Owners;
use crate::room::Room;
use crate::rule::{Rule, Verdict};
use crate::said::{Asked, Ended, Habit};
use crate::sessions::Session;
use crate::setting::{Plan, REFUSALS_MAX};
use crate::timeline::Placed;

/// The number of the witness among the connections.
pub(crate) const WITNESS: usize = 0;

/// The address of the page in the simulator.
pub(crate) const PAGE_ADDRESS: &str = "192.0.2.9:8080";

/// The answer to a browser on the line port.
const PAGE_HINT: &str = "this port is for line clients, not for browsers; the page is at http://192.0.2.9:8080/\n";

/// Own stretches that a reader may have ahead of it.
const HOLES_MAX: usize = 1_024;

/// A private message, known by its text.
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
    /// All rooms that there were: the lobby first.
    pub(crate) rooms: Vec<Room>,
    /// The rooms that are open, or were the last to be, by their name in lower case.
    pub(crate) by_name: HashMap<String, usize>,
    pub(crate) house: House,
    pub(crate) members: Vec<Member>,
    pub(crate) wires: Vec<Rc<RefCell<Wire>>>,
    /// Members by the number of their connection, which is the port of the peer.
    pub(crate) by_line: HashMap<usize, usize>,
    /// Connections that are open.
    pub(crate) active: Vec<usize>,
    /// Present members by their name.
    pub(crate) holders: HashMap<String, usize>,
    pub(crate) told: HashMap<String, Told>,
    /// Events of this turn.
    pub(crate) events: VecDeque<Placed>,
    /// When the log last showed a refusal, by its reason.
    pub(crate) logged: HashMap<String, Instant>,
    pub(crate) bans: KnownBans,
    pub(crate) sessions: Vec<Session>,
    /// Members whose connection is lost, and whose seat is kept.
    pub(crate) away: Vec<usize>,
    /// The member that was away and has just lost its seat to a newcomer.
    pub(crate) evicted: Option<String>,
    /// Connections whose seat passed to another one, and that one.
    pub(crate) predecessors: Vec<(usize, usize)>,
    /// Names of members that entered again.
    pub(crate) bygone_names: Vec<String>,
    /// The numbers of the last said lines of tracked clients, by tag.
    pub(crate) tagged: HashMap<String, u64>,
    /// Members that left in this turn.
    pub(crate) departing: Vec<usize>,
    pub(crate) present: usize,
    pub(crate) numbers: u64,
    pub(crate) is_shutting_down: bool,
    /// The lines that each client may say: in a second, and at once.
    pub(crate) rate: Option<(u32, u32)>,
    now: Instant,
    /// The time of day, in ms since 1970.
    pub(crate) clock_ms: u64,
    /// When a turn last came so late that a reader's time may have begun and ended before it.
    pub(crate) late_at: Option<Instant>,
    /// When the hub wanted the turn under way, unless it waited for an event.
    wanted_at: Option<Instant>,
    /// Whether that turn came so late that no silent browser may be disconnected in it.
    pub(crate) is_late: bool,
    /// The most visitors at a time.
    pub(crate) visitors_max: usize,
    /// The answer to a browser on the line port, if there is a page.
    pub(crate) page_hint: Option<&'static str>,
    /// The page, once it was seen.
    pub(crate) page: Option<Vec<u8>>,
    /// The journals of the kept rooms, which are the first rooms; none without a journal.
    pub(crate) kept: Vec<Read>,
    /// The password, if there is one, and the wrong ones that came from each address.
    pub(crate) password: Option<&'static str>,
    pub(crate) wrong_words: HashMap<IpAddr, usize>,
    /// The names with owners.
    pub(crate) owners: Owners,
    /// The order of the operator that is under way.
    pub(crate) orders: Orders,
    /// All greetings that were in force, the last one last.
    pub(crate) greetings: Vec<String>,
}

impl Oracle {
    pub(crate) fn new(plan: &Plan, now: Instant) -> Oracle {
        let rooms = Room::from_start(&plan.config);
        let by_name = rooms.iter().enumerate().map(|(at, room)| (room.name.to_lowercase(), at)).collect();
        let mut oracle = Oracle {
            config: plan.config.clone(),
            rooms,
            by_name,
            house: House::default(),
            members: Vec::new(),
            wires: Vec::new(),
            by_line: HashMap::new(),
            active: Vec::new(),
            holders: HashMap::new(),
            told: HashMap::new(),
            events: VecDeque::new(),
            logged: HashMap::new(),
            bans: KnownBans::new(),
            sessions: Vec::new(),
            away: Vec::new(),
            evicted: None,
            predecessors: Vec::new(),
            bygone_names: Vec::new(),
            tagged: HashMap::new(),
            departing: Vec::new(),
            present: 0,
            numbers: 0,
            is_shutting_down: false,
            rate: plan.rate,
            now,
            clock_ms: 0,
            late_at: None,
            wanted_at: None,
            is_late: false,
            visitors_max: plan.seats.visitors_max,
            page_hint: plan.site.as_ref().map(|_| PAGE_HINT),
            page: None,
            kept: Vec::new(),
            password: plan.knocks.as_ref().map(|_| PASSWORD),
            wrong_words: HashMap::new(),
            owners: Owners::default(),
            orders: Orders::default(),
            greetings: vec![plan.config.greeting.clone()],
        };
        if let Some(claims) = &plan.claims {
            oracle.owners.set(claims.file());
        }
        if plan.journal.is_some() {
            oracle.kept = vec![Read::default(); oracle.rooms.len()];
        }
        oracle.house.live = (0..oracle.rooms.len()).collect();
        (0..oracle.rooms.len()).for_each(|room| oracle.note_version(room));
        oracle
    }

    /// Begins a turn.
    pub(crate) fn begin_turn(&mut self, now: Instant) {
        if now.saturating_duration_since(self.now) > self.config.stall_timeout {
            self.late_at = Some(now);
        }
        self.now = now;
        self.is_late = self.wanted_at.is_some_and(|wanted_at| now > wanted_at + TURN_DELAY_MAX);
        self.forget_dropped();
        self.for_live(Room::begin_turn);
        self.departing.clear();
    }

    /// Judges what happened in a turn.
    pub(crate) fn judge_events(&mut self, now: Instant, wake: Wake) -> Verdict {
        self.wanted_at = match wake {
            Wake::Now => Some(now),
            Wake::At(time) => Some(time),
            Wake::OnEvent => None,
        };
        for at in 0..self.active.len() {
            self.scan(self.active[at]);
            self.watch_lock(self.active[at]);
            self.foresee_stall(self.active[at], now);
            self.watch_vigil(self.active[at], now)
                .map_err(|violation| violation.about(self.describe(self.active[at])))?;
        }
        self.replay()
    }

    /// Judges the end of a turn.
    pub(crate) fn judge(&mut self, now: Instant, wake: Wake) -> Verdict {
        for at in 0..self.active.len() {
            let member = self.active[at];
            self.watch_pace(member);
            self.judge_turn_of(member, now).map_err(|violation| violation.about(self.describe(member)))?;
        }
        self.watch_walls();
        for at in 0..self.active.len() {
            self.watch_idleness(self.active[at], now);
        }
        self.judge_departing()?;
        self.judge_owners()?;
        self.judge_introductions(now)?;
        for at in 0..self.active.len() {
            let member = self.active[at];
            let verdict = self.judge_wire(member, now).and_then(|()| self.judge_entering(member, now));
            verdict.map_err(|violation| violation.about(self.describe(member)))?;
        }
        self.judge_empty_rooms(now, wake)?;
        let (members, wires) = (&self.members, &self.wires);
        self.active.retain(|&member| !members[member].is_closed);
        // Behind a proxy, it is refused when its header is read.
        let is_refused = |&&member: &&usize| members[member].is_refused() && wires[member].borrow().has_read_header();
        let refused = self.active.iter().filter(is_refused).count();
        Rule::Memory.demands(refused <= REFUSALS_MAX, || format!("{refused} are being refused"))?;
        self.judge_patience(now, wake)?;
        self.judge_idleness(now, wake)?;
        self.judge_bans()?;
        self.rests_roster(now, wake)?;
        self.judge_seats(now, wake)?;
        self.judge_rest(now, wake)
    }

    fn judge_turn_of(&mut self, member: usize, now: Instant) -> Verdict {
        self.receive(member)?;
        self.watch_visit(member, now)?;
        self.watch_stall(member, now)
    }

    /// Judges the statistics.
    pub(crate) fn judge_stats(&self, snapshot: &Snapshot) -> Verdict {
        if self.is_shutting_down {
            return Ok(());
        }
        let said = self.live().map(|room| room.log.said).sum::<u64>() + self.house.said;
        let bytes = self.live().map(|room| room.log.end() as u64).sum::<u64>() + self.house.bytes;
        let rooms = self.live().filter(|room| room.is_open).count();
        // How many of the lines that went by unseen were said is not known.
        let said = if self.house.has_unseen { snapshot.lines } else { said };
        let of_log = (self.present, self.active.len(), rooms, said, bytes, self.numbers);
        let Snapshot { clients, connections, lines, tape_bytes, .. } = *snapshot;
        let of_hub = (clients, connections, snapshot.rooms, lines, tape_bytes, snapshot.stats.entered);
        Rule::Stats.demands(of_log == of_hub, || {
            format!(
                "clients, connections, rooms, lines, tape bytes and entered are {of_hub:?}, and ought to be {of_log:?}"
            )
        })
    }

    /// Whether small budgets may have put off to the next turn what was due in this one.
    pub(crate) fn may_be_behind(&self) -> bool {
        self.config.turn != TurnLimits::default() && self.goes_on()
    }

    /// Whether the hub wants another turn at once.
    pub(crate) fn goes_on(&self) -> bool {
        self.wanted_at == Some(self.now)
    }

    /// The time of this turn.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// Connections that are open.
    pub(crate) fn active(&self) -> &[usize] {
        &self.active
    }

    /// Judges the private messages at the end of a run, when nobody is left.
    pub(crate) fn judge_told(&self) -> Verdict {
        for (text, told) in &self.told {
            let holders = || self.members.iter().filter(|m| m.names.iter().any(|n| is_same_name(n, &told.to)));
            // A browser on the line port takes nothing but the address of the page. A client whose connection broke
            // before its first line was never seen under its name.
            let took_all = |member: &Member| member.has_fin && member.hint.is_none();
            let all_took_all = holders().next().is_some() && holders().all(took_all);
            match (told.is_told, told.delivered_to) {
                (Some(false), Some(to)) => {
                    return Rule::Messages.broken(format!("{text:?} was told to {to}, and said not to be"));
                }
                (Some(true), None) if all_took_all => {
                    return Rule::Messages.broken(format!("{text:?} was never told to {:?}", told.to));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Describes a connection, for reports.
    pub(crate) fn describe(&self, member: usize) -> String {
        let known = &self.members[member];
        let Member { number, names, heard, answered, .. } = known;
        let names = &names[names.len().saturating_sub(3)..];
        let Stay { room, next, missed, .. } = known.stay();
        let Room { name, log, .. } = &self.rooms[*room];
        let on =
            if known.stays.len() > 1 { ", then ".to_owned() + &self.rooms[known.room()].name } else { String::new() };
        let ear = &self.wires[member].borrow().ear;
        let asked: Vec<&Asked> = ear.asked.iter().skip(ear.asked.len().saturating_sub(4)).collect();
        format!(
            "connection {member} ({number:?}, {names:?}; in {name}{on}; next {next} of {}, {missed} missed, asked {}, \
             heard {heard}, answered {answered}, last {asked:?}, ended {:?}{})",
            log.items.len(),
            ear.asked.len(),
            ear.ended,
            ear.lock.as_ref().map_or(String::new(), |lock| lock.describe())
        )
    }

    pub(crate) fn about(&self, member: usize, what: &str) -> String {
        format!("{}: {what}", self.describe(member))
    }

    /// Looks at what a connection asked for since it was last looked at.
    pub(crate) fn scan(&mut self, member: usize) {
        let wire = self.wires[member].borrow();
        let known = &mut self.members[member];
        if let Some(open_since) = wire.sealing.as_ref().and_then(|sealing| sealing.open_since) {
            // Its time begins behind the handshake.
            known.came = known.came.max(open_since);
            known.visit.iter_mut().for_each(|visit| visit.came = visit.came.max(open_since));
        }
        for asked in &wire.ear.asked[known.scanned..] {
            if let Asked::Tell { to, text } = asked {
                let told = Told { to: to.clone(), is_told: None, delivered_to: None };
                self.told.insert(text.clone(), told);
            }
        }
        known.scanned = wire.ear.asked.len();
        known.asked_at.resize(known.scanned, self.house.version);
    }

    /// Whether the server may disconnect a client that does not wish to leave.
    pub(crate) fn may_be_disconnected(&self, member: usize) -> bool {
        self.config.lag == Lag::Disconnect || self.members[member].is_kicked || self.may_have_been_disconnected(member)
    }

    /// Whether what a client did, or failed to do, is a reason to disconnect it.
    pub(crate) fn may_have_been_disconnected(&self, member: usize) -> bool {
        let known = &self.members[member];
        let has_begun_again = known.has_begun_again(&self.wires[member].borrow().ear);
        let was_too_slow = self.config.lag == Lag::Disconnect && known.was_overtaken;
        let was_too_slow = was_too_slow || self.config.lag != Lag::Skip && has_begun_again;
        // Input of a client that `--rate` holds back is dropped once the client is gone.
        // So is that of one that is held while the room waits for a slow reader.
        let wire = self.wires[member].borrow();
        let waits_to_say = self.config.rate.is_some() || self.config.lag == Lag::Wait;
        // And so is the end of a line without a newline that has to wait for the brake, if a reset comes behind it.
        let has_open_line = wire.ear.ended == Some(Ended::Orderly) || wire.ear.habit() == Habit::Silence;
        let waits_to_say = waits_to_say || known.way.is_some() || has_open_line || known.tracked.is_some();
        let is_gone = waits_to_say && wire.reset == Reset::Told;
        // What breaks the protocol may be noticed before it has ended.
        let breaks_rule = self.wires[member].borrow().ear.breaks_rule();
        let was_silent = known.visit.as_ref().is_some_and(|visit| visit.socket.may_be_gone);
        let has_stalled = known.stall().may_be_gone() || known.idleness.may_be_gone.is_some();
        let is_removed = known.removal.is_some() || known.is_banned.is_some();
        was_too_slow || is_gone || has_stalled || breaks_rule || was_silent || is_removed
    }

    /// Whether all that a client said so far is on the tape.
    pub(crate) fn all_heard(&self, member: usize) -> Verdict {
        let wire = self.wires[member].borrow();
        let lost = wire.ear.asked[self.members[member].heard..].iter().find(|asked| matches!(asked, Asked::Say(_)));
        match lost {
            // A room that was dropped in the turn in which the last one left it was not looked at.
            Some(Asked::Say(text))
                if self.config.audience != Audience::Sender && !self.rooms[self.members[member].room()].is_cut =>
            {
                Rule::Relayed.broken(format!("{text:?} was not relayed"))
            }
            _ => Ok(()),
        }
    }

    /// Whether an item is of the client's own making, and not sent to it. What it said in an earlier stay is history.
    pub(crate) fn is_own(&self, member: usize, stay: &Stay, at: usize) -> bool {
        let item = &self.rooms[stay.room].log.items[at];
        item.by == member
            && self.members[member].tracked.is_none()
            && at >= stay.joined
            && match item.kind {
                Kind::Said => self.config.audience == Audience::Others,
                kind => kind == Kind::Joined,
            }
    }

    /// The end of what a reader is owed in a stay.
    pub(crate) fn stop(&self, stay: &Stay) -> usize {
        stay.left.unwrap_or(self.rooms[stay.room].log.items.len())
    }

    /// Counts the lines that others said from a reader's place up to the end of what it is owed.
    pub(crate) fn said_by_others(&self, member: usize, stay: &Stay) -> usize {
        let items = &self.rooms[stay.room].log.items;
        let is_of_others = |&at: &usize| items[at].kind == Kind::Said && !self.is_own(member, stay, at);
        (stay.next..self.stop(stay)).filter(is_of_others).count()
    }

    /// Whether the tail of the tape may have overtaken a reader.
    pub(crate) fn is_overtaken(&self, member: usize, stay: &Stay) -> bool {
        let room = &self.rooms[stay.room];
        let mut ahead = stay.next..room.log.items.len();
        let Some(first) = ahead.clone().find(|&at| !self.is_own(member, stay, at)) else { return false };
        let behind = room.log.end() - room.log.items[first].start;
        behind > room.backlog_bytes
            || ahead.len() > HOLES_MAX && ahead.by_ref().filter(|&at| self.is_own(member, stay, at)).count() > HOLES_MAX
    }

    fn watch_pace(&mut self, member: usize) {
        for at in 0..self.members[member].stays.len() {
            let stay = &self.members[member].stays[at];
            let is_overtaken = self.is_overtaken(member, stay);
            let lags = is_overtaken || (stay.lags && stay.next < self.rooms[stay.room].log.items.len());
            let known = &mut self.members[member];
            known.stays[at].lags = lags;
            known.was_overtaken |= is_overtaken;
        }
    }
}

/// The part of `line` between `before` and `after`.
pub(crate) fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    line.strip_prefix(before)?.strip_suffix(after)
}

pub(crate) fn is_same_name(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}
