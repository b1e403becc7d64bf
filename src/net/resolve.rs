//! Name resolution off the loop: `getaddrinfo` blocks, for half a minute at worst, and has no other form in std.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// Timeout of a look-up: the default of resolv.conf(5) for three name servers (2 attempts of 5 s each).
pub(crate) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(30);

/// Result of a look-up: addresses in the resolver's order of preference.
pub(crate) type Answer = io::Result<Vec<SocketAddr>>;

/// Resolves a host, which may be an IP address. Blocks while the resolver does.
pub(crate) fn resolve(host: &str, port: u16) -> Answer {
    (host, port).to_socket_addrs().map(Iterator::collect)
}

/// Runs `look_up` on a thread of its own, which ends with it. Calls `then` there once the answer can be received.
///
/// # Errors
/// The thread cannot be started.
pub(crate) fn in_background(
    look_up: impl FnOnce() -> Answer + Send + 'static,
    then: impl FnOnce() + Send + 'static,
) -> io::Result<Receiver<Answer>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let work = move || {
        // Nobody receives it if the program has given up.
        let _ = sender.send(look_up());
        then();
    };
    thread::Builder::new().name("resolver".to_owned()).spawn(work)?;
    Ok(receiver)
}

/// Resolves a host, within [`RESOLVE_TIMEOUT`]. Blocks, and starts a thread only for a name.
///
/// # Errors
/// The host does not resolve in time.
pub(crate) fn resolve_in_time(host: &str, port: u16) -> Answer {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = host.to_owned();
    in_background(move || resolve(&name, port), || ())?.recv_timeout(RESOLVE_TIMEOUT).unwrap_or_else(|_| Err(late()))
}

/// Returns the error of a look-up that took too long.
pub(crate) fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer to the look-up in {} s", RESOLVE_TIMEOUT.as_secs()))
}
