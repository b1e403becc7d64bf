//! Tests of the grammar: each notice is read as it was written, by this parser and by the page's.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// One line of each notice.
const EXAMPLES: [(&str, Notice<'_>); 33] = [
    ("* you are client-7; /help lists what you can do", Notice::Welcome { name: "client-7" }),
    ("* 1 earlier line:", Notice::Earlier { lines: 1 }),
    ("* you missed 1234 lines", Notice::Missed { lines: 1234 }),
    ("* Zoë joined", Notice::Joined { name: "Zoë" }),
    ("* client-12 left", Notice::Left { name: "client-12" }),
    ("* client-7 is now ana", Notice::Renamed { from: "client-7", to: "ana" }),
    ("* the server is shutting down", Notice::ShuttingDown),
    ("* you are ana already", Notice::NameUnchanged { name: "ana" }),
    ("* the name CLIENT-x is taken", Notice::NameTaken { name: "CLIENT-x" }),
    ("* a name is 1 to 24 letters, digits, _ or -", Notice::NameMalformed),
    ("* you are server, and nobody else", Notice::NameFixed { name: "server" }),
    ("* /nick NAME: a name is 1 to 24 letters, digits, _ or -", Notice::NickUsage),
    ("* here: ana, 1 line, 61 min", Notice::Here { name: "ana", lines: 1, minutes: 61 }),
    ("* and 1,234 more", Notice::HereMore { clients: 1234 }),
    ("* 12,345,678 here", Notice::HereTotal { clients: 12_345_678 }),
    ("* ana tells you: you told bob: no", Notice::TellsYou { from: "ana", text: "you told bob: no" }),
    ("* you told bob: x is now y", Notice::YouTold { to: "bob", text: "x is now y" }),
    ("* bob is not reading: not told", Notice::NotReading { name: "bob" }),
    ("* nobody here is called b o b", Notice::NotHere { name: "b o b" }),
    ("* /msg NAME TEXT tells TEXT to NAME alone", Notice::MsgUsage),
    ("* ana was removed", Notice::WasRemoved { name: "ana" }),
    ("* that is you; FIN stops the server", Notice::KickSelf),
    ("* /kick NAME removes NAME", Notice::KickUsage),
    ("* there is no command /x; /help lists what you can do", Notice::NoCommand { word: "/x" }),
    ("* line too long (over 4096 bytes): not relayed", Notice::TooLong { bytes: 4096 }),
    ("* the server is full (1,000 clients)", Notice::Full { clients: 1000 }),
    ("* connections from your address are not allowed here", Notice::AddressDenied),
    ("* too many connections from your address (at most 3)", Notice::AddressCrowded { connections: 3 }),
    ("* this is a chat relay and speaks no HTTP: goodbye", Notice::Foreign { protocol: "HTTP" }),
    ("* you have said nothing for 5 seconds: goodbye", Notice::Silent { seconds: 5 }),
    ("* you read too slowly: goodbye", Notice::TooSlow),
    ("* you were removed by the operator", Notice::Removed),
    ("* we joined forces and left", Notice::Other("we joined forces and left")),
];

/// The name of a variant, as the page spells kinds: `HereMore` is `hereMore`.
fn kind(notice: &Notice<'_>) -> String {
    let debug = format!("{notice:?}");
    let variant = debug.split([' ', '(', '{']).next().unwrap_or_default();
    variant[..1].to_lowercase() + &variant[1..]
}

/// The fields of a notice that the page reads, by the page's names.
fn page_fields(notice: &Notice<'_>) -> Value {
    match *notice {
        Notice::Welcome { name } | Notice::Joined { name } | Notice::Left { name } => json!({ "name": name }),
        Notice::NameUnchanged { name } | Notice::NameTaken { name } => json!({ "name": name }),
        Notice::Here { name, .. } => json!({ "name": name }),
        Notice::Earlier { lines } | Notice::Missed { lines } => json!({ "lines": lines }),
        Notice::Renamed { from, to } => json!({ "from": from, "to": to }),
        Notice::HereMore { clients } | Notice::HereTotal { clients } => json!({ "clients": clients }),
        Notice::TellsYou { from, text } => json!({ "from": from, "text": text }),
        Notice::YouTold { to, text } => json!({ "to": to, "text": text }),
        Notice::TooLong { bytes } => json!({ "bytes": bytes }),
        _ => json!({}),
    }
}

#[test]
fn each_notice_is_read_as_it_was_written() {
    for (line, notice) in EXAMPLES {
        assert_eq!(notice.to_line(), format!("{line}\n"));
        assert_eq!(LineKind::parse(line), LineKind::Notice(notice), "{line}");
    }
}

#[test]
fn each_notice_has_one_example() {
    let kinds: BTreeSet<String> = EXAMPLES.iter().map(|(_, notice)| kind(notice)).collect();
    assert_eq!(kinds.len(), EXAMPLES.len(), "{kinds:?}");
    // Written `Notice::Kind { … } =>` or `Notice::Kind =>` in `Display`, which the compiler holds to be complete.
    let source = include_str!("../notice.rs");
    let display = source.split("impl fmt::Display for Notice").nth(1).and_then(|rest| rest.split("\n}\n").next());
    let written = display.expect("it is there").lines().filter(|line| line.trim_start().starts_with("Notice::"));
    assert_eq!(written.count(), EXAMPLES.len());
}

#[test]
fn a_session_begins_with_the_first_bytes() {
    assert!(Notice::Welcome { name: "x" }.to_line().as_bytes().starts_with(FIRST_BYTES));
    assert_eq!(FIN_LINE.strip_suffix('\n'), Some(FIN));
}

#[test]
fn lines_that_are_no_notices_are_said_or_foreign() {
    let said = |from, text| LineKind::Said { from, text };
    for (line, kind) in [
        ("ana> hello> you", said("ana", "hello> you")),
        ("client-7> hi", said("client-7", "hi")),
        ("server> ", said("server", "")),
        ("日本> * x joined", said("日本", "* x joined")),
        ("two words> hi", LineKind::Other("two words> hi")),
        ("> hi", LineKind::Other("> hi")),
        ("client-x> hi", LineKind::Other("client-x> hi")),
        ("FIN", LineKind::Fin),
        ("FIN ", LineKind::Other("FIN ")),
        ("", LineKind::Other("")),
        ("* ", LineKind::Notice(Notice::Other(""))),
    ] {
        assert_eq!(LineKind::parse(line), kind, "{line}");
    }
}

#[test]
fn almost_a_notice_is_another_text() {
    for text in [
        "ana is now two words",
        "two words joined",
        "client-x left",
        "here: ana, 1 line",
        "here: ana, many lines, 0 min",
        "here: ana, 1 line, 0 min, more",
        "1 here now",
        "-1 here",
        "and more",
        "you are the champions; of the world",
        "the name  is taken",
        "the name a b is taken",
        "you missed a line",
        "you told two words: hi",
        "some earlier lines:",
    ] {
        assert_eq!(Notice::parse(text), Notice::Other(text));
    }
}

/// Lines of the page's own test, each with what the page reads.
fn page_lines() -> Vec<(String, Value)> {
    serde_json::from_str(include_str!("../../../tests/browser/pure/lines.json")).expect("a list of pairs")
}

/// The kinds of notices that the page acts on: the keys of its table of patterns.
fn page_kinds() -> BTreeSet<String> {
    let script = include_str!("../../server/web/page/script/notice.js");
    let keys = script.lines().filter_map(|line| line.strip_prefix("  ")?.split_once(": /^")).map(|(key, _)| key.into());
    keys.collect()
}

#[test]
fn the_page_reads_every_notice_as_this_parser_does() {
    let kinds = page_kinds();
    let mut seen = BTreeSet::new();
    for (line, mut fields) in page_lines() {
        let LineKind::Notice(notice) = LineKind::parse(&line) else { continue };
        let page_kind = fields.as_object_mut().and_then(|fields| fields.remove("kind")).expect("each has a kind");
        if page_kind == "other" {
            assert!(!kinds.contains(&kind(&notice)), "{line}: the page does not act on it: {notice:?}");
            continue;
        }
        assert_eq!((page_kind, fields), (kind(&notice).into(), page_fields(&notice)), "{line}");
        seen.insert(kind(&notice));
    }
    assert_eq!(seen, kinds, "each notice that the page acts on has a line");
}

#[test]
fn all_other_lines_are_read_alike_as_well() {
    for (line, read) in page_lines() {
        let expected = match LineKind::parse(&line) {
            LineKind::Notice(_) => continue,
            LineKind::Said { from, text } => json!({ "kind": "said", "from": from, "text": text }),
            LineKind::Fin => json!({ "kind": "farewell" }),
            LineKind::Other(_) => json!({ "kind": "other" }),
        };
        assert_eq!(read, expected, "{line}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn names_texts_and_numbers_survive(
        name in "[\\p{L}\\p{N}_-]{1,24}", other in "client-[0-9]{1,20}", text in "[^\\p{Cc}]*", count: u64, minutes: u64,
    ) {
        let Ok(parsed) = Name::parse(&name) else { return Ok(()) };
        let name = parsed.as_str();
        for notice in [
            Notice::Welcome { name },
            Notice::NameUnchanged { name },
            Notice::NameTaken { name },
            Notice::NotReading { name },
            Notice::WasRemoved { name },
            Notice::Joined { name },
            Notice::Left { name },
            Notice::Renamed { from: &other, to: name },
            Notice::Here { name, lines: count, minutes },
            Notice::TellsYou { from: name, text: &text },
            Notice::YouTold { to: name, text: &text },
            Notice::NotHere { name: &text },
            Notice::Earlier { lines: count },
            Notice::Missed { lines: count },
            Notice::HereMore { clients: count },
            Notice::HereTotal { clients: count },
            Notice::TooLong { bytes: count },
            Notice::Full { clients: count },
            Notice::AddressCrowded { connections: count },
            Notice::Silent { seconds: count },
        ] {
            let line = notice.to_line();
            prop_assert_eq!(LineKind::parse(line.trim_end_matches('\n')), LineKind::Notice(notice));
        }
    }

    #[test]
    fn any_text_is_read_as_some_notice_that_says_the_same(text in "[^\\p{Cc}]*") {
        // Only numbers may be written another way, and a welcome may point to other help.
        let read = Notice::parse(&text);
        prop_assert!(matches!(read, Notice::Other(_)) || read.to_string().replace(',', "") == text.replace(',', ""));
    }
}
