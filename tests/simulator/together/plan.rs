//! The plan of a run with several servers: all of it follows from the seed.

use std::time::Duration;

use pollchat::relay::name::Name;
use pollchat::server::config::Config;

use crate::chance::Chance;
use crate::setting::{Fault, Faults, ROOM_FOR_ALL, Setting};

/// The tape of each room: no reader falls behind by so much.
pub(super) const TAPE_BYTES: usize = 400_000;

/// The plan of a run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) chance: Chance,
    /// Of the network, the kernels and the clocks.
    pub(crate) faults: Faults,
    pub(crate) config: Config,
    /// Servers at a time.
    pub(crate) servers: usize,
    pub(crate) peers_max: usize,
    /// Bytes that a socket takes on the way in and on the way out, at most.
    pub(crate) room: (usize, usize),
    /// Entries that a server asks for at a time.
    pub(crate) page: usize,
    /// `--bus-keep`.
    pub(crate) keep_bytes: u64,
    /// A step in so many brings trouble.
    pub(crate) one_trouble_in: usize,
}

impl Plan {
    pub(crate) fn of(setting: Setting) -> Plan {
        let mut chance = Chance::new(setting.seed ^ 0x746f_6765_7468_6572);
        let faults = Faults::some(&mut chance).and(Faults::some_of_bus(&mut chance)).without(setting.without);
        // A jump of the clock is a standstill of all servers: there is a trouble for that.
        let faults = faults.without(Faults::NONE.with(Fault::TimeJumps));
        let servers = chance.pick(&[2, 2, 3]);
        let by_seed = 2 + chance.below(9);
        let config = Config {
            announce_up_to: chance.pick(&[0, 4, ROOM_FOR_ALL, ROOM_FOR_ALL]),
            line_bytes_max: chance.pick(&[60, 200, 2_000]),
            history_lines: chance.pick(&[0, 0, 3, 40]),
            rooms: ["den", "rust"].into_iter().filter_map(|name| Name::parse(name).ok()).collect(),
            resume_within: chance.pick(&[None, Some(500), Some(30_000)]).map(Duration::from_millis),
            backlog_bytes: TAPE_BYTES,
            room_backlog_bytes: TAPE_BYTES,
            ..Config::default()
        };
        let config = if setting.is_plain { Config { history_lines: 0, announce_up_to: 0, ..config } } else { config };
        Plan {
            faults,
            config,
            servers,
            peers_max: setting.peers_max.unwrap_or(by_seed),
            room: (chance.pick(&[30, 300, 5_000]), chance.pick(&[40, 400, 20_000])),
            page: chance.pick(&[2, 7, 64]),
            keep_bytes: chance.pick(&[30_000, 1_000_000]),
            one_trouble_in: chance.pick(&[30, 100, 400]),
            chance,
        }
    }
}
