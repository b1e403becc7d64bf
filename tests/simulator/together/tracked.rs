//! Tracked clients of the servers: each comes back, to any server, with its position.

use std::collections::VecDeque;

use super::peers::{ROOMS, said_line};
use super::tapes::{TapeView, parse_position};
use crate::chance::Chance;
use crate::redis::Id;
use crate::rule::{Rule, Verdict};

/// Lines that a client keeps until they are heard.
const UNHEARD_MAX: usize = 40;

/// The number of a client in its lines grows by so much with each session: what a server has taken of an earlier session
/// may come behind what another server takes of the next.
const SESSION: usize = 1_000_000;

/// The place of a client in its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has no connection.
    Idle,
    /// It has asked, and says nothing before the answer.
    Asking,
    Live,
    /// It said goodbye.
    Over,
}

/// A tracked client, over all its connections.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) id: usize,
    /// The number in its lines.
    author: usize,
    pub(super) chance: Chance,
    pub(super) state: State,
    /// The number of its connection.
    pub(super) line: Option<usize>,
    token: Option<String>,
    /// The position of the next record.
    position: Option<(Id, u64)>,
    /// The same, as the server has put it.
    base: String,
    /// The position that it asked for.
    asked: Option<(Id, u64)>,
    /// The number of the next record on the tape of its server, if it must be that.
    due: Option<usize>,
    /// The room that it was told to be in.
    pub(super) room: Option<String>,
    pub(super) name: String,
    unheard: VecDeque<String>,
    sent: usize,
    heard: u64,
    said: usize,
    outbox: Vec<u8>,
    partial: Vec<u8>,
    line_bytes_max: usize,
}

impl Tracked {
    pub(super) fn new(id: usize, chance: Chance, line_bytes_max: usize) -> Tracked {
        Tracked {
            id,
            author: id,
            chance,
            state: State::Idle,
            line: None,
            token: None,
            position: None,
            base: String::new(),
            asked: None,
            due: None,
            room: None,
            name: String::new(),
            unheard: VecDeque::new(),
            sent: 0,
            heard: 0,
            said: 0,
            outbox: Vec::new(),
            partial: Vec::new(),
            line_bytes_max,
        }
    }

    /// Begins with a new connection.
    pub(super) fn connect(&mut self, line: usize) {
        self.line = Some(line);
        self.state = State::Asking;
        (self.sent, self.due, self.asked) = (0, None, self.position);
        self.partial.clear();
        let words = match (&self.token, &self.position) {
            (Some(token), Some((_, number))) => format!("/track {}.{number} {token}\n", self.base),
            (Some(token), None) => format!("/track 0 {token}\n"),
            (None, _) => "/track\n".to_owned(),
        };
        self.outbox = words.into_bytes();
    }

    /// Its connection is lost.
    pub(super) fn lose(&mut self) {
        self.line = None;
        if self.state != State::Over {
            self.state = State::Idle;
        }
    }

    /// Whether the server has heard all that it said.
    pub(super) fn is_settled(&self) -> bool {
        self.unheard.is_empty()
    }

    /// Says something, or asks how much was heard.
    pub(super) fn talk(&mut self) {
        if self.state != State::Live || self.unheard.len() >= UNHEARD_MAX {
            return;
        }
        let line = match self.chance.below(100) {
            0 => format!("/join {}", self.chance.pick(&ROOMS)),
            1 => "/nick fred".to_owned(),
            2 => String::new(),
            _ => said_line(self.author, &mut self.said, &mut self.chance, self.line_bytes_max),
        };
        self.unheard.push_back(line + "\n");
        if self.chance.one_in(10) {
            self.send_all();
            self.outbox.extend(b"/track\n");
        }
    }

    /// The bytes that it has to send.
    pub(super) fn outbox(&mut self) -> &mut Vec<u8> {
        self.send_all();
        &mut self.outbox
    }

    fn send_all(&mut self) {
        if self.state == State::Live {
            self.unheard.iter().skip(self.sent).for_each(|line| self.outbox.extend(line.bytes()));
            self.sent = self.unheard.len();
        }
    }

    /// Asks how much was heard.
    pub(super) fn acknowledge(&mut self) {
        if self.state == State::Live {
            self.send_all();
            self.outbox.extend(b"/track\n");
        }
    }

    /// Leaves.
    pub(super) fn farewell(&mut self) {
        if self.state == State::Live {
            self.send_all();
            self.outbox.extend(b"FIN\n");
            self.state = State::Over;
        }
    }

    /// Takes what was written; returns the whole lines.
    pub(super) fn lines(&mut self, bytes: &[u8]) -> Vec<String> {
        self.partial.extend_from_slice(bytes);
        let Some(end) = self.partial.iter().rposition(|&byte| byte == b'\n') else { return Vec::new() };
        let whole: Vec<u8> = self.partial.drain(..=end).collect();
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }

    /// Reads a line. `view` is the tape of the room that it is in.
    pub(super) fn read(&mut self, line: &str, view: Option<&TapeView>) -> Verdict {
        if let Some(rest) = line.strip_prefix("** session ") {
            return self.read_session(rest);
        }
        if self.state == State::Asking {
            // It can be forgotten.
            return Ok(());
        }
        if let Some(stamp) = line.strip_prefix("@ ") {
            let position = stamp.split_once(' ').map_or("", |(_, position)| position);
            self.position = parse_position(position);
            self.base = position.split('.').next().unwrap_or_default().to_owned();
            return Rule::BusTrack.demands(self.position.is_some(), || format!("{line:?} is no position of a log"));
        }
        if line == "FIN" || line == "** this session goes on elsewhere" {
            self.lose();
            return Ok(());
        }
        match line.strip_prefix("** ") {
            Some(words) => {
                self.read_notice(words, view);
                Ok(())
            }
            None => self.read_record(line, view),
        }
    }

    fn read_notice(&mut self, words: &str, view: Option<&TapeView>) {
        if let Some((room, _)) = words.strip_prefix("you are in ").and_then(|rest| rest.split_once(", ")) {
            self.room = Some(room.to_owned());
            (self.due, self.position, self.asked) = (None, None, None);
        } else if let Some(rest) = words.strip_prefix("you are ") {
            if let Some((name, room)) = rest.split_once(", in ") {
                self.name = name.to_owned();
                if self.room.replace(room.to_owned()).is_some_and(|before| !before.eq_ignore_ascii_case(room)) {
                    // It was still moving when it lost its connection: what it asked for is of the room that it left.
                    self.due = None;
                }
            }
        } else if words == "resumed" {
            self.resume(0, view);
        } else if let Some((count, _)) = words.strip_prefix("you missed ").and_then(|rest| rest.split_once(' ')) {
            let missed = count.parse().unwrap_or(0);
            match &mut self.due {
                Some(due) => *due += missed,
                None => self.resume(missed, view),
            }
        } else if words.starts_with("cannot resume") {
            (self.asked, self.due, self.position) = (None, None, None);
        }
    }

    /// It goes on at the position that it asked for, or so many records behind it. The tape tells where that is once
    /// it is clear in which room.
    fn resume(&mut self, missed: usize, view: Option<&TapeView>) {
        let asked = self.asked.and_then(|(base, number)| Some(view?.resolve(base, number)));
        // A second place may have come since it was answered: then the tape does not tell which of them it was.
        self.due = asked.and_then(|places| if let [record] = places[..] { Some(record + missed) } else { None });
    }

    fn read_record(&mut self, line: &str, view: Option<&TapeView>) -> Verdict {
        let Some((base, number)) = &mut self.position else {
            return Rule::BusTrack.broken(format!("{line:?} comes without a stamp"));
        };
        let place = (*base, *number);
        *number += 1;
        let Some(view) = view else { return Ok(()) };
        let places = view.resolve(place.0, place.1);
        let is_due = |record: &&usize| {
            self.due.map_or(view.records.get(**record).is_some_and(|there| there == line), |due| due == **record)
        };
        let Some(&record) = places.iter().find(is_due).or(places.last()) else {
            return Rule::BusTrack.broken(format!("{line:?} stands at {place:?}, which is no place of the tape"));
        };
        let there = view.records.get(record);
        Rule::BusTrack
            .demands(there.is_some_and(|there| there == line), || format!("{line:?} is sent in place of {there:?}"))?;
        if let Some(due) = self.due.replace(record + 1) {
            Rule::BusTrack.demands(due == record, || {
                format!("{line:?} is record {record}, and {due} is due: {:?}", view.records.get(due))
            })?;
        }
        Ok(())
    }

    fn read_session(&mut self, rest: &str) -> Verdict {
        let words: Vec<&str> = rest.split(' ').collect();
        let &[token, "heard", heard, "at", _, "as", name] = &words[..] else {
            return Rule::BusTrack.broken(format!("{rest:?} is no session"));
        };
        let heard: u64 = heard.parse().unwrap_or(u64::MAX);
        self.name = name.to_owned();
        if self.token.as_deref() != Some(token) {
            self.token = Some(token.to_owned());
            self.unheard.clear();
            self.author += SESSION;
            (self.sent, self.heard, self.said) = (0, 0, 0);
        }
        let news = heard.checked_sub(self.heard).and_then(|news| usize::try_from(news).ok());
        let Some(news) = news.filter(|&news| news <= self.unheard.len()) else {
            let (before, left) = (self.heard, self.unheard.len());
            return Rule::BusTrack.broken(format!("{heard} lines are heard, of {before} and {left} unheard ones"));
        };
        self.unheard.drain(..news);
        self.sent = self.sent.saturating_sub(news);
        self.heard = heard;
        if self.state == State::Asking {
            self.state = State::Live;
        }
        Ok(())
    }
}
