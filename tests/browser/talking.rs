//! People who talk: through the page, and through TCP beside it.

use crate::browser::{eventually, key};
use crate::page::{Page, neighbour, page_of, server};

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_page_and_a_tcp_client_talk_with_each_other() {
    let server = server().go();
    let page = Page::open(&page_of(&server));
    assert_eq!(page.state(), "Not connected");
    assert_eq!(page.browser.eval("'http://' + document.getElementById('server').value + '/'"), page_of(&server));

    page.connect("ana");
    let mut bob = neighbour(&server, "bob");
    page.until_shown("bob");
    page.say("hello bob");
    bob.expect("ana> hello bob");
    bob.send_line("hello ana");

    let heard = page.until_said("hello ana");
    assert_eq!((heard.who.as_str(), heard.is_right), ("bob", false));
    assert!(heard.at.contains(':'), "a time: {heard:?}");
    let own = page.until_said("hello bob");
    assert_eq!((own.who.as_str(), own.is_right), ("you", true));
    assert!(own.at.contains(':'), "a time: {own:?}");
    assert_eq!(page.draft(), "");
    assert!(!page.notices().iter().any(|notice| notice.contains("here: ")), "the page's own /who is not shown");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn where_lines_come_back_an_own_line_shows_once() {
    for audience in ["everyone", "sender"] {
        let server = server().flags(["--audience", audience]).go();
        let page = Page::join(&server, "ana");
        for text in ["once", "twice", "twice"] {
            page.say(text);
        }
        // What is told to ana alone comes after what came back.
        page.say("/msg ana now");
        page.until_shown("ana to you alone");
        let texts = page.texts();
        assert_eq!(texts.iter().filter(|text| *text != "now").collect::<Vec<_>>(), ["once", "twice", "twice"]);
    }
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn enter_sends_and_with_shift_it_makes_a_new_line() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    let direction = "getComputedStyle(document.getElementById('draft')).unicodeBidi";
    assert_eq!(page.browser.eval(direction), "plaintext", "each line runs as its text does");
    page.browser.type_into("#draft", "one");
    page.browser.press(&[key::SHIFT, key::ENTER]);
    page.browser.type_into("#draft", "two");
    assert_eq!(page.draft(), "one\ntwo");
    page.browser.press(&[key::ENTER]);
    bob.expect_all(["ana> one", "ana> two"]);
    assert_eq!(page.draft(), "");
    page.browser.press(&[key::UP]);
    assert_eq!(page.draft(), "one\ntwo", "the arrow fetches it back");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn of_several_lines_none_is_a_command() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    page.paste_and_send("/msg bob a secret?\nexit\n/quit\n\n//x\nFIN");
    bob.expect_all(["ana> /msg bob a secret?", "ana> exit ", "ana> /quit", "ana> //x", "ana> FIN "]);
    page.until_said("FIN");
    assert_eq!(page.texts(), ["/msg bob a secret?", "exit", "/quit", "//x", "FIN"]);
    page.say("//slash");
    bob.expect("ana> /slash");
    page.until_said("/slash");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn what_is_told_in_private_is_marked() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    bob.send_line("/msg ana psst: * ana is now eve");
    let heard = page.until_said("psst: * ana is now eve");
    assert_eq!((heard.who.as_str(), heard.is_right), ("bob to you alone", false));
    page.say("/msg bob what?");
    let told = page.until_said("what?");
    assert_eq!((told.who.as_str(), told.is_right), ("to bob alone", true));
    assert_eq!(page.state(), "Connected as ana");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn what_was_said_before_one_came_is_marked() {
    let server = server().flags(["--history", "3"]).go();
    let mut bob = neighbour(&server, "bob");
    let mut eve = neighbour(&server, "eve");
    for text in ["zero", "one", "two", "three"] {
        bob.send_line(text);
        eve.lines_until(|line| line.ends_with(text));
    }
    let page = Page::join(&server, "ana");
    page.until_said("three");
    bob.send_line("four");
    page.until_said("four");
    let said = page.said();
    let marked = |text: &str| said.iter().find(|said| said.text == text).map(|said| said.at == "earlier");
    assert_eq!(["zero", "one", "three", "four"].map(marked), [None, Some(true), Some(true), Some(false)]);
    assert!(page.notices().iter().any(|notice| notice == "3 earlier lines"), "{:?}", page.notices());
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_line_that_the_relay_refuses_is_marked() {
    let server = server().flags(["--max-line", "100"]).go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    let long = "é".repeat(60);
    for text in ["short", long.as_str()] {
        page.say(text);
    }
    bob.expect("ana> short");
    page.until_shown("line too long (over 100 bytes): not relayed");
    let fates: Vec<bool> =
        page.said().iter().map(|said| said.at.contains(':') && said.at.contains("not sent")).collect();
    assert_eq!(fates, [false, true]);
    assert_eq!(page.draft(), long, "it is there to be made shorter");
    page.paste_and_send(&"x".repeat(65_536));
    assert_eq!(page.browser.text("#trouble"), "That is too long to send.");
    assert_eq!(page.draft().len(), 65_536);
    // With its end this is as much as one message may hold: the relay refuses it, and goes on.
    page.paste_and_send(&"x".repeat(65_535));
    eventually("it was refused", || page.texts().len() == 3 && page.said()[2].at == "too long: not sent");
    page.paste_and_send("x\n".repeat(50_000).trim_end());
    bob.lines_until(|line| line == "ana> x");
    for _ in 1..50_000 {
        bob.expect("ana> x");
    }
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_panel_follows_who_is_here() {
    let server = server().go();
    let mut bob = neighbour(&server, "bob");
    let page = Page::join(&server, "ana");
    page.browser.click("#who");
    page.until_names(&["bob", "ana (you)"]);
    assert_eq!(page.browser.text("#who"), "2 here");
    let eve = neighbour(&server, "eve");
    page.until_names(&["bob", "ana (you)", "eve"]);
    bob.send_line("/nick robert");
    page.until_names(&["ana (you)", "eve", "robert"]);
    drop(eve);
    page.until_names(&["ana (you)", "robert"]);
    page.say("/nick anna");
    page.until_names(&["robert", "anna (you)"]);
    page.browser.click("#names button");
    assert_eq!(page.draft(), "/msg robert ");
    assert_eq!(page.focus(), "draft");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_page_that_nobody_uses_says_nothing_and_is_let_go_for_it() {
    let server = server().flags(["--idle-timeout", "5"]).go();
    let page = Page::open(&page_of(&server));
    page.browser.click("#connect");
    page.until_state("Not connected: the server disconnected you");
    page.until_shown("you have said nothing for 5 seconds: goodbye");

    // Who has said something also knows who is here, and who asks has said something.
    for says in [true, false] {
        page.browser.click("#connect");
        page.until_state_begins("Connected");
        assert_eq!(page.browser.text("#who"), "People");
        if says {
            page.say("hello");
        } else {
            page.browser.click("#who");
        }
        eventually("they are counted", || page.browser.text("#who") == "1 here");
        let mut silent = server.join();
        silent.lines_until(|line| line.starts_with("* you have said nothing"));
        page.until_state_begins("Connected");
        page.browser.click("#disconnect");
    }
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn in_a_room_that_announces_nobody_the_panel_learns_by_asking_and_listening() {
    let server = server().flags(["--announce-up-to", "0"]).go();
    let page = Page::join(&server, "ana");
    page.browser.click("#who");
    page.until_names(&["ana (you)"]);
    let mut joined = server.join();
    joined.send_line("hello");
    page.until_names(&["ana (you)", "client-2"]);
    drop(joined);
    let _silent = server.join();
    // It is asked whenever it is opened; until the server knows that one left, that may be too early.
    eventually("only those who are here", || {
        page.browser.click("#who");
        page.browser.click("#who");
        page.names() == ["ana (you)", "client-3"]
    });
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn who_asks_who_is_here_is_answered() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    page.say("/who");
    page.until_shown("here: ana, 0 lines, 0 min");
    page.until_shown("1 here");
    page.say("/help");
    page.until_shown("/msg NAME TEXT: tell TEXT to NAME alone");
    assert_eq!(page.texts(), Vec::<String>::new(), "commands are not shown as said");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_name_that_is_taken_is_told_and_another_can_be_chosen() {
    let server = server().go();
    let _bob = neighbour(&server, "bob");
    let page = Page::open(&page_of(&server));
    page.browser.type_into("#name", &format!("bob{}", key::ENTER));
    page.until_state("Connected as client-2");
    page.until_shown("the name bob is taken");
    assert_eq!(page.browser.text("#trouble"), "You are client-2, for now: the name bob is taken.");
    assert_eq!(page.browser.eval("document.getElementById('name').ariaInvalid"), "true");
    page.browser.clear("#name");
    page.browser.type_into("#name", &format!("not a name{}", key::ENTER));
    page.until_shown("a name is 1 to 24 letters, digits, _ or -");
    page.browser.clear("#name");
    page.browser.type_into("#name", "bobby");
    page.browser.click("#connect");
    page.until_state("Connected as bobby");
    assert!(page.is_hidden("#connect"), "there is nothing more to rename");
    assert_eq!(page.browser.text("#trouble"), "");
    assert_eq!(page.browser.eval("document.getElementById('name').ariaInvalid"), "false");

    page.browser.reload();
    assert_eq!(page.browser.eval("document.getElementById('name').value"), "bobby", "the name is kept for next time");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn another_day_is_marked() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    page.say("good night");
    page.until_said("good night");
    page.let_pass(24 * 60 * 60);
    page.say("good morning");
    page.until_said("good morning");
    let rule = "Array.from(document.querySelectorAll('#log .rule'),
        (rule) => rule.nextElementSibling.querySelector('.text').textContent)";
    assert_eq!(page.browser.eval(rule), serde_json::json!(["good morning"]));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_browser_that_keeps_nothing_is_good_enough() {
    let server = server().go();
    let page = Page::open(&page_of(&server));
    page.browser.before_every_page(
        "for (const does of ['getItem', 'setItem']) Storage.prototype[does] = () => { throw new Error('not here') }",
    );
    page.browser.reload();
    page.connect("ana");
    page.say("/nick anna");
    page.until_state("Connected as anna");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_page_that_nobody_sees_counts_what_is_said() {
    let server = server().go();
    let mut bob = neighbour(&server, "bob");
    let page = Page::join(&server, "ana");
    page.browser.minimise(true);
    page.browser.until("document.hidden");
    for text in ["one", "two"] {
        bob.send_line(text);
    }
    page.browser.until("document.title === '(2) pollchat'");
    page.browser.minimise(false);
    page.browser.until("document.title === 'pollchat'");
    page.until_said("two");
}
