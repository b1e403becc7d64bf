//! Every way out gives the terminal back as it was found; and while nothing happens, nothing is done.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use pollchat::client::testing::RawMode;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, kill_process};
use socket2::{Domain, Socket, Type};

use super::server::{accept, client_of, hear_to_the_end, listen, refuse_to_track, talk};
use super::window::Window;
use crate::support::eventually;

/// How long the client waits for a server's farewell.
const GRACE: Duration = Duration::from_secs(5);

#[test]
fn ctrl_c_clears_a_line_and_ends_on_an_empty_one() {
    for end in ["\x03", "\x04", "/quit\r", "/QUIT bye\r"] {
        let mut talk = talk(10, 60, &[]);
        talk.window.press("half\x03");
        talk.window.shows(&["* client-1 is now ana", "ana>"]);
        talk.window.press(end);
        let said = if end.ends_with('\r') { end.replace('\r', "\n") } else { String::new() };
        assert_eq!(hear_to_the_end(&mut talk.server), said);
        talk.say("ben> bye\nFIN\n");
        assert_eq!(talk.window.ends().code(), Some(0));
        let rows = talk.window.rows();
        assert_eq!(rows[rows.len() - 2..], ["ben> bye", "FIN"]);
    }
}

#[test]
fn what_was_typed_is_still_sent_when_one_leaves() {
    let mut talk = talk(10, 60, &[]);
    talk.window.press("last words\r\x04");
    assert_eq!(hear_to_the_end(&mut talk.server), "last words\n");
    talk.say("FIN\n");
    assert_eq!(talk.window.ends().code(), Some(0));
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_the_server() {
    let mut talk = talk(10, 60, &[]);
    talk.window.press("\x03");
    assert_eq!(hear_to_the_end(&mut talk.server), "");
    talk.window.shows(&["(leaving)"]);
    talk.window.press("\x03");
    assert_eq!(talk.window.ends().code(), Some(0));
}

#[test]
fn ctrl_backslash_does_not_wait_for_the_server_at_all() {
    for before in ["", "half a sentence", "\x1b[200~one\rtwo\x1b[201~"] {
        let mut talk = talk(10, 60, &[]);
        talk.window.press(&format!("{before}\x1c"));
        assert_eq!(talk.window.ends().code(), Some(0));
        assert_eq!(hear_to_the_end(&mut talk.server), "");
    }
}

#[test]
fn what_was_received_is_shown_before_a_forced_end() {
    for (end, code) in [("\x03\x03", 0), ("\x1c", 0), ("term", 128 + Signal::TERM.as_raw())] {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut window = Window::open(20, 60, &client_of(listener.local_addr().unwrap(), &["--flush-after", "0"]));
        let mut server = accept(&listener);
        server.write_all(b"Welcome\nhalf a li").unwrap();
        window.shows(&["Welcome", ">"]);
        server.write_all(b"ne").unwrap();
        let from = Instant::now();
        window.wait_until("a moment", |_| from.elapsed() > Duration::from_millis(200));
        if end == "term" {
            // The first signal leaves, the second forces.
            window.signal(Signal::TERM);
            assert_eq!(hear_to_the_end(&mut server), "");
            window.signal(Signal::TERM);
        } else {
            window.press(end);
        }
        assert_eq!(window.ends().code(), Some(code), "{end:?}");
        window.wait_until("the last words", |window| window.rows() == ["Welcome", "half a line"]);
    }
}

#[test]
fn each_signal_that_ends_gives_the_terminal_back() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut talk = talk(10, 60, &[]);
        talk.window.press("half a sentence");
        talk.window.shows(&["ana> half a sentence"]);
        talk.window.signal(signal);
        assert_eq!(hear_to_the_end(&mut talk.server), "");
        talk.say("FIN\n");
        assert_eq!(talk.window.ends().code(), Some(0), "{signal:?}");
        talk.window.wait_until("the last words", |window| {
            window.rows()
                == [
                    "* you are client-1; /help lists what you can do",
                    "* client-1 is now ana",
                    "FIN",
                    "-- not sent: half a sentence",
                ]
        });
    }
}

#[test]
fn a_second_signal_does_not_wait_for_the_server() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        for first in ["", "\x03", "/quit\r"] {
            let mut talk = talk(10, 60, &[]);
            if first.is_empty() {
                talk.window.signal(signal);
            } else {
                talk.window.press(first);
            }
            hear_to_the_end(&mut talk.server);
            talk.window.shows(&["(leaving)"]);
            let from = Instant::now();
            talk.window.signal(signal);
            assert_eq!(talk.window.ends().code(), Some(code), "{signal:?} after {first:?}");
            assert!(from.elapsed() < GRACE / 2, "{:?}", from.elapsed());
        }
    }
}

#[test]
fn a_flood_does_not_hold_up_leaving() {
    let mut talk = talk(10, 60, &[]);
    talk.window.press("\x03");
    assert_eq!(hear_to_the_end(&mut talk.server), "");
    let mut server = talk.server.try_clone().unwrap();
    let flood = std::thread::spawn(move || {
        let mut sent = 0;
        while let Ok(len) = server.write(&b"ana> flood\n".repeat(1000)) {
            sent += len;
        }
        sent
    });
    let from = Instant::now();
    assert_eq!(talk.window.ends().code(), Some(0));
    drop(talk);
    let sent = flood.join().unwrap();
    assert!(from.elapsed() < 4 * GRACE, "{sent} bytes in {:?}", from.elapsed());
}

#[test]
fn a_silent_server_does_not_hold_up_sigterm() {
    let mut talk = talk(10, 60, &[]);
    let from = Instant::now();
    talk.window.signal(Signal::TERM);
    assert_eq!(talk.window.ends().code(), Some(0));
    assert!(from.elapsed() < 2 * GRACE);
}

/// Not a test of its own: it is run in a window by the next one.
#[test]
#[ignore = "it panics, in a terminal"]
fn panics_in_raw_mode() {
    let _mode = RawMode::enter().unwrap();
    print!("raw now");
    std::io::stdout().flush().unwrap();
    let stdin = rustix::stdio::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 30, tv_nsec: 0 })).unwrap();
    panic!("in the middle of it");
}

#[test]
fn a_panic_gives_the_terminal_back() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", "terminal::ways_out::panics_in_raw_mode"]);
    let mut window = Window::open(40, 100, &command);
    window.wait_until_raw();
    window.wait_until("its word", |window| window.rows().iter().any(|row| row.ends_with("raw now")));
    window.press("x");
    assert!(!window.ends().success());
    window.wait_until("the panic", |window| window.rows().iter().any(|row| row.contains("in the middle of it")));
}

/// A shell (`sh2$` from then on) in which the client talks; and the server's side of that. `command` is what is typed
/// to start the client.
fn talk_in_a_shell(command: impl FnOnce(&str) -> String) -> (Window, TcpStream) {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "-i"]).env("PS1", "sh$ ").env("HISTFILE", "");
    let mut window = Window::open(30, 100, &shell);
    window.shows(&["sh$"]);
    let client =
        format!("{} {} --no-timestamps", env!("CARGO_BIN_EXE_pollchat-client"), listener.local_addr().unwrap());
    window.press(&format!("PS1='sh2$ '; {}\r", command(&client)));
    let mut server = accept(&listener);
    server.write_all(b"* you are ana; /help lists what you can do\n").unwrap();
    refuse_to_track(&mut server);
    window.shows(&["* you are ana; /help lists what you can do", "ana>"]);
    (window, server)
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_again() {
    let (mut window, mut server) = talk_in_a_shell(|client| format!("stty -g; {client}; echo \"status $?\""));
    let mode = window.rows().into_iter().find(|row| row.contains(":0:")).unwrap();
    window.press("half a sentence\x1a");
    window.wait_until("the shell", |window| window.rows().pop().unwrap() == "sh2$");
    assert!(window.rows().iter().any(|row| row.contains("Stopped")), "{:#?}", window.rows());
    // What comes meanwhile waits, and the shell has its terminal as it was.
    server.write_all(b"ben> while you were out\n").unwrap();
    window.press("echo typed; stty -g\r");
    window.wait_until("the mode", |window| window.rows().iter().filter(|row| **row == mode).count() == 2);
    assert!(!window.rows().iter().any(|row| row.contains("while you were out")));
    window.press("fg\r");
    window.shows(&["ben> while you were out", "ana> half a sentence"]);
    // In the background it stays away from the terminal.
    window.press("\x1a");
    window.wait_until("the shell", |window| window.rows().pop().unwrap() == "sh2$");
    window.press("bg\r");
    window.wait_until("the shell", |window| {
        window.rows().iter().any(|row| row.ends_with('&')) && window.rows().pop().unwrap() == "sh2$"
    });
    server.write_all(b"ben> in the background\n").unwrap();
    window.press("echo mine\r");
    window.shows(&["mine", "sh2$"]);
    window.press("fg\r");
    window.shows(&["ben> in the background", "ana> half a sentence"]);
    window.press("!\r");
    super::server::hear(&mut server, "half a sentence!\n");
    window.press("\x04");
    assert_eq!(hear_to_the_end(&mut server), "");
    server.write_all(b"FIN\n").unwrap();
    window.wait_until("the shell again", |window| window.rows().pop().unwrap() == "sh2$");
    window.press("exit\r");
    window.ends();
}

#[test]
fn one_that_is_stopped_can_be_ended() {
    let (mut window, mut server) = talk_in_a_shell(str::to_owned);
    window.press("\x1a");
    window.shows(&["sh2$"]);
    let from = Instant::now();
    window.press("kill %1; while jobs | grep pollchat; do sleep 0.01; done; echo it has \"\" ended\r");
    assert_eq!(hear_to_the_end(&mut server), "");
    window.wait_until("its end", |window| window.rows().contains(&"it has  ended".to_owned()));
    assert!(from.elapsed() < GRACE, "it waited for the server");
    window.press("exit\r");
    window.ends();
}

#[test]
fn one_in_the_background_sleeps_though_its_window_was_resized() {
    let (mut window, mut server) = talk_in_a_shell(str::to_owned);
    // It is stopped while it waits for the window to keep its size.
    window.resize(30, 60);
    window.press("\x1a");
    window.wait_until("the shell", |window| window.rows().pop().unwrap() == "sh2$");
    window.press("bg; jobs -p\r");
    let mut pid = None;
    window.wait_until("its number", |window| {
        pid = window.rows().iter().find_map(|row| row.parse::<u32>().ok());
        pid.is_some()
    });
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.unwrap())).unwrap();
        let times = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
        times.map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>()
    };
    let (before, from) = (ticks(), Instant::now());
    window.wait_until("two seconds to pass", |_| from.elapsed() > Duration::from_secs(2));
    assert!(ticks() - before < 20, "it used {} ticks", ticks() - before);
    window.press("fg\r");
    window.shows(&["ana>"]);
    window.press("\x03");
    assert_eq!(hear_to_the_end(&mut server), "");
    server.write_all(b"FIN\n").unwrap();
    window.shows(&["FIN", "sh2$"]);
    window.press("exit\r");
    window.ends();
}

#[test]
fn a_paste_that_was_torn_by_a_stop_does_not_make_it_deaf() {
    let (mut window, mut server) = talk_in_a_shell(str::to_owned);
    window.press("x\x1b[200~half");
    window.shows(&["ana> x"]);
    kill_process(window.job(), Signal::STOP).unwrap();
    window.wait_until("the shell", |window| window.rows().pop().unwrap() == "sh2$");
    // The shell gets the other half.
    window.press(" of it\x1b[201~\x15fg\r");
    window.shows(&["ana> x"]);
    window.press("y\r");
    super::server::hear(&mut server, "xy\n");
    window.press("\x04");
    assert_eq!(hear_to_the_end(&mut server), "");
    server.write_all(b"FIN\n").unwrap();
    window.wait_until("the shell again", |window| window.rows().pop().unwrap() == "sh2$");
    window.press("exit\r");
    window.ends();
}

#[test]
fn one_that_cannot_connect_yet_can_be_ended() {
    // A listener whose queue is full answers nobody.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let _first = std::net::TcpStream::connect(address).unwrap();
    let mut window = Window::open(10, 60, &client_of(address, &[]));
    window.shows(&["(connecting)"]);
    window.press("typed already");
    window.shows(&["(connecting) typed already"]);
    window.press("\x03\x03");
    assert_eq!(window.ends().code(), Some(1));
    assert_eq!(window.rows(), [format!("pollchat-client: cannot connect to {address}: given up")]);
}

#[test]
fn where_nobody_could_resume_it_ctrl_z_changes_nothing() {
    // It leads a session of its own, so the kernel does not stop it.
    let mut talk = talk(10, 60, &[]);
    talk.window.press("half\x1a a word");
    talk.window.shows(&["* client-1 is now ana", "ana> half a word"]);
}

#[test]
fn a_terminal_that_does_not_control_it_is_used_all_the_same() {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut window = Window::open_uncontrolled(10, 60, &client_of(listener.local_addr().unwrap(), &[]));
    let mut server = accept(&listener);
    server.write_all(b"* you are ana; /help lists what you can do\n").unwrap();
    refuse_to_track(&mut server);
    window.shows(&["* you are ana; /help lists what you can do", "ana>"]);
    // Nobody can stop it there.
    window.press("half\x1a a word\r");
    super::server::hear(&mut server, "half a word\n");
    window.press("\x04");
    assert_eq!(hear_to_the_end(&mut server), "");
    server.write_all(b"FIN\n").unwrap();
    assert_eq!(window.ends().code(), Some(0));
}

#[test]
fn a_terminal_that_goes_away_ends_it() {
    let mut talk = talk(10, 60, &[]);
    talk.window.press("hello\r");
    talk.hears("hello\n");
    let mut child = talk.window.close();
    assert_eq!(hear_to_the_end(&mut talk.server), "");
    drop(talk.server);
    eventually("it ends", || child.try_wait().unwrap().is_some());
}

#[test]
fn a_dumb_terminal_gets_the_form_of_the_pipe() {
    for (name, value, args) in [("TERM", "dumb", &[][..]), ("TERM", "", &[]), ("LANG", "C", &["--plain"])] {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut command = client_of(listener.local_addr().unwrap(), args);
        command.env(name, value);
        let mut window = Window::open(10, 60, &command);
        let mut server = accept(&listener);
        server.write_all(b"ana> hi\nFIN\n").unwrap();
        // The end of stdin has not come.
        assert_eq!(window.ends().code(), Some(1));
        let written = String::from_utf8(std::mem::take(&mut window.written)).unwrap();
        assert!(written.starts_with("ana> hi\r\nFIN\r\npollchat-client: "), "{written}");
    }
}

#[test]
fn a_terminal_that_nobody_reads_holds_back_the_server_and_not_what_is_typed() {
    let mut talk = talk(10, 60, &[]);
    talk.server.set_nonblocking(true).unwrap();
    // Until the kernel takes no more; the window is not looked at.
    let line = format!("ben> {}\n", "x".repeat(995));
    let mut said = 0;
    let mut blocked_at = None;
    while blocked_at.is_none_or(|at: Instant| at.elapsed().as_millis() < 300) {
        match talk.server.write(line.as_bytes()) {
            Ok(len) => (said, blocked_at) = (said + len, None),
            Err(_) => {
                blocked_at.get_or_insert_with(Instant::now);
            }
        }
        assert!(said < 1 << 30, "it takes all of it");
    }
    talk.server.set_nonblocking(false).unwrap();
    talk.types("still heard");
    let kib: u64 = talk.window.status("VmHWM:").strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(kib < 16 << 10, "it grew to {kib} KiB");
}

#[test]
fn while_nothing_happens_it_sleeps() {
    // The second one holds a message without an end for a moment, and then nothing any more.
    for said in ["* client-1 is now ana\n", "no end"] {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut window = Window::open(10, 60, &client_of(listener.local_addr().unwrap(), &["--flush-after", "5"]));
        let mut server = accept(&listener);
        server.write_all(said.as_bytes()).unwrap();
        window.press("half");
        window.shows(&[said.trim_end(), "> half"]);
        let before = window.wakes();
        let from = Instant::now();
        window.wait_until("a second to pass", |_| from.elapsed() > Duration::from_secs(1));
        // It may just have been on its way to sleep.
        assert!(window.wakes() - before <= 2, "it woke {} times", window.wakes() - before);
    }
}
