//! The words of players and of the referee.

use pollchat::bombards::field::{Camp, Cannon};
use pollchat::bombards::order::{Order, Refusal};
use pollchat::bombards::report::Report;

fn fire(elevation: Option<i32>, power: Option<i32>) -> Option<Result<Order, Refusal>> {
    Some(Ok(Order::Fire { elevation, power }))
}

#[test]
fn orders_are_read_in_any_case_and_with_any_blanks() {
    for (line, order) in [
        ("fire", fire(None, None)),
        ("  FIRE  45 ", fire(Some(45), None)),
        ("f 45\t85", fire(Some(45), Some(85))),
        ("Feu -15 10", fire(Some(-15), Some(10))),
        ("fire 999", fire(Some(999), None)),
        ("join", Some(Ok(Order::Join(None)))),
        ("Join RIGHT", Some(Ok(Order::Join(Some(Camp::Right))))),
        ("leave", Some(Ok(Order::Leave))),
        ("look", Some(Ok(Order::Look))),
        ("Rules", Some(Ok(Order::Rules))),
    ] {
        assert_eq!(Order::parse(line), order, "{line}");
    }
}

#[test]
fn numbers_that_are_none_are_refused() {
    for line in ["fire 45.5", "fire 1 2 3", "f -", "feu 45 0x10", &format!("fire {}", "9".repeat(4_000))] {
        assert_eq!(Order::parse(line), Some(Err(Refusal::Aim)), "{line}");
    }
}

#[test]
fn everything_else_is_talk() {
    for line in
        ["", "fire at will", "fires 45", "join us", "join left now", "leave me alone", "f you", "look out", "ｆ 45"]
    {
        assert_eq!(Order::parse(line), None, "{line}");
    }
}

#[test]
fn each_line_is_read_as_the_report_that_it_was() {
    for line in [
        "field 700 400 barrel 30 box 15 speed 200 gravity 400 step 20",
        "cannon ana left 20 380 -3",
        "cannon *target* right 680 160 0",
        "cannons 2 tick 1234",
        "shot 7 client-7 -15 100",
        "end 7 client-7 hit 500 300 bob",
        "end 7 client-7 ground 312 400",
        "end 7 client-7 out -4 -72",
        "score ana 3 bob -2",
        "score",
    ] {
        let report = Report::parse(line).unwrap();
        assert_eq!(report.to_string(), line);
    }
    let cannon = Cannon { name: "ana".into(), camp: Camp::Left, x: 20, y: 380, score: -3 };
    assert_eq!(Report::parse("cannon ana left 20 380 -3"), Some(Report::Cannon(cannon)));
}

#[test]
fn further_fields_are_ignored() {
    for (line, read) in [
        ("cannons 2 tick 9 wind 3", "cannons 2 tick 9"),
        ("shot 7 ana 45 85 red", "shot 7 ana 45 85"),
        ("end 7 ana ground 1 2 3", "end 7 ana ground 1 2"),
    ] {
        assert_eq!(Report::parse(line).unwrap().to_string(), read);
    }
}

#[test]
fn other_lines_are_no_reports() {
    for line in ["", "hello", "cannon ana up 1 2 3", "cannons 1 tock 2", "shot 7 ana 45 999", "end 7 ana hit 1 2"] {
        assert_eq!(Report::parse(line), None, "{line}");
    }
}
