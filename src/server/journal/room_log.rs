//! Writing the journal of one room: its segments, their rotation, and cutting back a write that failed.
//!
//! Invariants: the current segment ends with a whole record; all segments together have at most `keep_bytes`; `next` is
//! the position behind all that was written.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFile};
use super::head::{SegmentName, head};
use super::restore::{records, split_at_last_stamp};
use crate::relay::stamp::Stamp;

/// A segment has about this part of the bytes that are kept, so about as much goes at a time.
const SEGMENTS_KEPT: u64 = 8;

/// Segments of a room at most, the current one included. Each start begins one, however little is said, and has to open
/// all of them.
const SEGMENTS_MAX: usize = 1_024;

/// The segments of a room, and the place where the next records go.
#[derive(Debug)]
pub(super) struct RoomLog<D: Disk> {
    disk: D,
    folder: PathBuf,
    room: Box<str>,
    keep_bytes: u64,
    next_serial: u64,
    /// All segments but the current one, the oldest first.
    stored: VecDeque<Stored>,
    current: Option<Current<D::File>>,
    /// The position behind the last record, and the time of the newest stamp; `None` before the first record.
    next: Option<Stamp>,
    /// Whether there are bytes that no sync has covered.
    is_unsynced: bool,
}

/// A segment that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// The segment that is written.
#[derive(Debug)]
struct Current<F> {
    file: F,
    path: PathBuf,
    bytes: u64,
}

impl<D: Disk> RoomLog<D> {
    /// The log of a room whose earlier segments are `stored`, the oldest first.
    pub(super) fn new(
        disk: D,
        folder: PathBuf,
        room: &str,
        keep_bytes: u64,
        stored: VecDeque<Stored>,
        next_serial: u64,
    ) -> RoomLog<D> {
        let room = room.into();
        RoomLog { disk, folder, room, keep_bytes, next_serial, stored, current: None, next: None, is_unsynced: false }
    }

    /// Whether a segment is kept.
    pub(super) fn holds(&self, path: &Path) -> bool {
        self.stored.iter().any(|stored| stored.path == path)
    }

    /// Returns the file that is written, or the folder before there is any.
    pub(super) fn path(&self) -> &Path {
        self.current.as_ref().map_or(&self.folder, |current| &current.path)
    }

    /// Writes whole lines, all or nothing. The first ones of all begin with a stamp. Leaves a segment that has lost its
    /// name: the next lines begin another.
    ///
    /// # Errors
    /// As the kernel says, or if the segment has lost its name. The lines may be written again.
    pub(super) fn write(&mut self, lines: &[u8], syncs: bool) -> io::Result<()> {
        if self.current.as_ref().is_some_and(|current| !current.file.is_linked()) {
            (self.current, self.is_unsynced) = (None, false);
            return Err(io::Error::new(io::ErrorKind::NotFound, "the file was removed"));
        }
        let limit = self.keep_bytes / SEGMENTS_KEPT;
        if self.current.as_ref().is_some_and(|current| current.bytes >= limit) {
            self.close_current(syncs)?;
        }
        match &self.current {
            Some(_) => self.extend(lines)?,
            None => self.begin_segment(lines, syncs)?,
        }
        self.is_unsynced = true;
        self.next = position_behind(self.next, lines);
        Ok(())
    }

    /// Has all that was written survive a power loss.
    ///
    /// # Errors
    /// As the kernel says.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(current) = self.current.as_ref().filter(|_| self.is_unsynced) else { return Ok(()) };
        self.is_unsynced = false;
        current.file.sync()
    }

    /// Whether there are bytes that no sync has covered.
    pub(super) fn is_unsynced(&self) -> bool {
        self.is_unsynced
    }

    /// Removes the oldest segments until there is space for so many bytes.
    ///
    /// # Errors
    /// As the kernel says.
    pub(super) fn make_space(&mut self, bytes: u64) -> io::Result<()> {
        let current = self.current.as_ref().map_or(0, |current| current.bytes);
        let mut sum = self.stored.iter().map(|stored| stored.bytes).sum::<u64>() + current + bytes;
        while sum > self.keep_bytes || self.stored.len() >= SEGMENTS_MAX {
            let Some(oldest) = self.stored.front() else { break };
            self.disk.remove(&oldest.path)?;
            sum -= oldest.bytes;
            self.stored.pop_front();
        }
        Ok(())
    }

    fn close_current(&mut self, syncs: bool) -> io::Result<()> {
        if syncs {
            self.sync()?;
        }
        if let Some(Current { path, bytes, .. }) = self.current.take() {
            self.stored.push_back(Stored { path, bytes });
        }
        Ok(())
    }

    fn extend(&mut self, lines: &[u8]) -> io::Result<()> {
        self.make_space(lines.len() as u64)?;
        let Some(current) = &mut self.current else { return Ok(()) };
        if let Err(error) = write_all(&current.file, lines, current.bytes) {
            // If that fails, too, the next write begins at the same place.
            let _ = current.file.set_len(current.bytes);
            return Err(error);
        }
        current.bytes += lines.len() as u64;
        Ok(())
    }

    /// Begins a segment with these lines. If they do not begin with a stamp, it begins with one of the newest time.
    fn begin_segment(&mut self, lines: &[u8], syncs: bool) -> io::Result<()> {
        let own_stamp = first_stamp(lines);
        let Some(first) = own_stamp.or(self.next) else {
            debug_assert!(false, "the first lines of a room begin with a stamp");
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the first line is no stamp"));
        };
        let name = SegmentName { serial: self.next_serial, first: first.next };
        let mut head = head(&self.room, name);
        if own_stamp.is_none() {
            head += &format!("{first}\n");
        }
        let bytes = (head.len() + lines.len()) as u64;
        self.make_space(bytes)?;
        let path = self.folder.join(name.to_string());
        // A name is not tried twice, in case that a file cannot be removed.
        self.next_serial += 1;
        let file = self.disk.create(&path)?;
        let written = write_all(&file, head.as_bytes(), 0).and_then(|()| write_all(&file, lines, head.len() as u64));
        let synced = || if syncs { file.sync().and_then(|()| self.disk.sync_folder(&self.folder)) } else { Ok(()) };
        if let Err(error) = written.and_then(|()| synced()) {
            let _ = file.set_len(0);
            let _ = self.disk.remove(&path);
            return Err(error);
        }
        self.current = Some(Current { file, path, bytes });
        Ok(())
    }
}

/// Returns the position behind lines, with the time of their last stamp.
fn position_behind(before: Option<Stamp>, lines: &[u8]) -> Option<Stamp> {
    let (stamp, behind) = split_at_last_stamp(lines);
    let mut next = stamp.or(before)?;
    next.next.record += records(behind);
    Some(next)
}

fn first_stamp(lines: &[u8]) -> Option<Stamp> {
    Stamp::parse(&lines[..memchr::memchr(b'\n', lines)?])
}

/// Writes all bytes at an offset, however many a call takes.
fn write_all(file: &impl DiskFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::fs::{self, File};
    use std::rc::Rc;

    use super::super::disk::RealDisk;
    use super::super::testing::{Scratch, talk};
    use super::*;

    /// An answer of the disk to one call.
    #[derive(Clone, Copy, Debug)]
    enum Answer {
        /// As the real one.
        Real,
        /// A write takes so many bytes, or all it is given.
        Short(usize),
        Error(io::ErrorKind),
    }

    use Answer::{Error, Real, Short};

    /// A disk that answers as it is told, and then as the real one.
    #[derive(Clone, Debug, Default)]
    struct Told(Rc<RefCell<VecDeque<Answer>>>);

    #[derive(Debug)]
    struct ToldFile(File, Told);

    impl Told {
        fn answer<T>(&self, real: impl FnOnce(usize) -> io::Result<T>) -> io::Result<T> {
            match self.0.borrow_mut().pop_front().unwrap_or(Real) {
                Real => real(usize::MAX),
                Short(bytes) => real(bytes),
                Error(kind) => Err(kind.into()),
            }
        }
    }

    impl Disk for Told {
        type File = ToldFile;

        fn create(&self, path: &Path) -> io::Result<ToldFile> {
            self.answer(|_| RealDisk.create(path)).map(|file| ToldFile(file, self.clone()))
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            self.answer(|_| RealDisk.remove(path))
        }

        fn sync_folder(&self, path: &Path) -> io::Result<()> {
            self.answer(|_| RealDisk.sync_folder(path))
        }
    }

    impl DiskFile for ToldFile {
        fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
            self.1.answer(|max| DiskFile::write_at(&self.0, &bytes[..bytes.len().min(max)], offset))
        }

        fn set_len(&self, bytes: u64) -> io::Result<()> {
            self.1.answer(|_| DiskFile::set_len(&self.0, bytes))
        }

        fn sync(&self) -> io::Result<()> {
            self.1.answer(|_| DiskFile::sync(&self.0))
        }

        fn is_linked(&self) -> bool {
            DiskFile::is_linked(&self.0)
        }
    }

    fn log(scratch: &Scratch, disk: &Told, keep_bytes: u64) -> RoomLog<Told> {
        RoomLog::new(disk.clone(), scratch.path().join("lobby"), "lobby", keep_bytes, VecDeque::new(), 0)
    }

    /// The text of all segments, without their heads.
    fn text(scratch: &Scratch) -> String {
        let texts = scratch.files().into_iter().map(|file| fs::read_to_string(file).unwrap());
        texts.map(|text| text.split_once('\n').map_or(String::new(), |(_, text)| text.to_owned())).collect()
    }

    /// Writes again until that succeeds. Returns how often it failed; each failure leaves nothing of the lines.
    fn write(log: &mut RoomLog<Told>, lines: &str, scratch: &Scratch) -> usize {
        let (mut failures, before) = (0, text(scratch));
        while log.write(lines.as_bytes(), true).is_err() {
            failures += 1;
            assert_eq!(text(scratch), before, "a failed write is cut back");
        }
        failures
    }

    #[test]
    fn whatever_call_fails_all_lines_are_written_once() {
        let full = Error(io::ErrorKind::StorageFull);
        let broken = Error(io::ErrorKind::Other);
        let interrupted = Error(io::ErrorKind::Interrupted);
        for (answers, failures) in [
            // Of the first write: create, write the head, write, sync, sync the folder.
            (vec![full], 1),
            (vec![Real, full], 1),
            (vec![Real, Short(3), full], 1),
            (vec![Real, Real, Short(3), full], 1),
            (vec![Real, Real, Short(0)], 1),
            (vec![Real, interrupted, Short(1), interrupted, Real, interrupted], 0),
            (vec![Real, Real, Real, broken], 1),
            (vec![Real, Real, Real, Real, broken], 1),
            // Twice, and the file stays behind, empty.
            (vec![full, Real, Short(9), full, Real, broken], 2),
            // Of the second write.
            (vec![Real, Real, Real, Real, Real, full], 1),
            (vec![Real, Real, Real, Real, Real, Short(5), full], 1),
            (vec![Real, Real, Real, Real, Real, Short(5), Short(1), Short(70), full, Real, Short(2), broken], 2),
            (vec![Real, Real, Real, Real, Real, interrupted, Short(1)], 0),
        ] {
            let (scratch, disk) = (Scratch::new(), Told(Rc::new(RefCell::new(answers.clone().into()))));
            let mut log = log(&scratch, &disk, 1 << 20);
            let lines = [talk(1, 0, 4), talk(1, 4, 4), "ana> line 8\n".to_owned()];
            let failed: usize = lines.iter().map(|lines| write(&mut log, lines, &scratch)).sum();
            assert_eq!((failed, text(&scratch)), (failures, lines.concat()), "{answers:?}");
            assert!(disk.0.borrow().is_empty(), "{answers:?}");
        }
    }

    #[test]
    fn a_write_that_cannot_be_cut_back_is_overwritten() {
        let (scratch, disk) = (Scratch::new(), Told::default());
        let mut log = log(&scratch, &disk, 1 << 20);
        log.write(talk(1, 0, 1).as_bytes(), false).unwrap();
        let broken = Error(io::ErrorKind::Other);
        disk.0.borrow_mut().extend([Short(5), broken, broken]);
        assert!(log.write(b"ana> line 1\n", false).is_err());
        log.write(b"ana> line 1\n", false).unwrap();
        assert_eq!(text(&scratch), talk(1, 0, 2));
    }

    #[test]
    fn segments_rotate_and_all_of_them_stay_within_the_bound() {
        // Lines with stamps, and without: then the segment begins with one of the same time.
        for records in [1, 3, 40] {
            let (scratch, keep_bytes) = (Scratch::new(), 8_000);
            let mut log = log(&scratch, &Told::default(), keep_bytes);
            log.write(talk(1, 0, 1).as_bytes(), false).unwrap();
            let mut next = 1;
            for part in 0..200 {
                let lines = talk(1, next, records);
                let unstamped = lines.split_once('\n').unwrap().1;
                log.write(if part % 3 == 0 { lines.as_bytes() } else { unstamped.as_bytes() }, false).unwrap();
                next += records;
                let sum: u64 = scratch.files().iter().map(|file| file.metadata().unwrap().len()).sum();
                assert!(sum <= keep_bytes, "{sum}");
            }
            let files = scratch.files();
            assert!(files.len() > 4, "{}", files.len());
            let (restored, warnings) = scratch.restore(&scratch.settings());
            let run = restored.kept.runs[0];
            assert_eq!((run.first + run.records, warnings.len()), (next, 0), "no record is counted twice");
            let said = |text: &str| text.lines().filter(|line| !line.starts_with('@')).map(str::to_owned).collect();
            let kept: Vec<String> = said(&String::from_utf8(restored.kept.text).unwrap());
            assert_eq!(kept, said(&talk(1, run.first, run.records)) as Vec<String>);
        }
    }

    #[test]
    fn segments_that_cannot_be_removed_stop_the_writing_at_the_bound() {
        let (scratch, disk) = (Scratch::new(), Told::default());
        let mut log = log(&scratch, &disk, 2_000);
        let mut next = 0;
        // Until the next write has to remove a segment.
        while scratch.files().iter().map(|file| file.metadata().unwrap().len()).sum::<u64>() < 1_700 {
            log.write(talk(1, next, 10).as_bytes(), false).unwrap();
            next += 10;
        }
        let before = text(&scratch);
        disk.0.borrow_mut().push_back(Error(io::ErrorKind::PermissionDenied));
        let lines = talk(1, next, 10);
        assert_eq!(log.write(lines.as_bytes(), false).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(text(&scratch), before);
        log.write(lines.as_bytes(), false).unwrap();
        assert!(text(&scratch).ends_with(&lines));
    }

    #[test]
    fn a_segment_that_was_removed_is_noticed_and_another_begins() {
        for syncs in [true, false] {
            let scratch = Scratch::new();
            let mut log = log(&scratch, &Told::default(), 1 << 20);
            log.write(talk(1, 0, 3).as_bytes(), syncs).unwrap();
            fs::remove_dir_all(scratch.path().join("lobby")).unwrap();
            let line = b"ana> line 3\n";
            assert_eq!(log.write(line, syncs).unwrap_err().kind(), io::ErrorKind::NotFound);
            log.write(line, syncs).unwrap();
            assert!(text(&scratch).ends_with(".3\nana> line 3\n"), "{}", text(&scratch));
        }
    }
}
