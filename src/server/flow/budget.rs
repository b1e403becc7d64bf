//! Budgets of one turn for work that appends nothing to the tape, and for all that it writes.
//!
//! Empty lines, commands such as `/who`, requests, joins and leaves cost time, too, and must not make other clients
//! wait. Work counts in bytes, by the time that it takes. Together the budgets make a turn of at most some 8 ms,
//! however many clients there are; `cargo bench --bench turns` measures that.

use crate::server::limits::SCRATCH_BYTES;

/// Sizes of the budgets of a turn. The server uses the default; tests set others, so that few clients use them up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnLimits {
    /// Bytes that one turn reads of all clients together: some 3 ms of work.
    pub read_bytes: usize,
    /// Bytes of private replies in one turn: some 70 answers to `/who`, or 2 ms of work.
    pub reply_bytes: usize,
    /// Bytes that one turn writes to all connections together: some 6 ms of work, and half of it if the turn has used
    /// up another budget.
    pub write_bytes: usize,
    /// Effort of the timers that fire in one turn, in system calls and lines of the log. All that were set together are
    /// due together.
    pub timers: usize,
}

impl Default for TurnLimits {
    fn default() -> Self {
        TurnLimits { read_bytes: 128 << 10, reply_bytes: 256 << 10, write_bytes: 2 << 20, timers: 256 }
    }
}

/// Bytes that one `read` takes at least, however many clients wait, and for which a read counts at least: its two
/// system calls take some 6 µs.
pub(crate) const READ_SHARE_BYTES_MIN: usize = 512;

/// Bytes of replies for which the read of a client that waited for an answer counts at least.
const ASKING_BYTES_MIN: usize = 2 * 1024;

/// Work that counts in bytes read, beside those that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// A line. Empty lines are the most work per byte.
    Line,
    /// So many frames of a browser. Tiny ones are much work per byte.
    Frames(usize),
    /// The end of a message of a browser that came in earlier turns: so many bytes are checked and copied.
    Message(usize),
    /// An entering client: a greeting, and a line of the log.
    Enter,
    /// The beginning or the end of a move: a seat is taken or left, perhaps a room is opened or dropped.
    Move,
    /// A leave or a disconnect: a farewell, a FIN, a close, and a line of the log.
    Leave,
    /// A request with a head of so many bytes.
    Request(usize),
    /// A step of a TLS handshake, with an ECDSA key.
    Handshake,
}

impl Effort {
    /// Returns the bytes for which it counts.
    fn bytes(self) -> usize {
        match self {
            Effort::Line => 2,
            Effort::Frames(count) => 12 * count,
            Effort::Message(bytes) => bytes / 32,
            Effort::Enter => 512,
            Effort::Move => 1_024,
            Effort::Leave => 1_536,
            Effort::Request(head_bytes) => 1_024 + head_bytes,
            Effort::Handshake => 6 * 1_024,
        }
    }
}

/// Remaining budgets of one turn, in bytes.
///
/// Invariants: a budget never goes below 0, and the shares are at least 1 and do not change within the turn.
#[derive(Debug)]
pub(crate) struct TurnBudget {
    read_left: usize,
    reply_left: usize,
    read_share: usize,
    reply_share: usize,
    limits: TurnLimits,
}

impl TurnBudget {
    /// Creates the budgets of a turn in which `talkers` clients may have input.
    pub(crate) fn new(limits: TurnLimits, talkers: usize) -> TurnBudget {
        let TurnLimits { read_bytes, reply_bytes, .. } = limits;
        let read_share = (read_bytes / (talkers + 1)).clamp(READ_SHARE_BYTES_MIN, SCRATCH_BYTES);
        let reply_share = (reply_bytes / (talkers + 1)).max(1);
        TurnBudget { read_left: read_bytes, reply_left: reply_bytes, read_share, reply_share, limits }
    }

    /// Returns how many bytes may be read of one client in this turn.
    pub(crate) fn read_share(&self) -> usize {
        self.read_share
    }

    /// Whether this turn reads nothing more.
    pub(crate) fn is_read_spent(&self) -> bool {
        self.read_left == 0
    }

    /// Whether this turn reads no more than half as much again.
    pub(crate) fn is_half_read(&self) -> bool {
        self.read_left <= self.limits.read_bytes / 2
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

    /// Takes other work off the budget of reading.
    pub(crate) fn spend(&mut self, effort: Effort) {
        self.spend_read(effort.bytes());
    }

    /// Returns a mark of what is left, before a connection is read.
    pub(crate) fn before_read(&self) -> BeforeRead {
        BeforeRead { read_left: self.read_left, reply_left: self.reply_left }
    }

    /// Ends the read of a connection: it counts as a minimum of bytes.
    pub(crate) fn end_read(&mut self, before: BeforeRead) {
        self.read_left = self.read_left.min(before.read_left.saturating_sub(READ_SHARE_BYTES_MIN));
    }

    /// Ends the read of a connection that waited for an answer: it counts as a minimum of bytes replied. So those that
    /// ask leave the budget of reading to others.
    pub(crate) fn end_asking(&mut self, before: BeforeRead) {
        self.reply_left = self.reply_left.min(before.reply_left.saturating_sub(ASKING_BYTES_MIN));
    }

    /// Takes `bytes` that were replied off the budget.
    pub(crate) fn spend_reply(&mut self, bytes: usize) {
        self.reply_left = self.reply_left.saturating_sub(bytes);
    }

    /// Returns the budget of writing for the rest of the turn.
    pub(crate) fn for_writing(&self) -> WriteBudget {
        let TurnLimits { read_bytes, reply_bytes, write_bytes, .. } = self.limits;
        let percent = |left: usize, all: usize| 100 - 100 * left / all.max(1);
        let spent = percent(self.read_left, read_bytes) + percent(self.reply_left, reply_bytes);
        WriteBudget::new(write_bytes - write_bytes / 200 * spent.min(100))
    }
}

/// Remaining budgets before a connection is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BeforeRead {
    read_left: usize,
    reply_left: usize,
}

/// Remaining bytes that one turn may write.
///
/// Invariant: `left` never goes below 0, and `kept` does not change.
#[derive(Debug)]
pub(crate) struct WriteBudget {
    left: usize,
    kept: usize,
}

impl WriteBudget {
    /// Bytes for which a write counts at least, or one that the socket did not take. The system call costs 6 µs; 16 KiB
    /// cost 8 µs, but up to 50 µs if the peer is behind, because the kernel then makes room in its queue.
    const WRITE: usize = 2 * 1024;

    /// Bytes for which a look at a connection counts that is owed nothing.
    const LOOK: usize = 32;

    /// Bytes for which the further steps of a reader count that leaves or was overtaken: a farewell, a FIN, a line of
    /// the log, a close.
    const LEAVE: usize = 6 * 1024;

    fn new(bytes: usize) -> WriteBudget {
        WriteBudget { left: bytes.max(2), kept: bytes.max(2) / 2 }
    }

    /// Whether it is used up.
    pub(crate) fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// Whether it is used up but for the half that is kept for the walk over all readers.
    pub(crate) fn is_half_spent(&self) -> bool {
        self.left <= self.kept
    }

    /// Gives what is kept for the walk back, if the last flush before it exceeded the other half.
    pub(crate) fn begin_walk(&mut self) {
        self.left = self.left.max(self.kept);
    }

    /// Returns how many writes of a few bytes are left, at least 1.
    pub(crate) fn writes_left(&self) -> usize {
        (self.left / Self::WRITE).max(1)
    }

    /// Takes the flushes of `count` connections off the budget, which wrote so many bytes together. If any wrote, all
    /// count as writes.
    pub(crate) fn spend(&mut self, count: usize, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.take(if bytes == 0 { count * Self::LOOK } else { bytes.max(count * Self::WRITE) });
    }

    /// Takes a write off the budget that the socket did not take, or not all of it.
    pub(crate) fn spend_on_refused_write(&mut self) {
        self.take(Self::WRITE);
    }

    /// Takes the further steps of a reader off the budget that leaves or was overtaken.
    pub(crate) fn spend_on_leaving(&mut self) {
        self.take(Self::LEAVE);
    }

    fn take(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TurnLimits =
        TurnLimits { read_bytes: 128 << 10, reply_bytes: 256 << 10, write_bytes: 2 << 20, timers: 256 };

    fn turn_of(talkers: usize) -> TurnBudget {
        TurnBudget::new(LIMITS, talkers)
    }

    #[test]
    fn clients_with_input_share_what_a_turn_reads() {
        for (talkers, bytes) in [
            (0, SCRATCH_BYTES),
            (1, SCRATCH_BYTES),
            (3, LIMITS.read_bytes / 4),
            (255, 512),
            (20_000, READ_SHARE_BYTES_MIN),
        ] {
            assert_eq!(turn_of(talkers).read_share(), bytes, "{talkers}");
        }
    }

    #[test]
    fn reading_and_replying_have_budgets_of_their_own() {
        let mut turn = turn_of(1);
        turn.spend_read(LIMITS.read_bytes - 1);
        assert!(!turn.is_read_spent());
        turn.spend_read(2);
        assert!(turn.is_read_spent() && !turn.is_reply_spent());
        turn.spend_reply(LIMITS.reply_bytes - 1);
        assert!(!turn.is_reply_spent());
        turn.spend_reply(2);
        assert!(turn.is_reply_spent());
    }

    #[test]
    fn each_client_gets_an_answer_however_many_ask() {
        assert_eq!(turn_of(9).reply_share(), LIMITS.reply_bytes / 10);
        assert_eq!(turn_of(usize::MAX / 2).reply_share(), 1);
    }

    #[test]
    fn a_read_costs_a_minimum_and_no_more_if_it_brought_more() {
        for (brought, cost) in [(0, 512), (500, 512), (4_096, 4_096)] {
            let mut turn = turn_of(1);
            let before = turn.before_read();
            turn.spend_read(brought);
            turn.spend_reply(brought);
            turn.end_read(before);
            assert_eq!(turn.read_left, LIMITS.read_bytes - cost, "{brought}");
            let before = turn.before_read();
            turn.spend_reply(brought);
            turn.end_asking(before);
            assert_eq!(turn.reply_left, LIMITS.reply_bytes - brought - brought.max(2_048), "{brought}");
            assert_eq!(turn.read_left, LIMITS.read_bytes - cost, "{brought}");
        }
    }

    #[test]
    fn a_turn_that_has_read_or_replied_writes_half_as_much() {
        let TurnLimits { read_bytes, reply_bytes, write_bytes, .. } = LIMITS;
        for (read, replied, percent) in [
            (0, 0, 100),
            (read_bytes / 2, 0, 75),
            (read_bytes, 0, 50),
            (0, reply_bytes, 50),
            (read_bytes / 2, reply_bytes / 4, 63),
            (read_bytes, reply_bytes, 50),
        ] {
            let mut turn = turn_of(1);
            turn.spend_read(read);
            turn.spend_reply(replied);
            let left = (turn.for_writing().left * 100 + write_bytes / 2) / write_bytes;
            assert_eq!(left, percent, "{read} and {replied}");
        }
    }

    #[test]
    fn a_write_of_a_few_bytes_counts_as_a_system_call() {
        for (bytes, count) in [(0, 65_536), (1, 1_024), (2_048, 1_024), (64 << 10, 32)] {
            let mut budget = turn_of(1).for_writing();
            let mut writes = 0;
            while !budget.is_spent() {
                assert_eq!(budget.is_half_spent(), writes >= count / 2, "{writes} writes of {bytes} bytes");
                budget.spend(1, bytes);
                writes += 1;
            }
            assert_eq!(writes, count, "{bytes} bytes");
        }
    }
}
