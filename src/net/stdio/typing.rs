//! Knows whether the operator is typing a line, so that nothing is shown in its middle. It owns the modes of the
//! operator's terminal, the place of its cursor, and the hold.
//!
//! In canonical mode the kernel edits a line and tells no reader of it before its end: not by `poll`, `FIONREAD` or
//! SIGIO. So the terminal hands over key by key, and each key passes through a pseudo-terminal of our own, a
//! [`KernelLine`]. There the kernel edits as ever. SIGINT, SIGQUIT and SIGTSTP come from the operator's terminal.
//!
//! Output waits only if it goes to the same terminal. Whatever is shown amid a line after all begins below it, and then
//! the line is shown again. Log, chat and echo also wait for each other: a terminal may take a part of a line.

use std::fs::File;
use std::io::{self, IsTerminal, Write as _};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::{Registry, Token};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use super::kernel_line::{KernelLine, News, TEXT_BYTES_MAX};
use crate::net::stdio;

/// Pause between two keys that ends a hold.
const PAUSE: Duration = Duration::from_secs(10);

/// Longest hold: however long a line is typed, the log is not further behind.
const HOLD_MAX: Duration = Duration::from_secs(60);

/// Keys read at a time.
const KEYS_BYTES: usize = 1_024;

/// Bytes of complete lines that are kept at most until the terminal takes them.
const UNSHOWN_BYTES_MAX: usize = 16 * 1_024;

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
    /// The modes of the terminal, as they were and as they are now.
    found: Termios,
    passing: Termios,
    /// The terminal, opened again; `None` if that failed, and stderr is the same terminal.
    screen: Option<File>,
    /// The outputs that go to the terminal.
    outputs: Vec<Output>,
    line: KernelLine,
    cursor: ScreenCursor,
    /// Lines that were typed while the terminal did not take their echo.
    unshown: Vec<u8>,
    /// Lines that are complete and were not read.
    input: Vec<u8>,
    /// Whether the terminal has gone away.
    is_gone: bool,
    /// Whether the input has ended.
    is_at_end: bool,
    /// When the first and the last key of the line were typed.
    first: Instant,
    last: Instant,
    /// Whether something waits for the end of the line.
    has_held: bool,
    /// Whether the log waits for the rest of a line of the chat.
    has_held_log: bool,
    /// Whether the kernel has echoed the keys already, at the terminal itself.
    is_echoed: bool,
    /// Whether the shell has the terminal.
    is_away: bool,
    has_stopped: bool,
}

/// The place of the screen's cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScreenCursor {
    /// Behind the line that is being typed.
    Behind,
    /// At the beginning of another line: something else was shown.
    Elsewhere,
    /// Amid the typed line, or one of the log: the terminal did not take all of it. It will be shown again, whole.
    AmidLost,
    /// Amid a line of the chat. Its rest follows.
    AmidChat,
}

fn typing() -> MutexGuard<'static, Option<Typing>> {
    TYPING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to look at the keys, if stdin is a terminal that edits lines. Registers what it needs under `token`.
pub(crate) fn begin(registry: &Registry, token: Token) {
    // Otherwise nothing is held, and all else works.
    *typing() = Typing::open(registry, token);
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

/// Whether this output has to wait. An output that is held gets a release. For one that is not, the screen's cursor is
/// at the beginning of a line.
pub(crate) fn holds(output: Output) -> bool {
    let mut typing = typing();
    let Some(typing) = typing.as_mut().filter(|typing| typing.outputs.contains(&output)) else { return false };
    let holds = typing.holds(Instant::now());
    typing.has_held |= holds;
    holds || !typing.makes_way_for(output)
}

/// Whether this output goes to the console's terminal.
pub(crate) fn shows(output: Output) -> bool {
    typing().as_ref().is_some_and(|typing| typing.outputs.contains(&output))
}

/// Makes way for lines of the log that can not wait any longer. Returns whether they may be written.
pub(crate) fn interrupt() -> bool {
    typing().as_mut().is_none_or(|typing| typing.makes_way_for(Output::Log))
}

/// Notes that output was written, and whether its last line is whole.
pub(crate) fn note_written(output: Output, is_whole: bool) {
    if let Some(typing) = typing().as_mut().filter(|typing| typing.outputs.contains(&output)) {
        typing.cursor = match (is_whole, output) {
            (true, _) => ScreenCursor::Elsewhere,
            (false, Output::Log) => ScreenCursor::AmidLost,
            (false, Output::Chat) => ScreenCursor::AmidChat,
        };
    }
}

/// Whether the log has waited for the rest of a line of the chat, and need not any more.
pub(crate) fn frees_log() -> bool {
    typing()
        .as_mut()
        .is_some_and(|typing| typing.cursor != ScreenCursor::AmidChat && std::mem::take(&mut typing.has_held_log))
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
    typing.make_way();
    true
}

/// Shows a line again that output has interrupted.
pub(crate) fn show_interrupted() {
    if let Some(typing) = typing().as_mut() {
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
        typing.make_way();
        typing.has_stopped = true;
    }
}

/// Returns the modes in which a terminal with these hands over key by key, as typed.
fn passing(found: &Termios) -> Termios {
    let mut passing = found.clone();
    passing.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ECHONL | LocalModes::IEXTEN;
    passing.input_modes -= InputModes::ICRNL | InputModes::INLCR | InputModes::IGNCR;
    passing.special_codes[SpecialCodeIndex::VMIN] = 1;
    passing.special_codes[SpecialCodeIndex::VTIME] = 0;
    passing
}

impl Typing {
    fn open(registry: &Registry, token: Token) -> Option<Typing> {
        let found = tcgetattr(stdin()).ok()?;
        let is_away = stdio::is_in_background(stdin());
        // In the background, the modes may be those of the shell's editor.
        if !is_away && !found.local_modes.contains(LocalModes::ICANON) {
            return None;
        }
        let outputs = [(Output::Log, stderr()), (Output::Chat, stdout())];
        let outputs: Vec<_> = outputs.into_iter().filter(|(_, fd)| is_stdin(fd)).map(|(output, _)| output).collect();
        let screen = stdio::reopen_terminal(&io::stdin());
        if screen.is_none() && !outputs.contains(&Output::Log) {
            return None;
        }
        let now = Instant::now();
        let mut typing = Typing {
            passing: passing(&found),
            screen,
            outputs,
            line: KernelLine::open(registry, token, &found).ok()?,
            found,
            cursor: ScreenCursor::Elsewhere,
            unshown: Vec::new(),
            input: Vec::new(),
            is_gone: false,
            is_at_end: false,
            first: now,
            last: now,
            has_held: false,
            has_held_log: false,
            is_echoed: false,
            is_away,
            has_stopped: false,
        };
        if !is_away {
            typing.take_terminal();
        }
        Some(typing)
    }

    fn resume(&mut self) {
        let was_away = std::mem::replace(&mut self.is_away, stdio::is_in_background(stdin()));
        let has_changed = !self.is_away && self.take_terminal();
        if self.is_away || was_away || has_changed {
            self.cursor = ScreenCursor::Elsewhere;
        } else {
            // Whether the shell has shown anything is not known.
            self.make_way();
        }
    }

    /// Sets the modes of the terminal, if another process has set them. Returns whether it had.
    fn take_terminal(&mut self) -> bool {
        let found = tcgetattr(stdin()).ok().filter(|modes| modes.local_modes.contains(LocalModes::ICANON));
        let Some(found) = found else { return false };
        self.passing = passing(&found);
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.passing);
        let _ = self.line.set_modes(&found);
        self.found = found;
        true
    }

    fn release_at(&self) -> Instant {
        if self.line.is_begun() { (self.last + PAUSE).min(self.first + HOLD_MAX) } else { self.last }
    }

    fn holds(&self, now: Instant) -> bool {
        self.line.is_begun() && self.is_shown() && now < self.release_at()
    }

    /// Whether a line that is typed belongs on the screen.
    fn is_shown(&self) -> bool {
        self.found.local_modes.contains(LocalModes::ECHO) && !self.is_away && !self.has_stopped
    }

    fn makes_way_for(&mut self, output: Output) -> bool {
        if self.cursor == ScreenCursor::AmidChat && output == Output::Chat {
            return true;
        }
        let makes_way = self.make_way();
        self.has_held_log |= !makes_way && output == Output::Log;
        makes_way
    }

    /// Goes on below a line that is not complete. Returns whether the cursor is at the beginning of a line.
    fn make_way(&mut self) -> bool {
        let is_free = match self.cursor {
            ScreenCursor::Elsewhere => true,
            ScreenCursor::Behind => self.line.text().is_empty() || !self.is_shown() || self.show(b"\n"),
            ScreenCursor::AmidLost => self.show(b"\n"),
            // A server that stops waits for nothing.
            ScreenCursor::AmidChat => self.has_stopped && self.show(b"\n"),
        };
        if is_free {
            self.cursor = ScreenCursor::Elsewhere;
        }
        is_free
    }

    /// Shows the line, if it is not. Returns whether the cursor is behind it.
    fn show_line(&mut self) -> bool {
        if !self.is_shown() {
            return false;
        }
        if self.cursor == ScreenCursor::Behind && self.unshown.is_empty() {
            return true;
        }
        if !self.line.is_begun() && self.unshown.is_empty() && self.cursor != ScreenCursor::Elsewhere {
            return false;
        }
        if !self.make_way() {
            return false;
        }
        let mut text = std::mem::take(&mut self.unshown);
        text.extend_from_slice(self.line.text());
        let is_taken = text.is_empty() || self.show(&text);
        self.cursor = if is_taken { ScreenCursor::Behind } else { ScreenCursor::AmidLost };
        is_taken
    }

    /// Passes keys on, shows their echo, and reads once.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_away {
            self.resume();
        }
        if self.take_terminal() {
            self.is_echoed = true;
        }
        self.take_input()?;
        if self.input.is_empty() {
            let is_at_end = self.is_at_end || self.is_gone && self.line.is_settled();
            return if is_at_end { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let count = self.input.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.input[..count]);
        self.input.drain(..count);
        Ok(count)
    }

    /// Takes keys and what becomes of them, until a line is complete or nothing is left to do.
    fn take_input(&mut self) -> io::Result<()> {
        while self.input.is_empty() && !self.is_at_end {
            let now = Instant::now();
            match self.line.step(now) {
                Some(News::Echo(echo)) => self.show_echo(&echo),
                Some(News::Again) => drop(self.make_way() && self.show_line()),
                Some(News::Input(input)) => self.input = input,
                Some(News::CutLine) => self.refuse_line(),
                Some(News::EndOfInput) => self.is_at_end = true,
                None if self.is_gone || !self.line.wants_keys() || !self.take_keys(now)? => return Ok(()),
                None => {}
            }
            if self.line.is_settled() {
                self.is_echoed = false;
            }
        }
        Ok(())
    }

    /// Takes keys from the terminal. Returns whether there were any.
    fn take_keys(&mut self, now: Instant) -> io::Result<bool> {
        if stdio::ready(stdin(), PollFlags::IN)?.is_empty() {
            return Ok(false);
        }
        let mut keys = [0; KEYS_BYTES];
        match rustix::io::read(stdin(), &mut keys) {
            // The terminal has gone away.
            Ok(0) | Err(Errno::IO) => self.is_gone = true,
            Ok(count) => {
                self.last = now;
                if !self.line.is_begun() {
                    self.first = now;
                }
                self.line.press(&keys[..count], self.is_echoed);
            }
            Err(Errno::AGAIN) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Shows the echo of keys behind the line. If the screen does not take it, the line will be shown whole.
    fn show_echo(&mut self, echo: &[u8]) {
        if self.is_echoed {
            self.cursor = ScreenCursor::Behind;
        } else if self.is_shown() {
            if self.show_line() {
                if !self.show(echo) {
                    self.cursor = ScreenCursor::AmidLost;
                }
            } else if let Some(newline) = memchr::memrchr(b'\n', echo) {
                let line = [self.line.text(), &echo[..=newline]].concat();
                self.keep(&line);
            }
        }
        self.line.note_echo(echo);
    }

    /// Tells the operator of a line that the kernel has cut, in the words of the relay.
    fn refuse_line(&mut self) {
        self.keep(format!("* line too long (over {TEXT_BYTES_MAX} bytes): not relayed\n").as_bytes());
    }

    /// Keeps lines for the screen. Lines beyond the limit are not shown.
    fn keep(&mut self, lines: &[u8]) {
        if self.unshown.len() + lines.len() <= UNSHOWN_BYTES_MAX {
            self.unshown.extend_from_slice(lines);
        }
    }

    /// Writes to the terminal. Returns whether it took all.
    fn show(&mut self, bytes: &[u8]) -> bool {
        let written = match &mut self.screen {
            Some(screen) => screen.write(bytes).ok(),
            None if stdio::stderr_takes_a_line() => rustix::io::write(stderr(), bytes).ok(),
            None => None,
        };
        written == Some(bytes.len())
    }
}

/// Whether `fd` is the terminal that is stdin.
fn is_stdin(fd: impl AsFd) -> bool {
    let device = |stat: rustix::fs::Stat| stat.st_rdev;
    rustix::termios::isatty(&fd)
        && io::stdin().is_terminal()
        && rustix::fs::fstat(stdin()).map(device).ok() == rustix::fs::fstat(fd).map(device).ok()
}
