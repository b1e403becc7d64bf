//! The link of the pipe form across reconnects, and the lines that outlive a connection.

use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::says_text;
use super::tracked::Tracked;
use crate::client::Config;
use crate::client::address::ServerAddress;
use crate::client::answers::Answers;
use crate::client::connect::Opened;
use crate::client::limits::OWED_BYTES_MAX;
use crate::client::link::{Advance, Link, LinkState, should_reconnect};
use crate::client::outbox::send_buffer::SendBuffer;
use crate::client::resolver::Resolver;
use crate::client::secure::Security;
use crate::client::session::{CloseReason, LineCounts, Session};
use crate::client::trust::Untrusted;
use crate::net::stdio::eprint_line;

/// The link to the server, and the lines of stdin that no session has.
#[derive(Debug)]
pub(super) struct PipeLink {
    address: ServerAddress,
    link: Link,
    opening: Opening,
    /// Typed lines that a lost connection gave back.
    taken_back: Vec<u8>,
    /// Lines that were sent in connections that were lost.
    pub(super) in_doubt: u64,
    pub(super) lost_at: Option<Instant>,
}

/// Result of [`PipeLink::advance`].
#[derive(Debug)]
pub(super) enum Dialled {
    /// No connection yet.
    Pending,
    /// There is a new session.
    Connected,
    /// The server is not trusted.
    Untrusted(Untrusted),
}

/// The flags that each session begins with.
#[derive(Clone, Copy, Debug)]
struct Opening {
    flush_after: Option<Duration>,
    says_text: bool,
    reconnects: bool,
    /// `--send`: stderr gets the result alone.
    is_quiet: bool,
}

impl Opening {
    fn session(self, opened: Opened, now: Instant) -> Session {
        let outbox = SendBuffer::new(self.says_text, self.reconnects);
        Session::new(opened, self.flush_after, now).of_pipe(outbox, OWED_BYTES_MAX, now)
    }
}

impl PipeLink {
    /// A link that has its first connection.
    pub(super) fn new(
        config: &Config,
        resolver: Resolver,
        security: Option<Security>,
        token: Token,
        opened: Opened,
        now: Instant,
    ) -> PipeLink {
        let opening = Opening {
            flush_after: config.flush_after,
            says_text: says_text(config),
            reconnects: config.pipe_reconnects,
            is_quiet: config.send.is_some(),
        };
        PipeLink {
            address: config.server.clone(),
            link: Link::connected(resolver, security, token, opening.session(opened, now), now),
            opening,
            taken_back: Vec::new(),
            in_doubt: 0,
            lost_at: None,
        }
    }

    /// The session; `None` without a connection.
    pub(super) fn session(&mut self) -> Option<&mut Session> {
        self.link.session()
    }

    /// The time of the next step that no event announces, without a connection.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.link.state {
            LinkState::Connecting(attempt) => attempt.deadline(),
            LinkState::Waiting(until) => Some(*until),
            LinkState::Connected(..) => None,
        }
    }

    /// Advances a connection attempt.
    pub(super) fn advance(&mut self, registry: &Registry, now: Instant) -> Dialled {
        match self.link.advance(registry, now) {
            // An address may fail at once.
            Advance::Begun => self.advance(registry, now),
            Advance::Connected(opened) => {
                self.link.open(self.opening.session(opened, now), now);
                Dialled::Connected
            }
            Advance::Nothing | Advance::Failed(_) => Dialled::Pending,
            Advance::Untrusted(why) => Dialled::Untrusted(why),
        }
    }

    /// Begins the next attempt now.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.link.hurry(now);
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

    /// Notes on stderr that the room is reached again. A session that `is_tracked` tells what is missing.
    pub(super) fn on_in(&mut self, is_tracked: bool, now: Instant) {
        if let Some(lost_at) = self.lost_at.take() {
            if is_tracked {
                self.note("connected again");
                return;
            }
            let seconds = now.saturating_duration_since(lost_at).as_secs_f64().ceil();
            self.note(&format!("connected again; what was said in these {seconds} s is missing on stdout"));
        }
    }

    /// Records that the server tracks us, and whether it knew the session of the lost connection.
    pub(super) fn on_tracked(&mut self, is_known_session: bool) {
        self.link.on_tracked(is_known_session);
    }

    /// Ends the session. Returns its end, or `None` if the link will reconnect.
    pub(super) fn end(
        &mut self,
        answers: &Answers,
        tracked: &mut Tracked,
        now: Instant,
    ) -> Option<(CloseReason, LineCounts)> {
        let mut session = self.link.close(now)?;
        let counts = tracked.line_counts().unwrap_or_else(|| session.line_counts());
        let is_leaving = !session.is_send_half_open();
        // A line of many KiB may have left in part. Nothing else may pass for it or for its rest.
        let is_torn = session.is_mid_line();
        let taken_back = if self.opening.reconnects { session.take_back() } else { Vec::new() };
        let reason = session.into_reason();
        let is_tracked = tracked.line_counts().is_some();
        let has_more = match is_tracked {
            true => !tracked.is_done(),
            false => !is_leaving || !taken_back.is_empty() || self.has_given_back(),
        };
        let farewell = answers.farewell().map(|farewell| farewell.kind);
        // The next connection would ask for a refused name again, and perhaps take it from another client.
        let may_reconnect = self.opening.reconnects
            && answers.refused_name().is_none()
            && should_reconnect(&reason, farewell, answers.was_in());
        if !has_more || is_torn || !may_reconnect {
            return Some((reason, counts));
        }
        tracked.tracking.on_disconnected();
        if !is_tracked {
            self.in_doubt += answers.in_doubt(counts.sent);
        }
        // Lines of an earlier connection may still wait for the answer about the name.
        self.taken_back.splice(..0, taken_back);
        if self.lost_at.is_none() {
            self.lost_at = Some(now);
            let why = match answers.farewell() {
                Some(farewell) => farewell.text.clone(),
                None => reason.into_result(self.address.clone()).err().map_or_else(String::new, |err| err.to_string()),
            };
            self.note(&format!("{why}; trying again"));
        }
        None
    }

    fn note(&self, text: &str) {
        if !self.opening.is_quiet {
            eprint_line(&format!("pollchat-client: {text}"));
        }
    }
}
