use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use super::*;
use crate::net::tls;

/// A Redis behind TLS, as far as the test plays it.
struct Peer {
    session: ServerConnection,
    heard: Vec<u8>,
}

/// A link to `host`, which trusts a certificate for `redis.lan`, and the server that has it.
fn scene(host: &str, is_trusted: bool) -> (Scene, Arc<ServerConfig>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["redis.lan".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let stranger = generate_simple_self_signed(["redis.lan".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(if is_trusted { cert.der().clone() } else { stranger.cert.der().clone() }).unwrap();
    let tls = LinkTls::trusting(roots, host).unwrap();
    let settings = LinkSettings::new("pollchat-test".to_owned(), None, None, Some(tls));
    let link = Link::new(Rc::new(settings), 7);
    (Scene { link, wire: Wire::default(), now: Instant::now() }, Arc::new(config))
}

impl Peer {
    fn new(config: &Arc<ServerConfig>) -> Peer {
        let mut session = ServerConnection::new(Arc::clone(config)).unwrap();
        session.set_buffer_limit(None);
        Peer { session, heard: Vec::new() }
    }

    /// Reads what the link has written, in pieces, and writes what there is to say.
    fn turn(&mut self, scene: &mut Scene) {
        let written = mem::take(&mut scene.wire.0.borrow_mut().from_link);
        for piece in written.chunks(7) {
            self.session.read_tls(&mut &*piece).unwrap();
            let state = self.session.process_new_packets();
            if let Ok(state) = state {
                let mut text = vec![0; state.plaintext_bytes_to_read()];
                self.session.reader().read_exact(&mut text).unwrap();
                self.heard.extend(text);
            }
        }
        let mut out = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut out).unwrap();
        }
        if !out.is_empty() {
            scene.wire.0.borrow_mut().to_link.extend(out);
            // Not writable: a link must not wait for that event, too.
            scene.link.on_ready(Readiness { readable: true, writable: false });
        }
    }

    fn say(&mut self, text: &str, scene: &mut Scene) {
        self.session.writer().write_all(text.as_bytes()).unwrap();
        self.turn(scene);
    }
}

/// A link that is up.
fn up() -> (Scene, Peer) {
    let (mut scene, config) = scene("redis.lan", true);
    let mut peer = Peer::new(&config);
    scene.connect();
    for _ in 0..4 {
        scene.turn();
        peer.turn(&mut scene);
    }
    assert_eq!(String::from_utf8(mem::take(&mut peer.heard)).unwrap(), GREETING);
    peer.say(&format!("+OK\r\n{MASTER}"), &mut scene);
    scene.turn();
    assert!(scene.link.is_up());
    (scene, peer)
}

#[test]
fn commands_and_replies_go_over_tls() {
    let (mut scene, mut peer) = up();
    assert_eq!(scene.link.next_wake(), Wake::OnEvent);
    scene.send(&[b"PING", &b"x".repeat(100_000)]);
    assert!(!scene.wire.0.borrow().from_link.windows(4).any(|bytes| bytes == b"PING"), "it is encrypted");
    scene.send(&[b"PING"]);
    peer.turn(&mut scene);
    assert!(peer.heard.ends_with(b"PING\r\n"));
    let long = "y".repeat(100_000);
    peer.say(&format!("${}\r\n{long}\r\n+PONG\r\n", long.len()), &mut scene);
    let Some(Reply::Bulk(Some(value))) = scene.link.next_reply(scene.now) else { panic!("{:?}", scene.link) };
    assert_eq!(value, long);
    assert_eq!(scene.link.next_reply(scene.now), Some(Reply::Simple("PONG".to_owned())));
}

#[test]
fn a_server_that_is_not_trusted_is_refused_and_told_so() {
    for (host, is_trusted, word) in
        [("redis.lan", false, "invalid peer certificate"), ("other.lan", true, "not valid for")]
    {
        let (mut scene, config) = scene(host, is_trusted);
        let mut peer = Peer::new(&config);
        scene.connect();
        for _ in 0..3 {
            scene.turn();
            peer.turn(&mut scene);
        }
        assert!(scene.link.refusal().is_some_and(|refusal| refusal.contains(word)), "{:?}", scene.link.refusal());
        assert!(peer.heard.is_empty());
        assert_eq!(scene.pass_pause(), PAUSE_MAX);
    }
}

#[test]
fn a_port_without_tls_fails_and_one_that_hangs_has_a_deadline() {
    let (mut scene, _) = scene("redis.lan", true);
    scene.connect();
    scene.turn();
    scene.reply("-ERR Protocol error: unauthenticated multibulk length\r\n");
    scene.turn();
    assert_eq!(scene.link.refusal(), None);
    scene.pass_pause();
    scene.connect();
    scene.turn();
    assert_eq!(scene.link.next_wake(), Wake::At(scene.now + CONNECT_TIME));
    scene.now += CONNECT_TIME;
    scene.turn();
    scene.pass_pause();
}

#[test]
fn a_connection_that_is_cut_without_a_goodbye_of_tls_fails() {
    let (mut scene, mut peer) = up();
    scene.send(&[b"PING"]);
    peer.say("+PONG\r\n", &mut scene);
    scene.wire.0.borrow_mut().is_over = true;
    assert_eq!(scene.link.next_reply(scene.now), Some(Reply::Simple("PONG".to_owned())));
    scene.turn();
    scene.pass_pause();
}

#[test]
fn a_write_over_tls_that_blocks_loses_nothing() {
    let (mut scene, mut peer) = up();
    scene.wire.0.borrow_mut().takes = false;
    for word in ["one", "two"] {
        scene.send(&[word.as_bytes()]);
        peer.turn(&mut scene);
    }
    assert!(peer.heard.is_empty());
    scene.wire.0.borrow_mut().takes = true;
    scene.link.on_ready(READY);
    scene.turn();
    peer.turn(&mut scene);
    assert_eq!(peer.heard, b"*1\r\n$3\r\none\r\n*1\r\n$3\r\ntwo\r\n");
}

#[test]
fn no_certificate_can_name_some_hosts() {
    let error = |host| LinkTls::trusting(RootCertStore::empty(), host).map(drop).unwrap_err().to_string();
    assert!(error("höst").starts_with("no certificate can name the host höst"));
    LinkTls::trusting(RootCertStore::empty(), "fe80::1%eth0").unwrap();
    LinkTls::trusting(RootCertStore::empty(), "127.0.0.1").unwrap();
}
