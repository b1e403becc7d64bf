//! Unprocessed input of one client.

use std::time::{Duration, Instant};

use crate::relay::line::LineDecoder;
use crate::server::flow::rate::Bucket;

/// Unprocessed input of one client, and its recent rate of lines.
#[derive(Debug, Default)]
pub struct Input {
    /// The line that has not ended.
    pub decoder: LineDecoder,
    /// The rest of a read that a budget cut short. It is processed before the socket is read again.
    pub pending: Pending,
    /// When something was last received.
    pub received: Option<Instant>,
    /// The deadline to which the flush timer is set, if it is.
    pub flush_timer: Option<Instant>,
    /// Lines said recently, where `--rate` limits them.
    pub bucket: Bucket,
}

impl Input {
    /// Returns the time at which `--flush-after` ends the line that has not ended; `None` if there is no such line.
    pub fn flush_at(&self, flush_after: Duration) -> Option<Instant> {
        if self.decoder.is_empty() {
            return None;
        }
        // Half a character would become U+FFFD, and so would its other half. So the other half gets as much time again.
        let times = if self.decoder.ends_mid_char() { 2 } else { 1 };
        self.received.map(|received| received + times * flush_after)
    }

    /// Whether part of a line has arrived, and no more than that.
    pub fn is_partial(&self) -> bool {
        self.pending.bytes().is_empty() && !self.decoder.is_empty()
    }

    /// Frees a bucket that is full again at `now`. Returns whether the input holds nothing more.
    pub fn free_unused(&mut self, now: Instant) -> bool {
        self.bucket.expire(now) && self.decoder.is_unused() && self.pending.bytes().is_empty()
    }
}

/// The rest of a read.
#[derive(Debug, Default)]
pub struct Pending {
    bytes: Box<[u8]>,
    taken: usize,
}

impl Pending {
    /// Keeps a copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Pending {
        Pending { bytes: bytes.into(), taken: 0 }
    }

    /// Returns the bytes that are left.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Keeps the last `left` bytes only. Frees the memory when none is left.
    pub fn keep_last(&mut self, left: usize) {
        self.taken = self.bytes.len() - left;
        if left == 0 {
            *self = Pending::default();
        }
    }
}
