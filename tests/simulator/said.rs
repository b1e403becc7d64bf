//! The meaning of what a peer sends: a reading of the protocol of its own, beside the one in `src`.

use std::time::{Duration, Instant};

use crate::foreign::{BINARY, has_control, is_cut_request, is_long_request, is_request};
use crate::lock::{Lock, PASS_LINE_BYTES_MAX};
use crate::outline::{Meaning, Outline, SocketEnd};

/// The word of the command that is never cut.
const TRACK: &[u8] = b"/track";

/// The request in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Nothing,
    Say(String),
    /// To be called so, with the token if the name belongs to it.
    Nick {
        name: String,
        token: String,
    },
    /// To be let in, by this password.
    Pass(String),
    Who,
    /// `/who page N`, from the second page on.
    Page(usize),
    /// `/who NAME`: the members whose names begin so.
    Find(String),
    /// `/who` with what is neither a name nor a page.
    WhoMalformed,
    Rooms,
    Help,
    /// To another room, by the command as typed.
    Join {
        word: String,
        name: String,
    },
    Tell {
        to: String,
        text: String,
    },
    /// To be tracked, or to go on with a session.
    Track {
        position: String,
        token: String,
    },
    /// `/say` without text.
    SayNothing,
    /// `/me` without text.
    ActNothing,
    Unknown(String),
    /// A command behind blanks.
    Indented,
    TooLong,
    Leave,
    /// Another protocol, which has this name.
    Foreign(&'static str),
}

/// The way in which a peer ends its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    Unknown,
    Silence,
    Newline,
}

/// The end of a peer's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// In good order: a fragment is a line.
    Orderly,
    /// By an error: a fragment is nothing.
    Cut,
}

/// The place of a stream in a telnet command. Its peers end each subnegotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InTelnet {
    Text,
    Command,
    Option,
    Parameters,
}

/// Hears one stream, byte by byte, as the server read it.
#[derive(Debug)]
pub(crate) struct Ear {
    /// All requests, in order; none after a farewell.
    pub(crate) asked: Vec<Asked>,
    /// The end of its input, if it has come.
    pub(crate) ended: Option<Ended>,
    line_bytes_max: usize,
    /// Whether this server tracks clients.
    may_track: bool,
    /// The silence that ends a line, if any does.
    flush_after: Option<Duration>,
    line: Vec<u8>,
    /// Whether the end of the input ended its last line.
    pub(crate) has_fragment: bool,
    is_dropping: bool,
    /// Whether the last byte was a CR that ended a line.
    is_after_return: bool,
    /// The place in a telnet command.
    telnet: InTelnet,
    /// Whether it has sent a telnet command.
    pub(crate) speaks_telnet: bool,
    /// Whether it has ended a line with CR.
    pub(crate) ends_with_return: bool,
    /// When the last byte was read.
    read_at: Option<Instant>,
    /// The way in which it has ended lines.
    habit: Habit,
    /// The word `exit` by which it left, in its case.
    pub(crate) exit: Option<Vec<u8>>,
    /// The meaning of its bytes, if it is on the page's port.
    pub(crate) outline: Option<Box<Outline>>,
    /// The password, if the server has one: what it asks for before that is in here.
    pub(crate) lock: Option<Box<Lock>>,
}

impl Ear {
    pub(crate) fn new(line_bytes_max: usize, flush_after: Option<Duration>) -> Ear {
        let (asked, line) = (Vec::new(), Vec::new());
        Ear {
            asked,
            ended: None,
            may_track: true,
            line_bytes_max,
            flush_after,
            line,
            has_fragment: false,
            is_dropping: false,
            is_after_return: false,
            telnet: InTelnet::Text,
            speaks_telnet: false,
            ends_with_return: false,
            read_at: None,
            habit: Habit::Unknown,
            exit: None,
            outline: None,
            lock: None,
        }
    }

    /// The ear for a peer on the page's port.
    pub(crate) fn at_door(line_bytes_max: usize) -> Ear {
        Ear { outline: Some(Box::default()), ..Ear::new(line_bytes_max, None) }
    }

    /// The same, on a server that tracks nobody.
    pub(crate) fn tracked_if(self, may_track: bool) -> Ear {
        Ear { may_track, ..self }
    }

    /// The same, on a server with this password, if it has one.
    pub(crate) fn locked_by(self, word: Option<&str>) -> Ear {
        Ear { lock: word.map(|word| Box::new(Lock::new(word))), ..self }
    }

    /// Whether it has not given the password.
    pub(crate) fn is_locked(&self) -> bool {
        self.lock.as_ref().is_some_and(|lock| !lock.is_open())
    }

    /// Hears a request. One of a locked peer counts only if it opens the lock, or ends all.
    fn ask(&mut self, asked: Asked) {
        match self.lock.as_mut().filter(|lock| !lock.is_open()) {
            Some(lock) => self.asked.extend(lock.hear(asked, self.read_at)),
            None => self.asked.push(asked),
        }
    }

    /// The token of a session opens its lock, if it has shown one.
    pub(crate) fn open_by_token(&mut self, is_token: impl Fn(&str) -> bool) {
        if let Some(lock) = &mut self.lock {
            let asked = lock.open_by_token(is_token, self.read_at);
            self.asked.splice(..0, asked);
        }
    }

    /// The longest line that it may send.
    fn line_bytes_max(&self) -> usize {
        self.line_bytes_max.max(if self.is_locked() { PASS_LINE_BYTES_MAX } else { 0 })
    }

    /// Whether it asked to be tracked, and is.
    pub(crate) fn is_tracked(&self) -> bool {
        self.may_track && self.asked.iter().any(|asked| matches!(asked, Asked::Track { .. }))
    }

    pub(crate) fn habit(&self) -> Habit {
        self.habit
    }

    /// Whether this line turns away what it has sent so far. If so, that was all: the bytes that name its protocol may
    /// have come too late.
    pub(crate) fn is_turned_away(&mut self, line: &str) -> bool {
        let is_binary = line.starts_with("* this is a chat relay and speaks no binary") && has_control(&self.line);
        if is_binary && matches!(self.asked[..], [] | [Asked::Foreign("TLS" | "STUN")]) {
            self.asked = vec![Asked::Foreign(BINARY)];
        }
        is_binary
    }

    /// Whether its first line, or the part of it that it sent, may belong to a binary protocol.
    pub(crate) fn has_begun_binary(&self) -> bool {
        match self.asked.first() {
            None => has_control(&self.line),
            Some(first) => matches!(first, Asked::Foreign("TLS" | "STUN" | BINARY)),
        }
    }

    /// Whether it asked to leave, by a word or by an orderly end.
    pub(crate) fn is_leaving(&self) -> bool {
        self.has_said_farewell() || self.ended.is_some() || self.socket_end().is_some()
    }

    /// Whether its input, or its WebSocket, has ended or is about to.
    pub(crate) fn has_gone(&self) -> bool {
        self.ended.is_some() || self.socket_end().is_some() || self.breaks_rule()
    }

    /// Whether it is between two lines.
    pub(crate) fn is_between_lines(&self) -> bool {
        self.line.is_empty() && !self.is_dropping && self.outline.is_none()
    }

    /// Whether it asked to leave by a word, or by an end of its input before that of its WebSocket.
    pub(crate) fn leaves_by_word(&self) -> bool {
        self.has_said_farewell() || (self.ended.is_some() && self.socket_end().is_none())
    }

    /// Whether what it sends has begun to break a rule.
    pub(crate) fn breaks_rule(&self) -> bool {
        self.outline.as_ref().is_some_and(|outline| outline.breach_begun.is_some()) && !self.has_said_farewell()
    }

    /// The end of its WebSocket.
    pub(crate) fn socket_end(&self) -> Option<SocketEnd> {
        self.outline.as_ref().and_then(|outline| outline.end)
    }

    pub(crate) fn hear(&mut self, bytes: impl IntoIterator<Item = u8>, now: Instant) {
        self.read_at = Some(now);
        if let Some(outline) = &mut self.outline {
            outline.advance(bytes.into_iter().count());
            self.hear_meanings();
            return;
        }
        for byte in bytes {
            // Only a client that ends lines sends telnet commands.
            if !self.has_said_farewell() && matches!(byte, b'\n' | b'\r' | 0xff) {
                self.habit = Habit::Newline;
            }
            self.hear_raw(byte);
        }
    }

    /// Telnet commands are no text.
    fn hear_raw(&mut self, byte: u8) {
        self.telnet = match (self.telnet, byte) {
            (InTelnet::Text, 0xff) => {
                self.speaks_telnet = true;
                InTelnet::Command
            }
            (InTelnet::Text, _) => {
                self.hear_byte(byte);
                InTelnet::Text
            }
            (InTelnet::Command, 251..=254) => InTelnet::Option,
            (InTelnet::Command, 250) | (InTelnet::Parameters, 0..=254) => InTelnet::Parameters,
            (InTelnet::Parameters, _) => InTelnet::Command,
            (InTelnet::Command | InTelnet::Option, _) => InTelnet::Text,
        };
    }

    fn hear_meanings(&mut self) {
        let is_over = |ear: &Ear| ear.has_said_farewell() || ear.socket_end().is_some();
        while let Some(meaning) = self.outline.as_mut().and_then(|outline| outline.next_heard()) {
            let is_over = is_over(self);
            let Some(outline) = &mut self.outline else { return };
            match meaning {
                Meaning::Request(expected) => outline.requests.push(expected),
                Meaning::Ping(payload) => {
                    outline.pings.push(payload);
                    outline.pings_due += usize::from(!is_over);
                }
                _ if is_over => {}
                Meaning::Message(text) => {
                    let is_open = text.last().is_some_and(|&last| last != b'\n');
                    for byte in text.into_iter().chain(is_open.then_some(b'\n')) {
                        self.hear_byte(byte);
                    }
                }
                Meaning::Close(code) => outline.end = Some(SocketEnd::Closed(code)),
                Meaning::BreachBegins(code) => outline.breach_begun = Some(code),
                Meaning::Breach(code) => outline.end = Some(SocketEnd::Broken(code)),
            }
        }
    }

    /// The server looked for more and found none: a line that has been silent for long enough is over.
    pub(crate) fn hear_nothing(&mut self, now: Instant) {
        if self.silent_at().is_none_or(|time| time > now) {
            return;
        }
        let line = std::mem::take(&mut self.line);
        if !std::mem::take(&mut self.is_dropping) {
            let asked = self.foreign(&line, is_cut_request);
            self.ask(asked.unwrap_or_else(|| asked_by(line.strip_suffix(b"\r").unwrap_or(&line))));
        }
        self.habit = Habit::Silence;
        self.exit = Some(line).filter(|line| line.eq_ignore_ascii_case(b"exit"));
    }

    /// Whether it sent anything but empty lines. To be tracked is no sign of life.
    pub(crate) fn has_spoken(&self) -> bool {
        let is_silent = |asked: &Asked| self.may_track && matches!(asked, Asked::Track { .. });
        self.asked.iter().any(|asked| *asked != Asked::Nothing && !is_silent(asked))
    }

    /// Whether it has begun a line, and not ended it. Padding and telnet commands begin none.
    pub(crate) fn has_begun(&self) -> bool {
        self.is_dropping || !self.line.is_empty()
    }

    /// When something was last read of it, if ever.
    pub(crate) fn read_at(&self) -> Option<Instant> {
        self.read_at
    }

    /// When silence ends the line that was begun, if it lasts.
    pub(crate) fn silent_at(&self) -> Option<Instant> {
        if !self.has_begun() || self.is_leaving() || self.habit == Habit::Newline || self.may_become_track() {
            return None;
        }
        let last = self.line.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
        let is_half = str::from_utf8(last).is_err_and(|error| error.error_len().is_none());
        Some(self.read_at? + self.flush_after? * if is_half { 2 } else { 1 })
    }

    /// Whether its first line may become a `/track`, whose token silence must not cut.
    fn may_become_track(&self) -> bool {
        let len = self.line.len().min(TRACK.len());
        self.may_track && !self.has_spoken() && len > 0 && self.line[..len].eq_ignore_ascii_case(&TRACK[..len])
    }

    pub(crate) fn end(&mut self, ended: Ended) {
        if self.ended.is_some() {
            return;
        }
        // Half a line of a tracked client comes again, and the position in half a `/track` may be cut.
        let is_half_track = self.line.get(..TRACK.len()).is_some_and(|word| word.eq_ignore_ascii_case(TRACK));
        let drops_fragment = self.is_tracked() || is_half_track || self.is_locked();
        if ended == Ended::Orderly
            && !drops_fragment
            && !self.is_dropping
            && !self.line.is_empty()
            && !self.has_said_farewell()
        {
            let line = std::mem::take(&mut self.line);
            let asked = self.foreign(&line, is_cut_request);
            let is_over = line.len() > self.line_bytes_max;
            self.asked.push(asked.unwrap_or_else(|| if is_over { Asked::TooLong } else { asked_by(&line) }));
            self.has_fragment = true;
            self.exit = Some(line).filter(|line| line.eq_ignore_ascii_case(b"exit"));
        }
        self.ended = Some(ended);
    }

    fn has_said_farewell(&self) -> bool {
        matches!(self.asked.last(), Some(Asked::Leave | Asked::Foreign(_)))
    }

    fn may_be_foreign(&self) -> bool {
        self.outline.is_none() && !self.has_spoken() && !self.is_tracked()
    }

    /// The request in a first line, if it belongs to another protocol.
    fn foreign(&self, line: &[u8], is_request: fn(&[u8]) -> bool) -> Option<Asked> {
        let may_be = self.may_be_foreign();
        let name = if has_control(line) {
            Some(BINARY)
        } else if line.starts_with(b"SSH-2.0-") {
            Some("SSH")
        } else {
            is_request(line).then_some("HTTP")
        };
        name.filter(|_| may_be).map(Asked::Foreign)
    }

    fn hear_byte(&mut self, byte: u8) {
        if self.has_said_farewell() {
            return;
        }
        if byte == 0 {
            return;
        }
        // The lines of a tracked client end with LF alone.
        let is_return = byte == b'\r' && !self.is_tracked();
        let is_after_return = std::mem::replace(&mut self.is_after_return, is_return);
        if byte == b'\n' && is_after_return {
            return;
        }
        if byte == b'\n' || is_return {
            self.ends_with_return |= is_return;
            let line = std::mem::take(&mut self.line);
            if !std::mem::take(&mut self.is_dropping) {
                let asked = self.foreign(&line, is_request);
                self.ask(asked.unwrap_or_else(|| asked_by(line.strip_suffix(b"\r").unwrap_or(&line))));
            }
            return;
        }
        if self.is_dropping {
            return;
        }
        self.line.push(byte);
        let may_be_foreign = self.may_be_foreign();
        if may_be_foreign && self.line == *b"\x16\x03" {
            self.asked.push(Asked::Foreign("TLS"));
            return;
        }
        if may_be_foreign && self.line.len() <= 10 && self.line.ends_with(b"\x21\x12\xa4\x42") {
            self.asked.push(Asked::Foreign("STUN"));
            return;
        }
        if may_be_foreign && self.line.len() == 10 && has_control(&self.line) {
            self.asked.push(Asked::Foreign(BINARY));
            return;
        }
        let over = self.line.len().saturating_sub(self.line_bytes_max());
        if over > 1 || (over == 1 && byte != b'\r') {
            self.ask(self.foreign(&self.line, is_long_request).unwrap_or(Asked::TooLong));
            self.line.clear();
            self.is_dropping = true;
        }
    }
}

/// Whether a terminal would obey `c`, or show another line than there is.
pub(crate) fn is_dangerous(c: char) -> bool {
    let code = u32::from(c);
    (code < 0x20 && c != '\t')
        || (0x7f..0xa0).contains(&code)
        || [0x61c, 0x200e, 0x200f, 0x2028, 0x2029, 0xfeff].contains(&code)
        || (0x202a..=0x202e).contains(&code)
        || (0x2066..=0x2069).contains(&code)
}

/// Whether `name` may be chosen, as far as its form goes.
pub(crate) fn is_name(name: &str) -> bool {
    let chars = name.chars().count();
    (1..=24).contains(&chars) && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// Whether `name` is one of the relay's own.
pub(crate) fn is_reserved(name: &str) -> bool {
    let folded = name.to_lowercase();
    folded == "server" || folded.starts_with("client-")
}

/// Whether `c` is not seen before a command, among the characters that the peers send.
fn is_inkless(c: char) -> bool {
    c.is_whitespace() || c == char::REPLACEMENT_CHARACTER
}

fn asked_by(line: &[u8]) -> Asked {
    let text: String = String::from_utf8_lossy(line)
        .trim_start_matches('\u{feff}')
        .chars()
        .map(|c| if is_dangerous(c) { '\u{fffd}' } else { c })
        .collect();
    if text.is_empty() {
        return Asked::Nothing;
    }
    if ["fin", "exit"].contains(&text.to_ascii_lowercase().as_str()) {
        return Asked::Leave;
    }
    let Some(command) = text.strip_prefix('/') else {
        let word = text.split(is_inkless).find(|word| !word.is_empty()).unwrap_or_default();
        let is_command = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic());
        let is_indented = text.starts_with(is_inkless) && word.strip_prefix('/').is_some_and(is_command);
        return if is_indented { Asked::Indented } else { Asked::Say(text) };
    };
    if command.starts_with('/') {
        return Asked::Say(command.to_owned());
    }
    let is_blank = |c| c == ' ' || c == '\t';
    let (verb, rest) = command.split_at(command.find(is_blank).unwrap_or(command.len()));
    let (said, rest) = (rest.get(1..).unwrap_or_default(), rest.trim_matches(is_blank));
    match verb.to_ascii_lowercase().as_str() {
        "say" if said.is_empty() => Asked::SayNothing,
        "say" => Asked::Say(said.to_owned()),
        "me" => match rest.trim_matches(is_inkless) {
            "" => Asked::ActNothing,
            act => Asked::Say(format!("*{act}*")),
        },
        "nick" => {
            let (name, token) = rest.split_at(rest.find(is_blank).unwrap_or(rest.len()));
            Asked::Nick { name: name.to_owned(), token: token.trim_matches(is_blank).to_owned() }
        }
        "pass" => Asked::Pass(rest.to_owned()),
        "who" => match rest.split_once(is_blank) {
            None if rest.is_empty() => Asked::Who,
            None => Asked::Find(rest.to_owned()),
            Some((word, number)) => match number.trim_matches(is_blank).parse() {
                Ok(1) if word.eq_ignore_ascii_case("page") => Asked::Who,
                Ok(page @ 2..) if word.eq_ignore_ascii_case("page") => Asked::Page(page),
                _ => Asked::WhoMalformed,
            },
        },
        "rooms" => Asked::Rooms,
        "join" => Asked::Join { word: format!("/{verb}"), name: rest.to_owned() },
        "track" => {
            let mut words = rest.split_ascii_whitespace().map(str::to_owned);
            let (position, token) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            Asked::Track { position, token }
        }
        "help" => Asked::Help,
        "quit" => Asked::Leave,
        "msg" => {
            let (to, text) = rest.split_at(rest.find(is_blank).unwrap_or(rest.len()));
            Asked::Tell { to: to.to_owned(), text: text.trim_matches(is_blank).to_owned() }
        }
        _ => Asked::Unknown(format!("/{verb}")),
    }
}
