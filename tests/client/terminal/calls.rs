//! Lines that call the user: the bell, `--notify-command`, what is unread, and names that are ignored.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::server::talk;
use super::window::Window;
use crate::support::eventually;
use crate::support::folder::Folder;
use crate::support::tracked_server::TrackedServer;

const RULE: &str = "---- unread ----";

/// How often the bell has rung.
fn rings(window: &Window) -> usize {
    window.written.iter().filter(|&&byte| byte == 0x07).count()
}

/// A program that writes its arguments and its variables into a file, and the file.
fn program(folder: &Folder, ends_with: &str) -> (String, String) {
    let (program, told) = (folder.path("notify"), folder.path("told"));
    let script = format!(
        "#!/bin/sh\nprintf '%s|' \"$@\" \"$NOTIFY_KIND\" \"$NOTIFY_FROM\" \"$NOTIFY_ROOM\" \"$NOTIFY_TEXT\" \
         \"$POLLCHAT_PASSWORD\" >>{told}.new\necho >>{told}.new\ncp {told}.new {told}\n{ends_with}\n"
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    (program, told)
}

fn told(file: &str, lines: usize) -> String {
    eventually("the program has run", || fs::read_to_string(file).is_ok_and(|text| text.lines().count() >= lines));
    fs::read_to_string(file).unwrap()
}

#[test]
fn the_bell_rings_for_a_mention_and_a_private_line_and_for_nothing_else() {
    let mut talk = talk(20, 60, &[]);
    talk.say("ben> hello all, banana\n* ben joined\nana> ana\nben> 1\n");
    talk.window.shows(&["ben> 1", "ana>"]);
    assert_eq!(rings(&talk.window), 0);
    talk.say("ben> @Ana: hi\n");
    talk.window.shows(&["ben> @Ana: hi", "ana>"]);
    assert_eq!(rings(&talk.window), 1);
    talk.say("* ben tells you: psst\nben> 2\n");
    talk.window.shows(&["ben> 2", "ana>"]);
    talk.window.wait_until("the second ring", |window| rings(window) == 2);
}

#[test]
fn a_flood_of_mentions_rings_now_and_then() {
    let mut talk = talk(20, 60, &[]);
    talk.say(&"ben> ana!\n".repeat(2_000));
    talk.say("ben> done\n");
    talk.window.shows(&["ben> done", "ana>"]);
    talk.types("x");
    let seconds_at_most = 30;
    assert!((1..seconds_at_most / 2).contains(&rings(&talk.window)), "{}", rings(&talk.window));
}

#[test]
fn a_line_of_the_history_does_not_ring() {
    let mut talk = talk(20, 60, &[]);
    talk.say("* you are in rust, with 1 other\n* 2 earlier lines:\nben> ana?\nben> ana!\nben> and now\n");
    talk.window.shows(&["ben> and now", "ana@rust>"]);
    assert_eq!(rings(&talk.window), 0);
    talk.say("ben> ana\nben> 1\n");
    talk.window.shows(&["ben> ana", "ben> 1", "ana@rust>"]);
    assert_eq!(rings(&talk.window), 1);
}

#[test]
fn the_program_gets_what_was_said_as_arguments_alone() {
    let folder = Folder::new("notify");
    let (program, file) = program(&folder, "exit 0");
    let command = format!("{program} -u  critical");
    let mut talk = talk(20, 80, &["--notify-command", &command]);
    let hostile = "ana $(touch pwned) `id` ; \"x\" 'y' \\ | > * \x1b]0;t\x07 مرحبا 世界";
    talk.say(&format!("ben> {hostile}\n"));
    let text = hostile.replace(['\x1b', '\x07'], "\u{fffd}");
    assert_eq!(told(&file, 1), format!("-u|critical|ben in lobby|{text}|mention|ben|lobby|{text}||\n"));
    talk.say("* ben tells you: --help\n");
    let second = told(&file, 2);
    assert!(second.ends_with("\n-u|critical|ben tells you| --help|private|ben|lobby|--help||\n"), "{second}");
    eventually("no process is left", || talk.window.children().is_empty());
    talk.types("still here");
}

#[test]
fn a_program_that_cannot_run_or_fails_is_told_once() {
    let folder = Folder::new("notify-fails");
    let (program, file) = program(&folder, "exit 7");
    for (command, why) in [
        ("/nowhere/at-all", "No such file or directory (os error 2)".to_owned()),
        (program.as_str(), "exit status: 7".to_owned()),
    ] {
        let mut talk = talk(20, 100, &["--notify-command", command]);
        talk.say("ben> ana\n");
        let note = format!("-- --notify-command {command}: {why}");
        talk.window.wait_until("the note", |window| window.rows().contains(&note));
        talk.say("* ben tells you: again\n");
        talk.window.wait_until("the second ring", |window| rings(window) == 2);
        talk.types("x");
        talk.window.shows(&["ana> x", "ana>"]);
        assert_eq!(talk.window.rows().iter().filter(|row| **row == note).count(), 1);
    }
    assert_eq!(told(&file, 2).lines().count(), 2);
}

#[test]
fn a_program_that_hangs_holds_nothing_up() {
    let folder = Folder::new("notify-hangs");
    let (program, _) = program(&folder, "sleep 1000");
    let mut talk = talk(20, 100, &["--notify-command", &program]);
    talk.say("ben> ana\n");
    talk.window.wait_until("the ring", |window| rings(window) == 1);
    eventually("it runs", || talk.window.children().len() == 1);
    talk.types("one");
    talk.window.press("\x04");
    talk.window
        .wait_until("the goodbye", |window| window.rows().last().is_some_and(|row| row.starts_with("(leaving)")));
    talk.say("FIN\n");
    drop(talk.server);
    assert!(talk.window.ends().success());
}

#[test]
fn what_was_said_during_a_stop_stands_below_a_rule() {
    let server = TrackedServer::start();
    let (mut window, mut server, mut peer) = super::tracking::begin(server, &[]);
    server.record(&mut peer, "ben> before");
    super::tracking::shows(&mut window, &["ben> before", "client-1>"]);
    // It is not the job of a shell, so that it goes on by itself.
    window.signal(rustix::process::Signal::CONT);
    server.record(&mut peer, "ben> meanwhile");
    server.record(&mut peer, "ben> and more");
    super::tracking::shows_all(&mut window, &["ben> before", RULE, "ben> meanwhile", "ben> and more", "client-1>"]);
}

#[test]
fn what_a_lost_connection_brings_late_stands_below_a_rule() {
    let server = TrackedServer::start();
    let (mut window, mut server, mut peer) = super::tracking::begin(server, &[]);
    server.record(&mut peer, "ben> before");
    super::tracking::shows(&mut window, &["ben> before", "client-1>"]);
    peer.reset();
    server.log.extend(["ben> meanwhile".to_owned(), "eve> and more".to_owned()]);
    let mut peer = server.accept();
    server.resume(&mut peer);
    let rows = ["-- connected again", RULE, "ben> meanwhile", "eve> and more", "client-1>"];
    super::tracking::shows_all(&mut window, &rows);
}

#[test]
fn a_window_without_focus_for_a_moment_has_no_rule() {
    let mut talk = talk(20, 60, &[]);
    talk.window
        .wait_until("the reports of focus", |window| memchr::memmem::find(&window.written, b"\x1b[?1004h").is_some());
    talk.window.press("\x1b[O");
    talk.say("ben> hi\n");
    talk.window.shows(&["ben> hi", "ana>"]);
    talk.window.press("\x1b[I");
    talk.types("x");
    assert!(!talk.window.rows().contains(&RULE.to_owned()));
}

#[test]
fn an_ignored_name_is_neither_seen_nor_heard() {
    let mut talk = talk(30, 90, &[]);
    talk.window.press("/ignore Ben\r");
    talk.window.shows(&["-- Ben is ignored, until you leave or /unignore Ben", "ana>"]);
    talk.say("ben> ana\n* ben tells you: psst\n* ben left\n* ben joined\neve> ben> hi\n");
    talk.window.shows(&["-- Ben is ignored, until you leave or /unignore Ben", "eve> ben> hi", "ana>"]);
    talk.say("* ben is now bob\nbob> ana\n* zoe is now ben\nben> I am another\n");
    talk.window.shows(&["eve> ben> hi", "* zoe is now ben", "ben> I am another", "ana>"]);
    assert_eq!(rings(&talk.window), 0);
    talk.window.press("/ignore\r/unignore eve\r/unignore bob\r/ignore a b\r/ignore ANA\r");
    talk.window.shows(&[
        "-- ignored: bob",
        "-- eve is not ignored",
        "-- bob is shown again",
        "-- /ignore NAME hides the lines of NAME; /ignore lists who is ignored",
        "-- that is you",
        "ana>",
    ]);
    talk.say("bob> hi\n");
    talk.window.shows(&["bob> hi", "ana>"]);
    talk.types("the server heard nothing of it");
}
