//! Restarts in good order with a journal: the sessions of tracked clients and their members pass to the next run.

mod meanwhile;
mod restless;

use std::time::Duration;

use pollchat::relay::name::Name;
use pollchat::relay::names::Names;
use pollchat::relay::secret::SecretHash;
use pollchat::server::config::{Config, Lag};
use pollchat::server::hub::handing_over::NotTakenBack;
use pollchat::server::journal::handover::Handover;
use pollchat::server::limits::{HANDOVER_AGE_MAX_MS, INTRODUCE_AFTER, RESUME_WITHIN};

use crate::support::hub::{Client, READABLE, World, quiet};
use crate::support::journal::Disk;
use crate::support::page::{OPENING, frames, text, visit, world as world_with_page};
use crate::tracking::{begin, heard};

/// 2026-01-01, in ms.
const DAY: u64 = 1_767_225_600_000;

fn start(config: &Config, disk: &Disk) -> World {
    begin_run(World::new(config), config, disk)
}

fn begin_run(mut world: World, config: &Config, disk: &Disk) -> World {
    world.hub.keep(Box::new(disk.clone()), disk.kept(config.backlog_bytes), disk.numbers());
    world.hub.set_clock(DAY);
    world
}

/// Stops a server in good order.
fn stop(world: &mut World) {
    world.hub.shut_down(world.now);
    world.run();
    world.hub.check_invariants();
}

/// Starts a server on the rest of another one, whose sessions it takes back.
fn start_again(config: &Config, disk: &Disk) -> World {
    let mut world = start(config, disk);
    let handover = disk.take_handover().expect("the last run has handed over");
    world.hub.take_back(&handover, world.now).unwrap();
    world.run();
    world.hub.check_invariants();
    world
}

/// Stops a server, and starts it again with the same settings.
fn restart(world: &mut World, config: &Config, disk: &Disk) {
    stop(world);
    *world = start_again(config, disk);
}

/// A tracked client as a program: what it was told of its session, and the position behind its last record.
struct Tracked {
    client: Client,
    token: String,
    heard: u64,
    name: String,
    next: String,
}

impl Tracked {
    fn begin(world: &mut World) -> Tracked {
        let (client, lines) = begin(world, "/track");
        let mut tracked = Tracked { client, token: String::new(), heard: 0, name: String::new(), next: String::new() };
        tracked.take(&lines);
        tracked
    }

    /// Comes back in a new connection. Returns all lines.
    fn resume(&mut self, world: &mut World) -> Vec<String> {
        let token = self.token.clone();
        let (client, lines) = begin(world, &format!("/track {} {token}", self.next));
        self.client = client;
        self.take(&lines);
        assert_eq!(self.token, token, "{lines:?}");
        lines
    }

    fn says(&self, world: &mut World, lines: &str) {
        world.says(&self.client, lines);
    }

    /// Reads. Returns the records.
    fn reads(&mut self) -> Vec<String> {
        let lines = heard(&self.client);
        self.take(&lines)
    }

    /// Takes lines of the server. Returns the records.
    fn take(&mut self, lines: &[String]) -> Vec<String> {
        let mut records = Vec::new();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["**", "session", token, "heard", heard, "at", _, "as", name] => {
                    (self.token, self.heard, self.name) = (token.into(), heard.parse().unwrap(), name.into());
                }
                ["**", ..] => {}
                ["@", _, position] => self.next = position.to_owned(),
                _ => {
                    let (epoch, record) = self.next.rsplit_once('.').unwrap();
                    self.next = format!("{epoch}.{}", record.parse::<u64>().unwrap() + 1);
                    records.push(line.clone());
                }
            }
        }
        records
    }
}

fn named(world: &mut World, name: &str) -> Tracked {
    let mut tracked = Tracked::begin(world);
    tracked.says(world, &format!("/nick {name}\n"));
    tracked.reads();
    assert_eq!(tracked.resume(world)[1], "** resumed");
    assert_eq!((tracked.name.as_str(), tracked.heard), (name, 1));
    tracked
}

#[test]
fn members_stay_over_restarts_and_each_line_is_there_once() {
    let (config, disk) = (Config::default(), Disk::new(1));
    let mut world = start(&config, &disk);
    let mut ana = named(&mut world, "ana");
    let mut bob = Tracked::begin(&mut world);
    bob.says(&mut world, "hello\n");
    let (mut to_ana, mut to_bob) = (ana.reads(), bob.reads());
    let first_log = bob.next.split('.').next().unwrap().to_owned();
    for round in 1..=5 {
        ana.says(&mut world, &format!("read {round}\n"));
        to_ana.extend(ana.reads());
        to_bob.extend(bob.reads());
        // Nobody reads this before the stop, and the server does not take the next one.
        ana.client.takes(0);
        bob.client.takes(0);
        ana.says(&mut world, &format!("unread {round}\n"));
        ana.client.sends(format!("unheard {round}\n"));
        restart(&mut world, &config, &disk);
        for tracked in [&mut ana, &mut bob] {
            let lines = tracked.resume(&mut world);
            assert_eq!(lines[1], "** resumed");
            let shown: Vec<String> = lines.iter().filter(|line| !line.starts_with(['*', '@'])).cloned().collect();
            assert_eq!(shown, [format!("ana> unread {round}")]);
            if tracked.name == "ana" { to_ana.extend(shown) } else { to_bob.extend(shown) }
        }
        assert_eq!((ana.name.as_str(), ana.heard), ("ana", 1 + 3 * round - 1));
        assert_eq!((bob.name.as_str(), bob.heard), ("client-2", 1));
        ana.says(&mut world, &format!("unheard {round}\n"));
        to_ana.extend(ana.reads());
        to_bob.extend(bob.reads());
    }
    assert_eq!(to_ana[to_ana.len() - 15..], to_bob[to_bob.len() - 15..]);
    let said = |lines: &[String]| lines.iter().filter(|line| line.starts_with("ana> ")).cloned().collect::<Vec<_>>();
    let all = (1..=5).flat_map(|round| ["read", "unread", "unheard"].map(|word| format!("ana> {word} {round}")));
    assert_eq!(said(&to_bob), all.collect::<Vec<_>>());
    assert!(!to_bob.iter().any(|line| line.contains(" left") || line.contains("shutting down")), "{to_bob:?}");
    assert_eq!(to_bob.iter().filter(|line| line.contains(" joined")).count(), 1, "its own: {to_bob:?}");
    assert!(bob.next.starts_with(&first_log), "one log over all runs");
    world.says(&bob.client, "/who\n");
    let who = "** here: ana, 15 lines, 0 min\n** here: client-2, 1 line, 0 min\n** 2 here\n";
    assert!(bob.client.received().ends_with(who));
}

#[test]
fn each_kind_of_client_is_told_in_its_way_and_no_tape_is() {
    let (config, disk) = (quiet(), Disk::new(1));
    let mut world = begin_run(world_with_page(&config), &config, &disk);
    let (plain, tracked) = (world.connect(), Tracked::begin(&mut world));
    let mut browsers = Vec::new();
    for path in ["/ws", "/ws?track"] {
        let browser = visit(&mut world);
        world.says(&browser, OPENING.replace("/ws", path));
        world.says(&browser, text("/track"));
        browser.received_bytes();
        browsers.push(browser);
    }
    tracked.says(&mut world, "one\n");
    browsers.iter().for_each(|browser| drop(browser.received_bytes()));
    plain.received();
    tracked.client.received();
    tracked.client.sends("not processed\n");
    stop(&mut world);
    let kept = "** the server is shutting down and keeps your session\n";
    assert_eq!(plain.received(), "* the server is shutting down\nFIN\n");
    assert_eq!(tracked.client.received(), kept);
    for browser in &browsers {
        let received = frames(&browser.received_bytes());
        assert_eq!(received, [(0x81, kept.as_bytes().to_vec()), (0x88, 1012_u16.to_be_bytes().to_vec())]);
    }
    assert!(plain.is_ended() && tracked.client.is_ended());
    assert_eq!(disk.lines(0).last().unwrap(), "client-2> one");
    let handover = disk.take_handover().unwrap();
    assert_eq!((handover.members(), handover.rooms.len()), (3, 1));
    let token = &tracked.token;
    assert!(!handover.to_text().contains(token.as_str()), "the token is not in the file");
}

#[test]
fn a_plain_reader_reads_the_notice_behind_all_that_was_said() {
    let (config, disk) = (Config { backlog_bytes: 200_000, ..quiet() }, Disk::new(1));
    let mut world = start(&config, &disk);
    let (ana, bob) = (world.connect(), world.connect());
    bob.takes(0);
    world.says(&ana, "one\ntwo\n");
    stop(&mut world);
    world.makes_room(&bob, usize::MAX);
    assert_eq!(bob.received(), "client-1> one\nclient-1> two\n* the server is shutting down\nFIN\n");
}

#[test]
fn a_member_that_does_not_come_back_has_left_after_its_time() {
    let (config, disk) = (Config::default(), Disk::new(1));
    let mut world = start(&config, &disk);
    let (mut ana, mut bob, _cho) = (named(&mut world, "ana"), named(&mut world, "bob"), world.connect_and_settle());
    // A client that has said nothing, and that the room knows all the same.
    let mut silent = Tracked::begin(&mut world);
    world.pass(INTRODUCE_AFTER);
    for tracked in [&mut ana, &mut bob, &mut silent] {
        tracked.reads();
    }
    restart(&mut world, &config, &disk);
    bob.resume(&mut world);
    world.says(&bob.client, "/who\n");
    let who = bob.client.received();
    assert!(who.contains("here: ana, 0 lines, 0 min, away\n") && who.contains("here: client-4, 0 lines"), "{who}");
    world.pass(RESUME_WITHIN - Duration::from_millis(1));
    assert_eq!(bob.reads(), Vec::<String>::new());
    world.pass(Duration::from_millis(1));
    assert_eq!(bob.reads(), ["* ana left", "* client-4 left"]);
    // The session outlives the seat.
    ana.resume(&mut world);
    assert_eq!((ana.heard, ana.name.starts_with("client-10")), (1, true));
}

#[test]
fn a_client_that_was_away_or_gone_at_the_stop_comes_back_as_if_there_had_been_none() {
    let config = Config { resume_within: Some(Duration::from_secs(1)), ..quiet() };
    let disk = Disk::new(1);
    let mut world = start(&config, &disk);
    let (mut gone, mut away) = (named(&mut world, "gone"), named(&mut world, "away"));
    let lose = |world: &mut World, client: &Client| {
        client.resets();
        world.hub.on_ready(client.key, READABLE);
        world.run();
    };
    lose(&mut world, &gone.client);
    world.pass(Duration::from_secs(1));
    lose(&mut world, &away.client);
    let (plain, mut reader) = (world.connect(), Tracked::begin(&mut world));
    world.says(&plain, "one\n");
    reader.reads();
    restart(&mut world, &config, &disk);
    restart(&mut world, &config, &disk);
    for (tracked, name) in [(&mut away, "away"), (&mut gone, "client-2001")] {
        let lines = tracked.resume(&mut world);
        assert_eq!((lines[1].as_str(), tracked.name.as_str(), tracked.heard), ("** resumed", name, 1));
        assert!(lines.iter().any(|line| line == "client-3> one"), "{lines:?}");
    }
    assert_eq!(reader.resume(&mut world)[1], "** resumed");
}

#[test]
fn a_room_without_a_journal_goes_on_and_tells_how_many_records_are_gone() {
    let config = Config { rooms: vec![Name::parse("rust").unwrap()], ..quiet() };
    let disk = Disk::new(2);
    let mut world = start(&config, &disk);
    let (mut ana, mut bob) = (named(&mut world, "ana"), named(&mut world, "bob"));
    for tracked in [&mut ana, &mut bob] {
        tracked.says(&mut world, "/join tea\nhello\n");
        tracked.reads();
    }
    // It moves on, and reads nothing of that.
    let mut cho = named(&mut world, "cho");
    cho.says(&mut world, "/join rust\nhere\n");
    ana.reads();
    bob.client.takes(0);
    ana.says(&mut world, "one\ntwo\n");
    ana.reads();
    restart(&mut world, &config, &disk);
    let lines = ana.resume(&mut world);
    assert_eq!(lines[1..3], ["** resumed", "** you are ana, in tea"]);
    let lines = bob.resume(&mut world);
    assert_eq!(lines[1..3], ["** you missed 2 lines", "** you are bob, in tea"]);
    ana.says(&mut world, "three\n");
    assert_eq!((ana.reads(), bob.reads()), (vec!["ana> three".to_owned()], vec!["ana> three".to_owned()]));
    cho.next = "0000000000000.0".to_owned();
    assert_eq!(cho.resume(&mut world)[2], "** you are cho, in rust");
    // The room is dropped once nobody is there.
    for tracked in [&ana, &bob] {
        tracked.says(&mut world, "FIN\n");
    }
    world.says(&cho.client, "/rooms\n");
    assert!(cho.client.received().contains("** room: tea, 0 here\n"));
    world.pass(Duration::from_secs(120));
    world.says(&cho.client, "/rooms\n");
    assert!(cho.client.received().ends_with("** 2 rooms\n"));
}

#[test]
fn a_mover_arrives_by_the_restart() {
    let config = Config { backlog_bytes: 200_000, ..Config::default() };
    let disk = Disk::new(1);
    let mut world = start(&config, &disk);
    let (mut ana, mut bob) = (named(&mut world, "ana"), named(&mut world, "bob"));
    ana.says(&mut world, "one\n");
    ana.reads();
    bob.reads();
    bob.client.takes(0);
    ana.says(&mut world, "two\n");
    bob.client.sends("/join tea\n");
    world.hub.on_ready(bob.client.key, READABLE);
    world.run();
    restart(&mut world, &config, &disk);
    let lines = bob.resume(&mut world);
    // It had not read the last line of the room that it has left, nor its own `joined`.
    assert_eq!(lines[1..3], ["** you missed 2 lines", "** you are bob, in tea"], "{lines:?}");
    assert_eq!(bob.heard, 2);
    let lines = ana.resume(&mut world);
    assert_eq!(lines.last().unwrap(), "* bob left", "{lines:?}");
}

#[test]
fn without_kept_seats_a_stop_is_as_without_a_journal() {
    let (config, disk) = (Config { resume_within: None, ..quiet() }, Disk::new(1));
    let mut world = start(&config, &disk);
    let mut ana = Tracked::begin(&mut world);
    ana.says(&mut world, "one\n");
    ana.reads();
    stop(&mut world);
    let lines = heard(&ana.client);
    assert_eq!(lines[lines.len() - 2..], ["* the server is shutting down", "FIN"]);
    assert!(disk.take_handover().is_none());
    assert_eq!(disk.lines(0).last().unwrap(), "* the server is shutting down");
}

#[test]
fn what_a_room_at_its_wall_was_not_told_it_reads_after_the_restart() {
    let config = Config { lag: Lag::Wait, backlog_bytes: 64 * 1024, line_bytes_max: 100, ..Config::default() };
    let disk = Disk::new(1);
    let mut world = start(&config, &disk);
    let (mut ana, cho, slow) = (named(&mut world, "ana"), world.connect(), world.connect());
    world.says(&cho, "/nick cho\n");
    slow.takes(0);
    ana.client.sends((0..10_000).map(|number| format!("line {number}\n")).collect::<String>());
    world.hub.on_ready(ana.client.key, READABLE);
    world.run_for(Duration::from_secs(1));
    cho.ends();
    world.hub.on_ready(cho.key, READABLE);
    world.run_for(Duration::from_secs(1));
    let before = ana.reads();
    assert!(before.len() > 1_000 && !before.contains(&"* cho left".to_owned()), "the room waits");
    restart(&mut world, &config, &disk);
    let lines = ana.resume(&mut world);
    assert!(lines[1] == "** resumed" && lines.contains(&"* cho left".to_owned()), "{lines:?}");
}
