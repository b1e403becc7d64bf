//! Runs `../bodies/socket.rs` under libFuzzer.

#![no_main]

#[path = "../bodies/socket.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
