//! The verdict: what all clients were sent, against what was said.

use std::collections::HashMap;

use serde_json::Value;

use super::peer::Peer;
use super::programs::Ended;
use super::tapes::{Place, Tapes};
use super::{ROOMS, THE_END};

pub(super) struct Outcome {
    pub(super) peers: Vec<Peer>,
    pub(super) programs: Vec<Ended>,
    pub(super) sent: Vec<(&'static str, usize, Vec<String>)>,
    /// Of the lobby, the other room, and once more.
    pub(super) witnesses: Vec<Vec<String>>,
}

/// Returns the text of a said line.
fn text(line: &str) -> Option<&str> {
    line.split_once("> ").map(|(_, text)| text)
}

/// Returns the client that said a text.
fn author(text: &str) -> &str {
    text.split(' ').next().unwrap()
}

impl Outcome {
    pub(super) fn judge(&self, tapes: &Tapes) {
        // JSON first: it knows positions, and adds to the tapes.
        let json: Vec<&Ended> = self.programs.iter().filter(|program| program.is_json).collect();
        json.iter().for_each(|program| judge_json(program, tapes));
        let logs = tapes.logs();
        for (index, seen) in self.witnesses.iter().enumerate() {
            let room = index % ROOMS.len();
            let log = log_of(&logs, room);
            let own = ["wa0", "wa1", "wb0", "wb1"][index];
            judge_witness(own, seen, log);
            self.judge_comings(own, seen);
        }
        for room in 0..ROOMS.len() {
            self.judge_said(room, &self.witnesses[room]);
        }
        for program in self.programs.iter().filter(|program| !program.is_json) {
            judge_pipe(program, log_of(&logs, program.room));
        }
        for peer in &self.peers {
            let is_one = peer.names.len() == 1;
            assert!(is_one || peer.is_late(), "{} was called {:?}, and never late", peer.id(), peer.names);
            eprintln!(
                "{}: {} connections, {} late, {} records missed, called {:?}",
                peer.id(),
                peer.connections,
                peer.late,
                peer.missed,
                peer.names
            );
        }
        for program in &self.programs {
            let again = program.stderr.matches("connected again").count();
            eprintln!("{}: {} lines, connected again {again} times", program.id, program.texts.len());
        }
        for (id, _, texts) in &self.sent {
            eprintln!("{id}: {} sent", texts.len());
        }
        let records: usize = logs.iter().map(Vec::len).sum();
        eprintln!("{records} records");
    }

    /// A witness heard every text once, in the order of its author.
    fn judge_said(&self, room: usize, seen: &[String]) {
        let mut heard: HashMap<&str, Vec<&str>> = HashMap::new();
        for text in seen.iter().filter_map(|line| text(line)) {
            heard.entry(author(text)).or_default().push(text);
        }
        let peers = self.peers.iter().map(|peer| (peer.id(), &peer.texts[room]));
        let programs =
            self.programs.iter().filter(|program| program.room == room).map(|program| (&*program.id, &program.texts));
        let sent = self.sent.iter().filter(|(_, its, _)| *its == room).map(|(id, _, texts)| (*id, texts));
        for (id, texts) in peers.chain(programs).chain(sent) {
            let found = heard.remove(id).unwrap_or_default();
            assert_same(id, &found, &texts.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let strays: Vec<_> = heard.iter().filter(|(id, _)| !id.starts_with('w') && **id != "the").collect();
        assert!(strays.is_empty(), "said in {}: {strays:?}", ROOMS[room]);
    }

    /// Nobody that has said something comes again, or says more after it left; but those that go from room to room.
    fn judge_comings(&self, own: &str, seen: &[String]) {
        let movers: Vec<&String> = self.peers.iter().filter(|peer| peer.moves()).flat_map(|peer| &peer.names).collect();
        let mut has_left: HashMap<&str, bool> = HashMap::new();
        for line in seen {
            let (name, is_said) = match line.split_once("> ") {
                Some((name, _)) => (name, true),
                None => match line.strip_prefix("* ").and_then(|notice| notice.split_once(' ')) {
                    Some((name, "joined" | "left")) => (name, false),
                    _ => continue,
                },
            };
            if movers.iter().any(|mover| *mover == name) {
                continue;
            }
            if is_said {
                assert!(!has_left.insert(name, false).unwrap_or_default(), "{own}: {name} left before {line}");
            } else if let Some(has_left) = has_left.get_mut(name) {
                let about: Vec<&String> =
                    seen.iter().filter(|line| line.starts_with("* ") && line.contains(name)).collect();
                let program = self.programs.iter().find(|program| program.id == name);
                let notes = program.map_or("", |program| &program.stderr);
                assert!(!*has_left && line.ends_with(" left"), "{own} saw a coming and going: {about:#?}; {notes}");
                *has_left = true;
            }
        }
    }
}

/// Returns the log of a room: the one in which its witness talks.
fn log_of(logs: &[Vec<String>], room: usize) -> &[String] {
    let talker = format!("wa{room}");
    let is_its = |log: &&Vec<String>| log.iter().any(|line| text(line).is_some_and(|text| author(text) == talker));
    logs.iter().find(is_its).expect("somebody read the room")
}

fn assert_same(who: &str, found: &[&str], expected: &[&str]) {
    let at = found.iter().zip(expected).position(|(found, expected)| found != expected);
    let at = at.unwrap_or(found.len().min(expected.len()));
    assert!(
        found.len() == expected.len() && at == found.len(),
        "{who}: {} of {} lines; from {at} on {:?} instead of {:?}",
        found.len(),
        expected.len(),
        &found[at..found.len().min(at + 3)],
        &expected[at..expected.len().min(at + 3)]
    );
}

/// A witness saw the whole log but its own lines, from its coming on.
fn judge_witness(own: &str, seen: &[String], log: &[String]) {
    let lost = seen.iter().find(|line| line.starts_with("* you missed"));
    assert_eq!(lost, None, "{own} reads all that comes");
    let said = |lines: &[String]| -> Vec<String> {
        let is_others = |line: &&String| text(line).is_some_and(|text| author(text) != own && text != &THE_END[2..]);
        lines.iter().filter(is_others).cloned().collect()
    };
    let (seen, log) = (said(seen), said(log));
    let first = log.first().expect("something was said");
    let from = seen.iter().position(|line| line == first).unwrap_or_else(|| panic!("{own} did not see {first}"));
    fn strs(lines: &[String]) -> Vec<&str> {
        lines.iter().map(String::as_str).collect()
    }
    assert_same(own, &strs(&seen[from..]), &strs(&log));
}

/// A pipe shows the log but its own lines, from its coming on, without any that was told as missed.
fn judge_pipe(program: &Ended, log: &[String]) {
    let id = &program.id;
    let mut expected = log.iter().filter(|line| text(line).is_some_and(|text| author(text) != id));
    let mut missed = 0;
    let mut is_first = true;
    for line in program.stdout.lines() {
        if let Some(count) = line.strip_prefix("* you missed ") {
            missed += count.split(' ').next().unwrap().replace(',', "").parse::<usize>().unwrap();
        }
        if text(line).is_none() {
            continue;
        }
        let skipped = expected.by_ref().take_while(|due| *due != line).count();
        assert!(is_first || skipped <= missed, "{id}: {skipped} lines are lacking or out of order before {line}");
        missed -= if is_first { 0 } else { skipped };
        is_first = false;
    }
}

/// JSON has each record once, or the count of those that are missing.
fn judge_json(program: &Ended, tapes: &Tapes) {
    let id = &program.id;
    let mut due: Option<Place> = None;
    for line in program.stdout.lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        let field = |key: &str| object[key].as_str().unwrap_or_default();
        if let Some(place) = object["position"].as_str().map(Place::parse) {
            if let Some(due) = due.take() {
                assert_eq!(due, place, "{id}: {line}");
            }
            let record = match field("kind") {
                "said" => format!("{}> {}", field("name"), field("text")),
                "renamed" => format!("* {} is now {}", field("name"), field("text")),
                kind => format!("* {} {kind}", field("name")),
            };
            tapes.put(id, &place, &record);
            due = Some(Place { record: place.record + 1, ..place });
        } else if field("kind") == "missed" {
            let missed = object["missed"].as_u64().unwrap_or_else(|| panic!("{id}: missed, and no number"));
            if let Some(due) = &mut due {
                due.record += missed;
            }
        }
    }
}
