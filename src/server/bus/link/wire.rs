//! The bytes of a link in both directions: as they are, or over TLS.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, Error, RootCertStore};

use crate::net::stream::Socket;
use crate::net::tls::records::{Progress, Records};
use crate::net::tls::{self, authorities};

/// TLS of all links of a server.
#[derive(Clone)]
pub struct LinkTls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// Error of loading TLS.
#[derive(Debug, thiserror::Error)]
pub enum LinkTlsError {
    /// A certificate cannot name the host.
    #[error("no certificate can name the host {0}: write it in ASCII (xn--…), or give its IP address")]
    Name(String),
    /// The system has no authorities.
    #[error("no certificates of authorities are installed here ({0}): install ca-certificates, or set SSL_CERT_FILE")]
    NoAuthorities(String),
}

/// A socket, with TLS or without.
#[derive(Debug)]
pub(super) enum Wire<S> {
    Plain(S),
    Secure(Box<Records<S>>),
}

/// Outcome of a step of a handshake.
#[derive(Debug)]
pub(super) enum Shaken {
    /// It is over, or there is none.
    Done,
    /// It goes on with the next event.
    NotYet,
    /// The server is another, or its certificate is of no use: for an operator to mend.
    Untrusted(String),
    /// It failed.
    Failed(String),
}

impl LinkTls {
    /// Trusts the authorities of this system, or those in the file that `SSL_CERT_FILE` names, with a server of this
    /// name or address.
    ///
    /// # Errors
    /// If there are none, or no certificate can have the name.
    pub fn load(host: &str) -> Result<LinkTls, LinkTlsError> {
        let mut roots = RootCertStore::empty();
        // A certificate that cannot be read leaves the others usable.
        roots.add_parsable_certificates(authorities::installed().map_err(LinkTlsError::NoAuthorities)?);
        LinkTls::trusting(roots, host)
    }

    /// Trusts these authorities.
    pub(super) fn trusting(roots: RootCertStore, host: &str) -> Result<LinkTls, LinkTlsError> {
        let config = ClientConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has the cipher suites of both versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        // The zone of an address has a meaning on this machine alone.
        let name = host.split_once('%').map_or(host, |(address, _)| address).to_owned();
        let name = ServerName::try_from(name).map_err(|_| LinkTlsError::Name(host.to_owned()))?;
        Ok(LinkTls { config: Arc::new(config), name })
    }
}

impl fmt::Debug for LinkTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkTls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<S: Socket> Wire<S> {
    /// Begins a connection.
    pub(super) fn begin(socket: S, tls: Option<&LinkTls>) -> Result<Wire<S>, Error> {
        Ok(match tls {
            Some(tls) => Wire::Secure(Box::new(Records::new(socket, &tls.config, tls.name.clone())?)),
            None => Wire::Plain(socket),
        })
    }

    /// Whether the handshake is over, or there is none.
    pub(super) fn is_shaken(&self) -> bool {
        match self {
            Wire::Plain(_) => true,
            Wire::Secure(records) => !records.is_handshaking() && !records.session.wants_write(),
        }
    }

    /// Takes the next steps of the handshake.
    pub(super) fn shake(&mut self) -> Shaken {
        let Wire::Secure(records) = self else { return Shaken::Done };
        loop {
            match records.drain() {
                Ok(true) if !records.is_handshaking() => return Shaken::Done,
                // What the peer says may come before it takes more.
                Ok(_) => {}
                Err(error) => return Shaken::Failed(format!("the connection failed: {error}")),
            }
            match records.take_in_handshake() {
                Ok(Progress::Received) => {}
                Ok(Progress::NotYet) => return Shaken::NotYet,
                Ok(Progress::Ended) => {
                    return Shaken::Failed("Redis has closed the connection during the TLS handshake".to_owned());
                }
                Ok(Progress::Failed(error @ (Error::InvalidCertificate(_) | Error::NoCertificatesPresented))) => {
                    return Shaken::Untrusted(format!("TLS: {error}"));
                }
                Ok(Progress::Failed(Error::InvalidMessage(_))) => {
                    return Shaken::Failed("no TLS is spoken on this port: write redis:// for one without".to_owned());
                }
                Ok(Progress::Failed(error)) => return Shaken::Failed(format!("the TLS handshake failed: {error}")),
                Err(error) => return Shaken::Failed(format!("the connection failed: {error}")),
            }
        }
    }

    /// Whether the last read stopped although the socket may have more.
    pub(super) fn has_more(&self) -> bool {
        matches!(self, Wire::Secure(records) if records.has_more())
    }
}

impl<S: Socket> Read for Wire<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(socket) => socket.read(buffer),
            Wire::Secure(records) => records.read(buffer),
        }
    }
}

impl<S: Socket> Write for Wire<S> {
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
