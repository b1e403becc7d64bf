//! Tracked clients of all kinds behind a proxy that cuts, tears and delays, beside plain witnesses that see what the rooms
//! are told.
//!
//! Each text is said by one client, once, and tells by whom and in which order. All clients that know positions agree on
//! the records; the witnesses agree with these; every text stands among them once; nobody is seen to leave whose session
//! came back in time.

mod judge;
mod peer;
mod programs;
mod proxy;
mod random;
mod tapes;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use peer::{Habits, Peer};
use proxy::Proxy;
use random::Random;
use tapes::Tapes;
use wire::Wire;

use crate::support::http::WebServer;
use crate::support::{Server, eventually};

/// The rooms, by index.
const ROOMS: [&str; 2] = ["lobby", "tea"];

/// `--resume-within`.
const RESUME_WITHIN: Duration = Duration::from_secs(15);

/// The end of the last line of each room.
const THE_END: &str = "> the end";

/// How far the test is.
#[derive(Default)]
pub(crate) struct Stage {
    is_over: AtomicBool,
    has_failed: AtomicBool,
    done: AtomicUsize,
    /// Witnesses in their rooms.
    watching: AtomicUsize,
}

impl Stage {
    /// Whether nothing new is to be said.
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Ends this thread if another one has failed.
    fn check(&self) {
        assert!(!self.has_failed(), "another client failed");
    }

    /// Records that a client has said all.
    fn on_done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Plays one part in the calling thread, so that its failure ends the others.
    fn play<T>(&self, part: impl FnOnce() -> T) -> T {
        struct Guard<'a>(&'a Stage);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                if thread::panicking() {
                    self.0.has_failed.store(true, Ordering::Relaxed);
                }
            }
        }
        let _guard = Guard(self);
        part()
    }
}

/// Returns the text number `number` of a client.
fn text_of(id: &str, number: usize, random: &mut Random) -> String {
    let padding = if random.one_in(20) { random.below(1_500) } else { random.below(60) };
    format!("{id} {number} {}", "~".repeat(padding))
}

/// A plain client beside the proxy. Returns what it was sent, behind its entering.
fn witness(
    id: &str,
    room: usize,
    address: SocketAddr,
    mut random: Random,
    stage: &Stage,
    clients: usize,
) -> Vec<String> {
    let mut wire = Wire::connect(address, false).unwrap();
    wire.send(&format!("/join {}\n", ROOMS[room])).unwrap();
    let is_talker = id.starts_with("wa");
    let (mut seen, mut number) = (Vec::new(), 0);
    let mut say_at = Instant::now();
    let mut has_ended = false;
    loop {
        stage.check();
        let lines = wire.lines().unwrap_or_else(|_| panic!("{id}: lost"));
        let is_end = lines.iter().any(|line| line == "FIN" || line.ends_with(THE_END));
        if lines.iter().any(|line| line.starts_with("* you are in ")) {
            stage.watching.fetch_add(1, Ordering::Relaxed);
        }
        seen.extend(lines);
        if is_end {
            return seen;
        }
        if !stage.is_over() && Instant::now() > say_at {
            if is_talker {
                wire.send(&format!("{}\n", text_of(id, number, &mut random))).unwrap();
                number += 1;
            }
            say_at = Instant::now() + random.millis(5..=60);
        }
        if is_talker && !has_ended && stage.done.load(Ordering::Relaxed) == clients {
            has_ended = true;
            // All that the others said is before it; its own end is the other's.
            wire.send("the end\nFIN\n").unwrap();
        }
    }
}

/// Lets all kinds of clients talk through the proxy for so long, and judges what came of it.
fn play(seconds: u64, seed: u64) {
    eprintln!("{seconds} s with CHAOS_SEED={seed}");
    let mut random = Random::new(seed);
    let server = WebServer::go(Server::builder().flags([
        "--resume-within",
        &RESUME_WITHIN.as_secs().to_string(),
        "--announce-up-to",
        "1000",
        "--room",
        "tea",
        "--backlog",
        "256K",
        "--log-level",
        "warn",
    ]));
    let lines = Proxy::start(server.address(), random.split());
    let page = Proxy::start(server.page(), random.split());
    let direct = server.address();
    let (tapes, stage) = (Arc::new(Tapes::default()), Stage::default());
    let stage = &stage;

    let habits = |is_socket, is_late, moves| Habits { is_socket, is_late, moves };
    let mut peers = Vec::new();
    for (index, (habits, room)) in [
        (habits(false, false, false), 0),
        (habits(false, false, false), 1),
        (habits(false, true, false), 0),
        (habits(false, false, true), 0),
        (habits(true, false, false), 0),
        (habits(true, false, false), 1),
        (habits(true, true, true), 0),
    ]
    .into_iter()
    .enumerate()
    {
        let address = if habits.is_socket { page.address() } else { lines.address() };
        let mut peer = Peer::new(format!("t{index}"), habits, address, Arc::clone(&tapes), random.split());
        if room > 0 {
            peer.go_to(room);
        }
        peers.push((peer, habits));
    }
    let pipes = [("p0", 0, false), ("p1", 1, false), ("p2", 0, false), ("j0", 0, true), ("j1", 1, true)];
    let senders = [("s0", 0), ("s1", 1)];
    let clients = peers.len() + pipes.len() + senders.len();

    thread::scope(|scope| {
        let witnesses = ["wa0", "wa1", "wb0", "wb1"].map(|id| {
            let (room, random) = (usize::from(id.ends_with('1')), random.split());
            scope.spawn(move || stage.play(|| witness(id, room, direct, random, stage, clients)))
        });
        eventually("the witnesses are in their rooms", || stage.watching.load(Ordering::Relaxed) == 4);
        let peers: Vec<_> =
            peers.into_iter().map(|(peer, _)| scope.spawn(move || stage.play(|| peer.run(stage)))).collect();
        let programs = pipes.map(|(id, room, is_json)| {
            let (random, address) = (random.split(), lines.address());
            scope.spawn(move || stage.play(|| programs::pipe((id.to_owned(), room, is_json), address, random, stage)))
        });
        let senders = senders.map(|(id, room)| {
            let (random, address) = (random.split(), lines.address());
            (id, room, scope.spawn(move || stage.play(|| programs::sends(id, room, address, random, stage))))
        });
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(seconds) && !stage.has_failed() {
            thread::sleep(Duration::from_millis(20));
        }
        stage.is_over.store(true, Ordering::Relaxed);
        lines.calm();
        page.calm();
        let outcome = judge::Outcome {
            peers: peers.into_iter().map(|peer| peer.join().unwrap()).collect(),
            programs: programs.into_iter().map(|program| program.join().unwrap()).collect(),
            sent: senders.into_iter().map(|(id, room, texts)| (id, room, texts.join().unwrap())).collect(),
            witnesses: witnesses.into_iter().map(|witness| witness.join().unwrap()).collect(),
        };
        outcome.judge(&tapes);
        eprintln!("line port: {:?} connections, cut; page: {:?}", lines.counts(), page.counts());
    });
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

#[test]
#[ignore = "takes a minute: .ci/field runs it"]
fn a_proxy_that_cuts_tears_and_delays_loses_and_doubles_nothing() {
    let _machine = crate::have_machine();
    play(from_env("CHAOS_SECONDS").unwrap_or(60), from_env("CHAOS_SEED").unwrap_or(1));
}
