//! `pollchat-server`: reads the flags, starts the log, runs [`pollchat::server`] and returns an exit code. As
//! `pollchat-server export` it prints a journal instead, and with `--generate` or `--new-token` what these ask for.

use std::env;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::CommandFactory;
use log::warn;
use pollchat::manual;
use pollchat::net::stdio::{eprint_line, exit_code_of_print};
use pollchat::relay::names::NewToken;
use pollchat::server::cli::{self, Flags, Printed};
use pollchat::server::config::Config;
use pollchat::server::endpoint::{BoundAddress, Endpoint};
use pollchat::server::journal::export::Export;
use pollchat::server::reach::reachable;
use pollchat::server::systemd::notify_ready;
use pollchat::server::web::site::url;
use pollchat::server::{Error, Server};
use pollchat::{logging, variables};

fn main() -> ExitCode {
    // Not a subcommand of clap: to that, a forgotten `--listen` would look like a misspelt one.
    if env::args_os().nth(1).is_some_and(|argument| argument == "export") {
        return variables::parse_from::<Export>(env::args_os().skip(1)).run();
    }
    let finish = |flags: Flags| {
        let (printed, log_level) = (flags.printed(), flags.log_level());
        // A wrong combination of flags is no reason to refuse the manual.
        let config = if printed.is_some() { Config::default() } else { flags.into_config()? };
        Ok((printed, log_level, config))
    };
    let (printed, log_level, config) = variables::parse(finish, cli::with_tip);
    match printed {
        Some(Printed::Generated(what)) => return manual::generate(what, Flags::command()),
        Some(Printed::NewToken(name)) => return print(&NewToken::of(&name)),
        None => {}
    }
    // Fails only if a logger is set already, and this is the only place that sets one.
    let _ = logging::init(log_level);
    if let Some(warning) = variables::unread(&Flags::command()) {
        warn!("{warning}");
    }
    match run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint_line(&logging::failure(&format!("pollchat-server: {error}")));
            ExitCode::FAILURE
        }
    }
}

fn print(text: &impl Display) -> ExitCode {
    exit_code_of_print("pollchat-server", writeln!(io::stdout(), "{text}")).into()
}

fn run(config: &Config) -> Result<(), Error> {
    let server = Server::bind(config)?;
    let pin = server.pin().unwrap_or_default();
    for (endpoint, address) in server.endpoints() {
        let line = match (endpoint, address) {
            (Endpoint::Lines, _) => format!("listening on {address}"),
            (Endpoint::TlsLines, _) => format!("listening on {address} with TLS (pin {pin})"),
            (Endpoint::Metrics, BoundAddress::Port(port)) => {
                format!("metrics are at http://{}/metrics", reachable(*port))
            }
            (Endpoint::Metrics, _) => format!("metrics are at {address}"),
            (Endpoint::Control, _) => format!("operators are obeyed at {address}"),
            (_, BoundAddress::Port(port)) => {
                format!("the page is at {}", url(endpoint, reachable(*port), &config.web_path))
            }
            (_, BoundAddress::Unix(_)) => format!("the page is at {address}"),
        };
        if let Err(error) = writeln!(io::stdout(), "{line}") {
            warn!("cannot write to stdout: {line}: {error}");
        }
    }
    notify_ready(server.endpoints().map(|(_, address)| address));
    server.run()
}
