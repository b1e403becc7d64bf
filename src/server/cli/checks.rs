//! The configuration made of the flags, and the checks that need several of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Error};

use super::super::access::AccessRules;
use super::super::bus::address::WrittenBusAddress;
use super::super::certificate::TlsFiles;
use super::super::config::{BusConfig, Config, JournalConfig, Lag, TlsConfig};
use super::super::endpoint::ListenAddress;
use super::super::flow::budget::TurnLimits;
use super::super::flow::rate::Rate;
use super::super::inherited::Inherited;
use super::super::journal;
use super::super::limits::{
    BACKLOG_BYTES_MAX, BUS_KEEP_BYTES, BUS_KEEP_BYTES_MIN, JOURNAL_KEEP_BYTES, JOURNAL_KEEP_BYTES_MIN, JOURNAL_SYNC,
    LINE_BYTES_CEILING, ROOM_BACKLOG_BYTES, STALL_TIMEOUT,
};
use super::super::web::origin::OriginPolicy;
use super::{Bytes, Flags};
use crate::relay::directory::Directory;
use crate::relay::name::Name;
use crate::relay::room::Audience;

impl Flags {
    /// Turns the flags into a configuration.
    ///
    /// # Errors
    ///
    /// A usage error, if flags contradict each other.
    pub fn into_config(self) -> Result<Config, Error> {
        self.checked().map_err(|problem| Flags::command().error(ErrorKind::ValueValidation, problem))
    }

    /// Turns the flags into a configuration, or tells how they contradict each other.
    fn checked(self) -> Result<Config, String> {
        if self.burst.is_some() && self.rate == 0 {
            return Err("--burst requires --rate".to_owned());
        }
        if self.stall_timeout.is_some() && self.lag != Lag::Wait {
            return Err("--stall-timeout requires --lag wait".to_owned());
        }
        let journal = journal_config(self.journal, self.journal_keep, self.journal_sync)?;
        let bus = bus_config(self.bus.as_ref(), self.bus_keep)?;
        let inherited = Inherited::announced();
        // A file is right whatever sockets are handed over today, and `--check` is not told of any.
        let is_any_port_right = self.config.is_some();
        let has_tls = is_any_port_right || inherited.has_tls();
        let tls = tls_config(self.tls, self.web_tls, self.tls_cert, self.tls_key, has_tls)?;
        let of_page = [
            ("--web-host", !self.web_host.is_empty()),
            ("--web-origin", !self.web_origin.is_empty()),
            ("--web-path", self.web_path.is_some()),
        ];
        let mut config = Config {
            inherited,
            listen: self.listen,
            web: self.web,
            tls,
            metrics: self.metrics,
            control: self.control,
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
            bans_file: self.bans,
            password_file: self.password_file,
            names_file: self.names,
            proxies: self.proxy_from.into_iter().collect(),
            line_bytes_max: self.max_line.0,
            console: self.console,
            flush_after: self.flush_after.map(Duration::from_millis),
            journal,
            bus,
            share_port: self.share_port,
            turn: TurnLimits::default(),
        };
        let has_page = is_any_port_right || config.has_page();
        if let Some((flag, _)) = of_page.into_iter().find(|(_, is_set)| *is_set && !has_page) {
            return Err(format!("{flag} requires --web or --web-tls"));
        }
        check_line(config.line_bytes_max)?;
        if self.room_backlog.is_none() {
            config.room_backlog_bytes = config.room_backlog_bytes.max(2 * config.longest_line_bytes());
        }
        check_sizes(&config)?;
        check_places(&config)?;
        check_bus(&config)?;
        check_rooms(&config.rooms, config.rooms_max)?;
        Ok(config)
    }
}

/// Checks the longest line.
fn check_line(bytes: usize) -> Result<(), String> {
    if (1..=LINE_BYTES_CEILING).contains(&bytes) {
        return Ok(());
    }
    Err(format!("--max-line must be from 1 to {LINE_BYTES_CEILING}, not {bytes}"))
}

/// Checks the sizes that depend on the longest line: a tape has to hold at least one line of the longest kind.
fn check_sizes(config: &Config) -> Result<(), String> {
    let backlog_bytes_min = config.longest_line_bytes();
    for (flag, bytes) in [("--backlog", config.backlog_bytes), ("--room-backlog", config.room_backlog_bytes)] {
        if !(backlog_bytes_min..=BACKLOG_BYTES_MAX).contains(&bytes) {
            return Err(format!(
                "{flag} must be from {backlog_bytes_min} to {BACKLOG_BYTES_MAX} with --max-line {}, not {bytes}",
                config.line_bytes_max
            ));
        }
    }
    let keep_bytes_min = JOURNAL_KEEP_BYTES_MIN.max(8 * journal::Settings::buffer_bytes(config)) as u64;
    match config.journal {
        Some(JournalConfig { keep_bytes, .. }) if keep_bytes < keep_bytes_min => {
            Err(format!("--journal-keep must be at least {keep_bytes_min}, not {keep_bytes}"))
        }
        _ => Ok(()),
    }
}

/// Checks that the journal has its folder for itself.
fn check_places(config: &Config) -> Result<(), String> {
    let folder = config.bans_file.as_deref().and_then(Path::parent);
    match &config.journal {
        Some(journal) if folder == Some(journal.dir.as_path()) => {
            Err(format!("--bans must not be in {}, the folder of --journal", journal.dir.display()))
        }
        _ => Ok(()),
    }
}

/// Checks that nothing contradicts the bus.
fn check_bus(config: &Config) -> Result<(), &'static str> {
    match config {
        Config { bus: None, .. } => Ok(()),
        Config { lag: Lag::Wait, .. } => Err("--bus excludes --lag wait: no server knows the slow readers of another"),
        Config { audience: Audience::Sender, .. } => Err("--bus excludes --audience sender: nothing would be shared"),
        Config { journal: Some(_), .. } => Err("--bus excludes --journal: Redis keeps what is said"),
        _ => Ok(()),
    }
}

/// Returns the settings of TLS, if there is a port that speaks it.
fn tls_config(
    lines: Vec<ListenAddress>,
    web: Vec<ListenAddress>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    is_inherited: bool,
) -> Result<Option<TlsConfig>, &'static str> {
    match (certificate, key, lines.is_empty() && web.is_empty()) {
        (Some(certificate), Some(key), true) if is_inherited => {
            Ok(Some(TlsConfig { lines, web, files: TlsFiles { certificate, key } }))
        }
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

/// Returns the settings of the bus, if there is one.
fn bus_config(address: Option<&WrittenBusAddress>, keep: Option<Bytes>) -> Result<Option<BusConfig>, String> {
    let keep_bytes = keep.map_or(BUS_KEEP_BYTES, |bytes| bytes.0);
    let Some(address) = address else {
        return if keep.is_some() { Err("--bus-keep requires --bus".to_owned()) } else { Ok(None) };
    };
    if keep_bytes < BUS_KEEP_BYTES_MIN {
        return Err(format!("--bus-keep must be at least {BUS_KEEP_BYTES_MIN}, not {keep_bytes}"));
    }
    // clap would show the value with its password.
    let address = address.parse().map_err(|error| format!("--bus is no address of Redis: {error}"))?;
    Ok(Some(BusConfig { address, keep_bytes: keep_bytes as u64 }))
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

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
            (&["--journal", "/a/j", "--bans", "/a/j/bans"], "--bans must not be in /a/j, the folder of --journal"),
            (&["--journal", "x", "--journal-keep", "1M"], "--journal-keep must be at least 8388608, not 1048576"),
            (&["--bus-keep", "1G"], "--bus-keep requires --bus"),
            (&["--bus", "redis://a", "--bus-keep", "1K"], "--bus-keep must be at least 1048576, not 1024"),
            (&["--bus", "redis://a", "--lag", "wait"], "--bus excludes --lag wait: no server knows"),
            (&["--bus", "redis://a", "--audience", "sender"], "--bus excludes --audience sender: nothing"),
            (&["--bus", "redis://a", "--journal", "x"], "--bus excludes --journal: Redis keeps"),
            (&["--bus", "a:6379"], "--bus is no address of Redis: write redis://HOST:PORT, rediss://HOST:PORT"),
            (&["--web-host", "chat.lan"], "--web-host requires --web or --web-tls"),
            (&["--web-path", "/chat"], "--web-path requires --web or --web-tls"),
            (&["--web-origin", "http://a"], "--web-origin requires --web"),
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
    fn a_file_of_settings_needs_no_port_of_its_own() {
        let of_file = ["--config", "server.toml", "--web-host", "chat.lan"];
        assert!(!config(&of_file).unwrap().has_page());
        let with_tls = config(&[&of_file[..], &["--tls-cert", "cert.pem", "--tls-key", "key.pem"]].concat()).unwrap();
        assert!(with_tls.tls.is_some_and(|tls| tls.lines.is_empty() && tls.web.is_empty()));
    }

    #[test]
    fn the_flags_of_the_bus_are_one_setting() {
        let bus = config(&["--bus", "redis://ana:secret@redis.lan/chat", "--share-port"]).unwrap();
        assert!(bus.share_port && !format!("{bus:?}").contains("secret"));
        let bus = bus.bus.unwrap();
        assert_eq!((bus.address.to_string().as_str(), bus.keep_bytes), ("redis://redis.lan:6379/chat", 64 << 20));
        let of = |keep| config(&["--bus", "unix:/a", "--bus-keep", keep]).unwrap().bus.unwrap().keep_bytes;
        assert_eq!(of("2G"), 2 << 30);
    }

    #[test]
    fn no_error_shows_the_password_of_the_bus() {
        for flags in [
            &["--bus", "redis://ana:secret@host:x"][..],
            &["--bus", "redis://secret@host"],
            &["--bus", "ana:secret@host"],
            &["--bus", "redis://:secret@host/0"],
            &["--bus", "redis://:secret%@host"],
            &["--bus", "redis://:secret@host", "--journal", "x"],
            &["--bus", "redis://:secret@host", "--bus", "redis://:secret@host"],
            &["--bus", "redis://:secret@host", "--burst", "5"],
            &["--bus", "redis://:secret@host", "--what"],
        ] {
            let error = config(flags).unwrap_err();
            assert!(!error.contains("secret"), "{flags:?}: {error}");
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
}
