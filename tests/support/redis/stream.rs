//! A stream of the fake: entries by their id, in nodes as Redis keeps them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::RangeInclusive;

/// Entries of a node. Redis also begins a new one after 4 KiB, if `stream-node-max-bytes` is not 0.
const NODE_ENTRIES: usize = 100;

/// The most entries that an approximate trim removes at a time.
const TRIMMED_MAX: usize = 100 * NODE_ENTRIES;

/// An id: ms since 1970, and a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Milliseconds since 1970.
    pub ms: u64,
    /// Entries before it in that millisecond.
    pub seq: u64,
}

impl Id {
    /// The least one.
    pub const MIN: Id = Id { ms: 0, seq: 0 };
    /// The greatest one.
    pub const MAX: Id = Id { ms: u64::MAX, seq: u64::MAX };

    /// Reads `MS-SEQ`, or `MS` with the other part given.
    pub fn parse(text: &[u8], seq: u64) -> Option<Id> {
        let number = |text: &str| {
            let is_plain = text == "0" || !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
            if is_plain { text.parse().ok() } else { None }
        };
        let text = str::from_utf8(text).ok()?;
        match text.split_once('-') {
            Some((ms, seq)) => Some(Id { ms: number(ms)?, seq: number(seq)? }),
            None => Some(Id { ms: number(text)?, seq }),
        }
    }

    /// Returns the next one.
    pub fn next(self) -> Option<Id> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => self.ms.checked_add(1).map(|ms| Id { ms, seq: 0 }),
        }
    }

    /// Returns the one before.
    pub fn previous(self) -> Option<Id> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => self.ms.checked_sub(1).map(|ms| Id { ms, seq: u64::MAX }),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// Fields and values, in turn.
pub type Fields = Vec<Vec<u8>>;

/// A limit of a stream.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// About so many entries.
    Length(usize),
    /// About the entries from this id on.
    From(Id),
}

/// A stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// Its entries.
    pub entries: BTreeMap<Id, Fields>,
    /// Entries of each node.
    nodes: VecDeque<usize>,
    /// The greatest id that it ever had.
    pub last: Id,
    /// Entries that were ever added.
    pub added: u64,
}

impl Stream {
    /// Adds an entry at this time, and returns its id.
    pub fn add(&mut self, fields: Fields, now_ms: u64) -> Id {
        let next = if now_ms > self.last.ms { Id { ms: now_ms, seq: 0 } } else { self.last.next().expect("a time") };
        self.entries.insert(next, fields);
        self.last = next;
        self.added += 1;
        match self.nodes.back_mut() {
            Some(entries) if *entries < NODE_ENTRIES => *entries += 1,
            _ => self.nodes.push_back(1),
        }
        next
    }

    /// Removes whole nodes from the front as far as the limit allows.
    pub fn trim(&mut self, limit: Limit) {
        let mut trimmed = 0;
        while let Some(&entries) = self.nodes.front() {
            let is_beyond = match limit {
                Limit::Length(length) => self.entries.len() - entries >= length && self.entries.len() > length,
                Limit::From(id) => self.entries.keys().nth(entries - 1).is_some_and(|&last| last < id),
            };
            if !is_beyond || trimmed + entries > TRIMMED_MAX {
                return;
            }
            self.drop_first(entries);
            trimmed += entries;
        }
    }

    /// Removes entries from the front, wherever nodes end; returns them.
    pub fn drop_first(&mut self, entries: usize) -> Vec<Id> {
        let mut dropped = Vec::new();
        while dropped.len() < entries
            && let Some((id, _)) = self.entries.pop_first()
        {
            dropped.push(id);
            let node = self.nodes.front_mut().expect("a node");
            *node -= 1;
            if *node == 0 {
                self.nodes.pop_front();
            }
        }
        dropped
    }

    /// Removes entries from the end, as if they had never been; returns them.
    pub fn drop_last(&mut self, entries: usize) -> Vec<Id> {
        let mut dropped = Vec::new();
        while dropped.len() < entries
            && let Some((id, _)) = self.entries.pop_last()
        {
            dropped.push(id);
            self.added -= 1;
            let node = self.nodes.back_mut().expect("a node");
            *node -= 1;
            if *node == 0 {
                self.nodes.pop_back();
            }
        }
        if !dropped.is_empty() {
            let last_dropped = dropped.last().copied().unwrap_or_default();
            let before = last_dropped.previous().unwrap_or_default();
            self.last = self.entries.last_key_value().map_or(before, |(&id, _)| id);
        }
        dropped
    }

    /// Returns the entries of a range, in order.
    pub fn range(&self, ids: RangeInclusive<Id>) -> impl DoubleEndedIterator<Item = (&Id, &Fields)> {
        let is_empty = ids.start() > ids.end();
        let ids = if is_empty { Id::MIN..=Id::MIN } else { ids };
        self.entries.range(ids).filter(move |_| !is_empty)
    }

    /// Whether there is an entry behind this id.
    pub fn has_after(&self, id: Id) -> bool {
        self.entries.last_key_value().is_some_and(|(&last, _)| last > id)
    }

    /// Returns how many nodes it has.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }
}
