//! The orders among the lines of the operator. Each stands behind a slash, as a command does; a command of everybody
//! with the same verb goes first, but for `/who -a`.

use super::super::notice::Notice;
use super::super::order::{Order, OrderError};
use super::{Decision, reply};

/// Whether a `/who` of the operator asks for the long list of all members. Any other is that of everybody.
pub(super) fn asks_for_all(line: &str) -> bool {
    Order::parse(&line[1..]) == Ok(Order::Who { all: true })
}

/// Returns the meaning of a line of the operator that is no command of everybody. `word` is its first word, with the
/// slash.
pub(super) fn decide_order<'a>(line: &'a str, word: &str) -> Decision<'a> {
    match Order::parse(&line[1..]) {
        // `/ kick` is none.
        _ if word.len() == 1 => reply(Notice::UnknownCommand { word }),
        Ok(order) => Decision::Obey(order),
        Err(OrderError::Usage(usage)) => reply(Notice::Other(&format!("/{usage}"))),
        Err(OrderError::Unknown(_)) => reply(Notice::UnknownCommand { word }),
    }
}
