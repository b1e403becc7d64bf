//! The name that we want, over all connections. Pure: what the server says in, what to ask for out.

use std::time::Instant;

use crate::client::backoff::Pauses;
use crate::client::config::{NICK_PAUSE_FIRST, NICK_PAUSE_MAX};
use crate::relay::command::Command;
use crate::relay::name::{Name, fold};

/// The name that we want, and how we get it back.
///
/// One that was ours is asked for again until it is free: the server may still hold the lost connection, with the name.
/// One that never was ours is somebody else's, and is asked for once a connection.
#[derive(Debug)]
pub struct Nick {
    wanted: Option<Wanted>,
    quest: Quest,
    pauses: Pauses,
}

#[derive(Debug)]
enum Wanted {
    /// Chosen, and not had yet.
    New(String),
    /// Had on a connection before, or on this one.
    Ours(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quest {
    /// Nothing is asked for.
    Rest,
    /// It was asked for, and the answer is awaited.
    Asked,
    /// It was taken, and will be asked for again.
    AskAt(Instant),
}

/// Whether one is told that a name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// That it is.
    Taken,
    /// That it is, and will be asked for again.
    TakenForNow,
    /// Nothing: it was told before.
    Nothing,
}

impl Nick {
    /// Begins with the name that was chosen, if any.
    pub fn new(chosen: Option<&Name>) -> Nick {
        let wanted = chosen.map(|name| Wanted::New(name.to_string()));
        Nick { wanted, quest: Quest::Rest, pauses: Pauses::new(NICK_PAUSE_FIRST, NICK_PAUSE_MAX) }
    }

    /// What to ask for first on a new connection.
    pub fn on_connection(&mut self) -> Option<&str> {
        self.pauses.reset();
        self.quest = if self.wanted.is_some() { Quest::Asked } else { Quest::Rest };
        self.wanted()
    }

    /// The server says what we are called.
    pub fn on_called(&mut self, name: &str) {
        // A number is nothing that one can ask for.
        if Name::parse(name).is_ok() {
            self.wanted = Some(Wanted::Ours(name.to_owned()));
            self.quest = Quest::Rest;
        }
    }

    /// The server says that this name is taken.
    pub fn on_taken(&mut self, name: &str, now: Instant, chance: u64) -> Tell {
        if self.quest != Quest::Asked || self.wanted().is_none_or(|wanted| fold(wanted) != fold(name)) {
            return Tell::Taken;
        }
        if matches!(self.wanted, Some(Wanted::New(_))) {
            self.quest = Quest::Rest;
            return Tell::Taken;
        }
        let is_first = self.pauses.is_first();
        self.quest = Quest::AskAt(now + self.pauses.next(chance));
        if is_first { Tell::TakenForNow } else { Tell::Nothing }
    }

    /// A line was typed: who asks for a name by hand no longer wants the other one.
    pub fn on_typed(&mut self, line: &str) {
        if matches!(Command::parse(line), Command::Nick(_)) {
            self.quest = Quest::Rest;
        }
    }

    /// Whether the server has yet to answer whether the name is ours.
    pub fn is_awaited(&self) -> bool {
        self.quest == Quest::Asked
    }

    /// When to call [`Nick::ask_again`].
    pub fn deadline(&self) -> Option<Instant> {
        if let Quest::AskAt(at) = self.quest { Some(at) } else { None }
    }

    /// What to ask for now.
    pub fn ask_again(&mut self, now: Instant) -> Option<&str> {
        if self.deadline().is_none_or(|at| now < at) {
            return None;
        }
        self.quest = Quest::Asked;
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
        assert_eq!(nick.on_connection(), Some("ana"));
        nick.on_called("client-7");
        nick.on_called("ana");
        assert_eq!(nick.on_connection(), Some("ana"));
        nick.on_called("client-9");
        for tell in [Tell::TakenForNow, Tell::Nothing, Tell::Nothing] {
            assert_eq!(nick.on_taken("Ana", now, 0), tell);
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
            assert_eq!(nick.on_connection(), Some("ana"));
            assert!(nick.is_awaited());
            assert_eq!(nick.on_taken("ana", Instant::now(), 0), Tell::Taken);
            assert!(!nick.is_awaited());
            assert_eq!(nick.deadline(), None);
        }
    }

    #[test]
    fn who_asks_by_hand_no_longer_wants_the_other_name() {
        let (mut nick, now) = (Nick::new(None), Instant::now());
        assert_eq!(nick.on_connection(), None);
        nick.on_called("ana");
        nick.on_connection();
        nick.on_taken("ana", now, 0);
        nick.on_typed("hello /nick");
        assert!(nick.deadline().is_some());
        nick.on_typed("/nick ben");
        assert_eq!(nick.deadline(), None);
        assert_eq!(nick.on_taken("ana", now, 0), Tell::Taken, "it is the answer to what was typed");
        nick.on_called("ben");
        assert_eq!(nick.on_connection(), Some("ben"));
    }
}
