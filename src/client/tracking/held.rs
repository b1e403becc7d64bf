//! Lines before the dialect, which come once more in it. Pure.

use std::collections::VecDeque;

use crate::client::limits::HELD_LINES_BYTES_MAX;

/// Lines before the answer to the first `/track`.
#[derive(Debug, Default)]
pub(super) struct HeldLines {
    pub(super) lines: VecDeque<String>,
    bytes: usize,
    pub(super) dropped: u64,
}

impl HeldLines {
    /// Appends a line. Drops the oldest ones beyond [`HELD_LINES_BYTES_MAX`].
    pub(super) fn push(&mut self, line: &str) {
        self.bytes += line.len();
        self.lines.push_back(line.to_owned());
        while self.bytes > HELD_LINES_BYTES_MAX
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len();
            self.dropped += 1;
        }
    }
}
