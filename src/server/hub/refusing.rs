//! How somebody is refused: asked at the door, told why not, and let go in good order; by a few at a time, however many
//! come. So refusing costs a bounded number of descriptors, and no one whom the door lets in waits for one whom it does not.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Instant;

use log::info;

use super::Hub;
use super::closing::Peer;
use crate::net::stream::Socket;
use crate::relay::notice;
use crate::server::access::Refusal;
use crate::server::connection::{Connection, Farewell, Phase};
use crate::server::endpoint::Endpoint;
use crate::server::web::exchange::Exchange;
use crate::server::web::response::Status;
use crate::server::web::websocket::code;

/// What the door said.
pub(super) enum Passed {
    /// It may come in, from there if that was asked.
    In(Option<IpAddr>),
    Refused(Refusal),
    /// The kernel does not know any more where it came from: the connection is gone.
    Gone(io::Error),
}

/// Why somebody cannot come in.
#[derive(Clone, Copy)]
pub(super) enum Reason {
    /// All places are taken of those who come to this port: so many.
    FullHouse(Endpoint, usize),
    Access(Refusal),
}

impl<S: Socket> Hub<S> {
    /// Asks at the door, if there is one.
    pub(super) fn pass_door(&self, stream: &S, port: Endpoint) -> Passed {
        let Some(door) = &self.door else { return Passed::In(None) };
        match stream.peer_address() {
            Ok(address) => match door.check(address.ip(), port) {
                Ok(()) => Passed::In(Some(address.ip())),
                Err(refusal) => Passed::Refused(refusal),
            },
            Err(error) => Passed::Gone(error),
        }
    }

    /// Tells one why it cannot come in, and lets it go; or just closes it, when as many are being told something already as
    /// may be, and none of them has been told all.
    pub(super) fn refuse(&mut self, stream: S, port: Endpoint, reason: Reason, now: Instant) {
        self.count_refusal(reason);
        if !self.makes_room_for_refusal() {
            info!("refused {} without a word: {reason}", Peer::of(&stream));
            return;
        }
        info!("refused {}: {reason}", Peer::of(&stream));
        let end = self.room.tape().end();
        let serial = self.issue_serial();
        let mut connection = match port {
            Endpoint::Lines => Connection::refused(stream, serial, end),
            Endpoint::Web => Connection::visitor(stream, serial, end, Exchange::new(now)),
        };
        match port {
            Endpoint::Lines => connection.tell(&reason.notice()),
            Endpoint::Web => connection.answer(&self.refusal(reason.status()).bytes),
        }
        connection.leave(end, Farewell::Fin(code::NORMAL), now);
        let key = self.next_key();
        self.lists.touch(key, &mut connection);
        self.connections.insert(connection);
        self.refused.push(key);
    }

    /// When the grace of the first of those who are refused is over, if they take nothing until then.
    pub(super) fn next_refusal_end(&self) -> Option<Instant> {
        self.refused.iter().filter_map(|&key| self.connections.get(key)?.deadline()).min()
    }

    /// Gives up those who were refused and have taken nothing for the grace time.
    pub(super) fn end_graces_of_refused(&mut self, now: Instant) {
        for &key in &self.refused {
            let connection = &mut self.connections[key];
            if connection.deadline().is_some_and(|deadline| deadline <= now) {
                self.lists.remove(key, connection);
            }
        }
    }

    /// Counts one who was refused.
    pub(super) fn count_refusal(&mut self, reason: Reason) {
        let refused = &mut self.figures.refused;
        match reason {
            Reason::FullHouse(..) => refused.full += 1,
            Reason::Access(Refusal::NotAllowed) => refused.denied += 1,
            Reason::Access(Refusal::TooMany(_)) => refused.crowded += 1,
        }
    }

    /// Makes room for more refusals by closing those who were told all, if there is no room.
    pub(super) fn end_old_refusals(&mut self) {
        if self.can_admit() {
            return;
        }
        let connections = &mut self.connections;
        for &key in &self.refused {
            if connections[key].phase == Phase::Lingering {
                self.lists.remove(key, &mut connections[key]);
            }
        }
    }

    /// Whether one more can be told why it is refused, if need be instead of the oldest of those who were told all.
    fn makes_room_for_refusal(&mut self) -> bool {
        // Those who have made room already are still listed; but each of them did so for one who came.
        if self.refused.len() < self.seats.refusals_max {
            return true;
        }
        let connections = &mut self.connections;
        let oldest = self.refused.iter().find(|&&key| connections[key].phase == Phase::Lingering);
        oldest.map(|&key| self.lists.remove(key, &mut connections[key])).is_some()
    }
}

impl Reason {
    /// What one is answered who speaks HTTP.
    fn status(self) -> Status {
        match self {
            Reason::FullHouse(..) => Status::ServiceUnavailable,
            Reason::Access(Refusal::NotAllowed) => Status::AddressNotAllowed,
            Reason::Access(Refusal::TooMany(_)) => Status::TooManyRequests,
        }
    }

    /// What one is told who speaks in lines, in frames or not.
    pub(super) fn notice(self) -> String {
        match self {
            Reason::FullHouse(_, clients_max) => notice::full_house(clients_max),
            Reason::Access(Refusal::NotAllowed) => notice::not_allowed(),
            Reason::Access(Refusal::TooMany(most)) => notice::too_many_from_address(most),
        }
    }
}

/// For the log.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::FullHouse(Endpoint::Lines, most) => write!(f, "the server is full ({most} clients)"),
            Reason::FullHouse(Endpoint::Web, most) => write!(f, "the page's door is full ({most} visitors)"),
            Reason::Access(Refusal::NotAllowed) => f.write_str("its address is not allowed"),
            Reason::Access(Refusal::TooMany(most)) => write!(f, "{most} are in from its address"),
        }
    }
}
