//! How a browser leaves, and how it is let go.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::http::WebServer;
use crate::support::ws::Frame;
use crate::support::ws_client::{Browser, Event};
use crate::support::{Client, DEADLINE, Lines, Member, ask};

fn pair(server: &WebServer) -> (Client, Browser) {
    (server.join(), server.browser())
}

#[test]
fn a_close_is_answered_with_its_code_and_then_it_is_over() {
    let server = WebServer::start(&[]);
    let mut ana = server.join();
    for code in [None, Some(1000), Some(1001), Some(3000), Some(4999)] {
        let browser = server.browser();
        let name = browser.name();
        ana.expect(format!("* {name} joined"));
        browser.close(code);
        ana.expect(format!("* {name} left"));
    }
    let mut browser = server.browser();
    browser.send(&Frame::close_because(Some(1000), "that is all"));
    assert!(matches!(browser.next(), Event::Line(_) | Event::Close(Some(1000), _)));
}

#[test]
fn nothing_comes_and_nothing_is_heard_behind_a_close() {
    let server = WebServer::quiet(&[]);
    let (mut ana, mut cia) = pair(&server);
    let frames = [
        Frame::text("before"),
        Frame::close(Some(1000)),
        Frame::text("behind"),
        Frame::ping("behind"),
        Frame::close(None),
    ];
    cia.wire.send(frames.iter().flat_map(Frame::encode).collect::<Vec<u8>>());
    ana.expect(cia.says("before"));
    ana.send_line("are you there?");
    // A line may come before its close, and then nothing.
    loop {
        match cia.next() {
            Event::Line(line) => assert_eq!(line, ana.says("are you there?")),
            Event::Close(code, _) => break assert_eq!(code, Some(1000)),
            event => panic!("{event:?}"),
        }
    }
    assert_eq!(cia.next(), Event::End);
    assert_eq!(ana.present(), 1);
}

#[test]
fn a_word_of_farewell_is_answered_with_one_and_a_close() {
    let server = WebServer::start(&[]);
    let [mut ana] = server.join_introduced();
    for word in ["FIN", "exit", "/quit", "fin\n", "/quit\nnot heard"] {
        let mut browser = server.browser();
        ask(&mut browser, &mut ana, "hello");
        browser.say(word);
        browser.expect_farewell(1000);
        ana.expect(format!("* {} left", browser.name()));
    }
}

#[test]
fn what_was_said_before_the_farewell_arrives() {
    let server = WebServer::quiet(&[]);
    let (mut ana, mut cia) = pair(&server);
    ana.send_line("one");
    ana.who();
    cia.say("two\nFIN\nthree");
    cia.expect(ana.says("one"));
    cia.expect_farewell(1000);
    ana.expect(cia.says("two"));
    assert_eq!(ana.who().len(), 2, "and nothing else");
}

#[test]
fn a_server_that_stops_tells_browsers_that_it_goes_away() {
    let mut server = WebServer::quiet(&[]);
    let (mut ana, mut cia) = pair(&server);
    let mut halfway = server.visit();
    halfway.send("GET / HT");
    let mut kept = server.visit();
    kept.send(crate::support::http::head(&["GET / HTTP/1.1", &server.host_field()]));
    assert_eq!(kept.response().status, 200);
    server.signal(Signal::TERM);
    cia.expect("* the server is shutting down");
    cia.expect_farewell(1001);
    ana.expect("* the server is shutting down");
    ana.expect_farewell();
    assert!(halfway.ends() && kept.ends(), "visitors are not waited for");
    assert!(server.wait(DEADLINE).success());
}

#[test]
fn a_server_that_stops_does_not_wait_long_for_browsers_that_do_not_answer() {
    let mut server = WebServer::quiet(&[]);
    let _silent: Vec<Browser> = (0..20).map(|_| server.browser()).collect();
    let mut ana = server.browser();
    server.signal(Signal::TERM);
    ana.expect("* the server is shutting down");
    assert!(server.wait(DEADLINE).success());
    ana.expect("FIN");
    assert!(matches!(ana.next(), Event::Close(Some(1001), _)));
}

#[test]
fn one_who_is_closed_but_does_not_answer_is_let_go_all_the_same() {
    let server = WebServer::quiet(&[]);
    let (mut ana, mut cia) = pair(&server);
    let before = server.descriptors();
    cia.say("FIN");
    cia.expect("FIN");
    assert!(matches!(cia.next(), Event::Close(Some(1000), _)));
    assert_eq!(cia.next(), Event::End, "it says no more, whatever the other does");
    crate::support::eventually("it is gone", || server.descriptors() < before);
    assert_eq!(ana.present(), 1);
}

#[test]
fn the_end_of_a_connection_ends_a_browser_even_without_a_close() {
    let server = WebServer::start(&[]);
    let mut ana = server.join();
    let browser = server.browser();
    ana.expect(format!("* {} joined", browser.name()));
    browser.wire.half_close();
    ana.expect(format!("* {} left", browser.name()));
    let mut half = server.browser();
    ana.expect(format!("* {} joined", half.name()));
    half.wire.send(&Frame::text("cut off").encode()[..9]);
    half.wire.half_close();
    ana.expect(format!("* {} left", half.name()));
    // What came whole is heard, what was not is not, and a fragment is not the message.
    let mut third = server.browser();
    ana.expect(format!("* {} joined", third.name()));
    third.wire.send([Frame::text("whole").encode(), Frame::text("frag").unfinished().encode()].concat());
    third.wire.half_close();
    ana.expect(third.says("whole"));
    ana.expect(format!("* {} left", third.name()));
}

#[test]
fn a_reset_ends_a_browser_wherever_it_hits() {
    let server = WebServer::start(&[]);
    let mut ana = server.join();
    let frames = [Frame::text("whole").encode(), Frame::text("cut off").encode()].concat();
    for end in [0, 1, 5, 11, 12, 14, frames.len() - 1] {
        let mut browser = server.browser();
        let name = browser.name();
        ana.expect(format!("* {name} joined"));
        browser.wire.send(&frames[..end]);
        browser.wire.reset();
        // A reset may destroy what came before it.
        let lines = ana.lines_until(|line| line == format!("* {name} left"));
        let is_known = |line: &String| *line == format!("{name}> whole") || *line == format!("* {name} left");
        assert!(lines.iter().all(is_known) && lines.len() <= 2, "cut at {end}: {lines:?}");
    }
}

#[test]
fn leaving_is_in_good_order_however_much_is_still_being_sent() {
    let server = WebServer::quiet(&[]);
    let (mut ana, mut cia) = pair(&server);
    cia.say("FIN");
    let flood = Frame::text("too late").encode().repeat(50_000);
    // Whether all of it is taken or not, no reset destroys the farewell.
    cia.wire.push(flood);
    cia.expect_farewell(1000);
    assert_eq!(ana.who().len(), 2, "nothing of it is heard");
}

#[test]
fn a_close_that_says_why_is_short_and_readable() {
    let server = WebServer::quiet(&[]);
    for (frame, expected) in [
        (Frame::new(2, "binary"), 1003),
        (Frame::text([0xff]), 1007),
        (Frame::text("x".repeat(70_000)), 1009),
        (Frame::new(3, ""), 1002),
    ] {
        let mut browser = server.browser();
        browser.wire.push(frame.encode());
        match browser.next() {
            Event::Close(code, reason) => {
                assert_eq!(code, Some(expected));
                assert!(reason.len() <= 123 && !reason.contains(char::is_control), "{reason:?}");
            }
            event => panic!("{event:?}"),
        }
        assert!(!browser.wire.is_readable_within(Duration::ZERO) || browser.next() == Event::End);
    }
}
