//! `--flush-after` in a hub whose time the test chooses: silence ends a line of a peer that sends no newline.

use std::time::{Duration, Instant};

use pollchat::server::config::Config;
use pollchat::server::hub::Wake;
use pollchat::server::limits::PRIVATE_BYTES_MAX;

use crate::support::hub::{self, READABLE, World};

const MS: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_millis(100);

fn world() -> World {
    World::new(&Config { flush_after: Some(PATIENCE), announce_up_to: 0, line_bytes_max: 100, ..Config::default() })
}

/// Goes to the time that the hub asks for, which must be this one.
#[track_caller]
fn wait_until(world: &mut World, time: Instant) {
    assert_eq!(world.hub.next_wake(), Wake::At(time));
    world.now = time;
    world.run();
}

#[test]
fn silence_ends_a_line_and_nothing_else_wakes_the_hub() {
    let mut world = world();
    let (ana, bob) = (world.connect(), world.connect());
    assert_eq!(world.hub.next_wake(), Wake::OnEvent, "nobody has begun a line");
    let start = world.now;
    world.says(&ana, "hello");
    assert_eq!(bob.received(), "");
    wait_until(&mut world, start + PATIENCE);
    assert_eq!(bob.received(), "client-1> hello\n");
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
    world.says(&ana, "whole lines\n");
    assert_eq!(bob.received(), "client-1> whole lines\n");
    assert_eq!(world.hub.next_wake(), Wake::OnEvent, "whole lines have no deadline");
}

#[test]
fn without_the_flag_a_fragment_waits_for_ever() {
    let mut world = World::new(&hub::quiet());
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&ana, "hello");
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
    world.now += Duration::from_secs(100_000);
    world.run();
    assert_eq!(bob.received(), "");
}

#[test]
fn silence_counts_from_the_last_byte() {
    let mut world = world();
    let (ana, bob) = (world.connect(), world.connect());
    let start = world.now;
    for (letter, at) in [("h", 0), ("e", 60), ("y", 150), ("!", 240)] {
        world.now = start + at * MS;
        world.says(&ana, letter);
    }
    // It was listed when it began, and is put off when that comes up.
    assert!(matches!(world.hub.next_wake(), Wake::At(time) if time <= start + 340 * MS));
    world.now = start + 339 * MS;
    world.run();
    assert_eq!(bob.received(), "");
    wait_until(&mut world, start + 340 * MS);
    assert_eq!(bob.received(), "client-1> hey!\n");
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn a_line_that_is_ended_in_time_is_one_line() {
    let mut world = world();
    let (ana, bob) = (world.connect(), world.connect());
    let start = world.now;
    world.says(&ana, "one ");
    world.now += PATIENCE - MS;
    world.says(&ana, "line\n");
    assert_eq!(bob.received(), "client-1> one line\n");
    world.now = start + PATIENCE;
    world.run();
    assert_eq!((bob.received().as_str(), world.hub.next_wake()), ("", Wake::OnEvent));
}

#[test]
fn what_arrived_just_before_its_time_was_up_goes_before_it() {
    let mut world = world();
    let (ana, bob) = (world.connect(), world.connect());
    let start = world.now;
    world.says(&ana, "one ");
    // No event told of this yet: the hub finds it when it looks.
    ana.sends("line");
    world.now = start + PATIENCE;
    world.run();
    assert_eq!(bob.received(), "");
    wait_until(&mut world, start + 2 * PATIENCE);
    assert_eq!(bob.received(), "client-1> one line\n");
}

#[test]
fn many_have_their_own_times() {
    let mut world = world();
    let listener = world.connect();
    let talkers: Vec<_> = (0..50).map(|_| world.connect()).collect();
    let start = world.now;
    for (index, talker) in (0u32..).zip(&talkers) {
        world.now = start + index * MS;
        world.says(talker, "a");
    }
    // Every second one goes on, so that the order is another one.
    for (index, talker) in (0u32..).zip(&talkers).step_by(2) {
        world.now = start + (50 + index / 2) * MS;
        world.says(talker, "b");
    }
    let mut heard = Vec::new();
    while let Wake::At(time) = world.hub.next_wake() {
        world.now = time;
        world.run();
        let at = world.now.duration_since(start).as_millis();
        heard.extend(listener.received().lines().map(|line| (at, line.to_owned())));
    }
    let mut expected: Vec<_> = (1..50).step_by(2).map(|i| (100 + i, format!("client-{}> a", i + 2))).collect();
    expected.extend((0..50).step_by(2).map(|i| (150 + i / 2, format!("client-{}> ab", i + 2))));
    assert_eq!(heard, expected);
}

#[test]
fn a_word_of_farewell_needs_no_newline() {
    for word in ["FIN", "fin", "exit", "/quit"] {
        let mut world = world();
        let (ana, bob) = (world.connect(), world.connect());
        let start = world.now;
        world.says(&ana, word);
        wait_until(&mut world, start + PATIENCE);
        assert_eq!((ana.received().as_str(), ana.is_ended()), ("FIN\n", true), "{word:?}");
        assert_eq!(bob.received(), "");
    }
}

#[test]
fn a_lone_cr_ends_a_line_at_once() {
    let mut world = world();
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&ana, "hello\r");
    assert_eq!(bob.received(), "client-1> hello\n");
    world.says(&ana, "\nnext\n");
    assert_eq!(bob.received(), "client-1> next\n");
}

#[test]
fn half_a_character_is_given_the_same_time_again() {
    let mut world = world();
    let (ana, bob) = (world.connect(), world.connect());
    let start = world.now;
    let (first, second) = "na\u{ef}ve".as_bytes().split_at(3);
    world.says(&ana, first);
    world.now = start + PATIENCE;
    world.run();
    assert_eq!(bob.received(), "");
    world.says(&ana, second);
    wait_until(&mut world, start + 2 * PATIENCE);
    assert_eq!(bob.received(), "client-1> na\u{ef}ve\n");
    // When the other half comes early, what is whole then waits no longer than anything else.
    let start = world.now;
    world.says(&ana, first);
    world.now += MS;
    world.says(&ana, second);
    wait_until(&mut world, start + MS + PATIENCE);
    assert_eq!(bob.received(), "client-1> na\u{ef}ve\n");
    world.now = start + 2 * PATIENCE;
    world.run();
    assert_eq!((bob.received().as_str(), world.hub.next_wake()), ("", Wake::OnEvent));
    // One who does not write UTF-8 is heard all the same.
    let start = world.now;
    world.says(&ana, b"caf\xe9");
    wait_until(&mut world, start + 2 * PATIENCE);
    assert_eq!(bob.received(), "client-1> caf\u{fffd}\n");
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn a_message_that_is_too_long_is_over_with_the_silence_too() {
    let mut world = world();
    let (ana, bob) = (world.connect(), world.connect());
    let start = world.now;
    world.says(&ana, "x".repeat(300));
    assert_eq!(ana.received(), "* line too long (over 100 bytes): not relayed\n");
    wait_until(&mut world, start + PATIENCE);
    assert_eq!((ana.received().as_str(), bob.received().as_str()), ("", ""));
    let start = world.now;
    world.says(&ana, "shorter");
    wait_until(&mut world, start + PATIENCE);
    assert_eq!(bob.received(), "client-1> shorter\n");
}

#[test]
fn who_is_held_by_the_brake_is_not_silent() {
    let mut world = world();
    let (slow, ana, bob) = (world.connect(), world.connect(), world.connect());
    slow.takes(0);
    let lines = format!("{}\n", "x".repeat(99)).repeat(20_000);
    ana.sends(format!("{lines}last"));
    world.hub.on_ready(ana.key, READABLE);
    let mut heard = String::new();
    while !heard.ends_with("client-2> last\n") {
        world.run();
        let received = bob.received();
        assert!(!received.contains("> x\n"));
        heard += &received;
        let Wake::At(time) = world.hub.next_wake() else { break };
        // The brake holds it longer than its patience at a time.
        world.now = time + 2 * PATIENCE;
        world.makes_room(&slow, 100_000);
    }
    let cut = heard.lines().find(|line| line.len() != "client-2> ".len() + 99 && !line.ends_with("last"));
    assert_eq!((cut, heard.lines().count()), (None, 20_001));
}

#[test]
fn under_the_brake_a_fragment_waits_for_its_slice_like_any_line() {
    let mut world = world();
    let (slow, flood, ana, bob) = (world.connect(), world.connect(), world.connect(), world.connect());
    slow.takes(0);
    let start = world.now;
    world.says(&ana, "small voice");
    world.now = start + PATIENCE - MS;
    flood.sends(format!("{}\n", "x".repeat(99)).repeat(20_000));
    world.hub.on_ready(flood.key, READABLE);
    world.run();
    bob.received();
    // The flood has used up this period, and the next one has a share for whoever does not flood.
    world.now = start + PATIENCE;
    world.run();
    assert!(!bob.received().contains("small voice"));
    world.now += 10 * MS;
    world.run();
    assert!(bob.received().contains("client-3> small voice\n"));
}

#[test]
fn who_takes_no_replies_is_not_silent() {
    let mut world = world();
    let (ana, bob) = (world.connect(), world.connect());
    ana.takes(0);
    let asked = PRIVATE_BYTES_MAX / 200;
    ana.sends(format!("{}hel", "/help\n".repeat(asked)));
    ana.sends("lo");
    world.hub.on_ready(ana.key, READABLE);
    world.run();
    world.now += 10 * PATIENCE;
    world.run();
    assert_eq!((bob.received().as_str(), world.hub.next_wake()), ("", Wake::OnEvent), "it is held, and not read");
    world.makes_room(&ana, usize::MAX);
    let start = world.now;
    assert_eq!(bob.received(), "", "what was not read before has just come");
    wait_until(&mut world, start + PATIENCE);
    assert_eq!(bob.received(), "client-1> hello\n");
}

#[test]
fn what_one_began_ends_with_it() {
    let mut world = world();
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&ana, "half");
    ana.resets();
    world.hub.on_ready(ana.key, READABLE);
    world.run();
    assert!(ana.is_closed());
    // Its heir, too, has begun a line, and later.
    world.now += PATIENCE / 2;
    let heir = world.connect();
    assert_eq!(heir.key, ana.key);
    world.says(&heir, "mine");
    let start = world.now;
    world.now += PATIENCE / 2;
    world.run();
    assert_eq!(bob.received(), "");
    wait_until(&mut world, start + PATIENCE);
    assert_eq!(bob.received(), "client-3> mine\n");
}

#[test]
fn one_who_has_left_is_not_waited_for() {
    let mut world = world();
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&ana, "FIN\nnot said");
    world.now += 2 * PATIENCE;
    world.run();
    assert_eq!(bob.received(), "");
    assert!(ana.is_ended());
}

#[test]
fn lines_that_come_in_two_pieces_leave_no_deadlines_behind() {
    let hour = Duration::from_secs(3_600);
    let mut world = World::new(&Config { flush_after: Some(hour), ..hub::quiet() });
    let (ana, bob) = (world.connect(), world.connect());
    for round in 0..10_000 {
        world.now += MS;
        world.says(&ana, format!("{round}"));
        world.says(&ana, "\n");
    }
    assert_eq!(bob.received().lines().count(), 10_000);
    // All that is left comes up, and does nothing: as often as there are deadlines.
    let mut wakes = 0;
    while let Wake::At(time) = world.hub.next_wake() {
        world.now = time;
        world.run();
        wakes += 1;
    }
    assert!(wakes < 100, "{wakes} deadlines were kept");
}

#[test]
fn the_operator_needs_no_newline_either() {
    let mut world = world();
    let console = world.open_console();
    let ana = world.connect();
    let start = world.now;
    world.says(&console, "hello");
    wait_until(&mut world, start + PATIENCE);
    assert_eq!(ana.received(), "server> hello\n");
    let start = world.now;
    world.says(&console, "FIN");
    wait_until(&mut world, start + PATIENCE);
    assert!(world.hub.is_stop_wanted());
}
