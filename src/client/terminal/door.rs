//! A terminal before a server that asks for a password: gives the one that is known, or lets the user type it.

use std::time::Instant;

use super::chat_view::ChatView;
use super::tracked::greet;
use super::uplink::{Uplink, queue_own};
use crate::client::decoder::ServerKind;
use crate::client::door::Door;
use crate::client::link::LinkState;
use crate::client::outbox::entered::{Entered, Intent};
use crate::client::progress::Progress;
use crate::relay::command::Command;
use crate::relay::notice::Notice;
use crate::relay::sanitize::sanitize;

impl Uplink {
    /// Answers a server that asks for the password, or asks the user for it.
    pub(super) fn follow_door(&mut self, chat: &mut ChatView, now: Instant) -> Progress {
        let is_rejected = self.inbox.door == Door::Rejected;
        if !self.inbox.door.is_asking() {
            return Progress::None;
        }
        if is_rejected {
            self.inbox.secrets.forget_password();
        }
        if !self.give_password(chat, now) {
            chat.show_words(if is_rejected { Notice::PasswordWrong } else { Notice::PasswordWanted });
            self.inbox.door.on_told();
            self.inbox.on_locked();
            self.tracked.tracking.on_disconnected();
        }
        Progress::Made
    }

    /// Gives the password, if there is one, and begins anew: the server has dropped what was sent before.
    fn give_password(&mut self, chat: &mut ChatView, now: Instant) -> bool {
        let LinkState::Connected(session, since) = &mut self.link.state else { return false };
        let Some(line) = self.inbox.secrets.pass_line() else { return false };
        (*since, session.begun_at) = (now, now);
        self.inbox.door.on_tried();
        self.tracked.tracking.on_disconnected();
        queue_own(&line, session, &mut self.unsent);
        greet((&mut self.tracked, &mut self.inbox, &mut self.unsent), session, chat, now);
        true
    }

    /// Takes a typed password, and gives it to a server that asks for one. Returns whether the line is one: it must go
    /// nowhere else.
    pub(super) fn take_pass(&mut self, line: &Entered, chat: &mut ChatView, now: Instant) -> bool {
        let mut buffer = String::new();
        let text = sanitize(line.text.as_bytes(), &mut buffer);
        let (Intent::Line, Command::Pass(word)) = (line.intent, Command::parse(text)) else { return false };
        let kind = match &self.link.state {
            LinkState::Connected(session, _) => Some(session.server_kind()),
            LinkState::Connecting(_) | LinkState::Waiting(_) => None,
        };
        match (self.inbox.door, kind) {
            _ if word.is_empty() => chat.show_note("/pass WORD gives the password to a server that asks for one"),
            (Door::Waiting, Some(_)) => {
                chat.show_own(text, false);
                self.inbox.secrets.type_password(word);
                self.give_password(chat, now);
            }
            (Door::Locked | Door::Tried | Door::Rejected, Some(_)) => {
                chat.show_note("not sent: the server has not answered yet");
            }
            (Door::Unseen, Some(ServerKind::Unknown(_))) | (_, None) => {
                self.inbox.secrets.type_password(word);
                chat.show_note("the server gets this password if it asks for one");
            }
            _ => chat.show_note("not sent: the server asks for no password"),
        }
        true
    }
}
