//! What calls a person, and what the person may hush: mentions, private lines, notifications, ignored names.

use serde_json::json;

use crate::page::{Page, neighbour, page_of, server};
use crate::support::{Lines, Member};

/// Writes notifications and sounds down instead of showing them.
const STUBS: &str = "window.notices = []; window.beeps = 0; window.asked = 0;
    window.Notification = class {
        constructor(title, { body }) { notices.push(`${title}: ${body}`) }
        static requestPermission() { asked += 1; return Promise.resolve('granted') }
        close() {}
    };
    window.AudioContext = function () { beeps += 1; throw new Error('silent') };";

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_mention_is_tinted_read_out_and_in_the_title_and_the_icon() {
    let server = server().go();
    let page = Page::join(&server, "Anna");
    let mut bob = neighbour(&server, "bob");
    bob.send_line("the annals of anna-lena");
    page.until_said("the annals of anna-lena");
    let icon = page.browser.eval("document.querySelector('link[rel=icon]').href");
    page.browser.minimise(true);
    page.browser.until("document.hidden");
    bob.send_line("hello @anna");
    page.browser.until("document.title === '(1) · @Anna · pollchat'");
    bob.send_line("no hurry");
    page.browser.until("document.title === '(2) · @Anna · pollchat'");
    assert_ne!(page.browser.eval("document.querySelector('link[rel=icon]').href"), icon);
    page.browser.minimise(false);
    page.browser.until("document.title === 'pollchat'");
    assert_eq!(page.browser.eval("document.querySelector('link[rel=icon]').href"), icon);
    page.until_said("no hurry");
    let rows = page.browser.eval("Array.from(document.querySelectorAll('.mention'), (row) => row.textContent)");
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
    let read = rows[0].as_str().expect("a text");
    assert!(read.starts_with("bob") && read.contains("mentions you: hello @anna"), "{read}");
    // An own line is none, nor is one from before the page came.
    page.say("I am Anna");
    page.until_said("I am Anna");
    assert_eq!(page.browser.eval("document.querySelectorAll('.mention').length"), 1);
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_person_is_notified_of_mentions_and_private_lines_only_if_asked_for() {
    let server = server().go();
    let page = Page::open(&page_of(&server));
    page.browser.before_every_page(STUBS);
    page.browser.reload();
    page.connect("ana");
    let mut bob = neighbour(&server, "bob");
    page.browser.minimise(true);
    page.browser.until("document.hidden");
    bob.send_line("ana: unasked");
    page.browser.until("document.title.startsWith('(1)')");
    assert_eq!(page.browser.eval("[notices, beeps, asked]"), json!([[], 0, 0]));
    page.browser.minimise(false);
    page.browser.until("!document.hidden");

    page.open_menu();
    page.browser.click("#notify");
    page.browser.until("document.getElementById('notify').ariaPressed === 'true' && asked === 1");
    page.browser.minimise(true);
    page.browser.until("document.hidden");
    for line in ["ana: asked", "to nobody", "/msg ana psst <b>"] {
        bob.send_line(line);
    }
    page.browser.until("notices.length === 2");
    assert_eq!(
        page.browser.eval("notices.sort()"),
        json!(["bob mentions you: ana: asked", "bob to you alone: psst <b>"])
    );
    page.browser.minimise(false);
    page.browser.until("!document.hidden");
    // The wish is kept for the next visit.
    page.browser.reload();
    page.browser.until("document.getElementById('notify').ariaPressed === 'true' && asked === 0");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn an_ignored_name_is_neither_shown_nor_counted_until_it_is_heard_again() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let [mut bob, mut eve] = [neighbour(&server, "bob"), neighbour(&server, "Eve")];
    page.until_shown("Eve joined");
    page.say("/ignore eve");
    page.until_shown("/unignore eve shows them");
    page.browser.minimise(true);
    page.browser.until("document.hidden");
    for line in ["ana! ana!", "/msg ana psst", "/nick Mallory", "still ana"] {
        eve.send_line(line);
    }
    eve.lines_until(|line| line.contains("you told ana"));
    eve.who();
    bob.send_line("only me");
    page.browser.until("document.title === '(1) pollchat'");
    page.browser.minimise(false);
    page.until_said("only me");
    assert_eq!(page.texts(), ["only me"]);
    assert!(!page.shows("Mallory"), "another name is the same client");
    // A reload keeps it, and so do later lines.
    page.browser.reload();
    page.until_state("Connected as ana");
    eve.send_line("again");
    eve.who();
    bob.send_line("me again");
    page.until_said("me again");
    page.say("/ignore");
    page.until_shown("Mallory");
    page.say("/unignore MALLORY");
    page.until_shown("are shown again");
    eve.send_line("at last");
    page.until_said("at last");
    assert_eq!(page.texts(), ["only me", "me again", "at last"]);
}
