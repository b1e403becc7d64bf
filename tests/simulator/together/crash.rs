//! Crashes of servers: the rooms must read that the members of a dead server have left.
//!
//! A room in which nobody was left reads nothing. So a crash has witnesses: the plain clients of other servers that are
//! in a room when the server crashes. If one of them is still there at the end, the room has had a reader all the time.

use std::time::Duration;

use super::peers::Course;
use super::{Client, World};
use crate::rule::{Rule, Verdict};

/// A crash of a server.
#[derive(Debug)]
pub(super) struct Crash {
    pub(super) writer: String,
    pub(super) witnesses: Vec<Witness>,
}

/// A client that was in a room when a server crashed.
#[derive(Debug)]
pub(super) struct Witness {
    line: usize,
    room: String,
    moves: usize,
}

impl World {
    /// Judges that each room with a reader was told that the members of dead servers have left.
    pub(super) fn judge_ghosts(&self) -> Verdict {
        if self.logs.has_lost_data {
            return Ok(());
        }
        let now = self.witnesses();
        for crash in &self.crashes {
            for (room, log) in &self.logs.rooms {
                let is_there = |before: &&Witness| {
                    before.room == *room && now.iter().any(|now| (now.line, now.moves) == (before.line, before.moves))
                };
                let Some(witness) = crash.witnesses.iter().find(is_there) else { continue };
                let ghost = log.present.values().find(|present| present.writer == crash.writer);
                Rule::BusPresence.demands(ghost.is_none(), || {
                    format!("{ghost:?} has not left {room}, where connection {} reads", witness.line)
                })?;
            }
        }
        Ok(())
    }

    /// The plain clients that are in rooms of servers that are there.
    fn witnesses(&self) -> Vec<Witness> {
        let here = self.alive.iter().filter_map(|&line| match &self.lines[line].client {
            Client::Plain(peer, transcript)
                if peer.course == Course::Here
                    && !self.lines[line].is_broken
                    && self.places[self.lines[line].server].server.is_some() =>
            {
                Some(Witness { line, room: transcript.room.clone()?, moves: transcript.moves })
            }
            _ => None,
        });
        here.collect()
    }

    /// A server crashes, and starts again after a pause.
    pub(super) fn crash(&mut self, number: usize, pause: Duration) {
        let Some(server) = self.places[number].server.take() else { return };
        self.note(|| format!("server {number} crashes for {pause:?}"));
        self.has_crashed = true;
        self.roster.crash(&server.writer, self.now);
        let witnesses = self.witnesses();
        self.crashes.push(Crash { writer: server.writer.clone(), witnesses });
        self.places[number].starts_at = Some(self.now + pause);
        let gone: Vec<usize> = server.lines.iter().chain(&server.waiting).copied().collect();
        drop(server);
        for at in gone {
            let line = &mut self.lines[at];
            line.is_broken = true;
            line.wire.borrow_mut().is_closed = true;
            if let Client::Tracked(client) = &line.client
                && client.borrow().line == Some(at)
            {
                client.borrow_mut().lose();
            }
        }
        let lines = &self.lines;
        self.alive.retain(|&line| !lines[line].wire.borrow().is_closed);
    }
}
