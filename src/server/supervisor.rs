//! What a service manager is told of us, if there is one that wants to know: systemd's `sd_notify` protocol.
//!
//! A datagram, and no crate: those that there are wait if the manager does not read, and take no abstract address.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::net;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use log::warn;

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
