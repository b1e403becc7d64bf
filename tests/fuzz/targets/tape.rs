//! Runs `../bodies/tape.rs` under libFuzzer.

#![no_main]

#[path = "../bodies/tape.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
