//! The operator is one more participant, and can remove the others.

use super::*;

#[test]
fn the_operator_is_one_more_participant_with_the_first_client_still_client_1() {
    let mut world = World::new(&Config::default());
    let console = world.open_console();
    let (ana, bob) = (world.connect_and_settle(), world.connect_and_settle());
    assert_eq!(console.received(), "* client-1 joined\n* client-2 joined\n");
    ana.received();
    world.says(&console, "welcome\n");
    world.says(&ana, "hello\n");
    assert_eq!(ana.received(), "server> welcome\n");
    assert_eq!(bob.received(), "server> welcome\nclient-1> hello\n");
    assert_eq!(console.received(), "client-1> hello\n");
    world.says(&bob, "/nick Server\n/msg server psst\n/who\n/kick client-1\n");
    let expected = "* the name Server is taken\n* you told server: psst\n* here: server, 1 line, 0 min\n\
        * here: client-1, 1 line, 0 min\n* here: client-2, 0 lines, 0 min\n* 3 here\n\
        * there is no command /kick; /help lists what you can do\n";
    assert_eq!(bob.received(), expected);
    assert_eq!(console.received(), "* client-2 tells you: psst\n");
    world.says(&console, "/nick boss\n/msg client-2 hush\n");
    assert_eq!(console.received(), "* you are server, and nobody else\n* you told client-2: hush\n");
    assert_eq!(bob.received(), "* server tells you: hush\n");
}

#[test]
fn the_operator_takes_no_clients_seat_and_is_not_counted_where_clients_are() {
    let mut world = World::new(&Config { clients_max: Some(1), announce_up_to: 1, ..Config::default() });
    let console = world.open_console();
    let ana = world.connect_and_settle();
    assert_eq!(console.received(), "* client-1 joined\n", "one client is present, not two");
    let refused = world.knock();
    assert_eq!(refused.received(), "* the server is full (1 client)\nFIN\n");
    // Those who leave and take nothing use up the house as they do without an operator, and no earlier.
    ana.takes(0);
    world.says(&ana, "FIN\n");
    for _ in 0..2 {
        let next = world.connect();
        next.takes(0);
        world.says(&next, "FIN\n");
    }
    let refused = world.knock();
    assert_eq!(refused.received(), "* the server is full (1 client)\nFIN\n");
}

#[test]
fn what_the_operator_pastes_is_held_by_the_brake_and_none_of_it_is_lost() {
    let mut world = World::new(&quiet());
    let console = world.open_console();
    let (slow, healthy) = (world.connect(), world.connect());
    slow.takes(0);
    world.says(&console, format!("{}\n", "x".repeat(999)).repeat(5_000));
    let mut lines = healthy.received().lines().count();
    assert!(lines < 400, "{lines} lines in one period");
    for _ in 0..1_000 {
        world.run();
        lines += healthy.received().lines().count();
        let Wake::At(time) = world.hub.next_wake() else { break };
        world.now = time;
        world.makes_room(&slow, 200_000);
    }
    assert_eq!(lines, 5_000);
    world.makes_room(&slow, usize::MAX);
    assert_eq!(slow.received().lines().count(), 5_000);
}

#[test]
fn a_stuck_screen_is_overtaken_and_told_of_it_and_the_operator_can_still_act() {
    for lag in [Lag::Skip, Lag::Disconnect] {
        let mut world = World::new(&Config { backlog_bytes: 100_000, lag, ..quiet() });
        let console = world.open_console();
        let (ana, bob) = (world.connect(), world.connect());
        console.takes(0);
        ana.sends("0123456789\n".repeat(50_000));
        world.hub.on_ready(ana.key, READABLE);
        world.run_on();
        // It is waited for as long as it keeps up, and not when it has been overtaken.
        assert_eq!(bob.received().lines().count(), 50_000);
        world.says(&console, "I cannot see you\n/kick client-1\n");
        assert_eq!(bob.received(), "server> I cannot see you\n");
        assert!(ana.is_ended());
        world.makes_room(&console, usize::MAX);
        let shown = console.received();
        let missed = shown.lines().find_map(|line| line.strip_prefix("* you missed ")?.strip_suffix(" lines"));
        let seen = shown.lines().filter(|line| line.starts_with("client-1> ")).count();
        assert_eq!(seen + missed.unwrap().parse::<usize>().unwrap(), 50_000);
        assert!(shown.contains("* client-1 was removed\n"));
        world.says(&bob, "there you are\n");
        assert_eq!(console.received(), "client-2> there you are\n");
    }
}

#[test]
fn the_end_of_the_console_is_the_end_of_nobody_else() {
    let mut world = World::new(&Config::default());
    let console = world.open_console();
    let ana = world.connect();
    console.received();
    console.sends("back soon");
    console.ends();
    world.hub.on_ready(console.key, READABLE);
    world.run();
    assert_eq!(ana.received(), "server> back soon\n* server left\n");
    assert_eq!(console.received(), "FIN\n");
    assert!(console.is_closed());
    assert_eq!((world.hub.console(), world.hub.is_stop_wanted()), (None, false));
    // The heir of its key is a client like any other.
    let bob = world.connect();
    assert_eq!(bob.key, console.key);
    world.says(&bob, "/kick client-1\n/msg server hi\n/nick server\n");
    let expected = "* there is no command /kick; /help lists what you can do\n* nobody here is called server\n\
        * the name server is taken\n";
    assert_eq!(bob.received(), expected);
}

#[test]
fn after_the_operators_farewell_nobody_is_heard() {
    for farewell in ["FIN\n", "exit\r\n", "/quit now\n"] {
        let mut world = World::new(&quiet());
        let console = world.open_console();
        let ana = world.connect();
        console.sends(format!("goodbye\n{farewell}not said\n"));
        ana.sends("too late\n");
        world.hub.on_ready(console.key, READABLE);
        world.hub.on_ready(ana.key, READABLE);
        world.hub.react(world.now);
        assert!(world.hub.is_stop_wanted());
        world.hub.shut_down(world.now);
        world.run();
        assert_eq!(ana.received(), "server> goodbye\n* the server is shutting down\nFIN\n");
        assert_eq!(console.received(), "* the server is shutting down\nFIN\n");
    }
}

#[test]
fn who_is_removed_is_told_so_and_has_what_was_said_before() {
    let mut world = World::new(&Config::default());
    let console = world.open_console();
    let (ana, bob) = (world.connect(), world.connect());
    world.says(&ana, "/nick Ana\n");
    for client in [&ana, &bob, &console] {
        client.received();
    }
    // It is sending, and goes on sending.
    ana.sends("one\n".repeat(10));
    world.says(&console, "goodbye, Ana\n");
    world.says(&console, "/kick aNA\n");
    assert_eq!(ana.received(), "server> goodbye, Ana\n* you were removed by the operator\nFIN\n");
    assert_eq!(console.received(), "* Ana was removed\n");
    assert_eq!(bob.received(), "server> goodbye, Ana\n* Ana was removed\n");
    assert!(ana.is_ended() && !ana.is_closed());
    world.says(&ana, "two\n".repeat(100_000));
    assert!(ana.peer.borrow().incoming.is_empty(), "its input is read, and dropped");
    ana.ends();
    world.hub.on_ready(ana.key, READABLE);
    world.run();
    assert!(ana.is_closed());
    assert_eq!(bob.received(), "");
    world.says(&bob, "/nick ana\n");
    assert_eq!(bob.received(), "* client-2 is now ana\n");
}

#[test]
fn who_takes_nothing_cannot_make_its_removal_last() {
    let mut world = World::new(&quiet());
    let console = world.open_console();
    let (ana, mute) = (world.connect(), world.connect());
    mute.takes(0);
    world.says(&ana, "0123456789\n".repeat(1_000));
    world.says(&console, "/kick client-2\n");
    world.makes_room(&mute, usize::MAX);
    assert_eq!(mute.received(), "* you were removed by the operator\n* you missed 1000 lines\nFIN\n");
}

#[test]
fn what_cannot_be_removed_is_said() {
    let mut world = World::new(&quiet());
    let console = world.open_console();
    world.connect();
    world.says(&console, "/kick\n/kick nobody\n/kick server\n/kick client-0\n/kick client-2\n");
    let expected = "* /kick NAME [REASON]: remove NAME\n* nobody here is called nobody\n\
        * server is the console, and stays; stop ends the server\n* nobody here is called client-0\n* nobody here is called client-2\n";
    assert_eq!(console.received(), expected);
}
