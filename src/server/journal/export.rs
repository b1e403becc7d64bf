//! `pollchat-server export`: prints a journal, for people or for programs. It takes no lock, so a server may write
//! meanwhile.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::disk::open_file;
use super::folder::{Folder, Segment};
use super::restore::each_line;
use crate::net::stdio::{eprint_line, exit_code_of_print};
use crate::relay::name::{Name, NameError};
use crate::relay::notice::PREFIX;
use crate::relay::object::{Object, time_of};
use crate::relay::sanitize::sanitize;
use crate::relay::stamp::{RecordId, Stamp};

/// Name of the program in its messages.
const PROGRAM: &str = "pollchat-server export";

/// Prints the journal of a server, which may be running
#[derive(Debug, Parser)]
#[command(name = PROGRAM, bin_name = PROGRAM, term_width = 100)]
#[command(after_help = "Exit codes: 0 all was printed, 1 something could not be read or written, 2 usage.")]
pub struct Export {
    /// The folder of the journal, as --journal names it
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Print this room [default: all of them, each line with its room if there are several]
    #[arg(long, value_name = "NAME", value_parser = parse_room)]
    room: Option<Name>,

    /// Print what was said from this time on: 2026-11-26, '2026-11-26 14:30' (local time), or 2026-11-26T14:30:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<u64>,

    /// Print each line as an object of JSON, in the form of `pollchat-client --json`
    #[arg(long)]
    json: bool,
}

/// Reason that a journal is not printed to its end.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("cannot read {}: {source}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not a journal", .0.display())]
    NotAJournal(PathBuf),
    #[error("no room {room} is kept in {}", .dir.display())]
    NoRoom { room: Name, dir: PathBuf },
    /// The reader of the output is gone, or its disk is full.
    #[error(transparent)]
    Print(#[from] io::Error),
}

/// The form of the output.
#[derive(Debug)]
enum Form {
    /// Local time, the room if there are several, and the line.
    Text { zone: TimeZone, names_rooms: bool },
    /// `--json`
    Json,
}

/// A room that is being printed.
struct Printer<'a, W> {
    room: &'a str,
    form: &'a Form,
    since: u64,
    out: &'a mut W,
    /// The time of the newest stamp, and the position of the next record; `None` before the first stamp.
    next: Option<Stamp>,
    /// Text before each line of this time.
    prefix: String,
    buffer: String,
}

impl Export {
    /// Prints the journal, and returns the exit code. A reader that closes stdout early is no error.
    pub fn run(self) -> ExitCode {
        let mut out = BufWriter::new(io::stdout().lock());
        match self.print(&mut out) {
            Ok(is_whole) => match exit_code_of_print(PROGRAM, out.flush()) {
                0 if !is_whole => ExitCode::FAILURE,
                code => code.into(),
            },
            Err(ExportError::Print(error)) => exit_code_of_print(PROGRAM, Err(error)).into(),
            Err(error) => {
                let code = exit_code_of_print(PROGRAM, out.flush());
                eprint_line(&format!("{PROGRAM}: {error}"));
                code.max(1).into()
            }
        }
    }

    /// Prints to `out`. Returns whether nothing was damaged; damage is told on stderr.
    fn print(&self, out: &mut impl Write) -> Result<bool, ExportError> {
        let folder = Folder::at(&self.dir);
        if !folder.is_journal() {
            // The kernel's reason says more, if there is any.
            std::fs::read_dir(&self.dir).map_err(at(&self.dir))?;
            return Err(ExportError::NotAJournal(self.dir.clone()));
        }
        let mut rooms = folder.rooms().map_err(at(&self.dir))?;
        if let Some(room) = &self.room {
            rooms.retain(|kept| kept == room.folded());
            if rooms.is_empty() {
                return Err(ExportError::NoRoom { room: room.clone(), dir: self.dir.clone() });
            }
        }
        let form = match self.json {
            true => Form::Json,
            false => Form::Text { zone: TimeZone::system(), names_rooms: rooms.len() > 1 },
        };
        let mut is_whole = true;
        for room in &rooms {
            let (prefix, buffer) = (String::new(), String::new());
            let since = self.since.unwrap_or(0);
            let mut printer = Printer { room, form: &form, since, out, next: None, prefix, buffer };
            for segment in folder.segments(room).map_err(at(&folder.room(room)))? {
                is_whole &= printer.print_segment(&segment)?;
            }
        }
        Ok(is_whole)
    }
}

impl<W: Write> Printer<'_, W> {
    /// Prints a segment, and tells on stderr if that is damaged. Returns whether it is not.
    fn print_segment(&mut self, segment: &Segment) -> Result<bool, ExportError> {
        let Some(head_bytes) = segment.head_bytes else {
            // Without a line, its server is just about to write it.
            if segment.bytes > 0 {
                eprint_line(&format!("{PROGRAM}: {}", segment.damage()));
            }
            return Ok(segment.bytes == 0);
        };
        let file = match open_file(&segment.path, false) {
            // The server has dropped it meanwhile: it was the oldest.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            result => result.map_err(at(&segment.path))?,
        };
        each_line(&file, head_bytes, |line| self.print_line(line)).map_err(at(&segment.path))??;
        Ok(true)
    }

    fn print_line(&mut self, line: &[u8]) -> io::Result<()> {
        if let Some(stamp) = Stamp::parse(line) {
            return self.pass_stamp(stamp);
        }
        // Without a stamp it has no place: the journal is damaged there.
        let Some(next) = &mut self.next else { return Ok(()) };
        let position = next.next;
        next.next.record = next.next.record.saturating_add(1);
        if next.time_ms < self.since {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let line = sanitize(line, &mut buffer);
        let printed = self.print_record(line, position, &Object::of(line));
        self.buffer = buffer;
        printed
    }

    /// Goes on behind a stamp, and tells how many records are missing before it.
    fn pass_stamp(&mut self, stamp: Stamp) -> io::Result<()> {
        let before = self.next.replace(stamp);
        if let Form::Text { zone, names_rooms } = self.form {
            let room = if *names_rooms { format!("{}: ", self.room) } else { String::new() };
            self.prefix = format!("{} {room}", local_time(stamp.time_ms, zone));
        }
        let Some(Stamp { next, .. }) = before else { return Ok(()) };
        let missing = stamp.next.record.saturating_sub(next.record);
        if next.epoch != stamp.next.epoch || missing == 0 || stamp.time_ms < self.since {
            return Ok(());
        }
        let text = match missing {
            1 => "1 line is missing here".to_owned(),
            lines => format!("{lines} lines are missing here"),
        };
        let object = Object { kind: "missed", text: Some(&text), missed: Some(missing), ..Object::default() };
        self.print_record(&format!("{PREFIX}{text}"), next, &object)
    }

    fn print_record(&mut self, line: &str, position: RecordId, object: &Object<'_>) -> io::Result<()> {
        match self.form {
            Form::Text { .. } => writeln!(self.out, "{}{line}", self.prefix),
            Form::Json => {
                let time = self.next.and_then(|stamp| time_of(stamp.time_ms));
                let position = Some(position.to_string());
                let object = Object { room: Some(self.room), position, time, ..object.clone() };
                writeln!(self.out, "{}", object.json())
            }
        }
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> ExportError {
    move |source| ExportError::Read { path: path.to_owned(), source }
}

/// Returns a time, in ms since 1970, as people of a zone write it; its number if no calendar has it.
fn local_time(time_ms: u64, zone: &TimeZone) -> String {
    match i64::try_from(time_ms).ok().and_then(|time| Timestamp::from_millisecond(time).ok()) {
        Some(time) => time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        None => time_ms.to_string(),
    }
}

fn parse_room(text: &str) -> Result<Name, NameError> {
    Name::parse(text)
}

fn parse_time(text: &str) -> Result<u64, &'static str> {
    parse_time_in(text, &TimeZone::system())
}

/// Returns a time in ms since 1970, which is one of the zone unless it tells another.
fn parse_time_in(text: &str, zone: &TimeZone) -> Result<u64, &'static str> {
    let local = || text.parse::<DateTime>().and_then(|time| time.to_zoned(zone.clone()));
    let time = text.parse::<Timestamp>().or_else(|_| local().map(|time: Zoned| time.timestamp()));
    let time = time.map_err(|_| "must be a date, a date and a time, or a time as RFC 3339 has it")?;
    u64::try_from(time.as_millisecond()).map_err(|_| "must not be before 1970")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_local_unless_they_tell_their_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        for (text, seconds) in [
            ("2025-11-26", 1_764_111_600),
            ("2025-11-26 15:20", 1_764_166_800),
            ("2025-11-26T15:20:01", 1_764_166_801),
            ("2025-11-26 15:20:01.5", 1_764_166_801),
            ("2025-11-26T14:20:01Z", 1_764_166_801),
            ("2025-11-26T17:20:01+03:00", 1_764_166_801),
        ] {
            assert_eq!(parse_time_in(text, &zone).map(|time_ms| time_ms / 1_000), Ok(seconds), "{text}");
        }
        for text in ["", "yesterday", "2025-13-01", "15:20", "1969-01-01", "2025-11-26 25:00"] {
            assert!(parse_time_in(text, &zone).is_err(), "{text}");
        }
        assert_eq!(local_time(1_764_166_801_123, &zone), "2025-11-26 15:20:01");
        assert_eq!(local_time(u64::MAX, &zone), u64::MAX.to_string());
    }
}
