//! One who has come to the page's door: what there is of its request.

use std::mem;
use std::time::Instant;

use crate::server::sniff::ForeignProtocol;

/// The longest head of a request, in bytes: its line, its fields, and the empty line.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A visitor's request, as far as it came; with what came behind it.
#[derive(Debug)]
pub struct Exchange {
    received: Vec<u8>,
    /// How many bytes of empty lines before it were passed over: of these there may not be any number either.
    empty_bytes: usize,
    /// So many bytes of it are not the end of a head, nor is what they begin.
    searched: usize,
    /// When the head must have come, or what was answered been taken.
    deadline: Instant,
    /// Whether a request was answered already.
    is_answered: bool,
}

/// What there is of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum RequestProgress {
    /// Its head.
    Head(Vec<u8>),
    /// Not yet a head.
    Partial,
    /// More than a head may have, and no end of it.
    TooLong,
    /// The beginning of TLS.
    Tls,
}

impl Exchange {
    /// One that begins, and has until `deadline`.
    pub fn new(deadline: Instant) -> Exchange {
        Exchange { received: Vec::new(), empty_bytes: 0, searched: 0, deadline, is_answered: false }
    }

    /// How many more bytes it takes in.
    pub fn free_bytes(&self) -> usize {
        HEAD_BYTES_MAX.saturating_sub(self.empty_bytes + self.received.len())
    }

    /// Takes in what came. The longest head is reserved at once: were it doubled step by step, the buffers that it grew out
    /// of would lie between those of others, and all together could take twice as much.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.received.reserve_exact(HEAD_BYTES_MAX.saturating_sub(self.received.len()));
        self.received.extend_from_slice(bytes);
    }

    /// Takes out the head of the next request, if it is there. Each byte is looked at once, however they come.
    pub fn next_head(&mut self) -> RequestProgress {
        if self.searched == 0 {
            // Some send an empty line behind a body, which is to be passed over (RFC 9112, 2.2).
            let empty = self.received.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.received.drain(..empty);
            self.empty_bytes += empty;
        }
        if let Some(ForeignProtocol::Tls) = ForeignProtocol::in_prefix([&[], &self.received]) {
            return RequestProgress::Tls;
        }
        while let Some(at) = memchr::memchr(b'\n', &self.received[self.searched..]) {
            let newline = self.searched + at;
            let end = match self.received[newline + 1..] {
                [b'\n', ..] => newline + 2,
                [b'\r', b'\n', ..] => newline + 3,
                [] | [b'\r'] => {
                    self.searched = newline;
                    return self.progress();
                }
                _ => {
                    self.searched = newline + 1;
                    continue;
                }
            };
            let rest = self.received.split_off(end);
            self.empty_bytes = 0;
            self.searched = 0;
            return RequestProgress::Head(mem::replace(&mut self.received, rest));
        }
        self.searched = self.received.len();
        self.progress()
    }

    /// Takes out what came behind the last head.
    pub fn take_pipelined(&mut self) -> Vec<u8> {
        mem::take(&mut self.received)
    }

    /// When the head must have come, or what was answered been taken.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Gives it time again.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Learns that a request was answered.
    pub fn on_answered(&mut self) {
        self.is_answered = true;
    }

    /// Whether it was answered, and has not begun to ask again: it only kept the connection.
    pub fn is_idle(&self) -> bool {
        self.is_answered && self.received.is_empty()
    }

    fn progress(&self) -> RequestProgress {
        if self.free_bytes() == 0 { RequestProgress::TooLong } else { RequestProgress::Partial }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    const SECOND: &[u8] = b"GET /b HTTP/1.1\nHost: x\n\n";

    #[test]
    fn heads_are_found_however_the_bytes_come() {
        let bytes = [b"\r\n\r\n", FIRST, b"\r\n", SECOND, b"GET"].concat();
        for size in 1..bytes.len() {
            let mut visit = Exchange::new(Instant::now());
            let mut heads = Vec::new();
            for piece in bytes.chunks(size) {
                visit.receive(piece);
                while let RequestProgress::Head(head) = visit.next_head() {
                    heads.push(head);
                }
            }
            assert_eq!(heads, [FIRST, SECOND], "{size}");
            assert_eq!(visit.take_pipelined(), b"GET");
        }
    }

    #[test]
    fn a_head_without_end_is_given_up_at_the_limit() {
        let mut visit = Exchange::new(Instant::now());
        visit.receive(b"GET / HTTP/1.1\r\n");
        while visit.free_bytes() > 0 {
            assert_eq!(visit.next_head(), RequestProgress::Partial);
            visit.receive(b"x");
        }
        assert_eq!(visit.next_head(), RequestProgress::TooLong);
    }

    #[test]
    fn a_head_may_have_exactly_so_many_bytes() {
        for (excess, size) in [(0, 1_000), (0, HEAD_BYTES_MAX), (1, 1_000), (1, HEAD_BYTES_MAX)] {
            let mut head = [b"GET / HTTP/1.1\r\nX: ", &vec![b'x'; HEAD_BYTES_MAX + excess][..]].concat();
            head.truncate(HEAD_BYTES_MAX + excess - 4);
            head.extend(b"\r\n\r\n");
            let (mut visit, mut rest) = (Exchange::new(Instant::now()), &head[..]);
            while visit.free_bytes() > 0 && !rest.is_empty() {
                let (piece, behind) = rest.split_at(visit.free_bytes().min(rest.len()).min(size));
                visit.receive(piece);
                rest = behind;
            }
            let expected = if excess == 0 { RequestProgress::Head(head) } else { RequestProgress::TooLong };
            assert_eq!(visit.next_head(), expected);
        }
    }

    #[test]
    fn tls_is_recognised() {
        let mut visit = Exchange::new(Instant::now());
        visit.receive(&[0x16]);
        assert_eq!(visit.next_head(), RequestProgress::Partial);
        visit.receive(&[0x03, 0x01]);
        assert_eq!(visit.next_head(), RequestProgress::Tls);
    }
}
