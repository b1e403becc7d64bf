//! Browsers in a hub whose sockets and time are not real: what only time shows, and every byte at which a write can
//! stop. And the port for lines where there is a page.

use std::time::Duration;

use pollchat::server::config::{Config, Lag};
use pollchat::server::hub::Wake;
use pollchat::server::limits::{ENTER_DELAY, PING_AFTER, PONG_WITHIN};

use crate::support::hub::{Incoming, READABLE, quiet};
use crate::support::page::{OPENING, browse, frame, frames, join, said, text, visit, world};

const PING: [u8; 2] = [0x89, 0];

#[test]
fn a_browser_is_asked_for_a_sign_and_is_gone_if_it_gives_none() {
    let mut world = world(&quiet());
    let browser = browse(&mut world);
    world.now += PING_AFTER - ENTER_DELAY - Duration::from_millis(1);
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
    world.says(&other, "/nick eve\n");
    assert_eq!(said(&browser.received_bytes()), "* eve joined\n");
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
    assert_eq!(other.received(), "* client-2 is now eve\n* client-1 joined\n* client-1 left\n");
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
    let config = Config { rate: Some(pollchat::server::flow::rate::Rate::new(1, 1)), ..quiet() };
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

/// A message of so many bytes: empty lines, which are the most work that a byte can be, and behind them what shows when
/// all of them were heard. Its last byte apart.
fn empty_lines(bytes: u16) -> (Vec<u8>, [u8; 1]) {
    let mut message = [&[0x81, 0xfe][..], &bytes.to_be_bytes(), &[0; 4]].concat();
    message.resize(message.len() + usize::from(bytes) - 1, b'\n');
    (message, [b'x'])
}

#[test]
fn the_ends_of_long_messages_do_not_keep_a_person_waiting() {
    let mut world = world(&quiet());
    let (ana, bob) = (join(&mut world), join(&mut world));
    let (begun, last) = empty_lines(u16::MAX);
    let browsers: Vec<_> = (0..40).map(|_| browse(&mut world)).collect();
    for browser in &browsers {
        world.says(browser, &begun);
    }
    for browser in &browsers {
        browser.sends(last);
        world.hub.on_ready(browser.key, READABLE);
    }
    ana.sends("a word\n");
    world.hub.on_ready(ana.key, READABLE);
    // Each is given its share once before that: 3 KiB of empty lines.
    for _ in 0..4 {
        world.turn();
    }
    assert_eq!(bob.received(), "client-1> a word\n");
    world.run();
    assert_eq!(bob.received().matches("> x\n").count(), browsers.len());
}

#[test]
fn the_ends_of_messages_take_turns_as_what_is_read_does() {
    let mut world = world(&quiet());
    let (begun, last) = empty_lines(1_000);
    let browsers: Vec<_> = (0..600).map(|_| browse(&mut world)).collect();
    for browser in &browsers {
        world.says(browser, &begun);
    }
    for browser in &browsers {
        browser.sends(last);
        world.hub.on_ready(browser.key, READABLE);
    }
    world.turn();
    let heard = browsers.iter().filter(|browser| browser.peer.borrow().incoming.is_empty()).count();
    assert!((64..=128).contains(&heard), "{heard} were heard in a turn, each 512 empty lines");
}

#[test]
fn where_there_are_many_browsers_each_is_given_a_share_at_a_time_of_what_it_is_behind_by() {
    let mut world = world(&Config { history_lines: u64::MAX, ..quiet() });
    let ana = join(&mut world);
    world.says(&ana, format!("{}\n", "x".repeat(99)).repeat(700));
    let _others: Vec<_> = (0..511).map(|_| world.connect_silently()).collect();
    world.run_on();
    let browser = visit(&mut world);
    world.says(&browser, OPENING);
    world.now += ENTER_DELAY;
    world.turn();
    let shown = browser.received_bytes().len();
    assert!((16 * 1024..34 * 1024).contains(&shown), "{shown} bytes were written in a turn");
    world.run();
    let shown = shown + browser.received_bytes().len();
    assert!(shown > 70_000, "in the end it has all of it, and not {shown} bytes");
}

#[test]
fn the_port_for_lines_greets_at_once_who_speaks_and_soon_who_does_not() {
    let mut world = world(&quiet());
    let silent = world.connect_silently();
    world.run();
    assert_eq!(silent.received(), "");
    assert_eq!(world.hub.next_wake(), Wake::At(world.now + ENTER_DELAY));
    let talker = world.connect_silently();
    world.says(&talker, "hello\n");
    assert_eq!(talker.received(), "* you are client-1; /help lists what you can do\n");
    world.now += ENTER_DELAY;
    world.run();
    assert_eq!(silent.received(), "* you are client-2; /help lists what you can do\n");
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
    assert_eq!(body, "this port is for line clients, not for browsers; the page is at http://192.0.2.1:80/\n");
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())));
    assert!(lost.is_ended());
}

#[test]
fn a_request_that_is_heard_late_is_still_answered_in_http_alone() {
    let mut world = world(&quiet());
    let lost = world.connect_silently();
    // A turn took as long as the greeting is withheld.
    world.now += ENTER_DELAY;
    world.says(&lost, "GET / HTTP/1.1\r\n\r\n");
    let answer = lost.received();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
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
fn pongs_for_a_browser_that_has_not_entered_do_not_pile_up() {
    let mut world = world(&quiet());
    let browser = visit(&mut world);
    world.says(&browser, OPENING);
    assert!(browser.received().starts_with("HTTP/1.1 101 "));
    browser.takes(0);
    for _ in 0..100 {
        browser.sends(frame(0x89, &[b'x'; 125]).repeat(1_000));
        world.hub.on_ready(browser.key, READABLE);
        world.run();
    }
    let unread: usize = browser.peer.borrow().incoming.iter().map(Incoming::len).sum();
    assert!(unread > 12_000_000, "{unread} bytes are not read");
    world.pass(ENTER_DELAY);
    world.makes_room(&browser, usize::MAX);
    let received = frames(&browser.received_bytes());
    assert!(received.iter().any(|(_, payload)| payload.starts_with(b"* you are client-1;")), "it has entered");
}
