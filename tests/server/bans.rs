//! `--bans` in a real server: the file at the start, at SIGHUP, over restarts, and whatever kills the server.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use pollchat::server::bans::Ban;
use pollchat::server::bans::file::BansFile;

use rustix::process::Signal;

use crate::support::{Client, Folder, Lines as _, Member as _, Server, eventually};

fn serve(folder: &Folder) -> Server {
    Server::builder().flags(["--announce-up-to", "0", "--bans", &file(folder)]).go()
}

/// The file of bans.
fn file(folder: &Folder) -> String {
    folder.path("bans")
}

fn from(server: &Server, ip: &str) -> Client {
    let ip: IpAddr = ip.parse().unwrap();
    let address: SocketAddr = server.address();
    Client::connect_from(ip, address)
}

#[track_caller]
fn join(server: &Server, ip: &str) -> Client {
    let mut client = from(server, ip);
    client.greeted();
    client
}

#[track_caller]
fn assert_banned(server: &Server, ip: &str, notice: &str) {
    let mut client = from(server, ip);
    client.expect(notice);
    client.expect_farewell();
}

/// Has the files read again, and waits for a line of the log with all these words.
fn reload(server: &Server, words: &[&str]) {
    let has = |line: &String| words.iter().all(|word| line.contains(word));
    let before = server.log().iter().filter(|line| has(line)).count();
    server.signal(Signal::HUP);
    eventually("the files are read again", || server.log().iter().filter(|line| has(line)).count() > before);
}

fn run(flags: &[&str]) -> Output {
    Server::builder().flags(flags).command().output().expect("it can be started")
}

#[test]
fn a_file_bans_from_the_start_on_and_an_edited_one_at_the_signal() {
    let folder = Folder::new("edit");
    folder
        .write("bans", "# a list\n127.0.0.2 until 2999-01-01T00:00:00Z: spam\n127.0.0.3 until 2020-01-01T00:00:00Z\n");
    let server = serve(&folder);
    server.expect_log(&["INFO", "1 ban in ", &file(&folder)]);
    assert_banned(&server, "127.0.0.2", "* you are banned until 2999-01-01 00:00 UTC: spam");
    let mut ana = join(&server, "127.0.0.3");
    let mut ben = join(&server, "127.0.0.4");
    folder.write("bans", "127.0.0.3\n");
    reload(&server, &["read again: 1 ban in ", &file(&folder)]);
    // The file wins: who was banned before is not any more, and a member that is banned now has to go.
    ana.expect("* you are banned");
    ana.expect_farewell();
    let mut zoe = join(&server, "127.0.0.2");
    zoe.send_line("hello");
    ben.expect("client-3> hello");
    server.expect_log(&["client-1 left (banned: 127.0.0.3; 127.0.0.3:"]);
    folder.write("bans", "");
    reload(&server, &["read again: 0 bans in ", &file(&folder)]);
    join(&server, "127.0.0.3");
    // Reading changes nothing in the file.
    assert_eq!(fs::read_to_string(file(&folder)).unwrap(), "");
}

#[test]
fn a_bad_file_changes_nothing_at_the_signal() {
    let folder = Folder::new("bad");
    folder.write("bans", "127.0.0.2\n");
    let server = serve(&folder);
    for (text, fault) in [
        ("127.0.0.3\n127.0.0.300\n", "line 2: \"127.0.0.300\" is no network"),
        ("127.0.0.3\n127.0.0.3\n", "line 2: 127.0.0.3/32 is banned in line 1 already"),
        ("127.0.0.3\n\0", "line 2: "),
    ] {
        folder.write("bans", text);
        reload(
            &server,
            &["ERROR", "cannot use the bans ", fault, "the server goes on with all that it has read before"],
        );
        assert_banned(&server, "127.0.0.2", "* you are banned");
        join(&server, "127.0.0.3");
        assert_eq!(fs::read_to_string(file(&folder)).unwrap(), text, "it is left alone");
    }
    // A file that is gone is lost more likely than meant.
    fs::remove_file(file(&folder)).unwrap();
    reload(&server, &["ERROR", "cannot use the bans ", "it is gone, and bans are in force"]);
    assert_banned(&server, "127.0.0.2", "* you are banned");
    folder.write("bans", "");
    reload(&server, &["read again: 0 bans in "]);
    join(&server, "127.0.0.2");
}

#[test]
fn each_bad_file_ends_the_start_with_its_line_and_fault() {
    let folder = Folder::new("start");
    for (text, fault) in [
        ("\nana\n", "line 2: \"ana\" is no network: write an address, or a prefix such as 10.0.0.0/8"),
        ("0.0.0.0/0\n", "line 1: \"0.0.0.0/0\" is no network: 0.0.0.0/0 is too large to be banned"),
        ("10.0.0.1 until tea\n", "line 1: \"tea\" is no time: write it as 2026-12-01T10:00:00Z"),
        ("10.0.0.1: a\u{1b}[2J\n", "line 1: its reason has a character that a terminal would obey"),
    ] {
        folder.write("bans", text);
        let output = run(&["--listen", "127.0.0.1:0", "--bans", &file(&folder)]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{error}");
        let expected = format!("pollchat-server: cannot use the bans {}: {fault}", file(&folder));
        assert!(error.starts_with(&expected) && error.lines().count() == 1, "{expected}: {error}");
    }
    let output = run(&["--listen", "127.0.0.1:0", "--bans", "/dev/null"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error, "pollchat-server: cannot use the bans /dev/null: it is not a regular file\n");
}

#[test]
fn a_missing_file_is_no_ban_and_comes_with_the_first() {
    let folder = Folder::new("missing");
    let server = serve(&folder);
    server.expect_log(&["INFO", "0 bans in "]);
    join(&server, "127.0.0.2");
    assert!(!PathBuf::from(file(&folder)).exists());
    // An operator may write it.
    folder.write("bans", "127.0.0.2: x\n");
    reload(&server, &["read again: 1 ban in "]);
    assert_banned(&server, "127.0.0.2", "* you are banned: x");
}

/// Bans as fast as the disk takes it, until it is killed: a process for the test below.
#[test]
#[ignore = "runs until it is killed, for another test"]
fn writes_bans_until_it_is_killed() {
    let Some(path) = std::env::var_os("BANS_TEST_FILE") else { return };
    let file = BansFile::new(path.into());
    let changes = file.changes();
    for number in 0..u32::MAX {
        let line = format!("{}: {number}", std::net::Ipv4Addr::from(0x0b00_0000 + number % 2_000));
        let ban = Ban::parse_line(&line).unwrap().unwrap();
        changes.note(ban.network, Some(ban.into()));
        if number.is_multiple_of(100) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// That process, killed when dropped.
struct Writer(Child);

impl Writer {
    fn start(folder: &Folder) -> Writer {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "bans::writes_bans_until_it_is_killed"]);
        command.env("BANS_TEST_FILE", file(folder)).stdout(Stdio::null()).stderr(Stdio::null());
        Writer(command.spawn().unwrap())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_kill_at_any_moment_leaves_a_whole_file() {
    let folder = Folder::new("kill");
    let mut bans = 1;
    folder.write("bans", "127.0.0.1\n");
    for round in 0..30_u64 {
        let writer = Writer::start(&folder);
        let before = fs::metadata(file(&folder)).ok().map(|file| file.ino());
        let writes = || fs::metadata(file(&folder)).ok().map(|file| file.ino()) != before;
        eventually("it writes", writes);
        // Within the next write, or the one after it.
        thread::sleep(Duration::from_micros(round * 331));
        drop(writer);
        let kept = BansFile::new(file(&folder).into()).read().expect("a whole file");
        assert!(kept.bans.len() >= bans, "{} of {bans} bans are left of the rounds before", kept.bans.len());
        bans = kept.bans.len();
    }
    let beside = fs::read_dir(folder.path(".")).unwrap().count();
    assert!(beside <= 2, "the file, and one that was not whole");
}

#[test]
fn a_reload_of_100_000_bans_keeps_everything_as_it_was_written() {
    let folder = Folder::new("many");
    let lines: String = (0..99_999_u32).map(|n| format!("{}\n", std::net::Ipv4Addr::from(0x0b00_0000 + n))).collect();
    folder.write("bans", format!("127.0.0.2\n{lines}"));
    let server = serve(&folder);
    server.expect_log(&["100000 bans in "]);
    assert_banned(&server, "127.0.0.2", "* you are banned");
    let mut ana = join(&server, "127.0.0.3");
    reload(&server, &["read again: 100000 bans in "]);
    ana.send_line("/who");
    ana.expect("* here: client-1, 0 lines, 0 min");
}
