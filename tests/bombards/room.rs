//! The referee as a child process, in a room of a server, among players that are plain clients.

use std::fmt::Display;
use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use pollchat::bombards::check::check;
use pollchat::bombards::field::Aim;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::cutting_proxy::CuttingProxy;
use crate::support::lines::{Lines as _, Member as _, Screen};
use crate::support::proc::Proc;
use crate::support::{Client, Folder, Server, Start, eventually};

/// A referee; killed when dropped.
pub(crate) struct Referee {
    child: Child,
    stdout: Screen,
}

impl Referee {
    /// Starts a referee, and waits until it is in its room.
    #[track_caller]
    pub(crate) fn start(server: &dyn Display, flags: &[&str]) -> Referee {
        let mut child = command(server, flags).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = Screen::new(child.stdout.take().unwrap());
        let mut referee = Referee { child, stdout };
        let line = referee.stdout.line();
        assert!(line.contains(" referees in "), "{line}");
        referee
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Ends it in good order.
    fn stop(mut self) {
        self.signal(Signal::TERM);
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Referee {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(server: &dyn Display, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pollchat-bombards"));
    command.arg(server.to_string()).args(flags).env_remove("POLLCHAT_PASSWORD").env_remove("POLLCHAT_TOKEN");
    command.stdin(Stdio::null());
    command
}

/// How a referee ends that cannot stay.
fn end_of(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// A member that takes part alone, against the target.
fn player(server: &Server, name: &str) -> Client {
    let mut player = member(server, name);
    player.send_line("join");
    told(&mut player, "cannons 2 ");
    player
}

/// A member of the game's room by this name.
#[track_caller]
pub(crate) fn member(server: &Server, name: &str) -> Client {
    let mut client = server.connect();
    client.send(format!("/join bombards\n/nick {name}\n"));
    let renamed = format!(" is now {name}");
    client.lines_until(|line| line.ends_with(&renamed));
    client
}

/// Takes lines up to the first of the referee that begins so. Returns its words behind that.
#[track_caller]
pub(crate) fn told(client: &mut Client, start: &str) -> Vec<String> {
    let start = format!("bombards> {start}");
    let lines = client.lines_until(|line| line.starts_with(&start));
    let rest = lines.last().unwrap()[start.len()..].to_owned();
    rest.split_whitespace().map(str::to_owned).collect()
}

/// Fires, and waits for the end of the flight.
#[track_caller]
fn fire(client: &mut Client, name: &str, aim: Aim) -> Vec<String> {
    client.send_line(format!("fire {} {}", aim.elevation(), aim.power()));
    let tick = told(client, "shot ").swap_remove(0);
    told(client, &format!("end {tick} {name} "))
}

/// The state that the referee tells to a member, as `NAME SCORE` lines.
#[track_caller]
fn scores(client: &mut Client) -> Vec<String> {
    let prefix = "* bombards tells you: ";
    client.send_line("/msg bombards look");
    let lines = client.lines_until(|line| line.starts_with(&format!("{prefix}cannons ")));
    let cannons = lines.iter().filter_map(|line| line.strip_prefix(prefix)?.strip_prefix("cannon "));
    let score = |cannon: &str| {
        let words: Vec<&str> = cannon.split(' ').collect();
        format!("{} {}", words[0], words[4])
    };
    cannons.map(score).collect()
}

fn aim(elevation: i32, power: i32) -> Aim {
    Aim::new(elevation, power).unwrap()
}

fn start(flags: &[&str]) -> Server {
    Start::flags(Server::builder(), ["--history", "200"]).flags(flags).go()
}

#[test]
fn players_play_with_the_words_of_a_plain_client() {
    let server = start(&[]);
    let mut spectator = member(&server, "eva");
    let _referee = Referee::start(&server.address(), &[]);
    told(&mut spectator, "field 700 400 barrel 30 box 15 speed 200 gravity 400 step 20");
    told(&mut spectator, "cannons 0 tick 0");
    let mut ana = member(&server, "ana");
    ana.send_line("join");
    told(&mut spectator, "cannon ana left ");
    told(&mut spectator, "cannon *target* right ");
    assert_eq!(told(&mut spectator, "cannons ")[0], "2");
    ana.send_line("Fire 45 30");
    assert_eq!(told(&mut spectator, "shot 0 "), ["ana", "45", "30"]);
    told(&mut spectator, "end 0 ana ");
    told(&mut spectator, "cannon ana left ");
    // A private order is one like any other, and its mistakes are told to its author alone.
    ana.send_line("/msg bombards fire 999");
    ana.lines_until(|line| line == "* bombards tells you: fire A P: A from -15 to 85, P from 10 to 100");
    ana.send_line("/msg bombards f 45");
    assert_eq!(told(&mut spectator, "shot ")[1..], ["ana", "45", "30"]);
    told(&mut spectator, "end ");
    // The relay disambiguates nobody: a member without a name plays as what the relay calls it.
    let mut nameless = server.connect();
    nameless.send("/join bombards\njoin right\n");
    let cannon = told(&mut spectator, "cannon client-");
    assert_eq!(cannon[1], "right");
    nameless.vanish(true);
    // Its cannon goes with a state, and a target stands in its place.
    told(&mut spectator, "cannon *target* right ");
    ana.send_line("leave");
    told(&mut spectator, "cannons 0 ");
}

#[test]
fn a_renamed_player_keeps_its_cannon_and_a_late_one_is_whole_at_the_next_state() {
    let server = start(&[]);
    let _referee = Referee::start(&server.address(), &["--seed", "7"]);
    let mut ana = player(&server, "ana");
    // Falls back on her own cannon.
    assert_eq!(fire(&mut ana, "ana", aim(85, 10))[0], "hit");
    ana.send_line("/nick zoe");
    told(&mut ana, "cannons 2 ");
    assert_eq!(scores(&mut ana), ["zoe -3", "*target* 0"]);
    let mut late = member(&server, "late");
    late.send_line("join right");
    let state = late.lines_until(|line| line.starts_with("bombards> cannons 2 "));
    assert!(state.iter().any(|line| line.starts_with("bombards> cannon zoe left ") && line.ends_with(" -3")));
}

#[test]
fn a_referee_that_loses_its_connection_in_the_middle_of_a_shot_says_everything_once() {
    let server = start(&[]);
    let proxy = CuttingProxy::start(server.address());
    let _referee = Referee::start(&proxy.address(), &[]);
    let mut ana = player(&server, "ana");
    for _ in 0..3 {
        ana.send_line("fire 80 100");
        let tick = told(&mut ana, "shot ").swap_remove(0);
        proxy.cut();
        let lines = ana.lines_until(|line| line.starts_with("bombards> cannon ana "));
        let ends: Vec<_> = lines.iter().filter(|line| line.contains("> end ")).collect();
        assert_eq!(ends.len(), 1, "{lines:?}");
        assert!(ends[0].starts_with(&format!("bombards> end {tick} ana ")), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("* ")), "{lines:?}");
    }
    assert!(proxy.connections() > 3);
    // Orders that were said meanwhile are obeyed.
    proxy.cut();
    ana.send_line("fire 45");
    told(&mut ana, "shot ");
}

#[test]
fn a_referee_survives_a_restart_of_the_relay() {
    let server = start(&[]);
    let proxy = CuttingProxy::start(server.address());
    let _referee = Referee::start(&proxy.address(), &[]);
    let mut ana = player(&server, "ana");
    fire(&mut ana, "ana", aim(85, 10));
    let another = start(&[]);
    proxy.lead_to(another.address());
    drop(server);
    let mut ana = member(&another, "ana");
    // It tells the state when it is back, and goes on.
    told(&mut ana, "cannon ana left ");
    told(&mut ana, "cannons 2 ");
    assert_eq!(scores(&mut ana)[0], "ana -3");
    fire(&mut ana, "ana", aim(45, 85));
}

#[test]
fn a_restarted_referee_goes_on_with_scores_and_shells() {
    let server = start(&["--resume-within", "0"]);
    let referee = Referee::start(&server.address(), &[]);
    let mut ana = player(&server, "ana");
    fire(&mut ana, "ana", aim(85, 10));
    let before = scores(&mut ana);
    assert_eq!(before[0], "ana -3");
    referee.stop();
    let referee = Referee::start(&server.address(), &[]);
    told(&mut ana, "cannons 2 ");
    assert_eq!(scores(&mut ana), before);
    // In the middle of a flight, and without a goodbye.
    ana.send_line("fire 80 100");
    let tick = told(&mut ana, "shot ").swap_remove(0);
    referee.signal(Signal::KILL);
    drop(referee);
    eventually("the relay has noticed", || ana.who().iter().all(|row| !row.contains("bombards")));
    let _referee = Referee::start(&server.address(), &[]);
    told(&mut ana, &format!("end {tick} ana "));
    assert_eq!(fire(&mut ana, "ana", aim(45, 10)).len(), 3);
}

#[test]
fn a_stopped_spectator_costs_nobody_anything() {
    let server = start(&[]);
    let _referee = Referee::start(&server.address(), &[]);
    let mut stopped = server.join_narrow();
    stopped.send("/join bombards\n");
    let mut ana = member(&server, "ana");
    for power in 10..40 {
        fire(&mut ana, "ana", aim(-15, power));
    }
    stopped.lines_until(|line| line.contains("> cannon ana"));
}

#[test]
fn a_storm_of_orders_stops_neither_the_referee_nor_others() {
    let server = start(&[]);
    let _referee = Referee::start(&server.address(), &[]);
    let mut storm = member(&server, "storm");
    let mut ana = member(&server, "ana");
    ana.send_line("join left");
    let digits = "7".repeat(4_000);
    let begin = Instant::now();
    storm.send(
        format!("fire {digits}\nfire 999\nlook\nrules\njoin\nleave\n\u{7}\u{0}\n/msg bombards look\n").repeat(300),
    );
    storm.send(b"fire \xc3\xf0\n".repeat(300));
    told(&mut ana, "cannon ana left ");
    fire(&mut ana, "ana", aim(45, 10));
    let first_words = ["field ", "fire A P", "say these words"].map(|words| format!("* bombards tells you: {words}"));
    let is_answer = |line: &&String| first_words.iter().any(|words| line.starts_with(words));
    let answers = storm.who().iter().filter(is_answer).count();
    assert!(answers > 0 && answers as u64 <= begin.elapsed().as_secs() + 1, "{answers} answers to one member");
}

#[test]
fn a_name_that_another_client_has_ends_the_referee() {
    let server = start(&[]);
    let mut other = member(&server, "Bombards");
    let (code, error) = end_of(&mut command(&server.address(), &[]));
    assert_eq!((code, error.as_str()), (Some(1), "pollchat-bombards: the name bombards is taken\n"));
    // Another name is as good, for those that know it.
    let _referee = Referee::start(&server.address(), &["--nick", "umpire"]);
    other.lines_until(|line| line.starts_with("umpire> cannons 0 "));
}

#[test]
fn a_referee_gives_the_password_that_the_server_asks_for() {
    let folder = Folder::new("bombards-password");
    let file = folder.write("password", "sesame\n");
    let server = start(&["--password-file", &file]);
    let (code, error) = end_of(&mut command(&server.address(), &[]));
    assert_eq!(code, Some(1));
    assert!(error.ends_with(" asks for a password\n") && error.lines().count() == 1, "{error}");
    let proxy = CuttingProxy::start(server.address());
    let _referee = Referee::start(&proxy.address(), &["--password-file", &file]);
    let mut ana = server.connect();
    ana.send("/pass sesame\n/join bombards\nfire 45 10\n");
    told(&mut ana, "shot ");
    proxy.cut();
    told(&mut ana, "end ");
}

#[test]
fn a_failure_is_one_line_and_wrong_usage_is_code_2() {
    let server = start(&["--rooms", "1"]);
    let (code, error) = end_of(&mut command(&server.address(), &[]));
    assert_eq!((code, error.as_str()), (Some(1), "pollchat-bombards: cannot join bombards: the server has no rooms\n"));
    let (code, error) = end_of(&mut command(&"127.0.0.1:1", &[]));
    assert_eq!(code, Some(1));
    assert!(error.starts_with("pollchat-bombards: cannot connect to 127.0.0.1:1: ") && error.lines().count() == 1);
    for flags in
        [&["--seed", "many"][..], &["--check", "--seed", "1"], &["--nick", "a b"], &["--pin", "x"], &["--ca", "f"]]
    {
        assert_eq!(end_of(&mut command(&"127.0.0.1:1", flags)).0, Some(2), "{flags:?}");
    }
}

#[test]
fn a_referee_at_rest_uses_no_processor_time() {
    let server = start(&[]);
    let referee = Referee::start(&server.address(), &[]);
    let mut ana = member(&server, "ana");
    fire(&mut ana, "ana", aim(45, 10));
    let process = Proc(referee.child.id());
    let state = || {
        let status = process.file("status");
        let switches = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches:")).map(str::to_owned);
        (process.file("schedstat"), switches)
    };
    let mut rest = (Instant::now(), state());
    eventually("it rests for two seconds", || {
        let now = state();
        if now != rest.1 {
            rest = (Instant::now(), now);
        }
        rest.0.elapsed() >= Duration::from_secs(2)
    });
}

#[test]
fn a_spectators_transcript_is_checked() {
    let server = start(&[]);
    let _referee = Referee::start(&server.address(), &[]);
    let mut eva = member(&server, "eva");
    let mut ana = member(&server, "ana");
    for power in 10..20 {
        fire(&mut ana, "ana", aim(power - 25, power));
    }
    let transcript = eva.lines_until(|line| line.starts_with("ana> fire -6 19"));
    let transcript = [transcript, eva.lines_until(|line| line.contains("> end "))].concat().join("\n");
    let held = check(transcript.as_bytes(), "bombards").unwrap();
    assert_eq!(held, 10);
    let run = |transcript: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pollchat-bombards"));
        let command = command.arg("--check").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(transcript.as_bytes()).unwrap();
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    };
    assert_eq!(run(&transcript), (Some(0), "10 shots hold\n".into(), String::new()));
    let forged = transcript.replace(" ground ", " out ");
    let (code, stdout, stderr) = run(&forged);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with("pollchat-bombards: line ") && stderr.lines().count() == 1, "{stderr}");
}
