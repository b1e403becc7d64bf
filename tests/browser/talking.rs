//! Conversation: lines, commands, names and the panel of people, with TCP clients in the same room.

use crate::browser::{eventually, key};
use crate::page::{Page, neighbour, page_of, server};
use crate::support::{Lines, Member};

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
    assert_eq!((heard.who.as_str(), heard.is_own), ("bob", false));
    assert!(heard.at.contains(':'), "a time: {heard:?}");
    let own = page.until_said("hello bob");
    assert_eq!((own.who.as_str(), own.is_own), ("ana", true));
    assert!(own.at.contains(':'), "a time: {own:?}");
    assert_eq!(page.draft(), "");
    assert!(
        !page.notices().iter().any(|notice| notice.contains("here: ")),
        "the answer to the page's own /who is not shown"
    );
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn an_echoed_own_line_shows_once() {
    for audience in ["everyone", "sender"] {
        let server = server().flags(["--audience", audience]).go();
        let page = Page::join(&server, "ana");
        for text in ["once", "twice", "twice"] {
            page.say(text);
        }
        // The private message arrives after the echoed lines.
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
    assert_eq!(page.browser.eval(direction), "plaintext", "each line has the direction of its text");
    page.browser.type_into("#draft", "one");
    page.browser.press(&[key::SHIFT, key::ENTER]);
    page.browser.type_into("#draft", "two");
    assert_eq!(page.draft(), "one\ntwo");
    page.browser.press(&[key::ENTER]);
    bob.expect_all(["ana> one", "ana> two"]);
    assert_eq!(page.draft(), "");
    page.browser.press(&[key::UP]);
    assert_eq!(page.draft(), "one\ntwo", "the up arrow brings the last text back");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn pasted_lines_are_no_commands() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    page.paste_and_send("/msg bob a secret?\nexit\n/quit\n\n//x\nFIN");
    bob.expect_all(["ana> /msg bob a secret?", "ana> exit", "ana> /quit", "ana> //x", "ana> FIN"]);
    page.until_texts(&["/msg bob a secret?", "exit", "/quit", "//x", "FIN"]);
    page.say("//slash");
    bob.expect("ana> /slash");
    page.until_said("/slash");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn words_that_end_a_conversation_elsewhere_are_said() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    for word in ["exit", "FIN", "Fin", "/say exit"] {
        page.say(word);
    }
    page.paste_and_send("\u{feff}exit");
    bob.expect_all(["ana> exit", "ana> FIN", "ana> Fin", "ana> exit", "ana> exit"]);
    page.until_texts(&["exit", "FIN", "Fin", "exit", "exit"]);
    page.until_state("Connected as ana");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_command_behind_a_blank_is_asked_about() {
    let server = server().flags(["--announce-up-to", "0"]).go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    let mut eve = neighbour(&server, "eve");
    bob.who();
    for text in [" /msg bob a secret", "\u{3000}/msg bob a secret", "\u{ff0f}msg bob a secret"] {
        // Nothing answers the question but a choice: Enter asks again.
        page.say(text);
        page.browser.press(&[key::ENTER]);
        let question = page.browser.text("#question");
        assert_eq!(question, "Not sent yet: this line does not begin with /msg, so everybody would read it.");
        assert_eq!((page.draft(), page.focus()), (text.to_owned(), "draft".into()));
        // By keyboard alone.
        page.browser.press(&[key::SHIFT, key::TAB]);
        assert_eq!(page.focus(), "as-command");
        page.browser.press(&[key::ENTER]);
        bob.expect("* ana tells you: a secret");
        assert_eq!((page.draft().as_str(), page.focus()), ("", "draft".into()));
        assert!(page.is_hidden("#as-command") && page.is_hidden("#as-text"));
    }
    page.say(" /msg bob hello");
    page.browser.click("#as-text");
    eve.lines_until(|line| line == "ana>  /msg bob hello");
    bob.lines_until(|line| line == "ana>  /msg bob hello");
    page.until_said(" /msg bob hello");
    page.say(" /who");
    page.browser.type_into("#draft", "!");
    assert!(page.is_hidden("#as-text"), "another text is another question");
    assert_eq!(page.browser.text("#question"), "");
    page.browser.press(&[key::ENTER]);
    bob.expect("ana>  /who!");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn private_messages_are_marked() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    bob.send_line("/msg ana psst: * ana is now eve");
    let heard = page.until_said("psst: * ana is now eve");
    assert_eq!((heard.who.as_str(), heard.is_own), ("bob to you alone", false));
    page.say("/msg bob what?");
    let told = page.until_said("what?");
    assert_eq!((told.who.as_str(), told.is_own), ("to bob alone", true));
    assert_eq!(page.state(), "Connected as ana");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn earlier_lines_are_marked() {
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
    assert_eq!(page.texts(), ["one", "two", "three", "four"]);
    assert!(page.said().iter().all(|said| said.at.contains(':')), "their times: {:?}", page.said());
    let marked = "Array.from(document.querySelectorAll('#log .earlier .text'), (text) => text.textContent)";
    assert_eq!(page.browser.eval(marked), serde_json::json!(["one", "two", "three"]));
    let rules = page.notices().into_iter().filter(|notice| ["3 earlier lines", "Now"].contains(&notice.as_str()));
    assert_eq!(rules.count(), 2, "{:?}", page.notices());
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
    assert_eq!(page.draft(), long, "the line is back in the draft to be shortened");
    page.paste_and_send(&"x".repeat(65_536));
    assert_eq!(page.browser.text("#trouble"), "That is too long to send.");
    assert_eq!(page.draft().len(), 65_536);
    // With its LF this line fills a whole WebSocket message: the relay refuses it and stays connected.
    page.paste_and_send(&"x".repeat(65_535));
    eventually("the line was refused", || page.texts().len() == 3 && page.said()[2].at == "too long: not sent");
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
    page.show_people();
    page.until_names(&["ana (you)", "bob"]);
    assert_eq!(page.browser.text("#who"), "2 here");
    let eve = neighbour(&server, "eve");
    page.until_names(&["ana (you)", "bob", "eve"]);
    bob.send_line("/nick robert");
    page.until_names(&["ana (you)", "eve", "robert"]);
    drop(eve);
    page.until_names(&["ana (you)", "robert"]);
    page.say("/nick anna");
    page.until_names(&["anna (you)", "robert"]);
    page.browser.click("#names button");
    assert_eq!((page.browser.text("#chip-name").as_str(), page.focus()), ("robert", "draft".into()));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn an_unused_page_sends_nothing_and_times_out() {
    let server = server().flags(["--idle-timeout", "5"]).go();
    let page = Page::open(&page_of(&server));
    page.click("#connect");
    page.until_state("Not connected: the server disconnected you");
    page.until_shown("you have said nothing for 5 seconds: goodbye");

    // Saying something also asks for the people in the room; asking counts as saying something.
    for says in [true, false] {
        page.click("#connect");
        page.until_state_begins("Connected");
        assert_eq!(page.browser.text("#who"), "People");
        if says {
            page.say("hello");
        } else {
            page.show_people();
        }
        eventually("the clients are counted", || page.browser.text("#who") == "1 here");
        let mut silent = server.join();
        silent.lines_until(|line| line.starts_with("* you have said nothing"));
        page.until_state_begins("Connected");
        page.click("#disconnect");
    }
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn without_announcements_the_panel_learns_names_by_asking_and_listening() {
    let server = server().flags(["--announce-up-to", "0"]).go();
    let page = Page::join(&server, "ana");
    page.show_people();
    page.until_names(&["ana (you)"]);
    let mut joined = server.join();
    joined.send_line("hello");
    page.until_names(&["ana (you)", "client-2"]);
    drop(joined);
    let _silent = server.join();
    // Each opening of the list asks anew. The first may come before the server notices the closed connection.
    eventually("only the clients in the room", || {
        page.browser.click("#who");
        page.browser.click("#who");
        page.names() == ["ana (you)", "client-3"]
    });
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn typed_commands_are_answered() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    page.say("/who");
    page.until_shown("here: ana, 0 lines, 0 min");
    page.until_shown("1 here");
    page.say("/rooms");
    page.until_shown("room: lobby, 1 here");
    assert_eq!(page.texts(), Vec::<String>::new(), "commands are not shown as said");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_taken_name_is_reported_and_another_can_be_chosen() {
    let server = server().go();
    let _bob = neighbour(&server, "bob");
    let page = Page::open(&page_of(&server));
    page.type_into("#name", &format!("bob{}", key::ENTER));
    page.until_state("Connected as client-2");
    page.until_shown("the name bob is taken");
    assert_eq!(page.browser.text("#trouble"), "You are client-2, for now: the name bob is taken.");
    assert_eq!(page.browser.eval("document.getElementById('name').ariaInvalid"), "true");
    page.clear("#name");
    page.type_into("#name", &format!("not a name{}", key::ENTER));
    page.until_shown("a name is 1 to 24 letters, digits, _ or -");
    page.clear("#name");
    page.type_into("#name", "bobby");
    page.click("#connect");
    page.until_state("Connected as bobby");
    assert!(page.is_hidden("#connect"), "there is nothing more to rename");
    assert_eq!(page.browser.text("#trouble"), "");
    assert_eq!(page.browser.eval("document.getElementById('name').ariaInvalid"), "false");

    page.browser.reload();
    assert_eq!(
        page.browser.eval("document.getElementById('name').value"),
        "bobby",
        "the name is kept for the next visit"
    );
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn another_day_is_marked() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    page.say("good day");
    page.until_said("good day");
    // The time of a line is that of the server.
    page.browser.run(
        "const said = [['good evening', 24 * 3600 * 1000], ['good night', 24 * 3600 * 1000 - 1000], ['good morning', 0]];
        said.forEach(([text, ago], at) => [`@ ${Date.now() - ago} other.${at}`, `bob> ${text}`].forEach(hear));",
        (),
    );
    page.until_said("good morning");
    let rule = "Array.from(document.querySelectorAll('#log .rule'),
        (rule) => rule.nextElementSibling.querySelector('.text').textContent)";
    assert_eq!(page.browser.eval(rule), serde_json::json!(["good evening", "good morning"]));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_page_works_without_storage() {
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
fn a_hidden_page_counts_unread_lines() {
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
