//! The end of a run: its reason, the message that tells it, and the exit code.

use std::fmt;
use std::io;

use super::address::ServerAddress;
use super::connect::ConnectError;
use super::secrets::SecretError;
use super::session::CloseReason;
use super::trust::{TrustError, Untrusted};

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
    /// The server of a TLS connection is not trusted.
    #[error("cannot trust {address}: {why}")]
    Untrusted { address: ServerAddress, why: Untrusted },
    /// The trusted authorities cannot be loaded.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A secret of the user cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The port speaks TLS, and we do not.
    #[error("the server at {address} speaks TLS on this port: write tls://{address}")]
    TlsExpected { address: ServerAddress },
    /// The server closed the connection without FIN.
    #[error("the server at {address} closed the connection")]
    Closed { address: ServerAddress },
    /// The connection broke.
    #[error("the connection to {address} was lost: {source}")]
    Lost { address: ServerAddress, source: io::Error },
    /// The server stopped reading before it had all our bytes.
    #[error("the server at {address} did not take the last {bytes} bytes")]
    Unsent { address: ServerAddress, bytes: usize },
    /// The server did not answer our goodbye.
    #[error("the server at {address} did not answer the goodbye")]
    Unconfirmed { address: ServerAddress },
    /// The server said FIN before our goodbye.
    #[error("the server at {address} ended the conversation")]
    Dismissed { address: ServerAddress },
    /// The server ended the conversation with this notice, or refused a name or a line with it.
    #[error("{0}")]
    Notice(String),
    /// The server did not let us into the room, for this reason.
    #[error("cannot join {room}: {why}")]
    Room { room: String, why: String },
    /// The server did not answer the wish for a name.
    #[error("the server at {address} did not give the name {name}")]
    Unnamed { address: ServerAddress, name: String },
    /// Stdin went on behind a line that leaves.
    #[error("stdin goes on after the goodbye")]
    AfterGoodbye,
    /// A connection was lost after lines were sent, and the next one took the rest.
    #[error("the connection to {address} was lost in between")]
    LostBetween { address: ServerAddress },
    /// `--send`: the connection was lost, and no other one was made in time.
    #[error("the connection to {address} was lost, and did not come back in {seconds} s")]
    NotBack { address: ServerAddress, seconds: u64 },
    /// The reader of stdout closed it before the server had everything.
    #[error("stdout was closed")]
    StdoutClosed,
    /// Not all lines of stdin were said, for the reason of the error.
    #[error("{cause}{lines}")]
    Unsaid { cause: Box<ClientError>, lines: Unsaid },
    /// Reading stdin failed.
    #[error("cannot read stdin: {0}")]
    Stdin(io::Error),
    /// Writing stdout failed, for another reason than a closed reader.
    #[error("cannot write to stdout: {0}")]
    Stdout(io::Error),
    /// Reading or setting the terminal's mode failed.
    #[error("cannot set the terminal's mode: {0}")]
    Terminal(io::Error),
    /// A second signal did not wait for the server.
    #[error("ended by signal {0}")]
    Signal(i32),
    /// The poller failed.
    #[error("cannot wait for events: {0}")]
    Poll(io::Error),
}

/// Lines of stdin that were not said. Its `Display` continues a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsaid {
    /// Their number, as far as it is known.
    pub lines: u64,
    /// Lines that the server may have taken or not.
    pub in_doubt: u64,
}

impl fmt::Display for Unsaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.lines, self.in_doubt) {
            (0, 0) => Ok(()),
            (lines, 0) => write!(f, "; {} not said", were(lines)),
            (0, 1) => f.write_str("; 1 line may not have been said"),
            (0, doubt) => write!(f, "; the last of {doubt} lines may not have been said"),
            (lines, 1) => write!(f, "; {} not said, and 1 line before may not have been", were(lines)),
            (lines, doubt) => {
                write!(f, "; {} not said, and the last of {doubt} lines before may not have been", were(lines))
            }
        }
    }
}

fn were(lines: u64) -> String {
    if lines == 1 { "1 line was".to_owned() } else { format!("{lines} lines were") }
}

/// The end of a run for the shell.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// The exit code.
    pub exit_code: u8,
    /// A line for stderr.
    pub message: Option<String>,
}

impl Report {
    /// The only place that maps ends to exit codes.
    pub fn new(result: &Result<Ending, ClientError>) -> Report {
        match result {
            Ok(Ending::Complete) => Report { exit_code: 0, message: None },
            Ok(Ending::Unshown(bytes)) => {
                Report { exit_code: 0, message: Some(format!("stdout did not take the last {bytes} bytes")) }
            }
            // As a shell tells the end by a signal.
            Err(ClientError::Signal(signal)) => {
                Report { exit_code: u8::try_from(128 + signal).unwrap_or(1), message: None }
            }
            Err(err) => Report { exit_code: 1, message: Some(err.to_string()) },
        }
    }
}

impl ClientError {
    /// The failure of an attempt to connect to `address`.
    pub(super) fn of_attempt(error: ConnectError, address: ServerAddress) -> ClientError {
        match error {
            ConnectError::Failed(source) => ClientError::Connect { address, source },
            ConnectError::Untrusted(why) => ClientError::Untrusted { address, why },
        }
    }

    /// Adds the lines that were not said, if there are any.
    pub(super) fn with_unsaid(self, lines: Unsaid) -> ClientError {
        if lines == Unsaid::default() { self } else { ClientError::Unsaid { cause: Box::new(self), lines } }
    }
}

impl CloseReason {
    /// Returns the result of a run that ended with this session to `address`.
    pub(super) fn into_result(self, address: ServerAddress) -> Result<(), ClientError> {
        match self {
            CloseReason::Complete => Ok(()),
            CloseReason::Dismissed => Err(ClientError::Dismissed { address }),
            CloseReason::Closed => Err(ClientError::Closed { address }),
            CloseReason::Lost(source) => Err(ClientError::Lost { address, source }),
            CloseReason::Untrusted(why) => Err(ClientError::Untrusted { address, why }),
            CloseReason::Unsent(bytes) => Err(ClientError::Unsent { address, bytes }),
            CloseReason::Unconfirmed => Err(ClientError::Unconfirmed { address }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_why_and_how_many_lines_were_not_said() {
        for (lines, in_doubt, told) in [
            (0, 0, "stdout was closed"),
            (1, 0, "stdout was closed; 1 line was not said"),
            (2, 0, "stdout was closed; 2 lines were not said"),
            (0, 1, "stdout was closed; 1 line may not have been said"),
            (0, 3, "stdout was closed; the last of 3 lines may not have been said"),
            (2, 1, "stdout was closed; 2 lines were not said, and 1 line before may not have been"),
            (2, 3, "stdout was closed; 2 lines were not said, and the last of 3 lines before may not have been"),
        ] {
            let error = ClientError::StdoutClosed.with_unsaid(Unsaid { lines, in_doubt });
            assert_eq!(error.to_string(), told);
            assert_eq!(Report::new(&Err(error)), Report { exit_code: 1, message: Some(told.to_owned()) });
        }
    }

    #[test]
    fn a_signal_gives_its_own_code() {
        assert_eq!(Report::new(&Err(ClientError::Signal(15))), Report { exit_code: 143, message: None });
    }

    #[test]
    fn what_stdout_did_not_take_is_told_and_no_failure() {
        let report = Report::new(&Ok(Ending::Unshown(7)));
        assert_eq!((report.exit_code, report.message.as_deref()), (0, Some("stdout did not take the last 7 bytes")));
        assert_eq!(Report::new(&Ok(Ending::Complete)), Report { exit_code: 0, message: None });
    }
}
