//! A window with a terminal in it: a pseudo-terminal, what runs on it, and a terminal emulator that shows what a person
//! would see.
//!
//! `setsid --ctty` makes the terminal the controlling one, so nothing has to be forked by hand in a process with
//! threads.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::support::terminal::pseudo_terminal;

/// How long anything may take that should happen at once. Generous: the machine may be busy.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A window, and the program in it, which is killed with it.
pub struct Window {
    terminal: File,
    /// The program's side, to look at its mode.
    line: File,
    child: Child,
    emulator: vt100::Parser<Questions>,
    found: Termios,
    answers: Answers,
    /// All that the program wrote.
    pub written: Vec<u8>,
}

/// Whether the terminal says where its cursor is when it is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    Yes,
    No,
}

/// How often it was asked.
#[derive(Default)]
struct Questions(usize);

impl vt100::Callbacks for Questions {
    fn unhandled_csi(&mut self, _: &mut vt100::Screen, _: Option<u8>, _: Option<u8>, params: &[&[u16]], last: char) {
        if (params, last) == (&[&[6]], 'n') {
            self.0 += 1;
        }
    }
}

fn size(rows: u16, columns: u16) -> (NonZeroU16, NonZeroU16) {
    (NonZeroU16::new(rows).unwrap(), NonZeroU16::new(columns).unwrap())
}

impl Window {
    /// A window of this size, with `command` in it.
    pub fn open(rows: u16, columns: u16, command: &Command) -> Window {
        Window::open_by(&["setsid", "--ctty"], rows, columns, command)
    }

    /// The same, with a terminal that is not the controlling one.
    pub fn open_uncontrolled(rows: u16, columns: u16, command: &Command) -> Window {
        Window::open_by(&["setsid"], rows, columns, command)
    }

    fn open_by(starter: &[&str], rows: u16, columns: u16, command: &Command) -> Window {
        let (terminal, line) = pseudo_terminal();
        let mut window = Command::new(starter[0]);
        window.args(&starter[1..]).arg(command.get_program()).args(command.get_args());
        for name in ["NO_COLOR", "POLLCHAT_NICK", "POLLCHAT_PASSWORD", "POLLCHAT_TOKEN"] {
            window.env_remove(name);
        }
        window.env("TERM", "xterm-256color").env("TZ", "UTC");
        for (name, value) in command.get_envs() {
            window.env(name, value.unwrap());
        }
        let end = || Stdio::from(line.try_clone().unwrap());
        set_size(&line, rows, columns);
        let found = tcgetattr(&line).unwrap();
        let child = window.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let (rows, columns) = size(rows, columns);
        let emulator = vt100::Parser::new_with_callbacks(rows, columns, 10_000, Questions::default());
        Window { terminal, line, child, emulator, found, answers: Answers::Yes, written: Vec::new() }
    }

    /// Whether it answers from now on.
    pub fn set_answers(&mut self, answers: Answers) {
        self.answers = answers;
    }

    /// Types, or sends whatever a terminal sends.
    pub fn press(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Types more than the kernel takes at once, while the program reads.
    pub fn press_in_pieces(&mut self, keys: &str) {
        for piece in keys.as_bytes().chunks(1024) {
            self.terminal.write_all(piece).unwrap();
            self.look(Duration::ZERO);
        }
    }

    /// Gives the window another size, as one does with a mouse. This emulator cuts off what does not fit.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let (emulated_rows, emulated_columns) = size(rows, columns);
        self.emulator.set_size(emulated_rows, emulated_columns);
        set_size(&self.line, rows, columns);
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What the program, a shell, has started.
    pub fn job(&self) -> Pid {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        Pid::from_raw(children.trim().parse().expect("one child")).unwrap()
    }

    /// The processes that the program has started, and not reaped.
    pub fn children(&self) -> Vec<u32> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.split_ascii_whitespace().map(|child| child.parse().unwrap()).collect()
    }

    /// What the kernel says of the program.
    pub fn status(&self, field: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        status.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().to_owned()
    }

    /// How often the program has gone to sleep and woken.
    pub fn wakes(&self) -> u64 {
        self.status("voluntary_ctxt_switches:").parse().unwrap()
    }

    /// What one sees.
    pub fn screen(&self) -> &vt100::Screen {
        self.emulator.screen()
    }

    /// The rows that one sees, without the empty ones at the end.
    pub fn rows(&self) -> Vec<String> {
        let columns = self.screen().size().1.get();
        let mut rows: Vec<String> = self.screen().rows(0, columns).map(|row| row.trim_end().to_owned()).collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    /// All rows, from the first that scrolled out to the last that one sees.
    pub fn scrollback(&mut self) -> Vec<String> {
        let mut rows = Vec::new();
        let screen = self.emulator.screen_mut();
        let columns = screen.size().1.get();
        for offset in (1..=screen.scrollback_len()).rev() {
            screen.set_scrollback(offset);
            rows.extend(screen.rows(0, columns).next().map(|row| row.trim_end().to_owned()));
        }
        screen.set_scrollback(0);
        rows.extend(self.rows());
        rows
    }

    /// Waits until the last rows are these, and the cursor is in the last one.
    #[track_caller]
    pub fn shows(&mut self, last: &[&str]) {
        self.wait_until(&format!("{last:#?}"), |window| {
            let rows = window.rows();
            rows.len() >= last.len() && rows[rows.len() - last.len()..] == *last && window.is_at_the_bottom()
        });
    }

    /// Whether the cursor is in the last row that holds something.
    fn is_at_the_bottom(&self) -> bool {
        usize::from(self.screen().cursor_position().0) + 1 == self.rows().len()
    }

    /// Waits until it is so.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, mut is_so: impl FnMut(&mut Window) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_so(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}; seen:\n{}", self.rows().join("\n"));
            // Some things are told by no event.
            self.look(left.min(Duration::from_millis(20)));
        }
    }

    /// Shows what the program writes within that time.
    fn look(&mut self, wait: Duration) {
        let mut fds = [PollFd::new(&self.terminal, PollFlags::IN)];
        let wait = Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() };
        if poll(&mut fds, Some(&wait)).unwrap() == 0 {
            return;
        }
        let mut piece = [0; 4096];
        let Ok(len @ 1..) = self.terminal.read(&mut piece) else { return };
        self.written.extend_from_slice(&piece[..len]);
        for &byte in &piece[..len] {
            self.emulator.process(&[byte]);
            if std::mem::take(&mut self.emulator.callbacks_mut().0) > 0 && self.answers == Answers::Yes {
                let (row, column) = self.screen().cursor_position();
                // Behind the last column a terminal says that it is in it.
                let column = column.min(self.screen().size().1.get() - 1);
                self.press(&format!("\x1b[{};{}R", row + 1, column + 1));
            }
        }
    }

    /// Waits until the program has the terminal in raw mode.
    #[track_caller]
    pub fn wait_until_raw(&mut self) {
        self.wait_until("raw mode", |window| {
            !tcgetattr(&window.line).unwrap().local_modes.contains(LocalModes::ICANON)
                && window.screen().bracketed_paste()
        });
    }

    /// Waits for the end of the program, with everything as the terminal was found.
    #[track_caller]
    pub fn ends(&mut self) -> ExitStatus {
        let mut status = None;
        self.wait_until("the end", |window| {
            status = window.child.try_wait().unwrap();
            status.is_some()
        });
        // What it wrote last the kernel passes on when it likes, but in order: there is no more of it before our mark.
        self.line.write_all(b"\0").unwrap();
        self.wait_until("all that it wrote", |window| window.written.last() == Some(&0));
        self.written.pop();
        self.is_as_found();
        status.unwrap()
    }

    /// Checks that the terminal is as it was found.
    #[track_caller]
    pub fn is_as_found(&self) {
        let (mode, found) = (tcgetattr(&self.line).unwrap(), &self.found);
        assert_eq!(format!("{mode:?}"), format!("{found:?}"));
        assert!(!self.screen().bracketed_paste(), "pastes are still bracketed");
        let last = |sequence: &str| memchr::memmem::rfind(&self.written, sequence.as_bytes());
        assert!(last("\x1b[?7h") >= last("\x1b[?7l"), "lines are no longer wrapped");
    }

    /// Closes the window, and returns what was in it.
    pub fn close(mut self) -> Child {
        // What is dropped in its place has ended at once.
        std::mem::replace(&mut self.child, Command::new("true").spawn().unwrap())
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // Both fail if it has ended, and that is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn set_size(line: &File, rows: u16, columns: u16) {
    tcsetwinsize(line, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}
