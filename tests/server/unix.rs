//! `--listen unix:PATH` and `--web unix:PATH` in a real server.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process;

use rustix::process::Signal;

use crate::support::http::{Wire, head};
use crate::support::{Client, DEADLINE, Lines, Member, Server, Start, converse, eventually, say_numbered};

/// A folder of a test, which is removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("pollchat-sockets-{}-{name}", process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        Folder(folder)
    }

    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn at(path: &Path) -> Start {
    Server::builder().listen(&format!("unix:{}", path.display()))
}

#[test]
fn clients_over_a_unix_socket_and_a_port_talk_with_each_other() {
    let folder = Folder::new("talk");
    let path = folder.socket("lines");
    // No rule by address holds for a peer without one.
    let rules = ["--deny", "::/0", "--max-per-address", "1", "--log-level", "debug"];
    let mut server = at(&path).listen("127.0.0.1:0").flags(rules).go();
    assert_eq!(server.stdout()[0], format!("listening on unix:{}", path.display()));
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o660);
    let (mut ana, mut bob, mut cia) =
        (Client::connect_unix(&path).join(), Client::connect_unix(&path).join(), server.join());
    ana.send_line("hello");
    server.expect_log(&["came from a Unix socket"]);
    bob.lines_until(|line| line.ends_with("> hello"));
    cia.lines_until(|line| line.ends_with("> hello"));
    converse(&mut cia, &mut bob, 2);
    // More than the kernel takes at once.
    say_numbered(&mut ana, &mut cia, 0, 2_000);
    drop(bob);
    server.expect_log(&["left (", "; a Unix socket)"]);
    server.signal(Signal::TERM);
    ana.lines_until(|line| line == "FIN");
    assert!(server.wait(DEADLINE).success());
    assert!(!path.exists());
}

#[test]
fn the_page_is_served_over_a_unix_socket() {
    let folder = Folder::new("page");
    let path = folder.socket("page");
    let web = format!("unix:{}", path.display());
    let server = Server::builder().flags(["--web", &web, "--web-path", "/chat"]).go();
    eventually("it says where the page is", || server.stdout().len() == 2);
    assert_eq!(server.stdout()[1], format!("the page is at {web}"));
    let mut visitor = Wire::connect_unix(&path);
    visitor.send(head(&["GET /chat/ HTTP/1.1", "Host: localhost"]));
    assert_eq!(visitor.response().status, 200);
    // Nobody can be sent there from the line port.
    let mut lost = server.connect();
    lost.send_line("GET / HTTP/1.1");
    lost.lines_until(|line| line.ends_with("; the page is behind a proxy"));
}

#[test]
fn the_socket_of_a_server_that_was_killed_makes_way() {
    let folder = Folder::new("killed");
    let path = folder.socket("lines");
    let mut first = at(&path).go();
    first.signal(Signal::KILL);
    first.wait(DEADLINE);
    assert!(path.exists());
    let _second = at(&path).go();
    Client::connect_unix(&path).join();
}

#[test]
fn a_socket_that_cannot_be_had_is_named_with_the_reason() {
    let folder = Folder::new("taken");
    let (taken, file) = (folder.socket("taken"), folder.socket("file"));
    let _listener = UnixListener::bind(&taken).expect("a socket");
    fs::write(&file, "text").expect("a file");
    let missing = folder.socket("no/lines");
    for (path, reason) in [
        (&taken, "another process listens on it"),
        (&file, "the file is there, and is no socket"),
        (&missing, "No such file or directory"),
    ] {
        let output = at(path).command().output().expect("it can be started");
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{error}");
        let expected = format!("pollchat-server: cannot listen on unix:{}: {reason}", path.display());
        assert!(error.starts_with(&expected) && error.lines().count() == 1, "{error}");
    }
    assert!(taken.exists() && file.exists());
    let long = format!("unix:/{}", "x".repeat(200));
    for (flag, address, reason) in [
        ("--listen", long.as_str(), "has at most 107 bytes, and this one has 201"),
        ("--listen", "unix:lines.sock", "write the whole path of a Unix socket"),
        ("--web", "unix:", "write the whole path of a Unix socket"),
    ] {
        let output = Server::builder().flags([flag, address]).command().output().expect("it can be started");
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(reason), "{error}");
    }
}
