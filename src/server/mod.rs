//! The relay on mio: the poller, the signals and the listeners. The outer loop waits, and hands events to the
//! [hub](hub::Hub).

pub mod access;
pub mod bans;
pub mod bus;
pub mod certificate;
pub mod cli;
pub mod config;
pub mod connection;
pub mod ctl;
mod dial;
pub mod endpoint;
pub mod fields;
pub mod figures;
pub mod flow;
pub mod hub;
pub mod inherited;
pub mod journal;
pub mod limits;
pub mod listener;
mod listening;
pub mod memory;
pub mod metrics;
pub mod pem;
pub mod proxy;
pub mod reach;
pub mod reason;
pub mod reload;
pub mod report;
pub mod secrets;
pub mod sessions;
pub mod settings;
pub mod small_file;
pub mod sniff;
mod source;
pub mod stats;
pub mod systemd;
mod unix;
pub mod web;

use std::collections::TryReserveError;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use log::{info, warn};
use mio::event::Event;
use mio::{Events, Interest, Poll, Waker};
use rustix::process::{Resource, geteuid, getrlimit, setrlimit};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook_mio::v1_0::Signals;

use config::{Capacity, Config};
use dial::Dial;
use endpoint::{BoundAddress, Endpoint};
use hub::{Hub, Readiness, Wake};
use journal::handover::Found;
use journal::{OpenError, Opened};
use limits::{ACCEPTS_MAX, EVENTS_MAX, SHUTDOWN_GRACE};
use listener::Listener;
use memory::Bounds;
use metrics::{Metrics, Probes};
use reload::{FileError, Files};
use report::Kind;
use settings::Settings;
use source::Source;
use web::site::Site;

use crate::net::keepalive::DeadPeerDetection;
use crate::net::stdio::typing;
use crate::net::stream::{Console, Stream, show_typed_line};

/// Failure of a server to start or to go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listening socket could not be opened.
    #[error("cannot listen on {address}: {source}{hint}")]
    Listen {
        /// Its address.
        address: String,
        /// The reason of the kernel or of the resolver.
        source: io::Error,
        /// A likely cause, behind a colon or in parentheses; empty if the reason says it all.
        hint: &'static str,
    },
    /// A socket that the service manager handed over cannot be listened on.
    #[error("cannot listen on what was handed over: {0}")]
    Inherited(io::Error),
    /// A file of TLS, of names, of the password or of the bans is of no use.
    #[error(transparent)]
    File(#[from] FileError),
    /// The journal could not be opened.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// Redis cannot be spoken to, and only an operator can mend that.
    #[error("the bus at {address}: {why}")]
    Bus {
        /// The address of Redis, without the password.
        address: String,
        /// The words of Redis, or what is wrong with TLS.
        why: String,
    },
    /// There is no memory for the tape.
    #[error("cannot reserve {bytes} bytes for the tape: {source}")]
    Tape {
        /// The size of the tape, `--backlog`.
        bytes: usize,
        /// The allocator's reason.
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
    /// The way to Redis, if there is a bus.
    dial: Option<Dial>,
    /// The files that it reads again at a reload.
    files: Files,
    /// The settings that it reads again at a reload, if it knows from where.
    settings: Option<Settings>,
    /// Deadline of the shutdown; `None` while the server runs.
    stop_at: Option<Instant>,
}

impl Server {
    /// Binds the listeners, and raises the open-file limit to the hard limit. Logs nothing (nor does mio) before all
    /// listeners are bound.
    ///
    /// # Errors
    /// When a file of TLS, of names, of the password or of the bans is of no use, the journal cannot be opened, a
    /// listener cannot be bound, an inherited socket cannot be adopted, or there is no memory for the tape.
    pub fn bind(config: &Config) -> Result<Server, Error> {
        let poll = Poll::new()?;
        let mut files = Files::of(config);
        let contents = files.read(SystemTime::now())?;
        let journal = open_journal(config, &poll)?;
        let mut listeners = listening::open_all(config)?;
        let open_files = raise_open_file_limit();
        let capacity = Capacity::within(open_files, config);
        let mut hub = Hub::new(config, capacity, Instant::now())
            .map_err(|source| Error::Tape { bytes: config.backlog_bytes, source })?;
        let kept = journal.map(|Opened { writer, kept, numbers, handover, warnings }| {
            hub.keep(Box::new(writer), kept, numbers);
            (handover, warnings)
        });
        let dial = dial::open_bus(config, &mut hub)?;
        hub.trust_user(geteuid().as_raw());
        let (handover, warnings) = kept.unwrap_or_default();
        if config.has_page() {
            let ports = endpoints(&listeners).filter_map(|(endpoint, address)| Some((endpoint, address.port()?)));
            let pages: Vec<_> = ports.filter(|(endpoint, _)| endpoint.is_web()).collect();
            let site = Site::new(config.origin_policy.clone(), &pages, SystemTime::now);
            hub.open_site(site.below(config.web_path.clone()));
        }
        if config.has_metrics() {
            hub.open_metrics(Metrics::new(Probes::of_process()));
        }
        // SIGXFSZ would end the process when its log or its console reaches the limit on file sizes.
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ, SIGCONT])?;
        poll.registry().register(&mut signals, Source::Signals.into(), Interest::READABLE)?;
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener.register(poll.registry(), Source::Listener(index).into())?;
        }
        if config.has_console() {
            hub.open_console(Stream::Console(Console::open(poll.registry(), Source::Console.into())?), Instant::now());
        }
        warnings.iter().for_each(|warning| warn!("the journal: {warning}"));
        files.begin(contents, endpoints(&listeners), &mut hub);
        if let Some(handover) = handover {
            take_back(handover, &mut hub);
        }
        info!("at most {} clients (open-file limit {open_files})", capacity.clients_max);
        info!("{}", Bounds::of(config).told(capacity));
        for prefix in config.proxies.wide() {
            warn!("--proxy-from {prefix}: each host in it can name any address as its own");
        }
        if capacity.clients_max.saturating_add(capacity.visitors_max) >= open_files {
            warn!("there are not enough descriptors for {} clients: some will have to wait", capacity.clients_max);
        }
        if listeners.iter().any(|listener| listener.dead_peer_detection() == DeadPeerDetection::KernelDefault) {
            info!(
                "this kernel (Linux before 6.15) detects a dead peer with unsent data late: the server looks once a minute"
            );
            hub.begin_patrol(Instant::now());
        }
        Ok(Server { poll, signals, listeners, hub, dial, files, settings: None, stop_at: None })
    }

    /// Reads these settings again at each reload: those that the server was bound with.
    pub fn reload_from(&mut self, settings: Settings) {
        self.settings = Some(settings);
    }

    /// Returns the endpoints of the listeners and their addresses, with the ports that the kernel picked: inherited
    /// listeners first, then line ports before pages, and without TLS before with TLS.
    pub fn endpoints(&self) -> impl Iterator<Item = (Endpoint, &BoundAddress)> {
        endpoints(&self.listeners)
    }

    /// Returns the addresses of the ports of this kind of endpoint, in the same order.
    pub fn addresses(&self, endpoint: Endpoint) -> impl Iterator<Item = SocketAddr> {
        let ports = self.endpoints().filter(move |(other, _)| *other == endpoint);
        ports.filter_map(|(_, address)| address.port())
    }

    /// Returns the pin of the server's public key, if a port speaks TLS.
    pub fn pin(&self) -> Option<&str> {
        self.files.pin()
    }

    /// Runs until SIGINT or SIGTERM, or until the operator stops it.
    ///
    /// # Errors
    /// When the poller fails. Nothing that a client does makes it return.
    pub fn run(mut self) -> Result<(), Error> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while self.turn(&mut events)?.is_continue() {}
        // The journal writes the rest, and may have something to say.
        drop(self.hub);
        // So do the bans.
        drop(self.files);
        log::logger().flush();
        Ok(())
    }

    /// Waits for events or a timer, and handles them: one turn of the loop. `Break` ends the server.
    ///
    /// # Errors
    /// When the poller fails.
    pub fn turn(&mut self, events: &mut Events) -> Result<ControlFlow<()>, Error> {
        self.wait(events)?;
        let now = Instant::now();
        for event in &*events {
            match Source::from(event.token()) {
                Source::Connection(key) => {
                    self.hub.on_ready(key, readiness(event));
                    if event.is_error() {
                        self.hub.on_error(key);
                    }
                }
                Source::Console => {
                    // Its terminal may show the log, too.
                    log::logger().flush();
                    self.hub.console().into_iter().for_each(|key| self.hub.on_ready(key, readiness(event)));
                }
                Source::Bus(end) => self.hub.on_bus_ready(end, readiness(event)),
                // The flush of this turn hands over what has waited.
                Source::Journal => {}
                Source::Listener(index) => {
                    self.listeners.get_mut(index).into_iter().for_each(|listener| listener.on_readable(now));
                }
                Source::Signals => {
                    if self.on_signals(now) == Stop::AtOnce {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
        }
        self.release_console(now);
        self.connect_bus(now);
        self.hub.set_clock(unix_ms());
        self.accept(now);
        self.hub.react(now);
        if self.hub.is_reload_wanted() {
            let outcome = self.reload(now);
            self.hub.answer_reload(&outcome);
        }
        if self.hub.is_stop_wanted() && self.stop_at.is_none() {
            self.begin_stop(now);
        }
        if self.hub.flush(now) > 0 {
            self.listeners.iter_mut().for_each(|listener| listener.on_descriptor_freed(now));
        }
        show_typed_line();
        let took = now.elapsed();
        self.hub.note_turn(took, now + took);
        if let Some((dial, why)) = self.dial.as_ref().zip(self.hub.bus_failure()) {
            return Err(Error::Bus { address: dial.to_string(), why: why.to_owned() });
        }
        let is_done = self.hub.connections() == 0 && !self.hub.has_unkept() && self.hub.has_left_bus();
        if self.stop_at.is_some_and(|stop_at| is_done || stop_at <= now) {
            self.hub.reports().end(now);
            info!("stopped with {} connections open", self.hub.connections());
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Waits for events until the next timer. An interruption (EINTR, after Ctrl-Z and `fg`) is no event.
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
        // While the hub cannot admit a connection, accepting needs no timer: a connection that leaves wakes the loop.
        let open = self.listeners.iter().filter(|listener| self.hub.can_admit_on(listener.endpoint()));
        let accept = open.filter_map(Listener::accept_at).min();
        let next = hub.into_iter().chain(accept).chain(self.stop_at).chain(typing::release_at()).min();
        next.map(|time| time.saturating_duration_since(now))
    }

    /// Shows what waited for the end of a typed line.
    fn release_console(&mut self, now: Instant) {
        if typing::releases(now) {
            log::logger().flush();
            let writable = Readiness { readable: false, writable: true };
            self.hub.console().into_iter().for_each(|key| self.hub.on_ready(key, writable));
        }
    }

    /// Begins the connections to Redis that are due.
    fn connect_bus(&mut self, now: Instant) {
        let Some(dial) = &mut self.dial else { return };
        while let Some(end) = self.hub.wanted_bus_end(now) {
            let stream = dial.connect(end, self.poll.registry(), Source::Bus(end).into());
            self.hub.connect_bus(end, stream, now);
        }
    }

    fn accept(&mut self, now: Instant) {
        for listener in &mut self.listeners {
            for _ in 0..ACCEPTS_MAX {
                if !self.hub.can_admit_on(listener.endpoint()) {
                    break;
                }
                let Some(mut stream) = listener.accept(self.hub.reports(), now) else { break };
                let source = Source::Connection(self.hub.next_key());
                let interest = Interest::READABLE | Interest::WRITABLE;
                match self.poll.registry().register(&mut stream, source.into(), interest) {
                    Ok(()) => self.hub.admit(Stream::Tcp(stream), listener.endpoint(), now),
                    Err(error) => {
                        let what = format_args!("cannot register a new connection, and drop it: {error}");
                        self.hub.reports().note(Kind::NotAccepted, None, what, now);
                    }
                }
            }
        }
    }

    /// Handles the pending signals. A second SIGINT or SIGTERM stops the server at once. Signals that arrive together
    /// (from a terminal and a service manager, say) count as one.
    fn on_signals(&mut self, now: Instant) -> Stop {
        let (mut wants_stop, mut wants_reload) = (false, false);
        for signal in self.signals.pending() {
            match signal {
                SIGUSR1 => info!("{}", self.hub.stats()),
                // Signals that come during a reload are for the next turn, or a storm of them would stop the loop.
                SIGHUP => wants_reload = true,
                SIGINT | SIGTERM => wants_stop = true,
                SIGCONT => typing::resume(),
                _ => {}
            }
        }
        if wants_reload {
            // The log has the outcome.
            let _ = self.reload(now);
        }
        match (wants_stop, self.stop_at) {
            (true, Some(_)) => Stop::AtOnce,
            (true, None) => {
                self.begin_stop(now);
                Stop::InGoodOrder
            }
            (false, _) => Stop::InGoodOrder,
        }
    }

    fn begin_stop(&mut self, now: Instant) {
        typing::stop();
        self.release_console(now);
        log::logger().flush();
        info!("shutting down");
        self.stop_at = Some(now + SHUTDOWN_GRACE);
        systemd::notify_stopping();
        self.listeners.clear();
        self.hub.set_clock(unix_ms());
        self.hub.shut_down(now);
    }
}

/// The end of the loop after signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// After all connections are closed, if the server is stopping.
    InGoodOrder,
    /// Now.
    AtOnce,
}

/// Opens the journal, if there is one.
fn open_journal(config: &Config, poll: &Poll) -> Result<Option<Opened>, Error> {
    let Some(settings) = journal::Settings::of(config) else { return Ok(None) };
    let waker = Waker::new(poll.registry(), Source::Journal.into())?;
    // If it fails, the next event of any kind wakes the loop.
    Ok(Some(journal::open(&settings, move || drop(waker.wake()))?))
}

/// Goes on with the sessions of the last run, unless there is something wrong with them.
fn take_back(handover: Found, hub: &mut Hub<Stream>) {
    hub.set_clock(unix_ms());
    let taken = handover
        .take()
        .and_then(|handover| hub.take_back(&handover, Instant::now()).map_err(|error| error.to_string()));
    if let Err(why) = taken {
        warn!("the journal: {why}");
    }
}

fn endpoints(listeners: &[Listener]) -> impl Iterator<Item = (Endpoint, &BoundAddress)> {
    listeners.iter().map(|listener| (listener.endpoint(), listener.address()))
}

/// Returns what an event allows. An error counts as readable and writable: only a read or a write finds out which error
/// it is.
fn readiness(event: &Event) -> Readiness {
    let is_over = event.is_error();
    Readiness {
        readable: event.is_readable() || event.is_read_closed() || is_over,
        writable: event.is_writable() || event.is_write_closed() || is_over,
    }
}

/// Raises the open-file limit to the hard limit. Returns the limit in force.
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

/// Returns the time of day, in ms since 1970; 0 before that.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
