//! The tape and its readers, against the naive model of `tests/support/tape_model.rs`.
//!
//! Input: the size of the tape (a byte), then two bytes a step: what happens and to whom; how much of it.

#[path = "../../support/tape_model.rs"]
mod model;

use model::{Step, World};

const READERS: usize = 4;
/// The smallest tape on which each line of the model fits, in bytes.
const TAPE_BYTES_MIN: usize = 120;
/// One on which there is room for more own lines than a reader keeps in mind.
const TAPE_BYTES_MAX: usize = 64 * 1024;
/// Bounds on what one input may do: a second is long for a fuzzer.
const STEPS_MAX: usize = 1_000;
const CHAT_LINES_MAX: usize = 4_096;

/// Reads `data` as said above, and panics if something does not hold.
pub(crate) fn run(data: &[u8]) {
    let [size, steps @ ..] = data else { return };
    let capacity = match usize::from(*size) {
        // Few sizes are large: they take long, and show little else.
        0xfc.. => TAPE_BYTES_MAX,
        size => TAPE_BYTES_MIN + 4 * size,
    };
    let mut world = World::new(capacity, READERS);
    let mut chat_lines_left = CHAT_LINES_MAX;
    for step in steps.chunks_exact(2).take(STEPS_MAX) {
        let step = as_step(step[0], usize::from(step[1]));
        if let Step::Chat(_, lines) = step {
            if lines > chat_lines_left {
                continue;
            }
            chat_lines_left -= lines;
        }
        world.step(&step);
    }
    world.finish();
}

fn as_step(what: u8, amount: usize) -> Step {
    let who = usize::from(what >> 4) % READERS;
    match what & 0xf {
        0..4 => Step::Say(who, amount % 40),
        4 => Step::Announce(None, amount % 40),
        5 => Step::Announce(Some(who), amount % 40),
        6..9 => Step::Take(who, amount),
        9 => Step::Take(who, 64 * amount),
        10 | 11 => Step::KeepUp,
        12 => Step::Join(who, amount as u64),
        13 => Step::Leave(who),
        14 => Step::Dismiss(who),
        // Long ones are rare, as large tapes are.
        _ => Step::Chat(who, if amount < 0xfc { amount % 16 } else { 16 * amount }),
    }
}
