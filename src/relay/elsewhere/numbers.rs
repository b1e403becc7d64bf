//! Blocks of client numbers: which block the log gives to which server.
//!
//! Each `h` and each `o` in the log gives the next block to its writer, so no number is ever that of two clients, on
//! whichever servers. A server that begins to read in the middle of the log cannot count them itself. It learns the
//! count with a [`SnapshotEnds`](super::event::RosterEvent::SnapshotEnds), which says how many blocks were given up to
//! an entry. If that is an entry that it has read, it counts the later ones on top. Blocks between an older entry and the
//! beginning of its reading would be missing.
//!
//! A fail-over of Redis may lose an entry that gave a block and was read by its server. The others learn of the block with
//! the next count that is told. A block that is given before that may be given twice.
//!
//! Any client of the log may tell a count. One above a block for each ms since 1970, by the id of its entry, is none: so
//! numbers have at most 16 digits, and there are always further ones.

use super::super::sequence::EntryId;

/// Client numbers in a block.
pub const BLOCK_NUMBERS: u64 = 1_000;

/// Blocks of which a server that does not know the count yet keeps the place.
const PLACES_MAX: usize = 10_000;

/// The count of the blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    count: Count,
    /// The first entry that was read.
    first: Option<EntryId>,
    /// The last entry that was read.
    last: EntryId,
    /// Blocks of this server that [`take_own`](Blocks::take_own) has not returned.
    own: Vec<u64>,
}

#[derive(Debug)]
enum Count {
    /// So many were given.
    Known(u64),
    /// Not known yet: the entries that gave one since the reading began, and whether to this server.
    Unknown(Vec<(EntryId, bool)>),
}

impl Default for Blocks {
    fn default() -> Blocks {
        Blocks { count: Count::Unknown(Vec::new()), first: None, last: EntryId::default(), own: Vec::new() }
    }
}

impl Blocks {
    /// Returns how many were given, if that is known.
    pub(super) fn count(&self) -> Option<u64> {
        match self.count {
            Count::Known(count) => Some(count),
            Count::Unknown(_) => None,
        }
    }

    /// Returns the last entry that was read.
    pub(super) fn last(&self) -> EntryId {
        self.last
    }

    /// Notes that an entry is read.
    pub(super) fn note(&mut self, id: EntryId) {
        self.first.get_or_insert(id);
        self.last = id;
    }

    /// Gives the next block, by the entry that is being read.
    pub(super) fn give(&mut self, is_own: bool) {
        let id = self.last;
        match &mut self.count {
            Count::Known(count) => {
                if is_own {
                    self.own.push(*count);
                }
                *count = count.saturating_add(1);
            }
            Count::Unknown(places) if places.len() < PLACES_MAX => places.push((id, is_own)),
            Count::Unknown(_) => {}
        }
    }

    /// Learns that `blocks` were given up to and with the entry `as_of`.
    pub(super) fn learn(&mut self, blocks: u64, as_of: EntryId) {
        if blocks > self.last.ms {
            return;
        }
        match &mut self.count {
            // After a fail-over, other servers may know of blocks that this one has not read of.
            Count::Known(count) => *count = blocks.max(*count),
            Count::Unknown(places) => {
                if self.first.is_some_and(|first| first <= as_of) {
                    let known = places.iter().filter(|&&(id, _)| id <= as_of).count();
                    self.begin_at(blocks.saturating_sub(known as u64));
                }
            }
        }
    }

    /// Counts from `blocks` on, which were given before the reading began.
    fn begin_at(&mut self, blocks: u64) {
        if let Count::Unknown(places) = &self.count {
            let own = places.iter().zip(blocks..=u64::MAX).filter(|((_, is_own), _)| *is_own);
            self.own.extend(own.map(|(_, block)| block));
            self.count = Count::Known(blocks.saturating_add(places.len() as u64));
        }
    }

    /// Counts from `blocks` on, if the count is not known.
    pub(super) fn assume(&mut self, blocks: u64) {
        self.begin_at(blocks);
    }

    /// Takes the blocks that were given to this server, as the first number of each.
    pub(super) fn take_own(&mut self) -> Vec<u64> {
        let own = std::mem::take(&mut self.own);
        own.into_iter().filter_map(|block| block.checked_mul(BLOCK_NUMBERS)?.checked_add(1)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId { ms, seq: 0 }
    }

    /// Gives a block by an entry.
    fn give(blocks: &mut Blocks, ms: u64, is_own: bool) {
        blocks.note(id(ms));
        blocks.give(is_own);
    }

    #[test]
    fn a_server_that_is_the_first_counts_from_the_start() {
        let mut blocks = Blocks::default();
        blocks.assume(0);
        give(&mut blocks, 1, true);
        give(&mut blocks, 2, false);
        give(&mut blocks, 3, true);
        assert_eq!((blocks.take_own(), blocks.count()), (vec![1, 2_001], Some(3)));
        assert!(blocks.take_own().is_empty());
    }

    #[test]
    fn a_count_of_any_time_since_tells_a_late_server_its_blocks() {
        // Ten blocks before the reading begins with 10, then one each at 11, 12 (own), 13 and 14 (own).
        for as_of in 10..=14 {
            let mut blocks = Blocks::default();
            blocks.note(id(10));
            (11..=14).for_each(|ms| give(&mut blocks, ms, ms % 2 == 0));
            blocks.learn(as_of, id(as_of));
            assert_eq!((blocks.take_own(), blocks.count()), (vec![11_001, 13_001], Some(14)), "as of {as_of}");
        }
    }

    #[test]
    fn a_count_of_a_time_before_the_reading_tells_nothing() {
        let mut blocks = Blocks::default();
        blocks.learn(1, id(1));
        give(&mut blocks, 11, true);
        blocks.learn(9, id(9));
        assert_eq!((blocks.take_own(), blocks.count()), (vec![], None));
        blocks.assume(1_000);
        assert_eq!((blocks.take_own(), blocks.count()), (vec![1_000_001], Some(1_001)));
    }

    #[test]
    fn counts_beyond_a_block_a_millisecond_are_ignored() {
        for assumed in [None, Some(3)] {
            let mut blocks = Blocks::default();
            blocks.note(id(1_000));
            if let Some(count) = assumed {
                blocks.assume(count);
            }
            for count in [1_001, u64::MAX / BLOCK_NUMBERS, u64::MAX] {
                blocks.learn(count, id(1_000));
                blocks.learn(count, id(u64::MAX));
                assert_eq!(blocks.count(), assumed, "{count}");
            }
            blocks.learn(1_000, id(1_000));
            give(&mut blocks, 1_001, true);
            assert_eq!((blocks.take_own(), blocks.count()), (vec![1_000_001], Some(1_001)));
        }
    }

    #[test]
    fn numbers_beyond_all_bounds_are_given_to_nobody() {
        let mut blocks = Blocks::default();
        blocks.note(id(u64::MAX));
        blocks.learn(u64::MAX, id(1));
        give(&mut blocks, 2, true);
        assert!(blocks.take_own().is_empty());
        let mut late = Blocks::default();
        late.note(id(1));
        (0..2).for_each(|_| give(&mut late, u64::MAX, true));
        late.learn(u64::MAX, id(1));
        assert!(late.take_own().is_empty(), "the count does not begin anew behind its end");
    }
}
