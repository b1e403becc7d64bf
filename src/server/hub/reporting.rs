//! The log lines of the hub about clients and peers: their coming, their end, their names, their rooms and their lines.
//!
//! [`Reports`] throttles those of interest to operators. The others are for debugging, and cost nothing while nobody
//! debugs: the peer's address is a system call.

use std::fmt;
use std::time::Instant;

use log::{Level, debug, log_enabled};

use super::Hub;
use super::closing::Peer;
use crate::net::stream::Socket;
use crate::relay::command::Command;
use crate::relay::directory::RoomId;
use crate::relay::roster::{MemberId, Roster};
use crate::server::connection::{Phase, Transport};
use crate::server::fields::{Event, Fields, Quoted};
use crate::server::reason::Reason;
use crate::server::report::{Kind, Reports};

impl<S: Socket> Hub<S> {
    /// Logs an event of a peer for debugging: the words before its address, and the name of the event.
    pub(super) fn log_peer(&self, key: usize, event: &str, words: &str) {
        if log_enabled!(Level::Debug) {
            let peer = self.peer(key);
            let address = peer.field();
            let fields = Fields { address: address.as_deref(), ..Fields::default() };
            debug!("{words} {peer}{}", Event(event, fields));
        }
    }

    /// Logs the end of a connection that was not in a room.
    pub(super) fn log_passing(&self, key: usize, reason: &Reason) {
        if log_enabled!(Level::Debug) {
            let peer = self.peer(key);
            let address = peer.field();
            let fields = Fields { address: address.as_deref(), reason: Some(reason.label()), ..Fields::default() };
            debug!("{peer} left before it entered ({reason}){}", Event("passed", fields));
        }
    }

    /// Logs a line for debugging: what is said, quoted, so that it forges nothing; and the words of commands alone, because
    /// what follows them may be meant for one other member, or for the server.
    pub(super) fn log_line(&self, member: MemberId, text: &str) {
        if !log_enabled!(Level::Debug) {
            return;
        }
        let (name, room) = (self.roster.shown(member).to_string(), room_of(&self.roster, member));
        let fields = Fields { name: Some(&name), room: Some(room), ..Fields::default() };
        let command = Command::parse(text);
        if let Some(said) = command.said() {
            debug!("{name}: {}{}", Quoted(&said), Event("said", fields));
            return;
        }
        match command {
            Command::Nothing => {}
            Command::Indented => debug!("{name} types a command behind blanks{}", Event("command", fields)),
            _ => {
                let word = text.split_ascii_whitespace().next().unwrap_or_default();
                debug!("{name} types {}{}", Quoted(word), Event("command", fields));
            }
        }
    }

    /// Logs an overlong line for debugging.
    pub(super) fn log_overlong(&self, member: MemberId) {
        if log_enabled!(Level::Debug) {
            let (name, bytes_max) = (self.roster.shown(member).to_string(), self.limits.framing.line_bytes_max);
            let fields = Fields { name: Some(&name), ..Fields::default() };
            debug!("{name}: a line over {bytes_max} bytes{}", Event("overlong", fields));
        }
    }

    /// Logs for debugging that a member tells another one something.
    pub(super) fn log_message(&self, member: MemberId, to: usize) {
        if !log_enabled!(Level::Debug) {
            return;
        }
        if let Some(Phase::Present(to) | Phase::Moving(to)) = self.connections.get(to).map(|to| to.phase) {
            let [name, to] = [member, to].map(|member| self.roster.shown(member).to_string());
            let fields = Fields { name: Some(&name), to: Some(&to), ..Fields::default() };
            debug!("{name} tells {to} something{}", Event("told", fields));
        }
    }

    /// Reports the departure of the member of this name from this room.
    pub(super) fn report_departure(
        &mut self,
        key: usize,
        (name, room): (&str, RoomId),
        reason: &Reason,
        was_announced: bool,
        now: Instant,
    ) {
        // A member that nobody was told of leaves as silently. The reason of a disconnect by the server is always of
        // interest; a foreign protocol was reported already.
        let kind = match reason {
            Reason::Foreign(_) => was_announced.then_some(Kind::Left),
            Reason::Removed(_) | Reason::Banned(_) => Some(Kind::Removed),
            _ if reason.is_ours() => Some(Kind::Disconnected(reason.label())),
            _ => was_announced.then_some(Kind::Left),
        };
        if !kind.map_or_else(|| log_enabled!(Level::Debug), Reports::wants) {
            return;
        }
        let peer = self.peer(key);
        let clients = self.roster.clients();
        // The kernel forgets the address of a reset connection. The line about its arrival has it.
        let (separator, address) = if peer.is_known() { ("; ", peer.to_string()) } else { ("", String::new()) };
        let (field, room) = (peer.field(), self.roster.directory().name(room).as_str());
        let fields = Fields {
            name: Some(name),
            address: field.as_deref(),
            room: Some(room),
            reason: Some(reason.label()),
            ..Fields::default()
        };
        let what = format_args!("{name} left ({reason}{separator}{address}); {clients} present");
        match kind {
            Some(kind) => self.reports.note_with(kind, fields, peer.ip(), what, now),
            None => debug!("{what}{}", Event("passed", fields)),
        }
    }

    /// Reports that the server disconnects a tracked member, whose seat is kept.
    pub(super) fn report_away(&mut self, key: usize, member: MemberId, reason: &Reason, now: Instant) {
        let kind = Kind::Away(reason.label());
        if !Reports::wants(kind) {
            return;
        }
        let (name, room) = (self.roster.shown(member).to_string(), room_of(&self.roster, member));
        let peer = self.peer(key);
        let address = peer.field();
        let fields = Fields { name: Some(&name), address: address.as_deref(), room: Some(room), ..Fields::default() };
        let what = format_args!("{name} was disconnected ({reason}; {peer}), and its seat is kept");
        self.reports.note_with(kind, fields, peer.ip(), what, now);
    }

    /// Reports that a member has another name, if its coming was reported.
    pub(super) fn report_renaming(&mut self, member: MemberId, was: &str, now: Instant) {
        if !Reports::wants(Kind::Renamed) {
            return;
        }
        let (name, room) = (self.roster.shown(member).to_string(), room_of(&self.roster, member));
        let peer = self.roster.key(member).map(|key| self.peer(key));
        let address = peer.as_ref().and_then(Peer::field);
        let fields = Fields {
            name: Some(&name),
            was: Some(was),
            address: address.as_deref(),
            room: Some(room),
            ..Fields::default()
        };
        let what = format_args!("{was} is now {name}");
        self.reports.note_with(Kind::Renamed, fields, peer.and_then(|peer| peer.ip()), what, now);
    }

    /// Logs that a member goes to another room. That is no change of the members, and so of interest for debugging alone.
    pub(super) fn log_move(&self, key: usize, member: MemberId, to: RoomId) {
        if log_enabled!(Level::Debug) {
            let (name, from) = (self.roster.shown(member).to_string(), room_of(&self.roster, member));
            let (room, address) = (self.roster.directory().name(to).as_str(), self.peer(key).field());
            let fields = Fields {
                name: Some(&name),
                address: address.as_deref(),
                room: Some(room),
                from: Some(from),
                ..Fields::default()
            };
            debug!("{name} goes from {from} to {room}{}", Event("moved", fields));
        }
    }

    /// Reports a member when the room learns of it, or would if it were smaller.
    pub(super) fn report_arrival(&mut self, key: usize, member: MemberId, now: Instant) {
        if !Reports::wants(Kind::Came) {
            return;
        }
        let connection = &self.connections[key];
        let (name, peer, clients) = (self.roster.shown(member), self.peer(key), self.roster.clients());
        let browser = if connection.is_browser() { " with a browser" } else { "" };
        let (shown, address) = (name.to_string(), peer.field());
        let fields = Fields {
            name: Some(&shown),
            address: address.as_deref(),
            transport: Some(Transport::LABELS[connection.transport() as usize]),
            room: Some(room_of(&self.roster, member)),
            ..Fields::default()
        };
        let what = format_args!("{shown} came from {peer}{browser}; {clients} present");
        self.reports.note_with(Kind::Came, fields, peer.ip(), what, now);
    }

    /// Logs a change of the roster with its place on the tape. The simulator reads this log: no line of the tape says
    /// when a client entered.
    pub(super) fn log_roster(&self, key: usize, change: fmt::Arguments<'_>) {
        let connection = &self.connections[key];
        let room = self.room_of(connection);
        let (name, offset) = (self.roster.directory().name(room), self.rooms[room].tape().end().offset);
        debug!(target: "pollchat::roster", "{} in {name} at {offset}: {change}", self.peer(key));
    }

    /// Logs a change of the roster that no connection makes.
    pub(super) fn log_roster_in(&self, room: RoomId, change: fmt::Arguments<'_>) {
        let (name, offset) = (self.roster.directory().name(room), self.rooms[room].tape().end().offset);
        debug!(target: "pollchat::roster", "nobody in {name} at {offset}: {change}");
    }
}

/// Returns the name of the room of a member.
fn room_of(roster: &Roster, member: MemberId) -> &str {
    roster.directory().name(roster.room(member)).as_str()
}
