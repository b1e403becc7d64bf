//! Typed lines that outlive a connection. Pure.

use std::collections::VecDeque;

use super::entered::Entered;
use crate::client::limits::UNSENT_BYTES_MAX;

/// Whole lines that wait for a connection, and those that the present connection has not sent yet.
///
/// Invariant: the waiting lines take at most [`UNSENT_BYTES_MAX`] with their newlines, plus the lines that a lost
/// connection gave back. `in_flight` is empty without a connection.
#[derive(Debug, Default)]
pub(crate) struct LineQueue {
    waiting: VecDeque<Entered>,
    waiting_bytes: usize,
    /// Lines in the connection's [`SendBuffer`](super::send_buffer::SendBuffer), each with the offset of its end in all
    /// bytes that were put there.
    in_flight: VecDeque<(u64, Entered)>,
    handed_bytes: u64,
}

impl LineQueue {
    /// Appends lines without newlines.
    ///
    /// # Errors
    /// The lines, if they do not fit.
    pub(crate) fn push(&mut self, lines: Vec<Entered>) -> Result<(), Vec<Entered>> {
        let bytes: usize = lines.iter().map(|line| line.text.len() + 1).sum();
        if self.waiting_bytes + bytes > UNSENT_BYTES_MAX {
            return Err(lines);
        }
        self.waiting_bytes += bytes;
        self.waiting.extend(lines);
        Ok(())
    }

    /// Puts lines before the waiting ones, whether they fit or not.
    pub(crate) fn put_back(&mut self, lines: Vec<Entered>) {
        for line in lines.into_iter().rev() {
            self.waiting_bytes += line.text.len() + 1;
            self.waiting.push_front(line);
        }
    }

    /// The number of waiting lines.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The next line.
    pub(crate) fn next(&self) -> Option<&Entered> {
        self.waiting.front()
    }

    /// Takes the next line from the queue, for good.
    pub(crate) fn remove_next(&mut self) -> Option<Entered> {
        let line = self.waiting.pop_front()?;
        self.waiting_bytes -= line.text.len() + 1;
        Some(line)
    }

    /// Takes the next line for the connection, which gets it in so many bytes.
    pub(crate) fn hand_next(&mut self, wire_bytes: usize) -> Option<Entered> {
        let line = self.remove_next()?;
        self.count_handed(wire_bytes);
        self.in_flight.push_back((self.handed_bytes, line.clone()));
        Some(line)
    }

    /// Counts bytes of the connection that need not survive it.
    pub(crate) fn count_handed(&mut self, bytes: usize) {
        self.handed_bytes += bytes as u64;
    }

    /// Passes the lines that the connection has sent to `sent`, and forgets them: all but those in its last
    /// `unsent_bytes`.
    pub(crate) fn on_unsent(&mut self, unsent_bytes: usize, mut sent: impl FnMut(&Entered)) {
        // The words of farewell are unsent too, but were not handed.
        let sent_bytes = self.handed_bytes.saturating_sub(unsent_bytes as u64);
        while let Some((_, line)) = self.in_flight.pop_front_if(|(end, _)| *end <= sent_bytes) {
            sent(&line);
        }
    }

    /// Puts the lines that a lost connection has not sent whole before the waiting ones. Returns their number.
    pub(crate) fn take_back(&mut self) -> usize {
        let lines: Vec<Entered> = self.in_flight.drain(..).map(|(_, line)| line).collect();
        self.handed_bytes = 0;
        let count = lines.len();
        self.put_back(lines);
        count
    }

    /// Removes all waiting lines.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = String> {
        self.waiting_bytes = 0;
        self.waiting.drain(..).map(|line| line.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<Entered> {
        texts.iter().map(|&text| Entered::line(text.to_owned())).collect()
    }

    fn hand(queue: &mut LineQueue) -> Option<String> {
        let bytes = queue.next()?.text.len() + 1;
        queue.hand_next(bytes).map(|line| line.text)
    }

    #[test]
    fn a_lost_connection_gives_back_the_lines_it_did_not_send_whole() {
        let mut queue = LineQueue::default();
        queue.count_handed(10); // Its name.
        queue.push(lines(&["one", "two", "three", "four"])).unwrap();
        for line in ["one", "two", "three"] {
            assert_eq!(hand(&mut queue).as_deref(), Some(line));
        }
        let mut sent = Vec::new();
        queue.on_unsent(7, |line| sent.push(line.text.clone())); // "\n", behind a `two` that is not whole, and "three\n".
        assert_eq!(sent, ["one"]);
        queue.push(lines(&["five"])).unwrap();
        assert_eq!(queue.take_back(), 2);
        assert_eq!(queue.waiting(), 4);
        assert_eq!(queue.drain().collect::<Vec<_>>(), ["two", "three", "four", "five"]);
        assert_eq!(queue.take_back(), 0);
    }

    #[test]
    fn a_line_in_other_bytes_than_its_text_is_given_back_as_it_was_entered() {
        let mut queue = LineQueue::default();
        let line = Entered::text("/x".to_owned());
        queue.push(vec![line.clone()]).unwrap();
        assert!(queue.hand_next("/say /x\n".len()).is_some());
        queue.on_unsent(1, |_| panic!("it is not sent whole"));
        assert_eq!(queue.take_back(), 1);
        assert_eq!(queue.remove_next(), Some(line));
        assert_eq!(queue.remove_next(), None);
    }

    #[test]
    fn the_queue_is_bounded_and_gives_back_lines_that_do_not_fit() {
        let mut queue = LineQueue::default();
        let line = "x".repeat(UNSENT_BYTES_MAX / 2 - 1);
        queue.push(lines(&[&line, &line])).unwrap();
        assert_eq!(queue.push(lines(&["a", "b"])), Err(lines(&["a", "b"])));
        assert!(hand(&mut queue).is_some());
        queue.push(lines(&["a"])).unwrap();
    }
}
