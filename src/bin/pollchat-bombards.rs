//! `pollchat-bombards`: command line, last error message and exit code. The game itself is [`pollchat::bombards`].

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Error, Parser};
use pollchat::bombards::check::check;
use pollchat::bombards::referee::{NAME, run};
use pollchat::client::{Config, Pin, Report, SecretSource, ServerAddress, Trust, parse_room};
use pollchat::manual::{self, Generate};
use pollchat::net::stdio::{eprint_line, exit_code_of_print};
use pollchat::relay::name::Name;
use pollchat::variables;

/// Referees a game of cannons in a room of a pollchat server, as an ordinary client
#[derive(Debug, Parser)]
#[command(name = "pollchat-bombards", version, term_width = 100, after_help = AFTER_HELP)]
struct Flags {
    // No doc comment: rustdoc would take the brackets for a link.
    #[arg(
        help = "Host name or address of the server, or a port of 127.0.0.1; IPv6 with a port as [::1]:46000. A room \
                may follow: HOST/ROOM. tls://HOST is encrypted",
        value_name = "HOST[:PORT][/ROOM]",
        default_value = "127.0.0.1:46000"
    )]
    server: ServerAddress,

    /// Play in this room
    #[arg(long, value_name = "NAME", default_value = NAME, value_parser = parse_room)]
    room: Name,

    /// Have this name. Pages and bots listen to bombards alone
    #[arg(long, value_name = "NAME", default_value = NAME, value_parser = Name::parse)]
    nick: Name,

    /// Decide the moves of cannons by this number, so that the same orders give the same game
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Trust the certificates of the authorities in this file (PEM) over TLS, instead of those of the system
    #[arg(long, value_name = "FILE", conflicts_with = "pin")]
    ca: Option<PathBuf>,

    /// Trust the server with this public key over TLS, and no other
    #[arg(long, value_name = "SHA256:...", value_parser = Pin::parse)]
    pin: Option<Pin>,

    /// Give the password in this file, its first line, to a server that asks for one. Or set POLLCHAT_PASSWORD
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// Show the token in this file, its first line, for the name. Or set POLLCHAT_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Compute each shot of the transcript on stdin again, as `pollchat-client --listen` prints it, and exit
    #[arg(long, conflicts_with_all = ["server", "room", "seed", "ca", "pin", "password_file", "token_file"])]
    check: bool,

    /// Print the manual page (`man`) or completions (`bash`, `zsh`, `fish`), and exit
    #[arg(long, value_name = "WHAT", value_enum, hide_possible_values = true)]
    generate: Option<Generate>,
}

const AFTER_HELP: &str = "\
Players say join, fire 45 85, look, rules and leave in the room: at the page /bombards, in
pollchat-client, in nc, or by a program. A lost connection is made again. A restarted referee goes
on with what it reads in the history of the room (pollchat-server --history). Ctrl-C ends it.
Exit codes:
  0  ended by a signal; with --check: all shots hold
  1  anything else, and a line on stderr says why; with --check: the first line that is wrong
  2  wrong usage";

fn main() -> ExitCode {
    let (flags, config) = variables::parse(Flags::with_config, std::convert::identity);
    if let Some(what) = flags.generate {
        return manual::generate(what, Flags::command());
    }
    if flags.check {
        return match check(io::stdin().lock(), flags.nick.as_str()) {
            Ok(shots) => exit_code_of_print("pollchat-bombards", writeln!(io::stdout(), "{shots} shots hold")).into(),
            Err(why) => fail(&why, 1),
        };
    }
    let Err(error) = run(&config, flags.seed) else { return ExitCode::SUCCESS };
    let Report { exit_code, message } = Report::new(&Err(error));
    fail(message.as_deref().unwrap_or("ended by a second signal"), exit_code)
}

fn fail(why: &str, exit_code: u8) -> ExitCode {
    eprint_line(&format!("pollchat-bombards: {why}"));
    exit_code.into()
}

impl Flags {
    /// Returns the configuration of the client, too.
    fn with_config(mut self) -> Result<(Flags, Config), Error> {
        let usage = |kind, text: String| Flags::command().error(kind, text);
        if (self.ca.is_some() || self.pin.is_some()) && !self.server.is_tls() {
            let text = format!("--ca and --pin require TLS: write tls://{}", self.server.host());
            return Err(usage(ErrorKind::MissingRequiredArgument, text));
        }
        let conflict = |text| usage(ErrorKind::ArgumentConflict, text);
        let password = ("--password-file", self.password_file.take());
        let token = ("--token-file", self.token_file.take());
        let config = Config {
            trust: Trust::of_flags(self.ca.take(), self.pin.take()),
            nick: Some(self.nick.clone()),
            password: SecretSource::choose(password, variables::PASSWORD).map_err(conflict)?,
            token: SecretSource::choose(token, variables::TOKEN).map_err(conflict)?,
            room: Some(self.server.take_room().unwrap_or_else(|| self.room.clone())),
            ..Config::new(self.server.clone())
        };
        Ok((self, config))
    }
}
