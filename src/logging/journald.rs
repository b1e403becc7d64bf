//! The log under systemd's journal: whether stderr leads there, and the priority that journald reads off a line.
//!
//! systemd sets `JOURNAL_STREAM` to the device and the inode of the stream that it has connected stderr to
//! (systemd.exec(5)). Child processes inherit the variable, too, and their stderr may lead elsewhere: only an stderr
//! that is this stream leads to the journal.

use std::env;

use log::Level;
use rustix::fs::fstat;
use rustix::stdio::stderr;

/// Whether stderr leads to the journal.
pub(super) fn reads_stderr() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    fstat(stderr()).is_ok_and(|stat| parse(&stream) == Some((stat.st_dev, stat.st_ino)))
}

/// Returns the device and the inode in `JOURNAL_STREAM`.
fn parse(stream: &str) -> Option<(u64, u64)> {
    let (device, inode) = stream.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

/// Returns the priority at the beginning of a line (sd-daemon(3)).
pub(super) fn priority(level: Level) -> &'static str {
    match level {
        Level::Error => "<3>",
        Level::Warn => "<4>",
        Level::Info => "<6>",
        Level::Debug | Level::Trace => "<7>",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_a_device_and_an_inode() {
        assert_eq!(parse("8:1234567890123"), Some((8, 1_234_567_890_123)));
        for stream in ["", ":", "8", "8:", ":7", "8:7:6", "-8:7", "8:0x7", "99999999999999999999:1"] {
            assert_eq!(parse(stream), None, "{stream}");
        }
    }
}
