//! Any stdin as an event source: a terminal, a pipe, a file, `/dev/null`, or none at all.
//!
//! (The standard library opens `/dev/null` in the place of a closed stdin, so "none at all" reads as an end.)

use std::io::{self, Read};

use mio::{Interest, Registry, Token};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::stdio::stdin;

use crate::net::stdio;
use crate::net::stream::{Received, receive};

/// The process's stdin, read past the standard library's buffer: what that had read ahead, no event would announce.
///
/// The descriptor stays as blocking as it was inherited. Each read is preceded by the question whether it would
/// block, and that "not now" is to the edge-triggered poller what `WouldBlock` is on a socket: only from then on will
/// an event come.
#[derive(Debug)]
pub struct Stdin {
    state: StdinState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StdinState {
    /// There may be something: an event came, or a read did not show that there is nothing left.
    MayRead,
    /// There was nothing. The next event tells when there is.
    Waiting,
    /// The end was read.
    Ended,
}

impl Stdin {
    /// Registers stdin under `token`.
    ///
    /// # Errors
    /// When the poller cannot take it.
    pub fn register(registry: &Registry, token: Token) -> io::Result<Stdin> {
        stdio::watch(registry, stdin(), token, Interest::READABLE)?;
        Ok(Stdin { state: StdinState::MayRead })
    }

    /// Takes note of an event, whatever it said: a pipe that ends without data raises a hang-up alone.
    pub fn on_event(&mut self) {
        if self.state == StdinState::Waiting {
            self.state = StdinState::MayRead;
        }
    }

    /// Whether a read should be tried without waiting for an event.
    pub fn may_read(&self) -> bool {
        self.state == StdinState::MayRead
    }

    /// Reads once, without waiting. Fails if stdin cannot be read at all (a directory, for example). A terminal that has
    /// gone away is an EOF.
    pub fn read(&mut self, buffer: &mut [u8]) -> Received {
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

/// Reads stdin once, as if it were a non-blocking socket: never waiting, and 0 bytes are the end. A terminal that has gone
/// away is an end, too.
///
/// # Errors
/// `WouldBlock` when there is nothing now: only from then on will an event come. Others when stdin cannot be read at all.
pub fn read_now(buffer: &mut [u8]) -> io::Result<usize> {
    if stdio::ready(stdin(), PollFlags::IN)?.is_empty() {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    match rustix::io::read(stdin(), buffer) {
        Err(Errno::IO) => Ok(0),
        // `WouldBlock` only if another holder of the descriptor made it non-blocking, and was faster.
        result => Ok(result?),
    }
}
