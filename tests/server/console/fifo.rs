//! A FIFO that a service manager hands over as the console (`ListenFIFO=`, `FileDescriptorName=console`).

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{CWD, Mode, mkfifoat};

use super::*;
use crate::support::Start;

/// A FIFO in the file system, removed when dropped.
struct Fifo(PathBuf);

impl Fifo {
    fn new() -> Fifo {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pollchat-{}-{number}.fifo", std::process::id()));
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("a FIFO");
        Fifo(path)
    }

    /// Writes once, as `echo > FIFO` does.
    #[track_caller]
    fn says(&self, text: impl AsRef<[u8]>) {
        let mut writer = OpenOptions::new().write(true).open(&self.0).expect("the server reads");
        writer.write_all(text.as_ref()).expect("the server reads");
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A server that is to find this file at descriptor 3, opened by `redirection`.
fn with_console(redirection: &str, path: &Path) -> Start {
    let script =
        format!(r#"LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=console exec "$0" "$@" 3{redirection}{}"#, path.display());
    Server::builder().flags(["--announce-up-to", "0"]).shell(&script)
}

#[track_caller]
fn operated_by_fifo(flags: &[&str]) -> (Server, Fifo, Screen) {
    let fifo = Fifo::new();
    let (source, stdout) = io::pipe().expect("a pipe");
    let mut screen = Screen::new(source);
    let server = with_console("<>", &fifo.0).flags(flags).go_before(&mut screen, stdout);
    screen.expect(FIRST_LINE);
    (server, fifo, screen)
}

#[test]
fn what_is_written_into_the_fifo_is_said_and_obeyed_whatever_writers_come_and_go() {
    let (mut server, fifo, mut screen) = operated_by_fifo(&[]);
    let [mut ana, mut bob]: [Client; 2] = server.join_many();
    for round in 0..20 {
        fifo.says(format!("round {round}\n"));
        ana.expect(format!("server> round {round}"));
    }
    server.expect_rest();
    fifo.says("/kick client-1\n");
    ana.expect("* you were removed by the operator");
    fifo.says("/kick client-1\n");
    screen.lines_until(|line| line == "* nobody here is called client-1");
    bob.send_line("hello");
    screen.lines_until(|line| line == "client-2> hello");
    fifo.says("/quit\n");
    bob.lines_until(|line| line == "* the server is shutting down");
    assert!(server.wait(DEADLINE).success());
}

#[test]
fn garbage_endless_lines_and_torn_lines_are_bounded() {
    let (server, fifo, mut screen) = operated_by_fifo(&["--max-line", "100"]);
    let [mut ana, mut bob]: [Client; 2] = server.join_many();
    let resident = server.resident_bytes();
    fifo.says(vec![0; 1 << 20]);
    fifo.says(vec![b'x'; 4 << 20]);
    fifo.says("\n");
    screen.expect("* line too long (over 100 bytes): not relayed");
    fifo.says(b"\x1b[2J\xff\n");
    ana.expect("server> \u{fffd}[2J\u{fffd}");
    // The end of a writer ends no line: only a newline does.
    fifo.says("two writers, ");
    fifo.says("one line\n");
    ana.expect("server> two writers, one line");
    assert!(server.resident_bytes() < resident + (1 << 20));
    bob.lines_until(|line| line == "server> two writers, one line");
    converse(&mut ana, &mut bob, 10);
}

#[test]
fn writers_that_never_stop_delay_nobody() {
    let (server, fifo, mut screen) = operated_by_fifo(&["--backlog", "64K"]);
    let [mut ana, mut bob]: [Client; 2] = server.join_many();
    let path = fifo.0.clone();
    let flood = thread::spawn(move || {
        let mut writer = OpenOptions::new().write(true).open(path).unwrap();
        (0..20_000).for_each(|index| writer.write_all(format!("/nope {index}\n").as_bytes()).unwrap());
    });
    converse(&mut ana, &mut bob, 50);
    // The server reads no more orders than it can answer.
    thread::spawn(move || {
        loop {
            screen.line();
        }
    });
    flood.join().unwrap();
    server.expect_rest();
}

#[test]
fn no_descriptor_is_left_over() {
    let (own, _desk) = quiet(&[]);
    let (server, ..) = operated_by_fifo(&[]);
    assert_eq!(server.descriptors(), own.descriptors());
    let stdin = fs::metadata(format!("/proc/{}/fd/0", server.pid())).unwrap();
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&stdin.file_type()));
}

#[test]
fn any_other_file_is_a_failure() {
    let why = "fd 3: a console is a FIFO that is open for reading and writing (ListenFIFO= in a socket unit)";
    let (reader, _writer) = io::pipe().unwrap();
    for (start, stdin) in [
        (with_console("<>", Path::new("/dev/null")), Stdio::null()),
        (with_console("<&", Path::new("0")), reader.into()),
        (with_console("<", Path::new("/")), Stdio::null()),
    ] {
        let Output { status, stderr, .. } = start.command().stdin(stdin).output().unwrap();
        let error = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{error}");
        assert_eq!(error, format!("pollchat-server: cannot listen on what was handed over: {why}\n"));
    }
    let twice = r#"LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=console:console exec "$0" "$@" 3<>"#;
    let fifo = Fifo::new();
    let twice = format!("{twice}{0} 4<>{0}", fifo.0.display());
    let output = Server::builder().shell(&twice).command().output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.ends_with(": fd 4: there is a console already\n"), "{error}");
}
