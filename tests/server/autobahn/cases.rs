//! What a case is: what is sent, in which pieces, and what must come of it.

use crate::support::ws::Frame;

/// One case of the suite.
pub(crate) struct Case {
    /// As in the suite: `6.22.34`.
    pub id: String,
    pub steps: Vec<Step>,
    /// What may come: the first is what the suite calls OK, others are NON-STRICT.
    pub accepted: Vec<Vec<Heard>>,
    pub end: End,
    /// Why something else is asked than what the suite asks.
    pub instead: Option<&'static str>,
}

/// What is done, one after another.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// These bytes, in pieces of so many; 0: all at once.
    Send(Vec<u8>, usize),
    /// Waits until this has come.
    Await(Heard),
    /// Waits until the server has had time for all of it: if nothing has come then, that is [`Heard::Nothing`], and it
    /// goes on; else no more is sent.
    Pause,
}

/// What is heard of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The echo of this text.
    Echo(String),
    Pong(Vec<u8>),
    /// Nothing, where something might have been.
    Nothing,
}

/// How the connection ends; always in good order, and by the server's hand.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// When all has come we close with 1000, and that is answered with the same.
    Ours,
    /// A close was sent already; it is answered with this code.
    Answered(Option<u16>),
    /// The server closes, with one of these codes.
    Fails(&'static [u16]),
}

/// The code for what the protocol does not allow.
pub(crate) const PROTOCOL_ERROR: End = End::Fails(&[1002]);

/// The code for text that is not UTF-8.
pub(crate) const INVALID_TEXT: End = End::Fails(&[1007]);

/// A case that sends this and hears nothing but the end.
pub(crate) fn case(id: impl Into<String>, steps: Vec<Step>, end: End) -> Case {
    Case { id: id.into(), steps, accepted: vec![Vec::new()], end, instead: None }
}

impl Case {
    pub(crate) fn hears(self, heard: impl IntoIterator<Item = Heard>) -> Case {
        Case { accepted: vec![heard.into_iter().collect()], ..self }
    }

    /// It may hear this instead, but then it is not strict.
    pub(crate) fn or(mut self, heard: impl IntoIterator<Item = Heard>) -> Case {
        self.accepted.push(heard.into_iter().collect());
        self
    }

    pub(crate) fn instead(self, reason: &'static str) -> Case {
        Case { instead: Some(reason), ..self }
    }
}

/// Frames in one piece: as the suite writes them when nothing else is said.
pub(crate) fn together(frames: impl IntoIterator<Item = Frame>) -> Vec<Step> {
    vec![Step::Send(frames.into_iter().flat_map(|frame| frame.encode()).collect(), 0)]
}

/// Each frame in a piece of its own (`sync = True`).
pub(crate) fn one_by_one(frames: impl IntoIterator<Item = Frame>) -> Vec<Step> {
    frames.into_iter().map(|frame| Step::Send(frame.encode(), 0)).collect()
}

/// In pieces of so many bytes (`chopsize`).
pub(crate) fn chopped(size: usize, frames: impl IntoIterator<Item = Frame>) -> Vec<Step> {
    vec![Step::Send(frames.into_iter().flat_map(|frame| frame.encode()).collect(), size)]
}

pub(crate) fn echo(text: impl Into<String>) -> Heard {
    Heard::Echo(text.into())
}

pub(crate) fn pong(payload: impl Into<Vec<u8>>) -> Heard {
    Heard::Pong(payload.into())
}
