//! Happy eyeballs (RFC 8305): connects to several addresses of a server, of which the first that answers wins.
//!
//! The addresses alternate between IPv6 and IPv4. A further connect starts as soon as one fails, or 250 ms after the
//! last one. Losers are closed.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use super::limits::{CONNECT_STAGGER, CONNECT_TIMEOUT};
use crate::net::keepalive;

/// A new connection.
#[derive(Debug)]
pub(crate) struct Connected {
    /// The socket, non-blocking.
    pub(crate) stream: TcpStream,
    /// Set if the server accepted and then reset the connection before we looked. Writes fail, but the bytes that came
    /// in between can be read.
    pub(crate) reset: Option<io::Error>,
}

/// Connects to several addresses, started one after the other.
#[derive(Debug)]
pub(crate) struct Race {
    /// Untried addresses, the next one first.
    candidates: VecDeque<SocketAddr>,
    /// Addresses that were tried.
    tried: Vec<SocketAddr>,
    /// Connects under way.
    connects: Vec<TcpStream>,
    /// The time at which the next candidate is tried, if no connect fails before.
    next_at: Instant,
    /// The time at which the connects are given up.
    until: Instant,
    /// The most telling error so far.
    pub(super) error: Option<io::Error>,
}

impl Race {
    /// A race without addresses.
    pub(crate) fn new(now: Instant) -> Race {
        let (candidates, tried, connects) = (VecDeque::new(), Vec::new(), Vec::new());
        Race { candidates, tried, connects, next_at: now, until: now + CONNECT_TIMEOUT, error: None }
    }

    /// Replaces the untried addresses. Addresses that were tried already are left out.
    pub(crate) fn add(&mut self, addresses: &[SocketAddr], now: Instant) {
        self.candidates = interleaved(addresses.iter().copied().filter(|address| !self.tried.contains(address)));
        self.until = now + CONNECT_TIMEOUT;
    }

    /// The time of the next step that no event announces.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let next = (!self.candidates.is_empty()).then_some(self.next_at);
        let end = (!self.connects.is_empty()).then_some(self.until);
        next.into_iter().chain(end).min()
    }

    /// Whether no connect is under way and none is to come.
    pub(crate) fn is_over(&self) -> bool {
        self.connects.is_empty() && self.candidates.is_empty()
    }

    /// Checks the connects, and starts those that are due. Returns the first connection; the others are closed.
    pub(crate) fn advance(&mut self, registry: &Registry, token: Token, now: Instant) -> Option<Connected> {
        loop {
            let connected = self.check(now);
            if connected.is_some() {
                self.connects.clear();
                self.candidates.clear();
                return connected;
            }
            if now >= self.until && !self.is_over() {
                self.record(io::ErrorKind::TimedOut.into());
                self.connects.clear();
                self.candidates.clear();
            }
            let is_due = self.connects.is_empty() || now >= self.next_at;
            let candidate = self.candidates.pop_front_if(|_| is_due)?;
            self.tried.push(candidate);
            match start(candidate, registry, token) {
                Ok(stream) => {
                    self.connects.push(stream);
                    self.next_at = now + CONNECT_STAGGER;
                }
                Err(err) => self.record(err),
            }
        }
    }

    /// Returns a connect that has succeeded, and drops those that have failed.
    fn check(&mut self, now: Instant) -> Option<Connected> {
        let mut index = 0;
        while let Some(stream) = self.connects.get(index) {
            let reset = match connect_status(stream) {
                Ok(ConnectStatus::Pending) => {
                    index += 1;
                    continue;
                }
                Ok(ConnectStatus::Connected) => None,
                Ok(ConnectStatus::Reset(err)) => Some(err),
                Err(err) => {
                    self.connects.remove(index);
                    self.record(err);
                    self.next_at = now;
                    continue;
                }
            };
            return Some(Connected { stream: self.connects.remove(index), reset });
        }
        None
    }

    /// Keeps the first error, or the first that says more than that this machine has no route to an address: without
    /// IPv6, that is true of each IPv6 address.
    pub(super) fn record(&mut self, err: io::Error) {
        if self.error.as_ref().is_none_or(|known| is_local(known) && !is_local(&err)) {
            self.error = Some(err);
        }
    }
}

fn is_local(err: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(err.kind(), Kind::NetworkUnreachable | Kind::AddrNotAvailable | Kind::Unsupported)
        || err.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// Alternates between the families, beginning with the first address's (RFC 8305, 4). Drops repetitions.
fn interleaved(addresses: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let (mut first, mut second) = (VecDeque::new(), VecDeque::<SocketAddr>::new());
    for address in addresses {
        let is_first = first.front().is_none_or(|head: &SocketAddr| head.is_ipv6() == address.is_ipv6());
        let family = if is_first { &mut first } else { &mut second };
        if !family.contains(&address) {
            family.push_back(address);
        }
    }
    let mut all = VecDeque::with_capacity(first.len() + second.len());
    while !(first.is_empty() && second.is_empty()) {
        all.extend(first.pop_front());
        all.extend(second.pop_front());
    }
    all
}

/// State of one connect.
enum ConnectStatus {
    Pending,
    Connected,
    Reset(io::Error),
}

fn start(candidate: SocketAddr, registry: &Registry, token: Token) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(candidate)?;
    registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
    Ok(stream)
}

fn connect_status(stream: &TcpStream) -> io::Result<ConnectStatus> {
    match stream.take_error()? {
        Some(err) if err.kind() == io::ErrorKind::ConnectionReset => return Ok(ConnectStatus::Reset(err)),
        Some(err) => return Err(err),
        None => {}
    }
    match stream.peer_addr() {
        // The kernel may pick the target as our source port, if nothing listens there on this machine. TCP then
        // connects the socket to itself.
        Ok(peer) if stream.local_addr()? == peer => Err(io::ErrorKind::ConnectionRefused.into()),
        Ok(_) => {
            set_up(stream)?;
            Ok(ConnectStatus::Connected)
        }
        Err(err) if err.kind() == io::ErrorKind::NotConnected => Ok(ConnectStatus::Pending),
        Err(err) => Err(err),
    }
}

/// Sets the options of every connection.
fn set_up(socket: &impl AsFd) -> io::Result<()> {
    // A typed line must not wait for the ACK of the previous one (Nagle).
    SockRef::from(socket).set_tcp_nodelay(true)?;
    // A server that disconnected us while this machine was offline (a closed laptop) sent its FIN to nobody.
    keepalive::find_dead_peers(socket)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use mio::{Events, Poll};
    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::net::keepalive::tests::assert_watched;

    fn address(socket: &Socket) -> SocketAddr {
        socket.local_addr().unwrap().as_socket().unwrap()
    }

    /// A bound socket that does not listen.
    fn closed_port() -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket
    }

    /// A listener that answers no SYN, because its queue is full.
    fn silent_port() -> (Socket, std::net::TcpStream) {
        let socket = closed_port();
        socket.listen(0).unwrap();
        let first = std::net::TcpStream::connect(address(&socket)).unwrap();
        (socket, first)
    }

    /// Runs a race to its end, at its own time.
    fn run(candidates: &[SocketAddr]) -> Result<Connected, Option<io::Error>> {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(1);
        let mut race = Race::new(Instant::now());
        race.add(candidates, Instant::now());
        loop {
            match race.advance(poll.registry(), Token(0), Instant::now()) {
                Some(connected) => return Ok(connected),
                None if race.is_over() => return Err(race.error),
                None => poll.poll(&mut events, Some(CONNECT_TIMEOUT)).unwrap(),
            }
        }
    }

    #[test]
    fn an_address_that_refuses_is_followed_by_the_next_at_once() {
        let (closed, listener) = (closed_port(), TcpListener::bind("127.0.0.1:0").unwrap());
        let start = Instant::now();
        let candidates = [address(&closed), SocketAddr::from(([255; 4], 1)), listener.local_addr().unwrap()];
        let Connected { stream, reset: None } = run(&candidates).unwrap() else { panic!("the last one listens") };
        assert_eq!(stream.peer_addr().unwrap(), candidates[2]);
        assert!(start.elapsed() < CONNECT_STAGGER, "{:?}", start.elapsed());
        assert!(stream.nodelay().unwrap());
        assert_watched(&stream);
    }

    #[test]
    fn the_error_is_the_first_that_tells_most() {
        let closed = closed_port();
        // TCP has no broadcast: this address has no route.
        let candidates = [address(&closed), SocketAddr::from(([255; 4], 1))];
        let error = |candidates: &[SocketAddr]| run(candidates).unwrap_err().map(|err| err.kind());
        assert_eq!(error(&candidates), Some(io::ErrorKind::ConnectionRefused));
        assert_eq!(error(&[candidates[1], candidates[0]]), Some(io::ErrorKind::ConnectionRefused));
        assert_eq!(error(&candidates[1..]), Some(io::ErrorKind::NetworkUnreachable));
        assert_eq!(error(&[]), None);
    }

    #[test]
    fn an_address_that_does_not_answer_is_overtaken_by_the_next() {
        let (silent, _first) = silent_port();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (poll, now) = (Poll::new().unwrap(), Instant::now());
        let mut race = Race::new(now);
        race.add(&[address(&silent), listener.local_addr().unwrap()], now);
        assert!(race.advance(poll.registry(), Token(0), now).is_none());
        assert_eq!(race.deadline(), Some(now + CONNECT_STAGGER));
        assert!(race.advance(poll.registry(), Token(0), now + CONNECT_STAGGER / 2).is_none());
        assert_eq!(race.connects.len(), 1);
        let connected = race.advance(poll.registry(), Token(0), now + CONNECT_STAGGER).unwrap();
        assert_eq!(connected.stream.peer_addr().unwrap(), listener.local_addr().unwrap());
        assert!(race.connects.is_empty(), "the loser is closed");
    }

    #[test]
    fn addresses_that_never_answer_time_out_together() {
        let silent = [silent_port(), silent_port()];
        let (poll, now) = (Poll::new().unwrap(), Instant::now());
        let mut race = Race::new(now);
        race.add(&silent.each_ref().map(|(socket, _)| address(socket)), now);
        for at in [now, now + CONNECT_STAGGER] {
            assert!(race.advance(poll.registry(), Token(0), at).is_none());
        }
        assert_eq!((race.connects.len(), race.deadline()), (2, Some(now + CONNECT_TIMEOUT)));
        assert!(race.advance(poll.registry(), Token(0), now + CONNECT_TIMEOUT).is_none());
        assert!(race.is_over());
        assert_eq!(race.error.map(|err| err.kind()), Some(io::ErrorKind::TimedOut));
    }

    #[test]
    fn families_alternate_and_repetitions_are_dropped() {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<VecDeque<SocketAddr>>();
        let found = ["[::1]:1", "[::2]:1", "[::1]:1", "[::3]:1", "127.0.0.1:1", "127.0.0.1:1", "127.0.0.2:1"];
        let expected = ["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.2:1", "[::3]:1"];
        assert_eq!(interleaved(parse(&found).into_iter()), parse(&expected));
        let found = ["127.0.0.1:1", "127.0.0.2:1", "[::1]:1"];
        assert_eq!(interleaved(parse(&found).into_iter()), parse(&["127.0.0.1:1", "[::1]:1", "127.0.0.2:1"]));
    }

    #[test]
    fn a_socket_that_is_connected_to_itself_is_no_connection() {
        let socket = closed_port();
        socket.connect(&socket.local_addr().unwrap()).unwrap();
        let stream = TcpStream::from_std(socket.into());
        assert!(connect_status(&stream).is_err_and(|err| err.kind() == io::ErrorKind::ConnectionRefused));
    }
}
