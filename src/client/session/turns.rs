//! The turns of a conversation: the form in which the server takes lines, and the time for the next one. Pure.
//!
//! A foreign server may take each `recv` for a message, and answer one before it reads the next. Two messages that come
//! while it thinks are one to it. So the next message waits for the answer to the last one: [`ANSWER_WAIT`] at first,
//! [`ANSWER_WAIT_MAX`] once the server has answered. A server that lets this time pass does not answer, and gets its
//! messages [`MESSAGE_PAUSE`] apart.

use std::time::{Duration, Instant};

use crate::client::decoder::{Decoder, Ends, ServerKind};
use crate::client::limits::{
    ANSWER_WAIT, ANSWER_WAIT_MAX, GREETING_WAIT, MESSAGE_PAUSE, MESSAGE_SILENCE, WELCOME_WAIT,
};
use crate::client::outbox::send_buffer::Manner;

/// Times of the bytes in both directions.
#[derive(Debug)]
pub(super) struct Turns {
    /// `--flush-after`: silence that ends an unterminated line; `None`: never.
    flush_after: Option<Duration>,
    /// Until then the first line waits for the greeting.
    first_at: Instant,
    /// Until then the kind of a silent server counts as unknown.
    known_at: Instant,
    /// Time of the last bytes to the server.
    sent_at: Instant,
    /// Whether nothing came since then.
    is_unanswered: bool,
    /// Time of the first bytes since then.
    answered_at: Instant,
    /// Time of the last bytes from the server.
    received_at: Instant,
    answers: Answers,
}

/// Whether a server answers each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    Unknown,
    Given,
    /// It has left one unanswered.
    Missing,
}

impl Turns {
    /// The turns of a new connection.
    pub(super) fn new(flush_after: Option<Duration>, now: Instant) -> Turns {
        Turns {
            flush_after,
            first_at: now + GREETING_WAIT,
            known_at: now + WELCOME_WAIT,
            sent_at: now,
            is_unanswered: false,
            answered_at: now,
            received_at: now,
            answers: Answers::Unknown,
        }
    }

    /// Gives the server time to say what it is, before the first line.
    pub(super) fn await_kind(&mut self, now: Instant) {
        self.known_at = self.known_at.max(now + WELCOME_WAIT);
    }

    /// Records that a message goes next.
    pub(super) fn on_turn(&mut self, manner: Manner) {
        if manner == Manner::Bare && self.is_unanswered {
            self.answers = Answers::Missing;
        }
    }

    /// Records bytes to the server. `is_first`: they are the first, to a server of unknown kind.
    pub(super) fn on_sent(&mut self, is_first: bool, now: Instant) {
        if is_first {
            self.known_at = now + WELCOME_WAIT;
        }
        self.sent_at = now;
        self.is_unanswered = true;
    }

    /// Records bytes from the server. Returns whether they begin an answer.
    pub(super) fn on_received(&mut self, now: Instant) -> bool {
        self.received_at = now;
        let is_answer = std::mem::take(&mut self.is_unanswered);
        if is_answer {
            self.answered_at = now;
            if self.answers == Answers::Unknown {
                self.answers = Answers::Given;
            }
        }
        is_answer
    }

    /// The form in which the server takes lines, as far as it is known.
    pub(super) fn manner(&self, decoder: &Decoder, now: Instant) -> Manner {
        match (decoder.server_kind(), decoder.ends()) {
            (ServerKind::Pollchat, _) => Manner::Pollchat,
            (ServerKind::Other, Ends::Silence) => Manner::Bare,
            (ServerKind::Other, Ends::Relayed) => Manner::Relay,
            (ServerKind::Other, Ends::Newline) => Manner::Lines,
            (ServerKind::Other | ServerKind::Unknown(_), _) if now >= self.known_at => Manner::Lines,
            (ServerKind::Other | ServerKind::Unknown(_), _) => Manner::Unknown,
        }
    }

    /// Whether typed lines may go, and all before them have gone. `has_sent`: there were some.
    pub(super) fn is_ours(&self, manner: Manner, decoder: &Decoder, has_sent: bool, now: Instant) -> bool {
        if manner.is_by_message() {
            return !self.is_mid_message(decoder, now) && now >= self.answer_deadline(manner);
        }
        if manner != Manner::Unknown || has_sent {
            return true;
        }
        // A greeting without a newline shows at once how the first line must be sent.
        match decoder.server_kind() {
            ServerKind::Unknown(_) => now >= self.first_at,
            _ => !self.is_mid_message(decoder, now),
        }
    }

    /// Whether a word of farewell may go.
    pub(super) fn is_for_farewell(&self, manner: Manner, decoder: &Decoder, now: Instant) -> bool {
        let is_answered = !manner.is_by_message() || now >= self.answer_deadline(manner);
        is_answered && now >= self.sent_at + MESSAGE_PAUSE && !self.is_mid_message(decoder, now)
    }

    /// The end of the wait for an answer; in the past if it has come.
    fn answer_deadline(&self, manner: Manner) -> Instant {
        let wait = match (manner, self.answers) {
            _ if !self.is_unanswered => Duration::ZERO,
            (Manner::Bare, Answers::Unknown) => ANSWER_WAIT,
            (Manner::Bare, Answers::Given) => ANSWER_WAIT_MAX,
            // A relay answers nothing.
            _ => MESSAGE_PAUSE,
        };
        self.sent_at + wait
    }

    /// Whether a server has begun a message that silence may end soon. One that is never silent is not waited for.
    fn is_mid_message(&self, decoder: &Decoder, now: Instant) -> bool {
        self.flush_after.is_some() && decoder.has_partial_line() && now < self.message_deadline()
    }

    fn message_deadline(&self) -> Instant {
        self.sent_at.max(self.answered_at) + WELCOME_WAIT
    }

    /// The next time at which something may be sent without an event.
    pub(super) fn deadline(&self, manner: Manner, now: Instant) -> Option<Instant> {
        let next_message = self.sent_at + MESSAGE_PAUSE;
        [self.first_at, self.known_at, next_message, self.answer_deadline(manner), self.message_deadline()]
            .into_iter()
            .filter(|&at| at > now)
            .min()
    }

    /// The time at which a message that has begun is over, without more of it. `has_more`: we have something to say.
    pub(super) fn flush_deadline(&self, decoder: &Decoder, has_more: bool) -> Option<Instant> {
        let flush_after = self.flush_after.filter(|_| decoder.has_partial_line())?;
        // What we have to say next waits for the end of its message.
        let is_by_message = matches!(decoder.ends(), Ends::Silence | Ends::Relayed);
        let silence = if has_more && is_by_message { flush_after.min(MESSAGE_SILENCE) } else { flush_after };
        Some(self.received_at + silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    /// A decoder after a greeting without a newline, and turns of which each has sent and may have been answered.
    fn after(answers: &[bool]) -> (Turns, Decoder, Instant) {
        let mut now = Instant::now();
        let mut decoder = Decoder::default();
        decoder.decode(b"hello", &mut |_| {});
        decoder.flush_partial(&mut |_| {});
        let mut turns = Turns::new(Some(Duration::from_millis(100)), now);
        assert_eq!(turns.manner(&decoder, now), Manner::Bare);
        for &is_answered in answers {
            turns.on_turn(Manner::Bare);
            turns.on_sent(false, now);
            if is_answered {
                now += Duration::from_secs(1);
                assert!(turns.on_received(now));
                assert!(!turns.on_received(now));
            }
        }
        (turns, decoder, now)
    }

    #[test]
    fn the_next_message_waits_for_the_answer_as_long_as_answers_come() {
        for (answers, wait) in [
            (&[][..], Duration::ZERO),
            (&[true], Duration::ZERO),
            (&[false], ANSWER_WAIT),
            (&[true, false], ANSWER_WAIT_MAX),
            (&[false, false], MESSAGE_PAUSE),
            (&[true, false, false], MESSAGE_PAUSE),
            (&[true, true, false], ANSWER_WAIT_MAX),
            (&[false, false, true, false], MESSAGE_PAUSE),
        ] {
            let (turns, decoder, now) = after(answers);
            assert!(turns.is_ours(Manner::Bare, &decoder, true, now + wait), "{answers:?}");
            if wait > Duration::ZERO {
                assert!(!turns.is_ours(Manner::Bare, &decoder, true, now + wait - MOMENT), "{answers:?}");
                assert!(!turns.is_for_farewell(Manner::Bare, &decoder, now + wait - MOMENT), "{answers:?}");
            }
            assert!(turns.is_for_farewell(Manner::Bare, &decoder, now + wait.max(MESSAGE_PAUSE)));
            // A relay answers nothing.
            assert!(turns.is_ours(Manner::Relay, &decoder, true, now + MESSAGE_PAUSE));
        }
    }

    #[test]
    fn a_message_that_has_begun_is_waited_for_however_late_it_came() {
        let (mut turns, mut decoder, now) = after(&[true, false]);
        let late = now + 3 * ANSWER_WAIT_MAX / 4;
        turns.on_received(late);
        decoder.decode(b"yes", &mut |_| {});
        assert!(!turns.is_ours(Manner::Bare, &decoder, true, late));
        assert_eq!(turns.flush_deadline(&decoder, true), Some(late + MESSAGE_SILENCE));
        // It is never silent.
        assert!(turns.is_ours(Manner::Bare, &decoder, true, late + WELCOME_WAIT));
        decoder.flush_partial(&mut |_| {});
        assert!(turns.is_ours(Manner::Bare, &decoder, true, late));
    }

    #[test]
    fn the_first_line_waits_for_a_greeting() {
        let now = Instant::now();
        let (turns, decoder) = (Turns::new(None, now), Decoder::default());
        assert!(!turns.is_ours(Manner::Unknown, &decoder, false, now));
        assert_eq!(turns.deadline(Manner::Unknown, now), Some(now + GREETING_WAIT));
        assert!(turns.is_ours(Manner::Unknown, &decoder, false, now + GREETING_WAIT));
        assert_eq!(turns.manner(&decoder, now + WELCOME_WAIT), Manner::Lines);
    }
}
