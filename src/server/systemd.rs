//! The service manager: listening sockets that it hands over (socket activation), and what it is told (`sd_notify`).
//!
//! Notifications are one datagram each and use no crate: the existing crates block if the manager does not read, and
//! cannot send to an abstract address.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::net;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;

use listenfd::ListenFd;
use log::warn;

use super::limits::INHERITED_LISTENERS_MAX;
use super::listener::Listener;

/// Takes over the listening sockets that the environment announces for this process (`LISTEN_FDS`, `LISTEN_PID`), and
/// removes these variables. To be called while there are no other threads.
///
/// # Errors
/// When what is announced is no number of descriptors, or one of these is no TCP socket that listens.
pub fn inherited_listeners() -> io::Result<Vec<Listener>> {
    check_announcement()?;
    let mut inherited = ListenFd::from_env();
    let mut listeners = Vec::with_capacity(inherited.len());
    for index in 0..inherited.len() {
        if let Some(socket) = inherited.take_tcp_listener(index)? {
            let fd = socket.as_raw_fd();
            let named = |error: io::Error| io::Error::new(error.kind(), format!("fd {fd}: {error}"));
            listeners.push(Listener::adopt(socket).map_err(named)?);
        }
    }
    Ok(listeners)
}

/// Whoever reads the announcement next passes nonsense over like what is announced to another, reserves memory for any
/// number, and lets the first descriptor be another one, stdin even, by a variable that is no part of the protocol.
fn check_announcement() -> io::Result<()> {
    let Some(count) = env::var_os("LISTEN_FDS") else { return Ok(()) };
    if env::var_os("LISTEN_PID").is_some_and(|pid| !pid.is_empty() && *pid != *process::id().to_string()) {
        return Ok(());
    }
    let parsed = count.to_str().and_then(|count| count.parse::<usize>().ok());
    if parsed.is_none_or(|count| count > INHERITED_LISTENERS_MAX) {
        return Err(wrong(&format!(
            "LISTEN_FDS={}: not a number from 0 to {INHERITED_LISTENERS_MAX}",
            count.display()
        )));
    }
    match env::var_os("LISTEN_FDS_FIRST_FD") {
        Some(first) if first != "3" => {
            Err(wrong(&format!("LISTEN_FDS_FIRST_FD={}: it can only be 3", first.display())))
        }
        _ => Ok(()),
    }
}

/// Tells that all listeners are bound, and where.
pub fn notify_ready(addresses: impl Iterator<Item = net::SocketAddr>) {
    let addresses: Vec<String> = addresses.map(|address| address.to_string()).collect();
    notify(&format!("READY=1\nSTATUS=listening on {}\n", addresses.join(", ")));
}

/// Tells that the server is shutting down.
pub fn notify_stopping() {
    notify("STOPPING=1\nSTATUS=shutting down\n");
}

/// Sends `state` where `NOTIFY_SOCKET` says, if it says anything. Never waits; a failure is a warning in the log.
fn notify(state: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else { return };
    if let Err(error) = send(&socket, state.as_bytes()) {
        warn!("cannot tell the service manager at {}: {error}", socket.display());
    }
}

fn send(to: &OsStr, datagram: &[u8]) -> io::Result<()> {
    let address = match to.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(to)?,
        _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract name")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(datagram, &address).map(|_| ())
}

fn wrong(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
