//! The hub with sockets that are not there: every byte, error and event is chosen by the test.

use std::io::ErrorKind;
use std::time::Duration;

use pollchat::relay::room::Audience;
use pollchat::server::config::{Config, Lag};
use pollchat::server::hub::{Readiness, Wake};
use pollchat::server::limits::GRACE;

use crate::support::hub::{Client, Incoming, READABLE, WRITABLE, World, quiet};

#[test]
fn short_writes_at_every_byte_tear_no_line() {
    let spoken = "client-1> one\nclient-1> two\nclient-1> three\n";
    let all = spoken.len() + "* you told client-1: private\n".len();
    for first in 1..=all {
        for then in [1, 2, 7, 64] {
            let mut world = World::new(&quiet());
            let (talker, reader) = (world.connect(), world.connect());
            reader.takes(first);
            world.says(&talker, "one\ntwo\nthree\n");
            // A private line comes while the reader is blocked in the middle of another one.
            world.says(&reader, "/msg client-1 private\n");
            let mut received = reader.received();
            while received.len() < all {
                world.makes_room(&reader, then);
                received += &reader.received();
            }
            let mut lines: Vec<&str> = received.lines().collect();
            let private = lines.iter().position(|line| line.starts_with('*')).unwrap();
            assert_eq!(lines.remove(private), "* you told client-1: private", "cut at {first}, then {then}");
            assert_eq!(lines.join("\n") + "\n", spoken, "cut at {first}, then {then}");
        }
    }
}

#[test]
fn own_lines_are_left_out_wherever_the_writes_are_cut() {
    for first in 0..60 {
        let mut world = World::new(&quiet());
        let (ana, bob) = (world.connect(), world.connect());
        bob.takes(first);
        for round in 0..4 {
            world.says(&ana, format!("a{round}\n"));
            world.says(&bob, format!("b{round}\nc{round}\n"));
        }
        let mut received = bob.received();
        for _ in 0..100 {
            world.makes_room(&bob, 3);
            received += &bob.received();
        }
        assert_eq!(received, "client-1> a0\nclient-1> a1\nclient-1> a2\nclient-1> a3\n", "cut at {first}");
    }
}

#[test]
fn more_gaps_than_one_writev_takes_are_all_written() {
    let mut world = World::new(&quiet());
    let (ana, bob) = (world.connect(), world.connect());
    bob.takes(0);
    let mut expected = String::new();
    for round in 0..500 {
        world.says(&ana, format!("a{round}\n"));
        world.says(&bob, format!("b{round}\n"));
        expected += &format!("client-1> a{round}\n");
    }
    world.makes_room(&bob, usize::MAX);
    assert_eq!(bob.received(), expected);
}

#[test]
fn an_orderly_end_closes_a_fragment_and_a_reset_drops_it() {
    let mut world = World::new(&quiet());
    let (ana, bob, eva) = (world.connect(), world.connect(), world.connect());
    bob.sends("whole\nfragment");
    bob.ends();
    world.hub.on_ready(bob.key, READABLE);
    world.run();
    assert_eq!(ana.received(), "client-2> whole\nclient-2> fragment\n");
    assert_eq!(bob.received(), "FIN\n");
    eva.sends("whole\nfragment");
    eva.resets();
    world.hub.on_ready(eva.key, READABLE);
    world.run();
    assert_eq!(ana.received(), "client-3> whole\n");
    assert!(eva.is_closed());
}

#[test]
fn after_a_failed_write_input_is_heard_to_its_end_which_counts_as_a_reset() {
    let mut world = World::new(&Config::default());
    let (ana, bob) = (world.connect_and_settle(), world.connect_and_settle());
    ana.received();
    bob.sends("last words\nfragment");
    bob.ends();
    bob.peer.borrow_mut().write_error = Some(ErrorKind::ConnectionReset);
    // No event for reading comes: the failed write alone must lead to it.
    world.says(&ana, "hello\n");
    assert_eq!(ana.received(), "client-2> last words\n* client-2 left\n");
    assert!(bob.is_closed());
}

#[test]
fn a_socket_that_cannot_be_written_is_not_kept() {
    let mut world = World::new(&Config::default());
    let (ana, bob) = (world.connect_and_settle(), world.connect_and_settle());
    ana.received();
    bob.peer.borrow_mut().write_error = Some(ErrorKind::Other);
    world.says(&ana, "hello\n");
    assert!(bob.is_closed());
    assert_eq!(ana.received(), "* client-2 left\n");
}

#[test]
fn a_key_is_not_reused_before_the_batch_is_over_and_its_heir_inherits_nothing() {
    let mut world = World::new(&quiet());
    let (ana, bob) = (world.connect(), world.connect());
    // Bob is behind, with holes, and owes a fragment.
    bob.takes(0);
    world.says(&ana, "one\n");
    world.says(&bob, "mine\nfrag");
    world.says(&ana, "two\n");
    bob.resets();
    world.hub.on_ready(bob.key, READABLE);
    // In the same batch somebody connects, and a late event for Bob's key arrives behind that.
    let eva = world.connect_silently();
    assert_ne!(eva.key, bob.key);
    eva.sends("\n");
    world.hub.on_ready(eva.key, READABLE);
    world.hub.on_ready(bob.key, Readiness { readable: true, writable: true });
    world.run();
    assert!(bob.is_closed());
    let heir = world.connect();
    assert_eq!(heir.key, bob.key);
    // Events for the key that were meant for Bob are harmless.
    world.hub.on_ready(heir.key, Readiness { readable: true, writable: true });
    eva.received();
    ana.received();
    world.says(&ana, "three\n");
    world.says(&heir, "ment\n");
    assert_eq!(heir.received(), "client-1> three\n");
    assert_eq!(eva.received(), "client-1> three\nclient-4> ment\n");
    assert_eq!(ana.received(), "client-4> ment\n");
}

#[test]
fn events_for_nobody_are_harmless() {
    let mut world = World::new(&quiet());
    for key in [0, 7, usize::MAX / 4] {
        world.hub.on_ready(key, Readiness { readable: true, writable: true });
    }
    world.run();
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn a_leaver_gets_all_that_was_said_before_and_then_the_farewell() {
    for first in 0..40 {
        let mut world = World::new(&quiet());
        let (ana, bob) = (world.connect(), world.connect());
        bob.takes(first);
        world.says(&ana, "one\ntwo\n");
        world.says(&bob, "FIN\nnot said\n");
        world.says(&ana, "too late\n");
        let mut received = bob.received();
        for _ in 0..40 {
            world.makes_room(&bob, 1);
            received += &bob.received();
        }
        assert_eq!(received, "client-1> one\nclient-1> two\nFIN\n", "cut at {first}");
        assert!(bob.is_ended());
        assert_eq!(ana.received(), "");
        bob.ends();
        world.hub.on_ready(bob.key, READABLE);
        world.run();
        assert!(bob.is_closed());
    }
}

#[test]
fn who_leaves_and_takes_nothing_is_given_up_and_who_takes_something_is_not() {
    let mut world = World::new(&quiet());
    let (ana, mute, slow) = (world.connect(), world.connect(), world.connect());
    mute.takes(0);
    slow.takes(0);
    world.says(&ana, "hello there\n");
    world.says(&mute, "FIN\n");
    world.says(&slow, "FIN\n");
    world.now += GRACE / 2;
    world.makes_room(&slow, 1);
    world.now += GRACE / 2;
    world.run();
    assert!(mute.is_closed());
    assert!(!slow.is_closed());
    world.now += GRACE / 2;
    world.run();
    assert!(slow.is_closed());
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn who_takes_something_when_its_grace_is_just_over_has_a_new_one() {
    let mut world = World::new(&quiet());
    let (ana, leaver) = (world.connect(), world.connect());
    leaver.takes(0);
    world.says(&ana, "hello there\n");
    world.says(&leaver, "FIN\n");
    // The loop was late: the socket took something in time, and the turn comes after the deadline.
    world.now += GRACE * 2;
    world.makes_room(&leaver, usize::MAX);
    assert_eq!(leaver.received(), "client-1> hello there\nFIN\n");
    assert!(!leaver.is_closed());
}

#[test]
fn who_was_told_all_and_never_ends_is_given_up() {
    let mut world = World::new(&quiet());
    let ana = world.connect();
    world.says(&ana, "FIN\n");
    assert_eq!(ana.received(), "FIN\n");
    // It goes on sending: that is read and dropped, or the close would become a reset.
    world.says(&ana, "still here\n");
    assert!(ana.peer.borrow().incoming.is_empty());
    assert!(!ana.is_closed());
    assert_eq!(world.hub.next_wake(), Wake::At(world.now + GRACE));
    world.now += GRACE;
    world.run();
    assert!(ana.is_closed());
}

#[test]
fn a_full_house_tells_and_closes_in_good_order() {
    let mut world = World::new(&Config { clients_max: Some(1), ..Config::default() });
    let ana = world.connect();
    let refused = world.knock();
    assert_eq!(refused.received(), "* the server is full (1 client)\nFIN\n");
    assert!(refused.is_ended() && !refused.is_closed());
    world.says(&refused, "let me in\n");
    assert_eq!(ana.received(), "");
    refused.ends();
    world.hub.on_ready(refused.key, READABLE);
    world.run();
    assert!(refused.is_closed());
    world.says(&ana, "FIN\n");
    let next = world.connect();
    assert_eq!(next.received(), "");
}

#[test]
fn a_house_for_as_many_as_can_be_counted_is_not_full() {
    let mut world = World::new(&Config { clients_max: Some(usize::MAX), ..quiet() });
    let guests: Vec<Client> = (0..20).map(|_| world.connect()).collect();
    assert_eq!(world.hub.connections(), guests.len());
}

#[test]
fn refusals_are_bounded_and_those_who_were_told_make_room() {
    let mut world = World::new(&Config { clients_max: Some(1), ..Config::default() });
    let _ana = world.connect();
    let mut refused = Vec::new();
    while world.hub.can_admit() {
        refused.push(world.connect_silently());
    }
    // The first two may still enter, in the places of clients that leave.
    assert_eq!(refused.len(), 6);
    refused.drain(..2);
    world.turn();
    assert!(world.hub.can_admit());
    assert!(refused.iter().all(Client::is_closed));
    assert_eq!(refused[0].received(), "* the server is full (1 client)\nFIN\n");
}

#[test]
fn under_the_brake_a_flood_is_rationed_and_nothing_of_it_is_lost() {
    let mut world = World::new(&quiet());
    let (flooder, reader, person) = (world.connect(), world.connect(), world.connect());
    let line = "x".repeat(989) + "\n";
    let flood = line.repeat(1_000);
    reader.takes(0);
    world.says(&flooder, flood.repeat(2));
    // More than 64 KiB behind: from now on at most that much in 10 ms, and most of it for those who had little.
    let before = person.received().len();
    assert!(before > 64 * 1024);
    assert!(matches!(world.hub.next_wake(), Wake::At(_)), "the flooder waits for the next period");
    world.now += Duration::from_millis(10);
    world.run();
    let in_a_period = person.received().len();
    assert!((40 * 1024..=64 * 1024).contains(&in_a_period), "{in_a_period}");
    // A person who had nothing in this period is heard at once.
    world.says(&person, "a word\n");
    assert!(flooder.received().ends_with("client-3> a word\n"));
    // Time passes; the reader takes what it is owed. Nothing is missing.
    let mut received = String::new();
    for _ in 0..100 {
        world.run_on();
        world.makes_room(&reader, usize::MAX);
        received += &reader.received();
    }
    assert_eq!(received.lines().filter(|line| line.starts_with("client-1> xxx")).count(), 2_000);
    assert_eq!(received.lines().count(), 2_001);
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn under_the_brake_all_floods_have_about_the_same() {
    let mut world = World::new(&quiet());
    let (reader, listener) = (world.connect(), world.connect());
    let flooders: Vec<Client> = (0..50).map(|_| world.connect()).collect();
    reader.takes(0);
    for flooder in &flooders {
        flooder.sends(format!("{}\n", "y".repeat(1_000)).repeat(1_000));
        world.hub.on_ready(flooder.key, READABLE);
    }
    let mut heard = String::new();
    for _ in 0..100 {
        world.run();
        heard += &listener.received();
        world.now += Duration::from_millis(10);
    }
    let lines = |number: usize| heard.matches(&format!("client-{number}> ")).count();
    let (least, most) = ((3..53).map(lines).min().unwrap(), (3..53).map(lines).max().unwrap());
    assert!(most < 2 * least, "from {least} to {most} lines");
}

#[test]
fn who_provokes_replies_and_takes_none_is_not_read() {
    let mut world = World::new(&quiet());
    let (greedy, other) = (world.connect(), world.connect());
    greedy.takes(0);
    world.says(&greedy, "/help\n".repeat(100_000));
    let left = |client: &Client| {
        let peer = client.peer.borrow();
        peer.incoming
            .iter()
            .map(|incoming| if let Incoming::Bytes(bytes) = incoming { bytes.len() } else { 0 })
            .sum::<usize>()
    };
    assert!(left(&greedy) > 500_000, "{}", left(&greedy));
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
    world.says(&other, "/msg client-1 hello\n");
    assert_eq!(other.received(), "* client-1 is not reading: not told\n");
    let mut received = 0;
    while left(&greedy) > 0 || received == 0 {
        world.makes_room(&greedy, 1 << 20);
        received += greedy.received().matches("/who").count();
    }
    world.makes_room(&greedy, usize::MAX);
    received += greedy.received().matches("/who").count();
    assert_eq!(received, 100_000, "each was answered");
}

#[test]
fn who_is_told_things_and_takes_none_can_still_talk() {
    let mut world = World::new(&quiet());
    let (pest, victim, other) = (world.connect(), world.connect(), world.connect());
    victim.takes(0);
    world.says(&pest, format!("/msg client-2 {}\n", "z".repeat(1_000)).repeat(200));
    assert!(pest.received().ends_with("* client-2 is not reading: not told\n"));
    world.says(&victim, "I can talk\n");
    assert_eq!(other.received(), "client-2> I can talk\n");
}

#[test]
fn one_who_lags_is_told_exactly_what_it_missed() {
    let config = Config { backlog_bytes: 64 * 1024, ..quiet() };
    let mut world = World::new(&config);
    let (talker, reader) = (world.connect(), world.connect());
    reader.takes(10);
    let mut said = 0;
    for _ in 0..50 {
        let lines: String = (0..40).map(|line| format!("{} {}\n", said + line, "w".repeat(80))).collect();
        said += 40;
        talker.sends(lines);
        world.hub.on_ready(talker.key, READABLE);
        world.run_on();
        world.says(&reader, "my own\n");
    }
    let mut received = reader.received();
    for _ in 0..100_000 {
        world.makes_room(&reader, 37);
        received += &reader.received();
    }
    let mut seen = 0;
    let mut missed = 0;
    for line in received.lines() {
        if let Some(text) = line.strip_prefix("client-1> ") {
            let number: u64 = text.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(number, seen + missed, "in order, and the missed ones are counted before it");
            assert_eq!(text.len(), number.to_string().len() + 81, "whole");
            seen += 1;
        } else {
            let count = line.strip_prefix("* you missed ").and_then(|rest| rest.strip_suffix(" lines")).unwrap();
            missed += count.parse::<u64>().unwrap();
        }
    }
    assert!(missed > 0);
    assert_eq!(seen + missed, said);
}

#[test]
fn one_who_lags_is_let_go_if_that_is_the_policy() {
    let config = Config { backlog_bytes: 64 * 1024, lag: Lag::Disconnect, ..Config::default() };
    let mut world = World::new(&config);
    let (talker, reader) = (world.connect_and_settle(), world.connect_and_settle());
    reader.takes(0);
    talker.received();
    for _ in 0..100 {
        talker.sends(format!("{}\n", "v".repeat(1_000)));
        world.hub.on_ready(talker.key, READABLE);
        world.run_on();
    }
    assert_eq!(talker.received(), "* client-2 left\n");
    reader.takes(usize::MAX);
    world.hub.on_ready(reader.key, WRITABLE);
    world.run();
    let received = reader.received();
    let mut lines = received.lines();
    assert_eq!(lines.next(), Some("* you read too slowly: goodbye"));
    assert!(lines.next().unwrap().starts_with("* you missed "));
    assert_eq!(lines.next(), Some("FIN"));
    assert_eq!(lines.next(), None);
}

#[test]
fn an_echo_server_loses_nothing_for_one_who_does_not_read() {
    let mut world = World::new(&Config { audience: Audience::Sender, ..quiet() });
    let (ana, bob) = (world.connect(), world.connect());
    ana.takes(0);
    let text: String = (0..20_000).map(|line| format!("line {line}\n")).collect();
    world.says(&ana, &text);
    let mut received = String::new();
    for _ in 0..2_000 {
        world.makes_room(&ana, 1_000);
        received += &ana.received();
    }
    let expected: String = text.lines().map(|line| format!("client-1> {line}\n")).collect();
    assert_eq!(received, expected);
    assert_eq!(bob.received(), "");
}

#[test]
fn reading_is_interrupted_and_goes_on() {
    let mut world = World::new(&quiet());
    let (ana, bob) = (world.connect(), world.connect());
    ana.sends("hel");
    ana.peer.borrow_mut().incoming.push_back(Incoming::Error(ErrorKind::Interrupted));
    ana.sends("lo\n");
    world.hub.on_ready(ana.key, READABLE);
    world.run();
    assert_eq!(bob.received(), "client-1> hello\n");
}

#[test]
fn a_shutdown_tells_all_and_lets_them_go_with_what_they_are_owed() {
    let mut world = World::new(&Config::default());
    let (ana, bob) = (world.connect_and_settle(), world.connect_and_settle());
    ana.received();
    bob.takes(3);
    world.says(&ana, "before\n");
    world.hub.shut_down(world.now);
    world.says(&ana, "after\n");
    assert_eq!(ana.received(), "* the server is shutting down\nFIN\n");
    let early = bob.received();
    world.makes_room(&bob, usize::MAX);
    assert_eq!(early + &bob.received(), "client-1> before\n* the server is shutting down\nFIN\n");
    for client in [&ana, &bob] {
        client.ends();
        world.hub.on_ready(client.key, READABLE);
    }
    world.run();
    assert_eq!(world.hub.connections(), 0);
}

#[test]
fn whoever_is_not_drained_is_read_again_without_a_further_edge() {
    let mut world = World::new(&quiet());
    let (ana, bob) = (world.connect(), world.connect());
    // Far more than one turn reads, in one edge.
    world.says(&ana, "0123456789\n".repeat(100_000));
    assert_eq!(bob.received().lines().count(), 100_000);
}

#[test]
fn who_has_nothing_to_do_does_not_wake() {
    let mut world = World::new(&quiet());
    let clients: Vec<Client> = (0..100).map(|_| world.connect()).collect();
    world.run();
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
    let reads = |clients: &[Client]| clients.iter().map(|client| client.peer.borrow().reads).sum::<usize>();
    let before = reads(&clients);
    world.says(&clients[0], "hello\n");
    assert_eq!(reads(&clients) - before, 2, "only the talker is read, until nothing is left");
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn one_who_was_held_and_is_let_go_is_read_to_its_end() {
    let mut world = World::new(&quiet());
    let greedy = world.connect();
    greedy.takes(0);
    world.says(&greedy, "/help\n".repeat(100_000));
    world.hub.shut_down(world.now);
    world.makes_room(&greedy, usize::MAX);
    assert!(greedy.received().ends_with("* the server is shutting down\nFIN\n"));
    greedy.ends();
    world.hub.on_ready(greedy.key, READABLE);
    world.run();
    assert!(greedy.is_closed());
}

#[test]
fn a_newcomer_with_a_long_history_has_time_to_take_it() {
    let config = Config { backlog_bytes: 64 * 1024, lag: Lag::Disconnect, history_lines: 1_000_000, ..quiet() };
    let mut world = World::new(&config);
    let talker = world.connect();
    let line = format!("{}\n", "v".repeat(1_000));
    world.says(&talker, line.repeat(100));
    let newcomer = world.connect_silently();
    newcomer.sends("\n");
    world.hub.on_ready(newcomer.key, READABLE);
    talker.sends(line.repeat(5));
    world.hub.on_ready(talker.key, READABLE);
    world.run();
    let received = newcomer.received();
    let mut lines = received.lines().skip(1);
    let earlier = lines.next().and_then(|line| line.strip_prefix("* ")?.strip_suffix(" earlier lines:")).unwrap();
    assert!(earlier.parse::<usize>().unwrap() >= 20, "{earlier}");
    assert_eq!(lines.filter(|line| line.starts_with("client-1> v")).count(), earlier.parse::<usize>().unwrap() + 5);
}

#[test]
fn one_who_lags_and_takes_next_to_nothing_is_told_once() {
    let config = Config { backlog_bytes: 64 * 1024, ..quiet() };
    let mut world = World::new(&config);
    let (talker, reader) = (world.connect(), world.connect());
    reader.takes(0);
    let line = format!("{}\n", "v".repeat(1_000));
    for _ in 0..300 {
        talker.sends(line.repeat(3));
        world.hub.on_ready(talker.key, READABLE);
        world.run_on();
        world.makes_room(&reader, 1);
    }
    let early = reader.received();
    world.makes_room(&reader, usize::MAX);
    let received = early + &reader.received();
    assert!(received.matches("you missed").count() <= 2 + received.len() / 65_536);
}

#[test]
fn work_that_says_nothing_takes_turns_too() {
    let mut world = World::new(&quiet());
    let (ana, bob) = (world.connect(), world.connect());
    let idlers: Vec<Client> = (0..900).map(|_| world.connect()).collect();
    for idler in &idlers {
        idler.sends("\n".repeat(60_000));
        world.hub.on_ready(idler.key, READABLE);
    }
    world.turn();
    let taken = |client: &Client| match client.peer.borrow().incoming.front() {
        Some(Incoming::Bytes(left)) => 60_000 - left.len(),
        _ => 60_000,
    };
    let taken: usize = idlers.iter().map(taken).sum();
    assert!((32 * 1024..=64 * 1024).contains(&taken), "{taken} bytes were heard in a turn, each of them a line");
    // Whoever comes now waits for one round of them, not for all that they have.
    ana.sends("a word\n");
    world.hub.on_ready(ana.key, READABLE);
    for _ in 0..11 {
        world.turn();
    }
    assert_eq!(bob.received(), "client-1> a word\n");
}

#[test]
fn where_many_hear_it_less_is_said_in_a_turn() {
    let mut world = World::new(&quiet());
    let (flood, bob) = (world.connect(), world.connect());
    let said_in_a_turn = |world: &mut World| {
        flood.sends(format!("{}\n", "x".repeat(99)).repeat(600));
        world.hub.on_ready(flood.key, READABLE);
        world.turn();
        let said = bob.received().len();
        world.run();
        bob.received();
        said
    };
    // As much as is read of one at a time.
    assert!(said_in_a_turn(&mut world) >= 60_000);
    let others: Vec<Client> = (0..254).map(|_| world.connect()).collect();
    let said = said_in_a_turn(&mut world);
    assert!((32 * 1024..33 * 1024).contains(&said), "{said} bytes were written to each of 256");
    let _more: Vec<Client> = (0..700).map(|_| world.connect()).collect();
    let said = said_in_a_turn(&mut world);
    assert!((16 * 1024..17 * 1024).contains(&said), "{said} bytes were written to each of 956");
    assert_eq!(others[0].received().len(), others[1].received().len());
}

#[test]
fn answers_take_turns_too() {
    let mut world = World::new(&quiet());
    let askers: Vec<Client> = (0..200).map(|_| world.connect()).collect();
    for asker in &askers {
        asker.sends("/who\n".repeat(10));
        world.hub.on_ready(asker.key, READABLE);
    }
    world.turn();
    let answered: usize = askers.iter().map(|asker| asker.received().len()).sum();
    assert!((100 * 1024..=512 * 1024).contains(&answered), "{answered} bytes were answered in a turn");
    world.run();
    let answered: usize = askers.iter().map(|asker| asker.received().matches("* 200 here").count()).sum();
    assert!(answered > 1_800, "in the end each is answered");
}

#[test]
fn one_who_asks_again_and_again_has_one_answer_while_many_ask() {
    let mut world = World::new(&quiet());
    let (ana, bob) = (world.connect(), world.connect());
    let askers: Vec<Client> = (0..400).map(|_| world.connect()).collect();
    for asker in &askers {
        asker.sends("/who\n".repeat(10));
        world.hub.on_ready(asker.key, READABLE);
    }
    ana.sends("a word\n");
    world.hub.on_ready(ana.key, READABLE);
    let (mut answered, mut heard) = (0, String::new());
    while heard.is_empty() {
        world.turn();
        answered += askers.iter().map(|asker| asker.received().matches("* 402 here").count()).sum::<usize>();
        heard = bob.received();
    }
    assert_eq!(heard, "client-1> a word\n");
    // Those of the turn in which it was heard come on top.
    assert!(answered <= 500, "{answered} answers came first");
}

#[test]
fn under_the_brake_a_person_is_heard_again_and_again() {
    let mut world = World::new(&quiet());
    let (reader, person, listener) = (world.connect(), world.connect(), world.connect());
    let flooders: Vec<Client> = (0..40).map(|_| world.connect()).collect();
    reader.takes(0);
    for flooder in &flooders {
        flooder.sends(format!("{}\n", "y".repeat(1_000)).repeat(2_000));
        world.hub.on_ready(flooder.key, READABLE);
    }
    for _ in 0..10 {
        world.run();
        world.now += Duration::from_millis(10);
    }
    world.run();
    listener.received();
    for round in 0..20 {
        // No time passes: all of this is within one period, which the floods have used up.
        world.says(&person, format!("word {round}\n"));
        assert!(listener.received().ends_with(&format!("client-2> word {round}\n")), "{round}");
    }
}

#[test]
fn under_the_brake_two_who_answer_each_other_at_once_are_not_held() {
    let mut world = World::new(&quiet());
    let (reader, ana, bob) = (world.connect(), world.connect(), world.connect());
    let flooders: Vec<Client> = (0..40).map(|_| world.connect()).collect();
    reader.takes(0);
    for flooder in &flooders {
        flooder.sends(format!("{}\n", "y".repeat(1_000)).repeat(2_000));
        world.hub.on_ready(flooder.key, READABLE);
    }
    let text = "z".repeat(40);
    for _ in 0..10 {
        world.run();
        world.now += Duration::from_millis(10);
    }
    ana.received();
    bob.received();
    for period in 0..20 {
        world.run();
        // More than a person says, and together less than what floods leave: each is heard within the period.
        for trip in 0..60 {
            world.says(&ana, format!("{text}\n"));
            assert!(bob.received().ends_with(&format!("client-2> {text}\n")), "{period}: {trip}");
            world.says(&bob, format!("{text}\n"));
            assert!(ana.received().ends_with(&format!("client-3> {text}\n")), "{period}: {trip}");
        }
        world.now += Duration::from_millis(10);
    }
}

#[test]
fn under_the_brake_what_one_said_long_ago_does_not_count() {
    let mut world = World::new(&quiet());
    let (reader, person, listener) = (world.connect(), world.connect(), world.connect());
    let flooders: Vec<Client> = (0..40).map(|_| world.connect()).collect();
    world.says(&person, format!("{}\n", "x".repeat(1_000)).repeat(20));
    // A quiet minute, in which there is no turn at all.
    world.now += Duration::from_secs(60);
    reader.takes(0);
    for flooder in &flooders {
        flooder.sends(format!("{}\n", "y".repeat(1_000)).repeat(2_000));
        world.hub.on_ready(flooder.key, READABLE);
    }
    for _ in 0..10 {
        world.run();
        world.now += Duration::from_millis(10);
    }
    world.run();
    listener.received();
    world.says(&person, "a word\n");
    assert!(listener.received().ends_with("client-2> a word\n"));
}

#[test]
fn under_the_brake_a_flood_in_small_helpings_is_a_flood() {
    let mut world = World::new(&quiet());
    let (reader, sly, listener) = (world.connect(), world.connect(), world.connect());
    reader.takes(0);
    world.says(&sly, format!("{}\n", "y".repeat(1_000)).repeat(200));
    world.run_on();
    // What it did before is forgotten after a while.
    for _ in 0..100 {
        world.now += Duration::from_millis(10);
        world.run();
    }
    listener.received();
    let helping = format!("{}\n", "z".repeat(900));
    for period in 0..50 {
        // It begins as one who is busy, and never has more to say than was heard of it; no line of it is much.
        let mut heard = 0;
        for _ in 0..if period == 0 { 2 } else { 100 } {
            world.says(&sly, &helping);
            match listener.received().len() {
                0 => break,
                bytes => heard += bytes,
            }
        }
        assert!(heard < 45 * 1024, "{period}: {heard} bytes in a period");
        world.now += Duration::from_millis(10);
        world.run();
        listener.received();
    }
}

#[test]
fn under_the_brake_a_reader_that_catches_up_frees_the_talkers_at_once() {
    let mut world = World::new(&quiet());
    let (flooder, reader, listener) = (world.connect(), world.connect(), world.connect());
    reader.takes(0);
    let line = "x".repeat(999) + "\n";
    world.says(&flooder, line.repeat(200));
    assert!(listener.received().len() < 200 * 1_000, "it is held");
    // No time passes, and nothing is said: only the reader takes what it is owed.
    world.makes_room(&reader, usize::MAX);
    assert_eq!(reader.received().lines().count(), 200);
}

#[test]
fn leavers_who_take_nothing_do_not_use_up_the_house() {
    let mut world = World::new(&Config { clients_max: Some(3), ..quiet() });
    for _ in 0..5 {
        let leaver = world.connect();
        leaver.takes(0);
        world.says(&leaver, "FIN\n");
    }
    let refused = world.knock();
    assert_eq!(refused.received(), "* the server is full (3 clients)\nFIN\n");
}

#[test]
fn the_operator_is_one_more_participant_with_the_first_client_still_client_1() {
    let mut world = World::new(&Config::default());
    let console = world.open_console();
    let (ana, bob) = (world.connect_and_settle(), world.connect_and_settle());
    assert_eq!(console.received(), "* client-1 joined\n* client-2 joined\n");
    ana.received();
    world.says(&console, "welcome\n");
    world.says(&ana, "hello\n");
    assert_eq!(ana.received(), "server> welcome\n");
    assert_eq!(bob.received(), "server> welcome\nclient-1> hello\n");
    assert_eq!(console.received(), "client-1> hello\n");
    world.says(&bob, "/nick Server\n/msg server psst\n/who\n/kick client-1\n");
    let expected = "* the name Server is taken\n* you told server: psst\n* here: server, 1 line, 0 min\n\
        * here: client-1, 1 line, 0 min\n* here: client-2, 0 lines, 0 min\n* 3 here\n\
        * there is no command /kick; /help lists what you can do\n";
    assert_eq!(bob.received(), expected);
    assert_eq!(console.received(), "* client-2 tells you: psst\n");
    world.says(&console, "/nick boss\n/msg client-2 hush\n");
    assert_eq!(console.received(), "* you are server, and nobody else\n* you told client-2: hush\n");
    assert_eq!(bob.received(), "* server tells you: hush\n");
}

#[test]
fn the_operator_takes_no_clients_seat_and_is_not_counted_where_clients_are() {
    let mut world = World::new(&Config { clients_max: Some(1), announce_up_to: 1, ..Config::default() });
    let console = world.open_console();
    let ana = world.connect_and_settle();
    assert_eq!(console.received(), "* client-1 joined\n", "one client is present, not two");
    let refused = world.knock();
    assert_eq!(refused.received(), "* the server is full (1 client)\nFIN\n");
    // Those who leave and take nothing use up the house as they do without an operator, and no earlier.
    ana.takes(0);
    world.says(&ana, "FIN\n");
    for _ in 0..2 {
        let next = world.connect();
        next.takes(0);
        world.says(&next, "FIN\n");
    }
    let refused = world.knock();
    assert_eq!(refused.received(), "* the server is full (1 client)\nFIN\n");
}

#[test]
fn what_the_operator_pastes_is_held_by_the_brake_and_none_of_it_is_lost() {
    let mut world = World::new(&quiet());
    let console = world.open_console();
    let (slow, healthy) = (world.connect(), world.connect());
    slow.takes(0);
    world.says(&console, format!("{}\n", "x".repeat(999)).repeat(5_000));
    let mut lines = healthy.received().lines().count();
    assert!(lines < 400, "{lines} lines in one period");
    for _ in 0..1_000 {
        world.run();
        lines += healthy.received().lines().count();
        let Wake::At(time) = world.hub.next_wake() else { break };
        world.now = time;
        world.makes_room(&slow, 200_000);
    }
    assert_eq!(lines, 5_000);
    world.makes_room(&slow, usize::MAX);
    assert_eq!(slow.received().lines().count(), 5_000);
}

#[test]
fn a_stuck_screen_is_overtaken_and_told_of_it_and_the_operator_can_still_act() {
    for lag in [Lag::Skip, Lag::Disconnect] {
        let mut world = World::new(&Config { backlog_bytes: 100_000, lag, ..quiet() });
        let console = world.open_console();
        let (ana, bob) = (world.connect(), world.connect());
        console.takes(0);
        ana.sends("0123456789\n".repeat(50_000));
        world.hub.on_ready(ana.key, READABLE);
        world.run_on();
        // It is waited for as long as it keeps up, and not when it has been overtaken.
        assert_eq!(bob.received().lines().count(), 50_000);
        world.says(&console, "I cannot see you\n/kick client-1\n");
        assert_eq!(bob.received(), "server> I cannot see you\n");
        assert!(ana.is_ended());
        world.makes_room(&console, usize::MAX);
        let shown = console.received();
        let missed = shown.lines().find_map(|line| line.strip_prefix("* you missed ")?.strip_suffix(" lines"));
        let seen = shown.lines().filter(|line| line.starts_with("client-1> ")).count();
        assert_eq!(seen + missed.unwrap().parse::<usize>().unwrap(), 50_000);
        assert!(shown.contains("* client-1 was removed\n"));
        world.says(&bob, "there you are\n");
        assert_eq!(console.received(), "client-2> there you are\n");
    }
}

#[test]
fn the_end_of_the_console_is_the_end_of_nobody_else() {
    let mut world = World::new(&Config::default());
    let console = world.open_console();
    let ana = world.connect();
    console.received();
    console.sends("back soon");
    console.ends();
    world.hub.on_ready(console.key, READABLE);
    world.run();
    assert_eq!(ana.received(), "server> back soon\n* server left\n");
    assert_eq!(console.received(), "FIN\n");
    assert!(console.is_closed());
    assert_eq!((world.hub.console(), world.hub.is_stop_wanted()), (None, false));
    // The heir of its key is a client like any other.
    let bob = world.connect();
    assert_eq!(bob.key, console.key);
    world.says(&bob, "/kick client-1\n/msg server hi\n/nick server\n");
    let expected = "* there is no command /kick; /help lists what you can do\n* nobody here is called server\n\
        * the name server is taken\n";
    assert_eq!(bob.received(), expected);
}

#[test]
fn after_the_operators_farewell_nobody_is_heard() {
    for farewell in ["FIN\n", "exit\r\n", "/quit now\n"] {
        let mut world = World::new(&quiet());
        let console = world.open_console();
        let ana = world.connect();
        console.sends(format!("goodbye\n{farewell}not said\n"));
        ana.sends("too late\n");
        world.hub.on_ready(console.key, READABLE);
        world.hub.on_ready(ana.key, READABLE);
        world.hub.react(world.now);
        assert!(world.hub.is_stop_wanted());
        world.hub.shut_down(world.now);
        world.run();
        assert_eq!(ana.received(), "server> goodbye\n* the server is shutting down\nFIN\n");
        assert_eq!(console.received(), "* the server is shutting down\nFIN\n");
    }
}

#[test]
fn who_is_removed_is_told_so_and_has_what_was_said_before() {
    let mut world = World::new(&Config::default());
    let console = world.open_console();
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&ana, "/nick Ana\n");
    for client in [&ana, &bob, &console] {
        client.received();
    }
    // It is sending, and goes on sending.
    ana.sends("one\n".repeat(10));
    world.says(&console, "goodbye, Ana\n");
    world.says(&console, "/kick aNA\n");
    assert_eq!(ana.received(), "server> goodbye, Ana\n* you were removed by the operator\nFIN\n");
    assert_eq!(console.received(), "* Ana was removed\n* Ana left\n");
    assert_eq!(bob.received(), "server> goodbye, Ana\n* Ana left\n");
    assert!(ana.is_ended() && !ana.is_closed());
    world.says(&ana, "two\n".repeat(100_000));
    assert!(ana.peer.borrow().incoming.is_empty(), "its input is read, and dropped");
    ana.ends();
    world.hub.on_ready(ana.key, READABLE);
    world.run();
    assert!(ana.is_closed());
    assert_eq!(bob.received(), "");
    world.says(&bob, "/nick ana\n");
    assert_eq!(bob.received(), "* client-2 is now ana\n");
}

#[test]
fn who_takes_nothing_cannot_make_its_removal_last() {
    let mut world = World::new(&quiet());
    let console = world.open_console();
    let (ana, mute) = (world.connect(), world.connect());
    mute.takes(0);
    world.says(&ana, "0123456789\n".repeat(1_000));
    world.says(&console, "/kick client-2\n");
    world.makes_room(&mute, usize::MAX);
    assert_eq!(mute.received(), "* you were removed by the operator\n* you missed 1000 lines\nFIN\n");
}

#[test]
fn what_cannot_be_removed_is_said() {
    let mut world = World::new(&quiet());
    let console = world.open_console();
    world.connect();
    world.says(&console, "/kick\n/kick nobody\n/kick server\n/kick client-0\n/kick client-2\n");
    let expected = "* /kick NAME removes NAME\n* nobody here is called nobody\n\
        * that is you; FIN stops the server\n* nobody here is called client-0\n* nobody here is called client-2\n";
    assert_eq!(console.received(), expected);
}
