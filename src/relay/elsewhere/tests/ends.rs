//! Ends of servers: which of the others tells the rooms, and what of.

use super::*;

fn departed(number: u64) -> Departed {
    Departed { number, name: format!("client-{number}"), room: Name::of_lobby() }
}

#[test]
fn the_rooms_are_told_of_a_server_that_is_gone_by_the_smallest_of_those_that_are_left() {
    let told = |number: u64, name: &str| Departed { number, name: name.into(), room: super::Name::of_lobby() };
    let mut readers = [A, B].map(|own| {
        let mut reader = three();
        reader.elsewhere.own = own;
        reader.reads(C, &["t 2001", "c 2001 0 ana", "n 2001 ana", "+ 2002 lobby", "+ 2003 rust", "t 2003"]);
        reader
    });
    let gone = "g 000000000000000c";
    let effects = readers.each_mut().map(|reader| reader.reads(B, &[gone]));
    assert_eq!(
        effects[0],
        Effect::Gone { server: C, told: vec![told(2_001, "ana")] },
        "of `rust` there is nobody left"
    );
    assert_eq!(effects[1], Effect::Gone { server: C, told: vec![] });
    for reader in &mut readers {
        let again = reader.reads(A, &[gone]);
        assert_eq!(again, Effect::Gone { server: C, told: vec![] }, "told once");
        reader.reads(C, &["+ 2004 lobby", "n 2004 zoe", "s 1 50 fox", "m 2005 0 0 1 lobby", ". 3 1-0"]);
        assert!(!reader.elsewhere.has(C), "until its next hello");
        reader.reads(C, &["h 1 50 fox", "+ 2006 lobby"]);
        assert!(reader.elsewhere.has(C) && reader.elsewhere.find("client-2006").is_some());
    }
}

#[test]
fn a_server_that_does_not_know_the_members_of_another_does_not_tell_that_they_have_left() {
    let told = Effect::Gone { server: C, told: vec![departed(2_001)] };
    let untold = Effect::Gone { server: C, told: vec![] };
    // A has come in the place of C, which had crashed. Then C answers it with a snapshot, whole or not.
    for (events, by_a) in [
        (&[][..], false),
        (&["s 1 50 fox", "m 2001 0 0 1 lobby"], false),
        (&["s 1 50 fox", "m 2001 0 0 1 lobby", ". 4 1-0"], true),
    ] {
        for own in [A, B] {
            let mut reader = three();
            reader.elsewhere.own = own;
            reader.reads(C, &["t 2001"]);
            reader.reads(A, &["b", "h 1 50 fox", "+ 1 lobby"]);
            reader.reads(C, events);
            let effect = reader.reads(A, &["g 000000000000000c"]);
            assert_eq!(&effect, if by_a == (own == A) { &told } else { &untold }, "{own} {events:?}");
        }
    }
}

#[test]
fn a_room_that_has_read_joined_is_told_of_the_end_though_the_log_does_not_know_it() {
    let mut reader = three();
    reader.reads(A, &["+ 1 rust"]);
    reader.elsewhere.note_in_room(C, &name("rust"), 2_001, Note::Joined { name: "client-2001" });
    reader.elsewhere.note_in_room(C, &name("rust"), 2_002, Note::Joined { name: "client-2002" });
    reader.elsewhere.note_in_room(C, &name("rust"), 2_003, Note::Joined { name: "client-2003" });
    reader.elsewhere.note_in_room(C, &name("rust"), 2_003, Note::Left);
    let told = [2_001, 2_002].map(|number| Departed { room: name("rust"), ..departed(number) });
    assert_eq!(reader.reads(A, &["g 000000000000000c"]), Effect::Gone { server: C, told: told.into() });
}

#[test]
fn a_room_that_has_read_joined_is_told_of_the_end_though_the_log_has_the_member_elsewhere() {
    for (event, is_read) in [("- 2001", true), ("+ 2001 rust", true), ("- 2001", false)] {
        let mut reader = three();
        reader.elsewhere.note_in_room(C, &name("lobby"), 2_001, Note::Joined { name: "client-2001" });
        reader.reads(C, &[event]);
        if !is_read {
            reader.elsewhere.note_unread("lobby");
        }
        let told = if is_read { vec![departed(2_001)] } else { vec![] };
        assert_eq!(reader.reads(B, &["g 000000000000000c"]), Effect::Gone { server: C, told }, "{event}");
    }
}

#[test]
fn a_server_speaks_by_what_it_has_read_in_the_room_if_none_has_known_the_members() {
    let mut reader = three();
    reader.reads(A, &["h 1 50 fox", "+ 2 lobby"]);
    reader.reads(B, &["h 1 50 fox", "+ 1002 lobby"]);
    reader.elsewhere.note_in_history(C, &name("lobby"), 2_001, Note::Joined { name: "client-2001" });
    let told = vec![departed(2_001)];
    assert_eq!(reader.reads(B, &["g 000000000000000c"]), Effect::Gone { server: C, told });
}

#[test]
fn what_a_server_has_not_told_before_its_own_end_is_told_by_another() {
    let told = Effect::Gone { server: A, told: vec![departed(1), departed(2_001)] };
    let untold = Effect::Gone { server: A, told: vec![] };
    for (confirmation, is_told) in [("t 1", false), ("- 2001", true)] {
        let mut reader = three();
        reader.elsewhere.own = B;
        reader.reads(C, &["t 2001"]);
        reader.reads(B, &["g 000000000000000c", "- 2001"]);
        reader.reads(A, &[confirmation]);
        let effect = reader.reads(B, &["g 000000000000000a"]);
        assert_eq!(&effect, if is_told { &untold } else { &told }, "{confirmation}");
    }
}
