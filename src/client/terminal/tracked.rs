//! The tracked dialect at a terminal: typed lines go through [`Tracking`], and its events to the [`ChatView`].

use std::time::Instant;

use super::chat_view::ChatView;
use super::inbox::Inbox;
use super::underway::{Given, UnderWay};
use super::uplink::{ScreenSpace, Uplink, queue_own};
use crate::client::ClientError;
use crate::client::decoder::{ServerKind, ServerLine};
use crate::client::limits::WELCOME_WAIT;
use crate::client::link::LinkState;
use crate::client::outbox::entered::{Entered, Intent};
use crate::client::outbox::line_queue::LineQueue;
use crate::client::progress::Progress;
use crate::client::session::Session;
use crate::client::tracked_link::{self, GOODBYE, Turn};
use crate::client::tracking::{Entered as Place, Event, How, Record, Tracking, Which};
use crate::relay::command::Command;
use crate::relay::sanitize::sanitize;

/// The session, and the lines that it was given.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) tracking: Tracking,
    under_way: UnderWay,
    /// Whether the present connection began with `/track`.
    began_with_track: bool,
    /// Whether the server has told our place on the present connection.
    is_entered: bool,
    /// Whether another connection goes on with the session.
    is_elsewhere: bool,
}

impl Tracked {
    /// Tracks the server if it `is_wanted` and the server can be tracked.
    pub(super) fn new(is_wanted: bool) -> Tracked {
        Tracked {
            tracking: Tracking::new(is_wanted),
            under_way: UnderWay::default(),
            began_with_track: false,
            is_entered: false,
            is_elsewhere: false,
        }
    }

    /// Takes a line of the server.
    pub(super) fn take_line(&mut self, line: ServerLine<'_>, inbox: &mut Inbox, chat: &mut ChatView, now: Instant) {
        if inbox.on_door_line(line) {
            return;
        }
        let tracking = &mut self.tracking;
        if tracking.is_plain() && !tracking.has_events() {
            inbox.on_line(line, chat, now);
        } else if tracking.is_tracked() || !inbox.on_early_line(line, chat, now) {
            tracking.on_server_line(line, now);
        }
    }

    /// Whether typed lines go through the tracking, now or once the server has answered.
    pub(super) fn takes_lines(&self, kind: ServerKind) -> bool {
        let tracking = &self.tracking;
        tracking.has_asked() || (tracking.is_undecided() && kind == ServerKind::Pollchat)
    }

    /// Shows the commands that were given, before what may answer them.
    fn show_commands(&mut self, is_answered: bool, chat: &mut ChatView) {
        self.under_way.commands_to_show(is_answered).iter().for_each(|wire| chat.show_own(wire, false));
    }

    /// The number of lines that were sent, and have no record for long.
    pub(super) fn late_lines(&self, now: Instant) -> usize {
        self.under_way.late_lines(now)
    }

    /// The time of the next step that no event announces, with a connection.
    pub(super) fn deadline(&self, session: &Session, now: Instant) -> Option<Instant> {
        let tracking_at = tracked_link::deadline(&self.tracking, session, now).filter(|_| session.is_open());
        tracking_at.into_iter().chain(self.under_way.deadline(now)).min()
    }

    /// The time at which the next line is marked as under way.
    pub(super) fn late_at(&self, now: Instant) -> Option<Instant> {
        self.under_way.deadline(now)
    }

    /// Whether the answer to a `/track` is awaited, so that nothing can be asked for.
    pub(super) fn is_asking(&self) -> bool {
        self.tracking.has_asked() && !self.tracking.is_tracked()
    }

    /// Removes the lines under way: those in doubt, and those that the server has not taken.
    pub(super) fn drain(&mut self) -> (Vec<Entered>, Vec<Entered>) {
        let waiting = self.tracking.take_waiting();
        let is_waiting = |line: &Given| waiting.contains(&line.id);
        let lines = self.under_way.drain().into_iter().filter(|line| !line.is_taken);
        let (unsent, in_doubt): (Vec<Given>, Vec<Given>) = lines.partition(is_waiting);
        let entered = |lines: Vec<Given>| lines.into_iter().map(|line| line.entered).collect();
        (entered(in_doubt), entered(unsent))
    }

    /// Takes the end of a conversation in good order, which the user ended: the server has taken what it was given.
    pub(super) fn on_left(&mut self) -> Vec<Entered> {
        let waiting = self.take_waiting();
        self.under_way.drain();
        waiting
    }

    /// Removes the lines that wait for the connection.
    pub(super) fn take_waiting(&mut self) -> Vec<Entered> {
        let waiting = self.tracking.take_waiting();
        waiting.into_iter().filter_map(|id| self.under_way.remove(id)).map(|line| line.entered).collect()
    }

    /// The reason of the end, if another connection goes on with the session.
    pub(super) fn elsewhere(&self) -> Option<ClientError> {
        let text = "this session goes on elsewhere; start the client again to join anew";
        self.is_elsewhere.then(|| ClientError::Notice(text.to_owned()))
    }
}

impl Uplink {
    /// Asks for tracking and for acknowledgements, and sends the lines that an earlier connection was given in vain.
    pub(super) fn follow_tracking(&mut self, chat: &mut ChatView, now: Instant) -> Progress {
        let is_leaving = self.is_leaving();
        let is_locked = self.inbox.door.is_locked();
        let LinkState::Connected(session, since) = &mut self.link.state else { return Progress::None };
        if is_locked {
            return Progress::None;
        }
        let tracking = &mut self.tracked.tracking;
        let is_greeted = chat.own_name().is_some();
        if !session.is_open() || !tracked_link::learn_server(tracking, session, is_greeted, now) {
            return self.take_events(chat, now);
        }
        let is_named = !self.inbox.nick.is_awaited() || now.saturating_duration_since(*since) >= WELCOME_WAIT;
        // What was sent before the tracking must have left.
        let may_ask = is_greeted && is_named && session.unsent_bytes() == 0;
        let is_in = tracking.is_tracked() || may_ask;
        let turn = Turn { is_in, holds_lines: self.inbox.room.holds_lines(), is_leaving };
        tracked_link::advance(tracking, session, turn, now)
    }

    /// Gives typed lines to the session, as many as fit. Says goodbye behind them if the user leaves.
    pub(super) fn send_tracked(&mut self, chat: &mut ChatView, now: Instant) {
        while let Some(line) = self.next_tracked() {
            let wire = line.wire(ServerKind::Pollchat).into_owned();
            if let Some(limit) = self.inbox.limit.exceeded(&wire, ServerKind::Pollchat) {
                self.unsent.remove_next();
                self.inbox.limit.hold(wire, limit);
                continue;
            }
            let LinkState::Connected(session, _) = &mut self.link.state else { return };
            let command = command_of(&wire);
            if command == Kind::Goodbye {
                self.unsent.remove_next();
                chat.show_own(&wire, false);
                session.queue_own(GOODBYE);
                session.finish_sending(now);
                return;
            }
            let bytes = wire.len() + 1;
            if bytes > self.tracked.tracking.free_bytes() || bytes > tracked_link::space(session) {
                break;
            }
            self.unsent.remove_next();
            self.inbox.limit.on_sent(&wire);
            self.inbox.on_typed(&wire);
            let is_said = command == Kind::Said;
            let id = self.tracked.tracking.push(&wire);
            self.tracked.under_way.push(Given {
                id,
                entered: line,
                wire,
                is_said,
                is_shown: false,
                is_taken: false,
                at: now,
            });
            self.tracked.show_commands(false, chat);
            if let Some(given) = self.tracked.tracking.next_line(Which::All, usize::MAX, now) {
                session.queue_tracked(given);
            }
        }
        let has_given_all = self.unsent.waiting() == 0 && self.tracked.tracking.waiting_lines() == 0;
        let is_due = self.leaves_by().is_some_and(|at| has_given_all || at <= now);
        if let LinkState::Connected(session, _) = &mut self.link.state
            && session.is_open()
            && is_due
        {
            if self.tracked.tracking.has_asked() {
                session.queue_own(GOODBYE);
            }
            session.finish_sending(now);
        }
    }

    /// The next typed line, if the session may be given one.
    fn next_tracked(&self) -> Option<Entered> {
        let LinkState::Connected(session, _) = &self.link.state else { return None };
        let tracking = &self.tracked.tracking;
        let is_free = session.is_open()
            && tracking.is_tracked()
            && !tracking.holds_lines()
            && tracking.waiting_lines() == 0
            && !self.inbox.room.holds_lines();
        self.unsent.next().filter(|_| is_free).cloned()
    }

    /// Sends a request for the name.
    pub(super) fn request_name(&mut self, now: Instant) {
        if self.tracked.is_asking() {
            return;
        }
        let is_tracked = self.tracked.tracking.is_tracked();
        let LinkState::Connected(session, _) = &mut self.link.state else { return };
        let Some(request) = self.inbox.request_nick_again(now).filter(|_| session.is_open()) else { return };
        if is_tracked {
            self.tracked.tracking.push_requests(&[request.trim_end().to_owned()]);
        } else {
            queue_own(&request, session, &mut self.unsent);
        }
    }

    /// Counts the connection as lost if the answer to `/track` is late, unless it may be unread. `is_idle` tells
    /// whether the last turn did nothing.
    pub(super) fn check_answer(&mut self, chat: &mut ChatView, space: ScreenSpace, is_idle: bool, now: Instant) {
        if let LinkState::Connected(session, _) = &mut self.link.state
            && session.is_open()
            && is_idle
            && space == ScreenSpace::Free
            && tracked_link::give_up_answer(&mut self.tracked.tracking, now)
        {
            let (tracked, inbox) = (&mut self.tracked, &mut self.inbox);
            session.abandon(&mut |line| tracked.take_line(line, inbox, chat, now));
        }
    }

    /// Acts on the events of the tracking, and shows them.
    pub(super) fn take_events(&mut self, chat: &mut ChatView, now: Instant) -> Progress {
        let mut progress = Progress::None;
        while let Some(event) = self.tracked.tracking.next_event() {
            progress = Progress::Made;
            self.follow_name(chat);
            self.take_event(event, chat, now);
            self.tracked.show_commands(false, chat);
        }
        self.follow_name(chat);
        progress
    }

    /// Follows our name, which may be ahead of what is shown.
    fn follow_name(&mut self, chat: &mut ChatView) {
        let tracking = &self.tracked.tracking;
        if self.tracked.is_entered && chat.call(tracking.name()) {
            self.inbox.nick.on_called(tracking.name());
        }
    }

    fn take_event(&mut self, event: Event, chat: &mut ChatView, now: Instant) {
        match event {
            Event::Plain(text) => self.inbox.show_early_line(ServerLine::of_marked(&text), chat, now),
            Event::Fin => self.inbox.show_early_line(ServerLine::of_marked("FIN"), chat, now),
            Event::Untracked => self.on_untracked(chat, now),
            Event::Entered(place) => self.on_entered(&place, chat, now),
            Event::Missed(Some(lines)) => chat.show_missed(lines),
            // The line about the session says so.
            Event::Missed(None) => {}
            Event::Private(text) => {
                self.tracked.show_commands(true, chat);
                self.inbox.on_private(&text, chat, now);
            }
            Event::Record(record) => self.on_record(&record, chat, now),
            Event::Taken { id, line } => {
                self.tracked.show_commands(!self.tracked.under_way.is_said(id), chat);
                self.tracked.under_way.on_taken(id);
                self.inbox.room.on_sent(&line);
            }
            Event::InDoubt(id) => {
                let line = self.tracked.under_way.remove(id);
                chat.show_in_doubt(&line.map(|line| line.entered.text).into_iter().collect::<Vec<_>>());
            }
            Event::Unrecorded(id) => {
                let line = self.tracked.under_way.remove(id);
                if let Some(line) = line.filter(|line| !self.inbox.limit.refuses(&line.wire)) {
                    chat.show_own(&line.wire, false);
                }
            }
            Event::Elsewhere => {
                self.tracked.is_elsewhere = true;
                self.inbox.on_elsewhere();
            }
        }
    }

    fn on_entered(&mut self, place: &Place, chat: &mut ChatView, now: Instant) {
        if place.how == How::Moved {
            return;
        }
        self.link.on_tracked(place.how.is_known_session());
        self.tracked.is_entered = true;
        // They are sent again.
        self.tracked.under_way.untaken().for_each(|wire| self.inbox.limit.on_sent(wire));
        let is_first = place.how == How::First && !self.tracked.began_with_track;
        let requests = self.inbox.on_entered(place, is_first, chat, now);
        self.tracked.tracking.push_requests(&requests);
    }

    fn on_record(&mut self, record: &Record, chat: &mut ChatView, now: Instant) {
        if self.inbox.loses_name_by(record, self.tracked.tracking.name()) {
            self.tracked.tracking.forget_nicks();
        }
        self.inbox.on_record(record, chat, now);
        let given = record.own.and_then(|id| self.tracked.under_way.remove(id));
        if given.is_some_and(|given| given.entered.is_goodbye_word() && given.entered.intent == Intent::Line) {
            chat.show_note("said to the room; /quit leaves");
        }
    }

    /// Goes on with a server that does not track, or does not track any more.
    fn on_untracked(&mut self, chat: &mut ChatView, now: Instant) {
        let (in_doubt, unsent) = self.tracked.drain();
        self.tracked.tracking.drain();
        chat.on_untracked();
        chat.show_in_doubt(&in_doubt.into_iter().map(|line| line.text).collect::<Vec<_>>());
        self.unsent.put_back(unsent);
        if std::mem::take(&mut self.tracked.began_with_track)
            && let LinkState::Connected(session, _) = &mut self.link.state
        {
            let nick = self.inbox.request_nick();
            request_place(session, &mut self.inbox, nick, &mut self.unsent, now);
        }
    }
}

/// Begins the dialogue on a connection: with the session, or with the requests for the room and the name.
pub(super) fn greet(
    (tracked, inbox, unsent): (&mut Tracked, &mut Inbox, &mut LineQueue),
    session: &mut Session,
    chat: &mut ChatView,
    now: Instant,
) {
    let track = tracked.tracking.on_connected(now);
    (tracked.began_with_track, tracked.is_entered) = (track.is_some(), false);
    if let Some(track) = track {
        inbox.on_tracked_connected();
        session.queue_track(&track);
    } else {
        let nick = inbox.on_connected(chat);
        request_place(session, inbox, nick, unsent, now);
    }
}

/// Asks for the room and the name, on a connection that is not tracked, or not yet.
fn request_place(session: &mut Session, inbox: &mut Inbox, nick: Option<String>, unsent: &mut LineQueue, now: Instant) {
    if let Some(line) = inbox.room.on_connected(now) {
        queue_own(&line, session, unsent);
    }
    if let Some(line) = nick {
        queue_own(&line, session, unsent);
    }
}

/// Kind of a line for a pollchat server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The room is told.
    Said,
    /// It is a command, or empty.
    Command,
    /// It leaves.
    Goodbye,
}

fn command_of(wire: &str) -> Kind {
    let mut buffer = String::new();
    match Command::parse(sanitize(wire.as_bytes(), &mut buffer)) {
        Command::Leave => Kind::Goodbye,
        command if command.said().is_some() => Kind::Said,
        _ => Kind::Command,
    }
}
