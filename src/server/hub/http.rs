//! Who comes for the page: its visitors, who ask and are answered, and how one of them becomes a client.
//!
//! A visitor is a connection like any other, but is not in the room. It is heard like a client, and what it is answered
//! comes off the same budgets. It asks for one thing in a turn, and for the next when it has taken what it was answered.

use std::io;
use std::mem;
use std::time::Instant;

use log::{debug, info};

use super::closing::Peer;
use super::refusing::Reason;
use super::{Hub, known, known_mut};
use crate::net::stream::Socket;
use crate::server::connection::input::{Input, Parked};
use crate::server::connection::{Connection, Farewell, Handle, Phase, ReadState};
use crate::server::endpoint::Endpoint;
use crate::server::limits::REQUEST_TIME;
use crate::server::web::exchange::{Exchange, RequestProgress};
use crate::server::web::frame;
use crate::server::web::response::Status;
use crate::server::web::site::{AfterAnswer, Answer};

impl<S: Socket> Hub<S> {
    /// Hears a visitor: what it asks for is answered. Of one who asks for nothing, such as one who sends empty lines
    /// for ever, no more is read in one turn than of any other.
    pub(super) fn hear_visitor(&mut self, key: usize, now: Instant) -> ReadState {
        let mut read_bytes_left = self.turn.read_share();
        loop {
            if self.turn.is_reply_spent() {
                return ReadState::Asking;
            }
            if self.connections[key].is_held(self.limits.holds) {
                return ReadState::Held;
            }
            let Some(visit) = self.connections[key].visit_mut() else { return ReadState::Queued };
            let answer = match visit.next_head() {
                RequestProgress::Head(head) => {
                    self.figures.requests += 1;
                    self.site.as_ref().map_or_else(Answer::empty, |site| site.answer(&head))
                }
                RequestProgress::TooLong => self.refusal(Status::HeadTooLong),
                RequestProgress::Tls => self.refusal(Status::TlsSpoken),
                RequestProgress::Partial if read_bytes_left == 0 => return ReadState::Queued,
                RequestProgress::Partial => match self.read_request(key, &mut read_bytes_left, now) {
                    Some(input) => return input,
                    None => continue,
                },
            };
            self.answer(key, &answer, now);
            return ReadState::Queued;
        }
    }

    /// What a visitor is answered of whose request there is no more to say.
    pub(super) fn refusal(&self, status: Status) -> Answer {
        self.site.as_ref().map_or_else(Answer::empty, |site| site.refuse(status))
    }

    /// Reads once; `None` if something came.
    fn read_request(&mut self, key: usize, bytes_left: &mut usize, now: Instant) -> Option<ReadState> {
        let connection = &mut self.connections[key];
        let room = connection.visit_mut().map_or(0, |visit| visit.free_bytes()).min(*bytes_left);
        match connection.read(&mut self.scratch[..room]) {
            Ok(0) => {
                // Half of a request is none, and all whole ones are answered.
                debug!("a visitor has gone ({})", Peer::of(connection.stream()));
                self.see_off_visitor(key, now);
                Some(ReadState::Ended)
            }
            Ok(bytes) => {
                *bytes_left -= bytes;
                self.figures.received_bytes += bytes as u64;
                self.turn.spend_read(bytes);
                if let Some(visit) = connection.visit_mut() {
                    visit.receive(&self.scratch[..bytes]);
                }
                None
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(ReadState::Drained),
            Err(_) => {
                self.lists.remove(key, connection);
                Some(ReadState::Ended)
            }
        }
    }

    fn answer(&mut self, key: usize, answer: &Answer, now: Instant) {
        let connection = &mut self.connections[key];
        connection.answer(&answer.bytes);
        self.turn.spend_reply(answer.bytes.len());
        self.lists.touch(key, connection);
        if let Some(visit) = connection.visit_mut() {
            visit.on_answered();
            visit.set_deadline(now + REQUEST_TIME);
        }
        match answer.next {
            AfterAnswer::Request => {}
            AfterAnswer::End => self.see_off_visitor(key, now),
            AfterAnswer::WebSocket => self.take_in_browser(key, now),
        }
    }

    /// Makes a visitor a client, if there is a place for it. If not, it is told so in frames, and goes as the visitor
    /// that it is: so there are no more of those who are refused than of visitors.
    fn take_in_browser(&mut self, key: usize, now: Instant) {
        let reason = if self.is_full(Endpoint::Lines) {
            Some(self.full_house(Endpoint::Lines))
        } else {
            self.door.as_mut().and_then(|door| door.promote(key).err()).map(Reason::Access)
        };
        let connection = &mut self.connections[key];
        if let Some(reason) = reason {
            info!("refused {}: {reason}", Peer::of(connection.stream()));
            connection.answer(&frame::refusal(&reason.notice()));
            self.count_refusal(reason);
            self.see_off_visitor(key, now);
            return;
        }
        self.visitors -= 1;
        let rest = connection.visit_mut().map(Exchange::take_pipelined).unwrap_or_default();
        let welcome = self.welcome(key, now);
        let connection = &mut self.connections[key];
        self.figures.browsers += 1;
        connection.move_in(welcome.seat, welcome.reader, now);
        // What came behind the request are frames already.
        let mut lines = mem::take(&mut self.lines);
        lines.clear();
        connection.tell(&welcome.private);
        connection.take_in(&rest, &mut lines, now);
        connection.put_intake(Input { parked: Parked::new(&lines), ..Input::default() }, now);
        self.lines = lines;
        self.settle_in(key, welcome.number, now);
        self.begin_vigil(key, now);
    }

    /// Takes one in at the page's door.
    pub(super) fn take_in_visitor(&mut self, stream: S, key: usize, now: Instant) {
        debug!("a visitor came from {}", Peer::of(&stream));
        let (serial, deadline) = (self.issue_serial(), now + REQUEST_TIME);
        let end = self.room.tape().end();
        self.connections.insert(Connection::visitor(stream, serial, end, Exchange::new(deadline)));
        self.visitors += 1;
        self.due.visits.push(deadline, Handle { key, serial });
    }

    /// Lets those go who take too long to ask, or to take what they were answered.
    pub(super) fn end_visits(&mut self, now: Instant) {
        while let Some((_, handle)) = self.due.visits.pop_due(now) {
            let Some(connection) = known_mut(&mut self.connections, handle) else { continue };
            if connection.phase != Phase::Visiting {
                continue;
            }
            let has_untaken = connection.private_bytes() > 0;
            let is_waiting = connection.input != ReadState::Drained;
            let Some(visit) = connection.visit_mut() else { continue };
            if visit.deadline() > now {
                self.due.visits.push(visit.deadline(), handle);
            } else if has_untaken {
                self.lists.remove(handle.key, connection);
            } else if is_waiting {
                // It is not its fault: what it has sent is not heard yet.
                self.due.visits.push(now + REQUEST_TIME, handle);
            } else if visit.is_idle() {
                self.see_off_visitor(handle.key, now);
            } else {
                self.answer(handle.key, &self.refusal(Status::RequestTimeout), now);
            }
        }
        let connections = &self.connections;
        self.due.visits.tidy(connections.len(), |_, handle| {
            known(connections, handle).is_some_and(|connection| connection.phase == Phase::Visiting)
        });
    }

    /// Ends a visit in good order.
    pub(super) fn see_off_visitor(&mut self, key: usize, now: Instant) {
        let cursor = self.connections[key].reader.cursor();
        self.see_off(key, cursor, Farewell::Close(None), now);
    }
}
