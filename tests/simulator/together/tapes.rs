//! The tape of a room on one server, compared with the log of the room: what of it was heard, and in which order.

use std::collections::{HashMap, VecDeque};

use pollchat::relay::tape::Tape;

use super::log::{Entry, RoomLog, Shown};
use crate::redis::{Added, Id};
use crate::rule::{Rule, Verdict, Violation};

/// Whether the tape says that the server is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Together,
    CutOff,
}

impl Told {
    /// Reads the words of an aside, if they tell that.
    pub(super) fn by(words: &str) -> Option<Told> {
        if words.starts_with("cut off from the other servers") {
            Some(Told::CutOff)
        } else if words.starts_with("together again") {
            Some(Told::Together)
        } else {
            None
        }
    }
}

/// The tape of a room on one server.
#[derive(Debug)]
pub(super) struct TapeView {
    /// The end of what was read of it.
    read: u64,
    /// Bytes of a line whose end is not there.
    partial: Vec<u8>,
    /// All lines, from the first on.
    pub(super) items: Vec<Shown>,
    /// All records.
    pub(super) records: Vec<String>,
    /// The bases of positions, and the first record of each.
    bases: Vec<(Id, usize)>,
    /// The next entry of the log.
    next: usize,
    /// The entry of the log with which it has begun.
    first: Option<usize>,
    /// Records of an entry that was begun.
    rest: VecDeque<Shown>,
    /// The writers that are known here: their newest number, and their lines up to it.
    known: HashMap<String, (u64, u64)>,
    /// Lines that were told to be lost, and stand before no record yet.
    told_lost: u64,
    /// The stamp before the next record: its id.
    stamp: Option<Id>,
    /// The second of the newest stamp.
    second: Option<u64>,
    pub(super) told: Told,
}

impl TapeView {
    pub(super) fn new() -> TapeView {
        TapeView {
            read: 0,
            partial: Vec::new(),
            items: Vec::new(),
            records: Vec::new(),
            bases: Vec::new(),
            next: 0,
            first: None,
            rest: VecDeque::new(),
            known: HashMap::new(),
            told_lost: 0,
            stamp: None,
            second: None,
            told: Told::Together,
        }
    }

    /// Whether this is the tape that was read so far.
    pub(super) fn is_of(&self, tape: &Tape) -> bool {
        tape.end().offset >= self.read
    }

    /// The newest entry of a writer that was heard here.
    pub(super) fn newest(&self, writer: &str) -> Option<u64> {
        self.known.get(writer).map(|&(number, _)| number)
    }

    /// Returns the numbers of the records that a position of this tape may mean: several, if Redis has lost an entry
    /// and given its id to another one.
    pub(super) fn resolve(&self, base: Id, number: u64) -> Vec<usize> {
        let behind = usize::try_from(number).unwrap_or(usize::MAX);
        let ends = self.bases.iter().skip(1).map(|&(_, first)| first).chain([self.records.len()]);
        let places = self.bases.iter().zip(ends).filter(|((id, _), _)| *id == base);
        let records = places.map(|(&(_, first), end)| (first.saturating_add(behind), end));
        records.filter(|(record, end)| record <= end).map(|(record, _)| record).collect()
    }

    /// Whether all entries of a log that are still there were heard.
    pub(super) fn is_at_end(&self, log: &RoomLog, added: &[Added]) -> bool {
        let is_due = |entry: &Entry| {
            let one = &added[entry.at];
            let is_new = self.newest(&entry.writer).is_none_or(|newest| newest < entry.number);
            !one.is_lost && !one.is_trimmed && is_new && !self.is_of_before(entry, log)
        };
        self.rest.is_empty() && !log.entries.iter().skip(self.next).any(is_due)
    }

    /// Whether an entry is a repetition of one that stands before all that is on this tape. Then the server has counted
    /// that one, if it has read so far back.
    fn is_of_before(&self, entry: &Entry, log: &RoomLog) -> bool {
        let mut before = log.entries[..self.first.unwrap_or(0)].iter();
        before.any(|other| other.writer == entry.writer && other.number == entry.number)
    }

    /// Reads what is new on the tape.
    pub(super) fn read(&mut self, tape: &Tape, log: &RoomLog, added: &[Added]) -> Verdict {
        let end = tape.end().offset;
        if tape.tail() > self.read {
            return Rule::BusOrder.broken("the tape of a room is too short for this run");
        }
        for slice in tape.slices(self.read, end) {
            self.partial.extend_from_slice(slice);
        }
        self.read = end;
        while let Some(newline) = self.partial.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=newline).collect();
            let line = String::from_utf8_lossy(&line[..newline]).into_owned();
            self.take(&line, log, added).map_err(|violation| violation.about(format!("on the tape {line:?}")))?;
        }
        Ok(())
    }

    fn take(&mut self, line: &str, log: &RoomLog, added: &[Added]) -> Verdict {
        if let Some(stamp) = line.strip_prefix("@ ") {
            return self.take_stamp(stamp);
        }
        if let Some(words) = aside(line) {
            self.items.push(Shown { text: line.to_owned(), own_of: None, renames: None });
            self.take_aside(words);
            return Ok(());
        }
        self.records.push(line.to_owned());
        if let Some(due) = self.rest.pop_front() {
            Rule::BusOrder.demands(due.text == line, || format!("{:?} is next in the log", due.text))?;
            self.items.push(due);
            return Rule::BusPositions.demands(self.stamp.is_none(), || "a stamp in the middle of an entry".to_owned());
        }
        self.begin_entry(line, log, added)
    }

    fn take_stamp(&mut self, stamp: &str) -> Verdict {
        let position = stamp.split_once(' ').and_then(|(_, position)| parse_position(position));
        let Some((id, 0)) = position else { return Rule::BusPositions.broken("it is no position of the log") };
        self.stamp = Some(id);
        self.bases.push((id, self.records.len()));
        Ok(())
    }

    fn take_aside(&mut self, words: &str) {
        if let Some(told) = Told::by(words) {
            self.told = told;
        } else if let Some((lines, _)) =
            words.split_once(" lines of others were lost").or(words.split_once(" line of o"))
        {
            self.told_lost += lines.parse::<u64>().unwrap_or(u64::MAX / 2);
        }
    }

    /// A record begins the next entry that was heard.
    fn begin_entry(&mut self, line: &str, log: &RoomLog, added: &[Added]) -> Verdict {
        let stamp = self.stamp.take();
        if self.first.is_none() {
            let Some(id) = stamp else { return Rule::BusPositions.broken("no stamp stands before the first record") };
            let first = log.entries.iter().rposition(|entry| entry.id == id);
            let Some(first) = first else { return Rule::BusPositions.broken(format!("there is no entry {id}")) };
            (self.first, self.next) = (Some(first), first);
        }
        let mut skipped = None;
        for at in self.next..log.entries.len() {
            let entry = &log.entries[at];
            let newest = self.known.get(&entry.writer).copied();
            if newest.is_some_and(|(newest, _)| entry.number <= newest) || entry.records.is_empty() {
                self.note_empty(entry);
                continue;
            }
            let one = &added[entry.at];
            let is_there = !one.is_lost && !one.is_trimmed;
            // What was lost was perhaps repeated, in a second that has a stamp.
            let fits = stamp.map_or(is_there || self.second == Some(entry.id.ms / 1_000), |id| id == entry.id);
            if entry.records[0].text == line && fits {
                self.next = at + 1;
                return self.hear(entry, stamp, newest, log);
            }
            if is_there && !self.is_of_before(entry, log) {
                // No text is said twice.
                let is_again = !line.starts_with('*') && self.records.iter().rev().skip(1).any(|record| record == line);
                Rule::BusOrder.demands(!is_again, || "it was heard before".to_owned())?;
                return Rule::BusDelivery
                    .broken(format!("entry {} of the log is missing: {:?}", entry.id, entry.records));
            }
            skipped = Some(entry.id);
        }
        Rule::BusOrder.broken(format!("it is not in the log there; skipped up to {skipped:?}"))
    }

    fn note_empty(&mut self, entry: &Entry) {
        if entry.records.is_empty() {
            self.known.insert(entry.writer.clone(), (entry.number, entry.lines_before + entry.lines));
        }
    }

    /// Whether so many lines were lost before the first entry of a writer on this tape, as far as the server may know:
    /// it has counted some of what stands before the tape.
    fn may_tell_lost(&self, told: u64, first: &Entry, log: &RoomLog) -> bool {
        let before = log.entries[..self.first.unwrap_or(0)].iter();
        let mut before = before.filter(|other| other.writer == first.writer && other.number < first.number);
        told == 0 || before.any(|other| other.lines_before + other.lines + told == first.lines_before)
    }

    fn hear(&mut self, entry: &Entry, stamp: Option<Id>, newest: Option<(u64, u64)>, log: &RoomLog) -> Verdict {
        let told = std::mem::take(&mut self.told_lost);
        let is_exact = match newest {
            Some((_, lines)) => lines + told == entry.lines_before,
            None => self.may_tell_lost(told, entry, log),
        };
        Rule::BusGaps.demands(is_exact, || {
            format!("{told} lines were told to be lost before it; {entry:?} behind {newest:?}")
        })?;
        let second = entry.id.ms / 1_000;
        let is_due = self.second != Some(second);
        Rule::BusPositions
            .demands(stamp.is_some() || !is_due, || format!("no stamp stands before entry {}", entry.id))?;
        Rule::BusPositions.demands(stamp.is_none_or(|id| id == entry.id), || {
            format!("its stamp tells {stamp:?}, and it is entry {}", entry.id)
        })?;
        let has_gap = newest.map_or(told > 0, |(number, _)| entry.number > number + 1);
        Rule::BusPositions
            .demands(stamp.is_none() || is_due || has_gap, || "a stamp in the middle of a second".to_owned())?;
        if stamp.is_some() {
            self.second = Some(second);
        }
        self.known.insert(entry.writer.clone(), (entry.number, entry.lines_before + entry.lines));
        self.items.push(entry.records[0].clone());
        self.rest = entry.records.iter().skip(1).cloned().collect();
        Ok(())
    }
}

/// Reads a position: the id at its base, and the records behind it.
pub(super) fn parse_position(text: &str) -> Option<(Id, u64)> {
    let (base, number) = text.split_once('.')?;
    let id = u64::from_str_radix(base, 36).ok()?;
    Some((Id { ms: id >> 20, seq: id & 0xf_ffff }, number.parse().ok()?))
}

/// The words of a server that is one of several, on its tapes alone.
pub(super) fn aside(line: &str) -> Option<&str> {
    let words = line.strip_prefix("** ").or_else(|| line.strip_prefix("* "))?;
    let is_aside = words.starts_with("cut off from the other servers")
        || words.starts_with("together again after ")
        || words.contains(" of others were lost between the servers")
        || words.contains(" of others was lost between the servers")
        || words == "the server is shutting down";
    is_aside.then_some(words)
}

/// A violation on a server.
pub(super) fn about(server: usize, room: &str, violation: Violation) -> Violation {
    violation.about(format!("server {server}, room {room}"))
}
