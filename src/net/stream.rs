//! Byte streams of the server: TCP sockets of clients, and stdin and stdout as the operator's console.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Mutex, Once, PoisonError};

use log::warn;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use rustix::stdio::{stdin, stdout};
use socket2::SockRef;

use super::stdio::{self, lossy::LossyLines, stdin::read_now, stdout::write_now, typing};
use super::unanswered;

/// Non-blocking stream socket, as far as a connection needs one. Tests implement it in memory.
pub trait Socket: Read + Write {
    /// Ends writing (FIN): the peer reads EOF after the bytes that were written.
    ///
    /// # Errors
    /// If the connection is gone.
    fn shutdown_write(&self) -> io::Result<()>;

    /// Returns the address of the peer; `None` over a Unix socket, whose peers have none.
    ///
    /// # Errors
    /// If the connection is gone.
    fn peer_address(&self) -> io::Result<Option<SocketAddr>>;

    /// Returns the user that the peer belonged to when it connected over a Unix socket (`SO_PEERCRED`); `None` if the
    /// kernel cannot tell. Asks the kernel.
    fn peer_user(&self) -> Option<u32> {
        None
    }

    /// Takes the pending error of the connection (`SO_ERROR`). It is the only report of a reset while the connection is
    /// neither read nor written. `None` if there is none, or if the stream cannot tell.
    fn take_error(&self) -> Option<io::Error> {
        None
    }

    /// Whether the peer has answered nothing for minutes, although something is in flight to it. Asks the kernel.
    fn is_unanswered(&self) -> bool {
        false
    }
}

/// Outcome of one `receive`.
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
pub(crate) fn receive(source: &mut impl Read, buffer: &mut [u8]) -> Received {
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

/// Calls again after a signal (EINTR).
pub(crate) fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Stream of bytes in both directions, no larger than a socket.
#[derive(Debug)]
pub(crate) enum Stream {
    /// A client, over TCP or a Unix socket.
    Tcp(TcpStream),
    /// The operator.
    Console(Console),
}

/// The operator's console: stdin and stdout of the process as one stream.
///
/// A process has one of each, and the hub keeps their readiness, so this holds no state: a stream must be no larger
/// than a socket. The state of stdout is in [`SCREEN`].
#[derive(Debug)]
pub(crate) struct Console(());

/// Stdout as the screen of the console.
static SCREEN: Mutex<LossyLines> = Mutex::new(LossyLines::new());

/// Shows the line again that the operator is typing, if output has interrupted it.
pub(crate) fn show_typed_line() {
    if typing::frees_log() {
        log::logger().flush();
    }
    typing::show_interrupted();
}

impl Console {
    /// Registers both sides at the poller, under the same `token`.
    ///
    /// # Errors
    /// If the poller rejects one of them.
    pub(crate) fn open(registry: &Registry, token: Token) -> io::Result<Console> {
        stdio::unblock_stdout_terminal();
        stdio::watch(registry, stdin(), token, Interest::READABLE)?;
        stdio::watch(registry, stdout(), token, Interest::WRITABLE)?;
        typing::begin(registry, token);
        Ok(Console(()))
    }
}

impl Read for Console {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The kernel stops a process that reads its terminal from the background (SIGTTIN), and the relay with it.
        // Input typed now is meant for the shell. Input in the foreground later has events of its own.
        if stdio::is_in_background(stdin()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        typing::read(buffer).unwrap_or_else(|| read_now(buffer))
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        typing::end();
    }
}

impl Write for Console {
    /// Writes without blocking. If stdout fails, drops the bytes and counts their lines, until it takes bytes again:
    /// without a screen the relay goes on, and so does the input of the operator. Logs the first failure. While a line
    /// is being typed, takes nothing: the server tells when it takes more.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut screen = SCREEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = bytes;
        if typing::holds(typing::Output::Chat) {
            // The rest of a line is shown: log and echo wait for it.
            if !screen.awaits_rest() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            bytes = &bytes[..memchr::memchr(b'\n', bytes).map_or(bytes.len(), |newline| newline + 1)];
        }
        let offered = screen.offer(bytes, |bytes| write_now(stdout(), bytes));
        typing::note_written(typing::Output::Chat, !screen.awaits_rest());
        let (taken, failure) = offered?;
        if let Some(error) = failure {
            static TOLD: Once = Once::new();
            TOLD.call_once(|| warn!("cannot write to stdout, will drop output of the console: {error}"));
        }
        Ok(taken)
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

impl Socket for TcpStream {
    fn shutdown_write(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn peer_address(&self) -> io::Result<Option<SocketAddr>> {
        // That of mio takes another family for an error.
        SockRef::from(self).peer_addr().map(|address| address.as_socket())
    }

    fn take_error(&self) -> Option<io::Error> {
        TcpStream::take_error(self).unwrap_or_else(Some)
    }

    fn peer_user(&self) -> Option<u32> {
        getsockopt(self, PeerCredentials).ok().map(|peer| peer.uid())
    }

    fn is_unanswered(&self) -> bool {
        unanswered::is_unanswered(self)
    }
}

impl Socket for Stream {
    /// Fails for a console: the server does not own its stdout, and no peer would close in return.
    fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown_write(),
            Stream::Console(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn peer_address(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Stream::Tcp(stream) => stream.peer_address(),
            Stream::Console(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn take_error(&self) -> Option<io::Error> {
        match self {
            Stream::Tcp(stream) => Socket::take_error(stream),
            Stream::Console(_) => None,
        }
    }

    fn peer_user(&self) -> Option<u32> {
        match self {
            Stream::Tcp(stream) => stream.peer_user(),
            Stream::Console(_) => None,
        }
    }

    fn is_unanswered(&self) -> bool {
        matches!(self, Stream::Tcp(stream) if stream.is_unanswered())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::connection::Connection;

    #[test]
    fn a_peer_over_a_unix_socket_has_no_address_and_is_not_gone() {
        use std::net;
        use std::os::fd::OwnedFd;
        use std::os::unix::net::UnixStream;

        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut stream = Stream::Tcp(TcpStream::from_std(net::TcpStream::from(OwnedFd::from(near))));
        assert_eq!(stream.peer_address().unwrap(), None);
        assert_eq!(stream.peer_user(), Some(rustix::process::geteuid().as_raw()));
        assert!(!stream.is_unanswered() && stream.take_error().is_none());
        let slices = [IoSlice::new(b"hello, "), IoSlice::new(b"world")];
        assert_eq!(stream.write_vectored(&slices).unwrap(), 12);
        stream.shutdown_write().unwrap();
        assert_eq!(io::read_to_string(&far).unwrap(), "hello, world");
        drop(far);
        assert!(matches!(receive(&mut stream, &mut [0; 8]), Received::End));
    }

    #[test]
    fn a_console_makes_no_stream_larger() {
        assert_eq!(size_of::<Stream>(), size_of::<TcpStream>());
        // In a debug build mio's socket is larger, for a check.
        if !cfg!(debug_assertions) {
            assert_eq!(size_of::<Connection<Stream>>(), 56);
        }
    }
}
