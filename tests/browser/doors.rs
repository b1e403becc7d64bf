//! Addresses and refusals: the page below a prefix of a proxy, and servers that do not open their WebSocket.

use crate::browser::key;
use crate::page::{Page, neighbour, page_of, server};
use crate::proxy::Proxy;
use crate::support::{Lines, Member};

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
        page.browser.click("#disconnect");
    }
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
        page.browser.clear("#server");
        page.browser.type_into("#server", &format!("{typed}{}", key::ENTER));
        page.until_state_begins("Connected as client-");
        page.browser.click("#disconnect");
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
