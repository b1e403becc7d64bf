//! Accessibility: the keyboard, screen readers, phones, light and dark schemes.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::browser::{Browser, DESK, PHONE, Screen, key};
use crate::page::{Page, neighbour, page_of, server};
use crate::support::{Client, Lines, Member, Server};

const SCHEMES: [&str; 2] = ["light", "dark"];
const SCREENS: [Screen; 2] = [DESK, PHONE];

/// The violations that axe-core finds, one for each element.
#[track_caller]
fn faults(browser: &Browser) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("axe-core").join("axe.min.js");
    let axe = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}; tests/browser/run gets it"));
    if browser.eval("typeof axe") == "undefined" {
        browser.run(&format!("{axe}; window.axe = axe;"), ());
    }
    let found = browser.run(
        "return axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations.flatMap(({ id, nodes }) =>
            nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`)))",
        (),
    );
    serde_json::from_value(found).expect("texts")
}

/// Calls `look` with the page in every scheme and on every screen.
fn in_every_light(page: &Page, mut look: impl FnMut(&str, Screen)) {
    for scheme in SCHEMES {
        page.browser.prefer(&[("prefers-color-scheme", scheme)]);
        for screen in SCREENS {
            page.browser.screen(screen);
            look(scheme, screen);
        }
    }
}

#[track_caller]
pub(crate) fn assert_fit(page: &Page, when: &str) {
    in_every_light(page, |scheme, screen| {
        let faults = faults(&page.browser);
        assert_eq!(faults, Vec::<String>::new(), "{when}, {scheme}, {}", screen.name);
        page.assert_nothing_overflows();
        page.picture(screen, &format!("{when}-{scheme}"));
    });
}

/// Holds a conversation with every kind of line in it.
fn talk(server: &Server, page: &Page) -> [Client; 2] {
    let mut bob = neighbour(server, "bob");
    let mut eve = neighbour(server, "eve");
    bob.send_line("good morning! is the new page up?");
    page.until_said("good morning! is the new page up?");
    page.paste_and_send(&"long ".repeat(900));
    page.until_shown("too long: not sent");
    page.browser.clear("#draft");
    page.say("it is: no install, just a browser");
    page.say("I can see you both on the right when I ask who is here");
    eve.lines_until(|line| line.starts_with("ana> I can see"));
    eve.send_line("nice. I am still on nc, over here");
    page.until_shown("over here");
    eve.send_line("the notes: https://example.org/notes");
    page.until_shown("the notes");
    bob.send_line("/msg ana lunch at twelve?");
    page.until_shown("lunch at twelve?");
    page.say("/msg bob gladly");
    page.until_shown("gladly");
    page.say("/who");
    page.until_shown("here: ana");
    page.say("/nick server");
    page.until_shown("the name server is taken");
    eve.send_line("fn main() {\n    println!(\"hello\");\n}");
    page.until_shown("println!");
    eve.send_line("*waves to ana*");
    page.until_shown("waves to ana");
    [bob, eve]
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn an_audit_finds_nothing() {
    let server = server().flags(["--history", "2"]).go();
    let mut early = neighbour(&server, "dave");
    early.send_line("first!");
    early.send_line("anybody?");
    early.who();
    let page = Page::open(&page_of(&server));
    assert_fit(&page, "before");
    page.connect("ana");
    let _others = talk(&server, &page);
    page.browser.screen(DESK);
    page.show_people();
    page.browser.until("document.querySelectorAll('#names li').length === 4");
    assert_fit(&page, "connected");
    page.browser.screen(DESK);
    page.show_people();
    page.browser.click("#draft");
    page.browser.press(&[key::PAGE_UP]);
    early.send_line("something new");
    page.browser.until("document.getElementById('end').textContent === '↓ 1 new line'");
    drop(server);
    page.until_state_begins("Connection lost");
    page.browser.click(".row button");
    page.browser.type_into("#draft", &format!("later{}", key::ENTER));
    assert_fit(&page, "waiting");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn every_colour_of_a_name_can_be_read() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = server.join();
    for index in 0..80 {
        bob.send_line(format!("/nick n{index}"));
        bob.send_line(format!("I am number {index}"));
        page.until_shown(&format!("I am number {index}"));
        page.browser.run("say(`/msg n${arguments[0]} so I see`)", index);
        bob.lines_until(|line| line.ends_with("so I see"));
    }
    let hues = "new Set(Array.from(document.querySelectorAll('.said .who'),
        (who) => who.style.getPropertyValue('--hue'))).size";
    assert_eq!(page.browser.eval(hues), 24);
    in_every_light(&page, |scheme, _| assert_eq!(faults(&page.browser), Vec::<String>::new(), "{scheme}"));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_keyboard_is_enough() {
    let server = server().go();
    let page = Page::open(&page_of(&server));
    let press = |key: char| page.browser.press(&[key]);
    assert_eq!(page.focus(), "name", "the name can be typed at once");
    "ana".chars().for_each(press);
    press(key::ENTER);
    page.until_state("Connected as ana");
    assert_eq!(page.focus(), "draft", "the message can be typed next");
    let mut bob = neighbour(&server, "bob");
    "hi".chars().for_each(press);
    press(key::ENTER);
    bob.expect("ana> hi");
    assert_eq!(page.focus(), "draft");

    // Tab once through the page.
    page.browser.run("document.getElementById('who').focus()", ());
    let mut way = Vec::new();
    for _ in 0..9 {
        way.push(page.focus());
        let ring = page.browser.eval(
            "(({ outlineStyle, outlineWidth }) => outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2)(
                getComputedStyle(document.activeElement))",
        );
        assert_eq!(ring, true, "the focus is visible: {:?}", way.last());
        press(key::TAB);
    }
    let fold = way.remove(3);
    assert!(fold.as_str().is_some_and(|fold| fold.ends_with(" came")), "{fold}");
    assert_eq!(Value::from(way), json!(["who", "more", "log", "draft", "Send", "close-people", "seek", "bob"]));

    // A small screen has the list of people above the log.
    page.browser.screen(Screen { width: 900, ..DESK });
    page.browser.run("document.getElementById('who').focus()", ());
    press(key::ENTER);
    page.until_names(&["ana (you)", "bob"]);
    assert_eq!(page.browser.eval("document.getElementById('who').ariaExpanded"), "true");
    press(key::ESCAPE);
    assert!(page.is_hidden("#people"));
    assert_eq!(page.focus(), "who");
    assert_eq!(page.browser.eval("document.getElementById('who').ariaExpanded"), "false");
    press(key::ESCAPE);
    assert_eq!(page.focus(), "draft");

    // The menu has the rest.
    page.browser.run("document.getElementById('more').focus()", ());
    press(key::ENTER);
    let mut way = Vec::new();
    for _ in 0..8 {
        press(key::TAB);
        way.push(page.focus());
    }
    assert_eq!(
        Value::from(way),
        json!(["to-rooms", "share", "notify", "quiet", "to-help", "server", "name", "disconnect"])
    );

    // Renaming and disconnecting work, too.
    page.browser.run("document.getElementById('name').focus()", ());
    press('a');
    assert_eq!(page.browser.text("#connect"), "Rename");
    press(key::ENTER);
    bob.lines_until(|line| line.starts_with("* ana is now "));
    page.open_menu();
    page.browser.run("document.getElementById('disconnect').focus()", ());
    press(key::ENTER);
    page.until_state("Not connected: you left");
    assert_eq!(page.focus(), "connect");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_screen_reader_is_told_what_happens_but_no_flood() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    let role = |css: &str| page.browser.run("return document.querySelector(arguments[0]).getAttribute('role')", css);
    assert_eq!((role("#log"), role("#state"), role("#trouble")), (json!("log"), json!("status"), json!("status")));
    bob.send_line("hello");
    page.until_said("hello");
    assert_eq!(page.browser.eval("log.ariaLive"), "polite");
    page.browser.run(
        "window.spoken = [];
        new MutationObserver(() => spoken.push(log.ariaLive)).observe(log, { attributeFilter: ['aria-live'] });",
        (),
    );
    bob.send("again and again\n".repeat(1000));
    page.until_shown("again and again");
    page.browser.until("spoken.includes('off')");
    // Each line names its sender to a screen reader, though only the first of a group shows the name.
    assert!(page.said().iter().all(|said| said.who == "bob"));
    bob.send_line("the end");
    page.until_said("the end");
    bob.send_line("one more");
    page.browser.until("log.ariaLive === 'polite'");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_small_phone_with_its_keyboard_up_has_room_for_messages() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    for index in 0..30 {
        bob.send_line(format!("line {index}"));
    }
    page.until_said("line 29");
    for (height, room) in [(640, 380), (330, 150)] {
        page.browser.screen(Screen { height, ..PHONE });
        page.browser.run("document.getElementById('draft').focus()", ());
        page.assert_nothing_overflows();
        let seen = page.browser.eval("log.clientHeight").as_u64().expect("pixels");
        assert!(seen >= room, "{seen} of {height}");
        page.browser.until("log.lastElementChild.getBoundingClientRect().bottom <= log.getBoundingClientRect().bottom");
        page.picture(PHONE, &format!("keyboard-{height}"));
    }
    // A phone in landscape.
    page.browser.screen(Screen { name: "side", width: 740, height: 360, is_phone: true });
    page.assert_nothing_overflows();
    let seen = page.browser.eval("log.clientHeight").as_u64().expect("pixels");
    assert!(seen >= 240, "{seen} of 360");
    page.picture(Screen { name: "side", ..PHONE }, "turned");
    // The panel of people covers the log until a name is chosen.
    page.browser.screen(PHONE);
    page.show_people();
    page.assert_nothing_overflows();
    page.until_names(&["ana (you)", "bob"]);
    page.picture(PHONE, "who");
    page.browser.click("#names button");
    assert!(page.is_hidden("#people"));
    assert_eq!(page.focus(), "draft");
    // Touch targets are large enough for a finger.
    let small = "Array.from(document.querySelectorAll('button, input, textarea'))
        .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 44)
        .map((element) => element.id)";
    assert_eq!(page.browser.eval(small), json!([]));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_question_can_be_read_on_a_phone() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    for width in [320, 390] {
        page.browser.screen(Screen { width, ..PHONE });
        page.paste_and_send(" /msg bob secret");
        page.browser.until("document.getElementById('question').textContent.startsWith('Not sent yet')");
        let lines = page.browser.eval("document.getElementById('question').clientHeight / 24").as_f64();
        assert!(lines.is_some_and(|lines| lines < 5.0), "{lines:?} lines at {width}");
        let tops = "new Set(['as-text', 'as-command'].map((id) => document.getElementById(id).offsetTop)).size";
        assert_eq!(page.browser.eval(tops), 1, "the answers stand side by side at {width}");
        page.assert_nothing_overflows();
        page.browser.clear("#draft");
    }
    // A line that was not sent is unlike the others, and says so in red.
    page.browser.run("show({ from: 'ana', text: 'lost', at: Date.now(), own: true, failed: 'not sent' })", ());
    page.until_said("lost");
    let is_red = "getComputedStyle(document.querySelector('.fate')).color ===
        getComputedStyle(document.getElementById('question')).color";
    assert_eq!(page.browser.eval(is_red), true);
}

/// Takes the picture that the README shows: `tests/browser/run the_readme`, and then
/// `pngquant --force --output tests/browser/page.png 64 target/browser/readme-picture.png`.
#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_readme_has_a_picture() {
    let server = server().flags(["--announce-up-to", "0"]).go();
    let page = Page::join(&server, "ana");
    let [mut bob, mut zoe] = [neighbour(&server, "bob"), neighbour(&server, "Zoë")];
    bob.send_line("good morning! who else is here?");
    page.until_shown("who else");
    page.say("me, in the browser this time");
    zoe.lines_until(|line| line.starts_with("ana> "));
    zoe.send_line("and me: pollchat-client in one pane, the build in the other");
    page.until_shown("in the other");
    bob.send_line("/msg ana lunch at twelve?");
    page.until_shown("at twelve");
    page.say("/msg bob gladly");
    page.until_shown("gladly");
    zoe.send_line("notes of yesterday: https://example.org/notes");
    page.until_shown("notes of");
    zoe.send_line("ana: and this is the part that we spoke of");
    page.until_shown("we spoke of");
    page.paste_and_send("for line in stream.lines() {\n    println!(\"{}\", line?);\n}");
    page.until_shown("println!");
    bob.send_line("nc users get it just the same");
    page.until_shown("just the same");
    page.say("/me waves to both");
    page.until_said("waves to both");
    page.browser.screen(Screen { name: "picture", width: 1280, height: 680, is_phone: false });
    page.show_people();
    page.until_names(&["ana (you)", "bob", "Zoë"]);
    page.browser.click("#draft");
    page.browser.run("document.querySelectorAll('#log .note').forEach((note) => note.remove())", ());
    page.picture(Screen { name: "picture", ..DESK }, "readme");
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/page.png");
    let bytes = fs::metadata(kept).expect("the picture is kept").len();
    assert!((1..60_000).contains(&bytes), "{bytes} bytes are a lot to load with a README");
}
