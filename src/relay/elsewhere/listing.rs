//! The members of other servers as this one lists them, and the other servers themselves.

use super::super::name::{GIVEN_PREFIX, Name, TYPED_BYTES_MAX, fold};
use super::super::sequence::Writer;
use super::Elsewhere;

/// A member of another server, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherRow<'a> {
    /// Its number, as shown.
    pub number: u64,
    /// Its name, as shown.
    pub name: String,
    /// Its server.
    pub server: Writer,
    /// The name of its server.
    pub server_name: &'a str,
    /// Its room.
    pub room: &'a Name,
    /// Seconds since it entered.
    pub seconds: u32,
    /// Lines that it has said, as far as this server knows.
    pub lines: u32,
}

impl Elsewhere {
    /// Returns the servers other than this one.
    pub fn others(&self) -> impl Iterator<Item = Writer> {
        self.servers.keys().copied().filter(|&server| server != self.own)
    }

    /// Whether a server is there, as far as the log tells.
    pub fn has(&self, server: Writer) -> bool {
        self.servers.contains_key(&server)
    }

    /// Whether this is the server that has this state.
    pub fn is_own(&self, server: Writer) -> bool {
        server == self.own
    }

    /// Whether a server counts as gone, and has not said hello since.
    pub fn is_gone(&self, server: Writer) -> bool {
        self.gone.contains(&server)
    }

    /// Whether all members of a server are known, or it is not there.
    pub fn knows(&self, server: Writer) -> bool {
        self.servers.get(&server).is_none_or(|server| server.is_known)
    }

    /// Returns another server whose `--announce-up-to` is not this, with its name and its value.
    pub fn differing(&self, announce_up_to: usize) -> Option<(&str, usize)> {
        let mut servers = self.servers.iter().filter(|&(&server, _)| server != self.own);
        let (_, server) = servers.find(|(_, server)| server.announce_up_to != announce_up_to)?;
        Some((&server.name, server.announce_up_to))
    }

    /// Whether this server is the smallest with members in a room; `None` if no server has any.
    pub fn speaks_in(&self, room: &Name) -> Option<bool> {
        Some(self.rooms.find(room)?.first_server()? == self.own)
    }

    /// Whether this server is the smallest of all.
    pub fn is_first(&self) -> bool {
        self.servers.keys().next() == Some(&self.own)
    }

    /// Whether a member of another server holds a name, in any case.
    pub fn is_held(&self, name: &Name) -> bool {
        let holder = self.names.get(name.folded()).and_then(|holder| self.members.get(holder));
        holder.is_some_and(|member| member.server != self.own)
    }

    /// Returns the number of the member of another server that is called `typed`, in any case.
    pub fn find(&self, typed: &str) -> Option<u64> {
        if typed.len() > TYPED_BYTES_MAX {
            return None;
        }
        let folded = fold(typed);
        let (number, is_chosen) = match self.names.get(&folded) {
            Some(&number) => (number, true),
            None => (folded.strip_prefix(GIVEN_PREFIX)?.parse().ok()?, false),
        };
        let member = self.members.get(&number).filter(|member| member.server != self.own)?;
        // Not a member that has chosen a name by now, and not `client-007`.
        (is_chosen || *member.shown(number) == *folded).then_some(number)
    }

    /// Returns the member of another server with this number.
    pub fn row(&self, number: u64, now: i64) -> Option<OtherRow<'_>> {
        let member = self.members.get(&number).filter(|member| member.server != self.own)?;
        Some(OtherRow {
            number,
            name: member.shown(number),
            server: member.server,
            server_name: self.servers.get(&member.server).map_or("", |server| &server.name),
            room: &self.rooms.room(member.room).name,
            seconds: u32::try_from(now.saturating_sub(member.since).max(0)).unwrap_or(u32::MAX),
            lines: member.lines,
        })
    }

    /// Returns the members of other servers in a room, the oldest first.
    pub fn rows_in(&self, room: &Name, now: i64) -> impl Iterator<Item = OtherRow<'_>> {
        let members = self.rooms.find(room).map(|room| room.members.iter());
        members.into_iter().flatten().filter_map(move |&(_, number)| self.row(number, now))
    }

    /// Returns those of them whose names begin with `folded`.
    pub fn rows_beginning(&self, room: &Name, folded: &str, now: i64) -> impl Iterator<Item = OtherRow<'_>> {
        let members = self.rooms.find(room).into_iter().flat_map(|room| room.members.iter());
        let is_asked = move |number: u64| match self.members.get(&number).map(|member| &member.name) {
            Some(Some(name)) => name.folded().starts_with(folded),
            Some(None) => format!("{GIVEN_PREFIX}{number}").starts_with(folded),
            None => false,
        };
        members.filter(move |&&(_, number)| is_asked(number)).filter_map(move |&(_, number)| self.row(number, now))
    }

    /// Returns the members of other servers with a number above `last`, by their numbers.
    pub fn rows_behind(&self, last: u64, now: i64) -> impl Iterator<Item = OtherRow<'_>> {
        self.members.range(last + 1..).filter_map(move |(&number, _)| self.row(number, now))
    }

    /// Returns the number of members of other servers.
    pub fn len(&self) -> usize {
        self.rooms.iter().map(|room| room.others(self.own)).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of members of other servers in a room.
    pub fn len_in(&self, room: &Name) -> usize {
        self.rooms.find(room).map_or(0, |room| room.others(self.own))
    }

    /// Returns the rooms with members of other servers, and the numbers of those.
    pub fn rooms(&self) -> impl Iterator<Item = (&Name, usize)> {
        self.rooms.iter().map(|room| (&room.name, room.others(self.own))).filter(|&(_, others)| others > 0)
    }
}
