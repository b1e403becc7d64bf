//! TLS around a wire: the peer's side of it, and what the server's ciphertext must be.
//!
//! Peers and oracle see text alone. A text counts as read when the server has read the last byte of its record, and as
//! written when the peer could open it. Keys and certificate are Ed25519 and X25519, so all lengths follow from the
//! seed.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::mem;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use pollchat::net::tls::{ALPN_LINES, ALPN_WEB, RECORD_TEXT_BYTES, TlsConfigs};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::chance::Chance;
use crate::tls::Identity;

/// Bytes before the text of a record: its kind, its version, its length.
const HEAD_BYTES: usize = 5;

/// TLS, for a third of all seeds.
#[derive(Debug)]
pub(crate) struct TlsPlan {
    pub(crate) chance: Chance,
    /// One connection in so many is sealed.
    pub(crate) one_in: usize,
    /// An end of input in so many is not said.
    pub(crate) one_untold_in: usize,
}

pub(crate) fn some_tls(seed: u64) -> Option<TlsPlan> {
    let mut chance = Chance::new(seed.rotate_left(24) ^ 0x746c_7321);
    chance.one_in(3).then(|| TlsPlan {
        one_in: chance.pick(&[1, 2, 2, 3]),
        one_untold_in: chance.pick(&[2, 4]),
        chance: chance.fork(),
    })
}

/// The settings of the server and of peers on either kind of port, the same in each run.
pub(crate) struct Settings {
    pub(crate) server: TlsConfigs,
    lines: Arc<ClientConfig>,
    web: Arc<ClientConfig>,
}

pub(crate) fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let identity = Identity::fixed();
        let (lines, web) = (identity.client_config(ALPN_LINES), identity.client_config(ALPN_WEB));
        Settings { server: identity.configs(), lines, web }
    })
}

/// The meaning of ciphertext that the server has read to its end.
#[derive(Debug)]
pub(crate) enum Meaning {
    /// The handshake begins.
    Hello,
    /// It is over.
    Finished,
    Text(Vec<u8>),
    /// No text follows.
    End,
}

/// One sealed connection.
#[derive(Debug)]
pub(crate) struct Sealing {
    client: ClientConnection,
    /// Ciphertext of the peer for which there was no room on the way.
    pub(crate) pending: VecDeque<u8>,
    /// The end of each meaning in the ciphertext of the peer, and how much of that was sent and read.
    meanings: VecDeque<(usize, Meaning)>,
    sent: usize,
    read: usize,
    /// The end of each record in the ciphertext of the server, with the length of its text, and how much was written
    /// and taken.
    records: VecDeque<(usize, usize)>,
    written: usize,
    taken: usize,
    /// The head of the record that the server writes, and how many bytes of it are still to come.
    head: Vec<u8>,
    left: usize,
    /// When the server has read all of the handshake.
    pub(crate) open_since: Option<Instant>,
    /// Whether the peer does not say that it ends.
    pub(crate) is_end_untold: bool,
    /// Whether the server has said that it ends.
    is_server_done: bool,
    /// What the server wrote that no server may write.
    pub(crate) breach: Option<String>,
}

impl Sealing {
    pub(crate) fn new(is_browser: bool, is_end_untold: bool) -> Sealing {
        let config = if is_browser { &settings().web } else { &settings().lines };
        let name = ServerName::try_from("localhost").expect("a name");
        let mut sealing = Sealing {
            client: ClientConnection::new(Arc::clone(config), name).expect("a client"),
            pending: VecDeque::new(),
            meanings: VecDeque::new(),
            sent: 0,
            read: 0,
            records: VecDeque::new(),
            written: 0,
            taken: 0,
            head: Vec::new(),
            left: 0,
            open_since: None,
            is_end_untold,
            is_server_done: false,
            breach: None,
        };
        sealing.queue(Meaning::Hello);
        sealing
    }

    /// Whether the peer's handshake is not over.
    pub(crate) fn is_shaking_hands(&self) -> bool {
        self.client.is_handshaking()
    }

    /// Whether the server has written a part of a record.
    pub(crate) fn is_amid_record(&self) -> bool {
        self.left > 0 || !self.head.is_empty()
    }

    /// Seals a text of the peer, in one record; returns how many bytes were taken: none while there is something to send before it.
    pub(crate) fn seal(&mut self, text: &[u8], bytes_max: usize) -> usize {
        if self.is_shaking_hands() || !self.pending.is_empty() || text.is_empty() {
            return 0;
        }
        let text = &text[..text.len().min(bytes_max).min(RECORD_TEXT_BYTES)];
        self.client.writer().write_all(text).expect("it is open");
        self.queue(Meaning::Text(text.to_vec()));
        text.len()
    }

    /// The peer says that no text follows, if it is one that says so.
    pub(crate) fn end(&mut self) {
        if !self.is_end_untold && !self.is_shaking_hands() {
            self.client.send_close_notify();
            self.queue(Meaning::End);
        }
    }

    /// The server has read further ciphertext: returns the next meaning that is complete now, if there is one.
    pub(crate) fn next_meaning(&mut self) -> Option<Meaning> {
        let is_complete = self.meanings.front().is_some_and(|(end, _)| *end <= self.read);
        if is_complete { self.meanings.pop_front().map(|(_, meaning)| meaning) } else { None }
    }

    pub(crate) fn note_read(&mut self, bytes: usize) {
        self.read += bytes;
    }

    /// The server has written ciphertext. Returns the text that it makes whole.
    pub(crate) fn open(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let was_shaking_hands = self.is_shaking_hands();
        let mut text = Vec::new();
        while !bytes.is_empty() && self.breach.is_none() {
            let taken = if self.left > 0 {
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                taken
            } else {
                self.head.push(bytes[0]);
                if self.head.len() == HEAD_BYTES {
                    self.left = usize::from(u16::from_be_bytes([self.head[3], self.head[4]]));
                    self.head.clear();
                }
                1
            };
            self.written += taken;
            self.take_in(&bytes[..taken], &mut text);
            bytes = &bytes[taken..];
        }
        if was_shaking_hands && !self.is_shaking_hands() {
            self.queue(Meaning::Finished);
        }
        text
    }

    fn take_in(&mut self, mut bytes: &[u8], text: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let _ = self.client.read_tls(&mut bytes);
            match self.client.process_new_packets() {
                Ok(state) => {
                    self.is_server_done |= state.peer_has_closed();
                    let mut opened = vec![0; state.plaintext_bytes_to_read()];
                    self.client.reader().read_exact(&mut opened).expect("that much is there");
                    if !opened.is_empty() {
                        self.records.push_back((self.written, opened.len()));
                    }
                    text.append(&mut opened);
                }
                Err(error) => {
                    self.breach = Some(format!("it writes what is no record: {error}"));
                    return;
                }
            }
        }
    }

    /// The peer takes ciphertext: returns the length of the text that it can open then.
    pub(crate) fn take(&mut self, bytes: usize) -> usize {
        self.taken += bytes;
        let mut text_bytes = 0;
        while let Some((_, bytes)) = self.records.pop_front_if(|(end, _)| *end <= self.taken) {
            text_bytes += bytes;
        }
        text_bytes
    }

    /// The connection was torn down.
    pub(crate) fn tear_down(&mut self) {
        self.pending.clear();
        self.records.clear();
    }

    /// The server ends writing.
    pub(crate) fn finish(&mut self) {
        if !self.is_server_done && self.breach.is_none() {
            self.breach = Some("it ends its output, and does not say so".to_owned());
        }
    }

    fn queue(&mut self, meaning: Meaning) {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).expect("memory");
        }
        self.sent += bytes.len();
        self.pending.extend(mem::take(&mut bytes));
        self.meanings.push_back((self.sent, meaning));
    }
}
