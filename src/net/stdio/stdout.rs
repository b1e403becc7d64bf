//! Any stdout as an event source, and the queue before it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead};
use std::os::fd::{AsFd, BorrowedFd};

use mio::{Interest, Registry, Token};
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::net::stdio;

/// Bytes of one write: `PIPE_BUF`, which a ready pipe takes without blocking.
pub(crate) const WRITE_BYTES_MAX: usize = 4096;

/// The process's stdout and its queue.
///
/// The descriptor stays as blocking as it was inherited. A poll precedes each write, and the write is small enough not
/// to block then.
#[derive(Debug)]
pub(crate) struct Stdout {
    sink: Sink,
    state: StdoutState,
    queue: VecDeque<u8>,
}

/// Reason for which stdout takes no more bytes.
#[derive(Debug)]
pub(crate) enum StdoutError {
    /// The reader closed it. For a pipe, that is no failure.
    Closed,
    /// A write failed: the disk is full, for example.
    Failed(io::Error),
}

#[derive(Debug)]
enum Sink {
    /// The inherited descriptor.
    Inherited,
    /// The same terminal, opened again.
    Terminal(File),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StdoutState {
    /// An event came: stdout may take bytes, or be closed.
    Unknown,
    /// It took the last write.
    Idle,
    /// It takes nothing now. An event announces a change.
    Blocked,
}

impl Stdout {
    /// Registers stdout under `token`.
    ///
    /// # Errors
    /// The poller fails.
    pub(crate) fn register(registry: &Registry, token: Token) -> io::Result<Stdout> {
        let sink = Sink::open();
        stdio::watch(registry, sink.as_fd(), token, Interest::WRITABLE)?;
        Ok(Stdout { sink, state: StdoutState::Unknown, queue: VecDeque::new() })
    }

    /// The queue, to append to.
    pub(crate) fn queue(&mut self) -> &mut VecDeque<u8> {
        &mut self.queue
    }

    /// Bytes in the queue.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.queue.len()
    }

    /// Whether the queue holds at least `bytes`.
    pub(crate) fn holds(&self, bytes: usize) -> bool {
        self.queue.len() >= bytes
    }

    /// Records an event of any kind.
    pub(crate) fn on_event(&mut self) {
        self.state = StdoutState::Unknown;
    }

    /// Whether to call [`Stdout::flush`] without waiting for an event.
    pub(crate) fn is_due(&self) -> bool {
        match self.state {
            StdoutState::Unknown => true,
            StdoutState::Idle => !self.queue.is_empty(),
            StdoutState::Blocked => false,
        }
    }

    /// Writes once, without waiting. Returns the number of bytes written. Detects a closed stdout even with an empty
    /// queue.
    ///
    /// # Errors
    /// Stdout is closed, or a write failed.
    pub(crate) fn flush(&mut self) -> Result<usize, StdoutError> {
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
            // The terminal has gone away. (For a file, EIO means a broken disk.)
            Err(err) if is_io(&err) && matches!(self.sink, Sink::Terminal(_)) => Err(StdoutError::Closed),
            Err(err) => Err(StdoutError::Failed(err)),
        }
    }
}

/// Writes to `fd` once, without waiting, as to a non-blocking socket. Writes at most [`WRITE_BYTES_MAX`].
///
/// # Errors
/// `WouldBlock` if it takes nothing now; an event announces a change. `BrokenPipe` without a reader, even if `bytes` is
/// empty. Other errors if a write failed.
pub(crate) fn write_now(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
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
