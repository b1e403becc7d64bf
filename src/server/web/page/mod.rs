//! The chat page: HTML, style and script, joined at compile time into one document that loads nothing else.
//!
//! The files of `script/` share one scope and are written to be read in the order below. Each owns one kind of state:
//! only the file that declares a variable assigns to it. `tests/browser/pure` checks that, and tests the files that
//! need no browser with node; `tests/browser` tests the page in Chromium.

use super::minify::{Minified, minified};

/// The page, with one `<style>` and one `<script>`: the Content-Security-Policy allows both by their hashes.
pub(super) const PAGE: &str = MINIFIED.text();

// The compiler looks at each byte of the source once: that takes it a second.
#[allow(long_running_const_eval)]
const MINIFIED: Minified<{ SOURCE.len() }> = minified(SOURCE.as_bytes());

const SOURCE: &str = concat!(
    include_str!("head.html"),
    "<style>\n",
    include_str!("style.css"),
    "</style>\n",
    include_str!("body.html"),
    "<script>\n",
    // Pure: constants, functions and classes that know neither the document nor the network.
    include_str!("script/limits.js"),
    include_str!("script/text.js"),
    include_str!("script/notice.js"),
    include_str!("script/typed.js"),
    include_str!("script/keep.js"),
    include_str!("script/address.js"),
    include_str!("script/secret.js"),
    include_str!("script/refusal.js"),
    include_str!("script/backoff.js"),
    include_str!("script/lost.js"),
    include_str!("script/chart.js"),
    include_str!("script/own.js"),
    include_str!("script/session.js"),
    include_str!("script/replay.js"),
    include_str!("script/roster.js"),
    include_str!("script/mention.js"),
    include_str!("script/moves.js"),
    include_str!("script/recall.js"),
    include_str!("script/complete.js"),
    // The page at work, from what a person sees to what the network does.
    include_str!("script/dom.js"),
    include_str!("script/ignored.js"),
    include_str!("script/line.js"),
    include_str!("script/follow.js"),
    include_str!("script/days.js"),
    include_str!("script/block.js"),
    include_str!("script/copy.js"),
    include_str!("script/log.js"),
    include_str!("script/underway.js"),
    include_str!("script/people.js"),
    include_str!("script/chip.js"),
    include_str!("script/call.js"),
    include_str!("script/rooms.js"),
    include_str!("script/menu.js"),
    include_str!("script/history.js"),
    include_str!("script/incoming.js"),
    include_str!("script/name.js"),
    include_str!("script/token.js"),
    include_str!("script/status.js"),
    include_str!("script/outbox.js"),
    include_str!("script/place.js"),
    include_str!("script/door.js"),
    include_str!("script/password.js"),
    include_str!("script/tracking.js"),
    include_str!("script/connection.js"),
    include_str!("script/storage.js"),
    include_str!("script/ask.js"),
    include_str!("script/controls.js"),
    "</script>\n</body>\n</html>\n",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_style_and_one_script() {
        for element in ["script", "style"] {
            assert_eq!(PAGE.matches(&format!("<{element}")).count(), 1, "{element}");
            assert_eq!(PAGE.matches(&format!("</{element}>")).count(), 1, "{element}");
        }
    }
}
