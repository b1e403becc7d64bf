//! Notifications of the service manager (`sd_notify`).
//!
//! A notification is one datagram, sent without a crate. The existing crates block while the manager does not read, and
//! cannot send to an abstract address. Tests: `tests/server/activation.rs`, and `tests/system/systemd/` with programs of
//! systemd.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use log::warn;
use rustix::time::{ClockId, clock_gettime};

use super::endpoint::BoundAddress;

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
