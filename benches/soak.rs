//! Minutes of people who come and go, and of those who do worse, while two pairs talk and others read.
//!
//! Those who stay check every line: of the pairs, and of all who came, said some and left in good order. The relay's
//! memory and descriptors are looked at all the while, and must end where they began.

mod support;

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;

use support::Error;
use support::churn::{self, Churn};
use support::flags::{self, Flags};
use support::ledger::{Figure, Ledger, Unit};
use support::load::{Ear, Load, PATIENCE};
use support::process::{descriptors, resident_bytes};
use support::relayed::{new_histogram, parse_line, record, write_line};
use support::report::{Goal, Report, no_line_is_lost, progress};
use support::subject::{Running, Subject};

const CAME: Figure = Figure::new("came and went", Unit::PerSecond);
const HEARD: Figure = Figure::new("their lines", Unit::PerSecond);
const TRIPS: Figure = Figure::new("the pairs' round trips", Unit::PerSecond);
const P50: Figure = Figure::new("p50", Unit::Nanoseconds);
const P99: Figure = Figure::new("p99", Unit::Nanoseconds);
const WORST: Figure = Figure::new("longest", Unit::Nanoseconds);
const RESIDENT: Figure = Figure::new("resident memory", Unit::Bytes);
const FILES: Figure = Figure::new("descriptors", Unit::Count);
const SLOPE: Figure = Figure::new("memory: slope over all of it, a minute", Unit::Bytes);
const GROWTH: Figure = Figure::new("memory: more than at the beginning", Unit::Bytes);
const LEFT_OVER: Figure = Figure::new("descriptors: more than at the beginning", Unit::Count);
const LOST: Figure = Figure::new("lines lost by those who stayed", Unit::Count);

/// Those who stay: two pairs, of which the even ones serve, and readers.
const PLAYERS: usize = 4;
const STAYERS: usize = 8;

/// The case of the figures of the whole run.
const ALL: &str = "all of it";

/// How often the relay is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Lets people and worse come and go for minutes, and looks what becomes of those who stay, and of memory
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    flags: Flags,

    /// How long, after some warming up [default: 3, or 3 seconds with --quick]
    #[arg(long, value_name = "N")]
    minutes: Option<f64>,
}

fn main() -> ExitCode {
    let Arguments { flags, minutes } = Arguments::parse();
    let minutes = minutes.unwrap_or(if flags.quick { 0.05 } else { 3.0 }).clamp(0.01, 10_000.0);
    flags::run(&flags, || benchmark(Duration::from_secs_f64(60.0 * minutes)))
}

fn benchmark(duration: Duration) -> Result<(), Error> {
    support::subject::raise_open_files();
    let relay = Subject::Browsers.start(STAYERS, &[])?;
    let mut stage = Stage::new(relay)?;
    // A part is a minute; of less than three there are three that are shorter.
    let parts = (duration.as_secs() / 60).max(3);
    let part = duration.div_f64(parts as f64);
    let bar = progress(usize::try_from(parts)? + 1);

    // What it takes for so many, it has after that; and the tape is full.
    bar.set_message("warming up");
    let (address, page) = (stage.relay.address, stage.relay.entrance.address);
    let churn = Churn::start(address, page);
    let tally = churn.tally.clone();
    let filling = thread::spawn(move || churn::fill(&tally, address));
    stage.go_on(&churn, part.min(Duration::from_secs(20)), |_, _| Ok(()))?;
    stage.go_on_until(|_| filling.is_finished())?;
    filling.join().map_err(|_| "the filling panicked")??;
    stage.end(churn)?;
    let (resident_before, files_before) = stage.look()?;
    bar.inc(1);

    let mut ledger = Ledger::default();
    let mut samples = Vec::new();
    let churn = Churn::start(address, page);
    let start = Instant::now();
    for number in 1..=parts {
        let name = format!("part {number} of {parts}");
        bar.set_message(name.clone());
        stage.play.begin_part();
        let (came, began_at) = (churn.tally.came.load(Ordering::Relaxed), Instant::now());
        let mut most = (0, 0);
        stage.go_on(&churn, part, |resident, files| {
            samples.push((start.elapsed().as_secs_f64() / 60.0, resident as f64));
            most = (most.0.max(resident), most.1.max(files));
            Ok(())
        })?;
        let came = churn.tally.came.load(Ordering::Relaxed) - came;
        stage.play.add_part(&mut ledger, &name, came, began_at.elapsed());
        add(&mut ledger, &name, RESIDENT, most.0 as f64);
        add(&mut ledger, &name, FILES, most.1 as f64);
        bar.inc(1);
    }
    stage.end(churn)?;
    bar.finish_and_clear();
    let (resident, files) = stage.look()?;
    add(&mut ledger, ALL, SLOPE, slope(&samples));
    add(&mut ledger, ALL, GROWTH, resident as f64 - resident_before as f64);
    add(&mut ledger, ALL, LEFT_OVER, files as f64 - files_before as f64);
    add(&mut ledger, ALL, LOST, stage.play.lost() as f64);
    report(&ledger, duration)
}

/// Those who stay, as they hear.
struct Play {
    /// Of each pair: the number of its ball, when it was served, and who is to play it.
    balls: [(u64, Instant, Option<usize>); PLAYERS / 2],
    trips: Histogram<u64>,
    /// For each who stays: the number of the next line of each talker.
    due: Vec<HashMap<usize, u64>>,
    /// For each who stays: lines of those who come and go.
    heard: Vec<u64>,
    heard_before: u64,
    /// Lines of those who come and go that were said in all, as far as they are known.
    said: u64,
    /// Lines that came late, twice or not at all, or that were not what was said.
    wrong: u64,
}

impl Play {
    fn new() -> Play {
        let now = Instant::now();
        Play {
            balls: std::array::from_fn(|pair| (0, now, Some(2 * pair))),
            trips: new_histogram(),
            due: vec![HashMap::new(); STAYERS],
            heard: vec![0; STAYERS],
            heard_before: 0,
            said: 0,
            wrong: 0,
        }
    }

    fn begin_part(&mut self) {
        self.trips.reset();
        self.heard_before = self.heard[STAYERS - 1];
    }

    fn add_part(&mut self, ledger: &mut Ledger, name: &str, came: u64, took: Duration) {
        let seconds = took.as_secs_f64();
        add(ledger, name, CAME, came as f64 / seconds);
        add(ledger, name, HEARD, (self.heard[STAYERS - 1] - self.heard_before) as f64 / seconds);
        add(ledger, name, TRIPS, self.trips.len() as f64 / seconds);
        add(ledger, name, P50, self.trips.value_at_quantile(0.5) as f64);
        add(ledger, name, P99, self.trips.value_at_quantile(0.99) as f64);
        add(ledger, name, WORST, self.trips.max() as f64);
    }

    /// A line of a talker has come to one who stays.
    fn on_line(&mut self, client: usize, talker: usize, number: u64, now: Instant) {
        let is_passing = talker >= STAYERS;
        let due = self.due[client].entry(talker).or_insert(0);
        // Numbers of those who come and go are given again, to one who begins anew.
        if number != *due && !(is_passing && number == 0) {
            self.wrong += number.abs_diff(*due);
        }
        *due = number + 1;
        if is_passing {
            self.heard[client] += 1;
        } else if client == (talker ^ 1) {
            let (ball, served_at, player) = &mut self.balls[talker / 2];
            if number == *ball && client.is_multiple_of(2) {
                record(&mut self.trips, u64::try_from((now - *served_at).as_nanos()).unwrap_or(u64::MAX), 1);
                *ball += 1;
            }
            *player = Some(client);
        }
    }

    /// Whether all who stay have heard all who passed.
    fn has_heard_all(&self) -> bool {
        self.heard.iter().all(|heard| *heard == self.said)
    }

    /// How many lines were lost, all who stayed together.
    fn lost(&self) -> u64 {
        let missing: u64 = self.heard.iter().map(|heard| heard.abs_diff(self.said)).sum();
        self.wrong.max(missing)
    }
}

impl Ear for Play {
    fn on_lines(&mut self, client: usize, lines: &[u8], now: Instant) {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', lines) {
            let line = &lines[start..end];
            match parse_line(line) {
                Some(Some((talker, number))) if client != talker => self.on_line(client, talker, number, now),
                Some(_) => self.wrong += 1,
                None => self.wrong += u64::from(line.starts_with(b"* you missed")),
            }
            start = end + 1;
        }
    }
}

/// The relay, those who stay, and what they hear.
struct Stage {
    relay: Running,
    load: Load,
    play: Play,
}

impl Stage {
    fn new(relay: Running) -> Result<Stage, Error> {
        let mut load = Load::new()?;
        load.connect(relay.lines, STAYERS, true)?;
        Ok(Stage { relay, load, play: Play::new() })
    }

    /// The relay's resident memory in bytes, and its descriptors.
    fn look(&self) -> Result<(u64, usize), Error> {
        Ok((resident_bytes(self.relay.pid)?, descriptors(self.relay.pid)?))
    }

    /// One turn: what is heard, and who is to play a ball.
    fn turn(&mut self) -> Result<(), Error> {
        self.load.turn(&mut self.play, Some(Duration::from_millis(1)))?;
        for (ball, served_at, player) in &mut self.play.balls {
            if let Some(player) = player.take() {
                let mut line = Vec::new();
                write_line(&mut line, player, *ball);
                if player.is_multiple_of(2) {
                    *served_at = Instant::now();
                }
                self.load.say(player, &line);
            }
        }
        Ok(())
    }

    /// Goes on for so long, and looks at the relay every now and then.
    fn go_on(
        &mut self,
        churn: &Churn,
        duration: Duration,
        mut on_look: impl FnMut(u64, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let start = Instant::now();
        let mut look_at = start;
        while start.elapsed() < duration && !churn.has_failed() {
            self.turn()?;
            if look_at <= Instant::now() {
                let (resident, files) = self.look()?;
                on_look(resident, files)?;
                look_at += LOOK_EVERY;
            }
        }
        Ok(())
    }

    fn go_on_until(&mut self, is_so: impl Fn(&Stage) -> bool) -> Result<(), Error> {
        let start = Instant::now();
        while !is_so(self) {
            if start.elapsed() > 2 * PATIENCE {
                return Err("what was to come did not come".into());
            }
            self.turn()?;
        }
        Ok(())
    }

    /// Lets all go who are not to stay, until the relay has nothing of them any more, and everything is heard.
    fn end(&mut self, churn: Churn) -> Result<(), Error> {
        churn.stop();
        self.go_on_until(|_| churn.is_over())?;
        let tally = churn.tally.clone();
        churn.result()?;
        self.play.said += tally.said.load(Ordering::Relaxed);
        // What is missing then is lost: that is for the report to say.
        let _ = self.go_on_until(|stage| stage.play.has_heard_all());
        let files = |stage: &Stage| descriptors(stage.relay.pid).unwrap_or(0);
        // The sockets of those who stay, and what it has without anybody.
        let mut least = files(self);
        let mut changed_at = Instant::now();
        while changed_at.elapsed() < Duration::from_secs(1) {
            self.turn()?;
            if files(self) < least {
                least = files(self);
                changed_at = Instant::now();
            }
        }
        Ok(())
    }
}

fn add(ledger: &mut Ledger, case: &str, figure: Figure, value: f64) {
    ledger.add(case, Subject::Pollchat.name(), figure, value);
}

/// The slope of the straight line that fits some points best (least squares).
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x_mean, y_mean) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    if variance > 0.0 { covariance / variance } else { 0.0 }
}

fn report(ledger: &Ledger, duration: Duration) -> Result<(), Error> {
    let mut report = Report::new("soak")?;
    report.goals(&goals(ledger));
    let parts: Vec<&str> = ledger.cases().into_iter().filter(|case| *case != ALL).collect();
    let title =
        format!("{:.1} minutes, after warming up; memory and descriptors at most", duration.as_secs_f64() / 60.0);
    report.table(&title, ledger, &parts, &[CAME, HEARD, TRIPS, P50, P99, WORST, RESIDENT, FILES]);
    report.table("When all are gone again", ledger, &[ALL], &[SLOPE, GROWTH, LEFT_OVER, LOST]);
    report.finish(ledger)?;
    no_line_is_lost(ledger.sum_of(Subject::Pollchat.name(), LOST))
}

fn goals(ledger: &Ledger) -> Vec<Goal> {
    let pollchat = Subject::Pollchat.name();
    let all = |figure| ledger.median(ALL, pollchat, figure);
    let mut parts: Vec<f64> = ledger.cases().iter().filter_map(|case| ledger.median(case, pollchat, P99)).collect();
    parts.sort_by(f64::total_cmp);
    let p99 = parts.get(parts.len() / 2).copied();
    vec![
        Goal {
            what: "minutes of churn: lines lost by those who stayed".to_owned(),
            reach: "0",
            measured: all(LOST).map(|lost| (Unit::Count.show(lost), lost == 0.0)),
        },
        Goal {
            what: "minutes of churn: descriptors left over".to_owned(),
            reach: "0",
            measured: all(LEFT_OVER).map(|files| (Unit::Count.show(files), files == 0.0)),
        },
        Goal {
            what: "minutes of churn: memory left over".to_owned(),
            reach: "≤ 1 MiB",
            measured: all(GROWTH).map(|bytes| (Unit::Bytes.show(bytes), bytes <= 1_048_576.0)),
        },
        Goal {
            what: "minutes of churn: p99 of a pair's round trips, in the median part".to_owned(),
            reach: "< 20 ms",
            measured: p99.map(|p99| (Unit::Nanoseconds.show(p99), p99 < 20e6)),
        },
    ]
}
