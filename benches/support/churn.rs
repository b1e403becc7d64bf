//! Those who come and go while others talk, some with browsers: eleven kinds, a thread each, and none of them behaves.
//!
//! Who says lines that can be followed leaves in good order, so that it is known how many there were. Anything that the
//! server owes one of these and does not do is an error, and ends the run.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::browser::{Speech, opening, put_close, put_message, take};
use super::load::PATIENCE;
use super::relayed::{LINE_BYTES, write_line};

/// The numbers of those who come, say lines and go: of four digits, apart from those who stay and from each other. Of
/// one kind there is one at a time, so that two numbers are enough to tell it from the one before.
const FILLER: usize = 1_000;
const PASSERS: usize = 2_000;
const FLOODERS: usize = 3_000;
const BROWSERS: usize = 4_000;

/// Lines of one flood.
const FLOOD_LINES: u64 = 20_000;

/// Loopback addresses that are connected from: a closed connection keeps its port for a minute.
const SOURCES: u64 = 64;

/// What all of them share.
pub(crate) struct Tally {
    /// Where the page is.
    page: SocketAddr,
    stop: AtomicBool,
    /// How many have connected so far.
    pub(crate) came: AtomicU64,
    /// Followed lines that were said by those who have left in good order.
    pub(crate) said: AtomicU64,
}

/// All of them, until they are stopped.
pub(crate) struct Churn {
    pub(crate) tally: Arc<Tally>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

/// One kind: comes once, or some of it together, and goes.
type Kind = fn(&Tally, SocketAddr) -> io::Result<()>;

const KINDS: [(&str, Kind); 11] = [
    ("passers", pass),
    ("resets", break_off),
    ("half lines", begin_lines),
    ("floods", flood),
    ("stopped readers", provoke_and_stop),
    ("storms of /who", storm),
    ("renamers", rename),
    ("endless lines", never_end),
    ("visitors", visit),
    ("browsers", browse),
    ("browsers that are cut off", cut_off),
];

impl Churn {
    /// Lets them all begin.
    pub(crate) fn start(address: SocketAddr, page: SocketAddr) -> Churn {
        let (came, said) = (AtomicU64::new(0), AtomicU64::new(0));
        let tally = Arc::new(Tally { page, stop: AtomicBool::new(false), came, said });
        let thread = |(name, kind): (&'static str, Kind)| {
            let tally = Arc::clone(&tally);
            thread::spawn(move || {
                while !tally.stop.load(Ordering::Relaxed) {
                    kind(&tally, address).map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
                }
                Ok(())
            })
        };
        Churn { threads: KINDS.map(thread).into(), tally }
    }

    /// Lets the last ones come; who is there goes in its own time.
    pub(crate) fn stop(&self) {
        self.tally.stop.store(true, Ordering::Relaxed);
    }

    /// Whether all are gone; or one of them ended because the server did not do what it owed it.
    pub(crate) fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Whether one has ended though nobody stopped them.
    pub(crate) fn has_failed(&self) -> bool {
        !self.tally.stop.load(Ordering::Relaxed) && self.threads.iter().any(JoinHandle::is_finished)
    }

    /// How it ended.
    ///
    /// # Errors
    /// What the server did not do that it owed one of them.
    pub(crate) fn result(self) -> io::Result<()> {
        self.stop();
        let results = self.threads.into_iter().map(|thread| thread.join().unwrap_or(Err(io::ErrorKind::Other.into())));
        results.collect()
    }
}

/// Says three lines, and leaves.
fn pass(tally: &Tally, address: SocketAddr) -> io::Result<()> {
    say_and_leave(tally, address, PASSERS, 3)
}

/// Says very many lines, as fast as the server takes them, and leaves.
fn flood(tally: &Tally, address: SocketAddr) -> io::Result<()> {
    say_and_leave(tally, address, FLOODERS, FLOOD_LINES)?;
    thread::sleep(Duration::from_millis(100));
    Ok(())
}

/// Fills the tape, so that it grows no more.
pub(crate) fn fill(tally: &Tally, address: SocketAddr) -> io::Result<()> {
    say_and_leave(tally, address, FILLER, 250_000)
}

fn say_and_leave(tally: &Tally, address: SocketAddr, kind: usize, lines: u64) -> io::Result<()> {
    let mut stream = connect(tally, address, None)?;
    let talker = kind + usize::from(tally.came.load(Ordering::Relaxed).is_multiple_of(2));
    let mut text = Vec::new();
    for number in 0..lines {
        write_line(&mut text, talker, number);
        if text.len() > 64 * 1024 {
            stream.write_all(&text)?;
            text.clear();
        }
    }
    // Two ways to say goodbye.
    if talker.is_multiple_of(2) {
        text.extend_from_slice(b"FIN\n");
    }
    stream.write_all(&text)?;
    stream.shutdown(Shutdown::Write)?;
    read_until(&stream, |line| line == b"FIN\n")?;
    tally.said.fetch_add(lines, Ordering::Relaxed);
    Ok(())
}

/// Connects and resets: at once, after half a line, after a name.
fn break_off(tally: &Tally, address: SocketAddr) -> io::Result<()> {
    for words in ["", "half a li", "/nick nobody-knows\n"] {
        let mut stream = connect(tally, address, None)?;
        stream.write_all(words.as_bytes())?;
        reset(stream)?;
    }
    thread::sleep(Duration::from_millis(2));
    Ok(())
}

/// Some begin a line, and keep the others waiting for its end; then half of them reset.
fn begin_lines(tally: &Tally, address: SocketAddr) -> io::Result<()> {
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(tally, address, None)?;
        stream.write_all(&[b'x'; 3_000])?;
        streams.push(stream);
    }
    thread::sleep(Duration::from_millis(200));
    for (index, stream) in streams.into_iter().enumerate() {
        if index % 2 == 0 {
            reset(stream)?;
        }
    }
    Ok(())
}

/// Some ask for much and read nothing of it, nor of what is said; then they are gone.
fn provoke_and_stop(tally: &Tally, address: SocketAddr) -> io::Result<()> {
    let mut streams = Vec::new();
    for _ in 0..5 {
        let mut stream = connect(tally, address, Some(16 * 1024))?;
        stream.write_all(&b"/help\n".repeat(2_000))?;
        streams.push(stream);
    }
    thread::sleep(Duration::from_millis(1_000));
    Ok(())
}

/// Fifty ask at once who is here, three times each, and read all the answers.
fn storm(tally: &Tally, address: SocketAddr) -> io::Result<()> {
    let mut streams = (0..50).map(|_| connect(tally, address, None)).collect::<io::Result<Vec<_>>>()?;
    for stream in &mut streams {
        stream.write_all(b"/who\n/who\n/who\n")?;
    }
    for stream in &streams {
        let mut answers = 0;
        read_until(stream, |line| {
            answers += usize::from(line.starts_with(b"* ") && line.ends_with(b" here\n"));
            answers == 3
        })?;
    }
    thread::sleep(Duration::from_millis(100));
    Ok(())
}

/// Takes one name after another.
fn rename(tally: &Tally, address: SocketAddr) -> io::Result<()> {
    let mut stream = connect(tally, address, None)?;
    let number = tally.came.load(Ordering::Relaxed);
    for turn in 0..20 {
        stream.write_all(format!("/nick {}-{number}\n", ["ana", "Øyvind", "世界"][turn % 3]).as_bytes())?;
    }
    stream.write_all(b"exit\n")?;
    read_until(&stream, |line| line == b"FIN\n")?;
    thread::sleep(Duration::from_millis(10));
    Ok(())
}

/// Sends four megabytes of a line that has no end.
fn never_end(tally: &Tally, address: SocketAddr) -> io::Result<()> {
    let mut stream = connect(tally, address, None)?;
    for _ in 0..64 {
        stream.write_all(&[b'x'; 64 * 1024])?;
    }
    read_until(&stream, |line| line.starts_with(b"* line too long"))?;
    reset(stream)?;
    thread::sleep(Duration::from_millis(100));
    Ok(())
}

/// Looks at the page, and is gone; others begin to ask, or do not wait for the answer.
fn visit(tally: &Tally, _: SocketAddr) -> io::Result<()> {
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", tally.page);
    let mut stream = connect(tally, tally.page, None)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if !answer.starts_with(b"HTTP/1.1 200 ") || !answer.trim_ascii_end().ends_with(b"</html>") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it was not the page that came"));
    }
    for bytes in [request.len() / 2, request.len()] {
        let mut stream = connect(tally, tally.page, None)?;
        stream.write_all(&request.as_bytes()[..bytes])?;
        reset(stream)?;
    }
    thread::sleep(Duration::from_millis(2));
    Ok(())
}

/// Says three lines in two messages, and leaves.
fn browse(tally: &Tally, _: SocketAddr) -> io::Result<()> {
    const LINES: u64 = 3;
    let mut stream = connect(tally, tally.page, None)?;
    let talker = BROWSERS + usize::from(tally.came.load(Ordering::Relaxed).is_multiple_of(2));
    let (mut lines, mut bytes) = (Vec::new(), opening(tally.page));
    (0..LINES).for_each(|number| write_line(&mut lines, talker, number));
    put_message(&mut bytes, &lines[..LINE_BYTES]);
    put_message(&mut bytes, &lines[LINE_BYTES..]);
    // Two ways to say goodbye.
    if talker.is_multiple_of(2) {
        put_message(&mut bytes, b"FIN");
    } else {
        put_close(&mut bytes);
    }
    stream.write_all(&bytes)?;
    read_frames_to_close(&mut stream)?;
    tally.said.fetch_add(LINES, Ordering::Relaxed);
    Ok(())
}

/// Some are in the middle of something, and half of them reset then: of a message, or with much that they do not take.
fn cut_off(tally: &Tally, _: SocketAddr) -> io::Result<()> {
    let mut streams = Vec::new();
    for index in 0..20 {
        let mut stream = connect(tally, tally.page, Some(16 * 1024))?;
        let mut bytes = opening(tally.page);
        if index % 4 < 2 {
            put_message(&mut bytes, &[b'x'; 60_000]);
            bytes.truncate(40_000);
        } else {
            (0..500).for_each(|_| put_message(&mut bytes, b"/help"));
        }
        stream.write_all(&bytes)?;
        streams.push(stream);
    }
    thread::sleep(Duration::from_millis(200));
    for (index, stream) in streams.into_iter().enumerate() {
        if index % 2 == 0 {
            reset(stream)?;
        }
    }
    Ok(())
}

fn connect(tally: &Tally, address: SocketAddr, receive_bytes: Option<usize>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    let source = u8::try_from(1 + tally.came.fetch_add(1, Ordering::Relaxed) % SOURCES).unwrap_or(1);
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 1, source), 0)).into())?;
    if let Some(bytes) = receive_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.connect(&address.into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn reset(stream: TcpStream) -> io::Result<()> {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    drop(stream);
    Ok(())
}

/// Reads the answer to the opening, and then frames, up to the one that ends it.
fn read_frames_to_close(stream: &mut TcpStream) -> io::Result<()> {
    let (start, mut speech) = (Instant::now(), Speech::Asking);
    let (mut received, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    while start.elapsed() < 2 * PATIENCE {
        let bytes = stream.read(&mut buffer)?;
        if bytes == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server ended it too early"));
        }
        received.extend_from_slice(&buffer[..bytes]);
        let taken = take(&mut speech, &received, |_| {}, &mut Vec::new());
        if taken.is_over && speech == Speech::Frames {
            return Ok(());
        }
        received.drain(..taken.bytes);
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "what the server owes did not come"))
}

/// Reads lines until one is the one that is owed.
fn read_until(stream: &TcpStream, mut is_it: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let start = Instant::now();
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while start.elapsed() < 2 * PATIENCE {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server ended it too early"));
        }
        if is_it(&line) {
            return Ok(());
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "what the server owes did not come"))
}
