//! `--log FILE`: what was said, one line each with its time in UTC. Owns the file and the lines that are not written
//! yet.
//!
//! The file is a courtesy: no failure of it ends the client or holds it up, and the first one is told. It holds private
//! messages, so a new file is readable to its owner alone. Secrets never come here: the caller leaves them out.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::fs::OFlags;

/// The log of a client.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: Option<File>,
    /// Whole lines for the file, at most those of one turn.
    waiting: String,
    /// Whether the last write left a line without its end.
    is_torn: bool,
    /// The failure that was not told yet, or whether one was.
    fault: Fault,
}

#[derive(Debug, PartialEq, Eq)]
enum Fault {
    None,
    Untold(String),
    Told,
}

impl Log {
    /// Opens the file, to append to it.
    pub(super) fn open(path: &Path) -> Log {
        let mut log =
            Log { path: path.to_owned(), file: None, waiting: String::new(), is_torn: false, fault: Fault::None };
        // A pipe without a reader must not hold the client up.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        match OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path) {
            Ok(file) => log.file = Some(file),
            Err(error) => log.fail(&error),
        }
        log
    }

    /// Adds a clean line of this time, in ms since 1970.
    pub(super) fn add(&mut self, time_ms: u64, line: &str) {
        if self.file.is_some() {
            let time = i64::try_from(time_ms).ok().and_then(|time| Timestamp::from_millisecond(time).ok());
            let time = time.unwrap_or_default().to_zoned(TimeZone::UTC);
            self.waiting.push_str(&time.strftime("%Y-%m-%d %H:%M:%SZ ").to_string());
            self.waiting.push_str(line);
            self.waiting.push('\n');
        }
    }

    /// Writes the lines that wait. What the file does not take is lost, and the next line begins anew.
    pub(super) fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let Some(file) = &mut self.file else { return };
        if self.is_torn {
            self.waiting.insert(0, '\n');
        }
        let mut rest = self.waiting.as_bytes();
        let mut failure = None;
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(0) => break,
                Ok(len) => rest = &rest[len..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        let written = self.waiting.len() - rest.len();
        self.is_torn = match written {
            0 => self.is_torn,
            _ => !self.waiting[..written].ends_with('\n'),
        };
        self.waiting.clear();
        if let Some(error) = failure {
            self.fail(&error);
        }
    }

    /// Takes the first failure, to be told.
    pub(super) fn take_fault(&mut self) -> Option<String> {
        match std::mem::replace(&mut self.fault, Fault::None) {
            Fault::Untold(text) => {
                self.fault = Fault::Told;
                Some(text)
            }
            same => {
                self.fault = same;
                None
            }
        }
    }

    fn fail(&mut self, error: &io::Error) {
        if self.fault == Fault::None {
            self.fault = Fault::Untold(format!("--log {}: {error}", self.path.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_once_and_a_torn_line_is_ended() {
        let mut log = Log::open(Path::new("/nowhere/at/all"));
        assert!(log.take_fault().unwrap().starts_with("--log /nowhere/at/all: No such file"));
        log.add(0, "x");
        log.write();
        assert_eq!(log.take_fault(), None);

        let mut log = Log::open(Path::new("/dev/full"));
        for _ in 0..2 {
            log.add(0, "x");
            log.write();
        }
        assert!(log.take_fault().unwrap().contains("No space left"));
        assert_eq!(log.take_fault(), None);
    }

    #[test]
    fn each_line_has_its_time_in_utc() {
        let (mut reader, writer) = io::pipe().unwrap();
        let file = Some(File::from(std::os::fd::OwnedFd::from(writer)));
        let mut log = Log { path: PathBuf::new(), file, waiting: String::new(), is_torn: true, fault: Fault::None };
        log.add(1_764_166_801_123, "ana> hi");
        log.add(u64::MAX, "* ben left");
        log.write();
        drop(log);
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).unwrap();
        assert_eq!(text, "\n2025-11-26 14:20:01Z ana> hi\n1970-01-01 00:00:00Z * ben left\n");
    }
}
