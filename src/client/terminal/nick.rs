//! The name that we want, over all connections. Pure: what the server says in, what to ask for out.

use std::time::Instant;

use crate::client::backoff::Backoff;
use crate::client::limits::{NICK_PAUSE_FIRST, NICK_PAUSE_MAX};
use crate::relay::command::Command;
use crate::relay::name::{Name, fold};

/// The name that we want, and how we get it back.
///
/// One that was ours is asked for again until it is free: the server may still foreground the lost connection, with the name.
/// One that never was ours is somebody else's, and is asked for once a connection.
#[derive(Debug)]
pub(super) struct Nick {
    wanted: Option<Wanted>,
    state: NickState,
    backoff: Backoff,
}

#[derive(Debug)]
enum Wanted {
    /// Chosen, and not had yet.
    New(String),
    /// Had on a connection before, or on this one.
    Ours(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NickState {
    /// Nothing is asked for.
    Idle,
    /// It was asked for, and the answer is awaited.
    Asked,
    /// It was taken, and will be asked for again.
    AskAt(Instant),
}

/// Whether one is told that a name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TakenReport {
    /// That it is.
    Taken,
    /// That it is, and will be asked for again.
    WillRetry,
    /// Nothing: it was told before.
    Silent,
}

impl Nick {
    /// Begins with the name that was chosen, if any.
    pub(super) fn new(chosen: Option<&Name>) -> Nick {
        let wanted = chosen.map(|name| Wanted::New(name.to_string()));
        Nick { wanted, state: NickState::Idle, backoff: Backoff::new(NICK_PAUSE_FIRST, NICK_PAUSE_MAX) }
    }

    /// What to ask for first on a new connection.
    pub(super) fn on_connected(&mut self) -> Option<&str> {
        self.backoff.reset();
        self.state = if self.wanted.is_some() { NickState::Asked } else { NickState::Idle };
        self.wanted()
    }

    /// The server says what we are called.
    pub(super) fn on_called(&mut self, name: &str) {
        // A number is nothing that one can ask for.
        if Name::parse(name).is_ok() {
            self.wanted = Some(Wanted::Ours(name.to_owned()));
            self.state = NickState::Idle;
        }
    }

    /// The server says that this name is taken.
    pub(super) fn on_taken(&mut self, name: &str, now: Instant, jitter: u64) -> TakenReport {
        if self.state != NickState::Asked || self.wanted().is_none_or(|wanted| fold(wanted) != fold(name)) {
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

    /// A line was typed: who asks for a name by hand no longer wants the other one.
    pub(super) fn on_typed(&mut self, line: &str) {
        if matches!(Command::parse(line), Command::Nick(_)) {
            self.state = NickState::Idle;
        }
    }

    /// Whether the server has yet to answer whether the name is ours.
    pub(super) fn is_awaited(&self) -> bool {
        self.state == NickState::Asked
    }

    /// When to call [`Nick::ask_again`].
    pub(super) fn deadline(&self) -> Option<Instant> {
        if let NickState::AskAt(at) = self.state { Some(at) } else { None }
    }

    /// What to ask for now.
    pub(super) fn ask_again(&mut self, now: Instant) -> Option<&str> {
        if self.deadline().is_none_or(|at| now < at) {
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
    fn a_name_that_was_ours_is_asked_for_until_it_is_free() {
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
    fn a_name_of_somebody_elses_is_asked_for_once() {
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
    fn who_asks_by_hand_no_longer_wants_the_other_name() {
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
