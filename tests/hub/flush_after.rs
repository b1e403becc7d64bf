//! `--flush-after` in a hub whose time the test chooses: silence ends a line of a peer that sends no newline.

use std::time::{Duration, Instant};

use pollchat::relay::room::Audience;
use pollchat::server::config::Config;
use pollchat::server::hub::Wake;
use pollchat::server::limits::{ENTER_DELAY, PRIVATE_BYTES_MAX};

use crate::support::hub::{self, Client, READABLE, World};

const MS: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(50);

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
    for word in ["FIN", "fin", "/quit"] {
        let mut world = world();
        let (ana, bob) = (world.connect(), world.connect());
        let start = world.now;
        world.says(&ana, word);
        wait_until(&mut world, start + PATIENCE);
        assert_eq!(hears_apart(&mut world, &ana), ["FIN"], "{word:?}");
        assert_eq!(bob.received(), "");
    }
}

/// Follows the hub until `client` is told all of its last words. Returns what it was sent at each time, which is a
/// pause apart from the time before.
#[track_caller]
fn hears_apart(world: &mut World, client: &Client) -> Vec<String> {
    let mut heard = Vec::new();
    while !client.is_ended() {
        wait_until(world, world.now + PAUSE);
        heard.push(client.received());
    }
    heard
}

#[test]
fn last_words_have_no_newline_and_are_apart_from_all_else() {
    for word in ["exit", "EXIT", "Exit"] {
        let mut world = world();
        let (ana, bob) = (world.connect(), world.connect());
        let start = world.now;
        world.says(&ana, word);
        world.now = start + PATIENCE - MS;
        world.says(&bob, "until then\n");
        assert_eq!(ana.received(), "client-2> until then\n");
        wait_until(&mut world, start + PATIENCE);
        assert_eq!(ana.received(), "", "not in one segment with what was said before");
        assert_eq!(hears_apart(&mut world, &ana), [word, "FIN"]);
    }
}

#[test]
fn an_echo_server_answers_exit_with_fin_alone() {
    let config = Config { audience: Audience::Sender, flush_after: Some(PATIENCE), ..hub::quiet() };
    let mut world = World::new(&config);
    let ana = world.connect();
    for (text, answer) in [("one", "client-1> one\n"), ("exit", "")] {
        let start = world.now;
        world.says(&ana, text);
        wait_until(&mut world, start + PATIENCE);
        assert_eq!(ana.received(), answer);
    }
    assert_eq!(hears_apart(&mut world, &ana), ["FIN"]);
}

#[test]
fn whatever_ends_a_session_the_last_word_is_bare() {
    // Of a client that never sent anything, nobody knows whether it reads lines: the newline follows by itself.
    for (is_known, last) in [(true, &["FIN"][..]), (false, &["FIN", "\n"])] {
        for told in ["", "* you were removed by the operator\n", "* the server is shutting down\n"] {
            let mut world = world();
            let console = world.open_console();
            let ana = world.connect();
            if is_known {
                world.says(&ana, "hello");
                world.pass(PATIENCE);
            }
            if told.is_empty() {
                ana.ends();
                world.hub.on_ready(ana.key, READABLE);
            } else if told.contains("operator") {
                world.says(&console, "/kick client-1\n");
            } else {
                world.hub.shut_down(world.now);
            }
            world.run();
            assert_eq!((ana.received().as_str(), ana.is_ended()), (told, false));
            assert_eq!(hears_apart(&mut world, &ana), last);
        }
    }
    for (word, last) in [("", &["FIN", "\n"][..]), ("hello", &["FIN"]), ("fin", &["FIN"])] {
        let mut world = World::new(&Config { clients_max: Some(0), flush_after: Some(PATIENCE), ..hub::quiet() });
        let ana = world.connect_silently();
        if !word.is_empty() {
            world.says(&ana, word);
        }
        world.pass(ENTER_DELAY);
        assert_eq!(ana.received(), "* the server is full (0 clients)\n");
        assert_eq!(hears_apart(&mut world, &ana), last);
    }
}

#[test]
fn a_client_that_ends_its_lines_is_told_a_line() {
    for (words, heard) in [("exit\n", "FIN\n"), ("one\r\nfin\r\n", "FIN\n"), ("\nFIN\n", "FIN\n")] {
        let mut world = world();
        let ana = world.connect();
        world.says(&ana, words);
        assert_eq!((ana.received().as_str(), ana.is_ended()), (heard, true), "{words:?}");
    }
    let mut world = World::new(&hub::quiet());
    let ana = world.connect();
    ana.sends("exit");
    ana.ends();
    world.says(&ana, "");
    assert_eq!((ana.received().as_str(), ana.is_ended()), ("FIN\n", true), "without the flag");
}

#[test]
fn last_words_wait_for_a_client_that_takes_nothing_and_not_for_ever() {
    let mut world = world();
    let (ana, bob) = (world.connect(), world.connect());
    ana.takes(0);
    world.says(&bob, "one\n");
    world.says(&ana, "exit");
    world.pass(PATIENCE);
    world.pass(PAUSE);
    world.makes_room(&ana, usize::MAX);
    assert_eq!(ana.received(), "client-2> one\n");
    assert_eq!(hears_apart(&mut world, &ana), ["exit", "FIN"]);
    ana.ends();
    world.says(&ana, "");
    assert!(ana.is_closed());
    // The tape moves on while a pause lasts, and no deadline is set twice.
    let eva = world.connect();
    world.says(&eva, "fin");
    world.pass(PATIENCE);
    for _ in 0..1_000 {
        world.says(&bob, "on and on\n");
    }
    assert_eq!(eva.received(), "");
    assert_eq!(hears_apart(&mut world, &eva), ["FIN"]);
}

#[test]
fn silence_ends_no_line_of_a_client_that_ended_one_itself() {
    for first in ["hello\n", "\n", "hel", "hello\r\n"] {
        let mut world = world();
        let (ana, bob) = (world.connect(), world.connect());
        world.says(&ana, first);
        if first == "hel" {
            world.pass(PATIENCE / 2);
            world.says(&ana, "lo\n");
        }
        bob.received();
        world.says(&ana, "torn by ");
        world.pass(10 * PATIENCE);
        assert_eq!((bob.received().as_str(), world.hub.next_wake()), ("", Wake::OnEvent), "{first:?}");
        world.says(&ana, "the network\n");
        assert_eq!(bob.received(), "client-1> torn by the network\n");
    }
    // The console, too.
    let mut world = world();
    let console = world.open_console();
    let ana = world.connect();
    world.says(&console, "whole\ntorn by ");
    world.pass(10 * PATIENCE);
    world.says(&console, "the network\n");
    assert_eq!(ana.received(), "server> whole\nserver> torn by the network\n");
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
fn a_flood_that_is_held_by_the_brake_is_not_silent() {
    let mut world = world();
    let (slow, ana, bob) = (world.connect(), world.connect(), world.connect());
    slow.takes(0);
    let lines = format!("{}\n", "x".repeat(99)).repeat(20_000);
    ana.sends(format!("{lines}last\n"));
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
    // From some answer on, it is held: what it sends then is not read.
    let is_held = (0..asked).any(|_| {
        world.says(&ana, "/help");
        world.pass(PATIENCE);
        ana.peer.borrow().incoming.len() == 1
    });
    assert!(is_held);
    ana.peer.borrow_mut().incoming.clear();
    world.says(&ana, "hello");
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
