//! The writing connection: entries, pages of history, leases, and events for other servers. None of its commands
//! blocks, so each reply is due soon.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::entry::{entries_of, fields};
use super::leases::LEASE_MS;
use super::posts::{self, INBOX_ENTRIES, INBOX_MS};
use super::reading::{bytes_of, next_count};
use super::resp::Reply;
use super::side::REPLY_WITHIN;
use super::stream::{Progress, Stage};
use super::streams::Key;
use super::{Bus, Ending, State, Waiting};
use crate::net::stream::Socket;
use crate::relay::sequence::{EntryId, Writer};

/// Time from the write of an entry until it has to be read back, by a reader that has read everything else.
const READ_BACK_WITHIN: Duration = Duration::from_secs(5);

/// The pause after Redis has refused an entry for the time being.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// Pages of history under way at a time, over all streams: their replies must not hold up entries for long.
const PAGES_MAX: usize = 4;

/// The subject of a reply.
#[derive(Debug)]
pub(super) enum Asked {
    /// The entry of a stream with this number was written.
    Entry(Key, u64),
    /// A page of history, of at most so many entries.
    Page(Key, usize),
    /// The size of a stream.
    Size(Key, Unshown),
    /// The own lease, and those of these servers.
    Leases(Vec<Writer>),
    /// An entry in another inbox, of so many bytes.
    Post(usize),
    /// The own lease and inbox were deleted.
    GivenUp,
    /// A command whose reply says nothing.
    Other,
}

/// The part of a log that stands before its shown history: it counts for trimming.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unshown {
    /// Entries behind it.
    shown: usize,
    /// The first of those.
    end: EntryId,
    /// Bytes of an entry, on average.
    average: usize,
}

/// The entries under way, and the pages.
#[derive(Debug)]
pub(super) struct Writes {
    /// The number of entries in overdue state.
    pub overdue: usize,
    /// The times at which entries are overdue, with their streams and numbers.
    deadlines: BTreeSet<(Instant, Key, u64)>,
    /// No entry is written before.
    from: Instant,
    /// Entries in a page: half as many after each failure, since a page may be too large.
    page: usize,
    page_max: usize,
    pages_under_way: usize,
}

impl Writes {
    pub(super) fn new(page_max: usize, now: Instant) -> Writes {
        let (page, page_max) = (page_max.max(1), page_max.max(1));
        Writes { overdue: 0, deadlines: BTreeSet::new(), from: now, page, page_max, pages_under_way: 0 }
    }

    /// Returns the time at which an entry is overdue.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, ..)| *at)
    }

    /// Returns the end of the pause before the next entry.
    pub(super) fn pause_end(&self) -> Instant {
        self.from
    }

    /// Forgets the deadline of an entry.
    pub(super) fn forget(&mut self, deadline: Option<Instant>, key: Key, number: u64) {
        if let Some(at) = deadline {
            self.deadlines.remove(&(at, key, number));
        }
    }
}

impl<S: Socket> Bus<S> {
    /// Begins on a new connection: whatever was under way is written again. A history is read anew.
    pub(super) fn begin_writing(&mut self, now: Instant) {
        self.leases.note_connected(now);
        self.writes.from = now;
        let (mut due, mut loads) = (Vec::new(), Vec::new());
        for (key, stream) in self.streams.iter_mut() {
            stream.repeat();
            if let Stage::Loading(loading) = &mut stream.stage {
                loading.begin_again();
                loads.push(key);
            }
            due.push(key);
        }
        (self.streams.due, self.streams.loads) = (due, loads.into());
    }

    /// Ends with a connection.
    pub(super) fn stop_writing(&mut self) {
        if self.writes.pages_under_way > 0 {
            self.writes.page = (self.writes.page / 2).max(1);
        }
        self.writes.pages_under_way = 0;
        self.posts.clear();
        self.reads.is_woken = false;
        if self.ending == Ending::GivingUp {
            self.ending = Ending::Writing;
        }
    }

    /// Sends what is due.
    pub(super) fn write(&mut self, now: Instant) {
        if !self.to_write.is_up() {
            self.posts.clear();
            return;
        }
        self.write_entries(now);
        self.write_posts(now);
        self.ask_pages(now);
        self.wake_reader(now);
        self.beat(now);
        self.give_up(now);
    }

    /// Handles the next reply. Returns whether there was one.
    pub(super) fn write_reply(&mut self, now: Instant) -> bool {
        let Some((asked, reply)) = self.to_write.next(now) else { return false };
        match asked {
            Asked::Entry(key, number) => self.note_written(key, number, &reply, now),
            Asked::Page(key, asked) => self.take_page(key, asked, reply, now),
            Asked::Size(key, unshown) => self.take_size(key, unshown, &reply),
            Asked::Leases(watched) => self.judge(&watched, &reply, now),
            Asked::Post(bytes) => self.posts.note_answered(bytes),
            Asked::GivenUp => self.ending = Ending::Done,
            Asked::Other => {}
        }
        true
    }

    fn write_entries(&mut self, now: Instant) {
        if now < self.writes.from {
            return;
        }
        for key in std::mem::take(&mut self.streams.due) {
            let Some(stream) = self.streams.at_mut(key) else { continue };
            if !stream.begin_entry() {
                continue;
            }
            let Some(entry) = &mut stream.under_way else { continue };
            let (number, lines) = (entry.number.to_string(), entry.lines_before.to_string());
            let trim_to = entry.trim_to.map(|id| id.to_string());
            let trim: &[&[u8]] = match &trim_to {
                Some(id) => &[b"MINID", b"~", id.as_bytes()],
                None => &[],
            };
            let fields = fields(&self.writer_text, &number, &lines, &entry.events);
            let head: &[&[u8]] = &[b"XADD", stream.name.as_bytes()];
            let asked = Asked::Entry(key, entry.number);
            self.to_write.ask(&[head, trim, &fields].concat(), asked, REPLY_WITHIN, now);
            entry.progress = Progress::Written(now);
            entry.since.get_or_insert(now);
            if entry.deadline.is_none() {
                let at = now + READ_BACK_WITHIN;
                entry.deadline = Some(at);
                self.writes.deadlines.insert((at, key, entry.number));
            }
        }
    }

    /// Handles the reply to an entry. The entry counts only once it is read back.
    fn note_written(&mut self, key: Key, number: u64, reply: &Reply, now: Instant) {
        let id = match reply {
            Reply::Error(_) => None,
            Reply::Bulk(Some(id)) => std::str::from_utf8(id).ok().and_then(EntryId::parse),
            _ => return self.to_write.link.fail("Redis answers an entry without an id", now),
        };
        let Some(stream) = self.streams.at_mut(key) else { return };
        let is_unread = stream
            .under_way
            .as_ref()
            .is_some_and(|entry| entry.number == number && matches!(entry.progress, Progress::Written(_)));
        if !is_unread {
            return;
        }
        match id {
            Some(id) if id <= stream.cursor => {
                stream.note_id_passed(id);
                self.to_read.link.fail("the clock of Redis went back", now);
            }
            Some(_) => {}
            None => {
                stream.repeat();
                self.streams.due.push(key);
                self.writes.from = now + REFUSED_PAUSE;
            }
        }
    }

    /// Finds entries that are not read back in time, although the reader has read everything else: reads again from
    /// before, and writes them again. Both are safe, since whatever comes twice is dropped.
    pub(super) fn find_overdue(&mut self, now: Instant) {
        while let Some((at, key, number)) = self.writes.deadlines.first().copied()
            && at <= now
        {
            self.writes.deadlines.pop_first();
            let is_reading = self.to_read.is_up() && self.reads.is_caught_up() && self.heard.is_empty();
            let Some(entry) = self.streams.at_mut(key).and_then(|stream| stream.under_way.as_mut()) else { continue };
            if entry.number != number {
                continue;
            }
            let written = if let Progress::Written(at) = entry.progress { at } else { at - READ_BACK_WITHIN };
            let ready = written.max(self.reads.caught_up_since()) + READ_BACK_WITHIN;
            let is_overdue = is_reading && self.to_write.is_up() && ready <= now;
            let again = if ready > now { ready } else { now + READ_BACK_WITHIN };
            entry.deadline = Some(again);
            self.writes.deadlines.insert((again, key, number));
            if !is_overdue || entry.progress == Progress::Read {
                continue;
            }
            self.writes.overdue += usize::from(!entry.is_overdue);
            entry.is_overdue = true;
            if matches!(entry.progress, Progress::Written(_)) {
                entry.progress = Progress::Waiting;
                self.streams.due.push(key);
                self.to_read.link.fail("an entry was not read back in time", now);
            }
        }
    }

    /// Asks for the next pages of history.
    fn ask_pages(&mut self, now: Instant) {
        while self.writes.pages_under_way < PAGES_MAX && self.heard.is_empty() {
            let Some(key) = self.streams.loads.pop_front() else { return };
            let Some(stream) = self.streams.at(key) else { continue };
            let Stage::Loading(loading) = &stream.stage else { continue };
            let (end, page) = (loading.next_end(), self.writes.page);
            let count = page.to_string();
            let arguments: [&[u8]; 6] =
                [b"XREVRANGE", stream.name.as_bytes(), end.as_bytes(), b"-", b"COUNT", count.as_bytes()];
            self.to_write.ask(&arguments, Asked::Page(key, page), REPLY_WITHIN, now);
            self.writes.pages_under_way += 1;
        }
    }

    fn take_page(&mut self, key: Key, asked: usize, reply: Reply, now: Instant) {
        self.writes.pages_under_way -= 1;
        let Some(page) = entries_of(reply, true) else {
            return self.to_write.link.fail("Redis answers a read of entries with something else", now);
        };
        self.writes.page = next_count(self.writes.page, self.writes.page_max, bytes_of(&page));
        let Some(stream) = self.streams.at_mut(key) else { return };
        let Stage::Loading(loading) = &mut stream.stage else { return };
        if loading.take_page(page, asked) {
            self.end_loading(key, now);
        } else {
            self.streams.loads.push_back(key);
        }
    }

    /// Hands a history to the hub, and reads the stream from there on.
    fn end_loading(&mut self, key: Key, now: Instant) {
        let Some(stream) = self.streams.at_mut(key) else { return };
        let stage = if stream.id.is_some() { Stage::Handing } else { Stage::Live };
        let Stage::Loading(loading) = std::mem::replace(&mut stream.stage, stage) else { return };
        let malformed = loading.malformed;
        let (entries, average) = (loading.entries, loading.bytes.checked_div(loading.entries));
        let loaded = loading.finish();
        (stream.sequence, stream.cursor, stream.floor) = (loaded.before, loaded.cursor, loaded.floor);
        let id = stream.id;
        let last = stream.sequence.last_of(self.writer).filter(|(number, _)| *number >= stream.numbers.entry);
        if let Some(average) = average
            && (loaded.shown.len() < entries || loaded.floor != EntryId::default())
        {
            let (shown, end) = (loaded.shown.len(), loaded.shown.first().map_or(loaded.cursor, |entry| entry.id));
            let asked = Asked::Size(key, Unshown { shown, end, average });
            self.to_write.ask(&[b"XINFO", b"STREAM", stream.name.as_bytes()], asked, REPLY_WITHIN, now);
        }
        self.note_malformed(malformed, now);
        if let Some((number, lines)) = last {
            self.note_forged(now);
            self.go_on_behind(key, number, lines);
        }
        for entry in loaded.shown {
            self.take_entry(key, entry, now);
        }
        if let Some(id) = id {
            self.heard.push_back(Waiting::Loaded(key, id));
        }
        self.reads.version += 1;
        self.streams.due.push(key);
        self.streams.remove_done(key);
    }

    /// Takes the size of a stream whose older part is not shown.
    fn take_size(&mut self, key: Key, unshown: Unshown, reply: &Reply) {
        let Some(stream) = self.streams.at_mut(key) else { return };
        let Reply::Array(Some(parts)) = reply else { return };
        let value = |name: &str| {
            let is_name = |part: &Reply| matches!(part, Reply::Bulk(Some(text)) if &text[..] == name.as_bytes());
            parts.chunks_exact(2).find(|pair| is_name(&pair[0])).map(|pair| &pair[1])
        };
        let Some(Reply::Number(length)) = value("length") else { return };
        let Some(Reply::Array(Some(first))) = value("first-entry") else { return };
        let Some(Reply::Bulk(Some(id))) = first.first() else { return };
        let Some(first) = std::str::from_utf8(id).ok().and_then(EntryId::parse) else { return };
        let entries = usize::try_from(*length).unwrap_or(0).saturating_sub(unshown.shown);
        let bytes = u64::try_from(entries.saturating_mul(unshown.average)).unwrap_or(u64::MAX);
        stream.kept.note_unread(first, unshown.end, bytes);
    }

    /// Renews the own lease, and looks at those of the others before: then a Redis that has lost its data shows.
    fn beat(&mut self, now: Instant) {
        if matches!(self.ending, Ending::GivingUp | Ending::Done) {
            return;
        }
        let Some(watched) = self.leases.begin_beat(now) else { return };
        let lease = |writer: Writer| format!("{}:up:{writer}", self.settings.prefix);
        let own = lease(self.writer);
        if !watched.is_empty() {
            let keys: Vec<String> = watched.iter().map(|writer| lease(*writer)).collect();
            let mut arguments: Vec<&[u8]> = vec![b"MGET", own.as_bytes()];
            arguments.extend(keys.iter().map(String::as_bytes));
            self.to_write.ask(&arguments, Asked::Leases(watched), REPLY_WITHIN, now);
        }
        let arguments: [&[u8]; 5] = [b"SET", own.as_bytes(), b"1", b"PX", LEASE_MS.as_bytes()];
        self.to_write.ask(&arguments, Asked::Other, REPLY_WITHIN, now);
    }

    fn judge(&mut self, watched: &[Writer], reply: &Reply, now: Instant) {
        let Reply::Array(Some(values)) = reply else { return };
        let is_there = |value: &Reply| matches!(value, Reply::Bulk(Some(_)));
        let Some((own, others)) = values.split_first().filter(|(_, others)| others.len() == watched.len()) else {
            return;
        };
        if self.state != State::Together {
            self.leases.judge_later(now);
        }
        let found: Vec<(Writer, bool)> = watched.iter().copied().zip(others.iter().map(is_there)).collect();
        let gone = self.leases.judge(is_there(own), &found, now);
        self.heard.extend(gone.into_iter().map(Waiting::Expired));
    }

    fn write_posts(&mut self, now: Instant) {
        while let Some((to, events, number)) = self.posts.next() {
            self.write_post(to, &events, number, now);
        }
    }

    /// Writes an entry to an inbox, and lets the inbox live on.
    fn write_post(&mut self, to: Writer, events: &str, number: u64, now: Instant) {
        let (inbox, number) = (posts::inbox(&self.settings.prefix, to), number.to_string());
        let head: &[&[u8]] = &[b"XADD", inbox.as_bytes(), b"MAXLEN", b"~", INBOX_ENTRIES.as_bytes()];
        let fields = fields(&self.writer_text, &number, "0", events);
        self.to_write.ask(&[head, &fields].concat(), Asked::Post(events.len()), REPLY_WITHIN, now);
        let arguments: [&[u8]; 3] = [b"PEXPIRE", inbox.as_bytes(), INBOX_MS.as_bytes()];
        self.to_write.ask(&arguments, Asked::Other, REPLY_WITHIN, now);
    }

    /// Ends a blocked read that lacks a stream.
    fn wake_reader(&mut self, now: Instant) {
        if self.reads.lacks_stream() && !self.reads.is_woken {
            self.reads.is_woken = true;
            let number = self.posts.next_number();
            self.write_post(self.writer, "", number, now);
        }
    }

    /// Gives up the lease at the end, once all is written.
    fn give_up(&mut self, now: Instant) {
        let is_unwritten =
            |(_, stream): (Key, &super::stream::Stream)| stream.under_way.is_some() || !stream.batch.events.is_empty();
        if self.ending != Ending::Writing || self.streams.iter().any(is_unwritten) {
            return;
        }
        self.ending = Ending::GivingUp;
        let lease = format!("{}:up:{}", self.settings.prefix, self.writer_text);
        let inbox = posts::inbox(&self.settings.prefix, self.writer);
        let arguments: [&[u8]; 3] = [b"DEL", lease.as_bytes(), inbox.as_bytes()];
        self.to_write.ask(&arguments, Asked::GivenUp, REPLY_WITHIN, now);
    }

    /// Whether a stream may have an entry to write now or after a pause.
    pub(super) fn has_due(&self) -> bool {
        self.to_write.is_up() && !self.streams.due.is_empty()
    }
}
