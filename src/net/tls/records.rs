//! TLS of a client, as a socket that encrypts. Both programs have clients: the server is one of Redis.
//!
//! - A write seals at most one record, and counts as done only when the kernel has the whole record. Until then it
//!   returns `WouldBlock`, and has to be repeated with the same bytes at its front.
//! - End of input is the peer's `close_notify`. EOF without it is an error: the network could end the conversation
//!   where it likes.

use std::io::{self, Read, Write};
use std::mem;
use std::sync::Arc;

use rustls::client::ClientConnection;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, Error};

use super::RECORD_TEXT_BYTES;
use crate::net::stream::{Socket, retry};

/// Reads of a socket for one read of text. Each takes 4 KiB, so the longest record fits in. A server that sends records
/// without text (tickets) must not hold the loop.
const READS_A_READ_MAX: usize = 8;

/// A socket and the records on it.
///
/// Invariant: after the handshake, ciphertext waits for the socket only if `sealed_bytes` is above 0, or behind
/// [`Records::finish`].
#[derive(Debug)]
pub(crate) struct Records<S> {
    pub(crate) socket: S,
    pub(crate) session: ClientConnection,
    /// Bytes of the caller in the record that the kernel has not taken whole.
    sealed_bytes: usize,
    /// Reason for reading no more. What was decrypted before is read first.
    failure: Option<io::Error>,
    /// Whether the last read stopped although the socket may have more.
    has_more: bool,
}

/// Outcome of a read during the handshake.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Something came.
    Received,
    /// Nothing now. An event announces when to try again.
    NotYet,
    /// The peer has closed the connection.
    Ended,
    /// The handshake has failed.
    Failed(Error),
}

impl<S: Socket> Records<S> {
    /// Writes the ciphertext that waits. Returns whether the socket took all.
    ///
    /// # Errors
    /// If the connection is gone.
    pub(crate) fn drain(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match retry(|| self.session.write_tls(&mut self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Begins a connection. Nothing is sent yet.
    ///
    /// # Errors
    /// If rustls refuses the settings.
    pub(crate) fn new(socket: S, config: &Arc<ClientConfig>, name: ServerName<'static>) -> Result<Records<S>, Error> {
        let session = ClientConnection::new(Arc::clone(config), name)?;
        Ok(Records { socket, session, sealed_bytes: 0, failure: None, has_more: false })
    }

    /// Whether the handshake is not over.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Whether the last read stopped although the socket may have more, so that no event announces it.
    pub(crate) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Takes in a part of the handshake, with one read of the socket.
    ///
    /// # Errors
    /// If the connection is gone.
    pub(crate) fn take_in_handshake(&mut self) -> io::Result<Progress> {
        match retry(|| self.session.read_tls(&mut self.socket)) {
            Ok(0) => return Ok(Progress::Ended),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Progress::NotYet),
            Err(error) => return Err(error),
        }
        Ok(match self.session.process_new_packets() {
            Ok(_) => Progress::Received,
            Err(error) => {
                // An alert tells the server why. It fails if the server is gone.
                let _ = self.drain();
                Progress::Failed(error)
            }
        })
    }

    /// Says goodbye, as far as the socket takes it now, before the connection is dropped.
    pub(crate) fn close(&mut self) {
        // The rest of a record would make the server take text that counts as unsent.
        if self.sealed_bytes > 0 {
            return;
        }
        let _ = self.finish();
        // The server's own goodbye may have come. Unread, it would reset the connection, and destroy ours on its way.
        let mut unread = [0; 1 << 10];
        let _ = (0..READS_A_READ_MAX).find(|_| !matches!(self.socket.read(&mut unread), Ok(1..)));
    }

    fn drain_all(&mut self) -> io::Result<()> {
        if self.drain()? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    /// Sends `close_notify`, and then FIN.
    ///
    /// # Errors
    /// `WouldBlock` until the socket has taken everything. Others if the connection is gone.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        // Does nothing the second time.
        self.session.send_close_notify();
        self.drain_all()?;
        self.socket.shutdown_write()
    }

    /// Reads text. Reads the socket at most `reads_max` times.
    pub(crate) fn read_within(&mut self, reads_max: usize, buffer: &mut [u8]) -> io::Result<usize> {
        self.has_more = false;
        for _ in 0..reads_max {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    let text = "it ended without a goodbye of TLS (close_notify)";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
                }
                result => return result,
            }
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            self.take_in()?;
        }
        // Records without text: the server could go on with them for ever.
        self.has_more = true;
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Takes what the socket has, once. Returns `WouldBlock` if it has nothing.
    fn take_in(&mut self) -> io::Result<()> {
        retry(|| self.session.read_tls(&mut self.socket))?;
        if let Err(error) = self.session.process_new_packets() {
            // An alert tells the server why. It fails if the server is gone.
            let _ = self.drain();
            let text = match error {
                Error::AlertReceived(alert) => format!("the server ended it with a TLS alert ({alert:?})"),
                error => format!("TLS: {error}"),
            };
            self.failure = Some(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(())
    }
}

impl<S: Socket> Read for Records<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_within(READS_A_READ_MAX, buffer)
    }
}

impl<S: Socket> Write for Records<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.sealed_bytes == 0 {
            self.sealed_bytes = self.session.writer().write(&bytes[..bytes.len().min(RECORD_TEXT_BYTES)])?;
        }
        debug_assert!(bytes.len() >= self.sealed_bytes, "a blocked write is repeated");
        self.drain_all()?;
        Ok(mem::take(&mut self.sealed_bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
