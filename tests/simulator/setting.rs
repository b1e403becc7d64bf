//! The setting of a run (its seed, its size, the faults left out), and the plan that follows from it.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use pollchat::relay::room::Audience;
use pollchat::server::access::AccessRules;
use pollchat::server::config::{Capacity, Config, Lag};
use pollchat::server::flow::budget::TurnLimits;
use pollchat::server::proxy::{ProxySource, TrustedProxies};

use crate::bans::{BanPlan, some_bans};
use crate::chance::Chance;
use crate::claims::{CLAIM_BYTES_MAX, ClaimPlan, some_claims};
use crate::control::{Control, some_control};
use crate::journal::{JournalPlan, some_journal};
use crate::knocks::{KnockPlan, some_knocks};
use crate::movers::RoomPlan;
use crate::net::PROXY;
use crate::operator::{OperatorPlan, some_operator};
use crate::reloads::{ReloadPlan, rate_of, some_reloads};
use crate::sealing::{TlsPlan, some_tls};

/// An `--announce-up-to` that no run reaches.
pub(crate) const ROOM_FOR_ALL: usize = 1_000;

/// How many connections are told at a time that they are refused.
pub(crate) const REFUSALS_MAX: usize = 2;

/// A fault of the network, the kernel or the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Reads and writes stop anywhere.
    Cut,
    /// Calls are interrupted.
    Interrupted,
    /// Calls would block a moment before they would not.
    EarlyBlock,
    /// Peers tear connections down.
    Reset,
    /// A reset destroys what was not read as well.
    ResetDropsInput,
    /// Writes fail.
    FailedWrite,
    /// Accepts fail.
    FailedAccept,
    /// An edge says what it is about alone, not all that is ready.
    BareEdges,
    /// Events that mean nothing, and turns without events.
    Spurious,
    /// Only some of the events that are due are reported, and turns come late.
    Delayed,
    /// The clock jumps.
    TimeJumps,
    /// Connections are admitted in the middle of a batch.
    MidBatch,
    /// What was on its way to Redis over a broken connection is obeyed later.
    LateBytes,
    /// Redis starts again, with its data.
    Restarts,
    /// Redis loses data: the tail of each stream to a fail-over, the head to a trim, or all.
    LosesData,
    /// Redis stands still, or refuses dials.
    Unreachable,
    /// Redis answers with errors.
    Errors,
    /// Servers crash, and start again.
    Crashes,
    /// Servers stand still.
    Standstill,
}

impl Fault {
    pub(crate) const ALL: [Fault; 12] = [
        Fault::Cut,
        Fault::Interrupted,
        Fault::EarlyBlock,
        Fault::Reset,
        Fault::ResetDropsInput,
        Fault::FailedWrite,
        Fault::FailedAccept,
        Fault::BareEdges,
        Fault::Spurious,
        Fault::Delayed,
        Fault::TimeJumps,
        Fault::MidBatch,
    ];

    /// Faults of Redis and of servers, where there are several.
    pub(crate) const OF_BUS: [Fault; 7] = [
        Fault::LateBytes,
        Fault::Restarts,
        Fault::LosesData,
        Fault::Unreachable,
        Fault::Errors,
        Fault::Crashes,
        Fault::Standstill,
    ];

    /// All of both.
    pub(crate) fn all() -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().chain(Fault::OF_BUS)
    }
}

/// A set of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Faults(u32);

impl Faults {
    pub(crate) const NONE: Faults = Faults(0);

    /// Some of all faults: a run that does everything at once hides what a run that does one thing shows.
    pub(crate) fn some(chance: &mut Chance) -> Faults {
        let eagerness = chance.up_to(4);
        Faults::of(Fault::ALL.into_iter().filter(|_| chance.below(4) < eagerness))
    }

    /// Some of those of Redis and of servers.
    pub(crate) fn some_of_bus(chance: &mut Chance) -> Faults {
        let eagerness = chance.below(4);
        Faults::of(Fault::OF_BUS.into_iter().filter(|_| chance.below(4) < eagerness))
    }

    pub(crate) fn of(faults: impl Iterator<Item = Fault>) -> Faults {
        Faults(faults.fold(0, |set, fault| set | 1 << fault as u16))
    }

    pub(crate) fn has(self, fault: Fault) -> bool {
        self.0 >> fault as u16 & 1 == 1
    }

    pub(crate) fn with(self, fault: Fault) -> Faults {
        Faults(self.0 | 1 << fault as u16)
    }

    pub(crate) fn without(self, others: Faults) -> Faults {
        Faults(self.0 & !others.0)
    }

    pub(crate) fn and(self, others: Faults) -> Faults {
        Faults(self.0 | others.0)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Fault> {
        Fault::all().filter(move |&fault| self.has(fault))
    }
}

/// The setting of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) seed: u64,
    pub(crate) steps: usize,
    /// The most peers at a time; `None` leaves it to the seed.
    pub(crate) peers_max: Option<usize>,
    /// Which faults are left out.
    pub(crate) without: Faults,
    /// Whether all that can be set of a server is as simple as can be.
    pub(crate) is_plain: bool,
    /// Which seeds have several servers.
    pub(crate) worlds: Worlds,
}

/// Which seeds have several servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worlds {
    /// Each fourth.
    Mixed,
    /// None.
    One,
    /// All.
    Several,
}

impl Setting {
    /// Whether this run has several servers.
    pub(crate) fn has_several_servers(&self) -> bool {
        match self.worlds {
            Worlds::Mixed => self.seed.is_multiple_of(4),
            Worlds::One => false,
            Worlds::Several => true,
        }
    }
}

/// The plan of a run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) chance: Chance,
    pub(crate) faults: Faults,
    pub(crate) peers_max: usize,
    pub(crate) config: Config,
    pub(crate) seats: Capacity,
    /// Bytes that a socket takes on the way in and on the way out, at most.
    pub(crate) room: (usize, usize),
    /// The lines that each client may say: in a second, and at once.
    pub(crate) rate: Option<(u32, u32)>,
    /// The page, if there is one.
    pub(crate) site: Option<SitePlan>,
    /// Peers that are not as most are.
    pub(crate) oddities: Oddities,
    /// The rooms, and the moves of the peers.
    pub(crate) rooms: RoomPlan,
    /// Tracked clients, if there are any.
    pub(crate) tracks: Option<TrackPlan>,
    /// The journal, if there is one.
    pub(crate) journal: Option<JournalPlan>,
    /// TLS, if there is any.
    pub(crate) tls: Option<TlsPlan>,
    /// Names with owners, if there are any.
    pub(crate) claims: Option<ClaimPlan>,
    /// The password, if there is one.
    pub(crate) knocks: Option<KnockPlan>,
    /// Control, if there are any.
    pub(crate) control: Option<Control>,
    /// The operator, if there is one.
    pub(crate) operator: Option<OperatorPlan>,
    /// Settings that change, if any do.
    pub(crate) reloads: Option<ReloadPlan>,
    /// Bans, if there are any.
    pub(crate) bans: Option<BanPlan>,
}

/// Tracked clients.
#[derive(Debug)]
pub(crate) struct TrackPlan {
    pub(crate) chance: Chance,
    pub(crate) clients_max: usize,
    /// A client in so many is plain at first, or none.
    pub(crate) late_in: usize,
    /// A client without a connection comes back once in so many steps.
    pub(crate) patience: usize,
    resume_within: Option<Duration>,
}

/// A page, and its visitors.
#[derive(Debug)]
pub(crate) struct SitePlan {
    pub(crate) chance: Chance,
    /// The odds of a visitor: one peer in so many.
    pub(crate) one_browser_in: usize,
    visitors_max: usize,
}

/// Peers that are not as most are.
#[derive(Debug)]
pub(crate) struct Oddities {
    pub(crate) chance: Chance,
    /// The odds of another protocol: one peer in so many, or 0.
    pub(crate) one_stranger_in: usize,
    /// The odds of a peer that never says anything, or 0.
    pub(crate) one_silent_in: usize,
    /// The odds of a peer that leaves before it can enter, or 0.
    pub(crate) one_prober_in: usize,
}

impl Plan {
    pub(crate) fn of(setting: Setting) -> Plan {
        let mut chance = Chance::new(setting.seed);
        let faults = Faults::some(&mut chance).without(setting.without);
        let by_seed = 2 + chance.below(11);
        let peers_max = setting.peers_max.unwrap_or(by_seed);
        let flush_after = Chance::new(!setting.seed).pick(&[None, None, None, Some(2), Some(20)]);
        // Silence may end the line by which a client asks to be tracked, and half of it is another one.
        let tracks = some_tracks(setting.seed).filter(|_| flush_after.is_none());
        let claims = some_claims(setting.seed).filter(|_| !setting.is_plain);
        // A silence may end a line that gives the password, and half of it is another one.
        let knocks = some_knocks(setting.seed).filter(|_| flush_after.is_none() && !setting.is_plain);
        let least_line_bytes = if claims.is_some() { CLAIM_BYTES_MAX } else { 0 };
        // A token has 32 letters, and a position 15 at least.
        let least_line_bytes = if tracks.is_some() { 100 } else { least_line_bytes };
        let mut config = some_config(&mut chance, peers_max, least_line_bytes);
        if let Some(tracks) = &tracks {
            config.resume_within = tracks.resume_within;
        }
        // By a chance of its own, so that runs without it are what they would be if there were no such thing.
        config.flush_after = flush_after.map(Duration::from_millis);
        // So are the budgets of a turn,
        config.turn = some_turn(setting.seed, config.flush_after.is_some());
        // and the rules of access.
        config.access = some_door(&mut Chance::new(setting.seed ^ 0xd00f));
        // Behind proxies it is not counted how many come from where: the count would begin at a moment that no peer sees.
        if config.access.per_address_max == 0 && !setting.is_plain {
            config.proxies = some_proxies(setting.seed);
        }
        // A jump could be longer than the time for a header.
        let jumps = if config.proxies.is_empty() { Faults::NONE } else { Faults::NONE.with(Fault::TimeJumps) };
        let faults = faults.without(jumps);
        let mut limits = Limits::of(setting.seed);
        limits.set(&mut config, peers_max);
        if setting.is_plain {
            limits = Limits { lag: None, rate: None, idle_timeout: None, ..limits };
            limits.oddities.one_stranger_in = 0;
            limits.oddities.one_silent_in = 0;
            limits.oddities.one_prober_in = 0;
            let plain = Config { announce_up_to: 0, line_bytes_max: 100, ..Config::default() };
            config = Config { backlog_bytes: config.backlog_bytes.max(plain.longest_line_bytes()), ..plain };
        }
        // By a chance of its own, too.
        let site = some_site(setting.seed);
        if site.is_some() {
            if !setting.is_plain && limits.oddities.one_stranger_in == 0 {
                limits.oddities.one_stranger_in = 5;
            }
            let room = if config.lag == Lag::Wait { 0 } else { smallest_backlog(&config, peers_max) };
            config.backlog_bytes = config.backlog_bytes.max(room);
        }
        let rooms = RoomPlan::of(setting.seed);
        if !setting.is_plain {
            let smallest = smallest_backlog(&config, peers_max);
            rooms.set(&mut config, smallest);
        }
        // The same holds here.
        let operator = some_operator(setting.seed, tracks.is_some()).filter(|_| !setting.is_plain);
        let journal =
            some_journal(setting.seed, config.lag).filter(|_| config.audience != Audience::Sender && !setting.is_plain);
        let seats = Capacity {
            clients_max: config.clients_max.unwrap_or(1_000),
            // More than there can be: how many have left and are still there, the oracle does not count.
            leavers_max: 1_000,
            visitors_max: site.as_ref().map_or(1_000, |site| site.visitors_max),
            refusals_max: REFUSALS_MAX,
        };
        // Among plain clients whose addresses are known from the start, and that wait for nobody.
        let has_others = tracks.is_some() || site.is_some() || !config.proxies.is_empty();
        let bans = some_bans(setting.seed).filter(|_| !has_others && config.lag == Lag::Skip && !setting.is_plain);
        let tls = some_tls(setting.seed).filter(|_| bans.is_none());
        let room = (chance.pick(&[16, 200, 3_000]), chance.pick(&[7, 40, 300, 5_000]));
        Plan {
            chance,
            faults,
            peers_max,
            config,
            seats,
            room,
            rate: limits.rate,
            site,
            oddities: limits.oddities,
            rooms,
            tracks,
            journal,
            tls,
            claims,
            reloads: some_reloads(setting.seed).filter(|_| !setting.is_plain),
            knocks,
            control: some_control(setting.seed, faults, room).filter(|_| !setting.is_plain),
            operator,
            bans,
        }
    }
}

/// The limits of each client, and the wait for slow readers. They come by a chance of their own, so runs without them
/// stay what they were.
struct Limits {
    /// The stall timeout, and how much larger than the smallest the tape is.
    lag: Option<(Duration, Option<usize>)>,
    rate: Option<(u32, u32)>,
    idle_timeout: Option<Duration>,
    announce_up_to: usize,
    oddities: Oddities,
}

impl Limits {
    fn of(seed: u64) -> Limits {
        let mut chance = Chance::new(seed.rotate_left(32) ^ 0x5741_4954);
        let stall_timeout = Duration::from_millis(chance.pick(&[20, 20, 100, 1_000, 30_000]));
        let spare = chance.pick(&[
            None,
            None,
            Some(0),
            Some(0),
            Some(50),
            Some(1_000),
            Some(7_000),
            Some(7_000),
            Some(150_000),
        ]);
        let lag = chance.one_in(3).then_some((stall_timeout, spare));
        let rate = some_rate(&mut chance);
        let rate = chance.one_in(4).then_some(rate);
        let idle_timeout = Duration::from_millis(chance.pick(&[50, 300, 2_000]));
        let idle_timeout = chance.one_in(4).then_some(idle_timeout);
        Limits {
            lag,
            rate,
            idle_timeout,
            announce_up_to: chance.pick(&[0, 4, ROOM_FOR_ALL, ROOM_FOR_ALL]),
            oddities: Oddities {
                one_stranger_in: chance.pick(&[0, 0, 3]),
                one_silent_in: if idle_timeout.is_some() { 3 } else { chance.pick(&[0, 6, 12]) },
                one_prober_in: chance.pick(&[0, 5]),
                chance: chance.fork(),
            },
        }
    }

    fn set(&self, config: &mut Config, peers_max: usize) {
        if let Some((stall_timeout, spare)) = self.lag {
            config.lag = Lag::Wait;
            config.stall_timeout = stall_timeout;
            // Notices need no place of their own: they wait, or the line that goes over leaves room for them.
            config.backlog_bytes = spare.map_or(config.backlog_bytes, |spare| config.longest_line_bytes() + spare);
        }
        config.rate = self.rate.map(rate_of);
        config.idle_timeout = self.idle_timeout;
        if self.lag.is_some() || self.idle_timeout.is_some() {
            config.announce_up_to = self.announce_up_to;
        }
        if self.lag.is_none() {
            config.backlog_bytes = config.backlog_bytes.max(smallest_backlog(config, peers_max));
        }
    }
}

/// A page, for half of all seeds.
fn some_site(seed: u64) -> Option<SitePlan> {
    let mut chance = Chance::new(seed.rotate_left(16) ^ 0x7765_6221);
    chance.one_in(2).then(|| SitePlan {
        one_browser_in: chance.pick(&[1, 2, 2, 3]),
        visitors_max: chance.pick(&[1_000, 1_000, 1, 2]),
        chance: chance.fork(),
    })
}

/// Tracked clients, for half of all seeds.
fn some_tracks(seed: u64) -> Option<TrackPlan> {
    let mut chance = Chance::new(seed.rotate_left(40) ^ 0x7472_6163);
    chance.one_in(2).then(|| TrackPlan {
        clients_max: chance.pick(&[1, 3, 6]),
        late_in: chance.pick(&[0, 3]),
        patience: chance.pick(&[2, 20, 200]),
        resume_within: chance.pick(&[None, Some(5), Some(50), Some(30_000), Some(30_000)]).map(Duration::from_millis),
        chance: chance.fork(),
    })
}

/// The address from which the connection with this number comes: one of three.
pub(crate) fn home(line: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, [1, 2, 3][line % 3]])
}

/// The budgets of a turn: those of a server, or such as a few peers use up.
fn some_turn(seed: u64, has_silences: bool) -> TurnLimits {
    let mut chance = Chance::new(seed.rotate_left(48) ^ 0x7475_726e);
    // With less time for reading, a silence would be noticed late, and perhaps never.
    if has_silences || chance.one_in(2) {
        return TurnLimits::default();
    }
    TurnLimits {
        read_bytes: chance.pick(&[1, 600, 2_000, 8_000]),
        reply_bytes: chance.pick(&[1, 2_000, 8_000]),
        write_bytes: chance.pick(&[1, 2_048, 5_000, 15_000]),
        timers: chance.pick(&[1, 4, 16]),
    }
}

fn some_door(chance: &mut Chance) -> AccessRules {
    let per_address_max = chance.pick(&[0, 0, 0, 1, 2]);
    AccessRules { deny: some_denied(chance), per_address_max, ..AccessRules::default() }
}

/// Addresses that are denied.
pub(crate) fn some_denied(chance: &mut Chance) -> Vec<IpNet> {
    if chance.one_in(4) { vec![home(chance.below(3)).into()] } else { Vec::new() }
}

/// The lines that each client may say: in a second, and at once.
pub(crate) fn some_rate(chance: &mut Chance) -> (u32, u32) {
    (chance.pick(&[50, 500, 5_000, 100_000]), chance.pick(&[1, 3, 20]))
}

/// A proxy before the line port, for some seeds.
fn some_proxies(seed: u64) -> TrustedProxies {
    let is_there = Chance::new(seed.rotate_left(24) ^ 0x7072_6f78).one_in(3);
    is_there.then(|| ProxySource::Addresses(PROXY.ip().into())).into_iter().collect()
}

fn some_config(chance: &mut Chance, peers_max: usize, least_line_bytes: usize) -> Config {
    let mut config = Config {
        audience: chance.pick(&[
            Audience::Others,
            Audience::Others,
            Audience::Others,
            Audience::Everyone,
            Audience::Sender,
        ]),
        history_lines: chance.pick(&[0, 0, 1, 3, 20, 1_000]),
        announce_up_to: chance.pick(&[0, 4, ROOM_FOR_ALL, ROOM_FOR_ALL]),
        greeting: chance.pick(&["", "", "welcome", "one\ntwo"]).to_owned(),
        line_bytes_max: chance.pick(&[8, 20, 20, 60, 400]),
        lag: chance.pick(&[Lag::Skip, Lag::Skip, Lag::Disconnect]),
        ..Config::default()
    };
    if chance.one_in(3) {
        config.clients_max = Some(chance.up_to(peers_max));
    }
    config.line_bytes_max = config.line_bytes_max.max(least_line_bytes);
    config.backlog_bytes = smallest_backlog(&config, peers_max) + chance.pick(&[0, 0, 50, 1_000, 20_000, 150_000]);
    config
}

/// The smallest tape on which a reader that takes everything at once loses nothing. Readers that lag are disconnected,
/// and announced, after the turn has ended: that is not within its budget.
fn smallest_backlog(config: &Config, peers_max: usize) -> usize {
    let notices = if config.announce_up_to == 0 { 0 } else { 2 * peers_max * 48 };
    if notices == 0 { config.longest_line_bytes() } else { (config.longest_line_bytes() + notices) * 4 / 3 + 1 }
}
