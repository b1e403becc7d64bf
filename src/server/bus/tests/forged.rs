//! Entries that another client of Redis writes under the writer of a server: they silence it nowhere.

use super::failures::say_and_hear;
use super::*;

/// Writes an entry into a stream under the writer of the first server, with one said line.
fn forge(world: &World, stream: &str, number: u64, lines_before: u64) {
    let (number, lines) = (number.to_string(), lines_before.to_string());
    let fields = ["w", "0000000000000001", "n", &number, "c", &lines, "e", "s 1 ana forged\n"];
    world.redis.borrow_mut().add(stream, &fields);
}

#[test]
fn a_server_goes_on_behind_entries_that_are_forged_under_its_writer() {
    for number in [2, 3, 9, 1 << 40] {
        let mut world = World::together(2);
        say_and_hear(&mut world, "a");
        forge(&world, "p:room:lobby", number, 1);
        for text in ["b", "c"] {
            say_and_hear(&mut world, text);
        }
        for index in 0..2 {
            assert_eq!(world.said(index), ["a", "forged", "b", "c"], "{number}");
            assert_eq!(world.servers[index].figures().missed_lines, 0, "{number}");
        }
        assert_eq!(world.servers[0].reads.forged, 1);
        assert_eq!(world.servers[0].state(), State::Together);
        assert_eq!(world.servers[0].room_left(ROOM), BATCH_BYTES);
    }
}

#[test]
fn an_entry_that_is_overtaken_by_a_forged_one_is_written_again_behind_it() {
    for number in [2, 5] {
        let mut world = World::together(2);
        say_and_hear(&mut world, "a");
        forge(&world, "p:room:lobby", number, 1);
        // Written before the forged entry is read, so it stands behind that as a repetition.
        world.say(0, "b");
        world.servers[0].settle(world.now);
        world.say(0, "c");
        world.run();
        for index in 0..2 {
            assert_eq!(world.said(index), ["a", "forged", "b", "c"], "{number}");
            assert_eq!(world.servers[index].figures().repetitions, 1);
        }
        assert_eq!(world.servers[0].writes.next_deadline(), None);
    }
}

#[test]
fn an_entry_that_waits_for_the_hub_is_not_written_again_because_of_a_forged_one() {
    let mut world = World::together(2);
    // It ends the read that blocks: the next one finds both of the others.
    world.say(1, "x");
    world.servers[1].settle(world.now);
    world.say(0, "a");
    world.servers[0].settle(world.now);
    forge(&world, "p:room:lobby", 7, 1);
    world.say(0, "b");
    world.run();
    for index in 0..2 {
        assert_eq!(world.said(index), ["x", "a", "forged", "b"]);
        assert_eq!(world.servers[index].figures().repetitions, 0);
    }
}

#[test]
fn a_room_that_is_opened_again_goes_on_behind_what_was_forged_meanwhile() {
    for history_lines in [0, 100] {
        let mut world = World::together(2);
        say_and_hear(&mut world, "a");
        world.servers[0].close(LOBBY);
        world.run();
        forge(&world, "p:room:lobby", 9, 1);
        // The second that is shown has another entry alone.
        world.pass(2 * SECOND);
        world.say(1, "b");
        world.run();
        world.servers[0].open(LOBBY, "lobby", history_lines);
        world.run();
        say_and_hear(&mut world, "c");
        assert_eq!(world.said(1), ["a", "forged", "b", "c"]);
        assert_eq!(world.said(0).last().map(String::as_str), Some("c"));
        assert_eq!(world.servers[0].reads.forged, 1);
    }
}

#[test]
fn the_largest_forged_counts_stop_a_server_for_a_moment_alone() {
    let mut world = World::together(2);
    say_and_hear(&mut world, "a");
    let largest = world.redis.borrow().ms * 1_000;
    forge(&world, "p:room:lobby", largest + 1, 1);
    forge(&world, "p:room:lobby", 1 << 63, 1);
    forge(&world, "p:room:lobby", 2, u64::MAX);
    assert_eq!(world.servers[1].figures().malformed, 0);
    say_and_hear(&mut world, "b");
    assert_eq!(world.said(1), ["a", "b"]);
    assert_eq!(world.servers[1].figures().malformed, 3);
    let largest = world.redis.borrow().ms * 1_000;
    forge(&world, "p:room:lobby", largest, largest);
    for text in ["c", "d"] {
        say_and_hear(&mut world, text);
        world.pass(8 * SECOND);
    }
    for index in 0..2 {
        let said = world.said(index);
        assert!(said.ends_with(&["forged", "c", "d"].map(str::to_owned)), "{said:?}");
        assert_eq!(world.servers[index].state(), State::Together);
    }
}

#[test]
fn forged_entries_in_the_own_inbox_and_in_the_rosters_log_silence_nobody() {
    let mut world = World::together(2);
    forge(&world, "p:to:0000000000000001", 99, 0);
    forge(&world, "p:roster", 99, 0);
    world.run();
    world.servers[0].submit(StreamId::Roster, "o\n", 1);
    world.run();
    let has_heard = |entry: &Heard| matches!(entry, Heard::Entry(entry) if entry.events == "o\n");
    assert!(world.heard.iter().all(|heard| heard.iter().any(has_heard)));
    assert_eq!(world.servers[0].reads.forged, 1);
}
