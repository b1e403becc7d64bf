//! The queues of a turn: connections to read, connections to flush, connections to disconnect or remove.

use std::collections::{HashSet, VecDeque};
use std::mem;

use super::connections::Connections;
use crate::net::stream::Socket;
use crate::server::connection::{Connection, Handle, Phase, ReadState};

/// The queues.
///
/// Invariants, checked by [`check_invariants`](Schedule::check_invariants) after a turn:
/// - a connection whose read state is `Ready` is in `ready`, or is held by its room, and one that is `Asking` in
///   `asking`; each of them once;
/// - a connection that is dirty is in `dirty`, once; `dirty` may hold keys of removed connections, too;
/// - `lagging` and `closed` are empty: they are used within a turn. They hold bare keys, which are valid only until its
///   end.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Connections that may have more to read, first in first out. `poll` does not repeat an edge.
    pub(super) ready: VecDeque<Handle>,
    /// Connections whose next line waits for an answer, first in first out.
    pub(super) asking: VecDeque<Handle>,
    /// Whether the next turn begins with `asking`, because this one did not reach it.
    pub(super) is_asking_first: bool,
    /// Connections to be flushed even if the tape does not move, first in first out.
    dirty: VecDeque<usize>,
    /// Whether this turn had no budget to flush all of them.
    pub(super) is_flush_behind: bool,
    /// Connections of which the poller has reported an error.
    pub(super) failed: Vec<Handle>,
    /// Connections that were sent all of the room that they leave for another.
    pub(super) arriving: Vec<Handle>,
    /// Tracked members that wait for word of what they missed.
    pub(super) gaps: Vec<Handle>,
    /// Readers that the tail overtook in this turn, to be disconnected for it (`--lag disconnect`).
    pub(super) lagging: Vec<usize>,
    /// Connections to be removed at the end of this turn.
    closed: Vec<usize>,
}

impl Schedule {
    /// Queues a connection for reading.
    pub(super) fn mark_ready<S: Socket>(&mut self, key: usize, connection: &mut Connection<S>) {
        connection.read_state = ReadState::Ready;
        self.ready.push_back(connection.handle(key));
    }

    /// Returns the number of connections that wait to be read.
    pub(super) fn input_len(&self) -> usize {
        self.ready.len() + self.asking.len()
    }

    /// Queues a connection for flushing.
    pub(super) fn mark_dirty<S: Socket>(&mut self, key: usize, connection: &mut Connection<S>) {
        if !mem::replace(&mut connection.is_dirty, true) {
            self.dirty.push_back(key);
        }
    }

    /// Takes out the next connection to be flushed; `None` if there is none.
    pub(super) fn next_dirty<S: Socket>(&mut self, connections: &mut Connections<S>) -> Option<usize> {
        loop {
            let key = self.dirty.pop_front()?;
            let was_dirty = |connection: &mut Connection<S>| mem::take(&mut connection.is_dirty);
            if connections.get_mut(key).is_some_and(was_dirty) {
                return Some(key);
            }
        }
    }

    /// Whether a connection was not flushed in this turn, although it is dirty: a delay that is not the peer's.
    pub(super) fn is_unflushed<S: Socket>(&self, connection: &Connection<S>) -> bool {
        self.is_flush_behind && connection.is_dirty
    }

    /// Whether the next turn has something to flush, or movers to let in.
    pub(super) fn has_output(&self) -> bool {
        !self.dirty.is_empty() || !self.arriving.is_empty()
    }

    /// Returns the number of connections to be flushed, at most.
    pub(super) fn dirty_len(&self) -> usize {
        self.dirty.len()
    }

    /// Queues a connection for removal.
    pub(super) fn close<S: Socket>(&mut self, key: usize, connection: &mut Connection<S>) {
        if mem::replace(&mut connection.phase, Phase::Gone) != Phase::Gone {
            self.closed.push(key);
        }
    }

    /// Takes out the connections that are to be removed.
    pub(super) fn take_closed(&mut self) -> Vec<usize> {
        mem::take(&mut self.closed)
    }

    /// Panics if an invariant does not hold.
    pub(super) fn check_invariants<'a, S: Socket>(
        &'a self,
        connections: &Connections<S>,
        held: impl Iterator<Item = &'a Handle>,
    ) {
        let queued = |queue: &mut dyn Iterator<Item = &Handle>, state| {
            queue.filter(|&&handle| connections.known(handle).is_some_and(|known| known.read_state == state)).count()
        };
        let in_state = |state| connections.iter().filter(|(_, connection)| connection.read_state == state).count();
        assert_eq!(
            queued(&mut self.ready.iter().chain(held), ReadState::Ready),
            in_state(ReadState::Ready),
            "ready connections are queued once"
        );
        assert_eq!(
            queued(&mut self.asking.iter(), ReadState::Asking),
            in_state(ReadState::Asking),
            "asking connections are queued once"
        );
        let dirty = connections.iter().filter(|(_, connection)| connection.is_dirty).count();
        let is_dirty = |key: &&usize| connections.get(**key).is_some_and(|known| known.is_dirty);
        let listed = self.dirty.iter().filter(is_dirty).collect::<HashSet<_>>().len();
        assert_eq!(dirty, listed, "dirty connections are listed");
        assert!(self.lagging.is_empty() && self.closed.is_empty(), "the turn ends them");
    }
}
