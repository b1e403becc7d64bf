//! The page of the game Bombards, in one file: `bombards.html`.
//!
//! The page is a client of the room `bombards`. It draws what the referee says there, a client too. The server knows
//! nothing of the game. `tests/browser/pure` tests the sections of the script that need no browser, and `tests/browser`
//! plays in Chromium.

use super::minify::{Minified, minified};

/// The page, with one `<style>` and one `<script>`: its Content-Security-Policy allows both by their hashes.
pub(super) const PAGE: &str = MINIFIED.text();

// The compiler looks at each byte of the source once.
#[allow(long_running_const_eval)]
const MINIFIED: Minified<{ SOURCE.len() }> = minified(SOURCE.as_bytes());

const SOURCE: &str = include_str!("bombards.html");
