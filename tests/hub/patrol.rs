//! The search for dead peers, for kernels that do not find them by themselves.

use std::time::Duration;

use pollchat::server::hub::Wake;

use crate::support::hub::{Client, READABLE, World, quiet};
use crate::support::page::{browse, world};

/// Time between two steps of the patrol.
const STEP: Duration = Duration::from_secs(10);

/// Passes more than a round.
fn pass_a_round(world: &mut World) {
    (0..7).for_each(|_| world.pass(STEP));
}

#[test]
fn a_client_that_answers_nothing_is_disconnected_within_a_round_and_others_stay() {
    let mut world = World::new(&quiet());
    world.hub.begin_patrol(world.now);
    let clients: Vec<Client> = (0..20).map(|_| world.connect()).collect();
    pass_a_round(&mut world);
    assert_eq!(world.hub.connections(), 20);
    for dead in [3, 0, 19] {
        clients[dead].peer.borrow_mut().is_unanswered = true;
    }
    pass_a_round(&mut world);
    for (at, client) in clients.iter().enumerate() {
        assert_eq!(client.is_closed(), [3, 0, 19].contains(&at), "{at}");
    }
}

#[test]
fn a_step_asks_about_a_part_of_the_clients() {
    let mut world = World::new(&quiet());
    world.hub.begin_patrol(world.now);
    let clients: Vec<Client> = (0..600).map(|_| world.connect_silently()).collect();
    world.pass(Duration::from_secs(1));
    clients.iter().for_each(|client| client.peer.borrow_mut().is_unanswered = true);
    for left in [500, 400, 300, 200, 100, 0] {
        world.pass(STEP);
        assert_eq!(world.hub.connections(), left);
    }
}

#[test]
fn a_browser_is_pinged_and_not_asked_about() {
    let mut world = world(&quiet());
    world.hub.begin_patrol(world.now);
    let browser = browse(&mut world);
    browser.peer.borrow_mut().is_unanswered = true;
    world.pass(STEP);
    assert!(!browser.is_closed());
}

#[test]
fn without_clients_the_patrol_sleeps() {
    let mut world = World::new(&quiet());
    world.hub.begin_patrol(world.now);
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
    let ana = world.connect();
    pass_a_round(&mut world);
    assert!(matches!(world.hub.next_wake(), Wake::At(_)));
    ana.ends();
    world.hub.on_ready(ana.key, READABLE);
    // The log counts for a minute.
    pass_a_round(&mut world);
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn on_a_kernel_that_finds_dead_peers_none_is_asked_about() {
    let mut world = World::new(&quiet());
    let ana = world.connect();
    ana.peer.borrow_mut().is_unanswered = true;
    pass_a_round(&mut world);
    assert!(!ana.is_closed());
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn a_dead_peer_on_its_way_to_another_room_is_found() {
    let mut world = world(&quiet());
    world.hub.begin_patrol(world.now);
    let (ana, bob, eve) = (world.connect(), world.connect(), browse(&mut world));
    let frame = |text: &str| [&[0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0], text.as_bytes()].concat();
    bob.takes(0);
    eve.takes(0);
    world.says(&ana, "hello\n");
    world.says(&bob, "/join rust\n");
    world.says(&eve, frame("/join rust"));
    for client in [&bob, &eve] {
        client.peer.borrow_mut().is_unanswered = true;
    }
    pass_a_round(&mut world);
    assert!(bob.is_closed() && eve.is_closed() && !ana.is_closed());
}
