//! A Redis in memory, as far as the bus uses one: its commands, its blocked reads, and what can go wrong with it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;

use super::super::resp::{Parser, Reply};
use crate::net::stream::Socket;
use crate::relay::sequence::EntryId;

/// A connection of a server.
#[derive(Debug)]
pub(super) struct FakeSocket {
    redis: Rc<RefCell<Redis>>,
    index: usize,
}

/// An entry: its id and its fields.
pub(super) type Stored = (EntryId, Vec<String>);

#[derive(Debug, Default)]
pub(super) struct Redis {
    /// Its clock.
    pub ms: u64,
    pub streams: BTreeMap<String, (EntryId, Vec<Stored>)>,
    /// Other keys, with the time of their end.
    pub keys: HashMap<String, u64>,
    /// All commands.
    pub log: Vec<Vec<String>>,
    /// Answers each command of this name with these words.
    pub errors: HashMap<&'static str, &'static str>,
    /// Whether it takes bytes and does nothing.
    pub is_hanging: bool,
    /// Whether it executes commands and drops the replies.
    pub is_mute: bool,
    /// Whether an entry is deleted as soon as it was added.
    pub forgets_entries: bool,
    /// The longest reply.
    pub reply_bytes_max: usize,
    connections: Vec<Connection>,
}

#[derive(Debug, Default)]
struct Connection {
    parser: Parser,
    output: Vec<u8>,
    is_cut: bool,
    /// A read that blocks, with its end.
    blocked: Option<(Vec<String>, u64)>,
}

impl Redis {
    /// Connects.
    pub(super) fn connect(redis: &Rc<RefCell<Redis>>) -> FakeSocket {
        let mut this = redis.borrow_mut();
        this.connections.push(Connection::default());
        FakeSocket { redis: Rc::clone(redis), index: this.connections.len() - 1 }
    }

    /// Cuts all connections.
    pub(super) fn cut(&mut self) {
        for connection in &mut self.connections {
            (connection.is_cut, connection.blocked) = (true, None);
            connection.output.clear();
        }
    }

    /// Lets time pass: ends blocked reads and keys.
    pub(super) fn advance(&mut self, ms: u64) {
        self.ms += ms;
        let now = self.ms;
        self.keys.retain(|_, end| *end > now);
        for connection in &mut self.connections {
            if connection.blocked.take_if(|(_, end)| *end <= now && !self.is_hanging).is_some() {
                connection.output.extend(b"*-1\r\n");
            }
        }
    }

    /// Adds an entry as another client would.
    pub(super) fn add(&mut self, key: &str, fields: &[&str]) -> EntryId {
        let now = EntryId { ms: self.ms, seq: 0 };
        let (last, entries) = self.streams.entry(key.to_owned()).or_default();
        let id = if now > *last { now } else { EntryId { ms: last.ms, seq: last.seq + 1 } };
        *last = id;
        if self.forgets_entries {
            return id;
        }
        entries.push((id, fields.iter().map(|field| (*field).to_owned()).collect()));
        self.answer_blocked();
        id
    }

    /// Returns the commands of this name so far.
    pub(super) fn commands(&self, name: &str) -> Vec<Vec<String>> {
        self.log.iter().filter(|command| command[0] == name).cloned().collect()
    }

    fn take_input(&mut self, index: usize, bytes: &[u8]) {
        self.connections[index].parser.feed(bytes);
        while let Ok(Some(Reply::Array(Some(parts)))) = self.connections[index].parser.next_reply() {
            let text = |part: Reply| match part {
                Reply::Bulk(Some(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
                _ => String::new(),
            };
            let command: Vec<String> = parts.into_iter().map(text).collect();
            if !self.is_hanging {
                self.execute(index, command);
            }
        }
    }

    fn execute(&mut self, index: usize, command: Vec<String>) {
        self.log.push(command.clone());
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let error = self.errors.get(words[0]).map(|error| format!("-{error}\r\n"));
        let reply = error.map_or_else(|| self.reply_to(&words), Some);
        match reply {
            Some(reply) if !self.is_mute => {
                self.reply_bytes_max = self.reply_bytes_max.max(reply.len());
                self.connections[index].output.extend(reply.into_bytes());
            }
            Some(_) => {}
            None => self.connections[index].blocked = Some((command, self.ms + 10_000)),
        }
        self.answer_blocked();
    }

    fn reply_to(&mut self, words: &[&str]) -> Option<String> {
        Some(match words {
            ["ROLE"] => array(&[bulk("master"), ":0\r\n".to_owned(), array(&[])]),
            ["SET", key, _, "PX", ms] => {
                self.keys.insert((*key).to_owned(), self.ms + ms.parse::<u64>().expect("a time"));
                "+OK\r\n".to_owned()
            }
            ["MGET", keys @ ..] => array(&keys.iter().map(|key| self.value(key)).collect::<Vec<_>>()),
            ["DEL", keys @ ..] => {
                for key in keys {
                    self.keys.remove(*key);
                    self.streams.remove(*key);
                }
                ":1\r\n".to_owned()
            }
            ["XADD", key, rest @ ..] => {
                let star = rest.iter().position(|word| *word == "*").expect("a star");
                let id = self.add(key, &rest[star + 1..]);
                if let ["MINID", "~", id] = rest[..star] {
                    let id = EntryId::parse(id).expect("an id");
                    self.streams.get_mut(*key).expect("a stream").1.retain(|(other, _)| *other >= id);
                }
                bulk(&id.to_string())
            }
            ["XREVRANGE", key, end, "-", "COUNT", count] => self.backwards(key, end, count.parse().expect("a count")),
            ["XINFO", "STREAM", key] => match self.streams.get(*key) {
                Some((_, entries)) => array(&[
                    bulk("length"),
                    format!(":{}\r\n", entries.len()),
                    bulk("first-entry"),
                    entries.first().map_or_else(|| "*-1\r\n".to_owned(), stored),
                ]),
                None => "-ERR no such key\r\n".to_owned(),
            },
            ["XREAD", "COUNT", count, rest @ ..] => {
                let is_blocking = rest[0] == "BLOCK";
                let found = self.forwards(count.parse().expect("a count"), &rest[if is_blocking { 3 } else { 1 }..]);
                return found.or_else(|| (!is_blocking).then(|| "*-1\r\n".to_owned()));
            }
            _ => "+OK\r\n".to_owned(),
        })
    }

    fn value(&self, key: &str) -> String {
        if self.keys.contains_key(key) { bulk("1") } else { "$-1\r\n".to_owned() }
    }

    fn backwards(&self, key: &str, end: &str, count: usize) -> String {
        let end = end.strip_prefix('(').map(|end| EntryId::parse(end).expect("an id"));
        let entries = self.streams.get(key).map_or(&[][..], |(_, entries)| entries);
        let is_in = |entry: &&Stored| end.is_none_or(|end| entry.0 < end);
        array(&entries.iter().rev().filter(is_in).take(count).map(stored).collect::<Vec<_>>())
    }

    fn forwards(&self, count: usize, arguments: &[&str]) -> Option<String> {
        let (keys, ids) = arguments.split_at(arguments.len() / 2);
        let mut found = Vec::new();
        for (key, id) in keys.iter().zip(ids) {
            let id = EntryId::parse(id).expect("an id");
            let entries = self.streams.get(*key).map_or(&[][..], |(_, entries)| entries);
            let new: Vec<String> = entries.iter().filter(|entry| entry.0 > id).take(count).map(stored).collect();
            if !new.is_empty() {
                found.push(array(&[bulk(key), array(&new)]));
            }
        }
        (!found.is_empty()).then(|| array(&found))
    }

    fn answer_blocked(&mut self) {
        for index in 0..self.connections.len() {
            let Some((command, _)) = &self.connections[index].blocked else { continue };
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            let count = words[2].parse().expect("a count");
            if let Some(reply) = self.forwards(count, &words[6..]) {
                let connection = &mut self.connections[index];
                connection.blocked = None;
                if !self.is_mute {
                    connection.output.extend(reply.into_bytes());
                }
            }
        }
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn array(parts: &[String]) -> String {
    format!("*{}\r\n{}", parts.len(), parts.concat())
}

fn stored((id, fields): &Stored) -> String {
    let fields: Vec<String> = fields.iter().map(|field| bulk(field)).collect();
    array(&[bulk(&id.to_string()), array(&fields)])
}

impl Read for FakeSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let connection = &mut self.redis.borrow_mut().connections[self.index];
        let bytes = connection.output.len().min(buffer.len());
        if bytes == 0 {
            return if connection.is_cut { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        buffer[..bytes].copy_from_slice(&connection.output[..bytes]);
        connection.output.drain(..bytes);
        Ok(bytes)
    }
}

impl Write for FakeSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut redis = self.redis.borrow_mut();
        if redis.connections[self.index].is_cut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        redis.take_input(self.index, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for FakeSocket {
    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn peer_address(&self) -> io::Result<Option<SocketAddr>> {
        Ok(None)
    }
}
