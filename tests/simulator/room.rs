//! A room as the oracle knows it: its tape, who is in it, and what must come next. A room that is dropped and opened
//! again is another one.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use pollchat::server::config::Config;

use crate::log::{Kind, Log};

/// The index of the lobby among the rooms.
pub(crate) const LOBBY: usize = 0;

/// A line that must be the next one of a tape.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) line: String,
    pub(crate) by: usize,
    pub(crate) kind: Kind,
}

/// A line that the room is told in its own time: that a member left, or lost its name.
#[derive(Debug)]
pub(crate) struct Announced {
    pub(crate) line: String,
    pub(crate) by: usize,
    pub(crate) kind: Kind,
    /// Whether the room knows that member for sure.
    pub(crate) is_sure: bool,
}

/// A room.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) name: String,
    /// Whether it exists for ever.
    pub(crate) is_permanent: bool,
    pub(crate) is_open: bool,
    pub(crate) backlog_bytes: usize,
    pub(crate) log: Log,
    /// The identity of its log.
    pub(crate) epoch: String,
    /// The latest time of day since it was opened, in ms since 1970.
    pub(crate) latest_ms: u64,
    /// The time in its last stamp.
    pub(crate) stamped_ms: Option<u64>,
    /// The next line of the tape, if it is known.
    pub(crate) due: Option<Due>,
    /// Lines that say who left or lost its name, and are still to come.
    pub(crate) announced: VecDeque<Announced>,
    /// The members in it: the oldest first.
    pub(crate) seats: Vec<usize>,
    /// The least and the most members that were in it in this turn.
    pub(crate) range: (usize, usize),
    /// Whether it waited for a slow reader when this turn ended, and when the last one did.
    pub(crate) is_at_wall: bool,
    pub(crate) was_at_wall: bool,
    /// The end of the tape when this turn began.
    pub(crate) began_at: usize,
    /// Since when nobody is in it, owed it, or on the way.
    pub(crate) empty_since: Option<Instant>,
    /// Whether it was dropped with lines on the tape that were never seen.
    pub(crate) is_cut: bool,
    /// Its versions: who was in it, and from when on.
    versions: Vec<(u32, u64)>,
    /// With each, the answer to a search for some of them.
    found: Vec<(u32, u64)>,
}

impl Room {
    pub(crate) fn new(name: &str, backlog_bytes: usize, is_permanent: bool) -> Room {
        Room {
            name: name.to_owned(),
            is_permanent,
            is_open: false,
            backlog_bytes,
            log: Log::default(),
            epoch: String::new(),
            latest_ms: 0,
            stamped_ms: None,
            due: None,
            announced: VecDeque::new(),
            seats: Vec::new(),
            range: (0, 0),
            is_at_wall: false,
            was_at_wall: false,
            began_at: 0,
            empty_since: None,
            is_cut: false,
            versions: Vec::new(),
            found: Vec::new(),
        }
    }

    /// The rooms that there are from the start: the lobby first.
    pub(crate) fn from_start(config: &Config) -> Vec<Room> {
        let mut rooms = vec![Room::new("lobby", config.backlog_bytes, true)];
        for name in &config.rooms {
            rooms.push(Room::new(name.as_str(), config.room_backlog_bytes, true));
        }
        rooms.iter_mut().for_each(|room| room.is_open = true);
        rooms
    }

    /// Begins a turn.
    pub(crate) fn begin_turn(&mut self) {
        self.range = (self.seats.len(), self.seats.len());
        self.was_at_wall = self.is_at_wall;
        self.began_at = self.log.end();
    }

    /// The first line that it is told in its own time, for sure.
    pub(crate) fn first_announced(&self) -> Option<&Announced> {
        self.announced.iter().find(|announced| announced.is_sure)
    }

    /// Notes how many are in it now.
    pub(crate) fn count(&mut self) {
        let (least, most) = self.range;
        self.range = (least.min(self.seats.len()), most.max(self.seats.len()));
    }

    /// Notes who is in it from now on.
    pub(crate) fn note_version(&mut self, version: u32, names: u64, found: u64) {
        if self.versions.last().is_none_or(|&(_, last)| last != names) {
            self.versions.push((version, names));
            self.found.push((version, found));
        }
    }

    /// Whether these were in it at some time since a version.
    pub(crate) fn was_as(&self, names: u64, since: u32) -> bool {
        self.versions_since(since).any(|version| version == names)
    }

    /// Whether this was the answer to a search for some of them, at some time since a version.
    pub(crate) fn were_found(&self, found: u64, since: u32) -> bool {
        since_version(&self.found, since).any(|version| version == found)
    }

    fn versions_since(&self, since: u32) -> impl Iterator<Item = u64> {
        since_version(&self.versions, since)
    }
}

/// The states of a list of versions that held at some time since a version.
pub(crate) fn since_version(versions: &[(u32, u64)], since: u32) -> impl Iterator<Item = u64> {
    let first = versions.partition_point(|&(version, _)| version <= since).saturating_sub(1);
    versions[first..].iter().map(|&(_, state)| state)
}

/// A number for a list of texts.
pub(crate) fn digest<'a>(texts: impl Iterator<Item = &'a str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    texts.for_each(|text| text.hash(&mut hasher));
    hasher.finish()
}

/// Whether a name looks like another, as far as the peers know how to make one.
pub(crate) fn looks_like(name: &str, other: &str) -> bool {
    let latin = |name: &str| name.to_lowercase().replace('ѕ', "s").replace('а', "a");
    let outline = |name: &str| latin(name).replace(['1', 'i'], "l").replace('0', "o");
    outline(name) == outline(other)
}
