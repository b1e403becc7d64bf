//! Runs `../bodies/line.rs` under libFuzzer.

#![no_main]

#[path = "../bodies/line.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
