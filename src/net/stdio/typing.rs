//! Knows whether the operator is typing a line, so that nothing is shown in its middle. It owns the modes of the
//! operator's terminal, the line that is being typed, and the hold.
//!
//! In canonical mode the kernel edits a line and tells no reader of it before its end: not by `poll`, `FIONREAD` or
//! SIGIO. It also drops what a line has beyond 4,095 bytes. So the terminal hands over key by key, and
//! [`TypedLine`] edits and echoes as the kernel would. SIGINT, SIGQUIT and SIGTSTP come from the terminal as ever.
//!
//! Output waits only if it goes to the same terminal. Whatever is shown amid a line after all begins below it, and then
//! the line is shown again.

use std::fs::File;
use std::io::{self, IsTerminal, Write as _};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use super::typed_line::{EditKeys, TypedLine};
use crate::net::stdio;

/// Pause between two keys that ends a hold.
const PAUSE: Duration = Duration::from_secs(10);

/// Longest hold: however long a line is typed, the log is not further behind.
const HOLD_MAX: Duration = Duration::from_secs(60);

/// Keys read at a time.
const KEYS_BYTES: usize = 1_024;

static TYPING: Mutex<Option<Typing>> = Mutex::new(None);

/// An output of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// The log, on stderr.
    Log,
    /// The console's chat, on stdout.
    Chat,
}

/// The terminal while the console is open.
#[derive(Debug)]
struct Typing {
    /// The modes of the terminal; `None` until the server is in the foreground for the first time.
    modes: Option<Modes>,
    /// The terminal, opened again; `None` if that failed, and stderr is the same terminal.
    screen: Option<File>,
    /// The outputs that go to the terminal.
    outputs: Vec<Output>,
    line: TypedLine,
    cursor: ScreenCursor,
    /// Lines that are complete and were not read.
    input: Vec<u8>,
    is_at_end: bool,
    /// When the first and the last key of the line were typed.
    first: Instant,
    last: Instant,
    /// Whether something waits for the end of the line.
    has_held: bool,
    /// Whether the shell has the terminal.
    is_away: bool,
    has_stopped: bool,
}

/// The modes of the terminal, and what follows from them.
#[derive(Debug)]
struct Modes {
    found: Termios,
    passing: Termios,
    keys: EditKeys,
    echoes: bool,
}

/// The place of the screen's cursor, while a line is being typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScreenCursor {
    /// Behind the line.
    Behind,
    /// At the beginning of another line: something else was shown.
    Elsewhere,
    /// Amid the line: the terminal did not take all of it.
    Amid,
}

fn typing() -> MutexGuard<'static, Option<Typing>> {
    TYPING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to look at the keys, if stdin is a terminal that edits lines.
pub(crate) fn begin() {
    // Otherwise nothing is held, and all else works.
    *typing() = Typing::open();
}

/// Gives the terminal back as it was found.
pub(crate) fn end() {
    if let Some(Typing { modes: Some(modes), .. }) = typing().take()
        && !stdio::is_in_background(stdin())
    {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &modes.found);
    }
}

/// Reads edited input once, without waiting; `None` if stdin is to be read as it is.
pub(crate) fn read(buffer: &mut [u8]) -> Option<io::Result<usize>> {
    typing().as_mut().and_then(|typing| typing.read(buffer))
}

/// Whether a line is being typed, so that this output has to wait. An output that is held gets a release. For one that
/// is not, the screen's cursor is at the beginning of a line.
pub(crate) fn holds(output: Output) -> bool {
    typing().as_mut().filter(|typing| typing.outputs.contains(&output)).is_some_and(|typing| {
        let holds = typing.holds(Instant::now());
        typing.has_held |= holds;
        if !holds {
            typing.leave_line();
        }
        holds
    })
}

/// Whether this output goes to the console's terminal.
pub(crate) fn shows(output: Output) -> bool {
    typing().as_ref().is_some_and(|typing| typing.outputs.contains(&output))
}

/// Makes way for output that can not wait any longer.
pub(crate) fn interrupt() {
    typing().iter_mut().for_each(Typing::leave_line);
}

/// Returns when held output is released at the latest; `None` if none is held.
pub(crate) fn release_at() -> Option<Instant> {
    typing().as_ref().filter(|typing| typing.has_held).map(Typing::release_at)
}

/// Whether held output may be written from now on. If the line is not complete, makes way.
pub(crate) fn releases(now: Instant) -> bool {
    let mut typing = typing();
    let Some(typing) = typing.as_mut().filter(|typing| typing.has_held && !typing.holds(now)) else { return false };
    typing.has_held = false;
    typing.leave_line();
    true
}

/// Shows a line again that output has interrupted, if `is_chat_whole`: no line of the chat is incomplete.
pub(crate) fn show_interrupted(is_chat_whole: bool) {
    if let Some(typing) = typing().as_mut()
        && (is_chat_whole || !typing.outputs.contains(&Output::Chat))
    {
        // `fg` sends no SIGCONT to what runs already.
        if typing.is_away && !stdio::is_in_background(stdin()) {
            typing.resume();
        }
        typing.show_line();
    }
}

/// Takes the terminal back after a stop (SIGCONT), unless the server goes on in the background.
pub(crate) fn resume() {
    typing().iter_mut().for_each(Typing::resume);
}

/// Holds nothing any more: the server stops.
pub(crate) fn stop() {
    if let Some(typing) = typing().as_mut() {
        typing.leave_line();
        typing.has_stopped = true;
    }
}

impl Modes {
    /// Returns the modes of a terminal that edits lines.
    fn of(found: Termios) -> Option<Modes> {
        if !found.local_modes.contains(LocalModes::ICANON) {
            return None;
        }
        let mut passing = found.clone();
        passing.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ECHONL | LocalModes::IEXTEN;
        passing.special_codes[SpecialCodeIndex::VMIN] = 1;
        passing.special_codes[SpecialCodeIndex::VTIME] = 0;
        let (keys, echoes) = (EditKeys::of(&found), found.local_modes.contains(LocalModes::ECHO));
        Some(Modes { found, passing, keys, echoes })
    }
}

impl Typing {
    fn open() -> Option<Typing> {
        let outputs = [(Output::Log, stderr()), (Output::Chat, stdout())];
        let outputs = outputs.into_iter().filter(|(_, fd)| is_stdin(fd)).map(|(output, _)| output);
        let now = Instant::now();
        let mut typing = Typing {
            modes: None,
            screen: stdio::reopen_terminal(&io::stdin()),
            outputs: outputs.collect(),
            line: TypedLine::default(),
            cursor: ScreenCursor::Behind,
            input: Vec::new(),
            is_at_end: false,
            first: now,
            last: now,
            has_held: false,
            is_away: false,
            has_stopped: false,
        };
        if typing.screen.is_none() && !typing.outputs.contains(&Output::Log) {
            return None;
        }
        typing.resume();
        let is_usable = io::stdin().is_terminal() && (typing.is_away || typing.modes.is_some());
        is_usable.then_some(typing)
    }

    fn resume(&mut self) {
        let was_away = std::mem::replace(&mut self.is_away, stdio::is_in_background(stdin()));
        let has_changed = !self.is_away && self.take_terminal();
        if self.is_away || was_away || has_changed {
            self.cursor = ScreenCursor::Elsewhere;
        } else {
            // Whether the shell has shown anything is not known.
            self.leave_line();
        }
    }

    /// Sets the modes of the terminal, if another process has set them. Returns whether it had.
    fn take_terminal(&mut self) -> bool {
        let Some(modes) = tcgetattr(stdin()).ok().and_then(Modes::of) else { return false };
        let _ = tcsetattr(stdin(), OptionalActions::Now, &modes.passing);
        self.modes = Some(modes);
        true
    }

    fn release_at(&self) -> Instant {
        if self.line.is_empty() { self.last } else { (self.last + PAUSE).min(self.first + HOLD_MAX) }
    }

    fn holds(&self, now: Instant) -> bool {
        self.is_on_screen() && now < self.release_at()
    }

    /// Whether a line is being typed, and belongs on the screen.
    fn is_on_screen(&self) -> bool {
        let echoes = self.modes.as_ref().is_some_and(|modes| modes.echoes);
        echoes && !self.line.is_empty() && !self.is_away && !self.has_stopped
    }

    /// Goes on below a line that is not complete.
    fn leave_line(&mut self) {
        if self.is_on_screen() && self.cursor != ScreenCursor::Elsewhere {
            self.show(b"\n");
            self.cursor = ScreenCursor::Elsewhere;
        }
    }

    /// Shows the line, if it is not.
    fn show_line(&mut self) {
        if !self.is_on_screen() || self.cursor == ScreenCursor::Behind {
            return;
        }
        let mut text = if self.cursor == ScreenCursor::Amid { b"\n".to_vec() } else { Vec::new() };
        self.line.show(&mut text);
        self.show(&text);
    }

    /// Passes keys on, shows their echo, and reads once; `None` if the terminal does not edit lines.
    fn read(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        if self.is_away {
            self.resume();
        }
        let is_shown = self.take_terminal();
        self.modes.as_ref()?;
        if self.input.is_empty()
            && !self.is_at_end
            && let Err(error) = self.take_keys(is_shown)
        {
            return Some(Err(error));
        }
        if self.input.is_empty() {
            return Some(if self.is_at_end { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) });
        }
        let count = self.input.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.input[..count]);
        self.input.drain(..count);
        Some(Ok(count))
    }

    /// Takes keys from the terminal until a line is complete or no key is left. The kernel has shown them already if
    /// `is_shown`.
    fn take_keys(&mut self, is_shown: bool) -> io::Result<()> {
        while self.input.is_empty() && !self.is_at_end && !stdio::ready(stdin(), PollFlags::IN)?.is_empty() {
            let mut keys = [0; KEYS_BYTES];
            match rustix::io::read(stdin(), &mut keys) {
                // The terminal has gone away.
                Ok(0) | Err(Errno::IO) => self.is_at_end = true,
                Ok(count) => self.press(&keys[..count], is_shown),
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn press(&mut self, keys: &[u8], is_shown: bool) {
        if !is_shown {
            self.show_line();
        }
        let Some(modes) = &self.modes else { return };
        self.last = Instant::now();
        let mut echo = Vec::new();
        for &key in keys {
            if self.line.is_empty() {
                self.first = self.last;
            }
            self.is_at_end |= self.line.press(key, &modes.keys, &mut echo, &mut self.input);
        }
        if modes.echoes && !is_shown {
            self.show(&echo);
        }
    }

    /// Shows what ends with the line, and notes whether the terminal took all of it.
    fn show(&mut self, bytes: &[u8]) {
        let written = match &mut self.screen {
            Some(screen) => screen.write(bytes).ok(),
            None if stdio::stderr_takes_a_line() => rustix::io::write(stderr(), bytes).ok(),
            None => None,
        };
        self.cursor = if written == Some(bytes.len()) { ScreenCursor::Behind } else { ScreenCursor::Amid };
    }
}

/// Whether `fd` is the terminal that is stdin.
fn is_stdin(fd: impl AsFd) -> bool {
    let device = |stat: rustix::fs::Stat| stat.st_rdev;
    rustix::termios::isatty(&fd)
        && io::stdin().is_terminal()
        && rustix::fs::fstat(stdin()).map(device).ok() == rustix::fs::fstat(fd).map(device).ok()
}
