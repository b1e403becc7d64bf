//! The page itself, and what every request is answered.

use std::net::SocketAddr;
use std::time::SystemTime;

use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use tungstenite::handshake::derive_accept_key;

use super::origin::OriginPolicy;
use super::page::PAGE;
use super::request::Request;
use super::response::{self, Head, Status, in_words};

/// The longest answer, in bytes: the page, and what is said of it.
pub const ANSWER_BYTES_MAX: usize = 48 * 1024;

/// What the page's head may take of that, in bytes.
const HEAD_BYTES: usize = 2 * 1024;

const _: () = assert!(PAGE.len() + HEAD_BYTES <= ANSWER_BYTES_MAX, "the page is too long for what is reckoned with");

/// Where its WebSocket is opened.
const SOCKET_PATH: &str = "/ws";

/// Where it is.
const PAGE_PATH: &str = "/";

/// All that is answered.
#[derive(Debug)]
pub struct Site {
    origin_policy: OriginPolicy,
    policy: String,
    where_the_page_is: String,
    clock: Clock,
}

/// What tells the time of day, which is said in every answer.
pub type Clock = fn() -> SystemTime;

/// What becomes of a request.
#[derive(Debug)]
pub struct Answer {
    /// What is written.
    pub bytes: Vec<u8>,
    /// What follows it.
    pub next: AfterAnswer,
}

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterAnswer {
    /// Another request.
    Request,
    /// The end.
    End,
    /// A WebSocket.
    WebSocket,
}

impl Answer {
    /// What one is answered where there is no page.
    pub fn empty() -> Answer {
        Answer { bytes: Vec::new(), next: AfterAnswer::End }
    }
}

impl Site {
    /// One whose page is at these addresses.
    pub fn new(origin_policy: OriginPolicy, addresses: &[SocketAddr], clock: Clock) -> Site {
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; connect-src 'self' ws: wss:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; trusted-types 'none'",
            hash_of(PAGE, "script"),
            hash_of(PAGE, "style"),
        );
        Site { origin_policy, policy, where_the_page_is: where_the_page_is(addresses), clock }
    }

    /// What a browser is answered that has opened the port for lines.
    pub fn answer_at_line_port(&self) -> Vec<u8> {
        response::from_line_port(&self.where_the_page_is, (self.clock)())
    }

    /// What somebody is answered whose request there is no more to say about.
    pub fn refuse(&self, status: Status) -> Answer {
        Answer { bytes: in_words(status, (self.clock)(), true, true), next: AfterAnswer::End }
    }

    /// What a request with this head is answered.
    pub fn answer(&self, head: &[u8]) -> Answer {
        match Request::parse(head) {
            Ok(request) => self.answer_request(&request),
            Err(status) => self.refuse(status),
        }
    }

    fn answer_request(&self, request: &Request<'_>) -> Answer {
        let is_head = request.method == "HEAD";
        let words = |status| {
            let is_last = request.is_last || status == Status::BadRequest;
            let next = if is_last { AfterAnswer::End } else { AfterAnswer::Request };
            Answer { bytes: in_words(status, (self.clock)(), is_last, !is_head), next }
        };
        if request.authority.as_ref().is_some_and(|authority| !self.origin_policy.allows_host(authority)) {
            return words(Status::MisdirectedRequest);
        }
        match (request.path, request.method) {
            (PAGE_PATH, "GET" | "HEAD") => {
                let bytes = self.page(request.is_last, !is_head);
                Answer { bytes, next: if request.is_last { AfterAnswer::End } else { AfterAnswer::Request } }
            }
            (SOCKET_PATH, "GET") => self.open(request).unwrap_or_else(words),
            (PAGE_PATH, _) => words(Status::MethodNotAllowed),
            (SOCKET_PATH, _) => words(Status::SocketMethodNotAllowed),
            _ => words(Status::NotFound),
        }
    }

    /// Turns the connection into a WebSocket.
    fn open(&self, request: &Request<'_>) -> Result<Answer, Status> {
        let opening = request.opening()?;
        if let (Some(origin), Some(authority)) = (&opening.origin, &request.authority)
            && !self.origin_policy.allows_origin(origin, authority)
        {
            return Err(Status::OriginNotAllowed);
        }
        let bytes = Head::new(Status::SwitchingProtocols)
            .field("Upgrade", "websocket")
            .field("Connection", "Upgrade")
            .field("Sec-WebSocket-Accept", derive_accept_key(opening.key))
            .with_body(&[]);
        Ok(Answer { bytes, next: AfterAnswer::WebSocket })
    }

    fn page(&self, is_last: bool, has_body: bool) -> Vec<u8> {
        let head = Head::new(Status::Ok)
            .made_at((self.clock)())
            .field("Content-Type", "text/html; charset=utf-8")
            .field("Content-Length", PAGE.len())
            .field("Content-Security-Policy", &self.policy)
            .field("X-Content-Type-Options", "nosniff")
            .field("X-Frame-Options", "DENY")
            .field("Referrer-Policy", "no-referrer")
            .field("Cross-Origin-Opener-Policy", "same-origin")
            .field("Cross-Origin-Resource-Policy", "same-origin")
            .field("Cache-Control", "no-cache")
            .ending(is_last);
        head.with_body(if has_body { PAGE.as_bytes() } else { &[] })
    }
}

/// What a Content-Security-Policy knows the text of the page's one element of this name by (CSP 3, 2.3.1).
fn hash_of(page: &str, element: &str) -> String {
    let text = text_of(page, element).expect("the page is ours");
    format!("sha256-{}", BASE64.encode(&Sha256::digest(text)))
}

fn text_of<'a>(page: &'a str, element: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("<{element}>"))?;
    rest.split_once(&format!("</{element}>")).map(|(text, _)| text)
}

/// In words, for one who is not there. Of a server that listens on all its addresses the port alone is known.
fn where_the_page_is(addresses: &[SocketAddr]) -> String {
    match addresses.iter().find(|address| !address.ip().is_unspecified()).or(addresses.first()) {
        None => "there is no page".to_owned(),
        Some(address) if address.ip().is_unspecified() => format!("the page is on port {}", address.port()),
        Some(address) => format!("the page is at {}", url(*address)),
    }
}

/// The address of the page on a listener.
pub fn url(address: SocketAddr) -> String {
    format!("http://{address}/")
}
