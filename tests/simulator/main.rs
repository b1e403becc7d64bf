//! The simulator: the hub against a network, peers and a clock that are all made up from one number.
//!
//! `cargo test --test simulator` runs a few seeds. The environment asks for more, or for one again:
//!
//! | variable | |
//! |---|---|
//! | `SIM_SEEDS`, `SIM_FIRST` | how many seeds, and the first of them |
//! | `SIM_STEPS` | steps a seed |
//! | `SIM_SEED` | this seed alone |
//! | `SIM_PEERS` | at most so many peers at a time |
//! | `SIM_WITHOUT` | faults that are left out, with commas: `Cut,Reset` |
//! | `SIM_PLAIN` | a server with nothing set |
//! | `SIM_THREADS` | threads to run on |
//! | `SIM_SHRINK` | `0`: a seed that fails is not made smaller |
//!
//! A seed that fails is made smaller as long as it still fails, and printed with the command that runs it again.

mod admission;
mod answers;
mod arrivals;
mod browsers;
mod chance;
mod delivery;
mod frames;
mod hints;
mod limits;
mod listener;
mod log;
mod member;
mod net;
mod oracle;
mod outline;
mod peers;
mod rest;
mod runs;
mod said;
mod setting;
mod stalls;
mod visits;
mod world;

#[test]
fn whatever_peers_and_kernel_do_what_must_always_hold_holds() {
    if let Err(report) = runs::run_all(&runs::Runs::from_environment()) {
        panic!("{report}");
    }
}
