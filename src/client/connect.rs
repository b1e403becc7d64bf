//! Connecting: to any of a server's addresses, waiting for it, or as one more thing that a loop does.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::limits::CONNECT_TIMEOUT;
use crate::net::keepalive;

/// A connection as it comes about.
#[derive(Debug)]
pub struct Connected {
    /// The socket, non-blocking.
    pub stream: TcpStream,
    /// Why nothing can be written to it any more: the server took us, and had reset the connection before we looked.
    /// What it said in between can be read.
    pub reset: Option<io::Error>,
}

/// A connect that is under way, to one of several addresses after the other.
#[derive(Debug)]
pub struct Attempt {
    /// The addresses that were not tried yet, the next one last.
    candidates: Vec<SocketAddr>,
    /// The address that is tried, and until when.
    current: Option<(TcpStream, Instant)>,
    /// The first one's failure: the resolver puts the likeliest address first.
    first_error: Option<io::Error>,
}

/// How an [`Attempt`] goes.
#[derive(Debug)]
pub enum AttemptStatus {
    /// No answer yet.
    Pending,
    /// There is a connection, registered as the attempt was.
    Connected(Connected),
    /// No address answered; the failure of the first one.
    Failed(io::Error),
}

impl Attempt {
    /// Will try `candidates` in their order.
    pub fn new(candidates: &[SocketAddr]) -> Attempt {
        let candidates = candidates.iter().rev().copied().collect();
        Attempt { candidates, current: None, first_error: None }
    }

    /// When to look again, if no event comes.
    pub fn deadline(&self) -> Option<Instant> {
        self.current.as_ref().map(|(_, deadline)| *deadline)
    }

    /// Looks how it goes, and goes on with the next address if need be. Never waits.
    pub fn advance(&mut self, registry: &Registry, token: Token, now: Instant) -> AttemptStatus {
        loop {
            let Some((stream, deadline)) = self.current.take() else {
                let Some(candidate) = self.candidates.pop() else {
                    let nothing = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                    return AttemptStatus::Failed(self.first_error.take().unwrap_or_else(nothing));
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

    fn record(&mut self, err: io::Error) {
        self.first_error.get_or_insert(err);
    }
}

/// What a peer said to a connect.
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
        // A port of this very machine where nobody listens may be the one that the kernel picked for us: then TCP
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

/// Connects to the first of `candidates` that answers, or fails as the first one did: the resolver puts the likeliest
/// first. Blocks while it does.
///
/// # Errors
/// When none does.
pub fn connect_to_any(candidates: impl Iterator<Item = SocketAddr>) -> io::Result<Connected> {
    let mut first_error = None;
    for candidate in candidates {
        match connect_to(candidate) {
            Ok(connected) => return Ok(connected),
            Err(err) => first_error = first_error.or(Some(err)),
        }
    }
    Err(first_error.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}

fn connect_to(candidate: SocketAddr) -> io::Result<Connected> {
    let socket = Socket::new(Domain::for_address(candidate), Type::STREAM, Some(Protocol::TCP))?;
    let reset = match socket.connect_timeout(&candidate.into(), CONNECT_TIMEOUT) {
        Ok(()) => None,
        Err(err) if err.kind() == io::ErrorKind::ConnectionReset => Some(err),
        Err(err) => return Err(err),
    };
    set_up(&socket)?;
    socket.set_nonblocking(true)?;
    Ok(Connected { stream: TcpStream::from_std(socket.into()), reset })
}

/// Sets what every connection is to have.
fn set_up(socket: &impl AsFd) -> io::Result<()> {
    // A typed line should not wait for the one before it to be acknowledged.
    SockRef::from(socket).set_tcp_nodelay(true)?;
    // A server that let us go while we were not to be reached (a laptop was closed) has told nobody. On an old kernel it
    // takes longer to notice: nothing that anybody here could mend.
    keepalive::find_dead_peers(socket)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use mio::{Events, Poll};

    use super::*;
    use crate::net::keepalive::tests::assert_watched;

    /// A socket with an address, and nobody who listens there.
    fn nobody() -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket
    }

    #[test]
    fn every_address_is_tried_until_one_answers() {
        let nobody = nobody();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let candidates = [nobody.local_addr().unwrap().as_socket().unwrap(), listener.local_addr().unwrap()];
        let stream = connect_to_any(candidates.into_iter()).unwrap().stream;
        assert_eq!(stream.peer_addr().unwrap(), candidates[1]);
        assert!(stream.nodelay().unwrap());
        assert_watched(&stream);
    }

    #[test]
    fn when_no_address_answers_the_first_failure_is_told() {
        let nobody = nobody();
        // The second address fails in another way: TCP has no broadcast.
        let broadcast = SocketAddr::from(([255, 255, 255, 255], 1));
        let candidates = [nobody.local_addr().unwrap().as_socket().unwrap(), broadcast];
        let error = |candidates: [SocketAddr; 2]| connect_to_any(candidates.into_iter()).unwrap_err().kind();
        assert_eq!(error(candidates), io::ErrorKind::ConnectionRefused);
        assert_ne!(error([candidates[1], candidates[0]]), io::ErrorKind::ConnectionRefused);
        assert_eq!(connect_to_any([].into_iter()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// Has an attempt go on until it is over.
    fn attempt(candidates: &[SocketAddr]) -> AttemptStatus {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(8);
        let mut attempt = Attempt::new(candidates);
        loop {
            let status = attempt.advance(poll.registry(), Token(0), Instant::now());
            if !matches!(status, AttemptStatus::Pending) {
                return status;
            }
            poll.poll(&mut events, Some(CONNECT_TIMEOUT)).unwrap();
        }
    }

    #[test]
    fn an_attempt_tries_every_address_until_one_answers() {
        let nobody = nobody();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let candidates = [nobody.local_addr().unwrap().as_socket().unwrap(), listener.local_addr().unwrap()];
        let AttemptStatus::Connected(Connected { stream, reset: None }) = attempt(&candidates) else {
            panic!("the second one listens");
        };
        assert_eq!(stream.peer_addr().unwrap(), candidates[1]);
        assert!(stream.nodelay().unwrap());
        assert_watched(&stream);
    }

    #[test]
    fn an_attempt_fails_as_its_first_address_did() {
        let nobody = nobody();
        let candidates = [nobody.local_addr().unwrap().as_socket().unwrap(), SocketAddr::from(([255; 4], 1))];
        for (candidates, kind) in [(&candidates[..], io::ErrorKind::ConnectionRefused), (&[], io::ErrorKind::NotFound)]
        {
            let AttemptStatus::Failed(err) = attempt(candidates) else { panic!("nobody listens") };
            assert_eq!(err.kind(), kind);
        }
    }

    #[test]
    fn an_address_that_never_answers_is_given_up_in_time() {
        // A listener whose queue is full answers no SYN.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let _first = std::net::TcpStream::connect(address).unwrap();
        let poll = Poll::new().unwrap();
        let mut attempt = Attempt::new(&[address]);
        let now = Instant::now();
        assert!(matches!(attempt.advance(poll.registry(), Token(0), now), AttemptStatus::Pending));
        let deadline = attempt.deadline().unwrap();
        assert_eq!(deadline, now + CONNECT_TIMEOUT);
        let AttemptStatus::Failed(err) = attempt.advance(poll.registry(), Token(0), deadline) else {
            panic!("it never answered");
        };
        assert_eq!(err.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_socket_that_is_connected_to_itself_is_no_connection() {
        let socket = nobody();
        socket.connect(&socket.local_addr().unwrap()).unwrap();
        let stream = TcpStream::from_std(socket.into());
        assert!(connect_status(&stream).is_err_and(|err| err.kind() == io::ErrorKind::ConnectionRefused));
    }
}
