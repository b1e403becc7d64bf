//! The chat page: HTML, style and script, joined at compile time into one document that loads nothing else.
//!
//! The files of `script/` share one scope and are written to be read in the order below. Each owns one kind of state:
//! only the file that declares a variable assigns to it. `tests/browser/pure` checks that, and tests the files that
//! need no browser with node; `tests/browser` tests the page in Chromium.

/// The page, with one `<style>` and one `<script>`: the Content-Security-Policy allows both by their hashes.
pub(super) const PAGE: &str = match str::from_utf8(STRIPPED.0.split_at(STRIPPED.1).0) {
    Ok(page) => page,
    Err(_) => panic!("whole lines of UTF-8 are UTF-8"),
};

const STRIPPED: ([u8; SOURCE.len()], usize) = stripped(SOURCE.as_bytes());

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
    // The page at work, from what a person sees to what the network does.
    include_str!("script/dom.js"),
    include_str!("script/line.js"),
    include_str!("script/follow.js"),
    include_str!("script/log.js"),
    include_str!("script/underway.js"),
    include_str!("script/people.js"),
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

/// Returns the source without indentation and comments, and its length. Browsers do not need them, and every browser
/// that loads the page costs its size in memory. No text of the page runs over several lines, so no indentation is part
/// of one.
///
/// A comment begins its line: `// …` takes that line, `/* …` takes all lines up to one that ends with `*/`. Behind
/// code, two blanks and `//` begin a comment. Every line ends with LF.
const fn stripped<const N: usize>(source: &[u8]) -> ([u8; N], usize) {
    let (mut kept, mut len) = ([0; N], 0);
    let (mut at, mut is_in_block) = (0, false);
    while at < source.len() {
        while source[at] == b' ' {
            at += 1;
        }
        let is_comment = source[at] == b'/' && matches!(source[at + 1], b'/' | b'*');
        is_in_block |= is_comment && source[at + 1] == b'*';
        let is_kept = !is_comment && !is_in_block;
        let mut is_code = is_kept;
        while source[at] != b'\n' {
            is_code &= !begins_comment(source, at);
            if is_code {
                kept[len] = source[at];
                len += 1;
            }
            at += 1;
        }
        is_in_block &= !(at >= 2 && source[at - 2] == b'*' && source[at - 1] == b'/');
        at += 1;
        if is_kept {
            kept[len] = b'\n';
            len += 1;
        }
    }
    (kept, len)
}

/// Whether two or more blanks and `//` are here.
const fn begins_comment(source: &[u8], mut at: usize) -> bool {
    let start = at;
    while source[at] == b' ' {
        at += 1;
    }
    at >= start + 2 && source[at] == b'/' && source[at + 1] == b'/'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indentation_and_comments_are_left_out() {
        let source = "a // b\n  a   // b\n  // c\n  /** d */\n/* e\n * f\n   */\n  'http://g' /* h */\n\n//\n";
        let (kept, len) = stripped::<100>(source.as_bytes());
        assert_eq!(str::from_utf8(&kept[..len]), Ok("a // b\na\n'http://g' /* h */\n\n"));
    }

    #[test]
    fn the_page_has_one_style_and_one_script() {
        for element in ["script", "style"] {
            assert_eq!(PAGE.matches(&format!("<{element}")).count(), 1, "{element}");
            assert_eq!(PAGE.matches(&format!("</{element}>\n")).count(), 1, "{element}");
        }
    }
}
