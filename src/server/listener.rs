//! Listening sockets: socket options, the accept queue and its errors. A connection over a Unix socket is a stream like
//! any other from here on.
//!
//! Tests are here, in `tests/server/activation.rs` (inherited sockets) and in
//! `tests/simulator/listener.rs`.

use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix;
use std::path::{Path, PathBuf};
use std::time::Instant;

use log::debug;
use mio::net::{TcpListener, TcpStream, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::endpoint::{BoundAddress, Endpoint};
use super::limits::{ACCEPT_ERRORS_MAX, ACCEPT_RETRY, LISTEN_BACKLOG, RECEIVE_BUFFER_BYTES, SEND_BUFFER_BYTES};
use super::report::{Kind, Reports};
use super::unix::{self as unix_socket, SocketFile};
use crate::net::keepalive::{self, DeadPeerDetection};

/// Listening socket, and what is known of its accept queue.
///
/// Invariant: `state` is `Drained` only if the last `accept` returned `WouldBlock` and no edge came since. So no edge
/// of the poller is lost.
#[derive(Debug)]
pub(crate) struct Listener {
    queue: Queue,
    endpoint: Endpoint,
    address: BoundAddress,
    state: State,
    dead_peer_detection: DeadPeerDetection,
    /// Whether connections may be queued that came before our options were set: they inherited others.
    has_early_connections: bool,
}

/// Accept queue of the kernel.
#[derive(Debug)]
enum Queue {
    Tcp(TcpListener),
    Unix {
        socket: UnixListener,
        /// The file, if it is ours to remove.
        _file: Option<SocketFile>,
    },
}

impl Queue {
    /// Accepts one connection. The options of a TCP socket are inherited, those of a Unix socket are not.
    fn accept(&self) -> io::Result<TcpStream> {
        match self {
            Queue::Tcp(socket) => socket.accept().map(|(stream, _)| stream),
            Queue::Unix { socket, .. } => {
                let (stream, _) = socket.accept()?;
                SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES)?;
                // The kernel reads, writes and polls it as it does any stream.
                Ok(TcpStream::from_std(net::TcpStream::from(OwnedFd::from(stream))))
            }
        }
    }
}

/// State of the accept queue. The poller reports an edge once, so an edge that was not used up has to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The queue was empty.
    Drained,
    /// Connections may be queued, since this time.
    Owed(Instant),
    /// A connection is queued, but `accept` failed: for want of a descriptor or of memory, or again and again. The next
    /// try is at this time.
    Postponed(Instant),
}

impl Listener {
    /// Listens on `address` for the protocol of `endpoint`. An IPv6 address accepts IPv6 only. If it is shared, other
    /// processes of this user may listen on the same address, if theirs is shared, too.
    ///
    /// # Errors
    /// If the address is in use, not an address of this host or not permitted.
    pub(crate) fn bind(address: SocketAddr, endpoint: Endpoint, is_shared: bool) -> io::Result<Listener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // A restarted server must not wait until the connections of the old one leave TIME-WAIT.
        socket.set_reuse_address(true)?;
        if is_shared {
            socket.set_reuse_port(true)?;
        }
        let dead_peer_detection = set_options(&socket)?;
        socket.bind(&address.into())?;
        socket.listen(LISTEN_BACKLOG)?;
        let socket = TcpListener::from_std(socket.into());
        let address = BoundAddress::Port(socket.local_addr()?);
        let queue = Queue::Tcp(socket);
        Ok(Listener {
            queue,
            endpoint,
            address,
            state: State::Drained,
            dead_peer_detection,
            has_early_connections: false,
        })
    }

    /// Listens on a Unix socket for the protocol of `endpoint`.
    ///
    /// # Errors
    /// As [`unix_socket::listen`].
    pub(crate) fn bind_unix(path: &Path, endpoint: Endpoint) -> io::Result<Listener> {
        let (socket, file) = unix_socket::listen(path, endpoint)?;
        Ok(Listener::of_unix(socket, Some(file), path.to_owned(), endpoint))
    }

    fn of_unix(socket: UnixListener, file: Option<SocketFile>, path: PathBuf, endpoint: Endpoint) -> Listener {
        Listener {
            queue: Queue::Unix { socket, _file: file },
            endpoint,
            address: BoundAddress::Unix(path),
            state: State::Drained,
            // A peer on this machine ends its connections with itself.
            dead_peer_detection: DeadPeerDetection::Fast,
            has_early_connections: false,
        }
    }

    /// Adopts an inherited Unix socket for the protocol of `endpoint`. Its file stays with the service manager.
    ///
    /// # Errors
    /// If the socket does not listen.
    pub(crate) fn adopt_unix(socket: unix::net::UnixListener, endpoint: Endpoint) -> io::Result<Listener> {
        let options = SockRef::from(&socket);
        check_listening(&options)?;
        options.set_nonblocking(true)?;
        options.listen(LISTEN_BACKLOG)?;
        let address = socket.local_addr()?;
        let name = || SockRef::from(&socket).local_addr().ok()?.as_abstract_namespace().map(<[u8]>::to_vec);
        let path = match address.as_pathname() {
            Some(path) => path.to_owned(),
            None => format!("@{}", name().unwrap_or_default().escape_ascii()).into(),
        };
        Ok(Listener::of_unix(UnixListener::from_std(socket), None, path, endpoint))
    }

    /// Adopts an inherited listening socket for the protocol of `endpoint`, with the options of our own.
    ///
    /// # Errors
    /// If the socket does not listen, or an option cannot be set.
    pub(crate) fn adopt(socket: net::TcpListener, endpoint: Endpoint) -> io::Result<Listener> {
        let options = SockRef::from(&socket);
        check_listening(&options)?;
        options.set_nonblocking(true)?;
        let dead_peer_detection = set_options(&options)?;
        // Sets the length of the queue.
        options.listen(LISTEN_BACKLOG)?;
        let address = BoundAddress::Port(socket.local_addr()?);
        let queue = Queue::Tcp(TcpListener::from_std(socket));
        Ok(Listener {
            queue,
            endpoint,
            address,
            state: State::Drained,
            dead_peer_detection,
            has_early_connections: true,
        })
    }

    /// Returns the address, with the port that the kernel chose for port 0.
    pub(crate) fn address(&self) -> &BoundAddress {
        &self.address
    }

    /// Returns the address of a port; `None` for a Unix socket.
    pub(crate) fn port_address(&self) -> Option<SocketAddr> {
        self.address.port()
    }

    /// Returns the protocol of this socket.
    pub(crate) fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// Returns how soon the kernel detects dead peers of its connections.
    pub(crate) fn dead_peer_detection(&self) -> DeadPeerDetection {
        self.dead_peer_detection
    }

    /// Registers the socket for reading.
    ///
    /// # Errors
    /// If the poller rejects it.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.queue {
            Queue::Tcp(socket) => registry.register(socket, token, Interest::READABLE),
            Queue::Unix { socket, .. } => registry.register(socket, token, Interest::READABLE),
        }
    }

    /// Notes an edge of the poller: connections may be queued.
    pub(crate) fn on_readable(&mut self, now: Instant) {
        if self.state == State::Drained {
            self.state = State::Owed(now);
        }
    }

    /// Notes that a descriptor was closed: a postponed `accept` is due at once.
    pub(crate) fn on_descriptor_freed(&mut self, now: Instant) {
        if let State::Postponed(until) = &mut self.state {
            *until = now;
        }
    }

    /// Returns when to call [`accept`](Listener::accept); `None` while the queue is empty. A time in the past means
    /// now.
    pub(crate) fn accept_at(&self) -> Option<Instant> {
        match self.state {
            State::Drained => None,
            State::Owed(since) => Some(since),
            State::Postponed(until) => Some(until),
        }
    }

    /// Accepts one connection. Returns `None` if the queue is empty, or if `accept` fails or is postponed.
    pub(crate) fn accept(&mut self, reports: &mut Reports, now: Instant) -> Option<TcpStream> {
        if self.accept_at().is_none_or(|time| time > now) {
            return None;
        }
        self.accept_with(reports, now, Queue::accept)
    }

    fn accept_with(
        &mut self,
        reports: &mut Reports,
        now: Instant,
        mut accept: impl FnMut(&Queue) -> io::Result<TcpStream>,
    ) -> Option<TcpStream> {
        let mut errors = 0;
        loop {
            match accept(&self.queue) {
                Ok(stream) => {
                    self.state = State::Owed(now);
                    if self.has_early_connections
                        && let Err(error) = set_options(&SockRef::from(&stream))
                    {
                        debug!("accepting on {}: {error}", self.address);
                    }
                    return Some(stream);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.state = State::Drained;
                    self.has_early_connections = false;
                    return None;
                }
                // This connection failed; the next one may not. The tries are limited: a security module can refuse a
                // connection before the kernel removes it from the queue, so `accept` finds it for ever.
                Err(error) if is_of_one_connection(&error) && errors < ACCEPT_ERRORS_MAX => {
                    errors += 1;
                    debug!("accepting on {}: {error}", self.address);
                }
                Err(error) => {
                    let what = format_args!("cannot accept on {}, will retry: {error}", self.address);
                    reports.note(Kind::NotAccepted, None, what, now);
                    self.state = State::Postponed(now + ACCEPT_RETRY);
                    return None;
                }
            }
        }
    }
}

fn check_listening(socket: &Socket) -> io::Result<()> {
    if socket.is_listener()? {
        return Ok(());
    }
    let text = "not a listening socket (a socket unit needs Accept=no)";
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

/// Sets the options of connections on a listening socket, whose accepted sockets inherit them at no cost. Connections
/// that were queued before need a call of their own.
fn set_options(socket: &Socket) -> io::Result<DeadPeerDetection> {
    let dead_peer_detection = keepalive::find_dead_peers(socket)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    // Telnet sends part of a command as urgent data, which would be missing from the stream.
    socket.set_out_of_band_inline(true)?;
    socket.set_tcp_nodelay(true)?;
    Ok(dead_peer_detection)
}

/// Whether an error of `accept` concerns one connection only (accept(2), "Error handling").
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::Interrupted
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
            | Kind::HostUnreachable
            | Kind::PermissionDenied
            | Kind::TimedOut
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream as Peer;

    use nix::errno::Errno;
    use nix::sys::socket::getsockopt;
    use nix::sys::socket::sockopt::GetStruct;
    use nix::{getsockopt_impl, libc};

    use super::*;
    use crate::net::keepalive::tests::assert_watched;

    /// `SO_BUF_LOCK`: the buffers whose size the kernel does not change.
    #[derive(Clone, Copy, Debug)]
    struct BufferLock;

    getsockopt_impl!(BufferLock, libc::SOL_SOCKET, libc::SO_BUF_LOCK, u32, GetStruct<u32>);

    /// `SOCK_SNDBUF_LOCK` and `SOCK_RCVBUF_LOCK` of linux/socket.h.
    const SEND_AND_RECEIVE: u32 = 1 | 2;

    fn connect(listener: &Listener) -> Peer {
        Peer::connect(listener.port_address().unwrap()).unwrap()
    }

    fn accept_one(listener: &mut Listener) -> TcpStream {
        let deadline = Instant::now() + std::time::Duration::from_secs(10);
        loop {
            if let Some(stream) = listener.accept(&mut Reports::default(), Instant::now()) {
                return stream;
            }
            assert!(Instant::now() < deadline, "no connection within 10 s");
        }
    }

    #[test]
    fn accepted_sockets_inherit_what_was_set_on_the_listener() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // Not every host has IPv6.
            if std::net::TcpListener::bind(address).is_err() {
                continue;
            }
            let mut listener = Listener::bind(address.parse().unwrap(), Endpoint::Lines, false).unwrap();
            listener.on_readable(Instant::now());
            let _peer = connect(&listener);
            let stream = accept_one(&mut listener);
            assert!(stream.nodelay().unwrap());
            // The kernel doubles both (socket(7)).
            let socket = socket2::SockRef::from(&stream);
            assert_eq!(socket.send_buffer_size().unwrap(), 2 * SEND_BUFFER_BYTES);
            assert_eq!(socket.recv_buffer_size().unwrap(), 2 * RECEIVE_BUFFER_BYTES);
            // A buffer whose size was not set may start with the same size, but it grows.
            match getsockopt(&stream, BufferLock) {
                Ok(lock) => assert_eq!(lock, SEND_AND_RECEIVE),
                Err(error) => assert_eq!(error, Errno::ENOPROTOOPT, "unknown before Linux 5.14"),
            }
            assert_watched(&stream);
        }
    }

    #[test]
    fn connections_queued_before_the_adoption_get_the_same_options() {
        let mut listener = Listener::adopt(net::TcpListener::bind("127.0.0.1:0").unwrap(), Endpoint::Lines).unwrap();
        let early = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _peer = Peer::connect(early.local_addr().unwrap()).unwrap();
        let mut with_early = Listener::adopt(early, Endpoint::Lines).unwrap();
        let _late = connect(&listener);
        for listener in [&mut with_early, &mut listener] {
            listener.on_readable(Instant::now());
            let stream = accept_one(listener);
            assert!(stream.nodelay().unwrap());
            assert_eq!(SockRef::from(&stream).send_buffer_size().unwrap(), 2 * SEND_BUFFER_BYTES);
            assert!(listener.accept(&mut Reports::default(), Instant::now()).is_none());
            assert!(!listener.has_early_connections, "later ones inherit them");
        }
    }

    #[test]
    fn a_unix_socket_is_accepted_as_a_stream_of_its_own_buffers() {
        let path = std::env::temp_dir().join(format!("pollchat-listener-{}.sock", std::process::id()));
        let mut listener = Listener::bind_unix(&path, Endpoint::Lines).unwrap();
        listener.on_readable(Instant::now());
        let _peer = unix::net::UnixStream::connect(&path).unwrap();
        let stream = accept_one(&mut listener);
        assert_eq!(SockRef::from(&stream).send_buffer_size().unwrap(), 2 * SEND_BUFFER_BYTES);
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn an_edge_is_remembered_until_the_queue_is_empty() {
        let now = Instant::now();
        let mut listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Endpoint::Lines, false).unwrap();
        assert_eq!(listener.accept_at(), None);
        listener.on_readable(now);
        let _peers = [connect(&listener), connect(&listener)];
        let _streams = [accept_one(&mut listener), accept_one(&mut listener)];
        assert!(listener.accept_at().is_some(), "there may be a third");
        assert!(listener.accept(&mut Reports::default(), Instant::now()).is_none());
        assert_eq!(listener.accept_at(), None);
    }

    #[test]
    fn a_persistent_error_is_not_retried_at_once() {
        let now = Instant::now();
        let mut listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Endpoint::Lines, false).unwrap();
        listener.on_readable(now);
        for retry in 0..3 {
            let mut tries = 0;
            let fail = |_: &Queue| {
                tries += 1;
                Err(io::ErrorKind::PermissionDenied.into())
            };
            let now = now + retry * ACCEPT_RETRY;
            assert!(listener.accept_with(&mut Reports::default(), now, fail).is_none());
            assert_eq!(tries, 1 + ACCEPT_ERRORS_MAX);
            assert_eq!(listener.accept_at(), Some(now + ACCEPT_RETRY), "the edge is not lost");
        }
        let _peer = connect(&listener);
        assert!(listener.accept(&mut Reports::default(), now).is_none(), "not before its time");
        assert!(listener.accept(&mut Reports::default(), now + 3 * ACCEPT_RETRY).is_some());
    }

    #[test]
    fn a_failed_connection_does_not_delay_the_next_one() {
        let now = Instant::now();
        let mut listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Endpoint::Lines, false).unwrap();
        let _peer = connect(&listener);
        listener.on_readable(now);
        let mut errors = [io::ErrorKind::ConnectionAborted, io::ErrorKind::Interrupted].into_iter();
        let stream = listener.accept_with(&mut Reports::default(), now, |socket| match errors.next() {
            Some(error) => Err(error.into()),
            None => socket.accept(),
        });
        assert!(stream.is_some());
        assert_eq!(listener.accept_at(), Some(now));
    }
}
