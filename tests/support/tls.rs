//! Certificates for tests, and the client side of TLS as a transformation of bytes.

use std::io::{Read, Write};
use std::sync::Arc;

use pollchat::net::tls::{self, TlsConfigs};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// A certificate of `localhost` that signs itself, and its private key.
pub struct Identity {
    pub certificate: CertificateDer<'static>,
    pub key: KeyPair,
}

impl Identity {
    /// With an Ed25519 key, whose signatures are of one length.
    pub fn new() -> Identity {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        Identity { certificate: params.self_signed(&key).unwrap().der().clone(), key }
    }

    /// With a key that is always the same.
    pub fn fixed() -> Identity {
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend([7; 32]);
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&der.into(), &PKCS_ED25519).unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        Identity { certificate: params.self_signed(&key).unwrap().der().clone(), key }
    }

    /// The settings of a server with this identity.
    pub fn configs(&self) -> TlsConfigs {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        TlsConfigs::new(vec![self.certificate.clone()], key).unwrap()
    }

    /// The settings of a client that trusts this identity.
    pub fn client_config(&self, alpn: &[u8]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let mut provider = (*tls::provider()).clone();
        provider.kx_groups = vec![rustls::crypto::ring::kx_group::X25519];
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }
}

/// The client side of one connection.
pub struct TlsWire {
    pub tls: ClientConnection,
    /// Text that has arrived.
    pub text: Vec<u8>,
    /// Whether the server has said that it sends no more.
    pub is_closed: bool,
}

impl TlsWire {
    pub fn new(config: &Arc<ClientConfig>) -> TlsWire {
        let name = ServerName::try_from("localhost").unwrap();
        TlsWire { tls: ClientConnection::new(Arc::clone(config), name).unwrap(), text: Vec::new(), is_closed: false }
    }

    /// Returns the ciphertext that is to be sent.
    pub fn outgoing(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// Returns the ciphertext of `text`, and of what is to be sent before it.
    pub fn seal(&mut self, text: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(text).unwrap();
        self.outgoing()
    }

    /// Returns the ciphertext of the word that no more follows.
    pub fn close(&mut self) -> Vec<u8> {
        self.tls.send_close_notify();
        self.outgoing()
    }

    /// Takes in ciphertext of a server that keeps to the protocol.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.try_receive(bytes).expect("the server speaks TLS");
    }

    /// Takes in ciphertext.
    pub fn try_receive(&mut self, mut bytes: &[u8]) -> Result<(), rustls::Error> {
        while !bytes.is_empty() {
            self.tls.read_tls(&mut bytes).unwrap();
            let state = self.tls.process_new_packets()?;
            self.is_closed |= state.peer_has_closed();
            let mut text = vec![0; state.plaintext_bytes_to_read()];
            self.tls.reader().read_exact(&mut text).unwrap();
            self.text.append(&mut text);
        }
        Ok(())
    }
}
