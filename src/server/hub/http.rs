//! Visitors of the page: their requests, their answers, their upgrade to a WebSocket, and the keepalive of browsers.
//!
//! A visitor is an HTTP connection on the page's port that has not opened a WebSocket. Its requests and answers use the
//! same budgets as those of clients. The server answers one request of a visitor per turn, and the next only after the
//! visitor has taken the answer. A visitor ends at EOF, at an error, after an answer that closes, or at a timeout.

use std::io;
use std::mem;
use std::time::Instant;

use log::debug;

use super::Hub;
use super::timers::Timer;
use crate::net::stream::{Received, Socket};
use crate::relay::name::Name;
use crate::relay::room::parse_room;
use crate::server::connection::input::{Input, Pending};
use crate::server::connection::{Farewell, Phase, PingStep, ReadState, Role};
use crate::server::fields::{Event, Fields};
use crate::server::flow::budget::Effort;
use crate::server::limits::{ENTER_TIMEOUT, PING_AFTER, PONG_WITHIN, REQUEST_TIME, TURN_DELAY_MAX};
use crate::server::reason::Reason;
use crate::server::report::{Kind, Reports};
use crate::server::web::exchange::{Exchange, RequestProgress, Service};
use crate::server::web::response::Status;
use crate::server::web::site::{AfterAnswer, Answer, AnswerRefusal};

impl<S: Socket> Hub<S> {
    /// Reads a visitor and answers its request. Empty lines are no request, so a visitor that sends nothing else has
    /// the read budget of a client.
    pub(super) fn read_visitor(&mut self, key: usize, now: Instant) -> ReadState {
        let mut read_bytes_left = self.budget.read_share();
        loop {
            if self.budget.is_reply_spent() {
                return ReadState::Asking;
            }
            if self.connections[key].is_held(self.limits.read) {
                return ReadState::Held;
            }
            let Some(exchange) = self.connections[key].exchange_mut() else { return ReadState::Ready };
            let answer = match exchange.next_head() {
                RequestProgress::Head(head) if exchange.service() == Service::Metrics => {
                    self.budget.spend(Effort::Request(head.len()));
                    self.answer_scrape(&head)
                }
                RequestProgress::Head(head) => {
                    if let Err(reason) = self.note_forwarded(key, &head) {
                        self.refuse(key, &reason, now);
                        return ReadState::Ready;
                    }
                    self.stats.requests += 1;
                    self.budget.spend(Effort::Request(head.len()));
                    let room = |typed: &str| self.room_named(typed);
                    self.site.as_ref().map_or_else(Answer::empty, |site| site.answer(&head, room))
                }
                RequestProgress::TooLong => self.refusal_answer(key, Status::HeadTooLong),
                RequestProgress::Tls => self.refusal_answer(key, Status::TlsSpoken),
                RequestProgress::Partial if read_bytes_left == 0 => return ReadState::Ready,
                RequestProgress::Partial => match self.read_request(key, &mut read_bytes_left, now) {
                    Some(state) => return state,
                    None => continue,
                },
            };
            self.answer(key, &answer, now);
            return ReadState::Ready;
        }
    }

    /// Reads once. Returns the new read state, or `None` if bytes arrived.
    fn read_request(&mut self, key: usize, bytes_left: &mut usize, now: Instant) -> Option<ReadState> {
        let free = self.connections[key].exchange_mut().map_or(0, |exchange| exchange.free_bytes());
        let mut scratch = mem::take(&mut self.buffers.scratch);
        let received = self.receive(key, &mut scratch[..free], bytes_left);
        let state = match received {
            Received::Bytes(bytes) => {
                if let Some(exchange) = self.connections[key].exchange_mut() {
                    exchange.receive(&scratch[..bytes]);
                }
                None
            }
            Received::NotYet => Some(ReadState::Idle),
            Received::End => {
                // An unfinished request is dropped; all complete ones were answered.
                self.log_peer(key, "visitor_gone", "a visitor has gone:");
                self.close_entering(key, Farewell::Close(None), now);
                Some(ReadState::Ended)
            }
            Received::Failed(_) => {
                self.schedule.close(key, &mut self.connections[key]);
                Some(ReadState::Ended)
            }
        };
        self.buffers.scratch = scratch;
        state
    }

    fn answer(&mut self, key: usize, answer: &Answer, now: Instant) {
        if let Some(refusal) = &answer.refusal {
            self.report_answer(key, refusal, now);
        }
        let connection = &mut self.connections[key];
        connection.push_bytes(&answer.bytes);
        self.budget.spend_reply(answer.bytes.len());
        self.schedule.mark_dirty(key, connection);
        if let Some(exchange) = connection.exchange_mut() {
            exchange.on_answered();
            exchange.set_deadline(now + REQUEST_TIME);
        }
        match &answer.next {
            AfterAnswer::Request => {}
            AfterAnswer::End => self.close_entering(key, Farewell::Close(None), now),
            AfterAnswer::WebSocket { room, will_track } => self.upgrade(key, room, *will_track, now),
        }
    }

    /// Counts an answer that refuses a request, and reports it unless browsers and their tools cause it as a matter of
    /// course: a missing icon, a spare connection.
    fn report_answer(&mut self, key: usize, refusal: &AnswerRefusal, now: Instant) {
        let AnswerRefusal { status, reason } = refusal;
        self.stats.answers.count(*status);
        let kind = Kind::Answered(*status);
        if !Reports::wants(kind) {
            return;
        }
        let peer = self.peer(key);
        let what = format_args!("{peer} was answered with {}: {reason}", status.code());
        match status {
            Status::NotFound | Status::NoSuchRoom | Status::MethodNotAllowed | Status::RequestTimeout => {
                let address = peer.field();
                let fields = Fields { address: address.as_deref(), status: Some(status.code()), ..Fields::default() };
                debug!("{what}{}", Event("answered", fields));
            }
            _ => self.note_of_peer(kind, &peer, what, now),
        }
    }

    /// Returns the name of the room that a request names, if there may be such a room.
    fn room_named(&self, typed: &str) -> Option<Name> {
        let name = parse_room(self.roster.directory(), typed).ok()?;
        (self.limits.rooms_max > 1 || name.folded() == Name::LOBBY).then_some(name)
    }

    /// Makes a visitor a browser that is to enter in the room of this name: at its first line, or when its delay ends.
    /// Until then it needs a place to enter, like any connection on the line port.
    ///
    /// A browser opens its WebSocket a round trip before it can say anything on it, which may take longer than the
    /// delay. So a browser that will track has more time: its first line may resume a session.
    fn upgrade(&mut self, key: usize, room: &Name, will_track: bool, now: Instant) {
        let connection = &mut self.connections[key];
        let pipelined = connection.exchange_mut().map(Exchange::take_pipelined).unwrap_or_default();
        connection.switch_to_websocket(now);
        if !self.has_place_to_enter() {
            self.refuse_browser(key, &self.full(), now);
            return;
        }
        self.connections.set_role(key, Role::Entering);
        self.admission.expect_in(key, room);
        self.log_roster(key, format_args!("it opens"));
        // Bytes behind the request are frames already.
        let mut lines = mem::take(&mut self.buffers.lines);
        lines.clear();
        let connection = &mut self.connections[key];
        connection.unframe(&pipelined, &mut lines, now);
        connection.put_input(Input { pending: Pending::new(&lines), ..Input::default() }, now);
        self.buffers.lines = lines;
        let handle = self.connections[key].handle(key);
        if will_track {
            self.timers.set(now + ENTER_TIMEOUT, Timer::Enter, handle);
        } else {
            self.delay_entry(handle, now);
        }
        self.timers.set(now + PING_AFTER, Timer::Ping, handle);
    }

    /// Pings a browser that has sent nothing for [`PING_AFTER`], which also keeps a proxy from forgetting the
    /// connection. Disconnects a browser that sends nothing within [`PONG_WITHIN`] of the ping.
    pub(super) fn on_ping_timer(&mut self, time: Instant, key: usize, now: Instant) -> Option<Instant> {
        let connection = &mut self.connections[key];
        match connection.check_ping(PING_AFTER, PONG_WITHIN, now)? {
            PingStep::Wait(time) => {
                self.schedule.mark_dirty(key, connection);
                Some(time)
            }
            // The server itself was suspended, say: the pong may have arrived, and is read first.
            PingStep::TimedOut if now.saturating_duration_since(time) > TURN_DELAY_MAX => Some(now + TURN_DELAY_MAX),
            PingStep::TimedOut => {
                self.leave(key, &Reason::Reset(io::ErrorKind::TimedOut.into()), now);
                None
            }
        }
    }

    /// Answers or closes a visitor that takes too long to send its request, or to take its answer.
    pub(super) fn on_request_timer(&mut self, key: usize, now: Instant) -> Option<Instant> {
        let connection = &mut self.connections[key];
        if connection.phase != Phase::Entering {
            return None;
        }
        let has_untaken = connection.outbox_bytes() + connection.unsent_bytes() > 0;
        let is_unread = connection.read_state != ReadState::Idle;
        let is_unflushed = self.schedule.is_unflushed(connection);
        let exchange = connection.exchange_mut()?;
        if exchange.deadline() > now {
            return Some(exchange.deadline());
        }
        if is_unflushed || (is_unread && !has_untaken) {
            // The delay is ours.
            return Some(now + REQUEST_TIME);
        } else if has_untaken {
            self.schedule.close(key, connection);
        } else if exchange.is_idle() {
            self.close_entering(key, Farewell::Close(None), now);
        } else {
            let answer = self.refusal_answer(key, Status::RequestTimeout);
            self.answer(key, &answer, now);
        }
        None
    }
}
