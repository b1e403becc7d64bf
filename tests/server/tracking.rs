//! Tracked clients over TCP: the time in stamps, lost connections, and kept seats.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::{Client, Lines, Member, Server, eventually};

/// Connects with a first line, and returns the client with its `** session` line, in words.
fn begin(server: &Server, line: &str) -> (Client, Vec<String>) {
    let mut client = server.connect();
    client.send_line(line);
    let session = client.line();
    assert!(session.starts_with("** session "), "{session}");
    (client, session.split(' ').map(str::to_owned).collect())
}

fn until(client: &mut Client, line: &str) -> Vec<String> {
    client.lines_until(|other| other == line)
}

#[test]
fn a_session_goes_on_after_a_reset_and_the_room_is_told_nothing() {
    let server = Server::builder().flags(["--announce-up-to", "100"]).go();
    let mut bob = server.join();
    let (mut ana, session) = begin(&server, "/track");
    ana.send_line("/nick ana");
    ana.send_line("hello");
    let lines = until(&mut ana, "ana> hello");
    let stamp = lines.iter().find(|line| line.starts_with("@ ")).expect("a stamp");
    let time = UNIX_EPOCH + Duration::from_millis(stamp.split(' ').nth(1).unwrap().parse().unwrap());
    let age = SystemTime::now().duration_since(time).unwrap_or_else(|error| error.duration());
    assert!(age < Duration::from_secs(60), "{stamp} is {age:?} old");
    bob.lines_until(|line| line == "ana> hello");
    ana.reset();
    let mut eve = server.join();
    eventually("she is away", || {
        eve.send_line("/who");
        let rows = eve.lines_until(|line| line.ends_with(" here"));
        rows.iter().any(|row| row.starts_with("* here: ana, 1 line, ") && row.ends_with(", away"))
    });
    bob.send_line("while you were away");
    let (token, position) = (&session[2], &session[6]);
    let (mut ana, session) = begin(&server, &format!("/track {position} {token}"));
    assert_eq!((&session[2], session[4].as_str(), session[8].as_str()), (token, "2", "ana"));
    assert_eq!(ana.line(), "** resumed");
    until(&mut ana, &bob.says("while you were away"));
    ana.send_line("FIN");
    until(&mut ana, "FIN");
    let lines = until(&mut bob, "* ana left");
    assert!(!lines[..lines.len() - 1].iter().any(|line| line.contains("left")), "{lines:?}");
}

#[test]
fn a_seat_that_nobody_comes_back_to_is_free_after_its_time() {
    let server = Server::builder().flags(["--resume-within", "1", "--announce-up-to", "100"]).go();
    let mut bob = server.join();
    let (mut ana, _) = begin(&server, "/track");
    ana.send_line("/nick ana");
    bob.lines_until(|line| line == "* ana joined");
    ana.reset();
    bob.lines_until(|line| line == "* ana left");
    server.expect_log(&["ana left (did not come back)"]);
}

#[test]
fn no_seat_is_kept_if_the_operator_wants_none() {
    let server = Server::builder().flags(["--resume-within", "0", "--announce-up-to", "100"]).go();
    let mut bob = server.join();
    let (mut ana, session) = begin(&server, "/track");
    ana.send_line("hello");
    until(&mut ana, "client-2> hello");
    ana.reset();
    bob.lines_until(|line| line == "* client-2 left");
    let (_, again) = begin(&server, &format!("/track {} {}", session[6], session[2]));
    assert_eq!((&again[2], again[4].as_str(), again[8].as_str()), (&session[2], "1", "client-3"));
}
