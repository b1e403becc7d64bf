//! TLS under a connection: the handshake of an attempt, and the bytes of a session as records.
//!
//! A [`Wire`] behaves like a socket that encrypts ([`Records`]), so everything above it is the same with TLS and
//! without. In particular unsent lines stay countable, and a line whose record was cut off was never said.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig, Error, HandshakeType};

use super::address::ServerAddress;
use super::connect::ConnectError;
use super::limits::HANDSHAKE_TIMEOUT;
use super::trust::{Trust, TrustError, Verifier};
use crate::net::stream::retry;
use crate::net::tls;
use crate::net::tls::records::{Progress, Records};

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
    records: Box<Secured>,
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
    Secure(Box<Secured>),
}

/// A socket and the records on it, which says goodbye when it is dropped.
#[derive(Debug)]
pub(super) struct Secured(Records<TcpStream>);

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
        let records = Records::new(socket, &self.config, self.name.clone())
            .map_err(|error| ConnectError::Failed(io::Error::other(error)))?;
        let verifier = Arc::clone(&self.verifier);
        Ok(Handshake { records: Box::new(Secured(records)), verifier, until: now + HANDSHAKE_TIMEOUT, is_known: false })
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
            if !self.records.is_handshaking() && is_sent {
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
        match records.take_in_handshake() {
            Ok(Progress::Received) => Ok(true),
            Ok(Progress::NotYet) => Ok(false),
            Ok(Progress::Ended) => Err(ended()),
            Ok(Progress::Failed(error)) => Err(self.explained(&error)),
            Err(error) => Err(ConnectError::Failed(error)),
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
        matches!(self, Wire::Secure(records) if records.has_more())
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

impl Deref for Secured {
    type Target = Records<TcpStream>;

    fn deref(&self) -> &Records<TcpStream> {
        &self.0
    }
}

impl DerefMut for Secured {
    fn deref_mut(&mut self) -> &mut Records<TcpStream> {
        &mut self.0
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests;
