//! Orders of operators on one server, for members of all.

use std::net::SocketAddr;

use pollchat::server::config::Config;

use super::{SECOND, answer, named, order, shown};
use crate::support::hub::quiet;
use crate::together::Servers;

#[test]
fn members_and_rooms_of_all_servers_are_listed() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, bob) = (named(&mut servers, 0, "ana"), named(&mut servers, 1, "bob"));
    servers.says(1, &bob, "/join rust\n");
    servers.pass(SECOND);
    for hub in [0, 1] {
        let mut rows = shown(&order(&mut servers, hub, "who").unwrap());
        rows.sort();
        let words: Vec<Vec<&str>> = rows.iter().map(|row| row.split_whitespace().take(2).collect()).collect();
        assert_eq!(words, [["ana", "lobby"], ["bob", "rust"]]);
        let mut rows = shown(&order(&mut servers, hub, "rooms").unwrap());
        rows.sort();
        let words: Vec<Vec<&str>> = rows.iter().map(|row| row.split_whitespace().take(2).collect()).collect();
        assert_eq!(words, [["lobby", "1"], ["rust", "1"]]);
    }
    let rows = shown(&order(&mut servers, 0, "who -a").unwrap());
    assert!(rows[1].contains("bob") && rows[1].contains("on 0000000000000002"), "{rows:?}");
    drop(ana);
}

#[test]
fn members_of_all_servers_are_listed_by_their_numbers_on_each_of_them() {
    let mut servers = Servers::new(&quiet(), 3);
    // Several parts of a list, with members of others before those here and behind them.
    let clients: Vec<_> = (0..450).map(|client| servers.worlds[client % 3].connect()).collect();
    servers.pass(SECOND);
    for hub in 0..3 {
        let rows = shown(&order(&mut servers, hub, "who").unwrap());
        let number = |row: &String| row.strip_prefix("client-")?.split(' ').next()?.parse::<u64>().ok();
        let numbers: Vec<u64> = rows.iter().filter_map(number).collect();
        assert!(numbers.len() == clients.len() && numbers.is_sorted(), "{numbers:?}");
    }
}

#[test]
fn a_member_of_another_server_is_removed() {
    let mut servers = Servers::new(&Config::default(), 2);
    let (ana, bob) = (named(&mut servers, 0, "ana"), named(&mut servers, 1, "bob"));
    ana.received();
    bob.received();
    let rows = shown(&order(&mut servers, 0, "kick bob no spam").unwrap());
    assert_eq!(rows, ["bob was removed"]);
    assert!(bob.received().contains("you were removed by the operator: no spam\n"));
    assert_eq!(ana.received(), "* bob was removed\n");
    assert_eq!(order(&mut servers, 0, "kick bob"), Err("nobody here is called bob".to_owned()));
}

#[test]
fn an_address_is_banned_on_every_server_and_so_is_that_of_a_member_of_another() {
    let mut servers = Servers::new(&quiet(), 2);
    let from = |octet: u8| Some(SocketAddr::from(([10, 0, 0, octet], 1)));
    let come = |servers: &mut Servers, hub: usize, octet: u8| {
        let client = servers.worlds[hub].connect_from(from(octet));
        servers.pass(SECOND);
        (client.received().starts_with("* you are client-"), client)
    };
    let bob = come(&mut servers, 1, 7).1;
    servers.says(1, &bob, "/nick bob\n");
    assert!(bob.received().contains("bob"));
    let rows = shown(&order(&mut servers, 0, "ban bob 1h spam").unwrap());
    assert_eq!(rows, ["bob is on another server, which bans its address"]);
    servers.run();
    assert!(bob.received().contains("banned"));
    for hub in [0, 1] {
        assert!(!come(&mut servers, hub, 7).0, "hub {hub}");
        assert_eq!(order(&mut servers, hub, "bans").unwrap().len(), 1);
    }
    // Where its name is not known.
    order(&mut servers, 0, "unban bob").unwrap();
    servers.run();
    for hub in [0, 1] {
        assert!(come(&mut servers, hub, 7).0, "hub {hub}");
    }
    order(&mut servers, 1, "ban 10.0.0.0/24").unwrap();
    assert!(!come(&mut servers, 0, 9).0);
    order(&mut servers, 0, "unban 10.0.0.0/24").unwrap();
    assert!(come(&mut servers, 1, 9).0);
    assert_eq!(order(&mut servers, 0, "ban zoe"), Err("nobody here is called zoe".to_owned()));
}

#[test]
fn a_line_for_all_is_said_once_in_each_room() {
    let config = Config { history_lines: 5, ..quiet() };
    let mut servers = Servers::new(&config, 2);
    let (ana, bob) = (servers.connect(0), servers.connect(1));
    let eva = servers.connect(1);
    servers.says(1, &eva, "/join rust\n");
    servers.pass(SECOND);
    eva.received();
    for hub in [0, 1] {
        order(&mut servers, hub, "announce good night").unwrap();
        servers.run();
        for client in [&ana, &bob, &eva] {
            assert_eq!(client.received(), "server> good night\n");
        }
    }
    // Also in the lobby while nobody is in it.
    for (hub, client) in [(0, &ana), (1, &bob)] {
        servers.says(hub, client, "/join rust\n");
    }
    servers.pass(SECOND);
    order(&mut servers, 0, "announce good morning").unwrap();
    servers.run();
    servers.says(0, &ana, "/join lobby\n");
    servers.pass(SECOND);
    assert_eq!(ana.received().matches("\nserver> good morning\n").count(), 2, "in rust, and in the lobby's history");
    assert!(answer(&mut servers, 0, &ana, "/who").ends_with("* 1 here\n"));
}
