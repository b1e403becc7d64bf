//! A case: its bytes, the pieces in which they are sent, and the events that must follow.

use crate::support::ws::Frame;

/// One case of the suite.
pub(crate) struct Case {
    /// As in the suite: `6.22.34`.
    pub id: String,
    pub steps: Vec<Step>,
    /// The events that must come before the end, in this order.
    pub heard: Vec<Heard>,
    pub end: End,
    /// The reason to ask something else than the suite does.
    pub instead: Option<&'static str>,
}

/// A step of a case.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// These bytes, in pieces of so many; 0: all at once.
    Send(Vec<u8>, usize),
    /// Waits until this has come.
    Await(Heard),
}

/// An event that the server causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The echo of this text.
    Echo(String),
    Pong(Vec<u8>),
}

/// The end of the connection: always in good order, and by the server.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// The test closes with 1000 when everything has come, and the server answers with the same.
    Ours,
    /// A close was sent already; it is answered with this code.
    Answered(Option<u16>),
    /// The server closes, with one of these codes.
    Fails(&'static [u16]),
}

/// The code for what the protocol does not allow.
pub(crate) const PROTOCOL_ERROR: End = End::Fails(&[1002]);

/// A case that sends this and hears nothing but the end.
pub(crate) fn case(id: impl Into<String>, steps: Vec<Step>, end: End) -> Case {
    Case { id: id.into(), steps, heard: Vec::new(), end, instead: None }
}

impl Case {
    pub(crate) fn hears(self, heard: impl IntoIterator<Item = Heard>) -> Case {
        Case { heard: heard.into_iter().collect(), ..self }
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
