//! Visitors of the page and browsers in a hub whose sockets and time are not real: what only time shows, and every byte
//! at which a write can stop.

#[path = "support/fake_hub.rs"]
mod fake_hub;

use std::net::SocketAddr;
use std::time::Duration;

use fake_hub::{Client, READABLE, World, quiet};
use pollchat::server::config::{Config, GREETING_DELAY, Lag, PING_AFTER, PONG_WITHIN, Port, REQUEST_TIME};
use pollchat::server::door::Rules;
use pollchat::server::hub::Wake;
use pollchat::server::web::gate::Gate;
use pollchat::server::web::site::Site;

const OPENING: &str = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A hub that has a page, at 192.0.2.1:80.
fn world(config: &Config) -> World {
    let mut world = World::new(config);
    world.hub.open_site(Site::new(Gate::default(), &[SocketAddr::from(([192, 0, 2, 1], 80))]));
    world
}

fn visit(world: &mut World) -> Client {
    world.connect_to(Port::Web, Some(SocketAddr::from(([127, 0, 0, 1], 1))))
}

/// Opens a WebSocket, and lets the greeting be taken.
fn browse(world: &mut World) -> Client {
    let browser = visit(world);
    world.says(&browser, OPENING);
    let answer = browser.received_bytes();
    let head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert!(answer.starts_with(head), "{}", String::from_utf8_lossy(&answer));
    assert!(said(&answer[head.len()..]).starts_with("* you are client-"));
    browser
}

/// Connects to the port for lines, and lets the greeting be taken.
fn join(world: &mut World) -> Client {
    let client = world.connect_silently();
    world.says(&client, "\n");
    assert!(client.received().starts_with("* you are client-"));
    client
}

/// A masked frame of up to 125 bytes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [7, 77, 177, 207];
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap()];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn text(line: &str) -> Vec<u8> {
    frame(0x81, line.as_bytes())
}

/// The frames that these bytes are, each with its first byte.
#[track_caller]
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (header, payload_bytes) = match bytes[1] {
            len @ 0..126 => (2, usize::from(len)),
            126 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
            _ => (10, usize::try_from(u64::from_be_bytes(bytes[2..10].try_into().unwrap())).unwrap()),
        };
        frames.push((bytes[0], bytes[header..header + payload_bytes].to_vec()));
        bytes = &bytes[header + payload_bytes..];
    }
    frames
}

/// What was said in the text frames that these bytes are: each holds whole lines.
#[track_caller]
fn said(bytes: &[u8]) -> String {
    let mut said = String::new();
    for (first, payload) in frames(bytes) {
        assert_eq!(first, 0x81);
        assert!(payload.ends_with(b"\n"), "{:?}", String::from_utf8_lossy(&payload));
        said.push_str(std::str::from_utf8(&payload).unwrap());
    }
    said
}

const PING: [u8; 2] = [0x89, 0];

#[test]
fn a_browser_is_asked_for_a_sign_and_is_gone_if_it_gives_none() {
    let mut world = world(&quiet());
    let browser = browse(&mut world);
    world.now += PING_AFTER - Duration::from_millis(1);
    world.run();
    assert_eq!(browser.received_bytes(), b"");
    assert_eq!(world.hub.next_wake(), Wake::At(world.now + Duration::from_millis(1)));
    world.now += Duration::from_millis(1);
    world.run();
    assert_eq!(browser.received_bytes(), PING);
    world.now += PONG_WITHIN / 2;
    world.says(&browser, frame(0x8a, b""));
    assert_eq!(browser.received_bytes(), b"");
    // That was 30 s ago when the sign would have been due.
    world.now += PONG_WITHIN / 2;
    world.run();
    assert_eq!(browser.received_bytes(), PING);
    assert!(!browser.is_closed());
    let end = world.now + PONG_WITHIN;
    while let Wake::At(time) = world.hub.next_wake() {
        assert!(!browser.is_closed());
        world.now = time;
        world.run();
    }
    assert!(browser.is_closed());
    assert_eq!(world.now, end);
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn a_browser_has_its_time_for_a_sign_even_if_it_was_asked_late() {
    let mut world = world(&quiet());
    let browser = browse(&mut world);
    // The server itself was stopped, say.
    world.now += PING_AFTER + PONG_WITHIN;
    world.run();
    assert_eq!(browser.received_bytes(), PING);
    world.now += PONG_WITHIN - Duration::from_millis(1);
    world.run();
    assert!(!browser.is_closed());
    world.now += Duration::from_millis(1);
    world.run();
    assert!(browser.is_closed());
}

#[test]
fn a_browser_that_is_gone_is_not_told_that_it_left() {
    let mut world = world(&Config { announce_up_to: 50, ..quiet() });
    let browser = browse(&mut world);
    let other = join(&mut world);
    assert_eq!(said(&browser.received_bytes()), "* client-2 joined\n");
    world.now += PING_AFTER;
    world.run();
    assert_eq!(browser.received_bytes(), PING);
    for _ in 0..2 {
        assert!(!browser.is_closed());
        world.now += PONG_WITHIN / 2;
        world.run();
    }
    assert!(browser.is_closed());
    assert_eq!(browser.received_bytes(), b"");
    assert_eq!(other.received(), "* client-1 left\n");
}

#[test]
fn a_browser_that_only_answers_is_asked_again_and_again() {
    let mut world = world(&quiet());
    let browser = browse(&mut world);
    // Between two pings there is never much more than their time: a proxy between would forget the connection.
    for _ in 0..10 {
        world.now += PING_AFTER;
        world.run();
        assert_eq!(browser.received_bytes(), PING);
        world.now += Duration::from_millis(10);
        world.says(&browser, frame(0x8a, b""));
    }
    assert!(!browser.is_closed());
}

#[test]
fn a_browser_is_not_taken_for_gone_because_the_server_was_not_there() {
    let mut world = world(&quiet());
    let browser = browse(&mut world);
    world.now += PING_AFTER;
    world.run();
    assert_eq!(browser.received_bytes(), PING);
    // The process is stopped for long, and the event of the sign that came meanwhile is not among the first.
    browser.sends(frame(0x8a, b""));
    world.now += PING_AFTER + PONG_WITHIN;
    world.turn();
    assert!(!browser.is_closed());
    world.hub.on_ready(browser.key, READABLE);
    world.run();
    world.now += PING_AFTER / 2;
    world.run();
    assert!(!browser.is_closed());
}

#[test]
fn a_browser_that_talks_is_not_asked() {
    let mut world = world(&quiet());
    let browser = browse(&mut world);
    for _ in 0..10 {
        world.now += PING_AFTER / 2;
        world.says(&browser, text("hello"));
        assert_eq!(browser.received_bytes(), b"");
    }
}

#[test]
fn a_browser_whose_input_waits_is_not_taken_for_dead() {
    let config = Config { rate: Some(pollchat::server::rate::Rate::new(1, 1)), ..quiet() };
    let mut world = world(&config);
    let browser = browse(&mut world);
    // It talks for ten minutes, faster than it may; what it sends meanwhile is not read.
    let lines: Vec<u8> = (0..600).flat_map(|_| text("x")).collect();
    browser.sends(lines);
    world.hub.on_ready(browser.key, READABLE);
    let end = world.now + Duration::from_secs(500);
    while world.now < end {
        world.run();
        let Wake::At(time) = world.hub.next_wake() else { panic!("there is more to be heard") };
        world.now = time;
    }
    assert!(!browser.is_closed() && !browser.is_ended());
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
fn a_browser_stands_between_two_lines_wherever_a_write_stops() {
    let mut world = world(&Config { history_lines: 100, backlog_bytes: 200_000, ..quiet() });
    let talker = join(&mut world);
    // One frame each as long as its header can be, and one that is not cut though it is longer than a frame.
    let lengths = [1, 60, 110, 113, 114, 200, 4_000, 4_096];
    let lines: String = lengths.iter().map(|&length| "x".repeat(length) + "\n").collect();
    let expected: String = lengths.iter().map(|&length| format!("client-1> {}\n", "x".repeat(length))).collect();
    for room in (1..20).chain([100, 115, 116, 117, 118, 119, 120, 4_000, 8_000, 8_600, 8_700]) {
        let browser = browse(&mut world);
        browser.takes(room);
        world.says(&talker, &lines);
        world.says(&talker, "/nick ana\nhello\n/nick bob\n");
        let mut received = browser.received_bytes();
        while browser.peer.borrow().room == 0 {
            world.makes_room(&browser, room);
            received.extend(browser.received_bytes());
        }
        world.makes_room(&browser, usize::MAX);
        received.extend(browser.received_bytes());
        let said = said(&received).replace("ana> ", "client-1> ").replace("bob> ", "client-1> ");
        assert!(said.contains(&expected), "{room}: {said}");
        browser.ends();
        world.hub.on_ready(browser.key, READABLE);
        world.run();
        talker.received();
    }
}

#[test]
fn own_lines_are_left_out_of_frames_even_where_the_tape_turns_round() {
    // More own lines than one write can go round; and the tape turns round in any of those that the write ends among.
    for backlog_bytes in 2_900..3_200 {
        let mut world = world(&Config { backlog_bytes, line_bytes_max: 64, ..quiet() });
        let (ana, browser) = (join(&mut world), browse(&mut world));
        for _ in 0..15 {
            world.says(&ana, "x".repeat(64) + "\n");
        }
        browser.received_bytes();
        browser.takes(0);
        let mut expected = String::new();
        for number in 10..80 {
            world.says(&ana, format!("a {number}\n"));
            world.says(&browser, text(&format!("b {number}")));
            world.run_on();
            expected.push_str(&format!("client-1> a {number}\n"));
        }
        world.makes_room(&browser, usize::MAX);
        assert_eq!(said(&browser.received_bytes()), expected, "{backlog_bytes}");
    }
}

#[test]
fn a_browser_that_lags_is_told_between_two_frames_what_it_missed() {
    let mut world = world(&Config { backlog_bytes: 20_000, line_bytes_max: 1_024, ..quiet() });
    let (ana, browser) = (join(&mut world), browse(&mut world));
    browser.takes(700);
    for _ in 0..100 {
        world.says(&ana, "x".repeat(1_000) + "\n");
        world.run_on();
    }
    world.makes_room(&browser, usize::MAX);
    let said = said(&browser.received_bytes());
    let line = format!("client-1> {}\n", "x".repeat(1_000));
    let (before, rest) = said.split_once("* you missed ").expect("it lags");
    let (missed, after) = rest.split_once(" lines\n").unwrap();
    let seen = before.len() / line.len() + after.len() / line.len();
    assert_eq!(seen + missed.parse::<usize>().unwrap(), 100);
    assert!([before, after].iter().all(|part| part.replace(&line, "").is_empty()));
}

#[test]
fn with_lag_disconnect_a_browser_that_reads_too_slowly_is_told_and_closed() {
    let mut world = world(&Config { backlog_bytes: 20_000, line_bytes_max: 1_024, lag: Lag::Disconnect, ..quiet() });
    let (ana, browser) = (join(&mut world), browse(&mut world));
    browser.takes(0);
    for _ in 0..100 {
        world.says(&ana, "x".repeat(1_000) + "\n");
        world.run_on();
    }
    world.makes_room(&browser, usize::MAX);
    let received = frames(&browser.received_bytes());
    let [.., (0x81, notice), (0x81, missed), (0x81, farewell), (0x88, code)] = received.as_slice() else {
        panic!("not as it should end")
    };
    assert_eq!(notice, b"* you read too slowly: goodbye\n");
    assert!(missed.starts_with(b"* you missed "));
    assert_eq!(farewell, b"FIN\n");
    assert_eq!(code.as_slice(), 1008_u16.to_be_bytes());
    assert!(browser.is_ended());
}

#[test]
fn the_port_for_lines_greets_at_once_who_speaks_and_soon_who_does_not() {
    let mut world = world(&quiet());
    let silent = world.connect_silently();
    world.run();
    assert_eq!(silent.received(), "");
    assert_eq!(world.hub.next_wake(), Wake::At(world.now + GREETING_DELAY));
    let talker = world.connect_silently();
    world.says(&talker, "hello\n");
    assert_eq!(talker.received(), "* you are client-2; /help lists what you can do\n");
    world.now += GREETING_DELAY;
    world.run();
    assert_eq!(silent.received(), "* you are client-1; /help lists what you can do\nclient-2> hello\n");
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn a_browser_on_the_port_for_lines_is_told_in_http_where_the_page_is_and_nothing_else() {
    let mut world = world(&quiet());
    let ana = world.connect_silently();
    world.says(&ana, "hello\n");
    let lost = world.connect_silently();
    world.says(&ana, "not for you\n");
    world.says(&lost, "GET / HTTP/1.1\r\nHost: 192.0.2.1:46000\r\n\r\n");
    let answer = lost.received();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "this is the port for clients that speak in lines; the page is at http://192.0.2.1:80/\n");
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())));
    assert!(lost.is_ended());
}

#[test]
fn a_request_that_is_heard_late_is_still_answered_in_http_alone() {
    let mut world = world(&quiet());
    let lost = world.connect_silently();
    // A turn took as long as the greeting is withheld.
    world.now += GREETING_DELAY;
    world.says(&lost, "GET / HTTP/1.1\r\n\r\n");
    let answer = lost.received();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
}

#[test]
fn visitors_from_one_address_do_not_take_the_places_of_clients_and_are_limited_apart() {
    let door = Rules { per_address_max: 1, ..Rules::default() };
    let mut world = world(&Config { door, ..quiet() });
    let visitors: Vec<Client> = (0..9).map(|_| visit(&mut world)).collect();
    world.run();
    assert!(visitors[8].received().starts_with("HTTP/1.1 429 Too Many Requests\r\n"));
    world.says(&visitors[0], OPENING);
    let answer = visitors[0].received_bytes();
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "a page and its WebSocket are two connections");
    world.says(&visitors[1], OPENING);
    let answer = String::from_utf8_lossy(&visitors[1].received_bytes()).into_owned();
    assert!(answer.contains("* too many connections from your address (at most 1)\n"), "{answer}");
    assert!(visitors[1].is_ended());
    // Its place is free when it is gone.
    visitors[0].ends();
    world.hub.on_ready(visitors[0].key, READABLE);
    world.run();
    world.says(&visitors[2], OPENING);
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
    let answer = visitor.received_bytes();
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let received = frames(&answer[head..]);
    assert_eq!(received[0], (0x81, b"* the server is full (1 client)\n".to_vec()));
    assert_eq!(received[2], (0x88, 1013_u16.to_be_bytes().to_vec()));
}

#[test]
fn a_server_that_stops_says_so_to_browsers_and_does_not_wait_for_visitors() {
    let mut world = world(&quiet());
    let (browser, visitor) = (browse(&mut world), visit(&mut world));
    world.run();
    world.hub.shut_down(world.now);
    world.run();
    let received = frames(&browser.received_bytes());
    assert_eq!(received[0], (0x81, b"* the server is shutting down\n".to_vec()));
    assert_eq!(received[1], (0x81, b"FIN\n".to_vec()));
    assert_eq!(received[2], (0x88, 1001_u16.to_be_bytes().to_vec()));
    assert!(browser.is_ended() && visitor.is_ended());
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
