//! Reloads: what the server reads when it starts, and again at SIGHUP or an order. That is the file of `--config`, the
//! certificate with its key, the names with owners, the password, and the bans.
//!
//! All are read or none: if one of them is of no use, the server goes on with all that it has read before. A setting that
//! has not changed in the file is not set again, so what an operator has set by an order stays.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use log::{error, info, warn};

use super::bans::file::{BansFile, BansFileError, BansProblem, Kept};
use super::certificate::{CertificateError, Identity, TlsFiles};
use super::config::Config;
use super::endpoint::{BoundAddress, Endpoint};
use super::hub::Hub;
use super::secrets::{self, Password, SecretsError};
use super::settings::Settings;
use super::{Server, systemd};
use crate::logging;
use crate::net::stream::Socket;
use crate::relay::names::Names;

/// Settings that a reload changes. The others need a restart.
pub const RELOADABLE: [&str; 7] = ["greeting", "allow", "deny", "max-per-address", "rate", "burst", "log-level"];

/// A file that is of no use.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A file of TLS.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A file of secrets.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The file of bans.
    #[error(transparent)]
    Bans(#[from] BansFileError),
}

/// The files, and what is kept of the last contents.
#[derive(Debug)]
pub(super) struct Files {
    tls: Option<TlsFiles>,
    names: Option<PathBuf>,
    password: Option<PathBuf>,
    bans: Option<BansFile>,
    /// The pin of the server's public key, if a port speaks TLS.
    pin: Option<String>,
}

/// The contents of the files.
#[derive(Debug)]
pub(super) struct Contents {
    identity: Option<Identity>,
    names: Option<(PathBuf, Names)>,
    password: Option<(PathBuf, Password)>,
    bans: Option<Kept>,
}

impl Files {
    /// Returns the files of a configuration.
    pub(super) fn of(config: &Config) -> Files {
        Files {
            tls: config.tls.as_ref().map(|tls| tls.files.clone()),
            names: config.names_file.clone(),
            password: config.password_file.clone(),
            bans: config.bans_file.clone().map(BansFile::new),
            pin: None,
        }
    }

    /// Returns the pin of the server's public key, if a port speaks TLS.
    pub(super) fn pin(&self) -> Option<&str> {
        self.pin.as_deref()
    }

    fn is_empty(&self) -> bool {
        self.tls.is_none() && self.names.is_none() && self.password.is_none() && self.bans.is_none()
    }

    /// Reads all files.
    ///
    /// # Errors
    /// Names the first that is of no use, and its fault.
    pub(super) fn read(&self, now: SystemTime) -> Result<Contents, FileError> {
        Ok(Contents {
            identity: self.tls.as_ref().map(|tls| Identity::read(tls, now)).transpose()?,
            names: read(self.names.as_ref(), secrets::read_names)?,
            password: read(self.password.as_ref(), secrets::read_password)?,
            bans: self.bans.as_ref().map(BansFile::read).transpose()?,
        })
    }

    /// Begins to use what the files hold. `endpoints` are those of the listeners.
    pub(super) fn begin<'a, S: Socket>(
        &mut self,
        contents: Contents,
        endpoints: impl Iterator<Item = (Endpoint, &'a BoundAddress)>,
        hub: &mut Hub<S>,
    ) {
        if !self.is_empty() {
            contents.warn(endpoints);
            info!("{contents}");
            self.pin = contents.pin();
            contents.hand_over(hub);
            if let Some(file) = &self.bans {
                hub.keep_bans(file.changes());
            }
        }
    }

    /// Uses what the files hold by now. Connections stay as they are; a member whose name belongs to another client by now
    /// loses it. Returns what was read, if there are files.
    fn renew<'a, S: Socket>(
        &mut self,
        contents: Contents,
        endpoints: impl Iterator<Item = (Endpoint, &'a BoundAddress)>,
        hub: &mut Hub<S>,
    ) -> Option<String> {
        if self.is_empty() {
            return None;
        }
        contents.warn(endpoints);
        if contents.pin() != self.pin {
            info!("the pin has changed: clients with --pin need the new one");
            self.pin = contents.pin();
        }
        let summary = contents.to_string();
        Some(match contents.hand_over(hub) {
            0 => summary,
            lost => format!("{summary}; members that lost their names: {lost}"),
        })
    }
}

impl Server {
    /// Reads the settings and the files again. Returns, and logs, what has changed, or why nothing has: one line. The
    /// service manager is told when it begins and when it is over.
    pub(super) fn reload(&mut self, now: Instant) -> Result<String, String> {
        if self.stop_at.is_some() {
            return Err("the server is shutting down".to_owned());
        }
        systemd::notify_reloading();
        let level = log::max_level();
        let outcome = self.read_again(now);
        let level_after = log::max_level();
        logging::set_level(level.max(level_after));
        let (Ok(text) | Err(text)) = &outcome;
        match &outcome {
            Ok(text) => info!("{text}"),
            Err(text) => error!("{text}"),
        }
        logging::set_level(level_after);
        systemd::notify_reloaded(self.endpoints().map(|(_, address)| address), text);
        outcome
    }

    fn read_again(&mut self, now: Instant) -> Result<String, String> {
        let goes_on = |error: String| format!("{error}; the server goes on with all that it has read before");
        let newer = self.settings.as_ref().filter(|settings| settings.has_file()).map(Settings::again);
        let newer = newer.transpose().map_err(goes_on)?;
        let contents = self.files.read(SystemTime::now()).and_then(|contents| contents.checked_against(&self.hub));
        let contents = contents.map_err(|error| goes_on(error.to_string()))?;
        // From here on, nothing fails.
        let [taken, left] = newer.map_or([None, None], |newer| self.take_settings(&newer, now));
        let endpoints = self.listeners.iter().map(|listener| (listener.endpoint(), listener.address()));
        let of_files = self.files.renew(contents, endpoints, &mut self.hub);
        let parts: Vec<String> = [taken, of_files, left].into_iter().flatten().collect();
        if parts.is_empty() {
            return Ok("there is nothing to read again: neither --config nor a file of TLS, names, a password or bans"
                .to_owned());
        }
        Ok(format!("read again: {}", parts.join("; ")))
    }

    /// Takes the settings that have changed and may. Returns what it has taken, and what needs a restart.
    fn take_settings(&mut self, newer: &Settings, now: Instant) -> [Option<String>; 2] {
        let Some(settings) = &mut self.settings else { return [None, None] };
        let changed: Vec<&str> = settings.changed(newer).collect();
        let (taken, left): (Vec<&str>, Vec<&str>) = changed.into_iter().partition(|key| RELOADABLE.contains(key));
        let is_any_of = |keys: &[&str]| keys.iter().any(|key| taken.contains(key));
        let config = newer.config();
        if is_any_of(&["greeting"]) {
            self.hub.set_greeting(&config.greeting);
        }
        if is_any_of(&["allow", "deny", "max-per-address"]) {
            self.hub.set_access(&config.access);
        }
        if is_any_of(&["rate", "burst"]) {
            self.hub.set_rate(config.rate, now);
        }
        if is_any_of(&["log-level"]) {
            logging::set_level(newer.log_level());
        }
        let told = match (taken.is_empty(), left.is_empty()) {
            (true, true) => Some("no setting has changed".to_owned()),
            (true, false) => None,
            (false, _) => Some(taken.join(", ")),
        };
        let left = (!left.is_empty()).then(|| format!("restart needed for {}", left.join(", ")));
        let taken: Vec<String> = taken.into_iter().map(str::to_owned).collect();
        settings.take_over(newer, &taken);
        [told, left]
    }
}

/// Reads all files that a server with this configuration would read, and warns of their faults. Opens no port.
///
/// # Errors
/// Names the first file that is of no use, and its fault.
pub fn check(config: &Config) -> Result<(), FileError> {
    let contents = Files::of(config).read(SystemTime::now())?;
    contents.warn(std::iter::empty());
    Ok(())
}

impl Contents {
    /// Refuses a missing file of bans that would lift some: it is lost, or its disk is.
    fn checked_against<S: Socket>(self, hub: &Hub<S>) -> Result<Contents, FileError> {
        match &self.bans {
            Some(kept) if kept.is_missing && kept.bans.len() < hub.bans_len() => {
                Err(BansFileError { path: kept.path.clone(), problem: BansProblem::Gone }.into())
            }
            _ => Ok(self),
        }
    }

    fn pin(&self) -> Option<String> {
        self.identity.as_ref().map(|identity| identity.pin().to_owned())
    }

    /// Warns of faults that do not keep the server from serving.
    fn warn<'a>(&self, endpoints: impl Iterator<Item = (Endpoint, &'a BoundAddress)>) {
        self.identity.iter().flat_map(Identity::warnings).for_each(|warning| warn!("{warning}"));
        if let Some((path, Password { is_readable_by_all: true, .. })) = &self.password {
            let path = path.display();
            warn!("each user of this machine can read the password file {path}: chmod 600 {path}");
        }
        let secrets = match (&self.names, &self.password) {
            (None, None) => return,
            (Some(_), None) => "the tokens of names",
            (None, Some(_)) => "the password",
            (Some(_), Some(_)) => "the password and the tokens of names",
        };
        for address in endpoints.filter_map(overheard) {
            warn!("others can read {secrets} on the way to {address}: use TLS, or listen on 127.0.0.1 behind a proxy");
        }
    }

    /// Hands all over to the hub. Returns how many members lost their names by that.
    fn hand_over<S: Socket>(self, hub: &mut Hub<S>) -> usize {
        if let Some(identity) = self.identity {
            hub.open_tls(identity.configs());
        }
        if let Some((_, password)) = self.password {
            hub.set_password(Some(password.hash));
        }
        if let Some(kept) = self.bans {
            hub.set_bans(kept.bans.into_values());
        }
        self.names.map_or(0, |(_, names)| hub.set_names(names))
    }
}

/// Reads a file, if there is one. Returns its path, too.
fn read<T>(
    path: Option<&PathBuf>,
    read: impl Fn(&Path) -> Result<T, SecretsError>,
) -> Result<Option<(PathBuf, T)>, SecretsError> {
    path.map(|path| Ok((path.clone(), read(path)?))).transpose()
}

/// Returns the address of a port that others than this machine reach, and that speaks plain text.
fn overheard((endpoint, address): (Endpoint, &BoundAddress)) -> Option<SocketAddr> {
    address.port().filter(|address| !endpoint.is_tls() && !address.ip().to_canonical().is_loopback())
}

/// The contents as the log names them.
impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(identity) = &self.identity {
            write!(f, "{identity}")?;
            separator = "; ";
        }
        if let Some((path, names)) = &self.names {
            let plural = if names.len() == 1 { "" } else { "s" };
            write!(f, "{separator}{} name{plural} with owners in {}", names.len(), path.display())?;
            separator = "; ";
        }
        if let Some((path, _)) = &self.password {
            write!(f, "{separator}the password in {}", path.display())?;
            separator = "; ";
        }
        if let Some(Kept { path, bans, .. }) = &self.bans {
            let plural = if bans.len() == 1 { "" } else { "s" };
            write!(f, "{separator}{} ban{plural} in {}", bans.len(), path.display())?;
        }
        Ok(())
    }
}
