//! The cost of rooms that several servers share through Redis: latency, CPU of all processes together, lines a second,
//! and what servers use while nobody talks. A server without a bus takes its turn beside them.

mod support;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use support::Error;
use support::browser::Entrance;
use support::flags::{self, Flags};
use support::ledger::{Figure, Ledger, Unit};
use support::load::{Deaf, Ear, Load, PATIENCE};
use support::process::{Cpu, own_cpu};
use support::redis::{self, Redis};
use support::relayed::Follower;
use support::report::{Goal, Report, no_line_is_lost, progress};
use support::subject::{Running, Subject};

const P50: Figure = Figure::new("p50", Unit::Nanoseconds);
const P99: Figure = Figure::new("p99", Unit::Nanoseconds);
const CPU: Figure = Figure::new("CPU a delivery, all processes", Unit::Nanoseconds);
const REDIS: Figure = Figure::new("Redis's part a line", Unit::Nanoseconds);
const LINE: Figure = Figure::new("CPU a line, all processes", Unit::Nanoseconds);
const RATE: Figure = Figure::new("lines", Unit::PerSecond);
const LOAD: Figure = Figure::new("core of the load", Unit::Percent);
const LOST: Figure = Figure::new("lost", Unit::Count);
const IDLE: Figure = Figure::new("CPU of a server in 10 s of silence", Unit::Nanoseconds);

/// Names of the subjects: the number of servers that share the rooms, or none.
const SUBJECTS: [&str; 5] = ["no bus", "1 server", "2 servers", "3 servers", "4 servers"];

/// Time that idle servers are watched.
const SILENCE: Duration = Duration::from_secs(10);

/// Measures what a bus costs
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    flags: Flags,

    /// Only cases with this in their names
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    only: String,
}

/// Talkers and receivers, spread over rooms and servers.
#[derive(Clone, Debug)]
struct Case {
    name: String,
    rooms: usize,
    /// Talkers of each room, and below its receivers.
    talkers: usize,
    receivers: usize,
    /// Lines of each talker that are under way at a time.
    window: u64,
    /// The numbers of servers that are measured; 0: one without a bus.
    servers: &'static [usize],
}

impl Case {
    /// A single room, in which one client talks.
    fn one_to(receivers: usize, window: u64, servers: &'static [usize]) -> Case {
        let receiving = Unit::Count.show(receivers as f64);
        let name = match window {
            1 => format!("1 line at a time to {receiving}"),
            _ => format!("{window} in flight to {receiving}"),
        };
        Case { name, rooms: 1, talkers: 1, receivers, window, servers }
    }

    /// A single room, and a receiver for each of two servers.
    fn crowd(talkers: usize) -> Case {
        let name = format!("{talkers} talkers, 2 receivers");
        Case { name, rooms: 1, talkers, receivers: 2, window: 64, servers: &[0, 2] }
    }

    /// So many rooms, in each of which a client talks to ten others.
    fn rooms(rooms: usize) -> Case {
        let name =
            if rooms == 1 { "a talker in 1 room".to_owned() } else { format!("a talker in each of {rooms} rooms") };
        Case { name, rooms, talkers: 1, receivers: 10, window: 16, servers: &[1] }
    }

    fn clients(&self) -> usize {
        self.rooms * (self.talkers + self.receivers)
    }
}

fn main() -> ExitCode {
    let Arguments { flags, only } = Arguments::parse();
    flags::run(&flags, || benchmark(&flags, &only))
}

fn benchmark(flags: &Flags, only: &str) -> Result<(), Error> {
    if !redis::is_installed() {
        println!("left out: there is no redis-server");
        return Ok(());
    }
    let clients_max = flags.clients_max();
    let mut cases = vec![
        Case::one_to(1, 1, &[0, 1]),
        Case::one_to(10, 1, &[0, 1]),
        Case::one_to(1_000, 1, &[0, 1, 2]),
        Case::one_to(100, 64, &[0, 1]),
        Case::one_to(400, 64, &[1, 2, 4]),
        Case::crowd(64),
        Case::rooms(1),
        Case::rooms(32),
    ];
    cases.retain(|case| case.name.contains(only) && case.clients() < clients_max);
    let duration = Duration::from_millis(if flags.quick { 200 } else { 1_500 });
    let silence = if flags.quick { SILENCE / 10 } else { SILENCE };

    let mut ledger = Ledger::default();
    let bar = progress(flags.rounds() * cases.len());
    for _ in 0..flags.rounds() {
        for case in &cases {
            for &servers in case.servers {
                bar.set_message(format!("{}: {}", case.name, SUBJECTS[servers]));
                measure(&mut ledger, case, servers, duration)
                    .map_err(|error| format!("{}: {}: {error}", case.name, SUBJECTS[servers]))?;
            }
            bar.inc(1);
        }
        if "silence".contains(only) {
            rest(&mut ledger, silence)?;
        }
    }
    bar.finish_and_clear();
    report(&ledger)
}

/// Servers that share their rooms, and what they share them through; or one server alone.
struct House {
    servers: Vec<Running>,
    redis: Option<Redis>,
}

impl House {
    fn start(servers: usize, clients: usize) -> Result<House, Error> {
        let redis = (servers > 0).then(Redis::start).transpose()?;
        let bus = redis.as_ref().map(|redis| format!("--bus=redis://{}", redis.address));
        let flags: Vec<&str> = ["--announce-up-to", "0"].into_iter().chain(bus.as_deref()).collect();
        let start = |_| Subject::Pollchat.start(clients, &flags);
        let servers = (0..servers.max(1)).map(start).collect::<Result<_, _>>()?;
        Ok(House { servers, redis })
    }

    /// CPU time of all processes so far, and of Redis among them.
    fn cpu(&self) -> Result<[Duration; 2], Error> {
        let redis = self.redis.as_ref().map(|redis| Cpu::of(redis.pid())).transpose()?.unwrap_or_default();
        let mut all = redis;
        for server in &self.servers {
            all = all + server.cpu()?;
        }
        Ok([all.total, redis.total])
    }
}

/// The conversation of each room, and who hears it.
struct Talk {
    rooms: Vec<Follower>,
    /// Of each client of the load: its room, and its number there. Talkers come first.
    places: Vec<(usize, usize)>,
    talkers: usize,
}

impl Ear for Talk {
    fn on_lines(&mut self, client: usize, lines: &[u8], now: Instant) {
        let (room, place) = self.places[client];
        // What talkers hear is not looked at: the load has to cost less than what it measures.
        if place >= self.talkers {
            self.rooms[room].on_lines(place, lines, now);
        }
    }
}

/// Counts the clients that were told which room they are in.
struct Arrivals(Vec<bool>);

impl Ear for Arrivals {
    fn on_lines(&mut self, client: usize, lines: &[u8], _: Instant) {
        self.0[client] |= memchr::memmem::find(lines, b"* you are in r").is_some();
    }
}

impl Talk {
    /// Connects all clients of a case, in turn to each server.
    fn gather(load: &mut Load, case: &Case, house: &House) -> Result<Talk, Error> {
        let clients = case.talkers + case.receivers;
        let rooms = (0..case.rooms).map(|_| Follower::new(clients, case.talkers, case.window, false)).collect();
        let mut talk = Talk { rooms, places: Vec::new(), talkers: case.talkers };
        for room in 0..case.rooms {
            for place in 0..clients {
                // Receivers begin at the first server again, so that each has as many of them.
                let index = if place < case.talkers { place } else { place - case.talkers };
                let server = &house.servers[index % house.servers.len()];
                let entrance = Entrance { first_words: "", ..server.lines };
                load.begin_to_connect_with(entrance, format!("/join r{room}\n").into_bytes())?;
                talk.places.push((room, place));
                let client = talk.places.len() - 1;
                load.wait_for(&mut Deaf, |load, _| !load.is_connecting(client))?;
                // A full queue of connections would wait a second.
                if client.is_multiple_of(100) {
                    load.turn(&mut Deaf, Some(Duration::from_millis(1)))?;
                }
            }
        }
        // Asked again, all answer, also those whose first answer went to deaf ears.
        let mut arrivals = Arrivals(vec![false; talk.places.len()]);
        for (client, (room, _)) in talk.places.iter().enumerate() {
            load.say(client, format!("/join r{room}\n").as_bytes());
        }
        load.wait_for(&mut arrivals, |_, arrivals| arrivals.0.iter().all(|&is_there| is_there))?;
        Ok(talk)
    }

    /// Lets the talkers talk for so long, and then waits until all have heard all.
    fn talk(&mut self, load: &mut Load, duration: Duration) -> Result<(), Error> {
        let start = Instant::now();
        let (mut bytes, mut heard_at) = (Vec::new(), start);
        while start.elapsed() < duration {
            for client in 0..self.places.len() {
                let (room, place) = self.places[client];
                if place < self.talkers && self.rooms[room].fill(place, b"", &mut bytes) > 0 {
                    load.say(client, &bytes);
                }
            }
            if load.turn(self, Some(Duration::from_millis(100)))? {
                heard_at = Instant::now();
            } else if heard_at.elapsed() > PATIENCE {
                break;
            }
        }
        if load.wait_for(self, |_, talk| talk.rooms.iter().all(Follower::is_settled)).is_err() {
            self.rooms.iter_mut().for_each(Follower::give_up);
        }
        Ok(())
    }
}

/// Runs one case with so many servers, and adds what was found to the ledger.
fn measure(ledger: &mut Ledger, case: &Case, servers: usize, duration: Duration) -> Result<(), Error> {
    let house = House::start(servers, case.clients())?;
    let mut load = Load::new()?;
    let mut talk = Talk::gather(&mut load, case, &house)?;
    talk.talk(&mut load, duration / 4)?;
    talk.rooms.iter_mut().for_each(Follower::start_counting);

    let ([cpu, redis], own, start) = (house.cpu()?, own_cpu()?, Instant::now());
    talk.talk(&mut load, duration)?;
    let ([cpu_then, redis_then], own, took) = (house.cpu()?, own_cpu()? - own, start.elapsed());
    let (cpu, redis) = (cpu_then - cpu, redis_then - redis);

    let mut add = |figure, value| ledger.add(&case.name, SUBJECTS[servers], figure, value);
    let deliveries = talk.rooms.iter().map(|room| room.deliveries).sum::<u64>() as f64;
    let lines = deliveries / case.receivers as f64;
    if deliveries > 0.0 {
        let each = |cpu: Duration, count: f64| cpu.as_nanos() as f64 / count;
        add(CPU, each(cpu, deliveries));
        add(LINE, each(cpu, lines));
        add(RATE, lines / took.as_secs_f64());
        if servers > 0 {
            add(REDIS, each(redis, lines));
        }
        if case.rooms == 1 {
            for (figure, quantile) in [(P50, 0.5), (P99, 0.99)] {
                add(figure, talk.rooms[0].latencies().value_at_quantile(quantile) as f64);
            }
        }
    }
    add(LOAD, 100.0 * own.as_secs_f64() / took.as_secs_f64());
    add(LOST, talk.rooms.iter().map(|room| room.lost).sum::<u64>() as f64);
    Ok(())
}

/// Measures what servers use while nobody talks: the worst of three with a bus, and one without.
fn rest(ledger: &mut Ledger, silence: Duration) -> Result<(), Error> {
    for servers in [0, 3] {
        let house = House::start(servers, 1)?;
        let mut load = Load::new()?;
        let _talk = Talk::gather(&mut load, &Case::one_to(1, 1, &[]), &house)?;
        std::thread::sleep(Duration::from_secs(1));
        let before = house.servers.iter().map(Running::cpu).collect::<Result<Vec<_>, _>>()?;
        std::thread::sleep(silence);
        let mut worst = Duration::ZERO;
        for (server, before) in house.servers.iter().zip(before) {
            worst = worst.max((server.cpu()? - before).total);
        }
        let in_ten_seconds = worst.as_nanos() as f64 * SILENCE.as_secs_f64() / silence.as_secs_f64();
        ledger.add("silence", SUBJECTS[servers], IDLE, in_ten_seconds);
    }
    Ok(())
}

fn report(ledger: &Ledger) -> Result<(), Error> {
    let mut report = Report::new("bus")?;
    report.goals(&goals(ledger));
    let cases = ledger.cases();
    report.table("What a line costs with a bus", ledger, &cases, &[CPU, LINE, REDIS, LOAD]);
    report.table("How fast", ledger, &cases, &[RATE, P50, P99, LOST]);
    report.table("While nobody talks", ledger, &["silence"], &[IDLE]);
    report.finish(ledger)?;
    no_line_is_lost(SUBJECTS.iter().map(|subject| ledger.sum_of(subject, LOST)).sum())
}

fn goals(ledger: &Ledger) -> Vec<Goal> {
    let [none, one, two, three, four] = SUBJECTS;
    let mut goals = Vec::new();
    for receivers in [1, 10] {
        let name = Case::one_to(receivers, 1, &[]).name;
        for (figure, reach, most) in [(P50, "≤ 60 µs", 60e3), (P99, "≤ 300 µs", 300e3)] {
            let added = ledger.median(&name, one, figure).zip(ledger.median(&name, none, figure));
            let added = added.map(|(with, without)| (with - without).max(0.0));
            goals.push(Goal {
                what: format!("{name}: {} that a bus adds", figure.name),
                reach,
                measured: added.map(|added| (Unit::Nanoseconds.show(added), added <= most)),
            });
        }
    }
    let mut times = |case: &str, what: &str, [of, to]: [&str; 2], reach, most: f64| {
        let ratio = ledger.ratio(case, of, to, CPU);
        let measured = ratio.map(|ratio| (format!("{ratio:.2}"), ratio <= most));
        goals.push(Goal { what: format!("{case}: CPU a delivery {what}"), reach, measured });
    };
    let (thousand, hundred, spread) =
        (Case::one_to(1_000, 1, &[]).name, Case::one_to(100, 64, &[]).name, Case::one_to(400, 64, &[]).name);
    times(&thousand, "of 1 server with a bus, of that without", [one, none], "≤ 1.15", 1.15);
    times(&thousand, "of 2 servers with a bus, of that without", [two, none], "≤ 1.25", 1.25);
    times(&hundred, "of 1 server with a bus, of that without", [one, none], "≤ 1.5", 1.5);
    times(&spread, "of 4 servers, of that of 1", [four, one], "≤ 1.15", 1.15);
    let crowd = Case::crowd(64).name;
    goals.push(Goal {
        what: format!("{crowd}, 2 servers: lines of one room"),
        reach: "≥ 100,000/s",
        measured: ledger.median(&crowd, two, RATE).map(|rate| (Unit::PerSecond.show(rate), rate >= 100e3)),
    });
    let (few, many) = (Case::rooms(1).name, Case::rooms(32).name);
    let cpu = ledger.median(&many, one, LINE).zip(ledger.median(&few, one, LINE)).map(|(many, few)| many / few);
    goals.push(Goal {
        what: format!("{many}: CPU a line, of that in 1 room"),
        reach: "≤ 1.15",
        measured: cpu.map(|ratio| (format!("{ratio:.2}"), ratio <= 1.15)),
    });
    goals.push(Goal {
        what: "3 idle servers with a bus: CPU of one in 10 s, in the worst round".to_owned(),
        reach: "≤ 1 ms",
        measured: ledger.entry("silence", three, IDLE).map(|entry| {
            let worst = entry.worst();
            (Unit::Nanoseconds.show(worst), worst <= 1e6)
        }),
    });
    goals
}
