//! The stamps of a log that several servers share.
//!
//! A stamp stands before the first record of each second of the entries' ids, and begins an epoch: its position is that
//! id and 0. So servers whose tapes begin at different records have the same positions, and none must know how many
//! records the log ever had. An entry that holds no record has none: its id is nowhere.
//!
//! Stamps that have left the tape are known for a while, so that a client which is back late is told how many records
//! it missed.

use std::collections::VecDeque;

use super::{Epoch, RecordId};

/// Stamps that are known although they have left the tape: two minutes, in a busy room.
const LEFT_MAX: usize = 128;

/// The stamps on the tape, and the last that have left it, in the order of the tape.
///
/// Invariant: their records ascend. Their epochs mostly do: a log may be lost, and begun again with an older clock.
#[derive(Debug, Default)]
pub(super) struct Seconds {
    stamps: VecDeque<(Epoch, u64)>,
    /// That of the entry whose records come next.
    next: Option<Epoch>,
}

impl Seconds {
    /// Whether an entry has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.next.is_some()
    }

    /// Begins an entry.
    pub(super) fn begin_entry(&mut self, epoch: Epoch) {
        self.next = Some(epoch);
    }

    /// Returns the position of a stamp that is put on the tape now.
    pub(super) fn next(&self) -> RecordId {
        RecordId { epoch: self.next.unwrap_or(Epoch::new(0)), record: 0 }
    }

    /// Records that [`next`](Seconds::next) was put on the tape, before the record with this number.
    pub(super) fn on_placed(&mut self, record: u64) {
        self.stamps.push_back((self.next().epoch, record));
    }

    /// Forgets the oldest ones but for so many on the tape, and the last that have left it.
    pub(super) fn forget(&mut self, on_tape: usize) {
        let kept = on_tape + LEFT_MAX;
        self.stamps.drain(..self.stamps.len().saturating_sub(kept));
    }

    /// Returns the position of the record with this number; `None` before the first stamp.
    pub(super) fn position(&self, record: u64) -> Option<RecordId> {
        let behind = self.stamps.partition_point(|&(_, first)| first <= record);
        let &(epoch, first) = self.stamps.get(behind.checked_sub(1)?)?;
        Some(RecordId { epoch, record: record - first })
    }

    /// Returns the number of the record at a position; `None` if its stamp is not known, or stands at two places: a
    /// Redis that has lost an entry may give its id to another one. Then records would be passed over without a word.
    /// A position behind the last record before a stamp is that of the stamp. Cost: a scan of all stamps.
    pub(super) fn find(&self, position: RecordId) -> Option<u64> {
        let mut places = self.stamps.iter().enumerate().filter(|(_, (epoch, _))| *epoch == position.epoch);
        let (Some((index, &(_, first))), None) = (places.next(), places.next()) else { return None };
        let number = first.saturating_add(position.record);
        Some(self.stamps.get(index + 1).map_or(number, |&(_, next)| number.min(next)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::relay::record::Record;
    use crate::relay::sequence::EntryId;
    use crate::relay::stamp::{STAMP_BYTE, Stamp};
    use crate::relay::tape::{Position, Tape};

    /// An entry: ms since the one before, which may be negative, and the number of its records.
    type Step = (i64, u8);

    fn shared(capacity: usize) -> Tape {
        let mut tape = Tape::growing(capacity).with_epoch(Epoch::new(7));
        tape.share();
        tape
    }

    fn entries(steps: &[Step]) -> Vec<(EntryId, u8)> {
        let mut ms = 1_764_166_801_123_i64;
        let numbered = steps.iter().enumerate();
        let entry = |(seq, &(step, records)): (usize, &Step)| {
            ms += step;
            (EntryId { ms: ms.unsigned_abs(), seq: seq as u64 }, records)
        };
        numbered.map(entry).collect()
    }

    fn play(tape: &mut Tape, entries: &[(EntryId, u8)]) {
        for (id, records) in entries {
            tape.begin_entry(*id);
            // Its own clock means nothing.
            tape.set_time(1_000_000_000_000);
            for _ in 0..*records {
                Record::Said { number: 1, name: "ana", text: &id.to_string() }.put_on(tape);
            }
        }
    }

    fn lines(tape: &Tape) -> Vec<String> {
        let text = String::from_utf8(tape.slices(tape.tail(), tape.end().offset).concat()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let ms = prop_oneof![0..3_i64, 0..400_i64, -2_000..3_000_i64];
        proptest::collection::vec((ms, 0..4_u8), 0..60)
    }

    proptest! {
        #[test]
        fn a_position_is_that_of_the_last_stamp_and_the_records_since(steps in steps(), capacity in 300..6_000_usize) {
            let mut tape = shared(capacity);
            play(&mut tape, &entries(&steps));
            let mut next = None;
            let mut numbers = HashSet::new();
            let kept = &lines(&tape)[usize::from(tape.tail() > 0)..];
            let mut number = tape.end().record - kept.iter().filter(|line| !line.starts_with('@')).count() as u64;
            for line in kept {
                if let Some(stamp) = Stamp::parse(line.as_bytes()) {
                    prop_assert_eq!(stamp.next.record, 0);
                    prop_assert!(numbers.insert(stamp.next.to_string()), "each stamp begins an epoch");
                    next = Some(stamp.next);
                    continue;
                }
                if let Some(position) = &mut next {
                    prop_assert_eq!(tape.record_id(number), *position);
                    prop_assert_eq!(tape.number_of(*position), Some(number));
                    position.record += 1;
                }
                number += 1;
            }
            if let Some(end) = next {
                prop_assert_eq!(tape.record_id(number), end);
                prop_assert_eq!(tape.number_of(end), Some(number));
                prop_assert_eq!(tape.stamp_at(tape.end()).next, end);
            }
        }

        #[test]
        fn tapes_that_begin_at_different_seconds_are_equal_from_there_on(
            steps in steps(),
            first in 0..60_usize,
            asides in proptest::collection::vec(0..60_usize, 0..4),
        ) {
            let entries = entries(&steps);
            let second = |at: usize| entries.get(at).map(|(id, _)| id.ms / 1_000);
            // The last entry before with a record decides: one without any has no stamp.
            let has_records = |&at: &usize| entries[at].1 > 0;
            let before = (0..first.min(entries.len())).rev().find(has_records);
            let Some(start) = (first..entries.len()).find(has_records) else { return Ok(()) };
            prop_assume!(before.is_some_and(|before| second(before) != second(start)));
            let (mut one, mut other) = (shared(1 << 16), shared(1 << 16));
            play(&mut one, &entries[..start]);
            let from = one.end();
            for (at, entry) in entries.iter().enumerate().skip(start) {
                play(&mut one, std::slice::from_ref(entry));
                if asides.contains(&at) {
                    one.aside("cut off");
                }
            }
            play(&mut other, &entries[start..]);
            let mut kept = lines(&one).split_off(from_line(&one, from));
            kept.retain(|line| line != "** cut off");
            prop_assert_eq!(kept, lines(&other));
            prop_assert_eq!(one.record_id(one.end().record), other.record_id(other.end().record));
        }
    }

    fn from_line(tape: &Tape, at: Position) -> usize {
        tape.slices(0, at.offset).concat().iter().filter(|&&byte| byte == b'\n').count()
    }

    #[test]
    fn a_position_that_is_not_known_is_none() {
        let mut tape = shared(1 << 12);
        let id = |epoch, record| RecordId { epoch: Epoch::new(epoch), record };
        let end = tape.record_id(0);
        assert_eq!((end, tape.number_of(end), tape.number_of(id(7, 9))), (id(7, 0), Some(0), Some(0)));
        assert_eq!(tape.number_of(id(0, 0)), None);
        let at = |ms, seq| Epoch::of_entry(EntryId { ms, seq });
        play(&mut tape, &[(EntryId { ms: 5_900, seq: 3 }, 2), (EntryId { ms: 5_999, seq: 0 }, 1)]);
        // An entry without a record has no stamp.
        play(&mut tape, &[(EntryId { ms: 6_100, seq: 0 }, 0), (EntryId { ms: 6_200, seq: 0 }, 1)]);
        play(&mut tape, &[(EntryId { ms: 5_950, seq: 0 }, 1)]);
        let stamps: Vec<_> = lines(&tape).into_iter().filter(|line| line.as_bytes()[0] == STAMP_BYTE).collect();
        let stamp = |ms, seq| Stamp { time_ms: ms, next: RecordId { epoch: at(ms, seq), record: 0 } }.to_string();
        assert_eq!(stamps, [stamp(5_900, 3), stamp(6_200, 0), stamp(5_950, 0)]);
        let number = |epoch, record| tape.number_of(RecordId { epoch, record });
        assert_eq!((number(at(5_900, 3), 2), number(at(5_900, 3), 3)), (Some(2), Some(3)));
        assert_eq!(number(at(5_900, 3), u64::MAX), Some(3), "the place of the next stamp");
        assert_eq!((number(at(6_200, 0), 0), number(at(6_200, 0), 1)), (Some(3), Some(4)));
        assert_eq!((number(at(5_999, 0), 0), number(at(6_100, 0), 0), number(Epoch::new(8), 0)), (None, None, None));
        assert_eq!(number(at(5_950, 0), 1), Some(5), "the end");
        assert_eq!(number(at(5_950, 0), 4), Some(8), "a record that is yet to come");
        assert_eq!(tape.number_of(id(7, 0)), Some(0), "the place before the first stamp");
        assert!(!tape.ends_log_at(tape.record_id(5)));
    }

    #[test]
    fn a_position_that_may_mean_two_records_is_none() {
        let mut tape = shared(1 << 12);
        let [first, second] = [5_900, 6_200].map(|ms| EntryId { ms, seq: 0 });
        play(&mut tape, &[(first, 2), (second, 1), (first, 2)]);
        let number = |id, record| tape.number_of(RecordId { epoch: Epoch::of_entry(id), record });
        assert_eq!((number(first, 0), number(first, 1), number(second, 0)), (None, None, Some(2)));
    }

    #[test]
    fn the_times_of_a_shared_log_are_those_of_its_entries() {
        let mut tape = shared(1 << 12);
        tape.set_time(1_000);
        assert_eq!(tape.stamp_at(tape.end()), Stamp { time_ms: 1_000, next: tape.record_id(0) });
        play(&mut tape, &[(EntryId { ms: 7_900, seq: 0 }, 1), (EntryId { ms: 6_100, seq: 0 }, 0)]);
        let end = tape.end();
        assert_eq!((tape.time_at(0), tape.stamp_at(end).time_ms), (7_900, 7_900), "a record may come without a stamp");
        play(&mut tape, &[(EntryId { ms: u64::MAX, seq: u64::MAX }, 1)]);
        assert_eq!(tape.time_at(end.offset), 253_402_300_799_999);
    }

    #[test]
    fn stamps_that_have_left_the_tape_are_known_for_a_while() {
        let mut tape = shared(4_096);
        let ids: Vec<_> = (0..2_000).map(|second| EntryId { ms: 1_000 * second, seq: 0 }).collect();
        for &id in &ids {
            play(&mut tape, &[(id, 1)]);
        }
        let number = |at: usize| tape.number_of(RecordId { epoch: Epoch::of_entry(ids[at]), record: 0 });
        let on_tape = lines(&tape).iter().filter(|line| line.starts_with('@')).count();
        let known = (0..2_000).filter(|&at| number(at).is_some()).count();
        // A stamp leaves with a checkpoint.
        assert!((on_tape + LEFT_MAX..on_tape + LEFT_MAX + 20).contains(&known), "{known} for {on_tape}");
        assert_eq!(
            (number(1_999), number(2_000 - known), number(1_999 - known)),
            (Some(1_999), Some(2_000 - known as u64), None)
        );
        assert!(tape.find_record(2_000 - known as u64).is_none());
    }
}
