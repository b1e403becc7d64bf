//! `--lag wait`: nobody loses a line, however slow; and nobody is waited for for ever.

mod wall;

use std::io::ErrorKind;
use std::time::Duration;

use pollchat::relay::cursor::HOLES_MAX;
use pollchat::relay::room::Audience;
use pollchat::server::config::{Config, Lag};
use pollchat::server::hub::{Readiness, Wake};
use pollchat::server::limits::STALL_BYTES;

use crate::support::hub::{Client, READABLE, World, quiet};

const STALL_TIMEOUT: Duration = Duration::from_secs(30);

fn waiting() -> Config {
    Config { lag: Lag::Wait, stall_timeout: STALL_TIMEOUT, backlog_bytes: 64 * 1024, line_bytes_max: 100, ..quiet() }
}

/// `count` lines, numbered from `first`.
fn numbered(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("line {number}\n")).collect()
}

/// What others get of them when `who` says them.
fn relayed(who: &str, first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("{who}> line {number}\n")).collect()
}

#[test]
fn the_slowest_gets_every_line_and_the_others_wait_for_it() {
    let mut world = World::new(&waiting());
    let (ana, bob, eve) = (world.connect(), world.connect(), world.connect());
    bob.takes(0);
    ana.sends(numbered(0, 20_000));
    world.hub.on_ready(ana.key, READABLE);
    world.run_for(Duration::from_secs(5));
    let first = eve.received();
    assert!(first.len() <= 64 * 1024, "{} bytes were said while one could not take them", first.len());
    assert!(first.len() > 48 * 1024, "the tape is there to be used: {} bytes", first.len());

    let mut taken = String::new();
    let all = relayed("client-1", 0, 20_000);
    while taken.len() < all.len() {
        world.makes_room(&bob, 10_000);
        world.run_for(Duration::from_millis(10));
        let more = bob.received();
        assert!(!more.is_empty(), "at {} of {}", taken.len(), all.len());
        taken += &more;
    }
    assert_eq!(taken, all);
    assert_eq!(first + &eve.received(), all);
}

#[test]
fn on_the_smallest_tape_one_line_at_a_time_gets_through() {
    let config = Config { backlog_bytes: waiting().longest_line_bytes(), ..waiting() };
    let mut world = World::new(&config);
    let (ana, bob) = (world.connect(), world.connect());
    bob.takes(0);
    // Each becomes three times as long.
    let lines: String = (0..50).map(|_| "\u{7f}".repeat(100) + "\n").collect();
    ana.sends(&lines);
    world.hub.on_ready(ana.key, READABLE);
    let mut taken = Vec::new();
    while taken.iter().filter(|&&byte| byte == b'\n').count() < 50 {
        world.makes_room(&bob, 77);
        world.run_for(Duration::from_millis(10));
        taken.extend(bob.received_bytes());
    }
    assert_eq!(String::from_utf8(taken).unwrap(), format!("client-1> {}\n", "\u{fffd}".repeat(100)).repeat(50));
}

#[test]
fn one_who_stalls_is_let_go_and_told_what_it_missed() {
    let mut world = World::new(&waiting());
    let (ana, bob, eve) = (world.connect(), world.connect(), world.connect());
    bob.takes(100);
    ana.sends(numbered(0, 20_000));
    world.hub.on_ready(ana.key, READABLE);
    world.run_for(STALL_TIMEOUT - Duration::from_millis(1));
    let before = eve.received();
    assert!(before.len() <= 64 * 1024, "the room waits: {}", before.len());
    world.run_for(Duration::from_secs(1));
    assert_eq!(before + &eve.received(), relayed("client-1", 0, 20_000), "the room goes on");

    bob.takes(usize::MAX);
    world.makes_room(&bob, usize::MAX);
    let received = bob.received();
    let (lines, notices): (Vec<&str>, Vec<&str>) = received.lines().partition(|line| line.starts_with("client-1> "));
    let [goodbye, missed, fin] = notices[..] else { panic!("{notices:?}") };
    let missed = missed.strip_prefix("* you missed ").and_then(|rest| rest.split(' ').next()).unwrap();
    let told: usize = missed.parse().unwrap();
    // It is owed what was said before it was let go, and no more.
    assert_eq!(received.lines().take(lines.len()).collect::<Vec<_>>(), lines, "what it took came first");
    assert!((2_000..20_000).contains(&(told + lines.len())), "{told} missed, {} taken", lines.len());
    assert_eq!((goodbye, fin), ("* you read too slowly: goodbye", "FIN"));
}

#[test]
fn one_who_takes_enough_in_time_is_waited_for_again_and_again() {
    let mut world = World::new(&Config { backlog_bytes: 1024 * 1024, ..waiting() });
    let (ana, bob) = (world.connect(), world.connect());
    bob.takes(0);
    ana.sends(numbered(0, 100_000));
    world.hub.on_ready(ana.key, READABLE);
    world.run_for(Duration::from_secs(1));
    let enough = usize::try_from(STALL_BYTES).unwrap() + 100;
    let mut taken = String::new();
    for _ in 0..20 {
        world.run_for(STALL_TIMEOUT - Duration::from_secs(2));
        world.makes_room(&bob, enough);
        taken += &bob.received();
    }
    assert!(!bob.is_ended(), "it took 64 KiB every 28 s for ten minutes");
    world.makes_room(&bob, enough / 2);
    taken += &bob.received();
    assert!(relayed("client-1", 0, 100_000).starts_with(&taken));
    world.run_for(STALL_TIMEOUT + Duration::from_secs(10));
    assert!(bob.is_closed(), "and then it did not, and its grace is over, too");
}

#[test]
fn one_who_asks_without_end_does_not_move_on_by_what_it_is_answered() {
    let mut world = World::new(&waiting());
    let (ana, bob) = (world.connect(), world.connect());
    bob.takes(0);
    let mut taken = String::new();
    for round in 0..60 {
        world.says(&ana, numbered(round, 1));
        bob.sends("/help\n".repeat(40));
        world.hub.on_ready(bob.key, READABLE);
        world.makes_room(&bob, 8 * 1024);
        world.run_for(Duration::from_secs(1));
        taken += &bob.received();
    }
    assert!(taken.len() > 200 * 1024, "it took something all the time: {}", taken.len());
    world.makes_room(&bob, usize::MAX);
    taken += &bob.received();
    assert!(taken.contains("* you read too slowly: goodbye\n"), "but not what was said");
}

#[test]
fn one_who_talks_and_never_reads_loses_nothing_and_is_let_go() {
    let mut world = World::new(&Config { backlog_bytes: 1024 * 1024, ..waiting() });
    let (ana, bob) = (world.connect(), world.connect());
    bob.takes(0);
    let rounds = HOLES_MAX + 200;
    for round in 0..rounds {
        world.says(&ana, format!("a{round}\n"));
        world.says(&bob, format!("b{round}\n"));
    }
    let heard = ana.received().lines().count();
    assert_eq!(heard, HOLES_MAX, "no more is heard of one who has as many own stretches ahead of it as there may be");
    world.makes_room(&bob, usize::MAX);
    let all: String = (0..rounds).map(|round| format!("client-1> a{round}\n")).collect();
    assert_eq!(bob.received(), all, "it lost nothing");
    world.run_for(Duration::from_millis(20));
    assert_eq!(ana.received().lines().count(), 200, "and then the rest was heard");
}

#[test]
fn a_leaver_is_waited_for_as_long_as_anybody_and_no_longer() {
    let mut world = World::new(&waiting());
    let (ana, bob, eve) = (world.connect(), world.connect(), world.connect());
    bob.takes(0);
    world.says(&ana, numbered(0, 10));
    bob.ends();
    world.hub.on_ready(bob.key, READABLE);
    ana.sends(numbered(10, 19_990));
    world.hub.on_ready(ana.key, READABLE);
    // A byte now and then, so that its grace does not end.
    for _ in 0..7 {
        world.makes_room(&bob, 1);
        world.run_for(Duration::from_secs(4));
        assert!(!bob.is_closed());
    }
    let before = eve.received();
    assert!(before.len() <= 64 * 1024);
    world.run_for(Duration::from_secs(4));
    assert!(bob.is_closed());
    assert_eq!(before + &eve.received(), relayed("client-1", 0, 20_000));
}

#[test]
fn while_the_room_waits_nobody_turns_for_nothing() {
    let mut world = World::new(&waiting());
    let (ana, bob) = (world.connect(), world.connect());
    bob.takes(0);
    ana.sends(numbered(0, 20_000));
    world.hub.on_ready(ana.key, READABLE);
    let start = world.now;
    world.run_for(Duration::from_secs(2));
    let Wake::At(time) = world.hub.next_wake() else { panic!("{:?}", world.hub.next_wake()) };
    assert!(time > start + STALL_TIMEOUT - Duration::from_secs(1), "it is the end of its patience that wakes it next");
}

#[test]
fn notices_wait_for_nobody_and_cost_nobody_a_line() {
    let idle_timeout = Some(Duration::from_secs(5));
    let mut world = World::new(&Config { announce_up_to: 10_000, idle_timeout, backlog_bytes: 16 * 1024, ..waiting() });
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&bob, "hello\n");
    ana.received();
    bob.received();
    bob.takes(0);
    ana.sends(numbered(0, 20_000));
    world.hub.on_ready(ana.key, READABLE);
    world.run_for(Duration::from_secs(1));
    // Whom the room does not see come, nor go for having said nothing.
    let guests: Vec<Client> = (0..900).map(|_| world.connect_silently()).collect();
    world.run_for(Duration::from_secs(9));
    assert!(guests.iter().all(Client::is_ended));
    world.makes_room(&bob, 64 * 1024);
    let mut taken = bob.received();
    let all = relayed("client-1", 0, 20_000);
    while taken.lines().filter(|line| !line.starts_with('*')).count() < 20_000 {
        world.makes_room(&bob, 20_000);
        world.run_for(Duration::from_millis(10));
        taken += &bob.received();
        assert!(!taken.contains("missed"));
    }
    let said: String = taken.lines().filter(|line| !line.starts_with('*')).map(|line| format!("{line}\n")).collect();
    assert_eq!(said, all);
}

#[test]
fn one_who_spoke_while_the_room_waited_has_said_something() {
    let mut world = World::new(&Config { idle_timeout: Some(Duration::from_secs(5)), ..waiting() });
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&bob, "hello\n");
    bob.takes(0);
    ana.sends(numbered(0, 20_000));
    world.hub.on_ready(ana.key, READABLE);
    world.run_for(Duration::from_secs(1));
    let eve = world.connect();
    world.says(&eve, "I have been here all the time\n");
    world.run_for(Duration::from_secs(12));
    assert!(!eve.is_ended(), "it is we who did not listen");
    ana.received();
    for _ in 0..2_000 {
        world.makes_room(&bob, 20_000);
        world.run_for(Duration::from_millis(10));
    }
    assert!(ana.received().ends_with("client-3> I have been here all the time\n"));
    world.run_for(Duration::from_secs(60));
    assert!(!eve.is_ended());
}

#[test]
fn a_shutdown_at_the_wall_costs_nobody_a_line() {
    let mut world = World::new(&waiting());
    let (ana, bob) = (world.connect(), world.connect());
    bob.takes(0);
    ana.sends(numbered(0, 20_000));
    world.hub.on_ready(ana.key, READABLE);
    world.run_for(Duration::from_secs(1));
    world.hub.shut_down(world.now);
    world.makes_room(&bob, usize::MAX);
    let received = bob.received();
    assert!(received.contains("* the server is shutting down\n") && received.ends_with("FIN\n"));
    let said: String =
        received.lines().filter(|l| l.starts_with("client-1> ")).map(|line| format!("{line}\n")).collect();
    assert!(said.len() > 48 * 1024 && relayed("client-1", 0, 20_000).starts_with(&said), "{received}");
}

#[test]
fn a_newcomer_who_is_shown_what_was_said_loses_none_of_it() {
    let tight = Config { line_bytes_max: 1_000, history_lines: 1_000_000, ..waiting() };
    let config = Config { backlog_bytes: tight.longest_line_bytes(), ..tight };
    let mut world = World::new(&config);
    let ana = world.connect();
    world.says(&ana, numbered(0, 2_000));
    world.run_for(Duration::from_secs(1));
    let bob = world.connect_silently();
    bob.takes(0);
    bob.sends("\n");
    world.hub.on_ready(bob.key, READABLE);
    // Read in the very turn in which it entered.
    ana.sends(("\u{7f}".repeat(1_000) + "\n").repeat(20));
    world.hub.on_ready(ana.key, READABLE);
    let mut taken = Vec::new();
    for _ in 0..2_000 {
        world.run_for(Duration::from_millis(10));
        world.makes_room(&bob, 100);
        taken.extend(bob.received_bytes());
    }
    let taken = String::from_utf8(taken).unwrap();
    assert!(!taken.contains("missed"), "{taken}");
    assert_eq!(taken.lines().filter(|line| line.ends_with('\u{fffd}')).count(), 20);
}

#[test]
fn the_operators_screen_is_waited_for_and_then_goes_on_with_a_gap() {
    let mut world = World::new(&waiting());
    let screen = world.open_console();
    let (ana, eve): (Client, Client) = (world.connect(), world.connect());
    screen.takes(0);
    ana.sends(numbered(0, 20_000));
    world.hub.on_ready(ana.key, READABLE);
    world.run_for(Duration::from_secs(10));
    assert!(eve.received().len() <= 64 * 1024);
    world.run_for(12 * STALL_TIMEOUT);
    world.makes_room(&screen, usize::MAX);
    assert!(screen.received().contains("* you missed "));
    world.says(&screen, "still here\n");
    assert!(eve.received().ends_with("server> still here\n"));
}

#[test]
fn where_everyone_is_the_audience_nobody_loses_a_line_either() {
    let mut world = World::new(&Config { audience: Audience::Everyone, ..waiting() });
    let (ana, bob) = (world.connect(), world.connect());
    bob.takes(0);
    ana.takes(5_000);
    ana.sends(numbered(0, 20_000));
    world.hub.on_ready(ana.key, READABLE);
    let all = relayed("client-1", 0, 20_000);
    let (mut of_ana, mut of_bob) = (String::new(), String::new());
    while of_ana.len() < all.len() || of_bob.len() < all.len() {
        world.makes_room(&ana, 30_000);
        world.makes_room(&bob, 20_000);
        world.run_for(Duration::from_millis(10));
        of_ana += &ana.received();
        of_bob += &bob.received();
    }
    assert_eq!((of_ana, of_bob), (all.clone(), all));
}

/// A tape of one and a half of the longest lines, a reader of it who takes nothing, and others.
fn tight_world(others: usize) -> (World, Client, Vec<Client>) {
    let config = Config { line_bytes_max: 1_000, ..waiting() };
    let mut world = World::new(&Config { backlog_bytes: config.longest_line_bytes() * 3 / 2, ..config });
    let bob = world.connect();
    let others = (0..others).map(|_| world.connect()).collect();
    bob.takes(0);
    (world, bob, others)
}

/// How many lines one gets in the end who takes a little at a time.
fn lines_taken(world: &mut World, reader: &Client) -> usize {
    let mut taken = Vec::new();
    for _ in 0..1_000 {
        world.run_for(Duration::from_millis(10));
        world.makes_room(reader, 100);
        taken.extend(reader.received_bytes());
    }
    String::from_utf8(taken).unwrap().lines().filter(|line| !line.starts_with('*')).count()
}

#[test]
fn what_one_says_in_a_turn_stops_at_the_wall() {
    let (mut world, bob, others) = tight_world(1);
    // The longest of names; as much as is not yet far behind; and then all of a turn, with the longest of lines at its
    // end.
    world.says(&others[0], format!("/nick {}\n", "𠀀".repeat(24)));
    bob.takes(1_000);
    world.makes_room(&bob, 1_000);
    bob.takes(0);
    world.says(&others[0], "xx\n".repeat(6));
    world.says(&others[0], "xx\n".repeat(12) + &"\u{7f}".repeat(1_000) + "\n");
    assert_eq!(lines_taken(&mut world, &bob), 6 + 12 + 1);
}

#[test]
fn what_many_say_in_a_turn_stops_at_the_wall() {
    let (mut world, bob, others) = tight_world(10);
    world.says(&others[0], "xx\n".repeat(115));
    // Most of the longest of lines is there already, and its end comes last.
    world.says(&others[9], "\u{7f}".repeat(990));
    world.run_for(Duration::from_millis(100));
    for other in &others[..9] {
        other.sends("xx\n".repeat(5));
        world.hub.on_ready(other.key, READABLE);
    }
    others[9].sends("\u{7f}".repeat(10) + "\n");
    world.hub.on_ready(others[9].key, READABLE);
    assert_eq!(lines_taken(&mut world, &bob), 115 + 45 + 1);
}

#[test]
fn one_who_has_left_goes_though_the_room_waits() {
    let mut world = World::new(&waiting());
    let (ana, bob, eve) = (world.connect(), world.connect(), world.connect());
    world.says(&eve, "FIN\n");
    assert!(eve.is_ended() && !eve.is_closed());
    bob.takes(0);
    ana.sends(numbered(0, 20_000));
    world.hub.on_ready(ana.key, READABLE);
    world.run_for(Duration::from_secs(1));
    eve.sends("x".repeat(1_000_000));
    eve.ends();
    world.hub.on_ready(eve.key, READABLE);
    world.run();
    assert!(eve.is_closed(), "its end was read");
}

/// Lets the time pass as the hub wishes, and has no turn but those that it asks for; tells whether it asks for no more.
fn wait_for_hub(world: &mut World, pause: Duration) -> bool {
    let end = world.now + pause;
    loop {
        match world.hub.next_wake() {
            Wake::OnEvent => return true,
            Wake::At(time) if time >= end => return false,
            Wake::At(time) => world.now = world.now.max(time),
            Wake::Now => {}
        }
        world.turn();
    }
}

#[test]
fn the_room_goes_on_at_once_when_a_leaver_that_it_waited_for_is_given_up() {
    for drips in [false, true] {
        let mut world = World::new(&waiting());
        let (ana, bob, eve) = (world.connect(), world.connect(), world.connect());
        bob.takes(0);
        world.says(&ana, numbered(0, 10));
        world.says(&bob, "FIN\n");
        ana.sends(numbered(10, 19_990));
        world.hub.on_ready(ana.key, READABLE);
        // Its grace is over after a while; or it is not, and it has stalled.
        for _ in 0..(if drips { 7 } else { 0 }) {
            world.makes_room(&bob, 1);
            wait_for_hub(&mut world, Duration::from_secs(4));
            assert!(!bob.is_closed());
        }
        wait_for_hub(&mut world, Duration::from_secs(6));
        assert!(bob.is_closed());
        // No event comes: nobody has anything more to say, and all that is said is taken.
        assert_eq!(eve.received(), relayed("client-1", 0, 20_000), "it drips: {drips}");
    }
}

#[test]
fn one_who_fell_behind_twice_in_a_moment_is_let_go_once() {
    let mut world = World::new(&waiting());
    let (ana, bob) = (world.connect(), world.connect());
    for _ in 0..2 {
        bob.takes(0);
        world.says(&ana, "a line\n");
        world.makes_room(&bob, 1_000);
        assert_eq!(bob.received(), "client-1> a line\n");
    }
    bob.takes(0);
    world.says(&ana, "a line\n");
    world.now += STALL_TIMEOUT;
    world.run();
    assert!(!bob.is_closed(), "it is owed its last words");
    world.makes_room(&bob, 1_000);
    assert!(bob.received().ends_with("* you read too slowly: goodbye\n* you missed 1 line\nFIN\n"));
}
