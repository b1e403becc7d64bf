//! A server with a journal that is killed, or stopped in good order, and started again: the page goes on where it was.

use crate::browser::eventually;
use crate::page::Page;
use crate::support::crashing_server::CrashingServer;
use crate::support::{Lines as _, Member as _};

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_server_that_is_killed_is_a_short_break_for_the_page_and_its_reload() {
    let mut crashing = CrashingServer::start(&["--journal-sync", "0"]);
    let page = Page::open(&crashing.page());
    page.connect("ana");
    for round in 0..3 {
        let mut ben = crashing.server.join();
        let said = format!("a{round}");
        page.say(&said);
        ben.lines_until(|line| line == format!("ana> {said}"));
        crashing.until_kept(&format!("ana> {said}"));
        page.until_said(&said);
        // It is sent, and not read.
        crashing.freeze();
        page.say(&format!("b{round}"));
        crashing.crash();
        if round == 1 {
            page.browser.reload();
        }
        eventually("the page is back", || {
            page.browser.run("dispatchEvent(new Event('online'))", ());
            page.state() == "Connected as ana"
        });
        crashing.until_kept(&format!("ana> b{round}"));
        page.until_said(&format!("b{round}"));
    }
    let expected = ["a0", "b0", "a1", "b1", "a2", "b2"];
    page.until_texts(&expected);
    let kept: Vec<String> = crashing.journal().into_iter().filter(|line| line.starts_with("ana> ")).collect();
    assert_eq!(kept, expected.map(|text| format!("ana> {text}")));
    assert!(page.said().iter().all(|said| said.is_own), "{:?}", page.said());
    assert!(!page.shows("Lines may be missing here") && !page.shows("not sent") && page.is_hidden("#again"));
    page.assert_no_complaints();
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_restart_in_good_order_is_a_short_break_in_which_the_page_neither_leaves_nor_joins() {
    let mut server = CrashingServer::start(&[]);
    let page = Page::open(&server.page());
    page.connect("ana");
    page.say("first");
    page.until_said("first");
    for round in 0..3 {
        let mut ben = server.server.join();
        ben.send_line(format!("hi {round}"));
        page.until_shown(&format!("hi {round}"));
        // It is sent, and not read.
        server.freeze();
        page.say(&format!("b{round}"));
        drop(ben);
        server.restart();
        eventually("the page is back", || {
            page.browser.run("dispatchEvent(new Event('online'))", ());
            page.state() == "Connected as ana"
        });
        page.until_said(&format!("b{round}"));
    }
    page.until_texts(&["first", "hi 0", "b0", "hi 1", "b1", "hi 2", "b2"]);
    let kept = server.journal();
    let of_ana: Vec<&str> = kept.iter().map(String::as_str).filter(|line| line.contains("ana")).collect();
    assert_eq!(of_ana, ["* ana joined", "ana> first", "ana> b0", "ana> b1", "ana> b2"]);
    assert!(page.said().iter().all(|said| said.is_own == (said.who == "ana")), "{:?}", page.said());
    assert!(!page.shows("Lines may be missing here") && !page.shows("not sent") && !page.shows("shutting down"));
    page.assert_no_complaints();
}
