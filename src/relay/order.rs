//! The orders of operators: what is written at the console and behind `pollchat-server ctl`, and the answers to it. Pure.

use std::fmt;
use std::time::Duration;

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
        /// The time until its end; `None` if it has none.
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
    /// `greeting TEXT`
    Greeting {
        /// The text, perhaps empty.
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
    /// Its words are not those of the order.
    #[error("{0}")]
    Usage(&'static str),
}

/// A row of an answer. Its `Display` is for people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Row {
    /// Text without fields.
    Text(String),
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Row::Text(text) => f.write_str(text),
        }
    }
}

impl Order<'_> {
    /// Parses an order, without a slash.
    ///
    /// # Errors
    /// The text is no order.
    pub fn parse(text: &str) -> Result<Order<'_>, OrderError> {
        match text {
            "stop" => Ok(Order::Stop),
            "reload" => Ok(Order::Reload),
            _ => Err(OrderError::Unknown(text.to_owned())),
        }
    }
}
