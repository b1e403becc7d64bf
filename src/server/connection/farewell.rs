//! The last bytes that a closing connection is sent, and the pauses between its last words.

use std::time::{Duration, Instant};

use crate::relay::notice;

/// Pause before each of the [`LastWords`]: long enough that the kernel of a peer on the same continent hands out each
/// in a `recv` of its own.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// The last bytes that a closing connection is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// `FIN`, and for a browser this close code.
    Fin(u16),
    /// `FIN` without a newline, for a client whose messages end with silence.
    Bare(LastWords),
    /// Nothing, or for a browser the close code alone: it closed first, broke the protocol, or was answered in HTTP.
    Close(Option<u16>),
}

/// The last words for a client that takes each `recv` for a message, and compares it: each word has no newline, and is
/// a write of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastWords {
    /// The `exit` of the client, in its case: said before `FIN`.
    exit: Option<[u8; 4]>,
    /// The end of the pause before the next word, once all before it is written.
    pause_end: Option<Instant>,
    /// Whether a timer is still to be set to the end of the pause.
    needs_timer: bool,
}

/// The next step of the last words.
pub(super) enum LastStep {
    /// The pause goes on.
    Pause,
    /// A word, and further ones after it.
    Word([u8; 4]),
    /// `FIN`, the last of them.
    Fin(&'static str),
}

impl LastWords {
    /// Adds the word by which the client left, if the client may wait for it.
    pub(super) fn begin_with(&mut self, word: &str) {
        self.exit = word.as_bytes().try_into().ok();
    }

    /// Returns the next step, now that all before it is written.
    pub(super) fn next(&mut self, now: Instant) -> LastStep {
        let Some(pause_end) = self.pause_end else {
            self.pause_end = Some(now + PAUSE);
            self.needs_timer = true;
            return LastStep::Pause;
        };
        if now < pause_end {
            return LastStep::Pause;
        }
        self.pause_end = None;
        match self.exit.take() {
            Some(word) => LastStep::Word(word),
            None => LastStep::Fin(notice::FAREWELL.trim_end()),
        }
    }

    /// Returns the end of the pause, if there is one.
    pub(super) fn pause_end(&self) -> Option<Instant> {
        self.pause_end
    }

    /// Returns the end of the pause, the first time that it is asked for.
    pub(super) fn take_timer(&mut self) -> Option<Instant> {
        self.pause_end.filter(|_| std::mem::take(&mut self.needs_timer))
    }
}
