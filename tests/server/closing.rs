//! However a connection is ended by the server, its last words arrive: the notice, `FIN`, and an end that is no reset.
//!
//! What endangers them is input: to close a socket that has some unread is to reset it, and a reset destroys what the
//! kernel still has to deliver. So all who are let go here send as fast as they can, before and after; and they have
//! read nothing of what they are owed when it happens.

use std::io::{self, ErrorKind, PipeWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Client, DEADLINE, Follower, Lines, Member, Screen, Server, converse, eventually, say_numbered};

/// So many numbered lines, some 2 MB, are much more than the kernel holds for a peer that does not read.
const MANY: usize = 10_000;

/// Bytes after which one who sends without end has shown that the server still reads it.
const PLENTY: usize = 4 << 20;

const SHUTTING_DOWN: &str = "* the server is shutting down";

/// One who sends without end, in a thread of its own, until nobody takes it any more, or it is dropped.
struct Sender {
    sent: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sender {
    /// Sends `chunk` for this client again and again.
    fn start(client: &Client, chunk: Vec<u8>) -> Sender {
        use ErrorKind::{Interrupted, TimedOut, WouldBlock};
        let mut stream = client.stream().try_clone().expect("a second descriptor");
        let (sent, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (Arc::clone(&sent), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match stream.write(&chunk[counted.load(Ordering::Relaxed) % chunk.len()..]) {
                    Ok(bytes) => drop(counted.fetch_add(bytes, Ordering::Relaxed)),
                    Err(error) if matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => {}
                    // Nobody takes it any more.
                    Err(_) => return,
                }
            }
        });
        client.stream().set_write_timeout(Some(Duration::from_millis(100))).expect("connected");
        Sender { sent, stop, thread: Some(thread) }
    }

    /// Sends a line that never ends: it costs nobody anything.
    fn endless(client: &Client) -> Sender {
        Sender::start(client, vec![b'x'; 64 * 1024])
    }

    fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits until it has sent plenty more: what was sent before is read, or it would be stuck.
    #[track_caller]
    fn sends_plenty(&self) {
        let before = self.sent();
        eventually("what is sent is read", || self.sent() - before > PLENTY);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it does not panic");
        }
    }
}

/// Reads to the end, which must be no reset, and returns all lines; the last of them are these.
#[track_caller]
fn expect_last_words(client: &mut Client, words: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(line) = client.try_line().expect("an end in good order, and no reset") {
        lines.push(line);
    }
    assert!(
        lines.ends_with(&words.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "{:?}",
        lines.last_chunk::<4>()
    );
    lines
}

#[test]
fn who_is_refused_is_told_so_however_it_sends_and_whenever_it_reads() {
    let server = Server::quiet(&["--max-clients", "1"]);
    let mut inside = server.join();
    let descriptors = server.descriptors();
    let words = ["* the server is full (1 client)", "FIN"];
    let refuse = |count| -> Vec<(Client, Sender)> {
        let clients = (0..count).map(|_| server.connect());
        clients.map(|client| (Sender::endless(&client), client)).map(|(sender, client)| (client, sender)).collect()
    };
    // A few are listened to until they end, or for the grace time.
    for (mut client, sender) in refuse(5) {
        assert_eq!(expect_last_words(&mut client, &words).len(), 2);
        sender.sends_plenty();
    }
    // Of many, those who were told make room for others. By the time that these read, all of them are closed, and what
    // they have sent since was answered by resets.
    let mut refused = refuse(30);
    eventually("all are closed", || server.descriptors() == descriptors);
    for (client, _) in &mut refused {
        assert_eq!(expect_last_words(client, &words).len(), 2);
    }
    assert_eq!(inside.present(), 1);
}

/// What an operator types into.
fn operated(flags: &[&str]) -> (Server, PipeWriter, Screen) {
    let (stdin, keyboard) = io::pipe().expect("a pipe");
    let (source, stdout) = io::pipe().expect("a pipe");
    let mut screen = Screen::new(source);
    let flags = [&["--console", "--announce-up-to", "0"], flags].concat();
    let server = Server::builder().flags(flags).stdin(stdin).go_before(&mut screen, stdout);
    (server, keyboard, screen)
}

#[test]
fn who_is_removed_is_told_so_in_the_middle_of_its_flood() {
    let (server, mut keyboard, _screen) = operated(&[]);
    let [mut a, mut b] = server.join_many();
    for is_narrow in [false, true] {
        let mut flooder = if is_narrow { server.join_narrow() } else { server.join() };
        say_numbered(&mut a, &mut b, 0, MANY);
        // Its lines are relayed, as many as there may be; the rest of them waits, and is never heard.
        let sender = Sender::start(&flooder, format!("{:~<1000}\n", "").repeat(64).into_bytes());
        let says = flooder.says("");
        b.lines_until(|line| line.starts_with(&says));
        writeln!(keyboard, "/kick {}", flooder.name()).expect("the server reads");
        eventually("it is removed", || b.present() == 3);
        sender.sends_plenty();
        // It had not read, so there are lines that it missed: of these it is told, too.
        let lines = expect_last_words(&mut flooder, &["FIN"]);
        let end = &lines[lines.len() - 3..];
        assert!(end.iter().any(|line| line == "* you were removed by the operator"), "{end:?}");
        // What it had said before comes first, to both.
        converse(&mut a, &mut b, 1);
    }
    converse(&mut a, &mut b, 2);
}

#[test]
fn who_says_goodbye_and_goes_on_gets_all_that_it_is_owed() {
    let server = Server::quiet(&[]);
    let [mut a, mut b] = server.join_many();
    for is_narrow in [false, true] {
        let mut leaver = if is_narrow { server.join_narrow() } else { server.join() };
        say_numbered(&mut a, &mut b, 0, MANY);
        leaver.send_line("FIN");
        let sender = Sender::endless(&leaver);
        sender.sends_plenty();
        Follower::new(&a, 0).follow(&mut leaver, MANY);
        leaver.expect_farewell();
    }
    converse(&mut a, &mut b, 2);
}

#[test]
fn who_reads_too_slowly_is_told_so_though_it_sends_as_fast_as_it_can() {
    let server = Server::quiet(&["--backlog", "256K", "--lag", "disconnect"]);
    let [mut a, mut b] = server.join_many();
    let mut slow = server.join_narrow();
    let sender = Sender::endless(&slow);
    say_numbered(&mut a, &mut b, 0, MANY);
    assert_eq!(b.present(), 2, "it is gone");
    sender.sends_plenty();
    let lines = expect_last_words(&mut slow, &["FIN"]);
    let end = &lines[lines.len() - 3..];
    assert!(end.iter().any(|line| line == "* you read too slowly: goodbye"), "{end:?}");
    converse(&mut a, &mut b, 2);
}

#[test]
fn a_stop_lets_all_who_read_have_everything_and_waits_for_the_others_no_longer_than_it_must() {
    let mut server = Server::quiet(&[]);
    let [mut a, mut b] = server.join_many();
    // One who never reads, and is stuck; its side stays open, as that of all others here.
    let stuck = server.join_narrow();
    let mut owed = server.join_narrow();
    say_numbered(&mut a, &mut b, 0, MANY);
    let mut late: [Client; 5] = server.join_many();
    let mut quiet = server.join();
    let senders: Vec<_> = late.iter().chain([&stuck, &owed, &a]).map(Sender::endless).collect();
    senders.iter().for_each(Sender::sends_plenty);

    server.signal(Signal::TERM);
    // This one has two megabytes to read first, and sends all the while.
    let mut lines = expect_last_words(&mut owed, &[SHUTTING_DOWN, "FIN"]);
    lines.retain(|line| !line.starts_with("* "));
    assert_eq!(lines.len(), MANY + 1);
    let mut heard = Follower::new(&a, 0);
    lines[..MANY].iter().for_each(|line| heard.take(line));
    expect_last_words(&mut b, &[SHUTTING_DOWN, "FIN"]);
    assert!(server.wait(DEADLINE).success());
    // The process is gone, and has reset those who still send. What it had flushed is theirs.
    for client in late.iter_mut().chain([&mut quiet, &mut a]) {
        expect_last_words(client, &[SHUTTING_DOWN, "FIN"]);
    }
}
