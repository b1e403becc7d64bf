//! The page in a real browser, against the real server.
//!
//! `tests/browser/run` installs Chromium, its driver and axe-core, and runs these tests. `cargo test` ignores them.
//! `tests/browser/pure` tests the parts of the script that need no browser.

#[path = "../support/browser.rs"]
mod browser;
#[path = "../support/mod.rs"]
mod support;

mod bombards;
mod calls;
mod coming_back;
mod doors;
mod fit_for_all;
mod hostile;
mod long_talk;
mod page;
mod proxy;
mod restarts;
mod rooms;
mod secrets;
mod sessions;
mod shown;
mod talking;
mod tls;
mod ways;
