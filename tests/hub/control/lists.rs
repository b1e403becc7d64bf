//! Answers that are long: they come in parts, as the operator takes them.

use pollchat::server::limits::ROWS_MAX;

use super::*;

/// Members, a few more than two parts of a list hold.
const MEMBERS: usize = 2 * ROWS_MAX + 50;

fn crowd() -> (World, Vec<Client>) {
    let mut world = world(&quiet());
    let members = (0..MEMBERS).map(|_| world.connect()).collect();
    (world, members)
}

#[test]
fn a_list_comes_in_parts_and_each_member_is_in_it_once() {
    let (mut world, _members) = crowd();
    let operator = operator(&mut world);
    operator.sends("who\njson who -a\nnonsense\n");
    world.hub.on_ready(operator.key, READABLE);
    let mut received = String::new();
    while !received.ends_with(UNKNOWN) {
        world.turn();
        let part = operator.received();
        assert!(part.lines().count() <= ROWS_MAX + 2, "{} rows in a turn", part.lines().count());
        received += &part;
    }
    let mut answers = received.split("ok\n");
    let people: Vec<&str> = answers.next().unwrap().lines().collect();
    assert_eq!(people.len(), MEMBERS);
    for (at, row) in people.iter().enumerate() {
        assert!(row.starts_with(&format!("= client-{} ", at + 1)), "{row}");
    }
    let objects: Vec<&str> = answers.next().unwrap().lines().collect();
    assert_eq!(objects.len(), MEMBERS);
    for (at, row) in objects.iter().enumerate() {
        let object: serde_json::Value = serde_json::from_str(row.strip_prefix("= ").unwrap()).unwrap();
        assert_eq!(object["name"], format!("client-{}", at + 1));
        assert_eq!(object["address"], "127.0.0.1:1");
    }
    assert_eq!(answers.next(), Some(UNKNOWN));
}

#[test]
fn an_operator_that_takes_no_list_keeps_a_part_of_it_and_delays_no_client() {
    let (mut world, members) = crowd();
    let operator = operator(&mut world);
    operator.takes(0);
    world.says(&operator, "who\nnonsense\n");
    // The list goes on behind the last row that was told, whatever has changed meanwhile.
    world.says(&members[MEMBERS - 1], "FIN\n");
    world.says(&members[3], "hello\n");
    assert_eq!(members[4].received(), "client-4> hello\n");
    assert_eq!(world.hub.next_wake(), Wake::At(world.now + pollchat::server::limits::GRACE));
    operator.takes(usize::MAX);
    world.hub.on_ready(operator.key, crate::support::hub::WRITABLE);
    world.turn();
    assert_eq!(operator.received().lines().count(), ROWS_MAX);
    world.run();
    let rest = operator.received();
    assert_eq!(rest.lines().count(), MEMBERS - 1 - ROWS_MAX + 2);
    assert!(rest.ends_with(&format!("\nok\n{UNKNOWN}")));
}

#[test]
fn a_list_that_the_shutdown_cuts_has_an_end() {
    let (mut world, members) = crowd();
    let operator = operator(&mut world);
    operator.takes(0);
    world.says(&operator, "who\n");
    world.hub.shut_down(world.now);
    world.run();
    world.makes_room(&operator, usize::MAX);
    let received = operator.received();
    assert_eq!(received.lines().count(), ROWS_MAX + 1);
    assert!(received.ends_with("\nno the server stops\n"));
    assert!(operator.is_ended());
    drop(members);
}
