//! The journal of a run: what the hub gives its store, judged against the tapes; and what a restart makes of that.
//!
//! The store is in memory. Its disk blocks and goes on by chance. At the end of a run the hub is gone, the end of the
//! journal with it, and further hubs begin on the rest. Clients come there with positions of all that was said.

use pollchat::server::config::{Config, Lag};
use pollchat::server::hub::Wake;

use crate::chance::Chance;
use crate::oracle::Oracle;
use crate::restarted::{Client, World};
use crate::rule::{Rule, Verdict};
use crate::stamps::Stamp;
use crate::store::Disk;

/// The line that tells a newcomer that a room is kept.
pub(crate) const KEPT: &str = "* what is said here is kept";

/// The journal of a run.
#[derive(Debug)]
pub(crate) struct JournalPlan {
    pub(crate) chance: Chance,
    /// The disk blocks, or goes on, in one step of so many; 0 if it never blocks.
    pub(crate) blocks_in: usize,
}

/// The journal of a room, as far as it was judged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Read {
    bytes: usize,
    /// The next record.
    next: usize,
    /// The record whose stamp was the last line.
    stamped: Option<usize>,
    /// Whether its first line was read.
    has_begun: bool,
}

/// A journal, for a third of the seeds.
pub(crate) fn some_journal(seed: u64, lag: Lag) -> Option<JournalPlan> {
    let mut chance = Chance::new(seed.rotate_left(24) ^ 0x6a6f_7572);
    chance.one_in(3).then(|| JournalPlan {
        // A room that waits for its journal is not judged here.
        blocks_in: if lag == Lag::Wait { 0 } else { chance.pick(&[0, 20, 200, 200]) },
        chance: chance.fork(),
    })
}

impl Oracle {
    /// Whether a room is kept.
    pub(crate) fn is_kept(&self, room: usize) -> bool {
        self.rooms[room].is_permanent && !self.kept.is_empty()
    }

    /// Judges what the journal was given. `is_blocked` tells whether its disk takes nothing now.
    pub(crate) fn judge_journal(&mut self, disk: &Disk, is_blocked: bool, wake: Wake) -> Verdict {
        for room in 0..self.kept.len() {
            let text = disk.text(room);
            while self.kept[room].bytes < text.len() {
                let rest = &text[self.kept[room].bytes..];
                let line = &rest[..rest.find('\n').unwrap_or(rest.len() - 1)];
                self.kept[room].bytes += line.len() + 1;
                self.judge_kept_line(room, line).map_err(|violation| {
                    violation.about(format!("in the journal of {}: {line:?}", self.rooms[room].name))
                })?;
            }
            let (next, end) = (self.kept[room].next, self.rooms[room].log.items.len());
            let is_due = wake != Wake::Now && !is_blocked;
            Rule::Journal
                .demands(!is_due || next == end, || format!("at rest: it was given {next} of {end} records"))?;
        }
        Ok(())
    }

    fn judge_kept_line(&mut self, room: usize, line: &str) -> Verdict {
        let (known, read) = (&self.rooms[room], &mut self.kept[room]);
        if line.starts_with('@') {
            let stamp = Stamp::read(line)?;
            let is_next = stamp.epoch == known.epoch && stamp.record == known.log.items.len();
            if is_next && !read.has_begun && read.next == stamp.record {
                // The log begins before its first record: a tracked client is about to be told a position.
                read.has_begun = true;
                return Ok(());
            }
            let is_here = stamp.epoch == known.epoch && (read.next..known.log.items.len()).contains(&stamp.record);
            Rule::Journal.demands(is_here, || format!("it is at record {} of {}", read.next, known.epoch))?;
            let tail = known.log.end().saturating_sub(known.backlog_bytes);
            let coarse = coarse(known.backlog_bytes, self.config.longest_line_bytes());
            // It misses what has left the tape, and what the tape can only drop together with that.
            let is_lost = read.next == stamp.record
                || known.log.items[read.next].start < tail && known.log.offset(stamp.record - 1) < tail + coarse;
            Rule::Journal.demands(is_lost, || format!("record {} is on the tape", read.next))?;
            let time_ms = known.log.items[stamp.record].time_ms;
            Rule::Journal.demands(stamp.time_ms == time_ms, || format!("the record is of {time_ms}"))?;
            (read.next, read.stamped, read.has_begun) = (stamp.record, Some(stamp.record), true);
            return Ok(());
        }
        Rule::Journal.demands(read.has_begun, || "it does not begin with a stamp".to_owned())?;
        let at = read.next;
        let is_next = at < known.log.items.len() && known.log.text(at) == line;
        Rule::Journal.demands(is_next, || format!("record {at} was due"))?;
        let is_stamped = !known.log.is_stamped(at) || read.stamped == Some(at);
        Rule::Journal.demands(is_stamped, || format!("the stamp of record {at} is missing"))?;
        read.next += 1;
        Ok(())
    }

    /// Restarts the server twice on what is left of its journal, and judges what clients find there.
    pub(crate) fn judge_restarts(&self, disk: &Disk, chance: &mut Chance) -> Verdict {
        for room in 0..self.kept.len() {
            let len = disk.text(room).len();
            disk.cut_torn(room, if chance.one_in(2) { len } else { chance.below(len + 1) });
        }
        disk.takes(usize::MAX);
        let mut later: Vec<Vec<String>> = vec![Vec::new(); self.kept.len()];
        let mut numbers = self.numbers;
        for run in 0..2 {
            let mut world = World::new(&restarted_config(&self.config));
            world.hub.keep(Box::new(disk.clone()), disk.kept(usize::MAX / 2), disk.numbers());
            world.hub.set_clock(self.clock_ms.max(1));
            for _ in 0..4 {
                let room = chance.below(self.kept.len());
                let reader = self.judge_comeback(&mut world, disk, (room, chance), &later[room], &mut numbers)?;
                let Some(reader) = reader else { continue };
                // It hears what is said now, behind a stamp of the new log.
                world.says(&reader, format!("{run}\n"));
                let heard = reader.received();
                let said = heard.lines().rev().find(|line| !line.starts_with('@')).unwrap_or_default().to_owned();
                Rule::Restart
                    .demands(said.ends_with(&format!("> {run}")), || format!("it said {run}, and heard {heard:?}"))?;
                later[room].push(said);
            }
        }
        Ok(())
    }

    /// A client comes with a position. Returns the client, if it was let in where it was.
    fn judge_comeback(
        &self,
        world: &mut World,
        disk: &Disk,
        (room, chance): (usize, &mut Chance),
        later: &[String],
        numbers: &mut u64,
    ) -> Result<Option<Client>, crate::rule::Violation> {
        let known = &self.rooms[room];
        let position = chance.below(known.log.items.len() + 2);
        let client = world.connect_silently();
        world.says(&client, format!("/track {}.{position}\n", known.epoch));
        let answer = client.received();
        let lines: Vec<&str> = answer.lines().collect();
        let about = |what: String| format!("{what}; /track {position} in {}: {answer:?}", known.name);
        let number = lines.first().and_then(|line| line.rsplit('-').next()).and_then(|number| number.parse().ok());
        Rule::Restart.demands(number > Some(*numbers), || about(format!("numbers up to {numbers} were given")))?;
        *numbers = number.unwrap_or(*numbers);
        let kept = kept_records(&disk.text(room), &known.epoch);
        let (Some(&first), Some(&last)) = (kept.first(), kept.last()) else { return Ok(None) };
        let end = last + 1;
        if position < first {
            let is_unknown = lines[1] == "** cannot resume: earlier lines follow";
            return Rule::Restart.demands(is_unknown, || about("nothing so old is kept".into())).map(|()| None);
        }
        let from = position.min(end);
        let missed = match lines[1].strip_prefix("** you missed ").and_then(|rest| rest.split(' ').next()) {
            Some(missed) => missed.parse::<usize>().ok(),
            None => (lines[1] == "** resumed").then_some(0),
        };
        let Some(missed) = missed else { return Rule::Restart.broken(about("it was not let in where it was".into())) };
        let place = lines[2].ends_with(&format!(", in {}", known.name));
        Rule::Restart.demands(place, || about("it is elsewhere".into()))?;
        let expected: Vec<&str> =
            (from..end).map(|at| known.log.text(at)).chain(later.iter().map(String::as_str)).collect();
        let got: Vec<&str> = lines[4..].iter().copied().filter(|line| !line.starts_with('@')).collect();
        let is_right = missed <= expected.len() && got == expected[missed..];
        Rule::Restart.demands(is_right, || about(format!("{expected:?} was due")))?;
        let has_gap = (from..end).any(|at| !kept.contains(&at));
        // A tape is loaded from a stamp on.
        let bytes = bytes_from(&disk.text(room), &known.epoch, from);
        let fits = bytes + coarse(known.backlog_bytes, self.config.longest_line_bytes()) < known.backlog_bytes;
        Rule::Restart.demands(missed == 0 || has_gap || !fits, || about("it missed what was kept".into()))?;
        judge_positions(&lines[3..], (&known.epoch, from + missed, end))
            .map_err(|violation| violation.about(about("positions".into())))?;
        Ok(Some(client))
    }
}

/// Judges the stamps that a client reads from a record of an earlier log on: those of that log have its numbers, and
/// the first record behind it has a stamp of another log.
fn judge_positions(lines: &[&str], (epoch, from, end): (&str, usize, usize)) -> Verdict {
    let mut next = None;
    let mut at = from;
    for line in lines {
        if line.starts_with('@') {
            let stamp = Stamp::read(line)?;
            let is_right = (stamp.epoch == epoch) == (at < end) && (at >= end || stamp.record == at);
            Rule::Restart.demands(is_right, || format!("{line:?} before record {at} of {end}"))?;
            next = Some(stamp.epoch);
        } else {
            let is_known = next.as_ref().is_some_and(|next| (next == epoch) == (at < end));
            Rule::Restart.demands(is_known, || format!("{line:?} is not of its log"))?;
            at += 1;
        }
    }
    Ok(())
}

/// The numbers of the records of a log in a journal.
fn kept_records(text: &str, epoch: &str) -> Vec<usize> {
    let (mut records, mut next) = (Vec::new(), None);
    for line in text.lines() {
        if line.starts_with('@') {
            next = Stamp::read(line).ok().filter(|stamp| stamp.epoch == epoch).map(|stamp| stamp.record);
        } else if let Some(record) = next {
            records.push(record);
            next = Some(record + 1);
        }
    }
    records
}

/// The bytes of a journal from the stamp on that is in force at a record of a log.
fn bytes_from(text: &str, epoch: &str, record: usize) -> usize {
    let (mut at, mut stamp_at, mut next) = (0, 0, None);
    for line in text.split_inclusive('\n') {
        if line.starts_with('@') {
            next = Stamp::read(line.trim_end()).ok().filter(|stamp| stamp.epoch == epoch).map(|stamp| stamp.record);
            if next.is_some_and(|next| next > record) {
                break;
            }
            stamp_at = at;
        } else if next == Some(record) {
            break;
        } else {
            next = next.map(|next| next + 1);
        }
        at += line.len();
    }
    text.len() - stamp_at
}

/// The settings of a server that is started again: those that its journal knows.
pub(crate) fn restarted_config(config: &Config) -> Config {
    Config {
        rooms: config.rooms.clone(),
        rooms_max: config.rooms_max,
        backlog_bytes: config.backlog_bytes,
        room_backlog_bytes: config.room_backlog_bytes,
        line_bytes_max: config.line_bytes_max,
        announce_up_to: 0,
        ..Config::default()
    }
}

/// The bytes by which a tape may miss a place.
fn coarse(backlog_bytes: usize, longest_line_bytes: usize) -> usize {
    (backlog_bytes / 16).clamp(1, 4_096) + longest_line_bytes
}
