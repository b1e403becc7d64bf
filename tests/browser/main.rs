//! The page in a real browser, against the real server.
//!
//! `tests/browser/run` installs what they need (Chromium, its driver, axe-core) and runs them. Without that they are
//! left out, and `cargo test` says so.

#[path = "../support/browser.rs"]
mod browser;
#[path = "../support/mod.rs"]
mod support;

mod coming_back;
mod fit_for_all;
mod hostile;
mod long_talk;
mod page;
mod proxy;
mod talking;
