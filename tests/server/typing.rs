//! An operator types at the terminal that shows the log: what comes meanwhile waits for the end of the line.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use crate::support::terminal::pseudo_terminal;
use crate::support::{Client, Lines as _, Member as _, Server, eventually};

/// A server whose stdin, stdout and stderr are one terminal.
struct AtDesk {
    child: Child,
    client: Client,
    terminal: File,
    /// The operator's side of the terminal, which stays open.
    line: File,
    shown: Arc<Mutex<String>>,
    /// Bytes that the terminal shows at a time; while 0, it is stopped.
    piece: Arc<AtomicUsize>,
}

impl AtDesk {
    fn new(host: &str) -> AtDesk {
        AtDesk::with(host, &[], |_| ())
    }

    /// The same, with flags, at a terminal whose modes were changed.
    fn with(host: &str, flags: &[&str], change: impl FnOnce(&mut Termios)) -> AtDesk {
        let (terminal, line) = pseudo_terminal();
        let mut modes = tcgetattr(&line).unwrap();
        change(&mut modes);
        tcsetattr(&line, OptionalActions::Now, &modes).unwrap();
        let address = std::net::TcpListener::bind(format!("{host}:0")).unwrap().local_addr().unwrap();
        let start = Server::builder().listen(&address.to_string()).flags(flags);
        let mut command = start.flags(["--console", "--announce-up-to", "0", "--log-level", "debug"]).command();
        let end = || Stdio::from(line.try_clone().unwrap());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let (mut screen, shown) = (terminal.try_clone().unwrap(), Arc::new(Mutex::new(String::new())));
        let (seen, piece) = (Arc::clone(&shown), Arc::new(AtomicUsize::new(4_096)));
        let size = Arc::clone(&piece);
        thread::spawn(move || {
            let mut bytes = [0; 4_096];
            loop {
                while size.load(Ordering::SeqCst) == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
                let Ok(count) = screen.read(&mut bytes[..size.load(Ordering::SeqCst).max(1)]) else { return };
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        eventually("it listens", || std::net::TcpStream::connect(address).is_ok());
        let client = Client::join(Client::connect(address));
        AtDesk { child, client, terminal, line, shown, piece }
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    fn types(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    fn expect_shown(&self, text: &str) {
        eventually(&format!("{text:?} is shown in {:?}", self.shown()), || self.shown().contains(text));
    }

    fn is_line_by_line(&self) -> bool {
        tcgetattr(&self.line).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }
}

impl Drop for AtDesk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_comes_while_a_line_is_typed_is_shown_behind_it() {
    let mut desk = AtDesk::new("127.0.0.83");
    desk.types("is anybody th");
    desk.expect_shown("is anybody th");
    for number in 0..20 {
        desk.client.send_line(format!("between {number}"));
    }
    desk.client.who();
    // A backspace is the kernel's.
    desk.types("x\x7fere\n");
    desk.client.expect("server> is anybody there");
    desk.expect_shown("> between 19\r\n");
    let shown = desk.shown();
    let (_, behind) = shown.split_once("is anybody th").unwrap();
    assert!(behind.starts_with("x\x08 \x08ere\r\n"), "{behind:?}");
    assert!(behind.contains(": \"between 0\" event=said "), "the log: {behind:?}");
    assert_eq!(behind.matches("> between ").count(), 20, "{behind:?}");
}

#[test]
fn a_line_that_is_given_up_holds_nothing() {
    for (text, keys) in [("nothing", "\x15"), ("no", "\x7f\x7f"), ("two words", "\x17\x17"), ("", "\x16x\x7f")] {
        let mut desk = AtDesk::new("127.0.0.84");
        desk.types(text);
        desk.expect_shown(text);
        let start = Instant::now();
        desk.client.send_line("hello");
        desk.client.who();
        desk.types(keys);
        desk.expect_shown("> hello\r\n");
        let shown = desk.shown();
        assert!(start.elapsed() < Duration::from_secs(5), "{text:?} was held");
        assert!(!shown.contains(&format!("{text}\r\n")) || text.is_empty(), "{shown:?}");
    }
}

#[test]
fn what_comes_in_a_pause_is_shown_below_the_line_and_the_line_again() {
    // A key that shows a line again may be disabled, or remapped to text. A terminal may have no such keys at all.
    let of_keys = |key, has_extended| {
        move |modes: &mut Termios| {
            modes.special_codes[SpecialCodeIndex::VREPRINT] = key;
            modes.local_modes.set(LocalModes::IEXTEN, has_extended);
        }
    };
    let all =
        [("127.0.0.86", 0x12, true), ("127.0.0.87", 0, true), ("127.0.0.88", b'z', true), ("127.0.0.93", 0x12, false)];
    thread::scope(|scope| {
        for (host, key, has_extended) in all {
            scope.spawn(move || {
                let mut desk = AtDesk::with(host, &[], of_keys(key, has_extended));
                desk.types("half a li");
                desk.expect_shown("half a li");
                // The first is held until the pause is long enough, and the others are not.
                for round in 0..3 {
                    desk.client.send_line(format!("round {round}"));
                    desk.expect_shown(&format!("> round {round}\r\nhalf a li"));
                }
                desk.types("ne\n");
                desk.expect_shown("half a line\r\n");
                let shown = desk.shown();
                let lines: Vec<_> = shown.split("\r\n").filter(|line| line.contains("half a li")).collect();
                assert!(lines[..3].iter().all(|line| *line == "half a li"), "{shown:?}");
                assert_eq!(lines[3], "half a line", "{shown:?}");
            });
        }
    });
}

/// The end of the line of the log for a line of the operator.
const LOGGED: &str = "server: \"half a line\" event=said name=server room=lobby\r\n";

#[test]
fn a_log_that_is_long_is_held_in_parts_and_is_whole() {
    let mut desk = AtDesk::new("127.0.0.89");
    desk.types("half a li");
    desk.expect_shown("half a li");
    let lines = 210;
    for number in 0..lines {
        desk.client.send_line(format!("between {number}"));
    }
    desk.client.who();
    desk.types("ne\n");
    desk.client.expect("server> half a line");
    eventually("all is logged", || desk.shown().matches(": \"between ").count() >= lines);
    desk.expect_shown(LOGGED);
    let shown = desk.shown();
    assert!(!shown.contains("dropped"), "{shown}");
    let mut typed = shown.split("\r\n").filter(|line| line.contains("half a li"));
    assert!(typed.all(|line| line.starts_with("half a li") || line.ends_with(LOGGED.trim_end())), "{shown}");
}

#[test]
fn a_terminal_that_takes_little_at_a_time_fuses_no_lines() {
    // Where a write is short depends on the lengths.
    for (number, width) in [100, 237, 611, 1_000].into_iter().enumerate() {
        let mut desk = AtDesk::new(&format!("127.0.0.{}", 100 + number));
        desk.piece.store(0, Ordering::SeqCst);
        let filler = "-".repeat(width);
        for _ in 0..200_000 / width {
            desk.client.send_line(format!("<{filler}>"));
        }
        desk.client.who();
        desk.types("half a li");
        desk.client.send_line("meanwhile");
        desk.client.who();
        desk.types("ne\n");
        desk.client.expect("server> half a line");
        desk.piece.store(50, Ordering::SeqCst);
        desk.expect_shown(LOGGED);
        let shown = desk.shown();
        // The chat: `time? client-1> <--->`. The log: `time DEBUG [target] client-1: "<---…" event=said …`. Any of the log
        // may be torn.
        for line in shown.split("\r\n") {
            assert!(line.matches('<').count() <= 1, "{line:?}");
            assert!(!line.contains('<') || !line.contains("half"), "{line:?}");
            let before = line.find("half a li").map_or("", |place| &line[..place]);
            assert!(before.is_empty() || before.ends_with("server: \"") || before.ends_with("server> "), "{line:?}");
            assert!(line.matches("DEBUG").count() <= 1, "{line:?}");
        }
    }
}

#[test]
fn the_operators_key_shows_the_line_again() {
    for (host, key) in [("127.0.0.94", 0x12), ("127.0.0.95", b'z')] {
        let mut desk = AtDesk::with(host, &[], |modes| modes.special_codes[SpecialCodeIndex::VREPRINT] = key);
        desk.types("half a li");
        desk.expect_shown("half a li");
        desk.types(&char::from(key).to_string());
        desk.expect_shown("half a li\r\nhalf a li");
        // A quoted one is text.
        desk.types(&format!("\x16{}ne\n", char::from(key)));
        desk.client.expect(format!("server> half a li{}ne", if key == b'z' { "z" } else { "\u{fffd}" }));
    }
}

#[test]
fn a_line_that_the_kernel_cuts_is_not_said_and_the_operator_is_told() {
    let mut desk = AtDesk::with("127.0.0.90", &["--max-line", "20000"], |_| ());
    let line = "0123456789".repeat(1_000);
    let told = "* line too long (over 4094 bytes): not relayed\r\n";
    for (number, (typed, is_said)) in [
        (line[..4_094].to_owned(), true),
        (line[..4_095].to_owned(), false),
        (line.clone(), false),
        (format!("{line}{}", "\x7f".repeat(9_000)), false),
        (format!("{}\x15{}", &line[..3_000], &line[..3_000]), true),
        (format!("{line}\x15{}", &line[..3_000]), true),
    ]
    .into_iter()
    .enumerate()
    {
        let known = desk.shown().matches(told).count();
        desk.types(&format!("{typed}\nnext {number}\n"));
        if is_said {
            desk.client.expect(format!("server> {}", typed.rsplit('\x15').next().unwrap()));
        }
        desk.client.expect(format!("server> next {number}"));
        eventually("told", || desk.shown().matches(told).count() == known + usize::from(!is_said));
    }
}

#[test]
fn a_line_that_was_begun_before_a_stop_is_shown_again_behind_it() {
    let mut desk = AtDesk::new("127.0.0.92");
    desk.types("half a li");
    desk.expect_shown("half a li");
    let pid = Pid::from_child(&desk.child);
    let passing = tcgetattr(&desk.line).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    // A shell sets its own modes.
    let mut modes = passing.clone();
    modes.local_modes |= LocalModes::ICANON | LocalModes::ECHO;
    tcsetattr(&desk.line, OptionalActions::Now, &modes).unwrap();
    (&desk.line).write_all(b"\n$ fg\n").unwrap();
    kill_process(pid, Signal::CONT).unwrap();
    desk.expect_shown("$ fg\r\nhalf a li");
    eventually("it takes key by key", || !desk.is_line_by_line());
    desk.types("ne\n");
    desk.client.expect("server> half a line");
}

#[test]
fn the_terminal_is_given_back_as_it_was_found() {
    // Ctrl-D, `FIN`, a signal, Ctrl-C amid a line.
    for way in 0..4 {
        let mut desk = AtDesk::new("127.0.0.85");
        eventually("it takes key by key", || !desk.is_line_by_line());
        match way {
            0 => desk.types("\x04"),
            1 => desk.types("FIN\n"),
            2 => kill_process(Pid::from_child(&desk.child), Signal::TERM).unwrap(),
            _ => {
                desk.types("half a li");
                desk.expect_shown("half a li");
                desk.client.send_line("meanwhile");
                kill_process(Pid::from_child(&desk.child), Signal::INT).unwrap();
                desk.expect_shown("half a li\r\n");
                desk.expect_shown("> meanwhile\r\n");
            }
        }
        eventually("it is given back", || desk.is_line_by_line());
        if way == 0 {
            desk.client.send_line("/msg server hello?");
            desk.client.lines_until(|line| line == "* nobody here is called server");
        }
    }
}
