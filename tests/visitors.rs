//! Visitors of the page who take what belongs to others, time and places, in a hub whose sockets and time are not real.

#[path = "support/fake_hub.rs"]
mod fake_hub;

use std::net::SocketAddr;

use fake_hub::{Client, READABLE, World, quiet};
use pollchat::server::config::{Config, GRACE, Port};
use pollchat::server::web::gate::Gate;
use pollchat::server::web::site::Site;

const OPENING: &str = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A hub that has a page.
fn world(config: &Config) -> World {
    let mut world = World::new(config);
    world.hub.open_site(Site::new(Gate::default(), &[SocketAddr::from(([192, 0, 2, 1], 80))]));
    world
}

fn visit(world: &mut World) -> Client {
    world.connect_to(Port::Web, Some(SocketAddr::from(([127, 0, 0, 1], 1))))
}

#[test]
fn who_sends_empty_lines_for_ever_keeps_nobody_waiting() {
    let mut world = world(&quiet());
    let endless = visit(&mut world);
    endless.sends("\r\n".repeat(1_000_000));
    world.hub.on_ready(endless.key, READABLE);
    world.turn();
    // What a turn reads of one, in pieces of what a request may have.
    let reads = endless.peer.borrow().reads;
    assert!(reads <= 4, "{reads} reads in one turn");
    let other = visit(&mut world);
    other.sends("HEAD / HTTP/1.0\r\n\r\n");
    world.hub.on_ready(other.key, READABLE);
    world.turn();
    assert!(other.received().starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn who_is_refused_at_a_websocket_is_a_visitor_until_it_is_gone() {
    let mut world = world(&Config { clients_max: Some(1), ..quiet() });
    let first = visit(&mut world);
    world.says(&first, OPENING);
    // None of them closes its end. There are places for 50 visitors, and a few are being told that there is none left.
    for _ in 0..200 {
        let visitor = visit(&mut world);
        world.says(&visitor, OPENING);
    }
    let connections = world.hub.connections();
    assert!(connections <= 1 + 50 + 2 * 4, "{connections} connections");
}

#[test]
fn browsers_that_leave_and_keep_their_connection_are_no_more_than_others_who_do() {
    const CLOSE: [u8; 6] = [0x88, 0x80, 0, 0, 0, 0];
    let mut world = world(&Config { clients_max: Some(1), ..quiet() });
    for _ in 0..200 {
        let browser = visit(&mut world);
        world.says(&browser, OPENING);
        world.says(&browser, CLOSE);
    }
    let connections = world.hub.connections();
    assert!(connections <= 1 + 2 + 50 + 2 * 4, "{connections} connections");
    // When they are gone, there is a place again.
    world.now += GRACE;
    world.run();
    assert_eq!(world.hub.connections(), 0);
    let browser = visit(&mut world);
    world.says(&browser, OPENING);
    assert!(!browser.is_ended());
}
