//! A proxy between the page and the server that fails as networks do.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The answer to a request for a path that the proxy does not have.
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The prefix below which a proxy does not pass the `Host` on.
pub(crate) const NAMELESS: &str = "/nameless";

/// Forwards bytes between its clients and a server. A fault applies to the connections of that moment, not to later
/// ones.
pub(crate) struct Proxy {
    address: SocketAddr,
    prefix: &'static str,
    links: Arc<Mutex<Vec<Link>>>,
    is_closed: Arc<AtomicBool>,
}

struct Link {
    near: TcpStream,
    far: TcpStream,
    mood: Arc<Mood>,
}

struct Mood {
    /// Bytes that pass, in both directions together, before the connection is closed on both sides.
    left: AtomicUsize,
    /// Discards what arrives, in both directions.
    swallows: AtomicBool,
    /// Reads nothing from the server.
    is_paused: AtomicBool,
    /// Does not forward EOF.
    holds: AtomicBool,
}

impl Proxy {
    /// Starts a proxy to the server with this page URL.
    pub(crate) fn to(page: &str) -> Proxy {
        Proxy::below(&[""], page)
    }

    /// Starts a proxy that has the server below paths such as `/chat`, which it strips. It also takes each path itself
    /// for the page, and answers 404 to everything else.
    pub(crate) fn below(prefixes: &'static [&'static str], page: &str) -> Proxy {
        let server = page.strip_prefix("http://").expect("an address").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let links = Arc::new(Mutex::new(Vec::new()));
        let is_closed = Arc::new(AtomicBool::new(false));
        let (linked, closed) = (links.clone(), is_closed.clone());
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok).filter(|_| !closed.load(SeqCst)) {
                let Ok(far) = TcpStream::connect(&server) else { continue };
                linked.lock().expect("no panic").push(link(near, far, prefixes));
            }
        });
        Proxy { address, prefix: prefixes[0], links, is_closed }
    }

    /// Returns the page's URL through the proxy.
    pub(crate) fn page(&self) -> String {
        format!("http://{}{}/", self.address, self.prefix)
    }

    /// Closes all connections, on both sides.
    pub(crate) fn cut(&self) {
        for link in self.links.lock().expect("no panic").drain(..) {
            let _ = (link.near.shutdown(Shutdown::Both), link.far.shutdown(Shutdown::Both));
        }
    }

    /// Closes all connections when so many more bytes have passed.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.links.lock().expect("no panic").iter().for_each(|link| link.mood.left.store(bytes, SeqCst));
    }

    /// Closes all connections to browsers, and leaves those to the server open.
    pub(crate) fn cut_near(&self) {
        for link in &*self.links.lock().expect("no panic") {
            link.mood.holds.store(true, SeqCst);
            let _ = link.near.shutdown(Shutdown::Both);
        }
    }

    /// Closes new connections at once, or no longer.
    pub(crate) fn close(&self, is_closed: bool) {
        self.is_closed.store(is_closed, SeqCst);
    }

    /// Discards all further bytes of all connections, which stay open.
    pub(crate) fn swallow(&self) {
        self.links.lock().expect("no panic").iter().for_each(|link| link.mood.swallows.store(true, SeqCst));
    }

    /// Stops reading from the server, or resumes it.
    pub(crate) fn pause(&self, is_paused: bool) {
        self.links.lock().expect("no panic").iter().for_each(|link| link.mood.is_paused.store(is_paused, SeqCst));
    }
}

fn link(near: TcpStream, far: TcpStream, prefixes: &'static [&'static str]) -> Link {
    let mood = Arc::new(Mood {
        left: AtomicUsize::new(usize::MAX),
        swallows: AtomicBool::default(),
        is_paused: AtomicBool::default(),
        holds: AtomicBool::default(),
    });
    let clone = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
    for (from, to, is_down) in [(clone(&near), clone(&far), false), (clone(&far), clone(&near), true)] {
        let mood = mood.clone();
        let prefixes = if is_down { &[""] } else { prefixes };
        thread::spawn(move || pass_on(from, to, &mood, is_down, prefixes));
    }
    Link { near, far, mood }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, mood: &Mood, is_down: bool, prefixes: &[&str]) {
    let mut buffer = [0; 16 * 1024];
    loop {
        while is_down && mood.is_paused.load(SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        let len = from.read(&mut buffer).unwrap_or(0);
        if mood.swallows.load(SeqCst) && len > 0 {
            continue;
        }
        let Some(bytes) = stripped(&buffer[..len], prefixes) else {
            let _ = from.write_all(NOT_FOUND);
            break;
        };
        let left = mood.left.fetch_update(SeqCst, SeqCst, |left| Some(left.saturating_sub(bytes.len())));
        let passed = left.unwrap_or_default().min(bytes.len());
        if len == 0 || to.write_all(&bytes[..passed]).is_err() {
            break;
        }
        if passed < bytes.len() {
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            break;
        }
    }
    if !mood.holds.load(SeqCst) {
        let _ = to.shutdown(Shutdown::Write);
    }
}

/// Takes the prefix off the path of the request that these bytes begin with, if any: a browser writes a head at once.
/// Returns `None` for a path elsewhere.
fn stripped<'a>(bytes: &'a [u8], prefixes: &[&str]) -> Option<Cow<'a, [u8]>> {
    let is_request = ["GET /", "HEAD /", "POST /"].iter().any(|start| bytes.starts_with(start.as_bytes()));
    if prefixes == [""] || !is_request {
        return Some(Cow::Borrowed(bytes));
    }
    let text = String::from_utf8_lossy(bytes);
    let (method, rest) = text.split_once(' ')?;
    let path = prefixes
        .iter()
        .find_map(|prefix| rest.strip_prefix(prefix).filter(|path| path.starts_with(['/', ' ', '?'])))?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut request = format!("{method} {slash}{path}");
    if prefixes == [NAMELESS] {
        request = request.replace("\r\nHost: ", "\r\nHost: 192.0.2.1\r\nX-Forwarded-Host: ");
    }
    Some(Cow::Owned(request.into_bytes()))
}
