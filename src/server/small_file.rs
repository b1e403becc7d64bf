//! Small files that are read whole, in the loop.
//!
//! So only a regular file within a limit is read: a pipe could block the server, and a device could fill its memory.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Permission of all users to read a file.
const READABLE_BY_ALL: u32 = 0o004;

/// A file that was read.
#[derive(Debug)]
pub(super) struct SmallFile {
    /// Its bytes, at least one.
    pub(super) bytes: Vec<u8>,
    /// Whether all users of this machine can read it.
    pub(super) is_readable_by_all: bool,
}

/// A reason that a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// The kernel does not let the server read it.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// It is a folder, a pipe or a device.
    #[error("it is not a regular file")]
    NotRegular,
    /// It has more bytes than this.
    #[error("it is larger than {} KiB", .0 >> 10)]
    TooLarge(usize),
    /// It has no bytes.
    #[error("it is empty")]
    Empty,
}

/// Reads a file of at most `bytes_max` bytes.
pub(super) fn read(path: &Path, bytes_max: usize) -> Result<SmallFile, FileProblem> {
    // A pipe without a writer would block the server in `open`.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file: File = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(FileProblem::NotRegular);
    }
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        return Err(FileProblem::TooLarge(bytes_max));
    }
    if bytes.is_empty() {
        return Err(FileProblem::Empty);
    }
    Ok(SmallFile { bytes, is_readable_by_all: metadata.permissions().mode() & READABLE_BY_ALL != 0 })
}
