//! TLS handshakes: the way of a connection from the accept to its first byte of text. It owns the settings of new
//! sessions, and the queue of the connections that have sent a part of a handshake.
//!
//! Until its handshake is over, a connection is entering like any other, or a visitor. It is not read elsewhere, nothing
//! is told to it, and the delays of entering do not begin. It has [`HANDSHAKE_TIME`] for all of that.
//!
//! A handshake costs as much time as some hundred lines. So a turn takes [`HANDSHAKES_A_TURN`] of them, and the other
//! connections stay in the queue, first in first out. A storm of hellos then delays a line by the time of two.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::time::Instant;

use super::Hub;
use super::timers::Timer;
use crate::net::stream::{Received, Socket};
use crate::net::tls::{HANDSHAKE_BYTE, TlsConfigs};
use crate::relay::notice::Notice;
use crate::server::connection::{Farewell, Handle, Heard, Phase, ReadState};
use crate::server::flow::budget::Effort;
use crate::server::limits::{ENTER_DELAY, HANDSHAKE_TIME, HANDSHAKES_A_TURN, REQUEST_TIME};
use crate::server::reason::Reason;
use crate::server::report::{Kind, Reports};
use crate::server::web::response::Status;
use crate::server::web::websocket::code;

/// The handshakes.
///
/// Invariant: `waiting` holds every entering connection once that is handshaking and [`Ready`](ReadState::Ready), unless
/// it is still on the ready queue; it may hold stale handles, too.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    /// Settings of new sessions; `None` on a server without TLS.
    configs: Option<TlsConfigs>,
    /// Connections that may have sent something.
    pub(super) waiting: VecDeque<Handle>,
}

/// The state of a handshake after it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More bytes are needed.
    Partial,
    /// A step was taken that costs time, and more bytes are needed.
    Answered,
    /// Nothing more of it is to be read: there may be text, or the connection closes.
    Over { has_cost: bool },
    /// The connection is gone.
    Dropped,
}

impl<S: Socket> Hub<S> {
    /// Speaks TLS on the ports that are for it, with these settings from the next handshake on.
    pub fn open_tls(&mut self, configs: TlsConfigs) {
        self.buffers.sealed.open();
        self.handshakes.configs = Some(configs);
    }

    /// Lets a new connection begin with a handshake, whose first bytes are `early`.
    pub(super) fn begin_handshake(&mut self, key: usize, early: Vec<u8>, now: Instant) {
        let connection = &mut self.connections[key];
        connection.expect_tls(early);
        self.timers.set(now + HANDSHAKE_TIME, Timer::Handshake, connection.handle(key));
    }

    /// Reads the connections that wait, as far as the budget of the turn allows. Reads as many as a turn may take
    /// handshakes in any case.
    pub(super) fn read_handshakes(&mut self, now: Instant) {
        let (mut reads, mut answered) = (0, 0);
        for _ in 0..self.handshakes.waiting.len() {
            let is_over = self.budget.is_read_spent() && reads >= HANDSHAKES_A_TURN;
            if answered >= HANDSHAKES_A_TURN || is_over {
                return;
            }
            let Some(handle) = self.handshakes.waiting.pop_front() else { return };
            let is_ready = self.connections.known(handle).is_some_and(|known| known.read_state == ReadState::Ready);
            if !is_ready {
                continue;
            }
            if self.connections[handle.key].phase == Phase::Entering {
                reads += 1;
                let before = self.budget.before_read();
                answered += usize::from(self.read_handshake(handle, now));
                self.budget.end_read(before);
            } else {
                self.schedule.ready.push_back(handle);
            }
        }
    }

    /// Reads a connection whose handshake is not over. Returns whether that took a step which costs time.
    fn read_handshake(&mut self, handle: Handle, now: Instant) -> bool {
        let mut sealed = mem::take(&mut self.buffers.sealed);
        let progress = loop {
            let (received, bytes) = self.connections[handle.key].receive_hello(&mut sealed);
            self.budget.spend_read(bytes.len());
            self.stats.received_bytes += bytes.len() as u64;
            match received {
                Received::Bytes(_) => match self.hear(handle.key, bytes, now) {
                    Progress::Partial => {}
                    progress => break progress,
                },
                Received::NotYet => break Progress::Partial,
                Received::End => break self.drop_handshake(handle.key, io::ErrorKind::UnexpectedEof.into(), now),
                Received::Failed(error) => break self.drop_handshake(handle.key, error, now),
            }
        };
        self.buffers.sealed = sealed;
        match progress {
            Progress::Partial => self.connections[handle.key].read_state = ReadState::Idle,
            Progress::Answered => self.handshakes.waiting.push_back(handle),
            // What has arrived behind it is read at once.
            Progress::Over { .. } => {
                let _ = self.read(handle, ReadState::Ready, now);
            }
            Progress::Dropped => self.connections[handle.key].read_state = ReadState::Ended,
        }
        matches!(progress, Progress::Answered | Progress::Over { has_cost: true })
    }

    /// Takes in the next bytes of a connection whose handshake is not over, which it overwrites.
    pub(super) fn hear(&mut self, key: usize, bytes: &mut [u8], now: Instant) -> Progress {
        let connection = &mut self.connections[key];
        if connection.awaits_hello() && bytes.first().is_some_and(|&byte| byte != HANDSHAKE_BYTE) {
            self.answer_plain_text(key, now);
            return Progress::Over { has_cost: false };
        }
        let Some(configs) = &self.handshakes.configs else {
            return self.drop_handshake(key, io::ErrorKind::Unsupported.into(), now);
        };
        let config = if connection.is_http() { &configs.web } else { &configs.lines };
        let heard = connection.hear(bytes, config);
        if connection.unsent_bytes() > 0 {
            self.schedule.mark_dirty(key, connection);
        }
        if !matches!(heard, Heard::Partial) {
            self.budget.spend(Effort::Handshake);
        }
        match heard {
            Heard::Partial => return Progress::Partial,
            Heard::Answered => return Progress::Answered,
            Heard::Done => self.end_handshake(key, now),
            Heard::Failed(error) => {
                self.report_failure(key, &error, now);
                // The peer is sent the alert.
                self.close_entering(key, Farewell::Close(None), now);
            }
        }
        Progress::Over { has_cost: true }
    }

    /// Lets a connection go on as on a port without TLS.
    fn end_handshake(&mut self, key: usize, now: Instant) {
        let connection = &mut self.connections[key];
        let handle = connection.handle(key);
        match connection.exchange_mut() {
            Some(exchange) => {
                exchange.set_deadline(now + REQUEST_TIME);
                self.timers.set(now + REQUEST_TIME, Timer::Request, handle);
            }
            None => self.delay_entry(handle, now),
        }
    }

    /// Tells a peer in plain text that it is to speak TLS.
    fn answer_plain_text(&mut self, key: usize, now: Instant) {
        self.report_failure(key, "it speaks no TLS", now);
        let connection = &mut self.connections[key];
        connection.forget_tls();
        if connection.is_http() {
            let answer = self.refusal_answer(key, Status::PlainSpoken);
            self.stats.answers.count(Status::PlainSpoken);
            self.connections[key].push_bytes(&answer.bytes);
            self.close_entering(key, Farewell::Close(None), now);
        } else {
            connection.tell(&Notice::TlsExpected.to_line());
            self.close_entering(key, self.fin(key, code::NORMAL), now);
        }
    }

    /// Removes a connection whose peer is gone before its handshake was over.
    fn drop_handshake(&mut self, key: usize, error: io::Error, now: Instant) -> Progress {
        if self.connections[key].is_http() {
            self.log_peer(key, "visitor_gone", "a visitor has gone before its handshake was over:");
            self.schedule.close(key, &mut self.connections[key]);
        } else {
            self.leave(key, &Reason::Reset(error), now);
        }
        Progress::Dropped
    }

    /// Removes a connection whose handshake takes too long.
    pub(super) fn on_handshake_timer(&mut self, key: usize, now: Instant) -> Option<Instant> {
        let connection = &self.connections[key];
        if connection.phase != Phase::Entering || !connection.is_handshaking() {
            return None;
        }
        if connection.read_state != ReadState::Idle {
            // The delay is ours.
            return Some(now + ENTER_DELAY);
        }
        self.report_failure(key, "it is not over in time", now);
        self.schedule.close(key, &mut self.connections[key]);
        None
    }

    /// Counts and reports a handshake that failed.
    fn report_failure(&mut self, key: usize, error: &str, now: Instant) {
        self.stats.reasons.count(&Reason::TlsFailed);
        if Reports::wants(Kind::TlsFailed) {
            let peer = self.peer(key);
            let what = format_args!("the TLS handshake of {peer} failed: {error}");
            self.note_of_peer(Kind::TlsFailed, &peer, what, now);
        }
    }
}
