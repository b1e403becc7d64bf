//! The server's name: looked up again for each connection, and never at the cost of the terminal.
//!
//! A mount namespace gives the client files of its own in place of `/etc/hosts` and others. Where user namespaces are
//! not to be had, nothing is tested.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket, Type};

use super::server::{Relay, accept, listen};
use super::window::{DEADLINE, Window};

/// A resolver's files, removed at the end.
struct Names(PathBuf);

impl Drop for Names {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Names {
    /// Returns `None` where a client cannot be given such files.
    fn new(test: &str, hosts: &str) -> Option<Names> {
        let can = Command::new("unshare").args(["-rm", "true"]).stderr(Stdio::null()).status();
        if !can.is_ok_and(|status| status.success()) {
            eprintln!("no user namespaces: not tested");
            return None;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let names = Names(folder);
        names.put("hosts", hosts);
        names.put("nsswitch.conf", "hosts: files\n");
        Some(names)
    }

    /// A resolver that never answers: it opens a pipe into which nobody writes.
    fn deaf(test: &str) -> Option<Names> {
        let names = Names::new(test, "")?;
        let hosts = names.0.join("hosts");
        fs::remove_file(&hosts).unwrap();
        assert!(Command::new("mkfifo").arg(hosts).status().unwrap().success());
        Some(names)
    }

    fn put(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }

    /// `pollchat-client` with these arguments, which resolves by these files.
    fn client(&self, args: &[&str]) -> Command {
        let mounts = r#"cd "$0" && for file in *; do mount --bind "$file" "/etc/$file" || exit 9; done; exec "$@""#;
        let mut command = Command::new("unshare");
        command
            .args(["-rm", "sh", "-c", mounts])
            .arg(&self.0)
            .arg(env!("CARGO_BIN_EXE_pollchat-client"))
            .args(args)
            .arg("--no-timestamps");
        command
    }
}

#[test]
fn a_server_that_moved_to_another_address_is_found_there() {
    let Some(names) = Names::new("moved", "127.0.0.2 chat.test\n") else { return };
    let relay = Relay::start("127.0.0.2:0", &[]);
    let port = relay.address.port();
    let mut window = Window::open(24, 100, &names.client(&["--nick", "ana", &format!("chat.test:{port}")]));
    window.shows(&["* you are ana, in lobby; /help lists what you can do", "ana>"]);
    relay.stop();
    names.put("hosts", "127.0.0.3 chat.test\n");
    let relay = Relay::start(&format!("127.0.0.3:{port}"), &[]);
    window.wait_until("the connection to the new place", |window| {
        let rows = window.rows();
        rows.iter().any(|row| row.starts_with("-- connected again")) && rows.last().is_some_and(|row| row == "ana>")
    });
    relay.stop();
}

#[test]
fn an_address_that_does_not_answer_holds_up_no_other() {
    let Some(names) = Names::new("silent", "127.0.0.1 chat.test\n127.0.0.5 chat.test\n") else { return };
    let listener = listen(SocketAddr::from(([127, 0, 0, 5], 0)));
    let port = listener.local_addr().unwrap().port();
    // A listener whose queue is full answers no SYN.
    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // The resolver prefers the address that is nearest to our own.
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    silent.bind(&address.into()).unwrap();
    silent.listen(0).unwrap();
    let _first = TcpStream::connect(address).unwrap();
    let server = format!("chat.test:{port}");
    let start = Instant::now();
    let _window = Window::open(24, 100, &names.client(&[&server]));
    let _server = accept(&listener);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_resolver_that_does_not_answer_leaves_the_terminal_usable() {
    let Some(names) = Names::deaf("deaf") else { return };
    let mut window = Window::open(24, 100, &names.client(&["chat.test"]));
    window.shows(&["(connecting)"]);
    window.press("half a sen");
    window.shows(&["(connecting) half a sen"]);
    // Ctrl-C clears the line, and leaves.
    window.press("\x03\x03");
    assert_eq!(window.ends().code(), Some(1));
    assert_eq!(window.rows().last().unwrap(), "pollchat-client: cannot connect to chat.test:46000: given up");
}

#[test]
fn a_resolver_that_does_not_answer_does_not_keep_a_pipe_from_its_signals() {
    let Some(names) = Names::deaf("deaf-pipe") else { return };
    let mut client = names.client(&["chat.test"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_child(&client);
    let start = Instant::now();
    let has_two_threads = || fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).unwrap().count() == 2;
    while !has_two_threads() {
        assert!(start.elapsed() < DEADLINE, "the look-up has begun");
        std::thread::yield_now();
    }
    let sent = Instant::now();
    kill_process(pid, Signal::INT).unwrap();
    client.wait().unwrap();
    assert!(sent.elapsed() < Duration::from_secs(5), "{:?}", sent.elapsed());
}
