//! The orders of operators: their grammar, and the rows of the answers. Pure.
//!
//! An operator writes the same orders at the console, behind a slash, and with `pollchat-server ctl`. Words are separated
//! by blanks; the verb may be in any case. [`HELP`] is the only list of orders: usage errors and `help` quote it.

use std::time::Duration;

mod row;
#[cfg(test)]
mod tests;

pub use row::Row;

/// The longest TIME of a ban, in seconds: ten years.
pub const TIME_SECONDS_MAX: u64 = 3_650 * DAY;

const DAY: u64 = 24 * 60 * 60;

const WHO: &str = "who [-a]: list the members; -a with addresses and bytes behind";
const ROOMS: &str = "rooms: list the rooms";
const KICK: &str = "kick NAME [REASON]: remove NAME";
const BAN: &str = "ban NAME|ADDRESS|CIDR [TIME] [REASON]: keep an address out; TIME: 90s, 15m, 1h, 7d or 2w";
const UNBAN: &str = "unban NAME|ADDRESS|CIDR: lift a ban";
const BANS: &str = "bans: list the bans";
const ANNOUNCE: &str = "announce TEXT: say TEXT in every room";
const GREETING: &str = "greeting [TEXT]: greet newcomers with TEXT";
const STATS: &str = "stats: show the counters";
const RELOAD: &str = "reload: read the configuration and its files again";
const STOP: &str = "stop: stop the server";
const HELP_USAGE: &str = "help: list the orders";

/// The usage of each order, as `help` lists them.
pub const HELP: [&str; 12] = [WHO, ROOMS, KICK, BAN, UNBAN, BANS, ANNOUNCE, GREETING, STATS, RELOAD, STOP, HELP_USAGE];

/// An order of an operator, parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order<'a> {
    /// `who [-a]`
    Who {
        /// Whether all that is known of each member is to be told.
        all: bool,
    },
    /// `rooms`
    Rooms,
    /// `kick NAME [REASON]`
    Kick {
        /// The name as typed.
        name: &'a str,
        /// The reason, perhaps empty.
        reason: &'a str,
    },
    /// `ban NAME|ADDRESS|CIDR [TIME] [REASON]`
    Ban {
        /// The name, address or network as typed.
        target: &'a str,
        /// The time until its end, at least a second and at most [`TIME_SECONDS_MAX`]; `None` if it has none.
        time: Option<Duration>,
        /// The reason, perhaps empty.
        reason: &'a str,
    },
    /// `unban NAME|ADDRESS|CIDR`
    Unban {
        /// The address or network as typed, or the name that was banned.
        target: &'a str,
    },
    /// `bans`
    Bans,
    /// `announce TEXT`
    Announce {
        /// The text.
        text: &'a str,
    },
    /// `greeting [TEXT]`
    Greeting {
        /// The text; if it is empty, newcomers are greeted no longer.
        text: &'a str,
    },
    /// `stats`
    Stats,
    /// `reload`
    Reload,
    /// `stop`
    Stop,
    /// `help`
    Help,
}

/// A text that is no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is no such order.
    #[error("there is no order {0}; help lists them")]
    Unknown(String),
    /// Its words are not those of the order. The text begins with the order: the console puts a slash before it.
    #[error("{0}")]
    Usage(&'static str),
}

impl Order<'_> {
    /// Parses an order, without a slash.
    ///
    /// ```
    /// use std::time::Duration;
    /// use pollchat::relay::order::{Order, OrderError};
    ///
    /// assert_eq!(Order::parse("kick ana  no spam"), Ok(Order::Kick { name: "ana", reason: "no spam" }));
    /// let hour = Some(Duration::from_secs(3_600));
    /// assert_eq!(Order::parse("ban ana 1h"), Ok(Order::Ban { target: "ana", time: hour, reason: "" }));
    /// assert!(matches!(Order::parse("ban ana 1 hour"), Err(OrderError::Usage(_))));
    /// assert_eq!(Order::parse("kick"), Err(OrderError::Usage("kick NAME [REASON]: remove NAME")));
    /// assert_eq!(Order::parse("kik ana").unwrap_err().to_string(), "there is no order kik; help lists them");
    /// ```
    ///
    /// # Errors
    /// The text is no order.
    pub fn parse(text: &str) -> Result<Order<'_>, OrderError> {
        let (verb, rest) = split_word(text);
        let alone = |order, usage| if rest.is_empty() { Ok(order) } else { Err(OrderError::Usage(usage)) };
        let (word, behind) = split_word(rest);
        match verb.to_ascii_lowercase().as_str() {
            "who" if rest == "-a" => Ok(Order::Who { all: true }),
            "who" => alone(Order::Who { all: false }, WHO),
            "rooms" => alone(Order::Rooms, ROOMS),
            "kick" if word.is_empty() => Err(OrderError::Usage(KICK)),
            "kick" => Ok(Order::Kick { name: word, reason: behind }),
            "ban" if word.is_empty() => Err(OrderError::Usage(BAN)),
            "ban" => parse_ban(word, behind),
            "unban" if word.is_empty() || !behind.is_empty() => Err(OrderError::Usage(UNBAN)),
            "unban" => Ok(Order::Unban { target: word }),
            "bans" => alone(Order::Bans, BANS),
            "announce" if rest.is_empty() => Err(OrderError::Usage(ANNOUNCE)),
            "announce" => Ok(Order::Announce { text: rest }),
            "greeting" => Ok(Order::Greeting { text: rest }),
            "stats" => alone(Order::Stats, STATS),
            "reload" => alone(Order::Reload, RELOAD),
            "stop" => alone(Order::Stop, STOP),
            "help" => Ok(Order::Help),
            "" => Err(OrderError::Usage(HELP_USAGE)),
            _ => Err(OrderError::Unknown(verb.to_owned())),
        }
    }
}

/// Reads what follows the target of `ban`: a first word that has the form of a TIME is one.
fn parse_ban<'a>(target: &'a str, rest: &'a str) -> Result<Order<'a>, OrderError> {
    let (word, behind) = split_word(rest);
    let Some((number, unit_seconds)) = split_time(word) else {
        // A mistyped TIME would be a ban without an end.
        let is_mistyped = word.starts_with(|first: char| first.is_ascii_digit());
        let ban = Order::Ban { target, time: None, reason: rest };
        return if is_mistyped { Err(OrderError::Usage(BAN)) } else { Ok(ban) };
    };
    let seconds = number.parse().ok().and_then(|number: u64| number.checked_mul(unit_seconds));
    match seconds.filter(|seconds| (1..=TIME_SECONDS_MAX).contains(seconds)) {
        Some(seconds) => Ok(Order::Ban { target, time: Some(Duration::from_secs(seconds)), reason: behind }),
        None => Err(OrderError::Usage("ban: the shortest TIME is 1s, the longest 3650d")),
    }
}

/// Splits a word of the form of a TIME into its number and the seconds of its unit.
fn split_time(word: &str) -> Option<(&str, u64)> {
    let (number, unit) = word.split_at_checked(word.len().checked_sub(1)?)?;
    let unit_seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => DAY,
        "w" => 7 * DAY,
        _ => return None,
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some((number, unit_seconds))
}

/// Returns the first word, and the rest without the blanks around it.
fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_matches([' ', '\t']);
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_start_matches([' ', '\t']))
}
