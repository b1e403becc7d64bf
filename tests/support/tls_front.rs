//! TLS before a plain server: certificates, and a front that decrypts for it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::{fs, process, thread};

use pollchat::net::tls;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, PublicKeyData as _};
use rustix::event::{PollFd, PollFlags, poll};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

use super::socket::reset;

/// Text that waits for the server behind a front, at most. More is not read.
const UP_BYTES: usize = 16 << 10;

/// A self-signed certificate with its key.
pub struct Identity {
    pub pin: String,
    pub pem: String,
    config: Arc<ServerConfig>,
}

impl Identity {
    /// The certificate of this host, valid for long.
    pub fn of(host: &str) -> Identity {
        Identity::with(host, |_| {})
    }

    /// The same, changed.
    pub fn with(host: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        config.alpn_protocols = vec![tls::ALPN_LINES.to_vec()];
        let pin = tls::pin(&key.subject_public_key_info());
        Identity { pin, pem: certificate.pem(), config: Arc::new(config) }
    }

    /// A file with the certificate, for `--ca`.
    pub fn file(&self) -> PathBuf {
        static FILES: AtomicUsize = AtomicUsize::new(0);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("ca-{}-{number}.pem", process::id()));
        fs::write(&path, &self.pem).unwrap();
        path
    }
}

/// Way in which a front passes on what the server says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As a server with TLS does.
    Whole,
    /// Each byte of ciphertext in a packet of its own.
    Bytewise,
    /// Without `close_notify` at the end.
    CutOff,
}

/// A front with TLS before a plain server. Its threads end with the test program.
pub struct TlsFront {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    config: Mutex<Arc<ServerConfig>>,
    manner: Manner,
    connections: AtomicUsize,
    handshakes: AtomicUsize,
}

impl TlsFront {
    pub fn start(server: SocketAddr, identity: &Identity) -> TlsFront {
        TlsFront::with(server, identity, Manner::Whole)
    }

    pub fn with(server: SocketAddr, identity: &Identity, manner: Manner) -> TlsFront {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server,
            config: Mutex::new(Arc::clone(&identity.config)),
            manner,
            connections: AtomicUsize::new(0),
            handshakes: AtomicUsize::new(0),
        });
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&for_thread);
                thread::spawn(move || {
                    shared.connections.fetch_add(1, Ordering::Relaxed);
                    // The client tells what went wrong.
                    let _ = shared.serve(client);
                });
            }
        });
        TlsFront { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has another certificate for new connections.
    pub fn become_another(&self, identity: &Identity) {
        *self.shared.config.lock().unwrap() = Arc::clone(&identity.config);
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Those of which the handshake succeeded.
    pub fn handshakes(&self) -> usize {
        self.shared.handshakes.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let config = Arc::clone(&self.config.lock().unwrap());
        let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut client)?;
        }
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        let server = TcpStream::connect(self.server)?;
        let result = Relay::new(session, &client, &server, self.manner).and_then(Relay::run);
        if result.is_err() {
            [client, server].iter().for_each(reset);
        }
        result
    }
}

/// Both directions of one connection.
struct Relay<'a> {
    session: ServerConnection,
    client: &'a TcpStream,
    server: &'a TcpStream,
    manner: Manner,
    /// Text for the server.
    up: Vec<u8>,
    up_end: End,
    down_end: End,
}

/// End of a direction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// It was read.
    Read,
    /// It was passed on.
    Passed,
}

impl Relay<'_> {
    fn new<'a>(
        session: ServerConnection,
        client: &'a TcpStream,
        server: &'a TcpStream,
        manner: Manner,
    ) -> io::Result<Relay<'a>> {
        [client, server].iter().try_for_each(|stream| stream.set_nonblocking(true))?;
        Ok(Relay { session, client, server, manner, up: Vec::new(), up_end: End::Open, down_end: End::Open })
    }

    fn run(mut self) -> io::Result<()> {
        while self.up_end != End::Passed || self.down_end != End::Passed {
            self.pass_up()?;
            self.pass_down()?;
            // An end that is known would be announced again and again, so a stream without a wish is left out.
            let mut fds = Vec::new();
            for (stream, reads, writes) in [
                (&self.client, self.reads_client(), self.session.wants_write()),
                (&self.server, self.reads_server(), !self.up.is_empty()),
            ] {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::IN, reads);
                flags.set(PollFlags::OUT, writes);
                if !flags.is_empty() {
                    fds.push(PollFd::new(stream, flags));
                }
            }
            if !fds.is_empty() {
                poll(&mut fds, None)?;
            }
        }
        Ok(())
    }

    fn reads_client(&self) -> bool {
        self.up_end == End::Open && self.up.len() < UP_BYTES
    }

    fn reads_server(&self) -> bool {
        self.down_end == End::Open && !self.session.wants_write()
    }

    fn pass_up(&mut self) -> io::Result<()> {
        if self.reads_client() {
            // `close_notify` comes before an end.
            if not_yet(self.session.read_tls(&mut self.client))? == Some(0) {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let state = self.session.process_new_packets().map_err(io::Error::other)?;
            let mut text = vec![0; state.plaintext_bytes_to_read()];
            self.session.reader().read_exact(&mut text)?;
            self.up.extend(text);
            if state.peer_has_closed() {
                self.up_end = End::Read;
            }
        }
        if let Some(len) = not_yet(if self.up.is_empty() { Ok(0) } else { self.server.write(&self.up) })? {
            self.up.drain(..len);
        }
        if self.up_end == End::Read && self.up.is_empty() {
            self.server.shutdown(Shutdown::Write)?;
            self.up_end = End::Passed;
        }
        Ok(())
    }

    fn pass_down(&mut self) -> io::Result<()> {
        if self.reads_server() {
            let mut text = [0; 4 << 10];
            match not_yet(self.server.read(&mut text))? {
                Some(0) => {
                    self.down_end = End::Read;
                    if self.manner != Manner::CutOff {
                        self.session.send_close_notify();
                    }
                }
                Some(len) => self.session.writer().write_all(&text[..len])?,
                None => {}
            }
        }
        while self.session.wants_write() {
            let written = match self.manner {
                Manner::Bytewise => self.session.write_tls(&mut Bytewise(self.client)),
                Manner::Whole | Manner::CutOff => self.session.write_tls(&mut self.client),
            };
            if not_yet(written)?.is_none() {
                return Ok(());
            }
        }
        if self.down_end == End::Read {
            self.client.shutdown(Shutdown::Write)?;
            self.down_end = End::Passed;
        }
        Ok(())
    }
}

/// Writes one byte at a time.
struct Bytewise<'a>(&'a TcpStream);

impl Write for Bytewise<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn not_yet(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(len) => Ok(Some(len)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
