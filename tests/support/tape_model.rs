//! A tape and its readers beside a naive model: a list of what was said, and per reader, what it got.

// Whoever includes this uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::io::Write as _;

use pollchat::relay::cursor::{Cursor, Dialect, HOLES_MAX, Pace, Slices, View};
use pollchat::relay::past::{Past, Run};
use pollchat::relay::sequence::EntryId;
use pollchat::relay::stamp::{Epoch, RecordId, Stamp};
use pollchat::relay::tape::{Position, Span, Tape};

/// Time that passes with each line, in ms: a stamp comes before every third or fourth.
const LINE_MS: u64 = 300;

/// One thing that can happen.
#[derive(Clone, Debug)]
pub enum Step {
    /// A reader says a line with this much padding.
    Say(usize, usize),
    /// The room gives notice; if by a reader, that one is not to get it.
    Announce(Option<usize>, usize),
    /// The server says something that is no record, to all readers.
    Aside(usize),
    /// A reader's socket takes this many bytes, and then no more.
    Take(usize, usize),
    /// Everyone is looked at for lag.
    KeepUp,
    /// A newcomer takes a reader's place, and is to see this many earlier lines.
    Join(usize, u64),
    /// A reader leaves: it says nothing more, and is owed what was put on the tape before.
    Leave(usize),
    /// A reader is let go: it leaves, and is owed nothing.
    Dismiss(usize),
    /// A reader and the next one say so many lines by turns.
    Chat(usize, usize),
}

/// What was put on the tape, in order.
#[derive(Clone, Debug)]
struct Entry {
    /// Where it begins, with its stamp if it has one.
    offset: u64,
    /// Where its text begins.
    text_offset: u64,
    /// The time at which it was put on the tape, in ms.
    time_ms: u64,
    by: Option<u32>,
    is_said: bool,
    text: String,
}

/// Words of the server that are no record.
#[derive(Clone, Debug)]
struct Aside {
    offset: u64,
    /// How many entries were put on the tape before it.
    after: usize,
    text: String,
}

/// What a reader got, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Line(String),
    Missed(u64),
}

/// A reader with a socket, as a connection uses it.
struct Listener {
    number: u32,
    dialect: Dialect,
    reader: Cursor,
    /// The rest of a torn line, to be taken before anything else.
    rest: Vec<u8>,
    received: Vec<u8>,
    got: Vec<Got>,
    /// The first entry that it may get.
    first: usize,
    /// Where it began to read.
    began: u64,
    /// Once it leaves: the end of what it is owed, and how many entries come before that.
    stop: Option<(Position, usize)>,
    /// Whether it was ever overtaken: only then may it have passed notices unseen without a word.
    was_overtaken: bool,
}

/// A tape, its readers, and what is known of both.
pub struct World {
    tape: Tape,
    capacity: usize,
    entries: Vec<Entry>,
    asides: Vec<Aside>,
    /// Entries of earlier logs.
    loaded: usize,
    /// The number on the tape of the first entry.
    first_record: u64,
    listeners: Vec<Listener>,
    numbers: u32,
    now_ms: u64,
}

impl World {
    /// An empty tape of this size, and this many readers.
    pub fn new(capacity: usize, listeners: usize) -> World {
        let tape = Tape::new(capacity).unwrap().with_epoch(Epoch::new(7));
        let entries = Vec::new();
        let mut world = World {
            tape,
            capacity,
            entries,
            asides: Vec::new(),
            loaded: 0,
            first_record: 0,
            listeners: Vec::new(),
            numbers: 0,
            now_ms: 1_000,
        };
        // A tape may go on behind earlier logs.
        if capacity.is_multiple_of(2) {
            world.load();
        } else if capacity.is_multiple_of(3) {
            world.tape.share();
        }
        for place in 0..listeners {
            let listener = world.newcomer(0);
            world.listeners.insert(place, listener);
        }
        world
    }

    /// Loads the records of two earlier logs, if there is space for them.
    fn load(&mut self) {
        let run = |epoch, first, records| Run { epoch: Epoch::new(epoch), first, records };
        let logs = [run(5, 90, 1), run(6, 40, 4)];
        let (mut text, mut entries) = (String::new(), Vec::new());
        for (run, time_ms) in logs.into_iter().zip([500, 900]) {
            let offset = text.len() as u64;
            let next = RecordId { epoch: run.epoch, record: run.first };
            text += &format!("{}\n", Stamp { time_ms, next });
            for record in 0..run.records {
                let is_said = record != 1;
                let line = if is_said { format!("old> {record} of {}", run.epoch) } else { "* old left".into() };
                let text_offset = text.len() as u64;
                let offset = if record == 0 { offset } else { text_offset };
                text += &format!("{line}\n");
                entries.push(Entry { offset, text_offset, time_ms, by: None, is_said, text: line });
            }
        }
        if text.len() <= self.capacity {
            self.tape.load(Past::new(logs.to_vec()), text.as_bytes());
            self.loaded = entries.len();
            // The newest log has counted further.
            self.first_record = 44 - self.loaded as u64;
            self.entries = entries;
        }
    }

    fn newcomer(&mut self, history: u64) -> Listener {
        let place = self.tape.back(history);
        self.numbers += 1;
        let said_before = self.entries.iter().filter(|entry| entry.is_said).count() as u64;
        assert_eq!(self.tape.end().line, said_before, "the tape counts said lines");
        let shown = said_before - place.line;
        assert!(shown <= history);
        // What it stands before: a said line, or the end.
        let first = self.entries.partition_point(|entry| entry.text_offset < place.offset);
        let boundary = self.entries.get(first).map_or(self.tape.end().offset, |entry| entry.text_offset);
        assert_eq!(place.offset, boundary, "a place stands before a text");
        assert_eq!(place.record, self.first_record + first as u64, "the tape counts records");
        if let Some(entry) = self.entries.get(first) {
            let stamp = self.tape.stamp_at(place);
            assert_eq!(stamp.time_ms / 1_000, entry.time_ms / 1_000);
            assert_eq!(self.tape.number_of(stamp.next), Some(place.record));
        }
        let dialect = if self.numbers.is_multiple_of(3) { Dialect::Tracked } else { Dialect::Plain };
        if shown > 0 {
            assert!(self.entries[first].is_said, "history begins with a line");
        }
        if shown < history {
            self.check_history_is_all_there_is(first);
        }
        Listener {
            number: self.numbers,
            dialect,
            reader: Cursor::at(place, dialect),
            rest: Vec::new(),
            received: Vec::new(),
            got: Vec::new(),
            first,
            began: place.offset,
            stop: None,
            was_overtaken: false,
        }
    }

    /// Less than was asked for was shown: then the said line before it must (nearly) be in the older half of the tape.
    fn check_history_is_all_there_is(&self, first: usize) {
        let checkpoint_distance = (self.capacity / 16).max(1) as u64 + 200;
        if let Some(before) = self.entries[..first].iter().rfind(|entry| entry.is_said) {
            let middle = self.tape.end().offset.saturating_sub(self.capacity as u64 / 2);
            assert!(before.offset < middle + checkpoint_distance, "history gives what half of the tape holds");
        }
    }

    /// Lets `step` happen.
    pub fn step(&mut self, step: &Step) {
        match *step {
            Step::Say(who, padding) => self.say(who, padding),
            Step::Announce(who, padding) => self.announce(who, padding),
            Step::Aside(padding) => self.aside(padding),
            Step::Take(who, bytes) => self.listeners[who].take(&self.tape, bytes),
            Step::KeepUp => self.keep_up(),
            Step::Join(who, history) => {
                let newcomer = self.newcomer(history);
                let left = std::mem::replace(&mut self.listeners[who], newcomer);
                self.check(&left, false);
            }
            Step::Leave(who) => {
                self.listeners[who].stop.get_or_insert((self.tape.end(), self.entries.len()));
            }
            Step::Dismiss(who) => {
                let listener = &mut self.listeners[who];
                let (stop, _) = *listener.stop.get_or_insert((self.tape.end(), self.entries.len()));
                listener.was_overtaken = true;
                listener.reader.skip_missed(stop, listener.dialect);
            }
            Step::Chat(who, lines) => {
                for turn in 0..lines {
                    self.say((who + turn % 2) % self.listeners.len(), 0);
                }
            }
        }
    }

    fn say(&mut self, who: usize, padding: usize) {
        let number = self.listeners[who].number;
        if self.listeners[who].stop.is_some() {
            return;
        }
        let text = format!("client-{number}> {} {}", self.entries.len(), "x".repeat(padding));
        self.pass_time();
        let span = self.tape.say(&[&text]);
        assert_eq!(span.lines(), 1);
        self.enter(span, Some(number), text);
        self.skip_own(who, span);
    }

    fn announce(&mut self, who: Option<usize>, padding: usize) {
        let who = who.filter(|&who| self.listeners[who].stop.is_none());
        let text = format!("{} notice {}", self.entries.len(), "y".repeat(padding));
        self.pass_time();
        let span = self.tape.announce(&text);
        assert_eq!(span.lines(), 0);
        self.enter(span, who.map(|who| self.listeners[who].number), format!("* {text}"));
        if let Some(who) = who {
            self.skip_own(who, span);
        }
    }

    fn aside(&mut self, padding: usize) {
        let text = format!("{} aside {}", self.asides.len(), "z".repeat(padding));
        let end = self.tape.end();
        let span = self.tape.aside(&text);
        assert_eq!((span.start, span.lines(), span.end.record), (end, 0, end.record), "it counts for nothing");
        self.asides.push(Aside { offset: end.offset, after: self.entries.len(), text: format!("** {text}") });
    }

    fn pass_time(&mut self) {
        self.now_ms += LINE_MS;
        self.tape.set_time(self.now_ms);
        // Nothing, unless several servers share the log.
        self.tape.begin_entry(EntryId { ms: self.now_ms, seq: 0 });
    }

    fn enter(&mut self, span: Span, by: Option<u32>, text: String) {
        let text_offset = span.end.offset - text.len() as u64 - 1;
        let is_first = self.entries.len() == self.loaded;
        let has_stamp = is_first || self.entries.last().is_none_or(|last| last.time_ms / 1_000 != self.now_ms / 1_000);
        assert_eq!(text_offset > span.start.offset, has_stamp, "the first record of a second has a stamp");
        let (offset, time_ms, is_said) = (span.start.offset, self.now_ms, span.lines() > 0);
        self.entries.push(Entry { offset, text_offset, time_ms, by, is_said, text });
    }

    fn skip_own(&mut self, who: usize, span: Span) {
        if self.listeners[who].dialect == Dialect::Tracked {
            return;
        }
        let before = self.listeners[who].reader.offset();
        let pace = self.listeners[who].reader.skip_own(span);
        if pace == Pace::Overtaken {
            self.listeners[who].was_overtaken = true;
            assert!(self.own_stretches(who, before) > HOLES_MAX, "nobody is moved before the list is full");
        }
    }

    /// How many stretches of its own one has on the tape from `place` on.
    fn own_stretches(&self, who: usize, offset: u64) -> usize {
        let number = Some(self.listeners[who].number);
        let is_own = |entry: &Entry| entry.by == number && entry.offset >= offset;
        self.entries.chunk_by(|a, b| is_own(a) == is_own(b)).filter(|stretch| is_own(&stretch[0])).count()
    }

    fn keep_up(&mut self) {
        for listener in &mut self.listeners {
            let stop = listener.stop(&self.tape);
            let cursor = listener.reader.offset();
            let lags = cursor < self.tape.tail() && cursor < stop.offset;
            let pace = listener.reader.catch_up(listener.view(&self.tape), stop);
            assert_eq!(pace == Pace::Overtaken, lags);
            listener.was_overtaken |= lags;
        }
    }

    /// Lets everyone take all, and looks at what they got.
    pub fn finish(mut self) {
        for who in 0..self.listeners.len() {
            let listener = &self.listeners[who];
            let stretches = match listener.dialect {
                Dialect::Plain => self.own_stretches(who, listener.reader.offset()),
                Dialect::Tracked => 0,
            };
            assert!(stretches <= HOLES_MAX, "the list of own stretches is bounded");
        }
        self.keep_up();
        for mut listener in std::mem::take(&mut self.listeners) {
            listener.take(&self.tape, usize::MAX);
            let lags = listener.stop.is_none() && listener.reader.is_lagging();
            assert!(!lags, "who has all lags no more");
            self.check(&listener, true);
        }
    }

    /// Whether a listener got each line of the others once, whole and in order, or was told how many it missed; and
    /// nothing else.
    fn check(&self, listener: &Listener, has_all: bool) {
        let entries = &self.entries[..listener.stop.map_or(self.entries.len(), |(_, entries)| entries)];
        let mut next = listener.first;
        let mut missed = 0;
        let is_tracked = listener.dialect == Dialect::Tracked;
        let is_due = |entry: &Entry| is_tracked || entry.by != Some(listener.number);
        let counts = |entry: &Entry| is_tracked || entry.is_said;
        let stop = listener.stop.map_or(self.tape.end().offset, |(stop, _)| stop.offset);
        let mut asides = self.asides.iter().filter(|aside| (listener.began..stop).contains(&aside.offset)).peekable();
        for got in &listener.got {
            match got {
                Got::Missed(lines) => missed += lines,
                Got::Line(text) if text.starts_with("@ ") => {
                    assert!(is_tracked, "a plain reader got {text:?}");
                    next += usize::try_from(std::mem::take(&mut missed)).unwrap();
                    let (time, position) = text[2..].split_once(' ').unwrap();
                    let record = RecordId::parse_any(position).and_then(|position| self.tape.number_of(position));
                    let expected = self.first_record + next as u64;
                    // Those of a shared log are known for a while.
                    let is_known = record.is_some() || !self.capacity.is_multiple_of(3);
                    assert!(record == Some(expected) || !is_known, "{text:?} tells the number of the next record");
                    let second = time.parse::<u64>().unwrap() / 1_000;
                    assert_eq!(second, entries[next].time_ms / 1_000, "{text:?} tells its time");
                }
                Got::Line(text) if text.starts_with("** ") => {
                    let aside = asides.find(|aside| aside.text == *text);
                    let aside = aside.unwrap_or_else(|| panic!("{text:?} was never said, or came twice, or late"));
                    let passed = entries[next..aside.after].iter().filter(|entry| is_due(entry));
                    let (said, notices): (Vec<_>, Vec<_>) = passed.partition(|entry| counts(entry));
                    assert_eq!(said.len() as u64, missed, "exactly the missed lines are counted, before {text:?}");
                    assert!(missed > 0 || notices.is_empty() || listener.was_overtaken, "a notice was lost");
                    (missed, next) = (0, aside.after);
                }
                Got::Line(text) => {
                    let earlier = asides.peek().filter(|aside| self.offset_of(text) > aside.offset);
                    assert!(earlier.is_none() || listener.was_overtaken, "{earlier:?} was lost");
                    let at = next
                        + entries[next..].iter().position(|entry| entry.text == *text).unwrap_or_else(|| {
                            panic!("{text:?} was never put on the tape, or came twice, or late");
                        });
                    assert!(is_due(&entries[at]), "{text:?} is its own");
                    let passed = entries[next..at].iter().filter(|entry| is_due(entry));
                    let (said, notices): (Vec<_>, Vec<_>) = passed.partition(|entry| counts(entry));
                    assert_eq!(said.len() as u64, missed, "exactly the missed lines are counted, before {text:?}");
                    assert!(missed > 0 || notices.is_empty() || listener.was_overtaken, "a notice was lost");
                    missed = 0;
                    next = at + 1;
                }
            }
        }
        if has_all {
            let left = entries[next..].iter().filter(|entry| counts(entry) && is_due(entry)).count();
            assert_eq!(left as u64, missed, "everyone has all in the end");
            assert!(asides.peek().is_none() || listener.was_overtaken, "an aside was lost");
        }
    }

    /// Where the entry with this text stands.
    fn offset_of(&self, text: &str) -> u64 {
        self.entries.iter().rfind(|entry| entry.text == text).map_or(0, |entry| entry.text_offset)
    }
}

impl Listener {
    fn view<'a>(&self, tape: &'a Tape) -> View<'a> {
        View { tape, dialect: self.dialect }
    }

    /// The end of what it is owed.
    fn stop(&self, tape: &Tape) -> Position {
        self.stop.map_or(tape.end(), |(stop, _)| stop)
    }

    /// Takes up to `bytes` bytes, as a connection would write them: a torn line's rest first, then word of what was
    /// missed, then the tape.
    fn take(&mut self, tape: &Tape, mut bytes: usize) {
        let stop = self.stop(tape).offset;
        let of_rest = bytes.min(self.rest.len());
        self.receive_rest(of_rest);
        bytes -= of_rest;
        let cursor = self.reader.offset();
        let view = self.view(tape);
        if bytes == 0 || (cursor < tape.tail() && cursor < stop) {
            return;
        }
        match self.reader.take_missed() {
            0 => {}
            lines => self.got.push(Got::Missed(lines)),
        }
        let mut has_advanced = false;
        while bytes > 0 {
            let mut slices = Slices::new();
            self.reader.pending(view, stop, &mut slices);
            let in_one = self.reader.pending_in_one(view, stop);
            let mut offered = Vec::new();
            slices.as_slice().iter().for_each(|slice| offered.extend_from_slice(slice));
            assert!(in_one.is_none_or(|slice| slice == offered), "both ways to ask say the same");
            let taken = bytes.min(offered.len());
            if taken == 0 {
                break;
            }
            self.received.write_all(&offered[..taken]).unwrap();
            self.reader.advance(view, taken as u64);
            has_advanced = true;
            bytes -= taken;
        }
        if has_advanced {
            self.reader.align_to_line(view, &mut self.rest);
        }
        self.reader.tidy(tape);
        self.split_received();
    }

    fn receive_rest(&mut self, bytes: usize) {
        self.received.extend(self.rest.drain(..bytes));
        self.split_received();
    }

    fn split_received(&mut self) {
        let whole = self.received.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let text = String::from_utf8(self.received.drain(..whole).collect()).unwrap();
        self.got.extend(text.lines().map(|line| Got::Line(line.to_owned())));
    }
}
