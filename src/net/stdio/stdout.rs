//! Any stdout as an event source, and the queue before it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead};
use std::os::fd::{AsFd, BorrowedFd};

use mio::{Interest, Registry, Token};
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::net::stdio;

/// Bytes written at once: `PIPE_BUF`, which a pipe that is ready takes without blocking.
pub const WRITE_BYTES_MAX: usize = 4096;

/// The process's stdout and what waits for it.
///
/// Like stdin it stays as blocking as it was inherited, so each write is preceded by the question whether it would
/// block, and is small enough that the answer holds.
#[derive(Debug)]
pub struct Stdout {
    sink: Sink,
    state: StdoutState,
    queue: VecDeque<u8>,
}

/// Why nothing more can be shown.
#[derive(Debug)]
pub enum StdoutError {
    /// Whoever read it has gone. That is how a pipe ends, and no failure.
    Closed,
    /// It could not be written to: the disk is full, say.
    Failed(io::Error),
}

#[derive(Debug)]
enum Sink {
    /// The descriptor that we were given.
    Inherited,
    /// The same terminal, opened anew.
    Terminal(File),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StdoutState {
    /// An event came: it may take something, or be closed.
    Unknown,
    /// It took all that we had.
    Idle,
    /// It took nothing more. The next event tells when it does.
    Blocked,
}

impl Stdout {
    /// Registers stdout under `token`.
    ///
    /// # Errors
    /// When the poller cannot take it.
    pub fn register(registry: &Registry, token: Token) -> io::Result<Stdout> {
        let sink = Sink::open();
        stdio::watch(registry, sink.as_fd(), token, Interest::WRITABLE)?;
        Ok(Stdout { sink, state: StdoutState::Unknown, queue: VecDeque::new() })
    }

    /// What waits to be shown; more may be put behind it.
    pub fn queue(&mut self) -> &mut VecDeque<u8> {
        &mut self.queue
    }

    /// Bytes that wait to be shown.
    pub fn waiting_bytes(&self) -> usize {
        self.queue.len()
    }

    /// Whether at least so many bytes wait.
    pub fn holds(&self, bytes: usize) -> bool {
        self.queue.len() >= bytes
    }

    /// Takes note of an event, whatever it said.
    pub fn on_event(&mut self) {
        self.state = StdoutState::Unknown;
    }

    /// Whether [`Stdout::flush`] should be called without waiting for an event.
    pub fn is_due(&self) -> bool {
        match self.state {
            StdoutState::Unknown => true,
            StdoutState::Idle => !self.queue.is_empty(),
            StdoutState::Blocked => false,
        }
    }

    /// Writes once, never waiting, and returns how many bytes went. Finds out as well whether stdout was closed, even
    /// with nothing to write.
    ///
    /// # Errors
    /// When it is closed, or cannot be written to.
    pub fn flush(&mut self) -> Result<usize, StdoutError> {
        if !self.is_due() {
            return Ok(0);
        }
        self.state = StdoutState::Idle;
        let (front, _) = self.queue.as_slices();
        match write_now(self.sink.as_fd(), front) {
            Ok(len) => {
                self.queue.consume(len);
                Ok(len)
            }
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {
                self.state = StdoutState::Unknown;
                self.flush()
            }
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                self.state = StdoutState::Blocked;
                Ok(0)
            }
            Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Err(StdoutError::Closed),
            // The terminal has gone away. (Of a file, the same error means a broken disk.)
            Err(err) if is_io(&err) && matches!(self.sink, Sink::Terminal(_)) => Err(StdoutError::Closed),
            Err(err) => Err(StdoutError::Failed(err)),
        }
    }
}

/// Writes to `fd` once, as if it were a non-blocking socket: never waiting, and perhaps not all of it.
///
/// # Errors
/// `WouldBlock` when it takes nothing now: only from then on will an event come. `BrokenPipe` when nobody can read it any
/// more, which shows even with nothing to write. Others when it cannot be written to.
pub fn write_now(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = stdio::ready(&fd, PollFlags::OUT)?;
    if flags.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    if !flags.contains(PollFlags::OUT) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    if bytes.is_empty() {
        return Ok(0);
    }
    Ok(rustix::io::write(&fd, &bytes[..bytes.len().min(WRITE_BYTES_MAX)])?)
}

fn is_io(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
}

impl Sink {
    fn open() -> Sink {
        stdio::reopen_terminal(&io::stdout()).map_or(Sink::Inherited, Sink::Terminal)
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Sink::Inherited => rustix::stdio::stdout(),
            Sink::Terminal(file) => file.as_fd(),
        }
    }
}
