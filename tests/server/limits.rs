//! A real server among strangers: what limits a client, through real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{Client, Lines, Member, Server, numbered};

/// A line that fills a tape soon.
fn long(number: usize) -> String {
    format!("{number} {}", "x".repeat(1_000))
}

#[test]
fn with_lag_wait_one_who_reads_slowly_gets_every_line_and_so_does_everyone() {
    let server = Server::quiet(&["--lag", "wait", "--backlog", "64K"]);
    let (mut talker, mut reader, mut slow) = (server.join(), server.join(), server.join_narrow());
    let count = 3_000;
    std::thread::scope(|scope| {
        scope.spawn(|| (0..count).for_each(|number| talker.send_line(long(number))));
        let name = format!("client-{}", 1);
        let reader = scope.spawn({
            let (name, reader) = (name.clone(), &mut reader);
            move || (0..count).for_each(|number| reader.expect(format!("{name}> {}", long(number))))
        });
        // Far more than the tape and the kernel's buffers hold: nobody gets it before this one takes it.
        for number in 0..count {
            slow.expect(format!("{name}> {}", long(number)));
            assert!(number > count / 4 || !reader.is_finished(), "the others were to wait for it");
        }
        reader.join().unwrap();
    });
}

#[test]
fn over_its_rate_a_client_is_held_back_by_tcp_and_loses_nothing() {
    let server = Server::quiet(&["--rate", "50", "--burst", "10"]);
    let (mut talker, mut reader) = (server.join(), server.join());
    let start = Instant::now();
    (0..60).for_each(|number| talker.send_line(numbered(number)));
    for number in 0..60 {
        reader.expect(talker.says(numbered(number)));
    }
    assert!(start.elapsed() >= Duration::from_secs(1), "fifty of them at fifty a second");
    // A flood of one who is held back costs the server no memory: the kernel's buffers fill, and then it has to wait.
    let before = server.resident_bytes();
    talker.stream().set_nonblocking(true).unwrap();
    let line = [b'x'; 1_000];
    let mut sent = 0;
    loop {
        match talker.stream().write(&line) {
            Ok(bytes) => sent += bytes,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
        assert!(sent < 64 * 1024 * 1024, "it is not held back");
    }
    assert!(server.resident_bytes() < before + 1024 * 1024);
}

/// Sends a request as a browser does, and returns all that comes back.
fn visit(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // It may be closed before all of it is sent.
    let _ = stream.write_all(request);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let _ = stream.shutdown(Shutdown::Both);
    answer
}

#[test]
fn a_page_in_a_browser_does_not_speak_in_the_room() {
    let server = Server::builder().flags(["--announce-up-to", "0"]).go();
    let mut ana = server.join();
    let body = "/nick admin\nbuy this\n".repeat(50_000);
    let post = format!("POST /{{}} HTTP/1.1\r\nHost: relay\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for _ in 0..20 {
        for request in [post.as_bytes(), b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n"] {
            let answer = visit(&server, request);
            assert_eq!(answer, "* this is a chat relay and speaks no HTTP: goodbye\nFIN\n");
        }
    }
    assert!(visit(&server, b"\x16\x03\x01\x00\xa5\x01\x00\x00").ends_with("speaks no TLS: goodbye\nFIN\n"));
    let mut bob: Client = server.join();
    bob.send_line("the first thing that is said");
    ana.expect(bob.says("the first thing that is said"));
    server.expect_log(&["client-2 came"]);
    let log = server.log();
    assert_eq!(log.iter().filter(|line| line.contains("speaks HTTP")).count(), 1, "{log:#?}");
    assert_eq!(log.iter().filter(|line| line.contains("HTTP")).count(), 1, "once a minute at most: {log:#?}");
}
