//! How somebody comes in: the operator before all others, and clients as long as there are seats.

use std::time::Instant;

use log::{debug, info};

use super::Hub;
use super::leaving::Peer;
use super::refusing::{Passed, Reason};
use crate::server::config::Seats;
use crate::server::connection::{Connection, Handle, Socket};

impl<S: Socket> Hub<S> {
    /// Whether one more connection could be given a seat, or at least an answer.
    pub fn can_admit(&self) -> bool {
        !self.is_full() || self.refused.len() < self.seats.refusals_max
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

    /// Takes a new connection in, or tells it why it cannot come in. It is not written to yet. One whom the kernel does not
    /// know any more is closed, if the door would ask where it comes from.
    pub fn admit(&mut self, stream: S, now: Instant) {
        match self.pass_door(&stream) {
            Passed::Gone(error) => debug!("gone before it came in: {error}"),
            Passed::Refused(refusal) => self.refuse(stream, Reason::Door(refusal), now),
            Passed::In(_) if self.is_full() => self.refuse(stream, Reason::FullHouse(self.seats.clients_max), now),
            Passed::In(address) => {
                let key = self.next_key();
                if let (Some(door), Some(address)) = (&mut self.door, address) {
                    door.let_in(key, address);
                }
                let seconds = self.seconds(now);
                let welcome = self.room.join(key, seconds, !self.brake.is_at_wall());
                self.brake.spend(welcome.announced);
                self.figures.came += 1;
                self.figures.present_most = self.figures.present_most.max(self.room.clients());
                info!("client-{} came from {}; {} present", welcome.number, Peer::of(&stream), self.room.clients());
                let mut connection = Connection::present(stream, self.issue_serial(), welcome.seat, welcome.reader);
                connection.tell(&welcome.private);
                self.lists.touch(key, &mut connection);
                self.see_newcomer(key, &connection);
                self.expect_words(Handle { key, serial: connection.serial() }, now);
                self.connections.insert(connection);
            }
        }
    }

    fn is_full(&self) -> bool {
        let clients_and_leavers = self.connections.len() - self.refused.len() - usize::from(self.console.is_some());
        let Seats { clients_max, leavers_max, .. } = self.seats;
        self.room.clients() >= clients_max || clients_and_leavers >= clients_max.saturating_add(leavers_max)
    }

    /// Takes note of how far behind a newcomer is who is to be shown what was said before.
    fn see_newcomer(&mut self, key: usize, connection: &Connection<S>) {
        let bytes_behind = connection.healthy_bytes_behind(self.room.tape());
        if bytes_behind > self.brake.threshold() {
            self.lists.far_behind.push(key);
            self.brake.see_newcomer(bytes_behind);
        }
    }
}
