//! What one turn may take in and answer, beside what it puts on the tape: work that costs time and leaves no trace there,
//! such as empty lines or `/who`, must not make others wait either.

use crate::server::limits::SCRATCH_BYTES;

/// Bytes read in one turn at most, of all clients together. Empty lines are the most work a byte can be; in this many of
/// them nobody waits long.
const READ_BYTES: usize = 128 * 1024;

/// Bytes of private replies in one turn at most: some 70 answers to `/who`.
const REPLY_BYTES: usize = 256 * 1024;

/// The same for each client, where that is more in all: to make and write as many costs about as much as to give a client
/// one line that was said. So a turn may be twice as long as a line makes it, and if lines make turns long, answers are not
/// for that fewer.
const REPLY_BYTES_PER_CLIENT: usize = 512;

/// Bytes that one `read` takes in at least, however many others wait.
pub const READ_SHARE_BYTES_MIN: usize = 512;

/// The budgets of one turn.
#[derive(Debug)]
pub struct TurnBudget {
    read_left: usize,
    reply_left: usize,
    read_share: usize,
    reply_share: usize,
}

impl TurnBudget {
    /// A turn in which `talkers` of all `clients` may have something to say.
    pub fn new(talkers: usize, clients: usize) -> TurnBudget {
        let read_share = (READ_BYTES / (talkers + 1)).clamp(READ_SHARE_BYTES_MIN, SCRATCH_BYTES);
        let reply_left = REPLY_BYTES.max(clients.saturating_mul(REPLY_BYTES_PER_CLIENT));
        let reply_share = (reply_left / (talkers + 1)).max(1);
        TurnBudget { read_left: READ_BYTES, reply_left, read_share, reply_share }
    }

    /// Bytes that may be read of one talker now.
    pub fn read_share(&self) -> usize {
        self.read_share
    }

    /// Whether nothing more is to be read in this turn.
    pub fn is_read_spent(&self) -> bool {
        self.read_left == 0
    }

    /// Whether nothing more is to be replied in this turn.
    pub fn is_reply_spent(&self) -> bool {
        self.reply_left == 0
    }

    /// Bytes of private replies that one talker may provoke now; it is given the one in which it goes over. So who asks
    /// again and again has one answer while many ask, and then it is the turn of others.
    pub fn reply_share(&self) -> usize {
        self.reply_share
    }

    /// Takes what was read off the budget.
    pub fn spend_read(&mut self, bytes: usize) {
        self.read_left = self.read_left.saturating_sub(bytes);
    }

    /// Takes what was replied off the budget.
    pub fn spend_reply(&mut self, bytes: usize) {
        self.reply_left = self.reply_left.saturating_sub(bytes);
    }
}
