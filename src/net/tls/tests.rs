use std::io::{Read, Write};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

use super::*;

/// Settings of both sides.
struct Sides {
    server: TlsConfigs,
    client: ClientConfig,
}

fn sides(version: &'static SupportedProtocolVersion) -> Sides {
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let server =
        TlsConfigs::new(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap());
    let client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Sides { server: server.unwrap(), client }
}

/// A session, its client, and the bytes on their way between them.
struct Pair {
    session: Session,
    client: ClientConnection,
    to_client: Vec<u8>,
    /// Text that the server has taken in.
    heard: Vec<u8>,
    /// Text that the client has taken in.
    read: Vec<u8>,
    is_client_closed: bool,
}

impl Pair {
    fn new(sides: &Sides) -> Pair {
        let name = ServerName::try_from("localhost").unwrap();
        Pair {
            session: Session::new(&sides.server.lines).unwrap(),
            client: ClientConnection::new(Arc::new(sides.client.clone()), name).unwrap(),
            to_client: Vec::new(),
            heard: Vec::new(),
            read: Vec::new(),
            is_client_closed: false,
        }
    }

    /// A pair whose handshake is over.
    fn open(sides: &Sides) -> Pair {
        let mut pair = Pair::new(sides);
        pair.exchange(&mut |bytes| bytes.len());
        assert!(!pair.session.is_handshaking() && !pair.client.is_handshaking());
        pair
    }

    /// Passes bytes both ways until there are none. `cut` tells how many come at a time.
    fn exchange(&mut self, cut: &mut impl FnMut(&[u8]) -> usize) {
        loop {
            let mut to_server = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut to_server).unwrap();
            }
            if to_server.is_empty() && self.to_client.is_empty() {
                return;
            }
            let mut rest = &mut to_server[..];
            while !rest.is_empty() {
                let at = cut(rest);
                let (first, last) = rest.split_at_mut(at);
                self.take_in(first).unwrap();
                rest = last;
            }
            let mut rest = &std::mem::take(&mut self.to_client)[..];
            while !rest.is_empty() {
                let (mut first, last) = rest.split_at(cut(rest));
                self.read(&mut first);
                rest = last;
            }
        }
    }

    fn take_in(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let heard = &mut self.heard;
        let result = self.session.take_in(bytes, &mut self.to_client, |text| heard.extend_from_slice(text));
        assert!(self.session.partial_bytes() < RECORD_BYTES_MAX);
        result
    }

    fn read(&mut self, bytes: &mut &[u8]) {
        while !bytes.is_empty() {
            self.client.read_tls(bytes).unwrap();
            let state = self.client.process_new_packets().unwrap();
            self.is_client_closed |= state.peer_has_closed();
            let mut text = vec![0; state.plaintext_bytes_to_read()];
            self.client.reader().read_exact(&mut text).unwrap();
            self.read.append(&mut text);
        }
    }

    fn seal(&mut self, slices: &[&[u8]]) -> usize {
        let slices: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        self.session.seal(&slices, &mut self.to_client).unwrap()
    }

    /// Returns the ciphertext of a text of the client.
    fn say(&mut self, text: &[u8]) -> Vec<u8> {
        self.client.writer().write_all(text).unwrap();
        let mut sealed = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut sealed).unwrap();
        }
        sealed
    }
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

#[test]
fn handshakes_and_text_pass_however_they_are_cut() {
    for version in VERSIONS {
        let sides = sides(version);
        for size in 1..300 {
            let mut pair = Pair::new(&sides);
            let mut cut = |bytes: &[u8]| size.min(bytes.len());
            pair.exchange(&mut cut);
            assert!(!pair.session.is_handshaking());
            assert_eq!(pair.seal(&[b"good ", b"", b"morning"]), 12);
            pair.client.writer().write_all(b"hello").unwrap();
            pair.exchange(&mut cut);
            pair.client.writer().write_all(b", all").unwrap();
            pair.exchange(&mut cut);
            assert_eq!((&*pair.heard, &*pair.read), (&b"hello, all"[..], &b"good morning"[..]), "{size}");
            assert_eq!(pair.session.partial_bytes(), 0);
        }
    }
}

#[test]
fn a_hello_in_many_records_is_one_hello() {
    for version in VERSIONS {
        let mut sides = sides(version);
        sides.client.max_fragment_size = Some(32 + 5);
        for size in [1, 2, 3, 5, 36, 37, 38, 41, 42, 43, 1_000] {
            let mut pair = Pair::new(&sides);
            pair.exchange(&mut |bytes| size.min(bytes.len()));
            assert!(!pair.session.is_handshaking(), "{size}");
        }
    }
}

#[test]
fn text_may_be_sealed_while_a_record_has_arrived_in_part() {
    for version in VERSIONS {
        let sides = sides(version);
        for cut in 0..30 {
            let mut pair = Pair::open(&sides);
            let mut sealed = pair.say(b"hello");
            let at = cut.min(sealed.len());
            let (first, last) = sealed.split_at_mut(at);
            pair.take_in(first).unwrap();
            pair.seal(&[b"meanwhile"]);
            pair.take_in(last).unwrap();
            pair.exchange(&mut |bytes| bytes.len());
            assert_eq!((&*pair.heard, &*pair.read), (&b"hello"[..], &b"meanwhile"[..]), "{cut}");
        }
    }
}

#[test]
fn keys_may_be_renewed_at_any_time() {
    let sides = sides(&rustls::version::TLS13);
    let mut pair = Pair::open(&sides);
    for round in 0..10_u8 {
        pair.client.refresh_traffic_keys().unwrap();
        pair.client.writer().write_all(&[round]).unwrap();
        pair.exchange(&mut |_| 1);
        pair.seal(&[&[round]]);
        pair.exchange(&mut |_| 1);
    }
    assert_eq!(pair.heard, (0..10).collect::<Vec<u8>>());
    assert_eq!(pair.read, pair.heard);
}

#[test]
fn a_record_takes_no_more_than_its_limit() {
    let sides = sides(&rustls::version::TLS13);
    let mut pair = Pair::open(&sides);
    let text: Vec<u8> = (0..40_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    for (slices, taken) in [
        (vec![&text[..]], RECORD_TEXT_BYTES),
        (vec![&text[..10_000], &text[10_000..20_000]], RECORD_TEXT_BYTES),
        (vec![&text[..0], &text[..10]], 10),
        (vec![], 0),
    ] {
        pair.read.clear();
        assert_eq!(pair.seal(&slices), taken);
        assert!(pair.to_client.len() <= RECORD_BYTES_MAX);
        pair.exchange(&mut |bytes| bytes.len());
        assert_eq!(pair.read, text[..taken]);
    }
}

#[test]
fn an_end_is_said_once_and_heard_once() {
    for version in VERSIONS {
        let sides = sides(version);
        let mut pair = Pair::open(&sides);
        let mut last_words = pair.say(b"bye");
        pair.client.send_close_notify();
        last_words.extend(pair.say(b""));
        pair.take_in(&mut last_words).unwrap();
        assert!(pair.session.is_ended());
        assert_eq!((&*pair.heard, pair.session.partial_bytes()), (&b"bye"[..], 0));
        // Text may follow in the other direction.
        pair.seal(&[b"goodbye"]);
        pair.session.close(&mut pair.to_client).unwrap();
        let bytes = pair.to_client.len();
        pair.session.close(&mut pair.to_client).unwrap();
        assert_eq!(pair.to_client.len(), bytes);
        pair.exchange(&mut |bytes| bytes.len());
        assert_eq!((&*pair.read, pair.is_client_closed), (&b"goodbye"[..], true));
    }
}

#[test]
fn bytes_behind_an_end_are_dropped() {
    let sides = sides(&rustls::version::TLS13);
    let mut pair = Pair::open(&sides);
    pair.client.send_close_notify();
    let mut end = pair.say(b"");
    end.extend([0x17; 100]);
    pair.take_in(&mut end).unwrap();
    assert!(pair.session.is_ended());
    assert_eq!(pair.session.partial_bytes(), 0);
    pair.seal(&[b"goodbye"]);
    pair.exchange(&mut |bytes| bytes.len());
    assert_eq!(pair.read, b"goodbye");
}

#[test]
fn an_error_comes_with_an_alert() {
    let sides = sides(&rustls::version::TLS13);
    let mut pair = Pair::open(&sides);
    let mut sealed = pair.say(b"hello");
    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    assert!(pair.take_in(&mut sealed).is_err());
    assert!(!pair.to_client.is_empty() && pair.heard.is_empty());
    let mut alert = &std::mem::take(&mut pair.to_client)[..];
    pair.client.read_tls(&mut alert).unwrap();
    let error = pair.client.process_new_packets().unwrap_err();
    assert_eq!(error, Error::AlertReceived(rustls::AlertDescription::BadRecordMac));
}

#[test]
fn nothing_is_sealed_before_the_handshake_is_over() {
    let sides = sides(&rustls::version::TLS13);
    let mut pair = Pair::new(&sides);
    assert!(pair.session.seal(&[IoSlice::new(b"hello")], &mut pair.to_client).is_err());
    let mut hello = pair.say(b"");
    pair.take_in(&mut hello).unwrap();
    assert!(pair.session.is_handshaking());
}

#[test]
fn a_pin_is_written_as_in_ssh() {
    assert_eq!(pin(b""), "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU");
    assert_eq!(pin(b"key").len(), "SHA256:".len() + 43);
}
