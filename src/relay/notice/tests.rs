//! Tests of the grammar: each notice is written and read back, and the page reads it alike.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::relay::name::is_shown_name;

/// Lines with what the page reads in each: tests/browser/pure holds the page's patterns to the same file.
const READ_BY_THE_PAGE: &str = include_str!("../../../tests/browser/pure/lines.json");

#[test]
fn each_notice_has_its_text_and_is_read_back() {
    for (notice, text) in Notice::EXAMPLES {
        assert_eq!(notice.to_string(), *text);
        assert_eq!(Notice::parse(text), *notice);
        let line = notice.to_line();
        assert_eq!(line, format!("* {text}\n"));
        assert_eq!(Notice::in_line(line.trim_end()), Some(*notice));
        assert_eq!(Notice::in_line(text), None);
    }
}

#[test]
fn every_kind_has_an_example() {
    for fixed in read::FIXED {
        assert!(Notice::EXAMPLES.iter().any(|(example, _)| *example == fixed), "{fixed:?}");
    }
    let kinds: std::collections::HashSet<_> =
        Notice::EXAMPLES.iter().map(|(example, _)| std::mem::discriminant(example)).collect();
    assert_eq!(kinds.len(), 76, "the number of variants");
}

#[test]
fn a_session_begins_with_the_first_bytes() {
    assert!(Notice::Welcome { name: "ana" }.to_line().starts_with(FIRST_BYTES));
    assert_eq!(Notice::PasswordWanted.to_line().trim_end(), LOCKED_FIRST_BYTES);
}

#[test]
fn text_that_the_server_does_not_write_is_free_text() {
    for text in [
        "",
        " ",
        "joined",
        "two words joined",
        "ana joined ",
        "ana  joined",
        "client-x joined",
        "ana is now two words",
        "you missed 1 lines",
        "you missed +2 lines",
        "you missed 02 lines",
        "12345 here",
        "1,2345 here",
        "here: ana, 3 lines, 5 min, x",
        "line too long (over 1,000 bytes): not relayed",
        "you are ana",
        "you are ; /help lists what you can do",
    ] {
        assert_eq!(Notice::parse(text), Notice::Other(text));
    }
}

#[test]
fn names_that_are_words_of_notices_confuse_no_notice() {
    for name in ["you", "the", "a", "here", "and", "nobody", "there", "this", "that", "12", "line", "too"] {
        for notice in [
            Notice::Welcome { name },
            Notice::NameUnchanged { name },
            Notice::NameTaken { name },
            Notice::Joined { name },
            Notice::Left { name },
            Notice::Removed { name },
            Notice::NotReading { name },
            Notice::NobodyCalled { name },
            Notice::Renamed { from: name, to: name },
            Notice::UnknownCommand { word: "/a;b" },
            Notice::TellsYou { from: name, text: "ana left" },
            Notice::YouTold { to: name, text: "ana: is now ben" },
            Notice::Here { name, lines: 2, minutes: 1, is_away: true },
            Notice::Away { name },
            Notice::YouAre { name, room: name },
            Notice::Session { token: "a1", heard: 3, at: "b.4", name },
        ] {
            assert_eq!(Notice::parse(&notice.to_string()), notice);
        }
    }
}

#[test]
fn the_page_reads_each_notice_alike() {
    let read: Vec<(String, Value)> = serde_json::from_str(READ_BY_THE_PAGE).unwrap();
    for (line, by_the_page) in &read {
        if let Some(notice) = Notice::in_line(line) {
            assert_eq!(as_the_page_reads(&notice), *by_the_page, "{line}");
        }
    }
    for (notice, _) in Notice::EXAMPLES {
        let line = notice.to_line();
        assert!(read.iter().any(|(read, _)| read == line.trim_end()), "the page is not tested with {line}");
    }
}

fn as_the_page_reads(notice: &Notice<'_>) -> Value {
    match *notice {
        Notice::Welcome { name } => json!({"kind": "welcome", "name": name}),
        Notice::Earlier { lines } => json!({"kind": "earlier", "lines": lines}),
        Notice::Missed { lines } => json!({"kind": "missed", "lines": lines}),
        Notice::Joined { name } => json!({"kind": "joined", "name": name}),
        Notice::Left { name } => json!({"kind": "left", "name": name}),
        Notice::Removed { name } => json!({"kind": "removed", "name": name}),
        Notice::Renamed { from, to } => json!({"kind": "renamed", "from": from, "to": to}),
        Notice::NameTaken { name } => json!({"kind": "nameTaken", "name": name}),
        Notice::NameMalformed => json!({"kind": "nameMalformed"}),
        Notice::NameUnchanged { name } => json!({"kind": "nameUnchanged", "name": name}),
        Notice::NameOwned { name } => json!({"kind": "nameOwned", "name": name}),
        Notice::NameLookalike { name, owned } => json!({"kind": "nameLookalike", "name": name, "owned": owned}),
        Notice::TokenWrong { name } => json!({"kind": "tokenWrong", "name": name}),
        Notice::TokenUnknown { name } => json!({"kind": "tokenUnknown", "name": name}),
        Notice::NameTakenOver { name } => json!({"kind": "nameTakenOver", "name": name}),
        Notice::NameLost { owned, name } => json!({"kind": "nameLost", "owned": owned, "name": name}),
        Notice::Here { name, .. } => json!({"kind": "here", "name": name}),
        Notice::More { count } => json!({"kind": "hereMore", "clients": count}),
        Notice::InRoom { room, .. } => json!({"kind": "inRoom", "room": room}),
        Notice::InRoomAlready { room } => json!({"kind": "inRoomAlready", "room": room}),
        Notice::RoomsFull { .. } => json!({"kind": "roomsFull"}),
        Notice::RoomLookalike { .. } | Notice::RoomMalformed | Notice::JoinUsage => json!({"kind": "joinRefused"}),
        Notice::UnknownCommand { word } if word.eq_ignore_ascii_case("/join") => json!({"kind": "joinRefused"}),
        Notice::HereFound { found, clients } => json!({"kind": "hereFound", "found": found, "clients": clients}),
        Notice::RoomHere { room, clients } => json!({"kind": "roomHere", "room": room, "clients": clients}),
        Notice::RoomsTotal { rooms } => json!({"kind": "roomsTotal", "clients": rooms}),
        Notice::HereTotal { clients } => json!({"kind": "hereTotal", "clients": clients}),
        Notice::TellsYou { from, text } => json!({"kind": "tellsYou", "from": from, "text": text}),
        Notice::YouTold { to, text } => json!({"kind": "youTold", "to": to, "text": text}),
        Notice::TooLong { bytes } => json!({"kind": "tooLong", "bytes": bytes}),
        Notice::YouAre { name, room } => json!({"kind": "placed", "name": name, "room": room}),
        Notice::Resumed => json!({"kind": "resumed"}),
        Notice::NotResumed => json!({"kind": "cannotResume"}),
        Notice::Elsewhere => json!({"kind": "elsewhere"}),
        Notice::HandedOver => json!({"kind": "handedOver"}),
        Notice::Banned { .. } => json!({"kind": "banned"}),
        Notice::PasswordWanted => json!({"kind": "passwordWanted"}),
        Notice::PasswordWrong => json!({"kind": "passwordWrong"}),
        Notice::PasswordRefused => json!({"kind": "passwordRefused"}),
        Notice::PasswordCrowded => json!({"kind": "passwordCrowded"}),
        Notice::PasswordMissing => json!({"kind": "passwordMissing"}),
        _ => json!({"kind": "other"}),
    }
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zé日0-9_-]{1,24}", "client-[1-9][0-9]{0,8}", Just("server".to_owned())]
        .prop_filter("a name that the server shows", |name| is_shown_name(name))
}

proptest! {
    #[test]
    fn every_name_number_and_text_is_read_back(
        name in any_name(),
        to in any_name(),
        text in "[^\\p{Cc}]{0,40}",
        count in prop_oneof![0..3usize, any::<usize>()],
        small in any::<u32>(),
    ) {
        let (name, to, text, lines) = (name.as_str(), to.as_str(), text.as_str(), count as u64);
        for notice in [
            Notice::Welcome { name },
            Notice::Earlier { lines },
            Notice::Missed { lines },
            Notice::Together { seconds: lines },
            Notice::LostBetween { lines },
            Notice::Joined { name },
            Notice::Left { name },
            Notice::Renamed { from: name, to },
            Notice::NameTaken { name },
            Notice::NameUnchanged { name },
            Notice::Here { name, lines: small, minutes: small / 7, is_away: count % 2 == 0 },
            Notice::Away { name },
            Notice::YouAre { name, room: to },
            Notice::Session { token: "a1", heard: lines, at: "b.4", name },
            Notice::More { count },
            Notice::InRoom { room: name, others: count },
            Notice::InRoomAlready { room: name },
            Notice::RoomLookalike { name, room: to },
            Notice::RoomHere { room: name, clients: count },
            Notice::RoomsTotal { rooms: count },
            Notice::RoomsFull { rooms: count },
            Notice::HereTotal { clients: count },
            Notice::HereFound { found: count / 2, clients: count },
            Notice::TellsYou { from: name, text },
            Notice::YouTold { to, text },
            Notice::NotReading { name },
            Notice::NobodyCalled { name: text },
            Notice::Removed { name },
            Notice::UnknownCommand { word: text },
            Notice::TooLong { bytes: count },
            Notice::ServerFull { clients: count },
            Notice::AddressCrowded { most: count },
            Notice::Silent { seconds: lines },
            Notice::RemovedFor { reason: text },
        ] {
            let text = notice.to_string();
                prop_assert_eq!(Notice::parse(&text), notice);
        }
    }

    #[test]
    fn what_is_read_is_what_was_written(
        text in "(you |are |in |the |here|rooms?|looks like |alone|ana |left|joined|: |, |is now | of |[0-9]|,| lines?){0,8}",
    ) {
        prop_assert_eq!(Notice::parse(&text).to_string(), text);
    }
}
