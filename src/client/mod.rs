//! The companion of the server: one loop over what is typed, what is shown and the socket, and no thread.
//!
//! The [pipe form](pipe) passes lines on as they are, from any stdin to any stdout. It holds a [conversation], which is
//! one connection.

pub mod address;
pub mod clock;
pub mod config;
pub mod connect;
pub mod conversation;
pub mod outbox;
pub mod pipe;
pub mod stdin;
pub mod stdout;
pub mod transcript;

use std::io;
use std::time::Duration;

use self::address::ServerAddress;
use self::conversation::Outcome;
use self::pipe::PipeClient;
use crate::relay::name::Name;

/// What can be set of a client.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub server: ServerAddress,
    /// The name to be asked for.
    pub nick: Option<Name>,
    /// How long a line of a server that is none of pollchat's may lack its end before it is taken as it is; `None`: for
    /// ever.
    pub flush_after: Option<Duration>,
    /// Whether the local time goes before each line.
    pub timestamps: bool,
}

/// How a conversation ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With all that the server said shown, or nobody left to show it to.
    Complete,
    /// With so many bytes of what the server said waiting for a stdout that was stuck.
    Unshown(usize),
}

/// Why a conversation did not come about, or not to its end. Its `Display` is one line.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ClientError {
    /// None of the server's addresses could be connected to; the error is the first one's, the preferred.
    #[error("cannot connect to {address}: {source}")]
    Connect { address: ServerAddress, source: io::Error },
    /// The server ended the conversation without a word.
    #[error("the server at {address} closed the connection")]
    Closed { address: ServerAddress },
    /// The connection broke.
    #[error("the connection to {address} was lost: {source}")]
    Lost { address: ServerAddress, source: io::Error },
    /// The server stopped reading, and something of ours was left.
    #[error("the server at {address} did not take the last {bytes} bytes")]
    Unsent { address: ServerAddress, bytes: usize },
    /// Stdin cannot be read.
    #[error("cannot read stdin: {0}")]
    Stdin(io::Error),
    /// Stdout cannot be written to, though somebody may be reading it.
    #[error("cannot write to stdout: {0}")]
    Stdout(io::Error),
    /// The poller failed.
    #[error("cannot wait for events: {0}")]
    Poll(io::Error),
}

/// Holds a conversation.
///
/// # Errors
/// When the server cannot be connected to, the connection is lost, or stdin or stdout cannot be used.
pub fn run(options: Options) -> Result<Ending, ClientError> {
    PipeClient::connect(options)?.run()
}

impl Outcome {
    /// The same with the server's address, as the end of a client's run.
    ///
    /// # Errors
    /// When it was no end in good order.
    pub fn into_result(self, address: ServerAddress) -> Result<(), ClientError> {
        match self {
            Outcome::Complete => Ok(()),
            Outcome::Closed => Err(ClientError::Closed { address }),
            Outcome::Lost(source) => Err(ClientError::Lost { address, source }),
            Outcome::Unsent(bytes) => Err(ClientError::Unsent { address, bytes }),
        }
    }
}
