//! The service manager: socket activation (`LISTEN_FDS`) and notifications (`sd_notify`).
//!
//! A notification is one datagram, sent without a crate. The existing crates block while the manager does not read, and
//! cannot send to an abstract address. Tests: `tests/server/activation.rs`, and `tests/system/systemd/` with a real
//! systemd.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;

use listenfd::ListenFd;
use log::warn;
use rustix::time::{ClockId, clock_gettime};

use super::endpoint::BoundAddress;
use super::limits::INHERITED_LISTENERS_MAX;
use super::listener::Listener;

/// Takes the listening sockets that the environment announces for this process (`LISTEN_FDS` and `LISTEN_PID`; see
/// sd_listen_fds(3)), and removes these variables. Call it while the process has no other threads.
///
/// # Errors
/// If a variable is invalid, or a descriptor is not a listening TCP or Unix socket.
pub(crate) fn inherited_listeners() -> io::Result<Vec<Listener>> {
    check_announcement()?;
    let mut inherited = ListenFd::from_env();
    let mut listeners = Vec::with_capacity(inherited.len());
    for index in 0..inherited.len() {
        let named = |fd: RawFd| move |error: io::Error| io::Error::new(error.kind(), format!("fd {fd}: {error}"));
        match inherited.take_tcp_listener(index) {
            Ok(Some(socket)) => {
                let fd = socket.as_raw_fd();
                listeners.push(Listener::adopt(socket).map_err(named(fd))?);
            }
            Ok(None) => {}
            Err(error) => {
                let socket = inherited.take_unix_listener(index).ok().flatten().ok_or(error)?;
                let fd = socket.as_raw_fd();
                listeners.push(Listener::adopt_unix(socket).map_err(named(fd))?);
            }
        }
    }
    Ok(listeners)
}

/// Checks the variables before `listenfd` reads them. That crate ignores invalid values, and reserves memory for any
/// number of descriptors. It also lets `LISTEN_FDS_FIRST_FD`, which is not part of the protocol, name stdin as the
/// first one.
fn check_announcement() -> io::Result<()> {
    let Some(count) = env::var_os("LISTEN_FDS").filter(|count| !count.is_empty()) else { return Ok(()) };
    if env::var_os("LISTEN_PID").is_some_and(|pid| !pid.is_empty() && *pid != *process::id().to_string()) {
        return Ok(());
    }
    let parsed = count.to_str().and_then(|count| count.parse::<usize>().ok());
    if parsed.is_none_or(|count| count > INHERITED_LISTENERS_MAX) {
        return Err(invalid(&format!(
            "LISTEN_FDS={}: must be a number from 0 to {INHERITED_LISTENERS_MAX}",
            count.display()
        )));
    }
    match env::var_os("LISTEN_FDS_FIRST_FD") {
        Some(first) if first != "3" && !first.is_empty() => {
            Err(invalid(&format!("LISTEN_FDS_FIRST_FD={}: must be 3", first.display())))
        }
        _ => Ok(()),
    }
}

/// Notifies the manager that all listeners are bound, and to which addresses.
pub fn notify_ready<'a>(addresses: impl Iterator<Item = &'a BoundAddress>) {
    notify(&format!("READY=1\nSTATUS={}\n", listening_on(addresses)));
}

/// Notifies the manager that the server begins to read its settings and files again.
pub(crate) fn notify_reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    notify(&format!("RELOADING=1\nMONOTONIC_USEC={}\n", now.tv_sec * 1_000_000 + now.tv_nsec / 1_000));
}

/// Notifies the manager that the reload is over, whether it has changed something or not.
pub(crate) fn notify_reloaded<'a>(addresses: impl Iterator<Item = &'a BoundAddress>, outcome: &str) {
    notify(&format!("READY=1\nSTATUS={}; {outcome}\n", listening_on(addresses)));
}

fn listening_on<'a>(addresses: impl Iterator<Item = &'a BoundAddress>) -> String {
    let addresses: Vec<String> = addresses.map(ToString::to_string).collect();
    format!("listening on {}", addresses.join(", "))
}

/// Notifies the manager that the server is shutting down.
pub(crate) fn notify_stopping() {
    notify("STOPPING=1\nSTATUS=shutting down\n");
}

/// Sends `state` to the socket in `NOTIFY_SOCKET`, if it is set. Never blocks; logs a failure as a warning.
fn notify(state: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else { return };
    if let Err(error) = send(&socket, state.as_bytes()) {
        warn!("cannot notify the service manager at {}: {error}", socket.display());
    }
}

fn send(to: &OsStr, datagram: &[u8]) -> io::Result<()> {
    let address = match to.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(to)?,
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "NOTIFY_SOCKET is neither a path nor an abstract name",
            ));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(datagram, &address).map(|_| ())
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
