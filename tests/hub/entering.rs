//! Entering: when a connection comes into the room, what that takes, and when the room is told.

use std::net::SocketAddr;
use std::time::Duration;

use pollchat::server::access::AccessRules;
use pollchat::server::config::{Config, Lag};
use pollchat::server::hub::Wake;
use pollchat::server::limits::{ENTER_DELAY, ENTER_TIMEOUT, INTRODUCE_AFTER};

use crate::support::hub::{Client, READABLE, World, quiet};

const MILLISECOND: Duration = Duration::from_millis(1);

fn greeting(number: u32) -> String {
    format!("* you are client-{number}; /help lists what you can do\n")
}

#[test]
fn a_silent_connection_enters_after_a_moment_and_not_before() {
    let mut world = World::new(&quiet());
    let client = world.connect_silently();
    world.run();
    assert_eq!(world.hub.next_wake(), Wake::At(world.now + ENTER_DELAY));
    world.pass(ENTER_DELAY - MILLISECOND);
    assert_eq!(client.received(), "");
    world.pass(MILLISECOND);
    assert_eq!(client.received(), greeting(1));
    assert_eq!(world.hub.next_wake(), Wake::OnEvent, "nothing is left to wait for");
}

#[test]
fn a_complete_line_lets_a_connection_enter_at_once_even_an_empty_one() {
    let mut world = World::new(&quiet());
    let first = world.connect_silently();
    world.says(&first, "\r\n");
    assert_eq!(first.received(), greeting(1).replace('\n', "\r\n"));
    let second = world.connect_silently();
    world.says(&second, "hello\n");
    assert_eq!(second.received(), greeting(2));
    assert_eq!(first.received(), "client-2> hello\r\n");
    assert_eq!(world.hub.next_wake(), Wake::OnEvent, "the delays of both are forgotten");
}

#[test]
fn part_of_a_line_keeps_a_connection_out_until_its_end_or_for_a_while() {
    for ends in [true, false] {
        let mut world = World::new(&quiet());
        let (ana, slow) = (world.connect(), world.connect_silently());
        world.says(&slow, "hel");
        world.pass(ENTER_TIMEOUT - MILLISECOND);
        assert_eq!(slow.received(), "");
        if !ends {
            world.pass(MILLISECOND);
            assert_eq!(slow.received(), greeting(2));
        }
        world.says(&slow, "lo\n");
        assert_eq!(slow.received(), if ends { greeting(2) } else { String::new() });
        assert_eq!(ana.received(), "client-2> hello\n");
    }
}

#[test]
fn what_leaves_before_it_entered_uses_no_number_and_is_never_announced() {
    let mut world = World::new(&Config::default());
    let ana = world.connect_and_settle();
    let leave = [Client::ends as fn(&Client), Client::resets];
    for (bytes, leave) in [("", leave[0]), ("", leave[1]), ("half a li", leave[1])] {
        let gone = world.connect_silently();
        gone.sends(bytes);
        leave(&gone);
        world.says(&gone, "");
        assert!(!gone.received().contains("you are"));
    }
    world.pass(ENTER_TIMEOUT);
    let next = world.connect_silently();
    world.says(&next, "\n");
    assert_eq!(next.received(), greeting(2));
    assert_eq!(ana.received(), "");
}

#[test]
fn a_foreign_protocol_is_turned_away_before_it_entered_however_its_bytes_come() {
    let request = &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..];
    for (hello, name) in [(request, "HTTP"), (&b"\x16\x03\x01"[..], "TLS")] {
        for size in [1, 2, hello.len()] {
            let mut world = World::new(&Config::default());
            let ana = world.connect_and_settle();
            let foreign = world.connect_silently();
            for piece in hello.chunks(size) {
                world.says(&foreign, piece);
            }
            let answer = format!("* this is a chat relay and speaks no {name}: goodbye\nFIN\n");
            assert_eq!(foreign.received(), answer, "{name} in pieces of {size} bytes");
            assert_eq!(ana.received(), "");
            let next = world.connect();
            world.says(&next, "/who\n");
            assert!(next.received().contains("* here: client-2, "), "the foreign connection had no number");
        }
    }
}

#[test]
fn the_last_line_before_an_end_needs_no_newline_to_let_a_connection_enter() {
    let mut world = World::new(&Config::default());
    let ana = world.connect_and_settle();
    let short = world.connect_silently();
    short.sends("one word");
    short.ends();
    world.says(&short, "");
    assert_eq!(short.received(), greeting(2) + "FIN\n");
    assert_eq!(ana.received(), "* client-2 joined\nclient-2> one word\n* client-2 left\n");
}

#[test]
fn free_seats_count_when_a_connection_enters_and_not_when_it_is_accepted() {
    let mut world = World::new(&Config { clients_max: Some(1), ..quiet() });
    let (first, second) = (world.connect_silently(), world.connect_silently());
    world.says(&second, "\n");
    assert_eq!(second.received(), greeting(1), "the second was faster");
    world.says(&first, "hello\n");
    assert_eq!(first.received(), "* the server is full (1 client)\nFIN\n");
    let third = world.connect_silently();
    world.says(&second, "FIN\n");
    world.pass(ENTER_DELAY);
    assert_eq!(third.received(), greeting(2), "there is a seat by now");
}

#[test]
fn an_address_counts_when_its_connection_enters() {
    let access = AccessRules { per_address_max: 1, ..AccessRules::default() };
    let mut world = World::new(&Config { access, ..quiet() });
    let address = Some(SocketAddr::from(([192, 0, 2, 1], 1)));
    let (gone, first, second) = (world.connect_from(address), world.connect_from(address), world.connect_from(address));
    gone.ends();
    world.says(&gone, "");
    world.says(&first, "\n");
    assert_eq!(first.received(), greeting(1));
    world.pass(ENTER_DELAY);
    assert_eq!(second.received(), "* too many connections from your address (at most 1)\nFIN\n");
}

#[test]
fn connections_that_enter_are_bounded() {
    let mut world = World::new(&Config { clients_max: Some(3), ..quiet() });
    let entering: Vec<Client> = (0..5).map(|_| world.connect_silently()).collect();
    let refused = world.connect_silently();
    world.turn();
    assert_eq!(refused.received(), "* the server is full (3 clients)\nFIN\n");
    world.pass(ENTER_DELAY);
    let greeted = entering.iter().filter(|client| client.received().starts_with("* you are")).count();
    assert_eq!(greeted, 3);
}

#[test]
fn a_connection_enters_while_the_room_waits_and_says_nothing_before_the_wait_is_over() {
    let config = Config { lag: Lag::Wait, backlog_bytes: 64 * 1024, line_bytes_max: 100, ..quiet() };
    let mut world = World::new(&config);
    let (talker, slow) = (world.connect(), world.connect());
    slow.takes(0);
    talker.sends("x".repeat(99).repeat(10) + "\n");
    talker.sends(("x".repeat(99) + "\n").repeat(2_000));
    world.hub.on_ready(talker.key, READABLE);
    world.run_on();
    let late = world.connect_silently();
    world.says(&late, "hello\n");
    assert_eq!(late.received(), greeting(3), "it is read although the room waits");
    talker.received();
    world.run_on();
    assert_eq!(talker.received(), "");
    for _ in 0..200 {
        world.makes_room(&slow, 10_000);
        world.run_on();
    }
    assert!(talker.received().contains("client-3> hello\n"));
}

#[test]
fn a_newcomer_is_announced_with_its_first_line_or_its_first_name_or_after_two_seconds() {
    let mut world = World::new(&Config::default());
    let ana = world.connect_and_settle();
    let talker = world.connect();
    world.says(&talker, "/who\n/msg client-1 psst\n");
    assert_eq!(ana.received(), "* client-2 tells you: psst\n", "nothing of that is said to the room");
    talker.received();
    world.says(&talker, "hello\n");
    assert_eq!(ana.received(), "* client-2 joined\nclient-2> hello\n");

    let named = world.connect();
    world.says(&named, "/nick eve\n");
    assert_eq!(named.received(), "* client-3 is now eve\n");
    assert_eq!(ana.received(), "* eve joined\n");
    world.says(&named, "/nick eva\n");
    assert_eq!((named.received(), ana.received()), ("* eve is now eva\n".to_owned(), "* eve is now eva\n".to_owned()));

    let silent = world.connect();
    world.pass(INTRODUCE_AFTER - MILLISECOND);
    assert_eq!(ana.received(), "");
    world.pass(MILLISECOND);
    assert_eq!(ana.received(), "* client-4 joined\n");
    assert_eq!(silent.received(), "", "its own coming is no news to it");
}

#[test]
fn left_is_told_exactly_where_joined_was() {
    let mut world = World::new(&Config { announce_up_to: 2, ..Config::default() });
    let ana = world.connect_and_settle();
    let bob = world.connect_and_settle();
    assert_eq!(ana.received(), "* client-2 joined\n");
    // The third is one too many, whether it says something, takes a name, or is silent.
    let crowd = [world.connect(), world.connect(), world.connect()];
    assert_eq!(world.hub.next_wake(), Wake::OnEvent, "a client that enters a fuller room has no timer");
    world.says(&crowd[0], "hello\n");
    world.says(&crowd[1], "/nick eve\n");
    world.pass(INTRODUCE_AFTER);
    assert_eq!(ana.received(), "client-3> hello\n");
    bob.ends();
    world.says(&bob, "");
    assert_eq!(ana.received(), "* client-2 left\n", "the room is full of people, but knows the second");
    for client in &crowd {
        world.says(client, "FIN\n");
    }
    assert_eq!(ana.received(), "", "the room is small by now, but does not know them");
}

#[test]
fn a_client_that_leaves_unannounced_is_not_said_to_have_left() {
    let mut world = World::new(&Config::default());
    let ana = world.connect_and_settle();
    let short = world.connect();
    world.says(&short, "/who\nFIN\n");
    world.pass(INTRODUCE_AFTER);
    assert_eq!(ana.received(), "");
}

#[test]
fn leaves_are_announced_late_while_the_room_waits_and_none_is_lost() {
    let config = Config {
        lag: Lag::Wait,
        announce_up_to: 50,
        backlog_bytes: 64 * 1024,
        line_bytes_max: 100,
        stall_timeout: Duration::from_secs(60),
        ..quiet()
    };
    let mut world = World::new(&config);
    let (talker, slow) = (world.connect_and_settle(), world.connect_and_settle());
    let leavers: Vec<Client> = (0..10).map(|_| world.connect()).collect();
    world.pass(INTRODUCE_AFTER);
    slow.takes(0);
    talker.received();
    talker.sends(("x".repeat(99) + "\n").repeat(2_000));
    world.hub.on_ready(talker.key, READABLE);
    world.run_on();
    for leaver in &leavers {
        leaver.peer.borrow_mut().write_error = Some(std::io::ErrorKind::ConnectionReset);
        leaver.resets();
    }
    let mut told = String::new();
    for _ in 0..400 {
        world.makes_room(&slow, 10_000);
        world.run_on();
        leavers.iter().for_each(|leaver| world.hub.on_ready(leaver.key, READABLE));
        told += &talker.received();
    }
    for number in 3..13 {
        assert_eq!(told.matches(&format!("* client-{number} left\n")).count(), 1, "client-{number}");
    }
    let taken = slow.received();
    assert!(!taken.contains("missed"), "the announcements cost nobody a line");
}

#[test]
fn one_address_cannot_take_all_places_to_enter() {
    let access = AccessRules { per_address_max: 2, ..AccessRules::default() };
    let mut world = World::new(&Config { access, clients_max: Some(10), ..quiet() });
    let crowd: Vec<Client> = (0..20)
        .map(|_| {
            let client = world.connect_from(Some(SocketAddr::from(([192, 0, 2, 1], 1))));
            world.says(&client, "a");
            client
        })
        .collect();
    let other = world.connect_from(Some(SocketAddr::from(([192, 0, 2, 2], 1))));
    world.says(&other, "\n");
    assert_eq!(other.received(), greeting(1));
    let refused = "* too many connections from your address (at most 8)\nFIN\n";
    assert_eq!(crowd.iter().filter(|client| client.received() == refused).count(), 12);
}

#[test]
fn all_that_are_refused_when_their_delays_end_together_are_told_why() {
    let mut world = World::new(&Config { clients_max: Some(20), ..quiet() });
    let late: Vec<Client> = (0..20).map(|_| world.connect_silently()).collect();
    for _ in 0..2 {
        let quick = world.connect_silently();
        world.says(&quick, "\n");
    }
    world.pass(ENTER_DELAY);
    world.run_on();
    let refused = late.iter().filter(|client| client.received() == "* the server is full (20 clients)\nFIN\n").count();
    assert_eq!(refused, 2);
}
