//! Listening sockets that the process was started with: socket activation, as systemd and its like do it.

use std::env;
use std::io;
use std::os::fd::AsRawFd;
use std::process;

use listenfd::ListenFd;

use super::config::INHERITED_LISTENERS_MAX;
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

fn wrong(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
