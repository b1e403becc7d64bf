//! The log of members, names and numbers, as far as the simulator judges it: who was taken for dead, and by whom.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::Place;
use crate::redis::Added;
use crate::rule::{Rule, Verdict};

/// The key of the log.
const KEY: &[u8] = b"pollchat:roster";

/// The time for which a server that is well is sure not to be taken for dead: two looks after the end of a lease, but
/// for what was on its way.
const WELL: Duration = Duration::from_secs(15);

/// The time after a connect in which a server judges nobody.
pub(super) const DEAF: Duration = Duration::from_secs(19);

/// The time for which a judgement may wait for a connection that works.
const UNWRITTEN: Duration = Duration::from_secs(60);

/// The servers by their writers, and the names and numbers of members.
#[derive(Debug, Default)]
pub(super) struct RosterLog {
    read: usize,
    numbers: HashSet<u64>,
    /// Servers by their writers.
    servers: HashMap<String, usize>,
    /// Servers that have crashed, and when.
    crashed: HashMap<String, Instant>,
    /// The names that were confirmed, by number, each with the server that has written it.
    names: HashMap<u64, (String, String)>,
    /// Servers that were said to be gone.
    pub(super) gone: HashMap<String, Instant>,
}

impl RosterLog {
    /// A server begins.
    pub(super) fn begin(&mut self, writer: &str, number: usize) {
        self.servers.insert(writer.to_owned(), number);
    }

    /// A server has crashed.
    pub(super) fn crash(&mut self, writer: &str, now: Instant) {
        self.crashed.insert(writer.to_owned(), now);
    }

    /// Whether a server has crashed.
    pub(super) fn has_crashed(&self, writer: &str) -> bool {
        self.crashed.contains_key(writer)
    }

    /// Takes the number of a client, as it was told.
    pub(super) fn take_number(&mut self, number: Option<u64>) -> Verdict {
        let Some(number) = number else { return Ok(()) };
        Rule::BusNames.demands(self.numbers.insert(number), || format!("client-{number} is there a second time"))
    }

    /// Reads what was added since.
    pub(super) fn read(&mut self, added: &[Added], places: &[Place], now: Instant) -> Verdict {
        for one in &added[self.read..] {
            if one.key != KEY {
                continue;
            }
            let field = |name: &[u8]| {
                let pair = one.fields.chunks_exact(2).find(|pair| pair[0] == name);
                pair.and_then(|pair| str::from_utf8(&pair[1]).ok()).unwrap_or_default()
            };
            for event in field(b"e").lines() {
                let words: Vec<&str> = event.split(' ').collect();
                match words[..] {
                    ["g", dead] => self.judge_death(field(b"w"), dead, places, now)?,
                    ["n", number, name] => self.confirm(number.parse().unwrap_or(0), field(b"w"), name),
                    ["m", number, _, _, _, _, name] => self.describe(number.parse().unwrap_or(0), field(b"w"), name),
                    ["+", number, _] => self.come(number.parse().unwrap_or(0), field(b"w")),
                    _ => {}
                }
            }
        }
        self.read = added.len();
        Ok(())
    }

    /// A member has a name; another one that had it has it no more.
    fn confirm(&mut self, number: u64, server: &str, name: &str) {
        self.names.retain(|_, (_, other)| other.to_lowercase() != name.to_lowercase());
        self.names.insert(number, (server.to_owned(), name.to_owned()));
    }

    /// A server tells that its member has a name, which no other one holds. If Redis has lost the roster, a member of
    /// another server may have had its number meanwhile.
    fn describe(&mut self, number: u64, server: &str, name: &str) {
        let is_held = self.names.values().any(|(_, other)| other.to_lowercase() == name.to_lowercase());
        if !is_held && !self.names.contains_key(&number) {
            self.names.insert(number, (server.to_owned(), name.to_owned()));
        }
    }

    /// A member has come, or gone to another room. If Redis has lost the roster, its number may be that of an earlier
    /// member of another server.
    fn come(&mut self, number: u64, server: &str) {
        if self.names.get(&number).is_some_and(|(other, _)| other != server) {
            self.names.remove(&number);
        }
    }

    /// Returns the name of a member.
    pub(super) fn name(&self, number: u64) -> String {
        self.names.get(&number).map(|(_, name)| name.clone()).unwrap_or_else(|| format!("client-{number}"))
    }

    fn judge_death(&mut self, judge: &str, dead: &str, places: &[Place], now: Instant) -> Verdict {
        if self.gone.insert(dead.to_owned(), now).is_some() || self.crashed.contains_key(dead) {
            return Ok(());
        }
        let find = |writer: &str| {
            places.iter().filter_map(|place| place.server.as_ref()).find(|server| server.writer == writer)
        };
        let since = |time: Option<Instant>| time.map_or(Duration::ZERO, |time| now.saturating_duration_since(time));
        if let Some(server) = find(dead) {
            let well = since(server.well_since);
            Rule::BusAlive.demands(well < WELL, || format!("{dead} is gone, and was well for {well:?}"))?;
        }
        if let Some(server) = find(judge) {
            let deaf = since(server.dialed_at);
            let is_late = server.judged_until.is_some_and(|until| now.saturating_duration_since(until) < UNWRITTEN);
            Rule::BusAlive.demands(deaf >= DEAF || is_late, || {
                format!("{judge} says that {dead} is gone, {deaf:?} after a dial")
            })?;
        }
        Ok(())
    }
}
