//! The tape and its readers against a naive model: a list of what was said, and per reader, what it got.

use std::io::Write as _;

use pollchat::relay::reader::{HOLES_MAX, Pace, Reader, Slices};
use pollchat::relay::tape::{Position, Tape};
use proptest::prelude::*;

/// One thing that can happen.
#[derive(Clone, Debug)]
enum Step {
    /// A reader says a line with this much padding.
    Say(usize, usize),
    /// The room gives notice; if by a reader, that one is not to get it.
    Announce(Option<usize>, usize),
    /// A reader's socket takes this many bytes, and then no more.
    Take(usize, usize),
    /// Everyone is looked at for lag.
    KeepUp,
    /// A newcomer takes a reader's place, and is to see this many earlier lines.
    Join(usize, u64),
}

/// What was put on the tape, in order.
#[derive(Clone, Debug)]
struct Entry {
    by: Option<u32>,
    is_said: bool,
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
    reader: Reader,
    /// The rest of a torn line, to be taken before anything else.
    rest: Vec<u8>,
    received: Vec<u8>,
    got: Vec<Got>,
    /// The first entry that it may get.
    first: usize,
    /// Whether it was ever overtaken: only then may it have passed notices unseen without a word.
    was_overtaken: bool,
}

struct World {
    tape: Tape,
    capacity: usize,
    entries: Vec<Entry>,
    listeners: Vec<Listener>,
    numbers: u32,
}

impl World {
    fn new(capacity: usize, listeners: usize) -> World {
        let tape = Tape::new(capacity).unwrap();
        let mut world = World { tape, capacity, entries: Vec::new(), listeners: Vec::new(), numbers: 0 };
        for place in 0..listeners {
            let listener = world.newcomer(0);
            world.listeners.insert(place, listener);
        }
        world
    }

    fn newcomer(&mut self, history: u64) -> Listener {
        let place = self.tape.back(history);
        self.numbers += 1;
        let said_before = self.entries.iter().filter(|entry| entry.is_said).count() as u64;
        assert_eq!(self.tape.end().line, said_before, "the tape counts said lines");
        let shown = said_before - place.line;
        assert!(shown <= history);
        // The entry that the place stands before: a said line, found by its bytes.
        let bytes_after: usize = usize::try_from(self.tape.end().offset - place.offset).unwrap();
        let mut first = self.entries.len();
        let mut bytes = 0;
        while bytes < bytes_after {
            first -= 1;
            bytes += self.entries[first].text.len() + 1;
        }
        assert_eq!(bytes, bytes_after, "a place stands between two lines");
        if shown > 0 {
            assert!(self.entries[first].is_said, "history begins with a line");
        }
        if shown < history {
            self.check_history_is_all_there_is(place, first);
        }
        Listener {
            number: self.numbers,
            reader: Reader::at(place),
            rest: Vec::new(),
            received: Vec::new(),
            got: Vec::new(),
            first,
            was_overtaken: false,
        }
    }

    /// Less than was asked for was shown: then the line before it must (nearly) be in the older half of the tape.
    fn check_history_is_all_there_is(&self, place: Position, first: usize) {
        if self.entries[..first].iter().any(|entry| entry.is_said) {
            let checkpoint_distance = (self.capacity / 16).max(1) as u64 + 200;
            let middle = self.tape.end().offset.saturating_sub(self.capacity as u64 / 2);
            assert!(place.offset - middle <= checkpoint_distance, "history gives what half of the tape holds");
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Say(who, padding) => {
                let (who, id) = (who % self.listeners.len(), self.entries.len());
                let number = self.listeners[who].number;
                let text = format!("client-{number}> {id} {}", "x".repeat(padding));
                let span = self.tape.say(&[&text]);
                assert_eq!((span.bytes(), span.lines()), (text.len() as u64 + 1, 1));
                assert_eq!(self.listeners[who].reader.skip_own(span), Pace::Keeping);
                self.entries.push(Entry { by: Some(number), is_said: true, text });
            }
            Step::Announce(who, padding) => {
                let who = who.map(|who| who % self.listeners.len());
                let text = format!("{} notice {}", self.entries.len(), "y".repeat(padding));
                let span = self.tape.announce(&[&text]);
                assert_eq!(span.lines(), 0);
                if let Some(who) = who {
                    assert_eq!(self.listeners[who].reader.skip_own(span), Pace::Keeping);
                }
                let by = who.map(|who| self.listeners[who].number);
                self.entries.push(Entry { by, is_said: false, text: format!("* {text}") });
            }
            Step::Take(who, bytes) => {
                let who = who % self.listeners.len();
                self.listeners[who].take(&self.tape, bytes);
            }
            Step::KeepUp => self.keep_up(),
            Step::Join(who, history) => {
                let who = who % self.listeners.len();
                let newcomer = self.newcomer(history);
                let left = std::mem::replace(&mut self.listeners[who], newcomer);
                self.check(&left, false);
            }
        }
    }

    fn keep_up(&mut self) {
        let end = self.tape.end();
        for listener in &mut self.listeners {
            let lags = listener.reader.cursor().offset < self.tape.tail();
            let pace = listener.reader.keep_up(&self.tape, end);
            assert_eq!(pace == Pace::Overtaken, lags);
            listener.was_overtaken |= lags;
        }
    }

    /// Lets everyone take all, and looks at what they got.
    fn finish(mut self) {
        self.keep_up();
        for mut listener in std::mem::take(&mut self.listeners) {
            listener.take(&self.tape, usize::MAX);
            assert!(!listener.reader.is_lagging(), "who has all lags no more");
            self.check(&listener, true);
        }
    }

    /// Whether a listener got each line of the others once, whole and in order, or was told how many it missed; and
    /// nothing else.
    fn check(&self, listener: &Listener, has_all: bool) {
        let mut next = listener.first;
        let mut missed = 0;
        let is_due = |entry: &Entry| entry.by != Some(listener.number);
        for got in &listener.got {
            match got {
                Got::Missed(lines) => missed += lines,
                Got::Line(text) => {
                    let at = next
                        + self.entries[next..].iter().position(|entry| entry.text == *text).unwrap_or_else(|| {
                            panic!("{text:?} was never put on the tape, or came twice, or late");
                        });
                    assert!(is_due(&self.entries[at]), "{text:?} is its own");
                    let passed = self.entries[next..at].iter().filter(|entry| is_due(entry));
                    let (said, notices): (Vec<_>, Vec<_>) = passed.partition(|entry| entry.is_said);
                    assert_eq!(said.len() as u64, missed, "exactly the missed lines are counted, before {text:?}");
                    assert!(missed > 0 || notices.is_empty() || listener.was_overtaken, "a notice was lost");
                    missed = 0;
                    next = at + 1;
                }
            }
        }
        if has_all {
            let left = self.entries[next..].iter().filter(|entry| entry.is_said && is_due(entry)).count();
            assert_eq!(left as u64, missed, "everyone has all in the end");
        }
    }
}

impl Listener {
    /// Takes up to `bytes` bytes, as a connection would write them: a torn line's rest first, then word of what was
    /// missed, then the tape.
    fn take(&mut self, tape: &Tape, mut bytes: usize) {
        let end = tape.end().offset;
        let of_rest = bytes.min(self.rest.len());
        self.receive_rest(of_rest);
        bytes -= of_rest;
        if bytes == 0 || self.reader.cursor().offset < tape.tail() {
            return;
        }
        match self.reader.take_missed() {
            0 => {}
            lines => self.got.push(Got::Missed(lines)),
        }
        let mut has_advanced = false;
        while bytes > 0 {
            let mut slices = Slices::new();
            self.reader.owed(tape, end, &mut slices);
            let in_one = self.reader.owed_in_one(tape, end);
            let mut offered = Vec::new();
            slices.as_slice().iter().for_each(|slice| offered.extend_from_slice(slice));
            assert!(in_one.is_none_or(|slice| slice == offered), "both ways to ask say the same");
            let taken = bytes.min(offered.len());
            if taken == 0 {
                break;
            }
            self.received.write_all(&offered[..taken]).unwrap();
            self.reader.advance(taken as u64);
            has_advanced = true;
            bytes -= taken;
        }
        if has_advanced {
            self.reader.land(tape, &mut self.rest);
        }
        self.reader.tidy(tape);
        self.split_received();
    }

    fn receive_rest(&mut self, bytes: usize) {
        self.received.extend(self.rest.drain(..bytes));
        self.split_received();
    }

    fn split_received(&mut self) {
        while let Some(newline) = self.received.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.received.drain(..=newline).collect();
            self.got.push(Got::Line(String::from_utf8(line[..newline].to_vec()).unwrap()));
        }
    }
}

fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_usize, 0..40_usize).prop_map(|(who, padding)| Step::Say(who, padding)),
        1 => (proptest::option::of(0..4_usize), 0..40_usize).prop_map(|(who, padding)| Step::Announce(who, padding)),
        4 => (0..4_usize, 0..200_usize).prop_map(|(who, bytes)| Step::Take(who, bytes)),
        2 => Just(Step::KeepUp),
        1 => (0..4_usize, 0..8_u64).prop_map(|(who, history)| Step::Join(who, history)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn readers_get_all_that_others_said_or_are_told_what_they_missed(
        capacity in 80..900_usize,
        steps in proptest::collection::vec(a_step(), 0..200),
    ) {
        let mut world = World::new(capacity, 4);
        for step in &steps {
            world.step(step);
        }
        world.finish();
    }
}

#[test]
fn who_talks_without_ever_reading_keeps_a_bounded_list_and_is_told_what_it_missed() {
    let mut tape = Tape::new(1 << 20).unwrap();
    let mut reader = Reader::at(tape.end());
    let mut overtaken = 0;
    let others = 3 * HOLES_MAX as u64;
    for _ in 0..others {
        tape.say(&["other> x"]);
        let own = tape.say(&["own> x"]);
        overtaken += u64::from(reader.skip_own(own) == Pace::Overtaken);
    }
    assert!(overtaken > 0, "the list is capped");
    assert!(reader.is_lagging());
    let missed = reader.take_missed();
    let mut got = 0;
    loop {
        let mut slices = Slices::new();
        reader.owed(&tape, tape.end().offset, &mut slices);
        let bytes: Vec<u8> = slices.as_slice().iter().flat_map(|slice| slice.to_vec()).collect();
        if bytes.is_empty() {
            break;
        }
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains("own"));
        got += text.lines().count() as u64;
        reader.advance(text.len() as u64);
    }
    assert_eq!(got + missed, others);
}
