//! The client's side of TLS against a server of rustls on a socket, byte by byte where that matters.

use std::net::{TcpListener, TcpStream as StdTcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::{ServerConfig, ServerConnection};
use socket2::SockRef;

use super::*;
use crate::client::trust::tests::{Made, self_signed};
use crate::net::tls::RECORD_TEXT_BYTES;

/// A server that the test drives. Its socket blocks.
struct Peer {
    socket: StdTcpStream,
    session: ServerConnection,
    /// Text that has come.
    text: Vec<u8>,
}

/// Both ends of a connection.
fn connection() -> (TcpStream, StdTcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = StdTcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nonblocking(true).unwrap();
    client.set_nodelay(true).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_nodelay(true).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    (TcpStream::from_std(client), server)
}

fn server_config(made: &Made) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.certificate.der().clone()], made.private_key())
        .unwrap();
    config.alpn_protocols = vec![tls::ALPN_LINES.to_vec()];
    config.send_tls13_tickets = 0;
    config
}

fn begin(change: impl FnOnce(&mut ServerConfig)) -> (Handshake, Peer) {
    let made = self_signed("chat.lan", |_| {});
    let mut config = server_config(&made);
    change(&mut config);
    let address = "tls://chat.lan".parse().unwrap();
    let security = Security::load(&address, &Trust::Pin(made.pin())).unwrap();
    let (client, socket) = connection();
    let handshake = security.begin(client, Instant::now()).unwrap();
    (handshake, Peer { socket, session: ServerConnection::new(Arc::new(config)).unwrap(), text: Vec::new() })
}

impl Peer {
    /// Reads what the client has sent so far, at least once.
    fn take_in(&mut self) {
        assert!(self.session.read_tls(&mut self.socket).unwrap() > 0, "the client is there");
        self.session.process_new_packets().unwrap();
    }

    /// Reads what is there, if anything is.
    fn take_in_some(&mut self) {
        self.socket.set_nonblocking(true).unwrap();
        while self.session.read_tls(&mut self.socket).is_ok_and(|len| len > 0) {
            self.session.process_new_packets().unwrap();
            let text = self.heard();
            self.text.extend(text);
        }
        self.socket.set_nonblocking(false).unwrap();
    }

    /// Reads up to the end of the connection.
    fn take_in_all(&mut self) {
        while self.session.read_tls(&mut self.socket).unwrap() > 0 {
            self.session.process_new_packets().unwrap();
            let mut piece = vec![0; RECORD_TEXT_BYTES];
            while let Ok(len @ 1..) = self.session.reader().read(&mut piece) {
                self.text.extend_from_slice(&piece[..len]);
            }
        }
    }

    /// The ciphertext that the server has to send.
    fn ciphertext(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    fn send(&mut self) {
        let bytes = self.ciphertext();
        self.socket.write_all(&bytes).unwrap();
    }

    fn say(&mut self, text: &[u8]) {
        self.session.writer().write_all(text).unwrap();
        self.send();
    }

    /// Text that was decrypted last.
    fn heard(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        match self.session.reader().read_to_end(&mut text) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => _ = result.unwrap(),
        }
        text
    }
}

/// Both sides after a handshake.
fn pair(change: impl FnOnce(&mut ServerConfig)) -> (Wire, Peer) {
    let (mut handshake, mut peer) = begin(change);
    let now = Instant::now();
    while handshake.advance(now).unwrap() == HandshakeStatus::Pending {
        peer.take_in();
        peer.send();
    }
    while peer.session.is_handshaking() {
        peer.take_in();
    }
    peer.send();
    (handshake.into_wire(), peer)
}

/// Reads until something comes.
fn read(wire: &mut Wire, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match wire.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

fn records(wire: &Wire) -> &Secured {
    let Wire::Secure(records) = wire else { panic!("it is encrypted") };
    records
}

fn error_of(result: Result<HandshakeStatus, ConnectError>) -> String {
    match result.unwrap_err() {
        ConnectError::Failed(error) => error.to_string(),
        ConnectError::Untrusted(why) => format!("untrusted: {why}"),
    }
}

/// Advances until the handshake fails.
fn failure_of(mut handshake: Handshake) -> String {
    loop {
        match handshake.advance(Instant::now()) {
            Ok(HandshakeStatus::Pending) => {}
            result => return error_of(result),
        }
    }
}

#[test]
fn a_handshake_and_text_arrive_in_any_pieces() {
    for is_tls12 in [false, true] {
        let (mut handshake, mut peer) = begin(|_| {});
        if is_tls12 {
            let made = self_signed("chat.lan", |_| {});
            let versions = &[&rustls::version::TLS12];
            let config = ServerConfig::builder_with_provider(tls::provider())
                .with_protocol_versions(versions)
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![made.certificate.der().clone()], made.private_key())
                .unwrap();
            let security = Security::load(&"tls://chat.lan".parse().unwrap(), &Trust::Pin(made.pin())).unwrap();
            let (client, socket) = connection();
            handshake = security.begin(client, Instant::now()).unwrap();
            peer = Peer { socket, session: ServerConnection::new(Arc::new(config)).unwrap(), text: Vec::new() };
        }
        let now = Instant::now();
        let mut status = handshake.advance(now).unwrap();
        while status == HandshakeStatus::Pending {
            peer.take_in();
            for byte in peer.ciphertext() {
                assert_eq!(status, HandshakeStatus::Pending);
                peer.socket.write_all(&[byte]).unwrap();
                status = handshake.advance(now).unwrap();
            }
        }
        while peer.session.is_handshaking() {
            peer.take_in();
        }
        let mut wire = handshake.into_wire();
        peer.session.writer().write_all(b"* you are client-1").unwrap();
        let mut text = Vec::new();
        let mut buffer = [0; 64];
        for byte in peer.ciphertext() {
            assert!(text.is_empty(), "no text before the end of its record");
            peer.socket.write_all(&[byte]).unwrap();
            // Loopback is not always at once.
            while records(&wire).socket.peek(&mut [0]).is_err() {}
            if let Ok(len) = wire.read(&mut buffer) {
                text.extend_from_slice(&buffer[..len]);
            }
        }
        assert_eq!(text, b"* you are client-1");
    }
}

#[test]
fn a_write_is_done_when_the_kernel_has_its_whole_record() {
    let (mut wire, mut peer) = pair(|_| {});
    SockRef::from(&records(&wire).socket).set_send_buffer_size(4 << 10).unwrap();
    let text: Vec<u8> = (0..400_000u32).flat_map(u32::to_le_bytes).collect();
    let (mut sent, mut blocked) = (0, 0);
    while sent < text.len() {
        match wire.write(&text[sent..]) {
            Ok(len) => {
                assert!((1..=RECORD_TEXT_BYTES).contains(&len) && !records(&wire).session.wants_write());
                sent += len;
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                assert!(records(&wire).session.wants_write());
                blocked += 1;
                peer.take_in_some();
                assert!(peer.text.len() <= sent, "a record that is cut off is not heard");
            }
        }
    }
    assert!(blocked > 10, "{blocked}");
    drop(wire);
    peer.take_in_all();
    assert!(peer.text == text);
}

#[test]
fn the_end_of_the_server_is_its_goodbye_and_nothing_else() {
    let mut buffer = [0; 64];
    let (mut wire, mut peer) = pair(|_| {});
    peer.say(b"last words");
    peer.session.send_close_notify();
    peer.send();
    assert_eq!(read(&mut wire, &mut buffer).unwrap(), 10);
    assert_eq!(read(&mut wire, &mut buffer).unwrap(), 0);
    // Its end is not ours.
    assert_eq!(wire.write(b"more").unwrap(), 4);

    let (mut wire, mut peer) = pair(|_| {});
    peer.say(b"last words");
    drop(peer);
    assert_eq!(read(&mut wire, &mut buffer).unwrap(), 10);
    let error = read(&mut wire, &mut buffer).unwrap_err();
    assert_eq!(error.to_string(), "it ended without a goodbye of TLS (close_notify)");
}

#[test]
fn our_end_is_a_goodbye_behind_all_text() {
    for drops in [false, true] {
        let (mut wire, mut peer) = pair(|_| {});
        assert_eq!(wire.write(b"bye\n").unwrap(), 4);
        if drops {
            drop(wire);
        } else {
            wire.finish().unwrap();
            wire.finish().unwrap();
        }
        peer.take_in_all();
        assert_eq!(peer.text, b"bye\n");
        assert_eq!(peer.session.reader().read(&mut [0]).unwrap(), 0, "not cut off");
    }
}

#[test]
fn a_goodbye_of_the_server_that_was_not_read_resets_nothing() {
    let (mut wire, mut peer) = pair(|_| {});
    assert_eq!(wire.write(b"bye\n").unwrap(), 4);
    peer.session.send_close_notify();
    peer.send();
    while records(&wire).socket.peek(&mut [0]).is_err() {}
    drop(wire);
    // After a reset, the first write fails.
    peer.socket.write_all(b"x").unwrap();
}

#[test]
fn a_record_that_counts_as_unsent_is_not_finished_by_the_end() {
    let (mut wire, mut peer) = pair(|_| {});
    let text = [b'x'; RECORD_TEXT_BYTES];
    let mut sent = 0;
    while let Ok(len @ 1..) = wire.write(&text) {
        sent += len;
    }
    // Now there is space for the rest.
    let mut is_free = false;
    while !is_free {
        peer.take_in_some();
        let mut fds = [PollFd::new(&records(&wire).socket, PollFlags::OUT)];
        is_free = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 1_000_000 })).unwrap() > 0;
    }
    drop(wire);
    peer.take_in_all();
    assert_eq!(peer.text.len(), sent);
    let error = peer.session.reader().read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn records_without_text_do_not_hold_a_reader() {
    let (mut wire, mut peer) = pair(|config| config.send_tls13_tickets = 200);
    peer.say(b"hello");
    let mut buffer = [0; 64];
    let mut pauses = 0;
    let len = loop {
        let Wire::Secure(records) = &mut wire else { panic!("it is encrypted") };
        match records.read_within(1, &mut buffer) {
            Ok(len) => break len,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        pauses += u32::from(wire.has_more());
    };
    assert_eq!(&buffer[..len], b"hello");
    assert!(pauses > 1, "{pauses}");
    assert!(!wire.has_more());
}

#[test]
fn text_before_a_broken_record_is_read() {
    let (mut wire, mut peer) = pair(|_| {});
    peer.session.writer().write_all(b"hello").unwrap();
    let mut bytes = peer.ciphertext();
    peer.session.writer().write_all(b"world").unwrap();
    let whole = bytes.len();
    bytes.extend(peer.ciphertext());
    bytes[whole + 8] ^= 1;
    peer.socket.write_all(&bytes).unwrap();
    let mut buffer = [0; 64];
    assert_eq!(read(&mut wire, &mut buffer).unwrap(), 5);
    assert_eq!(read(&mut wire, &mut buffer).unwrap_err().to_string(), "TLS: cannot decrypt peer's message");
}

#[test]
fn a_server_that_speaks_no_tls_is_told_as_such() {
    let advice = "no TLS is spoken on this port: write tcp:// for a port without it";
    for said in [&b"* this is a chat relay and speaks no TLS: goodbye\n"[..], b"\n", b"HTTP/1.1 400 Bad Request\r\n"] {
        let (handshake, mut peer) = begin(|_| {});
        peer.socket.write_all(said).unwrap();
        assert_eq!(failure_of(handshake), advice);
    }
    // An echo server.
    let (mut handshake, mut peer) = begin(|_| {});
    assert_eq!(handshake.advance(Instant::now()).unwrap(), HandshakeStatus::Pending);
    let mut hello = vec![0; 4 << 10];
    let len = peer.socket.read(&mut hello).unwrap();
    peer.socket.write_all(&hello[..len]).unwrap();
    assert_eq!(failure_of(handshake), advice);
}

#[test]
fn a_server_that_ends_a_handshake_or_never_answers_it_is_told() {
    let (handshake, peer) = begin(|_| {});
    drop(peer);
    assert_eq!(failure_of(handshake), "the server closed the connection during the TLS handshake");
    let (mut handshake, _peer) = begin(|_| {});
    let now = Instant::now();
    assert_eq!(handshake.advance(now).unwrap(), HandshakeStatus::Pending);
    let late = handshake.deadline();
    assert!(late > now + HANDSHAKE_TIMEOUT / 2);
    assert_eq!(error_of(handshake.advance(late)), "the server did not finish the TLS handshake");
    let (mut handshake, mut peer) = begin(|config| config.alpn_protocols = vec![b"http/1.1".to_vec()]);
    assert_eq!(handshake.advance(now).unwrap(), HandshakeStatus::Pending);
    peer.session.read_tls(&mut peer.socket).unwrap();
    peer.session.process_new_packets().unwrap_err();
    peer.send();
    let advice = "this port speaks TLS for another protocol: write the port for lines, not that of the page";
    assert_eq!(failure_of(handshake), advice);
}

#[test]
fn the_key_of_the_pin_must_sign_the_handshake() {
    let [pinned, mine] = ["chat.lan", "chat.lan"].map(|name| self_signed(name, |_| {}));
    // The certificate of another server, without its key: rustls checks that they belong together, unless it is told.
    let key = tls::provider().key_provider.load_private_key(mine.private_key()).unwrap();
    let stolen = rustls::sign::CertifiedKey::new(vec![pinned.certificate.der().clone()], key);
    let mut config = server_config(&mine);
    config.cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(stolen));
    let security = Security::load(&"tls://chat.lan".parse().unwrap(), &Trust::Pin(pinned.pin())).unwrap();
    let (client, socket) = connection();
    let mut handshake = security.begin(client, Instant::now()).unwrap();
    let mut peer = Peer { socket, session: ServerConnection::new(Arc::new(config)).unwrap(), text: Vec::new() };
    assert_eq!(handshake.advance(Instant::now()).unwrap(), HandshakeStatus::Pending);
    peer.take_in();
    peer.send();
    assert_eq!(failure_of(handshake), "untrusted: a signature is wrong");
}
