//! What `pollchat-server ctl` prints, and its exit codes, before real servers and before others.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use super::{UNKNOWN, ctl, order, refused, shown, start, with_control};
use crate::support::{Server, eventually};
use crate::unix::Folder;

/// Answers one order at `path` with these bytes, and returns the order.
fn answer(path: &Path, bytes: impl Into<Vec<u8>>) -> JoinHandle<String> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).expect("a socket");
    let bytes = bytes.into();
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut order = String::new();
        BufReader::new(&stream).read_line(&mut order).expect("an order");
        // The client may leave before the end.
        let _ = (&stream).write_all(&bytes);
        order
    })
}

#[test]
fn rows_are_printed_and_the_last_line_is_the_exit_code() {
    let folder = Folder::new("ctl-rows");
    let path = folder.socket("control");
    let gone = format!(
        "pollchat-server: the server at {} has gone without an answer: the order may be carried out, or not\n",
        path.display()
    );
    for (bytes, code, stdout, stderr) in [
        ("ok\n", 0, "", String::new()),
        ("= ana\n= \n= bob\nok\n", 0, "ana\n\nbob\n", String::new()),
        ("= ana\nno more\n", 1, "ana\n", "pollchat-server: more\n".to_owned()),
        ("= ana\n= bo", 1, "ana\n", gone.clone()),
        ("", 1, "", gone),
        ("= \x1b[2J\u{202e}\0x\nno \x07y\n", 1, "\u{fffd}[2J\u{fffd}x\n", "pollchat-server: \u{fffd}y\n".to_owned()),
    ] {
        let server = answer(&path, bytes);
        assert_eq!(shown(&order(&path, &["who", "-a"])), (Some(code), stdout.to_owned(), stderr), "{bytes:?}");
        assert_eq!(server.join().expect("no panic"), "who -a\n");
    }
    let server = answer(&path, b"= \xff\nok\n");
    assert_eq!(shown(&order(&path, &["who"])).1, "\u{fffd}\n");
    server.join().expect("no panic");
}

#[test]
fn objects_are_asked_for_with_json() {
    let folder = Folder::new("ctl-json");
    let path = folder.socket("control");
    let server = answer(&path, "= {\"name\":\"ana\"}\nok\n");
    assert_eq!(shown(&order(&path, &["--json", "kick", "ana", "off topic"])).1, "{\"name\":\"ana\"}\n");
    assert_eq!(server.join().expect("no panic"), "json kick ana off topic\n");
    let path = folder.socket("real");
    let _server = start(&path);
    assert_eq!(shown(&order(&path, &["--json", "nonsense"])), refused(&UNKNOWN[3..]));
}

#[test]
fn other_sockets_are_told_from_that_of_operators() {
    let folder = Folder::new("ctl-other");
    let (missing, stale, lines) = (folder.socket("missing"), folder.socket("stale"), folder.socket("lines"));
    drop(UnixListener::bind(&stale).expect("a socket"));
    let _server = Server::builder().listen(&format!("unix:{}", lines.display())).go();
    for (path, problem) in [
        (&missing, "No such file or directory (os error 2): start it with --control, and give the same path here"),
        (&stale, "Connection refused (os error 111): no server listens there"),
    ] {
        let expected = format!("cannot reach the server at {}: {problem}", path.display());
        assert_eq!(shown(&order(path, &["who"])), refused(&expected));
    }
    let expected = format!("{} is no socket of a pollchat server's operators", lines.display());
    assert_eq!(shown(&order(&lines, &["/help"])), refused(&expected));
    let path = folder.socket("endless");
    let server = answer(&path, vec![b'x'; 3 << 20]);
    let expected = format!("{} is no socket of a pollchat server's operators", path.display());
    assert_eq!(shown(&order(&path, &["who"])), refused(&expected));
    server.join().expect("no panic");
}

#[test]
fn the_variable_names_the_socket_and_the_flag_wins() {
    let folder = Folder::new("ctl-variable");
    let path = folder.socket("control");
    let _server = with_control(&path).env("POLLCHAT_CONTROL", "/nowhere").go();
    eventually("the socket is there", || path.exists());
    let with = |variable: &str, arguments: &[&str]| {
        shown(&ctl(arguments).env("POLLCHAT_CONTROL", variable).output().expect("it can be started"))
    };
    let at = path.to_str().expect("UTF-8");
    assert_eq!(with(at, &["nonsense"]), refused(&UNKNOWN[3..]));
    assert_eq!(with("/nowhere", &["--control", at, "nonsense"]), refused(&UNKNOWN[3..]));
    assert!(with("/nowhere", &["nonsense"]).2.contains("cannot reach the server at /nowhere"));
    // An empty one counts as unset.
    assert!(with("", &["nonsense"]).2.contains("cannot reach the server at /run/pollchat/control"));
    // So it is where no server of the system runs.
    let user = folder.socket("user");
    std::fs::create_dir_all(user.join("pollchat")).expect("a folder");
    let server = answer(&user.join("pollchat/control"), "ok\n");
    let output = ctl(&["who"]).env("XDG_RUNTIME_DIR", &user).output().expect("it can be started");
    assert_eq!(shown(&output).0, Some(0), "{output:?}");
    server.join().expect("no panic");
}

#[test]
fn a_misuse_is_told_before_anything_is_connected_to() {
    for (arguments, problem) in [
        (&[][..], "<ORDER>"),
        (&["--control"][..], "--control"),
        (&["--jsn", "who"], "unexpected argument '--jsn'"),
        (&[""], "the order is missing"),
        (&["announce", "one\ntwo"], "an order is one line"),
    ] {
        let (code, stdout, stderr) = shown(&ctl(arguments).output().expect("it can be started"));
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.contains(problem), "{stderr}");
    }
    let (code, help, stderr) = shown(&ctl(&["--help"]).output().expect("it can be started"));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for word in ["who [-a]", "kick NAME [REASON]", "reload", "POLLCHAT_CONTROL", "Exit codes: 0 "] {
        assert!(help.contains(word), "{word}: {help}");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 120), "{help}");
}

#[test]
fn a_reader_that_goes_early_is_no_error_and_a_full_disk_is() {
    let folder = Folder::new("ctl-stdout");
    let path = folder.socket("control");
    let rows = "= a row of a list that is longer than any pipe\n".repeat(10_000);
    for (end, code, stderr) in [("ok", 0, ""), ("no such name", 1, "pollchat-server: such name\n")] {
        let server = answer(&path, format!("{rows}{end}\n"));
        let mut command = Command::new("sh");
        let binary = env!("CARGO_BIN_EXE_pollchat-server");
        command.args(["-c", r#"{ "$0" ctl --control "$1" who; echo $? >&2; } | head -1"#, binary]).arg(&path);
        let output = command.stdin(Stdio::null()).output().expect("it can be started");
        let expected = ("a row of a list that is longer than any pipe\n".to_owned(), format!("{stderr}{code}\n"));
        assert_eq!((shown(&output).1, shown(&output).2), expected);
        server.join().expect("no panic");
    }
    let server = answer(&path, "= ana\nok\n");
    let full = File::options().write(true).open("/dev/full").expect("a device");
    let output = ctl(&["--control", path.to_str().expect("UTF-8"), "who"]).stdout(full).output().expect("it starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(shown(&output).2.starts_with("pollchat-server: cannot write to stdout: No space left"), "{output:?}");
    server.join().expect("no panic");
}
