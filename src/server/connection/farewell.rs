//! The last bytes that a closing connection is sent, and the pauses between its last words.

use std::mem;
use std::time::{Duration, Instant};

use super::Connection;
use crate::net::stream::Socket;
use crate::relay::notice;

/// Pause before each of the [`LastWords`]: long enough that the kernel of a peer on the same continent hands out each
/// in a `recv` of its own.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// The last bytes that a closing connection is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// `FIN`, and for a browser this close code.
    Fin(u16),
    /// That the server is shutting down, and then the same: no tape tells it.
    ShuttingDown(u16),
    /// `FIN` without a newline, for a client whose messages end with silence.
    Bare(LastWords),
    /// Nothing, or for a browser the close code alone: it closed first, broke the protocol, or was answered in HTTP.
    Close(Option<u16>),
}

/// The way in which a client ends its lines, as far as `--flush-after` has to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineHabit {
    /// It has ended none.
    #[default]
    Unknown,
    /// Silence ended one, and no newline. It takes each `recv` for a message, too.
    Silence,
    /// With newlines. Silence ends none of its lines: it may be the network that pauses.
    Newline,
    /// With LF or CRLF alone: it is tracked, and knows the dialect.
    Tracked,
}

impl LineHabit {
    /// Whether silence ends none of its lines.
    pub fn has_newlines(self) -> bool {
        matches!(self, LineHabit::Newline | LineHabit::Tracked)
    }
}

/// The last words for a client that takes each `recv` for a message, and compares it: each word has no newline, and is
/// a write of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastWords {
    /// The `exit` of the client, in its case: said before `FIN`.
    exit: Option<[u8; 4]>,
    /// Whether the newline follows `FIN` as a word of its own, because the client may read lines.
    has_newline: bool,
    is_fin_said: bool,
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
    /// `FIN`, or a part of it, and further words after it.
    Part(&'static str),
    /// The last of them.
    Last(&'static str),
}

impl LastWords {
    /// Returns the words for a client with this habit. A client that never sent anything may be of either kind. It is
    /// told `FIN`, and the newline a pause later.
    pub fn for_habit(habit: LineHabit) -> LastWords {
        LastWords { has_newline: habit == LineHabit::Unknown, ..LastWords::default() }
    }

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
        if let Some(word) = self.exit.take() {
            return LastStep::Word(word);
        }
        let (fin, newline) = notice::FAREWELL.split_at(notice::FAREWELL.len() - 1);
        match (self.has_newline, mem::replace(&mut self.is_fin_said, true)) {
            (false, _) => LastStep::Last(fin),
            (true, false) => LastStep::Part(fin),
            (true, true) => LastStep::Last(newline),
        }
    }

    /// Returns the end of the pause, if there is one.
    pub(super) fn pause_end(&self) -> Option<Instant> {
        self.pause_end
    }

    /// Returns the end of the pause, the first time that it is asked for.
    pub(super) fn take_timer(&mut self) -> Option<Instant> {
        self.pause_end.filter(|_| mem::take(&mut self.needs_timer))
    }
}

impl<S: Socket> Connection<S> {
    /// Says this word before `FIN`, if it is told [`Farewell::Bare`].
    pub fn answer_exit(&mut self, word: &str) {
        if let Some(words) = self.last_words_mut() {
            words.begin_with(word);
        }
    }

    /// Whether the pause before its next last word ends at this time.
    pub fn is_pausing_until(&self, time: Instant) -> bool {
        self.pause_end() == Some(time)
    }

    pub(super) fn pause_end(&self) -> Option<Instant> {
        match self.closing()?.farewell {
            Farewell::Bare(words) => words.pause_end(),
            _ => None,
        }
    }

    pub(super) fn last_words_mut(&mut self) -> Option<&mut LastWords> {
        match &mut self.closing_mut()?.farewell {
            Farewell::Bare(words) => Some(words),
            _ => None,
        }
    }
}
