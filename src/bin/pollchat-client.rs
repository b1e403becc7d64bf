//! `pollchat-client`: command line, last error message and exit code. The client itself is [`pollchat::client`].

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Error, Parser, ValueEnum};
use pollchat::client::{
    AddressError, Colors, Config, FLUSH_AFTER_MS, Pin, Report, SecretSource, ServerAddress, Times, Trust, parse_room,
    run,
};
use pollchat::manual::{self, Generate};
use pollchat::net::stdio::eprint_line;
use pollchat::relay::name::Name;
use pollchat::{server, variables};

/// Chats on a pollchat server: sends lines from stdin and prints its lines to stdout
#[derive(Debug, Parser)]
#[command(name = "pollchat-client", version, term_width = 100, after_help = AFTER_HELP)]
struct Flags {
    // No doc comment: rustdoc would take the brackets for a link.
    #[arg(
        help = "Host name or address of the server, or a port of 127.0.0.1; IPv6 with a port as [::1]:46000. A room \
                may follow: HOST/ROOM. tls://HOST is encrypted, and its default port is 46001",
        value_name = "HOST[:PORT][/ROOM]",
        default_value = "127.0.0.1:46000",
        default_value_if("tls", "true", "127.0.0.1:46001")
    )]
    server: ServerAddress,

    /// Port of the server, if HOST has none
    #[arg(value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Encrypt the connection, as tls:// does
    #[arg(long)]
    tls: bool,

    /// Trust the certificates of the authorities in this file (PEM) over TLS, instead of those of the system
    #[arg(long, value_name = "FILE", conflicts_with = "pin")]
    ca: Option<PathBuf>,

    /// Trust the server with this public key over TLS, and no other; pollchat-server prints its pin at the start
    #[arg(long, value_name = "SHA256:...", value_parser = Pin::parse)]
    pin: Option<Pin>,

    /// Ask for this name
    #[arg(long, value_name = "NAME", env = variables::NICK, hide_env_values = true, value_parser = Name::parse)]
    nick: Option<Name>,

    /// Give the password in this file, its first line, to a server that asks for one. Or set POLLCHAT_PASSWORD
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// Show the token in this file, its first line, for the name of --nick. Or set POLLCHAT_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    #[arg(skip)]
    password: Option<SecretSource>,

    #[arg(skip)]
    token: Option<SecretSource>,

    /// Begin in this room instead of the lobby; in a pipe nothing is said elsewhere
    #[arg(long, value_name = "NAME", value_parser = parse_room)]
    room: Option<Name>,

    /// Pass lines through unchanged, even at a terminal
    #[arg(long)]
    plain: bool,

    /// Say each line of stdin as it is, even FIN, exit or /usr/bin; implies --plain
    #[arg(long)]
    text: bool,

    /// Only listen, until the server ends: do not read stdin; implies --plain
    #[arg(long, conflicts_with = "text")]
    listen: bool,

    /// Say this one line as it is, show nothing, and exit with 0 once the room has it; implies --reconnect
    #[arg(long, value_name = "TEXT", value_parser = parse_line, allow_hyphen_values = true)]
    #[arg(conflicts_with_all = ["listen", "text", "json", "timestamps"])]
    send: Option<String>,

    /// Print each line as an object of JSON, for bots; implies --reconnect
    #[arg(long, conflicts_with = "timestamps")]
    json: bool,

    /// Reconnect when the connection is lost, in a pipe too; implies --plain
    #[arg(long, conflicts_with = "no_reconnect")]
    reconnect: bool,

    /// Do not reconnect when the connection is lost
    #[arg(long)]
    no_reconnect: bool,

    /// Use colours at a terminal; auto: unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    color: When,

    /// Show the local time of each line with seconds, in a pipe too
    #[arg(long)]
    timestamps: bool,

    /// Show no times at a terminal
    #[arg(long, conflicts_with = "timestamps")]
    no_timestamps: bool,

    /// At a terminal, append what is said to this file, one line each with its time in UTC
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,

    /// At a terminal, run this program for a mention or a private message, beside the bell. It gets a title and the
    /// text as arguments. Blanks separate the words; no shell is used
    #[arg(long, value_name = "CMD", value_parser = parse_command)]
    notify_command: Option<String>,

    /// Show text without a newline after this much silence of a server other than pollchat-server; 0: never
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
Works at a terminal and in a pipe. In a pipe, FIN, exit, /quit or EOF on stdin leaves the room.
At a terminal /quit leaves; FIN and exit are said (to a foreign server they leave).
At a terminal, the typed line stays whole while others talk, and survives a lost connection.
Keys are those of a shell prompt; Tab completes names and rooms. Ctrl-C clears the line; on an
empty line, Ctrl-C and Ctrl-D leave. A paste of several lines is sent only after a confirmation,
as text. Ctrl-\\, a second Ctrl-C or a second signal leaves at once. Ctrl-R searches the lines
sent before. /help lists all commands and keys, among them those of the client itself:
/query NAME, /ignore NAME, /unignore NAME.
Exit codes:
  0  the server took every line of stdin, in the room of --room, under the name of --nick, and
     ended in good order, and nothing is left on stdin; with --send: the room has the line; with
     --listen: the server ended in good order, or the reader of stdout closed it; at a terminal:
     left in good order
  1  anything else; a line on stderr says why and how many lines were not said: cannot connect,
     the server is not trusted (TLS), refused (full, --deny, another protocol, the password),
     cannot join the room, the name is taken or another's, removed, the server shut down or said FIN before the end of stdin,
     the connection was lost (--send: for 30 s), the session goes on elsewhere, the server did not
     answer the goodbye, a command failed, a line was too long, stdin went on after FIN, exit or
     /quit, stdin or stdout failed
  2  wrong usage
  A signal ends a pipe at once, and a second one ends it at a terminal. A shell tells it as 128 and
  its number (Ctrl-C: 130).";

fn main() -> ExitCode {
    let flags = variables::parse(|flags: Flags| flags.with_address()?.with_secrets(), std::convert::identity);
    if let Some(what) = flags.generate {
        return manual::generate(what, Flags::command());
    }
    if let Some(warning) = variables::unread(&server::cli::Flags::command()) {
        eprint_line(&format!("pollchat-client: {warning}"));
    }
    let Report { exit_code, message } = Report::new(&run(&flags.into()));
    if let Some(message) = message {
        eprint_line(&format!("pollchat-client: {message}"));
    }
    exit_code.into()
}

/// Reads the program of `--notify-command`.
fn parse_command(text: &str) -> Result<String, String> {
    match text.trim_ascii() {
        "" => Err("there is no program to run".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// Reads the text of `--send`.
fn parse_line(text: &str) -> Result<String, String> {
    match text {
        "" => Err("there is nothing to say".to_owned()),
        _ if text.contains(['\n', '\r']) => Err("it has more than one line: use stdin".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

impl Flags {
    /// Joins the two words of `HOST PORT`, and `--room` with the room of `HOST/ROOM`.
    fn with_address(mut self) -> Result<Flags, Error> {
        let usage = |error: AddressError| Flags::command().error(ErrorKind::ValueValidation, error);
        self.server = self.server.with_port(self.port.take()).map_err(usage)?;
        if self.tls {
            self.server = self.server.with_tls().map_err(usage)?;
        }
        if let Some(flag) = self.trust_flag().filter(|_| !self.server.is_tls()) {
            let text = format!("{flag} requires TLS: write tls://{}, or add --tls", self.server.host());
            return Err(Flags::command().error(ErrorKind::MissingRequiredArgument, text));
        }
        if let Some(room) = self.server.take_room() {
            if let Some(other) = self.room.as_ref().filter(|other| other.folded() != room.folded()) {
                let text = format!("the room is given twice: {room} in the address, and --room {other}");
                return Err(Flags::command().error(ErrorKind::ArgumentConflict, text));
            }
            self.room = Some(room);
        }
        Ok(self)
    }

    /// Finds the places of the secrets. (They have no flags of their own: other users can read those.)
    fn with_secrets(mut self) -> Result<Flags, Error> {
        let conflict = |text: String| Flags::command().error(ErrorKind::ArgumentConflict, text);
        let password_file = ("--password-file", self.password_file.take());
        self.password = SecretSource::choose(password_file, variables::PASSWORD).map_err(conflict)?;
        self.token =
            SecretSource::choose(("--token-file", self.token_file.take()), variables::TOKEN).map_err(conflict)?;
        if self.token.is_some() && self.nick.is_none() {
            let text = format!("--token-file and {} require --nick: a token is that of a name", variables::TOKEN);
            return Err(Flags::command().error(ErrorKind::MissingRequiredArgument, text));
        }
        Ok(self)
    }

    /// The flag that is of no use without TLS, if there is any.
    fn trust_flag(&self) -> Option<&'static str> {
        match (&self.ca, &self.pin) {
            (Some(_), _) => Some("--ca"),
            (None, Some(_)) => Some("--pin"),
            (None, None) => None,
        }
    }
}

impl From<Flags> for Config {
    fn from(flags: Flags) -> Config {
        let has_no_color = || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Config {
            server: flags.server,
            trust: Trust::of_flags(flags.ca, flags.pin),
            nick: flags.nick,
            password: flags.password,
            token: flags.token,
            room: flags.room,
            flush_after: Some(Duration::from_millis(flags.flush_after)).filter(|after| !after.is_zero()),
            timestamps: match (flags.timestamps, flags.no_timestamps) {
                (true, _) => Times::Seconds,
                (false, true) => Times::None,
                (false, false) => Times::Auto,
            },
            log: flags.log,
            notify_command: flags.notify_command,
            plain: flags.plain,
            says_text: flags.text,
            listens: flags.listen,
            pipe_reconnects: flags.reconnect || (!flags.no_reconnect && (flags.json || flags.send.is_some())),
            json: flags.json,
            send: flags.send,
            colors: match flags.color {
                When::Auto if has_no_color() => Colors::Off,
                When::Auto | When::Always => Colors::On,
                When::Never => Colors::Off,
            },
            reconnect: !flags.no_reconnect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_knows_the_variables_of_the_client() {
        let command = Flags::command();
        let variables: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_env).collect();
        assert_eq!(variables, [variables::NICK]);
        assert_eq!(variables::CLIENT, [variables::NICK, variables::PASSWORD, variables::TOKEN]);
    }
}
