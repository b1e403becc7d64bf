//! Rooms that are loaded: what newcomers find, and how long they wait.

use std::time::Duration;

use pollchat::relay::name::Name;
use pollchat::server::config::Config;
use pollchat::server::endpoint::Endpoint;
use pollchat::server::limits::ENTER_DELAY;

use super::{SECOND, Servers, said, texts};
use crate::support::hub::quiet;

fn with_history() -> Config {
    Config { history_lines: 10, ..quiet() }
}

#[test]
fn nobody_is_admitted_before_the_lobby_and_the_rooms_of_the_operator_are_loaded() {
    let config = Config { rooms: vec![Name::parse("rust").unwrap()], ..quiet() };
    let mut servers = Servers::apart(&config, 1);
    let admits = |servers: &Servers| {
        [Endpoint::Lines, Endpoint::Web].map(|endpoint| servers.worlds[0].hub.can_admit_on(endpoint))
    };
    assert_eq!(admits(&servers), [false, false]);
    assert!(servers.worlds[0].hub.can_admit_on(Endpoint::Control), "operators come first");
    servers.links.is_refusing = true;
    servers.pass(10 * SECOND);
    assert_eq!(admits(&servers), [false, false]);
    servers.links.is_refusing = false;
    servers.pass(20 * SECOND);
    assert_eq!(admits(&servers), [true, true]);
}

#[test]
fn a_server_that_comes_later_has_the_history_and_counts_none_of_it_as_said() {
    let mut servers = Servers::apart(&with_history(), 1);
    let events: String = (1..=20).map(|number| format!("s 900 zoe {number}\n")).collect();
    servers.add("lobby", 1, 0, &events);
    servers.pass(10 * SECOND);
    let ana = servers.worlds[0].connect_silently();
    servers.pass(ENTER_DELAY);
    let received = ana.received();
    assert!(received.contains("* 10 earlier lines:\n"), "{received:?}");
    assert_eq!(said(&received), (11..=20).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(servers.worlds[0].hub.stats().lines, 0);
    assert_eq!(servers.worlds[0].hub.stats().stats.delivered_lines, 0);
}

#[test]
fn a_console_is_not_sent_the_history() {
    let mut servers = Servers::apart(&with_history(), 1);
    let console = servers.worlds[0].open_console_silently();
    servers.add("lobby", 1, 0, "s 900 zoe one\n");
    servers.pass(10 * SECOND);
    assert_eq!(said(&console.received()), Vec::<String>::new());
    servers.add("lobby", 2, 1, "s 900 zoe two\n");
    servers.run();
    assert_eq!(texts(&console), ["two"]);
}

#[test]
fn a_client_that_goes_to_a_room_of_other_servers_has_its_history_and_is_heard_there() {
    let mut servers = Servers::new(&with_history(), 2);
    let eva = servers.connect(1);
    servers.says(1, &eva, "/join rust\n");
    servers.pass(SECOND);
    servers.says(1, &eva, "one\n");
    eva.received();
    let ana = servers.connect(0);
    let bob = servers.worlds[0].connect_silently();
    servers.sends(0, &ana, "/join rust\nof ana\n");
    servers.sends(0, &bob, "/join RUST\nof bob\n");
    servers.pass(SECOND);
    let mut heard = texts(&eva);
    heard.sort();
    assert_eq!(heard, ["of ana", "of bob"]);
    for client in [&ana, &bob] {
        let received = client.received();
        assert!(received.contains("* 1 earlier line:\n") && said(&received)[0] == "one", "{received:?}");
    }
}

#[test]
fn a_client_that_waits_for_a_room_and_ends_loses_no_line() {
    let mut servers = Servers::new(&quiet(), 2);
    let eva = servers.connect(1);
    servers.says(1, &eva, "/join rust\n");
    servers.pass(SECOND);
    let ana = servers.worlds[0].connect_silently();
    ana.sends("/join rust\none\ntwo");
    ana.ends();
    servers.sends(0, &ana, "");
    servers.pass(SECOND);
    assert_eq!(texts(&eva), ["one", "two"]);
    assert!(ana.is_closed() || ana.received().ends_with("FIN\n"));
}

#[test]
fn a_client_waits_five_seconds_for_a_room_and_goes_on_without_its_history() {
    let mut servers = Servers::new(&with_history(), 2);
    let eva = servers.connect(1);
    servers.says(1, &eva, "/join rust\n");
    servers.pass(SECOND);
    servers.says(1, &eva, "one\n");
    let (mover, newcomer) = (servers.connect(0), servers.worlds[0].connect_silently());
    servers.hang(true);
    servers.sends(0, &mover, "/join rust\n");
    servers.sends(0, &newcomer, "/join rust\n");
    servers.pass(Duration::from_millis(4_900));
    assert!(!mover.received().contains("you are in rust") && !newcomer.received().contains("you are"));
    servers.pass(Duration::from_millis(300));
    assert!(mover.received().contains("* you are in rust") && newcomer.received().contains("* you are in rust"));
    servers.hang(false);
    servers.pass(30 * SECOND);
    let [mover_read, newcomer_read] = [&mover, &newcomer].map(texts);
    assert_eq!([mover_read, newcomer_read], [Vec::<String>::new(), Vec::new()], "it came too late");
    servers.says(1, &eva, "two\n");
    servers.run();
    assert_eq!([texts(&mover), texts(&newcomer)], [["two"], ["two"]]);
}

#[test]
fn a_client_that_is_gone_while_it_waits_keeps_no_room() {
    let mut servers = Servers::new(&quiet(), 1);
    servers.hang(true);
    let ana = servers.worlds[0].connect_silently();
    servers.says(0, &ana, "/join rust\n");
    assert_eq!(servers.worlds[0].hub.stats().rooms, 2);
    ana.resets();
    ana.ends();
    servers.pass(6 * SECOND);
    servers.hang(false);
    servers.pass(20 * SECOND);
    assert!(ana.is_closed());
    assert_eq!(servers.worlds[0].hub.stats().rooms, 1);
}
