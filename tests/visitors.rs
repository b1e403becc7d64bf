//! Visitors of the page who take what belongs to others, time and places, in a hub whose sockets and time are not real.

#[path = "support/fake_hub.rs"]
mod fake_hub;

use std::net::SocketAddr;

use fake_hub::{Client, READABLE, World, quiet};
use pollchat::server::config::{Config, Port};
use pollchat::server::web::gate::Gate;
use pollchat::server::web::site::Site;

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
