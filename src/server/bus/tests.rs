//! Servers on one Redis in memory, turn by turn.

mod failures;
mod forged;
mod histories;
mod redis;

use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use redis::{FakeSocket, Redis};

const LOBBY: RoomId = RoomId::LOBBY;
const ROOM: StreamId = StreamId::Room(LOBBY);
const SECOND: Duration = Duration::from_secs(1);

/// Servers, and what each has heard.
struct World {
    redis: Rc<RefCell<Redis>>,
    servers: Vec<Bus<FakeSocket>>,
    heard: Vec<Vec<Heard>>,
    now: Instant,
    /// Whether connections are refused.
    is_refusing: bool,
    settings: BusSettings,
}

impl World {
    /// Servers that are not in touch yet.
    fn new(servers: u64) -> World {
        let link = Rc::new(LinkSettings::new("pollchat".to_owned(), None, None, None));
        let settings =
            BusSettings { link, prefix: "p".to_owned(), keep_bytes: 1024 * 1024, page: 64, tape_bytes: 512 * 1024 };
        let mut redis = Redis::default();
        redis.ms = 1_700_000_000_500;
        let mut world = World {
            redis: Rc::new(RefCell::new(redis)),
            servers: Vec::new(),
            heard: Vec::new(),
            now: Instant::now(),
            is_refusing: false,
            settings,
        };
        for _ in 0..servers {
            world.start();
        }
        world
    }

    /// Servers that have the lobby open.
    fn together(servers: u64) -> World {
        let mut world = World::new(servers);
        world.run();
        for server in &mut world.servers {
            assert_eq!(server.state(), State::Together);
            server.open(LOBBY, "lobby", 0);
        }
        world.run();
        world.heard.iter_mut().for_each(Vec::clear);
        world
    }

    fn start(&mut self) {
        let number = u64::try_from(self.servers.len()).expect("few") + 1;
        self.servers.push(Bus::new(&self.settings, Writer::new(number), number, self.now));
        self.heard.push(Vec::new());
    }

    /// Does a turn of a server.
    fn turn(&mut self, index: usize) {
        self.hear(index);
        self.servers[index].settle(self.now);
    }

    fn hear(&mut self, index: usize) {
        let server = &mut self.servers[index];
        while let Some(end) = server.wants_connection(self.now) {
            let stream = match self.is_refusing {
                true => Err(io::ErrorKind::ConnectionRefused.into()),
                false => Ok(Redis::connect(&self.redis)),
            };
            server.connected(end, stream, self.now);
        }
        for end in [End::Writer, End::Reader] {
            server.on_ready(end, Readiness { readable: true, writable: true });
        }
        while let Some(heard) = server.hear(self.now) {
            self.heard[index].push(heard);
        }
    }

    /// Turns until nothing is left to do.
    fn run(&mut self) {
        for _ in 0..12 {
            (0..self.servers.len()).for_each(|index| self.turn(index));
        }
    }

    /// Lets time pass in steps of 100 ms.
    fn pass(&mut self, time: Duration) {
        for _ in 0..time.as_millis() / 100 {
            self.now += Duration::from_millis(100);
            self.redis.borrow_mut().advance(100);
            self.run();
        }
    }

    fn say(&mut self, index: usize, text: &str) {
        self.servers[index].submit(ROOM, &format!("s 1 ana {text}\n"), 1);
    }

    /// Returns the texts said in the lobby that a server has heard, with `-N` for a gap.
    fn said(&self, index: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for heard in &self.heard[index] {
            let Heard::Entry(entry) = heard else { continue };
            if entry.stream != ROOM {
                continue;
            }
            if entry.missed_lines > 0 {
                texts.push(format!("-{}", entry.missed_lines));
            }
            texts.extend(entry.events.lines().map(|line| line.rsplit(' ').next().unwrap_or_default().to_owned()));
        }
        texts
    }

    fn stored(&self, key: &str) -> usize {
        self.redis.borrow().streams.get(key).map_or(0, |(_, entries)| entries.len())
    }
}

#[test]
fn what_is_said_anywhere_is_heard_everywhere_in_one_order() {
    let mut world = World::together(3);
    for line in 0..30 {
        world.say(line % 3, &format!("{line}"));
        if line % 4 == 0 {
            world.turn(line % 3);
        }
    }
    world.run();
    let said = world.said(0);
    assert_eq!(said.len(), 30);
    assert!(world.said(1) == said && world.said(2) == said);
    assert_eq!(world.servers[0].figures().repetitions, 0);
}

#[test]
fn an_entry_is_written_in_its_turn_and_heard_in_the_turn_in_which_it_comes() {
    let mut world = World::together(2);
    world.say(0, "a");
    world.servers[0].settle(world.now);
    assert_eq!(world.stored("p:room:lobby"), 1);
    for index in 0..2 {
        world.hear(index);
        assert_eq!(world.said(index), ["a"]);
    }
}

#[test]
fn one_entry_is_under_way_and_the_next_holds_what_came_meanwhile() {
    let mut world = World::together(1);
    for line in 0..5 {
        world.say(0, &format!("{line}"));
        world.servers[0].settle(world.now);
    }
    assert_eq!(world.stored("p:room:lobby"), 1, "the others wait until the first was heard");
    world.turn(0);
    assert_eq!(world.stored("p:room:lobby"), 2);
    world.run();
    assert_eq!(world.said(0), ["0", "1", "2", "3", "4"]);
    let entries: Vec<Vec<String>> = world.redis.borrow().commands("XADD");
    let numbers: Vec<&str> =
        entries.iter().filter(|entry| entry[1] == "p:room:lobby").map(|entry| &entry[6][..]).collect();
    assert_eq!(numbers, ["1", "2"]);
    let last = entries.last().expect("two");
    assert_eq!(last[3..9], ["w", "0000000000000001", "n", "2", "c", "1"], "the second stands after one line");
}

#[test]
fn a_large_batch_is_cut_at_the_end_of_an_event() {
    let mut world = World::together(2);
    for line in 0..1_000 {
        world.say(0, &format!("{line:0>100}"));
    }
    assert_eq!(world.servers[0].room_left(ROOM), 0);
    world.run();
    for commands in world.redis.borrow().commands("XADD") {
        assert!(commands.last().is_some_and(|events| events.len() < BATCH_BYTES + 200 && !events.starts_with("0")));
    }
    assert_eq!(world.stored("p:room:lobby"), 7);
    let mut lines = 0;
    for (_, fields) in &world.redis.borrow().streams["p:room:lobby"].1 {
        assert_eq!(fields[5], lines.to_string(), "each entry tells the lines before it");
        lines += fields[7].lines().count();
    }
    assert_eq!(world.said(1).len(), 1_000);
    assert_eq!(world.servers[1].figures().missed_lines, 0);
    assert_eq!(world.servers[0].room_left(ROOM), BATCH_BYTES);
}

#[test]
fn a_room_takes_lines_only_once_it_is_loaded_and_while_its_batch_has_room() {
    let mut world = World::together(1);
    let other = StreamId::Room(RoomId::default());
    assert_eq!(world.servers[0].room_left(StreamId::Inbox), 0);
    world.servers[0].close(LOBBY);
    assert_eq!(world.servers[0].room_left(other), 0);
    world.servers[0].open(LOBBY, "lobby", 0);
    assert_eq!(world.servers[0].room_left(ROOM), 0, "not loaded");
    world.run();
    assert_eq!(world.heard[0], [Heard::Loaded(ROOM)]);
    assert_eq!(world.servers[0].room_left(ROOM), BATCH_BYTES);
    world.say(0, "12345");
    assert_eq!(world.servers[0].room_left(ROOM), BATCH_BYTES - "s 1 ana 12345\n".len());
}

#[test]
fn a_room_that_is_opened_ends_a_blocked_read() {
    let mut world = World::together(2);
    // Nothing but the wake ends the read: no time passes.
    world.servers[0].submit(ROOM, "j 1 ana\n", 0);
    world.run();
    assert_eq!(world.said(0), ["ana"]);
    let wakes = world.stored("p:to:0000000000000001");
    world.run();
    assert_eq!(world.stored("p:to:0000000000000001"), wakes, "it is woken once");
    assert!(!world.heard[0].iter().any(|heard| matches!(heard, Heard::Entry(Entry { stream: StreamId::Inbox, .. }))));
}

#[test]
fn a_closed_room_still_writes_and_goes_on_counting_when_it_is_opened_again() {
    let mut world = World::together(2);
    for round in 0..3 {
        world.say(0, &format!("{round}"));
        world.servers[0].close(LOBBY);
        world.run();
        world.servers[0].open(LOBBY, "lobby", 0);
        world.run();
    }
    assert_eq!(world.said(1), ["0", "1", "2"]);
    assert_eq!(world.servers[1].figures().repetitions, 0);
    let streams = &world.servers[0].streams;
    assert_eq!(streams.iter().count(), 3, "closed streams do not stay");
}

#[test]
fn a_room_that_is_opened_at_once_again_keeps_what_it_had_to_write() {
    let mut world = World::together(2);
    world.say(0, "a");
    world.servers[0].settle(world.now);
    world.say(0, "b");
    world.servers[0].close(LOBBY);
    world.servers[0].open(LOBBY, "lobby", 100);
    world.run();
    assert_eq!(world.said(1), ["a", "b"]);
    assert_eq!(world.said(0), ["a", "b"]);
}

#[test]
fn a_closed_room_is_not_heard_although_its_number_is_given_again() {
    let mut world = World::together(2);
    world.say(1, "old");
    world.turn(1);
    world.servers[0].close(LOBBY);
    world.servers[0].open(LOBBY, "other", 0);
    world.run();
    assert!(world.said(0).is_empty());
    assert_eq!(world.said(1), ["old"]);
}

#[test]
fn a_post_reaches_one_server_alone() {
    let mut world = World::together(3);
    world.servers[0].post(Writer::new(2), "hello\n");
    world.servers[0].post(Writer::new(2), "again\n");
    world.run();
    let inbox = |index: usize| -> Vec<&str> {
        let entries = world.heard[index].iter().filter_map(|heard| match heard {
            Heard::Entry(entry) if entry.stream == StreamId::Inbox => Some(&entry.events[..]),
            _ => None,
        });
        entries.collect()
    };
    assert_eq!(inbox(1), ["hello\nagain\n"]);
    assert!(inbox(0).is_empty() && inbox(2).is_empty());
    let expiries = world.redis.borrow().commands("PEXPIRE");
    assert!(expiries.iter().any(|command| command[1] == "p:to:0000000000000002" && command[2] == "60000"));
}

#[test]
fn a_server_whose_lease_runs_out_is_told_and_none_else() {
    let mut world = World::together(3);
    for (index, other) in [(0, 2), (0, 3), (1, 3)] {
        world.servers[index].watch(Writer::new(other));
    }
    world.pass(30 * SECOND);
    assert!(world.heard.iter().all(Vec::is_empty));
    // The third stands still.
    world.servers.pop();
    world.pass(19 * SECOND);
    assert!(world.heard.iter().all(Vec::is_empty));
    world.pass(14 * SECOND);
    assert_eq!(world.heard[0], [Heard::Expired(Writer::new(3))]);
    assert_eq!(world.heard[1], [Heard::Expired(Writer::new(3))]);
}

#[test]
fn a_server_that_is_heard_is_there_without_a_lease() {
    let mut world = World::together(1);
    world.servers[0].watch(Writer::new(7));
    for number in 1..=20 {
        let fields = ["w", "0000000000000007", "n", &number.to_string(), "c", "0", "e", "b\n"];
        world.redis.borrow_mut().add("p:roster", &fields);
        world.pass(4 * SECOND);
    }
    assert_eq!(world.heard[0].len(), 20);
    world.pass(20 * SECOND);
    assert!(world.heard[0].contains(&Heard::Expired(Writer::new(7))));
}

#[test]
fn a_room_that_is_closed_has_nothing_left_to_hear() {
    let mut world = World::together(2);
    for text in ["a", "b", "c"] {
        world.say(1, text);
        (0..2).for_each(|_| world.turn(1));
    }
    world.say(0, "own");
    world.turn(0);
    // The reply to the next read holds all but the first.
    world.servers[0].on_ready(End::Reader, Readiness { readable: true, writable: true });
    let heard = world.servers[0].hear(world.now);
    assert!(matches!(heard, Some(Heard::Entry(entry)) if entry.events.ends_with("b\n")));
    assert_eq!(world.servers[0].heard.len(), 2);
    world.say(0, "last");
    world.servers[0].close(LOBBY);
    world.servers[0].open(LOBBY, "other", 0);
    world.heard[0].clear();
    world.run();
    assert_eq!(world.heard[0], [Heard::Loaded(ROOM)]);
    assert_eq!(world.said(1), ["a", "b", "c", "own", "last"]);
}

#[test]
fn a_redis_without_data_judges_nobody() {
    let mut world = World::together(2);
    world.servers[0].watch(Writer::new(2));
    world.pass(30 * SECOND);
    // The second beats again only after the first has looked twice.
    world.servers.pop();
    world.redis.borrow_mut().keys.clear();
    world.pass(19 * SECOND);
    assert!(world.heard[0].is_empty());
    world.pass(20 * SECOND);
    assert_eq!(world.heard[0], [Heard::Expired(Writer::new(2))]);
}

#[test]
fn the_end_writes_what_was_submitted_and_gives_up_the_lease() {
    let mut world = World::together(2);
    world.say(0, "a");
    world.servers[0].settle(world.now);
    world.say(0, "b");
    let now = world.now;
    let mut turns = 0;
    while !world.servers[0].end(now) {
        world.hear(0);
        turns += 1;
        assert!(turns < 10);
    }
    world.run();
    assert_eq!(world.said(1), ["a", "b"]);
    let redis = world.redis.borrow();
    let last = |name| redis.log.iter().rposition(|command| command[0] == name);
    assert!(last("DEL") > last("XADD"), "a server with a lease is still there");
    assert!(!redis.keys.contains_key("p:up:0000000000000001") && redis.keys.contains_key("p:up:0000000000000002"));
}

#[test]
fn an_end_without_redis_is_done_if_it_never_was_there() {
    let mut world = World::new(1);
    world.is_refusing = true;
    world.run();
    assert!(world.servers[0].end(world.now));
}

#[test]
fn an_idle_server_beats_every_five_seconds_and_reads_every_ten() {
    let mut world = World::together(1);
    world.servers[0].watch(Writer::new(9));
    world.pass(10 * SECOND);
    world.redis.borrow_mut().log.clear();
    world.pass(60 * SECOND);
    let redis = world.redis.borrow();
    let count = |name| redis.commands(name).len();
    assert_eq!((count("SET"), count("MGET"), count("XREAD")), (12, 12, 6));
    assert_eq!(redis.log.len(), 30);
}

#[test]
fn an_idle_server_sleeps_between_its_beats() {
    let mut world = World::together(1);
    world.pass(SECOND);
    let Wake::At(at) = world.servers[0].next_wake() else { panic!("it has a beat") };
    assert!(at > world.now + 3 * SECOND);
}

#[test]
fn hundreds_of_rooms_are_read_at_once() {
    let mut world = World::new(2);
    world.run();
    let rooms: Vec<RoomId> = {
        let mut directory = crate::relay::directory::Directory::default();
        let name = |room| crate::relay::name::Name::parse(&format!("r{room}")).expect("a name");
        (0..300).map(|room| directory.open(name(room), false)).collect()
    };
    for room in &rooms {
        world.servers.iter_mut().for_each(|server| server.open(*room, &format!("r{}", room.index()), 10));
    }
    while world.heard.iter().any(|heard| heard.len() <= 300) {
        (0..2).for_each(|index| world.turn(index));
    }
    world.run();
    for (bytes, time) in [(1_000, Duration::ZERO), (16_000, SECOND)] {
        world.heard.iter_mut().for_each(Vec::clear);
        for room in &rooms {
            let events = format!("s 1 ana {}\n", "x".repeat(bytes));
            world.servers[0].submit(StreamId::Room(*room), &events, 1);
        }
        world.run();
        // A reply that is too large costs a connection, and nothing else.
        world.pass(time);
        let entries = |index: usize| world.heard[index].iter().filter(|heard| matches!(heard, Heard::Entry(_))).count();
        assert_eq!((entries(0), entries(1)), (300, 300));
        let reads = world.redis.borrow().commands("XREAD");
        assert_eq!(reads.last().expect("reads").len(), 6 + 2 * 302);
    }
}
