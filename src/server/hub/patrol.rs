//! The patrol: asks the kernel in turn about each plain client whether its peer still answers, on a kernel that does
//! not find dead peers by itself in good time (Linux before 6.15).
//!
//! A visitor has a deadline and a browser is pinged, so they are not asked about: unless the browser moves to another
//! room, because it is not read meanwhile. An idle hub without clients sleeps.

use std::io;
use std::time::{Duration, Instant};

use super::Hub;
use crate::net::stream::Socket;
use crate::server::connection::Phase;
use crate::server::reason::Reason;

/// Time between two steps of a round.
const STEP: Duration = Duration::from_secs(10);

/// Steps of a round over all clients. With 20,000 clients a step is 3,300 system calls: 1 ms.
const STEPS: usize = 6;

/// The place of the patrol.
#[derive(Debug, Default)]
pub(super) struct Patrol {
    /// When the next step is due; `None` without a patrol.
    due: Option<Instant>,
    next_key: usize,
}

impl<S: Socket> Hub<S> {
    /// Begins to look for dead peers.
    pub fn begin_patrol(&mut self, now: Instant) {
        self.patrol.due = Some(now + STEP);
    }

    /// Disconnects the next few clients whose peers have not answered for long.
    pub(super) fn patrol(&mut self, now: Instant) {
        if self.patrol.due.is_none_or(|due| due > now) {
            return;
        }
        self.patrol.due = Some(now + STEP);
        let end = self.connections.keys_end();
        let from = if self.patrol.next_key < end { self.patrol.next_key } else { 0 };
        self.patrol.next_key = from + end.div_ceil(STEPS);
        for key in from..self.patrol.next_key.min(end) {
            let is_dead = self.connections.get(key).is_some_and(|connection| {
                let is_moving = matches!(connection.phase, Phase::Moving(_));
                let is_asked_about = connection.was_in_room() && (is_moving || !connection.is_browser());
                is_asked_about && connection.stream().is_unanswered()
            });
            if is_dead {
                self.leave(key, &Reason::Reset(io::ErrorKind::TimedOut.into()), now);
            }
        }
    }

    /// Returns the time of the next step.
    pub(super) fn next_patrol(&self) -> Option<Instant> {
        self.patrol.due.filter(|_| self.roster.clients() > 0)
    }
}
