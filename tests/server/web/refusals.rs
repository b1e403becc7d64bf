//! Who is refused at the page's port, and how: over HTTP, and over WebSocket where a handshake came.

use std::net::{IpAddr, Ipv4Addr};

use super::assert_is_short_text;
use crate::support::http::{Response, WebServer, Wire, handshake, head};
use crate::support::ws_client::Browser;
use crate::support::{Lines, Member, Server, eventually};

/// The answer that comes whether or not a request does; then it is over.
#[track_caller]
fn refused(visitor: &mut Wire) -> Response {
    let response = visitor.response();
    assert_is_short_text(&response);
    assert!(response.is_last(), "{response:?}");
    visitor.expect_end();
    response
}

#[test]
fn a_browser_that_finds_the_house_full_is_told_in_its_own_words() {
    let server = WebServer::quiet(&["--max-clients", "1"]);
    let ana = server.join();
    let mut browser = Browser::upgrade(server.visit());
    browser.expect("* the server is full (1 client)");
    browser.expect_farewell(1013);
    let mut raw = server.visit();
    raw.send(handshake(server.page(), &[]));
    raw.response().assert_switches(0);
    Browser::over(raw).expect("* the server is full (1 client)");
    drop(ana);
    eventually("there is room again", || {
        let mut browser = Browser::upgrade(server.visit());
        !browser.line().contains("full")
    });
}

#[test]
fn a_browser_takes_a_seat() {
    let server = WebServer::quiet(&["--max-clients", "1"]);
    let ana = server.browser();
    let mut refused = server.connect();
    refused.expect("* the server is full (1 client)");
    refused.expect_farewell();
    ana.close(Some(1000));
    eventually("its seat is free", || {
        let mut client = server.connect();
        client.try_line().is_ok_and(|line| line.is_some_and(|line| line.starts_with("* you are ")))
    });
}

#[test]
fn who_is_denied_is_forbidden_before_it_asks() {
    let server = WebServer::quiet(&["--deny", "127.0.0.1"]);
    let mut silent = server.visit();
    assert_eq!(refused(&mut silent).status, 403);
    for request in
        [head(&["GET / HTTP/1.1", &server.host_field()]), handshake(server.page(), &[]), b"nonsense".to_vec()]
    {
        let mut visitor = server.visit();
        visitor.push(request);
        let response = refused(&mut visitor);
        assert_eq!((response.status, &*response.reason), (403, "Forbidden"));
    }
    // Others are let in.
    let mut visitor = Wire::connect_from(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), server.page());
    visitor.send(head(&["GET / HTTP/1.1", &server.host_field()]));
    assert_eq!(visitor.response().status, 200);
}

#[test]
fn one_address_can_have_so_many_in_and_no_more() {
    let server = WebServer::quiet(&["--max-per-address", "2"]);
    let (client, browser) = (server.join(), server.browser());
    let mut refused = Browser::upgrade(server.visit());
    refused.expect("* too many connections from your address (at most 2)");
    refused.expect_farewell(1013);
    let mut refused = server.connect();
    assert!(refused.line().contains("too many connections from your address"));
    let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    drop(Browser::join(Wire::connect_from(other, server.page())));
    browser.close(Some(1000));
    eventually("one who left does not count", || {
        let mut browser = Browser::upgrade(server.visit());
        browser.line().starts_with("* you are ")
    });
    drop(client);
}

#[test]
fn one_address_can_have_so_many_visitors_and_no_more() {
    // Browsers open several connections: some are allowed, however few clients may be in.
    const VISITORS_MAX: usize = 8;
    let server = WebServer::quiet(&["--max-per-address", "1"]);
    let _ana = server.join();
    let mut visitors: Vec<Wire> = (0..VISITORS_MAX).map(|_| server.visit()).collect();
    let mut late = server.visit();
    late.push(handshake(server.page(), &[]));
    let response = refused(&mut late);
    assert_eq!((response.status, &*response.reason), (429, "Too Many Requests"));
    for visitor in &mut visitors {
        visitor.send(head(&["GET / HTTP/1.1", &server.host_field()]));
        assert_eq!(visitor.response().status, 200);
    }
    // Others are not meant.
    let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let mut ben = Browser::join(Wire::connect_from(other, server.page()));
    assert_eq!(ben.who().last().map(String::as_str), Some("* 2 here"));
    drop(visitors);
    eventually("those who left do not count", || {
        let mut visitor = server.visit();
        visitor.push(head(&["GET / HTTP/1.1", &server.host_field()])) && visitor.response().status == 200
    });
}

#[test]
fn a_crowd_that_is_refused_holds_nobody_up() {
    let server = WebServer::go(Server::builder().flags(["--deny", "127.0.0.1", "--announce-up-to", "0"]));
    let before = server.descriptors();
    let crowd: Vec<Wire> = (0..300).map(|_| server.visit()).collect();
    let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let mut ana = Browser::join(Wire::connect_from(other, server.page()));
    assert_eq!(ana.who().last().map(String::as_str), Some("* 1 here"));
    assert!(server.descriptors() < before + 50, "few of them are told at a time");
    drop(crowd);
    ana.close(Some(1000));
    eventually("all descriptors are given back", || server.descriptors() == before);
}
