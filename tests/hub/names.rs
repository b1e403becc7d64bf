//! Names with owners: a name changes hands wherever its holder is, and each room reads it in order.

use std::time::Duration;

use pollchat::relay::names::Names;
use pollchat::relay::room::Audience;
use pollchat::relay::secret::SecretHash;
use pollchat::server::config::{Config, Lag};
use pollchat::server::hub::Wake;
use pollchat::server::limits::RESUME_WITHIN;

use crate::support::hub::{Client, READABLE, World, quiet};
use crate::support::page::{browse, said, text, world as world_with_page};

/// Names, each with its token.
fn names(owned: &[(&str, &str)]) -> Names {
    let lines: Vec<_> = owned.iter().map(|(name, token)| format!("{name} token {}\n", SecretHash::of(token))).collect();
    Names::parse(&lines.concat()).unwrap()
}

/// A world in which `ana` belongs to the clients that know `pcn_a`.
fn world(config: &Config) -> World {
    let mut world = World::new(config);
    assert_eq!(world.hub.set_names(names(&[("ana", "pcn_a")])), 0);
    world
}

/// A client that was told that it is `ana`.
fn ana(world: &mut World) -> Client {
    let ana = world.connect();
    world.says(&ana, "/nick ana pcn_a\n");
    assert!(ana.received().ends_with(" is now ana\n"));
    ana
}

/// Sets the names anew, and turns once for what that is announced by.
fn reload(world: &mut World, owned: &[(&str, &str)]) -> usize {
    let lost = world.hub.set_names(names(owned));
    world.run();
    lost
}

#[test]
fn the_owner_takes_its_name_from_a_member_of_its_room() {
    let mut world = world(&Config::default());
    let (old, bob) = (ana(&mut world), world.connect());
    let new = world.connect();
    old.received();
    world.says(&new, "/nick ana\n/nick ana pcn_b\n");
    let refusals = "* the name ana belongs to somebody: /nick ana TOKEN\n* that is not the token of ana\n";
    world.says(&new, "/nick ana pcn_a\n");
    // All read one order, in which no two are `ana` at a time.
    let passed = "* ana is now client-1\n* client-3 joined\n* client-3 is now ana\n";
    assert_eq!(bob.received(), passed);
    assert_eq!(new.received(), format!("{refusals}* ana is now client-1\n* client-3 is now ana\n"));
    assert_eq!(old.received(), format!("* you are here a second time: this one is client-1 now\n{passed}"));
    world.says(&old, "/who\n/nick ana\nhello\n");
    let answers = "* here: client-1, 0 lines, 0 min\n* here: client-2, 0 lines, 0 min\n* here: ana, 0 lines, 0 min\n\
                   * 3 here\n* the name ana belongs to somebody: /nick ana TOKEN\n";
    assert_eq!(old.received(), answers);
    assert_eq!(new.received(), "client-1> hello\n");
}

#[test]
fn the_owner_takes_its_name_from_a_member_of_another_room() {
    let mut world = world(&Config::default());
    let (old, bob) = (ana(&mut world), world.connect());
    let (new, cho) = (world.connect_silently(), world.connect_silently());
    world.says(&new, "/join rust\n");
    world.says(&cho, "/join rust\n");
    for client in [&old, &new, &cho] {
        client.received();
    }
    world.says(&new, "/nick ana pcn_a\nhello\n");
    assert_eq!(bob.received(), "* ana is now client-1\n");
    assert_eq!(cho.received(), "* client-3 joined\n* client-3 is now ana\nana> hello\n");
    assert_eq!(new.received(), "* client-3 is now ana\n");
    assert_eq!(old.received(), "* you are here a second time: this one is client-1 now\n* ana is now client-1\n");
    world.says(&old, "/msg ana psst\n");
    assert_eq!(new.received(), "* client-1 tells you: psst\n");
}

#[test]
fn a_member_that_moves_loses_its_name_on_the_way() {
    let mut world = world(&Config::default());
    let (old, bob) = (ana(&mut world), world.connect());
    let cho = world.connect_silently();
    world.says(&cho, "/join rust\n/nick cho\n");
    old.received();
    cho.received();
    old.takes(0);
    world.says(&bob, "hello\n");
    world.says(&old, "/join rust\n");
    assert_eq!(bob.received(), "* ana left\n");
    world.says(&bob, "/nick ana pcn_a\n");
    assert_eq!(bob.received(), "* client-2 is now ana\n", "the room that it left is not told");
    world.makes_room(&old, usize::MAX);
    let told = "* you are here a second time: this one is client-1 now\n";
    let received = old.received();
    assert!(received.contains(told) && received.ends_with("* you are in rust, with 1 other\n"), "{received}");
    assert!(!received.contains("is now"), "{received}");
    assert_eq!(cho.received(), "* client-1 joined\n");
}

#[test]
fn a_member_that_is_away_loses_its_name_and_comes_back_without_it() {
    for lines in ["", "hello\n"] {
        let mut world = world(&Config::default());
        let old = world.connect_silently();
        world.says(&old, format!("/track\n/nick ana pcn_a\n{lines}"));
        let bob = world.connect();
        let greeting = old.received();
        let token = greeting.split(' ').nth(2).unwrap();
        old.resets();
        world.hub.on_ready(old.key, READABLE);
        world.run();
        bob.received();
        world.says(&bob, "/nick ana pcn_a\n");
        assert_eq!(bob.received(), "* ana is now client-1\n* client-2 is now ana\n");
        let back = world.connect_silently();
        let heard = u32::from(!lines.is_empty()) + 1;
        world.says(&back, format!("/track x {token}\n"));
        let received = back.received();
        assert!(received.starts_with(&format!("** session {token} heard {heard} at ")), "{received}");
        assert!(
            received.contains(" as client-1\n** cannot resume") && received.contains("** you are client-1, in lobby")
        );
        world.says(&back, "here\n");
        assert_eq!(bob.received(), "client-1> here\n");
        world.pass(RESUME_WITHIN);
        assert_eq!(bob.received(), "");
    }
}

#[test]
fn a_tracked_client_is_told_in_its_dialect() {
    let mut world = world(&Config::default());
    let old = world.connect_silently();
    world.says(&old, "/track\n/nick ana pcn_a\n");
    old.received();
    let new = world.connect();
    world.says(&new, "/nick ana pcn_a\n");
    let received = old.received();
    assert!(received.starts_with("** you are here a second time: this one is client-1 now\n"), "{received}");
    assert!(received.contains("\n* ana is now client-1\n* client-2 joined\n* client-2 is now ana\n"), "{received}");
}

#[test]
fn a_browser_takes_a_name_and_loses_it() {
    let mut world = world_with_page(&quiet());
    world.hub.set_names(names(&[("ana", "pcn_a")]));
    let old = browse(&mut world);
    world.says(&old, text("/nick ana pcn_a\n"));
    assert_eq!(said(&old.received_bytes()), "* client-1 is now ana\n");
    let new = world.connect();
    world.says(&new, "/nick ana pcn_a\n");
    let told = "* you are here a second time: this one is client-1 now\n* ana is now client-1\n* client-2 is now ana\n";
    assert_eq!(said(&old.received_bytes()), told);
}

#[test]
fn an_echo_server_tells_of_names_as_of_others() {
    let mut world = world(&Config { audience: Audience::Sender, ..quiet() });
    let (old, new) = (ana(&mut world), world.connect());
    world.says(&new, "/nick ana pcn_a\nhello\n");
    let passed = "* ana is now client-1\n* client-2 is now ana\n";
    assert_eq!(new.received(), format!("ana> hello\n{passed}"));
    assert_eq!(old.received(), format!("* you are here a second time: this one is client-1 now\n{passed}"));
    world.says(&old, "hello\n");
    assert_eq!(old.received(), "client-1> hello\n");
}

#[test]
fn at_the_wall_a_lost_name_waits_for_its_place_as_a_departure_does() {
    let mut world = world(&Config { lag: Lag::Wait, backlog_bytes: 20_000, ..Config::default() });
    let (old, bob, flood, eve) = (ana(&mut world), world.connect(), world.connect(), world.connect_and_settle());
    let new = world.connect_silently();
    world.says(&new, "/join rust\n/nick zoe\n");
    bob.takes(0);
    world.says(&flood, format!("{}\n", "x".repeat(999)).repeat(50));
    world.run_for(Duration::from_secs(1));
    assert!(matches!(world.hub.next_wake(), Wake::At(_)), "the lobby waits");
    for client in [&old, &eve, &new] {
        client.received();
    }
    world.says(&eve, "FIN\n");
    world.says(&new, "/nick ana pcn_a\nin rust\n");
    world.says(&old, "/who\n");
    assert_eq!(new.received(), "* zoe is now ana\n", "no wall stands in its room");
    let received = old.received();
    let told = "* you are here a second time: this one is client-1 now\n* here: client-1, ";
    assert!(received.starts_with(told), "{received}");
    world.says(&old, "FIN\n");
    // The new one comes to the room itself.
    world.says(&new, "/join lobby\n");
    assert!(matches!(world.hub.next_wake(), Wake::At(_)), "it does not turn for nothing");
    world.makes_room(&bob, usize::MAX);
    world.run_for(Duration::from_secs(1));
    let received = bob.received();
    let notices: Vec<&str> = received.lines().filter(|line| line.starts_with("* ")).collect();
    assert!(
        notices.ends_with(&["* client-4 left", "* ana is now client-1", "* client-1 left", "* ana joined"]),
        "{notices:?}"
    );
}

#[test]
fn names_that_pass_to_and_fro_cost_no_reader_a_line_at_the_wall() {
    let mut world = world(&Config { lag: Lag::Wait, backlog_bytes: 20_000, ..quiet() });
    let (a, b, bob) = (world.connect(), world.connect(), world.connect());
    bob.takes(0);
    for _ in 0..1_000 {
        world.says(&a, "/nick ana pcn_a\n");
        world.says(&b, "/nick ana pcn_a\n");
    }
    assert!(matches!(world.hub.next_wake(), Wake::At(_)), "the room waits for its slow reader");
    world.makes_room(&bob, usize::MAX);
    world.run_for(Duration::from_secs(1));
    let received = bob.received();
    let notices: Vec<&str> = received.lines().collect();
    assert!(notices.len() > 100, "{}", notices.len());
    assert!(!received.contains("missed"));
    for pair in notices.chunks_exact(2) {
        assert!(
            [["* ana is now client-1", "* client-2 is now ana"], ["* ana is now client-2", "* client-1 is now ana"]]
                .contains(&[pair[0], pair[1]]),
            "{pair:?}"
        );
    }
}

#[test]
fn a_reload_takes_names_from_those_without_a_right_and_from_no_others() {
    let mut world = World::new(&Config::default());
    world.hub.set_names(names(&[("ana", "pcn_a"), ("zoe", "pcn_z")]));
    let [ana, zoe, bob, emily, eve] = [(); 5].map(|()| world.connect());
    for (client, line) in [
        (&ana, "/nick Ana pcn_a"),
        (&zoe, "/nick zoe pcn_z"),
        (&bob, "/nick Bob"),
        (&emily, "/nick ernily"),
        (&eve, "/nick eve"),
    ] {
        world.says(client, format!("{line}\n"));
    }
    for client in [&ana, &zoe, &bob, &emily, &eve] {
        client.received();
    }
    assert_eq!(reload(&mut world, &[("ana", "pcn_a"), ("bob", "pcn_b"), ("emily", "pcn_e")]), 2);
    let all = "* Bob is now client-3\n* ernily is now client-4\n";
    assert_eq!((ana.received().as_str(), zoe.received().as_str(), eve.received().as_str()), (all, all, all));
    assert_eq!(bob.received(), format!("* the name Bob belongs to somebody now: you are client-3\n{all}"));
    assert_eq!(emily.received(), format!("* the name emily belongs to somebody now: you are client-4\n{all}"));
    // Another case of its own name, without the token; and a name that left the file belongs to nobody.
    world.says(&ana, "/nick ana\n");
    world.says(&zoe, "/nick eva\n/nick zoe\n");
    let told = "* Ana is now ana\n* zoe is now eva\n* eva is now zoe\n";
    assert_eq!(eve.received(), told);
    assert_eq!(reload(&mut world, &[("ana", "pcn_new")]), 1);
    assert_eq!(
        ana.received(),
        format!("{told}* the name ana belongs to somebody now: you are client-1\n* ana is now client-1\n")
            .replace(told, told)
    );
    world.says(&ana, "/nick ana pcn_a\n/nick ana pcn_new\n");
    assert_eq!(ana.received(), "* that is not the token of ana\n* client-1 is now ana\n");
}

#[test]
fn a_reload_takes_names_from_movers_and_from_those_that_are_away() {
    let mut world = World::new(&Config::default());
    let (mover, away, eve) = (world.connect(), world.connect_silently(), world.connect());
    world.says(&mover, "/nick ana\n");
    world.says(&away, "/track\n/nick bob\n");
    away.resets();
    world.hub.on_ready(away.key, READABLE);
    mover.takes(0);
    world.says(&eve, "hello\n");
    world.says(&mover, "/join rust\n");
    eve.received();
    assert_eq!(reload(&mut world, &[("ana", "pcn_a"), ("bob", "pcn_b")]), 2);
    assert_eq!(eve.received(), "* bob is now client-2\n");
    world.makes_room(&mover, usize::MAX);
    let received = mover.received();
    assert!(received.contains("* the name ana belongs to somebody now: you are client-1\n"), "{received}");
    world.says(&eve, "/who\n");
    assert!(eve.received().starts_with("* here: client-2, 0 lines, 0 min, away\n"));
}

#[test]
fn the_announcement_of_a_reload_wakes_the_hub() {
    let mut world = World::new(&Config::default());
    let bob = world.connect_and_settle();
    world.says(&bob, "/nick bob\n");
    bob.received();
    world.run_on();
    assert_ne!(world.hub.next_wake(), Wake::Now);
    assert_eq!(world.hub.set_names(names(&[("bob", "pcn_b")])), 1);
    assert_eq!(world.hub.next_wake(), Wake::Now);
    world.run();
    assert_eq!(bob.received(), "* the name bob belongs to somebody now: you are client-1\n* bob is now client-1\n");
}
