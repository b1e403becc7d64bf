//! How it is known that a browser is still there: of one that says nothing for a while a sign is asked (a ping), which
//! also keeps a proxy between from forgetting the connection; and one that gives none is gone.
//!
//! Every browser is listed once, under the time at which it is to be looked at again.

use std::io;
use std::time::Instant;

use super::closing::Why;
use super::{Hub, known, known_mut};
use crate::net::stream::Socket;
use crate::server::connection::Vigil;
use crate::server::limits::{PING_AFTER, PONG_WITHIN, TURN_DELAY_MAX};

impl<S: Socket> Hub<S> {
    /// Begins to look after a browser.
    pub(super) fn begin_vigil(&mut self, key: usize, now: Instant) {
        let handle = self.connections[key].handle(key);
        self.due.vigils.push(now + PING_AFTER, handle);
    }

    /// Asks those for a sign of whom nothing came for long, and lets those go who gave none.
    pub(super) fn keep_vigils(&mut self, now: Instant) {
        while let Some((time, handle)) = self.due.vigils.pop_due(now) {
            let Some(connection) = known_mut(&mut self.connections, handle) else { continue };
            match connection.ask_for_sign(PING_AFTER, PONG_WITHIN, now) {
                None => {}
                Some(Vigil::Until(time)) => {
                    self.lists.touch(handle.key, connection);
                    self.due.vigils.push(time, handle);
                }
                // It was the server that was not there (it was stopped, say): the sign may have come and not been read yet.
                Some(Vigil::Over) if now.saturating_duration_since(time) > TURN_DELAY_MAX => {
                    self.due.vigils.push(now + TURN_DELAY_MAX, handle);
                }
                Some(Vigil::Over) => self.depart(handle.key, &Why::Reset(io::ErrorKind::TimedOut.into()), now),
            }
        }
        let connections = &self.connections;
        self.due.vigils.tidy(connections.len(), |_, handle| known(connections, handle).is_some());
    }
}
