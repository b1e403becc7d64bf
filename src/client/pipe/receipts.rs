//! Receipts: the lines of a connection that a pollchat server has certainly taken. Pure.
//!
//! A server takes lines in order and answers an unknown command with the command's own word. So the answer to a word
//! that nobody else types is a receipt for all lines before it.

use std::time::Instant;

use crate::client::limits::RECEIPT_WAIT;

/// The receipts of each connection, at most one under way at a time.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    /// The command of the requests; `None`: nothing is asked for.
    command: Option<String>,
    /// The number of requests in all connections, which makes each word another.
    requests: u64,
    /// Lines for which a receipt was asked, by the last request.
    asked: Option<u64>,
    /// Lines for which it has come.
    confirmed: u64,
    /// Time since which lines without a receipt were seen.
    since: Option<Instant>,
}

impl Receipts {
    /// Receipts by commands that contain `nonce`.
    pub(super) fn with(nonce: u64) -> Receipts {
        Receipts { command: Some(format!("/receipt-{nonce:x}-")), ..Receipts::default() }
    }

    /// Begins a connection.
    pub(super) fn on_connected(&mut self) {
        (self.asked, self.confirmed, self.since) = (None, 0, None);
    }

    /// Returns a request for the `sent` lines of the connection, if it is due. It must be sent next.
    pub(super) fn request(&mut self, sent: u64, now: Instant) -> Option<String> {
        let command = self.command.as_ref().filter(|_| self.asked.is_none() && sent > self.confirmed)?;
        let since = *self.since.get_or_insert(now);
        if now < since + RECEIPT_WAIT {
            return None;
        }
        self.requests += 1;
        (self.asked, self.since) = (Some(sent), None);
        Some(format!("{command}{}\n", self.requests))
    }

    /// The time of the next request.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + RECEIPT_WAIT)
    }

    /// Takes the answer to an unknown command. Returns whether it is the receipt.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let number = self.command.as_ref().and_then(|command| word.strip_prefix(command.as_str()));
        let is_receipt = self.asked.is_some() && number.is_some_and(|number| number == self.requests.to_string());
        if is_receipt {
            self.confirmed = self.asked.take().unwrap_or_default();
        }
        is_receipt
    }

    /// The number of lines of this connection that the server has taken, as far as it has told.
    pub(super) fn confirmed(&self) -> u64 {
        self.confirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_burst_share_a_receipt() {
        let now = Instant::now();
        let mut receipts = Receipts::with(0x7f);
        assert_eq!((receipts.request(0, now), receipts.deadline()), (None, None));
        assert_eq!(receipts.request(1, now), None);
        assert_eq!(receipts.deadline(), Some(now + RECEIPT_WAIT));
        assert_eq!(receipts.request(3, now + RECEIPT_WAIT).as_deref(), Some("/receipt-7f-1\n"));
        assert_eq!((receipts.request(4, now + 3 * RECEIPT_WAIT), receipts.deadline()), (None, None));
        for other in ["/receipt-7f-", "/receipt-7f-2", "/receipt-7e-1", "/x", ""] {
            assert!(!receipts.take(other), "{other}");
        }
        assert_eq!(receipts.confirmed(), 0);
        assert!(receipts.take("/receipt-7f-1") && !receipts.take("/receipt-7f-1"));
        assert_eq!((receipts.confirmed(), receipts.request(3, now)), (3, None));
    }

    #[test]
    fn a_receipt_of_another_connection_is_none() {
        let now = Instant::now();
        let mut receipts = Receipts::with(1);
        receipts.request(2, now);
        assert!(receipts.request(2, now + RECEIPT_WAIT).is_some());
        receipts.on_connected();
        assert!(!receipts.take("/receipt-1-1"));
        assert_eq!(receipts.confirmed(), 0);
        receipts.request(1, now);
        assert_eq!(receipts.request(1, now + RECEIPT_WAIT).as_deref(), Some("/receipt-1-2\n"));
    }

    #[test]
    fn nothing_is_asked_without_need() {
        let now = Instant::now();
        let mut receipts = Receipts::default();
        assert_eq!((receipts.request(1, now), receipts.request(1, now + RECEIPT_WAIT)), (None, None));
        assert_eq!(receipts.deadline(), None);
        assert!(!receipts.take("/receipt-0-1"));
    }
}
