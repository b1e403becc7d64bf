//! Reconnecting: broken connections, restarted servers, refused names and lines that were not sent.

use std::io::Write;
use std::process::Stdio;

use rustix::process::Signal;

use crate::browser::{eventually, key};
use crate::page::{Page, neighbour, page_of, server};
use crate::proxy::Proxy;
use crate::support::{DEADLINE, Lines, Server};

/// The flags with which another server takes over the addresses of this one.
fn place_of(server: &Server) -> [String; 4] {
    let page = page_of(server);
    let web = page.strip_prefix("http://").expect("an address").trim_end_matches('/');
    ["--listen".into(), server.address().to_string(), "--web".into(), web.to_owned()]
}

/// Tells the page that the network is back. Returns the state of its connection right after that.
fn hurry(page: &Page) -> String {
    let state = page.browser.run("dispatchEvent(new Event('online')); return state", ());
    state.as_str().expect("a word").to_owned()
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_page_comes_back_when_the_server_does() {
    let mut first = server().go();
    let place = place_of(&first);
    let page = Page::join(&first, "ana");
    page.say("before");
    page.until_said("before");
    page.browser.type_into("#draft", "half a thou");
    first.signal(Signal::TERM);
    first.wait(DEADLINE);
    page.until_state("The server stopped: trying again");
    page.until_shown("the server is shutting down");
    page.browser.until("/^in \\d+ s$/.test(document.getElementById('countdown').textContent)");
    // Text that is sent while disconnected stays in the draft.
    page.browser.press(&[key::ENTER]);
    assert_eq!(page.browser.text("#trouble"), "Not connected: your text stays here.");
    page.browser.type_into("#draft", "ght");
    assert_eq!(page.draft(), "half a thought");

    let second = Server::builder().flags(&place).go();
    let mut bob = neighbour(&second, "bob");
    page.until_state("Connected as ana");
    assert_eq!(page.draft(), "half a thought");
    assert!(page.browser.text("#trouble").is_empty());
    page.browser.press(&[key::ENTER]);
    bob.lines_until(|line| line == "ana> half a thought");
    page.until_texts(&["before", "half a thought"]);
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_pauses_grow_and_a_click_cuts_them_short() {
    let server = server().go();
    let proxy = Proxy::to(&page_of(&server));
    let page = Page::open(&proxy.page());
    page.connect("ana");
    proxy.close(true);
    proxy.cut();
    page.until_state("Connection lost: trying again");
    let nominal = "backoff.pause";
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let before = page.browser.eval(nominal);
        pauses.push(before.as_u64().expect("milliseconds"));
        assert_eq!(hurry(&page), "connecting");
        eventually("the next pause", || page.browser.eval(nominal) != before || before == 30_000);
        page.until_state("Connection lost: trying again");
    }
    assert!(pauses.windows(2).all(|two| two[1] == (two[0] * 2).min(30_000)), "{pauses:?}");
    assert_eq!(pauses.last(), Some(&30_000));
    assert_eq!(page.browser.text("#connect"), "Try now");
    proxy.close(false);
    page.click("#connect");
    page.until_state("Connected as ana");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn reconnecting_keeps_a_name_that_is_being_typed() {
    let server = server().go();
    let proxy = Proxy::to(&page_of(&server));
    let page = Page::open(&proxy.page());
    page.connect("ana");
    proxy.close(true);
    proxy.cut();
    page.until_state("Connection lost: trying again");
    page.type_into("#name", "b");
    proxy.close(false);
    page.until_state("Connected as ana");
    assert_eq!(page.focus(), "name");
    assert_eq!(page.browser.text("#connect"), "Rename");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn after_a_goodbye_the_page_does_not_reconnect() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    for goodbye in ["/quit", "/QUIT now"] {
        page.say(goodbye);
        page.until_state("Not connected: you left");
        assert_eq!(hurry(&page), "off");
        page.click("#connect");
        page.until_state("Connected as ana");
    }
    let mut bob = neighbour(&server, "bob");
    page.click("#disconnect");
    page.until_state("Not connected: you left");
    bob.lines_until(|line| line == "* ana left");
    assert_eq!(page.browser.text("#connect"), "Connect");
    assert!(page.is_hidden("#who"));
    assert_eq!(page.focus(), "connect");
    page.say("too late");
    assert_eq!(page.draft(), "too late");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_removed_client_does_not_reconnect() {
    let (stdin, mut operator) = std::io::pipe().expect("a pipe");
    let server = server().flags(["--console"]).stdin(Stdio::from(stdin)).go();
    let page = Page::join(&server, "ana");
    operator.write_all(b"/kick ana\n").expect("the server reads");
    page.until_state("Not connected: the server disconnected you");
    page.until_shown("you were removed by the operator");
    assert_eq!(hurry(&page), "off");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_full_server_is_asked_again_much_later() {
    let server = server().flags(["--max-clients", "1"]).go();
    let first = server.join();
    let page = Page::open(&page_of(&server));
    page.click("#connect");
    page.until_state("The server is full: trying again");
    page.until_shown("the server is full (1 client)");
    assert_eq!(hurry(&page), "waiting");
    let seconds = page.browser.eval("parseInt(document.getElementById('countdown').textContent.match(/\\d+/), 10)");
    assert!(seconds.as_u64() > Some(20), "{seconds} s");
    drop(first);
    eventually("the server has a free place", || {
        page.click("#connect");
        page.browser.until("state === 'on' || state === 'waiting'");
        page.state().starts_with("Connected")
    });
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn lines_that_were_not_sent_are_marked_and_offered_again() {
    let mut first = server().go();
    let place = place_of(&first);
    let page = Page::join(&first, "ana");
    first.signal(Signal::STOP);
    // The server is stopped for longer than the page would wait.
    page.browser.run("probeConnection = () => {}", ());
    // Fill the buffers of the connection.
    let line = "x".repeat(4000);
    let mut sent = 0;
    eventually("the kernel's buffers are full", || {
        let text: String = (0..50).map(|index| format!("{} {line}\n", sent + index)).collect();
        page.paste_and_send(&text);
        let is_taken = page.draft().is_empty();
        sent += if is_taken { 50 } else { 0 };
        !is_taken
    });
    assert_eq!(page.browser.text("#trouble"), "The connection is slow: wait a little, and send again.");
    let draft = page.draft();
    page.until_state("Connected as ana");
    first.signal(Signal::KILL);
    first.wait(DEADLINE);
    page.until_state("Connection lost: trying again");
    assert_eq!(page.draft(), draft);
    // They may still arrive: the session may go on.
    assert!(page.is_hidden("#again"));

    // The new server knows nothing of it.
    let second = Server::builder().flags(&place).go();
    let mut bob = neighbour(&second, "bob");
    page.until_state("Connected as ana");
    page.until_shown("Lines may be missing here");
    page.until_shown(&format!("{} {line}", sent - 1));
    let failed = page.said().into_iter().filter(|said| said.at == "perhaps not sent").collect::<Vec<_>>();
    assert_eq!(failed.last().map(|said| said.text.clone()), Some(format!("{} {line}", sent - 1)));
    assert!(page.browser.text("#unsent-count").ends_with("lines not sent"));
    page.browser.click("#again");
    let last = format!("ana> {} {line}", sent - 1);
    let heard = bob.lines_until(|line| line == last);
    let heard: Vec<&str> = heard.iter().filter_map(|line| line.strip_prefix("ana> ")).collect();
    assert!(heard.len() >= failed.len(), "{} of {}", heard.len(), failed.len());
    let again: Vec<&str> = failed.iter().map(|said| said.text.as_str()).collect();
    assert!(heard.ends_with(&again), "all lines, in order");
    assert!(page.is_hidden("#again"));
    eventually("nothing is marked any more", || {
        page.browser.eval("document.querySelector('.failed') === null") == true
    });
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_malformed_or_unreachable_address_is_reported() {
    let server = server().go();
    let page = Page::open(&page_of(&server));
    let connect_to = |address: &str| {
        page.clear("#server");
        page.type_into("#server", &format!("{address}{}", key::ENTER));
    };
    for address in ["ftp://example.org", "a b", "host:port", ":80", "ws://"] {
        connect_to(address);
        assert_eq!(page.state(), format!("Not an address: {address}"));
        assert_eq!(page.focus(), "server");
    }
    // A port that nothing listens on.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    connect_to(&closed.to_string());
    page.until_state(&format!("No answer from {closed}: trying again"));
    let there = page_of(&server);
    let origin = there.trim_end_matches('/');
    // A browser does not tell a page why its connection failed, so the page lists likely reasons.
    let hint = page.browser.text("#trouble");
    assert!(hint.ends_with(&format!("or it may need --web-origin {origin}")), "{hint}");
    page.click("#disconnect");
    assert_eq!(page.state(), "Not connected: you left");
    assert_eq!(page.browser.text("#trouble"), "");
    let host = origin.trim_start_matches("http://");
    for address in
        [host.to_owned(), format!("ws://{host}"), format!("ws://{host}/ws"), there.clone(), format!(" {host} ")]
    {
        connect_to(&address);
        page.until_state_begins("Connected as client-");
        page.click("#disconnect");
    }
    // The page's own server accepts its origin.
    drop(server);
    connect_to(host);
    page.until_state(&format!("No answer from {host}: trying again"));
    assert!(page.browser.text("#trouble").ends_with("a proxy may block WebSockets."));
}
