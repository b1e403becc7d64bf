//! Scratch folders, and the text of a tape, for the tests of the journal.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::RealDisk;
use super::folder::Folder;
use super::restore::{Restored, restore};
use super::room_log::RoomLog;
use super::{KeptRoom, Settings};
use crate::relay::name::Name;
use crate::relay::stamp::{Epoch, RecordId, Stamp};

/// A new folder, removed when dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Scratch {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pollchat-journal-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The settings of a journal of the lobby in this folder.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            dir: self.0.clone(),
            keep_bytes: 1 << 20,
            sync_every: None,
            buffer_bytes: 4_096,
            longest_line_bytes: 1_000,
            rooms: vec![KeptRoom { name: Name::of_lobby(), text_bytes_max: 1 << 20 }],
        }
    }

    /// A new log of the lobby.
    pub(super) fn log(&self, keep_bytes: u64) -> RoomLog<RealDisk> {
        RoomLog::new(RealDisk, self.0.join("lobby"), "lobby", keep_bytes, VecDeque::new(), 0)
    }

    /// Reads the lobby back. Returns the warnings, too.
    pub(super) fn restore(&self, settings: &Settings) -> (Restored, Vec<String>) {
        let mut warnings = Vec::new();
        let restored = restore(&Folder::at(&self.0), &settings.rooms[0], settings, &mut warnings).unwrap();
        (restored, warnings)
    }

    /// The segments of the lobby, the oldest first.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.join("lobby")).into_iter().flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The stamp before this record of the log with these bits.
pub(super) fn stamp(epoch: u64, record: u64) -> String {
    let next = RecordId { epoch: Epoch::new(epoch), record };
    format!("{}\n", Stamp { time_ms: 1_764_166_801_000 + record, next })
}

/// Said lines of a log from a record on, behind a stamp.
pub(super) fn talk(epoch: u64, from: u64, records: u64) -> String {
    (from..from + records).fold(stamp(epoch, from), |text, record| text + &format!("ana> line {record}\n"))
}
