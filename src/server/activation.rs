//! Listening sockets that the process was started with: socket activation, as systemd and its like do it.

use std::env;
use std::io;
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
            listeners.push(Listener::adopt(socket)?);
        }
    }
    Ok(listeners)
}

/// What is none of our business is passed over by what reads it next; but so is nonsense there, and with a huge number it
/// reserves as much memory.
fn check_announcement() -> io::Result<()> {
    let Some(count) = env::var_os("LISTEN_FDS") else { return Ok(()) };
    let is_for_us = env::var_os("LISTEN_PID").is_none_or(|pid| pid.is_empty() || *pid == *process::id().to_string());
    let parsed = count.to_str().and_then(|count| count.parse::<usize>().ok());
    if is_for_us && parsed.is_none_or(|count| count > INHERITED_LISTENERS_MAX) {
        let text = format!("LISTEN_FDS={}: not a number from 0 to {INHERITED_LISTENERS_MAX}", count.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(())
}
