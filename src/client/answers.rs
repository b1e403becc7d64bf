//! The server's answers about us and our lines, across all connections. Pure.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::client::decoder::{ServerKind, ServerLine};
use crate::client::door::Door;
use crate::client::limits::{KIND_WAIT, NICK_PAUSE_FIRST, NICK_PAUSE_MAX};
use crate::client::link::FarewellKind;
use crate::client::room::OwnRoom;
use crate::client::secrets::Secrets;
use crate::client::session::Session;
use crate::client::tracking::{Entered, How};
use crate::net::backoff::Backoff;
use crate::relay::name::{Name, fold};
use crate::relay::notice::{FOREIGN_PREFIX, Notice};

/// The command that asks for tracking, which is the client's own.
const TRACK: &str = "/track";

/// Follows the notices: whether the server let us in, in which room, by which name, and the lines that it did not take.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) room: OwnRoom,
    pub(super) secrets: Secrets,
    pub(super) door: Door,
    wanted: Option<String>,
    /// Our present name.
    own: String,
    name: NameState,
    /// Time of the last request for the name.
    asked_at: Option<Instant>,
    backoff: Backoff,
    /// Whether the name was ours, in this connection or an earlier one.
    was_ours: bool,
    /// Whether this connection is in the room.
    is_in: bool,
    /// Whether any connection was.
    was_in: bool,
    farewell: Option<Farewell>,
    /// The number of lines that were refused in all connections, and the first notice about it.
    refused: u64,
    /// Refusals of this connection since the server told how many lines it has taken.
    refused_since: u64,
    first_refusal: Option<String>,
}

/// Our `--nick` in this connection.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NameState {
    /// None is wanted, or the server knows no names.
    Unneeded,
    /// The request was sent.
    Asked,
    /// Another member has it. The next request is due then.
    AskAt(Instant),
    /// It is ours.
    Ours,
    /// The server refuses it for good, with this notice.
    Refused(String),
}

/// The server's last notice before its FIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Farewell {
    /// Its text.
    pub(super) text: String,
    /// Its kind.
    pub(super) kind: FarewellKind,
}

impl Answers {
    /// Nothing was answered yet.
    pub(super) fn new(room: Option<&Name>, nick: Option<&Name>) -> Answers {
        Answers {
            room: OwnRoom::new(room),
            secrets: Secrets::default(),
            door: Door::default(),
            wanted: nick.map(Name::to_string),
            own: String::new(),
            name: NameState::Unneeded,
            asked_at: None,
            backoff: Backoff::new(NICK_PAUSE_FIRST, NICK_PAUSE_MAX),
            was_ours: false,
            is_in: false,
            was_in: false,
            farewell: None,
            refused: 0,
            refused_since: 0,
            first_refusal: None,
        }
    }

    /// Adds the secrets of the user.
    pub(super) fn with_secrets(self, secrets: Secrets) -> Answers {
        Answers { secrets, ..self }
    }

    /// Begins a connection, or begins anew behind the password. Returns the requests for the room, which goes first, and
    /// for the name.
    pub(super) fn on_connected(&mut self, now: Instant) -> impl Iterator<Item = String> + use<> {
        self.on_tracked_connected();
        [self.room.on_connected(now), self.ask(now)].into_iter().flatten()
    }

    /// Goes on with a connection that began with `/track`, to a server that does not track. Returns the requests.
    pub(super) fn on_untracked(&mut self, now: Instant) -> impl Iterator<Item = String> + use<> {
        [self.room.on_connected(now), self.ask(now)].into_iter().flatten()
    }

    /// Begins a connection that may go on with a session, and asks for nothing before it knows.
    pub(super) fn on_tracked_connected(&mut self) {
        self.is_in = false;
        self.asked_at = None;
        self.farewell = None;
        self.refused_since = 0;
        self.backoff.reset();
    }

    /// Takes the place that a tracked connection begins with. Returns the requests for another room and name.
    pub(super) fn on_entered(&mut self, entered: &Entered, now: Instant) -> impl Iterator<Item = String> + use<> {
        let is_resumed = entered.how == How::Resumed;
        if entered.how == How::Moved {
            return [None, None].into_iter().flatten();
        }
        (self.is_in, self.was_in) = (true, true);
        // A session may go on in a new seat, which has a name of the server.
        let is_renamed = self.own != entered.name && Name::parse(&entered.name).is_ok();
        let is_seat_kept = is_resumed && (self.own == entered.name || is_renamed);
        if !is_seat_kept && Name::parse(&self.own).is_ok() {
            // The last name that was ours, perhaps by a line of stdin.
            self.wanted = Some(self.own.clone());
        }
        self.on_called(&entered.name);
        let room = self.room.on_entered(&entered.room, is_resumed, now);
        // A request on the last connection may be lost with it.
        let is_lost = !self.is_wanted(&entered.name) && (!is_seat_kept || self.awaits_name());
        let name = if is_lost { self.ask(now) } else { None };
        [room, name].into_iter().flatten()
    }

    /// Records that the server has told how many lines it has taken.
    pub(super) fn on_taken(&mut self) {
        self.refused_since = 0;
    }

    /// Takes the end of a session that another connection goes on with.
    pub(super) fn on_elsewhere(&mut self) {
        self.on_farewell(&Notice::Elsewhere.to_string(), FarewellKind::Removed);
    }

    /// Counts a line that is too long for every server.
    pub(super) fn on_too_long(&mut self, bytes: usize) {
        self.on_refused(&Notice::TooLong { bytes });
    }

    /// Returns the request for the name, if one is due again.
    pub(super) fn ask_again(&mut self, now: Instant) -> Option<String> {
        match self.name {
            NameState::AskAt(at) if at <= now => self.ask(now),
            _ => None,
        }
    }

    fn ask(&mut self, now: Instant) -> Option<String> {
        let name = self.wanted.as_ref()?;
        self.asked_at = Some(now);
        self.name = NameState::Asked;
        Some(self.secrets.nick_line(name))
    }

    /// The time of the next request.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if let NameState::AskAt(at) = self.name { Some(at) } else { None }
    }

    /// The time of the request that was not answered yet.
    pub(super) fn asked_at(&self) -> Option<Instant> {
        self.asked_at.filter(|_| self.name == NameState::Asked)
    }

    /// Whether the answer has not come within `wait`.
    pub(super) fn is_late(&self, wait: Duration, now: Instant) -> bool {
        self.asked_at().is_some_and(|at| now >= at + wait)
    }

    /// Takes a line of the server.
    pub(super) fn on_line(&mut self, line: &str, now: Instant, jitter: u64) {
        if let Some(notice) = Notice::in_line(line) {
            if !matches!(notice, Notice::UnknownCommand { word: TRACK }) {
                self.on_notice(notice, now, jitter);
            }
        } else if !self.is_in
            && let Some(at) = line.find(FOREIGN_PREFIX)
        {
            // In protocols with errors of their own, the notice has another prefix.
            self.on_farewell(&line[at..], FarewellKind::Refused);
        }
    }

    /// Takes a notice of the server.
    pub(super) fn on_notice(&mut self, notice: Notice<'_>, now: Instant, jitter: u64) {
        if self.is_in && self.room.on_notice(&notice) {
            return;
        }
        match notice {
            Notice::Welcome { name } if !self.is_in => {
                self.is_in = true;
                self.was_in = true;
                self.on_called(name);
            }
            Notice::Renamed { from, to } if from == self.own => self.on_called(to),
            // While we were away, a client with our token has taken our name. Only the room was told.
            Notice::Renamed { from, to }
                if to == self.own
                    && self.name == NameState::Asked
                    && self.is_wanted(from)
                    && self.secrets.has_token_of(from) =>
            {
                self.name = NameState::Refused(Notice::NameTakenOver { name: to }.to_string());
            }
            Notice::NameUnchanged { name } => self.on_called(name),
            Notice::NameTaken { name } if self.name == NameState::Asked && self.is_wanted(name) => {
                self.name = if self.was_ours {
                    NameState::AskAt(now + self.backoff.next_delay(jitter))
                } else {
                    NameState::Refused(notice.to_string())
                };
            }
            Notice::NameMalformed | Notice::NameFixed if self.name == NameState::Asked => {
                self.name = NameState::Refused(notice.to_string());
            }
            Notice::NameOwned { name }
            | Notice::NameLookalike { name, .. }
            | Notice::TokenWrong { name }
            | Notice::TokenUnknown { name }
                if self.name == NameState::Asked && self.is_wanted(name) =>
            {
                self.on_unnamed(&notice, now);
            }
            Notice::NameTakenOver { name } | Notice::NameLost { name, .. } => {
                // The room may have read of it before.
                let was_wanted = self.is_wanted(&self.own) || (self.own == name && self.name == NameState::Ours);
                name.clone_into(&mut self.own);
                if was_wanted {
                    self.on_unnamed(&notice, now);
                }
            }
            _ if refuses_line(&notice) => self.on_refused(&notice),
            _ => {
                if let Some(kind) = FarewellKind::of(&notice) {
                    self.on_farewell(&notice.to_string(), kind);
                }
            }
        }
    }

    /// Takes a notice for which the wanted name is not ours. A name with an owner does not become free.
    fn on_unnamed(&mut self, notice: &Notice<'_>, now: Instant) {
        self.name = match self.is_in && self.secrets.on_unnamed(notice) {
            true => NameState::AskAt(now),
            false => NameState::Refused(self.secrets.words_for(notice)),
        };
    }

    fn on_called(&mut self, name: &str) {
        name.clone_into(&mut self.own);
        if self.is_wanted(name) {
            self.name = NameState::Ours;
            self.was_ours = true;
        }
    }

    /// A foreign server may say anything behind `* `, so a line counts as refused only in the room.
    fn on_refused(&mut self, notice: &Notice<'_>) {
        if self.is_in {
            self.refused += 1;
            self.refused_since += 1;
            self.first_refusal.get_or_insert_with(|| notice.to_string());
        }
    }

    /// Ends the run with `text`: the server does not let us in.
    pub(super) fn turn_away(&mut self, text: &str) {
        self.on_farewell(text, FarewellKind::Refused);
    }

    fn on_farewell(&mut self, text: &str, kind: FarewellKind) {
        self.farewell = Some(Farewell { text: text.to_owned(), kind });
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| fold(wanted) == fold(name))
    }

    /// Whether lines must not be said, because the answer about the room or the name is awaited.
    pub(super) fn holds_lines(&self) -> bool {
        self.room.holds_lines() || self.awaits_name()
    }

    /// The time until which lines wait for a server that may ask for the password. One that asks does not take them.
    pub(super) fn door_deadline(&self, session: &Session) -> Option<Instant> {
        let is_unknown = matches!(session.server_kind(), ServerKind::Unknown(_)) && self.door == Door::Unseen;
        (is_unknown && self.secrets.has_password()).then_some(session.begun_at + KIND_WAIT)
    }

    /// Whether lines must not be said, because they may be lost at the door.
    pub(super) fn is_at_door(&self, session: &Session, now: Instant) -> bool {
        self.door.is_locked() || self.door_deadline(session).is_some_and(|at| now < at)
    }

    /// Takes a line of the server before all else. Returns whether it is about the password alone.
    pub(super) fn on_door_line(&mut self, line: ServerLine<'_>) -> bool {
        let is_taken = self.door.takes(line);
        if is_taken {
            self.secrets.on_door();
        }
        is_taken
    }

    /// Whether the name is asked for, and not ours.
    pub(super) fn awaits_name(&self) -> bool {
        matches!(self.name, NameState::Asked | NameState::AskAt(_) | NameState::Refused(_))
    }

    /// Gives the name up: the server knows none.
    pub(super) fn forget_name(&mut self) {
        self.name = NameState::Unneeded;
    }

    /// The wanted name, if the server has not given it.
    pub(super) fn missing_name(&self) -> Option<&str> {
        self.wanted.as_deref().filter(|_| self.awaits_name())
    }

    /// The notice that refuses the name for good.
    pub(super) fn refused_name(&self) -> Option<&str> {
        if let NameState::Refused(text) = &self.name { Some(text) } else { None }
    }

    /// The last notice about the end of the connection.
    pub(super) fn farewell(&self) -> Option<&Farewell> {
        self.farewell.as_ref()
    }

    /// Whether this connection is in the room.
    pub(super) fn is_in(&self) -> bool {
        self.is_in
    }

    /// Whether any connection was in the room.
    pub(super) fn was_in(&self) -> bool {
        self.was_in
    }

    /// The number of `sent` lines that the server may have taken or not: each refusal is about one of them.
    pub(super) fn in_doubt(&self, sent: u64) -> u64 {
        sent.saturating_sub(self.refused_since)
    }

    /// The number of lines that were refused in all connections, and the first notice about it.
    pub(super) fn refused_lines(&self) -> (u64, Option<&str>) {
        (self.refused, self.first_refusal.as_deref())
    }
}

/// Whether a notice tells that the server did not take a line of ours, or did nothing with it.
fn refuses_line(notice: &Notice<'_>) -> bool {
    matches!(
        notice,
        Notice::NameTaken { .. }
            | Notice::NameMalformed
            | Notice::NameFixed
            | Notice::NickUsage
            | Notice::NameOwned { .. }
            | Notice::NameLookalike { .. }
            | Notice::TokenWrong { .. }
            | Notice::TokenUnknown { .. }
            | Notice::PasswordUnasked
            | Notice::NotReading { .. }
            | Notice::Away { .. }
            | Notice::NobodyCalled { .. }
            | Notice::TellUsage
            | Notice::SayUsage
            | Notice::ActUsage
            | Notice::WhoUsage
            | Notice::HistoryUsage
            | Notice::SearchUsage
            | Notice::UnknownCommand { .. }
            | Notice::IndentedCommand
            | Notice::TooLong { .. }
            | Notice::RoomMalformed
            | Notice::RoomLookalike { .. }
            | Notice::RoomsFull { .. }
            | Notice::JoinUsage
    )
}
