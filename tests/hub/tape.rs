//! The tape and its readers against a naive model: a list of what was said, and per reader, what it got.

#[path = "../support/tape_model.rs"]
mod model;

use model::{Step, World};
use pollchat::relay::cursor::{Cursor, Dialect, HOLES_MAX, Pace, Slices};
use pollchat::relay::tape::Tape;
use proptest::prelude::*;

fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_usize, 0..40_usize).prop_map(|(who, padding)| Step::Say(who, padding)),
        1 => (proptest::option::of(0..4_usize), 0..40_usize).prop_map(|(who, padding)| Step::Announce(who, padding)),
        1 => (0..40_usize).prop_map(Step::Aside),
        4 => (0..4_usize, 0..200_usize).prop_map(|(who, bytes)| Step::Take(who, bytes)),
        2 => Just(Step::KeepUp),
        1 => (0..4_usize, 0..8_u64).prop_map(|(who, history)| Step::Join(who, history)),
        1 => (0..4_usize, any::<bool>())
            .prop_map(|(who, is_owed)| if is_owed { Step::Leave(who) } else { Step::Dismiss(who) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn readers_get_all_that_others_said_or_are_told_what_they_missed(
        capacity in 120..900_usize,
        steps in proptest::collection::vec(a_step(), 0..200),
    ) {
        let mut world = World::new(capacity, 4);
        for step in &steps {
            world.step(step);
        }
        world.finish();
    }
}

#[test]
fn who_talks_without_ever_reading_keeps_a_bounded_list_and_is_told_what_it_missed() {
    let mut tape = Tape::new(1 << 20).unwrap();
    let mut reader = Cursor::at(tape.end(), Dialect::Plain);
    let mut overtaken = 0;
    let others = 3 * HOLES_MAX as u64;
    for _ in 0..others {
        tape.say(&["other> x"]);
        let own = tape.say(&["own> x"]);
        overtaken += u64::from(reader.skip_own(own) == Pace::Overtaken);
    }
    assert!(overtaken > 0, "the list is capped");
    assert!(reader.is_lagging());
    let missed = reader.take_missed();
    let mut got = 0;
    loop {
        let mut slices = Slices::new();
        reader.pending(tape.plain(), tape.end().offset, &mut slices);
        let bytes: Vec<u8> = slices.as_slice().iter().flat_map(|slice| slice.to_vec()).collect();
        if bytes.is_empty() {
            break;
        }
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains("own"));
        got += text.lines().count() as u64;
        reader.advance(tape.plain(), text.len() as u64);
    }
    assert_eq!(got + missed, others);
}
