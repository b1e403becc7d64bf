//! Lines of tracked clients that went to the bus and were not read back.
//!
//! A tracked client is told how many of its lines were taken, at a position: the records of those lines are before it,
//! and those of later lines behind. So a line counts as taken once its record is on the tape. An answer about the
//! session, a move and a farewell wait for that; so does a connection that resumes the session. Only a client that
//! missed records is told the smaller count at once. Nobody is kept from leaving while the server is cut off: such a
//! client finds its lines as not taken, and they may be heard later.

use std::collections::VecDeque;

use crate::net::stream::Socket;
use crate::relay::command::Command;
use crate::relay::directory::RoomId;
use crate::relay::line::LineDecoder;
use crate::relay::roster::MemberId;
use crate::relay::sanitize::sanitize;
use crate::server::hub::Hub;
use crate::server::hub::together::waits::Awaited;
use crate::server::sessions::SessionId;

/// The lines of a member that were not read back.
#[derive(Debug)]
pub(super) struct UnderWay {
    /// The room in which it said them.
    pub(super) room: RoomId,
    /// Their numbers among the lines of the session, the first of them first.
    lines: VecDeque<u64>,
}

impl<S: Socket> Hub<S> {
    /// Notes the last line that was taken of a tracked member: it is on its way to the bus.
    pub(super) fn begin_line_under_way(&mut self, member: MemberId) {
        let Some(session) = self.sessions.of_member(member) else { return };
        let (number, room) = (self.roster.number(member).shown(), self.roster.room(member));
        let under_way = &mut self.together.under_way;
        let lines = under_way.entry(number).or_insert_with(|| UnderWay { room, lines: VecDeque::new() });
        lines.lines.push_back(self.sessions[session].heard);
    }

    /// Notes that a line of the member with this number was read back.
    pub(super) fn end_line_under_way(&mut self, number: u64) {
        let Some(lines) = self.together.under_way.get_mut(&number) else { return };
        lines.lines.pop_front();
        if lines.lines.is_empty() {
            self.together.under_way.remove(&number);
            self.end_waits(|awaited| matches!(awaited, Awaited::Lines(other, _) if other == number));
        }
    }

    /// Counts all lines of a session as recorded: a client that resumes it cannot wait for them, and is not to send them
    /// a second time.
    pub(in crate::server::hub) fn forget_lines_under_way(&mut self, session: SessionId) {
        let Some(member) = self.sessions[session].member() else { return };
        let number = self.roster.number(member).shown();
        if self.together.under_way.remove(&number).is_some() {
            self.end_waits(|awaited| matches!(awaited, Awaited::Lines(other, _) if other == number));
        }
    }

    /// Returns how many lines of a session the server has taken whose records, if they have any, are on the tape.
    pub(in crate::server::hub) fn recorded_lines(&self, session: SessionId) -> u64 {
        let heard = self.sessions[session].heard;
        let Some(member) = self.sessions[session].member().filter(|_| self.bus.is_some()) else { return heard };
        let lines = self.together.under_way.get(&self.roster.number(member).shown());
        lines.and_then(|lines| lines.lines.front()).map_or(heard, |first| first - 1)
    }

    /// Whether a tracked connection that leaves waits until its lines were read back. While the server is cut off, it
    /// does not.
    pub(in crate::server::hub) fn leaves_later(&self, key: usize) -> bool {
        self.has_lines_under_way(key) && !self.is_cut_off()
    }

    /// Whether a tracked connection has said lines that were not read back.
    pub(in crate::server::hub) fn has_lines_under_way(&self, key: usize) -> bool {
        // The common case.
        if self.together.under_way.is_empty() {
            return false;
        }
        let member = self.session_of(key).and_then(|session| self.sessions[session].member());
        member.is_some_and(|member| self.together.under_way.contains_key(&self.roster.number(member).shown()))
    }

    /// Whether the next line of a connection waits until its earlier lines were read back: it asks for the state of the
    /// session, or leaves the room.
    pub(in crate::server::hub) fn awaits_own_lines(&self, key: usize, decoder: &LineDecoder, bytes: &[u8]) -> bool {
        if !self.has_lines_under_way(key) {
            return false;
        }
        let [fragment, rest] = decoder.begun(bytes);
        let rest = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
        let mut buffer = String::new();
        let line = [fragment, rest].concat();
        let command = Command::parse(sanitize(line.strip_suffix(b"\r").unwrap_or(&line), &mut buffer));
        match command {
            Command::Track { .. } | Command::Join { .. } => true,
            Command::Leave => self.leaves_later(key),
            _ => false,
        }
    }
}
