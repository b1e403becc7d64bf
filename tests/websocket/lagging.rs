//! Browsers that do not read, or not enough: nobody is held up by them, they are told what they missed, and no frame is
//! ever torn, wherever the writing stopped.

use crate::support::web::WebServer;
use crate::support::web::browser::{Browser, Event};
use crate::support::web::frame::Frame;
use crate::support::{Client, Follower, ask, converse, eventually, numbered, say_numbered};

/// So many numbered lines are much more than the kernel and a small tape hold together.
const MANY: usize = 10_000;

/// A tape that is soon overtaken.
const SMALL: [&str; 2] = ["--backlog", "64K"];

/// Reads on until all numbers below `to` were seen, or told as missed.
#[track_caller]
fn follow(heard: &mut Follower, browser: &mut Browser, to: usize) {
    while heard.due() < to {
        heard.take(&browser.line());
    }
    assert_eq!(heard.due(), to, "told of more than there was");
}

#[test]
fn one_who_never_reads_delays_nobody_and_is_told_how_much_it_missed() {
    let server = WebServer::quiet(&SMALL);
    let [mut a, mut b]: [Client; 2] = server.join_many();
    let mut mute = server.browser_narrow();
    say_numbered(&mut a, &mut b, 0, MANY);
    let mut heard = Follower::new(&a, 0);
    follow(&mut heard, &mut mute, MANY);
    assert!(heard.missed > 0, "it was not stuck: the test is too small");
    a.send_line("marker");
    mute.expect(a.says("marker"));
    mute.say("all caught up");
    a.expect(mute.says("all caught up"));
    assert_eq!(b.line(), a.says("marker"));
    assert_eq!(b.line(), mute.says("all caught up"));
    converse(&mut a, &mut b, 10);
}

/// Takes the next line, or pong.
#[track_caller]
fn take_one(heard: &mut Follower, browser: &mut Browser, pongs: &mut usize) {
    match browser.next() {
        Event::Line(line) => heard.take(&line),
        Event::Pong(payload) => {
            assert_eq!(payload, b"still there?");
            *pongs += 1;
        }
        event => panic!("{event:?}"),
    }
}

#[test]
fn one_who_reads_too_little_gets_whole_frames_of_whole_lines_all_the_same() {
    let server = WebServer::quiet(&SMALL);
    let [mut a, mut b]: [Client; 2] = server.join_many();
    let mut slow = server.browser_narrow();
    let (mut heard, mut pongs) = (Follower::new(&a, 0), 0);
    // It takes one frame of what there is now, and then: so the writing stops at many places.
    for from in (0..MANY).step_by(50) {
        say_numbered(&mut a, &mut b, from, from + 50);
        if heard.due() < from {
            take_one(&mut heard, &mut slow, &mut pongs);
        }
        // What is private goes between two lines of the tape, and so does a pong.
        if from % 500 == 0 {
            slow.send(&Frame::ping("still there?"));
        }
    }
    while heard.due() < MANY {
        take_one(&mut heard, &mut slow, &mut pongs);
    }
    assert!(heard.missed > 0 && heard.seen > MANY / 20, "{} missed, {} seen", heard.missed, heard.seen);
    assert!(pongs > 0, "pings are answered however it lags");
}

#[test]
fn one_who_lags_gets_its_replies_and_none_of_its_own_lines() {
    let server = WebServer::quiet(&[]);
    let [mut a, mut b]: [Client; 2] = server.join_many();
    let mut mute = server.browser_narrow();
    let mut heard_of_mute = 0;
    for from in (0..MANY).step_by(100) {
        say_numbered(&mut a, &mut b, from, from + 100);
        mute.say(format!("mute {}\nmute again", from / 100));
        for listener in [&mut a, &mut b] {
            listener.expect(mute.says(format!("mute {}", from / 100)));
            listener.expect(mute.says("mute again"));
        }
        heard_of_mute += 2;
    }
    mute.say("/who");
    // The tape holds it all: nothing is missed, and replies come between two lines.
    let (mut heard, mut rows) = (Follower::new(&a, 0), Vec::new());
    while heard.due() < MANY {
        let line = mute.line();
        if line.starts_with("* ") { rows.push(line) } else { heard.take(&line) }
    }
    assert_eq!((heard.missed, heard_of_mute), (0, 2 * MANY / 100));
    while rows.last().is_none_or(|row| row != "* 3 here") {
        rows.push(mute.line());
    }
    assert_eq!(rows.len(), 4, "{rows:?}");
}

#[test]
fn one_who_falls_behind_is_let_go_when_that_is_the_policy() {
    let server = WebServer::quiet(&[&SMALL[..], &["--lag", "disconnect"]].concat());
    let [mut a, mut b]: [Client; 2] = server.join_many();
    let mut mute = server.browser_narrow();
    say_numbered(&mut a, &mut b, 0, MANY);
    assert_eq!(b.present(), 2, "it is gone");
    let mut lines = Vec::new();
    let code = loop {
        match mute.next() {
            Event::Line(line) => lines.push(line),
            Event::Close(code, _) => break code,
            event => panic!("{event:?} after {:?}", lines.last()),
        }
    };
    assert_eq!(code, Some(1008));
    assert_eq!(lines.pop().as_deref(), Some("FIN"));
    let end = lines.split_off(lines.len() - 2);
    assert!(end.iter().any(|line| line == "* you read too slowly: goodbye"), "{end:?}");
    lines.retain(|line| !line.starts_with("* "));
    assert!(lines.iter().enumerate().all(|(number, line)| *line == a.says(numbered(number))), "the first ones");
    assert_eq!(mute.next(), Event::End);
    converse(&mut a, &mut b, 10);
}

#[test]
fn one_who_is_waited_for_gets_every_line() {
    let server = WebServer::quiet(&[&SMALL[..], &["--lag", "wait"]].concat());
    let (mut a, mut slow) = (server.join(), server.browser_narrow());
    let count = 3_000;
    std::thread::scope(|scope| {
        let talker = scope.spawn(move || {
            (0..count).for_each(|number| a.send_line(numbered(number)));
            a
        });
        for number in 0..count {
            slow.expect(format!("client-1> {}", numbered(number)));
        }
        let mut a = talker.join().expect("it says all");
        slow.say("thank you");
        a.expect(slow.says("thank you"));
    });
}

#[test]
fn one_who_is_waited_for_in_vain_is_let_go() {
    let flags = [&SMALL[..], &["--lag", "wait", "--stall-timeout", "1"]].concat();
    let server = WebServer::quiet(&flags);
    let [mut a, mut b]: [Client; 2] = server.join_many();
    let mute = server.browser_narrow();
    let count = 3_000;
    std::thread::scope(|scope| {
        let talker = scope.spawn(|| (0..count).for_each(|number| a.send_line(numbered(number))));
        (0..count).for_each(|number| b.expect(format!("client-1> {}", numbered(number))));
        talker.join().expect("it says all");
    });
    server.expect_log(&[&format!("{} left (read too slowly", mute.name())]);
    ask(&mut a, &mut b, "and on");
}

#[test]
fn browsers_that_hear_a_flood_lose_nothing_while_they_read() {
    let server = WebServer::quiet(&[]);
    let [mut a, mut b]: [Client; 2] = server.join_many();
    let mut browsers: Vec<Browser> = (0..5).map(|_| server.browser()).collect();
    let count = 20_000;
    std::thread::scope(|scope| {
        for browser in &mut browsers {
            let mut heard = Follower::new(&a, 0);
            scope.spawn(move || {
                follow(&mut heard, browser, count);
                assert_eq!(heard.missed, 0);
            });
        }
        say_numbered(&mut a, &mut b, 0, count);
    });
}

#[test]
fn memory_is_bounded_however_many_browsers_do_not_read() {
    let server = WebServer::quiet(&["--backlog", "1M"]);
    let [mut a, mut b]: [Client; 2] = server.join_many();
    say_numbered(&mut a, &mut b, 0, 1_000);
    let before = server.resident_bytes();
    let mutes: Vec<Browser> = (0..50).map(|_| server.browser_narrow()).collect();
    say_numbered(&mut a, &mut b, 1_000, MANY);
    // A tape, and for each what it was in the middle of: a frame.
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < (1 << 20) + 50 * (16 << 10) + (2 << 20), "{grown} bytes");
    drop(mutes);
    eventually("they are gone", || a.present() == 2);
}
