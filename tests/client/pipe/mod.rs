//! `pollchat-client` as a child process, against servers that do as the test says: every kind of stdin and stdout,
//! every way to end, every exit code, and servers that are hostile or slow.
//!
//! Nothing here sleeps to let something happen: each wait is for a condition, and has a deadline.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};
use socket2::{Domain, SockRef, Socket, Type};

use crate::support::Proc;
use crate::support::terminal::pseudo_terminal;

mod cut;
mod endings;
mod hostile;
mod inputs;
mod listening;
mod password;
mod restart;
mod rooms;
mod said;
mod servers;
mod text;
mod textbook;
mod tls;
mod tracking;

/// How long anything may take that should happen at once. Generous: the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long the client itself lets an ending stand still.
const GRACE: Duration = Duration::from_secs(5);

/// More memory than this no conversation needs, in KiB. The program alone has about 4 MiB.
const RSS_KIB_MAX: u64 = 12 << 10;

// The client.

/// A running `pollchat-client`, killed if the test ends before it does.
struct Client {
    child: Child,
    stdout: Option<Output>,
    stderr: Option<Output>,
}

struct Exit {
    stdout: String,
    stderr: String,
}

/// A client and the server's side of its connection.
fn conversation() -> (Client, TcpStream) {
    conversation_with(|command| command)
}

fn conversation_with(configure: impl FnOnce(&mut Command) -> &mut Command) -> (Client, TcpStream) {
    let listener = listen("127.0.0.1:0");
    let mut command = client_of(address(&listener));
    configure(&mut command);
    let client = Client::start(&mut command);
    // With the command go our copies of what the client was handed.
    drop(command);
    (client, accept(&listener))
}

fn client_of(server: impl Display) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pollchat-client"));
    piped(&mut command).arg(server.to_string());
    command
}

fn piped(command: &mut Command) -> &mut Command {
    for name in ["POLLCHAT_NICK", "POLLCHAT_PASSWORD", "POLLCHAT_TOKEN"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped())
}

impl Client {
    fn start(command: &mut Command) -> Client {
        if command.get_program() == "sh" {
            piped(command);
        }
        // A group of its own, so that no stop of it is anybody else's.
        let mut child = command.process_group(0).spawn().unwrap();
        let stdout = child.stdout.take().map(Output::of);
        let stderr = child.stderr.take().map(Output::of);
        Client { child, stdout, stderr }
    }

    /// Starts a client that finds this on stdin, and then its end. A client that is refused counts the lines that it
    /// finds: lines that are typed later may come after that.
    fn start_with(command: &mut Command, typed: &str) -> Client {
        let (stdin, mut writer) = io::pipe().unwrap();
        writer.write_all(typed.as_bytes()).unwrap();
        drop(writer);
        Client::start(command.stdin(stdin))
    }

    /// Types this. A client that is refused may have ended already.
    fn type_in(&mut self, text: &str) {
        match self.child.stdin.as_mut().expect("stdin is a pipe").write_all(text.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            result => result.unwrap(),
        }
    }

    fn end_stdin(&mut self) {
        self.child.stdin = None;
    }

    fn has_taken_typed(&self) -> bool {
        let stdin = self.child.stdin.as_ref().expect("stdin is a pipe");
        rustix::io::ioctl_fionread(stdin).unwrap() == 0
    }

    fn stdout(&mut self) -> &mut Output {
        self.stdout.as_mut().expect("stdout is a pipe")
    }

    fn stderr(&mut self) -> &mut Output {
        self.stderr.as_mut().expect("stderr is a pipe")
    }

    fn close_stdout(&mut self) {
        self.stdout = None;
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Stops it, and waits until it is.
    fn stop(&self) {
        self.signal(Signal::STOP);
        let (_, status) = waitpid(Some(self.pid()), WaitOptions::UNTRACED).unwrap().expect("it was told to stop");
        assert!(status.stopped());
    }

    /// Waits until it is over, one way or another.
    fn wait_for_exit(&self) {
        let pidfd = pidfd_open(self.pid(), PidfdFlags::empty()).unwrap();
        assert!(becomes_ready(&pidfd, PollFlags::IN), "the client did not end");
    }

    /// Waits for its end and checks all that can be seen of it.
    #[track_caller]
    fn ends(self, code: i32, stdout: &str, stderr: &str) {
        let exit = self.exits(code);
        assert_eq!((exit.stdout.as_str(), exit.stderr.as_str()), (stdout, stderr));
    }

    #[track_caller]
    fn exits(mut self, code: i32) -> Exit {
        self.wait_for_exit();
        let status = self.child.wait().unwrap();
        let stdout = self.stdout.take().map(Output::whole).unwrap_or_default();
        let stderr = self.stderr.take().map(Output::whole).unwrap_or_default();
        assert_eq!(status.code(), Some(code), "{status}, stderr: {stderr}");
        Exit { stdout, stderr }
    }

    /// Waits until it waits, with all that it could do done.
    fn wait_until_asleep(&self) {
        self.wait_until("it sleeps", Client::is_asleep);
    }

    #[track_caller]
    fn wait_until(&self, what: &str, mut is_true: impl FnMut(&Client) -> bool) {
        wait_until(what, || is_true(self));
    }

    /// Whether it sleeps in its poller. Seen several times: it may also sleep for a moment in another call.
    fn is_asleep(&self) -> bool {
        (0..3).all(|_| {
            thread::yield_now();
            let waits_in = self.process().file("wchan");
            self.process().is_asleep()
                && (waits_in.contains("epoll") || waits_in.contains("ep_poll") || waits_in == "0")
        })
    }

    fn cpu_ticks(&self) -> u64 {
        self.process().cpu_ticks()
    }

    fn stdin_offset(&self) -> u64 {
        let info = self.process().file("fdinfo/0");
        info.lines().find_map(|line| line.strip_prefix("pos:")).unwrap().trim().parse().unwrap()
    }

    #[track_caller]
    fn expect_small(&self) {
        let status = self.process().file("status");
        let rss = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = rss.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        assert!(kib <= RSS_KIB_MAX, "it grew to {kib} KiB");
    }

    fn process(&self) -> Proc {
        Proc(self.child.id())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Both fail if it has ended, and that is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What comes out of a descriptor, read by a thread so that every wait for it can have a deadline.
struct Output {
    pieces: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    /// With this goes the thread, and with the thread the descriptor.
    _stop: io::PipeWriter,
}

impl Output {
    fn of(mut source: impl Read + AsFd + Send + 'static) -> Output {
        let (sender, pieces) = mpsc::channel();
        let (stopped, stop) = io::pipe().unwrap();
        thread::spawn(move || {
            let mut piece = vec![0; 64 << 10];
            loop {
                let mut fds = [PollFd::new(&source, PollFlags::IN), PollFd::new(&stopped, PollFlags::IN)];
                poll(&mut fds, None).unwrap();
                if !fds[1].revents().is_empty() {
                    return;
                }
                // A terminal ends with EIO.
                match source.read(&mut piece) {
                    Ok(len @ 1..) if sender.send(piece[..len].to_vec()).is_ok() => {}
                    _ => return,
                }
            }
        });
        Output { pieces, seen: Vec::new(), _stop: stop }
    }

    /// Waits until `text` has come.
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !String::from_utf8_lossy(&self.seen).contains(text) {
            let piece = self.pieces.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let seen = String::from_utf8_lossy(&self.seen);
            self.seen.extend(piece.unwrap_or_else(|err| panic!("{err}: no {text:?} in {seen:?}")));
        }
    }

    /// Waits for its end, and returns all of it.
    #[track_caller]
    fn whole(mut self) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.pieces.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(piece) => self.seen.extend(piece),
                Err(RecvTimeoutError::Disconnected) => return String::from_utf8(self.seen).unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("no end after {} bytes", self.seen.len()),
            }
        }
    }
}

// The server's side, and what is waited for.

fn listen(address: &str) -> TcpListener {
    TcpListener::bind(address).unwrap()
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().unwrap()
}

/// An address where a connect is refused, kept from everybody else for as long as the tests run.
fn address_of_nobody() -> SocketAddr {
    static NOBODY: OnceLock<Socket> = OnceLock::new();
    let socket = NOBODY.get_or_init(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket
    });
    socket.local_addr().unwrap().as_socket().unwrap()
}

#[track_caller]
fn accept(listener: &TcpListener) -> TcpStream {
    assert!(becomes_ready(listener, PollFlags::IN), "the client did not connect");
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

#[track_caller]
fn expect(stream: &mut impl Read, text: &str) {
    let mut bytes = vec![0; text.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), text);
}

/// All up to the end that a half-close makes.
#[track_caller]
fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Answers the request for tracking as a server of an earlier version does.
#[track_caller]
fn refuse_track(server: &mut TcpStream) {
    expect(server, "/track\n");
    server.write_all(b"* there is no command /track; /help lists what you can do\n").unwrap();
}

/// Closes with an RST.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// The bytes that the kernel has of the connection between the client and `server`, by its own account. (Those that
/// arrived and were not acknowledged yet count twice.)
fn bytes_under_way(server: &TcpStream) -> usize {
    let ports = [server.local_addr(), server.peer_addr()].map(|address| format!(":{:04X}", address.unwrap().port()));
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let connection = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|fields| {
        let is_end =
            |here: usize, there: usize| fields[1].ends_with(&ports[here]) && fields[2].ends_with(&ports[there]);
        is_end(0, 1) || is_end(1, 0)
    });
    let queues = connection.flat_map(|fields| {
        let (tx, rx) = fields[4].split_once(':').unwrap();
        [tx, rx].map(|bytes| usize::from_str_radix(bytes, 16).unwrap())
    });
    queues.sum()
}

/// Says `text` again and again, with pauses, until the client has gone.
fn say_until_gone(server: &mut TcpStream, text: &str, pause: Duration) {
    let pause = Timespec { tv_sec: 0, tv_nsec: pause.subsec_nanos().into() };
    while server.write_all(text.as_bytes()).is_ok() {
        // Of no flag asked for: a hang-up alone ends the pause.
        poll(&mut [PollFd::new(server, PollFlags::empty())], Some(&pause)).unwrap();
    }
}

fn is_ready(fd: impl AsFd, flags: PollFlags) -> bool {
    let mut fds = [PollFd::new(&fd, flags)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() > 0
}

fn becomes_ready(fd: impl AsFd, flags: PollFlags) -> bool {
    let mut fds = [PollFd::new(&fd, flags)];
    poll(&mut fds, Some(&Timespec { tv_sec: DEADLINE.as_secs() as i64, tv_nsec: 0 })).unwrap() > 0
}

/// Waits for what no event tells.
#[track_caller]
fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_true() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1)); // So that looking does not slow down what is looked for.
    }
}

/// Lines that are all different, of `bytes` bytes altogether.
fn numbered_lines(bytes: usize) -> String {
    let mut text: String = (0..bytes / 16 + 1).map(|number| format!("line {number:>10}\n")).collect();
    text.truncate(bytes);
    // The last one has an end, too.
    text.replace_range(bytes - 1.., "\n");
    text
}

fn temporary_path() -> PathBuf {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("client-{}-{number}", std::process::id()))
}

/// A file that holds `bytes`, open for reading, with no name any more.
fn temporary_file(bytes: &[u8]) -> File {
    let path = temporary_path();
    fs::write(&path, bytes).unwrap();
    let file = File::open(&path).unwrap();
    fs::remove_file(path).unwrap();
    file
}
