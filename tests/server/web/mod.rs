//! The page's port of a real server, byte by byte: what is answered to which request, whom the page is for, and what
//! becomes of those who send something else, too much, or nothing.

mod bombards;
mod crowds;
mod flags;
mod hosts;
mod line_port;
mod page;
mod path;
mod refusals;
mod requests;
mod rooms;
mod times;

use crate::support::http::{Response, WebServer, Wire, head};

/// The answer to these bytes, whatever they are, and the connection that it came on.
#[track_caller]
fn answer(server: &WebServer, request: impl AsRef<[u8]>) -> (Response, Wire) {
    let mut visitor = server.visit();
    visitor.push(request);
    let response = visitor.response();
    if response.status != 200 && response.status != 101 {
        assert_is_short_text(&response);
    }
    (response, visitor)
}

/// The status of the answer to a request of these lines.
#[track_caller]
fn status(server: &WebServer, lines: &[&str]) -> u16 {
    answer(server, head(lines)).0.status
}

/// Says why, for whoever sees it, in a line of plain text.
#[track_caller]
fn assert_is_short_text(response: &Response) {
    let kind = response.field("Content-Type").unwrap_or_default();
    assert!(kind.starts_with("text/plain"), "{response:?}");
    response.assert_field("X-Content-Type-Options", "nosniff");
    let line = response.text().strip_suffix('\n').unwrap_or_else(|| panic!("no line: {response:?}"));
    assert!(!line.is_empty() && line.len() < 200 && !line.contains('\n'), "{line:?}");
    assert!(!line.contains(['<', '>', '&']), "nothing of it could be taken for HTML: {line:?}");
}

/// That the connection ends with this answer: it says so, and then it does, in good order.
#[track_caller]
fn assert_ends(response: &Response, visitor: &mut Wire) {
    assert!(response.is_last(), "{response:?}");
    visitor.expect_end();
}

/// That the connection goes on after this answer: it can be asked for the page.
#[track_caller]
fn assert_goes_on(server: &WebServer, response: &Response, visitor: &mut Wire) {
    assert!(!response.is_last(), "{response:?}");
    visitor.send(head(&["GET / HTTP/1.1", &server.host_field()]));
    assert_eq!(visitor.response().status, 200);
}
