//! The history of a stream that was opened, read backwards in pages.
//!
//! It is shown from a change of second on: a stamp stands before the first record of each second, so all servers have
//! the same stamps. What stands before the shown part is read for a while, too, and only counted. So an entry that
//! appears a second time behind it is known as a repetition.

use super::entry::RawEntry;
use super::stream::{ENTRY_OVERHEAD_BYTES, GO_BACK_MS};
use crate::relay::sequence::{EntryId, Sequence};

/// The bytes of a stream that are read while it is loaded, its shown history among them. A shown history may be larger.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// A history that is being read.
#[derive(Debug)]
pub(super) struct Loading {
    /// The said lines that are to be shown.
    lines_wanted: u64,
    /// The bytes of events that may be shown.
    bytes_max: usize,
    /// The shown entries, the newest first.
    shown: Vec<RawEntry>,
    lines: u64,
    shown_bytes: usize,
    /// The entries before the shown ones.
    before: Sequence,
    is_shown_complete: bool,
    /// All entries, and their bytes.
    pub entries: usize,
    pub bytes: usize,
    newest: Option<EntryId>,
    oldest: Option<EntryId>,
    /// Entries that were malformed.
    pub malformed: u64,
}

/// A history that was read.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The shown entries, the oldest first.
    pub shown: Vec<RawEntry>,
    /// The entries before them, as far as they were read.
    pub before: Sequence,
    /// The newest entry.
    pub cursor: EntryId,
    /// Entries before it were not read.
    pub floor: EntryId,
}

impl Loading {
    pub(super) fn new(lines_wanted: u64, bytes_max: usize) -> Loading {
        Loading {
            lines_wanted,
            bytes_max,
            shown: Vec::new(),
            lines: 0,
            shown_bytes: 0,
            before: Sequence::default(),
            is_shown_complete: false,
            entries: 0,
            bytes: 0,
            newest: None,
            oldest: None,
            malformed: 0,
        }
    }

    /// Reads anew on a new connection: a failover may have lost what was read, and put other entries before it.
    pub(super) fn begin_again(&mut self) {
        *self = Loading::new(self.lines_wanted, self.bytes_max);
    }

    /// Returns the end of the next page, as an argument of `XREVRANGE`.
    pub(super) fn next_end(&self) -> String {
        self.oldest.map_or_else(|| "+".to_owned(), |oldest| format!("({oldest}"))
    }

    /// Takes a page, the newest entry first. Returns whether the history is complete.
    pub(super) fn take_page(&mut self, page: Vec<RawEntry>, asked: usize) -> bool {
        let is_last = page.len() < asked;
        for entry in page {
            self.take(entry);
        }
        if is_last {
            // There is nothing older.
            self.oldest = None;
        }
        is_last || self.is_shown_complete && (self.bytes >= BYTES_MAX || self.has_gone_back())
    }

    fn take(&mut self, entry: RawEntry) {
        let newer = self.oldest.replace(entry.id);
        self.newest.get_or_insert(entry.id);
        let is_second_begun = newer.is_some_and(|newer| newer.second() != entry.id.second());
        let is_enough = self.lines >= self.lines_wanted && is_second_begun;
        if !self.is_shown_complete && (is_enough || self.shown_bytes >= self.bytes_max) {
            self.is_shown_complete = true;
            if !is_second_begun {
                self.cut_to_second();
            }
        }
        self.entries += 1;
        self.bytes += ENTRY_OVERHEAD_BYTES;
        let Some((header, events)) = &entry.content else {
            self.malformed += 1;
            return;
        };
        self.bytes += events.len();
        if self.is_shown_complete {
            self.before.begin_after(header);
        } else {
            self.lines = self.lines.saturating_add(header.lines);
            self.shown_bytes += events.len();
            self.shown.push(entry);
        }
    }

    /// Drops the begun second at the start of the shown part. If all of it is one second, it stays: a long history of
    /// other positions is better than none.
    fn cut_to_second(&mut self) {
        let Some(second) = self.shown.last().map(|entry| entry.id.second()) else { return };
        let kept = self.shown.iter().take_while(|entry| entry.id.second() != second).count();
        if kept == 0 {
            return;
        }
        for entry in self.shown.drain(kept..).rev() {
            if let Some((header, _)) = &entry.content {
                self.before.begin_after(header);
            }
        }
    }

    /// Whether it has read as far back as a reader goes back on a new connection.
    fn has_gone_back(&self) -> bool {
        let (Some(newest), Some(oldest)) = (self.newest, self.oldest) else { return false };
        oldest <= newest.earlier(GO_BACK_MS)
    }

    /// Ends it.
    pub(super) fn finish(mut self) -> Loaded {
        self.shown.reverse();
        let floor = self.oldest.map(EntryId::before).unwrap_or_default();
        Loaded { shown: self.shown, before: self.before, cursor: self.newest.unwrap_or_default(), floor }
    }
}
