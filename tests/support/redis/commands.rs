//! The commands that the fake knows, with the words of Redis 7.0 where it refuses them.

use super::stream::{Id, Limit, Stream};
use super::wire::{Replies, Request};
use super::{Blocked, Client, FakeRedis, Key, Mood, Value, mark};

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const NO_ID: &str = "ERR Invalid stream ID specified as stream command argument";
const NO_NUMBER: &str = "ERR value is not an integer or out of range";
const SYNTAX: &str = "ERR syntax error";
const NO_KEY: &str = "ERR no such key";

/// Words of an error.
type Refusal = String;

/// Commands, and the least number of words that each has; negative where that is the exact number.
const COMMANDS: [(&str, i32); 13] = [
    ("AUTH", 2),
    ("CLIENT", 2),
    ("ROLE", -1),
    ("PING", 1),
    ("XADD", 5),
    ("XREAD", 4),
    ("XRANGE", 4),
    ("XREVRANGE", 4),
    ("XINFO", 2),
    ("SET", 3),
    ("MGET", 2),
    ("DEL", 2),
    ("PEXPIRE", 3),
];

impl FakeRedis {
    /// Does a command, and answers it.
    pub(super) fn execute(&mut self, client: &mut Client, request: &Request) {
        if let Err(words) = self.try_to(client, request) {
            // Neither its mood nor what it holds is the reason.
            if words.starts_with("ERR") && words != NO_KEY {
                self.fault.get_or_insert_with(|| words.clone());
            }
            client.replies.error(&words);
        }
    }

    fn try_to(&mut self, client: &mut Client, request: &Request) -> Result<(), Refusal> {
        let name = String::from_utf8_lossy(&request[0]).to_uppercase();
        let Some(&(_, words)) = COMMANDS.iter().find(|(command, _)| *command == name) else {
            return Err(unknown(request));
        };
        let count = i32::try_from(request.len()).expect("few words");
        if count < words || words < 0 && count != -words {
            return Err(format!("ERR wrong number of arguments for '{}' command", name.to_lowercase()));
        }
        self.permit(client, &name)?;
        let replies = &mut client.replies;
        match name.as_str() {
            "AUTH" => self.authenticate(client, &request[1..])?,
            "CLIENT" => set_name(client, &request[1..])?,
            "ROLE" => self.tell_role(replies),
            "PING" => match &request[1..] {
                [] => replies.simple("PONG"),
                [text] => replies.bulk(text),
                _ => return Err("ERR wrong number of arguments for 'ping' command".to_owned()),
            },
            "XADD" => self.xadd(replies, &request[1..])?,
            "XREAD" => self.xread(client, &request[1..])?,
            "XRANGE" => self.xrange(replies, &request[1..], false)?,
            "XREVRANGE" => self.xrange(replies, &request[1..], true)?,
            "XINFO" => self.xinfo(replies, &request[1..])?,
            "SET" => self.set(replies, &request[1..])?,
            "MGET" => self.mget(replies, &request[1..]),
            "DEL" => replies.number(request[1..].iter().filter(|key| self.delete(key)).count()),
            _ => self.pexpire(replies, &request[1..])?,
        }
        Ok(())
    }

    /// Whether this command is answered at all.
    fn permit(&self, client: &Client, name: &str) -> Result<(), Refusal> {
        if !client.is_authenticated && name != "AUTH" {
            return Err("NOAUTH Authentication required.".to_owned());
        }
        let writes = matches!(name, "XADD" | "SET" | "PEXPIRE" | "DEL");
        let grows = matches!(name, "XADD" | "SET");
        match self.mood {
            Mood::Loading if name != "AUTH" => Err("LOADING Redis is loading the dataset in memory".to_owned()),
            Mood::Full if grows => Err("OOM command not allowed when used memory > 'maxmemory'.".to_owned()),
            Mood::Replica if writes => Err("READONLY You can't write against a read only replica.".to_owned()),
            _ => Ok(()),
        }
    }

    fn authenticate(&self, client: &mut Client, arguments: &[Vec<u8>]) -> Result<(), Refusal> {
        let (user, password): (&[u8], &[u8]) = match arguments {
            [password] => (b"default", password),
            [user, password] => (user, password),
            _ => return Err(SYNTAX.to_owned()),
        };
        match &self.password {
            None if arguments.len() == 1 => Err("ERR AUTH <password> called without any password configured for the \
                 default user. Are you sure your configuration is correct?"
                .to_owned()),
            // Without a password, the default user has any.
            None if user == b"default" => {
                client.replies.simple("OK");
                Ok(())
            }
            Some((known, right)) if known.as_bytes() == user && right.as_bytes() == password => {
                client.is_authenticated = true;
                client.replies.simple("OK");
                Ok(())
            }
            _ => Err("WRONGPASS invalid username-password pair or user is disabled.".to_owned()),
        }
    }

    fn tell_role(&self, replies: &mut Replies) {
        if self.mood == Mood::Replica {
            replies.array(5);
            replies.bulk("slave");
            replies.bulk("192.0.2.1");
            replies.number(6379);
            replies.bulk("connected");
            replies.number(0);
        } else {
            replies.array(3);
            replies.bulk("master");
            replies.number(0);
            replies.array(0);
        }
    }

    fn stream_at(&self, key: &[u8]) -> Result<Option<&Stream>, Refusal> {
        match self.keys.get(key) {
            None => Ok(None),
            Some(Key { value: Value::Stream(stream), .. }) => Ok(Some(stream)),
            Some(Key { value: Value::Text(_), .. }) => Err(WRONG_TYPE.to_owned()),
        }
    }

    fn xadd(&mut self, replies: &mut Replies, arguments: &[Vec<u8>]) -> Result<(), Refusal> {
        let key = &arguments[0];
        let mut rest = &arguments[1..];
        let mut limit = None;
        if rest[0].eq_ignore_ascii_case(b"MINID") || rest[0].eq_ignore_ascii_case(b"MAXLEN") {
            let [word, about, value, behind @ ..] = rest else { return Err(SYNTAX.to_owned()) };
            assert_eq!(about, b"~", "the bus trims about");
            limit = Some(if word.eq_ignore_ascii_case(b"MINID") {
                Limit::From(Id::parse(value, 0).ok_or(NO_ID)?)
            } else {
                let length = number(value)?;
                let is_negative = "ERR The MAXLEN argument must be >= 0.";
                Limit::Length(usize::try_from(length).map_err(|_| is_negative)?)
            });
            rest = behind;
        }
        let [id, fields @ ..] = rest else {
            return Err("ERR wrong number of arguments for 'xadd' command".to_owned());
        };
        if id != b"*" {
            return Err(NO_ID.to_owned());
        }
        if fields.is_empty() || fields.len() % 2 == 1 {
            return Err("ERR wrong number of arguments for 'xadd' command".to_owned());
        }
        self.stream_at(key)?;
        let id = self.add_to(key, fields.to_vec());
        replies.bulk(id.to_string());
        if let Some(limit) = limit
            && let Some(Key { value: Value::Stream(stream), .. }) = self.keys.get_mut(key)
        {
            let before: Vec<Id> = stream.entries.keys().copied().collect();
            stream.trim(limit);
            let first = stream.entries.first_key_value().map_or(Id::MAX, |(&id, _)| id);
            for &id in before.iter().take_while(|&&id| id < first) {
                mark(&mut self.added, key, id, |added| added.is_trimmed = true);
            }
        }
        Ok(())
    }

    fn xread(&mut self, client: &mut Client, arguments: &[Vec<u8>]) -> Result<(), Refusal> {
        let (mut entries_max, mut block_ms) = (0, None);
        let mut rest = arguments;
        let streams = loop {
            match rest {
                [word, value, behind @ ..] if word.eq_ignore_ascii_case(b"COUNT") => {
                    entries_max = usize::try_from(number(value)?).unwrap_or(0);
                    rest = behind;
                }
                [word, value, behind @ ..] if word.eq_ignore_ascii_case(b"BLOCK") => {
                    let ms = number(value).map_err(|_| "ERR timeout is not an integer or out of range")?;
                    block_ms = Some(u64::try_from(ms).map_err(|_| "ERR timeout is negative")?);
                    rest = behind;
                }
                [word, behind @ ..] if word.eq_ignore_ascii_case(b"STREAMS") && !behind.is_empty() => break behind,
                _ => return Err(SYNTAX.to_owned()),
            }
        };
        if streams.len() % 2 == 1 {
            return Err(
                "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.".to_owned()
            );
        }
        let (keys, ids) = streams.split_at(streams.len() / 2);
        let mut wanted = Vec::new();
        for (key, id) in keys.iter().zip(ids) {
            let stream = self.stream_at(key)?;
            let after = match id.as_slice() {
                b"$" => stream.map_or(Id::MIN, |stream| stream.last),
                id => Id::parse(id, 0).ok_or(NO_ID)?,
            };
            wanted.push((key.clone(), after));
        }
        let found = |(key, after): &&(Vec<u8>, Id)| {
            let stream = self.stream_at(key).ok().flatten();
            stream.is_some_and(|stream| stream.has_after(*after))
        };
        let full: Vec<&(Vec<u8>, Id)> = wanted.iter().filter(found).collect();
        if !full.is_empty() {
            client.replies.array(full.len());
            for (key, after) in full {
                let stream = self.stream_at(key)?.expect("it was found");
                reply_stream(&mut client.replies, key, stream, *after, entries_max);
            }
        } else if let Some(block_ms) = block_ms {
            let until_ms = (block_ms > 0).then(|| self.now_ms + block_ms);
            client.blocked = Some(Blocked { streams: wanted, entries_max, until_ms });
        } else {
            client.replies.no_array();
        }
        Ok(())
    }

    fn xrange(&self, replies: &mut Replies, arguments: &[Vec<u8>], is_backward: bool) -> Result<(), Refusal> {
        let (from, to) = if is_backward { (&arguments[2], &arguments[1]) } else { (&arguments[1], &arguments[2]) };
        let (from, to) = (bound(from, false)?, bound(to, true)?);
        let entries_max = match &arguments[3..] {
            [] => None,
            [word, value] if word.eq_ignore_ascii_case(b"COUNT") => {
                Some(usize::try_from(number(value)?).unwrap_or_default())
            }
            _ => return Err(SYNTAX.to_owned()),
        };
        let Some(stream) = self.stream_at(&arguments[0])? else {
            replies.array(0);
            return Ok(());
        };
        if entries_max == Some(0) {
            replies.no_array();
            return Ok(());
        }
        let entries_max = entries_max.unwrap_or(usize::MAX);
        let range = stream.range(from..=to);
        let found: Vec<_> =
            if is_backward { range.rev().take(entries_max).collect() } else { range.take(entries_max).collect() };
        replies.array(found.len());
        found.into_iter().for_each(|(&id, fields)| reply_entry(replies, id, fields));
        Ok(())
    }

    fn xinfo(&self, replies: &mut Replies, arguments: &[Vec<u8>]) -> Result<(), Refusal> {
        if !arguments[0].eq_ignore_ascii_case(b"STREAM") {
            return Err("ERR the bus gives no such command".to_owned());
        }
        if arguments.len() != 2 {
            return Err("ERR wrong number of arguments for 'xinfo|stream' command".to_owned());
        }
        let stream = self.stream_at(&arguments[1])?.ok_or(NO_KEY)?;
        let (first, last) = (stream.entries.first_key_value(), stream.entries.last_key_value());
        replies.array(20);
        let mut pair = |name: &str, number: usize| {
            replies.bulk(name);
            replies.number(number);
        };
        pair("length", stream.entries.len());
        pair("radix-tree-keys", stream.nodes());
        pair("radix-tree-nodes", stream.nodes() + 1);
        replies.bulk("last-generated-id");
        replies.bulk(stream.last.to_string());
        replies.bulk("max-deleted-entry-id");
        replies.bulk("0-0");
        replies.bulk("entries-added");
        replies.number(stream.added);
        replies.bulk("recorded-first-entry-id");
        replies.bulk(first.map_or(Id::MIN, |(&id, _)| id).to_string());
        replies.bulk("groups");
        replies.number(0);
        for (name, entry) in [("first-entry", first), ("last-entry", last)] {
            replies.bulk(name);
            match entry {
                Some((&id, fields)) => reply_entry(replies, id, fields),
                None => replies.no_bulk(),
            }
        }
        Ok(())
    }

    fn set(&mut self, replies: &mut Replies, arguments: &[Vec<u8>]) -> Result<(), Refusal> {
        let expires_ms = match &arguments[2..] {
            [] => None,
            [word, value] if word.eq_ignore_ascii_case(b"PX") => match number(value)? {
                ms @ 1.. => Some(self.now_ms + ms.unsigned_abs()),
                _ => return Err("ERR invalid expire time in 'set' command".to_owned()),
            },
            _ => return Err(SYNTAX.to_owned()),
        };
        self.delete(&arguments[0]);
        let value = Value::Text(arguments[1].clone());
        self.keys.insert(arguments[0].clone(), Key { value, expires_ms });
        replies.simple("OK");
        Ok(())
    }

    fn mget(&self, replies: &mut Replies, keys: &[Vec<u8>]) {
        replies.array(keys.len());
        for key in keys {
            match self.keys.get(key) {
                Some(Key { value: Value::Text(text), .. }) => replies.bulk(text),
                _ => replies.no_bulk(),
            }
        }
    }

    fn delete(&mut self, key: &[u8]) -> bool {
        let of_key = self.added.iter_mut().filter(|added| added.key == key);
        of_key.for_each(|added| added.is_lost = true);
        self.keys.remove(key).is_some()
    }

    fn pexpire(&mut self, replies: &mut Replies, arguments: &[Vec<u8>]) -> Result<(), Refusal> {
        let ms = number(&arguments[1])?;
        if arguments.len() > 2 {
            return Err(format!("ERR Unsupported option {}", String::from_utf8_lossy(&arguments[2])));
        }
        let now_ms = self.now_ms;
        let Some(key) = self.keys.get_mut(&arguments[0]) else {
            replies.number(0);
            return Ok(());
        };
        match u64::try_from(ms) {
            Ok(ms @ 1..) => key.expires_ms = Some(now_ms + ms),
            _ => {
                self.delete(&arguments[0]);
            }
        }
        replies.number(1);
        Ok(())
    }
}

/// Answers with the entries of a stream behind an id, at most so many; 0 is no limit.
pub(super) fn reply_stream(replies: &mut Replies, key: &[u8], stream: &Stream, after: Id, entries_max: usize) {
    let entries_max = if entries_max == 0 { usize::MAX } else { entries_max };
    let from = after.next().unwrap_or(Id::MAX);
    let found: Vec<_> = stream.range(from..=Id::MAX).take(entries_max).collect();
    replies.array(2);
    replies.bulk(key);
    replies.array(found.len());
    found.into_iter().for_each(|(&id, fields)| reply_entry(replies, id, fields));
}

fn reply_entry(replies: &mut Replies, id: Id, fields: &[Vec<u8>]) {
    replies.array(2);
    replies.bulk(id.to_string());
    replies.array(fields.len());
    fields.iter().for_each(|field| replies.bulk(field));
}

fn set_name(client: &mut Client, arguments: &[Vec<u8>]) -> Result<(), Refusal> {
    match arguments {
        [word, name] if word.eq_ignore_ascii_case(b"SETNAME") => {
            if !name.iter().all(|byte| matches!(byte, b'!'..=b'~')) {
                return Err("ERR Client names cannot contain spaces, newlines or special characters.".to_owned());
            }
            client.name.clone_from(name);
            client.replies.simple("OK");
            Ok(())
        }
        [word, ..] if word.eq_ignore_ascii_case(b"SETNAME") => {
            Err("ERR wrong number of arguments for 'client|setname' command".to_owned())
        }
        _ => Err("ERR the bus gives no such command".to_owned()),
    }
}

fn unknown(request: &Request) -> Refusal {
    let [name, arguments @ ..] = request.as_slice() else { return SYNTAX.to_owned() };
    let arguments: String =
        arguments.iter().map(|argument| format!("'{}' ", String::from_utf8_lossy(argument))).collect();
    format!("ERR unknown command '{}', with args beginning with: {arguments}", String::from_utf8_lossy(name))
}

fn number(text: &[u8]) -> Result<i64, Refusal> {
    let text = str::from_utf8(text).unwrap_or_default();
    // Redis takes neither a plus nor zeros before a number.
    let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
    number.ok_or_else(|| NO_NUMBER.to_owned())
}

/// Reads an end of a range.
fn bound(text: &[u8], is_end: bool) -> Result<Id, Refusal> {
    let seq = if is_end { u64::MAX } else { 0 };
    match text {
        b"-" => Ok(Id::MIN),
        b"+" => Ok(Id::MAX),
        [b'(', id @ ..] => {
            let id = Id::parse(id, seq).ok_or(NO_ID)?;
            let bound = if is_end { id.previous() } else { id.next() };
            let kind = if is_end { "end" } else { "start" };
            bound.ok_or_else(|| format!("ERR invalid {kind} ID for the interval"))
        }
        id => Ok(Id::parse(id, seq).ok_or(NO_ID)?),
    }
}
