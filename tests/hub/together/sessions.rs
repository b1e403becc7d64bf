//! Tracked clients of a shared room: their own lines come back as records, and they are told of lines as taken once
//! their records are before the position that they are told.

use std::time::Duration;

use pollchat::relay::name::Name;
use pollchat::server::config::Config;

use super::{SECOND, Servers, said, texts};
use crate::support::hub::{Client, quiet};

/// The token, the count and the position in `** session …`.
fn session(line: &str) -> (String, u64, String) {
    let words: Vec<&str> = line.split(' ').collect();
    let ["**", "session", token, "heard", heard, "at", position, "as", _] = words[..] else { panic!("{line:?}") };
    (token.to_owned(), heard.parse().unwrap(), position.to_owned())
}

/// The last line about the session among those received.
fn last_session(received: &str) -> (String, u64, String) {
    session(received.lines().rev().find(|line| line.starts_with("** session ")).expect("a session"))
}

/// Connects to a hub, and is tracked.
fn track(servers: &mut Servers, hub: usize) -> (Client, String) {
    let (client, received) = servers.begin(hub, "/track\n");
    let (token, 0, _) = last_session(&received) else { panic!("{received:?}") };
    (client, token)
}

#[test]
fn a_tracked_client_reads_its_own_lines_where_all_others_read_them() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, _) = track(&mut servers, 0);
    let (eva, _) = track(&mut servers, 1);
    for round in 0..5 {
        servers.sends(0, &ana, &format!("{round} of ana\n"));
        servers.sends(1, &eva, &format!("{round} of eva\n"));
        servers.run();
        servers.pass(Duration::from_millis(700));
    }
    let (of_ana, of_eva) = (ana.received(), eva.received());
    assert_eq!(of_ana, of_eva, "stamps and all");
    assert_eq!(said(&of_ana).len(), 10);
}

#[test]
fn the_state_of_a_session_is_told_once_the_lines_before_were_read_back() {
    let mut servers = Servers::new(&quiet(), 1);
    let (ana, token) = track(&mut servers, 0);
    servers.hang(true);
    servers.says(0, &ana, "one\n\ntwo\n/track\n/who\nthree\n");
    assert_eq!(ana.received(), "");
    servers.hang(false);
    servers.run();
    let received = ana.received();
    let place = |text: &str| received.find(text).unwrap_or_else(|| panic!("{text} is not in {received:?}"));
    assert_eq!((last_session(&received).0, last_session(&received).1), (token, 3));
    assert!(place("> one") < place("> two") && place("> two") < place("** session"), "{received:?}");
    assert!(place("> three") > place("** session"));
}

#[test]
fn a_tracked_client_leaves_a_room_behind_its_own_lines() {
    for (end, last) in [("/join rust\n", "in rust\n"), ("FIN\n", "FIN\n"), ("", "FIN\n")] {
        let mut servers = Servers::new(&Config { history_lines: 0, ..quiet() }, 2);
        let (ana, _) = track(&mut servers, 0);
        let eva = servers.connect(1);
        servers.hang(true);
        servers.sends(0, &ana, &format!("one\ntwo\n{end}"));
        if end.is_empty() {
            ana.ends();
        }
        servers.run();
        assert_eq!(ana.received(), "", "{end:?}");
        servers.hang(false);
        servers.pass(SECOND);
        let received = ana.received();
        assert_eq!(
            (said(&received), texts(&eva)),
            (vec!["one".to_owned(), "two".to_owned()], vec!["one".to_owned(), "two".to_owned()])
        );
        let place = received.find(last).unwrap_or_else(|| panic!("{received:?} lacks {last:?}"));
        assert!(place > received.find("> two").unwrap());
    }
}

#[test]
fn a_tracked_client_leaves_a_server_that_is_cut_off_and_its_line_is_heard_later() {
    for end in ["FIN\n", ""] {
        let mut servers = Servers::new(&quiet(), 2);
        let (ana, _) = track(&mut servers, 0);
        let eva = servers.connect(1);
        servers.cut_off(0);
        servers.sends(0, &ana, &format!("one\n{end}"));
        if end.is_empty() {
            ana.ends();
        }
        servers.run();
        assert_eq!(ana.received(), "");
        servers.pass(3 * SECOND);
        assert!(ana.received().ends_with("FIN\n"), "{end:?}");
        servers.links.is_refusing = false;
        servers.pass(10 * SECOND);
        assert_eq!(texts(&eva), ["one"]);
    }
}

#[test]
fn a_client_that_resumes_waits_for_its_lines_and_sends_none_twice() {
    let mut servers = Servers::new(&quiet(), 1);
    let (ana, token) = track(&mut servers, 0);
    servers.says(0, &ana, "zero\n");
    let (_, _, position) = {
        servers.says(0, &ana, "/track\n");
        last_session(&ana.received())
    };
    servers.hang(true);
    servers.says(0, &ana, "one\n");
    ana.resets();
    servers.says(0, &ana, "");
    let again = servers.worlds[0].connect_silently();
    servers.says(0, &again, &format!("/track {position} {token}\n"));
    servers.pass(4 * SECOND);
    assert_eq!(again.received(), "");
    servers.hang(false);
    servers.pass(10 * SECOND);
    let received = again.received();
    assert_eq!(last_session(&received).1, 2);
    assert!(received.contains("** resumed\n") && said(&received) == ["one"], "{received:?}");
}

#[test]
fn a_client_that_resumes_waits_for_five_seconds_and_is_told_that_all_its_lines_were_taken() {
    let mut servers = Servers::new(&quiet(), 1);
    let (ana, token) = track(&mut servers, 0);
    servers.hang(true);
    servers.says(0, &ana, "one\n");
    ana.resets();
    servers.says(0, &ana, "");
    let again = servers.worlds[0].connect_silently();
    servers.says(0, &again, &format!("/track x {token}\n"));
    servers.pass(Duration::from_millis(5_200));
    assert_eq!(last_session(&again.received()).1, 1);
    servers.hang(false);
    servers.pass(30 * SECOND);
    assert_eq!(texts(&again), ["one"]);
}

#[test]
fn a_client_that_resumes_late_is_told_at_once_that_all_its_lines_were_taken() {
    let mut servers = Servers::new(&quiet(), 1);
    let (ana, token) = track(&mut servers, 0);
    servers.says(0, &ana, "one\n");
    // The tape is not empty.
    let late = servers.connect(0);
    servers.hang(true);
    servers.says(0, &ana, "two\n");
    ana.resets();
    servers.says(0, &ana, "");
    servers.says(0, &late, &format!("/track x {token}\n"));
    servers.worlds[0].hub.check_invariants();
    assert_eq!(last_session(&late.received()).1, 2);
    servers.hang(false);
    servers.pass(30 * SECOND);
    assert_eq!(texts(&late), ["two"]);
}

#[test]
fn a_client_that_missed_records_is_told_of_its_lines_as_far_as_their_records_are_there() {
    let mut servers = Servers::new(&Config { backlog_bytes: 4 * 1024, line_bytes_max: 512, ..quiet() }, 1);
    let (ana, _) = track(&mut servers, 0);
    servers.says(0, &ana, "one\n");
    ana.received();
    ana.takes(0);
    for number in 0..40 {
        servers.add("lobby", number + 1, number, &format!("s 900 zoe {}\n", "x".repeat(200)));
    }
    // The brake is on.
    servers.pass(SECOND);
    servers.hang(true);
    servers.says(0, &ana, "two\n");
    servers.worlds[0].makes_room(&ana, usize::MAX);
    servers.run();
    let received = ana.received();
    assert!(received.contains("** you missed "), "{received:?}");
    assert_eq!(last_session(&received).1, 1, "the record of the second is behind this");
    servers.hang(false);
    servers.pass(10 * SECOND);
    assert_eq!(texts(&ana), ["two"]);
    servers.says(0, &ana, "/track\n");
    assert_eq!(last_session(&ana.received()).1, 2);
}

#[test]
fn a_client_whose_server_is_gone_reads_on_at_another_by_its_position() {
    let mut servers = Servers::new(&quiet(), 2);
    let (ana, _) = track(&mut servers, 0);
    let eva = servers.connect(1);
    servers.says(1, &eva, "one\n");
    servers.pass(2 * SECOND);
    servers.says(1, &eva, "two\n");
    servers.says(0, &ana, "/track\n");
    let (_, _, position) = last_session(&ana.received());
    servers.pass(2 * SECOND);
    servers.says(1, &eva, "three\n");
    servers.says(1, &eva, "four\n");
    let (_, received) = servers.begin(1, &format!("/track {position} 0123456789abcdef0123456789abcdef\n"));
    assert!(received.contains("** resumed\n"), "{received:?}");
    assert_eq!(said(&received), ["three", "four"]);
    assert_eq!(last_session(&received).1, 0);
    let (_, received) = servers.begin(1, "/track 0000000000001.7 0123456789abcdef0123456789abcdef\n");
    assert!(!received.contains("** resumed\n") && said(&received).is_empty(), "{received:?}");
}

#[test]
fn a_position_that_two_rooms_have_counts_in_none() {
    let config = Config { rooms: vec![Name::parse("rust").unwrap()], ..quiet() };
    let mut servers = Servers::new(&config, 1);
    // In the same ms.
    servers.add("lobby", 1, 0, "s 900 zoe in the lobby\n");
    servers.add("rust", 1, 0, "s 900 zoe in rust\n");
    servers.run();
    let (_, received) = servers.begin(0, "/track\n");
    let (_, _, position) = last_session(&received);
    let (_, received) = servers.begin(0, &format!("/track {position} 0123456789abcdef0123456789abcdef\n"));
    assert!(!received.contains("** resumed\n"), "{received:?}");
}
