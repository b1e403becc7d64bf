//! Ten thousand sessions whose connections are lost, and which all resume at once: what that costs the server, how long
//! it takes, and what a pair in another room feels of it.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;

use support::Error;
use support::browser::Entrance;
use support::flags::{self, Flags};
use support::ledger::{Figure, Ledger, Unit};
use support::load::{Ear, Load};
use support::process::Cpu;
use support::relayed::{new_histogram, record};
use support::report::{Goal, Report, no_line_is_lost, progress};
use support::subject::{Running, Subject};

const CPU: Figure = Figure::new("CPU of the server", Unit::Nanoseconds);
const EACH: Figure = Figure::new("CPU a session", Unit::Nanoseconds);
const ALL_BACK: Figure = Figure::new("all back after", Unit::Nanoseconds);
const P50: Figure = Figure::new("a pair's p50", Unit::Nanoseconds);
const P99: Figure = Figure::new("p99", Unit::Nanoseconds);
const WORST: Figure = Figure::new("longest", Unit::Nanoseconds);
const LOST: Figure = Figure::new("not resumed", Unit::Count);

/// Sessions that resume.
const SESSIONS: usize = 10_000;

/// Connections that begin between two looks at what has come.
const BATCH: usize = 100;

/// The beginning of what the server says of a session.
const SESSION: &[u8] = b"** session ";

/// What the server says of a session that missed nothing.
const RESUMED: &[u8] = b"** resumed\n";

/// Measures what it takes that thousands of sessions resume at once
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

fn main() -> ExitCode {
    let Arguments { flags } = Arguments::parse();
    flags::run(&flags, || benchmark(&flags))
}

fn benchmark(flags: &Flags) -> Result<(), Error> {
    let sessions = if flags.quick { 500 } else { SESSIONS.min(flags.clients_max()) };
    let case = format!("{} sessions", Unit::Count.show(sessions as f64));
    let mut ledger = Ledger::default();
    let bar = progress(flags.rounds());
    for _ in 0..flags.rounds() {
        measure(&mut ledger, &case, sessions)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    report(&ledger, &case)
}

/// Measures two storms: the first alone, the second beside a pair, whose own lines cost CPU as well.
fn measure(ledger: &mut Ledger, case: &str, sessions: usize) -> Result<(), Error> {
    let subject = Subject::Tracked;
    let relay = subject.start(sessions + 2, &["--rooms", "2", "--resume-within", "600"])?;
    let mut add = |figure, value: f64| ledger.add(case, subject.name(), figure, value);
    // A line each: only the seats of known members are kept.
    let entrance = Entrance { first_words: "/track\nhere\n", ..relay.entrance };
    let mut load = Load::new()?;
    load.begin_to_connect(entrance, sessions)?;
    let mut members = Members::new(sessions);
    load.wait_for(&mut members, |_, members| members.begun == sessions)?;
    settle(&mut load, &relay)?;
    (0..sessions).for_each(|client| load.say(client, b"/track\n"));
    load.wait_for(&mut members, |_, members| members.known == sessions)?;

    lose(load, &relay)?;
    let cpu = Cpu::of(relay.pid)?.total;
    let (load, took) = resume(&relay, &mut members)?;
    let cpu = Cpu::of(relay.pid)?.total - cpu;
    add(CPU, cpu.as_nanos() as f64);
    add(EACH, cpu.as_nanos() as f64 / sessions as f64);
    add(ALL_BACK, took.as_nanos() as f64);

    lose(load, &relay)?;
    let pair = Pair::start(relay.address)?;
    let (load, _) = resume(&relay, &mut members)?;
    let trips = pair.stop()?;
    for (figure, quantile) in [(P50, 0.5), (P99, 0.99), (WORST, 1.0)] {
        add(figure, trips.value_at_quantile(quantile) as f64);
    }
    add(LOST, (2 * sessions - members.resumed) as f64);
    drop(load);
    Ok(())
}

/// Breaks all connections, and waits until the server has noticed that.
fn lose(load: Load, relay: &Running) -> Result<(), Error> {
    drop(load);
    settle(&mut Load::new()?, relay)
}

/// Waits until the server has nothing to do for a while.
fn settle(load: &mut Load, relay: &Running) -> Result<(), Error> {
    if load.until_idle(relay.pid)? { Ok(()) } else { Err("the server does not come to rest".into()) }
}

/// Lets all sessions resume. Returns their connections, and how long that took.
fn resume(relay: &Running, members: &mut Members) -> Result<(Load, Duration), Error> {
    let mut load = Load::new()?;
    let start = Instant::now();
    members.known = 0;
    members.begun = 0;
    let all = members.sessions.len();
    for client in 0..all {
        load.begin_to_connect_with(relay.entrance, members.first_words(client))?;
        if client % BATCH == BATCH - 1 {
            load.turn(members, Some(Duration::ZERO))?;
        }
    }
    load.wait_for(members, |_, members| members.known == all)?;
    Ok((load, start.elapsed()))
}

/// The sessions, as the server tells of them.
struct Members {
    /// Token and position of each.
    sessions: Vec<Option<(Vec<u8>, Vec<u8>)>>,
    /// Clients that have heard of their session, and lines that said so.
    begun: usize,
    known: usize,
    resumed: usize,
}

impl Members {
    fn new(sessions: usize) -> Members {
        Members { sessions: vec![None; sessions], begun: 0, known: 0, resumed: 0 }
    }

    /// The first words of a client that resumes its session.
    fn first_words(&self, client: usize) -> Vec<u8> {
        let Some((token, position)) = &self.sessions[client] else { return b"/track\n".to_vec() };
        [b"/track ", &position[..], b" ", token, b"\n"].concat()
    }
}

impl Ear for Members {
    fn on_lines(&mut self, client: usize, lines: &[u8], _: Instant) {
        let Some(at) = memchr::memmem::find(lines, SESSION) else { return };
        // TOKEN heard N at POSITION as NAME
        let mut words = lines[at + SESSION.len()..].split(|byte| matches!(byte, b' ' | b'\n'));
        if let (Some(token), Some(position)) = (words.next(), words.nth(3)) {
            let is_new = self.sessions[client].replace((token.to_vec(), position.to_vec())).is_none();
            self.begun += usize::from(is_new);
            self.known += usize::from(!is_new);
            self.resumed += usize::from(memchr::memmem::find(lines, RESUMED).is_some());
        }
    }
}

/// Two plain clients in a room of their own, in a thread of their own: a line goes to and fro every millisecond.
struct Pair {
    is_over: Arc<AtomicBool>,
    thread: thread::JoinHandle<std::io::Result<Histogram<u64>>>,
}

impl Pair {
    fn start(to: SocketAddr) -> Result<Pair, Error> {
        let join = || -> std::io::Result<(TcpStream, BufReader<TcpStream>)> {
            let mut stream = TcpStream::connect(to)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(support::load::PATIENCE))?;
            stream.write_all(b"/join pair\n")?;
            Ok((stream.try_clone()?, BufReader::new(stream)))
        };
        let (mut ana, mut bob) = (join()?, join()?);
        hear(&mut ana.1, "you are ")?;
        hear(&mut bob.1, "you are ")?;
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut trips = new_histogram();
            for number in 0_u64.. {
                let (start, ball) = (Instant::now(), format!("ball {number}\n"));
                ana.0.write_all(ball.as_bytes())?;
                hear(&mut bob.1, &ball)?;
                bob.0.write_all(ball.as_bytes())?;
                hear(&mut ana.1, &ball)?;
                record(&mut trips, u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX), 1);
                if until.load(Ordering::Relaxed) {
                    break;
                }
                thread::sleep(Duration::from_millis(1));
            }
            Ok(trips)
        });
        Ok(Pair { is_over, thread })
    }

    fn stop(self) -> Result<Histogram<u64>, Error> {
        self.is_over.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "the pair failed")??)
    }
}

/// Reads until a line has this in it.
fn hear(from: &mut BufReader<TcpStream>, text: &str) -> std::io::Result<()> {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

fn report(ledger: &Ledger, case: &str) -> Result<(), Error> {
    let name = Subject::Tracked.name();
    let median = |figure| ledger.median(case, name, figure);
    let lost = ledger.sum_of(name, LOST);
    let mut report = Report::new("resume")?;
    report.goals(&[
        Goal {
            what: format!("{case} resume at once: CPU of the server"),
            reach: "≤ 1 s",
            measured: median(CPU).map(|cpu| (Unit::Nanoseconds.show(cpu), cpu <= 1e9)),
        },
        Goal {
            what: format!("{case} resume at once: p99 of a pair's round trips meanwhile"),
            reach: "≤ 20 ms",
            measured: median(P99).map(|p99| (Unit::Nanoseconds.show(p99), p99 <= 20e6)),
        },
        Goal {
            what: "sessions not resumed, in all rounds together".to_owned(),
            reach: "0",
            measured: Some((Unit::Count.show(lost), lost == 0.0)),
        },
    ]);
    report.table("All resume at once", ledger, &[case], &[CPU, EACH, ALL_BACK, LOST]);
    report.table("A pair in another room meanwhile", ledger, &[case], &[P50, P99, WORST]);
    report.finish(ledger)?;
    no_line_is_lost(lost)
}
