//! `pollchat-client`: its flags, its last words and its exit codes. What it does is in [`pollchat::client`].

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, ValueEnum};
use pollchat::client::address::ServerAddress;
use pollchat::client::config::FLUSH_AFTER_MS;
use pollchat::client::{Colors, Ending, Options, run};
use pollchat::manual::{self, Generate};
use pollchat::net::stdio::complain;
use pollchat::relay::name::Name;

/// Talks to a pollchat server: lines from stdin go to it, and its lines to stdout
#[derive(Debug, Parser)]
#[command(name = "pollchat-client", version, term_width = 100, after_help = AFTER_HELP)]
struct Flags {
    // Not as a doc comment: rustdoc would take the brackets for a link.
    #[arg(
        help = "The server, by name or by address; IPv6 with a port as [::1]:46000",
        value_name = "HOST[:PORT]",
        default_value = "127.0.0.1:46000"
    )]
    server: ServerAddress,

    /// The name to be known by
    #[arg(long, value_name = "NAME", env = "POLLCHAT_NICK", hide_env_values = true, value_parser = Name::parse)]
    nick: Option<Name>,

    /// Lines as they come and go, at a terminal too
    #[arg(long)]
    plain: bool,

    /// Do not connect again when the connection is lost
    #[arg(long)]
    no_reconnect: bool,

    /// Whether a terminal is shown colours; auto: unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    color: When,

    /// Show the local time of each line
    #[arg(long)]
    timestamps: bool,

    /// Take a text that lacks its newline as a line after so much silence, from servers other than pollchat-server;
    /// 0: never
    #[arg(long, value_name = "MS", default_value_t = FLUSH_AFTER_MS)]
    flush_after: u64,

    /// Print a manual page (`man`, `man-protocol`) or completions (`bash`, `zsh`, `fish`), and exit
    #[arg(long, value_name = "WHAT", value_enum, hide_possible_values = true)]
    generate: Option<Generate>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

const AFTER_HELP: &str = "\
It works at a prompt and in a pipe. FIN, exit, /quit or the end of stdin ends the conversation.
At a terminal the typed line stays whole while others talk, and outlives a lost connection.
Its keys are those of a shell's line; Tab completes names. Ctrl-C clears the line; on an empty one
it ends the conversation, as Ctrl-D does. A paste of several lines is asked about.
Exit codes:
  0  the conversation ended in good order, or nobody reads stdout any more
  1  the server could not be connected to, or the connection was lost
  2  wrong usage";

fn main() -> ExitCode {
    let flags = Flags::parse();
    if let Some(what) = flags.generate {
        return manual::generate(what, Flags::command());
    }
    match run(flags.into()) {
        Ok(Ending::Complete) => ExitCode::SUCCESS,
        Ok(Ending::Unshown(bytes)) => {
            complain(&format!("pollchat-client: stdout did not take the last {bytes} bytes"));
            ExitCode::SUCCESS
        }
        Err(err) => {
            complain(&format!("pollchat-client: {err}"));
            ExitCode::FAILURE
        }
    }
}

impl From<Flags> for Options {
    fn from(flags: Flags) -> Options {
        let is_unwanted = || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Options {
            server: flags.server,
            nick: flags.nick,
            flush_after: Some(Duration::from_millis(flags.flush_after)).filter(|after| !after.is_zero()),
            timestamps: flags.timestamps,
            plain: flags.plain,
            colors: match flags.color {
                When::Auto if is_unwanted() => Colors::Left,
                When::Auto | When::Always => Colors::Shown,
                When::Never => Colors::Left,
            },
            reconnect: !flags.no_reconnect,
        }
    }
}
