//! Requests: which there are, how they are written, and how several go over one connection.

use std::time::{Duration, SystemTime};

use super::{answer, assert_ends, assert_goes_on, status};
use crate::support::http::{Response, WebServer, Wire, head};

#[test]
fn the_page_is_answered_to_get_and_to_head_whatever_the_query() {
    let server = WebServer::start(&[]);
    let page = server.ask("GET / HTTP/1.1");
    assert_eq!((page.status, &*page.reason), (200, "OK"));
    for target in ["/?", "/?name=ana", "/?a=b&c=%00/../"] {
        let asked = server.ask(&format!("GET {target} HTTP/1.1"));
        assert_eq!((asked.status, asked.body == page.body), (200, true), "{target}");
    }
    let mut visitor = server.visit();
    visitor.send(head(&["HEAD / HTTP/1.1", &server.host_field()]));
    let headed = visitor.response_head();
    assert_eq!(headed.status, 200);
    assert_eq!(headed.field("Content-Length"), page.field("Content-Length"));
    assert_eq!(headed.field("Content-Security-Policy"), page.field("Content-Security-Policy"));
    // Had a body come, this would be no answer.
    assert_goes_on(&server, &headed, &mut visitor);
}

#[test]
fn every_answer_says_when_it_was_given() {
    let server =
        WebServer::go_at(crate::support::Server::builder().flags(["--max-per-address", "8"]), &["127.0.0.1:0"]);
    let began = SystemTime::now() - Duration::from_secs(1);
    let assert_dated = |response: &Response| {
        let date = response.field("Date").and_then(|date| httpdate::parse_http_date(date).ok());
        // A date has no fractions of a second.
        assert!(date.is_some_and(|date| began <= date && date <= SystemTime::now()), "{response:?}");
    };
    for request in ["GET / HTTP/1.1", "HEAD / HTTP/1.1", "GET /x HTTP/1.1", "PUT / HTTP/1.1", "GET /ws HTTP/1.1", "GET"]
    {
        let mut visitor = server.visit();
        visitor.send(head(&[request, &server.host_field()]));
        assert_dated(&visitor.response_head());
    }
    let mut at_line_port = Wire::connect(server.address());
    at_line_port.send(head(&["GET / HTTP/1.1"]));
    assert_dated(&at_line_port.response());
    // One more than may be in from here is answered without having asked.
    let _visitors: Vec<Wire> = (0..8).map(|_| server.visit()).collect();
    let refused = server.visit().response();
    assert_eq!(refused.status, 429);
    assert_dated(&refused);
}

#[test]
fn an_unknown_path_is_not_found() {
    let server = WebServer::start(&[]);
    for target in
        ["/favicon.ico", "/ws/", "/WS", "/index.html", "//", "/%2f", "/..", "/ws%20", "/wss", "/?/ws/../x/", "*"]
    {
        let (response, mut visitor) = answer(&server, head(&[&format!("GET {target} HTTP/1.1"), &server.host_field()]));
        let expected = if target.starts_with("/?") { 200 } else { 404 };
        assert_eq!(response.status, expected, "{target}");
        assert_goes_on(&server, &response, &mut visitor);
    }
    let (response, _) = answer(&server, head(&["POST /nowhere HTTP/1.1", &server.host_field()]));
    assert_eq!(response.status, 404, "the path is looked at before the method");
    let mut visitor = server.visit();
    visitor.send(head(&["HEAD /nowhere HTTP/1.1", &server.host_field()]));
    let headed = visitor.response_head();
    assert_eq!(headed.status, 404);
    assert_goes_on(&server, &headed, &mut visitor);
}

#[test]
fn another_method_is_not_allowed_and_told_which_are() {
    let server = WebServer::start(&[]);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "BREW", "M-SEARCH"] {
        for (path, allowed) in [("/", "GET, HEAD"), ("/ws", "GET")] {
            let (response, mut visitor) =
                answer(&server, head(&[&format!("{method} {path} HTTP/1.1"), &server.host_field()]));
            assert_eq!((response.status, &*response.reason), (405, "Method Not Allowed"), "{method} {path}");
            response.assert_field("Allow", allowed);
            assert_goes_on(&server, &response, &mut visitor);
        }
    }
    let mut visitor = server.visit();
    visitor.send(head(&["HEAD /ws HTTP/1.1", &server.host_field()]));
    let headed = visitor.response_head();
    assert_eq!(headed.status, 405);
    headed.assert_field("Allow", "GET");
    assert_goes_on(&server, &headed, &mut visitor);
}

#[test]
fn a_connection_is_kept_and_requests_are_answered_one_after_another() {
    let server = WebServer::start(&[]);
    let mut visitor = server.visit();
    for round in 0..20 {
        visitor.send(head(&["GET / HTTP/1.1", &server.host_field()]));
        assert_eq!(visitor.response().status, 200, "round {round}");
        visitor.send(head(&["GET /nowhere HTTP/1.1", &server.host_field()]));
        assert_eq!(visitor.response().status, 404, "round {round}");
    }
    visitor.send(head(&["GET / HTTP/1.1", &server.host_field(), "Connection: close"]));
    let last = visitor.response();
    assert_eq!(last.status, 200);
    assert_ends(&last, &mut visitor);
}

#[test]
fn requests_in_one_segment_are_answered_in_their_order() {
    let server = WebServer::start(&[]);
    let host = server.host_field();
    let all = [
        head(&["GET /1 HTTP/1.1", &host]),
        head(&["GET / HTTP/1.1", &host]),
        head(&["POST / HTTP/1.1", &host]),
        head(&["GET /ws HTTP/1.1", &host]),
        head(&["GET /?2 HTTP/1.1", &host, "Connection: close"]),
        head(&["GET /never HTTP/1.1", &host]),
    ];
    // However they are cut: at once, in the middle of the third, byte by byte.
    for size in [usize::MAX, 90, 1] {
        let mut visitor = server.visit();
        visitor.push_chopped(all.concat(), size);
        let statuses = [(); 5].map(|()| visitor.response().status);
        assert_eq!(statuses, [404, 200, 405, 426, 200], "in pieces of {size}");
        visitor.expect_end();
    }
    // So many that the answers are more than the kernel holds for one who sends first and reads then.
    let mut visitor = server.visit();
    let count = 500;
    let mut requests = head(&["GET / HTTP/1.1", &host]).repeat(count);
    requests.extend(head(&["GET /last HTTP/1.1", &host, "Connection: close"]));
    let mut sender = visitor.stream().try_clone().expect("a second descriptor");
    std::thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut sender, &requests).expect("all of it is taken"));
        (0..count).for_each(|_| assert_eq!(visitor.response().status, 200));
        let last = visitor.response();
        assert_eq!(last.status, 404);
        assert_ends(&last, &mut visitor);
    });
}

#[test]
fn http_1_0_is_answered_once_unless_it_asks_for_more() {
    let server = WebServer::start(&[]);
    for fields in [&["GET / HTTP/1.0"][..], &["GET / HTTP/1.0", &server.host_field()]] {
        let (response, mut visitor) = answer(&server, head(fields));
        assert_eq!(response.status, 200, "{fields:?}");
        assert_ends(&response, &mut visitor);
    }
    let (response, mut visitor) = answer(&server, head(&["GET / HTTP/1.0", "Host: evil.example"]));
    assert_eq!(response.status, 421);
    assert_ends(&response, &mut visitor);
    for token in ["keep-alive", "Keep-Alive", "foo, keep-alive"] {
        let kept = head(&["GET / HTTP/1.0", &server.host_field(), &format!("Connection: {token}")]);
        let (response, mut visitor) = answer(&server, &kept);
        assert_eq!(response.status, 200);
        response.assert_field("Connection", "keep-alive");
        visitor.send(kept);
        assert_eq!(visitor.response().status, 200);
    }
}

#[test]
fn a_connection_ends_when_its_client_asks_for_that_in_whatever_words() {
    let server = WebServer::start(&[]);
    for fields in [
        &["Connection: close"][..],
        &["connection: Close"],
        &["Connection: x, close ,y"],
        &["Connection: keep-alive", "Connection: close"],
    ] {
        let host = server.host_field();
        let lines = [&["GET / HTTP/1.1", &host][..], fields].concat();
        let (response, mut visitor) = answer(&server, head(&lines));
        assert_eq!(response.status, 200, "{fields:?}");
        assert_ends(&response, &mut visitor);
    }
    // One who ends its half is answered all that it asked, and then it is over.
    let mut visitor = server.visit();
    visitor.send(head(&["GET / HTTP/1.1", &server.host_field()]).repeat(2));
    visitor.half_close();
    assert_eq!([(); 2].map(|()| visitor.response().status), [200, 200]);
    visitor.expect_end();
}

#[test]
fn a_request_with_a_body_is_answered_and_nothing_of_the_body_is_a_request() {
    let server = WebServer::start(&[]);
    let host = server.host_field();
    let smuggled = head(&["GET /smuggled HTTP/1.1", &host]);
    let length = format!("Content-Length: {}", smuggled.len());
    for (line, expected) in [("GET / HTTP/1.1", 200), ("POST / HTTP/1.1", 405), ("PUT /x HTTP/1.1", 404)] {
        for field in [&*length, "Transfer-Encoding: gzip, Chunked", "Content-Length: 99999999999999999999"] {
            let request = [head(&[line, &host, field]), smuggled.clone()].concat();
            let (response, mut visitor) = answer(&server, request);
            assert_eq!(response.status, expected, "{line}, {field}: {response:?}");
            assert_ends(&response, &mut visitor);
        }
    }
    // It may be sent while the answer is on its way, and more of it than anybody wants.
    let mut visitor = server.visit();
    visitor.send(head(&["POST /ws HTTP/1.1", &host, "Content-Length: 1000000"]));
    visitor.push(vec![b'x'; 1_000_000]);
    let response = visitor.response();
    assert_eq!(response.status, 405);
    assert_ends(&response, &mut visitor);
}

#[test]
fn an_ambiguous_length_is_never_a_way_to_hide_a_request() {
    let server = WebServer::start(&[]);
    let host = server.host_field();
    let smuggled = head(&["GET /smuggled HTTP/1.1", &host]);
    for fields in [
        &["Content-Length: 0", "Content-Length: 40"][..],
        &["Content-Length: 0, 40"],
        &["Content-Length: +0"],
        &["Content-Length: -1"],
        &["Content-Length: 0x0"],
        &["Content-Length: "],
        &["Content-Length: 0", "Transfer-Encoding: chunked"],
        &["Transfer-Encoding: identity"],
        &["Transfer-Encoding: xchunked"],
        &["Transfer-Encoding : chunked"],
        &["Transfer-Encoding: chunked", "Transfer-Encoding: gzip"],
    ] {
        let lines = [&["GET / HTTP/1.1", &host][..], fields].concat();
        let (response, mut visitor) = answer(&server, [head(&lines), smuggled.clone()].concat());
        assert_eq!(response.status, 400, "{fields:?}: {response:?}");
        assert_ends(&response, &mut visitor);
    }
}

#[test]
fn what_is_no_request_is_a_bad_one_and_ends_the_connection() {
    let server = WebServer::start(&[]);
    let host = server.host_field();
    let with = |field: &[u8]| [b"GET / HTTP/1.1\r\n", host.as_bytes(), b"\r\n", field, b"\r\n\r\n"].concat();
    let requests: Vec<Vec<u8>> = vec![
        // A TLS hello does not have to wait for the end of a head that will never come.
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"GET /\r\n\r\n".to_vec(),
        b"GET HTTP/1.1\r\n\r\n".to_vec(),
        head(&["GET / x HTTP/1.1", &host]),
        head(&["GET / HTTP/1.1 x", &host]),
        head(&["GET /\u{e4} HTTP/1.1\0", &host]),
        head(&["G\u{e4}T / HTTP/1.1", &host]),
        head(&["GET /\0 HTTP/1.1", &host]),
        head(&["GET /\u{7f} HTTP/1.1", &host]),
        head(&["(GET) / HTTP/1.1", &host]),
        head(&["GET / HTTP/1.1", " Host: 127.0.0.1"]),
        head(&["GET / HTTP/1.1"]),
        head(&["GET / HTTP/1.1", &host, &host]),
        head(&["GET / HTTP/1.1", &host, "Host: evil.example"]),
        with(b"no colon"),
        with(b": no name"),
        with(b"X : space before the colon"),
        with(b"X: folded\r\n over two lines"),
        with(b"X: folded\r\n\tby a tab"),
        with(b"X Y: space in the name"),
        with("\u{e4}: not ASCII".as_bytes()),
        with(b"X: a NUL \0"),
        with(b"X: a bell \x07"),
        with(b"X: a lone CR\rY: 1"),
        with(b"X\0: 1"),
        with(b"(X): 1"),
    ];
    for request in requests {
        let (response, mut visitor) = answer(&server, &request);
        assert_eq!(
            (response.status, &*response.reason),
            (400, "Bad Request"),
            "{:?}",
            String::from_utf8_lossy(&request)
        );
        assert_ends(&response, &mut visitor);
    }
}

#[test]
fn what_has_no_beginning_of_a_request_is_a_bad_one_or_takes_too_long() {
    let server = WebServer::start(&[]);
    let beginnings = [&b"\x00\x01\x00\x00\x21\x12\xa4\x42"[..], b"\0", b"\xff\xfe\xfd", b"SSH-2.0-x\r\n", b"hello\n"];
    let mut visitors = beginnings.map(|beginning| {
        let mut visitor = server.visit();
        visitor.send(beginning);
        visitor
    });
    for visitor in &mut visitors {
        let response = visitor.response();
        assert!(matches!(response.status, 400 | 408), "{response:?}");
        assert_ends(&response, visitor);
    }
}

#[test]
fn another_version_of_http_is_not_supported() {
    let server = WebServer::start(&[]);
    let host = server.host_field();
    let requests = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        head(&["GET / HTTP/2.0", &host]),
        head(&["GET / HTTP/3.0", &host]),
        head(&["GET / HTTP/0.9", &host]),
        head(&["GET / HTTP/1.2", &host]),
    ];
    for request in requests {
        let (response, mut visitor) = answer(&server, &request);
        let reason = "HTTP Version Not Supported";
        assert_eq!((response.status, &*response.reason), (505, reason), "{:?}", String::from_utf8_lossy(&request));
        assert_ends(&response, &mut visitor);
    }
}

#[test]
fn nothing_of_a_request_comes_back_in_an_answer() {
    let server = WebServer::start(&[]);
    let host = server.host_field();
    for lines in [
        &["GET /injected%0d%0aSet-Cookie:%20injected=1 HTTP/1.1", &host][..],
        &["INJECTED / HTTP/1.1", &host],
        &["GET / HTTP/1.1", "Host: injected.example"],
        &["GET / HTTP/1.1", &host, "X-Injected: <b>"],
        &["GET / HTTP/1.1", &host, "injected"],
        &["GET /?<script>injected</script> HTTP/1.1", &host],
    ] {
        let (response, _) = answer(&server, head(lines));
        let shown = format!("{response:?} {}", response.text()).to_lowercase();
        assert!(!shown.contains("injected"), "{lines:?}: {response:?}");
        assert_eq!(response.field("Set-Cookie"), None);
    }
}

#[test]
fn an_empty_line_before_a_request_is_passed_over() {
    let server = WebServer::start(&[]);
    let request = head(&["GET / HTTP/1.1", &server.host_field()]);
    let (response, mut visitor) = answer(&server, [b"\r\n", &*request].concat());
    assert_eq!(response.status, 200);
    visitor.send([b"\r\n", &*request].concat());
    assert_eq!(visitor.response().status, 200);
}

#[test]
fn lines_that_end_with_a_bare_lf_are_lines() {
    let server = WebServer::start(&[]);
    let request = format!("GET / HTTP/1.1\n{}\n\n", server.host_field());
    assert_eq!(answer(&server, request).0.status, 200);
    let request = format!("GET / HTTP/1.1\n{}\n\nGET /x HTTP/1.1\n{}\n\n", server.host_field(), server.host_field());
    let (_, mut visitor) = answer(&server, request);
    assert_eq!(visitor.response().status, 404);
}

#[test]
fn a_full_address_can_stand_where_a_path_does() {
    let server = WebServer::start(&[]);
    let (page, host) = (server.page(), server.host_field());
    let asked = |target: &str, host: &str| status(&server, &[&format!("GET {target} HTTP/1.1"), host]);
    assert_eq!(asked(&format!("http://{page}/"), &host), 200);
    assert_eq!(asked(&format!("http://{page}/?x"), &host), 200);
    assert_eq!(asked(&format!("http://{page}/nowhere"), &host), 404);
    assert_eq!(asked(&format!("http://{page}/ws"), &host), 426);
    // It says whom the request is for, whatever the field says (RFC 9112, 3.2.2).
    assert_eq!(asked("http://evil.example/", &host), 421);
    assert_eq!(asked(&format!("http://{page}/"), "Host: evil.example"), 200);
    for target in ["http://", "http:///", "http://a b/", "ftp:", "evil.example:80", "http://x@127.0.0.1:y/", "ws", "?"]
    {
        let status = asked(target, &host);
        assert!((400..500).contains(&status), "{target}: {status}");
    }
    assert_eq!(status(&server, &["OPTIONS * HTTP/1.1", &host]), 404);
    assert!((400..500).contains(&status(&server, &["CONNECT 127.0.0.1:80 HTTP/1.1", &host])));
}
