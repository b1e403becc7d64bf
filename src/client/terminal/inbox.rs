//! The server's lines across all connections: the gaps between connections, the answers about our room and nick, and
//! the server's last notice.

use std::time::Instant;

use super::chat_view::{ChatView, ServerEvent};
use super::line_kind::LineKind;
use super::line_limit::LineLimit;
use super::nick::{Nick, TakenReport};
use crate::client::decoder::{ServerKind, ServerLine};
use crate::client::door::Door;
use crate::client::link::{FarewellKind, should_reconnect};
use crate::client::outbox::entered::{Entered, Intent};
use crate::client::room::OwnRoom;
use crate::client::secrets::Secrets;
use crate::client::session::CloseReason;
use crate::client::tracking::{Entered as Place, How, Record};
use crate::net::backoff::jitter;
use crate::relay::name::Name;
use crate::relay::notice::Notice;

/// Passes each line of the server to the [`ChatView`] and acts on what it tells.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) room: OwnRoom,
    pub(super) nick: Nick,
    pub(super) secrets: Secrets,
    pub(super) door: Door,
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
    pub(super) fn new(room: Option<&Name>, nick: Option<&Name>, secrets: Secrets) -> Inbox {
        Inbox {
            room: OwnRoom::new(room),
            nick: Nick::new(nick),
            secrets,
            door: Door::default(),
            limit: LineLimit::default(),
            continuity: Continuity::NeverConnected,
            farewell: None,
        }
    }

    /// Begins a connection, or begins anew behind the password. Returns the request for the nick.
    pub(super) fn on_connected(&mut self, chat: &mut ChatView) -> Option<String> {
        chat.on_connected();
        self.on_tracked_connected();
        self.request_nick()
    }

    /// Returns the request for the nick.
    pub(super) fn request_nick(&mut self) -> Option<String> {
        self.nick.on_connected().map(|name| self.secrets.nick_line(name))
    }

    /// Returns the request for the nick, if one is due again.
    pub(super) fn request_nick_again(&mut self, now: Instant) -> Option<String> {
        self.nick.ask_again(now).map(|name| self.secrets.nick_line(name))
    }

    /// Takes a line of the server before all else. Returns whether it is about the password alone.
    pub(super) fn on_door_line(&mut self, line: ServerLine<'_>) -> bool {
        let is_taken = self.door.takes(line);
        if is_taken {
            self.secrets.on_door();
        }
        is_taken
    }

    /// Ends the wait for answers to requests: the server does nothing with them, because it asks for a password.
    pub(super) fn on_locked(&mut self) {
        self.room.on_locked();
        self.nick.on_locked();
    }

    /// Watches the typed lines that are sent.
    pub(super) fn on_typed(&mut self, wire: &str) {
        self.nick.on_typed(wire);
        self.secrets.on_typed(wire);
    }

    /// Begins a connection that may go on with a session, and asks for nothing before it knows.
    pub(super) fn on_tracked_connected(&mut self) {
        self.farewell = None;
        self.limit.on_connected();
    }

    /// Takes the place with which a tracked connection begins, and shows it if it is news. Returns the requests for
    /// another room and name. `is_first`: the connection began without the session, so they were made.
    pub(super) fn on_entered(
        &mut self,
        place: &Place,
        is_first: bool,
        chat: &mut ChatView,
        now: Instant,
    ) -> Vec<String> {
        let Place { name, room, how } = place;
        let was_called = chat.own_name().map(str::to_owned);
        chat.enter(name, room);
        if let Continuity::GapSince(_) = self.continuity {
            chat.show_note("connected again");
            if matches!(how, How::Resumed | How::ReadOn) {
                chat.on_return();
            }
        }
        self.continuity = Continuity::Unbroken;
        if let How::Anew(_) = how {
            chat.show_private(Notice::NotResumed);
        }
        let is_renamed = was_called.as_deref() != Some(name);
        let help = if *how == How::First { "; /help lists what you can do" } else { "" };
        if *how == How::First || is_renamed {
            chat.show_private(Notice::Other(&format!("{}{help}", Notice::YouAre { name, room })));
        }
        let is_resumed = *how == How::Resumed;
        let is_seat_kept = is_first || is_resumed && (!is_renamed || Name::parse(name).is_ok());
        let room = self.room.on_entered(room, is_resumed, now).map(|line| line.trim_end().to_owned());
        let nick = self.nick.on_entered(name, is_seat_kept).map(|name| self.secrets.nick_line(name));
        let nick = nick.map(|line| line.trim_end().to_owned());
        room.into_iter().chain(nick).collect()
    }

    /// Takes a line of a server that may track us, before it does. The line is shown later, or comes once more, unless
    /// this returns `true`: it answers a request of ours, and was shown.
    pub(super) fn on_early_line(&mut self, line: ServerLine<'_>, chat: &mut ChatView, now: Instant) -> bool {
        if line.is_continued {
            return false;
        }
        if !is_refusal(line) && self.continuity == Continuity::NeverConnected {
            self.continuity = Continuity::Unbroken;
        }
        if let LineKind::Notice(notice) = LineKind::parse(line.text)
            && chat.own_name().is_some()
        {
            self.room.on_notice(&notice);
        }
        let event = chat.learn(line.text);
        let is_shown = matches!(event, Some(ServerEvent::Unnamed(_)));
        self.on_event(event, chat, now);
        is_shown
    }

    /// Shows a line that [`Inbox::on_early_line`] has taken.
    pub(super) fn show_early_line(&mut self, line: ServerLine<'_>, chat: &mut ChatView, now: Instant) {
        if !is_refusal(line) {
            self.close_gap(chat, now);
        }
        chat.show(line);
    }

    /// Shows a notice for us alone, of a server that tracks us.
    pub(super) fn on_private(&mut self, text: &str, chat: &mut ChatView, now: Instant) {
        let notice = Notice::parse(text);
        self.room.on_notice(&notice);
        let event = chat.show_private(notice);
        self.on_event(event, chat, now);
    }

    /// Shows a line of the room, of a server that tracks us.
    pub(super) fn on_record(&mut self, record: &Record, chat: &mut ChatView, now: Instant) {
        let event = chat.show_record(record, record.own.is_some());
        self.on_event(event.filter(|_| !record.is_past), chat, now);
    }

    /// Whether a record tells that a client with our token has taken our name while we were away. Only the room was told.
    /// The name is not asked for any more then.
    pub(super) fn loses_name_by(&mut self, record: &Record, own: &str) -> bool {
        let Some(Notice::Renamed { from, to }) = Notice::in_line(&record.line).filter(|_| !record.is_past) else {
            return false;
        };
        let is_taken = to == own && self.nick.is_awaited() && self.nick.wants(from) && self.secrets.has_token_of(from);
        if is_taken {
            self.nick.on_gone(false);
        }
        is_taken
    }

    /// Records that another connection goes on with our session.
    pub(super) fn on_elsewhere(&mut self) {
        self.farewell = Some(FarewellKind::Removed);
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
        let event = chat.show(line);
        self.on_event(event, chat, now);
    }

    fn on_event(&mut self, event: Option<ServerEvent>, chat: &mut ChatView, now: Instant) {
        match event {
            None => {}
            Some(ServerEvent::Called(name)) => self.nick.on_called(&name),
            Some(ServerEvent::Unnamed(text)) => self.on_unnamed(Notice::parse(&text), chat, now),
            Some(ServerEvent::NameGone(text)) => {
                let notice = Notice::parse(&text);
                let was_ours = matches!(notice, Notice::NameLost { owned, .. } if self.nick.wants(owned));
                self.nick.on_gone(was_ours && self.secrets.on_unnamed(&notice));
            }
            Some(ServerEvent::TooLong(limit)) => self.limit.on_refused(limit),
            Some(ServerEvent::Farewell(kind)) => self.farewell = Some(kind),
        }
    }

    fn on_unnamed(&mut self, notice: Notice<'_>, chat: &mut ChatView, now: Instant) {
        if let Notice::TokenWrong { name } = notice {
            self.secrets.forget_typed_token(name);
        }
        let report = match notice {
            Notice::NameOwned { name }
            | Notice::NameLookalike { name, .. }
            | Notice::TokenWrong { name }
            | Notice::TokenUnknown { name } => match self.nick.on_owned(name, || self.secrets.on_unnamed(&notice)) {
                true => TakenReport::Silent,
                false => TakenReport::Taken,
            },
            Notice::NameTaken { name } => self.nick.on_taken(name, now, jitter()),
            _ => TakenReport::Silent,
        };
        if report != TakenReport::Silent {
            chat.show_words(notice);
        }
        if report == TakenReport::WillRetry {
            chat.show_note("asking for it again until it is free");
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
            self.on_typed(wire);
        }
        if line.intent == Intent::Line && wire.len() > line.text.len() {
            chat.show_note("said to the room; /quit leaves");
        }
    }

    /// Whether a server has ever let us in.
    pub(super) fn was_connected(&self) -> bool {
        self.continuity != Continuity::NeverConnected
    }

    /// Whether the server has turned us away because we speak no TLS.
    pub(super) fn expects_tls(&self) -> bool {
        self.farewell == Some(FarewellKind::TlsExpected)
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
