//! Budgets of one turn for work that appends nothing to the tape.
//!
//! Empty lines and commands such as `/who` cost time, too, and must not make other clients wait.

use crate::server::limits::SCRATCH_BYTES;

/// Bytes that one turn reads of all clients together. Empty lines are the most work per byte; this many of them take no
/// client's time noticeably.
const READ_BYTES: usize = 128 * 1024;

/// Bytes of private replies in one turn: some 70 answers to `/who`.
const REPLY_BYTES: usize = 256 * 1024;

/// Bytes of private replies in one turn per client, if that is more than [`REPLY_BYTES`] in all. They cost about as
/// much as writing one said line to each client. So replies double the length of a turn at most, and a large room,
/// whose turns are long anyway, does not get fewer of them.
const REPLY_BYTES_PER_CLIENT: usize = 512;

/// Bytes that one `read` takes at least, however many clients wait.
pub(crate) const READ_SHARE_BYTES_MIN: usize = 512;

/// Remaining budgets of one turn, in bytes.
///
/// Invariants: a budget never goes below 0, and the shares are at least 1 and do not change within the turn.
#[derive(Debug)]
pub(crate) struct TurnBudget {
    read_left: usize,
    reply_left: usize,
    read_share: usize,
    reply_share: usize,
}

impl TurnBudget {
    /// Creates the budgets of a turn in which `talkers` of `clients` clients may have input.
    pub(crate) fn new(talkers: usize, clients: usize) -> TurnBudget {
        let read_share = (READ_BYTES / (talkers + 1)).clamp(READ_SHARE_BYTES_MIN, SCRATCH_BYTES);
        let reply_left = REPLY_BYTES.max(clients.saturating_mul(REPLY_BYTES_PER_CLIENT));
        let reply_share = (reply_left / (talkers + 1)).max(1);
        TurnBudget { read_left: READ_BYTES, reply_left, read_share, reply_share }
    }

    /// Returns how many bytes may be read of one client in this turn.
    pub(crate) fn read_share(&self) -> usize {
        self.read_share
    }

    /// Whether this turn reads nothing more.
    pub(crate) fn is_read_spent(&self) -> bool {
        self.read_left == 0
    }

    /// Whether this turn replies nothing more.
    pub(crate) fn is_reply_spent(&self) -> bool {
        self.reply_left == 0
    }

    /// Returns how many bytes of private replies one client may provoke in this turn; the reply that exceeds them is
    /// sent whole. While many clients ask, each gets one answer before another client has its turn.
    pub(crate) fn reply_share(&self) -> usize {
        self.reply_share
    }

    /// Takes `bytes` that were read off the budget.
    pub(crate) fn spend_read(&mut self, bytes: usize) {
        self.read_left = self.read_left.saturating_sub(bytes);
    }

    /// Takes `bytes` that were replied off the budget.
    pub(crate) fn spend_reply(&mut self, bytes: usize) {
        self.reply_left = self.reply_left.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_with_input_share_what_a_turn_reads() {
        for (talkers, bytes) in
            [(0, SCRATCH_BYTES), (1, SCRATCH_BYTES), (3, READ_BYTES / 4), (255, 512), (20_000, READ_SHARE_BYTES_MIN)]
        {
            assert_eq!(TurnBudget::new(talkers, talkers).read_share(), bytes, "{talkers}");
        }
    }

    #[test]
    fn reading_and_replying_have_budgets_of_their_own() {
        let mut turn = TurnBudget::new(1, 1);
        turn.spend_read(READ_BYTES - 1);
        assert!(!turn.is_read_spent());
        turn.spend_read(2);
        assert!(turn.is_read_spent() && !turn.is_reply_spent());
        turn.spend_reply(REPLY_BYTES - 1);
        assert!(!turn.is_reply_spent());
        turn.spend_reply(2);
        assert!(turn.is_reply_spent());
    }

    #[test]
    fn a_large_room_is_replied_more() {
        let mut turn = TurnBudget::new(9, 20_000);
        assert_eq!(turn.reply_share(), 20_000 * REPLY_BYTES_PER_CLIENT / 10);
        turn.spend_reply(REPLY_BYTES);
        assert!(!turn.is_reply_spent());
        assert_eq!(TurnBudget::new(0, 10).reply_share(), REPLY_BYTES);
        assert_eq!(TurnBudget::new(usize::MAX / 2, 0).reply_share(), 1, "each client gets an answer");
    }
}
