//! What a server has done so far, for whoever asks (SIGUSR1). Counting costs an addition each; nothing is kept per client.

use std::fmt;
use std::time::Duration;

use crate::server::sniff::ForeignProtocol;

/// Counts since the start, unless they say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Clients that were taken in.
    pub came: u64,
    /// Of those, browsers.
    pub browsers: u64,
    /// Clients that were present at a time, at most.
    pub present_most: usize,
    /// Requests of visitors of the page.
    pub requests: u64,
    /// Bytes that were read of clients.
    pub received_bytes: u64,
    /// Bytes that were written to clients.
    pub sent_bytes: u64,
    /// How often somebody who kept up fell off the tail of the tape.
    pub lags: u64,
    /// Lines that somebody missed, once for each who did.
    pub missed_lines: u64,
    /// Connections that we refused, or let go.
    pub refused: Refused,
    /// The longest turn since this was last asked for: what an event waits for at most.
    pub longest_turn: Duration,
}

/// Connections that we refused, or let go, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// The house was full.
    pub full: u64,
    /// Its address was not allowed.
    pub denied: u64,
    /// Too many were in from its address.
    pub crowded: u64,
    /// It spoke HTTP.
    pub http: u64,
    /// It spoke TLS.
    pub tls: u64,
    /// It spoke STUN.
    pub stun: u64,
    /// It never said anything.
    pub silent: u64,
    /// It read too slowly.
    pub slow: u64,
    /// The operator removed it.
    pub removed: u64,
}

/// Where a server stands now.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Clients that are present.
    pub clients: usize,
    /// Connections, those included that leave.
    pub connections: usize,
    /// Lines said since the start.
    pub lines: u64,
    /// Bytes put on the tape since the start.
    pub tape_bytes: u64,
    /// Bytes that the tape holds.
    pub held_bytes: u64,
    /// Bytes that the tape can hold.
    pub backlog_bytes: usize,
    /// How far the slowest is behind who keeps up, in bytes, if that is far.
    pub slowest_bytes_behind: u64,
}

impl Stats {
    /// Counts one who spoke another protocol.
    pub fn count_stranger(&mut self, stranger: ForeignProtocol) {
        match stranger {
            ForeignProtocol::Http => self.refused.http += 1,
            ForeignProtocol::Tls => self.refused.tls += 1,
            ForeignProtocol::Stun => self.refused.stun += 1,
        }
    }

    /// All of it in one line, of which each part is a name and a number.
    pub fn report(&self, standing: &Standing) -> String {
        let Standing { clients, connections, lines, tape_bytes, held_bytes, backlog_bytes, .. } = *standing;
        let Stats {
            came,
            browsers,
            requests,
            present_most,
            received_bytes,
            sent_bytes,
            lags,
            missed_lines,
            refused,
            ..
        } = self;
        let behind = standing.slowest_bytes_behind;
        let longest_turn = self.longest_turn.as_micros();
        format!(
            "figures: clients {clients} (most {present_most}, came {came}, browsers {browsers}), \
             connections {connections}, requests {requests}, lines {lines}, bytes received {received_bytes}, \
             said {tape_bytes}, sent {sent_bytes}; lags {lags}, missed {missed_lines}; {refused}; \
             tape {held_bytes} of {backlog_bytes} bytes, slowest behind {behind}; \
             longest turn since last asked {longest_turn} us"
        )
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refused { full, denied, crowded, http, tls, stun, silent, slow, removed } = self;
        write!(f, "refused: full {full}, denied {denied}, crowded {crowded}, HTTP {http}, TLS {tls}, STUN {stun}")?;
        write!(f, ", silent {silent}, slow {slow}, removed {removed}")
    }
}
