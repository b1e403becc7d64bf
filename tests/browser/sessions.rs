//! Sessions of the page: nothing is lost, doubled or said twice when a connection breaks, the page is reloaded, or a
//! tab is duplicated.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::browser::{PHONE, eventually};
use crate::page::{Page, neighbour, neighbour_in, page_of, server};
use crate::proxy::Proxy;
use crate::support::{Client, Lines, Member};

/// Tells the page that the network is back.
fn hurry(page: &Page) {
    page.browser.run("dispatchEvent(new Event('online'))", ());
}

/// Breaks the page's connection, and waits until it is back.
#[track_caller]
fn break_connection(page: &Page, proxy: &Proxy, meanwhile: impl FnOnce()) {
    proxy.close(true);
    proxy.cut();
    page.until_state("Connection lost: trying again");
    meanwhile();
    proxy.close(false);
    hurry(page);
    page.until_state("Connected as ana");
}

/// Returns the lines that a client was told until `last` was said, without answers to `/who` and private messages.
#[track_caller]
fn told(client: &mut Client, last: &str) -> Vec<String> {
    let mut lines = client.lines_until(|line| line.ends_with(&format!("> {last}")));
    lines.retain(|line| !line.starts_with("* here: ") && !line.contains(" tells you: ") && line != "* 3 here");
    lines
}

/// Returns the time of the line with this text, in ms since 1970, as the page shows it.
#[track_caller]
fn time_of(page: &Page, text: &str) -> u64 {
    let time = "const line = Array.from(document.querySelectorAll('#log .said'))
        .find((line) => line.querySelector('.text').textContent === arguments[0]);
        return Date.parse(line.querySelector('time').dateTime)";
    page.browser.run(time, text).as_u64().expect("a time")
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(now.as_millis()).expect("in this age")
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_phone_behind_a_proxy_that_is_cut_again_and_again_shows_every_line_once() {
    let server = server().flags(["--history", "20"]).go();
    let (mut bob, mut eve) = (neighbour(&server, "bob"), neighbour(&server, "eve"));
    let proxy = Proxy::to(&page_of(&server));
    let page = Page::open(&proxy.page());
    page.browser.screen(PHONE);
    page.connect("ana");
    eve.lines_until(|line| line == "* ana joined");
    let mut said = 0;
    for round in 0..20 {
        // The connection breaks somewhere in what follows: in a frame of the page, or of the server.
        proxy.cut_after(7 + 37 * round);
        for _ in 0..4 {
            said += 1;
            page.browser.run("say(arguments[0])", format!("a{said}"));
            bob.send_line(format!("b{said}"));
        }
        proxy.cut();
        eventually("the page is back", || {
            hurry(&page);
            page.browser.eval("isOn()") == true
        });
    }
    page.until_state("Connected as ana");
    page.say("the end");
    let told = told(&mut eve, "the end");
    page.until_said("the end");
    assert_eq!(told.iter().filter(|line| line.starts_with("* ")).collect::<Vec<_>>(), Vec::<&String>::new());
    let of = |name: &str| told.iter().filter_map(|line| line.strip_prefix(name)).map(str::to_owned).collect::<Vec<_>>();
    let sent = page.browser.eval("session.next").as_u64().expect("a number");
    assert!(sent > 20, "{sent} lines were taken");
    assert_eq!(of("bob> "), (1..=said).map(|n| format!("b{n}")).collect::<Vec<_>>());
    // The page says nothing while it is away: what it took was said once, in its order.
    let own = of("ana> ");
    assert!(own.len() > 20, "{own:?}");
    assert!(own.windows(2).all(|two| number(&two[0]) < number(&two[1])), "{own:?}");
    // It shows what the others were told, in the same order.
    let texts: Vec<&str> = told.iter().filter_map(|line| line.split_once("> ")).map(|(_, text)| text).collect();
    page.until_texts(&texts);
    assert!(!page.shows("missed") && !page.shows("under way") && page.is_hidden("#again"));
    assert_eq!(page.browser.eval("document.getElementById('log').textContent.split('ana joined').length"), 2);
}

/// Returns the number of `a12`; the last line has none.
fn number(text: &str) -> u32 {
    text.strip_prefix('a').and_then(|digits| digits.parse().ok()).unwrap_or(u32::MAX)
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn what_was_said_while_the_page_was_away_is_shown_with_its_time() {
    let server = server().go();
    let (mut bob, mut eve) = (neighbour(&server, "bob"), neighbour(&server, "eve"));
    let proxy = Proxy::to(&page_of(&server));
    let page = Page::open(&proxy.page());
    page.connect("ana");
    page.say("before");
    page.until_said("before");
    let mut away_at = 0;
    break_connection(&page, &proxy, || {
        away_at = now();
        bob.send_line("while you are away");
        bob.send_line("/nick robert");
        bob.who();
        // Both the seconds and the minute of the page are later.
        std::thread::sleep(Duration::from_secs(3));
    });
    assert_eq!(page.until_said("while you are away").who, "bob");
    let off = time_of(&page, "while you are away").abs_diff(away_at);
    assert!(off < 1500, "{off} ms");
    page.until_shown("bob is now robert");
    page.say("after");
    let told = told(&mut eve, "after");
    assert_eq!(told.iter().filter(|line| line.starts_with("* ana")).collect::<Vec<_>>(), ["* ana joined"]);
    page.until_texts(&["before", "while you are away", "after"]);
    assert!(!page.shows("missed") && !page.shows("earlier line"));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn missed_lines_are_counted_when_the_page_comes_back() {
    let server = server().flags(["--backlog", "64K"]).go();
    let mut bob = neighbour(&server, "bob");
    let proxy = Proxy::to(&page_of(&server));
    let page = Page::open(&proxy.page());
    page.connect("ana");
    page.say("before");
    page.until_said("before");
    break_connection(&page, &proxy, || {
        let text = "~".repeat(900);
        bob.send((0..300).map(|index| format!("line {index} {text}\n")).collect::<String>());
        bob.who();
    });
    page.until_shown("line 299 ");
    let texts = page.texts();
    let first: usize = texts[1].split(' ').nth(1).and_then(|index| index.parse().ok()).expect("a number");
    assert!(first > 100, "{first}");
    page.until_shown(&format!("You missed {first} lines"));
    assert_eq!(texts.len(), 1 + 300 - first);
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_connection_that_only_the_page_has_lost_is_taken_over() {
    let server = server().go();
    let mut bob = neighbour(&server, "bob");
    let proxy = Proxy::to(&page_of(&server));
    let page = Page::open(&proxy.page());
    page.browser.run(
        "window.openings = 0;
        const ours = onOpen;
        onOpen = () => { ours(); openings += 1 };",
        (),
    );
    page.connect("ana");
    for n in 0..3 {
        proxy.cut_near();
        page.browser.until(&format!("openings === {}", n + 2));
        page.until_state("Connected as ana");
        page.say(&format!("it is me {n}"));
        page.until_said(&format!("it is me {n}"));
    }
    let told = told(&mut bob, "it is me 2");
    assert_eq!(told, ["* ana joined", "ana> it is me 0", "ana> it is me 1", "ana> it is me 2"]);
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_line_without_its_record_is_under_way_until_it_has_arrived() {
    let server = server().go();
    let mut bob = neighbour(&server, "bob");
    let proxy = Proxy::to(&page_of(&server));
    let page = Page::open(&proxy.page());
    page.connect("ana");
    // The lines leave the browser, and the proxy discards them.
    proxy.swallow();
    for text in ["one", "exit", "/msg bob psst", "two"] {
        page.say(text);
    }
    page.browser.until("document.querySelectorAll('.late').length >= 3");
    assert_eq!(page.until_said("one").at, "under way");
    bob.send_line("before them");
    // The page finds out by itself that the connection is dead.
    page.until_state("Connection lost: trying again");
    page.until_state("Connected as ana");
    let told = told(&mut bob, "two");
    assert_eq!(told, ["* ana joined", "ana> one", "ana> exit", "ana> two"]);
    page.until_shown("to bob alone");
    page.browser.until("document.querySelector('.late') === null");
    let shown = page.said().into_iter().filter(|said| said.who != "to bob alone").map(|said| said.text);
    assert_eq!(shown.collect::<Vec<_>>(), ["before them", "one", "exit", "two"], "in the order of the room");
    assert!(page.said().iter().all(|said| said.at.contains(':')));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_reloaded_page_is_where_it_was() {
    let server = server().go();
    let here = page_of(&server);
    // The page may be connected to another server than its own.
    let elsewhere = self::server().flags(["--web-origin", here.trim_end_matches('/')]).go();
    let (mut bob, mut eve) = (neighbour(&elsewhere, "bob"), neighbour(&elsewhere, "eve"));
    let page = Page::open(&here);
    page.clear("#server");
    page.type_into("#server", &page_of(&elsewhere));
    page.connect("ana");
    page.say("before");
    eve.lines_until(|line| line == "ana> before");
    bob.send_line("so I hear");
    page.until_said("so I hear");
    let at = time_of(&page, "before");
    page.browser.type_into("#draft", "half a thought");
    page.browser.reload();
    page.until_state("Connected as ana");
    assert_eq!(page.draft(), "half a thought");
    assert_eq!(page.focus(), "draft");
    bob.send_line("still there?");
    page.until_texts(&["before", "so I hear", "still there?"]);
    assert_eq!((page.until_said("before").is_own, page.until_said("so I hear").is_own), (true, false));
    assert_eq!(time_of(&page, "before"), at);
    page.say(", and more");
    let told = told(&mut eve, "half a thought, and more");
    assert!(told.iter().all(|line| !line.starts_with("* ")), "nobody saw it leave: {told:?}");

    page.click("#disconnect");
    eve.lines_until(|line| line == "* ana left");
    page.browser.reload();
    assert_eq!(page.state(), "Not connected", "after a disconnect a reload does not reconnect");
    assert_eq!(page.browser.eval("state"), "off");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn lines_under_way_outlive_reloads() {
    let server = server().go();
    let mut bob = neighbour(&server, "bob");
    let proxy = Proxy::to(&page_of(&server));
    let page = Page::open(&proxy.page());
    page.connect("ana");
    proxy.swallow();
    for text in ["one", "exit", "/msg bob psst"] {
        page.say(text);
    }
    page.paste_and_send("/quit\ntwo");
    page.until_shown("two");
    for _ in 0..3 {
        page.browser.reload();
    }
    let told = told(&mut bob, "two");
    assert_eq!(told, ["* ana joined", "ana> one", "ana> exit", "ana> /quit", "ana> two"]);
    page.until_state("Connected as ana");
    page.browser.reload();
    page.until_state("Connected as ana");
    page.say("the last");
    bob.lines_until(|line| line == "ana> the last");
    page.until_said("the last");
    // The answer to a private message is private, too: it may come before what was said.
    let texts = page.texts().into_iter().filter(|text| text != "psst").collect::<Vec<_>>();
    assert_eq!(texts, ["one", "exit", "/quit", "two", "the last"]);
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn lines_of_a_session_that_is_over_are_offered_where_they_are_for() {
    let server = server().go();
    let proxy = Proxy::to(&page_of(&server));
    let page = Page::open(&proxy.page());
    let mut cho = neighbour(&server, "cho");
    cho.send_line("/join rust");
    cho.lines_until(|line| line.starts_with("* you are in rust, "));
    page.connect("ana");
    let mut bob = neighbour(&server, "bob");
    proxy.swallow();
    for text in ["for the lobby", "/join rust", "for rust"] {
        page.say(text);
    }
    page.until_shown("for rust");
    // The person gives up before they have arrived.
    page.click("#disconnect");
    proxy.cut();
    let connect = || {
        page.click("#connect");
        page.until_state_begins("Connected as ");
    };
    connect();
    page.browser.until("unsentHere().length === 2");
    assert_eq!(page.browser.text("#unsent-count"), "2 lines not sent");
    page.browser.reload();
    page.until_state_begins("Connected as ");
    page.browser.until("unsentHere().length === 2");
    page.browser.click("#again");
    let heard = bob.lines_until(|line| line.ends_with("> for the lobby"));
    assert!(heard.iter().all(|line| !line.ends_with("> for rust")), "{heard:?}");
    page.until_shown("You are in rust, with ");
    page.browser.until("unsentHere().length === 1");
    page.browser.click("#again");
    cho.lines_until(|line| line.ends_with("> for rust"));
    assert!(page.is_hidden("#again"));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_duplicated_tab_goes_on_and_the_older_one_stays_away() {
    let server = server().go();
    let there = page_of(&server);
    let mut bob = neighbour(&server, "bob");
    let page = Page::open(&there);
    page.connect("ana");
    page.say("in the first tab");
    page.until_said("in the first tab");
    let copy = duplicate(&page, &there);
    copy.until_state("Connected as ana");
    page.until_state("Not connected: this chat goes on in another tab");
    page.browser.run("dispatchEvent(new Event('online'))", ());
    assert_eq!(page.browser.eval("state"), "off");
    copy.say("in the second tab");
    assert_eq!(
        told(&mut bob, "in the second tab"),
        ["* ana joined", "ana> in the first tab", "ana> in the second tab"]
    );
    copy.until_texts(&["in the first tab", "in the second tab"]);
    // A reload of the older one does not take the session back.
    page.browser.reload();
    assert_eq!(page.browser.eval("state"), "off");
    page.click("#connect");
    page.until_state_begins("Connected as client-");
    copy.say("still here");
    page.until_said("still here");
    bob.expect("ana> still here");
}

/// Opens a page with a copy of what the tab of another one has stored, as a duplicated tab has it.
#[track_caller]
fn duplicate(page: &Page, address: &str) -> Page {
    let stored = page.browser.run("storeTab(); return JSON.stringify({ ...sessionStorage })", ());
    let copy = Page::open(address);
    copy.browser.before_every_page(&format!(
        "const stored = sessionStorage.isCopy ? {{}} : JSON.parse({stored});
        for (const [key, value] of Object.entries({{ ...stored, isCopy: 'yes' }})) sessionStorage[key] = value;"
    ));
    copy.browser.reload();
    copy
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn no_address_and_no_log_has_the_token() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    page.browser.reload();
    page.until_state("Connected as ana");
    let token = page.browser.eval("session.token");
    let token = token.as_str().expect("a token");
    let places = page.browser.eval("[location.href, address.href, document.documentElement.outerHTML].join(' ')");
    assert!(!places.to_string().contains(token));
    assert!(server.stdout().iter().all(|line| !line.contains(token)));
    assert!(page.browser.eval("Object.values(localStorage).join(' ')").to_string().find(token).is_none());
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_session_moves_between_rooms_by_command_and_by_address() {
    let server = server().go();
    let there = page_of(&server);
    let mut bob = neighbour(&server, "bob");
    let mut cho = neighbour_in("rust", &server, "cho");
    let proxy = Proxy::to(&there);
    let page = Page::open(&proxy.page());
    page.connect("ana");
    page.say("in the lobby");
    page.until_said("in the lobby");
    let token = page.browser.eval("session.token");
    page.say("/join rust");
    page.until_shown("You are in rust, with 1 other");
    break_connection(&page, &proxy, || {
        cho.send_line("come back");
        cho.who();
    });
    page.until_said("come back");
    page.say("here I am");
    // Another room in the address bar: the session moves there.
    page.until_said("here I am");
    page.browser.go(&proxy.page());
    page.until_state("Connected as ana");
    page.until_shown("You are in lobby, with 1 other");
    page.say("and here");
    assert_eq!(page.browser.eval("session.token"), token);
    page.until_texts(&["in the lobby", "come back", "here I am", "and here"]);
    let told = told(&mut bob, "and here").into_iter().filter(|line| line.contains("ana")).collect::<Vec<_>>();
    assert_eq!(told, ["* ana joined", "ana> in the lobby", "* ana left", "* ana joined", "ana> and here"]);
    let told = cho.lines_until(|line| line == "* ana left");
    let told: Vec<&String> = told.iter().filter(|line| line.contains("ana")).collect();
    assert!(told.len() <= 3 && told.last().is_some_and(|line| *line == "* ana left"), "{told:?}");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_server_that_does_not_track_is_used_as_before() {
    let server = server().flags(["--audience", "sender"]).go();
    let proxy = Proxy::to(&page_of(&server));
    let page = Page::open(&proxy.page());
    page.connect("ana");
    page.say("once");
    page.until_said("once");
    assert!(!page.shows("nothing to track"));
    break_connection(&page, &proxy, || ());
    proxy.swallow();
    page.browser.run("const now = Date.now; Date.now = () => now() + 60_000", ());
    page.say("is anybody there?");
    page.browser.until("document.querySelector('.fate')?.textContent === 'perhaps not sent'");
    page.until_state_begins("Connected as");
    page.browser.click("#again");
    page.browser.until("document.querySelector('.fate') === null");
    page.until_texts(&["once", "is anybody there?"]);
    page.browser.reload();
    page.until_state_begins("Connected as");
    assert_eq!(page.texts(), Vec::<String>::new());
}
