//! Bytes on their way to one peer.

/// A byte buffer that is filled at the end and written from the front.
///
/// Invariant: `sent < bytes.len()`, or both are 0 and no heap is owned. Bytes that were written are dropped once they
/// are more than half of the buffer, so it never holds more than twice of what is unsent, plus the last push.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// Bytes at the front that are written.
    sent: usize,
}

impl Outbox {
    /// The buffer to append to. Costs a copy of what is unsent when more than half of the buffer is written.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        if self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        &mut self.bytes
    }

    /// Appends `bytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer().extend_from_slice(bytes);
    }

    /// The bytes that are not written yet.
    pub fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Number of bytes that are not written yet.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Whether all bytes are written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Moves past `bytes` that were written, at most [`len`](Outbox::len). An empty outbox frees its memory.
    pub fn advance(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.len(), "{bytes} of {} bytes", self.len());
        self.sent += bytes;
        if self.is_empty() {
            self.clear();
        }
    }

    /// Drops everything and frees the memory.
    pub fn clear(&mut self) {
        *self = Outbox::default();
    }

    /// Replaces an empty outbox by `bytes`.
    pub fn replace(&mut self, bytes: Vec<u8>) {
        debug_assert!(self.is_empty(), "unsent bytes would be lost");
        *self = Outbox { bytes, sent: 0 };
    }

    /// Bytes of heap that this outbox owns.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_the_order_in_which_they_came() {
        let mut outbox = Outbox::default();
        let mut written = Vec::new();
        for byte in 0..=u8::MAX {
            outbox.push(&[byte, byte]);
            written.push(outbox.unsent()[0]);
            outbox.advance(1);
        }
        written.extend_from_slice(outbox.unsent());
        let pushed: Vec<u8> = (0..=u8::MAX).flat_map(|byte| [byte, byte]).collect();
        assert_eq!(written, pushed);
    }

    #[test]
    fn written_bytes_do_not_pile_up() {
        let mut outbox = Outbox::default();
        outbox.push(&[0; 32 * 1_024]);
        for _ in 0..10_000 {
            outbox.push(&[0; 1_024]);
            outbox.advance(1_024);
        }
        assert_eq!(outbox.len(), 32 * 1_024);
        assert!(outbox.heap_bytes() <= 256 * 1_024, "{} bytes are kept", outbox.heap_bytes());
    }

    #[test]
    fn an_empty_outbox_owns_no_heap() {
        let mut outbox = Outbox::default();
        outbox.push(b"ab");
        outbox.advance(2);
        assert_eq!(outbox.heap_bytes(), 0);
    }
}
