//! Troubles of a run: each begins, and ends when its time is over; the log and the health of the servers between them.

use std::time::{Duration, Instant};

use super::trouble::Trouble;
use super::{World, log, network, peers};
use crate::net::Reset;
use crate::redis::Mood;
use crate::rule::{Rule, Verdict};

impl World {
    /// Begins some trouble.
    pub(super) fn begin(&mut self, trouble: Trouble) -> Verdict {
        self.note(|| format!("{trouble:?}"));
        let number = self.chance.below(self.places.len());
        let unix_ms = self.network.unix_ms(self.now);
        match trouble {
            Trouble::CutLink if !self.network.links.is_empty() => {
                let at = self.chance.below(self.network.links.len());
                self.network.cut(at, self.now);
            }
            Trouble::CutLink => {}
            Trouble::CutAll => self.cut_all(),
            Trouble::Restart(pause) => {
                self.network.redis.restart(true);
                if !pause.is_zero() {
                    self.set_mood(Mood::Loading, pause);
                }
            }
            Trouble::Empty => {
                self.logs.has_lost_data = true;
                self.network.redis.restart(false);
            }
            Trouble::LoseTail(entries, behind_ms) => {
                self.logs.has_lost_data = true;
                self.network.redis.lose_tail(entries, behind_ms);
            }
            Trouble::Trim(entries) => {
                self.logs.has_lost_data = true;
                let room = self.chance.pick(&peers::ROOMS);
                self.network.redis.trim(&format!("{}{room}", log::ROOM_KEY), entries);
            }
            Trouble::Hang(pause) => {
                self.network.redis.hang(true, unix_ms);
                self.hung_until = Some(self.now + pause);
            }
            Trouble::Refuse(pause) => {
                self.network.refusing_until = Some(self.now + pause);
                self.cut_all();
                return self.judge_told(pause);
            }
            Trouble::Full(pause) => self.set_mood(Mood::Full, pause),
            Trouble::Demote(pause) => self.set_mood(Mood::Replica, pause),
            Trouble::Crash(pause) => self.crash(number, pause),
            Trouble::Stop(pause) => {
                let until = self.now + pause;
                if let Some(server) = &mut self.places[number].server {
                    server.stopped_until = Some(until);
                }
            }
            Trouble::Quiet(pause) => return self.pass(pause),
        }
        Ok(())
    }

    fn cut_all(&mut self) {
        for at in (0..self.network.links.len()).rev() {
            self.network.cut(at, self.now);
        }
    }

    fn set_mood(&mut self, mood: Mood, pause: Duration) {
        self.network.redis.set_mood(mood);
        self.mood_until = Some(self.now + pause);
    }

    pub(super) fn end_troubles(&mut self) {
        let is_over = |until: Option<Instant>| until.is_some_and(|until| until <= self.now);
        if is_over(self.mood_until) {
            self.mood_until = None;
            self.network.redis.set_mood(Mood::Well);
        }
        if is_over(self.hung_until) {
            self.hung_until = None;
            let unix_ms = self.network.unix_ms(self.now);
            self.network.redis.hang(false, unix_ms);
        }
        for number in 0..self.places.len() {
            if self.places[number].starts_at.is_some_and(|at| at <= self.now) {
                self.start(number);
            }
        }
    }

    /// Notes which servers have nothing to complain of.
    pub(super) fn note_health(&mut self) {
        let is_redis_well = self.hung_until.is_none() && self.mood_until.is_none();
        for number in 0..self.places.len() {
            let are_open = |link: &network::Link| {
                let wire = link.wire.borrow();
                !wire.is_closed && wire.reset == Reset::No
            };
            let links = self.network.links_of(number).filter(|link| are_open(link)).count();
            if let Some(server) = &mut self.places[number].server {
                let is_well = is_redis_well && links == 2 && !server.is_stopped(self.now);
                server.note_health(is_well, self.now);
            }
        }
    }

    /// Judges what Redis was given.
    pub(super) fn judge_log(&mut self) -> Verdict {
        let fault = self.network.redis.fault().map(str::to_owned);
        Rule::BusCommands.demands(fault.is_none(), || fault.unwrap_or_default())?;
        let (places, added) = (&self.places, self.network.redis.added());
        self.logs.read(added, &self.roster.gone, |room, entry, before| {
            let writer =
                places.iter().filter_map(|place| place.server.as_ref()).find(|server| server.writer == entry.writer);
            // What it has read of its own is on its tape, as long as it has the room.
            let newest = writer.and_then(|server| server.views.get(room)?.newest(&entry.writer));
            // What it heard before it opened the room anew may be lost since.
            let is_unheard = |other: &&log::Entry| {
                let (one, is_later) = (&added[other.at], newest.is_some_and(|newest| other.number > newest));
                is_later
                    && other.writer == entry.writer
                    && other.number < entry.number
                    && !one.is_lost
                    && !one.is_trimmed
            };
            let unheard = before.iter().find(is_unheard);
            Rule::BusInFlight.demands(unheard.is_none(), || {
                format!("entry {} is written, and {unheard:?} was not heard: {newest:?} is the newest", entry.number)
            })
        })?;
        self.roster.read(added, &self.places, self.now)?;
        self.read_tracked()
    }
}
