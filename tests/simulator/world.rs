//! One run: the hub, its peers, the network between them and the clock, step by step.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use pollchat::relay::room::Audience;
use pollchat::relay::secret::SecretHash;
use pollchat::server::config::{Config, Lag};
use pollchat::server::endpoint::Endpoint;
use pollchat::server::flow::budget::TurnLimits;
use pollchat::server::hub::{Hub, Readiness, Wake};
use pollchat::server::limits::{HANDSHAKES_A_TURN, INTRODUCE_AFTER};
use pollchat::server::web::origin::OriginPolicy;
use pollchat::server::web::site::Site;

use crate::bans::{BanOrder, BanPlan, REASON};
use crate::chance::Chance;
use crate::claims::ClaimPlan;
use crate::clients::{Client, State};
use crate::clock::Clock;
use crate::control::Control;
use crate::journal::JournalPlan;
use crate::knocks::{KnockPlan, PASSWORD};
use crate::listener::{Accepted, Listener};
use crate::movers::RoomPlan;
use crate::net::{FakeSocket, Reset, Shared, Wire};
use crate::operator::OperatorPlan;
use crate::oracle::{Oracle, PAGE_ADDRESS, WITNESS};
use crate::peers::Peer;
use crate::reloads::{Reload, ReloadPlan, rate_of};
use crate::roster_log;
use crate::rule::{Rule, Verdict};
use crate::said::Ear;
use crate::sealing::{Sealing, TlsPlan, settings};
use crate::setting::{Fault, Faults, Oddities, Plan, Setting, SitePlan, TrackPlan, home};
use crate::store::Disk;

/// Turns in a row that may bring nothing on although the hub wanted them at once.
const IDLE_TURNS_MAX: usize = 100;

/// The same with small budgets: of what a peer is answered that takes nothing, each turn answers one request.
const IDLE_TURNS_OF_SMALL_BUDGETS_MAX: usize = 4_000;

/// The longest wait for everything to come to rest while there are browsers: longer than a silent browser stays.
const REST_MAX: Duration = Duration::from_secs(600);

/// Turns that everything takes at most to come to rest.
const SETTLING_TURNS_MAX: usize = 200_000;

/// A connection, and the peer at its other end.
struct Line {
    wire: Rc<RefCell<Wire>>,
    peer: Peer,
    key: Option<usize>,
}

/// A hub and everything around it.
pub(crate) struct World {
    chance: Chance,
    faults: Faults,
    peers_max: usize,
    room: (usize, usize),
    oddities: Oddities,
    site: Option<SitePlan>,
    rooms: RoomPlan,
    tracks: Option<TrackPlan>,
    tls: Option<TlsPlan>,
    claims: Option<ClaimPlan>,
    knocks: Option<KnockPlan>,
    control: Option<Control>,
    operator: Option<OperatorPlan>,
    reloads: Option<ReloadPlan>,
    bans: Option<BanPlan>,
    journal: Option<(JournalPlan, Disk)>,
    /// Whether the disk of the journal has just gone on: that wakes the hub.
    has_space: bool,
    /// Tracked clients.
    clients: Vec<Rc<RefCell<Client>>>,
    /// One turn in so many, a client without a connection comes back.
    patience: usize,
    hub: Hub<FakeSocket>,
    shared: Rc<Shared>,
    clock: Clock,
    listener: Listener,
    lines: Vec<Line>,
    /// Connections that are open, or wait to be accepted.
    alive: Vec<usize>,
    oracle: Oracle,
    idle_turns: usize,
    /// Bytes that were put on all tapes.
    tape_bytes: u64,
    /// Whether the hub checks its invariants at this moment.
    is_checking: bool,
    description: String,
    /// The last events, for the report.
    events: std::collections::VecDeque<String>,
    records_events: bool,
    step: usize,
}

impl World {
    pub(crate) fn new(setting: Setting, records_events: bool) -> World {
        let plan = Plan::of(setting);
        let now = Instant::now();
        let mut hub = Hub::new(&plan.config, plan.seats, now).expect("a small tape");
        let disk = Disk::new(1 + plan.config.rooms.len());
        if plan.journal.is_some() {
            hub.keep(Box::new(disk.clone()), disk.kept(0), disk.numbers());
        }
        let oracle = Oracle::new(&plan, now);
        roster_log::listen();
        let mut world = World {
            chance: plan.chance,
            faults: plan.faults,
            peers_max: plan.peers_max,
            room: plan.room,
            oddities: plan.oddities,
            site: plan.site,
            rooms: plan.rooms,
            patience: plan.tracks.as_ref().map_or(1, |plan| plan.patience),
            tracks: plan.tracks,
            tls: plan.tls,
            claims: plan.claims,
            knocks: plan.knocks,
            control: plan.control,
            operator: plan.operator,
            reloads: plan.reloads,
            bans: plan.bans,
            journal: plan.journal.map(|plan| (plan, disk)),
            has_space: false,
            clients: Vec::new(),
            hub,
            shared: Rc::new(Shared { now: Cell::new(now), progress: Cell::new(0), turn: Cell::default() }),
            clock: Clock::new(setting.seed, now),
            listener: Listener::new(),
            lines: Vec::new(),
            alive: Vec::new(),
            oracle,
            idle_turns: 0,
            tape_bytes: 0,
            is_checking: false,
            description: format!("{:?}, {:?}", plan.config, plan.faults.iter().collect::<Vec<_>>()),
            events: std::collections::VecDeque::new(),
            records_events,
            step: 0,
        };
        if world.site.is_some() {
            let address = PAGE_ADDRESS.parse().expect("an address");
            world
                .hub
                .open_site(Site::new(OriginPolicy::default(), &[(Endpoint::Web, address)], || SystemTime::UNIX_EPOCH));
        }
        if world.tls.is_some() {
            world.hub.open_tls(settings().server.clone());
        }
        if let Some(claims) = &world.claims {
            world.hub.set_names(claims.names());
        }
        if let Some(control) = &world.control {
            control.introduce(&mut world.hub);
        }
        if world.knocks.is_some() {
            world.hub.set_password(Some(SecretHash::of(PASSWORD)));
        }
        world
    }

    /// Runs all steps, and then until nothing is left to do.
    pub(crate) fn run(&mut self, steps: usize) -> Verdict {
        self.let_witness_in()?;
        for step in 0..steps {
            self.step = step;
            self.step()?;
        }
        self.step = steps;
        self.settle()
    }

    /// Connects the witness, and passes the time until it is introduced.
    fn let_witness_in(&mut self) -> Verdict {
        self.connect(Peer::witness(), Faults::NONE, (1, usize::MAX / 4));
        {
            let mut wire = self.lines[WITNESS].wire.borrow_mut();
            wire.calm_down();
            if self.knocks.is_some() {
                wire.send(format!("/pass {PASSWORD}\n").as_bytes());
            }
            // A client that never says anything is disconnected where `--idle-timeout` is set.
            wire.send(if self.oracle.config.idle_timeout.is_some() { b"/help\n" } else { b"\n" });
        }
        // Its accept does not fail.
        self.listener.collect();
        self.admit_waiting(WITNESS)?;
        self.listener.waiting.clear();
        self.turn(&mut |_| true)?;
        self.shared.now.set(self.shared.now.get() + INTRODUCE_AFTER);
        self.turn(&mut |_| true)
    }

    /// The step under way.
    pub(crate) fn at(&self) -> usize {
        self.step
    }

    /// Whether the hub was checking its invariants when the run ended.
    pub(crate) fn is_checking(&self) -> bool {
        self.is_checking
    }

    /// The settings of the server, and the faults.
    pub(crate) fn describe(&self) -> &str {
        &self.description
    }

    /// The last events.
    pub(crate) fn last_events(&self) -> impl Iterator<Item = &String> {
        self.events.iter()
    }

    fn step(&mut self) -> Verdict {
        self.pass_time();
        if let Some((JournalPlan { chance, blocks_in }, disk)) = &mut self.journal
            && *blocks_in > 0
            && chance.one_in(*blocks_in)
        {
            disk.takes(chance.pick(&[0, 0, 100, 3_000, usize::MAX, usize::MAX]));
            self.has_space = self.hub.has_unkept();
        }
        if let Some(claims) = &mut self.claims
            && claims.change()
        {
            self.oracle.change_owners(claims.file());
            self.hub.set_names(claims.names());
            self.note(|| "the names are read anew".to_owned());
        }
        self.reload();
        for _ in 0..self.chance.up_to(3) {
            let at = self.chance.below(self.alive.len());
            self.act(self.alive[at])?;
        }
        self.reconnect();
        if let Some(control) = &mut self.control {
            control.act(&self.shared);
        }
        if self.alive.len() <= self.peers_max && self.chance.one_in(30) {
            let peer = self.newcomer().moving(self.rooms.mover());
            let peer = peer.claiming(self.claims.as_mut().and_then(ClaimPlan::claims));
            let peer = peer.knocking(self.knocks.as_mut().map(KnockPlan::knock));
            self.connect(peer, self.faults, self.room);
        }
        let is_late = self.faults.has(Fault::Delayed) && self.chance.one_in(3);
        if is_late || !self.is_turn_due() {
            return Ok(());
        }
        let delays = self.faults.has(Fault::Delayed);
        let mut chance = self.chance.fork();
        self.turn(&mut |_| !delays || !chance.one_in(4))
    }

    /// Changes a setting of the server, if it is time for that.
    fn reload(&mut self) {
        let Some(reload) = self.reloads.as_mut().and_then(|plan| plan.change(&self.oracle.config)) else { return };
        self.oracle.reload(&reload);
        self.note(|| format!("{reload:?}"));
        match reload {
            Reload::Greeting(text) => self.hub.set_greeting(&text),
            Reload::Access(rules) => self.hub.set_access(&rules),
            Reload::Rate(rate) => self.hub.set_rate(Some(rate_of(rate)), self.shared.now.get()),
        }
    }

    fn newcomer(&mut self) -> Peer {
        let (chance, config) = (self.chance.fork(), &self.oracle.config);
        if let Some(SitePlan { chance: of_site, one_browser_in, .. }) = &mut self.site
            && of_site.one_in(*one_browser_in)
        {
            return Peer::browser(chance, config);
        }
        let Oddities { chance: odd, one_stranger_in, one_silent_in, one_prober_in } = &mut self.oddities;
        let mut is_one_in = |times: usize| times > 0 && odd.one_in(times);
        match () {
            () if is_one_in(*one_stranger_in) => Peer::foreign(chance, config),
            () if is_one_in(*one_silent_in) => Peer::silent(chance, config),
            () if is_one_in(*one_prober_in) => Peer::prober(chance, config),
            () => Peer::new(chance, config),
        }
    }

    /// Tells the hub the time of day.
    fn set_clock(&mut self) {
        let unix_ms = self.clock.unix_ms(self.shared.now.get());
        self.oracle.set_clock(unix_ms);
        self.hub.set_clock(unix_ms);
    }

    /// Lets the operator ban an address, or lift a ban.
    fn ban(&mut self, now: Instant) {
        let Some(order) = self.bans.as_mut().and_then(BanPlan::order) else { return };
        let answer = match order {
            BanOrder::Ban { network, time } => self.hub.ban(&network.to_string(), time, REASON, now),
            BanOrder::Unban { network } => self.hub.unban(&network.to_string(), now),
        };
        self.oracle.obey(order);
        self.note(|| format!("{order:?}: {answer:?}"));
    }

    fn pass_time(&mut self) {
        let micros = self.chance.pick(&[0, 1, 50, 500, 3_000]);
        let mut pause = Duration::from_micros(micros);
        if self.faults.has(Fault::TimeJumps) && self.chance.one_in(500) {
            pause = Duration::from_secs(self.chance.pick(&[1, 3, 6, 100]));
        }
        self.shared.now.set(self.shared.now.get() + pause);
    }

    fn act(&mut self, line: usize) -> Verdict {
        let Line { wire, peer, key } = &mut self.lines[line];
        if key.is_none() && self.chance.one_in(2) {
            return Ok(());
        }
        wire.borrow_mut().pump();
        peer.act(line, &mut wire.borrow_mut(), self.faults)
    }

    /// Lets tracked clients come, and come back; or be there twice.
    fn reconnect(&mut self) {
        let Some(plan) = &mut self.tracks else { return };
        if self.clients.len() < plan.clients_max && plan.chance.one_in(100) {
            let is_browser = self.site.is_some() && plan.chance.one_in(3);
            let is_late = plan.late_in > 0 && self.oracle.config.lag != Lag::Wait && plan.chance.one_in(plan.late_in);
            let line_bytes_max = self.oracle.config.line_bytes_max;
            let client = Client::new(plan.chance.fork(), is_browser, is_late, line_bytes_max);
            let client = client.claiming(self.claims.as_mut().and_then(ClaimPlan::claims));
            self.clients.push(Rc::new(RefCell::new(client)));
        }
        for at in 0..self.clients.len() {
            let client = Rc::clone(&self.clients[at]);
            let (state, link) = (client.borrow().state, client.borrow().link);
            let is_gone = link.is_none_or(|line| self.lines[line].wire.borrow().is_closed);
            let odds = match (state, link) {
                // It comes back with the token to which it said goodbye.
                (State::Over, _) if is_gone => 100,
                (State::Over, _) => continue,
                (_, None) => self.patience,
                (State::Idle, Some(_)) => continue,
                (State::Asking, Some(_)) => 200,
                (_, Some(_)) => 2_000,
            };
            if self.tracks.as_mut().is_some_and(|plan| plan.chance.one_in(odds)) {
                self.connect_client(&client);
            }
        }
    }

    fn connect_client(&mut self, client: &Rc<RefCell<Client>>) {
        let Some(plan) = &mut self.tracks else { return };
        let peer = Peer::tracked(plan.chance.fork(), &self.oracle.config, client);
        let peer = peer.knocking(self.knocks.as_mut().map(KnockPlan::tracked_knock));
        client.borrow_mut().connect(self.lines.len());
        self.connect(peer, self.faults, self.room);
        self.lines[self.lines.len() - 1].wire.borrow_mut().keep_taken();
    }

    fn connect(&mut self, peer: Peer, faults: Faults, room: (usize, usize)) {
        let line = self.lines.len();
        let room = (self.chance.up_to(room.0), self.chance.up_to(room.1));
        let Config { line_bytes_max, flush_after, .. } = self.oracle.config;
        let is_browser = peer.browser.is_some();
        let ear = if is_browser { Ear::at_door(line_bytes_max) } else { Ear::new(line_bytes_max, flush_after) };
        let ear = ear.tracked_if(self.oracle.config.audience != Audience::Sender).locked_by(self.oracle.password);
        // A page is long, and a visitor must take it within some time.
        let room = if is_browser { (room.0.max(20), room.1.max(self.chance.pick(&[40, 400, 50_000]))) } else { room };
        let mut wire = Wire::new(&self.shared, self.chance.fork(), faults, ear, room);
        if line != WITNESS {
            wire.address = home(line);
            wire.port = u16::try_from(line).expect("few lines");
            if let Some(TlsPlan { chance, one_in, one_untold_in }) = &mut self.tls
                && chance.one_in(*one_in)
            {
                wire.sealing = Some(Box::new(Sealing::new(is_browser, chance.one_in(*one_untold_in))));
            } else if !is_browser && !self.oracle.config.proxies.is_empty() {
                wire.come_through_proxy(line.is_multiple_of(2));
            }
        }
        self.note(|| format!("{line} connects: {:?}, room {room:?}", peer.habit));
        self.lines.push(Line { wire: Rc::new(RefCell::new(wire)), peer, key: None });
        self.alive.push(line);
        self.listener.arrive(line);
    }

    /// Whether the hub would be awake now.
    fn is_turn_due(&mut self) -> bool {
        let now = self.shared.now.get();
        let is_due = match self.hub.next_wake() {
            Wake::Now => true,
            Wake::At(time) => time <= now,
            Wake::OnEvent => false,
        };
        is_due
            || self.has_space
            || self.can_accept()
            || self.listener.has_edge()
            || self.has_orders()
            || self.alive.iter().any(|&line| self.has_edge(line))
            || (self.faults.has(Fault::Spurious) && self.chance.one_in(20))
    }

    /// Whether an operator waits for the hub, or for the outer loop.
    fn has_orders(&self) -> bool {
        self.control
            .as_ref()
            .is_some_and(|control| control.has_edge() || control.has_waiting(&self.hub) || self.hub.is_reload_wanted())
    }

    fn can_accept(&self) -> bool {
        self.hub.can_admit() && self.listener.is_owed(self.shared.now.get())
    }

    fn has_edge(&self, line: usize) -> bool {
        self.lines[line].key.is_some() && self.lines[line].wire.borrow().has_edge()
    }

    /// Makes a turn of the outer loop, with those due events that `reports` lets through.
    fn turn(&mut self, reports: &mut dyn FnMut(usize) -> bool) -> Verdict {
        let now = self.shared.now.get();
        let before = self.shared.progress.get();
        let events = self.collect(reports);
        self.has_space = false;
        if !events.is_empty() {
            self.note(|| format!("turn: {events:?}"));
        }
        self.listener.collect();
        self.set_clock();
        let middle = if self.faults.has(Fault::MidBatch) { self.chance.below(events.len() + 1) } else { events.len() };
        for &(key, readiness) in &events[..middle] {
            self.report(key, readiness);
        }
        self.accept(now)?;
        for &(key, readiness) in &events[middle..] {
            self.report(key, readiness);
        }
        self.shared.turn.set(self.shared.turn.get().next());
        self.oracle.begin_turn(now);
        self.hub.react(now);
        if let Some(control) = &mut self.control {
            control.reload(&mut self.hub);
        }
        // Members that have left in this turn are not removed by a ban.
        self.oracle.hear(self.hub.tapes())?;
        self.ban(now);
        self.oracle.hear(self.hub.tapes())?;
        self.give_order(now)?;
        self.oracle.for_live(|room| room.log.offer());
        if self.hub.flush(now) > 0 {
            self.listener.on_freed(now);
        }
        self.judge_turn()?;
        let wake = self.hub.next_wake();
        self.oracle.hear(self.hub.tapes())?;
        self.oracle.judge_events(now, wake)?;
        self.is_checking = true;
        self.hub.check_invariants();
        self.is_checking = false;
        self.oracle.judge(now, wake)?;
        if let Some((_, disk)) = &self.journal {
            self.oracle.judge_journal(disk, disk.is_bounded(), wake)?;
        }
        let mut stats = self.hub.stats();
        if let Some(control) = &mut self.control {
            stats.connections -= control.connections();
            control.judge()?;
        }
        self.oracle.judge_stats(&stats)?;
        if std::mem::replace(&mut self.tape_bytes, stats.tape_bytes) != stats.tape_bytes {
            // A line brings something on though nobody hears it.
            self.shared.progress.set(self.shared.progress.get() + 1);
        }
        self.lines[WITNESS].wire.borrow_mut().take(usize::MAX);
        let lines = &self.lines;
        self.alive.retain(|&line| !lines[line].wire.borrow().is_closed);
        let wants_turn = wake == Wake::Now || matches!(wake, Wake::At(time) if time <= now);
        let is_idle = wants_turn && events.is_empty() && self.shared.progress.get() == before;
        self.idle_turns = if is_idle { self.idle_turns + 1 } else { 0 };
        if self.idle_turns > self.idle_turns_max() {
            Rule::Sleep.broken("the hub turns and does nothing")
        } else {
            Ok(())
        }
    }

    /// Lets the operator give an order, once all are in.
    fn give_order(&mut self, now: Instant) -> Verdict {
        let Some(order) = self.operator.as_mut().filter(|_| self.step > 0).and_then(|plan| plan.order(&self.oracle))
        else {
            return Ok(());
        };
        self.note(|| format!("order: {order}"));
        self.oracle.begin_order(&order, self.hub.tapes().map(|(room, tape)| (room, tape.end().offset)));
        let answer = self.hub.order(&order.to_string(), now);
        self.oracle.hear(self.hub.tapes())?;
        self.oracle.end_order(&order, &answer).map_err(|violation| violation.about(order))
    }

    fn has_small_budgets(&self) -> bool {
        self.oracle.config.turn != TurnLimits::default()
    }

    fn idle_turns_max(&self) -> usize {
        if self.has_small_budgets() { IDLE_TURNS_OF_SMALL_BUDGETS_MAX } else { IDLE_TURNS_MAX }
    }

    /// Judges how many peers the turn has read from and written to. The last one of each budget may exceed it.
    fn judge_turn(&self) -> Verdict {
        let limits = self.oracle.config.turn;
        let handshakes = if self.tls.is_some() { HANDSHAKES_A_TURN } else { 0 };
        let (read_max, written_max) =
            (limits.read_bytes / 512 + limits.reply_bytes / 2_048 + 2 + handshakes, limits.write_bytes / 2_048 + 2);
        let turn = self.shared.turn.get();
        Rule::Handshakes.demands(turn.hellos <= HANDSHAKES_A_TURN, || format!("it took {} hellos", turn.hellos))?;
        Rule::Turn
            .demands(turn.read <= read_max, || format!("it read from {} peers; {read_max} are allowed", turn.read))?;
        Rule::Turn.demands(turn.written <= written_max, || {
            format!("it wrote to {} peers; {written_max} are allowed", turn.written)
        })
    }

    /// Tells the hub of an event, as the outer loop does.
    fn report(&mut self, key: usize, readiness: Readiness) {
        self.hub.on_ready(key, readiness);
        let is_reset =
            |&line: &usize| self.lines[line].key == Some(key) && self.lines[line].wire.borrow().reset == Reset::Untold;
        let is_operator_reset = self.control.as_ref().is_some_and(|control| control.is_reset(key));
        if is_operator_reset || self.alive.iter().any(is_reset) {
            self.hub.on_error(key);
        }
    }

    fn collect(&mut self, reports: &mut dyn FnMut(usize) -> bool) -> Vec<(usize, Readiness)> {
        let mut events = Vec::new();
        for &line in &self.alive {
            let Line { wire, key: Some(key), .. } = &self.lines[line] else { continue };
            let mut wire = wire.borrow_mut();
            if wire.has_edge() && reports(line) {
                events.push((*key, wire.collect()));
            }
        }
        if let Some(control) = &mut self.control {
            events.extend(control.collect(self.faults.has(Fault::Delayed)));
        }
        self.chance.shuffle(&mut events);
        if self.faults.has(Fault::Spurious) && self.chance.one_in(4) {
            let readiness = Readiness { readable: self.chance.one_in(2), writable: self.chance.one_in(2) };
            events.push((self.chance.below(self.alive.len() + 2), readiness));
            let twice = self.chance.below(events.len());
            events.push(events[twice]);
        }
        for line in self.alive.iter().map(|&line| &self.lines[line]) {
            if events.iter().any(|&(key, readiness)| line.key == Some(key) && readiness.readable) {
                line.wire.borrow_mut().is_drained = false;
            }
        }
        events
    }

    fn accept(&mut self, now: Instant) -> Verdict {
        if let Some(control) = &mut self.control {
            control.accept(&mut self.hub);
        }
        if !self.listener.is_owed(now) {
            return Ok(());
        }
        while self.hub.can_admit() {
            match self.listener.accept(now, self.faults, &mut self.chance) {
                Accepted::One(line) => self.admit_waiting(line)?,
                Accepted::Aborted(line) => {
                    self.note(|| format!("{line} is gone before it was accepted"));
                    self.alive.retain(|&alive| alive != line);
                }
                Accepted::Nobody => break,
            }
        }
        Ok(())
    }

    fn admit_waiting(&mut self, line: usize) -> Verdict {
        let key = self.hub.next_key();
        let wire = Rc::clone(&self.lines[line].wire);
        self.lines[line].key = Some(key);
        wire.borrow_mut().watch();
        let is_browser = self.lines[line].peer.browser.is_some();
        let port = match (is_browser, wire.borrow().sealing.is_some()) {
            (false, false) => Endpoint::Lines,
            (false, true) => Endpoint::TlsLines,
            (true, false) => Endpoint::Web,
            (true, true) => Endpoint::TlsWeb,
        };
        let now = self.shared.now.get();
        let member = match port {
            Endpoint::Web | Endpoint::TlsWeb => self.oracle.admit_visitor(&wire, now),
            _ => self.oracle.admit(&wire, now),
        };
        self.note(|| format!("{line} is admitted as connection {member}, key {key}"));
        self.hub.admit(FakeSocket(wire), port, now);
        self.oracle.judge_admission(member).map_err(|violation| violation.about(self.oracle.describe(member)))
    }

    /// The faults stop, and everyone reads. Everything must come to rest, by nothing but what a kernel would report.
    fn settle(&mut self) -> Verdict {
        self.note(|| "the faults stop".to_owned());
        self.operator = None;
        self.faults = Faults::NONE;
        if let Some((_, disk)) = &self.journal {
            disk.takes(usize::MAX);
            self.has_space = true;
        }
        for &line in &self.alive {
            self.lines[line].wire.borrow_mut().calm_down();
        }
        if let Some(control) = &mut self.control {
            control.calm_down();
        }
        for client in self.clients.clone() {
            let is_gone = client.borrow().link.is_none() && client.borrow().state != State::Over;
            if is_gone && client.borrow().has_session() {
                self.connect_client(&client);
                let line = self.lines.len() - 1;
                self.lines[line].wire.borrow_mut().calm_down();
            }
        }
        self.rest()?;
        self.judge_clients()?;
        self.control.iter().try_for_each(Control::judge_rest)?;
        let is_shutdown = self.chance.one_in(3);
        if is_shutdown {
            self.shut_down()?;
        } else {
            self.control.iter_mut().for_each(Control::farewell);
            for line in self.alive.clone() {
                if line != WITNESS {
                    self.lines[line].peer.farewell();
                }
            }
        }
        self.rest()?;
        if !is_shutdown {
            self.lines[WITNESS].wire.borrow_mut().end();
            self.rest()?;
        }
        if self.hub.connections() > 0 || !self.listener.waiting.is_empty() {
            let waiting = self.listener.waiting.len();
            return Rule::Rest.broken(format!("{} are still there, and {waiting} wait", self.hub.connections()));
        }
        self.oracle.judge_told()?;
        match &mut self.journal {
            Some((JournalPlan { chance, .. }, disk)) => {
                self.oracle.judge_handover(disk, chance)?;
                self.oracle.judge_restarts(disk, chance)
            }
            None => Ok(()),
        }
    }

    /// Shuts the hub down: by an order, if there is an operator.
    fn shut_down(&mut self) -> Verdict {
        if self.control.as_mut().is_some_and(Control::stop) {
            for _ in 0..IDLE_TURNS_OF_SMALL_BUDGETS_MAX {
                if self.hub.is_stop_wanted() {
                    break;
                }
                self.control.iter_mut().for_each(Control::go_on);
                self.turn(&mut |_| true)?;
            }
            Rule::Orders.demands(self.hub.is_stop_wanted(), || "nothing comes of an order to stop".to_owned())?;
        }
        self.note(|| "shutdown".to_owned());
        self.oracle.is_shutting_down = true;
        self.control.iter_mut().for_each(Control::shut_down);
        self.hub.shut_down(self.shared.now.get());
        Ok(())
    }

    /// Judges that the server has heard all that tracked clients said, if they are still connected.
    fn judge_clients(&self) -> Verdict {
        for client in &self.clients {
            let client = client.borrow();
            let is_connected = client.link.is_some_and(|line| {
                let wire = self.lines[line].wire.borrow();
                !wire.is_closed && !wire.is_finished && wire.reset == Reset::No
            });
            if client.state == State::Live && is_connected {
                Rule::Heard.demands(client.is_settled(), || format!("not all is heard that was said: {client:?}"))?;
                self.oracle.judge_said(client.heard())?;
            }
        }
        Ok(())
    }

    /// Runs until the hub waits for an event that will not come.
    fn rest(&mut self) -> Verdict {
        let mut vain_waits = 0;
        let until = self.shared.now.get() + REST_MAX;
        for _ in 0..SETTLING_TURNS_MAX {
            let before = self.shared.progress.get();
            for at in 0..self.alive.len() {
                let Line { wire, peer, .. } = &mut self.lines[self.alive[at]];
                wire.borrow_mut().pump();
                peer.calm_down(self.alive[at], &mut wire.borrow_mut())?;
            }
            self.control.iter_mut().for_each(Control::go_on);
            let wake = self.hub.next_wake();
            let has_events = self.listener.has_edge() || self.alive.iter().any(|&line| self.has_edge(line));
            if !has_events && !self.has_orders() && wake != Wake::Now && !self.can_accept() && !self.has_space {
                let hub = if let Wake::At(time) = wake { Some(time) } else { None };
                let Some(next) = hub.into_iter().chain(self.listener.retry_at()).min() else { return Ok(()) };
                // Browsers are looked after for ever.
                if next > until && self.alive.iter().any(|&line| self.lines[line].wire.borrow().is_open) {
                    return Ok(());
                }
                self.shared.now.set(self.shared.now.get().max(next));
            }
            self.turn(&mut |_| true)?;
            vain_waits = if self.shared.progress.get() == before { vain_waits + 1 } else { 0 };
            if vain_waits > 2 * self.idle_turns_max() {
                return Rule::Sleep.broken(format!("nothing comes of waiting: {wake:?}"));
            }
        }
        Rule::Sleep.broken("it never comes to rest")
    }

    fn note(&mut self, event: impl FnOnce() -> String) {
        if self.records_events {
            if self.events.len() == 24 {
                self.events.pop_front();
            }
            self.events.push_back(format!("{:>6}: {}", self.step, event()));
        }
    }
}
