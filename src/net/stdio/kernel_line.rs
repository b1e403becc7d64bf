//! The line that an operator types, edited by the kernel. It owns a private pseudo-terminal: keys go into its one side,
//! and the echo comes back there. Lines come out of the other side.
//!
//! No call returns an unfinished line. But the kernel has a key that echoes the line again (VREPRINT). This module
//! presses that key twice behind each key that may have edited: the echo between the two is the line. So it edits
//! nothing, and keeps only what the kernel has echoed.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use mio::{Interest, Registry, Token};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use crate::net::stdio;

/// Key that echoes the line again, on the private pseudo-terminal. No UTF-8 text has this byte.
const REPRINT: u8 = 0xFF;

/// Stands for that byte in a text that is not UTF-8.
const SUBSTITUTE: u8 = 0xFE;

/// Bytes with the newline that the kernel takes for a line. It drops what a line has beyond.
const LINE_BYTES_MAX: usize = 4_096;

/// Longest line without its newline. One byte more, and the kernel may have dropped others.
pub(crate) const TEXT_BYTES_MAX: usize = LINE_BYTES_MAX - 2;

/// Keys of a line up to which the kernel can echo all of it at once, whatever they are.
const ASKED_BYTES_MAX: usize = 1_000;

/// Bytes of the echo that are kept at most: several times a line, for erased characters.
const ECHO_BYTES_MAX: usize = 4 * LINE_BYTES_MAX;

/// Time after which an answer of the kernel is not awaited any longer.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// News of the pseudo-terminal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Text that belongs on the screen, behind the line.
    Echo(Vec<u8>),
    /// The operator wants to see the line again.
    Again,
    /// Input for the reader: a line with its newline, or a part of one.
    Input(Vec<u8>),
    /// A line that the kernel has cut.
    CutLine,
    EndOfInput,
}

/// The keys of the operator's terminal that this module has to know; `None` for those that are disabled.
#[derive(Clone, Debug)]
struct Keys {
    special: Vec<u8>,
    quote: Option<u8>,
    again: Option<u8>,
    erase: [Option<u8>; 2],
    kill: Option<u8>,
    /// Hand over the line without a newline.
    hand_over: [Option<u8>; 3],
}

/// A question to the kernel what the line is.
#[derive(Debug)]
struct Question {
    stage: Stage,
    asked: Instant,
    /// Number of keys passed by then.
    passed: u64,
    /// Whether the key before handed over the line, which is still on the screen.
    hands_over: bool,
}

/// Part of the echo that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Of keys, up to the first mark.
    Keys,
    /// Of the line, up to the second mark.
    Line,
    /// The same again, so many bytes.
    LineAgain(usize),
}

/// Result of passing keys on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passed {
    Nothing,
    Keys,
    /// The key is not for the kernel: the operator wants to see the line again.
    Again,
}

/// A line in the private pseudo-terminal.
#[derive(Debug)]
pub(crate) struct KernelLine {
    keyboard: File,
    line: File,
    keys: Keys,
    /// Keys to pass on.
    waiting: VecDeque<u8>,
    /// Bytes that the pseudo-terminal has not taken.
    unsent: Vec<u8>,
    /// Echo that was read, and is incomplete.
    echo: Vec<u8>,
    question: Option<Question>,
    /// The line as a screen shows it.
    text: Vec<u8>,
    /// Bytes of the text that were handed over, and can not be erased.
    handed_over: usize,
    /// Whether there is a line: a key was passed, and the kernel has not told that the line is empty.
    is_begun: bool,
    /// Whether the next key is taken as it is.
    is_quoted: bool,
    /// Whether a question is due when all keys are passed.
    is_question_due: bool,
    /// Number of keys passed, and of those behind which the line was known to be empty.
    passed: u64,
    empty_at: u64,
}

impl Keys {
    fn of(modes: &Termios) -> Keys {
        let key = |index| Some(modes.special_codes[index]).filter(|&key| key != 0);
        let extended = |index| key(index).filter(|_| modes.local_modes.contains(LocalModes::IEXTEN));
        let erase = [key(SpecialCodeIndex::VERASE), extended(SpecialCodeIndex::VWERASE)];
        let kill = key(SpecialCodeIndex::VKILL);
        let hand_over = [key(SpecialCodeIndex::VEOF), key(SpecialCodeIndex::VEOL), extended(SpecialCodeIndex::VEOL2)];
        let again = extended(SpecialCodeIndex::VREPRINT);
        let quote = extended(SpecialCodeIndex::VLNEXT);
        let special = erase.into_iter().chain(hand_over).chain([kill, again, quote]).flatten().collect();
        Keys { special, quote, again, erase, kill, hand_over }
    }

    /// Whether the key may do anything but go to the end of the line.
    fn is_special(&self, key: u8) -> bool {
        key.is_ascii_control() || self.special.contains(&key)
    }

    /// Whether the key ends a line or erases all of it, so that a short answer follows however long the line was.
    fn leaves_nothing(&self, key: u8) -> bool {
        matches!(key, b'\n' | b'\r') || self.kill == Some(key) || self.hand_over.contains(&Some(key))
    }
}

impl KernelLine {
    /// Opens a pseudo-terminal and registers it under `token`.
    pub(crate) fn open(registry: &Registry, token: Token, modes: &Termios) -> io::Result<KernelLine> {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&keyboard)?;
        unlockpt(&keyboard)?;
        rustix::fs::fcntl_setfl(&keyboard, OFlags::NONBLOCK)?;
        let name = ptsname(&keyboard, Vec::new())?;
        let name = name.to_str().map_err(|_| io::ErrorKind::InvalidData)?;
        let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits().cast_signed();
        let line = OpenOptions::new().read(true).write(true).custom_flags(flags).open(name)?;
        stdio::watch(registry, &keyboard, token, Interest::READABLE | Interest::WRITABLE)?;
        stdio::watch(registry, &line, token, Interest::READABLE)?;
        let mut opened = KernelLine {
            keyboard: keyboard.into(),
            line,
            keys: Keys::of(modes),
            waiting: VecDeque::new(),
            unsent: Vec::new(),
            echo: Vec::new(),
            question: None,
            text: Vec::new(),
            handed_over: 0,
            is_begun: false,
            is_quoted: false,
            is_question_due: false,
            passed: 0,
            empty_at: 0,
        };
        opened.set_modes(modes)?;
        Ok(opened)
    }

    /// Edits as the operator's terminal does in these modes. Signals and flow control are left to that terminal.
    pub(crate) fn set_modes(&mut self, modes: &Termios) -> io::Result<()> {
        let mut editing = tcgetattr(&self.line)?;
        let elsewhere = InputModes::IXON | InputModes::IXOFF | InputModes::PARMRK | InputModes::ISTRIP;
        editing.input_modes = modes.input_modes - elsewhere;
        editing.output_modes -= OutputModes::OPOST;
        editing.local_modes = modes.local_modes - LocalModes::ISIG;
        editing.local_modes |= LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN;
        editing.special_codes = modes.special_codes.clone();
        if !modes.local_modes.contains(LocalModes::IEXTEN) {
            for index in [SpecialCodeIndex::VWERASE, SpecialCodeIndex::VLNEXT, SpecialCodeIndex::VEOL2] {
                editing.special_codes[index] = 0;
            }
        }
        editing.special_codes[SpecialCodeIndex::VREPRINT] = REPRINT;
        self.keys = Keys::of(modes);
        tcsetattr(&self.line, OptionalActions::Now, &editing).map_err(Into::into)
    }

    /// Whether a line is being typed.
    pub(crate) fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Returns the line as a screen shows it.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether all keys were passed on, and each question was answered. The echo of keys without a question may follow.
    pub(crate) fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.question.is_none()
    }

    pub(crate) fn wants_keys(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes keys. A question will follow them if `is_question_due`.
    pub(crate) fn press(&mut self, keys: &[u8], is_question_due: bool) {
        self.waiting.extend(keys.iter().map(|&key| if key == REPRINT { SUBSTITUTE } else { key }));
        self.is_question_due |= is_question_due;
    }

    /// Returns what happened, and passes keys on; `None` if the kernel has no news yet. The next keys wait for the
    /// answer to the last question, and for the reader.
    pub(crate) fn step(&mut self, now: Instant) -> Option<News> {
        loop {
            self.send();
            if let Some(news) = self.read_echo() {
                return Some(news);
            }
            // Behind a long line there is no room for the question before the line is read.
            if (self.question.is_none() || self.is_long())
                && let Some(news) = self.read_line()
            {
                return Some(news);
            }
            if self.question.as_ref().is_some_and(|question| now > question.asked + ANSWER_MAX) {
                self.question = None;
            }
            if self.question.is_some() || !self.unsent.is_empty() {
                return None;
            }
            match self.pass_keys(now) {
                Passed::Nothing => return None,
                Passed::Keys => {}
                Passed::Again => return Some(News::Again),
            }
        }
    }

    /// Whether the line may have more bytes than an answer can tell, or than the kernel takes.
    fn is_long(&self) -> bool {
        self.passed - self.empty_at > ASKED_BYTES_MAX as u64
    }

    fn send(&mut self) {
        while !self.unsent.is_empty() {
            match self.keyboard.write(&self.unsent) {
                Ok(count) if count > 0 => drop(self.unsent.drain(..count)),
                _ => return,
            }
        }
    }

    /// Passes keys on up to one that may edit.
    fn pass_keys(&mut self, now: Instant) -> Passed {
        let mut passed = Passed::Nothing;
        while let Some(key) = self.waiting.pop_front() {
            let was_quoted = std::mem::take(&mut self.is_quoted);
            self.is_quoted = !was_quoted && self.keys.quote == Some(key);
            if !was_quoted && self.keys.again == Some(key) {
                return Passed::Again;
            }
            passed = Passed::Keys;
            // Erased characters would make room in a line that the kernel has cut.
            let may_be_cut = self.passed - self.empty_at > TEXT_BYTES_MAX as u64;
            if !was_quoted && may_be_cut && self.keys.erase.contains(&Some(key)) {
                continue;
            }
            self.unsent.push(key);
            self.passed += 1;
            self.is_begun = true;
            let is_special = !was_quoted && !self.is_quoted && self.keys.is_special(key);
            if is_special && (!self.is_long() || self.keys.leaves_nothing(key)) {
                self.ask(now, Some(key));
                return Passed::Keys;
            }
        }
        if std::mem::take(&mut self.is_question_due) && !self.is_quoted && !self.is_long() {
            self.ask(now, None);
            return Passed::Keys;
        }
        passed
    }

    fn ask(&mut self, now: Instant, key: Option<u8>) {
        self.unsent.extend([REPRINT; 2]);
        let hands_over = key.is_some() && self.keys.hand_over.contains(&key);
        let (stage, passed) = (Stage::Keys, self.passed);
        self.question = Some(Question { stage, asked: now, passed, hands_over });
    }

    /// Reads a line once. A buffer of this size gets all of it.
    fn read_line(&mut self) -> Option<News> {
        let mut line = [0; LINE_BYTES_MAX];
        match self.line.read(&mut line) {
            Ok(0) => Some(News::EndOfInput),
            Ok(count) => {
                let text = line[..count].strip_suffix(b"\n").unwrap_or(&line[..count]);
                let is_cut = text.len() > TEXT_BYTES_MAX;
                Some(if is_cut { News::CutLine } else { News::Input(line[..count].to_vec()) })
            }
            Err(_) => None,
        }
    }

    /// Reads the echo of keys, or the answer to a question. Either may come in pieces.
    fn read_echo(&mut self) -> Option<News> {
        loop {
            if let Some(news) = self.take_echo() {
                return Some(news);
            }
            let mut echo = [0; 1_024];
            match self.keyboard.read(&mut echo) {
                Ok(count) if count > 0 => self.echo.extend(&echo[..count]),
                _ => return None,
            }
        }
    }

    fn take_echo(&mut self) -> Option<News> {
        let mark = memchr::memchr(REPRINT, &self.echo);
        let is_mark_whole = mark.is_some_and(|mark| mark + 1 < self.echo.len());
        let stage = self.question.as_ref().map(|question| question.stage);
        match (stage, mark) {
            (Some(Stage::LineAgain(bytes)), _) if self.echo.len() >= bytes => {
                self.echo.drain(..bytes);
                self.question = None;
                self.take_echo()
            }
            (Some(Stage::LineAgain(_)), _) | (Some(Stage::Line), None) => None,
            (Some(Stage::Line), Some(mark)) => {
                if !is_mark_whole {
                    return None;
                }
                let line = self.echo[..mark].to_vec();
                self.echo.drain(..mark + 2);
                self.answer(&line);
                self.take_echo()
            }
            (Some(Stage::Keys) | None, Some(0)) => {
                if !is_mark_whole {
                    return None;
                }
                // Without a question, the answer is late.
                self.echo.drain(..2);
                self.question.iter_mut().for_each(|question| question.stage = Stage::Line);
                self.take_echo()
            }
            (Some(Stage::Keys) | None, _) => {
                let echo: Vec<u8> = self.echo.drain(..mark.unwrap_or(self.echo.len())).collect();
                (!echo.is_empty()).then_some(News::Echo(echo))
            }
        }
    }

    /// Takes the line as the kernel shows it.
    fn answer(&mut self, line: &[u8]) {
        let Some(question) = &mut self.question else { return };
        question.stage = Stage::LineAgain(line.len());
        if question.hands_over {
            self.handed_over = self.text.len();
        }
        self.text.truncate(self.handed_over);
        self.text.extend_from_slice(line);
        self.is_begun = !self.text.is_empty();
        if line.is_empty() {
            self.empty_at = question.passed;
        }
    }

    /// Takes an echo as a part of the text.
    pub(crate) fn note_echo(&mut self, echo: &[u8]) {
        if let Some(newline) = memchr::memrchr(b'\n', echo) {
            self.text = echo[newline + 1..].to_vec();
            self.handed_over = 0;
        } else if self.text.len() < ECHO_BYTES_MAX {
            self.text.extend_from_slice(echo);
        }
    }
}

#[cfg(test)]
mod tests;
