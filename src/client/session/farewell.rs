//! The words of farewell to a foreign server. Pure.

use std::collections::VecDeque;
use std::mem;

use crate::client::outbox::send_buffer::Manner;

/// Words that end the conversation with the servers of textbooks. Such a server compares each `recv` with one of them,
/// so each is sent alone. `FIN` is the first, because its servers relay any other word.
const WORDS: [&[u8]; 2] = [b"FIN", b"exit"];

/// Pieces that are sent alone, each after a pause, before our direction is closed.
#[derive(Debug, Default)]
pub(super) struct Farewell {
    /// The end of a typed word that was sent without it.
    end: Vec<u8>,
    /// The typed word.
    word: Vec<u8>,
    words: Option<VecDeque<&'static [u8]>>,
}

impl Farewell {
    /// Records that `word` was sent alone, without its `end`.
    pub(super) fn say_end(&mut self, end: Vec<u8>, word: &[u8]) {
        self.end = end;
        self.word = word.to_vec();
    }

    /// Takes the next piece: the rest of a typed line for a server of lines, further words for one that takes each
    /// `recv` for a message.
    pub(super) fn next_piece(&mut self, manner: Manner) -> Option<Vec<u8>> {
        if !manner.is_by_message() {
            return Some(mem::take(&mut self.end)).filter(|end| !end.is_empty());
        }
        self.end.clear();
        let said = &self.word;
        // A server that may also be one of lines is told no more than it needs.
        let words = if manner == Manner::Bare { &WORDS[..] } else { &WORDS[..1] };
        let words = || words.iter().copied().filter(|word| word != said).collect();
        self.words.get_or_insert_with(words).pop_front().map(<[u8]>::to_vec)
    }

    /// Whether nothing is left to say.
    pub(super) fn is_over(&self, manner: Manner) -> bool {
        if manner.is_by_message() { self.words.as_ref().is_some_and(VecDeque::is_empty) } else { self.end.is_empty() }
    }

    /// Whether words of ours were chosen. Then all lines have been sent.
    pub(super) fn has_words(&self) -> bool {
        self.words.is_some()
    }

    /// Whether words were said to a server that takes each `recv` for a message.
    pub(super) fn has_begun(&self) -> bool {
        self.words.is_some() || !self.word.is_empty()
    }
}
