//! A server that speaks the tracked dialect step by step, as a test says: one room, one session, and the log of
//! records.
//!
//! ```text
//! let mut server = TrackedServer::start();
//! let mut peer = server.accept();
//! peer.greet();                              // * you are client-1; …
//! server.begin(&mut peer);                   // reads /track, answers with the first unit
//! assert_eq!(server.take(&mut peer), "hi");  // a line, counted
//! server.record(&mut peer, "client-1> hi");  // its record
//! peer.reset();
//! let mut peer = server.accept();
//! server.resume(&mut peer);                  // reads /track POSITION TOKEN, sends what is missing
//! ```

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::socket::reset;
use super::{DEADLINE, eventually};

/// Time of the first record, in ms since 1970. Each record is a second later.
pub const FIRST_MS: u64 = 1_764_166_801_123;

/// The session, the room and its log. Change the fields between two steps to be another server.
pub struct TrackedServer {
    listener: TcpListener,
    pub epoch: String,
    pub token: String,
    /// Lines of the session that were taken.
    pub heard: u64,
    pub name: String,
    pub room: String,
    pub log: Vec<String>,
    /// Records of earlier runs on the log: their epochs, each with the number of the first record behind it.
    past: Vec<(String, usize)>,
    /// Private lines behind `** you are`.
    pub greeting: Vec<String>,
}

/// The server's side of a connection.
pub struct Peer {
    stream: BufReader<TcpStream>,
}

impl TrackedServer {
    pub fn start() -> TrackedServer {
        TrackedServer {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            epoch: "e7f3".to_owned(),
            token: "c0ffee".to_owned(),
            heard: 0,
            name: "client-1".to_owned(),
            room: "lobby".to_owned(),
            log: Vec::new(),
            past: Vec::new(),
            greeting: Vec::new(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Waits for the client's next connection.
    #[track_caller]
    pub fn accept(&self) -> Peer {
        self.listener.set_nonblocking(true).unwrap();
        let mut accepted = None;
        eventually("the client connects", || {
            accepted = self.listener.accept().ok();
            accepted.is_some()
        });
        let (stream, _) = accepted.unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Peer { stream: BufReader::new(stream) }
    }

    /// The position of the next record.
    pub fn position(&self) -> String {
        format!("{}.{}", self.epoch, self.log.len())
    }

    /// The position of this record on the log. The count goes on behind a restart.
    fn position_of(&self, record: usize) -> String {
        let past = self.past.iter().find(|(_, end)| record < *end);
        format!("{}.{record}", past.map_or(&self.epoch, |(epoch, _)| epoch))
    }

    /// The record at this position. Behind the last one of a run it is the first of the next.
    fn record_at(&self, position: &str) -> usize {
        let (epoch, record) = position.rsplit_once('.').unwrap();
        let run = self.past.iter().find(|(past, _)| past == epoch);
        record.parse::<usize>().unwrap().min(run.map_or(self.log.len(), |(_, end)| *end))
    }

    /// Accepts a client that asks to be `ana`, and begins its session.
    #[track_caller]
    pub fn accept_ana(&mut self) -> Peer {
        let mut peer = self.accept();
        assert_eq!(peer.line(), "/nick ana");
        peer.greet();
        peer.say("* client-1 is now ana\n");
        self.name = "ana".to_owned();
        self.begin(&mut peer);
        peer
    }

    /// Gives a client its name back: `ana`.
    #[track_caller]
    pub fn rename(&mut self, peer: &mut Peer) {
        assert_eq!(self.take(peer), "/nick ana");
        peer.say(&format!("** {} is now ana\n", self.name));
        self.name = "ana".to_owned();
    }

    /// Is restarted with its journal: the session is unknown, and the client has another name.
    pub fn restart(&mut self, epoch: &str, name: &str) {
        self.past.push((std::mem::replace(&mut self.epoch, epoch.to_owned()), self.log.len()));
        (self.token, self.name, self.heard) = (format!("{}0", self.token), name.to_owned(), 0);
    }

    /// Reads `/track POSITION TOKEN` of the session before the restart, and lets a new session read on there, behind as
    /// many records as it `missed`.
    #[track_caller]
    pub fn read_on(&mut self, peer: &mut Peer, position: &str, missed: usize) {
        let token = &self.token[..self.token.len() - 1];
        assert_eq!(peer.line(), format!("/track {position} {token}"));
        let record = self.record_at(position) + missed;
        let news = match missed {
            0 => "** resumed\n".to_owned(),
            1 => "** you missed 1 line\n".to_owned(),
            missed => format!("** you missed {missed} lines\n"),
        };
        let (session, you_are) = (self.session_line(), self.you_are());
        peer.say(&[session, news, you_are, self.stamp(record), self.records_from(record)].concat());
    }

    pub fn session_line(&self) -> String {
        format!("** session {} heard {} at {} as {}\n", self.token, self.heard, self.position(), self.name)
    }

    pub fn you_are(&self) -> String {
        format!("** you are {}, in {}\n", self.name, self.room)
    }

    pub fn stamp(&self, record: usize) -> String {
        format!("@ {} {}\n", FIRST_MS + 1_000 * record as u64, self.position_of(record))
    }

    /// The records from that number on, each with its stamp.
    pub fn records_from(&self, record: usize) -> String {
        (record..self.log.len()).map(|at| format!("{}{}\n", self.stamp(at), self.log[at])).collect()
    }

    /// Reads `/track`, and answers with the first unit. All records so far are the history.
    #[track_caller]
    pub fn begin(&mut self, peer: &mut Peer) {
        assert_eq!(peer.line(), "/track");
        self.welcome(peer, "");
    }

    /// Answers a `/track` that was read: with `news`, such as `** cannot resume: earlier lines follow`, and the
    /// history.
    pub fn welcome(&mut self, peer: &mut Peer, news: &str) {
        let greeting: String = self.greeting.iter().map(|line| format!("** {line}\n")).collect();
        let session = self.session_line();
        peer.say(&format!("{session}{news}{}{greeting}{}{}", self.you_are(), self.stamp(0), self.records_from(0)));
    }

    /// Reads `/track POSITION TOKEN`, and goes on there. Returns the number of the record in the position.
    #[track_caller]
    pub fn resume(&mut self, peer: &mut Peer) -> usize {
        let record = self.read_resume(peer);
        let session = self.session_line();
        peer.say(&format!(
            "{session}** resumed\n{}{}{}",
            self.you_are(),
            self.stamp(record),
            self.records_from(record)
        ));
        record
    }

    /// Reads `/track POSITION TOKEN`. Returns the number of the record in the position.
    #[track_caller]
    pub fn read_resume(&mut self, peer: &mut Peer) -> usize {
        let line = peer.line();
        let rest = line.strip_prefix(&format!("/track {}.", self.epoch));
        let record = rest.and_then(|rest| rest.strip_suffix(&format!(" {}", self.token)));
        record.and_then(|record| record.parse().ok()).unwrap_or_else(|| panic!("no resume: {line:?}"))
    }

    /// Reads the next line that is no `/track`, and counts it. Answers each `/track` before it.
    #[track_caller]
    pub fn take(&mut self, peer: &mut Peer) -> String {
        loop {
            let line = peer.line();
            if line == "/track" {
                peer.say(&self.session_line());
            } else {
                self.heard += 1;
                return line;
            }
        }
    }

    /// Reads a line, and puts it on the log and on the wire.
    #[track_caller]
    pub fn take_said(&mut self, peer: &mut Peer) -> String {
        let line = self.take(peer);
        let record = format!("{}> {line}", self.name);
        self.record(peer, &record);
        line
    }

    /// Puts a record on the log and on the wire.
    pub fn record(&mut self, peer: &mut Peer, line: &str) {
        self.log.push(line.to_owned());
        let record = self.records_from(self.log.len() - 1);
        peer.say(&record);
    }

    /// Reads the goodbye, and ends in good order.
    #[track_caller]
    pub fn end(&mut self, mut peer: Peer) {
        assert_eq!(self.take(&mut peer), "FIN");
        peer.say("FIN\n");
    }
}

impl Peer {
    /// The next line; empty at the end.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line in time");
        line.trim_end_matches('\n').to_owned()
    }

    /// Writes text as it is. A client that has gone does not matter.
    pub fn say(&mut self, text: &str) {
        let _ = self.stream.get_mut().write_all(text.as_bytes());
    }

    /// Greets as pollchat greets.
    pub fn greet(&mut self) {
        self.say("* you are client-1; /help lists what you can do\n");
    }

    /// Breaks the connection.
    pub fn reset(self) {
        reset(self.stream.get_ref());
    }
}
