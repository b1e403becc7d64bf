//! Reading a journal back: repairing the newest segment of a room, the extent of its kept logs, and its newest text.
//!
//! Only the ends of segments are read, and the newest one. So the time does not grow with the journal.

use std::fs::File;
use std::io;
use std::path::Path;

use super::disk::{Disk as _, RealDisk, open_file, read_at};
use super::folder::{Folder, Segment};
use super::room_log::{RoomLog, Stored};
use super::store::Kept;
use super::{KeptRoom, OpenError, Settings};
use crate::relay::past::Run;
use crate::relay::sanitize::sanitize;
use crate::relay::stamp::{STAMP_BYTE, Stamp};

/// Bytes that are read of the end of a segment, at first: more than a second of chat in most rooms.
const END_BYTES: u64 = 64 * 1024;

/// Records of a log, at most: a damaged stamp may tell any number. So the count of all logs does not overflow.
const RECORDS_MAX: u64 = 1 << 48;

/// Bytes of a piece when a whole segment is read.
const PIECE_BYTES: usize = 256 * 1024;

/// A room that was read back.
pub(super) struct Restored {
    pub(super) kept: Kept,
    pub(super) log: RoomLog<RealDisk>,
}

/// The end of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    /// Bytes up to the end of its last whole record.
    bytes: u64,
    /// The number of the record that would come next.
    next_record: u64,
}

/// Repairs the newest segment of a room, drops the oldest ones beyond the bound, and reads back what a server needs.
///
/// # Errors
/// When the room's folder or a file in it cannot be read or repaired.
pub(super) fn restore(
    folder: &Folder,
    room: &KeptRoom,
    settings: &Settings,
    warnings: &mut Vec<String>,
) -> Result<Restored, OpenError> {
    let name = room.name.folded();
    let path = folder.room(name);
    let mut segments = folder.segments(name).map_err(OpenError::at(&path))?;
    let next_serial = segments.last().map_or(0, |newest| newest.name.serial + 1);
    remove_torn_heads(&mut segments)?;
    warnings.extend(segments.iter().filter(|segment| segment.head_bytes.is_none()).map(Segment::damage));
    if let Some(newest) = segments.iter_mut().rfind(|segment| segment.head_bytes.is_some()) {
        repair(newest).map_err(OpenError::at(&newest.path))?;
    }
    let stored = segments.iter().filter(|segment| segment.head_bytes.is_some());
    let stored = stored.map(|segment| Stored { path: segment.path.clone(), bytes: segment.bytes }).collect();
    let mut log = RoomLog::new(RealDisk, path.clone(), name, settings.keep_bytes, stored, next_serial);
    log.make_space(0).map_err(OpenError::at(&path))?;
    segments.retain(|segment| segment.head_bytes.is_none() || log.holds(&segment.path));
    let runs = runs(&segments).map_err(OpenError::at(&path))?;
    let mut text = newest_text(&segments, room.text_bytes_max as u64).map_err(OpenError::at(&path))?;
    text.drain(..unbroken_from(&text, settings.longest_line_bytes));
    Ok(Restored { kept: Kept { runs, text }, log })
}

/// Removes segments that a power loss has left without a whole line: none has a record.
fn remove_torn_heads(segments: &mut Vec<Segment>) -> Result<(), OpenError> {
    for segment in segments.extract_if(.., |segment| segment.head_bytes.is_none() && has_no_line(&segment.path)) {
        RealDisk.remove(&segment.path).map_err(OpenError::at(&segment.path))?;
    }
    Ok(())
}

fn has_no_line(path: &Path) -> bool {
    let Ok(file) = open_file(path, false) else { return false };
    let mut has_line = false;
    let seen = each_piece(&file, 0, |piece| has_line |= memchr::memchr(b'\n', piece).is_some());
    seen.is_ok() && !has_line
}

/// Cuts a segment behind its last whole record: before its first NUL, as a power loss leaves them, and behind the last
/// LF. A stamp without its record goes, too.
fn repair(segment: &mut Segment) -> io::Result<()> {
    let head_bytes = segment.head_bytes.unwrap_or(0);
    let file = open_file(&segment.path, true)?;
    let mut solid = head_bytes;
    let mut has_nul = false;
    each_piece(&file, head_bytes, |piece| {
        if !has_nul {
            let nul = memchr::memchr(0, piece);
            solid += nul.unwrap_or(piece.len()) as u64;
            has_nul = nul.is_some();
        }
    })?;
    let end = end_of(&file, head_bytes, solid, segment.name.first.record)?;
    if end.bytes < segment.bytes {
        file.set_len(end.bytes)?;
        file.sync_all()?;
        segment.bytes = end.bytes;
    }
    Ok(())
}

/// Returns the kept logs of a room, the oldest first. Segments that are damaged count as records that the disk missed.
fn runs(segments: &[Segment]) -> io::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for log in segments.chunk_by(|one, next| one.name.first.epoch == next.name.first.epoch) {
        let [first, .., last] = log else {
            runs.push(run(&log[0], &log[0])?);
            continue;
        };
        runs.push(run(first, last)?);
    }
    Ok(runs)
}

fn run(first: &Segment, last: &Segment) -> io::Result<Run> {
    let end = match last.head_bytes {
        Some(head) => end_of(&open_file(&last.path, false)?, head, last.bytes, last.name.first.record)?.next_record,
        None => last.name.first.record,
    };
    let first = first.name.first;
    let records = end.saturating_sub(first.record).min(RECORDS_MAX);
    Ok(Run { epoch: first.epoch, first: first.record, records })
}

/// Finds the end of a segment. Reads no more than its last stamp and the records behind that.
fn end_of(file: &File, head_bytes: u64, bytes: u64, first_record: u64) -> io::Result<End> {
    let mut window = END_BYTES;
    loop {
        let start = bytes.saturating_sub(window).max(head_bytes);
        let text = read_between(file, start, bytes)?;
        let is_all = start == head_bytes;
        // The window may begin within a line.
        let begin = if is_all { 0 } else { memchr::memchr(b'\n', &text).map_or(text.len(), |at| at + 1) };
        let lines = whole_records(&text[begin..]);
        let (last_stamp, behind) = split_at_last_stamp(lines);
        if last_stamp.is_some() || is_all {
            let from = last_stamp.map_or(first_record, |stamp| stamp.next.record);
            let end = if lines.is_empty() { start } else { start + (begin + lines.len()) as u64 };
            return Ok(End { bytes: end, next_record: from.saturating_add(records(behind)) });
        }
        window = window.saturating_mul(4);
    }
}

/// Returns lines without a torn one at their end, and without stamps there.
fn whole_records(text: &[u8]) -> &[u8] {
    let mut lines = &text[..memchr::memrchr(b'\n', text).map_or(0, |at| at + 1)];
    while let Some(without_end) = lines.strip_suffix(b"\n") {
        let start = memchr::memrchr(b'\n', without_end).map_or(0, |at| at + 1);
        if lines[start] != STAMP_BYTE {
            break;
        }
        lines = &lines[..start];
    }
    lines
}

/// Splits whole lines behind their last stamp.
pub(super) fn split_at_last_stamp(lines: &[u8]) -> (Option<Stamp>, &[u8]) {
    let mut before = lines.len();
    loop {
        let start = match memchr::memmem::rfind(&lines[..before], b"\n@ ") {
            Some(at) => at + 1,
            None if lines.starts_with(b"@ ") && before > 0 => 0,
            None => return (None, lines),
        };
        let end = start + memchr::memchr(b'\n', &lines[start..]).unwrap_or(lines.len() - start);
        if let Some(stamp) = Stamp::parse(&lines[start..end]) {
            return (Some(stamp), lines.get(end + 1..).unwrap_or_default());
        }
        before = start;
    }
}

/// Returns how many records whole lines without stamps are.
pub(super) fn records(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

/// Returns the newest text, at most so many bytes: of the segments behind the last damaged one. A torn segment is
/// damaged, too: its last line and the first of the next would look like one record.
fn newest_text(segments: &[Segment], bytes_max: u64) -> io::Result<Vec<u8>> {
    let (mut pieces, mut left) = (Vec::new(), bytes_max);
    for segment in segments.iter().rev() {
        let Some(head_bytes) = segment.head_bytes.filter(|_| left > 0) else { break };
        let start = segment.bytes.saturating_sub(left).max(head_bytes);
        let piece = read_between(&open_file(&segment.path, false)?, start, segment.bytes)?;
        if piece.last().is_some_and(|&byte| byte != b'\n') {
            break;
        }
        pieces.push(piece);
        left -= segment.bytes.saturating_sub(start);
    }
    pieces.reverse();
    Ok(pieces.concat())
}

/// Returns where the newest lines without a break begin, at a stamp. A gap is a break, and so is a line that no server
/// of these settings would have put on its tape.
fn unbroken_from(text: &[u8], line_bytes_max: usize) -> usize {
    // Where the unbroken lines begin, and the position that comes next.
    let mut unbroken = None;
    let (mut at, mut buffer) = (0, String::new());
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let content = line.strip_suffix(b"\n");
        let stamp = content.and_then(Stamp::parse);
        unbroken = match (unbroken, stamp, content) {
            (Some((start, next)), Some(stamp), _) if is_continued(next, stamp) => Some((start, stamp)),
            (_, Some(stamp), _) => Some((at, stamp)),
            (Some((start, Stamp { time_ms, mut next })), None, Some(content))
                if line.len() <= line_bytes_max && is_record(content, &mut buffer) =>
            {
                next.record = next.record.saturating_add(1);
                Some((start, Stamp { time_ms, next }))
            }
            _ => None,
        };
        at += line.len();
    }
    unbroken.map_or(text.len(), |(start, _)| start)
}

/// Whether a stamp goes on where the records before it end: in the same log, or at the beginning of the next.
fn is_continued(before: Stamp, stamp: Stamp) -> bool {
    before.next.epoch != stamp.next.epoch || before.next.record == stamp.next.record
}

fn is_record(line: &[u8], buffer: &mut String) -> bool {
    !line.is_empty() && line[0] != STAMP_BYTE && sanitize(line, buffer).as_bytes() == line
}

/// Calls `f` with each whole line of a segment behind its head, without its LF. The first NUL ends that, and so does
/// the first error of `f`, which is returned inside.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn each_line<E>(
    file: &File,
    head_bytes: u64,
    mut f: impl FnMut(&[u8]) -> Result<(), E>,
) -> io::Result<Result<(), E>> {
    let (mut rest, mut has_nul) = (Vec::new(), false);
    let (mut piece, mut at) = (vec![0; PIECE_BYTES], head_bytes);
    while !has_nul {
        let len = read_at(file, &mut piece, at)?;
        if len == 0 {
            break;
        }
        at += len as u64;
        let nul = memchr::memchr(0, &piece[..len]);
        has_nul = nul.is_some();
        rest.extend_from_slice(&piece[..nul.unwrap_or(len)]);
        let whole = memchr::memrchr(b'\n', &rest).map_or(0, |at| at + 1);
        for line in rest[..whole].split_inclusive(|&byte| byte == b'\n') {
            if let Err(error) = f(&line[..line.len() - 1]) {
                return Ok(Err(error));
            }
        }
        rest.drain(..whole);
    }
    Ok(Ok(()))
}

/// Calls `f` with a file piece by piece, from an offset on.
fn each_piece(file: &File, from: u64, mut f: impl FnMut(&[u8])) -> io::Result<()> {
    let (mut piece, mut at) = (vec![0; PIECE_BYTES], from);
    loop {
        let len = read_at(file, &mut piece, at)?;
        if len == 0 {
            return Ok(());
        }
        f(&piece[..len]);
        at += len as u64;
    }
}

fn read_between(file: &File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(to.saturating_sub(from)).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut text = vec![0; len];
    let read = read_at(file, &mut text, from)?;
    text.truncate(read);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::{Scratch, stamp, talk};
    use super::*;
    use crate::relay::stamp::{Epoch, RecordId};

    fn run(epoch: u64, first: u64, records: u64) -> Run {
        Run { epoch: Epoch::new(epoch), first, records }
    }

    /// A journal with a log of ten records, and another with the rest of `text`; what is in front of the text of the
    /// newest file; and that file.
    fn two_logs(text: &str) -> (Scratch, usize, std::path::PathBuf) {
        let scratch = Scratch::new();
        scratch.log(1 << 20).write(talk(1, 0, 10).as_bytes(), true).unwrap();
        let (mut restored, _) = scratch.restore(&scratch.settings());
        restored.log.write(text.as_bytes(), true).unwrap();
        let newest = scratch.files().pop().unwrap();
        let len = fs::read(&newest).unwrap().len();
        (scratch, len - text.len(), newest)
    }

    /// Whole records of a text with this many bytes; their number, and where they end.
    fn whole(text: &str, bytes: usize) -> (u64, usize) {
        let (mut at, mut number, mut end) = (0, 0, 0);
        for line in text.split_inclusive('\n') {
            at += line.len();
            if at <= bytes && !line.starts_with('@') {
                (number, end) = (number + 1, at);
            }
        }
        (number, end)
    }

    fn expect_cut(text: &str, head: usize, newest: &Path, scratch: &Scratch, bytes: usize) {
        let (records, end) = whole(text, bytes);
        let (mut restored, warnings) = scratch.restore(&scratch.settings());
        assert_eq!(warnings, [""; 0]);
        assert_eq!(restored.kept.runs, [run(1, 0, 10), run(2, 10, records)], "{bytes}");
        assert_eq!(String::from_utf8(restored.kept.text).unwrap(), talk(1, 0, 10) + &text[..end]);
        assert_eq!(fs::read(newest).unwrap().len(), head + end, "the file is cut before the next append");
        // The next log follows on whole records.
        restored.log.write(talk(3, 99, 1).as_bytes(), false).unwrap();
        let (restored, _) = scratch.restore(&scratch.settings());
        assert_eq!(restored.kept.runs, [run(1, 0, 10), run(2, 10, records), run(3, 99, 1)]);
        assert_eq!(String::from_utf8(restored.kept.text).unwrap(), talk(1, 0, 10) + &text[..end] + &talk(3, 99, 1));
        fs::remove_file(scratch.files().pop().unwrap()).unwrap();
    }

    #[test]
    fn every_cut_of_a_segment_keeps_its_whole_records_and_nothing_else() {
        let text = talk(2, 10, 5) + &talk(2, 15, 5) + &stamp(2, 20) + "* ana left\n";
        let (scratch, head, newest) = two_logs(&text);
        let bytes = fs::read(&newest).unwrap();
        assert!(text.len() > 200);
        for cut in (0..=text.len()).rev() {
            fs::write(&newest, &bytes[..head + cut]).unwrap();
            expect_cut(&text, head, &newest, &scratch, cut);
        }
    }

    #[test]
    fn a_power_loss_that_leaves_nuls_keeps_the_whole_records_before_them() {
        let text = talk(2, 10, 5) + &talk(2, 15, 5);
        let (scratch, head, newest) = two_logs(&text);
        let bytes = fs::read(&newest).unwrap();
        for cut in (0..=text.len()).rev() {
            // Behind the NULs there may be bytes that reached the disk before.
            let rest = "\0".repeat(400) + "ana> torn\nana> behind\n";
            fs::write(&newest, [&bytes[..head + cut], rest.as_bytes()].concat()).unwrap();
            expect_cut(&text, head, &newest, &scratch, cut);
        }
    }

    #[test]
    fn a_stamp_that_tells_an_absurd_number_overflows_no_count() {
        let next = RecordId { epoch: Epoch::new(2), record: u64::MAX - 1 };
        let absurd = format!("{}\nana> a\nana> b\nana> c\n", Stamp { time_ms: 1, next });
        let (scratch, _, newest) = two_logs(&talk(2, 10, 5));
        let bytes = fs::read(&newest).unwrap();
        fs::write(&newest, [&bytes, absurd.as_bytes()].concat()).unwrap();
        let (mut restored, _) = scratch.restore(&scratch.settings());
        assert_eq!(restored.kept.runs, [run(1, 0, 10), run(2, 10, RECORDS_MAX)]);
        restored.log.write(talk(3, 10 + RECORDS_MAX, 1).as_bytes(), true).unwrap();
        let (restored, _) = scratch.restore(&scratch.settings());
        assert_eq!(restored.kept.runs[2], run(3, 10 + RECORDS_MAX, 1));
        assert!(restored.kept.runs.iter().map(|run| run.records).sum::<u64>() < 2 * RECORDS_MAX);
    }

    #[test]
    fn a_segment_without_a_whole_line_is_removed() {
        let (scratch, head, newest) = two_logs(&talk(2, 10, 5));
        let bytes = fs::read(&newest).unwrap();
        let torn = (0..head).map(|cut| bytes[..cut].to_vec());
        for torn in torn.chain([vec![0; 4_096], [&bytes[..20], &[0; 600]].concat()]) {
            fs::write(&newest, &torn).unwrap();
            let (restored, warnings) = scratch.restore(&scratch.settings());
            assert_eq!((restored.kept.runs, warnings.len()), (vec![run(1, 0, 10)], 0), "{torn:?}");
            assert!(!newest.exists());
        }
    }

    #[test]
    fn every_flipped_bit_of_a_head_is_told_and_nothing_of_the_segment_is_read() {
        let text = talk(2, 10, 5);
        let (scratch, head, newest) = two_logs(&text);
        let bytes = fs::read(&newest).unwrap();
        for bit in 0..8 * head {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&newest, &flipped).unwrap();
            let (restored, warnings) = scratch.restore(&scratch.settings());
            assert_eq!(warnings, [format!("{}: its head is damaged, so none of it is read", newest.display())]);
            assert_eq!(restored.kept.text, b"", "what follows would be another record of the same number");
            assert_eq!(restored.kept.runs, [run(1, 0, 10), run(2, 10, 0)], "its log goes on in the next one");
            assert_eq!(fs::read(&newest).unwrap(), flipped, "it is left as it is");
        }
    }

    #[test]
    fn a_damaged_segment_amid_others_counts_as_missed() {
        let scratch = Scratch::new();
        let mut log = scratch.log(1_000);
        (0..4).for_each(|part| log.write(talk(1, part * 10, 10).as_bytes(), false).unwrap());
        let files = scratch.files();
        assert_eq!(files.len(), 4);
        let bytes = fs::read(&files[1]).unwrap();
        fs::write(&files[1], [b"X", &bytes[1..]].concat()).unwrap();
        let (restored, warnings) = scratch.restore(&scratch.settings());
        assert_eq!((restored.kept.runs, warnings.len()), (vec![run(1, 0, 40)], 1));
        assert_eq!(String::from_utf8(restored.kept.text).unwrap(), talk(1, 20, 10) + &talk(1, 30, 10));
    }

    #[test]
    fn a_torn_segment_amid_others_does_not_run_into_the_next() {
        let (scratch, ..) = two_logs(&talk(2, 10, 5));
        let first = &scratch.files()[0];
        let bytes = fs::read(first).unwrap();
        fs::write(first, &bytes[..bytes.len() - 3]).unwrap();
        let (restored, _) = scratch.restore(&scratch.settings());
        assert_eq!(String::from_utf8(restored.kept.text).unwrap(), talk(2, 10, 5));
        assert_eq!(restored.kept.runs, [run(1, 0, 9), run(2, 10, 5)]);
    }

    #[test]
    fn the_text_has_no_gap_and_no_line_that_is_none() {
        let clean = talk(2, 40, 3);
        for before in [
            // A gap, twice the same number, a stamp that is none, bytes that a terminal would obey, a line too long.
            talk(2, 10, 5),
            talk(2, 10, 31),
            talk(2, 10, 29) + "@ 12 x\n",
            talk(2, 10, 29) + "ana> \x1b[2J\n",
            talk(2, 10, 29) + &format!("ana> {}\n", "x".repeat(1_000)),
        ] {
            let (scratch, ..) = two_logs(&(before + &clean));
            let (restored, _) = scratch.restore(&scratch.settings());
            assert_eq!(String::from_utf8(restored.kept.text).unwrap(), clean);
            assert_eq!(restored.kept.runs, [run(1, 0, 10), run(2, 10, 33)]);
        }
    }

    #[test]
    fn at_most_as_much_text_is_read_as_is_asked_for_and_it_begins_with_a_stamp() {
        let text = (1..20).map(|part| talk(2, part * 10, 10)).collect::<String>();
        let (scratch, ..) = two_logs(&text);
        let mut settings = scratch.settings();
        for bytes in (0..text.len() + 300).step_by(7) {
            settings.rooms[0].text_bytes_max = bytes;
            let (restored, _) = scratch.restore(&settings);
            let kept = String::from_utf8(restored.kept.text).unwrap();
            let all = talk(1, 0, 10) + &text;
            assert!(kept.len() <= bytes && all.ends_with(&kept), "{bytes}: {kept}");
            assert!(kept.is_empty() || kept.starts_with("@ "), "{bytes}: {kept}");
            assert!(kept.len() + talk(2, 190, 10).len() > bytes.min(all.len()), "{bytes}: {kept}");
        }
    }

    #[test]
    fn the_end_of_a_long_second_is_found() {
        // Several times what is read at first, without a stamp.
        let scratch = Scratch::new();
        scratch.log(1 << 30).write(talk(1, 7, 100_000).as_bytes(), false).unwrap();
        let (restored, _) = scratch.restore(&Settings { keep_bytes: 1 << 30, ..scratch.settings() });
        assert_eq!(restored.kept.runs, [run(1, 7, 100_000)]);
        assert!(fs::read(&scratch.files()[0]).unwrap().len() as u64 > 4 * END_BYTES);
    }

    #[test]
    fn starts_without_records_leave_nothing() {
        let scratch = Scratch::new();
        for _ in 0..3 {
            let (restored, _) = scratch.restore(&scratch.settings());
            assert_eq!((restored.kept, scratch.files().len()), (Kept::default(), 0));
        }
    }
}
