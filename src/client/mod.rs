//! The companion of the server: one loop over stdin, stdout and the socket. Only name resolution has a thread.
//!
//! It has two forms. The pipe form passes lines unchanged between any stdin and stdout and the server. The terminal
//! form keeps the typed line whole while others talk, and reconnects. Both work on a session, which is one connection.
//! The terminal form owns everything that outlives a connection: the typed line, the unsent lines and the names seen.
//!
//! | module | owns |
//! |---|---|
//! | `pipe`, `terminal` | the two forms, each with its main loop |
//! | `session` | a single connection: bytes in both directions, half-closes, the reason of its end |
//! | `connect`, `backoff` | connection attempts and the delays between them |
//! | `resolver`, `race` | parts of an attempt: the look-up of the name, connects to several addresses |
//! | `decoder` | the server's bytes as clean lines |
//! | `outbox` | typed lines and bytes that the server has not taken yet |
//! | `limits` | every limit of the client |

mod address;
mod backoff;
mod connect;
mod decoder;
mod limits;
mod outbox;
mod pipe;
mod progress;
mod race;
mod resolver;
mod session;
mod terminal;
mod timestamps;

use std::env;
use std::io::{self, IsTerminal};
use std::time::Duration;

pub use self::address::{AddressError, ServerAddress};
pub use self::limits::FLUSH_AFTER_MS;
use self::pipe::PipeClient;
use self::session::CloseReason;
use self::terminal::TerminalClient;
use crate::relay::name::Name;

/// Internals for integration tests, without any promise of stability.
pub mod testing {
    pub use super::terminal::mode::RawMode;
}

/// Configuration of a client.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server.
    pub server: ServerAddress,
    /// `--nick`: the name to ask for.
    pub nick: Option<Name>,
    /// `--flush-after`: silence that ends an unterminated line of a foreign server; `None`: never.
    pub flush_after: Option<Duration>,
    /// `--timestamps`: the local time before each line.
    pub timestamps: bool,
    /// `--plain`: the pipe form, even at a terminal.
    pub plain: bool,
    /// `--color`: colours at a terminal.
    pub colors: Colors,
    /// Whether the terminal form reconnects after a lost connection.
    pub reconnect: bool,
}

/// Use of colours at a terminal. (Bold, dim and reverse are always used.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    /// Names have colours.
    On,
    /// No colours.
    Off,
}

/// Result of an orderly run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Stdout took everything, or its reader has closed it.
    Complete,
    /// Stdout was blocked and did not take this many bytes.
    Unshown(usize),
}

/// Error that ended a run. Its `Display` is one line.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages name the fields")]
pub enum ClientError {
    /// The name did not resolve, or no address of the server answered. The error is the most telling one.
    #[error("cannot connect to {address}: {source}")]
    Connect { address: ServerAddress, source: io::Error },
    /// The server closed the connection without FIN.
    #[error("the server at {address} closed the connection")]
    Closed { address: ServerAddress },
    /// The connection broke.
    #[error("the connection to {address} was lost: {source}")]
    Lost { address: ServerAddress, source: io::Error },
    /// The server stopped reading before it had all our bytes.
    #[error("the server at {address} did not take the last {bytes} bytes")]
    Unsent { address: ServerAddress, bytes: usize },
    /// Reading stdin failed.
    #[error("cannot read stdin: {0}")]
    Stdin(io::Error),
    /// Writing stdout failed, for another reason than a closed reader.
    #[error("cannot write to stdout: {0}")]
    Stdout(io::Error),
    /// Reading or setting the terminal's mode failed.
    #[error("cannot set the terminal's mode: {0}")]
    Terminal(io::Error),
    /// The poller failed.
    #[error("cannot wait for events: {0}")]
    Poll(io::Error),
}

/// Runs a client: the terminal form if stdin and stdout are terminals and `TERM` can move the cursor, the pipe form
/// otherwise or with `plain`.
///
/// # Errors
/// The server cannot be connected to, the connection is lost for good, or stdin or stdout fails.
pub fn run(config: Config) -> Result<Ending, ClientError> {
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal() && can_move_cursor();
    if is_terminal && !config.plain {
        TerminalClient::start(&config)?.run()
    } else {
        PipeClient::connect(config)?.run()
    }
}

fn can_move_cursor() -> bool {
    env::var_os("TERM").is_some_and(|kind| !kind.is_empty() && kind != "dumb")
}

impl CloseReason {
    /// Returns the result of a run that ended with this session to `address`.
    fn into_result(self, address: ServerAddress) -> Result<(), ClientError> {
        match self {
            CloseReason::Complete => Ok(()),
            CloseReason::Closed => Err(ClientError::Closed { address }),
            CloseReason::Lost(source) => Err(ClientError::Lost { address, source }),
            CloseReason::Unsent(bytes) => Err(ClientError::Unsent { address, bytes }),
        }
    }
}
