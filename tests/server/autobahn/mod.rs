//! The Autobahn testsuite against a real server: every case of its sections 1 to 7, frame by frame as the suite sends
//! it (autobahntestsuite 0.8.2, `autobahntestsuite/case/*.py`, written for Python 2 and an echo server).
//!
//! The server is the echo server (`--audience sender`) with lines as long as its messages can be, so that a text comes
//! back as `client-7> TEXT`. A relay of lines does not echo everything: where it promises something else, the case is
//! sent as the suite has it and asked for that promise instead. Which cases these are, and why, is written with them
//! ([`cases::Case::instead`]), and printed: `cargo test --test autobahn -- --nocapture`.
//!
//! A verdict is what the suite calls OK or NON-STRICT, but stricter in one thing: where the suite lets a server drop
//! the connection without a word, ours has to say why, with the right code.

mod cases;
mod closing;
mod framing;
mod play;
mod sequences;
mod utf8;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cases::Case;
use play::{Stage, Verdict};

/// How many cases each group of the suite has: their numbers run from 1.
const SUITE: [(&str, usize); 36] = [
    ("1.1", 8),
    ("1.2", 8),
    ("2", 11),
    ("3", 7),
    ("4.1", 5),
    ("4.2", 5),
    ("5", 20),
    ("6.1", 3),
    ("6.2", 4),
    ("6.3", 2),
    ("6.4", 4),
    ("6.5", 5),
    ("6.6", 11),
    ("6.7", 4),
    ("6.8", 2),
    ("6.9", 4),
    ("6.10", 3),
    ("6.11", 5),
    ("6.12", 8),
    ("6.13", 5),
    ("6.14", 10),
    ("6.15", 1),
    ("6.16", 3),
    ("6.17", 5),
    ("6.18", 5),
    ("6.19", 5),
    ("6.20", 7),
    ("6.21", 8),
    ("6.22", 34),
    ("6.23", 7),
    ("7.1", 6),
    ("7.3", 6),
    ("7.5", 1),
    ("7.7", 13),
    ("7.9", 9),
    ("7.13", 2),
];

/// Those that are not asked anything. There are none: whatever the suite sends, the relay promises something.
const LEFT_OUT: [(&str, &str); 0] = [];

/// Those that the suite calls NON-STRICT and not OK: allowed by the RFC, but not as soon as it could be. What is wrong
/// in the middle of a frame is seen when all of the frame is there.
const NON_STRICT: [&str; 2] = ["6.4.3", "6.4.4"];

fn cases() -> Vec<Case> {
    [framing::cases(), utf8::cases(), closing::cases()].into_iter().flatten().collect()
}

/// Plays all cases of a section, and says which of them failed.
#[track_caller]
fn play_section(section: &str) {
    let stage = Stage::new();
    let is_of_section = |case: &Case| case.id.split('.').next() == Some(section);
    let cases: Vec<Case> = cases().into_iter().filter(is_of_section).collect();
    assert!(!cases.is_empty());
    let (mut failed, mut surprising) = (Vec::new(), Vec::new());
    for case in &cases {
        let Ok(verdict) = catch_unwind(AssertUnwindSafe(|| stage.play(case))) else {
            eprintln!("case {} failed", case.id);
            failed.push(&case.id);
            continue;
        };
        if (verdict == Verdict::NonStrict) != NON_STRICT.contains(&&*case.id) {
            surprising.push((&case.id, verdict));
        }
        if let Some(reason) = case.instead {
            println!("{}: {reason}", case.id);
        }
    }
    assert!(failed.is_empty(), "{} of {} cases failed: {failed:?}", failed.len(), cases.len());
    assert!(surprising.is_empty(), "not as strict as was known: {surprising:?}");
}

#[test]
fn section_1_framing() {
    play_section("1");
}

#[test]
fn section_2_pings_and_pongs() {
    play_section("2");
}

#[test]
fn section_3_reserved_bits() {
    play_section("3");
}

#[test]
fn section_4_opcodes() {
    play_section("4");
}

#[test]
fn section_5_fragmentation() {
    play_section("5");
}

#[test]
fn section_6_utf_8_handling() {
    play_section("6");
}

#[test]
fn section_7_close_handling() {
    play_section("7");
}

#[test]
fn every_case_of_the_suite_is_played_or_it_is_said_why_not() {
    let mut suite = Vec::new();
    for (group, count) in SUITE {
        suite.extend((1..=count).map(|number| format!("{group}.{number}")));
    }
    let mut ours: Vec<String> = cases().into_iter().map(|case| case.id).collect();
    ours.extend(LEFT_OUT.iter().map(|(id, _)| id.to_string()));
    assert_eq!(ours, suite, "one for one, in the order of the suite");
    for (id, reason) in LEFT_OUT {
        println!("{id} is left out: {reason}");
    }
}
