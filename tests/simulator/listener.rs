//! Connections that wait to be accepted, and accepts that fail.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::setting::{Fault, Faults};

/// The pause of a listener that had no descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Connections that wait, and what the server knows of them.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The connections that wait.
    pub(crate) waiting: VecDeque<usize>,
    has_edge: bool,
    state: Owed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    No,
    Yes,
    From(Instant),
}

/// The result of an accept.
pub(crate) enum Accepted {
    One(usize),
    /// This one is gone before it was accepted.
    Aborted(usize),
    Nobody,
}

impl Listener {
    pub(crate) fn new() -> Listener {
        Listener { waiting: VecDeque::new(), has_edge: false, state: Owed::No }
    }

    pub(crate) fn arrive(&mut self, connection: usize) {
        self.waiting.push_back(connection);
        self.has_edge = true;
    }

    pub(crate) fn has_edge(&self) -> bool {
        self.has_edge
    }

    pub(crate) fn collect(&mut self) {
        if std::mem::take(&mut self.has_edge) && self.state == Owed::No {
            self.state = Owed::Yes;
        }
    }

    pub(crate) fn is_owed(&self, now: Instant) -> bool {
        match self.state {
            Owed::No => false,
            Owed::Yes => true,
            Owed::From(time) => time <= now,
        }
    }

    pub(crate) fn retry_at(&self) -> Option<Instant> {
        if let Owed::From(time) = self.state { Some(time) } else { None }
    }

    pub(crate) fn on_freed(&mut self, now: Instant) {
        if let Owed::From(time) = &mut self.state {
            *time = now;
        }
    }

    pub(crate) fn accept(&mut self, now: Instant, faults: Faults, chance: &mut Chance) -> Accepted {
        if self.waiting.is_empty() {
            self.state = Owed::No;
            return Accepted::Nobody;
        }
        if faults.has(Fault::FailedAccept) && chance.one_in(4) {
            self.state = Owed::From(now + ACCEPT_RETRY);
            return Accepted::Nobody;
        }
        self.state = Owed::Yes;
        match self.waiting.pop_front() {
            Some(connection) if faults.has(Fault::FailedAccept) && chance.one_in(8) => Accepted::Aborted(connection),
            Some(connection) => Accepted::One(connection),
            None => Accepted::Nobody,
        }
    }
}
