//! TLS in the hub: a hub that speaks it, and clients whose ciphertext the test cuts as it likes.

mod dialects;
mod ends;
mod handshakes;
mod records;

use std::net::SocketAddr;
use std::sync::Arc;

use pollchat::net::tls::{ALPN_LINES, ALPN_WEB};
use pollchat::server::config::Config;
use pollchat::server::endpoint::Endpoint;
use pollchat::server::limits::ENTER_DELAY;
use rustls::ClientConfig;

use crate::support::hub::{Client, World};
use crate::support::page;
use crate::support::tls::{Identity, TlsWire};

/// A hub that speaks TLS and has a page, and what its clients need.
struct House {
    world: World,
    lines: Arc<ClientConfig>,
    web: Arc<ClientConfig>,
}

/// A client that speaks TLS.
struct Sealed {
    client: Client,
    wire: TlsWire,
}

impl House {
    fn new(config: &Config) -> House {
        let identity = Identity::new();
        let mut world = page::world(config);
        world.hub.open_tls(identity.configs());
        House { world, lines: identity.client_config(ALPN_LINES), web: identity.client_config(ALPN_WEB) }
    }

    /// Connects, and says nothing.
    fn connect_to(&mut self, endpoint: Endpoint) -> Sealed {
        let client = self.world.connect_to(endpoint, Some(SocketAddr::from(([127, 0, 0, 1], 1))));
        let config = if endpoint.is_web() { &self.web } else { &self.lines };
        Sealed { client, wire: TlsWire::new(config) }
    }

    fn connect(&mut self) -> Sealed {
        self.connect_to(Endpoint::TlsLines)
    }

    /// Connects, and shakes hands.
    fn open(&mut self, endpoint: Endpoint) -> Sealed {
        let mut sealed = self.connect_to(endpoint);
        self.shake_hands(&mut sealed);
        sealed
    }

    /// Connects, shakes hands, enters, and takes the greeting.
    fn enter(&mut self) -> Sealed {
        let mut sealed = self.open(Endpoint::TlsLines);
        self.world.pass(ENTER_DELAY);
        let greeting = self.received(&mut sealed);
        assert!(greeting.starts_with("* you are client-"), "{greeting:?}");
        sealed
    }

    fn shake_hands(&mut self, sealed: &mut Sealed) {
        while sealed.wire.tls.is_handshaking() || sealed.wire.tls.wants_write() {
            let bytes = sealed.wire.outgoing();
            self.world.says(&sealed.client, &bytes);
            self.received(sealed);
        }
    }

    fn says(&mut self, sealed: &mut Sealed, text: impl AsRef<[u8]>) {
        let bytes = sealed.wire.seal(text.as_ref());
        self.world.says(&sealed.client, &bytes);
    }

    /// The text that it received since this was last asked.
    fn received(&mut self, sealed: &mut Sealed) -> String {
        String::from_utf8(self.received_bytes(sealed)).unwrap()
    }

    fn received_bytes(&mut self, sealed: &mut Sealed) -> Vec<u8> {
        let bytes = sealed.client.received_bytes();
        sealed.wire.receive(&bytes);
        std::mem::take(&mut sealed.wire.text)
    }
}

/// The greeting of the client with this number.
fn greeting(number: usize) -> String {
    format!("* you are client-{number}; /help lists what you can do\n")
}
