//! The environment variables behind the flags, such as `POLLCHAT_HISTORY` for `--history`.
//!
//! clap reads them. This module adds three rules: an empty variable counts as unset; an error names the variable that
//! its value came from; a variable that no flag reads is told.

use std::env;
use std::ffi::{OsStr, OsString};
use std::{process, slice};

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command, Error, Parser};
use strsim::damerau_levenshtein;

use crate::net::stdio::exit_code_of_print;

/// Beginning of the names of all variables.
const PREFIX: &str = "POLLCHAT_";

/// Variables of the client. (Those of the server are known from its flags.)
pub const CLIENT: [&str; 3] = [NICK, PASSWORD, TOKEN];

/// The variable behind `--nick`.
pub const NICK: &str = "POLLCHAT_NICK";

/// The variable that holds the password of `--password-file` itself. It has no flag: other users can read those.
pub const PASSWORD: &str = "POLLCHAT_PASSWORD";

/// The variable that holds the token of `--token-file` itself, likewise.
pub const TOKEN: &str = "POLLCHAT_TOKEN";

/// Edits between a misspelt variable and the one that is suggested for it, at most.
const EDITS_MAX: usize = 2;

/// Parses the command line and the environment, and passes the flags to `finish`. Exits with a usage error if either
/// fails, to which `with_tip` may add, and after `--help` and `--version`.
pub fn parse<F: Parser, T>(finish: impl Fn(F) -> Result<T, Error>, with_tip: impl Fn(Error) -> Error) -> T {
    let arguments: Vec<OsString> = env::args_os().collect();
    try_parse::<F, T>(&arguments, |matches| finish(F::from_arg_matches(matches)?))
        .unwrap_or_else(|error| exit(F::command().get_name(), &with_tip(error)))
}

/// Parses these arguments and the environment as [`parse`] does. Exits as that does.
pub fn parse_from<F: Parser, T>(
    arguments: impl Iterator<Item = OsString>,
    finish: impl Fn(F) -> Result<T, Error>,
) -> T {
    let arguments: Vec<OsString> = arguments.collect();
    try_parse::<F, T>(&arguments, |matches| finish(F::from_arg_matches(matches)?))
        .unwrap_or_else(|error| exit(F::command().get_name(), &error))
}

/// Prints the error, or what the flags ask for instead of running, and exits.
pub fn exit(program: &str, error: &Error) -> ! {
    if error.use_stderr() {
        error.exit();
    }
    process::exit(exit_code_of_print(program, error.print()).into())
}

/// Returns what the arguments and the environment set, as far as they can be read; `None` if they ask for help. An error
/// in them comes to light in [`try_parse`].
pub(crate) fn glance<F: Parser>(arguments: &[OsString]) -> Option<ArgMatches> {
    without::<F>(&empty::<F>()).ignore_errors(true).try_get_matches_from(arguments).ok()
}

/// Parses these arguments and the environment, and passes the matches to `finish`.
///
/// # Errors
/// A usage error, whatever its value comes from; or the help, or the version.
pub(crate) fn parse_plainly<F: Parser, T>(
    arguments: &[OsString],
    finish: impl Fn(&ArgMatches) -> Result<T, Error>,
) -> Result<T, Error> {
    finish(&without::<F>(&empty::<F>()).try_get_matches_from(arguments)?)
}

/// Parses these arguments and the environment, and passes the matches to `finish`.
///
/// # Errors
/// A usage error, which names the variables that have a part in it; or the help, or the version.
pub(crate) fn try_parse<F: Parser, T>(
    arguments: &[OsString],
    finish: impl Fn(&ArgMatches) -> Result<T, Error>,
) -> Result<T, Error> {
    let parse = |ignored: &[OsString]| finish(&without::<F>(ignored).try_get_matches_from(arguments)?);
    let empty = empty::<F>();
    let error = match parse(&empty) {
        // The help lists all variables.
        Err(error) if error.kind() == ErrorKind::DisplayHelp => return parse(&[]),
        Err(error) if error.use_stderr() => error,
        result => return result,
    };
    // A variable has a part in an error if the error differs without it.
    let text = error.to_string();
    let is_involved = |name: &OsString| {
        let others = [&empty[..], slice::from_ref(name)].concat();
        parse(&others).err().is_none_or(|other| other.to_string() != text)
    };
    let set = variables(&F::command()).filter(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    let involved: Vec<_> = set.filter(is_involved).map(|name| name.display().to_string()).collect();
    if involved.is_empty() {
        return Err(error);
    }
    Err(Error::raw(error.kind(), with_source(&text, &involved.join(" and "))))
}

/// Returns the flags, of which none reads an ignored variable.
fn without<F: Parser>(ignored: &[OsString]) -> Command {
    let is_ignored = |arg: &Arg| arg.get_env().is_some_and(|name| ignored.iter().any(|ignored| ignored == name));
    F::command().mut_args(|arg| if is_ignored(&arg) { arg.env(Resettable::Reset) } else { arg })
}

/// Returns the variables that are set to nothing.
fn empty<F: Parser>() -> Vec<OsString> {
    variables(&F::command()).filter(|name| env::var_os(name).is_some_and(|value| value.is_empty())).collect()
}

/// Names the source of a bad value: behind the flag in clap's error about a value, else at the end of its first line.
fn with_source(error: &str, variables: &str) -> String {
    let error = error.strip_prefix("error: ").unwrap_or(error);
    let (first, rest) = error.split_at(error.find('\n').unwrap_or(error.len()));
    let flag_end = first.find("' for '--").and_then(|at| {
        let flag = at + "' for '".len();
        first[flag..].find('\'').map(|len| flag + len + 1)
    });
    let at = flag_end.unwrap_or_else(|| first.trim_end_matches(':').len());
    format!("{} (from {variables}){}{rest}", &first[..at], &first[at..])
}

/// Returns a warning about the variables that begin as ours do and that no flag of `server` or of the client reads.
pub fn unread(server: &Command) -> Option<String> {
    let known: Vec<String> =
        variables(server).map(|name| name.display().to_string()).chain(CLIENT.map(str::to_owned)).collect();
    let found = env::vars_os().filter(|(name, value)| !is_of_a_container(name, value));
    let mut unread: Vec<String> = found
        .map(|(name, _)| name.display().to_string())
        .filter(|name| name.starts_with(PREFIX) && !known.contains(name))
        .map(|name| shown(&name, &known))
        .collect();
    unread.sort();
    (!unread.is_empty()).then(|| format!("no flag reads {}", unread.join(", ")))
}

/// Returns a variable with the one that is probably meant.
fn shown(name: &str, known: &[String]) -> String {
    let nearest = known.iter().min_by_key(|known| damerau_levenshtein(name, known));
    let nearest = nearest.filter(|known| damerau_levenshtein(name, known) <= EDITS_MAX);
    let name = name.escape_debug();
    nearest.map_or_else(|| name.to_string(), |nearest| format!("{name} (did you mean {nearest}?)"))
}

/// Whether Kubernetes or Docker set the variable for a service that is called pollchat, such as
/// `POLLCHAT_PORT=tcp://10.0.0.1:46000`.
fn is_of_a_container(name: &OsStr, value: &OsStr) -> bool {
    let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
    let is_port = name.split_once("_PORT").is_some_and(|(_, rest)| rest.starts_with("_") || value.contains("://"));
    is_port || name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT")
}

fn variables(command: &Command) -> impl Iterator<Item = OsString> + use<> {
    command.get_arguments().filter_map(Arg::get_env).map(OsStr::to_owned).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_stands_behind_the_flag_or_at_the_end_of_the_line() {
        for (error, expected) in [
            (
                "error: invalid value 'x' for '--history <LINES>': invalid digit\n\nFor more\n",
                "invalid value 'x' for '--history <LINES>' (from A): invalid digit\n\nFor more\n",
            ),
            ("error: invalid value 'a' for '--lag <X>'\n  [p]", "invalid value 'a' for '--lag <X>' (from A)\n  [p]"),
            ("error: --burst requires --rate\n\nUsage\n", "--burst requires --rate (from A)\n\nUsage\n"),
            ("error: not provided:\n  --web", "not provided (from A):\n  --web"),
        ] {
            assert_eq!(with_source(error, "A"), expected);
        }
    }

    #[test]
    fn a_misspelt_variable_is_shown_with_the_nearest() {
        let known = ["POLLCHAT_HISTORY".to_owned(), "POLLCHAT_WEB".to_owned()];
        assert_eq!(shown("POLLCHAT_HISTROY", &known), "POLLCHAT_HISTROY (did you mean POLLCHAT_HISTORY?)");
        assert_eq!(shown("POLLCHAT_NOTHING_LIKE_IT", &known), "POLLCHAT_NOTHING_LIKE_IT");
        assert_eq!(shown("POLLCHAT_\u{1b}[2J_AND_MORE", &known), "POLLCHAT_\\u{1b}[2J_AND_MORE");
    }

    #[test]
    fn variables_that_containers_set_are_known() {
        let is = |name: &str, value: &str| is_of_a_container(name.as_ref(), value.as_ref());
        assert!(is("POLLCHAT_PORT", "tcp://10.0.0.1:46000"));
        assert!(is("POLLCHAT_SERVER_PORT_46000_TCP_ADDR", "10.0.0.1"));
        assert!(is("POLLCHAT_SERVICE_HOST", "10.0.0.1") && is("POLLCHAT_SERVICE_PORT", "46000"));
        assert!(is("POLLCHAT_SERVICE_PORT_LINES", "46000"));
        assert!(!is("POLLCHAT_PORT", "46001") && !is("POLLCHAT_HISTROY", "5"));
    }
}
