//! What was received of one client and not heard yet.

use std::time::{Duration, Instant};

use crate::relay::line::LineDecoder;
use crate::server::flow::rate::Bucket;

/// What was received and not heard yet.
#[derive(Debug, Default)]
pub struct Input {
    /// The line that has not ended.
    pub decoder: LineDecoder,
    /// What was read when a budget was spent; it comes before what is still to be read.
    pub parked: Parked,
    /// When something was last received.
    pub received: Option<Instant>,
    /// The deadline that its silence was given, if it is listed under one.
    pub listed: Option<Instant>,
    /// How much it has said of late, where that is limited.
    pub bucket: Bucket,
}

impl Input {
    /// When the line that has not ended is taken for one, if silence of this length ends a line and it lasts; `None` if
    /// there is no such line.
    pub fn silent_at(&self, flush_after: Duration) -> Option<Instant> {
        if self.decoder.is_empty() {
            return None;
        }
        // Half a character would be shown as none, and so would its other half: that is given the same time again.
        let times = if self.decoder.is_amid_character() { 2 } else { 1 };
        self.received.map(|received| received + times * flush_after)
    }

    /// Whether nothing is kept that is still of account at `now`.
    pub fn tidy(&mut self, now: Instant) -> bool {
        self.bucket.expire(now) && self.decoder.is_empty() && self.parked.left().is_empty()
    }
}

/// The rest of a read.
#[derive(Debug, Default)]
pub struct Parked {
    bytes: Box<[u8]>,
    taken: usize,
}

impl Parked {
    /// Keeps a copy of `bytes`.
    pub fn new(bytes: &[u8]) -> Parked {
        Parked { bytes: bytes.into(), taken: 0 }
    }

    /// What is left.
    pub fn left(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Keeps the last `left` bytes only.
    pub fn keep_last(&mut self, left: usize) {
        self.taken = self.bytes.len() - left;
        if left == 0 {
            self.bytes = Box::default();
            self.taken = 0;
        }
    }
}
