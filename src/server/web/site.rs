//! The web site: routing of requests to the pages and to the WebSocket, and the headers of the latter.
//!
//! Pure, but for the clock that it is given. Tests: `tests/server/web/`, `tests/server/websocket/handshakes.rs` and
//! `tests/fuzz/bodies/site.rs`.

use std::net::SocketAddr;
use std::time::SystemTime;

use tungstenite::handshake::derive_accept_key;

use super::bombards::PAGE as GAME;
use super::document::Document;
use super::origin::OriginPolicy;
use super::page::PAGE;
use super::request::Request;
use super::resource::{Place, Resource, WebPath, will_track};
use super::response::{self, Extent, Head, Persistence, Status, plain_text};
use crate::relay::name::Name;
use crate::server::endpoint::Endpoint;
use crate::server::proxy::TrustedProxies;

/// Longest answer, in bytes: the page, of at most 96 KiB, and its head. The build fails if the page is longer.
pub const ANSWER_BYTES_MAX: usize = 97 * 1024;

/// Longest answer with the page of the game, in bytes. The build fails if that is longer.
const GAME_ANSWER_BYTES_MAX: usize = 24 * 1024;

/// Part of both that is kept for the head, in bytes.
const HEAD_BYTES: usize = 1024;

const _: () = assert!(PAGE.len() + HEAD_BYTES <= ANSWER_BYTES_MAX, "the page is too long: raise ANSWER_BYTES_MAX");
const _: () = assert!(GAME.len() + HEAD_BYTES <= GAME_ANSWER_BYTES_MAX, "the page of the game is too long");

/// Longest part of a peer's `Host` or `Origin` in the log, in bytes.
const LOGGED_BYTES_MAX: usize = 100;

/// Site of one server: who may ask, and the texts that do not change between requests.
#[derive(Debug)]
pub struct Site {
    origin_policy: OriginPolicy,
    page: Document,
    game: Document,
    /// Ports of the page; none if only proxies reach it.
    pages: Vec<(Endpoint, SocketAddr)>,
    path: WebPath,
    clock: Clock,
}

/// Clock that dates the answers.
pub type Clock = fn() -> SystemTime;

/// Response to one request. Costs a copy of the page, if it is the page.
#[derive(Debug)]
pub struct Answer {
    /// Bytes to write, at most [`ANSWER_BYTES_MAX`].
    pub bytes: Vec<u8>,
    /// State of the connection after them.
    pub next: AfterAnswer,
    /// Why it refuses the request; `None` if it does not.
    pub refusal: Option<AnswerRefusal>,
}

/// Answer that refuses a request, for the log and the statistics.
#[derive(Debug)]
pub struct AnswerRefusal {
    /// The status.
    pub status: Status,
    /// The reason, without a byte that a terminal would obey.
    pub reason: String,
}

impl AnswerRefusal {
    pub(super) fn new(status: Status) -> AnswerRefusal {
        AnswerRefusal { status, reason: status.text().to_owned() }
    }

    /// Returns the refusal of this request. Names the flag that would allow it.
    fn of(status: Status, request: &Request<'_>) -> AnswerRefusal {
        let reason = match (status, &request.authority) {
            (Status::MisdirectedRequest, Some(authority)) => {
                let host = shortened(authority.to_string().as_bytes());
                let name = shortened(authority.host().as_bytes());
                format!("its Host is {host}; if that is this server, add --web-host {name}")
            }
            (Status::OriginNotAllowed, _) => match request.values("origin").as_slice() {
                [origin] if origin.contains(&b':') => {
                    let origin = shortened(origin);
                    format!("its Origin is {origin}; if you trust that page, add --web-origin {origin}")
                }
                [origin] => format!("its Origin is {}, which no --web-origin allows", shortened(origin)),
                _ => status.text().to_owned(),
            },
            _ => return AnswerRefusal::new(status),
        };
        AnswerRefusal { status, reason }
    }
}

/// Returns the beginning of a peer's text, escaped: with blanks and equals signs, or it could look like fields of the log.
fn shortened(text: &[u8]) -> String {
    let cut = &text[..text.len().min(LOGGED_BYTES_MAX)];
    let escaped = cut.escape_ascii().to_string().replace(' ', "\\x20").replace('=', "\\x3d");
    format!("{escaped}{}", if cut.len() < text.len() { "…" } else { "" })
}

/// State of a connection after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterAnswer {
    /// It waits for another request.
    Request,
    /// The server closes it.
    End,
    /// It is a WebSocket.
    WebSocket {
        /// The room in which it enters.
        room: Name,
        /// Whether its first line is `/track`, and under way.
        will_track: bool,
    },
}

impl From<Persistence> for AfterAnswer {
    fn from(persistence: Persistence) -> AfterAnswer {
        match persistence {
            Persistence::KeepAlive => AfterAnswer::Request,
            Persistence::Close => AfterAnswer::End,
        }
    }
}

impl Answer {
    /// Returns the answer of a server without a page: none, and the connection is closed.
    pub(crate) fn empty() -> Answer {
        Answer { bytes: Vec::new(), next: AfterAnswer::End, refusal: None }
    }
}

impl Site {
    /// Creates the site of a server whose page is at `pages`, with TLS or without.
    pub fn new(origin_policy: OriginPolicy, pages: &[(Endpoint, SocketAddr)], clock: Clock) -> Site {
        let (page, game) = (Document::new(PAGE), Document::new(GAME));
        Site { origin_policy, page, game, pages: pages.to_vec(), path: WebPath::default(), clock }
    }

    /// Moves the site below a path.
    #[must_use]
    pub fn below(self, path: WebPath) -> Site {
        Site { path, ..self }
    }

    /// Returns the response to a browser that has opened the line port. The connection has to be closed after it.
    pub(crate) fn answer_at_line_port(&self) -> Vec<u8> {
        response::from_line_port(&page_hint(&self.pages, &self.path), (self.clock)())
    }

    /// Returns an answer that refuses a connection, whether it sent a request or not.
    pub fn refuse(&self, status: Status) -> Answer {
        let bytes = plain_text(status, &self.path, (self.clock)(), Persistence::Close, Extent::Full);
        Answer { bytes, next: AfterAnswer::End, refusal: Some(AnswerRefusal::new(status)) }
    }

    /// Returns an answer that refuses a connection for a reason that its status alone does not say.
    pub fn refuse_for(&self, status: Status, reason: &str) -> Answer {
        let bytes = response::refusal(status, reason, (self.clock)());
        Answer { bytes, next: AfterAnswer::End, refusal: Some(AnswerRefusal { status, reason: reason.to_owned() }) }
    }

    /// Returns the answer to a request with this head. `room` reads the name of a room, if there may be such a room.
    pub fn answer(&self, head: &[u8], room: impl Fn(&str) -> Option<Name>) -> Answer {
        match Request::parse(head) {
            Ok(request) => self.answer_request(&request, room),
            Err(status) => self.refuse(status),
        }
    }

    fn answer_request(&self, request: &Request<'_>, room: impl Fn(&str) -> Option<Name>) -> Answer {
        let extent = if request.method == "HEAD" { Extent::HeadOnly } else { Extent::Full };
        let text = |status| {
            let persistence = if status == Status::BadRequest { Persistence::Close } else { request.persistence };
            let bytes = plain_text(status, &self.path, (self.clock)(), persistence, extent);
            Answer { bytes, next: persistence.into(), refusal: Some(AnswerRefusal::of(status, request)) }
        };
        if request.authority.as_ref().is_some_and(|authority| !self.origin_policy.allows_host(authority)) {
            return text(Status::MisdirectedRequest);
        }
        let path = match self.path.place_of(request.path) {
            Place::Below(path) => path,
            Place::Folder => return self.lead_to_page(request, extent),
            Place::Elsewhere => return text(Status::NotFound),
        };
        let resource = match Resource::find(path, request.query, room) {
            Ok(resource) => resource,
            Err(status) => return text(status),
        };
        match (resource, request.method) {
            (Resource::Page, "GET" | "HEAD") => self.show(&self.page, request, extent),
            (Resource::Game, "GET" | "HEAD") => self.show(&self.game, request, extent),
            (Resource::Socket(room), "GET") => self.open(request, room).unwrap_or_else(text),
            (Resource::Page | Resource::Game, _) => text(Status::MethodNotAllowed),
            // The page asks with POST why its WebSocket did not open: a browser sends the `Origin` with POST alone.
            (Resource::Socket(_), _) if !self.is_open_to(request) => text(Status::OriginNotAllowed),
            (Resource::Socket(_), _) => text(Status::SocketMethodNotAllowed),
        }
    }

    /// Answers a request for the folder of the page: a browser takes relative addresses for neighbours of the folder
    /// unless a slash ends it.
    fn lead_to_page(&self, request: &Request<'_>, extent: Extent) -> Answer {
        let separator = if request.query.is_empty() { "" } else { "?" };
        let target = format!("{}{separator}{}", self.path, request.query);
        let bytes = response::moved(&target, &self.path, (self.clock)(), request.persistence, extent);
        Answer { bytes, next: request.persistence.into(), refusal: None }
    }

    /// Answers the opening handshake of a WebSocket (RFC 6455, 4.2.2), or returns the status that refuses it.
    fn open(&self, request: &Request<'_>, room: Name) -> Result<Answer, Status> {
        let key = request.opening_key()?;
        if !self.is_open_to(request) {
            return Err(Status::OriginNotAllowed);
        }
        let bytes = Head::new(Status::SwitchingProtocols)
            .field("Upgrade", "websocket")
            .field("Connection", "Upgrade")
            .field("Sec-WebSocket-Accept", derive_accept_key(key))
            .with_body(&[], Extent::HeadOnly);
        Ok(Answer {
            bytes,
            next: AfterAnswer::WebSocket { room, will_track: will_track(request.query) },
            refusal: None,
        })
    }

    /// Whether the WebSocket is open to the page that sends the request, or to a program that is no page.
    fn is_open_to(&self, request: &Request<'_>) -> bool {
        match (request.origin(), &request.authority) {
            (Ok(Some(origin)), Some(authority)) => self.origin_policy.allows_origin(&origin, authority),
            (Ok(_), _) => true,
            (Err(_), _) => false,
        }
    }

    fn show(&self, document: &Document, request: &Request<'_>, extent: Extent) -> Answer {
        let bytes = document.answer(request, (self.clock)(), extent);
        Answer { bytes, next: request.persistence.into(), refusal: None }
    }
}

/// Returns the address of the client whose request a trusted proxy passes on; `None` if the proxy names none, or the head
/// is no request.
pub(crate) fn forwarded_for(head: &[u8], trusted: &TrustedProxies) -> Option<SocketAddr> {
    trusted.client_of(&Request::parse(head).ok()?.values("x-forwarded-for"))
}

/// Returns a text that says where the page is. If the server listens on all its addresses, it names the port alone.
fn page_hint(pages: &[(Endpoint, SocketAddr)], path: &WebPath) -> String {
    match pages.iter().find(|(_, address)| !address.ip().is_unspecified()).or(pages.first()) {
        // It is on Unix sockets alone.
        None => "the page is behind a proxy".to_owned(),
        Some((endpoint, address)) if address.ip().is_unspecified() => {
            format!("the page is on port {}{}", address.port(), if endpoint.is_tls() { ", with https" } else { "" })
        }
        Some((endpoint, address)) => format!("the page is at {}", url(*endpoint, *address, path)),
    }
}

/// Returns the URL of the page on a listener.
pub fn url(endpoint: Endpoint, address: SocketAddr, path: &WebPath) -> String {
    format!("{}://{address}{path}", if endpoint.is_tls() { "https" } else { "http" })
}
