//! A listening socket: how it is made, and what its errors mean.

use std::io;
use std::net::{self, SocketAddr};
use std::time::Instant;

use log::{debug, warn};
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::endpoint::Endpoint;
use super::limits::{ACCEPT_ERRORS_MAX, ACCEPT_RETRY, LISTEN_BACKLOG, RECEIVE_BUFFER_BYTES, SEND_BUFFER_BYTES};
use crate::net::keepalive::{self, DeadPeerDetection};

/// A listening socket, and whether it still owes us connections.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    endpoint: Endpoint,
    address: SocketAddr,
    state: State,
    dead_peer_detection: DeadPeerDetection,
    /// Whether those who waited before the socket was ours may not all be accepted yet: they have inherited other options.
    has_strangers: bool,
}

/// What is known of the queue of waiting connections. The poller announces an edge once: one that was not used up must
/// be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody waited when last looked.
    Drained,
    /// Somebody may be waiting, since then.
    Owed(Instant),
    /// Somebody waits who could not be taken in, for want of a descriptor or of memory, or because accepting fails again
    /// and again: to be tried again at this time.
    Postponed(Instant),
}

impl Listener {
    /// Listens on `address`, for those who speak what is spoken on this `port`. An IPv6 address takes IPv6 only.
    ///
    /// # Errors
    /// When the address is taken, not ours or not allowed.
    pub fn bind(address: SocketAddr, endpoint: Endpoint) -> io::Result<Listener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // A restarted server must not wait for the old one's connections to be forgotten.
        socket.set_reuse_address(true)?;
        let dead_peer_detection = set_options(&socket)?;
        socket.bind(&address.into())?;
        socket.listen(LISTEN_BACKLOG)?;
        let socket = TcpListener::from_std(socket.into());
        let address = socket.local_addr()?;
        Ok(Listener { socket, endpoint, address, state: State::Drained, dead_peer_detection, has_strangers: false })
    }

    /// Listens on a socket that was handed over to us, as on our own: for lines.
    ///
    /// # Errors
    /// When it does not listen already, or cannot be made one of ours.
    pub fn adopt(socket: net::TcpListener) -> io::Result<Listener> {
        let options = SockRef::from(&socket);
        if !options.is_listener()? {
            let text = "it does not listen (a socket unit needs Accept=no)";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        options.set_nonblocking(true)?;
        let dead_peer_detection = set_options(&options)?;
        // Again, for the length of the queue.
        options.listen(LISTEN_BACKLOG)?;
        let address = socket.local_addr()?;
        let socket = TcpListener::from_std(socket);
        Ok(Listener {
            socket,
            endpoint: Endpoint::Lines,
            address,
            state: State::Drained,
            dead_peer_detection,
            has_strangers: true,
        })
    }

    /// The address that it listens on; with the port that the kernel picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is spoken on it.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// How soon the kernel gives up those of its connections that do not answer.
    pub fn dead_peer_detection(&self) -> DeadPeerDetection {
        self.dead_peer_detection
    }

    /// The socket, to be registered for reading.
    pub fn socket_mut(&mut self) -> &mut TcpListener {
        &mut self.socket
    }

    /// Learns that somebody waits.
    pub fn on_readable(&mut self, now: Instant) {
        if self.state == State::Drained {
            self.state = State::Owed(now);
        }
    }

    /// Learns that a descriptor became free: accepting is worth a try at once.
    pub fn on_descriptor_freed(&mut self, now: Instant) {
        if let State::Postponed(until) = &mut self.state {
            *until = now;
        }
    }

    /// When accepting may find somebody; `None` if nobody waits. A time that is past means now.
    pub fn accept_at(&self) -> Option<Instant> {
        match self.state {
            State::Drained => None,
            State::Owed(since) => Some(since),
            State::Postponed(until) => Some(until),
        }
    }

    /// Accepts one connection; `None` when nobody waits any more, or nobody can be taken in now.
    pub fn accept(&mut self, now: Instant) -> Option<TcpStream> {
        if self.accept_at().is_none_or(|time| time > now) {
            return None;
        }
        self.accept_with(now, TcpListener::accept)
    }

    fn accept_with(
        &mut self,
        now: Instant,
        mut accept: impl FnMut(&TcpListener) -> io::Result<(TcpStream, SocketAddr)>,
    ) -> Option<TcpStream> {
        let mut errors = 0;
        loop {
            match accept(&self.socket) {
                Ok((stream, _)) => {
                    self.state = State::Owed(now);
                    if self.has_strangers
                        && let Err(error) = set_options(&SockRef::from(&stream))
                    {
                        debug!("accepting on {}: {error}", self.address);
                    }
                    return Some(stream);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.state = State::Drained;
                    self.has_strangers = false;
                    return None;
                }
                // That one is gone; the next one may be well. But not all of them can be ill: a security module, say,
                // refuses before the connection is taken off the queue, so that the same one is met for ever.
                Err(error) if is_of_one_connection(&error) && errors < ACCEPT_ERRORS_MAX => {
                    errors += 1;
                    debug!("accepting on {}: {error}", self.address);
                }
                Err(error) => {
                    self.postpone(now, &error);
                    return None;
                }
            }
        }
    }

    fn postpone(&mut self, now: Instant, error: &io::Error) {
        if !matches!(self.state, State::Postponed(_)) {
            warn!("cannot accept on {} for now: {error}", self.address);
        }
        self.state = State::Postponed(now + ACCEPT_RETRY);
    }
}

/// Sets what holds for each connection: on the listener, of which accepted sockets inherit it, so that it takes no system
/// calls for each; or on those who came before that.
fn set_options(socket: &Socket) -> io::Result<DeadPeerDetection> {
    let dead_peer_detection = keepalive::find_dead_peers(socket)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.set_tcp_nodelay(true)?;
    Ok(dead_peer_detection)
}

/// Whether an error of `accept` concerns only the connection that was to be accepted (accept(2), "Error handling").
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

    /// Which of its buffers the kernel leaves at the size that was set.
    #[derive(Clone, Copy, Debug)]
    struct BufferLock;

    getsockopt_impl!(BufferLock, libc::SOL_SOCKET, libc::SO_BUF_LOCK, u32, GetStruct<u32>);

    /// `SOCK_SNDBUF_LOCK` and `SOCK_RCVBUF_LOCK` of linux/socket.h.
    const SEND_AND_RECEIVE: u32 = 1 | 2;

    fn accept_one(listener: &mut Listener) -> TcpStream {
        let deadline = Instant::now() + std::time::Duration::from_secs(10);
        loop {
            if let Some(stream) = listener.accept(Instant::now()) {
                return stream;
            }
            assert!(Instant::now() < deadline, "nobody came");
        }
    }

    #[test]
    fn accepted_sockets_inherit_what_was_set_on_the_listener() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // Not every host has IPv6.
            if std::net::TcpListener::bind(address).is_err() {
                continue;
            }
            let mut listener = Listener::bind(address.parse().unwrap(), Endpoint::Lines).unwrap();
            listener.on_readable(Instant::now());
            let _peer = Peer::connect(listener.address()).unwrap();
            let stream = accept_one(&mut listener);
            assert!(stream.nodelay().unwrap());
            // The kernel doubles them (socket(7)).
            let socket = socket2::SockRef::from(&stream);
            assert_eq!(socket.send_buffer_size().unwrap(), 2 * SEND_BUFFER_BYTES);
            assert_eq!(socket.recv_buffer_size().unwrap(), 2 * RECEIVE_BUFFER_BYTES);
            // One that was not set begins with that size, too, and grows.
            match getsockopt(&stream, BufferLock) {
                Ok(lock) => assert_eq!(lock, SEND_AND_RECEIVE),
                Err(error) => assert_eq!(error, Errno::ENOPROTOOPT, "before Linux 5.14 it does not tell"),
            }
            assert_watched(&stream);
        }
    }

    #[test]
    fn who_waited_before_the_socket_was_ours_is_given_the_same_options() {
        let mut listener = Listener::adopt(net::TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let early = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _peer = Peer::connect(early.local_addr().unwrap()).unwrap();
        let mut with_early = Listener::adopt(early).unwrap();
        let _late = Peer::connect(listener.address()).unwrap();
        for listener in [&mut with_early, &mut listener] {
            listener.on_readable(Instant::now());
            let stream = accept_one(listener);
            assert!(stream.nodelay().unwrap());
            assert_eq!(SockRef::from(&stream).send_buffer_size().unwrap(), 2 * SEND_BUFFER_BYTES);
            assert!(listener.accept(Instant::now()).is_none());
            assert!(!listener.has_strangers, "from now on they inherit them");
        }
    }

    #[test]
    fn an_edge_is_remembered_until_nobody_waits() {
        let now = Instant::now();
        let mut listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Endpoint::Lines).unwrap();
        assert_eq!(listener.accept_at(), None);
        listener.on_readable(now);
        let _peers = [Peer::connect(listener.address()).unwrap(), Peer::connect(listener.address()).unwrap()];
        let _streams = [accept_one(&mut listener), accept_one(&mut listener)];
        assert!(listener.accept_at().is_some(), "there may be a third");
        assert!(listener.accept(Instant::now()).is_none());
        assert_eq!(listener.accept_at(), None);
    }

    #[test]
    fn an_error_that_stays_is_not_tried_for_ever() {
        let now = Instant::now();
        let mut listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Endpoint::Lines).unwrap();
        listener.on_readable(now);
        for retry in 0..3 {
            let mut tries = 0;
            let fail = |_: &TcpListener| {
                tries += 1;
                Err(io::ErrorKind::PermissionDenied.into())
            };
            let now = now + retry * ACCEPT_RETRY;
            assert!(listener.accept_with(now, fail).is_none());
            assert_eq!(tries, 1 + ACCEPT_ERRORS_MAX);
            assert_eq!(listener.accept_at(), Some(now + ACCEPT_RETRY), "the edge is still owed");
        }
        let _peer = Peer::connect(listener.address()).unwrap();
        assert!(listener.accept(now).is_none(), "not before its time");
        assert!(listener.accept(now + 3 * ACCEPT_RETRY).is_some());
    }

    #[test]
    fn a_connection_that_fails_does_not_keep_the_next_one_waiting() {
        let now = Instant::now();
        let mut listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Endpoint::Lines).unwrap();
        let _peer = Peer::connect(listener.address()).unwrap();
        listener.on_readable(now);
        let mut errors = [io::ErrorKind::ConnectionAborted, io::ErrorKind::Interrupted].into_iter();
        let stream = listener.accept_with(now, |socket| match errors.next() {
            Some(error) => Err(error.into()),
            None => socket.accept(),
        });
        assert!(stream.is_some());
        assert_eq!(listener.accept_at(), Some(now));
    }
}
