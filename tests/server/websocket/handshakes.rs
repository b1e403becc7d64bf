//! Handshakes, byte by byte.

use crate::support::http::{KEYS, Response, WebServer, Wire, handshake, head};
use crate::support::ws::Frame;
use crate::support::ws_client::Browser;
use crate::support::{Lines, Member};

/// The fields of a handshake, with their lines changed.
struct Handshake(Vec<String>);

impl Handshake {
    fn new(server: &WebServer) -> Handshake {
        let request = String::from_utf8(handshake(server.page(), &[])).expect("UTF-8");
        Handshake(request.trim_end().split("\r\n").map(str::to_owned).collect())
    }

    /// With this line in the place of the one that begins like it, up to its colon or first space; none: without it.
    fn with(mut self, name: &str, line: Option<&str>) -> Handshake {
        let at = self.0.iter().position(|line| line.starts_with(name)).expect("there is such a line");
        match line {
            Some(line) => line.clone_into(&mut self.0[at]),
            None => drop(self.0.remove(at)),
        }
        self
    }

    fn and(mut self, line: &str) -> Handshake {
        self.0.push(line.to_owned());
        self
    }

    fn encode(&self) -> Vec<u8> {
        head(&self.0)
    }
}

#[track_caller]
fn answer(server: &WebServer, handshake: &Handshake) -> (Response, Wire) {
    let mut visitor = server.visit();
    visitor.send(handshake.encode());
    (visitor.response(), visitor)
}

#[test]
fn each_key_gets_the_answer_that_is_due() {
    let server = WebServer::quiet(&[]);
    for (number, (key, _)) in KEYS.iter().enumerate() {
        let line = format!("Sec-WebSocket-Key: {key}");
        let (response, _) = answer(&server, &Handshake::new(&server).with("Sec-WebSocket-Key", Some(&line)));
        response.assert_switches(number);
    }
}

#[test]
fn a_handshake_may_be_written_in_many_ways() {
    let server = WebServer::quiet(&[]);
    let plain = || Handshake::new(&server);
    for handshake in [
        plain(),
        plain().with("GET", Some("GET /ws?name=ana HTTP/1.1")),
        plain().with("Connection", Some("Connection: keep-alive, Upgrade")),
        plain().with("Connection", Some("connection:upgrade")),
        plain().with("Connection", Some("CONNECTION: x ,\tUPGRADE, y")),
        plain().with("Connection", Some("Connection: keep-alive")).and("Connection: Upgrade"),
        plain().with("Upgrade", Some("Upgrade: WebSocket")),
        plain().with("Upgrade", Some("Upgrade: h2c, websocket")),
        plain().with("Upgrade", Some("Upgrade: h2c")).and("Upgrade: websocket"),
        plain().with("Sec-WebSocket-Version", Some("SEC-websocket-VERSION:   13  ")),
        plain().and("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"),
        plain().and("Sec-WebSocket-Protocol: chat, superchat"),
        plain().and("Cookie: a=b").and("Pragma: no-cache").and("Accept-Encoding: gzip, deflate, br"),
    ] {
        let (response, wire) = answer(&server, &handshake);
        response.assert_switches(0);
        let mut browser = Browser::over(wire);
        browser.greeted();
        browser.say("/who");
        browser.lines_until(|line| line == "* 1 here");
        browser.close(None);
    }
}

#[test]
fn a_handshake_may_come_in_any_pieces_and_behind_other_requests() {
    let server = WebServer::quiet(&[]);
    let before = head(&["GET /nowhere HTTP/1.1", &server.host_field()]);
    let request = [before, Handshake::new(&server).encode()].concat();
    for size in [1, 7, 100, usize::MAX] {
        let mut wire = server.visit();
        wire.push_chopped(&request, size);
        assert_eq!(wire.response().status, 404);
        wire.response().assert_switches(0);
        Browser::over(wire).greeted();
    }
}

#[test]
fn what_is_sent_right_behind_a_handshake_is_heard() {
    let server = WebServer::quiet(&[]);
    let mut ana = server.join();
    let mut wire = server.visit();
    let early = [Frame::text("early").encode(), Frame::ping("bird").encode()].concat();
    wire.send([Handshake::new(&server).encode(), early].concat());
    wire.response().assert_switches(0);
    let mut browser = Browser::over(wire);
    // A pong does not wait for the line before it.
    browser.expect_pong("bird");
    browser.greeted();
    ana.expect(browser.says("early"));
    // Even with its farewell, and the end of its half.
    let mut wire = server.visit();
    let all = [Frame::text("in passing").encode(), Frame::close(Some(1001)).encode()].concat();
    wire.send([Handshake::new(&server).encode(), all].concat());
    wire.half_close();
    wire.response().assert_switches(0);
    let mut browser = Browser::over(wire);
    browser.greeted();
    ana.expect(browser.says("in passing"));
    assert_eq!(ana.present(), 2);
}

#[test]
fn one_who_does_not_ask_for_websocket_is_told_what_is_spoken() {
    let server = WebServer::quiet(&[]);
    let plain = || Handshake::new(&server);
    for handshake in [
        plain().with("Upgrade", None),
        plain().with("Upgrade", Some("Upgrade: h2c")),
        plain().with("Upgrade", Some("Upgrade: websocket2")),
        plain().with("Connection", None),
        plain().with("Connection", Some("Connection: keep-alive")),
        plain().with("Connection", Some("Connection: Upgraded")),
        plain().with("Sec-WebSocket-Version", None),
        plain().with("Sec-WebSocket-Version", Some("Sec-WebSocket-Version: 8")),
        plain().with("Sec-WebSocket-Version", Some("Sec-WebSocket-Version: 14")),
        plain().with("Sec-WebSocket-Version", Some("Sec-WebSocket-Version: 013")),
        plain().with("Sec-WebSocket-Version", Some("Sec-WebSocket-Version: ")),
        plain().with("GET", Some("GET /ws HTTP/1.0")),
        // What is wrong besides does not matter then.
        plain().with("Upgrade", None).with("Sec-WebSocket-Key", None).and("Origin: http://evil.example"),
    ] {
        let (response, mut wire) = answer(&server, &handshake);
        assert_eq!((response.status, &*response.reason), (426, "Upgrade Required"), "{:?}", handshake.0);
        response.assert_field("Upgrade", "websocket");
        response.assert_field("Sec-WebSocket-Version", "13");
        assert!(response.has_token("Connection", "Upgrade"), "{response:?}");
        if !response.is_last() {
            // It may do better now.
            wire.send(plain().encode());
            wire.response().assert_switches(0);
        }
    }
}

#[test]
fn a_handshake_without_a_proper_key_is_a_bad_request() {
    let server = WebServer::quiet(&[]);
    let plain = || Handshake::new(&server);
    for key in [
        None,
        Some(""),
        Some("x"),
        Some("dGhlIHNhbXBsZSBub25jZQ"),
        Some("dGhlIHNhbXBsZSBub25jZQ="),
        Some("dGhlIHNhbXBsZSBub25jZQ==="),
        Some("dGhlIHNhbXBsZSBub25jZQ==, x"),
        Some("dGhlIHNhbXBsZSBub25j"),
        Some("dGhlIHNhbXBsZSBub25jZWVl"),
        Some("!!!!!!!!!!!!!!!!!!!!!!=="),
        Some("dGhlIHNhbXBsZS Bub25jZQ=="),
    ] {
        let line = key.map(|key| format!("Sec-WebSocket-Key: {key}"));
        let (response, mut wire) = answer(&server, &plain().with("Sec-WebSocket-Key", line.as_deref()));
        assert_eq!(response.status, 400, "{key:?}");
        assert!(response.is_last());
        wire.expect_end();
    }
    let twice = plain().and(&format!("Sec-WebSocket-Key: {}", KEYS[1].0));
    assert_eq!(answer(&server, &twice).0.status, 400);
    // The key is looked at before the origin.
    let neither = plain().with("Sec-WebSocket-Key", None).and("Origin: http://evil.example");
    assert_eq!(answer(&server, &neither).0.status, 400);
}

#[test]
fn nobody_is_in_the_room_before_the_handshake_is_done() {
    let server = WebServer::start(&[]);
    let mut ana = server.join();
    let mut visitor = server.visit();
    let request = Handshake::new(&server).encode();
    visitor.send(&request[..request.len() - 1]);
    let (refused, _wire) = answer(&server, &Handshake::new(&server).and("Origin: http://evil.example"));
    assert_eq!(refused.status, 403);
    assert_eq!(ana.present(), 1);
    visitor.send(&request[request.len() - 1..]);
    visitor.response().assert_switches(0);
    let mut browser = Browser::over(visitor);
    browser.greeted();
    ana.expect(format!("* {} joined", browser.name()));
    assert_eq!(browser.name(), "client-2", "the refused and the late took no number");
}
