//! The committed corpus of each fuzz target (`tests/fuzz`), run through the same bodies, without a fuzzer.

use std::fs;
use std::path::Path;

#[path = "bodies/line.rs"]
mod line;
#[path = "bodies/room.rs"]
mod room;
#[path = "bodies/site.rs"]
mod site;
#[path = "bodies/socket.rs"]
mod socket;
#[path = "bodies/tape.rs"]
mod tape;

/// Runs all inputs of `target`; one that fails is the last that is named.
fn replay(target: &str, body: fn(&[u8])) {
    let corpus = Path::new("tests/fuzz/corpus").join(target);
    let mut inputs: Vec<_> = corpus.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty());
    inputs.sort();
    for input in inputs {
        println!("{}", input.display());
        body(&fs::read(&input).unwrap());
    }
}

#[test]
fn the_decoder_and_the_cleaner_do_what_the_model_does() {
    replay("line", line::run);
}

#[test]
fn a_room_says_nothing_but_what_it_may() {
    replay("room", room::run);
}

#[test]
fn a_visitor_is_answered_however_its_bytes_come() {
    replay("site", site::run);
}

#[test]
fn a_browser_says_the_same_however_its_bytes_come() {
    replay("socket", socket::run);
}

#[test]
fn the_tape_and_its_readers_do_what_the_model_does() {
    replay("tape", tape::run);
}
