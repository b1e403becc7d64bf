//! Ways to talk: rooms and links to them, the list of people, private mode, completion, earlier texts, help.

use serde_json::json;

use crate::browser::{PHONE, eventually, key};
use crate::page::{Page, neighbour, neighbour_in, page_of, server};
use crate::shown::WIDE;
use crate::support::{Lines, Member};

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_link_leads_into_its_room_and_proposes_a_name() {
    let server = server().go();
    let mut cho = neighbour_in("rust", &server, "cho");
    let page = Page::open(&format!("{}r/rust?name=Zo%C3%AB", page_of(&server)));
    assert_eq!(page.focus(), "connect");
    page.browser.press(&[key::ENTER]);
    page.until_state("Connected as Zoë");
    page.say("here I am");
    cho.lines_until(|line| line == "Zoë> here I am");
    page.open_menu();
    page.browser.click("#share");
    page.browser.until(&format!("document.getElementById('told').textContent.endsWith('{}r/rust')", page_of(&server)));
    // After a renaming, a reload keeps the newer name.
    page.say("/nick zoe");
    page.until_state("Connected as zoe");
    page.browser.reload();
    page.until_state("Connected as zoe");

    let other = Page::open(&format!("{}?name=%3Cimg%3E", page_of(&server)));
    assert_eq!(other.browser.eval("document.getElementById('name').value"), "", "that is no name");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_list_of_rooms_knows_where_the_page_was_and_what_is_unread_here() {
    let server = server().go();
    let mut bob = neighbour(&server, "bob");
    let _cho = neighbour_in("rust", &server, "cho");
    let page = Page::join(&server, "ana");
    page.browser.screen(WIDE);
    let rooms = || page.browser.eval("Array.from(document.querySelectorAll('#room-list li'), (row) => row.innerText)");
    assert_eq!(rooms(), json!(["lobby"]));
    // Who is about to choose a room sees which there are.
    page.browser.click("#other");
    eventually("the rooms", || rooms() == json!(["lobby", "rust\n1 here"]));
    assert!(!page.shows("room: "), "the page itself asked");
    page.browser.type_into("#other", &format!("go{}", key::ENTER));
    page.until_shown("You are in go");
    assert_eq!(page.browser.text("#room"), "go");
    page.browser.until("document.querySelector('[aria-current]').dataset.room === 'go'");
    page.browser.click("[data-room=lobby]");
    page.until_shown("You are in lobby");
    page.browser.minimise(true);
    page.browser.until("document.hidden");
    bob.send_line("one");
    bob.send_line("ana: two");
    page.browser.until("document.querySelector('[aria-current] .badge')?.textContent === '2 unread'");
    assert_eq!(page.browser.eval("document.querySelectorAll('.badge').length"), 1, "no other room is counted");
    page.browser.minimise(false);
    page.browser.until("document.querySelector('.badge') === null");
    page.browser.reload();
    page.until_state("Connected as ana");
    eventually("the rooms are kept", || rooms() == json!(["go", "lobby", "rust"]));

    // On a phone the menu has them.
    page.open_menu();
    assert!(page.is_hidden("#to-rooms"), "here they are beside the log");
    page.browser.press(&[key::ESCAPE]);
    page.browser.screen(PHONE);
    assert!(page.is_hidden("#rooms"));
    page.open_menu();
    page.browser.click("#to-rooms");
    assert_eq!(page.focus(), "other");
    page.assert_nothing_overflows();
    page.browser.press(&[key::ESCAPE]);
    assert!(page.is_hidden("#rooms"));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn five_hundred_people_are_counted_and_can_be_searched() {
    let server = server().flags(["--announce-up-to", "1000"]).go();
    let page = Page::join(&server, "ana");
    page.browser.click("#seek");
    eventually("a list", || page.browser.text("#who") == "1 here");
    let mut others: Vec<_> = (0..499).map(|_| server.join()).collect();
    others[250].send_line("/nick Übermut");
    eventually("the count", || page.browser.text("#who") == "500 here");
    page.browser.until("document.getElementById('names').textContent.includes('client-')");
    let rows = page.browser.eval("document.querySelectorAll('#names li').length").as_u64().expect("a number");
    assert!((100..=200).contains(&rows), "{rows} rows");
    assert!(page.browser.text("#others").starts_with("and "), "{}", page.browser.text("#others"));
    page.browser.type_into("#seek", "über");
    page.until_names(&["Übermut"]);
    page.browser.clear("#seek");
    page.browser.type_into("#seek", "nobody");
    eventually("no name", || page.browser.text("#others").starts_with("No nobody among "));
    // On a phone the list covers the log, and can be closed.
    page.browser.screen(PHONE);
    assert!(page.is_hidden("#people"));
    page.browser.click("#who");
    page.browser.click("#close-people");
    assert!(page.is_hidden("#people"));
    assert_eq!(page.focus(), "who");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_list_is_in_order_and_a_search_asks_the_server_for_the_others() {
    let server = server().flags(["--announce-up-to", "0"]).go();
    let mut others: Vec<_> = (0..130).map(|_| server.join()).collect();
    others[5].send_line("/nick xena");
    let _zoe = neighbour(&server, "Zoe");
    let page = Page::join(&server, "ana");
    page.show_people();
    eventually("the count", || page.browser.text("#who") == "132 here");
    assert_eq!(page.browser.text("#others"), "and 32 more");
    let names = page.names();
    let at = |name: &str| names.iter().position(|other| other == name).unwrap_or_else(|| panic!("{name}: {names:?}"));
    assert!(at("client-9") < at("client-10") && at("client-10") < at("xena"), "{names:?}");
    page.browser.type_into("#seek", "zo");
    page.until_names(&["Zoe"]);
    assert!(!page.shows("of 132 here"), "the page itself asked");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_fields_of_the_form_begin_at_one_edge() {
    let server = server().go();
    let page = Page::open(&page_of(&server));
    page.browser.screen(PHONE);
    let edges = "Array.from(new Set(Array.from(document.querySelectorAll('#door input'), (field) =>
        field.checkVisibility() ? field.getBoundingClientRect().left : null))).filter((edge) => edge !== null).length";
    let is_whole = "Array.from(document.querySelectorAll('#door label')).every((label) => {
        const range = document.createRange();
        range.selectNode(label.firstChild);
        return range.getClientRects().length < 2;
    })";
    for is_in_menu in [false, true] {
        if is_in_menu {
            page.connect("ana");
            page.open_menu();
        }
        assert_eq!(page.browser.eval(edges), 1);
        assert_eq!(page.browser.eval(is_whole), true, "no label is broken");
    }
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_private_talk_lasts_until_it_is_ended() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let [mut bob, mut eve] = [neighbour(&server, "bob"), neighbour(&server, "eve")];
    page.show_people();
    page.until_names(&["ana (you)", "bob", "eve"]);
    page.browser.run("document.querySelector('#names button').click()", ());
    assert_eq!((page.browser.text("#chip-name"), page.focus()), ("bob".to_owned(), json!("draft")));
    page.browser.until("document.getElementById('draft').placeholder === 'Message to bob alone'");
    for text in ["one", "//two", "exit"] {
        page.say(text);
    }
    page.paste_and_send("/three\nfour");
    for text in ["one", "/two", "exit", "/three", "four"] {
        bob.lines_until(|line| line == format!("* ana tells you: {text}"));
    }
    // The talk follows the other one's name, and goes to no other client of it.
    bob.send_line("/nick robert");
    page.browser.until("document.getElementById('chip-name').textContent === 'robert'");
    page.say("five");
    bob.lines_until(|line| line == "* ana tells you: five");
    // Neither a reload nor the arrow up makes public what was private.
    page.browser.reload();
    page.until_state("Connected as ana");
    assert_eq!(page.browser.text("#chip-name"), "robert");
    page.say("again");
    bob.lines_until(|line| line == "* ana tells you: again");
    page.browser.press(&[key::UP]);
    assert_eq!(page.draft(), "/msg robert again");
    page.browser.clear("#draft");
    drop(bob);
    page.browser.until("document.getElementById('chip-name').textContent === 'robert (gone)'");
    let mut mallory = neighbour(&server, "robert");
    page.until_shown("robert joined");
    page.say("six");
    page.browser.until("document.getElementById('trouble').textContent.startsWith('robert is gone')");
    assert_eq!(page.draft(), "six");
    page.browser.click("#public");
    assert!(page.is_hidden("#chip"));
    page.browser.press(&[key::ENTER]);
    assert_eq!(eve.lines_until(|line| line.starts_with("ana> ")).last().map(String::as_str), Some("ana> six"));
    mallory.lines_until(|line| line == "ana> six");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn tab_completes_and_the_arrows_bring_back_what_was_sent() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let [mut ben, mut bella] = [neighbour(&server, "Ben"), neighbour(&server, "bella")];
    bella.send_line("hi");
    page.until_said("hi");
    page.browser.type_into("#draft", &format!("b{}", key::TAB));
    assert_eq!(page.draft(), "bella: ", "the last to speak comes first");
    page.browser.press(&[key::TAB]);
    assert_eq!(page.draft(), "Ben: ");
    page.browser.type_into("#draft", &format!("and @BE{}?{}", key::TAB, key::ENTER));
    ben.lines_until(|line| line == "ana> Ben: and @bella ?");
    page.browser.type_into("#draft", &format!("/ig{}", key::TAB));
    assert_eq!(page.draft(), "/ignore ");
    page.browser.clear("#draft");
    page.say("two");
    page.browser.type_into("#draft", "half");
    page.browser.press(&[key::UP]);
    assert_eq!(page.draft(), "two");
    page.browser.press(&[key::UP]);
    assert_eq!(page.draft(), "Ben: and @bella ?");
    for expected in ["two", "half"] {
        page.browser.press(&['\u{e015}']);
        assert_eq!(page.draft(), expected);
    }
    // With nothing to complete, Tab goes on as ever.
    page.browser.clear("#draft");
    page.browser.click("#draft");
    page.browser.press(&[key::TAB]);
    assert_eq!(page.focus(), "Send");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn an_action_is_a_line_and_help_is_a_panel() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    page.say("/me waves");
    bob.lines_until(|line| line == "ana> *waves*");
    page.until_said("waves");
    bob.send_line("*waves back*");
    bob.send_line("**loud**");
    page.until_said("**loud**");
    let actions = page.browser.eval("Array.from(document.querySelectorAll('.action'), (row) => row.innerText)");
    let actions: Vec<String> = serde_json::from_value(actions).expect("texts");
    assert_eq!(actions.len(), 2);
    assert!(actions[1].starts_with("bob") && actions[1].ends_with("waves back"), "{actions:?}");

    page.say("/help");
    page.browser.until("document.getElementById('help').open");
    let help = page.browser.text("#help");
    for text in ["Tab", "/me TEXT", "/ignore NAME", "/msg NAME TEXT"] {
        assert!(help.contains(text), "{text} in {help}");
    }
    page.browser.press(&[key::ESCAPE]);
    page.browser.until("!document.getElementById('help').open");
    assert_eq!((page.focus(), page.draft().as_str()), (json!("draft"), ""));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_connected_page_has_a_header_of_one_line() {
    let server = server().go();
    let page = Page::open(&page_of(&server));
    assert!(!page.is_hidden("#door"));
    page.connect("ana");
    for screen in [PHONE, WIDE] {
        page.browser.screen(screen);
        assert!(page.is_hidden("#door"));
        let height = page.browser.eval("document.querySelector('header').offsetHeight").as_u64().expect("pixels");
        assert!(height < 60, "{height}");
        assert_eq!(page.browser.eval("document.querySelector('#state bdi').textContent"), "ana");
    }
    assert!(!page.is_hidden("#people"), "a wide screen has the list beside the log");
    page.open_menu();
    assert!(!page.is_hidden("#door"));
    page.browser.press(&[key::ESCAPE]);
    assert!(page.is_hidden("#door"));
    assert_eq!(page.focus(), "more");
}
