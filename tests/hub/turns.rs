//! The hub with sockets that are not there: every byte, error and event is chosen by the test.

mod brake;
mod ends;
mod operator;

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
    let mut received = String::new();
    while left(&greedy) > 0 || received.is_empty() {
        world.makes_room(&greedy, 1 << 20);
        received += &greedy.received();
    }
    world.makes_room(&greedy, usize::MAX);
    received += &greedy.received();
    assert_eq!(received.matches("* /who:").count(), 100_000, "each was answered");
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
