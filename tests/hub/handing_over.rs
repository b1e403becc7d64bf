//! Restarts in good order with a journal: the sessions of tracked clients and their members pass to the next run.

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
#[derive(Debug)]
struct Tracked {
    client: Client2,
    token: String,
    heard: u64,
    name: String,
    next: String,
}

/// A [`Client`] that can be shown.
struct Client2(Client);

impl std::fmt::Debug for Client2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "connection {}", self.0.key)
    }
}

impl Tracked {
    fn begin(world: &mut World) -> Tracked {
        let (client, lines) = begin(world, "/track");
        let mut tracked = Tracked {
            client: Client2(client),
            token: String::new(),
            heard: 0,
            name: String::new(),
            next: String::new(),
        };
        tracked.take(&lines);
        tracked
    }

    /// Comes back in a new connection. Returns all lines.
    fn resume(&mut self, world: &mut World) -> Vec<String> {
        let token = self.token.clone();
        let (client, lines) = begin(world, &format!("/track {} {token}", self.next));
        self.client = Client2(client);
        self.take(&lines);
        assert_eq!(self.token, token, "{lines:?}");
        lines
    }

    fn says(&self, world: &mut World, lines: &str) {
        world.says(&self.client.0, lines);
    }

    /// Reads. Returns the records.
    fn reads(&mut self) -> Vec<String> {
        let lines = heard(&self.client.0);
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

fn names(owned: &[(&str, &str)]) -> Names {
    let lines: Vec<_> = owned.iter().map(|(name, token)| format!("{name} token {}\n", SecretHash::of(token))).collect();
    Names::parse(&lines.concat()).unwrap()
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
        (to_ana.extend(ana.reads()), to_bob.extend(bob.reads()));
        // Nobody reads this before the stop, and the server does not take the next one.
        ana.client.0.takes(0);
        bob.client.0.takes(0);
        ana.says(&mut world, &format!("unread {round}\n"));
        ana.client.0.sends(format!("unheard {round}\n"));
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
        (to_ana.extend(ana.reads()), to_bob.extend(bob.reads()));
    }
    assert_eq!(to_ana[to_ana.len() - 15..], to_bob[to_bob.len() - 15..]);
    let said = |lines: &[String]| lines.iter().filter(|line| line.starts_with("ana> ")).cloned().collect::<Vec<_>>();
    let all = (1..=5).flat_map(|round| ["read", "unread", "unheard"].map(|word| format!("ana> {word} {round}")));
    assert_eq!(said(&to_bob), all.collect::<Vec<_>>());
    assert!(!to_bob.iter().any(|line| line.contains(" left") || line.contains("shutting down")), "{to_bob:?}");
    assert_eq!(to_bob.iter().filter(|line| line.contains(" joined")).count(), 1, "its own: {to_bob:?}");
    assert!(bob.next.starts_with(&first_log), "one log over all runs");
    world.says(&bob.client.0, "/who\n");
    let who = "** here: ana, 15 lines, 0 min\n** here: client-2, 1 line, 0 min\n** 2 here\n";
    assert!(bob.client.0.received().ends_with(who));
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
    (browsers.iter().for_each(|browser| drop(browser.received_bytes())), plain.received(), tracked.client.0.received());
    tracked.client.0.sends("not processed\n");
    stop(&mut world);
    let kept = "** the server is shutting down and keeps your session\n";
    assert_eq!(plain.received(), "* the server is shutting down\nFIN\n");
    assert_eq!(tracked.client.0.received(), kept);
    for browser in &browsers {
        let received = frames(&browser.received_bytes());
        assert_eq!(received, [(0x81, kept.as_bytes().to_vec()), (0x88, 1012_u16.to_be_bytes().to_vec())]);
    }
    assert!(plain.is_ended() && tracked.client.0.is_ended());
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
    world.says(&bob.client.0, "/who\n");
    let who = bob.client.0.received();
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
    lose(&mut world, &gone.client.0);
    world.pass(Duration::from_secs(1));
    lose(&mut world, &away.client.0);
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
    bob.client.0.takes(0);
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
    world.says(&cho.client.0, "/rooms\n");
    assert!(cho.client.0.received().contains("** room: tea, 0 here\n"));
    world.pass(Duration::from_secs(120));
    world.says(&cho.client.0, "/rooms\n");
    assert!(cho.client.0.received().ends_with("** 2 rooms\n"));
}

#[test]
fn a_mover_arrives_by_the_restart() {
    let config = Config { backlog_bytes: 200_000, ..Config::default() };
    let disk = Disk::new(1);
    let mut world = start(&config, &disk);
    let (mut ana, mut bob) = (named(&mut world, "ana"), named(&mut world, "bob"));
    ana.says(&mut world, "one\n");
    (ana.reads(), bob.reads());
    bob.client.0.takes(0);
    ana.says(&mut world, "two\n");
    bob.client.0.sends("/join tea\n");
    world.hub.on_ready(bob.client.0.key, READABLE);
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
fn a_room_that_there_is_no_place_for_gives_way_to_the_lobby() {
    let disk = Disk::new(1);
    let mut world = start(&Config::default(), &disk);
    let (mut ana, mut bob) = (named(&mut world, "ana"), named(&mut world, "bob"));
    ana.says(&mut world, "/join tea\n");
    (ana.reads(), bob.reads());
    stop(&mut world);
    let mut world = start_again(&Config { rooms_max: 1, ..Config::default() }, &disk);
    bob.resume(&mut world);
    let lines = ana.resume(&mut world);
    assert_eq!(lines[1..3], ["** cannot resume: earlier lines follow", "** you are ana, in lobby"]);
    assert_eq!(ana.heard, 2);
    world.pass(INTRODUCE_AFTER);
    assert_eq!(bob.reads(), ["* ana joined"]);
}

#[test]
fn a_room_that_becomes_kept_or_is_kept_no_longer_keeps_its_members() {
    let rust = Name::parse("rust").unwrap();
    let (with, without) = (Config { rooms: vec![rust], ..quiet() }, quiet());
    for (before, after, answer) in
        [(&with, &without, "** you missed 1 line"), (&without, &with, "** cannot resume: earlier lines follow")]
    {
        let disk = Disk::new(2);
        let kept = |world: &mut World, config: &Config| {
            world.hub.keep(
                Box::new(disk.clone()),
                disk.kept(config.backlog_bytes).drain(..=config.rooms.len()).collect(),
                disk.numbers(),
            );
            world.hub.set_clock(DAY);
        };
        let mut world = World::new(before);
        kept(&mut world, before);
        let mut ana = named(&mut world, "ana");
        ana.says(&mut world, "/join rust\n");
        ana.reads();
        ana.says(&mut world, "one\n");
        stop(&mut world);
        let mut world = World::new(after);
        kept(&mut world, after);
        world.hub.take_back(&disk.take_handover().unwrap(), world.now).unwrap();
        world.run();
        let lines = ana.resume(&mut world);
        assert_eq!(lines[1..3], [answer, "** you are ana, in rust"]);
        assert_eq!(ana.heard, 3);
    }
}

#[test]
fn a_name_that_has_another_owner_by_now_is_lost_and_its_room_reads_so() {
    let (config, disk) = (Config::default(), Disk::new(1));
    let mut world = start(&config, &disk);
    world.hub.set_names(names(&[("zoe", "pcn_z")]));
    let (mut ana, mut bob) = (named(&mut world, "ana"), named(&mut world, "bob"));
    let mut zoe = Tracked::begin(&mut world);
    zoe.says(&mut world, "/nick zoe pcn_z\n");
    for tracked in [&mut ana, &mut bob, &mut zoe] {
        tracked.reads();
    }
    stop(&mut world);
    for (owned, zoe_is, told) in [
        (&[("zoe", "pcn_z"), ("ana", "pcn_a")][..], "zoe", vec!["* ana is now client-1"]),
        (&[("zoe", "pcn_y"), ("ana", "pcn_a")], "client-3", vec!["* ana is now client-1", "* zoe is now client-3"]),
        (&[], "zoe", vec![]),
    ] {
        let handover = disk.take_handover().unwrap();
        let text = disk.text(0).len();
        let mut world = start(&config, &disk);
        world.hub.set_names(names(owned));
        world.hub.take_back(&handover, world.now).unwrap();
        world.run();
        world.hub.check_invariants();
        let at = bob.next.clone();
        let lines = bob.resume(&mut world);
        let records: Vec<&str> = lines.iter().map(String::as_str).filter(|line| line.starts_with("* ")).collect();
        assert_eq!(records, told);
        bob.next = at;
        assert_eq!(zoe.resume(&mut world)[2], format!("** you are {zoe_is}, in lobby"));
        // The same again with other names.
        stop(&mut world);
        disk.take_handover();
        disk.cut(0, text);
        zoe.next.clone_from(&bob.next);
        let mut disk = disk.clone();
        pollchat::server::journal::store::Store::hand_over(&mut disk, handover);
    }
}

#[test]
fn seats_that_there_are_no_longer_go_first_and_the_others_read_so() {
    let (config, disk) = (Config::default(), Disk::new(1));
    let mut world = start(&config, &disk);
    let mut clients = ["ana", "bob", "cho"].map(|name| named(&mut world, name));
    clients.iter_mut().for_each(|client| drop(client.reads()));
    stop(&mut world);
    let mut world = start_again(&Config { clients_max: Some(2), ..config }, &disk);
    let lines = clients[2].resume(&mut world);
    assert_eq!(lines.last().unwrap(), "* ana left");
    clients[1].resume(&mut world);
    assert_eq!(clients[1].name, "bob");
    world.says(&clients[1].client.0, "/who\n");
    assert!(clients[1].client.0.received().ends_with("** 2 here\n"));
}

#[test]
fn a_session_needs_no_password_in_the_next_run_either() {
    let (config, disk) = (quiet(), Disk::new(1));
    let mut world = start(&config, &disk);
    let mut ana = named(&mut world, "ana");
    stop(&mut world);
    let mut world = start_again(&config, &disk);
    world.hub.set_password(Some(SecretHash::of("open sesame")));
    assert_eq!(ana.resume(&mut world)[1], "** resumed");
}

#[test]
fn a_journal_that_lacks_a_record_makes_the_handover_void() {
    let (config, disk) = (Config::default(), Disk::new(1));
    let mut world = start(&config, &disk);
    let mut ana = named(&mut world, "ana");
    ana.says(&mut world, "one\ntwo\n");
    stop(&mut world);
    let whole = disk.text(0).len();
    disk.cut(0, whole - "ana> two\n".len());
    let mut world = start(&config, &disk);
    let handover = disk.take_handover().unwrap();
    let refused = world.hub.take_back(&handover, world.now);
    assert_eq!(refused, Err(NotTakenBack::EndsElsewhere("lobby".into())));
    assert_eq!(world.hub.stats().clients, 0);
    // It comes back as after a crash.
    let (_, lines) = begin(&mut world, &format!("/track {} {}", ana.next, ana.token));
    assert!(lines[0].contains(" heard 0 at ") && !lines[0].contains(&ana.token), "{lines:?}");
    assert_eq!(lines[4..], ["ana> one"]);
    let log = ana.next.split('.').next().unwrap();
    assert!(!lines[0].contains(log), "what it may have read behind that is given to no other record: {lines:?}");
}

#[test]
fn a_handover_that_is_too_old_is_none_and_one_of_the_future_counts() {
    let (config, disk) = (Config::default(), Disk::new(1));
    let mut world = start(&config, &disk);
    let mut ana = named(&mut world, "ana");
    stop(&mut world);
    let handover = disk.take_handover().unwrap();
    let mut world = start(&config, &disk);
    world.hub.set_clock(DAY + HANDOVER_AGE_MAX_MS + 1);
    assert_eq!(world.hub.take_back(&handover, world.now), Err(NotTakenBack::OutOfDate(60)));
    let mut world = start(&config, &disk);
    let later = Handover { stopped_ms: DAY + 1_000_000_000, ..handover };
    world.hub.take_back(&later, world.now).unwrap();
    assert_eq!(ana.resume(&mut world)[1], "** resumed");
}

#[test]
fn the_time_since_a_member_came_goes_on() {
    let (config, disk) = (Config::default(), Disk::new(1));
    let mut world = start(&config, &disk);
    let mut ana = named(&mut world, "ana");
    world.pass(Duration::from_secs(600));
    ana.reads();
    stop(&mut world);
    let mut world = start(&config, &disk);
    world.hub.set_clock(DAY + 120_000);
    world.hub.take_back(&disk.take_handover().unwrap(), world.now).unwrap();
    ana.resume(&mut world);
    world.says(&ana.client.0, "/who\n");
    assert!(ana.client.0.received().contains("** here: ana, 0 lines, 12 min\n"));
}

#[test]
fn without_kept_seats_a_stop_is_as_without_a_journal() {
    let (config, disk) = (Config { resume_within: None, ..quiet() }, Disk::new(1));
    let mut world = start(&config, &disk);
    let mut ana = Tracked::begin(&mut world);
    ana.says(&mut world, "one\n");
    ana.reads();
    stop(&mut world);
    let lines = heard(&ana.client.0);
    assert_eq!(lines[lines.len() - 2..], ["* the server is shutting down", "FIN"]);
    assert!(disk.take_handover().is_none());
    assert_eq!(disk.lines(0).last().unwrap(), "* the server is shutting down");
}

#[test]
fn seats_end_at_once_in_a_run_that_keeps_none() {
    let disk = Disk::new(1);
    let mut world = start(&Config::default(), &disk);
    let mut ana = named(&mut world, "ana");
    stop(&mut world);
    let mut world = start_again(&Config { resume_within: None, ..Config::default() }, &disk);
    assert_eq!(world.hub.stats().clients, 0);
    let lines = ana.resume(&mut world);
    assert_eq!((lines[1].as_str(), lines.last().unwrap().as_str()), ("** resumed", "* ana left"));
}

#[test]
fn a_handover_may_say_anything_and_no_rule_of_the_hub_is_broken() {
    let (config, disk) = (Config::default(), Disk::new(1));
    let mut world = start(&config, &disk);
    let _clients = ["ana", "bob", "cho"].map(|name| named(&mut world, name));
    stop(&mut world);
    let text = serde_json::to_string(&disk.take_handover().unwrap()).unwrap();
    let bytes = disk.text(0).len();
    let tampered = [
        text.replace("\"ana\"", "\"bob\""),
        text.replace("\"ana\"", "\"server\""),
        text.replace("\"ana\"", "\"x y\\u001b\""),
        text.replace("\"number\":1", "\"number\":2"),
        text.replace("\"number\":2", "\"number\":0"),
        text.replace("\"number\":3", "\"number\":18446744073709551615"),
        text.replace("\"room\":0", "\"room\":7"),
        text.replace("\"hash\":\"", "\"hash\":\"0"),
        text.replace("\"age\":0", "\"age\":4294967295"),
        text.replace("\"lobby\"", "\"1obby\"").replace("\"is_kept\":true", "\"is_kept\":false"),
        text.replace("\"lobby\"", "\"tea\"").replace("\"is_kept\":true", "\"is_kept\":false"),
    ];
    for json in tampered {
        assert_ne!(json, text);
        let handover: Handover = serde_json::from_str(&json).unwrap();
        let mut world = start(&Config { lag: Lag::Wait, ..Config::default() }, &disk);
        world.hub.take_back(&handover, world.now).unwrap();
        world.run();
        world.hub.check_invariants();
        world.pass(RESUME_WITHIN);
        assert_eq!(world.hub.stats().clients, 0, "{json}");
        disk.cut(0, bytes);
    }
}
