//! How nobody is waited for for ever (`--lag wait`).
//!
//! Only who is behind is listed, under the time at which it must have taken enough ([`Stall`](crate::server::flow::stall::Stall)).
//! One who has gets a later time when that one comes up. One who has not is let go; the operator, whose screen may be
//! stuck and who can still act, goes on and is told what it missed.

use std::time::Instant;

use super::closing::Why;
use super::{Hub, known, known_mut};
use crate::net::stream::Socket;
use crate::server::connection::Phase;

impl<S: Socket> Hub<S> {
    /// Stops waiting for those who have stalled.
    pub(super) fn end_stalls(&mut self, now: Instant) {
        while let Some((time, handle)) = self.due.stalls.pop_due(now) {
            let Some(connection) = known_mut(&mut self.connections, handle) else { continue };
            if !connection.is_stall_listed(time) {
                continue;
            }
            if let Some(later) = connection.list_stall_again(now) {
                self.due.stalls.push(later, handle);
            } else if self.console == Some(handle.key) {
                connection.reader.give_up(self.room.tape().end());
                self.lists.touch(handle.key, connection);
            } else if let Phase::Present(_) = connection.phase {
                self.depart(handle.key, &Why::TooSlow, now);
            } else {
                self.lists.remove(handle.key, connection);
            }
        }
        let connections = &self.connections;
        self.due.stalls.tidy(connections.len(), |time, handle| {
            known(connections, handle).is_some_and(|connection| connection.is_stall_listed(time))
        });
    }
}
