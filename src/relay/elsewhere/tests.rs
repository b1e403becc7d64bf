use proptest::prelude::*;

use super::*;

mod disputes;
mod ends;

const A: Writer = Writer::new(0xa);
const B: Writer = Writer::new(0xb);
const C: Writer = Writer::new(0xc);

/// A reader of a log, with the time of the last entry.
struct Reader {
    elsewhere: Elsewhere,
    ms: u64,
}

impl Reader {
    fn new(own: Writer) -> Reader {
        Reader { elsewhere: Elsewhere::new(own), ms: 0 }
    }

    /// Reads events of a server, each an entry of its own. Returns the effect of the last.
    fn reads(&mut self, from: Writer, events: &[&str]) -> Effect {
        let mut effect = Effect::None;
        for event in events {
            self.ms += 1;
            let parsed = RosterEvent::parse(event).unwrap_or_else(|| panic!("{event}"));
            effect = self.elsewhere.apply(from, EntryId { ms: self.ms, seq: 0 }, &parsed, 100);
            self.elsewhere.check_invariants();
        }
        effect
    }

    fn who(&self, room: &str) -> Vec<String> {
        self.elsewhere.rows_in(&name(room), 160).map(|row| row.name).collect()
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// A reader on server A, with a member each on B (`client-1001`) and C (`client-2001`).
fn three() -> Reader {
    let mut reader = Reader::new(A);
    reader.elsewhere.begin_blocks();
    for server in [A, B, C] {
        reader.reads(server, &["h 1 50 fox"]);
    }
    reader.reads(A, &["+ 1 lobby"]);
    reader.reads(B, &["+ 1001 lobby"]);
    reader.reads(C, &["+ 2001 lobby"]);
    reader
}

#[test]
fn members_of_others_are_listed_and_own_ones_are_not() {
    let mut reader = three();
    assert_eq!(reader.who("lobby"), ["client-1001", "client-2001"]);
    assert_eq!((reader.elsewhere.len(), reader.elsewhere.len_in(&name("LOBBY"))), (2, 2));
    reader.reads(B, &["+ 1001 Rust"]);
    assert_eq!((reader.who("lobby"), reader.who("rust")), (vec!["client-2001".into()], vec!["client-1001".into()]));
    reader.reads(C, &["- 2001", "- 1001"]);
    assert_eq!(
        (reader.who("lobby").len(), reader.who("rust").len()),
        (0, 1),
        "a server speaks of its own members alone"
    );
    let rooms: Vec<_> = reader.elsewhere.rooms().map(|(room, len)| (room.as_str(), len)).collect();
    assert_eq!(rooms, [("Rust", 1)]);
}

#[test]
fn a_member_is_found_by_its_name_or_by_its_number_while_it_has_none() {
    let mut reader = three();
    assert_eq!(reader.elsewhere.find("CLIENT-1001"), Some(1_001));
    reader.reads(B, &["c 1001 0 Zoë", "n 1001 Zoë"]);
    assert_eq!((reader.elsewhere.find("client-1001"), reader.elsewhere.find("ZOË")), (None, Some(1_001)));
    let unknown = ["client-1", "client-01", "client-2001x", "client-999"].map(|typed| reader.elsewhere.find(typed));
    assert_eq!(unknown, [None; 4], "an own member belongs to no other server");
    reader.reads(B, &["u 1001"]);
    assert_eq!((reader.elsewhere.find("client-1001"), reader.elsewhere.is_held(&name("zoë"))), (Some(1_001), false));
}

#[test]
fn the_first_claim_in_the_log_is_free_and_no_later_one_until_it_is_answered() {
    let mut reader = three();
    let judged = |is_free| Effect::Judged { number: 1, is_free };
    assert_eq!(reader.reads(A, &["c 1 0 ana"]), judged(true));
    reader.reads(A, &["u 1"]);
    reader.reads(B, &["c 1001 0 ANA"]);
    assert_eq!(reader.reads(A, &["c 1 0 ana"]), judged(false), "one was before");
    reader.reads(A, &["u 1"]);
    assert_eq!(reader.reads(B, &["n 1001 ANA"]), Effect::Taken { name: name("ANA") });
    assert_eq!(reader.reads(A, &["c 1 0 ana"]), judged(false), "one holds it");
    reader.reads(B, &["u 1001"]);
    assert_eq!(reader.reads(A, &["c 1 0 ana"]), judged(true));
    assert_eq!(reader.reads(A, &["n 1 ana"]), Effect::None);
    assert_eq!(reader.reads(A, &["c 1 0 Ana"]), judged(true), "its own name in another case");
}

#[test]
fn a_claim_ends_with_its_member_and_with_its_server() {
    for end in ["- 1001", "u 1001", "b"] {
        let mut reader = three();
        reader.reads(B, &["c 1001 0 ana", end]);
        assert_eq!(reader.reads(A, &["c 1 0 ana"]), Effect::Judged { number: 1, is_free: true }, "{end}");
    }
}

#[test]
fn an_owner_has_its_name_even_if_another_holds_it_or_has_asked_before() {
    let mut reader = three();
    reader.reads(B, &["c 1001 0 ana", "n 1001 ana"]);
    assert_eq!(reader.reads(A, &["c 1 1 ana"]), Effect::Judged { number: 1, is_free: true });
    reader.reads(A, &["n 1 ana"]);
    assert_eq!(reader.who("lobby"), ["client-1001", "client-2001"]);
    // The claim of B was judged as free. But the owner has asked before B answers: the answer counts for nothing.
    reader.reads(B, &["c 1001 0 bob"]);
    reader.reads(C, &["c 2001 1 bob"]);
    assert_eq!(reader.reads(B, &["n 1001 bob"]), Effect::None);
    assert_eq!(reader.reads(C, &["n 2001 bob"]), Effect::Taken { name: name("bob") });
    assert_eq!(reader.who("lobby"), ["client-1001", "bob"]);
}

#[test]
fn what_a_room_has_read_of_a_member_is_known_before_the_log_tells_it() {
    let mut reader = three();
    reader.reads(C, &["t 2001"]);
    reader.elsewhere.note_in_room(C, &name("lobby"), 2_001, Note::Left);
    reader.elsewhere.count_line(1_001);
    assert_eq!(reader.elsewhere.row(1_001, 160).unwrap().lines, 1);
    assert_eq!(reader.reads(B, &["g 000000000000000c"]), Effect::Gone { server: C, told: vec![] });
}

#[test]
fn a_snapshot_removes_members_that_are_not_in_it() {
    let mut reader = three();
    reader.reads(B, &["+ 1002 lobby", "s 1 50 fox", "m 1002 60 7 1 rust Zoë", "+ 1003 lobby", "- 1004"]);
    assert!(!reader.elsewhere.knows(B));
    assert_eq!(reader.reads(B, &[". 3 1-0"]), Effect::Known);
    assert!(reader.elsewhere.knows(B));
    assert_eq!(
        (reader.who("lobby"), reader.who("rust")),
        (vec!["client-1003".into(), "client-2001".into()], vec!["Zoë".into()])
    );
    let row = reader.elsewhere.row(1_002, 160).unwrap();
    // Its `+` may be read late, with all of the log before: the seconds of its own server count, and those since.
    assert_eq!((row.lines, row.seconds), (7, 60 + 60), "its own server knows best when a member came");
}

#[test]
fn a_snapshot_whose_beginning_was_not_read_says_nothing() {
    let mut reader = three();
    assert_eq!(reader.reads(B, &["m 1005 0 0 0 lobby", ". 3 1-0"]), Effect::None);
    assert_eq!(reader.who("lobby"), ["client-1001", "client-2001"]);
}

#[test]
fn a_snapshot_with_a_gap_is_not_whole() {
    let mut reader = three();
    reader.reads(B, &["s 1 50 fox", "m 1002 0 0 0 lobby"]);
    reader.elsewhere.note_gap(B);
    assert_eq!(reader.reads(B, &[". 3 1-0"]), Effect::None);
    assert_eq!(reader.who("lobby"), ["client-1001", "client-1002", "client-2001"]);
}

#[test]
fn members_beyond_the_limit_are_counted_and_not_kept() {
    let mut reader = three();
    for number in 3_000..3_000 + MEMBERS_MAX as u64 {
        let event = RosterEvent::Came { number, room: "lobby" };
        reader.elsewhere.apply(B, EntryId::default(), &event, 0);
    }
    assert_eq!((reader.elsewhere.members.len(), reader.elsewhere.left_out()), (MEMBERS_MAX, 3));
    reader.elsewhere.check_invariants();
}

#[test]
fn hostile_events_cost_little_and_change_nothing_of_others() {
    let mut reader = three();
    let before = view(&reader.elsewhere);
    let stranger = Writer::new(0xdead);
    reader.reads(stranger, &["+ 1001 rust", "- 1001", "n 1001 ana", "m 1 0 0 0 lobby", "u 2001", "t 1001", "k 1001"]);
    reader.reads(C, &["+ 1001 rust", "- 1", "n 1001 ana", "u 1001", "n 2001 server", "c 2001 0 client-7", "u 2001"]);
    reader.reads(C, &["+ 2002 a>b", "+ 2003 server", "n 2001 e\u{301}"]);
    assert_eq!(view(&reader.elsewhere), before);
    for writer in 0..3 * SERVERS_MAX as u64 {
        reader.reads(Writer::new(writer << 8), &["h 1 50 fox", "b"]);
    }
    for writer in 0..2 * SERVERS_MAX as u64 {
        let hello = RosterEvent::Hello(Greeting { version: "1", announce_up_to: 50, server: "x" });
        reader.elsewhere.apply(Writer::new(writer << 8), EntryId::default(), &hello, 0);
    }
    assert!(reader.elsewhere.gone.len() <= GONE_MAX && reader.elsewhere.servers.len() <= SERVERS_MAX);
}

/// The state on which all readers of a log must agree.
type View = (Vec<Writer>, Vec<(u64, Writer, String, String, bool)>, Vec<(u64, String, bool)>, Option<u64>);

fn view(elsewhere: &Elsewhere) -> View {
    let members = elsewhere.members.iter().map(|(&number, member)| {
        let room = elsewhere.rooms.room(member.room).name.to_string();
        (number, member.server, member.shown(number), room, member.is_told)
    });
    let servers = elsewhere.servers.keys().copied().collect();
    (servers, members.collect(), elsewhere.claims.view(), elsewhere.blocks.count())
}

/// A server of a random log: what it would write, and what it knows.
struct Writing {
    own: Writer,
    /// Its members: number, room, name, whether the room knows it.
    members: Vec<(u64, usize, Option<usize>, bool)>,
    numbers: Vec<u64>,
    /// The first number of each block that it was given.
    given: Vec<u64>,
    /// The members that have asked for a name and were not answered.
    claiming: Vec<u64>,
    reader: Elsewhere,
}

const ROOMS: [&str; 3] = ["lobby", "rust", "go"];
const NAMES: [&str; 3] = ["ana", "bob", "zoe"];

impl Writing {
    fn snapshot(&self) -> Option<Vec<String>> {
        let end = self.reader.snapshot_end()?;
        let rows = self.members.iter().map(|&(number, room, name, is_told)| {
            let name = name.map(|name| NAMES[name]);
            RosterEvent::Member { number, seconds: 0, lines: 0, is_told, room: ROOMS[room], name }.to_string()
        });
        Some(["s 1 50 fox".to_owned()].into_iter().chain(rows).chain([end.to_string()]).collect())
    }

    /// Does something, as it is chosen. Returns what it writes.
    fn acts(&mut self, choice: usize, which: usize) -> Vec<String> {
        let place = which % self.members.len().max(1);
        match choice {
            0 | 1 => {
                let Some(number) = self.numbers.pop() else { return vec!["o".into()] };
                self.members.push((number, which % 3, None, false));
                vec![format!("+ {number} {}", ROOMS[which % 3])]
            }
            2 if !self.members.is_empty() => vec![format!("- {}", self.members.remove(place).0)],
            3 if !self.members.is_empty() => {
                let member = &mut self.members[place];
                (member.1, member.3) = (which / 7 % 3, false);
                vec![format!("+ {} {}", member.0, ROOMS[member.1])]
            }
            4 if !self.members.is_empty() => {
                self.members[place].3 = true;
                vec![format!("t {}", self.members[place].0)]
            }
            5 if !self.members.is_empty() && !self.claiming.contains(&self.members[place].0) => {
                self.claiming.push(self.members[place].0);
                vec![format!(
                    "c {} {} {}",
                    self.members[place].0,
                    u8::from(which.is_multiple_of(11)),
                    NAMES[which / 5 % 3]
                )]
            }
            6 if !self.members.is_empty() && !self.claiming.contains(&self.members[place].0) => {
                self.members[place].2 = None;
                vec![format!("u {}", self.members[place].0)]
            }
            _ => vec!["o".into()],
        }
    }

    /// Reads an event of the log. Returns what it answers.
    fn reads(&mut self, from: Writer, id: EntryId, event: &str) -> Vec<String> {
        let event = RosterEvent::parse(event).unwrap();
        let effect = self.reader.apply(from, id, &event, 0);
        self.reader.check_invariants();
        for first in self.reader.take_numbers() {
            self.given.push(first);
            self.numbers.extend((first..first + BLOCK_NUMBERS).rev());
        }
        match (effect, event) {
            (Effect::Judged { number, is_free }, RosterEvent::Claims { name, .. }) => {
                self.claiming.retain(|&claiming| claiming != number);
                let Some(member) = self.members.iter_mut().find(|member| member.0 == number) else { return vec![] };
                if !is_free {
                    let own = member.2.map(|name| format!("n {number} {}", NAMES[name]));
                    return vec![own.unwrap_or_else(|| format!("u {number}"))];
                }
                // Another one here that holds it loses it to the owner.
                let given = NAMES.iter().position(|&other| other == name);
                for member in &mut self.members {
                    if member.0 == number {
                        member.2 = given;
                    } else if member.2 == given {
                        member.2 = None;
                    }
                }
                vec![format!("n {number} {name}")]
            }
            (Effect::Greeted, _) => self.snapshot().unwrap_or_default(),
            (Effect::Gone { server, .. }, _) if server == self.own => {
                self.claiming.clear();
                let hello = ["h 1 50 fox".to_owned()];
                hello.into_iter().chain(self.snapshot().unwrap_or_default()).collect()
            }
            (Effect::Taken { name }, _) => {
                let taken = NAMES.iter().position(|&other| other == name.as_str());
                self.members.iter_mut().filter(|member| member.2 == taken).for_each(|member| member.2 = None);
                vec![]
            }
            (Effect::Lost { number }, _) => {
                self.members.iter_mut().filter(|member| member.0 == number).for_each(|member| member.2 = None);
                vec![]
            }
            _ => vec![],
        }
    }
}

/// The events on their way into the log: of each server, in its order.
#[derive(Default)]
struct Queues(BTreeMap<Writer, VecDeque<String>>);

/// Lets servers act and write at random, and a third come late. Returns the states of all at the end, and all numbers
/// that were given to servers, and the names that members have on their own servers.
fn run(steps: &[(usize, usize, usize)]) -> (Vec<View>, Vec<u64>, Vec<(u64, String)>) {
    let mut queues = Queues::default();
    let writers = [A, B, C];
    let mut servers = Vec::new();
    let mut log: Vec<(Writer, EntryId, String)> = Vec::new();
    for (step, &(server, choice, which)) in steps.iter().enumerate() {
        // The first at the beginning, the third when half of all is over.
        for (at, own) in [(0, A), (1, B), (steps.len() / 2, C)] {
            if step == at {
                let mut reader = Elsewhere::new(own);
                if log.is_empty() {
                    reader.begin_blocks();
                }
                servers.push(Writing {
                    own,
                    members: vec![],
                    numbers: vec![],
                    given: vec![],
                    claiming: vec![],
                    reader,
                });
                queues.0.entry(own).or_default().push_back("h 1 50 fox".into());
            }
        }
        let server = server % servers.len();
        let own = writers[server];
        if choice < 8 {
            let acts = if servers[server].reader.has(own) { servers[server].acts(choice, which) } else { vec![] };
            queues.0.entry(own).or_default().extend(acts);
        } else if choice == 8 && which.is_multiple_of(10) {
            queues.0.entry(own).or_default().push_back(format!("g {}", writers[which % servers.len()]));
        }
        // Any server may be the next whose entry stands in the log. All read it at once.
        for _ in 0..2 {
            let from = writers[which % servers.len()];
            deliver(&mut queues, from, &mut servers, &mut log);
        }
    }
    // One of them comes once more, so that all are told everything.
    for _ in 0..3 {
        while let Some(from) =
            writers.into_iter().find(|from| queues.0.get(from).is_some_and(|queue| !queue.is_empty()))
        {
            deliver(&mut queues, from, &mut servers, &mut log);
        }
        for server in &servers {
            if let Some(snapshot) = server.snapshot() {
                queues.0.entry(server.own).or_default().extend(snapshot);
            }
        }
    }
    let numbers = servers.iter().flat_map(|server| server.given.clone()).collect();
    let shown = |name: Option<usize>, number| name.map_or(format!("client-{number}"), |name| NAMES[name].to_owned());
    let members = servers.iter().flat_map(|server| &server.members);
    let here = members.map(|&(number, _, name, _)| (number, shown(name, number))).collect();
    (servers.iter().map(|server| view(&server.reader)).collect(), numbers, here)
}

fn deliver(queues: &mut Queues, from: Writer, servers: &mut [Writing], log: &mut Vec<(Writer, EntryId, String)>) {
    let Some(event) = queues.0.get_mut(&from).and_then(VecDeque::pop_front) else { return };
    let id = EntryId { ms: log.len() as u64 + 1, seq: 0 };
    for server in servers {
        let answers = server.reads(from, id, &event);
        queues.0.entry(server.own).or_default().extend(answers);
    }
    log.push((from, id, event));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_readers_of_a_log_agree_and_so_does_one_that_came_late(
        steps in proptest::collection::vec((0..3_usize, 0..10_usize, 0..10_000_usize), 1..200),
    ) {
        let (views, mut numbers, mut here) = run(&steps);
        for view in &views {
            let is_other = |member: &&(u64, Writer, String, String, bool)| !views[0].1.contains(member);
            let differing: Vec<_> = view.1.iter().filter(is_other).collect();
            prop_assert!(differing.is_empty(), "{:?}", differing);
            prop_assert_eq!((&view.0, &view.2, view.3), (&views[0].0, &views[0].2, views[0].3));
            prop_assert_eq!(view.1.len(), views[0].1.len());
        }
        // The servers do what the log says: names are unique, as `check_invariants` has seen.
        here.sort();
        let known: Vec<_> = views[0].1.iter().map(|(number, _, name, ..)| (*number, name.clone())).collect();
        prop_assert_eq!(here, known);
        let given = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        prop_assert_eq!(numbers.len(), given, "no block is given twice");
    }
}

#[test]
fn a_server_costs_no_look_at_the_members_of_others() {
    let mut reader = three();
    reader.reads(B, &["+ 1002 rust", "- 1001", "+ 1001 lobby", "s 1 50 fox", "m 1002 0 0 0 rust", ". 3 1-0"]);
    let on =
        |reader: &Reader, server| reader.elsewhere.members_on(server).map(|(number, _)| number).collect::<Vec<_>>();
    assert_eq!((on(&reader, A), on(&reader, B), on(&reader, C)), (vec![1], vec![1_002], vec![2_001]));
    reader.reads(C, &["h 1 50 fox"]);
    assert_eq!((on(&reader, B), on(&reader, C)), (vec![1_002], vec![]));
}

#[test]
fn a_snapshot_tells_a_late_server_how_long_members_have_been_there() {
    let mut reader = three();
    reader.reads(C, &["s 1 50 fox", "m 2001 80 3 1 lobby", ". 3 1-0"]);
    let rows: Vec<_> = reader.elsewhere.rows_in(&name("lobby"), 160).map(|row| (row.number, row.seconds)).collect();
    assert_eq!(rows, [(2_001, 140), (1_001, 60)], "the oldest first");
    reader.reads(C, &["s 1 50 fox", "m 2001 81 3 1 lobby", ". 3 1-0"]);
    assert_eq!(reader.elsewhere.row(2_001, 160).map(|row| row.seconds), Some(140), "rounded otherwise");
    // A snapshot that is read late tells too few seconds, and none tells too many.
    reader.reads(C, &["s 1 50 fox", "m 2001 20 3 1 lobby", ". 3 1-0"]);
    assert_eq!(reader.elsewhere.row(2_001, 160).map(|row| row.seconds), Some(140), "read late");
}
