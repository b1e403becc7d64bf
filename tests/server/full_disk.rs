//! A stdout and a stderr that fail for a while: the limit on file sizes stands for a full disk.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::support::{Client, DEADLINE, Lines as _, Member as _, Server, eventually};

/// A child that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn limit(pid: Pid, bytes: Option<u64>) {
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("it is our child");
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("pollchat-{name}-{}", std::process::id()))
}

#[test]
fn a_console_on_a_disk_that_was_full_has_whole_lines_and_tells_the_loss() {
    let screen = path("screen");
    let address = std::net::TcpListener::bind("127.0.0.82:0").unwrap().local_addr().unwrap();
    let (stdin, _keyboard) = std::io::pipe().unwrap();
    let start = Server::builder().listen(&address.to_string()).flags(["--console", "--announce-up-to", "0"]);
    let file = fs::File::create(&screen).unwrap();
    let server = Killed(start.command().stdin(stdin).stdout(file).stderr(Stdio::null()).spawn().unwrap());
    let pid = Pid::from_child(&server.0);
    eventually("it listens", || std::net::TcpStream::connect(address).is_ok());
    let [mut ana, mut bob] = [(); 2].map(|()| Client::join(Client::connect(address)));
    let text = || fs::read_to_string(&screen).unwrap();
    ana.send_line("before");
    bob.expect(ana.says("before"));
    eventually("it is shown", || text().contains("before\n"));
    limit(pid, Some(text().len() as u64 + 4));
    for number in 0..50 {
        ana.send_line(format!("{number}"));
        bob.expect(ana.says(number));
    }
    limit(pid, None);
    ana.send_line("after");
    bob.expect(ana.says("after"));
    eventually("it is shown again", || text().ends_with("after\n"));
    let shown = text();
    let (_, behind) = shown.split_once("before\n").unwrap();
    let lines: Vec<_> = behind.lines().collect();
    assert_eq!(lines, [&ana.says("0")[..4], "* 50 lines were not written", &ana.says("after")]);
    let _ = fs::remove_file(&screen);
}

#[test]
fn a_log_on_a_disk_that_was_full_has_whole_lines_and_tells_the_loss() {
    let log = path("log");
    let server = Server::builder().flags(["--log-level", "debug"]).log_to(fs::File::create(&log).unwrap()).go();
    let text = || fs::read_to_string(&log).unwrap();
    let [mut ana, mut bob] = server.join_introduced();
    limit(server.pid(), Some(text().len() as u64 + 9));
    for number in 0..50 {
        ana.send_line(format!("{number}"));
        bob.expect(ana.says(number));
    }
    limit(server.pid(), None);
    let mut last = 0;
    eventually("it is logged again", || {
        last += 1;
        ana.send_line(format!("after {last}"));
        bob.expect(ana.says(format!("after {last}")));
        text().contains(" lines of the log: ")
    });
    let torn: Vec<_> = text().lines().filter(|line| !line.contains(" [pollchat::")).map(str::to_owned).collect();
    assert!(torn.len() == 1 && torn[0].len() == 9, "{torn:?}");
    let _ = fs::remove_file(&log);
}

#[test]
fn a_log_on_a_disk_that_was_full_tells_the_loss_at_the_end() {
    // The disk has room again before the stop, or for the last words alone.
    for has_room_before in [true, false] {
        let log = path("last-log");
        let mut server = Server::builder().flags(["--log-level", "debug"]).log_to(fs::File::create(&log).unwrap()).go();
        let text = || fs::read_to_string(&log).unwrap();
        let [mut ana, mut bob] = server.join_introduced();
        limit(server.pid(), Some(text().len() as u64 + 9));
        for number in 0..50 {
            ana.send_line(format!("{number}"));
            bob.expect(ana.says(number));
        }
        if has_room_before {
            limit(server.pid(), None);
            server.signal(Signal::TERM);
            ana.lines_until(|line| line == "FIN");
        } else {
            server.signal(Signal::TERM);
            ana.lines_until(|line| line == "FIN");
            limit(server.pid(), None);
        }
        drop((ana, bob));
        assert_eq!(server.wait(DEADLINE).code(), Some(0));
        assert!(text().contains(" lines of the log: stderr was blocked or full\n"), "{}", text());
        assert_eq!(text().contains("shutting down\n"), has_room_before, "{}", text());
        let _ = fs::remove_file(&log);
    }
}
