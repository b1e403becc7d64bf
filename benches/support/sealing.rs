//! TLS of the load's clients, and the certificate of the servers that are measured with it.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use mio::net::TcpStream;
use pollchat::net::tls::{ALPN_LINES, provider};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

use super::Error;

/// TLS of one client.
pub(crate) struct Sealing {
    session: ClientConnection,
}

impl Sealing {
    /// Begins a session with a server that is called localhost, whatever its certificate.
    pub(crate) fn new(offers_lines: bool) -> Result<Sealing, Error> {
        static CONFIGS: OnceLock<[Arc<ClientConfig>; 2]> = OnceLock::new();
        let configs = CONFIGS.get_or_init(|| [client_config(false), client_config(true)]);
        let config = Arc::clone(&configs[usize::from(offers_lines)]);
        Ok(Sealing { session: ClientConnection::new(config, ServerName::try_from("localhost")?)? })
    }

    /// Takes all of `text`, and sends what the socket takes.
    pub(crate) fn write(&mut self, stream: &mut TcpStream, text: &mut Vec<u8>) -> io::Result<()> {
        self.session.writer().write_all(text)?;
        text.clear();
        while self.session.wants_write() {
            self.session.write_tls(stream)?;
        }
        Ok(())
    }

    /// Whether ciphertext waits for the socket.
    pub(crate) fn wants_write(&self) -> bool {
        self.session.wants_write()
    }

    /// Reads text, as a socket does. What does not fit is read in the next call.
    pub(crate) fn read(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        loop {
            match self.session.reader().read(&mut buffer[filled..]) {
                Ok(0) => return Ok(filled),
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if filled == buffer.len() {
                return Ok(filled);
            }
            match self.session.read_tls(stream) {
                Ok(0) => return Ok(filled),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && filled > 0 => return Ok(filled),
                Err(error) => return Err(error),
            }
            self.session.process_new_packets().map_err(io::Error::other)?;
            if self.session.wants_write() {
                self.write(stream, &mut Vec::new()).or_else(only_blocked)?;
            }
        }
    }
}

fn only_blocked(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::WouldBlock { Ok(()) } else { Err(error) }
}

fn client_config(offers_lines: bool) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider())))
        .with_no_client_auth();
    if offers_lines {
        config.alpn_protocols = vec![ALPN_LINES.to_vec()];
    }
    Arc::new(config)
}

/// Files of a certificate for localhost with a key of ECDSA P-256, made once in a run.
pub(crate) fn certificate() -> Result<(PathBuf, PathBuf), Error> {
    let folder = std::env::temp_dir().join(format!("pollchat-bench-{}", std::process::id()));
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    if !key.exists() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        fs::create_dir_all(&folder)?;
        fs::write(&certificate, made.cert.pem())?;
        fs::write(&key, made.signing_key.serialize_pem())?;
    }
    Ok((certificate, key))
}

/// Takes any certificate: it is our own.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
