//! The brake: what floods may say in a turn, and that persons are heard all the same.

use super::*;

#[test]
fn under_the_brake_a_flood_is_rationed_and_nothing_of_it_is_lost() {
    let mut world = World::new(&quiet());
    let (flooder, reader, person) = (world.connect(), world.connect(), world.connect());
    let line = "x".repeat(989) + "\n";
    let flood = line.repeat(1_000);
    reader.takes(0);
    world.says(&flooder, flood.repeat(2));
    // More than 64 KiB behind: from now on at most that much in 10 ms, and most of it for those who had little.
    let before = person.received().len();
    assert!(before > 64 * 1024);
    assert!(matches!(world.hub.next_wake(), Wake::At(_)), "the flooder waits for the next period");
    world.now += Duration::from_millis(10);
    world.run();
    let in_a_period = person.received().len();
    assert!((40 * 1024..=64 * 1024).contains(&in_a_period), "{in_a_period}");
    // A person who had nothing in this period is heard at once.
    world.says(&person, "a word\n");
    assert!(flooder.received().ends_with("client-3> a word\n"));
    // Time passes; the reader takes what it is owed. Nothing is missing.
    let mut received = String::new();
    for _ in 0..100 {
        world.run_on();
        world.makes_room(&reader, usize::MAX);
        received += &reader.received();
    }
    assert_eq!(received.lines().filter(|line| line.starts_with("client-1> xxx")).count(), 2_000);
    assert_eq!(received.lines().count(), 2_001);
    assert_eq!(world.hub.next_wake(), Wake::OnEvent);
}

#[test]
fn under_the_brake_all_floods_have_about_the_same() {
    let mut world = World::new(&quiet());
    let (reader, listener) = (world.connect(), world.connect());
    let flooders: Vec<Client> = (0..50).map(|_| world.connect()).collect();
    reader.takes(0);
    for flooder in &flooders {
        flooder.sends(format!("{}\n", "y".repeat(1_000)).repeat(1_000));
        world.hub.on_ready(flooder.key, READABLE);
    }
    let mut heard = String::new();
    for _ in 0..100 {
        world.run();
        heard += &listener.received();
        world.now += Duration::from_millis(10);
    }
    let lines = |number: usize| heard.matches(&format!("client-{number}> ")).count();
    let (least, most) = ((3..53).map(lines).min().unwrap(), (3..53).map(lines).max().unwrap());
    assert!(most < 2 * least, "from {least} to {most} lines");
}

#[test]
fn where_many_hear_it_less_is_said_in_a_turn() {
    let mut world = World::new(&quiet());
    let (flood, bob) = (world.connect(), world.connect());
    let said_in_a_turn = |world: &mut World| {
        flood.sends(format!("{}\n", "x".repeat(99)).repeat(600));
        world.hub.on_ready(flood.key, READABLE);
        world.turn();
        let said = bob.received().len();
        world.run();
        bob.received();
        said
    };
    // As much as is read of one at a time.
    assert!(said_in_a_turn(&mut world) >= 60_000);
    let others: Vec<Client> = (0..254).map(|_| world.connect()).collect();
    let said = said_in_a_turn(&mut world);
    assert!((32 * 1024..33 * 1024).contains(&said), "{said} bytes were written to each of 256");
    let _more: Vec<Client> = (0..700).map(|_| world.connect()).collect();
    let said = said_in_a_turn(&mut world);
    assert!((16 * 1024..17 * 1024).contains(&said), "{said} bytes were written to each of 956");
    assert_eq!(others[0].received().len(), others[1].received().len());
}

#[test]
fn under_the_brake_a_person_is_heard_again_and_again() {
    let mut world = World::new(&quiet());
    let (reader, person, listener) = (world.connect(), world.connect(), world.connect());
    let flooders: Vec<Client> = (0..40).map(|_| world.connect()).collect();
    reader.takes(0);
    for flooder in &flooders {
        flooder.sends(format!("{}\n", "y".repeat(1_000)).repeat(2_000));
        world.hub.on_ready(flooder.key, READABLE);
    }
    for _ in 0..10 {
        world.run();
        world.now += Duration::from_millis(10);
    }
    world.run();
    listener.received();
    for round in 0..20 {
        // No time passes: all of this is within one period, which the floods have used up.
        world.says(&person, format!("word {round}\n"));
        assert!(listener.received().ends_with(&format!("client-2> word {round}\n")), "{round}");
    }
}

#[test]
fn under_the_brake_two_who_answer_each_other_at_once_are_not_held() {
    let mut world = World::new(&quiet());
    let (reader, ana, bob) = (world.connect(), world.connect(), world.connect());
    let flooders: Vec<Client> = (0..40).map(|_| world.connect()).collect();
    reader.takes(0);
    for flooder in &flooders {
        flooder.sends(format!("{}\n", "y".repeat(1_000)).repeat(2_000));
        world.hub.on_ready(flooder.key, READABLE);
    }
    let text = "z".repeat(40);
    for _ in 0..10 {
        world.run();
        world.now += Duration::from_millis(10);
    }
    ana.received();
    bob.received();
    for period in 0..20 {
        world.run();
        // More than a person says, and together less than what floods leave: each is heard within the period.
        for trip in 0..60 {
            world.says(&ana, format!("{text}\n"));
            assert!(bob.received().ends_with(&format!("client-2> {text}\n")), "{period}: {trip}");
            world.says(&bob, format!("{text}\n"));
            assert!(ana.received().ends_with(&format!("client-3> {text}\n")), "{period}: {trip}");
        }
        world.now += Duration::from_millis(10);
    }
}

#[test]
fn under_the_brake_what_one_said_long_ago_does_not_count() {
    let mut world = World::new(&quiet());
    let (reader, person, listener) = (world.connect(), world.connect(), world.connect());
    let flooders: Vec<Client> = (0..40).map(|_| world.connect()).collect();
    world.says(&person, format!("{}\n", "x".repeat(1_000)).repeat(20));
    // A quiet minute, in which there is no turn at all.
    world.now += Duration::from_secs(60);
    reader.takes(0);
    for flooder in &flooders {
        flooder.sends(format!("{}\n", "y".repeat(1_000)).repeat(2_000));
        world.hub.on_ready(flooder.key, READABLE);
    }
    for _ in 0..10 {
        world.run();
        world.now += Duration::from_millis(10);
    }
    world.run();
    listener.received();
    world.says(&person, "a word\n");
    assert!(listener.received().ends_with("client-2> a word\n"));
}

#[test]
fn under_the_brake_a_flood_in_small_helpings_is_a_flood() {
    let mut world = World::new(&quiet());
    let (reader, sly, listener) = (world.connect(), world.connect(), world.connect());
    reader.takes(0);
    world.says(&sly, format!("{}\n", "y".repeat(1_000)).repeat(200));
    world.run_on();
    // What it did before is forgotten after a while.
    for _ in 0..100 {
        world.now += Duration::from_millis(10);
        world.run();
    }
    listener.received();
    let helping = format!("{}\n", "z".repeat(900));
    for period in 0..50 {
        // It begins as one who is busy, and never has more to say than was heard of it; no line of it is much.
        let mut heard = 0;
        for _ in 0..if period == 0 { 2 } else { 100 } {
            world.says(&sly, &helping);
            match listener.received().len() {
                0 => break,
                bytes => heard += bytes,
            }
        }
        assert!(heard < 45 * 1024, "{period}: {heard} bytes in a period");
        world.now += Duration::from_millis(10);
        world.run();
        listener.received();
    }
}

#[test]
fn under_the_brake_a_reader_that_catches_up_frees_the_talkers_at_once() {
    let mut world = World::new(&quiet());
    let (flooder, reader, listener) = (world.connect(), world.connect(), world.connect());
    reader.takes(0);
    let line = "x".repeat(999) + "\n";
    world.says(&flooder, line.repeat(200));
    assert!(listener.received().len() < 200 * 1_000, "it is held");
    // No time passes, and nothing is said: only the reader takes what it is owed.
    world.makes_room(&reader, usize::MAX);
    assert_eq!(reader.received().lines().count(), 200);
}
