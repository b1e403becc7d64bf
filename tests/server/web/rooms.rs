//! The page and the WebSocket of a room, whose name is in the request.

use super::{answer, assert_goes_on, status};
use crate::support::http::{WebServer, handshake, head};
use crate::support::ws_client::Browser;
use crate::support::{Lines, Member};

/// A browser that asks for the WebSocket with this query. Has taken nothing yet.
fn browser(server: &WebServer, query: &str) -> Browser {
    let request = String::from_utf8(handshake(server.page(), &[])).expect("UTF-8");
    let mut wire = server.visit();
    wire.send(request.replace("/ws", &format!("/ws?{query}")).into_bytes());
    wire.response().assert_switches(0);
    Browser::over(wire)
}

#[test]
fn the_page_of_a_room_is_the_page() {
    let server = WebServer::quiet(&["--room", "help"]);
    let page = server.ask("GET / HTTP/1.1");
    for target in ["/r/rust", "/r/lobby", "/r/HELP", "/r/%D0%B4%D0%BE%D0%BC", "/r/%72ust?room=a", "/r/e%CC%81"] {
        let asked = server.ask(&format!("GET {target} HTTP/1.1"));
        assert_eq!((asked.status, asked.body == page.body), (200, true), "{target}");
        assert_eq!(asked.field("Content-Security-Policy"), page.field("Content-Security-Policy"));
    }
    assert_eq!(status(&server, &["POST /r/rust HTTP/1.1", &server.host_field()]), 405);
    // The page alone opens no room.
    let mut ana = server.join();
    ana.send_line("/rooms");
    assert_eq!(ana.lines_until(|line| line.ends_with(" rooms")).len(), 3);
}

#[test]
fn a_name_that_no_room_can_have_is_not_found() {
    let server = WebServer::quiet(&["--room", "help"]);
    let long = "a".repeat(25);
    for name in ["", "1obby", "he1p", "server", "client-7", "a%20b", "a+b", "a%2Fb", "%zz", "%ff", "..", &long] {
        let mut lines = vec![format!("GET /r/{name} HTTP/1.1"), server.host_field()];
        let (response, mut visitor) = answer(&server, head(&lines));
        assert_eq!(response.status, 404, "{name}");
        assert_goes_on(&server, &response, &mut visitor);
        // The page asks with POST why its WebSocket did not open.
        for request in ["GET", "POST"] {
            lines[0] = format!("{request} /ws?room={name} HTTP/1.1");
            let (response, mut visitor) = answer(&server, head(&lines));
            assert_eq!(response.status, 404, "{request} {name}");
            assert_eq!(response.text(), "there can be no room of this name here; the page is at /\n");
            assert_goes_on(&server, &response, &mut visitor);
        }
    }
    for target in ["/r", "/r/", "/r/rust/", "/r/rust/ws", "/R/rust", "/rust", "/ws?room=a&room=a", "/ws?room"] {
        assert_eq!(status(&server, &[&format!("GET {target} HTTP/1.1"), &server.host_field()]), 404, "{target}");
    }
    for rooms in ["0", "1"] {
        let server = WebServer::quiet(&["--rooms", rooms]);
        for (target, expected) in [("/r/lobby", 200), ("/r/rust", 404), ("/ws?room=LOBBY", 426), ("/ws?room=a", 404)] {
            assert_eq!(status(&server, &[&format!("GET {target} HTTP/1.1"), &server.host_field()]), expected);
        }
    }
}

#[test]
fn browsers_and_clients_of_one_room_hear_each_other_and_no_other_room() {
    let server = WebServer::quiet(&[]);
    let (mut ana, mut bob) = (server.join(), server.join());
    bob.send_line("/join дом");
    bob.expect("* you are in дом, alone");
    let mut cia = browser(&server, "name=cia&room=%D0%94%D0%BE%D0%BC");
    cia.greeted();
    cia.expect("* you are in дом, with 1 other");
    cia.say("in here");
    bob.expect(cia.says("in here"));
    bob.send_line("here too");
    cia.expect(bob.says("here too"));
    cia.say("/join lobby");
    cia.expect("* you are in lobby, with 1 other");
    cia.say("out again");
    ana.expect(cia.says("out again"));
    bob.send_line("/who");
    bob.lines_until(|line| line == "* 1 here");
}

#[test]
fn a_browser_for_whose_room_there_is_no_place_is_told_in_its_own_words() {
    let server = WebServer::quiet(&["--rooms", "2"]);
    let mut ana = browser(&server, "room=rust");
    ana.greeted();
    let mut refused = browser(&server, "room=go");
    refused.expect("* there are 2 rooms already");
    refused.expect_farewell(1013);
    let mut bob = browser(&server, "room=RUST");
    bob.greeted();
    bob.expect("* you are in rust, with 1 other");
}
