//! Fan-out: what a relay pays to give each line of one to all the others, and how long that takes.
//!
//! One talker with so many lines under way at a time, and so many who hear it, also in browsers; and a crowd of 200 who
//! all talk and all hear all the others. The load is a closed loop: a line is followed by the next one when all have
//! heard it.

mod support;

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;

use support::Error;
use support::chart::{self, Bar, Series};
use support::flags::{self, Flags};
use support::ledger::{Figure, Ledger, Unit};
use support::load::{Greeted, Load};
use support::process::own_cpu;
use support::relayed::Follower;
use support::report::{Goal, Report, no_line_is_lost, progress};
use support::subject::{Running, Subject};

const CPU: Figure = Figure::new("CPU a delivery", Unit::Nanoseconds);
const USER: Figure = Figure::new("of it in user mode", Unit::Percent);
/// The kernel's samples that `USER` is made of: of a round there are few.
const USER_TICKS: Figure = Figure::new("ticks in user mode", Unit::Count);
const TICKS: Figure = Figure::new("ticks", Unit::Count);
const RATE: Figure = Figure::new("deliveries", Unit::PerSecond);
const P50: Figure = Figure::new("p50", Unit::Nanoseconds);
const P99: Figure = Figure::new("p99", Unit::Nanoseconds);
const P999: Figure = Figure::new("p99.9", Unit::Nanoseconds);
const LOST: Figure = Figure::new("lost", Unit::Count);
const BUSY: Figure = Figure::new("its CPU", Unit::Percent);
const LOAD: Figure = Figure::new("the load's CPU", Unit::Percent);

/// Where a thread for each client has nothing to wait for, and no list of events to ask for.
const FEW: [&str; 2] = ["1 line at a time to 1", "1 line at a time to 10"];

/// From this share of a core on the load generator is the bottleneck, if it is also so much busier than the subject.
const BUSY_PERCENT: f64 = 80.0;
const BUSIER: f64 = 1.2;

/// Measures what relays pay to give each line of one to all the others
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    flags: Flags,

    /// Only cases with this in their names
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    only: String,
}

/// Who talks and who hears.
#[derive(Clone, Debug)]
struct Case {
    name: String,
    talkers: usize,
    receivers: usize,
    /// Lines of each talker that are under way at a time.
    window: u64,
}

impl Case {
    fn one_to(receivers: usize, window: u64) -> Case {
        let receiving = Unit::Count.show(receivers as f64);
        let name = match window {
            1 => format!("1 line at a time to {receiving}"),
            _ => format!("{window} in flight to {receiving}"),
        };
        Case { name, talkers: 1, receivers, window }
    }

    /// All talk, and all hear all the others.
    fn crowd(talkers: usize) -> Case {
        Case { name: format!("{talkers} talkers, 2 lines each"), talkers, receivers: 0, window: 2 }
    }

    fn is_crowd(&self) -> bool {
        self.receivers == 0
    }

    /// A subscriber of Redis cannot talk, and the floor knows one talker only. What browsers and tracked clients cost
    /// besides is the same however many they are.
    fn is_for(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Browsers => self.is_crowd() || [100, 1_000].contains(&self.receivers),
            Subject::Tracked | Subject::Tls | Subject::Stunnel => [100, 1_000].contains(&self.receivers),
            Subject::Bare => !self.is_crowd(),
            Subject::External(external) => !self.is_crowd() || external.join.is_empty(),
            Subject::Pollchat | Subject::Threads => true,
        }
    }
}

fn main() -> ExitCode {
    let Arguments { flags, only } = Arguments::parse();
    flags::run(&flags, || benchmark(&flags, &only))
}

fn benchmark(flags: &Flags, only: &str) -> Result<(), Error> {
    let clients_max = flags.clients_max();
    let receivers: &[usize] = if flags.quick { &[1, 100] } else { &[1, 10, 100, 1_000, 5_000] };
    let receivers = receivers.iter().copied().filter(|receivers| *receivers < clients_max);
    let mut cases: Vec<Case> =
        receivers.flat_map(|receivers| [1, 64].map(|window| Case::one_to(receivers, window))).collect();
    cases.push(Case::crowd(if flags.quick { 50 } else { 200 }));
    cases.retain(|case| case.name.contains(only));
    let mut subjects =
        vec![Subject::Pollchat, Subject::Bare, Subject::Threads, Subject::Browsers, Subject::Tracked, Subject::Tls];
    if has_stunnel() {
        subjects.push(Subject::Stunnel);
    }
    subjects.extend(flags.external());
    let duration = Duration::from_millis(if flags.quick { 200 } else { 1_500 });

    let mut ledger = Ledger::default();
    let bar = progress(flags.rounds() * cases.len() * subjects.len());
    for _ in 0..flags.rounds() {
        for case in &cases {
            for subject in &subjects {
                bar.set_message(format!("{}: {}", case.name, subject.name()));
                if case.is_for(subject) {
                    measure(&mut ledger, case, subject, duration)
                        .map_err(|error| format!("{}: {}: {error}", case.name, subject.name()))?;
                }
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    report(&ledger)
}

/// Runs one case with one subject, and adds what was found to the ledger.
fn measure(ledger: &mut Ledger, case: &Case, subject: &Subject, duration: Duration) -> Result<(), Error> {
    let clients = case.talkers + case.receivers;
    let relay = subject.start(clients, &[])?;
    let mut load = Load::new()?;
    let say = gather(&mut load, case, subject, &relay)?;
    let mut follower = Follower::new(clients, case.talkers, case.window, case.is_crowd());
    talk(&mut load, &mut follower, case, &say, duration / 4)?;
    follower.start_counting();

    let (cpu, own, start) = (relay.cpu()?, own_cpu()?, Instant::now());
    talk(&mut load, &mut follower, case, &say, duration)?;
    let (cpu, own, took) = (relay.cpu()? - cpu, own_cpu()? - own, start.elapsed());

    let mut add = |figure, value| ledger.add(&case.name, subject.name(), figure, value);
    if follower.deliveries > 0 {
        let deliveries = follower.deliveries as f64;
        add(CPU, cpu.total.as_nanos() as f64 / deliveries);
        add(RATE, deliveries / took.as_secs_f64());
        for (figure, quantile) in [(P50, 0.5), (P99, 0.99), (P999, 0.999)] {
            add(figure, follower.latencies().value_at_quantile(quantile) as f64);
        }
    }
    let (user_ticks, ticks) = cpu.ticks();
    if ticks > 0 {
        add(USER, 100.0 * user_ticks as f64 / ticks as f64);
        add(USER_TICKS, user_ticks as f64);
        add(TICKS, ticks as f64);
    }
    add(LOST, follower.lost as f64);
    add(BUSY, 100.0 * cpu.total.as_secs_f64() / took.as_secs_f64());
    add(LOAD, 100.0 * own.as_secs_f64() / took.as_secs_f64());
    Ok(())
}

/// Connects all, the talkers first. Returns what has to stand before each line.
fn gather(load: &mut Load, case: &Case, subject: &Subject, relay: &Running) -> Result<Vec<u8>, Error> {
    let Subject::External(external) = subject else {
        // Who talks alone does so in lines, whatever those are who hear it.
        let talkers = if case.is_crowd() { relay.entrance } else { relay.lines };
        load.connect(talkers, case.talkers, subject.greets())?;
        load.connect(relay.entrance, case.receivers, subject.greets())?;
        return Ok(Vec::new());
    };
    load.connect(relay.lines, case.talkers, false)?;
    let receivers = load.connect(relay.lines, case.receivers, false)?;
    if external.join.is_empty() {
        // Nothing tells when a relay that does not greet has taken note of everyone.
        std::thread::sleep(Duration::from_millis(500));
    } else {
        let mut greeted = Greeted::new(receivers.clone());
        receivers.clone().for_each(|receiver| load.say(receiver, external.join.as_bytes()));
        load.wait_for(&mut greeted, |_, greeted| greeted.count == receivers.len())?;
    }
    Ok(external.say.clone().into_bytes())
}

/// Lets the talkers talk for so long, and then waits until all have heard all.
fn talk(load: &mut Load, follower: &mut Follower, case: &Case, say: &[u8], duration: Duration) -> Result<(), Error> {
    let start = Instant::now();
    let mut bytes = Vec::new();
    let mut heard_at = start;
    while start.elapsed() < duration {
        for talker in 0..case.talkers {
            if follower.fill(talker, say, &mut bytes) > 0 {
                load.say(talker, &bytes);
            }
        }
        if load.turn(follower, Some(Duration::from_millis(100)))? {
            heard_at = Instant::now();
        } else if heard_at.elapsed() > support::load::PATIENCE {
            break;
        }
    }
    if load.wait_for(follower, |_, follower| follower.is_settled()).is_err() {
        follower.give_up();
    }
    Ok(())
}

fn report(ledger: &Ledger) -> Result<(), Error> {
    let mut report = Report::new("fanout")?;
    report.goals(&goals(ledger));
    let cases = ledger.cases();
    let few: Vec<&str> = cases.iter().copied().filter(|case| FEW.contains(case)).collect();
    report.table("A few clients, one line at a time", ledger, &few, &[CPU, P50, P99]);
    report.table("What a delivery costs the relay", ledger, &cases, &[CPU, USER, BUSY, LOAD]);
    report.table("How many and how fast", ledger, &cases, &[RATE, P50, P99, P999, LOST]);
    let bound = cases.iter().flat_map(|case| ledger.subjects(case).into_iter().map(move |subject| (*case, subject)));
    let bound: Vec<String> = bound
        .filter(|(case, subject)| is_bound_by_the_load(ledger, case, subject))
        .map(|(case, subject)| format!("{case} ({subject})"))
        .collect();
    if !bound.is_empty() {
        report.say(&format!(
            "**The load generator was the bottleneck** of these: more could have been delivered a second. What a \
             delivery costs does not depend on that. {}.",
            bound.join("; ")
        ));
    }
    charts(&report, ledger)?;
    report.finish(ledger)?;
    no_line_is_lost(lost(ledger))
}

/// Whether stunnel is installed.
fn has_stunnel() -> bool {
    Command::new("stunnel").arg("-version").stderr(Stdio::null()).status().is_ok()
}

/// How many lines the server lost, whoever was to hear them.
fn lost(ledger: &Ledger) -> f64 {
    [Subject::Pollchat, Subject::Browsers, Subject::Tracked, Subject::Tls, Subject::Stunnel]
        .iter()
        .map(|subject| ledger.sum_of(subject.name(), LOST))
        .sum()
}

fn is_bound_by_the_load(ledger: &Ledger, case: &str, subject: &str) -> bool {
    let load = ledger.median(case, subject, LOAD).unwrap_or(0.0);
    load >= BUSY_PERCENT && load > BUSIER * ledger.median(case, subject, BUSY).unwrap_or(0.0)
}

fn goals(ledger: &Ledger) -> Vec<Goal> {
    let [pollchat, bare, threads] = [Subject::Pollchat, Subject::Bare, Subject::Threads];
    let [pollchat, bare, threads] = [pollchat.name(), bare.name(), threads.name()];
    let (thousand, hundred, crowd) = (Case::one_to(1_000, 1).name, Case::one_to(100, 64).name, Case::crowd(200).name);
    let times = |case: &str, to: &str| ledger.ratio(case, pollchat, to, CPU);
    let sum = |case: &str, figure| ledger.entry(case, pollchat, figure).map(support::ledger::Entry::sum);
    let fraction = |case: &str, most: f64| {
        times(case, threads).map(|ratio| (format!("1/{:.0}", 1.0 / ratio), ratio <= 1.0 / most))
    };
    let to_browsers = |case: &str, most: f64| {
        let ratio = ledger.ratio(case, Subject::Browsers.name(), pollchat, CPU);
        ratio.map(|ratio| (format!("{ratio:.2}"), ratio <= most))
    };
    let to_tracked = |case: &str| {
        let ratio = ledger.ratio(case, Subject::Tracked.name(), pollchat, CPU);
        ratio.map(|ratio| (format!("{ratio:.2}"), ratio <= 1.03))
    };
    let to_sealed = |case: &str, most: f64| {
        let ratio = ledger.ratio(case, Subject::Tls.name(), pollchat, CPU);
        ratio.map(|ratio| (format!("{ratio:.2}"), ratio <= most))
    };
    let lost = lost(ledger);
    vec![
        Goal {
            what: format!("{thousand}: CPU a delivery, as a multiple of the bare `send` loop's"),
            reach: "≤ 1.10",
            measured: times(&thousand, bare).map(|ratio| (format!("{ratio:.2}"), ratio <= 1.10)),
        },
        Goal {
            what: format!("{thousand}: share of user mode, in all rounds together"),
            reach: "≤ 5 %",
            measured: sum(&thousand, USER_TICKS).zip(sum(&thousand, TICKS)).map(|(user, all)| {
                let share = 100.0 * user / all;
                (Unit::Percent.show(share), share <= 5.0)
            }),
        },
        Goal {
            what: format!("{hundred}: CPU a delivery, of the thread-per-client relay's"),
            reach: "≤ 1/20",
            measured: fraction(&hundred, 20.0),
        },
        Goal {
            what: format!("{crowd}: CPU a delivery"),
            reach: "≤ 80 ns",
            measured: ledger.median(&crowd, pollchat, CPU).map(|cpu| (Unit::Nanoseconds.show(cpu), cpu <= 80.0)),
        },
        Goal {
            what: format!("{crowd}: CPU a delivery, of the thread-per-client relay's"),
            reach: "≤ 1/50",
            measured: fraction(&crowd, 50.0),
        },
        Goal {
            what: format!("{thousand}: CPU a delivery to browsers, as a multiple of that to others"),
            reach: "≤ 1.25",
            measured: to_browsers(&thousand, 1.25),
        },
        Goal {
            what: format!("{hundred}: CPU a delivery to browsers, as a multiple of that to others"),
            reach: "≤ 1.25",
            measured: to_browsers(&hundred, 1.25),
        },
        Goal {
            what: format!("{thousand}: CPU a delivery to tracked clients, as a multiple of that to plain ones"),
            reach: "≤ 1.03",
            measured: to_tracked(&thousand),
        },
        Goal {
            what: format!("{hundred}: CPU a delivery to tracked clients, as a multiple of that to plain ones"),
            reach: "≤ 1.03",
            measured: to_tracked(&hundred),
        },
        Goal {
            what: format!("{thousand}: CPU a delivery over TLS, as a multiple of that to plain clients"),
            reach: "≤ 1.35",
            measured: to_sealed(&thousand, 1.35),
        },
        Goal {
            what: format!("{hundred}: CPU a delivery over TLS, as a multiple of that to plain clients"),
            reach: "≤ 1.6",
            measured: to_sealed(&hundred, 1.6),
        },
        Goal {
            what: "lines lost, in all cases together".to_owned(),
            reach: "0",
            measured: Some((Unit::Count.show(lost), lost == 0.0)),
        },
    ]
}

fn charts(report: &Report, ledger: &Ledger) -> Result<(), Error> {
    let mut bars = Vec::new();
    let cases = [Case::one_to(1_000, 1), Case::one_to(100, 64), Case::one_to(1_000, 64), Case::crowd(200)];
    for (group, case) in cases.iter().filter(|case| !ledger.subjects(&case.name).is_empty()).enumerate() {
        // Browsers and tracked clients are given theirs by the same relay.
        let mut subjects = ledger.subjects(&case.name);
        subjects.retain(|subject| ![Subject::Browsers.name(), Subject::Tracked.name()].contains(subject));
        for (color, subject) in subjects.into_iter().enumerate() {
            if let Some(value) = ledger.median(&case.name, subject, CPU) {
                // The floor takes no part in the crowd, and leaves its colour to nobody.
                let color = if case.is_crowd() && color > 0 { color + 1 } else { color };
                bars.push(Bar { group, color, text: format!("{subject}, {}", case.name), value });
            }
        }
    }
    if !bars.is_empty() {
        chart::bars(
            &report.chart_path("cpu-a-delivery"),
            "CPU of the relay for one delivery",
            Unit::Nanoseconds,
            &bars,
        )?;
    }
    let mut series = Vec::new();
    for window in [1, 64] {
        for subject in [Subject::Pollchat, Subject::Threads] {
            let point = |receivers| {
                let cpu = ledger.median(&Case::one_to(receivers, window).name, subject.name(), CPU)?;
                Some((receivers as f64, cpu))
            };
            let points = [1, 10, 100, 1_000, 5_000].into_iter().filter_map(point).collect();
            series.push(Series { name: format!("{}, {window} in flight", subject.name()), points });
        }
    }
    let title = "CPU of the relay for one delivery, against those who hear it";
    chart::lines(&report.chart_path("cpu-against-receivers"), title, Unit::Nanoseconds, &series)
}
