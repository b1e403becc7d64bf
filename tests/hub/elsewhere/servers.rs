//! Servers that die, stand still, come back, or stop in good order.

use pollchat::server::config::Config;

use super::{SECOND, answer, named, pass_without_last, resume_last};
use crate::support::hub::{Client, quiet};
use crate::support::redis::Mood;
use crate::together::Servers;

/// Lets a second client of the first hub enter the room rust while the last hub stands still. Its blocked read is
/// answered before: by another event.
fn come_unheard(servers: &mut Servers, first: &Client) -> Client {
    servers.sends(0, first, "/join go\n");
    pass_without_last(servers, SECOND);
    let second = servers.worlds[0].connect_silently();
    servers.sends(0, &second, "/join rust\n");
    pass_without_last(servers, SECOND);
    second
}

#[test]
fn each_room_is_told_once_that_the_members_of_a_dead_server_have_left() {
    let mut servers = Servers::new(&Config::default(), 3);
    let (ana, bob) = (named(&mut servers, 0, "ana"), named(&mut servers, 1, "bob"));
    let eva = named(&mut servers, 2, "eva");
    servers.pass(3 * SECOND);
    for client in [&ana, &bob, &eva] {
        client.received();
    }
    pass_without_last(&mut servers, 15 * SECOND);
    assert_eq!((ana.received(), bob.received()), (String::new(), String::new()), "its lease lives");
    pass_without_last(&mut servers, 30 * SECOND);
    assert_eq!((ana.received().as_str(), bob.received().as_str()), ("* eva left\n", "* eva left\n"));
}

#[test]
fn members_of_a_dead_server_have_left_though_its_successor_has_never_known_them() {
    let mut servers = Servers::apart(&Config::default(), 3);
    let mut successor = servers.worlds.remove(0);
    servers.pass(10 * SECOND);
    let (ana, eva) = (named(&mut servers, 0, "ana"), named(&mut servers, 1, "eva"));
    servers.pass(3 * SECOND);
    servers.links.cut(1, &mut servers.worlds[1].hub);
    successor.now = servers.worlds[0].now;
    servers.worlds[1] = successor;
    servers.pass(8 * SECOND);
    let bob = servers.connect(1);
    servers.pass(3 * SECOND);
    ana.received();
    bob.received();
    servers.pass(40 * SECOND);
    assert_eq!((ana.received().as_str(), bob.received().as_str()), ("* eva left\n", "* eva left\n"));
    drop(eva);
}

#[test]
fn a_server_that_stood_still_is_there_again_with_its_members() {
    let mut servers = Servers::new(&Config::default(), 2);
    let (ana, eva) = (named(&mut servers, 0, "ana"), named(&mut servers, 1, "eva"));
    servers.pass(3 * SECOND);
    ana.received();
    eva.received();
    pass_without_last(&mut servers, 45 * SECOND);
    assert_eq!(ana.received(), "* eva left\n");
    resume_last(&mut servers);
    servers.pass(SECOND);
    let who = answer(&mut servers, 0, &ana, "/who");
    assert!(who.contains("* here: eva, ") && who.ends_with("* 2 here\n"), "{who:?}");
    eva.received();
    servers.says(1, &eva, "I am back\n");
    assert_eq!(ana.received(), "* eva joined\neva> I am back\n");
    servers.says(1, &eva, "FIN\n");
    assert_eq!(ana.received(), "* eva left\n");
}

#[test]
fn a_name_that_was_taken_while_its_server_stood_still_is_lost() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, eva) = (servers.connect(0), named(&mut servers, 1, "eva"));
    pass_without_last(&mut servers, 45 * SECOND);
    servers.sends(0, &ana, "/nick eva\n");
    pass_without_last(&mut servers, SECOND);
    assert!(ana.received().ends_with(" is now eva\n"));
    resume_last(&mut servers);
    servers.pass(SECOND);
    let received = eva.received();
    assert!(received.contains("* the name eva belongs to somebody now: you are client-"), "{received:?}");
    let who = answer(&mut servers, 1, &eva, "/who");
    assert_eq!((who.matches("eva,").count(), who.matches("client-").count()), (1, 1), "{who:?}");
}

#[test]
fn a_server_that_stops_in_good_order_takes_its_members_with_it_at_once() {
    let mut servers = Servers::new(&Config::default(), 2);
    let (ana, eva) = (named(&mut servers, 0, "ana"), named(&mut servers, 1, "eva"));
    servers.pass(3 * SECOND);
    ana.received();
    eva.received();
    let now = servers.worlds[1].now;
    servers.worlds[1].hub.shut_down(now);
    servers.run();
    assert!(eva.received().contains("shutting down"));
    servers.pass(SECOND);
    assert_eq!(ana.received(), "* eva left\n");
    assert!(answer(&mut servers, 0, &ana, "/nick eva").ends_with("* ana is now eva\n"));
}

#[test]
fn a_server_that_was_cut_off_for_long_and_had_much_to_tell_tells_all_its_members_anew() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, bob) = (named(&mut servers, 0, "ana"), named(&mut servers, 1, "bob"));
    let now = servers.links.unix_ms(servers.worlds[0].now);
    servers.links.redis.hang(true, now);
    // Each coming and going is two events. No numbers run out: a few hundred are in hand.
    for _ in 0..40 {
        let clients: Vec<_> = (0..40).map(|_| servers.worlds[1].connect_silently()).collect();
        for client in &clients {
            servers.sends(1, client, "\n");
        }
        servers.run();
        for client in &clients {
            for _ in 0..20 {
                client.sends("/join rust\n/join lobby\n");
            }
            client.ends();
            servers.sends(1, client, "");
        }
        servers.run();
    }
    servers.says(1, &bob, "/join rust\n");
    servers.pass(SECOND);
    let now = servers.links.unix_ms(servers.worlds[0].now);
    servers.links.redis.hang(false, now);
    servers.pass(20 * SECOND);
    let who = answer(&mut servers, 0, &ana, "/rooms");
    assert!(who.contains("* room: rust, 1 here\n") && who.contains("* room: lobby, 1 here\n"), "{who:?}");
}

#[test]
fn events_that_were_lost_are_made_good_by_a_snapshot() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, bob) = (named(&mut servers, 0, "ana"), named(&mut servers, 1, "bob"));
    // Redis loses what the first hub writes meanwhile.
    let _eva = come_unheard(&mut servers, &ana);
    let unix_ms = servers.links.unix_ms(servers.worlds[0].now);
    servers.links.redis.trim("pollchat:roster", 0);
    servers.links.redis.advance(unix_ms);
    resume_last(&mut servers);
    assert!(!answer(&mut servers, 1, &bob, "/rooms").contains("rust"), "lost");
    servers.says(0, &ana, "/nick anna\n");
    servers.pass(8 * SECOND);
    assert!(answer(&mut servers, 1, &bob, "/rooms").contains("* room: rust, 1 here\n"));
}

#[test]
fn a_wish_for_a_snapshot_that_was_lost_is_repeated() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, bob) = (named(&mut servers, 0, "ana"), named(&mut servers, 1, "bob"));
    let eva = come_unheard(&mut servers, &ana);
    servers.links.redis.trim("pollchat:roster", 0);
    servers.sends(0, &ana, "/join den\n");
    pass_without_last(&mut servers, SECOND);
    // Redis takes no wish now.
    servers.links.redis.set_mood(Mood::Full);
    resume_last(&mut servers);
    servers.links.redis.set_mood(Mood::Well);
    assert!(!answer(&mut servers, 1, &bob, "/rooms").contains("rust"), "lost");
    servers.pass(20 * SECOND);
    assert!(answer(&mut servers, 1, &bob, "/rooms").contains("* room: rust, 1 here\n"));
    drop(eva);
}

#[test]
fn a_server_that_never_reads_of_its_end_is_told_once_more() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, eva) = (named(&mut servers, 0, "ana"), named(&mut servers, 1, "eva"));
    // The second hub stands still, and its blocked read is answered. Redis loses what tells of its end.
    servers.sends(0, &ana, "/join go\n");
    pass_without_last(&mut servers, 45 * SECOND);
    servers.links.redis.trim("pollchat:roster", 0);
    resume_last(&mut servers);
    servers.says(1, &eva, "/join rust\n");
    servers.pass(SECOND);
    assert!(!answer(&mut servers, 0, &ana, "/rooms").contains("rust"), "it counts as gone");
    servers.pass(20 * SECOND);
    assert!(answer(&mut servers, 0, &ana, "/rooms").contains("* room: rust, 1 here\n"));
}

#[test]
fn events_that_were_lost_in_a_fail_over_are_made_good_though_nothing_happens_any_more() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, bob) = (named(&mut servers, 0, "ana"), named(&mut servers, 1, "bob"));
    let eva = come_unheard(&mut servers, &ana);
    servers.links.redis.lose_tail(1, 0);
    resume_last(&mut servers);
    servers.pass(20 * SECOND);
    assert!(answer(&mut servers, 1, &bob, "/rooms").contains("* room: rust, 1 here\n"));
    drop((ana, eva));
}

#[test]
fn numbers_go_on_when_redis_has_lost_everything_and_a_server_still_knows_them() {
    let mut servers = Servers::new(&quiet(), 1);
    let ana = servers.connect(0);
    servers.links.redis.restart(false);
    servers.pass(10 * SECOND);
    let newcomer = Servers::apart(&quiet(), 2).worlds.pop().expect("a hub");
    // Redis loses what the first one has written since.
    servers.links.redis.restart(false);
    servers.worlds.push(newcomer);
    resume_last(&mut servers);
    servers.pass(10 * SECOND);
    let (_bob, greeting) = servers.begin(1, "hello\n");
    let number =
        greeting.strip_prefix("* you are client-").and_then(|rest| rest.split(';').next()?.parse::<u64>().ok());
    assert!(number.is_some_and(|number| number > 1_000), "{greeting:?}");
    drop(ana);
}
