//! The past of a room: logs of earlier runs of the server, as far as they are kept.
//!
//! The records of all kept logs have one count, in which the present log goes on: that of the tape. So a position of an
//! earlier log is a number on the tape, which may have left it. In the newest log both numbers are the same: the server
//! may go on in that log behind a restart in good order.

use super::stamp::{Epoch, RecordId};

/// The kept records of one log, without a break between the first and the last. Records that a disk missed count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The log.
    pub epoch: Epoch,
    /// The number of its first kept record, in that log.
    pub first: u64,
    /// Number of records from there to its last one.
    pub records: u64,
}

/// Numbers of records are at most as high. A damaged file may tell any number.
pub const NUMBER_MAX: u64 = 1 << 56;

/// The kept logs of a room, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    runs: Vec<Run>,
    /// The number on the tape of the first record.
    first: u64,
}

impl Past {
    /// Creates the past from its runs, the oldest first.
    pub fn new(runs: Vec<Run>) -> Past {
        let records: u64 = runs.iter().map(|run| run.records).sum();
        let newest_end = runs.last().and_then(|run| run.first.checked_add(run.records));
        let first = newest_end.filter(|&end| end <= NUMBER_MAX).and_then(|end| end.checked_sub(records));
        Past { runs, first: first.unwrap_or(0) }
    }

    /// Returns the number on the tape of the first record behind it.
    pub fn end(&self) -> u64 {
        self.first + self.runs.iter().map(|run| run.records).sum::<u64>()
    }

    /// Returns the position behind the last record of the newest log, if the numbers on the tape are those of that log.
    pub fn newest_end(&self) -> Option<RecordId> {
        let newest = self.runs.last()?;
        let record = newest.first.checked_add(newest.records)?;
        (record == self.end()).then_some(RecordId { epoch: newest.epoch, record })
    }

    /// Returns the number on the tape of the record at a position. Behind the last record of a log, that is the first
    /// of the next: a client may have seen records that the disk has not. `None` if the position is of no kept log, or
    /// before its first kept record.
    pub fn find(&self, position: RecordId) -> Option<u64> {
        let mut before = self.first;
        for run in &self.runs {
            if run.epoch == position.epoch {
                let behind_first = position.record.checked_sub(run.first)?;
                return Some(before + behind_first.min(run.records));
            }
            before += run.records;
        }
        None
    }

    /// Returns the position of the record with this number on the tape; `None` if it is of the present log.
    pub fn position(&self, record: u64) -> Option<RecordId> {
        let mut before = self.first;
        for run in &self.runs {
            if record < before + run.records {
                return Some(RecordId { epoch: run.epoch, record: run.first + record - before });
            }
            before += run.records;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_numbers_on_the_tape_belong_together() {
        let run = |epoch, first, records| Run { epoch: Epoch::new(epoch), first, records };
        let past = Past::new(vec![run(1, 40, 10), run(2, 50, 5), run(3, 55, 0)]);
        let at = |epoch, record| past.find(RecordId { epoch: Epoch::new(epoch), record });
        assert_eq!(past.end(), 55, "as the newest log counts");
        assert_eq!((at(1, 39), at(1, 40), at(1, 49)), (None, Some(40), Some(49)));
        // What the disk has not is not given to another record.
        assert_eq!(
            (at(1, 50), at(1, 1_000), at(2, 50), at(2, 55), at(3, 90)),
            (Some(50), Some(50), Some(50), Some(55), Some(55))
        );
        assert_eq!((at(4, 0), at(2, 49)), (None, None));
        for record in 40..55 {
            assert_eq!(past.find(past.position(record).unwrap()), Some(record));
        }
        assert_eq!(past.position(55), None);
        assert_eq!(past.newest_end(), Some(RecordId { epoch: Epoch::new(3), record: 55 }));
    }

    #[test]
    fn logs_that_overlap_or_count_too_far_are_counted_from_0() {
        let run = |epoch, first, records| Run { epoch: Epoch::new(epoch), first, records };
        for runs in [vec![run(1, 0, 10), run(2, 2, 3)], vec![run(1, u64::MAX, 10)], vec![run(1, u64::MAX - 20, 10)]] {
            let past = Past::new(runs);
            assert_eq!((past.end() <= 13, past.newest_end()), (true, None));
        }
        assert_eq!((Past::default().end(), Past::default().newest_end()), (0, None));
    }
}
