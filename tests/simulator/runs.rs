//! Runs of many seeds on several threads, the search for the smallest that fails, and the report.

use std::env;
use std::fmt::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::rule::{Rule, Violation};
use crate::setting::{Fault, Faults, Setting, Worlds};
use crate::{together, world};

/// A run: of one server, or of several.
enum World {
    One(Box<world::World>),
    Several(Box<together::World>),
}

/// Does the same with either.
macro_rules! either {
    ($world:expr, $name:ident => $action:expr) => {
        match $world {
            World::One($name) => $action,
            World::Several($name) => $action,
        }
    };
}

impl World {
    fn new(setting: Setting, records_events: bool) -> World {
        if setting.has_several_servers() {
            World::Several(Box::new(together::World::new(setting, records_events)))
        } else {
            World::One(Box::new(world::World::new(setting, records_events)))
        }
    }
}

/// The seeds to be run, and their setting.
#[derive(Debug)]
pub(crate) struct Runs {
    first: u64,
    seeds: u64,
    threads: u64,
    /// All but the seed.
    setting: Setting,
}

/// A run that failed.
#[derive(Debug)]
struct Failure {
    setting: Setting,
    step: usize,
    violation: Violation,
}

impl Runs {
    pub(crate) fn from_environment() -> Runs {
        let is_debug = cfg!(debug_assertions);
        let seed = number("SIM_SEED");
        let without = env::var("SIM_WITHOUT").unwrap_or_default();
        let is_named = |fault: &Fault| without.split(',').any(|name| name == format!("{fault:?}"));
        let setting = Setting {
            seed: 0,
            steps: number("SIM_STEPS").map_or(2_000, |steps| usize::try_from(steps).expect("a number of steps")),
            peers_max: number("SIM_PEERS").map(|peers| usize::try_from(peers).expect("a number of peers")),
            without: Faults::of(Fault::all().filter(is_named)),
            is_plain: env::var_os("SIM_PLAIN").is_some(),
            worlds: match env::var("SIM_WORLD").as_deref() {
                Ok("one") => Worlds::One,
                Ok("several") => Worlds::Several,
                _ => Worlds::Mixed,
            },
        };
        let seeds = number("SIM_SEEDS").unwrap_or(if is_debug { 60 } else { 200 });
        Runs {
            first: seed.or(number("SIM_FIRST")).unwrap_or(1),
            seeds: if seed.is_some() { 1 } else { seeds },
            threads: number("SIM_THREADS").unwrap_or(2).max(1),
            setting,
        }
    }
}

/// Runs all seeds up to the first that fails, and returns its report.
pub(crate) fn run_all(runs: &Runs) -> Result<(), String> {
    let started = Instant::now();
    let report = quietly(|| {
        let first = failures(runs, true).into_iter().min_by_key(|failure| failure.setting.seed);
        first.map(|failure| report(&failure))
    });
    if let Some(report) = report {
        return Err(report);
    }
    println!("{} seeds, {} steps each, {:.1} s", runs.seeds, runs.setting.steps, started.elapsed().as_secs_f32());
    Ok(())
}

/// Runs all seeds, and lists the rules that were the first to be broken, with how many seeds broke each, and one of
/// these.
pub(crate) fn count_rules(runs: &Runs) -> String {
    let failures = quietly(|| failures(runs, false));
    let mut text = String::new();
    for &rule in Rule::ALL {
        let mut of_rule: Vec<&Failure> = failures.iter().filter(|failure| failure.violation.rule == rule).collect();
        of_rule.sort_by_key(|failure| failure.setting.seed);
        if let Some(first) = of_rule.first() {
            let seed = first.setting.seed;
            let _ = writeln!(text, "rule {} {} seed {seed}: {}", rule.name(), of_rule.len(), first.violation);
        }
    }
    text
}

/// Keeps panics of the hub quiet: they are reported with their seed, not where they happen.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = work();
    panic::set_hook(hook);
    result
}

/// The seeds that fail: of all, or up to about the first.
fn failures(runs: &Runs, is_first_enough: bool) -> Vec<Failure> {
    let next = AtomicU64::new(0);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= runs.seeds || is_over.load(Ordering::Relaxed) {
                    return failures;
                }
                let setting = Setting { seed: runs.first + index, ..runs.setting };
                if let Err(failure) = run(setting) {
                    is_over.store(is_first_enough, Ordering::Relaxed);
                    failures.push(failure);
                }
            }
        };
        let threads: Vec<_> = (0..runs.threads.min(runs.seeds)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a run catches its panics")).collect()
    })
}

fn run(setting: Setting) -> Result<(), Failure> {
    let mut world = World::new(setting, false);
    run_in(&mut world, setting)
}

fn run_in(world: &mut World, setting: Setting) -> Result<(), Failure> {
    let verdict = panic::catch_unwind(AssertUnwindSafe(|| either!(world, world => world.run(setting.steps))));
    let verdict = verdict.unwrap_or_else(|panic| {
        let rule = if either!(world, world => world.is_checking()) { Rule::Invariants } else { Rule::Panics };
        rule.broken(format!("a panic: {}", panic_text(&*panic)))
    });
    verdict.map_err(|violation| Failure { setting, step: either!(world, world => world.at()), violation })
}

fn report(first: &Failure) -> String {
    let mut text = String::new();
    let Failure { setting, step, violation } = first;
    let _ = writeln!(text, "seed {} fails at step {step}: {violation}", setting.seed);
    let _ = writeln!(text, "rule: {} ({})", violation.rule.name(), violation.rule.sentence().trim());
    let _ = writeln!(text, "again: {}", command(first.setting));
    if number("SIM_SHRINK") == Some(0) {
        return text;
    }
    let smallest = shrink(first);
    let mut world = World::new(smallest, true);
    if let Err(failure) = run_in(&mut world, smallest) {
        let _ = writeln!(text, "smallest, at step {}: {}", failure.step, failure.violation);
        let _ = writeln!(text, "rule: {}", failure.violation.rule.name());
        let _ = writeln!(text, "again: {}", command(smallest));
        let _ = writeln!(text, "{}", either!(&world, world => world.describe()));
        let _ = writeln!(text, "the last events:");
        let events: Vec<&String> = either!(&world, world => world.last_events().collect());
        for event in events {
            let _ = writeln!(text, "  {event}");
        }
    }
    text
}

/// Makes a run smaller as long as it still fails, by whatever rule.
fn shrink(first: &Failure) -> Setting {
    let mut best = first.setting;
    let mut try_it = |setting: Setting| match run(setting) {
        Err(failure) => {
            best = Setting { steps: setting.steps.min(failure.step + 1), ..setting };
            Some(best)
        }
        Ok(()) => None,
    };
    let mut at = Setting { steps: first.setting.steps.min(first.step + 1), ..first.setting };
    at = try_it(at).unwrap_or(at);
    at = try_it(Setting { is_plain: true, ..at }).unwrap_or(at);
    for fault in Fault::all() {
        at = try_it(Setting { without: at.without.with(fault), ..at }).unwrap_or(at);
    }
    for peers in [1, 2, 3, 5, 8] {
        if let Some(smaller) = try_it(Setting { peers_max: Some(peers), ..at }) {
            at = smaller;
            break;
        }
    }
    for _ in 0..40 {
        let fewer = [at.steps / 2, at.steps * 3 / 4, at.steps * 9 / 10, at.steps.saturating_sub(1)];
        let smaller =
            fewer.into_iter().filter(|&steps| steps < at.steps).find_map(|steps| try_it(Setting { steps, ..at }));
        match smaller {
            Some(smaller) => at = smaller,
            None => break,
        }
    }
    at
}

/// The command that runs a setting again.
fn command(setting: Setting) -> String {
    let mut text = format!("SIM_SEED={} SIM_STEPS={}", setting.seed, setting.steps);
    if let Some(peers) = setting.peers_max {
        let _ = write!(text, " SIM_PEERS={peers}");
    }
    let without: Vec<String> = setting.without.iter().map(|fault| format!("{fault:?}")).collect();
    if !without.is_empty() {
        let _ = write!(text, " SIM_WITHOUT={}", without.join(","));
    }
    if setting.is_plain {
        text.push_str(" SIM_PLAIN=1");
    }
    match setting.worlds {
        Worlds::Mixed => {}
        Worlds::One => text.push_str(" SIM_WORLD=one"),
        Worlds::Several => text.push_str(" SIM_WORLD=several"),
    }
    text + " cargo test --release --test simulator"
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is no number: {value:?}")))
}

/// The text of a panic, in one line.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
