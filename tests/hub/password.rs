//! The server's password: what a locked connection is told, what opens it, and how it enters then.

mod browsers;

use std::net::SocketAddr;
use std::time::Duration;

use pollchat::relay::secret::SecretHash;
use pollchat::server::access::AccessRules;
use pollchat::server::config::{Config, Lag};
use pollchat::server::hub::Wake;
use pollchat::server::limits::{
    ENTER_DELAY, ENTER_TIMEOUT, LOCKED_LINES_MAX, PASSWORD_TIME, WRONG_PASSWORDS_MAX, WRONG_PASSWORDS_PERIOD,
};

use crate::support::hub::{Client, READABLE, World, quiet};

const MS: Duration = Duration::from_millis(1);

const RIGHT: &str = "/pass open sesame\n";
const WRONG: &str = "/pass open barley\n";

const ASKED: &str = "* this server asks for a password: /pass WORD\n";
const NOT_IT: &str = "* that is not the password\n";
const REFUSED: &str = "* that is not the password either: goodbye\nFIN\n";
const CROWDED: &str = "* too many wrong passwords from your address: wait a minute\nFIN\n";
const MISSING: &str = "* you have not given the password: goodbye\nFIN\n";

fn lock(mut world: World) -> World {
    world.hub.set_password(Some(SecretHash::of("open sesame")));
    world
}

fn world(config: &Config) -> World {
    lock(World::new(config))
}

fn greeting(number: usize) -> String {
    format!("* you are client-{number}; /help lists what you can do\n")
}

/// Connects, and gives the password.
fn member(world: &mut World) -> Client {
    let client = world.connect_silently();
    world.says(&client, format!("{RIGHT}\n"));
    let received = client.received();
    assert!(received.starts_with("* you are client-"), "{received:?}");
    client
}

fn connect(world: &mut World, ip: &str) -> Client {
    world.connect_from(Some(SocketAddr::new(ip.parse().unwrap(), 1)))
}

/// Says it, and returns what comes.
fn answer(world: &mut World, client: &Client, bytes: impl AsRef<[u8]>) -> String {
    world.says(client, bytes);
    client.received()
}

#[test]
fn a_silent_connection_is_asked_after_a_moment_and_disconnected_after_a_minute() {
    let mut world = world(&quiet());
    let client = world.connect_silently();
    world.pass(ENTER_DELAY - MS);
    assert_eq!(client.received(), "");
    world.pass(MS);
    assert_eq!(client.received(), ASKED);
    assert_eq!(world.hub.next_wake(), Wake::At(world.now + PASSWORD_TIME));
    world.pass(PASSWORD_TIME - MS);
    assert_eq!(client.received(), "");
    world.pass(MS);
    assert_eq!(client.received(), MISSING);
    assert!(client.is_ended());
}

#[test]
fn a_minute_is_a_minute_whatever_a_connection_says() {
    let mut world = world(&quiet());
    let slow = world.connect_silently();
    world.says(&slow, "/pass ");
    world.pass(ENTER_DELAY);
    assert_eq!(slow.received(), "");
    world.pass(ENTER_TIMEOUT - ENTER_DELAY);
    assert_eq!(slow.received(), ASKED, "half a line asks for nothing, and is asked");
    for _ in 0..59 {
        world.says(&slow, "x");
        world.pass(Duration::from_secs(1));
    }
    assert_eq!(slow.received(), "");
    world.pass(Duration::from_secs(1));
    assert_eq!(slow.received(), MISSING);
    // A flood never lets its input run dry.
    let flood = world.connect_silently();
    flood.sends(vec![b'\n'; 8_000_000]);
    for _ in 0..70 {
        world.hub.on_ready(flood.key, READABLE);
        world.now += Duration::from_secs(1);
        world.turn();
    }
    assert_eq!(flood.received(), ASKED.to_owned() + MISSING);
}

#[test]
fn a_locked_connection_sees_and_says_nothing_of_the_room() {
    let mut world = world(&Config { history_lines: 9, ..Config::default() });
    let ana = member(&mut world);
    world.says(&ana, "/nick ana\nbefore\n");
    ana.received();
    let locked = world.connect_silently();
    for line in ["hello", "/who", "/rooms", "/help", "/nick eve", "/msg ana hi", "/join rust", "/track", "/say x", "/x"]
    {
        assert_eq!(answer(&mut world, &locked, format!("{line}\n")), ASKED, "{line}");
    }
    world.says(&ana, "secret\n/who\n");
    assert_eq!(ana.received(), "* here: ana, 2 lines, 0 min\n* 1 here\n");
    world.pass(PASSWORD_TIME);
    assert_eq!(locked.received(), MISSING);
    let next = member(&mut world);
    world.says(&next, "hello\n");
    assert_eq!(ana.received(), "* client-2 joined\nclient-2> hello\n", "the locked one had no number");
}

#[test]
fn the_right_password_opens_and_the_connection_enters_as_if_it_had_just_connected() {
    for pause in [Duration::ZERO, ENTER_DELAY - MS, ENTER_DELAY, Duration::from_secs(59)] {
        let mut world = world(&quiet());
        let client = world.connect_silently();
        world.pass(pause);
        client.received();
        assert_eq!(answer(&mut world, &client, RIGHT), "", "{pause:?}");
        world.pass(ENTER_DELAY - MS);
        assert_eq!(client.received(), "", "{pause:?}");
        world.says(&client, "hel");
        world.pass(MS);
        world.pass(ENTER_TIMEOUT - ENTER_DELAY - MS);
        assert_eq!(client.received(), "", "{pause:?}");
        world.pass(MS);
        assert_eq!(client.received(), greeting(1), "{pause:?}");
        assert_eq!(answer(&mut world, &client, "lo\n/pass open sesame\n"), "* no password is asked of you\n");
        world.pass(PASSWORD_TIME);
        assert_eq!(client.received(), "");
    }
    let mut world = world(&quiet());
    let client = world.connect_silently();
    world.says(&client, "/pass open sesame\r");
    world.pass(ENTER_DELAY);
    assert_eq!(client.received(), greeting(1).replace('\n', "\r\n"));
}

/// Returns what a newcomer that says this in pieces, and a member before it, are told. Leaves out CRs, and what differs
/// from run to run.
fn told(world: &mut World, ana: &Client, pieces: &[&[u8]]) -> String {
    let client = world.connect_silently();
    pieces.iter().for_each(|piece| world.says(&client, piece));
    let all = client.received() + "--\n" + &ana.received();
    let is_fixed = |line: &&str| !line.starts_with("** session") && !line.starts_with("@ ");
    all.replace('\r', "").split_inclusive('\n').filter(is_fixed).collect()
}

#[test]
fn a_line_behind_the_password_is_a_first_line_however_the_bytes_are_cut() {
    let config = Config { backlog_bytes: 64 * 1024, ..Config::default() };
    for end in ["\n", "\r\n", "\r"] {
        for behind in [
            "hello\n",
            "/join rust\n/who\nhello\n",
            "/nick eve\nhi\n",
            "/track\nhello\n",
            "\n",
            "FIN\n",
            "GET / HTTP/1.1\nHost: localhost\n\n",
            "user bob\npass hunter2\n",
            "/pass once more\n",
        ] {
            let behind = behind.replace('\n', end);
            let mut open = World::new(&config);
            let ana = open.connect();
            let expected = told(&mut open, &ana, &[behind.as_bytes()]);
            let all = RIGHT.replace('\n', end) + &behind;
            let bytes = all.as_bytes();
            let mut cuts: Vec<Vec<&[u8]>> = (1..bytes.len()).map(|at| vec![&bytes[..at], &bytes[at..]]).collect();
            cuts.push(bytes.chunks(1).collect());
            for pieces in cuts {
                let mut world = world(&config);
                let ana = member(&mut world);
                assert_eq!(told(&mut world, &ana, &pieces), expected, "{all:?} in {} and more", pieces[0].len());
            }
        }
    }
}

#[test]
fn a_session_opens_its_connection_and_nothing_else_that_a_track_says_does() {
    let mut world = world(&quiet());
    world.hub.set_clock(1_767_225_600_000);
    let ana = world.connect_silently();
    let received = answer(&mut world, &ana, format!("{RIGHT}/track\nhello\n"));
    let words: Vec<&str> = received.split_whitespace().collect();
    let (token, position) = (words[2], words[6]);
    ana.resets();
    world.says(&ana, "");
    for track in ["/track".to_owned(), format!("/track {position}"), format!("/track {position} {}", "0".repeat(32))] {
        let stranger = world.connect_silently();
        assert_eq!(answer(&mut world, &stranger, track + "\n"), ASKED);
        let received = answer(&mut world, &stranger, format!("/track {position} {token}\nagain\n"));
        assert!(received.contains("** resumed\n") && received.contains("client-1> again\n"), "{received}");
        stranger.resets();
        world.says(&stranger, "");
    }
    // It comes so late that the connection has entered.
    let late = world.connect_silently();
    world.says(&late, RIGHT);
    world.pass(ENTER_DELAY);
    assert_eq!(late.received(), greeting(2));
    let received = answer(&mut world, &late, format!("/track {position} {token}\n"));
    assert!(received.contains("** resumed\n"), "{received}");
}

#[test]
fn the_third_wrong_password_disconnects_and_nothing_behind_it_counts() {
    let mut world = world(&quiet());
    let ana = member(&mut world);
    let client = world.connect_silently();
    for _ in 0..2 {
        assert_eq!(answer(&mut world, &client, WRONG), NOT_IT);
        // No try, and asked again.
        assert_eq!(answer(&mut world, &client, "/pass\n"), ASKED);
    }
    assert_eq!(answer(&mut world, &client, format!("{WRONG}{RIGHT}hello\n")), REFUSED);
    assert!(client.is_ended());
    let at_once = world.connect_silently();
    assert_eq!(answer(&mut world, &at_once, WRONG.repeat(9) + RIGHT), format!("{NOT_IT}{NOT_IT}{REFUSED}"));
    let third = world.connect_silently();
    let received = answer(&mut world, &third, format!("{WRONG}/PASS Open Sesame\n/PASS \t open sesame \nhello\n"));
    assert_eq!(received, format!("{NOT_IT}{NOT_IT}{}", greeting(2)));
    assert_eq!(ana.received(), "client-2> hello\n");
}

#[test]
fn a_goodbye_needs_no_password_and_half_a_password_at_the_end_is_none() {
    for (bytes, received) in [
        ("FIN\n", "FIN\n".to_owned()),
        ("/quit\n", "FIN\n".to_owned()),
        ("hello\nexit\n", format!("{ASKED}FIN\n")),
        ("/pass open sesame", "FIN\n".to_owned()),
        ("hello", "FIN\n".to_owned()),
        ("user bob\n", "FIN\n".to_owned()),
        ("", "FIN\n".to_owned()),
    ] {
        let mut world = world(&Config::default());
        let ana = member(&mut world);
        let client = world.connect_silently();
        client.sends(bytes);
        client.ends();
        assert_eq!(answer(&mut world, &client, ""), received, "{bytes:?}");
        assert!(client.is_closed() && ana.received().is_empty(), "{bytes:?}");
    }
}

#[test]
fn a_few_lines_are_heard_and_answered_once_they_are_taken() {
    let mut world = world(&quiet());
    let (reads, floods) = (world.connect_silently(), world.connect_silently());
    for _ in 0..LOCKED_LINES_MAX {
        assert_eq!(answer(&mut world, &reads, "\n\nhello\n\n"), ASKED);
    }
    assert_eq!(answer(&mut world, &reads, "hello\n"), MISSING);
    floods.takes(0);
    world.says(&floods, "hello\n".repeat(LOCKED_LINES_MAX) + RIGHT);
    world.pass(ENTER_DELAY);
    world.makes_room(&floods, usize::MAX);
    assert_eq!(floods.received(), ASKED.to_owned() + &greeting(1), "nothing piles up, and the password counts");
    let long = world.connect_silently();
    let answered = answer(&mut world, &long, "x".repeat(1_000_000) + "\n" + RIGHT + "\n");
    assert_eq!(answered, ASKED.to_owned() + &greeting(2));
}

#[test]
fn a_password_may_be_longer_than_a_line() {
    let word = "x".repeat(1_024);
    let mut world = World::new(&Config { line_bytes_max: 8, ..quiet() });
    world.hub.set_password(Some(SecretHash::of(&word)));
    let client = world.connect_silently();
    for piece in format!("/pass {word}\n\n").as_bytes().chunks(100) {
        world.says(&client, piece);
    }
    assert_eq!(client.received(), greeting(1));
    assert_eq!(answer(&mut world, &client, "longer than 8\n"), "* line too long (over 8 bytes): not relayed\n");
}

#[test]
fn sixty_wrong_passwords_from_an_address_make_it_wait_for_a_minute() {
    for (guesser, neighbour, other) in
        [("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")]
    {
        let mut world = world(&quiet());
        let ana = connect(&mut world, guesser);
        assert_eq!(answer(&mut world, &ana, format!("{RIGHT}\n")), greeting(1));
        for _ in 0..WRONG_PASSWORDS_MAX / 3 {
            world.now += Duration::from_secs(1);
            let client = connect(&mut world, guesser);
            assert_eq!(answer(&mut world, &client, WRONG.repeat(3)), format!("{NOT_IT}{NOT_IT}{REFUSED}"));
        }
        for _ in 0..2 {
            world.pass(WRONG_PASSWORDS_PERIOD / 2 - MS);
            let waits = connect(&mut world, neighbour);
            assert_eq!(answer(&mut world, &waits, RIGHT), CROWDED, "right or wrong, it does not matter");
        }
        let free = connect(&mut world, other);
        assert_eq!(answer(&mut world, &free, format!("{WRONG}{RIGHT}\n")), NOT_IT.to_owned() + &greeting(2));
        assert_eq!(answer(&mut world, &ana, "/who\n").lines().count(), 3, "members stay");
        world.pass(2 * MS);
        let client = connect(&mut world, guesser);
        assert_eq!(answer(&mut world, &client, format!("{WRONG}{RIGHT}\n")), NOT_IT.to_owned() + &greeting(3));
    }
}

#[test]
fn wrong_passwords_that_come_slowly_make_no_address_wait() {
    let mut world = world(&quiet());
    for _ in 0..WRONG_PASSWORDS_MAX {
        world.pass(Duration::from_millis(3_200));
        let client = world.connect_silently();
        assert_eq!(answer(&mut world, &client, WRONG.repeat(3)), format!("{NOT_IT}{NOT_IT}{REFUSED}"));
    }
}

#[test]
fn behind_a_proxy_the_address_of_the_client_counts() {
    let proxies = ["10.0.0.1", "unix"].iter().map(|text| text.parse().unwrap()).collect();
    let mut world = world(&Config { proxies, ..quiet() });
    let header = |client: &str| format!("PROXY TCP4 {client} 198.51.100.1 56324 46000\r\n");
    for _ in 0..WRONG_PASSWORDS_MAX / 3 {
        let client = connect(&mut world, "10.0.0.1");
        world.says(&client, header("192.0.2.7") + &WRONG.repeat(3));
    }
    let (guesser, other) = (connect(&mut world, "10.0.0.1"), connect(&mut world, "10.0.0.1"));
    assert_eq!(answer(&mut world, &guesser, header("192.0.2.7") + RIGHT), CROWDED);
    assert_eq!(answer(&mut world, &other, header("192.0.2.8") + RIGHT + "\n"), greeting(1));
}

#[test]
fn a_full_server_tells_so_to_a_client_with_the_right_password() {
    let mut world = world(&Config { clients_max: Some(1), ..quiet() });
    let waits = world.connect_silently();
    let ana = member(&mut world);
    assert_eq!(answer(&mut world, &waits, format!("{RIGHT}hello\n")), "* the server is full (1 client)\nFIN\n");
    let waits = world.connect_silently();
    world.says(&waits, RIGHT);
    world.says(&ana, "FIN\n");
    world.pass(ENTER_DELAY);
    assert_eq!(waits.received(), greeting(2));
}

#[test]
fn a_locked_connection_counts_as_one_that_has_not_entered() {
    let access = AccessRules { per_address_max: 1, ..AccessRules::default() };
    let mut world = world(&Config { access, ..quiet() });
    let (first, second) = (connect(&mut world, "192.0.2.1"), connect(&mut world, "192.0.2.1"));
    world.pass(ENTER_DELAY);
    assert_eq!((first.received(), second.received()), (ASKED.to_owned(), ASKED.to_owned()));
    assert_eq!(answer(&mut world, &first, format!("{RIGHT}\n")), greeting(1));
    let crowded = "* too many connections from your address (at most 1)\nFIN\n";
    assert_eq!(answer(&mut world, &second, format!("{RIGHT}\n")), crowded);
}

#[test]
fn members_stay_when_the_password_changes_and_locked_connections_enter_when_there_is_none() {
    let mut world = world(&quiet());
    let (ana, open, locked) = (member(&mut world), world.connect_silently(), world.connect_silently());
    world.says(&open, RIGHT);
    world.says(&locked, WRONG);
    world.hub.set_password(Some(SecretHash::of("swordfish")));
    assert_eq!(answer(&mut world, &open, "hello\n"), greeting(2));
    assert_eq!(ana.received(), "client-2> hello\n");
    assert_eq!(answer(&mut world, &locked, RIGHT), format!("{NOT_IT}{NOT_IT}"));
    let later = world.connect_silently();
    world.hub.set_password(None);
    world.run();
    assert_eq!(locked.received(), greeting(3));
    world.pass(ENTER_DELAY);
    assert_eq!(later.received(), greeting(4));
    world.pass(PASSWORD_TIME);
    assert_eq!(answer(&mut world, &later, RIGHT), "* no password is asked of you\n");
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn a_foreign_protocol_is_turned_away_before_and_after_it_was_asked() {
    let foreign = "* this is a chat relay and speaks no HTTP: goodbye\nFIN\n";
    let mut world = world(&quiet());
    let (early, late) = (world.connect_silently(), world.connect_silently());
    assert_eq!(answer(&mut world, &early, "GET / HTTP/1.1\r\n\r\n"), foreign);
    world.pass(ENTER_DELAY);
    assert_eq!(late.received(), ASKED);
    assert_eq!(answer(&mut world, &late, "GET / HTTP/1.1\r\n\r\n"), foreign);
    // A line that may belong to one waits for the next, until the connection is asked.
    let waits = world.connect_silently();
    assert_eq!(answer(&mut world, &waits, "user bob\n"), "");
    world.pass(ENTER_DELAY);
    assert_eq!(waits.received(), ASKED);
    assert_eq!(answer(&mut world, &waits, "nick bob\n"), ASKED);
    assert_eq!(answer(&mut world, &waits, format!("{RIGHT}\n")), greeting(1));
}

#[test]
fn silence_ends_a_password_like_any_line_of_a_client_without_newlines() {
    let patience = Duration::from_millis(100);
    let mut world = world(&Config { flush_after: Some(patience), ..quiet() });
    let client = world.connect_silently();
    world.says(&client, WRONG.trim_end());
    world.pass(patience - MS);
    assert_eq!(client.received(), "");
    world.pass(MS);
    assert_eq!(client.received(), NOT_IT);
    world.says(&client, RIGHT.trim_end());
    world.pass(patience);
    assert_eq!(client.received(), "");
    world.pass(ENTER_DELAY);
    assert_eq!(client.received(), greeting(1));
    let refused = world.connect_silently();
    for _ in 0..3 {
        world.says(&refused, WRONG.trim_end());
        world.pass(patience);
    }
    world.run_for(Duration::from_secs(1));
    assert_eq!(refused.received(), format!("{NOT_IT}{NOT_IT}{}", REFUSED.trim_end()));
}

#[test]
fn a_room_waits_for_no_locked_connection_and_a_locked_one_for_no_room() {
    let config = Config { lag: Lag::Wait, stall_timeout: PASSWORD_TIME, backlog_bytes: 64 * 1024, ..quiet() };
    let mut world = world(&config);
    let (ana, bob, deaf) = (member(&mut world), member(&mut world), world.connect_silently());
    deaf.takes(0);
    world.says(&deaf, "hello\n");
    let flood = "a line of some length that is said very often\n".repeat(10_000);
    ana.sends(&flood);
    world.hub.on_ready(ana.key, READABLE);
    world.run_for(Duration::from_secs(1));
    assert_eq!(bob.received().lines().count(), 10_000, "the room waits for no one that is locked");
    bob.takes(0);
    ana.sends(&flood);
    world.hub.on_ready(ana.key, READABLE);
    world.run_for(Duration::from_secs(1));
    assert!(ana.peer.borrow().incoming.front().is_some(), "the room waits for its reader");
    let client = world.connect_silently();
    assert_eq!(answer(&mut world, &client, WRONG), NOT_IT);
    assert_eq!(answer(&mut world, &client, format!("{RIGHT}/help\n")).lines().next(), Some(greeting(3).trim_end()));
}

#[test]
fn a_shutdown_tells_a_locked_connection_goodbye() {
    let mut world = world(&quiet());
    let client = world.connect_silently();
    world.says(&client, "hello\n");
    let now = world.now;
    world.hub.shut_down(now);
    world.run();
    assert_eq!(client.received(), format!("{ASKED}FIN\n"));
}
