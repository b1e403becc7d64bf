//! The calls of the kernel that writing a journal needs. Tests put a disk in their place that fails.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Permissions of files: the owner alone reads and writes.
pub(super) const FILE_MODE: u32 = 0o600;

/// Permissions of folders.
pub(super) const FOLDER_MODE: u32 = 0o700;

/// A place for files.
pub(super) trait Disk {
    /// A new file.
    type File: DiskFile;

    /// Creates a file, which must not exist, and its folder if need be.
    ///
    /// # Errors
    /// As the kernel says.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Removes a file. That it does not exist is no error.
    ///
    /// # Errors
    /// As the kernel says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Has the entries of a folder survive a power loss.
    ///
    /// # Errors
    /// As the kernel says.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// A file that is written. Its methods fail as the kernel's do.
pub(super) trait DiskFile {
    /// Writes at an offset, perhaps fewer bytes than asked for.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file off.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Has the bytes survive a power loss.
    fn sync(&self) -> io::Result<()>;

    /// Whether the file still has a name.
    fn is_linked(&self) -> bool;
}

/// The disks of this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    type File = File;

    fn create(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(FILE_MODE);
        match (options.open(path), path.parent()) {
            (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
                create_folder(folder)?;
                folder.parent().map_or(Ok(()), |parent| self.sync_folder(parent))?;
                options.open(path)
            }
            (result, _) => result,
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl DiskFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(self, bytes, offset)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn is_linked(&self) -> bool {
        self.metadata().map_or(true, |metadata| metadata.nlink() > 0)
    }
}

/// Creates a folder for the owner alone, in a folder that exists. That it exists already is no error.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// Replaces a file of a folder as a whole: a crash leaves the old one or the new one. `next` is the name of the new one
/// until then. Afterwards it survives a power loss.
///
/// # Errors
/// As the kernel says. Then the old file stays.
pub(super) fn replace_file(dir: &Path, file: &str, next: &str, bytes: &[u8]) -> io::Result<()> {
    let next = dir.join(next);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(FILE_MODE).custom_flags(open_flags());
    let mut new = options.open(&next)?;
    new.write_all(bytes)?;
    new.sync_all()?;
    fs::rename(&next, dir.join(file))?;
    RealDisk.sync_folder(dir)
}

/// Opens a file of the journal that exists. A symbolic link is none, and neither is a FIFO, which would never open.
pub(super) fn open_file(path: &Path, writes: bool) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(writes).custom_flags(open_flags()).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// Flags with which a file is opened that may be anything: no link is followed, and no FIFO is waited for.
pub(super) fn open_flags() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

/// Reads as many bytes at an offset as the file has, at most those of `buffer`.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
