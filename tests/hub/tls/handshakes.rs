//! Handshakes: their budget, their time, their bounds; and what speaks no TLS.

use std::time::Duration;

use pollchat::net::tls::RECORD_BYTES_MAX;
use pollchat::server::access::{AccessRules, parse_prefix};
use pollchat::server::config::Config;
use pollchat::server::endpoint::Endpoint;
use pollchat::server::hub::Wake;
use pollchat::server::limits::{ENTER_DELAY, GRACE, HANDSHAKE_TIME, HANDSHAKES_A_TURN, REQUEST_TIME};

use super::{House, Sealed, greeting};
use crate::support::hub::{READABLE, quiet};

const MILLISECOND: Duration = Duration::from_millis(1);

fn failures(house: &House) -> u64 {
    let stats = house.world.hub.stats().stats;
    let failed = stats.reasons.iter().find(|(label, _)| *label == "TLS failed");
    failed.unwrap().1
}

#[test]
fn the_delays_of_entering_begin_behind_the_handshake() {
    let mut house = House::new(&quiet());
    let mut ana = house.connect();
    house.world.pass(HANDSHAKE_TIME - MILLISECOND);
    house.shake_hands(&mut ana);
    assert_eq!(house.world.hub.next_wake(), Wake::At(house.world.now + MILLISECOND), "the timer of the handshake");
    house.world.pass(ENTER_DELAY - MILLISECOND);
    assert_eq!(house.received(&mut ana), "");
    house.world.pass(MILLISECOND);
    assert_eq!(house.received(&mut ana), greeting(1));
}

#[test]
fn the_header_of_a_proxy_comes_before_the_handshake_however_they_are_cut() {
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 46001\r\n";
    let denied = parse_prefix("192.0.2.7").unwrap();
    for deny in [Vec::new(), vec![denied]] {
        let is_denied = !deny.is_empty();
        let access = AccessRules { deny, ..AccessRules::default() };
        let proxies = ["127.0.0.1"].iter().map(|text| text.parse().unwrap()).collect();
        let config = Config { access, proxies, ..quiet() };
        for cut in 1..=header.len() + 1 {
            let mut house = House::new(&config);
            let mut ana = house.connect();
            let bytes = [header.as_slice(), &ana.wire.outgoing()].concat();
            let (first, rest) = bytes.split_at(cut);
            house.world.says(&ana.client, first);
            house.world.says(&ana.client, rest);
            if is_denied {
                assert_eq!(ana.client.received_bytes(), b"", "no plain text where TLS is expected");
                assert!(ana.client.is_closed());
                continue;
            }
            house.received(&mut ana);
            house.shake_hands(&mut ana);
            house.world.pass(ENTER_DELAY);
            assert_eq!(house.received(&mut ana), greeting(1), "cut at {cut}");
        }
    }
}

#[test]
fn a_proxy_shakes_hands_on_the_port_of_the_page_and_names_its_client_in_the_request() {
    let access = AccessRules { deny: vec![parse_prefix("192.0.2.7").unwrap()], ..AccessRules::default() };
    let proxies = ["127.0.0.1"].iter().map(|text| text.parse().unwrap()).collect();
    let config = Config { access, proxies, ..quiet() };
    for (client, status) in [("192.0.2.8", "200 OK"), ("192.0.2.7", "403 Forbidden")] {
        let mut house = House::new(&config);
        let mut visitor = house.open(Endpoint::TlsWeb);
        house.says(&mut visitor, format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: {client}\r\n\r\n"));
        let answer = house.received(&mut visitor);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}

#[test]
fn a_handshake_has_its_time_however_its_bytes_drip_and_is_never_announced() {
    for endpoint in [Endpoint::TlsLines, Endpoint::TlsWeb] {
        for drip in [0, 1, 40] {
            let mut house = House::new(&Config::default());
            let witness = house.world.connect_and_settle();
            let mut slow = house.connect_to(endpoint);
            let hello = slow.wire.outgoing();
            let end = house.world.now + HANDSHAKE_TIME;
            for at in 0..100 {
                house.world.now += HANDSHAKE_TIME / 101;
                let from = (at * drip).min(hello.len() - 1);
                let to = ((at + 1) * drip).min(hello.len() - 1);
                if to > from {
                    house.world.says(&slow.client, &hello[from..to]);
                }
                assert!(!slow.client.is_closed());
            }
            house.world.now = end;
            house.world.run();
            assert!(slow.client.is_closed());
            assert_eq!((slow.client.received_bytes(), witness.received()), (Vec::new(), String::new()));
            assert_eq!(failures(&house), 1);
        }
    }
}

#[test]
fn a_hello_without_an_end_is_bounded() {
    let mut house = House::new(&quiet());
    let endless = house.connect();
    // A message of the handshake that says it is 64 KiB long, in records of 1 KiB.
    let mut bytes = vec![0x16, 3, 1, 4, 0, 1, 0, 0xff, 0xff];
    bytes.resize(5 + 1_024, 0);
    let mut sent = 0;
    while !endless.client.is_ended() && sent < 100_000 {
        house.world.says(&endless.client, &bytes);
        sent += bytes.len();
        bytes[5..9].fill(0);
    }
    assert!(sent <= RECORD_BYTES_MAX + 2_048, "{sent} bytes were taken");
    assert_eq!(failures(&house), 1);
    house.world.pass(GRACE);
    assert!(endless.client.is_closed());
}

#[test]
fn a_turn_takes_two_handshakes_and_serves_the_others_meanwhile() {
    const HELLOS: usize = 7;
    let mut house = House::new(&quiet());
    let (ana, bob) = (house.world.connect(), house.world.connect());
    let mut crowd: Vec<Sealed> = (0..HELLOS).map(|_| house.connect()).collect();
    for sealed in &mut crowd {
        sealed.client.sends(sealed.wire.outgoing());
        house.world.hub.on_ready(sealed.client.key, READABLE);
    }
    for turn in 1..=HELLOS.div_ceil(HANDSHAKES_A_TURN) {
        ana.sends(format!("{turn}\n"));
        house.world.hub.on_ready(ana.key, READABLE);
        house.world.turn();
        let answered = crowd.iter().filter(|sealed| !sealed.client.peer.borrow().received.is_empty()).count();
        assert_eq!(answered, HELLOS.min(turn * HANDSHAKES_A_TURN), "first in, first out, two a turn");
        assert_eq!(bob.received(), format!("client-1> {turn}\n"));
        assert_eq!(house.world.hub.next_wake(), Wake::Now);
    }
    for sealed in &mut crowd {
        house.received(sealed);
        house.shake_hands(sealed);
    }
    house.world.pass(ENTER_DELAY);
    let greetings: Vec<String> = crowd.iter_mut().map(|sealed| house.received(sealed)).collect();
    assert!(greetings.iter().all(|greeting| greeting.starts_with("* you are client-")));
}

#[test]
fn a_storm_of_talkers_starves_no_handshake() {
    let mut house = House::new(&quiet());
    let talkers: Vec<_> = (0..300).map(|_| house.world.connect()).collect();
    let mut ana = house.connect();
    ana.client.sends(ana.wire.outgoing());
    house.world.hub.on_ready(ana.client.key, READABLE);
    for talker in &talkers {
        talker.sends("hello, hello, hello\n".repeat(1_000));
        house.world.hub.on_ready(talker.key, READABLE);
    }
    let turns = (0..5).take_while(|_| {
        house.world.turn();
        ana.client.peer.borrow().received.is_empty()
    });
    assert!(turns.count() < 5, "its hello is answered while others talk");
}

#[test]
fn plain_text_on_the_line_port_is_answered_in_plain_text() {
    for text in ["hello\n", "GET / HTTP/1.1\r\n\r\n", "\n", "x", "/track\n"] {
        let mut house = House::new(&Config::default());
        let witness = house.world.connect_and_settle();
        let plain = house.connect();
        house.world.says(&plain.client, text);
        assert_eq!(plain.client.received(), "* this port speaks TLS: goodbye\nFIN\n", "{text:?}");
        assert!(plain.client.is_ended());
        plain.client.ends();
        house.world.says(&plain.client, "");
        assert!(plain.client.is_closed());
        assert_eq!((witness.received(), failures(&house)), (String::new(), 1));
    }
}

#[test]
fn plain_text_on_the_port_of_the_page_is_answered_in_http() {
    let mut house = House::new(&quiet());
    let plain = house.connect_to(Endpoint::TlsWeb);
    house.world.says(&plain.client, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let answer = plain.client.received();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n") && answer.contains("use https://"), "{answer}");
    assert!(plain.client.is_ended());
}

#[test]
fn a_peer_that_wants_another_protocol_is_told_in_an_alert() {
    let mut house = House::new(&quiet());
    let mut browser = house.connect_to(Endpoint::TlsWeb);
    browser.client = house.connect().client;
    let hello = browser.wire.outgoing();
    house.world.says(&browser.client, hello);
    let error = browser.wire.try_receive(&browser.client.received_bytes()).unwrap_err();
    assert_eq!(error, rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol));
    assert!(browser.client.is_ended());
    assert_eq!(failures(&house), 1);
}

#[test]
fn a_peer_that_leaves_before_its_handshake_is_over_is_no_failure() {
    let mut house = House::new(&Config::default());
    let witness = house.world.connect_and_settle();
    for hello in [0, 10, usize::MAX] {
        let mut gone = house.connect();
        let bytes = gone.wire.outgoing();
        gone.client.sends(&bytes[..hello.min(bytes.len())]);
        gone.client.ends();
        house.world.says(&gone.client, "");
        assert!(gone.client.is_closed());
    }
    assert_eq!((witness.received(), failures(&house)), (String::new(), 0));
    assert_eq!(house.world.hub.stats().stats.passing, 3);
}

#[test]
fn a_refusal_at_the_accept_is_never_told_in_plain_text() {
    let deny = vec![parse_prefix("127.0.0.1").unwrap()];
    let mut house = House::new(&Config { access: AccessRules { deny, ..AccessRules::default() }, ..quiet() });
    for endpoint in [Endpoint::TlsLines, Endpoint::TlsWeb] {
        let refused = house.connect_to(endpoint);
        house.world.run();
        assert!(refused.client.is_closed());
        assert_eq!(refused.client.received(), "");
    }
}

#[test]
fn a_visitor_has_the_time_for_its_request_behind_the_handshake() {
    let mut house = House::new(&quiet());
    let mut visitor = house.connect_to(Endpoint::TlsWeb);
    house.world.pass(HANDSHAKE_TIME - MILLISECOND);
    house.shake_hands(&mut visitor);
    house.says(&mut visitor, "GET / HTTP/1.1\r\n");
    house.world.pass(REQUEST_TIME - MILLISECOND);
    assert_eq!(house.received(&mut visitor), "");
    house.world.pass(MILLISECOND);
    assert!(house.received(&mut visitor).starts_with("HTTP/1.1 408 "));
}

#[test]
fn flights_of_the_server_may_be_cut_anywhere() {
    for size in [1, 7, 100] {
        let mut house = House::new(&quiet());
        let mut ana = house.connect();
        ana.client.takes(0);
        let hello = ana.wire.outgoing();
        house.world.says(&ana.client, hello);
        while ana.wire.tls.is_handshaking() {
            house.world.makes_room(&ana.client, size);
            house.received(&mut ana);
        }
        ana.client.takes(usize::MAX);
        house.says(&mut ana, "\n");
        assert_eq!(house.received(&mut ana), greeting(1));
    }
}
