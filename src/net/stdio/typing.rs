//! Knows whether the operator is typing a line, so that nothing is shown in its middle. It owns the hold and a
//! pseudo-terminal between the keyboard and the console.
//!
//! In canonical mode the kernel edits a line and tells no reader of it before its end: not by `poll`, `FIONREAD` or
//! SIGIO. To leave canonical mode for a moment hands over the line so far, which can then not be erased any more. So
//! each key passes through a pseudo-terminal of our own. Its line discipline edits and echoes as the operator's
//! terminal would, and this module sees the keys pass. It edits nothing.
//!
//! This holds only if stdin and stderr are the same terminal, and in the foreground. SIGINT, SIGQUIT and SIGTSTP come
//! from the operator's terminal as ever.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::{Interest, Registry, Token};
use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::stdio::{stderr, stdin};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use crate::net::stdio;

/// Pause between two keys that ends a hold.
const PAUSE: Duration = Duration::from_secs(10);

/// Longest hold: however long a line is typed, the log is not further behind.
const HOLD_MAX: Duration = Duration::from_secs(60);

/// Time within which the end of a line is echoed. The kernel echoes in a worker of its own.
const ECHO_MAX: Duration = Duration::from_millis(100);

/// Echo of the key that shows a line again.
const REPRINT_ECHO: &[u8] = b"^R\n";

/// Keys read at a time. The kernel takes a line of 4,095 bytes at most.
const KEYS_BYTES: usize = 1_024;

static TYPING: Mutex<Option<Typing>> = Mutex::new(None);

/// The terminal while the console is open.
#[derive(Debug)]
struct Typing {
    /// The modes of the operator's terminal, as they were and as they are now.
    found: Termios,
    passing: Termios,
    /// The two sides of the pseudo-terminal: keys go into `keyboard`, edited lines come out of `line`.
    keyboard: File,
    line: File,
    /// Keys that the pseudo-terminal has not taken.
    keys: Vec<u8>,
    /// Characters of the line that is being typed, and when the first and the last were typed.
    characters: usize,
    first: Instant,
    last: Instant,
    /// Whether the end of the line has not been echoed.
    awaits_echo: bool,
    /// Whether something waits for the end of the line.
    has_held: bool,
    /// Whether the line is to be shown again, because something was shown in its middle after all.
    is_interrupted: bool,
    /// Whether the line is being shown again.
    is_reprinting: bool,
    has_stopped: bool,
}

fn typing() -> MutexGuard<'static, Option<Typing>> {
    TYPING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to look at the keys, if stdin and stderr are the same terminal. Registers the pseudo-terminal under `token`.
pub(crate) fn begin(registry: &Registry, token: Token) {
    if !is_one_terminal() || stdio::is_in_background(stdin()) {
        return;
    }
    // Without a pseudo-terminal nothing is held, and all else works.
    if let Ok(new) = Typing::open(registry, token) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &new.passing);
        *typing() = Some(new);
    }
}

/// Gives the terminal back as it was found.
pub(crate) fn end() {
    if let Some(old) = typing().take()
        && !stdio::is_in_background(stdin())
    {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &old.found);
    }
}

/// Reads edited input once, without waiting; `None` if stdin is to be read as it is.
pub(crate) fn read(buffer: &mut [u8]) -> Option<io::Result<usize>> {
    typing().as_mut().map(|typing| typing.read(buffer))
}

/// Whether a line is being typed, so that output has to wait. A caller that is held gets a release.
pub(crate) fn holds() -> bool {
    typing().as_mut().is_some_and(|typing| {
        let holds = typing.holds(Instant::now());
        typing.has_held |= holds;
        holds
    })
}

/// Returns when held output is released at the latest; `None` if none is held.
pub(crate) fn release_at() -> Option<Instant> {
    typing().as_ref().filter(|typing| typing.has_held).map(Typing::release_at)
}

/// Whether held output may be written from now on. If the line is not complete, ends it on the screen.
pub(crate) fn releases(now: Instant) -> bool {
    let mut typing = typing();
    let Some(typing) = typing.as_mut().filter(|typing| typing.has_held && !typing.holds(now)) else { return false };
    typing.has_held = false;
    typing.is_interrupted = typing.leave_line();
    true
}

/// Shows a line again that output has interrupted.
pub(crate) fn show_interrupted() {
    if let Some(typing) = typing().as_mut()
        && std::mem::take(&mut typing.is_interrupted)
    {
        typing.is_reprinting = true;
        typing.keys.push(typing.found.special_codes[SpecialCodeIndex::VREPRINT]);
        typing.pass_keys();
    }
}

/// Holds nothing any more: the server stops.
pub(crate) fn stop() {
    if let Some(typing) = typing().as_mut() {
        typing.has_stopped = true;
        typing.leave_line();
    }
}

impl Typing {
    fn open(registry: &Registry, token: Token) -> io::Result<Typing> {
        let found = tcgetattr(stdin())?;
        if !found.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut passing = found.clone();
        passing.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ECHONL | LocalModes::IEXTEN;
        passing.special_codes[SpecialCodeIndex::VMIN] = 1;
        passing.special_codes[SpecialCodeIndex::VTIME] = 0;
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&keyboard)?;
        unlockpt(&keyboard)?;
        rustix::fs::fcntl_setfl(&keyboard, OFlags::NONBLOCK)?;
        let name = ptsname(&keyboard, Vec::new())?;
        let name = name.to_str().map_err(|_| io::ErrorKind::InvalidData)?;
        let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits().cast_signed();
        let line = OpenOptions::new().read(true).write(true).custom_flags(flags).open(name)?;
        let mut editing = found.clone();
        editing.local_modes -= LocalModes::ISIG;
        editing.input_modes -= InputModes::IXON | InputModes::IXOFF;
        editing.output_modes -= OutputModes::OPOST;
        tcsetattr(&line, OptionalActions::Now, &editing)?;
        stdio::watch(registry, &keyboard, token, Interest::READABLE | Interest::WRITABLE)?;
        stdio::watch(registry, &line, token, Interest::READABLE)?;
        let now = Instant::now();
        Ok(Typing {
            found,
            passing,
            keyboard: keyboard.into(),
            line,
            keys: Vec::new(),
            characters: 0,
            first: now,
            last: now,
            awaits_echo: false,
            has_held: false,
            is_interrupted: false,
            is_reprinting: false,
            has_stopped: false,
        })
    }

    fn release_at(&self) -> Instant {
        match (self.characters, self.awaits_echo) {
            (0, false) => self.last,
            (0, true) => self.last + ECHO_MAX,
            _ => (self.last + PAUSE).min(self.first + HOLD_MAX),
        }
    }

    fn holds(&self, now: Instant) -> bool {
        (self.characters > 0 || self.awaits_echo) && !self.has_stopped && now < self.release_at()
    }

    /// Goes on below a line that is not complete. Returns whether there is one.
    fn leave_line(&mut self) -> bool {
        let is_amid = self.characters > 0;
        if is_amid {
            show(b"\n");
        }
        (self.characters, self.awaits_echo) = (0, false);
        is_amid
    }

    /// Passes keys on, shows their echo, and reads a line once.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A shell may have set the modes while the server was stopped (Ctrl-Z).
        if tcgetattr(stdin()).is_ok_and(|modes| modes.local_modes.contains(LocalModes::ICANON)) {
            let _ = tcsetattr(stdin(), OptionalActions::Now, &self.passing);
        }
        let is_gone = self.take_keys()?;
        self.show_echo();
        match self.line.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && is_gone => Ok(0),
            result => result,
        }
    }

    /// Takes keys from the terminal and passes them on. Returns whether the terminal has gone away.
    fn take_keys(&mut self) -> io::Result<bool> {
        self.pass_keys();
        while self.keys.is_empty() && !stdio::ready(stdin(), PollFlags::IN)?.is_empty() {
            let mut keys = [0; KEYS_BYTES];
            let count = match rustix::io::read(stdin(), &mut keys) {
                Ok(0) | Err(Errno::IO) => return Ok(true),
                Ok(count) => count,
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            };
            keys[..count].iter().for_each(|&key| self.note_key(key));
            self.keys.extend(&keys[..count]);
            self.pass_keys();
        }
        Ok(false)
    }

    fn note_key(&mut self, key: u8) {
        let codes = &self.found.special_codes;
        let is = |index| codes[index] == key;
        let ends = matches!(key, b'\n' | b'\r') || is(SpecialCodeIndex::VEOF) || is(SpecialCodeIndex::VKILL);
        self.last = Instant::now();
        if ends {
            self.characters = 0;
            self.awaits_echo = matches!(key, b'\n' | b'\r');
        } else if is(SpecialCodeIndex::VERASE) {
            self.characters = self.characters.saturating_sub(1);
        } else if key >= b' ' && key & 0xC0 != 0x80 {
            if self.characters == 0 {
                self.first = self.last;
            }
            self.characters += 1;
        }
    }

    fn pass_keys(&mut self) {
        while !self.keys.is_empty() {
            match self.keyboard.write(&self.keys) {
                Ok(count) if count > 0 => drop(self.keys.drain(..count)),
                _ => return,
            }
        }
    }

    /// Shows the echo. What the screen does not take is lost.
    fn show_echo(&mut self) {
        let mut echo = [0; KEYS_BYTES];
        while let Ok(count) = self.keyboard.read(&mut echo)
            && count > 0
        {
            let mut shown = &echo[..count];
            if std::mem::take(&mut self.is_reprinting) {
                shown = shown.strip_prefix(REPRINT_ECHO).unwrap_or(shown);
            }
            self.awaits_echo &= !shown.contains(&b'\n');
            show(shown);
        }
    }
}

fn show(bytes: &[u8]) {
    let _ = rustix::io::write(stderr(), bytes);
}

/// Whether stdin and stderr are the same terminal.
fn is_one_terminal() -> bool {
    let device = |stat: rustix::fs::Stat| stat.st_rdev;
    io::stdin().is_terminal()
        && io::stderr().is_terminal()
        && rustix::fs::fstat(stdin()).map(device).ok() == rustix::fs::fstat(stderr()).map(device).ok()
}
