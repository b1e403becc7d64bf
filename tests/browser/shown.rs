//! The shape of the log: groups, pasted code, folds of joins and leaves, days, and what a selection copies.

use serde_json::{Value, json};

use crate::browser::{PHONE, Screen, eventually};
use crate::page::{Page, neighbour, page_of, server};
use crate::support::{Lines, Member};

/// Selects from the first of these elements to the last, and returns what would be copied.
const COPY: &str = "const found = document.querySelectorAll(arguments[0]), range = document.createRange();
    range.setStartBefore(found[0]);
    range.setEndAfter(found[found.length - 1]);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    const event = new ClipboardEvent('copy', { clipboardData: new DataTransfer(), bubbles: true, cancelable: true });
    found[0].dispatchEvent(event);
    return event.defaultPrevented ? event.clipboardData.getData('text/plain') : null;";

pub(crate) const WIDE: Screen = Screen { name: "wide", width: 1280, height: 800, is_phone: false };

const CODE: &str = "fn main() {\n    let x = 1;\n\n    println!(\"{x}\");\n}";

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn lines_of_one_client_have_one_head_and_begin_at_one_edge() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    page.say("one");
    page.until_said("one");
    for text in ["two", "three", "four"] {
        bob.send_line(text);
        page.until_said(text);
    }
    page.browser.run("document.activeElement.blur()", ());
    let rows = page.browser.eval(
        "Array.from(document.querySelectorAll('#log .said'), (line) => {
            const visible = (css) => {
                const part = line.querySelector(css), { visibility } = getComputedStyle(part);
                return visibility === 'visible' && part.getBoundingClientRect().width > 1;
            };
            return [visible('.who'), visible('time')];
        })",
    );
    let [head, more] = [json!([true, true]), json!([false, false])];
    assert_eq!(rows, json!([head, head, more, more]));
    let edges = "new Set(Array.from(document.querySelectorAll('#log .text'),
        (text) => text.getBoundingClientRect().left)).size";
    assert_eq!(page.browser.eval(edges), 1, "own lines begin where all others do");
    // The keyboard shows the times of the further lines, too.
    page.browser.run("document.getElementById('draft').focus(); document.getElementById('log').focus()", ());
    assert_eq!(page.focus(), "log");
    page.browser.until("getComputedStyle(document.querySelector('.more time')).visibility === 'visible'");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_screen_shows_as_many_messages_as_it_has_space_for() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    page.browser.screen(WIDE);
    let mut others = [neighbour(&server, "Ben"), neighbour(&server, "carl_nc")];
    for index in 0..40 {
        others[index % 2].send_line(format!("message {index}"));
        page.until_said(&format!("message {index}"));
    }
    let in_view = "(() => {
        const { top, bottom } = document.getElementById('log').getBoundingClientRect();
        return Array.from(document.querySelectorAll('#log .said'), (line) => line.getBoundingClientRect())
            .filter((line) => line.top >= top && line.bottom <= bottom).length;
    })()";
    let shown = page.browser.eval(in_view).as_u64().expect("a number");
    assert!(shown >= 26, "{shown} messages of two who take turns");
    // The name stands beside the text, and on a phone above it.
    let is_beside = "(() => {
        const line = Array.from(document.querySelectorAll('#log .said')).at(-1);
        const [who, text] = ['.who', '.text'].map((css) => line.querySelector(css).getBoundingClientRect());
        return who.right < text.left && Math.abs(who.bottom - text.bottom) < 2;
    })()";
    assert_eq!(page.browser.eval(is_beside), true);
    page.assert_nothing_overflows();
    page.browser.screen(PHONE);
    assert_eq!(page.browser.eval(is_beside), false);
    page.assert_nothing_overflows();
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn what_the_server_did_not_do_looks_unlike_an_answer() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    for (text, answer) in
        [("/nosuch", "there is no command /nosuch"), ("/msg nobody x", "nobody here is called nobody")]
    {
        page.say(text);
        page.until_shown(answer);
        page.browser.until("document.querySelector('#log').lastElementChild.classList.contains('refusal')");
    }
    page.say("/who");
    page.until_shown("1 here");
    page.browser.until("document.querySelector('#log').lastElementChild.classList.contains('answer')");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn pasted_code_is_one_block_that_keeps_its_shape_and_can_be_copied() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    page.say("look:");
    page.until_said("look:");
    bob.send_line("at what?");
    page.until_said("at what?");
    page.paste_and_send(CODE);
    page.browser.until("document.querySelectorAll('.code .said').length === 5");
    bob.lines_until(|line| line == "ana>     let x = 1;");
    assert_eq!(bob.lines_until(|line| line == "ana> }").first().map(String::as_str), Some("ana>  "));
    let shape = page.browser.eval(
        "(() => {
            const [first, second] = document.querySelectorAll('.code .text');
            const style = getComputedStyle(second);
            return [style.fontFamily.includes('monospace'), style.whiteSpace,
                first.getBoundingClientRect().left === second.getBoundingClientRect().left, second.textContent];
        })()",
    );
    assert_eq!(shape, json!([true, "pre", true, "    let x = 1;"]));
    assert_eq!(page.texts().len(), 7, "each line is there once: {:?}", page.texts());

    // The lines of others, in fences, from a client that sends them one by one.
    for line in ["```rust", &format!("let y = {};", "y".repeat(300)), "```", "and so on"] {
        bob.send_line(line);
        page.until_shown(line);
    }
    page.browser.until("document.querySelectorAll('.code').length === 2");
    let said = page.browser.eval("document.querySelector('#log').lastElementChild.textContent.includes('and so on')");
    assert_eq!(said, true, "a fence ends the block");
    let scrolls = "(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)(
        document.querySelectorAll('.code .lines')[1])";
    assert_eq!(page.browser.eval(scrolls), true, "a long line has a scroll bar of its own");
    page.assert_nothing_overflows();

    page.browser.run(
        "window.copied = [];
        Object.defineProperty(navigator, 'clipboard', { value: { writeText: async (text) => copied.push(text) } });",
        (),
    );
    page.browser.click(".code .copy");
    page.browser.until("document.querySelector('.code .copy').textContent === 'Copied'");
    page.browser.run("document.querySelectorAll('.code .copy')[1].click()", ());
    page.browser.until("copied.length === 2");
    let copied = page.browser.eval("copied");
    assert_eq!(copied[0], CODE, "with its blank line");
    assert_eq!(copied[1], format!("let y = {};", "y".repeat(300)), "without the fences");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_selection_copies_clean_lines() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    page.until_shown("bob joined");
    bob.send_line("hello ana");
    page.until_said("hello ana");
    page.say("hello bob");
    page.until_said("hello bob");
    bob.send_line("*waves*");
    page.until_said("waves");
    let copied = page.browser.run(COPY, "#log .said, #log .move");
    let copied = copied.as_str().expect("a text");
    assert!(copied.ends_with("\n* bob joined\n<bob> hello ana\n<ana> hello bob\n<bob> *waves*"), "{copied}");
    // A single line, as three clicks select it, is its words.
    page.browser.run(
        "const [line, next] = document.querySelectorAll('.said'), range = document.createRange();
        range.setStart(line.querySelector('.text').firstChild, 0);
        range.setEnd(next, 0);
        Range.prototype.setStartBefore = Range.prototype.setEndAfter = () => {};
        document.createRange = () => range;",
        (),
    );
    assert_eq!(page.browser.run(COPY, ".said"), "hello ana");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn joins_and_leaves_fold_and_can_be_hidden() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    page.say("first");
    page.until_said("first");
    let names = ["Ben", "Carl", "Dora", "Emil", "עדה"];
    let mut others: Vec<_> = names.iter().map(|name| neighbour(&server, name)).collect();
    let summary =
        || page.browser.eval("Array.from(document.querySelectorAll('.fold summary')).at(-1)?.textContent ?? ''");
    let plain = |text: Value| text.as_str().expect("a text").replace(['\u{2068}', '\u{2069}'], "");
    eventually(&format!("a fold, not {}", summary()), || plain(summary()) == "Ben, Carl and 3 others came");
    drop(others.remove(3));
    eventually("who came and left", || plain(summary()).ends_with("came, Emil came and left"));
    assert!(page.is_hidden(".said ~ .fold .lines .note"), "it is folded");
    let opens = "(() => {
        const { right, top } = document.querySelector('.said ~ .fold').getBoundingClientRect();
        return document.elementFromPoint(right - 20, top + 3).tagName;
    })()";
    assert_eq!(page.browser.eval(opens), "SUMMARY", "a finger need not hit its words");
    // By keyboard alone.
    page.browser.run("document.querySelector('.said ~ .fold summary').focus()", ());
    page.browser.press(&[crate::browser::key::ENTER]);
    page.browser.until("document.querySelector('.said ~ .fold').open");
    assert!(page.browser.text(".said ~ .fold").contains("Emil left"));
    others[0].send_line("hello");
    page.until_said("hello");
    drop(others.remove(1));
    page.until_shown("Carl left");
    assert_eq!(page.browser.eval("document.querySelectorAll('.said ~ .fold').length"), 1, "a line ends the fold");

    page.open_menu();
    page.browser.click("#quiet");
    assert_eq!(page.browser.eval("document.getElementById('quiet').ariaPressed"), "true");
    assert!(page.is_hidden(".fold") && page.is_hidden(".move"));
    page.browser.reload();
    page.until_state("Connected as ana");
    page.browser.until("document.body.classList.contains('quiet')");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn days_are_named_as_people_name_them() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    page.browser.run(
        "const day = 24 * 3600 * 1000;
        [9, 3, 1, 0].forEach((ago, at) => [`@ ${Date.now() - ago * day} other.${at}`, `bob> ${ago} days`].forEach(hear));",
        (),
    );
    page.until_said("0 days");
    let rules = page.browser.eval("Array.from(document.querySelectorAll('.day'), (rule) => rule.textContent)");
    let expected = page.browser.eval(
        "[9, 3].map((ago, at) => new Intl.DateTimeFormat([], at ? { weekday: 'long' } :
            { weekday: 'long', day: 'numeric', month: 'long' }).format(Date.now() - ago * 24 * 3600 * 1000))",
    );
    assert!(rules[0].as_str().is_some_and(|rule| rule.starts_with(expected[0].as_str().expect("a date"))), "{rules}");
    assert_eq!((&rules[1], &rules[2], &rules[3]), (&expected[1], &json!("Yesterday"), &json!("Today")));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn notices_of_the_past_stand_in_their_place_with_their_time() {
    let server = server().flags(["--history", "20"]).go();
    let mut bob = neighbour(&server, "bob");
    let page = Page::open(&page_of(&server));
    bob.send_line("before");
    bob.who();
    let mut eve = neighbour(&server, "eve");
    eve.send_line("after");
    eve.who();
    page.connect("ana");
    page.until_said("after");
    let rows = page.browser.eval(
        "Array.from(document.querySelectorAll('#log .said, #log .move'), (row) =>
            [row.firstElementChild.textContent, Boolean(row.querySelector('time[datetime]'))])",
    );
    let rows: Vec<(String, bool)> = serde_json::from_value(rows).expect("rows");
    assert!(rows.iter().all(|(_, has_time)| *has_time), "{rows:?}");
    let at = |name: &str| rows.iter().position(|(who, _)| who == name).unwrap_or_else(|| panic!("{name}: {rows:?}"));
    assert!(at("bob") < at("eve"), "{rows:?}");
}
