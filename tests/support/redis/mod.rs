//! A Redis in memory, without a socket and without a clock: as much of it as the bus uses, and faults of it.
//!
//! Bytes of connections go in, bytes of replies come out, and the time is an argument. Entries have the ids that Redis
//! would give them. Blocked reads block only their own connection. `server/bus_fake.rs` compares each reply with those
//! of a real Redis.

mod commands;
mod stream;
mod wire;

use std::collections::{BTreeMap, VecDeque};

pub use stream::{Fields, Id, Stream};
use wire::{Replies, Request};

/// The way in which commands are answered for the time being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Replies.
    Well,
    /// `LOADING`, whatever is asked.
    Loading,
    /// `OOM`, where something is to be written.
    Full,
    /// `READONLY`, where something is to be written: it is a replica now, and says so (`ROLE`).
    Replica,
}

/// A value.
#[derive(Clone, Debug)]
enum Value {
    Text(Vec<u8>),
    Stream(Stream),
}

/// A value, and its end.
#[derive(Clone, Debug)]
struct Key {
    value: Value,
    expires_ms: Option<u64>,
}

/// An entry that was added, ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The key of its stream.
    pub key: Vec<u8>,
    /// Its id.
    pub id: Id,
    /// Fields and values.
    pub fields: Fields,
    /// Whether it is gone as if it had never been: with the tail of its stream, or with all data.
    pub is_lost: bool,
    /// Whether it is gone with the head of its stream.
    pub is_trimmed: bool,
}

/// A read that waits for an entry.
#[derive(Debug)]
struct Blocked {
    /// Streams, and the ids behind which it reads.
    streams: Vec<(Vec<u8>, Id)>,
    entries_max: usize,
    /// `None`: it waits for ever.
    until_ms: Option<u64>,
}

/// A connection.
#[derive(Debug, Default)]
struct Client {
    input: VecDeque<u8>,
    replies: Replies,
    blocked: Option<Blocked>,
    is_authenticated: bool,
    name: Vec<u8>,
    /// Whether Redis ended it.
    is_ended: bool,
    /// Whether the client is gone: what it has sent is done, and answers nobody.
    is_deserted: bool,
}

/// A Redis.
#[derive(Debug)]
pub struct FakeRedis {
    keys: BTreeMap<Vec<u8>, Key>,
    clients: BTreeMap<usize, Client>,
    next_client: usize,
    password: Option<(String, String)>,
    mood: Mood,
    is_hung: bool,
    /// Its clock is so many ms behind.
    behind_ms: u64,
    /// Its time, by its own clock.
    now_ms: u64,
    /// The streams to which something was added, and whose blocked readers were not told.
    fresh: Vec<Vec<u8>>,
    added: Vec<Added>,
    counts: BTreeMap<String, u64>,
    fault: Option<String>,
}

impl Default for FakeRedis {
    fn default() -> FakeRedis {
        FakeRedis::new()
    }
}

impl FakeRedis {
    /// An empty one.
    pub fn new() -> FakeRedis {
        FakeRedis {
            keys: BTreeMap::new(),
            clients: BTreeMap::new(),
            next_client: 0,
            password: None,
            mood: Mood::Well,
            is_hung: false,
            behind_ms: 0,
            now_ms: 0,
            fresh: Vec::new(),
            added: Vec::new(),
            counts: BTreeMap::new(),
            fault: None,
        }
    }

    /// Demands a password of a user: `default` is the user of those that name none.
    pub fn set_password(&mut self, user: &str, password: &str) {
        self.password = Some((user.to_owned(), password.to_owned()));
    }

    /// Accepts a connection, and returns its number.
    pub fn connect(&mut self) -> usize {
        let number = self.next_client;
        self.next_client += 1;
        self.clients.insert(number, Client { is_authenticated: self.password.is_none(), ..Client::default() });
        number
    }

    /// Takes bytes of a connection, and does what they say; also when the client is gone meanwhile.
    pub fn receive(&mut self, client: usize, bytes: &[u8], now_ms: u64) {
        self.set_clock(now_ms);
        if let Some(client) = self.clients.get_mut(&client) {
            client.input.extend(bytes);
        }
        self.serve(client);
        self.wake_readers();
    }

    /// Lets the time pass: reads that were blocked for long enough are answered, and keys end.
    pub fn advance(&mut self, now_ms: u64) {
        self.set_clock(now_ms);
        if self.is_hung {
            return;
        }
        let now_ms = self.now_ms;
        for client in self.clients.values_mut() {
            if client.blocked.as_ref().is_some_and(|blocked| blocked.until_ms.is_some_and(|end| end <= now_ms)) {
                client.blocked = None;
                client.replies.no_array();
            }
        }
        self.serve_all();
    }

    /// Returns when [`advance`](FakeRedis::advance) would do something, by the clock of its callers.
    pub fn next_wake_ms(&self) -> Option<u64> {
        let ends = self.clients.values().filter_map(|client| client.blocked.as_ref()?.until_ms);
        ends.min().filter(|_| !self.is_hung).map(|end| end + self.behind_ms)
    }

    /// Takes up to so many bytes of replies.
    pub fn take_replies(&mut self, client: usize, bytes_max: usize) -> Vec<u8> {
        self.clients.get_mut(&client).map(|client| client.replies.take(bytes_max)).unwrap_or_default()
    }

    /// Returns how many bytes of replies wait.
    pub fn replies(&self, client: usize) -> usize {
        self.clients.get(&client).map_or(0, |client| client.replies.len())
    }

    /// Whether it ended a connection: behind the replies that wait comes the end.
    pub fn has_ended(&self, client: usize) -> bool {
        self.clients.get(&client).is_none_or(|client| client.is_ended)
    }

    /// Learns that a client is gone. Bytes of it may still come, and are obeyed.
    pub fn desert(&mut self, client: usize) {
        if let Some(client) = self.clients.get_mut(&client) {
            client.is_deserted = true;
            client.blocked = None;
        }
    }

    /// Stops for a while, as after SIGSTOP: it takes all bytes, and answers nothing. Or goes on.
    pub fn hang(&mut self, is_hung: bool, now_ms: u64) {
        self.set_clock(now_ms);
        self.is_hung = is_hung;
        self.serve_all();
    }

    /// Whether it stands still.
    pub fn is_hung(&self) -> bool {
        self.is_hung
    }

    /// Answers as if it were in this mood. A master that becomes a replica ends all blocked reads.
    pub fn set_mood(&mut self, mood: Mood) {
        self.mood = mood;
        if mood == Mood::Replica {
            for client in self.clients.values_mut() {
                if client.blocked.take().is_some() {
                    let words = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> \
                                 replica?)";
                    client.replies.error(words);
                }
            }
        }
    }

    /// Returns its mood.
    pub fn mood(&self) -> Mood {
        self.mood
    }

    /// Ends all connections, and is there again, with its data or without.
    pub fn restart(&mut self, keeps_data: bool) {
        for client in self.clients.values_mut() {
            client.is_ended = true;
            client.blocked = None;
        }
        self.is_hung = false;
        if !keeps_data {
            self.keys.clear();
            self.added.iter_mut().for_each(|added| added.is_lost = true);
        }
    }

    /// Makes way for a replica that has not heard of the last entries of each stream, and whose clock is behind.
    /// Returns how many entries are gone.
    pub fn lose_tail(&mut self, entries: usize, behind_ms: u64) -> usize {
        self.restart(true);
        self.behind_ms += behind_ms;
        self.now_ms = self.now_ms.saturating_sub(behind_ms);
        let mut lost = 0;
        for (key, stream) in streams(&mut self.keys) {
            for id in stream.drop_last(entries) {
                lost += 1;
                mark(&mut self.added, key, id, |added| added.is_lost = true);
            }
        }
        lost
    }

    /// Removes the head of a stream, but for so many entries.
    pub fn trim(&mut self, key: &str, entries: usize) {
        let Some(Key { value: Value::Stream(stream), .. }) = self.keys.get_mut(key.as_bytes()) else { return };
        let over = stream.entries.len().saturating_sub(entries);
        for id in stream.drop_first(over) {
            mark(&mut self.added, key.as_bytes(), id, |added| added.is_trimmed = true);
        }
    }

    /// Removes a key, as an operator might.
    pub fn remove(&mut self, key: &str) {
        self.keys.remove(key.as_bytes());
        let of_key = self.added.iter_mut().filter(|added| added.key == key.as_bytes());
        of_key.for_each(|added| added.is_lost = true);
    }

    /// Adds an entry, as any client might.
    pub fn add(&mut self, key: &str, fields: &[&str], now_ms: u64) -> Id {
        self.set_clock(now_ms);
        let id = self.add_to(key.as_bytes(), fields.iter().map(|field| field.as_bytes().to_vec()).collect());
        self.wake_readers();
        id
    }

    /// Returns a stream.
    pub fn stream(&self, key: &str) -> Option<&Stream> {
        match &self.keys.get(key.as_bytes())?.value {
            Value::Stream(stream) => Some(stream),
            Value::Text(_) => None,
        }
    }

    /// Returns the keys that are there.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(|key| str::from_utf8(key).expect("text"))
    }

    /// Returns all entries that were ever added, in that order.
    pub fn added(&self) -> &[Added] {
        &self.added
    }

    /// Returns how often a command was given, by its name in capitals.
    pub fn count(&self, command: &str) -> u64 {
        self.counts.get(command).copied().unwrap_or(0)
    }

    /// Returns how many commands were given.
    pub fn commands(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Returns what a client did that no client of Redis may do.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Returns the names of the connections that are there.
    pub fn client_names(&self) -> impl Iterator<Item = &str> {
        let are_there = self.clients.values().filter(|client| !client.is_ended && !client.is_deserted);
        are_there.map(|client| str::from_utf8(&client.name).expect("text"))
    }

    fn set_clock(&mut self, now_ms: u64) {
        self.now_ms = now_ms.saturating_sub(self.behind_ms);
        let now_ms = self.now_ms;
        self.keys.retain(|_, key| key.expires_ms.is_none_or(|end| end > now_ms));
    }

    fn serve_all(&mut self) {
        for client in self.clients.keys().copied().collect::<Vec<_>>() {
            self.serve(client);
        }
        self.wake_readers();
        // What was obeyed to the end, and answers nobody, is forgotten.
        self.clients.retain(|_, client| !client.is_ended || !client.replies.is_empty());
    }

    /// Does what a connection asks for, as far as it is not blocked.
    fn serve(&mut self, number: usize) {
        while !self.is_hung
            && let Some(client) = self.clients.get_mut(&number)
            && client.blocked.is_none()
            && !client.is_ended
        {
            match wire::take_request(&mut client.input) {
                Ok(Some(request)) => self.obey(number, &request),
                Ok(None) => return,
                Err(what) => {
                    client.replies.error(&format!("ERR Protocol error: {what}"));
                    client.is_ended = true;
                    self.fault.get_or_insert(what);
                }
            }
        }
    }

    fn obey(&mut self, number: usize, request: &Request) {
        let Some(command) = request.first() else { return };
        *self.counts.entry(String::from_utf8_lossy(command).to_uppercase()).or_default() += 1;
        // The command needs the rest of it beside its client.
        let mut client = self.clients.remove(&number).expect("a client");
        let replies_before = client.replies.len();
        self.execute(&mut client, request);
        if client.is_deserted {
            client.blocked = None;
            client.replies = Replies::default();
        } else {
            let has_answer = client.replies.len() > replies_before || client.blocked.is_some();
            assert!(has_answer, "{} is answered", String::from_utf8_lossy(command));
        }
        self.clients.insert(number, client);
    }

    fn add_to(&mut self, key: &[u8], fields: Fields) -> Id {
        let now_ms = self.now_ms;
        let key_of = || Key { value: Value::Stream(Stream::default()), expires_ms: None };
        let Value::Stream(stream) = &mut self.keys.entry(key.to_vec()).or_insert_with(key_of).value else {
            panic!("{} is no stream", String::from_utf8_lossy(key));
        };
        let id = stream.add(fields.clone(), now_ms);
        self.added.push(Added { key: key.to_vec(), id, fields, is_lost: false, is_trimmed: false });
        self.fresh.push(key.to_vec());
        id
    }

    /// Answers the blocked readers of streams that have grown; each is told of one stream alone, as Redis does.
    fn wake_readers(&mut self) {
        while !self.fresh.is_empty() {
            for key in std::mem::take(&mut self.fresh) {
                let Some(Key { value: Value::Stream(stream), .. }) = self.keys.get(&key) else { continue };
                for client in self.clients.values_mut() {
                    let Some(blocked) = &client.blocked else { continue };
                    let Some(&(_, after)) = blocked.streams.iter().find(|(name, _)| *name == key) else { continue };
                    if stream.last > after {
                        let entries_max = blocked.entries_max;
                        client.blocked = None;
                        client.replies.array(1);
                        commands::reply_stream(&mut client.replies, &key, stream, after, entries_max);
                    }
                }
            }
            for client in self.clients.keys().copied().collect::<Vec<_>>() {
                self.serve(client);
            }
        }
    }
}

fn streams(keys: &mut BTreeMap<Vec<u8>, Key>) -> impl Iterator<Item = (&Vec<u8>, &mut Stream)> {
    keys.iter_mut().filter_map(|(name, key)| match &mut key.value {
        Value::Stream(stream) => Some((name, stream)),
        Value::Text(_) => None,
    })
}

/// Finds an entry among those that were added, from the end.
fn mark(added: &mut [Added], key: &[u8], id: Id, change: impl FnOnce(&mut Added)) {
    let found = added.iter_mut().rev().find(|added| added.id == id && added.key == key && !added.is_lost);
    change(found.expect("it was added"));
}
