//! The places on the tape at which clients entered the server in this room.
//!
//! A client that asks to be tracked later than it entered is sent everything again that was said since. A place costs
//! nothing while nothing is said: clients that enter at the same place share an entry, and the entries for the older
//! half of the tape are one. So are the oldest entries, if there are more than one for each KiB of the tape: their
//! clients are sent less.

use std::collections::VecDeque;

use super::super::roster::ClientNumber;

/// The places.
///
/// Invariant: numbers and offsets ascend. The client with a number entered at the offset of the last entry whose number
/// is not higher.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    entries: VecDeque<(ClientNumber, u64)>,
}

impl Arrivals {
    /// Records that the client with this number, the highest so far, enters at `offset`. No reading begins before
    /// `oldest`, and at most `most` places are kept.
    pub(super) fn note(&mut self, number: ClientNumber, offset: u64, oldest: u64, most: usize) {
        while self.entries.get(1).is_some_and(|&(_, second)| second <= oldest) {
            self.entries.pop_front();
        }
        if self.entries.back().is_none_or(|&(_, last)| last < offset) {
            self.entries.push_back((number, offset));
        }
        if self.entries.len() > most.max(2)
            && let Some((first, _)) = self.entries.pop_front()
            && let Some(second) = self.entries.front_mut()
        {
            second.0 = first;
        }
    }

    /// Returns where the client with this number entered, or a later place before `oldest`.
    pub(super) fn place(&self, number: ClientNumber) -> u64 {
        let behind = self.entries.partition_point(|&(other, _)| other <= number);
        behind.checked_sub(1).and_then(|index| self.entries.get(index)).map_or(0, |&(_, offset)| offset)
    }
}
