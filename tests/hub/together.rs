//! Hubs that share their rooms over a Redis in memory.

use std::rc::Rc;
use std::time::Duration;

use pollchat::relay::sequence::Writer;
use pollchat::server::bus::link::LinkSettings;
use pollchat::server::bus::{Bus, BusSettings};
use pollchat::server::config::Config;
use pollchat::server::endpoint::Endpoint;
use pollchat::server::limits::ENTER_DELAY;

use crate::support::hub::{Client, READABLE, World, quiet};
use crate::support::redis_links::{RedisLinks, pass_together, run_together};

mod gates;
mod loading;
mod sessions;
mod stopping;

const SECOND: Duration = Duration::from_secs(1);

/// Hubs over one Redis. The time is the same for all.
pub(crate) struct Servers {
    pub(crate) worlds: Vec<World>,
    pub(crate) links: RedisLinks,
}

impl Servers {
    /// So many hubs that have joined each other.
    pub(crate) fn new(config: &Config, hubs: usize) -> Servers {
        let mut servers = Servers::apart(config, hubs);
        servers.pass(10 * SECOND);
        assert!(servers.worlds.iter().all(|world| world.hub.can_admit_on(Endpoint::Lines)), "they have joined");
        servers
    }

    /// So many hubs that were never in touch with Redis.
    pub(crate) fn apart(config: &Config, hubs: usize) -> Servers {
        let mut worlds = Vec::new();
        let mut now = None;
        for number in 0..hubs {
            let mut world = World::new(config);
            world.now = *now.get_or_insert(world.now);
            let settings = BusSettings {
                link: Rc::new(LinkSettings::new(format!("pollchat-{number}"), None, None, None)),
                prefix: "pollchat".to_owned(),
                keep_bytes: 1 << 20,
                page: 64,
                tape_bytes: config.backlog_bytes,
            };
            let number = number as u64 + 1;
            world.hub.open_bus(Bus::new(&settings, Writer::new(number), number, world.now));
            worlds.push(world);
        }
        let links = RedisLinks::new(now.expect("a hub"));
        Servers { worlds, links }
    }

    pub(crate) fn run(&mut self) {
        run_together(&mut self.worlds.iter_mut().collect::<Vec<_>>(), &mut self.links);
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        pass_together(&mut self.worlds.iter_mut().collect::<Vec<_>>(), &mut self.links, time);
    }

    /// Connects to a hub, enters after a moment of silence, and takes the greeting.
    pub(crate) fn connect(&mut self, hub: usize) -> Client {
        let client = self.worlds[hub].connect_silently();
        self.pass(ENTER_DELAY);
        let greeting = client.received();
        assert!(greeting.starts_with("* you are client-"), "{greeting:?}");
        client
    }

    /// Connects to a hub with this first line, and returns what comes.
    pub(crate) fn begin(&mut self, hub: usize, line: &str) -> (Client, String) {
        let client = self.worlds[hub].connect_silently();
        self.says(hub, &client, line);
        let received = client.received();
        (client, received)
    }

    /// Lets a client send bytes, and all hubs and Redis do what follows from that.
    pub(crate) fn says(&mut self, hub: usize, client: &Client, bytes: &str) {
        self.sends(hub, client, bytes);
        self.run();
    }

    /// Lets a client send bytes. Nothing is done about them yet.
    pub(crate) fn sends(&mut self, hub: usize, client: &Client, bytes: &str) {
        client.sends(bytes);
        self.worlds[hub].hub.on_ready(client.key, READABLE);
    }

    /// One turn of a hub, which does not reach Redis.
    pub(crate) fn turn(&mut self, hub: usize) {
        self.worlds[hub].turn();
    }

    /// Lets Redis answer nothing, or answer again.
    pub(crate) fn hang(&mut self, is_hung: bool) {
        let now = self.links.unix_ms(self.worlds[0].now);
        self.links.redis.hang(is_hung, now);
    }

    /// Resets the connections of a hub to Redis, and refuses those of all hubs.
    pub(crate) fn cut_off(&mut self, hub: usize) {
        self.links.is_refusing = true;
        self.links.cut(hub, &mut self.worlds[hub].hub);
    }

    /// Adds an entry of another writer to the log of a room.
    pub(crate) fn add(&mut self, room: &str, number: u64, lines_before: u64, events: &str) {
        self.add_to(&format!("pollchat:room:{room}"), "0000000000000007", number, lines_before, events);
    }

    /// Adds an entry of a writer to a stream.
    pub(crate) fn add_to(&mut self, stream: &str, writer: &str, number: u64, lines_before: u64, events: &str) {
        let now = self.links.unix_ms(self.worlds[0].now);
        let (number, lines) = (number.to_string(), lines_before.to_string());
        let fields = ["w", writer, "n", &number, "c", &lines, "e", events];
        self.links.redis.add(stream, &fields, now);
    }
}

/// The name of a client, as its greeting has told it.
fn is_line_of(line: &str, text: &str) -> bool {
    line.starts_with("client-") && line.ends_with(&format!("> {text}"))
}

/// The texts of the said lines among those received since the last time.
pub(crate) fn texts(client: &Client) -> Vec<String> {
    said(&client.received())
}

/// The texts of said lines.
pub(crate) fn said(received: &str) -> Vec<String> {
    received
        .lines()
        .filter(|line| !line.starts_with(['*', '@']) && *line != "FIN")
        .map(|line| line.split_once("> ").expect("a name").1.to_owned())
        .collect()
}

#[test]
fn a_line_goes_to_the_clients_of_all_servers_and_not_back() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, bob, eva) = (servers.connect(0), servers.connect(0), servers.connect(1));
    servers.says(0, &ana, "hello\n");
    assert_eq!(ana.received(), "");
    for other in [&bob, &eva] {
        let received = other.received();
        assert!(is_line_of(received.trim_end(), "hello"), "{received:?}");
    }
    servers.says(1, &eva, "hi\n");
    assert_eq!((texts(&ana), texts(&bob), texts(&eva)), (vec!["hi".to_owned()], vec!["hi".to_owned()], vec![]));
}

#[test]
fn a_line_is_not_on_a_tape_before_it_was_read_back() {
    let mut servers = Servers::new(&quiet(), 1);
    let (ana, bob) = (servers.connect(0), servers.connect(0));
    servers.hang(true);
    servers.says(0, &ana, "hello\n");
    assert_eq!(bob.received(), "");
    servers.hang(false);
    servers.run();
    assert_eq!(texts(&bob), ["hello"]);
}

#[test]
fn all_servers_have_one_order() {
    let mut servers = Servers::new(&quiet(), 2);
    let witnesses = [servers.connect(0), servers.connect(1)];
    let talkers = [servers.connect(0), servers.connect(1)];
    for round in 0..20 {
        for (hub, talker) in talkers.iter().enumerate() {
            servers.sends(hub, talker, &format!("{round} of {hub}\n"));
        }
        servers.run();
    }
    let heard = witnesses.each_ref().map(texts);
    assert_eq!(heard[0].len(), 40);
    assert_eq!(heard[0], heard[1]);
}

#[test]
fn those_who_come_and_go_are_announced_on_all_servers() {
    let mut servers = Servers::new(&Config::default(), 2);
    let ana = servers.connect(0);
    let bob = servers.connect(1);
    servers.says(0, &ana, "hello\n");
    let received = bob.received();
    let lines: Vec<&str> = received.lines().collect();
    assert!(
        matches!(lines[..], [joined, said] if joined.ends_with(" joined") && is_line_of(said, "hello")),
        "{lines:?}"
    );
    assert_eq!(ana.received(), "", "its own words");
    servers.says(0, &ana, "FIN\n");
    assert!(bob.received().ends_with(" left\n"));
}

#[test]
fn a_client_that_says_lines_and_leaves_at_once_loses_none() {
    let mut servers = Servers::new(&quiet(), 2);
    let eva = servers.connect(1);
    let lines: String = (0..3_000).map(|number| format!("line {number}\n")).collect();
    for end in ["FIN\n", ""] {
        let ana = servers.connect(0);
        ana.sends(&lines);
        servers.sends(0, &ana, end);
        ana.ends();
        servers.run();
        let heard = texts(&eva);
        assert_eq!(heard.len(), 3_000, "{end:?}");
        assert!(heard.iter().enumerate().all(|(number, text)| *text == format!("line {number}")));
        assert!(ana.received().ends_with("FIN\n"));
    }
}

#[test]
fn a_plain_client_never_reads_its_own_line_even_if_it_goes_and_comes_back_before_it_is_heard() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, bob, eva) = (servers.connect(0), servers.connect(0), servers.connect(1));
    servers.says(0, &bob, "/join rust\n");
    servers.pass(SECOND);
    servers.says(0, &ana, "/join rust\n");
    servers.says(0, &ana, "/join lobby\n");
    servers.pass(SECOND);
    ana.received();
    bob.received();
    servers.hang(true);
    servers.says(0, &ana, "one\n/join rust\n");
    servers.says(0, &ana, "two\n/join lobby\n");
    servers.says(0, &ana, "three\n");
    let places = ana.received();
    assert!(
        places.ends_with("* you are in lobby, with 0 others\n") || places.contains("you are in lobby"),
        "{places:?}"
    );
    servers.hang(false);
    servers.run();
    assert_eq!(texts(&ana), Vec::<String>::new());
    assert_eq!((texts(&bob), texts(&eva)), (vec!["two".to_owned()], vec!["one".to_owned(), "three".to_owned()]));
}

#[test]
fn a_client_that_was_given_the_slot_of_another_reads_the_line_of_that_one() {
    let mut servers = Servers::new(&quiet(), 1);
    let ana = servers.connect(0);
    servers.hang(true);
    servers.says(0, &ana, "hello\n");
    ana.ends();
    servers.sends(0, &ana, "");
    servers.run();
    assert!(ana.is_closed());
    let eva = servers.worlds[0].connect_silently();
    assert_eq!(eva.key, ana.key);
    servers.pass(ENTER_DELAY);
    eva.received();
    servers.hang(false);
    servers.run();
    assert_eq!(texts(&eva), ["hello"]);
}

#[test]
fn the_console_reads_announcements_and_not_its_own_lines() {
    let mut servers = Servers::apart(&quiet(), 1);
    let console = servers.worlds[0].open_console_silently();
    servers.pass(10 * SECOND);
    console.received();
    let ana = servers.connect(0);
    servers.says(0, &console, "hello\n/announce all of you\n");
    assert_eq!(ana.received(), "server> hello\nserver> all of you\n");
    assert_eq!(console.received(), "server> all of you\n");
}

#[test]
fn lines_that_never_came_into_the_log_are_told() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, eva) = (servers.connect(0), servers.connect(1));
    servers.says(0, &ana, "one\n");
    servers.add("lobby", 1, 0, "s 900 zoe first\n");
    servers.run();
    servers.add("lobby", 4, 12, "s 900 zoe last\n");
    servers.run();
    let expected = "zoe> first\n** 11 lines of others were lost between the servers\nzoe> last\n";
    assert!(eva.received().ends_with(expected));
    assert!(ana.received().ends_with(expected));
}

#[test]
fn what_is_no_record_is_dropped_and_the_rest_of_the_entry_is_heard() {
    let mut servers = Servers::new(&quiet(), 1);
    let ana = servers.connect(0);
    servers.add("lobby", 1, 0, "s 900 zoe one\nx\ns 900 zoe \u{1b}[2J\ns 900 zoe two\n");
    servers.run();
    assert_eq!(ana.received(), "zoe> one\nzoe> two\n");
}
