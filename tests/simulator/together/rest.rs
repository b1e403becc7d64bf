//! The end of a run: the faults stop, and everything must come together.

use std::time::Duration;

use super::log::Present;
use super::peers::Course;
use super::tapes::Told;
use super::tracked::State;
use super::{Client, World};
use crate::redis::Mood;
use crate::rule::{Rule, Verdict};
use crate::setting::Faults;

/// The time after which the servers are together again, and members of dead servers are gone: a lease, two looks, the
/// time for which nobody is judged, a pause.
const TOGETHER_WITHIN: Duration = Duration::from_secs(60);

/// A room is told that it is cut off after two seconds; half a second for the turn that tells it.
const TOLD_WITHIN: Duration = Duration::from_millis(2_500);

impl World {
    /// Judges that the rooms are told while there is no way to Redis.
    pub(super) fn judge_told(&mut self, pause: Duration) -> Verdict {
        if pause < TOLD_WITHIN {
            return Ok(());
        }
        let begun = self.now;
        self.pass(TOLD_WITHIN)?;
        for (number, place) in self.places.iter().enumerate() {
            // A server that stood still has noticed it later.
            let Some(server) = place.server.as_ref().filter(|server| !server.is_stopped(begun)) else { continue };
            if self.now.saturating_duration_since(server.started) < TOGETHER_WITHIN {
                continue;
            }
            for (room, view) in &server.views {
                let is_told = view.told == Told::CutOff || !self.has_untold_members(number, room);
                Rule::BusTold
                    .demands(is_told, || format!("room {room} of server {number} is not told that it is cut off"))?;
            }
        }
        self.pass(pause - TOLD_WITHIN)
    }

    /// Whether a plain client is in this room of a server that does not know that it is cut off.
    fn has_untold_members(&self, number: usize, room: &str) -> bool {
        self.alive.iter().map(|&line| &self.lines[line]).any(|line| {
            let is_here = match &line.client {
                Client::Plain(peer, transcript) => {
                    let is_there = peer.course == Course::Here && transcript.room.as_deref() == Some(room);
                    is_there && transcript.told == Told::Together
                }
                Client::Tracked(_) => false,
            };
            is_here && line.server == number && !line.is_broken
        })
    }

    /// The faults stop. Everything must come to rest, and all that was said must be everywhere.
    pub(super) fn settle(&mut self) -> Verdict {
        self.note(|| "the faults stop".to_owned());
        self.is_settling = true;
        self.faults = Faults::NONE;
        self.network.calm_down();
        self.network.redis.set_mood(Mood::Well);
        let unix_ms = self.network.unix_ms(self.now);
        self.network.redis.hang(false, unix_ms);
        (self.mood_until, self.hung_until) = (None, None);
        self.lines.iter().for_each(|line| line.wire.borrow_mut().calm_down());
        for number in 0..self.places.len() {
            match &mut self.places[number].server {
                Some(server) => server.stopped_until = None,
                None => self.start(number),
            }
        }
        self.pass(TOGETHER_WITHIN)?;
        self.judge_relayed()?;
        self.come_back()?;
        self.judge_together()?;
        self.judge_rosters()?;
        self.judge_ghosts()?;
        self.part()
    }

    /// Tracked clients come back, and ask how much was heard.
    fn come_back(&mut self) -> Verdict {
        for client in self.tracked.clone() {
            if client.borrow().state == State::Idle {
                self.connect_tracked(&client);
            }
        }
        self.pass(Duration::from_secs(12))?;
        // The first answer may come before the last lines were read back.
        for _ in 0..3 {
            self.tracked.iter().for_each(|client| client.borrow_mut().acknowledge());
            self.pass(Duration::from_secs(1))?;
        }
        for client in &self.tracked {
            let client = client.borrow();
            let is_settled = client.state != State::Live || client.is_settled();
            Rule::BusRest.demands(is_settled, || format!("not all is heard of {client:?}"))?;
        }
        Ok(())
    }

    fn judge_together(&self) -> Verdict {
        let added = self.network.redis.added();
        for (number, place) in self.places.iter().enumerate() {
            let Some(server) = &place.server else { continue };
            Rule::BusRest.demands(server.waiting.is_empty(), || format!("server {number} lets nobody in"))?;
            for (room, view) in &server.views {
                let about = || format!("room {room} of server {number}");
                let is_at_end = self.logs.rooms.get(room).is_none_or(|log| view.is_at_end(log, added));
                Rule::BusRest.demands(is_at_end, || format!("{} has not heard all of its log", about()))?;
            }
            for &at in &server.lines {
                let Client::Plain(peer, transcript) = &self.lines[at].client else { continue };
                let Some(view) = transcript.room.as_ref().and_then(|room| server.views.get(room)) else { continue };
                transcript.judge_rest(view).map_err(|violation| violation.about(format!("client p{}", peer.id)))?;
            }
        }
        Ok(())
    }

    /// Judges that all that was heard of clients is in the logs.
    fn judge_relayed(&self) -> Verdict {
        for line in &self.lines {
            let Client::Plain(peer, transcript) = &line.client else { continue };
            // Lines of a client that has left wait for Redis, too: a crash loses them.
            let is_up = line.life == self.places[line.server].life;
            let is_here = peer.course != Course::Gone && is_up && !line.is_broken && transcript.number.is_some();
            let mut said = self.logs.said.get(&peer.id).cloned().unwrap_or_default();
            said.sort_unstable();
            let is_whole = said.iter().enumerate().all(|(at, &line)| line == at + 1);
            Rule::BusRelayed.demands(is_whole || self.has_crashed, || {
                format!("some of client p{} is missing: {said:?}", peer.id)
            })?;
            if is_here && line.wire.borrow().reset == crate::net::Reset::No {
                Rule::BusRelayed.demands(said.len() == peer.said, || {
                    format!(
                        "{} lines of client p{} are in the logs, and it has said {}",
                        said.len(),
                        peer.id,
                        peer.said
                    )
                })?;
            }
        }
        Ok(())
    }

    /// Judges that all servers know the same members, and that these are those that are there.
    fn judge_rosters(&mut self) -> Verdict {
        for &at in &self.alive {
            if let Client::Plain(peer, transcript) = &mut self.lines[at].client
                && peer.course == Course::Here
            {
                transcript.here.clear();
                peer.ask("/who");
            }
        }
        self.pass(Duration::from_secs(2))?;
        let mut names: Vec<(String, String)> = Vec::new();
        for &at in &self.alive {
            let (number, room) = match &self.lines[at].client {
                Client::Plain(peer, transcript) if peer.course == Course::Here => {
                    (transcript.number, transcript.room.clone())
                }
                Client::Tracked(client) if client.borrow().state == State::Live && client.borrow().line == Some(at) => {
                    let client = client.borrow();
                    names.extend(client.room.iter().map(|room| (client.name.clone(), room.to_lowercase())));
                    continue;
                }
                _ => continue,
            };
            let (Some(number), Some(room)) = (number, room) else { continue };
            let name = self.roster.name(number);
            if let Client::Plain(peer, transcript) = &self.lines[at].client {
                let is_told = transcript.name == name || transcript.name.is_empty();
                Rule::BusNames.demands(is_told, || {
                    format!("client p{} was told that it is {}, and is {name}", peer.id, transcript.name)
                })?;
            }
            names.push((name, room));
        }
        for (at, (name, _)) in names.iter().enumerate() {
            let is_new = !names[..at].iter().any(|(other, _)| other.to_lowercase() == name.to_lowercase());
            // A Redis that has lost the roster begins again with the first number.
            let is_new = is_new || (self.logs.has_lost_data && name.starts_with("client-"));
            Rule::BusNames.demands(is_new, || format!("two clients are called {name}"))?;
        }
        for &at in &self.alive {
            let Client::Plain(peer, transcript) = &self.lines[at].client else { continue };
            let Some(room) = transcript.room.as_ref().filter(|_| peer.course == Course::Here) else { continue };
            let mut wanted: Vec<&String> = names.iter().filter(|(_, of)| of == room).map(|(name, _)| name).collect();
            let mut here: Vec<&String> = transcript.here.iter().collect();
            wanted.sort_unstable();
            here.sort_unstable();
            if self.logs.has_lost_data {
                // Two members with one number are one there.
                wanted.dedup();
                here.dedup();
            }
            Rule::BusRoster.demands(wanted == here, || {
                format!(
                    "client p{} of server {} reads {here:?}, and {wanted:?} are in {room}",
                    peer.id, self.lines[at].server
                )
            })?;
        }
        Ok(())
    }

    /// All clients leave; then the servers do.
    fn part(&mut self) -> Verdict {
        self.tracked.iter().for_each(|client| client.borrow_mut().farewell());
        for &at in &self.alive {
            if let Client::Plain(peer, _) = &mut self.lines[at].client {
                peer.farewell();
            }
        }
        self.pass(Duration::from_secs(10))?;
        let left = self.places.iter().filter_map(|place| place.server.as_ref()).map(|server| server.hub.connections());
        let left: usize = left.sum();
        Rule::BusRest.demands(left == 0, || format!("{left} clients are still there"))?;
        // Seats of tracked clients that nobody came back to.
        self.pass(Duration::from_secs(45))?;
        for (room, log) in &self.logs.rooms {
            let is_alive = |present: &&Present| !self.roster.has_crashed(&present.writer);
            let left: Vec<&Present> = log.present.values().filter(is_alive).collect();
            Rule::BusPresence
                .demands(left.is_empty() || self.logs.has_lost_data, || format!("{left:?} never left {room}"))?;
        }
        Ok(())
    }
}
