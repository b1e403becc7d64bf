//! Connection attempts: one after the other to each address of a server, without blocking.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};
use socket2::SockRef;

use super::limits::CONNECT_TIMEOUT;
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

/// A non-blocking connect to several addresses in turn.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// Untried addresses, the next one last.
    candidates: Vec<SocketAddr>,
    /// The connect under way and its deadline.
    current: Option<(TcpStream, Instant)>,
    /// Error of the first address, which the resolver prefers.
    first_error: Option<io::Error>,
}

/// State of an [`Attempt`].
#[derive(Debug)]
pub(crate) enum AttemptStatus {
    /// The server has not answered yet.
    Pending,
    /// A connection, registered with the token of the attempt.
    Connected(Connected),
    /// All addresses failed. The error is the first address's.
    Failed(io::Error),
}

impl Attempt {
    /// An attempt at `candidates`, in their order.
    pub(crate) fn new(candidates: impl IntoIterator<Item = SocketAddr>) -> Attempt {
        let mut candidates: Vec<SocketAddr> = candidates.into_iter().collect();
        candidates.reverse();
        Attempt { candidates, current: None, first_error: None }
    }

    /// The deadline of the present connect.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.current.as_ref().map(|(_, deadline)| *deadline)
    }

    /// Checks the present connect, and starts the next one if it failed. Does not block.
    pub(crate) fn advance(&mut self, registry: &Registry, token: Token, now: Instant) -> AttemptStatus {
        loop {
            let Some((stream, deadline)) = self.current.take() else {
                let Some(candidate) = self.candidates.pop() else {
                    let no_address = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                    return AttemptStatus::Failed(self.first_error.take().unwrap_or_else(no_address));
                };
                match start(candidate, registry, token) {
                    Ok(stream) => self.current = Some((stream, now + CONNECT_TIMEOUT)),
                    Err(err) => self.record(err),
                }
                continue;
            };
            match connect_status(&stream) {
                Ok(ConnectStatus::Pending) if now < deadline => {
                    self.current = Some((stream, deadline));
                    return AttemptStatus::Pending;
                }
                Ok(ConnectStatus::Pending) => self.record(io::ErrorKind::TimedOut.into()),
                Ok(ConnectStatus::Connected) => return AttemptStatus::Connected(Connected { stream, reset: None }),
                Ok(ConnectStatus::Reset(err)) => {
                    return AttemptStatus::Connected(Connected { stream, reset: Some(err) });
                }
                Err(err) => self.record(err),
            }
        }
    }

    /// Waits until an address answers or all have failed. Polls with a `poll` that has no other sources yet: their
    /// events would be lost.
    ///
    /// # Errors
    /// The failure of the first address, or of the poller.
    pub(crate) fn wait(mut self, poll: &mut Poll, token: Token) -> io::Result<Connected> {
        let mut events = Events::with_capacity(1);
        loop {
            let now = Instant::now();
            match self.advance(poll.registry(), token, now) {
                AttemptStatus::Connected(connected) => return Ok(connected),
                AttemptStatus::Failed(err) => return Err(err),
                AttemptStatus::Pending => {}
            }
            let timeout = self.deadline().map(|deadline| deadline.saturating_duration_since(now));
            match poll.poll(&mut events, timeout) {
                Err(err) if err.kind() != io::ErrorKind::Interrupted => return Err(err),
                _ => {}
            }
        }
    }

    fn record(&mut self, err: io::Error) {
        self.first_error.get_or_insert(err);
    }
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

    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::net::keepalive::tests::assert_watched;

    /// A bound socket that does not listen.
    fn closed_port() -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket
    }

    fn attempt(candidates: &[SocketAddr]) -> io::Result<Connected> {
        let mut poll = Poll::new().unwrap();
        Attempt::new(candidates.iter().copied()).wait(&mut poll, Token(0))
    }

    #[test]
    fn an_attempt_tries_every_address_until_one_answers() {
        let closed = closed_port();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let candidates = [closed.local_addr().unwrap().as_socket().unwrap(), listener.local_addr().unwrap()];
        let Connected { stream, reset: None } = attempt(&candidates).unwrap() else {
            panic!("the second address listens");
        };
        assert_eq!(stream.peer_addr().unwrap(), candidates[1]);
        assert!(stream.nodelay().unwrap());
        assert_watched(&stream);
    }

    #[test]
    fn an_attempt_fails_as_its_first_address_did() {
        let closed = closed_port();
        // The broadcast address fails in another way: TCP has no broadcast.
        let candidates = [closed.local_addr().unwrap().as_socket().unwrap(), SocketAddr::from(([255; 4], 1))];
        let error = |candidates: &[SocketAddr]| attempt(candidates).unwrap_err().kind();
        assert_eq!(error(&candidates), io::ErrorKind::ConnectionRefused);
        assert_ne!(error(&[candidates[1], candidates[0]]), io::ErrorKind::ConnectionRefused);
        assert_eq!(error(&[]), io::ErrorKind::NotFound);
    }

    #[test]
    fn an_address_that_never_answers_times_out() {
        // A listener whose queue is full answers no SYN.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let _first = std::net::TcpStream::connect(address).unwrap();
        let poll = Poll::new().unwrap();
        let mut attempt = Attempt::new([address]);
        let now = Instant::now();
        assert!(matches!(attempt.advance(poll.registry(), Token(0), now), AttemptStatus::Pending));
        let deadline = attempt.deadline().unwrap();
        assert_eq!(deadline, now + CONNECT_TIMEOUT);
        let AttemptStatus::Failed(err) = attempt.advance(poll.registry(), Token(0), deadline) else {
            panic!("the connect timed out");
        };
        assert_eq!(err.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_socket_that_is_connected_to_itself_is_no_connection() {
        let socket = closed_port();
        socket.connect(&socket.local_addr().unwrap()).unwrap();
        let stream = TcpStream::from_std(socket.into());
        assert!(connect_status(&stream).is_err_and(|err| err.kind() == io::ErrorKind::ConnectionRefused));
    }
}
