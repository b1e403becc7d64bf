//! TLS of the server, as a pure transformation of bytes. It owns the choice of the crypto provider, the settings of
//! both kinds of ports, and the [`Session`] of one connection; it knows no socket.
//!
//! rustls has an API for this, which its next release replaces. So nothing of it leaves this file: a session
//! [takes in](Session::take_in) ciphertext, [seals](Session::seal) text and is [closed](Session::close).
//!
//! A session costs 3.5 KB while it is idle. Its resumption costs as much time as a new handshake with an ECDSA key, so
//! the server issues no tickets and keeps no sessions. It takes no early data: that can be sent twice by others.

pub(crate) mod authorities;
pub(crate) mod records;

use std::fmt;
use std::io::IoSlice;
use std::mem;
use std::sync::Arc;

use data_encoding::BASE64_NOPAD;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};
use rustls::{Error, ServerConfig};
use sha2::{Digest, Sha256};

/// ALPN protocol of the line port.
pub const ALPN_LINES: &[u8] = b"pollchat";

/// ALPN protocol of the page's port.
pub const ALPN_WEB: &[u8] = b"http/1.1";

/// First byte of a TLS handshake. No text begins with it.
pub const HANDSHAKE_BYTE: u8 = 0x16;

/// Most text in one record, in bytes (RFC 8446, 5.1).
pub const RECORD_TEXT_BYTES: usize = 16 * 1024;

/// Longest record, in bytes: its head, its text, and the most that encryption may add (RFC 5246, 6.2.3).
pub const RECORD_BYTES_MAX: usize = 5 + RECORD_TEXT_BYTES + 2 * 1024;

/// Bytes that encryption adds to a record, at most, of the ciphers that the server has.
const SEALING_BYTES: usize = 64;

/// Returns the implementation of all cryptography, of server and client.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Returns the pin of a public key, as people compare it: `SHA256:` and 43 characters of base64, as in ssh.
/// `key_info` is the DER of its SubjectPublicKeyInfo, which outlives the certificates around it.
pub fn pin(key_info: &[u8]) -> String {
    format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(key_info)))
}

/// Settings of new TLS connections. They are replaced as a whole, so a connection never sees half of a change.
#[derive(Clone, Debug)]
pub struct TlsConfigs {
    /// For the line port.
    pub lines: Arc<ServerConfig>,
    /// For the page's port.
    pub web: Arc<ServerConfig>,
}

impl TlsConfigs {
    /// Creates the settings of a server with this certificate chain, its own certificate first, and its private key.
    ///
    /// # Errors
    /// If rustls does not know the kind of key, or the key does not belong to the certificate.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<TlsConfigs, Error> {
        let mut lines = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        lines.send_tls13_tickets = 0;
        lines.session_storage = Arc::new(NoServerSessionStorage {});
        lines.alpn_protocols = vec![ALPN_LINES.to_vec()];
        let mut web = lines.clone();
        web.alpn_protocols = vec![ALPN_WEB.to_vec()];
        Ok(TlsConfigs { lines: Arc::new(lines), web: Arc::new(web) })
    }
}

/// TLS of one connection of the server.
///
/// Invariants: `partial` is shorter than [`RECORD_BYTES_MAX`]; it holds exactly the bytes that rustls has not given up
/// yet, because rustls remembers places in them, and so is handed to it in every call.
pub struct Session {
    connection: UnbufferedServerConnection,
    /// The beginning of a record, or of a handshake message over several records, whose end has not arrived.
    partial: Vec<u8>,
    is_ended: bool,
}

impl Session {
    /// Begins a handshake.
    ///
    /// # Errors
    /// If rustls refuses the settings.
    pub fn new(config: &Arc<ServerConfig>) -> Result<Session, Error> {
        let connection = UnbufferedServerConnection::new(Arc::clone(config))?;
        Ok(Session { connection, partial: Vec::new(), is_ended: false })
    }

    /// Whether the handshake is not over. Until then there is no text in either direction.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the peer has said that it sends no more (`close_notify`).
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Returns the length of the record, or of the message over several records, that has arrived in part.
    pub fn partial_bytes(&self) -> usize {
        self.partial.len()
    }

    /// Takes in ciphertext, which it overwrites. Hands the text to `on_text`, in order, and appends what is to be sent
    /// to the peer to `answers`: a step of the handshake, or the alert that goes with an error.
    ///
    /// # Errors
    /// If the peer breaks the protocol, or the two have no protocol in common. The session is over then.
    pub fn take_in(
        &mut self,
        received: &mut [u8],
        answers: &mut Vec<u8>,
        on_text: impl FnMut(&[u8]),
    ) -> Result<(), Error> {
        if self.partial.is_empty() {
            let used = self.process(received, answers, on_text)?;
            self.partial = received[used..].to_vec();
        } else {
            let mut joined = mem::take(&mut self.partial);
            joined.extend_from_slice(received);
            let used = self.process(&mut joined, answers, on_text)?;
            self.partial = joined[used..].to_vec();
        }
        if self.is_ended {
            self.partial = Vec::new();
        }
        if self.partial.len() >= RECORD_BYTES_MAX {
            return Err(Error::General("a message of the handshake is too long".to_owned()));
        }
        Ok(())
    }

    /// Seals the beginning of `slices` as one record, which it appends to `sealed`. Returns how many bytes that is: all
    /// of them, or [`RECORD_TEXT_BYTES`].
    ///
    /// # Errors
    /// If the handshake is not over, or the session is.
    pub fn seal(&mut self, slices: &[IoSlice<'_>], sealed: &mut Vec<u8>) -> Result<usize, Error> {
        let first = slices.iter().map(|slice| &**slice).find(|slice| !slice.is_empty()).unwrap_or_default();
        let bytes = slices.iter().map(|slice| slice.len()).sum::<usize>().min(RECORD_TEXT_BYTES);
        let mut joined = Vec::new();
        let text = if first.len() >= bytes {
            &first[..bytes]
        } else {
            for slice in slices {
                joined.extend_from_slice(&slice[..slice.len().min(bytes - joined.len())]);
            }
            &joined
        };
        self.write(text.len(), sealed, |traffic, target| traffic.encrypt(text, target))?;
        Ok(bytes)
    }

    /// Appends the word that no more text follows (`close_notify`) to `sealed`, the first time. A session that failed
    /// has said so already.
    ///
    /// # Errors
    /// If the handshake is not over, or the session is.
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method has one lifetime, the closure any")]
    pub fn close(&mut self, sealed: &mut Vec<u8>) -> Result<(), Error> {
        self.write(0, sealed, |traffic, target| traffic.queue_close_notify(target))
    }

    /// Processes what has arrived, up to the beginning of an unfinished record. Returns where that is.
    fn process(
        &mut self,
        incoming: &mut [u8],
        answers: &mut Vec<u8>,
        mut on_text: impl FnMut(&[u8]),
    ) -> Result<usize, Error> {
        let mut used = 0;
        loop {
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut incoming[used..]);
            let is_blocked = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        on_text(record?.payload);
                    }
                    false
                }
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    encode(data, answers)?;
                    false
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.is_ended = true;
                    false
                }
                Ok(_) => true,
                Err(error) => {
                    self.take_alert(answers)?;
                    return Err(error);
                }
            };
            used += discard;
            if is_blocked {
                return Ok(used);
            }
        }
    }

    /// Appends the alert that goes with an error to `answers`.
    fn take_alert(&mut self, answers: &mut Vec<u8>) -> Result<(), Error> {
        while self.connection.wants_write() {
            match self.connection.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, answers)?,
                _ => break,
            }
        }
        Ok(())
    }

    /// Appends bytes that `write` makes of about `text_bytes` of text to `sealed`, and before them what rustls has still
    /// to say.
    fn write(
        &mut self,
        text_bytes: usize,
        sealed: &mut Vec<u8>,
        mut write: impl FnMut(&mut WriteTraffic<'_, ServerConnectionData>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<(), Error> {
        loop {
            match self.connection.process_tls_records(&mut self.partial).state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    return append(sealed, text_bytes + SEALING_BYTES, |target| match write(&mut traffic, target) {
                        Ok(bytes) => Ok(bytes),
                        Err(EncryptError::InsufficientSize(size)) => Err(size.into()),
                        Err(EncryptError::EncryptExhausted) => Err(Error::EncryptError.into()),
                    });
                }
                ConnectionState::EncodeTlsData(data) => encode(data, sealed)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.is_ended = true,
                ConnectionState::Closed => return Ok(()),
                _ => return Err(Error::HandshakeNotComplete),
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partial_bytes = self.partial.len();
        f.debug_struct("Session")
            .field("is_handshaking", &self.is_handshaking())
            .field("partial_bytes", &partial_bytes)
            .field("is_ended", &self.is_ended)
            .finish_non_exhaustive()
    }
}

/// A reason why bytes could not be appended.
enum NotAppended {
    /// So many bytes are needed.
    TooSmall(usize),
    Failed(Error),
}

impl From<InsufficientSizeError> for NotAppended {
    fn from(error: InsufficientSizeError) -> NotAppended {
        NotAppended::TooSmall(error.required_size)
    }
}

impl From<Error> for NotAppended {
    fn from(error: Error) -> NotAppended {
        NotAppended::Failed(error)
    }
}

/// Appends bytes to `target` that `write` puts into the slice that it is given: of `likely_bytes`, and again of as many
/// as are needed if those are too few.
fn append(
    target: &mut Vec<u8>,
    likely_bytes: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, NotAppended>,
) -> Result<(), Error> {
    let start = target.len();
    let mut space = likely_bytes;
    let written = loop {
        target.resize(start + space, 0);
        match write(&mut target[start..]) {
            Ok(bytes) => break Ok(bytes),
            Err(NotAppended::TooSmall(bytes)) if bytes > space => space = bytes,
            Err(NotAppended::TooSmall(_)) => break Err(Error::EncryptError),
            Err(NotAppended::Failed(error)) => break Err(error),
        }
    };
    target.truncate(start + *written.as_ref().unwrap_or(&0));
    written.map(drop)
}

fn encode<Data>(mut data: EncodeTlsData<'_, Data>, answers: &mut Vec<u8>) -> Result<(), Error> {
    append(answers, 0, |target| match data.encode(target) {
        Ok(bytes) => Ok(bytes),
        Err(EncodeError::InsufficientSize(size)) => Err(size.into()),
        Err(EncodeError::AlreadyEncoded) => Ok(0),
    })
}

#[cfg(test)]
mod tests;
