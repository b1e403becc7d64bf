//! Every order in every form, every form that is none, and the rows as people and programs read them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn usage(text: &'static str) -> Result<Order<'static>, OrderError> {
    Err(OrderError::Usage(text))
}

fn ban<'a>(target: &'a str, seconds: Option<u64>, reason: &'a str) -> Result<Order<'a>, OrderError> {
    Ok(Order::Ban { target, time: seconds.map(Duration::from_secs), reason })
}

#[test]
fn each_order_takes_its_words() {
    for (text, order) in [
        ("who", Order::Who { all: false }),
        (" WHO\t-a ", Order::Who { all: true }),
        ("rooms", Order::Rooms),
        ("kick ana", Order::Kick { name: "ana", reason: "" }),
        ("Kick  ana \t no  spam ", Order::Kick { name: "ana", reason: "no  spam" }),
        ("unban 192.0.2.0/24 ", Order::Unban { target: "192.0.2.0/24" }),
        ("bans", Order::Bans),
        ("announce  back in  5 minutes ", Order::Announce { text: "back in  5 minutes" }),
        ("greeting be kind", Order::Greeting { text: "be kind" }),
        ("greeting", Order::Greeting { text: "" }),
        ("stats", Order::Stats),
        ("reload ", Order::Reload),
        ("STOP", Order::Stop),
        ("help", Order::Help),
        ("help me", Order::Help),
    ] {
        assert_eq!(Order::parse(text), Ok(order), "{text:?}");
    }
}

#[test]
fn a_ban_takes_a_time_of_one_number_and_one_unit() {
    for (text, order) in [
        ("ban ana", ban("ana", None, "")),
        ("ban 2001:db8::/32 90s", ban("2001:db8::/32", Some(90), "")),
        ("ban ana 15m spam  and more", ban("ana", Some(900), "spam  and more")),
        ("ban ana 1h", ban("ana", Some(3_600), "")),
        ("ban ana 7d", ban("ana", Some(604_800), "")),
        ("ban ana 2w", ban("ana", Some(1_209_600), "")),
        ("ban ana 007s", ban("ana", Some(7), "")),
        ("ban ana 3650d", ban("ana", Some(TIME_SECONDS_MAX), "")),
        ("ban ana spam 1h", ban("ana", None, "spam 1h")),
    ] {
        assert_eq!(Order::parse(text), order, "{text:?}");
    }
    for word in ["s", "-1h", "+1h", "h1", "\u{661}h"] {
        assert_eq!(Order::parse(&format!("ban ana {word}")), ban("ana", None, word), "{word:?} begins the reason");
    }
    // Not a ban without an end.
    for word in ["1", "1 h", "1h30m", "1hour", "1H", "1.5h", "11y", "1\u{fffd}", "5 times too loud"] {
        assert_eq!(Order::parse(&format!("ban ana {word}")), usage(BAN), "{word:?} is a mistyped TIME");
    }
}

#[test]
fn a_time_is_a_second_at_least_and_ten_years_at_most() {
    for word in ["0s", "000w", "3651d", "522w", "315360001s", "18446744073709551615w", "99999999999999999999999s"] {
        let text = format!("ban ana {word} spam");
        assert_eq!(Order::parse(&text), usage("ban: the shortest TIME is 1s, the longest 3650d"), "{word}");
    }
}

#[test]
fn a_wrong_form_is_answered_with_the_right_one() {
    for (text, line) in [
        ("who ana", WHO),
        ("who -a ana", WHO),
        ("who -A", WHO),
        ("rooms lobby", ROOMS),
        ("kick", KICK),
        ("kick \t", KICK),
        ("ban", BAN),
        ("unban", UNBAN),
        ("unban ana bob", UNBAN),
        ("bans ana", BANS),
        ("announce", ANNOUNCE),
        ("announce ", ANNOUNCE),
        ("stats now", STATS),
        ("reload names", RELOAD),
        ("stop now", STOP),
        ("", HELP_USAGE),
        (" \t", HELP_USAGE),
    ] {
        assert_eq!(Order::parse(text), usage(line), "{text:?}");
    }
    for (text, verb) in [("kik ana", "kik"), ("/kick ana", "/kick"), ("who-a", "who-a"), ("\u{a0}who", "\u{a0}who")] {
        assert_eq!(Order::parse(text), Err(OrderError::Unknown(verb.to_owned())));
    }
}

#[test]
fn help_has_each_order_once_under_its_verb() {
    let verbs: Vec<_> = HELP.iter().map(|line| line.split([' ', ':']).next().unwrap()).collect();
    for (index, verb) in verbs.iter().enumerate() {
        assert!(!matches!(Order::parse(verb), Err(OrderError::Unknown(_))), "{verb}");
        assert!(!verbs[..index].contains(verb), "{verb} twice");
    }
    assert!(HELP.iter().all(|line| line.contains(": ") && line.len() <= 110));
}

/// A row, as people and as programs read it.
#[track_caller]
fn reads(row: &Row, text: &str, object: &Value) {
    assert_eq!(row.to_string(), text);
    assert_eq!(&serde_json::to_value(row).unwrap(), object);
}

#[test]
fn rows_are_columns_for_people_and_flat_objects_for_programs() {
    reads(&Row::Text("done".to_owned()), "done", &json!({"text": "done"}));
    let [name, room] = ["ana", "lobby"].map(str::to_owned);
    reads(
        &Row::Member { name: name.clone(), room: room.clone(), seconds: 187, lines: 1, away: true },
        "ana              lobby          3m07s      1 line, away",
        &json!({"name": "ana", "room": "lobby", "seconds": 187, "lines": 1, "away": true}),
    );
    let address = Some("192.0.2.7:50123".to_owned());
    reads(
        &Row::Connected {
            name: name.clone(),
            address,
            room: room.clone(),
            seconds: 7_500,
            behind: 12,
            tracked: true,
            away: false,
        },
        "ana              192.0.2.7:50123       lobby          2h05m     12 bytes behind, tracked",
        &json!({"name": "ana", "address": "192.0.2.7:50123", "room": "lobby", "seconds": 7_500, "behind": 12,
            "tracked": true, "away": false}),
    );
    let away = Row::Connected {
        name: name.clone(),
        address: None,
        room: room.clone(),
        seconds: 273_600,
        behind: 0,
        tracked: true,
        away: true,
    };
    reads(
        &away,
        "ana              -                     lobby          3d04h      0 bytes behind, tracked, away",
        &json!({"name": "ana", "address": null, "room": "lobby", "seconds": 273_600, "behind": 0, "tracked": true,
            "away": true}),
    );
    reads(
        &Row::Room { room: room.clone(), members: 12, permanent: true },
        "lobby                12 here, permanent",
        &json!({"room": "lobby", "members": 12, "permanent": true}),
    );
    let ban = Row::Ban {
        network: "203.0.113.7".to_owned(),
        name: None,
        since: Some(1_000),
        until: None,
        reason: "spam".to_owned(),
        shown: "203.0.113.7: spam".to_owned(),
    };
    let object = json!({"network": "203.0.113.7", "name": null, "since": 1000, "until": null, "reason": "spam"});
    reads(&ban, "203.0.113.7: spam", &object);
    reads(&Row::Removed { removed: name, room }, "ana was removed", &json!({"removed": "ana", "room": "lobby"}));
}

proptest! {
    #[test]
    fn no_text_confuses_the_parser(text in "(ban|kick|who|-a|unban|[0-9]{0,25}|[smhdw]|\\PC| |\t){0,8}") {
        if let Ok(Order::Ban { time: Some(time), .. }) = Order::parse(&text) {
            prop_assert!((1..=TIME_SECONDS_MAX).contains(&time.as_secs()));
        }
    }
}
