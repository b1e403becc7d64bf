//! Names and numbers on which servers do not agree.

use super::*;

#[test]
fn of_its_own_members_a_server_knows_best_which_has_a_name() {
    let mut reader = three();
    reader.reads(B, &["+ 1002 lobby", "c 1001 0 ana", "n 1001 ana", "s 1 50 fox", "m 1002 0 0 1 lobby ana", ". 3 1-0"]);
    assert_eq!(
        (reader.who("lobby"), reader.elsewhere.find("ana")),
        (vec!["ana".into(), "client-2001".into()], Some(1_002))
    );
}

#[test]
fn of_two_that_hold_one_name_the_larger_number_loses_it_when_both_servers_insist() {
    for (own, holder, effect) in [(A, 1, Effect::None), (C, 2_001, Effect::Lost { number: 2_001 })] {
        let mut reader = three();
        reader.elsewhere.own = own;
        reader.reads(own, &[&format!("c {holder} 0 ana"), &format!("n {holder} ana")]);
        let snapshot = ["s 1 50 fox", "m 1001 0 0 1 lobby ana"];
        assert_eq!(reader.reads(B, &snapshot), Effect::None, "its server may not know yet that it has lost the name");
        assert_eq!(reader.elsewhere.take_disputed(), [B].into());
        assert_eq!(reader.reads(B, &snapshot), effect);
    }
}

#[test]
fn a_name_that_is_given_twice_is_asked_for_at_the_server_of_the_one_that_loses_it() {
    let mut reader = three();
    reader.reads(B, &["c 1001 0 ana"]);
    reader.reads(C, &["c 2001 0 ana", "n 2001 ana"]);
    reader.reads(B, &["n 1001 ana"]);
    assert_eq!(reader.elsewhere.take_disputed(), [C].into());
    reader.reads(C, &["c 2001 1 ana", "n 2001 ana"]);
    assert!(reader.elsewhere.take_disputed().is_empty(), "an owner takes it");
}

#[test]
fn a_number_that_two_servers_have_given_is_asked_for_when_it_is_free() {
    let mut reader = three();
    reader.reads(C, &["+ 1001 rust"]);
    assert!(reader.elsewhere.take_disputed().is_empty());
    reader.reads(B, &["- 1001"]);
    assert_eq!(reader.elsewhere.take_disputed(), [C].into());
}

#[test]
fn a_name_that_was_taken_while_its_server_was_gone_stays_with_its_new_holder() {
    let mut reader = three();
    reader.reads(A, &["c 1 0 ana", "n 1 ana"]);
    reader.reads(B, &["g 000000000000000a", "c 1001 0 ana", "n 1001 ana"]);
    reader.reads(A, &["h 1 50 fox", "s 1 50 fox"]);
    assert_eq!(reader.reads(A, &["m 1 0 0 1 lobby ana"]), Effect::Lost { number: 1 });
    assert!(reader.elsewhere.is_held(&name("ana")));
}
