//! Reloads of the file of settings, by SIGHUP: what takes effect, what needs a restart, and files that are broken.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{self as unix, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::*;
use crate::support::{DEADLINE, Follower, converse, eventually, numbered};

/// Signals that the file is to be read again, and waits until the log says this so many times.
#[track_caller]
fn reload(server: &Server, times: usize, expected: &str) {
    server.signal(Signal::HUP);
    eventually(expected, || server.log().iter().filter(|line| line.ends_with(expected)).count() == times);
}

#[test]
fn each_reloadable_key_takes_effect_and_the_others_are_named() {
    let folder = Folder::new("each");
    let file = folder.settings("greeting = 'old'\n");
    let server = with(&file).go();
    let mut ana = greeted_with(&server, "old");
    reload(&server, 1, "read again: no setting has changed");

    folder.settings("greeting = 'new'\n");
    reload(&server, 1, "read again: greeting");
    let mut bob = greeted_with(&server, "new");

    folder.settings("greeting = 'new'\nrate = 1\nburst = 2\n");
    reload(&server, 1, "read again: rate, burst");
    let start = Instant::now();
    ana.send("a\nb\nc\n");
    ["a", "b", "c"].iter().for_each(|text| bob.expect(ana.says(text)));
    assert!(start.elapsed() >= Duration::from_millis(900), "the third line waits for a second");

    folder.settings("greeting = 'new'\nmax-per-address = 2\n");
    reload(&server, 1, "read again: rate, burst, max-per-address");
    let mut third = server.connect();
    third.expect("* too many connections from your address (at most 2)");
    ana.send("x\n".repeat(50));
    (0..50).for_each(|_| bob.expect(ana.says("x")));

    folder.settings("greeting = 'new'\nallow = '10.0.0.0/8'\n");
    reload(&server, 1, "read again: max-per-address, allow");
    let mut third = server.connect();
    third.expect("* connections from your address are not allowed here");
    folder.settings("greeting = 'new'\ndeny = ['127.0.0.1']\n");
    reload(&server, 1, "read again: allow, deny");
    let mut third = server.connect();
    third.expect("* connections from your address are not allowed here");
    converse(&mut ana, &mut bob, 2);

    folder.settings("greeting = 'new'\nhistory = 9\nbacklog = '1M'\nlag = 'wait'\nrooms = 3\n");
    reload(&server, 1, "read again: deny; restart needed for history, backlog, rooms, lag");
    reload(&server, 1, "INFO  [pollchat::server::reload] read again: restart needed for history, backlog, rooms, lag");
    greeted_with(&server, "new");
}

#[test]
fn the_level_of_the_log_changes_at_once() {
    let folder = Folder::new("level");
    let file = folder.settings("log-level = 'debug'\n");
    let server = with(&file).go();
    let mut ana = server.join();
    ana.send_line("said at debug");
    server.expect_log(&["DEBUG", "said at debug"]);
    folder.settings("log-level = 'off'\n");
    reload(&server, 1, "read again: log-level");
    ana.send_line("said at off");
    ana.who();
    folder.settings("log-level = 'debug'\n");
    reload(&server, 2, "read again: log-level");
    ana.send_line("said at debug again");
    server.expect_log(&["DEBUG", "said at debug again"]);
    assert!(!server.log().iter().any(|line| line.contains("said at off")));
    folder.settings("log-level = 'info'\n");
    reload(&server, 3, "read again: log-level");
}

#[test]
fn a_broken_file_changes_nothing_and_its_fault_is_told() {
    let folder = Folder::new("broken-later");
    let good = "greeting = 'old'\n";
    let file = folder.settings(good);
    let mut server = with(&file).go();
    let mut ana = greeted_with(&server, "old");
    let faults: [(&[u8], &str); 9] = [
        (b"", "cannot use the configuration file FILE: it is empty"),
        (b"greeting = 'new'\nrate = x\n", "FILE:2:8: "),
        (b"greeting = 'new'\n\xff", "FILE:2:1: it is not UTF-8"),
        (b"greeting = 'new'\nrat = 1\n", "FILE:2:1: there is no flag for the key rat (did you mean rate?)"),
        (b"greeting = 'new'\nrate = [1]\n", "FILE:2:8: rate takes a number, or text in quotes, not a list"),
        (b"greeting = 'new'\nrate = 'x'\n", "FILE:2:8: invalid value 'x' for '--rate <LINES/S>': invalid digit"),
        (b"greeting = 'new'\nburst = 5\n", "FILE:2:1: --burst requires --rate"),
        (b"greeting = 'new'\nhistory = -1\n", "FILE:2:11: invalid value '-1' for '--history <LINES>'"),
        (b"greeting = 'new'\ncheck = true\n", "FILE:2:1: check belongs on the command line"),
    ];
    let goes_on = "; the server goes on with all that it has read before";
    for (text, fault) in faults {
        folder.settings(text);
        server.signal(Signal::HUP);
        let line = server.expect_log(&["ERROR", &fault.replace("FILE", &file)]);
        assert!(line.ends_with(goes_on), "{line}");
    }
    fs::remove_file(&file).unwrap();
    server.signal(Signal::HUP);
    server.expect_log(&["ERROR", &format!("file {file}: No such file or directory"), goes_on]);
    let fifo = std::process::Command::new("mkfifo").arg(&file).status().expect("coreutils");
    assert!(fifo.success());
    server.signal(Signal::HUP);
    server.expect_log(&["ERROR", "it is not a regular file", goes_on]);
    let mut bob = greeted_with(&server, "old");
    converse(&mut ana, &mut bob, 3);
    fs::remove_file(&file).unwrap();
    folder.settings(good);
    reload(&server, 1, "read again: no setting has changed");
    server.assert_running();
}

#[test]
fn a_bad_file_of_names_keeps_the_settings_as_well() {
    let folder = Folder::new("all-or-none");
    let names = folder.write("names", "# nobody\n");
    let file = folder.settings(format!("greeting = 'old'\nnames = '{names}'\n"));
    let server = with(&file).go();
    folder.settings(format!("greeting = 'new'\nnames = '{names}'\n"));
    folder.write("names", "ana\n");
    server.signal(Signal::HUP);
    server.expect_log(&["ERROR", &format!("cannot use the names {names}: line 1: ")]);
    greeted_with(&server, "old");
    folder.write("names", "# nobody\n");
    reload(&server, 1, &format!("read again: greeting; 0 names with owners in {names}"));
    greeted_with(&server, "new");
    reload(&server, 1, &format!("read again: no setting has changed; 0 names with owners in {names}"));
}

#[test]
fn a_server_without_files_says_that_there_is_nothing_to_read() {
    let server = Server::quiet(&["--greeting", "hello"]);
    server.signal(Signal::HUP);
    server.expect_log(&["INFO", "there is nothing to read again: neither --config nor "]);
    greeted_with(&server, "hello");
}

#[test]
fn a_setting_of_a_flag_or_a_variable_is_not_changed_by_the_file() {
    let folder = Folder::new("kept");
    let file = folder.settings("rate = 5\n");
    let server = with(&file).flags(["--greeting", "flag"]).env("POLLCHAT_BURST", "9").go();
    folder.settings("rate = 5\ngreeting = 'file'\nburst = 8\n");
    reload(&server, 1, "read again: no setting has changed");
    greeted_with(&server, "flag");
}

#[test]
fn reloads_in_the_middle_of_a_flood_lose_no_line() {
    const LINES: usize = 4_000;
    let folder = Folder::new("flood");
    let file = folder.settings("greeting = '0'\n");
    let server = with(&file).go();
    let (mut talker, mut reader) = (greeted_with(&server, "0"), greeted_with(&server, "0"));
    let mut heard = Follower::new(&talker, 0);
    for (round, from) in (0..LINES).step_by(LINES / 20).enumerate() {
        let to = from + LINES / 20;
        folder.settings(format!("greeting = '{round}'\nrate = 1000\nburst = {}\nmax-per-address = 9\n", 500 + round));
        talker.send((from..from + 20).map(|index| numbered(index) + "\n").collect::<String>());
        server.signal(Signal::HUP);
        talker.send((from + 20..to).map(|index| numbered(index) + "\n").collect::<String>());
        heard.follow(&mut reader, to);
    }
    assert_eq!((heard.seen, heard.missed), (LINES, 0));
}

#[test]
fn the_service_manager_is_told_when_a_reload_begins_and_ends() {
    let name = format!("pollchat-{}-reload", std::process::id());
    let manager = UnixDatagram::bind_addr(&unix::SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let told = || {
        let mut buffer = [0; 4_096];
        let len = manager.recv(&mut buffer).expect("a notice");
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    };
    let folder = Folder::new("notify");
    let file = folder.settings("greeting = 'a'\n");
    let server = with(&file).env("NOTIFY_SOCKET", &format!("@{name}")).go();
    let listening = format!("READY=1\nSTATUS=listening on {}", server.address());
    assert_eq!(told(), format!("{listening}\n"));
    let mut last = 0;
    for (text, outcome) in [
        ("greeting = 'b'\n", "read again: greeting".to_owned()),
        ("greeting = \n", format!("{file}:1:12: ")),
        ("greeting = 'b'\n", "read again: no setting has changed".to_owned()),
    ] {
        folder.settings(text);
        server.signal(Signal::HUP);
        let begin = told();
        let time = begin.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|rest| rest.strip_suffix('\n'));
        let time: u64 = time.and_then(|time| time.parse().ok()).unwrap_or_else(|| panic!("{begin}"));
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        assert!(last < time && time <= u64::try_from(now.tv_sec).unwrap() * 1_000_000 + 999_999);
        last = time;
        let end = told();
        assert!(end.starts_with(&format!("{listening}; {outcome}")) && end.lines().count() == 2, "{end}");
    }
}

#[test]
fn a_storm_of_signals_keeps_no_client_waiting() {
    /// Ends the storm, also if the test fails.
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let folder = Folder::new("storm");
    // A reload takes longer than the time between two signals.
    let networks: Vec<String> = (0..3_000).map(|n| format!("'10.{}.{}.0/24'", n / 250, n % 250)).collect();
    let server = with(&folder.settings(format!("greeting = 'hi'\ndeny = [{}]\n", networks.join(",")))).go();
    let (mut ana, mut bob) = (greeted_with(&server, "hi"), greeted_with(&server, "hi"));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = End(&is_over);
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                server.signal(Signal::HUP);
                // Signals without a pause between them count as one.
                thread::sleep(Duration::from_millis(1));
            }
        });
        converse(&mut ana, &mut bob, 5);
    });
}
