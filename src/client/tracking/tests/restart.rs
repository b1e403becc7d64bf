//! A server that was restarted with its journal, and lets a new session read on.

use super::*;

/// The first unit of a new session behind a restart: it begins at `g.50`, and reads on at `e.5`.
const READ_ON: &str = "** session t2 heard 0 at g.50 as client-9\n** resumed\n** you are client-9, in rust\n@ 1000 e.5";

/// The same once others have spoken.
const READ_ON_TO_2: &str =
    "** session t2 heard 0 at g.52 as client-9\n** resumed\n** you are client-9, in rust\n@ 1000 e.5";

fn read_on() -> Event {
    Event::Entered(Entered { name: "client-9".into(), room: "rust".into(), how: How::ReadOn })
}

/// A record of the log before the restart.
fn past(line: &str, position: &str, own: Option<u64>) -> Event {
    let Event::Record(record) = record(line, position, 1000, own) else { unreachable!() };
    Event::Record(Record { is_past: true, ..record })
}

/// A client that has sent these lines, behind a crash of the server.
fn crashed(lines: &[&str]) -> Tracking {
    let mut tracking = tracked();
    say(&mut tracking, lines);
    assert_eq!(reconnect(&mut tracking).as_deref(), Some("/track e.5 t1\n"));
    tracking
}

/// The lines that may be sent, without their newlines.
fn sent(tracking: &mut Tracking) -> Vec<String> {
    let now = Instant::now();
    std::iter::from_fn(|| tracking.next_line(Which::All, usize::MAX, now).map(|line| line.trim_end().to_owned()))
        .collect()
}

#[test]
fn lines_in_the_log_of_the_lost_session_were_heard_and_the_others_are_sent_again() {
    let mut tracking = crashed(&["one", "two", "two"]);
    tracking.push("three");
    assert_eq!(hear(&mut tracking, READ_ON_TO_2), [read_on()]);
    assert!(tracking.holds_lines() && sent(&mut tracking).is_empty() && tracking.untaken_lines() == 3);
    assert_eq!(
        hear(&mut tracking, "eve> one\nana> one\nana> two"),
        [
            past("eve> one", "e.5", None),
            taken(1, "one"),
            past("ana> one", "e.6", Some(1)),
            taken(2, "two"),
            past("ana> two", "e.7", Some(2)),
        ]
    );
    // Another client took the name.
    assert_eq!(hear(&mut tracking, "@ 9000 g.50\nana> two"), [record("ana> two", "g.50", 9000, None)]);
    assert_eq!(sent(&mut tracking), ["two", "three"]);
    hear(&mut tracking, "eve> b\nclient-9> two\nclient-9> three");
    assert!(tracking.is_settled());
}

#[test]
fn requests_go_first_and_the_position_is_kept() {
    let mut tracking = crashed(&["one"]);
    hear(&mut tracking, READ_ON_TO_2);
    tracking.push_requests(&["/nick ana".to_owned()]);
    assert_eq!(sent(&mut tracking), ["/nick ana"]);
    // An old change of the name is no news.
    hear(&mut tracking, "** client-9 is now ana\n* ana is now bob\nbob> one");
    assert_eq!((tracking.name(), tracking.untaken_lines()), ("ana", 1));
    assert_eq!(reconnect(&mut tracking).as_deref(), Some("/track e.7 t2\n"));
}

#[test]
fn names_are_those_of_the_lost_session_until_they_leave() {
    let mut tracking = crashed(&["/nick bob", "one", "two"]);
    hear(&mut tracking, READ_ON_TO_2);
    let events = hear(&mut tracking, "* ana is now bob\nana> one\nbob> one\n* bob left\nbob> two\n@ 9000 g.50\neve> a");
    assert_eq!(events[2], taken(1, "/nick bob"));
    assert_eq!(events[3..5], [taken(2, "one"), past("bob> one", "e.7", Some(2))]);
    assert_eq!(sent(&mut tracking), ["two"]);
}

#[test]
fn a_log_without_more_records_ends_with_the_second_answer_in_a_row() {
    let mut tracking = crashed(&["one"]);
    hear(&mut tracking, READ_ON);
    let mut answers = 0;
    let mut ask = |tracking: &mut Tracking, more: &str| {
        let at = tracking.ack_deadline().unwrap();
        assert_eq!(tracking.ask_for_ack(true, at - Duration::from_millis(1)), None);
        assert_eq!(tracking.ask_for_ack(false, at), Some("/track\n"));
        answers += 1;
        hear(tracking, &format!("** session t2 heard 0 at g.50 as client-9{more}"));
    };
    ask(&mut tracking, "\neve> late");
    ask(&mut tracking, "");
    assert_eq!(sent(&mut tracking), [""; 0]);
    ask(&mut tracking, "");
    assert_eq!((sent(&mut tracking), answers), (vec!["one".to_owned()], 3));
    hear(&mut tracking, "@ 9000 g.50\nclient-9> one");
    assert!(tracking.is_settled());
}

#[test]
fn a_line_that_may_be_among_the_missed_ones_is_in_doubt() {
    let mut tracking = crashed(&["one", "two", "three", "/who"]);
    let missed = READ_ON_TO_2.replace("resumed", "you missed 2 lines").replace("e.5", "e.7");
    assert_eq!(hear(&mut tracking, &missed), [read_on(), Event::Missed(Some(2))]);
    // What came before a line that was heard was heard, and what did not come behind it was not.
    assert_eq!(hear(&mut tracking, "ana> two")[..3], [taken(1, "one"), Event::Unrecorded(1), taken(2, "two")]);
    assert_eq!(hear(&mut tracking, "@ 9000 g.50"), []);
    assert_eq!(sent(&mut tracking), ["three", "/who"]);
    let mut tracking = crashed(&["one", "/who"]);
    let missed = missed.replace("e.7", "g.50");
    assert_eq!(hear(&mut tracking, &missed), [read_on(), Event::Missed(Some(2)), Event::InDoubt(1)]);
    assert_eq!(sent(&mut tracking), ["/who"]);
}

#[test]
fn a_gap_in_the_log_is_told_and_leaves_a_doubt() {
    let mut tracking = crashed(&["one"]);
    hear(&mut tracking, READ_ON_TO_2);
    assert_eq!(hear(&mut tracking, "eve> a\n@ 2000 e.9")[1..], [Event::Missed(Some(3))]);
    assert_eq!(hear(&mut tracking, "@ 9000 g.50"), [Event::InDoubt(1)]);
}

#[test]
fn what_no_record_of_this_room_can_tell_is_in_doubt() {
    let mut tracking = crashed(&["one", "/msg eve psst", "/join tea", "two"]);
    assert_eq!(hear(&mut tracking, READ_ON_TO_2), [Event::InDoubt(4), read_on()]);
    assert_eq!(hear(&mut tracking, "@ 9000 g.50"), [Event::InDoubt(2)]);
    assert_eq!(sent(&mut tracking), ["one", "/join tea"]);
    // It had been heard that the client went, but not all about it.
    let mut tracking = tracked();
    say(&mut tracking, &["/join tea", "two"]);
    hear(&mut tracking, "** session t1 heard 1 at f.2 as ana\n** you are in tea, alone");
    reconnect(&mut tracking);
    assert_eq!(hear(&mut tracking, READ_ON), [Event::InDoubt(2), read_on()]);
}

#[test]
fn a_unit_that_is_cut_changes_nothing_and_a_taken_line_without_a_record_is_not_sent_again() {
    let mut tracking = tracked();
    say(&mut tracking, &["one", "two"]);
    hear(&mut tracking, "** session t1 heard 1 at e.6 as ana");
    reconnect(&mut tracking);
    hear(&mut tracking, "** session t2 heard 0 at g.50 as client-8\n** resumed");
    assert_eq!(reconnect(&mut tracking).as_deref(), Some("/track e.5 t2\n"));
    assert_eq!(hear(&mut tracking, &READ_ON.replace("e.5", "g.50")), [read_on(), Event::Unrecorded(1)]);
    assert_eq!(sent(&mut tracking), ["two"]);
}

#[test]
fn a_log_that_turns_out_to_be_gone_leaves_all_lines_in_doubt() {
    let mut tracking = crashed(&["one", "/who"]);
    hear(&mut tracking, "** session t2 heard 0 at g.50 as client-8\n** resumed");
    reconnect(&mut tracking);
    let unit = READ_ON.replace("resumed", "cannot resume: earlier lines follow").replace("e.5", "g.50");
    assert_eq!(hear(&mut tracking, &unit)[1..], [Event::Missed(None), Event::InDoubt(1), Event::InDoubt(2)]);
}
