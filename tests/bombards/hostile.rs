//! The referee by itself, at lines of every kind: its answers are bounded, and nothing makes it panic.

use std::collections::BTreeMap;
use std::time::Duration;

use pollchat::bombards::referee::{NAME, Referee};
use pollchat::bombards::report::Report;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn referee() -> Referee {
    let mut referee = Referee::new(NAME, 1);
    referee.on_present(Duration::ZERO);
    referee
}

fn hear(referee: &mut Referee, line: &str, now: Duration) -> Vec<String> {
    referee.on_line(line, now);
    referee.take_lines()
}

/// Advances as a loop with exact timers does.
fn advance_to(referee: &mut Referee, until: Duration) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(at) = referee.deadline().filter(|at| *at <= until) {
        referee.advance(at);
        lines.extend(referee.take_lines());
    }
    lines
}

/// Words of which lines are made: orders, reports, notices, and pieces of them.
fn any_word() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "fire",
            "f",
            "join",
            "left",
            "right",
            "leave",
            "look",
            "rules",
            "bombards>",
            "ana>",
            "bob>",
            "* ",
            "** ",
            "joined",
            "left",
            "is",
            "now",
            "tells",
            "you:",
            "cannon",
            "cannons",
            "tick",
            "shot",
            "end",
            "hit",
            "field",
            "score",
            "*target*",
            "ana",
            "bob",
            "45",
            "-15",
            "100",
            "0",
            "-1",
            "99999999999999999999",
            "2147483647",
            "9007199254740992",
            "-2147483648",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_lines_are_heard_without_a_panic_and_answered_within_bounds(
        earlier in prop::collection::vec(prop::collection::vec(any_word(), 0..9), 0..30),
        lines in prop::collection::vec((any::<bool>(), prop::collection::vec(any_word(), 0..9)), 0..60),
    ) {
        let mut referee = Referee::new(NAME, 1);
        earlier.iter().for_each(|words| referee.on_earlier_line(&words.join(" ")));
        referee.on_present(Duration::ZERO);
        let mut now = Duration::ZERO;
        let mut answered = BTreeMap::new();
        for (is_private, words) in lines {
            let line = words.join(" ");
            now += Duration::from_millis(7);
            referee.advance(now);
            if is_private { referee.on_private(&line, now) } else { referee.on_line(&line, now) }
            let said = referee.take_lines();
            prop_assert!(said.len() <= 300 && said.iter().all(|line| line.len() < 4_000));
            for line in &said {
                let private = line.strip_prefix("/msg ").and_then(|rest| rest.split_once(' '));
                let Some((name, _)) = private else {
                    prop_assert!(Report::parse(line).is_some(), "{line}");
                    continue;
                };
                let last = answered.insert(name.to_owned(), now);
                prop_assert!(last.is_none_or(|last| last == now || now - last >= SECOND), "{line}");
            }
        }
        advance_to(&mut referee, now + 10 * SECOND);
        prop_assert_eq!(referee.deadline(), None, "nothing flies, and nothing has changed");
    }
}

#[test]
fn bad_orders_get_one_private_answer_a_second() {
    let mut referee = referee();
    advance_to(&mut referee, SECOND);
    let digits = format!("ana> fire {}", "9".repeat(4_000));
    assert_eq!(hear(&mut referee, &digits, SECOND), ["/msg ana fire A P: A from -15 to 85, P from 10 to 100"]);
    for _ in 0..10_000 {
        assert!(hear(&mut referee, "ana> fire 999", SECOND * 3 / 2).is_empty());
    }
    assert_eq!(hear(&mut referee, "bob> fire 1 2 3", SECOND * 3 / 2).len(), 1, "others are answered all the same");
    assert_eq!(hear(&mut referee, "ana> rules", SECOND * 2).len(), 7);
    let storm = (0..1_000).map(|who| hear(&mut referee, &format!("client-{who}> rules"), SECOND * 5 / 2).len());
    assert!(storm.sum::<usize>() <= 64 * 7);
    assert!(hear(&mut referee, "ana> nice shot!", SECOND * 9).is_empty());
}

#[test]
fn orders_of_a_busy_referee_are_dropped_and_members_still_leave() {
    let mut referee = referee();
    hear(&mut referee, "ana> join", SECOND);
    advance_to(&mut referee, SECOND * 10);
    referee.is_busy = true;
    assert!(hear(&mut referee, "bob> join", SECOND * 11).is_empty());
    assert!(hear(&mut referee, "bob> look", SECOND * 11).is_empty());
    hear(&mut referee, "* ana left", SECOND * 11);
    assert_eq!(advance_to(&mut referee, SECOND * 12).last().unwrap(), "cannons 0 tick 0");
}

#[test]
fn nothing_is_due_while_nothing_flies() {
    let mut referee = referee();
    advance_to(&mut referee, SECOND);
    assert_eq!(referee.deadline(), None);
    hear(&mut referee, "ana> hello", SECOND);
    assert_eq!(referee.deadline(), None);
    hear(&mut referee, "ana> fire", 3 * SECOND);
    let lines = advance_to(&mut referee, 10 * SECOND);
    assert!(lines.iter().any(|line| line.starts_with("end 0 ana ")), "{lines:?}");
    assert_eq!(referee.deadline(), None);
}

#[test]
fn states_are_two_seconds_apart() {
    let mut referee = referee();
    let mut states = Vec::new();
    for at in 0..100_u32 {
        let now = SECOND / 10 * at;
        hear(&mut referee, &format!("p{}> {}", at % 7, if at % 2 == 0 { "join" } else { "leave" }), now);
        referee.advance(now);
        let lines = referee.take_lines();
        states.extend(lines.iter().filter(|line| line.starts_with("cannons ")).map(|_| now));
    }
    assert!(states.len() <= 5 && states.windows(2).all(|pair| pair[1] - pair[0] >= 2 * SECOND), "{states:?}");
}

#[test]
fn a_private_order_that_overtakes_a_name_leaves_one_cannon() {
    let mut referee = referee();
    hear(&mut referee, "ana> join left", SECOND);
    referee.on_private("bob tells you: fire 30", SECOND);
    hear(&mut referee, "* ana is now bob", SECOND);
    advance_to(&mut referee, 20 * SECOND);
    referee.on_private("bob tells you: look", 20 * SECOND);
    let state = referee.take_lines();
    let cannons: Vec<_> = state.iter().filter(|line| line.starts_with("/msg bob cannon ")).collect();
    assert_eq!(cannons.len(), 2, "bob and a target: {state:?}");
}
