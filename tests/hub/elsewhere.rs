//! Members, names and numbers over several hubs that share a Redis in memory, and the orders of operators there.

use std::time::Duration;

use pollchat::relay::order::Row;
use pollchat::server::config::Config;
use pollchat::server::endpoint::Endpoint;

use crate::support::hub::{Client, quiet};
use crate::support::redis_links::run_together;
use crate::together::Servers;

mod hostile;
mod names;
mod operators;
mod servers;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A client on a hub, with this name.
fn named(servers: &mut Servers, hub: usize, name: &str) -> Client {
    let client = servers.connect(hub);
    servers.says(hub, &client, &format!("/nick {name}\n"));
    let received = client.received();
    assert!(received.ends_with(&format!(" is now {name}\n")), "{received:?}");
    client
}

/// What a client is answered.
fn answer(servers: &mut Servers, hub: usize, client: &Client, line: &str) -> String {
    client.received();
    servers.says(hub, client, &format!("{line}\n"));
    client.received()
}

/// Lets this time pass for the first hubs alone: the others stand still.
fn pass_without_last(servers: &mut Servers, time: Duration) {
    let last = servers.worlds.len() - 1;
    let mut left = time;
    while !left.is_zero() {
        let step = left.min(50 * MS);
        servers.worlds[..last].iter_mut().for_each(|world| world.now += step);
        run_together(&mut servers.worlds[..last].iter_mut().collect::<Vec<_>>(), &mut servers.links);
        left -= step;
    }
}

/// Lets the last hub go on that stood still.
fn resume_last(servers: &mut Servers) {
    let now = servers.worlds[0].now;
    servers.worlds.last_mut().expect("a hub").now = now;
    servers.run();
}

fn order(servers: &mut Servers, hub: usize, line: &str) -> Result<Vec<Row>, String> {
    let world = &mut servers.worlds[hub];
    let rows = world.hub.order(line, world.now);
    servers.run();
    rows
}

fn shown(rows: &[Row]) -> Vec<String> {
    rows.iter().map(ToString::to_string).collect()
}

#[test]
fn all_members_are_listed_on_every_server() {
    let mut servers = Servers::new(&quiet(), 2);
    let ana = named(&mut servers, 0, "ana");
    let bob = named(&mut servers, 1, "bob");
    servers.says(1, &bob, "hello\n");
    let own_first = "* here: ana, 0 lines, 0 min\n* here: bob, 1 line, 0 min\n* 2 here\n";
    assert_eq!(answer(&mut servers, 0, &ana, "/who"), own_first);
    let of_others = "* here: bob, 1 line, 0 min\n* 1 of 2 here\n";
    assert_eq!(answer(&mut servers, 0, &ana, "/who B"), of_others);
    assert_eq!(answer(&mut servers, 0, &ana, "/who client"), "* 0 of 2 here\n");
    assert_eq!(answer(&mut servers, 0, &ana, "/who page 2"), "* 2 here\n");
    servers.pass(60 * SECOND);
    let own_first = "* here: bob, 1 line, 1 min\n* here: ana, 0 lines, 1 min\n* 2 here\n";
    assert_eq!(answer(&mut servers, 1, &bob, "/who"), own_first);
    servers.says(1, &bob, "/join rust\n");
    servers.pass(SECOND);
    assert_eq!(answer(&mut servers, 0, &ana, "/who"), "* here: ana, 0 lines, 1 min\n* 1 here\n");
    assert_eq!(answer(&mut servers, 0, &ana, "/rooms"), "* room: lobby, 1 here\n* room: rust, 1 here\n* 2 rooms\n");
    servers.says(0, &ana, "/join rust\n");
    servers.pass(SECOND);
    assert!(ana.received().starts_with("* you are in rust, with 1 other\n"));
    assert_eq!(answer(&mut servers, 1, &bob, "/rooms"), "* room: rust, 2 here\n* room: lobby, 0 here\n* 2 rooms\n");
    servers.says(0, &ana, "FIN\n");
    assert_eq!(answer(&mut servers, 1, &bob, "/who"), "* here: bob, 1 line, 1 min\n* 1 here\n");
}

#[test]
fn a_server_that_comes_later_knows_the_members_that_are_there() {
    let mut servers = Servers::new(&Config::default(), 3);
    let (ana, bob) = (named(&mut servers, 0, "ana"), named(&mut servers, 1, "bob"));
    servers.says(1, &bob, "one\ntwo\n");
    let newcomer = Servers::apart(&Config::default(), 4).worlds.pop().expect("a hub");
    servers.worlds.push(newcomer);
    resume_last(&mut servers);
    servers.pass(SECOND);
    let eva = named(&mut servers, 3, "eva");
    let who = answer(&mut servers, 3, &eva, "/who");
    let others = ["* here: ana, 0 lines, 0 min\n", "* here: bob, 2 lines, 0 min\n", "* 3 here\n"];
    assert!(others.iter().all(|row| who.contains(row)), "{who:?}");
    assert_eq!(answer(&mut servers, 3, &eva, "/nick ANA"), "* the name ANA is taken\n");
    drop(ana);
}

#[test]
fn joins_are_announced_while_few_are_present_on_all_servers_together() {
    let mut servers = Servers::new(&Config { announce_up_to: 2, ..Config::default() }, 2);
    let (ana, bob) = (servers.connect(0), servers.connect(1));
    servers.pass(3 * SECOND);
    assert!(ana.received().ends_with(" joined\n"));
    let eva = servers.connect(1);
    servers.pass(3 * SECOND);
    assert_eq!(ana.received(), "", "that is a crowd");
    drop((bob, eva));
}

#[test]
fn numbers_are_never_those_of_two_clients() {
    let mut servers = Servers::new(&quiet(), 2);
    let mut numbers = Vec::new();
    for hub in (0..2).cycle().take(2_500) {
        let client = servers.worlds[hub].connect_silently();
        servers.sends(hub, &client, "\n");
        if numbers.len() % 100 == 99 {
            servers.run();
        } else {
            servers.turn(hub);
        }
        let greeting = client.received();
        let number = greeting.strip_prefix("* you are client-").and_then(|rest| rest.split(';').next());
        numbers.push(number.unwrap_or_else(|| panic!("{greeting:?}")).to_owned());
        client.ends();
        servers.sends(hub, &client, "");
    }
    let given = numbers.len();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), given);
}

#[test]
fn numbers_are_not_those_of_clients_that_were_there_before_the_log_was_lost() {
    let mut servers = Servers::new(&quiet(), 2);
    let (_, greeting) = servers.begin(0, "\n");
    let eva = named(&mut servers, 1, "eva");
    servers.links.cut(0, &mut servers.worlds[0].hub);
    servers.links.redis.trim("pollchat:roster", 0);
    let mut successor = Servers::apart(&quiet(), 3).worlds.pop().expect("a hub");
    successor.now = servers.worlds[1].now;
    servers.worlds[0] = successor;
    pass_without_last(&mut servers, 100 * MS);
    // The successor has found an empty log. The other server says this, and then stands still: it answers nothing.
    servers.sends(1, &eva, "/join go\n");
    servers.turn(1);
    let old = &mut servers.worlds[1];
    servers.links.serve(1, &mut old.hub, old.now);
    pass_without_last(&mut servers, 10 * SECOND);
    let bob = servers.worlds[0].connect_silently();
    servers.sends(0, &bob, "\n");
    pass_without_last(&mut servers, SECOND);
    let received = bob.received();
    assert!(received.starts_with("* you are client-") && received != greeting, "{received:?}");
}

#[test]
fn a_private_message_reaches_a_member_of_another_server() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, bob) = (named(&mut servers, 0, "ana"), named(&mut servers, 1, "bob"));
    assert_eq!(answer(&mut servers, 0, &ana, "/msg BOB good  night"), "* you told bob: good  night\n");
    assert_eq!(bob.received(), "* ana tells you: good  night\n");
    assert_eq!(answer(&mut servers, 0, &ana, "/msg zoe hi"), "* nobody here is called zoe\n");
    servers.says(1, &bob, "/nick robert\n");
    assert_eq!(answer(&mut servers, 0, &ana, "/msg bob hi"), "* nobody here is called bob\n");
}

#[test]
fn the_author_of_a_message_is_told_what_has_become_of_it() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, bob) = (named(&mut servers, 0, "ana"), named(&mut servers, 1, "bob"));
    bob.takes(0);
    for _ in 0..200 {
        servers.says(0, &ana, &format!("/msg bob {}\n", "x".repeat(1_000)));
    }
    let received = ana.received();
    assert!(received.ends_with("* bob is not reading: not told\n"), "{}", received.len());
    // Its server hangs.
    servers.sends(0, &ana, "/msg bob are you there\n");
    pass_without_last(&mut servers, 4 * SECOND);
    assert_eq!(ana.received(), "");
    pass_without_last(&mut servers, 2 * SECOND);
    assert_eq!(ana.received(), "* bob is not reading: not told\n");
    resume_last(&mut servers);
    assert_eq!(ana.received(), "", "the answer comes too late");
}

#[test]
fn nobody_is_let_in_before_the_server_has_joined_the_others() {
    let mut servers = Servers::apart(&quiet(), 1);
    assert!(!servers.worlds[0].hub.can_admit_on(Endpoint::Lines));
    servers.pass(SECOND);
    assert!(servers.worlds[0].hub.can_admit_on(Endpoint::Lines));
    servers.connect(0);
}

#[test]
fn a_server_with_another_announce_up_to_does_not_go_on() {
    let mut servers = Servers::new(&quiet(), 1);
    let newcomer = Servers::apart(&Config::default(), 2).worlds.pop().expect("a hub");
    servers.worlds.push(newcomer);
    resume_last(&mut servers);
    servers.pass(SECOND);
    let failure = servers.worlds[1].hub.bus_failure().map(str::to_owned);
    assert!(failure.is_some_and(|failure| failure.starts_with("--announce-up-to is 50, but 0 on the server ")));
    assert_eq!(servers.worlds[0].hub.bus_failure(), None);
    assert!(!servers.worlds[1].hub.can_admit_on(Endpoint::Lines));
}
