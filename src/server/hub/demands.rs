//! What is asked of each client: to say no more than it may (`--rate`), to say something at all (`--idle-timeout`), and
//! to speak our protocol.

use std::time::Instant;

use log::info;

use super::closing::Why;
use super::{Hub, known, known_mut};
use crate::net::stream::Socket;
use crate::relay::room::MemberId;
use crate::server::connection::{Connection, Handle, Phase, ReadState};
use crate::server::flow::rate::Rate;
use crate::server::limits::FOREIGN_LOG_PERIOD;
use crate::server::sniff::ForeignProtocol;

impl<S: Socket> Hub<S> {
    /// How much the one with this key may say: the operator as much as it likes.
    pub(super) fn rate_of(&self, key: usize) -> Option<Rate> {
        self.limits.rate.filter(|_| self.console != Some(key))
    }

    /// Lists one who talks faster than it may under the time at which it may go on; or lets it go if its connection is gone:
    /// reading would not tell before all was heard that came before, and for hours its seat would be nobody's.
    pub(super) fn list_throttled(&mut self, handle: Handle, now: Instant) {
        let Some(rate) = self.limits.rate else { return };
        if let Some(error) = self.connections.get(handle.key).and_then(Connection::take_error) {
            self.depart(handle.key, &Why::Reset(error), now);
            return;
        }
        let connections = &self.connections;
        let is_throttled = |handle: Handle| {
            known(connections, handle).is_some_and(|connection| connection.input == ReadState::Throttled)
        };
        self.due.throttled.tidy(connections.len(), |_, handle| is_throttled(handle));
        let next = connections.get(handle.key).and_then(|connection| connection.next_line_at(rate, now));
        self.due.throttled.push(next.unwrap_or(now), handle);
    }

    /// Has those heard who were throttled and may go on.
    pub(super) fn hear_throttled(&mut self, now: Instant) {
        while let Some((_, handle)) = self.due.throttled.pop_due(now) {
            let Some(connection) = known_mut(&mut self.connections, handle) else { continue };
            if connection.input == ReadState::Throttled {
                self.lists.queue(handle.key, connection);
            }
        }
    }

    /// Gives a newcomer a time in which to say something, if there is one.
    pub(super) fn expect_words(&mut self, handle: Handle, now: Instant) {
        if let Some(idle_timeout) = self.limits.idle_timeout {
            self.due.silent_newcomers.push(now + idle_timeout, handle);
        }
    }

    /// Lets those go who never said anything.
    pub(super) fn end_silent_newcomers(&mut self, now: Instant) {
        while let Some((_, handle)) = self.due.silent_newcomers.pop_due(now) {
            let Some(connection) = known(&self.connections, handle) else { continue };
            let Phase::Present(seat) = connection.phase else { continue };
            if self.room.has_spoken(seat) {
                continue;
            }
            if connection.input == ReadState::Drained {
                self.depart(handle.key, &Why::NeverSaidAnything, now);
            } else {
                // What it has sent is not heard yet: the room waits for somebody, say.
                self.expect_words(handle, now);
            }
        }
        let connections = &self.connections;
        self.due.silent_newcomers.tidy(connections.len(), |_, handle| known(connections, handle).is_some());
    }

    /// Lets one go who speaks another protocol.
    pub(super) fn turn_away(&mut self, key: usize, seat: MemberId, stranger: ForeignProtocol, now: Instant) {
        // Anybody's browser can be made to come as often as a page likes: that must not fill the log.
        let is_news = self.stranger_logged.is_none_or(|logged| now >= logged + FOREIGN_LOG_PERIOD);
        if is_news {
            self.stranger_logged = Some(now);
            info!("{} speaks {stranger}: let go (said once a minute at most)", self.room.name(seat));
        }
        self.depart(key, &Why::ForeignProtocol(stranger), now);
    }
}
