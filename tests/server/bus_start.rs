//! The start of a server with `--bus`: what Redis may answer, and whether the server goes on.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Output;
use std::thread;

use crate::support::{DEADLINE, Server, eventually};

/// A port that answers whatever comes with these bytes, once a connection.
fn answering(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        let mut open = Vec::new();
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let _ = connection.read(&mut [0; 1_024]).and_then(|_| connection.write_all(answer));
            open.push(connection);
        }
    });
    address
}

/// Runs a server that does not get as far as serving.
fn run(bus: &str) -> Output {
    let start = Server::builder().listen("127.0.0.1:0").flags(["--bus", bus]);
    start.command().output().expect("it can be started")
}

#[test]
fn a_server_that_redis_refuses_ends_with_its_words_and_without_the_password() {
    for (access, answer, words) in [
        ("", &b"-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n"[..], "NOAUTH Authentication"),
        ("ana:secret@", b"-WRONGPASS invalid username-password pair\r\n", "WRONGPASS invalid"),
        (
            ":secret@",
            b"-ERR unknown command 'AUTH', with args beginning with: 'secret'\r\n",
            "ERR unknown command 'AUTH'",
        ),
        ("", b"+OK\r\n-NOPERM User has no permissions to run the 'role' command\r\n", "NOPERM User"),
    ] {
        let address = answering(answer);
        let output = run(&format!("redis://{access}{address}"));
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        let last = error.lines().last().unwrap_or_default();
        assert!(last.starts_with(&format!("pollchat-server: the bus at {address}: {words}")), "{error}");
        assert_eq!(output.status.code(), Some(1));
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_server_waits_for_a_redis_that_is_not_there_or_not_ready() {
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    for (bus, word) in [
        (closed.to_string(), "the bus: the connection failed: Connection refused"),
        (answering(b"+OK\r\n-LOADING Redis is loading\r\n").to_string(), "the bus: Redis is not ready: LOADING"),
        (
            answering(b"+OK\r\n*1\r\n$5\r\nslave\r\n").to_string(),
            "the bus: this Redis is no master (its role is slave)",
        ),
        (answering(b"HTTP/1.1 400 Bad Request\r\n").to_string(), "does another protocol answer on this port?"),
        ("name.invalid".to_owned(), "the bus: cannot connect: look-up of name.invalid: "),
    ] {
        let mut server = Server::builder().listen("127.0.0.1:0").flags(["--bus", &format!("redis://{bus}")]).go();
        eventually("the reason is logged", || server.log().iter().any(|line| line.contains(word)));
        server.signal(rustix::process::Signal::TERM);
        assert!(server.wait(DEADLINE).success(), "{bus}");
    }
}

#[test]
fn servers_that_share_a_port_take_turns() {
    let shared = |address: &str| Server::builder().listen(address).flags(["--share-port"]);
    let mut first = shared("127.0.0.1:0").go();
    let address = first.address().to_string();
    let alone = Server::builder().listen(&address).command().output().expect("it can be started");
    assert_eq!(alone.status.code(), Some(1), "the other one does not share");
    let second = shared(&address).go();
    assert_eq!(second.address(), first.address());
    first.signal(rustix::process::Signal::TERM);
    first.wait(DEADLINE);
    second.join();
}
