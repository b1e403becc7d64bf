//! Orders of operators on all servers: each server carries them out as if they were given there.
//!
//! A member is removed, and its address banned, by its own server. That one tells the others the address: they never see
//! it otherwise. A line for every room is said in each room once, by the smallest server with members there; in rooms
//! that exist forever and are empty, by the smallest of all.

use std::time::{Duration, Instant};

use super::super::Hub;
use super::super::banning::is_network;
use crate::net::stream::Socket;
use crate::relay::directory::RoomId;
use crate::relay::elsewhere::OtherRow;
use crate::relay::elsewhere::event::RosterEvent;
use crate::relay::name::Name;
use crate::relay::order::{Order, Row};
use crate::relay::roster::ClientNumber;
use crate::server::bans::shown;
use crate::server::bus::Entry;
use crate::server::limits::{KICK_REASON_BYTES_MAX, ROWS_MAX};
use crate::server::reason::Reason;
use crate::server::report::Kind;

impl<S: Socket> Hub<S> {
    /// Obeys an event that an operator of any server has caused.
    pub(super) fn obey_others(&mut self, entry: &Entry, event: &RosterEvent<'_>, now: Instant) {
        match *event {
            RosterEvent::Kick { number, reason } => {
                let reason = &reason[..reason.floor_char_boundary(KICK_REASON_BYTES_MAX)];
                let reason = Reason::Removed(reason.to_owned());
                if let Some(member) = self.roster.find_client(number) {
                    match self.roster.key(member) {
                        Some(key) => self.leave(key, &reason, now),
                        None => self.remove_away(member, &reason, now),
                    }
                }
            }
            RosterEvent::Ban { order } if !entry.is_own => {
                let order = format!("ban {order}");
                if let Ok(Order::Ban { target, time, reason }) = Order::parse(&order) {
                    self.obey_ban(target, time, reason, now);
                }
            }
            RosterEvent::Unban { order } if !entry.is_own => {
                // Nothing to lift here is no failure.
                let _ = self.unban_here(order, now);
            }
            RosterEvent::Announce { text } => self.announce_in_turn(text),
            _ => {}
        }
    }

    /// Carries out a ban that an operator of another server has ordered. One by a name is for the server of that member.
    fn obey_ban(&mut self, target: &str, time: Option<Duration>, reason: &str, now: Instant) {
        let is_name = !is_network(target);
        if is_name && self.roster.find(target).is_none() {
            return;
        }
        if let Err(why) = self.ban_here(target, time, reason, now, is_name) {
            let what = format_args!("a ban from another server is not carried out here: {why}");
            self.reports.note(Kind::ServerOdd("order"), None, what, now);
        }
    }

    /// Bans a member, an address or a network on all servers. Returns the answer for the operator.
    ///
    /// # Errors
    /// Why not, in words for the operator.
    pub(in super::super) fn ban_everywhere(
        &mut self,
        target: &str,
        time: Option<Duration>,
        reason: &str,
        now: Instant,
    ) -> Result<String, String> {
        if !is_network(target)
            && self.roster.find(target).is_none()
            && let Some(other) = self.find_other(target)
        {
            let name = other.name.clone();
            self.tell_ban(&name, time, reason);
            return Ok(format!("{name} is on another server, which bans its address"));
        }
        self.ban_here(target, time, reason, now, true)
    }

    /// Bans on this server, and tells the others the address.
    fn ban_here(
        &mut self,
        target: &str,
        time: Option<Duration>,
        reason: &str,
        now: Instant,
        is_told: bool,
    ) -> Result<String, String> {
        let network = if self.others.is_some() { Some(self.ban_target(target)?.0) } else { None };
        let answer = self.ban(target, time, reason, now)?;
        if let Some(network) = network.filter(|_| is_told) {
            self.tell_ban(&shown(&network).to_string(), time, reason);
        }
        Ok(answer)
    }

    fn tell_ban(&mut self, target: &str, time: Option<Duration>, reason: &str) {
        let time = time.map(|time| format!(" {}s", time.as_secs())).unwrap_or_default();
        let order = format!("{target}{time} {reason}");
        self.roster.tell_others(&RosterEvent::Ban { order: order.trim_end() });
    }

    /// Lifts a ban on all servers. Returns the answer for the operator.
    ///
    /// # Errors
    /// Why not, in words for the operator.
    pub(in super::super) fn unban_everywhere(&mut self, target: &str, now: Instant) -> Result<String, String> {
        let answer = self.unban_here(target, now);
        self.roster.tell_others(&RosterEvent::Unban { order: target });
        match answer {
            Err(why) if self.has_others() => Ok(format!("{why} here; the other servers are told")),
            answer => answer,
        }
    }

    /// Lifts a ban on this server. Tells the others the addresses that it lifts for a name: only the server that banned
    /// the name knows them.
    fn unban_here(&mut self, target: &str, now: Instant) -> Result<String, String> {
        let is_name = self.others.is_some() && !is_network(target);
        let networks = if is_name { self.next_lifted_of(target) } else { Vec::new() };
        let answer = self.unban(target, now)?;
        for network in networks {
            self.roster.tell_others(&RosterEvent::Unban { order: &shown(&network).to_string() });
        }
        Ok(answer)
    }

    /// Removes a member of another server, if there is one of this name. Returns the row of the answer.
    pub(in super::super) fn kick_elsewhere(&mut self, name: &str, reason: &str) -> Option<Row> {
        let other = self.find_other(name)?;
        let (number, removed, room) = (other.number, other.name.clone(), other.room.to_string());
        let reason = &reason[..reason.floor_char_boundary(KICK_REASON_BYTES_MAX)];
        self.roster.tell_others(&RosterEvent::Kick { number, reason: reason.trim_end() });
        Some(Row::Removed { removed, room })
    }

    /// Whether this server is the one that says the line of an operator in a room.
    pub(in super::super) fn announces_in(&self, room: RoomId) -> bool {
        let Some(elsewhere) = self.roster.elsewhere() else { return true };
        let directory = self.roster.directory();
        let speaks = elsewhere.speaks_in(directory.name(room));
        speaks.unwrap_or_else(|| directory.is_permanent(room) && elsewhere.is_first())
    }

    /// Returns the next members of all servers in a list, by their numbers, at most [`ROWS_MAX`].
    pub(in super::super) fn list_members(&self, all: bool, last: &mut Option<ClientNumber>, seconds: u32) -> Vec<Row> {
        let told = last.map_or(0, ClientNumber::shown);
        let others = self.roster.elsewhere().map(|elsewhere| elsewhere.rows_behind(told, seconds.into()));
        let mut others = others.into_iter().flatten().peekable();
        let mut here = self.roster.members_behind(*last).iter().copied().peekable();
        let mut rows = Vec::new();
        while rows.len() < ROWS_MAX {
            let number = here.peek().map(|&member| self.roster.number(member));
            // The console has the lowest number, which is no client's.
            let is_other_next = |other: &OtherRow<'_>| number.is_none_or(|number| other.number < number.shown());
            if let Some(other) = others.next_if(is_other_next) {
                *last = ClientNumber::of_client(other.number);
                rows.push(other_row(&other, all));
            } else if let Some(member) = here.next() {
                *last = number;
                rows.push(self.member_row(member, all, seconds));
            } else {
                break;
            }
        }
        rows
    }

    /// Returns the next rooms that are on other servers alone, at most [`ROWS_MAX`], behind so many.
    pub(in super::super) fn list_other_rooms(&self, told: &mut usize) -> Vec<Row> {
        let Some(elsewhere) = self.roster.elsewhere() else { return Vec::new() };
        let directory = self.roster.directory();
        let rooms = elsewhere.rooms().filter(|(room, _)| directory.find(room).is_none());
        let row = |(room, members): (&Name, usize)| Row::Room { room: room.to_string(), members, permanent: false };
        let rows: Vec<_> = rooms.skip(*told).take(ROWS_MAX).map(row).collect();
        *told += rows.len();
        rows
    }

    fn find_other(&self, name: &str) -> Option<OtherRow<'_>> {
        let elsewhere = self.roster.elsewhere()?;
        elsewhere.row(elsewhere.find(name)?, 0)
    }

    fn has_others(&self) -> bool {
        self.roster.elsewhere().is_some_and(|elsewhere| elsewhere.others().next().is_some())
    }
}

/// Returns the row of a member of another server in a list.
fn other_row(other: &OtherRow<'_>, all: bool) -> Row {
    let (name, room, seconds) = (other.name.clone(), other.room.to_string(), other.seconds);
    if !all {
        return Row::Member { name, room, seconds, lines: other.lines, away: false };
    }
    let address = Some(format!("on {}", other.server_name));
    Row::Connected { name, address, room, seconds, behind: 0, tracked: false, away: false }
}
