//! The reading connection: one `XREAD` over all streams, which blocks while there is nothing new.
//!
//! On a new connection, each stream goes back and is read without blocking until it has nothing left. That is done in
//! groups, so that no reply is too large.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::entry::{RawEntry, entries_of};
use super::resp::Reply;
use super::side::REPLY_WITHIN;
use super::stream::{Progress, Stage};
use super::streams::Key;
use super::throttle::Kind;
use super::{Bus, Entry, StreamId, Waiting};
use crate::net::stream::Socket;
use crate::relay::sequence::{EntryId, Place};

/// The time for which a read blocks, in ms, as an argument.
const BLOCK_MS: &str = "10000";

/// Time for the reply to a blocked read.
const BLOCKED_REPLY_WITHIN: Duration = Duration::from_secs(15);

/// Entries in a reply, over all its streams: at 16 KiB each, 512 KiB.
const ENTRIES_MAX: usize = 32;

/// Bytes of events in a reply. If there were more, half as many entries are asked for.
const REPLY_BYTES: usize = 512 * 1024;

/// Entries of each stream in a reply to a blocked read, if there are many streams. If all of them are full at once,
/// the reply is too large: the connection fails, and the groups after it are small.
const ENTRIES_MIN: usize = 4;

/// The subject of a reply.
#[derive(Debug)]
pub(super) enum Asked {
    /// The last entry of a stream.
    Last(Key),
    /// A group of streams that are behind, up to so many entries of each.
    Behind(Vec<Key>, usize),
    /// All streams, blocking.
    All,
}

/// The progress of reading.
#[derive(Debug)]
pub(super) struct Reads {
    /// Streams that went back, and may have more entries.
    behind: BTreeSet<Key>,
    /// The time since which no stream is.
    caught_up_since: Instant,
    /// Entries in a reply: half as many after each failure, since a reply may be too large.
    entries: usize,
    /// Bytes of events in the present reply.
    reply_bytes: usize,
    /// Counts the streams that came into the set that is read.
    pub version: u64,
    /// The version of the set in the read that blocks, if one does.
    blocked_version: Option<u64>,
    /// Streams from this key on were opened after the present read was sent.
    opened_before: Key,
    /// Whether the read that blocks is going to be answered, since the own inbox has something.
    pub is_woken: bool,
    is_asked: bool,
    /// Entries of others under the writer of this server.
    pub forged: u64,
}

impl Reads {
    pub(super) fn new(now: Instant) -> Reads {
        Reads {
            behind: BTreeSet::new(),
            caught_up_since: now,
            entries: ENTRIES_MAX,
            reply_bytes: 0,
            version: 0,
            blocked_version: None,
            opened_before: 0,
            is_woken: false,
            is_asked: false,
            forged: 0,
        }
    }

    /// Whether no stream is behind.
    pub(super) fn is_caught_up(&self) -> bool {
        self.behind.is_empty()
    }

    pub(super) fn caught_up_since(&self) -> Instant {
        self.caught_up_since
    }

    /// Whether a read blocks that does not look at all streams.
    pub(super) fn lacks_stream(&self) -> bool {
        self.blocked_version.is_some_and(|version| version != self.version)
    }

    /// Records that the connection failed.
    pub(super) fn note_down(&mut self) {
        if self.is_asked {
            self.entries = (self.entries / 2).max(1);
        }
        self.end_read();
    }

    fn end_read(&mut self) {
        (self.is_asked, self.blocked_version, self.is_woken) = (false, None, false);
    }
}

/// Returns the bytes of events in entries.
pub(super) fn bytes_of(entries: &[RawEntry]) -> usize {
    entries.iter().filter_map(|entry| entry.content.as_ref()).map(|(_, events)| events.len()).sum()
}

/// Returns the entries to ask for after a reply with so many bytes.
pub(super) fn next_count(count: usize, max: usize, bytes: usize) -> usize {
    if bytes > REPLY_BYTES {
        (count / 2).max(1)
    } else if bytes <= REPLY_BYTES / 4 {
        (count * 2).min(max)
    } else {
        count
    }
}

impl<S: Socket> Bus<S> {
    /// Begins on a new connection: reads all streams again from some time before. Asks for their last entries first: if
    /// one stands before what is read again, new ones would be passed over for as long as the clock is behind.
    pub(super) fn go_back(&mut self, now: Instant) {
        for (key, stream) in self.streams.iter_mut() {
            if !stream.is_read() {
                continue;
            }
            stream.go_back();
            self.reads.behind.insert(key);
            if stream.cursor != EntryId::default() {
                let arguments: [&[u8]; 6] = [b"XREVRANGE", stream.name.as_bytes(), b"+", b"-", b"COUNT", b"1"];
                self.to_read.ask(&arguments, Asked::Last(key), REPLY_WITHIN, now);
            }
        }
        self.reads.caught_up_since = now;
    }

    /// Sends the next read, if the last one was answered and heard.
    pub(super) fn read(&mut self, now: Instant) {
        if !self.to_read.is_up() || self.to_read.is_asked() || !self.heard.is_empty() {
            return;
        }
        self.reads.behind.retain(|key| self.streams.at(*key).is_some());
        self.reads.is_asked = true;
        self.reads.opened_before = self.streams.next_key();
        if self.reads.behind.is_empty() {
            self.reads.blocked_version = Some(self.reads.version);
            let keys: Vec<Key> =
                self.streams.iter().filter(|(_, stream)| stream.is_read()).map(|(key, _)| key).collect();
            let floor = ENTRIES_MIN.min(self.reads.entries);
            let count = (self.reads.entries / keys.len().max(1)).max(floor);
            self.ask(&keys, count, Asked::All, now);
        } else {
            let keys: Vec<Key> = self.reads.behind.iter().copied().take(self.reads.entries).collect();
            let count = (self.reads.entries / keys.len()).max(1);
            let asked = Asked::Behind(keys.clone(), count);
            self.ask(&keys, count, asked, now);
        }
    }

    fn ask(&mut self, keys: &[Key], count: usize, asked: Asked, now: Instant) {
        let (mut ids, mut ends) = (String::new(), Vec::with_capacity(keys.len()));
        let streams = || keys.iter().filter_map(|key| self.streams.at(*key));
        for stream in streams() {
            // Writing to a string does not fail.
            let _ = write!(ids, "{}", stream.cursor);
            ends.push(ids.len());
        }
        let count = count.to_string();
        let mut arguments: Vec<&[u8]> = Vec::with_capacity(6 + 2 * keys.len());
        arguments.extend([b"XREAD" as &[u8], b"COUNT", count.as_bytes()]);
        let within = match asked {
            Asked::All => {
                arguments.extend([b"BLOCK" as &[u8], BLOCK_MS.as_bytes()]);
                BLOCKED_REPLY_WITHIN
            }
            Asked::Behind(..) | Asked::Last(_) => REPLY_WITHIN,
        };
        arguments.push(b"STREAMS");
        arguments.extend(streams().map(|stream| stream.name.as_bytes()));
        let mut start = 0;
        for end in ends {
            arguments.push(&ids.as_bytes()[start..end]);
            start = end;
        }
        self.to_read.ask(&arguments, asked, within, now);
    }

    /// Handles the next reply. Returns whether there was one.
    pub(super) fn read_reply(&mut self, now: Instant) -> bool {
        let Some((asked, reply)) = self.to_read.next(now) else { return false };
        if let Asked::Last(key) = asked {
            self.take_last(key, reply, now);
            return true;
        }
        let opened_before = self.reads.opened_before;
        self.reads.end_read();
        self.reads.reply_bytes = 0;
        let mut full = Vec::new();
        let is_well_formed = match reply {
            Reply::Array(None) | Reply::Bulk(None) => true,
            Reply::Array(Some(parts)) => parts.into_iter().all(|part| {
                let count = if let Asked::Behind(_, count) = &asked { *count } else { usize::MAX };
                self.take_stream(part, opened_before, count, &mut full, now)
            }),
            _ => false,
        };
        self.reads.entries = next_count(self.reads.entries, ENTRIES_MAX, self.reads.reply_bytes);
        if !is_well_formed {
            self.to_read.link.fail("Redis answers a read of streams with something else", now);
        } else if let Asked::Behind(keys, _) = asked {
            self.end_behind(keys.into_iter().filter(|key| !full.contains(key)), now);
        }
        true
    }

    fn take_last(&mut self, key: Key, reply: Reply, now: Instant) {
        let Some(entries) = entries_of(reply, false) else {
            return self.to_read.link.fail("Redis answers a read of entries with something else", now);
        };
        // A stream that is empty begins anew: its first id may be any.
        let last = entries.first().map(|last| last.id).unwrap_or_default();
        if let Some(stream) = self.streams.at_mut(key)
            && last < stream.cursor
        {
            stream.go_back_to(last);
        }
    }

    /// Takes what was read of one stream. Returns whether it is well-formed.
    fn take_stream(
        &mut self,
        part: Reply,
        opened_before: Key,
        count: usize,
        full: &mut Vec<Key>,
        now: Instant,
    ) -> bool {
        let Reply::Array(Some(parts)) = part else { return false };
        let Ok([Reply::Bulk(Some(name)), entries]) = <[Reply; 2]>::try_from(parts) else { return false };
        let Ok(name) = std::str::from_utf8(&name) else { return false };
        // It may have been closed, and even opened again.
        let Some(key) = self.streams.named(name, opened_before) else { return true };
        let Some(id) = self.streams.at(key).map(|stream| stream.id) else { return true };
        let Some(entries) = entries_of(entries, id.is_none_or(StreamId::has_lines)) else { return false };
        if entries.len() >= count {
            full.push(key);
        }
        self.reads.reply_bytes += bytes_of(&entries);
        for entry in entries {
            if let Some(stream) = self.streams.at_mut(key) {
                stream.cursor = entry.id;
            }
            self.take_entry(key, entry, now);
        }
        true
    }

    /// Records that streams have caught up.
    fn end_behind(&mut self, keys: impl Iterator<Item = Key>, now: Instant) {
        for key in keys {
            self.reads.behind.remove(&key);
            let Some(stream) = self.streams.at_mut(key) else { continue };
            match (stream.id, &stream.stage) {
                (Some(StreamId::Roster), Stage::Handing) => {
                    self.heard.push_back(Waiting::Loaded(key, StreamId::Roster));
                }
                (Some(StreamId::Inbox), _) => stream.stage = Stage::Live,
                _ => {}
            }
        }
        self.reads.caught_up_since = now;
    }

    /// Finds the place of an entry that was read. It waits for the hub if it is new.
    pub(super) fn take_entry(&mut self, key: Key, entry: RawEntry, now: Instant) {
        self.figures.entries += 1;
        let Some((header, events)) = entry.content else { return self.note_malformed(1, now) };
        let Some(stream) = self.streams.at_mut(key) else { return };
        let (writer, is_own) = (header.writer, header.writer == self.writer);
        let number = if is_own { stream.unread(header.number) } else { None };
        let (is_behind_gap, missed_lines) = match stream.sequence.place(&header) {
            Place::Next => (false, 0),
            Place::After { missed_lines } => (true, missed_lines),
            Place::Again => {
                self.figures.repetitions += 1;
                // It stands in the part of the history that was only counted. Waiting for it would be for ever.
                return number.map_or((), |number| self.end_entry(key, number));
            }
        };
        stream.kept.note(entry.id, events.len(), self.settings.keep_bytes);
        if !is_own {
            self.leases.note_heard(writer);
        }
        let id = stream.id;
        if id == Some(StreamId::Inbox) && is_own {
            return;
        }
        let is_forged = is_own && stream.is_forged(&header, &events);
        let number = number.filter(|_| !is_forged);
        if is_forged {
            self.note_forged(now);
            self.go_on_behind(key, header.number, header.lines_up_to_end());
        }
        let Some(id) = id else { return number.map_or((), |number| self.end_entry(key, number)) };
        if let (Some(_), Some(stream)) = (number, self.streams.at_mut(key))
            && let Some(under_way) = &mut stream.under_way
        {
            under_way.progress = Progress::Read;
        }
        // A forged count claims lines in other streams, too.
        let missed_lines = if id.has_lines() { missed_lines } else { 0 };
        self.figures.missed_lines = self.figures.missed_lines.saturating_add(missed_lines);
        let entry = Entry { stream: id, id: entry.id, writer, is_own, is_behind_gap, missed_lines, events };
        self.heard.push_back(Waiting::Entry(key, number, entry));
    }

    /// Goes on behind an entry that another client has written into a stream under the writer of this server.
    pub(super) fn go_on_behind(&mut self, key: Key, number: u64, lines: u64) {
        let Some(stream) = self.streams.at_mut(key) else { return };
        if let Some((number, deadline)) = stream.go_on_behind(number, lines) {
            self.writes.forget(deadline, key, number);
            self.streams.due.push(key);
        }
    }

    /// Counts an entry of another client under the writer of this server, and says so once a minute.
    pub(super) fn note_forged(&mut self, now: Instant) {
        self.reads.forged += 1;
        let (writer, forged) = (self.writer, self.reads.forged);
        let what = format_args!("another client of Redis writes as this server, {writer}: {forged} entries so far");
        self.settings.link.warn(Kind::Forged, what, now);
    }

    /// Counts entries that were dropped, and says so once a minute.
    pub(super) fn note_malformed(&mut self, count: u64, now: Instant) {
        if count == 0 {
            return;
        }
        self.figures.malformed += count;
        let total = self.figures.malformed;
        let what = format_args!("entries of another form in the log were dropped, {total} so far");
        self.settings.link.warn(Kind::Malformed, what, now);
    }
}
