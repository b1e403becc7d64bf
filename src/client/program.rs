//! The form of the client for a program of this crate: a member of one room, under one name, for as long as it can.
//!
//! The program has its own loop and its own timers. It passes lines to [`ProgramClient::say`], and calls
//! [`ProgramClient::turn`], which moves bytes and waits. The session, its tracking and all reconnects are those of the
//! other forms: each line of the room comes once and in order, and each line of the program is said once, over any
//! number of connections.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use super::address::ServerAddress;
use super::answers::Answers;
use super::connect::{Attempt, Opened};
use super::decoder::ServerLine;
use super::door::Door;
use super::limits::{GRACE, READ_BYTES};
use super::link::{Advance, FarewellKind, Link, LinkState, should_reconnect};
use super::progress::Progress;
use super::resolver::Resolver;
use super::secrets::Secrets;
use super::secure::Security;
use super::session::Session;
use super::tracked_link::{self, GOODBYE, Turn};
use super::tracking::{Event, How, Record, Tracking};
use super::{ClientError, Config};
use crate::net::backoff::jitter;
use crate::net::stdio::eprint_line;
use crate::relay::notice::Notice;

const SERVER: Token = Token(0);
const RESOLVER: Token = Token(1);
const SIGNALS: Token = Token(2);

/// A line for the program, or news of its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A line of the room from before the program came.
    Earlier(String),
    /// The program is in the room, and all earlier lines were told. This comes again behind a session that the server
    /// has lost, and lines of the program with it.
    Present,
    /// A line of the room. Own lines are left out.
    Line(String),
    /// A line for the program alone, without its prefix.
    Private(String),
}

/// Whether the program goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stay {
    /// It does.
    On,
    /// It was told to end by a signal, and has said goodbye.
    Left,
}

/// The connection of a program to its room, and what was heard there.
pub(crate) struct ProgramClient {
    /// The name of the program, for notes on stderr.
    program: &'static str,
    address: ServerAddress,
    poll: Poll,
    events: Events,
    signals: Signals,
    link: Link,
    tracking: Tracking,
    answers: Answers,
    heard: VecDeque<Heard>,
    /// Whether records from before our coming are still to come.
    is_catching_up: bool,
    is_leaving: bool,
    /// Whether the connection was lost, and stderr told so.
    is_lost: bool,
    /// Whether the last turn moved nothing and no event came: an answer that is late then is not merely unread.
    is_idle: bool,
    scratch: Box<[u8; READ_BYTES]>,
}

impl ProgramClient {
    /// Connects to the first address of the server that answers, and asks for room and name. Blocks until the connect.
    ///
    /// # Errors
    /// A secret cannot be used, no address answers, the server is not trusted, or the poller fails.
    pub(crate) fn connect(config: &Config, program: &'static str) -> Result<ProgramClient, ClientError> {
        let secrets = Secrets::load(config)?;
        let security = match config.server.is_tls() {
            true => Some(Security::load(&config.server, &config.trust)?),
            false => None,
        };
        let address = config.server.clone();
        let mut poll = Poll::new().map_err(ClientError::Poll)?;
        let mut resolver = Resolver::new(address.clone(), poll.registry(), RESOLVER).map_err(ClientError::Poll)?;
        let attempt = Attempt::new(&mut resolver, security.as_ref(), SERVER, Instant::now());
        let opened =
            attempt.wait(&mut resolver, &mut poll).map_err(|error| ClientError::of_attempt(error, address.clone()))?;
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(ClientError::Poll)?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE).map_err(ClientError::Poll)?;
        let now = Instant::now();
        let session = Session::new(opened, None, now);
        let mut client = ProgramClient {
            program,
            address,
            poll,
            events: Events::with_capacity(8),
            signals,
            link: Link::connected(resolver, security, SERVER, session, now),
            tracking: Tracking::new(true),
            answers: Answers::new(config.room.as_ref(), config.nick.as_ref()).with_secrets(secrets),
            heard: VecDeque::new(),
            is_catching_up: false,
            is_leaving: false,
            is_lost: false,
            is_idle: false,
            scratch: Box::new([0; READ_BYTES]),
        };
        client.begin(now);
        Ok(client)
    }

    /// Returns the next thing heard.
    pub(crate) fn next_heard(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    /// Says a line as soon as it may be said. The caller checks [`ProgramClient::free_bytes`].
    pub(crate) fn say(&mut self, line: &str) {
        self.tracking.push(line);
    }

    /// Free space for lines that the server has not taken yet, in bytes.
    pub(crate) fn free_bytes(&self) -> usize {
        self.tracking.free_bytes()
    }

    /// Moves bytes, and then waits until `until` for more, unless something was heard or may move at once.
    ///
    /// # Errors
    /// The server does not let the program into the room or have its name, does not track clients, or has ended the
    /// conversation for good; or the poller fails.
    pub(crate) fn turn(&mut self, until: Option<Instant>) -> Result<Stay, ClientError> {
        let now = Instant::now();
        let progress = self.exchange(now)?;
        if self.has_ended(now) && self.on_ended(now)? == Stay::Left {
            return Ok(Stay::Left);
        }
        let has_news = progress == Progress::Made || !self.heard.is_empty();
        let at = if has_news { Some(now) } else { until.into_iter().chain(self.deadline(now)).min() };
        let has_waited_in_vain = self.wait(at).map_err(ClientError::Poll)?;
        self.is_idle = has_waited_in_vain && !has_news;
        self.on_signals()
    }

    /// Connects, or moves bytes once in each direction.
    fn exchange(&mut self, now: Instant) -> Result<Progress, ClientError> {
        match self.link.advance(self.poll.registry(), now) {
            Advance::Nothing => {}
            Advance::Begun => return Ok(Progress::Made),
            Advance::Failed(_) => return Ok(Progress::None),
            Advance::Connected(opened) => self.open(opened, now),
            Advance::Untrusted(why) => return Err(ClientError::Untrusted { address: self.address.clone(), why }),
        }
        let mut progress = self.follow_answers(now)?;
        let Some(session) = self.link.session() else { return Ok(Progress::None) };
        if session.is_open() {
            let is_in = self.answers.is_in();
            tracked_link::learn_server(&mut self.tracking, session, is_in, now);
            let turn = Turn { is_in, holds_lines: self.answers.holds_lines(), is_leaving: false };
            progress |= tracked_link::advance(&mut self.tracking, session, turn, now);
            if self.is_idle && tracked_link::give_up_answer(&mut self.tracking, now) {
                session.abandon(&mut |_| {});
            }
        }
        progress |= session.send(now);
        let (tracking, answers) = (&mut self.tracking, &mut self.answers);
        progress |= session.receive(&mut self.scratch, now, &mut |line| take_line(line, tracking, answers, now));
        self.answers.room.on_server(session.server_kind());
        self.take_events(now)?;
        Ok(progress | self.follow_door(now)?)
    }

    fn open(&mut self, opened: Opened, now: Instant) {
        self.link.open(Session::new(opened, None, now), now);
        self.answers.door = Door::default();
        self.begin(now);
    }

    /// Begins a connection: with the session, or with the requests for the room and the name.
    fn begin(&mut self, now: Instant) {
        let Some(session) = self.link.session() else { return };
        if let Some(track) = self.tracking.on_connected(now) {
            self.answers.on_tracked_connected();
            session.queue_track(&track);
        } else {
            self.answers.on_connected(now).for_each(|request| session.queue_own(&request));
        }
    }

    /// Asks for the name again, or gives up a room or a name that the server does not give.
    fn follow_answers(&mut self, now: Instant) -> Result<Progress, ClientError> {
        let Some(session) = self.link.session().filter(|session| session.is_open()) else { return Ok(Progress::None) };
        self.answers.room.give_up_if_late(session.server_kind(), self.is_idle, now);
        if let Some((room, why)) = self.answers.room.refused() {
            return Err(ClientError::Room { room: room.to_string(), why: why.to_string() });
        }
        if let Some(text) = self.answers.refused_name() {
            return Err(ClientError::Notice(text.to_owned()));
        }
        if self.answers.room.holds_lines() {
            return Ok(Progress::None);
        }
        if self.is_idle && self.answers.is_late(GRACE, now) {
            let name = self.answers.missing_name().unwrap_or_default().to_owned();
            return Err(ClientError::Unnamed { address: self.address.clone(), name });
        }
        let Some(request) = self.answers.ask_again(now) else { return Ok(Progress::None) };
        if self.tracking.is_tracked() {
            self.tracking.push_requests(&[request.trim_end().to_owned()]);
        } else {
            session.queue_own(&request);
        }
        Ok(Progress::Made)
    }

    /// Gives the password to a server that asks for it.
    fn follow_door(&mut self, now: Instant) -> Result<Progress, ClientError> {
        if !self.answers.door.is_asking() {
            return Ok(Progress::None);
        }
        let address = &self.address;
        let line = self.answers.secrets.pass_line().filter(|_| self.answers.door == Door::Locked);
        let (Some(line), Some(session)) = (line, self.link.session()) else {
            return Err(ClientError::Notice(match self.answers.secrets.has_password() {
                true => format!("the server at {address} has another password"),
                false => format!("the server at {address} asks for a password"),
            }));
        };
        self.answers.door.on_tried();
        session.begun_at = now;
        session.queue_own(&line);
        // What was sent before it was dropped.
        self.tracking.on_disconnected();
        self.begin(now);
        Ok(Progress::Made)
    }

    fn take_events(&mut self, now: Instant) -> Result<(), ClientError> {
        while let Some(event) = self.tracking.next_event() {
            match event {
                Event::Entered(entered) => {
                    let requests = self.answers.on_entered(&entered, now);
                    let requests: Vec<String> = requests.map(|line| line.trim_end().to_owned()).collect();
                    self.tracking.push_requests(&requests);
                    self.link.on_tracked(entered.how.is_known_session());
                    match entered.how {
                        How::First | How::Anew(_) => self.is_catching_up = true,
                        // It reads on where the lost session was: all records are news.
                        How::ReadOn => self.heard.push_back(Heard::Present),
                        How::Resumed | How::Moved => {}
                    }
                    if std::mem::take(&mut self.is_lost) {
                        self.note("connected again");
                    }
                }
                Event::Record(record) => self.on_record(record, now),
                Event::Private(text) => {
                    self.answers.on_notice(Notice::parse(&text), now, jitter());
                    self.heard.push_back(Heard::Private(text));
                }
                Event::Untracked => {
                    let text = format!("the server at {} does not track clients", self.address);
                    return Err(ClientError::Notice(text));
                }
                Event::Taken { line, .. } => {
                    self.answers.on_taken();
                    self.answers.room.on_sent(&line);
                }
                Event::Elsewhere => self.answers.on_elsewhere(),
                Event::Plain(_) | Event::Missed(_) | Event::InDoubt(_) | Event::Unrecorded(_) | Event::Fin => {}
            }
        }
        if self.tracking.is_up_to_date() {
            self.on_present();
        }
        Ok(())
    }

    fn on_record(&mut self, record: Record, now: Instant) {
        if let Some(notice) = Notice::in_line(&record.line).filter(|_| !record.is_past) {
            self.answers.on_notice(notice, now, jitter());
        }
        let is_earlier = record.is_past || self.tracking.is_before_session(&record.position);
        if self.is_catching_up && is_earlier {
            self.heard.push_back(Heard::Earlier(record.line));
            return;
        }
        self.on_present();
        let is_own = || record.line.strip_prefix(self.tracking.name()).is_some_and(|rest| rest.starts_with("> "));
        if record.own.is_none() && !is_own() {
            self.heard.push_back(Heard::Line(record.line));
        }
    }

    fn on_present(&mut self) {
        if std::mem::take(&mut self.is_catching_up) {
            self.heard.push_back(Heard::Present);
        }
    }

    /// Whether the connection is of no use any more.
    fn has_ended(&mut self, now: Instant) -> bool {
        let is_idle = self.is_idle;
        self.link.session().is_some_and(|session| session.is_finished() || session.is_overdue(is_idle, now))
    }

    /// Ends a connection: for good, or until the next one.
    fn on_ended(&mut self, now: Instant) -> Result<Stay, ClientError> {
        let Some(session) = self.link.close(now) else { return Ok(Stay::On) };
        if self.is_leaving {
            return Ok(Stay::Left);
        }
        let reason = session.into_reason();
        let farewell = self.answers.farewell().cloned();
        let is_lost_for_good =
            !should_reconnect(&reason, farewell.as_ref().map(|last| last.kind), self.answers.was_in());
        let why = match farewell {
            Some(last) if last.kind == FarewellKind::TlsExpected => {
                ClientError::TlsExpected { address: self.address.clone() }
            }
            Some(last) => ClientError::Notice(last.text),
            None => match reason.into_result(self.address.clone()) {
                Ok(()) => ClientError::Closed { address: self.address.clone() },
                Err(error) => error,
            },
        };
        if is_lost_for_good {
            return Err(why);
        }
        self.tracking.on_disconnected();
        self.take_events(now)?;
        if !std::mem::replace(&mut self.is_lost, true) {
            self.note(&format!("{why}; trying again"));
        }
        Ok(Stay::On)
    }

    /// The time of the next step that no event announces.
    fn deadline(&mut self, now: Instant) -> Option<Instant> {
        let session = match &mut self.link.state {
            LinkState::Connecting(attempt) => return attempt.deadline(),
            LinkState::Waiting(until) => return Some(*until),
            LinkState::Connected(session, _) => session,
        };
        let room_at = self.answers.room.deadline(session.server_kind()).filter(|_| session.is_open());
        let name_at = self.answers.asked_at().map(|at| at + GRACE).filter(|_| !self.answers.room.holds_lines());
        let times = [
            room_at,
            name_at,
            self.answers.deadline(),
            tracked_link::deadline(&self.tracking, session, now),
            session.grace_left().map(|left| now + left),
            session.send_deadline(now),
        ];
        times.into_iter().flatten().min()
    }

    /// Waits for events and records them. Returns whether the time passed without any.
    fn wait(&mut self, until: Option<Instant>) -> io::Result<bool> {
        let timeout = until.map(|at| at.saturating_duration_since(Instant::now()));
        match self.poll.poll(&mut self.events, timeout) {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => return Ok(false),
            result => result?,
        }
        for event in self.events.iter().filter(|event| event.token() == SERVER) {
            if let Some(session) = self.link.session() {
                session.on_event(event);
            }
        }
        Ok(self.events.is_empty())
    }

    /// Says goodbye at the first signal, and ends at the second. The end of a process alone would keep the seat, and
    /// the name with it.
    fn on_signals(&mut self) -> Result<Stay, ClientError> {
        for signal in self.signals.pending() {
            if std::mem::replace(&mut self.is_leaving, true) {
                return Err(ClientError::Signal(signal));
            }
            let Some(session) = self.link.session() else { return Ok(Stay::Left) };
            session.queue_own(GOODBYE);
            session.finish_sending(Instant::now());
        }
        Ok(Stay::On)
    }

    fn note(&self, text: &str) {
        eprint_line(&format!("{}: {text}", self.program));
    }
}

fn take_line(line: ServerLine<'_>, tracking: &mut Tracking, answers: &mut Answers, now: Instant) {
    if answers.on_door_line(line) {
        return;
    }
    if !line.is_continued && !tracking.is_tracked() {
        answers.on_line(line.text, now, jitter());
    }
    tracking.on_server_line(line, now);
}
