//! `pollchat-server ctl`: gives one order to a running server over the socket of `--control`, and prints the answer. The
//! server's side is `hub/control.rs`.

use std::env;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Error, Parser};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::net::stdio::{eprint_line, exit_code_of_print};
use crate::relay::order::HELP;
use crate::relay::sanitize::sanitize;

/// Name of the program in its messages.
const PROGRAM: &str = "pollchat-server";

/// The socket of a server that the system runs.
const SYSTEM_SOCKET: &str = "/run/pollchat/control";

/// Time without a byte from the server after which it counts as stuck.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Longest line of an answer, in bytes: a peer that sends a longer one is no server of ours.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Gives an order to a running server, and prints the answer
#[derive(Debug, Parser)]
#[command(name = "pollchat-server ctl", bin_name = "pollchat-server ctl", term_width = 100, after_help = orders())]
pub struct Ctl {
    /// The socket of the server, as its --control names it [default: /run/pollchat/control, or
    /// $XDG_RUNTIME_DIR/pollchat/control if only that is there]
    #[arg(long, value_name = "PATH", env = "POLLCHAT_CONTROL", hide_env_values = true)]
    control: Option<PathBuf>,

    /// Print each row of the answer as an object of JSON
    #[arg(long)]
    json: bool,

    /// The order, in one argument or several
    #[arg(value_name = "ORDER", required = true, trailing_var_arg = true)]
    words: Vec<String>,
}

/// Reason that an order was not carried out, for all that is known here.
#[derive(Debug, thiserror::Error)]
enum CtlError {
    #[error("cannot reach the server at {path}: {source}{hint}")]
    Unreachable {
        path: String,
        source: io::Error,
        /// The likely cause, behind a colon.
        hint: &'static str,
    },
    #[error("the server at {0} has gone without an answer: the order may be carried out, or not")]
    Gone(String),
    #[error("the server at {0} has not answered for {time} s: the order may be carried out later", time = SILENCE_MAX.as_secs())]
    Silent(String),
    #[error("{0} is no socket of a pollchat server's operators")]
    Foreign(String),
    /// The server's reason.
    #[error("{0}")]
    Refused(String),
}

/// A line of an answer.
#[derive(Debug, PartialEq, Eq)]
enum Reply<'a> {
    Row(&'a [u8]),
    Done,
    Refused(&'a [u8]),
    /// None of ours.
    Foreign,
}

/// Returns the orders, for `--help`.
fn orders() -> String {
    let usages = HELP.map(|usage| usage.split_once(": ").unwrap_or((usage, "")));
    let width = usages.iter().map(|(form, _)| form.len()).max().unwrap_or(0);
    let rows = usages.map(|(form, effect)| format!("  {form:<width$} {effect}\n")).concat();
    format!("Orders:\n{rows}\nExit codes: 0 the order is carried out, 1 it is not, 2 usage.")
}

impl Ctl {
    /// Returns it, if the order is one line of text.
    ///
    /// # Errors
    /// A usage error, if it is not.
    pub fn checked(self) -> Result<Ctl, Error> {
        let order = self.order();
        let problem = match () {
            () if order.trim().is_empty() => "the order is missing: give words such as who",
            () if order.contains(['\n', '\0']) => "an order is one line",
            () => return Ok(self),
        };
        Err(Ctl::command().error(ErrorKind::ValueValidation, problem))
    }

    /// Gives the order, and returns the exit code. A reader that closes stdout early is no error.
    pub fn run(self) -> ExitCode {
        let path = self
            .control
            .clone()
            .unwrap_or_else(|| default_path(env::var_os("XDG_RUNTIME_DIR"), |path| path.symlink_metadata().is_ok()));
        let mut out = Printer { out: BufWriter::new(io::stdout().lock()), printed: Ok(()) };
        let outcome = connect(&path).and_then(|stream| self.ask(&stream, &path, &mut out));
        let code = exit_code_of_print(PROGRAM, out.finish());
        match outcome {
            Ok(()) => code.into(),
            Err(error) => {
                eprint_line(&format!("{PROGRAM}: {error}"));
                ExitCode::FAILURE
            }
        }
    }

    /// Gives the order over `stream`, and prints the rows of the answer.
    fn ask(&self, stream: &UnixStream, path: &Path, out: &mut Printer<impl Write>) -> Result<(), CtlError> {
        let form = if self.json { "json " } else { "" };
        // A server that refuses the connection may have closed it already, and has told why.
        let _ = (&*stream).write_all(format!("{form}{}\n", self.order()).as_bytes());
        let mut answer = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            if let Err(error) = (&mut answer).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
                return Err(match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => CtlError::Silent(shown(path)),
                    _ => CtlError::Gone(shown(path)),
                });
            }
            match line.strip_suffix(b"\n").map(Reply::of) {
                Some(Reply::Row(row)) => out.print(row),
                Some(Reply::Done) => return Ok(()),
                Some(Reply::Refused(reason)) => return Err(CtlError::Refused(clean(reason))),
                None if (line.len() as u64) < LINE_BYTES_MAX => return Err(CtlError::Gone(shown(path))),
                Some(Reply::Foreign) | None => return Err(CtlError::Foreign(shown(path))),
            }
        }
    }

    fn order(&self) -> String {
        self.words.join(" ")
    }
}

/// Stdout, up to its first failure.
struct Printer<W: Write> {
    out: W,
    printed: io::Result<()>,
}

impl<W: Write> Printer<W> {
    fn print(&mut self, row: &[u8]) {
        if self.printed.is_ok() {
            self.printed = writeln!(self.out, "{}", clean(row));
        }
    }

    fn finish(mut self) -> io::Result<()> {
        self.printed.and_then(|()| self.out.flush())
    }
}

impl Reply<'_> {
    fn of(line: &[u8]) -> Reply<'_> {
        match line {
            b"ok" => Reply::Done,
            b"=" => Reply::Row(b""),
            [b'=', b' ', row @ ..] => Reply::Row(row),
            [b'n', b'o', b' ', reason @ ..] => Reply::Refused(reason),
            _ => Reply::Foreign,
        }
    }
}

/// Connects to the socket of a server. Neither that nor a call after it takes longer than [`SILENCE_MAX`].
fn connect(path: &Path) -> Result<UnixStream, CtlError> {
    let unreachable = |source: io::Error| {
        let hint = match source.kind() {
            io::ErrorKind::NotFound => ": start it with --control, and give the same path here",
            io::ErrorKind::ConnectionRefused => ": no server listens there",
            io::ErrorKind::PermissionDenied => ": only root and the server's own user may give orders",
            _ => "",
        };
        CtlError::Unreachable { path: shown(path), source, hint }
    };
    let connected = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_read_timeout(Some(SILENCE_MAX))?;
        socket.set_write_timeout(Some(SILENCE_MAX))?;
        socket.connect(&SockAddr::unix(path)?)?;
        Ok(UnixStream::from(OwnedFd::from(socket)))
    };
    connected().map_err(unreachable)
}

/// Returns the path of the server's socket, if neither flag nor variable names it: that of the system, or that of the
/// user if only that `is_there`.
fn default_path(runtime_dir: Option<OsString>, is_there: impl Fn(&Path) -> bool) -> PathBuf {
    let of_user = runtime_dir.map(|dir| Path::new(&dir).join("pollchat/control"));
    let of_user = of_user.filter(|of_user| !is_there(Path::new(SYSTEM_SOCKET)) && is_there(of_user));
    of_user.unwrap_or_else(|| SYSTEM_SOCKET.into())
}

fn shown(path: &Path) -> String {
    clean(path.as_os_str().as_encoded_bytes())
}

/// Returns text that is safe on a terminal.
fn clean(text: &[u8]) -> String {
    sanitize(text, &mut String::new()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Ctl, String> {
        let parsed = Ctl::try_parse_from([&["ctl"], arguments].concat());
        parsed.and_then(Ctl::checked).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_end_where_the_order_begins() {
        Ctl::command().debug_assert();
        for (arguments, order) in [
            (&["who", "-a"][..], "who -a"),
            (&["--json", "who", "--json"], "who --json"),
            (&["announce", "be kind", "--", "all"], "announce be kind -- all"),
            (&["announce be  kind"], "announce be  kind"),
        ] {
            assert_eq!(parse(arguments).unwrap().order(), order);
        }
        assert!(parse(&["--json", "who"]).unwrap().json);
        for (arguments, problem) in [
            (&[][..], "<ORDER>"),
            (&["--jsn", "who"], "unexpected argument '--jsn'"),
            (&[" "], "the order is missing"),
            (&["announce", "one\ntwo"], "an order is one line"),
        ] {
            let error = parse(arguments).unwrap_err();
            assert!(error.contains(problem), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn the_socket_of_the_system_comes_before_that_of_the_user() {
        let path = |there: &[&str]| default_path(Some("/run/user/7".into()), |path| there.iter().any(|at| path == *at));
        let user = "/run/user/7/pollchat/control";
        assert_eq!(path(&[]), Path::new(SYSTEM_SOCKET));
        assert_eq!(path(&[user]), Path::new(user));
        assert_eq!(path(&[user, SYSTEM_SOCKET]), Path::new(SYSTEM_SOCKET));
        assert_eq!(default_path(None, |_| true), Path::new(SYSTEM_SOCKET));
    }

    #[test]
    fn an_answer_has_rows_and_an_end() {
        for (line, reply) in [
            (&b"= ana"[..], Reply::Row(b"ana")),
            (b"= ", Reply::Row(b"")),
            (b"ok", Reply::Done),
            (b"no such name", Reply::Refused(b"such name")),
            (b"* you are client-1; /help lists what you can do", Reply::Foreign),
            (b"", Reply::Foreign),
        ] {
            assert_eq!(Reply::of(line), reply);
        }
    }
}
