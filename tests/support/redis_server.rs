//! A real redis-server, whose data outlive its process.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{DEADLINE, Folder, eventually};

/// A running redis-server on a port of its own; killed when dropped.
pub struct RedisServer {
    child: Child,
    folder: Folder,
    port: u16,
    flags: Vec<String>,
}

impl RedisServer {
    /// Starts one with these flags. `None` where there is no redis-server: the test is left out, and says so.
    #[track_caller]
    pub fn start(flags: &[&str]) -> Option<RedisServer> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            eprintln!("left out: there is no redis-server");
            return None;
        }
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        // The port is free now. Another program may take it before redis-server does.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|probe| probe.local_addr()).expect("a port").port();
            let folder = Folder::new("redis");
            let child = command(&folder, port, &flags).spawn().expect("redis-server starts");
            let mut redis = RedisServer { child, folder, port, flags: flags.clone() };
            if redis.comes_up() {
                return Some(redis);
            }
        }
        panic!("redis-server does not start");
    }

    /// The address for `--bus`, with the user of the manual.
    pub fn url(&self) -> String {
        format!("redis://pollchat:secret@{}", self.address())
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Kills it, as a machine that crashes.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, with its data.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.child = command(&self.folder, self.port, &self.flags).spawn().expect("redis-server starts");
        assert!(self.comes_up(), "redis-server does not start again");
    }

    /// Stops it: its kernel still takes bytes.
    pub fn stop(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).expect("it runs");
    }

    pub fn go_on(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).expect("it is stopped");
    }

    /// The first line of its answer to a command without spaces in its words.
    #[track_caller]
    pub fn ask(&self, command: &str) -> String {
        self.try_ask(command).expect("it answers")
    }

    fn try_ask(&self, command: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.address())?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Whether it answers; otherwise it has ended.
    fn comes_up(&mut self) -> bool {
        let mut is_up = false;
        eventually("redis-server answers, or ends", || {
            is_up = self.try_ask("PING").is_ok_and(|reply| reply == "+PONG" || reply.starts_with("-NOAUTH"));
            is_up || self.child.try_wait().expect("the child is ours").is_some()
        });
        is_up
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The line of redis.conf that gives a server the commands that it needs, and no other.
fn user_of_the_manual() -> &'static str {
    let manual = include_str!("../../src/manual/operating.md");
    manual.lines().find(|line| line.starts_with("user pollchat on >secret ")).expect("the manual has a user")
}

/// As an operator would run it: with a file that holds each entry before it is answered, and nothing evicted.
fn command(folder: &Folder, port: u16, flags: &[String]) -> Command {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir"]);
    command
        .arg(folder.path(""))
        .arg("--user")
        .args(user_of_the_manual().split(' ').skip(1))
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
