//! How a browser that opens the port for lines is told where the page is. It takes nothing that comes before the answer
//! to its request; so, where there is a page, a newcomer is not greeted before it has said something that is no
//! request, or nothing for a moment.

use std::time::Instant;

use super::{Hub, known};
use crate::net::stream::Socket;
use crate::relay::notice;
use crate::relay::tape::Position;
use crate::server::connection::{Farewell, Output};
use crate::server::limits::ENTER_DELAY;
use crate::server::sniff::ForeignProtocol;
use crate::server::web::websocket::code;

impl<S: Socket> Hub<S> {
    /// Withholds the greeting of a newcomer, if there is a page.
    pub(super) fn withhold(&mut self, key: usize, now: Instant) {
        if self.site.is_some() {
            let connection = &mut self.connections[key];
            connection.output = Output::Withheld;
            self.due.withheld.push(now + ENTER_DELAY, connection.handle(key));
        }
    }

    /// Greets one who turned out to speak our protocol.
    pub(super) fn release(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        if connection.release() {
            self.lists.touch(key, connection);
        }
    }

    /// Greets those who have said nothing for a moment.
    pub(super) fn end_withholding(&mut self, now: Instant) {
        while let Some((_, handle)) = self.due.withheld.pop_due(now) {
            if known(&self.connections, handle).is_some() {
                self.release(handle.key);
            }
        }
    }

    /// Tells one who speaks another protocol that we do not, and is owed what comes before `stop`; in HTTP where the
    /// page is, if there is one.
    pub(super) fn tell_stranger(&mut self, key: usize, stranger: ForeignProtocol, stop: Position) -> Farewell {
        let connection = &mut self.connections[key];
        let Some(site) = self.site.as_ref().filter(|_| stranger == ForeignProtocol::Http) else {
            connection.tell(&notice::foreign_protocol(&stranger.to_string()));
            return Farewell::Fin(code::NORMAL);
        };
        if connection.output == Output::Withheld {
            connection.withdraw_private();
        }
        connection.reader.forgo(stop);
        connection.answer(&site.answer_at_line_port());
        Farewell::Close(None)
    }
}
