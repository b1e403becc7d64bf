//! Many lines: which of them stay in view, which are kept, and how the page reacts meanwhile.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use crate::browser::{PHONE, Screen, eventually, key};
use crate::page::{Page, neighbour, page_of, server};
use crate::proxy::Proxy;
use crate::support::{Lines, Member, missed};

const IS_AT_END: &str = "log.scrollHeight - log.scrollTop - log.clientHeight < 2";

/// The text of the first line in view.
const FIRST_IN_VIEW: &str = "Array.from(log.children)
    .find((line) => line.getBoundingClientRect().bottom > log.getBoundingClientRect().top).textContent";

/// The number of lines that the page keeps (`LINES_MAX` of its script).
const KEPT: usize = 2000;

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_reader_further_up_keeps_its_place_and_sees_the_number_of_new_lines() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    for index in 0..100 {
        bob.send_line(format!("line {index}"));
    }
    page.until_said("line 99");
    page.browser.until(IS_AT_END);
    assert!(page.is_hidden("#end"));

    page.browser.press(&[key::PAGE_UP]);
    page.browser.press(&[key::PAGE_UP]);
    page.browser.until(&format!("!({IS_AT_END})"));
    page.browser.until("document.getElementById('end').textContent === '↓ To the end'");
    let first_in_view = page.browser.eval(FIRST_IN_VIEW);
    for text in ["one", "two", "three"] {
        bob.send_line(text);
    }
    page.until_said("three");
    page.browser.until("document.getElementById('end').textContent === '↓ 3 new lines'");
    assert_eq!(page.browser.eval(FIRST_IN_VIEW), first_in_view, "the lines in view stay in view");
    page.browser.click("#end");
    page.browser.until(IS_AT_END);
    assert!(page.is_hidden("#end"));
    assert_eq!(page.focus(), "draft");

    // Escape, and sending a line, go to the end.
    for keys in [&[key::ESCAPE][..], &['x'], &[key::ENTER]] {
        if keys != [key::ENTER] {
            page.browser.press(&[key::PAGE_UP]);
            page.browser.until("!document.getElementById('end').hidden");
        }
        page.browser.press(keys);
    }
    page.browser.until(IS_AT_END);
    bob.send_line("four");
    page.until_said("four");
    page.browser.until(IS_AT_END);

    // When the window changes, or the keyboard of a phone comes up, the end stays in view.
    for height in [300, 640] {
        page.browser.screen(Screen { height, ..PHONE });
        page.browser.until(IS_AT_END);
    }
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_end_stays_in_view_when_a_phone_is_turned() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    page.browser.screen(PHONE);
    for index in 0..20 {
        bob.send_line(format!("line {index}{}", " of words".repeat(30)));
    }
    page.until_shown("line 19 ");
    page.browser.until(IS_AT_END);
    for screen in [Screen { width: PHONE.height, height: PHONE.width, ..PHONE }, PHONE] {
        page.browser.screen(screen);
        page.browser.until(IS_AT_END);
        assert!(page.is_hidden("#end"), "{screen:?}");
    }
    // A browser may move the log, and report that as scrolling, before it reports the new size. How far it moves the
    // log depends on browser and fonts, so the test moves it itself.
    page.browser.run(
        "Object.assign(document.body.style, { width: '320px', height: '300px' });
        log.scrollTop = 0;
        log.dispatchEvent(new Event('scroll'));",
        (),
    );
    page.browser.until(IS_AT_END);
    assert!(page.is_hidden("#end"));
    // A person who scrolls up does leave the end.
    page.browser.press(&[key::PAGE_UP]);
    page.browser.until("!document.getElementById('end').hidden");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn ten_thousand_lines_at_once_do_not_block_the_page() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    page.browser.run(
        "window.updates = 0;
        new MutationObserver(() => { updates += 1 }).observe(document.getElementById('log'), { childList: true });",
        (),
    );
    bob.send((0..10_000).map(|index| format!("line {index} of many\n")).collect::<String>());
    page.until_shown("line 9999 of many");
    let updates = page.browser.eval("updates").as_u64().expect("a number");
    assert!(updates < 1000, "{updates} updates for 10,000 lines");
    let texts = page.texts();
    assert!(texts.len() <= KEPT, "{}", texts.len());
    assert!(texts.windows(2).all(|two| index_of(&two[0]) + 1 == index_of(&two[1])), "in order, with no gap");
    assert!(page.browser.text("#cut").ends_with("older lines no longer shown"));
    page.browser.until(IS_AT_END);

    // A reader further up keeps more lines, within bounds.
    page.browser.press(&[key::PAGE_UP]);
    page.browser.until("!document.getElementById('end').hidden");
    bob.send((0..10_000).map(|index| format!("line {index} of more\n")).collect::<String>());
    page.until_shown("line 9999 of more");
    assert!(page.texts().len() <= 2 * KEPT);
    // Lines that came too fast to be shown are missing where the page says so, and nowhere else.
    let rows = page
        .browser
        .eval("Array.from(document.querySelectorAll('#log > .said .text, #log > .rule'), (row) => row.textContent)");
    let rows: Vec<String> = serde_json::from_value(rows).expect("texts");
    let not_shown = |row: &str| row.strip_suffix(" lines not shown").map(|count| count.replace(',', ""));
    let mut due = None;
    for row in rows {
        if let Some(count) = not_shown(&row) {
            due = due.map(|due| due + count.parse::<usize>().expect("a number"));
        } else {
            assert_eq!(due.unwrap_or(index_of(&row)) % 10_000, index_of(&row), "{row}");
            due = Some(index_of(&row) + 1);
        }
    }
    let nodes = page.browser.eval("document.getElementsByTagName('*').length").as_u64().expect("a number");
    assert!(nodes < 40_000, "{nodes} elements");
    page.browser.press(&[key::ESCAPE]);
    page.browser.until(IS_AT_END);
    assert!(page.texts().len() <= KEPT);
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_hidden_page_keeps_ten_thousand_lines_within_bounds() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    page.browser.minimise(true);
    page.browser.until("document.hidden");
    for _ in 0..3 {
        bob.send("unseen\n".repeat(10_000));
        bob.send_line("/msg ana so far");
        bob.expect("* you told ana: so far");
    }
    page.browser.until("document.title === '(30003) · @ana · pollchat'");
    assert_eq!(page.browser.eval(&format!("pending.length <= {}", 2 * KEPT)), true);
    page.browser.minimise(false);
    bob.send_line("seen");
    page.until_shown("seen");
    page.browser.until("!document.hidden && log.lastElementChild.textContent.includes('seen')");
    assert!(page.texts().len() <= KEPT);
    page.browser.until(IS_AT_END);
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn behind_twenty_thousand_lines_a_further_one_costs_a_small_part_of_a_layout() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    bob.send((0..20_000).map(|index| format!("line {index} of so many\n")).collect::<String>());
    page.until_shown("line 19999 of so many");
    page.browser.until("pending.length === 0");
    // The least of several times, each taken in turn: other programs on the machine slow all of them alike.
    let least = page.browser.run(
        "const spent = (act) => {
            const start = performance.now();
            act();
            log.scrollTop += 0;
            return performance.now() - start;
        };
        const rounds = Array.from({ length: 21 }, (_, n) => [
            spent(() => { show({ from: 'bob', text: `more ${n}`, at: Date.now(), own: false }); flush() }),
            spent(() => { log.scrollTop = (n * 997) % 20000 }),
            spent(() => { log.style.width = `${600 + n}px`; log.scrollHeight; }),
        ]);
        return [0, 1, 2].map((of) => Math.min(...rounds.map((round) => round[of])));",
        (),
    );
    let [appended, scrolled, laid_out]: [f64; 3] = serde_json::from_value(least).expect("milliseconds");
    println!("a line {appended:.1} ms, a jump {scrolled:.1} ms, a layout of all lines {laid_out:.1} ms");
    assert!(3.0 * appended < laid_out, "{appended} ms for a line, {laid_out} ms for a layout of all");
    assert!(3.0 * scrolled < laid_out, "{scrolled} ms for a jump, {laid_out} ms for a layout of all");
}

fn index_of(text: &str) -> usize {
    text.split(' ').nth(1).and_then(|index| index.parse().ok()).unwrap_or_else(|| panic!("{text:?}"))
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_page_can_be_used_during_a_flood() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let [mut flooder, mut reader] = server.join_many();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // The flood ends even if an assertion fails.
        let _stop = OnDrop(|| is_over.store(true, SeqCst));
        scope.spawn(|| {
            let lines = "all work and no play\n".repeat(1000);
            while !is_over.load(SeqCst) {
                flooder.send(&lines);
                // Waiting for the server's answer leaves processor time to the browser and the reader.
                flooder.who();
            }
        });
        page.until_shown("all work and no play");
        page.browser.run(
            "window.spent = window.times = 0;
            window.since = performance.now();
            const ours = flush;
            flush = () => { const start = performance.now(); ours(); spent += performance.now() - start; times += 1 };",
            (),
        );
        for text in ["I can type", "and send"] {
            // Private messages arrive even if the reader lags.
            page.say(&format!("/msg {} {text}", reader.name()));
            reader.lines_until(|line| line == format!("* ana tells you: {text}"));
        }
        page.browser.until("times >= 10");
        let share = page.browser.eval("spent / (performance.now() - since)").as_f64().expect("a number");
        assert!(share > 0.0 && share < 0.5, "showing lines takes {share} of the page's time");
        page.click("#disconnect");
        page.until_state("Not connected: you left");
    });
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn missed_lines_are_reported_where_they_are_missing() {
    const SAID: usize = 20_000;
    let server = server().flags(["--backlog", "64K"]).go();
    let proxy = Proxy::to(&page_of(&server));
    let page = Page::open(&proxy.page());
    page.connect("ana");
    let mut bob = neighbour(&server, "bob");
    page.until_shown("bob joined");
    proxy.pause(true);
    let text = "~".repeat(500);
    for start in (0..SAID).step_by(100) {
        bob.send((start..start + 100).map(|index| format!("line {index} {text}\n")).collect::<String>());
        bob.who();
    }
    proxy.pause(false);
    page.until_shown(&format!("line {} ", SAID - 1));
    let notices = page.notices();
    let told = notices.iter().filter(|notice| notice.starts_with("You missed ")).collect::<Vec<_>>();
    assert!(!told.is_empty(), "{notices:?}");
    let missed: usize = told.iter().map(|notice| missed(&notice.replace("You", "* you")).expect("a number")).sum();
    let gaps: usize = page.texts().windows(2).map(|two| index_of(&two[1]) - index_of(&two[0]) - 1).sum();
    assert!(missed >= gaps && gaps > 0, "{missed} told, {gaps} missing in what is shown");
    eventually("the notice is visible", || !page.is_hidden(".missed"));
}
