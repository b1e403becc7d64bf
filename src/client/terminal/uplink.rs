//! The way to the server, over all the connections that it takes: connecting, talking, lost and tried again; and what
//! outlives a connection, which is what was typed and not sent, and the name.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Registry, Token};

use super::chat_view::{ChatView, ServerEvent};
use super::names::{LineKind, Notice};
use super::nick::{Nick, TakenReport};
use crate::client::address::ServerAddress;
use crate::client::backoff::{Backoff, jitter};
use crate::client::connect::{Attempt, AttemptStatus, Connected};
use crate::client::decoder::{ServerKind, ServerLine};
use crate::client::limits::{
    GRACE, READ_BYTES, RECONNECT_PAUSE_FIRST, RECONNECT_PAUSE_MAX, RECONNECT_STABLE, WELCOME_WAIT,
};
use crate::client::outbox::line_queue::LineQueue;
use crate::client::session::{CloseReason, Session};
use crate::client::{ClientError, Config};

/// What a run of the client ends with.
pub type RunResult = Result<(), ClientError>;

/// The way to the server.
#[derive(Debug)]
pub struct Uplink {
    address: ServerAddress,
    /// Resolved once: the resolver blocks, and the input line must not.
    candidates: Vec<SocketAddr>,
    flush_after: Option<Duration>,
    reconnects: bool,
    state: LinkState,
    intent: Intent,
    continuity: Continuity,
    /// The last thing of consequence that the server line on this connection.
    farewell: ServerEvent,
    unsent: LineQueue,
    nick: Nick,
    backoff: Backoff,
    /// Why there is no connection, or was none before this one.
    failure: Option<ClientError>,
}

#[derive(Debug)]
enum LinkState {
    Connecting(Attempt),
    /// Since then.
    Connected(Box<Session>, Instant),
    /// There is no connection; the next attempt begins then.
    Waiting(Instant),
}

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    Stay,
    /// To end it, once what was typed is sent, or at the latest then.
    LeaveBy(Instant),
}

/// What went before the present connection, or the attempt to have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Continuity {
    /// None was ever made.
    NeverConnected,
    /// Since then something may have been line that we did not hear.
    GapSince(Instant),
    /// Nothing is missing.
    Unbroken,
}

/// How the way to the server stands, to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStatus {
    /// A connection is being made.
    Connecting,
    /// There is one.
    Connected,
    /// There is one, and it is being ended.
    Leaving,
    /// There is none, and it is tried again after so many seconds.
    Waiting(u64),
}

impl Uplink {
    /// Will connect to the first of `candidates` that answers.
    pub fn new(config: &Config, candidates: Vec<SocketAddr>) -> Uplink {
        Uplink {
            address: config.server.clone(),
            state: LinkState::Connecting(Attempt::new(candidates.iter().copied())),
            candidates,
            flush_after: config.flush_after,
            reconnects: config.reconnect,
            intent: Intent::Stay,
            continuity: Continuity::NeverConnected,
            farewell: ServerEvent::None,
            unsent: LineQueue::default(),
            nick: Nick::new(config.nick.as_ref()),
            backoff: Backoff::new(RECONNECT_PAUSE_FIRST, RECONNECT_PAUSE_MAX),
            failure: None,
        }
    }

    /// How it stands.
    pub fn status(&self, now: Instant) -> LinkStatus {
        match (&self.state, self.intent) {
            (LinkState::Connecting(_), _) => LinkStatus::Connecting,
            (LinkState::Connected(..), Intent::LeaveBy(_)) => LinkStatus::Leaving,
            (LinkState::Connected(session, _), _) if !session.is_open() => LinkStatus::Leaving,
            (LinkState::Connected(..), Intent::Stay) => LinkStatus::Connected,
            (LinkState::Waiting(until), _) => LinkStatus::Waiting(seconds_until(*until, now)),
        }
    }

    /// How many typed lines wait to be sent.
    pub fn waiting_lines(&self) -> usize {
        self.unsent.waiting()
    }

    /// The typed lines that will never be sent.
    pub fn drain_unsent(&mut self) -> impl Iterator<Item = String> {
        self.unsent.take_back();
        self.unsent.drain()
    }

    /// Has these lines sent as soon as they can be.
    ///
    /// # Errors
    /// The lines, when too much waits already.
    pub fn say(&mut self, lines: Vec<String>) -> Result<(), Vec<String>> {
        self.unsent.push(lines)
    }

    /// Ends it: what was typed is still sent, and the server's farewell awaited. Asked for twice, it ends at once.
    pub fn leave(&mut self, now: Instant) -> ControlFlow<RunResult> {
        match (&self.state, self.intent) {
            (LinkState::Connected(session, _), Intent::Stay) if session.is_open() => {
                self.intent = Intent::LeaveBy(now + GRACE);
                ControlFlow::Continue(())
            }
            (LinkState::Connected(..), _) => ControlFlow::Break(Ok(())),
            _ => ControlFlow::Break(Err(self.failure.take().unwrap_or_else(|| ClientError::Connect {
                address: self.address.clone(),
                source: std::io::Error::new(std::io::ErrorKind::Interrupted, "given up"),
            }))),
        }
    }

    /// Takes note of an event of the socket.
    pub fn on_event(&mut self, event: &Event) {
        if let LinkState::Connected(session, _) = &mut self.state {
            session.on_event(event);
        }
    }

    /// Takes note that something was shown.
    pub fn mark_progress(&mut self, now: Instant) {
        if let LinkState::Connected(session, _) = &mut self.state {
            session.mark_progress(now);
        }
    }

    /// Goes on a step: connects, sends once, and, if there is `space` to show it, receives once.
    pub fn advance(
        &mut self,
        (registry, token): (&Registry, Token),
        scratch: &mut [u8; READ_BYTES],
        chat: &mut ChatView,
        space: ScreenSpace,
        now: Instant,
    ) -> ControlFlow<RunResult> {
        match &mut self.state {
            LinkState::Waiting(until) if *until > now => {}
            LinkState::Waiting(_) => self.state = LinkState::Connecting(Attempt::new(self.candidates.iter().copied())),
            LinkState::Connecting(attempt) => match attempt.advance(registry, token, now) {
                AttemptStatus::Pending => {}
                AttemptStatus::Connected(connected) => self.on_connected(connected, chat, now),
                AttemptStatus::Failed(source) => {
                    let address = self.address.clone();
                    self.failure = Some(ClientError::Connect { address, source });
                    self.wait_to_reconnect(now)?;
                }
            },
            LinkState::Connected(..) => {
                self.queue_lines(chat, now);
                self.exchange(scratch, chat, space, now);
                return self.check_closed(chat, now);
            }
        }
        ControlFlow::Continue(())
    }

    /// Takes what lacks its end as a line, if the server has been silent for long enough.
    pub fn flush_partial(&mut self, chat: &mut ChatView, space: ScreenSpace, now: Instant) {
        if let LinkState::Connected(session, _) = &mut self.state
            && space == ScreenSpace::Free
        {
            let mut events = Vec::new();
            session.flush_partial(now, &mut |line| show_line(line, chat, &mut self.continuity, &mut events, now));
            self.handle_events(events, chat, now);
        }
    }

    /// Ends a connection that has stood still for too long, if its time is over.
    pub fn check_grace(&mut self, chat: &mut ChatView, now: Instant) -> ControlFlow<RunResult> {
        match &self.state {
            LinkState::Connected(session, _) if session.grace_left() == Some(Duration::ZERO) => {
                self.on_closed(chat, now)
            }
            _ => ControlFlow::Continue(()),
        }
    }

    /// Whether [`Uplink::advance`] can do something without waiting.
    pub fn is_busy(&self, space: ScreenSpace, now: Instant) -> bool {
        match &self.state {
            LinkState::Connected(session, _) => {
                session.may_send() || (space == ScreenSpace::Free && session.may_receive()) || self.may_queue_lines(now)
            }
            _ => self.deadline(space, now).is_some_and(|deadline| deadline <= now),
        }
    }

    /// When to come back, if no event does before.
    pub fn deadline(&self, space: ScreenSpace, now: Instant) -> Option<Instant> {
        match &self.state {
            LinkState::Connecting(attempt) => attempt.deadline().or(Some(now)),
            // What is shown of it changes every second.
            LinkState::Waiting(until) => {
                let later = Duration::from_secs(seconds_until(*until, now).saturating_sub(1));
                Some(until.checked_sub(later).unwrap_or(*until))
            }
            LinkState::Connected(session, since) => {
                let grace_left = session.grace_left().map(|grace_left| now + grace_left);
                let welcome = (self.unsent.waiting() > 0).then(|| *since + WELCOME_WAIT).filter(|&at| at > now);
                let leave = match self.intent {
                    Intent::LeaveBy(at) if session.is_open() => Some(at),
                    _ => None,
                };
                // What cannot be shown, or read first, is not waited for.
                let silence = session.flush_deadline().filter(|_| space == ScreenSpace::Free && !session.may_receive());
                [grace_left, welcome, leave, silence, self.nick.deadline()].into_iter().flatten().min()
            }
        }
    }

    fn on_connected(&mut self, connected: Connected, chat: &mut ChatView, now: Instant) {
        let mut session = Session::new(connected, self.flush_after, now);
        chat.on_connection();
        self.farewell = ServerEvent::None;
        if let Some(name) = self.nick.on_connection() {
            ask_for(name, &mut session, &mut self.unsent, now);
        }
        self.state = LinkState::Connected(Box::new(session), now);
    }

    /// Whether typed lines may be sent: a server that is full would throw them away, so it is given the time to say so;
    /// and the name should be ours before.
    fn is_welcome(&self, now: Instant) -> bool {
        match &self.state {
            LinkState::Connected(session, since) => {
                let is_known = session.server_kind() == ServerKind::Pollchat && !self.nick.is_awaited();
                is_known || now.saturating_duration_since(*since) >= WELCOME_WAIT
            }
            _ => false,
        }
    }

    fn may_queue_lines(&self, now: Instant) -> bool {
        let LinkState::Connected(session, _) = &self.state else { return false };
        let is_open = session.is_open() && self.is_welcome(now);
        let has_line = self.unsent.next_bytes().is_some_and(|bytes| bytes <= session.free_bytes());
        let leaves = matches!(self.intent, Intent::LeaveBy(at) if self.unsent.waiting() == 0 || at <= now);
        session.is_open() && (leaves || (is_open && has_line))
    }

    /// Hands typed lines to the connection, as many as it takes; and ends our half behind them, if that is wanted.
    fn queue_lines(&mut self, chat: &mut ChatView, now: Instant) {
        let is_welcome = self.is_welcome(now);
        let LinkState::Connected(session, _) = &mut self.state else { return };
        while is_welcome && session.is_open() {
            let Some(line) = self.unsent.next_line(session.free_bytes()) else { break };
            show_gap(chat, &mut self.continuity, now);
            chat.show_own(&line);
            self.nick.on_typed(&line);
            session.queue(format!("{line}\n").as_bytes(), now);
        }
        if let Intent::LeaveBy(at) = self.intent
            && (self.unsent.waiting() == 0 || at <= now)
        {
            session.finish_sending(now);
        }
    }

    fn exchange(&mut self, scratch: &mut [u8; READ_BYTES], chat: &mut ChatView, space: ScreenSpace, now: Instant) {
        let LinkState::Connected(session, _) = &mut self.state else { return };
        if let Some(name) = self.nick.ask_again(now)
            && session.is_open()
        {
            ask_for(name, session, &mut self.unsent, now);
        }
        session.send(now);
        self.unsent.on_unsent(session.unsent_bytes());
        if space == ScreenSpace::Free {
            let mut events = Vec::new();
            session.receive(scratch, now, &mut |line| show_line(line, chat, &mut self.continuity, &mut events, now));
            self.handle_events(events, chat, now);
        }
    }

    fn handle_events(&mut self, events: Vec<ServerEvent>, chat: &mut ChatView, now: Instant) {
        for events in events {
            match events {
                ServerEvent::Called(name) => self.nick.on_called(&name),
                ServerEvent::Taken(name) => match self.nick.on_taken(&name, now, jitter()) {
                    TakenReport::Silent => {}
                    TakenReport::Taken => chat.show_taken(&name),
                    TakenReport::WillRetry => {
                        chat.show_taken(&name);
                        chat.show_note("it is asked for again until it is free");
                    }
                },
                ServerEvent::ShuttingDown | ServerEvent::Full => self.farewell = events,
                ServerEvent::None | ServerEvent::Fin => {}
            }
        }
    }

    fn check_closed(&mut self, chat: &mut ChatView, now: Instant) -> ControlFlow<RunResult> {
        match &self.state {
            LinkState::Connected(session, _) if session.is_over() => self.on_closed(chat, now),
            _ => ControlFlow::Continue(()),
        }
    }

    /// The connection is over: that is the end, or there will be another one.
    fn on_closed(&mut self, chat: &mut ChatView, now: Instant) -> ControlFlow<RunResult> {
        let LinkState::Connected(session, since) = std::mem::replace(&mut self.state, LinkState::Waiting(now)) else {
            return ControlFlow::Continue(());
        };
        let is_wanted = !session.is_send_half_open() || self.intent != Intent::Stay;
        let reason = session.into_reason();
        let comes_back = match (&reason, &self.farewell) {
            _ if is_wanted || !self.reconnects => false,
            // A server that ends the session ends it, but for one that is started anew, and one that has no place
            // for us after it had one.
            (CloseReason::Complete, ServerEvent::ShuttingDown) => true,
            (CloseReason::Complete, ServerEvent::Full) => matches!(self.continuity, Continuity::GapSince(_)),
            (CloseReason::Complete, _) => false,
            _ => true,
        };
        if !comes_back {
            return ControlFlow::Break(reason.into_result(self.address.clone()));
        }
        if self.continuity == Continuity::Unbroken || self.continuity == Continuity::NeverConnected {
            chat.show_note(&format!("{}; trying again (Ctrl-C ends it)", close_text(&reason)));
            self.continuity = Continuity::GapSince(now);
        }
        match self.unsent.take_back() {
            0 => {}
            1 => chat.show_note("the last line was not taken and will be sent again"),
            lines => chat.show_note(&format!("the last {lines} lines were not taken and will be sent again")),
        }
        self.failure = Some(match reason.into_result(self.address.clone()) {
            Ok(()) => ClientError::Closed { address: self.address.clone() },
            Err(err) => err,
        });
        if now.saturating_duration_since(since) >= RECONNECT_STABLE {
            self.backoff.reset();
        }
        self.wait_to_reconnect(now)
    }

    /// There is no connection: has the next attempt wait, unless there is to be none.
    fn wait_to_reconnect(&mut self, now: Instant) -> ControlFlow<RunResult> {
        if self.continuity == Continuity::NeverConnected
            && let Some(failure) = self.failure.take()
        {
            return ControlFlow::Break(Err(failure));
        }
        self.state = LinkState::Waiting(now + self.backoff.next_delay(jitter()));
        ControlFlow::Continue(())
    }
}

/// Whether what the server says can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScreenSpace {
    /// It can.
    Free,
    /// Not now: the terminal has yet to take what came before.
    Full,
}

/// Writes one line of the server's; before the first one after a gap, that there was one.
fn show_line(
    line: ServerLine<'_>,
    chat: &mut ChatView,
    continuity: &mut Continuity,
    events: &mut Vec<ServerEvent>,
    now: Instant,
) {
    if !is_refusal(line) {
        show_gap(chat, continuity, now);
    }
    let event = chat.show(line);
    if event != ServerEvent::None {
        events.push(event);
    }
}

/// Whether it is what one hears who is not let in.
fn is_refusal(line: ServerLine<'_>) -> bool {
    matches!(LineKind::parse(line.text), LineKind::Notice(Notice::Full) | LineKind::Fin)
}

fn show_gap(chat: &mut ChatView, continuity: &mut Continuity, now: Instant) {
    if let Continuity::GapSince(from) = *continuity {
        let seconds = now.saturating_duration_since(from).as_secs_f64().ceil();
        chat.show_note(&format!("connected again; what was line in these {seconds} s is missing here"));
    }
    *continuity = Continuity::Unbroken;
}

fn ask_for(name: &str, session: &mut Session, unsent: &mut LineQueue, now: Instant) {
    let line = format!("/nick {name}\n");
    if line.len() <= session.free_bytes() {
        unsent.count_handed(line.len());
        session.queue(line.as_bytes(), now);
    }
}

fn close_text(reason: &CloseReason) -> String {
    match reason {
        CloseReason::Complete => "the server has stopped".to_owned(),
        CloseReason::Closed => "the server closed the connection".to_owned(),
        CloseReason::Lost(err) => format!("the connection was lost: {err}"),
        CloseReason::LineQueue(_) => "the server stopped kind".to_owned(),
    }
}

/// So many seconds are left, the last one included.
fn seconds_until(until: Instant, now: Instant) -> u64 {
    let left = until.saturating_duration_since(now);
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}
