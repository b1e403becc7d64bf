//! The end of a connection: its reason, the bytes that it is still owed, the deadline for them, and its removal. Counts
//! leaves and disconnects.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::Hub;
use super::timers::Timer;
use crate::net::stream::Socket;
use crate::relay::directory::RoomId;
use crate::relay::event::Event;
use crate::relay::notice::Notice;
use crate::relay::roster::{Introduction, MemberId};
use crate::relay::tape::Position;
use crate::server::connection::{Farewell, LastWords, Output, Phase, ReadState, Role};
use crate::server::flow::budget::Effort;
use crate::server::limits::GRACE;
use crate::server::reason::Reason;
use crate::server::sniff::ForeignProtocol;
use crate::server::web::websocket::code;

impl<S: Socket> Hub<S> {
    /// Closes a connection that is in the room or entering, and counts the reason. In most cases the connection still
    /// gets the lines said before. After a reset or a failed write, it is removed at the end of the turn.
    pub(super) fn leave(&mut self, key: usize, reason: &Reason, now: Instant) {
        let connection = &self.connections[key];
        let room = connection.was_in_room().then(|| self.room_of(connection));
        let stop = match connection.phase {
            Phase::Present(member) | Phase::Moving(member) => {
                self.connections.discount_member(key);
                match self.part_from_session(key, member, reason, now) {
                    Some(stop) => stop,
                    None => self.leave_server(key, member, reason, now),
                }
            }
            Phase::Entering => {
                self.stats.passing += u64::from(!reason.is_ours());
                self.log_passing(key, reason);
                Position::default()
            }
            Phase::Closing | Phase::Gone => return,
        };
        self.stats.reasons.count(reason);
        self.budget.spend(Effort::Leave);
        let connection = &mut self.connections[key];
        let farewell = match reason {
            Reason::Reset(_) | Reason::Unwritable => {
                self.schedule.close(key, connection);
                // A mover keeps its old room until it is removed: no other room may take that room's number before.
                if let Some(room) = room.filter(|_| connection.left_room().is_none()) {
                    self.rooms.remove_reader(room, key, self.roster.directory());
                }
                return;
            }
            Reason::PageClosed(code) => {
                connection.cursor.discard(stop, connection.dialect());
                Farewell::Close(*code)
            }
            Reason::ProtocolError(code) => {
                connection.cursor.discard(stop, connection.dialect());
                Farewell::Close(Some(*code))
            }
            Reason::Foreign(protocol) => self.answer_foreign(key, *protocol, stop),
            _ => {
                // A client that takes nothing gets no more of the tape, or it could delay its own removal.
                let is_stuck =
                    matches!(reason, Reason::Removed(_) | Reason::Banned(_)) && connection.output == Output::Blocked;
                if is_stuck || matches!(reason, Reason::TooSlow) {
                    connection.cursor.skip_missed(stop, connection.dialect());
                }
                if let Some(notice) = reason.notice() {
                    connection.tell(&notice.to_line());
                }
                self.fin(key, reason.close_code())
            }
        };
        self.begin_close(key, room, stop, farewell, now);
    }

    /// Takes a member off the server. Returns the end of the tape that it is owed.
    fn leave_server(&mut self, key: usize, member: MemberId, reason: &Reason, now: Instant) -> Position {
        match self.connections[key].phase {
            Phase::Moving(_) => self.leave_between_rooms(key, member, reason, now),
            _ => self.leave_room(key, member, reason, now),
        }
    }

    /// Takes a member off the server that is on its way to another room. Returns the end of the tape that it is owed.
    fn leave_between_rooms(&mut self, key: usize, member: MemberId, reason: &Reason, now: Instant) -> Position {
        let connection = &self.connections[key];
        let (stop, to) = (connection.departure_stop().unwrap_or_default(), connection.destination());
        let name = self.roster.shown(member).to_string();
        self.log_roster(key, format_args!("{name} leaves"));
        let room = self.roster.room(member);
        self.rooms.apply(room, &mut self.roster, reason.departure(member));
        if let Some(to) = to {
            self.rooms.expect_no_longer(to, self.roster.directory());
        }
        self.report_departure(key, (&name, room), reason, true, now);
        stop
    }

    /// Takes a member out of its room, and off the server. Returns the end of the tape that it is owed.
    fn leave_room(&mut self, key: usize, member: MemberId, reason: &Reason, now: Instant) -> Position {
        let stop = self.rooms[self.roster.room(member)].tape().end();
        self.log_roster(key, format_args!("{} leaves", self.roster.shown(member)));
        self.remove_member(key, member, reason, now);
        stop
    }

    /// Removes a member that is in a room from the roster.
    pub(super) fn remove_member(&mut self, key: usize, member: MemberId, reason: &Reason, now: Instant) {
        let room = self.roster.room(member);
        let name = self.roster.shown(member).to_string();
        let has_arrived = self.rooms[room].arrived.contains(key);
        let was_announced = has_arrived || self.roster.introduction(member) != Introduction::Pending;
        self.rooms.apply(room, &mut self.roster, reason.departure(member));
        self.rooms.announce_queued(room, &mut self.roster);
        self.rooms.unsettle(room);
        self.stats.passing += u64::from(!was_announced && !reason.is_ours());
        self.report_departure(key, (&name, room), reason, was_announced, now);
    }

    /// Tells a peer that we do not speak its protocol, in its own manner if one line is enough; in HTTP, with the
    /// address of the page, if there is one.
    fn answer_foreign(&mut self, key: usize, protocol: ForeignProtocol, stop: Position) -> Farewell {
        let connection = &mut self.connections[key];
        if let Some(site) = self.site.as_ref().filter(|_| protocol == ForeignProtocol::Http) {
            connection.cursor.discard(stop, connection.dialect());
            connection.push_bytes(&site.answer_at_line_port());
            return Farewell::Close(None);
        }
        if let Some(notice) = Reason::Foreign(protocol).notice() {
            match protocol.error_prefix() {
                Some(prefix) => connection.push_bytes(format!("{prefix}{notice}\r\n").as_bytes()),
                None => connection.tell(&notice.to_line()),
            }
        }
        Farewell::Fin(code::NORMAL)
    }

    /// Begins to close a connection, which is still sent the tape of `room` before `stop`.
    pub(super) fn begin_close(
        &mut self,
        key: usize,
        room: Option<RoomId>,
        stop: Position,
        farewell: Farewell,
        now: Instant,
    ) {
        let connection = &mut self.connections[key];
        connection.begin_close(room, stop, farewell, now);
        if let Some(room) = room {
            // If the room holds it, it is to be read from now on.
            self.rooms[room].looked_at = 0;
        }
        self.schedule.mark_dirty(key, connection);
        if let Some(deadline) = connection.deadline() {
            self.timers.set(deadline, Timer::Close, connection.handle(key));
        }
    }

    /// Returns how a connection is told `FIN`: as a line, unless silence may end its lines (`--flush-after`).
    pub(super) fn fin(&self, key: usize, close_code: u16) -> Farewell {
        let connection = &self.connections[key];
        let is_client = connection.role() != Role::Console && !connection.is_browser() && !connection.is_http();
        if self.limits.flush_after.is_none() || !is_client || connection.habit.has_newlines() {
            return Farewell::Fin(close_code);
        }
        Farewell::Bare(LastWords::for_habit(connection.habit))
    }

    /// Flushes a closing connection, whose pause before its next word is over.
    pub(super) fn on_last_word_timer(&mut self, key: usize) -> Option<Instant> {
        self.schedule.mark_dirty(key, &mut self.connections[key]);
        None
    }

    /// Drops a closing connection that has taken nothing for the grace time.
    pub(super) fn on_close_timer(&mut self, key: usize, now: Instant) -> Option<Instant> {
        let connection = &mut self.connections[key];
        let deadline = connection.deadline()?;
        if deadline > now {
            return Some(deadline);
        }
        if self.schedule.is_unflushed(connection) {
            return Some(now + GRACE);
        }
        self.schedule.close(key, connection);
        None
    }

    /// Disconnects a client that has never sent anything (`--idle-timeout`).
    pub(super) fn on_idle_timer(&mut self, key: usize, now: Instant) -> Option<Instant> {
        let idle_timeout = self.limits.idle_timeout?;
        let connection = &self.connections[key];
        let Phase::Present(member) = connection.phase else { return None };
        if self.roster.has_spoken(member) {
            return None;
        }
        if let Some(later) = self.later_silence(key, member, now) {
            return Some(later);
        }
        if connection.read_state != ReadState::Idle {
            // Its input is not read yet: the room waits for a slow reader, say.
            return Some(now + idle_timeout);
        }
        self.leave(key, &Reason::Silent(idle_timeout.as_secs()), now);
        None
    }

    /// Removes closed connections from the slab and from access control. Returns how many.
    pub(super) fn remove_closed(&mut self) -> usize {
        let closed = self.schedule.take_closed();
        for &key in &closed {
            if let Some(room) = self.connections[key].left_room() {
                self.rooms.remove_reader(room, key, self.roster.directory());
            }
            if self.bus.is_some() {
                self.forget_wait(self.connections[key].handle(key));
            }
            self.connections.remove(key);
            self.admission.take_destination(key);
            self.doorkeeper.forget(key);
            self.proxied.release(key);
            self.operators.forget(key);
            if let Some(access) = &mut self.admission.access {
                access.release(key);
            }
        }
        closed.len()
    }

    /// Tells all clients of the shutdown and closes all connections. If the sessions are handed over to the next run,
    /// their members stay in the rooms, and no tape tells of the shutdown.
    pub fn shut_down(&mut self, now: Instant) {
        // The last turn may be long ago, and the notice has the time of this one.
        self.rooms.begin_turn(now);
        if !self.puts_off_shutdown(now) {
            self.shut_down_now(now);
        }
    }

    /// Tells all clients of the shutdown and closes all connections, at once.
    pub(super) fn shut_down_now(&mut self, now: Instant) {
        self.end_bus();
        let hands_over = self.hands_over();
        if hands_over {
            self.put_tracked_away(now);
        } else {
            self.announce_shutdown();
        }
        let keys: Vec<usize> = self.connections.iter().map(|(key, _)| key).collect();
        for key in keys {
            let connection = &self.connections[key];
            match connection.phase {
                Phase::Present(_) => {
                    self.connections.discount_member(key);
                    let room = self.room_of(&self.connections[key]);
                    let end = self.rooms[room].tape().end();
                    let farewell = match hands_over {
                        true => self.tell_shutdown(key),
                        // `FIN` would say that they were not taken. The log decides, at another server.
                        false if self.has_lines_under_way(key) => Farewell::Close(Some(code::GOING_AWAY)),
                        false => self.fin(key, code::GOING_AWAY),
                    };
                    self.begin_close(key, Some(room), end, farewell, now);
                }
                Phase::Moving(_) => self.close_mover(key, now),
                Phase::Entering if connection.is_handshaking() => {
                    self.schedule.close(key, &mut self.connections[key]);
                }
                Phase::Entering if connection.is_http() => self.close_entering(key, Farewell::Close(None), now),
                Phase::Entering if connection.role() == Role::Operator => self.close_operator(key, now),
                Phase::Entering => self.close_entering(key, self.fin(key, code::GOING_AWAY), now),
                Phase::Closing | Phase::Gone => {}
            }
        }
        if hands_over {
            self.hand_over(now);
        }
        self.say_goodbye_to_others();
        self.roster.clear();
        self.sessions.clear();
        for room in self.roster.directory().ids().collect::<Vec<_>>() {
            self.rooms.note_empty(room, self.roster.directory());
        }
    }

    /// Announces the shutdown in all rooms, even if a brake holds: the longest line leaves room for this notice.
    fn announce_shutdown(&mut self) {
        // A room without readers is told nothing: for that alone its journal would begin a file in each run.
        let is_read = |room: &RoomId| self.rooms[*room].readers() > 0;
        let rooms: Vec<_> = self.roster.directory().ids().filter(is_read).collect();
        for room in rooms {
            self.rooms.apply(room, &mut self.roster, Event::ShuttingDown);
        }
    }

    /// Returns the farewell of a client that no tape tells of the shutdown.
    fn tell_shutdown(&mut self, key: usize) -> Farewell {
        match self.fin(key, code::GOING_AWAY) {
            Farewell::Fin(code) => Farewell::ShuttingDown(code),
            // Its last word is a write of its own. Only a client that reads slowly reads this before the last lines.
            bare => {
                self.connections[key].tell(&Notice::ShuttingDown.to_line());
                bare
            }
        }
    }

    /// Closes a connection between two rooms for the shutdown, which no tape tells it.
    fn close_mover(&mut self, key: usize, now: Instant) {
        self.connections.discount_member(key);
        let connection = &self.connections[key];
        let (room, stop) = (self.room_of(connection), connection.departure_stop().unwrap_or_default());
        if let Some(to) = connection.destination() {
            self.rooms.expect_no_longer(to, self.roster.directory());
        }
        self.connections[key].tell(&Notice::ShuttingDown.to_line());
        self.begin_close(key, Some(room), stop, self.fin(key, code::GOING_AWAY), now);
    }
}

/// The address of a peer, for the log. The server asks the kernel for it when it logs, and keeps only those that a proxy
/// gives.
pub(super) enum Peer {
    Client(SocketAddr),
    /// A client whose port its proxy did not give.
    Host(IpAddr),
    /// A peer over a Unix socket.
    Local,
    /// A peer whose address the kernel no longer knows.
    Unknown,
    Console,
}

impl Peer {
    /// Returns the address, if it is known.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        match self {
            Peer::Client(address) => Some(address.ip()),
            Peer::Host(address) => Some(*address),
            Peer::Local | Peer::Unknown | Peer::Console => None,
        }
    }

    /// Returns the address as the log has it in a field, if it is known.
    pub(super) fn field(&self) -> Option<String> {
        match self {
            Peer::Client(address) => Some(address.to_string()),
            Peer::Host(address) => Some(address.to_string()),
            Peer::Local => Some("unix".to_owned()),
            Peer::Console => Some("console".to_owned()),
            Peer::Unknown => None,
        }
    }

    pub(super) fn is_known(&self) -> bool {
        !matches!(self, Peer::Unknown)
    }

    pub(super) fn of_stream<S: Socket>(stream: &S) -> Peer {
        match stream.peer_address() {
            Ok(Some(address)) => Peer::Client(address),
            Ok(None) => Peer::Local,
            Err(_) => Peer::Unknown,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Client(address) => write!(f, "{address}"),
            Peer::Host(address) => write!(f, "{address}"),
            Peer::Local => f.write_str("a Unix socket"),
            Peer::Unknown => f.write_str("unknown address"),
            Peer::Console => f.write_str("the console"),
        }
    }
}
