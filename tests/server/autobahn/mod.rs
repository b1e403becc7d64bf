//! Sections 5 and 7 of the Autobahn testsuite against a real server, frame by frame as the suite sends them
//! (autobahntestsuite 0.8.2, `autobahntestsuite/case/*.py`, written for Python 2 and an echo server).
//!
//! The server is the echo server (`--audience sender`) with lines as long as its messages can be, so that a text comes
//! back as `client-7> TEXT`. Where a relay of lines promises something else, the case is asked for that promise
//! instead: [`cases::Case::instead`] says why, and `cargo test --test server autobahn -- --nocapture` prints it. The
//! frames of sections 1 to 4 and 6 are tested in memory, in `tests/hub/frames.rs`.

mod cases;
mod closing;
mod fragments;
mod play;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cases::Case;
use play::Stage;

/// The number of cases in each group of the suite: they are numbered from 1.
const SUITE: [(&str, usize); 7] = [("5", 20), ("7.1", 6), ("7.3", 6), ("7.5", 1), ("7.7", 13), ("7.9", 9), ("7.13", 2)];

/// Plays cases, and names those that failed.
#[track_caller]
fn play(cases: &[Case]) {
    let stage = Stage::new();
    let mut failed = Vec::new();
    for case in cases {
        if catch_unwind(AssertUnwindSafe(|| stage.play(case))).is_err() {
            eprintln!("case {} failed", case.id);
            failed.push(&case.id);
        } else if let Some(reason) = case.instead {
            println!("{}: {reason}", case.id);
        }
    }
    assert!(failed.is_empty(), "{} of {} cases failed: {failed:?}", failed.len(), cases.len());
}

#[test]
fn section_5_fragmentation() {
    play(&fragments::cases());
}

#[test]
fn section_7_close_handling() {
    play(&closing::cases());
}

#[test]
fn every_case_of_both_sections_is_played() {
    let mut suite = Vec::new();
    for (group, count) in SUITE {
        suite.extend((1..=count).map(|number| format!("{group}.{number}")));
    }
    let ours: Vec<String> = fragments::cases().into_iter().chain(closing::cases()).map(|case| case.id).collect();
    assert_eq!(ours, suite, "one for one, in the order of the suite");
}
