//! The budget of a turn over all tapes: bytes to be written to readers.
//!
//! A line of so many bytes costs as many for each reader of its tape. So a turn is as short with a hundred crowded
//! rooms as with one. The [`brake`](super::brake) of each room assures that room of 16 KiB of lines beyond this budget,
//! or the rooms that talk first would silence the others.

/// Bytes that are written to all readers together of what one turn appended to all tapes, in that turn and in the next
/// ones. With more than 32 readers of a tape it makes that tape's budget of a turn smaller, too.
pub(super) const TURN_WRITTEN_BYTES: usize = 8 * 1024 * 1024;

/// The rest of the budget of this turn.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    left: usize,
}

impl Deliveries {
    /// Begins a turn, while so many bytes of earlier turns are still to be written.
    pub(crate) fn begin_turn(&mut self, unflushed: u64) {
        self.left = TURN_WRITTEN_BYTES.saturating_sub(usize::try_from(unflushed).unwrap_or(usize::MAX));
    }

    /// Returns how many bytes may be appended to a tape with so many readers.
    pub(crate) fn share(&self, readers: usize) -> usize {
        self.left / readers.max(1)
    }

    /// Takes `bytes` off that were appended to a tape with so many readers.
    pub(crate) fn spend(&mut self, bytes: u64, readers: usize) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_mul(readers);
        self.left = self.left.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tapes_share_what_a_turn_writes_and_earlier_turns_count() {
        let mut deliveries = Deliveries::default();
        assert_eq!(deliveries.share(1), 0, "no turn has begun");
        deliveries.begin_turn(0);
        assert_eq!((deliveries.share(0), deliveries.share(1_024)), (TURN_WRITTEN_BYTES, 8 * 1024));
        deliveries.spend(4 * 1024, 1_024);
        assert_eq!((deliveries.share(1_024), deliveries.share(4)), (4 * 1024, 1024 * 1024));
        deliveries.spend(u64::MAX, 2);
        assert_eq!(deliveries.share(1), 0);
        deliveries.begin_turn(TURN_WRITTEN_BYTES as u64 - 10);
        assert_eq!(deliveries.share(1), 10, "what is still to be written leaves less");
    }
}
