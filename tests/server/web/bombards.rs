//! The page of the game: its own answer, on servers that may have its room.

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

use super::{answer, assert_goes_on, status};
use crate::support::http::{WebServer, head};

const ASK: &str = "GET /bombards HTTP/1.1";

/// Longest answer with the page, head and body.
const ANSWER_BYTES_MAX: usize = 24 * 1024;

#[test]
fn the_game_has_a_page_of_its_own_with_a_policy_of_its_own() {
    let server = WebServer::quiet(&[]);
    let (chat, game) = (server.ask("GET / HTTP/1.1"), server.ask(ASK));
    assert_eq!((game.status, game.field("Content-Type")), (200, Some("text/html; charset=utf-8")));
    assert!(game.text().starts_with("<!doctype html>"), "{game:?}");
    assert_ne!(game.body, chat.body);
    assert_ne!(game.field("ETag"), chat.field("ETag"));
    let policy = game.field("Content-Security-Policy").expect("a policy");
    for element in ["script", "style"] {
        assert_eq!(game.text().matches(&format!("<{element}")).count(), 1, "one {element}");
        let (_, rest) = game.text().split_once(&format!("<{element}>")).expect("it has no attributes");
        let (text, _) = rest.split_once(&format!("</{element}>")).expect("it is closed");
        let hash = BASE64.encode(&Sha256::digest(text));
        assert!(policy.contains(&format!("{element}-src 'sha256-{hash}'")), "{policy}");
    }
    for field in ["X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy", "Cache-Control"] {
        assert_eq!(game.field(field), chat.field(field), "{field}");
    }
    let text = game.text().replace("http://www.w3.org/2000/svg", "");
    for outside in ["http://", "https://", "src=", "@import", "url(", "<iframe", "innerHTML", " onclick="] {
        assert!(!text.contains(outside), "{outside}");
    }
}

#[test]
fn the_answer_is_small_with_its_head() {
    let server = WebServer::quiet(&[]);
    let mut visitor = server.visit();
    visitor.send(head(&[ASK, &server.host_field(), "Connection: close"]));
    let length = visitor.rest().len();
    assert!((10_000..=ANSWER_BYTES_MAX).contains(&length), "{length} bytes");
}

#[test]
fn a_browser_that_has_the_page_of_the_game_is_not_sent_it_again() {
    let server = WebServer::quiet(&[]);
    let tag = server.ask(ASK).field("ETag").expect("a tag").to_owned();
    let chat = server.ask("GET / HTTP/1.1").field("ETag").expect("a tag").to_owned();
    for (tag, expected) in [(&tag, 304), (&chat, 200)] {
        let mut visitor = server.visit();
        visitor.send(head(&[ASK, &server.host_field(), &format!("If-None-Match: {tag}")]));
        assert_eq!(visitor.response_head().status, expected);
    }
}

#[test]
fn a_server_without_rooms_has_no_game() {
    let server = WebServer::quiet(&[]);
    assert_eq!(status(&server, &["POST /bombards HTTP/1.1", &server.host_field()]), 405);
    for target in ["/bombards/", "/Bombards", "/bombards/ws"] {
        assert_eq!(status(&server, &[&format!("GET {target} HTTP/1.1"), &server.host_field()]), 404, "{target}");
    }
    let mut visitor = server.visit();
    visitor.send(head(&["HEAD /bombards HTTP/1.1", &server.host_field()]));
    assert_eq!(visitor.response_head().status, 200);
    for rooms in ["0", "1"] {
        let server = WebServer::quiet(&["--rooms", rooms]);
        let (response, mut visitor) = answer(&server, head(&[ASK, &server.host_field()]));
        assert_eq!(response.status, 404);
        assert_goes_on(&server, &response, &mut visitor);
    }
}

#[test]
fn the_game_is_below_the_path_of_the_site() {
    let server = WebServer::quiet(&["--web-path", "/chat"]);
    assert_eq!(server.ask("GET /chat/bombards HTTP/1.1").status, 200);
    assert_eq!(status(&server, &[ASK, &server.host_field()]), 404);
}
