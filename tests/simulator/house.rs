//! The rooms that there are: when one may be opened, when it has to be dropped, and the list of all.

use std::time::{Duration, Instant};

use pollchat::server::hub::Wake;
use pollchat::server::limits::ROOM_KEPT;

use crate::oracle::Oracle;
use crate::room::{Room, digest, since_version};
use crate::rule::{Rule, Verdict};
use crate::who::found;

/// The versions of the list of all rooms: its digest, and how many there were.
#[derive(Debug, Default)]
pub(crate) struct House {
    lists: Vec<(u32, u64)>,
    counts: Vec<(u32, u64)>,
    /// The rooms that are open, or were in this turn.
    pub(crate) live: Vec<usize>,
    /// The lines that were said in the others, and the bytes of their tapes.
    pub(crate) said: u64,
    pub(crate) bytes: u64,
    /// Whether some of those lines were never seen.
    pub(crate) has_unseen: bool,
    /// The number of the last change of the roster or of the rooms.
    pub(crate) version: u32,
    /// A room that was dropped although it may be kept: its place has to be another's.
    dropped_for_another: Option<usize>,
}

impl Oracle {
    /// The rooms that are open, or were in this turn.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Room> {
        self.house.live.iter().map(|&room| &self.rooms[room])
    }

    /// Does something with each of them.
    pub(crate) fn for_live(&mut self, change: impl Fn(&mut Room)) {
        self.house.live.iter().for_each(|&room| change(&mut self.rooms[room]));
    }

    /// Forgets the rooms that were dropped in this turn.
    pub(crate) fn forget_dropped(&mut self) {
        let House { live, said, bytes, .. } = &mut self.house;
        live.retain(|&room| {
            let room = &self.rooms[room];
            if !room.is_open {
                *said += room.log.said;
                *bytes += room.log.end() as u64;
            }
            room.is_open
        });
    }

    /// Notes a change of a room.
    pub(crate) fn note_version(&mut self, room: usize) {
        self.house.version += 1;
        let version = self.house.version;
        let names = self.rooms[room].seats.iter().map(|&other| self.members[other].row());
        let names: Vec<String> = names.collect();
        let found = digest(found(&names).iter().map(String::as_str));
        let names = digest(names.iter().map(String::as_str));
        self.rooms[room].note_version(version, names, found);
        let mut open: Vec<&Room> = self.live().filter(|room| room.is_open).collect();
        open.sort_by_key(|room| (usize::MAX - room.seats.len(), room.name.to_lowercase()));
        let count = open.len();
        let rows = open.iter().map(|room| format!("* room: {}, {} here", room.name, room.seats.len()));
        let s = if count == 1 { "" } else { "s" };
        let rows: Vec<String> = rows.take(100).chain([format!("* {count} room{s}")]).collect();
        self.house.lists.push((version, digest(rows.iter().map(String::as_str))));
        self.house.counts.push((version, count as u64));
    }

    /// Whether these were all rooms, at some time since a version.
    pub(crate) fn were_rooms(&self, list: u64, since: u32) -> bool {
        since_version(&self.house.lists, since).any(|version| version == list)
    }

    /// How many rooms there were since a version.
    pub(crate) fn counts_of_rooms(&self, since: u32) -> impl Iterator<Item = usize> {
        since_version(&self.house.counts, since).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Whether there are as many rooms as may be.
    pub(crate) fn is_full_house(&self) -> bool {
        self.live().filter(|room| room.is_open).count() >= self.config.rooms_max
    }

    /// A room is opened.
    pub(crate) fn open(&mut self, room: usize) -> Verdict {
        let open = self.live().filter(|room| room.is_open).count();
        let has_place = self.house.dropped_for_another.take().is_some() || open < self.config.rooms_max;
        Rule::Kept.demands(has_place, || format!("{} is opened, beside {open} others", self.rooms[room].name))?;
        self.rooms[room].is_open = true;
        self.note_version(room);
        Ok(())
    }

    /// A room is dropped.
    pub(crate) fn drop_room(&mut self, at: usize, offset: usize) -> Verdict {
        let now = self.now();
        self.read_up_to(at, offset)?;
        let open = self.live().filter(|room| room.is_open).count();
        if self.is_shutting_down {
            self.rooms[at].is_open = false;
            return Ok(());
        }
        let room = &self.rooms[at];
        let broken = |what: &str| Rule::Kept.broken(format!("{} is dropped, {what}", room.name));
        if room.is_permanent || !room.seats.is_empty() || self.is_awaited(at) {
            return broken("and somebody is in it, or on the way");
        }
        if self.is_owed(at) {
            return broken("and somebody is owed it");
        }
        let is_over = self.kept().is_zero() || room.empty_since.is_some_and(|since| now >= since + self.kept());
        if !is_over {
            let is_older = |other: &&Room| {
                let times = (other.empty_since, room.empty_since);
                let is_before = matches!(times, (Some(other), own) if own.is_none_or(|own| other < own));
                other.is_open && !other.is_permanent && is_before
            };
            if open < self.config.rooms_max {
                return broken("before its time");
            }
            if let Some(other) = self.live().find(is_older) {
                return broken(&format!("and {} is empty for longer", other.name));
            }
            self.house.dropped_for_another = Some(at);
        }
        let room = &mut self.rooms[at];
        room.is_cut = room.log.end() < offset;
        room.is_open = false;
        room.due = None;
        self.house.has_unseen |= room.is_cut;
        self.house.bytes += (offset - room.log.end()) as u64;
        self.note_version(at);
        Ok(())
    }

    /// The time for which an empty room is kept.
    fn kept(&self) -> Duration {
        if self.config.history_lines == 0 { Duration::ZERO } else { ROOM_KEPT }
    }

    /// Whether somebody is on the way to a room.
    fn is_awaited(&self, room: usize) -> bool {
        self.active.iter().any(|&member| self.members[member].is_present() && self.members[member].way == Some(room))
    }

    /// Whether somebody is owed the tape of a room, and is there to take it.
    fn is_owed(&self, room: usize) -> bool {
        self.active.iter().any(|&member| {
            let (known, wire) = (&self.members[member], self.wires[member].borrow());
            known.number.is_some() && known.room() == room && !wire.is_closed
        })
    }

    /// Whether somebody is in a room, is owed it, or is on the way.
    fn is_used(&self, room: usize) -> bool {
        !self.rooms[room].seats.is_empty() || self.is_awaited(room) || self.is_owed(room)
    }

    /// Judges, at the end of a turn, that no room outlives its time, and that the hub wakes for the end of that time.
    pub(crate) fn judge_empty_rooms(&mut self, now: Instant, wake: Wake) -> Verdict {
        if let Some(room) = self.house.dropped_for_another.take() {
            return Rule::Kept.broken(format!("{} is dropped before its time, for nothing", self.rooms[room].name));
        }
        if self.is_shutting_down {
            return Ok(());
        }
        for place in 0..self.house.live.len() {
            let at = self.house.live[place];
            if self.rooms[at].is_permanent || !self.rooms[at].is_open {
                continue;
            }
            if self.is_used(at) {
                self.rooms[at].empty_since = None;
                continue;
            }
            let kept = self.kept();
            let room = &mut self.rooms[at];
            let until = *room.empty_since.get_or_insert(now) + kept;
            Rule::Kept.demands(now < until, || format!("{} is still there", room.name))?;
            let is_late = match wake {
                Wake::Now => false,
                Wake::At(time) => time > until,
                Wake::OnEvent => true,
            };
            Rule::Rest.demands(!is_late, || format!("at rest: {} may never be dropped", room.name))?;
        }
        Ok(())
    }
}
