//! Typed lines that outlive a connection. Pure.

use std::collections::VecDeque;

use crate::client::limits::UNSENT_BYTES_MAX;

/// Whole lines that wait for a connection, and those that the present connection has not sent yet.
///
/// Invariant: the waiting lines take at most [`UNSENT_BYTES_MAX`] with their newlines, plus the lines that a lost
/// connection gave back. `in_flight` is empty without a connection.
#[derive(Debug, Default)]
pub(crate) struct LineQueue {
    waiting: VecDeque<String>,
    waiting_bytes: usize,
    /// Lines in the connection's [`SendBuffer`](super::send_buffer::SendBuffer), each with the offset of its end in all
    /// bytes that were put there.
    in_flight: VecDeque<(u64, String)>,
    handed_bytes: u64,
}

impl LineQueue {
    /// Appends lines without newlines.
    ///
    /// # Errors
    /// The lines, if they do not fit.
    pub(crate) fn push(&mut self, lines: Vec<String>) -> Result<(), Vec<String>> {
        let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
        if self.waiting_bytes + bytes > UNSENT_BYTES_MAX {
            return Err(lines);
        }
        self.waiting_bytes += bytes;
        self.waiting.extend(lines);
        Ok(())
    }

    /// The number of waiting lines.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of the next line, with its newline.
    pub(crate) fn next_bytes(&self) -> Option<usize> {
        self.waiting.front().map(|line| line.len() + 1)
    }

    /// Takes the next line for the connection, if it fits into `free_bytes` with its newline.
    pub(crate) fn next_line(&mut self, free_bytes: usize) -> Option<String> {
        self.next_bytes().filter(|&bytes| bytes <= free_bytes)?;
        let line = self.waiting.pop_front()?;
        self.waiting_bytes -= line.len() + 1;
        self.count_handed(line.len() + 1);
        self.in_flight.push_back((self.handed_bytes, line.clone()));
        Some(line)
    }

    /// Counts bytes of the connection that need not survive it.
    pub(crate) fn count_handed(&mut self, bytes: usize) {
        self.handed_bytes += bytes as u64;
    }

    /// Forgets the lines that the connection has sent: all but those in its last `unsent_bytes`.
    pub(crate) fn on_unsent(&mut self, unsent_bytes: usize) {
        let sent = self.handed_bytes - unsent_bytes as u64;
        while self.in_flight.front().is_some_and(|&(end, _)| end <= sent) {
            self.in_flight.pop_front();
        }
    }

    /// Puts the lines that a lost connection has not sent whole before the waiting ones. Returns their number.
    pub(crate) fn take_back(&mut self) -> usize {
        let count = self.in_flight.len();
        for (_, line) in self.in_flight.drain(..).rev() {
            self.waiting_bytes += line.len() + 1;
            self.waiting.push_front(line);
        }
        self.handed_bytes = 0;
        count
    }

    /// Removes all waiting lines.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = String> {
        self.waiting_bytes = 0;
        self.waiting.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &mut LineQueue, lines: &[&str]) {
        queue.push(lines.iter().map(|&line| line.to_owned()).collect()).unwrap();
    }

    #[test]
    fn a_lost_connection_gives_back_the_lines_it_did_not_send_whole() {
        let mut queue = LineQueue::default();
        queue.count_handed(10); // Its name.
        push(&mut queue, &["one", "two", "three", "four"]);
        for line in ["one", "two", "three"] {
            assert_eq!(queue.next_line(100).as_deref(), Some(line));
        }
        queue.on_unsent(7); // "\n", behind a `two` that is not whole, and "three\n".
        push(&mut queue, &["five"]);
        assert_eq!(queue.take_back(), 2);
        assert_eq!(queue.waiting(), 4);
        assert_eq!(queue.drain().collect::<Vec<_>>(), ["two", "three", "four", "five"]);
        assert_eq!(queue.take_back(), 0);
    }

    #[test]
    fn a_line_is_taken_only_whole() {
        let mut queue = LineQueue::default();
        push(&mut queue, &["four"]);
        assert_eq!(queue.next_line(4), None);
        assert_eq!(queue.next_line(5).as_deref(), Some("four"));
        assert_eq!(queue.next_line(5), None);
    }

    #[test]
    fn the_queue_is_bounded_and_gives_back_lines_that_do_not_fit() {
        let mut queue = LineQueue::default();
        let line = "x".repeat(UNSENT_BYTES_MAX / 2 - 1);
        push(&mut queue, &[&line, &line]);
        assert_eq!(queue.push(vec!["a".into(), "b".into()]), Err(vec!["a".into(), "b".into()]));
        assert!(queue.next_line(usize::MAX).is_some());
        push(&mut queue, &["a"]);
    }
}
