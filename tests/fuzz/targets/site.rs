//! Runs `../bodies/site.rs` under libFuzzer.

#![no_main]

#[path = "../bodies/site.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
