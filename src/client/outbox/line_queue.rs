//! What was typed and the server has not taken yet, line by line, so that a lost connection loses none of it. Pure.

use std::collections::VecDeque;

use crate::client::limits::UNSENT_BYTES_MAX;

/// The lines that wait, and those on their way through one connection's outbox.
#[derive(Debug, Default)]
pub struct LineQueue {
    waiting: VecDeque<String>,
    waiting_bytes: usize,
    /// The lines handed to the connection, with the place of their ends among all that it was handed.
    in_flight: VecDeque<(u64, String)>,
    handed_bytes: u64,
}

impl LineQueue {
    /// Has these lines wait, or gives them back if there is no room.
    ///
    /// # Errors
    /// The lines, if they were too much.
    pub fn push(&mut self, lines: Vec<String>) -> Result<(), Vec<String>> {
        let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
        if self.waiting_bytes + bytes > UNSENT_BYTES_MAX {
            return Err(lines);
        }
        self.waiting_bytes += bytes;
        self.waiting.extend(lines);
        Ok(())
    }

    /// How many lines wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many bytes the next line takes, with its newline.
    pub fn next_bytes(&self) -> Option<usize> {
        self.waiting.front().map(|line| line.len() + 1)
    }

    /// The next line, if it and its newline have room in a connection's outbox.
    pub fn next_line(&mut self, free_bytes: usize) -> Option<String> {
        self.next_bytes().filter(|&bytes| bytes <= free_bytes)?;
        let line = self.waiting.pop_front()?;
        self.waiting_bytes -= line.len() + 1;
        self.count_handed(line.len() + 1);
        self.in_flight.push_back((self.handed_bytes, line.clone()));
        Some(line)
    }

    /// The connection was also handed something that need not be kept.
    pub fn count_handed(&mut self, bytes: usize) {
        self.handed_bytes += bytes as u64;
    }

    /// The server has taken all but the last so many bytes of what the connection was handed.
    pub fn on_unsent(&mut self, left_bytes: usize) {
        let taken = self.handed_bytes - left_bytes as u64;
        while self.in_flight.front().is_some_and(|&(end, _)| end <= taken) {
            self.in_flight.pop_front();
        }
    }

    /// The connection is no more: what it did not take whole waits again, before what was typed since. Returns how many
    /// lines that are.
    pub fn take_back(&mut self) -> usize {
        let count = self.in_flight.len();
        for (_, line) in self.in_flight.drain(..).rev() {
            self.waiting_bytes += line.len() + 1;
            self.waiting.push_front(line);
        }
        self.handed_bytes = 0;
        count
    }

    /// All lines that wait, for good.
    pub fn drain(&mut self) -> impl Iterator<Item = String> {
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
    fn a_lost_connection_gives_back_what_it_did_not_take_whole() {
        let mut lines = LineQueue::default();
        lines.count_handed(10); // Its name.
        push(&mut lines, &["one", "two", "three", "four"]);
        for line in ["one", "two", "three"] {
            assert_eq!(lines.next_line(100).as_deref(), Some(line));
        }
        lines.on_unsent(7); // "\n", behind a `two` that is not whole, and "three\n".
        push(&mut lines, &["five"]);
        assert_eq!(lines.take_back(), 2);
        assert_eq!(lines.waiting(), 4);
        assert_eq!(lines.drain().collect::<Vec<_>>(), ["two", "three", "four", "five"]);
        assert_eq!(lines.take_back(), 0);
    }

    #[test]
    fn a_line_is_handed_over_only_whole() {
        let mut lines = LineQueue::default();
        push(&mut lines, &["four"]);
        assert_eq!(lines.next_line(4), None);
        assert_eq!(lines.next_line(5).as_deref(), Some("four"));
        assert_eq!(lines.next_line(5), None);
    }

    #[test]
    fn what_waits_is_bounded_and_what_does_not_fit_is_given_back_whole() {
        let mut lines = LineQueue::default();
        let line = "x".repeat(UNSENT_BYTES_MAX / 2 - 1);
        push(&mut lines, &[&line, &line]);
        assert_eq!(lines.push(vec!["a".into(), "b".into()]), Err(vec!["a".into(), "b".into()]));
        assert!(lines.next_line(usize::MAX).is_some());
        push(&mut lines, &["a"]);
    }
}
