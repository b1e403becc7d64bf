//! The simulator: the hub against a network, peers and a clock that all follow from one number, the seed.
//!
//! `cargo test --test simulator` runs a few seeds. Variables ask for more, or for one again:
//!
//! | variable | |
//! |---|---|
//! | `SIM_SEEDS`, `SIM_FIRST` | how many seeds, and the first of them |
//! | `SIM_STEPS` | steps a seed |
//! | `SIM_SEED` | this seed alone |
//! | `SIM_PEERS` | at most so many peers at a time |
//! | `SIM_WITHOUT` | faults that are left out, with commas: `Cut,Reset` |
//! | `SIM_PLAIN` | a server with nothing set |
//! | `SIM_WORLD` | `one`: one server on all seeds; `several`: several; else several on each fourth seed |
//! | `SIM_THREADS` | threads to run on |
//! | `SIM_SHRINK` | `0`: a seed that fails is not made smaller |
//! | `SIM_RULES` | run all seeds, and report how many broke which rule first |
//!
//! A seed that fails is made smaller as long as it still fails, and printed with the rule that it broke and the command
//! that runs it again. The rules are in [`rule`].

mod admission;
mod answers;
mod bans;
mod browsers;
mod chance;
mod claims;
mod clients;
mod clock;
mod control;
mod delivery;
mod foreign;
mod frames;
mod handover;
mod house;
mod journal;
mod knocks;
mod last_words;
mod limits;
mod listener;
mod lock;
mod log;
mod member;
mod movers;
mod moves;
mod net;
mod operator;
mod oracle;
mod outline;
mod owners;
mod peers;
mod reloads;
mod rest;
mod room;
mod roster_log;
mod rule;
mod runs;
mod said;
mod sealing;
mod sessions;
mod setting;
mod stalls;
mod stamps;
mod timeline;
mod together;
mod tracked;
mod visits;
mod who;
mod world;

/// Servers that are started again.
#[path = "../support/hub.rs"]
#[allow(dead_code)]
mod restarted;

/// Certificates.
#[path = "../support/tls.rs"]
#[allow(dead_code, unreachable_pub)]
mod tls;

/// A Redis.
#[path = "../support/redis/mod.rs"]
#[allow(dead_code, unreachable_pub)]
mod redis;

/// The store of a journal.
#[path = "../support/journal.rs"]
#[allow(dead_code)]
mod store;

#[test]
fn the_rules_hold_whatever_peers_and_kernel_do() {
    let runs = runs::Runs::from_environment();
    if std::env::var_os("SIM_RULES").is_some() {
        println!("{}", runs::count_rules(&runs));
    } else if let Err(report) = runs::run_all(&runs) {
        panic!("{report}");
    }
}
