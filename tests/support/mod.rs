//! What the test programs share. Each wait has a deadline, and nothing waits for time to pass: a later line that comes
//! shows that an earlier one did not.

// Every test program uses a part of this.
#![allow(dead_code, unreachable_pub, unused_imports)]

pub mod client;
pub mod crashing_server;
pub mod cutting_proxy;
pub mod folder;
pub mod http;
pub mod hub;
pub mod journal;
pub mod lines;
pub mod log;
pub mod metrics;
pub mod page;
pub mod proc;
pub mod redis;
pub mod redis_links;
pub mod redis_server;
pub mod server;
pub mod socket;
pub mod terminal;
pub mod textbook_clients;
pub mod textbook_servers;
pub mod tls;
pub mod tls_client;
pub mod tls_front;
pub mod tracked_server;
pub mod ws;
pub mod ws_client;

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit};

pub use client::Client;
pub use folder::Folder;
pub use lines::{Follower, Lines, Member, Screen, ask, converse, missed, numbered, say_numbered};
pub use proc::Proc;
pub use redis_server::RedisServer;
pub use server::{Server, Start};
pub use socket::read;

/// The deadline of everything that is sure to happen. Generous: the machine may be slow, and the tests share it.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The deadline of tens of thousands of such things together.
const LONG_DEADLINE: Duration = Duration::from_secs(90);

/// Tries `is_so` until it is; panics with `what` when it is not within the [`DEADLINE`].
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Lets this process hold as many descriptors as it may, for tests with many clients.
pub fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // A refusal shows soon enough, as a connection that cannot be made.
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Returns `wanted`, or as many clients as the open-file limit allows, and then says so.
pub fn crowd(wanted: usize) -> usize {
    raise_descriptor_limit();
    let limit = rustix::process::getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    let possible = limit.map_or(wanted, |files| files.saturating_sub(200).min(wanted));
    if possible < wanted {
        eprintln!("only {possible} clients instead of {wanted}: the open-file limit is too low");
    }
    possible
}
