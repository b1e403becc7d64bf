//! The ends of a session: said by either side, or not said.

use pollchat::net::tls::ALPN_LINES;
use pollchat::server::config::Config;
use pollchat::server::endpoint::Endpoint;
use pollchat::server::limits::GRACE;

use super::House;
use crate::support::hub::{READABLE, quiet};
use crate::support::tls::Identity;

#[test]
fn an_end_that_the_client_says_ends_its_last_line() {
    let mut house = House::new(&Config::default());
    let mut ana = house.enter();
    let bob = house.world.connect_and_settle();
    house.says(&mut ana, "hello\nand good");
    let end = ana.wire.close();
    house.world.says(&ana.client, end);
    assert_eq!(bob.received(), "* client-1 joined\nclient-1> hello\nclient-1> and good\n* client-1 left\n");
    assert!(house.received(&mut ana).ends_with("FIN\n"));
    assert!(ana.wire.is_closed && ana.client.is_ended() && ana.client.is_closed());
}

#[test]
fn an_end_that_nobody_says_is_a_reset_and_drops_half_a_line() {
    let mut house = House::new(&Config::default());
    let mut ana = house.enter();
    let bob = house.world.connect_and_settle();
    let sealed = ana.wire.seal(b"hello\nand good");
    ana.client.sends(sealed);
    ana.client.ends();
    house.world.hub.on_ready(ana.client.key, READABLE);
    house.world.run();
    assert_eq!(bob.received(), "* client-1 joined\nclient-1> hello\n* client-1 left\n");
    assert!(ana.client.is_closed() && !ana.client.is_ended());
}

#[test]
fn an_end_in_the_middle_of_a_record_is_a_reset() {
    for cut in 1..30 {
        let mut house = House::new(&quiet());
        let mut ana = house.enter();
        let bob = house.world.connect();
        let sealed = ana.wire.seal(b"hello\n");
        ana.client.sends(&sealed[..cut.min(sealed.len() - 1)]);
        ana.client.ends();
        house.world.hub.on_ready(ana.client.key, READABLE);
        house.world.run();
        assert_eq!(bob.received(), "");
        assert!(ana.client.is_closed());
    }
}

#[test]
fn the_server_says_its_end_behind_the_last_line_wherever_the_writes_are_cut() {
    for first in 0..120 {
        let mut house = House::new(&quiet());
        let mut ana = house.enter();
        ana.client.takes(first);
        house.says(&mut ana, "/who\nFIN\n");
        let mut received = house.received(&mut ana);
        for _ in 0..200 {
            assert_eq!(ana.client.is_ended(), ana.wire.is_closed, "cut at {first}");
            house.world.makes_room(&ana.client, 1);
            received += &house.received(&mut ana);
        }
        assert_eq!(received, "* here: client-1, 0 lines, 0 min\n* 1 here\nFIN\n", "cut at {first}");
        assert!(ana.client.is_ended() && ana.wire.is_closed);
        ana.client.ends();
        house.world.hub.on_ready(ana.client.key, READABLE);
        house.world.run();
        assert!(ana.client.is_closed());
    }
}

#[test]
fn a_client_that_takes_the_end_of_its_output_slowly_is_waited_for() {
    let mut house = House::new(&quiet());
    let mut ana = house.enter();
    ana.client.takes(0);
    house.says(&mut ana, "/help\nFIN\n");
    while !ana.client.is_ended() {
        house.world.pass(GRACE - GRACE / 10);
        assert!(!ana.client.is_closed());
        house.world.makes_room(&ana.client, 40);
    }
    assert!(house.received(&mut ana).ends_with("FIN\n"));
    house.world.pass(GRACE);
    assert!(ana.client.is_closed());
}

#[test]
fn what_is_no_record_ends_one_client() {
    let mut house = House::new(&Config::default());
    let (mut eve, mut ana) = (house.enter(), house.enter());
    let bob = house.world.connect_and_settle();
    house.received(&mut ana);
    let mut sealed = eve.wire.seal(b"hello\n");
    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    house.world.says(&eve.client, sealed);
    assert!(eve.client.is_closed());
    assert_eq!(bob.received(), "* client-1 joined\n* client-2 joined\n* client-1 left\n");
    house.says(&mut ana, "hello\n");
    assert_eq!(bob.received(), "client-2> hello\n");
}

#[test]
fn a_server_that_stops_says_its_end_to_all() {
    let mut house = House::new(&quiet());
    let mut ana = house.enter();
    let halfway = house.connect();
    house.world.hub.shut_down(house.world.now);
    house.world.run();
    assert!(house.received(&mut ana).ends_with("FIN\n"));
    assert!(ana.wire.is_closed && ana.client.is_ended());
    assert!(halfway.client.is_closed(), "nobody is told anything in the middle of a handshake");
    assert_eq!(halfway.client.received(), "");
}

#[test]
fn a_full_server_says_so_behind_the_handshake() {
    let mut house = House::new(&Config { clients_max: Some(1), ..quiet() });
    let _ana = house.enter();
    let mut bob = house.open(Endpoint::TlsLines);
    house.says(&mut bob, "\n");
    assert_eq!(house.received(&mut bob), "* the server is full (1 client)\nFIN\n");
    assert!(bob.wire.is_closed && bob.client.is_ended());
}

#[test]
fn new_settings_are_for_new_handshakes_alone() {
    let mut house = House::new(&quiet());
    let mut ana = house.enter();
    let renewed = Identity::new();
    house.world.hub.open_tls(renewed.configs());
    house.lines = renewed.client_config(ALPN_LINES);
    let mut bob = house.enter();
    house.says(&mut ana, "hello\n");
    assert_eq!(house.received(&mut bob), "client-1> hello\n");
}
