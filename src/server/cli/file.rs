//! The file of `--config`, in TOML. Owns its keys, where they stand, and what may be wrong with it.
//!
//! A key is the name of a flag. Its values are the texts that the flag would be given. So each check of the command
//! line holds for the file, and a new flag is a new key.

use std::any::TypeId;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command};
use strsim::damerau_levenshtein;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::bus::address::WrittenBusAddress;
use super::super::small_file;

/// Largest file, in bytes: some 10,000 networks in `deny`. It is read within a turn.
const FILE_BYTES_MAX: usize = 256 * 1024;

/// Flags that are settings of no server.
const COMMAND_LINE_ONLY: [&str; 6] = ["config", "check", "generate", "new-token", "help", "version"];

/// Edits between a misspelt key and the one that is suggested for it, at most.
const EDITS_MAX: usize = 2;

/// Characters of a word of the file that an error shows.
const SHOWN_CHARS_MAX: usize = 60;

/// A file with settings.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    /// In the order of the file.
    keys: Vec<Key>,
}

/// A key of the file.
#[derive(Debug)]
pub(crate) struct Key {
    /// The flag that it stands for, without the dashes.
    pub(crate) flag: String,
    /// Its place.
    pub(crate) place: Place,
    /// The flag's values and their places; `None` for a flag without a value that is not set.
    values: Vec<(Option<String>, Place)>,
}

/// A place in a file, both from 1 on: line, and column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    column: usize,
}

/// A fault of the file.
#[derive(Debug)]
pub(crate) struct FileFault {
    path: PathBuf,
    /// Its place; `None` if it is the whole file.
    place: Option<Place>,
    text: String,
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, text) = (escaped(&self.path.display().to_string()), &self.text);
        match self.place {
            Some(Place { line, column }) => write!(f, "{path}:{line}:{column}: {text}"),
            None => write!(f, "cannot use the configuration file {path}: {text}"),
        }
    }
}

impl ConfigFile {
    /// Reads the file of these flags.
    ///
    /// # Errors
    /// Names the file, and the place of its first fault.
    pub(crate) fn read(path: &Path, flags: &Command) -> Result<ConfigFile, FileFault> {
        let whole = |text: String| FileFault { path: path.to_owned(), place: None, text };
        let file = small_file::read(path, FILE_BYTES_MAX).map_err(|problem| whole(problem.to_string()))?;
        ConfigFile::parse(path, &file.bytes, flags)
    }

    fn parse(path: &Path, bytes: &[u8], flags: &Command) -> Result<ConfigFile, FileFault> {
        let fault = |place, text| FileFault { path: path.to_owned(), place: Some(place), text };
        let text = str::from_utf8(bytes).map_err(|error| {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            fault(Place::of(without_mark(&before), usize::MAX), "it is not UTF-8".to_owned())
        })?;
        let text = without_mark(text);
        let table = DeTable::parse(text).map_err(|error| {
            let place = Place::of(text, error.span().map_or(usize::MAX, |span| span.start));
            fault(place, error.message().split_whitespace().collect::<Vec<_>>().join(" "))
        })?;
        let mut entries: Vec<_> = table.get_ref().iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let keys = entries.into_iter().map(|(key, value)| {
            let at = |span: &Range<usize>| Place::of(text, span.start);
            let flag = find(key.get_ref(), flags).map_err(|text| fault(at(&key.span()), text))?;
            let values = values(flag, value).map_err(|(span, text)| fault(at(&span), text))?;
            let values = values.into_iter().map(|(value, span)| (value, at(&span))).collect();
            Ok(Key { flag: key.get_ref().to_string(), place: at(&key.span()), values })
        });
        Ok(ConfigFile { path: path.to_owned(), keys: keys.collect::<Result<_, _>>()? })
    }

    /// Returns the path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its keys, in the order of the file.
    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Returns a fault of a key: at its value, if that is known, else at the key.
    pub(crate) fn fault(&self, key: &Key, value: Option<&str>, text: String) -> FileFault {
        let at_value = key.values.iter().find(|(text, _)| text.is_some() && text.as_deref() == value);
        let place = at_value.map_or(key.place, |(_, place)| *place);
        FileFault { path: self.path.clone(), place: Some(place), text }
    }
}

impl Key {
    /// Returns the arguments that stand for it on a command line.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = String> {
        self.values.iter().map(|(value, _)| match value {
            Some(value) => format!("--{}={value}", self.flag),
            None => format!("--{}", self.flag),
        })
    }
}

impl Place {
    /// Returns the place of a byte.
    fn of(text: &str, at: usize) -> Place {
        let before = &text[..text.floor_char_boundary(at)];
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place { line: 1 + before.matches('\n').count(), column: 1 + before[begin..].chars().count() }
    }
}

/// Whether a flag is a setting, which a file may have.
pub(crate) fn is_setting(flag: &Arg) -> bool {
    flag.get_long().is_some_and(|name| !COMMAND_LINE_ONLY.contains(&name))
}

/// Whether a value of the flag is text that is no number, such as a path.
pub(crate) fn is_text(flag: &Arg) -> bool {
    let parser: &ValueParser = flag.get_value_parser();
    [TypeId::of::<String>(), TypeId::of::<PathBuf>(), TypeId::of::<WrittenBusAddress>()]
        .iter()
        .any(|of_text| parser.type_id() == *of_text)
}

/// Finds the flag behind a key.
fn find<'a>(key: &str, flags: &'a Command) -> Result<&'a Arg, String> {
    if COMMAND_LINE_ONLY.contains(&key) {
        return Err(format!("{key} belongs on the command line: it is no setting"));
    }
    let settings = || flags.get_arguments().filter(|flag| is_setting(flag));
    let name = |flag: &'a Arg| flag.get_long().unwrap_or_default();
    if let Some(flag) = settings().find(|flag| name(flag) == key) {
        return Ok(flag);
    }
    let key = shown(key);
    let distances = settings().map(|flag| (damerau_levenshtein(&key, name(flag)), name(flag)));
    Err(match distances.min() {
        Some((distance, nearest)) if distance <= EDITS_MAX => {
            format!("there is no flag for the key {key} (did you mean {nearest}?)")
        }
        _ => format!("there is no flag for the key {key}"),
    })
}

/// A value of a flag, and its span.
type Value = (Option<String>, Range<usize>);

/// A fault, and its span.
type ValueFault = (Range<usize>, String);

/// Returns the values of a flag.
fn values(flag: &Arg, value: &Spanned<DeValue<'_>>) -> Result<Vec<Value>, ValueFault> {
    match (flag.get_action(), value.get_ref()) {
        (ArgAction::SetTrue, DeValue::Boolean(is_set)) => {
            Ok(if *is_set { vec![(None, value.span())] } else { Vec::new() })
        }
        (ArgAction::SetTrue, _) => Err(wrong_type(flag, value)),
        (ArgAction::Append, DeValue::Array(elements)) => elements.iter().map(|element| scalar(flag, element)).collect(),
        _ => Ok(vec![scalar(flag, value)?]),
    }
}

/// Returns a value that is a text or a number.
fn scalar(flag: &Arg, value: &Spanned<DeValue<'_>>) -> Result<Value, ValueFault> {
    match value.get_ref() {
        DeValue::String(text) => Ok((Some(text.to_string()), value.span())),
        DeValue::Integer(number) if !is_text(flag) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Ok((Some(number.to_string()), value.span())),
            Err(_) => Err((value.span(), format!("{} is too large", shown(number.as_str())))),
        },
        _ => Err(wrong_type(flag, value)),
    }
}

fn wrong_type(flag: &Arg, value: &Spanned<DeValue<'_>>) -> ValueFault {
    let name = flag.get_long().unwrap_or_default();
    let wanted = match flag.get_action() {
        ArgAction::SetTrue => "true or false",
        ArgAction::Append => "text in quotes, or a list of such texts",
        _ if is_text(flag) => "text in quotes",
        _ => "a number, or text in quotes",
    };
    let given = match value.get_ref() {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    (value.span(), format!("{name} takes {wanted}, not {given}"))
}

/// Returns a text without its byte order mark.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Returns a word of the file as an error shows it.
fn shown(word: &str) -> String {
    escaped(&word.chars().take(SHOWN_CHARS_MAX).collect::<String>())
}

/// Returns a text without control characters.
pub(crate) fn escaped(text: &str) -> String {
    let escape = |char: char| if char.is_control() { char.escape_default().to_string() } else { char.to_string() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::super::Flags;
    use super::*;

    fn parse(text: impl AsRef<[u8]>) -> Result<ConfigFile, String> {
        let file = ConfigFile::parse("c.toml".as_ref(), text.as_ref(), &Flags::command());
        file.map_err(|fault| fault.to_string())
    }

    fn arguments(text: impl AsRef<[u8]>) -> Vec<String> {
        parse(text).unwrap().keys.iter().flat_map(Key::arguments).collect()
    }

    #[test]
    fn each_type_becomes_the_argument_that_says_the_same() {
        for (text, expected) in [
            ("", &[][..]),
            ("# nothing\n", &[]),
            ("greeting = 'be kind'", &["--greeting=be kind"]),
            ("greeting = ''", &["--greeting="]),
            ("greeting = \"\"\"\na\nb\"\"\"", &["--greeting=a\nb"]),
            ("rate = 5", &["--rate=5"]),
            ("rate = '5'", &["--rate=5"]),
            ("rate = -5", &["--rate=-5"]),
            ("backlog = '8M'", &["--backlog=8M"]),
            ("backlog = 0x10_00", &["--backlog=4096"]),
            ("console = true", &["--console"]),
            ("console = false", &[]),
            ("listen = '46000'", &["--listen=46000"]),
            ("listen = [46000, 'unix:/x']", &["--listen=46000", "--listen=unix:/x"]),
            ("listen = []", &[]),
            ("rate = 1\nburst = 2\nallow = [\n  '::1',\n]", &["--rate=1", "--burst=2", "--allow=::1"]),
            ("\u{feff}rate = 1\r\nburst = 2\r\n", &["--rate=1", "--burst=2"]),
        ] {
            assert_eq!(arguments(text), expected, "{text}");
        }
    }

    #[test]
    fn a_fault_is_told_with_its_line_and_column() {
        for (text, expected) in [
            ("rate = 5\n  greting = 'x'", "c.toml:2:3: there is no flag for the key greting (did you mean greeting?)"),
            ("max_clients = 5", "c.toml:1:1: there is no flag for the key max_clients (did you mean max-clients?)"),
            ("[server]\n", "c.toml:1:2: there is no flag for the key server"),
            ("'a\u{7}b' = 1", "c.toml:1:3: not TOML"),
            ("\"a\\u0007b\" = 1", "c.toml:1:1: there is no flag for the key a\\u{7}b"),
            ("check = true", "c.toml:1:1: check belongs on the command line: it is no setting"),
            ("config = 'x'", "c.toml:1:1: config belongs on the command line: it is no setting"),
            ("help = 1", "c.toml:1:1: help belongs on the command line: it is no setting"),
            ("greeting = 5", "c.toml:1:12: greeting takes text in quotes, not a number"),
            ("greeting = true", "c.toml:1:12: greeting takes text in quotes, not true or false"),
            ("rate = 1.5", "c.toml:1:8: rate takes a number, or text in quotes, not a number with a point"),
            ("rate = [5]", "c.toml:1:8: rate takes a number, or text in quotes, not a list"),
            ("rate = {a = 5}", "c.toml:1:8: rate takes a number, or text in quotes, not a table"),
            ("rate = 2026-11-26", "c.toml:1:8: rate takes a number, or text in quotes, not a time"),
            ("rate = 99999999999999999999", "c.toml:1:8: 99999999999999999999 is too large"),
            ("console = 'yes'", "c.toml:1:11: console takes true or false, not text"),
            ("console = 1", "c.toml:1:11: console takes true or false, not a number"),
            ("allow = ['::1', [1]]", "c.toml:1:17: allow takes text in quotes, or a list of such texts, not a list"),
            ("web.host = 'x'", "c.toml:1:1: web takes text in quotes, or a list of such texts, not a table"),
            ("\u{feff}rate = {}", "c.toml:1:8: rate takes"),
            ("ä = 1", "c.toml:1:1: not TOML"),
            ("greeting = 'ä' x", "c.toml:1:16: not TOML"),
            ("rate = 1\r\nrate = 2", "c.toml:2:1: not TOML"),
            ("rate = ", "c.toml:1:8: not TOML"),
            ("greeting = 'x\n", "c.toml:1:14: not TOML"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(!error.contains(char::is_control), "{error:?}");
            match expected.strip_suffix("not TOML") {
                Some(place) => assert!(error.starts_with(place) && error.len() > place.len(), "{error}"),
                None => assert!(error.starts_with(expected), "{error}"),
            }
        }
        assert_eq!(parse(b"rate = 1\n# \xc3\xa4\xff").unwrap_err(), "c.toml:2:4: it is not UTF-8");
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        let deep = format!("allow = {}", "[".repeat(100_000));
        assert!(parse(deep).unwrap_err().starts_with("c.toml:1:"));
    }
}
