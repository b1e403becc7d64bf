//! The operator's console (`pollchat-server --console`): what is typed into the server, and what it shows.

mod descriptors;
mod fifo;

use std::fs::File;
use std::io::{self, PipeWriter, Write};
use std::net::Shutdown;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::terminal::pseudo_terminal;
use crate::support::{
    Client, DEADLINE, Lines, Member, Screen, Server, converse, eventually, missed, numbered, say_numbered,
};

const FIRST_LINE: &str = "* you are server; /help lists what you can do";

/// What an operator sits before.
struct Desk {
    keyboard: PipeWriter,
    screen: Screen,
}

impl Desk {
    #[track_caller]
    fn types(&mut self, text: impl AsRef<str>) {
        self.keyboard.write_all(text.as_ref().as_bytes()).expect("the server reads");
    }
}

/// A server with a console on pipes.
#[track_caller]
fn operated(flags: &[&str]) -> (Server, Desk) {
    let (stdin, keyboard) = io::pipe().expect("a pipe");
    let (source, stdout) = io::pipe().expect("a pipe");
    let mut screen = Screen::new(source);
    let server = Server::builder().flags(["--console"]).flags(flags).stdin(stdin).go_before(&mut screen, stdout);
    screen.expect(FIRST_LINE);
    (server, Desk { keyboard, screen })
}

/// The same, where neither joins nor leaves are announced.
#[track_caller]
fn quiet(flags: &[&str]) -> (Server, Desk) {
    operated(&[&["--announce-up-to", "0"], flags].concat())
}

mod talk {
    use super::*;

    #[test]
    fn the_operator_and_one_client_have_a_dialogue() {
        let (server, mut desk) = operated(&["--max-clients", "1"]);
        let mut ana = server.join();
        desk.screen.expect("* client-1 joined");
        for round in 0..10 {
            desk.types(format!("question {round}\n"));
            ana.expect(format!("server> question {round}"));
            ana.send_line(format!("answer {round}"));
            desk.screen.expect(format!("client-1> answer {round}"));
        }
        let mut refused = server.connect();
        refused.expect("* the server is full (1 client)");
        refused.expect_farewell();
        ana.send_line("FIN");
        ana.expect_farewell();
        desk.screen.expect("* client-1 left");
        drop(ana);
        let mut bob = server.join();
        desk.screen.expect("* client-2 joined");
        assert_eq!(bob.who(), ["* here: server, 10 lines, 0 min", "* here: client-2, 0 lines, 0 min", "* 2 here"]);
    }

    #[test]
    fn lines_are_clean_and_within_the_limit() {
        let (server, mut desk) = quiet(&["--max-line", "20"]);
        let mut ana = server.join();
        desk.keyboard.write_all(b"\x1b[2Jred\xff\r\n").unwrap();
        ana.expect("server> \u{fffd}[2Jred\u{fffd}");
        desk.types("x".repeat(21) + "\n");
        desk.screen.expect("* line too long (over 20 bytes): not relayed");
        ana.send("\x1b]0;mine\x07\n");
        desk.screen.expect("client-1> \u{fffd}]0;mine\u{fffd}");
    }

    #[test]
    fn what_is_told_in_private_reaches_the_one_it_is_told_to() {
        let (server, mut desk) = quiet(&[]);
        let [mut ana, mut bob]: [Client; 2] = server.join_many();
        ana.send_line("/msg SERVER help me");
        ana.expect("* you told server: help me");
        desk.screen.expect("* client-1 tells you: help me");
        desk.types("/msg client-1 at once\n");
        ana.expect("* server tells you: at once");
        desk.screen.expect("* you told client-1: at once");
        converse(&mut ana, &mut bob, 1);
    }

    #[test]
    fn commands_are_answered_on_the_screen_alone() {
        let (server, mut desk) = quiet(&[]);
        let mut ana = server.join();
        desk.types("/nick ana\n/who\n/nope\n /msg client-1 secret\n/help\n");
        desk.screen.expect("* you are server, and nobody else");
        desk.screen.expect_all(["* here: server, 0 lines, 0 min", "* here: client-1, 0 lines, 0 min", "* 2 here"]);
        desk.screen.expect("* there is no command /nope; /help lists what you can do");
        desk.screen.expect("* a command begins at the start of the line; /say says it as it is");
        let help = desk.screen.lines_until(|line| line.starts_with("* FIN"));
        assert!(help.iter().any(|line| line.starts_with("* /kick NAME [REASON]: ")));
        assert!(!help.iter().any(|line| line.contains("/nick")));
        desk.types("//who\n");
        ana.expect("server> /who");
        ana.send_line("/help");
        assert!(!ana.lines_until(|line| line.starts_with("* FIN")).iter().any(|line| line.contains("/kick")));
    }

    #[test]
    fn orders_are_given_behind_a_slash_and_answered_on_the_screen_alone() {
        let (server, mut desk) = quiet(&["--room", "rust"]);
        let mut ana = server.join();
        desk.types("/who -a\n/rooms\n/stats\n/announce back  soon\n");
        let members = [desk.screen.line(), desk.screen.line()];
        assert!(members[0].starts_with("* server ") && members[0].contains(" console "), "{members:?}");
        assert!(members[1].starts_with("* client-1 ") && members[1].contains(" 127.0.0.1:"), "{members:?}");
        desk.screen.expect_all(["* room: lobby, 2 here", "* room: rust, 0 here", "* 2 rooms"]);
        let figures = desk.screen.lines_until(|line| line.starts_with("* answers_505 "));
        assert!(figures.contains(&"* clients 1".to_owned()), "{figures:?}");
        desk.screen.expect("server> back  soon");
        ana.expect("server> back  soon");
        desk.types("/greeting be kind\n/ban client-1 1x\n/reload\n");
        desk.screen.expect("* newcomers are greeted so from now on");
        let answers = [desk.screen.line(), desk.screen.line()];
        assert!(answers.iter().all(|line| line.starts_with("* ")), "{answers:?}");
        let mut bob = server.connect();
        bob.expect_all(["* you are client-2; /help lists what you can do", "* be kind"]);
        desk.types("/kick client-1 no spam: ever\n/stop\n");
        ana.expect("* you were removed by the operator: no spam: ever");
        ana.expect_farewell();
        desk.screen.expect_all(["* client-1 was removed", "* the server is shutting down", "FIN"]);
    }

    #[test]
    fn what_is_pasted_comes_whole_to_all_and_the_slow_hold_it_back() {
        let (server, mut desk) = quiet(&[]);
        let mut ana = server.join();
        let mut slow = server.join_narrow();
        let lines = 100_000;
        let mut keyboard = desk.keyboard.try_clone().unwrap();
        let paste = thread::spawn(move || {
            (0..lines)
                .try_for_each(|index| writeln!(keyboard, "{}", numbered(index % 1_000)))
                .expect("the server reads");
        });
        for index in 0..lines {
            let line = format!("server> {}", numbered(index % 1_000));
            ana.expect(&line);
            slow.expect(&line);
        }
        paste.join().unwrap();
        desk.types("done\n");
        ana.expect("server> done");
    }
}

mod removal {
    use super::*;

    #[test]
    fn one_who_is_removed_is_told_so_and_ends_in_good_order() {
        let (server, mut desk) = operated(&[]);
        let [mut ana, mut bob]: [Client; 2] = server.join_introduced();
        ana.rename("ana");
        desk.screen.lines_until(|line| line == "* client-1 is now ana");
        desk.types("/kick Ana\n");
        ana.expect("* you were removed by the operator");
        ana.expect_farewell();
        desk.screen.expect("* ana was removed");
        bob.expect_all(["* client-1 is now ana", "* ana was removed"]);
        server.expect_log(&["ana left (removed by the operator; 127.0.0.1:", "; 1 present"]);
        bob.rename("ana");
    }

    #[test]
    fn one_who_goes_on_sending_is_removed_in_good_order_too() {
        let (server, mut desk) = quiet(&[]);
        let mut bob = server.join();
        let flood = server.connect();
        let stream = flood.stream().try_clone().unwrap();
        let sending = thread::spawn(move || {
            let chunk = "and another thing\n".repeat(1_000);
            while (&stream).write_all(chunk.as_bytes()).is_ok() {}
        });
        bob.lines_until(|line| line == "client-2> and another thing");
        desk.types("/kick client-2\n");
        let mut flood = flood;
        let told = flood.lines_until(|line| line == "FIN");
        assert!(told.contains(&"* you were removed by the operator".to_owned()), "{told:?}");
        flood.expect_end();
        // It sends until it notices, or is cut off.
        flood.stream().shutdown(Shutdown::Both).expect("not cut off before it could read all");
        sending.join().unwrap();
        eventually("it is gone", || bob.present() == 2);
    }

    #[test]
    fn nobody_but_the_operator_removes_anybody() {
        let (server, mut desk) = quiet(&[]);
        let [mut ana, mut bob]: [Client; 2] = server.join_many();
        ana.send_line("/kick client-2");
        ana.expect("* there is no command /kick; /help lists what you can do");
        desk.types("/kick\n/kick server\n/kick carol\n");
        desk.screen.expect("* /kick NAME [REASON]: remove NAME");
        desk.screen.expect("* server is the console, and stays; stop ends the server");
        desk.screen.expect("* nobody here is called carol");
        converse(&mut ana, &mut bob, 1);
    }
}

mod end {
    use super::*;

    #[test]
    fn the_end_of_its_input_ends_the_console_and_not_the_server() {
        let (mut server, Desk { mut keyboard, mut screen }) = operated(&[]);
        let [mut ana, mut bob]: [Client; 2] = server.join_introduced();
        screen.lines_until(|line| line == "client-2> hello");
        write!(keyboard, "last words").unwrap();
        drop(keyboard);
        for client in [&mut ana, &mut bob] {
            client.expect_all(["server> last words", "* server left"]);
        }
        screen.expect("FIN");
        server.expect_log(&["server left (end of input; the console); 2 present"]);
        converse(&mut ana, &mut bob, 10);
        ana.send_line("/msg server hello?");
        ana.expect("* nobody here is called server");
        ana.send_line("/nick server");
        ana.expect("* the name server is taken");
        server.expect_rest();
        server.signal(Signal::TERM);
        ana.lines_until(|line| line == "FIN");
        assert_eq!(server.wait(DEADLINE).code(), Some(0));
        assert_eq!(screen.try_line(), None, "nothing is shown after FIN");
    }

    #[test]
    fn the_operators_farewell_stops_the_server_in_good_order() {
        for word in ["FIN", "fin", "exit", "/quit"] {
            let (mut server, mut desk) = quiet(&[]);
            let mut ana = server.join();
            desk.types(format!("goodbye\n{word}\nnot said\n"));
            ana.expect_all(["server> goodbye", "* the server is shutting down"]);
            ana.expect_farewell();
            drop(ana);
            desk.screen.expect_all(["* the server is shutting down", "FIN"]);
            assert_eq!(server.wait(DEADLINE).code(), Some(0), "{word}");
            server.expect_log(&["shutting down"]);
        }
    }

    #[test]
    fn a_signal_ends_it_without_waiting_for_the_console() {
        // A slow machine has three tries.
        let is_quick = || {
            let (mut server, mut desk) = quiet(&[]);
            let start = std::time::Instant::now();
            server.signal(Signal::TERM);
            desk.screen.expect_all(["* the server is shutting down", "FIN"]);
            assert_eq!(server.wait(DEADLINE).code(), Some(0));
            start.elapsed() < Duration::from_secs(1)
        };
        assert!((0..3).any(|_| is_quick()), "it waited");
    }
}

mod terminals {
    use super::*;

    /// A server before a terminal.
    fn at_a_terminal(flags: &[&str]) -> (Server, File, Screen) {
        let (terminal, line) = pseudo_terminal();
        let mut screen = Screen::new(terminal.try_clone().unwrap());
        let start = Server::builder().flags(["--console", "--announce-up-to", "0"]).flags(flags);
        let server = start.stdin(line.try_clone().unwrap()).go_before(&mut screen, line);
        screen.expect(FIRST_LINE);
        (server, terminal, screen)
    }

    #[test]
    fn lines_are_typed_and_shown() {
        let (server, mut keyboard, mut screen) = at_a_terminal(&[]);
        let mut ana = server.join();
        write!(keyboard, "hel").unwrap();
        // A backspace is the terminal's.
        writeln!(keyboard, "x\x7flo").unwrap();
        ana.expect("server> hello");
        ana.send_line("hi");
        screen.lines_until(|line| line == "client-1> hi");
        // Ctrl-D at the start of a line.
        write!(keyboard, "\x04").unwrap();
        screen.lines_until(|line| line.ends_with("FIN"));
        ana.expect("* server left");
        ana.send_line("/msg server hello?");
        ana.expect("* nobody here is called server");
    }

    #[test]
    fn a_terminal_that_takes_nothing_does_not_stop_the_relay() {
        let (server, mut keyboard, screen) = at_a_terminal(&["--backlog", "256K"]);
        let [mut ana, mut bob]: [Client; 2] = server.join_many();
        say_numbered(&mut ana, &mut bob, 0, 20_000);
        writeln!(keyboard, "hello").unwrap();
        ana.expect("server> hello");
        server.expect_rest();
        drop(screen);
    }

    #[test]
    fn a_terminal_that_goes_away_ends_the_console_and_not_the_relay() {
        let (server, keyboard, screen) = at_a_terminal(&[]);
        let [mut ana, mut bob]: [Client; 2] = server.join_many();
        drop((keyboard, screen));
        converse(&mut ana, &mut bob, 10);
        server.expect_log(&["server left ("]);
        server.expect_rest();
    }

    #[test]
    fn in_the_background_it_is_not_stopped_by_what_is_typed_there() {
        let (terminal, line) = pseudo_terminal();
        let address = std::net::TcpListener::bind("127.0.0.81:0").unwrap().local_addr().unwrap();
        let command = Server::builder().listen(&address.to_string()).flags(["--console"]).command();
        // A shell with job control, whose terminal this is: `&` puts a job of its own in the background.
        let script = r#"set -m; "$0" "$@" 2>/dev/null & echo "job $!"; wait"#;
        let mut shell = Command::new("setsid");
        shell.args(["--ctty", "bash", "-c", script]).arg(command.get_program()).args(command.get_args());
        shell.stdin(line.try_clone().unwrap()).stdout(line.try_clone().unwrap()).stderr(line);
        let mut shell = shell.spawn().unwrap();
        let mut screen = Screen::new(terminal.try_clone().unwrap());
        let job = screen.lines_until(|line| line.starts_with("job "));
        let job = job[job.len() - 1]["job ".len()..].to_owned();
        eventually("it listens", || std::net::TcpStream::connect(address).is_ok());
        let mut ana = Client::connect(address);
        ana.greeted();
        writeln!(&terminal, "for the shell").unwrap();
        screen.lines_until(|line| line == "for the shell");
        let mut bob = Client::connect(address);
        bob.greeted();
        ana.lines_until(|line| line.ends_with(" joined"));
        converse(&mut bob, &mut ana, 10);
        let stat = std::fs::read_to_string(format!("/proc/{job}/stat")).unwrap();
        let _ =
            rustix::process::kill_process(rustix::process::Pid::from_raw(job.parse().unwrap()).unwrap(), Signal::KILL);
        let _ = shell.kill();
        let _ = shell.wait();
        assert!(stat.contains(") S ") || stat.contains(") R "), "{stat}");
    }
}
