//! Rooms: who hears what, what a mover is owed, and which rooms exist.

use std::time::Duration;

use pollchat::relay::name::Name;
use pollchat::server::config::{Config, Lag};
use pollchat::server::hub::{Readiness, Wake};
use pollchat::server::limits::{INTRODUCE_JOINER_AFTER, ROOM_KEPT};

use crate::support::hub::{Client, Incoming, READABLE, World, quiet};

fn in_room(world: &mut World, room: &str) -> Client {
    let client = world.connect_silently();
    world.says(&client, format!("/join {room}\n"));
    let greeting = client.received();
    assert!(greeting.contains(&format!("* you are in {room}, ")), "{greeting:?}");
    client
}

#[test]
fn a_line_is_heard_in_its_own_room_alone() {
    let mut world = World::new(&quiet());
    let (ana, bob) = (world.connect(), world.connect());
    let (cho, dan) = (in_room(&mut world, "rust"), in_room(&mut world, "rust"));
    world.says(&ana, "in the lobby\n");
    world.says(&cho, "in rust\n");
    assert_eq!(bob.received(), "client-1> in the lobby\n");
    assert_eq!(dan.received(), "client-3> in rust\n");
    assert_eq!((ana.received(), cho.received()), (String::new(), String::new()));
}

#[test]
fn one_who_moves_is_told_where_it_is_and_so_are_both_rooms() {
    let mut world = World::new(&Config::default());
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&ana, "/nick ana\n");
    world.says(&bob, "/nick bob\n");
    let cho = in_room(&mut world, "rust");
    world.says(&cho, "/nick cho\n");
    ana.received();
    bob.received();
    assert_eq!(cho.received(), "* client-3 is now cho\n");
    world.says(&ana, "/join rust\n");
    assert_eq!(ana.received(), "* you are in rust, with 1 other\n");
    assert_eq!(bob.received(), "* ana left\n");
    assert_eq!(cho.received(), "* ana joined\n");
    world.says(&ana, "hello\n/who\n/join RUST\n");
    assert_eq!(cho.received(), "ana> hello\n");
    let answers = "* here: ana, 1 line, 0 min\n* here: cho, 0 lines, 0 min\n* 2 here\n* you are in rust already\n";
    assert_eq!(ana.received(), answers);
    world.says(&bob, "/msg ana come back\n/rooms\n");
    assert_eq!(ana.received(), "* bob tells you: come back\n");
    assert_eq!(bob.received(), "* you told ana: come back\n* room: rust, 2 here\n* room: lobby, 1 here\n* 2 rooms\n");
    world.says(&ana, "/join lobby\n");
    assert_eq!(ana.received(), "* you are in lobby, with 1 other\n");
}

#[test]
fn lines_behind_a_join_are_said_in_the_new_room() {
    let mut world = World::new(&quiet());
    let (ana, bob) = (world.connect(), world.connect());
    let (cho, dan) = (in_room(&mut world, "rust"), in_room(&mut world, "go"));
    world.says(&ana, "one\n/join rust\ntwo\n/join go\nthree\n/join lobby\nfour\nFIN\n");
    assert_eq!(bob.received(), "client-1> one\nclient-1> four\n");
    assert_eq!(cho.received(), "client-1> two\n");
    assert_eq!(dan.received(), "client-1> three\n");
    assert!(ana.received().ends_with("* you are in lobby, with 1 other\nFIN\n"));
}

#[test]
fn a_client_whose_first_line_is_a_join_was_never_in_the_lobby() {
    let mut world = World::new(&Config { history_lines: 9, greeting: "hi".into(), ..Config::default() });
    let ana = world.connect_and_settle();
    world.says(&ana, "said in the lobby\n");
    let bob = world.connect_silently();
    world.says(&bob, "/join rust\n");
    let greeting = "* you are client-2; /help lists what you can do\n* hi\n* you are in rust, alone\n";
    assert_eq!((bob.received().as_str(), ana.received().as_str()), (greeting, ""));
    world.pass(INTRODUCE_JOINER_AFTER);
    let cho = world.connect_silently();
    world.says(&cho, "/join rust\n/nick cho\n");
    assert_eq!(bob.received(), "* cho joined\n");
    let dan = in_room(&mut world, "rust");
    assert_eq!(cho.received().lines().last(), Some("* client-3 is now cho"));
    world.pass(INTRODUCE_JOINER_AFTER);
    assert_eq!(cho.received(), "* client-4 joined\n");
    world.says(&dan, "FIN\n");
    assert_eq!(cho.received(), "* client-4 left\n");
    assert_eq!(ana.received(), "");
}

#[test]
fn a_mover_gets_the_rest_of_its_old_room_and_the_history_of_the_new() {
    let mut world = World::new(&Config { history_lines: 2, ..quiet() });
    let (ana, bob) = (world.connect(), world.connect());
    let cho = in_room(&mut world, "rust");
    world.says(&cho, "a\nb\nc\n");
    bob.takes(0);
    world.says(&ana, "one\ntwo\n");
    world.says(&bob, "/join rust\nhello\n");
    world.says(&ana, "not for bob\n");
    world.says(&cho, "d\n");
    assert_eq!((bob.received(), cho.received()), (String::new(), String::new()), "it is still on its way");
    world.makes_room(&bob, usize::MAX);
    let all = "client-1> one\nclient-1> two\n* you are in rust, with 1 other\n* 2 earlier lines:\n\
               client-3> c\nclient-3> d\n";
    assert_eq!(bob.received(), all);
    assert_eq!(cho.received(), "client-2> hello\n");
}

#[test]
fn a_mover_is_told_how_many_lines_of_its_old_room_it_missed() {
    let mut world = World::new(&Config { backlog_bytes: 20_000, ..quiet() });
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&ana, "one\n");
    bob.received();
    bob.takes(0);
    world.says(&ana, "two\nthree\n");
    world.says(&bob, "/join rust\n");
    for _ in 0..60 {
        ana.sends(format!("{}\n", "x".repeat(999)));
    }
    world.hub.on_ready(ana.key, READABLE);
    world.run_on();
    world.makes_room(&bob, usize::MAX);
    assert_eq!(bob.received(), "* you missed 2 lines\n* you are in rust, alone\n");
}

#[test]
fn a_mover_that_is_reset_or_removed_leaves_nothing_behind() {
    let mut world = World::new(&Config { console: true, ..Config::default() });
    let console = world.open_console();
    let (ana, bob, cho) = (world.connect(), world.connect(), world.connect());
    world.says(&ana, "/nick ana\n");
    world.says(&bob, "/nick bob\n");
    for client in [&ana, &bob] {
        client.takes(0);
    }
    world.says(&cho, "hello\n");
    world.says(&ana, "/join rust\n");
    world.says(&bob, "/join go\n");
    console.received();
    world.says(&console, "/kick ana\n/who\n/rooms\n");
    let answer = console.received();
    assert!(answer.contains("* ana was removed\n") && answer.contains("* 2 here\n"), "{answer}");
    // What it said before is still read.
    let eve = in_room(&mut world, "go");
    bob.sends("last words\n");
    bob.resets();
    bob.peer.borrow_mut().write_error = Some(std::io::ErrorKind::BrokenPipe);
    world.hub.on_ready(bob.key, Readiness { readable: true, writable: true });
    world.run();
    assert!(bob.is_closed());
    assert_eq!(eve.received(), "* bob joined\nbob> last words\n* bob left\n");
    world.says(&eve, "FIN\n");
    eve.ends();
    world.hub.on_ready(eve.key, READABLE);
    console.received();
    world.pass(Duration::from_secs(60));
    world.says(&console, "/rooms\n");
    assert_eq!(console.received().lines().last(), Some("* 1 room"));
}

#[test]
fn rooms_come_and_go_and_there_are_not_too_many() {
    let config = Config { rooms_max: 4, rooms: vec![Name::parse("help").unwrap()], history_lines: 1, ..quiet() };
    let mut world = World::new(&config);
    let ana = world.connect();
    world.says(&ana, "/join one\n/join two\n/join lobby\n/rooms\n");
    let rooms = "* room: lobby, 1 here\n* room: help, 0 here\n* room: one, 0 here\n* room: two, 0 here\n* 4 rooms\n";
    assert!(ana.received().ends_with(rooms));
    world.says(&ana, "/join three\n/rooms\n");
    assert!(ana.received().ends_with(
        "* room: three, 1 here\n* room: help, 0 here\n* room: lobby, 0 here\n* room: two, 0 here\n* 4 rooms\n"
    ));
    let (bob, cho) = (in_room(&mut world, "two"), world.connect());
    world.says(&cho, "/join four\n/join HELP\n/join 1obby\n/join server\n/join a b\n/join\n");
    let refusals = "* there are 4 rooms already\n* you are in HELP, alone\n";
    let refusals = refusals.replace("HELP", "help")
        + "* 1obby looks like lobby\n* the name server is taken\n\
           * the name of a room is 1 to 24 letters, digits, _ or -\n\
           * /join NAME: the name of a room is 1 to 24 letters, digits, _ or -\n";
    assert_eq!(cho.received(), refusals);
    world.says(&bob, "FIN\n");
    bob.ends();
    world.hub.on_ready(bob.key, READABLE);
    world.run();
    world.pass(ROOM_KEPT - Duration::from_secs(1));
    world.says(&cho, "/rooms\n");
    assert!(cho.received().ends_with("* 4 rooms\n"));
    assert!(matches!(world.hub.next_wake(), Wake::At(_)));
    world.pass(Duration::from_secs(1));
    world.says(&cho, "/rooms\n");
    assert_eq!(cho.received(), "* room: help, 1 here\n* room: three, 1 here\n* room: lobby, 0 here\n* 3 rooms\n");
}

#[test]
fn without_history_an_empty_room_goes_at_once() {
    let mut world = World::new(&quiet());
    let ana = world.connect();
    world.says(&ana, "/join one\nsaid\n/join two\n/join one\n/rooms\n");
    assert!(
        ana.received().ends_with("* you are in one, alone\n* room: one, 1 here\n* room: lobby, 0 here\n* 2 rooms\n")
    );
}

#[test]
fn a_server_with_one_room_knows_no_join() {
    for rooms_max in [0, 1] {
        let mut world = World::new(&Config { rooms_max, ..quiet() });
        let ana = world.connect_silently();
        world.says(&ana, "/join rust\n/rooms\n/help\n");
        let received = ana.received();
        let answers = "* there is no command /join; /help lists what you can do\n* room: lobby, 1 here\n* 1 room\n";
        assert!(received.contains(answers) && !received.contains("/join NAME"), "{received}");
    }
}

#[test]
fn a_room_at_its_wall_stops_no_other() {
    let mut world = World::new(&Config { lag: Lag::Wait, backlog_bytes: 20_000, ..quiet() });
    let (ana, bob) = (world.connect(), world.connect());
    let (cho, dan) = (in_room(&mut world, "rust"), in_room(&mut world, "rust"));
    bob.takes(0);
    world.says(&ana, format!("{}\n", "x".repeat(999)).repeat(50));
    assert!(matches!(world.hub.next_wake(), Wake::At(_)), "the lobby waits");
    for number in 0..100 {
        world.says(&cho, format!("{number}\n"));
        assert_eq!(dan.received(), format!("client-3> {number}\n"));
    }
    // It leaves the wall, and its room waits for it no longer than for any other reader.
    world.says(&ana, "/who\n");
    assert_eq!(ana.received(), "", "what it said last is said first");
    world.pass(Duration::from_secs(61));
    assert!(bob.peer.borrow().is_ended || bob.is_closed() || !ana.received().is_empty());
}

#[test]
fn an_idle_world_of_rooms_sleeps() {
    let mut world = World::new(&quiet());
    let clients: Vec<_> = (0..50).map(|number| in_room(&mut world, &format!("room{number}"))).collect();
    world.pass(Duration::from_secs(10));
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
    world.says(&clients[3], "alone\n");
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn the_shutdown_is_told_in_each_room_and_between_them() {
    let mut world = World::new(&quiet());
    let (ana, bob, cho) = (world.connect(), world.connect(), in_room(&mut world, "rust"));
    bob.takes(0);
    world.says(&ana, "hello\n");
    world.says(&bob, "/join rust\n");
    world.hub.shut_down(world.now);
    world.makes_room(&bob, usize::MAX);
    for client in [&ana, &cho] {
        assert_eq!(client.received(), "* the server is shutting down\nFIN\n");
    }
    // What is for one alone comes before what is for all.
    assert_eq!(bob.received(), "* the server is shutting down\nclient-1> hello\nFIN\n");
}

/// Three floods in a room, which has held them. The long lines use up the budget of the room, and the short ones that
/// of the turns.
fn held_floods(world: &mut World) -> Vec<Client> {
    let floods: Vec<_> = (0..3).map(|_| in_room(world, "rust")).collect();
    for flood in &floods {
        flood.sends(format!("{}\n", "x".repeat(999)).repeat(99));
        flood.sends("\n".repeat(1 << 20));
        world.hub.on_ready(flood.key, READABLE);
    }
    (0..20).for_each(|_| _ = world.turn());
    floods
}

#[test]
fn floods_that_a_room_holds_leave_half_of_a_turn_to_others() {
    let mut world = World::new(&quiet());
    let (ana, bob) = (world.connect(), world.connect());
    let floods = held_floods(&mut world);
    for number in 0..9 {
        ana.sends(format!("{number}\n"));
        world.hub.on_ready(ana.key, READABLE);
        (0..2).for_each(|_| _ = world.turn());
        assert_eq!(bob.received(), format!("client-1> {number}\n"));
    }
    assert!(floods.iter().all(|flood| !flood.peer.borrow().incoming.is_empty()), "they flood on");
}

#[test]
fn floods_that_their_room_held_once_are_read_no_more_than_others() {
    let mut world = World::new(&quiet());
    let others: Vec<_> = (0..30).map(|_| world.connect()).collect();
    let floods = held_floods(&mut world);
    let left = |client: &Client| client.peer.borrow().incoming.iter().map(Incoming::len).sum::<usize>();
    let before: Vec<_> = floods.iter().map(left).collect();
    for other in &others {
        other.sends("\n".repeat(1 << 20));
        world.hub.on_ready(other.key, READABLE);
    }
    (0..60).for_each(|_| _ = world.turn());
    let most_read = floods.iter().zip(before).map(|(flood, before)| before - left(flood)).max().unwrap();
    let least_read = others.iter().map(|other| (1 << 20) - left(other)).min().unwrap();
    assert!(most_read < 2 * least_read, "{most_read} of one, and {least_read} of another");
}

#[test]
fn a_member_that_is_reset_gets_nothing_of_the_lobby() {
    let mut world = World::new(&Config { backlog_bytes: 20_000, ..quiet() });
    let (ana, cho) = (world.connect(), in_room(&mut world, "rust"));
    world.says(&ana, format!("{}\n", "x".repeat(999)).repeat(30));
    world.run_on();
    cho.sends("/who\n");
    cho.resets();
    world.hub.on_ready(cho.key, READABLE);
    world.run();
    assert!(cho.is_closed());
    assert_eq!((cho.received().as_str(), world.hub.stats().stats.lags), ("", 0));
}

#[test]
fn a_join_that_ends_in_crlf_is_answered_so() {
    let mut world = World::new(&quiet());
    let ana = world.connect();
    world.says(&ana, "/join rust\r\n");
    assert_eq!(ana.received(), "* you are in rust, alone\r\n");
    let bob = world.connect_silently();
    world.says(&bob, "/join rust\r\n");
    assert!(bob.received().ends_with("* you are in rust, with 1 other\r\n"));
}

#[test]
fn a_mover_that_arrives_at_the_wall_is_announced_as_soon_as_the_room_goes_on() {
    let mut world = World::new(&Config { lag: Lag::Wait, room_backlog_bytes: 20_000, ..Config::default() });
    let (ana, bob) = (world.connect(), world.connect());
    let (cho, dan) = (in_room(&mut world, "rust"), in_room(&mut world, "rust"));
    dan.takes(0);
    world.says(&cho, format!("{}\n", "x".repeat(999)).repeat(50));
    world.run_on();
    // It comes and goes, and is there at last.
    for _ in 0..3 {
        world.says(&ana, "/join rust\n/join lobby\n");
    }
    world.says(&ana, "/join rust\n");
    world.says(&bob, "/join rust\n/join lobby\n");
    let received = ana.received();
    assert!(received.ends_with("* you are in rust, with 2 others\n"), "{received}");
    assert!(!cho.received().contains(" joined\n"));
    world.makes_room(&dan, usize::MAX);
    let heard = cho.received();
    assert_eq!(heard.matches("* client-1 joined\n").count(), 1, "{heard}");
    assert_eq!(heard.matches("* client-2 ").count(), 0, "{heard}");
}
