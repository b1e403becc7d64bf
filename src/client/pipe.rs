//! The pipe form of the client: passes lines between any stdin and stdout and the server, unchanged.
//!
//! ```text
//! stdin ─read→ SendBuffer ─write→ server ─read→ Decoder ─clean lines→ queue of Stdout ─write→ stdout
//! ```
//!
//! Both directions are bounded. A full buffer stops the read before it: a slow server applies backpressure to stdin,
//! and a blocked stdout to the server. Neither direction blocks the other.
//!
//! With `--reconnect`, `--json` or `--send` it tracks a server that can be tracked: `tracked` then counts the lines of
//! stdin, and sends again what a lost connection did not deliver.
//!
//! The exit code answers for stdin: 0 means that the server took every line of it, in the wanted room and under the
//! wanted name.
//! [`Answers`] follows what the server says about that, and `outcome` decides at the end.

mod door;
mod link;
mod outcome;
mod output;
mod stdin_lines;
mod tracked;

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use self::link::{Dialled, PipeLink};
use self::output::Output;
use self::tracked::Tracked;
use super::address::ServerAddress;
use super::answers::Answers;
use super::connect::Attempt;
use super::decoder::{ServerKind, ServerLine};
use super::door::Door;
use super::limits::{GRACE, READ_BYTES, SCREEN_BYTES_MAX, WELCOME_WAIT};
use super::outbox::line_count::LineCount;
use super::progress::Progress;
use super::resolver::Resolver;
use super::secrets::Secrets;
use super::secure::Security;
use super::session::{CloseReason, LineCounts, Session};
use super::timestamps::Timestamps;
use super::{ClientError, Config, Ending};
use crate::net::backoff::jitter;
use crate::net::stdio::stdin::Stdin;
use crate::net::stdio::stdout::{Stdout, StdoutError};
use crate::net::stream::Received;

const STDIN: Token = Token(0);
const STDOUT: Token = Token(1);
const SERVER: Token = Token(2);
const RESOLVER: Token = Token(3);

/// A conversation between stdin, stdout and a server.
#[derive(Debug)]
pub(super) struct PipeClient {
    address: ServerAddress,
    poll: Poll,
    stdin: Stdin,
    input: InputState,
    /// Lines of stdin that no session was given.
    unread: LineCount,
    stdout: Stdout,
    /// Whether stdout has a reader.
    is_shown: bool,
    /// Time of the last bytes that stdout took, or of the end of stdin without a connection.
    shown_at: Instant,
    link: PipeLink,
    /// The last session's end.
    ended: Option<(CloseReason, LineCounts)>,
    answers: Answers,
    /// Whether the server has said anything.
    has_heard: bool,
    output: Output,
    tracked: Tracked,
    /// Whether the last read of stdin found nothing.
    is_input_dry: bool,
    scratch: Box<[u8; READ_BYTES]>,
}

/// State of stdin.
#[derive(Debug)]
enum InputState {
    /// More may come.
    Open,
    /// Its end was read.
    Ended,
    /// `--listen`: it is not read.
    Unused,
    /// It cannot be read.
    Failed(io::Error),
}

/// Result of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    /// At least one event.
    Events,
    /// The timeout passed without an event.
    Timeout,
    /// A signal ended the poll.
    Interrupted,
}

impl PipeClient {
    /// Connects to the first address of the server that answers, and asks for the room and the nick. Blocks until then.
    ///
    /// # Errors
    /// No address answers, the server is not trusted, or the poller fails.
    pub(super) fn connect(
        config: &Config,
        security: Option<Security>,
        secrets: Secrets,
    ) -> Result<PipeClient, ClientError> {
        let address = config.server.clone();
        let mut poll = Poll::new().map_err(ClientError::Poll)?;
        let mut resolver = Resolver::new(address.clone(), poll.registry(), RESOLVER).map_err(ClientError::Poll)?;
        let attempt = Attempt::new(&mut resolver, security.as_ref(), SERVER, Instant::now());
        let opened = match attempt.wait(&mut resolver, &mut poll) {
            Ok(opened) => opened,
            Err(error) => return Err(ClientError::of_attempt(error, address)),
        };
        let stdin = Stdin::register(poll.registry(), STDIN).map_err(ClientError::Poll)?;
        let stdout = Stdout::register(poll.registry(), STDOUT).map_err(ClientError::Poll)?;
        let output = match config {
            Config { send: Some(_), .. } => Output::Nothing,
            Config { json: true, .. } => Output::Json,
            _ => Output::Lines(Timestamps::in_pipe(config.timestamps)),
        };
        let mut client = PipeClient {
            link: PipeLink::new(config, resolver, security, SERVER, opened, Instant::now()),
            address,
            poll,
            stdin,
            input: match config {
                Config { listens: true, .. } => InputState::Unused,
                Config { send: Some(_), .. } => InputState::Ended,
                _ => InputState::Open,
            },
            unread: LineCount::default(),
            stdout,
            is_shown: true,
            shown_at: Instant::now(),
            ended: None,
            answers: Answers::new(config.room.as_ref(), config.nick.as_ref()).with_secrets(secrets),
            has_heard: false,
            output,
            tracked: Tracked::new(config.tracks_in_pipe(), says_text(config), config.send.is_some()),
            is_input_dry: false,
            scratch: Box::new([0; READ_BYTES]),
        };
        if let Some(text) = &config.send {
            client.link.give_back(format!("{text}\n").as_bytes());
        }
        client.on_connected(Instant::now());
        Ok(client)
    }

    /// Runs until one side ends the conversation.
    ///
    /// # Errors
    /// Not all of stdin was said, or stdin or stdout fails.
    pub(super) fn run(mut self) -> Result<Ending, ClientError> {
        let mut events = Events::with_capacity(8);
        loop {
            let mut progress = self.exchange();
            progress |= self.show()?;
            let now = Instant::now();
            if self.is_finished() && self.end_session(now) {
                return self.outcome();
            }
            let timeout = match progress {
                Progress::Made => Some(Duration::ZERO),
                Progress::None => self.timeout(now),
            };
            let waited = self.wait(&mut events, timeout).map_err(ClientError::Poll)?;
            // Time alone does not decide: a client that was stopped (Ctrl-Z) for longer has unread events.
            let is_idle = progress == Progress::None && waited == Waited::Timeout;
            let now = Instant::now();
            self.give_up_room(is_idle, now);
            self.give_up_answer(is_idle, now);
            if self.send_deadline().is_some_and(|at| at <= now) {
                return self.outcome();
            }
            if self.is_overdue(is_idle, now) && !self.abandon_server() && self.end_session(now) {
                return self.outcome();
            }
            if waited != Waited::Interrupted {
                self.flush_partial();
            }
        }
    }

    /// Moves bytes once in each direction, or advances a connection attempt.
    fn exchange(&mut self) -> Progress {
        let now = Instant::now();
        if self.is_over() {
            return Progress::None;
        }
        if self.link.session().is_none() {
            match self.link.advance(self.poll.registry(), now) {
                Dialled::Pending => return self.read_ahead(),
                Dialled::Connected => {
                    self.answers.door = Door::default();
                    self.on_connected(now);
                }
                Dialled::Untrusted(why) => {
                    let counts = self.tracked.line_counts().unwrap_or_default();
                    self.ended = Some((CloseReason::Untrusted(why), counts));
                    return Progress::Made;
                }
            }
        }
        let mut progress = self.follow_room(now) | self.follow_name(now);
        progress |= self.read_stdin();
        progress |= self.follow_tracking(now);
        if let Some(session) = self.link.session() {
            progress |= session.send(Instant::now());
            session.take_sent_joins().iter().for_each(|line| self.answers.room.on_sent(line));
        }
        progress | self.receive() | self.follow_door(now)
    }

    /// Leaves if the room cannot be entered.
    fn follow_room(&mut self, now: Instant) -> Progress {
        let is_open = self.link.session().is_some_and(|session| session.is_open());
        if !is_open || self.answers.room.refused().is_none() {
            return Progress::None;
        }
        self.give_up(now);
        Progress::Made
    }

    /// Gives the room up if the server has not answered in time, unless the answer may be unread.
    fn give_up_room(&mut self, is_idle: bool, now: Instant) {
        let is_full = self.stdout.holds(SCREEN_BYTES_MAX);
        if let Some(session) = self.link.session().filter(|session| session.is_open() && !is_full) {
            self.answers.room.give_up_if_late(session.server_kind(), is_idle, now);
        }
    }

    /// Asks for the name again, or leaves without it.
    fn follow_name(&mut self, now: Instant) -> Progress {
        if self.answers.room.holds_lines() {
            return Progress::None;
        }
        if self.link.session().is_none() {
            return Progress::None;
        }
        if let Some(request) = self.answers.ask_again(now) {
            self.request(&request);
            return Progress::Made;
        }
        let Some(session) = self.link.session() else { return Progress::None };
        if !self.answers.awaits_name() || !session.is_open() {
            return Progress::None;
        }
        let is_late = self.answers.is_late(name_wait(session), now);
        if session.server_kind() != ServerKind::Pollchat && is_late {
            // It knows no names.
            self.answers.forget_name();
            return Progress::Made;
        }
        if self.answers.refused_name().is_some() || is_late {
            self.give_up(now);
            return Progress::Made;
        }
        Progress::None
    }

    /// Reads stdin once, if the session has space for a full read.
    fn read_stdin(&mut self) -> Progress {
        let now = Instant::now();
        let is_tracked = !self.tracked.tracking.is_plain();
        let Some(session) = self.link.session() else { return Progress::None };
        if is_tracked {
            return if session.is_open() { self.read_tracked(now) } else { Progress::None };
        }
        let is_held = self.answers.holds_lines() || self.answers.is_at_door(session, now);
        if is_held || !session.is_open() || session.free_bytes() < READ_BYTES {
            return Progress::None;
        }
        let taken_back = self.link.take_back();
        let Some(session) = self.link.session() else { return Progress::None };
        if !taken_back.is_empty() {
            session.queue(&taken_back, now);
            return Progress::Made;
        }
        match &self.input {
            InputState::Open => {}
            InputState::Unused => return Progress::None,
            InputState::Ended | InputState::Failed(_) => {
                session.finish_sending(now);
                return Progress::Made;
            }
        }
        match self.stdin.read(&mut self.scratch[..]) {
            Received::Bytes(len) => {
                session.mark_progress(now);
                session.queue(&self.scratch[..len], now);
            }
            // Without a reader of stdout, the client does not wait for more.
            Received::NotYet if self.is_shown => return Progress::None,
            Received::NotYet => session.finish_sending(now),
            Received::End => {
                self.input = InputState::Ended;
                session.finish_sending(now);
            }
            Received::Failed(err) => {
                self.input = InputState::Failed(err);
                session.finish_sending(now);
            }
        }
        Progress::Made
    }

    /// Reads stdin once without a connection, unless something waits for one already. So the end of stdin is noticed.
    fn read_ahead(&mut self) -> Progress {
        if self.link.has_given_back() || !matches!(self.input, InputState::Open) {
            return Progress::None;
        }
        match self.stdin.read(&mut self.scratch[..]) {
            Received::NotYet => return Progress::None,
            Received::Bytes(len) => self.link.give_back(&self.scratch[..len]),
            Received::End => self.input = InputState::Ended,
            Received::Failed(err) => self.input = InputState::Failed(err),
        }
        self.shown_at = Instant::now();
        Progress::Made
    }

    /// Reads from the server once, if the queue of stdout has space.
    fn receive(&mut self) -> Progress {
        let now = Instant::now();
        let was_in = self.answers.is_in();
        let Some(session) = self.link.session() else { return Progress::None };
        if self.stdout.holds(SCREEN_BYTES_MAX) {
            session.on_unread();
            return Progress::None;
        }
        let queue = self.stdout.queue();
        let progress = session.receive(&mut self.scratch, now, &mut |line| {
            self.has_heard = true;
            take_line(line, &self.output, &mut self.tracked, &mut self.answers, queue, now);
        });
        self.answers.room.on_server(session.server_kind());
        self.take_events(now);
        if self.answers.is_in() && !was_in && self.tracked.tracking.is_plain() {
            self.link.on_in(false, now);
        }
        progress
    }

    /// Reads no more of a server that does not end. Stdout still gets what it has said. Returns whether there was one.
    fn abandon_server(&mut self) -> bool {
        let now = Instant::now();
        let Some(session) = self.link.session().filter(|session| !session.is_finished()) else { return false };
        let queue = self.stdout.queue();
        session.abandon(&mut |line| {
            take_line(line, &self.output, &mut self.tracked, &mut self.answers, queue, now);
        });
        self.take_events(now);
        true
    }

    fn flush_partial(&mut self) {
        let now = Instant::now();
        let Some(session) = self.link.session() else { return };
        if !self.stdout.holds(SCREEN_BYTES_MAX) {
            let queue = self.stdout.queue();
            session.flush_partial(now, &mut |line| {
                take_line(line, &self.output, &mut self.tracked, &mut self.answers, queue, now);
            });
            self.take_events(now);
        }
    }

    /// Writes to stdout once. Without a reader, the client leaves as soon as stdin has nothing more to say.
    fn show(&mut self) -> Result<Progress, ClientError> {
        if !self.is_shown {
            self.stdout.queue().clear();
            return Ok(Progress::None);
        }
        match self.stdout.flush() {
            Ok(0) => Ok(Progress::None),
            Ok(_) => {
                self.shown_at = Instant::now();
                if let Some(session) = self.link.session() {
                    session.mark_progress(self.shown_at);
                }
                Ok(Progress::Made)
            }
            Err(StdoutError::Closed) => {
                self.is_shown = false;
                // A full queue would stop the reads from the server.
                self.stdout.queue().clear();
                Ok(Progress::Made)
            }
            Err(StdoutError::Failed(err)) => Err(ClientError::Stdout(err).with_unsaid(self.unsaid_at_failure())),
        }
    }

    /// The longest time to wait for events; `None` without a deadline.
    fn timeout(&mut self, now: Instant) -> Option<Duration> {
        let name_at = self.answers.asked_at().filter(|_| !self.answers.room.holds_lines());
        let asks_at = self.answers.deadline();
        let tracking_at = self.tracking_deadline(now);
        let is_full = self.stdout.holds(SCREEN_BYTES_MAX);
        let link_at = if self.is_over() { Some(self.shown_at + GRACE) } else { self.link.deadline() };
        let goodbye_at = self.goodbye_deadline().filter(|at| *at > now);
        let link_at = link_at.into_iter().chain(self.send_deadline()).chain(goodbye_at).min();
        let Some(session) = self.link.session() else {
            return link_at.map(|at| at.saturating_duration_since(now));
        };
        let room_at = self.answers.room.deadline(session.server_kind()).filter(|_| session.is_open() && !is_full);
        let name_at = name_at.filter(|_| session.is_open()).map(|at| at + name_wait(session));
        let grace_at = session.grace_left().map(|left| now + left);
        let tracking_at = tracking_at.filter(|_| session.is_open() && !is_full);
        let flush_at = session.flush_deadline().filter(|_| !is_full);
        let send_at = session.send_deadline(now);
        let door_at = self.answers.door_deadline(session).filter(|at| *at > now);
        let at =
            [asks_at, room_at, name_at, tracking_at, grace_at, flush_at, send_at, door_at].into_iter().flatten().min();
        at.map(|at| at.saturating_duration_since(now))
    }

    /// Waits for events and records them.
    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<Waited> {
        match self.poll.poll(events, timeout) {
            // Ctrl-Z and `fg` cause this.
            Err(err) if err.kind() == io::ErrorKind::Interrupted => return Ok(Waited::Interrupted),
            result => result?,
        }
        for event in events.iter() {
            match event.token() {
                STDIN => self.stdin.on_event(),
                STDOUT => self.stdout.on_event(),
                SERVER => {
                    if let Some(session) = self.link.session() {
                        session.on_event(event);
                    }
                }
                // The attempt that waits for it looks itself.
                _ => {}
            }
        }
        Ok(if events.is_empty() { Waited::Timeout } else { Waited::Events })
    }
}

/// Time for the answer about a name.
fn name_wait(session: &Session) -> Duration {
    if session.server_kind() == ServerKind::Pollchat { GRACE } else { WELCOME_WAIT }
}

fn take_line(
    line: ServerLine<'_>,
    output: &Output,
    tracked: &mut Tracked,
    answers: &mut Answers,
    shown: &mut VecDeque<u8>,
    now: Instant,
) {
    if answers.on_door_line(line) {
        return;
    }
    if !line.is_continued && !tracked.tracking.is_tracked() {
        answers.on_line(line.text, now, jitter());
    }
    if tracked.tracking.is_plain() && !tracked.tracking.has_events() {
        output.show_line(line.mark(), line.text, answers.room.present(), shown);
    } else {
        tracked.tracking.on_server_line(line, now);
    }
}

fn says_text(config: &Config) -> bool {
    config.says_text || config.send.is_some()
}
