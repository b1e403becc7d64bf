//! `pollchat-server`: reads the flags, starts the log, runs [`pollchat::server`] and returns an exit code. As
//! `pollchat-server export` it prints a journal instead, as `pollchat-server ctl` it gives an order to a running server,
//! and with `--generate`, `--new-token` or `--check` what these ask for.

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
use pollchat::server::ctl::Ctl;
use pollchat::server::endpoint::{BoundAddress, Endpoint};
use pollchat::server::journal::export::Export;
use pollchat::server::reach::reachable;
use pollchat::server::reload;
use pollchat::server::settings::Settings;
use pollchat::server::systemd::notify_ready;
use pollchat::server::web::site::url;
use pollchat::server::{Error, Server};
use pollchat::{logging, variables};

fn main() -> ExitCode {
    // Not a subcommand of clap: to that, a forgotten `--listen` would look like a misspelt one.
    let arguments = || env::args_os().skip(1);
    match arguments().next() {
        Some(word) if word == "export" => return variables::parse_from(arguments(), Ok::<Export, _>).run(),
        Some(word) if word == "ctl" => return variables::parse_from(arguments(), Ctl::checked).run(),
        _ => {}
    }
    let settings = Settings::read(&env::args_os().collect::<Vec<_>>())
        .unwrap_or_else(|error| variables::exit(Flags::command().get_name(), &cli::with_tip(error)));
    match settings.printed() {
        Some(Printed::Generated(what)) => return manual::generate(*what, Flags::command()),
        Some(Printed::NewToken(name)) => return print(&NewToken::of(name)),
        None => {}
    }
    // Fails only if a logger is set already, and this is the only place that sets one.
    let _ = logging::init(settings.log_level());
    if let Some(warning) = variables::unread(&Flags::command()) {
        warn!("{warning}");
    }
    if settings.is_check() {
        return check(&settings);
    }
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &impl Display) -> ExitCode {
    eprint_line(&logging::failure(&format!("pollchat-server: {error}")));
    ExitCode::FAILURE
}

/// Prints the settings, and reads the files that they name.
fn check(settings: &Settings) -> ExitCode {
    let printed = exit_code_of_print("pollchat-server", write!(io::stdout(), "{settings}")).into();
    reload::check(settings.config()).map_or_else(|error| fail(&error), |()| printed)
}

fn print(text: &impl Display) -> ExitCode {
    exit_code_of_print("pollchat-server", writeln!(io::stdout(), "{text}")).into()
}

fn run(settings: Settings) -> Result<(), Error> {
    let mut server = Server::bind(settings.config())?;
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
                format!("the page is at {}", url(endpoint, reachable(*port), &settings.config().web_path))
            }
            (_, BoundAddress::Unix(_)) => format!("the page is at {address}"),
        };
        if let Err(error) = writeln!(io::stdout(), "{line}") {
            warn!("cannot write to stdout: {line}: {error}");
        }
    }
    notify_ready(server.endpoints().map(|(_, address)| address));
    server.reload_from(settings);
    server.run()
}
