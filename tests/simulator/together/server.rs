//! A server among several: its hub, its clock, and what is known of it.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use pollchat::relay::sequence::Writer;
use pollchat::server::bus::link::LinkSettings;
use pollchat::server::bus::{Bus, BusSettings, End};
use pollchat::server::config::{Capacity, Config};
use pollchat::server::hub::{Hub, Wake};

use super::log::Logs;
use super::network::Network;
use super::roster::DEAF;
use super::tapes::{TapeView, about};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::net::{FakeSocket, Shared, Turn};
use crate::redis::Added;
use crate::rule::{Rule, Verdict};

/// The first pause between two dials, at least. Jitter halves it.
const PAUSE_MIN: Duration = Duration::from_millis(49);

/// Dials in a row after which the pause is a second at least.
const DIALS_BEFORE_A_SECOND: usize = 8;

/// A connection that lasts so long is a good one.
const GOOD_AFTER: Duration = Duration::from_secs(1);

/// Dials of an end.
#[derive(Debug, Default)]
struct Dials {
    last: Option<Instant>,
    /// In a row, without a connection that lasted.
    vain: usize,
}

/// A server.
pub(super) struct Server {
    pub(super) hub: Hub<FakeSocket>,
    pub(super) writer: String,
    pub(super) shared: Rc<Shared>,
    clock: Clock,
    /// Clients that wait to be accepted.
    pub(super) waiting: VecDeque<usize>,
    /// Clients that were accepted.
    pub(super) lines: Vec<usize>,
    pub(super) views: HashMap<String, TapeView>,
    /// Until when it stands still.
    pub(super) stopped_until: Option<Instant>,
    /// Since when it turns, has both connections, and Redis answers them well; `None` if that is not so.
    pub(super) well_since: Option<Instant>,
    /// When it last dialed.
    pub(super) dialed_at: Option<Instant>,
    /// When it last dialed after a time in which it might judge others. A judgement of then is perhaps written only now.
    pub(super) judged_until: Option<Instant>,
    dials: [Dials; 2],
    pub(super) idle_turns: usize,
    /// Whether its bus was ever up.
    pub(super) started: Instant,
}

impl Server {
    pub(super) fn new(
        number: usize,
        config: &Config,
        page: usize,
        keep_bytes: u64,
        chance: &mut Chance,
        now: Instant,
    ) -> Server {
        let seats = Capacity { clients_max: 1_000, leavers_max: 1_000, visitors_max: 0, refusals_max: 4 };
        let mut hub = Hub::new(config, seats, now).expect("a small tape");
        let settings = BusSettings {
            link: Rc::new(LinkSettings::new(format!("pollchat-{number}"), None, None, None)),
            prefix: "pollchat".to_owned(),
            keep_bytes,
            page,
            tape_bytes: config.backlog_bytes,
        };
        let writer = Writer::new((chance.below(1 << 30) as u64) << 32 | number as u64);
        hub.open_bus(Bus::new(&settings, writer, chance.below(1 << 30) as u64, now));
        Server {
            hub,
            writer: writer.to_string(),
            shared: Rc::new(Shared { now: Cell::new(now), progress: Cell::new(0), turn: Cell::new(Turn::default()) }),
            clock: Clock::new(chance.below(1 << 30) as u64, now),
            waiting: VecDeque::new(),
            lines: Vec::new(),
            views: HashMap::new(),
            stopped_until: None,
            well_since: None,
            dialed_at: None,
            judged_until: None,
            dials: [Dials::default(), Dials::default()],
            idle_turns: 0,
            started: now,
        }
    }

    /// Whether it stands still.
    pub(super) fn is_stopped(&self, now: Instant) -> bool {
        self.stopped_until.is_some_and(|until| until > now)
    }

    /// Tells the hub the time of day.
    pub(super) fn set_clock(&mut self, now: Instant) {
        let unix_ms = self.clock.unix_ms(now);
        self.hub.set_clock(unix_ms);
    }

    /// Whether its time has come.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        match self.hub.next_wake() {
            Wake::Now => true,
            Wake::At(time) => time <= now,
            Wake::OnEvent => false,
        }
    }

    /// The time at which it wakes by itself.
    pub(super) fn wakes_at(&self, now: Instant) -> Option<Instant> {
        let wake = match self.hub.next_wake() {
            Wake::Now => Some(now),
            Wake::At(time) => Some(time.max(now)),
            Wake::OnEvent => None,
        };
        wake.map(|time| self.stopped_until.map_or(time, |until| until.max(time)))
    }

    /// Dials for the ends that want it.
    pub(super) fn dial(&mut self, number: usize, network: &mut Network, now: Instant) -> Verdict {
        for _ in 0..4 {
            let Some(end) = self.hub.wanted_bus_end(now) else { return Ok(()) };
            self.note_dial(end, now)?;
            let stream = network.dial(number, end, &self.shared);
            self.shared.progress.set(self.shared.progress.get() + 1);
            self.hub.connect_bus(end, stream, now);
        }
        Rule::BusPause.broken("it dials again at once")
    }

    fn note_dial(&mut self, end: End, now: Instant) -> Verdict {
        if self.dialed_at.replace(now).is_some_and(|last| now.saturating_duration_since(last) >= DEAF) {
            self.judged_until = Some(now);
        }
        let dials = &mut self.dials[usize::from(end == End::Reader)];
        let Some(last) = dials.last.replace(now) else { return Ok(()) };
        let passed = now.saturating_duration_since(last);
        dials.vain = if passed >= GOOD_AFTER { 0 } else { dials.vain + 1 };
        Rule::BusPause.demands(passed >= PAUSE_MIN, || format!("it dials {passed:?} after the last time"))?;
        let is_patient = dials.vain < DIALS_BEFORE_A_SECOND;
        Rule::BusPause.demands(is_patient, || format!("it dials {passed:?} after {} vain dials", dials.vain))
    }

    /// Compares its tapes with the logs.
    pub(super) fn read_tapes(&mut self, number: usize, logs: &Logs, added: &[Added]) -> Verdict {
        let mut open = Vec::new();
        for (name, tape) in self.hub.tapes() {
            let name = name.to_lowercase();
            let view = self.views.entry(name.clone()).or_insert_with(TapeView::new);
            if !view.is_of(tape) {
                *view = TapeView::new();
            }
            let empty = super::log::RoomLog::default();
            let log = logs.rooms.get(&name).unwrap_or(&empty);
            view.read(tape, log, added).map_err(|violation| about(number, &name, violation))?;
            open.push(name);
        }
        self.views.retain(|name, _| open.contains(name));
        Ok(())
    }

    /// Notes whether it is well, by what the network and Redis do to it.
    pub(super) fn note_health(&mut self, is_well: bool, now: Instant) {
        self.well_since = if is_well { self.well_since.or(Some(now)) } else { None };
    }
}

/// Wires, as they are shared.
pub(super) type SharedWire = Rc<RefCell<crate::net::Wire>>;
