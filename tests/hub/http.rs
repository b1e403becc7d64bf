//! Visitors of the page in a hub whose sockets and time are not real: how long they may stay, and that they take
//! nothing that belongs to others, neither time nor places.

use pollchat::server::access::AccessRules;
use pollchat::server::config::Config;
use pollchat::server::hub::Wake;
use pollchat::server::limits::{ENTER_DELAY, GRACE, INTRODUCE_AFTER, REQUEST_TIME};

use crate::support::hub::{Client, READABLE, quiet};
use crate::support::page::{OPENING, browse, frames, join, visit, world};

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

#[test]
fn who_opens_a_connection_and_asks_for_nothing_is_told_so_in_time() {
    let mut world = world(&quiet());
    let silent = visit(&mut world);
    let begun = visit(&mut world);
    world.says(&begun, "GET / HTTP/1.1\r\nHost: ");
    assert_eq!(world.hub.next_wake(), Wake::At(world.now + REQUEST_TIME));
    world.now += REQUEST_TIME;
    world.run();
    for client in [&silent, &begun] {
        assert!(client.received().starts_with("HTTP/1.1 408 Request Timeout\r\n"));
        assert!(client.is_ended() && !client.is_closed());
        client.ends();
        world.hub.on_ready(client.key, READABLE);
    }
    world.run();
    assert!(silent.is_closed() && begun.is_closed());
    let report = world.hub.stats().to_string();
    assert!(report.contains(" requests 0,"), "what was not asked is no request: {report}");
}

#[test]
fn a_trickle_of_bytes_buys_no_time() {
    let mut world = world(&quiet());
    let slow = visit(&mut world);
    for byte in ["G", "E", "T", " "] {
        world.says(&slow, byte);
        world.now += REQUEST_TIME / 4;
    }
    world.run();
    assert!(slow.received().starts_with("HTTP/1.1 408 "));
}

#[test]
fn empty_lines_without_end_buy_no_time_either() {
    let mut world = world(&quiet());
    let endless = visit(&mut world);
    endless.sends("\r\n".repeat(100_000));
    world.hub.on_ready(endless.key, READABLE);
    world.run();
    assert!(endless.received().starts_with("HTTP/1.1 431 "));
    assert!(endless.is_ended());
}

#[test]
fn a_connection_that_is_kept_has_the_same_time_again_and_then_ends_without_a_word() {
    let mut world = world(&quiet());
    let client = visit(&mut world);
    for _ in 0..3 {
        world.now += REQUEST_TIME * 3 / 4;
        world.says(&client, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(client.received().starts_with("HTTP/1.1 200 OK\r\n"));
    }
    world.now += REQUEST_TIME;
    world.run();
    assert_eq!(client.received(), "");
    assert!(client.is_ended());
}

#[test]
fn who_does_not_take_the_page_is_given_up_and_who_takes_it_slowly_is_not() {
    let mut world = world(&quiet());
    let (stuck, slow) = (visit(&mut world), visit(&mut world));
    for client in [&stuck, &slow] {
        client.takes(1_000);
        world.says(client, "GET / HTTP/1.0\r\n\r\n");
    }
    let keeper = visit(&mut world);
    keeper.takes(1_000);
    world.says(&keeper, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for _ in 0..2 {
        world.now += REQUEST_TIME * 3 / 4;
        world.makes_room(&slow, 1_000);
    }
    assert!(stuck.is_closed() && keeper.is_closed());
    world.makes_room(&slow, usize::MAX);
    let page = slow.received();
    assert!(page.ends_with("</html>\n") && slow.is_ended(), "{:?}", &page[page.len() - 20..]);
}

#[test]
fn a_visitor_is_nobody_in_the_room() {
    let mut world = world(&Config::default());
    let ana = join(&mut world);
    let visitor = visit(&mut world);
    world.says(&visitor, "GET / HTTP/1.1\r\n");
    world.says(&ana, "/who\nhello\n");
    assert_eq!(ana.received(), "* here: client-1, 0 lines, 0 min\n* 1 here\n");
    assert_eq!(visitor.received(), "");
    visitor.ends();
    world.hub.on_ready(visitor.key, READABLE);
    world.run();
    assert_eq!(ana.received(), "");
    assert!(visitor.is_closed());
    let next = join(&mut world);
    world.pass(INTRODUCE_AFTER);
    assert_eq!(ana.received(), "* client-2 joined\n");
    drop(next);
}

#[test]
fn who_asks_again_and_again_without_reading_is_answered_no_more_than_is_kept_for_it() {
    let mut world = world(&quiet());
    let client = visit(&mut world);
    client.takes(0);
    client.sends("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000));
    world.hub.on_ready(client.key, READABLE);
    world.run();
    world.makes_room(&client, usize::MAX);
    assert_eq!(client.received().matches("HTTP/1.1 200 OK").count(), 1_000);
    assert!(!client.is_ended());
}

#[test]
fn visitors_from_one_address_do_not_take_the_places_of_clients_and_are_limited_apart() {
    let access = AccessRules { per_address_max: 1, ..AccessRules::default() };
    let mut world = world(&Config { access, ..quiet() });
    let visitors: Vec<Client> = (0..9).map(|_| visit(&mut world)).collect();
    world.run();
    assert!(visitors[8].received().starts_with("HTTP/1.1 429 Too Many Requests\r\n"));
    world.says(&visitors[0], OPENING);
    world.pass(ENTER_DELAY);
    let answer = visitors[0].received_bytes();
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "a page and its WebSocket are two connections");
    world.says(&visitors[1], OPENING);
    world.pass(ENTER_DELAY);
    let answer = String::from_utf8_lossy(&visitors[1].received_bytes()).into_owned();
    assert!(answer.contains("* too many connections from your address (at most 1)\n"), "{answer}");
    assert!(visitors[1].is_ended());
    // Its place is free when it is gone.
    visitors[0].ends();
    world.hub.on_ready(visitors[0].key, READABLE);
    world.run();
    world.says(&visitors[2], OPENING);
    world.pass(ENTER_DELAY);
    assert!(!visitors[2].is_ended());
}

#[test]
fn a_full_house_hands_the_page_out_and_says_there_that_it_is_full() {
    let mut world = world(&Config { clients_max: Some(1), ..quiet() });
    let _first = browse(&mut world);
    let visitor = visit(&mut world);
    world.says(&visitor, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(visitor.received().starts_with("HTTP/1.1 200 OK\r\n"));
    world.says(&visitor, OPENING);
    world.pass(ENTER_DELAY);
    let answer = visitor.received_bytes();
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let received = frames(&answer[head..]);
    assert_eq!(received[0], (0x81, b"* the server is full (1 client)\n".to_vec()));
    assert_eq!(received[2], (0x88, 1013_u16.to_be_bytes().to_vec()));
}

#[test]
fn visitors_do_not_take_the_places_of_clients_nor_they_those_of_visitors() {
    let mut world = world(&Config { clients_max: Some(1), ..quiet() });
    let visitors: Vec<Client> = (0..50).map(|_| visit(&mut world)).collect();
    let late = visit(&mut world);
    world.run();
    assert!(late.received().starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    let ana = join(&mut world);
    // The place of each is free when it is gone, however it goes.
    for (way, visitor) in visitors.iter().enumerate() {
        match way % 4 {
            0 => visitor.ends(),
            1 => visitor.resets(),
            2 => visitor.sends("GET / HTTP/1.0\r\n\r\n"),
            _ => visitor.sends(OPENING),
        }
        world.hub.on_ready(visitor.key, READABLE);
        world.run();
        visitor.ends();
        world.hub.on_ready(visitor.key, READABLE);
    }
    late.ends();
    world.hub.on_ready(late.key, READABLE);
    world.run();
    assert_eq!(world.hub.connections(), 1);
    let visitors: Vec<Client> = (0..50).map(|_| visit(&mut world)).collect();
    world.run();
    assert!(visitors.iter().all(|visitor| visitor.received().is_empty()));
    drop(ana);
}
