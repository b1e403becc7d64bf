//! Clients that talk without pause while the server is restarted at any moment: with lines half read, half written and
//! half processed.

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::support::hub::WRITABLE;

/// Numbers that look random, the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// A client over all its connections.
struct Talker {
    index: usize,
    tracked: Tracked,
    /// Its lines that the server is not known to have taken, and how many of them were sent on this connection.
    untaken: VecDeque<String>,
    sent: usize,
    taken: u64,
    said: usize,
    /// The beginning of a line that was not read to its end.
    partial: String,
    /// The records that it has read, by their numbers in the one log.
    records: BTreeMap<u64, String>,
}

impl Talker {
    fn new(world: &mut World, index: usize) -> Talker {
        let tracked = named(world, &format!("t{index}"));
        let (untaken, partial, records) = (VecDeque::new(), String::new(), BTreeMap::new());
        Talker { index, taken: tracked.heard, tracked, untaken, sent: 0, said: 0, partial, records }
    }

    fn talk(&mut self, chance: &mut Chance) {
        for _ in 0..chance.below(4) {
            let is_said = !chance.one_in(5);
            self.said += usize::from(is_said);
            let line = if is_said { format!("{} of {}\n", self.said, self.index) } else { "/who\n".to_owned() };
            self.untaken.push_back(line);
        }
        self.send();
    }

    fn send(&mut self) {
        let unsent: String = self.untaken.iter().skip(self.sent).map(String::as_str).collect();
        self.sent = self.untaken.len();
        if !unsent.is_empty() {
            self.tracked.client.sends(unsent);
        }
    }

    fn read(&mut self) {
        self.partial += &self.tracked.client.received();
        let whole = self.partial.rfind('\n').map_or(0, |at| at + 1);
        let lines: Vec<String> = self.partial.drain(..whole).collect::<String>().lines().map(str::to_owned).collect();
        self.take(&lines);
    }

    fn take(&mut self, lines: &[String]) {
        for line in lines {
            assert!(!line.contains("you missed") && !line.contains("cannot resume"), "{line}");
            let (_, number) = self.tracked.next.rsplit_once('.').unwrap();
            let number = number.parse().unwrap();
            for record in self.tracked.take(std::slice::from_ref(line)) {
                let before = self.records.insert(number, record);
                assert_eq!(before, None, "a record comes once");
            }
        }
        while self.taken < self.tracked.heard {
            self.untaken.pop_front().expect("no more lines are heard than were said");
            (self.taken, self.sent) = (self.taken + 1, self.sent.saturating_sub(1));
        }
    }

    /// Comes back after a restart, and says what was not taken.
    fn come_back(&mut self, world: &mut World) {
        self.partial.clear();
        let (name, next) = (self.tracked.name.clone(), self.tracked.next.clone());
        let client = world.connect_silently();
        self.tracked.client = client;
        let track = format!("/track {next} {}\n", self.tracked.token);
        self.tracked.client.sends(track);
        world.hub.on_ready(self.tracked.client.key, READABLE);
        world.turn();
        let answer = heard(&self.tracked.client);
        assert!(answer.len() > 3 && answer[1] == "** resumed", "from {next}: {answer:?}");
        self.take(&answer);
        assert_eq!(self.tracked.name, name);
        self.sent = 0;
        self.send();
    }
}

/// One thing happens.
fn step(world: &mut World, talkers: &mut [Talker], chance: &mut Chance) {
    let talker = &mut talkers[chance.below(3)];
    let key = talker.tracked.client.key;
    match chance.below(5) {
        0 | 1 => talker.talk(chance),
        2 => {
            talker.tracked.client.takes(chance.below(60));
            world.hub.on_ready(key, WRITABLE);
        }
        3 => talker.read(),
        _ => {}
    }
    if !chance.one_in(3) {
        world.hub.on_ready(key, READABLE);
    }
    if !chance.one_in(3) {
        world.turn();
    }
}

fn restart_under(world: &mut World, talkers: &mut [Talker], (config, disk): (&Config, &Disk), chance: &mut Chance) {
    stop(world);
    for talker in &mut *talkers {
        if chance.one_in(2) {
            // The rest is on its way.
            talker.tracked.client.takes(chance.below(200));
            world.hub.on_ready(talker.tracked.client.key, WRITABLE);
            world.run();
        }
        talker.read();
    }
    *world = start_again(config, disk);
    let first = chance.below(3);
    for at in 0..3 {
        talkers[(first + at) % 3].come_back(world);
    }
}

#[test]
fn each_line_is_there_once_in_both_directions_at_whatever_moment_the_server_is_restarted() {
    for seed in 1..=40 {
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15 ^ (seed << 20));
        let (config, disk) = (Config::default(), Disk::new(1));
        let mut world = start(&config, &disk);
        let mut talkers: Vec<Talker> = (0..3).map(|index| Talker::new(&mut world, index)).collect();
        for _ in 0..400 {
            step(&mut world, &mut talkers, &mut chance);
            if chance.one_in(40) {
                restart_under(&mut world, &mut talkers, (&config, &disk), &mut chance);
            }
        }
        for talker in &talkers {
            talker.tracked.client.takes(usize::MAX);
            talker.tracked.client.sends("/track\n");
            world.hub.on_ready(talker.tracked.client.key, READABLE);
            world.hub.on_ready(talker.tracked.client.key, WRITABLE);
        }
        world.run();
        talkers.iter_mut().for_each(Talker::read);
        let all = &talkers.iter().max_by_key(|talker| talker.records.len()).unwrap().records;
        for talker in &talkers {
            assert_eq!(talker.untaken, VecDeque::<String>::new(), "seed {seed}: all is taken");
            let (first, _) = talker.records.first_key_value().unwrap();
            assert!(all.range(first..).eq(&talker.records), "seed {seed}: all read the same");
            assert_eq!(talker.tracked.next.split('.').next(), talkers[0].tracked.next.split('.').next());
            let own = format!("t{0}> ", talker.index);
            let said: Vec<&str> = all.values().filter_map(|line| line.strip_prefix(&own)).collect();
            let expected: Vec<_> = (1..=talker.said).map(|said| format!("{said} of {}", talker.index)).collect();
            assert_eq!(said, expected, "seed {seed}");
        }
        let notices = all.values().filter(|line| line.starts_with("* "));
        assert!(notices.clone().all(|line| line.ends_with(" joined")) && notices.count() <= 3, "seed {seed}");
    }
}
