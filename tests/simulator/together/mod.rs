//! Several servers that share rooms over one Redis, with clients on each of them.
//!
//! Redis is a fake one, so all that it was ever given is known: the oracle compares each tape with it. Servers crash
//! and stand still; Redis restarts, hangs, refuses and forgets; connections between them break anywhere, and what was on
//! its way is obeyed late.

mod crash;
mod delivery;
mod log;
mod network;
mod peers;
mod plan;
mod rest;
mod roster;
mod server;
mod tapes;
mod tracked;
mod trouble;
mod troubles;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pollchat::server::endpoint::Endpoint;
use pollchat::server::hub::{Readiness, Wake};

use self::crash::Crash;
use self::delivery::Transcript;
use self::log::Logs;
use self::network::Network;
use self::peers::{Course, Peer};
use self::plan::Plan;
use self::roster::RosterLog;
use self::server::{Server, SharedWire};
use self::tracked::{State, Tracked};
use self::trouble::Trouble;
use crate::chance::Chance;
use crate::net::{FakeSocket, Reset, Wire};
use crate::rule::{Rule, Verdict};
use crate::said::Ear;
use crate::setting::{Fault, Faults, Setting, home};

/// Turns in a row that may bring nothing on although the hub wanted them at once.
const IDLE_TURNS_MAX: usize = 100;

/// Rounds of all servers that everything takes at most to come to rest: a client that is behind by a whole tape takes a
/// byte in each, however narrow its socket is.
const BEATS_MAX: usize = plan::TAPE_BYTES;

/// The time that such a round takes.
const BEAT: Duration = Duration::from_micros(50);

/// A client of a server, by its connection.
enum Client {
    Plain(Box<Peer>, Transcript),
    Tracked(Rc<RefCell<Tracked>>),
}

/// A connection of a client.
struct Line {
    server: usize,
    /// The life of its server: how often it was started.
    life: usize,
    wire: SharedWire,
    client: Client,
    key: Option<usize>,
    /// Whether it was reset, or its server crashed.
    is_broken: bool,
}

/// A place for a server.
struct Place {
    server: Option<Server>,
    life: usize,
    starts_at: Option<Instant>,
}

/// Several servers and everything around them.
pub(crate) struct World {
    chance: Chance,
    plan: Plan,
    faults: Faults,
    now: Instant,
    network: Network,
    places: Vec<Place>,
    lines: Vec<Line>,
    /// Connections that are open.
    alive: Vec<usize>,
    tracked: Vec<Rc<RefCell<Tracked>>>,
    logs: Logs,
    roster: RosterLog,
    /// Clients so far.
    ids: usize,
    mood_until: Option<Instant>,
    hung_until: Option<Instant>,
    has_crashed: bool,
    crashes: Vec<Crash>,
    is_checking: bool,
    is_settling: bool,
    description: String,
    events: VecDeque<String>,
    records_events: bool,
    step: usize,
}

impl World {
    pub(crate) fn new(setting: Setting, records_events: bool) -> World {
        let mut plan = Plan::of(setting);
        let now = Instant::now();
        let mut chance = plan.chance.fork();
        let network = Network::new(chance.fork(), plan.faults, now);
        let mut world = World {
            description: format!("{plan:?}"),
            faults: plan.faults,
            now,
            network,
            places: Vec::new(),
            lines: Vec::new(),
            alive: Vec::new(),
            tracked: Vec::new(),
            logs: Logs::new(plan.config.longest_line_bytes()),
            roster: RosterLog::default(),
            ids: 0,
            mood_until: None,
            hung_until: None,
            has_crashed: false,
            crashes: Vec::new(),
            is_checking: false,
            is_settling: false,
            events: VecDeque::new(),
            records_events,
            step: 0,
            chance,
            plan,
        };
        for _ in 0..world.plan.servers {
            world.places.push(Place { server: None, life: 0, starts_at: None });
        }
        (0..world.plan.servers).for_each(|number| world.start(number));
        world
    }

    /// Runs all steps, and then until everything is at rest.
    pub(crate) fn run(&mut self, steps: usize) -> Verdict {
        // The servers come together before anything happens.
        self.pass(Duration::from_millis(200))?;
        for step in 0..steps {
            self.step = step;
            self.step()?;
        }
        self.step = steps;
        self.settle()
    }

    /// The step under way.
    pub(crate) fn at(&self) -> usize {
        self.step
    }

    /// Whether a hub was checking its invariants when the run ended.
    pub(crate) fn is_checking(&self) -> bool {
        self.is_checking
    }

    /// The plan.
    pub(crate) fn describe(&self) -> &str {
        &self.description
    }

    /// The last events.
    pub(crate) fn last_events(&self) -> impl Iterator<Item = &String> {
        self.events.iter()
    }

    fn step(&mut self) -> Verdict {
        let micros = self.chance.pick(&[0, 1, 50, 500, 3_000, 20_000]);
        self.now += Duration::from_micros(micros);
        if self.chance.one_in(self.plan.one_trouble_in)
            && let Some(trouble) = Trouble::some(&mut self.chance, self.faults)
        {
            self.begin(trouble)?;
        }
        for _ in 0..self.chance.up_to(3) {
            if !self.alive.is_empty() {
                let at = self.chance.below(self.alive.len());
                self.act(self.alive[at]);
            }
        }
        self.newcomers();
        self.beat(self.faults.has(Fault::Delayed))
    }

    /// Lets the network carry bytes, and each server turn that has something to do.
    fn beat(&mut self, is_lazy: bool) -> Verdict {
        self.end_troubles();
        self.set_clocks();
        let carries_in_pieces = is_lazy || self.faults.has(Fault::Cut);
        self.network.carry(self.now, carries_in_pieces);
        self.judge_log()?;
        for number in 0..self.places.len() {
            let is_late = is_lazy && self.chance.one_in(3);
            let Some(server) = &self.places[number].server else { continue };
            if !is_late && !server.is_stopped(self.now) && self.is_turn_due(number) {
                self.turn(number, is_lazy).map_err(|violation| violation.about(format!("server {number}")))?;
            }
        }
        self.note_health();
        Ok(())
    }

    /// Lets time pass, from one event to the next.
    fn pass(&mut self, time: Duration) -> Verdict {
        let end = self.now + time;
        let mut beats = 0;
        while self.now < end {
            self.beat(false)?;
            for line in self.alive.clone() {
                self.read_only(line);
            }
            if self.has_work() {
                beats += 1;
                Rule::Sleep.demands(beats < BEATS_MAX, || format!("it never comes to rest: {}", self.work()))?;
                self.now += BEAT;
                continue;
            }
            beats = 0;
            let wakes = self
                .places
                .iter()
                .filter_map(|place| place.server.as_ref().map_or(place.starts_at, |server| server.wakes_at(self.now)));
            let trouble = self.mood_until.into_iter().chain(self.hung_until);
            let next = wakes.chain(trouble).chain(self.network.next_wake(self.now)).min();
            self.now = next.map_or(end, |next| next.clamp(self.now, end));
        }
        self.set_clocks();
        Ok(())
    }

    /// Returns the work of this moment, for the report.
    fn work(&self) -> String {
        let servers = self.places.iter().map(|place| place.server.as_ref());
        let wakes: Vec<Option<Wake>> = servers.map(|server| server.map(|server| server.hub.next_wake())).collect();
        let edges = self.alive.iter().filter(|&&line| self.lines[line].wire.borrow().has_edge());
        let edges: Vec<usize> = edges.map(|&line| self.lines[line].server).collect();
        let links: Vec<String> = self.network.links.iter().map(ToString::to_string).collect();
        let last = self.network.redis.added().last();
        format!(
            "servers wake {wakes:?}, clients of servers {edges:?} have edges, {links:?}, the last entry is {last:?}"
        )
    }

    /// Whether something is to be done at this very moment.
    fn has_work(&self) -> bool {
        let is_due = |number: usize| {
            self.places[number].server.as_ref().is_some_and(|server| !server.is_stopped(self.now))
                && self.is_turn_due(number)
        };
        (0..self.places.len()).any(is_due) || self.network.links.iter().any(|link| link.wire.borrow().outgoing() > 0)
    }

    fn set_clocks(&mut self) {
        for server in self.places.iter().filter_map(|place| place.server.as_ref()) {
            server.shared.now.set(self.now);
        }
    }

    fn is_turn_due(&self, number: usize) -> bool {
        let Some(server) = &self.places[number].server else { return false };
        let has_edge = |line: &usize| self.lines[*line].wire.borrow().has_edge();
        server.is_due(self.now)
            || (!server.waiting.is_empty() && server.hub.can_admit_on(Endpoint::Lines))
            || server.lines.iter().any(has_edge)
            || self.network.links_of(number).any(|link| link.wire.borrow().has_edge())
    }

    /// Makes a turn of the outer loop of a server.
    fn turn(&mut self, number: usize, is_lazy: bool) -> Verdict {
        let now = self.now;
        let Some(server) = &mut self.places[number].server else { return Ok(()) };
        let before = server.shared.progress.get();
        let is_due = server.is_due(now);
        server.set_clock(now);
        let mut events = 0;
        for &line in &server.lines {
            let Line { wire, key: Some(key), .. } = &self.lines[line] else { continue };
            let mut wire = wire.borrow_mut();
            if wire.has_edge() && !(is_lazy && self.chance.one_in(4)) {
                let readiness = wire.collect();
                let is_reset = wire.reset == Reset::Untold;
                drop(wire);
                server.hub.on_ready(*key, readiness);
                if is_reset {
                    server.hub.on_error(*key);
                }
                events += 1;
            }
        }
        for link in self.network.links_of(number) {
            let mut wire = link.wire.borrow_mut();
            if wire.has_edge() && !(is_lazy && self.chance.one_in(4)) {
                let readiness = wire.collect();
                drop(wire);
                server.hub.on_bus_ready(link.end, readiness);
                events += 1;
            }
        }
        if self.faults.has(Fault::Spurious) && self.chance.one_in(8) {
            let readiness = Readiness { readable: true, writable: self.chance.one_in(2) };
            server.hub.on_bus_ready(pollchat::server::bus::End::Reader, readiness);
        }
        while server.hub.can_admit_on(Endpoint::Lines)
            && let Some(line) = server.waiting.pop_front()
        {
            self.lines[line].key = Some(server.hub.next_key());
            self.lines[line].wire.borrow_mut().watch();
            server.lines.push(line);
            server.hub.admit(FakeSocket(Rc::clone(&self.lines[line].wire)), Endpoint::Lines, now);
        }
        server.dial(number, &mut self.network, now)?;
        server.hub.react(now);
        server.hub.flush(now);
        // What it wants now may be a connection for this very turn.
        self.is_checking = true;
        server.hub.check_invariants();
        self.is_checking = false;
        let failure = server.hub.bus_failure().map(str::to_owned);
        Rule::BusRest.demands(failure.is_none(), || format!("it gives up: {failure:?}"))?;
        let is_idle = is_due && events == 0 && server.shared.progress.get() == before;
        server.idle_turns = if is_idle { server.idle_turns + 1 } else { 0 };
        Rule::Sleep.demands(server.idle_turns <= IDLE_TURNS_MAX, || {
            let links: Vec<String> = self.network.links_of(number).map(ToString::to_string).collect();
            format!(
                "the hub turns and does nothing: it is {now:?}, and it wakes {:?}; {links:?}",
                server.hub.next_wake()
            )
        })?;
        server.read_tapes(number, &self.logs, self.network.redis.added())?;
        self.read_transcripts(number)
    }

    /// Reads what the server has written to its clients.
    fn read_transcripts(&mut self, number: usize) -> Verdict {
        let Some(server) = &mut self.places[number].server else { return Ok(()) };
        for &at in &server.lines {
            let line = &mut self.lines[at];
            let mut wire = line.wire.borrow_mut();
            let written = std::mem::take(&mut wire.written);
            wire.rests.clear();
            if let Some(misuse) = wire.misuse {
                return Rule::Farewell.broken(misuse);
            }
            drop(wire);
            let Client::Plain(peer, transcript) = &mut line.client else { continue };
            for text in transcript.lines(&written) {
                let view = transcript.room.as_ref().and_then(|room| server.views.get(room));
                let had_number = transcript.number;
                transcript.read(&text, view).map_err(|violation| violation.about(format!("client p{}", peer.id)))?;
                // A Redis that has lost the roster begins again with the first number.
                if transcript.number != had_number && !self.logs.has_lost_data {
                    self.roster.take_number(transcript.number)?;
                }
            }
        }
        let lines = &self.lines;
        server.lines.retain(|&line| !lines[line].wire.borrow().is_closed);
        self.alive.retain(|&line| !lines[line].wire.borrow().is_closed);
        Ok(())
    }

    fn act(&mut self, at: usize) {
        let may_reset = self.faults.has(Fault::Reset);
        let line = &mut self.lines[at];
        let mut wire = line.wire.borrow_mut();
        match &mut line.client {
            Client::Plain(peer, _) => {
                peer.act(&mut wire, may_reset);
                line.is_broken |= peer.course == Course::Gone;
            }
            Client::Tracked(client) => {
                let mut client = client.borrow_mut();
                if client.line == Some(at) {
                    if client.chance.one_in(3) {
                        client.talk();
                    }
                    if client.chance.one_in(300) {
                        line.is_broken = true;
                        if client.chance.one_in(2) {
                            wire.end();
                        } else {
                            wire.tear_down();
                        }
                        client.lose();
                        return;
                    }
                    let sent = wire.send(client.outbox());
                    client.outbox().drain(..sent);
                }
                wire.take(usize::MAX);
            }
        }
        drop(wire);
    }

    /// The client takes what there is, and sends what is left, but says nothing new.
    fn read_only(&mut self, at: usize) {
        let line = &mut self.lines[at];
        let mut wire = line.wire.borrow_mut();
        match &mut line.client {
            Client::Plain(peer, _) => peer.calm_down(&mut wire),
            Client::Tracked(client) => {
                let mut client = client.borrow_mut();
                if client.line == Some(at) {
                    let sent = wire.send(client.outbox());
                    client.outbox().drain(..sent);
                }
                wire.take(usize::MAX);
            }
        }
    }

    /// Tracked clients read what they have taken.
    fn read_tracked(&mut self) -> Verdict {
        for at in 0..self.lines.len() {
            let line = &self.lines[at];
            let Client::Tracked(client) = &line.client else { continue };
            let mut client = client.borrow_mut();
            let taken = std::mem::take(&mut line.wire.borrow_mut().taken);
            if client.line != Some(at) {
                continue;
            }
            let place = &self.places[line.server];
            let Some(server) = place.server.as_ref().filter(|_| place.life == line.life) else {
                client.lose();
                continue;
            };
            for text in client.lines(&taken) {
                let view = client.room.as_ref().and_then(|room| server.views.get(&room.to_lowercase()));
                let id = client.id;
                client
                    .read(&text, view)
                    .map_err(|violation| violation.about(format!("tracked client p{id} at server {}", line.server)))?;
            }
            let wire = line.wire.borrow();
            if wire.is_closed || wire.is_finished || wire.reset != Reset::No {
                client.lose();
            }
        }
        Ok(())
    }

    fn newcomers(&mut self) {
        if self.alive.len() < self.plan.peers_max && self.chance.one_in(15) {
            self.ids += 1;
            let (id, line_bytes_max) = (self.ids, self.plan.config.line_bytes_max);
            let chance = self.chance.fork();
            if self.chance.one_in(4) {
                self.tracked.push(Rc::new(RefCell::new(Tracked::new(id, chance, line_bytes_max))));
            } else {
                let client = Client::Plain(Box::new(Peer::new(id, chance, line_bytes_max)), Transcript::new(id));
                self.connect(client);
            }
        }
        for at in 0..self.tracked.len() {
            let client = Rc::clone(&self.tracked[at]);
            let is_idle = client.borrow().state == State::Idle;
            if is_idle && self.chance.one_in(40) {
                self.connect_tracked(&client);
            }
        }
    }

    fn connect_tracked(&mut self, client: &Rc<RefCell<Tracked>>) {
        if self.connect(Client::Tracked(Rc::clone(client))) {
            client.borrow_mut().connect(self.lines.len() - 1);
        }
    }

    /// Connects a client to a server that is there.
    fn connect(&mut self, client: Client) -> bool {
        let there: Vec<usize> = (0..self.places.len()).filter(|&at| self.places[at].server.is_some()).collect();
        if there.is_empty() {
            return false;
        }
        let number = there[self.chance.below(there.len())];
        let room = (self.chance.up_to(self.plan.room.0), self.chance.up_to(self.plan.room.1));
        let Some(server) = &mut self.places[number].server else { return false };
        let ear = Ear::new(self.plan.config.line_bytes_max, None);
        let mut wire = Wire::new(&server.shared, self.chance.fork(), self.faults, ear, room);
        if matches!(client, Client::Tracked(_)) {
            wire.keep_taken();
        }
        wire.address = home(self.lines.len());
        if self.is_settling {
            wire.calm_down();
        }
        server.waiting.push_back(self.lines.len());
        self.alive.push(self.lines.len());
        let life = self.places[number].life;
        let wire = Rc::new(RefCell::new(wire));
        self.lines.push(Line { server: number, life, wire, client, key: None, is_broken: false });
        true
    }

    /// Starts a server.
    fn start(&mut self, number: usize) {
        let Plan { config, page, keep_bytes, .. } = &self.plan;
        let server = Server::new(number, config, *page, *keep_bytes, &mut self.chance, self.now);
        let life = self.places[number].life + 1;
        let event = format!("server {number} starts as {}", server.writer);
        self.roster.begin(&server.writer, number);
        self.places[number] = Place { server: Some(server), life, starts_at: None };
        self.note(|| event);
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
