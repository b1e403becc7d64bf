//! What one turn may take in and answer, beside what it puts on the tape: work that costs time and leaves no trace there,
//! such as empty lines or `/who`, must not make others wait either.

use super::config::SCRATCH_BYTES;

/// Bytes read in one turn at most, of all clients together. Empty lines are the most work a byte can be; in this many of
/// them nobody waits long.
const READ_BYTES: usize = 128 * 1024;

/// Bytes of private replies in one turn at most: some 90 answers to `/who` in a room of a hundred.
const REPLY_BYTES: usize = 256 * 1024;

/// Bytes that one `read` takes in at least, however many others wait.
pub const SHARE_BYTES_MIN: usize = 512;

/// The budgets of one turn.
#[derive(Debug)]
pub struct Turn {
    read_left: usize,
    reply_left: usize,
    share: usize,
    reply_share: usize,
}

impl Turn {
    /// A turn in which `talkers` may have something to say.
    pub fn new(talkers: usize) -> Turn {
        let share = (READ_BYTES / (talkers + 1)).clamp(SHARE_BYTES_MIN, SCRATCH_BYTES);
        let reply_share = (REPLY_BYTES / (talkers + 1)).max(1);
        Turn { read_left: READ_BYTES, reply_left: REPLY_BYTES, share, reply_share }
    }

    /// Bytes that may be read of one talker now.
    pub fn share(&self) -> usize {
        self.share
    }

    /// Whether the turn is over, whoever still waits.
    pub fn is_spent(&self) -> bool {
        self.read_left == 0 || self.is_reply_spent()
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
