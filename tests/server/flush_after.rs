//! `--flush-after` in a real server, with peers as textbooks write them: they send what was typed without a newline.

use std::io::{self, Write};
use std::net::TcpStream;

use crate::support::{Client, DEADLINE, Lines, Member, Screen, Server, converse, eventually};

/// A peer as textbooks write them: it sends what was typed as it is, and takes each `recv` for a message.
struct ChunkPeer {
    stream: TcpStream,
    received: String,
    /// What was heard last, and what came before it.
    passed: String,
}

impl ChunkPeer {
    #[track_caller]
    fn join(server: &Server) -> ChunkPeer {
        let stream = TcpStream::connect(server.address()).expect("the server accepts");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        let mut peer = ChunkPeer { stream, received: String::new(), passed: String::new() };
        peer.hears("* you are client-");
        peer.hears("; /help lists what you can do\n");
        peer
    }

    #[track_caller]
    fn sends(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("the server takes it");
    }

    /// Receives until this is among what it received; what came before it is passed over.
    #[track_caller]
    fn hears(&mut self, text: &str) {
        let mut buffer = [0; 1024];
        loop {
            if let Some(at) = self.received.find(text) {
                self.passed = self.received.drain(..at + text.len()).collect();
                return;
            }
            let len = crate::support::read(&mut self.stream, &mut buffer).expect("something comes in time");
            assert!(len > 0, "the end came instead of {text:?}; before it {:?}", self.received);
            self.received += str::from_utf8(&buffer[..len]).expect("UTF-8");
        }
    }

    #[track_caller]
    fn hears_the_end(&mut self) {
        self.hears("FIN");
        assert_eq!(crate::support::read(&mut self.stream, &mut [0; 1]).expect("an end in good order"), 0);
    }
}

fn server(flags: &[&str]) -> Server {
    Server::builder().flags(["--announce-up-to", "0", "--flush-after", "20"]).flags(flags).go()
}

#[test]
fn chunk_clients_talk_with_each_other_and_with_line_clients() {
    let server = server(&[]);
    let (mut ana, mut bob) = (ChunkPeer::join(&server), ChunkPeer::join(&server));
    let mut eva = server.join();
    for round in 0..20 {
        ana.sends(&format!("ana {round}"));
        bob.hears(&format!("client-1> ana {round}\n"));
        eva.expect(format!("client-1> ana {round}"));
        bob.sends(&format!("bob {round}"));
        ana.hears(&format!("client-2> bob {round}\n"));
        eva.expect(format!("client-2> bob {round}"));
        eva.send_line(format!("eva {round}"));
        ana.hears(&format!("client-3> eva {round}\n"));
        bob.hears(&format!("client-3> eva {round}\n"));
    }
    assert_eq!((ana.received.as_str(), bob.received.as_str()), ("", ""));
}

#[test]
fn a_hundred_chunk_clients_are_all_heard_by_all() {
    let server = server(&[]);
    let mut peers: Vec<_> = (0..100).map(|_| ChunkPeer::join(&server)).collect();
    for (index, peer) in peers.iter_mut().enumerate() {
        peer.sends(&format!("I am {index}"));
    }
    for (listener, peer) in peers.iter_mut().enumerate() {
        // In whatever order they came, each came once; nobody hears themselves.
        let mut missing: std::collections::BTreeSet<_> = (0..100)
            .filter(|&index| index != listener)
            .map(|index| format!("client-{}> I am {index}\n", index + 1))
            .collect();
        while !missing.is_empty() {
            peer.hears("\n");
            let line = std::mem::take(&mut peer.passed);
            assert!(missing.remove(&line), "{line:?} came to {listener}");
        }
    }
}

#[test]
fn a_chunk_client_leaves_by_its_word() {
    for word in ["FIN", "fin", "Fin", "exit"] {
        let server = server(&[]);
        let (mut ana, mut bob) = (ChunkPeer::join(&server), ChunkPeer::join(&server));
        ana.sends("bye");
        bob.hears("client-1> bye\n");
        ana.sends(word);
        ana.hears_the_end();
        drop(ana);
        let mut eva = server.join();
        eventually("it has left", || eva.present() == 2);
        bob.sends("who is left");
        eva.expect("client-2> who is left");
    }
}

#[test]
fn commands_need_no_newline() {
    let server = server(&[]);
    let (mut ana, mut bob) = (ChunkPeer::join(&server), ChunkPeer::join(&server));
    ana.sends("/nick ana");
    ana.hears("* client-1 is now ana\n");
    bob.sends("/msg ana psst");
    ana.hears("* client-2 tells you: psst\n");
    ana.sends("/who");
    ana.hears("* 2 here\n");
}

#[test]
fn an_operator_and_a_chunk_client_have_a_dialogue() {
    let (stdin, mut keyboard) = io::pipe().expect("a pipe");
    let (source, stdout) = io::pipe().expect("a pipe");
    let mut screen = Screen::new(source);
    let flags = ["--console", "--flush-after", "20", "--max-clients", "1"];
    let mut server = Server::builder().flags(flags).stdin(stdin).go_before(&mut screen, stdout);
    let mut ana = ChunkPeer::join(&server);
    for round in 0..10 {
        ana.sends(&format!("question {round}"));
        screen.lines_until(|line| line == format!("client-1> question {round}"));
        writeln!(keyboard, "answer {round}").expect("the server reads");
        ana.hears(&format!("server> answer {round}\n"));
    }
    writeln!(keyboard, "FIN").expect("the server reads");
    ana.hears_the_end();
    drop(ana);
    assert_eq!(server.wait(DEADLINE).code(), Some(0));
}

#[test]
fn a_line_whose_pieces_come_in_time_is_one() {
    let server = Server::quiet(&["--flush-after", "3600000"]);
    let [mut ana, mut bob]: [Client; 2] = server.join_many();
    for piece in ["all ", "of ", "this ", "is ", "one ", "li"] {
        ana.send(piece);
        converse(&mut bob, &mut server.join(), 1);
    }
    ana.send("ne\n");
    bob.lines_until(|line| line == "client-1> all of this is one line");
}

#[test]
fn an_interval_that_is_none_is_wrong_usage() {
    for interval in ["0", "-1", "3600001", "soon", ""] {
        let flags = ["--listen", "127.0.0.1:0", "--flush-after", interval];
        let output = Server::builder().flags(flags).command().output().expect("the server starts");
        assert_eq!(output.status.code(), Some(2), "{interval:?}");
    }
}

#[test]
fn it_rests_when_nobody_has_begun_a_line() {
    let server = server(&[]);
    let (mut ana, mut bob) = (ChunkPeer::join(&server), ChunkPeer::join(&server));
    ana.sends("hello");
    bob.hears("client-1> hello\n");
    server.expect_rest();
}
