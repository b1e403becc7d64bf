//! What the bytes mean that come to the page's door, by where in the stream each thing ends: as the peer says that
//! sends them. So nothing has to be parsed to know what must come of it, in whatever pieces it is read.

use std::collections::VecDeque;

/// What somebody means by the bytes up to some place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Request(Expected),
    /// A whole message, of lines.
    Message(Vec<u8>),
    Ping(Vec<u8>),
    Close(Option<u16>),
    /// What breaks a rule begins here, for which this is the code; it may be noticed from here on.
    BreachBegins(u16),
    /// It has ended.
    Breach(u16),
}

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) status: u16,
    pub(crate) is_last: bool,
    pub(crate) body: Body,
}

/// What comes behind the head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Page,
    Words,
    /// It says how much there would be of it.
    Withheld,
    /// Frames.
    None,
}

/// How a WebSocket came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketEnd {
    /// With what its `Close` said.
    Closed(Option<u16>),
    Broken(u16),
}

/// What was heard of one at the page's door.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    meanings: VecDeque<(usize, Meaning)>,
    heard_bytes: usize,
    /// Where the last thing ended that was heard.
    ended_at: usize,
    /// All requests that were heard.
    pub(crate) requests: Vec<Expected>,
    /// What all pings that were heard had in them.
    pub(crate) pings: Vec<Vec<u8>>,
    /// How many of these came before it said goodbye.
    pub(crate) pings_due: usize,
    /// What began that breaks a rule.
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
