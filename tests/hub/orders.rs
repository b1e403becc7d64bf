//! Orders of operators: what each does, who reads what of it, and the answer.

use std::collections::HashSet;
use std::time::Duration;

use pollchat::relay::name::Name;
use pollchat::relay::order::Row;
use pollchat::server::config::{Config, Lag};
use pollchat::server::hub::Wake;
use pollchat::server::limits::{ANNOUNCED_ROOMS_MAX, KICK_REASON_BYTES_MAX};

use crate::support::hub::{Client, READABLE, World, quiet};
use crate::support::journal::Disk;
use crate::tracking::{begin, heard};

/// 2026-01-01, in ms.
const DAY: u64 = 1_767_225_600_000;

/// Carries out an order of an operator without a connection, and lets the hub run.
fn order(world: &mut World, line: &str) -> Result<Vec<String>, String> {
    let rows = world.hub.order(line, world.now);
    world.run();
    rows.map(|rows| rows.iter().map(Row::to_string).collect())
}

fn done(rows: &[&str]) -> Result<Vec<String>, String> {
    Ok(rows.iter().map(|&row| row.to_owned()).collect())
}

/// A member of this name in a room, which has read all.
fn named(world: &mut World, name: &str, room: &str) -> Client {
    let client = world.connect();
    world.says(&client, format!("/join {room}\n/nick {name}\n"));
    world.run_on();
    client.received();
    client
}

fn with_rooms(count: usize, config: Config) -> Config {
    let rooms: Vec<Name> = (0..count).map(|index| Name::parse(&format!("room{index}")).unwrap()).collect();
    Config { rooms_max: count + 10, rooms, ..config }
}

mod removal {
    use super::*;

    #[test]
    fn the_others_read_that_a_member_was_removed_and_the_member_reads_why() {
        let mut world = World::new(&Config::default());
        let console = world.open_console();
        let [ana, bob, eve] = ["ana", "bob", "eve"].map(|name| named(&mut world, name, "lobby"));
        console.received();
        bob.received();
        world.says(&console, "/kick ANA no spam: ever\n");
        assert_eq!(
            ana.received(),
            "* bob joined\n* eve joined\n* you were removed by the operator: no spam: ever\nFIN\n"
        );
        assert_eq!(bob.received(), "* ana was removed\n");
        assert_eq!(console.received(), "* ana was removed\n", "once: the console reads the record");
        assert_eq!(order(&mut world, "kick eve"), done(&["eve was removed"]), "it reads no room");
        assert!(eve.received().ends_with("* you were removed by the operator\nFIN\n"));
        assert_eq!(bob.received(), "* eve was removed\n");
        assert_eq!(console.received(), "* eve was removed\n");
    }

    #[test]
    fn a_reason_is_one_clean_line_of_bounded_length() {
        let mut world = World::new(&quiet());
        let ana = world.connect();
        order(&mut world, "kick client-1 \x1b[2J\n* eve joined\r\u{202e}").unwrap();
        let told = "* you were removed by the operator: \u{fffd}[2J\u{fffd}* eve joined\u{fffd}\u{fffd}\nFIN\n";
        assert_eq!(ana.received(), told);
        let bob = world.connect();
        let long = "é".repeat(KICK_REASON_BYTES_MAX);
        order(&mut world, &format!("kick client-2 x{long}")).unwrap();
        let kept = "é".repeat((KICK_REASON_BYTES_MAX - 1) / 2);
        assert_eq!(bob.received(), format!("* you were removed by the operator: x{kept}…\nFIN\n"));
    }

    #[test]
    fn the_console_is_answered_where_it_reads_no_record() {
        let mut world = World::new(&Config { announce_up_to: 2, ..Config::default() });
        let console = world.open_console();
        let (ana, eve) = (named(&mut world, "ana", "rust"), named(&mut world, "eve", "rust"));
        let quiet: Vec<Client> = (0..3).map(|_| world.connect()).collect();
        console.received();
        world.says(&console, "/kick ana\n");
        assert_eq!(console.received(), "* ana was removed\n", "of another room");
        assert!(ana.is_ended());
        assert!(eve.received().ends_with("* ana was removed\n"));
        world.says(&console, "/kick client-3\n");
        assert_eq!(console.received(), "* client-3 was removed\n", "the lobby does not know it");
        assert_eq!(quiet[1].received(), "");
    }

    #[test]
    fn whom_no_order_removes_is_told_to_the_operator() {
        let mut world = World::new(&quiet());
        world.open_console();
        world.connect();
        assert_eq!(order(&mut world, "kick eve"), Err("nobody here is called eve".to_owned()));
        assert_eq!(order(&mut world, "kick client-01"), Err("nobody here is called client-01".to_owned()));
        let refusal = order(&mut world, "kick Server").unwrap_err();
        assert_eq!(refusal, "server is the console, and stays; stop ends the server");
        assert_eq!(order(&mut world, "kick"), Err("kick NAME [REASON]: remove NAME".to_owned()));
    }

    #[test]
    fn a_member_that_is_away_is_removed_for_a_reason_and_its_session_ends() {
        let mut world = World::new(&Config { resume_within: Some(Duration::from_secs(30)), ..Config::default() });
        world.hub.set_clock(DAY);
        let bob = named(&mut world, "bob", "lobby");
        let (ana, lines) = begin(&mut world, "/track");
        let token = lines[0].split(' ').nth(2).unwrap().to_owned();
        world.says(&ana, "/nick ana\n");
        ana.resets();
        world.hub.on_ready(ana.key, READABLE);
        world.run();
        assert_eq!(bob.received(), "* ana joined\n");
        assert_eq!(order(&mut world, "kick ana no spam"), done(&["ana was removed"]));
        assert_eq!(bob.received(), "* ana was removed\n");
        let (_, lines) = begin(&mut world, &format!("/track x {token}"));
        assert!(!lines[0].contains(&token), "it begins anew: {lines:?}");
    }

    #[test]
    fn a_mover_that_is_removed_has_left_its_old_room_and_reaches_no_other() {
        let mut world = World::new(&Config::default());
        let (ana, bob) = (named(&mut world, "ana", "lobby"), named(&mut world, "bob", "lobby"));
        let eve = named(&mut world, "eve", "rust");
        ana.takes(0);
        world.says(&bob, "hello\n");
        world.says(&ana, "/join rust\n");
        assert_eq!(bob.received(), "* ana left\n");
        assert_eq!(order(&mut world, "kick ana"), done(&["ana was removed"]));
        assert_eq!((bob.received(), eve.received()), (String::new(), String::new()));
    }

    #[test]
    fn at_the_wall_the_removal_is_told_when_the_room_goes_on() {
        let mut world = World::new(&Config { announce_up_to: 9, ..at_wall() });
        let (ana, bob) = (named(&mut world, "ana", "lobby"), named(&mut world, "bob", "lobby"));
        let slow = stand_still(&mut world);
        ana.received();
        bob.received();
        assert_eq!(order(&mut world, "kick ana"), done(&["ana was removed"]));
        assert!(ana.received().ends_with("* you were removed by the operator\nFIN\n"));
        assert_eq!(bob.received(), "", "the tape has no space");
        world.makes_room(&slow, usize::MAX);
        world.run_for(Duration::from_secs(1));
        let told = bob.received();
        assert_eq!(told.matches("* ana was removed\n").count(), 1, "{told}");
    }
}

fn at_wall() -> Config {
    Config { lag: Lag::Wait, backlog_bytes: 8 * 1024, line_bytes_max: 100, ..quiet() }
}

/// Lets the lobby wait for a reader that takes nothing, until a flood is held. Returns the reader.
fn stand_still(world: &mut World) -> Client {
    let (slow, flood) = (world.connect(), world.connect());
    slow.takes(0);
    flood.sends("0123456789\n".repeat(5_000));
    world.hub.on_ready(flood.key, READABLE);
    world.run_for(Duration::from_secs(1));
    slow
}

mod announcements {
    use super::*;

    #[test]
    fn an_announcement_is_a_line_in_every_room() {
        let disk = Disk::new(2);
        let config = with_rooms(1, Config { history_lines: 5, ..quiet() });
        let mut world = World::new(&config);
        world.hub.keep(Box::new(disk.clone()), disk.kept(0), disk.numbers());
        world.hub.set_clock(DAY);
        let console = world.open_console();
        let (ana, bob) = (named(&mut world, "ana", "lobby"), named(&mut world, "bob", "rust"));
        let (eve, _) = begin(&mut world, "/track");
        let lines = world.hub.stats().lines;
        world.says(&console, "/announce  back in\x075 minutes \n");
        let said = "server> back in\u{fffd}5 minutes\n";
        for client in [&ana, &bob, &console] {
            assert_eq!(client.received(), said);
        }
        assert_eq!(heard(&eve).last().map(String::as_str), Some(said.trim_end()), "a record like any other");
        assert_eq!(world.hub.stats().lines, lines + 3, "a line in the lobby, in room0 and in rust");
        let late = world.connect_silently();
        world.says(&late, "/join room0\n");
        assert!(
            late.received().ends_with(&format!("* 1 earlier line:\n{said}")),
            "a room without members says it, too"
        );
        let kept: Vec<String> = (0..2).map(|room| disk.text(room)).collect();
        assert!(kept.iter().all(|text| text.contains(said)), "{kept:?}");
    }

    #[test]
    fn a_room_that_waits_says_it_when_it_goes_on_and_takes_a_few() {
        let mut world = World::new(&at_wall());
        let (ana, bob) = (world.connect(), named(&mut world, "bob", "rust"));
        let slow = stand_still(&mut world);
        ana.received();
        let mut taken = 0;
        let refusal = loop {
            match order(&mut world, &format!("announce number {taken}")) {
                Ok(rows) => assert!(rows.is_empty()),
                Err(refusal) => break refusal,
            }
            taken += 1;
        };
        assert_eq!(refusal, "lobby waits for a slow reader, and earlier announcements with it");
        assert_eq!(bob.received().lines().count(), taken, "no other room waits");
        assert_eq!(ana.received(), "");
        assert!(matches!(world.hub.next_wake(), Wake::At(_)), "it does not turn for nothing");
        world.makes_room(&slow, usize::MAX);
        world.run_for(Duration::from_secs(1));
        let told = ana.received();
        let told: Vec<&str> = told.lines().filter(|line| line.starts_with("server> ")).collect();
        let all: Vec<String> = (0..taken).map(|number| format!("server> number {number}")).collect();
        assert_eq!(told, all);
        assert!(order(&mut world, "announce again").is_ok());
    }

    #[test]
    fn announcements_come_to_a_number_of_rooms_a_turn_and_in_their_order() {
        let mut world = World::new(&with_rooms(ANNOUNCED_ROOMS_MAX + 1, quiet()));
        let (first, last) = (world.connect(), named(&mut world, "last", &format!("room{ANNOUNCED_ROOMS_MAX}")));
        for text in ["one", "two"] {
            world.hub.order(&format!("announce {text}"), world.now).unwrap();
        }
        world.hub.flush(world.now);
        assert_eq!((first.received().as_str(), last.received().as_str()), ("server> one\n", ""));
        assert_eq!(world.hub.next_wake(), Wake::Now);
        world.run();
        assert_eq!(
            (first.received().as_str(), last.received().as_str()),
            ("server> two\n", "server> one\nserver> two\n")
        );
        let refused = (0..40).map(|_| world.hub.order("announce more", world.now)).filter(Result::is_err).count();
        assert!(refused > 0, "so many wait at most");
        world.run();
        assert_eq!(first.received().lines().count(), 40 - refused);
        assert_eq!(last.received().lines().count(), 40 - refused);
    }

    #[test]
    fn a_text_is_no_longer_than_a_line_may_be() {
        let mut world = World::new(&Config { line_bytes_max: 20, ..quiet() });
        let ana = world.connect();
        let refused = Err("line too long (over 20 bytes): not relayed".to_owned());
        for verb in ["announce", "greeting"] {
            assert_eq!(order(&mut world, &format!("{verb} {}", "x".repeat(21))), refused);
        }
        assert_eq!(order(&mut world, &format!("announce {}", "x".repeat(20))), done(&[]));
        assert_eq!(ana.received(), format!("server> {}\n", "x".repeat(20)));
    }
}

#[test]
fn a_greeting_is_for_newcomers_of_every_room_old_or_new() {
    let mut world = World::new(&with_rooms(1, Config { greeting: "old".to_owned(), ..quiet() }));
    let console = world.open_console();
    world.says(&console, "/greeting be\x07kind\n");
    assert_eq!(console.received(), "* newcomers are greeted so from now on\n");
    for room in ["lobby", "room0", "rust"] {
        let client = world.connect_silently();
        world.says(&client, format!("/join {room}\n"));
        let greeting = client.received();
        assert!(greeting.contains("\n* be\u{fffd}kind\n") && !greeting.contains("old"), "{greeting}");
    }
    assert_eq!(order(&mut world, "greeting"), done(&["newcomers are not greeted"]));
    let client = world.connect_silently();
    world.says(&client, "\n");
    assert_eq!(client.received().lines().count(), 1);
}

#[test]
fn who_tells_all_that_is_known_of_each_member() {
    let mut world = World::new(&Config { resume_within: Some(Duration::from_secs(30)), ..quiet() });
    world.hub.set_clock(DAY);
    world.open_console();
    let ana = named(&mut world, "ana", "rust");
    let (eve, _) = begin(&mut world, "/track");
    world.says(&eve, "/nick eve\n");
    eve.resets();
    world.hub.on_ready(eve.key, READABLE);
    world.pass(Duration::from_secs(10));
    let bob = world.connect();
    ana.takes(0);
    world.says(&bob, "/join rust\nhello\n");
    world.run_on();
    let rows = world.hub.order("who -a", world.now).unwrap();
    let rows: Vec<_> = rows.iter().map(|row| serde_json::to_value(row).unwrap()).collect();
    let column = |field: &str| rows.iter().map(|row| row[field].to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(column("name"), r#""server" "ana" "eve" "client-3""#, "the oldest first");
    assert_eq!(column("address"), r#""console" "127.0.0.1:1" null "127.0.0.1:1""#);
    assert_eq!(column("room"), r#""lobby" "rust" "lobby" "rust""#);
    assert_eq!(column("behind"), format!("0 {} 0 0", "client-3> hello\n".len()));
    assert_eq!(column("tracked"), "false false true false");
    assert_eq!(column("away"), "false false true false");
    let seconds: Vec<u64> = rows.iter().map(|row| row["seconds"].as_u64().unwrap()).collect();
    assert!(seconds[0] >= 10 && seconds[3] < 10, "{seconds:?}");
    let short = world.hub.order("who", world.now).unwrap();
    let short: Vec<_> = short.iter().map(|row| serde_json::to_value(row).unwrap()).collect();
    assert_eq!(short[3]["lines"], 1);
    assert_eq!(short[2]["away"], true);
    assert!(short[0].get("address").is_none());
    let rooms = world.hub.order("rooms", world.now).unwrap();
    let rooms: Vec<_> = rooms.iter().map(|row| serde_json::to_string(row).unwrap()).collect();
    let expected =
        [r#"{"room":"lobby","members":2,"permanent":true}"#, r#"{"room":"rust","members":2,"permanent":false}"#];
    assert_eq!(rooms, expected);
}

#[test]
fn a_long_list_is_whole_and_the_console_is_told_how_many_rows_it_does_not_see() {
    let mut world = World::new(&quiet());
    let console = world.open_console();
    (0..450).for_each(|_| drop(world.connect()));
    let names: Vec<String> = order(&mut world, "who").unwrap();
    let names: HashSet<&str> = names.iter().map(|row| row.split(' ').next().unwrap()).collect();
    assert_eq!(names.len(), 451);
    world.says(&console, "/who -a\n");
    let shown = console.received();
    assert_eq!(shown.lines().count(), 101);
    assert!(shown.lines().all(|line| line.starts_with("* ")) && shown.ends_with("* and 351 more\n"), "{shown}");
    let few = with_rooms(300, quiet());
    let mut world = World::new(&few);
    assert_eq!(order(&mut world, "rooms").unwrap().len(), 301);
}

#[test]
fn each_figure_has_a_name_of_its_own() {
    let mut world = World::new(&quiet());
    let (ana, _bob) = (world.connect(), world.connect());
    world.says(&ana, "hello\n/kick x\n");
    order(&mut world, "kick client-1").unwrap();
    world.pass(Duration::from_secs(7));
    let rows = world.hub.order("stats", world.now).unwrap();
    let figures: Vec<(&str, u64)> = rows
        .iter()
        .map(|row| match row {
            Row::Figure { name, value } => (name.as_str(), *value),
            row => panic!("{row:?}"),
        })
        .collect();
    let names: HashSet<&str> = figures.iter().map(|&(name, _)| name).collect();
    assert_eq!(names.len(), figures.len());
    let is_plain =
        |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    assert!(names.iter().all(is_plain), "{names:?}");
    for figure in [("clients", 1), ("entered", 2), ("lines", 1), ("left_removed", 1), ("answers_404", 0)] {
        assert!(figures.contains(&figure), "{figure:?} in {figures:?}");
    }
    assert!(figures[0].0 == "uptime_seconds" && figures[0].1 >= 7, "{figures:?}");
}

#[test]
fn a_reload_waits_for_the_outer_loop_and_the_console_is_told_what_it_changed() {
    let mut world = World::new(&quiet());
    let console = world.open_console();
    for (outcome, told) in [
        (Ok(String::new()), "* reloaded\n"),
        (Ok("greeting\nnames".to_owned()), "* greeting\n* names\n"),
        (Err("names.txt: line 3: \x1b".to_owned()), "* nothing is reloaded: names.txt: line 3: \u{fffd}\n"),
    ] {
        world.says(&console, "/reload\n");
        assert!(world.hub.is_reload_wanted());
        assert_eq!(console.received(), "");
        world.hub.answer_reload(&outcome);
        world.run();
        assert!(!world.hub.is_reload_wanted());
        assert_eq!(console.received(), told);
    }
    console.sends("/reload\n");
    console.ends();
    world.hub.on_ready(console.key, READABLE);
    world.run();
    world.hub.answer_reload(&Ok(String::new()));
    world.run();
    assert!(!console.received().contains("reloaded"), "it is gone");
}

#[test]
fn an_order_that_stops_the_server_stops_it_and_help_names_all() {
    let mut world = World::new(&quiet());
    let console = world.open_console();
    assert_eq!(order(&mut world, "help").unwrap().len(), 12);
    world.says(&console, "/stop please\n");
    assert!(!world.hub.is_stop_wanted());
    console.sends("/stop\n");
    world.hub.on_ready(console.key, READABLE);
    world.hub.react(world.now);
    assert!(world.hub.is_stop_wanted());
}
