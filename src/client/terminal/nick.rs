//! The nick across all connections. Pure: answers of the server in, requests out.

use std::time::Instant;

use crate::client::limits::{NICK_PAUSE_FIRST, NICK_PAUSE_MAX};
use crate::net::backoff::Backoff;
use crate::relay::command::Command;
use crate::relay::name::{Name, fold};

/// The wanted nick, and the way to get it back.
///
/// A nick that was ours is asked for until it is free: the server may still hold the lost connection, and the nick with
/// it. A nick that was never ours is asked for once per connection.
#[derive(Debug)]
pub(super) struct Nick {
    wanted: Option<Wanted>,
    state: NickState,
    backoff: Backoff,
}

#[derive(Debug)]
enum Wanted {
    /// Chosen, but never ours.
    New(String),
    /// Ours now, or on an earlier connection.
    Ours(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NickState {
    /// No request is open.
    Idle,
    /// The request was sent. The answer is awaited.
    Asked,
    /// The nick was taken. The next request is due then.
    AskAt(Instant),
    /// It belongs to us, and the server awaits a request in another form.
    AskNow,
}

/// Note about a taken nick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TakenReport {
    /// Tell that it is taken.
    Taken,
    /// Tell that it is taken and will be asked for again.
    WillRetry,
    /// Tell nothing: the first note was enough.
    Silent,
}

impl Nick {
    /// Starts with the chosen nick, if any.
    pub(super) fn new(chosen: Option<&Name>) -> Nick {
        let wanted = chosen.map(|name| Wanted::New(name.to_string()));
        Nick { wanted, state: NickState::Idle, backoff: Backoff::new(NICK_PAUSE_FIRST, NICK_PAUSE_MAX) }
    }

    /// Returns the nick to ask for on a new connection.
    pub(super) fn on_connected(&mut self) -> Option<&str> {
        self.backoff.reset();
        self.state = if self.wanted.is_some() { NickState::Asked } else { NickState::Idle };
        self.wanted()
    }

    /// Takes the name with which a tracked connection begins. Returns the nick to ask for. `is_seat_kept`: the server
    /// has answered all requests but perhaps the last one.
    pub(super) fn on_entered(&mut self, name: &str, is_seat_kept: bool) -> Option<&str> {
        if self.wants(name) || (is_seat_kept && Name::parse(name).is_ok()) {
            self.on_called(name);
            return None;
        }
        // A request on the last connection may be lost with it.
        if is_seat_kept && self.state != NickState::Asked { None } else { self.on_connected() }
    }

    /// Records our present name.
    pub(super) fn on_called(&mut self, name: &str) {
        // `client-N` cannot be asked for.
        if Name::parse(name).is_ok() {
            self.wanted = Some(Wanted::Ours(name.to_owned()));
            self.state = NickState::Idle;
        }
    }

    /// Records that a nick is taken, and schedules the next request.
    pub(super) fn on_taken(&mut self, name: &str, now: Instant, jitter: u64) -> TakenReport {
        if self.state != NickState::Asked || !self.wants(name) {
            return TakenReport::Taken;
        }
        if matches!(self.wanted, Some(Wanted::New(_))) {
            self.state = NickState::Idle;
            return TakenReport::Taken;
        }
        let is_first = self.backoff.is_first();
        self.state = NickState::AskAt(now + self.backoff.next_delay(jitter));
        if is_first { TakenReport::WillRetry } else { TakenReport::Silent }
    }

    /// Records that a nick with an owner is not ours. It does not become free, so the next request is due now, in another
    /// form, or never. Returns whether that answers a request.
    pub(super) fn on_owned(&mut self, name: &str, asks_again: impl FnOnce() -> bool) -> bool {
        let is_answer = self.state == NickState::Asked && self.wants(name);
        if is_answer {
            self.state = if asks_again() { NickState::AskNow } else { NickState::Idle };
        }
        is_answer && self.state == NickState::AskNow
    }

    /// Records that the owner of our name has it, and calls us by another one. Another connection of the same user may
    /// be the owner, so the name is asked for again only if we can prove that it is ours.
    pub(super) fn on_gone(&mut self, asks_again: bool) {
        if asks_again {
            self.state = NickState::AskNow;
        } else {
            (self.wanted, self.state) = (None, NickState::Idle);
        }
    }

    /// Ends the wait for an answer: the server does nothing with the request, because it asks for a password.
    pub(super) fn on_locked(&mut self) {
        self.state = NickState::Idle;
    }

    /// Whether this is the wanted nick.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.wanted().is_some_and(|wanted| fold(wanted) == fold(name))
    }

    /// Watches the typed lines: a typed `/nick` ends the requests for the previous nick.
    pub(super) fn on_typed(&mut self, line: &str) {
        if matches!(Command::parse(line), Command::Nick { .. }) {
            self.state = NickState::Idle;
        }
    }

    /// Whether the answer to a request is awaited.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.state, NickState::Asked | NickState::AskNow)
    }

    /// The time of the next [`Nick::ask_again`].
    pub(super) fn deadline(&self) -> Option<Instant> {
        if let NickState::AskAt(at) = self.state { Some(at) } else { None }
    }

    /// Returns the nick to ask for now, if a request is due.
    pub(super) fn ask_again(&mut self, now: Instant) -> Option<&str> {
        if self.state != NickState::AskNow && self.deadline().is_none_or(|at| now < at) {
            return None;
        }
        self.state = NickState::Asked;
        self.wanted()
    }

    fn wanted(&self) -> Option<&str> {
        match &self.wanted {
            Some(Wanted::New(name) | Wanted::Ours(name)) => Some(name),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nick(chosen: &str) -> Nick {
        Nick::new(Some(&Name::parse(chosen).unwrap()))
    }

    #[test]
    fn a_nick_that_was_ours_is_asked_for_until_it_is_free() {
        let (mut nick, now) = (nick("ana"), Instant::now());
        assert_eq!(nick.on_connected(), Some("ana"));
        nick.on_called("client-7");
        nick.on_called("ana");
        assert_eq!(nick.on_connected(), Some("ana"));
        nick.on_called("client-9");
        for report in [TakenReport::WillRetry, TakenReport::Silent, TakenReport::Silent] {
            assert_eq!(nick.on_taken("Ana", now, 0), report);
            let at = nick.deadline().unwrap();
            assert!(at > now);
            assert_eq!(nick.ask_again(now), None);
            assert_eq!(nick.ask_again(at), Some("ana"));
            assert_eq!(nick.ask_again(at), None, "once");
        }
        nick.on_called("ana");
        assert_eq!(nick.deadline(), None);
    }

    #[test]
    fn a_nick_that_was_never_ours_is_asked_for_once_per_connection() {
        let mut nick = nick("ana");
        for _ in 0..2 {
            assert_eq!(nick.on_connected(), Some("ana"));
            assert!(nick.is_awaited());
            assert_eq!(nick.on_taken("ana", Instant::now(), 0), TakenReport::Taken);
            assert!(!nick.is_awaited());
            assert_eq!(nick.deadline(), None);
        }
    }

    #[test]
    fn a_tracked_connection_asks_only_from_a_new_seat() {
        let mut nick = nick("ana");
        assert_eq!(nick.on_entered("client-1", false), Some("ana"));
        assert_eq!(nick.on_entered("client-1", true), Some("ana"), "it may be lost");
        assert_eq!(nick.on_entered("Ana", true), None);
        assert!(!nick.is_awaited());
        assert_eq!(nick.on_entered("eve", true), None, "the server knows");
        assert_eq!(nick.on_entered("client-9", false), Some("eve"));
        nick.on_taken("eve", Instant::now(), 0);
        assert_eq!(nick.on_entered("client-9", true), None);
        assert!(nick.deadline().is_some());
    }

    #[test]
    fn a_nick_with_an_owner_is_asked_for_again_only_with_a_proof() {
        let (mut nick, now) = (nick("ana"), Instant::now());
        nick.on_connected();
        assert!(!nick.on_owned("bob", || true), "it answers a typed line");
        assert!(nick.on_owned("Ana", || true) && nick.is_awaited());
        assert_eq!(nick.ask_again(now), Some("ana"));
        assert!(!nick.on_owned("ana", || false) && !nick.is_awaited());
        assert_eq!(nick.deadline(), None);
        assert_eq!(nick.ask_again(now), None);
        nick.on_called("ana");
        nick.on_gone(true);
        assert_eq!(nick.ask_again(now), Some("ana"));
        nick.on_called("ana");
        nick.on_gone(false);
        assert_eq!(nick.ask_again(now), None);
        assert_eq!(nick.on_connected(), None, "another connection has it");
    }

    #[test]
    fn a_typed_nick_replaces_the_wanted_one() {
        let (mut nick, now) = (Nick::new(None), Instant::now());
        assert_eq!(nick.on_connected(), None);
        nick.on_called("ana");
        nick.on_connected();
        nick.on_taken("ana", now, 0);
        nick.on_typed("hello /nick");
        assert!(nick.deadline().is_some());
        nick.on_typed("/nick ben");
        assert_eq!(nick.deadline(), None);
        assert_eq!(nick.on_taken("ana", now, 0), TakenReport::Taken, "it is the answer to what was typed");
        nick.on_called("ben");
        assert_eq!(nick.on_connected(), Some("ben"));
    }
}
