//! Whom a request is for and where it comes from: `Host`, against names that were bound to our address by somebody
//! else, and `Origin`, against pages that are not ours.

use super::{assert_goes_on, assert_is_short_text, status};
use crate::support::http::{Response, WebServer, Wire, handshake, head};
use crate::support::{Member, Server};

#[test]
fn a_host_is_an_address_or_localhost() {
    let server = WebServer::start(&[]);
    let port = server.page().port();
    let with_port = format!("127.0.0.1:{port}");
    for host in [
        &*with_port,
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:65535",
        "192.0.2.7:8080",
        "[::1]",
        "[::1]:8080",
        "[2001:DB8::7]:1",
        "[::ffff:192.0.2.7]",
        "localhost",
        "localhost:8080",
        "LocalHost:8080",
    ] {
        assert_eq!(status(&server, &["GET / HTTP/1.1", &format!("Host: {host}")]), 200, "{host}");
        assert_eq!(status(&server, &["GET / HTTP/1.1", &format!("hOST:{host}  ")]), 200, "{host}");
    }
}

#[test]
fn a_name_that_is_nobodys_is_misdirected() {
    let server = WebServer::start(&[]);
    for host in [
        "evil.example",
        "evil.example:80",
        "evil",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil-localhost",
        "localhost.localdomain",
        "127.0.0.1.nip.io",
        "xn--e1afmkfd",
        // Browsers make addresses of these, and send the address.
        "127.1",
        "0x7f000001",
        "2130706433",
        "127.0.0.1.1",
        "256.0.0.1",
    ] {
        for line in ["GET / HTTP/1.1", "HEAD / HTTP/1.1", "GET /nowhere HTTP/1.1", "POST / HTTP/1.1"] {
            let mut visitor = server.visit();
            visitor.send(head(&[line, &format!("Host: {host}")]));
            let response = if line.starts_with("HEAD") { visitor.response_head() } else { visitor.response() };
            assert_eq!((response.status, &*response.reason), (421, "Misdirected Request"), "{line}, {host}");
            assert_goes_on(&server, &response, &mut visitor);
        }
        let (response, _) = upgraded(&server, handshake(host, &[]));
        assert_eq!(response.status, 421, "{host}");
    }
}

#[test]
fn a_name_of_ours_is_taken_however_it_is_written() {
    let server = WebServer::start(&["--web-host", "chat.example.org", "--web-host", "Relay"]);
    let is_taken = |host: &str| match status(&server, &["GET / HTTP/1.1", &format!("Host: {host}")]) {
        200 => true,
        421 => false,
        other => panic!("{host}: {other}"),
    };
    for host in ["chat.example.org", "chat.example.org:8443", "CHAT.example.ORG", "relay", "relay:1", "localhost"] {
        assert!(is_taken(host), "{host}");
    }
    for host in ["example.org", "a.chat.example.org", "chat.example.org.evil.example", "chatXexample.org", "relay.org"]
    {
        assert!(!is_taken(host), "{host}");
    }
}

#[test]
fn a_name_with_a_dot_at_its_end_is_another_one() {
    let server = WebServer::start(&["--web-host", "chat.example.org"]);
    for host in ["localhost.", "localhost.:8080", "chat.example.org.", "evil.example.", "127.0.0.1.", ".localhost"] {
        assert_eq!(status(&server, &["GET / HTTP/1.1", &format!("Host: {host}")]), 421, "{host}");
    }
}

#[test]
fn what_is_no_host_at_all_makes_a_bad_request() {
    let server = WebServer::start(&[]);
    for host in [
        "127.0.0.1:http",
        "127.0.0.1:99999",
        "127.0.0.1:-1",
        "127.0.0.1:80:80",
        "127.0.0.1/",
        "127.0.0.1 evil.example",
        "127.0.0.1,evil.example",
        "user@127.0.0.1",
        "http://127.0.0.1",
        "::1",
        "[::1",
        "[::1]x",
        "[127.0.0.1]",
        "[localhost]",
        "[]",
        "[fe80::1%25lo]",
        "local host",
        "localhost\\",
        "localhost#",
        "localhost?",
        "\u{e4}",
    ] {
        assert_eq!(status(&server, &["GET / HTTP/1.1", &format!("Host: {host}")]), 400, "{host}");
    }
    let status = status(&server, &["GET / HTTP/1.1", "Host: "]);
    assert!(matches!(status, 400 | 421), "an empty one: {status}");
}

/// The answer to a handshake, and the connection that it came on.
#[track_caller]
fn upgraded(server: &WebServer, request: Vec<u8>) -> (Response, Wire) {
    let mut visitor = server.visit();
    visitor.send(request);
    let response = visitor.response();
    match response.status {
        101 => response.assert_switches(0),
        _ => assert_is_short_text(&response),
    }
    (response, visitor)
}

/// Whether a page from there may come in, through this host.
#[track_caller]
fn may_come(server: &WebServer, host: &str, origin: &str) -> bool {
    let (response, mut visitor) = upgraded(server, handshake(host, &[&format!("Origin: {origin}")]));
    if response.status == 101 {
        return true;
    }
    assert_eq!((response.status, &*response.reason), (403, "Forbidden"), "{origin} at {host}");
    assert_goes_on(server, &response, &mut visitor);
    false
}

#[test]
fn a_page_of_our_own_may_come_in() {
    let server = WebServer::start(&["--web-host", "chat.example.org"]);
    let own = server.page().to_string();
    let page = format!("http://{own}");
    for (host, origin) in [
        (&*own, &*page),
        ("localhost:8080", "http://localhost:8080"),
        ("LOCALHOST:8080", "http://localhost:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("192.0.2.7", "http://192.0.2.7"),
        // The port that is meant when none is named.
        ("192.0.2.7:80", "http://192.0.2.7"),
        ("192.0.2.7", "http://192.0.2.7:80"),
        ("chat.example.org", "http://chat.example.org"),
    ] {
        assert!(may_come(&server, host, origin), "{origin} at {host}");
    }
    // None at all: it is no browser.
    assert_eq!(upgraded(&server, handshake(&own, &[])).0.status, 101);
}

#[test]
fn a_page_of_somebody_else_may_not_come_in() {
    let server = WebServer::start(&["--web-host", "chat.example.org"]);
    let port = server.page().port();
    let own = format!("127.0.0.1:{port}");
    for origin in [
        "http://evil.example",
        "https://evil.example",
        "null",
        "",
        "*",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost",
        "http://chat.example.org",
        "file://",
        "chrome-extension://abcdef",
        &*own,
        &format!("//{own}"),
        &format!("ftp://{own}"),
        &format!("http://{own}.evil.example"),
        &format!("http://evil.example:{port}"),
        &format!("http://{own}@evil.example"),
        &format!("http://evil.example@{own}"),
        &format!("http://evil.example#{own}"),
        &format!("http://{own}/"),
        &format!("http://{own} http://evil.example"),
        &format!("http://evil.example, http://{own}"),
        &format!("http://{own}0"),
        &format!("xhttp://{own}"),
    ] {
        assert!(!may_come(&server, &own, origin), "{origin}");
    }
    // Several of them: whichever would be right.
    let ours = format!("Origin: http://{own}");
    for fields in [[&*ours, "Origin: http://evil.example"], ["Origin: http://evil.example", &ours]] {
        let status = upgraded(&server, handshake(&own, &fields)).0.status;
        assert!(matches!(status, 400 | 403), "{fields:?}: {status}");
    }
}

#[test]
fn a_page_that_was_named_may_come_in() {
    let named = ["--web-origin", "https://chat.example.org", "--web-origin", "http://intranet:8080"];
    let server = WebServer::start(&named);
    let own = server.page().to_string();
    for origin in [
        "https://chat.example.org",
        "https://chat.example.org:443",
        "HTTPS://Chat.Example.Org",
        "http://intranet:8080",
        &format!("http://{own}"),
    ] {
        assert!(may_come(&server, &own, origin), "{origin}");
    }
    for origin in [
        "http://chat.example.org",
        "https://chat.example.org:8443",
        "https://chat.example.org.evil.example",
        "https://a.chat.example.org",
        "https://example.org",
        "http://intranet",
        "https://intranet:8080",
        "null",
    ] {
        assert!(!may_come(&server, &own, origin), "{origin}");
    }
    // A page that may come in is no name of ours.
    assert_eq!(upgraded(&server, handshake("chat.example.org", &["Origin: https://chat.example.org"])).0.status, 421);
}

#[test]
fn the_page_itself_is_shown_to_whoever_is_sent_there() {
    let server = WebServer::start(&[]);
    let link = ["GET / HTTP/1.1", &server.host_field(), "Origin: http://evil.example", "Referer: http://evil.example/"];
    assert_eq!(status(&server, &link), 200);
}

#[test]
fn the_page_can_be_at_several_addresses() {
    let server = WebServer::go_at(Server::builder(), &["127.0.0.1:0", "127.0.0.2:0"]);
    let [first, second] = server.pages() else { panic!("{:?}", server.pages()) };
    assert_eq!([first.ip().to_string(), second.ip().to_string()], ["127.0.0.1", "127.0.0.2"]);
    let mut bodies = server.pages().iter().map(|&page| {
        let mut visitor = Wire::connect(page);
        visitor.send(head(&["GET / HTTP/1.1", &format!("Host: {page}")]));
        visitor.response().body
    });
    assert_eq!(bodies.next(), bodies.next());
}

#[test]
fn the_page_can_be_at_an_address_of_ipv6() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("left out: there is no IPv6 here");
        return;
    }
    let server = WebServer::go_at(Server::builder(), &["[::1]:0"]);
    let page = server.page();
    let line = server.stdout().pop().unwrap_or_default();
    assert_eq!(line, format!("the page is at http://[::1]:{}/", page.port()));
    assert_eq!(server.ask("GET / HTTP/1.1").status, 200);
    assert!(may_come(&server, &page.to_string(), &format!("http://{page}")));
    let mut ana = server.browser();
    assert_eq!(ana.who().len(), 2);
}

#[test]
fn a_refusal_names_the_flag_that_would_allow_it() {
    let server = WebServer::start(&[]);
    let own = server.page().to_string();
    let advice = |line: &str, host: &str, fields: &[&str]| {
        let host = format!("Host: {host}");
        let mut visitor = server.visit();
        visitor.send(head(&[&[line, &host], fields].concat()));
        let response = visitor.response();
        assert_is_short_text(&response);
        (response.status, response.text().trim_end().to_owned())
    };
    for line in ["GET / HTTP/1.1", "POST /ws HTTP/1.1", "GET /ws HTTP/1.1"] {
        let (status, text) = advice(line, "chat.example", &[]);
        assert_eq!((status, text.contains("--web-host")), (421, true), "{text}");
    }
    // A page asks with POST why its WebSocket did not open.
    let post = |origin: &str| advice("POST /ws HTTP/1.1", &own, &[&format!("Origin: {origin}"), "Content-Length: 0"]);
    assert_eq!(post(&format!("http://{own}")), (405, "use GET".to_owned()));
    for origin in ["https://a.example", "null", "http://127.0.0.1:1"] {
        let (status, text) = post(origin);
        assert_eq!((status, text.contains("--web-origin")), (403, true), "{text}");
    }
}
