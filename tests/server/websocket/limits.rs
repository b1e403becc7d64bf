//! What limits clients limits browsers.

use std::time::{Duration, Instant};

use crate::support::http::WebServer;
use crate::support::ws::Frame;
use crate::support::{Lines, Member, numbered};

#[test]
fn over_its_rate_a_browser_is_held_back_and_loses_nothing() {
    let server = WebServer::quiet(&["--rate", "50", "--burst", "10"]);
    let (mut ana, mut cia) = (server.join(), server.browser());
    let start = Instant::now();
    // In one message, and in one for each: all of it is a line at a time.
    cia.say((0..30).map(|number| numbered(number) + "\n").collect::<String>());
    (30..60).for_each(|number| cia.say(numbered(number)));
    cia.send(&Frame::ping("last"));
    for number in 0..60 {
        ana.expect(cia.says(numbered(number)));
    }
    cia.expect_pong("last");
    assert!(start.elapsed() >= Duration::from_secs(1), "fifty of them at fifty a second");
    // It may leave while it is held back: what it has said is heard all the same.
    cia.say((0..30).map(|number| numbered(number) + "\n").collect::<String>());
    let name = cia.name();
    cia.close(Some(1001));
    for number in 0..30 {
        ana.expect(format!("{name}> {}", numbered(number)));
    }
    assert_eq!(ana.present(), 1);
}

#[test]
fn a_browser_that_never_says_anything_is_let_go() {
    let server = WebServer::quiet(&["--idle-timeout", "3"]);
    let (mut silent, mut pinging, mut cia) = (server.browser(), server.browser(), server.browser());
    cia.say("hello");
    silent.expect(cia.says("hello"));
    pinging.expect(cia.says("hello"));
    // A browser pings by itself: nobody says anything by that.
    pinging.send(&Frame::ping("x"));
    pinging.expect_pong("x");
    for browser in [&mut silent, &mut pinging] {
        browser.expect("* you have said nothing for 3 seconds: goodbye");
        browser.expect_farewell(1008);
    }
    server.expect_log(&["client-1 left (never said anything"]);
    cia.say("still here");
    let rows = cia.who();
    assert!(rows.len() == 2 && rows[0].starts_with("* here: client-3, 2 lines, "), "{rows:?}");
}

#[test]
fn a_flood_of_a_browser_is_slowed_and_nobody_loses_anything() {
    let server = WebServer::quiet(&[]);
    let (mut ana, mut ben, mut cia) = (server.join(), server.join(), server.browser());
    let count = 5_000;
    std::thread::scope(|scope| {
        let flood = scope.spawn(move || {
            (0..count).for_each(|number| cia.say(numbered(number)));
            cia
        });
        for listener in [&mut ana, &mut ben] {
            for number in 0..count {
                listener.expect(format!("client-3> {}", numbered(number)));
            }
        }
        let mut cia = flood.join().expect("it says all");
        cia.say("done");
    });
    ana.expect("client-3> done");
}
