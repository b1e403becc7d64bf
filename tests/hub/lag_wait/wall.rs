//! Input that is processed although the room waits for a slow reader.

use super::*;

/// A room that waits for a reader that takes nothing: the console, the reader, and a flood that waits.
fn world_at_the_wall() -> (World, Client, Client, Client) {
    let mut world = World::new(&waiting());
    let console = world.open_console();
    let (bob, flood) = (world.connect(), world.connect());
    bob.takes(0);
    flood.sends(numbered(0, 20_000));
    world.hub.on_ready(flood.key, READABLE);
    world.run_for(Duration::from_secs(1));
    console.received();
    (world, console, bob, flood)
}

#[test]
fn while_the_room_waits_the_operator_can_remove_the_reader_that_it_waits_for() {
    let (mut world, console, bob, _flood) = world_at_the_wall();
    world.says(&console, "/kick client-1\r\n/who\n");
    let received = console.received();
    assert!(received.starts_with("* client-1 was removed\n"), "{received}");
    assert!(received.contains("* 2 here\n"), "{received}");
    world.run_for(Duration::from_secs(1));
    // All that was held up is said.
    let received = received + &console.received();
    assert!(received.ends_with("client-2> line 19999\n"));
    world.makes_room(&bob, usize::MAX);
    let received = bob.received();
    assert!(received.starts_with("* you were removed by the operator\n") && received.ends_with("FIN\n"), "{received}");
}

#[test]
fn while_the_room_waits_what_the_operator_says_waits_too_and_so_does_a_command_behind_it() {
    let (mut world, console, _bob, _flood) = world_at_the_wall();
    world.says(&console, "/help\nhello\n/kick client-2\n");
    let received = console.received();
    assert!(received.contains("/kick") && !received.contains("hello"), "{received}");
    assert!(!received.contains("was removed"), "{received}");
    assert!(matches!(world.hub.next_wake(), Wake::At(_)), "it does not turn for nothing");
    world.run_for(2 * STALL_TIMEOUT);
    let received = console.received();
    assert!(received.contains("* client-2 was removed\n"), "{received}");
}

#[test]
fn while_the_room_waits_a_client_that_has_nothing_to_say_can_leave() {
    let (mut world, console, _bob, _flood) = world_at_the_wall();
    let (word, end, partial) = (world.connect(), world.connect(), world.connect());
    world.says(&partial, "hel");
    for client in [&word, &end, &partial] {
        client.received();
    }
    world.says(&word, "FIN\n");
    end.ends();
    partial.ends();
    world.hub.on_ready(end.key, READABLE);
    world.hub.on_ready(partial.key, READABLE);
    world.run();
    assert!(word.is_ended() && end.is_ended());
    assert!(!partial.is_ended(), "what it said last is to be said first");
    world.says(&console, "/who\n");
    assert!(console.received().contains("* 4 here\n"));
    assert!(matches!(world.hub.next_wake(), Wake::At(_)), "it does not turn for nothing");
    world.run_for(2 * STALL_TIMEOUT);
    assert!(console.received().contains("client-5> hel\n"));
    assert!(partial.is_ended());
}

#[test]
fn while_the_room_waits_a_client_is_answered_up_to_its_next_line_for_the_room() {
    let (mut world, _console, _bob, _flood) = world_at_the_wall();
    let ana = world.connect();
    ana.received();
    world.says(&ana, "\n/who\n/help\n/nick ana\n/who\n");
    let received = ana.received();
    assert_eq!(received.matches("* 4 here\n").count(), 1, "{received}");
    assert!(received.contains("/msg NAME") && !received.contains("client-3 is now"), "{received}");
    assert!(matches!(world.hub.next_wake(), Wake::At(_)), "it does not turn for nothing");
    world.run_for(2 * STALL_TIMEOUT);
    assert!(ana.received().contains("* client-3 is now ana\n"));
}

#[test]
fn while_the_room_waits_a_reset_is_noticed() {
    let (mut world, console, _bob, flood) = world_at_the_wall();
    flood.peer.borrow_mut().error = Some(ErrorKind::ConnectionReset);
    world.hub.on_ready(flood.key, Readiness { readable: true, writable: true });
    world.hub.on_error(flood.key);
    world.run();
    assert!(flood.is_closed());
    world.says(&console, "/who\n");
    assert!(console.received().contains("* 2 here\n"));
}

#[test]
fn an_error_that_is_reported_of_a_connection_that_has_none_is_harmless() {
    let (mut world, console, _bob, flood) = world_at_the_wall();
    for key in [flood.key, console.key, 99] {
        world.hub.on_error(key);
    }
    world.run();
    world.says(&console, "/who\n");
    assert!(console.received().contains("* 3 here\n"));
}

#[test]
fn a_reset_behind_unread_lines_ends_no_client_that_is_read() {
    let mut world = World::new(&waiting());
    let (ana, bob) = (world.connect(), world.connect());
    ana.sends("last words\n");
    ana.resets();
    world.hub.on_ready(ana.key, Readiness { readable: true, writable: true });
    world.hub.on_error(ana.key);
    world.run();
    assert_eq!(bob.received(), "client-1> last words\n");
    assert!(ana.is_closed());
}

#[test]
fn a_held_member_that_is_removed_is_read_to_its_end_while_the_room_waits() {
    let (mut world, console, bob, flood) = world_at_the_wall();
    let last_words = "/who\n".repeat(3);
    let ana = world.connect();
    world.says(&ana, format!("{last_words}hello\n{last_words}"));
    assert_eq!(ana.received().matches(" here\n").count(), 3, "up to its first line for the room");
    world.says(&console, "/kick client-2\n");
    flood.peer.borrow_mut().incoming.clear();
    flood.ends();
    world.hub.on_ready(flood.key, READABLE);
    world.run();
    assert!(flood.is_closed() && !bob.is_closed());
    assert_eq!(ana.received(), "");
    world.makes_room(&bob, usize::MAX);
    world.run_on();
    assert_eq!(ana.received().matches(" here\n").count(), 3);
}
