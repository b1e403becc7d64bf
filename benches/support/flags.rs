//! The flags that the benchmarks have in common.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;

use super::Error;
use super::subject::{External, Role, Subject, raise_open_files, serve};

/// Descriptors that a process needs beside those of the clients; the server keeps some more for those it refuses.
const OTHER_FILES: usize = 100;

/// The most clients that a benchmark opens.
pub(crate) const CLIENTS_MAX: usize = 19_900;

#[derive(Args, Clone, Debug)]
pub(crate) struct Flags {
    /// Everything small, for a look whether it works; the figures mean little
    #[arg(long)]
    pub(crate) quick: bool,

    /// How often everything is measured; what is shown is the median [default: 5, or 1 with --quick]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,

    /// How many clients there are at most [default: as many as the open-file limit allows, up to 19,900]
    #[arg(long, value_name = "N")]
    clients: Option<usize>,

    /// Measures a relay that runs already, too; needs --pid
    #[arg(long, value_name = "IP:PORT", requires = "pid")]
    against: Option<SocketAddr>,

    /// The process of that relay
    #[arg(long, requires = "against")]
    pid: Option<u32>,

    /// What to call it [default: the name of the process]
    #[arg(long, requires = "against")]
    name: Option<String>,

    /// What one who is to hear others has to tell it first, such as `SUBSCRIBE room`
    #[arg(long, value_name = "TEXT", requires = "against")]
    join: Option<String>,

    /// Speak TLS with it
    #[arg(long = "with-tls", requires = "against")]
    has_tls: bool,

    /// What has to stand before each line, such as `PUBLISH room `
    #[arg(long, value_name = "TEXT", requires = "against")]
    say: Option<String>,

    /// What cargo tells every benchmark.
    #[arg(long, hide = true)]
    bench: bool,

    /// Be a subject.
    #[arg(long, hide = true)]
    serve: Option<Role>,
}

impl Flags {
    /// How many rounds there are.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 5 }).max(1)
    }

    /// How many clients there may be.
    pub(crate) fn clients_max(&self) -> usize {
        let possible = raise_open_files().saturating_sub(OTHER_FILES).min(CLIENTS_MAX);
        self.clients.map_or(possible, |clients| clients.min(possible)).max(2)
    }

    /// The relay that runs already, if one was named.
    pub(crate) fn external(&self) -> Option<Subject> {
        let (address, pid) = self.against.zip(self.pid)?;
        let comm = || std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned();
        let join = self.join.as_ref().map_or_else(String::new, |join| format!("{join}\r\n"));
        let say = self.say.clone().unwrap_or_default();
        let name = self.name.clone().unwrap_or_else(comm);
        Some(Subject::External(External { name, address, pid, join, say, has_tls: self.has_tls }))
    }
}

/// Runs a benchmark, or the subject that this process was started as.
pub(crate) fn run(flags: &Flags, benchmark: impl FnOnce() -> Result<(), Error>) -> ExitCode {
    let result = match flags.serve {
        Some(role) => serve(role, flags.clients.unwrap_or(0)),
        None => benchmark(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benchmark: {error}");
            ExitCode::FAILURE
        }
    }
}
