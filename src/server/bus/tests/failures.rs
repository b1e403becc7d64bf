//! Failures of connections and with Redis: nothing is lost or doubled, or the lines that are lost are told.

use super::*;

/// Says a line on the first server, and lets it be heard.
pub(super) fn say_and_hear(world: &mut World, text: &str) {
    world.say(0, text);
    world.run();
}

fn is_away(world: &World, index: usize) -> bool {
    matches!(world.servers[index].state(), State::Away { .. })
}

#[test]
fn an_entry_whose_reply_was_lost_is_repeated_and_dropped() {
    let mut world = World::together(2);
    say_and_hear(&mut world, "a");
    world.say(0, "b");
    world.redis.borrow_mut().is_mute = true;
    world.servers[0].settle(world.now);
    let mut redis = world.redis.borrow_mut();
    redis.cut();
    redis.is_mute = false;
    drop(redis);
    world.say(0, "c");
    world.pass(SECOND);
    assert_eq!(world.stored("p:room:lobby"), 4, "b is there twice");
    for index in 0..2 {
        assert_eq!(world.said(index), ["a", "b", "c"]);
        assert!(world.servers[index].figures().repetitions > 0);
        assert_eq!(world.servers[index].state(), State::Together);
    }
}

#[test]
fn an_entry_that_was_lost_on_its_way_is_repeated() {
    let mut world = World::together(2);
    world.redis.borrow_mut().is_hanging = true;
    world.say(0, "a");
    world.servers[0].settle(world.now);
    world.redis.borrow_mut().is_hanging = false;
    world.redis.borrow_mut().cut();
    world.pass(SECOND);
    assert_eq!(world.said(0), ["a"]);
    assert_eq!(world.said(1), ["a"]);
}

#[test]
fn late_bytes_of_an_old_connection_are_repetitions() {
    let mut world = World::together(2);
    for text in ["a", "b", "c"] {
        say_and_hear(&mut world, text);
    }
    let old = world.redis.borrow().streams["p:room:lobby"].1.clone();
    for (_, fields) in &old {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        world.redis.borrow_mut().add("p:room:lobby", &fields);
    }
    say_and_hear(&mut world, "d");
    assert_eq!(world.said(1), ["a", "b", "c", "d"]);
    assert_eq!(world.servers[1].figures().repetitions, 3);
}

#[test]
fn a_failure_is_told_by_the_state_and_stops_rooms_after_two_seconds() {
    let mut world = World::together(1);
    world.is_refusing = true;
    world.redis.borrow_mut().cut();
    world.run();
    assert_eq!(world.servers[0].state(), State::Away { since: world.now });
    assert_eq!(world.servers[0].room_left(ROOM), BATCH_BYTES);
    world.pass(2 * SECOND);
    assert_eq!(world.servers[0].room_left(ROOM), 0);
    world.is_refusing = false;
    world.pass(6 * SECOND);
    assert_eq!(world.servers[0].state(), State::Together);
    assert_eq!(world.servers[0].room_left(ROOM), BATCH_BYTES);
    assert_eq!(world.servers[0].figures().cut_off, 1);
}

#[test]
fn a_failover_to_a_clock_that_is_behind_loses_nothing_that_is_new() {
    let mut world = World::together(2);
    world.pass(100 * SECOND);
    for text in ["a", "b", "c", "d"] {
        say_and_hear(&mut world, text);
        world.pass(SECOND);
    }
    // The new master lacks the last two, and its clock is behind.
    let mut redis = world.redis.borrow_mut();
    redis.ms -= 2_500;
    let ms = redis.ms;
    let (last, entries) = redis.streams.get_mut("p:room:lobby").expect("a log");
    entries.truncate(2);
    *last = entries[1].0;
    assert!(last.ms < ms);
    redis.cut();
    drop(redis);
    world.pass(SECOND);
    for text in ["e", "f"] {
        say_and_hear(&mut world, text);
    }
    assert_eq!(world.said(0), ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(world.said(1), ["a", "b", "c", "d", "e", "f"]);
}

#[test]
fn entries_below_the_cursor_are_found_although_later_ones_are_above_it() {
    let mut world = World::together(2);
    world.pass(100 * SECOND);
    say_and_hear(&mut world, "a");
    let mut redis = world.redis.borrow_mut();
    redis.ms -= 2_000;
    redis.streams.clear();
    redis.cut();
    for (number, text) in ["b", "c", "d"].iter().enumerate() {
        let (number, events) = ((number + 1).to_string(), format!("s 1 bob {text}\n"));
        redis.add("p:room:lobby", &["w", "0000000000000007", "n", &number, "c", "0", "e", &events]);
        redis.ms += 1_500;
    }
    drop(redis);
    world.pass(SECOND);
    assert_eq!(world.said(0), ["a", "b", "c", "d"]);
}

#[test]
fn a_reader_that_has_not_caught_up_is_away() {
    let mut world = World::together(1);
    let add = |world: &mut World, number: u64| {
        let (number, events) = (number.to_string(), "s 1 bob x\n");
        world.redis.borrow_mut().add("p:room:lobby", &["w", "0000000000000007", "n", &number, "c", "0", "e", events]);
    };
    world.redis.borrow_mut().cut();
    (1..=500).for_each(|number| add(&mut world, number));
    world.turn(0);
    world.now += SECOND;
    while world.said(0).len() < 500 {
        assert!(is_away(&world, 0));
        world.turn(0);
    }
    world.run();
    assert_eq!(world.servers[0].state(), State::Together);
}

#[test]
fn a_server_that_cannot_read_judges_nobody() {
    let mut world = World::together(1);
    world.servers[0].watch(Writer::new(9));
    world.redis.borrow_mut().errors.insert("XREAD", "LOADING Redis");
    world.pass(120 * SECOND);
    assert!(world.heard[0].is_empty() && is_away(&world, 0));
    world.redis.borrow_mut().errors.clear();
    world.pass(45 * SECOND);
    assert_eq!(world.heard[0][..1], [Heard::Expired(Writer::new(9))]);
}

#[test]
fn a_failover_without_the_tail_is_told_to_those_that_missed_it() {
    let mut world = World::together(2);
    say_and_hear(&mut world, "a");
    // The second server reads nothing for a while.
    let second = (world.servers.pop().expect("two"), world.heard.pop().expect("two"));
    for text in ["b", "c", "d"] {
        say_and_hear(&mut world, text);
    }
    let mut redis = world.redis.borrow_mut();
    redis.streams.get_mut("p:room:lobby").expect("a log").1.truncate(1);
    redis.cut();
    drop(redis);
    world.servers.push(second.0);
    world.heard.push(second.1);
    world.pass(SECOND);
    say_and_hear(&mut world, "e");
    assert_eq!(world.said(0), ["a", "b", "c", "d", "e"]);
    assert_eq!(world.said(1), ["a", "-3", "e"]);
    assert_eq!(world.servers[1].figures().missed_lines, 3);
}

#[test]
fn a_lost_part_of_a_batch_that_was_cut_twice_leaves_a_gap_without_a_said_line() {
    for (is_lost, expected) in [(false, vec![false; 4]), (true, vec![false, false, true])] {
        let mut world = World::together(2);
        world.servers[0].submit(StreamId::Roster, "e before\n", 0);
        world.run();
        // The second server reads nothing for a while: the first part alone is on its way to it.
        let second = (world.servers.pop().expect("two"), world.heard.pop().expect("two"));
        let events = format!("s {:0>100}\n", 0).repeat(2 * BATCH_BYTES / 100);
        world.servers[0].submit(StreamId::Roster, &events, 0);
        world.run();
        assert_eq!(world.stored("p:roster"), 4);
        if is_lost {
            world.redis.borrow_mut().streams.get_mut("p:roster").expect("a log").1.remove(2);
        }
        world.servers.push(second.0);
        world.heard.push(second.1);
        world.run();
        let gaps: Vec<bool> = world.heard[1]
            .iter()
            .filter_map(|heard| match heard {
                Heard::Entry(entry) if entry.stream == StreamId::Roster => {
                    assert_eq!(entry.missed_lines, 0, "events are no said lines");
                    Some(entry.is_behind_gap)
                }
                _ => None,
            })
            .collect();
        assert_eq!(gaps, expected);
        assert_eq!(world.servers[1].figures().missed_lines, 0);
    }
}

#[test]
fn a_clock_that_goes_back_is_noticed_by_the_writer() {
    let mut world = World::together(2);
    say_and_hear(&mut world, "a");
    // The stream begins anew under a clock that is far behind, and no connection fails.
    world.redis.borrow_mut().ms -= 1_000_000;
    world.redis.borrow_mut().streams.remove("p:room:lobby");
    say_and_hear(&mut world, "b");
    assert!(is_away(&world, 0));
    world.pass(SECOND);
    assert_eq!(world.said(0), ["a", "b"]);
    assert_eq!(world.servers[0].state(), State::Together);
}

#[test]
fn an_entry_that_is_deleted_before_it_was_read_is_written_again() {
    let mut world = World::together(2);
    say_and_hear(&mut world, "a");
    world.redis.borrow_mut().forgets_entries = true;
    world.say(0, "b");
    world.run();
    world.redis.borrow_mut().forgets_entries = false;
    world.pass(4 * SECOND);
    assert_eq!(world.said(0), ["a"]);
    world.pass(3 * SECOND);
    assert_eq!(world.said(0), ["a", "b"]);
    assert_eq!(world.said(1), ["a", "b"]);
    assert_eq!(world.servers[0].state(), State::Together);
}

#[test]
fn a_restart_without_data_loses_no_line_that_is_under_way() {
    let mut world = World::together(2);
    say_and_hear(&mut world, "a");
    world.say(0, "b");
    world.redis.borrow_mut().is_hanging = true;
    world.servers[0].settle(world.now);
    let mut redis = world.redis.borrow_mut();
    redis.is_hanging = false;
    redis.streams.clear();
    redis.keys.clear();
    redis.cut();
    drop(redis);
    world.pass(2 * SECOND);
    say_and_hear(&mut world, "c");
    assert_eq!(world.said(0), ["a", "b", "c"]);
    assert_eq!(world.said(1), ["a", "b", "c"]);
}

#[test]
fn a_stream_that_is_deleted_goes_on() {
    let mut world = World::together(2);
    for text in ["a", "b"] {
        say_and_hear(&mut world, text);
        world.redis.borrow_mut().streams.clear();
        world.pass(SECOND);
    }
    say_and_hear(&mut world, "c");
    assert_eq!(world.said(1), ["a", "b", "c"]);
    assert_eq!(world.servers[1].figures().missed_lines, 0);
}

#[test]
fn what_was_trimmed_before_it_was_read_is_told() {
    let mut world = World::together(2);
    say_and_hear(&mut world, "a");
    let second = (world.servers.pop().expect("two"), world.heard.pop().expect("two"));
    for line in 0..100 {
        say_and_hear(&mut world, &format!("{line}"));
    }
    world.redis.borrow_mut().streams.get_mut("p:room:lobby").expect("a log").1.drain(..80);
    world.servers.push(second.0);
    world.heard.push(second.1);
    world.redis.borrow_mut().cut();
    world.pass(SECOND);
    let said = world.said(1);
    assert_eq!(said[..3], ["a", "-79", "79"]);
    assert_eq!(said.len(), 23);
}

#[test]
fn a_redis_without_memory_is_asked_again_on_the_same_connection() {
    let mut world = World::together(2);
    let connects = world.servers[0].to_write.link.connects();
    world.redis.borrow_mut().errors.insert("XADD", "OOM command not allowed");
    world.say(0, "a");
    world.pass(4 * SECOND);
    assert!(!is_away(&world, 0));
    let tries = world.redis.borrow().commands("XADD").iter().filter(|entry| entry[1] == "p:room:lobby").count();
    assert!((3..=5).contains(&tries), "once a second: {tries}");
    world.pass(2 * SECOND);
    assert!(is_away(&world, 0), "it is overdue");
    world.redis.borrow_mut().errors.clear();
    world.pass(2 * SECOND);
    assert_eq!(world.said(1), ["a"]);
    assert_eq!(world.servers[0].state(), State::Together);
    assert_eq!(world.servers[0].to_write.link.connects(), connects);
}

#[test]
fn a_redis_that_becomes_a_replica_is_left() {
    for (name, words) in [("XADD", "READONLY You can't write"), ("XADD", "LOADING Redis"), ("XREAD", "UNBLOCKED force")]
    {
        let mut world = World::together(1);
        world.redis.borrow_mut().errors.insert(name, words);
        world.redis.borrow_mut().advance(10_000);
        say_and_hear(&mut world, "a");
        assert!(is_away(&world, 0), "{words}");
        world.redis.borrow_mut().errors.clear();
        world.pass(6 * SECOND);
        assert_eq!(world.said(0), ["a"]);
        assert_eq!(world.servers[0].state(), State::Together);
    }
}

#[test]
fn a_redis_that_hangs_is_noticed() {
    let mut world = World::together(2);
    world.redis.borrow_mut().is_hanging = true;
    world.say(0, "a");
    world.pass(4 * SECOND);
    assert!(!is_away(&world, 0));
    world.pass(2 * SECOND);
    assert!(is_away(&world, 0), "a reply is due within 5 s");
    world.pass(60 * SECOND);
    world.redis.borrow_mut().is_hanging = false;
    world.pass(12 * SECOND);
    assert_eq!(world.said(1), ["a"]);
    assert_eq!(world.servers[0].state(), State::Together);
    assert_eq!(world.servers[1].state(), State::Together);
}

#[test]
fn a_refusal_before_the_first_touch_is_a_failure() {
    let mut world = World::new(1);
    world.redis.borrow_mut().errors.insert("XREAD", "NOPERM this user has no permissions");
    world.run();
    assert!(world.servers[0].failure().is_some_and(|words| words.contains("NOPERM")));
    let mut world = World::together(1);
    world.redis.borrow_mut().errors.insert("SET", "NOPERM this user has no permissions");
    world.pass(10 * SECOND);
    assert!(is_away(&world, 0));
    assert_eq!(world.servers[0].failure(), None, "it goes on trying");
}

#[test]
fn entries_of_another_form_are_dropped_and_passed_over() {
    let mut world = World::together(1);
    for fields in [&["x", "y"][..], &["w", "1", "n", "1", "c", "0", "e", "s 1 a b\n"], &[]] {
        world.redis.borrow_mut().add("p:room:lobby", fields);
    }
    say_and_hear(&mut world, "a");
    assert_eq!(world.said(0), ["a"]);
    assert_eq!(world.servers[0].figures().malformed, 3);
    let reads = world.redis.borrow().commands("XREAD").len();
    world.run();
    assert_eq!(world.redis.borrow().commands("XREAD").len(), reads, "none is read again");
}

#[test]
fn a_reply_that_is_too_large_is_asked_for_in_parts() {
    let mut world = World::together(1);
    let events = format!("s 1 bob {}\n", "x".repeat(900_000));
    world.redis.borrow_mut().cut();
    for number in 1..=12 {
        let fields = ["w", "0000000000000007", "n", &number.to_string(), "c", "0", "e", &events];
        world.redis.borrow_mut().add("p:room:lobby", &fields);
    }
    world.pass(5 * SECOND);
    assert_eq!(world.said(0).len(), 12);
    assert_eq!(world.servers[0].state(), State::Together);
}

#[test]
fn a_stream_with_an_impossible_type_is_retried_in_peace() {
    let mut world = World::together(1);
    world.redis.borrow_mut().errors.insert("XADD", "WRONGTYPE Operation against a key");
    world.say(0, "a");
    world.pass(20 * SECOND);
    let tries = world.redis.borrow().commands("XADD").iter().filter(|entry| entry[1] == "p:room:lobby").count();
    assert!((2..=6).contains(&tries), "{tries} in 20 s");
    assert!(is_away(&world, 0));
}

#[test]
fn a_slow_hub_is_no_failure() {
    let mut world = World::together(2);
    world.say(1, "a");
    world.turn(1);
    world.say(0, "b");
    // The hub takes nothing of what was read for a long time.
    for _ in 0..20 {
        world.servers[0].settle(world.now);
        let readiness = Readiness { readable: true, writable: true };
        world.servers[0].on_ready(End::Reader, readiness);
        world.now += SECOND;
        world.redis.borrow_mut().advance(1_000);
        world.turn(1);
        if let Some(heard) = world.servers[0].heard.pop_front() {
            world.servers[0].heard.push_front(heard);
        }
    }
    assert!(world.servers[0].figures().repetitions == 0);
}

#[test]
fn a_log_that_began_anew_under_a_clock_far_behind_is_read_by_those_that_only_read() {
    let mut world = World::together(2);
    say_and_hear(&mut world, "a");
    let mut redis = world.redis.borrow_mut();
    redis.ms -= 1_000_000;
    redis.streams.clear();
    redis.cut();
    drop(redis);
    say_and_hear(&mut world, "b");
    world.pass(SECOND);
    for text in ["c", "d"] {
        say_and_hear(&mut world, text);
    }
    for index in 0..2 {
        assert_eq!(world.said(index), ["a", "b", "c", "d"]);
        assert_eq!(world.servers[index].state(), State::Together);
    }
}

#[test]
fn a_log_that_is_empty_on_a_new_connection_is_read_from_its_first_entry() {
    let mut world = World::together(1);
    world.pass(100 * SECOND);
    say_and_hear(&mut world, "a");
    let mut redis = world.redis.borrow_mut();
    redis.ms -= 1_000_000;
    redis.streams.clear();
    redis.cut();
    drop(redis);
    world.pass(SECOND);
    let fields = ["w", "0000000000000007", "n", "1", "c", "0", "e", "s 1 bob b\n"];
    world.redis.borrow_mut().add("p:room:lobby", &fields);
    world.pass(SECOND);
    assert_eq!(world.said(0), ["a", "b"]);
}
