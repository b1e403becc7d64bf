//! HTTP responses: status lines, header fields and short plain-text bodies.
//!
//! Tests: `tests/server/web/` over TCP, and `tests/fuzz/bodies/site.rs` with a second parser.

use std::fmt::{self, Write as _};
use std::time::SystemTime;

use httpdate::HttpDate;

use super::resource::WebPath;

/// Outcome of a request. Each variant is one status line with one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 101: a WebSocket follows.
    SwitchingProtocols,
    /// 200: the page follows.
    Ok,
    /// 304: the browser has the page already.
    NotModified,
    /// 308: the folder of the page, without the slash at its end.
    PermanentRedirect,
    /// 400: not a valid HTTP/1.x request.
    BadRequest,
    /// 400: the bytes are TLS.
    TlsSpoken,
    /// 400: the bytes are not TLS, on a port that speaks it.
    PlainSpoken,
    /// 400: an HTTP request on the line port.
    LinePort,
    /// 403: `--allow` or `--deny` excludes the address.
    AddressNotAllowed,
    /// 403: a ban holds for the address.
    Banned,
    /// 403: the `Origin` is neither our own nor named by `--web-origin`.
    OriginNotAllowed,
    /// 404: neither the page nor the WebSocket has this path.
    NotFound,
    /// 404: there can be no room of the name in the path or in the query.
    NoSuchRoom,
    /// 405: the page is asked for with another method than GET or HEAD.
    MethodNotAllowed,
    /// 405: the WebSocket is asked for with another method than GET.
    SocketMethodNotAllowed,
    /// 408: the request did not arrive in time.
    RequestTimeout,
    /// 421: the `Host` is neither an address, `localhost` nor named by `--web-host`.
    MisdirectedRequest,
    /// 426: the WebSocket's path without a valid opening handshake.
    UpgradeRequired,
    /// 429: the address has as many connections as it may.
    TooManyRequests,
    /// 431: more than [`HEAD_BYTES_MAX`](super::exchange::HEAD_BYTES_MAX) bytes, or more than 100 fields.
    HeadTooLong,
    /// 503: the server is full.
    ServiceUnavailable,
    /// 505: neither HTTP/1.0 nor HTTP/1.1.
    VersionNotSupported,
}

/// State of the connection after a response (RFC 9112, 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// Another request may follow.
    KeepAlive,
    /// The server closes the connection.
    Close,
}

/// Part of a response that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The head and the body.
    Full,
    /// The head alone, as an answer to HEAD (RFC 9110, 9.3.2).
    HeadOnly,
}

impl Status {
    /// Returns status code and reason phrase (RFC 9110, 15; RFC 6585).
    fn line(self) -> &'static str {
        match self {
            Status::SwitchingProtocols => "101 Switching Protocols",
            Status::Ok => "200 OK",
            Status::NotModified => "304 Not Modified",
            Status::PermanentRedirect => "308 Permanent Redirect",
            Status::BadRequest | Status::TlsSpoken | Status::PlainSpoken | Status::LinePort => "400 Bad Request",
            Status::AddressNotAllowed | Status::Banned | Status::OriginNotAllowed => "403 Forbidden",
            Status::NotFound | Status::NoSuchRoom => "404 Not Found",
            Status::MethodNotAllowed | Status::SocketMethodNotAllowed => "405 Method Not Allowed",
            Status::RequestTimeout => "408 Request Timeout",
            Status::MisdirectedRequest => "421 Misdirected Request",
            Status::UpgradeRequired => "426 Upgrade Required",
            Status::TooManyRequests => "429 Too Many Requests",
            Status::HeadTooLong => "431 Request Header Fields Too Large",
            Status::ServiceUnavailable => "503 Service Unavailable",
            Status::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }

    /// Returns the status code.
    pub fn code(self) -> u16 {
        self.line()[..3].parse().unwrap_or(0)
    }

    /// Returns the text of the body, without its newline and the path of the page.
    pub(super) fn text(self) -> &'static str {
        match self {
            Status::SwitchingProtocols | Status::Ok | Status::NotModified => "",
            Status::PermanentRedirect => "the page is elsewhere",
            Status::BadRequest => "this is not a valid HTTP/1.1 request",
            Status::TlsSpoken => "this port speaks HTTP, not HTTPS: use http://",
            Status::PlainSpoken => "this port speaks HTTPS, not HTTP: use https://",
            Status::LinePort => "this port is for line clients, not for browsers",
            Status::AddressNotAllowed => "connections from your address are not allowed here",
            Status::Banned => "you are banned",
            Status::OriginNotAllowed => {
                "this server is not open to pages of this origin: ask its operator to start it with --web-origin and the origin"
            }
            Status::NotFound => "not found",
            Status::NoSuchRoom => "there can be no room of this name here",
            Status::MethodNotAllowed => "use GET or HEAD",
            Status::SocketMethodNotAllowed => "use GET",
            Status::RequestTimeout => "the request did not arrive in time",
            Status::MisdirectedRequest => {
                "this server does not answer to this name: ask its operator to start it with --web-host and the name"
            }
            Status::UpgradeRequired => "this path is for WebSockets only",
            Status::TooManyRequests => "too many connections from your address",
            Status::HeadTooLong => "the head of the request is too large",
            Status::ServiceUnavailable => "the server is full",
            Status::VersionNotSupported => "this port speaks HTTP/1.1 and HTTP/1.0 only",
        }
    }

    /// Whether the body says where the page is.
    fn names_page(self) -> bool {
        matches!(self, Status::NotFound | Status::NoSuchRoom | Status::UpgradeRequired)
    }

    /// Returns the header fields that this status requires (RFC 9110, 15.5.6 and 15.5.22).
    fn fields(self) -> &'static str {
        match self {
            Status::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            Status::SocketMethodNotAllowed => "Allow: GET\r\n",
            Status::UpgradeRequired => "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
            _ => "",
        }
    }
}

/// Head of a response under construction: the status line, and complete header fields.
#[derive(Debug)]
pub(crate) struct Head {
    text: String,
}

impl Head {
    /// Begins a head with its status line.
    pub(crate) fn new(status: Status) -> Head {
        Head { text: format!("HTTP/1.1 {}\r\n", status.line()) }
    }

    /// Adds the `Date`, which every response needs but those of 1xx and 5xx (RFC 9110, 6.6.1).
    #[must_use]
    pub(crate) fn made_at(self, time: SystemTime) -> Head {
        self.field("Date", HttpDate::from(time))
    }

    /// Adds one field.
    #[must_use]
    pub(crate) fn field(mut self, name: &str, value: impl fmt::Display) -> Head {
        // Writing to a String does not fail.
        let _ = write!(self.text, "{name}: {value}\r\n");
        self
    }

    /// Adds the `Connection` field. HTTP/1.0 needs it to keep a connection, HTTP/1.1 to close one.
    #[must_use]
    pub(crate) fn persistence(self, persistence: Persistence) -> Head {
        let option = match persistence {
            Persistence::KeepAlive => "keep-alive",
            Persistence::Close => "close",
        };
        self.field("Connection", option)
    }

    /// Adds the fields that this status requires.
    fn fields_of(mut self, status: Status) -> Head {
        self.text.push_str(status.fields());
        self
    }

    /// Ends the head and appends `body`, unless the response is a head alone.
    pub(crate) fn with_body(self, body: &[u8], extent: Extent) -> Vec<u8> {
        let body = match extent {
            Extent::Full => body,
            Extent::HeadOnly => &[],
        };
        [self.text.as_bytes(), b"\r\n", body].concat()
    }
}

/// Body of a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body<'a> {
    pub(super) content_type: &'static str,
    pub(super) text: &'a str,
}

/// Returns a plain-text response with the text of `status`. The page is at `path`.
pub(crate) fn plain_text(
    status: Status,
    path: &WebPath,
    time: SystemTime,
    persistence: Persistence,
    extent: Extent,
) -> Vec<u8> {
    if status.names_page() {
        let text = format!("{}; the page is at {path}", status.text());
        say(Head::new(status), status, &text, time, persistence, extent)
    } else {
        say(Head::new(status), status, status.text(), time, persistence, extent)
    }
}

/// Returns the plain-text response to a connection that is refused for this reason, and is closed after it.
pub(crate) fn refusal(status: Status, reason: &str, time: SystemTime) -> Vec<u8> {
    say(Head::new(status), status, reason, time, Persistence::Close, Extent::Full)
}

/// Returns the response to a request for the folder of the page without the slash at its end: the way to `target`, which
/// may hold a query. The text repeats nothing of the request.
pub(crate) fn moved(
    target: &str,
    path: &WebPath,
    time: SystemTime,
    persistence: Persistence,
    extent: Extent,
) -> Vec<u8> {
    let (status, text) = (Status::PermanentRedirect, format!("the page is at {path}"));
    say(Head::new(status).field("Location", target), status, &text, time, persistence, extent)
}

/// Returns the response to a browser that has opened the line port: `page_hint` says where the page is.
pub(crate) fn from_line_port(page_hint: &str, time: SystemTime) -> Vec<u8> {
    let text = format!("{}; {page_hint}", Status::LinePort.text());
    let status = Status::LinePort;
    say(Head::new(status), status, &text, time, Persistence::Close, Extent::Full)
}

/// Returns a response with this body, which no cache may keep.
pub(super) fn with_body(
    status: Status,
    body: Body<'_>,
    time: SystemTime,
    persistence: Persistence,
    extent: Extent,
) -> Vec<u8> {
    end(Head::new(status), status, body, time, persistence, extent)
}

/// Ends a head that was begun with `status`, and adds a text.
fn say(head: Head, status: Status, text: &str, time: SystemTime, persistence: Persistence, extent: Extent) -> Vec<u8> {
    let body = Body { content_type: "text/plain; charset=utf-8", text: &format!("{text}\n") };
    end(head, status, body, time, persistence, extent)
}

fn end(
    head: Head,
    status: Status,
    body: Body<'_>,
    time: SystemTime,
    persistence: Persistence,
    extent: Extent,
) -> Vec<u8> {
    let Body { content_type, text } = body;
    let head = head
        .made_at(time)
        .field("Content-Type", content_type)
        .field("Content-Length", text.len())
        .field("X-Content-Type-Options", "nosniff")
        .field("Cache-Control", "no-store")
        .fields_of(status)
        .persistence(persistence);
    head.with_body(text.as_bytes(), extent)
}
