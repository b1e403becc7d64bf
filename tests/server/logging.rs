//! The log under systemd's journal, and beside it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::fs::fstat;
use rustix::process::Signal;

use crate::support::{DEADLINE, Server, Start};

/// `JOURNAL_STREAM` of this file.
fn stream_of(file: impl AsFd) -> String {
    let stat = fstat(file).unwrap();
    format!("{}:{}", stat.st_dev, stat.st_ino)
}

/// The log of a server whose stderr leads to `far`, through its end.
fn log_of(start: Start, near: OwnedFd, far: impl Read) -> Vec<String> {
    let mut server = start.flags(["--log-level", "debug"]).log_to(near).go();
    drop(server.join());
    server.signal(Signal::TERM);
    assert!(server.wait(DEADLINE).success());
    BufReader::new(far).lines().collect::<Result<_, _>>().unwrap()
}

/// A stream as journald hands it out, and its variable.
fn journal() -> (OwnedFd, UnixStream, String) {
    let (near, far) = UnixStream::pair().unwrap();
    far.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let stream = stream_of(&near);
    (near.into(), far, stream)
}

#[track_caller]
fn assert_is_timed(log: &[String]) {
    assert!(log.len() > 3 && log.iter().all(|line| line.starts_with("20")), "{log:?}");
}

#[test]
fn under_the_journal_each_line_has_a_priority_and_no_time() {
    let (near, far, stream) = journal();
    let start = Server::builder().env("JOURNAL_STREAM", &stream).env("POLLCHAT_HISTROY", "5");
    let log = log_of(start, near, far);
    assert!(log.iter().all(|line| ["<4>[", "<6>[", "<7>["].iter().any(|start| line.starts_with(start))), "{log:?}");
    let has = |start: &str, end: &str| log.iter().any(|line| line.starts_with(start) && line.contains(end));
    assert!(has("<4>[", "no flag reads POLLCHAT_HISTROY"), "{log:?}");
    assert!(has("<6>[pollchat::server] ", "] shutting down"), "{log:?}");
}

#[test]
fn a_failure_is_an_error_of_the_journal() {
    let (near, far, stream) = journal();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let flags = ["--listen", &taken.local_addr().unwrap().to_string()];
    let start = Server::builder().env("JOURNAL_STREAM", &stream).flags(flags);
    let status = start.command().stderr(near).stdout(std::process::Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(1));
    let log: Vec<String> = BufReader::new(far).lines().collect::<Result<_, _>>().unwrap();
    assert!(log.len() == 1 && log[0].starts_with("<3>pollchat-server: cannot listen on "), "{log:?}");
}

#[test]
fn a_log_that_leads_elsewhere_has_times() {
    let (_, _, of_another) = journal();
    let file = File::open("/dev/null").unwrap();
    for stream in [of_another, stream_of(file), "8".to_owned(), "::".to_owned(), String::new()] {
        let (near, far, _) = journal();
        assert_is_timed(&log_of(Server::builder().env("JOURNAL_STREAM", &stream), near, far));
    }
    let (pipe, stderr) = io::pipe().unwrap();
    assert_is_timed(&log_of(Server::builder(), stderr.into(), pipe));
}
