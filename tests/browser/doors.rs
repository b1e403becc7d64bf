//! Addresses and refusals: the page below a prefix of a proxy, and servers that do not open their WebSocket.

use rustix::process::Signal;

use crate::browser::key;
use crate::page::{Page, neighbour, page_of, server};
use crate::proxy::{NAMELESS, Proxy};
use crate::support::{DEADLINE, Lines, Server};

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_page_below_a_prefix_connects_below_it() {
    let server = server().go();
    let mut bob = neighbour(&server, "bob");
    let proxy = Proxy::below(&["/chat"], &page_of(&server));
    let there = proxy.page();
    let bare = there.trim_end_matches('/').to_owned();
    let page = Page::open(&there);
    let shown = format!("'http://' + document.getElementById('server').value === '{there}'");
    for address in [there.clone(), format!("{there}?a=b/c/#d"), bare.clone(), format!("{bare}?a=b")] {
        page.browser.go(&address);
        page.browser.until(&shown);
        page.connect("ana");
        page.say(&format!("from {address}"));
        bob.lines_until(|line| line == format!("ana> from {address}"));
        // A page that is reloaded is where it was.
        page.browser.reload();
        page.until_state("Connected as ana");
        page.click("#disconnect");
    }
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_page_below_a_path_of_its_server_connects_there() {
    let server = server().flags(["--web-path", "/chat"]).go();
    let mut bob = neighbour(&server, "bob");
    let there = page_of(&server);
    assert!(there.ends_with("/chat/"), "{there}");
    // The server leads to the slash that the page's addresses are relative to.
    let page = Page::open(there.trim_end_matches('/'));
    page.browser.until(&format!("location.href === '{there}'"));
    page.connect("ana");
    page.say("hello");
    bob.lines_until(|line| line == "ana> hello");
    page.say("/join rust");
    page.browser.until(&format!("location.href === '{there}r/rust'"));
    // A page that is reloaded is where it was.
    page.browser.reload();
    page.until_state("Connected as ana");
    page.browser.until("document.getElementById('room').textContent === 'rust'");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_server_field_takes_the_address_of_a_page_below_a_prefix() {
    let here = server().go();
    let origin = page_of(&here).trim_end_matches('/').to_owned();
    let there = server().flags(["--web-origin", &origin]).go();
    let proxy = Proxy::below(&["/chat"], &page_of(&there));
    let address = proxy.page();
    let host = address.trim_start_matches("http://");
    let page = Page::open(&page_of(&here));
    for typed in [host.to_owned(), address.clone(), host.trim_end_matches('/').to_owned(), format!("{address}?a#b")] {
        page.clear("#server");
        page.type_into("#server", &format!("{typed}{}", key::ENTER));
        page.until_state_begins("Connected as client-");
        page.click("#disconnect");
    }
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn servers_that_share_an_origin_are_kept_apart() {
    let server = server().go();
    let proxy = Proxy::below(&["/chat", "/other"], &page_of(&server));
    let page = Page::open(&proxy.page());
    page.connect("ana");
    page.browser.go(&proxy.page().replace("/chat/", "/other/"));
    assert_eq!(page.state(), "Not connected", "the same tab, but another server");
    assert!(
        page.browser.eval("document.getElementById('server').value").as_str().expect("a text").ends_with("/other/")
    );
    page.browser.go(&proxy.page());
    page.until_state("Connected as ana");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_server_that_refuses_the_page_says_what_its_operator_can_do() {
    // Browsers take each name below `localhost` for this machine.
    let mut first = server().flags(["--web-host", "chat.localhost"]).go();
    let web = page_of(&first).trim_start_matches("http://").trim_end_matches('/').to_owned();
    let port = web.rsplit(':').next().expect("a port").to_owned();
    let listen = first.address().to_string();
    let page = Page::open(&format!("http://chat.localhost:{port}/"));
    page.connect("ana");
    first.signal(Signal::TERM);
    first.wait(DEADLINE);
    page.until_state("The server stopped: trying again");

    let _second = Server::builder().flags(["--listen", &listen, "--web", &web]).go();
    page.until_state(&format!("Refused by chat.localhost:{port}: trying again"));
    assert_eq!(
        page.browser.text("#trouble"),
        "This server does not answer to the name chat.localhost: ask its operator to start it with --web-host \
         chat.localhost"
    );
    page.browser.go(&format!("http://chat.localhost:{port}/?again"));
    let text = page.browser.text("body");
    assert!(text.contains("--web-host"), "a person without the page is told, too: {text}");
    // The browser asks for an icon whenever it likes, is refused, and complains, until it shows another document.
    page.browser.go("about:blank");
    page.browser.complaints();
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_proxy_that_hides_the_host_makes_the_page_a_stranger() {
    let server = server().go();
    let proxy = Proxy::below(&[NAMELESS], &page_of(&server));
    let page = Page::open(&proxy.page());
    page.click("#connect");
    let origin = proxy.page().trim_end_matches(&format!("{NAMELESS}/")).to_owned();
    page.until_state_begins("Refused by ");
    let advice = page.browser.text("#trouble");
    assert!(advice.ends_with(&format!("with --web-origin {origin}")), "{advice}");
}
