//! TLS under a connection: the handshake of an attempt, and the bytes of a session as records.
//!
//! A [`Wire`] behaves like a socket that encrypts, so everything above it is the same with TLS and without:
//!
//! - A write seals at most one record, and counts as done only when the kernel has the whole record. Until then it
//!   returns `WouldBlock`, and has to be repeated with the same bytes. So unsent lines stay countable, and a line
//!   whose record was cut off was never said.
//! - End of input is the server's `close_notify`. EOF without it is an error: the network could end the conversation
//!   where it likes.
//! - Only this file knows the interface of rustls.

use std::io::{self, Read, Write};
use std::mem;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;
use rustls::client::{ClientConnection, Resumption};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig, Error, HandshakeType};

use super::address::ServerAddress;
use super::connect::ConnectError;
use super::limits::{HANDSHAKE_TIMEOUT, READ_BYTES, READS_A_READ_MAX};
use super::trust::{Trust, TrustError, Verifier};
use crate::net::tls;

/// First byte of an alert of TLS.
const ALERT_BYTE: u8 = 0x15;

/// TLS for all connections to one server.
#[derive(Clone, Debug)]
pub(super) struct Security {
    config: Arc<ClientConfig>,
    verifier: Arc<Verifier>,
    name: ServerName<'static>,
}

/// A handshake under way.
#[derive(Debug)]
pub(super) struct Handshake {
    records: Box<Records>,
    verifier: Arc<Verifier>,
    until: Instant,
    /// Whether the first byte of the server was one of TLS.
    is_known: bool,
}

/// State of a [`Handshake`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandshakeStatus {
    Pending,
    Done,
}

/// The bytes of a connection in both directions.
#[derive(Debug)]
pub(super) enum Wire {
    /// As they are.
    Plain(TcpStream),
    /// Encrypted.
    Secure(Box<Records>),
}

/// A socket and the records on it.
///
/// Invariant: after the handshake, ciphertext waits for the socket only if `sealed_bytes` is above 0, or behind
/// [`Wire::finish`].
#[derive(Debug)]
pub(super) struct Records {
    socket: TcpStream,
    session: ClientConnection,
    /// Bytes of the caller in the record that the kernel has not taken whole.
    sealed_bytes: usize,
    /// Reason for reading no more. What was decrypted before is read first.
    failure: Option<io::Error>,
    /// Whether the last read stopped although the socket may have more.
    has_more: bool,
}

impl Security {
    /// TLS for connections to `server`.
    ///
    /// # Errors
    /// The authorities cannot be loaded.
    pub(super) fn load(server: &ServerAddress, trust: &Trust) -> Result<Security, TrustError> {
        let verifier = Arc::new(Verifier::load(trust)?);
        let mut config = ClientConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has the cipher suites of both versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Verifier>::clone(&verifier))
            .with_no_client_auth();
        // A server for browsers does not take it for its own.
        config.alpn_protocols = vec![tls::ALPN_LINES.to_vec()];
        // A handshake is cheap for a client, and a ticket would outlive a certificate.
        config.resumption = Resumption::disabled();
        let name = server.name().ok_or_else(|| TrustError::Name { host: server.host().to_owned() })?;
        Ok(Security { config: Arc::new(config), verifier, name })
    }

    /// Begins the handshake of a new connection.
    pub(super) fn begin(&self, socket: TcpStream, now: Instant) -> Result<Handshake, ConnectError> {
        let session = ClientConnection::new(Arc::clone(&self.config), self.name.clone())
            .map_err(|error| ConnectError::Failed(io::Error::other(error)))?;
        let records = Records { socket, session, sealed_bytes: 0, failure: None, has_more: false };
        let verifier = Arc::clone(&self.verifier);
        Ok(Handshake { records: Box::new(records), verifier, until: now + HANDSHAKE_TIMEOUT, is_known: false })
    }
}

impl Handshake {
    /// The time at which the handshake is given up.
    pub(super) fn deadline(&self) -> Instant {
        self.until
    }

    /// Reads and writes as much as the socket has and takes.
    ///
    /// # Errors
    /// The server is not trusted, is no TLS server, or is gone, or the time is over.
    pub(super) fn advance(&mut self, now: Instant) -> Result<HandshakeStatus, ConnectError> {
        loop {
            let is_sent = self.records.drain().map_err(ConnectError::Failed)?;
            if !self.records.session.is_handshaking() && is_sent {
                return Ok(HandshakeStatus::Done);
            }
            if !self.read()? {
                break;
            }
        }
        if now >= self.until {
            return Err(failure(io::ErrorKind::TimedOut, "the server did not finish the TLS handshake"));
        }
        Ok(HandshakeStatus::Pending)
    }

    /// Reads once. Returns whether anything came.
    fn read(&mut self) -> Result<bool, ConnectError> {
        let records = &mut *self.records;
        if !self.is_known {
            let mut first = [0];
            match retry(|| records.socket.peek(&mut first)) {
                Ok(0) => return Err(ended()),
                Ok(_) if [tls::HANDSHAKE_BYTE, ALERT_BYTE].contains(&first[0]) => self.is_known = true,
                Ok(_) => return Err(plain()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(ConnectError::Failed(error)),
            }
        }
        match retry(|| records.session.read_tls(&mut records.socket)) {
            Ok(0) => return Err(ended()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(ConnectError::Failed(error)),
        }
        match records.session.process_new_packets() {
            Ok(_) => Ok(true),
            Err(error) => {
                // An alert tells the server why. It fails if the server is gone.
                let _ = records.drain();
                Err(self.explained(&error))
            }
        }
    }

    fn explained(&self, error: &Error) -> ConnectError {
        if let Some(why) = self.verifier.distrust(error) {
            return ConnectError::Untrusted(why);
        }
        match error {
            // It repeats what it reads.
            Error::InappropriateHandshakeMessage { got_type: HandshakeType::ClientHello, .. } => plain(),
            Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                let text = "this port speaks TLS for another protocol: write the port for lines, not that of the page";
                failure(io::ErrorKind::ConnectionRefused, text)
            }
            Error::AlertReceived(alert) => {
                failure(io::ErrorKind::ConnectionRefused, &format!("the server refuses the TLS handshake ({alert:?})"))
            }
            _ => failure(io::ErrorKind::InvalidData, &format!("the TLS handshake failed: {error}")),
        }
    }

    /// The connection after the handshake.
    pub(super) fn into_wire(self) -> Wire {
        Wire::Secure(self.records)
    }
}

fn plain() -> ConnectError {
    failure(io::ErrorKind::InvalidData, "no TLS is spoken on this port: write tcp:// for a port without it")
}

fn ended() -> ConnectError {
    failure(io::ErrorKind::UnexpectedEof, "the server closed the connection during the TLS handshake")
}

fn failure(kind: io::ErrorKind, text: &str) -> ConnectError {
    ConnectError::Failed(io::Error::new(kind, text))
}

/// Calls again after a signal (EINTR).
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl Wire {
    /// Ends our direction: the server reads EOF behind what was written.
    ///
    /// # Errors
    /// `WouldBlock` until the socket has taken everything. Others if the connection is gone.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(socket) => socket.shutdown(Shutdown::Write),
            Wire::Secure(records) => records.finish(),
        }
    }

    /// Whether the last read stopped although the socket may have more, so that no event announces it.
    pub(super) fn has_more(&self) -> bool {
        matches!(self, Wire::Secure(records) if records.has_more)
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.read(buffer),
            Wire::Secure(records) => records.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.write(bytes),
            Wire::Secure(records) => records.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Records {
    /// Writes the ciphertext that waits. Returns whether the socket took all.
    fn drain(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match retry(|| self.session.write_tls(&mut self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn drain_all(&mut self) -> io::Result<()> {
        if self.drain()? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    /// Sends `close_notify`, and then FIN.
    fn finish(&mut self) -> io::Result<()> {
        // Does nothing the second time.
        self.session.send_close_notify();
        self.drain_all()?;
        self.socket.shutdown(Shutdown::Write)
    }

    /// Reads text. Reads the socket at most `reads_max` times.
    fn read_within(&mut self, reads_max: usize, buffer: &mut [u8]) -> io::Result<usize> {
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
        // Records without text: a server could go on with them for ever.
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

impl Read for Records {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_within(READS_A_READ_MAX, buffer)
    }
}

impl Write for Records {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.sealed_bytes == 0 {
            self.sealed_bytes = self.session.writer().write(&bytes[..bytes.len().min(READ_BYTES)])?;
        }
        debug_assert!(bytes.len() >= self.sealed_bytes, "a blocked write is repeated");
        self.drain_all()?;
        Ok(mem::take(&mut self.sealed_bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        // The rest of a record would make the server take text that counts as unsent.
        if self.sealed_bytes > 0 {
            return;
        }
        let _ = self.finish();
        // The server's own goodbye may have come. Unread, it would reset the connection, and destroy ours on its way.
        let mut unread = [0; 1 << 10];
        let _ = (0..READS_A_READ_MAX).find(|_| !matches!(self.socket.read(&mut unread), Ok(1..)));
    }
}

#[cfg(test)]
mod tests;
