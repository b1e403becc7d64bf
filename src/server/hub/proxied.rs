//! Connections that a proxy makes for its clients (`--proxy-from`): headers of the PROXY protocol while they arrive, and
//! the addresses of the clients.
//!
//! On a line port the header comes before anything else, TLS included, within five seconds. Access by address, its
//! limits and the log use the client's address; the proxy itself has to pass `--allow` and `--deny`, too. On the page's
//! port each request names its client, so that each is checked and counted anew.
//!
//! A connection of another peer has no entry here, and costs nothing.

use std::collections::HashMap;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::Hub;
use super::closing::Peer;
use crate::net::stream::{Received, Socket};
use crate::server::connection::{Phase, ReadState, Role};
use crate::server::endpoint::Endpoint;
use crate::server::limits::ENTER_DELAY;
use crate::server::proxy::{HEADER_BYTES_MAX, HeaderProgress, TrustedProxies, parse_header};
use crate::server::reason::Reason;
use crate::server::report::{Kind, Reports};
use crate::server::web::site::forwarded_for;

/// Connections of proxies.
///
/// Invariant: its keys are those of open connections. The caller releases a key before its slab hands it out again.
#[derive(Debug)]
pub(super) struct Proxied {
    trusted: TrustedProxies,
    arriving: HashMap<usize, Arriving>,
    /// Addresses of clients, with port 0 if it is unknown: 40 bytes and its share of the table for each.
    clients: HashMap<usize, SocketAddr>,
}

/// Words of a proxy that are still to come, or came too early.
#[derive(Debug)]
enum Arriving {
    /// The header is not whole; this much has come, at most [`HEADER_BYTES_MAX`].
    Header {
        bytes: Vec<u8>,
        /// Whether a TLS handshake follows.
        is_before_tls: bool,
    },
    /// These bytes of the client came with its header.
    Behind(Vec<u8>),
    /// Each request has a header field.
    Requests,
}

impl Proxied {
    pub(super) fn new(trusted: TrustedProxies) -> Proxied {
        Proxied { trusted, arriving: HashMap::new(), clients: HashMap::new() }
    }

    /// Whether no proxy is trusted, so that the address of a new connection does not matter here.
    pub(super) fn is_off(&self) -> bool {
        self.trusted.is_empty()
    }

    /// Whether a peer with this address is a proxy; over a Unix socket it has none.
    pub(super) fn trusts(&self, peer: Option<IpAddr>) -> bool {
        !self.is_off() && self.trusted.trusts(peer)
    }

    /// Waits for what the proxy behind a new connection says of its client: on the page's port, in each request.
    pub(super) fn expect_client(&mut self, key: usize, endpoint: Endpoint) {
        let arriving = if endpoint.is_web() {
            Arriving::Requests
        } else {
            Arriving::Header { bytes: Vec::new(), is_before_tls: endpoint.is_tls() }
        };
        self.arriving.insert(key, arriving);
    }

    /// Whether the header of a connection is not whole.
    pub(super) fn awaits_header(&self, key: usize) -> bool {
        // The common case.
        !self.arriving.is_empty() && matches!(self.arriving.get(&key), Some(Arriving::Header { .. }))
    }

    /// Whether the proxy behind a connection is still to say which client it is, or may say so again.
    pub(super) fn awaits_client(&self, key: usize) -> bool {
        matches!(self.arriving.get(&key), Some(Arriving::Header { .. } | Arriving::Requests))
    }

    /// Takes the bytes that came with the header of a connection and belong to its client: the first that it is read.
    pub(super) fn take_behind(&mut self, key: usize) -> Option<Vec<u8>> {
        // The common case.
        if self.arriving.is_empty() {
            return None;
        }
        match self.arriving.remove(&key) {
            Some(Arriving::Behind(bytes)) => Some(bytes),
            Some(other) => {
                self.arriving.insert(key, other);
                None
            }
            None => None,
        }
    }

    /// Returns the address that a proxy gave for a connection.
    pub(super) fn client(&self, key: usize) -> Option<SocketAddr> {
        // The common case.
        if self.clients.is_empty() { None } else { self.clients.get(&key).copied() }
    }

    /// Forgets a connection, whether it is a proxy's or not. Frees the memory behind the last one.
    pub(super) fn release(&mut self, key: usize) {
        if self.arriving.remove(&key).is_some() && self.arriving.is_empty() {
            self.arriving = HashMap::new();
        }
        if self.clients.remove(&key).is_some() && self.clients.is_empty() {
            self.clients = HashMap::new();
        }
    }

    fn set_client(&mut self, key: usize, client: Option<SocketAddr>) {
        match client {
            Some(client) => drop(self.clients.insert(key, client)),
            None => drop(self.clients.remove(&key)),
        }
    }

    /// Panics if an invariant does not hold.
    pub(super) fn check_invariants(&self, is_open: impl Fn(usize) -> bool) {
        assert!(
            self.arriving.keys().chain(self.clients.keys()).all(|&key| is_open(key)),
            "entries of open connections"
        );
        assert!(!self.is_off() || self.arriving.is_empty() && self.clients.is_empty(), "no proxies without trust");
    }
}

impl<S: Socket> Hub<S> {
    /// Returns the peer of a connection, for the log: the client, if a proxy has named it.
    pub(super) fn peer(&self, key: usize) -> Peer {
        let connection = &self.connections[key];
        match (connection.role(), self.proxied.client(key)) {
            (Role::Console, _) => Peer::Console,
            (_, None) => Peer::of_stream(connection.stream()),
            (_, Some(client)) if client.port() == 0 => Peer::Host(client.ip()),
            (_, Some(client)) => Peer::Client(client),
        }
    }

    /// Reads the header of a connection.
    pub(super) fn read_header(&mut self, key: usize, now: Instant) -> ReadState {
        // A header may lead to a refusal, and the flush makes room for it.
        if self.must_refuse_later() {
            return ReadState::Ready;
        }
        let mut scratch = mem::take(&mut self.buffers.scratch);
        let state = self.read_header_into(key, &mut scratch, now);
        self.buffers.scratch = scratch;
        state
    }

    fn read_header_into(&mut self, key: usize, scratch: &mut [u8], now: Instant) -> ReadState {
        loop {
            let Some(Arriving::Header { bytes, .. }) = self.proxied.arriving.get(&key) else {
                return ReadState::Ready;
            };
            let mut free = HEADER_BYTES_MAX - bytes.len();
            match self.receive(key, scratch, &mut free) {
                Received::Bytes(bytes) => {
                    if let Some(state) = self.add_to_header(key, &scratch[..bytes], now) {
                        return state;
                    }
                }
                Received::NotYet => return ReadState::Idle,
                // A health check, for one.
                Received::End => {
                    self.proxied.release(key);
                    self.leave(key, &Reason::EndOfInput, now);
                    return ReadState::Ended;
                }
                Received::Failed(error) => {
                    self.proxied.release(key);
                    self.leave(key, &Reason::Reset(error), now);
                    return ReadState::Ended;
                }
            }
        }
    }

    /// Adds bytes to the header of a connection. `None` if its end is still missing.
    fn add_to_header(&mut self, key: usize, bytes: &[u8], now: Instant) -> Option<ReadState> {
        let arriving = self.proxied.arriving.get_mut(&key);
        let Some(Arriving::Header { bytes: header, is_before_tls }) = arriving else { return None };
        let is_before_tls = *is_before_tls;
        header.extend_from_slice(bytes);
        match parse_header(header) {
            HeaderProgress::Partial => return None,
            HeaderProgress::Invalid => self.reject_header(key, now),
            HeaderProgress::Whole { bytes, client } => {
                let behind = header.split_off(bytes);
                self.proxied.release(key);
                self.proxied.set_client(key, client);
                match self.count_client(key) {
                    Ok(()) if is_before_tls => self.begin_handshake(key, behind, now),
                    Ok(()) => {
                        if !behind.is_empty() {
                            self.proxied.arriving.insert(key, Arriving::Behind(behind));
                        }
                        self.delay_entry(self.connections[key].handle(key), now);
                    }
                    Err(reason) if is_before_tls => {
                        self.record_refusal(&self.peer(key), &reason, " without a word", now);
                        self.schedule.close(key, &mut self.connections[key]);
                    }
                    Err(reason) => self.refuse(key, &reason, now),
                }
            }
        }
        Some(ReadState::Ready)
    }

    /// Notes the client that a request names, and checks and counts its address.
    ///
    /// # Errors
    /// The reason to refuse it.
    pub(super) fn note_forwarded(&mut self, key: usize, head: &[u8]) -> Result<(), Reason> {
        // The common case.
        if self.proxied.arriving.is_empty() || !matches!(self.proxied.arriving.get(&key), Some(Arriving::Requests)) {
            return Ok(());
        }
        let client = forwarded_for(head, &self.proxied.trusted);
        self.proxied.set_client(key, client);
        self.count_client(key)
    }

    /// Checks the address of the client behind a proxy and counts it as entering, instead of the one before. If there is
    /// none, the proxy speaks for itself.
    fn count_client(&mut self, key: usize) -> Result<(), Reason> {
        let client = self.proxied.client(key);
        self.banning.check(client.map(|client| client.ip()))?;
        let Some(access) = &mut self.admission.access else { return Ok(()) };
        access.release(key);
        let own = || self.connections[key].stream().peer_address().ok().flatten();
        if let Some(address) = client.or_else(own) {
            access.check(address.ip())?;
            access.admit(key, address.ip());
        }
        Ok(())
    }

    /// Disconnects a proxy that does not say for whom it speaks.
    fn reject_header(&mut self, key: usize, now: Instant) {
        let reason = Reason::NoProxyHeader;
        let kind = Kind::Refused(reason.label());
        if Reports::wants(kind) {
            let peer = self.peer(key);
            self.note_of_peer(kind, &peer, format_args!("refused {peer}: {reason}"), now);
        }
        self.proxied.release(key);
        self.leave(key, &reason, now);
    }

    /// Disconnects a proxy whose header has not come in time.
    pub(super) fn on_header_timer(&mut self, key: usize, now: Instant) -> Option<Instant> {
        let connection = &self.connections[key];
        if connection.phase != Phase::Entering || !self.proxied.awaits_header(key) {
            return None;
        }
        if connection.read_state != ReadState::Idle {
            // The delay is ours.
            return Some(now + ENTER_DELAY);
        }
        self.reject_header(key, now);
        None
    }
}
