//! The state machine against a model of a server, over connections that are lost at every byte.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::super::*;
use crate::relay::notice::Notice;

/// Records that the model keeps for a history.
const HISTORY: usize = 3;

/// A room, one session in it, and its present connection.
struct Server {
    log: Vec<String>,
    /// The first record of each run of the server. A journal keeps all.
    runs: Vec<usize>,
    /// The first record of each second, if several servers share the log: each begins an epoch.
    seconds: Option<Vec<usize>>,
    /// Whether the next record is of another second.
    is_second_over: bool,
    /// Records before this one have left the tape.
    tail: usize,
    token: Option<u64>,
    tokens: u64,
    heard: u64,
    /// The client's said lines, as they were taken.
    own: Vec<String>,
    name: String,
    cursor: usize,
    conn: Option<Conn>,
    has_seat: bool,
    is_stalled: bool,
}

#[derive(Default)]
struct Conn {
    input: Vec<u8>,
    output: VecDeque<u8>,
    is_tracked: bool,
    has_entered: bool,
    lines: u64,
}

impl Server {
    fn new(is_shared: bool) -> Server {
        Server {
            log: vec!["eve> one".into(), "eve> two".into()],
            runs: vec![0],
            seconds: is_shared.then(|| vec![0]),
            is_second_over: false,
            tail: 0,
            token: None,
            tokens: 0,
            heard: 0,
            own: Vec::new(),
            name: "client-7".into(),
            cursor: 0,
            conn: None,
            has_seat: false,
            is_stalled: false,
        }
    }

    fn say(&mut self, line: &str) {
        if let Some(conn) = &mut self.conn {
            conn.output.extend(line.bytes().chain([b'\n']));
        }
    }

    fn append(&mut self, record: String) {
        if let Some(seconds) = &mut self.seconds
            && std::mem::take(&mut self.is_second_over)
        {
            seconds.push(self.log.len());
        }
        self.log.push(record);
    }

    fn position(&self, record: usize) -> String {
        if let Some(seconds) = &self.seconds {
            let second = seconds.partition_point(|&first| first <= record) - 1;
            return format!("s{}.{}", epoch_of(second), record - seconds[second]);
        }
        let is_behind = record >= self.log.len();
        let run = if is_behind { self.runs.len() } else { self.runs.partition_point(|&first| first <= record) } - 1;
        format!("e{run}.{record}")
    }

    /// The record at a position. Behind the last one of a run, that is the first of the next.
    fn record_at(&self, position: &str) -> Option<usize> {
        if let Some(seconds) = &self.seconds {
            let (epoch, record) = position.strip_prefix('s')?.split_once('.')?;
            let second = (0..seconds.len()).find(|&second| epoch_of(second).to_string() == epoch)?;
            let end = seconds.get(second + 1).copied().unwrap_or(self.log.len());
            return Some((seconds[second] + record.parse::<usize>().ok()?).min(end));
        }
        let (run, record) = position.strip_prefix('e')?.split_once('.')?;
        let (run, record): (usize, usize) = (run.parse().ok()?, record.parse().ok()?);
        let end = self.runs.get(run + 1).copied().unwrap_or(self.log.len());
        self.runs.get(run).map(|&first| record.clamp(first, end))
    }

    /// Ends with a crash, and begins again with the journal, or is another server that shares the log: the session is
    /// unknown, and the seat is gone.
    fn restart(&mut self) {
        (self.token, self.heard, self.has_seat, self.conn) = (None, 0, false, None);
        self.runs.push(self.log.len());
    }

    /// Whether the log goes on in another run.
    fn has_journal(&self) -> bool {
        self.seconds.is_none() && self.runs.len() > 1
    }

    /// Whether a stamp stands before a record.
    fn has_stamp(&self, record: usize) -> bool {
        match &self.seconds {
            Some(seconds) => seconds.contains(&record),
            None => record.is_multiple_of(3) || self.runs.contains(&record),
        }
    }

    fn say_session(&mut self, at: usize) {
        let line = format!(
            "** session t{} heard {} at {} as {}",
            self.token.unwrap(),
            self.heard,
            self.position(at),
            self.name
        );
        self.say(&line);
    }

    fn say_missed(&mut self, records: usize) {
        self.say(&format!("** {}", Notice::Missed { lines: records as u64 }));
    }

    fn say_stamp(&mut self, record: usize) {
        let line = format!("@ {} {}", 1_000 + record / 3 * 1_000, self.position(record));
        self.say(&line);
    }

    fn enter(&mut self) {
        let conn = self.conn.as_mut().unwrap();
        if !std::mem::replace(&mut conn.has_entered, true) {
            self.has_seat = true;
            self.say(&format!("* you are {}; /help lists what you can do", self.name));
            self.cursor = self.log.len();
        }
    }

    /// Answers `/track`.
    fn track(&mut self, rest: &str, is_first: bool) {
        if self.conn.as_ref().unwrap().is_tracked {
            // It may overtake records.
            let at = self.log.len();
            self.say_session(at);
            return;
        }
        self.conn.as_mut().unwrap().is_tracked = true;
        let token = rest.split(' ').nth(1).and_then(|token| token.strip_prefix('t')?.parse().ok());
        let is_known = is_first && token.is_some() && token == self.token;
        if !is_known {
            self.tokens += 1;
            (self.token, self.heard) = (Some(self.tokens), 0);
        }
        let is_seated = std::mem::replace(&mut self.has_seat, true);
        if !is_seated {
            self.name = format!("client-{}", self.log.len() + self.runs.len() + 8);
        }
        self.conn.as_mut().unwrap().has_entered = true;
        let record = rest.split(' ').next().and_then(|position| self.record_at(position));
        let is_kept = if is_known { is_seated || self.has_journal() } else { self.seconds.is_none() };
        let kept = record.filter(|_| is_first && is_kept);
        let at = self.log.len();
        self.say_session(at);
        let you_are = format!("** you are {}, in lobby", self.name);
        match kept {
            Some(record) if record >= self.tail => {
                self.say("** resumed");
                self.cursor = record;
                self.say(&you_are);
            }
            Some(record) => {
                self.say_missed(self.tail - record);
                self.cursor = self.tail;
                self.say(&you_are);
            }
            None => {
                if is_first && !rest.is_empty() {
                    self.say("** cannot resume: earlier lines follow");
                }
                self.say(&you_are);
                self.say("** be kind");
                self.cursor = self.tail.max(self.log.len().saturating_sub(HISTORY));
                self.say(&format!("** {} earlier lines:", self.log.len() - self.cursor));
            }
        }
        let cursor = self.cursor;
        self.say_stamp(cursor);
    }

    fn take(&mut self, line: &str) {
        let conn = self.conn.as_mut().unwrap();
        conn.lines += 1;
        let is_first = conn.lines == 1;
        if let Some(rest) = line.strip_prefix("/track") {
            self.track(rest.trim_start(), is_first);
            return;
        }
        if self.conn.as_ref().unwrap().is_tracked {
            self.heard += 1;
        }
        match line {
            "" => {}
            "/who" => self.say("** 2 here"),
            "long" => self.say("** line too long (over 3 bytes): not relayed"),
            text => {
                self.own.push(text.to_owned());
                let record = format!("{}> {text}", self.name);
                self.append(record);
            }
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.conn.as_mut().unwrap().input.extend(bytes);
        loop {
            let input = &mut self.conn.as_mut().unwrap().input;
            let Some(end) = input.iter().position(|&byte| byte == b'\n') else { break };
            let line: Vec<u8> = input.drain(..=end).collect();
            self.take(str::from_utf8(&line[..end]).unwrap());
        }
        self.pump();
    }

    /// Sends what the reader is owed.
    fn pump(&mut self) {
        if self.is_stalled || !self.conn.as_ref().is_some_and(|conn| conn.is_tracked) {
            return;
        }
        if self.cursor < self.tail {
            let (tail, head) = (self.tail, self.log.len());
            self.say_session(head);
            self.say_missed(self.tail - self.cursor);
            self.say_stamp(tail);
            self.cursor = tail;
        }
        while self.cursor < self.log.len() {
            let cursor = self.cursor;
            if self.has_stamp(cursor) {
                self.say_stamp(cursor);
            }
            let line = self.log[cursor].clone();
            self.say(&line);
            self.cursor += 1;
        }
    }
}

/// A client, its server, and the bytes between them.
struct World {
    server: Server,
    tracking: Tracking,
    now: Instant,
    up: VecDeque<u8>,
    partial: Vec<u8>,
    typed: Vec<String>,
    /// The next record to be shown, once one was.
    due: Option<u64>,
    first: u64,
    own: Vec<u64>,
    unrecorded: Vec<u64>,
    taken: Vec<u64>,
    in_doubt: Vec<u64>,
    missed: u64,
    /// Whether records are missing before the next one, and the server cannot tell how many.
    is_gapped: bool,
}

/// The epoch of a second. A client knows no order of epochs.
fn epoch_of(second: usize) -> usize {
    (second + 1) * 40_503 % 65_521
}

impl World {
    fn new() -> World {
        World::of(Server::new(false))
    }

    /// With a server that shares its log with others.
    fn shared() -> World {
        World::of(Server::new(true))
    }

    fn of(server: Server) -> World {
        let mut world = World {
            server,
            tracking: Tracking::new(true),
            now: Instant::now(),
            up: VecDeque::new(),
            partial: Vec::new(),
            typed: Vec::new(),
            due: None,
            first: 0,
            own: Vec::new(),
            unrecorded: Vec::new(),
            taken: Vec::new(),
            in_doubt: Vec::new(),
            missed: 0,
            is_gapped: false,
        };
        world.connect();
        world
    }

    fn connect(&mut self) {
        self.server.conn = Some(Conn::default());
        match self.tracking.on_connected(self.now) {
            Some(line) => self.up.extend(line.bytes()),
            // A silent client is greeted after a moment.
            None => self.server.enter(),
        }
    }

    fn type_in(&mut self, line: &str) {
        let id = self.tracking.push(line);
        self.typed.push(line.to_owned());
        assert_eq!(id, self.typed.len() as u64);
        self.send();
    }

    fn send(&mut self) {
        if let Some(line) = self.tracking.ask(self.now) {
            self.up.extend(line.bytes());
        }
        while let Some(line) = self.tracking.next_line(Which::All, usize::MAX, self.now) {
            self.up.extend(line.bytes());
        }
    }

    fn up(&mut self, bytes: usize) {
        let bytes: Vec<u8> = self.up.drain(..bytes.min(self.up.len())).collect();
        self.server.receive(&bytes);
    }

    fn down(&mut self, bytes: usize) {
        for _ in 0..bytes {
            let Some(byte) = self.server.conn.as_mut().unwrap().output.pop_front() else { break };
            if byte != b'\n' {
                self.partial.push(byte);
                continue;
            }
            let line = String::from_utf8(std::mem::take(&mut self.partial)).unwrap();
            if line.starts_with("* you are ") {
                self.tracking.on_greeted();
            }
            self.tracking.on_line(&line, self.now);
            self.take_events();
            self.send();
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.tracking.next_event() {
            match event {
                Event::Record(record) => {
                    let number = self.server.record_at(&record.position.to_string()).unwrap() as u64;
                    let mut due = *self.due.get_or_insert_with(|| {
                        self.first = number;
                        number
                    });
                    if std::mem::take(&mut self.is_gapped) {
                        assert!(number >= due, "no record comes twice");
                        self.missed += number - due;
                        due = number;
                    }
                    assert_eq!(number, due, "each record comes once, in order");
                    assert_eq!(record.line, self.server.log[usize::try_from(number).unwrap()]);
                    self.due = Some(due + 1);
                    self.own.extend(record.own);
                }
                Event::Missed(Some(records)) => {
                    self.missed += records;
                    self.due = self.due.map(|due| due + records);
                }
                Event::Taken { id, line } => {
                    assert_eq!(line, self.typed[usize::try_from(id).unwrap() - 1]);
                    self.taken.push(id);
                }
                Event::Unrecorded(id) => self.unrecorded.push(id),
                Event::InDoubt(id) => {
                    let is_decided = self.missed == 0 && self.server.seconds.is_none();
                    assert!(!is_decided, "only a missed record leaves a doubt, or a session that another server has");
                    self.in_doubt.push(id);
                }
                Event::Missed(None) if self.server.seconds.is_some() => {
                    self.is_gapped = true;
                    self.missed += 1;
                }
                Event::Missed(None) | Event::Plain(_) | Event::Untracked | Event::Elsewhere => {
                    panic!("{event:?}");
                }
                Event::Entered(_) | Event::Private(_) | Event::Fin => {}
            }
        }
    }

    /// Loses the connection, with so many bytes of each direction still delivered, and makes another.
    fn cut(&mut self, up: usize, down: usize) {
        self.up(up);
        self.down(down);
        self.up.clear();
        self.partial.clear();
        self.server.conn = None;
        self.tracking.on_disconnected();
        self.take_events();
        self.connect();
    }

    fn restart(&mut self, up: usize, down: usize) {
        self.up(up);
        self.down(down);
        self.up.clear();
        self.partial.clear();
        self.server.restart();
        self.tracking.on_disconnected();
        self.take_events();
        self.connect();
    }

    fn trim(&mut self) {
        self.server.tail = self.server.log.len().saturating_sub(1).max(self.server.tail);
    }

    /// Lets everything arrive, and checks both directions.
    fn finish(mut self) {
        self.server.is_stalled = false;
        for _ in 0..20 {
            self.up(usize::MAX);
            self.server.pump();
            self.down(usize::MAX);
            self.now += Duration::from_secs(2);
            if let Some(line) = self.tracking.ask_for_ack(false, self.now) {
                self.up.extend(line.bytes());
            }
        }
        let is_said = |line: &&String| !matches!(line.as_str(), "" | "/who" | "long");
        let said: Vec<&String> = self.typed.iter().filter(is_said).collect();
        let mut due = said.iter();
        assert!(self.server.own.iter().all(|own| due.any(|line| *line == own)), "each line at most once, in order");
        assert!(self.server.own.len() + self.in_doubt.len() >= said.len(), "no line is lost without a word");
        let mut known = [self.taken.as_slice(), &self.in_doubt].concat();
        known.sort_unstable();
        assert_eq!(known, (1..=self.typed.len() as u64).collect::<Vec<_>>());
        assert!(self.tracking.is_settled() && self.tracking.untaken_lines() == 0);
        assert_eq!(self.due.unwrap_or(self.first), self.server.log.len() as u64);
        assert!(self.own.is_sorted());
        // The client has read the record of each line, or was told that the record is missing.
        let mut fates = [self.own.as_slice(), &self.unrecorded, &self.in_doubt].concat();
        fates.sort_unstable();
        let has_text = |id: &u64| !matches!(self.typed[usize::try_from(*id).unwrap() - 1].as_str(), "" | "/who");
        // Any line of a session that is unknown to another server is in doubt.
        fates.retain(has_text);
        assert_eq!(fates, (1..=self.typed.len() as u64).filter(has_text).collect::<Vec<_>>());
        let is_lost = self.server.seconds.is_some() && self.server.runs.len() > 1;
        if self.missed == 0 && !is_lost {
            let ids = (1..).zip(&self.typed).filter(|(_, line)| is_said(line)).map(|(id, _)| id);
            assert_eq!(self.own, ids.collect::<Vec<u64>>(), "each line has its record");
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Type(&'static str),
    Other,
    Tick,
    Up(usize),
    Down(usize),
    Cut(usize, usize),
    LoseSeat,
    Restart(usize, usize),
    Stall,
    Unstall,
    Trim,
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || prop_oneof![0..8_usize, 0..200_usize, Just(usize::MAX)];
    prop_oneof![
        6 => prop::sample::select(&["a", "a", "b", "hello", "/who", "", "long"][..]).prop_map(Step::Type),
        4 => Just(Step::Other),
        2 => Just(Step::Tick),
        6 => bytes().prop_map(Step::Up),
        6 => bytes().prop_map(Step::Down),
        3 => (bytes(), bytes()).prop_map(|(up, down)| Step::Cut(up, down)),
        1 => Just(Step::LoseSeat),
        2 => (bytes(), bytes()).prop_map(|(up, down)| Step::Restart(up, down)),
        1 => Just(Step::Stall),
        1 => Just(Step::Unstall),
        1 => Just(Step::Trim),
        1 => Just(Step::Wait),
    ]
}

impl World {
    fn step(&mut self, step: Step) {
        match step {
            Step::Type(line) => self.type_in(line),
            Step::Other => {
                self.server.append(format!("eve> {}", self.server.log.len()));
                self.server.pump();
            }
            Step::Tick => self.server.is_second_over = true,
            Step::Up(bytes) => self.up(bytes),
            Step::Down(bytes) => self.down(bytes),
            Step::Cut(up, down) => self.cut(up, down),
            Step::LoseSeat => {
                self.cut(0, 0);
                self.server.has_seat = false;
            }
            Step::Restart(up, down) => self.restart(up, down),
            Step::Stall => self.server.is_stalled = true,
            Step::Unstall => {
                self.server.is_stalled = false;
                self.server.pump();
            }
            Step::Trim => self.trim(),
            Step::Wait => {
                self.now += ACK_WAIT;
                if let Some(line) = self.tracking.ask_for_ack(false, self.now) {
                    self.up.extend(line.bytes());
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_comes_once_and_in_order_in_both_directions(steps in prop::collection::vec(step(), 0..60)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.finish();
    }

    #[test]
    fn every_line_comes_once_and_in_order_in_a_log_that_begins_an_epoch_each_second(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut world = World::shared();
        for step in steps {
            world.step(step);
        }
        world.finish();
    }
}

#[test]
fn a_connection_may_be_lost_at_every_byte_twice() {
    let run = |first: (usize, usize), second: (usize, usize), is_shared: bool| {
        let mut world = if is_shared { World::shared() } else { World::new() };
        world.down(usize::MAX);
        for line in ["one", "/who", "two", "two"] {
            world.type_in(line);
            world.step(Step::Tick);
        }
        world.step(Step::Other);
        world.step(Step::Tick);
        world.cut(first.0, first.1);
        world.step(Step::Other);
        world.type_in("three");
        world.cut(second.0, second.1);
        world.finish();
    };
    for bytes in 0..300 {
        for is_shared in [false, true] {
            run((bytes, usize::MAX), (usize::MAX, bytes), is_shared);
            run((usize::MAX, bytes), (bytes, usize::MAX), is_shared);
            run((bytes, bytes), (usize::MAX, usize::MAX), is_shared);
            run((usize::MAX, usize::MAX), (bytes, bytes), is_shared);
        }
    }
}

#[test]
fn a_server_may_crash_at_every_byte_and_again_at_every_byte() {
    let run = |first: (usize, usize), second: (usize, usize), is_second_a_crash: bool| {
        let mut world = World::new();
        world.down(usize::MAX);
        for line in ["one", "/who", "two", "two"] {
            world.type_in(line);
        }
        world.step(Step::Other);
        world.restart(first.0, first.1);
        world.step(Step::Other);
        world.type_in("three");
        if is_second_a_crash {
            world.restart(second.0, second.1);
        } else {
            world.cut(second.0, second.1);
        }
        world.finish();
    };
    for bytes in 0..300 {
        for is_second_a_crash in [false, true] {
            run((bytes, usize::MAX), (usize::MAX, bytes), is_second_a_crash);
            run((usize::MAX, bytes), (bytes, usize::MAX), is_second_a_crash);
            run((bytes, bytes), (usize::MAX, usize::MAX), is_second_a_crash);
            run((usize::MAX, bytes), (usize::MAX, bytes), is_second_a_crash);
        }
    }
}

#[test]
fn a_record_behind_the_place_up_to_which_a_line_was_taken_is_that_of_a_later_line() {
    let mut world = World::new();
    world.type_in("a");
    world.cut(0, 48);
    world.up(7);
    world.down(usize::MAX);
    world.type_in("a");
    world.server.is_stalled = true;
    // The server takes both, and the record of the first one leaves the tape.
    world.cut(4, 0);
    world.trim();
    world.type_in("a");
    world.up(15);
    world.down(105);
    // It takes the third one, too, and crashes.
    world.restart(2, 0);
    world.finish();
}

#[test]
fn a_line_whose_log_is_read_no_further_has_no_record() {
    let mut world = World::shared();
    world.type_in("a");
    world.down(48);
    world.step(Step::Stall);
    world.up(7);
    world.type_in("a");
    world.down(123);
    world.cut(4, 0);
    world.up(19);
    world.step(Step::Tick);
    world.down(46);
    world.step(Step::LoseSeat);
    world.step(Step::Other);
    world.step(Step::Trim);
    world.finish();
}

#[test]
fn a_line_whose_record_is_behind_a_stamp_that_is_still_to_come_has_that_record() {
    let mut world = World::shared();
    world.step(Step::Tick);
    world.down(48);
    world.step(Step::Other);
    world.step(Step::Stall);
    world.up(7);
    world.down(usize::MAX);
    world.type_in("a");
    world.cut(2, 0);
    world.step(Step::Tick);
    world.step(Step::Other);
    world.finish();
}
