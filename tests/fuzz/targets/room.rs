//! Runs `../bodies/room.rs` under libFuzzer.

#![no_main]

#[path = "../bodies/room.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
