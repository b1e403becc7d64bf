//! Tracked clients: what each keeps from one connection to the next, and how it loses and resumes its session.
//!
//! A client counts the records that it takes, keeps each line until the server has heard it, and sends exactly those
//! again that were not. Its said lines bear its tag and ascending numbers, so the oracle sees on the tapes whether each
//! was said once and in order.

use std::collections::VecDeque;

use crate::chance::Chance;
use crate::claims::Claims;
use crate::rule::{Rule, Verdict, Violation};

/// Rooms that it goes to.
const ROOMS: [&str; 5] = ["den", "rust", "lobby", "a", "b"];

/// The place of a client in its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has no connection, or has not asked to be tracked yet.
    Idle,
    /// It has asked, and says nothing before the answer.
    Asking,
    /// It has asked in the middle of a session for an acknowledgement.
    Acknowledging,
    Live,
    /// It said goodbye.
    Over,
}

/// A tracked client, over all its connections.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) chance: Chance,
    pub(crate) state: State,
    /// The number of its connection.
    pub(crate) link: Option<usize>,
    /// Whether it is a browser.
    pub(crate) is_browser: bool,
    /// Whether it is plain at first.
    pub(crate) is_late: bool,
    token: Option<String>,
    /// The position of the next record.
    position: Option<(String, u64)>,
    /// The beginning of its said lines.
    tag: String,
    /// Lines that the server has not heard, and how many of them were sent over this connection.
    lines: VecDeque<String>,
    sent: usize,
    /// Lines that the server has heard.
    heard: u64,
    /// Its said lines, and how many of them the server has heard.
    says: u64,
    says_heard: u64,
    names: u64,
    /// Bytes that it took, and that make no whole line or frame.
    partial: Vec<u8>,
    is_after_head: bool,
    line_bytes_max: usize,
    /// Its claims to a name, if it makes some.
    claims: Option<Claims>,
}

/// The beginning of a said line of a tracked client, and its number.
pub(crate) fn tagged(text: &str) -> Option<(&str, u64)> {
    let (tag, number) = text.strip_prefix('~').and(text.split_once(':'))?;
    Some((tag, number.trim_end_matches('.').parse().ok()?))
}

impl Client {
    pub(crate) fn new(mut chance: Chance, is_browser: bool, is_late: bool, line_bytes_max: usize) -> Client {
        Client {
            state: State::Idle,
            link: None,
            is_browser,
            is_late,
            token: None,
            position: None,
            tag: String::new(),
            lines: VecDeque::new(),
            sent: 0,
            heard: 0,
            says: 0,
            says_heard: 0,
            names: 0,
            partial: Vec::new(),
            is_after_head: false,
            line_bytes_max,
            claims: None,
            chance: chance.fork(),
        }
    }

    /// The same, as one that claims a name.
    pub(crate) fn claiming(self, claims: Option<Claims>) -> Client {
        Client { claims, ..self }
    }

    /// Begins with a new connection. What was under way over the last one may be lost.
    pub(crate) fn connect(&mut self, link: usize) {
        self.link = Some(link);
        self.state = State::Idle;
        self.sent = 0;
        self.partial.clear();
        self.is_after_head = false;
    }

    /// Asks to be tracked: the first words of a connection, or later ones.
    pub(crate) fn ask(&mut self) -> String {
        self.state = State::Asking;
        let Some(token) = &self.token else { return "/track\n".to_owned() };
        let position = match &self.position {
            Some((epoch, record)) => format!("{epoch}.{record}"),
            None => "0".to_owned(),
        };
        if !self.chance.one_in(6) {
            return format!("/track {position} {token}\n");
        }
        // A position that never was, or a token of nobody.
        let (epoch, record) = self.position.clone().unwrap_or_default();
        let back = record.saturating_sub(self.chance.up_to(20) as u64);
        match self.chance.below(8) {
            0 => format!("/track {epoch}.{} {token}\n", record + self.chance.up_to(2_000) as u64),
            1 => format!("/track {epoch}.0 {token}\n"),
            2 | 3 => format!("/track {epoch}.{back} {token}\n"),
            4 => format!("/track 0000000000000.{record} {token}\n"),
            5 => format!("/track {epoch}.-1 {token}\n"),
            6 => format!("/track {position} {}\n", token.replace(['0', '7'], "b")),
            _ => format!("/track {position} {token}x\n"),
        }
    }

    /// Its connection is lost.
    pub(crate) fn lose(&mut self) {
        self.link = None;
        if self.state != State::Over {
            self.state = State::Idle;
        }
    }

    /// Whether it has a session.
    pub(crate) fn has_session(&self) -> bool {
        self.token.is_some()
    }

    /// Whether the server has heard all that it said.
    pub(crate) fn is_settled(&self) -> bool {
        self.lines.is_empty()
    }

    /// The tag of its said lines, and how many of them the server has heard.
    pub(crate) fn heard(&self) -> (&str, u64) {
        (&self.tag, self.says_heard)
    }

    /// Takes what was written to it.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Verdict {
        self.partial.extend_from_slice(bytes);
        let lines = if self.is_browser { self.unframe() } else { self.split() };
        lines.iter().try_for_each(|line| self.read(line))
    }

    fn split(&mut self) -> Vec<String> {
        let Some(end) = self.partial.iter().rposition(|&byte| byte == b'\n') else { return Vec::new() };
        let whole: Vec<u8> = self.partial.drain(..=end).collect();
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }

    fn unframe(&mut self) -> Vec<String> {
        if !self.is_after_head {
            let Some(end) = self.partial.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Vec::new() };
            self.partial.drain(..end + 4);
            self.is_after_head = true;
        }
        let mut lines = Vec::new();
        while let Some((first, payload, bytes)) = frame(&self.partial) {
            if first == 0x81 {
                lines.extend(String::from_utf8_lossy(&payload).lines().map(str::to_owned));
            }
            self.partial.drain(..bytes);
        }
        lines
    }

    fn read(&mut self, line: &str) -> Verdict {
        if let Some(rest) = line.strip_prefix("** session ") {
            let words: Vec<&str> = rest.split(' ').collect();
            let &[token, "heard", heard, "at", _, "as", _] = &words[..] else {
                return Rule::Heard.broken(format!("{line:?} is no session"));
            };
            return self.read_session(token, heard.parse().unwrap_or(u64::MAX));
        }
        if matches!(self.state, State::Idle | State::Asking | State::Over) {
            return Ok(());
        }
        if line == "** this session goes on elsewhere" || line == "FIN" {
            self.lose();
        } else if let Some(stamp) = line.strip_prefix("@ ") {
            let position = stamp.split_once(' ').and_then(|(_, position)| position.rsplit_once('.'));
            self.position = position.map(|(epoch, record)| (epoch.to_owned(), record.parse().unwrap_or(0)));
        } else if !line.starts_with("** ")
            && let Some((_, record)) = &mut self.position
        {
            *record += 1;
        }
        Ok(())
    }

    fn read_session(&mut self, token: &str, heard: u64) -> Verdict {
        if self.token.as_deref() != Some(token) {
            // Another session knows nothing of what was said in the last one.
            self.token = Some(token.to_owned());
            self.tag = format!("~{}", self.link.unwrap_or(0));
            self.lines.clear();
            (self.sent, self.heard, self.says, self.says_heard) = (0, 0, 0, 0);
            self.position = None;
        }
        let news = heard.checked_sub(self.heard).and_then(|news| usize::try_from(news).ok());
        let Some(news) = news.filter(|&news| news <= self.lines.len()) else {
            let (before, left) = (self.heard, self.lines.len());
            return Rule::Heard.broken(format!("{heard} lines are heard, of {before} and {left} unheard ones"));
        };
        for line in self.lines.drain(..news) {
            self.says_heard += u64::from(line.starts_with('~'));
        }
        self.heard = heard;
        self.sent = self.sent.saturating_sub(news);
        if self.state != State::Over {
            self.state = State::Live;
        }
        Ok(())
    }

    /// Says something, or asks how much was heard.
    pub(crate) fn talk(&mut self, outbox: &mut Vec<u8>) {
        if self.state != State::Live {
            return;
        }
        if self.lines.len() < 60 && self.chance.one_in(4) {
            for _ in 0..self.chance.up_to(5) {
                let line = self.line();
                self.lines.push_back(line);
            }
        }
        self.send(outbox);
        if self.chance.one_in(15) {
            self.acknowledge(outbox);
        }
    }

    /// Sends all that is not heard.
    pub(crate) fn send(&mut self, outbox: &mut Vec<u8>) {
        if self.state == State::Live {
            let unsent = self.lines.iter().skip(self.sent);
            unsent.for_each(|line| outbox.extend(line.bytes()));
            self.sent = self.lines.len();
        }
    }

    /// Asks how much was heard.
    pub(crate) fn acknowledge(&mut self, outbox: &mut Vec<u8>) {
        if self.state == State::Live {
            self.state = State::Acknowledging;
            outbox.extend(b"/track\n");
        }
    }

    /// Says goodbye.
    pub(crate) fn part(&mut self, outbox: &mut Vec<u8>) {
        let words = self.chance.pick(&["FIN\n", "exit\r\n", "/quit\n"]);
        outbox.extend(words.bytes());
        self.state = State::Over;
    }

    fn line(&mut self) -> String {
        let mut say = |chance: &mut Chance| {
            self.says += 1;
            let text = format!("{}:{}", self.tag, self.says);
            let padding = if chance.one_in(4) { chance.below(self.line_bytes_max - text.len()) } else { 0 };
            text + &".".repeat(padding) + chance.pick(&["\n", "\n", "\r\n"])
        };
        let choice = self.chance.below(24);
        if let (4, Some(claims)) = (choice, &mut self.claims) {
            return claims.claim();
        }
        match choice {
            0 => "/who\n".to_owned(),
            1 => "\n".to_owned(),
            2 => "/nope\n".to_owned(),
            3 => "o".repeat(self.line_bytes_max + 1 + self.chance.below(9)) + "\n",
            4 => {
                self.names += 1;
                format!("/nick {}-{}\n", self.tag.replace('~', "t"), self.names)
            }
            5 | 6 => format!("/join {}\n", self.chance.pick(&ROOMS)),
            7 => "/help\n".to_owned(),
            _ => say(&mut self.chance),
        }
    }
}

/// The first frame of a server, if it is whole: its first byte, its payload, and its length in all.
fn frame(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let (header, len) = match *bytes {
        [_, len @ 0..126, ..] => (2, usize::from(len)),
        [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
        [_, 127, _, _, _, _, a, b, c, d, ..] => (10, u32::from_be_bytes([a, b, c, d]) as usize),
        _ => return None,
    };
    let payload = bytes.get(header..header + len)?;
    Some((bytes[0], payload.to_vec(), header + len))
}

/// A violation that a client has seen.
pub(crate) fn about(link: usize, violation: Violation) -> Violation {
    violation.about(format!("the client of line {link}"))
}
