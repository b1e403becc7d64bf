//! `--allow`, `--deny` and `--max-per-address` in a hub with made-up peers. `src/server/access.rs` tests which address
//! matches what.

use std::net::SocketAddr;

use pollchat::server::access::{AccessRules, parse_prefix};
use pollchat::server::config::Config;
use pollchat::server::hub::Wake;
use pollchat::server::limits::{ENTER_DELAY, GRACE};

use crate::support::hub::{Client, READABLE, World};

fn rules(allow: &[&str], deny: &[&str], per_address_max: usize) -> AccessRules {
    let prefixes = |texts: &[&str]| texts.iter().map(|text| parse_prefix(text).unwrap()).collect();
    AccessRules { allow: prefixes(allow), deny: prefixes(deny), per_address_max }
}

const NOT_ALLOWED: &str = "* connections from your address are not allowed here";

/// As the world of these tests has it.
const REFUSALS_MAX: usize = 4;

fn world(access: AccessRules) -> World {
    World::new(&Config { access, announce_up_to: 0, ..Config::default() })
}

fn connect(world: &mut World, ip: &str) -> Client {
    world.connect_from(Some(SocketAddr::new(ip.parse().unwrap(), 1)))
}

#[track_caller]
fn assert_in(world: &mut World, client: &Client) {
    world.now += ENTER_DELAY;
    world.turn();
    let greeting = client.received();
    assert!(greeting.starts_with("* you are client-"), "{greeting:?}");
}

#[track_caller]
fn assert_refused(world: &mut World, client: &Client, notice: &str) {
    world.now += ENTER_DELAY;
    world.turn();
    assert_eq!(client.received(), format!("{notice}\nFIN\n"));
    assert!(client.is_ended() && !client.is_closed());
}

fn leave(world: &mut World, client: &Client) {
    client.ends();
    world.hub.on_ready(client.key, READABLE);
    world.run();
    assert!(client.is_closed());
}

#[test]
fn one_who_is_denied_is_told_and_let_go_in_good_order() {
    let mut world = world(rules(&[], &["192.0.2.0/24"], 0));
    let ana = connect(&mut world, "192.0.3.1");
    assert_in(&mut world, &ana);
    let denied = connect(&mut world, "192.0.2.7");
    assert_refused(&mut world, &denied, NOT_ALLOWED);
    world.says(&denied, "let me in\n");
    assert_eq!(ana.received(), "");
    leave(&mut world, &denied);
    world.pass(GRACE);
    assert_eq!(world.hub.next_wake(), Wake::OnEvent, "nothing is left of it");
}

#[test]
fn one_who_is_not_among_the_allowed_is_denied() {
    let mut world = world(rules(&["192.0.2.0/24"], &["192.0.2.9"], 0));
    let client = connect(&mut world, "192.0.2.1");
    assert_in(&mut world, &client);
    for ip in ["192.0.2.9", "192.0.3.1", "2001:db8::1"] {
        let client = connect(&mut world, ip);
        assert_refused(&mut world, &client, NOT_ALLOWED);
    }
}

#[test]
fn a_leaver_counts_until_its_connection_is_gone() {
    const TOO_MANY: &str = "* too many connections from your address (at most 2)";
    let mut world = world(rules(&[], &[], 2));
    let [ana, _ben] = [0, 1].map(|_| {
        let client = connect(&mut world, "192.0.2.1");
        assert_in(&mut world, &client);
        client
    });
    let refused = connect(&mut world, "192.0.2.1");
    assert_refused(&mut world, &refused, TOO_MANY);
    let other = connect(&mut world, "192.0.2.2");
    assert_in(&mut world, &other);
    world.says(&ana, "FIN\n");
    assert!(ana.is_ended() && !ana.is_closed());
    let early = connect(&mut world, "192.0.2.1");
    assert_refused(&mut world, &early, TOO_MANY);
    leave(&mut world, &ana);
    let next = connect(&mut world, "192.0.2.1");
    assert_in(&mut world, &next);
    let late = connect(&mut world, "::ffff:192.0.2.1");
    assert_refused(&mut world, &late, TOO_MANY);
}

#[test]
fn a_count_survives_a_kernel_that_has_forgotten_the_address() {
    let mut world = world(rules(&[], &[], 1));
    for _ in 0..3 {
        let client = connect(&mut world, "192.0.2.1");
        assert_in(&mut world, &client);
        client.peer.borrow_mut().address = None;
        client.resets();
        world.hub.on_ready(client.key, READABLE);
        world.run();
        assert!(client.is_closed());
    }
}

#[test]
fn one_who_is_gone_before_it_was_asked_is_closed_and_does_not_count() {
    let mut world = world(rules(&[], &["192.0.2.0/24"], 1));
    let gone = world.connect_from(None);
    assert!(gone.is_closed());
    assert_eq!(world.hub.connections(), 0);
    let client = connect(&mut world, "192.0.3.1");
    assert_in(&mut world, &client);
}

#[test]
fn an_open_door_asks_nobody_where_it_comes_from() {
    let mut world = world(AccessRules::default());
    let client = connect(&mut world, "192.0.2.1");
    assert_in(&mut world, &client);
    // When it leaves, the log asks.
    assert_eq!(client.peer.borrow().address_asked, 0);
}

#[test]
fn the_oldest_who_was_told_all_makes_room_and_with_none_such_the_next_is_just_closed() {
    let mut world = world(rules(&[], &["192.0.2.0/24"], 0));
    let first: Vec<Client> = (0..REFUSALS_MAX).map(|_| connect(&mut world, "192.0.2.1")).collect();
    // Nobody has been told anything yet.
    let unlucky = connect(&mut world, "192.0.2.1");
    assert!(unlucky.is_closed());
    assert_eq!(unlucky.received(), "");
    world.turn();
    let next = connect(&mut world, "192.0.2.1");
    assert_refused(&mut world, &next, NOT_ALLOWED);
    assert_eq!(first.iter().map(Client::is_closed).collect::<Vec<_>>(), [true, false, false, false]);
    assert_eq!(first[0].received(), format!("{NOT_ALLOWED}\nFIN\n"));
}

#[test]
fn those_who_are_refused_keep_nobody_out_and_hold_few_descriptors() {
    let access = rules(&["198.51.100.0/24"], &[], 1);
    let mut world = World::new(&Config { access, announce_up_to: 0, clients_max: Some(20), ..Config::default() });
    for host in 0..20 {
        for _ in 0..50 {
            connect(&mut world, "192.0.2.1");
            assert!(world.hub.connections() <= host + 2 * REFUSALS_MAX);
        }
        assert!(world.hub.can_admit());
        let client = connect(&mut world, &format!("198.51.100.{host}"));
        assert_in(&mut world, &client);
        assert!(world.hub.connections() <= host + 1 + REFUSALS_MAX);
    }
}

#[test]
fn one_who_is_refused_and_takes_nothing_is_given_up_in_time() {
    let mut world = world(rules(&[], &["192.0.2.1"], 0));
    let denied = connect(&mut world, "192.0.2.1");
    denied.takes(0);
    world.run();
    assert_eq!(world.hub.next_wake(), Wake::At(world.now + GRACE));
    world.now += GRACE;
    world.run();
    assert!(denied.is_closed());
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn a_storm_of_the_denied_leaves_nothing_behind_that_others_pay_for() {
    let mut world = world(rules(&[], &["192.0.2.1"], 0));
    let ana = connect(&mut world, "192.0.2.2");
    assert_in(&mut world, &ana);
    let mut last = Vec::new();
    for _ in 0..300 {
        // One a turn: it is given the key of the one that made room in the last turn.
        let denied = connect(&mut world, "192.0.2.1");
        // More than its share of a turn, so that it is still listed when it makes room.
        denied.sends("x".repeat(1_000_000));
        world.hub.on_ready(denied.key, READABLE);
        world.turn();
        last.push(denied);
    }
    let last = last.split_off(300 - REFUSALS_MAX);
    last.iter().for_each(|denied| denied.peer.borrow_mut().reads = 0);
    world.turn();
    for denied in &last {
        assert!(denied.peer.borrow().reads <= 2, "{} reads in one turn", denied.peer.borrow().reads);
    }
    last.iter().for_each(Client::ends);
    world.run();
    assert_eq!(world.hub.connections(), 1);
    world.pass(GRACE);
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}
