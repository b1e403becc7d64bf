//! The link to the server across reconnects, and the typed lines that outlive a connection.

use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Registry, Token};

use super::chat_view::ChatView;
use super::inbox::Inbox;
use super::line_limit::Refused;
use super::tracked::{Tracked, greet};
use crate::client::address::ServerAddress;
use crate::client::connect::Opened;
use crate::client::decoder::ServerKind;
use crate::client::door::Door;
use crate::client::limits::{GRACE, KIND_WAIT, READ_BYTES, WELCOME_WAIT};
use crate::client::link::{Advance, Link, LinkState};
use crate::client::outbox::entered::{Entered, Intent as LineIntent};
use crate::client::outbox::line_queue::LineQueue;
use crate::client::progress::Progress;
use crate::client::resolver::Resolver;
use crate::client::secrets::Secrets;
use crate::client::secure::Security;
use crate::client::session::{CloseReason, Session};
use crate::client::tracked_link;
use crate::client::{ClientError, Config};

/// Result of a run of the client.
pub(super) type RunResult = Result<(), ClientError>;

/// The link to the server: at most one session or connection attempt at a time.
#[derive(Debug)]
pub(super) struct Uplink {
    address: ServerAddress,
    flush_after: Option<Duration>,
    reconnects: bool,
    pub(super) link: Link,
    intent: Intent,
    pub(super) inbox: Inbox,
    pub(super) tracked: Tracked,
    pub(super) unsent: LineQueue,
    /// Reason for having no connection now, or none before this one.
    failure: Option<ClientError>,
    scratch: Box<[u8; READ_BYTES]>,
}

/// Intent of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    Stay,
    /// Leave as soon as the typed lines are sent, at this time at the latest.
    LeaveBy(Instant),
}

/// State of the link, for the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkStatus {
    /// A connection attempt is under way.
    Connecting,
    /// The session is open.
    Connected,
    /// The server asks for a password, which the user has not given.
    Locked,
    /// The session is half closed.
    Leaving,
    /// No connection. The next attempt begins in so many seconds.
    Waiting(u64),
}

/// Space on the screen for lines of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScreenSpace {
    /// Lines can be shown.
    Free,
    /// The terminal has not taken the previous lines yet.
    Full,
}

impl Uplink {
    /// Begins to connect to the first address of `resolver` that answers. `token` is the socket's.
    pub(super) fn new(
        config: &Config,
        resolver: Resolver,
        (security, secrets): (Option<Security>, Secrets),
        token: Token,
    ) -> Uplink {
        Uplink {
            address: config.server.clone(),
            link: Link::connecting(resolver, security, token, Instant::now()),
            flush_after: config.flush_after,
            reconnects: config.reconnect,
            intent: Intent::Stay,
            inbox: Inbox::new(config.room.as_ref(), config.nick.as_ref(), secrets),
            // A session is of no use to a client that does not come back.
            tracked: Tracked::new(config.reconnect),
            unsent: LineQueue::default(),
            failure: None,
            scratch: Box::new([0; READ_BYTES]),
        }
    }

    /// The state of the link.
    pub(super) fn status(&self, now: Instant) -> LinkStatus {
        match (&self.link.state, self.intent) {
            (LinkState::Connecting(_), _) => LinkStatus::Connecting,
            (LinkState::Connected(..), Intent::LeaveBy(_)) => LinkStatus::Leaving,
            (LinkState::Connected(session, _), _) if !session.is_open() => LinkStatus::Leaving,
            (LinkState::Connected(..), Intent::Stay) if self.inbox.door == Door::Waiting => LinkStatus::Locked,
            (LinkState::Connected(..), Intent::Stay) => LinkStatus::Connected,
            (LinkState::Waiting(until), _) => LinkStatus::Waiting(seconds_until(*until, now)),
        }
    }

    /// Our room, unless it is the lobby.
    pub(super) fn room(&self) -> Option<&str> {
        self.inbox.room.shown()
    }

    /// The number of typed lines that wait for a connection or for space in it.
    pub(super) fn waiting_lines(&self) -> usize {
        self.unsent.waiting() + self.tracked.tracking.waiting_lines()
    }

    /// The number of typed lines that were sent, and have no record for long.
    pub(super) fn lines_under_way(&self, now: Instant) -> usize {
        let waiting = self.tracked.tracking.waiting_lines();
        self.tracked.late_lines(now).saturating_sub(waiting)
    }

    /// Whether the server has shown that it is no pollchat server.
    pub(super) fn is_foreign(&self) -> bool {
        match &self.link.state {
            LinkState::Connected(session, _) => session.server_kind() == ServerKind::Other,
            LinkState::Connecting(_) | LinkState::Waiting(_) => false,
        }
    }

    /// Whether the user leaves.
    pub(super) fn is_leaving(&self) -> bool {
        self.intent != Intent::Stay
    }

    /// The time by which the user leaves.
    pub(super) fn leaves_by(&self) -> Option<Instant> {
        if let Intent::LeaveBy(at) = self.intent { Some(at) } else { None }
    }

    /// Removes the typed lines that may have been sent or not, and those that were not sent.
    pub(super) fn drain_unsent(&mut self) -> (Vec<String>, Vec<String>) {
        let (in_doubt, unsent) = self.tracked.drain();
        self.unsent.take_back();
        let texts = |lines: Vec<Entered>| lines.into_iter().map(|line| line.text);
        (texts(in_doubt).collect(), texts(unsent).chain(self.unsent.drain()).collect())
    }

    /// Queues typed lines.
    ///
    /// # Errors
    /// The lines, if the queue is full.
    pub(super) fn queue(&mut self, lines: Vec<Entered>) -> Result<(), Vec<Entered>> {
        self.unsent.push(lines)
    }

    /// Takes the lines over the server's limit.
    pub(super) fn take_refused(&mut self) -> Vec<Refused> {
        self.inbox.limit.take_refused()
    }

    /// Leaves: sends the typed lines, then waits for the server's FIN, both within [`GRACE`]. A second call ends the
    /// run at once.
    pub(super) fn leave(&mut self, now: Instant) -> ControlFlow<RunResult> {
        // A server that has not let us in takes no goodbye.
        let is_in = !self.inbox.door.is_locked();
        match (&self.link.state, self.intent) {
            (LinkState::Connected(session, _), Intent::Stay) if session.is_open() && is_in => {
                self.intent = Intent::LeaveBy(now + GRACE);
                ControlFlow::Continue(())
            }
            (LinkState::Connected(..), _) => ControlFlow::Break(Ok(())),
            _ => ControlFlow::Break(Err(self.failure.take().unwrap_or_else(|| ClientError::Connect {
                address: self.address.clone(),
                source: io::Error::new(io::ErrorKind::Interrupted, "given up"),
            }))),
        }
    }

    /// Records an event of the socket.
    pub(super) fn on_event(&mut self, event: &Event) {
        if let LinkState::Connected(session, _) = &mut self.link.state {
            session.on_event(event);
        }
    }

    /// Restarts the grace: the terminal has taken something.
    pub(super) fn mark_progress(&mut self, now: Instant) {
        if let LinkState::Connected(session, _) = &mut self.link.state {
            session.mark_progress(now);
        }
    }

    /// Advances by one step: connects, or sends once and, with space on the screen, receives once. Breaks at the end of
    /// the run.
    pub(super) fn advance(
        &mut self,
        registry: &Registry,
        chat: &mut ChatView,
        space: ScreenSpace,
        now: Instant,
    ) -> ControlFlow<RunResult, Progress> {
        match self.link.advance(registry, now) {
            Advance::Nothing => return self.exchange(chat, space, now),
            Advance::Begun => {}
            Advance::Connected(opened) => self.on_connected(opened, chat, now),
            Advance::Failed(source) => {
                let address = self.address.clone();
                self.failure = Some(ClientError::Connect { address, source });
                self.end_unless_let_in()?;
            }
            Advance::Untrusted(why) => {
                let address = self.address.clone();
                return ControlFlow::Break(Err(ClientError::Untrusted { address, why }));
            }
        }
        ControlFlow::Continue(Progress::Made)
    }

    /// Shows an unterminated line if a foreign server has been silent for long enough.
    pub(super) fn flush_partial(&mut self, chat: &mut ChatView, space: ScreenSpace, now: Instant) {
        if let LinkState::Connected(session, _) = &mut self.link.state
            && space == ScreenSpace::Free
        {
            session.flush_partial(now, &mut |line| self.tracked.take_line(line, &mut self.inbox, chat, now));
            self.take_events(chat, now);
        }
    }

    /// Shows what the server has said of a line without its end, because the session ends.
    pub(super) fn show_rest(&mut self, chat: &mut ChatView, now: Instant) {
        if let LinkState::Connected(session, _) = &mut self.link.state {
            session.show_rest(&mut |line| self.tracked.take_line(line, &mut self.inbox, chat, now));
            self.take_events(chat, now);
        }
    }

    /// Gives the room up if the server has not answered in time, unless the answer may be unread. `is_idle` tells
    /// whether the last turn did nothing.
    pub(super) fn check_room(&mut self, space: ScreenSpace, is_idle: bool, now: Instant) {
        if let LinkState::Connected(session, _) = &mut self.link.state
            && session.is_open()
            && space == ScreenSpace::Free
        {
            self.inbox.room.give_up_if_late(session.server_kind(), is_idle, now);
        }
    }

    /// Closes a half-closed session whose grace is over. `is_idle` tells whether the last turn did nothing.
    pub(super) fn check_grace(&mut self, chat: &mut ChatView, is_idle: bool, now: Instant) -> ControlFlow<RunResult> {
        let LinkState::Connected(session, _) = &mut self.link.state else { return ControlFlow::Continue(()) };
        if session.is_overdue(is_idle, now) { self.on_closed(chat, now) } else { ControlFlow::Continue(()) }
    }

    /// The time of the next step that no event announces.
    pub(super) fn deadline(&self, space: ScreenSpace, now: Instant) -> Option<Instant> {
        match &self.link.state {
            LinkState::Connecting(attempt) => attempt.deadline().or(Some(now)),
            // The prompt counts the seconds.
            LinkState::Waiting(until) => {
                let late = self.tracked.late_at(now);
                let later = Duration::from_secs(seconds_until(*until, now).saturating_sub(1));
                Some(until.checked_sub(later).unwrap_or(*until)).into_iter().chain(late).min()
            }
            LinkState::Connected(session, since) => {
                let grace = session.grace_left().map(|left| now + left);
                let welcome = self
                    .unsent
                    .next()
                    .and_then(|_| [WELCOME_WAIT, KIND_WAIT].into_iter().map(|wait| *since + wait).find(|&at| at > now));
                let leave = match self.intent {
                    Intent::LeaveBy(at) if session.is_open() => Some(at),
                    _ => None,
                };
                let flush = session.flush_deadline().filter(|_| space == ScreenSpace::Free);
                let send = session.send_deadline(now);
                let room = self
                    .inbox
                    .room
                    .deadline(session.server_kind())
                    .filter(|_| session.is_open() && space == ScreenSpace::Free);
                let nick = self.inbox.nick.deadline().filter(|_| !self.tracked.is_asking());
                let tracked = self.tracked.deadline(session, now);
                [grace, welcome, leave, flush, send, room, nick, tracked].into_iter().flatten().min()
            }
        }
    }

    fn on_connected(&mut self, opened: Opened, chat: &mut ChatView, now: Instant) {
        let mut session = Session::new(opened, self.flush_after, now);
        self.inbox.door = Door::default();
        greet((&mut self.tracked, &mut self.inbox, &mut self.unsent), &mut session, chat, now);
        self.link.open(session, now);
    }

    fn exchange(&mut self, chat: &mut ChatView, space: ScreenSpace, now: Instant) -> ControlFlow<RunResult, Progress> {
        let mut progress = self.follow_tracking(chat, now);
        self.send_lines(chat, now);
        self.request_name(now);
        let LinkState::Connected(session, _) = &mut self.link.state else { return ControlFlow::Continue(progress) };
        progress |= session.send(now);
        let room = &mut self.inbox.room;
        self.unsent.on_unsent(session.unsent_bytes(), |line| {
            if line.intent == LineIntent::Line {
                room.on_sent(&line.text);
            }
        });
        if space == ScreenSpace::Free {
            let (tracked, inbox) = (&mut self.tracked, &mut self.inbox);
            progress |= session.receive(&mut self.scratch, now, &mut |line| tracked.take_line(line, inbox, chat, now));
            if !inbox.door.is_locked() {
                tracked_link::learn_server(&mut tracked.tracking, session, chat.own_name().is_some(), now);
            }
        } else {
            session.on_unread();
        }
        self.inbox.room.on_server(session.server_kind());
        let (is_open, is_finished) = (session.is_open(), session.is_finished());
        progress |= self.take_events(chat, now);
        if is_open {
            progress |= self.follow_door(chat, now) | self.follow_room(chat);
        }
        if is_finished {
            self.on_closed(chat, now)?;
            progress = Progress::Made;
        }
        ControlFlow::Continue(progress)
    }

    /// Moves typed lines to the session, as many as fit. Closes our direction behind them if the user leaves.
    fn send_lines(&mut self, chat: &mut ChatView, now: Instant) {
        let is_welcome = self.is_welcome(now);
        if let LinkState::Connected(session, _) = &self.link.state
            && self.tracked.takes_lines(session.server_kind())
        {
            self.send_tracked(chat, now);
            return;
        }
        let LinkState::Connected(session, since) = &mut self.link.state else { return };
        let is_known = now.saturating_duration_since(*since) >= KIND_WAIT;
        while is_welcome && session.is_open() {
            let Some(line) = self.unsent.next() else { break };
            let kind = session.server_kind();
            if matches!(kind, ServerKind::Unknown(_)) && !is_known && line.depends_on_kind() {
                break;
            }
            if !line.is_fit_for(kind) {
                chat.show_unsent(std::slice::from_ref(&line.text));
                self.unsent.remove_next();
                continue;
            }
            let wire = line.wire(kind).into_owned();
            if let Some(limit) = self.inbox.limit.exceeded(&wire, kind) {
                self.unsent.remove_next();
                self.inbox.limit.hold(wire, limit);
                continue;
            }
            let bytes = [wire.as_bytes(), b"\n"].concat();
            if bytes.len() > session.free_bytes() {
                break;
            }
            let line = self.unsent.hand_next(bytes.len()).expect("it is the next");
            self.inbox.on_own_line(&line, &wire, kind, chat, now);
            match line.intent {
                LineIntent::Line | LineIntent::Told => session.queue(&bytes, now),
                LineIntent::Text => session.queue_text(&bytes, now),
            }
        }
        if let Intent::LeaveBy(at) = self.intent
            && (self.unsent.waiting() == 0 || at <= now)
        {
            session.finish_sending(now);
        }
    }

    /// Drops the waiting lines if the room for which they were typed cannot be entered.
    fn follow_room(&mut self, chat: &mut ChatView) -> Progress {
        let Some((name, why)) = self.inbox.room.take_refused() else { return Progress::None };
        chat.on_lobby();
        chat.show_note(&format!("cannot join {name}: {why}"));
        let unsent: Vec<String> = {
            let waiting = self.tracked.take_waiting().into_iter().map(|line| line.text);
            waiting.chain(self.unsent.drain()).collect()
        };
        chat.show_unsent(&unsent);
        Progress::Made
    }

    /// Whether typed lines may be sent: in the room for which they were typed. A full server would drop them, so it
    /// gets [`WELCOME_WAIT`] to say that it is full or to answer about the nick.
    fn is_welcome(&self, now: Instant) -> bool {
        match &self.link.state {
            LinkState::Connected(session, since) => {
                let is_known = session.server_kind() == ServerKind::Pollchat && !self.inbox.nick.is_awaited();
                let is_there = !self.inbox.room.holds_lines() && !self.inbox.door.is_locked();
                // A server that asks for the password would drop them, too.
                let may_ask = self.inbox.secrets.has_password() && self.inbox.door == Door::Unseen;
                let wait = if may_ask { KIND_WAIT } else { WELCOME_WAIT };
                is_there && (is_known || now.saturating_duration_since(*since) >= wait)
            }
            _ => false,
        }
    }

    /// Ends the session: breaks at the end of the run, or waits for the next attempt.
    fn on_closed(&mut self, chat: &mut ChatView, now: Instant) -> ControlFlow<RunResult> {
        self.show_rest(chat, now);
        let Some(session) = self.link.close(now) else { return ControlFlow::Continue(()) };
        let is_leaving = !session.is_send_half_open() || self.intent != Intent::Stay;
        let reason = session.into_reason();
        self.tracked.tracking.on_disconnected();
        self.take_events(chat, now);
        if is_leaving && matches!(reason, CloseReason::Complete) {
            let unsent = self.tracked.on_left();
            self.unsent.put_back(unsent);
        }
        if let Some(why) = self.tracked.elsewhere() {
            return ControlFlow::Break(Err(why));
        }
        if self.inbox.expects_tls() {
            return ControlFlow::Break(Err(ClientError::TlsExpected { address: self.address.clone() }));
        }
        if is_leaving || !self.reconnects || !self.inbox.should_reconnect(&reason) {
            return ControlFlow::Break(match reason {
                // The person has read why, or has left.
                CloseReason::Dismissed | CloseReason::Unconfirmed => Ok(()),
                reason => reason.into_result(self.address.clone()),
            });
        }
        if self.inbox.on_lost(now) {
            chat.show_note(&format!("{}; trying again (Ctrl-C ends it)", close_text(&reason)));
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
        self.end_unless_let_in()
    }

    /// Breaks if no server has ever let us in.
    fn end_unless_let_in(&mut self) -> ControlFlow<RunResult> {
        if !self.inbox.was_connected()
            && let Some(failure) = self.failure.take()
        {
            return ControlFlow::Break(Err(failure));
        }
        ControlFlow::Continue(())
    }
}

/// Queues a line of the client itself.
pub(super) fn queue_own(line: &str, session: &mut Session, unsent: &mut LineQueue) {
    if line.len() <= session.free_bytes() {
        unsent.count_handed(line.len());
        session.queue_own(line);
    }
}

fn close_text(reason: &CloseReason) -> String {
    match reason {
        CloseReason::Complete | CloseReason::Dismissed => "the server has stopped".to_owned(),
        CloseReason::Closed => "the server closed the connection".to_owned(),
        CloseReason::Lost(err) => format!("the connection was lost: {err}"),
        CloseReason::Untrusted(why) => format!("the server is not trusted: {why}"),
        CloseReason::Unsent(_) | CloseReason::Unconfirmed => "the server stopped reading".to_owned(),
    }
}

/// Seconds until `until`, rounded up.
fn seconds_until(until: Instant, now: Instant) -> u64 {
    let left = until.saturating_duration_since(now);
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}
