//! Rooms that wait for the bus: what goes on meanwhile, and what clients are told.

use std::time::Duration;

use pollchat::relay::name::Name;
use pollchat::server::config::Config;
use pollchat::server::hub::Wake;

use super::{SECOND, Servers, texts};
use crate::support::hub::{Client, READABLE, quiet};

const CUT_OFF: &str = "** cut off from the other servers: what you say waits\n";

#[test]
fn a_flood_takes_no_more_than_the_log_and_is_heard_whole_in_the_end() {
    let mut servers = Servers::new(&quiet(), 1);
    let (ana, bob) = (servers.connect(0), servers.connect(0));
    servers.hang(true);
    let line = "x".repeat(99);
    servers.says(0, &ana, &format!("{line}\n").repeat(1_000));
    assert_ne!(servers.worlds[0].hub.next_wake(), Wake::Now, "it rests");
    servers.hang(false);
    servers.run();
    assert_eq!(texts(&bob).len(), 1_000);
    let entries = servers.links.redis.added().iter().filter(|entry| entry.key == b"pollchat:room:lobby").count();
    assert!(entries >= 1_000 * 110 / (17 * 1024), "no entry has all of them: {entries}");
}

#[test]
fn one_talker_does_not_fill_the_log_before_another() {
    let mut servers = Servers::new(&quiet(), 1);
    let (ana, bob, eva) = (servers.connect(0), servers.connect(0), servers.connect(0));
    servers.hang(true);
    servers.sends(0, &ana, &format!("{}\n", "x".repeat(99)).repeat(1_000));
    servers.sends(0, &bob, "hello\n");
    servers.run();
    servers.hang(false);
    servers.run();
    let heard = texts(&eva);
    let place = heard.iter().position(|text| text == "hello").expect("it is heard");
    assert!(place < 100, "behind {place} lines");
}

#[test]
fn while_the_room_waits_commands_are_answered_and_clients_leave() {
    let mut servers = Servers::new(&quiet(), 1);
    let (ana, bob) = (servers.connect(0), servers.connect(0));
    servers.cut_off(0);
    servers.pass(3 * SECOND);
    ana.received();
    servers.says(0, &ana, "hello\n");
    assert_eq!(bob.received(), CUT_OFF);
    servers.says(0, &bob, "/who\nFIN\n");
    let received = bob.received();
    assert!(received.contains("* 2 here\n") && received.ends_with("FIN\n"), "{received:?}");
    bob.ends();
    servers.says(0, &bob, "");
    assert!(bob.is_closed());
    ana.resets();
    ana.peer.borrow_mut().error = Some(std::io::ErrorKind::ConnectionReset);
    servers.worlds[0].hub.on_ready(ana.key, READABLE);
    servers.worlds[0].hub.on_error(ana.key);
    servers.run();
    assert!(ana.is_closed(), "the reset is seen before the line");
}

#[test]
fn a_server_that_is_cut_off_tells_its_clients_once_and_that_it_is_together_again() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, eva) = (servers.connect(0), servers.connect(1));
    servers.says(0, &ana, "/join rust\n");
    servers.pass(SECOND);
    let bob = servers.connect(0);
    ana.received();
    servers.cut_off(0);
    servers.pass(Duration::from_millis(1_900));
    assert_eq!(
        (ana.received(), bob.received()),
        (String::new(), String::new()),
        "a short failure is nobody's business"
    );
    servers.pass(Duration::from_millis(200));
    assert_eq!((ana.received(), bob.received()), (CUT_OFF.to_owned(), CUT_OFF.to_owned()));
    servers.pass(8 * SECOND);
    let late = servers.worlds[0].connect_silently();
    servers.pass(SECOND);
    assert!(late.received().ends_with("* cut off from the other servers: what you say waits\n"));
    assert_eq!((ana.received(), eva.received()), (String::new(), String::new()));
    servers.links.is_refusing = false;
    servers.pass(10 * SECOND);
    let told = [&ana, &bob, &late].map(Client::received);
    assert!(
        told.iter().all(|told| told.starts_with("** together again after ") && told.lines().count() == 1),
        "{told:?}"
    );
    assert_eq!(eva.received(), "", "the others were together");
}

#[test]
fn a_newcomer_that_finds_in_the_history_that_the_server_is_cut_off_is_not_told_it_again() {
    let mut servers = Servers::new(&Config { history_lines: 10, ..quiet() }, 1);
    let ana = servers.connect(0);
    servers.says(0, &ana, "one\n");
    servers.cut_off(0);
    servers.pass(3 * SECOND);
    let late = servers.worlds[0].connect_silently();
    servers.pass(SECOND);
    let received = late.received();
    assert_eq!(received.matches("cut off").count(), 1, "{received:?}");
    assert!(received.ends_with(CUT_OFF), "{received:?}");
}

#[test]
fn a_room_whose_readers_left_while_it_was_cut_off_says_that_it_is_together_again() {
    let config = Config { history_lines: 10, rooms: vec![Name::parse("rust").unwrap()], ..quiet() };
    let mut servers = Servers::new(&config, 1);
    let ana = servers.connect(0);
    servers.says(0, &ana, "/join rust\none\n");
    servers.pass(SECOND);
    servers.cut_off(0);
    servers.pass(3 * SECOND);
    assert!(ana.received().ends_with(CUT_OFF));
    servers.says(0, &ana, "FIN\n");
    servers.links.is_refusing = false;
    servers.pass(10 * SECOND);
    let eva = servers.connect(0);
    servers.says(0, &eva, "/join rust\n");
    let received = eva.received();
    let told: Vec<&str> = received.lines().filter(|line| line.starts_with("** ")).collect();
    assert!(
        matches!(told[..], [cut_off, together] if cut_off == CUT_OFF.trim_end() && together.contains("together again")),
        "{received:?}"
    );
}

#[test]
fn what_is_said_while_the_server_is_cut_off_is_heard_afterwards() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, eva) = (servers.connect(0), servers.connect(1));
    servers.cut_off(0);
    servers.pass(3 * SECOND);
    servers.says(0, &ana, "one\n");
    servers.says(0, &ana, "two\n");
    servers.pass(60 * SECOND);
    assert_eq!(eva.received(), "");
    servers.links.is_refusing = false;
    servers.pass(10 * SECOND);
    assert_eq!(texts(&eva), ["one", "two"]);
}

#[test]
fn a_member_that_leaves_while_the_room_waits_is_announced_afterwards() {
    let mut servers = Servers::new(&Config::default(), 2);
    let (ana, eva) = (servers.connect(0), servers.connect(1));
    servers.says(0, &ana, "hello\n");
    servers.pass(3 * SECOND);
    eva.received();
    servers.cut_off(0);
    servers.pass(3 * SECOND);
    servers.says(0, &ana, "FIN\n");
    assert!(ana.received().ends_with("FIN\n"));
    assert_eq!(eva.received(), "");
    servers.links.is_refusing = false;
    servers.pass(10 * SECOND);
    assert!(eva.received().ends_with(" left\n"));
}

#[test]
fn a_member_that_leaves_its_room_alone_while_it_waits_is_announced_on_other_servers_all_the_same() {
    let mut servers = Servers::new(&Config { history_lines: 0, ..Config::default() }, 2);
    let (ana, eva) = (servers.connect(0), servers.connect(1));
    for (hub, client) in [(0, &ana), (1, &eva)] {
        servers.says(hub, client, "/join rust\n");
        servers.pass(SECOND);
        servers.says(hub, client, "hello\n");
    }
    eva.received();
    servers.cut_off(0);
    servers.pass(3 * SECOND);
    servers.says(0, &ana, "/join lobby\n");
    servers.links.is_refusing = false;
    servers.pass(10 * SECOND);
    let left = eva.received();
    assert!(left.ends_with(" left\n"), "{left:?}");
}

#[test]
fn a_turn_takes_a_part_of_what_the_bus_has_read() {
    let mut servers = Servers::new(&Config { backlog_bytes: 64 * 1024 * 1024, ..quiet() }, 1);
    let ana = servers.connect(0);
    let entry = format!("s 900 zoe {}\n", "x".repeat(989)).repeat(16);
    for number in 1..=40 {
        servers.add("lobby", number, 16 * (number - 1), &entry);
    }
    let mut turns = 0;
    let mut most = 0;
    for _ in 0..200 {
        let world = &mut servers.worlds[0];
        servers.links.serve(0, &mut world.hub, world.now);
        world.turn();
        let received = ana.received().len();
        turns += usize::from(received > 0);
        most = most.max(received);
    }
    assert!(turns >= 3 && most < 300_000, "{most} bytes in one of {turns} turns");
    servers.run();
}

#[test]
fn a_turn_takes_a_part_of_what_came_to_all_rooms_together() {
    let names = ["b", "c", "d", "e"].map(|name| Name::parse(name).unwrap());
    let config = Config { room_backlog_bytes: 1 << 20, rooms: names.to_vec(), ..quiet() };
    let mut servers = Servers::new(&config, 1);
    let entry = format!("s 900 zoe {}\n", "x".repeat(989)).repeat(16);
    for number in 1..=8 {
        for room in ["lobby", "b", "c", "d", "e"] {
            servers.add(room, number, 16 * (number - 1), &entry);
        }
    }
    let (mut before, mut most) = (0, 0);
    for _ in 0..200 {
        let world = &mut servers.worlds[0];
        servers.links.serve(0, &mut world.hub, world.now);
        world.turn();
        let bytes = world.hub.stats().tape_bytes;
        most = most.max(bytes - before);
        before = bytes;
    }
    assert!(before > 600_000 && most < 300_000, "{most} of {before} bytes in one turn");
    servers.run();
}

#[test]
fn a_flood_of_another_server_waits_for_a_slow_reader_and_the_server_rests_meanwhile() {
    let mut servers = Servers::new(&Config { backlog_bytes: 64 * 1024 * 1024, ..quiet() }, 1);
    let ana = servers.connect(0);
    ana.takes(0);
    let entry = format!("s 900 zoe {}\n", "x".repeat(989)).repeat(16);
    for number in 1..=40 {
        servers.add("lobby", number, 16 * (number - 1), &entry);
    }
    servers.run();
    assert_ne!(servers.worlds[0].hub.next_wake(), Wake::Now);
    let heard = servers.worlds[0].hub.stats().tape_bytes;
    assert!(heard < 400_000, "{heard} bytes for a reader that takes nothing");
    servers.pass(2 * SECOND);
    assert_eq!(servers.worlds[0].hub.stats().lines, 640);
    servers.worlds[0].makes_room(&ana, usize::MAX);
    servers.run();
    assert_eq!(texts(&ana).len(), 640);
}

#[test]
fn a_server_that_owes_others_an_answer_sleeps_while_it_is_cut_off() {
    let mut servers = Servers::new(&quiet(), 1);
    let hello = format!("h 1 {} fox\n", quiet().announce_up_to);
    // The first is answered, and the second five seconds later.
    for number in ["1", "2"] {
        let now = servers.links.unix_ms(servers.worlds[0].now);
        let fields = ["w", "0000000000000007", "n", number, "c", "0", "e", &hello];
        servers.links.redis.add("pollchat:roster", &fields, now);
        servers.run();
    }
    servers.cut_off(0);
    servers.pass(10 * SECOND);
    servers.turn(0);
    let (now, wake) = (servers.worlds[0].now, servers.worlds[0].hub.next_wake());
    assert!(matches!(wake, Wake::At(time) if time > now), "{wake:?}");
}
