//! The terminal's mode: raw while we have the terminal, and as it was found whenever we have not.

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

/// Have pastes bracketed.
const ARRIVE: &str = "\x1b[?2004h";

/// Undo that and whatever a frame that was cut short may have left: a sequence (CAN ends it), looks, no wrapping. What
/// is left of the input line is erased.
const DEPART: &str = "\x18\x1b[0m\x1b[?7h\x1b[?2004l\r\x1b[J";

/// The terminal, in raw mode for as long as this holds it.
///
/// When it is dropped, in whatever way, the terminal is as it was found.
#[derive(Debug)]
pub struct RawMode {
    found: Termios,
    /// The terminal opened anew, so that the last words cannot block.
    terminal: Option<File>,
    foreground: Foreground,
}

/// Whether the terminal is ours now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreground {
    /// It is, and raw.
    Held,
    /// It is not: the shell has it, and our group is in the background.
    Lost,
}

impl RawMode {
    /// Takes the terminal, if our group has it.
    ///
    /// # Errors
    /// When its mode cannot be read or set.
    pub fn enter() -> io::Result<RawMode> {
        let found = tcgetattr(stdin())?;
        let terminal = stdio::reopen_terminal(&io::stdout());
        let mut mode = RawMode { found, terminal, foreground: Foreground::Lost };
        mode.take()?;
        Ok(mode)
    }

    /// Whether the terminal is ours now.
    pub(super) fn foreground(&self) -> Foreground {
        self.foreground
    }

    /// Takes the terminal, if our group has it, whatever state somebody else has left it in.
    ///
    /// (A group in the background that sets a terminal's mode is stopped.)
    ///
    /// # Errors
    /// When the mode cannot be set.
    pub(super) fn take(&mut self) -> io::Result<Foreground> {
        let is_ours = match tcgetpgrp(stdin()) {
            Ok(group) => group == getpgrp(),
            // It has gone away.
            Err(Errno::IO) => false,
            // It does not control us (`setsid`, `su -c`, a rescue shell), or its group cannot be seen from here (a
            // container): there is no job control, and nobody whom it could be left to.
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

    /// Gives the terminal back as it was found.
    pub(super) fn give_back(&mut self) {
        if self.foreground == Foreground::Held {
            self.foreground = Foreground::Lost;
            self.write(DEPART);
            // If it fails, the terminal has gone away.
            let _ = set_mode(&self.found);
        }
    }

    /// Gives the terminal back and stops our group, as the terminal itself does when Ctrl-Z is typed; and takes it again
    /// once somebody has resumed us.
    ///
    /// (If there is no shell that could, the kernel does not stop us.)
    ///
    /// # Errors
    /// When the mode cannot be set again.
    pub(super) fn suspend(&mut self) -> io::Result<Foreground> {
        self.give_back();
        kill_current_process_group(Signal::TSTP)?;
        self.take()
    }

    fn write(&self, text: &str) {
        // If it fails, the terminal is stuck or has gone away, and cannot be helped.
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

/// The window's columns and rows.
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

/// Each key as it is pressed, with no echo, and none that is a signal. What is written is not touched: a line that
/// somebody else writes to the terminal still begins at its left.
fn raw(found: &Termios) -> Termios {
    let mut mode = found.clone();
    mode.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
    mode.input_modes -=
        InputModes::IXON | InputModes::ICRNL | InputModes::INLCR | InputModes::IGNCR | InputModes::ISTRIP;
    mode.special_codes[SpecialCodeIndex::VMIN] = 1;
    mode.special_codes[SpecialCodeIndex::VTIME] = 0;
    mode
}
