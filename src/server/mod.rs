//! The relay on mio: the outer loop, which waits and hands events to the [hub](hub::Hub).

pub mod access;
pub mod cli;
pub mod config;
pub mod connection;
pub mod endpoint;
pub mod flow;
pub mod hub;
pub mod limits;
pub mod listener;
pub mod memory;
pub mod reason;
pub mod sniff;
pub mod stats;
pub mod systemd;
pub mod web;

use std::collections::TryReserveError;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use log::{info, warn};
use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use rustix::process::{Resource, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_mio::v1_0::Signals;

use config::{Capacity, Config};
use endpoint::Endpoint;
use hub::{Hub, Readiness, Wake};
use limits::{ACCEPTS_MAX, EVENTS_MAX, LISTEN, SHUTDOWN_GRACE};
use listener::Listener;
use memory::Bounds;
use web::site::Site;

use crate::net::keepalive::DeadPeerDetection;
use crate::net::stream::{Console, Stream};

/// The token of the signals. Those of the clients are their keys in the slab, from 0; those of the listeners lie above
/// this one.
const SIGNALS: Token = Token(usize::MAX / 2);

/// The token of both sides of the operator's console.
const CONSOLE: Token = Token(SIGNALS.0 - 1);

/// Why a server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listening socket could not be made.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// A socket that was handed over cannot be listened on.
    #[error("cannot listen on what was handed over: {0}")]
    Inherited(io::Error),
    /// There is no memory for a tape of this size.
    #[error("cannot reserve {bytes} bytes for the tape: {source}")]
    Tape {
        /// The size that was asked for.
        bytes: usize,
        /// What the allocator said.
        source: TryReserveError,
    },
    /// The poller or the signals failed.
    #[error("cannot wait for events: {0}")]
    Poll(#[from] io::Error),
}

/// The server: one thread, one loop.
pub struct Server {
    poll: Poll,
    signals: Signals,
    listeners: Vec<Listener>,
    hub: Hub<Stream>,
    /// When to stop, once it is shutting down.
    stop_at: Option<Instant>,
}

impl Server {
    /// Opens everything that a server needs. Nothing is logged (not even by mio) before all listeners are bound.
    ///
    /// The open-file limit is raised as far as it goes.
    ///
    /// # Errors
    /// When an address or a socket that was handed over cannot be listened on, or there is not enough memory.
    pub fn bind(config: &Config) -> Result<Server, Error> {
        let bind = |address, port| Listener::bind(address, port).map_err(|source| Error::Listen { address, source });
        let mut listeners = systemd::inherited_listeners().map_err(Error::Inherited)?;
        let by_default = if config.listen.is_empty() && listeners.is_empty() { &[LISTEN][..] } else { &[] };
        for &address in config.listen.iter().chain(by_default) {
            listeners.push(bind(address, Endpoint::Lines)?);
        }
        for &address in &config.web {
            listeners.push(bind(address, Endpoint::Web)?);
        }
        let open_files = raise_open_file_limit();
        let seats = Capacity::within(open_files, config);
        let mut hub = Hub::new(config, seats, Instant::now())
            .map_err(|source| Error::Tape { bytes: config.backlog_bytes, source })?;
        if !config.web.is_empty() {
            let pages: Vec<_> = addresses(&listeners, Endpoint::Web).collect();
            hub.open_site(Site::new(config.origin_policy.clone(), &pages, SystemTime::now));
        }
        let poll = Poll::new()?;
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1])?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        for (index, listener) in listeners.iter_mut().enumerate() {
            let token = Token(SIGNALS.0 + 1 + index);
            poll.registry().register(listener.socket_mut(), token, Interest::READABLE)?;
        }
        if config.console {
            hub.open_console(Stream::Console(Console::open(poll.registry(), CONSOLE)?), Instant::now());
        }
        info!("at most {} clients (open-file limit {open_files})", seats.clients_max);
        log_bounds(config, seats);
        if seats.clients_max.saturating_add(seats.visitors_max) >= open_files {
            warn!("there are not enough descriptors for {} clients: some will have to wait", seats.clients_max);
        }
        if listeners.iter().any(|listener| listener.dead_peer_detection() == DeadPeerDetection::KernelDefault) {
            warn!("this kernel (Linux before 6.15) takes its time with dead peers that something is to be sent to");
        }
        Ok(Server { poll, signals, listeners, hub, stop_at: None })
    }

    /// Where it listens for those who speak what is spoken on such a `port`, with the ports that the kernel picked;
    /// those that were handed over first, then in the order of the configuration.
    pub fn addresses(&self, port: Endpoint) -> impl Iterator<Item = SocketAddr> {
        addresses(&self.listeners, port)
    }

    /// Runs until SIGINT or SIGTERM, or until the operator ends it.
    ///
    /// # Errors
    /// When the poller fails. Nothing that a client does makes it return.
    pub fn run(mut self) -> Result<(), Error> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            self.wait(&mut events)?;
            let now = Instant::now();
            for event in &events {
                if event.token() == SIGNALS {
                    if !self.on_signals(now) {
                        return Ok(());
                    }
                } else if let Some(index) = event.token().0.checked_sub(SIGNALS.0 + 1) {
                    if let Some(listener) = self.listeners.get_mut(index) {
                        listener.on_readable(now);
                    }
                } else {
                    let key = if event.token() == CONSOLE { self.hub.console() } else { Some(event.token().0) };
                    key.into_iter().for_each(|key| self.hub.on_ready(key, readiness(event)));
                }
            }
            self.accept(now);
            self.hub.react(now);
            if self.hub.is_stop_wanted() && self.stop_at.is_none() {
                self.begin_stop(now);
            }
            if self.hub.flush(now) > 0 {
                self.listeners.iter_mut().for_each(|listener| listener.on_descriptor_freed(now));
            }
            let took = now.elapsed();
            self.hub.note_turn(took, now + took);
            if self.stop_at.is_some_and(|stop_at| self.hub.connections() == 0 || stop_at <= now) {
                info!("stopped with {} connections open", self.hub.connections());
                return Ok(());
            }
        }
    }

    /// Waits for events as long as there is nothing else to do. Being interrupted (Ctrl-Z and `fg`) is no event.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let now = Instant::now();
        match self.poll.poll(events, self.timeout(now)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            result => result,
        }
    }

    fn timeout(&self, now: Instant) -> Option<Duration> {
        let hub = match self.hub.next_wake() {
            Wake::Now => return Some(Duration::ZERO),
            Wake::At(time) => Some(time),
            Wake::OnEvent => None,
        };
        // Nobody is accepted while nobody can be taken in: then it is a departure that wakes us.
        let accept =
            if self.hub.can_admit() { self.listeners.iter().filter_map(Listener::accept_at).min() } else { None };
        let next = hub.into_iter().chain(accept).chain(self.stop_at).min();
        next.map(|time| time.saturating_duration_since(now))
    }

    fn accept(&mut self, now: Instant) {
        for listener in &mut self.listeners {
            for _ in 0..ACCEPTS_MAX {
                if !self.hub.can_admit() {
                    return;
                }
                let Some(mut stream) = listener.accept(now) else { break };
                let token = Token(self.hub.next_key());
                let interest = Interest::READABLE | Interest::WRITABLE;
                match self.poll.registry().register(&mut stream, token, interest) {
                    Ok(()) => self.hub.admit(Stream::Tcp(stream), listener.endpoint(), now),
                    Err(error) => warn!("cannot watch a new connection: {error}"),
                }
            }
        }
    }

    /// Handles what signals came; false if the server is to stop at once.
    fn on_signals(&mut self, now: Instant) -> bool {
        // Several that came together (a terminal's and a supervisor's, say) are one wish.
        let mut wants_stop = false;
        for signal in self.signals.pending() {
            match signal {
                SIGUSR1 => info!("{}", self.hub.stats()),
                SIGINT | SIGTERM => wants_stop = true,
                _ => {}
            }
        }
        if wants_stop && self.stop_at.is_some() {
            return false;
        }
        if wants_stop {
            self.begin_stop(now);
        }
        true
    }

    fn begin_stop(&mut self, now: Instant) {
        info!("shutting down");
        self.stop_at = Some(now + SHUTDOWN_GRACE);
        systemd::notify_stopping();
        self.listeners.clear();
        self.hub.shut_down(now);
    }
}

/// What memory it may come to, at worst.
fn log_bounds(config: &Config, seats: Capacity) {
    let bounds = Bounds::of(config);
    let (all, shared) = (bounds.all(seats.clients_max, seats.visitors_max), bounds.shared);
    let (client, visitor) = (bounds.client().div_ceil(1 << 10), bounds.visitor().div_ceil(1 << 10));
    let visitors = if bounds.page.is_none() {
        String::new()
    } else {
        format!(", and {visitor} KiB for each of {} visitors of the page", seats.visitors_max)
    };
    info!(
        "at most {} MiB of memory: {} MiB, and {client} KiB for each client that does its worst{visitors}",
        all.div_ceil(1 << 20),
        shared.div_ceil(1 << 20),
    );
}

fn addresses(listeners: &[Listener], port: Endpoint) -> impl Iterator<Item = SocketAddr> {
    listeners.iter().filter(move |listener| listener.endpoint() == port).map(Listener::address)
}

/// What an event says, read generously: only reading and writing find out what is really there.
fn readiness(event: &Event) -> Readiness {
    let is_over = event.is_error();
    Readiness {
        readable: event.is_readable() || event.is_read_closed() || is_over,
        writable: event.is_writable() || event.is_write_closed() || is_over,
    }
}

/// Raises the open-file limit to the hard limit, and returns what holds then.
fn raise_open_file_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    limit.current.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX)
}
