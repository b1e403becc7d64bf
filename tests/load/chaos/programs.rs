//! `pollchat-client` behind the proxy: in pipes of all forms.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::random::Random;
use super::{ROOMS, Stage, text_of};

/// The time after the end of stdin in which a program has to end.
const END_WITHIN: Duration = Duration::from_secs(60);

/// A program that has ended.
pub(super) struct Ended {
    pub(super) id: String,
    pub(super) room: usize,
    /// Whether it printed JSON.
    pub(super) is_json: bool,
    pub(super) texts: Vec<String>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// A pipe that says lines until the test is over.
pub(super) fn pipe(
    (id, room, is_json): (String, usize, bool),
    address: SocketAddr,
    mut random: Random,
    stage: &Stage,
) -> Ended {
    let form = if is_json { "--json" } else { "--reconnect" };
    let mut program = Program::start(address, &[form, "--nick", &id, "--room", ROOMS[room]], true);
    let mut texts = Vec::new();
    while !stage.is_over() {
        stage.check();
        let text = text_of(&id, texts.len(), &mut random);
        program.type_in(&text);
        texts.push(text);
        thread::sleep(random.millis(5..=150));
    }
    let (stdout, stderr) = program.end(&id, stage);
    stage.on_done();
    Ended { id, room, is_json, texts, stdout, stderr }
}

/// One `--send` after another. Returns the texts.
pub(super) fn sends(id: &str, room: usize, address: SocketAddr, mut random: Random, stage: &Stage) -> Vec<String> {
    let mut texts = Vec::new();
    while !stage.is_over() {
        stage.check();
        let text = text_of(id, texts.len(), &mut random);
        let program = Program::start(address, &["--room", ROOMS[room], "--send", &text], false);
        program.end(&text, stage);
        texts.push(text);
    }
    stage.on_done();
    texts
}

struct Program {
    child: Child,
    outputs: [JoinHandle<String>; 2],
}

impl Program {
    fn start(address: SocketAddr, args: &[&str], has_stdin: bool) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pollchat-client"));
        command.env_remove("POLLCHAT_NICK").process_group(0).arg(address.to_string()).args(args);
        command.stdin(if has_stdin { Stdio::piped() } else { Stdio::null() });
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let outputs = [collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap())];
        Program { child, outputs }
    }

    fn type_in(&mut self, line: &str) {
        // A program that has ended already is judged by its exit code.
        let _ = writeln!(self.child.stdin.as_mut().unwrap(), "{line}");
    }

    /// Ends its stdin, and returns its stdout and stderr.
    fn end(mut self, what: &str, stage: &Stage) -> (String, String) {
        drop(self.child.stdin.take());
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break Some(status);
            }
            if start.elapsed() > END_WITHIN || stage.has_failed() {
                let _ = self.child.kill();
                break None;
            }
            thread::sleep(Duration::from_millis(5));
        };
        let _ = self.child.wait();
        let [stdout, stderr] = self.outputs.map(|output| output.join().unwrap());
        stage.check();
        let is_success = status.is_some_and(|status| status.success());
        assert!(is_success, "{what}: {status:?}; stderr: {stderr}; the end of stdout: {}", tail(&stdout));
        (stdout, stderr)
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    })
}
