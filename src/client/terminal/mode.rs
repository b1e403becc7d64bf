//! The terminal's mode: raw while this process is in the foreground, and restored otherwise.

use std::fs::File;
use std::io::{self, Write};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::{Signal, getpgrp, kill_current_process_group};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios};
use rustix::termios::{tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr};

use crate::client::limits::TERMINAL_SIZE;
use crate::net::stdio;

/// Enables bracketed paste, and reports of the focus. Terminals that do not know them ignore them.
const ARRIVE: &str = "\x1b[?2004h\x1b[?1004h";

/// Ends a sequence that was cut short (CAN), resets attributes, enables wrapping, disables bracketed paste and reports
/// of the focus, and erases the input line.
const DEPART: &str = "\x18\x1b[0m\x1b[?7h\x1b[?1004l\x1b[?2004l\r\x1b[J";

/// The terminal in raw mode. Dropping it restores the previous mode, even in a panic.
#[derive(Debug)]
pub struct RawMode {
    found: Termios,
    /// The terminal, opened anew so that the last writes cannot block.
    terminal: Option<File>,
    foreground: Foreground,
}

/// Ownership of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreground {
    /// Our process group is in the foreground, and the mode is raw.
    Held,
    /// The shell or another job is in the foreground.
    Lost,
}

impl RawMode {
    /// Sets raw mode, if our process group is in the foreground.
    ///
    /// # Errors
    /// The mode cannot be read or set.
    pub fn enter() -> io::Result<RawMode> {
        let found = tcgetattr(stdin())?;
        let terminal = stdio::reopen_terminal(&io::stdout());
        let mut mode = RawMode { found, terminal, foreground: Foreground::Lost };
        mode.take()?;
        Ok(mode)
    }

    /// The ownership, as of the last change.
    pub(super) fn foreground(&self) -> Foreground {
        self.foreground
    }

    /// Sets raw mode, if our process group is in the foreground, whatever the present mode is.
    ///
    /// (A background process that sets the mode is stopped by SIGTTOU.)
    ///
    /// # Errors
    /// The mode cannot be set.
    pub(super) fn take(&mut self) -> io::Result<Foreground> {
        let is_ours = match tcgetpgrp(stdin()) {
            Ok(group) => group == getpgrp(),
            // The terminal has gone away.
            Err(Errno::IO) => false,
            // It is not our controlling terminal (`setsid`, `su -c`, a rescue shell), or its group is invisible (a
            // container). There is no job control then.
            Err(_) => true,
        };
        self.foreground = Foreground::Lost;
        if is_ours {
            set_mode(&raw(&self.found))?;
            self.foreground = Foreground::Held;
            self.write(ARRIVE);
        }
        Ok(self.foreground)
    }

    /// Restores the previous mode.
    pub(super) fn give_back(&mut self) {
        if self.foreground == Foreground::Held {
            self.foreground = Foreground::Lost;
            self.write(DEPART);
            // It fails if the terminal has gone away.
            let _ = set_mode(&self.found);
        }
    }

    /// Restores the previous mode and stops our process group, as the terminal itself does for Ctrl-Z. Sets raw mode
    /// again after SIGCONT.
    ///
    /// (An orphaned process group is not stopped by the kernel.)
    ///
    /// # Errors
    /// The mode cannot be set again.
    pub(super) fn suspend(&mut self) -> io::Result<Foreground> {
        self.give_back();
        kill_current_process_group(Signal::TSTP)?;
        self.take()
    }

    fn write(&self, text: &str) {
        // It fails if the terminal is blocked or has gone away.
        if let Some(mut terminal) = self.terminal.as_ref() {
            let _ = terminal.write(text.as_bytes());
        } else if stdio::ready(stdout(), PollFlags::OUT).is_ok_and(|flags| flags == PollFlags::OUT) {
            let _ = rustix::io::write(stdout(), text.as_bytes());
        }
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Returns the columns and rows of the window.
pub(super) fn window_size() -> (usize, usize) {
    let (columns, rows) = TERMINAL_SIZE;
    let known = |size: u16, otherwise: usize| if size == 0 { otherwise } else { size.into() };
    tcgetwinsize(stdout()).map_or(TERMINAL_SIZE, |size| (known(size.ws_col, columns), known(size.ws_row, rows)))
}

fn set_mode(mode: &Termios) -> io::Result<()> {
    loop {
        match tcsetattr(stdin(), OptionalActions::Now, mode) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Raw input: each key at once, without echo and without signals. Output keeps its processing, so lines of other
/// processes still begin at the left edge.
fn raw(found: &Termios) -> Termios {
    let mut mode = found.clone();
    mode.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
    mode.input_modes -=
        InputModes::IXON | InputModes::ICRNL | InputModes::INLCR | InputModes::IGNCR | InputModes::ISTRIP;
    mode.special_codes[SpecialCodeIndex::VMIN] = 1;
    mode.special_codes[SpecialCodeIndex::VTIME] = 0;
    mode
}
