//! A server in a thread of this process whose turns can be held up, so that everything that clients do meanwhile comes
//! to one turn. Measures the CPU time of each turn.

use std::io::{self, PipeWriter, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::Events;
use pollchat::server::Server;
use pollchat::server::config::Config;
use pollchat::server::endpoint::Endpoint;
use pollchat::server::limits::EVENTS_MAX;
use rustix::stdio::{dup2_stdin, dup2_stdout};
use rustix::time::{ClockId, clock_gettime};

use super::Error;

/// What the thread of the server and the benchmark share.
#[derive(Default)]
struct Shared {
    /// Whether no turn may begin. A turn that waits for events goes on waiting.
    is_held: AtomicBool,
    turns: AtomicU64,
    /// CPU time of the longest turn, in nanoseconds.
    longest: AtomicU64,
    is_over: AtomicBool,
}

/// The server.
pub(crate) struct Gated {
    pub(crate) lines: SocketAddr,
    pub(crate) page: SocketAddr,
    pub(crate) console: Option<Keyboard>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// The other end of stdin and stdout, for a server with a console.
pub(crate) struct Keyboard {
    keys: PipeWriter,
    stdout: OwnedFd,
}

impl Keyboard {
    fn open() -> Result<Keyboard, Error> {
        let stdout = rustix::io::dup(io::stdout())?;
        let (stdin, keys) = io::pipe()?;
        let (mut screen, output) = io::pipe()?;
        dup2_stdin(stdin)?;
        dup2_stdout(output)?;
        // Ends when stdout is what it was.
        thread::spawn(move || io::copy(&mut screen, &mut io::sink()));
        Ok(Keyboard { keys, stdout })
    }

    pub(crate) fn paste(&mut self, text: &str) -> Result<(), Error> {
        Ok(self.keys.write_all(text.as_bytes())?)
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        let _ = dup2_stdout(&self.stdout);
    }
}

impl Gated {
    /// Starts a server with these settings, on ports of its own.
    pub(crate) fn start(config: Config) -> Result<Gated, Error> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = Config { listen: vec![any.into()], web: vec![any.into()], ..config };
        let console = if config.console { Some(Keyboard::open()?) } else { None };
        let shared = Arc::new(Shared::default());
        let (bound, addresses) = mpsc::channel();
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || match Server::bind(&config) {
                Ok(server) => {
                    let [lines, page] = [Endpoint::Lines, Endpoint::Web].map(|port| server.addresses(port).next());
                    let _ = bound.send(Ok(lines.zip(page)));
                    serve(server, &shared);
                }
                Err(error) => drop(bound.send(Err(error.to_string()))),
            }
        });
        let (lines, page) = addresses.recv()??.ok_or("the server has no ports")?;
        Ok(Gated { lines, page, console, shared, thread: Some(thread) })
    }

    /// Holds up all turns but the one that waits for events, or goes on.
    pub(crate) fn set_held(&self, is_held: bool) {
        self.shared.is_held.store(is_held, Ordering::Release);
    }

    /// Turns so far.
    pub(crate) fn turns(&self) -> u64 {
        self.shared.turns.load(Ordering::Acquire)
    }

    /// The CPU time of the longest turn since this was last asked, in nanoseconds.
    pub(crate) fn take_longest(&self) -> u64 {
        self.shared.longest.swap(0, Ordering::AcqRel)
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        // An event, so that there is a next turn.
        let _ = std::net::TcpStream::connect(self.lines);
        self.thread.take().map(JoinHandle::join);
    }
}

fn serve(mut server: Server, shared: &Shared) {
    let mut events = Events::with_capacity(EVENTS_MAX);
    while !shared.is_over.load(Ordering::Acquire) {
        while shared.is_held.load(Ordering::Acquire) && !shared.is_over.load(Ordering::Acquire) {
            thread::sleep(Duration::from_micros(100));
        }
        let before = own_cpu();
        if !server.turn(&mut events).is_ok_and(|flow| flow.is_continue()) {
            return;
        }
        let took = own_cpu().saturating_sub(before);
        shared.longest.fetch_max(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::AcqRel);
        shared.turns.fetch_add(1, Ordering::AcqRel);
    }
}

/// CPU time that this thread has used.
fn own_cpu() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}
