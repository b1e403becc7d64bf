//! The end of a server among others: nothing that it has taken is lost.

use std::time::Duration;

use pollchat::server::hub::Wake;

use super::{SECOND, Servers, said, texts};
use crate::support::hub::{READABLE, quiet};

const SHUTTING_DOWN: &str = "** the server is shutting down\n";

#[test]
fn what_was_said_before_the_end_is_heard_by_all_before_they_are_told_of_it() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, eva) = (servers.connect(0), servers.connect(1));
    let (bob, _) = servers.begin(0, "/track\n");
    servers.hang(true);
    servers.says(0, &bob, "one\n");
    servers.says(0, &ana, "two\n");
    let now = servers.worlds[0].now;
    servers.worlds[0].hub.shut_down(now);
    servers.says(0, &ana, "three\n");
    assert_ne!(servers.worlds[0].hub.next_wake(), Wake::Now, "it rests");
    assert_eq!((ana.received(), bob.received()), (String::new(), String::new()));
    servers.hang(false);
    servers.run();
    assert_eq!(texts(&eva), ["one", "two"], "and no line that came after");
    let (of_ana, of_bob) = (ana.received(), bob.received());
    assert_eq!((said(&of_ana), said(&of_bob)), (vec!["one".to_owned()], vec!["one".to_owned(), "two".to_owned()]));
    for received in [of_ana, of_bob] {
        assert!(received.contains("> one\n") && received.ends_with(&format!("{SHUTTING_DOWN}FIN\n")), "{received:?}");
    }
    for client in [&ana, &bob] {
        client.ends();
        servers.worlds[0].hub.on_ready(client.key, READABLE);
    }
    servers.run();
    assert!(servers.worlds[0].hub.connections() == 0 && servers.worlds[0].hub.has_left_bus());
    assert_eq!(eva.received(), "", "the others go on");
}

#[test]
fn the_end_waits_for_a_second_for_the_log() {
    let mut servers = Servers::new(&quiet(), 1);
    let ana = servers.connect(0);
    servers.hang(true);
    servers.says(0, &ana, "one\n");
    let now = servers.worlds[0].now;
    servers.worlds[0].hub.shut_down(now);
    servers.pass(Duration::from_millis(900));
    assert_eq!(ana.received(), "");
    servers.pass(Duration::from_millis(200));
    assert!(ana.received().ends_with("FIN\n"));
    assert!(!servers.worlds[0].hub.has_left_bus(), "the outer loop waits for its grace time");
    servers.hang(false);
    servers.pass(SECOND);
    assert!(servers.worlds[0].hub.has_left_bus());
}

#[test]
fn a_tracked_client_whose_line_may_or_may_not_be_in_the_log_is_not_told_fin() {
    let mut servers = Servers::new(&quiet(), 1);
    let (ana, _) = servers.begin(0, "/track\n");
    let (eva, _) = servers.begin(0, "/track\n");
    servers.hang(true);
    servers.says(0, &ana, "one\n");
    let now = servers.worlds[0].now;
    servers.worlds[0].hub.shut_down(now);
    servers.pass(2 * SECOND);
    assert_eq!((ana.received().as_str(), ana.is_ended()), (SHUTTING_DOWN, true));
    assert_eq!(eva.received(), format!("{SHUTTING_DOWN}FIN\n"));
}

#[test]
fn a_server_that_has_nothing_under_way_or_is_cut_off_closes_its_connections_at_once() {
    for is_cut_off in [false, true] {
        let mut servers = Servers::new(&quiet(), 1);
        let ana = servers.connect(0);
        if is_cut_off {
            servers.cut_off(0);
            servers.pass(3 * SECOND);
            servers.says(0, &ana, "one\n");
        }
        let now = servers.worlds[0].now;
        servers.worlds[0].hub.shut_down(now);
        servers.turn(0);
        assert!(ana.received().ends_with(&format!("{SHUTTING_DOWN}FIN\n")));
    }
}
