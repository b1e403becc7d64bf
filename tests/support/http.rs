//! A server with `--web`, and what talks to it: bytes on a wire, HTTP answers taken to pieces by hand, and in the
//! modules below WebSocket frames and a browser. None of it shares a line with the server or with a library: what both
//! sides misread in the same way would not show.

use std::fmt::{self, Display};
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::{Duration, Instant};

use super::server::{Server, Start};
use super::ws::Frame;
use super::ws_client::Browser;
use super::{DEADLINE, eventually, socket};

/// What browsers send, and what has to be answered (RFC 6455, 1.3 and 4.2.2); the first pair is the one of the RFC.
pub const KEYS: [(&str, &str); 4] = [
    ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ("AAAAAAAAAAAAAAAAAAAAAA==", "ICX+Yqv66kxgM0FcWaLWlFLwTAI="),
    ("/////////////////////w==", "XXpj4jYzLM2yUE0C7TIgMwTQh2g="),
    ("AAECAwQFBgcICQoLDA0ODw==", "Bz3qJYTGdOe8gUSpLosEdiLKDrk="),
];

/// A running server that has a page as well.
pub struct WebServer {
    server: Server,
    pages: Vec<SocketAddr>,
}

impl Deref for WebServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for WebServer {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

impl WebServer {
    /// Starts a server with these flags, and its page on a port that the kernel picks.
    #[track_caller]
    pub fn start(flags: &[&str]) -> WebServer {
        WebServer::go(Server::builder().flags(flags))
    }

    /// The same, but neither joins nor leaves are announced.
    #[track_caller]
    pub fn quiet(flags: &[&str]) -> WebServer {
        WebServer::go(Server::builder().flags(["--announce-up-to", "0"]).flags(flags))
    }

    #[track_caller]
    pub fn go(start: Start) -> WebServer {
        WebServer::go_at(start, &["127.0.0.1:0"])
    }

    /// Starts it with its page at these addresses.
    #[track_caller]
    pub fn go_at(start: Start, pages: &[&str]) -> WebServer {
        let count = pages.len();
        let mut server = pages.iter().fold(start, |start, page| start.flags(["--web", page])).go();
        let lines = server.addresses().len();
        eventually("the server says where its page is", || {
            server.assert_running();
            server.stdout().len() >= lines + count
        });
        let pages = server.stdout()[lines..lines + count].iter().map(|line| page_of(line)).collect();
        WebServer { server, pages }
    }

    /// Where the page is.
    pub fn page(&self) -> SocketAddr {
        self.pages[0]
    }

    /// All of them, in the order that they were told.
    pub fn pages(&self) -> &[SocketAddr] {
        &self.pages
    }

    /// A connection to the page's port, on which nothing was sent yet.
    #[track_caller]
    pub fn visit(&self) -> Wire {
        Wire::connect(self.page())
    }

    /// The answer to one request, with the right host.
    #[track_caller]
    pub fn ask(&self, request_line: &str) -> Response {
        let mut visitor = self.visit();
        visitor.send(head(&[request_line, &self.host_field()]));
        visitor.response()
    }

    /// The field that says whom a request is for.
    pub fn host_field(&self) -> String {
        format!("Host: {}", self.page())
    }

    /// A browser that is in the room, and knows its name.
    #[track_caller]
    pub fn browser(&self) -> Browser {
        Browser::join(self.visit())
    }

    /// The same, and its kernel takes little for it: not reading, it is soon stuck.
    #[track_caller]
    pub fn browser_narrow(&self) -> Browser {
        Browser::join(Wire::connect_narrow(self.page()))
    }
}

#[track_caller]
fn page_of(line: &str) -> SocketAddr {
    let rest = line.strip_prefix("the page is at http://").filter(|rest| rest.ends_with('/'));
    let address = rest.and_then(|rest| rest.split('/').next());
    address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("not a page's address: {line:?}"))
}

/// The head of a request or of an answer, of these lines.
pub fn head(lines: &[impl AsRef<str>]) -> Vec<u8> {
    let lines = lines.iter().flat_map(|line| [line.as_ref(), "\r\n"]);
    lines.chain(["\r\n"]).collect::<String>().into_bytes()
}

/// A handshake to this host as browsers make it, with further fields.
pub fn handshake(host: impl Display, fields: &[&str]) -> Vec<u8> {
    let host = format!("Host: {host}");
    let key = format!("Sec-WebSocket-Key: {}", KEYS[0].0);
    let usual =
        ["GET /ws HTTP/1.1", &host, "Connection: Upgrade", "Upgrade: websocket", &key, "Sec-WebSocket-Version: 13"];
    head(&[&usual, fields].concat())
}

/// One connection, byte by byte; what comes is waited for, but not for ever.
///
/// Invariant: `received[taken..]` is what came and was not looked at yet.
pub struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
    taken: usize,
    /// Whether the server has said of an answer that it is the last one.
    is_over: bool,
}

impl Wire {
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Wire {
        Wire::new(socket::connect(address))
    }

    /// One that comes from this address of ours.
    #[track_caller]
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Wire {
        Wire::new(socket::connect_from(source, address))
    }

    /// One to a Unix socket.
    #[track_caller]
    pub fn connect_unix(path: &Path) -> Wire {
        Wire::new(socket::connect_unix(path))
    }

    /// One whose kernel takes little for it.
    #[track_caller]
    pub fn connect_narrow(address: SocketAddr) -> Wire {
        Wire::new(socket::connect_narrow(address))
    }

    fn new(stream: TcpStream) -> Wire {
        Wire { stream, received: Vec::new(), taken: 0, is_over: false }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The connection alone, of which nothing was looked at.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server takes what is sent in time");
    }

    /// Sends it to one who may have ended the connection already; tells whether all of it was taken.
    #[track_caller]
    pub fn push(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        match self.stream.write_all(bytes.as_ref()) {
            Ok(()) => true,
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => false,
            Err(error) => panic!("neither taken nor ended: {error}"),
        }
    }

    /// Pushes it in pieces of so many bytes, each in a segment of its own if the kernel lets it.
    #[track_caller]
    pub fn push_chopped(&mut self, bytes: impl AsRef<[u8]>, size: usize) -> bool {
        bytes.as_ref().chunks(size).all(|piece| self.push(piece))
    }

    /// Ends its own half only.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("connected");
    }

    /// Leaves by a reset, as a host that crashed would.
    pub fn reset(self) {
        socket::reset(&self.stream);
    }

    /// The answer to a request that was sent.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        let mut response = self.response_head();
        let has_body = response.status != 101 && response.status != 204 && response.status != 304;
        if has_body {
            let length = response.field("Content-Length").expect("an answer tells its length");
            response.body = self.take(length.parse().expect("a length is a number"));
        }
        response
    }

    /// The head of an answer, where no body follows (a request's `HEAD`).
    #[track_caller]
    pub fn response_head(&mut self) -> Response {
        const END: &[u8] = b"\r\n\r\n";
        loop {
            let unread = &self.received[self.taken..];
            if let Some(end) = unread.windows(END.len()).position(|window| window == END) {
                let response = Response::of(&self.take(end + END.len()));
                assert!(!self.is_over, "behind the last answer came {response:?}");
                self.is_over = response.is_last();
                return response;
            }
            assert_ne!(self.read_some(), 0, "the end came in an answer: {:?}", self.unread_lossy());
        }
    }

    /// The next frame; it must come.
    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        self.try_frame().expect("a frame before the end")
    }

    /// The next frame; `None` at the end in good order, between two frames.
    #[track_caller]
    pub fn try_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = Frame::decode(&self.received[self.taken..]) {
                self.taken += length;
                return Some(frame);
            }
            if self.read_some() == 0 {
                assert_eq!(self.unread_lossy(), "", "the end came in a frame");
                return None;
            }
        }
    }

    /// So many bytes; they must come.
    #[track_caller]
    pub fn take(&mut self, length: usize) -> Vec<u8> {
        while self.received.len() - self.taken < length {
            assert_ne!(self.read_some(), 0, "the end came after {:?}", self.unread_lossy());
        }
        self.taken += length;
        self.received[self.taken - length..self.taken].to_vec()
    }

    /// All that comes up to the end, which must be in good order.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        while self.read_some() > 0 {}
        self.received.split_off(self.taken)
    }

    /// The end of the stream, not a reset, and nothing before it.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.rest()), "", "nothing more was to come");
    }

    /// Whether the end of it, or a reset, comes within the deadline; what comes before it does not matter.
    #[track_caller]
    pub fn ends(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < DEADLINE {
            match self.try_read() {
                Ok(0) => return true,
                Ok(_) => self.taken = self.received.len(),
                Err(error) => return error.kind() == ErrorKind::ConnectionReset,
            }
        }
        false
    }

    /// Waits for something to read, the end too, or for the time to pass; tells whether there is something.
    pub fn is_readable_within(&self, time: Duration) -> bool {
        self.taken < self.received.len() || socket::is_readable_within(&self.stream, time)
    }

    /// Reads once; tells how many bytes came, 0 at the end.
    #[track_caller]
    fn read_some(&mut self) -> usize {
        self.try_read().unwrap_or_else(|error| panic!("nothing came: {error}; before: {:?}", self.unread_lossy()))
    }

    fn try_read(&mut self) -> io::Result<usize> {
        const AT_ONCE: usize = 64 * 1024;
        if self.taken == self.received.len() || self.taken > AT_ONCE {
            self.received.drain(..self.taken);
            self.taken = 0;
        }
        let held = self.received.len();
        self.received.resize(held + AT_ONCE, 0);
        let result = socket::read(&mut self.stream, &mut self.received[held..]);
        self.received.truncate(held + result.as_ref().map_or(0, |&count| count));
        result
    }

    fn unread_lossy(&self) -> String {
        let unread = &self.received[self.taken..];
        String::from_utf8_lossy(&unread[..unread.len().min(1_000)]).into_owned()
    }
}

/// An answer of HTTP/1.1. That its head is well-formed was seen when it was read.
pub struct Response {
    pub status: u16,
    pub reason: String,
    fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(100)]);
        write!(f, "{} {} {:?} {:?}", self.status, self.reason, self.fields, body)
    }
}

impl Response {
    /// Takes a head to pieces, and is strict about it: each line ends with CRLF and has nothing but visible ASCII and
    /// spaces; there is no space before a colon, and no line is folded.
    #[track_caller]
    fn of(head: &[u8]) -> Response {
        let head = str::from_utf8(head).expect("a head is ASCII").strip_suffix("\r\n\r\n").expect("an empty line");
        let is_visible = |line: &str| line.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        assert!(head.split("\r\n").all(is_visible), "not a head: {head:?}");
        let (status_line, fields) = head.split_once("\r\n").unwrap_or((head, ""));
        let rest = status_line.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("not an answer: {head:?}"));
        let (status, reason) = rest.split_once(' ').expect("a status and a reason");
        assert_eq!(status.len(), 3, "{head:?}");
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("not a field: {line:?}"));
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            assert!(!name.is_empty() && name.bytes().all(is_token), "not a name: {line:?}");
            assert_eq!(value.trim(), value, "{line:?}");
            (name.to_owned(), value.to_owned())
        };
        Response {
            status: status.parse().expect("a status is a number"),
            reason: reason.to_owned(),
            fields: fields.split("\r\n").filter(|line| !line.is_empty()).map(field).collect(),
            body: Vec::new(),
        }
    }

    /// The value of the field, which must not be there twice.
    #[track_caller]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|field| field.0.eq_ignore_ascii_case(name)).map(|field| &*field.1);
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is there twice: {self:?}");
        value
    }

    #[track_caller]
    pub fn assert_field(&self, name: &str, value: &str) {
        assert_eq!(self.field(name), Some(value), "{name} of {self:?}");
    }

    /// Whether the connection ends with this answer.
    pub fn is_last(&self) -> bool {
        self.has_token("Connection", "close")
    }

    /// Whether a field of this name lists the token; there may be several such fields.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        let values = self.fields.iter().filter(|field| field.0.eq_ignore_ascii_case(name));
        values.flat_map(|field| field.1.split(',')).any(|of| of.trim().eq_ignore_ascii_case(token))
    }

    #[track_caller]
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("UTF-8")
    }

    /// Whether it agrees to speak WebSocket, to one who sent the key of this number: with what the RFC asks for, and
    /// neither an extension nor a subprotocol.
    #[track_caller]
    pub fn assert_switches(&self, key: usize) {
        assert_eq!((self.status, &*self.reason), (101, "Switching Protocols"), "{self:?}");
        self.assert_field("Sec-WebSocket-Accept", KEYS[key].1);
        let is = |name, value: &str| self.field(name).is_some_and(|given| given.eq_ignore_ascii_case(value));
        assert!(is("Upgrade", "websocket") && is("Connection", "Upgrade"), "{self:?}");
        for name in ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Content-Length", "Transfer-Encoding"] {
            assert_eq!(self.field(name), None, "{self:?}");
        }
    }
}
