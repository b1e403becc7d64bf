//! Bombards: the time of a step of a full field, the time from an order to its `shot` line over loopback, and the CPU of
//! a referee at rest. Prints each with its goal.

use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use pollchat::bombards::field::{Aim, CANNONS_MAX, Camp, Cannon, Field};

/// Shots per player whose times are taken.
const SHOTS: usize = 300;

/// Time of rest.
const REST: Duration = Duration::from_secs(5);

fn main() {
    let is_quick = env::args().any(|flag| flag == "--quick");
    let (steps, shots, rest) = if is_quick { (200, 20, REST / 5) } else { (20_000, SHOTS, REST) };
    println!("{:<62} {:>10} {:>12}", "what", "to reach", "measured");
    print_row("a step of 32 shells against 32 cannons", "≤ 2 µs", &format!("{:.2} µs", step_us(steps)));
    let mut server = start(env!("CARGO_BIN_EXE_pollchat-server"), &["--listen", "127.0.0.1:0"]);
    let address = first_line(&mut server.0).replace("listening on ", "");
    let mut referee = start(env!("CARGO_BIN_EXE_pollchat-bombards"), &[&address]);
    first_line(&mut referee.0);
    let mut times = order_times(&address, shots);
    times.sort();
    let us = |time: Duration| format!("{} µs", time.as_micros());
    print_row("an order to its shot line over loopback, p50", "≤ 1 ms", &us(times[times.len() / 2]));
    print_row("an order to its shot line over loopback, p99", "", &us(times[times.len() * 99 / 100]));
    // The last lines are acknowledged within a second.
    thread::sleep(Duration::from_secs(3));
    let before = cpu_and_sleeps(&referee.0);
    thread::sleep(rest);
    let after = cpu_and_sleeps(&referee.0);
    let text = format!("{} ns, {} wakes", after.0 - before.0, after.1 - before.1);
    print_row(&format!("a referee at rest with 2 players: in {} s", rest.as_secs()), "0", &text);
}

fn print_row(what: &str, goal: &str, measured: &str) {
    println!("{what:<62} {goal:>10} {measured:>12}");
}

/// A process that ends with the benchmark.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(program: &str, flags: &[&str]) -> Running {
    let command = Command::new(program).args(flags).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    Running(command.expect("it starts"))
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    line.trim().to_owned()
}

/// Steps of 32 shells, each of which is tested against 32 cannons and hits none.
fn step_us(rounds: usize) -> f64 {
    const STEPS: u32 = 50;
    let mut field = Field::default();
    for at in 0..CANNONS_MAX {
        let offset = i32::try_from(at).expect("it is small");
        let (x, y) = (20 + offset % 8 * 31, 260 + offset / 8 * 31);
        field.cannons.push(Cannon { name: format!("player-{at}"), camp: Camp::Left, x, y, score: 0 });
    }
    let aim = Aim::new(80, 100).expect("a cannon can aim so");
    (0..CANNONS_MAX).for_each(|at| assert!(field.launch(&format!("player-{at}"), aim)));
    // No shell comes near them there.
    field.cannons.iter_mut().for_each(|cannon| cannon.x += 420);
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let mut field = field.clone();
            let begin = Instant::now();
            for _ in 0..STEPS {
                field.begin_step();
                assert!(field.next_end().is_none());
            }
            begin.elapsed()
        })
        .collect();
    times.sort();
    times[rounds / 2].as_secs_f64() * 1e6 / f64::from(STEPS)
}

/// The times from orders to their `shot` lines, of a player beside another one.
fn order_times(address: &str, shots: usize) -> Vec<Duration> {
    let mut other = TcpStream::connect(address).expect("the server listens");
    other.write_all(b"/join bombards\n/nick other\njoin right\n").expect("it takes lines");
    let mut player = TcpStream::connect(address).expect("the server listens");
    player.set_nodelay(true).expect("it is a socket");
    player.write_all(b"/join bombards\n/nick player\njoin left\n").expect("it takes lines");
    let mut lines = BufReader::new(player.try_clone().expect("descriptors")).lines().map_while(Result::ok);
    let mut read_until = |start: &str| lines.find(|line| line.starts_with(start)).expect("the referee plays");
    read_until("bombards> cannon player ");
    let time = |_| {
        let begin = Instant::now();
        player.write_all(b"fire -15 100\n").expect("it takes lines");
        read_until("bombards> shot ");
        let time = begin.elapsed();
        read_until("bombards> end ");
        time
    };
    (0..shots).map(time).collect()
}

/// CPU time of a process in nanoseconds, and how often it went to sleep.
fn cpu_and_sleeps(process: &Child) -> (u64, u64) {
    let file = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", process.id())).expect("it runs");
    let number = |text: &str| text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default();
    let status = file("status");
    let sleeps = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    (number(&file("schedstat")), sleeps.map_or(0, number))
}
