//! The link of the pipe form across reconnects, and the lines that outlive a connection.

use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::answers::{Answers, FarewellKind};
use crate::client::Config;
use crate::client::address::ServerAddress;
use crate::client::backoff::{Backoff, jitter};
use crate::client::connect::{Attempt, AttemptStatus};
use crate::client::limits::{OWED_BYTES_MAX, RECONNECT_PAUSE_FIRST, RECONNECT_PAUSE_MAX, RECONNECT_STABLE};
use crate::client::outbox::send_buffer::SendBuffer;
use crate::client::race::Connected;
use crate::client::resolver::Resolver;
use crate::client::session::{CloseReason, LineCounts, Session};
use crate::net::stdio::eprint_line;

/// The link to the server: at most one session or connection attempt at a time.
#[derive(Debug)]
pub(super) struct Link {
    address: ServerAddress,
    resolver: Resolver,
    token: Token,
    flush_after: Option<Duration>,
    says_text: bool,
    reconnects: bool,
    state: LinkState,
    backoff: Backoff,
    /// Typed lines that a lost connection gave back.
    taken_back: Vec<u8>,
    /// Lines that were sent in connections that were lost, without a receipt.
    pub(super) in_doubt: u64,
    lost_at: Option<Instant>,
}

#[derive(Debug)]
enum LinkState {
    Connecting(Attempt),
    /// A session, and the time of its connect.
    Connected(Box<Session>, Instant),
    /// No connection. The next attempt begins then.
    Waiting(Instant),
}

impl Link {
    /// A link that has its first connection.
    pub(super) fn new(config: &Config, resolver: Resolver, token: Token, connected: Connected, now: Instant) -> Link {
        let mut link = Link {
            address: config.server.clone(),
            resolver,
            token,
            flush_after: config.flush_after,
            says_text: config.says_text,
            reconnects: config.pipe_reconnects,
            state: LinkState::Waiting(now),
            backoff: Backoff::new(RECONNECT_PAUSE_FIRST, RECONNECT_PAUSE_MAX),
            taken_back: Vec::new(),
            in_doubt: 0,
            lost_at: None,
        };
        link.connect(connected, now);
        link
    }

    /// The session; `None` without a connection.
    pub(super) fn session(&mut self) -> Option<&mut Session> {
        if let LinkState::Connected(session, _) = &mut self.state { Some(session) } else { None }
    }

    /// The time of the next step that no event announces, without a connection.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            LinkState::Connecting(attempt) => attempt.deadline(),
            LinkState::Waiting(until) => Some(*until),
            LinkState::Connected(..) => None,
        }
    }

    /// Advances a connection attempt. Returns whether there is a new connection.
    pub(super) fn advance(&mut self, registry: &Registry, now: Instant) -> bool {
        if let LinkState::Waiting(until) = self.state
            && until <= now
        {
            self.state = LinkState::Connecting(Attempt::new(&mut self.resolver, self.token, now));
        }
        let LinkState::Connecting(attempt) = &mut self.state else { return false };
        match attempt.advance(&mut self.resolver, registry, now) {
            AttemptStatus::Pending => false,
            AttemptStatus::Failed(_) => {
                self.wait(now);
                false
            }
            AttemptStatus::Connected(connected) => {
                self.connect(connected, now);
                true
            }
        }
    }

    fn connect(&mut self, connected: Connected, now: Instant) {
        let outbox = SendBuffer::new(self.says_text, self.reconnects);
        let session = Session::new(connected, self.flush_after, now).of_pipe(outbox, OWED_BYTES_MAX, now);
        self.state = LinkState::Connected(Box::new(session), now);
    }

    /// Whether lines wait for the next connection.
    pub(super) fn has_given_back(&self) -> bool {
        !self.taken_back.is_empty()
    }

    /// Keeps typed bytes for the next connection.
    pub(super) fn give_back(&mut self, typed: &[u8]) {
        self.taken_back.extend_from_slice(typed);
    }

    /// Lines that a lost connection gave back, for the next one.
    pub(super) fn take_back(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.taken_back)
    }

    /// Notes on stderr that the room is reached again.
    pub(super) fn on_in(&mut self, now: Instant) {
        if let Some(lost_at) = self.lost_at.take() {
            let seconds = now.saturating_duration_since(lost_at).as_secs_f64().ceil();
            eprint_line(&format!(
                "pollchat-client: connected again; what was said in these {seconds} s is missing on stdout"
            ));
        }
    }

    /// Ends the session. Returns its end, or `None` if the link will reconnect.
    pub(super) fn end(&mut self, answers: &Answers, now: Instant) -> Option<(CloseReason, LineCounts)> {
        let state = std::mem::replace(&mut self.state, LinkState::Waiting(now));
        let LinkState::Connected(mut session, since) = state else { return None };
        let counts = session.line_counts();
        let is_leaving = !session.is_send_half_open();
        // A line of many KiB may have left in part. Nothing else may pass for it or for its rest.
        let is_torn = session.is_mid_line();
        let taken_back = if self.reconnects { session.take_back() } else { Vec::new() };
        let reason = session.into_reason();
        let has_more = !is_leaving || !taken_back.is_empty() || self.has_given_back();
        if !self.reconnects || !has_more || is_torn || !should_reconnect(&reason, answers) {
            return Some((reason, counts));
        }
        self.in_doubt += answers.in_doubt(counts.sent);
        // Lines of an earlier connection may still wait for the answer about the name.
        self.taken_back.splice(..0, taken_back);
        if self.lost_at.is_none() {
            self.lost_at = Some(now);
            let why = match answers.farewell() {
                Some(farewell) => farewell.text.clone(),
                None => reason.into_result(self.address.clone()).err().map_or_else(String::new, |err| err.to_string()),
            };
            eprint_line(&format!("pollchat-client: {why}; trying again"));
        }
        if now.saturating_duration_since(since) >= RECONNECT_STABLE {
            self.backoff.reset();
        }
        self.wait(now);
        None
    }

    fn wait(&mut self, now: Instant) {
        self.state = LinkState::Waiting(now + self.backoff.next_delay(jitter()));
    }
}

/// Whether a client that wants to stay reconnects after a session ended for `reason`.
///
/// A server that refuses or removes us, or says FIN for no known reason, ends the chat. One that announced a restart
/// does not, and one that is full after it once had a place does not either.
fn should_reconnect(reason: &CloseReason, answers: &Answers) -> bool {
    match (reason, answers.farewell().map(|farewell| farewell.kind)) {
        (_, Some(FarewellKind::ShuttingDown)) => true,
        (_, Some(FarewellKind::Full)) => answers.was_in(),
        (_, Some(FarewellKind::Refused | FarewellKind::Removed)) => false,
        (CloseReason::Complete | CloseReason::Dismissed, None) => false,
        (CloseReason::Closed | CloseReason::Lost(_) | CloseReason::Unsent(_) | CloseReason::Unconfirmed, None) => true,
    }
}
