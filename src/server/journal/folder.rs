//! The folder of a journal: its lock, its rooms, and the segments of each.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::OpenError;
use super::disk::{FILE_MODE, create_folder, open_file, read_at};
use super::head::{HEAD_BYTES_MAX, SegmentName, head_bytes};

/// File that is locked, and that makes its folder a journal.
const LOCK: &str = "pollchat.lock";

/// Text of that file.
const LOCK_TEXT: &[u8] = b"the journal of a pollchat-server, version 1: read it with `pollchat-server export`\n";

/// Folder that a new file system has at its root.
const LOST_AND_FOUND: &str = "lost+found";

/// The folder of a journal.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    dir: PathBuf,
}

/// The lock of a journal, until it is dropped or the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    /// The kernel drops the lock with it.
    _file: File,
}

/// A segment as it was found.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) name: SegmentName,
    /// Size of the file.
    pub(super) bytes: u64,
    /// Bytes of its head; `None` if that is damaged.
    pub(super) head_bytes: Option<u64>,
}

impl Folder {
    /// The folder at `dir`, whatever is there.
    pub(super) fn at(dir: &Path) -> Folder {
        Folder { dir: dir.to_owned() }
    }

    /// Returns its path.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the folder of the room with this folded name.
    pub(super) fn room(&self, room: &str) -> PathBuf {
        self.dir.join(room)
    }

    /// Whether it is a journal.
    pub(super) fn is_journal(&self) -> bool {
        fs::symlink_metadata(self.dir.join(LOCK)).is_ok_and(|metadata| metadata.is_file())
    }

    /// Returns the folded names of the rooms that have a folder: the lobby first, then by name.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn rooms(&self) -> io::Result<Vec<String>> {
        let mut rooms = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            // A symbolic link is no folder.
            if entry.file_type()?.is_dir() && entry.file_name() != LOST_AND_FOUND {
                rooms.extend(entry.file_name().into_string().ok().filter(|name| !name.contains('.')));
            }
        }
        rooms.sort_by_cached_key(|room| (room != crate::relay::name::Name::LOBBY, room.clone()));
        Ok(rooms)
    }

    /// Returns the segments of a room, the oldest first. Other files are ignored, and so is a segment that a server
    /// removes meanwhile.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be read.
    pub(super) fn segments(&self, room: &str) -> io::Result<Vec<Segment>> {
        let folder = self.room(room);
        if fs::symlink_metadata(&folder).is_ok_and(|metadata| !metadata.is_dir()) {
            // A symbolic link is none, wherever it leads.
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            result => result?,
        };
        let mut segments = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| SegmentName::parse(name.to_str()?)) else { continue };
            match Segment::read(&path, room, name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // The caller knows the folder.
                Err(error) => return Err(io::Error::new(error.kind(), format!("{name}: {error}"))),
                Ok(segment) => segments.push(segment),
            }
        }
        segments.sort_by_key(|segment| (segment.name.serial, segment.name.first.record));
        Ok(segments)
    }
}

impl Segment {
    fn read(path: &Path, room: &str, name: SegmentName) -> io::Result<Segment> {
        let file = open_file(path, false)?;
        let mut start = [0; HEAD_BYTES_MAX];
        let len = read_at(&file, &mut start, 0)?;
        let head_bytes = head_bytes(&start[..len], room, name).map(|bytes| bytes as u64);
        Ok(Segment { path: path.to_owned(), name, bytes: file.metadata()?.len(), head_bytes })
    }

    /// Returns what is wrong with it, for people.
    pub(super) fn damage(&self) -> String {
        format!("{}: its head is damaged, so none of it is read", self.path.display())
    }
}

impl Lock {
    /// Creates the folder if need be, makes it a journal if it is empty, and locks it.
    ///
    /// # Errors
    /// When that fails, or if it is locked, not ours, or not a journal.
    pub(super) fn take(folder: &Folder) -> Result<Lock, OpenError> {
        let dir = folder.dir();
        let failed = OpenError::at(dir);
        create_folder(dir).map_err(&failed)?;
        let owner = fs::metadata(dir).map_err(&failed)?.uid();
        // Root may write everywhere, as in a container with a folder of its host.
        if !geteuid().is_root() && owner != geteuid().as_raw() {
            return Err(OpenError::NotOurs { path: dir.to_owned(), uid: owner });
        }
        if !folder.is_journal() && !is_empty(dir).map_err(&failed)? {
            return Err(OpenError::NotAJournal(dir.to_owned()));
        }
        let path = dir.join(LOCK);
        let failed = OpenError::at(&path);
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE).custom_flags(flags);
        let file = options.open(&path).map_err(&failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked(dir.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut text = Vec::new();
        (&file).take(LOCK_TEXT.len() as u64 + 1).read_to_end(&mut text).map_err(&failed)?;
        // A power loss behind its creation leaves it empty.
        if text.is_empty() || text.iter().all(|&byte| byte == 0) {
            file.write_all_at(LOCK_TEXT, 0).map_err(&failed)?;
        } else if text != LOCK_TEXT {
            return Err(OpenError::NotAJournal(dir.to_owned()));
        }
        Ok(Lock { _file: file })
    }
}

/// Whether there is nothing in a folder that a new file system would not have.
fn is_empty(dir: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        if entry?.file_name() != LOST_AND_FOUND {
            return Ok(false);
        }
    }
    Ok(true)
}
