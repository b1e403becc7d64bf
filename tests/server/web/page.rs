//! The page as it is delivered: what its answer says of it, and that it holds what the policy lets run, and no more.

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

use crate::support::http::{Response, WebServer, head};

fn page() -> Response {
    let page = WebServer::start(&[]).ask("GET / HTTP/1.1");
    assert_eq!(page.status, 200);
    page
}

#[test]
fn the_answer_says_what_the_page_is_and_keeps_it_to_itself() {
    let page = page();
    page.assert_field("Content-Type", "text/html; charset=utf-8");
    page.assert_field("X-Content-Type-Options", "nosniff");
    page.assert_field("Referrer-Policy", "no-referrer");
    page.assert_field("Cache-Control", "no-cache");
    page.assert_field("X-Frame-Options", "DENY");
    page.assert_field("Cross-Origin-Resource-Policy", "same-origin");
    page.assert_field("Cross-Origin-Opener-Policy", "same-origin");
    assert_eq!(page.field("Access-Control-Allow-Origin"), None);
    assert!(page.text().starts_with("<!doctype html>") || page.text().starts_with("<!DOCTYPE html>"));
    assert!(page.text().ends_with("</html>\n"), "all of it is there");
}

#[test]
fn a_browser_that_has_the_page_is_not_sent_it_again() {
    let server = WebServer::start(&[]);
    let page = server.ask("GET / HTTP/1.1");
    let tag = page.field("ETag").expect("a tag").to_owned();
    assert!(tag.len() > 10 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let ask = |tags: &str| {
        let mut visit = server.visit();
        let host = server.host_field();
        visit.send(head(&["GET / HTTP/1.1", &host, &format!("If-None-Match: {tags}")]));
        visit.response_head()
    };
    for tags in [&tag, &format!("W/{tag}"), &format!("\"other\" , {tag}"), &"*".to_owned()] {
        let answer = ask(tags);
        assert_eq!((answer.status, answer.field("ETag")), (304, Some(tag.as_str())), "{tags}");
        assert_eq!(answer.field("Content-Security-Policy"), page.field("Content-Security-Policy"));
    }
    for tags in ["\"other\"", "", tag.trim_matches('"')] {
        assert_eq!(ask(tags).status, 200, "{tags}");
    }
}

/// What stands between the tags, of which there must be one pair, without attributes.
#[track_caller]
fn only_element<'a>(page: &'a str, name: &str) -> &'a str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    assert_eq!(page.matches(&format!("<{name}")).count(), 1, "one {name}");
    assert_eq!(page.matches(&close).count(), 1, "one {name}");
    let (_, rest) = page.split_once(&open).unwrap_or_else(|| panic!("{open} has attributes"));
    rest.split_once(&close).expect("it is closed").0
}

fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64.encode(&Sha256::digest(text)))
}

#[test]
fn its_one_script_and_its_one_style_are_all_that_may_run() {
    let page = page();
    let policy = page.field("Content-Security-Policy").expect("a policy");
    // The order of what one allows does not matter.
    let sorted = |directive: &str| {
        let mut words: Vec<&str> = directive.split_whitespace().collect();
        words[1..].sort_unstable();
        words.join(" ")
    };
    let mut directives: Vec<String> = policy.split(';').map(sorted).collect();
    let mut expected = [
        "default-src 'none'",
        &format!("script-src {}", hash(only_element(page.text(), "script"))),
        &format!("style-src {}", hash(only_element(page.text(), "style"))),
        "img-src data:",
        "connect-src 'self' ws: wss:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ];
    directives.sort_unstable();
    expected.sort_unstable();
    assert_eq!(directives, expected);
}

#[test]
fn it_asks_nobody_else_for_anything() {
    let page = page();
    // The name of a language is no place.
    let text = page.text().replace("http://www.w3.org/2000/svg", "").to_lowercase();
    for outside in ["http://", "https://", "src=\"//", "href=\"//", "@import", "url(//", "<iframe", "<object", "<embed"]
    {
        let at = text.find(outside).map(|at| &text[at..text.len().min(at + 60)]);
        assert_eq!(at, None);
    }
}

#[test]
fn it_has_no_handlers_and_no_styles_that_the_policy_would_stop() {
    let page = page();
    // Outside of the script and the style, which may say what they like.
    let markup = page.text().replace(only_element(page.text(), "script"), "");
    let markup = markup.replace(only_element(page.text(), "style"), "");
    for tag in markup.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
        for attribute in tag.split_whitespace().skip(1) {
            let name = attribute.split('=').next().unwrap_or_default();
            assert!(!name.starts_with("on") && name != "style", "<{tag}>");
        }
        assert!(!tag.contains("javascript:"), "<{tag}>");
    }
}

#[test]
fn every_visitor_gets_the_same_bytes() {
    let server = WebServer::start(&[]);
    let first = server.ask("GET / HTTP/1.1").body;
    assert_eq!(server.ask("GET / HTTP/1.1").body, first);
    let mut slow = server.visit();
    slow.push_chopped(super::head(&["GET / HTTP/1.1", &server.host_field()]), 1);
    assert_eq!(slow.response().body, first);
}
