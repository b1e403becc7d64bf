//! A terminal that tracks the server: each line once, with its true time, over any number of connections.

use super::server::client_of;
use super::window::Window;
use crate::support::cutting_proxy::CuttingProxy;
use crate::support::tracked_server::{Peer, TrackedServer};
use crate::support::{Lines as _, Server};

const YOU_ARE: &str = "* you are client-1, in lobby; /help lists what you can do";

/// A tracked client behind its first unit.
fn tracked(args: &[&str]) -> (Window, TrackedServer, Peer) {
    begin(TrackedServer::start(), args)
}

pub(super) fn begin(mut server: TrackedServer, args: &[&str]) -> (Window, TrackedServer, Peer) {
    let window = Window::open(40, 100, &client_of(server.address(), args));
    let mut peer = server.accept();
    peer.greet();
    server.begin(&mut peer);
    (window, server, peer)
}

/// How many rows are this one.
pub(super) fn count(window: &mut Window, row: &str) -> usize {
    window.scrollback().iter().filter(|seen| *seen == row).count()
}

/// Waits until the last rows are these, without the rules between days: the server's records are of another day.
#[track_caller]
pub(super) fn shows(window: &mut Window, last: &[&str]) {
    window.wait_until(&format!("{last:#?}"), |window| {
        let rows: Vec<String> = window.rows().into_iter().filter(|row| !row.starts_with("---- ")).collect();
        rows.ends_with(&last.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>())
    });
}

/// The same, with the rules but those between days.
#[track_caller]
pub(super) fn shows_all(window: &mut Window, last: &[&str]) {
    window.wait_until(&format!("{last:#?}"), |window| {
        let rows = window.rows();
        let rows = rows.into_iter().filter(|row| !row.starts_with("---- ") || row.contains("unread"));
        rows.collect::<Vec<_>>().ends_with(&last.iter().map(|row| (*row).to_owned()).collect::<Vec<_>>())
    });
}

#[track_caller]
fn ends(mut window: Window, code: i32) -> Vec<String> {
    assert_eq!(window.ends().code(), Some(code));
    window.rows()
}

#[test]
fn what_was_said_before_has_its_true_time_and_day() {
    let mut server = TrackedServer::start();
    server.greeting = vec!["be kind".to_owned(), "2 earlier lines:".to_owned()];
    server.log = vec!["ben> hi".to_owned(), "* ben left".to_owned()];
    let (mut window, mut server, mut peer) = begin(server, &["--timestamps"]);
    server.record(&mut peer, "eve> later");
    window.wait_until("the last line", |window| window.rows().iter().any(|row| row.ends_with("eve> later")));
    let rows = window.rows();
    let day = rows.iter().position(|row| row == "---- Wednesday, 26 November 2025 ----").unwrap();
    assert_eq!(rows[day + 1..day + 4], ["14:20:01 ben> hi", "14:20:02 * ben left", "14:20:03 eve> later"]);
    assert!(rows[..day].iter().any(|row| row.ends_with(" * 2 earlier lines:")), "{rows:#?}");
    assert!(!rows.iter().any(|row| row.contains("**") || row.contains('@')), "{rows:#?}");
    // What is told to us alone is of today.
    peer.say("** 2 here\n");
    window.wait_until("the answer", |window| window.rows().iter().any(|row| row.ends_with("* 2 here")));
    assert_eq!(window.rows().iter().filter(|row| row.starts_with("---- ")).count(), 2);
}

#[test]
fn an_own_line_is_shown_with_its_record_and_marked_if_that_is_late() {
    let (mut window, mut server, mut peer) = tracked(&[]);
    shows(&mut window, &[YOU_ARE, "client-1>"]);
    window.press("hello\rhalf");
    assert_eq!(server.take(&mut peer), "hello");
    shows(&mut window, &[YOU_ARE, "(1 line under way) client-1> half"]);
    assert_eq!(peer.line(), "/track", "the client asks whether it was taken");
    server.log.extend(["ben> first".to_owned(), "client-1> hello".to_owned()]);
    peer.say(&server.session_line());
    peer.say(&server.records_from(0));
    shows(&mut window, &["ben> first", "client-1> hello", "client-1> half"]);
    assert_eq!(count(&mut window, "client-1> hello"), 1);
}

#[test]
fn a_lost_connection_loses_and_doubles_nothing() {
    let (mut window, mut server, mut peer) = tracked(&[]);
    server.record(&mut peer, "ben> before");
    window.press("one\r");
    assert_eq!(server.take_said(&mut peer), "one");
    shows(&mut window, &["ben> before", "client-1> one", "client-1>"]);
    window.press("two\r");
    // It is taken, but its record does not arrive.
    assert_eq!(server.take(&mut peer), "two");
    server.log.extend(["client-1> two".to_owned(), "ben> meanwhile".to_owned()]);
    window.press("three\r");
    assert_eq!(peer.line(), "three");
    peer.reset();
    window.wait_until("the loss", |window| window.rows().iter().any(|row| row.starts_with("-- the connection was")));
    window.press("four\r");
    let mut peer = server.accept();
    assert_eq!(server.resume(&mut peer), 2);
    for line in ["three", "four"] {
        assert_eq!(server.take_said(&mut peer), line);
    }
    let last = ["client-1> two", "ben> meanwhile", "client-1> three", "client-1> four", "client-1>"];
    shows(&mut window, &[&["-- connected again"], &last[..]].concat());
    assert_eq!(count(&mut window, "ben> before"), 1);
    assert!(!window.scrollback().iter().any(|row| row.contains("missing here")));
}

#[test]
fn what_is_missing_is_told_as_the_server_tells_it() {
    let (mut window, mut server, mut peer) = tracked(&[]);
    server.record(&mut peer, "ben> one");
    window.press("mine\r");
    assert_eq!(server.take(&mut peer), "mine");
    server.log.extend(["ben> two".to_owned(), "client-1> mine".to_owned(), "ben> three".to_owned()]);
    peer.reset();
    let mut peer = server.accept();
    assert_eq!(server.read_resume(&mut peer), 1);
    let news = format!("{}** you missed 2 lines\n{}", server.session_line(), server.you_are());
    peer.say(&[news, server.stamp(3), server.records_from(3)].concat());
    // The own line among them was said.
    shows(&mut window, &["-- connected again", "* you missed 2 lines", "ben> three", "client-1> mine", "client-1>"]);
}

#[test]
fn a_session_that_is_lost_is_begun_anew_and_leaves_a_line_in_doubt() {
    // The name was asked for before the tracking.
    let mut server = TrackedServer::start();
    let mut window = Window::open(40, 100, &client_of(server.address(), &["--nick", "ana"]));
    let mut peer = server.accept_ana();
    window.press("one\r");
    assert_eq!(peer.line(), "one");
    peer.reset();
    let mut peer = server.accept();
    server.read_resume(&mut peer);
    (server.token, server.epoch, server.name) = ("another".to_owned(), "b2".to_owned(), "client-9".to_owned());
    server.log = vec!["ben> anew".to_owned()];
    server.welcome(&mut peer, "** cannot resume: earlier lines follow\n");
    assert_eq!(server.take(&mut peer), "/nick ana");
    peer.say("** client-9 is now ana\n");
    server.name = "ana".to_owned();
    window.press("two\r");
    assert_eq!(server.take_said(&mut peer), "two");
    shows(&mut window, &["* client-9 is now ana", "ana> two", "ana>"]);
    for row in ["-- perhaps not sent: one", "* cannot resume: earlier lines follow", "ben> anew", "ana> two"] {
        assert_eq!(count(&mut window, row), 1, "{row}: {:#?}", window.rows());
    }
    assert_eq!(count(&mut window, "ana> one"), 0);
}

#[test]
fn a_new_seat_of_the_session_is_told_and_asked_for_the_name() {
    let (mut window, mut server, mut peer) = tracked(&[]);
    window.press("/nick ana\r");
    assert_eq!(server.take(&mut peer), "/nick ana");
    peer.say("** client-1 is now ana\n");
    shows(&mut window, &["* client-1 is now ana", "ana>"]);
    server.name = "ana".to_owned();
    peer.reset();
    let mut peer = server.accept();
    server.read_resume(&mut peer);
    server.name = "client-9".to_owned();
    peer.say(&format!("{}** resumed\n", server.session_line()));
    // The rest of it comes later.
    window.press("half");
    shows(&mut window, &["ana> half"]);
    peer.say(&[server.you_are(), server.stamp(0)].concat());
    assert_eq!(server.take(&mut peer), "/nick ana");
    shows(&mut window, &["-- connected again", "* you are client-9, in lobby", "client-9> half"]);
}

#[test]
fn what_was_typed_for_a_room_that_is_gone_is_not_said_elsewhere() {
    let mut server = TrackedServer::start();
    let mut window = Window::open(40, 100, &client_of(server.address(), &["--room", "rust"]));
    let mut peer = server.accept();
    assert_eq!(peer.line(), "/join rust");
    peer.greet();
    peer.say("* you are in rust, alone\n");
    server.room = "rust".to_owned();
    server.begin(&mut peer);
    window.press("one\r");
    assert_eq!(peer.line(), "one");
    peer.reset();
    let mut peer = server.accept();
    window.press("two\r");
    server.read_resume(&mut peer);
    (server.room, server.epoch) = ("lobby".to_owned(), "b2".to_owned());
    server.welcome(&mut peer, "** cannot resume: earlier lines follow\n");
    assert_eq!(server.take(&mut peer), "/join rust");
    peer.say("** there are 2 rooms already\n");
    shows(
        &mut window,
        &["-- cannot join rust: there are 2 rooms already", "-- not sent: one", "-- not sent: two", "client-1>"],
    );
    window.press("here\r");
    assert_eq!(server.take_said(&mut peer), "here");
}

#[test]
fn a_command_is_shown_once_before_its_answer_and_sent_until_it_is_taken() {
    let (mut window, mut server, mut peer) = tracked(&[]);
    window.press("/msg ben psst\r");
    assert_eq!(peer.line(), "/msg ben psst");
    peer.reset();
    let mut peer = server.accept();
    server.resume(&mut peer);
    assert_eq!(server.take(&mut peer), "/msg ben psst");
    peer.say("** you told ben: psst\n** ben tells you: ssh\n");
    shows(&mut window, &["* ben tells you: ssh", "client-1>"]);
    assert_eq!(count(&mut window, "client-1 to ben> psst"), 1);
    // It has no record, so the client asks whether it was taken.
    assert_eq!(peer.line(), "/track");
    peer.say(&server.session_line());
    peer.reset();
    let mut peer = server.accept();
    server.resume(&mut peer);
    window.press("end\r");
    assert_eq!(server.take_said(&mut peer), "end");
    shows(&mut window, &["client-1> end", "client-1>"]);
}

#[test]
fn a_command_waits_for_the_lines_before_it_but_not_for_longer_than_its_answer() {
    let (mut window, mut server, mut peer) = tracked(&[]);
    window.press("one\r/who\r");
    assert_eq!([server.take(&mut peer), server.take(&mut peer)], ["one", "/who"]);
    server.record(&mut peer, "client-1> one");
    shows(&mut window, &["client-1> one", "client-1> /who", "client-1>"]);
    peer.say("** 1 here\n");
    shows(&mut window, &["client-1> one", "client-1> /who", "* 1 here", "client-1>"]);
    window.press("two\r/who\r");
    assert_eq!([server.take(&mut peer), server.take(&mut peer)], ["two", "/who"]);
    peer.say("** 2 here\n");
    shows(&mut window, &["client-1> /who", "* 2 here", "client-1>"]);
    server.record(&mut peer, "client-1> two");
    shows(&mut window, &["client-1> /who", "* 2 here", "client-1> two", "client-1>"]);
}

#[test]
fn a_session_that_goes_on_elsewhere_is_left_to_the_other() {
    let (mut window, _server, mut peer) = tracked(&[]);
    shows(&mut window, &[YOU_ARE, "client-1>"]);
    window.press("half");
    shows(&mut window, &["client-1> half"]);
    peer.say("** this session goes on elsewhere\n");
    drop(peer);
    let told = "pollchat-client: this session goes on elsewhere; start the client again to join anew";
    assert_eq!(ends(window, 1), [YOU_ARE, "-- not sent: half", told]);
}

#[test]
fn each_way_to_leave_ends_the_session() {
    for leave in ["\x04", "\x03", "/quit\r"] {
        let (mut window, mut server, mut peer) = tracked(&[]);
        shows(&mut window, &[YOU_ARE, "client-1>"]);
        window.press(&format!("last words\r{leave}"));
        assert_eq!(server.take_said(&mut peer), "last words");
        server.end(peer);
        let rows = ends(window, 0);
        assert_eq!(rows.iter().filter(|row| *row == "client-1> last words").count(), 1, "{leave:?}: {rows:#?}");
        assert!(!rows.iter().any(|row| row.contains("not sent")), "{rows:#?}");
    }
}

#[test]
fn the_prompt_and_tab_follow_a_move() {
    let (mut window, mut server, mut peer) = tracked(&[]);
    server.record(&mut peer, "* anton joined");
    shows(&mut window, &["* anton joined", "client-1>"]);
    window.press("/join tea\r");
    assert_eq!(server.take(&mut peer), "/join tea");
    (server.room, server.epoch, server.log) = ("tea".to_owned(), "f1".to_owned(), Vec::new());
    let unit = format!("{}** you are in tea, with 1 other\n{}", server.session_line(), server.you_are());
    peer.say(&[unit, server.stamp(0)].concat());
    server.record(&mut peer, "* client-1 joined");
    server.record(&mut peer, "anna> hi");
    shows(&mut window, &["client-1> /join tea", "* you are in tea, with 1 other", "anna> hi", "client-1@tea>"]);
    window.press("an\t");
    shows(&mut window, &["client-1@tea> anna:"]);
    server.record(&mut peer, "* anna is now anke");
    shows(&mut window, &["* anna is now anke", "client-1@tea> anna:"]);
    window.press("\x15an\t");
    shows(&mut window, &["* anna is now anke", "client-1@tea> anke:"]);
    server.record(&mut peer, "* anke left");
    shows(&mut window, &["* anke left", "client-1@tea> anke:"]);
    window.press("\x15an\t");
    shows(&mut window, &["* anke left", "client-1@tea> an"]);
}

#[test]
fn a_server_that_says_something_else_is_shown_as_it_is() {
    let (mut window, mut server, mut peer) = tracked(&[]);
    // Another connection reaches a server that does not track.
    server.record(&mut peer, "ben> one");
    window.press("two\r");
    assert_eq!(peer.line(), "two");
    peer.reset();
    let mut peer = server.accept();
    server.read_resume(&mut peer);
    window.press("three\r");
    peer.say("* you are client-9; /help lists what you can do\nben> old\n");
    peer.say("* there is no command /track; /help lists what you can do\n");
    assert_eq!(peer.line(), "three");
    shows(&mut window, &["client-9> three", "client-9>"]);
    for row in ["-- perhaps not sent: two", "ben> old", "client-9> three"] {
        assert_eq!(count(&mut window, row), 1, "{row}: {:#?}", window.rows());
    }
}

#[test]
fn a_proxy_that_restarts_ten_times_is_noticed_by_nobody() {
    let server = Server::start(&["--history", "20"]);
    let proxy = CuttingProxy::start(server.address());
    let mut others = [server.join(), server.join()];
    let mut window = Window::open(40, 100, &client_of(proxy.address(), &["--nick", "ana", "--timestamps"]));
    window.wait_until("the session", |window| window.rows().iter().any(|row| row.contains("* you are ana, in lobby")));
    for round in 0..10 {
        window.press(&format!("mine {round}\r"));
        others[0].send(format!("ben {round}\n"));
        proxy.cut();
        others[1].send(format!("eve {round}\n"));
        window.press(&format!("/who\rmore {round}\r"));
        let last = format!("> more {round}");
        window.wait_until(&last, |window| window.rows().iter().any(|row| row.ends_with(&last)));
    }
    let rows = window.scrollback();
    let said: Vec<&str> = rows.iter().filter_map(|row| row.get(9..)?.split_once("> ")).map(|(_, text)| text).collect();
    for round in 0..10 {
        for text in ["mine", "ben", "eve", "more"] {
            let line = format!("{text} {round}");
            assert_eq!(said.iter().filter(|seen| **seen == line).count(), 1, "{line}: {rows:#?}");
        }
    }
    assert_eq!(said.iter().filter(|text| **text == "/who").count(), 10, "{rows:#?}");
    assert!(!rows.iter().any(|row| row.contains("missing here") || row.contains("you missed")), "{rows:#?}");
    assert_eq!(proxy.connections(), 11);
    window.press("\x04");
    assert_eq!(window.ends().code(), Some(0));
    let heard = others[0].lines_until(|line| line == "* ana left");
    assert_eq!(heard.iter().filter(|line| line.ends_with(" joined")).count(), 2, "{heard:#?}");
    let from_ana: Vec<&str> = heard.iter().filter_map(|line| line.strip_prefix("ana> ")).collect();
    let expected: Vec<String> = (0..10).flat_map(|round| [format!("mine {round}"), format!("more {round}")]).collect();
    assert_eq!(from_ana, expected);
}

#[test]
fn connections_that_are_cut_at_any_byte_lose_and_double_nothing() {
    for seed in 1..=2 {
        let server = Server::start(&["--resume-within", "60"]);
        let proxy = CuttingProxy::chaotic(server.address(), seed * 0x9e37_79b9);
        let mut ben = server.join();
        let mut window = Window::open(40, 100, &client_of(proxy.address(), &["--nick", "ana"]));
        window.wait_until("the session", |window| window.rows().iter().any(|row| row.starts_with("* you are ana, in")));
        for number in 0..60 {
            ben.send(format!("b{number}\n"));
            window.press_in_pieces(&format!("a{number}\r/who\r"));
        }
        window.wait_until("some cuts", |_| proxy.connections() > 5);
        proxy.calm();
        window.press("end\r");
        window.wait_until("the end", |window| window.rows().iter().any(|row| row == "ana> end"));
        let rows = window.scrollback();
        for (name, letter) in [("client-1", 'b'), ("ana", 'a')] {
            let prefix = format!("{name}> {letter}");
            let said: Vec<&str> = rows.iter().filter_map(|row| row.strip_prefix(&prefix)).collect();
            assert_eq!(said, (0..60).map(|number| number.to_string()).collect::<Vec<_>>(), "{prefix}: {rows:#?}");
        }
        assert_eq!(rows.iter().filter(|row| *row == "ana> /who").count(), 60, "{rows:#?}");
        window.press("\x04");
        assert_eq!(window.ends().code(), Some(0));
        let heard = ben.lines_until(|line| line == "* ana left");
        let from_ana: Vec<&str> = heard.iter().filter_map(|line| line.strip_prefix("ana> a")).collect();
        assert_eq!(from_ana, (0..60).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(heard.iter().filter(|line| line.ends_with(" joined")).count(), 1, "{heard:?}");
    }
}
