//! What the open internet does to a server: thousands who come to break it, and lines without an end; beside a pair
//! that talks, and loses nothing.
//!
//! Nothing here takes an absolute time for a result. What is compared is memory before and after, and times of the same
//! server with each other.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use socket2::{Domain, SockRef, Socket, Type};

use crate::support::{
    Client, DEADLINE, Lines, Member, Server, ask, converse, crowd, eventually, raise_descriptor_limit,
};

/// So many come.
const CROWD: usize = 10_000;

/// What the allocator and the kernel's counters may differ by between two looks at the same.
const SLACK_BYTES: u64 = 1 << 20;

/// Loopback addresses that are connected from: the kernel's search for a free port slows down once one address has
/// used half of them.
const SOURCES: usize = 16;

/// A stream to the server, and nothing else: ten thousand of them must cost the test little.
fn connect(server: &Server, index: usize) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let source = Ipv4Addr::new(127, 0, 0, u8::try_from(1 + index % SOURCES).expect("few"));
    socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into()).expect("a free port");
    socket.connect(&server.address().into()).expect("the server accepts");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    stream.set_write_timeout(Some(DEADLINE)).expect("a deadline");
    stream
}

/// Leaves by a reset.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("connected");
    drop(stream);
}

/// A pair that talks, in a thread of its own, until it is stopped. Either of the two panics if it misses a line.
struct Pair {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Pair {
    fn start(server: &Server) -> Pair {
        let [mut a, mut b] = server.join_many();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut rounds = 0;
            while !stopped.load(Ordering::Relaxed) {
                converse(&mut a, &mut b, 1);
                rounds += 1;
            }
            rounds
        });
        Pair { stop, thread }
    }

    /// How often they answered each other.
    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the pair misses nothing")
    }
}

mod resets {
    use super::*;

    /// How many connect before one of them is accepted: less than the kernel's queue of a listener holds.
    const AT_ONCE: usize = 500;

    /// One after another connects and resets: before the server has accepted it, at once, after half a line, after a
    /// command.
    fn come_and_break(server: &Server) {
        for batch in 0..CROWD / AT_ONCE {
            let is_before_accept = batch % 4 == 0;
            if is_before_accept {
                server.signal(Signal::STOP);
            }
            for index in 0..AT_ONCE {
                let mut stream = connect(server, index);
                match batch % 4 {
                    0 | 1 => {}
                    2 => stream.write_all(b"half a li").expect("connected"),
                    _ => stream.write_all(format!("/nick n{index}\n").as_bytes()).expect("connected"),
                }
                reset(stream);
            }
            if is_before_accept {
                server.signal(Signal::CONT);
            }
        }
    }

    #[test]
    fn ten_thousand_who_connect_and_reset_leave_nothing_behind() {
        let _machine = crate::have_machine();
        raise_descriptor_limit();
        let server = Server::quiet(&["--log-level", "off"]);
        let mut watcher = server.join();
        let pair = Pair::start(&server);
        eventually("the pair is there", || watcher.present() == 3);
        let descriptors = server.descriptors();
        // Once, so that the server has what it needs for so many; then again.
        let [before, after] = [(); 2].map(|()| {
            come_and_break(&server);
            eventually("all are gone", || watcher.present() == 3);
            eventually("their descriptors are free", || server.descriptors() == descriptors);
            server.resident_bytes()
        });
        assert!(after < before + SLACK_BYTES, "grew from {before} to {after} bytes");
        assert!(pair.stop() > 0);
    }

    #[test]
    fn thousands_that_only_come_and_go_leave_nothing_behind() {
        let _machine = crate::have_machine();
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        let come_and_go = || {
            for index in 0..1000 {
                let client = server.connect();
                client.vanish(index % 2 == 0);
            }
        };
        let descriptors = server.descriptors();
        come_and_go();
        eventually("all are gone", || a.present() == 2);
        let before = server.resident_bytes();
        come_and_go();
        converse(&mut a, &mut b, 2);
        eventually("all are gone", || a.present() == 2);
        eventually("their descriptors are free", || server.descriptors() == descriptors);
        let after = server.resident_bytes();
        assert!(after < before + SLACK_BYTES, "grew from {before} to {after} bytes");
    }
}

mod endless_lines {
    use super::*;

    /// Sends so many bytes without a newline; returns what they cost the server, in nanoseconds.
    fn cost(server: &Server, endless: &mut Client, bytes: usize, peak: &mut u64) -> u64 {
        let chunk = vec![b'x'; 256 * 1024];
        let before = server.cpu_nanoseconds();
        for _ in 0..bytes / chunk.len() {
            endless.send(&chunk);
            *peak = server.resident_bytes().max(*peak);
        }
        // All of it is read when what follows is answered.
        endless.send("\n");
        let lines = endless.who();
        let cost = server.cpu_nanoseconds() - before;
        assert_eq!(lines.iter().filter(|line| line.contains("too long")).count(), 1, "it is told once: {lines:?}");
        cost
    }

    #[test]
    fn four_times_the_endless_line_costs_four_times_as_much_and_no_memory() {
        let _machine = crate::have_machine();
        const BYTES: usize = 64 << 20;
        let server = Server::quiet(&["--log-level", "off"]);
        let [mut a, mut b, mut endless] = server.join_many();
        converse(&mut a, &mut b, 10);
        let before = server.resident_bytes();
        let mut peak = 0;
        let once = cost(&server, &mut endless, BYTES, &mut peak);
        let four_times = cost(&server, &mut endless, 4 * BYTES, &mut peak);
        // Four, were it not for other things that the machine does; sixteen, if it went over what came before.
        assert!(four_times < 8 * once, "{once} ns for {BYTES} bytes, and {four_times} ns for four times as many");
        assert!(peak < before + SLACK_BYTES, "grew from {before} to {peak} bytes");
        // Nobody else was told anything: the next that comes is this.
        a.send_line("marker");
        b.expect(a.says("marker"));
    }

    #[test]
    fn others_talk_on_beside_an_endless_line() {
        let _machine = crate::have_machine();
        let server = Server::quiet(&[]);
        let mut endless = server.join();
        let pair = Pair::start(&server);
        let chunk = vec![b'x'; 256 * 1024];
        (0..200).for_each(|_| endless.send(&chunk));
        let rounds = pair.stop();
        // The pair's lines in good order are all that it was given besides.
        endless.send("\n");
        let lines = endless.who();
        assert_eq!(lines.iter().filter(|line| line.contains("too long")).count(), 1);
        assert!(rounds > 0, "the pair said nothing");
    }

    #[test]
    fn a_byte_costs_the_same_however_much_of_the_line_has_come_before() {
        let _machine = crate::have_machine();
        const BYTES: usize = 3_000;
        const BEFORE: usize = 1_000_000;
        let server = Server::quiet(&["--max-line", "1M", "--log-level", "off"]);
        let [mut a, mut b, mut dripper] = server.join_many();
        let mut drip = |before: usize| {
            dripper.send("x".repeat(before));
            converse(&mut a, &mut b, 100);
            let start = server.cpu_nanoseconds();
            for byte in 0..BYTES {
                dripper.send("x");
                // So that it is read alone.
                ask(&mut a, &mut b, &byte.to_string());
            }
            let cost = server.cpu_nanoseconds() - start;
            dripper.send("\n");
            let line = dripper.says("x".repeat(before + BYTES));
            a.expect(&line);
            b.expect(&line);
            // It has not read all this while.
            dripper.who();
            cost
        };
        let [short, long] = [0, BEFORE].map(&mut drip);
        assert!(long < 3 * short, "{BYTES} bytes cost {short} ns, and {long} ns behind {BEFORE} others");
    }
}

mod storms {
    use super::*;

    /// How often each asks.
    const QUESTIONS: usize = 6;

    /// Reads the greeting.
    fn greeted(stream: &mut TcpStream) {
        let mut buffer = [0; 256];
        let mut len = 0;
        while buffer[..len].last() != Some(&b'\n') {
            let read = crate::support::read(stream, &mut buffer[len..]).expect("a greeting");
            assert!(read > 0, "no end before the greeting");
            len += read;
        }
    }

    /// Reads on until all questions are answered, each with a row of everybody whom it shows, and with the last one.
    fn answered(stream: &mut TcpStream, buffer: &mut [u8], present: usize) {
        let (mut answers, mut rows) = (0, 0);
        let mut line = Vec::new();
        while answers < QUESTIONS {
            let read = crate::support::read(stream, buffer).expect("an answer");
            assert!(read > 0, "no end before the answer");
            for &byte in &buffer[..read] {
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                if line.starts_with(b"* here: ") {
                    rows += 1;
                } else if line.starts_with(b"* ") && line.ends_with(b" here") {
                    let total: String =
                        line.iter().filter(|byte| byte.is_ascii_digit()).map(|&byte| char::from(byte)).collect();
                    assert_eq!((total.parse(), rows), (Ok(present), 100));
                    (answers, rows) = (answers + 1, 0);
                }
                line.clear();
            }
        }
    }

    /// How long a line of one takes to the other, in the middle of all that were tried while `goes_on`.
    fn median_of_a_pair(a: &mut Client, b: &mut Client, mut goes_on: impl FnMut(usize) -> bool) -> Duration {
        let mut took = Vec::new();
        while goes_on(took.len()) {
            let start = Instant::now();
            ask(a, b, &took.len().to_string());
            took.push(start.elapsed());
            std::mem::swap(a, b);
        }
        took.sort_unstable();
        took[took.len() / 2]
    }

    #[test]
    fn while_ten_thousand_ask_who_is_here_a_pair_talks_on() {
        let _machine = crate::have_machine();
        let server = Server::quiet(&["--log-level", "off"]);
        let [mut a, mut b] = server.join_many();
        let mut crowd: Vec<_> = (0..crowd(CROWD)).map(|index| connect(&server, index)).collect();
        crowd.iter_mut().for_each(greeted);
        // What a line takes that ten thousand are given, with nothing else going on.
        let quiet = median_of_a_pair(&mut a, &mut b, |tried| tried < 20);

        // All ask before the first is heard.
        server.signal(Signal::STOP);
        crowd.iter_mut().for_each(|stream| stream.write_all(&b"/who\n".repeat(QUESTIONS)).expect("connected"));
        server.signal(Signal::CONT);
        let present = 2 + crowd.len();
        let asking = thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            crowd.iter_mut().for_each(|stream| answered(stream, &mut buffer, present));
            crowd
        });
        let storm = median_of_a_pair(&mut a, &mut b, |tried| tried == 0 || !asking.is_finished());
        let crowd = asking.join().expect("each gets all its answers, whole");
        // Two, and what the reading of sixty thousand answers takes of the processors. Were the pair to wait for one
        // answer each, it would be a hundred.
        assert!(storm < 12 * quiet, "{storm:?} for a line, and {quiet:?} with nobody asking");
        assert_eq!(a.present(), present);
        drop(crowd);
    }
}
