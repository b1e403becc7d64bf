//! `--web-path`: the page, its rooms and its WebSocket below a path, and nothing beside it.

use super::{answer, assert_goes_on};
use crate::support::http::{WebServer, handshake, head};
use crate::support::ws_client::Browser;
use crate::support::{Lines, Member};

#[test]
fn all_that_the_page_needs_is_below_the_path() {
    let server = WebServer::quiet(&["--web-path", "/chat/"]);
    assert!(server.stdout()[1].ends_with("/chat/"), "{:?}", server.stdout());
    let page = server.ask("GET /chat/ HTTP/1.1");
    assert_eq!(page.status, 200);
    assert!(server.ask("GET /chat/r/rust HTTP/1.1").body == page.body, "rooms are below it, too");
    let mut wire = server.visit();
    let request = String::from_utf8(handshake(server.page(), &[])).expect("UTF-8");
    wire.send(request.replace("/ws", "/chat/ws?room=rust"));
    wire.response().assert_switches(0);
    let mut ana = Browser::over(wire);
    ana.greeted();
    ana.expect("* you are in rust, alone");
}

#[test]
fn beside_the_path_there_is_nothing() {
    let server = WebServer::quiet(&["--web-path", "/a/chat"]);
    for target in ["/", "/ws", "/r/rust", "/a", "/a/", "/a/chatter", "/a/chat/x", "/a/chat//", "/A/chat/", "/a/chat/r/"]
    {
        let (response, mut visitor) = answer(&server, head(&[&format!("GET {target} HTTP/1.1"), &server.host_field()]));
        assert_eq!(response.status, 404, "{target}");
        assert!(response.text().ends_with("; the page is at /a/chat/\n"), "{target}: {}", response.text());
        visitor.send(head(&["GET /a/chat/ HTTP/1.1", &server.host_field()]));
        assert_eq!(visitor.response().status, 200);
    }
    let mut visitor = server.visit();
    visitor.send(handshake(server.page(), &[]));
    assert_eq!(visitor.response().status, 404, "no WebSocket at /ws");
    let mut lost = server.connect();
    lost.send_line("GET / HTTP/1.1");
    lost.lines_until(|line| line.ends_with(&format!("the page is at http://{}/a/chat/", server.page())));
}

#[test]
fn the_path_without_its_slash_leads_to_the_page() {
    let server = WebServer::quiet(&["--web-path", "/chat"]);
    for (request, location) in [
        ("GET /chat", "/chat/"),
        ("GET /chat?name=ana&x", "/chat/?name=ana&x"),
        ("GET /chat?", "/chat/"),
        ("POST /chat", "/chat/"),
    ] {
        let (response, mut visitor) = answer(&server, head(&[&format!("{request} HTTP/1.1"), &server.host_field()]));
        assert_eq!(response.status, 308, "{request}");
        response.assert_field("Location", location);
        visitor.send(head(&[&format!("GET {location} HTTP/1.1"), &server.host_field()]));
        assert_eq!(visitor.response().status, 200, "{location}");
    }
    let stranger = answer(&server, head(&["GET /chat HTTP/1.1", "Host: evil.example"])).0;
    assert_eq!(stranger.status, 421, "the host is checked first");
}

#[test]
fn the_root_is_a_path_like_others() {
    let server = WebServer::quiet(&["--web-path", "/"]);
    let (response, mut visitor) = answer(&server, head(&["GET /x HTTP/1.1", &server.host_field()]));
    assert_eq!((response.status, response.text()), (404, "not found; the page is at /\n"));
    assert_goes_on(&server, &response, &mut visitor);
}
