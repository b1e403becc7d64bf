//! The fake Redis of other tests against a real one: each command is given to both, and each reply compared.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::redis::{FakeRedis, Id};
use crate::support::{DEADLINE, Folder, eventually};

/// Where Debian has it.
const PROGRAM: &str = "/usr/bin/redis-server";

/// Commands that are compared.
const COMMANDS: usize = 10_000;

/// A real Redis on a Unix socket of its own, which keeps nothing.
struct RealRedis {
    process: Child,
    folder: Folder,
}

impl RealRedis {
    /// Starts it; `None`, and a word about it, if there is none.
    fn start() -> Option<RealRedis> {
        if !Path::new(PROGRAM).exists() {
            eprintln!("left out: there is no {PROGRAM}");
            return None;
        }
        let folder = Folder::new("redis");
        let options = ["--port", "0", "--save", "", "--appendonly", "no", "--stream-node-max-bytes", "0"];
        let process = Command::new(PROGRAM)
            .args(options)
            .args(["--unixsocket", &folder.path("redis"), "--dir", &folder.path("")])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        let redis = RealRedis { process, folder };
        eventually("redis-server answers", || redis.try_to_connect().is_ok());
        Some(redis)
    }

    fn try_to_connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.folder.path("redis"))
    }

    fn connect(&self) -> Real {
        let stream = self.try_to_connect().expect("redis-server listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        Real { stream, input: Vec::new() }
    }
}

impl Drop for RealRedis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection to a real Redis.
struct Real {
    stream: UnixStream,
    input: Vec<u8>,
}

impl Real {
    fn send(&mut self, command: &[String]) {
        self.stream.write_all(&encode(command)).expect("redis-server reads");
    }

    /// Reads a whole reply.
    fn reply(&mut self) -> Vec<u8> {
        loop {
            if let Some(end) = end_of_reply(&self.input) {
                return self.input.drain(..end).collect();
            }
            let mut buffer = [0; 64 * 1024];
            let read = self.stream.read(&mut buffer).expect("redis-server answers in time");
            assert!(read > 0, "redis-server goes on");
            self.input.extend_from_slice(&buffer[..read]);
        }
    }
}

/// A command as it is sent.
fn encode(command: &[String]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len());
    for word in command {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    bytes.into_bytes()
}

/// The end of the first reply, if it is whole.
fn end_of_reply(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")? + 2;
    let number = || str::from_utf8(&bytes[1..end - 2]).ok()?.parse::<i64>().ok();
    match bytes[0] {
        b'$' => match usize::try_from(number()?) {
            Ok(size) => (bytes.len() >= end + size + 2).then_some(end + size + 2),
            Err(_) => Some(end),
        },
        b'*' => (0..number()?).try_fold(end, |at, _| end_of_reply(&bytes[at..]).map(|size| at + size)),
        _ => Some(end),
    }
}

/// Choices of commands, the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

/// Builds commands on a few keys.
struct Commands {
    chance: Chance,
    /// Ids that were given to entries.
    ids: Vec<String>,
}

impl Commands {
    fn next(&mut self) -> Vec<String> {
        let stream = self.chance.pick(&["s1", "s2", "s3", "none", "text1"]).to_owned();
        let text = match self.chance.below(28) {
            0 => self.chance.pick(&["PING", "ping", "PING hello", "PING a b", "ROLE", "ROLE me"]).to_owned(),
            1 => self.chance.pick(&["CLIENT SETNAME a", "CLIENT SETNAME a\u{7f}", "CLIENT SETNAME", "AUTH"]).to_owned(),
            2 => self.chance.pick(&["AUTH pass", "AUTH default any", "AUTH who what", "AUTH a b c"]).to_owned(),
            3 => format!("SET {} {}", self.chance.pick(&["text1", "text2"]), self.chance.below(1_000)),
            4 => format!("SET text1 x PX {}", self.chance.pick(&["100000", "0", "-5", "many", "9999999"])),
            5 => self.chance.pick(&["SET text1", "SET text1 x PX", "SET text1 x QQ 5", "SET", "MGET"]).to_owned(),
            6 => format!("MGET text1 {stream} text2"),
            7 => self.chance.pick(&["DEL text1 text2", "DEL none", "DEL s3 none", "DEL"]).to_owned(),
            8 => format!("PEXPIRE {stream} {}", self.chance.pick(&["60000", "100000000", "many", "60000 AT"])),
            9 => self.chance.pick(&["PEXPIRE s3 -1", "PEXPIRE text2 0", "PEXPIRE s3", "PEXPIRE gone 5"]).to_owned(),
            10 => format!("XINFO STREAM {stream}"),
            11 => self.chance.pick(&["XINFO", "XINFO STREAM", "NONSENSE a b", "XADD s1 * a"]).to_owned(),
            12 => self.chance.pick(&["XADD s1 *", "XADD s1 x a b", "XADD s1 MINID ~ x * a b", "XADD s1"]).to_owned(),
            13 => self.chance.pick(&["XADD s1 MAXLEN ~ -1 * a b", "XADD s1 MAXLEN ~ x * a b", "XREAD"]).to_owned(),
            14 => self.chance.pick(&["XREAD STREAMS s1", "XREAD STREAMS s1 s2 0", "XREAD COUNT 1 s1 0"]).to_owned(),
            15..18 => self.range(&stream),
            18..21 => self.read(&stream),
            _ => self.add(&stream),
        };
        text.split(' ').map(str::to_owned).collect()
    }

    fn add(&mut self, stream: &str) -> String {
        let limit = match self.chance.below(30) {
            0 => format!("MINID ~ {} ", self.id()),
            1 | 2 => format!("MAXLEN ~ {} ", self.chance.below(900)),
            _ => String::new(),
        };
        format!("XADD {stream} {limit}* n {} e {}", self.chance.below(100), "x".repeat(self.chance.below(50)))
    }

    fn range(&mut self, stream: &str) -> String {
        let ends = [self.bound(), self.bound()];
        let count = self.count();
        let command = self.chance.pick(&["XRANGE", "XREVRANGE", "xrange"]);
        format!("{command} {stream} {} {}{count}", ends[0], ends[1])
    }

    fn read(&mut self, stream: &str) -> String {
        let count = match self.chance.below(4) {
            0 => String::new(),
            _ => format!("COUNT {} ", self.chance.pick(&["1", "5", "100", "0", "-1", "x"])),
        };
        // With no time to wait there is no race between the two clocks.
        let block = self.chance.pick(&["", "", "BLOCK 1 ", "BLOCK -1 ", "BLOCK x "]);
        let other = self.chance.pick(&["s1", "s2", "s4"]);
        let ids = [self.place(), self.place()];
        format!("XREAD {count}{block}STREAMS {stream} {other} {} {}", ids[0], ids[1])
    }

    fn place(&mut self) -> String {
        match self.chance.below(4) {
            0 => self.chance.pick(&["0", "0-0", "$", "+x", "99999999999999", "1-"]).to_owned(),
            _ => self.id(),
        }
    }

    fn bound(&mut self) -> String {
        let open = self.chance.pick(&["", "", "("]);
        match self.chance.below(3) {
            0 => self.chance.pick(&["-", "+", "0", "(0-0", "x", "(18446744073709551615"]).to_owned(),
            _ => format!("{open}{}", self.id()),
        }
    }

    fn count(&mut self) -> String {
        self.chance.pick(&["", " COUNT 3", " COUNT 0", " COUNT -1", " COUNT x", " COUNT", " COUNT 64"]).to_owned()
    }

    /// An id that was given, whole or its time alone.
    fn id(&mut self) -> String {
        if self.ids.is_empty() {
            return "5-1".to_owned();
        }
        let id = &self.ids[self.chance.below(self.ids.len())];
        if self.chance.0.is_multiple_of(5) { id.split('-').next().unwrap_or_default().to_owned() } else { id.clone() }
    }
}

/// The id in the reply to an `XADD`.
fn given_id(reply: &[u8]) -> Option<Id> {
    let text = str::from_utf8(reply.strip_prefix(b"$")?).ok()?;
    Id::parse(text.split("\r\n").nth(1)?.as_bytes(), 0)
}

/// The reply without the size of the tree, which is Redis' own affair.
fn without_tree(reply: &[u8]) -> String {
    let text = String::from_utf8_lossy(reply).into_owned();
    match text.split_once("radix-tree-nodes\r\n:") {
        Some((before, behind)) => format!("{before}{}", behind.split_once("\r\n").map_or("", |(_, rest)| rest)),
        None => text,
    }
}

#[test]
fn the_fake_answers_each_command_as_a_real_redis_does() {
    let Some(redis) = RealRedis::start() else { return };
    let mut real = redis.connect();
    let mut fake = FakeRedis::new();
    let client = fake.connect();
    let mut commands = Commands { chance: Chance(0x0123_4567_89ab_cdef), ids: Vec::new() };
    // Behind all ids that the real one gives: it says what time it is.
    let mut now_ms = 1;
    for number in 0..COMMANDS {
        let command = commands.next();
        real.send(&command);
        let expected = real.reply();
        let id = given_id(&expected).filter(|_| command[0] == "XADD");
        if let Some(id) = id {
            now_ms = now_ms.max(id.ms);
            commands.ids.push(id.to_string());
        }
        fake.receive(client, &encode(&command), now_ms);
        if fake.replies(client) == 0 {
            now_ms += 1;
            fake.advance(now_ms);
        }
        let reply = fake.take_replies(client, usize::MAX);
        assert_eq!(without_tree(&reply), without_tree(&expected), "command {number}: {command:?}");
    }
    assert!(commands.ids.len() > 1_000, "{} entries were added", commands.ids.len());
}

#[test]
fn the_fake_wakes_a_blocked_reader_as_a_real_redis_does() {
    let Some(redis) = RealRedis::start() else { return };
    let command = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (mut reader, mut writer) = (redis.connect(), redis.connect());
    let mut fake = FakeRedis::new();
    let (fake_reader, fake_writer) = (fake.connect(), fake.connect());
    // What stands behind a blocked read waits with it.
    let read = command("XREAD COUNT 2 BLOCK 0 STREAMS s1 s2 $ 5");
    reader.send(&read);
    reader.send(&command("PING"));
    fake.receive(fake_reader, &[encode(&read), encode(&command("PING"))].concat(), 1);
    reader.stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a deadline");
    assert!(reader.stream.read(&mut [0]).is_err() && fake.replies(fake_reader) == 0, "it waits");
    reader.stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    for text in ["XADD s3 * a b", "XADD s2 * a b", "XADD s1 * c d"] {
        writer.send(&command(text));
        let expected = writer.reply();
        fake.receive(fake_writer, &encode(&command(text)), given_id(&expected).expect("an id").ms);
        assert_eq!(fake.take_replies(fake_writer, usize::MAX), expected);
    }
    let mut expected = reader.reply();
    expected.extend(reader.reply());
    let replies = fake.take_replies(fake_reader, usize::MAX);
    assert_eq!(String::from_utf8_lossy(&replies), String::from_utf8_lossy(&expected));
}
