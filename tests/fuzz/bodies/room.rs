//! Lines and commands in a room, from a handful who come, talk and go: what it says is of one of the forms that there
//! are, and the roster is what was said of it.
//!
//! Input: who gets a line, up to how many presence is announced, the history, the limit of a line (a byte each), the
//! greeting (`|` for a new line); then, in lines, who speaks and how much later (a byte), and what.

use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;

use pollchat::relay::command::{Command, is_blank};
use pollchat::relay::directory::RoomId;
use pollchat::relay::event::{Applied, Event};
use pollchat::relay::name::{NAME_CHARS_MAX, Name, NameError, fold};
use pollchat::relay::notice::Notice;
use pollchat::relay::room::{Audience, Decision, Room};
use pollchat::relay::roster::{ClientNumber, MemberId, Roster};
use pollchat::relay::sanitize::{is_terminal_unsafe, sanitize};
use pollchat::relay::tape::Tape;
use pollchat::server::config::Config;

/// How many can be present.
const MEMBERS_MAX: u8 = 6;
/// How many names that were given up are kept in mind.
const FORMER_NAMES_MAX: usize = 8;

/// Reads `data` as said above, and panics if something does not hold.
pub(crate) fn run(data: &[u8]) {
    let [audience, announce_up_to, history_lines, line_bytes_max, rest @ ..] = data else { return };
    let mut lines = rest.split(|&byte| byte == b'\n');
    let config = Config {
        audience: [Audience::Others, Audience::Everyone, Audience::Sender][usize::from(audience % 3)],
        announce_up_to: usize::from(announce_up_to % (MEMBERS_MAX + 1)),
        history_lines: u64::from(*history_lines),
        line_bytes_max: usize::from(*line_bytes_max).max(1),
        greeting: String::from_utf8_lossy(lines.next().unwrap_or_default()).replace('|', "\n"),
        ..Config::default()
    };
    let mut party = Party::new(config);
    for step in lines {
        if let [who, raw @ ..] = step {
            party.step(*who, raw);
        }
    }
    party.room.apply(&mut party.roster, Event::ShuttingDown);
    assert_eq!(party.added(), "* the server is shutting down\n");
}

/// A room, and what is known of it by what it said.
struct Party {
    room: Room,
    roster: Roster,
    config: Config,
    /// Who is here, in the order of coming.
    members: Vec<Member>,
    /// What some were called who have left, or have another name now.
    former_names: VecDeque<String>,
    last_number: Option<ClientNumber>,
    /// How much of the tape was looked at.
    seen_bytes: u64,
    now: u32,
}

struct Member {
    key: usize,
    id: MemberId,
    name: String,
    given_name: String,
    /// Whether the room was told that it joined, once that is decided.
    is_introduced: Option<bool>,
    lines: u64,
    came: u32,
}

impl Party {
    fn new(mut config: Config) -> Party {
        config.backlog_bytes = config.longest_line_bytes();
        let tape = Tape::new(config.backlog_bytes).unwrap();
        let room = Room::new(RoomId::LOBBY, Rc::new(config.room_options()), tape);
        let (members, former_names) = (Vec::new(), VecDeque::new());
        Party {
            room,
            roster: Roster::default(),
            config,
            members,
            former_names,
            last_number: None,
            seen_bytes: 0,
            now: 0,
        }
    }

    /// One who was absent comes; it says `raw`; if that is nothing, its connection ends.
    fn step(&mut self, who: u8, raw: &[u8]) {
        let key = usize::from(who % MEMBERS_MAX);
        self.now += u32::from(who / MEMBERS_MAX);
        let at = self.members.iter().position(|member| member.key == key).unwrap_or_else(|| self.join(key));
        let mut buffer = String::new();
        let line = sanitize(&raw[..raw.len().min(self.config.line_bytes_max)], &mut buffer);
        self.hear(at, line);
        if line.is_empty() {
            self.leave(at);
        }
        self.check_roster();
        self.check_former_names();
    }

    fn join(&mut self, key: usize) -> usize {
        let id = self.roster.add_client(key, RoomId::LOBBY, self.now);
        let (number, name) = (self.roster.number(id), self.roster.shown(id).to_string());
        assert_eq!(name, format!("client-{number}"));
        assert!(self.last_number.is_none_or(|last| last < number), "numbers are not reused");
        self.last_number = Some(number);
        let welcome = self.room.welcome(&self.roster, id);
        let (given_name, entered) = (name.clone(), self.now);
        let member = Member { key, id, name: name.clone(), given_name, is_introduced: None, lines: 0, came: entered };
        self.members.push(member);
        assert_eq!(self.added(), "", "a newcomer is announced later");

        let notices = notices(&welcome.private);
        let greeting = self.config.greeting.lines().count();
        assert_eq!(notices[0], format!("you are {name}; /help lists what you can do"));
        let shown = match notices[1 + greeting..] {
            [] => 0,
            [history] => history.split_once(" earlier line").unwrap().0.parse().unwrap(),
            _ => panic!("not of a welcome: {notices:?}"),
        };
        assert!(shown <= self.config.history_lines);
        let (tape, place) = (self.room.tape(), welcome.cursor.offset());
        if place >= tape.tail() {
            let history = text(tape.slices(place, tape.end().offset));
            assert_eq!(history.lines().filter(|line| !line.starts_with('*')).count() as u64, shown);
            assert!(shown == 0 || !history.starts_with('*'), "history begins with a line");
        }
        self.members.len() - 1
    }

    fn leave(&mut self, at: usize) {
        let member = &self.members[at];
        self.room.apply(&mut self.roster, Event::Left { member: member.id });
        let announced = self.room.has_announcement();
        self.room.apply(&mut self.roster, Event::Announced);
        assert_eq!(announced, member.is_introduced == Some(true), "left is told where joined was");
        assert!(!self.room.has_announcement());
        let told = if announced { format!("* {} left\n", member.name) } else { String::new() };
        assert_eq!(self.added(), told);
        let member = self.members.remove(at);
        self.note_former(member.name);
    }

    fn hear(&mut self, at: usize, line: &str) {
        match self.room.decide(&self.roster, self.members[at].id, line, self.now) {
            Decision::Apply(event @ Event::Said { .. }) => {
                assert!(is_spoken(line), "{line:?} was said");
                self.check_said(at, line, event);
            }
            Decision::Apply(event @ Event::Renamed { .. }) => self.check_renamed(at, event),
            Decision::Apply(event) => panic!("{line:?} is {event:?}"),
            Decision::Nothing => assert_eq!(line, ""),
            Decision::Join { room } => {
                let called = line.split_once([' ', '\t']).expect("a room is named").1;
                assert_eq!(fold(called.trim_matches([' ', '\t'])), fold(room.as_str()));
                assert_ne!(room.folded(), Name::LOBBY, "nobody goes to the room that they are in");
            }
            Decision::Leave => self.leave(at),
            Decision::Track { .. } => assert!(line.to_ascii_lowercase().starts_with("/track"), "{line:?} tracks"),
            Decision::Reply(text) | Decision::Costly { reply: text, .. } | Decision::Claim { taken: text, .. } => {
                self.check_reply(at, line, &text);
            }
            Decision::TellElsewhere { .. } => panic!("{line:?} is for another server, and there is none"),
            Decision::TakeOver { .. } => panic!("{line:?} takes a name, and none has an owner"),
            Decision::Tell { to, message, told, untold } => {
                let name = &self.members[at].name;
                let target = &self.members.iter().find(|member| member.key == to).expect("one who is here").name;
                let text = message.strip_prefix(&format!("* {name} tells you: ")).expect("who tells it");
                assert_eq!(notices(&message).len(), 1);
                assert!(line.trim_end_matches([' ', '\t']).ends_with(text.trim_end_matches('\n')));
                let called = line.split([' ', '\t']).filter(|word| !word.is_empty()).nth(1).unwrap();
                assert_eq!(fold(called), fold(target));
                assert_eq!(told, format!("* you told {target}: {text}"));
                assert_eq!(untold, format!("* {target} is not reading: not told\n"));
            }
            Decision::Obey(_) => panic!("{line:?} did what only the operator can"),
        }
    }

    fn check_said(&mut self, at: usize, line: &str, event: Event<'_>) {
        let introduction = self.introduction(at);
        let applied = self.room.apply(&mut self.roster, event);
        let added = self.added();
        self.check_bytes(&applied, &added);
        let said = added.strip_prefix(&introduction).expect("a member is introduced with its first line");
        let own_bytes = applied.own.map_or(0, |span| span.bytes());
        match self.config.audience {
            Audience::Others => {
                assert_eq!(own_bytes, added.len() as u64);
                self.members[at].check_said(line, said);
            }
            Audience::Everyone => {
                assert_eq!(own_bytes, introduction.len() as u64);
                self.members[at].check_said(line, said);
            }
            Audience::Sender => {
                assert_eq!(said, "");
                self.members[at].check_said(line, &applied.reply.expect("an echo"));
            }
        }
    }

    fn check_renamed(&mut self, at: usize, event: Event<'_>) {
        let is_first = self.members[at].is_introduced.is_none();
        let introduces = !self.introduction(at).is_empty();
        let applied = self.room.apply(&mut self.roster, event);
        let added = self.added();
        self.check_bytes(&applied, &added);
        let notice = if is_first { applied.reply.expect("a private notice") } else { added.clone() };
        let former = self.members[at].check_renamed(&notice);
        if is_first {
            let name = &self.members[at].name;
            assert_eq!(added, if introduces { format!("* {name} joined\n") } else { String::new() });
        }
        self.note_former(former);
    }

    /// The introduction that the next words of a member bring; decided once.
    fn introduction(&mut self, at: usize) -> String {
        let is_told = self.members.len() <= self.config.announce_up_to;
        let member = &mut self.members[at];
        if member.is_introduced.is_some() {
            return String::new();
        }
        member.is_introduced = Some(is_told);
        if is_told { format!("* {} joined\n", member.name) } else { String::new() }
    }

    fn check_bytes(&self, applied: &Applied, added: &str) {
        assert_eq!(applied.bytes, added.len() as u64);
        if let Some(own) = applied.own {
            assert!(own.bytes() <= applied.bytes, "its own words are among them");
        }
    }

    fn check_reply(&self, at: usize, line: &str, text: &str) {
        let notices = notices(text);
        if text == Notice::IndentedCommand.to_line() {
            assert!(is_indented(line));
            return;
        }
        assert!(line.starts_with('/') && !line.starts_with("//"));
        if let Some(name) = notices[0].strip_prefix("the name ").and_then(|rest| rest.strip_suffix(" is taken")) {
            let holder = match Name::parse(name) {
                Err(NameError::Reserved) => return,
                name => name.unwrap(),
            };
            let is_held = |(i, other): (usize, &Member)| i != at && *fold(&other.name) == *holder.folded();
            assert!(self.members.iter().enumerate().any(is_held), "{name:?} is free");
        }
    }

    /// Whether `/who` and `/msg` know those who are here by what they are called, and no two are called the same.
    fn check_roster(&mut self) {
        assert_eq!(self.roster.len(), self.members.len());
        let Some(asker) = self.members.first() else { return };
        let mut rows: String = self.members.iter().map(|member| member.row(self.now)).collect();
        rows += &format!("* {} here\n", self.members.len());
        match self.room.decide(&self.roster, asker.id, "/who", self.now) {
            Decision::Reply(who) => assert_eq!(who, rows),
            other => panic!("/who does this: {other:?}"),
        }
        for (i, member) in self.members.iter().enumerate() {
            member.check_name();
            assert_eq!(self.roster.shown(member.id).to_string(), member.name);
            let (lower, upper) = (member.name.to_lowercase(), member.name.to_uppercase());
            for other in &self.members[..i] {
                let is_same = lower == other.name.to_lowercase() || upper == other.name.to_uppercase();
                assert!(!is_same, "two are called {} and {}", member.name, other.name);
            }
            for called in [&member.name, &lower, &upper] {
                match self.room.decide(&self.roster, asker.id, &format!("/msg {called} x"), self.now) {
                    Decision::Tell { to, .. } => assert_eq!(to, member.key),
                    other => panic!("to tell {} as {called} does this: {other:?}", member.name),
                }
            }
        }
    }

    /// Whether nobody is found by a name that was given up, unless another one took it.
    fn check_former_names(&mut self) {
        let Some(asker) = self.members.first() else { return };
        for name in &self.former_names {
            let holder = self.members.iter().find(|member| fold(&member.name) == fold(name));
            match (self.room.decide(&self.roster, asker.id, &format!("/msg {name} x"), self.now), holder) {
                (Decision::Tell { to, .. }, Some(holder)) => assert_eq!(to, holder.key),
                (Decision::Reply(reply), None) => assert_eq!(reply, format!("* nobody here is called {name}\n")),
                (other, _) => panic!("to tell {name}, as one was called, does this: {other:?}"),
            }
        }
    }

    fn note_former(&mut self, name: String) {
        self.former_names.push_back(name);
        if self.former_names.len() > FORMER_NAMES_MAX {
            self.former_names.pop_front();
        }
    }

    /// The lines that were put on the tape since the last call: two at most.
    fn added(&mut self) -> String {
        let end = self.room.tape().end().offset;
        let added = text(self.room.tape().slices(self.seen_bytes, end));
        self.seen_bytes = end;
        assert!(added.is_empty() || added.ends_with('\n'), "whole lines: {added:?}");
        assert!(
            added.lines().count() <= 2 && !added.replace('\n', "").chars().any(is_terminal_unsafe),
            "clean: {added:?}"
        );
        added
    }
}

impl Member {
    fn check_said(&mut self, line: &str, said: &str) {
        let text = if is_say_command(line) { &line["/say ".len()..] } else { line.strip_prefix('/').unwrap_or(line) };
        let text = act(line).map_or_else(|| text.to_owned(), |act| format!("*{act}*"));
        assert_eq!(said, format!("{}> {text}\n", self.name));
        self.lines += 1;
    }

    /// Takes the new name out of word of it, and returns the old one.
    fn check_renamed(&mut self, notice: &str) -> String {
        let name = notice.strip_prefix(&format!("* {} is now ", self.name)).and_then(|rest| rest.strip_suffix('\n'));
        mem::replace(&mut self.name, name.expect("word of a new name").to_owned())
    }

    fn check_name(&self) {
        let is_of_form = (1..=NAME_CHARS_MAX).contains(&self.name.chars().count())
            && self.name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
        let lower = self.name.to_lowercase();
        let is_reserved = lower == "server" || lower.starts_with("client-");
        assert!(self.name == self.given_name || (is_of_form && !is_reserved), "{:?} is no name", self.name);
    }

    fn row(&self, now: u32) -> String {
        let plural = if self.lines == 1 { "" } else { "s" };
        format!("* here: {}, {} line{plural}, {} min\n", self.name, self.lines, (now - self.came) / 60)
    }
}

/// Whether a line is to be said: it is not empty, nor a command other than `/say`.
fn is_spoken(line: &str) -> bool {
    if is_say_command(line) {
        return line.len() > "/say ".len();
    }
    if let Some(act) = act(line) {
        return !act.is_empty();
    }
    let is_command = line.starts_with('/') && !line.starts_with("//");
    !line.is_empty()
        && !is_command
        && !is_indented(line)
        && !["fin", "exit"].contains(&line.to_ascii_lowercase().as_str())
}

/// Whether a line is `/say`, with or without text.
fn is_say_command(line: &str) -> bool {
    let is_blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let (verb, text) = line.as_bytes().split_at(line.len().min("/say".len()));
    verb.eq_ignore_ascii_case(b"/say") && text.first().is_none_or(is_blank)
}

/// What follows `/me`, without the blanks around it; `None` if a line is no `/me`.
fn act(line: &str) -> Option<&str> {
    let (verb, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    verb.eq_ignore_ascii_case("/me").then(|| rest.trim_matches(is_blank))
}

/// The texts of the notices that one is told in private.
fn notices(private: &str) -> Vec<&str> {
    let lines = private.strip_suffix('\n').expect("whole lines").split('\n');
    let notices: Vec<&str> = lines.map(|line| line.strip_prefix("* ").expect("notices")).collect();
    assert!(!notices.iter().any(|notice| notice.chars().any(is_terminal_unsafe)), "clean: {notices:?}");
    notices
}

fn text(slices: [&[u8]; 2]) -> String {
    String::from_utf8(slices.concat()).expect("whole characters")
}

/// Whether something that leaves no ink precedes a command.
fn is_indented(line: &str) -> bool {
    let Some((blanks, command)) = line.split_once('/') else { return false };
    let word = command.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    // Letters without ink of their own.
    let is_inkless = |c: char| {
        "\u{115f}\u{1160}\u{17b4}\u{17b5}\u{3164}\u{ffa0}".contains(c) || ('\u{300}'..='\u{36f}').contains(&c)
    };
    let is_seen = |c: char| c.is_ascii_graphic() || (c.is_alphanumeric() && !is_inkless(c));
    !blanks.is_empty() && !blanks.contains(is_seen) && !word.is_empty() && Command::parse(line) == Command::Indented
}
