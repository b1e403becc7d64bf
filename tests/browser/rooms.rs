//! Rooms in the page: its address, its heading, moves, and what stays in the room that it is for.

use crate::browser::{PHONE, eventually, key};
use crate::page::{Page, neighbour, neighbour_in, page_of, server};
use crate::proxy::Proxy;
use crate::shown::WIDE;
use crate::support::{Lines, Member};

/// Returns the heading, the title, the path of the address bar and the field of the server.
fn place_of(page: &Page) -> [String; 4] {
    let place = "[document.getElementById('room').textContent, document.title, decodeURI(location.pathname),
                  document.getElementById('server').value]";
    serde_json::from_value(page.browser.eval(place)).expect("texts")
}

/// Returns the place of a page in a room, for a page whose folder is `folder`.
fn in_room(room: &str, server: &str, folder: &str) -> [String; 4] {
    let host = server.trim_start_matches("http://").split('/').next().expect("an address");
    let path = format!("{folder}r/{room}");
    [room.to_owned(), format!("{room} – pollchat"), path.clone(), format!("{host}{path}")]
}

#[track_caller]
fn until_place(page: &Page, expected: &[String; 4]) {
    eventually(&format!("{expected:?} instead of {:?}", place_of(page)), || place_of(page) == *expected);
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_page_comes_straight_into_its_room_and_comes_back_to_it() {
    let server = server().flags(["--history", "20"]).go();
    let there = page_of(&server);
    let mut bob = neighbour(&server, "bob");
    let mut cho = neighbour_in("дом", &server, "cho");
    let page = Page::open(&format!("{there}r/%D0%94%D0%9E%D0%9C"));
    assert_eq!(page.browser.text("#room"), "ДОМ");
    page.connect("ana");
    until_place(&page, &in_room("дом", &there, "/"));
    page.until_shown("You are in дом");
    cho.lines_until(|line| line == "* ana joined");
    page.say("in here");
    cho.lines_until(|line| line == "ana> in here");
    cho.send_line("so I hear");
    page.until_said("so I hear");

    page.browser.reload();
    page.until_state("Connected as ana");
    page.until_said("so I hear");
    until_place(&page, &in_room("дом", &there, "/"));
    page.click("#disconnect");
    page.click("#connect");
    page.until_state("Connected as ana");
    cho.send_line("welcome back");
    page.until_said("welcome back");
    let borders = page.notices().into_iter().filter(|notice| notice.starts_with("You are in ")).count();
    assert_eq!(borders, 1, "the room is the same: {:?}", page.notices());
    // The lobby was told nothing.
    assert!(bob.who().iter().all(|row| !row.contains("ana")));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_join_takes_the_page_to_another_room() {
    let server = server().flags(["--history", "20"]).go();
    let there = page_of(&server);
    let mut bob = neighbour(&server, "bob");
    let mut cho = neighbour_in("rust", &server, "cho");
    cho.send_line("hi");
    let page = Page::join(&server, "ana");
    assert_eq!(place_of(&page)[..3], ["pollchat", "pollchat", "/"]);
    page.show_people();
    page.until_names(&["ana (you)", "bob"]);
    bob.send_line("hi");
    page.until_said("hi");
    page.say("/join RUST");
    until_place(&page, &in_room("rust", &there, "/"));
    page.until_names(&["ana (you)", "cho"]);
    bob.lines_until(|line| line == "* ana left");
    page.until_shown("1 earlier line");
    assert_eq!(page.texts(), ["hi", "hi"], "the same words, in another room");
    let notices = page.notices();
    let at = |text: &str| notices.iter().position(|notice| notice == text).unwrap_or_else(|| panic!("{notices:?}"));
    assert!(at("You are in rust, with 1 other") < at("1 earlier line"));
    assert!(!page.shows("here: "), "the page itself asked who is here");
    bob.send_line("not for ana");
    cho.send_line("for ana");
    page.until_said("for ana");
    assert!(!page.shows("not for ana"));

    page.browser.reload();
    page.until_state("Connected as ana");
    page.say("still here");
    cho.lines_until(|line| line == "ana> still here");
    for refused in ["/join rust", "/join a b", "/join 1obby", "/join server"] {
        page.say(refused);
    }
    page.until_shown("the name server is taken");
    until_place(&page, &in_room("rust", &there, "/"));
    page.say("/join lobby");
    page.until_shown("You are in lobby, with 1 other");
    let host = there.trim_start_matches("http://").trim_end_matches('/');
    until_place(&page, &["lobby", "lobby – pollchat", "/", host].map(str::to_owned));
    page.say("back again");
    bob.lines_until(|line| line == "ana> back again");
    cho.send_line("meanwhile");
    cho.who();
    page.browser.screen(PHONE);
    page.say("/join rust");
    page.until_shown("You are in rust");
    // What was said there in the meantime is shown, and nothing twice.
    cho.send_line("welcome back");
    page.until_said("meanwhile");
    page.until_said("welcome back");
    page.until_said("still here");
    assert!(!page.is_hidden("#room"));
    page.assert_nothing_overflows();
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_link_to_a_room_moves_the_tab_there() {
    let server = server().go();
    let there = page_of(&server);
    let mut cho = neighbour_in("rust", &server, "cho");
    let page = Page::join(&server, "ana");
    page.browser.go(&format!("{there}r/rust"));
    page.until_state("Connected as ana");
    page.say("hello");
    cho.lines_until(|line| line == "ana> hello");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_list_of_rooms_links_to_the_game_while_its_room_is_known() {
    let server = server().go();
    let proxy = Proxy::below(&["/chat"], &page_of(&server));
    let page = Page::open(&format!("{}r/rust", proxy.page()));
    page.browser.screen(WIDE);
    page.connect("ana");
    page.browser.until("document.querySelector('[data-room=rust]') !== null");
    assert!(page.is_hidden("#game"), "there is no such room");
    let _bob = neighbour_in("bombards", &server, "bob");
    page.browser.click("#other");
    page.browser.until("document.querySelector('[data-room=bombards]') !== null");
    assert!(!page.is_hidden("#game"));
    assert_eq!(page.browser.eval("document.getElementById('game').href"), format!("{}bombards", proxy.page()));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_page_below_a_prefix_keeps_its_rooms_below_it() {
    let server = server().go();
    let mut cho = neighbour_in("rust", &server, "cho");
    let proxy = Proxy::below(&["/chat"], &page_of(&server));
    let page = Page::open(&format!("{}r/rust", proxy.page()));
    page.connect("ana");
    page.say("from below");
    cho.lines_until(|line| line == "ana> from below");
    page.say("/join go");
    until_place(&page, &in_room("go", &proxy.page(), "/chat/"));
    page.browser.reload();
    page.until_state("Connected as ana");
    until_place(&page, &in_room("go", &proxy.page(), "/chat/"));
    page.say("/join lobby");
    eventually("the path of the lobby", || place_of(&page)[2] == "/chat/");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_room_of_another_server_is_in_the_field() {
    let here = server().flags(["--rooms", "0"]).go();
    let origin = page_of(&here).trim_end_matches('/').to_owned();
    let elsewhere = server().flags(["--web-origin", &origin]).go();
    let there = page_of(&elsewhere);
    let mut cho = neighbour_in("rust", &elsewhere, "cho");
    let page = Page::open(&page_of(&here));
    page.clear("#server");
    page.type_into("#server", &format!("{there}r/rust"));
    page.connect("ana");
    page.say("hello");
    cho.lines_until(|line| line == "ana> hello");
    page.say("/join go");
    page.until_shown("You are in go, alone");
    let host = there.trim_start_matches("http://");
    assert_eq!(place_of(&page)[2..], ["/".to_owned(), format!("{host}r/go")]);
    page.browser.reload();
    page.until_state("Connected as ana");
    page.until_shown("You are in go, alone");
    // Its own server has no rooms.
    page.click("#disconnect");
    page.clear("#server");
    page.type_into("#server", &format!("{}r/rust{}", page_of(&here), key::ENTER));
    page.until_state_begins("Refused by ");
    assert_eq!(page.browser.text("#trouble"), "There can be no room of this name here; the page is at /.");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_page_for_whose_room_there_is_no_place_says_so_and_waits() {
    let server = server().flags(["--rooms", "2"]).go();
    let mut bob = neighbour(&server, "bob");
    let mut cho = neighbour_in("rust", &server, "cho");
    let page = Page::open(&format!("{}r/go", page_of(&server)));
    page.click("#connect");
    page.until_state("There are 2 rooms already: trying again");
    page.until_shown("there are 2 rooms already");
    let seconds = page.browser.eval("parseInt(document.getElementById('countdown').textContent.match(/\\d+/), 10)");
    assert!(seconds.as_u64() > Some(20), "{seconds} s");
    assert_eq!(place_of(&page)[2], "/r/go");
    cho.send_line("/join lobby");
    cho.lines_until(|line| line.starts_with("* you are in lobby, "));
    page.click("#connect");
    page.until_state_begins("Connected as client-");
    page.until_shown("You are in go");
    // A page that is in a room stays there.
    page.say("/join third");
    eventually("the answer", || page.notices().iter().filter(|it| it.contains("2 rooms already")).count() == 2);
    page.until_state_begins("Connected as client-");
    page.say("/join lobby");
    page.say("here I am");
    bob.lines_until(|line| line.ends_with("> here I am"));
}
