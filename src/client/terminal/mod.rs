//! The terminal form: what one types stays whole while others talk, in one line at the bottom.
//!
//! ```text
//! terminal ─Keys→ Editor ─lines→ Uplink ⇄ server
//!                   │              └─lines→ ChatView ─page─┐
//!                   └──────── input line ────────────────┴─Screen→ terminal
//! ```
//!
//! One loop over the terminal, the socket and the signals. What is shown goes into the terminal's own scrollback; only
//! the last row is drawn anew. A frame (a page of lines, and the input line below) is put together when the terminal has
//! taken the one before, so a stuck terminal holds the server back, and a flood does not hide what is typed.

pub mod chat_view;
pub mod completion;
pub mod editor;
pub mod history;
pub mod keys;
pub mod mode;
pub mod names;
pub mod nick;
pub mod paste;
pub mod prompts;
pub mod screen;
pub mod style;
pub mod uplink;

use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook_mio::v1_0::Signals;

use self::chat_view::ChatView;
use self::editor::{Action, Editor};
use self::keys::{Keys, TermEvent};
use self::mode::{Foreground, RawMode, window_size};
use self::prompts::prompts;
use self::screen::{InputLine, Prompt, Resized, Screen};
use self::style::Style;
use self::uplink::{RunResult, ScreenSpace, Uplink};
use super::limits::{
    AWAY_LOOK, CURSOR_REPORT_WAIT, ESCAPE_WAIT, LAST_WORDS_WAIT, READ_BYTES, RESIZE_SETTLE, SCREEN_BYTES_MAX,
    UNSENT_SHOWN_MAX,
};
use super::timestamps::Timestamps;
use super::{ClientError, Config, Ending};
use crate::net::stdio::stdin::Stdin;
use crate::net::stdio::stdout::{Stdout, StdoutError};
use crate::net::stream::Received;

const STDIN: Token = Token(0);
const STDOUT: Token = Token(1);
const SERVER: Token = Token(2);
const SIGNALS: Token = Token(3);

/// Where is the cursor, and where is it when it goes as far to the right as it can?
const CURSOR_QUESTION: &str = "\x1b[6n\x1b[9999C\x1b[6n";

/// A client at a terminal.
pub struct TerminalClient {
    poll: Poll,
    signals: Signals,
    stdin: Stdin,
    stdout: Stdout,
    mode: RawMode,
    keys: Keys,
    /// When a key was last heard.
    keys_at: Instant,
    editor: Editor,
    chat: ChatView,
    style: Style,
    screen: Screen,
    frame: Frame,
    /// How many columns the terminal has yet to tell, and the last one that it has told.
    awaited_columns: usize,
    cursor_column: usize,
    uplink: Uplink,
    scratch: Box<[u8; READ_BYTES]>,
}

/// What is to become of the input line.
#[derive(Debug, PartialEq, Eq)]
enum Frame {
    /// It is to be drawn.
    Due,
    /// It stands there, with these prompts.
    Drawn(Vec<Prompt>),
    /// The window was resized, and may be again until then. Nothing is drawn meanwhile: what is on the terminal has been
    /// laid out anew, and nobody knows how.
    Settling(Instant),
    /// It cannot be drawn before the terminal has said where the cursor is, or that time is over.
    Asked(Instant),
}

impl TerminalClient {
    /// Takes the terminal, and begins to connect. Blocks for as long as the resolver does.
    ///
    /// # Errors
    /// When the server's name cannot be resolved, or the terminal or the poller cannot be had.
    pub fn start(config: Config) -> Result<TerminalClient, ClientError> {
        let candidates = match config.server.resolve().map(Iterator::collect) {
            Ok(candidates) => candidates,
            Err(source) => return Err(ClientError::Connect { address: config.server, source }),
        };
        let uplink = Uplink::new(&config, candidates);
        let poll = Poll::new().map_err(ClientError::Poll)?;
        let stdin = Stdin::register(poll.registry(), STDIN).map_err(ClientError::Poll)?;
        let stdout = Stdout::register(poll.registry(), STDOUT).map_err(ClientError::Poll)?;
        let mut signals = Signals::new([SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGWINCH]).map_err(ClientError::Poll)?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE).map_err(ClientError::Poll)?;
        let mode = RawMode::enter().map_err(ClientError::Terminal)?;
        let style = Style::new(config.colors);
        Ok(TerminalClient {
            poll,
            signals,
            stdin,
            stdout,
            mode,
            keys: Keys::default(),
            keys_at: Instant::now(),
            editor: Editor::default(),
            chat: ChatView::new(style, Timestamps::new(config.timestamps)),
            style,
            screen: Screen::new(window_size().0),
            frame: Frame::Due,
            awaited_columns: 0,
            cursor_column: 0,
            uplink,
            scratch: Box::new([0; READ_BYTES]),
        })
    }

    /// Talks until the session is ended, and gives the terminal back.
    ///
    /// # Errors
    /// When the server cannot be connected to, the connection is lost for good, or the terminal cannot be used.
    pub fn run(mut self) -> Result<Ending, ClientError> {
        let mut events = Events::with_capacity(8);
        loop {
            if let ControlFlow::Break(end) = self.turn(&mut events) {
                let unshown_bytes = self.show_last_words(&mut events);
                end?;
                return Ok(if unshown_bytes == 0 { Ending::Complete } else { Ending::Unshown(unshown_bytes) });
            }
        }
    }

    fn turn(&mut self, events: &mut Events) -> ControlFlow<RunResult> {
        let now = Instant::now();
        self.read_keys(now)?;
        let space = self.space();
        let registry = (self.poll.registry(), SERVER);
        self.uplink.advance(registry, &mut self.scratch, &mut self.chat, space, now)?;
        self.draw(now);
        match self.stdout.flush() {
            Ok(0) => {}
            Ok(_) => self.uplink.mark_progress(now),
            // The terminal has gone away, and with it whoever could be told.
            Err(StdoutError::Closed) => return ControlFlow::Break(Ok(())),
            Err(StdoutError::Failed(err)) => return ControlFlow::Break(Err(ClientError::Stdout(err))),
        }
        let now = Instant::now();
        let is_busy = self.is_busy(now);
        let timeout = if is_busy { Some(Duration::ZERO) } else { self.timeout(now) };
        match self.wait(events, timeout) {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => return ControlFlow::Continue(()),
            Err(err) => return ControlFlow::Break(Err(ClientError::Poll(err))),
            Ok(()) => {}
        }
        self.on_signals()?;
        if self.mode.foreground() == Foreground::Away {
            let foreground = self.mode.take();
            self.on_resume(foreground)?;
        }
        let now = Instant::now();
        self.on_timers(now)?;
        if events.is_empty() && !is_busy {
            self.uplink.check_grace(&mut self.chat, now)?;
        }
        ControlFlow::Continue(())
    }

    fn read_keys(&mut self, now: Instant) -> ControlFlow<RunResult> {
        if !self.may_read_keys() {
            return ControlFlow::Continue(());
        }
        let len = match self.stdin.read(&mut self.scratch[..]) {
            Received::NotYet => return ControlFlow::Continue(()),
            Received::Bytes(len) => len,
            // The terminal has gone away.
            Received::End => return self.uplink.leave(now),
            Received::Failed(err) => return ControlFlow::Break(Err(ClientError::Stdin(err))),
        };
        self.keys_at = now;
        let mut term_events = Vec::new();
        self.keys.parse(&self.scratch[..len], &mut |event| term_events.push(event));
        term_events.into_iter().try_for_each(|event| self.on_term_event(event, now))
    }

    fn on_term_event(&mut self, event: TermEvent, now: Instant) -> ControlFlow<RunResult> {
        let action = match event {
            TermEvent::Key(key) => self.editor.on_key(key, self.chat.names()),
            TermEvent::Paste { text, dropped_bytes } => {
                if dropped_bytes > 0 {
                    self.chat
                        .show_note(&format!("the paste was too long: its last {dropped_bytes} bytes are left out"));
                }
                self.editor.on_paste(&text)
            }
            TermEvent::CursorColumn(column) => {
                self.on_cursor_column(column);
                Action::Nothing
            }
        };
        match action {
            Action::Nothing => return ControlFlow::Continue(()),
            Action::Redraw => {}
            Action::Show(lines) => lines.iter().for_each(|line| self.chat.show_quoted(line)),
            Action::Say(lines) => self.say(lines),
            Action::Clear => self.screen.clear(window_size().1, self.stdout.queue()),
            Action::Suspend => self.suspend()?,
            Action::Leave => self.uplink.leave(now)?,
        }
        self.mark_dirty();
        ControlFlow::Continue(())
    }

    fn say(&mut self, lines: Vec<String>) {
        if let Err(mut lines) = self.uplink.say(lines) {
            self.chat.show_note("too much waits to be sent already");
            // A line that was typed is not lost; a paste can be pasted again.
            if let (Some(line), true) = (lines.pop(), lines.is_empty()) {
                self.editor.take_back(line);
            }
        }
    }

    fn suspend(&mut self) -> ControlFlow<RunResult> {
        let mut events = Events::with_capacity(8);
        self.await_reports(&mut events);
        self.screen.put_page("", self.stdout.queue());
        self.flush_all(&mut events);
        let foreground = self.mode.suspend();
        self.on_resume(foreground)
    }

    /// Goes on after somebody else may have had the terminal.
    fn on_resume(&mut self, foreground: io::Result<Foreground>) -> ControlFlow<RunResult> {
        match foreground {
            Err(err) => return ControlFlow::Break(Err(ClientError::Terminal(err))),
            Ok(Foreground::Away) => {}
            Ok(Foreground::Held) => {
                // What was typed meanwhile may have been announced already. And the rest of what came in part, of a
                // paste above all, somebody else may have read.
                self.stdin.on_event();
                self.keys = Keys::default();
                self.screen.forget();
                self.screen.resize(window_size().0);
                self.frame = Frame::Due;
            }
        }
        ControlFlow::Continue(())
    }

    fn on_signals(&mut self) -> ControlFlow<RunResult> {
        let pending: Vec<i32> = self.signals.pending().collect();
        for signal in pending {
            match signal {
                SIGWINCH => self.on_resize(Instant::now()),
                SIGCONT => {
                    let foreground = self.mode.take();
                    self.on_resume(foreground)?;
                }
                _ => {
                    self.uplink.leave(Instant::now())?;
                    if self.mode.foreground() == Foreground::Away {
                        // What the server still says could not be shown: nothing to wait for.
                        self.uplink.leave(Instant::now())?;
                    }
                    self.mark_dirty();
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn on_resize(&mut self, now: Instant) {
        self.frame = match self.screen.resize(window_size().0) {
            Resized::Draw => Frame::Due,
            Resized::AskCursor => Frame::Settling(now + RESIZE_SETTLE),
        };
    }

    /// Asks where the cursor is, once the window has kept its size; and does without an answer that does not come.
    fn ask_for_cursor(&mut self, now: Instant) {
        match self.frame {
            // Somebody else has the terminal, and would get the answer.
            _ if self.mode.foreground() == Foreground::Away => {}
            // A terminal that takes nothing answers nothing.
            Frame::Settling(until) if until <= now && !self.stdout.holds(SCREEN_BYTES_MAX) => {
                self.stdout.queue().extend(CURSOR_QUESTION.as_bytes());
                self.awaited_columns += 2;
                self.frame = Frame::Asked(now + CURSOR_REPORT_WAIT);
            }
            Frame::Settling(until) | Frame::Asked(until) if until <= now => {
                self.awaited_columns = 0;
                self.frame = Frame::Due;
            }
            _ => {}
        }
    }

    /// The terminal's answers come in pairs, in the order of the questions, and the last pair tells how it is now.
    fn on_cursor_column(&mut self, column: usize) {
        self.awaited_columns = self.awaited_columns.saturating_sub(1);
        if self.awaited_columns == 0 && matches!(self.frame, Frame::Asked(_)) {
            self.screen.find_cursor(self.cursor_column, column);
            self.frame = Frame::Due;
        }
        self.cursor_column = column;
    }

    /// Does what is to be done when nothing more came within some time.
    fn on_timers(&mut self, now: Instant) -> ControlFlow<RunResult> {
        if self.waits_for_escape() && now >= self.keys_at + ESCAPE_WAIT {
            let mut term_events = Vec::new();
            self.keys.on_timeout(&mut |event| term_events.push(event));
            term_events.into_iter().try_for_each(|event| self.on_term_event(event, now))?;
        }
        self.ask_for_cursor(now);
        let space = self.space();
        self.uplink.flush_partial(&mut self.chat, space, now);
        ControlFlow::Continue(())
    }

    /// Puts a frame together, if there is something new to be shown and the terminal has taken the one before.
    fn draw(&mut self, now: Instant) {
        if !self.may_draw() {
            return;
        }
        let prompts = prompts(
            self.style,
            self.editor.question(),
            self.uplink.status(now),
            self.uplink.waiting_lines(),
            self.chat.own_name(),
        );
        let is_drawn = matches!(&self.frame, Frame::Drawn(drawn) if *drawn == prompts);
        if is_drawn && self.chat.page_bytes() == 0 {
            return;
        }
        let page = self.chat.take_page();
        let input = match self.editor.question() {
            Some(_) => InputLine { prompts: &prompts, text: "", cursor: 0 },
            None => InputLine { prompts: &prompts, text: self.editor.text(), cursor: self.editor.cursor() },
        };
        self.screen.draw(&page, input, self.stdout.queue());
        self.frame = Frame::Drawn(prompts);
    }

    fn mark_dirty(&mut self) {
        if matches!(self.frame, Frame::Drawn(_)) {
            self.frame = Frame::Due;
        }
    }

    /// Shows what is left, without the input line: what it held was not sent, and should not be lost.
    fn show_last_words(&mut self, events: &mut Events) -> usize {
        let mut unsent: Vec<String> = self.uplink.drain_unsent().collect();
        if !self.editor.text().is_empty() {
            unsent.push(self.editor.text().to_owned());
        }
        for line in unsent.iter().take(UNSENT_SHOWN_MAX) {
            self.chat.show_note(&format!("not sent: {line}"));
        }
        if let Some(more) = unsent.len().checked_sub(UNSENT_SHOWN_MAX).filter(|&more| more > 0) {
            self.chat.show_note(&format!("and {more} more"));
        }
        if self.mode.foreground() == Foreground::Held {
            self.await_reports(events);
            let page = self.chat.take_page();
            self.screen.put_page(&page, self.stdout.queue());
            self.flush_all(events);
        }
        self.stdout.waiting_bytes()
    }

    /// Waits for the answers to what the terminal was asked: whoever has the terminal next would take them for keys. (Keys
    /// that come in between are lost.)
    fn await_reports(&mut self, events: &mut Events) {
        while let Frame::Asked(until) = self.frame {
            let left = until.saturating_duration_since(Instant::now());
            let has_failed = self.stdout.flush().is_err() || left.is_zero();
            if has_failed || self.wait(events, Some(left)).is_err() {
                return;
            }
            while let Received::Bytes(len) = self.stdin.read(&mut self.scratch[..]) {
                let mut term_events = Vec::new();
                self.keys.parse(&self.scratch[..len], &mut |event| term_events.push(event));
                for event in term_events {
                    if let TermEvent::CursorColumn(column) = event {
                        self.on_cursor_column(column);
                    }
                }
            }
        }
    }

    /// Has the terminal take what waits for it, if it does so in time.
    fn flush_all(&mut self, events: &mut Events) {
        let deadline = Instant::now() + LAST_WORDS_WAIT;
        while self.stdout.waiting_bytes() > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stdout.flush().is_err() {
                return;
            }
            let timeout = if self.stdout.is_due() { Duration::ZERO } else { left };
            if self.stdout.waiting_bytes() > 0 && self.wait(events, Some(timeout)).is_err() {
                return;
            }
        }
    }

    /// Waits for events, and takes note of them.
    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        self.poll.poll(events, timeout)?;
        for event in events.iter() {
            match event.token() {
                STDIN => self.stdin.on_event(),
                STDOUT => self.stdout.on_event(),
                SERVER => self.uplink.on_event(event),
                // All that are pending are looked at after each wait.
                _ => {}
            }
        }
        Ok(())
    }

    /// How long to wait for events at most.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        let escape = self.waits_for_escape().then(|| self.keys_at + ESCAPE_WAIT);
        let report = match self.frame {
            // Nothing comes of it while somebody else has the terminal.
            Frame::Settling(until) | Frame::Asked(until) if self.mode.foreground() == Foreground::Held => Some(until),
            _ => None,
        };
        let look = (self.mode.foreground() == Foreground::Away).then(|| now + AWAY_LOOK);
        let deadline = [escape, report, look, self.uplink.deadline(self.space(), now)].into_iter().flatten().min();
        deadline.map(|deadline| deadline.saturating_duration_since(now))
    }

    fn is_busy(&self, now: Instant) -> bool {
        let is_undrawn = self.may_draw() && (self.frame == Frame::Due || self.chat.page_bytes() > 0);
        self.may_read_keys() || self.stdout.is_due() || is_undrawn || self.uplink.is_busy(self.space(), now)
    }

    /// Whether nothing but time can tell what the last key was.
    fn waits_for_escape(&self) -> bool {
        self.keys.is_at_escape() && !self.stdin.may_read()
    }

    fn may_read_keys(&self) -> bool {
        self.mode.foreground() == Foreground::Held && self.stdin.may_read() && self.chat.page_bytes() < SCREEN_BYTES_MAX
    }

    fn may_draw(&self) -> bool {
        let is_known = matches!(self.frame, Frame::Due | Frame::Drawn(_));
        is_known && self.mode.foreground() == Foreground::Held && self.stdout.waiting_bytes() == 0
    }

    /// Whether what the server says can be shown: the terminal has taken what came before.
    fn space(&self) -> ScreenSpace {
        let has_room = self.mode.foreground() == Foreground::Held
            && self.stdout.waiting_bytes() == 0
            && self.chat.page_bytes() < SCREEN_BYTES_MAX;
        if has_room { ScreenSpace::Free } else { ScreenSpace::Full }
    }
}
