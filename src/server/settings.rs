//! The settings of a server, and where each comes from: the command line, a variable, the file of `--config`, or a
//! default. They are read at the start, and again at a reload.
//!
//! clap reads all of them: the keys of the file become arguments in front of the others, except those that the command
//! line or a variable sets. An error that a key has a part in names the place of that key.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory as _, Error, FromArgMatches as _};
use log::LevelFilter;

use super::bus::address;
use super::cli::file::{ConfigFile, FileFault, Key, escaped, is_setting, is_text};
use super::cli::{Flags, Printed};
use super::config::Config;
use crate::variables;

/// Bytes of an error that a reload tells.
const ERROR_BYTES_MAX: usize = 400;

/// The settings, as they were read.
pub struct Settings {
    arguments: Vec<OsString>,
    file: Option<PathBuf>,
    config: Config,
    log_level: LevelFilter,
    printed: Option<Printed>,
    is_check: bool,
    /// For each flag its setting, in the order of the help.
    list: Vec<Setting>,
}

/// A setting.
#[derive(Clone)]
struct Setting {
    key: String,
    /// Texts as clap takes them; none if it is not set and has no default.
    values: Vec<OsString>,
    form: Form,
    origin: Origin,
}

/// The form of a setting in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Switch,
    Text,
    NumberOrText,
    List,
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Default,
    Flag,
    Variable(String),
    /// A line of the file.
    File(PathBuf, usize),
}

impl Settings {
    /// Reads the settings of this command line, the environment, and the file that they name.
    ///
    /// # Errors
    /// A usage error; or the help, or the version.
    pub fn read(arguments: &[OsString]) -> Result<Settings, Error> {
        let glance = variables::glance::<Flags>(arguments);
        // A file that is of no use is no reason to refuse the manual.
        let is_set = |matches: &ArgMatches, id: &str| matches.contains_id(id);
        let glance = glance.filter(|matches| !is_set(matches, "generate") && !is_set(matches, "new_token"));
        let path = |matches: &ArgMatches| matches.try_get_one::<PathBuf>("config").ok().flatten().cloned();
        let Some((path, seen)) = glance.and_then(|matches| Some((path(&matches)?, matches))) else {
            return Settings::parse(arguments, arguments, None, &[]);
        };
        let flags = Flags::command();
        let file = ConfigFile::read(&path, &flags).map_err(|fault| usage(ErrorKind::Io, &fault))?;
        let is_free = |key: &&Key| {
            let flag = flags.get_arguments().find(|flag| flag.get_long() == Some(&key.flag));
            let source = flag.and_then(|flag| seen.value_source(flag.get_id().as_str()));
            !matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
        };
        let keys: Vec<&Key> = file.keys().iter().filter(is_free).collect();
        Settings::parse(&with(arguments, &keys), arguments, Some(file.path()), &keys)
            .map_err(|error| blame(error, &file, &keys, |others| fault_of(&with(arguments, others))))
    }

    /// Parses the command line together with these keys of the file.
    fn parse(all: &[OsString], arguments: &[OsString], file: Option<&Path>, keys: &[&Key]) -> Result<Settings, Error> {
        variables::try_parse::<Flags, _>(all, |matches| {
            let flags = Flags::from_arg_matches(matches)?;
            let (printed, log_level, is_check) = (flags.printed(), flags.log_level(), flags.is_check());
            // A wrong combination of flags is no reason to refuse the manual.
            let config = if printed.is_some() { Config::default() } else { flags.into_config()? };
            let list = list(matches, file, keys);
            Ok((config, log_level, printed, is_check, list))
        })
        .map(|(config, log_level, printed, is_check, list)| {
            let (arguments, file) = (arguments.to_vec(), file.map(Path::to_owned));
            Settings { arguments, file, config, log_level, printed, is_check, list }
        })
    }

    /// Reads the settings of the same command line and environment again.
    ///
    /// # Errors
    /// The fault of the file, in one line.
    pub fn again(&self) -> Result<Settings, String> {
        Settings::read(&self.arguments).map_err(|error| {
            let mut line = one_line(&error.to_string());
            if line.len() > ERROR_BYTES_MAX {
                line.truncate(line.floor_char_boundary(ERROR_BYTES_MAX));
                line.push('…');
            }
            line
        })
    }

    /// Returns the configuration that they make.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the value of `--log-level`.
    pub fn log_level(&self) -> LevelFilter {
        self.log_level
    }

    /// Returns what the program prints instead of serving: for `--generate` or `--new-token`.
    pub fn printed(&self) -> Option<&Printed> {
        self.printed.as_ref()
    }

    /// Whether the program prints them instead of serving: `--check`.
    pub fn is_check(&self) -> bool {
        self.is_check
    }

    /// Whether there is a file of `--config`.
    pub(super) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Returns the keys whose settings are other ones in `newer`.
    pub(super) fn changed<'a>(&'a self, newer: &'a Settings) -> impl Iterator<Item = &'a str> {
        let pairs = self.list.iter().zip(&newer.list);
        pairs.filter(|(old, new)| old.values != new.values).map(|(old, _)| old.key.as_str())
    }

    /// Takes over the settings of these keys.
    pub(super) fn take_over(&mut self, newer: &Settings, keys: &[String]) {
        for (old, new) in self.list.iter_mut().zip(&newer.list) {
            if keys.contains(&old.key) {
                old.clone_from(new);
            }
        }
    }
}

/// Returns a command line with keys of the file in front of its flags: what follows `--` is no flag.
fn with(arguments: &[OsString], keys: &[&Key]) -> Vec<OsString> {
    let (program, rest) = arguments.split_at(arguments.len().min(1));
    let of_file = keys.iter().flat_map(|key| key.arguments()).map(OsString::from);
    program.iter().cloned().chain(of_file).chain(rest.iter().cloned()).collect()
}

/// Returns what is wrong with a command line, in one line, whatever it comes from.
fn fault_of(all: &[OsString]) -> Option<String> {
    let finish = |matches: &ArgMatches| Flags::from_arg_matches(matches)?.into_config();
    variables::parse_plainly::<Flags, _>(all, finish).err().map(|error| one_line(&error.to_string()))
}

/// Names the place of the first key that has a part in an error, if there is one: without it, the error would be another.
/// `fault_with` returns the error of other keys alone.
fn blame(error: Error, file: &ConfigFile, keys: &[&Key], fault_with: impl Fn(&[&Key]) -> Option<String>) -> Error {
    if !error.use_stderr() {
        return error;
    }
    let fault = fault_with(keys);
    let is_involved = |key: &&&Key| {
        let others: Vec<&Key> = keys.iter().copied().filter(|other| other.flag != key.flag).collect();
        fault_with(&others) != fault
    };
    let Some(key) = keys.iter().find(is_involved) else { return error };
    let value = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => Some(value.as_str()),
        _ => None,
    };
    usage(error.kind(), &file.fault(key, value, one_line(&error.to_string())))
}

fn usage(kind: ErrorKind, fault: &FileFault) -> Error {
    Error::raw(kind, format!("{fault}\n"))
}

/// Returns the first paragraph of clap's text of an error, which says what is wrong, as one line.
fn one_line(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let first = text.split("\n\n").next().unwrap_or(text);
    escaped(&first.split('\n').map(str::trim).collect::<Vec<_>>().join(" ")).trim_end().to_owned()
}

/// Lists all settings.
fn list(matches: &ArgMatches, file: Option<&Path>, keys: &[&Key]) -> Vec<Setting> {
    let flags = Flags::command();
    let settings = flags.get_arguments().filter(|flag| is_setting(flag));
    settings.map(|flag| Setting::of(flag, matches, file, keys)).collect()
}

impl Setting {
    fn of(flag: &Arg, matches: &ArgMatches, file: Option<&Path>, keys: &[&Key]) -> Setting {
        let id = flag.get_id().as_str();
        let key = flag.get_long().unwrap_or_default();
        let in_file = || keys.iter().find(|other| other.flag == key).zip(file);
        let origin = match matches.value_source(id) {
            Some(ValueSource::EnvVariable) => {
                Origin::Variable(flag.get_env().unwrap_or_default().display().to_string())
            }
            Some(ValueSource::CommandLine) => match in_file() {
                Some((key, file)) => Origin::File(file.to_owned(), key.place.line),
                None => Origin::Flag,
            },
            _ => Origin::Default,
        };
        let form = match flag.get_action() {
            ArgAction::SetTrue => Form::Switch,
            ArgAction::Append => Form::List,
            _ if is_text(flag) => Form::Text,
            _ => Form::NumberOrText,
        };
        let values = match form {
            Form::Switch => vec![matches.get_flag(id).to_string().into()],
            _ => matches.get_raw(id).into_iter().flatten().map(OsStr::to_owned).collect(),
        };
        Setting { key: key.to_owned(), values, form, origin }
    }

    /// Returns its value in TOML; `None` if it is not text.
    fn value(&self) -> Option<String> {
        let texts = self.values.iter().map(|value| value.to_str()).collect::<Option<Vec<_>>>()?;
        let is_number = |text: &str| text.parse::<i64>().is_ok_and(|number| number.to_string() == text);
        Some(match (self.form, &texts[..]) {
            (Form::Text, [text]) if self.key == "bus" => quoted(&address::masked(text)),
            (Form::Switch, [text]) => (*text).to_owned(),
            (Form::NumberOrText, [text]) if is_number(text) => (*text).to_owned(),
            (Form::Text | Form::NumberOrText, [text]) => quoted(text),
            (_, texts) => format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")),
        })
    }
}

/// Command line and values are left out: one of them may be a password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("file", &self.file).field("config", &self.config).finish_non_exhaustive()
    }
}

/// The settings in TOML, each with its origin behind it; those that are defaults are comments.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for setting in self.list.iter().filter(|setting| !setting.values.is_empty()) {
            let Setting { key, origin, .. } = setting;
            let value = setting.value();
            if *origin == Origin::Default || value.is_none() {
                f.write_str("# ")?;
            }
            let value = value.unwrap_or_else(|| "(it is not UTF-8, and so no text of TOML)".to_owned());
            write!(f, "{key} = {value}")?;
            match origin {
                Origin::Default => {}
                Origin::Flag => f.write_str("  # flag")?,
                Origin::Variable(name) => write!(f, "  # {name}")?,
                Origin::File(path, line) => write!(f, "  # {}:{line}", escaped(&path.display().to_string()))?,
            }
            f.write_char('\n')?;
        }
        Ok(())
    }
}

/// Returns a text in quotes, as TOML has it.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            _ if char.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(char))),
            _ => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
