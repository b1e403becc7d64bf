//! The server's answers about us and our lines, across all connections. Pure.

use std::time::{Duration, Instant};

use crate::client::backoff::Backoff;
use crate::client::limits::{NICK_PAUSE_FIRST, NICK_PAUSE_MAX};
use crate::client::link::FarewellKind;
use crate::client::room::OwnRoom;
use crate::client::tracking::{Entered, How};
use crate::relay::command::nick_line;
use crate::relay::name::{Name, fold};
use crate::relay::notice::{FOREIGN_PREFIX, Notice};

/// The command that asks for tracking, which is the client's own.
const TRACK: &str = "/track";

/// Follows the notices: whether the server let us in, in which room, by which name, and the lines that it did not take.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) room: OwnRoom,
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

    /// Begins a connection. Returns the requests for the room, which goes first, and for the name.
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
        Some(nick_line(name))
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
            _ if refuses_line(&notice) => self.on_refused(&notice),
            _ => {
                if let Some(kind) = FarewellKind::of(&notice) {
                    self.on_farewell(&notice.to_string(), kind);
                }
            }
        }
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
            | Notice::NotReading { .. }
            | Notice::Away { .. }
            | Notice::NobodyCalled { .. }
            | Notice::TellUsage
            | Notice::SayUsage
            | Notice::HistoryUsage
            | Notice::SearchUsage
            | Notice::KickSelf
            | Notice::KickUsage
            | Notice::UnknownCommand { .. }
            | Notice::IndentedCommand
            | Notice::TooLong { .. }
            | Notice::RoomMalformed
            | Notice::RoomLookalike { .. }
            | Notice::RoomsFull { .. }
            | Notice::JoinUsage
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(nick: Option<&str>, lines: &[&str]) -> Answers {
        let name = nick.map(|nick| Name::parse(nick).unwrap());
        let mut answers = Answers::new(None, name.as_ref());
        let _ = answers.on_connected(Instant::now());
        for line in lines {
            answers.on_line(line, Instant::now(), 0);
        }
        answers
    }

    const WELCOME: &str = "* you are client-7; /help lists what you can do";

    #[test]
    fn a_name_is_ours_once_the_server_says_so_of_us() {
        assert_eq!(answers(Some("ana"), &[WELCOME]).missing_name(), Some("ana"));
        let of_another = answers(Some("ana"), &[WELCOME, "* client-9 is now ana"]);
        assert_eq!(of_another.missing_name(), Some("ana"));
        assert_eq!(answers(Some("ana"), &[WELCOME, "* client-7 is now ana"]).missing_name(), None);
        assert_eq!(answers(Some("Ana"), &[WELCOME, "* client-7 is now ana"]).missing_name(), None);
        assert_eq!(answers(None, &[WELCOME]).missing_name(), None);
    }

    #[test]
    fn a_name_that_was_never_ours_is_refused_for_good_and_one_that_was_is_asked_for_again() {
        let taken = "* the name ana is taken";
        let mut never = answers(Some("ana"), &[WELCOME, taken]);
        assert_eq!(never.refused_name(), Some("the name ana is taken"));
        assert_eq!((never.deadline(), never.refused_lines()), (None, (0, None)));
        assert_eq!(never.ask_again(Instant::now()), None);
        let mut was = answers(Some("ana"), &[WELCOME, "* client-7 is now ana"]);
        assert!(was.on_connected(Instant::now()).eq(["/nick ana\n"]));
        assert!(was.awaits_name());
        for line in ["* you are client-8; /help lists what you can do", taken] {
            was.on_line(line, Instant::now(), 0);
        }
        assert_eq!((was.refused_name(), was.awaits_name()), (None, true));
        let at = was.deadline().unwrap();
        assert_eq!(was.ask_again(at).as_deref(), Some("/nick ana\n"));
        was.on_line("* client-8 is now ana", at, 0);
        assert!(!was.awaits_name());
    }

    #[test]
    fn lines_that_the_server_did_not_take_are_counted_in_the_room_alone() {
        let refusals = [
            "* nobody here is called bob",
            "* bob is not reading: not told",
            "* /msg NAME TEXT tells TEXT to NAME alone",
            "* there is no command /x; /help lists what you can do",
            "* line too long (over 4096 bytes): not relayed",
            "* the name ana is taken",
            "* a name is 1 to 24 letters, digits, _ or -",
            "* /nick NAME: a name is 1 to 24 letters, digits, _ or -",
        ];
        for refusal in refusals {
            assert_eq!(answers(None, &[WELCOME, refusal]).refused_lines(), (1, refusal.strip_prefix("* ")));
            assert_eq!(answers(None, &["hello", refusal]).refused_lines(), (0, None));
        }
        for other in ["* ana joined", "* you told ana: x", "ana> * nobody here is called bob", "* welcome", "FIN"] {
            assert_eq!(answers(None, &[WELCOME, other]).refused_lines(), (0, None));
        }
    }

    #[test]
    fn the_room_comes_before_the_name_and_its_refusal_is_no_refused_line() {
        let [rust, ana] = ["rust", "ana"].map(|name| Name::parse(name).unwrap());
        let full = "* there are 100 rooms already";
        let mut answers = Answers::new(Some(&rust), Some(&ana));
        assert!(answers.on_connected(Instant::now()).eq(["/join rust\n", "/nick ana\n"]));
        for (line, holds_lines) in [
            ("* you are in rust, alone", true),
            (WELCOME, true),
            ("* you are in rust, alone", true),
            ("* client-7 is now ana", false),
            (full, false),
        ] {
            answers.on_line(line, Instant::now(), 0);
            assert_eq!(answers.holds_lines(), holds_lines, "{line}");
        }
        assert_eq!(answers.refused_lines().0, 1, "a line of stdin was refused");
        let mut answers = Answers::new(Some(&rust), None);
        let _ = answers.on_connected(Instant::now());
        for line in [WELCOME, full] {
            answers.on_line(line, Instant::now(), 0);
        }
        assert_eq!((answers.holds_lines(), answers.refused_lines().0), (true, 0));
    }

    #[test]
    fn a_line_with_an_answer_is_not_in_doubt() {
        let now = Instant::now();
        let mut answers = Answers::new(None, None);
        let hear = |answers: &mut Answers, line: &str| answers.on_line(line, now, 0);
        let nobody = "* nobody here is called bob";
        let _ = answers.on_connected(now);
        hear(&mut answers, WELCOME);
        hear(&mut answers, nobody);
        assert_eq!((answers.in_doubt(3), answers.refused_lines().0), (2, 1));
        answers.on_taken();
        hear(&mut answers, nobody);
        assert_eq!((answers.in_doubt(0), answers.in_doubt(2), answers.refused_lines().0), (0, 1, 2));
        // The next connection has lines of its own.
        let _ = answers.on_connected(now);
        assert_eq!((answers.in_doubt(2), answers.refused_lines().0), (2, 2));
    }

    #[test]
    fn a_resumed_session_is_asked_for_nothing_and_a_new_seat_for_name_and_room() {
        let [rust, ana] = ["rust", "ana"].map(|name| Name::parse(name).unwrap());
        let mut answers = Answers::new(Some(&rust), Some(&ana));
        let now = Instant::now();
        let enter = |answers: &mut Answers, name: &str, room: &str, how| {
            answers.on_tracked_connected();
            let entered = Entered { name: name.to_owned(), room: room.to_owned(), how };
            answers.on_entered(&entered, now).collect::<String>()
        };
        assert_eq!(enter(&mut answers, "client-7", "lobby", How::First), "/join rust\n/nick ana\n");
        assert!(answers.holds_lines());
        for line in ["you are in rust, alone", "client-7 is now ana"] {
            answers.on_notice(Notice::parse(line), now, 0);
        }
        assert!(!answers.holds_lines());
        assert_eq!(enter(&mut answers, "ana", "rust", How::Resumed), "");
        answers.on_notice(Notice::parse("ana is now bob"), now, 0);
        assert_eq!(enter(&mut answers, "bob", "tea", How::Resumed), "");
        assert_eq!(enter(&mut answers, "client-8", "tea", How::Resumed), "/nick bob\n");
        assert!(answers.holds_lines() && !answers.is_late(Duration::ZERO, now - Duration::from_secs(1)));
        assert_eq!(enter(&mut answers, "client-9", "tea", How::Resumed), "/nick bob\n", "the request may be lost");
        answers.on_tracked_connected();
        assert!(answers.holds_lines() && !answers.is_late(Duration::ZERO, now), "no answer comes before the place");
        assert_eq!(enter(&mut answers, "bob", "tea", How::Resumed), "");
        assert!(!answers.holds_lines());
        assert_eq!(enter(&mut answers, "client-9", "lobby", How::Anew(false)), "/join tea\n/nick bob\n");
        assert_eq!(enter(&mut answers, "client-10", "tea", How::ReadOn), "/nick bob\n");
        assert!(answers.holds_lines(), "nothing is said under another name");
    }

    #[test]
    fn the_reason_of_an_end_is_kept() {
        use FarewellKind::{Full, Refused, Removed, ShuttingDown};
        for (line, kind) in [
            ("* the server is shutting down", ShuttingDown),
            ("* the server is full (3 clients)", Full),
            ("* too many connections from your address (at most 3)", Full),
            ("* connections from your address are not allowed here", Refused),
            ("* this is a chat relay and speaks no HTTP: goodbye", Refused),
            ("* you have said nothing for 5 seconds: goodbye", Removed),
            ("* you read too slowly: goodbye", Removed),
            ("* you were removed by the operator", Removed),
        ] {
            let answers = answers(None, &[line, "FIN"]);
            assert_eq!(
                answers.farewell().map(|farewell| (farewell.kind, format!("* {}", farewell.text))),
                Some((kind, line.to_owned()))
            );
        }
        let with_prefix = answers(None, &["ERROR :this is a chat relay and speaks no IRC: goodbye"]);
        assert_eq!(with_prefix.farewell().unwrap().text, "this is a chat relay and speaks no IRC: goodbye");
        assert_eq!(answers(None, &[WELCOME, "ana> this is a chat relay and speaks no IRC: goodbye"]).farewell(), None);
    }
}
