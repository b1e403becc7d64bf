//! The relay server: flags, logger, run.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{CommandFactory, Parser, ValueEnum, error::ErrorKind};
use ipnet::IpNet;
use log::{LevelFilter, warn};
use pollchat::net::stdio::eprint_line;
use pollchat::relay::room::Audience;
use pollchat::server::access::{AccessRules, parse_prefix};
use pollchat::server::config::{Config, Lag};
use pollchat::server::endpoint::Endpoint;
use pollchat::server::flow::rate::Rate;
use pollchat::server::limits::{
    BACKLOG_BYTES_MAX, FLUSH_AFTER_MS_MAX, LINE_BYTES_CEILING, RATE_MAX, SECONDS_MAX, STALL_TIMEOUT,
};
use pollchat::server::systemd::notify_ready;
use pollchat::server::web::origin::{HostName, Origin, OriginPolicy};
use pollchat::server::web::site::url;
use pollchat::server::{Error, Server};

/// Relays every line of one client to all the others, marked with who said it
#[derive(Parser)]
#[command(name = "pollchat-server", version, term_width = 100)]
#[command(
    after_help = "Clients are pollchat-client, nc or telnet. SIGINT and SIGTERM stop the server in good order;\n\
                        SIGUSR1 logs what was done so far.\n\
                        Exit codes: 0 stopped by a signal or the operator, 1 could not start or go on, 2 usage."
)]
struct Flags {
    /// Where to listen; port 0 lets the kernel pick one; IPv6 is IPv6 only; can be given several times [default:
    /// the sockets that systemd hands over, or else 127.0.0.1:46000]
    #[arg(long, value_name = "IP:PORT", env = "POLLCHAT_LISTEN", value_delimiter = ',', hide_env_values = true)]
    listen: Vec<SocketAddr>,

    /// Where browsers find a page to talk along; can be given several times [default: nowhere]
    #[arg(long, value_name = "IP:PORT", env = "POLLCHAT_WEB", value_delimiter = ',', hide_env_values = true)]
    web: Vec<SocketAddr>,

    /// A name that browsers may know the server by, besides its addresses and localhost; only with `--web`; can be
    /// given several times
    #[arg(long, value_name = "NAME", env = "POLLCHAT_WEB_HOST", value_delimiter = ',', hide_env_values = true)]
    web_host: Vec<HostName>,

    /// A page from elsewhere that may join, by its origin, such as `https://chat.example.org`; only with `--web`; can be
    /// given several times
    #[arg(long, value_name = "ORIGIN", env = "POLLCHAT_WEB_ORIGIN", value_delimiter = ',', hide_env_values = true)]
    web_origin: Vec<Origin>,

    /// One more notice for newcomers
    #[arg(long, value_name = "TEXT", env = "POLLCHAT_GREETING", hide_env_values = true, default_value = "")]
    #[arg(hide_default_value = true)]
    greeting: String,

    /// How much of what was said a newcomer is shown
    #[arg(long, value_name = "LINES", env = "POLLCHAT_HISTORY", hide_env_values = true, default_value_t = 0)]
    history: u64,

    /// Who gets a line: the relay, the relay with echo, the echo server
    #[arg(long, value_name = "WHO", env = "POLLCHAT_AUDIENCE", hide_env_values = true, default_value = "others")]
    audience: AudienceFlag,

    /// Joins and leaves are told to all while at most N are present (0: never)
    #[arg(long, value_name = "N", env = "POLLCHAT_ANNOUNCE_UP_TO", hide_env_values = true, default_value_t = 50)]
    announce_up_to: usize,

    /// The size of the tape: what one may be behind, and all that is kept of what was said
    #[arg(long, value_name = "BYTES", env = "POLLCHAT_BACKLOG", hide_env_values = true, default_value = "8M")]
    #[arg(value_parser = parse_bytes)]
    backlog: usize,

    /// What happens to one who falls off its tail: goes on and is told what it missed; is let go; or is waited for, so that
    /// nobody loses anything
    #[arg(long, value_name = "WHAT", env = "POLLCHAT_LAG", hide_env_values = true, default_value = "skip")]
    lag: LagFlag,

    /// Who is waited for and does not take 64 KiB, or all there is, within this time is let go; only with `--lag wait`
    /// [default: 30]
    #[arg(long, value_name = "SECONDS", env = "POLLCHAT_STALL_TIMEOUT", hide_env_values = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    stall_timeout: Option<u64>,

    /// How many lines a client may say in a second, commands included; who has said more is not read until it may go on
    /// (0: any number)
    #[arg(long, value_name = "LINES/S", env = "POLLCHAT_RATE", hide_env_values = true, default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=i64::from(RATE_MAX)))]
    rate: u32,

    /// How many lines it may say at once after a time of silence; only with `--rate` [default: as many as in a second]
    #[arg(long, value_name = "LINES", env = "POLLCHAT_BURST", hide_env_values = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MAX)))]
    burst: Option<u32>,

    /// Who has never said anything is let go after this time (0: never)
    #[arg(long, value_name = "SECONDS", env = "POLLCHAT_IDLE_TIMEOUT", hide_env_values = true, default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=SECONDS_MAX))]
    idle_timeout: u64,

    /// More are refused with a line [default: the open-file limit less 32, and where there is a page less an eighth, at
    /// most 1024, for its visitors]
    #[arg(long, value_name = "N", env = "POLLCHAT_MAX_CLIENTS", hide_env_values = true)]
    #[arg(value_parser = parse_clients)]
    max_clients: Option<usize>,

    /// How many may be in from one address at a time, or from one /64 of IPv6 (0: any number)
    #[arg(long, value_name = "N", env = "POLLCHAT_MAX_PER_ADDRESS", hide_env_values = true, default_value_t = 0)]
    max_per_address: usize,

    /// Only those may come in; can be given several times [default: all]
    #[arg(long, value_name = "CIDR", env = "POLLCHAT_ALLOW", value_delimiter = ',', hide_env_values = true)]
    #[arg(value_parser = parse_prefix)]
    allow: Vec<IpNet>,

    /// Those may not come in, whoever is allowed; can be given several times [default: none]
    #[arg(long, value_name = "CIDR", env = "POLLCHAT_DENY", value_delimiter = ',', hide_env_values = true)]
    #[arg(value_parser = parse_prefix)]
    deny: Vec<IpNet>,

    /// Longest line as received, its end not counted
    #[arg(long, value_name = "BYTES", env = "POLLCHAT_MAX_LINE", hide_env_values = true, default_value = "4096")]
    #[arg(value_parser = parse_bytes)]
    max_line: usize,

    /// The operator talks along, as `server`: stdin is heard, and stdout shows what is said
    #[arg(long, env = "POLLCHAT_CONSOLE", hide_env_values = true, value_parser = BoolishValueParser::new())]
    console: bool,

    /// What is sent without a newline is a line after so much silence: for peers that take each `send` for a
    /// message [default: never]
    #[arg(long, value_name = "MS", env = "POLLCHAT_FLUSH_AFTER", hide_env_values = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=FLUSH_AFTER_MS_MAX))]
    flush_after: Option<u64>,

    /// What is logged on stderr: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", env = "POLLCHAT_LOG_LEVEL", hide_env_values = true, default_value = "info")]
    log_level: LevelFilter,
}

#[derive(Clone, Copy, ValueEnum)]
enum AudienceFlag {
    Others,
    Everyone,
    Sender,
}

#[derive(Clone, Copy, ValueEnum)]
enum LagFlag {
    Skip,
    Disconnect,
    Wait,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let log_level = flags.log_level;
    let config = config(flags);
    // It fails only if a logger is set already, which is nobody else's to do.
    let _ = pollchat::logging::init(log_level);
    match run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint_line(&format!("pollchat-server: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(config: &Config) -> Result<(), Error> {
    let server = Server::bind(config)?;
    let ports = server.addresses(Endpoint::Lines).map(|address| format!("listening on {address}"));
    let pages = server.addresses(Endpoint::Web).map(|address| format!("the page is at {}", url(address)));
    for line in ports.chain(pages) {
        if let Err(error) = writeln!(io::stdout(), "{line}") {
            warn!("cannot say on stdout: {line}: {error}");
        }
    }
    notify_ready(server.addresses(Endpoint::Lines).chain(server.addresses(Endpoint::Web)));
    server.run()
}

/// Takes the flags as a configuration, or ends with a usage error.
fn config(flags: Flags) -> Config {
    let usage = |text: String| Flags::command().error(ErrorKind::ValueValidation, text).exit();
    if let Some(burst) = flags.burst.filter(|_| flags.rate == 0) {
        usage(format!("--burst {burst}: it is the burst of a rate; name one with --rate"));
    }
    if let Some(seconds) = flags.stall_timeout.filter(|_| !matches!(flags.lag, LagFlag::Wait)) {
        usage(format!("--stall-timeout {seconds}: nobody is waited for but with --lag wait"));
    }
    if flags.web.is_empty() {
        let host = flags.web_host.first().map(|host| format!("--web-host {host}"));
        let origin = flags.web_origin.first().map(|origin| format!("--web-origin {origin}"));
        if let Some(flag) = host.or(origin) {
            usage(format!("{flag}: there is no page; name a place for one with --web"));
        }
    }
    let config = Config {
        listen: flags.listen,
        web: flags.web,
        origin_policy: OriginPolicy { hosts: flags.web_host, origins: flags.web_origin },
        greeting: flags.greeting,
        history_lines: flags.history,
        audience: match flags.audience {
            AudienceFlag::Others => Audience::Others,
            AudienceFlag::Everyone => Audience::Everyone,
            AudienceFlag::Sender => Audience::Sender,
        },
        announce_up_to: flags.announce_up_to,
        backlog_bytes: flags.backlog,
        lag: match flags.lag {
            LagFlag::Skip => Lag::Skip,
            LagFlag::Disconnect => Lag::Disconnect,
            LagFlag::Wait => Lag::Wait,
        },
        stall_timeout: flags.stall_timeout.map_or(STALL_TIMEOUT, Duration::from_secs),
        rate: (flags.rate > 0).then(|| Rate::new(flags.rate, flags.burst.unwrap_or(flags.rate))),
        idle_timeout: (flags.idle_timeout > 0).then(|| Duration::from_secs(flags.idle_timeout)),
        clients_max: flags.max_clients,
        access: AccessRules { allow: flags.allow, deny: flags.deny, per_address_max: flags.max_per_address },
        line_bytes_max: flags.max_line,
        console: flags.console,
        flush_after: flags.flush_after.map(Duration::from_millis),
    };
    if !(1..=LINE_BYTES_CEILING).contains(&config.line_bytes_max) {
        usage(format!("--max-line {}: it must be from 1 to {LINE_BYTES_CEILING}", config.line_bytes_max));
    }
    let backlog_bytes_min = config.longest_line_bytes();
    if !(backlog_bytes_min..=BACKLOG_BYTES_MAX).contains(&config.backlog_bytes) {
        usage(format!(
            "--backlog {}: with --max-line {} it must be from {backlog_bytes_min} to {BACKLOG_BYTES_MAX}",
            config.backlog_bytes, config.line_bytes_max
        ));
    }
    config
}

/// Takes a plain number of bytes, or one with K, M or G behind it.
fn parse_bytes(text: &str) -> Result<usize, String> {
    let unit = match text.chars().last() {
        Some('K' | 'k') => 1 << 10,
        Some('M' | 'm') => 1 << 20,
        Some('G' | 'g') => 1 << 30,
        _ => 1,
    };
    let digits = if unit == 1 { text } else { &text[..text.len() - 1] };
    let number: usize = digits.parse().map_err(|_| "a number of bytes, or one with K, M or G behind it".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "too many bytes".to_owned())
}

fn parse_clients(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("there must be a place for one".to_owned()),
        Ok(clients) => Ok(clients),
        Err(_) => Err("a number of clients".to_owned()),
    }
}
