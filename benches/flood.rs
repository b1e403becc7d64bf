//! One who talks as fast as the relay lets him, one who does not read, and the others who just want to talk.
//!
//! A pair plays ping-pong, others read, newcomers come and go: undisturbed; beside a reader who stopped half a tape
//! ago; under a flood; under both; and in another room than both. Then what the size of the tape does to a reader who
//! stops for a while.

mod support;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;

use support::Error;
use support::browser::Entrance;
use support::flags::{self, Flags};
use support::ledger::{Figure, Ledger, Unit};
use support::load::{Ear, Greeted, Load};
use support::process::resident_bytes;
use support::relayed::{LINE_BYTES, new_histogram, parse_line, record, write_line};
use support::report::{Goal, Report, no_line_is_lost, progress};
use support::subject::Subject;

const TRIPS: Figure = Figure::new("the pair's round trips", Unit::PerSecond);
const P50: Figure = Figure::new("p50", Unit::Nanoseconds);
const P99: Figure = Figure::new("p99", Unit::Nanoseconds);
const WORST: Figure = Figure::new("longest", Unit::Nanoseconds);
const CONNECT: Figure = Figure::new("a newcomer is greeted after", Unit::Nanoseconds);
const FLOOD: Figure = Figure::new("lines of the flood", Unit::PerSecond);
const LOST: Figure = Figure::new("lost by healthy readers", Unit::Count);
const MISSED: Figure = Figure::new("missed", Unit::Percent);
const CAUGHT_UP: Figure = Figure::new("caught up after", Unit::Nanoseconds);
const RESIDENT: Figure = Figure::new("resident memory of the relay", Unit::Bytes);

/// Who is who. The stopped reader is there from the beginning, so that it is not a newcomer's cost that is measured.
const ANA: usize = 0;
const BOB: usize = 1;
const FLOODER: usize = 2;
const STOPPED: usize = 3;
const READERS: std::ops::Range<usize> = 4..12;
const PRESENT: usize = READERS.end;

/// Bytes that are said to get a reader half a tape of 8 MiB behind: what the kernel keeps for it comes on top.
const HALF_A_TAPE_BYTES: usize = 4_500_000;

/// Bytes of the flooder that wait in the load generator: it never runs dry.
const FLOOD_BYTES: usize = 256 * 1024;

/// How often somebody comes.
const NEWCOMER_EVERY: Duration = Duration::from_millis(20);

/// Measures how a pair fares beside a flood and a reader that stopped
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

/// What disturbs the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Case {
    name: &'static str,
    is_flooded: bool,
    has_stopped: bool,
    /// Whether the pair has a room of its own.
    is_elsewhere: bool,
}

const ALONE: Case = Case { name: "undisturbed", is_flooded: false, has_stopped: false, is_elsewhere: false };
const BESIDE_STOPPED: Case = Case { name: "beside a stopped reader", has_stopped: true, ..ALONE };
const FLOODED: Case = Case { name: "under a flood", is_flooded: true, ..ALONE };
const BOTH: Case = Case { name: "under a flood, beside a stopped reader", has_stopped: true, ..FLOODED };
const ELSEWHERE: Case = Case { name: "in another room than both", is_elsewhere: true, ..BOTH };

fn main() -> ExitCode {
    let Arguments { flags } = Arguments::parse();
    flags::run(&flags, || benchmark(&flags))
}

fn benchmark(flags: &Flags) -> Result<(), Error> {
    let mut subjects = vec![Subject::Pollchat, Subject::Threads];
    subjects.extend(flags.external());
    let cases = [ALONE, BESIDE_STOPPED, FLOODED, BOTH, ELSEWHERE];
    let duration = Duration::from_millis(if flags.quick { 300 } else { 3_000 });
    let (tapes, said_bytes): (&[&str], _) =
        if flags.quick { (&["1M", "8M"], 4 << 20) } else { (&["1M", "4M", "8M", "32M"], 16 << 20) };

    let mut ledger = Ledger::default();
    let bar = progress(flags.rounds() * ((cases.len() - 1) * subjects.len() + 1 + tapes.len()));
    for _ in 0..flags.rounds() {
        for case in cases {
            // Only one has rooms.
            let able = subjects.iter().filter(|&subject| !case.is_elsewhere || matches!(subject, Subject::Pollchat));
            for subject in able {
                bar.set_message(format!("{}: {}", case.name, subject.name()));
                measure(&mut ledger, case, subject, duration)
                    .map_err(|error| format!("{}: {}: {error}", case.name, subject.name()))?;
                bar.inc(1);
            }
        }
        for tape in tapes {
            bar.set_message(format!("a tape of {tape}"));
            measure_tape(&mut ledger, tape, said_bytes).map_err(|error| format!("a tape of {tape}: {error}"))?;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    report(&ledger, said_bytes)
}

/// All who play a part, as they are heard.
struct Play {
    /// The number of the pair's ball, and when ana served it.
    ball: u64,
    served_at: Instant,
    /// Who has the ball and is to play it.
    turn: Option<usize>,
    trips: Histogram<u64>,
    /// The number of the flood's next line, as each of those present expects it.
    expected: Vec<u64>,
    is_pair_elsewhere: bool,
    lost: u64,
    /// How many lines of the flood each has heard.
    heard: Vec<u64>,
    /// Newcomers, from [`PRESENT`] on: when each began to connect, until it is greeted.
    coming: Vec<Option<Instant>>,
    greeted: Vec<usize>,
    connects: Histogram<u64>,
}

impl Play {
    fn new() -> Play {
        Play {
            ball: 0,
            served_at: Instant::now(),
            turn: Some(ANA),
            trips: new_histogram(),
            expected: vec![0; PRESENT],
            is_pair_elsewhere: false,
            lost: 0,
            heard: vec![0; PRESENT],
            coming: Vec::new(),
            greeted: Vec::new(),
            connects: new_histogram(),
        }
    }

    fn on_flood(&mut self, client: usize, number: u64) {
        self.lost += u64::from(number < self.expected[client]) + number.saturating_sub(self.expected[client]);
        self.expected[client] = number + 1;
        self.heard[client] += 1;
    }

    /// Lines that a healthy reader has not heard, of so many that were said.
    fn still_missing(&self, said: u64) -> u64 {
        let healthy = [ANA, BOB].into_iter().filter(|_| !self.is_pair_elsewhere).chain(READERS);
        healthy.map(|client| said - self.expected[client]).sum()
    }
}

impl Ear for Play {
    fn on_lines(&mut self, client: usize, lines: &[u8], now: Instant) {
        if client >= PRESENT {
            if let Some(began_at) = self.coming[client - PRESENT].take() {
                record(&mut self.connects, nanoseconds(now - began_at), 1);
                self.greeted.push(client);
            }
            return;
        }
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', lines) {
            match parse_line(&lines[start..end]) {
                Some(Some((FLOODER, number))) if client != FLOODER => self.on_flood(client, number),
                Some(Some((ANA, number))) if client == BOB && number == self.ball => self.turn = Some(BOB),
                Some(Some((BOB, number))) if client == ANA && number == self.ball => {
                    record(&mut self.trips, nanoseconds(now - self.served_at), 1);
                    self.ball += 1;
                    self.turn = Some(ANA);
                }
                Some(None) => self.lost += 1,
                _ => {}
            }
            start = end + 1;
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The stage: the load, the play, and what the flooder has said.
struct Stage {
    load: Load,
    play: Play,
    say: Vec<u8>,
    flooded: u64,
}

impl Stage {
    fn new(subject: &Subject, to: Entrance) -> Result<Stage, Error> {
        let mut stage = Stage { load: Load::new()?, play: Play::new(), say: Vec::new(), flooded: 0 };
        stage.load.connect(to, PRESENT, subject.greets())?;
        if let Subject::External(external) = subject {
            stage.say = external.say.clone().into_bytes();
            if !external.join.is_empty() {
                let mut greeted = Greeted::new(0..PRESENT);
                (0..PRESENT).for_each(|client| stage.load.say(client, external.join.as_bytes()));
                stage.load.wait_for(&mut greeted, |_, greeted| greeted.count == PRESENT)?;
            }
        }
        Ok(stage)
    }

    /// Takes the pair to a room of its own.
    fn part(&mut self) -> Result<(), Error> {
        let mut moved = Greeted::new(ANA..BOB + 1);
        [ANA, BOB].into_iter().for_each(|client| self.load.say(client, b"/join pair\n"));
        self.load.wait_for(&mut moved, |_, moved| moved.count == 2)?;
        self.play.is_pair_elsewhere = true;
        Ok(())
    }

    /// Lets the flooder say so many more bytes of lines, and the load generator send what the relay takes.
    fn flood(&mut self, bytes: usize) {
        let mut lines = Vec::with_capacity(bytes + LINE_BYTES);
        while lines.len() < bytes {
            lines.extend_from_slice(&self.say);
            write_line(&mut lines, FLOODER, self.flooded);
            self.flooded += 1;
        }
        self.load.say(FLOODER, &lines);
    }

    /// One turn: what is heard, and who is to play the ball.
    fn turn(&mut self) -> Result<bool, Error> {
        let has_happened = self.load.turn(&mut self.play, Some(Duration::from_millis(1)))?;
        if let Some(player) = self.play.turn.take() {
            let mut line = self.say.clone();
            write_line(&mut line, player, self.play.ball);
            if player == ANA {
                self.play.served_at = Instant::now();
            }
            self.load.say(player, &line);
        }
        Ok(has_happened)
    }

    /// Stops the reader that is to be stopped, and says so much that it is half a tape behind. A relay that does not
    /// get that far is frozen by it, which the pair will show.
    fn leave_half_a_tape_behind(&mut self) -> Result<(), Error> {
        self.load.stop(STOPPED);
        self.flood(HALF_A_TAPE_BYTES);
        let mut moved_at = Instant::now();
        while self.play.still_missing(self.flooded) > 0 && moved_at.elapsed() < Duration::from_secs(1) {
            let missing = self.play.still_missing(self.flooded);
            self.load.turn(&mut self.play, Some(Duration::from_millis(10)))?;
            if self.play.still_missing(self.flooded) < missing {
                moved_at = Instant::now();
            }
        }
        Ok(())
    }
}

/// Plays for so long with one subject, and adds what was found to the ledger.
fn measure(ledger: &mut Ledger, case: Case, subject: &Subject, duration: Duration) -> Result<(), Error> {
    let relay = subject.start(PRESENT, &[])?;
    let mut stage = Stage::new(subject, relay.lines)?;
    if case.is_elsewhere {
        stage.part()?;
    }
    if case.has_stopped {
        stage.leave_half_a_tape_behind()?;
    }
    let before = stage.play.expected[READERS.start];
    let start = Instant::now();
    let mut comes_at = start;
    while start.elapsed() < duration {
        if case.is_flooded && stage.load.unsent_bytes(FLOODER) < FLOOD_BYTES / 2 {
            stage.flood(FLOOD_BYTES);
        }
        if subject.greets() && comes_at <= Instant::now() {
            let newcomer = stage.load.begin_to_connect(relay.lines, 1)?.start;
            stage.play.coming.push(Some(Instant::now()));
            debug_assert_eq!(newcomer, PRESENT + stage.play.coming.len() - 1);
            comes_at += NEWCOMER_EVERY;
        }
        stage.turn()?;
        for newcomer in std::mem::take(&mut stage.play.greeted) {
            stage.load.close(newcomer);
        }
    }
    let took = start.elapsed();
    let heard = stage.play.expected[READERS.start] - before;

    let mut add = |figure, value: f64| ledger.add(case.name, subject.name(), figure, value);
    let Play { trips, connects, lost, .. } = &stage.play;
    add(TRIPS, trips.len() as f64 / took.as_secs_f64());
    if !trips.is_empty() {
        add(P50, trips.value_at_quantile(0.5) as f64);
        add(P99, trips.value_at_quantile(0.99) as f64);
        add(WORST, trips.max() as f64);
    }
    if !connects.is_empty() {
        add(CONNECT, connects.value_at_quantile(0.5) as f64);
    }
    if case.is_flooded {
        add(FLOOD, heard as f64 / took.as_secs_f64());
    }
    add(LOST, *lost as f64);
    Ok(())
}

/// A reader stops while so much is said, and then goes on: what does it miss, and when has it caught up?
fn measure_tape(ledger: &mut Ledger, tape: &str, said_bytes: usize) -> Result<(), Error> {
    let relay = Subject::Pollchat.start(PRESENT, &["--backlog", tape])?;
    let mut stage = Stage::new(&Subject::Pollchat, relay.lines)?;
    stage.load.stop(STOPPED);
    stage.flood(said_bytes);
    let said = stage.flooded;
    stage.load.wait_for(&mut stage.play, |_, play| play.still_missing(said) == 0)?;
    add_tape(ledger, tape, RESIDENT, resident_bytes(relay.pid)? as f64);
    add_tape(ledger, tape, LOST, stage.play.lost as f64);
    let resumed_at = Instant::now();
    stage.load.resume(STOPPED);
    stage.load.wait_for(&mut stage.play, |_, play| play.expected[STOPPED] == said)?;
    add_tape(ledger, tape, CAUGHT_UP, resumed_at.elapsed().as_nanos() as f64);
    let missed = said - stage.play.heard[STOPPED];
    add_tape(ledger, tape, MISSED, 100.0 * missed as f64 / said as f64);
    Ok(())
}

fn add_tape(ledger: &mut Ledger, tape: &str, figure: Figure, value: f64) {
    ledger.add(&format!("a tape of {tape}iB"), Subject::Pollchat.name(), figure, value);
}

fn report(ledger: &Ledger, said_bytes: usize) -> Result<(), Error> {
    let mut report = Report::new("flood")?;
    report.goals(&goals(ledger));
    let (tapes, cases): (Vec<&str>, Vec<&str>) =
        ledger.cases().into_iter().partition(|case| case.starts_with("a tape"));
    report.table("A pair plays ping-pong", ledger, &cases, &[TRIPS, P50, P99, WORST, CONNECT, FLOOD, LOST]);
    let title = format!("A reader stops while {} MiB are said, and then goes on", said_bytes >> 20);
    report.table(&title, ledger, &tapes, &[MISSED, CAUGHT_UP, RESIDENT, LOST]);
    report.finish(ledger)?;
    no_line_is_lost(ledger.sum_of(Subject::Pollchat.name(), LOST))
}

fn goals(ledger: &Ledger) -> Vec<Goal> {
    let pollchat = Subject::Pollchat.name();
    let p99 = ledger.median(FLOODED.name, pollchat, P99);
    let elsewhere = ledger.median(ELSEWHERE.name, pollchat, P99);
    let trips = |case: Case| ledger.median(case.name, pollchat, TRIPS);
    let ratio = trips(BESIDE_STOPPED).zip(trips(ALONE)).map(|(beside, alone)| beside / alone);
    let lost = ledger.sum_of(pollchat, LOST);
    vec![
        Goal {
            what: "a pair under a flood: p99 of its round trips".to_owned(),
            reach: "< 20 ms",
            measured: p99.map(|p99| (Unit::Nanoseconds.show(p99), p99 < 20e6)),
        },
        Goal {
            what: "a pair in another room than a flood: p99 of its round trips".to_owned(),
            reach: "≤ 5 ms",
            measured: elsewhere.map(|p99| (Unit::Nanoseconds.show(p99), p99 <= 5e6)),
        },
        Goal {
            what: "a pair's round trips beside a stopped reader, of those undisturbed".to_owned(),
            reach: "≥ 0.8",
            measured: ratio.map(|ratio| (format!("{ratio:.2}"), ratio >= 0.8)),
        },
        Goal {
            what: "lines lost by healthy readers, in all cases together".to_owned(),
            reach: "0",
            measured: Some((Unit::Count.show(lost), lost == 0.0)),
        },
    ]
}
