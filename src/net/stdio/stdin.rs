//! Any stdin as an event source: a terminal, a pipe, a file, `/dev/null`, or a closed one.
//!
//! (The standard library opens `/dev/null` for a closed stdin, so it reads as EOF. One that is open for writing alone,
//! as `nohup` leaves it, reads as EOF, too.)

use std::io::{self, Read};

use mio::{Interest, Registry, Token};
use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::stdio::stdin;

use crate::net::stdio;
use crate::net::stream::{Received, receive};

/// The process's stdin, without the buffer of the standard library: no event announces bytes in that buffer.
///
/// The descriptor stays as blocking as it was inherited. A poll precedes each read. If it finds nothing, the
/// edge-triggered poller announces the next bytes, as after `WouldBlock` on a socket.
#[derive(Debug)]
pub(crate) struct Stdin {
    state: StdinState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StdinState {
    /// There may be input: an event came, or the last read did not exhaust it.
    MayRead,
    /// No input. An event announces the next.
    Waiting,
    /// EOF was read.
    Ended,
}

impl Stdin {
    /// Registers stdin under `token`.
    ///
    /// # Errors
    /// The poller fails.
    pub(crate) fn register(registry: &Registry, token: Token) -> io::Result<Stdin> {
        // `nohup` opens it for writing alone. Such a pipe would never be readable, and never end.
        if rustix::fs::fcntl_getfl(stdin()).is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::WRONLY) {
            return Ok(Stdin { state: StdinState::Ended });
        }
        stdio::watch(registry, stdin(), token, Interest::READABLE)?;
        Ok(Stdin { state: StdinState::MayRead })
    }

    /// Records an event of any kind: a pipe that ends without data raises only a hang-up.
    pub(crate) fn on_event(&mut self) {
        if self.state == StdinState::Waiting {
            self.state = StdinState::MayRead;
        }
    }

    /// Whether a read may succeed without waiting for an event.
    pub(crate) fn may_read(&self) -> bool {
        self.state == StdinState::MayRead
    }

    /// Reads once, without waiting. Fails if stdin cannot be read at all (a directory, for example). A terminal that
    /// has gone away is an EOF.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Received {
        match self.state {
            StdinState::Waiting => return Received::NotYet,
            StdinState::Ended => return Received::End,
            StdinState::MayRead => {}
        }
        let received = receive(&mut Descriptor, buffer);
        match received {
            Received::End => self.state = StdinState::Ended,
            Received::NotYet => self.state = StdinState::Waiting,
            Received::Bytes(_) | Received::Failed(_) => {}
        }
        received
    }
}

/// Stdin as a non-blocking source.
struct Descriptor;

impl Read for Descriptor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_now(buffer)
    }
}

/// Reads stdin once, without waiting, as from a non-blocking socket. A terminal that has gone away is an EOF, and so is
/// a descriptor that is open for writing alone.
///
/// # Errors
/// `WouldBlock` without input; an event announces the next. Other errors if stdin cannot be read at all.
pub(crate) fn read_now(buffer: &mut [u8]) -> io::Result<usize> {
    if stdio::ready(stdin(), PollFlags::IN)?.is_empty() {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    match rustix::io::read(stdin(), buffer) {
        Err(Errno::IO | Errno::BADF) => Ok(0),
        // `WouldBlock` only if another process set `O_NONBLOCK` and took the input first.
        result => Ok(result?),
    }
}
