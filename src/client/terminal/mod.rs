//! The terminal form of the client: an input line at the bottom stays whole while lines arrive above it.
//!
//! ```text
//! terminal ─Keys→ Editor ─lines→ Uplink ⇄ server
//!                   │              └─lines→ ChatView ─page─┐
//!                   └──────── input line ──────────────────┴─Screen→ terminal
//! ```
//!
//! A single loop serves the terminal, the socket and the signals. Shown lines go into the terminal's own scrollback;
//! only the last row is redrawn. A frame is a page of lines with the input line below. The next frame is built when the
//! terminal has taken the previous one. So a blocked terminal applies backpressure to the server, and a flood does not
//! hide the input line.
//!
//! Each feature of the terminal alone has a file: `calls`, `ringing` and `notify` (mentions and private lines), `unread`
//! (the rule above lines that came meanwhile), `query` and `ignore` (members), `listing` (`/who`), `search` (Ctrl-R) and
//! `log` (`--log`). `commands` tells their commands from the server's.

mod calls;
mod chat_view;
mod commands;
mod completion;
mod days;
mod door;
mod editor;
mod history;
mod ignore;
mod inbox;
mod keys;
mod line_kind;
mod line_limit;
mod listing;
mod log;
pub(super) mod mode;
mod names;
mod nick;
mod notify;
mod paste;
mod prompts;
mod query;
mod resize;
mod ringing;
mod screen;
mod search;
mod style;
mod tracked;
mod underway;
mod unread;
mod uplink;
mod wrap;

use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook_mio::v1_0::Signals;

use self::chat_view::ChatView;
use self::editor::{Action, Editor};
use self::keys::{Keys, TermEvent};
use self::log::Log;
use self::mode::{Foreground, RawMode, window_size};
use self::notify::Notifier;
use self::prompts::PromptState;
use self::resize::{CURSOR_REQUEST, ProbeStep, ResizeProbe};
use self::screen::{InputLine, Prompt, Resized, Screen};
use self::style::Style;
use self::uplink::{LinkStatus, RunResult, ScreenSpace, Uplink};
use super::limits::{AWAY_LOOK, LAST_WORDS_WAIT, READ_BYTES, SCREEN_BYTES_MAX};
use super::progress::Progress;
use super::resolver::Resolver;
use super::secrets::Secrets;
use super::secure::Security;
use super::timestamps::Timestamps;
use super::{ClientError, Config, Ending};
use crate::net::stdio::stdin::Stdin;
use crate::net::stdio::stdout::{Stdout, StdoutError};
use crate::net::stream::Received;

const STDIN: Token = Token(0);
const STDOUT: Token = Token(1);
const SERVER: Token = Token(2);
const SIGNALS: Token = Token(3);
const RESOLVER: Token = Token(4);

/// A client at a terminal.
pub(super) struct TerminalClient {
    poll: Poll,
    signals: Signals,
    stdin: Stdin,
    stdout: Stdout,
    mode: RawMode,
    keys: Keys,
    editor: Editor,
    chat: ChatView,
    style: Style,
    screen: Screen,
    input_row: InputRow,
    probe: ResizeProbe,
    uplink: Uplink,
    notifier: Option<Notifier>,
    scratch: Box<[u8; READ_BYTES]>,
}

/// Whether the input line on the screen is up to date.
#[derive(Debug, PartialEq, Eq)]
enum InputRow {
    /// It must be redrawn.
    Dirty,
    /// It was drawn with these prompts.
    Drawn(Vec<Prompt>),
}

impl TerminalClient {
    /// Takes the terminal and begins to connect.
    ///
    /// # Errors
    /// The terminal or the poller fails.
    pub(super) fn start(
        config: &Config,
        security: Option<Security>,
        secrets: Secrets,
    ) -> Result<TerminalClient, ClientError> {
        let poll = Poll::new().map_err(ClientError::Poll)?;
        let resolver = Resolver::new(config.server.clone(), poll.registry(), RESOLVER).map_err(ClientError::Poll)?;
        let uplink = Uplink::new(config, resolver, (security, secrets), SERVER);
        let stdin = Stdin::register(poll.registry(), STDIN).map_err(ClientError::Poll)?;
        let stdout = Stdout::register(poll.registry(), STDOUT).map_err(ClientError::Poll)?;
        let mut signals =
            Signals::new([SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGWINCH]).map_err(ClientError::Poll)?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE).map_err(ClientError::Poll)?;
        let log = config.log.as_deref().map(Log::open);
        let mode = RawMode::enter().map_err(ClientError::Terminal)?;
        let style = Style::new(config.colors);
        let columns = window_size().0;
        Ok(TerminalClient {
            poll,
            signals,
            stdin,
            stdout,
            mode,
            keys: Keys::default(),
            editor: Editor::default(),
            chat: ChatView::new(style, Timestamps::at_terminal(config.timestamps), log, columns),
            style,
            screen: Screen::new(columns),
            input_row: InputRow::Dirty,
            probe: ResizeProbe::new(),
            uplink,
            notifier: config.notify_command.as_deref().and_then(Notifier::new),
            scratch: Box::new([0; READ_BYTES]),
        })
    }

    /// Runs until the session ends for good, then gives the terminal back.
    ///
    /// # Errors
    /// The server cannot be connected to, the connection is lost for good, or the terminal fails.
    pub(super) fn run(mut self) -> Result<Ending, ClientError> {
        let mut events = Events::with_capacity(8);
        loop {
            if let ControlFlow::Break(result) = self.turn(&mut events) {
                let unshown_bytes = self.show_last_words(&mut events);
                result?;
                return Ok(if unshown_bytes == 0 { Ending::Complete } else { Ending::Unshown(unshown_bytes) });
            }
        }
    }

    fn turn(&mut self, events: &mut Events) -> ControlFlow<RunResult> {
        let now = Instant::now();
        let mut progress = self.read_keys(now)?;
        let space = self.space();
        progress |= self.uplink.advance(self.poll.registry(), &mut self.chat, space, now)?;
        self.give_back_refused();
        self.ring(now);
        self.chat.write_log();
        progress |= self.draw(now);
        match self.stdout.flush() {
            Ok(0) => {}
            Ok(_) => {
                self.uplink.mark_progress(now);
                progress = Progress::Made;
            }
            // The terminal has gone away: nobody reads an error message.
            Err(StdoutError::Closed) => return ControlFlow::Break(Ok(())),
            Err(StdoutError::Failed(err)) => return ControlFlow::Break(Err(ClientError::Stdout(err))),
        }
        let timeout = match progress {
            Progress::Made => Some(Duration::ZERO),
            Progress::None => self.timeout(Instant::now()),
        };
        match self.wait(events, timeout) {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => return ControlFlow::Continue(()),
            Err(err) => return ControlFlow::Break(Err(ClientError::Poll(err))),
            Ok(()) => {}
        }
        self.on_signals()?;
        if self.mode.foreground() == Foreground::Lost {
            let foreground = self.mode.take();
            self.on_resume(foreground)?;
        }
        let now = Instant::now();
        self.on_timers(now)?;
        let is_idle = events.is_empty() && progress == Progress::None;
        let space = self.space();
        self.uplink.check_room(space, is_idle, now);
        self.uplink.check_answer(&mut self.chat, space, is_idle, now);
        self.uplink.check_grace(&mut self.chat, is_idle, now)?;
        ControlFlow::Continue(())
    }

    fn read_keys(&mut self, now: Instant) -> ControlFlow<RunResult, Progress> {
        if self.mode.foreground() == Foreground::Lost || self.chat.page_bytes() >= SCREEN_BYTES_MAX {
            return ControlFlow::Continue(Progress::None);
        }
        match self.stdin.read(&mut self.scratch[..]) {
            Received::NotYet => return ControlFlow::Continue(Progress::None),
            Received::Bytes(len) => {
                let mut term_events = Vec::new();
                self.keys.set_asked(self.editor.question().is_some());
                self.keys.parse(&self.scratch[..len], now, &mut |event| term_events.push(event));
                term_events.into_iter().try_for_each(|event| self.on_term_event(event, now))?;
            }
            // The terminal has gone away.
            Received::End => self.uplink.leave(now)?,
            Received::Failed(err) => return ControlFlow::Break(Err(ClientError::Stdin(err))),
        }
        ControlFlow::Continue(Progress::Made)
    }

    fn on_term_event(&mut self, event: TermEvent, now: Instant) -> ControlFlow<RunResult> {
        let action = match event {
            TermEvent::Key(key) => self.editor.on_key(key, self.chat.names()),
            TermEvent::Paste { text, dropped_bytes, has_end, continues } => {
                if dropped_bytes > 0 {
                    self.chat.show_note(&format!("paste too long: dropped its last {dropped_bytes} bytes"));
                }
                if !has_end && !continues {
                    self.chat.show_note("the terminal did not end a paste: what came so far is taken");
                }
                self.editor.on_paste(&text, continues)
            }
            TermEvent::PasteDropped => {
                self.chat.show_note("paste dropped at a control key");
                Action::Redraw
            }
            TermEvent::CursorColumn(column) => {
                self.on_cursor_report(column);
                Action::Nothing
            }
            TermEvent::Focus(has_focus) => {
                self.chat.on_focus(has_focus);
                Action::Nothing
            }
        };
        match action {
            Action::Nothing => return ControlFlow::Continue(()),
            Action::Redraw => {}
            Action::Show { quoted, note } => {
                quoted.iter().for_each(|line| self.chat.show_quoted(line));
                note.into_iter().for_each(|note| self.chat.show_note(note));
            }
            Action::Say(lines) => self.say(lines, now),
            Action::Clear => self.screen.clear(window_size().1, self.stdout.queue()),
            Action::Suspend => self.suspend()?,
            Action::Leave => self.uplink.leave(now)?,
            Action::Quit => {
                self.uplink.leave(now)?;
                self.uplink.leave(now)?;
            }
        }
        self.input_row = InputRow::Dirty;
        ControlFlow::Continue(())
    }

    fn suspend(&mut self) -> ControlFlow<RunResult> {
        let mut events = Events::with_capacity(8);
        self.await_reports(&mut events);
        self.screen.put_page("", self.stdout.queue());
        self.flush_all(&mut events);
        let foreground = self.mode.suspend();
        self.on_resume(foreground)
    }

    /// Starts over on the screen after another process may have had the terminal.
    fn on_resume(&mut self, foreground: io::Result<Foreground>) -> ControlFlow<RunResult> {
        match foreground {
            Err(err) => return ControlFlow::Break(Err(ClientError::Terminal(err))),
            Ok(Foreground::Lost) => {}
            Ok(Foreground::Held) => {
                // Events of keys typed meanwhile may have passed. The other process may have read the rest of a partial
                // sequence or paste.
                self.stdin.on_event();
                self.keys = Keys::default();
                self.screen.forget();
                self.resize(window_size().0);
                self.probe.cancel();
                self.chat.on_return();
                self.input_row = InputRow::Dirty;
            }
        }
        ControlFlow::Continue(())
    }

    fn on_signals(&mut self) -> ControlFlow<RunResult> {
        let pending: Vec<i32> = self.signals.pending().collect();
        for signal in pending {
            match signal {
                SIGWINCH => self.on_resize(Instant::now()),
                SIGCHLD => self.reap(),
                SIGCONT => {
                    let foreground = self.mode.take();
                    self.on_resume(foreground)?;
                }
                _ if self.uplink.status(Instant::now()) == LinkStatus::Leaving => {
                    return ControlFlow::Break(Err(ClientError::Signal(signal)));
                }
                _ => {
                    self.uplink.leave(Instant::now())?;
                    if self.mode.foreground() == Foreground::Lost {
                        // Lines of the server could not be shown, so there is nothing to wait for.
                        self.uplink.leave(Instant::now())?;
                    }
                    self.input_row = InputRow::Dirty;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn on_resize(&mut self, now: Instant) {
        match self.resize(window_size().0) {
            Resized::Draw => self.probe.cancel(),
            Resized::AskCursor => self.probe.on_resize(now),
        }
        self.input_row = InputRow::Dirty;
    }

    fn resize(&mut self, columns: usize) -> Resized {
        self.chat.resize(columns);
        self.screen.resize(columns)
    }

    fn on_cursor_report(&mut self, column: usize) {
        if let Some(report) = self.probe.on_report(column) {
            self.screen.find_cursor(report.column, report.last_column);
        }
    }

    /// Handles the timeouts that are due: a begun key or paste, a resized window, an unterminated line of the server.
    fn on_timers(&mut self, now: Instant) -> ControlFlow<RunResult> {
        if self.keys_deadline().is_some() {
            let mut term_events = Vec::new();
            self.keys.on_time(now, &mut |event| term_events.push(event));
            term_events.into_iter().try_for_each(|event| self.on_term_event(event, now))?;
        }
        // In the background, another process would get the reports.
        if self.mode.foreground() == Foreground::Held {
            let can_ask = !self.stdout.holds(SCREEN_BYTES_MAX);
            if self.probe.step(now, can_ask) == ProbeStep::Ask {
                self.stdout.queue().extend(CURSOR_REQUEST.as_bytes());
            }
        }
        let space = self.space();
        self.uplink.flush_partial(&mut self.chat, space, now);
        ControlFlow::Continue(())
    }

    /// Draws a frame if something changed and the terminal has taken the previous frame.
    fn draw(&mut self, now: Instant) -> Progress {
        let can_draw =
            self.probe.is_idle() && self.mode.foreground() == Foreground::Held && self.stdout.waiting_bytes() == 0;
        if !can_draw {
            return Progress::None;
        }
        let state = PromptState {
            question: self.editor.question(),
            search: self.editor.search(),
            query: self.chat.query.name(),
            status: self.uplink.status(now),
            waiting: self.uplink.waiting_lines(),
            under_way: self.uplink.lines_under_way(now),
            name: self.chat.own_name(),
            room: self.uplink.room(),
        };
        let prompts = state.prompts(self.style);
        let is_drawn = matches!(&self.input_row, InputRow::Drawn(drawn) if *drawn == prompts);
        if is_drawn && self.chat.page_bytes() == 0 {
            return Progress::None;
        }
        let page = self.chat.take_page();
        let input = match self.editor.question() {
            Some(_) => InputLine { prompts: &prompts, text: "", cursor: 0 },
            None => InputLine { prompts: &prompts, text: self.editor.text(), cursor: self.editor.cursor() },
        };
        self.screen.draw(&page, input, self.stdout.queue());
        self.input_row = InputRow::Drawn(prompts);
        Progress::Made
    }

    /// Shows the last lines and the unsent ones, without the input line. Returns the bytes that the terminal did not
    /// take.
    fn show_last_words(&mut self, events: &mut Events) -> usize {
        self.uplink.show_rest(&mut self.chat, Instant::now());
        let (in_doubt, mut unsent) = self.uplink.drain_unsent();
        self.chat.show_in_doubt(&in_doubt);
        if !self.editor.text().is_empty() {
            unsent.push(self.editor.text().to_owned());
        }
        self.chat.show_unsent(&unsent);
        self.chat.write_log();
        if self.mode.foreground() == Foreground::Held {
            self.await_reports(events);
            let page = self.chat.take_page();
            self.screen.put_page(&page, self.stdout.queue());
            self.flush_all(events);
        }
        self.stdout.waiting_bytes()
    }

    /// Waits for cursor reports that are under way: the next process at the terminal would take them for keys. (Keys
    /// that come in between are lost.)
    fn await_reports(&mut self, events: &mut Events) {
        while let Some(until) = self.probe.report_deadline() {
            let left = until.saturating_duration_since(Instant::now());
            let has_failed = self.stdout.flush().is_err() || left.is_zero();
            if has_failed || self.wait(events, Some(left)).is_err() {
                return;
            }
            while let Received::Bytes(len) = self.stdin.read(&mut self.scratch[..]) {
                let mut term_events = Vec::new();
                self.keys.parse(&self.scratch[..len], Instant::now(), &mut |event| term_events.push(event));
                for event in term_events {
                    if let TermEvent::CursorColumn(column) = event {
                        self.on_cursor_report(column);
                    }
                }
            }
        }
    }

    /// Flushes the queue of stdout, within [`LAST_WORDS_WAIT`].
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

    /// Waits for events and records them.
    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        self.poll.poll(events, timeout)?;
        for event in events.iter() {
            match event.token() {
                STDIN => self.stdin.on_event(),
                STDOUT => self.stdout.on_event(),
                SERVER => self.uplink.on_event(event),
                // The resolver: each turn asks for its answer.
                // Signals: `on_signals` takes all that are pending after each wait.
                _ => {}
            }
        }
        Ok(())
    }

    /// The longest time to wait for events; `None` without a deadline.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        let is_held = self.mode.foreground() == Foreground::Held;
        let probe = self.probe.deadline().filter(|_| is_held);
        let look = (!is_held).then(|| now + AWAY_LOOK);
        let call = self.chat.calls.deadline(now).filter(|_| is_held);
        let uplink = self.uplink.deadline(self.space(), now);
        let deadline = [self.keys_deadline(), probe, look, call, uplink].into_iter().flatten().min();
        deadline.map(|deadline| deadline.saturating_duration_since(now))
    }

    /// The deadline of a begun key or paste; `None` while bytes of it may wait to be read.
    fn keys_deadline(&self) -> Option<Instant> {
        self.keys.deadline().filter(|_| !self.stdin.may_read())
    }

    /// Space for lines of the server: there is none before the terminal has taken the previous frame.
    fn space(&self) -> ScreenSpace {
        let is_free = self.mode.foreground() == Foreground::Held
            && self.stdout.waiting_bytes() == 0
            && self.chat.page_bytes() < SCREEN_BYTES_MAX;
        if is_free { ScreenSpace::Free } else { ScreenSpace::Full }
    }
}
