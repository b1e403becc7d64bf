//! `pollchat-server` as a child process: its start, its output, and its figures in `/proc`.
//!
//! Nothing here knows the server's code.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rustix::process::{Pid, Signal};

use super::client::Client;
use super::eventually;
use super::lines::{Lines as _, Member as _, Screen};
use super::proc::Proc;

/// The flags and surroundings of a server that is about to start.
pub struct Start {
    flags: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    listeners: usize,
    shell: Option<String>,
    log: Option<Stdio>,
    stdin: Option<Stdio>,
}

impl Start {
    pub fn flags<T: AsRef<OsStr>>(mut self, flags: impl IntoIterator<Item = T>) -> Start {
        self.flags.extend(flags.into_iter().map(|flag| flag.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Start {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Listens here, instead of on a port of 127.0.0.1 that the kernel picks. Repeatable.
    pub fn listen(mut self, address: &str) -> Start {
        self.listeners += 1;
        self.flags(["--listen", address])
    }

    /// Gives the server at most that many descriptors.
    pub fn descriptors(self, limit: u32) -> Start {
        self.shell(&format!(r#"ulimit -n {limit} && exec "$0" "$@""#))
    }

    /// Has a shell start it by this script, in which it is `"$0" "$@"`.
    pub fn shell(mut self, script: &str) -> Start {
        self.shell = Some(script.to_owned());
        self
    }

    /// Hands a socket over to it, in as many descriptors from 3 on.
    pub fn hand_over(mut self, socket: impl Into<OwnedFd>, times: usize) -> Start {
        let redirections: String = (3..3 + times).map(|fd| format!("{fd}<&0 ")).collect();
        self.listeners += times;
        self.stdin(socket.into())
            .shell(&format!(r#"LISTEN_PID=$$ LISTEN_FDS={times} exec "$0" "$@" {redirections} 0</dev/null"#))
    }

    /// Has the log written there, instead of being collected.
    pub fn log_to(mut self, log: impl Into<Stdio>) -> Start {
        self.log = Some(log.into());
        self
    }

    /// Has it read this, instead of nothing.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Start {
        self.stdin = Some(stdin.into());
        self
    }

    /// The command as it stands, for a server that does not get as far as listening.
    pub fn command(&self) -> Command {
        let binary = env!("CARGO_BIN_EXE_pollchat-server");
        let mut command = match &self.shell {
            None => Command::new(binary),
            Some(script) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", script, binary]);
                shell
            }
        };
        // The service manager of the tests is not that of the server.
        let ours = [&b"POLLCHAT_"[..], b"LISTEN_", b"NOTIFY_SOCKET", b"JOURNAL_STREAM"];
        for (name, _) in env::vars_os() {
            if ours.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.args(&self.flags).envs(self.env.iter().cloned()).stdin(Stdio::null());
        command
    }

    /// Starts the server, and waits until it listens.
    #[track_caller]
    pub fn go(self) -> Server {
        let (mut server, listeners) = self.spawn(Stdio::piped());
        server.stdout = server.child.stdout.take().map(Output::collect).expect("stdout is a pipe");
        eventually("the server listens", || {
            server.assert_running();
            server.stdout.snapshot().len() >= listeners
        });
        server.addresses = addresses(&server.stdout.snapshot()[..listeners]);
        server
    }

    /// Starts the server before a screen: what it writes to `stdout` comes out there, when the test looks at it.
    #[track_caller]
    pub fn go_before(self, screen: &mut Screen, stdout: impl Into<Stdio>) -> Server {
        let (mut server, listeners) = self.spawn(stdout.into());
        server.addresses = addresses(&(0..listeners).map(|_| screen.line()).collect::<Vec<_>>());
        server
    }

    fn spawn(mut self, stdout: Stdio) -> (Server, usize) {
        if self.listeners == 0 && !self.env.iter().any(|(name, _)| name == "POLLCHAT_LISTEN") {
            self = self.listen("127.0.0.1:0");
        }
        let mut command = self.command();
        command.stdout(stdout).stderr(self.log.take().unwrap_or_else(Stdio::piped));
        if let Some(stdin) = self.stdin.take() {
            command.stdin(stdin);
        }
        let mut child = command.spawn().expect("the server starts");
        let log = child.stderr.take().map(Output::collect).unwrap_or_default();
        (Server { child, stdout: Output::default(), log, addresses: Vec::new() }, self.listeners.max(1))
    }
}

#[track_caller]
fn addresses(listening: &[String]) -> Vec<SocketAddr> {
    let address = |line: &String| line.strip_prefix("listening on ")?.split(" with TLS ").next()?.parse().ok();
    let others = ["listening on unix:", "the page is at ", "metrics are at ", "operators are obeyed at "];
    let ports = listening.iter().filter(|line| !others.iter().any(|other| line.starts_with(other)));
    let addresses = ports.map(address).collect::<Option<_>>();
    addresses.unwrap_or_else(|| panic!("not addresses: {listening:?}"))
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    stdout: Output,
    log: Output,
    addresses: Vec<SocketAddr>,
}

impl Server {
    pub fn builder() -> Start {
        Start { flags: Vec::new(), env: Vec::new(), listeners: 0, shell: None, log: None, stdin: None }
    }

    /// Starts a server with these flags.
    #[track_caller]
    pub fn start(flags: &[&str]) -> Server {
        Server::builder().flags(flags).go()
    }

    /// Starts a server that announces neither joins nor leaves.
    #[track_caller]
    pub fn quiet(flags: &[&str]) -> Server {
        Server::builder().flags(["--announce-up-to", "0"]).flags(flags).go()
    }

    /// The first address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// All of them, in the order that it told them.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A client that has not read anything yet.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// A client that has entered, and knows its name.
    #[track_caller]
    pub fn join(&self) -> Client {
        Client::join(self.connect())
    }

    /// A client that has entered, and whose kernel takes little for it: if it does not read, writes to it soon block.
    #[track_caller]
    pub fn join_narrow(&self) -> Client {
        Client::join(Client::connect_narrow(self.address()))
    }

    /// Joins one after another.
    #[track_caller]
    pub fn join_many<const N: usize>(&self) -> [Client; N] {
        std::array::from_fn(|_| self.join())
    }

    /// Members that the room was told of, each by its first line; and who all have read that.
    #[track_caller]
    pub fn join_introduced<const N: usize>(&self) -> [Client; N] {
        let mut clients = self.join_many();
        for at in 0..N {
            clients[at].send_line("hello");
            clients[at].who();
            let said = clients[at].says("hello");
            for (_, other) in clients.iter_mut().enumerate().filter(|(other, _)| *other != at) {
                other.lines_until(|line| line == said);
            }
        }
        clients
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("the server is there to be signalled");
    }

    /// How it ended, within the time given.
    #[track_caller]
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                return status;
            }
            assert!(start.elapsed() < within, "the server has not ended within {within:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[track_caller]
    pub fn assert_running(&mut self) {
        let ended = self.child.try_wait().expect("the child is ours");
        assert!(ended.is_none(), "the server ended: {ended:?}");
    }

    /// What it has written to stdout so far.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.snapshot()
    }

    /// What it has logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.snapshot()
    }

    /// Waits until its output has ended, which it does with the process; then all of it can be looked at.
    #[track_caller]
    pub fn drained(&self) {
        eventually("the output ends", || self.stdout.ended() && self.log.ended());
    }

    /// Waits for a line of the log that holds all of these.
    #[track_caller]
    pub fn expect_log(&self, parts: &[&str]) -> String {
        let mut found = None;
        eventually(&format!("the log says {parts:?}"), || {
            found = self.log().into_iter().find(|line| parts.iter().all(|part| line.contains(part)));
            found.is_some()
        });
        found.expect("eventually found it")
    }

    /// Memory that it has in use: counted page by page, because the counters in `status` may be off by some pages for
    /// each processor (proc(5), "inaccurate").
    pub fn resident_bytes(&self) -> u64 {
        1024 * field(&self.proc("smaps_rollup"), "Rss:")
    }

    pub fn threads(&self) -> u64 {
        self.status("Threads:")
    }

    /// How often it has gone to sleep by itself.
    pub fn voluntary_switches(&self) -> u64 {
        self.status("voluntary_ctxt_switches:")
    }

    /// Processor time that it has used, user and system, in ticks of the kernel (10 ms).
    pub fn cpu_ticks(&self) -> u64 {
        self.process().cpu_ticks()
    }

    /// Waits until it comes to rest and stays so for a second: it uses no processor time, and is not woken once.
    #[track_caller]
    pub fn expect_rest(&self) {
        let state = || (self.cpu_ticks(), self.voluntary_switches());
        let mut rest = (Instant::now(), state());
        eventually("it rests", || {
            let now = state();
            if now != rest.1 {
                rest = (Instant::now(), now);
            }
            rest.0.elapsed() >= Duration::from_secs(1)
        });
    }

    /// Whether it sleeps: it has nothing to do, and does not only wait for a processor.
    pub fn is_asleep(&self) -> bool {
        self.process().is_asleep()
    }

    /// Processor time that it has used, in nanoseconds: of its one thread.
    pub fn cpu_nanoseconds(&self) -> u64 {
        let schedstat = self.proc("schedstat");
        schedstat.split(' ').next().and_then(|time| time.parse().ok()).expect("a number")
    }

    /// How many descriptors it holds open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("the server runs").count()
    }

    fn status(&self, name: &str) -> u64 {
        field(&self.proc("status"), name)
    }

    fn proc(&self, file: &str) -> String {
        self.process().file(file)
    }

    fn process(&self) -> Proc {
        Proc(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            eprintln!("the end of the server's log:\n{}", log[log.len().saturating_sub(40)..].join("\n"));
        }
    }
}

/// Lines that a thread collects from a pipe.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<(Vec<String>, bool)>>);

impl Output {
    fn collect(pipe: impl Read + Send + 'static) -> Output {
        let lines = Output::default();
        let collected = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8(line).expect("the output is UTF-8");
                collected.0.lock().expect("no panic").0.push(line);
            }
            collected.0.lock().expect("no panic").1 = true;
        });
        lines
    }

    fn snapshot(&self) -> Vec<String> {
        self.0.lock().expect("no panic").0.clone()
    }

    fn ended(&self) -> bool {
        self.0.lock().expect("no panic").1
    }
}

/// The value of a field in a file of `/proc`.
fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)).expect("a known field");
    value.trim_end_matches("kB").trim().parse().expect("a number")
}
