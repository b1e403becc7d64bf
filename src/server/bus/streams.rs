//! All streams: by their ids in the hub, by their keys in Redis, and those that have something to write or to load.
//!
//! A stream has a key of its own here that is never reused, so a reply cannot reach a later stream of the same room or
//! of the same name. A closed stream stays until its last entry was read back. The numbers of this server's entries go
//! on when a room is opened again: readers elsewhere know the earlier ones.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::StreamId;
use super::loading::Loading;
use super::stream::{Numbers, Stage, Stream};

/// Closed streams whose numbers are remembered one by one. Beyond them, all are forgotten at once, and streams that are
/// opened later begin above the highest number of those.
pub(in crate::server) const CLOSED_MAX: usize = 4_096;

/// Identifies a stream while it is open, and never another one.
pub(super) type Key = u64;

/// All streams.
///
/// Invariants: `by_id` holds those with an id, `by_name` all of them; while the link to write is up, `loads` holds each
/// stream that is loading and has no page under way.
#[derive(Debug)]
pub(super) struct Streams {
    all: BTreeMap<Key, Stream>,
    by_id: HashMap<StreamId, Key>,
    by_name: HashMap<Box<str>, Key>,
    next_key: Key,
    /// The numbers of closed streams.
    closed: HashMap<Box<str>, Numbers>,
    /// The first number in a stream that is not among `closed`.
    first_number: u64,
    /// Streams that may have an entry to write.
    pub due: Vec<Key>,
    /// Streams whose next page of history is to be asked for.
    pub loads: VecDeque<Key>,
}

impl Streams {
    pub(super) fn new() -> Streams {
        Streams {
            all: BTreeMap::new(),
            by_id: HashMap::new(),
            by_name: HashMap::new(),
            next_key: 0,
            closed: HashMap::new(),
            first_number: 1,
            due: Vec::new(),
            loads: VecDeque::new(),
        }
    }

    /// Adds a stream. If it is closed and not done yet, what it has to write goes on.
    pub(super) fn open(&mut self, id: StreamId, name: Box<str>, loading: Option<Loading>) -> Key {
        let key = self.next_key;
        self.next_key += 1;
        let stage = loading.map_or(Stage::Handing, Stage::Loading);
        let earlier = self.by_name.insert(name.clone(), key).and_then(|earlier| self.all.remove(&earlier));
        let first = Numbers { entry: self.first_number, lines: 0 };
        let numbers = self.closed.remove(&name).or(earlier.as_ref().map(|earlier| earlier.numbers)).unwrap_or(first);
        let mut stream = Stream::new(id, name, stage, numbers);
        if let Some(earlier) = earlier {
            (stream.batch, stream.under_way) = (earlier.batch, earlier.under_way);
            stream.repeat();
            if let Some(entry) = &mut stream.under_way {
                // Its deadline belongs to the earlier key.
                entry.deadline = None;
            }
        }
        if !stream.is_read() {
            self.loads.push_back(key);
        }
        self.by_id.insert(id, key);
        self.all.insert(key, stream);
        key
    }

    /// Closes a stream. Returns its key.
    pub(super) fn close(&mut self, id: StreamId) -> Option<Key> {
        let key = self.by_id.remove(&id)?;
        if let Some(stream) = self.all.get_mut(&key) {
            stream.id = None;
        }
        Some(key)
    }

    /// Removes a stream if it is closed and done.
    pub(super) fn remove_done(&mut self, key: Key) {
        if !self.all.get(&key).is_some_and(Stream::is_done) {
            return;
        }
        let Some(stream) = self.all.remove(&key) else { return };
        self.by_name.remove(&stream.name);
        self.loads.retain(|load| *load != key);
        if stream.numbers.entry == self.first_number {
            return;
        }
        self.closed.insert(stream.name, stream.numbers);
        if self.closed.len() > CLOSED_MAX {
            let highest = self.closed.values().map(|numbers| numbers.entry).max();
            self.first_number = highest.unwrap_or(1).max(self.first_number);
            self.closed.clear();
        }
    }

    pub(super) fn get(&self, id: StreamId) -> Option<&Stream> {
        self.all.get(self.by_id.get(&id)?)
    }

    pub(super) fn key(&self, id: StreamId) -> Option<Key> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn at(&self, key: Key) -> Option<&Stream> {
        self.all.get(&key)
    }

    pub(super) fn at_mut(&mut self, key: Key) -> Option<&mut Stream> {
        self.all.get_mut(&key)
    }

    /// Returns the stream with this key in Redis, unless it was opened later.
    pub(super) fn named(&self, name: &str, opened_before: Key) -> Option<Key> {
        self.by_name.get(name).copied().filter(|key| *key < opened_before)
    }

    /// Returns a key that is above those of all streams.
    pub(super) fn next_key(&self) -> Key {
        self.next_key
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &Stream)> {
        self.all.iter().map(|(key, stream)| (*key, stream))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut Stream)> {
        self.all.iter_mut().map(|(key, stream)| (*key, stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::directory::RoomId;

    const ID: StreamId = StreamId::Room(RoomId::LOBBY);

    /// Opens a room, writes so many entries, and closes it. Returns the number of the first.
    fn write(streams: &mut Streams, name: &str, entries: u64) -> u64 {
        let key = streams.open(ID, name.into(), None);
        let stream = streams.at_mut(key).expect("it is open");
        let first = stream.numbers.entry;
        for _ in 0..entries {
            stream.batch.events.push_str("x\n");
            assert!(stream.begin_entry());
            let number = stream.under_way.as_ref().expect("it has begun").number;
            assert!(stream.end_entry(number).is_some());
        }
        assert_eq!(streams.close(ID), Some(key));
        streams.remove_done(key);
        assert!(streams.at(key).is_none());
        first
    }

    #[test]
    fn the_numbers_of_a_stream_go_on_when_it_is_opened_again() {
        let mut streams = Streams::new();
        for (name, first) in [("a", 1), ("b", 1), ("a", 4), ("b", 4), ("a", 7)] {
            assert_eq!(write(&mut streams, name, 3), first);
        }
    }

    #[test]
    fn forgotten_numbers_are_never_given_again() {
        let mut streams = Streams::new();
        write(&mut streams, "busy", 20);
        for room in 0..=CLOSED_MAX {
            write(&mut streams, &format!("{room}"), 1);
        }
        assert!(streams.closed.len() < CLOSED_MAX, "the number of closed streams that are remembered is bounded");
        assert_eq!(write(&mut streams, "busy", 1), 21);
        assert_eq!(write(&mut streams, "new", 1), 21);
    }

    #[test]
    fn streams_that_were_never_written_need_no_memory() {
        let mut streams = Streams::new();
        for room in 0..10 {
            write(&mut streams, &format!("{room}"), 0);
        }
        assert!(streams.closed.is_empty() && streams.by_name.is_empty() && streams.by_id.is_empty());
    }
}
