//! Connections to Redis: where to, and how to begin one. It owns the addresses behind the name of `--bus`.
//!
//! Nothing here waits. A connection is handed over while it is under way. A name is looked up by a thread: first at the
//! start, and again once all of its addresses were tried, as a fail-over may have moved it. Until an answer comes, its
//! earlier addresses are tried again, so the pauses of a link are the only timer.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream as StdTcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use super::Error;
use super::bus::address::Place;
use super::bus::link::{LinkSettings, LinkTls, LinkTlsError};
use super::bus::{BATCH_BYTES, Bus, BusSettings, End};
use super::config::{BusConfig, Config};
use super::hub::Hub;
use super::limits::{BUS_PAGE, BUS_PAGE_BYTES};
use crate::net::address::shown;
use crate::net::resolve::{Answer, in_background, resolve};
use crate::net::stream::Stream;
use crate::net::{keepalive, random};
use crate::relay::sequence::Writer;

/// Time for which a start waits for the first answer. A name service that is slow delays the first connection, not the
/// clients.
const FIRST_ANSWER_WAIT: Duration = Duration::from_secs(2);

/// The way to Redis.
#[derive(Debug)]
pub(super) enum Dial {
    /// A Unix socket.
    Unix(PathBuf),
    /// A port.
    Tcp(Addresses),
}

/// The addresses of a host.
pub(super) struct Addresses {
    host: String,
    port: u16,
    look_up: fn(&str, u16) -> Answer,
    /// The newest addresses; none before the first answer.
    known: Vec<SocketAddr>,
    /// For the writer and for the reader, the addresses that it has tried since the last answer.
    tried: [usize; 2],
    /// The answer of the thread, if it was not taken yet.
    pending: Option<Receiver<Answer>>,
    /// Why the newest answer holds no addresses, if so.
    fault: Option<String>,
}

/// Gives the hub a bus, if there is one. Returns the way to Redis.
///
/// # Errors
/// If TLS is asked for, and there are no authorities, or the host has no name for a certificate.
pub(super) fn open_bus(config: &Config, hub: &mut Hub<Stream>) -> Result<Option<Dial>, Error> {
    let Some(BusConfig { address, keep_bytes }) = &config.bus else { return Ok(None) };
    let dial = Dial::new(&address.place);
    let failed = |error: LinkTlsError| Error::Bus { address: dial.to_string(), why: error.to_string() };
    let tls = match &address.place {
        Place::Tcp { host, tls: true, .. } => Some(LinkTls::load(host).map_err(failed)?),
        _ => None,
    };
    let writer = Writer::new(random::number());
    let (user, password) = (address.user.clone(), address.password.clone());
    let link = LinkSettings::new(format!("pollchat-{writer}"), user, password, tls);
    let settings = BusSettings {
        link: Rc::new(link),
        prefix: address.prefix.clone(),
        keep_bytes: *keep_bytes,
        // The longest entries make a reply of 1 MiB.
        page: (BUS_PAGE_BYTES / (BATCH_BYTES + config.longest_line_bytes())).clamp(1, BUS_PAGE),
        tape_bytes: config.backlog_bytes,
    };
    hub.open_bus(Bus::new(&settings, writer, random::number(), Instant::now()));
    Ok(Some(dial))
}

impl Dial {
    /// Finds out where Redis is. Waits a moment for the name service.
    pub(super) fn new(place: &Place) -> Dial {
        match place {
            Place::Unix(path) => Dial::Unix(path.clone()),
            Place::Tcp { host, port, .. } => Dial::Tcp(Addresses::new(host.clone(), *port, resolve)),
        }
    }

    /// Begins a connection for an end, under this token.
    ///
    /// # Errors
    /// The reason of the kernel, or the name has no address now.
    pub(super) fn connect(&mut self, end: End, registry: &Registry, token: Token) -> io::Result<Stream> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        let mut stream = match self {
            Dial::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                TcpStream::from_std(StdTcpStream::from(OwnedFd::from(stream)))
            }
            Dial::Tcp(addresses) => {
                let address = addresses.next(end)?;
                let stream = TcpStream::connect(address)
                    .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
                // An entry must not wait for the ACK of the one before it (Nagle).
                SockRef::from(&stream).set_tcp_nodelay(true)?;
                keepalive::find_dead_peers(&stream)?;
                stream
            }
        };
        registry.register(&mut stream, token, interest)?;
        Ok(Stream::Tcp(stream))
    }
}

impl Addresses {
    fn new(host: String, port: u16, look_up: fn(&str, u16) -> Answer) -> Addresses {
        let mut addresses =
            Addresses { host, port, look_up, known: Vec::new(), tried: [0; 2], pending: None, fault: None };
        match addresses.host.parse::<IpAddr>() {
            Ok(address) => addresses.known = vec![SocketAddr::new(address, port)],
            Err(_) => {
                addresses.begin_look_up();
                let first = addresses.pending.take();
                match first.map(|answer| (answer.recv_timeout(FIRST_ANSWER_WAIT), answer)) {
                    Some((Ok(answer), _)) => addresses.take(answer),
                    Some((Err(_), answer)) => addresses.pending = Some(answer),
                    None => {}
                }
            }
        }
        addresses
    }

    /// Returns the next address for an end.
    fn next(&mut self, end: End) -> io::Result<SocketAddr> {
        self.take_answer();
        let tried = &mut self.tried[usize::from(end == End::Reader)];
        let is_round_over = *tried > 0 && tried.is_multiple_of(self.known.len().max(1));
        let address = self.known.get(*tried % self.known.len().max(1)).copied();
        *tried += 1;
        if is_round_over || address.is_none() {
            self.begin_look_up();
        }
        let fault = self.fault.as_deref().unwrap_or("no answer yet");
        address.ok_or_else(|| io::Error::other(format!("look-up of {}: {fault}", self.host)))
    }

    /// Looks the name up, unless a look-up is under way: one that hangs is awaited, not repeated.
    fn begin_look_up(&mut self) {
        if self.pending.is_some() || self.host.parse::<IpAddr>().is_ok() {
            return;
        }
        let (look_up, host, port) = (self.look_up, self.host.clone(), self.port);
        match in_background(move || look_up(&host, port), || ()) {
            Ok(pending) => self.pending = Some(pending),
            Err(error) => self.fault = Some(error.to_string()),
        }
    }

    fn take_answer(&mut self) {
        let Some(pending) = &self.pending else { return };
        let answer = match pending.try_recv() {
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => Err(io::Error::other("the look-up failed")),
            Ok(answer) => answer,
        };
        self.pending = None;
        self.take(answer);
    }

    /// Takes an answer. One without addresses leaves the earlier ones.
    fn take(&mut self, answer: Answer) {
        self.fault = match answer {
            Ok(known) if known.is_empty() => Some("it has no address".to_owned()),
            Ok(known) => {
                if known != self.known {
                    (self.known, self.tried) = (known, [0; 2]);
                }
                None
            }
            Err(error) => Some(error.to_string()),
        };
    }
}

/// The place of Redis.
impl fmt::Display for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dial::Unix(path) => write!(f, "unix:{}", path.display()),
            Dial::Tcp(addresses) => f.write_str(&shown(&addresses.host, addresses.port)),
        }
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Addresses").field("host", &self.host).field("known", &self.known).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use mio::{Events, Poll};

    use super::*;
    use crate::net::keepalive::tests::assert_watched;

    /// Waits until a connection that was begun can be written.
    fn write(dial: &mut Dial, bytes: &[u8]) -> Stream {
        let mut poll = Poll::new().unwrap();
        let mut stream = dial.connect(End::Writer, poll.registry(), Token(7)).unwrap();
        let mut events = Events::with_capacity(8);
        loop {
            match stream.write(bytes) {
                Ok(written) => {
                    assert_eq!(written, bytes.len());
                    return stream;
                }
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            poll.poll(&mut events, Some(Duration::from_secs(5))).unwrap();
            assert!(events.iter().any(|event| event.token() == Token(7)));
        }
    }

    #[test]
    fn a_connection_to_a_port_is_begun_and_watched() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut dial = Dial::new(&Place::Tcp { host: "127.0.0.1".to_owned(), port, tls: false });
        assert_eq!(dial.to_string(), format!("127.0.0.1:{port}"));
        let Stream::Tcp(stream) = write(&mut dial, b"PING") else { panic!("it is no console") };
        assert!(stream.nodelay().unwrap());
        assert_watched(&stream);
        let mut heard = [0; 4];
        listener.accept().unwrap().0.read_exact(&mut heard).unwrap();
        assert_eq!(heard, *b"PING");
    }

    #[test]
    fn a_connection_to_a_unix_socket_is_begun() {
        let path = std::env::temp_dir().join(format!("pollchat-dial-{}.sock", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let mut dial = Dial::new(&Place::Unix(path.clone()));
        drop(write(&mut dial, b"PING"));
        assert_eq!(io::read_to_string(listener.accept().unwrap().0).unwrap(), "PING");
        std::fs::remove_file(&path).unwrap();
        let poll = Poll::new().unwrap();
        let error = dial.connect(End::Reader, poll.registry(), Token(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Asks for the next address until it is this one, while the thread of a look-up ends.
    fn await_address(addresses: &mut Addresses, wanted: &str) {
        while addresses.next(End::Writer).ok() != Some(address(wanted)) {
            thread::yield_now();
        }
    }

    #[test]
    fn each_end_tries_all_addresses_in_turn() {
        let two = |_: &str, port| Ok([[127, 0, 0, 1], [127, 0, 0, 2]].map(|ip| SocketAddr::from((ip, port))).to_vec());
        let mut addresses = Addresses::new("redis.lan".to_owned(), 7, two);
        let mut next = |end| addresses.next(end).unwrap();
        let (first, second) = (address("127.0.0.1:7"), address("127.0.0.2:7"));
        assert_eq!([next(End::Writer), next(End::Reader), next(End::Writer)], [first, first, second]);
        assert_eq!([next(End::Writer), next(End::Reader), next(End::Reader)], [first, second, first]);
    }

    #[test]
    fn a_name_is_looked_up_again_once_all_of_its_addresses_were_tried() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let moving = |_: &str, port| match ASKED.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
            1 => Err(io::Error::other("no name server")),
            _ => Ok(vec![SocketAddr::from(([127, 0, 0, 2], port))]),
        };
        let mut addresses = Addresses::new("redis.lan".to_owned(), 7, moving);
        assert_eq!(addresses.next(End::Writer).unwrap(), address("127.0.0.1:7"));
        assert_eq!(ASKED.load(Ordering::Relaxed), 1);
        // A look-up that fails leaves the earlier address.
        assert_eq!(addresses.next(End::Writer).unwrap(), address("127.0.0.1:7"));
        await_address(&mut addresses, "127.0.0.2:7");
    }

    #[test]
    fn a_name_without_an_address_is_an_error_until_it_has_one() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let late = |_: &str, port| match ASKED.fetch_add(1, Ordering::Relaxed) {
            0 => Err(io::Error::other("no name server")),
            1 => Ok(Vec::new()),
            _ => Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]),
        };
        let mut addresses = Addresses::new("redis.lan".to_owned(), 7, late);
        let error = addresses.next(End::Writer).unwrap_err();
        assert_eq!(error.to_string(), "look-up of redis.lan: no name server");
        await_address(&mut addresses, "127.0.0.1:7");
    }

    #[test]
    fn a_look_up_that_hangs_is_awaited_and_holds_nothing_up() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let hanging = |_: &str, _| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            thread::park();
            Ok(Vec::new())
        };
        let mut addresses = Addresses::new("redis.lan".to_owned(), 7, hanging);
        for _ in 0..100 {
            assert_eq!(addresses.next(End::Writer).unwrap_err().to_string(), "look-up of redis.lan: no answer yet");
        }
        assert_eq!(ASKED.load(Ordering::Relaxed), 1);
    }
}
