//! The server's lines across all connections: the gaps between connections, the answers about our room and nick, and
//! the server's last notice.

use std::time::Instant;

use super::chat_view::{ChatView, ServerEvent};
use super::line_kind::LineKind;
use super::line_limit::LineLimit;
use super::nick::{Nick, TakenReport};
use crate::client::backoff::jitter;
use crate::client::decoder::{ServerKind, ServerLine};
use crate::client::link::{FarewellKind, should_reconnect};
use crate::client::outbox::entered::{Entered, Intent};
use crate::client::room::OwnRoom;
use crate::client::session::CloseReason;
use crate::relay::name::Name;

/// Passes each line of the server to the [`ChatView`] and acts on what it tells.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) room: OwnRoom,
    pub(super) nick: Nick,
    pub(super) limit: LineLimit,
    continuity: Continuity,
    /// The last notice about the end of the present connection.
    farewell: Option<FarewellKind>,
}

/// The relation of the next line to the lines before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Continuity {
    /// No server has let us in yet.
    NeverConnected,
    /// The connection was lost then. The next line comes after a gap.
    GapSince(Instant),
    /// Nothing is missing.
    Unbroken,
}

impl Inbox {
    /// An inbox before the first connection.
    pub(super) fn new(room: Option<&Name>, nick: Option<&Name>) -> Inbox {
        Inbox {
            room: OwnRoom::new(room),
            nick: Nick::new(nick),
            limit: LineLimit::default(),
            continuity: Continuity::NeverConnected,
            farewell: None,
        }
    }

    /// Begins a connection. Returns the nick to ask for.
    pub(super) fn on_connected(&mut self, chat: &mut ChatView) -> Option<&str> {
        chat.on_connected();
        self.farewell = None;
        self.limit.on_connected();
        self.nick.on_connected()
    }

    /// Shows a line of the server. The first one after a gap comes behind a note about the gap.
    pub(super) fn on_line(&mut self, line: ServerLine<'_>, chat: &mut ChatView, now: Instant) {
        if !is_refusal(line) {
            self.close_gap(chat, now);
        }
        if let LineKind::Notice(notice) = LineKind::parse(line.text)
            && !line.is_continued
            && chat.own_name().is_some()
        {
            self.room.on_notice(&notice);
        }
        match chat.show(line) {
            None => {}
            Some(ServerEvent::Called(name)) => self.nick.on_called(&name),
            Some(ServerEvent::Taken(name)) => match self.nick.on_taken(&name, now, jitter()) {
                TakenReport::Silent => {}
                TakenReport::Taken => chat.show_taken(&name),
                TakenReport::WillRetry => {
                    chat.show_taken(&name);
                    chat.show_note("asking for it again until it is free");
                }
            },
            Some(ServerEvent::TooLong(limit)) => self.limit.on_refused(limit),
            Some(ServerEvent::Farewell(kind)) => self.farewell = Some(kind),
        }
    }

    /// Shows a line that is sent now, as `wire`, to a server of this kind.
    pub(super) fn on_own_line(
        &mut self,
        line: &Entered,
        wire: &str,
        kind: ServerKind,
        chat: &mut ChatView,
        now: Instant,
    ) {
        self.close_gap(chat, now);
        if kind == ServerKind::Pollchat {
            self.limit.on_sent(wire);
        }
        let is_text = line.intent == Intent::Text && kind != ServerKind::Pollchat;
        chat.show_own(wire, is_text);
        if !is_text {
            self.nick.on_typed(wire);
        }
        if line.intent == Intent::Line && wire.len() > line.text.len() {
            chat.show_note("said to the room; /quit leaves");
        }
    }

    /// Whether a server has ever let us in.
    pub(super) fn was_connected(&self) -> bool {
        self.continuity != Continuity::NeverConnected
    }

    /// Whether a client that wants to stay reconnects after a session ended for `reason`.
    pub(super) fn should_reconnect(&self, reason: &CloseReason) -> bool {
        should_reconnect(reason, self.farewell, self.was_connected())
    }

    /// Begins a gap. Returns whether it is a new one.
    pub(super) fn on_lost(&mut self, now: Instant) -> bool {
        let is_new = !matches!(self.continuity, Continuity::GapSince(_));
        if is_new {
            self.continuity = Continuity::GapSince(now);
        }
        is_new
    }

    fn close_gap(&mut self, chat: &mut ChatView, now: Instant) {
        if let Continuity::GapSince(from) = self.continuity {
            let seconds = now.saturating_duration_since(from).as_secs_f64().ceil();
            chat.show_note(&format!("connected again; what was said in these {seconds} s is missing here"));
        }
        self.continuity = Continuity::Unbroken;
    }
}

/// Whether `line` refuses this connection, so that it does not end a gap.
fn is_refusal(line: ServerLine<'_>) -> bool {
    match LineKind::parse(line.text) {
        LineKind::Notice(notice) => FarewellKind::of(&notice).is_some_and(FarewellKind::is_refusal),
        LineKind::Fin => true,
        _ => false,
    }
}
