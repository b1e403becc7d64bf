//! The meaning of the bytes of a peer on the page's port, by where in the stream each thing ends, as the peer says. So
//! nothing has to be parsed to know what must come of it, in whatever pieces it is read.

use std::collections::VecDeque;

/// The meaning of the bytes up to some place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Request(Expected),
    /// A whole message, of lines.
    Message(Vec<u8>),
    Ping(Vec<u8>),
    Close(Option<u16>),
    /// A breach of the protocol begins here, with this close code; it may be noticed from here on.
    BreachBegins(u16),
    /// That breach has ended.
    Breach(u16),
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) status: u16,
    pub(crate) is_last: bool,
    pub(crate) body: Body,
}

/// The body of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Page,
    Words,
    /// None, but its length is given.
    Withheld,
    /// Frames.
    None,
}

/// The end of a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketEnd {
    /// With the code of the close frame.
    Closed(Option<u16>),
    Broken(u16),
}

/// All that was heard of a peer on the page's port.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    meanings: VecDeque<(usize, Meaning)>,
    heard_bytes: usize,
    /// Where the last thing ended that was heard.
    ended_at: usize,
    /// All requests that were heard.
    pub(crate) requests: Vec<Expected>,
    /// The payloads of all pings that were heard.
    pub(crate) pings: Vec<Vec<u8>>,
    /// The number of pings that came before its farewell.
    pub(crate) pings_due: usize,
    /// The close code of a breach that has begun.
    pub(crate) breach_begun: Option<u16>,
    pub(crate) end: Option<SocketEnd>,
}

impl Outline {
    /// The peer says what it means by what ends there.
    pub(crate) fn mean(&mut self, end: usize, meaning: Meaning) {
        self.meanings.push_back((end, meaning));
    }

    /// The server reads so many more bytes.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.heard_bytes += bytes;
    }

    /// The next thing that was heard to its end.
    pub(crate) fn next_heard(&mut self) -> Option<Meaning> {
        let (end, meaning) = self.meanings.pop_front_if(|(end, _)| *end <= self.heard_bytes)?;
        self.ended_at = end;
        Some(meaning)
    }

    /// Whether something was begun and did not end.
    pub(crate) fn is_amid(&self) -> bool {
        self.heard_bytes > self.ended_at
    }
}
