//! The journal: the records of the kept rooms, on a disk. It owns a folder for as long as the server runs.
//!
//! ```text
//! DIR/pollchat.lock        held by the server that writes; its text says that DIR is a journal
//! DIR/pollchat.numbers     the client numbers that may have been given out
//! DIR/pollchat.sessions    between two runs: the sessions of tracked clients, for the next one
//! DIR/ROOM/SERIAL.EPOCH.FIRST   a segment: its head, and then the bytes of the tape, stamps included
//! ```
//!
//! A kept room is the lobby or a `--room`. No name of a room has a dot, so no room's folder meets another file. The
//! journal of a room is one more tracked reader of its tape. The loop hands its bytes over to a [`Writer`], whose
//! thread alone waits for the disk. Each start of the server begins a new segment with the first record. It is also that
//! of a new log, unless the last run stopped in good order and handed its sessions over: then the log goes on.
//!
//! Invariants: a segment holds records of one log, in order; its first line is its head, and its second a stamp.
//! Between two stamps each line counts as one record. A stamp with a higher number than that is a gap: records that the
//! disk missed. All segments of a room together have at most `--journal-keep` bytes: the oldest go, whole.
//!
//! | file | owns |
//! |---|---|
//! | `store` | the seam to the loop |
//! | `head` | the form of heads and of the names of segments |
//! | `folder` | the folder: its lock, its rooms, their lists of segments |
//! | `restore` | reading back: repairing the newest segment, the kept logs, the newest text |
//! | `numbers` | client numbers that never come again |
//! | `handover` | the sessions that a server hands over to the next |
//! | `room_log` | writing one room: segments, rotation, and cutting back what failed |
//! | `disk` | the calls of the kernel that writing needs, so that tests can make them fail |
//! | `writer` | the thread, its buffers and its pace |
//! | `export` | `pollchat-server export` |

mod disk;
pub mod export;
mod folder;
pub mod handover;
mod head;
mod numbers;
mod restore;
mod room_log;
pub mod store;
#[cfg(test)]
mod testing;
mod writer;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config::Config;
use super::limits::{JOURNAL_BUFFER_BYTES, JOURNAL_NUMBERS};
use crate::relay::name::Name;
use folder::{Folder, Lock};
use handover::Found;
use store::Kept;
pub use writer::Writer;

/// Settings of a journal: its rooms, its place and its bounds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder, `--journal`. It is created if need be, its parent is not.
    pub dir: PathBuf,
    /// The most bytes of a room, `--journal-keep`.
    pub keep_bytes: u64,
    /// The time between two syncs, `--journal-sync`; `None` for never.
    pub sync_every: Option<Duration>,
    /// The most bytes of a room that wait for the disk. The thread writes as many again.
    pub buffer_bytes: usize,
    /// The longest line with its stamp, in bytes. At most half as many as `buffer_bytes`.
    pub longest_line_bytes: usize,
    /// The kept rooms: the lobby first.
    pub rooms: Vec<KeptRoom>,
}

/// A kept room.
#[derive(Clone, Debug)]
pub struct KeptRoom {
    /// Its name.
    pub name: Name,
    /// The most bytes of text to be read back at the start: its tape.
    pub text_bytes_max: usize,
}

/// An open journal.
#[derive(Debug)]
pub struct Opened {
    /// The store of all kept rooms.
    pub writer: Writer,
    /// Records that were kept of each of them.
    pub kept: Vec<Kept>,
    /// Client numbers that this run may give out at once. More have to be reserved.
    pub numbers: Range<u64>,
    /// The sessions that the last run has handed over.
    pub handover: Option<Found>,
    /// Damage that was found, for the log.
    pub warnings: Vec<String>,
}

/// Reason that a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A call of the kernel failed.
    #[error("cannot keep the journal in {}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Another process holds the lock.
    #[error("cannot keep the journal in {}: another server writes there", .0.display())]
    Locked(PathBuf),
    /// The folder has files, and none of a journal.
    #[error("cannot keep the journal in {}: it is not empty, and not a journal", .0.display())]
    NotAJournal(PathBuf),
    /// The folder belongs to another user.
    #[error("cannot keep the journal in {}: it belongs to another user (uid {uid})", .path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
}

impl OpenError {
    /// Returns a function that tells where a call failed.
    fn at(path: &Path) -> impl Fn(io::Error) -> OpenError {
        move |source| OpenError::Io { path: path.to_owned(), source }
    }
}

impl Settings {
    /// Returns the settings of a server with this configuration; `None` without `--journal`.
    pub fn of(config: &Config) -> Option<Settings> {
        let journal = config.journal.as_ref()?;
        let lobby = KeptRoom { name: Name::of_lobby(), text_bytes_max: config.backlog_bytes };
        let others =
            config.rooms.iter().map(|name| KeptRoom { name: name.clone(), text_bytes_max: config.room_backlog_bytes });
        Some(Settings {
            dir: journal.dir.clone(),
            keep_bytes: journal.keep_bytes,
            sync_every: journal.sync_every,
            buffer_bytes: Settings::buffer_bytes(config),
            longest_line_bytes: config.longest_line_bytes(),
            rooms: std::iter::once(lobby).chain(others).collect(),
        })
    }

    /// Returns how many bytes of a room wait for the disk at most: two of the longest lines fit.
    pub fn buffer_bytes(config: &Config) -> usize {
        JOURNAL_BUFFER_BYTES.max(2 * config.longest_line_bytes())
    }
}

/// Opens the journal: locks its folder, repairs what a crash has torn, reads back what was kept, and starts the thread
/// that writes. `wake` is called on that thread when there is space again in a room that had none.
///
/// Cost: reads the ends of the segments, and as much text as the tapes hold.
///
/// # Errors
/// When the folder cannot be read or written, is locked, or is not a journal.
pub fn open(settings: &Settings, wake: impl Fn() + Send + 'static) -> Result<Opened, OpenError> {
    let folder = Folder::at(&settings.dir);
    let lock = Lock::take(&folder)?;
    let mut warnings = Vec::new();
    let first_number = numbers::first_free(&folder, &mut warnings)?;
    let numbers = first_number..first_number + JOURNAL_NUMBERS;
    numbers::reserve(&settings.dir, numbers.end).map_err(OpenError::at(&settings.dir))?;
    let (mut kept, mut logs) = (Vec::new(), Vec::new());
    for room in &settings.rooms {
        let restored = restore::restore(&folder, room, settings, &mut warnings)?;
        kept.push(restored.kept);
        logs.push(restored.log);
    }
    let writer = Writer::start(settings, logs, lock, wake).map_err(OpenError::at(&settings.dir))?;
    Ok(Opened { writer, kept, numbers, handover: handover::find(&settings.dir), warnings })
}
