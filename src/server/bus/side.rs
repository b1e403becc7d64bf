//! A link, with the meaning of the replies that it still owes.
//!
//! Invariant: `asked` holds an item for each command that the present connection has not answered, in their order. A
//! reply of an earlier connection never comes, so a change of connections empties it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::link::Link;
use super::resp::Reply;
use crate::net::stream::Socket;

/// Time for the reply to a command that does not block. A Redis that hangs keeps its connections open.
pub(super) const REPLY_WITHIN: Duration = Duration::from_secs(5);

/// A change of a link since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It works, on another connection than before.
    Up,
    /// It has failed.
    Down,
}

/// A link, and what each reply that it owes is about.
#[derive(Debug)]
pub(super) struct Side<S, A> {
    pub link: Link<S>,
    asked: VecDeque<A>,
    /// The connection that `asked` belongs to; `None` while there is none.
    connection: Option<u64>,
}

impl<S: Socket, A> Side<S, A> {
    pub(super) fn new(link: Link<S>) -> Side<S, A> {
        Side { link, asked: VecDeque::new(), connection: None }
    }

    /// Looks at the link, and returns what has changed. A link that failed and is up again is first down, then up.
    pub(super) fn change(&mut self) -> Option<Change> {
        let connection = self.link.is_up().then(|| self.link.connects());
        match (self.connection, connection) {
            (known, now) if known == now => None,
            (None, now) => {
                self.connection = now;
                Some(Change::Up)
            }
            (Some(_), _) => {
                self.connection = None;
                self.asked.clear();
                Some(Change::Down)
            }
        }
    }

    /// Whether commands can be sent: the link is up, and that was noticed.
    pub(super) fn is_up(&self) -> bool {
        self.connection.is_some() && self.link.is_up() && self.connection == Some(self.link.connects())
    }

    /// Sends a command. Only while it [is up](Side::is_up).
    pub(super) fn ask(&mut self, arguments: &[&[u8]], asked: A, within: Duration, now: Instant) {
        self.link.send(arguments, within, now);
        self.asked.push_back(asked);
    }

    /// Returns the next reply with what it is about.
    pub(super) fn next(&mut self, now: Instant) -> Option<(A, Reply)> {
        let reply = self.link.next_reply(now)?;
        // A reply belongs to the connection that was noticed: a new one has no commands yet.
        let asked = self.asked.pop_front()?;
        Some((asked, reply))
    }

    /// Whether any command waits for its reply.
    pub(super) fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }
}
