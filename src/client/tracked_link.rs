//! The client's side of the tracked dialect on a connection: the requests for tracking and acknowledgements, and the
//! lines that may go. Both forms of the client share it.

use std::time::Instant;

use super::decoder::ServerKind;
use super::limits::KIND_WAIT;
use super::progress::Progress;
use super::session::Session;
use super::tracking::{Tracking, Which};

/// The line that ends a session for good. An end of input alone would keep the seat.
pub(crate) const GOODBYE: &str = "FIN\n";

/// State of the form, for a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Whether the server has let us in, and answered our first requests.
    pub(crate) is_in: bool,
    /// Whether lines of the user must wait, because the answer to a request decides where they are said.
    pub(crate) holds_lines: bool,
    /// Whether no more lines come, so that an acknowledgement is worth a request at once.
    pub(crate) is_leaving: bool,
}

/// Takes the kind of the server, as far as it is known. `is_greeted`: it has told our name. Returns whether it may be
/// tracked.
pub(crate) fn learn_server(tracking: &mut Tracking, session: &Session, is_greeted: bool, now: Instant) -> bool {
    match session.server_kind() {
        _ if tracking.is_plain() => false,
        ServerKind::Pollchat if is_greeted || tracking.has_asked() => {
            tracking.on_greeted();
            true
        }
        ServerKind::Pollchat | ServerKind::Unknown(_) if now < session.begun_at + KIND_WAIT => true,
        ServerKind::Pollchat | ServerKind::Unknown(_) | ServerKind::Other => {
            tracking.give_up();
            false
        }
    }
}

/// Asks for tracking and for acknowledgements, and queues the lines that may go.
pub(crate) fn advance(tracking: &mut Tracking, session: &mut Session, turn: Turn, now: Instant) -> Progress {
    let mut progress = Progress::None;
    if turn.is_in && !turn.holds_lines {
        let request = tracking.ask(now).or_else(|| tracking.ask_for_ack(turn.is_leaving, now));
        if let Some(request) = request {
            session.queue_own(request);
            progress = Progress::Made;
        }
    }
    let which = if turn.holds_lines { Which::Requests } else { Which::All };
    while let Some(line) = tracking.next_line(which, space(session), now) {
        session.queue_tracked(line);
        progress = Progress::Made;
    }
    progress
}

/// Space for a line, in bytes. No line may be longer than the space of an empty buffer.
pub(crate) fn space(session: &Session) -> usize {
    if session.unsent_bytes() == 0 { usize::MAX } else { session.free_bytes() }
}

/// The time of the next step that no event announces.
pub(crate) fn deadline(tracking: &Tracking, session: &Session, now: Instant) -> Option<Instant> {
    let kind_at = Some(session.begun_at + KIND_WAIT).filter(|_| tracking.is_undecided());
    let times = [tracking.ack_deadline(), tracking.answer_deadline(), kind_at];
    times.into_iter().flatten().filter(|&at| at > now).min()
}

/// Gives the connection up if the answer to a `/track` is late; or the tracking, if the server has never answered one.
/// Returns whether the connection is of no use.
pub(crate) fn give_up_answer(tracking: &mut Tracking, now: Instant) -> bool {
    let is_late = tracking.answer_deadline().is_some_and(|at| at <= now);
    is_late && !tracking.give_up_unanswered()
}
