//! Certificates in files, as an operator has them, and clients that speak TLS. The server's side of TLS is not used.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, process};

use data_encoding::BASE64_NOPAD;
use rcgen::{CertificateParams, KeyPair, PublicKeyData, date_time_ymd};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sha2::{Digest, Sha256};

use super::lines::{Lines, Member};
use super::server::Server;
use super::socket::connect;
use super::{DEADLINE, eventually};

/// A folder with `cert.pem` and `key.pem`, removed when dropped.
pub struct Certificates(PathBuf);

impl Certificates {
    /// Creates the folder, with a certificate of 127.0.0.1.
    pub fn new() -> Certificates {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let certificates = Certificates(env::temp_dir().join(format!("pollchat-tls-{}-{number}", process::id())));
        let _ = fs::remove_dir_all(&certificates.0);
        fs::create_dir(&certificates.0).expect("a folder");
        certificates.issue();
        certificates
    }

    /// Puts another certificate with another key into the files.
    pub fn issue(&self) {
        self.issue_for_years(2020, 2099);
    }

    /// Puts another certificate with another key into the files, valid from one new year to the other.
    pub fn issue_for_years(&self, from: i32, until: i32) {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("names");
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().expect("a key");
        self.write("cert.pem", params.self_signed(&key).expect("a certificate").pem());
        self.write("key.pem", key.serialize_pem());
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).into_os_string().into_string().expect("UTF-8")
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("a file of ours")
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), text).expect("a file of ours");
        fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(0o600)).expect("a file of ours");
    }

    /// The flags that name the files.
    pub fn flags(&self) -> [String; 4] {
        ["--tls-cert".to_owned(), self.path("cert.pem"), "--tls-key".to_owned(), self.path("key.pem")]
    }

    /// The flags of a server with both ports, which the kernel picks.
    pub fn both_ports(&self) -> Vec<String> {
        let ports = ["--tls", "127.0.0.1:0", "--web-tls", "127.0.0.1:0"].map(str::to_owned);
        [&ports[..], &self.flags()].concat()
    }

    /// The certificate in the file.
    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.0.join("cert.pem")).expect("a certificate")
    }

    /// The pin of the key in the file.
    pub fn pin(&self) -> String {
        let key = KeyPair::from_pem(&self.read("key.pem")).expect("a key");
        format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(key.subject_public_key_info())))
    }

    /// A trust in the certificate of the file alone, with these application protocols.
    pub fn trust(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        Certificates::trust_in([self.certificate()], protocols)
    }

    /// A trust in these certificates, with these application protocols.
    pub fn trust_in(
        certificates: impl IntoIterator<Item = CertificateDer<'static>>,
        protocols: &[&str],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        certificates.into_iter().for_each(|certificate| roots.add(certificate).expect("a certificate"));
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A client of the line port that has entered, and knows its name.
    #[track_caller]
    pub fn join(&self, server: &Server) -> TlsClient {
        let mut client = TlsClient::connect(tls_address(server), self.trust(&["pollchat"])).expect("a handshake");
        client.send("\n");
        client.greeted();
        client
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The first address of this server that begins so on stdout.
#[track_caller]
fn address_behind(server: &Server, beginning: &str, end: char) -> SocketAddr {
    let mut found = None;
    eventually(&format!("stdout has {beginning:?}"), || {
        let lines = server.stdout();
        let address = |line: &String| line.strip_prefix(beginning)?.split_once(end)?.0.parse().ok();
        found = lines.iter().find_map(address);
        found.is_some()
    });
    found.expect("eventually found it")
}

/// The first line port of this server that speaks TLS.
#[track_caller]
pub fn tls_address(server: &Server) -> SocketAddr {
    address_behind(server, "listening on ", ' ')
}

/// The first page of this server that speaks TLS.
#[track_caller]
pub fn tls_page(server: &Server) -> SocketAddr {
    address_behind(server, "the page is at https://", '/')
}

/// A client that speaks TLS.
pub struct TlsClient {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
    number: u64,
}

impl TlsClient {
    /// Connects, and ends the handshake.
    ///
    /// # Errors
    /// When the handshake fails.
    #[track_caller]
    pub fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<TlsClient> {
        TlsClient::connect_pausing(address, config, || ())
    }

    /// The same, with a pause in the middle of the first message.
    ///
    /// # Errors
    /// When the handshake fails.
    #[track_caller]
    pub fn connect_pausing(
        address: SocketAddr,
        config: Arc<ClientConfig>,
        pause: impl FnOnce(),
    ) -> io::Result<TlsClient> {
        let name = ServerName::from(address.ip());
        let mut connection = ClientConnection::new(config, name).expect("a config");
        let (mut socket, mut hello) = (connect(address), Vec::new());
        connection.write_tls(&mut hello)?;
        let (first, second) = hello.split_at(hello.len() / 2);
        socket.write_all(first)?;
        pause();
        socket.write_all(second)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(TlsClient { stream: BufReader::new(StreamOwned::new(connection, socket)), number: 0 })
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).expect("the server takes what is sent in time");
    }

    /// The certificate that the server has shown.
    pub fn certificate(&self) -> CertificateDer<'static> {
        let chain = self.stream.get_ref().conn.peer_certificates().expect("after the handshake");
        chain[0].clone().into_owned()
    }

    /// The application protocol that both speak.
    pub fn protocol(&self) -> Option<String> {
        let protocol = self.stream.get_ref().conn.alpn_protocol()?;
        Some(String::from_utf8(protocol.to_vec()).expect("ASCII"))
    }

    /// All that comes until the server ends the session in good order.
    #[track_caller]
    pub fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).expect("an end in good order");
        rest
    }
}

impl Lines for TlsClient {
    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        let result = self.stream.read_line(&mut line);
        assert!(line.ends_with('\n'), "{}: no line in {DEADLINE:?}: {result:?}, half of it: {line:?}", self.name());
        line.pop();
        line
    }

    fn reader(&self) -> String {
        self.name()
    }
}

impl Member for TlsClient {
    fn number(&self) -> u64 {
        self.number
    }

    fn set_number(&mut self, number: u64) {
        self.number = number;
    }

    #[track_caller]
    fn send_line(&mut self, text: impl AsRef<[u8]>) {
        self.send([text.as_ref(), b"\n"].concat());
    }
}
