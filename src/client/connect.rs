//! Connection attempts: from the look-up of the server's name to a connection, without blocking.

use std::io;
use std::mem;
use std::time::Instant;

use mio::{Events, Poll, Registry, Token};

use super::limits::RESOLVE_PATIENCE;
use super::race::{Connected, Race};
use super::resolver::Resolver;
use super::secure::{Handshake, HandshakeStatus, Security, Wire};
use super::trust::Untrusted;
use crate::net::resolve::{RESOLVE_TIMEOUT, late};

/// A non-blocking connect to a server: a look-up of its name, a [`Race`] between its addresses, and perhaps a handshake.
#[derive(Debug)]
pub(crate) struct Attempt {
    token: Token,
    look_up: LookUp,
    race: Race,
    tls: Tls,
}

/// State of TLS.
#[derive(Debug)]
enum Tls {
    /// There is none.
    None,
    /// It begins with the connection that wins the race.
    ToCome(Security),
    UnderWay(Handshake),
}

/// A connection that is ready for a session.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The bytes in both directions.
    pub(crate) wire: Wire,
    /// As in [`Connected`].
    pub(crate) reset: Option<io::Error>,
}

/// Failure of an [`Attempt`].
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// The look-up, all addresses or the handshake failed. A later attempt may succeed.
    Failed(io::Error),
    /// The server is not trusted. There must be no later attempt.
    Untrusted(Untrusted),
}

/// State of the look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LookUp {
    /// The answer has not come since then.
    Awaited(Instant),
    /// The same. The addresses of the last answer take part in the race meanwhile.
    Late(Instant),
    /// The answer has come, or nothing waits for it any more.
    Done,
}

/// State of an [`Attempt`].
#[derive(Debug)]
pub(crate) enum AttemptStatus {
    /// Neither the resolver nor the server has answered yet.
    Pending,
    /// A connection, registered with the token of the attempt.
    Connected(Opened),
    /// There is none.
    Failed(ConnectError),
}

impl Attempt {
    /// Begins with a look-up. Sockets are registered with `token`.
    pub(crate) fn new(resolver: &mut Resolver, security: Option<&Security>, token: Token, now: Instant) -> Attempt {
        let tls = security.map_or(Tls::None, |security| Tls::ToCome(security.clone()));
        let mut attempt = Attempt { token, look_up: LookUp::Awaited(now), race: Race::new(now), tls };
        if let Err(err) = resolver.start() {
            attempt.look_up = LookUp::Done;
            attempt.race.record(err);
            attempt.race.add(resolver.known(), now);
        }
        attempt
    }

    /// The time of the next step that no event announces.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if let Tls::UnderWay(handshake) = &self.tls {
            return Some(handshake.deadline());
        }
        let look_up = match self.look_up {
            LookUp::Awaited(since) => Some(since + RESOLVE_PATIENCE),
            LookUp::Late(since) => Some(since + RESOLVE_TIMEOUT),
            LookUp::Done => None,
        };
        look_up.into_iter().chain(self.race.deadline()).min()
    }

    /// Takes the resolver's answer, checks the connects, starts those that are due, and goes on with the handshake. Does
    /// not block.
    pub(crate) fn advance(&mut self, resolver: &mut Resolver, registry: &Registry, now: Instant) -> AttemptStatus {
        let advanced = match &mut self.tls {
            Tls::UnderWay(_) => self.shake_hands(now),
            Tls::None | Tls::ToCome(_) => self.connect(resolver, registry, now),
        };
        match advanced {
            Ok(Some(opened)) => AttemptStatus::Connected(opened),
            Ok(None) => AttemptStatus::Pending,
            Err(error) => AttemptStatus::Failed(error),
        }
    }

    fn connect(
        &mut self,
        resolver: &mut Resolver,
        registry: &Registry,
        now: Instant,
    ) -> Result<Option<Opened>, ConnectError> {
        self.check_look_up(resolver, now);
        if let Some(connected) = self.race.advance(registry, self.token, now) {
            return self.on_connected(connected, now);
        }
        if self.look_up != LookUp::Done || !self.race.is_over() {
            return Ok(None);
        }
        let no_address = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        Err(ConnectError::Failed(self.race.error.take().unwrap_or_else(no_address)))
    }

    fn on_connected(&mut self, connected: Connected, now: Instant) -> Result<Option<Opened>, ConnectError> {
        let Connected { stream, reset } = connected;
        match (&self.tls, reset) {
            (Tls::None, reset) => Ok(Some(Opened { wire: Wire::Plain(stream), reset })),
            (Tls::ToCome(_), Some(reset)) => Err(ConnectError::Failed(reset)),
            (Tls::ToCome(security), None) => {
                self.tls = Tls::UnderWay(security.begin(stream, now)?);
                self.shake_hands(now)
            }
            // A race has one winner.
            (Tls::UnderWay(_), _) => self.shake_hands(now),
        }
    }

    /// Goes on with the handshake that is under way.
    fn shake_hands(&mut self, now: Instant) -> Result<Option<Opened>, ConnectError> {
        let Tls::UnderWay(handshake) = &mut self.tls else { return Ok(None) };
        match handshake.advance(now)? {
            HandshakeStatus::Pending => Ok(None),
            HandshakeStatus::Done => {
                let done = mem::replace(&mut self.tls, Tls::None);
                let Tls::UnderWay(handshake) = done else { return Ok(None) };
                Ok(Some(Opened { wire: handshake.into_wire(), reset: None }))
            }
        }
    }

    fn check_look_up(&mut self, resolver: &mut Resolver, now: Instant) {
        let (LookUp::Awaited(since) | LookUp::Late(since)) = self.look_up else { return };
        match resolver.take_answer() {
            Some(Ok(addresses)) => {
                self.look_up = LookUp::Done;
                self.race.add(&addresses, now);
            }
            // The server may still be where it was.
            Some(Err(err)) => {
                self.look_up = LookUp::Done;
                self.race.record(err);
                self.race.add(resolver.known(), now);
            }
            None if now >= since + RESOLVE_TIMEOUT => {
                self.look_up = LookUp::Done;
                self.race.record(late());
            }
            None if self.look_up == LookUp::Awaited(since) && now >= since + RESOLVE_PATIENCE => {
                self.look_up = LookUp::Late(since);
                self.race.add(resolver.known(), now);
            }
            None => {}
        }
    }

    /// Waits until an address answers or all have failed. Polls with a `poll` that has no other sources yet than the
    /// resolver: their events would be lost.
    ///
    /// # Errors
    /// The failure of the attempt, or of the poller.
    pub(crate) fn wait(mut self, resolver: &mut Resolver, poll: &mut Poll) -> Result<Opened, ConnectError> {
        let mut events = Events::with_capacity(8);
        loop {
            let now = Instant::now();
            match self.advance(resolver, poll.registry(), now) {
                AttemptStatus::Connected(opened) => return Ok(opened),
                AttemptStatus::Failed(err) => return Err(err),
                AttemptStatus::Pending => {}
            }
            let timeout = self.deadline().map(|deadline| deadline.saturating_duration_since(now));
            match poll.poll(&mut events, timeout) {
                Err(err) if err.kind() != io::ErrorKind::Interrupted => return Err(ConnectError::Failed(err)),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;
    use crate::client::address::ServerAddress;
    use crate::client::limits::CONNECT_STAGGER;
    use crate::net::resolve::Answer;

    const SERVER: Token = Token(0);

    fn setting(look_up: fn(&ServerAddress) -> Answer) -> (Poll, Resolver) {
        let poll = Poll::new().unwrap();
        let name = "chat.example".parse().unwrap();
        let resolver = Resolver::with(look_up, name, poll.registry(), Token(1)).unwrap();
        (poll, resolver)
    }

    fn connect(poll: &mut Poll, resolver: &mut Resolver) -> io::Result<SocketAddr> {
        let attempt = Attempt::new(resolver, None, SERVER, Instant::now());
        match attempt.wait(resolver, poll) {
            Ok(opened) => Ok(peer_address(&opened)),
            Err(ConnectError::Failed(err)) => Err(err),
            Err(ConnectError::Untrusted(why)) => panic!("{why}"),
        }
    }

    fn peer_address(opened: &Opened) -> SocketAddr {
        let Wire::Plain(socket) = &opened.wire else { panic!("no handshake was asked for") };
        socket.peer_addr().unwrap()
    }

    /// Advances an attempt, at a time that the test chooses, until it connects.
    fn connects(attempt: &mut Attempt, poll: &mut Poll, resolver: &mut Resolver, now: Instant) -> SocketAddr {
        let mut events = Events::with_capacity(8);
        loop {
            match attempt.advance(resolver, poll.registry(), now) {
                AttemptStatus::Connected(opened) => return peer_address(&opened),
                AttemptStatus::Failed(err) => panic!("{err:?}"),
                AttemptStatus::Pending => poll.poll(&mut events, None).unwrap(),
            }
        }
    }

    #[test]
    fn a_name_is_looked_up_for_each_attempt() {
        static FOUND: Mutex<Vec<SocketAddr>> = Mutex::new(Vec::new());
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let (mut poll, mut resolver) = setting(|_| Ok(FOUND.lock().unwrap().clone()));
        for address in listeners.each_ref().map(|listener| listener.local_addr().unwrap()) {
            *FOUND.lock().unwrap() = vec![address];
            assert_eq!(connect(&mut poll, &mut resolver).unwrap(), address);
        }
        FOUND.lock().unwrap().clear();
        let err = connect(&mut poll, &mut resolver).unwrap_err();
        assert_eq!((err.kind(), err.to_string().as_str()), (io::ErrorKind::NotFound, "the name has no address"));
    }

    #[test]
    fn a_name_that_does_not_resolve_any_more_is_tried_at_its_last_addresses() {
        static FOUND: Mutex<Vec<SocketAddr>> = Mutex::new(Vec::new());
        let (mut poll, mut resolver) = setting(|_| match &FOUND.lock().unwrap()[..] {
            [] => Err(io::Error::other("Temporary failure in name resolution")),
            found => Ok(found.to_vec()),
        });
        let failure = |err: io::Error| assert_eq!(err.to_string(), "Temporary failure in name resolution");
        failure(connect(&mut poll, &mut resolver).unwrap_err());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        FOUND.lock().unwrap().push(address);
        assert_eq!(connect(&mut poll, &mut resolver).unwrap(), address);
        FOUND.lock().unwrap().clear();
        assert_eq!(connect(&mut poll, &mut resolver).unwrap(), address);
        drop(listener);
        failure(connect(&mut poll, &mut resolver).unwrap_err());
    }

    #[test]
    fn a_resolver_that_hangs_holds_one_thread_and_nothing_else() {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        static FOUND: Mutex<Vec<SocketAddr>> = Mutex::new(Vec::new());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        FOUND.lock().unwrap().push(address);
        let (mut poll, mut resolver) = setting(|_| match CALLS.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(FOUND.lock().unwrap().clone()),
            _ => loop {
                thread::park();
            },
        });
        assert_eq!(connect(&mut poll, &mut resolver).unwrap(), address);
        for _ in 0..3 {
            let now = Instant::now();
            let mut attempt = Attempt::new(&mut resolver, None, SERVER, now);
            let status = attempt.advance(&mut resolver, poll.registry(), now);
            assert!(matches!(status, AttemptStatus::Pending), "{status:?}");
            assert_eq!(attempt.deadline(), Some(now + RESOLVE_PATIENCE));
            assert_eq!(connects(&mut attempt, &mut poll, &mut resolver, now + RESOLVE_PATIENCE), address);
        }
        drop(listener);
        let now = Instant::now();
        let mut attempt = Attempt::new(&mut resolver, None, SERVER, now);
        let late = [RESOLVE_PATIENCE, RESOLVE_PATIENCE + CONNECT_STAGGER, RESOLVE_TIMEOUT];
        let [.., status] = late.map(|late| attempt.advance(&mut resolver, poll.registry(), now + late));
        assert!(matches!(status, AttemptStatus::Failed(_)), "{status:?}");
        assert!(CALLS.load(Ordering::Relaxed) <= 2);
    }

    #[test]
    fn an_answer_that_comes_late_joins_the_race() {
        static FOUND: Mutex<Vec<SocketAddr>> = Mutex::new(Vec::new());
        let (mut poll, mut resolver) = setting(|_| {
            loop {
                match FOUND.lock().unwrap().pop() {
                    Some(address) => return Ok(vec![address]),
                    None => thread::park_timeout(CONNECT_STAGGER / 100),
                }
            }
        });
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [old, new] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        FOUND.lock().unwrap().push(old);
        assert_eq!(connect(&mut poll, &mut resolver).unwrap(), old);
        let [old_listener, _listener] = listeners;
        drop(old_listener);
        let now = Instant::now();
        let mut attempt = Attempt::new(&mut resolver, None, SERVER, now);
        let late = now + RESOLVE_PATIENCE;
        assert!(matches!(attempt.advance(&mut resolver, poll.registry(), late), AttemptStatus::Pending));
        FOUND.lock().unwrap().push(new);
        assert_eq!(connects(&mut attempt, &mut poll, &mut resolver, late), new);
    }
}
