//! What a visitor is answered: a status, and a short text or the page.

use std::fmt::{self, Write as _};
use std::time::SystemTime;

use httpdate::HttpDate;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// What follows is a WebSocket.
    SwitchingProtocols,
    /// Here it is.
    Ok,
    /// It is no request.
    BadRequest,
    /// TLS was spoken.
    TlsSpoken,
    /// The page's port is another one.
    LinePort,
    /// Nobody may come from that address.
    AddressNotAllowed,
    /// The page that asks is not of those that may.
    OriginNotAllowed,
    /// There is no such thing.
    NotFound,
    /// The page cannot be asked for in that way.
    MethodNotAllowed,
    /// Nor can a WebSocket.
    SocketMethodNotAllowed,
    /// It did not come in time.
    RequestTimeout,
    /// It was sent to somebody else.
    MisdirectedRequest,
    /// Over a WebSocket alone.
    UpgradeRequired,
    /// As many as may be are in from that address.
    TooManyRequests,
    /// It is longer than a request has to be.
    HeadTooLong,
    /// The house is full.
    ServiceUnavailable,
    /// It is in a version of HTTP that is not spoken here.
    VersionNotSupported,
}

impl Status {
    /// Its number, and what it is called (RFC 9110, 15; RFC 6585).
    fn line(self) -> &'static str {
        match self {
            Status::SwitchingProtocols => "101 Switching Protocols",
            Status::Ok => "200 OK",
            Status::BadRequest | Status::TlsSpoken | Status::LinePort => "400 Bad Request",
            Status::AddressNotAllowed | Status::OriginNotAllowed => "403 Forbidden",
            Status::NotFound => "404 Not Found",
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

    /// What it is told in words.
    fn text(self) -> &'static str {
        match self {
            Status::SwitchingProtocols | Status::Ok => "",
            Status::BadRequest => "this is not a request as HTTP/1.1 has it",
            Status::TlsSpoken => "this port speaks http, not https",
            Status::LinePort => "this is the port for clients that speak in lines",
            Status::AddressNotAllowed => "connections from your address are not allowed here",
            Status::OriginNotAllowed => "this page may not open the chat (see --web-origin)",
            Status::NotFound => "there is nothing here; the page is at /",
            Status::MethodNotAllowed | Status::SocketMethodNotAllowed => "this can only be fetched",
            Status::RequestTimeout => "the request took too long",
            Status::MisdirectedRequest => "this server is not known by that name (see --web-host)",
            Status::UpgradeRequired => "this is where the page's WebSocket is opened; the page is at /",
            Status::TooManyRequests => "too many connections from your address",
            Status::HeadTooLong => "the request is too long",
            Status::ServiceUnavailable => "the server is full",
            Status::VersionNotSupported => "this port speaks HTTP/1.1",
        }
    }

    /// Fields that belong to it.
    fn fields(self) -> &'static str {
        match self {
            Status::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            Status::SocketMethodNotAllowed => "Allow: GET\r\n",
            Status::UpgradeRequired => "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
            _ => "",
        }
    }
}

/// The head of an answer, up to its last field.
#[derive(Debug)]
pub struct Head {
    text: String,
}

impl Head {
    /// One that begins with this status.
    pub fn new(status: Status) -> Head {
        Head { text: format!("HTTP/1.1 {}\r\n", status.line()) }
    }

    /// With the time at which it is made, which every answer tells that is not about the connection alone (RFC 9110,
    /// 6.6.1).
    #[must_use]
    pub fn made_at(self, time: SystemTime) -> Head {
        self.field("Date", HttpDate::from(time))
    }

    /// With one more field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl fmt::Display) -> Head {
        // Writing to a String does not fail.
        let _ = write!(self.text, "{name}: {value}\r\n");
        self
    }

    /// With what becomes of the connection. That it is kept goes without saying in HTTP/1.1, but not in HTTP/1.0.
    #[must_use]
    pub fn ending(self, is_last: bool) -> Head {
        self.field("Connection", if is_last { "close" } else { "keep-alive" })
    }

    /// With the fields that belong to this status.
    fn fields_of(mut self, status: Status) -> Head {
        self.text.push_str(status.fields());
        self
    }

    /// As it is sent, with `body` behind it.
    pub fn with_body(self, body: &[u8]) -> Vec<u8> {
        [self.text.as_bytes(), b"\r\n", body].concat()
    }
}

/// A short answer in words, after which the connection is kept or not.
pub fn in_words(status: Status, time: SystemTime, is_last: bool, has_body: bool) -> Vec<u8> {
    say(status, status.text(), time, is_last, has_body)
}

/// The answer to a browser that has opened the port for lines.
pub fn from_line_port(where_the_page_is: &str, time: SystemTime) -> Vec<u8> {
    let text = format!("{}; {where_the_page_is}", Status::LinePort.text());
    say(Status::LinePort, &text, time, true, true)
}

fn say(status: Status, text: &str, time: SystemTime, is_last: bool, has_body: bool) -> Vec<u8> {
    let body = format!("{text}\n");
    let head = Head::new(status)
        .made_at(time)
        .field("Content-Type", "text/plain; charset=utf-8")
        .field("Content-Length", body.len())
        .field("X-Content-Type-Options", "nosniff")
        .field("Cache-Control", "no-store")
        .fields_of(status)
        .ending(is_last);
    head.with_body(if has_body { body.as_bytes() } else { &[] })
}
