//! The logs of the rooms, as Redis was given them: a reading of their own, beside the one in `src`.
//!
//! An entry counts at its first place. A repetition is the same entry once more.

use std::collections::HashMap;
use std::time::Instant;

use crate::redis::{Added, Id};
use crate::rule::{Rule, Verdict, Violation};

/// The prefix of the keys of rooms.
pub(super) const ROOM_KEY: &str = "pollchat:room:";

/// Bytes of events that an entry takes before its last record.
const BATCH_BYTES: usize = 16 * 1024;

/// An entry of a room.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its place among all that was ever added.
    pub(super) at: usize,
    pub(super) id: Id,
    pub(super) writer: String,
    pub(super) number: u64,
    /// Said lines of its writer before it.
    pub(super) lines_before: u64,
    /// Said lines in it.
    pub(super) lines: u64,
    pub(super) records: Vec<Shown>,
}

/// A line of a tape: a record as it is shown, or an aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) text: String,
    /// The number of the member that says it or joins by it: it is not sent to that member, if it is plain.
    pub(super) own_of: Option<u64>,
    /// The number of the member that has a new name by it, and the place of the record.
    pub(super) renames: Option<(u64, RecordPlace)>,
}

/// The place of a record: that of its entry among all that was ever added, and its own in the entry.
pub(super) type RecordPlace = (usize, usize);

/// A writer of a room.
#[derive(Debug, Default)]
struct Known {
    /// The texts of its entries.
    entries: Vec<(u64, String)>,
    lines: u64,
}

/// A member that is told to have come and not to have gone.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) name: String,
    /// The server that has told that it came.
    pub(super) writer: String,
}

/// A member that is told to have gone.
#[derive(Debug)]
struct Absent {
    /// The server that has told that it came.
    writer: String,
    /// The servers that have told that it went.
    told_by: Vec<String>,
}

/// The log of a room.
#[derive(Debug, Default)]
pub(super) struct RoomLog {
    pub(super) entries: Vec<Entry>,
    writers: HashMap<String, Known>,
    /// Members whose `joined` is in it, and no `left` behind it.
    pub(super) present: HashMap<u64, Present>,
    /// Members whose `left` is the last of them in it.
    absent: HashMap<u64, Absent>,
    /// The newest line of each author.
    newest: HashMap<usize, usize>,
}

/// All logs.
#[derive(Debug, Default)]
pub(super) struct Logs {
    pub(super) rooms: HashMap<String, RoomLog>,
    /// Entries that were looked at.
    read: usize,
    /// The lines of each author that are in some log, in the order in which they came there.
    pub(super) said: HashMap<usize, Vec<usize>>,
    longest_line_bytes: usize,
    /// Whether Redis has lost data: a roster that begins anew gives numbers again.
    pub(super) has_lost_data: bool,
}

/// The author of a text, and the number of the line.
pub(super) fn author(text: &str) -> Option<(usize, usize)> {
    let (peer, line) = text.strip_prefix('p')?.trim_end_matches('~').split_once('.')?;
    Some((peer.parse().ok()?, line.parse().ok()?))
}

impl Logs {
    pub(super) fn new(longest_line_bytes: usize) -> Logs {
        Logs { longest_line_bytes, ..Logs::default() }
    }

    /// Reads what was added since, and gives each entry of a room to `judge`, with those before it.
    /// `gone` has the servers that were said to be gone.
    pub(super) fn read(
        &mut self,
        added: &[Added],
        gone: &HashMap<String, Instant>,
        judge: impl Fn(&str, &Entry, &[Entry]) -> Verdict,
    ) -> Verdict {
        for (at, one) in added.iter().enumerate().skip(self.read) {
            self.read = at + 1;
            let key = str::from_utf8(&one.key).expect("a key of text");
            let Some(room) = key.strip_prefix(ROOM_KEY) else { continue };
            let about = |violation: Violation| violation.about(format!("entry {} of {room}", one.id));
            let entry = parse(at, one).map_err(about)?;
            let before = self.rooms.get(room).map_or(&[][..], |log| &log.entries);
            judge(room, &entry, before).and_then(|()| self.take(room, entry, one, gone)).map_err(about)?;
        }
        Ok(())
    }

    /// Takes an entry. A repetition has a place of its own, since the first one may be lost.
    fn take(&mut self, room: &str, entry: Entry, added: &Added, gone: &HashMap<String, Instant>) -> Verdict {
        let events = text_of(added, "e");
        let longest = BATCH_BYTES + self.longest_line_bytes;
        Rule::BusMemory.demands(events.len() <= longest, || format!("it has {} bytes", events.len()))?;
        let log = self.rooms.entry(room.to_owned()).or_default();
        let known = log.writers.entry(entry.writer.clone()).or_default();
        let next = known.entries.last().map_or(1, |(number, _)| number + 1);
        if let Some((_, before)) = known.entries.iter().find(|(number, _)| *number == entry.number) {
            Rule::BusRepeated.demands(before == events, || format!("it was {before:?} before, and is {events:?}"))?;
            log.entries.push(entry);
            return Ok(());
        }
        Rule::BusNumbers.demands(entry.number == next, || format!("its number is {}, not {next}", entry.number))?;
        Rule::BusNumbers.demands(entry.lines_before == known.lines, || {
            format!("{} lines came before it, not {}", known.lines, entry.lines_before)
        })?;
        known.entries.push((entry.number, events.to_owned()));
        known.lines += entry.lines;
        for event in events.lines() {
            let verdict = log.judge(&entry.writer, event, &mut self.said, gone);
            verdict.or_else(|violation| {
                if self.has_lost_data && violation.rule == Rule::BusPresence { Ok(()) } else { Err(violation) }
            })?;
        }
        log.entries.push(entry);
        Ok(())
    }
}

impl RoomLog {
    /// Judges a record at its first place.
    fn judge(
        &mut self,
        writer: &str,
        event: &str,
        said: &mut HashMap<usize, Vec<usize>>,
        gone: &HashMap<String, Instant>,
    ) -> Verdict {
        let words: Vec<&str> = event.splitn(4, ' ').collect();
        let number = words.get(1).and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
        match words[..] {
            ["s", _, _, text] => {
                let Some((peer, line)) = author(text) else {
                    return Rule::BusAuthor.broken(format!("no peer said {text:?}"));
                };
                let newest = self.newest.insert(peer, line).unwrap_or(0);
                let of_peer = said.entry(peer).or_default();
                let is_new = !of_peer.contains(&line);
                of_peer.push(line);
                Rule::BusOnce.demands(is_new, || format!("{text:?} is in it twice"))?;
                Rule::BusAuthor.demands(line > newest, || format!("{text:?} comes behind line {newest}"))
            }
            ["j", _, name] => {
                let present = Present { name: name.to_owned(), writer: writer.to_owned() };
                self.absent.remove(&number);
                let before = self.present.insert(number, present);
                Rule::BusPresence.demands(before.is_none(), || format!("{name} joins a second time"))
            }
            ["l" | "k", _, name] => {
                let is_told_again = self.leave(number, writer, gone);
                Rule::BusPresence.demands(!is_told_again, || format!("{name} leaves, and never joined"))
            }
            ["n", _, from, to] => {
                if let Some(present) = self.present.get_mut(&number) {
                    let before = std::mem::replace(&mut present.name, to.to_owned());
                    return Rule::BusPresence.demands(before == from, || format!("{before} is now {to}, not {from}"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl RoomLog {
    /// A server tells that a member has left. Returns whether that is one too many.
    ///
    /// A room and the roster have logs of their own, without a common order. So a server that was said to be gone, and
    /// lives, can have told this itself before it reads that another one does it. The same is true of two that speak
    /// for it, one after the end of the other. Each tells it once.
    fn leave(&mut self, number: u64, writer: &str, gone: &HashMap<String, Instant>) -> bool {
        if let Some(present) = self.present.remove(&number) {
            let absent = Absent { writer: present.writer, told_by: vec![writer.to_owned()] };
            self.absent.insert(number, absent);
            return false;
        }
        let Some(absent) = self.absent.get_mut(&number) else { return true };
        let is_allowed = gone.contains_key(&absent.writer) && !absent.told_by.iter().any(|other| other == writer);
        absent.told_by.push(writer.to_owned());
        !is_allowed
    }
}

fn text_of<'a>(added: &'a Added, field: &str) -> &'a str {
    let pair = added.fields.chunks_exact(2).find(|pair| pair[0] == field.as_bytes());
    pair.and_then(|pair| str::from_utf8(&pair[1]).ok()).unwrap_or_default()
}

fn parse(at: usize, added: &Added) -> Result<Entry, Violation> {
    let number = |field| {
        let text = text_of(added, field);
        text.parse::<u64>().or_else(|_| Rule::BusNumbers.broken(format!("{field} is {text:?}")))
    };
    let events = text_of(added, "e");
    let records: Vec<Shown> = events.lines().enumerate().filter_map(|(line, event)| shown((at, line), event)).collect();
    let lines = events.lines().filter(|event| event.starts_with("s ") || event.starts_with("a ")).count();
    Ok(Entry {
        at,
        id: added.id,
        writer: text_of(added, "w").to_owned(),
        number: number("n")?,
        lines_before: number("c")?,
        lines: lines as u64,
        records,
    })
}

/// Reads the record at this place.
fn shown(place: RecordPlace, event: &str) -> Option<Shown> {
    let (kind, rest) = event.split_once(' ')?;
    if kind == "a" {
        return Some(Shown { text: format!("server> {rest}"), own_of: None, renames: None });
    }
    let (number, rest) = rest.split_once(' ')?;
    let text = match kind {
        "s" => rest.split_once(' ').map(|(name, text)| format!("{name}> {text}"))?,
        "j" => format!("* {rest} joined"),
        "l" => format!("* {rest} left"),
        "k" => format!("* {rest} was removed"),
        "n" => rest.split_once(' ').map(|(from, to)| format!("* {from} is now {to}"))?,
        _ => return None,
    };
    let number = number.parse().ok();
    let own_of = number.filter(|_| matches!(kind, "s" | "j"));
    Some(Shown { text, own_of, renames: number.filter(|_| kind == "n").map(|number| (number, place)) })
}
