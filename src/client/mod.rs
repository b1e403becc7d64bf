//! The companion of the server: one loop over stdin, stdout and the socket. Only name resolution has a thread.
//!
//! It has three forms. The pipe form passes lines unchanged between any stdin and stdout and the server. The terminal
//! form keeps the typed line whole while others talk, and reconnects. The third form is for programs of this crate. All
//! work on a session, which is one connection. The terminal form owns everything that outlives a connection: the typed
//! line, the unsent lines and the names seen.
//!
//! | module | owns |
//! |---|---|
//! | `pipe`, `terminal` | two forms, each with its main loop |
//! | `program` | the form for programs, which have their own loop: lines of a room in, lines to it out |
//! | `answers` | the server's answers about our room, our name and our lines |
//! | `session` | a single connection: bytes in both directions, half-closes, the reason of its end |
//! | `leaving` | the time and the bytes that a server gets after our goodbye |
//! | `ending` | the result of a run, its message and its exit code |
//! | `tracking` | a session of the tracked dialect across connections |
//! | `tracked_link` | the dialect on a connection |
//! | `room` | the room across connections, and the answers about it |
//! | `link` | the connection across reconnects, and the rule for another one |
//! | `connect` | connection attempts |
//! | `resolver`, `race` | parts of an attempt: the look-up of the name, connects to several addresses |
//! | `trust`, `secure` | the servers that are trusted over TLS, TLS under a connection |
//! | `secrets`, `door` | the user's password and token, a server that asks for a password |
//! | `decoder` | the server's bytes as clean lines |
//! | `outbox` | typed lines and bytes that the server has not taken yet |
//! | `limits` | every limit of the client |

mod address;
mod answers;
mod connect;
mod decoder;
mod door;
mod ending;
mod leaving;
mod limits;
mod link;
mod outbox;
mod pipe;
mod program;
mod progress;
mod race;
mod resolver;
mod room;
mod secrets;
mod secure;
mod session;
mod terminal;
mod timestamps;
mod tracked_link;
mod tracking;
mod trust;

use std::env;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

pub use self::address::{AddressError, ServerAddress};
pub use self::ending::{ClientError, Ending, Report};
pub use self::limits::FLUSH_AFTER_MS;
use self::pipe::PipeClient;
pub(crate) use self::program::{Heard, ProgramClient, Stay};
pub use self::room::parse_room;
use self::secrets::Secrets;
pub use self::secrets::{SecretError, SecretSource};
use self::secure::Security;
use self::terminal::TerminalClient;
pub use self::trust::{Pin, PinError, Trust, TrustError, Untrusted};
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
    /// `--ca` and `--pin`: the servers that are trusted over TLS.
    pub trust: Trust,
    /// `--nick`: the name to ask for.
    pub nick: Option<Name>,
    /// `--password-file`, or its variable: the password for a server that asks for one.
    pub password: Option<SecretSource>,
    /// `--token-file`, or its variable: the token of `nick`.
    pub token: Option<SecretSource>,
    /// `--room`, or the name behind the address: the room to enter.
    pub room: Option<Name>,
    /// `--flush-after`: silence that ends an unterminated line of a foreign server; `None`: never.
    pub flush_after: Option<Duration>,
    /// `--timestamps`, `--no-timestamps`: the local time before each line.
    pub timestamps: Times,
    /// `--log`: the file that gets what is said, at a terminal.
    pub log: Option<PathBuf>,
    /// `--notify-command`: the program that is started for a mention or a private message, at a terminal.
    pub notify_command: Option<String>,
    /// `--plain`: the pipe form, even at a terminal.
    pub plain: bool,
    /// `--text`: each line of stdin is said as it is. The pipe form.
    pub says_text: bool,
    /// `--listen`: stdin is not read. The pipe form.
    pub listens: bool,
    /// `--reconnect`, `--json` or `--send`, without `--no-reconnect`: the pipe form reconnects, too.
    pub pipe_reconnects: bool,
    /// `--json`: stdout gets an object of JSON for each line. The pipe form.
    pub json: bool,
    /// `--send`: say this line alone, and show nothing. The pipe form.
    pub send: Option<String>,
    /// `--color`: colours at a terminal.
    pub colors: Colors,
    /// Whether the terminal form reconnects after a lost connection.
    pub reconnect: bool,
}

impl Config {
    /// The configuration of a client without flags.
    pub fn new(server: ServerAddress) -> Config {
        Config {
            server,
            trust: Trust::System,
            nick: None,
            password: None,
            token: None,
            room: None,
            flush_after: None,
            timestamps: Times::Auto,
            log: None,
            notify_command: None,
            plain: false,
            says_text: false,
            listens: false,
            pipe_reconnects: false,
            json: false,
            send: None,
            colors: Colors::Off,
            reconnect: true,
        }
    }

    /// Whether the pipe form tracks a server that can be tracked.
    fn tracks_in_pipe(&self) -> bool {
        self.pipe_reconnects || self.json || self.send.is_some()
    }
}

/// The local time before each line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// Hours and minutes at a terminal, none in a pipe.
    Auto,
    /// With seconds.
    Seconds,
    /// None.
    None,
}

/// Use of colours at a terminal. (Bold, dim and reverse are always used.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    /// Names have colours.
    On,
    /// No colours.
    Off,
}

/// Runs a client: the terminal form if stdin and stdout are terminals and `TERM` can move the cursor, the pipe form
/// otherwise or with `plain`, `says_text`, `listens`, `pipe_reconnects`, `json` or `send`.
///
/// # Errors
/// A secret cannot be used, the server cannot be connected to or trusted, the connection is lost for good, or stdin or
/// stdout fails.
pub fn run(config: &Config) -> Result<Ending, ClientError> {
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal() && can_move_cursor();
    let is_plain = config.plain || config.says_text || config.listens || config.tracks_in_pipe();
    let secrets = Secrets::load(config)?;
    let security = match config.server.is_tls() {
        true => Some(Security::load(&config.server, &config.trust)?),
        false => None,
    };
    if is_terminal && !is_plain {
        TerminalClient::start(config, security, secrets)?.run()
    } else {
        PipeClient::connect(config, security, secrets)?.run()
    }
}

fn can_move_cursor() -> bool {
    env::var_os("TERM").is_some_and(|kind| !kind.is_empty() && kind != "dumb")
}
