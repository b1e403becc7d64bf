//! What the server talks over: the sockets of its clients, and its own stdin and stdout, which are the operator's.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Once;

use log::warn;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::stdio::{stdin, stdout};

use super::stdio::{self, stdin::read_now, stdout::write_now};

/// A non-blocking stream socket, as far as a connection needs one.
pub trait Socket: Read + Write {
    /// Ends writing: the peer reads an end of file after what was written.
    ///
    /// # Errors
    /// When the connection is gone.
    fn shutdown_write(&self) -> io::Result<()>;

    /// The address of the other side.
    ///
    /// # Errors
    /// When the connection is gone.
    fn peer_address(&self) -> io::Result<SocketAddr>;

    /// Why the connection is gone, if it is and nobody was told yet: asked of one that is not read and may have nothing to
    /// be written. `None` if that cannot be known.
    fn take_error(&self) -> Option<io::Error> {
        None
    }
}

/// Outcome of one [`receive`].
#[derive(Debug)]
pub enum Received {
    /// So many bytes, at the front of the buffer; at least one.
    Bytes(usize),
    /// Nothing now. An event announces when to try again.
    NotYet,
    /// End of input (EOF).
    End,
    /// The connection is gone.
    Failed(io::Error),
}

/// Reads once from a non-blocking `source` into `buffer`, which must not be empty. Retries after a signal (EINTR).
pub fn receive(source: &mut impl Read, buffer: &mut [u8]) -> Received {
    loop {
        return match source.read(buffer) {
            Ok(0) => Received::End,
            Ok(bytes) => Received::Bytes(bytes),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Received::NotYet,
            Err(error) => Received::Failed(error),
        };
    }
}

/// One stream of bytes in each direction. As large as a socket alone: a console is no bytes at all.
#[derive(Debug)]
pub enum Stream {
    /// A client.
    Tcp(TcpStream),
    /// The operator.
    Console(Console),
}

/// The operator's console: the process's stdin and stdout, taken together as one stream.
///
/// There is one of each in a process, and what is known of their readiness the hub knows. So nothing is kept here.
#[derive(Debug)]
pub struct Console(());

impl Console {
    /// Has both sides watched, under the same `token`.
    ///
    /// # Errors
    /// When the poller cannot take one of them.
    pub fn open(registry: &Registry, token: Token) -> io::Result<Console> {
        stdio::unblock_stdout_terminal();
        stdio::watch(registry, stdin(), token, Interest::READABLE)?;
        stdio::watch(registry, stdout(), token, Interest::WRITABLE)?;
        Ok(Console(()))
    }
}

impl Read for Console {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Whoever reads a terminal from the background is stopped, and the relay with it. What is typed there now is
        // meant for the shell; and what is typed in the foreground later is announced by events of its own.
        if stdio::is_in_background(stdin()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        read_now(buffer)
    }
}

impl Write for Console {
    /// Writes a little, and never waits. What nobody can be shown is dropped: a dead screen ends the showing, and neither the
    /// relay nor what the operator says.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use io::ErrorKind::{Interrupted, WouldBlock};
        match write_now(stdout(), bytes) {
            Err(error) if !matches!(error.kind(), Interrupted | WouldBlock) => {
                static TOLD: Once = Once::new();
                TOLD.call_once(|| warn!("cannot write to stdout, and drop what it does not take: {error}"));
                Ok(bytes.len())
            }
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Console(console) => console.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Console(console) => console.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write_vectored(slices),
            Stream::Console(console) => console.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for Stream {
    /// Ends writing. It fails for a console: its stdout is not ours to end, and there is nobody whose end could be awaited.
    fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Console(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn peer_address(&self) -> io::Result<SocketAddr> {
        match self {
            Stream::Tcp(stream) => stream.peer_addr(),
            Stream::Console(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn take_error(&self) -> Option<io::Error> {
        match self {
            Stream::Tcp(stream) => stream.take_error().unwrap_or_else(Some),
            Stream::Console(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::connection::Connection;

    #[test]
    fn a_console_makes_no_stream_larger() {
        assert_eq!(size_of::<Stream>(), size_of::<TcpStream>());
        // In a debug build mio's socket is larger, for a check.
        if !cfg!(debug_assertions) {
            assert_eq!(size_of::<Connection<Stream>>(), 56);
        }
    }
}
