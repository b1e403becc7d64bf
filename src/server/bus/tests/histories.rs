//! The history of a room that is opened, and what is kept of it.

use super::*;

/// Fills a log as one other server would: an entry each `step_ms`, of two lines.
fn fill(world: &mut World, entries: u64, step_ms: u64) {
    let start = world.redis.borrow().ms;
    for number in 1..=entries {
        let mut redis = world.redis.borrow_mut();
        redis.ms = start + number * step_ms;
        let (n, c) = (number.to_string(), (2 * number - 2).to_string());
        let events = format!("s 1 bob {}\ns 1 bob {}\n", 2 * number - 2, 2 * number - 1);
        redis.add("p:room:old", &["w", "0000000000000007", "n", &n, "c", &c, "e", &events]);
    }
}

/// Opens the log as the lobby, and returns what of it was heard.
fn open(world: &mut World, lines: u64) -> Vec<String> {
    world.servers[0].close(LOBBY);
    world.servers[0].open(LOBBY, "old", lines);
    (0..40).for_each(|_| world.run());
    assert_eq!(world.heard[0].last(), Some(&Heard::Loaded(ROOM)));
    world.said(0)
}

fn numbers(from: u64, to: u64) -> Vec<String> {
    (from..to).map(|number| number.to_string()).collect()
}

/// Returns the second of the first entry that was heard, and that of the one before it in the log.
fn seconds_at_start(world: &World) -> (u64, u64) {
    let first = world.heard[0].iter().find_map(|heard| match heard {
        Heard::Entry(entry) => Some(entry.id),
        _ => None,
    });
    let first = first.expect("a history");
    let redis = world.redis.borrow();
    let before = redis.streams["p:room:old"].1.iter().rev().find(|(id, _)| *id < first);
    (first.second(), before.expect("older entries").0.second())
}

#[test]
fn a_short_log_is_read_whole() {
    for page in [1, 2, 3, 20, 64] {
        let mut world = World::new(0);
        world.settings.page = page;
        world.start();
        world.run();
        fill(&mut world, 20, 10);
        assert_eq!(open(&mut world, 1_000), numbers(0, 40));
        assert_eq!(world.servers[0].figures().missed_lines, 0);
    }
}

#[test]
fn a_history_begins_at_a_change_of_second_with_enough_lines() {
    for (page, lines) in [(64, 0), (64, 1), (3, 50), (64, 333)] {
        let mut world = World::new(0);
        world.settings.page = page;
        world.start();
        world.run();
        fill(&mut world, 1_000, 37);
        let said = open(&mut world, lines);
        let count = u64::try_from(said.len()).expect("few");
        assert!(count >= lines && count <= lines + 2 * 28, "{count} of {lines}: at most a second more");
        assert_eq!(said, numbers(2_000 - count, 2_000));
        let (first, before) = seconds_at_start(&world);
        assert_ne!(first, before);
    }
}

#[test]
fn a_history_is_no_larger_than_half_a_tape() {
    let mut world = World::new(0);
    world.settings.tape_bytes = 4_000;
    world.start();
    world.run();
    fill(&mut world, 1_000, 37);
    let said = open(&mut world, 5_000);
    assert!(said.len() > 30 && said.len() < 200, "{}", said.len());
    let (first, before) = seconds_at_start(&world);
    assert_ne!(first, before);
}

#[test]
fn a_second_that_is_larger_than_half_a_tape_is_cut() {
    let mut world = World::new(0);
    world.settings.tape_bytes = 4_000;
    world.start();
    world.run();
    world.redis.borrow_mut().ms = 1_700_000_001_000;
    fill(&mut world, 900, 1);
    let said = open(&mut world, 5_000);
    assert!(said.len() > 50 && said.len() < 300, "{}", said.len());
    assert_eq!(said.last().map(String::as_str), Some("1799"));
}

#[test]
fn what_came_twice_in_a_history_is_shown_once() {
    let mut world = World::new(1);
    world.run();
    fill(&mut world, 10, 10);
    let entries = world.redis.borrow().streams["p:room:old"].1.clone();
    for (_, fields) in &entries[5..] {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        world.redis.borrow_mut().add("p:room:old", &fields);
    }
    assert_eq!(open(&mut world, 1_000), numbers(0, 20));
}

/// The only entry of a server that was heard before the others.
const EARLY: [&str; 8] = ["w", "0000000000000008", "n", "1", "c", "0", "e", "s 2 eve early\n"];

#[test]
fn entries_that_are_not_shown_are_known_all_the_same() {
    let mut world = World::new(1);
    world.run();
    world.redis.borrow_mut().add("p:room:old", &EARLY);
    fill(&mut world, 100, 500);
    let shown = open(&mut world, 1).len();
    assert!(shown < 10);
    // A repetition of what was not shown, a failure, and the next entry.
    world.redis.borrow_mut().add("p:room:old", &EARLY);
    world.redis.borrow_mut().cut();
    world.pass(SECOND);
    world.say(0, "new");
    world.run();
    assert_eq!(world.said(0)[shown..], ["new"]);
}

#[test]
fn a_reader_goes_back_no_further_than_it_has_read() {
    let mut world = World::new(0);
    world.settings.page = 4;
    world.start();
    world.run();
    world.redis.borrow_mut().add("p:room:old", &EARLY);
    for number in 1..=60 {
        let events = format!("s 1 bob {}\n", "x".repeat(100_000));
        let fields = ["w", "0000000000000007", "n", &number.to_string(), "c", &(number - 1).to_string(), "e", &events];
        world.redis.borrow_mut().ms += 500;
        world.redis.borrow_mut().add("p:room:old", &fields);
    }
    let shown = open(&mut world, 1).len();
    world.redis.borrow_mut().cut();
    world.pass(2 * SECOND);
    assert_eq!(world.said(0).len(), shown, "the early entry is not new");
    world.say(0, "new");
    world.run();
    assert_eq!(world.said(0)[shown..], ["new"]);
}

#[test]
fn a_history_goes_on_after_a_failure() {
    let mut world = World::new(0);
    world.settings.page = 8;
    world.start();
    world.run();
    fill(&mut world, 100, 500);
    world.servers[0].open(LOBBY, "old", 100);
    (0..4).for_each(|_| world.turn(0));
    assert!(!world.heard[0].contains(&Heard::Loaded(ROOM)));
    world.redis.borrow_mut().cut();
    world.pass(2 * SECOND);
    assert!(world.heard[0].contains(&Heard::Loaded(ROOM)));
    assert_eq!(world.said(0), numbers(100, 200));
}

#[test]
fn a_history_holds_nothing_that_a_failover_has_lost_meanwhile() {
    let mut world = World::new(0);
    world.settings.page = 8;
    world.start();
    world.run();
    fill(&mut world, 100, 500);
    world.servers[0].open(LOBBY, "old", 1_000);
    (0..4).for_each(|_| world.turn(0));
    assert!(!world.heard[0].contains(&Heard::Loaded(ROOM)));
    let mut redis = world.redis.borrow_mut();
    redis.ms -= 60_000;
    redis.streams.get_mut("p:room:old").expect("a log").1.truncate(50);
    redis.cut();
    drop(redis);
    world.pass(2 * SECOND);
    assert_eq!(world.said(0), numbers(0, 100));
}

#[test]
fn lines_submitted_while_a_history_is_read_come_after_it() {
    let mut world = World::new(1);
    world.run();
    fill(&mut world, 10, 10);
    world.servers[0].open(LOBBY, "old", 100);
    world.say(0, "new");
    world.run();
    let mut expected = numbers(0, 20);
    expected.push("new".to_owned());
    assert_eq!(world.said(0), expected);
}

#[test]
fn the_roster_is_read_whole_before_the_bus_is_together() {
    let mut world = World::new(0);
    for number in 1..=500 {
        let fields = ["w", "0000000000000007", "n", &number.to_string(), "c", "0", "e", "b\n"];
        world.redis.borrow_mut().add("p:roster", &fields);
    }
    world.start();
    for _ in 0..4 {
        world.turn(0);
        assert_eq!(world.servers[0].state(), State::Starting);
    }
    world.run();
    world.run();
    assert_eq!(world.heard[0].len(), 501);
    assert_eq!(world.heard[0].last(), Some(&Heard::Loaded(StreamId::Roster)));
    assert_eq!(world.servers[0].state(), State::Together);
}

#[test]
fn a_stream_is_trimmed_to_the_bytes_that_are_kept() {
    let mut world = World::new(0);
    world.settings.keep_bytes = 100_000;
    (0..2).for_each(|_| world.start());
    world.run();
    world.servers.iter_mut().for_each(|server| server.open(LOBBY, "lobby", 0));
    world.run();
    let line = "x".repeat(1_000);
    for _ in 0..500 {
        world.say(0, &line);
        world.turn(0);
        world.turn(1);
    }
    let kept = world.stored("p:room:lobby") * 1_100;
    assert!((100_000..110_000).contains(&kept), "{kept}");
    assert_eq!(world.said(1).len(), 500);
}

#[test]
fn a_stream_that_earlier_servers_have_filled_is_trimmed_too() {
    let mut world = World::new(0);
    world.settings.keep_bytes = 100_000;
    world.start();
    world.run();
    fill(&mut world, 5_000, 50);
    open(&mut world, 10);
    world.say(0, "new");
    world.run();
    world.say(0, "newer");
    world.run();
    let kept = world.stored("p:room:old");
    assert!((650..1_100).contains(&kept), "{kept}: 100 kB of entries of 100 bytes and more");
}
