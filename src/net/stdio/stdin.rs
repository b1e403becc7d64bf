//! Any stdin as an event source: a terminal, a pipe, a file, `/dev/null`, or none at all.
//!
//! (The standard library opens `/dev/null` in the place of a closed stdin, so "none at all" reads as an end.)

use std::io;

use mio::{Interest, Registry, Token};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::stdio::stdin;

use crate::net::stdio;

/// The process's stdin, read past the standard library's buffer: what that had read ahead, no event would announce.
///
/// The descriptor stays as blocking as it was inherited. Each read is preceded by the question whether it would
/// block, and that "not now" is to the edge-triggered poller what `WouldBlock` is on a socket: only from then on will
/// an event come.
#[derive(Debug)]
pub struct Stdin {
    readiness: StdinState,
}

/// What one [`Stdin::read`] brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// So many bytes, at the front of the buffer.
    Bytes(usize),
    /// Nothing now. An event will tell when to try again.
    NotYet,
    /// The end, and no event will come any more.
    End,
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
        Ok(Stdin { readiness: StdinState::MayRead })
    }

    /// Takes note of an event, whatever it said: a pipe that ends without data raises a hang-up alone.
    pub fn on_event(&mut self) {
        if self.readiness == StdinState::Waiting {
            self.readiness = StdinState::MayRead;
        }
    }

    /// Whether a read should be tried without waiting for an event.
    pub fn may_read(&self) -> bool {
        self.readiness == StdinState::MayRead
    }

    /// Reads once, never waiting.
    ///
    /// # Errors
    /// When stdin cannot be read at all (it is a directory, say). A terminal that has gone away is an end.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Input> {
        match self.readiness {
            StdinState::Waiting => return Ok(Input::NotYet),
            StdinState::Ended => return Ok(Input::End),
            StdinState::MayRead => {}
        }
        match read_now(buffer) {
            Ok(0) => {
                self.readiness = StdinState::Ended;
                Ok(Input::End)
            }
            Ok(len) => Ok(Input::Bytes(len)),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => Ok(Input::NotYet),
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                self.readiness = StdinState::Waiting;
                Ok(Input::NotYet)
            }
            Err(err) => Err(err),
        }
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
