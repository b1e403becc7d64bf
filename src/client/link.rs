//! The connection to the server across reconnects: its state, the pauses between attempts, and the rule for another
//! one.

use std::io;
use std::mem;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::connect::{Attempt, AttemptStatus, ConnectError, Opened};
use super::limits::{RECONNECT_PAUSE_FIRST, RECONNECT_PAUSE_MAX, RECONNECT_STABLE, SEAT_KEPT, SEAT_PAUSE_MAX};
use super::resolver::Resolver;
use super::secure::Security;
use super::session::{CloseReason, Session};
use super::trust::Untrusted;
use crate::net::backoff::{Backoff, jitter};
use crate::relay::notice::Notice;

/// At most one session or connection attempt at a time.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) state: LinkState,
    resolver: Resolver,
    security: Option<Security>,
    token: Token,
    pauses: Pauses,
}

/// The pauses between attempts. Pure: random bits come from the caller.
///
/// They double, and none is longer than [`SEAT_PAUSE_MAX`] while a server may keep our seat. A server that was
/// restarted keeps none, but is back as soon.
#[derive(Debug)]
struct Pauses {
    backoff: Backoff,
    seat: Seat,
}

/// Our seat on a server that tracks us, as far as we know.
#[derive(Clone, Copy, Debug)]
enum Seat {
    None,
    Ours,
    /// Kept for us, perhaps, until then.
    KeptUntil(Instant),
}

/// State of a [`Link`].
#[derive(Debug)]
pub(crate) enum LinkState {
    /// An attempt is under way.
    Connecting(Attempt),
    /// A session, and the time of its connect.
    Connected(Box<Session>, Instant),
    /// No connection. The next attempt begins then.
    Waiting(Instant),
}

/// Result of [`Link::advance`].
#[derive(Debug)]
pub(crate) enum Advance {
    /// There is a session, or nothing is due.
    Nothing,
    /// An attempt has begun.
    Begun,
    /// A connection, for which the caller must [open](Link::open) a session.
    Connected(Opened),
    /// The attempt failed, and the next one is scheduled.
    Failed(io::Error),
    /// The server is not trusted. The run must end.
    Untrusted(Untrusted),
}

/// Kind of the server's last notice before the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FarewellKind {
    /// The server shuts down. It may come back.
    ShuttingDown,
    /// We were never in the room: there is no place for now.
    Full,
    /// We were never in the room.
    Refused,
    /// The same, because the port speaks TLS and we do not.
    TlsExpected,
    /// We were in the room.
    Removed,
}

impl FarewellKind {
    /// Returns the kind of a notice; `None` if the notice ends no connection.
    pub(crate) fn of(notice: &Notice<'_>) -> Option<FarewellKind> {
        match notice {
            Notice::ShuttingDown | Notice::HandedOver => Some(FarewellKind::ShuttingDown),
            // The password may be right: nobody is let in from our address for a minute.
            Notice::ServerFull { .. } | Notice::AddressCrowded { .. } | Notice::PasswordCrowded => {
                Some(FarewellKind::Full)
            }
            Notice::AddressDenied
            | Notice::Banned { .. }
            | Notice::ProxyExpected
            | Notice::ForeignProtocol { .. }
            | Notice::PasswordRefused
            | Notice::PasswordMissing => Some(FarewellKind::Refused),
            Notice::TlsExpected => Some(FarewellKind::TlsExpected),
            Notice::Silent { .. } | Notice::TooSlow | Notice::RemovedByOperator | Notice::RemovedFor { .. } => {
                Some(FarewellKind::Removed)
            }
            _ => None,
        }
    }

    /// Whether the server did not let us in.
    pub(crate) fn is_refusal(self) -> bool {
        matches!(self, FarewellKind::Full | FarewellKind::Refused | FarewellKind::TlsExpected)
    }
}

impl Link {
    /// A link that begins with an attempt. Sockets are registered with `token`.
    pub(crate) fn connecting(mut resolver: Resolver, security: Option<Security>, token: Token, now: Instant) -> Link {
        let state = LinkState::Connecting(Attempt::new(&mut resolver, security.as_ref(), token, now));
        Link::new(state, resolver, security, token)
    }

    /// A link with a first session.
    pub(crate) fn connected(
        resolver: Resolver,
        security: Option<Security>,
        token: Token,
        session: Session,
        now: Instant,
    ) -> Link {
        Link::new(LinkState::Connected(Box::new(session), now), resolver, security, token)
    }

    fn new(state: LinkState, resolver: Resolver, security: Option<Security>, token: Token) -> Link {
        Link { state, resolver, security, token, pauses: Pauses::new() }
    }

    /// The session; `None` without a connection.
    pub(crate) fn session(&mut self) -> Option<&mut Session> {
        if let LinkState::Connected(session, _) = &mut self.state { Some(session) } else { None }
    }

    /// Begins an attempt that is due, or advances the present one.
    pub(crate) fn advance(&mut self, registry: &Registry, now: Instant) -> Advance {
        match &mut self.state {
            LinkState::Waiting(until) if *until <= now => {
                let attempt = Attempt::new(&mut self.resolver, self.security.as_ref(), self.token, now);
                self.state = LinkState::Connecting(attempt);
                Advance::Begun
            }
            LinkState::Waiting(_) | LinkState::Connected(..) => Advance::Nothing,
            LinkState::Connecting(attempt) => match attempt.advance(&mut self.resolver, registry, now) {
                AttemptStatus::Pending => Advance::Nothing,
                AttemptStatus::Connected(opened) => Advance::Connected(opened),
                AttemptStatus::Failed(error) => {
                    self.wait(now);
                    match error {
                        ConnectError::Failed(error) => Advance::Failed(error),
                        ConnectError::Untrusted(why) => Advance::Untrusted(why),
                    }
                }
            },
        }
    }

    /// Begins the next attempt now.
    pub(crate) fn hurry(&mut self, now: Instant) {
        if let LinkState::Waiting(until) = &mut self.state {
            *until = now;
        }
    }

    /// Records that the server tracks us. If it knew the session of the lost connection, it does not only accept and
    /// disconnect: the next pause is the first one again. A link that breaks often must not wait until the seat is gone.
    pub(crate) fn on_tracked(&mut self, is_known_session: bool) {
        self.pauses.on_tracked(is_known_session);
    }

    /// Begins a session.
    pub(crate) fn open(&mut self, session: Session, now: Instant) {
        self.state = LinkState::Connected(Box::new(session), now);
    }

    /// Takes the session, if there is one, and schedules an attempt.
    pub(crate) fn close(&mut self, now: Instant) -> Option<Box<Session>> {
        match mem::replace(&mut self.state, LinkState::Waiting(now)) {
            LinkState::Connected(session, since) => {
                self.pauses.on_lost(now.saturating_duration_since(since));
                self.wait(now);
                Some(session)
            }
            state => {
                self.state = state;
                None
            }
        }
    }

    fn wait(&mut self, now: Instant) {
        self.state = LinkState::Waiting(now + self.pauses.next(jitter(), now));
    }
}

impl Pauses {
    fn new() -> Pauses {
        Pauses { backoff: Backoff::new(RECONNECT_PAUSE_FIRST, RECONNECT_PAUSE_MAX), seat: Seat::None }
    }

    fn on_tracked(&mut self, is_known_session: bool) {
        self.seat = Seat::Ours;
        if is_known_session {
            self.backoff.reset();
        }
    }

    /// Takes the end of a connection that lasted for `lifetime`.
    fn on_lost(&mut self, lifetime: Duration) {
        if lifetime >= RECONNECT_STABLE {
            self.backoff.reset();
        }
    }

    /// Returns the pause that begins now. `jitter` holds uniform random bits.
    fn next(&mut self, jitter: u64, now: Instant) -> Duration {
        if let Seat::Ours = self.seat {
            self.seat = Seat::KeptUntil(now + SEAT_KEPT);
        }
        let delay = self.backoff.next_delay(jitter);
        match self.seat {
            Seat::KeptUntil(until) if now < until => delay.min(SEAT_PAUSE_MAX),
            _ => delay,
        }
    }
}

/// Whether a client that wants to stay reconnects after a session ended for `reason`. `was_in` tells whether a server
/// has ever let it in.
///
/// A server that refuses or removes us, or says FIN for no known reason, ends the chat. One that announced a restart
/// does not, and one that is full after it once had a place does not either.
pub(crate) fn should_reconnect(reason: &CloseReason, farewell: Option<FarewellKind>, was_in: bool) -> bool {
    match (reason, farewell) {
        (_, Some(FarewellKind::ShuttingDown)) => true,
        (_, Some(FarewellKind::Full)) => was_in,
        (_, Some(FarewellKind::Refused | FarewellKind::TlsExpected | FarewellKind::Removed)) => false,
        (CloseReason::Complete | CloseReason::Dismissed | CloseReason::Untrusted(_), None) => false,
        (CloseReason::Closed | CloseReason::Lost(_) | CloseReason::Unsent(_) | CloseReason::Unconfirmed, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_reconnects_unless_the_server_has_ended_the_chat() {
        for (notice, after_fin, after_reset, after_fin_at_first) in [
            (None, false, true, false),
            (Some("the server is shutting down"), true, true, true),
            (Some("the server is full (3 clients)"), true, true, false),
            (Some("too many connections from your address (at most 3)"), true, true, false),
            (Some("connections from your address are not allowed here"), false, false, false),
            (Some("you are banned until 2026-12-01 10:00 UTC: spam"), false, false, false),
            (Some("this port speaks TLS: goodbye"), false, false, false),
            (Some("too many wrong passwords from your address: wait a minute"), true, true, false),
            (Some("that is not the password either: goodbye"), false, false, false),
            (Some("you have not given the password: goodbye"), false, false, false),
            (Some("you were removed by the operator"), false, false, false),
            (Some("you were removed by the operator: no spam"), false, false, false),
            (Some("you read too slowly: goodbye"), false, false, false),
        ] {
            // The second form is that of one of several servers to a room.
            let read = |prefix: &str| {
                let line = notice.map(|notice| format!("{prefix}{notice}"));
                line.as_deref().and_then(Notice::in_line).and_then(|notice| FarewellKind::of(&notice))
            };
            let farewell = read("* ");
            assert_eq!(farewell, read("** "), "{notice:?}");
            assert_eq!(farewell.is_some(), notice.is_some(), "{notice:?}");
            let lost = || CloseReason::Lost(io::ErrorKind::ConnectionReset.into());
            assert_eq!(should_reconnect(&CloseReason::Dismissed, farewell, true), after_fin, "{notice:?}");
            assert_eq!(should_reconnect(&lost(), farewell, true), after_reset, "{notice:?}");
            assert_eq!(should_reconnect(&CloseReason::Dismissed, farewell, false), after_fin_at_first, "{notice:?}");
        }
    }

    /// The begins of pauses in the first `seconds` without a connection, and their lengths.
    fn pauses_of(pauses: &mut Pauses, jitter: u64, seconds: u64) -> Vec<(Duration, Duration)> {
        let start = Instant::now();
        let mut at = start;
        let mut seen = Vec::new();
        while at < start + Duration::from_secs(seconds) {
            let pause = pauses.next(jitter, at);
            seen.push((at - start, pause));
            at += pause;
        }
        seen
    }

    #[test]
    fn attempts_are_quick_while_the_seat_may_be_kept_and_become_rare_behind_that() {
        for jitter in [0, u64::MAX / 3, u64::MAX] {
            let mut pauses = Pauses::new();
            pauses.on_tracked(true);
            let seen = pauses_of(&mut pauses, jitter, 300);
            assert!(seen[0].1 <= RECONNECT_PAUSE_FIRST, "a restarted server is back by then");
            let (kept, gone): (Vec<_>, Vec<_>) = seen.iter().partition(|(begin, _)| *begin < SEAT_KEPT);
            assert!(kept.iter().all(|(_, pause)| *pause <= SEAT_PAUSE_MAX), "{kept:?}");
            assert!(kept.is_sorted_by_key(|(_, pause)| *pause) && gone.is_sorted_by_key(|(_, pause)| *pause));
            assert!(gone.iter().all(|(_, pause)| *pause > SEAT_PAUSE_MAX && *pause <= RECONNECT_PAUSE_MAX), "{gone:?}");
            assert!(kept.len() <= 20 && seen.len() <= 40, "{seen:?}");
        }
    }

    #[test]
    fn a_client_without_a_seat_does_not_hurry() {
        let seen = pauses_of(&mut Pauses::new(), u64::MAX, 300);
        assert!(seen.len() <= 20 && seen.iter().any(|(begin, pause)| *begin < SEAT_KEPT && *pause > SEAT_PAUSE_MAX));
    }

    #[test]
    fn a_server_that_crashes_at_once_each_time_is_not_flooded() {
        let (mut pauses, start) = (Pauses::new(), Instant::now());
        let mut at = start;
        let mut attempts = 0;
        while at < start + Duration::from_secs(60) {
            // It reads its journal, but knows no session.
            pauses.on_tracked(false);
            pauses.on_lost(Duration::ZERO);
            at += pauses.next(0, at);
            attempts += 1;
        }
        assert!(attempts <= 35, "{attempts}");
        pauses.on_lost(RECONNECT_STABLE);
        assert!(pauses.next(0, at) <= RECONNECT_PAUSE_FIRST);
    }
}
