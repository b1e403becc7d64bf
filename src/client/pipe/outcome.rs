//! The end of the pipe form: whether everything on stdin was said, and if not, why, and how many lines.

use std::mem;
use std::time::Instant;

use super::{InputState, PipeClient};
use crate::client::answers::Farewell;
use crate::client::ending::{ClientError, Ending, Unsaid};
use crate::client::limits::{COUNT_TIME_MAX, GRACE, SEND_WAIT_MAX};
use crate::client::link::FarewellKind;
use crate::client::room::Refusal;
use crate::client::session::{CloseReason, LineCounts};
use crate::net::stream::Received;
use crate::relay::name::Name;

impl PipeClient {
    /// Whether nothing is left to do: the session is finished and shown, or nobody is there for whom to wait.
    pub(super) fn is_finished(&mut self) -> bool {
        let listens = matches!(self.input, InputState::Unused);
        let is_shown = self.is_shown;
        let has_shown_all = !is_shown || self.stdout.waiting_bytes() == 0;
        let is_over = self.is_over();
        let Some(session) = self.link.session() else { return !is_shown || (is_over && has_shown_all) };
        let is_plain = self.tracked.tracking.is_plain();
        let has_said_nothing = is_plain && !session.is_open() && session.line_counts() == LineCounts::default();
        let is_needless = match self.input {
            InputState::Failed(_) => has_said_nothing,
            _ => !is_shown && (listens || has_said_nothing),
        };
        is_needless || (session.is_finished() && has_shown_all)
    }

    /// Whether there is no connection, and no need of another one: only stdout may have something left to take.
    pub(super) fn is_over(&mut self) -> bool {
        // The server behind the next connection is not trusted.
        if self.ended.is_some() {
            return true;
        }
        let is_read = matches!(self.input, InputState::Ended | InputState::Failed(_)) && !self.link.has_given_back();
        let has_said_all = (is_read || self.tracked.has_left()) && !self.tracked.has_unsaid();
        if has_said_all && self.goodbye_deadline().is_some() && self.tracked.take_hurry() {
            self.link.hurry(Instant::now());
        }
        has_said_all && self.link.session().is_none() && self.goodbye_deadline().is_none_or(|at| at <= Instant::now())
    }

    /// Whether the time for an end is over: that of the server, or that of a stdout which takes nothing. `is_idle`
    /// tells whether nothing happened in the last round.
    pub(super) fn is_overdue(&mut self, is_idle: bool, now: Instant) -> bool {
        let is_stuck = is_idle && now >= self.shown_at + GRACE;
        let is_over = self.is_over();
        self.link.session().map_or(is_over && is_stuck, |session| session.is_overdue(is_idle, now))
    }

    /// Ends the session. Returns whether the run ends with it.
    pub(super) fn end_session(&mut self, now: Instant) -> bool {
        if self.link.session().is_none() {
            return true;
        }
        self.ended = self.link.end(&self.answers, &mut self.tracked, now);
        self.take_events(now);
        self.ended.is_some()
    }

    /// Returns the result of the run.
    ///
    /// # Errors
    /// Not all of stdin was said.
    pub(super) fn outcome(mut self) -> Result<Ending, ClientError> {
        self.count_rest();
        let listens = matches!(self.input, InputState::Unused);
        let unread = self.unread.lines();
        let Some((reason, counts)) = self.ended.take() else {
            // There is no connection, and nothing to say or nobody to show it to.
            let (refused, refusal) = self.answers.refused_lines();
            let counts = self.tracked.line_counts().unwrap_or_default();
            let unsaid = unread + refused + counts.unsent + counts.dropped;
            let in_doubt = self.link.in_doubt + self.answers.in_doubt(counts.sent);
            let lines = Unsaid { lines: unsaid, in_doubt };
            if self.tracked.awaits_record() && lines != Unsaid::default() {
                let (address, seconds) = (self.address.clone(), SEND_WAIT_MAX.as_secs());
                return Err(ClientError::NotBack { address, seconds }.with_unsaid(lines));
            }
            if let InputState::Failed(err) = self.input {
                return Err(ClientError::Stdin(err).with_unsaid(lines));
            }
            return match refusal {
                _ if lines == Unsaid::default() => Ok(self.shown_ending()),
                Some(text) if lines == (Unsaid { lines: refused, in_doubt: 0 }) => {
                    Err(ClientError::Notice(text.to_owned()).with_unsaid(lines))
                }
                _ => Err(self.lost_between(lines)),
            };
        };
        let is_trusted = !matches!(reason, CloseReason::Untrusted(_));
        if !self.is_shown
            && is_trusted
            && unread == 0
            && (listens || counts == LineCounts::default())
            && !self.tracked.awaits_record()
        {
            return Ok(Ending::Complete);
        }
        let is_confirmed = matches!(reason, CloseReason::Complete) && self.answers.farewell().is_none();
        match self.cause(reason, counts, listens) {
            Some(cause) => Err(cause.with_unsaid(self.unsaid(counts, is_confirmed))),
            None => self.said_result(counts),
        }
    }

    /// Returns the reason for which the conversation did not end in good order.
    fn cause(&mut self, reason: CloseReason, counts: LineCounts, listens: bool) -> Option<ClientError> {
        let no_room =
            |(name, why): (&Name, &Refusal)| ClientError::Room { room: name.to_string(), why: why.to_string() };
        if let CloseReason::Untrusted(_) = reason {
            return reason.into_result(self.address.clone()).err();
        }
        if let Some(refused) = self.answers.room.refused() {
            return Some(no_room(refused));
        }
        if let Some(text) = self.answers.refused_name() {
            return Some(ClientError::Notice(text.to_owned()));
        }
        // The server has told that it has everything.
        let is_done = self.tracked.is_done();
        if let Some(Farewell { text, kind }) = self.answers.farewell().filter(|_| !is_done) {
            // The server ended in good order, and nothing waited to be said.
            let is_awaited = listens && *kind == FarewellKind::ShuttingDown;
            let is_orderly = matches!(reason, CloseReason::Dismissed | CloseReason::Complete);
            if *kind == FarewellKind::TlsExpected {
                return Some(ClientError::TlsExpected { address: self.address.clone() });
            }
            if !is_awaited || !is_orderly {
                return Some(ClientError::Notice(text.clone()));
            }
        }
        if let InputState::Failed(err) = mem::replace(&mut self.input, InputState::Ended) {
            return Some(ClientError::Stdin(err));
        }
        let is_orderly = match reason {
            CloseReason::Complete => true,
            _ if is_done => true,
            CloseReason::Dismissed => listens,
            CloseReason::Closed => listens && !self.answers.is_in() && self.has_heard,
            // The kernel took everything, but the server is silent. Nothing was said that it could have taken.
            CloseReason::Unconfirmed | CloseReason::Lost(_) | CloseReason::Unsent(_) | CloseReason::Untrusted(_) => {
                false
            }
        };
        if !is_orderly {
            return reason.into_result(self.address.clone()).err();
        }
        if let Some(missing) = self.answers.room.missing() {
            return Some(no_room(missing));
        }
        let address = || self.address.clone();
        match self.answers.missing_name() {
            Some(name) => Some(ClientError::Unnamed { address: address(), name: name.to_owned() }),
            None if self.link.in_doubt > 0 && counts.dropped == 0 => {
                Some(ClientError::LostBetween { address: address() })
            }
            None => None,
        }
    }

    /// Returns the result of a conversation that ended in good order.
    fn said_result(self, counts: LineCounts) -> Result<Ending, ClientError> {
        let unread = self.unread.lines();
        let (refused, refusal) = self.answers.refused_lines();
        let lines = Unsaid { lines: counts.dropped + unread + refused, in_doubt: self.link.in_doubt };
        let cause = match () {
            _ if counts.dropped > 0 => ClientError::AfterGoodbye,
            _ if unread > 0 && self.is_shown => ClientError::AfterGoodbye,
            _ if unread > 0 => ClientError::StdoutClosed,
            _ => match refusal {
                Some(text) => ClientError::Notice(text.to_owned()),
                None => return Ok(self.shown_ending()),
            },
        };
        Err(cause.with_unsaid(lines))
    }

    /// The end of a run that said everything.
    fn shown_ending(&self) -> Ending {
        match self.stdout.waiting_bytes() {
            bytes @ 1.. if self.is_shown => Ending::Unshown(bytes),
            _ => Ending::Complete,
        }
    }

    /// Returns the lines that were not said in a conversation that did not end in good order.
    fn unsaid(&self, counts: LineCounts, is_confirmed: bool) -> Unsaid {
        let (refused, _) = self.answers.refused_lines();
        let unsent = counts.unsent + counts.dropped + self.unread.lines();
        let is_refused = self.answers.room.refused().is_some()
            || self.answers.refused_name().is_some()
            || self.answers.farewell().is_some_and(|farewell| farewell.kind.is_refusal() && !self.answers.is_in());
        if is_refused {
            return Unsaid { lines: unsent + counts.sent + refused, in_doubt: self.link.in_doubt };
        }
        let sent_in_doubt = if is_confirmed { 0 } else { self.answers.in_doubt(counts.sent) };
        let in_doubt = self.link.in_doubt + sent_in_doubt;
        Unsaid { lines: unsent + refused, in_doubt }
    }

    /// The lines that were not said when stdout failed.
    pub(super) fn unsaid_at_failure(&mut self) -> Unsaid {
        self.count_rest();
        let of_session = self.link.session().map(|session| session.line_counts());
        let counts = self.tracked.line_counts().or(of_session).unwrap_or_default();
        self.unsaid(counts, false)
    }

    fn lost_between(&self, lines: Unsaid) -> ClientError {
        ClientError::LostBetween { address: self.address.clone() }.with_unsaid(lines)
    }

    /// Counts the lines of stdin that no session was given, as far as they are there.
    fn count_rest(&mut self) {
        self.unread.add(&self.link.take_back());
        let until = Instant::now() + COUNT_TIME_MAX;
        while matches!(self.input, InputState::Open) && Instant::now() < until {
            match self.stdin.read(&mut self.scratch[..]) {
                Received::Bytes(len) => self.unread.add(&self.scratch[..len]),
                Received::NotYet | Received::Failed(_) => break,
                Received::End => self.input = InputState::Ended,
            }
        }
    }
}
