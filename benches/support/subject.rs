//! What is measured: relays, each in a process of its own.

use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use super::browser::{Entrance, Seal};
use super::process::{Cpu, max_map_count};
use super::{Error, bare, sealing, threads};
use pollchat::server::limits::LISTEN_BACKLOG;

/// A relay that can be measured.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// `pollchat-server`, as `cargo bench` built it.
    Pollchat,
    /// The same, where those who hear others are browsers.
    Browsers,
    /// The same, where those who hear others are tracked.
    Tracked,
    /// The same, where those who hear others speak TLS.
    Tls,
    /// The same, with stunnel before it.
    Stunnel,
    /// The [relay of the textbooks](super::threads).
    Threads,
    /// The [bare floor](super::bare).
    Bare,
    /// One that runs already.
    External(External),
}

/// A relay that somebody else started.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct External {
    /// What it is called in the tables.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Whose CPU and memory are looked at.
    pub(crate) pid: u32,
    /// What one who is to hear others has to say first, if anything.
    pub(crate) join: String,
    /// What has to stand before each line that is said.
    pub(crate) say: String,
    /// Whether it speaks TLS.
    pub(crate) has_tls: bool,
}

/// A subject that runs. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// The entrance of clients that speak in lines.
    pub(crate) lines: Entrance,
    /// The entrance of clients that hear others.
    pub(crate) entrance: Entrance,
    pub(crate) pid: u32,
    child: Option<Child>,
    /// What stands before it.
    front: Option<Child>,
}

/// What this program is to be, if it was started as a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    Threads,
    Bare,
}

impl Subject {
    /// What it is called in the tables.
    pub(crate) fn name(&self) -> &str {
        match self {
            Subject::Pollchat => "pollchat",
            Subject::Browsers => "pollchat, browsers",
            Subject::Tracked => "pollchat, tracked",
            Subject::Tls => "pollchat, TLS",
            Subject::Stunnel => "pollchat behind stunnel",
            Subject::Threads => "thread per client",
            Subject::Bare => "bare `send` loop",
            Subject::External(external) => &external.name,
        }
    }

    /// Whether a newcomer is told something as soon as it can hear others.
    pub(crate) fn greets(&self) -> bool {
        match self {
            Subject::Pollchat
            | Subject::Browsers
            | Subject::Tracked
            | Subject::Tls
            | Subject::Stunnel
            | Subject::Threads => true,
            Subject::Bare => false,
            Subject::External(external) => !external.join.is_empty(),
        }
    }

    /// How many clients it can be asked to take, as far as is known beforehand.
    pub(crate) fn clients_max(&self) -> usize {
        match self {
            // Each thread takes four mappings, and the program itself some.
            Subject::Threads => max_map_count().unwrap_or(usize::MAX).saturating_sub(1_000) / 4,
            _ => usize::MAX,
        }
    }

    /// Starts it for so many clients; `flags` are for pollchat alone.
    pub(crate) fn start(&self, clients: usize, flags: &[&str]) -> Result<Running, Error> {
        let mut command = match self {
            Subject::Pollchat | Subject::Tracked | Subject::Stunnel => pollchat(flags),
            Subject::Tls => {
                let (certificate, key) = sealing::certificate()?;
                let mut command = pollchat(flags);
                command.args(["--tls", "127.0.0.1:0"]);
                command.arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key);
                command
            }
            Subject::Browsers => {
                let mut command = pollchat(flags);
                command.args(["--web", "127.0.0.1:0"]);
                command
            }
            Subject::Threads => serving("threads", clients)?,
            Subject::Bare => serving("bare", clients)?,
            Subject::External(external) => {
                let address = external.address;
                let seal = if external.has_tls { Seal::Any } else { Seal::None };
                let entrance = Entrance { seal, ..address.into() };
                let (lines, pid) = (entrance, external.pid);
                return Ok(Running { address, lines, entrance, pid, child: None, front: None });
            }
        };
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let pid = child.id();
        let mut said = String::new();
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = BufReader::new(stdout);
            for _ in 0..if matches!(self, Subject::Browsers | Subject::Tls) { 2 } else { 1 } {
                stdout.read_line(&mut said)?;
            }
        }
        let address = address_in(&said, "listening on ", "");
        let mut front = None;
        let entrance = match self {
            Subject::Tls => {
                let sealed = |line: &str| line.strip_prefix("listening on ")?.split_once(" with TLS")?.0.parse().ok();
                said.lines().find_map(sealed).map(|sealed| Entrance { seal: Seal::Lines, ..self.lines(sealed) })
            }
            Subject::Stunnel => match address {
                Some(address) => {
                    let (stunnel, sealed) = stunnel(address)?;
                    front = Some(stunnel);
                    Some(Entrance { seal: Seal::Any, ..self.lines(sealed) })
                }
                None => None,
            },
            Subject::Browsers => address_in(&said, "the page is at http://", "/").map(Entrance::of_page),
            Subject::Tracked => address.map(|address| Entrance { first_words: "/track\n", ..address.into() }),
            _ => address.map(|address| self.lines(address)),
        };
        let lines = |address| self.lines(address);
        let running =
            |(address, entrance)| Running { address, lines: lines(address), entrance, pid, child: Some(child), front };
        let said = || format!("{} did not start: it said {said:?}", self.name()).into();
        address.zip(entrance).map(running).ok_or_else(said)
    }
}

impl Subject {
    /// The entrance of plain clients. A client of pollchat enters with an empty line.
    fn lines(&self, address: SocketAddr) -> Entrance {
        let is_pollchat = !matches!(self, Subject::Threads | Subject::Bare | Subject::External(_));
        Entrance { first_words: if is_pollchat { "\n" } else { "" }, ..address.into() }
    }
}

impl Running {
    /// CPU time of the relay so far, and of what stands before it.
    pub(crate) fn cpu(&self) -> io::Result<Cpu> {
        let cpu = Cpu::of(self.pid)?;
        Ok(match &self.front {
            Some(front) => cpu + Cpu::of(front.id())?,
            None => cpu,
        })
    }
}

/// Starts stunnel before a relay, on one core, as the relay is. Returns where it listens.
fn stunnel(relay: SocketAddr) -> Result<(Child, SocketAddr), Error> {
    let (certificate, key) = sealing::certificate()?;
    let sealed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config = certificate.with_file_name("stunnel.conf");
    let (certificate, key) = (certificate.display(), key.display());
    std::fs::write(
        &config,
        format!(
            "foreground = yes\npid =\ndebug = 3\nsocket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n\
             [relay]\naccept = {sealed}\nconnect = {relay}\ncert = {certificate}\nkey = {key}\n"
        ),
    )?;
    let stunnel = Command::new("stunnel").arg(&config).stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
    for _ in 0..100 {
        if TcpStream::connect(sealed).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok((stunnel, sealed))
}

/// The address between these words, in a line of what was said.
fn address_in(said: &str, before: &str, behind: &str) -> Option<SocketAddr> {
    said.lines().find_map(|line| line.strip_prefix(before)?.strip_suffix(behind)?.parse().ok())
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in self.child.iter_mut().chain(&mut self.front) {
            // It is gone already, or goes now.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The server, which is to say nothing but where it listens.
fn pollchat(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pollchat-server"));
    command.args(["--listen", "127.0.0.1:0", "--log-level", "off"]).args(flags);
    command
}

/// This very program, as a subject.
fn serving(role: &str, clients: usize) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--serve", role, "--clients", &clients.to_string()]);
    Ok(command)
}

/// Is the subject that was asked for.
pub(crate) fn serve(role: Role, clients: usize) -> Result<(), Error> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(LISTEN_BACKLOG)?;
    let listener = TcpListener::from(socket);
    println!("listening on {}", listener.local_addr()?);
    match role {
        Role::Threads => threads::serve(&listener)?,
        Role::Bare => bare::serve(&listener, clients)?,
    }
    Ok(())
}

/// Raises the limit of open files as far as it goes, for this process and all subjects, and returns it.
pub(crate) fn raise_open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // If it cannot be raised, what there is must do.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX)
}
