//! Names that are unique over all servers.

use pollchat::relay::names::Names;
use pollchat::relay::secret::SecretHash;

use super::{SECOND, answer, named, pass_without_last};
use crate::support::hub::{Client, quiet};
use crate::together::Servers;

#[test]
fn a_name_is_taken_on_every_server_until_its_holder_gives_it_up_or_leaves() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, bob) = (named(&mut servers, 0, "ana"), servers.connect(1));
    assert_eq!(answer(&mut servers, 1, &bob, "/nick ANA"), "* the name ANA is taken\n");
    servers.says(0, &ana, "/nick anna\n");
    assert!(answer(&mut servers, 1, &bob, "/nick ANA").ends_with(" is now ANA\n"));
    servers.says(1, &bob, "FIN\n");
    assert_eq!(answer(&mut servers, 0, &ana, "/nick ana"), "* anna is now ana\n");
    assert_eq!(answer(&mut servers, 0, &ana, "/nick Ana"), "* ana is now Ana\n");
}

#[test]
fn of_two_that_ask_for_a_name_at_once_exactly_one_has_it() {
    let mut servers = Servers::new(&quiet(), 2);
    for name in ["ana", "bob", "zoe"] {
        let clients = [servers.connect(0), servers.connect(1)];
        for (hub, client) in clients.iter().enumerate() {
            servers.sends(hub, client, &format!("/nick {name}\n"));
            servers.turn(hub);
        }
        servers.run();
        let mut received = clients.each_ref().map(Client::received);
        received.sort_by_key(|received| received.contains("taken"));
        assert!(received[0].contains(&format!(" is now {name}\n")), "{received:?}");
        assert!(received[1].ends_with(&format!("* the name {name} is taken\n")), "{received:?}");
    }
}

#[test]
fn a_line_behind_the_wish_for_a_name_is_said_under_that_name() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, eva) = (servers.connect(0), servers.connect(1));
    servers.sends(0, &ana, "/nick ana\nhello\n");
    servers.turn(0);
    servers.turn(0);
    assert_eq!((ana.received(), eva.received()), (String::new(), String::new()), "it is not heard meanwhile");
    servers.run();
    assert!(eva.received().ends_with("ana> hello\n"));
}

#[test]
fn a_client_reads_its_new_name_before_it_goes_to_another_room() {
    let mut servers = Servers::new(&quiet(), 2);
    let ana = servers.connect(0);
    servers.says(0, &ana, "hello\n");
    servers.says(0, &ana, "/nick ana\n/join rust\n");
    servers.pass(SECOND);
    let received = ana.received();
    let (before, behind) = received.split_once(" is now ana\n").unwrap_or_else(|| panic!("{received:?}"));
    assert!(!before.contains("* you are in rust, ") && behind.starts_with("* you are in rust, "), "{received:?}");
}

#[test]
fn a_client_that_leaves_while_it_asks_for_a_name_does_not_keep_it() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, eva) = (servers.connect(0), servers.connect(1));
    servers.sends(0, &ana, "/nick ana");
    ana.ends();
    servers.sends(0, &ana, "");
    servers.run();
    assert!(ana.is_closed());
    assert!(answer(&mut servers, 1, &eva, "/nick ana").ends_with(" is now ana\n"));
}

#[test]
fn the_owner_takes_its_name_from_a_member_of_another_server() {
    let mut servers = Servers::new(&quiet(), 2);
    let file = format!("ana token {}\n", SecretHash::of("pcn_a"));
    for world in &mut servers.worlds {
        world.hub.set_names(Names::parse(&file).unwrap());
    }
    let (ana, bob) = (servers.connect(0), servers.connect(1));
    assert!(answer(&mut servers, 1, &bob, "/nick ana pcn_a").ends_with(" is now ana\n"));
    assert_eq!(answer(&mut servers, 0, &ana, "/nick ana"), "* the name ana belongs to somebody: /nick ana TOKEN\n");
    let received = answer(&mut servers, 0, &ana, "/nick ana pcn_a");
    assert!(received.contains(" is now ana\n"), "{received:?}");
    let received = bob.received();
    assert!(received.contains("* you are here a second time: this one is client-"), "{received:?}");
    let who = answer(&mut servers, 1, &bob, "/who");
    assert_eq!((who.matches("ana,").count(), who.matches("client-").count()), (1, 1), "{who:?}");
    let again = servers.connect(0);
    assert!(answer(&mut servers, 0, &again, "/nick ana pcn_a").contains(" is now ana\n"));
    assert!(ana.received().contains("* you are here a second time: "));
}

#[test]
fn a_name_under_way_is_refused_when_redis_goes_away_and_a_later_one_waits() {
    let mut servers = Servers::new(&quiet(), 1);
    let ana = servers.connect(0);
    let now = |servers: &Servers| servers.links.unix_ms(servers.worlds[0].now);
    let unix_ms = now(&servers);
    servers.links.redis.hang(true, unix_ms);
    servers.says(0, &ana, "/nick ana\n/who\n");
    assert_eq!(ana.received(), "");
    servers.pass(12 * SECOND);
    let received = ana.received();
    assert!(received.contains("* the other servers do not answer: try again\n* here: client-"), "{received:?}");
    assert_eq!(answer(&mut servers, 0, &ana, "/nick ana"), "", "the room waits by now, and the name with it");
    let unix_ms = now(&servers);
    servers.links.redis.hang(false, unix_ms);
    servers.pass(12 * SECOND);
    let received = ana.received();
    assert!(received.contains(" is now ana\n"), "{received:?}");
}

#[test]
fn the_names_of_a_server_that_is_gone_are_free() {
    let mut servers = Servers::new(&quiet(), 2);
    let (eva, ana) = (servers.connect(0), named(&mut servers, 1, "ana"));
    pass_without_last(&mut servers, 15 * SECOND);
    assert_eq!(answer_of_first(&mut servers, &eva, "/nick ana"), "* the name ana is taken\n");
    pass_without_last(&mut servers, 30 * SECOND);
    assert!(answer_of_first(&mut servers, &eva, "/nick ana").ends_with(" is now ana\n"));
    drop(ana);
}

/// What a client of the first hub is answered while the last one stands still.
fn answer_of_first(servers: &mut Servers, client: &Client, line: &str) -> String {
    client.received();
    servers.sends(0, client, &format!("{line}\n"));
    pass_without_last(servers, super::MS);
    client.received()
}
