//! Trouble of Redis and of servers: what happens to them beside the faults of the network.

use std::time::Duration;

use crate::chance::Chance;
use crate::setting::{Fault, Faults};

/// Trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A connection of a server to Redis is reset.
    CutLink,
    /// All connections of all servers are reset.
    CutAll,
    /// Redis starts again, with its data, and answers for so long that it loads them.
    Restart(Duration),
    /// Redis has lost everything.
    Empty,
    /// A fail-over: the last entries of each stream are lost, and the clock is behind.
    LoseTail(usize, u64),
    /// The head of a room's stream goes, but for so many entries.
    Trim(usize),
    /// Redis stands still.
    Hang(Duration),
    /// Dials are refused, and there is no connection.
    Refuse(Duration),
    /// Redis has no memory left.
    Full(Duration),
    /// Redis is a replica for a while.
    Demote(Duration),
    /// A server is killed, and starts again later.
    Crash(Duration),
    /// A server stands still.
    Stop(Duration),
    /// Nothing happens for a while.
    Quiet(Duration),
}

impl Trouble {
    /// Some trouble that these faults allow.
    pub(super) fn some(chance: &mut Chance, faults: Faults) -> Option<Trouble> {
        let mut seconds = |choices: &[u64]| Duration::from_millis(chance.pick(choices));
        let pauses = [
            seconds(&[0, 100, 2_000, 8_000]),
            seconds(&[300, 3_000, 7_000, 30_000]),
            seconds(&[50, 1_000, 2_500, 12_000, 40_000]),
            seconds(&[200, 3_000, 12_000]),
            seconds(&[100, 5_000, 30_000]),
            seconds(&[100, 1_000, 10_000, 50_000]),
            seconds(&[1, 200, 1_500, 6_000, 25_000]),
        ];
        let [restart, hang, refuse, full, crash, stop, quiet] = pauses;
        let choices = [
            (Fault::Reset, Trouble::CutLink),
            (Fault::Reset, Trouble::CutAll),
            (Fault::Restarts, Trouble::Restart(restart)),
            (Fault::LosesData, Trouble::Empty),
            (Fault::LosesData, Trouble::LoseTail(chance.up_to(20), chance.pick(&[0, 1, 500, 2_000, 30_000]))),
            (Fault::LosesData, Trouble::Trim(chance.below(10))),
            (Fault::Unreachable, Trouble::Hang(hang)),
            (Fault::Unreachable, Trouble::Refuse(refuse)),
            (Fault::Errors, Trouble::Full(full)),
            (Fault::Errors, Trouble::Demote(full)),
            (Fault::Crashes, Trouble::Crash(crash)),
            (Fault::Standstill, Trouble::Stop(stop)),
        ];
        if chance.one_in(3) {
            return Some(Trouble::Quiet(quiet));
        }
        let (fault, trouble) = chance.pick(&choices);
        faults.has(fault).then_some(trouble)
    }
}
