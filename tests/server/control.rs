//! `--control PATH` in a real server, and `pollchat-server ctl`.

mod ctl;
mod orders;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::{Signal, geteuid};

use crate::support::{Client, DEADLINE, Lines, Member, Server, Start, converse, eventually};
use crate::unix::Folder;

const UNKNOWN: &str = "no there is no order nonsense; help lists them";

/// A server whose operators are obeyed at `path`, and the line with which it tells so.
fn start(path: &Path) -> Server {
    let server = with_control(path).go();
    let told = format!("operators are obeyed at unix:{}", path.display());
    eventually("it tells where operators are obeyed", || server.stdout().contains(&told));
    server
}

fn with_control(path: &Path) -> Start {
    Server::builder().flags(["--control".as_ref(), path.as_os_str()])
}

fn ctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pollchat-server"));
    command.arg("ctl").args(arguments).env_remove("POLLCHAT_CONTROL").env_remove("XDG_RUNTIME_DIR");
    command.stdin(Stdio::null());
    command
}

/// Gives the order at `path`.
#[track_caller]
fn order(path: &Path, words: &[&str]) -> Output {
    let path = path.to_str().expect("UTF-8");
    ctl(&[&["--control", path], words].concat()).output().expect("it can be started")
}

/// Exit code, stdout and stderr.
fn shown(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn done(rows: &str) -> (Option<i32>, String, String) {
    (Some(0), rows.to_owned(), String::new())
}

fn refused(reason: &str) -> (Option<i32>, String, String) {
    (Some(1), String::new(), format!("pollchat-server: {reason}\n"))
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("a file").permissions().mode() & 0o777
}

#[test]
fn the_socket_is_for_its_owner_alone_and_goes_with_the_server() {
    let folder = Folder::new("control-file");
    let path = folder.socket("control");
    // Whatever the umask.
    let mut first = with_control(&path).shell(r#"umask 0 && exec "$0" "$@""#).go();
    eventually("the socket is there", || path.exists());
    assert_eq!(mode(&path), 0o600);
    first.signal(Signal::KILL);
    first.wait(DEADLINE);
    assert_eq!(mode(&path), 0o600, "a killed server leaves it");
    let mut second = with_control(&path).shell(r#"umask 777 && exec "$0" "$@""#).go();
    eventually("the new socket is there", || order(&path, &["nonsense"]).status.code() == Some(1));
    assert_eq!(mode(&path), 0o600);
    second.signal(Signal::TERM);
    assert!(second.wait(DEADLINE).success());
    assert!(!path.exists());
}

#[test]
fn a_path_that_cannot_be_had_is_an_error_in_words() {
    let folder = Folder::new("control-path");
    let missing = folder.socket("no/control");
    let output = with_control(&missing).command().output().expect("it can be started");
    let error = shown(&output).2;
    let expected = format!("pollchat-server: cannot listen on unix:{}: No such file or directory", missing.display());
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.starts_with(&expected) && error.ends_with(": its folder is missing\n"), "{error}");
    for (path, problem) in [
        ("control", "write the whole path of the socket, as in /run/pollchat/control"),
        (&format!("/{}", "x".repeat(200)), "has at most 107 bytes, and this one has 201"),
    ] {
        let output = with_control(path.as_ref()).command().output().expect("it can be started");
        let error = shown(&output).2;
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(problem), "{error}");
    }
    let path = folder.socket("both");
    let listen = format!("unix:{}", path.display());
    let output = with_control(&path).listen(&listen).command().output().expect("it can be started");
    let error = shown(&output).2;
    assert!(error.contains("another address of this server is this socket"), "{error}");
}

#[test]
fn a_stop_is_answered_and_then_the_server_ends_in_good_order() {
    let folder = Folder::new("control-stop");
    let path = folder.socket("control");
    let mut server = start(&path);
    let mut ana = server.join();
    let mut dashboard = Client::connect_unix(&path);
    dashboard.send_line("nonsense");
    dashboard.expect(UNKNOWN);
    assert_eq!(shown(&order(&path, &["stop"])), done(""));
    ana.lines_until(|line| line == "FIN");
    dashboard.expect_end();
    drop(dashboard);
    assert!(server.wait(DEADLINE).success());
    assert!(!path.exists());
    let (code, _, error) = shown(&order(&path, &["stop"]));
    assert_eq!(code, Some(1));
    assert!(error.starts_with(&format!("pollchat-server: cannot reach the server at {}: ", path.display())), "{error}");
}

#[test]
fn a_reload_is_answered_when_it_is_done() {
    let folder = Folder::new("control-reload");
    let path = folder.socket("control");
    let _server = start(&path);
    assert_eq!(order(&path, &["reload"]).status.code(), Some(0));
    let mut operator = Client::connect_unix(&path);
    operator.send("reload\nnonsense\njson reload\n");
    let lines = operator.lines_until(|line| line == UNKNOWN);
    assert_eq!(lines[lines.len() - 2], "ok", "{lines:?}");
    operator.lines_until(|line| line == "ok");
}

#[test]
fn an_operator_of_another_user_is_refused() {
    if !geteuid().is_root() {
        eprintln!("not run: only root can be another user");
        return;
    }
    let folder = Folder::new("control-user");
    let path = folder.socket("control");
    // A server of another user, and a socket that anybody can reach.
    let as_nobody = r#"exec setpriv --reuid=65534 --clear-groups "$0" "$@""#;
    let server = start(&path);
    fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("ours");
    let by_nobody = |path: &Path| {
        let binary = env!("CARGO_BIN_EXE_pollchat-server");
        let mut command = Command::new("sh");
        command.args(["-c", as_nobody, binary, "ctl", "--control"]).arg(path).arg("nonsense");
        shown(&command.output().expect("it can be started"))
    };
    let refusal = "only root and the server's own user may give orders, and you are user 65534";
    for _ in 0..3 {
        assert_eq!(by_nobody(&path), refused(refusal));
    }
    assert_eq!(shown(&order(&path, &["nonsense"])), refused(&UNKNOWN[3..]), "root is obeyed");
    server.expect_log(&["refused an operator: only root"]);
    let refusals = server.log().iter().filter(|line| line.contains("refused an operator")).count();
    assert_eq!(refusals, 1, "the others are counted");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("ours");
    let (code, _, error) = by_nobody(&path);
    assert_eq!(code, Some(1));
    assert!(error.ends_with(": only root and the server's own user may give orders\n"), "{error}");
    // The user of a server, and root, give it orders.
    let theirs = folder.socket("theirs");
    fs::set_permissions(theirs.parent().expect("a folder"), Permissions::from_mode(0o777)).expect("ours");
    let _server = with_control(&theirs).shell(as_nobody).go();
    eventually("the socket is there", || theirs.exists());
    for (code, _, error) in [by_nobody(&theirs), shown(&order(&theirs, &["nonsense"]))] {
        assert_eq!((code, error), (Some(1), format!("pollchat-server: {}\n", &UNKNOWN[3..])));
    }
}

#[test]
fn the_seventeenth_operator_is_told_so() {
    let folder = Folder::new("control-many");
    let path = folder.socket("control");
    let _server = start(&path);
    let mut dashboards: Vec<Client> = (0..16).map(|_| Client::connect_unix(&path)).collect();
    for dashboard in &mut dashboards {
        dashboard.send_line("nonsense");
        dashboard.expect(UNKNOWN);
    }
    assert_eq!(shown(&order(&path, &["nonsense"])), refused("there are 16 operators already"));
    dashboards.pop();
    eventually("there is a place again", || shown(&order(&path, &["nonsense"])) == refused(&UNKNOWN[3..]));
}

#[test]
fn operators_that_never_read_or_never_end_a_line_delay_no_client() {
    let folder = Folder::new("control-hostile");
    let path = folder.socket("control");
    let server = start(&path);
    let [mut ana, mut bob] = server.join_introduced();
    let before = server.resident_bytes();
    let floods: Vec<_> = ["nonsense\n", "x"]
        .map(|text| {
            let operator = Client::connect_unix(&path);
            let stream = operator.stream().try_clone().expect("a descriptor");
            stream.set_nonblocking(true).expect("a socket");
            (operator, stream, text.repeat(64 * 1024))
        })
        .into();
    for _ in 0..50 {
        for (_, stream, text) in &floods {
            // As much as the kernel takes: the server stops reading the first, and drops what comes of the second.
            let _ = std::io::Write::write(&mut &*stream, text.as_bytes());
        }
        converse(&mut ana, &mut bob, 2);
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes");
    assert_eq!(shown(&order(&path, &["nonsense"])), refused(&UNKNOWN[3..]));
}

#[test]
fn an_operator_costs_an_idle_server_nothing() {
    let folder = Folder::new("control-idle");
    let path = folder.socket("control");
    let server = start(&path);
    let mut dashboard = Client::connect_unix(&path);
    dashboard.send("nonsense\nhalf-an-or");
    dashboard.expect(UNKNOWN);
    server.expect_rest();
    dashboard.send("der\n");
    dashboard.expect("no there is no order half-an-order; help lists them");
}

#[test]
fn a_server_without_a_place_for_clients_takes_orders() {
    let folder = Folder::new("control-full");
    let path = folder.socket("control");
    let server = with_control(&path).descriptors(64).go();
    let most = server.expect_log(&["at most", "clients (open-file limit 64)"]);
    let most: usize = most.split(' ').rev().nth(4).and_then(|number| number.parse().ok()).expect("a number");
    let clients: Vec<Client> = (0..most).map(|_| server.join()).collect();
    // Further ones are refused, and stay.
    let mut others: Vec<Client> = (0..30).map(|_| server.connect()).collect();
    for client in &mut others[..4] {
        client.lines_until(|line| line.starts_with("* the server is full"));
    }
    let mut dashboards: Vec<Client> = (0..15).map(|_| Client::connect_unix(&path)).collect();
    for dashboard in &mut dashboards {
        dashboard.send_line("nonsense");
        dashboard.expect(UNKNOWN);
    }
    assert_eq!(shown(&order(&path, &["nonsense"])), refused(&UNKNOWN[3..]));
    drop(clients);
}
