use super::*;

fn answers(nick: Option<&str>, lines: &[&str]) -> Answers {
    let name = nick.map(|nick| Name::parse(nick).unwrap());
    let mut answers = Answers::new(None, name.as_ref());
    let _ = answers.on_connected(Instant::now());
    for line in lines {
        answers.on_line(line, Instant::now(), 0);
    }
    answers
}

const WELCOME: &str = "* you are client-7; /help lists what you can do";

#[test]
fn a_name_is_ours_once_the_server_says_so_of_us() {
    assert_eq!(answers(Some("ana"), &[WELCOME]).missing_name(), Some("ana"));
    let of_another = answers(Some("ana"), &[WELCOME, "* client-9 is now ana"]);
    assert_eq!(of_another.missing_name(), Some("ana"));
    assert_eq!(answers(Some("ana"), &[WELCOME, "* client-7 is now ana"]).missing_name(), None);
    assert_eq!(answers(Some("Ana"), &[WELCOME, "* client-7 is now ana"]).missing_name(), None);
    assert_eq!(answers(None, &[WELCOME]).missing_name(), None);
}

#[test]
fn a_name_that_was_never_ours_is_refused_for_good_and_one_that_was_is_asked_for_again() {
    let taken = "* the name ana is taken";
    let mut never = answers(Some("ana"), &[WELCOME, taken]);
    assert_eq!(never.refused_name(), Some("the name ana is taken"));
    assert_eq!((never.deadline(), never.refused_lines()), (None, (0, None)));
    assert_eq!(never.ask_again(Instant::now()), None);
    let mut was = answers(Some("ana"), &[WELCOME, "* client-7 is now ana"]);
    assert!(was.on_connected(Instant::now()).eq(["/nick ana\n"]));
    assert!(was.awaits_name());
    for line in ["* you are client-8; /help lists what you can do", taken] {
        was.on_line(line, Instant::now(), 0);
    }
    assert_eq!((was.refused_name(), was.awaits_name()), (None, true));
    let at = was.deadline().unwrap();
    assert_eq!(was.ask_again(at).as_deref(), Some("/nick ana\n"));
    was.on_line("* client-8 is now ana", at, 0);
    assert!(!was.awaits_name());
}

#[test]
fn a_name_with_an_owner_is_refused_for_good_and_a_lost_one_ends_the_run() {
    for (lines, told) in [
        (
            &["* the name ana belongs to somebody: /nick ana TOKEN"][..],
            "the name ana belongs to somebody: give its token with --token-file or POLLCHAT_TOKEN",
        ),
        (&["* ana looks like anna, which belongs to somebody"], "ana looks like anna, which belongs to somebody"),
        (
            &[
                "* client-7 is now ana",
                "* ana is now client-7",
                "* you are here a second time: this one is client-7 now",
            ],
            "you are here a second time: this one is client-7 now",
        ),
        (
            &["* client-7 is now ana", "* the name ana belongs to somebody now: you are client-7"],
            "the name ana belongs to somebody now: you are client-7",
        ),
    ] {
        let answers = answers(Some("ana"), &[&[WELCOME], lines].concat());
        assert_eq!(answers.refused_name(), Some(told));
        assert_eq!((answers.deadline(), answers.refused_lines()), (None, (0, None)));
    }
    let typed = answers(Some("ana"), &[WELCOME, "* client-7 is now ana", "* ana is now bob", "* bob is now client-7"]);
    assert_eq!(typed.refused_name(), None, "its line has asked for another one");
    let refusal = "* the name bob belongs to somebody: /nick bob TOKEN";
    assert_eq!(answers(None, &[WELCOME, refusal]).refused_lines(), (1, refusal.strip_prefix("* ")));
}

#[test]
fn lines_that_the_server_did_not_take_are_counted_in_the_room_alone() {
    let refusals = [
        "* nobody here is called bob",
        "* bob is not reading: not told",
        "* /msg NAME TEXT tells TEXT to NAME alone",
        "* there is no command /x; /help lists what you can do",
        "* line too long (over 4096 bytes): not relayed",
        "* the name ana is taken",
        "* a name is 1 to 24 letters, digits, _ or -",
        "* /nick NAME: a name is 1 to 24 letters, digits, _ or -",
    ];
    for refusal in refusals {
        assert_eq!(answers(None, &[WELCOME, refusal]).refused_lines(), (1, refusal.strip_prefix("* ")));
        assert_eq!(answers(None, &["hello", refusal]).refused_lines(), (0, None));
    }
    for other in ["* ana joined", "* you told ana: x", "ana> * nobody here is called bob", "* welcome", "FIN"] {
        assert_eq!(answers(None, &[WELCOME, other]).refused_lines(), (0, None));
    }
}

#[test]
fn the_room_comes_before_the_name_and_its_refusal_is_no_refused_line() {
    let [rust, ana] = ["rust", "ana"].map(|name| Name::parse(name).unwrap());
    let full = "* there are 100 rooms already";
    let mut answers = Answers::new(Some(&rust), Some(&ana));
    assert!(answers.on_connected(Instant::now()).eq(["/join rust\n", "/nick ana\n"]));
    for (line, holds_lines) in [
        ("* you are in rust, alone", true),
        (WELCOME, true),
        ("* you are in rust, alone", true),
        ("* client-7 is now ana", false),
        (full, false),
    ] {
        answers.on_line(line, Instant::now(), 0);
        assert_eq!(answers.holds_lines(), holds_lines, "{line}");
    }
    assert_eq!(answers.refused_lines().0, 1, "a line of stdin was refused");
    let mut answers = Answers::new(Some(&rust), None);
    let _ = answers.on_connected(Instant::now());
    for line in [WELCOME, full] {
        answers.on_line(line, Instant::now(), 0);
    }
    assert_eq!((answers.holds_lines(), answers.refused_lines().0), (true, 0));
}

#[test]
fn a_line_with_an_answer_is_not_in_doubt() {
    let now = Instant::now();
    let mut answers = Answers::new(None, None);
    let hear = |answers: &mut Answers, line: &str| answers.on_line(line, now, 0);
    let nobody = "* nobody here is called bob";
    let _ = answers.on_connected(now);
    hear(&mut answers, WELCOME);
    hear(&mut answers, nobody);
    assert_eq!((answers.in_doubt(3), answers.refused_lines().0), (2, 1));
    answers.on_taken();
    hear(&mut answers, nobody);
    assert_eq!((answers.in_doubt(0), answers.in_doubt(2), answers.refused_lines().0), (0, 1, 2));
    // The next connection has lines of its own.
    let _ = answers.on_connected(now);
    assert_eq!((answers.in_doubt(2), answers.refused_lines().0), (2, 2));
}

#[test]
fn a_resumed_session_is_asked_for_nothing_and_a_new_seat_for_name_and_room() {
    let [rust, ana] = ["rust", "ana"].map(|name| Name::parse(name).unwrap());
    let mut answers = Answers::new(Some(&rust), Some(&ana));
    let now = Instant::now();
    let enter = |answers: &mut Answers, name: &str, room: &str, how| {
        answers.on_tracked_connected();
        let entered = Entered { name: name.to_owned(), room: room.to_owned(), how };
        answers.on_entered(&entered, now).collect::<String>()
    };
    assert_eq!(enter(&mut answers, "client-7", "lobby", How::First), "/join rust\n/nick ana\n");
    assert!(answers.holds_lines());
    for line in ["you are in rust, alone", "client-7 is now ana"] {
        answers.on_notice(Notice::parse(line), now, 0);
    }
    assert!(!answers.holds_lines());
    assert_eq!(enter(&mut answers, "ana", "rust", How::Resumed), "");
    answers.on_notice(Notice::parse("ana is now bob"), now, 0);
    assert_eq!(enter(&mut answers, "bob", "tea", How::Resumed), "");
    assert_eq!(enter(&mut answers, "client-8", "tea", How::Resumed), "/nick bob\n");
    assert!(answers.holds_lines() && !answers.is_late(Duration::ZERO, now - Duration::from_secs(1)));
    assert_eq!(enter(&mut answers, "client-9", "tea", How::Resumed), "/nick bob\n", "the request may be lost");
    answers.on_tracked_connected();
    assert!(answers.holds_lines() && !answers.is_late(Duration::ZERO, now), "no answer comes before the place");
    assert_eq!(enter(&mut answers, "bob", "tea", How::Resumed), "");
    assert!(!answers.holds_lines());
    assert_eq!(enter(&mut answers, "client-9", "lobby", How::Anew(false)), "/join tea\n/nick bob\n");
    assert_eq!(enter(&mut answers, "client-10", "tea", How::ReadOn), "/nick bob\n");
    assert!(answers.holds_lines(), "nothing is said under another name");
}

#[test]
fn the_reason_of_an_end_is_kept() {
    use FarewellKind::{Full, Refused, Removed, ShuttingDown};
    for (line, kind) in [
        ("* the server is shutting down", ShuttingDown),
        ("* the server is full (3 clients)", Full),
        ("* too many connections from your address (at most 3)", Full),
        ("* connections from your address are not allowed here", Refused),
        ("* this is a chat relay and speaks no HTTP: goodbye", Refused),
        ("* you have said nothing for 5 seconds: goodbye", Removed),
        ("* you read too slowly: goodbye", Removed),
        ("* you were removed by the operator", Removed),
        ("* you were removed by the operator: no spam", Removed),
    ] {
        let answers = answers(None, &[line, "FIN"]);
        assert_eq!(
            answers.farewell().map(|farewell| (farewell.kind, format!("* {}", farewell.text))),
            Some((kind, line.to_owned()))
        );
    }
    let with_prefix = answers(None, &["ERROR :this is a chat relay and speaks no IRC: goodbye"]);
    assert_eq!(with_prefix.farewell().unwrap().text, "this is a chat relay and speaks no IRC: goodbye");
    assert_eq!(answers(None, &[WELCOME, "ana> this is a chat relay and speaks no IRC: goodbye"]).farewell(), None);
}
