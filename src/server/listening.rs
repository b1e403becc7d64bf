//! The sockets to listen on: addresses of the flags become listeners, some of them several.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::config::Config;
use super::endpoint::{BoundAddress, Endpoint, ListenAddress};
use super::limits::LISTEN;
use super::listener::Listener;
use super::{Error, inherited};

/// Ports that the kernel may choose before one is free on all addresses of a name.
const PORT_TRIES_MAX: usize = 16;

/// Listeners that are open, in the order in which they are told.
#[derive(Debug)]
pub(super) struct Listening {
    listeners: Vec<Listener>,
    /// The first so many were handed over.
    inherited: usize,
    /// Whether other servers may listen on the same ports.
    is_shared: bool,
}

impl Listening {
    /// Begins with the listeners that were handed over.
    pub(super) fn new(inherited: Vec<Listener>, is_shared: bool) -> Listening {
        Listening { inherited: inherited.len(), listeners: inherited, is_shared }
    }

    /// Whether a socket is for clients: for lines or for the page.
    pub(super) fn serves_clients(&self) -> bool {
        self.listeners.iter().any(|listener| !matches!(listener.endpoint(), Endpoint::Metrics | Endpoint::Control))
    }

    /// Returns the listeners.
    pub(super) fn into_listeners(self) -> Vec<Listener> {
        self.listeners
    }

    /// Listens on all addresses of `address` that this machine has, on the same port.
    ///
    /// # Errors
    /// The name does not resolve, the machine has none of its addresses, or one cannot be listened on.
    pub(super) fn open(&mut self, address: &ListenAddress, endpoint: Endpoint) -> Result<(), Error> {
        if let Some(path) = address.path() {
            return self.open_unix(path, endpoint);
        }
        let resolved =
            address.resolve().map_err(|source| Error::Listen { address: address.to_string(), source, hint: "" })?;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.bind_all(&resolved, endpoint) {
                Ok(listeners) => {
                    self.listeners.extend(listeners);
                    return Ok(());
                }
                // The kernel chose a port that is free on the first address alone.
                Err((bound, error))
                    if bound.port() != 0
                        && resolved.iter().all(|address| address.port() == 0)
                        && error.kind() == io::ErrorKind::AddrInUse
                        && tries < PORT_TRIES_MAX => {}
                Err((bound, source)) => {
                    let hint = self.hint(bound, &source);
                    // A name that is no name of this machine says more than its first address.
                    let is_elsewhere = source.kind() == io::ErrorKind::AddrNotAvailable;
                    let address = if is_elsewhere { address.to_string() } else { bound.to_string() };
                    return Err(Error::Listen { address, source, hint });
                }
            }
        }
    }

    /// Listens on the socket of operators, unless it was handed over.
    ///
    /// # Errors
    /// It cannot be listened on.
    pub(super) fn open_control(&mut self, path: &Path) -> Result<(), Error> {
        let address = BoundAddress::Unix(path.to_owned());
        let is_open = |known: &Listener| known.endpoint() == Endpoint::Control && *known.address() == address;
        if self.listeners.iter().any(is_open) { Ok(()) } else { self.open_unix(path, Endpoint::Control) }
    }

    /// Listens on a Unix socket, unless it is listened on already.
    fn open_unix(&mut self, path: &Path, endpoint: Endpoint) -> Result<(), Error> {
        let address = BoundAddress::Unix(path.to_owned());
        let is_ours = |known: &Listener| *known.address() == address;
        match self.listeners[self.inherited..].iter().find(|known| is_ours(known)) {
            Some(known) if known.endpoint() == endpoint => Ok(()),
            known => {
                let is_ours = known.is_some();
                let failed = |source: io::Error| {
                    let hint = match source.kind() {
                        _ if is_ours => ": another address of this server is this socket",
                        io::ErrorKind::NotFound => ": its folder is missing",
                        _ => "",
                    };
                    Error::Listen { address: address.to_string(), source, hint }
                };
                self.listeners.push(Listener::bind_unix(path, endpoint).map_err(failed)?);
                Ok(())
            }
        }
    }

    /// Binds all of `addresses` that this machine has, unless they are listened on already.
    fn bind_all(&self, addresses: &[SocketAddr], endpoint: Endpoint) -> Result<Vec<Listener>, (SocketAddr, io::Error)> {
        let mut listeners: Vec<Listener> = Vec::with_capacity(addresses.len());
        let mut missing = None;
        let mut is_repeated = false;
        for (index, &address) in addresses.iter().enumerate() {
            let mut address = address;
            if address.port() == 0
                && let Some(first) = listeners.first().and_then(Listener::port_address)
            {
                address.set_port(first.port());
            }
            if addresses[..index].contains(&addresses[index]) {
                continue;
            }
            let own = &self.listeners[self.inherited..];
            if own.iter().any(|known| known.port_address() == Some(address) && known.endpoint() == endpoint) {
                is_repeated = true;
                continue;
            }
            // Metrics are those of one server.
            let is_shared = self.is_shared && endpoint != Endpoint::Metrics;
            match Listener::bind(address, endpoint, is_shared) {
                Ok(listener) => listeners.push(listener),
                // A name may have addresses that this machine lacks: ::1 for localhost, without IPv6.
                Err(error) if is_missing(&error) => missing = missing.or(Some((address, error))),
                Err(error) => return Err((address, error)),
            }
        }
        match missing {
            Some(missing) if listeners.is_empty() && !is_repeated => Err(missing),
            _ => Ok(listeners),
        }
    }

    /// Returns a likely cause of a failed bind.
    fn hint(&self, address: SocketAddr, error: &io::Error) -> &'static str {
        let mut known = self.listeners.iter().filter_map(Listener::port_address);
        let mut is_our_port = || known.any(|known| known.port() == address.port());
        match error.kind() {
            io::ErrorKind::AddrInUse if is_our_port() => ": another address of this server has this port",
            io::ErrorKind::PermissionDenied if address.port() < 1024 => {
                ": ports below 1024 need root or CAP_NET_BIND_SERVICE"
            }
            io::ErrorKind::AddrNotAvailable => ": no address of this machine",
            _ => "",
        }
    }
}

/// Opens all listeners of a configuration, the inherited ones first.
///
/// # Errors
/// If one of them cannot be opened or adopted.
pub(super) fn open_all(config: &Config) -> Result<Vec<Listener>, Error> {
    let mut listening = Listening::new(inherited::open(config).map_err(Error::Inherited)?, config.share_port);
    let (tls_lines, tls_web) = config.tls.as_ref().map_or((&[][..], &[][..]), |tls| (&tls.lines, &tls.web));
    let has_line_port = !(config.listen.is_empty() && tls_lines.is_empty()) || listening.serves_clients();
    let by_default = if has_line_port { None } else { Some(LISTEN.into()) };
    for address in config.listen.iter().chain(&by_default) {
        listening.open(address, Endpoint::Lines)?;
    }
    for (addresses, endpoint) in [
        (tls_lines, Endpoint::TlsLines),
        (&config.web, Endpoint::Web),
        (tls_web, Endpoint::TlsWeb),
        (&config.metrics, Endpoint::Metrics),
    ] {
        for address in addresses {
            listening.open(address, endpoint)?;
        }
    }
    if let Some(path) = &config.control {
        listening.open_control(path)?;
    }
    Ok(listening.into_listeners())
}

/// Whether an error of `bind` says that this machine does not have the address.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}
