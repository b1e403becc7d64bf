//! The room of the client across all connections: the lines that ask for it, and the server's answers. Pure.
//!
//! A connection begins with `/join`, so the client is never seen in the lobby. The next connection begins in the room
//! in which the last one was, or to which its last unanswered `/join` led: what is said next was typed for that room.

use std::fmt;
use std::time::{Duration, Instant};

use super::decoder::ServerKind;
use super::limits::{GRACE, OVERTIME, WELCOME_WAIT};
use crate::relay::command::{Command, join_line};
use crate::relay::name::{Name, NameError, fold};
use crate::relay::notice::Notice;

/// Reads the name of a room on the command line.
///
/// # Errors
/// It is no name, in the server's words.
pub fn parse_room(text: &str) -> Result<Name, String> {
    Name::parse(text).map_err(|error| match error {
        NameError::Form => Notice::RoomMalformed.to_string(),
        NameError::Reserved => Notice::NameTaken { name: &text.escape_debug().to_string() }.to_string(),
    })
}

/// The room that the client is in or wants to be in.
#[derive(Debug, Default)]
pub(super) struct OwnRoom {
    /// The room of the next connection; `None`: the lobby, in which every connection begins.
    wanted: Option<Name>,
    state: State,
    /// The end of the time for a client that still reads when the answer is late.
    overtime: Option<Instant>,
    /// Our room as shown, once the server has named it on this connection.
    present: Option<Box<str>>,
    /// The last room that a line of the user asked for, and the number of those lines, while one is unanswered.
    typed: Option<Name>,
    unanswered: u64,
    /// Answers to lines of the user that are not known to be sent.
    early_answers: u64,
}

/// The client's own `/join` in this connection.
#[derive(Debug, Default)]
enum State {
    /// None was needed, or it has led into the room.
    #[default]
    Settled,
    /// It was sent then.
    Asked(Instant),
    /// It leads nowhere.
    Refused(Refusal),
}

/// Reason for which a room cannot be entered. Its `Display` continues a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The server said this notice.
    Notice(String),
    /// The server has the lobby alone, or is no pollchat server.
    NoRooms,
    /// The server has answered nothing.
    NoAnswer,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Notice(text) => text,
            Refusal::NoRooms => "the server has no rooms",
            Refusal::NoAnswer => "the server did not answer",
        })
    }
}

impl OwnRoom {
    /// Begins with the room of the command line.
    pub(super) fn new(wanted: Option<&Name>) -> OwnRoom {
        OwnRoom { wanted: wanted.cloned(), ..OwnRoom::default() }
    }

    /// Begins a connection. Returns its first line, if it begins in another room than the lobby.
    pub(super) fn on_connected(&mut self, now: Instant) -> Option<String> {
        if let Some(name) = self.typed.take() {
            self.want(name);
        }
        (self.present, self.unanswered, self.early_answers, self.overtime) = (None, 0, 0, None);
        self.state = if self.wanted.is_some() { State::Asked(now) } else { State::Settled };
        self.wanted.as_ref().map(|name| join_line(name.as_str()))
    }

    /// Ends the wait for the answer to the client's own `/join`: the server does nothing with it, because it asks for a
    /// password. [`OwnRoom::on_connected`] asks again.
    pub(super) fn on_locked(&mut self) {
        self.state = State::Settled;
    }

    /// Begins a tracked connection in `room`. Returns the line that asks for another one, if the seat is a new one.
    pub(super) fn on_entered(&mut self, room: &str, is_seat_kept: bool, now: Instant) -> Option<String> {
        let typed = self.typed.take().filter(|_| !is_seat_kept);
        (self.unanswered, self.early_answers, self.overtime) = (0, 0, None);
        self.present = Some(room.into());
        if let Some(name) = typed {
            self.want(name);
        }
        // A request on the last connection may be lost with it.
        if (!is_seat_kept || self.is_awaited()) && self.wanted.is_some() && !self.is_wanted(room) {
            self.state = State::Asked(now);
            return self.wanted.as_ref().map(|name| join_line(name.as_str()));
        }
        if let Ok(name) = Name::parse(room) {
            self.want(name);
        }
        self.state = State::Settled;
        None
    }

    /// Watches the lines of the user that were sent, cleaned as the server cleans them.
    pub(super) fn on_sent(&mut self, line: &str) {
        // The server refuses another name in the words that it has for other commands, too.
        if let Command::Join { name, .. } = Command::parse(line)
            && let Ok(name) = Name::parse(name)
        {
            if self.early_answers > 0 {
                self.early_answers -= 1;
                return;
            }
            self.typed = Some(name);
            self.unanswered += 1;
        }
    }

    /// Takes the kind of the server, as far as it is known: to a foreign one, `/join` is text.
    pub(super) fn on_server(&mut self, kind: ServerKind) {
        if kind == ServerKind::Other {
            self.typed = None;
        }
    }

    /// Takes a notice of a pollchat server. Returns whether it answers the client's own `/join`.
    pub(super) fn on_notice(&mut self, notice: &Notice<'_>) -> bool {
        match notice {
            Notice::InRoom { room, .. } | Notice::InRoomAlready { room } => self.on_room(room),
            Notice::UnknownCommand { word } if word.eq_ignore_ascii_case("/join") => {
                self.unanswered = 0;
                self.refuse(Refusal::NoRooms)
            }
            Notice::RoomsFull { .. } | Notice::RoomLookalike { .. } => self.refuse(Refusal::Notice(notice.to_string())),
            Notice::NameTaken { name } if self.is_wanted(name) => self.refuse(Refusal::Notice(notice.to_string())),
            _ => false,
        }
    }

    fn on_room(&mut self, room: &str) -> bool {
        self.present = Some(room.into());
        if self.is_awaited() {
            let is_wanted = self.is_wanted(room);
            if is_wanted {
                self.state = State::Settled;
            }
            return is_wanted;
        }
        self.answer();
        if let Ok(name) = Name::parse(room) {
            self.want(name);
        }
        false
    }

    /// Every connection begins in the lobby.
    fn want(&mut self, name: Name) {
        self.wanted = Some(name).filter(|name| name.folded() != Name::LOBBY);
    }

    fn is_wanted(&self, room: &str) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.folded() == &*fold(room))
    }

    /// Records a refusal. The server answers in order, and the client's own `/join` is the first.
    fn refuse(&mut self, refusal: Refusal) -> bool {
        let is_own = self.is_awaited();
        if is_own {
            self.state = State::Refused(refusal);
        } else {
            self.answer();
        }
        is_own
    }

    fn answer(&mut self) {
        if self.unanswered == 0 {
            self.early_answers += 1;
        }
        self.unanswered = self.unanswered.saturating_sub(1);
        if self.unanswered == 0 {
            self.typed = None;
        }
    }

    /// Whether the answer to the client's own `/join` is awaited.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.state, State::Asked(_))
    }

    /// Whether lines must not be said, because they are for another room than the present one.
    pub(super) fn holds_lines(&self) -> bool {
        !matches!(self.state, State::Settled)
    }

    /// The time at which the answer of a server of this kind is late. A server that is no pollchat server has none.
    pub(super) fn deadline(&self, kind: ServerKind) -> Option<Instant> {
        let State::Asked(at) = self.state else { return None };
        let wait: Duration = if kind == ServerKind::Other { WELCOME_WAIT } else { GRACE };
        Some(at + wait)
    }

    /// Gives the room up if the answer is late. `is_idle` tells whether nothing happened in the last round: a client
    /// that was stopped (Ctrl-Z) for longer has an unread answer.
    pub(super) fn give_up_if_late(&mut self, kind: ServerKind, is_idle: bool, now: Instant) {
        let is_late = self.deadline(kind).is_some_and(|at| at <= now);
        if is_late && (is_idle || now >= *self.overtime.get_or_insert(now + OVERTIME)) {
            let refusal = if kind == ServerKind::Other { Refusal::NoRooms } else { Refusal::NoAnswer };
            self.state = State::Refused(refusal);
        }
    }

    /// The room that cannot be entered on this connection, and the reason.
    pub(super) fn refused(&self) -> Option<(&Name, &Refusal)> {
        match (&self.state, &self.wanted) {
            (State::Refused(refusal), Some(name)) => Some((name, refusal)),
            _ => None,
        }
    }

    /// The room that is awaited on this connection, or that cannot be entered, and the reason.
    pub(super) fn missing(&self) -> Option<(&Name, &Refusal)> {
        let is_awaited = self.is_awaited();
        self.refused().or_else(|| self.wanted.as_ref().filter(|_| is_awaited).map(|name| (name, &Refusal::NoAnswer)))
    }

    /// Takes the refusal, and stays in the lobby from now on.
    pub(super) fn take_refused(&mut self) -> Option<(Name, Refusal)> {
        self.refused()?;
        match (std::mem::take(&mut self.state), self.wanted.take()) {
            (State::Refused(refusal), Some(name)) => Some((name, refusal)),
            _ => None,
        }
    }

    /// Our room as shown, once the server has named it.
    pub(super) fn present(&self) -> Option<&str> {
        self.present.as_deref()
    }

    /// Our room as shown, unless it is the lobby.
    pub(super) fn shown(&self) -> Option<&str> {
        self.present.as_deref().filter(|room| &*fold(room) != Name::LOBBY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> OwnRoom {
        OwnRoom::new(Some(&Name::parse(name).unwrap()))
    }

    fn hear(room: &mut OwnRoom, text: &str) -> bool {
        room.on_notice(&Notice::parse(text))
    }

    /// The first line of the next connection.
    fn first_line(room: &mut OwnRoom) -> Option<String> {
        room.on_connected(Instant::now())
    }

    #[test]
    fn the_room_is_asked_for_first_and_lines_wait_for_it() {
        let mut own = room("Straße");
        assert_eq!(first_line(&mut own).as_deref(), Some("/join Straße\n"));
        for text in ["you are client-7; /help lists what you can do", "you are in rust, alone", "ana joined"] {
            assert!(!hear(&mut own, text) && own.is_awaited(), "{text}");
        }
        assert!(hear(&mut own, "you are in STRASSE, with 2 others"));
        assert_eq!((own.holds_lines(), own.shown()), (false, Some("STRASSE")));
        let mut own = room("rust");
        first_line(&mut own);
        assert!(hear(&mut own, "you are in rust already") && !own.holds_lines());
        assert_eq!(first_line(&mut OwnRoom::new(None)), None);
    }

    #[test]
    fn a_refusal_of_the_own_line_is_final_and_names_the_reason() {
        for (notice, reason) in [
            ("there are 100 rooms already", "there are 100 rooms already"),
            ("rust looks like lobby", "rust looks like lobby"),
            ("the name rust is taken", "the name rust is taken"),
            ("there is no command /join; /help lists what you can do", "the server has no rooms"),
        ] {
            let mut own = room("rust");
            first_line(&mut own);
            assert!(!hear(&mut own, "the name ana is taken"), "it answers another line");
            assert!(hear(&mut own, notice) && own.holds_lines(), "{notice}");
            let told = own.refused().map(|(name, why)| (name.to_string(), why.to_string()));
            assert_eq!(told, Some(("rust".to_owned(), reason.to_owned())));
            assert!(own.take_refused().is_some());
            assert_eq!((own.holds_lines(), first_line(&mut own)), (false, None), "it stays in the lobby");
        }
    }

    #[test]
    fn a_server_without_an_answer_is_given_up() {
        for (kind, wait, reason) in [
            (ServerKind::Other, WELCOME_WAIT, Refusal::NoRooms),
            (ServerKind::Unknown(0), GRACE, Refusal::NoAnswer),
            (ServerKind::Pollchat, GRACE, Refusal::NoAnswer),
        ] {
            let (mut own, now) = (room("rust"), Instant::now());
            own.on_connected(now);
            let late = now + wait;
            own.give_up_if_late(kind, true, late - Duration::from_millis(1));
            // It may have been stopped for hours.
            own.give_up_if_late(kind, false, late + GRACE);
            own.give_up_if_late(kind, false, late + GRACE + OVERTIME - Duration::from_millis(1));
            assert!(own.is_awaited());
            own.give_up_if_late(kind, false, late + GRACE + OVERTIME);
            assert!(own.refused().is_some());
            own.on_connected(now);
            own.give_up_if_late(kind, true, late);
            assert_eq!(own.refused().map(|(_, why)| why.clone()), Some(reason));
        }
    }

    #[test]
    fn the_next_connection_begins_where_the_last_one_was() {
        let mut own = OwnRoom::new(None);
        assert_eq!(first_line(&mut own), None);
        own.on_sent("/join rust");
        hear(&mut own, "you are in rust, alone");
        assert_eq!(own.shown(), Some("rust"));
        assert_eq!(first_line(&mut own).as_deref(), Some("/join rust\n"));
        assert_eq!(own.shown(), None, "the server has not said so yet");
        hear(&mut own, "you are in rust, alone");
        own.on_sent("/join lobby");
        hear(&mut own, "you are in lobby, with 2 others");
        assert_eq!(own.shown(), None);
        assert_eq!(first_line(&mut own), None);
    }

    #[test]
    fn an_unanswered_join_counts_and_a_refused_one_does_not() {
        let mut own = OwnRoom::new(None);
        first_line(&mut own);
        own.on_sent("/join rust");
        own.on_sent("/join tea");
        assert!(!hear(&mut own, "you are in rust, alone"));
        assert_eq!(first_line(&mut own).as_deref(), Some("/join tea\n"));
        hear(&mut own, "you are in tea, alone");
        for (line, answer) in [
            ("/join full", "there are 100 rooms already"),
            ("/join 1obby", "1obby looks like lobby"),
            ("/join a b", "the name of a room is 1 to 24 letters, digits, _ or -"),
            ("/join", "/join NAME: the name of a room is 1 to 24 letters, digits, _ or -"),
            ("/join tea", "you are in tea already"),
            ("/say /join rust", "ana joined"),
        ] {
            own.on_sent(line);
            assert!(!hear(&mut own, answer), "{line}");
        }
        assert_eq!(first_line(&mut own).as_deref(), Some("/join tea\n"));
    }

    #[test]
    fn a_tracked_connection_asks_for_the_room_only_from_a_new_seat() {
        let (mut own, now) = (room("rust"), Instant::now());
        assert_eq!(own.on_entered("lobby", false, now).as_deref(), Some("/join rust\n"));
        assert!(own.holds_lines() && hear(&mut own, "you are in rust, alone") && !own.holds_lines());
        assert_eq!(own.on_entered("Rust", false, now), None);
        own.on_sent("/join tea");
        assert_eq!(own.on_entered("rust", false, now).as_deref(), Some("/join tea\n"));
        assert_eq!(own.on_entered("lobby", true, now).as_deref(), Some("/join tea\n"), "it may be lost");
        hear(&mut own, "you are in tea, alone");
        assert_eq!(own.on_entered("lobby", true, now), None);
        assert!(!own.holds_lines() && own.shown().is_none());
        assert_eq!(own.on_entered("rust", false, now), None, "the server knows");
        // The answer comes before the server says that it took the line.
        assert!(!hear(&mut own, "there are 100 rooms already"));
        own.on_sent("/join full");
        assert_eq!(own.on_entered("lobby", false, now).as_deref(), Some("/join rust\n"));
    }

    #[test]
    fn to_a_foreign_server_a_join_is_text() {
        let mut own = OwnRoom::new(None);
        first_line(&mut own);
        own.on_sent("/join rust");
        own.on_server(ServerKind::Other);
        assert_eq!(first_line(&mut own), None);
    }

    #[test]
    fn a_bad_name_is_told_in_the_words_of_rooms() {
        assert_eq!(parse_room("a b").unwrap_err(), "the name of a room is 1 to 24 letters, digits, _ or -");
        assert_eq!(parse_room("Server").unwrap_err(), "the name Server is taken");
        assert_eq!(parse_room("Rust").unwrap().as_str(), "Rust");
    }
}
