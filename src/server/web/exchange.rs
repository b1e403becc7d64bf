//! Input side of an HTTP connection: received bytes, cut into the heads of requests.

use std::mem;
use std::time::Instant;

use crate::server::sniff::ForeignProtocol;

/// Longest head of a request, in bytes: its line, its fields and the empty line.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Answerer of the requests of a connection, by its port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Service {
    /// The page and its WebSocket.
    #[default]
    Page,
    /// Metrics and the health check.
    Metrics,
}

/// Requests of one connection: the head that is arriving, and pipelined bytes behind it.
///
/// Invariants: `empty_bytes + received.len() <= HEAD_BYTES_MAX` if no more than [`free_bytes`](Exchange::free_bytes)
/// are received at a time. No head ends within the first `searched` bytes of `received`.
#[derive(Debug)]
pub struct Exchange {
    received: Vec<u8>,
    /// Bytes of empty lines that were skipped before the head. They count against its limit.
    empty_bytes: usize,
    searched: usize,
    /// Time by which the head has to arrive, or the client has to take the answer.
    deadline: Instant,
    is_answered: bool,
    service: Service,
}

/// Part of a request that has arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum RequestProgress {
    /// A whole head, with its empty line.
    Head(Vec<u8>),
    /// Less than a head.
    Partial,
    /// [`HEAD_BYTES_MAX`] bytes without the end of a head.
    TooLong,
    /// The first bytes of TLS.
    Tls,
}

impl Exchange {
    /// Creates an exchange whose first head has to arrive by `deadline`. Takes no heap memory.
    pub fn new(deadline: Instant) -> Exchange {
        let service = Service::default();
        Exchange { received: Vec::new(), empty_bytes: 0, searched: 0, deadline, is_answered: false, service }
    }

    /// Sets the service that answers its requests.
    #[must_use]
    pub fn with_service(self, service: Service) -> Exchange {
        Exchange { service, ..self }
    }

    /// Returns the service that answers its requests.
    pub fn service(&self) -> Service {
        self.service
    }

    /// Returns how many more bytes it may receive.
    pub fn free_bytes(&self) -> usize {
        HEAD_BYTES_MAX.saturating_sub(self.empty_bytes + self.received.len())
    }

    /// Receives `bytes`. It reserves the longest head at once. Buffers that grow by doubling would leave holes in the
    /// heap, and many connections together could take twice the memory.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.received.reserve_exact(HEAD_BYTES_MAX.saturating_sub(self.received.len()));
        self.received.extend_from_slice(bytes);
    }

    /// Takes the head of the next request, if it has arrived. Searches each byte once, however the bytes are split.
    pub fn next_head(&mut self) -> RequestProgress {
        if self.searched == 0 {
            // Some clients send an empty line after a body; a server should skip it (RFC 9112, 2.2).
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

    /// Takes the bytes behind the last head.
    pub(crate) fn take_pipelined(&mut self) -> Vec<u8> {
        mem::take(&mut self.received)
    }

    /// Returns the time by which the head has to arrive, or the client has to take the answer.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Sets the deadline of the next step.
    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Notes that a request was answered.
    pub(crate) fn on_answered(&mut self) {
        self.is_answered = true;
    }

    /// Whether the client has been answered and only keeps the connection open.
    pub(crate) fn is_idle(&self) -> bool {
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
    fn heads_are_found_however_the_bytes_are_split() {
        let bytes = [b"\r\n\r\n", FIRST, b"\r\n", SECOND, b"GET"].concat();
        for size in 1..bytes.len() {
            let mut exchange = Exchange::new(Instant::now());
            let mut heads = Vec::new();
            for piece in bytes.chunks(size) {
                exchange.receive(piece);
                while let RequestProgress::Head(head) = exchange.next_head() {
                    heads.push(head);
                }
            }
            assert_eq!(heads, [FIRST, SECOND], "{size}");
            assert_eq!(exchange.take_pipelined(), b"GET");
        }
    }

    #[test]
    fn a_head_without_an_end_is_too_long_at_the_limit() {
        let mut exchange = Exchange::new(Instant::now());
        exchange.receive(b"GET / HTTP/1.1\r\n");
        while exchange.free_bytes() > 0 {
            assert_eq!(exchange.next_head(), RequestProgress::Partial);
            exchange.receive(b"x");
        }
        assert_eq!(exchange.next_head(), RequestProgress::TooLong);
    }

    #[test]
    fn a_head_may_have_exactly_the_longest_length() {
        for (excess, size) in [(0, 1_000), (0, HEAD_BYTES_MAX), (1, 1_000), (1, HEAD_BYTES_MAX)] {
            let mut head = [b"GET / HTTP/1.1\r\nX: ", &vec![b'x'; HEAD_BYTES_MAX + excess][..]].concat();
            head.truncate(HEAD_BYTES_MAX + excess - 4);
            head.extend(b"\r\n\r\n");
            let (mut exchange, mut rest) = (Exchange::new(Instant::now()), &head[..]);
            while exchange.free_bytes() > 0 && !rest.is_empty() {
                let (piece, behind) = rest.split_at(exchange.free_bytes().min(rest.len()).min(size));
                exchange.receive(piece);
                rest = behind;
            }
            let expected = if excess == 0 { RequestProgress::Head(head) } else { RequestProgress::TooLong };
            assert_eq!(exchange.next_head(), expected);
        }
    }

    #[test]
    fn tls_is_recognized() {
        let mut exchange = Exchange::new(Instant::now());
        exchange.receive(&[0x16]);
        assert_eq!(exchange.next_head(), RequestProgress::Partial);
        exchange.receive(&[0x03, 0x01]);
        assert_eq!(exchange.next_head(), RequestProgress::Tls);
    }

    #[test]
    fn empty_lines_before_a_head_count_against_its_limit() {
        let mut exchange = Exchange::new(Instant::now());
        for _ in 0..HEAD_BYTES_MAX / 2 {
            assert_eq!(exchange.next_head(), RequestProgress::Partial);
            exchange.receive(b"\r\n");
        }
        exchange.next_head();
        assert_eq!(exchange.next_head(), RequestProgress::TooLong);
    }

    #[test]
    fn an_answered_connection_is_idle_until_another_request_begins() {
        let mut exchange = Exchange::new(Instant::now());
        assert!(!exchange.is_idle());
        exchange.receive(FIRST);
        assert!(matches!(exchange.next_head(), RequestProgress::Head(_)));
        exchange.on_answered();
        assert!(exchange.is_idle());
        exchange.receive(b"G");
        assert!(!exchange.is_idle());
    }
}
