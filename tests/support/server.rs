//! What the end-to-end tests share: the server as a child process, and clients that talk to it over TCP.
//!
//! Nothing here knows the server's code: it is started as anybody would start it, and seen through its sockets, its
//! output and `/proc`. Whatever is waited for has a deadline, and nothing waits for time to pass: that a line does
//! *not* come is shown by a later line that does.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, fmt, fs, thread};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use socket2::{Domain, SockRef, Socket, Type};

/// How long anything may take that is sure to happen. Generous: the machine may be slow, and the tests share it.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// How long tens of thousands of such things may take together.
const LONG_DEADLINE: Duration = Duration::from_secs(90);

/// The kernel's buffers for a client that is to be soon stuck ([`Server::join_narrow`]).
const NARROW_BYTES: usize = 16 * 1024;

/// Tries `is_so` until it is; panics with `what` when it is not within the [`DEADLINE`].
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Lets this process hold as many descriptors as it may, for tests with many clients.
pub fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // A refusal shows soon enough, as a connection that cannot be made.
    let _ = rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// How many clients of `wanted` there can be, within the open-file limit; says so if they are fewer.
pub fn crowd(wanted: usize) -> usize {
    raise_descriptor_limit();
    let limit = rustix::process::getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    let possible = limit.map_or(wanted, |files| files.saturating_sub(200).min(wanted));
    if possible < wanted {
        eprintln!("only {possible} clients instead of {wanted}: the open-file limit is too low");
    }
    possible
}

/// How a server is to be started.
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

    /// The command as it stands, for what does not get as far as listening.
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
        // Nor is it to take the tests' own service manager for its.
        let ours = [&b"POLLCHAT_"[..], b"LISTEN_", b"NOTIFY_SOCKET"];
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
        server.stdout = server.child.stdout.take().map(Lines::collect).expect("stdout is a pipe");
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
        let log = child.stderr.take().map(Lines::collect).unwrap_or_default();
        (Server { child, stdout: Lines::default(), log, addresses: Vec::new() }, self.listeners.max(1))
    }
}

#[track_caller]
fn addresses(listening: &[String]) -> Vec<SocketAddr> {
    let address = |line: &String| line.strip_prefix("listening on ").and_then(|address| address.parse().ok());
    let addresses = listening.iter().map(address).collect::<Option<_>>();
    addresses.unwrap_or_else(|| panic!("not addresses: {listening:?}"))
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    stdout: Lines,
    log: Lines,
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

    /// A client that knows its name.
    #[track_caller]
    pub fn join(&self) -> Client {
        let mut client = self.connect();
        client.greeted();
        client
    }

    /// A client that knows its name, and whose kernel takes little for it: not reading, it is soon stuck.
    #[track_caller]
    pub fn join_narrow(&self) -> Client {
        let mut client = Client::new(connect_narrow(self.address()));
        client.greeted();
        client
    }

    /// Joins one after another.
    #[track_caller]
    pub fn join_many<const N: usize>(&self) -> [Client; N] {
        std::array::from_fn(|_| self.join())
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
        let number = |field: &String| field.parse::<u64>().expect("a number");
        self.stat()[11..13].iter().map(number).sum()
    }

    /// Whether it sleeps: it has nothing to do, and does not only wait for a processor.
    pub fn is_asleep(&self) -> bool {
        self.stat()[0] == "S"
    }

    /// The fields of its `stat`, from its state on.
    fn stat(&self) -> Vec<String> {
        let stat = self.proc("stat");
        // The name of the command may hold anything; what follows its parenthesis starts with the third field.
        let (_, fields) = stat.rsplit_once(')').expect("a command in parentheses");
        fields.split_whitespace().map(str::to_owned).collect()
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
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("the server runs")
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

/// What stands before an operator: a pipe or a terminal, of which nothing is taken but when it is looked at.
pub struct Screen {
    source: File,
    received: Vec<u8>,
}

impl Screen {
    pub fn new(source: impl Into<OwnedFd>) -> Screen {
        Screen { source: File::from(source.into()), received: Vec::new() }
    }

    /// The next line; it must come.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let line = self.try_line();
        line.unwrap_or_else(|| panic!("the end came after {:?}", String::from_utf8_lossy(&self.received)))
    }

    /// The next line; `None` when nobody can write to it any more.
    #[track_caller]
    pub fn try_line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                let line = String::from_utf8(line).expect("what is shown is UTF-8");
                return Some(line.trim_end_matches(['\r', '\n']).to_owned());
            }
            let is_ready = is_readable_within(&self.source, DEADLINE);
            assert!(is_ready, "nothing in {DEADLINE:?}; half a line: {:?}", String::from_utf8_lossy(&self.received));
            let mut buffer = [0; 64 * 1024];
            match read(&mut self.source, &mut buffer) {
                // A terminal says it by an error.
                Ok(0) | Err(_) => return None,
                Ok(len) => self.received.extend(&buffer[..len]),
            }
        }
    }

    #[track_caller]
    pub fn expect(&mut self, line: impl AsRef<str>) {
        assert_eq!(self.line(), line.as_ref(), "on the screen");
    }

    #[track_caller]
    pub fn expect_all<T: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = T>) {
        lines.into_iter().for_each(|line| self.expect(line));
    }

    /// Takes lines up to the first that `is_last`; returns them, that one too.
    #[track_caller]
    pub fn lines_until(&mut self, mut is_last: impl FnMut(&str) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            lines.push(self.line());
            if is_last(&lines[lines.len() - 1]) {
                return lines;
            }
        }
    }
}

/// Lines that a thread collects from a pipe.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<(Vec<String>, bool)>>);

impl Lines {
    fn collect(pipe: impl Read + Send + 'static) -> Lines {
        let lines = Lines::default();
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

/// A connection on which nothing is waited for for ever.
#[track_caller]
pub(super) fn connect(address: SocketAddr) -> TcpStream {
    with_deadlines(TcpStream::connect_timeout(&address, DEADLINE).expect("the server accepts"))
}

/// One that comes from this address of ours.
#[track_caller]
pub(super) fn connect_from(source: IpAddr, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(source, 0).into()).expect("an address of ours");
    socket.connect(&address.into()).expect("the server accepts");
    with_deadlines(socket.into())
}

/// One for which the kernel takes little: not read, it is soon stuck.
#[track_caller]
pub(super) fn connect_narrow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(NARROW_BYTES).expect("a small buffer");
    socket.set_send_buffer_size(NARROW_BYTES).expect("a small buffer");
    socket.connect(&address.into()).expect("the server accepts");
    with_deadlines(socket.into())
}

fn with_deadlines(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    stream.set_write_timeout(Some(DEADLINE)).expect("a deadline");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// Reads once, and on after an interruption: where there is a deadline, the kernel does not take a call up again after
/// this process was stopped for a moment (signal(7)).
pub fn read(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Waits for something to read, the end too, or for the time to pass; tells whether there is something.
pub(super) fn is_readable_within(source: impl AsFd, time: Duration) -> bool {
    let time = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
    loop {
        match poll(&mut [PollFd::new(&source, PollFlags::IN)], Some(&time)) {
            Err(Errno::INTR) => {}
            ready => return ready.expect("it can be waited for") > 0,
        }
    }
}

/// Has a connection end by a reset when it is dropped.
pub(super) fn reset(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("connected");
}

/// A client: a plain TCP stream that waits for each line, but not for ever.
///
/// Invariant: `received[taken..]` is what came and was not yet looked at.
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    taken: usize,
    number: u64,
}

impl Client {
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Client {
        Client::new(connect(address))
    }

    /// A client that comes from this address of ours.
    #[track_caller]
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Client {
        Client::new(connect_from(source, address))
    }

    fn new(stream: TcpStream) -> Client {
        Client { stream, received: Vec::new(), taken: 0, number: 0 }
    }

    /// Takes the first line, which tells a newcomer its name.
    #[track_caller]
    pub fn greeted(&mut self) {
        let line = self.line();
        let number = line.strip_prefix("* you are client-");
        let number = number.and_then(|rest| rest.strip_suffix("; /help lists what you can do"));
        self.number = number.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("not the first line: {line:?}"));
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// The name it was given.
    pub fn name(&self) -> String {
        format!("client-{}", self.number)
    }

    /// The line by which others get `text` of this client, while it has the name that it was given.
    pub fn says(&self, text: impl fmt::Display) -> String {
        format!("client-{}> {text}", self.number)
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Its own address, by which the server knows it.
    pub fn address(&self) -> SocketAddr {
        self.stream.local_addr().expect("connected")
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server takes what is sent in time");
    }

    #[track_caller]
    pub fn send_line(&mut self, text: impl AsRef<[u8]>) {
        self.send([text.as_ref(), b"\n"].concat());
    }

    /// Takes the name, and waits until it has it.
    #[track_caller]
    pub fn rename(&mut self, name: &str) {
        self.send_line(format!("/nick {name}"));
        self.expect(format!("* {} is now {name}", self.name()));
    }

    /// The next line; it must come.
    #[track_caller]
    pub fn line(&mut self) -> String {
        match self.try_line() {
            Ok(Some(line)) => line,
            Ok(None) => panic!("{}: the end came instead of a line", self.name()),
            Err(error) => panic!("{}: no line: {error}; half of it: {:?}", self.name(), self.rest_lossy()),
        }
    }

    /// The next line; `None` at the end in good order.
    ///
    /// # Errors
    /// When nothing comes in time, after a reset, and at an end in the middle of a line.
    pub fn try_line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(line) = self.received_line() {
                return Ok(Some(line));
            }
            if self.read_some(64 * 1024)? == 0 {
                let torn = self.taken < self.received.len();
                return if torn { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(None) };
            }
        }
    }

    /// The next of the lines that were read already.
    pub fn received_line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let mut rest = &self.received[self.taken..];
        rest.read_until(b'\n', &mut line).expect("memory is always readable");
        if line.pop() != Some(b'\n') {
            return None;
        }
        self.taken += line.len() + 1;
        Some(String::from_utf8(line).expect("lines are UTF-8"))
    }

    /// Reads once, at most that many bytes; tells how many came, 0 at the end.
    pub fn read_some(&mut self, max: usize) -> io::Result<usize> {
        self.received.drain(..self.taken);
        self.taken = 0;
        let held = self.received.len();
        self.received.resize(held + max, 0);
        let result = read(&mut self.stream, &mut self.received[held..]);
        self.received.truncate(held + result.as_ref().map_or(0, |&count| count));
        result
    }

    #[track_caller]
    pub fn expect(&mut self, line: impl AsRef<str>) {
        assert_eq!(self.line(), line.as_ref(), "({} got the first)", self.name());
    }

    #[track_caller]
    pub fn expect_all<T: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = T>) {
        for line in lines {
            self.expect(line);
        }
    }

    /// A private notice, whatever it says.
    #[track_caller]
    pub fn expect_notice(&mut self) -> String {
        let line = self.line();
        assert!(line.starts_with("* ") && line.len() > 2, "not a notice: {line:?}");
        line
    }

    /// The end in good order: `FIN`, then the end of the stream.
    #[track_caller]
    pub fn expect_farewell(&mut self) {
        self.expect("FIN");
        self.expect_end();
    }

    /// The end of the stream, not a reset.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(self.try_line().expect("an end in good order"), None);
    }

    /// Takes lines up to the first that `is_last`; returns them, that one too.
    #[track_caller]
    pub fn lines_until(&mut self, mut is_last: impl FnMut(&str) -> bool) -> Vec<String> {
        let start = Instant::now();
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            let is_last = is_last(&line);
            lines.push(line);
            if is_last {
                return lines;
            }
            assert!(start.elapsed() < DEADLINE, "not among {} lines, the last {:?}", lines.len(), lines.last());
        }
    }

    /// Asks who is here; the rows, the total last. What came before them comes along.
    ///
    /// Afterwards the server has acted on everything that this client sent before.
    #[track_caller]
    pub fn who(&mut self) -> Vec<String> {
        self.send_line("/who");
        self.lines_until(is_total)
    }

    /// How many are here.
    #[track_caller]
    pub fn present(&mut self) -> usize {
        let rows = self.who();
        let total = rows.last().and_then(|row| row.strip_prefix("* ")?.strip_suffix(" here"));
        total.expect("who ends with it").replace(',', "").parse().expect("a number")
    }

    /// Ends its own half only.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("connected");
    }

    /// Leaves by a reset, as a host that crashed would.
    pub fn reset(self) {
        reset(&self.stream);
    }

    /// Leaves without a word: by a reset, or by a close.
    pub fn vanish(self, resets: bool) {
        if resets {
            self.reset();
        }
    }

    fn rest_lossy(&self) -> String {
        String::from_utf8_lossy(&self.received[self.taken..]).into_owned()
    }
}

/// The value of a field in a file of `/proc`.
fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)).expect("a known field");
    value.trim_end_matches("kB").trim().parse().expect("a number")
}

/// Whether this is the last line of a reply to `/who`.
pub(super) fn is_total(line: &str) -> bool {
    let total = line.strip_prefix("* ").and_then(|rest| rest.strip_suffix(" here"));
    total.is_some_and(|total| total.bytes().all(|byte| byte.is_ascii_digit() || byte == b','))
}

/// A text that tells its number, and is of another length than its neighbours.
pub fn numbered(index: usize) -> String {
    format!("{index} {}", "~".repeat(index * 7919 % 400))
}

/// Says the numbered texts `from..to`, in step with a listener that hears every one of them.
///
/// When it returns, the server has put all of them before everybody.
#[track_caller]
pub fn say_numbered(talker: &mut Client, listener: &mut Client, from: usize, to: usize) {
    let begin = Instant::now();
    let mut heard = Follower::new(talker, from);
    for start in (from..to).step_by(100) {
        let lines = start..to.min(start + 100);
        talker.send(lines.clone().map(|index| numbered(index) + "\n").collect::<String>());
        lines.for_each(|_| heard.take(&listener.line()));
        assert!(begin.elapsed() < LONG_DEADLINE, "{start} of {to} lines in {LONG_DEADLINE:?}");
    }
    assert_eq!(heard.missed, 0, "a healthy listener loses nothing");
}

/// Follows the numbered lines of one talker: each must be the one that is due, and what was missed must be told where
/// it is missing, and exactly.
pub struct Follower {
    talker: String,
    due: usize,
    pub seen: usize,
    pub missed: usize,
    pub notices: usize,
}

impl Follower {
    pub fn new(talker: &Client, due: usize) -> Follower {
        Follower { talker: talker.name(), due, seen: 0, missed: 0, notices: 0 }
    }

    /// The number of the line that should come next.
    pub fn due(&self) -> usize {
        self.due
    }

    #[track_caller]
    pub fn take(&mut self, line: &str) {
        if let Some(missed) = missed(line) {
            self.missed += missed;
            self.due += missed;
            self.notices += 1;
        } else {
            assert_eq!(line, format!("{}> {}", self.talker, numbered(self.due)));
            self.seen += 1;
            self.due += 1;
        }
    }

    /// Reads on until all numbers below `to` were seen, or told as missed.
    #[track_caller]
    pub fn follow(&mut self, reader: &mut Client, to: usize) {
        let begin = Instant::now();
        while self.due < to {
            self.take(&reader.line());
            assert!(begin.elapsed() < LONG_DEADLINE, "{} of {to} lines in {LONG_DEADLINE:?}", self.due);
        }
        assert_eq!(self.due, to, "told of more than there was");
    }
}

/// How many lines this notice says were missed; `None` for any other line.
#[track_caller]
pub fn missed(line: &str) -> Option<usize> {
    let (count, unit) = line.strip_prefix("* you missed ")?.split_once(' ').expect("a number and a unit");
    let count = count.replace(',', "").parse().expect("a number of lines");
    assert_eq!(unit, if count == 1 { "line" } else { "lines" });
    assert!(count > 0, "a notice of nothing missed");
    Some(count)
}

/// Has two talk to each other, answer for question; what others say meanwhile is passed over, but nothing is missed.
#[track_caller]
pub fn converse(a: &mut Client, b: &mut Client, rounds: usize) {
    for round in 0..rounds {
        ask(a, b, &format!("ping {round}"));
        ask(b, a, &format!("pong {round}"));
    }
}

/// One says it, the other gets it, having missed nothing.
#[track_caller]
pub fn ask(talker: &mut Client, listener: &mut Client, text: &str) {
    talker.send_line(text);
    let said = talker.says(text);
    for line in listener.lines_until(|line| line == said) {
        assert_eq!(missed(&line), None, "{} is healthy", listener.name());
    }
}
