//! How somebody comes in: the operator before all others, and clients as long as there are seats.

use std::time::Instant;

use log::{debug, info};

use super::Hub;
use super::closing::Peer;
use super::refusing::{Passed, Reason};
use crate::net::stream::Socket;
use crate::relay::room::{ClientNumber, Welcome};
use crate::server::config::Capacity;
use crate::server::connection::Connection;
use crate::server::endpoint::Endpoint;

impl<S: Socket> Hub<S> {
    /// Whether one more connection could be given a seat, or at least an answer.
    pub fn can_admit(&self) -> bool {
        !self.is_full(Endpoint::Lines) || self.refused.len() < self.seats.refusals_max
    }

    /// Takes in the operator's console, one more participant with a seat beside those of the clients: before all others,
    /// and once.
    pub fn open_console(&mut self, stream: S, now: Instant) {
        let key = self.next_key();
        let seconds = self.seconds(now);
        let welcome = self.room.seat_operator(key, seconds);
        let mut connection = Connection::present(stream, self.issue_serial(), welcome.seat, welcome.reader);
        connection.tell(&welcome.private);
        self.lists.touch(key, &mut connection);
        // Its input may be a file, which no event announces.
        self.lists.queue(key, &mut connection);
        self.connections.insert(connection);
        self.console = Some(key);
    }

    /// Takes a new connection in that came to this port, or tells it why it cannot come in. It is not written to yet.
    /// One whom the kernel does not know any more is closed, if the door would ask where it comes from.
    pub fn admit(&mut self, stream: S, port: Endpoint, now: Instant) {
        match self.pass_door(&stream, port) {
            Passed::Gone(error) => debug!("gone before it came in: {error}"),
            Passed::Refused(refusal) => self.refuse(stream, port, Reason::Access(refusal), now),
            Passed::In(_) if self.is_full(port) => {
                self.refuse(stream, port, self.full_house(port), now);
            }
            Passed::In(address) => {
                let key = self.next_key();
                if let (Some(door), Some(address)) = (&mut self.door, address) {
                    door.admit(key, address, port);
                }
                match port {
                    Endpoint::Lines => self.take_in_client(stream, key, now),
                    Endpoint::Web => self.take_in_visitor(stream, key, now),
                }
            }
        }
    }

    fn take_in_client(&mut self, stream: S, key: usize, now: Instant) {
        let welcome = self.welcome(key, now);
        let mut connection = Connection::present(stream, self.issue_serial(), welcome.seat, welcome.reader);
        connection.tell(&welcome.private);
        self.connections.insert(connection);
        self.withhold(key, now);
        self.settle_in(key, welcome.number, now);
    }

    /// Gives one a seat in the room.
    pub(super) fn welcome(&mut self, key: usize, now: Instant) -> Welcome {
        let seconds = self.seconds(now);
        let welcome = self.room.join(key, seconds, !self.brake.is_at_wall());
        self.brake.spend(welcome.announced);
        self.figures.came += 1;
        self.figures.present_most = self.figures.present_most.max(self.room.clients());
        welcome
    }

    /// Sees to one who was given a seat: that it is given what it is owed, and says something where it must.
    pub(super) fn settle_in(&mut self, key: usize, number: ClientNumber, now: Instant) {
        let connection = &mut self.connections[key];
        let kind = if connection.is_browser() { " with a browser" } else { "" };
        info!("client-{number} came from {}{kind}; {} present", Peer::of(connection.stream()), self.room.clients());
        self.lists.touch(key, connection);
        let handle = connection.handle(key);
        self.see_newcomer(key);
        self.expect_words(handle, now);
    }

    /// Whether there is no place for one more. Visitors of the page do not take the places of clients; nor is the
    /// page's door closed when the room is full, so that it can be told there.
    pub(super) fn is_full(&self, port: Endpoint) -> bool {
        let Capacity { clients_max, leavers_max, visitors_max, .. } = self.seats;
        if port == Endpoint::Web {
            return self.visitors >= visitors_max;
        }
        let others = self.refused.len() + self.visitors + usize::from(self.console.is_some());
        let clients_and_leavers = self.connections.len() - others;
        self.room.clients() >= clients_max || clients_and_leavers >= clients_max.saturating_add(leavers_max)
    }

    /// Why there is none.
    pub(super) fn full_house(&self, port: Endpoint) -> Reason {
        let Capacity { clients_max, visitors_max, .. } = self.seats;
        Reason::FullHouse(port, if port == Endpoint::Web { visitors_max } else { clients_max })
    }

    /// Takes note of how far behind a newcomer is who is to be shown what was said before.
    fn see_newcomer(&mut self, key: usize) {
        let bytes_behind = self.connections[key].healthy_bytes_behind(self.room.tape());
        if bytes_behind > self.brake.threshold() {
            self.lists.far_behind.push(key);
            self.brake.on_newcomer(bytes_behind);
        }
    }
}
