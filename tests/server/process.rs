//! The server as a process: flags, environment, output, signals, descriptors and idleness.

mod addresses;
mod flags;
mod log;
mod signals;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::terminal::pseudo_terminal;
use crate::support::{Client, DEADLINE, Lines, Member, Server, Start, ask, converse, eventually, say_numbered};

/// What the shutdown may take, by the specification.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// What a busy machine may add to it. Together they are less than the grace that a single leaver has.
const SLACK: Duration = Duration::from_millis(2500);

/// Lines that make a client that does not read stuck: more than its kernel and the server's hold for it.
const MANY: usize = 30_000;

/// Runs a server that is not to get as far as listening.
#[track_caller]
fn run(start: &Start) -> Output {
    let mut command = start.command();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the server starts");
    let (pid, (sender, receiver)) = (Pid::from_child(&child), mpsc::channel());
    thread::spawn(move || sender.send(child.wait_with_output()));
    let output = receiver.recv_timeout(DEADLINE).unwrap_or_else(|_| {
        let _ = kill_process(pid, Signal::KILL);
        panic!("it did not end by itself");
    });
    output.expect("the child is ours")
}

/// A server with two who talk, and one who does not read and is owed as much as the server keeps.
fn with_a_stuck_client(flags: &[&str]) -> (Server, [Client; 2], Client) {
    let server = Server::quiet(flags);
    let [mut a, mut b] = server.join_many();
    let stuck = server.join_narrow();
    say_numbered(&mut a, &mut b, 0, MANY);
    (server, [a, b], stuck)
}

mod output {
    use super::*;

    #[test]
    fn a_closed_stdout_does_not_stop_the_relay() {
        // Nobody can be told the port: it is one that was free just now, of an address of this test alone.
        let address = TcpListener::bind("127.0.0.77:0").expect("a port").local_addr().expect("bound");
        let start = Server::builder().flags(["--announce-up-to", "0"]).listen(&address.to_string());
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let mut child = start.command().stdout(writer).stderr(Stdio::null()).spawn().expect("the server starts");
        let talk = thread::spawn(move || {
            eventually("it listens", || TcpStream::connect(address).is_ok());
            let [mut a, mut b] = [(); 2].map(|()| Client::connect(address));
            a.greeted();
            b.greeted();
            converse(&mut a, &mut b, 10);
        });
        let result = talk.join();
        let ended = child.try_wait().expect("the child is ours");
        let _ = child.kill();
        let _ = child.wait();
        assert!(result.is_ok() && ended.is_none(), "the relay stopped: {ended:?}");
    }
}

mod descriptors {
    use super::*;

    #[test]
    fn it_serves_again_when_descriptors_free_up_without_a_new_connect() {
        let server = Server::builder().flags(["--announce-up-to", "0", "--max-clients", "1000"]).descriptors(40).go();
        // More than it has descriptors for; the kernel keeps the rest. They are accepted in the order that they came.
        let mut clients: Vec<_> = (0..80).map(|_| server.connect()).collect();
        let turn = |clients: &mut Vec<Client>| {
            // At least twenty of forty descriptors are for clients.
            let mut served: Vec<_> = clients.drain(..20).collect();
            served.iter_mut().for_each(Client::greeted);
            let (first, second) = served.split_at_mut(1);
            ask(&mut first[0], &mut second[0], "hello");
        };
        turn(&mut clients);
        turn(&mut clients);
        turn(&mut clients);
        turn(&mut clients);
        let [mut a, mut b] = server.join_many();
        converse(&mut a, &mut b, 2);
    }

    #[test]
    fn those_inside_talk_on_while_there_are_no_descriptors() {
        let server = Server::builder().flags(["--announce-up-to", "0", "--max-clients", "1000"]).descriptors(40).go();
        let [mut a, mut b] = server.join_many();
        let waiting: Vec<_> = (0..60).map(|_| server.connect()).collect();
        converse(&mut a, &mut b, 100);
        eventually("it has next to none left", || server.descriptors() >= 38);
        // It tries again now and then, and does not spin on it.
        let before = server.cpu_ticks();
        let start = Instant::now();
        eventually("they talk for a second", || {
            converse(&mut a, &mut b, 1);
            start.elapsed() >= Duration::from_secs(1)
        });
        let used = server.cpu_ticks() - before;
        assert!(used < 30, "{used} ticks in a second of doing next to nothing");
        drop(waiting);
        eventually("they are gone", || a.present() == 2);
    }

    #[test]
    fn the_default_number_of_clients_follows_from_the_limit() {
        for (limit, clients) in [(200, 168), (100, 84), (40, 24)] {
            let server = Server::builder().flags(["--announce-up-to", "0"]).descriptors(limit).go();
            server.expect_log(&[&clients.to_string()]);
            let mut inside: Vec<_> = (0..clients).map(|_| server.join()).collect();
            let mut refused = server.connect();
            refused.expect(format!("* the server is full ({clients} clients)"));
            refused.expect_farewell();
            inside.pop();
            let (first, second) = inside.split_at_mut(1);
            ask(&mut first[0], &mut second[0], "all have room");
        }
    }
}

mod idleness {
    use super::*;

    #[test]
    fn a_server_that_nobody_came_to_rests() {
        Server::start(&[]).expect_rest();
    }

    #[test]
    fn it_is_one_thread() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        converse(&mut a, &mut b, 2);
        assert_eq!(server.threads(), 1);
    }

    #[test]
    fn it_rests_after_load() {
        let server = Server::quiet(&[]);
        let [mut a, mut b] = server.join_many();
        say_numbered(&mut a, &mut b, 0, 20_000);
        for index in 0..100 {
            let mut visitor = server.join();
            if index % 2 == 0 {
                visitor.send_line("FIN");
                visitor.expect("FIN");
            } else {
                visitor.reset();
            }
        }
        server.expect_rest();
        converse(&mut a, &mut b, 2);
    }

    #[test]
    fn it_rests_beside_those_who_are_in_the_middle_of_something() {
        let (server, [mut a, mut b], stuck) = with_a_stuck_client(&[]);
        let mut with_fragment = server.join();
        with_fragment.send("half a li");
        let mut over = server.join();
        over.send("x".repeat(100_000));
        let half_closed = server.join();
        half_closed.half_close();
        let mut asker = server.join_narrow();
        asker.send("/who\n/help\n".repeat(5000));
        let mut mute = server.join_narrow();
        mute.send("one\ntwo\n");
        b.lines_until(|line| line.ends_with("> two"));
        server.expect_rest();
        converse(&mut a, &mut b, 2);
        drop((stuck, with_fragment, over, half_closed, asker, mute));
    }

    #[test]
    fn it_rests_when_the_house_is_full() {
        let server = Server::quiet(&["--max-clients", "2"]);
        let [mut a, mut b] = server.join_many();
        for _ in 0..10 {
            server.connect().expect_notice();
        }
        server.expect_rest();
        converse(&mut a, &mut b, 2);
    }
}
