//! Stamps on the tapes: before the first record of each second, with its time and its number.

use pollchat::relay::room::Audience;

use crate::oracle::Oracle;
use crate::room::Room;
use crate::rule::{Rule, Verdict, Violation};

/// A stamp, as its readers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) time_ms: u64,
    pub(crate) epoch: String,
    /// The number of the next record.
    pub(crate) record: usize,
}

impl Stamp {
    /// Reads a line.
    pub(crate) fn read(line: &str) -> Result<Stamp, Violation> {
        let read = || {
            let (time_ms, position) = line.strip_prefix("@ ")?.split_once(' ')?;
            let (epoch, record) = position.rsplit_once('.')?;
            Some(Stamp { time_ms: time_ms.parse().ok()?, epoch: epoch.to_owned(), record: record.parse().ok()? })
        };
        match read() {
            Some(stamp) => Ok(stamp),
            None => Rule::Stamps.broken(format!("{line:?} is none")),
        }
    }
}

impl Oracle {
    /// Learns the time of day of a turn.
    pub(crate) fn set_clock(&mut self, unix_ms: u64) {
        // What is put on a tape between two turns has the time of the last one.
        let is_between = self.is_shutting_down;
        self.clock_ms = if is_between { self.clock_ms.min(unix_ms) } else { unix_ms };
        self.for_live(|room| room.latest_ms = room.latest_ms.max(unix_ms));
        self.end_bans();
    }

    /// Checks the stamp before the next record of a tape, or that it needs none.
    pub(crate) fn judge_stamp(&mut self, room: usize) -> Verdict {
        let Room { log, epoch, latest_ms, stamped_ms, .. } = &self.rooms[room];
        let least = stamped_ms.unwrap_or(0).max(self.clock_ms);
        let Some(stamp) = log.stamp() else {
            let is_due = stamped_ms.is_none_or(|stamped_ms| stamped_ms / 1_000 != least / 1_000);
            let is_due = is_due && self.config.audience != Audience::Sender;
            return Rule::Stamps.demands(!is_due, || format!("none at {least}, and the last was at {stamped_ms:?}"));
        };
        let line = String::from_utf8_lossy(stamp).into_owned();
        let stamp = Stamp::read(&line)?;
        let has_stamps = self.config.audience != Audience::Sender;
        let is_new = stamped_ms.is_none_or(|stamped_ms| stamped_ms / 1_000 != stamp.time_ms / 1_000);
        let is_in_time = (least..=*latest_ms).contains(&stamp.time_ms);
        let is_right = has_stamps && is_new && is_in_time && stamp.epoch == *epoch && stamp.record == log.items.len();
        Rule::Stamps.demands(is_right, || {
            format!(
                "{line:?} before record {} of {epoch}, from {least} to {latest_ms}, the last {stamped_ms:?}",
                log.items.len()
            )
        })?;
        self.rooms[room].stamped_ms = Some(stamp.time_ms);
        Ok(())
    }
}
