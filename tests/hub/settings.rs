//! Settings that change at run time: the greeting, the rules of access, the rate.

use std::net::SocketAddr;
use std::time::Duration;

use pollchat::relay::name::Name;
use pollchat::server::access::{AccessRules, parse_prefix};
use pollchat::server::config::Config;
use pollchat::server::endpoint::Endpoint;
use pollchat::server::flow::rate::Rate;
use pollchat::server::limits::ENTER_DELAY;

use crate::support::hub::{Client, READABLE, World, quiet};

fn from(ip: &str) -> Option<SocketAddr> {
    Some(SocketAddr::new(ip.parse().unwrap(), 1))
}

/// A client from this address, and what it is greeted with.
fn greeted(world: &mut World, ip: &str) -> (Client, String) {
    let client = world.connect_from(from(ip));
    world.pass(ENTER_DELAY);
    let greeting = client.received();
    (client, greeting)
}

fn leave(world: &mut World, client: &Client) {
    client.ends();
    world.hub.on_ready(client.key, READABLE);
    world.run();
}

fn at_most(per_address_max: usize) -> AccessRules {
    AccessRules { per_address_max, ..AccessRules::default() }
}

const WELCOME: &str = "* you are client-";
const NOT_ALLOWED: &str = "* connections from your address are not allowed here\nFIN\n";

#[track_caller]
fn assert_too_many(world: &mut World, ip: &str, most: usize) {
    let expected = format!("* too many connections from your address (at most {most})\nFIN\n");
    assert_eq!(greeted(world, ip).1, expected);
}

#[test]
fn newcomers_of_each_room_are_greeted_with_the_greeting_of_now() {
    let rooms = vec![Name::parse("rust").unwrap()];
    let mut world = World::new(&Config { greeting: "old".into(), rooms, rooms_max: 9, ..quiet() });
    let (ana, greeting) = greeted(&mut world, "192.0.2.1");
    assert!(greeting.ends_with("\n* old\n"), "{greeting}");
    world.says(&ana, "/join opened-before\n");
    ana.received();
    world.hub.set_greeting("new\nand longer");
    world.says(&ana, "/join opened-after\n");
    assert!(!ana.received().contains("new"), "a member is told nothing");
    for room in ["lobby", "rust", "opened-before", "opened-after"] {
        let client = world.connect_from(from("192.0.2.2"));
        world.says(&client, format!("/join {room}\n"));
        let greeting = client.received();
        assert!(greeting.contains("\n* new\n* and longer\n") && !greeting.contains("old"), "{room}: {greeting}");
    }
    world.hub.set_greeting("");
    assert_eq!(greeted(&mut world, "192.0.2.1").1.lines().count(), 1);
}

#[test]
fn a_changed_rule_holds_for_newcomers_and_disconnects_nobody() {
    let mut world = World::new(&quiet());
    let (ana, _) = greeted(&mut world, "192.0.2.1");
    let deny = vec![parse_prefix("192.0.2.0/24").unwrap()];
    world.hub.set_access(&AccessRules { deny, ..AccessRules::default() });
    assert_eq!(greeted(&mut world, "192.0.2.1").1, NOT_ALLOWED);
    world.says(&ana, "still here\n");
    let (bob, _) = greeted(&mut world, "192.0.3.1");
    world.says(&ana, "hello\n");
    assert_eq!(bob.received(), "client-1> hello\n");
    world.hub.set_access(&AccessRules::default());
    assert!(greeted(&mut world, "192.0.2.1").1.starts_with(WELCOME));
}

#[test]
fn when_the_limit_of_an_address_begins_the_present_count() {
    let mut world = World::new(&quiet());
    let clients = [0, 1, 2].map(|_| greeted(&mut world, "192.0.2.1").0);
    let entering = world.connect_from(from("192.0.2.1"));
    world.hub.set_access(&at_most(2));
    assert_too_many(&mut world, "192.0.2.1", 2);
    assert!(entering.received().starts_with("* too many"), "it had not entered");
    assert!(greeted(&mut world, "192.0.2.2").1.starts_with(WELCOME));
    leave(&mut world, &clients[0]);
    assert_too_many(&mut world, "192.0.2.1", 2);
    leave(&mut world, &clients[1]);
    assert!(greeted(&mut world, "192.0.2.1").1.starts_with(WELCOME));
    assert_too_many(&mut world, "192.0.2.1", 2);
}

#[test]
fn another_limit_goes_on_with_the_counts_and_asks_for_no_address_again() {
    let mut world = World::new(&Config { access: at_most(2), ..quiet() });
    let clients = [0, 1].map(|_| greeted(&mut world, "192.0.2.1").0);
    let asked = |client: &Client| client.peer.borrow().address_asked;
    let before = clients.each_ref().map(asked);
    world.hub.set_access(&at_most(1));
    assert_eq!(clients.each_ref().map(asked), before);
    assert_too_many(&mut world, "192.0.2.1", 1);
    world.hub.set_access(&at_most(3));
    assert!(greeted(&mut world, "192.0.2.1").1.starts_with(WELCOME));
    assert_too_many(&mut world, "192.0.2.1", 3);
    world.hub.set_access(&at_most(0));
    assert!(greeted(&mut world, "192.0.2.1").1.starts_with(WELCOME));
    // What was not counted meanwhile is counted anew.
    world.hub.set_access(&at_most(4));
    assert_too_many(&mut world, "192.0.2.1", 4);
}

#[test]
fn without_a_limit_no_address_of_the_present_is_asked() {
    let mut world = World::new(&quiet());
    let (ana, _) = greeted(&mut world, "192.0.2.1");
    let asked = ana.peer.borrow().address_asked;
    world.hub.set_access(&AccessRules { deny: vec![parse_prefix("::1").unwrap()], ..AccessRules::default() });
    world.hub.set_access(&AccessRules::default());
    assert_eq!(ana.peer.borrow().address_asked, asked);
}

#[test]
fn clients_of_a_proxy_count_by_their_own_addresses() {
    let proxies = ["10.0.0.0/24".parse().unwrap()].into_iter().collect();
    let mut world = World::new(&Config { proxies, ..quiet() });
    let behind = |world: &mut World, ip: &str| {
        let client = world.connect_to(Endpoint::Lines, from("10.0.0.1"));
        client.sends(format!("PROXY TCP4 {ip} 198.51.100.1 56324 46000\r\n"));
        world.hub.on_ready(client.key, READABLE);
        world.run();
        world.pass(ENTER_DELAY);
        (client.received(), client)
    };
    let (_, _ana) = behind(&mut world, "192.0.2.7");
    // Its header is still to come.
    let late = world.connect_to(Endpoint::Lines, from("10.0.0.1"));
    world.hub.set_access(&at_most(1));
    assert!(behind(&mut world, "192.0.2.7").0.starts_with("* too many"));
    assert!(behind(&mut world, "192.0.2.8").0.starts_with(WELCOME));
    late.sends("PROXY TCP4 192.0.2.9 198.51.100.1 56324 46000\r\n");
    world.hub.on_ready(late.key, READABLE);
    world.run();
    world.pass(ENTER_DELAY);
    assert!(late.received().starts_with(WELCOME));
}

#[test]
fn a_rate_begins_changes_and_ends_for_clients_that_are_there() {
    let mut world = World::new(&quiet());
    let [ana, bob] = [1, 2].map(|_| greeted(&mut world, "192.0.2.1").0);
    let said = |bob: &Client| bob.received().lines().count();
    world.says(&ana, "x\n".repeat(50));
    assert_eq!(said(&bob), 50);
    world.hub.set_rate(Some(Rate::new(1, 3)), world.now);
    world.says(&ana, "x\n".repeat(50));
    assert_eq!(said(&bob), 3);
    // It owes three seconds, which is more than a burst of the new rate. The other lines wait in the hub.
    world.hub.set_rate(Some(Rate::new(10, 5)), world.now);
    world.run_for(Duration::from_secs(1));
    assert_eq!(said(&bob), 10);
    world.hub.set_rate(None, world.now);
    world.run();
    assert_eq!(said(&bob), 50 - 3 - 10);
}

#[test]
fn a_client_that_owes_an_hour_waits_for_one_line_of_the_new_rate() {
    let mut world = World::new(&Config { rate: Some(Rate::new(1, 3_600)), ..quiet() });
    let [ana, bob] = [1, 2].map(|_| greeted(&mut world, "192.0.2.1").0);
    world.says(&ana, "x\n".repeat(3_700));
    assert_eq!(bob.received().lines().count(), 3_600);
    world.hub.set_rate(Some(Rate::new(10, 1)), world.now);
    world.run_for(Duration::from_secs(1));
    assert_eq!(bob.received().lines().count(), 10);
}
