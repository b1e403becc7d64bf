//! All that clients speak, over TLS: browsers, telnet, clients without newlines, tracked clients.

use std::time::Duration;

use pollchat::relay::secret::SecretHash;
use pollchat::server::config::Config;
use pollchat::server::endpoint::Endpoint;
use pollchat::server::limits::ENTER_DELAY;

use super::{House, Sealed, greeting};
use crate::support::hub::quiet;
use crate::support::page::{OPENING, frames, said, text};

/// 2026-01-01, in ms.
const DAY: u64 = 1_767_225_600_000;

/// Opens a WebSocket, and takes the greeting.
fn browse(house: &mut House) -> Sealed {
    let mut browser = house.open(Endpoint::TlsWeb);
    house.says(&mut browser, OPENING);
    house.world.pass(ENTER_DELAY);
    let answer = house.received_bytes(&mut browser);
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head") + 4;
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    assert!(said(&answer[head..]).starts_with("* you are client-"));
    browser
}

#[test]
fn the_page_is_served() {
    let mut house = House::new(&quiet());
    let mut visitor = house.open(Endpoint::TlsWeb);
    visitor.client.takes(5_000);
    house.says(&mut visitor, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let mut answer = house.received(&mut visitor);
    for _ in 0..1_000 {
        house.world.makes_room(&visitor.client, 5_000);
        answer += &house.received(&mut visitor);
    }
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(answer.contains("</html>\nHTTP/1.1 404 ") || answer.contains("</html>HTTP/1.1 404 "), "both are answered");
}

#[test]
fn a_browser_is_a_client_like_any_other_wherever_the_writes_are_cut() {
    for first in 0..90 {
        let mut house = House::new(&quiet());
        let mut browser = browse(&mut house);
        let ana = house.world.connect();
        house.says(&mut browser, text("hello"));
        assert_eq!(ana.received(), "client-1> hello\n");
        browser.client.takes(first);
        for round in 0..3 {
            house.world.says(&ana, format!("line {round}\n"));
        }
        let mut received = house.received_bytes(&mut browser);
        for _ in 0..100 {
            house.world.makes_room(&browser.client, 3);
            received.append(&mut house.received_bytes(&mut browser));
        }
        let expected: String = (0..3).map(|round| format!("client-2> line {round}\n")).collect();
        assert_eq!(said(&received), expected, "cut at {first}");
    }
}

#[test]
fn a_browser_that_closes_is_answered_in_its_frames_and_in_its_records() {
    let mut house = House::new(&quiet());
    let mut browser = browse(&mut house);
    house.says(&mut browser, crate::support::ws::Frame::close(Some(1000)).encode());
    let received = house.received_bytes(&mut browser);
    assert_eq!(frames(&received), [(0x88, 1000_u16.to_be_bytes().to_vec())]);
    assert!(browser.wire.is_closed && browser.client.is_ended());
}

#[test]
fn telnet_is_spoken_wherever_the_writes_are_cut() {
    for first in 0..80 {
        let mut house = House::new(&quiet());
        let mut eve = house.enter();
        let ana = house.world.connect();
        house.says(&mut eve, b"\xff\xfd\x01hello\r\n");
        assert_eq!(ana.received(), "client-1> hello\n");
        assert_eq!(house.received_bytes(&mut eve), b"\xff\xfc\x01");
        eve.client.takes(first);
        for round in 0..3 {
            house.world.says(&ana, format!("line {round}\n"));
        }
        let mut received = house.received(&mut eve);
        for _ in 0..100 {
            house.world.makes_room(&eve.client, 3);
            received += &house.received(&mut eve);
        }
        let expected: String = (0..3).map(|round| format!("client-2> line {round}\r\n")).collect();
        assert_eq!(received, expected, "cut at {first}");
    }
}

#[test]
fn silence_ends_a_line_and_the_last_words_come_apart() {
    let patience = Duration::from_millis(100);
    let mut house = House::new(&Config { flush_after: Some(patience), ..quiet() });
    let mut eve = house.enter();
    let ana = house.world.connect();
    house.says(&mut eve, "hello");
    assert_eq!(ana.received(), "");
    house.world.pass(patience);
    assert_eq!(ana.received(), "client-1> hello\n");
    house.says(&mut eve, "exit");
    house.world.pass(patience);
    house.world.run_for(Duration::from_secs(1));
    assert_eq!(house.received(&mut eve), "exitFIN");
    assert!(eve.wire.is_closed && eve.client.is_ended());
}

#[test]
fn a_tracked_session_goes_on_over_another_connection() {
    let mut house = House::new(&quiet());
    house.world.hub.set_clock(DAY);
    let mut ana = house.open(Endpoint::TlsLines);
    house.says(&mut ana, "/track\n");
    let begun = house.received(&mut ana);
    let session: Vec<&str> = begun.lines().find(|line| line.starts_with("** session ")).unwrap().split(' ').collect();
    let (token, position) = (session[2].to_owned(), session[6].to_owned());
    let bob = house.world.connect();
    house.says(&mut ana, "one\ntw");
    ana.client.ends();
    house.world.says(&ana.client, "");
    assert!(ana.client.is_closed(), "an end that it did not say");
    house.world.says(&bob, "meanwhile\n");
    let mut again = house.open(Endpoint::TlsLines);
    house.says(&mut again, format!("/track {position} {token}\ntwo\n"));
    let resumed = house.received(&mut again);
    let said: Vec<&str> = resumed.lines().filter(|line| !line.starts_with(['*', '@'])).collect();
    assert_eq!(said, ["client-1> one", "client-2> meanwhile", "client-1> two"], "{resumed}");
    assert!(resumed.contains(&format!("** session {token} heard 1 at ")));
    assert_eq!(bob.received(), "client-1> one\nclient-1> two\n");
    assert_ne!(begun, greeting(1));
}

#[test]
fn the_password_is_asked_for_behind_the_handshake() {
    let mut house = House::new(&quiet());
    house.world.hub.set_password(Some(SecretHash::of("open sesame")));
    let mut client = house.open(Endpoint::TlsLines);
    house.world.pass(ENTER_DELAY);
    assert_eq!(house.received(&mut client), "* this server asks for a password: /pass WORD\n");
    house.says(&mut client, "/pass open barley\nhello\n");
    assert_eq!(house.received(&mut client), "* that is not the password\n");
    house.says(&mut client, "/pass open sesame\n");
    assert_eq!(house.received(&mut client), "");
    house.world.pass(ENTER_DELAY);
    assert_eq!(house.received(&mut client), greeting(1));
}
