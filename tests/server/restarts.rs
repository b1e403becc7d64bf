//! Tracked clients of a server with a journal that is killed and started again, against the files of the journal.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::Signal;

use crate::support::{DEADLINE, Lines, Member, Server, eventually};

/// `--journal-sync`, by default. A record that is older is on the disk.
const SYNC: Duration = Duration::from_secs(1);

/// A folder for a journal, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("pollchat-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn start(&self) -> Server {
        Server::builder().flags(["--announce-up-to", "0", "--journal"]).flags([&self.0]).go()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Reads lines of a tracked reader. Gives each record its position: the log and the number.
#[derive(Clone, Default)]
struct Positions {
    next: Option<(String, u64)>,
}

impl Positions {
    /// Returns the position of a record; `None` for any other line.
    fn take(&mut self, line: &str) -> Option<(String, u64)> {
        if let Some(stamp) = line.strip_prefix("@ ") {
            let (_, position) = stamp.split_once(' ').unwrap();
            let (epoch, number) = position.rsplit_once('.').unwrap();
            self.next = Some((epoch.to_owned(), number.parse().unwrap()));
            return None;
        }
        if line.starts_with("** ") {
            return None;
        }
        let (epoch, number) = self.next.clone().expect("a record has a position");
        self.next = Some((epoch.clone(), number + 1));
        Some((epoch, number))
    }
}

/// Records by their positions, and when they were read.
type Transcript = Vec<((String, u64), String, Instant)>;

/// A client that says a line when it reads its last one, over any number of connections.
struct Talker {
    name: usize,
    said: usize,
    positions: Positions,
    transcript: Transcript,
}

impl Talker {
    /// Talks until the connection ends.
    fn talk(&mut self, address: SocketAddr, total: &AtomicUsize) {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let is_back = self.positions.next.is_some();
        let track = match &self.positions.next {
            Some((epoch, number)) => format!("/track {epoch}.{number} 00112233445566778899aabbccddeeff\n"),
            None => "/track\n".to_owned(),
        };
        stream.write_all(track.as_bytes()).unwrap();
        self.say(&mut stream);
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        let mut seen = Vec::new();
        while {
            line.clear();
            lines.read_line(&mut line).is_ok_and(|len| len > 0)
        } {
            let Some(text) = line.strip_suffix('\n') else { break };
            seen.extend((seen.len() < 2).then(|| text.to_owned()));
            if let Some(position) = self.positions.take(text) {
                self.transcript.push((position, text.to_owned(), Instant::now()));
                total.fetch_add(1, Ordering::Relaxed);
                if text.ends_with(&format!("> {} of {}", self.said, self.name)) && !self.say(&mut stream) {
                    break;
                }
            }
        }
        if is_back && seen.len() == 2 {
            assert_eq!(seen[1], "** resumed", "{seen:?}");
        }
    }

    fn say(&mut self, stream: &mut TcpStream) -> bool {
        self.said += 1;
        stream.write_all(format!("{} of {}\n", self.said, self.name).as_bytes()).is_ok()
    }
}

/// Reads the journal of the lobby: the records in their order. Panics if a stamp tells a gap.
fn read_journal(folder: &Path) -> Vec<((String, u64), String)> {
    let mut files: Vec<_> = fs::read_dir(folder.join("lobby")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let (mut positions, mut records) = (Positions::default(), Vec::new());
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for line in text.lines().skip(1) {
            let before = positions.next.clone();
            match positions.take(line) {
                Some(position) => records.push((position, line.to_owned())),
                None => {
                    let (epoch, number) = positions.next.clone().unwrap();
                    let is_gap = before.is_some_and(|(other, expected)| other == epoch && number != expected);
                    assert!(!is_gap, "{line} tells a gap");
                }
            }
        }
    }
    records
}

#[test]
fn kills_under_load_lose_no_record_that_is_older_than_a_sync_and_double_none() {
    let folder = Folder::new("kills");
    let mut talkers: Vec<_> =
        (0..3).map(|name| Talker { name, said: 0, positions: Positions::default(), transcript: Vec::new() }).collect();
    let mut kills = Vec::new();
    for _ in 0..4 {
        let mut server = folder.start();
        let (address, total, start) = (server.address(), Arc::new(AtomicUsize::new(0)), Instant::now());
        let threads: Vec<_> = talkers
            .drain(..)
            .map(|mut talker| {
                let total = Arc::clone(&total);
                thread::spawn(move || {
                    talker.talk(address, &total);
                    talker
                })
            })
            .collect();
        eventually("they have talked for more than a sync", || {
            total.load(Ordering::Relaxed) > 1_000 && start.elapsed() > SYNC + SYNC / 4
        });
        server.signal(Signal::KILL);
        server.wait(DEADLINE);
        kills.push(Instant::now());
        talkers.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
    }
    // One more run: it repairs what the last kill has torn.
    drop(folder.start());
    let records = read_journal(&folder.0);
    let journal: BTreeMap<_, _> = records.iter().cloned().collect();
    assert_eq!(journal.len(), records.len(), "no position twice");
    for talker in &talkers {
        check(talker, &records, &journal, &kills);
    }
}

/// Compares what a client has read with the journal.
fn check(
    talker: &Talker,
    records: &[((String, u64), String)],
    journal: &BTreeMap<(String, u64), String>,
    kills: &[Instant],
) {
    let read: BTreeMap<_, _> = talker.transcript.iter().map(|(position, text, _)| (position, text)).collect();
    assert_eq!(read.len(), talker.transcript.len(), "the client reads no record twice");
    for (position, text, at) in &talker.transcript {
        let kept = journal.get(position);
        let next_kill = kills.iter().find(|&kill| kill >= at).unwrap();
        assert!(kept.is_some() || next_kill.duration_since(*at) < SYNC, "{position:?} {text:?} is missing");
        assert!(kept.is_none_or(|kept| kept == text), "{position:?} is {text:?} and {kept:?}");
    }
    let first = records.iter().position(|(position, _)| *position == talker.transcript[0].0).unwrap();
    // The records behind the last that it has read, of the last run, were on their way.
    let last =
        talker.transcript.iter().rev().find_map(|(position, ..)| records.iter().position(|(kept, _)| kept == position));
    for (position, text) in &records[first..=last.unwrap()] {
        assert_eq!(read.get(position), Some(&text), "{position:?} was not read");
    }
    let own = format!(" of {}", talker.name);
    let said: Vec<_> = records.iter().filter(|(_, text)| text.ends_with(&own)).collect();
    assert!(said.len() > 100, "it has talked: {}", said.len());
}

#[test]
fn a_stop_in_good_order_keeps_everything() {
    let folder = Folder::new("stop");
    let mut server = folder.start();
    let [mut ana, mut bob] = server.join_many();
    for number in 0..1_000 {
        ana.send_line(format!("line {number}"));
    }
    bob.lines_until(|line| line.ends_with("> line 999"));
    server.signal(Signal::TERM);
    assert!(server.wait(DEADLINE).success());
    let records = read_journal(&folder.0);
    assert_eq!(records.len(), 1_000);
    assert!(records[999].1.ends_with("> line 999"));
}
