//! The orders of players: their words, and the answers to those that cannot be obeyed. Pure.

use super::field::Camp;

/// A line of a member that the referee obeys. Everything else is talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `join`, `join left`, `join right`: take part.
    Join(Option<Camp>),
    /// `leave`: take part no more.
    Leave,
    /// `fire`, `fire A`, `fire A P`: fire. What is not given is as last time.
    Fire {
        /// Degrees.
        elevation: Option<i32>,
        /// Units of power.
        power: Option<i32>,
    },
    /// `look`: tell the state.
    Look,
    /// `rules`: tell how to play.
    Rules,
}

/// The reason why an order is not obeyed. Its `Display` is the answer to the player.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No cannon aims so, or the words are no numbers.
    #[error("fire A P: A from -15 to 85, P from 10 to 100")]
    Aim,
    /// A cannon has one shell.
    #[error("your shell still flies")]
    StillFlies,
    /// There are [as many cannons](super::field::CANNONS_MAX) as there may be.
    #[error("the field is full")]
    FieldFull,
    /// A cannon does not change sides.
    #[error("your cannon stands on the other side: leave, and join again")]
    OtherCamp,
}

impl Order {
    /// Reads a line. `None`: it is talk, which gets no answer.
    ///
    /// # Errors
    /// The line begins as an order to fire does, and its numbers are none that a cannon can take.
    pub fn parse(line: &str) -> Option<Result<Order, Refusal>> {
        let mut words = line.split_ascii_whitespace();
        let word = words.next()?;
        let rest: Vec<&str> = words.take(3).collect();
        let is = |known: &str| word.eq_ignore_ascii_case(known);
        if ["fire", "f", "feu"].into_iter().any(is) {
            return parse_fire(&rest);
        }
        let order = match rest[..] {
            [] if is("join") => Order::Join(None),
            [camp] if is("join") => Order::Join(Some(Camp::parse(&camp.to_ascii_lowercase())?)),
            [] if is("leave") => Order::Leave,
            [] if is("look") => Order::Look,
            [] if is("rules") => Order::Rules,
            _ => return None,
        };
        Some(Ok(order))
    }
}

/// Reads the numbers behind the word. Words there are talk: `fire at will`.
fn parse_fire(rest: &[&str]) -> Option<Result<Order, Refusal>> {
    let is_numeric = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    if !rest.iter().all(is_numeric) {
        return None;
    }
    let numbers: Result<Vec<i32>, _> = rest.iter().map(|word| word.parse()).collect();
    Some(match numbers.as_deref() {
        Ok(&[]) => Ok(Order::Fire { elevation: None, power: None }),
        Ok(&[elevation]) => Ok(Order::Fire { elevation: Some(elevation), power: None }),
        Ok(&[elevation, power]) => Ok(Order::Fire { elevation: Some(elevation), power: Some(power) }),
        _ => Err(Refusal::Aim),
    })
}
