//! Lines in records: both ways, wherever reads and writes cut them.

use std::time::Duration;

use pollchat::net::tls::RECORD_TEXT_BYTES;
use pollchat::server::config::{Config, Lag};
use pollchat::server::hub::Wake;
use pollchat::server::limits::{ENTER_DELAY, HANDSHAKE_TIME, PRIVATE_BYTES_MAX};

use super::{House, greeting};
use crate::support::hub::{Incoming, READABLE, quiet};

#[test]
fn a_client_that_speaks_tls_talks_with_one_that_does_not() {
    let mut house = House::new(&quiet());
    let mut ana = house.enter();
    let bob = house.world.connect();
    house.says(&mut ana, "hello\n");
    assert_eq!(bob.received(), "client-1> hello\n");
    house.world.says(&bob, "good morning\n");
    assert_eq!(house.received(&mut ana), "client-2> good morning\n");
    house.world.pass(HANDSHAKE_TIME);
    assert_eq!(house.world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn lines_arrive_whole_however_reads_cut_their_records() {
    for size in (1..60).chain([100, 200, 1_000]) {
        let mut house = House::new(&quiet());
        let mut ana = house.connect();
        while ana.wire.tls.is_handshaking() || ana.wire.tls.wants_write() {
            for piece in ana.wire.outgoing().chunks(size) {
                house.world.says(&ana.client, piece);
            }
            house.received(&mut ana);
        }
        let bob = house.world.connect();
        let sealed = [ana.wire.seal(b"one\ntwo"), ana.wire.seal(b" and three\n"), ana.wire.seal(b"four\n")].concat();
        for piece in sealed.chunks(size) {
            house.world.says(&ana.client, piece);
        }
        assert_eq!(bob.received(), "client-1> one\nclient-1> two and three\nclient-1> four\n", "{size}");
    }
}

#[test]
fn lines_behind_the_handshake_in_one_read_are_not_forgotten() {
    let mut house = House::new(&quiet());
    let mut ana = house.connect();
    let hello = ana.wire.outgoing();
    house.world.says(&ana.client, hello);
    assert_eq!(house.received(&mut ana), "");
    let bob = house.world.connect();
    house.says(&mut ana, "hello\nand good");
    assert_eq!(bob.received(), "client-2> hello\n");
    house.says(&mut ana, "bye\nFIN\n");
    assert_eq!(bob.received(), "client-2> and goodbye\n");
    assert_eq!(house.received(&mut ana), greeting(2) + "FIN\n");
}

#[test]
fn short_writes_at_every_byte_of_the_ciphertext_tear_no_line() {
    for first in 0..150 {
        let mut house = House::new(&quiet());
        let mut bob = house.enter();
        let ana = house.world.connect();
        bob.client.takes(first);
        for round in 0..4 {
            house.world.says(&ana, format!("a{round}\n"));
            house.says(&mut bob, format!("b{round}\nc{round}\n"));
        }
        let mut received = house.received(&mut bob);
        for _ in 0..100 {
            house.world.makes_room(&bob.client, 3);
            received += &house.received(&mut bob);
        }
        assert_eq!(received, "client-2> a0\nclient-2> a1\nclient-2> a2\nclient-2> a3\n", "cut at {first}");
    }
}

#[test]
fn a_long_output_goes_out_in_records_of_the_longest_kind() {
    for room in [7, 1_000, RECORD_TEXT_BYTES, 20_000, usize::MAX] {
        let mut house = House::new(&Config { line_bytes_max: 30_000, ..quiet() });
        let mut bob = house.enter();
        let ana = house.world.connect();
        bob.client.takes(room.min(700));
        let lines: Vec<String> = ["a", "b", "c"].iter().map(|letter| letter.repeat(25_000)).collect();
        for line in &lines {
            house.world.says(&ana, format!("{line}\nshort\n"));
        }
        let expected: String = lines.iter().map(|line| format!("client-2> {line}\nclient-2> short\n")).collect();
        let mut received = house.received(&mut bob);
        while received.len() < expected.len() {
            house.world.makes_room(&bob.client, room);
            let more = house.received_bytes(&mut bob);
            received += std::str::from_utf8(&more).unwrap();
        }
        assert_eq!(received, expected, "{room}");
    }
}

#[test]
fn ciphertext_that_was_not_taken_is_owed_until_it_is() {
    let mut house = House::new(&quiet());
    let mut bob = house.enter();
    let ana = house.world.connect();
    bob.client.takes(10);
    house.world.says(&ana, "hello\n");
    assert_eq!(house.received(&mut bob), "");
    house.world.makes_room(&bob.client, 10);
    assert_eq!(house.received(&mut bob), "");
    house.world.makes_room(&bob.client, usize::MAX);
    assert_eq!(house.received(&mut bob), "client-2> hello\n");
}

#[test]
fn a_lagging_reader_is_told_how_many_lines_it_missed() {
    let mut house = House::new(&Config { backlog_bytes: 6_000, line_bytes_max: 100, ..quiet() });
    let mut bob = house.enter();
    let ana = house.world.connect();
    house.world.makes_room(&bob.client, 30);
    ana.sends((0..1_000).map(|number| format!("line {number}\n")).collect::<String>());
    house.world.hub.on_ready(ana.key, READABLE);
    house.world.run_for(Duration::from_secs(60));
    house.world.makes_room(&bob.client, usize::MAX);
    let received = house.received(&mut bob);
    let lines: Vec<&str> = received.lines().collect();
    let is_told = |line: &&str| line.starts_with("* you missed ");
    let missed: usize = lines
        .iter()
        .filter(|line| is_told(line))
        .map(|line| line.split(' ').nth(3).unwrap().parse::<usize>().unwrap())
        .sum();
    let said = lines.iter().filter(|line| line.starts_with("client-2> line ")).count();
    assert_eq!((missed + said, missed > 500), (1_000, true), "{missed} missed");
    assert_eq!(lines.last(), Some(&"client-2> line 999"));
}

#[test]
fn a_room_that_waits_loses_no_line_of_a_slow_reader() {
    let stall_timeout = Duration::from_secs(30);
    let waiting = Config { lag: Lag::Wait, stall_timeout, backlog_bytes: 64 * 1024, line_bytes_max: 100, ..quiet() };
    let mut house = House::new(&waiting);
    let (mut bob, ana) = (house.enter(), house.world.connect());
    house.world.makes_room(&bob.client, 0);
    ana.sends((0..10_000).map(|number| format!("line {number}\n")).collect::<String>());
    house.world.hub.on_ready(ana.key, READABLE);
    house.world.run_for(Duration::from_secs(5));
    let expected: String = (0..10_000).map(|number| format!("client-2> line {number}\n")).collect();
    let mut received = String::new();
    while received.len() < expected.len() {
        house.world.makes_room(&bob.client, 20_000);
        house.world.run_for(Duration::from_millis(10));
        let more = house.received_bytes(&mut bob);
        assert!(!more.is_empty(), "at {} of {}", received.len(), expected.len());
        received += std::str::from_utf8(&more).unwrap();
    }
    assert_eq!(received, expected);
    house.world.makes_room(&bob.client, 0);
    ana.sends(expected);
    house.world.hub.on_ready(ana.key, READABLE);
    house.world.run_for(stall_timeout * 2);
    house.world.run_for(Duration::from_secs(10));
    assert!(bob.client.is_closed(), "it takes nothing");
}

#[test]
fn replies_that_are_not_taken_hold_a_client_like_any_other() {
    let mut house = House::new(&quiet());
    let mut eve = house.enter();
    house.world.makes_room(&eve.client, 0);
    for _ in 0..1_000 {
        house.says(&mut eve, "/help\n/help\n/help\n/help\n");
    }
    let unread: usize = eve.client.peer.borrow().incoming.iter().map(Incoming::len).sum();
    assert!(unread > 1_000, "it is read no more");
    house.world.pass(ENTER_DELAY);
    house.world.makes_room(&eve.client, usize::MAX);
    let received = house.received(&mut eve);
    assert!(received.len() > PRIVATE_BYTES_MAX);
    assert!(received.ends_with('\n'));
}

#[test]
fn records_of_one_byte_take_no_more_of_a_turn_than_text() {
    let mut house = House::new(&quiet());
    let mut eve = house.enter();
    let sealed: Vec<u8> = (0..20_000).flat_map(|_| eve.wire.seal(b"x")).collect();
    let bytes = sealed.len();
    eve.client.sends(sealed);
    house.world.hub.on_ready(eve.client.key, READABLE);
    house.world.turn();
    let unread: usize = eve.client.peer.borrow().incoming.iter().map(Incoming::len).sum();
    assert!(bytes - unread <= 64 * 1024, "{} bytes in one turn", bytes - unread);
}
