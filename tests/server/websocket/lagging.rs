//! Browsers that do not read, or not enough: nobody is held up by them, they are told what they missed, and no frame is
//! ever torn, wherever the writing stopped.

use crate::support::http::{WebServer, Wire, handshake, head};
use crate::support::ws::Frame;
use crate::support::ws_client::{Browser, Event};
use crate::support::{Client, Follower, Lines, Member, ask, converse, eventually, missed, numbered, say_numbered};

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
    for from in (0..MANY).step_by(100) {
        say_numbered(&mut a, &mut b, from, from + 100);
        mute.say(format!("mute {}\nmute again", from / 100));
        for listener in [&mut a, &mut b] {
            listener.expect(mute.says(format!("mute {}", from / 100)));
            listener.expect(mute.says("mute again"));
        }
    }
    mute.say("/who");
    // The tape holds it all: nothing is missed, and replies come between two lines.
    let (mut heard, mut rows) = (Follower::new(&a, 0), Vec::new());
    while heard.due() < MANY {
        let line = mute.line();
        if line.starts_with("* ") { rows.push(line) } else { heard.take(&line) }
    }
    assert_eq!(heard.missed, 0);
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

#[test]
fn however_a_browser_that_lags_comes_to_its_end_no_frame_is_torn() {
    let server = WebServer::quiet(&[]);
    let [mut a, mut b]: [Client; 2] = server.join_many();
    let unmasked = Frame::text("unmasked").unmasked();
    // What it does, what it is closed with, and whether it is owed all that was said before.
    for (last, code, is_owed_all) in [
        (Frame::text("FIN"), Some(1000), true),
        (Frame::close(Some(1001)), Some(1001), false),
        (Frame::close(None), None, false),
        (unmasked, Some(1002), false),
        (Frame::new(2, "binary"), Some(1003), false),
    ] {
        let mut mute = server.browser_narrow();
        let count = 5_000;
        say_numbered(&mut a, &mut b, 0, count);
        mute.send(&last);
        eventually("it has left", || b.present() == 2);
        let mut heard = Follower::new(&a, 0);
        let given = loop {
            match mute.next() {
                Event::Line(line) if line == "FIN" => assert!(is_owed_all),
                Event::Line(line) => heard.take(&line),
                Event::Close(given, _) => break given,
                event => panic!("{event:?}"),
            }
        };
        assert_eq!(given, code);
        assert_eq!(mute.next(), Event::End);
        assert_eq!((heard.missed, heard.due() == count), (0, is_owed_all), "{} of {count}", heard.due());
    }
    converse(&mut a, &mut b, 10);
}

#[test]
fn lines_that_are_longer_than_a_frame_should_be_are_whole_to_one_who_reads_slowly() {
    let server = WebServer::quiet(&["--max-line", "100K", "--backlog", "1M"]);
    let [mut a, mut b]: [Client; 2] = server.join_many();
    let mut slow = server.browser_narrow();
    let line = |number: usize| format!("{number} {}", "x".repeat(number * 7919 % 100_000));
    let count = 200;
    let mut due = 0;
    for number in 0..count {
        a.send_line(line(number));
        b.expect(a.says(line(number)));
        if number % 10 == 0 {
            slow.say("/nick");
            // One line of what there is: often the rest of it is still on its way.
            let came = slow.line();
            due = follow_long(&a, &came, due, line);
        }
    }
    while due < count {
        let came = slow.line();
        due = follow_long(&a, &came, due, line);
    }
}

/// The number of the line that is due after this one.
#[track_caller]
fn follow_long(talker: &Client, came: &str, due: usize, line: impl Fn(usize) -> String) -> usize {
    if let Some(missed) = missed(came) {
        due + missed
    } else if came.starts_with("* ") {
        due
    } else {
        assert!(came == talker.says(line(due)), "line {due} is another one, of {} bytes", came.len());
        due + 1
    }
}

#[test]
fn what_was_asked_for_comes_before_what_is_said_however_slowly_it_is_taken() {
    let server = WebServer::quiet(&[]);
    let [mut a, mut b]: [Client; 2] = server.join_many();
    let mut wire = Wire::connect_narrow(server.page());
    let page = head(&["GET / HTTP/1.1", &server.host_field()]).repeat(5);
    let said = [Frame::text("here I am").encode(), Frame::ping("early").encode()].concat();
    wire.send([page, handshake(server.page(), &[]), said].concat());
    // It is in when it has taken most of what it asked for.
    for _ in 0..5 {
        assert_eq!(wire.response().status, 200);
    }
    b.lines_until(|line| line.ends_with("> here I am"));
    say_numbered(&mut a, &mut b, 0, 1_000);
    wire.response().assert_switches(0);
    let mut browser = Browser::over(wire);
    browser.expect_pong("early");
    browser.greeted();
    let mut heard = Follower::new(&a, 0);
    follow(&mut heard, &mut browser, 1_000);
    assert_eq!(heard.missed, 0);
}
