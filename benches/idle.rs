//! Thousands of clients who say nothing, and a thousand browsers: what it takes to accept them all, what they cost
//! while they are idle, and how one line gets to all of them.

mod support;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use pollchat::server::limits::PING_AFTER;

use pollchat::server::limits::INTRODUCE_AFTER;
use support::Error;
use support::chart::{self, Series};
use support::flags::{self, CLIENTS_MAX, Flags};
use support::ledger::{Figure, Ledger, Unit};
use support::load::{Deaf, Ear, Greeted, Load};
use support::process::{Cpu, kernel_stack_bytes, listen_drops, resident_bytes, sleeps, threads};
use support::relayed::{parse_line, write_line};
use support::report::{Goal, Report, progress};
use support::subject::{Running, Subject};

const CONNECTS: Figure = Figure::new("connects", Unit::PerSecond);
const ALL_IN: Figure = Figure::new("all greeted after", Unit::Nanoseconds);
const DROPS: Figure = Figure::new("lost SYNs", Unit::Count);
const MEMORY: Figure = Figure::new("resident memory a client", Unit::Bytes);
const STACKS: Figure = Figure::new("and kernel stack", Unit::Bytes);
const THREADS: Figure = Figure::new("threads", Unit::Count);
const IDLE_CPU: Figure = Figure::new("CPU in 1 s of silence", Unit::Nanoseconds);
const WAKES: Figure = Figure::new("sleeps in 1 s", Unit::Count);
const PINGS: Figure = Figure::new("signs of life in it", Unit::Count);
const PING_CPU: Figure = Figure::new("CPU for one of them", Unit::Nanoseconds);
const HEARD: Figure = Figure::new("heard by", Unit::Count);
const FIRST: Figure = Figure::new("by the first after", Unit::Nanoseconds);
const MIDDLE: Figure = Figure::new("by the middle one after", Unit::Nanoseconds);
const LAST: Figure = Figure::new("by the last after", Unit::Nanoseconds);

/// How long nobody says anything.
const SILENCE: Duration = Duration::from_secs(1);

/// So many browsers there are. They are pinged by the server, and so are not quite idle.
const BROWSERS: usize = 1_000;

/// So many clients over TLS there are.
const SEALED: usize = 5_000;

/// Measures what thousands of idle clients cost a relay
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
    let clients_max = if flags.quick { flags.clients_max().min(1_000) } else { flags.clients_max() };
    let mut sizes: Vec<usize> = if flags.quick { vec![100] } else { vec![1_000, 5_000, 15_000] };
    sizes.retain(|clients| *clients < clients_max);
    sizes.push(clients_max);
    let mut subjects = vec![Subject::Pollchat, Subject::Threads, Subject::Browsers, Subject::Tracked, Subject::Tls];
    subjects.extend(flags.external());

    let mut ledger = Ledger::default();
    let bar = progress(flags.rounds() * sizes.len() * subjects.len());
    for _ in 0..flags.rounds() {
        for &clients in &sizes {
            for subject in &subjects {
                bar.set_message(format!("{clients} clients: {}", subject.name()));
                let is_apt = match subject {
                    Subject::Browsers => clients == BROWSERS,
                    Subject::Tls => clients == SEALED,
                    Subject::Tracked => clients == clients_max,
                    _ => clients <= subject.clients_max(),
                };
                if is_apt {
                    measure(&mut ledger, clients, subject)
                        .map_err(|error| format!("{clients} clients: {}: {error}", subject.name()))?;
                }
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    report(&ledger, &sizes)
}

fn case(clients: usize) -> String {
    format!("{} clients", Unit::Count.show(clients as f64))
}

/// Measures one subject with so many clients.
fn measure(ledger: &mut Ledger, clients: usize, subject: &Subject) -> Result<(), Error> {
    let relay = subject.start(clients, &[])?;
    let mut load = Load::new()?;
    let mut add = |figure, value: f64| ledger.add(&case(clients), subject.name(), figure, value);
    // One who talks, and one of those who listen, if they are others: so that what the first one alone costs is not
    // counted.
    let firsts = if matches!(subject, Subject::Browsers | Subject::Tracked | Subject::Tls) { 2 } else { 1 };
    load.connect(relay.lines, 1, subject.greets())?;
    load.connect(relay.entrance, firsts - 1, subject.greets())?;
    let others = clients - firsts;
    let before = Cost::of(&relay)?;
    let drops = listen_drops()?;
    let took = connect_all(&mut load, subject, &relay, others)?;
    add(CONNECTS, others as f64 / took.as_secs_f64());
    add(ALL_IN, took.as_nanos() as f64);
    add(DROPS, listen_drops()?.saturating_sub(drops) as f64);

    settle(&mut load, &relay)?;
    let after = Cost::of(&relay)?;
    let each = |before: u64, after: u64| after.saturating_sub(before) as f64 / others as f64;
    add(MEMORY, each(before.resident_bytes, after.resident_bytes));
    let threads = threads(relay.pid)?;
    add(THREADS, threads as f64);
    if threads >= clients as u64 {
        // It is known of the whole machine only.
        add(STACKS, each(before.kernel_stack_bytes, after.kernel_stack_bytes));
    }

    let silence = Silence::of(&mut load, subject, &relay)?;
    let seconds = silence.lasted.as_secs_f64();
    add(WAKES, silence.sleeps as f64 / seconds);
    add(IDLE_CPU, silence.cpu.as_nanos() as f64 / seconds);
    if *subject == Subject::Browsers {
        add(PINGS, silence.pings as f64);
        add(PING_CPU, silence.cpu.as_nanos() as f64 / silence.pings as f64);
    }

    let heard = say_one_line(&mut load, subject, clients)?;
    add(HEARD, heard.after.len() as f64);
    if let (Some(first), Some(last)) = (heard.after.first(), heard.after.last()) {
        add(FIRST, first.as_nanos() as f64);
        add(MIDDLE, heard.after[heard.after.len() / 2].as_nanos() as f64);
        add(LAST, last.as_nanos() as f64);
    }
    Ok(())
}

/// What a relay holds.
struct Cost {
    resident_bytes: u64,
    kernel_stack_bytes: u64,
}

impl Cost {
    fn of(relay: &Running) -> Result<Cost, Error> {
        Ok(Cost { resident_bytes: resident_bytes(relay.pid)?, kernel_stack_bytes: kernel_stack_bytes()? })
    }
}

/// Connects so many clients, all at once, and returns how long it took until the last one was greeted (or, by a relay
/// that does not greet, connected).
fn connect_all(load: &mut Load, subject: &Subject, relay: &Running, clients: usize) -> Result<Duration, Error> {
    let start = Instant::now();
    let all = load.begin_to_connect(relay.entrance, clients)?;
    let mut greeted = Greeted::new(all.clone());
    if let Subject::External(external) = subject {
        all.clone().for_each(|client| load.say(client, external.join.as_bytes()));
    }
    let mut connected = all.start;
    load.wait_for(&mut greeted, |load, greeted| {
        while connected < all.end && !load.is_connecting(connected) {
            connected += 1;
        }
        connected == all.end && (!subject.greets() || greeted.count == clients)
    })?;
    Ok(start.elapsed())
}

/// Waits until the relay has nothing more to do: pollchat announces silent newcomers of a small room after two seconds,
/// and a thread-per-client relay may not have registered every client yet.
fn settle(load: &mut Load, relay: &Running) -> Result<(), Error> {
    let start = Instant::now();
    while start.elapsed() < INTRODUCE_AFTER {
        load.turn(&mut Deaf, Some(Duration::from_millis(50)))?;
    }
    // A relay that is never idle is measured as it is.
    load.until_idle(relay.pid)?;
    Ok(())
}

/// What a relay does while nobody says anything.
struct Silence {
    lasted: Duration,
    cpu: Duration,
    sleeps: u64,
    pings: u64,
}

impl Silence {
    /// Listens to it. Browsers are asked for a sign of life once in [`PING_AFTER`], and give it.
    fn of(load: &mut Load, subject: &Subject, relay: &Running) -> Result<Silence, Error> {
        let (pings, cpu, slept) = (load.pings, Cpu::of(relay.pid)?, sleeps(relay.pid)?);
        let start = Instant::now();
        if *subject == Subject::Browsers {
            while let Some(left) = PING_AFTER.checked_sub(start.elapsed()) {
                load.turn(&mut Deaf, Some(left))?;
            }
        } else {
            thread::sleep(SILENCE);
        }
        Ok(Silence {
            lasted: start.elapsed(),
            sleeps: sleeps(relay.pid)?.saturating_sub(slept),
            cpu: (Cpu::of(relay.pid)? - cpu).total,
            pings: load.pings - pings,
        })
    }
}

/// When the others heard the line, in the order in which they did.
struct Heard {
    said_at: Instant,
    after: Vec<Duration>,
}

impl Ear for Heard {
    fn on_lines(&mut self, _: usize, lines: &[u8], now: Instant) {
        if lines.split(|byte| *byte == b'\n').any(|line| parse_line(line) == Some(Some((0, 0)))) {
            self.after.push(now - self.said_at);
        }
    }
}

fn say_one_line(load: &mut Load, subject: &Subject, clients: usize) -> Result<Heard, Error> {
    let mut line = match subject {
        Subject::External(external) => external.say.clone().into_bytes(),
        _ => Vec::new(),
    };
    write_line(&mut line, 0, 0);
    let mut heard = Heard { said_at: Instant::now(), after: Vec::with_capacity(clients) };
    load.say(0, &line);
    // Those who do not hear it are what this finds out.
    let _ = load.wait_for(&mut heard, |_, heard| heard.after.len() == clients - 1);
    Ok(heard)
}

fn report(ledger: &Ledger, sizes: &[usize]) -> Result<(), Error> {
    let mut report = Report::new("idle")?;
    report.goals(&goals(ledger));
    let cases = ledger.cases();
    report.table("All connect at once", ledger, &cases, &[CONNECTS, ALL_IN, DROPS]);
    report.table("What they cost while nobody talks", ledger, &cases, &[MEMORY, STACKS, THREADS, IDLE_CPU, WAKES]);
    report.table("How idle browsers show that they are there", ledger, &cases, &[PINGS, PING_CPU]);
    report.table("One line to all of them", ledger, &cases, &[HEARD, FIRST, MIDDLE, LAST]);
    for &clients in sizes.iter().filter(|clients| **clients > Subject::Threads.clients_max()) {
        report.say(&format!(
            "A thread for each of {} clients takes more mappings than a process may have (`vm.max_map_count`; four a \
             thread: its stack, its stack for signals, and a guard page for each): the relay would abort.",
            Unit::Count.show(clients as f64)
        ));
    }
    let series = |figures: &[(&str, Figure)]| {
        let mut all = Vec::new();
        for (what, figure) in figures {
            for subject in [Subject::Pollchat, Subject::Threads] {
                let point = |clients: &usize| {
                    let value = ledger.median(&case(*clients), subject.name(), *figure).filter(|value| *value > 0.0);
                    Some((*clients as f64, value?))
                };
                let points: Vec<_> = sizes.iter().filter_map(point).collect();
                if points.len() > 1 {
                    all.push(Series { name: format!("{}{what}", subject.name()), points });
                }
            }
        }
        all
    };
    let memory = series(&[("", MEMORY), (": kernel stacks", STACKS)]);
    chart::lines(&report.chart_path("memory"), "Memory of the relay for one idle client", Unit::Bytes, &memory)?;
    let latency = series(&[(": half of them heard it", MIDDLE), (": all of them", LAST)]);
    chart::lines(
        &report.chart_path("latency"),
        "How long one line takes to idle clients",
        Unit::Nanoseconds,
        &latency,
    )?;
    report.finish(ledger)
}

fn goals(ledger: &Ledger) -> Vec<Goal> {
    let [pollchat, browsers, tracked] = [Subject::Pollchat, Subject::Browsers, Subject::Tracked];
    let [pollchat, browsers, tracked] = [pollchat.name(), browsers.name(), tracked.name()];
    // With fewer, what the first ones cost weighs more.
    let all = case(CLIENTS_MAX);
    let median = |figure| ledger.median(&all, pollchat, figure);
    let drops: Option<f64> = ledger.entry(&all, pollchat, DROPS).map(support::ledger::Entry::sum);
    let silence = ledger.entry(&all, pollchat, IDLE_CPU).map(support::ledger::Entry::worst);
    let some = format!("{} idle browsers", Unit::Count.show(BROWSERS as f64));
    let pinging = ledger.entry(&case(BROWSERS), browsers, IDLE_CPU).map(support::ledger::Entry::worst);
    vec![
        Goal {
            what: format!("{all}: resident memory a client"),
            reach: "≤ 128 B",
            measured: median(MEMORY).map(|bytes| (Unit::Bytes.show(bytes), bytes <= 128.0)),
        },
        Goal {
            what: format!("{all}, tracked: resident memory a client"),
            reach: "≤ 320 B",
            measured: ledger.median(&all, tracked, MEMORY).map(|bytes| (Unit::Bytes.show(bytes), bytes <= 320.0)),
        },
        Goal {
            what: format!("{all}: connects, all at once"),
            reach: "≥ 30,000/s",
            measured: median(CONNECTS).map(|rate| (Unit::PerSecond.show(rate), rate >= 30_000.0)),
        },
        Goal {
            what: format!("{all}: lost SYNs (`TcpExtListenDrops`), all rounds together"),
            reach: "0",
            measured: drops.map(|drops| (Unit::Count.show(drops), drops == 0.0)),
        },
        Goal {
            what: format!("{all}: CPU in a second of silence, in the worst round"),
            reach: "0",
            measured: silence.map(|cpu| (Unit::Nanoseconds.show(cpu), cpu == 0.0)),
        },
        Goal {
            what: format!("{some}: resident memory each"),
            reach: "≤ 512 B",
            measured: ledger
                .median(&case(BROWSERS), browsers, MEMORY)
                .map(|bytes| (Unit::Bytes.show(bytes), bytes <= 512.0)),
        },
        Goal {
            what: format!("{some}: CPU in a second, pings and all, in the worst round"),
            reach: "≤ 1 ms",
            measured: pinging.map(|cpu| (Unit::Nanoseconds.show(cpu), cpu <= 1e6)),
        },
    ]
}
