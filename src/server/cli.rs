//! The flags of `pollchat-server`, each also an environment variable. `checks` makes a
//! [`Config`](super::config::Config) of them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::BoolishValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Error, Parser};
use ipnet::IpNet;
use log::LevelFilter;

use super::access::parse_prefix;
use super::bus::address::WrittenBusAddress;
use super::config::Lag;
use super::endpoint::{ListenAddress, parse_control};
use super::limits::{
    ANNOUNCE_UP_TO, BACKLOG_BYTES, FLUSH_AFTER_MS_MAX, LINE_BYTES_MAX, RATE_MAX, RESUME_WITHIN, ROOMS, SECONDS_MAX,
};
use super::proxy::ProxySource;
use super::web::origin::{HostName, Origin};
use super::web::resource::WebPath;
use crate::manual::Generate;
use crate::relay::directory::ROOMS_MAX;
use crate::relay::name::{Name, NameError};
use crate::relay::room::Audience;

mod checks;
pub(super) mod file;

/// Relays each line of a client to all other clients, marked with its sender's name
#[derive(Debug, Parser)]
#[command(name = "pollchat-server", version, term_width = 100)]
#[command(
    after_help = "Clients are pollchat-client, a browser (--web), nc or telnet. SIGINT and SIGTERM stop the server;\n\
                  SIGHUP reads the files of --config, TLS, names and password again; SIGUSR1 logs statistics.\n\
                  The manual is `pollchat-server --generate man`.\n\
                  `pollchat-server export DIR` prints a journal: see `pollchat-server export --help`.\n\
                  Exit codes: 0 stopped by a signal or the operator, 1 could not start or go on, 2 usage."
)]
pub struct Flags {
    /// Listen on this address: HOST:PORT, a PORT of 127.0.0.1, or a Unix socket (unix:PATH). `*` is every address; an
    /// IPv6 address accepts IPv6 only; port 0 lets the kernel choose. Repeatable [default: the sockets systemd hands
    /// over; without them, and without --tls, 127.0.0.1:46000]
    #[arg(long, value_name = "ADDRESS", env = "POLLCHAT_LISTEN", value_delimiter = ',', hide_env_values = true)]
    #[arg(value_parser = ListenAddress::of_lines)]
    listen: Vec<ListenAddress>,

    /// Serve the page for browsers on this address, such as 127.0.0.1:8080, 8080 or unix:PATH. Repeatable [default: no page]
    #[arg(long, value_name = "ADDRESS", env = "POLLCHAT_WEB", value_delimiter = ',', hide_env_values = true)]
    #[arg(value_parser = ListenAddress::of_page)]
    web: Vec<ListenAddress>,

    /// Listen with TLS on this address, such as 0.0.0.0:46001. Requires --tls-cert and --tls-key. Repeatable
    #[arg(long, value_name = "ADDRESS", env = "POLLCHAT_TLS", value_delimiter = ',', hide_env_values = true)]
    #[arg(value_parser = ListenAddress::of_tls_lines)]
    tls: Vec<ListenAddress>,

    /// Serve the page with TLS (https) on this address, such as 0.0.0.0:8443. Requires --tls-cert and --tls-key.
    /// Repeatable
    #[arg(long, value_name = "ADDRESS", env = "POLLCHAT_WEB_TLS", value_delimiter = ',', hide_env_values = true)]
    #[arg(value_parser = ListenAddress::of_tls_page)]
    web_tls: Vec<ListenAddress>,

    /// Identify the server by the certificate in this file: PEM, with its issuers behind it. SIGHUP reads it again
    #[arg(long, value_name = "FILE", env = "POLLCHAT_TLS_CERT", hide_env_values = true)]
    tls_cert: Option<PathBuf>,

    /// Use the private key in this file, in PEM, for the certificate. SIGHUP reads it again
    #[arg(long, value_name = "FILE", env = "POLLCHAT_TLS_KEY", hide_env_values = true)]
    tls_key: Option<PathBuf>,

    /// Answer browsers that reach the page by this host name, besides its addresses and localhost. Requires --web or
    /// --web-tls. Repeatable
    #[arg(long, value_name = "NAME", env = "POLLCHAT_WEB_HOST", value_delimiter = ',', hide_env_values = true)]
    web_host: Vec<HostName>,

    /// Admit a page of another site by its origin, such as `https://chat.example.org`. Requires --web or --web-tls.
    /// Repeatable
    #[arg(long, value_name = "ORIGIN", env = "POLLCHAT_WEB_ORIGIN", value_delimiter = ',', hide_env_values = true)]
    web_origin: Vec<Origin>,

    /// Have the page below this path, such as /chat, for a proxy that passes paths on as they are. Requires --web or --web-tls
    /// [default: /]
    #[arg(long, value_name = "PATH", env = "POLLCHAT_WEB_PATH", hide_env_values = true)]
    web_path: Option<WebPath>,

    /// Serve metrics for Prometheus (/metrics) and a health check (/healthz) on this address, such as 127.0.0.1:9464.
    /// Repeatable [default: no metrics]
    #[arg(long, value_name = "ADDRESS", env = "POLLCHAT_METRICS", value_delimiter = ',', hide_env_values = true)]
    #[arg(value_parser = ListenAddress::of_metrics)]
    metrics: Vec<ListenAddress>,

    /// Obey operators on this Unix socket, which `pollchat-server ctl` connects to [default: no socket]
    #[arg(long, value_name = "PATH", env = "POLLCHAT_CONTROL", hide_env_values = true)]
    #[arg(value_parser = parse_control)]
    control: Option<PathBuf>,

    /// Send this notice to each new client
    #[arg(long, value_name = "TEXT", env = "POLLCHAT_GREETING", hide_env_values = true, default_value = "")]
    #[arg(hide_default_value = true)]
    greeting: String,

    /// Send each new client this many of the newest lines
    #[arg(long, value_name = "LINES", env = "POLLCHAT_HISTORY", hide_env_values = true, default_value_t = 0)]
    history: u64,

    /// Send a line to `others` (relay), `everyone` (relay with echo) or its `sender` (echo server)
    #[arg(long, value_name = "WHO", env = "POLLCHAT_AUDIENCE", hide_env_values = true)]
    #[arg(value_enum, default_value_t, hide_possible_values = true)]
    audience: Audience,

    /// Announce joins and leaves while at most N clients are present (0: never)
    #[arg(long, value_name = "N", env = "POLLCHAT_ANNOUNCE_UP_TO", hide_env_values = true)]
    #[arg(default_value_t = ANNOUNCE_UP_TO)]
    announce_up_to: usize,

    /// Keep this much of the newest text of the lobby: a client that falls further behind lags
    #[arg(long, value_name = "BYTES", env = "POLLCHAT_BACKLOG", hide_env_values = true)]
    #[arg(default_value_t = Bytes(BACKLOG_BYTES))]
    backlog: Bytes,

    /// Let clients open rooms, up to this many at a time, the lobby included (0 or 1: the lobby alone)
    #[arg(long, value_name = "N", env = "POLLCHAT_ROOMS", hide_env_values = true, default_value_t = ROOMS)]
    #[arg(value_parser = parse_rooms)]
    rooms: usize,

    /// Have this room from the start and forever. Repeatable [default: the lobby alone]
    #[arg(long, value_name = "NAME", env = "POLLCHAT_ROOM", value_delimiter = ',', hide_env_values = true)]
    #[arg(value_parser = parse_name)]
    room: Vec<Name>,

    /// Keep this much of the newest text of every room but the lobby [default: 256K, or two of the longest lines]
    #[arg(long, value_name = "BYTES", env = "POLLCHAT_ROOM_BACKLOG", hide_env_values = true)]
    room_backlog: Option<Bytes>,

    /// If a client lags, `skip` ahead and tell it how many lines it missed; or `disconnect` it; or `wait` for it, so
    /// that no client misses a line
    #[arg(long, value_name = "ACTION", env = "POLLCHAT_LAG", hide_env_values = true)]
    #[arg(value_enum, default_value_t, hide_possible_values = true)]
    lag: Lag,

    /// Disconnect a slow client that takes less than 64 KiB (or all that is pending) in this time. Requires --lag wait
    /// [default: 30]
    #[arg(long, value_name = "SECONDS", env = "POLLCHAT_STALL_TIMEOUT", hide_env_values = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    stall_timeout: Option<u64>,

    /// Read at most this many lines a second from a client, commands included (0: no limit)
    #[arg(long, value_name = "LINES/S", env = "POLLCHAT_RATE", hide_env_values = true, default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=i64::from(RATE_MAX)))]
    rate: u32,

    /// Read this many lines at once from a client that was silent before. Requires --rate [default: a second's worth]
    #[arg(long, value_name = "LINES", env = "POLLCHAT_BURST", hide_env_values = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MAX)))]
    burst: Option<u32>,

    /// Disconnect clients that have sent nothing this long after connecting (0: never)
    #[arg(long, value_name = "SECONDS", env = "POLLCHAT_IDLE_TIMEOUT", hide_env_values = true, default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=SECONDS_MAX))]
    idle_timeout: u64,

    /// Keep the seat of a tracked client this long after its connection is lost (0: not at all)
    #[arg(long, value_name = "SECONDS", env = "POLLCHAT_RESUME_WITHIN", hide_env_values = true)]
    #[arg(default_value_t = RESUME_WITHIN.as_secs(), value_parser = clap::value_parser!(u64).range(0..=SECONDS_MAX))]
    resume_within: u64,

    /// Refuse clients beyond this number [default: the open-file limit less 32; with --web, less a further eighth (at
    /// most 1024) for HTTP]
    #[arg(long, value_name = "N", env = "POLLCHAT_MAX_CLIENTS", hide_env_values = true)]
    #[arg(value_parser = parse_clients)]
    max_clients: Option<usize>,

    /// Refuse clients beyond this number from the same IPv4 address or IPv6 /64 (0: no limit)
    #[arg(long, value_name = "N", env = "POLLCHAT_MAX_PER_ADDRESS", hide_env_values = true, default_value_t = 0)]
    max_per_address: usize,

    /// Accept connections from these addresses only. Repeatable [default: all]
    #[arg(long, value_name = "CIDR", env = "POLLCHAT_ALLOW", value_delimiter = ',', hide_env_values = true)]
    #[arg(value_parser = parse_prefix)]
    allow: Vec<IpNet>,

    /// Refuse connections from these addresses, even if --allow names them. Repeatable [default: none]
    #[arg(long, value_name = "CIDR", env = "POLLCHAT_DENY", value_delimiter = ',', hide_env_values = true)]
    #[arg(value_parser = parse_prefix)]
    deny: Vec<IpNet>,

    /// Keep the bans of operators in this file, over restarts. SIGHUP reads it again [default: bans end with the server]
    #[arg(long, value_name = "FILE", env = "POLLCHAT_BANS", hide_env_values = true)]
    bans: Option<PathBuf>,

    /// Let nobody in without the password in this file, its first line. SIGHUP reads it again [default: no password]
    #[arg(long, value_name = "FILE", env = "POLLCHAT_PASSWORD_FILE", hide_env_values = true)]
    password_file: Option<PathBuf>,

    /// Give each name in this file to the client that knows its token. SIGHUP reads it again; --new-token makes its
    /// lines [default: a name belongs to the first client that takes it]
    #[arg(long, value_name = "FILE", env = "POLLCHAT_NAMES", hide_env_values = true)]
    names: Option<PathBuf>,

    /// Print a new token for this name, and the line for the file of --names, and exit
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    new_token: Option<Name>,

    /// Take the addresses of clients from these proxies, or from those on a Unix socket (`unix`): the PROXY protocol,
    /// which they must speak, or X-Forwarded-For with --web. Repeatable [default: none]
    #[arg(long, value_name = "CIDR", env = "POLLCHAT_PROXY_FROM", value_delimiter = ',', hide_env_values = true)]
    proxy_from: Vec<ProxySource>,

    /// Drop lines longer than this, their newline not counted
    #[arg(long, value_name = "BYTES", env = "POLLCHAT_MAX_LINE", hide_env_values = true)]
    #[arg(default_value_t = Bytes(LINE_BYTES_MAX))]
    max_line: Bytes,

    /// Chat from this terminal as `server`: stdin is read, and stdout shows the room
    #[arg(long, env = "POLLCHAT_CONSOLE", hide_env_values = true, value_parser = BoolishValueParser::new())]
    console: bool,

    /// Take text without a newline as a line after this much silence, for clients that never send a newline
    /// [default: never]
    #[arg(long, value_name = "MS", env = "POLLCHAT_FLUSH_AFTER", hide_env_values = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=FLUSH_AFTER_MS_MAX))]
    flush_after: Option<u64>,

    /// Keep what is said in the lobby and in each --room in this folder, over restarts and crashes [default: nothing is
    /// kept]
    #[arg(long, value_name = "DIR", env = "POLLCHAT_JOURNAL", hide_env_values = true)]
    journal: Option<PathBuf>,

    /// Keep this much of each room on the disk. Requires --journal [default: 64M]
    #[arg(long, value_name = "BYTES", env = "POLLCHAT_JOURNAL_KEEP", hide_env_values = true)]
    journal_keep: Option<Bytes>,

    /// Sync the disk this often, so that a power loss costs no more (0: never). Requires --journal [default: 1]
    #[arg(long, value_name = "SECONDS", env = "POLLCHAT_JOURNAL_SYNC", hide_env_values = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=SECONDS_MAX))]
    journal_sync: Option<u64>,

    /// Share the rooms with all servers that name the same Redis: redis://[USER:PASSWORD@]HOST:PORT[/PREFIX], rediss://…
    /// (TLS) or unix:PATH. Others can read flags: give a password in the variable or the file [default: this server alone]
    #[arg(long, value_name = "URL", env = "POLLCHAT_BUS", hide_env_values = true)]
    bus: Option<WrittenBusAddress>,

    /// Keep this much of each room in Redis. Requires --bus [default: 64M]
    #[arg(long, value_name = "BYTES", env = "POLLCHAT_BUS_KEEP", hide_env_values = true)]
    bus_keep: Option<Bytes>,

    /// Let other servers of this user listen on the same ports, but for metrics (SO_REUSEPORT): the kernel spreads
    /// connections over them
    #[arg(long, env = "POLLCHAT_SHARE_PORT", hide_env_values = true, value_parser = BoolishValueParser::new())]
    share_port: bool,

    /// Take flags from this file, in TOML: `greeting = "be kind"`. Flags and variables win over it. SIGHUP reads it again:
    /// greeting, access, rate and log level take effect at once [default: no file]
    #[arg(long, value_name = "FILE", env = "POLLCHAT_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,

    /// Print all settings in TOML with their origins, check the files that they name, and exit
    #[arg(long)]
    check: bool,

    /// Log this and worse on stderr: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", env = "POLLCHAT_LOG_LEVEL", hide_env_values = true)]
    #[arg(default_value = "info")]
    log_level: LevelFilter,

    /// Print a manual page (`man`, `man-protocol`) or completions (`bash`, `zsh`, `fish`), and exit
    #[arg(long, value_name = "WHAT", value_enum, hide_possible_values = true)]
    generate: Option<Generate>,
}

/// Something that the program prints instead of serving.
#[derive(Clone, Debug)]
pub enum Printed {
    /// A page of the manual, or completions.
    Generated(Generate),
    /// A new token for this name, and its line for the file of `--names`.
    NewToken(Name),
}

/// Adds a tip to the error about an argument that is an address: clap suggests flags alone.
pub fn with_tip(mut error: Error) -> Error {
    let address = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) if ListenAddress::of_lines(argument).is_ok() => argument.clone(),
        _ => return error,
    };
    if error.kind() == ErrorKind::UnknownArgument {
        let tip = format!("to listen on {address}, use '--listen {address}'");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

impl Flags {
    /// Returns the value of `--log-level`.
    pub fn log_level(&self) -> LevelFilter {
        self.log_level
    }

    /// Whether the program checks the settings instead of serving.
    pub fn is_check(&self) -> bool {
        self.check
    }

    /// Returns what the program prints instead of serving: for `--generate` or `--new-token`.
    pub fn printed(&self) -> Option<Printed> {
        let new_token = || self.new_token.clone().map(Printed::NewToken);
        self.generate.map(Printed::Generated).or_else(new_token)
    }
}

/// A number of bytes, written with K, M or G behind it if it is a multiple of such a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bytes(usize);

const UNITS: [(char, usize); 3] = [('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

impl FromStr for Bytes {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Bytes, &'static str> {
        let unit = UNITS.iter().find(|(letter, _)| text.ends_with([*letter, letter.to_ascii_lowercase()]));
        let digits = if unit.is_some() { &text[..text.len() - 1] } else { text };
        let number: usize = digits.parse().map_err(|_| "must be a number of bytes, or one with K, M or G behind it")?;
        number.checked_mul(unit.map_or(1, |(_, bytes)| *bytes)).map(Bytes).ok_or("must fit in memory")
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, bytes)| self.0 > 0 && self.0.is_multiple_of(*bytes)) {
            Some((letter, bytes)) => write!(f, "{}{letter}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

fn parse_clients(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(0) => Err("must be at least 1"),
        Ok(clients) => Ok(clients),
        Err(_) => Err("must be a number of clients"),
    }
}

fn parse_rooms(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rooms) if rooms <= ROOMS_MAX => Ok(rooms),
        _ => Err(format!("must be a number of rooms, at most {ROOMS_MAX}")),
    }
}

fn parse_name(text: &str) -> Result<Name, NameError> {
    Name::parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_they_are_read() {
        for (text, bytes) in [("0", 0), ("1000", 1000), ("4K", 4096), ("8M", 8 << 20), ("3G", 3 << 30)] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)));
            assert_eq!(Bytes(bytes).to_string(), text);
        }
        assert_eq!("8m".parse(), Ok(Bytes(8 << 20)));
        for text in ["", "K", "-1", "1.5M", "3X", "5é", "99999999999999999999", "99999999999G"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }
}
