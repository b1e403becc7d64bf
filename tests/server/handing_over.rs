//! Restarts in good order of a server with a journal: the file of sessions between two runs, and the log.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Signal;

use crate::support::{Client, DEADLINE, Lines, Member as _, Server};

/// A folder for a journal, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pollchat-handing-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn start(&self) -> Server {
        Server::builder().flags(["--journal"]).flags([&self.0]).go()
    }

    /// The file of sessions.
    fn sessions(&self) -> PathBuf {
        self.0.join("pollchat.sessions")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A tracked client that is `ana`, its token, and its position.
fn ana(server: &Server) -> (Client, String) {
    let mut ana = server.connect();
    ana.send_line("/track\n/nick ana");
    let session = ana.line();
    let lines = ana.lines_until(|line| line == "* ana joined");
    let stamp = lines.iter().rev().find(|line| line.starts_with("@ ")).expect("a record has a stamp");
    let position = stamp.rsplit(' ').next().unwrap();
    let token = session.split(' ').nth(2).unwrap();
    (ana, format!("/track {position} {token}"))
}

/// Comes back with this line. Returns what the server says of the session, and what becomes of the position.
fn come_back(server: &Server, track: &str) -> [String; 2] {
    let mut ana = server.connect();
    ana.send_line(track);
    [ana.line(), ana.line()]
}

fn stop(server: &mut Server, signal: Signal) {
    server.signal(signal);
    assert_eq!(server.wait(DEADLINE).success(), signal == Signal::TERM);
}

#[test]
fn sessions_are_in_a_file_between_two_runs_and_nowhere_else() {
    let folder = Folder::new();
    let mut server = folder.start();
    let (mut ana, track) = ana(&server);
    server.signal(Signal::TERM);
    ana.lines_until(|line| line == "** the server is shutting down and keeps your session");
    ana.expect_end();
    drop(ana);
    assert!(server.wait(DEADLINE).success());
    server.expect_log(&["kept the sessions of 1 client for the next start"]);
    let permissions = fs::metadata(folder.sessions()).unwrap().permissions().mode();
    assert_eq!(permissions & 0o777, 0o600);
    let text = fs::read_to_string(folder.sessions()).unwrap();
    let token = track.rsplit(' ').next().unwrap();
    assert!(text.contains("\"ana\"") && !text.contains(token), "{text}");
    let server = folder.start();
    server.expect_log(&["1 client has 30 s to come back"]);
    assert!(!folder.sessions().exists(), "a crash must not bring it back");
    let [session, answer] = come_back(&server, &track);
    assert!(session.starts_with(&format!("** session {token} heard 1 at ")) && session.ends_with(" as ana"));
    assert_eq!(answer, "** resumed");
}

#[test]
fn a_killed_server_leaves_no_sessions_and_its_clients_come_back_as_after_a_crash() {
    let folder = Folder::new();
    let mut server = folder.start();
    let (_ana, track) = ana(&server);
    stop(&mut server, Signal::KILL);
    assert!(!folder.sessions().exists());
    let server = folder.start();
    let [session, _] = come_back(&server, &track);
    assert!(session.contains(" heard 0 at ") && !session.ends_with(" as ana"), "{session}");
}

#[test]
fn a_second_signal_stops_at_once_and_keeps_the_sessions() {
    let folder = Folder::new();
    let mut server = folder.start();
    let (_ana, track) = ana(&server);
    let mut plain = server.join();
    server.signal(Signal::TERM);
    plain.lines_until(|line| line == "FIN");
    // It is waited for, because it does not close.
    server.signal(Signal::TERM);
    assert!(server.wait(DEADLINE).success());
    let [session, _] = come_back(&folder.start(), &track);
    assert!(session.contains(" heard 1 at ") && session.ends_with(" as ana"), "{session}");
}

#[test]
fn sessions_that_are_torn_or_of_another_version_are_told_and_count_as_none() {
    let folder = Folder::new();
    for (cut, from, to, why) in [
        (usize::MAX, "pollchat-sessions 1", "pollchat-sessions 2", "it is of another version of the server"),
        (usize::MAX, "\"ana\"", "\"bob\"", "it is damaged"),
        (100, "", "", "it is damaged"),
        (0, "", "", "it holds no sessions"),
    ] {
        let mut server = folder.start();
        let (ana, track) = ana(&server);
        server.signal(Signal::TERM);
        drop(ana);
        assert!(server.wait(DEADLINE).success());
        let text = fs::read_to_string(folder.sessions()).unwrap();
        fs::write(folder.sessions(), text[..cut.min(text.len())].replacen(from, to, 1)).unwrap();
        let mut server = folder.start();
        server.expect_log(&["WARN", why, "clients come back as after a crash"]);
        assert!(!folder.sessions().exists());
        let [session, _] = come_back(&server, &track);
        assert!(session.contains(" heard 0 at "), "{session}");
        stop(&mut server, Signal::KILL);
    }
}

#[test]
fn a_start_that_fails_leaves_the_sessions_to_the_next() {
    let folder = Folder::new();
    let mut server = folder.start();
    let (ana, track) = ana(&server);
    server.signal(Signal::TERM);
    drop(ana);
    assert!(server.wait(DEADLINE).success());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let start = Server::builder().listen(&address).flags(["--journal".as_ref(), folder.0.as_os_str()]);
    assert_eq!(start.command().output().unwrap().status.code(), Some(1));
    let [session, _] = come_back(&folder.start(), &track);
    assert!(session.ends_with(" as ana"), "{session}");
}
