//! A count of the lines of a stream. Pure.

/// Counts lines that are not empty, in pieces of any size. LF and CR end a line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LineCount {
    ended: u64,
    is_mid_line: bool,
}

impl LineCount {
    /// Adds the next piece of the stream.
    pub(crate) fn add(&mut self, piece: &[u8]) {
        for &byte in piece {
            let is_end = byte == b'\n' || byte == b'\r';
            self.ended += u64::from(is_end && self.is_mid_line);
            self.is_mid_line = !is_end;
        }
    }

    /// The number of lines. A last one without its end is one of them.
    pub(crate) fn lines(&self) -> u64 {
        self.ended + u64::from(self.is_mid_line)
    }
}
