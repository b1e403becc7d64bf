//! The budgets of a turn: whatever many clients do at once, a turn does a bounded part of it, and the next turns do the
//! rest. `cargo bench --bench turns` measures the time that this takes.

use std::time::Duration;

use pollchat::server::config::Config;
use pollchat::server::flow::budget::TurnLimits;
use pollchat::server::hub::Wake;
use pollchat::server::limits::{ENTER_DELAY, GRACE};

use crate::support::hub::{Client, READABLE, World, quiet};
use crate::support::page::{OPENING, browse, text, visit, world};

/// Clients that have entered and were sent their greetings.
fn crowd(world: &mut World, count: usize) -> Vec<Client> {
    let clients: Vec<Client> = (0..count).map(|_| world.connect_silently()).collect();
    world.pass(ENTER_DELAY);
    clients.iter().for_each(|client| drop(client.received()));
    clients
}

fn all_send(world: &mut World, clients: &[Client], bytes: impl AsRef<[u8]>) {
    for client in clients {
        client.sends(&bytes);
        world.hub.on_ready(client.key, READABLE);
    }
}

/// Turns until nothing is left to do. Returns the largest growth of `done` in a turn.
fn most_in_a_turn(world: &mut World, mut done: impl FnMut() -> usize) -> usize {
    let (mut most, mut before) = (0, done());
    while {
        world.turn();
        let now = done();
        most = most.max(now - before);
        before = now;
        world.hub.next_wake() == Wake::Now
    } {}
    most
}

fn count(clients: &[Client], is_done: impl Fn(&Client) -> bool) -> usize {
    clients.iter().filter(|client| is_done(client)).count()
}

fn has_received(client: &Client) -> bool {
    !client.peer.borrow().received.is_empty()
}

fn is_read(client: &Client) -> bool {
    client.peer.borrow().incoming.is_empty()
}

#[test]
fn of_many_short_lines_a_turn_reads_those_of_256_clients() {
    let mut world = World::new(&quiet());
    let clients = crowd(&mut world, 900);
    all_send(&mut world, &clients, "hello\n");
    let most = most_in_a_turn(&mut world, || count(&clients, is_read));
    assert!((200..=256).contains(&most), "{most} in a turn");
    for client in &clients {
        assert_eq!(client.received().matches("> hello\n").count(), 899);
    }
}

#[test]
fn of_many_leaves_a_turn_handles_a_few_dozen() {
    for farewell in [None, Some("FIN\n"), Some("exit")] {
        let mut world = World::new(&quiet());
        let clients = crowd(&mut world, 900);
        for client in &clients {
            farewell.into_iter().for_each(|word| client.sends(word));
            client.ends();
            world.hub.on_ready(client.key, READABLE);
        }
        let most = most_in_a_turn(&mut world, || count(&clients, Client::is_ended));
        assert!((40..=100).contains(&most), "{most} in a turn");
        assert!(clients.iter().all(|client| client.is_closed() && client.received() == "FIN\n"));
    }
}

#[test]
fn of_many_resets_a_turn_handles_a_few_dozen() {
    let mut world = World::new(&quiet());
    let clients = crowd(&mut world, 900);
    for client in &clients {
        client.resets();
        world.hub.on_ready(client.key, READABLE);
    }
    let most = most_in_a_turn(&mut world, || count(&clients, Client::is_closed));
    assert!((40..=100).contains(&most), "{most} in a turn");
    assert_eq!(world.hub.connections(), 0);
}

#[test]
fn of_many_moves_a_turn_ends_some_hundred() {
    let mut world = World::new(&quiet());
    let clients = crowd(&mut world, 900);
    all_send(&mut world, &clients, "/join rust\n");
    let most = most_in_a_turn(&mut world, || count(&clients, has_received));
    assert!((60..=130).contains(&most), "{most} in a turn");
    assert!(clients.iter().all(|client| client.received().starts_with("* you are in rust, ")));
}

#[test]
fn of_many_answers_that_look_at_all_rooms_a_turn_gives_few() {
    let mut world = World::new(&Config { rooms_max: 4_000, history_lines: 1, ..quiet() });
    let clients = crowd(&mut world, 40);
    for number in 0..3_000 {
        world.says(&clients[0], format!("/join room{number}\n"));
    }
    world.run_on();
    clients[0].received();
    all_send(&mut world, &clients, "/rooms\n");
    let most = most_in_a_turn(&mut world, || count(&clients, has_received));
    assert!((5..=15).contains(&most), "{most} in a turn");
    for client in &clients {
        let answer = client.received();
        assert!(answer.ends_with("* and 2,901 more\n* 3,001 rooms\n"), "{answer}");
    }
}

#[test]
fn of_many_upgrades_a_turn_handles_a_part_in_the_order_of_their_coming() {
    let turn = TurnLimits { read_bytes: 16 << 10, ..TurnLimits::default() };
    let mut world = world(&Config { turn, ..quiet() });
    let visitors: Vec<Client> = (0..40).map(|_| visit(&mut world)).collect();
    all_send(&mut world, &visitors, OPENING);
    world.turn();
    let upgraded = count(&visitors, has_received);
    assert!((5..=14).contains(&upgraded), "{upgraded} in a turn");
    assert!(visitors[..upgraded].iter().all(has_received), "first in, first out");
    let most = most_in_a_turn(&mut world, || count(&visitors, has_received));
    assert!(most <= 14, "{most} in a turn");
    assert!(visitors.iter().all(|visitor| visitor.received_bytes().starts_with(b"HTTP/1.1 101 ")));
}

#[test]
fn a_line_does_not_wait_for_all_upgrades() {
    let turn = TurnLimits { read_bytes: 16 << 10, ..TurnLimits::default() };
    let mut world = world(&Config { turn, ..quiet() });
    let (ana, bob) = (world.connect(), world.connect());
    ana.sends("first\n");
    world.hub.on_ready(ana.key, READABLE);
    let visitors: Vec<Client> = (0..40).map(|_| visit(&mut world)).collect();
    all_send(&mut world, &visitors, OPENING);
    world.turn();
    assert_eq!(bob.received(), "client-1> first\n");
    assert!(count(&visitors, has_received) < 14);
}

#[test]
fn of_many_requests_a_turn_answers_what_its_replies_may_hold() {
    let mut world = world(&quiet());
    let visitors: Vec<Client> = (0..40).map(|_| visit(&mut world)).collect();
    all_send(&mut world, &visitors, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let most = most_in_a_turn(&mut world, || count(&visitors, has_received));
    assert!((3..=10).contains(&most), "{most} pages in a turn");
    assert!(visitors.iter().all(has_received));
    // The page's head is short, but a long request is work as well.
    let fields = "A: b\r\n".repeat(2_000);
    all_send(&mut world, &visitors, format!("HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n"));
    visitors.iter().for_each(|visitor| drop(visitor.received_bytes()));
    let most = most_in_a_turn(&mut world, || count(&visitors, has_received));
    assert!((5..=12).contains(&most), "{most} long requests in a turn");
    assert!(visitors.iter().all(has_received));
}

#[test]
fn of_a_long_history_that_many_newcomers_are_owed_a_turn_writes_2_mib() {
    let mut world = World::new(&Config { history_lines: u64::MAX, ..quiet() });
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&ana, format!("{}\n", "x".repeat(999)).repeat(4_000));
    world.run_on();
    bob.received();
    let newcomers: Vec<Client> = (0..900).map(|_| world.connect_silently()).collect();
    all_send(&mut world, &newcomers, "a");
    world.run();
    all_send(&mut world, &newcomers, "\n");
    let (mut most, mut is_heard) = (0, false);
    let written = || newcomers.iter().map(|newcomer| newcomer.peer.borrow().received.len()).sum::<usize>();
    for turn in 0..100 {
        let before = written();
        if turn == 50 {
            ana.sends("a word\n");
            world.hub.on_ready(ana.key, READABLE);
        }
        world.turn();
        world.now += Duration::from_millis(10);
        most = most.max(written() - before);
        is_heard |= turn < 53 && bob.received().contains("client-1> a word\n");
    }
    assert!((1 << 20..3 << 20).contains(&most), "{most} bytes in a turn");
    assert!(is_heard, "a line comes to a reader that is up to date");
    newcomers.iter().skip(5).for_each(|newcomer| newcomer.takes(0));
    world.run();
    for newcomer in &newcomers[..5] {
        assert!(newcomer.received().lines().filter(|line| line.ends_with("xxx")).count() > 3_900);
    }
}

#[test]
fn a_walk_over_many_readers_takes_several_turns_and_none_of_them_misses_a_line() {
    let turn = TurnLimits { write_bytes: 200 << 10, ..TurnLimits::default() };
    let mut world = World::new(&Config { turn, ..quiet() });
    let ana = world.connect();
    let readers = crowd(&mut world, 500);
    let mut writes = 0;
    for number in 0..7 {
        ana.sends(format!("{number}\n"));
        world.hub.on_ready(ana.key, READABLE);
        let before = readers.iter().map(|reader| reader.peer.borrow().received.len()).collect::<Vec<_>>();
        world.turn();
        let written =
            readers.iter().zip(before).filter(|(reader, before)| reader.peer.borrow().received.len() > *before);
        let written = written.count();
        assert!(written <= 101, "{written} are written to in a turn");
        writes += written;
    }
    assert!(writes > 500, "{writes} in seven turns");
    world.run();
    let all: String = (0..7).map(|number| format!("client-1> {number}\n")).collect();
    assert!(readers.iter().all(|reader| reader.received() == all));
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn of_timers_that_are_due_together_a_turn_fires_a_few_dozen() {
    let idle_timeout = Some(Duration::from_secs(60));
    let mut world = World::new(&Config { idle_timeout, ..quiet() });
    let clients: Vec<Client> = (0..900).map(|_| world.connect_silently()).collect();
    world.pass(ENTER_DELAY);
    world.now += Duration::from_secs(60);
    let most = most_in_a_turn(&mut world, || count(&clients, Client::is_ended));
    assert!((40..=128).contains(&most), "{most} in a turn");
    assert!(clients.iter().all(Client::is_ended));
    // None of them closes its end.
    world.now += GRACE;
    let most = most_in_a_turn(&mut world, || count(&clients, Client::is_closed));
    assert!((40..=64).contains(&most), "{most} in a turn");
    assert_eq!(world.hub.connections(), 0);
}

#[test]
fn of_long_messages_that_end_at_once_a_turn_takes_in_a_few_dozen() {
    let mut world = world(&quiet());
    let browsers: Vec<Client> = (0..300).map(|_| browse(&mut world)).collect();
    let message = text(&"x".repeat(65_000));
    let (last, begun) = message.split_last().unwrap();
    for browser in &browsers {
        world.says(browser, begun);
    }
    all_send(&mut world, &browsers, [*last]);
    let most = most_in_a_turn(&mut world, || count(&browsers, is_read));
    assert!((20..=60).contains(&most), "{most} in a turn");
}

#[test]
fn of_tiny_frames_a_turn_takes_in_less_than_of_long_ones() {
    let mut most = [text("x").repeat(3_000), text(&"x".repeat(999)).repeat(18)].map(|bytes| {
        let mut world = world(&quiet());
        let browsers: Vec<Client> = (0..300).map(|_| browse(&mut world)).collect();
        all_send(&mut world, &browsers, &bytes);
        let left = || {
            browsers
                .iter()
                .map(|browser| {
                    browser.peer.borrow().incoming.iter().map(crate::support::hub::Incoming::len).sum::<usize>()
                })
                .sum::<usize>()
        };
        let before = left();
        world.turn();
        before - left()
    });
    most.sort_unstable();
    assert!(most[1] <= 160 << 10, "{} bytes in a turn", most[1]);
    assert!(most[0] < 64 << 10, "{} bytes in a turn", most[0]);
}
