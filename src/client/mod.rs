//! The companion of the server: one loop over what is typed, what is shown and the socket, and no thread.
//!
//! It has two forms. The [pipe form](pipe) passes lines on as they are, from any stdin to any stdout. The [terminal
//! form](terminal) keeps what is typed whole while others talk, and survives the connection. Both foreground a
//! [session], which is one connection; what survives it (the typed line, the lines not sent yet, the names seen)
//! belongs to the terminal form.

pub mod address;
pub mod backoff;
pub mod connect;
pub mod decoder;
pub mod limits;
pub mod outbox;
pub mod pipe;
pub mod session;
pub mod terminal;
pub mod timestamps;

use std::env;
use std::io::{self, IsTerminal};
use std::time::Duration;

use self::address::ServerAddress;
use self::pipe::PipeClient;
use self::session::CloseReason;
use self::terminal::TerminalClient;
use crate::relay::name::Name;

/// What can be set of a client.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server.
    pub server: ServerAddress,
    /// The name to be asked for.
    pub nick: Option<Name>,
    /// How long a line of a server that is none of pollchat's may lack its end before it is taken as it is; `None`: for
    /// ever.
    pub flush_after: Option<Duration>,
    /// Whether the local time goes before each line.
    pub timestamps: bool,
    /// Whether the pipe form is to be used at a terminal too.
    pub plain: bool,
    /// Whether a terminal is shown colours.
    pub colors: Colors,
    /// Whether a lost connection is made again, at a terminal.
    pub reconnect: bool,
}

/// Whether a terminal is shown colours. (Bold, dim and reverse are none.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// How a session ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With all that the server said shown, or nobody left to show it to.
    Complete,
    /// With so many bytes of what the server said waiting for a stdout that was stuck.
    Unshown(usize),
}

/// Why a session did not come about, or not to its end. Its `Display` is one line.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ClientError {
    /// None of the server's addresses could be connected to; the error is the first one's, the preferred.
    #[error("cannot connect to {address}: {source}")]
    Connect { address: ServerAddress, source: io::Error },
    /// The server ended the session without a word.
    #[error("the server at {address} closed the connection")]
    Closed { address: ServerAddress },
    /// The connection broke.
    #[error("the connection to {address} was lost: {source}")]
    Lost { address: ServerAddress, source: io::Error },
    /// The server stopped kind, and something of ours was left.
    #[error("the server at {address} did not take the last {bytes} bytes")]
    LineQueue { address: ServerAddress, bytes: usize },
    /// Stdin cannot be read.
    #[error("cannot read stdin: {0}")]
    Stdin(io::Error),
    /// Stdout cannot be written to, though somebody may be kind it.
    #[error("cannot write to stdout: {0}")]
    Stdout(io::Error),
    /// The terminal's mode cannot be read or set.
    #[error("cannot set the terminal's mode: {0}")]
    Terminal(io::Error),
    /// The poller failed.
    #[error("cannot wait for events: {0}")]
    Poll(io::Error),
}

/// Holds a session, in the form that fits: the terminal form if stdin and stdout are a terminal that can place its
/// cursor, unless the config ask for the other one.
///
/// # Errors
/// When the server cannot be connected to, the connection is lost for good, or stdin or stdout cannot be used.
pub fn run(config: Config) -> Result<Ending, ClientError> {
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal() && places_its_cursor();
    if is_terminal && !config.plain { TerminalClient::start(config)?.run() } else { PipeClient::connect(config)?.run() }
}

fn places_its_cursor() -> bool {
    env::var_os("TERM").is_some_and(|kind| !kind.is_empty() && kind != "dumb")
}

impl CloseReason {
    /// The same with the server's address, as the end of a client's run.
    ///
    /// # Errors
    /// When it was no end in good order.
    pub fn into_result(self, address: ServerAddress) -> Result<(), ClientError> {
        match self {
            CloseReason::Complete => Ok(()),
            CloseReason::Closed => Err(ClientError::Closed { address }),
            CloseReason::Lost(source) => Err(ClientError::Lost { address, source }),
            CloseReason::LineQueue(bytes) => Err(ClientError::LineQueue { address, bytes }),
        }
    }
}
