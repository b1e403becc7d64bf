//! The line port, when there is a page as well: who speaks HTTP there is told where it is, and everybody else notices
//! nothing.

use crate::support::http::{Response, WebServer, Wire, head};
use crate::support::{Client, Lines, Member, Server};

#[track_caller]
fn answer_on_the_line_port(server: &WebServer, request: impl AsRef<[u8]>) -> (Response, Wire) {
    let mut visitor = Wire::connect(server.address());
    visitor.push(request);
    (visitor.response(), visitor)
}

#[test]
fn a_browser_that_opens_it_is_told_where_the_page_is() {
    let server = WebServer::go_at(Server::builder(), &["127.0.0.1:0", "127.0.0.2:0"]);
    for lines in [
        &["GET / HTTP/1.1", "Host: 127.0.0.1:46000"][..],
        &["GET /favicon.ico HTTP/1.1", "Host: chat.example.org"],
        &["GET / HTTP/1.0"],
        &["POST / HTTP/1.1", "Host: relay", "Content-Length: 5"],
        &["OPTIONS * HTTP/1.1", "Host: relay"],
    ] {
        let (response, mut visitor) = answer_on_the_line_port(&server, head(lines));
        assert_eq!((response.status, &*response.reason), (400, "Bad Request"), "{lines:?}");
        assert!(response.field("Content-Type").is_some_and(|kind| kind.starts_with("text/plain")), "{response:?}");
        assert!(response.is_last());
        // One of them is enough.
        assert!(response.text().contains(&format!("http://{}/", server.page())), "{}", response.text());
        assert!(response.text().len() < 1_000 && response.text().ends_with('\n'), "{}", response.text());
        visitor.expect_end();
    }
}

#[test]
fn nothing_that_it_sends_is_relayed() {
    let server = WebServer::quiet(&[]);
    let mut ana = server.join();
    let body = "/nick admin\nbuy this\n".repeat(10_000);
    for _ in 0..20 {
        let request = format!("POST / HTTP/1.1\r\nHost: relay\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let (response, mut visitor) = answer_on_the_line_port(&server, request);
        assert_eq!(response.status, 400);
        visitor.expect_end();
    }
    let mut bob = server.join();
    bob.send_line("the first thing that is said");
    ana.expect(bob.says("the first thing that is said"));
}

#[test]
fn one_who_says_nothing_is_greeted_all_the_same() {
    let server = WebServer::quiet(&["--greeting", "be kind", "--history", "2"]);
    let mut ana = server.join();
    ana.expect("* be kind");
    ana.send("one\ntwo\n");
    ana.who();
    let mut silent = server.join();
    silent.expect_all(["* be kind", "* 2 earlier lines:", &ana.says("one"), &ana.says("two")]);
}

#[test]
fn one_who_speaks_at_once_is_heard_and_greeted_first() {
    let server = WebServer::quiet(&[]);
    let mut ana = server.join();
    let mut hasty = server.connect();
    hasty.send("hello\n/who\n");
    hasty.greeted();
    ana.expect(hasty.says("hello"));
    assert_eq!(hasty.lines_until(|line| line == "* 2 here").len(), 3);
    // It may be gone again at once.
    let mut passing: Client = server.connect();
    passing.send("in passing\n");
    passing.half_close();
    passing.greeted();
    ana.expect(passing.says("in passing"));
    passing.expect_farewell();
}

#[test]
fn a_tls_hello_is_told_what_this_is_as_ever() {
    let server = WebServer::quiet(&[]);
    let mut stranger = Wire::connect(server.address());
    stranger.push(b"\x16\x03\x01\x00\xa5\x01\x00\x00");
    let said = String::from_utf8(stranger.rest()).expect("UTF-8");
    assert!(said.ends_with("* this is a chat relay and speaks no TLS: goodbye\nFIN\n"), "{said:?}");
}

#[test]
fn without_a_page_all_stays_as_it_was() {
    let server = Server::quiet(&[]);
    let mut visitor = Wire::connect(server.address());
    visitor.push(head(&["GET / HTTP/1.1", "Host: relay"]));
    let said = String::from_utf8(visitor.rest()).expect("UTF-8");
    let farewell = "* this is a chat relay and speaks no HTTP: goodbye\nFIN\n";
    assert_eq!(said, farewell);
}

#[test]
fn what_is_said_of_http_in_a_first_line_is_just_said() {
    let server = WebServer::quiet(&[]);
    let mut ana = server.join();
    for text in ["GET a grip", "HTTP/1.1 is old", "POST it / by mail", "get / http"] {
        let mut ben = server.connect();
        ben.send(format!("{text}\n"));
        ben.greeted();
        ana.expect(ben.says(text));
    }
}
