//! Tracked clients: what they are sent, and the way of a session from one connection to the next.

use std::time::Duration;

use pollchat::relay::room::Audience;
use pollchat::server::access::AccessRules;
use pollchat::server::config::{Config, Lag};
use pollchat::server::flow::rate::Rate;
use pollchat::server::limits::RESUME_WITHIN;

use crate::support::hub::{Client, READABLE, World, quiet};
use crate::support::page::{OPENING, frames, text, visit, world as world_with_page};

/// 2026-01-01, in ms.
const DAY: u64 = 1_767_225_600_000;

fn world(config: &Config) -> World {
    let mut world = World::new(config);
    world.hub.set_clock(DAY);
    world
}

/// Connects with this first line, and returns what comes.
pub(crate) fn begin(world: &mut World, line: &str) -> (Client, Vec<String>) {
    let client = world.connect_silently();
    world.says(&client, format!("{line}\n"));
    let lines = heard(&client);
    (client, lines)
}

pub(crate) fn heard(client: &Client) -> Vec<String> {
    client.received().lines().map(str::to_owned).collect()
}

/// The token, the count and the position in `** session …`.
fn session(line: &str) -> (String, u64, String) {
    let words: Vec<&str> = line.split(' ').collect();
    let ["**", "session", token, "heard", heard, "at", position, "as", _] = words[..] else { panic!("{line:?}") };
    (token.to_owned(), heard.parse().unwrap(), position.to_owned())
}

/// The epoch and the number in a position.
fn parts(position: &str) -> (&str, u64) {
    let (epoch, record) = position.rsplit_once('.').unwrap();
    (epoch, record.parse().unwrap())
}

/// The position so many records behind this one.
fn behind(position: &str, records: u64) -> String {
    let (epoch, record) = parts(position);
    format!("{epoch}.{}", record + records)
}

/// The position in a stamp.
fn stamped(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let ["@", _, position] = words[..] else { panic!("{line:?} is no stamp") };
    position.to_owned()
}

fn drop_connection(world: &mut World, client: &Client) {
    client.resets();
    world.hub.on_ready(client.key, READABLE);
    world.run();
}

#[test]
fn a_tracked_client_is_greeted_in_its_dialect_and_sent_every_record() {
    let mut world = world(&Config { greeting: "hi".into(), history_lines: 9, ..Config::default() });
    let bob = world.connect();
    world.says(&bob, "before\n");
    world.hub.set_clock(DAY + 5_000);
    let (ana, lines) = begin(&mut world, "/track");
    let (_, count, at) = session(&lines[0]);
    assert_eq!((count, parts(&at).1), (0, 2), "joined and said");
    let stamp = format!("@ {DAY} {}", behind(&at, 0).replace(".2", ".1"));
    assert_eq!(
        lines[1..],
        ["** you are client-2, in lobby", "** hi", "** 1 earlier line:", &stamp, "client-1> before"]
    );
    world.says(&ana, "one\n/who\ntwo\n");
    let lines = heard(&ana);
    let stamp = format!("@ {} {at}", DAY + 5_000);
    assert_eq!(lines[0], "** here: client-1, 1 line, 0 min");
    assert_eq!(lines[3..], [stamp.as_str(), "* client-2 joined", "client-2> one", "client-2> two"]);
    assert_eq!(bob.received(), "* client-2 joined\nclient-2> one\nclient-2> two\n", "without a byte of the dialect");
    world.hub.set_clock(DAY + 5_999);
    world.says(&bob, "three\n");
    assert_eq!(heard(&ana), ["client-1> three"]);
    world.hub.set_clock(DAY + 6_000);
    world.says(&bob, "four\n");
    assert_eq!(heard(&ana), [format!("@ {} {}", DAY + 6_000, behind(&at, 4)), "client-1> four".into()]);
    world.says(&ana, "FIN\n");
    assert_eq!(ana.received(), "FIN\n");
}

#[test]
fn a_session_goes_on_where_it_was_and_nobody_is_told() {
    let mut world = world(&Config::default());
    let bob = world.connect();
    let (ana, lines) = begin(&mut world, "/track");
    let (token, ..) = session(&lines[0]);
    world.says(&ana, "/nick ana\nhello\n");
    world.says(&ana, "a fragm");
    assert_eq!(heard(&ana).last().unwrap(), "ana> hello");
    bob.received();
    drop_connection(&mut world, &ana);
    world.says(&bob, "one\ntwo\n");
    assert_eq!(bob.received(), "");
    world.says(&bob, "/who\n/msg ana psst\n");
    assert_eq!(
        bob.received(),
        "* here: client-1, 2 lines, 0 min\n* here: ana, 1 line, 0 min, away\n* 2 here\n* ana is away: not told\n"
    );
    // It has read `ana joined` and `ana> hello`, behind `client-1 joined` if that came.
    let read = stamped(&lines[lines.len() - 1]);
    let (again, lines) = begin(&mut world, &format!("/track {} {token}", behind(&read, 2)));
    let (same, count, _) = session(&lines[0]);
    assert_eq!((same.as_str(), count), (token.as_str(), 2), "the fragment is not counted");
    assert_eq!(lines[1..3], ["** resumed", "** you are ana, in lobby"]);
    let rest: Vec<_> = lines[4..].iter().filter(|line| !line.starts_with("@ ")).collect();
    assert_eq!(rest, ["* client-1 joined", "client-1> one", "client-1> two"]);
    world.says(&again, "back\n");
    assert_eq!(bob.received(), "ana> back\n");
}

#[test]
fn a_lost_seat_is_kept_for_its_time_and_its_session_for_longer() {
    let mut world = world(&quiet());
    let bob = world.connect();
    let (ana, lines) = begin(&mut world, "/track");
    let (token, _, at) = session(&lines[0]);
    world.says(&ana, "/nick ana\nhello\n");
    drop_connection(&mut world, &ana);
    world.pass(RESUME_WITHIN);
    world.says(&bob, "/nick ana\n");
    assert!(bob.received().ends_with("* client-1 is now ana\n"), "the name is free");
    let (_again, lines) = begin(&mut world, &format!("/track {at} {token}"));
    let (same, count, _) = session(&lines[0]);
    assert_eq!((same, count), (token, 2));
    assert_eq!(lines[1..3], ["** resumed", "** you are client-3, in lobby"]);
    assert_eq!(lines.last().unwrap(), "ana> hello");
}

#[test]
fn a_member_that_nobody_knows_and_one_that_says_goodbye_leave_no_seat() {
    let mut world = world(&Config::default());
    let bob = world.connect();
    let (ana, _) = begin(&mut world, "/track");
    drop_connection(&mut world, &ana);
    let (cho, lines) = begin(&mut world, "/track");
    let (token, ..) = session(&lines[0]);
    world.says(&cho, "hello\nFIN\n");
    world.says(&bob, "/who\n");
    assert!(bob.received().ends_with("* here: client-1, 0 lines, 0 min\n* 1 here\n"));
    let (_, lines) = begin(&mut world, &format!("/track x.1 {token}"));
    let (other, count, _) = session(&lines[0]);
    assert!(other != token && count == 0, "a token that said goodbye leads nowhere");
    assert_eq!(lines[1], "** cannot resume: earlier lines follow");
}

#[test]
fn the_old_connection_is_told_and_its_input_is_dropped() {
    let mut world = world(&quiet());
    let bob = world.connect();
    let (ana, lines) = begin(&mut world, "/track");
    let (token, _, at) = session(&lines[0]);
    world.says(&ana, "hello\n");
    ana.received();
    ana.sends("never said\n");
    let (again, lines) = begin(&mut world, &format!("/track {} {token}", behind(&at, 1)));
    assert_eq!(lines[1], "** resumed");
    world.hub.on_ready(ana.key, READABLE);
    world.run();
    assert_eq!(ana.received(), "** this session goes on elsewhere\n", "without FIN");
    assert!(ana.is_ended());
    assert_eq!(bob.received(), "client-2> hello\n");
    world.says(&again, "/track\n");
    let lines = heard(&again);
    assert_eq!((lines.len(), session(&lines[0]).1), (1, 1), "an acknowledgement alone");
}

#[test]
fn a_position_opens_nothing_that_the_session_could_not_read() {
    let mut world = world(&quiet());
    let bob = world.connect();
    world.says(&bob, "secret\n");
    let (ana, lines) = begin(&mut world, "/track");
    let (token, _, at) = session(&lines[0]);
    world.says(&ana, "hello\n");
    drop_connection(&mut world, &ana);
    for position in [at.replace(".1", ".0"), behind(&at, 2), format!("x{at}"), at.replace('.', "_"), "x".into()] {
        let (ana, lines) = begin(&mut world, &format!("/track {position} {token}"));
        assert_eq!(lines[1], "** cannot resume: earlier lines follow", "{position}");
        assert!(!lines.iter().any(|line| line.contains("secret")));
        drop_connection(&mut world, &ana);
    }
}

#[test]
fn a_reader_that_is_behind_is_told_how_many_records_it_missed() {
    let config = Config { backlog_bytes: 20_000, ..quiet() };
    let mut world = world(&config);
    let bob = world.connect();
    let (ana, lines) = begin(&mut world, "/track");
    let (token, _, at) = session(&lines[0]);
    world.says(&ana, "hello\n");
    drop_connection(&mut world, &ana);
    for _ in 0..100 {
        world.says(&bob, format!("{}\n", "x".repeat(1_000)));
    }
    let (ana, lines) = begin(&mut world, &format!("/track {at} {token}"));
    let missed: u64 = lines[1].strip_prefix("** you missed ").unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_eq!(stamped(&lines[3]), behind(&at, missed));
    assert_eq!(lines[4..].iter().filter(|line| !line.starts_with("@ ")).count() as u64, 101 - missed);
    // A gap in the middle of a connection.
    ana.takes(0);
    for _ in 0..100 {
        world.says(&bob, format!("{}\n", "y".repeat(1_000)));
        // The brake gives a reader that is behind some time.
        world.pass(Duration::from_secs(1));
    }
    world.makes_room(&ana, usize::MAX);
    let lines = heard(&ana);
    let gap = lines.iter().position(|line| line.starts_with("** session")).unwrap();
    let (same, count, end) = session(&lines[gap]);
    assert_eq!((same, count, end), (token, 1, behind(&at, 201)));
    let missed: u64 =
        lines[gap + 1].strip_prefix("** you missed ").unwrap().split(' ').next().unwrap().parse().unwrap();
    let records = lines.iter().filter(|line| !line.starts_with("@ ") && !line.starts_with("** ")).count() as u64;
    assert_eq!(records + missed, 100);
    let next = lines[gap + 2..].iter().filter(|line| line.starts_with("client-1> ")).count() as u64;
    assert_eq!(stamped(&lines[gap + 2]), behind(&at, 201 - next));
}

#[test]
fn a_late_track_gives_all_again_since_the_client_came() {
    let mut world = world(&quiet());
    let bob = world.connect();
    world.says(&bob, "before\n");
    let ana = world.connect();
    world.says(&bob, "one\n");
    let cho = world.connect();
    world.says(&bob, "two\n");
    assert_eq!(ana.received(), "client-1> one\nclient-1> two\n");
    world.says(&ana, "three\n/track\n");
    let said =
        |lines: &[String]| lines.iter().filter(|line| !line.starts_with(['*', '@'])).cloned().collect::<Vec<_>>();
    let lines = heard(&ana);
    assert_eq!(session(&lines[0]).1, 0);
    assert_eq!(said(&lines), ["client-1> one", "client-1> two", "client-2> three"]);
    world.says(&cho, "/track\n");
    let lines = heard(&cho);
    let answer = lines.iter().position(|line| line.starts_with("** session")).unwrap();
    assert_eq!(said(&lines[answer..]), ["client-1> two", "client-2> three"]);
}

#[test]
fn a_session_goes_on_in_the_room_that_it_moved_to() {
    let mut world = world(&Config { history_lines: 5, ..Config::default() });
    let bob = world.connect();
    world.says(&bob, "/join rust\nin rust\n");
    let (ana, lines) = begin(&mut world, "/track");
    let (token, ..) = session(&lines[0]);
    world.says(&ana, "/nick ana\nhello\n/join rust\n");
    let lines = heard(&ana);
    let move_at = lines.iter().rposition(|line| line.starts_with("** session")).unwrap();
    let (same, count, at) = session(&lines[move_at]);
    assert_eq!((same.as_str(), count), (token.as_str(), 3));
    assert_eq!(
        lines[move_at + 1..move_at + 4],
        ["** you are in rust, with 1 other", "** you are ana, in rust", "** 1 earlier line:"]
    );
    assert_eq!(lines.last().unwrap(), "* ana joined");
    bob.received();
    drop_connection(&mut world, &ana);
    let (_, lines) = begin(&mut world, &format!("/track {} {token}", behind(&at, 1)));
    assert_eq!(lines[1..3], ["** resumed", "** you are ana, in rust"]);
    assert_eq!(bob.received(), "");
}

#[test]
fn a_client_lost_on_its_way_to_another_room_has_arrived_there() {
    let mut world = world(&Config::default());
    let (bob, cho) = (world.connect(), world.connect());
    world.says(&bob, "/join rust\n");
    let (ana, lines) = begin(&mut world, "/track");
    let (token, _, at) = session(&lines[0]);
    world.says(&ana, "/nick ana\n");
    ana.received();
    bob.received();
    ana.takes(0);
    world.says(&cho, "one\n");
    world.says(&cho, "two\n");
    world.says(&ana, "/join rust\n");
    let (again, lines) = begin(&mut world, &format!("/track {at} {token}"));
    assert_eq!(lines[1..3], ["** you missed 4 lines", "** you are ana, in rust"]);
    assert_eq!(bob.received(), "* ana joined\n");
    drop_connection(&mut world, &again);
    world.says(&bob, "here\n");
    let (_, lines) = begin(&mut world, &format!("/track {at} {token}"));
    let missed: u64 = lines[1].strip_prefix("** you missed ").unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(missed >= 3, "ana joined, one, two");
    assert_eq!(lines[2], "** you are ana, in rust");
    assert_eq!(lines.last().unwrap(), "client-1> here");
}

#[test]
fn a_full_server_gives_a_kept_seat_to_a_newcomer_and_refuses_no_owner() {
    let mut world = world(&Config { clients_max: Some(2), ..quiet() });
    let begun: Vec<_> = (0..2).map(|_| begin(&mut world, "/track")).collect();
    let tokens: Vec<_> = begun.iter().map(|(_, lines)| session(&lines[0]).0).collect();
    for (client, _) in &begun {
        world.says(client, "hello\n");
    }
    // The owner of a ghost comes back to a full server.
    let (again, lines) = begin(&mut world, &format!("/track x {}", tokens[0]));
    assert_eq!(lines[2], "** you are client-1, in lobby");
    drop_connection(&mut world, &again);
    let (_newcomer, lines) = begin(&mut world, "hello");
    assert!(lines[0].starts_with("* you are client-3"), "{lines:?}");
    let (_, lines) = begin(&mut world, &format!("/track x {}", tokens[0]));
    assert_eq!(lines[0], "* the server is full (2 clients)", "its seat is another's now");
}

#[test]
fn a_name_is_free_if_the_token_of_its_lost_holder_may_not_have_arrived() {
    let mut world = world(&Config::default());
    let bob = world.connect();
    for proof in ["", "/track\n", "\n", "/who\n"] {
        let (ana, _) = begin(&mut world, "");
        world.says(&ana, "/nick ana\n/track\n");
        world.says(&ana, proof);
        drop_connection(&mut world, &ana);
        let (again, _) = begin(&mut world, "/track");
        world.says(&again, "/nick ana\n");
        let answer = heard(&again).pop().unwrap();
        assert_eq!(answer.starts_with("** the name ana is taken"), !proof.is_empty(), "{proof:?}: {answer}");
        world.says(&again, "FIN\n");
        if !proof.is_empty() {
            world.now += RESUME_WITHIN;
            world.turn();
        }
    }
    assert_eq!(bob.received().matches("* ana left").count(), 5);
}

#[test]
fn the_operator_removes_a_member_that_is_away() {
    let mut world = world(&Config { console: true, ..quiet() });
    let console = world.open_console();
    let (ana, lines) = begin(&mut world, "/track");
    let (token, ..) = session(&lines[0]);
    world.says(&ana, "/nick ana\n");
    drop_connection(&mut world, &ana);
    // Another connection has its key by now.
    let bob = world.connect();
    assert_eq!(bob.key, ana.key);
    console.received();
    world.says(&console, "/kick ana\n/who\n");
    assert!(
        console.received().ends_with(
            "* ana was removed\n* here: server, 0 lines, 0 min\n* here: client-2, 0 lines, 0 min\n* 2 here\n"
        )
    );
    assert!(!bob.is_ended());
    let (_, lines) = begin(&mut world, &format!("/track x {token}"));
    assert_ne!(session(&lines[0]).0, token);
}

#[test]
fn the_rate_goes_with_the_session() {
    passes_the_burst_once(|world, track| {
        let (ana, _) = begin(world, track);
        world.says(&ana, "a\nb\nc\n");
        ana
    });
}

#[test]
fn the_rate_goes_with_a_session_that_is_resumed_late() {
    passes_the_burst_once(|world, track| {
        let ana = world.connect();
        world.says(&ana, format!("{track}\na\nb\nc\n"));
        ana
    });
}

#[test]
fn a_track_is_a_line_of_the_rate_also_if_it_is_late() {
    for is_late in [false, true] {
        let mut world = world(&Config { rate: Some(Rate::new(1, 1)), ..quiet() });
        let bob = world.connect();
        let (ana, lines) = begin(&mut world, "/track");
        let (token, ..) = session(&lines[0]);
        world.pass(Duration::from_secs(2));
        drop_connection(&mut world, &ana);
        let again = if is_late { world.connect() } else { world.connect_silently() };
        world.says(&again, format!("/track x {token}\na\n"));
        assert_eq!(bob.received(), "", "late: {is_late}");
        world.pass(Duration::from_secs(1));
        let heard = bob.received();
        assert!(heard.ends_with("> a\n") && heard.lines().count() == 1, "late: {is_late}: {heard:?}");
    }
}

/// Checks that a client which comes back five times with three lines, by `resume`, says no more than its burst of 5.
fn passes_the_burst_once(resume: impl Fn(&mut World, &str) -> Client) {
    let mut world = world(&Config { rate: Some(Rate::new(1, 5)), ..quiet() });
    let bob = world.connect();
    let (ana, lines) = begin(&mut world, "/track");
    let (token, ..) = session(&lines[0]);
    world.says(&ana, "1\n2\n3\n4\n5\n6\n");
    let mut heard = bob.received().lines().count();
    drop_connection(&mut world, &ana);
    for _ in 0..5 {
        let again = resume(&mut world, &format!("/track x {token}"));
        heard += bob.received().lines().count();
        drop_connection(&mut world, &again);
    }
    assert!(heard <= 5, "{heard} lines");
}

#[test]
fn an_echo_server_has_nothing_to_track() {
    let mut world = world(&Config { audience: Audience::Sender, ..Config::default() });
    let (ana, lines) = begin(&mut world, "/track");
    assert_eq!(lines[1..], ["* nothing to track: only you hear your echo"]);
    world.says(&ana, "hello\n");
    assert_eq!(heard(&ana), ["client-1> hello"]);
}

#[test]
fn a_tracked_line_ends_with_a_newline_alone() {
    let config = Config { flush_after: Some(Duration::from_millis(100)), ..quiet() };
    let mut world = world(&config);
    let bob = world.connect();
    let (ana, _) = begin(&mut world, "/track");
    world.says(&ana, "half a line");
    world.pass(Duration::from_secs(1));
    assert_eq!(bob.received(), "");
    world.says(&ana, ", and the rest\r\n");
    assert_eq!(bob.received(), "client-2> half a line, and the rest\n");
}

#[test]
fn a_browser_resumes_with_its_first_line() {
    let mut world = world_with_page(&Config::default());
    world.hub.set_clock(DAY);
    let lines = |browser: &Client| {
        let answer = browser.received_bytes();
        let head = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
        let frames = frames(&answer[head..]);
        let codes: Vec<_> = frames.iter().filter(|(first, _)| *first == 0x88).map(|(_, code)| code.clone()).collect();
        let texts = frames.iter().filter(|(first, _)| *first == 0x81);
        let said: String = texts.map(|(_, text)| String::from_utf8(text.clone()).unwrap()).collect();
        (said.lines().map(str::to_owned).collect::<Vec<_>>(), codes)
    };
    let ana = visit(&mut world);
    world.says(&ana, [OPENING.as_bytes(), &text("/track"), &text("hello")].concat());
    let (heard, _) = lines(&ana);
    let (token, _, at) = session(&heard[0]);
    assert_eq!(heard.last().unwrap(), "client-1> hello");
    let again = visit(&mut world);
    world.says(&again, OPENING);
    world.says(&again, text(&format!("/track {} {token}", behind(&at, 2))));
    assert_eq!(lines(&again).0[1..3], ["** resumed", "** you are client-1, in lobby"]);
    let (heard, codes) = lines(&ana);
    assert_eq!(
        (heard, codes),
        (vec!["** this session goes on elsewhere".to_owned()], vec![4000_u16.to_be_bytes().to_vec()])
    );
    // Close code 1000 ends the session, any other keeps the seat.
    world.says(&again, crate::support::page::frame(0x88, &1001_u16.to_be_bytes()));
    let bob = visit(&mut world);
    world.says(&bob, [OPENING.as_bytes(), &text("/who")].concat());
    assert!(lines(&bob).0.iter().any(|line| line.ends_with("1 line, 0 min, away")));
    let third = visit(&mut world);
    world.says(&third, [OPENING.as_bytes(), &text(&format!("/track x {token}"))].concat());
    world.says(&third, crate::support::page::frame(0x88, &1000_u16.to_be_bytes()));
    world.says(&bob, text("/who"));
    assert_eq!(lines(&bob).0.last().unwrap(), "* 1 here");
}

#[test]
fn a_browser_that_will_track_has_time_for_its_first_line() {
    let opening = |query: &str| OPENING.replace("/ws ", &format!("/ws{query} "));
    let mut world = world_with_page(&Config::default());
    let lines = |browser: &Client| {
        let answer = browser.received_bytes();
        let head = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
        String::from_utf8(frames(&answer[head..]).into_iter().flat_map(|(_, text)| text).collect()).unwrap()
    };
    let [slow, plain, silent] = ["?track", "", "?room=rust&track"].map(|query| {
        let browser = visit(&mut world);
        world.says(&browser, opening(query));
        browser
    });
    world.pass(Duration::from_millis(4_900));
    assert_eq!((lines(&slow).as_str(), lines(&silent).as_str()), ("", ""));
    assert!(lines(&plain).starts_with("* you are client-1; "));
    world.says(&slow, text("/track x y"));
    let heard = lines(&slow);
    assert!(heard.starts_with("** session ") && heard.contains("\n** cannot resume: "), "{heard}");
    // Without the line it enters after all.
    world.pass(Duration::from_millis(200));
    assert!(lines(&silent).contains("* you are client-3; "));
}

#[test]
fn a_room_does_not_wait_for_a_member_that_is_away() {
    let config = Config { lag: Lag::Wait, backlog_bytes: 20_000, ..quiet() };
    let mut world = world(&config);
    let bob = world.connect();
    let (ana, lines) = begin(&mut world, "/track");
    let (token, _, at) = session(&lines[0]);
    world.says(&ana, "hello\n");
    drop_connection(&mut world, &ana);
    bob.received();
    let cho = world.connect();
    for number in 0..50 {
        world.says(&bob, format!("{number} {}\n", "x".repeat(1_000)));
    }
    assert_eq!(cho.received().lines().count(), 50);
    // Nor for one that comes back far behind.
    let (_again, lines) = begin(&mut world, &format!("/track {at} {token}"));
    assert!(lines[1].starts_with("** you missed "), "{lines:?}");
    world.says(&bob, "after\n");
    assert_eq!(cho.received(), "client-1> after\n");
}

#[test]
fn a_browser_enters_at_once_with_an_empty_first_line() {
    let mut world = world_with_page(&Config::default());
    let ana = visit(&mut world);
    world.says(&ana, [OPENING.as_bytes(), &text("\n")].concat());
    assert!(String::from_utf8_lossy(&ana.received_bytes()).contains("* you are client-1"));
    let bob = visit(&mut world);
    world.says(&bob, OPENING);
    world.says(&bob, text("\n"));
    assert!(String::from_utf8_lossy(&bob.received_bytes()).contains("* you are client-2"));
}

#[test]
fn a_first_line_that_comes_after_the_greeting_resumes() {
    for is_away in [false, true] {
        let mut world = world(&Config::default());
        let bob = world.connect();
        let (ana, lines) = begin(&mut world, "/track");
        let (token, _, at) = session(&lines[0]);
        world.says(&ana, "/join rust\none\n");
        if is_away {
            drop_connection(&mut world, &ana);
        }
        let again = world.connect();
        world.says(&again, format!("/track {at} {token}\ntwo\n"));
        let lines = heard(&again);
        assert_eq!(session(&lines[0]), (token, 2, session(&lines[0]).2), "{lines:?}");
        assert_eq!(lines.last().unwrap(), "client-2> two");
        world.says(&bob, "/who\n");
        assert_eq!(bob.received(), "* here: client-1, 0 lines, 0 min\n* 1 here\n");
    }
}

#[test]
fn a_session_without_a_seat_passes_to_the_one_whose_first_line_is_late() {
    let mut world = world(&Config::default());
    let (ana, lines) = begin(&mut world, "/track");
    let (token, _, at) = session(&lines[0]);
    world.says(&ana, "one\n");
    drop_connection(&mut world, &ana);
    world.now += RESUME_WITHIN;
    world.turn();
    let again = world.connect();
    world.says(&again, format!("/track {at} {token}\n"));
    let lines = heard(&again);
    assert_eq!((session(&lines[0]).0, session(&lines[0]).1), (token, 1));
    assert_eq!(lines[1..3], ["** resumed", "** you are client-3, in lobby"]);
}

#[test]
fn silence_ends_no_first_line_that_may_hold_a_token() {
    let flush_after = Duration::from_millis(100);
    let mut world = world(&Config { flush_after: Some(flush_after), ..Config::default() });
    let bob = world.connect();
    let (ana, lines) = begin(&mut world, "/track");
    let (token, _, at) = session(&lines[0]);
    world.says(&ana, "one\n");
    drop_connection(&mut world, &ana);
    bob.received();
    let line = format!("/track {at} {token}\n");
    for cut in 1..line.len() {
        for is_late in [false, true] {
            let again = if is_late { world.connect() } else { world.connect_silently() };
            world.says(&again, &line[..cut]);
            world.now += flush_after;
            world.turn();
            world.says(&again, &line[cut..]);
            let lines = heard(&again);
            assert_eq!(session(&lines[0]).0, token, "cut at {cut}: {lines:?}");
            drop_connection(&mut world, &again);
        }
    }
    assert_eq!(bob.received(), "");
}

#[test]
fn a_session_resumes_however_short_lines_must_be() {
    let mut world = world(&Config { line_bytes_max: 8, ..Config::default() });
    for is_late in [false, true] {
        let (ana, lines) = begin(&mut world, "/track");
        let (token, _, at) = session(&lines[0]);
        drop_connection(&mut world, &ana);
        let again = if is_late { world.connect() } else { world.connect_silently() };
        world.says(&again, format!("/track {at} {token}\n123456789\n"));
        let lines = heard(&again);
        assert_eq!(session(&lines[0]).0, token, "{lines:?}");
        assert_eq!(lines.last().unwrap(), "** line too long (over 8 bytes): not relayed");
    }
}

#[test]
fn half_a_track_at_the_end_of_a_connection_makes_no_member() {
    let mut world = world(&Config::default());
    let bob = world.connect();
    let ana = world.connect_silently();
    world.says(&ana, "/track 0123.4 abc");
    ana.ends();
    world.hub.on_ready(ana.key, READABLE);
    world.run();
    assert!(!ana.received().contains("** "));
    world.says(&bob, "/who\n");
    assert_eq!(bob.received(), "* here: client-1, 0 lines, 0 min\n* 1 here\n");
}

#[test]
fn a_session_outlives_its_seat_on_a_full_server() {
    let mut world = world(&Config { clients_max: Some(2), ..quiet() });
    let (ana, lines) = begin(&mut world, "/track");
    let (token, ..) = session(&lines[0]);
    world.says(&ana, "hello\n");
    drop_connection(&mut world, &ana);
    let (bob, _) = begin(&mut world, "/track");
    world.says(&bob, "hello\n");
    // A tracked newcomer takes the seat, but not the session.
    let (cho, _) = begin(&mut world, "/track");
    world.says(&cho, "FIN\n");
    let (_, lines) = begin(&mut world, &format!("/track x {token}"));
    let (same, count, _) = session(&lines[0]);
    assert_eq!((same, count), (token, 1));
}

#[test]
fn a_server_stops_while_members_are_away() {
    let mut world = world(&quiet());
    let (ana, _) = begin(&mut world, "/track");
    world.says(&ana, "hello\n");
    drop_connection(&mut world, &ana);
    // The last member of its room.
    let (cho, _) = begin(&mut world, "/track");
    world.says(&cho, "/join rust\nhello\n");
    drop_connection(&mut world, &cho);
    let bob = world.connect();
    world.hub.shut_down(world.now);
    world.pass(RESUME_WITHIN);
    assert_eq!(bob.received(), "* the server is shutting down\nFIN\n");
}

#[test]
fn a_reader_that_is_overtaken_in_a_gap_is_told_of_the_next_gap_before_any_record() {
    let mut world = world(&Config { backlog_bytes: 20_000, ..quiet() });
    let bob = world.connect();
    let (ana, lines) = begin(&mut world, "/track");
    let mut next = parts(&stamped(&lines[lines.len() - 1])).1;
    let mut said = next;
    for room_bytes in (0..400).step_by(7) {
        ana.takes(0);
        for _ in 0..2 {
            for _ in 0..40 {
                world.says(&bob, format!("{said} {}\n", "x".repeat(1_000)));
                world.pass(Duration::from_secs(1));
                said += 1;
            }
            world.makes_room(&ana, room_bytes);
        }
        world.makes_room(&ana, usize::MAX);
        for line in heard(&ana) {
            if let Some(missed) = line.strip_prefix("** you missed ") {
                next += missed.split(' ').next().unwrap().parse::<u64>().unwrap();
            } else if line.starts_with('@') {
                assert_eq!(parts(&stamped(&line)).1, next, "{room_bytes} bytes");
            } else if !line.starts_with("** ") {
                assert!(line.starts_with(&format!("client-1> {next} ")), "{room_bytes} bytes: not record {next}");
                next += 1;
            }
        }
    }
    assert_eq!(next, said);
}

#[test]
fn a_member_that_is_lost_twice_within_a_second_keeps_its_seat_for_the_whole_time() {
    let mut world = world(&quiet());
    let bob = world.connect();
    // The first in the queue, which keeps what is behind it.
    let (cho, _) = begin(&mut world, "/track");
    world.says(&cho, "hello\n");
    drop_connection(&mut world, &cho);
    let (ana, lines) = begin(&mut world, "/track");
    let (token, ..) = session(&lines[0]);
    world.says(&ana, "hello\n");
    drop_connection(&mut world, &ana);
    world.pass(Duration::from_millis(1));
    let (again, _) = begin(&mut world, &format!("/track x {token}"));
    drop_connection(&mut world, &again);
    // The time of the first loss is over.
    world.pass(RESUME_WITHIN - Duration::from_millis(1));
    bob.received();
    world.says(&bob, "/who\n");
    assert!(bob.received().contains("* here: client-3, 1 line, 0 min, away\n"));
    world.pass(Duration::from_millis(1));
    world.says(&bob, "/who\n");
    assert!(bob.received().ends_with("* 1 here\n"));
}

#[test]
fn a_connection_that_its_address_keeps_out_takes_no_kept_seat() {
    let access = AccessRules { per_address_max: 1, ..AccessRules::default() };
    let mut world = world(&Config { clients_max: Some(2), access, ..quiet() });
    let bob = world.connect_from("192.0.2.1:1".parse().ok());
    let ana = world.connect_from("192.0.2.2:1".parse().ok());
    world.says(&bob, "\n");
    world.says(&ana, "/nick ana\n/track\n");
    drop_connection(&mut world, &ana);
    let third = world.connect_from("192.0.2.1:2".parse().ok());
    world.says(&third, "hello\n");
    assert_eq!(third.received(), "* too many connections from your address (at most 1)\nFIN\n");
    world.says(&bob, "/who\n");
    assert!(bob.received().contains("* here: ana, 0 lines, 0 min, away\n"));
}

#[test]
fn a_client_back_in_a_new_seat_has_its_whole_time_for_first_words() {
    let config = Config { idle_timeout: Some(Duration::from_secs(2)), ..quiet() };
    let mut world = world(&config);
    let (ana, lines) = begin(&mut world, "/track");
    let (token, ..) = session(&lines[0]);
    drop_connection(&mut world, &ana);
    world.pass(Duration::from_millis(900));
    let (again, _) = begin(&mut world, &format!("/track x {token}"));
    world.pass(Duration::from_millis(1_900));
    assert!(!again.is_ended());
    world.pass(Duration::from_millis(200));
    assert!(again.received().contains("** you have said nothing for 2 seconds"));
}

#[test]
fn a_client_back_in_a_room_that_it_left_before_its_last_one_does_not_resume() {
    let mut world = world(&Config { resume_within: Some(Duration::from_secs(1)), ..quiet() });
    let (ana, lines) = begin(&mut world, "/track");
    let (token, _, at) = session(&lines[0]);
    world.says(&ana, "hello\n/join rust\nhere\n");
    drop_connection(&mut world, &ana);
    // Its seat is gone, and so is the room.
    world.pass(Duration::from_secs(1));
    for _ in 0..2 {
        let (again, lines) = begin(&mut world, &format!("/track {at} {token}"));
        assert_eq!(lines[1], "** cannot resume: earlier lines follow");
        assert!(lines[2].ends_with(", in lobby"), "{lines:?}");
        world.says(&again, "back\n");
        drop_connection(&mut world, &again);
    }
}
