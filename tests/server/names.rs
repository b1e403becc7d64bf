//! The files of names and of the password in a real server: `--names`, `--password-file`, `--new-token`, SIGHUP.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Output;

use rustix::process::Signal;

use crate::support::{Client, Folder, Lines as _, Member as _, Server, eventually};

const TOKEN_BYTES: usize = "pcn_".len() + 26;

/// Runs a server that does not get as far as listening.
fn run(flags: &[&str]) -> Output {
    Server::builder().flags(flags).command().output().expect("it can be started")
}

/// A token of a name, and its line for the file.
fn new_token(name: &str) -> (String, String) {
    let output = run(&["--new-token", name]);
    assert!(output.status.success() && output.stderr.is_empty());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [token, line] = lines[..] else { panic!("two lines: {text:?}") };
    (token.to_owned(), format!("{line}\n"))
}

/// Signals that the files are to be read again, and waits until the log says so for the time given.
fn reload(server: &Server, times: usize) {
    server.signal(Signal::HUP);
    eventually("the files are read again", || {
        server.log().iter().filter(|line| line.contains("read again: ")).count() == times
    });
}

#[track_caller]
fn named(client: &mut Client, line: &str, answer: &str) {
    client.send_line(line);
    client.expect(answer);
}

#[test]
fn a_new_token_opens_the_name_whose_line_is_in_the_file() {
    let folder = Folder::new("token");
    let (token, line) = new_token("Zoë");
    assert!(token.starts_with("pcn_") && token.len() == TOKEN_BYTES, "{token}");
    assert!(line.starts_with("Zoë token sha256:") && !line.contains(&token), "{line}");
    let names = folder.write("names", line);
    let server = Server::quiet(&["--names", &names]);
    server.expect_log(&["INFO", "1 name with owners in ", &names]);
    let [mut zoe, mut thief] = server.join_many();
    named(&mut thief, "/nick zoë", "* the name zoë belongs to somebody: /nick zoë TOKEN");
    named(&mut thief, &format!("/nick zoë {}x", &token[..TOKEN_BYTES - 1]), "* that is not the token of zoë");
    named(&mut zoe, &format!("/nick zoë {token}"), "* client-1 is now zoë");
    assert!(!server.log().iter().any(|line| line.contains("WARN")), "{:?}", server.log());
}

#[test]
fn a_token_for_what_is_no_name_is_a_usage_error() {
    for (name, fault) in [("a b", "a name is 1 to 24 letters"), ("client-7", "that name is taken"), ("", "a name is")] {
        let output = run(&["--new-token", name]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("--new-token <NAME>") && error.contains(fault), "{error}");
    }
    // Other flags may contradict each other.
    assert!(run(&["--burst", "5", "--new-token", "ana"]).status.success());
}

#[test]
fn each_bad_file_ends_the_start_with_its_fault() {
    let folder = Folder::new("bad");
    let (_, line) = new_token("ana");
    fs::create_dir(folder.path("dir")).unwrap();
    for (flag, file, fault) in [
        ("--names", folder.path("missing"), "names FILE: No such file or directory"),
        ("--names", folder.path("dir"), "names FILE: it is not a regular file"),
        ("--names", "/dev/zero".into(), "names FILE: it is not a regular file"),
        ("--names", folder.write("a", ""), "names FILE: it is empty"),
        ("--names", folder.write("b", "#\n".repeat(1 << 20)), "names FILE: it is larger than 1024 KiB"),
        (
            "--names",
            folder.write("c", format!("\n{line}ana pcn_secret\n")),
            "names FILE: line 3: it is not `NAME token ",
        ),
        (
            "--names",
            folder.write("d", format!("{line}{line}")),
            "names FILE: line 2: the name ana is on line 1 already",
        ),
        ("--names", folder.write("e", line.clone() + &new_token("аna").1), "names FILE: line 2: аna looks like ana"),
        ("--names", folder.write("f", b"\xff"), "names FILE: line 1: it is not UTF-8"),
        ("--password-file", folder.path("missing"), "password file FILE: No such file or directory"),
        ("--password-file", folder.path("dir"), "password file FILE: it is not a regular file"),
        ("--password-file", folder.write("g", ""), "password file FILE: it is empty"),
        ("--password-file", folder.write("h", "\nsecret"), "password file FILE: its first line is empty"),
        (
            "--password-file",
            folder.write("i", "x".repeat(1025)),
            "password file FILE: its first line is longer than 1024",
        ),
        ("--password-file", folder.write("j", "a\0secret"), "password file FILE: its first line is not text that"),
        ("--password-file", folder.write("k", b"\xffsecret"), "password file FILE: its first line is not text that"),
    ] {
        let output = run(&["--listen", "127.0.0.1:0", flag, &file]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{error}");
        let expected = format!("pollchat-server: cannot use the {}", fault.replace("FILE", &file));
        assert!(error.starts_with(&expected), "{expected}: {error}");
        assert!(!error.contains("secret") && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn a_reload_gives_names_to_their_owners_and_tells_the_rooms() {
    let folder = Folder::new("reload");
    let (old, new) = (new_token("ana"), new_token("ana"));
    let (_, emily) = new_token("emily");
    let names = folder.write("names", &old.1);
    let server = Server::quiet(&["--names", &names]);
    let [mut ana, mut look, mut bob] = server.join_many();
    named(&mut ana, &format!("/nick ana {}", old.0), "* client-1 is now ana");
    named(&mut look, "/nick ernily", "* client-2 is now ernily");
    named(&mut bob, "/nick bob", "* client-3 is now bob");
    reload(&server, 1);
    named(&mut ana, "/nick Ana", "* ana is now Ana");
    bob.expect("* ana is now Ana");
    folder.write("names", format!("{}{emily}", new.1));
    reload(&server, 2);
    server.expect_log(&["INFO", "read again: 2 names with owners in ", "; members that lost their names: 2"]);
    let told = ["* Ana is now client-1", "* ernily is now client-2"];
    told.iter().for_each(|line| bob.expect(line));
    ana.expect("* the name Ana belongs to somebody now: you are client-1");
    look.lines_until(|line| line == "* the name emily belongs to somebody now: you are client-2");
    named(&mut bob, "/nick rob", "* bob is now rob");
    ana.lines_until(|line| line == "* bob is now rob");
    named(&mut ana, &format!("/nick ana {}", old.0), "* that is not the token of ana");
    named(&mut ana, &format!("/nick ana {}", new.0), "* client-1 is now ana");
}

#[test]
fn a_reload_reads_all_files_or_none() {
    let folder = Folder::new("none");
    let (old, new) = (new_token("ana"), new_token("ana"));
    let (names, password) = (folder.write("names", &old.1), folder.write("password", ""));
    let server = Server::quiet(&["--names", &names]);
    let mut ana = server.join();
    for (text, fault) in [("ana token\n", "line 1: it is not `NAME token"), ("", "it is empty")] {
        folder.write("names", text);
        server.signal(Signal::HUP);
        server.expect_log(&["ERROR", "cannot use the names ", fault, "; the server goes on with all that it has read"]);
    }
    named(&mut ana, &format!("/nick ana {}", old.0), "* client-1 is now ana");
    assert_eq!(server.log().iter().filter(|line| line.contains("ERROR")).count(), 2);

    // A bad password keeps the names, too.
    folder.write("names", &old.1);
    folder.write("password", "word\n");
    let server = Server::quiet(&["--names", &names, "--password-file", &password]);
    folder.write("names", &new.1);
    folder.write("password", "\n");
    server.signal(Signal::HUP);
    server.expect_log(&["ERROR", "cannot use the password file ", "its first line is empty; the server goes on with"]);
    folder.write("password", "word\n");
    reload(&server, 1);
    server.expect_log(&["read again: 1 name with owners in ", "; the password in "]);
    assert_eq!(server.log().iter().filter(|line| line.contains("ERROR")).count(), 1);
}

#[test]
fn secrets_that_others_can_read_are_a_warning() {
    let folder = Folder::new("warn");
    let (names, password) = (folder.write("names", new_token("ana").1), folder.write("password", "word\n"));
    fs::set_permissions(&password, fs::Permissions::from_mode(0o644)).unwrap();
    let server = Server::builder()
        .listen("127.0.0.1:0")
        .listen("0.0.0.0:0")
        .flags(["--names", &names, "--password-file", &password])
        .go();
    server.expect_log(&["WARN", "each user of this machine can read the password file ", "chmod 600 "]);
    let warning = "others can read the password and the tokens of names on the way to 0.0.0.0:";
    server.expect_log(&["WARN", warning]);
    assert!(!server.log().iter().any(|line| line.contains("on the way to 127.0.0.1")));
    assert!(!server.log().iter().any(|line| line.contains("word\"") || line.contains(" word")), "{:?}", server.log());
}

#[test]
fn tokens_reach_neither_the_log_nor_the_room_nor_the_journal() {
    let folder = Folder::new("leak");
    let ((token, line), journal) = (new_token("ana"), folder.path("journal"));
    let names = folder.write("names", line);
    let mut server = Server::start(&["--names", &names, "--log-level", "trace", "--journal", &journal]);
    let [mut ana, mut bob] = server.join_many();
    let cut = &token[..TOKEN_BYTES - 2];
    let mut answers = Vec::new();
    for line in [
        format!("/nick ana {cut}"),
        format!("/nick bob {token}"),
        format!("/nick {token}"),
        format!(" /nick ana {token}"),
        format!("/nick\tana\t{token} more"),
        format!("/NICK ana {token}"),
        format!("/nick ana {token}"),
        "/history 100".to_owned(),
        "/search pcn_".to_owned(),
        format!("/nosuch {token}"),
    ] {
        ana.send_line(line);
    }
    ana.send_line("/who");
    answers.extend(ana.lines_until(|line| line.ends_with(" here")));
    bob.send_line("/who");
    answers.extend(bob.lines_until(|line| line.ends_with(" here")));
    assert!(answers.iter().any(|line| line == "* client-1 is now ana"), "{answers:?}");
    server.signal(Signal::TERM);
    server.wait(std::time::Duration::from_secs(10));
    server.drained();
    let log = server.log().join("\n");
    assert!(log.contains("ana types \"/nosuch\" event=command "), "commands are logged by their words: {log}");
    let mut places = vec![answers.join("\n"), log];
    let segments = walk(&PathBuf::from(journal));
    assert!(!segments.is_empty(), "there is a journal");
    places.extend(segments.iter().map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()));
    for place in places {
        assert!(!place.contains(&token[4..12]), "{place}");
    }
}

/// The files of a folder, and of those in it.
fn walk(folder: &PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
