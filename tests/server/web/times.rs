//! How long a head may take, and how long it may be.

use std::io::{ErrorKind, Write};
use std::thread;
use std::time::Duration;

use super::{answer, assert_ends, assert_is_short_text};
use crate::support::http::{Response, WebServer, Wire, handshake, head};
use crate::support::{DEADLINE, Member};

/// The longest head, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The most fields of one.
const FIELDS_MAX: usize = 100;

/// The answer to one who was too slow; then it is over.
#[track_caller]
fn assert_times_out(visitor: &mut Wire) {
    let response = visitor.response();
    assert_eq!((response.status, &*response.reason), (408, "Request Timeout"));
    assert_is_short_text(&response);
    assert_ends(&response, visitor);
}

#[test]
fn a_request_that_does_not_come_is_waited_for_so_long_and_told() {
    let server = WebServer::start(&[]);
    let request = head(&["GET / HTTP/1.1", &server.host_field()]);
    let beginnings = [&b""[..], b"G", b"GET / HTTP/1.1\r\nHo", &request[..request.len() - 1]];
    let mut visitors = beginnings.map(|beginning| {
        let mut visitor = server.visit();
        visitor.send(beginning);
        visitor
    });
    // An answer does not have to be waited for, however others dawdle.
    assert_eq!(server.ask("GET / HTTP/1.1").status, 200);
    visitors.iter_mut().for_each(assert_times_out);
}

#[test]
fn one_who_sends_a_byte_now_and_then_is_not_waited_for_any_longer() {
    let server = WebServer::start(&[]);
    let mut visitor = server.visit();
    visitor.send("GET / HTTP/1.1\r\nX: ");
    let mut bytes = 0;
    while !visitor.is_readable_within(Duration::from_millis(50)) {
        visitor.send("x");
        bytes += 1;
        assert!(bytes < 1_000, "it was waited for all the same");
    }
    // It may have been closed amid a byte of ours, but not so that the answer was lost.
    assert_times_out(&mut visitor);
}

#[test]
fn a_connection_that_is_kept_is_closed_without_a_word_when_nothing_more_is_asked() {
    let server = WebServer::start(&[]);
    let request = head(&["GET / HTTP/1.1", &server.host_field()]);
    let [mut silent, mut dawdling, mut late] = [(); 3].map(|()| {
        let mut visitor = server.visit();
        visitor.send(&request);
        assert_eq!(visitor.response().status, 200);
        visitor
    });
    dawdling.send("GET / HT");
    // An answer gives it as long again.
    late.send(&request[..10]);
    late.send(&request[10..]);
    assert_eq!(late.response().status, 200);
    silent.expect_end();
    assert_times_out(&mut dawdling);
    late.expect_end();
}

#[test]
fn who_asks_and_leaves_without_reading_is_no_trouble() {
    let server = WebServer::start(&[]);
    for round in 0..20 {
        let mut visitor = server.visit();
        visitor.push(head(&["GET / HTTP/1.1", &server.host_field()]).repeat(round + 1));
        if round % 2 == 0 {
            visitor.reset();
        }
    }
    assert_eq!(server.ask("GET / HTTP/1.1").status, 200);
}

/// A head of so many bytes.
fn head_of(server: &WebServer, length: usize) -> Vec<u8> {
    let plain = head(&["GET / HTTP/1.1", &server.host_field(), "X: "]);
    let filler = "x".repeat(length - plain.len());
    let long = head(&["GET / HTTP/1.1", &server.host_field(), &format!("X: {filler}")]);
    assert_eq!(long.len(), length);
    long
}

#[track_caller]
fn assert_is_too_large(response: &Response, visitor: &mut Wire) {
    let reason = "Request Header Fields Too Large";
    assert_eq!((response.status, &*response.reason), (431, reason));
    assert_ends(response, visitor);
}

#[test]
fn a_head_may_be_so_long_and_no_longer() {
    let server = WebServer::start(&[]);
    for size in [usize::MAX, 1_000] {
        let mut visitor = server.visit();
        visitor.push_chopped(head_of(&server, HEAD_BYTES_MAX).repeat(2), size);
        assert_eq!([(); 2].map(|()| visitor.response().status), [200, 200], "in pieces of {size}");
    }
    let (response, mut visitor) = answer(&server, head_of(&server, HEAD_BYTES_MAX + 1));
    assert_is_too_large(&response, &mut visitor);
    // Whether it is the target that is long, a name, or lines that begin no end.
    let x = "x".repeat(2 * HEAD_BYTES_MAX);
    for beginning in [
        format!("GET /{x}"),
        format!("GET / HTTP/1.1\r\n{x}"),
        "GET / HTTP/1.1\r\n".to_owned() + &"X: y\r\n".repeat(99) + &x,
    ] {
        let (response, mut visitor) = answer(&server, beginning);
        assert_is_too_large(&response, &mut visitor);
    }
}

#[test]
fn a_head_may_have_so_many_fields_and_no_more() {
    let server = WebServer::start(&[]);
    let with = |count: usize| {
        let more: Vec<String> = (1..count).map(|number| format!("X-{number}: y")).collect();
        let lines = ["GET / HTTP/1.1".to_owned(), server.host_field()];
        head(&[&lines[..], &more].concat())
    };
    assert_eq!(answer(&server, with(FIELDS_MAX)).0.status, 200);
    let (response, mut visitor) = answer(&server, with(FIELDS_MAX + 1));
    assert_is_too_large(&response, &mut visitor);
    let (response, mut visitor) = answer(&server, with(5 * FIELDS_MAX));
    assert_is_too_large(&response, &mut visitor);
}

#[test]
fn one_who_never_stops_sending_a_head_is_told_and_then_let_go() {
    let server = WebServer::start(&[]);
    let mut visitor = server.visit();
    visitor.send("GET / HTTP/1.1\r\nX: ");
    let mut sender = visitor.stream().try_clone().expect("a second descriptor");
    sender.set_write_timeout(Some(DEADLINE)).expect("connected");
    thread::scope(|scope| {
        let sender = scope.spawn(move || {
            // Some of it is read and thrown away, so that the answer is not lost; but not for ever.
            let chunk = [b'x'; 64 * 1024];
            loop {
                if let Err(error) = sender.write_all(&chunk) {
                    return error.kind();
                }
            }
        });
        let response = visitor.response();
        assert_eq!(response.status, 431);
        let end = sender.join().expect("it does not panic");
        assert!(matches!(end, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{end:?}");
    });
    assert_eq!(server.ask("GET / HTTP/1.1").status, 200);
}

#[test]
fn a_browser_is_not_asked_for_another_head() {
    // Whoever came in is out of the visitors' time; the rest of this file shows that others are not.
    let server = WebServer::quiet(&[]);
    let mut visitor = server.visit();
    visitor.send(handshake(server.page(), &[]));
    visitor.response().assert_switches(0);
    visitor.frame();
    let mut dawdling = server.visit();
    assert_times_out(&mut dawdling);
    assert!(!visitor.is_readable_within(Duration::ZERO), "it is let alone");
    assert_eq!(server.join().who().len(), 3);
}
