//! Lines for a stdout that may fail and recover: a full disk, a pipe without a reader. It owns the count of lines that
//! were not written.
//!
//! While writes fail, lines are dropped and counted. The next write that succeeds begins with a newline if the failure
//! tore a line, and then says how many lines were not written. So no two lines are fused, and no loss goes untold.

use std::io;

/// The state of an output between two writes.
#[derive(Debug)]
pub(crate) struct LossyLines {
    /// Whether the last byte written ended a line.
    is_at_line_start: bool,
    /// Whether bytes were dropped behind a part of a line.
    is_torn: bool,
    /// Whether the last byte offered was dropped, and did not end a line.
    is_amid_dropped: bool,
    /// Lines not written, and not told yet.
    missed: u64,
    /// The rest of a note about them that was written in part.
    note: Vec<u8>,
}

impl LossyLines {
    /// Creates the state of an output that nothing was written to.
    pub(crate) const fn new() -> LossyLines {
        LossyLines { is_at_line_start: true, is_torn: false, is_amid_dropped: false, missed: 0, note: Vec::new() }
    }

    /// Whether a line was written in part, and its rest is yet to be offered.
    pub(crate) fn awaits_rest(&self) -> bool {
        !self.is_at_line_start && !self.is_torn
    }

    /// Offers `bytes` to `write`, which writes once and does not block. Returns how many of them were written or
    /// dropped, and the error for which some were dropped.
    ///
    /// # Errors
    /// `WouldBlock` and `Interrupted` of `write`: nothing was dropped.
    pub(crate) fn offer(
        &mut self,
        bytes: &[u8],
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<(usize, Option<io::Error>)> {
        let mut dropped = 0;
        if self.is_amid_dropped {
            dropped = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |newline| newline + 1);
            self.drop_bytes(&bytes[..dropped]);
        }
        let rest = &bytes[dropped..];
        if rest.is_empty() && dropped > 0 {
            return Ok((dropped, None));
        }
        match self.write_note(&mut write).and_then(|()| write_some(rest, &mut write)) {
            Ok(written) => {
                self.note_written(&rest[..written]);
                Ok((dropped + written, None))
            }
            Err(error) if is_temporary(&error) && dropped > 0 => Ok((dropped, None)),
            Err(error) if is_temporary(&error) => Err(error),
            Err(error) => {
                self.drop_bytes(rest);
                Ok((bytes.len(), Some(error)))
            }
        }
    }

    /// Writes what has to stand before the next line.
    fn write_note(&mut self, write: &mut impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        loop {
            // A count that no byte of a note has told yet still grows.
            let (is_begun, mut told) = (!self.note.is_empty(), 0);
            if !is_begun {
                told = std::mem::take(&mut self.missed);
                self.note = self.note_of(told);
            }
            if self.note.is_empty() {
                return Ok(());
            }
            let note = std::mem::take(&mut self.note);
            match write_some(&note, write) {
                Ok(written) => {
                    self.note_written(&note[..written]);
                    self.note = note[written..].to_vec();
                }
                Err(error) => {
                    self.missed += told;
                    if is_begun {
                        self.note = note;
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Returns the end of a torn line, and the note that so many lines are missing.
    fn note_of(&self, missed: u64) -> Vec<u8> {
        let torn = if self.is_torn { "\n" } else { "" };
        let note = match missed {
            0 => torn.to_owned(),
            1 => format!("{torn}* 1 line was not written\n"),
            _ => format!("{torn}* {missed} lines were not written\n"),
        };
        note.into_bytes()
    }

    fn note_written(&mut self, bytes: &[u8]) {
        if let Some(&last) = bytes.last() {
            self.is_at_line_start = last == b'\n';
            self.is_torn = false;
        }
    }

    fn drop_bytes(&mut self, bytes: &[u8]) {
        self.missed += memchr::memchr_iter(b'\n', bytes).count() as u64;
        if let (Some(first), Some(&last)) = (bytes.first(), bytes.last()) {
            if !self.is_at_line_start && !self.is_torn && self.note.is_empty() {
                self.is_torn = true;
                // Only its end is missing, and the note begins with that.
                self.missed -= u64::from(*first == b'\n');
            }
            self.is_amid_dropped = last != b'\n';
        }
    }
}

/// Writes once. That nothing was written is an error.
fn write_some(bytes: &[u8], write: &mut impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<usize> {
    match write(bytes) {
        Ok(0) if !bytes.is_empty() => Err(io::ErrorKind::WriteZero.into()),
        result => result,
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that takes `room` bytes, at most `piece` at a time, before it is full.
    struct Disk {
        text: Vec<u8>,
        room: usize,
        piece: usize,
        /// Whether a full disk takes no bytes, in place of an error.
        is_polite: bool,
    }

    impl Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room).min(self.piece);
            if taken == 0 && !bytes.is_empty() && !self.is_polite {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.text.extend(&bytes[..taken]);
            self.room -= taken;
            Ok(taken)
        }
    }

    /// Offers all of `text`, in pieces of `size`, as a connection does: the rest again after a short write.
    fn offer_all(lines: &mut LossyLines, disk: &mut Disk, text: &[u8], size: usize) {
        for mut piece in text.chunks(size) {
            while !piece.is_empty() {
                let (taken, _) = lines.offer(piece, |bytes| disk.write(bytes)).unwrap();
                piece = &piece[taken..];
            }
        }
    }

    #[test]
    fn lines_are_whole_and_losses_told_wherever_the_disk_was_full() {
        let text: String = (0..12).map(|number| format!("line {number:02}\n")).collect();
        for room in 0..text.len() {
            for size in [1, 3, 7, 8, 20, 200] {
                for (piece, is_polite) in [(1, false), (5, false), (4096, false), (1, true), (5, true), (4096, true)] {
                    let mut lines = LossyLines::new();
                    let mut disk = Disk { text: Vec::new(), room, piece, is_polite };
                    offer_all(&mut lines, &mut disk, text.as_bytes(), size);
                    disk.room = 10;
                    offer_all(&mut lines, &mut disk, b"short room\n", size);
                    disk.room = usize::MAX;
                    offer_all(&mut lines, &mut disk, b"again\n", size);
                    let written = String::from_utf8(disk.text).unwrap();
                    let told: u64 = written.lines().filter_map(missed).sum();
                    let whole = written.lines().filter(|line| {
                        *line == "short room" || *line == "again" || text.lines().any(|known| known == *line)
                    });
                    assert_eq!(told + whole.count() as u64, 14, "{room} {size} {piece}: {written:?}");
                    assert!(written.ends_with("\nagain\n"), "{written:?}");
                }
            }
        }
    }

    /// The number that a note tells. A note that was torn goes on behind the tear.
    fn missed(line: &str) -> Option<u64> {
        line.strip_prefix("* ")?.split_once(' ')?.0.parse().ok()
    }

    #[test]
    fn a_blocked_output_loses_nothing() {
        let mut lines = LossyLines::new();
        let blocked = |_: &[u8]| Err(io::ErrorKind::WouldBlock.into());
        assert_eq!(lines.offer(b"a\n", blocked).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let full = |_: &[u8]| Err(io::ErrorKind::StorageFull.into());
        assert_eq!(lines.offer(b"b\nc", full).unwrap().0, 3);
        // The note is owed still, and the rest of `c` is dropped.
        assert_eq!(lines.offer(b"c\nd\n", blocked).unwrap().0, 2);
        let mut written: Vec<u8> = Vec::new();
        let (taken, error) = lines
            .offer(b"d\n", |bytes| {
                written.extend(bytes);
                Ok(bytes.len())
            })
            .unwrap();
        assert!(taken == 2 && error.is_none());
        assert_eq!(written, b"* 2 lines were not written\nd\n");
    }
}
