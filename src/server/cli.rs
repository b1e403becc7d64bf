//! The flags of `pollchat-server`, each also an environment variable, and the [`Config`] made of them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgGroup, CommandFactory, Error, Parser};
use ipnet::IpNet;
use log::LevelFilter;

use super::access::{AccessRules, parse_prefix};
use super::certificate::TlsFiles;
use super::config::{Config, JournalConfig, Lag, TlsConfig};
use super::endpoint::ListenAddress;
use super::flow::budget::TurnLimits;
use super::flow::rate::Rate;
use super::journal;
use super::limits::{
    ANNOUNCE_UP_TO, BACKLOG_BYTES, BACKLOG_BYTES_MAX, FLUSH_AFTER_MS_MAX, JOURNAL_KEEP_BYTES, JOURNAL_KEEP_BYTES_MIN,
    JOURNAL_SYNC, LINE_BYTES_CEILING, LINE_BYTES_MAX, RATE_MAX, RESUME_WITHIN, ROOM_BACKLOG_BYTES, ROOMS, SECONDS_MAX,
    STALL_TIMEOUT,
};
use super::proxy::ProxySource;
use super::web::origin::{HostName, Origin, OriginPolicy};
use super::web::resource::WebPath;
use crate::manual::Generate;
use crate::relay::directory::{Directory, ROOMS_MAX};
use crate::relay::name::{Name, NameError};
use crate::relay::room::Audience;

/// Relays each line of a client to all other clients, marked with its sender's name
#[derive(Debug, Parser)]
#[command(name = "pollchat-server", version, term_width = 100)]
#[command(group = ArgGroup::new("page").args(["web", "web_tls"]).multiple(true))]
#[command(
    after_help = "Clients are pollchat-client, a browser (--web), nc or telnet. SIGINT and SIGTERM stop the server;\n\
                  SIGHUP reads the files of TLS again; SIGUSR1 logs statistics.\n\
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
    #[arg(requires = "page")]
    web_host: Vec<HostName>,

    /// Admit a page of another site by its origin, such as `https://chat.example.org`. Requires --web or --web-tls.
    /// Repeatable
    #[arg(long, value_name = "ORIGIN", env = "POLLCHAT_WEB_ORIGIN", value_delimiter = ',', hide_env_values = true)]
    #[arg(requires = "page")]
    web_origin: Vec<Origin>,

    /// Have the page below this path, such as /chat, for a proxy that passes paths on as they are. Requires --web or --web-tls
    /// [default: /]
    #[arg(long, value_name = "PATH", env = "POLLCHAT_WEB_PATH", hide_env_values = true)]
    #[arg(requires = "page")]
    web_path: Option<WebPath>,

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
    #[arg(value_parser = parse_room)]
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

    /// Log this and worse on stderr: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", env = "POLLCHAT_LOG_LEVEL", hide_env_values = true)]
    #[arg(default_value = "info")]
    log_level: LevelFilter,

    /// Print a manual page (`man`, `man-protocol`) or completions (`bash`, `zsh`, `fish`), and exit
    #[arg(long, value_name = "WHAT", value_enum, hide_possible_values = true)]
    generate: Option<Generate>,
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

    /// Returns the value of `--generate`.
    pub fn generate(&self) -> Option<Generate> {
        self.generate
    }

    /// Turns the flags into a configuration.
    ///
    /// # Errors
    ///
    /// A usage error, if flags contradict each other.
    pub fn into_config(self) -> Result<Config, Error> {
        let usage = |text| Err(Flags::command().error(ErrorKind::ValueValidation, text));
        if self.burst.is_some() && self.rate == 0 {
            return usage("--burst requires --rate".to_owned());
        }
        if self.stall_timeout.is_some() && self.lag != Lag::Wait {
            return usage("--stall-timeout requires --lag wait".to_owned());
        }
        let journal = match journal_config(self.journal, self.journal_keep, self.journal_sync) {
            Ok(journal) => journal,
            Err(problem) => return usage(problem),
        };
        let tls = match tls_config(self.tls, self.web_tls, self.tls_cert, self.tls_key) {
            Ok(tls) => tls,
            Err(problem) => return usage(problem.to_owned()),
        };
        let mut config = Config {
            listen: self.listen,
            web: self.web,
            tls,
            web_path: self.web_path.unwrap_or_default(),
            origin_policy: OriginPolicy { hosts: self.web_host, origins: self.web_origin },
            greeting: self.greeting,
            history_lines: self.history,
            audience: self.audience,
            announce_up_to: self.announce_up_to,
            backlog_bytes: self.backlog.0,
            room_backlog_bytes: self.room_backlog.map_or(ROOM_BACKLOG_BYTES, |bytes| bytes.0),
            rooms_max: self.rooms,
            rooms: self.room,
            lag: self.lag,
            stall_timeout: self.stall_timeout.map_or(STALL_TIMEOUT, Duration::from_secs),
            rate: (self.rate > 0).then(|| Rate::new(self.rate, self.burst.unwrap_or(self.rate))),
            resume_within: (self.resume_within > 0).then(|| Duration::from_secs(self.resume_within)),
            idle_timeout: (self.idle_timeout > 0).then(|| Duration::from_secs(self.idle_timeout)),
            clients_max: self.max_clients,
            access: AccessRules { allow: self.allow, deny: self.deny, per_address_max: self.max_per_address },
            proxies: self.proxy_from.into_iter().collect(),
            line_bytes_max: self.max_line.0,
            console: self.console,
            flush_after: self.flush_after.map(Duration::from_millis),
            journal,
            turn: TurnLimits::default(),
        };
        if !(1..=LINE_BYTES_CEILING).contains(&config.line_bytes_max) {
            return usage(format!("--max-line must be from 1 to {LINE_BYTES_CEILING}, not {}", config.line_bytes_max));
        }
        if self.room_backlog.is_none() {
            config.room_backlog_bytes = config.room_backlog_bytes.max(2 * config.longest_line_bytes());
        }
        // A tape has to hold at least one line of the longest kind.
        let backlog_bytes_min = config.longest_line_bytes();
        for (flag, bytes) in [("--backlog", config.backlog_bytes), ("--room-backlog", config.room_backlog_bytes)] {
            if !(backlog_bytes_min..=BACKLOG_BYTES_MAX).contains(&bytes) {
                return usage(format!(
                    "{flag} must be from {backlog_bytes_min} to {BACKLOG_BYTES_MAX} with --max-line {}, not {bytes}",
                    config.line_bytes_max
                ));
            }
        }
        let keep_bytes_min = JOURNAL_KEEP_BYTES_MIN.max(8 * journal::Settings::buffer_bytes(&config)) as u64;
        if let Some(JournalConfig { keep_bytes, .. }) = config.journal
            && keep_bytes < keep_bytes_min
        {
            return usage(format!("--journal-keep must be at least {keep_bytes_min}, not {keep_bytes}"));
        }
        match check_rooms(&config.rooms, config.rooms_max) {
            Ok(()) => Ok(config),
            Err(problem) => usage(problem),
        }
    }
}

/// Returns the settings of TLS, if there is a port that speaks it.
fn tls_config(
    lines: Vec<ListenAddress>,
    web: Vec<ListenAddress>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<TlsConfig>, &'static str> {
    match (certificate, key, lines.is_empty() && web.is_empty()) {
        (Some(certificate), Some(key), false) => {
            Ok(Some(TlsConfig { lines, web, files: TlsFiles { certificate, key } }))
        }
        (Some(_), None, _) => Err("--tls-cert requires --tls-key, the file of its private key"),
        (None, Some(_), _) => Err("--tls-key requires --tls-cert, the file of its certificate"),
        (Some(_), Some(_), true) => Err(
            "--tls-cert requires a port: add --tls 0.0.0.0:46001 for clients, or --web-tls 0.0.0.0:8443 for browsers",
        ),
        (None, None, false) if lines.is_empty() => Err("--web-tls requires --tls-cert and --tls-key"),
        (None, None, false) => Err("--tls requires --tls-cert and --tls-key"),
        (None, None, true) => Ok(None),
    }
}

/// Returns the settings of the journal, if there is one.
fn journal_config(
    dir: Option<PathBuf>,
    keep: Option<Bytes>,
    sync: Option<u64>,
) -> Result<Option<JournalConfig>, String> {
    let Some(dir) = dir else {
        return match (keep, sync) {
            (Some(_), _) => Err("--journal-keep requires --journal".to_owned()),
            (None, Some(_)) => Err("--journal-sync requires --journal".to_owned()),
            (None, None) => Ok(None),
        };
    };
    let keep_bytes = keep.map_or(JOURNAL_KEEP_BYTES, |bytes| bytes.0) as u64;
    let sync_every = Some(sync.map_or(JOURNAL_SYNC, Duration::from_secs)).filter(|every| !every.is_zero());
    Ok(Some(JournalConfig { dir, keep_bytes, sync_every }))
}

/// Checks the names of the rooms that exist forever against each other, and their number.
fn check_rooms(names: &[Name], rooms_max: usize) -> Result<(), String> {
    let mut directory = Directory::default();
    for name in names {
        if let Some(other) = directory.lookalike(name) {
            return Err(if other.folded() == name.folded() {
                format!("--room {name} exists already")
            } else {
                format!("--room {name} looks like {other}")
            });
        }
        directory.open(name.clone(), true);
    }
    if names.is_empty() || directory.len() <= rooms_max {
        return Ok(());
    }
    Err(format!("--rooms must be at least {}, for the lobby and each --room, not {rooms_max}", directory.len()))
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

fn parse_room(text: &str) -> Result<Name, NameError> {
    Name::parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(flags: &[&str]) -> Result<Config, String> {
        let flags = Flags::try_parse_from([&["pollchat-server"], flags].concat());
        flags.and_then(Flags::into_config).map_err(|error| error.to_string())
    }

    #[test]
    fn the_flags_are_consistent() {
        Flags::command().debug_assert();
    }

    #[test]
    fn the_defaults_of_the_flags_are_those_of_the_configuration() {
        assert_eq!(format!("{:?}", config(&[]).unwrap()), format!("{:?}", Config::default()));
    }

    #[test]
    fn an_error_names_the_flag_and_says_what_to_do() {
        for (flags, expected) in [
            (&["--burst", "5"][..], "--burst requires --rate"),
            (&["--burst", "5", "--rate", "0"], "--burst requires --rate"),
            (&["--stall-timeout", "5"], "--stall-timeout requires --lag wait"),
            (&["--journal-sync", "5"], "--journal-sync requires --journal"),
            (&["--journal-keep", "1G"], "--journal-keep requires --journal"),
            (&["--journal", "x", "--journal-keep", "1M"], "--journal-keep must be at least 8388608, not 1048576"),
            (&["--web-host", "chat.lan"], "--web <ADDRESS>"),
            (&["--tls", "46001"], "--tls requires --tls-cert and --tls-key"),
            (&["--web-tls", "8443"], "--web-tls requires --tls-cert and --tls-key"),
            (&["--tls", "46001", "--tls-cert", "c"], "--tls-cert requires --tls-key, the file"),
            (&["--tls-key", "k"], "--tls-key requires --tls-cert, the file"),
            (&["--tls-cert", "c", "--tls-key", "k"], "--tls-cert requires a port: add --tls 0.0.0.0:46001"),
            (&["--max-clients", "0"], "'--max-clients <N>': must be at least 1"),
            (&["--max-line", "0"], "--max-line must be from 1 to 1048576, not 0"),
            (&["--backlog", "100"], "--backlog must be from 12608 to"),
            (&["--room-backlog", "100"], "--room-backlog must be from 12608 to"),
            (&["--rooms", "65536"], "must be a number of rooms, at most 65535"),
            (&["--rooms", "1", "--room", "rust"], "--rooms must be at least 2, for the lobby and each --room, not 1"),
            (&["--room", "rust", "--room", "RUST"], "--room RUST exists already"),
            (&["--room", "LOBBY"], "--room LOBBY exists already"),
            (&["--room", "1obby"], "--room 1obby looks like lobby"),
            (&["--room", "a b"], "'--room <NAME>': a name is 1 to 24 letters"),
        ] {
            let error = config(flags).unwrap_err();
            assert!(error.contains(expected), "{flags:?}: {error}");
        }
    }

    #[test]
    fn the_flags_of_tls_are_one_setting() {
        let files = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
        let both = config(&[&["--tls", "46001", "--web-tls", "8443", "--web-host", "a"][..], &files].concat()).unwrap();
        let tls = both.tls.as_ref().unwrap();
        assert_eq!((tls.lines.len(), tls.web.len(), tls.files.key.to_str()), (1, 1, Some("key.pem")));
        assert!(both.has_page());
        assert!(!config(&[&["--tls", "46001"][..], &files].concat()).unwrap().has_page());
    }

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
