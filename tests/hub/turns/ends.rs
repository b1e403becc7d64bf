//! Ends of connections: what a leaver still gets, how long it has for that, and the shutdown.

use super::*;

#[test]
fn an_orderly_end_closes_a_fragment_and_a_reset_drops_it() {
    let mut world = World::new(&quiet());
    let (ana, bob, eva) = (world.connect(), world.connect(), world.connect());
    bob.sends("whole\nfragment");
    bob.ends();
    world.hub.on_ready(bob.key, READABLE);
    world.run();
    assert_eq!(ana.received(), "client-2> whole\nclient-2> fragment\n");
    assert_eq!(bob.received(), "FIN\n");
    eva.sends("whole\nfragment");
    eva.resets();
    world.hub.on_ready(eva.key, READABLE);
    world.run();
    assert_eq!(ana.received(), "client-3> whole\n");
    assert!(eva.is_closed());
}

#[test]
fn after_a_failed_write_input_is_heard_to_its_end_which_counts_as_a_reset() {
    let mut world = World::new(&Config::default());
    let (ana, bob) = (world.connect_and_settle(), world.connect_and_settle());
    ana.received();
    bob.sends("last words\nfragment");
    bob.ends();
    bob.peer.borrow_mut().write_error = Some(ErrorKind::ConnectionReset);
    // No event for reading comes: the failed write alone must lead to it.
    world.says(&ana, "hello\n");
    assert_eq!(ana.received(), "client-2> last words\n* client-2 left\n");
    assert!(bob.is_closed());
}

#[test]
fn a_leaver_gets_all_that_was_said_before_and_then_the_farewell() {
    for first in 0..40 {
        let mut world = World::new(&quiet());
        let (ana, bob) = (world.connect(), world.connect());
        bob.takes(first);
        world.says(&ana, "one\ntwo\n");
        world.says(&bob, "FIN\nnot said\n");
        world.says(&ana, "too late\n");
        let mut received = bob.received();
        for _ in 0..40 {
            world.makes_room(&bob, 1);
            received += &bob.received();
        }
        assert_eq!(received, "client-1> one\nclient-1> two\nFIN\n", "cut at {first}");
        assert!(bob.is_ended());
        assert_eq!(ana.received(), "");
        bob.ends();
        world.hub.on_ready(bob.key, READABLE);
        world.run();
        assert!(bob.is_closed());
    }
}

#[test]
fn who_leaves_and_takes_nothing_is_given_up_and_who_takes_something_is_not() {
    let mut world = World::new(&quiet());
    let (ana, mute, slow) = (world.connect(), world.connect(), world.connect());
    mute.takes(0);
    slow.takes(0);
    world.says(&ana, "hello there\n");
    world.says(&mute, "FIN\n");
    world.says(&slow, "FIN\n");
    world.now += GRACE / 2;
    world.makes_room(&slow, 1);
    world.now += GRACE / 2;
    world.run();
    assert!(mute.is_closed());
    assert!(!slow.is_closed());
    world.now += GRACE / 2;
    world.run();
    assert!(slow.is_closed());
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn who_takes_something_when_its_grace_is_just_over_has_a_new_one() {
    let mut world = World::new(&quiet());
    let (ana, leaver) = (world.connect(), world.connect());
    leaver.takes(0);
    world.says(&ana, "hello there\n");
    world.says(&leaver, "FIN\n");
    // The loop was late: the socket took something in time, and the turn comes after the deadline.
    world.now += GRACE * 2;
    world.makes_room(&leaver, usize::MAX);
    assert_eq!(leaver.received(), "client-1> hello there\nFIN\n");
    assert!(!leaver.is_closed());
}

#[test]
fn who_was_told_all_and_never_ends_is_given_up() {
    let mut world = World::new(&quiet());
    let ana = world.connect();
    world.says(&ana, "FIN\n");
    assert_eq!(ana.received(), "FIN\n");
    // It goes on sending: that is read and dropped, or the close would become a reset.
    world.says(&ana, "still here\n");
    assert!(ana.peer.borrow().incoming.is_empty());
    assert!(!ana.is_closed());
    assert_eq!(world.hub.next_wake(), Wake::At(world.now + GRACE));
    world.now += GRACE;
    world.run();
    assert!(ana.is_closed());
}

#[test]
fn a_shutdown_tells_all_and_lets_them_go_with_what_they_are_owed() {
    let mut world = World::new(&Config::default());
    let (ana, bob) = (world.connect_and_settle(), world.connect_and_settle());
    ana.received();
    bob.takes(3);
    world.says(&ana, "before\n");
    world.hub.shut_down(world.now);
    world.says(&ana, "after\n");
    assert_eq!(ana.received(), "* the server is shutting down\nFIN\n");
    let early = bob.received();
    world.makes_room(&bob, usize::MAX);
    assert_eq!(early + &bob.received(), "client-1> before\n* the server is shutting down\nFIN\n");
    for client in [&ana, &bob] {
        client.ends();
        world.hub.on_ready(client.key, READABLE);
    }
    world.run();
    assert_eq!(world.hub.connections(), 0);
}

#[test]
fn leavers_who_take_nothing_do_not_use_up_the_house() {
    let mut world = World::new(&Config { clients_max: Some(3), ..quiet() });
    for _ in 0..5 {
        let leaver = world.connect();
        leaver.takes(0);
        world.says(&leaver, "FIN\n");
    }
    let refused = world.knock();
    assert_eq!(refused.received(), "* the server is full (3 clients)\nFIN\n");
}
