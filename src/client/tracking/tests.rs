//! Each rule of the state machine. `model` has a server and its connections.

mod model;
mod restart;

use std::time::Duration;

use super::*;

/// A client in the dialect at `e.5` as `ana`, in `rust`.
fn tracked() -> Tracking {
    let mut tracking = Tracking::new(true);
    let now = Instant::now();
    assert_eq!((tracking.on_connected(now), tracking.ask(now)), (None, None));
    tracking.on_line("* you are ana; /help lists what you can do", now);
    tracking.on_greeted();
    assert_eq!(tracking.ask(now), Some("/track\n"));
    let entered = Entered { name: "ana".into(), room: "rust".into(), how: How::First };
    let events =
        hear(&mut tracking, "** session t1 heard 0 at e.5 as ana\n** you are ana, in rust\n** be kind\n@ 1000 e.5");
    assert_eq!(events, [Event::Entered(entered), Event::Private("be kind".into())]);
    tracking
}

fn hear(tracking: &mut Tracking, lines: &str) -> Vec<Event> {
    for line in lines.lines() {
        tracking.on_line(line, Instant::now());
    }
    std::iter::from_fn(|| tracking.next_event()).collect()
}

fn say(tracking: &mut Tracking, lines: &[&str]) {
    let now = Instant::now();
    for line in lines {
        tracking.push(line);
        assert_eq!(tracking.next_line(Which::All, usize::MAX, now), Some(&*format!("{line}\n")));
    }
}

fn record(line: &str, position: &str, time_ms: u64, own: Option<u64>) -> Event {
    Event::Record(Record {
        line: line.into(),
        position: Position::parse(position).unwrap(),
        time_ms,
        own,
        is_past: false,
    })
}

fn taken(id: u64, line: &str) -> Event {
    Event::Taken { id, line: line.into() }
}

/// The first line of the next connection.
fn reconnect(tracking: &mut Tracking) -> Option<String> {
    tracking.on_disconnected();
    tracking.on_connected(Instant::now())
}

#[test]
fn the_time_and_the_position_are_those_of_the_last_stamp() {
    let mut tracking = tracked();
    assert_eq!(
        hear(&mut tracking, "eve> a\neve> b"),
        [record("eve> a", "e.5", 1000, None), record("eve> b", "e.6", 1000, None)]
    );
    assert_eq!(hear(&mut tracking, "@ 2500 e.7\n@ 2500 e.7\n* eve left"), [record("* eve left", "e.7", 2500, None)]);
    assert_eq!(hear(&mut tracking, "** 2 here"), [Event::Private("2 here".into())]);
    assert_eq!(reconnect(&mut tracking).as_deref(), Some("/track e.8 t1\n"));
}

#[test]
fn nothing_is_said_between_a_request_and_its_answer() {
    let mut tracking = tracked();
    say(&mut tracking, &["one"]);
    let now = Instant::now();
    assert_eq!(tracking.ask_for_ack(false, now), None);
    assert_eq!(tracking.ask_for_ack(true, now), Some("/track\n"));
    tracking.push("two");
    assert!(tracking.holds_lines() && tracking.next_line(Which::All, usize::MAX, now).is_none());
    assert_eq!(hear(&mut tracking, "** session t1 heard 1 at e.6 as ana"), [taken(1, "one")]);
    assert!(!tracking.is_settled(), "its record comes");
    assert!(tracking.next_line(Which::All, usize::MAX, now).is_some());
    assert_eq!(hear(&mut tracking, "ana> one"), [record("ana> one", "e.5", 1000, Some(1))]);
    assert_eq!(hear(&mut tracking, "ana> two"), [taken(2, "two"), record("ana> two", "e.6", 1000, Some(2))]);
    assert!(tracking.is_settled());
}

#[test]
fn a_line_that_was_taken_in_a_gap_has_no_record_and_the_same_text_is_another_line() {
    let mut tracking = tracked();
    say(&mut tracking, &["hi", "hi"]);
    let events = hear(&mut tracking, "** session t1 heard 1 at e.9 as ana\n** you missed 4 lines\n@ 3000 e.9");
    assert_eq!(events, [taken(1, "hi"), Event::Missed(Some(4)), Event::Unrecorded(1)]);
    assert_eq!(hear(&mut tracking, "ana> hi"), [taken(2, "hi"), record("ana> hi", "e.9", 3000, Some(2))]);
}

#[test]
fn a_history_tells_of_earlier_bearers_of_our_name() {
    let mut tracking = Tracking::new(true);
    tracking.on_greeted();
    tracking.on_connected(Instant::now());
    hear(&mut tracking, "** session t1 heard 0 at e.5 as ana\n** you are ana, in rust\n@ 1000 e.3");
    hear(&mut tracking, "* ana is now eve\n* bob is now ana");
    assert_eq!(tracking.name(), "ana");
    hear(&mut tracking, "* ana is now zoe");
    assert_eq!(tracking.name(), "zoe");
}

#[test]
fn a_server_that_never_answers_is_served_as_one_that_does_not_track() {
    let mut tracking = Tracking::new(true);
    tracking.on_greeted();
    assert_eq!(tracking.ask(Instant::now()), Some("/track\n"));
    assert_eq!(hear(&mut tracking, "ben> hi"), []);
    assert!(tracking.give_up_unanswered() && tracking.is_plain());
    assert_eq!(
        hear(&mut tracking, "ben> more"),
        [Event::Plain("ben> hi".into()), Event::Untracked, Event::Plain("ben> more".into())]
    );
    // The next connection may be a better one. A session is not given up.
    assert_eq!(reconnect(&mut tracking).as_deref(), Some("/track\n"));
    let mut tracking = tracked();
    reconnect(&mut tracking);
    assert!(!tracking.give_up_unanswered());
}

#[test]
fn a_move_takes_effect_with_its_stamp() {
    let mut tracking = tracked();
    say(&mut tracking, &["/join tea", "hi"]);
    let unit = "** session t1 heard 1 at f.2 as ana\n** you are in tea, with 1 other\n** you are ana, in tea\n** 1 earlier line:";
    assert_eq!(hear(&mut tracking, unit), [taken(1, "/join tea")]);
    let entered = Entered { name: "ana".into(), room: "tea".into(), how: How::Moved };
    assert_eq!(
        hear(&mut tracking, "@ 9000 f.1\nana> hi\n* ana joined\nana> hi"),
        [
            Event::Entered(entered),
            Event::Private("you are in tea, with 1 other".into()),
            Event::Private("1 earlier line:".into()),
            record("ana> hi", "f.1", 9000, None),
            record("* ana joined", "f.2", 9000, None),
            taken(2, "hi"),
            record("ana> hi", "f.3", 9000, Some(2)),
        ]
    );
    // Lost within the unit, it stays in the old room.
    let mut tracking = tracked();
    say(&mut tracking, &["/join tea"]);
    hear(&mut tracking, unit);
    assert_eq!((reconnect(&mut tracking).as_deref(), tracking.room()), (Some("/track e.5 t1\n"), "rust"));
}

#[test]
fn a_server_that_does_not_track_gets_everything_that_was_held_back() {
    for refusal in
        ["* there is no command /track; /help lists what you can do", "* nothing to track: only you hear your echo"]
    {
        let mut tracking = Tracking::new(true);
        tracking.on_line("* you are ana; /help", Instant::now());
        tracking.on_greeted();
        assert!(tracking.holds_lines() && tracking.ask(Instant::now()).is_some());
        assert_eq!(hear(&mut tracking, "eve> a"), []);
        let plain = |line: &str| Event::Plain(line.into());
        assert_eq!(
            hear(&mut tracking, &format!("{refusal}\neve> b")),
            [plain("* you are ana; /help"), plain("eve> a"), Event::Untracked, plain("eve> b")]
        );
        assert!(tracking.is_plain() && !tracking.holds_lines());
        assert_eq!(reconnect(&mut tracking), None, "it is asked once");
    }
}

#[test]
fn a_server_that_has_not_greeted_is_never_asked() {
    let mut tracking = Tracking::new(true);
    assert_eq!(tracking.ask(Instant::now()), None);
    tracking.give_up();
    assert!(tracking.is_plain());
    assert_eq!(hear(&mut tracking, "hello"), [Event::Untracked, Event::Plain("hello".into())]);
    assert_eq!(reconnect(&mut tracking), None);
    assert!(!tracking.is_plain(), "another server may answer");
}

#[test]
fn a_lost_session_leaves_sent_lines_in_doubt_unless_the_server_ended_in_good_order() {
    for is_orderly in [false, true] {
        let mut tracking = tracked();
        say(&mut tracking, &["one", "two"]);
        tracking.push_requests(&["/nick ana".to_owned()]);
        hear(&mut tracking, "ana> one");
        if is_orderly {
            assert_eq!(hear(&mut tracking, "FIN"), [Event::Fin]);
        }
        assert_eq!(reconnect(&mut tracking).as_deref(), Some("/track e.6 t1\n"));
        let unit = "** session t2 heard 0 at f.0 as client-1\n** cannot resume: earlier lines follow\n** you are client-1, in lobby\n@ 1 f.0";
        let events = hear(&mut tracking, unit);
        let entered = Entered { name: "client-1".into(), room: "lobby".into(), how: How::Anew(true) };
        let doubt = if is_orderly { None } else { Some(Event::InDoubt(2)) };
        assert_eq!(events, [Event::Entered(entered), Event::Missed(None)].into_iter().chain(doubt).collect::<Vec<_>>());
        let next = tracking.next_line(Which::All, usize::MAX, Instant::now()).map(str::to_owned);
        assert_eq!(next.as_deref(), is_orderly.then_some("two\n"), "the request is decided anew");
    }
}

#[test]
fn a_typed_request_for_tracking_is_not_sent() {
    let mut tracking = tracked();
    for line in ["/track", "/TRACK e.1 t9"] {
        let id = tracking.push(line);
        assert_eq!(hear(&mut tracking, ""), [taken(id, line)]);
        assert_eq!((tracking.waiting_lines(), tracking.is_settled()), (0, true));
    }
    say(&mut tracking, &["//track", "/say /track"]);
    hear(&mut tracking, "ana> /track\nana> /track");
    assert!(tracking.is_settled());
}

#[test]
fn a_session_that_goes_on_elsewhere_is_told() {
    assert_eq!(hear(&mut tracked(), "** this session goes on elsewhere"), [Event::Elsewhere]);
}

/// A client in the dialect at `p.5` as `ana`, in a room that several servers share.
fn shared() -> Tracking {
    let mut tracking = tracked();
    assert_eq!(hear(&mut tracking, "@ 2000 p.0\neve> a"), [record("eve> a", "p.0", 2000, None)]);
    tracking
}

#[test]
fn a_log_that_begins_an_epoch_each_second_is_one_log() {
    let mut tracking = shared();
    say(&mut tracking, &["one", "two"]);
    // The server has taken both, and the stamps up to that place are yet to come.
    assert_eq!(
        hear(&mut tracking, "** session t1 heard 2 at c.1 as ana"),
        [taken(1, "one"), taken(2, "two")],
        "nothing is known to be missed"
    );
    assert_eq!(
        hear(&mut tracking, "eve> b\n@ 3000 x.0\nana> one"),
        [record("eve> b", "p.1", 2000, None), record("ana> one", "x.0", 3000, Some(1))]
    );
    assert_eq!(reconnect(&mut tracking).as_deref(), Some("/track x.1 t1\n"), "the last stamp and the records since");
    let entered = Entered { name: "ana".into(), room: "rust".into(), how: How::Resumed };
    let unit = "** session t1 heard 2 at d.4 as ana\n** resumed\n** you are ana, in rust\n@ 9000 c.0";
    // The same place.
    assert_eq!(hear(&mut tracking, unit), [Event::Entered(entered)]);
    assert_eq!(hear(&mut tracking, "ana> two"), [record("ana> two", "c.0", 9000, Some(2))]);
    assert!(tracking.is_settled());
}

#[test]
fn a_gap_in_a_log_of_seconds_is_counted_and_read_on_behind() {
    let mut tracking = shared();
    say(&mut tracking, &["one", "two"]);
    let gap = "** session t1 heard 1 at c.3 as ana\n** you missed 7 lines\n@ 5000 b.2";
    assert_eq!(hear(&mut tracking, gap), [taken(1, "one"), Event::Missed(Some(7))]);
    assert_eq!(
        hear(&mut tracking, "eve> b\n@ 9000 c.0\neve> c\neve> d\neve> e"),
        [
            record("eve> b", "b.2", 5000, None),
            record("eve> c", "c.0", 9000, None),
            record("eve> d", "c.1", 9000, None),
            record("eve> e", "c.2", 9000, None),
            Event::Unrecorded(1),
        ]
    );
    assert_eq!(hear(&mut tracking, "ana> two"), [taken(2, "two"), record("ana> two", "c.3", 9000, Some(2))]);
    assert_eq!(reconnect(&mut tracking).as_deref(), Some("/track c.4 t1\n"));
}

#[test]
fn the_history_of_another_server_repeats_no_record_of_a_shared_log() {
    let mut tracking = shared();
    hear(&mut tracking, "eve> b\n@ 3000 c.0\neve> c");
    assert_eq!(reconnect(&mut tracking).as_deref(), Some("/track c.1 t1\n"));
    let unit = "** session t9 heard 0 at b.1 as client-4\n** cannot resume: earlier lines follow\n\
                ** you are client-4, in rust\n** 5 earlier lines:\n@ 2000 p.1";
    let entered = Entered { name: "client-4".into(), room: "rust".into(), how: How::Anew(true) };
    assert_eq!(hear(&mut tracking, unit), [Event::Entered(entered), Event::Private("5 earlier lines:".into())]);
    assert_eq!(
        hear(&mut tracking, "eve> b\n@ 3000 c.0\neve> c\neve> d\n@ 4000 b.0\neve> e"),
        [
            Event::Record(Record {
                line: "eve> d".into(),
                position: Position::parse("c.1").unwrap(),
                time_ms: 3000,
                own: None,
                is_past: true
            }),
            record("eve> e", "b.0", 4000, None),
        ]
    );
}
