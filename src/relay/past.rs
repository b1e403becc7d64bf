//! The past of a room: logs of earlier runs of the server, as far as they are kept.
//!
//! The records of all kept logs have one count, in which the present log goes on: that of the tape. So a position of an
//! earlier log is a number on the tape, which may have left it.

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

/// The kept logs of a room, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    runs: Vec<Run>,
}

impl Past {
    /// Creates the past from its runs, the oldest first.
    pub fn new(runs: Vec<Run>) -> Past {
        Past { runs }
    }

    /// Returns the number of records in it: the number on the tape of the first record of the present log.
    pub fn records(&self) -> u64 {
        self.runs.iter().map(|run| run.records).sum()
    }

    /// Returns the number on the tape of the record at a position. Behind the last record of a log, that is the first
    /// of the next: a client may have seen records that the disk has not. `None` if the position is of no kept log, or
    /// before its first kept record.
    pub fn find(&self, position: RecordId) -> Option<u64> {
        let mut before = 0;
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
        let mut before = 0;
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
        assert_eq!(past.records(), 15);
        assert_eq!((at(1, 39), at(1, 40), at(1, 49)), (None, Some(0), Some(9)));
        // What the disk has not is not given to another record.
        assert_eq!(
            (at(1, 50), at(1, 1_000), at(2, 50), at(2, 55), at(3, 90)),
            (Some(10), Some(10), Some(10), Some(15), Some(15))
        );
        assert_eq!((at(4, 0), at(2, 49)), (None, None));
        for record in 0..15 {
            assert_eq!(past.find(past.position(record).unwrap()), Some(record));
        }
        assert_eq!(past.position(15), None);
    }
}
